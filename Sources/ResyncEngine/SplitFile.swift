import ResyncCore
import ResyncStorage

/// A pair of large files that several workers read together; the last of them compares.
package final class SplitFile: Sendable {
    private let readings: Sides<SharedReading>
    private let stats: Sides<Stat>
    private let judged: Difference?
    /// Nil for an image.
    private let place: EntryPlace?
    private let link: LinkedEntry?
    /// How many units of work it is.
    package let width: Int
    private let left: Countdown
    /// How both sides were described, and when, where records are made of them.
    private let found: Sides<Examined>?
    private let started: Timestamp

    init(
        _ readings: Sides<SharedReading>, stats: Sides<Stat>, judged: Difference?,
        place: EntryPlace?, link: LinkedEntry? = nil, width: Int, found: Sides<Examined>? = nil
    ) {
        self.found = found
        started = found == nil ? Timestamp(seconds: 0, nanoseconds: 0) : .now
        self.readings = readings
        self.stats = stats
        self.judged = judged
        self.place = place
        self.link = link
        self.width = max(1, width)
        left = Countdown(max(1, width))
    }

    /// Two images or devices. Of different size they differ, and what both have is compared.
    convenience init(
        images: Sides<any Examination>, sites: Sides<any Site>, verify: Verify
    ) throws {
        let size = min(sites.a.facts.size, sites.b.facts.size)
        // As the image describes itself: a device's node has neither its size nor its type.
        let stats = Sides(
            a: images.a[0].entry?.stat ?? sites.a.facts.stat,
            b: images.b[0].entry?.stat ?? sites.b.facts.stat)
        var judged: Difference?
        if sites.a.facts.size != sites.b.facts.size {
            judged = Difference(path: .root, outcome: .differs)
            judged?.aspects = AspectSet(.size)
        }
        let readings: Sides<SharedReading> = Sides(
            a: Self.reading(.a, images.a, size, verify),
            b: Self.reading(.b, images.b, size, verify))
        self.init(
            readings, stats: stats, judged: judged, place: nil,
            width: min(verify.splitWidth, max(1, readings.a.claims)))
    }

    private static func reading(
        _ side: Side, _ image: any Examination, _ size: Int, _ verify: Verify
    ) -> SharedReading {
        SharedReading(
            image, 0, size: size, blockSize: verify.rules.scheme.blockSize,
            source: verify.rules.source,
            place: Pulse.Place(side: side, directory: nil, names: nil), progress: verify.progress)
    }

    /// What was read of both sides, where that was not all.
    var bytesSoFar: Int { readings.a.bytesSoFar + readings.b.bytesSoFar }

    private var path: RelativePath { place?.path ?? .root }

    func run(_ worker: Worker, _ verify: Verify) throws -> Verify.Pieces {
        // The helpers go through the file side by side, so that both stores stay busy.
        var goesOn = true
        while goesOn, !worker.stop.isRequested {
            goesOn = false
            for side in worker.sides where step(side, worker) { goesOn = true }
        }
        if worker.stop.isRequested { return [.unit(.work(self))] }
        guard left.arrive() else { return [] }
        let (a, b) = (try readings.a.answer(worker), try readings.b.answer(worker))
        if a.state == .stopped || b.state == .stopped { return [.unit(.work(self))] }
        var output = VerifyOutput()
        let size = min(stats.a.size, stats.b.size)
        let finding = ContentFinding(a, b, size: size, scheme: verify.rules.scheme)
        output.tally.entries = 1
        output.tally.bytesRead = a.bytesRead + b.bytesRead
        output.tally.count(bytes: finding.comparedBytes, verify.rules.assurance)
        if let difference = finding.merged(into: judged, stats, path: { path }) {
            output.tally.count(difference)
            output.differences = [difference]
        } else {
            output.tally.same = 1
            if verify.rules.keepsSames { output.sames = [path] }
        }
        output.through = place
        if let found, let place {
            output.records.a.items = verify.items(place.name, found.a, a, started)
            output.records.b.items = verify.items(place.name, found.b, b, started)
        }
        if let link { output.links = [link] }
        // Its bytes were told of as they were read.
        verify.progress.add(entries: 1, bytes: 0, differences: output.differences.count)
        return [.output(output)]
    }

    private func step(_ side: Side, _ worker: Worker) -> Bool {
        readings[side].helpOnce(worker)
    }
}

/// What comparing the digests of two files gave.
struct ContentFinding {
    private(set) var extents: [Extent] = []
    private(set) var witnesses: Sides<[Digest]> = Sides(a: [], b: [])
    private(set) var errors: [EntryError] = []
    private(set) var reason: Reason?
    /// Bytes for which the digests of both sides were compared.
    private(set) var comparedBytes = 0

    /// Both answers are for all blocks of files of one size.
    init(_ a: ContentAnswer, _ b: ContentAnswer, size: Int, scheme: DigestScheme) {
        if a.isWhole, b.isWhole, a.blocks == b.blocks {
            comparedBytes = size
            return
        }
        for (side, answer) in [(Side.a, a), (.b, b)] {
            switch answer.state {
            case .stable: break
            case .moved: reason = .changing
            case .noMedium: reason = reason ?? .noMedium
            case .stopped: reason = reason ?? .stopped
            }
            for bad in answer.unreadable {
                let extent = Extent(
                    blocks: bad.block..<bad.block + 1, size: size, blockSize: scheme.blockSize)
                add(EntryError(side, bad.error, extent: extent))
            }
        }
        guard reason == nil else { return }
        let unread = (a.unreadable + b.unreadable).map { $0.block..<$0.block + 1 }
        let comparison = BlockComparison(
            a.blocks, b.blocks, unread: unread, size: size, blockSize: scheme.blockSize)
        comparedBytes = comparison.comparedBytes
        extents = comparison.extents
        witnesses = comparison.witnesses(a.blocks, b.blocks, scheme.witness)
    }

    /// Errors of one kind in neighbouring blocks are one, and so are all of a side beyond a limit.
    private mutating func add(_ error: EntryError) {
        guard let last = errors.last, last.side == error.side, let place = last.extent,
            let new = error.extent
        else { return errors.append(error) }
        let isNext = place.end == new.offset && last.number == error.number
        guard isNext || errors.count >= Difference.extentLimit else {
            return errors.append(error)
        }
        errors[errors.count - 1].extent = Extent(
            offset: place.offset, length: new.end - place.offset)
    }

    /// The verdict with this added; nil when everything agrees.
    func merged(
        into judged: Difference?, _ stats: Sides<Stat>, path: () -> RelativePath
    ) -> Difference? {
        if judged == nil, extents.isEmpty, errors.isEmpty, reason == nil { return nil }
        var difference = judged ?? Difference(path: path(), outcome: .differs)
        difference.stats = stats.map { StatWitness($0) }
        if !extents.isEmpty {
            difference.aspects.insert(.content)
            difference.extents = extents
            difference.witnesses = witnesses
        }
        difference.errors += errors
        switch reason {
        case .changing?: difference.outcome = .unstable
        case .noMedium?, .stopped?: difference.outcome = .notVerified
        default: if !errors.isEmpty { difference.outcome = .unreadable }
        }
        difference.reason = reason ?? difference.reason
        return difference
    }
}

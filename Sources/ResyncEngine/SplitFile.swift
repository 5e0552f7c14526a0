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
    /// The records of both sides, unread, where they are made.
    private let records: Sides<ManifestEntry>?
    private let started: Timestamp
    /// Of an image: what an earlier attempt at the run has compared of it.
    private let earlier: ImagePart?

    init(
        _ readings: Sides<SharedReading>, stats: Sides<Stat>, judged: Difference?,
        place: EntryPlace?, link: LinkedEntry? = nil, width: Int,
        records: Sides<ManifestEntry>? = nil, earlier: ImagePart? = nil
    ) {
        self.records = records
        self.earlier = earlier
        started = records == nil ? .epoch : .now
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
        let blockSize = verify.rules.scheme.blockSize
        let records = verify.recorder.map { recorder in sites.map { recorder.imageEntry($0) } }
        let known = verify.rules.resumed?.image.flatMap { part in
            // A record is of all blocks, and those of an earlier attempt are gone.
            records == nil && part.isBeginning(of: stats, size: size, blockSize: blockSize)
                ? part : nil
        }
        let readings: Sides<SharedReading> = Sides(
            a: Self.reading(.a, images.a, known?.blocks ?? 0, size, verify),
            b: Self.reading(.b, images.b, known?.blocks ?? 0, size, verify))
        self.init(
            readings, stats: stats, judged: judged, place: nil,
            width: min(verify.splitWidth, max(1, readings.a.claims)), records: records,
            earlier: known)
    }

    private static func reading(
        _ side: Side, _ image: any Examination, _ first: Int, _ size: Int, _ verify: Verify
    ) -> SharedReading {
        SharedReading(
            image, 0, from: first, size: size, blockSize: verify.rules.scheme.blockSize,
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
        let finding = finding(a, b, upTo: size, verify.rules.scheme)
        output.tally.entries = 1
        output.tally.bytesRead = a.bytesRead + b.bytesRead + (earlier?.bytesRead ?? 0)
        output.tally.count(bytes: finding.comparedBytes, verify.rules.assurance)
        if let difference = finding.merged(into: judged, stats, path: { path }) {
            output.tally.count(difference)
            output.differences = [difference]
        } else {
            output.tally.same = 1
            if verify.rules.keepsSames { output.sames = [path] }
        }
        output.through = place
        if let records {
            output.records.a.items = [.entry(verify.record(of: records.a, a, started))]
            output.records.b.items = [.entry(verify.record(of: records.b, b, started))]
        }
        if let link { output.links = [link] }
        // Its bytes were told of as they were read.
        verify.progress.add(entries: 1, bytes: 0, differences: output.differences.count)
        return [.output(output)]
    }

    private var size: Int { min(stats.a.size, stats.b.size) }

    /// What was found up to some place, together with what was found before.
    private func finding(
        _ a: ContentAnswer, _ b: ContentAnswer, upTo end: Int, _ scheme: DigestScheme
    ) -> ContentFinding {
        var finding = ContentFinding(
            a, b, from: earlier?.blocks ?? 0, size: end, scheme: scheme)
        if let earlier { finding.prepend(earlier) }
        return finding
    }

    /// What was compared of an image when it was left.
    func part(_ scheme: DigestScheme) -> ImagePart {
        var answers = Sides(a: readings.a.beginning, b: readings.b.beginning)
        let count = min(answers.a.blocks.blockCount, answers.b.blocks.blockCount)
        let first = earlier?.blocks ?? 0
        for side in Side.allCases { answers[side].cut(to: count, from: first) }
        var part = ImagePart(
            size: size, blockSize: scheme.blockSize, stats: stats.map { StatWitness($0) },
            blocks: first + count)
        let end = min(size, part.blocks * scheme.blockSize)
        let finding = finding(answers.a, answers.b, upTo: end, scheme)
        part.comparedBytes = finding.comparedBytes
        part.bytesRead = bytesSoFar + (earlier?.bytesRead ?? 0)
        part.difference = finding.merged(into: nil, stats, path: { path })
        return part
    }

    private func step(_ side: Side, _ worker: Worker) -> Bool {
        readings[side].helpOnce(worker)
    }
}

extension ContentAnswer {
    /// Leaves so many blocks of those from one on.
    fileprivate mutating func cut(to count: Int, from first: Int) {
        var left = BlockList()
        blocks.forEachRun(in: 0..<count) { left.append($0, count: $1) }
        blocks = left
        unreadable.removeAll { $0.block >= first + count }
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

    /// Both answers are for all blocks, from one on, of files of one size.
    init(
        _ a: ContentAnswer, _ b: ContentAnswer, from first: Int = 0, size: Int,
        scheme: DigestScheme
    ) {
        // The last block may be cut.
        let start = min(size, first * scheme.blockSize)
        if a.isWhole, b.isWhole, a.blocks == b.blocks {
            comparedBytes = size - start
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
        let unread = (a.unreadable + b.unreadable).map { $0.block - first..<$0.block - first + 1 }
        let comparison = BlockComparison(
            a.blocks, b.blocks, unread: unread, size: size - start, blockSize: scheme.blockSize)
        comparedBytes = comparison.comparedBytes
        extents = comparison.extents.map { Extent(offset: start + $0.offset, length: $0.length) }
        witnesses = comparison.witnesses(a.blocks, b.blocks, scheme.witness)
    }

    /// What was found before it, under a key that is gone.
    mutating func prepend(_ earlier: ImagePart) {
        comparedBytes += earlier.comparedBytes
        guard let difference = earlier.difference else { return }
        extents = difference.extents.joined(with: extents)
        witnesses = Sides(a: [], b: [])
        let later = errors
        errors = difference.errors
        for error in later { add(error) }
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

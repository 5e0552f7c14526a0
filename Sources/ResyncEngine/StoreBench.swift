package import ResyncCore
package import ResyncStorage

/// What a verification of a store is expected to take: of it and a copy that lies on the same
/// storage, on this machine.
package struct BenchResult: Sendable {
    package struct Level: Sendable {
        package let assurance: String
        /// Nil where nothing can be said.
        package let estimate: Estimate?
        package let limit: BindingLimit?
        package var silence: Silence?
    }

    /// Why nothing is said of a level.
    package enum Silence: Sendable {
        /// The medium cannot be read past the page cache.
        case noMedium
        /// Nothing could be read in the time that there was.
        case noTime
    }

    package var levels: [Level] = []
    /// Entries and bytes of regular files; estimates where not all of it was counted.
    package var entries = 0
    package var files = 0
    package var bytes = 0
    package var isCounted = true
    /// What the sample read.
    package var filesRead = 0
    package var bytesRead = 0
    /// Entries that could not be looked at or read, at least.
    package var failures = 0
    package var ending = Ending.complete
    package var stalled: [StalledRead] = []
}

/// Reads a sample of a store, through the walk and the digesting that a verification uses, and
/// says what all of it would take. Writes nothing.
///
/// The store is described first, for as long as two fifths of the time allow. Then its small files
/// are read, all of them where that takes little, or batches that were drawn by chance; and of the
/// large ones ranges that were: through the page cache, and once more from the medium. What
/// reading takes longer than describing the same is what its content costs.
package final class StoreBench {
    private let site: any Site
    private let scheme: DigestScheme
    private let scope: WalkScope
    private let limits: RunLimits
    private let controls: RunControls
    private let duration: Double
    private let rate: Int?
    private let started = monotonicSeconds()
    private var workers: Int
    private var result = BenchResult()

    /// - Parameters:
    ///   - duration: seconds that all of it may take.
    ///   - rate: bytes a second that the store is read at, at most.
    package init(
        _ site: any Site, _ scheme: DigestScheme, _ scope: WalkScope, _ limits: RunLimits,
        _ controls: RunControls, duration: Double, rate: Int?
    ) {
        self.site = site
        self.scheme = scheme
        self.scope = scope
        self.limits = limits
        self.controls = controls
        self.duration = duration
        self.rate = rate
        workers = limits.work.first
    }

    /// - Parameter inodes: of the file system, where the store is all of it; 0 where it is not.
    package func callAsFunction(inodes: Int) throws -> BenchResult {
        let frame = SampleFrame(blockSize: scheme.blockSize)
        let survey = try survey(into: frame)
        guard survey.ending == .complete || survey.ending == .outOfTime else { return result }
        let seen = max(1, result.entries)
        if survey.ending == .outOfTime {
            result.isCounted = false
            frame.grow(by: Double(max(inodes, seen)) / Double(seen))
            result.entries = max(inodes, seen)
        }
        (result.files, result.bytes) = (frame.files, frame.bytes)
        let walking = walking(survey, Double(result.entries) / Double(seen), inodes)
        let walkLimit: BindingLimit = survey.isWaiting ? .device : .systemCalls
        add("metadata", walking, walkLimit)
        let kept = try keptReading(Double(result.entries), processors: limits.work.first)
        add("cached", walking + kept, walkLimit)
        let digest = try digestSeconds()
        let again = try describedAgain(survey)
        for source in [ReadSource.cache, .media] {
            // Each reads ranges that the other has not brought into any cache.
            let parts = frame.parts(source == .media ? 0 : 1)
            let name = source == .media ? "media" : "hash"
            let small = try readAll(source, frame, again) ?? read(parts.small, source)
            let large = try read(parts.large, source)
            guard result.ending == .complete else { return result }
            // The same entries fail each time.
            result.failures = max(result.failures, small.failures + large.failures)
            let isUnread =
                small.sample.isEmpty && frame.smallFiles > 0
                || large.sample.isEmpty && frame.largeBytes > 0
            let hasNoMedium = small.hasNoMedium || large.hasNoMedium
            guard !hasNoMedium, !isUnread || rate != nil else {
                result.levels.append(
                    BenchResult.Level(
                        assurance: name, estimate: nil, limit: nil,
                        silence: hasNoMedium ? .noMedium : .noTime))
                continue
            }
            add(name, small, large, frame, walking, walkLimit, digest)
        }
        return result
    }

    // MARK: Describing

    /// How one look at a part of the store went.
    private struct Look {
        var seconds = 0.0
        var entries = 0
        var bytes = 0
        var bytesRead = 0
        var processorShare = 0.0
        var waits = 0
        var failures = 0
        var hasNoMedium = false
        var ending = Ending.complete

        /// Whether the processors idled though there was work to do, since workers waited. What
        /// others take of the processors looks alike, but then nobody waits.
        var isWaiting: Bool {
            processorShare < 0.6 && Double(waits) > 100 * max(seconds, Self.telling)
        }

        /// Seconds below which a worker that was woken late once looks like a device.
        private static let telling = 0.2
    }

    private func survey(into frame: SampleFrame) throws -> Look {
        guard site.facts.kind == .directory else {
            frame.add(image: site.facts.size)
            result.entries = 1
            return Look(processorShare: 1)
        }
        let pass = Sample(source: nil, blockSize: scheme.blockSize, ranges: [:])
        let look = try look(pass, scope, from: [.root], seconds: duration * 0.4) {
            frame.add($0)
        }
        result.entries = look.entries
        result.failures += frame.failures
        return look
    }

    /// Seconds of describing one side.
    private func walking(_ survey: Look, _ factor: Double, _ inodes: Int) -> Estimate {
        let whole = survey.seconds * factor
        guard !result.isCounted else {
            return Estimate(whole, low: whole, high: whole).widened(by: 0.1)
        }
        // Nobody knows how much there is where the file system does not tell.
        return Estimate(
            whole, low: survey.seconds, high: inodes > 0 ? whole * 1.25 : .infinity)
    }

    // MARK: Reading

    private struct Reading {
        var sample = RateSample()
        var bytes = 0
        var waiting = 0.0
        var seconds = 0.0
        var failures = 0
        var hasNoMedium = false

        mutating func add(_ look: Look, amount: Int, described: Double) {
            bytes += look.bytesRead
            failures += look.failures
            seconds += look.seconds
            waiting += look.isWaiting ? look.seconds : 0
            hasNoMedium = hasNoMedium || look.hasNoMedium
            sample.add(amount: Double(amount), seconds: look.seconds - described)
        }
    }

    /// Seconds of describing all of it once more, which is then in the caches; nil where that took
    /// too long the first time.
    private func describedAgain(_ survey: Look) throws -> Double? {
        guard site.facts.kind == .directory, survey.seconds < duration * 0.15 else { return nil }
        let pass = Sample(source: nil, blockSize: scheme.blockSize, ranges: [:])
        let look = try look(pass, scope, from: [.root], seconds: left) { _ in }
        return look.ending == .complete ? look.seconds : nil
    }

    /// Reads all small files; nil where that takes too long.
    private func readAll(
        _ source: ReadSource, _ frame: SampleFrame, _ described: Double?
    ) throws -> Reading? {
        guard let described, frame.smallFiles > 0 else { return nil }
        let pass = Sample(source: source, blockSize: scheme.blockSize, ranges: [:])
        let look = try look(pass, scope, from: [.root], seconds: duration * 0.15) { _ in }
        guard look.ending == .complete else { return nil }
        var reading = Reading()
        reading.add(look, amount: frame.smallFiles, described: described)
        result.filesRead += frame.smallFiles
        result.bytesRead += look.bytesRead
        return reading
    }

    /// Reads one part after the other, in a larger stretch each time, until the share of the time
    /// that it may take is used up.
    private func read(_ parts: [SampleFrame.Part], _ source: ReadSource) throws -> Reading {
        var reading = Reading()
        var (at, stretch) = (0, 1)
        let until = monotonicSeconds() + min(duration * 0.1, left)
        while at < parts.count, monotonicSeconds() < until, result.ending == .complete {
            let some = Array(parts[at..<min(at + stretch, parts.count)])
            at += some.count
            let described = try self.described(some)
            let content = try look(some, source, seconds: until - monotonicSeconds())
            guard content.ending == .complete || content.ending == .outOfTime else { break }
            let isLarge = some.first?.blocks != nil
            result.filesRead += isLarge ? 0 : content.entries
            result.bytesRead += content.bytesRead
            reading.add(
                content, amount: isLarge ? content.bytes : content.entries,
                described: described * Double(content.entries))
            if content.seconds < 0.25 { stretch *= 2 }
        }
        return reading
    }

    private var left: Double { max(0, started + duration - monotonicSeconds()) }

    /// Seconds that describing these takes, each.
    private func described(_ parts: [SampleFrame.Part]) throws -> Double {
        guard site.facts.kind == .directory, parts.first?.blocks == nil else { return 0 }
        let look = try look(parts, nil, seconds: left)
        return look.entries > 0 ? look.seconds / Double(look.entries) : 0
    }

    private func look(
        _ parts: [SampleFrame.Part], _ source: ReadSource?, seconds: Double
    ) throws -> Look {
        var ranges: Sample.Ranges = [:]
        for part in parts {
            if let blocks = part.blocks { ranges[part.paths[0], default: []].append(blocks) }
        }
        for path in ranges.keys { ranges[path]?.sort { $0.lowerBound < $1.lowerBound } }
        let pass = Sample(source: source, blockSize: scheme.blockSize, ranges: ranges)
        guard site.facts.kind == .directory else {
            let image = try site.image(upTo: site.facts.size)
            let place = Pulse.Place(side: .a, directory: nil, names: nil)
            let units = (ranges[.root] ?? []).map {
                WalkUnit<Sample>.work(Sample.Work(image, place, $0))
            }
            return try look(pass, WalkScope(), from: units, seconds: seconds) { _ in }
        }
        var scope = scope
        scope.selection = Selection(parts.flatMap(\.paths))
        return try look(pass, scope, from: [.root], seconds: seconds) { _ in }
    }

    private func look(
        _ pass: Sample, _ scope: WalkScope, from first: [WalkUnit<Sample>], seconds: Double,
        take: @escaping (Sample.Output) -> Void
    ) throws -> Look {
        var limits = limits
        limits.maxDuration = max(0.05, min(seconds, left))
        let (stop, board) = (Stop(), PulseBoard())
        let walk = Walk(pass, WalkedSites(a: site, b: nil), scope)
        let taken = Taken(take)
        let (scheme, began, used) = (scheme, monotonicSeconds(), processorSeconds())
        let switches = voluntarySwitches()
        let drain = Drain<WalkUnit<Sample>, Sample.Output, Worker>(
            first: first,
            context: { index in
                try Worker(scheme: scheme, pulse: board.addPulse(), stop: stop, index: index)
            },
            run: { try walk.run($0, $1) },
            emit: { output, _ in taken.take(output) })
        var supervisor = Supervisor(limits, controls, stop, board, began)
        var most = workers
        let isDone = try drain.work(workers: workers) { status in
            most = max(most, status.workers)
            return supervisor.decide(status) { self.controls.report(.comparing, pass.progress) }
        }
        workers = most
        var look = Look(
            seconds: monotonicSeconds() - began, entries: pass.progress.entries,
            bytes: pass.progress.bytes, bytesRead: taken.bytesRead,
            waits: voluntarySwitches() - switches, failures: taken.failures,
            hasNoMedium: taken.hasNoMedium, ending: isDone ? .complete : supervisor.ending)
        look.processorShare =
            (processorSeconds() - used) / max(1e-6, look.seconds * Double(limits.work.cores))
        if case .outOfTime = look.ending { return look }
        result.ending = look.ending
        result.stalled += supervisor.stalled
        return look
    }

    /// Unchecked because a drain emits on one thread at a time, and is over before it is read.
    private final class Taken: @unchecked Sendable {
        private let body: (Sample.Output) -> Void
        private(set) var bytesRead = 0
        private(set) var failures = 0
        private(set) var hasNoMedium = false

        init(_ body: @escaping (Sample.Output) -> Void) { self.body = body }

        func take(_ output: Sample.Output) {
            bytesRead += output.bytesRead
            failures += output.failures
            hasNoMedium = hasNoMedium || output.hasNoMedium
            body(output)
        }
    }

    /// Seconds of digesting a byte from memory, on one core.
    private func digestSeconds() throws -> Double {
        let digester = try BlockDigester(scheme)
        let bytes = [UInt8](repeating: 1, count: Worker.pieceSize)
        let began = monotonicSeconds()
        var done = 0
        while monotonicSeconds() - began < 0.02 {
            _ = try digester.digest(bytes)
            done += bytes.count
        }
        return (monotonicSeconds() - began) / Double(done)
    }

    // MARK: Adding up

    private func add(_ assurance: String, _ side: Estimate, _ limit: BindingLimit) {
        result.levels.append(
            BenchResult.Level(assurance: assurance, estimate: side * 2, limit: limit))
    }

    /// A level that reads content: the walk, and what the content takes above it.
    private func add(
        _ assurance: String, _ small: Reading, _ large: Reading, _ frame: SampleFrame,
        _ walking: Estimate, _ walkLimit: BindingLimit, _ digest: Double
    ) {
        let parts = (
            small.sample.estimate(of: Double(frame.smallFiles)),
            large.sample.estimate(of: Double(frame.largeBytes))
        )
        let content = (parts.0 + parts.1).widened(by: 0.1)
        let (most, isLarge) = parts.0.seconds > parts.1.seconds ? (small, false) : (large, true)
        var limit = walkLimit
        if content.seconds > walking.seconds / 4 {
            let digesting = Double(most.bytes) * digest / Double(limits.work.cores)
            limit =
                most.waiting > most.seconds / 2
                ? .device
                : digesting > most.seconds / 2 ? .digest : isLarge ? .memory : .systemCalls
        }
        if let rate, Double(frame.bytes) / Double(rate) > content.seconds * 0.8 {
            // Each side is held to the rate for itself, and both at once.
            let seconds = Double(frame.bytes) / Double(rate)
            let reading = Estimate(seconds, low: seconds, high: seconds).widened(by: 0.1)
            result.levels.append(
                BenchResult.Level(
                    assurance: assurance, estimate: walking * 2 + reading, limit: .rateLimit))
            return
        }
        add(assurance, walking + content, limit)
    }
}

package import ResyncCore
package import ResyncStorage

package struct ScanResult: Sendable {
    package let bytesRead: Int
    /// Without `complete` the records make no manifest.
    package let ending: Ending
    package let stalled: [StalledRead]
}

/// Scans one store, and hands its records on in walk order, the same for any number of workers.
package struct ScanRun: Sendable {
    private let site: any Site
    private let rules: ScanRules
    private let scope: WalkScope
    private let progress: Progress

    package init(
        _ site: any Site, _ rules: ScanRules, _ scope: WalkScope = WalkScope(),
        progress: Progress = Progress()
    ) {
        self.site = site
        self.rules = rules
        self.scope = scope
        self.progress = progress
    }

    /// The header of this scan's manifest. `mounts` and `owners` are as the site was opened with.
    package func header(
        mounts: ManifestHeader.MountRule, owners: OwnerRule, host: [UInt8], tool: [UInt8]
    ) -> ManifestHeader {
        let facts = site.facts
        var header = ManifestHeader(
            blockSize: rules.scheme.blockSize,
            aspects: facts.kind == .directory ? rules.aspects : .image,
            exclusions: scope.filter.digest)
        header.digest = rules.scheme.algorithm
        header.hasWholeFile = rules.hasWholeFile
        header.mounts = mounts
        header.owners = owners
        header.kind =
            switch facts.kind {
            case .directory: .directory
            case .file: .file
            case .device: .device
            }
        header.source = rules.source
        header.host = host
        header.store = facts.path
        header.identity = StoreIdentity(
            fileSystem: facts.fileSystem.identity, inode: facts.stat.inode,
            device: facts.stat.device)
        header.tool = tool
        header.started = .now
        return header
    }

    /// Scans until all is done, a stop is requested, or something throws.
    ///
    /// - Parameters:
    ///   - pulse: the pulse of worker N, for whoever watches.
    ///   - record: called by one thread at a time.
    /// - Returns: the bytes read, and whether every entry was handed on; without that the records
    ///   make no manifest.
    package func work(
        workers: Int, stop: Stop, pulse: @escaping @Sendable (Int) -> Pulse = { _ in Pulse() },
        supervise: (DrainStatus) -> DrainAction,
        record: @escaping (ManifestRecord) throws -> Void
    ) throws -> (bytesRead: Int, isComplete: Bool) {
        var records = ScanRecords()
        let isDone = try drain(scope, workers, stop, nil, pulse, supervise) {
            try records.take($0, record)
        }
        return (records.bytesRead, isDone && records.isComplete)
    }

    private func drain(
        _ scope: WalkScope, _ workers: Int, _ stop: Stop, _ pace: Pace?,
        _ pulse: @escaping @Sendable (Int) -> Pulse, _ supervise: (DrainStatus) -> DrainAction,
        take: @escaping (ScanOutput) throws -> Void
    ) throws -> Bool {
        let scan = Scan(rules, progress: progress, splitWidth: max(workers, 8))
        let walk = Walk(scan, WalkedSites(a: site, b: nil), scope)
        let scheme = rules.scheme
        let collector = Collector(take)
        let drain = Drain<WalkUnit<Scan>, ScanOutput, Worker>(
            first: try scan.units(site), weight: { $0.weight },
            context: { index in
                try Worker(scheme: scheme, pulse: pulse(index), stop: stop, pace: pace)
            },
            run: { unit, worker in try walk.run(unit, worker) },
            // What came after a gap cannot be a manifest any more.
            emit: { output, inOrder in if inOrder { try collector.take(output) } })
        return try drain.work(workers: workers, supervise: supervise)
    }

    /// Scans under supervision: see `work`.
    package func callAsFunction(
        _ limits: RunLimits, _ controls: RunControls,
        record: @escaping (ManifestRecord) throws -> Void
    ) throws -> ScanResult {
        var records = ScanRecords()
        let watched = try watch(scope, limits, controls) { try records.take($0, record) }
        return ScanResult(
            bytesRead: records.bytesRead,
            ending: watched.isDone && records.isComplete ? .complete : watched.ending,
            stalled: watched.stalled)
    }

    private func watch(
        _ scope: WalkScope, _ limits: RunLimits, _ controls: RunControls,
        take: @escaping (ScanOutput) throws -> Void
    ) throws -> (isDone: Bool, ending: Ending, stalled: [StalledRead]) {
        let stop = Stop()
        let board = PulseBoard()
        var supervisor = Supervisor(limits, controls, stop, board, monotonicSeconds())
        let isDone = try drain(
            scope, limits.work.first, stop, controls.pace, { _ in board.addPulse() },
            { status in supervisor.decide(status) { controls.report(.comparing, progress) } },
            take: take)
        return (isDone, supervisor.ending, supervisor.stalled)
    }

    /// Scans into a run's folder, with checkpoints, or goes on from one. The manifest is whole
    /// where there is a trailer; without one the run can be resumed.
    ///
    /// - Parameter interval: seconds between two checkpoints.
    package func callAsFunction(
        _ limits: RunLimits, _ controls: RunControls, in run: RunFolder,
        _ header: ManifestHeader, resuming checkpoint: Checkpoint?, interval: Double = 30
    ) throws -> (result: ScanResult, trailer: ManifestTrailer?) {
        let sink = try ScanSink(run, header, checkpoint, interval: interval)
        var scope = scope
        scope.resumeAfter = sink.through
        scope.listed = checkpoint?.directories ?? []
        var watched: (isDone: Bool, ending: Ending, stalled: [StalledRead]) = (true, .complete, [])
        if !sink.isComplete {
            watched = try watch(scope, limits, controls) { try sink.take($0) }
        }
        let trailer = watched.isDone ? try sink.finish() : nil
        if trailer == nil { try sink.save() }
        let result = ScanResult(
            bytesRead: sink.bytesRead, ending: trailer == nil ? watched.ending : .complete,
            stalled: watched.stalled)
        return (result, trailer)
    }

    /// Unchecked because a drain calls `emit` from one thread at a time, and nobody else looks
    /// before it has ended.
    private final class Collector: @unchecked Sendable {
        let take: (ScanOutput) throws -> Void

        init(_ take: @escaping (ScanOutput) throws -> Void) { self.take = take }
    }
}

/// Takes a scan's outputs in order into the manifest in its run's folder, and saves checkpoints.
private final class ScanSink {
    private let run: RunFolder
    private let keeper: ManifestKeeper
    private let interval: Double
    private let earlier: Checkpoint?
    private let started = monotonicSeconds()
    private var savedAt = monotonicSeconds()

    init(
        _ run: RunFolder, _ header: ManifestHeader, _ checkpoint: Checkpoint?, interval: Double
    ) throws {
        self.run = run
        self.interval = interval
        earlier = checkpoint
        let name = RunFolder.manifest(.a)
        guard let part = checkpoint?.manifests.a else {
            keeper = try ManifestKeeper(header, in: run.folder, name)
            try save()
            return
        }
        keeper = try ManifestKeeper(resuming: part, in: run.folder, name)
        guard header.continues(keeper.header) else {
            throw RunError.begunOtherwise(run.id, ManifestHeader.discontinued)
        }
    }

    var isComplete: Bool { keeper.isComplete }
    var through: RelativePath? { keeper.through }
    var bytesRead: Int { (earlier?.tally.bytesRead ?? 0) + keeper.bytesRead }

    func take(_ output: ScanOutput) throws {
        // Between a directory's entry and its listing there is no record of it yet.
        if output.hasEntries, monotonicSeconds() - savedAt > interval { try save() }
        try keeper.take(output)
    }

    func finish() throws -> ManifestTrailer? { try keeper.finish() }

    /// Of one that this attempt did not come to yet stands what the one before knew.
    private var directories: [EnteredDirectory] {
        let known = earlier?.directories ?? []
        var directories: [EnteredDirectory] = []
        for (depth, directory) in keeper.directories.enumerated() {
            if let directory {
                directories.append(EnteredDirectory(depth: depth, listed: directory))
            } else if depth < known.count {
                directories.append(known[depth])
            } else {
                break
            }
        }
        return directories
    }

    func save() throws {
        var tally = Tally()
        tally.bytesRead = bytesRead
        try run.save(
            Checkpoint(
                through: through, directories: directories, tally: tally,
                manifests: Sides(a: try keeper.save(), b: nil), resultsEnd: 0,
                elapsed: (earlier?.elapsed ?? 0) + monotonicSeconds() - started, saved: .now))
        savedAt = monotonicSeconds()
    }
}

extension Filter {
    /// As a manifest's header has it: SHA-256 over its canonical bytes.
    package var digest: Digest {
        var hash = ManifestHashes.openSSL.make(.sha256)
        hash.update(canonicalBytes)
        return hash.finalize()
    }
}

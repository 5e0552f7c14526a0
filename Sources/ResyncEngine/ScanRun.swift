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
        let scan = Scan(rules, progress: progress, splitWidth: max(workers, 8))
        let walk = Walk(scan, WalkedSites(a: site, b: nil), scope)
        let scheme = rules.scheme
        let collector = Collector(record)
        let drain = Drain<WalkUnit<Scan>, ScanOutput, Worker>(
            first: try scan.units(site),
            context: { index in try Worker(scheme: scheme, pulse: pulse(index), stop: stop) },
            run: { unit, worker in try walk.run(unit, worker) },
            emit: { output, inOrder in try collector.take(output, inOrder) })
        let isDone = try drain.work(workers: workers, supervise: supervise)
        return (collector.records.bytesRead, isDone && collector.records.isComplete)
    }

    /// Scans under supervision: see `work`.
    package func callAsFunction(
        _ limits: RunLimits, _ controls: RunControls,
        record: @escaping (ManifestRecord) throws -> Void
    ) throws -> ScanResult {
        let stop = Stop()
        let board = PulseBoard()
        var supervisor = Supervisor(limits, controls, stop, board, monotonicSeconds())
        let (bytesRead, isComplete) = try work(
            workers: limits.work.first, stop: stop, pulse: { _ in board.addPulse() },
            supervise: { status in
                supervisor.decide(status) { controls.report(.comparing, progress) }
            },
            record: record)
        return ScanResult(
            bytesRead: bytesRead, ending: isComplete ? .complete : supervisor.ending,
            stalled: supervisor.stalled)
    }

    /// Unchecked because a drain calls `emit` from one thread at a time, and nobody else looks
    /// before it has ended.
    private final class Collector: @unchecked Sendable {
        var records = ScanRecords()
        private let record: (ManifestRecord) throws -> Void

        init(_ record: @escaping (ManifestRecord) throws -> Void) { self.record = record }

        func take(_ output: ScanOutput, _ inOrder: Bool) throws {
            // What came after a gap cannot be a manifest any more.
            if inOrder { try records.take(output, record) }
        }
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

package import ResyncCore
package import ResyncStorage

/// Looks at entries of a pair, reading no content, and holds them against the baseline.
package final class BaselineLook {
    /// Takes the entries in walk order: what is there now on each side, nil where that could not be
    /// looked at, and what was proven of it.
    package typealias Take = (RelativePath, Sides<Stat?>?, BaselineRecord?) throws -> Void

    private let sites: WalkedSites
    /// Of the pair, which side there is alone; nil where both are looked at.
    private let alone: Side?
    private let baseline: KeptBaseline?
    private let limits: RunLimits
    private let controls: RunControls
    private var scope = WalkScope()

    package init(
        _ sites: Sides<any Site>, _ baseline: KeptBaseline?, _ limits: RunLimits,
        _ controls: RunControls, batchSize: Int
    ) {
        self.sites = WalkedSites(a: sites.a, b: sites.b)
        alone = nil
        self.baseline = baseline
        self.limits = limits
        self.controls = controls
        scope.batchSize = batchSize
    }

    /// At one store of the pair, which is this side of it.
    package init(
        _ site: any Site, alone side: Side, _ baseline: KeptBaseline, _ limits: RunLimits,
        _ controls: RunControls, batchSize: Int
    ) {
        sites = WalkedSites(a: site, b: nil)
        alone = side
        self.baseline = baseline
        self.limits = limits
        self.controls = controls
        scope.batchSize = batchSize
    }

    /// - Returns: false where it was ended before it was over.
    package func callAsFunction(within paths: [RelativePath], _ take: @escaping Take) throws -> Bool
    {
        var scope = scope
        scope.within = Selection(paths)
        let stop = Stop()
        let board = PulseBoard()
        // Nothing is digested.
        let scheme = try DigestScheme(.sha256, blockSize: 1 << 20)
        let progress = Progress()
        let pace = controls.pace
        let walk = Walk(Look(), sites, scope)
        let devices = Sides(
            a: sites.a.facts.stat.device, b: (sites.b ?? sites.a).facts.stat.device)
        let held = Held(
            try baseline?.records(), alone == .b ? devices.swapped : devices,
            isSwapped: alone == .b, take)
        let drain = Drain<WalkUnit<Look>, Look.Output, Worker>(
            first: [.root],
            context: { index in
                try Worker(
                    scheme: scheme, pulse: board.addPulse(), stop: stop, index: index, pace: pace)
            },
            run: { try walk.run($0, $1) },
            emit: { output, _ in try held.take(output) })
        var supervisor = Supervisor(limits, controls, stop, board, monotonicSeconds())
        return try drain.work(workers: limits.work.first) { status in
            supervisor.decide(status) { self.controls.report(.comparing, progress) }
        }
    }

    /// What is proven of a module.
    ///
    /// - Parameters:
    ///   - spans: in which each side may have lost writes.
    ///   - mismatches: what was found to differ.
    ///   - lost: more may have been found than that.
    /// - Returns: nil where it was ended before it was over.
    package func proof(
        of module: Module, _ spans: Sides<[SuspectSpan]>,
        _ mismatches: [RelativePath: Mismatch] = [:], lost: LostFindings = LostFindings()
    ) throws -> ModuleProof? {
        var proof =
            alone.map { ModuleProof(module, alone: $0) }
            ?? ModuleProof(module, spans, mismatches: mismatches, lost: lost)
        let isDone = try self(within: module.paths) { path, stats, record in
            if let stats { proof.add(path, stats, record) } else { proof.addUnreadable(path) }
        }
        return isDone ? proof : nil
    }

    /// Unchecked because a drain emits on one thread at a time, and is over before it is read.
    private final class Held: @unchecked Sendable {
        private var records: BaselineRecords?
        /// Of the stores' roots.
        private let devices: Sides<DeviceNumber>
        private let isSwapped: Bool
        private let take: Take

        init(
            _ records: BaselineRecords?, _ devices: Sides<DeviceNumber>, isSwapped: Bool,
            _ take: @escaping Take
        ) {
            self.records = records
            self.devices = devices
            self.isSwapped = isSwapped
            self.take = take
        }

        func take(_ output: Look.Output) throws {
            let (path, found) = output
            guard let stats = isSwapped ? found?.swapped : found else {
                return try take(path, nil, nil)
            }
            let record = try records?.record(of: path)
            try take(path, stats, record.flatMap { speaks($0, of: stats) ? $0 : nil })
        }

        /// What is proven is found by the devices of the stores. On a file system that is mounted
        /// inside of one, its own device alone tells it from a copy, down to inodes and times.
        private func speaks(_ record: BaselineRecord, of stats: Sides<Stat?>) -> Bool {
            Side.allCases.allSatisfy { side in
                guard let device = stats[side]?.device, device != devices[side] else { return true }
                return device == record.witnesses[side].device
            }
        }
    }

    private struct Look: Pass {
        typealias Output = (path: RelativePath, stats: Sides<Stat?>?)
        typealias Work = Never

        func run(_ work: Never, _ worker: Worker) throws -> Pieces {}

        func enter(
            _ opened: Sides<OpenedDirectory>, presence: Presence, path: () -> RelativePath
        ) -> [Output] {
            let path = path()
            let hasFailed = opened.a.failure != nil || opened.b.failure != nil
            return [(path, hasFailed ? nil : opened.map { $0.entry?.stat })]
        }

        func leave(
            _ directory: PairedDirectory, completeness: Sides<Completeness>, excluded: Int
        ) -> [Output] {
            let isWhole = Side.allCases.allSatisfy { side in
                directory.sides[side] == nil || completeness[side] == .complete
            }
            return isWhole ? [] : [(directory.path, nil)]
        }

        func unreached(
            _ paths: ArraySlice<RelativePath>, because opened: Sides<OpenedDirectory>
        ) -> [Output] { [] }

        func visit(
            _ names: PairedNames, in directory: PairedDirectory, _ worker: Worker
        ) throws -> Pieces {
            var examined: Sides<(any Examination)?> = Sides(a: nil, b: nil)
            for side in Side.allCases {
                guard let held = directory.sides[side] else { continue }
                worker.pulse.enter(Pulse.Place(side: side, directory: held, names: names.names))
                let wishes = (0..<names.count).map { index -> Wish in
                    names.presence[index].contains(side) ? .describe : .absent
                }
                examined[side] = held.examine(names.names, wishes, worker)
            }
            defer {
                examined.a?.close()
                examined.b?.close()
            }
            return (0..<names.count).map { index in
                let path = directory.path.appending(names.names.name(index))
                let found = examined.map { $0?[index] ?? Examined() }
                guard found.a.failure == nil, found.b.failure == nil else {
                    return .output((path, nil))
                }
                return .output((path, found.map { $0.entry?.stat }))
            }
        }
    }
}

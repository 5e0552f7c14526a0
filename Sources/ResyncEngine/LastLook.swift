package import ResyncCore
package import ResyncStorage

/// Looks at a module's entries once more, reading no content, and holds them against the baseline.
package final class LastLook {
    private let sites: Sides<any Site>
    private let baseline: KeptBaseline?
    private let limits: RunLimits
    private let controls: RunControls
    private var scope = WalkScope()

    package init(
        _ sites: Sides<any Site>, _ baseline: KeptBaseline?, _ limits: RunLimits,
        _ controls: RunControls, batchSize: Int
    ) {
        self.sites = sites
        self.baseline = baseline
        self.limits = limits
        self.controls = controls
        scope.batchSize = batchSize
    }

    /// - Parameter spans: in which each side may have lost writes.
    /// - Returns: nil where it was ended before it was over.
    package func callAsFunction(
        _ module: Module, _ spans: Sides<[SuspectSpan]>
    ) throws -> ModuleProof? {
        var scope = scope
        scope.within = Selection(module.paths)
        let stop = Stop()
        let board = PulseBoard()
        // Nothing is digested.
        let scheme = try DigestScheme(.sha256, blockSize: 1 << 20)
        let progress = Progress()
        let walk = Walk(Look(), WalkedSites(a: sites.a, b: sites.b), scope)
        let proof = Proving(ModuleProof(module, spans), try baseline?.records())
        let drain = Drain<WalkUnit<Look>, Look.Output, Worker>(
            first: [.root],
            context: { index in
                try Worker(scheme: scheme, pulse: board.addPulse(), stop: stop, index: index)
            },
            run: { try walk.run($0, $1) },
            emit: { output, _ in try proof.take(output) })
        var supervisor = Supervisor(limits, controls, stop, board, monotonicSeconds())
        let isDone = try drain.work(workers: limits.work.first) { status in
            supervisor.decide(status) { self.controls.report(.comparing, progress) }
        }
        return isDone ? proof.found : nil
    }

    /// Unchecked because a drain emits on one thread at a time, and is over before it is read.
    private final class Proving: @unchecked Sendable {
        private(set) var found: ModuleProof

        private var records: BaselineRecords?

        init(_ proof: ModuleProof, _ records: BaselineRecords?) {
            found = proof
            self.records = records
        }

        func take(_ output: Look.Output) throws {
            switch output {
            case .entry(let path, let stats):
                found.add(path, stats, try records?.record(of: path))
            case .failed(let path): found.addUnreadable(path)
            }
        }
    }

    private struct Look: Pass {
        enum Output: Sendable {
            case entry(RelativePath, Sides<Stat?>)
            case failed(RelativePath)
        }

        typealias Work = Never

        func run(_ work: Never, _ worker: Worker) throws -> Pieces {}

        func enter(
            _ opened: Sides<OpenedDirectory>, presence: Presence, path: () -> RelativePath
        ) -> [Output] {
            let path = path()
            let hasFailed = opened.a.failure != nil || opened.b.failure != nil
            if hasFailed { return [.failed(path)] }
            return [.entry(path, opened.map { $0.entry?.stat })]
        }

        func leave(
            _ directory: PairedDirectory, completeness: Sides<Completeness>, excluded: Int
        ) -> [Output] {
            let isWhole = Side.allCases.allSatisfy { side in
                directory.sides[side] == nil || completeness[side] == .complete
            }
            return isWhole ? [] : [.failed(directory.path)]
        }

        func unreached(_ paths: ArraySlice<RelativePath>, isBlocked: Bool) -> [Output] { [] }

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
                    return .output(.failed(path))
                }
                return .output(.entry(path, found.map { $0.entry?.stat }))
            }
        }
    }
}

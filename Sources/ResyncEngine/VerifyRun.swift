package import ResyncCore
package import ResyncStorage

/// Everything a comparison of two live stores needs to know.
package struct VerifyPlan: Sendable {
    package var sites: WalkedSites
    package var rules: VerifyRules
    package var scope = WalkScope()
    package var limits: RunLimits
    /// How many more times differences are looked at.
    package var confirmPasses = 1
    /// Seconds that a difference must have been left alone.
    package var settle = 2.0
    /// What each side keeps, and where; nil to keep nothing.
    package var keeping: Keeping?
    /// Between two checkpoints.
    package var checkpointInterval = 30.0

    package init(sites: WalkedSites, rules: VerifyRules, limits: RunLimits) {
        self.sites = sites
        self.rules = rules
        self.limits = limits
    }
}

/// The manifests that a run keeps of both sides, and what they prove.
package struct Keeping: Sendable {
    let headers: Sides<ManifestHeader>
    let store: KeptManifests
    let baselines: Baselines?

    package init(
        _ headers: Sides<ManifestHeader>, _ store: KeptManifests, _ baselines: Baselines? = nil
    ) {
        self.headers = headers
        self.store = store
        self.baselines = baselines
    }
}

/// What a run lets others see and do while it works.
package struct RunControls: Sendable {
    /// The signal that asked for an end, if any.
    package var interruption: @Sendable () -> Int32?
    /// Called a few times a second on the calling thread.
    package var report: @Sendable (RunPhase, Progress) -> Void

    package init(
        interruption: @escaping @Sendable () -> Int32?,
        report: @escaping @Sendable (RunPhase, Progress) -> Void
    ) {
        self.interruption = interruption
        self.report = report
    }
}

package enum RunPhase: Sendable, Hashable {
    case comparing
    /// Waiting until differences have been left alone long enough.
    case settling
    /// Looking again at so many differences.
    case confirming(Int)
}

package struct VerifyResult: Sendable {
    package var summary: Summary
    /// Where a read was not answered.
    package var stalled: [StalledRead] = []
}

/// A read that was not answered in time.
package struct StalledRead: Sendable, Hashable {
    package let side: Side
    package let path: RelativePath
}

/// Compares two stores from beginning to end, and keeps in its run folder what it finds.
package final class VerifyRun {
    private let plan: VerifyPlan
    private let controls: RunControls
    private let run: RunFolder
    private let progress = Progress()
    private let started = monotonicSeconds()
    private let earlierElapsed: Double
    private let sink: VerifySink
    private let isFirstPassDone: Bool
    /// Whether an entry's record was written by an earlier attempt, whose keyed digests mean
    /// nothing now: its key is gone.
    private let isForeign: @Sendable (RelativePath) -> Bool

    /// - Parameter checkpoint: where an earlier attempt at the same run came to.
    package init(
        _ plan: VerifyPlan, _ controls: RunControls, in run: RunFolder,
        resuming checkpoint: Checkpoint? = nil
    ) throws {
        var plan = plan
        plan.scope.resumeAfter = checkpoint?.through
        self.plan = plan
        self.controls = controls
        self.run = run
        earlierElapsed = checkpoint?.elapsed ?? 0
        isFirstPassDone = checkpoint?.isFirstPassDone ?? false
        if let checkpoint, !plan.rules.scheme.algorithm.canBeKept {
            let isDone = checkpoint.isFirstPassDone
            let through = checkpoint.through
            isForeign = { path in isDone || through.map { path <= $0 } ?? false }
        } else {
            isForeign = { _ in false }
        }
        if checkpoint != nil { try run.dropLaterPasses() }
        let comparesLinks = plan.rules.comparison.aspects.contains(.links)
        let links = try checkpoint.map { try run.readLinks(upTo: $0.resultsEnd) } ?? []
        sink = VerifySink(
            run,
            try checkpoint.map { try run.resumeFirst(at: $0.resultsEnd) } ?? run.createFirst(),
            checkpoint, interval: plan.checkpointInterval, elapsed: earlierElapsed,
            links: comparesLinks ? links : nil)
        // The records before a checkpoint are gone: a resumed run keeps no manifests.
        if let keeping = plan.keeping, checkpoint == nil { try sink.keep(keeping.headers) }
    }

    package func callAsFunction() throws -> VerifyResult {
        let verify = Verify(plan.rules, progress: progress, splitWidth: plan.limits.work.limit / 4)
        var result = try comparePass(verify)
        if result.summary.ending != .stalled {
            try confirm(verify, &result)
        }
        try settleOpenDifferences(&result)
        result.summary.elapsed = earlierElapsed + monotonicSeconds() - started
        try run.save(result.summary)
        return result
    }

    // MARK: First pass

    private func comparePass(_ verify: Verify) throws -> VerifyResult {
        if isFirstPassDone {
            let tally = try sink.finish(isComplete: true)
            return VerifyResult(summary: Summary(tally: tally, ending: .complete))
        }
        let stop = Stop()
        let board = PulseBoard()
        let walk = Walk(verify, plan.sites, plan.scope)
        let scheme = plan.rules.scheme
        let sink = sink
        let first = try firstUnits(verify)
        let drain = Drain<WalkUnit<Verify>, VerifyOutput, Worker>(
            first: first,
            context: { index in
                try Worker(scheme: scheme, pulse: board.addPulse(), stop: stop, index: index)
            },
            run: { try walk.run($0, $1) },
            emit: { try sink.take($0, inOrder: $1) })
        var supervisor = Supervisor(plan.limits, controls, stop, board, started)
        let isDone = try drain.work(workers: plan.limits.work.first) { status in
            supervisor.decide(status) { self.controls.report(.comparing, self.progress) }
        }
        let ending = isDone ? .complete : supervisor.ending
        let left = isDone ? 0 : max(1, drain.remaining.reduce(0) { $0 + $1.knownEntries })
        let tally = try sink.finish(isComplete: isDone)
        if isDone, let keeping = plan.keeping, try sink.finishKeeping() {
            if let baselines = keeping.baselines {
                try baselines.prove(
                    try Side.both { try run.folder.read(RunFolder.manifest($0)) },
                    modifyWindow: plan.rules.comparison.modifyWindow)
            }
            try keeping.store.keep(from: run, keeping.headers)
        }
        return VerifyResult(
            summary: Summary(tally: tally, ending: ending, leftUnread: left),
            stalled: supervisor.stalled)
    }

    /// The roots, or two images or devices as one pair of files for all workers.
    private func firstUnits(_ verify: Verify) throws -> [WalkUnit<Verify>] {
        guard plan.sites.a.facts.kind != .directory else { return [.root] }
        guard let siteB = plan.sites.b else { preconditionFailure("a comparison has two sides") }
        let sites = Sides<any Site>(a: plan.sites.a, b: siteB)
        // Of images of different size, what both have is compared.
        let size = min(sites.a.facts.size, sites.b.facts.size)
        let file = try SplitFile(
            images: try sites.map { try $0.image(upTo: size) }, sites: sites, verify: verify)
        return Array(repeating: .work(file), count: file.width)
    }

    // MARK: Confirming

    private func confirm(_ verify: Verify, _ result: inout VerifyResult) throws {
        for _ in 0..<plan.confirmPasses {
            guard sink.openCount > 0, result.summary.ending == .complete else { return }
            guard waitToSettle() else {
                result.summary.ending = .interrupted(controls.interruption() ?? 2)
                return
            }
            try confirmPass(verify, &result)
        }
    }

    /// False when a signal came first.
    private func waitToSettle() -> Bool {
        let end = monotonicSeconds() + plan.settle
        while monotonicSeconds() < end {
            if controls.interruption() != nil { return false }
            controls.report(.settling, progress)
            pause(milliseconds: 20)
        }
        return true
    }

    private static let chunkSize = 4096

    private func confirmPass(_ verify: Verify, _ result: inout VerifyResult) throws {
        var reader = try run.results()
        var writer = try run.createNext()
        var tally = result.summary.tally.withoutDifferences
        var open = 0
        var isAtEnd = false
        while !isAtEnd {
            var chunk: [ResultRecord] = []
            while chunk.count < Self.chunkSize {
                guard let record = try reader.next() else {
                    isAtEnd = true
                    break
                }
                chunk.append(record)
            }
            let looked = try look(at: chunk, verify, &result)
            for record in chunk {
                let settled = looked.settle(record, &tally)
                if case .difference(let difference)? = settled {
                    tally.count(difference)
                    if difference.canBeConfirmed, !difference.isConfirmed { open += 1 }
                }
                if let settled { try writer.write(settled) }
            }
        }
        try writer.finish()
        sink.openCount = open
        result.summary.tally = tally
        try run.promoteNext()
    }

    /// A second look at the differences among some records.
    private func look(
        at records: [ResultRecord], _ verify: Verify, _ result: inout VerifyResult
    ) throws -> SecondLook {
        let open: [Difference] = records.compactMap { record in
            guard case .difference(let difference) = record, difference.canBeConfirmed,
                !difference.isConfirmed
            else { return nil }
            return difference
        }
        let second = SecondLook(keepsSames: plan.rules.keepsSames)
        guard !open.isEmpty, result.summary.ending == .complete else { return second }
        let pass = Confirm(verify, open, isForeign: isForeign)
        let stop = Stop()
        let board = PulseBoard()
        var scope = plan.scope
        scope.resumeAfter = nil
        scope.selection = Selection(open.map { $0.path })
        let walk = Walk(pass, plan.sites, scope)
        let scheme = plan.rules.scheme
        let first: [WalkUnit<Confirm>] =
            plan.sites.a.facts.kind == .directory
            ? [.root] : [.work(try imageLook(open[0]))]
        let drain = Drain<WalkUnit<Confirm>, Confirm.Output, Worker>(
            first: first,
            context: { index in
                try Worker(scheme: scheme, pulse: board.addPulse(), stop: stop, index: index)
            },
            run: { try walk.run($0, $1) },
            emit: { output, _ in second.take(output) })
        var supervisor = Supervisor(plan.limits, controls, stop, board, started)
        let isDone = try drain.work(workers: plan.limits.work.first) { status in
            supervisor.decide(status) {
                self.controls.report(.confirming(open.count), self.progress)
            }
        }
        if !isDone {
            result.summary.ending = supervisor.ending
            result.stalled += supervisor.stalled
        }
        return second
    }

    private func imageLook(_ difference: Difference) throws -> Confirm.Work {
        guard let siteB = plan.sites.b else { preconditionFailure("a comparison has two sides") }
        return Confirm.Work(
            open: Sides(
                a: OpenContent(try plan.sites.a.image(upTo: .max), 0),
                b: OpenContent(try siteB.image(upTo: .max), 0)),
            earlier: difference)
    }

    /// What nobody confirmed is not claimed to differ: it is unstable.
    private func settleOpenDifferences(_ result: inout VerifyResult) throws {
        guard sink.openCount > 0 else { return }
        var reader = try run.results()
        var writer = try run.createNext()
        var tally = result.summary.tally.withoutDifferences
        while let record = try reader.next() {
            var settled = record
            if case .difference(var difference) = record {
                if difference.canBeConfirmed, !difference.isConfirmed {
                    difference.outcome = .unstable
                }
                tally.count(difference)
                settled = .difference(difference)
            }
            try writer.write(settled)
        }
        try writer.finish()
        try run.promoteNext()
        result.summary.tally = tally
    }
}

extension WalkUnit {
    /// How many entries are known to be in it; one at least where that is not known.
    fileprivate var knownEntries: Int {
        if case .names(let names, _) = self { return names.count }
        return 1
    }
}

/// What a confirm pass found for some records, by path.
private final class SecondLook: @unchecked Sendable {
    // Unchecked because a drain emits on one thread at a time, and is over before it is read.
    private var outputs: [RelativePath: Confirm.Output] = [:]
    private let keepsSames: Bool

    init(keepsSames: Bool) { self.keepsSames = keepsSames }

    func take(_ output: Confirm.Output) { outputs[output.path] = output }

    /// What a record is now; nil when both sides agree and nobody asked for what agrees.
    func settle(_ record: ResultRecord, _ tally: inout Tally) -> ResultRecord? {
        guard case .difference(let difference) = record, difference.canBeConfirmed,
            !difference.isConfirmed, let output = outputs.removeValue(forKey: difference.path)
        else { return record }
        tally.bytesRead += output.bytesRead
        if let remaining = output.difference { return .difference(remaining) }
        tally.same += 1
        tally.count(bytes: output.bytesAgreed, .hash)
        return keepsSames ? .same(difference.path) : nil
    }
}

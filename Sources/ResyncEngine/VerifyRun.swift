package import ResyncCore
package import ResyncStorage

/// Everything a comparison of two live stores needs to know.
package struct VerifyPlan: Sendable {
    package var sites: WalkedSites
    /// What is looked at once more where these differ, if they are snapshots: the stores
    /// themselves, since two snapshots are never of one moment.
    package var stores: WalkedSites?
    package var rules: VerifyRules
    package var scope = WalkScope()
    package var limits: RunLimits
    /// How many more times differences are looked at.
    package var confirmPasses = 1
    /// Seconds that a difference must have been left alone.
    package var settle = 2.0
    /// As in `Summary`.
    package var provenBefore = 0
    /// As in `Summary`.
    package var isFirstLook = false
    /// What may differ.
    package var allowances = Allowances()
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
    let store: KeptManifests?
    let baselines: Baselines?
    /// What may keep what was proven before.
    package var policies: PolicyGuard?

    /// - Parameter store: nil where only a part is looked at: that takes no whole one's place.
    package init(
        _ headers: Sides<ManifestHeader>, _ store: KeptManifests?, _ baselines: Baselines? = nil
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
    /// Held to between calls that change a store; the throttles of its sites know it as well.
    package var pace: Pace
    /// Asked once all was read: what speaks by now against what was found, as in `Summary`.
    package var doubts: @Sendable () -> Sides<[String]> = { Sides(a: [], b: []) }
    /// Whether there is no more time, whatever the limit says.
    package var isOver: @Sendable () -> Bool = { false }
    /// Told of each change that was read back, with all that was so far.
    package var confirmed: @Sendable (ConfirmResult) -> Void = { _ in }

    package init(
        interruption: @escaping @Sendable () -> Int32?,
        report: @escaping @Sendable (RunPhase, Progress) -> Void, pace: Pace = Pace()
    ) {
        self.interruption = interruption
        self.report = report
        self.pace = pace
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
    /// Of modules that broke their policy, by name.
    package var policies: [String: PolicyFindings] = [:]
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
    private var isTree: Bool { plan.sites.a.facts.kind == .directory }
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
        plan.scope.listed = checkpoint?.directories ?? []
        plan.rules.resumed = checkpoint
        plan.rules.within = plan.scope.within
        self.plan = plan
        self.controls = controls
        self.run = run
        earlierElapsed = checkpoint?.elapsed ?? 0
        isFirstPassDone = checkpoint?.isFirstPassDone ?? false
        if let checkpoint, !plan.rules.scheme.algorithm.canBeKept {
            let isAll = checkpoint.isFirstPassDone || checkpoint.image?.difference != nil
            let through = checkpoint.through
            isForeign = { path in isAll || through.map { path <= $0 } ?? false }
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
        if let keeping = plan.keeping {
            // The record of an image is of one reading, and begins with it.
            let beginsAnew = !isTree && !isFirstPassDone
            try sink.keep(keeping.headers, from: beginsAnew ? nil : checkpoint)
        }
    }

    package func callAsFunction() throws -> VerifyResult {
        let verify = Verify(plan.rules, progress: progress, splitWidth: plan.limits.work.limit / 4)
        var result = try comparePass(verify)
        let looks = SecondLooks(
            run: run, controls: controls, progress: progress, passes: plan.confirmPasses,
            settle: plan.settle, keepsSames: plan.rules.keepsSames,
            deadline: plan.limits.maxDuration.map { started + $0 }, allowances: plan.allowances)
        try looks(sink.openCount, &result) { try look(at: $0, verify, into: $1, &$2) }
        result.summary.elapsed = earlierElapsed + monotonicSeconds() - started
        if isTree {
            result.summary.leftOut = plan.rules.comparison.aspects.leftOut
        }
        result.summary.provenBefore = plan.provenBefore
        result.summary.isFirstLook = plan.isFirstLook
        result.policies = plan.keeping?.policies?.findings ?? [:]
        result.summary.doubts = controls.doubts()
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
        let (scheme, pace) = (plan.rules.scheme, controls.pace)
        let sink = sink
        let first = try firstUnits(verify)
        let drain = Drain<WalkUnit<Verify>, VerifyOutput, Worker>(
            first: first, weight: { $0.weight },
            context: { index in
                try Worker(
                    scheme: scheme, pulse: board.addPulse(), stop: stop, index: index, pace: pace)
            },
            run: { try walk.run($0, $1) },
            emit: { try sink.take($0, inOrder: $1) })
        var supervisor = Supervisor(plan.limits, controls, stop, board, started)
        let isDone = try drain.work(workers: plan.limits.work.first) { status in
            supervisor.decide(status) { self.controls.report(.comparing, self.progress) }
        }
        let ending = isDone ? .complete : supervisor.ending
        let remaining = isDone ? [] : drain.remaining
        let left = LeftUnits(remaining)
        for case .leave(let turn) in remaining
        where turn.directory.completeness != Sides(a: .complete, b: .complete) {
            // What is known of it by now is said; where the run goes on, it is said there.
            for output in walk.outputs(leaving: turn) { try sink.take(output, inOrder: false) }
        }
        // Before the checkpoint that says that only second looks are left.
        if isDone, let keeping = plan.keeping {
            try sink.finishKeeping(in: keeping.store) { try prove(keeping) }
        }
        let part = isTree ? nil : left.file?.part(scheme)
        if let part { try sink.leave(part) }
        var tally = try sink.finish(isComplete: isDone)
        tally.bytesRead += part?.bytesRead ?? left.bytesRead
        // What was read so far need not be read again by a run that does not go on with this one.
        if !isDone, isTree, let keeping = plan.keeping, let kept = sink.kept {
            try prove(keeping, kept)
        }
        return VerifyResult(
            summary: Summary(
                tally: tally, ending: ending, leftUnread: isDone ? 0 : max(1, left.entries)),
            stalled: supervisor.stalled)
    }

    /// - Parameter parts: where they are not whole.
    private func prove(_ keeping: Keeping, _ parts: Sides<ManifestPart>? = nil) throws {
        // All of the baseline is written anew. What was read while an episode was open proves
        // nothing, even once that is over.
        guard !isTree || sink.hasEntries,
            controls.doubts().map(\.isEmpty) == Sides(a: true, b: true)
        else {
            return
        }
        _ = try keeping.baselines?.prove(
            try Side.both { try run.folder.read(RunFolder.manifest($0)) }, parts: parts,
            modifyWindow: plan.rules.comparison.modifyWindow, isWhole: plan.scope.within == nil,
            filter: plan.scope.filter, policies: keeping.policies)
    }

    /// The roots, or two images or devices as one pair of files for all workers.
    private func firstUnits(_ verify: Verify) throws -> [WalkUnit<Verify>] {
        guard !isTree else { return [.root] }
        guard let siteB = plan.sites.b else { preconditionFailure("a comparison has two sides") }
        let sites = Sides<any Site>(a: plan.sites.a, b: siteB)
        // Of images of different size, what both have is compared.
        let size = min(sites.a.facts.size, sites.b.facts.size)
        let file = try SplitFile(
            images: try sites.map { try $0.image(upTo: size) }, sites: sites, verify: verify)
        return Array(repeating: .work(file), count: file.width)
    }

    // MARK: Confirming

    private func look(
        at open: [Difference], _ verify: Verify, into table: SecondLook,
        _ result: inout VerifyResult
    ) throws {
        let pass = Confirm(verify, open, isForeign: isForeign)
        var scope = plan.scope
        scope.resumeAfter = nil
        scope.listed = []
        scope.selection = Selection(open.map { $0.path })
        let first: [WalkUnit<Confirm>] =
            isTree
            ? [.root] : [.work(try imageLook(open[0]))]
        try Walk(pass, plan.stores ?? plan.sites, scope).look(
            from: first, count: open.count, into: table, plan.rules.scheme, plan.limits,
            controls, progress, started, &result)
    }

    private func imageLook(_ difference: Difference) throws -> Confirm.Work {
        guard let siteB = plan.sites.b else { preconditionFailure("a comparison has two sides") }
        return Confirm.Work(
            open: Sides(
                a: OpenContent(try plan.sites.a.image(upTo: .max), 0),
                b: OpenContent(try siteB.image(upTo: .max), 0)),
            earlier: difference)
    }
}

/// What a pass that was ended leaves.
private struct LeftUnits {
    /// That are known to be in it; one at least of each unit of which that is not known.
    private(set) var entries = 0
    /// Of files that were read in part.
    private(set) var bytesRead = 0
    /// One of these; an image is the only one.
    private(set) var file: SplitFile?

    init(_ units: [WalkUnit<Verify>]) {
        // A large file is several units.
        var files: Set<ObjectIdentifier> = []
        for unit in units {
            switch unit {
            case .names(let names, _): entries += names.count
            case .work(let file):
                guard files.insert(ObjectIdentifier(file)).inserted else { continue }
                entries += 1
                bytesRead += file.bytesSoFar
                self.file = file
            case .root, .directory, .more: entries += 1
            case .leave: break
            }
        }
    }
}

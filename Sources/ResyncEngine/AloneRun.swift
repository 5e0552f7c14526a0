package import ResyncCore
package import ResyncStorage

/// Everything a comparison of one store with a baseline needs to know.
package struct AlonePlan: Sendable {
    package var site: any Site
    /// Of the baseline's pair, which one it is.
    package var side: Side
    package var baseline: KeptBaseline
    package var rules: ScanRules
    package var scope: WalkScope
    package var limits: RunLimits
    package var confirmPasses = 1
    /// Seconds that a difference must have been left alone.
    package var settle = 2.0

    /// - Precondition: the digests of `rules` are over blocks of the baseline's size.
    package init(
        _ site: any Site, _ side: Side, _ baseline: KeptBaseline, _ rules: ScanRules,
        _ scope: WalkScope, _ limits: RunLimits
    ) {
        self.site = site
        self.side = side
        self.baseline = baseline
        self.rules = rules
        self.scope = scope
        self.limits = limits
    }
}

/// Compares one store with what it and another one were last proven to share, where that other one
/// cannot be asked, and keeps in its run folder what it finds.
package final class AloneRun {
    private let plan: AlonePlan
    private let controls: RunControls
    private let run: RunFolder
    private let progress = Progress()
    private let started = monotonicSeconds()
    /// What was touched and is as it was proven all the same; in walk order.
    package private(set) var touched: [BaselineComparison.Renewal] = []

    package init(_ plan: AlonePlan, _ controls: RunControls, in run: RunFolder) {
        self.plan = plan
        self.controls = controls
        self.run = run
    }

    package func callAsFunction() throws -> VerifyResult {
        var result = try firstPass()
        let looks = SecondLooks(
            run: run, controls: controls, progress: progress, passes: plan.confirmPasses,
            settle: plan.settle, keepsSames: false,
            deadline: plan.limits.maxDuration.map { started + $0 })
        try looks(result.summary.tally.openCount, &result) { try look(at: $0, into: $1, &$2) }
        result.summary.elapsed = monotonicSeconds() - started
        result.summary.doubts = controls.doubts()
        try run.save(result.summary)
        return result
    }

    private func firstPass() throws -> VerifyResult {
        var writer = try run.createFirst()
        let (found, touched) = try compare(plan.scope) { record in
            if case .difference = record { try writer.write(record) }
        }
        try writer.finish()
        // What only a second look finds as it was has no place in their order.
        self.touched = touched
        var result = found
        if result.summary.ending != .complete { result.summary.leftUnread = 1 }
        return result
    }

    private func compare(
        _ scope: WalkScope, emit: @escaping BaselineComparison.Emit
    ) throws -> (VerifyResult, touched: [BaselineComparison.Renewal]) {
        var records = try plan.baseline.records()
        var comparison = BaselineComparison(
            plan.side, plan.rules.source == .media ? .media : .hash, within: scope.within,
            pull: { try records.next() }, emit: emit)
        let scan = ScanRun(plan.site, plan.rules, scope, progress: progress)
        let found = try scan(plan.limits, controls) { try comparison.push($0) }
        if found.ending == .complete { try comparison.finish() }
        var tally = comparison.tally
        tally.bytesRead = found.bytesRead
        let result = VerifyResult(
            summary: Summary(tally: tally, ending: found.ending), stalled: found.stalled)
        return (result, comparison.touched)
    }

    /// All of a differing file is read again: only that it differs is known, and not where.
    private func look(
        at open: [Difference], into table: SecondLook, _ result: inout VerifyResult
    ) throws {
        var scope = plan.scope
        scope.within = Selection(open.map(\.path), shallow: Set(open.map(\.path)))
        var now: [RelativePath: ResultRecord] = [:]
        let (found, _) = try compare(scope) { now[$0.path] = $0 }
        guard found.summary.ending == .complete else {
            result.summary.ending = found.summary.ending
            result.stalled += found.stalled
            return
        }
        for earlier in open {
            var output = Confirm.Output(path: earlier.path)
            output.difference = settled(earlier, now[earlier.path])
            table.take(output)
        }
        result.summary.tally.bytesRead += found.summary.tally.bytesRead
    }

    private func settled(_ earlier: Difference, _ now: ResultRecord?) -> Difference? {
        switch now {
        case .same?:
            // Other bytes than before under a stat that stood still.
            return earlier.outcome == .differs ? earlier.unstable(.flapping) : nil
        case .difference(var found)?:
            guard found.outcome == .differs, earlier.outcome == .differs else { return found }
            guard found.stats == earlier.stats else { return earlier.unstable(.changing) }
            found.confirmedFrom = plan.rules.source
            return found
        case nil: return earlier.unstable(.vanished)
        }
    }
}

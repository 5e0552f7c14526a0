package import ResyncCore
package import ResyncStorage

/// Everything a comparison of a live store with a manifest needs to know.
package struct ManifestVerifyPlan: Sendable {
    package var site: any Site
    /// Under which the manifest was made.
    package var rules: ScanRules
    package var scope: WalkScope
    package var limits: RunLimits
    package var judge: EntryJudge
    package var manifest: InputFile
    /// Which of the two stores the manifest stands for.
    package var manifestSide: Side
    package var keepsSames = false
    /// How many more times differences are looked at.
    package var confirmPasses = 1
    /// Seconds that a difference must have been left alone.
    package var settle = 2.0

    package init(
        _ site: any Site, _ rules: ScanRules, _ scope: WalkScope, _ limits: RunLimits,
        _ manifest: InputFile, on side: Side, _ judge: EntryJudge
    ) {
        self.site = site
        self.rules = rules
        self.scope = scope
        self.limits = limits
        self.manifest = manifest
        manifestSide = side
        self.judge = judge
    }
}

/// Compares a live store with a manifest from beginning to end, and keeps in its run folder what it
/// finds: the store is scanned, its records are held against those of the manifest as they come,
/// and what differs is looked at again.
package final class ManifestVerifyRun {
    private let plan: ManifestVerifyPlan
    private let controls: RunControls
    private let run: RunFolder
    private let progress = Progress()
    private let started = monotonicSeconds()

    /// What an earlier attempt at the run found is forgotten.
    package init(
        _ plan: ManifestVerifyPlan, _ controls: RunControls, in run: RunFolder
    ) throws {
        self.plan = plan
        self.controls = controls
        self.run = run
    }

    /// - Throws: `ManifestDamage` where the manifest is not what it should be.
    package func callAsFunction() throws -> VerifyResult {
        try run.dropLaterPasses()
        var result = try comparePass()
        let looks = SecondLooks(
            run: run, controls: controls, progress: progress, passes: plan.confirmPasses,
            settle: plan.settle, keepsSames: plan.keepsSames,
            deadline: plan.limits.maxDuration.map { started + $0 })
        try looks(result.summary.tally.openCount, &result) { try look(at: $0, into: $1, &$2) }
        result.summary.elapsed = monotonicSeconds() - started
        if plan.site.facts.kind == .directory {
            result.summary.leftOut = plan.judge.rules.aspects.leftOut
        }
        result.summary.doubts = controls.doubts()
        try run.save(result.summary)
        return result
    }

    private func comparePass() throws -> VerifyResult {
        var writer = try run.createFirst()
        let file = plan.manifest
        var reader = try named {
            try ManifestReader(.openSSL) { try file.read(at: $0, count: $1) }
        }
        var diff = ManifestDiff(
            plan.judge, pushing: plan.manifestSide.other, keepsSames: plan.keepsSames,
            pull: { try named { try reader.next() } }, emit: { try writer.write($0) })
        let scan = ScanRun(plan.site, plan.rules, plan.scope, progress: progress)
        let found = try scan(plan.limits, controls) { try diff.push($0) }
        let isComplete = found.ending == .complete
        if isComplete {
            // Only at its end has a manifest been checked as a whole.
            while try named({ try reader.next() }) != nil {}
        }
        var tally = isComplete ? try diff.finish() : diff.tally
        tally.bytesRead = found.bytesRead
        try writer.finish()
        return VerifyResult(
            summary: Summary(
                tally: tally, ending: found.ending, leftUnread: isComplete ? 0 : 1),
            stalled: found.stalled)
    }

    private func look(
        at open: [Difference], into table: SecondLook, _ result: inout VerifyResult
    ) throws {
        let scan = Scan(plan.rules, progress: progress, splitWidth: 1)
        let pass = ManifestLook(
            scan: scan, judge: plan.judge, live: plan.manifestSide.other, cases: try cases(open))
        var scope = plan.scope
        scope.selection = Selection(open.map { $0.path })
        let first: [WalkUnit<ManifestLook>] =
            plan.site.facts.kind == .directory
            ? [.root]
            : [
                .work(
                    ManifestLook.Work(
                        examination: try plan.site.image(upTo: plan.site.facts.size),
                        entry: scan.imageEntry(plan.site)))
            ]
        try Walk(pass, WalkedSites(a: plan.site, b: nil), scope).look(
            from: first, count: open.count, into: table, plan.rules.scheme, plan.limits,
            controls, progress, started, &result)
    }

    private func cases(_ open: [Difference]) throws -> [RelativePath: ManifestLook.Case] {
        let file = plan.manifest
        return try named {
            let portions = try ManifestPortions(file)
            var cases: [RelativePath: ManifestLook.Case] = [:]
            // A directory may have two records: its own, and that its listing is not whole.
            for difference in open where cases[difference.path] == nil {
                cases[difference.path] = ManifestLook.Case(
                    earlier: difference, kept: try portions.entry(difference.path))
            }
            return cases
        }
    }
}

/// A manifest is not what it should be.
package struct ManifestDamage: Error, Sendable {
    package let found: FormatError
}

/// Tells what is wrong with the manifest from what is wrong with the run's own files.
private func named<Value>(_ body: () throws -> Value) throws -> Value {
    do {
        return try body()
    } catch let error as FormatError {
        throw ManifestDamage(found: error)
    }
}

extension Tally {
    /// Results that nobody has seen twice, of a first pass.
    var openCount: Int { differs + missingOnA + missingOnB + unstable }
}

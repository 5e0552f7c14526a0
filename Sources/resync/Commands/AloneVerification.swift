import ResyncCore
import ResyncEngine
import ResyncLedger
import ResyncStorage

/// A comparison of one store with the baseline, where the other one cannot be asked.
struct AloneVerification {
    private let command: VerifyCommand
    private let state: StateFolder
    private let episodes: EpisodeKnowledge
    private let pace = Pace()

    /// - Throws: `CommandError` where an option has no meaning for it.
    init(_ command: VerifyCommand) throws {
        self.command = command
        let scope = command.scope
        guard command.against == "baseline" else {
            throw CommandError("--against takes baseline", .usage)
        }
        guard !command.a.isEmpty, command.b.isEmpty else {
            throw CommandError("verify takes one store --against baseline", .usage)
        }
        guard !command.keep, command.since.isEmpty, command.suspect == nil, command.only == nil,
            command.ramp == nil, scope.filesFrom == nil, scope.exclude.isEmpty,
            scope.excludeFrom.isEmpty, command.aspects.with.isEmpty,
            command.aspects.without.isEmpty, command.read.digest == nil
        else {
            throw CommandError(
                "with --against, --keep, --since, --suspect, --only, --ramp, --files-from, "
                    + "--exclude, --with, --without and --digest have no meaning", .usage)
        }
        state = try command.state.open()
        episodes = EpisodeKnowledge(state)
    }

    func perform() throws -> ExitStatus {
        let style = try command.report.progressStyle()
        var reports = try ReportFiles(command.report)
        let opening = SiteOpening(
            scope: command.scope, comparison: try command.aspects.rules(), read: command.read,
            state: state, pace: pace)
        let site = try opening.open(command.a)
        guard site.facts.kind == .directory else {
            throw CommandError("of an image or device nothing is told by one side alone", .usage)
        }
        try reports.begin(outside: [site], command.scope)
        let lock = try lockStore(site, state)
        defer { withExtendedLifetime(lock) {} }
        let (target, side) = try target(site)
        let known = try state.baselines.all(of: site.identity, as: side)
        // Which of them was the other copy, only that one could say.
        guard known.count < 2 else {
            throw CommandError(
                "'\(escaped(site.facts.path))' was compared with several stores: what it shared "
                    + "with one says nothing of another")
        }
        guard let baseline = known.first else {
            throw CommandError(
                "nothing was ever proven of '\(escaped(site.facts.path))': compare it with its "
                    + "other copy once, as a pair of the configuration or with --keep")
        }
        let plan = try plan(site, opening, target, baseline, side)
        // The other store is not part of it, whatever is wrong with that one.
        let paths = Sides(a: site.facts.path, b: RunRecord.baseline)
        let run = try KeptRun(state, kind: "verify", paths, isAlone: true, resuming: nil)
        if command.report.json {
            try JSONReport.run(
                try run.folder.header(), plan.rules.scheme,
                assurance: plan.rules.source == .media ? "media" : "hash")
        } else if !command.report.quiet {
            Main.complain(
                "\(side.letter) alone, held against what was proven of both by "
                    + baseline.header.written.localText)
        }
        let (result, standings) = try watched(style, run.folder, pace) { controls in
            try compare(plan, of: site.identity, target, run, controls)
        }
        return try tell(
            result, run, standings, command.report, &reports, episodes, asked: target?.module)
    }

    private func compare(
        _ plan: AlonePlan, of store: StoreIdentity, _ target: VerifyTarget?, _ run: KeptRun,
        _ given: RunControls
    ) throws -> (VerifyResult, [StandingRecord]) {
        var controls = given
        controls.doubts = try episodes.doubts(about: run.folder, in: state)
        let compared = AloneRun(plan, controls, in: run.folder)
        let result = try compared()
        let level = plan.rules.source == .media ? Assurance.media : .hash
        try episodes.note(
            run.folder, result.summary, known: (Sides(a: store, b: nil), level))
        guard result.summary.ending == .complete, result.summary.doubtLines.isEmpty else {
            return (result, [])
        }
        if !compared.touched.isEmpty {
            try state.baselines.renew(plan.baseline.header, compared.touched)
        }
        guard let target else { return (result, []) }
        let known = try state.baselines.find(plan.baseline.header.identities)
        let look = BaselineLook(
            plan.site, alone: plan.side, known ?? plan.baseline, plan.limits, controls,
            batchSize: plan.scope.batchSize)
        let standings = ModuleStandings(look, alone: plan.side, run.folder, state, controls)
        guard level == .media else {
            return (result, try standings.findDifferent(target, isByPath: false))
        }
        // Only of what both of this pair were proven to share.
        let proven = try target.modules.filter { module in
            try episodes.standings(of: module, in: target.pair).contains {
                $0.answer == .released && $0.alone == nil
            }
        }
        for module in target.modules where !proven.contains(module) {
            Main.complain("module \(module.name) was never released by a comparison of both")
        }
        return (result, try standings.find(target.only(proven)))
    }

    /// What of the configuration the store is about, and which side of its pair it is; A where
    /// nobody has configured it.
    private func target(_ site: LocalSite) throws -> (VerifyTarget?, Side) {
        let module = command.module
        let configuration =
            module == nil
            ? try command.file.loadIfThere() : try ConfigurationFile.load(command.file.path)
        let names = [site.facts.path, realPath(site.facts.path) ?? site.facts.path]
        for pair in configuration?.pairs ?? [] {
            guard let configuration,
                // The other store is not followed to where it lies: it may hang.
                let side = Side.allCases.first(where: { side in
                    names.contains { isSamePlace(pair.stores[side].path, $0) }
                })
            else { continue }
            if let module {
                let target = try VerifyTarget(module: module, in: configuration)
                guard target.pair.name == pair.name else { continue }
                return (target, side)
            }
            return (try VerifyTarget(pair: pair.name, in: configuration), side)
        }
        if let module {
            throw CommandError("module '\(escaped(module.utf8))' does not lie there", .usage)
        }
        return (nil, .a)
    }

    private func plan(
        _ site: LocalSite, _ opening: SiteOpening, _ target: VerifyTarget?,
        _ baseline: KeptBaseline, _ side: Side
    ) throws -> AlonePlan {
        let scan = try LiveScan(
            site, opening,
            scheme: try DigestScheme(.sha256, blockSize: baseline.header.blockSize),
            assurance: try assurance(site, target, side), wholeFile: false)
        var scope = scan.scope
        if let target { scope.filter = try target.filter(with: scope.filter) }
        scope.within = target?.within
        guard scope.filter.digest == baseline.header.exclusions else {
            throw CommandError(
                "the baseline was made with other exclusions: it does not say what is missing")
        }
        var limits = scan.limits
        limits.maxDuration = try command.maxDuration.map { try duration($0) }
        var plan = AlonePlan(site, side, baseline, scan.rules, scope, limits)
        plan.confirmPasses = try command.confirmPasses()
        plan.settle = try duration(command.settle)
        return plan
    }

    /// What was asked for, or what the store and its modules call for.
    private func assurance(
        _ site: LocalSite, _ target: VerifyTarget?, _ side: Side
    ) throws -> String {
        if let asked = command.assurance { return asked }
        let patience = try duration(command.read.ioTimeout)
        let reasons =
            episodes.reasons(against: StorePlace(site))
            + (try answered(within: patience, site.facts.path) { site.trouble().reasons })
        for reason in reasons { Main.complain("trouble on \(side.letter): \(reason)") }
        return reasons.isEmpty && target == nil ? "hash" : "media"
    }
}

import ResyncCore
import ResyncEngine
import ResyncLedger
import ResyncStorage
import Synchronization

/// One comparison from its options to its printed result.
struct Verification {
    private let command: VerifyCommand
    private let target: VerifyTarget?
    private let resumed: String?
    private let state: StateFolder
    private let pace = Pace()
    /// As it is when the comparison begins.
    private let episodes: EpisodeKnowledge
    /// From which the run can be resumed.
    private let arguments: [String]
    /// As the operator's lists have it, which are read while a signal still ends the program: they
    /// may be pipes.
    private let filter: Filter
    private let selection: Selection?
    /// Whether its time is over, whatever was said of that.
    var isOver: @Sendable () -> Bool = { false }

    init(
        _ command: VerifyCommand, _ target: VerifyTarget? = nil, resuming id: String?,
        arguments: [String] = RawArguments.all()
    ) throws {
        self.command = command
        self.target = target
        self.arguments = arguments
        resumed = id
        filter = try command.scope.filter()
        selection = try command.scope.selection()
        state = try command.state.open()
        episodes = EpisodeKnowledge(state)
    }

    func perform() throws -> ExitStatus {
        let style = try command.report.progressStyle()
        var options = command.report
        // The files that are there now are those of the attempt that is gone on with.
        if resumed != nil { options.force = true }
        var reports = try ReportFiles(options)
        let found = try compare(style, reports) { try printHeader($0, $1, $2) }
        var status = try tell(
            found.result, found.run, found.standings, command.report, &reports, episodes,
            asked: target?.module)
        if !found.isTidy { status.merge(.trouble) }
        return status
    }

    struct Found {
        let result: VerifyResult
        /// Which keeps it.
        let run: KeptRun
        let standings: [StandingRecord]
        /// Whether nothing was left behind of what was read.
        let isTidy: Bool
    }

    /// The comparison alone, and the run that keeps what it found.
    func compare(
        _ style: ProgressStyle, _ reports: ReportFiles,
        announce: (KeptRun, VerifyPlan, Level) throws -> Void
    ) throws -> Found {
        let sites = try openSites()
        try reports.begin(outside: [sites.a, sites.b], command.scope)
        let locks = try lockStores(sites)
        defer { withExtendedLifetime(locks) {} }
        let preparation = Preparation(target?.module, sites)
        // However it ends.
        defer { _ = preparation.finish() }
        try preparation.begin(
            try opening(), patience: try duration(command.read.ioTimeout), .shared)
        let found = try compare(sites, preparation, style, reports, announce: announce)
        return Found(
            result: found.result, run: found.run, standings: found.standings,
            isTidy: preparation.finish())
    }

    private func compare(
        _ sites: Sides<LocalSite>, _ preparation: Preparation, _ style: ProgressStyle,
        _ reports: ReportFiles, announce: (KeptRun, VerifyPlan, Level) throws -> Void
    ) throws -> (result: VerifyResult, run: KeptRun, standings: [StandingRecord]) {
        var level = try assurance(sites)
        // What a cut-off run left is settled by the commands that change stores, not here.
        let patience = min(Self.answerTime, try command.read.limits().ioTimeout)
        level.unfinished = sites.map { site in
            guard site.facts.kind == .directory else { return nil }
            // Nobody watches over this read yet.
            return answer(within: patience) { (try? MarkerFile.read(site))?.inconsistent }
        }
        let isOver = isOver(for: sites)
        let found = try target.map { try search($0, sites, level, style, isOver) }
        level.snapshots = preparation.snapshots
        let plan = try plan(sites, preparation, level, reports, found)
        let run = try KeptRun(
            state, kind: "verify", sites.map { $0.facts.path }, resuming: resumed,
            started: preparation.taken, terms: terms(sites, plan, level),
            arguments: arguments)
        let checkpoint = try resumed.map { id in
            guard let checkpoint = try run.folder.checkpoint() else {
                throw try run.folder.summary() == nil
                    ? RunError.cutOffEarly(id) : RunError.nothingToResume(id)
            }
            return checkpoint
        }
        try announce(run, plan, level)
        let (result, standings) = try watched(
            style, run.folder, pace, ramp: try ramp(sites), totalBytes: totalBytes(sites)
        ) { controls -> (VerifyResult, [StandingRecord]) in
            var controls = controls
            controls.isOver = isOver
            controls.doubts = try episodes.doubts(about: run.folder, in: state)
            let result = try VerifyRun(plan, controls, in: run.folder, resuming: checkpoint)()
            try episodes.note(
                run.folder, result.summary, external: try target?.filter(with: .none).digest,
                readsAll: plan.rules.keepsRecords)
            let hasFound = result.summary.tally.findings > 0
            guard sites.a.facts.kind == .directory,
                let (target, place) =
                    target.map({ ($0, .root) }) ?? (hasFound ? configured(sites) : nil)
            else { return (result, []) }
            let look = try BaselineLook(sites, state, plan.limits, controls)
            let standings = ModuleStandings(look, run.folder, state, controls)
            guard self.target != nil, target.isWhole, result.summary.ending == .complete else {
                return (
                    result,
                    try standings.findDifferent(
                        target, isByPath: self.target == nil, at: place)
                )
            }
            guard result.summary.doubtLines.isEmpty else { return (result, []) }
            return (result, try standings.find(target, result.policies))
        }
        return (result, run, standings)
    }

    /// What of a target is to be looked at.
    private func search(
        _ target: VerifyTarget, _ sites: Sides<LocalSite>, _ level: Level,
        _ style: ProgressStyle, _ isOver: @escaping @Sendable () -> Bool
    ) throws -> UnprovenSearch.Found {
        // Where nobody asked for the medium, only what an episode has voided is read there.
        let asked = command.assurance == nil ? .hash : level.level
        let search = UnprovenSearch(
            sites, state, episodes, try command.read.limits(),
            asked: try command.aspects.rules().aspects, asked,
            suspectEnd: try command.suspect.map { try SuspectWindow($0).end },
            isInTrouble: level.isUndated)
        return try watched(style, nil, pace) { controls in
            var controls = controls
            controls.isOver = isOver
            return try search(target, controls)
        }
    }

    /// Whether its time is over, also since somebody waits for a store that it reads unasked.
    private func isOver(for sites: Sides<LocalSite>) -> @Sendable () -> Bool {
        guard command.yields else { return isOver }
        let (isOver, state, facts) = (isOver, state, sites.map { $0.facts })
        let next = Mutex(monotonicSeconds())
        return {
            guard !isOver() else { return true }
            let now = monotonicSeconds()
            let isDue = next.withLock { next in
                guard now >= next else { return false }
                next = now + 0.5
                return true
            }
            return isDue && Side.allCases.contains { state.isWanted(facts[$0]) }
        }
    }

    /// What the configuration has two stores as that were named by their paths, or what at one
    /// place in both was, and that place: what is found to differ in them is so whoever asks. Where
    /// it cannot be read, nobody asked for it.
    private func configured(
        _ sites: Sides<LocalSite>
    ) -> (target: VerifyTarget, place: RelativePath)? {
        guard let configuration = try? command.file.loadIfThere(), !configuration.modules.isEmpty
        else { return nil }
        let asked = sites.map { $0.facts.path }
        let all = configuration.pairs.map { $0.stores.map { $0.path } }
        let paths = ([asked] + all).flatMap { [$0.a, $0.b] }
        let real = RealPaths().find(Set(paths), within: Self.answerTime)
        func place(of path: [UInt8], in store: [UInt8]) -> RelativePath? {
            StorePlace(real[store] ?? store, nil).place(of: real[path] ?? path)
        }
        for (pair, stores) in zip(configuration.pairs, all) {
            for first in Side.allCases {
                guard let found = place(of: asked.a, in: stores[first]),
                    place(of: asked.b, in: stores[first.other]) == found,
                    let target = try? VerifyTarget(pair: pair.name, in: configuration)
                else { continue }
                return (target, found)
            }
        }
        return nil
    }

    /// Seconds in which a store that lives has answered.
    private static let answerTime = 5.0

    private func ramp(_ sites: Sides<LocalSite>) throws -> Ramp? {
        guard let share = command.ramp else { return nil }
        guard share >= RateRamp.least, share <= 1 else {
            throw CommandError("--ramp takes \(RateRamp.least) to 1", .usage)
        }
        guard let limit = try command.read.readLimit.map({ try rate($0) }) else {
            throw CommandError("--ramp needs a --read-limit to come to", .usage)
        }
        return Ramp(
            RateRamp(limit: limit, share: share), of: [sites.a.facts.path, sites.b.facts.path])
    }

    // MARK: Before

    private func opening() throws -> SiteOpening {
        SiteOpening(
            scope: command.scope, comparison: try command.aspects.rules(), read: command.read,
            state: state, pace: pace)
    }

    private func openSites() throws -> Sides<LocalSite> {
        let opening = try opening()
        let sites = Sides(a: try opening.open(command.a), b: try opening.open(command.b))
        let (a, b) = (sites.a.facts.kind, sites.b.facts.kind)
        guard (a == .directory) == (b == .directory) else {
            throw CommandError(
                "A is a \(a.rawValue) and B is a \(b.rawValue): they cannot be compared", .usage)
        }
        guard a == .directory || sites.a.facts.size > 0 || sites.b.facts.size > 0 else {
            throw CommandError("A and B have no bytes: there is nothing to compare")
        }
        let overlap = try answered(within: try duration(command.read.ioTimeout), sites.b.facts.path)
        {
            try storeOverlap(sites.a, sites.b)
        }
        switch overlap {
        case .same?: throw CommandError("A and B are the same store", .usage)
        case .inside(let side)?:
            let other = side.other.word.uppercased()
            throw CommandError("\(side.word.uppercased()) lies inside \(other)", .usage)
        case nil: return sites
        }
    }

    private func lockStores(_ sites: Sides<LocalSite>) throws -> Sides<Folder> {
        try sites.map { try lockStore($0, state) }
    }

    private func assurance(_ sites: Sides<LocalSite>) throws -> Level {
        let patience = try duration(command.read.ioTimeout)
        let trouble = try sites.map { site in
            try answered(within: patience, site.facts.path) { site.trouble() }
        }
        let reasons = Side.both { side in
            episodes.reasons(against: StorePlace(sites[side])) + trouble[side].reasons
        }
        let isUndated = !trouble.a.reasons.isEmpty || !trouble.b.reasons.isEmpty
        let unseen = trouble.a.unseen + trouble.b.unseen.filter { !trouble.a.unseen.contains($0) }
        _ = try command.suspect.map { try SuspectWindow($0) }
        // Who names a window in which a store may have lied does not ask its page cache.
        let implied = !command.since.isEmpty ? "cached" : command.suspect != nil ? "media" : nil
        guard let asked = command.assurance ?? implied else {
            // After an episode only the medium proves a module, also what was written to it since,
            // whoever has read all of it before.
            let needsMedium =
                try !reasons.a.isEmpty || !reasons.b.isEmpty || wasBegunAtMedia()
                || target.map { target in
                    try !target.modules.isEmpty
                        && episodes.lastEpisodeWord(of: target.pair.stores.map { $0.path }) != nil
                        || episodes.mismatches(sites.map { StorePlace($0) }, in: state).lost.last
                            != nil
                } ?? false
            return Level(
                level: needsMedium ? .media : .hash, reasons: reasons, isUndated: isUndated,
                unseen: unseen)
        }
        guard let level = Assurance(rawValue: asked), level != .none else {
            throw CommandError(
                "'\(escaped(asked.utf8))' is no assurance: media, hash, cached, metadata, size",
                .usage)
        }
        guard level == .cached || command.since.isEmpty else {
            throw CommandError("--since is for --assurance cached", .usage)
        }
        guard level == .cached || level == .media || command.suspect == nil else {
            throw CommandError("--suspect is for --assurance cached or media", .usage)
        }
        return Level(level: level, reasons: reasons, isUndated: isUndated, unseen: unseen)
    }

    /// What was begun at media goes on at it, though the trouble may no longer show.
    private func wasBegunAtMedia() -> Bool {
        guard let resumed, let run = try? RunFolder.open(resumed, in: state.runs) else {
            return false
        }
        return (try? run.terms())?.assurance == .media
    }

    private func terms(
        _ sites: Sides<LocalSite>, _ plan: VerifyPlan, _ level: Level
    ) -> RunTerms {
        RunTerms(
            stores: sites.map { site in
                RunTerms.Store(
                    kind: site.facts.kind, identity: site.identity, size: site.facts.size)
            },
            assurance: level.level, aspects: plan.rules.comparison.aspects,
            exclusions: plan.scope.filter.digest,
            selection: plan.scope.selection?.digest(isWithin: false)
                ?? plan.scope.within?.digest(isWithin: true))
    }

    private func rules(
        _ sites: Sides<LocalSite>, _ preparation: Preparation, _ level: Level,
        _ reports: ReportFiles, keeps: Bool
    ) throws -> VerifyRules {
        let outlives = keeps || level.level == .cached
        var rules = VerifyRules(
            scheme: outlives
                ? try keptScheme(command.read) : try command.read.scheme(default: .gmac))
        rules.comparison = try command.aspects.rules(at: level.level)
        rules.keepsSames = reports.needsSames
        switch level.level {
        case .media: rules.source = .media
        case .hash, .metadata, .size, .none: break
        case .cached:
            let kept = try KeptDigests(command, state, episodes, sites, level.reasons)
            rules.kept = try kept.find(sites, rules.scheme)
            rules.doubted = kept.doubted
            if kept.needsMedium { rules.source = .media }
        }
        if sites.a.facts.kind != .directory { try refuseMeaningless(rules) }
        rules.keepsRecords = keeps
        rules.taken = preparation.taken
        return rules
    }

    /// An image or device is compared by its bytes, all of them: who asks for more must not be told
    /// that it was found the same.
    private func refuseMeaningless(_ rules: VerifyRules) throws {
        if let module = target?.module {
            throw CommandError(
                "module \(module.name) is of a pair of images or devices, of which only external "
                    + "modules can be", .usage)
        }
        guard rules.comparison.aspects.contains(.content) else {
            throw CommandError(
                "an image or device is compared by its bytes: metadata, size and --without content "
                    + "are for directories", .usage)
        }
        let (scope, aspects) = (command.scope, command.aspects)
        let given = [
            ("--assurance cached", command.assurance == Assurance.cached.rawValue),
            ("--since", !command.since.isEmpty), ("--exclude", !scope.exclude.isEmpty),
            ("--exclude-from", !scope.excludeFrom.isEmpty),
            ("--files-from", scope.filesFrom != nil), ("--cross-mounts", scope.crossMounts),
            ("--with", try aspects.asked().contains { $0 != .content }),
            ("--owner-by", aspects.ownerBy != nil),
            ("--modify-window", aspects.modifyWindow != nil),
        ].filter { $0.1 }
        guard given.isEmpty else {
            let words = given.map(\.0).joined(separator: ", ")
            throw CommandError(
                "an image or device is compared by its bytes, all of them: \(words) "
                    + "\(given.count == 1 ? "is" : "are") for directories", .usage)
        }
    }

    private func plan(
        _ sites: Sides<LocalSite>, _ preparation: Preparation, _ level: Level,
        _ reports: ReportFiles, _ found: UnprovenSearch.Found?
    ) throws -> VerifyPlan {
        // Of what is configured the proof is kept; of images and devices only where that is asked
        // for, since nothing that a night does needs it.
        let keeps = command.keep || target != nil && sites.a.facts.kind == .directory
        let rules = try rules(sites, preparation, level, reports, keeps: keeps)
        let read = preparation.sites
        var limits = try command.read.limits()
        limits.maxDuration = try command.maxDuration.map { try duration($0) }
        var plan = VerifyPlan(
            sites: WalkedSites(a: read.a, b: read.b), rules: rules, limits: limits)
        if preparation.taken != nil { plan.stores = WalkedSites(a: sites.a, b: sites.b) }
        plan.scope.filter = try target?.filter(with: filter) ?? filter
        plan.scope.selection = selection
        plan.scope.within = found?.within
        plan.provenBefore = found?.proven ?? 0
        plan.isFirstLook = target?.isWhole == false
        plan.rules.namesAreGiven = plan.scope.selection != nil
        plan.scope.batchSize = limits.work.batchSize(descriptors: descriptorLimit())
        plan.confirmPasses = try command.confirmPasses()
        plan.settle = try duration(command.settle)
        plan.allowances = target?.allowances ?? Allowances()
        if keeps {
            plan.keeping = Keeping(
                try headers(sites, rules, plan.scope.filter),
                found?.within == nil ? state.manifests : nil,
                state.baselines)
            let named = target == nil ? configured(sites) : nil
            let target = target ?? (named?.place == .root ? named?.target : nil)
            plan.keeping?.policies = try target?.policies(
                sites, reading: read.a, rules, limits, state)
        }
        return plan
    }

    /// The headers of the manifests that are kept of both sides.
    private func headers(
        _ sites: Sides<LocalSite>, _ rules: VerifyRules, _ filter: Filter
    ) throws -> Sides<ManifestHeader> {
        for side in Side.allCases where sites[side].isNamelessDevice {
            throw CommandError(
                "\(side.letter) is a device that nothing tells from another one which gets its "
                    + "name: --keep would say later what was found of either", .usage)
        }
        guard command.maxDuration == nil || sites.a.facts.kind == .directory else {
            throw CommandError(
                "--keep of images or devices reads them at one go: it takes no --max-duration",
                .usage)
        }
        guard command.scope.filesFrom == nil, rules.comparison.aspects.contains(.content) else {
            throw CommandError(
                command.keep
                    ? "--keep needs the content of the whole store"
                    : "a pair or module is compared in its content, and wholly: name its two "
                        + "stores for less", .usage)
        }
        // What is left out is known, and its lists are not read twice: they may be pipes.
        var scope = command.scope
        (scope.exclude, scope.excludeFrom) = ([], [])
        let opening = SiteOpening(
            scope: scope, comparison: rules.comparison, read: command.read, state: state)
        var headers = try Side.both { side in
            let kept = rules.kept[side]?.header.source ?? .media
            return try LiveScan(
                sites[side], opening, scheme: rules.scheme,
                assurance: rules.source == .media && kept == .media ? "media" : "hash",
                wholeFile: false
            ).header
        }
        for side in Side.allCases {
            headers[side].identity = sites[side].identity
            headers[side].exclusions = filter.digest
            if let taken = rules.taken { headers[side].started = taken }
            // Digests that are taken over are as old as they were.
            guard let kept = rules.kept[side] else { continue }
            headers[side].started = min(headers[side].started, kept.header.started)
        }
        return headers
    }

    /// Known only for images: counting a tree would be a walk of its own.
    private func totalBytes(_ sites: Sides<LocalSite>) -> Int? {
        guard sites.a.facts.kind != .directory else { return nil }
        let (total, overflows) = min(sites.a.facts.size, sites.b.facts.size)
            .multipliedReportingOverflow(by: 2)
        return overflows ? nil : total
    }

    private func printHeader(_ run: KeptRun, _ plan: VerifyPlan, _ level: Level) throws {
        if command.report.json {
            return try JSONReport.run(
                try run.folder.header(), plan.rules.scheme, assurance: level.level.rawValue,
                trouble: level.lines, unseen: level.unseen, unfinished: level.unfinished,
                snapshots: level.snapshots)
        }
        // Trouble is said even where nothing else is.
        for line in level.lines { Main.complain("trouble on \(line)") }
        for line in level.unfinishedLines { Main.complain(line) }
        if !command.report.quiet {
            if let line = level.unseenLine { Main.complain(line) }
            for line in level.snapshotLines { Main.complain(line) }
        }
        if level.hasTrouble {
            Main.complain(
                level.level == .media
                    ? "assurance media: every byte is read past the page cache"
                    : "with trouble on a store, --assurance media is what tells the truth")
        }
    }
}

/// Keeps runs that would change a store away from it, for as long as the folder is held.
func lockStore(_ site: LocalSite, _ state: StateFolder) throws -> Folder {
    guard let lock = try state.lock(site.facts, exclusive: false) else {
        throw CommandError(
            "'\(escaped(site.facts.path))' is being changed by another run", .locked)
    }
    return lock
}

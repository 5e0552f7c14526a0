import ResyncCore
import ResyncEngine
import ResyncStorage

/// Finds out what a comparison of a pair or module is to look at, where only a part is asked for:
/// what is still to be proven of it.
struct UnprovenSearch {
    struct Found {
        /// The only paths that are looked at; nil for all of the pair.
        var within: Selection?
        /// Entries that need no looking at.
        var proven = 0
    }

    private let sites: Sides<LocalSite>
    private let state: StateFolder
    private let episodes: EpisodeKnowledge
    private let limits: RunLimits
    /// What was proven counts only where it was of these aspects, and so strong.
    private let (aspects, level): (AspectSet, Assurance)
    /// Nor does what was proven before the end of a window that the operator named.
    private let suspectEnd: Timestamp?
    /// Whether anything speaks against a store of which nobody can say since when.
    private let isInTrouble: Bool

    init(
        _ sites: Sides<LocalSite>, _ state: StateFolder, _ episodes: EpisodeKnowledge,
        _ limits: RunLimits, asked aspects: AspectSet, _ level: Assurance,
        suspectEnd: Timestamp?, isInTrouble: Bool
    ) {
        (self.aspects, self.level) = (aspects, level)
        self.suspectEnd = suspectEnd
        self.isInTrouble = isInTrouble || episodes.failure != nil
        self.sites = sites
        self.state = state
        self.episodes = episodes
        self.limits = limits
    }

    /// - Throws: `CommandError` where it is ended before it is over, or a part is empty by the
    ///   configuration.
    func callAsFunction(_ target: VerifyTarget, _ controls: RunControls) throws -> Found {
        guard let part = target.part else { return Found(within: target.within) }
        guard sites.a.facts.kind == .directory else {
            // Of images and devices nothing is kept, and nothing has a time.
            guard part == .unproven || part == .rest else {
                throw CommandError("--only hot and --only suspect are for directories", .usage)
            }
            return Found(within: target.within)
        }
        let hot = try hotPaths(of: target)
        let places = part == .hot ? hot.paths : target.within?.paths ?? [.root]
        guard !places.isEmpty else {
            throw CommandError(
                "there are no hot paths: no module of it names any, or no episode was recorded",
                .usage)
        }
        guard !isInTrouble else {
            Main.complain(
                "with trouble on a store nothing that was proven counts, so all of it is compared")
            return Found(within: part == .hot ? Selection(places) : target.within)
        }
        guard var entries = try entries(part, of: target, hot) else {
            Main.complain(
                "a run that found differences is not kept any more, so all of it is compared")
            return Found(within: target.within)
        }
        let look = try BaselineLook(sites, state, limits, controls)
        let (external, asked) = (Selection(target.external), Selection(places))
        let isDone = try look(within: places) { path, stats, record in
            guard !external.holds(path) else { return }
            guard stats != nil || asked.holds(path) else {
                // It only leads to what is asked for, and nobody could see whether that is there.
                for place in places where place.isWithin(path) { entries.add(place, nil, nil) }
                return
            }
            entries.add(path, stats, record.flatMap { counts($0) ? $0 : nil })
        }
        guard isDone else {
            let status = controls.interruption().map { ExitStatus.signal($0) }
            throw CommandError(
                "ended before it was known what is to be compared", status ?? .trouble)
        }
        guard !entries.isCut else {
            Main.complain(
                "more than \(countText(UnprovenEntries.limit)) entries are to be proven, so all of "
                    + "it is compared")
            return Found(within: part == .hot ? Selection(places) : target.within)
        }
        if entries.left > 0 {
            Main.complain(
                "\(countText(entries.left)) more are not proven, and "
                    + (part == .rest ? "lie in modules" : "not suspect"))
        }
        return Found(
            within: Selection(entries.paths, shallow: entries.directories), proven: entries.proven)
    }

    /// Whether what was proven counts against what is asked for.
    private func counts(_ record: BaselineRecord) -> Bool {
        record.aspects.isSuperset(of: aspects) && (level != .media || record.level == level)
            && (suspectEnd.map { record.level == .media && $0 < record.time } ?? true)
    }

    private func hotPaths(of target: VerifyTarget) throws -> HotPaths {
        do throws(HotPathError) {
            return try episodes.hotPaths(of: target.modules, sites.map { StorePlace($0) })
        } catch {
            throw CommandError("hot paths: \(error.reason)", .usage)
        }
    }

    /// Nil where it is not known what was found to differ.
    private func entries(
        _ part: UnprovenEntries.Part, of target: VerifyTarget, _ hot: HotPaths
    ) throws -> UnprovenEntries? {
        let paths = sites.map { $0.facts.path }
        let stores = sites.map { StorePlace($0) }
        let mismatches = try episodes.mismatches(stores, in: state)
        guard mismatches.lost.last == nil else { return nil }
        let overrides = try Overrides(state).all()
        // Without an episode nothing is suspect for its times.
        let start = episodes.lastWindows(of: stores).map(\.start).min() ?? .now
        return UnprovenEntries(
            part,
            try target.modules.map { module in
                (module, try episodes.spans(against: module, of: target.pair, overrides))
            },
            rest: paths.map { episodes.spans(of: $0) },
            Suspicion(since: start, clocks: paths.map { episodes.clock(of: $0) }, hot: hot),
            mismatches: mismatches.paths)
    }
}

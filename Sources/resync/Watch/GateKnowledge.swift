import ResyncCore
import ResyncEngine
import ResyncLedger
import ResyncStorage

// What that means for modules: whether their services may run, and what is to be verified for it.
extension EpisodeKnowledge {
    /// Seconds within which a watcher looks at a store that is well, at least.
    private static let heartbeat = 60.0

    /// Whether a module's service may run.
    func gate(_ module: Module, _ configuration: Configuration) throws -> Gate {
        gate(module, try needs(configuration.modules.needed(by: module), configuration))
    }

    /// The same of each module of a configuration, in its order.
    func gates(_ configuration: Configuration) throws -> [Gate] {
        let own = try needs(configuration.modules, configuration).map { needs in
            Dictionary(needs.map { ($0.module, $0) }, uniquingKeysWith: { first, _ in first })
        }
        return configuration.modules.map { module in
            let needed = configuration.modules.needed(by: module)
            return gate(module, own.map { own in needed.compactMap { own[$0.name] } })
        }
    }

    /// - Parameter needs: nil where there is no ledger.
    private func gate(_ module: Module, _ needs: [Gate.Need]?) -> Gate {
        if let failure { return Gate(unknown: failure, []) }
        guard let needs else {
            return Gate(
                unknown: "there is no ledger here, so nothing is known of episodes: run 'resync "
                    + "watch', then 'resync verify --module \(module.name)'; --override opens it "
                    + "meanwhile", [])
        }
        return Gate(unknown: nil, needs)
    }

    /// What is known of each of some modules by itself; nil where nothing is.
    func needs(_ modules: [Module], _ configuration: Configuration) throws -> [Gate.Need]? {
        guard hasLedger, failure == nil else { return nil }
        let watch = configuration.detector
        let heartbeat = max(Self.heartbeat, 2 * watch.interval + watch.hung)
        let named = Set(modules.map(\.pair))
        let pairs = Dictionary(
            configuration.pairs.filter { named.contains($0.name) }.map { ($0.name, $0) },
            uniquingKeysWith: { first, _ in first })
        let stores = pairs.mapValues { pair in
            Side.allCases.map { store(pair.storeName($0), pair.stores[$0].path, heartbeat) }
        }
        return try modules.map { module in
            let standings = try standings(of: module, in: pairs[module.pair])
            return Gate.Need(
                module: module.name, stores: stores[module.pair, default: []],
                standings: standings.map { $0.known })
        }
    }

    /// What verifications found out about a module as it is now, the newest first.
    func standings(
        of module: Module, in pair: Configuration.Pair?
    ) throws -> [StandingRecord] {
        let known = try (ledger?.standings(of: module.name) ?? []).about(module, of: pair)
        // Of a clock that was set back since, nobody knows what came first.
        let now = Timestamp.now
        return known.filter { $0.answer == .different || $0.began <= now }
    }

    /// What the newest verification of each module found out, whenever that was.
    func newestStandings() throws -> [StandingRecord] {
        guard let ledger, failure == nil else { return [] }
        return try ledger.newestStandings()
    }

    /// Whether one of a pair's modules was not released since the last episode of its stores.
    func isToBeProven(_ modules: [Module], of pair: Configuration.Pair) throws -> Bool {
        let paths = pair.stores.map { $0.path }
        let known = (records(about: paths.a) + records(about: paths.b)).map(\.settled)
        let ends = (known + [lost]).compactMap { $0 }
        guard let last = ends.max() else { return false }
        return try modules.contains { module in
            try !standings(of: module, in: pair).contains {
                $0.answer == .released && $0.alone == nil && $0.began > last
            }
        }
    }

    /// The modules of a pair that are to be verified without anybody asking, in the order in which
    /// they open soonest; none where nothing is known.
    func due(
        _ pair: Configuration.Pair, _ configuration: Configuration
    ) throws -> [Module] {
        let own = configuration.modules.filter { $0.pair == pair.name }
        guard let needs = try needs(own, configuration) else { return [] }
        let now = Timestamp.now
        let modules = zip(own, needs).filter { $1.isDue(at: now) }.map(\.0)
        guard modules.count > 1 else { return modules }
        // Before anything is known of them, all are as large.
        let sizes = Dictionary(
            try newestStandings().map { ($0.module, $0.bytes) },
            uniquingKeysWith: { first, _ in first })
        let works = modules.works { Double(sizes[$0.name] ?? 1) }
        return try ModuleOrder(works).order.map { modules[$0] }
    }

    private func store(_ name: String, _ path: [UInt8], _ heartbeat: Double) -> Gate.Store {
        var store = Gate.Store(name: name)
        for record in records(about: path) {
            guard let end = record.settled else {
                store.openEpisode = record.episode.id
                continue
            }
            if record.episode.kind == .unwatched {
                if store.gap.map({ $0.end < end }) ?? true { store.gap = gap(record, end) }
                continue
            }
            if store.lastClosed.map({ $0 < end }) ?? true {
                (store.lastClosed, store.lastEpisode) = (end, record.episode.id)
            }
        }
        if let lost, store.gap.map({ $0.end < lost }) ?? true {
            store.gap = Gate.Gap(
                episode: nil, end: lost,
                "had a ledger until \(lost.localText) that is lost, and with it what that knew of "
                    + "episodes")
        }
        store.openEpisode =
            store.openEpisode ?? unkept(path).first?.episode
        let statuses = statuses(about: path)
        // What the watcher last knew stands while none runs.
        let counts =
            statuses.isEmpty
            ? stores.filter { isSamePlace($0.path, path) }.map { ($0.name, $0.errors) }
            : statuses.map { ($0.name, $0.errors) }
        store.doubt =
            counts.compactMap { $1.doubt(of: $0, since: $1.since?.localText) }.first
        if statuses.isEmpty {
            store.trouble = "is watched by nobody: 'resync watch' does"
        }
        for status in statuses {
            let age = status.lastGood.map { $0.wall.seconds }.map { Timestamp.now.seconds - $0 }
            if status.state != .ok {
                store.trouble =
                    "is \(status.state.word)"
                    + (status.evidence.isEmpty ? "" : ": \(status.evidence)")
            } else if !status.isReadOnlyProbe || status.probeTime != nil {
                guard let age else {
                    store.trouble = "was never found well"
                    continue
                }
                guard Double(age) > heartbeat else { continue }
                store.trouble = "was last found well \(durationText(Double(age))) ago"
            }
        }
        return store
    }

    private func gap(_ record: EpisodeRecord, _ end: Timestamp) -> Gate.Gap {
        let episode = record.episode
        return Gate.Gap(
            episode: episode.id, end: end,
            "was watched by nobody from \(episode.firstEvidence.wall.localText) to "
                + "\(episode.detected.wall.localText), and meanwhile "
                + EpisodeReport.changes(episode))
    }
}

extension StandingRecord {
    private var source: String { isExternal ? "its check" : "run \(run)" }

    fileprivate var known: Gate.Standing {
        Gate.Standing(
            answer, began: began, looked: looked,
            // A plan is made from the run that found it.
            answer == .released
                ? "released \(looked.localText) by \(source)"
                    + (reason.isEmpty ? "" : ", \(reason)")
                : "\(reason) (\(source))", alone: alone)
    }
}

import ResyncCore
import ResyncEngine
import ResyncLedger
import ResyncStorage

/// What the watcher, and the ledger that it keeps, say of stores: whether what is read there is to
/// be trusted.
struct EpisodeKnowledge {
    let ledger: Ledger?
    /// Those that count: what a person vouches for does not.
    private let records: [EpisodeRecord]
    /// Of all that are in the ledger.
    private let episodeIDs: Set<String>
    let stores: [StoreRecord]
    private let runs: [RunRecord]
    private let statuses: [StoreStatus]
    /// Where each watched store lies: as it was named, without symlinks, and under other mounts.
    private let places: [[UInt8]: [Components]]
    private let mounts: MountTable?
    /// Why the ledger or the watcher cannot be asked: then nothing is known to be good.
    let failure: String?
    /// `LedgerFile.lost`: which stores it was about, nobody knows either.
    let lost: Timestamp?

    /// Of all runs, the newest are remembered.
    private static let runLimit = 1000
    /// Seconds in which the path of a store that lives was followed.
    private static let patience = 2.0

    /// As a command knows it, from outside of the watcher.
    init(_ state: StateFolder) {
        self.init(
            ledger: { try LedgerFile.open(in: state) },
            statuses: { try WatchClient(state)?.status() ?? [] },
            lost: { try LedgerFile.lost(in: state) }, RealPaths())
    }

    /// As the watcher itself knows it. It must not open the ledger's file once more: closing that
    /// would take the locks away by which SQLite keeps others out.
    init(
        _ ledger: Ledger, _ statuses: [StoreStatus], _ state: StateFolder, _ realPaths: RealPaths
    ) {
        self.init(
            ledger: { ledger }, statuses: { statuses }, lost: { try LedgerFile.lost(in: state) },
            realPaths)
    }

    private init(
        ledger open: () throws -> Ledger?, statuses ask: () throws -> [StoreStatus],
        lost: () throws -> Timestamp?, _ realPaths: RealPaths
    ) {
        var (ledger, records, runs): (Ledger?, [EpisodeRecord], [RunRecord]) = (nil, [], [])
        var stores: [StoreRecord] = []
        var (failure, lostUntil): (String?, Timestamp?) = (nil, nil)
        // First: what it says of episodes is in the ledger by the time that this is read, where it
        // could be written.
        var statuses: [StoreStatus] = []
        do {
            statuses = try ask()
        } catch {
            failure = Main.explain(error)?.message ?? "\(error)"
        }
        do {
            lostUntil = try lost()
            ledger = try open()
            stores = try ledger?.stores() ?? []
            records = try ledger?.episodes(since: .epoch) ?? []
            runs = try ledger?.runs(limit: Self.runLimit) ?? []
        } catch {
            failure = Main.explain(error)?.message ?? "the ledger cannot be read: \(error)"
        }
        episodeIDs = Set(records.map { $0.episode.id })
        records.removeAll { $0.episode.isExcused }
        (self.ledger, self.records, self.runs) = (ledger, records, runs)
        self.stores = stores
        (self.statuses, self.failure, self.lost) = (statuses, failure, lostUntil)
        let watched = Set(records.map { $0.path } + statuses.map { $0.path })
        let real = realPaths.find(watched, within: Self.patience)
        let mounts = mountTable()
        places = Dictionary(
            uniqueKeysWithValues: watched.map { path in
                (path, Self.forms(of: path, real: real[path], mounts))
            })
        self.mounts = mounts
    }

    /// What speaks against a store.
    func reasons(against store: StorePlace) -> [String] {
        let path = store.path
        var reasons = failure.map { [$0] } ?? []
        for status in statuses(about: path) where status.state == .suspect {
            reasons.append("the watcher suspects it: \(status.evidence)")
        }
        reasons += unkept(path).map { status, episode in
            "the watcher could not write episode \(episode) of it down yet, and says that it is "
                + status.state.word + (status.evidence.isEmpty ? "" : ": \(status.evidence)")
        }
        for record in records(about: path) {
            let episode = record.episode
            guard let closed = episode.closed else {
                reasons.append(
                    "episode \(episode.id) is open: \(episode.kind.sentence), since "
                        + episode.firstEvidence.wall.localText)
                continue
            }
            guard !isVerified(store, since: closed.wall) else { continue }
            reasons.append(
                "episode \(episode.id) (\(episode.kind.rawValue)) ended "
                    + "\(closed.wall.localText), and it was not verified from the medium since")
        }
        if let lost, !isVerified(store, since: lost) {
            reasons.append(
                "the ledger that knew of its episodes until \(lost.localText) is lost, and it was "
                    + "not verified from the medium since")
        }
        return reasons
    }

    /// Before this nothing that was kept of a store counts: the end of its last episode.
    func suspectEnd(of path: [UInt8]) -> Timestamp? {
        guard unkept(path).isEmpty else { return .now }
        return (records(about: path).map { $0.end ?? .now } + [lost].compactMap { $0 }).max()
    }

    /// The times in which it may have lost writes, each until its episode was closed.
    func spans(of path: [UInt8]) -> [SuspectSpan] {
        let known = records(about: path).map { record in
            SuspectSpan(
                start: record.window.start, end: record.end,
                reachesAll: record.episode.reachesAll,
                isUnwatched: record.episode.kind == .unwatched, noted: record.noted)
        }
        let unkept = unkept(path).map { _ in SuspectSpan(start: nil, end: nil, reachesAll: true) }
        let lost = lost.map {
            SuspectSpan(start: nil, end: $0, reachesAll: true, isUnwatched: true)
        }
        return known + unkept + [lost].compactMap { $0 }
    }

    /// Seconds by which the clock that sets a store's times is ahead of ours, as it was last seen.
    func clock(of path: [UInt8]) -> Int64 {
        stores.filter { isSamePlace($0.path, path) }.compactMap { $0.sight?.clock }
            .max { $0.magnitude < $1.magnitude } ?? 0
    }

    /// The same of both stores of a pair, as they count against one of its modules.
    func spans(
        against module: Module, of pair: Configuration.Pair, _ overrides: [Overrides.Override]
    ) throws -> Sides<[SuspectSpan]> {
        // Whatever it was then, its service was let run.
        let released = try (ledger?.standings(of: module.name, .released) ?? [])
            .map { $0.looked...$0.looked }
        let opened = overrides.filter { $0.module == module.name }
            .map { $0.given...max($0.given, $0.until) }
        // Before it was what it is now its data were another module's, or nobody's.
        let terms = pair.terms(of: module)
        let known = try ledger?.standings(of: module.name).last { $0.terms == terms }
        return pair.stores.map { spans(of: $0.path) }
            .knowing(openings: released + opened, since: known?.looked)
    }

    /// The suspect windows of the last incident of some stores, each up to now while it is open.
    func lastWindows(of stores: Sides<StorePlace>) -> [(start: Timestamp, end: Timestamp)] {
        let now = Timestamp.now
        let paths = [stores.a.path, stores.b.path]
        let known = paths.flatMap { records(about: $0) }
        // A reboot that comes before an outage was dealt with does not take its place.
        let outages = [stores.a, stores.b].flatMap { store in
            records(about: store.path).filter { record in
                record.episode.kind != .unwatched
                    && !(record.end.map { isVerified(store, since: $0) } ?? false)
            }
        }
        let last = (outages.isEmpty ? known : outages)
            .max { $0.window.end ?? now < $1.window.end ?? now }
        let windows = known.filter { $0.episode.incident == last?.episode.incident }.map { record in
            // Where nothing ever was good, the first evidence is the best guess there is.
            let start = record.window.start ?? record.episode.firstEvidence.wall
            return (start, record.window.end ?? now)
        }
        return windows + paths.flatMap { unkept($0) }.map { ($0.status.since ?? now, now) }
    }

    /// Why nothing is to be copied from or to a store now; nil where nothing speaks against it.
    func refusal(for path: [UInt8]) -> String? {
        if let failure { return "whether '\(escaped(path))' is well is not known: \(failure)" }
        for status in statuses(about: path) where status.state != .ok {
            // It has just been started, where there is nothing to say.
            if status.state == .unknown, status.evidence.isEmpty { continue }
            return "'\(escaped(path))' is \(status.state.word): \(status.evidence)"
        }
        let open = records(about: path).first { $0.episode.isOpen }
        return open.map {
            "'\(escaped(path))' has an open episode, \($0.episode.id): "
                + $0.episode.kind.sentence
        }
    }

    /// That of two stores which is open, or was over last; nil where neither had any.
    func lastEpisode(of paths: Sides<[UInt8]>) -> EpisodeRecord? {
        let known = records(about: paths.a) + records(about: paths.b)
        return known.first { $0.episode.isOpen }
            ?? known.max { ($0.settled ?? .epoch) < ($1.settled ?? .epoch) }
    }

    /// A word for the episode of two stores that was closed, or noted, last; a ledger that was lost
    /// may have known of one.
    func lastEpisodeWord(of paths: Sides<[UInt8]>) -> String? {
        let known = (records(about: paths.a) + records(about: paths.b))
            .compactMap { record in record.settled.map { (record.episode.id, $0) } }
        let unknown = lost.map { ("lost-ledger-\($0.seconds)", $0) }
        return (known + [unknown].compactMap { $0 }).max { $0.1 < $1.1 }?.0
    }

    /// Where the services of some modules were writing in the last incident of their stores.
    ///
    /// - Throws: `HotPathError` where that is too much.
    func hotPaths(
        of modules: [Module], _ stores: Sides<StorePlace>
    ) throws(HotPathError) -> HotPaths {
        let patterns = modules.flatMap(\.hot).map { Array($0.utf8) }
        guard !patterns.isEmpty else { return HotPaths() }
        return try HotPaths(patterns, days: try days(of: stores))
    }

    /// The days of the last incident's suspect windows.
    ///
    /// - Throws: `HotPathError` where they are too many.
    func days(of stores: Sides<StorePlace>) throws(HotPathError) -> [CalendarDay] {
        var days: Set<CalendarDay> = []
        for (start, end) in lastWindows(of: stores) {
            guard let more = CalendarDay.local(from: start, to: end, limit: HotPaths.limit) else {
                throw HotPathError(
                    reason: "the suspect window has more than \(countText(HotPaths.limit)) days")
            }
            days.formUnion(more)
        }
        return Array(days)
    }

    /// What was found to differ between two stores.
    func mismatches(_ stores: Sides<StorePlace>, in state: StateFolder) throws -> Mismatches {
        let known = try comparisons(of: stores, in: state)
        return try Mismatches(
            known.runs, of: stores.map { $0.identity }, since: known.since, in: state)
    }

    /// The comparisons of two stores, the one that ended last first; and since when all are known
    /// of, where earlier ones are not.
    func comparisons(
        of stores: Sides<StorePlace>, in state: StateFolder
    ) throws -> (runs: [KnownComparison], since: Timestamp?) {
        // Of those before the newest, what found nothing counts for nothing.
        let isCut = runs.count == Self.runLimit
        let older =
            isCut ? try runs.last.flatMap { try ledger?.findings(before: $0.began) } ?? [] : []
        // Made where there was no ledger, or while it could not be written; or gone on with since.
        let known = try ledger?.goodRunIDs() ?? []
        let kept =
            try RunFolder.records(in: state.runs, except: known)
            + (state.forgotten().map { try RunFolder.records(in: $0) } ?? [])
        let all = Dictionary(
            (kept + runs + older).map { ($0.id, $0) }, uniquingKeysWith: { kept, _ in kept })
        let ofPair = all.values.sorted { ($0.ended, $0.id) > ($1.ended, $1.id) }
            .compactMap { KnownComparison($0, of: stores) }
        return (ofPair, older.count == Ledger.findingsLimit ? older.last?.began : nil)
    }

    /// What is asked once a run has read everything: what speaks by then against what it found.
    func doubts(
        about run: RunFolder, in state: StateFolder
    ) throws -> @Sendable () -> Sides<[String]> {
        let (header, wasKnown) = (try run.header(), failure == nil)
        return {
            let now = EpisodeKnowledge(state)
            return Sides(a: header.a, b: header.b).map {
                now.doubts(about: $0, since: header.started, wasKnown: wasKnown)
            }
        }
    }

    private func doubts(
        about path: [UInt8], since began: Timestamp, wasKnown: Bool
    ) -> [String] {
        let ids =
            records(about: path).filter { ($0.end ?? .now) >= began }.map { $0.episode.id }
            + unkept(path).map(\.episode)
        let doubts = ids.map {
            "had episode \($0) while this ran: what it found is not to be trusted, verify again "
                + "when it is closed"
        }
        guard let failure, wasKnown else { return doubts }
        return doubts + ["may have had an episode while this ran: \(failure)"]
    }

    var hasLedger: Bool { ledger != nil }

    /// Notes what was found out about a module where there is a ledger.
    func note(_ standing: StandingRecord) throws { try ledger?.save(standing) }

    /// Keeps with a run how far its result reaches, and notes it where there is a ledger: what that
    /// has not, the runs themselves say.
    ///
    /// - Parameters:
    ///   - external: what the configuration had left out, as `RunTerms.exclusions`.
    ///   - readsAll: whether also what is on one side only was read, or of another size: where that
    ///     is not, only who finds no difference has read everything.
    ///   - known: what the stores are, and how they were read, of a run that has no terms: it did
    ///     not read both.
    func note(
        _ run: RunFolder, _ summary: Summary, external: Digest? = nil, readsAll: Bool = true,
        known: (stores: Sides<StoreIdentity?>, assurance: Assurance)? = nil
    ) throws {
        let terms = try run.terms()
        let isWhole =
            summary.ending == .complete && summary.notVerified == 0
            && summary.tally.entries > 0 && summary.tally.unstable == 0
            && summary.tally.unreadable == 0 && summary.doubtLines.isEmpty
            && terms?.exclusions == external ?? Filter.none.digest && terms?.selection == nil
            && terms?.aspects.contains(.content) == true
            && (readsAll || summary.tally.findings == 0)
        let stores = terms?.stores.map { Optional($0.identity) } ?? known?.stores
        try run.save(
            RunReach(
                ended: .now, assurance: terms?.assurance ?? known?.assurance, isWhole: isWhole,
                identities: stores ?? Sides(a: nil, b: nil)))
        do {
            guard let ledger, let record = try run.record() else { return }
            try ledger.save(record)
        } catch {
            Main.complain(Main.explain(error)?.message ?? "\(error)")
        }
    }

    /// What the watcher knows of a store's episodes and could not write down, open or over by now,
    /// each with the store.
    func unkept(_ path: [UInt8]) -> [(status: StoreStatus, episode: String)] {
        unkept(statuses(about: path))
    }

    /// The same of every store.
    var unkept: [(status: StoreStatus, episode: String)] { unkept(statuses) }

    private func unkept(
        _ statuses: [StoreStatus]
    ) -> [(status: StoreStatus, episode: String)] {
        statuses.compactMap { status in
            ([status.episode].compactMap { $0 } + status.recent)
                .first { !episodeIDs.contains($0) }
                .map { (status, $0) }
        }
    }

    func records(about path: [UInt8]) -> [EpisodeRecord] {
        let paths = forms(of: path)
        return records.filter { isAbout($0.path, paths) }
    }

    func statuses(about path: [UInt8]) -> [StoreStatus] {
        let paths = forms(of: path)
        return statuses.filter { isAbout($0.path, paths) }
    }

    /// What a store may be called. One that hangs is not asked again where it lies.
    private func forms(of path: [UInt8]) -> [Components] {
        if let known = places[path] { return known }
        let real = answer(within: Self.patience) { realPath(path) }
        return Self.forms(of: path, real: real ?? nil, mounts)
    }

    private static func forms(
        of path: [UInt8], real: [UInt8]?, _ mounts: MountTable?
    ) -> [Components] {
        let real = real ?? path
        return ([path, real] + (mounts?.names(of: real) ?? [])).map(components)
    }

    /// Whether a watched store is the one at a path, holds it, or lies in it.
    private func isAbout(_ watched: [UInt8], _ paths: [Components]) -> Bool {
        places[watched, default: []].contains { watched in
            paths.contains { $0.starts(with: watched) || watched.starts(with: $0) }
        }
    }

    /// Whether all of it was read from the medium in a run that began later.
    private func isVerified(_ store: StorePlace, since time: Timestamp) -> Bool {
        runs.contains { run in
            run.isWhole && run.assurance == Assurance.media.rawValue && run.began >= time
                && run.began <= .now && store.wasRead(by: run)
        }
    }
}

extension EpisodeRecord {
    /// When it was over: not before it was closed, whatever was good again by then. Nil while it is
    /// open.
    var end: Timestamp? {
        episode.closed.map { max($0.wall, window.end ?? $0.wall) }
    }

    /// Since when what is verified is held against it; nil while it is open.
    var settled: Timestamp? { end.map { max($0, noted ?? $0) } }
}

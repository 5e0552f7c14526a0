import ArgumentParser
import Glibc
import ResyncCore
import ResyncEngine
import ResyncLedger
import ResyncStorage

struct NightlyCommand: ResyncCommand {
    static let configuration = CommandConfiguration(
        commandName: "nightly",
        abstract: "Compare all pairs of the configuration, as cron or a timer does each night.",
        discussion: """
            Each pair is compared by what changed since the night before, and what was read \
            longest ago is read again from the medium, so that everything is read within the \
            pair's max-age. It keeps to the pair's windows: what does not fit goes on the next \
            night. Nothing is printed while the copies agree; what is new or worse than the night \
            before is, a line where they still differ, and what was not read within max-age. The \
            status is that of verify, 75 \
            while another one runs.
            """)

    @Argument(help: ArgumentHelp("Only these pairs.", valueName: "PAIR"))
    var pairs: [String] = []

    @OptionGroup var file: ConfigurationOptions
    @OptionGroup var state: StateOptions

    mutating func execute() throws -> ExitStatus {
        let configuration = try ConfigurationFile.load(file.path)
        let names = Set(configuration.pairs.map(\.name))
        if let unknown = pairs.first(where: { !names.contains($0) }) {
            throw CommandError(
                "the configuration has no pair '\(escaped(unknown.utf8))'", .usage)
        }
        let state = try state.open()
        let own = try state.folder.folder(Array("nightly".utf8), create: true)
        guard try own.lock(exclusive: true) else {
            throw CommandError("another nightly works with this state folder", .locked)
        }
        defer { withExtendedLifetime(own) {} }
        var status = ExitStatus.ok
        let wanted = configuration.pairs.filter { pairs.isEmpty || pairs.contains($0.name) }
        // One whose night fills its window must not keep the others from theirs for ever.
        let begun = try wanted.map { try NightMemory(own, $0.name).last().begun ?? .epoch }
        for (pair, _) in zip(wanted, begun).enumerated().sorted(by: {
            ($0.element.1, $0.offset) < ($1.element.1, $1.offset)
        }).map(\.element) {
            do {
                status.merge(
                    try Night(pair, configuration, state, own, file.path).perform())
            } catch {
                // The other pairs are compared all the same.
                guard let known = Main.explain(error) else { throw error }
                Main.complain("\(pair.name): \(known.message)")
                status.merge(known.status)
            }
        }
        return status
    }
}

/// One pair's night.
private struct Night {
    private let pair: Configuration.Pair
    private let configuration: Configuration
    private let state: StateFolder
    private let memory: NightMemory
    private let began = Timestamp.now
    /// That lead to the same configuration and state.
    private let options: [String]
    /// What is said of modules makes of the night.
    private let broken = Broken()

    private final class Broken {
        var status = ExitStatus.ok
    }

    /// What watches over the pair verifies it after an episode: it must not wait for the night.
    private let alarm: EpisodeAlarm

    /// Files that are chosen to be read again, at a time: some hundred bytes each.
    private static let portion = 1_000_000
    /// So much more than the least is read again each night: a night may fail.
    private static let margin = 1.2
    private static let night = 86400.0
    /// Seconds without a comparison that came to its end, where no max-age is set.
    private static let patientAge = 3 * night
    /// Seconds in which a store that lives has answered.
    private static let patience = 60.0
    private static let shown = 100

    init(
        _ pair: Configuration.Pair, _ configuration: Configuration, _ state: StateFolder,
        _ folder: Folder, _ path: [UInt8]
    ) throws {
        (self.pair, self.configuration) = (pair, configuration)
        self.state = state
        memory = NightMemory(folder, pair.name)
        alarm = EpisodeAlarm(pair, state)
        options = [
            "--config=\(RawArguments.text(absolutePath(path)))",
            "--state=\(RawArguments.text(absolutePath(state.path)))",
        ]
    }

    func perform() throws -> ExitStatus {
        guard let time = pair.timeLeft(at: .now) else {
            Main.complain("\(pair.name): it is in none of its windows now")
            return try leave()
        }
        let end = monotonicSeconds() + time
        // What a watcher verifies after an episode comes first.
        guard let turn = try turn(until: end) else {
            Main.complain("\(pair.name): its stores were being verified all the time")
            return try leave()
        }
        defer { withExtendedLifetime(turn) {} }
        try memory.change { $0.begun = began }
        let isTurn = try pair.maximumAge.map { try isImageTurn($0) } ?? false
        // After an episode nothing that is kept counts until all was read from the medium once.
        let isDoubted = try hadEpisode()
        let isOfImages = try isOfImages()
        let (result, run) = try compare(
            isTurn || isDoubted ? .media : isOfImages ? .hash : .cached, until: end)
        var status = result.summary.status
        let ending = result.summary.ending
        if ending == .complete, isOfImages {
            if isTurn || isDoubted, result.summary.isRead {
                try memory.change { $0.imageRead = run.id }
            }
        } else if ending == .complete, let age = pair.maximumAge {
            status.merge(try readAgain(age, until: end, known: run.id))
        }
        if ending == .complete || ending == .outOfTime { status.merge(try tellOverdue()) }
        if alarm.isRaised {
            Main.complain(
                "\(pair.name): one of its stores is in an episode, so that its night is over")
        }
        status.merge(broken.status)
        return status
    }

    /// Without a comparison, which is overdue some day.
    private func leave() throws -> ExitStatus {
        try memory.change { $0.since = $0.since ?? began }
        var status = ExitStatus.outOfTime
        status.merge(try tellOverdue())
        return status
    }

    private func hadEpisode() throws -> Bool {
        let knowledge = EpisodeKnowledge(state)
        return try Side.allCases.contains { side in
            let site = try site(pair.stores[side].path)
            return !knowledge.reasons(against: StorePlace(site)).isEmpty
        }
    }

    private func turn(until end: Double) throws -> [Folder]? {
        while true {
            if let turn = try state.turn(at: pair.stores.map { $0.path }) { return turn }
            guard monotonicSeconds() < end else { return nil }
            pause(milliseconds: 200)
        }
    }

    // MARK: What changed

    private func compare(
        _ level: Assurance, until end: Double
    ) throws -> (result: VerifyResult, run: RunFolder) {
        let before = try memory.last()
        let (result, run) = try begin(before, level, until: end)
        let isOver = result.summary.ending == .complete
        try tell(result, run, since: before.complete)
        try memory.change { last in
            if isOver { last.complete = run.id }
            // What falls into an episode is not to be trusted, however it goes on.
            last.unfinished = isOver || alarm.isRaised ? nil : run.id
            last.since = isOver ? nil : last.since ?? began
        }
        return (result, run)
    }

    /// Goes on with what last night had to leave, where that can be.
    private func begin(
        _ before: NightMemory.Last, _ level: Assurance, until end: Double
    ) throws -> (result: VerifyResult, run: RunFolder) {
        let words = ["--assurance=\(level.rawValue)", pair.name]
        if let id = before.unfinished {
            do {
                return try verify(words, nil, resuming: id, until: end)
            } catch is RunError {
                // It was begun otherwise, or is gone: then it begins anew.
            }
        }
        return try verify(words, nil, resuming: nil, until: end)
    }

    /// Makes way for a person who is about to change a store, and begins anew when that is done:
    /// what was open at the stop would only be said to have changed.
    private func verify(
        _ words: [String], _ within: Selection?, resuming id: String?, until end: Double
    ) throws -> (result: VerifyResult, run: RunFolder) {
        var (result, run) = try verifyOnce(words, within, resuming: id, until: end)
        while result.summary.ending == .outOfTime, !alarm.isRaised,
            monotonicSeconds() < end - 1
        {
            pause(milliseconds: 1000)
            do {
                let next = try verifyOnce(words, within, resuming: nil, until: end)
                try run.delete(from: state.runs)
                (result, run) = next
            } catch let error as CommandError where error.status == .locked {
                // It is still being changed.
            }
        }
        return (result, run)
    }

    private func verifyOnce(
        _ words: [String], _ within: Selection?, resuming id: String?, until end: Double
    ) throws -> (result: VerifyResult, run: RunFolder) {
        let left = max(1, end - monotonicSeconds())
        let limit = left.isFinite ? ["--max-duration=\(left)s"] : []
        let arguments = ["verify", "--yields"] + options + limit + words
        guard let command = try Resync.parseAsRoot(arguments) as? VerifyCommand else {
            throw CommandError("verify is no command", .defect)
        }
        let (targeted, named) = try command.targeted()
        let part = within.flatMap { within in named.map { VerifyTarget($0, within: within) } }
        let target = part ?? named
        let style = try ProgressStyle.parse("none", quiet: true)
        var verification = try Verification(
            targeted, target, resuming: id, arguments: arguments)
        verification.isOver = { [alarm] in alarm.isRaised }
        let found = try verification.compare(
            style, try ReportFiles(targeted.report)
        ) { _, _, level in
            for line in level.lines { Main.complain("\(pair.name): trouble on \(line)") }
        }
        for (module, findings) in found.result.policies.sorted(by: { $0.key < $1.key }) {
            for sentence in findings.sentences {
                try write("\(pair.name): module \(module): \(sentence)\n")
            }
            broken.status.merge(.differences)
        }
        for standing in found.standings where try standing.isTrouble || isStillShut(standing) {
            try write("\(pair.name): \(standing.line)\n")
            broken.status.merge(.trouble)
        }
        if !found.isTidy { broken.status.merge(.trouble) }
        return (found.result, found.run.folder)
    }

    /// Whether a module is not proven, and its gate not open by what was known before.
    private func isStillShut(_ standing: StandingRecord) throws -> Bool {
        guard standing.answer == .undecided else { return false }
        let knowledge = EpisodeKnowledge(state)
        // Without a ledger there are no gates.
        guard knowledge.hasLedger else { return false }
        return try knowledge.gate(configuration.module(standing.module), configuration).answer
            != .open
    }

    // MARK: What was read longest ago

    /// Of images and devices nothing is kept, so that no part of them can have its turn.
    private func isOfImages() throws -> Bool {
        try site(pair.stores.a.path).facts.kind != .directory
    }

    /// Whether they would be overdue by the next night. They are compared anyway, wholly: then it
    /// is from the medium.
    private func isImageTurn(_ age: Double) throws -> Bool {
        guard try isOfImages() else { return false }
        return try lastImageRead().map { isLate($0, by: age - Self.night) } ?? true
    }

    /// When these images were last read from the medium; nil where that is not known.
    private func lastImageRead() throws -> Timestamp? {
        guard let id = try memory.last().imageRead,
            let run = try? RunFolder.open(id, in: state.runs), let terms = try? run.terms(),
            terms.assurance == .media, terms.stores.map({ $0.identity }) == (try identities())
        else { return nil }
        return try? run.header().started
    }

    /// A time that is still to come is of a clock that was wrong.
    private func isLate(_ time: Timestamp, by seconds: Double) -> Bool {
        time > .now || self.seconds(since: time) >= seconds
    }

    private func seconds(since time: Timestamp) -> Double {
        Double(began.seconds) - Double(time.seconds)
    }

    /// - Parameter known: the run that has compared everything tonight.
    private func readAgain(
        _ age: Double, until end: Double, known: String
    ) throws -> ExitStatus {
        var status = ExitStatus.ok
        let share = min(1, Self.margin * Self.night / age)
        var (done, last, isOver): (Int, OldestRead.Place?, Bool) = (0, nil, true)
        while let oldest = try oldest(age, share, done, after: last), !oldest.paths.isEmpty {
            let (result, run) = try verify(
                ["--assurance=media", pair.name], Selection(oldest.paths), resuming: nil, until: end
            )
            try tell(result, run, since: known, isAgain: true)
            status.merge(result.summary.status)
            isOver = result.summary.ending == .complete
            guard let next = oldest.last, isOver else { break }
            (done, last) = (done + oldest.bytes, next)
        }
        if isOver { try memory.change { $0.reread = began } }
        return status
    }

    /// Also of a night that did not come to reading again, or to anything.
    private func tellOverdue() throws -> ExitStatus {
        let age = pair.maximumAge
        var status = try tellUnfinished(age ?? Self.patientAge)
        if let age { status.merge(try tellOld(age)) }
        return status
    }

    /// Of what no comparison came to yet no record tells how old it is.
    private func tellUnfinished(_ age: Double) throws -> ExitStatus {
        guard let since = try memory.last().since, seconds(since: since) > age
        else { return .ok }
        try write(
            "\(pair.name): no comparison has come to its end since \(since.localText), which is "
                + "more than \(durationText(age)): its nights are too short\n")
        return .trouble
    }

    private func tellOld(_ age: Double) throws -> ExitStatus {
        if try isOfImages() {
            guard let last = try lastImageRead(), isLate(last, by: age) else { return .ok }
            try write(
                "\(pair.name): it was not read from the medium within \(durationText(age)), but "
                    + "last \(last.localText)\n")
            return .trouble
        }
        guard let left = try oldest(age, 0, limit: 0), left.overdue > 0, let since = left.oldest
        else { return .ok }
        try write(
            "\(pair.name): \(countText(left.overdue)) files, \(sizeText(left.overdueBytes)), were "
                + "not read within \(durationText(age)); the oldest was read "
                + "\(since.localText)\n")
        return .trouble
    }

    private func oldest(
        _ age: Double, _ share: Double, _ done: Int = 0, after place: OldestRead.Place? = nil,
        limit: Int = Self.portion
    ) throws -> OldestRead? {
        let identities = try identities()
        return try state.baselines.find(identities).map {
            try OldestRead(
                $0, at: began, since: try memory.last().reread, age: age, pause: Self.night,
                share: share, done: done,
                after: place, limit: limit)
        }
    }

    private func identities() throws -> Sides<StoreIdentity> {
        try pair.stores.map { try site($0.path).identity }
    }

    private func site(_ path: [UInt8]) throws -> LocalSite {
        try answered(within: Self.patience, path) {
            try LocalSite(path: path, disk: LinuxDisk(), options: LocalSiteOptions())
        }
    }

    // MARK: What is said

    /// - Parameters:
    ///   - known: the run that was told of before.
    ///   - isAgain: whether that was tonight.
    private func tell(
        _ result: VerifyResult, _ run: RunFolder, since known: String?, isAgain: Bool = false
    ) throws {
        let summary = result.summary
        guard summary.status != .ok, summary.status != .outOfTime else { return }
        var news = try NightNews(
            known.flatMap { try? RunFolder.open($0, in: state.runs).results() })
        var reader = try run.results()
        while let record = try reader.next() {
            if case .difference(let difference) = record, difference.outcome != .expected {
                try news.add(difference)
            }
        }
        guard news.count > 0 || summary.status == .trouble else {
            // What is read again tonight was told of before.
            guard news.known > 0, !isAgain else { return }
            return try write(
                "\(pair.name): nothing new, and \(countText(news.known)) known from before: "
                    + "'resync runs show \(run.id)'\n")
        }
        var text = "\(pair.name): \(escaped(pair.stores.a.path)) and "
        text += "\(escaped(pair.stores.b.path))\n"
        for line in news.lines.prefix(Self.shown) { text += line + "\n" }
        if news.count > Self.shown { text += "… \(countText(news.count - Self.shown)) more\n" }
        if news.known > 0 { text += "\(countText(news.known)) known from before\n" }
        text += TextReport.closing(summary, result.stalled, run.id)
        text += "all of it: resync runs show \(run.id)\n"
        try write(text)
    }

    private func write(_ text: String) throws {
        try StandardOutput.shared.write(text)
        try StandardOutput.shared.flush()
    }
}

/// What differs now, held against what an earlier run found, both in walk order.
private struct NightNews {
    private static let kept = 1000

    private var before: ResultReader?
    private var front: Difference?
    private(set) var count = 0
    private(set) var known = 0
    private(set) var lines: [String] = []

    init(_ before: ResultReader?) throws {
        self.before = before
        try advance()
    }

    mutating func add(_ difference: Difference) throws {
        while let front, front.path < difference.path { try advance() }
        if let front, difference.isNoMore(than: front) {
            known += 1
            return
        }
        count += 1
        if lines.count < Self.kept { lines.append(TextReport.line(difference)) }
    }

    private mutating func advance() throws {
        front = nil
        while let record = try before?.next() {
            guard case .difference(let difference) = record else { continue }
            return front = difference
        }
    }
}

extension Summary {
    /// Whether nothing was left out for not being readable at the level that was asked for.
    fileprivate var isRead: Bool { notVerified == 0 && tally.unreadable == 0 }
}

extension Configuration.Pair {
    /// Seconds that are left of the window it is in, by the local clock; infinite where it may run
    /// at any time, nil where it is in none.
    fileprivate func timeLeft(at now: Timestamp) -> Double? {
        guard !windows.isEmpty else { return .infinity }
        guard let fields = now.localFields else { return nil }
        return windows.secondsLeft(
            at: Int(fields.tm_hour) * 3600 + Int(fields.tm_min) * 60 + min(59, Int(fields.tm_sec)))
    }
}

import GRDB
import ResyncCore
import TestSupport
import Testing

@testable import ResyncLedger

/// What is put into the ledger comes out of it as it was.
@Suite struct LedgerTests {
    /// Strings that only look alike are not the same.
    private func isSame(_ left: EpisodeRecord, _ right: EpisodeRecord) -> Bool {
        func texts(_ record: EpisodeRecord) -> [[UInt8]] {
            let episode = record.episode
            let all =
                [
                    episode.id, episode.store, episode.bootID, episode.incident,
                    episode.recurrenceOf ?? "", episode.note,
                ] + episode.evidence.map { $0.what }
            return all.map { Array($0.utf8) }
        }
        return left == right && texts(left) == texts(right)
    }

    @Test func everyFieldOfAnEpisodeComesBack() throws {
        var seed = Seed.fromEnvironment()
        let stage = try LedgerStage()
        let ledger = try stage.open()
        let records = seed.episodes(rounds(60))
        for record in records { try ledger.save(record) }
        for ledger in [ledger, try stage.open()] {
            for record in records {
                let found = try #require(try ledger.episode(record.episode.id))
                let isWhole = isSame(found, record)
                #expect(isWhole, "\(record.episode.id)")
                #expect(found.window.start == record.window.start)
                #expect(found.window.end == record.window.end)
            }
        }
    }

    /// What it had more of before is gone.
    @Test func anEpisodeIsReplacedWhole() throws {
        var seed = Seed.fromEnvironment()
        let stage = try LedgerStage()
        let ledger = try stage.open()
        let bystander = seed.episode("bystander", incident: "i1")
        try ledger.save(bystander)
        for _ in 0..<rounds(30) {
            let record = seed.episode("e1", incident: "i2")
            try ledger.save(record)
            let isWhole = isSame(try #require(try ledger.episode("e1")), record)
            #expect(isWhole)
        }
        let isUntouched = isSame(try #require(try ledger.episode("bystander")), bystander)
        #expect(isUntouched)
        #expect(try ledger.episodes(since: Timestamp(number: .min)).count == 2)
    }

    @Test func theNewestStandingOfEachModuleIsFound() throws {
        var seed = Seed.fromEnvironment()
        let stage = try LedgerStage()
        let ledger = try stage.open()
        #expect(try ledger.newestStandings().isEmpty)
        var newest: [String: StandingRecord] = [:]
        for _ in 0..<rounds(300) {
            let answers: [ResyncCore.Gate.Standing.Answer] = [.released, .different, .undecided]
            var standing = StandingRecord(
                module: "m\(seed.below(40))", terms: seed.text(), pair: seed.text(),
                run: seed.text(),
                began: Timestamp(seconds: Int64(seed.below(1000)), nanoseconds: 5),
                looked: Timestamp(seconds: Int64(seed.below(1000)) - 500, nanoseconds: 7),
                answer: answers[seed.below(3)], scope: seed.flag() ? .full : .suspect,
                assurance: seed.text(), entries: seed.below(.max), bytes: seed.below(.max),
                oldest: seed.flag() ? Timestamp(seconds: 3, nanoseconds: 1) : nil,
                reason: seed.text())
            standing.checkExit = seed.flag() ? seed.below(256) : nil
            try ledger.save(standing)
            // Each comes after those before it, whatever the clock said.
            newest[standing.module] = standing
        }
        let found = try ledger.newestStandings()
        let expected = newest.values.sorted { $0.module < $1.module }
        #expect(found.map { $0.run } == expected.map { $0.run })
        #expect(found.map { $0.answer } == expected.map { $0.answer })
        for standing in found {
            let all = try ledger.standings(of: standing.module)
            #expect(all.first == standing)
            for answer in [ResyncCore.Gate.Standing.Answer.released, .different, .undecided] {
                let own = try ledger.standings(of: standing.module, answer)
                #expect(own == all.filter { $0.answer == answer })
            }
        }
    }

    /// A clock that was set back does not leave a release on top of what was found later.
    @Test func aReleaseOfATimeToComeIsNone() throws {
        let stage = try LedgerStage()
        let ledger = try stage.open()
        func save(_ answer: ResyncCore.Gate.Standing.Answer, at seconds: Int64) throws {
            let time = Timestamp(seconds: seconds, nanoseconds: 0)
            try ledger.save(
                StandingRecord(
                    module: "m", terms: "", pair: "p", run: "r", began: time, looked: time,
                    answer: answer, scope: .full, assurance: "media", entries: 1, bytes: 1,
                    oldest: nil, reason: ""))
        }
        for seconds in [100, 900] as [Int64] { try save(.released, at: seconds) }
        try save(.different, at: 500)
        let found = try ledger.standings(of: "m")
        #expect(found.map { $0.answer } == [.different, .undecided, .released])
        #expect(found.map { $0.began.seconds } == [500, 900, 100])
        #expect(try ledger.newestStandings().map { $0.answer } == [.different])
        // An ordinary one leaves what was released before it.
        try save(.undecided, at: 950)
        #expect(try ledger.standings(of: "m", .released).map { $0.began.seconds } == [100])
    }

    /// Nor is it one for an episode that is noted before it.
    @Test func anEpisodeLeavesNoReleaseOfATimeToCome() throws {
        var seed = Seed.fromEnvironment()
        let stage = try LedgerStage()
        let ledger = try stage.open()
        for seconds in [100, 900] as [Int64] {
            let time = Timestamp(seconds: seconds, nanoseconds: 0)
            try ledger.save(
                StandingRecord(
                    module: "m\(seconds)", terms: "", pair: "p", run: "r", began: time,
                    looked: time, answer: .released, scope: .full, assurance: "media", entries: 1,
                    bytes: 1, oldest: nil, reason: ""))
        }
        var record = seed.episode("e", incident: "i")
        record.noted = Timestamp(seconds: 500, nanoseconds: 0)
        try ledger.save(record)
        #expect(try ledger.standings(of: "m100").map(\.answer) == [.released])
        #expect(try ledger.standings(of: "m900").map(\.answer) == [.undecided])
    }

    /// Of a run all that was decided of it, also where some was there already.
    @Test func whatWasDecidedComesBack() throws {
        var seed = Seed.fromEnvironment()
        let stage = try LedgerStage()
        let ledger = try stage.open()
        var all: [String: [Decision]] = [:]
        for _ in 0..<200 {
            let run = "r\(seed.below(9))"
            let rulings: [Decision.Ruling] = [.open, .accept(.a), .accept(.b)]
            all[run, default: []].append(
                Decision(
                    path: RelativePath([0xff, 0x0a, UInt8(1 + seed.below(40))]),
                    ruling: rulings[seed.below(3)], who: Array(seed.text().utf8),
                    when: seed.time(), reason: [0x1b, 0xfe]))
            try ledger.save(Decisions(all[run] ?? []), of: run)
        }
        let found = try ledger.decisions()
        #expect(found.map { $0.run } == all.keys.sorted())
        for (run, decisions) in found { #expect(decisions.all == all[run]) }
    }

    @Test func ofEachCheckTheLastIsKept() throws {
        var seed = Seed.fromEnvironment()
        let stage = try LedgerStage()
        let ledger = try stage.open()
        var last: [String: CheckRecord] = [:]
        for _ in 0..<100 {
            let check = CheckRecord(
                pair: "p\(seed.below(3))", name: "c\(seed.below(5))", began: seed.time(),
                ended: seed.time(), exit: seed.below(256), line: seed.text())
            try ledger.save(check)
            last["\(check.pair) \(check.name)"] = check
        }
        #expect(try ledger.checks() == last.sorted { $0.key < $1.key }.map(\.value))
    }

    @Test func aTimeBeyondTheColumnsIsTheLastThereIs() throws {
        var seed = Seed(1)
        let stage = try LedgerStage()
        let ledger = try stage.open()
        for (id, seconds) in [("late", Int64.max), ("early", Int64.min)] {
            var record = seed.episode(id, incident: "i")
            let moment = Moment(
                boot: .max, wall: Timestamp(seconds: seconds, nanoseconds: 999_999_999))
            (record.episode.firstGood, record.episode.closed) = (moment, moment)
            try ledger.save(record)
            let found = try #require(try ledger.episode(id)?.episode.closed)
            #expect(found.wall.number == (seconds > 0 ? .max : .min))
            #expect(found.boot == UInt64(Int64.max))
        }
    }

    /// Held against what a list would say.
    @Test func episodesAreFoundInTheirOrder() throws {
        var seed = Seed.fromEnvironment()
        let stage = try LedgerStage()
        let ledger = try stage.open()
        #expect(try ledger.lastEpisode() == nil)
        #expect(try ledger.openEpisodes().isEmpty)
        var records = seed.episodes(40)
        for record in records.shuffled(using: &seed) { try ledger.save(record) }
        records.sort {
            ($0.episode.firstEvidence.wall, $0.episode.id)
                < ($1.episode.firstEvidence.wall, $1.episode.id)
        }
        func ids(_ records: [EpisodeRecord]) -> [String] { records.map { $0.episode.id } }
        let open = records.filter { $0.episode.isOpen }
        #expect(try ids(ledger.openEpisodes()) == ids(open))
        #expect(try ledger.lastEpisode()?.episode.id == records.last?.episode.id)
        for time in (0..<20).map({ _ in seed.time() })
            + records.compactMap({ $0.episode.closed?.wall })
        {
            let expected = records.filter { $0.episode.closed.map { $0.wall >= time } ?? true }
            #expect(try ids(ledger.episodes(since: time)) == ids(expected))
        }
        for incident in Set(records.map { $0.episode.incident }) {
            let expected = records.filter { $0.episode.incident == incident }
            #expect(try ids(ledger.episodes(ofIncident: incident)) == ids(expected))
        }
        #expect(try ledger.episodes(ofIncident: "i").isEmpty)
    }

    @Test func aPartOfAnIDIsEnoughWhereOnlyOneHasIt() throws {
        var seed = Seed(7)
        let stage = try LedgerStage()
        let ledger = try stage.open()
        for id in ["e2026-1aaa", "e2026-1bbb", "e2026", "x'y%z"] {
            try ledger.save(seed.episode(id, incident: "i"))
        }
        func found(_ id: String) throws -> String? { try ledger.episode(id)?.episode.id }
        #expect(try found("1aaa") == "e2026-1aaa")
        #expect(try found("e2026-1b") == "e2026-1bbb")
        #expect(try found("e2026") == "e2026", "whole, it is nobody else's")
        #expect(try found("x'y") == "x'y%z")
        for several in ["e2026-", "e2026-1", "e"] { #expect(try found(several) == nil) }
        // In the middle, nothing, and what another language would make of it.
        for none in ["026-1a", "", "%", "_", "e2026_1aaa", "E2026-1AAA", "' OR 1 --"] {
            #expect(try found(none) == nil)
        }
    }

    @Test func storesComeBack() throws {
        var seed = Seed.fromEnvironment()
        let stage = try LedgerStage()
        let ledger = try stage.open()
        var all: [String: StoreRecord] = [:]
        for _ in 0..<10 {
            let some = (0..<8).map { _ -> StoreRecord in
                var record = StoreRecord(
                    name: "s\(seed.below(30))", path: seed.bytes(100), probeID: seed.text(),
                    penalty: FlapPenalty(
                        value: Double(seed.below(1_000_000)) / 3, at: seed.time(),
                        isSuppressed: seed.flag()))
                record.sequence = UInt64(seed.below(.max))
                record.fileSystem = seed.flag() ? seed.next() : nil
                record.bootID = seed.text()
                record.lastGood = seed.flag() ? seed.moment() : nil
                record.errors = seed.errors()
                record.sight = seed.flag() ? seed.sight(of: record) : nil
                return record
            }
            for record in some { all[record.name] = record }
            try ledger.save(some)
        }
        let expected = all.values.sorted { $0.name < $1.name }
        let isSame = try stage.open().stores() == expected
        #expect(isSame)
    }

    @Test func runsComeBackTheNewestFirst() throws {
        var seed = Seed.fromEnvironment()
        let stage = try LedgerStage()
        let ledger = try stage.open()
        let runs = (0..<40).map { number in
            RunRecord(
                id: "r\(number)", kind: seed.text(), a: seed.bytes(100), b: seed.bytes(100),
                began: seed.time(), ended: seed.time(), status: seed.flag() ? 0 : seed.below(140),
                verdict: seed.text(), assurance: seed.flag() ? "media" : seed.text(),
                isWhole: seed.flag(), findings: seed.flag() ? 0 : seed.below(100),
                identities: Sides(
                    a: seed.flag() ? nil : seed.identity(), b: seed.flag() ? nil : seed.identity()))
        }
        for run in runs + runs { try ledger.save(run) }
        let expected = runs.sorted { $0.began > $1.began }
        let isSame = try ledger.runs() == expected
        #expect(isSame)
        #expect(try ledger.runs(limit: 7).map { $0.id } == expected.prefix(7).map { $0.id })
        let older = expected.dropFirst(10).filter {
            $0.status != 0 || $0.findings > 0 || $0.isWhole && $0.assurance == "media"
        }
        #expect(try ledger.findings(before: expected[9].began).map { $0.id } == older.map { $0.id })
    }

    @Test func aSuspicionEndsOnce() throws {
        let stage = try LedgerStage()
        let ledger = try stage.open()
        func time(_ seconds: Int64) -> Timestamp { Timestamp(seconds: seconds, nanoseconds: 0) }
        for (store, seconds) in [("a", 1), ("b", 2), ("a", 3)] {
            let moment = Moment(boot: 1, wall: time(Int64(seconds)))
            let began = SuspicionNote(
                store, .began(Evidence(.probe, .soft, what: "probe.slow", at: moment)))
            let ended = SuspicionNote("a", .ended(time(2)))
            try ledger.save(seconds == 1 ? [ended, began, ended] : [began])
        }
        try ledger.save([SuspicionNote("a", .ended(time(9)))])
        let ends = try ledger.read { database in
            try Int64?.fetchAll(
                database, sql: "SELECT ended_wall FROM suspicion ORDER BY began_wall")
        }
        #expect(ends == [2_000_000_000, nil, 9_000_000_000])
    }
}

import Foundation
import Glibc
import TestSupport
import Testing

/// What a person says of a store, with a watcher and without.
@Suite struct EpisodeTests {
    private let day = 86400.0

    private func seconds(_ text: Any?) throws -> Double {
        let text = try #require(text as? String)
        return try #require(ISO8601DateFormatter().date(from: text)).timeIntervalSince1970
    }

    /// The window that an episode from these times has, in seconds since 1970, without its margin.
    private func times(
        _ scene: EpisodeStage, from: String, to: String, zone: String? = nil
    ) throws -> (Double, Double) {
        let episode = try scene.open("--from", from, "--to", to, zone: zone)
        return (try seconds(episode["first_evidence"]), try seconds(episode["closed"]))
    }

    // MARK: Times

    /// Civil times, and what they are in UTC by other means.
    @Test(arguments: [
        ("2026-01-15 17:50", "2026-01-15 19:15", "Europe/Rome", 1_768_495_800.0),
        ("2026-07-15 17:50", "2026-07-15 19:15", "Europe/Rome", 1_784_130_600.0),
        ("2026-01-15T17:50", "2026-01-15T19:15", "America/New_York", 1_768_517_400.0),
        ("2026-01-15 17:50Z", "2026-01-15 19:15Z", "America/New_York", 1_768_499_400.0),
        ("2026-01-15 17:50+01:00", "2026-01-15 19:15 +01:00", "UTC", 1_768_495_800.0),
        ("2026-01-15 17:50-05:30", "2026-01-15T19:15:00-05:30", "Asia/Tokyo", 1_768_519_200.0),
        ("2024-02-29 17:50", "2024-02-29 19:15", "UTC", 1_709_229_000.0),
    ])
    func aDateMeansWhatItSays(_ from: String, _ to: String, _ zone: String, _ start: Double) throws
    {
        let scene = try EpisodeStage()
        let found = try times(scene, from: from, to: to, zone: zone)
        #expect(found.0 == start)
        #expect(found.1 == start + 85 * 60)
    }

    /// A time of day alone is the latest such time past, in the zone of whoever says it.
    @Test(arguments: ["UTC", "Asia/Kolkata", "America/St_Johns", "Pacific/Kiritimati"])
    func aTimeOfDayIsTheLatestPast(_ zone: String) throws {
        let scene = try EpisodeStage()
        for hour in stride(from: 0, to: 24, by: 5) {
            let clock = "\(hour < 10 ? "0" : "")\(hour):17"
            let now = Date.now.timeIntervalSince1970
            let (start, end) = try times(scene, from: clock, to: clock, zone: zone)
            #expect(start == end)
            #expect(end <= now + 60 && end > now - day - 60, "\(zone) \(clock)")
            let local = try system("env", "TZ=\(zone)", "date", "-d", "@\(Int(end))", "+%H:%M")
            #expect(local == clock + "\n", "\(zone) \(clock)")
            // Before the end, not before now.
            let later = "\(hour < 9 ? "0" : "")\(hour + 1):16"
            guard hour < 23 else { continue }
            let span = try times(scene, from: clock, to: later, zone: zone)
            #expect(span.1 - span.0 == 59 * 60, "\(zone) \(clock)")
        }
    }

    /// What a store whose clock is behind was given in a window bears times from before it.
    @Test func aClockThatIsBehindWidensTheWindow() throws {
        let scene = try EpisodeStage()
        func start() throws -> Date {
            let episode = try scene.open("--from", "00:01", "--to", "00:02")
            let text = try #require(episode["suspect_from"] as? String)
            return try #require(ISO8601DateFormatter().date(from: text))
        }
        let usual = try start()
        let watched = """
            INSERT INTO store (name, path, probe_id, seen_boot, seen_wall, clock)
            VALUES ('mail/a', CAST('\(scene.stage.a)' AS BLOB), 'x', 1, 1, -600)
            """
        guard try sqlite(scene.ledger, watched)?.status == 0 else { return skip("needs sqlite3") }
        #expect(try usual.timeIntervalSince(start()) == 600)
    }

    @Test func whatIsEchoedCanBeSaid() throws {
        let scene = try EpisodeStage()
        let first = try scene.opening(
            ["--from", "2026-01-15 17:50", "--to", "2026-01-15 19:15"], zone: "Asia/Kolkata")
        #expect(
            first.errorText.contains(
                "not to be trusted from 2026-01-15 17:50:00 +05:30 to 2026-01-15 19:15:00 +05:30"),
            "\(first.report)")
        let again = try scene.opening(
            ["--from", "2026-01-15 17:50:00 +05:30", "--to", "2026-01-15 19:15:00 +05:30"],
            zone: "UTC")
        #expect(again.status == 0, "\(again.report)")
        let all = try scene.episodes("--since", "9000d")
        #expect(all.count == 2)
        #expect(all.first?["closed"] as? String == all.last?["closed"] as? String)
    }

    @Test(arguments: [
        ["--from", "2999-01-01 00:00"], ["--to", "2999-01-01 00:00"],
        ["--from", "17:50", "--to", "2999-01-01 00:00Z"],
    ])
    func whatIsStillToComeIsRefused(_ options: [String]) throws {
        let scene = try EpisodeStage()
        let found = try scene.opening(options)
        #expect(found.status == 64, "\(found.report)")
        #expect(found.errorText.contains("is still to come"), "\(found.report)")
        #expect(try scene.episodes().isEmpty)
    }

    @Test(arguments: [
        "now", "17", "17:60", "24:00", "17:50:99", "2026-02-29 10:00", "2026-04-31 10:00",
        "2026-13-01 10:00", "2026-00-10 10:00", "2026-01-00 10:00", "2026-01-01", "17:50+25:00",
        "17:50+1", "17:50 CET", "-1:30", "2026-01-01 10:00 11:00", "1e3:00", "１７:50",
    ])
    func whatIsNoTimeIsRefused(_ text: String) throws {
        let scene = try EpisodeStage()
        let found = try scene.opening(["--from=" + text])
        #expect(found.status == 64, "\(found.report)")
        #expect(found.errorText.contains("is no time or window"), "\(found.report)")
        #expect(try scene.episodes().isEmpty)
    }

    @Test func anEndBeforeTheBeginningIsRefused() throws {
        let scene = try EpisodeStage()
        let found = try scene.opening(["--from", "2026-01-02 10:00", "--to", "2026-01-01 10:00"])
        #expect(found.status == 64 && found.errorText.contains("ends before it begins"))
    }

    // MARK: Without a watcher

    @Test func anEpisodeIsOpenedAndClosedWithoutAWatcher() throws {
        let scene = try EpisodeStage()
        let nothing = try scene.run("episode", "list")
        #expect(nothing.status == 0 && nothing.text == "no episodes\n", "\(nothing.report)")
        let opened = try scene.opening(["--class", "io-error"])
        #expect(opened.status == 0, "\(opened.report)")
        #expect(opened.text.contains("mail/a  io-error") && opened.text.contains("OPEN"))
        let list = try scene.run("episode", "list")
        #expect(list.status == 1, "\(list.report)")
        #expect(list.text == opened.text)
        let id = try #require(try scene.episodes().first?["episode"] as? String)
        for part in [id, "last", String(id.suffix(4)), String(id.prefix(10))] {
            let shown = try scene.run("episode", "show", part)
            #expect(shown.status == 1, "\(shown.report)")
            #expect(shown.lines.first == "episode   \(id)", "\(shown.report)")
            #expect(shown.text.contains("a person: a test"), "\(shown.report)")
            #expect(shown.text.contains("to now, nothing was verified since"), "\(shown.report)")
        }
        let json = try objects(scene.run("episode", "show", id, "--json").lines)
        #expect(json.first?["class"] as? String == "io-error")
        #expect(json.first?["suspect_to"] == nil)

        let closed = try scene.run("episode", "close", id, "--note", "looked at it")
        #expect(closed.status == 0, "\(closed.report)")
        let after = try scene.run("episode", "show", id)
        #expect(after.status == 0, "\(after.report)")
        #expect(after.text.contains("EPISODE CLOSED by a person"), "\(after.report)")
        #expect(after.text.contains("note      looked at it"), "\(after.report)")
        #expect(!after.text.contains("to now"), "\(after.report)")
        let again = try scene.run("episode", "close", id, "--note", "x")
        #expect(again.status == 2 && again.errorText.contains("closed already"), "\(again.report)")
    }

    @Test func whatIsNotThereIsSaid() throws {
        let scene = try EpisodeStage()
        for words in [["show", "e1"], ["close", "e1", "--note", "x"]] {
            let found = try scene.stage.resync(["episode"] + words).run()
            #expect(found.status == 2 && found.errorText.contains("no episode 'e1'"))
        }
        for (store, reason) in [("mail/c", "no store 'mail/c'"), ("a b", "is no name of a store")] {
            let found = try scene.opening([], store: store)
            #expect(found.status == 64 && found.errorText.contains(reason), "\(found.report)")
        }
        let kind = try scene.opening(["--class", "bad"])
        #expect(kind.status == 64, "\(kind.report)")
        #expect(kind.errorText.contains("slow, admin-read-only, frozen"), "\(kind.report)")
        let maintenance = try scene.run("episode", "maintenance", "mail/a", "--for", "1h")
        #expect(maintenance.status == 2 && maintenance.errorText.contains("no watcher"))
        #expect(try scene.episodes().isEmpty)
    }

    /// A store has one open episode at a time: more is added to it.
    @Test func whatIsOpenIsNotOpenedTwice() throws {
        let scene = try EpisodeStage()
        try scene.open("--class", "stall")
        try scene.open("--class", "lost-write")
        try scene.open("--class", "slow")
        let all = try scene.episodes()
        #expect(all.count == 1)
        #expect(all.first?["class"] as? String == "lost-write")
        #expect(all.first?["classes"] as? [String] == ["stall", "lost-write"])
        #expect((all.first?["evidence"] as? [Any])?.count == 3)
        // A time before it would be lost with that.
        let early = try scene.opening(["--from", "2026-01-01 10:00"])
        #expect(
            early.status == 64 && early.errorText.contains("is open already"), "\(early.report)")
        try scene.open("--from", "2026-01-01 10:00", "--to", "2026-01-01 11:00")
        // The other store is another matter.
        try scene.open(store: "mail/b")
        #expect(try scene.episodes("--since", "9000d").count == 3)
    }

    /// The second within a day of the end of the first repeats it; one of a week later does not.
    @Test func episodesThatBelongTogetherAreLinked() throws {
        let scene = try EpisodeStage()
        func at(_ text: String) -> String { "2026-01-\(text)" }
        try scene.open("--from", at("10 17:50"), "--to", at("10 19:15"))
        try scene.open("--from", at("11 00:10"), "--to", at("11 03:00"))
        try scene.open("--from", at("11 00:11"), "--to", at("11 03:00"), store: "mail/b")
        try scene.open("--from", at("18 00:10"), "--to", at("18 03:00"))
        let all = try scene.episodes("--since", "9000d")
        let incidents = all.compactMap { $0["incident"] as? String }
        #expect(all.compactMap { $0["ordinal"] as? Int } == [1, 2, 1, 1])
        #expect(all[1]["recurrence_of"] as? String == all[0]["episode"] as? String)
        #expect(Set(incidents.prefix(3)).count == 1 && incidents[3] != incidents[0])
        let shown = try scene.run("episode", "show", incidents[0])
        #expect(shown.lines.first == "incident  \(incidents[0]): 3 episodes", "\(shown.report)")
        #expect(shown.text.contains("repeats   \(all[0]["episode"] as? String ?? "?")"))
        #expect(shown.text.contains("(number 2 of its incident)"), "\(shown.report)")
    }

    @Test func theListBeginsWhereItIsAskedTo() throws {
        let scene = try EpisodeStage()
        let old = Date.now.addingTimeInterval(-40 * day).formatted(.iso8601)
        let time = String(old.prefix(16))
        try scene.open("--from", time + "Z", "--to", time + "Z")
        #expect(try scene.episodes().isEmpty, "of the last 30 days")
        #expect(try scene.episodes("--since", "41d").count == 1)
        let found = try scene.run("episode", "list", "--since", "x")
        #expect(found.status == 64, "\(found.report)")
    }

    // MARK: With a watcher

    /// What was opened before the watcher came ends when probes prove it.
    @Test func theWatcherTakesOverWhatAPersonOpened() throws {
        let store = try Stage()
        var id: String?
        let stage = try WatchStage(store.a, starts: "recovering") { stage in
            let opened = try stage.resync([
                "episode", "open", "mail/a", "--note", "x", "--config",
                stage.folder + "/config.yaml",
            ]).run()
            #expect(opened.status == 0, "\(opened.report)")
            id = opened.text.components(separatedBy: " ").first
        }
        #expect(stage.report.contains("still open: \(id ?? "?")"), "\(stage.report)")
        let episode = try stage.closedEpisode()
        #expect(episode["episode"] as? String == id)
        #expect(episode["ended_by"] as? String == "probe")
    }

    /// What is over is only recorded, and changes nothing of what is watched.
    @Test func whatWasOverBeforeIsRecordedBesideTheWatcher() throws {
        let store = try Stage()
        let stage = try WatchStage(store.a)
        let opened = try stage.stage.resync([
            "episode", "open", "mail/a", "--from", "2026-01-10 17:50", "--to", "2026-01-10 19:15",
            "--note", "x",
        ]).run()
        #expect(opened.status == 0, "\(opened.report)")
        #expect(opened.text.contains("closed after 1 h 25 min"), "\(opened.report)")
        #expect(stage.state == "ok")
        let unknown = try stage.stage.resync([
            "episode", "open", "mail/x", "--note", "x",
        ]).run()
        #expect(unknown.status == 2, "\(unknown.report)")
        #expect(unknown.errorText.contains("watches no store 'mail/x'"), "\(unknown.report)")
    }

    /// One of a store that nobody watches any more.
    @Test func anEpisodeThatTheWatcherDoesNotKnowCanBeClosed() throws {
        let store = try Stage()
        let stage = try WatchStage(store.a) { stage in
            try stage.write("old.yaml", "pairs: [{name: old, a: /nowhere/a, b: /nowhere/b}]\n")
            let opened = try stage.resync([
                "episode", "open", "old/a", "--note", "x", "--config", stage.folder + "/old.yaml",
            ]).run()
            #expect(opened.status == 0, "\(opened.report)")
        }
        let id = try #require(try stage.episodes().first?["episode"] as? String)
        let closed = try stage.stage.resync(["episode", "close", id, "--note", "gone"]).run()
        #expect(closed.status == 0, "\(closed.report)")
        #expect(try stage.episodes().first?["ended_by"] as? String == "person")
    }
}

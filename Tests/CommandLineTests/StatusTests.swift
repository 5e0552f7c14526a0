import Foundation
import Glibc
import TestSupport
import Testing

/// `status`: how stores and modules stand, for a person, a program and monitoring systems.
@Suite struct StatusTests {
    private func scene(_ folder: Stage, checks: String = "") throws -> WatchStage {
        for module in ["rec", "db"] {
            try folder.makeFolder("a/\(module)")
            try folder.write("a/\(module)/f", noise(5000))
        }
        return try WatchStage(
            folder.a, checks: checks,
            modules: """
                modules:
                  - {name: rec, pair: mail, paths: [rec], after: [db]}
                  - {name: db, pair: mail, paths: [db]}
                """
        ) { stage in
            try system("cp", "-a", folder.a + "/.", stage.folder + "/other")
            usleep(2_200_000)
        }
    }

    private func status(_ watch: WatchStage, _ words: String...) throws -> Finished {
        try watch.stage.resync(
            ["status", "--config", watch.stage.folder + "/config.yaml"] + words
        ).run()
    }

    private func metric(_ found: Finished, _ name: String) -> Int? {
        found.lines.first { $0.hasPrefix(name + " ") }
            .flatMap { Int($0.dropFirst(name.count + 1)) }
    }

    /// What a person has opened is told, whatever the gate says by itself.
    private func expectOverride(_ watch: WatchStage, _ config: String) throws {
        let override = try watch.stage.resync([
            "gate", "rec", "--override", "--reason", "x", "--for", "1h", "--config", config,
        ]).run()
        #expect(override.status == 0, "\(override.report)")
        let told = try status(watch)
        #expect(told.text.contains("\n  override   opened by a person until "), "\(told.report)")
    }

    @Test func modulesAreShownWithTheirProof() throws {
        let folder = try Stage()
        let watch = try scene(folder)
        defer { withExtendedLifetime(folder) {} }
        let calm = try status(watch)
        #expect(calm.status == 0, "\(calm.report)")
        #expect(calm.lines.contains("module rec  OPEN  rec: no episode was ever recorded"))
        #expect(calm.lines.filter { $0 == "  proven     never" }.count == 2, "\(calm.report)")
        let config = watch.stage.folder + "/config.yaml"
        let before = Int(time(nil))
        let proven = try watch.stage.resync(["verify", "--module", "db", "--config", config]).run()
        #expect(proven.status == 0, "\(proven.report)")
        let opened = try watch.stage.resync(
            ["episode", "open", "mail/b", "--note", "x", "--config", config]
        ).run()
        #expect(opened.status == 0, "\(opened.report)")
        let found = try status(watch, "--json")
        let modules = try objects(found.lines).filter { $0["type"] as? String == "gate" }
        #expect(modules.compactMap { $0["answer"] as? String } == ["undecided", "undecided"])
        #expect(modules.last?["entries"] as? Int == 2, "\(found.report)")
        #expect(modules.last?["found"] as? String == "released", "\(found.report)")
        #expect(modules.first?["proven_as_of"] == nil, "\(found.report)")
        #expect(try objects(found.lines).last?["type"] as? String == "summary")
        try expectOverride(watch, config)

        let metrics = try status(watch, "--prometheus")
        #expect(metrics.status == 0, "\(metrics.report)")
        #expect(metric(metrics, "resync_watched") == 1, "\(metrics.report)")
        #expect(metric(metrics, "resync_module_open{module=\"db\"}") == 0)
        #expect(metric(metrics, "resync_module_undecided{module=\"db\"}") == 1)
        #expect(metric(metrics, "resync_store_episode_open{store=\"mail/b\"}") == 1)
        let time = try #require(
            metric(metrics, "resync_module_proven_timestamp_seconds{module=\"db\"}"))
        #expect(time >= before - 1 && time <= before + 60)
        #expect(metric(metrics, "resync_module_proven_timestamp_seconds{module=\"rec\"}") == nil)
        if let promtool = Command.find("promtool") {
            let file = watch.stage.folder + "/metrics"
            try watch.stage.write("metrics", metrics.output)
            let checked = try Command("/bin/sh", ["-c", "\(promtool) check metrics <'\(file)'"])
                .run()
            #expect(checked.status == 0, "\(checked.report)")
        } else {
            skip("promtool is not installed")
        }

        let plugin = try status(watch, "--nagios")
        #expect(plugin.lines.count == 1, "\(plugin.report)")
        #expect([1, 2].contains(plugin.status), "\(plugin.report)")
        #expect(
            plugin.text.contains("mail/b ") && plugin.text.contains("db undecided"),
            "\(plugin.report)")
        watch.watcher.signal(SIGKILL)
        _ = try watch.watcher.wait()
        let alone = try status(watch, "--nagios")
        #expect(alone.status == 3 && alone.text == "RESYNC UNKNOWN - no watcher runs\n")
        #expect(try metric(status(watch, "--prometheus"), "resync_watched") == 0)
        let both = try status(watch, "--nagios", "--json")
        #expect(both.status == 64, "\(both.report)")
    }

    /// As of the last comparison, and without what was proven equal since.
    @Test func openDifferencesAreCounted() throws {
        let folder = try Stage()
        let watch = try scene(folder)
        defer { withExtendedLifetime(folder) {} }
        let config = ["--config", watch.stage.folder + "/config.yaml"]
        func found() throws -> (pair: Int?, modules: [Int?], text: String) {
            let text = try status(watch).text
            let lines = try objects(status(watch, "--json").lines)
            func count(_ line: [String: Any]) -> Int? { line["open_differences"] as? Int }
            let modules = lines.filter { $0["type"] as? String == "gate" }
            return (
                lines.first { $0["type"] as? String == "pair" }.flatMap(count),
                modules.map(count), text
            )
        }
        let never = try found()
        #expect(never.pair == nil && never.modules == [nil, nil], "\(never)")
        #expect(never.text.contains("\n  compared   never\n"), "\(never)")
        for name in ["a/db/f", "a/db/g", "a/loose"] { try folder.write(name, "edited") }
        let compared = try watch.stage.resync(["verify", "mail"] + config).run()
        #expect(compared.status == 1, "\(compared.report)")
        let first = try found()
        // Of what differs in a module its directory's time is one.
        #expect(first.pair == 4 && first.modules == [0, 3], "\(first)")
        #expect(first.text.contains("\n  differs    3 differences open\n"), "\(first)")
        #expect(first.text.contains(" ago, hash, all of it: 4 differences open\n"), "\(first)")
        #expect(first.text.contains("\n  proven     never as a whole\n"), "\(first)")
        let metrics = try status(watch, "--prometheus")
        #expect(metric(metrics, "resync_pair_open_differences{pair=\"mail\"}") == 4)
        #expect(metric(metrics, "resync_module_open_differences{module=\"db\"}") == 3)
        let plugin = try status(watch, "--nagios")
        #expect(plugin.status == 1 && plugin.text.contains("mail: 4 differences open"))
        // One part of it is put right and proven; what lies elsewhere stays as it was found.
        try system("rsync", "-a", folder.a + "/db/", watch.stage.folder + "/other/db/")
        usleep(2_200_000)
        let again = try watch.stage.resync(["verify", "--module", "db"] + config).run()
        #expect(again.status == 0, "\(again.report)")
        let second = try found()
        #expect(second.pair == 1 && second.modules == [0, 0], "\(second)")
        #expect(second.text.contains(", a part of it: 1 difference open\n"), "\(second)")
        #expect(second.text.contains(" ago, hash, scope full: 2 entries, "), "\(second)")
        try expectProof(folder, watch, config)
    }

    /// The pair's last episode, and when all of it was last the same.
    private func expectProof(_ folder: Stage, _ watch: WatchStage, _ config: [String]) throws {
        try system("cp", "-a", folder.a + "/loose", watch.stage.folder + "/other/loose")
        usleep(2_200_000)
        let whole = try watch.stage.resync(["verify", "mail"] + config).run()
        #expect(whole.status == 0, "\(whole.report)")
        let opened = try watch.stage.resync(["episode", "open", "mail/b", "--note", "x"] + config)
            .run()
        #expect(opened.status == 0, "\(opened.report)")
        let third = try status(watch)
        #expect(third.text.contains("\n  proven     as of "), "\(third.report)")
        let isShown = third.lines.contains {
            $0.hasPrefix("  episode    e") && $0.contains("  mail/b  ") && $0.hasSuffix("OPEN")
        }
        #expect(isShown, "\(third.report)")
        let line = try objects(status(watch, "--json").lines).first {
            $0["type"] as? String == "pair"
        }
        #expect(line?["last_episode_open"] as? Bool == true, "\(line ?? [:])")
        #expect(line?["proven_as_of"] as? String != nil, "\(line ?? [:])")
    }

    /// Only with all modules proven, no episode open, and every check well of late.
    @Test func whetherTheOtherSiteCouldTakeOverIsSaid() throws {
        let folder = try Stage()
        let up = folder.folder + "/up"
        let watch = try scene(
            folder,
            checks: """
                , checks: [{name: login, command: "cat '\(up)' && echo extra", every: 1s}]
                """)
        defer { withExtendedLifetime(folder) {} }
        func pair() throws -> [String: Any] {
            try objects(status(watch, "--json").lines).first { $0["type"] as? String == "pair" }
                ?? [:]
        }
        func reasons() throws -> [String] { try pair()["reasons"] as? [String] ?? [] }
        func within(_ condition: () throws -> Bool) throws {
            let holds = try watch.within(10, condition)
            let found = try status(watch)
            #expect(holds, "\(found.report)")
        }
        let failed = "check login failed (exit 1): exit 1: cat: \(up): No such file or directory"
        let unproven = ["rec was never proven", "db was never proven"]
        try within { try reasons() == unproven + [failed] }
        let config = watch.stage.folder + "/config.yaml"
        let proven = try watch.stage.resync(["verify", "mail", "--config", config]).run()
        #expect(proven.status == 0, "\(proven.report)")
        try within { try reasons() == [failed] }
        let bad = try status(watch, "--nagios")
        #expect(bad.text.contains("mail: B could not take over"), "\(bad.report)")
        #expect(bad.status == 1, "\(bad.report)")
        #expect(
            try metric(status(watch, "--prometheus"), #"resync_takeover_ready{pair="mail"}"#) == 0)

        try folder.write("up", "first\n")
        try within { try pair()["takeover"] as? Bool == true }
        let good = try status(watch)
        #expect(good.lines.contains("pair mail  B could take over: yes"), "\(good.report)")
        #expect(
            good.lines.contains {
                $0.hasPrefix("  check      login: ok, ") && $0.hasSuffix(": extra")
            })
        let metrics = try status(watch, "--prometheus")
        #expect(metric(metrics, #"resync_takeover_ready{pair="mail"}"#) == 1, "\(metrics.report)")
        #expect(metric(metrics, #"resync_check_ok{pair="mail",check="login"}"#) == 1)
        #expect(try status(watch, "--nagios").status == 0)

        let opened = try watch.stage.resync(
            ["episode", "open", "mail/a", "--note", "x", "--config", config]
        ).run()
        #expect(opened.status == 0, "\(opened.report)")
        try within { try reasons().first == "mail/a has an open episode" }
        watch.watcher.signal(SIGTERM)
        _ = try watch.watcher.wait()
        #expect(try reasons() == ["nobody watches it"])
        let alone = try status(watch)
        #expect(alone.text.contains("B could take over: no: nobody watches it"), "\(alone.report)")
    }
}

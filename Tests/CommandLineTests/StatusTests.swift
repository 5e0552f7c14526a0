import Foundation
import Glibc
import TestSupport
import Testing

/// `status`: how stores and modules stand, for a person, a program and monitoring systems.
@Suite struct StatusTests {
    private func scene(_ folder: Stage) throws -> WatchStage {
        for module in ["rec", "db"] {
            try folder.makeFolder("a/\(module)")
            try folder.write("a/\(module)/f", noise(5000))
        }
        return try WatchStage(
            folder.a, options: ["--no-verify"],
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
}

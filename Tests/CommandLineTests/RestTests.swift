import Foundation
import Glibc
import TestSupport
import Testing

/// What the watcher verifies after an episode besides modules.
@Suite struct RestTests {
    /// Waits until the watcher has said something so often.
    private func says(_ text: String, _ watch: WatchStage, times: Int = 1) -> Bool {
        watch.within(30) {
            watch.watcher.outputSoFar.components(separatedBy: text).count == times + 1
        }
    }

    /// After all modules, and once for each episode, whatever becomes of the watcher.
    @Test func whatLiesInNoModuleIsVerifiedInTheEnd() throws {
        let scene = try GateScene(
            verifies: true, modules: "- {name: db, pair: mail, paths: [db]}")
        try scene.folder.write("a/log/f0", "edited on one side")
        try scene.episode()
        #expect(says("  LOOKED   the rest: NOT IN SYNC", scene.watch), "\(scene.watch.report)")
        let lines = scene.watch.watcher.outputSoFar.split(separator: "\n")
        let module = lines.firstIndex { $0.contains("  VERIFIED db: released") }
        let rest = lines.firstIndex { $0.contains("  LOOK     the rest") }
        #expect(try #require(module) < #require(rest), "\(scene.watch.report)")
        // The run has what lies in no module, and nothing of what does.
        let shown = try scene.watch.stage.resync(["runs", "show", "last", "--json"]).run()
        let paths = try objects(shown.lines).compactMap { $0["path"] as? String }
        #expect(paths == ["log/f0"], "\(shown.report)")
        #expect(try scene.gate("db") == 0)
        try scene.watch.restart()
        #expect(scene.watch.within(20) { scene.watch.state == "ok" }, "\(scene.watch.report)")
        // It looks at once, and again after ten seconds.
        usleep(3_000_000)
        let again = scene.watch.watcher.outputSoFar
        #expect(!again.contains("the rest"), "\(scene.watch.report)")
        try scene.episode()
        #expect(says("  LOOKED   the rest: NOT IN SYNC", scene.watch), "\(scene.watch.report)")
        // One that was noted only now counts, however long ago it was.
        let noted = try scene.run(
            "episode", "open", "mail/b", "--note", "t", "--from", "00:00", "--to", "00:01")
        #expect(noted.status == 0, "\(noted.report)")
        #expect(says("  LOOKED   the rest: ", scene.watch, times: 2), "\(scene.watch.report)")
    }

    @Test func aPairWithoutModulesIsVerifiedAsAWhole() throws {
        let scene = try GateScene(verifies: true, modules: "  []")
        try scene.episode()
        #expect(says("  LOOKED   the rest: IN SYNC (run", scene.watch), "\(scene.watch.report)")
        #expect(says("  LOOKED   what is suspect: ", scene.watch), "\(scene.watch.report)")
        let one = try scene.run("verify", "mail", "--only", "rest")
        // What was proven then is not read once more.
        #expect(one.status == 0 && one.text.contains("12 proven before"), "\(one.report)")
    }

    /// Two images that differ, watched, with an episode that is over.
    private func images(readLimit: String? = nil) throws -> WatchStage {
        let watch = try WatchStage("/nonexistent", verifies: true, readLimit: readLimit) { stage in
            let bytes = noise(1 << 20, seed: 5)
            try stage.write("image", bytes)
            try stage.write("copy", bytes)
            try stage.patch("copy", at: 70_000, [1, 2, 3])
            let config = stage.text("config.yaml")
                .replacingOccurrences(of: "a: /nonexistent", with: "a: \(stage.folder)/image")
                .replacingOccurrences(of: stage.folder + "/other", with: stage.folder + "/copy")
            try stage.write("config.yaml", config)
        }
        let opened = try watch.stage.resync([
            "episode", "open", "mail/b", "--note", "t", "--from", "00:00", "--to", "00:01",
            "--config", watch.stage.folder + "/config.yaml",
        ]).run()
        #expect(opened.status == 0, "\(opened.report)")
        return watch
    }

    /// Of which nothing is kept.
    @Test func imagesAreComparedOnceForEachEpisode() throws {
        let watch = try images()
        #expect(says("  LOOKED   the rest: NOT IN SYNC", watch), "\(watch.report)")
        #expect(!watch.watcher.outputSoFar.contains("suspect:"), "\(watch.report)")
        try watch.restart()
        #expect(watch.within(20) { watch.state == "ok" }, "\(watch.report)")
        usleep(3_000_000)
        #expect(!watch.watcher.outputSoFar.contains("the rest"), "\(watch.report)")
    }

    /// What nobody asked for makes way for what a person wants, and is done once that is over.
    @Test func aPersonsApplyComesFirst() throws {
        let scene = try GateScene(verifies: true, readLimit: "8KiB/s", modules: "  []")
        try scene.folder.write("a/log/f0", "edited on one side")
        try scene.episode()
        #expect(says("  LOOK     ", scene.watch), "\(scene.watch.report)")
        let plan = scene.watch.stage.folder + "/p"
        let planned = try scene.watch.stage.resync([
            "plan", scene.folder.a, scene.b, "--authority", "a", "-o", plan,
        ]).run()
        #expect(planned.status == 0, "\(planned.report)")
        let applied = try scene.watch.stage.resync(["apply", plan]).run()
        #expect(applied.status == 0 && applied.seconds < 15, "\(applied.report)")
        #expect(says("  LOOKED   ", scene.watch), "\(scene.watch.report)")
    }

    /// Whoever ended its process has not had it verified.
    @Test func whatWasEndedIsNotDone() throws {
        let watch = try images(readLimit: "50KiB/s")
        #expect(says("  LOOK     the rest", watch), "\(watch.report)")
        usleep(1_000_000)
        try system("pkill", "-TERM", "-P", "\(watch.watcher.process)", "-f", "rest")
        #expect(says("  LOOKED   the rest: ", watch), "\(watch.report)")
        #expect(!watch.stage.exists("state/rests"), "\(watch.report)")
    }
}

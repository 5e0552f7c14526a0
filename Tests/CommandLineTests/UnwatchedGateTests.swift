import Foundation
import Glibc
import TestSupport
import Testing

/// What gates answer after a time in which nobody watched, and while a file system counts errors.
@Suite struct UnwatchedGateTests {
    /// Whether a store's state is known again after a new start of the watcher.
    private func isBack(_ watch: WatchStage) -> Bool {
        watch.within(10) { watch.state == "ok" }
    }

    @Test func aNewBootLeavesGatesUndecidedForOneVerification() throws {
        guard let sqlite = Command.find("sqlite3") else { return skip("sqlite3 is not installed") }
        let scene = try GateScene()
        #expect(try scene.gate("db") == 0)
        // A new start alone changes nothing.
        try scene.watch.restart()
        #expect(isBack(scene.watch), "\(scene.watch.report)")
        let calm = try scene.run("gate", "db")
        #expect(calm.status == 0, "\(calm.report)")
        #expect(try scene.watch.episodes().isEmpty)
        let isNoted = scene.watch.within(5) {
            scene.watch.watcher.outputSoFar.contains("mail/b  watched again, unwatched since ")
        }
        #expect(isNoted, "\(scene.watch.report)")
        try bootAnew(scene, sqlite)
        let unknown = try scene.run("gate", "db")
        #expect(unknown.status == 2, "\(unknown.report)")
        #expect(unknown.text.contains("db: mail/a was watched by nobody from "))
        #expect(unknown.text.contains("the machine was booted anew"), "\(unknown.report)")
        #expect(unknown.text.contains("'resync verify --module db'"), "\(unknown.report)")
        // It is over: nothing is down, and nobody is woken.
        let listed = try scene.watch.stage.resync(["episode", "list"]).run()
        #expect(listed.status == 0, "\(listed.report)")
        #expect(listed.lines.count == 2 && listed.text.contains("  unwatched  "))

        // One verification ends it for its module.
        usleep(1_200_000)
        let proven = try scene.verify("db")
        #expect(proven.status == 0 && proven.text.contains("at media"), "\(proven.report)")
        #expect(try scene.gate("db") == 0)
        #expect(try scene.gate("log") == 2)
        try aPersonVouches(scene)
    }

    /// Has the watcher find that it was another boot in which it last ran.
    private func bootAnew(_ scene: GateScene, _ sqlite: String) throws {
        try scene.watch.restart {
            let ledger = scene.watch.stage.folder + "/state/ledger.sqlite"
            // Long before this boot, by the clock on the wall.
            let change = """
                UPDATE store SET seen_boot_id = 'another', boot_id = 'another',
                seen_wall = 1600000000000000000, good_wall = 1600000000000000000
                """
            let done = try Command(sqlite, [ledger, change]).run()
            try #require(done.status == 0, "\(done.report)")
        }
        #expect(isBack(scene.watch), "\(scene.watch.report)")
    }

    /// Nobody has to do anything.
    @Test func theWatcherVerifiesByItselfWhatNobodyWatched() throws {
        guard let sqlite = Command.find("sqlite3") else { return skip("sqlite3 is not installed") }
        let scene = try GateScene(verifies: true)
        try bootAnew(scene, sqlite)
        let areOpen = try scene.watch.within(30) {
            try ["db", "rec", "log"].allSatisfy { try scene.gate($0) == 0 }
        }
        #expect(areOpen, "\(scene.watch.report)")
    }

    /// Whoever knows that nothing was lost opens all of them.
    private func aPersonVouches(_ scene: GateScene) throws {
        let ids = try scene.watch.episodes().compactMap { $0["episode"] as? String }
        for (place, id) in ids.enumerated() {
            let closed = try scene.watch.stage.resync(
                ["episode", "close", id, "--note", "planned"]
            ).run()
            #expect(closed.status == 0, "\(closed.report)")
            #expect(try scene.gate("log") == (place == 1 ? 0 : 2))
        }
        let again = try scene.watch.stage.resync(
            ["episode", "close", ids[0], "--note", "planned"]
        ).run()
        #expect(again.status != 0 && again.errorText.contains("is closed already"))
        let refused = try scene.run(
            "episode", "open", "mail/b", "--class", "unwatched", "--note", "x")
        #expect(refused.status == 64, "\(refused.report)")
        // It stays so.
        try scene.watch.restart()
        #expect(isBack(scene.watch), "\(scene.watch.report)")
        #expect(try scene.gate("log") == 0)
    }

    private func scene(_ disk: FaultyStore) throws -> WatchStage {
        try WatchStage(
            disk.point, modules: "modules: [{name: m, pair: mail, paths: [file]}]"
        ) { stage in
            for store in [disk.point, stage.folder + "/other"] {
                try "content".write(toFile: store + "/file", atomically: false, encoding: .utf8)
            }
        }
    }

    private func gate(_ watch: WatchStage) throws -> Finished {
        try watch.stage.resync(
            ["gate", "m", "--config", watch.stage.folder + "/config.yaml"]
        ).run()
    }

    @Test(arguments: [LoopMount.Kind.ext4, .xfs])
    func whatWasMountedAnewUnwatchedIsNotKnown(_ kind: LoopMount.Kind) throws {
        guard let disk = try FaultyStore(kind) else { return }
        let watch = try scene(disk)
        #expect(try gate(watch).status == 0)
        try watch.restart()
        #expect(isBack(watch), "\(watch.report)")
        #expect(try gate(watch).status == 0)
        var instance: String?
        try watch.restart {
            instance = try self.instance(watch)
            try #require(try disk.repair())
        }
        #expect(isBack(watch), "\(watch.report)")
        // The mount may be numbered as it was; what the kernel has of its file system is not.
        if Command.find("sqlite3") != nil {
            let isOther = try watch.within(5) {
                let now = try self.instance(watch)
                return now != instance && now != "" && instance != ""
            }
            #expect(isOther, "\(instance ?? "-")")
        }
        let unknown = try gate(watch)
        #expect(unknown.status == 2, "\(unknown.report)")
        #expect(unknown.text.contains("meanwhile it was mounted anew"), "\(unknown.report)")
    }

    /// By which the kernel tells one mounting of the file system from another; empty where the
    /// ledger has none.
    private func instance(_ watch: WatchStage) throws -> String {
        let ledger = watch.stage.folder + "/state/ledger.sqlite"
        let found = try system(
            "sqlite3", ledger, "SELECT mount_instance FROM store WHERE name = 'mail/a'")
        return (found ?? "").trimmingCharacters(in: .whitespacesAndNewlines)
    }

    private func count(_ errors: Int, on disk: FaultyStore) throws {
        try #require(try disk.unmount())
        try #require(
            try system("debugfs", "-w", "-R", "ssv error_count \(errors)", disk.device) != nil)
        try #require(try disk.mount())
    }

    @Test func errorsThatAreCountedKeepItUndecidedUntilTheyAreAccepted() throws {
        guard let disk = try FaultyStore(.ext4) else { return }
        guard Command.find("debugfs") != nil else { return skip("debugfs is not installed") }
        try count(3, on: disk)
        let watch = try scene(disk)
        let counted = try gate(watch)
        #expect(counted.status == 2, "\(counted.report)")
        #expect(counted.text.contains("m: mail/a lies on a file system that counts 3 errors"))
        #expect(counted.text.contains("'resync episode accept mail/a --note"))
        let config = ["--config", watch.stage.folder + "/config.yaml"]
        let status = try watch.stage.resync(["status"] + config).run()
        #expect(status.text.contains("errors     its file system counts 3, 0 accepted"))
        let metrics = try watch.stage.resync(["status", "--prometheus"] + config).run()
        #expect(metrics.text.contains("resync_store_errors{store=\"mail/a\"} 3\n"))

        let accepted = try watch.stage.resync(
            ["episode", "accept", "mail/a", "--note", "old ones"]
        ).run()
        #expect(accepted.status == 0, "\(accepted.report)")
        #expect(try gate(watch).status == 0)
        try watch.restart()
        #expect(isBack(watch), "\(watch.report)")
        #expect(try gate(watch).status == 0, "\(watch.report)")

        // Nothing is mounted there when the watcher is back: what is counted there is not its own.
        try watch.restart {
            try #require(try disk.unmount())
            try "content".write(toFile: disk.point + "/below", atomically: false, encoding: .utf8)
        }
        #expect(watch.within(10) { watch.state == "down" }, "\(watch.report)")
        usleep(2_000_000)
        #expect(try gate(watch).status == 2)
        #expect(try disk.mount())
        let absence = try watch.closedEpisode()
        #expect(absence["checked"] as? Bool == false, "\(absence)")
        let absent = try gate(watch)
        #expect(!absent.text.contains("counts 3 errors"), "\(absent.report)")

        // Errors that come while nobody watches are errors, and one more is not accepted.
        try watch.restart { try count(4, on: disk) }
        let isSeen = try watch.within(10) { try watch.episodes().count == 2 }
        #expect(isSeen, "\(watch.report)")
        #expect(isBack(watch), "\(watch.report)")
        let episode = try watch.episodes().last ?? [:]
        #expect(episode["class"] as? String == "io-error", "\(episode)")
        let more = try gate(watch)
        #expect(more.text.contains("counts 4 errors"), "\(more.report)")
        #expect(more.text.contains("3 accepted"), "\(more.report)")
        #expect(more.text.contains("m: not verified since the end of e"), "\(more.report)")
    }

    /// Whatever was announced: what is not there now opens nothing, and what was done to it
    /// meanwhile nobody watched.
    @Test func aMaintenanceLeavesGatesUndecidedWhereSomethingChanged() throws {
        guard let disk = try FaultyStore(.ext4) else { return }
        let watch = try scene(disk)
        func announce(_ length: String) throws {
            let told = try watch.stage.resync([
                "episode", "maintenance", "mail/a", "--for", length,
            ]).run()
            #expect(told.status == 0 && told.errorText.contains("mail/a"), "\(told.report)")
        }
        try announce("1h")
        usleep(2_500_000)
        #expect(try gate(watch).status == 0)
        try announce("0")
        usleep(2_500_000)
        #expect(try gate(watch).status == 0)

        try announce("1h")
        try #require(try disk.unmount())
        #expect(watch.within(5) { watch.state == "in maintenance" }, "\(watch.report)")
        let away = try gate(watch)
        #expect(away.status == 2 && away.text.contains("is in maintenance"), "\(away.report)")
        #expect(try watch.stage.resync(["status"]).run().status == 1)
        // Long enough for probes to fail.
        usleep(2_500_000)
        #expect(try disk.mount())
        #expect(isBack(watch), "\(watch.report)")
        try announce("0")
        #expect(watch.within(10) { (try? gate(watch).status) == 2 }, "\(watch.report)")
        let back = try gate(watch)
        #expect(back.text.contains("was watched by nobody"), "\(back.report)")
        let episode = try watch.episodes().last ?? [:]
        #expect(episode["class"] as? String == "unwatched", "\(episode)")

        // Nor does an episode that is open at its end hide what was before.
        try announce("1h")
        try #require(try disk.unmount())
        #expect(watch.within(5) { watch.state == "in maintenance" }, "\(watch.report)")
        #expect(try disk.mount())
        #expect(isBack(watch), "\(watch.report)")
        try #require(try disk.unmount())
        #expect(watch.within(5) { watch.state == "in maintenance" }, "\(watch.report)")
        try announce("0")
        #expect(watch.within(10) { watch.state == "down" }, "\(watch.report)")
        #expect(try disk.mount())
        let isTold = try watch.within(30) {
            try watch.episodes().filter { $0["class"] as? String == "unwatched" }.count == 2
        }
        #expect(isTold, "\(watch.report)")
    }

    /// Without a watcher what it last knew is told, and accepted.
    @Test func withoutAWatcherErrorsAreAcceptedInTheLedger() throws {
        guard let disk = try FaultyStore(.ext4) else { return }
        guard Command.find("debugfs") != nil else { return skip("debugfs is not installed") }
        try count(1, on: disk)
        let watch = try scene(disk)
        try watch.restart {
            let alone = try gate(watch)
            #expect(alone.text.contains("counts 1 error (ext4"), "\(alone.report)")
            let nobody = try watch.stage.resync(
                ["episode", "accept", "mail/c", "--note", "x"]
            ).run()
            #expect(nobody.status == 2, "\(nobody.report)")
            let accepted = try watch.stage.resync(
                ["episode", "accept", "mail/a", "--note", "old"]
            ).run()
            #expect(accepted.status == 0, "\(accepted.report)")
        }
        #expect(isBack(watch), "\(watch.report)")
        #expect(try gate(watch).status == 0)
    }
}

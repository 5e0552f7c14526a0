import Foundation
import Glibc
import TestSupport
import Testing

/// A ledger that cannot be used, for whatever reason: nothing is known to be good then.
@Suite struct LedgerCommandTests {
    enum Damage: String, CaseIterable {
        case empty, garbage, cut, lostPages, foreign, newer, folder, symlink

        /// What is said of it.
        var words: String {
            switch self {
            case .empty, .garbage: "is damaged or no ledger"
            case .cut, .lostPages: "is damaged; it is not touched"
            case .foreign: "another program"
            case .newer: "newer resync"
            case .folder, .symlink: "cannot be read"
            }
        }
    }

    /// A ledger of which only a damaged file is left; nil where that cannot be made here.
    private func scene(_ damage: Damage) throws -> EpisodeStage? {
        let scene = try EpisodeStage()
        for _ in 0..<20 { try scene.open("--to", "00:00", "--from", "00:00") }
        var bytes = scene.stage.bytes("state/ledger.sqlite")
        for suffix in ["-wal", "-shm"] { unlink(scene.ledger + suffix) }
        switch damage {
        case .empty: bytes = []
        case .garbage: bytes = noise(20_000)
        case .cut: bytes.removeLast(5000)
        case .lostPages:
            let lost = 4096..<bytes.count
            bytes.replaceSubrange(lost, with: [UInt8](repeating: 0, count: lost.count))
        case .foreign:
            unlink(scene.ledger)
            guard try sqlite(scene.ledger, "CREATE TABLE episode (id)") != nil else {
                skip("sqlite3 is not installed")
                return nil
            }
            return scene
        case .newer: bytes[63] = 9
        case .folder:
            unlink(scene.ledger)
            try scene.stage.makeFolder("state/ledger.sqlite")
            return scene
        case .symlink:
            rename(scene.ledger, scene.stage.folder + "/elsewhere")
            symlink(scene.stage.folder + "/elsewhere", scene.ledger)
            return scene
        }
        try scene.stage.write("state/ledger.sqlite", bytes)
        return scene
    }

    @Test(arguments: Damage.allCases)
    func whatIsNoLedgerIsRefusedAndNotTouched(_ damage: Damage) throws {
        guard let scene = try scene(damage) else { return }
        let before = scene.stage.bytes("state/ledger.sqlite")
        let target = scene.stage.bytes("elsewhere")
        let config = ["--config", scene.config]
        let commands = [
            ["status"], ["episode", "list"], ["episode", "show"],
            ["episode", "close", "last", "--note", "x"], ["watch"] + config,
            ["episode", "open", "mail/a", "--note", "x"] + config,
        ]
        for words in commands {
            let found = try scene.stage.resync(words).run()
            #expect(found.status == 2, "\(words) \(found.report)")
            #expect(found.errorText.contains(damage.words), "\(words) \(found.report)")
            #expect(found.errorText.contains(scene.ledger), "\(words) \(found.report)")
            #expect(found.output.isEmpty, "\(words) \(found.report)")
        }
        for words in [["status", "--json"], ["episode", "list", "--json"]] {
            let found = try scene.stage.resync(words).run()
            #expect(found.status == 2, "\(found.report)")
            let last = try objects(found.lines).last
            #expect(last?["type"] as? String == "summary", "\(found.report)")
            #expect(last?["exit_status"] as? Int == 2, "\(found.report)")
        }
        let isUntouched =
            scene.stage.bytes("state/ledger.sqlite") == before
            && scene.stage.bytes("elsewhere") == target
        #expect(isUntouched)
    }

    /// Both stores are then as if they were in trouble, and it is said why.
    @Test(arguments: [Damage.empty, .lostPages, .newer])
    func withoutALedgerNothingIsKnownToBeGood(_ damage: Damage) throws {
        guard let scene = try scene(damage) else { return }
        let stage = scene.stage
        let found = try stage.verify()
        #expect(found.status == 0, "\(found.report)")
        for side in ["A", "B"] {
            #expect(
                found.errorText.contains("trouble on \(side): the ledger '\(scene.ledger)'"),
                "\(found.report)")
        }
        #expect(found.errorText.contains("assurance media"), "\(found.report)")
        #expect(found.text.contains("at media"), "\(found.report)")
        let header = try objects(stage.verify("--json").lines).first
        #expect(header?["assurance"] as? String == "media")
        #expect((header?["trouble"] as? [String])?.count == 2)

        try stage.write("a/new", "x")
        let compared = try stage.verify()
        #expect(compared.status == 1, "\(compared.report)")
        let planned = try scene.run("plan", "last", "--authority", "a", "-o", "p", "--force")
        #expect(planned.status == 0, "\(planned.report)")
        let applied = try scene.run("apply", "p")
        #expect(applied.status == 5, "\(applied.report)")
        #expect(applied.errorText.contains("is well is not known: the ledger"), "\(applied.report)")
        #expect(!stage.exists("b/new"))
    }

    /// Whoever works with the file for a moment is waited for; after that it is said.
    @Test func aLockedLedgerIsNotReadAround() throws {
        let scene = try EpisodeStage()
        try scene.open("--to", "00:00", "--from", "00:00")
        guard let shell = Command.find("sqlite3") else { return skip("needs sqlite3") }
        let holder = try Command(
            shell,
            [
                scene.ledger, "PRAGMA locking_mode = EXCLUSIVE", "BEGIN EXCLUSIVE",
                "DELETE FROM step", "SELECT 'held'", ".shell sleep 60",
            ]
        ).start()
        for _ in 0..<500 where !holder.outputSoFar.contains("held") { usleep(10_000) }
        let found = try scene.run("status")
        #expect(found.status == 2, "\(found.report)")
        #expect(found.errorText.contains("is locked by another process"), "\(found.report)")
        let watch = try scene.run("watch", "--config", scene.config)
        #expect(watch.status == 2, "\(watch.report)")
        #expect(watch.errorText.contains("is locked by another process"), "\(watch.report)")
        holder.signal(SIGKILL)
        _ = try? holder.wait(5)
        #expect(try scene.episodes().count == 1)
    }

    // MARK: With a watcher

    /// What is in the ledger's log alone is there after the watcher was killed.
    @Test func whatAKilledWatcherWroteIsRead() throws {
        let store = try Stage()
        let stage = try WatchStage(store.folder + "/a")
        let opened = try stage.stage.resync([
            "episode", "open", "mail/a", "--class", "stall", "--note", "x",
        ]).run()
        #expect(opened.status == 0, "\(opened.report)")
        #expect(try stage.within(5) { try stage.episodes().count == 1 })
        stage.watcher.signal(SIGKILL)
        _ = try stage.watcher.wait(10)
        let status = try stage.stage.resync(["status"]).run()
        #expect(status.status == 2, "\(status.report)")
        #expect(status.text.hasPrefix("NO WATCHER"), "\(status.report)")
        #expect(status.text.contains("OPEN"), "\(status.report)")
        #expect(try stage.episodes().count == 1)
    }

    private func openEpisode(_ stage: WatchStage) throws {
        let opened = try stage.stage.resync([
            "episode", "open", "mail/a", "--class", "lost-write", "--note", "x",
        ]).run()
        try #require(opened.status == 0, "\(opened.report)")
        try #require(try stage.within(5) { try stage.episodes().count == 1 })
    }

    /// What is well at another path says nothing of the store that failed.
    @Test func anotherPathClosesNoEpisode() throws {
        let store = try Stage()
        try store.makeFolder("b")
        let stage = try WatchStage(store.a)
        try openEpisode(stage)
        let config = stage.stage.folder + "/config.yaml"
        try stage.restart { try system("sed", "-i", "s|\(store.a),|\(store.b),|", config) }
        let isWell = stage.within(WatchStage.holdDown + 10) { stage.state == "ok" }
        #expect(isWell, "\(stage.report)")
        usleep(UInt32((WatchStage.holdDown + 2) * 1e6))
        let episode = try #require(try stage.episodes().first)
        let path = episode["path"] as? String ?? ""
        #expect(episode["closed"] == nil && path.hasSuffix("/a"), "\(episode)")
        #expect(stage.watcher.errorsSoFar.contains("stays open"), "\(stage.report)")
        // Where it is watched again it comes to its end.
        try stage.restart { try system("sed", "-i", "s|\(store.b),|\(store.a),|", config) }
        let isOver = try stage.within(WatchStage.holdDown + 20) {
            try stage.episodes().first?["closed"] != nil
        }
        #expect(isOver, "\(stage.report)")
    }

    /// Whoever closes it vouches for what is there, also where nobody watches just then.
    @Test func whatAPersonVouchedForIsTaken() throws {
        let store = try Stage()
        let stage = try WatchStage(store.a)
        try openEpisode(stage)
        try stage.restart {
            try system("sh", "-c", "rm '\(store.a)'/.resync-probe-*")
            let id = try stage.episodes().first?["episode"] as? String ?? ""
            let closed = try stage.stage.resync(
                ["episode", "close", id, "--note", "new disk"]
            ).run()
            #expect(closed.status == 0, "\(closed.report)")
        }
        #expect(stage.within(20) { stage.state == "ok" }, "\(stage.report)")
        #expect(try stage.episodes().count == 1, "\(stage.report)")
    }

    /// A probe that others keep from being written verifies nothing.
    @Test func aStoreWhoseProbeIsRefusedIsNotOk() throws {
        guard let disk = try LoopMount(.ext4) else { return }
        let stage = try WatchStage(disk.point)
        let probe = try system("sh", "-c", "chattr +i '\(disk.point)'/.resync-probe-*")
        guard probe != nil else { return skip("chattr is not to be had") }
        defer { _ = try? system("sh", "-c", "chattr -i '\(disk.point)'/.resync-probe-*") }
        #expect(stage.within(20) { stage.state == "unknown" }, "\(stage.report)")
        #expect(try stage.episodes().isEmpty, "\(stage.report)")
        let status = try stage.stage.resync(["status"]).run()
        #expect(status.status == 2 && status.text.contains("EPERM"), "\(status.report)")
    }

    /// The watcher goes on, says once that it cannot write, and writes once it can.
    @Test func aFullDiskStopsNoWatcher() throws {
        guard isRoot else { return skip("mounting needs root") }
        let store = try Stage()
        var folder = ""
        defer { _ = try? system("umount", "-l", folder) }
        let stage = try WatchStage(store.folder + "/a") { stage in
            folder = stage.state
            try stage.makeFolder("state")
            try #require(
                try system("mount", "-t", "tmpfs", "-o", "size=1m", "resync", folder) != nil)
        }
        let fill = folder + "/fill"
        _ = try system("dd", "if=/dev/zero", "of=" + fill, "bs=4k")
        let opened = try stage.stage.resync([
            "episode", "open", "mail/a", "--class", "lost-write", "--note", "x",
        ]).run()
        #expect(opened.status == 0, "\(opened.report)")
        // What it says, not what it is now: by then its next probe may have been good.
        #expect(stage.within(5) { stage.watcher.outputSoFar.contains("DOWN") }, "\(stage.report)")
        #expect(stage.within(5) { stage.watcher.errorsSoFar.contains("disk is full") })
        // Over several beats, and over what else happens.
        usleep(12_000_000)
        #expect(["down", "recovering", "ok"].contains(stage.state), "\(stage.report)")
        let complaints = stage.watcher.errorsSoFar.components(separatedBy: "disk is full")
        #expect(complaints.count == 2, "\(stage.report)")
        #expect(stage.watcher.isRunning)

        unlink(fill)
        #expect(try stage.within(15) { try stage.episodes().count == 1 }, "\(stage.report)")
        let episode = try stage.closedEpisode()
        #expect(episode["class"] as? String == "lost-write")
        // The next time it is said again.
        _ = try system("dd", "if=/dev/zero", "of=" + fill, "bs=4k")
        #expect(
            stage.within(15) {
                stage.watcher.errorsSoFar.components(separatedBy: "disk is full").count == 3
            }, "\(stage.report)")
    }

    /// What the watcher knows and cannot write down counts all the same.
    @Test func anEpisodeThatIsNotInTheLedgerYetCounts() throws {
        guard let shell = Command.find("sqlite3") else { return skip("needs sqlite3") }
        let store = try Stage()
        try store.write("a/file", noise(5000))
        try store.copy()
        let stage = try WatchStage(store.a)
        #expect(try stage.stage.resync(["status"]).run().status == 0)
        let holder = try Command(
            shell,
            [
                stage.stage.state + "/ledger.sqlite", "BEGIN IMMEDIATE", "SELECT 'held'",
                ".shell sleep 100",
            ]
        ).start()
        for _ in 0..<500 where !holder.outputSoFar.contains("held") { usleep(10_000) }
        let opened = try stage.stage.resync([
            "episode", "open", "mail/a", "--class", "lost-write", "--note", "x",
        ]).run()
        #expect(opened.status == 0, "\(opened.report)")
        let listed = try stage.episodes().map { $0["type"] as? String }
        #expect(listed == ["unwritten"], "it cannot be written")
        let found = try stage.stage.resync([
            "verify", store.a, store.b, "--settle", "0",
        ]).run()
        #expect(found.errorText.contains("the watcher could not write episode"), "\(found.report)")
        #expect(found.text.contains("at media"), "\(found.report)")
        #expect(found.text.contains("! A had episode e"), "\(found.report)")
        #expect(found.status == 2, "\(found.report)")
        holder.signal(SIGKILL)
        _ = try? holder.wait(5)
        #expect(try stage.within(15) { try stage.episodes().count == 1 }, "\(stage.report)")
    }
}

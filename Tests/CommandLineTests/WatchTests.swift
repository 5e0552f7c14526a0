import Foundation
import Glibc
import TestSupport
import Testing

/// The watcher on stores that are well, and what is done to it.
struct WatchTests {
    @Test func anOpenEpisodeOutlivesTheWatcher() throws {
        guard let disk = try FaultyStore(.ext4) else { return }
        let stage = try WatchStage(disk.point)
        #expect(try disk.makeReadOnly())
        #expect(stage.within(3) { stage.state == "down" }, "\(stage.report)")
        let before = try stage.episodes().first?["episode"] as? String
        try stage.restart()
        #expect(stage.within(5) { stage.state == "down" }, "\(stage.report)")
        #expect(stage.report.contains("still open"), "\(stage.report)")
        #expect(try system("mount", "-o", "remount,rw", disk.point) != nil)
        let episode = try stage.closedEpisode()
        #expect(episode["episode"] as? String == before)
    }

    /// Nothing but the kernel's log tells of it, and by then the disk answers again.
    @Test func whatTheKernelSaidWhileNobodyWatchedIsHeard() throws {
        guard let disk = try FaultyStore(.ext4) else { return }
        // Of a store that was never seen, what was before is not known anyway.
        try disk.loseData()
        let stage = try WatchStage(disk.point)
        #expect(try stage.episodes().isEmpty, "\(stage.report)")
        usleep(3_000_000)
        let from = Date.now.timeIntervalSince1970
        try stage.restart { try disk.loseData() }
        let isOpened = stage.within(10) { (try? stage.episodes().count) == 1 }
        #expect(isOpened, "\(stage.report)")
        let episode = try stage.closedEpisode()
        #expect((episode["classes"] as? [String])?.contains("lost-write") == true, "\(episode)")
        let start = try #require(episode["suspect_from"] as? String)
        let date = try #require(ISO8601DateFormatter().date(from: start))
        #expect(date.timeIntervalSince1970 <= from)
        // It is heard once.
        try stage.restart()
        #expect(stage.within(10) { stage.state == "ok" }, "\(stage.report)")
        #expect(try stage.episodes().count == 1, "\(stage.report)")
    }

    /// A machine that was suspended, or a guest that was held up: nothing has hung.
    @Test func aPauseOfTheWholeMachineIsNoStall() throws {
        let store = try Stage()
        let stage = try WatchStage(store.folder + "/a")
        let workers = try #require(
            try system("pgrep", "-d", " ", "-P", "\(stage.watcher.process)")
        ).split { $0.isWhitespace }.compactMap { Int32($0) }
        try #require(workers.count == 2)
        for worker in workers { kill(worker, SIGSTOP) }
        // By now a probe of each store is under way.
        usleep(1_300_000)
        stage.watcher.signal(SIGSTOP)
        usleep(UInt32((WatchStage.hung + 4) * 1_000_000))
        stage.watcher.signal(SIGCONT)
        usleep(300_000)
        for worker in workers { kill(worker, SIGCONT) }
        #expect(stage.within(10) { stage.state == "ok" }, "\(stage.report)")
        #expect(!stage.watcher.outputSoFar.contains("DOWN"), "\(stage.report)")
        #expect(try stage.episodes().isEmpty, "\(stage.report)")
    }

    /// The second one within a day repeats the first, and belongs to its incident.
    @Test func aRecurrenceIsLinked() throws {
        guard let disk = try FaultyStore(.ext4) else { return }
        let stage = try WatchStage(disk.point)
        for _ in 0..<2 {
            #expect(try disk.makeReadOnly())
            #expect(stage.within(3) { stage.state == "down" }, "\(stage.report)")
            #expect(try system("mount", "-o", "remount,rw", disk.point) != nil)
            #expect(stage.within(20) { stage.state == "ok" }, "\(stage.report)")
        }
        #expect(stage.within(5) { (try? stage.episodes().count) == 2 }, "\(stage.report)")
        let all = try stage.episodes()
        try #require(all.count == 2)
        #expect(all[1]["recurrence_of"] as? String == all[0]["episode"] as? String)
        #expect(all[1]["incident"] as? String == all[0]["incident"] as? String)
        #expect(all[1]["ordinal"] as? Int == 2)
        let incident = try #require(all[0]["incident"] as? String)
        let shown = try stage.stage.resync(["episode", "show", incident]).run()
        #expect(shown.lines.first == "incident  \(incident): 2 episodes", "\(shown.report)")
    }

    /// Whoever changes the probe's file has not lost the storage, but it shows.
    @Test(arguments: ["symlink", "gone", "stamp of another", "short"])
    func aProbeFileThatWasTamperedWithIsNoProof(_ how: String) throws {
        let store = try Stage()
        let stage = try WatchStage(store.folder + "/a")
        let name = try #require(
            try FileManager.default.contentsOfDirectory(atPath: stage.store).first {
                $0.hasPrefix(".resync-probe-")
            })
        let path = stage.store + "/" + name
        try store.write("precious", "data")
        switch how {
        case "symlink":
            unlink(path)
            symlink(store.folder + "/precious", path)
        case "gone": unlink(path)
        case "short": truncate(path, 100)
        default:
            var bytes = store.bytes("a/" + name)
            let place = try #require(String(decoding: bytes, as: UTF8.self).range(of: "\nid "))
            let offset = String(decoding: bytes, as: UTF8.self).utf8.distance(
                from: "".startIndex, to: place.upperBound)
            bytes[offset] = bytes[offset] == UInt8(ascii: "0") ? UInt8(ascii: "1") : 0x30
            try store.write("a/" + name, bytes)
        }
        #expect(stage.within(5) { stage.state == "down" }, "\(stage.report)")
        #expect(store.text("precious") == "data")
        if how == "gone" {
            // It is made anew on the same file system, and all is well.
            _ = try stage.closedEpisode()
        }
    }

    /// Anybody may write into the kernel's log; nobody can sign as the kernel.
    @Test func aForgedMessageOpensNothing() throws {
        guard isRoot, let disk = try FaultyStore(.ext4) else {
            return skip("needs root")
        }
        let stage = try WatchStage(disk.point)
        let name = disk.device.split(separator: "/").last ?? ""
        let file = try #require(fopen("/dev/kmsg", "we"))
        fputs("<2>EXT4-fs (\(name)): Remounting filesystem read-only\n", file)
        fclose(file)
        usleep(2_500_000)
        #expect(stage.state == "ok", "\(stage.report)")
        #expect(try stage.episodes().isEmpty)
    }

    @Test func aPersonOpensAndCloses() throws {
        let store = try Stage()
        let stage = try WatchStage(store.folder + "/a")
        let opened = try stage.stage.resync([
            "episode", "open", "mail/a", "--class", "lost-write", "--note", "the disk was moved",
        ]).run()
        #expect(opened.status == 0, "\(opened.report)")
        #expect(stage.within(2) { stage.kind == "lost-write" }, "\(stage.report)")
        let id = try #require(try stage.status()["episode"] as? String)
        let closed = try stage.stage.resync(["episode", "close", id, "--note", "looked"]).run()
        #expect(closed.status == 0, "\(closed.report)")
        let episode = try stage.closedEpisode()
        #expect(episode["ended_by"] as? String == "person")
        let shown = try stage.stage.resync(["episode", "show", id]).run()
        #expect(shown.text.contains("EPISODE CLOSED by a person"), "\(shown.report)")
    }

    @Test func maintenanceOpensNothingUntilItIsOver() throws {
        guard let disk = try FaultyStore(.ext4) else { return }
        let stage = try WatchStage(disk.point)
        func announce(_ length: String) throws {
            let told = try stage.stage.resync([
                "episode", "maintenance", "mail/a", "--for", length,
            ]).run()
            #expect(told.status == 0, "\(told.report)")
        }
        try announce("1h")
        #expect(try disk.makeReadOnly())
        usleep(3_000_000)
        #expect(try stage.episodes().isEmpty, "\(stage.report)")
        // It holds for the next watcher, too.
        try stage.restart()
        #expect(stage.within(10) { stage.state == "in maintenance" }, "\(stage.report)")
        usleep(2_500_000)
        #expect(try stage.episodes().isEmpty, "\(stage.report)")
        try announce("0")
        #expect(stage.within(3) { stage.state == "down" }, "\(stage.report)")
        #expect(try system("mount", "-o", "remount,rw", disk.point) != nil)
        _ = try stage.closedEpisode()
    }

    @Test func theCommandIsToldOfWhatHappens() throws {
        let store = try Stage()
        try store.write("tell", "#!/bin/sh\ncat >>\(store.folder)/told\n")
        chmod(store.folder + "/tell", 0o755)
        let stage = try WatchStage(store.folder + "/a", notify: store.folder + "/tell")
        let opened = try stage.stage.resync([
            "episode", "open", "mail/a", "--class", "stall", "--note", "a test",
        ]).run()
        #expect(opened.status == 0, "\(opened.report)")
        _ = try stage.closedEpisode()
        #expect(
            stage.within(3) { store.text("told").split(separator: "\n").count == 2 },
            "\(store.text("told"))")
        let told = try objects(store.text("told").split(separator: "\n").map { String($0) })
        #expect(told.map { $0["event"] as? String } == ["opened", "closed"])
        #expect(told.first?["store"] as? String == "mail/a")
    }

    /// Also of what gets worse, falls back, or comes back.
    @Test func theCommandIsToldOfEachTurnOfAnEpisode() throws {
        let store = try Stage()
        try store.write("tell", "#!/bin/sh\ncat >>\(store.folder)/told\n")
        chmod(store.folder + "/tell", 0o755)
        let stage = try WatchStage(store.folder + "/a", notify: store.folder + "/tell")
        func say(_ kind: String) throws {
            let said = try stage.stage.resync([
                "episode", "open", "mail/a", "--class", kind, "--note", "a test",
            ]).run()
            #expect(said.status == 0, "\(said.report)")
        }
        func close() throws {
            let id = try #require(try stage.status()["episode"] as? String)
            let said = try stage.stage.resync(["episode", "close", id, "--note", "x"]).run()
            #expect(said.status == 0, "\(said.report)")
        }
        try say("slow")
        try say("stall")
        #expect(stage.within(10) { stage.state == "recovering" }, "\(stage.report)")
        try say("stall")
        try close()
        try say("slow")
        try close()
        let isTold = stage.within(10) {
            store.text("told").components(separatedBy: #""event":"closed""#).count == 3
        }
        #expect(isTold, "\(store.text("told"))")
        let told = try objects(store.text("told").split(separator: "\n").map { String($0) })
        let words = told.compactMap { $0["event"] as? String }
        for word in ["opened", "rose", "relapsed", "closed"] {
            #expect(words.contains(word), "\(words)")
        }
        let rose = told.first { $0["event"] as? String == "rose" }
        #expect(rose?["classes"] as? [String] == ["slow", "stall"])
        #expect(told.last?["recurrence_of"] as? String == told.first?["episode"] as? String)
        #expect(told.last?["ordinal"] as? Int == 2)
    }

    /// An outage of many stores is no flood: the first is told at once, the others together.
    @Test func storesThatFailTogetherAreToldTogether() throws {
        let stage = try Stage()
        try stage.write("tell", "#!/bin/sh\ncat >>\(stage.folder)/told\n")
        chmod(stage.folder + "/tell", 0o755)
        let names = ["one", "two", "three"]
        let pairs = names.map { name in
            "  - {name: \(name), a: \(stage.folder)/\(name)/a, b: \(stage.folder)/\(name)/b}\n"
        }
        for name in names {
            try system("mkdir", "-p", "\(stage.folder)/\(name)/a", "\(stage.folder)/\(name)/b")
        }
        try stage.write(
            "config.yaml",
            "pairs:\n\(pairs.joined())watch: {interval: 1s, hold-down: 300s}\n"
                + "notify: {command: [\(stage.folder)/tell]}\n")
        let config = ["--config", stage.folder + "/config.yaml"]
        let watcher = try stage.resync(["watch"] + config).start()
        defer { watcher.signal(SIGKILL) }
        func within(_ seconds: Int, _ condition: () throws -> Bool) rethrows -> Bool {
            for _ in 0..<(4 * seconds) {
                if try condition() { return true }
                usleep(250_000)
            }
            return false
        }
        #expect(try within(20) { try stage.resync(["status"]).run().status == 0 })
        for name in names {
            for side in ["a", "b"] {
                let words = [
                    "episode", "open", "\(name)/\(side)", "--class", "stall", "--note", "x",
                ]
                let opened = try stage.resync(words + config).run()
                #expect(opened.status == 0, "\(opened.report)")
            }
        }
        #expect(within(30) { stage.text("told").split(separator: "\n").count == 2 })
        let told = try objects(stage.text("told").split(separator: "\n").map { String($0) })
        #expect(told.map { $0["event"] as? String } == ["opened", "opened"], "\(told)")
        #expect(told.first?["store"] as? String == "one/a" && told.first?["stores"] == nil)
        let others = ["one/b", "two/a", "two/b", "three/a", "three/b"]
        #expect(told.last?["stores"] as? [String] == others, "\(told)")
        let message = told.last?["message"] as? String ?? ""
        #expect(message.hasPrefix("one/b and 4 more: "), "\(message)")
    }

    /// For whoever looks whether it lives, without asking it.
    @Test func theHeartbeatSaysHowStoresAre() throws {
        let store = try Stage()
        let stage = try WatchStage(store.folder + "/a")
        func beat() -> [String] {
            stage.stage.text("state/watch.heartbeat").split(separator: "\n").map { String($0) }
        }
        #expect(stage.within(15) { beat().contains { $0.hasPrefix("store mail/a ok good 2") } })
        #expect(beat().first?.hasPrefix("beat 2") == true && beat().count == 3, "\(beat())")
        let opened = try stage.stage.resync([
            "episode", "open", "mail/a", "--class", "stall", "--note", "a test",
        ]).run()
        #expect(opened.status == 0, "\(opened.report)")
        stage.watcher.signal(SIGTERM)
        #expect(try stage.watcher.wait().status == 0)
        #expect(!beat().contains { $0.hasPrefix("store mail/a ok ") }, "\(beat())")
    }

    @Test func whatItSawIsRecorded() throws {
        let store = try Stage()
        let file = store.folder + "/recording"
        let stage = try WatchStage(store.folder + "/a", options: ["--record", file])
        stage.watcher.signal(SIGTERM)
        let ended = try stage.watcher.wait()
        #expect(ended.status == 0, "\(ended.report)")
        let lines = store.text("recording").split(separator: "\n")
        #expect(lines.first == "resync-recording 1")
        #expect(lines.contains { $0.contains(" mail/a probe ") && $0.hasSuffix(" verified") })
    }

    /// The log may lie on the disk that hangs.
    @Test func whoDoesNotReadItsLinesKeepsNobodyWaiting() throws {
        let stage = try Stage()
        try stage.write("a/file", "text")
        try stage.copy()
        try stage.write(
            "config.yaml",
            """
            pairs: [{name: mail, a: \(stage.a), b: \(stage.b)}]
            watch: {interval: 1s}

            """)
        let pipe = try FullPipe(stage)
        var command = stage.resync(["watch", "--config", stage.folder + "/config.yaml"])
        command.output = .file(pipe.path)
        let watcher = try command.start()
        var isWell = false
        for _ in 0..<80 where !isWell {
            usleep(250_000)
            isWell = try stage.resync(["status", "--json"]).run().text.contains(#""state":"ok""#)
        }
        #expect(isWell, "\(watcher.errorsSoFar)")
        watcher.signal(SIGTERM)
        let ended = try withExtendedLifetime(pipe) { try watcher.wait(30) }
        #expect(ended.status == 0)
    }

    @Test func onlyOneWatchesWithAStateFolder() throws {
        let store = try Stage()
        let stage = try WatchStage(store.folder + "/a")
        let second = try stage.stage.resync([
            "watch", "--config", stage.stage.folder + "/config.yaml",
        ]).run()
        #expect(second.status == 75, "\(second.report)")
    }

    @Test func whatIsKeptMustNotLieInAStore() throws {
        let stage = try Stage()
        try stage.makeFolder("other")
        try stage.write(
            "config.yaml", "pairs: [{name: p, a: \(stage.folder), b: /nowhere/at/all}]\n")
        let found = try stage.resync([
            "watch", "--config", stage.folder + "/config.yaml",
        ]).run()
        #expect(found.status == 5, "\(found.report)")
        #expect(found.errorText.contains("lies in the store p/a"), "\(found.report)")
        // Nor where the store is reached by another name.
        try stage.makeFolder("links")
        try #require(symlink(stage.folder, stage.folder + "/links/store") == 0)
        try stage.write(
            "config.yaml",
            "pairs: [{name: p, a: \(stage.folder)/links/store, b: /nowhere/at/all}]\n")
        let other = try stage.resync([
            "watch", "--config", stage.folder + "/config.yaml",
        ]).run()
        #expect(other.status == 5, "\(other.report)")
        #expect(other.errorText.contains("lies in the store p/a"), "\(other.report)")
    }
}

/// The whole story, as an operator is shown it.
struct OutageTests {
    @Test func theOutageIsOneIncidentOfTwoEpisodes() throws {
        guard isRoot, access("/dev/fuse", R_OK | W_OK) == 0,
            access("/dev/loop-control", R_OK) == 0
        else { return skip("needs root, /dev/fuse and loop devices") }
        var play = Command(
            "/usr/bin/env",
            ["RESYNC_PROGRAM=" + Command.resync, Command.project + "/Scripts/replay-outage"])
        play.timeout = 240
        let played = try play.run()
        #expect(played.status == 0, "\(played.report)")
        let lines = played.lines
        #expect(lines.contains { $0.hasPrefix("incident") && $0.hasSuffix(": 2 episodes") })
        #expect(lines.filter { $0.contains("CLOSED   episode") }.count == 2)
        #expect(lines.contains { $0.hasPrefix("repeats   e") })
    }
}

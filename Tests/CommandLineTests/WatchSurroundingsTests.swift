import Foundation
import Glibc
import TestSupport
import Testing

/// The watcher where what is around it is not as it should be: stores that it cannot look at, or
/// that are not there yet, and commands and files that hang.
struct WatchSurroundingsTests {
    private func scene(
        _ store: String, starts: String, prepare: () throws -> Void = {}
    ) throws -> WatchStage {
        try WatchStage(
            store, starts: starts, modules: "modules: [{name: m, pair: mail, paths: [file]}]"
        ) { stage in
            for store in [store, stage.folder + "/other"] {
                try "content".write(toFile: store + "/file", atomically: false, encoding: .utf8)
            }
            try prepare()
        }
    }

    private func gate(_ watch: WatchStage) throws -> Finished {
        try watch.stage.resync(
            ["gate", "m", "--config", watch.stage.folder + "/config.yaml"]
        ).run()
    }

    // MARK: Stores that cannot be looked at

    /// Neither well nor bad: nothing is known of it, and why.
    private func expectUnknown(_ watch: WatchStage, _ reason: String) throws {
        usleep(2_500_000)
        let found = try watch.stage.resync(["status"]).run()
        #expect(found.status == 2, "\(found.report)")
        #expect(found.text.contains("mail/a  UNKNOWN"), "\(found.report)")
        #expect(found.text.contains("evidence   \(reason)"), "\(found.report)")
        let gate = try gate(watch)
        #expect(gate.status == 2, "\(gate.report)")
        #expect(gate.text.contains("mail/a is unknown: \(reason)"), "\(gate.report)")
        #expect(try watch.episodes().isEmpty, "\(watch.report)")
    }

    @Test func aStoreThatMayNotBeWrittenToIsUnknown() throws {
        guard let disk = try FaultyStore(.ext4) else { return }
        let watch = try scene(disk.point, starts: "unknown") {
            try #require(try system("chattr", "+i", disk.point) != nil)
        }
        try expectUnknown(watch, "the probe fails: EPERM (openat)")
        #expect(try system("chattr", "-i", disk.point) != nil)
        #expect(watch.within(15) { watch.state == "ok" }, "\(watch.report)")
        #expect(try gate(watch).status == 0)
    }

    /// Without root it notices what probes tell, and says what it cannot see.
    @Test func whoIsNotRootSeesLessAndSaysSo() throws {
        guard isRoot, let setpriv = Command.find("setpriv") else {
            return skip("needs root and setpriv")
        }
        let stage = try Stage(below: "/var/tmp")
        try system("chmod", "755", stage.folder)
        for folder in ["b", "state"] { try stage.makeFolder(folder) }
        try stage.write("config.yaml", "pairs: [{name: mail, a: \(stage.a), b: \(stage.b)}]\n")
        try system("chown", "-R", "1234:1234", stage.a, stage.b, stage.state)
        func command(_ arguments: String...) -> Command {
            var command = stage.resync(arguments + ["--config", stage.folder + "/config.yaml"])
            command.arguments =
                ["--reuid", "1234", "--regid", "1234", "--clear-groups", Command.resync]
                .map { Array($0.utf8) } + command.arguments
            command.program = setpriv
            return command
        }
        let watcher = try command("watch", "--no-verify").start()
        defer { watcher.signal(SIGKILL) }
        func status() throws -> Finished { try command("status").run() }
        func within(_ seconds: Int, _ condition: () throws -> Bool) rethrows -> Bool {
            for _ in 0..<(4 * seconds) {
                if try condition() { return true }
                usleep(250_000)
            }
            return false
        }
        #expect(try within(20) { try status().status == 0 }, "\(watcher.errorsSoFar)")
        let calm = try status()
        let deaf = "  unseen     what its file system reports of errors (fanotify)"
        #expect(calm.lines.filter { $0 == deaf }.count == 2, "\(calm.report)")
        let text = try String(contentsOfFile: "/proc/sys/kernel/dmesg_restrict", encoding: .utf8)
        if text.hasPrefix("1") {
            let mute = "  unseen     kernel messages (/dev/kmsg)"
            #expect(calm.lines.filter { $0 == mute }.count == 2, "\(calm.report)")
        }
        let name = try #require(
            try FileManager.default.contentsOfDirectory(atPath: stage.a).first {
                $0.hasPrefix(".resync-probe-")
            })
        try stage.write("a/" + name, [UInt8](repeating: 7, count: 4096))
        #expect(
            try within(20) { try status().text.contains("mail/a  DOWN lost-write") },
            "\(watcher.outputSoFar)")
    }

    @Test func aStoreThatWasFullFromTheStartIsUnknown() throws {
        let folder = try Stage()
        try folder.makeFolder("small")
        let point = folder.folder + "/small"
        guard isRoot,
            try system("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", point) != nil
        else { return skip("mounting needs root") }
        defer { _ = try? system("umount", "-l", point) }
        let watch = try scene(point, starts: "unknown") {
            let filled = try Command("/bin/sh", ["-c", "cat /dev/zero >'\(point)/ballast'"]).run()
            try #require(filled.status != 0, "\(filled.report)")
        }
        try expectUnknown(watch, "no room for the probe")
        unlink(point + "/ballast")
        #expect(watch.within(15) { watch.state == "ok" }, "\(watch.report)")
        #expect(try gate(watch).status == 0)
    }

    // MARK: Stores that are not there yet

    /// What nobody ever found is missed by nobody; it may be a mistake in its name.
    @Test func aStoreThatWasNeverThereIsUnknown() throws {
        let folder = try Stage()
        let watch = try WatchStage(
            folder.folder + "/later", starts: "unknown",
            modules: "modules: [{name: m, pair: mail, paths: [file]}]")
        try expectUnknown(watch, "nothing was ever found at '")
        try folder.makeFolder("later")
        try folder.write("later/file", "content")
        #expect(watch.within(15) { watch.state == "ok" }, "\(watch.report)")
        // From then on it is missed.
        try folder.remove("later")
        #expect(watch.within(10) { watch.state == "down" }, "\(watch.report)")
        #expect(watch.kind == "gone", "\(watch.report)")
    }

    /// Where a directory was the store for long, what is mounted over it has taken that away.
    @Test func whatIsMountedOverAnOldStoreIsAnEpisode() throws {
        guard let sqlite = Command.find("sqlite3") else { return skip("sqlite3 is not installed") }
        guard let disk = try FaultyStore(.ext4) else { return }
        #expect(try disk.unmount())
        let watch = try scene(disk.point, starts: "ok")
        try watch.restart {
            let aged = try Command(
                sqlite, [watch.stage.state + "/ledger.sqlite", "UPDATE store SET sequence = 400"]
            ).run()
            try #require(aged.status == 0, "\(aged.report)")
            try #require(try disk.mount())
        }
        #expect(watch.within(10) { watch.state == "down" }, "\(watch.report)")
        #expect(watch.kind == "wrong-device", "\(watch.report)")
    }

    /// What is watched first is the directory that it is mounted on: once it is there it is another
    /// store, of which nothing is known, and which needs nobody to be well.
    @Test(arguments: [false, true])
    func aStoreThatIsMountedAfterTheFirstStartIsBegunAnew(_ whileUnwatched: Bool) throws {
        guard let disk = try FaultyStore(.ext4) else { return }
        #expect(try disk.unmount())
        let watch = try scene(disk.point, starts: "ok")
        if whileUnwatched {
            try watch.restart { try #require(try disk.mount()) }
        } else {
            #expect(try disk.mount())
        }
        let isTold = try watch.within(10) { try watch.episodes().count == 1 }
        #expect(isTold, "\(watch.report)")
        #expect(watch.within(10) { watch.state == "ok" }, "\(watch.report)")
        let episode = try watch.episodes().first ?? [:]
        #expect(episode["class"] as? String == "unwatched", "\(episode)")
        #expect(!watch.watcher.outputSoFar.contains("DOWN"), "\(watch.report)")
        #expect(watch.watcher.outputSoFar.contains("it lies on another device"))
        // Whatever it was, what was said of the directory below does not hold for it.
        let undecided = try gate(watch)
        #expect(undecided.status == 2, "\(undecided.report)")
        let probes = try FileManager.default.contentsOfDirectory(atPath: disk.point).filter {
            $0.hasPrefix(".resync-probe-")
        }
        #expect(probes.count == 1)

        // From now on the directory below is no store, though a probe's file lies in it.
        try watch.restart { try #require(try disk.unmount()) }
        #expect(watch.within(10) { watch.state == "down" }, "\(watch.report)")
        #expect(watch.kind == "wrong-device", "\(watch.report)")
        usleep(2_500_000)
        #expect(watch.state == "down", "\(watch.report)")
        #expect(try disk.mount())
        let isWell = watch.within(WatchStage.holdDown + 20) { watch.state == "ok" }
        #expect(isWell, "\(watch.report)")
    }

    // MARK: Commands and files that hang

    /// A command that waits for a disk cannot be killed, and keeps nobody from being told.
    @Test func aCommandThatHangsForGoodKeepsNoOtherFromBeingRun() throws {
        guard let disk = try FaultyStore(.ext4) else { return }
        let folder = try Stage()
        try folder.write(
            "tell",
            """
            #!/bin/sh
            read -r told
            case "$told" in *'"event":"opened"'*) echo >'\(disk.point)/told' ;; esac
            echo "$told" >>'\(folder.folder)/told'

            """)
        chmod(folder.folder + "/tell", 0o755)
        try folder.makeFolder("store")
        let watch = try WatchStage(
            folder.folder + "/store", notify: folder.folder + "/tell", notifyTimeout: 1)
        #expect(try system("fsfreeze", "-f", disk.point) != nil)
        defer { _ = try? system("fsfreeze", "-u", disk.point) }
        let opened = try watch.stage.resync(
            ["episode", "open", "mail/a", "--class", "stall", "--note", "x"]
        ).run()
        #expect(opened.status == 0, "\(opened.report)")
        _ = try watch.closedEpisode()
        let isTold = watch.within(20) { folder.text("told").contains(#""event":"closed""#) }
        #expect(isTold, "\(folder.text("told")) \(watch.report)")
        #expect(
            watch.watcher.errorsSoFar.components(separatedBy: "cannot be killed").count == 2,
            "\(watch.report)")
        #expect(!folder.text("told").contains(#""event":"opened""#))
    }

    /// However much there is to tell of an episode, it is whole.
    @Test func whatTheCommandIsToldIsWhole() throws {
        let folder = try Stage()
        try folder.write("tell", "#!/bin/sh\ncat >>\(folder.folder)/told\n")
        chmod(folder.folder + "/tell", 0o755)
        try folder.makeFolder("store")
        let watch = try WatchStage(folder.folder + "/store", notify: folder.folder + "/tell")
        let note = String(repeating: "\u{1}", count: 240)
        for _ in 0..<70 {
            let said = try watch.stage.resync(
                ["episode", "open", "mail/a", "--class", "stall", "--note", note]
            ).run()
            #expect(said.status == 0, "\(said.report)")
        }
        let id = try #require(try watch.status()["episode"] as? String)
        let closed = try watch.stage.resync(["episode", "close", id, "--note", "known"]).run()
        #expect(closed.status == 0, "\(closed.report)")
        #expect(watch.within(5) { folder.text("told").contains(#""event":"closed""#) })
        let told = try objects(folder.text("told").split(separator: "\n").map { String($0) })
        #expect(told.first?["event"] as? String == "opened")
        #expect(told.last?["event"] as? String == "closed")
        #expect((told.last?["evidence_left_out"] as? Int ?? 0) > 6)
        #expect(told.last?["episode"] as? String == id)
        #expect((told.last?["evidence"] as? [Any])?.isEmpty == false)
    }

    @Test func aRecordingThatCannotBeWrittenKeepsNobodyWaiting() throws {
        guard let disk = try FaultyStore(.ext4) else { return }
        let folder = try Stage()
        try folder.makeFolder("store")
        let watch = try WatchStage(
            folder.folder + "/store", options: ["--record", disk.point + "/recording"])
        #expect(try system("fsfreeze", "-f", disk.point) != nil)
        defer { _ = try? system("fsfreeze", "-u", disk.point) }
        usleep(2_500_000)
        for _ in 0..<4 {
            #expect(watch.state == "ok", "\(watch.report)")
            usleep(500_000)
        }
        #expect(try system("fsfreeze", "-u", disk.point) != nil)
        watch.watcher.signal(SIGTERM)
        let ended = try watch.watcher.wait()
        #expect(ended.status == 0, "\(ended.report)")
        let text = try String(contentsOfFile: disk.point + "/recording", encoding: .utf8)
        let lines = text.split(separator: "\n")
        #expect(lines.count { $0.contains(" mail/a probe ") } >= 4, "\(text)")
    }

    /// Errors are told to nobody who does not read them.
    @Test func whoDoesNotReadItsErrorsKeepsNobodyWaiting() throws {
        let folder = try Stage()
        try folder.write("a/file", "text")
        try folder.copy()
        try folder.write(
            "config.yaml",
            """
            pairs: [{name: mail, a: \(folder.a), b: \(folder.b)}]
            watch: {interval: 1s}
            notify: {command: [/nowhere/at/all]}

            """)
        let pipe = try FullPipe(folder)
        let plain = folder.resync(["watch", "--config", folder.folder + "/config.yaml"])
        let words = [plain.program].map { Array($0.utf8) } + plain.arguments
        let watcher = try Command(
            "/bin/sh",
            ["-c", "exec \"$@\" 2>'\(pipe.path)'", "sh"].map { Array($0.utf8) } + words
        ).start()
        defer { watcher.signal(SIGKILL) }
        func episode() throws -> String? {
            let lines = try folder.resync(["status", "--json"]).run().lines
            return try objects(lines).compactMap { $0["episode"] as? String }.first
        }
        var isWell = false
        for _ in 0..<80 where !isWell {
            usleep(250_000)
            isWell = try folder.resync(["status", "--json"]).run().text.contains("\"ok\"")
        }
        #expect(isWell)
        // More of them than may wait, none of which can be told.
        for number in 0..<60 where isWell {
            let opened = try folder.resync(["episode", "open", "mail/a", "--note", "x"]).run()
            let id = try episode() ?? "?"
            let closed = try folder.resync(["episode", "close", id, "--note", "x"]).run()
            isWell = opened.status == 0 && closed.status == 0
            #expect(isWell, "\(number): \(opened.report)\(closed.report)")
        }
        watcher.signal(SIGTERM)
        let ended = try withExtendedLifetime(pipe) { try watcher.wait() }
        #expect(ended.status == 0)
    }

    // MARK: A person's word

    /// Whatever was asked before somebody vouched for what is there now says nothing against it.
    @Test func anAnswerFromBeforeItWasClosedOpensNothing() throws {
        let folder = try Stage()
        try folder.makeFolder("store")
        let watch = try WatchStage(folder.folder + "/store")
        let name = try #require(
            try FileManager.default.contentsOfDirectory(atPath: watch.store).first {
                $0.hasPrefix(".resync-probe-")
            })
        try folder.write("store/" + name, [UInt8](repeating: 7, count: 4096))
        #expect(watch.within(5) { watch.kind == "lost-write" }, "\(watch.report)")
        let workers = try #require(
            try system("pgrep", "-d", " ", "-P", "\(watch.watcher.process)")
        ).split { $0.isWhitespace }.compactMap { Int32($0) }
        for worker in workers { kill(worker, SIGSTOP) }
        usleep(1_500_000)
        let id = try #require(try watch.status()["episode"] as? String)
        let closed = try watch.stage.resync(["episode", "close", id, "--note", "known"]).run()
        for worker in workers { kill(worker, SIGCONT) }
        #expect(closed.status == 0, "\(closed.report)")
        #expect(watch.within(10) { watch.state == "ok" }, "\(watch.report)")
        usleep(1_500_000)
        #expect(watch.state == "ok", "\(watch.report)")
        #expect(try watch.episodes().count == 1, "\(watch.report)")
    }

    /// One that became an episode is over as a suspicion.
    @Test func everySuspicionHasAnEndInTheLedger() throws {
        guard let sqlite = Command.find("sqlite3") else { return skip("sqlite3 is not installed") }
        let folder = try Stage()
        try folder.makeFolder("store")
        let watch = try WatchStage(folder.folder + "/store")
        let workers = try #require(
            try system("pgrep", "-d", " ", "-P", "\(watch.watcher.process)")
        ).split { $0.isWhitespace }.compactMap { Int32($0) }
        for worker in workers { kill(worker, SIGSTOP) }
        func suspicions(_ condition: String) throws -> String {
            try Command(
                sqlite,
                [
                    watch.stage.folder + "/state/ledger.sqlite",
                    "SELECT count(*) FROM suspicion WHERE \(condition)",
                ]
            ).run().text
        }
        let isKept = try watch.within(20) { try !watch.episodes().isEmpty }
        #expect(isKept, "\(watch.report)")
        #expect(try suspicions("store = 'mail/a'") == "1\n", "\(watch.report)")
        // It is written a moment after the episode.
        let isOver = try watch.within(10) {
            try suspicions("ended_wall IS NULL AND store = 'mail/a'") == "0\n"
        }
        #expect(isOver, "\(watch.report)")
        for worker in workers { kill(worker, SIGCONT) }
    }

    /// What lies in an image is nobody's but its user's: it is known by its inode and size.
    @Test func anotherImageIsNotTheStore() throws {
        let folder = try Stage()
        try folder.write("image", noise(3 << 20))
        try folder.write("zeros", [UInt8](repeating: 0, count: 3 << 20))
        let watch = try WatchStage(folder.folder + "/image")
        try system("mv", folder.folder + "/zeros", folder.folder + "/image")
        let isSeen = watch.within(15) { watch.state == "down" }
        #expect(isSeen && watch.kind == "wrong-device", "\(watch.report)")
        // Nor by the next watcher.
        try watch.restart()
        usleep(UInt32((WatchStage.holdDown + 4) * 1e6))
        #expect(watch.state == "down", "\(watch.report)")
        let id = try watch.episodes().first?["episode"] as? String ?? ""
        let closed = try watch.stage.resync(
            ["episode", "close", id, "--note", "restored"]
        ).run()
        #expect(closed.status == 0, "\(closed.report)")
        #expect(watch.within(15) { watch.state == "ok" }, "\(watch.report)")
    }
}

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
            store, options: ["--no-verify"], starts: starts,
            modules: "modules: [{name: m, pair: mail, paths: [file]}]"
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
        #expect(try suspicions("ended_wall IS NULL AND store = 'mail/a'") == "0\n")
        for worker in workers { kill(worker, SIGCONT) }
    }
}

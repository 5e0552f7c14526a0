import Foundation
import Glibc
import TestSupport
import Testing

/// Stores that stop answering while a plan is carried out, read back or taken back.
@Suite(.serialized) struct StallTests {
    private static let patience = ["--io-timeout", "2s"]

    /// The source does not answer; then it does again.
    @Test func aSourceThatStopsAnsweringIsNamed() throws {
        guard let hostile = try FuseTests.Hostile() else { return }
        let stage = hostile.stage
        try hostile.furnish(["file": "other"])
        let compared = try hostile.verify("later")
        #expect(compared.status == 1, "\(compared.report)")
        let planned = try stage.resync(["plan", "last", "--authority", "a", "-o", "p"]).run()
        #expect(planned.status == 0, "\(planned.report)")
        for json in [false, true] {
            let options = ["apply", "p"] + (json ? ["--json"] : [])
            let held = try whileHeld(hostile) { try stage.resync(options + Self.patience).start() }
            #expect(held.status == 6, "\(held.report)")
            #expect(held.errorText.contains("A has not answered in 2 s: "))
            #expect(held.errorText.contains(" of 'file'"), "\(held.report)")
            #expect(stage.text("b/file") == "other")
            if json {
                let lines = try objects(held.lines)
                let error = try #require(lines.first { $0["type"] as? String == "error" })
                #expect(error["path"] as? String == "file" && error["side"] as? String == "a")
                #expect(error["errno"] as? String == "ETIMEDOUT")
                #expect(lines.last?["type"] as? String == "summary")
                #expect(lines.last?["exit_status"] as? Int == 6)
            } else {
                #expect(held.text.contains("applied 0 of"), "\(held.report)")
                #expect(held.text.contains("work on A ended"), "\(held.report)")
            }
        }
        let applied = try stage.resync(["apply", "p"] + Self.patience).run()
        #expect(applied.status == 0, "\(applied.report)")
        #expect(stage.text("b/file") == "ddddd")
        let unread = try whileHeld(hostile) {
            try stage.resync(["confirm"] + Self.patience).start()
        }
        #expect(unread.status == 2, "\(unread.report)")
        #expect(unread.errorText.contains("A has not answered in 2 s: "))
        #expect(unread.text.contains("confirmed 0 changes"), "\(unread.report)")
        let confirmed = try stage.resync(["confirm"] + Self.patience).run()
        #expect(!confirmed.errorText.contains("has not answered"), "\(confirmed.report)")
    }

    /// What it comes to, once it has said its last and reads are answered again: a thread that
    /// waits in the kernel may hold the process until then.
    private func whileHeld(
        _ hostile: FuseTests.Hostile, _ start: () throws -> Running
    ) throws -> Finished {
        try hostile.holdReads(true)
        let running = try start()
        try waitForTheLastWord(running, "A has not answered in 2 s")
        try hostile.holdReads(false)
        return try running.wait()
    }

    private func waitForTheLastWord(_ running: Running, _ words: String) throws {
        let started = ContinuousClock.now
        for _ in 0..<2000 where !running.errorsSoFar.contains(words) { usleep(10_000) }
        #expect(running.errorsSoFar.contains(words))
        // All that it prints is there when its end is asked for; it does nothing more.
        usleep(500_000)
        #expect(started.duration(to: .now) < .seconds(20))
    }

    /// Its file system takes no write; then it does again.
    @Test func aTargetThatStopsAnsweringIsNamed() throws {
        guard Command.find("fsfreeze") != nil else { return skip("fsfreeze is not installed") }
        guard let mount = try LoopMount(.ext4) else { return }
        let stage = try Stage()
        let target = mount.point + "/b"
        try stage.write("a/f", "of A")
        try system("mkdir", target)
        try system("cp", "-a", stage.a + "/f", target + "/g")
        #expect(try stage.resync(["verify", stage.a, target, "--settle", "0"]).run().status == 1)
        #expect(
            try stage.resync(["plan", "last", "--authority", "a", "-o", "p"]).run().status == 0)
        let planned = try stage.resync(["plan", "show", "p", "--json"]).run()
        let id = try objects(planned.lines).compactMap { $0["plan"] as? String }.last ?? "?"
        for arguments in [["apply", "p", "--accept", id], ["undo"]] {
            let held = try whileFrozen(mount) {
                try stage.resync(arguments + Self.patience).start()
            }
            #expect(held.status == 6, "\(held.report)")
            #expect(held.text.contains("work on B ended"), "\(held.report)")
            let again = try stage.resync(arguments + Self.patience).run()
            #expect(again.status == 0, "\(again.report)")
        }
        #expect(try system("ls", target) == "g\n")
    }

    private func whileFrozen(_ mount: LoopMount, _ start: () throws -> Running) throws -> Finished {
        try system("fsfreeze", "-f", mount.point)
        defer { _ = try? system("fsfreeze", "-u", mount.point) }
        let running = try start()
        try waitForTheLastWord(running, "B has not answered in 2 s")
        try system("fsfreeze", "-u", mount.point)
        return try running.wait()
    }
}

import Foundation
import Glibc
import Testing

/// A run that is held up, and whose rates are changed, while it is under way.
@Suite(.serialized) struct PaceTests {
    /// Twenty files of 1 MiB that B has not.
    private func stage() throws -> Stage {
        let stage = try Stage()
        for number in 0..<20 {
            try stage.write("a/f\(number)", noise(1 << 20, seed: UInt64(number)))
        }
        try stage.makeFolder("b")
        try stage.write("b/kept", "so that B is not empty")
        return stage
    }

    private func size(of folder: String) throws -> Int {
        let text = try system("du", "-s", "-B1", "--apparent-size", folder) ?? ""
        return Int(text.prefix { $0.isNumber }) ?? 0
    }

    private func wait(_ seconds: Double) { usleep(UInt32(seconds * 1e6)) }

    @Test func applyIsPausedLimitedAndGoesOn() throws {
        let stage = try stage()
        let plan = stage.folder + "/plan"
        _ = try stage.verify()
        let planned = try stage.resync(["plan", "last", "--authority", "union", "-o", plan]).run()
        #expect(planned.status == 0, "\(planned.report)")
        let running = try stage.resync(["apply", plan, "--write-limit", "2MiB/s"]).start()
        wait(1.5)
        let listed = try stage.resync(["runs", "list"]).run()
        #expect(listed.text.contains("under way\n"), "\(listed.report)")
        let paused = try stage.resync(["runs", "pause"]).run()
        #expect(paused.status == 0, "\(paused.report)")
        // It has two seconds to obey.
        wait(2)
        let before = try size(of: stage.b)
        #expect(before < 20 << 20)
        wait(1.5)
        #expect(try size(of: stage.b) == before)
        #expect(try stage.resync(["runs", "list"]).run().text.contains("under way, paused\n"))
        let limited = try stage.resync(["runs", "limit", "--write-limit", "none"]).run()
        #expect(limited.status == 0, "\(limited.report)")
        wait(1)
        #expect(try size(of: stage.b) == before)
        #expect(try stage.resync(["runs", "resume"]).run().status == 0)
        let start = Date()
        let done = try running.wait(60)
        #expect(done.status == 0, "\(done.report)")
        // At the rate that it was begun with, the rest would take more than six seconds.
        #expect(Date().timeIntervalSince(start) < 5, "\(done.report)")
        #expect(done.errorText.contains("paused; 'resync runs resume"), "\(done.report)")
        #expect(done.errorText.contains("writing at any rate"), "\(done.report)")
        let late = try stage.resync(["runs", "pause"]).run()
        #expect(late.status == 2, "\(late.report)")
        #expect(late.errorText.contains("is not under way"), "\(late.report)")
    }

    @Test func aPausedVerifyEndsOnAnInterrupt() throws {
        let stage = try stage()
        try stage.remove("b")
        try stage.copy()
        let running = try stage.resync(
            ["verify", "--read-limit", "2MiB/s", stage.a, stage.b]).start()
        wait(1.5)
        #expect(try stage.resync(["runs", "pause"]).run().status == 0)
        wait(2)
        kill(running.process, SIGINT)
        let ended = try running.wait(20)
        #expect(ended.status == 130, "\(ended.report)")
        #expect(ended.text.contains("not reached"), "\(ended.report)")
        // What was ordered does not outlive the process.
        let resumed = try stage.resync(["runs", "resume"]).run()
        #expect(resumed.status == 0, "\(resumed.report)")
    }

    /// Nothing is slow here: 0.4, 0.8, 1.6 and then 3.2 MiB/s, each for two seconds.
    @Test func aRampBeginsSlowly() throws {
        let stage = try stage()
        for number in 8..<20 { try stage.remove("a/f\(number)") }
        try stage.remove("b")
        try stage.copy()
        func seconds(_ words: String...) throws -> Double {
            let start = Date()
            let done = try stage.resync(["verify"] + words + [stage.a, stage.b]).run()
            #expect(done.status == 0, "\(done.report)")
            return Date().timeIntervalSince(start)
        }
        #expect(try seconds("--read-limit", "4MiB/s", "--ramp", "1") < 5)
        let slow = try seconds("--read-limit", "4MiB/s", "--ramp", "0.1")
        #expect(slow > 5 && slow < 20, "\(slow)")
        for words in [["--ramp", "0.1"], ["--ramp", "2", "--read-limit", "1MiB/s"]] {
            let refused = try stage.resync(["verify"] + words + [stage.a, stage.b]).run()
            #expect(refused.status == 64, "\(refused.report)")
        }
    }

    @Test func whatCannotBeObeyedIsRefused() throws {
        let stage = try stage()
        _ = try stage.verify()
        #expect(try stage.resync(["runs", "limit"]).run().status == 64)
        #expect(try stage.resync(["runs", "limit", "--read-limit", "fast"]).run().status == 64)
        #expect(try stage.resync(["runs", "limit", "--read-limit", "1MiB/s"]).run().status == 2)
    }
}

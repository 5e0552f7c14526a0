import Foundation
import Glibc
import TestSupport
import Testing

/// `resync bench`: says what a verification would take, and leaves the store as it is.
@Suite struct BenchTests {
    private func stage(below parent: String = NSTemporaryDirectory()) throws -> Stage {
        let stage = try Stage(below: parent)
        for folder in ["c", "c/d", "e"] {
            try stage.makeFolder("a/\(folder)")
            for index in 0..<20 {
                try stage.write("a/\(folder)/\(index)", noise(5000, seed: UInt64(index + 1)))
            }
        }
        try stage.write("a/large", noise(9 << 20))
        return stage
    }

    private func bench(_ stage: Stage, _ options: String..., store: String? = nil) -> Command {
        stage.resync(["bench", store ?? stage.a, "--max-duration", "3s"] + options)
    }

    private func lines(_ finished: Finished) throws -> [[String: Any]] {
        try objects(finished.lines)
    }

    /// All that a write, or a read that leaves a trace, would move. Looking moves the access times
    /// of directories, once.
    private func looks(_ stage: Stage) throws -> String? {
        _ = try system("find", stage.a)
        return try system("find", stage.a, "-printf", "%P %i %s %m %A@ %T@ %C@\\n")
    }

    @Test func everyLevelIsEstimatedAndTheStoreLeftAsItIs() throws {
        let stage = try stage()
        let before = try looks(stage)
        let finished = try bench(stage, "--json").run()
        #expect(finished.status == 0, "\(finished.report)")
        #expect(try looks(stage) == before)
        let lines = try lines(finished)
        #expect(lines.first?["type"] as? String == "bench")
        let levels = lines.filter { $0["type"] as? String == "estimate" }
        #expect(
            levels.compactMap { $0["assurance"] as? String }.sorted()
                == ["cached", "hash", "media", "metadata"])
        for level in levels where level["reason"] == nil {
            let seconds = try #require(level["seconds"] as? Double)
            let low = try #require(level["low_s"] as? Double)
            let high = try #require(level["high_s"] as? Double)
            #expect(0 < seconds && low <= seconds && seconds <= high, "\(level)")
            #expect(level["limit"] is String)
        }
        let summary = try #require(lines.last)
        #expect(summary["type"] as? String == "summary")
        #expect(summary["files"] as? Int == 61)
        #expect(summary["bytes"] as? Int == 60 * 5000 + 9 << 20)
        #expect(summary["exit_status"] as? Int == 0)
    }

    @Test func whatIsReadSlowlyIsEstimatedInItsTime() throws {
        let stage = try stage()
        let finished = try bench(stage, "--json", "--read-limit", "1MiB/s").run()
        #expect(finished.status == 0, "\(finished.report)")
        #expect(finished.seconds < 6, "\(finished.report)")
        let level = try #require(try lines(finished).first { $0["assurance"] as? String == "hash" })
        #expect(level["limit"] as? String == "rate limit")
        let seconds = try #require(level["seconds"] as? Double)
        // Both sides are read at that rate at the same time.
        #expect((8.0...12.0).contains(seconds), "\(level)")
    }

    @Test func anEmptyStoreHasNothingToVerify() throws {
        let stage = try Stage()
        let finished = try bench(stage, "--json").run()
        #expect(finished.status == 2, "\(finished.report)")
        let lines = try lines(finished)
        #expect(!lines.contains { $0["type"] as? String == "estimate" })
        #expect(lines.last?["exit_status"] as? Int == 2)
        #expect(finished.errorText.contains("nothing to read") || lines.count == 2)
    }

    @Test func aStoreThatCannotBeReadIsNamed() throws {
        let stage = try Stage()
        let finished = try bench(stage, "--json", store: stage.folder + "/absent").run()
        #expect(finished.status == 2, "\(finished.report)")
        #expect(finished.errorText.contains("absent"))
        #expect(try lines(finished).last?["exit_status"] as? Int == 2)
    }

    @Test func anImageIsEstimatedLikeADirectory() throws {
        let stage = try stage()
        let finished = try bench(stage, store: stage.a + "/large").run()
        #expect(finished.status == 0, "\(finished.report)")
        #expect(finished.text.contains("1 file, 9.00 MiB"), "\(finished.report)")
        #expect(finished.text.contains("  hash "), "\(finished.report)")
    }

    @Test func memoryHasNoMedium() throws {
        guard let kind = try system("stat", "-f", "-c", "%T", "/dev/shm"), kind == "tmpfs\n" else {
            skip("/dev/shm is no tmpfs")
            return
        }
        let stage = try stage(below: "/dev/shm")
        let finished = try bench(stage).run()
        #expect(finished.status == 0, "\(finished.report)")
        #expect(finished.text.contains("  media     cannot be had"), "\(finished.report)")
        #expect(finished.text.contains("  hash      0."), "\(finished.report)")
    }

    @Test func aSignalEndsItWithoutAnEstimate() throws {
        let stage = try stage()
        let running = try stage.resync([
            "bench", stage.a, "--json", "--read-limit", "100K", "--max-duration", "60s",
            "--progress", "json",
        ]).start()
        for _ in 0..<1000 where !running.errorsSoFar.contains("\"status\"") { usleep(5000) }
        running.signal(SIGINT)
        let finished = try running.wait()
        #expect(finished.status == 128 + SIGINT, "\(finished.report)")
        #expect(finished.seconds < 30)
        #expect(!finished.text.contains("\"seconds\""), "\(finished.report)")
    }

    @Test func noTimeIsRefused() throws {
        let stage = try stage()
        let finished = try stage.resync(["bench", stage.a, "--max-duration", "0s"]).run()
        #expect(finished.status == 64, "\(finished.report)")
    }
}

import Foundation
import Glibc
import Testing

/// Runs that end early, and what is done with those that are kept.
@Suite struct RunsTests {
    /// Large enough to be in the middle of when it is limited to a megabyte or so a second.
    private func stage(files: Int = 8, size: Int = 1 << 20) throws -> Stage {
        let stage = try Stage()
        for index in 0..<files {
            try stage.write("a/file\(index)", noise(size, seed: UInt64(index + 1)))
        }
        try stage.copy()
        return stage
    }

    /// Starts, and waits until it reads.
    private func begin(_ stage: Stage, _ options: [String] = []) throws -> Running {
        let running = try stage.verifying(
            ["--read-limit", "2MiB/s", "--workers", "1", "--progress", "json"] + options
        ).start()
        for _ in 0..<1000 {
            if running.errorsSoFar.contains("\"type\":\"status\"") { break }
            usleep(10_000)
        }
        usleep(300_000)
        return running
    }

    @Test func timeBudgetLeavesSomethingToResume() throws {
        let stage = try stage(files: 3)
        let none = try stage.verify(
            "--max-duration", "0", "--read-limit", "1MiB/s", "--workers", "1")
        #expect(none.status == 10, "\(none.report)")
        #expect(none.lines.last?.contains("out of time") == true, "\(none.report)")
        #expect(none.text.contains("not reached"))
        let rest = try stage.runs("resume", "last")
        #expect(rest.status == 10, "its own budget is used again: \(rest.report)")
    }

    @Test func interruptedRunIsResumed() throws {
        let stage = try stage()
        try stage.patch("b/file7", at: 12345, [1, 2, 3])
        let running = try begin(stage, ["--combined", "report"])
        running.signal(SIGINT)
        let ended = try running.wait()
        #expect(ended.status == 130, "\(ended.report)")
        #expect(ended.text.contains("interrupted; 'resync runs resume "))
        #expect(ended.text.contains("not reached"), "\(ended.report)")
        #expect(ended.seconds < 20)
        let listed = try stage.runs("list")
        #expect(listed.lines.count == 1)
        let rest = try stage.runs("resume", "last")
        #expect(rest.status == 1, "\(rest.report)")
        #expect(rest.text.contains("* file7  content: bytes 4096 at 12288"), "\(rest.report)")
        #expect(rest.text.contains("8 entries: 7 same"), "\(rest.report)")
        #expect(stage.text("report").split(separator: "\n").count == 8)
        let again = try stage.runs("resume", "last")
        #expect(again.status == 2)
        #expect(again.errorText.contains("nothing to resume"), "\(again.report)")
    }

    @Test func terminationAndHangupEndTidily() throws {
        for number in [SIGTERM, SIGHUP] {
            let stage = try stage()
            let running = try begin(stage, ["--json"])
            running.signal(number)
            let ended = try running.wait()
            #expect(ended.status == 128 + number, "\(ended.report)")
            let last = try objects(ended.lines).last
            #expect(last?["type"] as? String == "summary")
            #expect(last?["exit_status"] as? Int == Int(128 + number))
        }
    }

    @Test func secondInterruptionEndsAtOnce() throws {
        let stage = try stage()
        // A throttled block of 16 MiB keeps the tidy end waiting.
        let running = try begin(stage, ["--block-size", "16MiB"])
        running.signal(SIGINT)
        usleep(20_000)
        let started = ContinuousClock.now
        running.signal(SIGINT)
        let ended = try running.wait()
        #expect(ended.status == 130, "\(ended.report)")
        #expect(started.duration(to: .now) < .seconds(2))
    }

    @Test func killedRunIsResumedOrTold() throws {
        let stage = try stage(files: 3)
        let running = try begin(stage)
        running.signal(SIGKILL)
        #expect(try running.wait().status == 137)
        let listed = try stage.runs("list")
        #expect(listed.lines.count == 1, "\(listed.report)")
        #expect(!listed.text.contains("IN SYNC"))
        let shown = try stage.runs("show")
        #expect(shown.status == 2, "\(shown.report)")
        let resumed = try stage.runs("resume")
        #expect([0, 2].contains(resumed.status), "\(resumed.report)")
        #expect(try stage.verify().status == 0)
    }

    @Test func runBeingWorkedOnIsLeftAlone() throws {
        let stage = try stage()
        let running = try begin(stage)
        for verb in ["resume", "delete"] {
            let found = try stage.runs(verb, "last")
            #expect(found.status == 75 || found.status == 2, "\(verb): \(found.report)")
        }
        #expect(try stage.runs("delete", "last").status == 75)
        running.signal(SIGINT)
        #expect(try running.wait().status == 130)
    }

    @Test func runsAreListedShownAndDeleted() throws {
        let stage = try stage(files: 1, size: 100)
        #expect(try stage.runs("list").output.isEmpty)
        #expect(try stage.verify().status == 0)
        let listed = try stage.runs("list")
        #expect(listed.lines.count == 1)
        #expect(listed.text.contains("verify"))
        #expect(listed.text.contains(stage.b))
        let id = String(listed.text.prefix { $0 != " " })
        let shown = try stage.runs("show", id)
        #expect(shown.status == 0, "\(shown.report)")
        #expect(shown.lines.last == "IN SYNC")
        #expect(try stage.runs("show", String(id.suffix(4))).status == 0)
        #expect(try stage.runs("delete", id).status == 0)
        #expect(try stage.runs("list").output.isEmpty)
        #expect(try stage.runs("delete", id).status == 2)
    }

    @Test func theLastRunIsTheOneBegunLast() throws {
        let stage = try stage(files: 1, size: 100)
        for _ in 0..<6 {
            try stage.patch("b/file0", at: 0, [1, 2, 3])
            #expect(try stage.verify().status == 1)
            try stage.patch("b/file0", at: 0, Array(stage.bytes("a/file0").prefix(3)))
            #expect(try stage.verify().status == 0)
            let shown = try stage.runs("show", "last")
            #expect(shown.status == 0, "\(shown.report)")
        }
    }

    @Test func stateIsPrivate() throws {
        let stage = try stage(files: 1, size: 100)
        #expect(try stage.verify().status == 0)
        let modes = try system("find", stage.state, "-perm", "/077")
        #expect(modes == "", "\(modes ?? "")")
    }
}

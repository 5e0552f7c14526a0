import Foundation
import TestSupport
import Testing

/// Limits the operator sets: how fast, and how long a read may take.
@Suite(.serialized) struct LimitsTests {
    @Test func readLimitIsKept() throws {
        let stage = try Stage()
        try stage.write("a/file", noise(24 << 20))
        try stage.copy()
        let found = try stage.verify("--read-limit", "6MiB/s")
        #expect(found.status == 0, "\(found.report)")
        #expect(found.seconds > 4 * 0.9, "24 MiB at 6 MiB/s took \(found.seconds) s")
        // Workers may read one side after the other, each side no faster than the limit.
        #expect(found.seconds < 2 * 4 * 1.1 + 0.5, "24 MiB at 6 MiB/s took \(found.seconds) s")
    }

    /// Not above, and not much below: a limit that is not used makes a night too short.
    @Test func readLimitIsKeptFromBothSides() throws {
        guard isLongRun else { return skip("ten seconds of reading at a limit: RESYNC_LONG=1") }
        let stage = try Stage()
        try system("sh", "-c", "head -c 100M /dev/urandom >'\(stage.folder)/image-a'")
        try system("cp", stage.folder + "/image-a", stage.folder + "/image-b")
        let images = [stage.folder + "/image-a", stage.folder + "/image-b"]
        let found = try stage.resync(
            ["verify"] + images + ["--settle", "0", "--read-limit", "10MiB/s", "--json"]
        ).run()
        #expect(found.status == 0, "\(found.report)")
        let summary = try objects(found.lines).last
        let seconds = try #require(summary?["elapsed_s"] as? Double)
        // Both sides are read at the same time, each of them at its own limit.
        #expect(seconds > 10 * 0.9 && seconds < 10 * 1.1, "100 MiB at 10 MiB/s took \(seconds) s")
    }

    @Test func unansweredReadIsNamed() throws {
        guard let strace = Command.find("strace") else {
            return skip("strace is not installed")
        }
        let stage = try Stage()
        try stage.write("a/before", noise(1000))
        try stage.write("a/stuck", noise(1 << 20))
        try stage.copy()
        let probe = try Command(strace, ["-e", "trace=none", "/bin/true"]).run()
        guard probe.status == 0 else { return skip("strace cannot trace here") }
        var command = stage.verifying(["--io-timeout", "1s", "--json"])
        command.arguments =
            [
                "-f", "-qq", "-o", "/dev/null", "-P", stage.b + "/stuck", "-e",
                "trace=pread64,preadv,preadv2", "-e",
                "inject=pread64,preadv,preadv2:delay_enter=4000000", command.program,
            ].map { Array($0.utf8) } + command.arguments
        command.program = strace
        command.timeout = 100
        let running = try command.start()
        let found = try running.wait(100)
        #expect(found.status == 2, "\(found.report)")
        let lines = try objects(found.lines)
        #expect(found.seconds < 30)
        let error = lines.first { $0["type"] as? String == "error" }
        #expect(error?["path"] as? String == "stuck", "\(found.report)")
        #expect(error?["errno"] as? String == "ETIMEDOUT")
        #expect(error?["side"] as? String == "b")
        let summary = lines.last
        #expect(summary?["type"] as? String == "summary")
        #expect((summary?["not_verified"] as? Int ?? 0) > 0, "\(found.report)")
    }

    /// What several workers read of one file comes from the device once, and does not stay in the
    /// cache: there it would take the place of what services need.
    @Test func aLargeFileLeavesThePageCacheAlone() throws {
        guard let fincore = Command.find("fincore") else { return skip("fincore is missing") }
        let stage = try Stage()
        try stage.write("a/large", noise(96 << 20, seed: 7))
        try stage.copy()
        let files = [stage.a + "/large", stage.b + "/large"]
        func resident() throws -> Int {
            let told = try Command(fincore, ["--bytes", "--noheadings", "-o", "RES"] + files).run()
            return told.lines.compactMap { Int($0.trimmingCharacters(in: .whitespaces)) }
                .reduce(0, +)
        }
        for file in files {
            try system("dd", "of=" + file, "oflag=nocache", "conv=notrunc,fdatasync", "count=0")
        }
        guard try resident() == 0 else { return skip("pages are not dropped here") }
        for workers in ["2", "8"] {
            let done = try stage.resync(["verify", "--workers", workers, stage.a, stage.b]).run()
            #expect(done.status == 0, "\(done.report)")
            let left = try resident()
            #expect(left <= 4 << 20, "\(workers) workers left \(left) bytes")
        }
    }
}

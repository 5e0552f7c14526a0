import Foundation
import Glibc
import Testing

/// `resync scan`, stopped and gone on with.
@Suite struct ScanCommandTests {
    /// Old enough that no entry is racy, and large enough to be stopped in when it is held to a
    /// megabyte or so a second.
    private func stage() throws -> Stage {
        let stage = try Stage()
        for folder in ["c", "d", "d/e", "f"] {
            try stage.makeFolder("a/\(folder)")
            for index in 0..<3 {
                try stage.write("a/\(folder)/\(index)", noise(1 << 19, seed: UInt64(index + 1)))
            }
        }
        try stage.write("a/last", "last")
        usleep(2_100_000)
        return stage
    }

    private func scanning(_ stage: Stage, _ options: String...) -> Command {
        stage.resync(["scan", stage.a, "-o", "m"] + options)
    }

    /// Starts, and interrupts it in the middle.
    private func stopped(_ stage: Stage, _ number: Int32, after seconds: Double) throws -> Finished
    {
        let running = try scanning(
            stage, "--read-limit", "2MiB/s", "--workers", "1", "--progress", "json"
        ).start()
        for _ in 0..<1000 where !running.errorsSoFar.contains("\"status\"") { usleep(5000) }
        usleep(UInt32(seconds * 1e6))
        running.signal(number)
        return try running.wait()
    }

    /// What a manifest says of the store, without when it was made.
    private func said(_ stage: Stage, _ manifest: String) throws -> String {
        let shown = try Command(
            Command.resync, ["manifest", "show", "--json", stage.folder + "/" + manifest]
        ).run()
        #expect(shown.status == 0, "\(shown.report)")
        return shown.lines.filter { !$0.contains("\"started\"") && !$0.contains("\"ended\"") }
            .joined(separator: "\n")
    }

    /// The bytes of a manifest's entries.
    private func entries(_ stage: Stage, _ manifest: String) -> ArraySlice<UInt8> {
        let bytes = stage.bytes(manifest)
        let at = bytes.count - 16 - 48
        let end = bytes[at..<at + 8].reversed().reduce(0) { $0 << 8 | Int($1) }
        let header = Int(bytes[17]) | Int(bytes[18]) << 8
        return bytes[(16 + 5 + header + 16)..<end]
    }

    @Test(arguments: [SIGINT, SIGTERM]) func aStoppedScanGoesOnToTheSameManifest(
        _ number: Int32
    ) throws {
        let stage = try stage()
        for seconds in [0.0, 0.8, 1.6] {
            let ended = try stopped(stage, number, after: seconds)
            #expect(ended.status == 128 + number, "\(ended.report)")
            #expect(ended.errorText.contains("' goes on"))
            #expect(!stage.exists("m") && !stage.exists("m.partial"))
            let listed = try stage.runs("list")
            #expect(listed.lines.count == 1 && listed.text.contains("scan"), "\(listed.report)")
            #expect(listed.text.contains("can be resumed"))
            let shown = try stage.runs("show", "last")
            #expect(shown.status == 2 && shown.errorText.contains("no result yet"))
            let rest = try stage.runs("resume", "last")
            #expect(rest.status == 0, "\(rest.report)")
            #expect(rest.text.contains("13 files, 5 directories"), "\(rest.report)")
            #expect(try stage.runs("list").output.isEmpty)
            #expect(try scanning(stage, "-q").run().status == 2, "it is there already")
            try system("mv", "\(stage.folder)/m", "\(stage.folder)/resumed")
            #expect(try scanning(stage, "-q").run().status == 0)
            #expect(try said(stage, "resumed") == said(stage, "m"))
            #expect(
                entries(stage, "resumed") == entries(stage, "m") && !entries(stage, "m").isEmpty)
            try stage.remove("m")
        }
    }

    /// As many attempts as it takes, each with the same budget.
    @Test func aScanOutOfTimeGoesOnToTheSameManifest() throws {
        let stage = try stage()
        var ended = try scanning(
            stage, "--read-limit", "2MiB/s", "--workers", "1", "--max-duration", "1s"
        ).run()
        #expect(ended.status == 10, "\(ended.report)")
        #expect(ended.errorText.contains("' goes on"))
        #expect(!stage.exists("m"))
        var attempts = 1
        while ended.status == 10, attempts < 20 {
            ended = try stage.runs("resume", "last")
            attempts += 1
        }
        #expect(ended.status == 0 && attempts > 2, "\(attempts): \(ended.report)")
        try system("mv", "\(stage.folder)/m", "\(stage.folder)/resumed")
        #expect(try scanning(stage, "-q").run().status == 0)
        #expect(try said(stage, "resumed") == said(stage, "m"))
        let refused = try scanning(stage, "--force", "--max-duration", "soon").run()
        #expect(refused.status == 64, "\(refused.report)")
    }

    @Test func aKilledScanGoesOn() throws {
        let stage = try stage()
        #expect(try stopped(stage, SIGKILL, after: 0.5).status == 137)
        #expect(!stage.exists("m"))
        let rest = try stage.runs("resume")
        #expect(rest.status == 0, "\(rest.report)")
        try system("mv", "\(stage.folder)/m", "\(stage.folder)/resumed")
        #expect(try scanning(stage, "-q").run().status == 0)
        #expect(try said(stage, "resumed") == said(stage, "m"))
    }

    @Test func whatMovedMeanwhileIsNotCalledComplete() throws {
        let stage = try stage()
        #expect(try stopped(stage, SIGINT, after: 0.8).status == 130)
        try system("mv", "\(stage.a)/last", "\(stage.a)/c/earlier")
        let rest = try stage.runs("resume")
        #expect(rest.status == 2, "\(rest.report)")
        #expect(rest.text.contains("directories incomplete"), "\(rest.report)")
        #expect(rest.text.contains("no root digest"))
    }

    @Test func anotherStoreUnderTheNameIsRefused() throws {
        let stage = try stage()
        #expect(try stopped(stage, SIGINT, after: 0.8).status == 130)
        try system("mv", stage.a, "\(stage.folder)/old")
        try system("cp", "-a", "\(stage.folder)/old", stage.a)
        let rest = try stage.runs("resume")
        #expect(rest.status == 2 && rest.errorText.contains("another store"), "\(rest.report)")
        #expect(!stage.exists("m"))
    }

    @Test func aResumedComparisonKeepsItsManifests() throws {
        let stage = try stage()
        try stage.copy()
        usleep(2_100_000)
        let running = try stage.verifying(
            ["--keep", "--read-limit", "2MiB/s", "--workers", "1", "--progress", "json"]
        ).start()
        for _ in 0..<1000 where !running.errorsSoFar.contains("\"status\"") { usleep(5000) }
        usleep(800_000)
        running.signal(SIGINT)
        #expect(try running.wait().status == 130)
        let folder = stage.state + "/manifests"
        #expect(try system("ls", folder) == "")
        let rest = try stage.runs("resume", "last")
        #expect(rest.status == 0, "\(rest.report)")
        #expect(try system("ls", folder)?.split(separator: "\n").count == 2)
        let cached = try stage.verify("--assurance", "cached")
        #expect(cached.status == 0, "\(cached.report)")
        #expect(cached.text.contains("6.00 MiB at cached"), "\(cached.report)")
        #expect(cached.text.contains("; 0 B read"), "\(cached.report)")
    }
}

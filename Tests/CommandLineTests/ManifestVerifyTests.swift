import Foundation
import Glibc
import Testing

/// `resync verify` with a manifest on one side.
@Suite struct ManifestVerificationTests {
    private func stage() throws -> Stage {
        let stage = try Stage()
        try stage.makeFolder("a/d")
        try stage.write("a/d/file", noise(3 << 20))
        try stage.write("a/other", "other")
        try stage.write("a/mode", "mode")
        try stage.copy()
        return stage
    }

    /// A manifest of A, in `m`.
    private func scan(_ stage: Stage, _ options: String...) throws {
        let made = try stage.resync(["scan", stage.a, "-o", "m", "-q"] + options).run()
        try #require(made.status == 0, "\(made.report)")
    }

    private func verify(_ stage: Stage, _ options: [String] = []) -> Command {
        stage.resync(["verify", "m", stage.b, "--settle", "0"] + options)
    }

    @Test func differencesAreConfirmedAndKept() throws {
        let stage = try stage()
        try scan(stage)
        let equal = try verify(stage, ["-q"]).run()
        #expect(equal.status == 0 && equal.output.isEmpty, "\(equal.report)")
        try stage.patch("b/d/file", at: 2 << 20, [1, 2, 3])
        try stage.remove("b/other")
        try system("chmod", "600", "\(stage.b)/mode")
        let found = try verify(stage, ["--combined", "all", "--missing-on-b", "missing"]).run()
        #expect(found.status == 1, "\(found.report)")
        #expect(found.text.contains("* d/file  content: bytes 1048576 at 2097152"))
        #expect(found.text.contains("+ other  missing on B") && found.text.contains("* mode  mode"))
        #expect(found.lines.last == "NOT IN SYNC")
        #expect(
            Set(stage.text("all").split(separator: "\n"))
                == ["= d", "* d/file", "* mode", "+ other"])
        #expect(stage.text("missing") == "other\n")
        let shown = try stage.runs("show", "last")
        #expect(shown.status == 1 && shown.text.contains("+ other"), "\(shown.report)")
        let json = try objects(try verify(stage, ["--json"]).run().lines)
        #expect(json.first?["type"] as? String == "run")
        #expect(json.first?["digest"] as? String == "sha256")
        let confirmed = json.filter { $0["type"] as? String == "diff" }
        #expect(confirmed.count == 3 && confirmed.allSatisfy { $0["confirmed"] as? Bool == true })
        #expect(try stage.runs("list").lines.count == 3)
    }

    @Test func withoutASecondLookItIsUnstable() throws {
        let stage = try stage()
        try scan(stage)
        try stage.patch("b/d/file", at: 0, [1, 2, 3])
        let found = try verify(stage, ["--confirm", "0"]).run()
        #expect(found.status == 3, "\(found.report)")
        #expect(found.text.contains("~ d/file"))
    }

    @Test func whatMovesMeanwhileIsUnstable() throws {
        let stage = try stage()
        try scan(stage)
        try stage.patch("b/d/file", at: 0, [1, 2, 3])
        let running = try stage.resync(
            ["verify", stage.b, "m", "--settle", "2s", "--progress", "json"]
        ).start()
        for _ in 0..<1000 where !running.errorsSoFar.contains("settling") { usleep(5000) }
        try stage.write("b/d/file", noise(3 << 20, seed: 2))
        let found = try running.wait()
        #expect(found.status == 3, "\(found.report)")
        #expect(found.text.contains("~ d/file"), "\(found.report)")
        #expect(found.text.contains("changed while it was read"), "\(found.report)")
    }

    @Test func aStoppedOneKeepsItsResultsAndBeginsAnew() throws {
        let stage = try stage()
        for index in 0..<3 { try stage.write("a/d/g\(index)", noise(1 << 20, seed: 9)) }
        try stage.makeFolder("a/c")
        try stage.write("a/c/first", "first")
        try stage.remove("b")
        try stage.copy()
        try scan(stage)
        try stage.patch("b/c/first", at: 0, [1, 2, 3])
        let running = try verify(
            stage, ["--read-limit", "2MiB/s", "--workers", "1", "--progress", "json"]
        ).start()
        for _ in 0..<1000 where !running.errorsSoFar.contains("\"status\"") { usleep(10_000) }
        usleep(500_000)
        running.signal(SIGINT)
        let ended = try running.wait()
        #expect(ended.status == 130, "\(ended.report)")
        let shown = try stage.runs("show", "last")
        #expect(shown.status == 130 && shown.text.contains("~ c/first"), "\(shown.report)")
        let rest = try stage.runs("resume", "last")
        #expect(rest.status == 1, "\(rest.report)")
        #expect(rest.errorText.contains("begins anew"), "\(rest.report)")
        #expect(rest.text.contains("* c/first"))
        #expect(rest.text.contains("9 entries: 8 same"), "\(rest.report)")
        #expect(try stage.runs("resume", "last").status == 2)
    }

    @Test func timeBudgetHolds() throws {
        let stage = try stage()
        try scan(stage)
        let found = try verify(
            stage, ["--max-duration", "0", "--read-limit", "1MiB/s", "--workers", "1"]
        ).run()
        #expect(found.status == 10, "\(found.report)")
    }

    @Test func listsOfOtherToolsAreConfirmedByTheirWholeDigests() throws {
        let stage = try stage()
        let list = try system("bash", "-c", "cd \(stage.a) && find . -type f | xargs sha256sum -z")
        try stage.write("list", Array((list ?? "").utf8))
        let made = try Command(
            Command.resync,
            ["manifest", "import", stage.folder + "/list", "-o", stage.folder + "/m"]
        ).run()
        #expect(made.status == 0, "\(made.report)")
        #expect(try verify(stage).run().status == 0)
        try stage.patch("b/d/file", at: 0, [1, 2, 3])
        let found = try verify(stage, ["--json"]).run()
        #expect(found.status == 1, "\(found.report)")
        let difference = try objects(found.lines).first { $0["type"] as? String == "diff" }
        #expect(difference?["path"] as? String == "d/file")
        #expect(difference?["confirmed"] as? Bool == true)
    }

    /// Where nobody says how strongly it is to be read.
    @Test func aStoreInTroubleIsReadFromTheMedium() throws {
        let stage = try stage()
        try scan(stage)
        let before = try verify(stage, ["--json"]).run()
        let level = try objects(before.lines).first?["assurance"] as? String
        guard level == "hash" else { return skip("this machine shows trouble of its own") }
        try stage.makeFolder("other")
        try stage.write(
            "config.yaml", "pairs:\n  - {name: mail, a: \(stage.b), b: \(stage.folder)/other}\n")
        let opened = try stage.resync([
            "episode", "open", "mail/a", "--config", "config.yaml", "--note", "was read-only",
        ]).run()
        #expect(opened.status == 0, "\(opened.report)")
        let found = try verify(stage, ["--json"]).run()
        #expect(try objects(found.lines).first?["assurance"] as? String == "media")
        #expect(found.errorText.contains("trouble on B: episode "), "\(found.report)")
        // What is asked for in so many words is done.
        let asked = try verify(stage, ["--json", "--assurance", "hash"]).run()
        #expect(try objects(asked.lines).first?["assurance"] as? String == "hash")
    }

    @Test func aDamagedManifestIsNamed() throws {
        let stage = try stage()
        try scan(stage)
        let bytes = stage.bytes("m")
        try stage.patch("m", at: bytes.count - 30, [bytes[bytes.count - 30] ^ 1])
        let found = try verify(stage).run()
        #expect(found.status == 2, "\(found.report)")
        #expect(found.errorText.contains("manifest 'm' is damaged"), "\(found.report)")
    }
}

import Foundation
import Testing

/// A comparison with a manifest never says more than the manifest holds.
@Suite struct ManifestStrengthTests {
    private func stage() throws -> Stage {
        let stage = try Stage()
        try stage.write("a/file", noise(100_000))
        try stage.copy()
        return stage
    }

    private func scan(_ stage: Stage, _ name: String, _ options: String...) throws {
        let made = try stage.resync(["scan", stage.a, "-o", name, "-q"] + options).run()
        try #require(made.status == 0, "\(made.report)")
    }

    private func verify(_ stage: Stage, _ words: String...) throws -> Finished {
        try stage.resync(["verify"] + words).run()
    }

    private func expectUsage(_ found: Finished, _ reason: String) {
        #expect(found.status == 64, "\(found.report)")
        #expect(found.errorText.contains(reason), "\(found.report)")
        #expect(found.output.isEmpty, "\(found.report)")
    }

    @Test func aCachedManifestIsNotComparedAtMedia() throws {
        let stage = try stage()
        try scan(stage, "m")
        try scan(stage, "n")
        let reason = "'m' was not made at media"
        expectUsage(try verify(stage, "m", stage.b, "--assurance", "media"), reason)
        expectUsage(try verify(stage, stage.b, "m", "--assurance", "media"), reason)
        expectUsage(try verify(stage, "m", "n", "--assurance", "media"), reason)
        for level in ["metadata", "size", "cached", "some"] {
            expectUsage(
                try verify(stage, "m", stage.b, "--assurance", level), "hash or media")
            expectUsage(try verify(stage, "m", "n", "--assurance", level), "hash or media")
        }
        #expect(try verify(stage, "m", stage.b, "--assurance", "hash").status == 0)
        #expect(try verify(stage, "m", "n", "--assurance", "hash").status == 0)
        guard
            try stage.resync(["scan", stage.a, "-o", "k", "--assurance", "media"]).run().status == 0
        else { return skip("no media level here") }
        let atMedia = try verify(stage, "k", stage.b, "--assurance", "media")
        #expect(atMedia.status == 0 && atMedia.text.contains("at media"), "\(atMedia.report)")
    }

    @Test func withoutContentNothingIsSaidOfIt() throws {
        let stage = try stage()
        try scan(stage, "m", "--without", "content")
        try scan(stage, "n", "--without", "content")
        for other in [stage.b, "n"] {
            let found = try verify(stage, "m", other)
            #expect(found.status == 0, "\(found.report)")
            #expect(found.lines.last == "IN SYNC, content not compared", "\(found.report)")
            #expect(found.lines.contains("not compared: content"), "\(found.report)")
            expectUsage(
                try verify(stage, "m", other, "--assurance", "hash"), "'m' holds no content")
            expectUsage(
                try verify(stage, "m", other, "--with", "content"), "'m' does not hold content")
        }
        let kept = try stage.runs("show", "last")
        #expect(kept.lines.last == "IN SYNC, content not compared", "\(kept.report)")
        let json = try objects(try verify(stage, "m", "n", "--json").lines).last
        #expect(json?["not_compared"] as? [String] == ["content"])
        try system("chmod", "600", stage.b + "/file")
        let moved = try verify(stage, "m", stage.b, "--settle", "0")
        #expect(moved.status == 1, "\(moved.report)")
        #expect(
            moved.lines.last
                == "NOT IN SYNC, 1 metadata difference, content not compared", "\(moved.report)")
    }

    @Test func liveStoresAreNoOtherCase() throws {
        let stage = try stage()
        let found = try stage.verify("--assurance", "metadata")
        #expect(found.lines.last == "IN SYNC, content not compared", "\(found.report)")
        let part = try stage.verify("--without", "mtime,mode")
        #expect(part.lines.last == "IN SYNC", "\(part.report)")
        #expect(part.lines.contains("not compared: mode, mtime"), "\(part.report)")
    }

    @Test func aListOfOtherToolsKnowsContentOnly() throws {
        let stage = try stage()
        let list = try system("bash", "-c", "cd \(stage.a) && find . -type f | xargs sha256sum -z")
        try stage.write("list", Array((list ?? "").utf8))
        var command = Command(Command.resync, ["manifest", "import", "list", "-o", "m"])
        command.directory = stage.folder
        try #require(try command.run().status == 0)
        let found = try verify(stage, "m", stage.b)
        #expect(found.status == 0, "\(found.report)")
        #expect(
            found.lines.contains("not compared: target, mode, owner, mtime"), "\(found.report)")
        expectUsage(try verify(stage, "m", stage.b, "--with", "xattrs"), "'m' does not hold xattrs")
    }

    @Test(arguments: [
        ["--exclude", "x"], ["--without", "mode"], ["--cross-mounts"], ["--owner-by", "name"],
        ["--confirm", "3"], ["--settle", "0"], ["--max-duration", "1h"], ["--combined", "all"],
        ["--differ", "all"], ["--missing-on-a", "all"], ["--missing-on-b", "all"],
        ["--error", "all"], ["--digest", "sha256"], ["--read-limit", "1MiB/s"],
        ["--workers", "2"], ["--suspect", "17:50..19:15"],
    ])
    func withTwoManifestsItHasNoMeaning(_ options: [String]) throws {
        let stage = try stage()
        try scan(stage, "m")
        let found = try stage.resync(["verify", "m", "m"] + options).run()
        expectUsage(found, "no meaning")
        #expect(found.errorText.contains(options[0]), "\(found.report)")
        #expect(!stage.exists("all"))
    }

    @Test func withoutATypeThereIsNoManifest() throws {
        let stage = try stage()
        let found = try stage.resync([
            "scan", stage.a, "-o", "m", "--without", "type,size,content,target,mode,owner,mtime",
        ]).run()
        #expect(found.status == 64, "\(found.report)")
        #expect(!stage.exists("m"))
    }
}

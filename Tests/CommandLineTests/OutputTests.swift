import Foundation
import Testing

/// Reports: their signs, their files, JSON Lines, and names that could move a cursor.
@Suite struct OutputTests {
    private func stage() throws -> Stage {
        let stage = try Stage()
        for name in ["changed", "gone", "kept"] { try stage.write("a/\(name)", "1 \(name)") }
        try stage.copy()
        try stage.write("b/changed", "2 changed")
        try stage.remove("b/gone")
        try stage.write("b/new", "new")
        return stage
    }

    @Test func quietSaysNothingOnlyWhenInSync() throws {
        let stage = try stage()
        let differing = try stage.verify("-q")
        #expect(differing.status == 1)
        #expect(differing.text.contains("* changed"))
        let same = try stage.verify("-q", "--files-from", "/dev/stdin", "--exclude", "none")
        #expect(same.status == 2, "nothing was listed")
        for name in ["changed", "gone", "new"] { try stage.remove("a/\(name)") }
        for name in ["changed", "new"] { try stage.remove("b/\(name)") }
        let quiet = try stage.verify("--quiet")
        #expect(quiet.status == 0, "\(quiet.report)")
        #expect(quiet.output.isEmpty)
        #expect(quiet.errors.isEmpty)
    }

    @Test func everyReportHasItsSigns() throws {
        let stage = try stage()
        let found = try stage.verify(
            "--combined", "combined", "--differ", "differ", "--missing-on-src", "on-a",
            "--missing-on-dst", "on-b", "--error", "error")
        #expect(found.status == 1, "\(found.report)")
        #expect(
            Set(stage.text("combined").split(separator: "\n"))
                == ["* changed", "+ gone", "= kept", "- new"])
        #expect(stage.text("differ") == "changed\n")
        #expect(stage.text("on-a") == "new\n")
        #expect(stage.text("on-b") == "gone\n")
        #expect(stage.exists("error"))
        #expect(stage.bytes("error").isEmpty)
        let list = try stage.verify("--combined", "-")
        #expect(list.lines.count == 4, "\(list.report)")
    }

    @Test func nullEndsUnescapedNames() throws {
        let stage = try stage()
        let name = Array("line\nbreak\u{1b}[2J".utf8) + [0xff]
        try stage.write(Array("b/".utf8) + name, [1])
        let found = try stage.verify("-0", "--missing-on-a", "names")
        #expect(found.status == 1, "\(found.report)")
        let names = stage.bytes("names").split(separator: 0).map { Array($0) }
        #expect(Set(names) == [name, Array("new".utf8)])
        let listed = try stage.verify("--files-from", "names", "--from0")
        #expect(listed.text.hasPrefix("- line"), "\(listed.report)")
        #expect(listed.text.contains("2 entries"), "\(listed.report)")
    }

    /// A name is bytes, of our own files as well.
    @Test func reportsHaveTheNamesThatWereGiven() throws {
        let stage = try stage()
        let name: [UInt8] = [0x66, 0xff, 0xfe]
        var command = stage.verifying([])
        command.arguments += [Array("--combined".utf8), name]
        #expect(try command.run().status == 1)
        let files = try Command("/usr/bin/env", ["ls", "-b", stage.folder]).run()
        #expect(files.lines.contains(#"f\377\376"#), "\(files.report)")
        let again = try command.run()
        #expect(again.status == 2, "\(again.report)")
        #expect(again.errorText.contains(#"'f\xff\xfe'"#), "\(again.report)")
    }

    /// It keeps no run that could be shown.
    @Test func manyDifferencesOfManifestsAreReferredToJSON() throws {
        let stage = try Stage()
        for index in 0..<1001 { try stage.write("a/f\(index)", "1") }
        try stage.makeFolder("b")
        for side in ["a", "b"] {
            let made = try stage.resync(["scan", side, "-o", "m-\(side)", "-q"]).run()
            try #require([0, 2].contains(made.status), "\(made.report)")
        }
        let found = try Command(
            Command.resync, ["diff", stage.folder + "/m-a", stage.folder + "/m-b"]
        ).run()
        #expect(found.status == 1, "\(found.report)")
        #expect(found.lines.contains("… 1 more: --json prints them"), "\(found.report.suffix(300))")
    }

    @Test func jsonLinesAreObjects() throws {
        let stage = try stage()
        let found = try stage.verify("--json")
        #expect(found.status == 1)
        let lines = try objects(found.lines)
        #expect(found.lines.allSatisfy { $0.hasPrefix("{\"type\":\"") })
        #expect(lines.map { $0["type"] as? String } == ["run", "diff", "diff", "diff", "summary"])
        #expect(lines.first?["schema"] as? Int == 1)
        let changed = lines.first { $0["path"] as? String == "changed" }
        #expect(changed?["outcome"] as? String == "differs")
        #expect(changed?["path_b64"] as? String == Data("changed".utf8).base64EncodedString())
        let extent = (changed?["extents"] as? [[String: Any]])?.first
        #expect(extent?["offset"] as? Int == 0)
        let summary = lines.last
        #expect(summary?["entries"] as? Int == 4)
        #expect(summary?["same"] as? Int == 1)
        #expect(summary?["exit_status"] as? Int == 1)
        let shown = try objects(try stage.runs("show", "--json").lines)
        #expect(shown.last?["type"] as? String == "summary")
        #expect(shown.count == 4)
    }

    private static let oddNames: [[UInt8]] = [
        Array("new\nline".utf8), Array("escape\u{1b}[31m".utf8), Array("bell\u{7}\u{7f}".utf8),
        Array("nel\u{85}\u{9b}".utf8), Array("bidi\u{202e}txt.exe".utf8), [0x66, 0xff, 0xfe, 0x80],
        Array("caf\u{e9}".utf8), Array("cafe\u{301}".utf8), Array("back\\slash".utf8),
        Array(" space ".utf8), Array("-dash".utf8), Array("tab\t\r".utf8),
    ]

    @Test func oddNamesStayApartAndHarmless() throws {
        let stage = try Stage()
        for name in Self.oddNames { try stage.write(Array("a/".utf8) + name, name) }
        try stage.copy()
        let same = try stage.verify()
        #expect(same.status == 0, "\(same.report)")
        #expect(same.lines.first == "12 entries: 12 same", "both forms of é are entries")
        for name in Self.oddNames { try stage.write(Array("b/".utf8) + name, [1]) }
        let text = try stage.verify()
        let json = try stage.verify("--json")
        let combined = try stage.verify("--combined", "-")
        for found in [text, json, combined] {
            #expect(found.status == 1)
            #expect(isHarmless(found.output), "\(found.report)")
        }
        let names = try objects(json.lines).compactMap { $0["path_b64"] as? String }
            .compactMap { Data(base64Encoded: $0).map { Array($0) } }
        #expect(Set(names) == Set(Self.oddNames))
        #expect(text.text.contains(#"* new\x0aline"#))
        #expect(text.text.contains(#"* f\xff\xfe\x80"#))
        #expect(text.text.contains(#"* back\\slash"#))
        #expect(combined.lines.count == 12)
    }

    /// No control character but the line feed, no bidirectional override, nothing but UTF-8.
    private func isHarmless(_ bytes: [UInt8]) -> Bool {
        guard let text = String(validating: bytes, as: UTF8.self) else { return false }
        return text.unicodeScalars.allSatisfy { scalar in
            scalar == "\n"
                || ![.control, .format].contains(scalar.properties.generalCategory)
        }
    }

    @Test func storesMayHaveAnyName() throws {
        let stage = try Stage()
        let folder = Array("odd\n\u{1b}\u{301}".utf8) + [0xff, 0x80, 0xc3]
        let path = Array(stage.folder.utf8) + [0x2f] + folder
        for side in ["1", "2"] {
            let made = try Command("mkdir", [Array("-p".utf8), path + Array(side.utf8)]).run()
            #expect(made.status == 0)
            try stage.write(folder + Array("\(side)/file".utf8), [1])
        }
        let touched = try Command(
            "touch",
            [Array("-r".utf8), path + Array("1/file".utf8), path + Array("2/file".utf8)]
        ).run()
        #expect(touched.status == 0)
        let arguments = ["verify"].map { Array($0.utf8) }
        let stores = [path + Array("1".utf8), path + Array("2".utf8)]
        let state = ["--state", stage.state].map { Array($0.utf8) }
        let found = try Command(Command.resync, arguments + stores + state).run()
        #expect(found.status == 0, "\(found.report)")
        #expect(found.lines.first == "1 entry: 1 same")
        let absent = try Command(
            Command.resync, arguments + [stores[0], path + Array("3".utf8)] + state
        ).run()
        #expect(absent.status == 2)
        #expect(isHarmless(absent.errors), "\(absent.report)")
        #expect(isHarmless(try stage.runs("list").output))
    }
}

import Foundation
import Testing

/// `Scripts/resync` hands on what it is given and costs next to nothing.
@Suite(.serialized) struct ScriptTests {
    /// A project whose build is current: the script, a program that shows its arguments, a stamp.
    private func project() throws -> Stage {
        let stage = try Stage()
        try system("mkdir", "-p", stage.folder + "/.build/release", stage.folder + "/Sources")
        try system("cp", "-r", Command.project + "/Scripts", stage.folder + "/Scripts")
        try stage.write("Package.swift", "")
        try stage.write(
            ".build/release/resync", "#!/bin/sh\npwd\nprintf '%s\\0' \"$@\"\nexit 10\n")
        try system("chmod", "755", stage.folder + "/.build/release/resync")
        try stage.write(".build/resync.stamp", "")
        try system("touch", "-d", "1 hour ago", stage.folder + "/Sources")
        try system("touch", "-d", "1 hour ago", stage.folder + "/Package.swift")
        return stage
    }

    @Test func argumentsAndFolderArriveAsTheyAre() throws {
        let stage = try project()
        let odd: [[UInt8]] = [
            [], Array("a b".utf8), Array("line\nbreak\n".utf8), Array("*".utf8),
            Array("$HOME".utf8),
            Array("'\"\\".utf8), Array("--".utf8), Array("-n".utf8), Array(1...255),
        ]
        var command = Command(stage.folder + "/Scripts/resync", odd)
        command.directory = stage.a
        let found = try command.run()
        #expect(found.status == 10, "\(found.report)")
        let expected = Array((stage.a + "\n").utf8) + odd.flatMap { $0 + [0] }
        let folder = found.output.prefix { $0 != 0x0a }
        #expect(String(decoding: folder, as: UTF8.self).hasSuffix(String(stage.a.suffix(20))))
        #expect(found.output.drop { $0 != 0x0a } == expected.drop { $0 != 0x0a })
        #expect(found.errors.isEmpty)
        try system("ln", "-s", stage.folder + "/Scripts/resync", stage.folder + "/link")
        #expect(try Command(stage.folder + "/link", ["x"]).run().status == 10)
    }

    @Test func laterCallsCostLittle() throws {
        let script = Command.project + "/Scripts/resync"
        let stage = try project()
        try stage.write(".build/release/resync", "#!/bin/sh\nexit 10\n")
        // As many sources as the project has.
        try system("cp", "-rp", Command.project + "/Sources", stage.folder)
        try system("touch", stage.folder + "/.build/resync.stamp")
        #expect(FileManager.default.isExecutableFile(atPath: script))
        var best = (script: Double.infinity, program: Double.infinity)
        for _ in 0..<20 {
            let through = try Command(stage.folder + "/Scripts/resync", [String]()).run()
            #expect(through.status == 10, "\(through.report)")
            let alone = try Command(stage.folder + "/.build/release/resync", [String]()).run()
            best = (min(best.script, through.seconds), min(best.program, alone.seconds))
        }
        #expect(best.script - best.program < 0.05, "\(best)")
    }

    @Test func changedSourcesAreBuiltAndFailuresShown() throws {
        let stage = try project()
        try stage.makeFolder("bin")
        try stage.write("bin/swift", "#!/bin/sh\necho \"called $*\"\nexit 1\n")
        try system("chmod", "755", stage.folder + "/bin/swift")
        try stage.write("Sources/new.swift", "")
        try system("touch", "-d", "1 minute ago", stage.folder + "/.build/resync.stamp")
        try system("touch", "-d", "10 seconds ago", stage.folder + "/Sources/new.swift")
        try system("touch", "-d", "10 seconds ago", stage.folder + "/Sources")
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        let call = ["PATH=\(stage.folder)/bin:\(path)", stage.folder + "/Scripts/resync"]
        let failed = try Command("env", call).run()
        #expect(failed.status == 70, "\(failed.report)")
        #expect(failed.output.isEmpty)
        #expect(failed.errorText.contains("--product resync"), "\(failed.report)")
        try stage.write("bin/swift", "#!/bin/sh\necho built >>'\(stage.folder)/builds'\nsleep 1\n")
        let both = try [Command("env", call).start(), Command("env", call).start()]
        for running in both {
            let found = try running.wait()
            #expect(found.status == 10, "\(found.report)")
        }
        #expect(stage.text("builds") == "built\n", "two first calls build once")
        #expect(try Command("env", call).run().status == 10)
        #expect(stage.text("builds") == "built\n")
    }
}

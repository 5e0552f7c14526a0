import Foundation
import Testing

/// What cannot be done is refused with the right status, and never looks like agreement.
@Suite struct BadInputTests {
    private func stage() throws -> Stage {
        let stage = try Stage()
        try stage.write("a/file", "hello")
        try stage.makeFolder("a/inside")
        try stage.copy()
        return stage
    }

    @Test func wrongUsageIs64() throws {
        let stage = try stage()
        let wrong: [[String]] = [
            ["verify", stage.a], ["verify", stage.a, stage.b, "--bogus"],
            ["verify", stage.a, stage.b, "--digest", "md5"],
            ["verify", stage.a, stage.b, "--block-size", "1KiB"],
            ["verify", stage.a, stage.b, "--block-size", "32MiB"],
            ["verify", stage.a, stage.b, "--block-size", "100000"],
            ["verify", stage.a, stage.b, "--block-size", "many"],
            ["verify", stage.a, stage.b, "--assurance", "hope"],
            ["verify", stage.a, stage.b, "--without", "existence"],
            ["verify", stage.a, stage.b, "--with", "colour"],
            ["verify", stage.a, stage.b, "--workers", "0"],
            ["verify", stage.a, stage.b, "--confirm", "-1"],
            ["verify", stage.a, stage.b, "--settle", "soon"],
            ["verify", stage.a, stage.b, "--read-limit", "0"],
            ["verify", stage.a, stage.b, "--max-duration", "x"],
            ["verify", stage.a, stage.b, "--progress", "loud"],
            ["verify", stage.a, stage.b, "--files-from", stage.folder + "/nowhere"],
            ["verify", stage.a, stage.b, "--exclude-from", stage.folder + "/nowhere"],
            ["verify", stage.a, stage.a], ["verify", stage.a, stage.a + "/../a"],
            ["verify", stage.a, stage.a + "/inside"], ["verify", stage.a + "/inside", stage.a],
            ["verify", stage.a, stage.b + "/file"], ["frobnicate"], ["runs", "frobnicate"],
        ]
        for arguments in wrong {
            let found = try stage.resync(arguments).run()
            #expect(found.status == 64, "\(arguments): \(found.report)")
            #expect(found.output.isEmpty, "\(arguments): \(found.report)")
            #expect(!found.errors.isEmpty, "\(arguments)")
        }
    }

    @Test func linksDoNotHideThatStoresAreOne() throws {
        let stage = try stage()
        try system("ln", "-s", stage.a, stage.folder + "/again")
        let found = try stage.resync(["verify", stage.a, stage.folder + "/again"]).run()
        #expect(found.status == 64, "\(found.report)")
    }

    @Test func bindMountsDoNotHideThatStoresOverlap() throws {
        let stage = try stage()
        try stage.makeFolder("bound")
        let bound = stage.folder + "/bound"
        guard isRoot, try system("mount", "--bind", stage.a + "/inside", bound) != nil else {
            return skip("needs root and bind mounts")
        }
        defer { _ = try? system("umount", "-l", bound) }
        let found = try stage.resync(["verify", stage.a, bound]).run()
        #expect(found.status == 64, "\(found.report)")
        #expect(found.errorText.contains("B lies inside A"), "\(found.report)")
        let reverse = try stage.resync(["verify", bound, stage.a]).run()
        #expect(reverse.status == 64, "\(reverse.report)")
        #expect(reverse.errorText.contains("A lies inside B"), "\(reverse.report)")
        #expect(try stage.resync(["verify", bound, stage.b + "/inside"]).run().status == 2)
    }

    @Test func missingStoreIsTrouble() throws {
        let stage = try stage()
        for stores in [[stage.a, stage.folder + "/none"], [stage.folder + "/none", stage.b]] {
            let found = try stage.resync(["verify"] + stores).run()
            #expect(found.status == 2, "\(found.report)")
            #expect(found.errorText.contains("none' cannot be opened: No such file"))
        }
    }

    @Test func noStateIsTrouble() throws {
        let stage = try stage()
        try stage.write("occupied", "")
        let command = Command(
            Command.resync, ["verify", stage.a, stage.b, "--state", stage.folder + "/occupied"])
        let found = try command.run()
        #expect(found.status == 2, "\(found.report)")
    }

    @Test func existingReportIsKept() throws {
        let stage = try stage()
        try stage.write("report", "precious")
        for option in ["--combined", "--differ", "--missing-on-a", "--missing-on-b", "--error"] {
            let found = try stage.verify(option, stage.folder + "/report")
            #expect(found.status == 2, "\(option): \(found.report)")
            #expect(found.errorText.contains("--force"))
            #expect(stage.text("report") == "precious")
        }
        let forced = try stage.verify("--force", "--combined", stage.folder + "/report")
        #expect(forced.status == 0, "\(forced.report)")
        #expect(stage.text("report") == "= file\n= inside\n")
    }

    @Test func fullDiskIsNotSuccess() throws {
        let stage = try stage()
        let report = try stage.verify("--force", "--combined", "/dev/full")
        #expect(report.status == 2, "\(report.report)")
        #expect(report.errorText.contains("No space left on device"))
        for options in [[], ["--json"], ["--combined", "-"]] {
            var command = stage.verifying(options)
            command.output = .file("/dev/full")
            let found = try command.run()
            #expect(found.status == 2, "\(options): \(found.report)")
        }
    }

    @Test func fullStateDiskIsNotSuccess() throws {
        guard isRoot else { return skip("only root can mount a small file system") }
        let stage = try stage()
        try stage.makeFolder("tiny")
        let tiny = stage.folder + "/tiny"
        guard try system("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tiny) != nil else {
            return skip("cannot mount a small tmpfs here")
        }
        defer { _ = try? system("umount", "-l", tiny) }
        try stage.write("tiny/filler", noise(40 << 10))
        let long = String(repeating: "x", count: 200)
        for index in 0..<1000 { try stage.write("b/\(index)-\(long)", "x") }
        let command = Command(
            Command.resync,
            ["verify", stage.a, stage.b, "--settle", "0", "--json", "--state", tiny + "/state"])
        let found = try command.run()
        #expect(found.status == 2, "\(found.report)")
        #expect(found.errorText.contains("No space left on device"))
        let last = try objects(found.lines).last
        #expect(last?["type"] as? String == "summary", "\(found.report)")
        #expect(last?["exit_status"] as? Int == 2)
    }

    @Test func nobodyListeningIsNotSuccess() throws {
        let stage = try stage()
        for options in [[], ["--json"], ["--combined", "-"]] {
            var command = stage.verifying(options)
            command.output = .closed
            let closed = try command.run()
            #expect(closed.status == 2, "\(options): \(closed.report)")
            command.output = .abandoned
            let abandoned = try command.run()
            #expect(abandoned.status == 2, "\(options): \(abandoned.report)")
        }
        var command = stage.resync(["runs", "list"])
        command.output = .closed
        #expect(try command.run().status == 2)
    }

    /// The number of a closed stream must not go to a file that is then written to by mistake.
    @Test func closedStreamsDoNotLeakIntoFiles() throws {
        let stage = try stage()
        let line = "exec \"$@\" >&- 2>&- <&-"
        let report = stage.folder + "/report"
        let found = try Command(
            "/bin/sh",
            [
                "-c", line, "sh", Command.resync, "verify", stage.a, stage.b, "--combined", report,
                "--state", stage.state,
            ]
        ).run()
        #expect(found.status == 2, "\(found.report)")
        #expect(stage.text("report") == "= file\n= inside\n")
        let list = try stage.runs("list")
        #expect(list.status == 0, "\(list.report)")
        #expect(list.text.contains("IN SYNC"))
    }

    @Test func unknownRunsAreTold() throws {
        let stage = try stage()
        for arguments in [["show"], ["show", "none"], ["resume"], ["delete", "../a"]] {
            let found = try stage.resync(["runs"] + arguments).run()
            #expect(found.status == 2, "\(arguments): \(found.report)")
            #expect(found.errorText.contains("no run"), "\(arguments): \(found.report)")
        }
    }

    @Test func brokenJSONRunStillEndsWithASummary() throws {
        let stage = try stage()
        let failing: [[String]] = [
            ["verify", stage.a, stage.folder + "/none", "--json"],
            ["verify", stage.a, stage.a, "--json"],
            ["verify", stage.a, stage.b, "--json", "--digest", "md5"],
            ["verify", stage.a, stage.b, "--json", "--combined", stage.b + "/file"],
            ["verify", "--json"], ["verify", stage.a, "--json"],
            ["verify", stage.a, "--json", "--against", "else"],
            ["verify", stage.a, stage.b, "--json", "--no-such-option"],
            ["verify", stage.a, stage.b, "--json", "--confirm", "often"],
            ["gate", "--json"], ["episode", "list", "--json", "more"], ["diff", "--json", "one"],
        ]
        for arguments in failing {
            let found = try stage.resync(arguments).run()
            #expect(found.status != 0)
            let last = try objects(found.lines).last
            #expect(last?["type"] as? String == "summary", "\(arguments): \(found.report)")
            #expect(last?["exit_status"] as? Int == Int(found.status), "\(arguments)")
            #expect((last?["error"] as? String)?.isEmpty == false, "\(arguments)")
        }
        for arguments in [["verify", "--json", "--help"], ["gate", "--", "--json"]] {
            let found = try stage.resync(arguments).run()
            #expect(!found.text.contains("summary"), "\(arguments): \(found.report)")
        }
    }
}

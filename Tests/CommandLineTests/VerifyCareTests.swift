import Foundation
import Glibc
import TestSupport
import Testing

/// Small print of `verify`: what it is asked, where it writes, and how it ends.
@Suite struct VerifyCareTests {
    private func stage() throws -> Stage {
        let stage = try Stage()
        for name in ["1", "2"] { try stage.write("a/" + name, "the same") }
        try stage.copy()
        return stage
    }

    /// What was asked for by name is compared at any level.
    @Test func whatWasAskedForIsComparedAtSize() throws {
        let stage = try stage()
        try system("ln", "-f", stage.a + "/1", stage.a + "/2")
        let found = try stage.verify("--with", "links", "--assurance", "size")
        #expect(found.status == 1, "\(found.report)")
        #expect(found.text.contains("* 2  links"), "\(found.report)")
        #expect(try stage.verify("--assurance", "size").status == 0)
    }

    // MARK: Lists

    @Test func aCommandThatFailsLeavesNoLists() throws {
        let stage = try stage()
        let list = stage.folder + "/list"
        let wrong = try stage.resync(["verify", stage.a, "nowhere", "--combined", list]).run()
        #expect(wrong.status == 2, "\(wrong.report)")
        #expect(!stage.exists("list") && !stage.exists("list.partial"))
        let twice = try stage.verify("--combined", list, "--differ", list)
        #expect(twice.status == 64, "\(twice.report)")
        #expect(!stage.exists("list"))
        try stage.write("list", "of the night before")
        _ = try stage.resync(["verify", stage.a, "nowhere", "--combined", list, "--force"]).run()
        #expect(stage.text("list") == "of the night before")
        #expect(try stage.verify("--combined", list, "--force").status == 0)
        #expect(stage.text("list") == "= 1\n= 2\n")
    }

    @Test func nothingIsWrittenIntoAStore() throws {
        let stage = try stage()
        for side in ["a", "b"] { try stage.makeFolder(side + "/d") }
        for path in ["a/1", "b/new", "a/d/new"] {
            let place = stage.folder + "/" + path
            let refused = try stage.verify("--combined", place, "--force")
            #expect(refused.status == 64, "\(refused.report)")
            #expect(refused.errorText.contains("which is only looked at"), "\(refused.report)")
            let scan = try stage.resync(["scan", stage.a, "-o", place, "--force"]).run()
            #expect(scan.status == (path.hasPrefix("a") ? 64 : 0), "\(scan.report)")
        }
        #expect(stage.text("a/1") == "the same")
    }

    /// A device would be overwritten.
    @Test func aListIsNoPipeAndNoDirectory() throws {
        let stage = try stage()
        try system("mkfifo", stage.folder + "/pipe")
        for place in ["/pipe", "/a"] {
            let refused = try stage.verify("--combined", stage.folder + place, "--force")
            #expect(refused.status == 2, "\(refused.report)")
            #expect(refused.errorText.contains("File exists"), "\(refused.report)")
        }
        #expect(try stage.verify("--combined", "/dev/null", "--force").status == 0)
    }

    @Test func aListIsNotMixedWithJSON() throws {
        let mixed = try stage().verify("--combined", "-", "--json")
        #expect(mixed.status == 64, "\(mixed.report)")
    }

    // MARK: Endings

    /// A list may be a pipe into which nobody writes.
    @Test(arguments: ["--files-from", "--exclude-from"])
    func whoWaitsForAListIsEnded(_ option: String) throws {
        let stage = try stage()
        try system("mkfifo", stage.folder + "/pipe")
        let waiting = try stage.verifying([option, stage.folder + "/pipe"]).start()
        usleep(500_000)
        waiting.signal(SIGTERM)
        #expect(try waiting.wait(5).status == 128 + SIGTERM)
    }

    @Test func aListIsReadOnce() throws {
        let stage = try stage()
        let pipe = stage.folder + "/pipe"
        try system("mkfifo", pipe)
        let writer = try Command("sh", ["-c", "echo 2 > \"$1\"", "sh", pipe]).start()
        var command = stage.verifying(["--keep", "--exclude-from", pipe])
        command.timeout = 20
        let found = try command.run()
        #expect(try writer.wait(5).status == 0)
        #expect(found.status == 0, "\(found.report)")
        #expect(found.text.contains("1 same, 1 excluded"), "\(found.report)")
    }

    @Test(arguments: [1, 2])
    func whoIsEndedWhileStorageHangsEndsSo(_ count: Int) throws {
        guard let hostile = try FuseTests.Hostile() else { return }
        try hostile.furnish(["file": "content"])
        let hanging = try hostile.stage.resync([
            "verify", hostile.mount + "/stuck", hostile.stage.b, "--settle", "0",
        ]).start()
        usleep(1_000_000)
        let started = ContinuousClock.now
        for _ in 0..<count {
            hanging.signal(SIGINT)
            usleep(500_000)
        }
        let ended = try hanging.wait(30)
        #expect(ended.status == 130, "\(ended.report)")
        if count == 2 { #expect(started.duration(to: .now) < .seconds(4)) }
    }

    @Test func anEmptyPathIsNone() throws {
        let stage = try stage()
        for arguments in [[stage.a, ""], ["", stage.b]] {
            let found = try stage.resync(["verify"] + arguments).run()
            #expect(found.status == 64, "\(found.report)")
            #expect(found.errorText.contains("is empty"), "\(found.report)")
        }
    }
}

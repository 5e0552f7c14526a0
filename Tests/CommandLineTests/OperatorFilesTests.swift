import Foundation
import Glibc
import TestSupport
import Testing

/// What is written where the operator says, and what is not: somebody's files stay as they are.
@Suite struct OperatorFilesTests {
    private func stage() throws -> Stage {
        let stage = try Stage()
        try stage.write("a/file", noise(10_000))
        try stage.makeFolder("a/x")
        try stage.write("a/x/in", "text")
        try stage.copy()
        return stage
    }

    private func scan(_ stage: Stage, _ words: String...) throws -> Finished {
        try stage.resync(["scan", stage.a] + words).run()
    }

    /// What keeps no state.
    private func run(_ words: [String], in stage: Stage) throws -> Finished {
        var command = Command(Command.resync, words)
        command.directory = stage.folder
        return try command.run()
    }

    @Test(arguments: ["json", "sha256sum", "mtree"])
    func anExportMayGoToAFile(_ format: String) throws {
        let stage = try stage()
        #expect(try scan(stage, "-o", "m", "--whole-file", "-q").status == 0)
        let words = ["manifest", "export", "m", "--format", format]
        let printed = try run(words, in: stage)
        let written = try run(words + ["-o", "out"], in: stage)
        #expect(written.status == printed.status && written.output.isEmpty, "\(written.report)")
        #expect(!printed.output.isEmpty && stage.bytes("out") == printed.output)
        #expect(try run(words + ["-o", "out"], in: stage).status == 2)
    }

    @Test func whatLiesBesideTheNameIsSomebodys() throws {
        let stage = try stage()
        try stage.write("list.partial", "precious")
        try stage.write("m.partial", "precious")
        #expect(try stage.verify("--combined", "list").status == 0)
        #expect(try scan(stage, "-o", "m", "-q").status == 0)
        #expect(stage.text("list") == "= file\n= x\n= x/in\n")
        #expect(stage.text("list.partial") == "precious" && stage.text("m.partial") == "precious")
        let left = try FileManager.default.contentsOfDirectory(atPath: stage.folder)
        #expect(!left.contains { $0.hasPrefix(".resync-") }, "\(left)")
    }

    @Test func noTwoListsHaveOneFile() throws {
        let stage = try stage()
        for other in ["./list", stage.folder + "/list", "a/../list"] {
            let found = try stage.verify("--combined", "list", "--differ", other)
            #expect(found.status == 64, "\(found.report)")
            #expect(found.errorText.contains("is to hold two lists"), "\(found.report)")
        }
        // These look alike, and are two files.
        let both = try stage.verify("--combined", "\u{e9}", "--differ", "e\u{301}")
        #expect(both.status == 0, "\(both.report)")
    }

    /// Whoever made it meanwhile keeps it.
    @Test func whatComesMeanwhileIsKept() throws {
        let stage = try stage()
        try stage.write("b/file", "other")
        let running = try stage.verifying(["--settle", "2s", "--combined", "late"]).start()
        usleep(1_000_000)
        try stage.write("late", "mine")
        let found = try running.wait()
        #expect(found.status == 2, "\(found.report)")
        #expect(found.errorText.contains("cannot write 'late': File exists"), "\(found.report)")
        #expect(stage.text("late") == "mine")
    }

    @Test func aDeviceIsNotReplaced() throws {
        guard isRoot else { return skip("only root can make a device") }
        let stage = try stage()
        try #require(try system("mknod", stage.folder + "/nul", "c", "1", "3") != nil)
        let scanned = try scan(stage, "-o", "nul", "--force")
        #expect(scanned.status == 2, "\(scanned.report)")
        let planned = try stage.resync([
            "plan", stage.a, stage.b, "--authority", "a", "-o", "nul", "--force",
        ]).run()
        #expect(planned.status == 2, "\(planned.report)")
        #expect(try stage.verify("--combined", "nul", "--force").status == 0)
        #expect(try system("stat", "-c", "%F", stage.folder + "/nul") == "character special file\n")
    }

    @Test(arguments: ["nowhere/m", "x/", "", "file/m", ".."])
    func whereNoFileCanLieIsSaidAtOnce(_ name: String) throws {
        let stage = try stage()
        try stage.write("file", "text")
        for found in [
            try scan(stage, "-o", name), try stage.verify("--combined", name, "--settle", "0"),
            try stage.resync(["plan", stage.a, stage.b, "--authority", "a", "-o", name]).run(),
        ] {
            #expect(found.status == 2, "\(found.report)")
            #expect(found.errorText.contains("cannot create "), "\(found.report)")
        }
        #expect(try stage.runs("list").output.isEmpty)
    }

    /// It would be compared, and change meanwhile.
    @Test func stateLiesInNoStore() throws {
        let stage = try stage()
        try stage.makeFolder("b/state")
        let state = ["--state", stage.b + "/state"]
        for words in [
            ["verify", stage.a, stage.b], ["verify", stage.b, stage.a],
            ["scan", stage.b, "-o", stage.folder + "/m"],
        ] {
            let found = try Command(Command.resync, words + state).run()
            #expect(found.status == 64, "\(found.report)")
            #expect(
                found.errorText.contains("lies in '\(stage.b)': use --state"), "\(found.report)")
        }
        // One in which the stores lie is none.
        let above = try Command(
            Command.resync,
            ["verify", stage.a, stage.b, "--exclude", "/state", "--state", stage.folder]
        )
        .run()
        #expect(above.status == 1 || above.status == 0, "\(above.report)")
    }

    /// The list alone is on standard output; what came of it is still said.
    @Test func aListOnStandardOutputLeavesTheVerdict() throws {
        let stage = try stage()
        try stage.write("b/file", "other")
        let found = try stage.verify("--combined", "-", "--settle", "0")
        #expect(found.status == 1 && found.text == "* file\n= x\n= x/in\n", "\(found.report)")
        #expect(found.errorText.contains("1 with different content"), "\(found.report)")
        #expect(found.errorText.contains("NOT IN SYNC"), "\(found.report)")
        let quiet = try stage.verify("--combined", "-", "-q", "--exclude", "file")
        #expect(quiet.status == 0 && quiet.errors.isEmpty, "\(quiet.report)")
    }

    /// What was given is repeated, and must not speak to the terminal.
    @Test func theParsersErrorsAreEscaped() throws {
        let stage = try stage()
        for words in [["\u{1b}[2Jmore"], ["--\u{1b}[2Jx"], ["--confirm", "\u{1b}[2J"]] {
            let found = try stage.resync(["verify", stage.a, stage.b] + words).run()
            #expect(found.status == 64, "\(found.report)")
            #expect(!found.errors.contains(0x1b) && found.errorText.contains("[2J"))
            #expect(found.errorText.contains("\nUsage: "), "\(found.report)")
        }
    }

    /// rsync takes these, too.
    @Test func exclusionsMayBeginWithADash() throws {
        let stage = try stage()
        try stage.write("b/-old", "text")
        #expect(try stage.verify("--settle", "0").status == 1)
        #expect(try stage.verify("--exclude", "-old").status == 0)
        #expect(try stage.verify("--exclude", "- /-old").status == 0)
    }

    // MARK: Agreement that was not verified

    @Test func nothingAgreesWithItself() throws {
        let stage = try stage()
        #expect(try scan(stage, "-o", "m", "-q").status == 0)
        try #require(symlink("m", stage.folder + "/n") == 0)
        let state = ["--state", stage.state]
        for words in [
            ["verify", "m", "m"] + state, ["verify", "m", "n"] + state, ["diff", "n", "m"],
        ] {
            let found = try run(words, in: stage)
            #expect(found.status == 64, "\(found.report)")
            #expect(found.errorText.contains("are the same manifest"), "\(found.report)")
        }
        let bench = try stage.resync(["bench", "m"]).run()
        #expect(bench.status == 64 && bench.errorText.contains("is a manifest"), "\(bench.report)")
    }

    @Test func whatIsAskedForIsComparedOrRefused() throws {
        let stage = try stage()
        let both = try stage.verify("--assurance", "metadata", "--with", "content")
        #expect(both.status == 64, "\(both.report)")
        try stage.write("i", noise(1 << 20))
        try stage.write("j", noise(1 << 20))
        try stage.write("list", "nowhere\n")
        for words in [
            ["--with", "xattrs,acl"], ["--files-from", "list"], ["--exclude", "*"],
            ["--cross-mounts"], ["--owner-by", "name"], ["--assurance", "cached"],
            ["--modify-window", "1s"],
        ] {
            let found = try stage.resync(["verify", "i", "j"] + words).run()
            #expect(found.status == 64, "\(words) \(found.report)")
            #expect(found.errorText.contains("\(words[0])"), "\(words) \(found.report)")
        }
        #expect(try stage.resync(["verify", "i", "j", "--with", "content"]).run().status == 0)
        // Nothing is looked at, and nothing is said of the root either.
        chmod(stage.a, 0o700)
        try stage.write("list", "")
        let none = try stage.verify("--files-from", "list")
        #expect(none.status == 2 && !none.text.contains("* ."), "\(none.report)")
        try stage.write("list", "file\0x/in\0")
        let null = try stage.verify("--files-from", "list")
        #expect(null.status == 64 && null.errorText.contains("use --from0"), "\(null.report)")
        #expect(try stage.verify("--files-from", "list", "--from0").status == 0)
        // Of one side alone nothing is spared, and a manifest's own blocks are taken.
        #expect(try scan(stage, "-o", "m", "-q", "--block-size", "64KiB").status == 0)
        let half = try stage.verify("--since", "m", "--block-size", "64KiB")
        #expect(half.errorText.contains("nothing that was kept of B counts"), "\(half.report)")
        #expect(try stage.resync(["verify", "a", "m", "--digest", "sha256"]).run().status == 0)
        #expect(try stage.resync(["verify", "a", "m", "--block-size", "128KiB"]).run().status == 2)
    }

    /// However large they are.
    @Test func imagesOfAnotherSizeSayTheirSizes() throws {
        let stage = try stage()
        try system("truncate", "-s", "1500M", stage.folder + "/i")
        try system("truncate", "-s", "1200M", stage.folder + "/j")
        let found = try stage.resync(["verify", "i", "j", "--settle", "0"]).run()
        #expect(found.status == 1, "\(found.report)")
        #expect(
            found.lines.first?.hasPrefix("* .  size 1572864000 on A, 1258291200 on B") == true,
            "\(found.report)")
    }

    // MARK: Ends

    /// timeout(1) sends its signal to its child, and then to its group.
    @Test func theSameSignalTwiceAtOnceIsOneRequest() throws {
        guard let timeout = Command.find("timeout") else { return skip("there is no timeout(1)") }
        let stage = try Stage()
        try stage.write("a/large", noise(4 << 20))
        try stage.copy()
        for _ in 0..<5 {
            var command = stage.verifying(["--read-limit", "500KiB/s"])
            command.arguments = [Array("1".utf8), Array(command.program.utf8)] + command.arguments
            command.program = timeout
            let found = try command.run()
            #expect(found.status == 124, "\(found.report)")
            #expect(found.text.contains(": interrupted; 'resync runs resume "), "\(found.report)")
        }
        let shown = try stage.runs("show", "last")
        #expect(shown.status == 143 && shown.text.contains("interrupted"), "\(shown.report)")
        // Whoever only asks about it is not ended by its signal.
        let script = "\"$1\" runs show last --state \"$2\" >/dev/null; exit 7"
        let asked = try Command("/bin/sh", ["-c", script, "sh", Command.resync, stage.state]).run()
        #expect(asked.status == 7 && asked.errors.isEmpty, "\(asked.report)")
    }

    /// Whatever becomes of a name between its listing and its reading.
    @Test func namesThatBecomeFilesAreScanned() throws {
        let stage = try Stage()
        for number in 0..<60 { try stage.write("a/f\(number)", "text") }
        let script = """
            cd "$1" || exit 1
            while :; do
                for n in 0 7 13 22 31 44 58; do
                    ln -sf target "f$n"; rm -f "f$n"; echo text >"f$n"
                done
            done
            """
        let flipper = try Command("/bin/sh", ["-c", script, "sh", stage.a]).start()
        defer { flipper.signal(SIGKILL) }
        for number in 0..<40 {
            let found = try scan(stage, "-o", "m", "--force", "-q")
            #expect([0, 2].contains(found.status), "\(number) \(found.report)")
        }
    }
}

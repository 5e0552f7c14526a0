import Foundation
import Glibc
import TestSupport
import Testing

/// Entries, names and times that a plan meets in bad shape: each is carried over as it is, or left
/// with a line that says why; the rest is done.
@Suite(.serialized) struct ApplyBadInputTests {
    private func plan(_ stage: Stage, _ more: String...) throws {
        let planned = try stage.resync(
            ["plan", stage.a, stage.b, "--authority", "a", "-o", "p", "--force"] + more
        ).run()
        #expect(planned.status == 0, "\(planned.report)")
    }

    // MARK: Names

    /// At the root they are neither copied nor taken away, and they are counted.
    @Test func ourNamesAtTheRootAreLeftAndCounted() throws {
        let stage = try Stage()
        try stage.makeFolder("b")
        try stage.write("a/f", "new")
        try stage.write("a/.resync-staged-0123", "no staged entry of this store")
        try stage.makeFolder("a/.resync-quarantine")
        try stage.write("a/.resync-quarantine/f", "displaced elsewhere")
        try stage.write("b/.resync-mine", "only on B")
        let compared = try stage.verify("--json")
        #expect(compared.status == 1, "\(compared.report)")
        #expect(try objects(compared.lines).last?["excluded"] as? Int == 3)
        try plan(stage)
        for arguments in [["apply", "p"], ["confirm"]] {
            let done = try stage.resync(arguments).run()
            #expect(done.status == 0, "\(done.report)")
        }
        #expect(stage.text("b/f") == "new")
        #expect(!stage.exists("b/.resync-staged-0123"))
        #expect(!stage.exists("b/.resync-quarantine/f"))
        #expect(stage.text("b/.resync-mine") == "only on B")
    }

    /// Whoever owns a symlink can lead it to another store at any time.
    @Test func aRootThatIsASymlinkOfSomebodyElseIsRefused() throws {
        guard isRoot else { return skip("giving symlinks away needs root") }
        let scene = try ApplyScene()
        let stage = scene.stage
        for (name, side) in [("la", "a"), ("lb", "b")] {
            try system("ln", "-s", side, "\(stage.folder)/\(name)")
        }
        let (la, lb) = (stage.folder + "/la", stage.folder + "/lb")
        let planned = try scene.run("plan", la, lb, "--authority", "a", "-o", "q")
        #expect(planned.status == 0, "\(planned.report)")
        for link in [la, lb] {
            try system("chown", "-h", "12345", link)
            try scene.refuses(64, "is a symlink that somebody else has made") {
                try scene.run("apply", "q")
            }
            try system("chown", "-h", "0", link)
        }
        let applied = try scene.run("apply", "q")
        #expect(applied.status == 0, "\(applied.report)")
        try system("chown", "-h", "12345", lb)
        for command in ["confirm", "undo"] {
            try scene.refuses(64, "is a symlink that somebody else has made") {
                try scene.run(command)
            }
        }
    }

    // MARK: Links

    /// rename(2) does nothing where both names are one file already: what is staged would stay.
    @Test(arguments: [false, true])
    func aNameThatWasLinkedMeanwhileIsLeftAndNoOtherStays(_ canExchange: Bool) throws {
        guard let library = try FaultProgram("noexchange", "-shared", "-fPIC") else { return }
        let stage = try Stage()
        for name in ["f", "g"] {
            try stage.write("a/\(name)", "of A, \(name)")
            try system("ln", "\(stage.a)/\(name)", "\(stage.a)/\(name)2")
        }
        try stage.makeFolder("b")
        for name in ["f", "f2"] { try stage.write("b/\(name)", "of A, f") }
        try stage.write("b/g", "of B, g")
        try system("ln", stage.b + "/g", stage.b + "/g2")
        try stage.age()
        try plan(stage, "--with", "links")
        let shown = try Command(Command.resync, ["plan", "show", stage.folder + "/p"]).run()
        let expected = ["* B f2  link to f", "* B g  file: 7 B", "* B g2  link to g"]
        #expect(shown.lines.prefix(3) == expected.map { $0 + "; two-way" }[...])
        try system("ln", "-f", stage.b + "/f", stage.b + "/f2")
        var apply = stage.resync(["apply", "p"])
        if !canExchange {
            apply.arguments =
                ["LD_PRELOAD=" + library.path, apply.program].map { Array($0.utf8) }
                + apply.arguments
            apply.program = "/usr/bin/env"
        }
        let applied = try apply.run()
        #expect(applied.status == 6, "\(applied.report)")
        let line = "! f2  changed on B since the plan was made; left as it is"
        #expect(applied.lines.first == line, "\(applied.report)")
        // What another plan sees of it is that nothing is to do.
        let again = try stage.resync(
            ["plan", stage.a, stage.b, "--authority", "a", "--with", "links", "-o", "q"]
        ).run()
        #expect(again.status == 0 && again.text.contains("nothing to do"), "\(again.report)")
        for (name, text) in [("f", "of A, f"), ("g", "of A, g")] {
            let names = try system(
                "stat", "-c", "%i %h", stage.b + "/" + name, stage.b + "/\(name)2")
            let lines = (names ?? "").split(separator: "\n")
            #expect(Set(lines).count == 1 && lines.first?.hasSuffix(" 2") == true, "\(lines)")
            #expect(stage.text("b/" + name) == text)
        }
        let entries = try FileManager.default.contentsOfDirectory(atPath: stage.b)
        #expect(!entries.contains { $0.hasPrefix(".resync-staged") }, "\(entries)")
    }

    // MARK: Metadata

    /// Nobody but root reads it: it is named by each command and left, whatever was to be done
    /// about it, and all else is done.
    @Test func aFileThatMayNotBeReadIsLeftAndNamed() throws {
        guard isRoot, let setpriv = Command.find("setpriv") else {
            return skip("needs root and setpriv")
        }
        let stage = try Stage(below: "/var/tmp")
        try system("chmod", "755", stage.folder)
        for folder in ["b", "a/d", "b/d", "state"] { try stage.makeFolder(folder) }
        for (path, text) in [
            ("a/new", "new"), ("a/shut", "of A"), ("b/shut", "of B, longer"), ("a/target", "of A"),
            ("b/target", "of B"), ("a/fine", "of A"), ("b/fine", "of B"), ("a/d/in", "in"),
            ("b/gone", "gone"),
        ] { try stage.write(path, text) }
        try stage.age()
        for path in ["a/new", "a/shut", "b/target", "b/gone"] {
            try system("chmod", "0", "\(stage.folder)/\(path)")
        }
        try system("chown", "-R", "1234:1234", stage.a, stage.b, stage.state)
        func run(_ status: Int32, _ arguments: String...) throws -> Finished {
            var command = stage.resync(arguments)
            command.arguments =
                ["--reuid", "1234", "--regid", "1234", "--clear-groups"].map { Array($0.utf8) }
                + [Array(Command.resync.utf8)] + command.arguments
            command.program = setpriv
            let done = try command.run()
            #expect(done.status == status, "\(done.report)")
            return done
        }
        let before = try plainTraces(stage.b)
        let compared = try run(2, "verify", stage.a, stage.b, "--settle", "0")
        let unread = [("gone", "B"), ("new", "A"), ("shut", "A"), ("target", "B")]
        for (path, side) in unread {
            let line = "! \(path)  Permission denied on \(side) (openat)"
            #expect(compared.lines.contains(line), "\(compared.report)")
        }
        let plan = stage.state + "/p"
        let planned = try run(0, "plan", "last", "--authority", "a", "-o", plan)
        for (path, _) in unread {
            let line = "x \(path)  unreadable or unstable, left as it is"
            #expect(planned.lines.contains(line), "\(planned.report)")
        }
        let applied = try run(0, "apply", plan)
        #expect(applied.text.contains("left as they are: 4 unreadable"), "\(applied.report)")
        #expect(stage.text("b/fine") == "of A" && stage.text("b/d/in") == "in")
        #expect(stage.text("b/shut") == "of B, longer" && stage.text("b/target") == "of B")
        #expect(!stage.exists("b/new") && stage.text("b/gone") == "gone")
        #expect(try system("stat", "-c", "%a", stage.b + "/target") == "0\n")
        _ = try run(1, "confirm")
        _ = try run(2, "verify", stage.a, stage.b, "--settle", "0")
        _ = try run(0, "undo")
        #expect(try plainTraces(stage.b) == before)
    }

    @Test func whatMayOnlyGrowIsLeftAndNamed() throws {
        let scene = try ApplyScene()
        guard isRoot, try system("chattr", "+a", scene.stage.b + "/f") != nil else {
            return skip("files cannot be made append-only here")
        }
        let first = try scene.apply()
        let flags = try system("lsattr", scene.stage.b + "/f")
        try system("chattr", "-a", scene.stage.b + "/f")
        #expect(first.status == 6, "\(first.report)")
        #expect(first.text.contains("! f  Operation not permitted on B"), "\(first.report)")
        // After trouble nothing is deleted.
        #expect(first.text.contains("! extra  needs what was not done"), "\(first.report)")
        #expect(scene.stage.text("b/d/new") == "made")
        #expect(flags?.split(separator: " ").first?.contains("a") == true, "\(flags ?? "")")
        #expect(scene.stage.text("b/f") == "what B had")
        let second = try scene.apply()
        #expect(second.status == 0, "\(second.report)")
        #expect(scene.stage.bytes("b/f") == scene.stage.bytes("a/f"))
    }

    /// Nothing is deleted after trouble, and nothing of the directory itself changes.
    @Test func anImmutableDirectoryIsLeftAndNamed() throws {
        let scene = try ApplyScene()
        let folder = scene.stage.b + "/d"
        guard isRoot, try system("chattr", "+i", folder) != nil else {
            return skip("directories cannot be made immutable here")
        }
        let first = try scene.apply()
        let flags = try system("lsattr", "-d", folder)
        try system("chattr", "-i", folder)
        #expect(first.status == 6, "\(first.report)")
        #expect(first.text.contains("! d/new  Operation not permitted on B"), "\(first.report)")
        #expect(flags?.split(separator: " ").first?.contains("i") == true, "\(flags ?? "")")
        #expect(!scene.stage.exists("b/d/new"))
        #expect(scene.stage.text("b/extra") == "only on B")
        let second = try scene.apply()
        #expect(second.status == 0, "\(second.report)")
        #expect(scene.stage.text("b/d/new") == "made")
        #expect(!scene.stage.exists("b/extra"))
    }

    /// ext4 keeps the nearest that it can, which is not called the same.
    @Test func timesOutOfReachAreNotCalledTheSame() throws {
        guard let mount = try LoopMount(.ext4), let far = try MemoryMount() else { return }
        let stage = try Stage()
        let script = """
            import os, sys
            for name, seconds in ("2500", 16725225600), ("1800", -5364662400), ("far", 2 ** 40):
                path = os.path.join(sys.argv[1], name)
                open(path, "w").write(name)
                os.utime(path, ns=(seconds * 10 ** 9 + 5, seconds * 10 ** 9 + 5))
            open(os.path.join(sys.argv[1], "near"), "w").write("near")
            """
        guard try system("python3", "-c", script, far.point) != nil else {
            return skip("python3 is not installed")
        }
        try system("chmod", "755", far.point, mount.point)
        try system("rm", "-rf", mount.point + "/lost+found")
        let planned = try stage.resync(
            ["plan", far.point, mount.point, "--authority", "a", "-o", "p"]).run()
        #expect(planned.status == 0, "\(planned.report)")
        let applied = try stage.resync(["apply", "p"]).run()
        #expect([0, 6].contains(applied.status), "\(applied.report)")
        let confirmed = try stage.resync(["confirm"]).run()
        #expect([1, 6].contains(confirmed.status), "\(confirmed.report)")
        for name in ["2500", "1800", "far"] {
            #expect(confirmed.lines.contains("* \(name)  mtime"), "\(confirmed.report)")
        }
        #expect(!confirmed.text.contains("near"), "\(confirmed.report)")
        #expect(try system("cat", mount.point + "/2500", mount.point + "/near") == "2500near")
    }

    // MARK: Contents

    /// One digest for both is no agreement: these have one MD5.
    @Test func blocksThatCollideElsewhereAreTold() throws {
        let stage = try Stage()
        let one =
            "d131dd02c5e6eec4693d9a0698aff95c2fcab58712467eab4004583eb8fb7f89"
            + "55ad340609f4b30283e488832571415a085125e8f7cdc99fd91dbdf280373c5b"
            + "d8823e3156348f5bae6dacd436c919c6dd53e2b487da03fd02396306d248cda0"
            + "e99f33420f577ee8ce54b67080a80d1ec69821bcb6a8839396f9652b6ff72a70"
        var bytes = stride(from: 0, to: one.count, by: 2).compactMap { at in
            UInt8(one.dropFirst(at).prefix(2), radix: 16)
        }
        try stage.write("a/f", bytes)
        for (at, bit) in [(19, 7), (45, 7), (59, 7), (83, 7), (109, 7), (123, 7)] {
            bytes[at] ^= 1 << UInt8(bit)
        }
        try stage.makeFolder("b")
        try stage.write("b/f", bytes)
        try stage.age()
        let sums = try system("md5sum", stage.a + "/f", stage.b + "/f") ?? ""
        let digests = Set(sums.split(separator: "\n").map { $0.prefix(32) })
        #expect(digests == ["79054025255fb1a26e4bc422aef54eb4"], "\(sums)")
        for digest in ["gmac", "sha256", "sha512-256"] {
            let found = try stage.verify("--digest", digest)
            #expect(found.status == 1, "\(found.report)")
            #expect(found.text.contains("* f  content"), "\(found.report)")
        }
        try stage.takingBack { try stage.makeSame() }
    }

    /// Beside anything of normal size there is no room for it, and it is not read to its end.
    @Test func exbibytesOfHolesAreRefusedOrTakenAway() throws {
        guard let a = try MemoryMount(), let b = try MemoryMount() else { return }
        let stage = try Stage()
        try system("chmod", "755", a.point, b.point)
        let size = "9223372036854775807"
        try system("truncate", "-s", size, a.point + "/huge")
        func planned() throws -> Command {
            let made = try stage.resync(
                ["plan", a.point, b.point, "--authority", "a", "-o", "p", "--force"]).run()
            #expect(made.status == 0 && made.seconds < 30, "\(made.report)")
            return stage.resync(["apply", "p"])
        }
        let refused = try planned().run()
        #expect(refused.status == 5 && refused.seconds < 10, "\(refused.report)")
        #expect(refused.errorText.contains("B needs 8.00 EiB and has "), "\(refused.report)")
        #expect(try system("ls", "-A", b.point) == "")
        // The other way round it goes into quarantine, and comes back.
        try system("mv", a.point + "/huge", a.point + "/.resync-kept")
        try system("truncate", "-s", size, b.point + "/huge")
        try system("sh", "-c", "echo small >'\(a.point)/f'")
        let removed = try planned().run()
        #expect(removed.status == 0 && removed.seconds < 30, "\(removed.report)")
        #expect(try system("ls", b.point) == "f\n")
        let undone = try stage.resync(["undo"]).run()
        #expect(undone.status == 0 && undone.seconds < 30, "\(undone.report)")
        #expect(try system("stat", "-c", "%s %b", b.point + "/huge") == "\(size) 0\n")
    }

    // MARK: Changing meanwhile

    /// A log that is renamed and begun anew is two objects, on either side; neither is mixed with
    /// the other.
    @Test func aLogThatIsRotatedMeanwhileIsTwoObjects() throws {
        for side in ["a", "b"] {
            let stage = try Stage()
            try stage.write("a/log", "yesterday on A")
            try stage.copy()
            try stage.write("b/log", "yesterday on B, longer")
            try stage.age()
            try plan(stage)
            try system("mv", "\(stage.folder)/\(side)/log", "\(stage.folder)/\(side)/log.1")
            try stage.write("\(side)/log", "today")
            let found = try stage.resync(["apply", "p"]).run()
            #expect(found.status == 6, "\(found.report)")
            let line = "! log  changed on \(side.uppercased()) since the plan was made"
            #expect(found.text.contains(line), "\(found.report)")
            #expect(stage.text("b/log") == (side == "a" ? "yesterday on B, longer" : "today"))
            if side == "b" { #expect(stage.text("b/log.1") == "yesterday on B, longer") }
            try stage.age()
            // A new plan sees two files.
            try stage.remove("p")
            try plan(stage)
            let again = try stage.resync(["apply", "p"]).run()
            #expect([0, 5].contains(again.status), "\(again.report)")
            guard again.status == 5 else { continue }
            #expect(again.errorText.contains("changed in part"), "\(again.report)")
            let undone = try stage.resync(["undo"]).run()
            #expect(undone.status == 0, "\(undone.report)")
            try plan(stage)
            #expect(try stage.resync(["apply", "p"]).run().status == 0)
            #expect(stage.text("b/log") == stage.text("a/log"))
            #expect(stage.text("b/log.1") == stage.text("a/log.1"))
        }
    }

    // MARK: Directions

    /// A schedule that names the stores the other way round: what the last agreement shows does not
    /// depend on it, and what an authority takes over comes back.
    @Test func namesTheOtherWayRoundLoseNothing() throws {
        let scene = try ApplyScene()
        let stage = scene.stage
        try scene.applied()
        #expect(try scene.run("confirm").status == 0)
        usleep(2_200_000)
        #expect(try stage.verify("--keep").status == 0)
        try stage.write("a/g", "edited on A since")
        let edited = try plainTraces(stage.a)
        let fair = try scene.run("plan", stage.b, stage.a, "--authority", "baseline", "-o", "q")
        #expect(fair.status == 0, "\(fair.report)")
        let shown = try Command(Command.resync, ["plan", "show", stage.folder + "/q"]).run()
        #expect(shown.lines.first == "* A g  file: 17 B; edited on B", "\(shown.report)")
        // With B's word for it A's edit goes, which the plan says.
        let wrong = try scene.run("plan", stage.b, stage.a, "--authority", "a", "-o", "r")
        #expect(wrong.text.contains("B \(stage.a): 1 replaced"), "\(wrong.report)")
        let told = try Command(Command.resync, ["plan", "show", stage.folder + "/r"]).run()
        #expect(told.lines.first == "* B g  file: 4.88 KiB; edited on B", "\(told.report)")
        try scene.refuses(5, "A was made like B", lines: 2) { try scene.run("apply", "r") }
        let id = try #require(wrong.text.firstMatch(of: /plan ([0-9a-f]{12})/)?.output.1)
        #expect(try scene.run("apply", "r", "--accept", String(id)).status == 0)
        // Until that is confirmed or taken back, what it changed is no source.
        try scene.refuses(5, "left B changed in part: it cannot be a source", lines: 2) {
            try scene.run("apply", "q")
        }
        #expect(try scene.run("undo").status == 0)
        #expect(try plainTraces(stage.a) == edited)
        try stage.remove("q")
        let again = try scene.run("plan", stage.a, stage.b, "--authority", "baseline", "-o", "q")
        #expect(again.status == 0, "\(again.report)")
        #expect(try scene.run("apply", "q").status == 0)
        #expect(stage.text("b/g") == "edited on A since")
    }
}

/// A file system in memory, for as long as this is kept.
final class MemoryMount {
    let point: String

    /// Nil, said aloud, where that cannot be done here.
    init?(_ options: String = "size=64M") throws {
        point = NSTemporaryDirectory() + "/resync-memory-\(UInt64.random(in: 0 ... .max))"
        try system("mkdir", "-p", point)
        guard isRoot, try system("mount", "-t", "tmpfs", "-o", options, "tmpfs", point) != nil
        else {
            skip("cannot mount a tmpfs here")
            return nil
        }
    }

    deinit {
        _ = try? system("umount", "-l", point)
        _ = try? system("rmdir", point)
    }
}

import Foundation
import Glibc
import TestSupport
import Testing

/// What `apply` says and does where the file systems, or the folder of its own state, cannot do
/// what is asked.
@Suite(.serialized) struct ApplySurroundingsTests {
    @Test func aTargetThatCannotExchangeNamesIsNamed() throws {
        guard let library = try FaultProgram("noexchange", "-shared", "-fPIC") else { return }
        let scene = try ApplyScene()
        let before = try scene.store
        func run(_ arguments: String...) throws -> Finished {
            var command = scene.stage.resync(arguments)
            command.arguments =
                ["LD_PRELOAD=" + library.path, command.program].map { Array($0.utf8) }
                + command.arguments
            command.program = "/usr/bin/env"
            return try command.run()
        }
        let applied = try run("apply", scene.plan)
        #expect(applied.status == 0, "\(applied.report)")
        let line =
            "the file system of B cannot exchange names: each was changed in two steps, and what "
            + "others wrote between them is gone from its place"
        #expect(applied.lines.count { $0 == line } == 1, "\(applied.report)")
        #expect(scene.stage.bytes("b/f") == scene.stage.bytes("a/f"))
        let undone = try run("undo")
        #expect(undone.status == 0, "\(undone.report)")
        #expect(try scene.store == before)
    }

    @Test func whatIsLeftOutIsToldByApplyAndNotConfirmed() throws {
        let scene = try ApplyScene()
        try system("mkfifo", scene.stage.a + "/pipe")
        try system("mkfifo", scene.stage.a + "/d/pipe")
        try scene.makePlan()
        let applied = try scene.apply()
        #expect(applied.status == 0, "\(applied.report)")
        #expect(applied.text.contains("left as they are: 2 others"), "\(applied.report)")
        #expect(!scene.stage.exists("b/pipe") && !scene.stage.exists("b/d/pipe"))
        let confirmed = try scene.run("confirm")
        #expect(confirmed.status == 1, "\(confirmed.report)")
        #expect(confirmed.text.contains("left as they are: 2 others"), "\(confirmed.report)")
    }

    /// XFS takes up to 64 KiB, ext4 what a block has room for.
    @Test func attributesTooLargeForTheTargetFailOneEntry() throws {
        guard let source = try LoopMount(.xfs), let target = try LoopMount(.ext4) else { return }
        let stage = try Stage()
        let (a, b) = (source.point + "/a", target.point + "/b")
        for folder in [a, b] { try system("mkdir", folder) }
        for name in ["e", "f", "g"] {
            try Data("of A".utf8).write(to: URL(filePath: "\(a)/\(name)"))
        }
        try Data("of B".utf8).write(to: URL(filePath: b + "/f"))
        try Data("extra".utf8).write(to: URL(filePath: b + "/only"))
        let script = "import os, sys; os.setxattr(sys.argv[1], 'user.large', b'x' * 60000)"
        guard try system("python3", "-c", script, a + "/f") != nil else {
            return skip("python3 cannot set attributes here")
        }
        func run(_ arguments: String...) throws -> Finished { try stage.resync(arguments).run() }
        let compared = try run("verify", a, b, "--settle", "0", "--with", "xattrs")
        #expect(compared.status == 1, "\(compared.report)")
        let planned = try run(
            "plan", "last", "--authority", "a", "-o", "p", "--accept-deletions")
        #expect(planned.status == 0, "\(planned.report)")
        func text(_ name: String) throws -> String? { try system("cat", "\(b)/\(name)") }
        for round in 0..<2 {
            let applied = try run("apply", "p")
            #expect(applied.status == 6, "\(round): \(applied.report)")
            let failed = applied.lines.filter { $0.hasPrefix("! f  ") }
            #expect(
                failed == ["! f  No space left on device on B (setxattr)"],
                "\(round): \(applied.report)")
            #expect(!applied.text.contains("work on B ended"), "\(round): \(applied.report)")
            #expect(try text("f") == "of B")
            #expect(try text("e") == "of A")
            #expect(try text("g") == "of A")
        }
        let undone = try run("undo")
        #expect(undone.status == 0, "\(undone.report)")
        #expect(try system("ls", b) == "f\nonly\n")
    }

    // MARK: The state

    /// However little room is left, nothing is exchanged of which no journal knows.
    @Test func aFullStateDiskLeavesTheTargetAsItIs() throws {
        let scene = try ApplyScene()
        let stage = scene.stage
        guard let mount = try LoopMount(.ext4, size: "8M") else { return }
        try system("cp", "-a", stage.state, mount.point + "/state")
        let (a, b) = (try traces(stage.a), try plainTraces(stage.b))
        func apply() throws -> Finished {
            var command = Command(
                Command.resync, ["apply", scene.plan, "--state", mount.point + "/state"])
            command.directory = stage.folder
            return try command.run()
        }
        let filler = mount.point + "/filler"
        var statuses: Set<Int32> = []
        for pages in 0..<40 where !statuses.contains(0) {
            _ = try system("dd", "if=/dev/zero", "of=" + filler, "bs=4k")
            try system("truncate", "-s", "-\(pages * 4096)", filler)
            try system("sync", "-f", mount.point)
            let done = try apply()
            statuses.insert(done.status)
            guard done.status != 0 else { break }
            #expect([2, 6].contains(done.status), "\(pages): \(done.report)")
            #expect(done.errorText.contains("No space left on device"), "\(pages): \(done.report)")
            #expect(done.errorText.split(separator: "\n").count == 1, "\(pages): \(done.report)")
            #expect(try plainTraces(stage.b) == b, "\(pages): \(done.report)")
        }
        #expect(statuses.contains(6), "\(statuses)")
        unlink(filler)
        if !statuses.contains(0) {
            let done = try apply()
            #expect(done.status == 0, "\(done.report)")
        }
        #expect(try traces(stage.a) == a)
        #expect(stage.bytes("b/f") == stage.bytes("a/f"))
    }

    @Test(arguments: ["below a file", "read-only", "a file"])
    func aStateThatCannotBeWrittenIsRefused(_ kind: String) throws {
        let scene = try ApplyScene()
        let stage = scene.stage
        var state = stage.folder + "/other"
        var mount: LoopMount?
        switch kind {
        case "read-only":
            mount = try LoopMount(.ext4, size: "8M")
            guard let mount, try mount.remount("ro") else { return }
            state = mount.point + "/other"
        case "a file": try stage.write("other", "not a folder")
        default:
            try stage.write("other", "not a folder")
            state += "/state"
        }
        let before = (try traces(stage.a), try traces(stage.b))
        var command = Command(Command.resync, ["apply", scene.plan, "--state", state])
        command.directory = stage.folder
        let found = try command.run()
        #expect(found.status == 2, "\(kind): \(found.report)")
        #expect(found.errorText.split(separator: "\n").count == 1, "\(kind): \(found.report)")
        #expect(found.errorText.contains("/other"), "\(kind): \(found.report)")
        #expect(found.output == [], "\(kind): \(found.report)")
        #expect(try traces(stage.a) == before.0)
        #expect(try traces(stage.b) == before.1)
        withExtendedLifetime(mount) {}
    }

    // MARK: The source goes

    private struct Leaving {
        let stage: Stage
        let source: String

        /// `a` lies on a file system of its own, with one large file.
        init?(_ scene: ApplyScene) throws {
            stage = scene.stage
            source = stage.folder + "/source"
            let image = stage.folder + "/image"
            try stage.makeFolder("source")
            guard isRoot, try system("truncate", "-s", "64M", image) != nil,
                Command.find("mkfs.ext4") != nil,
                try system("mkfs.ext4", "-q", "-F", image) != nil,
                try system("mount", "-o", "loop", image, source) != nil
            else {
                skip("an image cannot be mounted here")
                return nil
            }
            try system("rm", "-rf", source + "/lost+found")
            try system("cp", "-a", stage.a + "/.", source)
            let large = noise(3 << 20)
            try Data(large).write(to: URL(filePath: source + "/large"))
        }

        func leave() throws {
            #expect(try system("umount", "-l", source) != nil)
        }
    }

    /// What lies below its mount point is empty; nothing of the target goes for that.
    @Test func aSourceThatIsUnmountedWhileItIsAppliedDeletesNothingMore() throws {
        let scene = try ApplyScene()
        guard let leaving = try Leaving(scene) else { return }
        defer { _ = try? system("umount", "-l", leaving.source) }
        let stage = scene.stage
        let made = try scene.run(
            "plan", leaving.source, stage.b, "--authority", "a", "-o", "q", "--accept-deletions")
        #expect(made.status == 0, "\(made.report)")
        let running = try stage.resync(["apply", "q", "--write-limit", "1MiB"]).start()
        for _ in 0..<1000 where access(stage.b + "/.resync-store", F_OK) != 0 { usleep(5000) }
        try leaving.leave()
        let done = try running.wait()
        #expect([0, 6].contains(done.status), "\(done.report)")
        for name in ["d/k", "f", "g", "h"] {
            #expect(stage.bytes("b/" + name) == stage.bytes("a/" + name), "\(name)")
        }
        // Asked again, the empty folder is not taken for it.
        let store = try scene.store
        let again = try scene.run("apply", "q")
        #expect(again.status != 0 && again.status != 6, "\(again.report)")
        #expect(try scene.store == store)
    }

    @Test func aSourceThatIsUnmountedWhileItIsPlannedDeletesNothing() throws {
        let scene = try ApplyScene()
        guard let leaving = try Leaving(scene) else { return }
        defer { _ = try? system("umount", "-l", leaving.source) }
        let stage = scene.stage
        try stage.write("b/large", noise(3 << 20, seed: 9))
        let store = try scene.store
        try stage.remove("state")
        guard let strace = Command.find("strace") else { return skip("strace is not installed") }
        var command = stage.resync(
            [
                "plan", leaving.source, stage.b, "--authority", "a", "-o", "q",
                "--accept-deletions",
            ])
        command.arguments =
            [
                "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", "trace=getdents64", "-e",
                "inject=getdents64:delay_exit=150000", command.program,
            ].map { Array($0.utf8) } + command.arguments
        command.program = strace
        let running = try command.start()
        let runs = stage.state + "/runs"
        for _ in 0..<1000 {
            let names = try? FileManager.default.contentsOfDirectory(atPath: runs)
            if names?.isEmpty == false { break }
            usleep(5000)
        }
        try leaving.leave()
        let made = try running.wait()
        #expect(made.status == 5, "\(made.report)")
        #expect(made.errorText.contains("is not the store that run"), "\(made.report)")
        #expect(!stage.exists("q"))
        #expect(try scene.store == store)
    }
}

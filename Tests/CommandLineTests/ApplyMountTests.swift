import Foundation
import Glibc
import TestSupport
import Testing

/// Other file systems in, above and instead of the stores: nothing outside the root's own mount is
/// touched, and what cannot be seen is not taken for gone.
@Suite(.serialized) struct ApplyMountTests {
    /// Mounts, and unmounts when released.
    private final class Mounted {
        let point: String

        init?(_ point: String, _ options: String...) throws {
            self.point = point
            guard isRoot, let program = Command.find("mount"),
                try Command(program, options + [point]).run().status == 0
            else {
                skip("cannot mount with \(options)")
                return nil
            }
        }

        deinit { _ = try? system("umount", "-l", point) }
    }

    private func planned(_ scene: ApplyScene) throws -> Finished {
        let made = try scene.run(
            "plan", scene.stage.a, scene.stage.b, "--authority", "a", "-o", "q", "--force")
        #expect(made.status == 0, "\(made.report)")
        return made
    }

    /// Carries the plan out, all but what lies on other mounts; confirm does not call that the
    /// same.
    private func applied(_ scene: ApplyScene, leaving count: Int) throws {
        let applied = try scene.run("apply", "q")
        #expect(applied.status == 0, "\(applied.report)")
        let line = "left as they are: \(count) unreadable or unstable"
        #expect(applied.text.contains(line), "\(applied.report)")
        let confirmed = try scene.run("confirm")
        #expect(confirmed.status == 1, "\(confirmed.report)")
        #expect(confirmed.text.contains(line), "\(confirmed.report)")
        #expect(scene.stage.bytes("b/f") == scene.stage.bytes("a/f"))
    }

    // MARK: Inside

    /// No loop; device numbers do not tell such a mount from a directory.
    @Test func aStoreMountedInsideItselfIsNotEntered() throws {
        let scene = try ApplyScene()
        let stage = scene.stage
        for folder in ["a/self", "b/self", "b/only", "elsewhere"] { try stage.makeFolder(folder) }
        try stage.write("elsewhere/one", "of nobody's store")
        guard let one = try Mounted(stage.a + "/self", "--bind", stage.a),
            let two = try Mounted(stage.b + "/self", "--bind", stage.b),
            let three = try Mounted(stage.b + "/only", "--bind", stage.folder + "/elsewhere")
        else { return }
        _ = try planned(scene)
        let shown = try Command(Command.resync, ["plan", "show", stage.folder + "/q"]).run()
        #expect(!shown.text.contains("self") && !shown.text.contains("only"), "\(shown.report)")
        try applied(scene, leaving: 2)
        #expect(stage.text("elsewhere/one") == "of nobody's store" && stage.exists("b/self/only"))
        withExtendedLifetime((one, two, three)) {}
    }

    @Test func theKernelsFilesAreNotCopied() throws {
        let scene = try ApplyScene()
        try scene.stage.makeFolder("a/proc")
        try scene.stage.makeFolder("b/proc")
        try scene.stage.write("b/proc/kept", "not a process")
        guard let mount = try Mounted(scene.stage.a + "/proc", "-t", "proc", "proc") else { return }
        _ = try planned(scene)
        try applied(scene, leaving: 1)
        #expect(try system("ls", scene.stage.b + "/proc") == "kept\n")
        withExtendedLifetime(mount) {}
    }

    /// `/proc/1/root` leads everywhere, though it is no ordinary symlink.
    @Test func theKernelsLinksAreNotWrittenThrough() throws {
        let stage = try Stage()
        for folder in ["b", "b/p", "a/p", "a/p/1", "a/p/1/root", "a/p/1/cwd", "a/p/self"] {
            try stage.makeFolder(folder)
        }
        let canary = "resync-canary-\(UInt64.random(in: 0 ... .max))"
        for folder in ["a/p/1/root", "a/p/1/cwd", "a/p/self"] {
            try stage.write("\(folder)/\(canary)", "out")
        }
        try stage.write("a/ok", "new")
        let made = try stage.resync(
            ["plan", stage.a, stage.b, "--authority", "a", "-o", "p"]).run()
        #expect(made.status == 0, "\(made.report)")
        do {
            guard let mount = try Mounted(stage.b + "/p", "-t", "proc", "proc") else { return }
            let applied = try stage.resync(["apply", "p"]).run()
            #expect(applied.status == 6, "\(applied.report)")
            #expect(
                applied.text.contains("Invalid cross-device link")
                    && !applied.text.contains("work on B ended"), "\(applied.report)")
            #expect(stage.text("b/ok") == "new")
            #expect(access("/" + canary, F_OK) != 0)
            withExtendedLifetime(mount) {}
        }
        #expect(try system("ls", "-A", stage.b + "/p") == "")
        #expect(try stage.resync(["apply", "p"]).run().status == 0)
        #expect(stage.text("b/p/self/\(canary)") == "out")
    }

    /// What cannot be done in one directory is no reason to leave the rest, nor to refuse the undo.
    @Test(arguments: ["mounted over", "append-only"])
    func oneDirectoryThatRefusesLeavesTheRest(_ how: String) throws {
        let scene = try ApplyScene()
        let stage = scene.stage
        try stage.makeFolder("elsewhere")
        do {
            var mount: Mounted?
            if how == "append-only" {
                guard isRoot, try system("chattr", "+a", stage.b + "/d") != nil else {
                    return skip("attributes of files are not to be had")
                }
            } else {
                mount = try Mounted(stage.b + "/d", "--bind", stage.folder + "/elsewhere")
                guard mount != nil else { return }
            }
            let applied = try scene.apply()
            #expect(applied.status == 6, "\(applied.report)")
            #expect(applied.text.contains("! d/new  "), "\(applied.report)")
            #expect(!applied.text.contains("work on B ended"), "\(applied.report)")
            // But nothing is taken away: what replaces it may be missing.
            #expect(stage.bytes("b/f") == stage.bytes("a/f") && stage.exists("b/extra"))
            let undone = try scene.run("undo", "last")
            #expect(undone.text.contains("took back "), "\(undone.report)")
            #expect(stage.text("b/f") == "what B had")
            withExtendedLifetime(mount) {}
        }
        _ = try system("chattr", "-a", stage.b + "/d")
    }

    /// A subvolume is a file system of its own, though it is no mount.
    @Test func subvolumesAreBoundaries() throws {
        guard let mount = try LoopMount(.btrfs) else { return }
        let stage = try Stage()
        let script = """
            set -e
            cd "$1"; mkdir a b b/gone
            for v in a/sub b/sub b/gone/inside; do btrfs -q subvolume create $v; echo $v >$v/f; done
            echo new >a/g; echo only >b/gone/h
            mkdir b/plain a/plain; echo A >a/plain/c; echo B >b/plain/c
            """
        guard try system("bash", "-c", script, "script", mount.point) != nil else {
            return skip("subvolumes cannot be made here")
        }
        let (a, b) = (mount.point + "/a", mount.point + "/b")
        func plan() throws {
            let made = try stage.resync(["plan", a, b, "--authority", "a", "-o", "p"]).run()
            #expect(made.status == 0, "\(made.report)")
            #expect(made.text.contains("2 unreadable or unstable"), "\(made.report)")
        }
        try plan()
        // It becomes one after it was planned for.
        let swap = """
            cd "$1" && mv plain was && btrfs -q subvolume create plain && cp -a was/. plain/ &&
            touch -r was plain
            """
        try #require(try system("bash", "-c", swap, "script", b) != nil)
        let applied = try stage.resync(["apply", "p"]).run()
        #expect(applied.status == 6, "\(applied.report)")
        #expect(applied.text.contains("! plain/c  changed on B"), "\(applied.report)")
        #expect(
            try system("cat", b + "/sub/f", b + "/gone/inside/f", b + "/plain/c", b + "/g")
                == "b/sub\nb/gone/inside\nB\nnew\n")
    }

    // MARK: Missing

    /// Below it lies an empty directory, which is not what the store holds.
    @Test func aFileSystemMissingInsideTheSourceDeletesNothing() throws {
        let scene = try ApplyScene()
        let stage = scene.stage
        for folder in ["a/disk", "b/disk"] { try stage.makeFolder(folder) }
        for name in ["one", "two"] { try stage.write("b/disk/\(name)", "kept") }
        let made = try planned(scene)
        #expect(
            made.text.contains(
                "would be refused: 1 of B and its top-level directories would become empty"),
            "\(made.report)")
        try scene.refuses(5, "would become empty", lines: 2) { try scene.run("apply", "q") }
        // Where B has one mounted as well, it is not even looked into.
        guard let mount = try Mounted(stage.b + "/disk", "-t", "tmpfs", "tmpfs") else { return }
        try stage.write("b/disk/three", "on another file system")
        _ = try planned(scene)
        try applied(scene, leaving: 1)
        #expect(stage.text("b/disk/three") == "on another file system")
        withExtendedLifetime(mount) {}
    }

    /// Taken away while the plan is carried out: the rest still goes to the file system that was
    /// meant, nothing to the directory below it, and what is there then is not confirmed.
    @Test func aFileSystemTakenAwayMeanwhileIsNotMistakenForAnother() throws {
        let scene = try ApplyScene()
        let stage = scene.stage
        try stage.write("a/large", noise(3 << 20))
        let image = stage.folder + "/image"
        try stage.makeFolder("below")
        let below = stage.folder + "/below"
        guard isRoot, try system("truncate", "-s", "64M", image) != nil,
            try system("mkfs.ext4", "-q", "-F", image) != nil,
            try system("mount", "-o", "loop", image, below) != nil
        else { return skip("an image cannot be mounted here") }
        defer { _ = try? system("umount", "-l", below) }
        try system("rm", "-rf", below + "/lost+found")
        try system("cp", "-a", stage.b + "/.", below)
        let made = try scene.run("plan", stage.a, below, "--authority", "a", "-o", "q")
        #expect(made.status == 0, "\(made.report)")
        let running = try stage.resync(["apply", "q", "--write-limit", "1MiB"]).start()
        for _ in 0..<1000 where access(below + "/.resync-store", F_OK) != 0 { usleep(10_000) }
        #expect(try system("umount", "-l", below) != nil)
        let done = try running.wait()
        #expect(done.status == 0, "\(done.report)")
        #expect(try system("ls", "-A", below) == "")
        for command in ["confirm", "undo"] {
            try scene.refuses(5, "is not the store that run") { try scene.run(command) }
        }
        #expect(try system("ls", "-A", below) == "")
        try #require(try system("mount", "-o", "loop", image, below) != nil)
        let confirmed = try scene.run("confirm")
        #expect(confirmed.status == 0, "\(confirmed.report)")
        #expect(try system("cmp", stage.a + "/large", below + "/large") != nil)
    }
}

import Foundation
import Glibc
import Testing

/// Two stores on file systems of their own, damaged in eight ways and made the same again by the
/// real program, which is killed on the way.
@Suite(.serialized) struct ApplyEndToEndTests {
    /// Two loop-mounted ext4 file systems with the same content.
    private func stage() throws -> (stage: Stage, mounts: [Mount])? {
        let stage = try Stage()
        try stage.remove("a")
        var mounts: [Mount] = []
        for name in ["a", "b"] {
            guard let mount = try Mount(ext4: "64M", at: stage.folder, name) else { return nil }
            mounts.append(mount)
        }
        for store in ["a", "b"] { try fill(stage, store) }
        try system("cp", "-a", stage.a + "/.", stage.b)
        return (stage, mounts)
    }

    private func fill(_ stage: Stage, _ store: String) throws {
        guard store == "a" else { return }
        for number in 0..<60 {
            try stage.makeFolderIfMissing("a/d\(number % 6)")
            try stage.write(
                "a/d\(number % 6)/f\(number)", noise(3000 + number * 501, seed: UInt64(number + 1)))
        }
        try stage.write("a/d0/large", noise(3 << 20, seed: 99))
        try system("chown", "1234:1234", stage.a + "/d0/f0")
        try system("ln", "-s", "f0", stage.a + "/d0/link")
    }

    /// One of each kind, on B, but for what was edited later than A: that is right.
    private func damage(_ stage: Stage) throws {
        try stage.remove("b/d1/f1")
        try stage.write("b/d1/extra", "only on B")
        try system("truncate", "-s", "1000", stage.b + "/d2/f2")
        try stage.patch("b/d0/large", at: 1 << 20, [UInt8](repeating: 0, count: 8192))
        let old = stage.bytes("b/d3/f3")
        try stage.patch("b/d3/f3", at: 100, [old[100] ^ 4])
        try stage.write("b/d4/f4", "an older version")
        try system("touch", "-d", "2020-01-01", stage.b + "/d4/f4")
        try system("chown", "99:99", stage.b + "/d5/f5")
        try stage.write("b/d5/f11", "edited on B, later than A")
    }

    @Test func damageIsRepairedConfirmedAndTakenBack() throws {
        guard let (stage, mounts) = try stage() else { return }
        defer { withExtendedLifetime(mounts) {} }
        usleep(2_200_000)
        let first = try stage.verify("--keep")
        #expect(first.status == 0, "\(first.report)")
        try damage(stage)
        let damaged = try listing(stage.b)
        let found = try stage.verify("--confirm", "1")
        #expect(found.status == 1, "\(found.report)")
        let plan = stage.folder + "/plan"
        let planned = try stage.resync(
            ["plan", "last", "--authority", "a", "-o", plan]).run()
        #expect(planned.status == 0, "\(planned.report)")
        let shown = try Command(Command.resync, ["plan", "show", plan]).run()
        #expect(shown.status == 0, "\(shown.report)")
        try killTwice(stage, ["apply", plan])
        let applied = try stage.resync(["apply", plan]).run()
        #expect(applied.status == 0, "\(applied.report)")
        let unconfirmed = try stage.verify()
        #expect(unconfirmed.errorText.contains("has begun to change B"), "\(unconfirmed.report)")
        let confirmed = try stage.resync(["confirm"]).run()
        #expect(confirmed.status == 0, "\(confirmed.report)")
        let again = try stage.verify("--assurance", "media")
        #expect(again.status == 0, "\(again.report)")
        #expect(!again.errorText.contains("has begun to change"), "\(again.report)")
        let undone = try stage.resync(["undo"]).run()
        #expect(undone.status == 0, "\(undone.report)")
        #expect(try listing(stage.b) == damaged)
    }

    /// At two moments of its work, by the kernel's own count of its renames.
    private func killTwice(_ stage: Stage, _ arguments: [String]) throws {
        guard let strace = Command.find("strace") else { return skip("strace is not installed") }
        for nth in [2, 4] {
            var command = stage.resync(arguments)
            command.arguments =
                [
                    "-f", "-qq", "-o", "/dev/null", "-e",
                    "inject=renameat2:signal=SIGKILL:when=\(nth)",
                ]
                .map { Array($0.utf8) } + [Array(Command.resync.utf8)] + command.arguments
            command.program = strace
            let killed = try command.run()
            #expect(killed.status == 137, "\(killed.report)")
        }
    }

    /// Every path with type, mode, owner, size, mtime and content, what is resync's own left out.
    private func listing(_ root: String) throws -> [String] {
        let script = """
            cd "$1" && find . -path './.resync*' -prune -o -path ./lost+found -prune -o \
            -printf '%p %y %m %U:%G %s %T@ %l\\n' | grep -v '^\\. ' | LC_ALL=C sort
            find . -path './.resync*' -prune -o -type f -print0 | LC_ALL=C sort -z | \
            xargs -0 sha256sum
            """
        let done = try Command("/bin/bash", ["-c", script, "listing", root]).run()
        #expect(done.status == 0, "\(done.report)")
        // The size of a directory says how it came about.
        return done.lines.map { line in
            let words = line.split(separator: " ", omittingEmptySubsequences: false)
            guard words.count > 5, words[1] == "d" else { return line }
            return (words[..<4] + words[5...]).joined(separator: " ")
        }
    }
}

extension Stage {
    fileprivate func makeFolderIfMissing(_ path: String) throws {
        if !exists(path) { try makeFolder(path) }
    }
}

/// A file system in an image file, mounted for as long as this is kept.
final class Mount {
    private let point: String

    /// Nil, and said aloud, where that cannot be done here.
    init?(ext4 size: String, at folder: String, _ name: String) throws {
        let image = "\(folder)/\(name).image"
        point = "\(folder)/\(name)"
        guard getuid() == 0 else {
            skip("mounting needs root")
            return nil
        }
        try system("truncate", "-s", size, image)
        try system("mkdir", "-p", point)
        guard try system("mkfs.ext4", "-q", "-F", image) != nil,
            try system("mount", "-o", "loop", image, point) != nil
        else {
            skip("loop mounts are not to be had")
            return nil
        }
    }

    deinit { _ = try? system("umount", "-l", point) }
}

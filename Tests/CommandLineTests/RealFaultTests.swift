import Foundation
import Glibc
import ResyncCore
import TestSupport
import Testing

/// The target's file system is full, over its quota, read-only or gone while a plan is carried out:
/// that is said in one line with status 6, nothing is lost, and the same command goes on once the
/// cause is gone.
@Suite(.serialized) struct RealFaultTests {
    /// Forty files are replaced, twenty made and ten deleted; the target alone lies on the file
    /// system that fails.
    private struct Field {
        let stage: Stage
        let target: String
        let apply: Command
        let tree: TreeCase

        private static let script = """
            set -eu
            mkdir -p "$1" "$2"
            for n in $(seq 40); do
                head -c 60000 /dev/urandom >"$1/f$n"; head -c 50000 /dev/urandom >"$2/f$n"
            done
            mkdir "$1/d"
            for n in $(seq 20); do head -c 100000 /dev/urandom >"$1/d/n$n"; done
            for n in $(seq 10); do echo "gone $n" >"$2/gone$n"; done
            find "$1" "$2" -exec touch -d @1500000000 {} +
            sync -f "$2"
            """

        init(_ target: String, _ what: String) throws {
            stage = try Stage()
            self.target = target
            let made = try Command(
                "/bin/bash", ["-c", Self.script, "script", stage.a, target]
            ).run()
            try #require(made.status == 0, "\(made.report)")
            apply = stage.applying(try stage.planned(stage.a, target))
            tree = try TreeCase(stage, what, target: target)
        }

        /// Waits after each rename. Nil, said aloud, where that cannot be done.
        func slowed(by microseconds: Int) -> Command? {
            guard let strace = Command.find("strace") else {
                skip("strace is not installed")
                return nil
            }
            var slow = apply
            slow.program = strace
            slow.arguments =
                [
                    "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", "trace=renameat2", "-e",
                    "inject=renameat2:delay_exit=\(microseconds)", Command.resync,
                ].map { Array($0.utf8) } + slow.arguments
            return slow
        }

        /// What ended the work is said once, and nothing is left half-way.
        func checkFailed(_ done: Finished, _ sentences: String...) throws {
            #expect(done.status == 6, "\(tree.what): \(done.report)")
            let ends = done.lines.filter { $0.hasPrefix("work on B ended: ") }
            #expect(ends.count == 1, "\(tree.what): \(done.report)")
            let isNamed = sentences.contains { ends.first?.contains($0) == true }
            #expect(isNamed, "\(tree.what): \(done.report)")
            #expect(done.errorText == "", "\(tree.what): \(done.report)")
            try tree.checkNothingIsLost()
        }

        /// What is to be deleted still stands where it stood.
        func checkNothingIsDeleted() {
            for number in 1...10 {
                #expect(access("\(target)/gone\(number)", F_OK) == 0, "\(tree.what) \(number)")
            }
        }

        func checkItGoesOn() throws {
            let again = try apply.run()
            #expect(again.status == 0, "\(tree.what): \(again.report)")
            try tree.checkEnd(tree.a)
        }
    }

    private func fill(_ mount: LoopMount, leaving room: String) throws -> String {
        let filler = mount.point + "/filler"
        _ = try system("dd", "if=/dev/zero", "of=" + filler, "bs=64k")
        try system("truncate", "-s", "-" + room, filler)
        try system("sync", "-f", mount.point)
        return filler
    }

    /// Then it is not even tried.
    @Test func aFullFileSystem() throws {
        guard let mount = try LoopMount(.ext4, size: "32M") else { return }
        let field = try Field(mount.point + "/b", "full")
        let filler = try fill(mount, leaving: "2M")
        let done = try field.apply.run()
        #expect(done.status == 6, "\(done.report)")
        #expect(done.lines.count { $0.contains("the rest waits: B has ") } == 1, "\(done.report)")
        try field.tree.checkNothingIsLost()
        field.checkNothingIsDeleted()
        unlink(filler)
        try field.checkItGoesOn()
    }

    /// By others, while it is written to; btrfs needs room even for what it has set aside.
    @Test(arguments: [LoopMount.Kind.ext4, .btrfs])
    func aFileSystemThatBecomesFull(_ kind: LoopMount.Kind) throws {
        guard let mount = try LoopMount(kind, size: kind == .ext4 ? "32M" : nil) else { return }
        let field = try Field(mount.point + "/b", "becomes full")
        var slow = field.apply
        slow.arguments += ["--write-limit", "2M"].map { Array($0.utf8) }
        let running = try slow.start()
        while access(field.target + "/.resync-quarantine", F_OK) != 0 { usleep(1000) }
        let filler = try fill(mount, leaving: "0")
        try field.checkFailed(try running.wait(), "No space left on device")
        field.checkNothingIsDeleted()
        unlink(filler)
        try system("sync", "-f", mount.point)
        try field.checkItGoesOn()
    }

    /// Memory runs out at one place after the other, until there is enough. Where no thread can be
    /// had, the program waits for one until it is killed; the same command always goes on.
    @Test func tooLittleMemory() throws {
        guard let limiter = Command.find("prlimit") else { return skip("prlimit is not installed") }
        let stage = try Stage()
        let field = try Field(stage.folder + "/b", "too little memory")
        let step = isLongRun ? 2 : 12
        var failures = 0
        var ends: Set<Int32> = []
        for mebibytes in stride(from: 28, through: 4096, by: step) where !ends.contains(0) {
            var small = field.apply
            small.program = limiter
            small.arguments =
                ["--as=\(mebibytes << 20)", "--", Command.resync].map { Array($0.utf8) }
                + small.arguments
            do {
                ends.insert(try small.start().wait(3).status)
            } catch CommandFailure.timeout {
                ends.insert(128 + SIGKILL)
            }
            failures += 1
            if failures % 4 == 0 || ends.contains(0) { try field.tree.checkNothingIsLost() }
        }
        #expect(ends.contains(0) && ends.count > 1, "\(ends)")
        try field.tree.checkEnd(field.tree.a)
    }

    @Test func aQuota() throws {
        guard let mount = try LoopMount(.btrfs) else { return }
        let target = mount.point + "/b"
        guard try system("btrfs", "quota", "enable", mount.point) != nil,
            try system("btrfs", "subvolume", "create", target) != nil
        else { return skip("btrfs has no quotas here") }
        let field = try Field(target, "quota")
        guard try system("btrfs", "qgroup", "limit", "4M", target) != nil else {
            return skip("btrfs has no quotas here")
        }
        try field.checkFailed(try field.apply.run(), "quota exceeded")
        field.checkNothingIsDeleted()
        try system("btrfs", "qgroup", "limit", "none", target)
        try field.checkItGoesOn()
    }

    /// Where what is overwritten in place needs new room (btrfs, below a snapshot), an image that
    /// is there already can run out of it.
    @Test func aFullFileSystemBelowAnImage() throws {
        guard let mount = try LoopMount(.btrfs) else { return }
        let stage = try Stage()
        let target = mount.point + "/v/j"
        let (old, new) = (noise(24 << 20, seed: 1), noise(24 << 20, seed: 2))
        try stage.write("i", new)
        try stage.write("j", old)
        // Of more than half of an image a plan would be refused.
        try system("truncate", "-s", "50M", stage.folder + "/i", stage.folder + "/j")
        let script = """
            set -e
            cd "$1"; btrfs -q subvolume create v; cp "$2" v/j; sync -f v
            btrfs -q subvolume snapshot -r v s
            """
        guard try system("bash", "-c", script, "script", mount.point, stage.folder + "/j") != nil
        else { return skip("snapshots cannot be made here") }
        _ = try stage.planned(stage.folder + "/i", target)
        let filler = try fill(mount, leaving: "4M")
        let done = try stage.resync(["apply", "plan"]).run()
        #expect(done.status == 6, "\(done.report)")
        let ends = done.lines.filter { $0.hasPrefix("work on B ended: ") }
        #expect(ends.count == 1, "\(done.report)")
        #expect(ends.first?.contains("No space left on device") == true, "\(done.report)")
        unlink(filler)
        try system("sync", "-f", mount.point)
        try system("btrfs", "subvolume", "delete", mount.point + "/s")
        let again = try stage.resync(["apply", "plan"]).run()
        #expect(again.status == 0, "\(again.report)")
        #expect(try system("cmp", stage.folder + "/i", target) != nil)
        let undone = try stage.resync(["undo"]).run()
        #expect(undone.status == 0, "\(undone.report)")
        #expect(try system("cmp", stage.folder + "/j", target) != nil)
    }

    @Test(arguments: LoopMount.Kind.allCases)
    func aFileSystemThatBecomesReadOnly(_ kind: LoopMount.Kind) throws {
        guard let mount = try LoopMount(kind) else { return }
        let field = try Field(mount.point + "/b", "read-only \(kind)")
        guard let slow = field.slowed(by: 20_000) else { return }
        let running = try slow.start()
        // As long as anything is open for writing the kernel refuses.
        let old = try #require(field.tree.b[Array("f1".utf8)]?.stat.inode)
        var now = stat()
        while stat(field.target + "/f1", &now) == 0, UInt64(now.st_ino) == old { usleep(2000) }
        while try !mount.remount("ro") { usleep(1000) }
        try field.checkFailed(try running.wait(), "Read-only file system")
        // Nothing can be done about it so far.
        let still = try field.apply.run()
        #expect([5, 6].contains(still.status), "\(still.report)")
        try field.tree.checkNothingIsLost()
        try #require(try mount.remount("rw"))
        try field.checkItGoesOn()
    }

    /// As when its cable is pulled: what was not synced is gone, and all calls fail.
    @Test(arguments: [LoopMount.Kind.ext4, .xfs])
    func aFileSystemThatIsCutOff(_ kind: LoopMount.Kind) throws {
        guard Command.find("xfs_io") != nil else { return skip("xfs_io is not installed") }
        guard let mount = try LoopMount(kind) else { return }
        var seed = Seed.fromEnvironment()
        for round in 0..<(isLongRun ? 40 : 4) {
            let field = try Field("\(mount.point)/b\(round)", "cut off \(kind) \(round)")
            guard let slow = field.slowed(by: 4000) else { return }
            let running = try slow.start()
            usleep(UInt32.random(in: 100_000...1_500_000, using: &seed))
            // What it calls done must be durable when it says so.
            if round % 4 == 0 { while running.isRunning { usleep(500) } }
            try #require(try system("xfs_io", "-x", "-c", "shutdown", mount.point) != nil)
            let done = try running.wait()
            #expect([0, 2, 6].contains(done.status), "\(field.tree.what): \(done.report)")
            try #require(try mount.mountAgain())
            try field.tree.checkNothingIsLost()
            if done.status == 0 {
                try field.tree.checkEnd(field.tree.a)
            } else {
                try field.checkItGoesOn()
            }
            try system("rm", "-rf", field.target)
        }
    }
}

import Foundation
import TestSupport
import Testing

/// The real program is told by its system calls that they failed: at each of them in turn, once or
/// from then on. It says so, nothing is lost, and the same command goes on.
@Suite struct InjectedErrorTests {
    /// Calls that change something, and how they may fail.
    private static let calls: [(name: String, errors: [String])] = [
        ("fsync", ["EIO", "ENOSPC", "EDQUOT"]), ("syncfs", ["EIO", "ENOSPC"]),
        ("pwrite64", ["EIO", "ENOSPC", "EDQUOT", "EROFS"]), ("ftruncate", ["EIO", "ENOSPC"]),
        ("renameat2", ["EIO", "ENOSPC", "EROFS", "EACCES"]), ("mkdirat", ["ENOSPC", "EROFS"]),
        ("unlinkat", ["EIO", "EROFS", "EBUSY"]), ("symlinkat", ["ENOSPC", "EDQUOT"]),
        ("linkat", ["EMLINK", "EIO"]), ("mknodat", ["EPERM", "ENOSPC"]),
        ("fchownat", ["EPERM", "EIO", "EROFS"]),
        ("utimensat", ["EPERM", "EIO"]), ("fsetxattr", ["ENOSPC", "EDQUOT", "EIO"]),
    ]

    @Test func everyCallMayFail() throws {
        guard isRoot else { return skip("owners and special files need root") }
        guard let strace = Command.find("strace") else { return skip("strace is not installed") }
        guard let mount = try LoopMount(.ext4) else { return }
        var seed = Seed.fromEnvironment()
        var faults = 0
        var kept: [(name: String, error: String, nth: Int)] = []
        for (name, errors) in Self.calls {
            for nth in 1...12 { for error in errors { kept.append((name, error, nth)) } }
        }
        if !isLongRun { kept = Array(kept.shuffled(using: &seed).prefix(rounds(36))) }
        for (name, error, nth) in kept {
            let workload = try #require(KillWorkload.allCases.randomElement(using: &seed))
            let isOnce = seed.next() & 1 == 0
            let what = "\(workload) \(name) \(error) \(nth) \(isOnce ? "once" : "for good")"
            let stage = try Stage(below: mount.point)
            try workload.build(stage)
            let id = try stage.planned()
            let tree = try TreeCase(stage, what)
            let apply = stage.applying(id, "--workers", "1")
            var failing = apply
            failing.program = strace
            let log = stage.folder + "/log"
            let inject = "inject=\(name):error=\(error):when=\(nth)\(isOnce ? "" : "+")"
            failing.arguments =
                ["-f", "-qq", "-o", log, "-e", "trace=" + name, "-e", inject, Command.resync]
                .map { Array($0.utf8) } + apply.arguments
            let done = try failing.run()
            let wasInjected = stage.text("log").contains("(INJECTED)")
            if wasInjected { faults += 1 }
            #expect([0, 2, 6].contains(done.status), "\(what): \(done.report)")
            #expect(done.status == 0 || wasInjected, "\(what): \(done.report)")
            try tree.checkNothingIsLost()
            if done.status == 0 {
                // Whatever it was, it was got over: then all is done.
                try tree.checkEnd(tree.a)
            } else {
                #expect(isNamed(done), "\(what): \(done.report)")
                try tree.end(apply)
                try tree.checkEnd(tree.a)
            }
        }
        // About two in five are met; of few, chance may leave out more.
        #expect(faults > kept.count / (isLongRun ? 4 : 9))
        print("faults: \(faults) calls of the real program failed")
    }

    /// Whether it is said what failed.
    private func isNamed(_ done: Finished) -> Bool {
        let all = done.lines + done.errorText.split(separator: "\n").map { String($0) }
        return all.contains { $0.contains("(") && !$0.contains("run 2") }
    }
}

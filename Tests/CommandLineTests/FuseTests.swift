import Foundation
import Glibc
import TestSupport
import Testing

/// A file system that lists names twice, without an end or not to the end, hides data behind
/// holes, or does not answer.
@Suite(.serialized) struct FuseTests {
    /// The hostile file system, mounted, and an honest folder `b` beside it.
    final class Hostile {
        let stage: Stage
        let mount: String
        private let server: Running

        /// Nil, said aloud, where there is no FUSE.
        init?() throws {
            guard isRoot, access("/dev/fuse", R_OK | W_OK) == 0 else {
                skip("needs root and /dev/fuse")
                return nil
            }
            let flags = try system("pkg-config", "--cflags", "--libs", "fuse3") ?? ""
            let words = flags.split { $0 == " " || $0 == "\n" }.map { String($0) }
            guard !words.isEmpty, let compiler = Command.find("gcc") else {
                skip("libfuse3-dev or gcc is not installed")
                return nil
            }
            stage = try Stage()
            let program = stage.folder + "/hostile"
            let source = Command.project + "/Tests/Fuse/hostile.c"
            let built = try Command(
                compiler, ["-Wall", "-Wextra", "-Werror", "-O1", "-o", program, source] + words
            ).run()
            try #require(built.status == 0, "\(built.report)")
            mount = stage.folder + "/mount"
            try stage.makeFolder("mount")
            try stage.makeFolder("b")
            server = try Command(program, ["-f", mount]).start()
            for _ in 0..<500 where access(mount + "/twice", F_OK) != 0 { usleep(10_000) }
            guard access(mount + "/twice", F_OK) == 0 else {
                skip("FUSE cannot be mounted here: \(server.errorsSoFar)")
                return nil
            }
        }

        deinit {
            _ = try? system("umount", "-l", mount)
            server.signal(SIGKILL)
        }

        /// From now on, and no longer, reads of what lies in `later` are not answered.
        func holdReads(_ isHeld: Bool) throws {
            try isHeld ? stage.write("mount-stuck", "") : stage.remove("mount-stuck")
        }

        /// Whoever still waits for it gets an error.
        func end() { server.signal(SIGKILL) }

        /// Files with honest content, as old as all others.
        func furnish(_ files: [String: String]) throws {
            for (name, content) in files { try stage.write("b/" + name, content) }
            try settle()
        }

        func settle() throws {
            try system("find", stage.b, "-exec", "touch", "-h", "-d", "@1000000000", "{}", "+")
        }

        func verify(_ folder: String, _ options: String...) throws -> Finished {
            var command = stage.resync(
                ["verify", "\(mount)/\(folder)", stage.b, "--settle", "0"] + options)
            command.timeout = 60
            return try command.run()
        }
    }

    @Test func aNameListedTwiceMakesADirectoryUnreliable() throws {
        guard let hostile = try Hostile() else { return }
        try hostile.furnish(["a": "ddddd", "b": "ddddd", "x": "ddddd", "y": "ddddd"])
        let found = try hostile.verify("twice")
        #expect(found.status == 2, "\(found.report)")
        #expect(found.lines.first == "! .  the directory cannot be listed reliably")
        #expect(found.lines.contains("4 entries: 4 same, 1 unreadable"), "\(found.report)")
    }

    /// What lies behind the place where the listing broke off is looked for by name.
    @Test func aListingThatBreaksOffIsNotWhole() throws {
        guard let hostile = try Hostile() else { return }
        try hostile.furnish(["a": "ddddd", "b": "ddddd", "c": "other", "missing": "1"])
        let found = try hostile.verify("eio")
        #expect(found.status == 2, "\(found.report)")
        let lines = Set(found.lines)
        #expect(lines.contains("! .  Input/output error on A (getdents64)"), "\(found.report)")
        #expect(lines.contains("- missing  missing on A"), "\(found.report)")
        #expect(found.text.contains("* c  content"), "\(found.report)")
    }

    /// As the source of a plan: what it does not name need not be gone.
    @Test(arguments: ["twice", "eio"])
    func nothingIsDeletedBelowAnUnreliableListing(_ folder: String) throws {
        guard let hostile = try Hostile() else { return }
        let stage = hostile.stage
        try hostile.furnish(["a": "other", "missing": "only here"])
        let arguments = ["plan", "\(hostile.mount)/\(folder)", stage.b, "--authority", "a"]
        let planned = try stage.resync(arguments + ["-o", "p", "--json"]).run()
        #expect(planned.status == 0, "\(planned.report)")
        let id = try objects(planned.lines).compactMap { $0["plan"] as? String }.last
        let refused = try stage.resync(["apply", "p"]).run()
        #expect(refused.status == 5, "\(refused.report)")
        #expect(refused.errorText.contains("could not be listed whole"), "\(refused.report)")
        #expect(stage.text("b/a") == "other")
        let applied = try stage.resync(["apply", "p", "--accept", try #require(id)]).run()
        #expect(applied.status == 0, "\(applied.report)")
        #expect(stage.text("b/a") == "ddddd")
        #expect(stage.text("b/missing") == "only here")
        #expect(try stage.resync(["confirm"]).run().status != 0)
    }

    @Test func namesOfUnknownKindAreAskedFor() throws {
        guard let hostile = try Hostile() else { return }
        try hostile.stage.makeFolder("b/folder")
        try system("ln", "-s", "file", hostile.stage.b + "/link")
        try hostile.furnish(["file": "ddddd"])
        let found = try hostile.verify("unknown")
        #expect(found.status == 0, "\(found.report)")
        #expect(found.lines.first == "3 entries: 3 same", "\(found.report)")
        try hostile.furnish(["file": "ddxdd", "folder/missing": "1"])
        let changed = try hostile.verify("unknown")
        #expect(changed.status == 1, "\(changed.report)")
        #expect(changed.text.contains("* file  content"), "\(changed.report)")
        #expect(changed.lines.contains("- folder/missing  missing on A"), "\(changed.report)")
    }

    /// Longer than ext4 and most others can have.
    @Test func namesBeyond255BytesAreComparedAndKept() throws {
        guard let hostile = try Hostile() else { return }
        let stage = hostile.stage
        let stores = [hostile.mount + "/long", hostile.mount + "/longer"]
        for options in [[], ["--keep"], ["--assurance", "cached"]] {
            let found = try stage.resync(["verify"] + stores + ["--settle", "0"] + options).run()
            #expect(found.status == 0, "\(options): \(found.report)")
            #expect(found.lines.first == "2 entries: 2 same", "\(found.report)")
        }
        let scan = try stage.resync(["scan", stores[0], "-o", stage.folder + "/m"]).run()
        #expect(scan.status == 0, "\(scan.report)")
        let check = try Command(Command.resync, ["manifest", "check", stage.folder + "/m"]).run()
        #expect(check.status == 0, "\(check.report)")
        // The other side cannot even be asked for such a name, which is no agreement.
        let found = try hostile.verify("long")
        #expect(found.status == 2, "\(found.report)")
        #expect(found.text.contains("File name too long on B"), "\(found.report)")
    }

    /// It says that all of its data is a hole.
    @Test func holesAreNotTakenOnTrust() throws {
        guard let hostile = try Hostile() else { return }
        try hostile.furnish(["file": String(repeating: "d", count: 200_000)])
        let same = try hostile.verify("holes")
        #expect(same.status == 0, "\(same.report)")
        #expect(same.text.contains("390.6 KiB read"), "\(same.report)")
        try system("truncate", "-s", "0", hostile.stage.b + "/file")
        try system("truncate", "-s", "200000", hostile.stage.b + "/file")
        try hostile.settle()
        let found = try hostile.verify("holes")
        #expect(found.status == 1, "\(found.report)")
        #expect(found.text.contains("* file  content: bytes 200000 at 0 (zeroed on B)"))
    }

    @Test func aReadThatIsNeverAnsweredIsNamed() throws {
        guard let hostile = try Hostile() else { return }
        try hostile.furnish(["file": "ddddd"])
        let found = try hostile.verify("stuck", "--io-timeout", "2s", "--json")
        #expect(found.status == 2, "\(found.report)")
        #expect(found.seconds < 20)
        let lines = try objects(found.lines)
        let error = try #require(lines.first { $0["type"] as? String == "error" })
        #expect(error["path"] as? String == "file" && error["side"] as? String == "a")
        #expect(error["errno"] as? String == "ETIMEDOUT")
        #expect(lines.last?["type"] as? String == "summary")
        #expect((lines.last?["not_verified"] as? Int ?? 0) > 0, "\(found.report)")
    }

    /// Opened, and asked whether it is a manifest, before any worker is there to be watched.
    @Test(arguments: [
        "verify", "verify --json", "scan", "diff", "manifest show --json", "manifest check",
        "store show", "store adopt", "plan show", "plan --authority a -o p",
    ])
    func aStoreThatNeverAnswersIsNamed(_ words: String) throws {
        guard let hostile = try Hostile() else { return }
        let (deaf, stage) = (hostile.mount + "/deaf", hostile.stage)
        var arguments = words.split(separator: " ").map { String($0) }
        switch arguments[0] {
        case "scan": arguments += [deaf, "-o", "m"]
        case "verify": arguments += [stage.b, deaf]
        case "diff": arguments += [deaf, deaf]
        case "plan" where words != "plan show": arguments += [stage.b, deaf]
        default: arguments.append(deaf)
        }
        arguments += ["--io-timeout", "1s"]
        let keepsNothing = ["diff", "manifest", "store show", "plan show"]
        var command = stage.resync(arguments)
        if keepsNothing.contains(where: { words.hasPrefix($0) }) {
            command = Command(Command.resync, arguments)
        }
        let running = try command.start()
        let started = ContinuousClock.now
        let reason = "'\(deaf)' does not answer"
        for _ in 0..<1000 where !running.errorsSoFar.contains(reason) { usleep(10_000) }
        #expect(running.errorsSoFar.contains(reason))
        #expect(started.duration(to: .now) < .seconds(5))
        // A thread that waits in the kernel holds the process until then.
        hostile.end()
        let found = try running.wait()
        #expect(found.status == 2, "\(found.report)")
        guard words.hasSuffix("--json") else { return }
        let last = try objects(found.lines).last
        #expect(last?["type"] as? String == "summary" && last?["exit_status"] as? Int == 2)
    }

    @Test func aDirectoryWithoutAnEndIsLeft() throws {
        guard isLongRun else { return skip("a directory without an end: RESYNC_LONG=1") }
        guard let hostile = try Hostile() else { return }
        for index in 0..<1000 { try hostile.stage.write("b/name-\(index)", []) }
        try hostile.settle()
        var command = hostile.stage.resync(
            ["verify", hostile.mount + "/endless", hostile.stage.b, "--settle", "0"])
        command.timeout = 900
        let found = try command.run()
        #expect(found.status == 2, "\(found.report)")
        #expect(found.lines.first == "! .  the directory cannot be listed reliably")
        #expect(found.text.contains("1,000 same, 1 unreadable"), "\(found.report)")
        #expect(found.memory < 256 << 20)
    }
}

import Foundation
import TestSupport
import Testing

/// Stores that do not fit into memory by their names, or into a path.
@Suite(.serialized) struct LargeStoreTests {
    private func stage() throws -> Stage {
        let shared = "/dev/shm"
        return FileManager.default.isWritableFile(atPath: shared)
            ? try Stage(below: shared) : try Stage()
    }

    private func fill(_ stage: Stage, _ count: Int) throws {
        for side in ["a", "b"] {
            let fill = "cd '\(stage.folder)/\(side)' && seq -f 'some-name-%08g' \(count) | "
            try #require(
                try system("sh", "-c", fill + "xargs touch -d @1000000000") != nil)
        }
    }

    /// With its peak memory in bytes. A process begins with the peak of the one that starts it, and
    /// that of all these tests has grown: so a small one is between them.
    private func measured(_ command: Command) throws -> (found: Finished, memory: Int) {
        let script = """
            import os, resource, sys
            status = os.spawnv(os.P_WAIT, sys.argv[1], sys.argv[1:])
            print("peak", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
            sys.exit(status)
            """
        let python = try #require(Command.find("python3"))
        var command = command
        command.arguments =
            ["-c", script, command.program].map { Array($0.utf8) } + command.arguments
        command.program = python
        let found = try command.run()
        let words = found.errorText.split { $0 == " " || $0 == "\n" }
        let peak = words.last.flatMap { Int($0) }
        return (found, try #require(peak, "\(found.report)") << 10)
    }

    @Test func memoryDoesNotGrowWithTheNamesOfADirectory() throws {
        guard isLongRun else { return skip("a million names in one directory: RESYNC_LONG=1") }
        var memory: [Int] = []
        for count in [300_000, 1_000_000] {
            let stage = try stage()
            try stage.makeFolder("b")
            try fill(stage, count)
            try stage.write("b/some-name-00200000", "x")
            try system("touch", "-d", "@1000000000", stage.b + "/some-name-00200000")
            var command = stage.verifying([])
            command.timeout = 600
            let (found, peak) = try measured(command)
            #expect(found.status == 1, "\(found.report)")
            #expect(found.lines.first == "* some-name-00200000  size 0 on A, 1 on B (grown)")
            let same = count == 300_000 ? "299,999 same" : "999,999 same"
            #expect(found.text.contains(same), "\(found.report)")
            memory.append(peak)
        }
        print("peak memory: \(memory.map { $0 >> 20 }) MiB")
        #expect(memory[1] < 256 << 20)
        #expect(Double(memory[1]) < 1.25 * Double(memory[0]), "\(memory)")
    }

    /// As many as no listing sorts in memory, compared, planned for and changed.
    @Test func fiveMillionNamesAreChangedInBoundedMemory() throws {
        guard isLongRun else { return skip("five million names in one directory: RESYNC_LONG=1") }
        guard ProcessInfo.processInfo.physicalMemory > 16 << 30 else {
            return skip("ten million files take 10 GiB of memory")
        }
        let stage = try Stage()
        guard let mount = try MemoryMount("size=2g,nr_inodes=0") else { return }
        let script = """
            import os, sys
            for side in sys.argv[1:]:
                os.mkdir(side)
                folder = os.open(side, os.O_RDONLY)
                for number in range(5 * 10 ** 6):
                    name = "some-name-%08d" % number
                    os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=folder))
            with open(side + "/some-name-00200000", "w") as file: file.write("x")
            os.unlink(side + "/some-name-04999999")
            """
        let (a, b) = (mount.point + "/a", mount.point + "/b")
        guard try system("python3", "-c", script, a, b) != nil else {
            return skip("python3 is not installed")
        }
        func done(_ words: String...) throws -> Finished {
            var command = stage.resync(words)
            command.timeout = 900
            let (found, peak) = try measured(command)
            #expect(peak < 128 << 20, "\(words): \(peak >> 20) MiB")
            return found
        }
        let found = try done("verify", a, b, "--without", "mtime", "--settle", "0")
        #expect(found.text.contains("4,999,998 same"), "\(found.report)")
        let made = try done("plan", "last", "--authority", "a", "-o", "p")
        #expect(made.status == 0, "\(made.report)")
        let applied = try done("apply", "p")
        #expect(applied.status == 0, "\(applied.report)")
        let undone = try done("undo", "last")
        #expect(undone.status == 0, "\(undone.report)")
        #expect(try system("cat", b + "/some-name-00200000") == "x")
    }

    /// Deeper than any path: only descriptors lead there.
    @Test func aDepthBeyondAnyPathIsWalked() throws {
        guard isLongRun else { return skip("deeper than PATH_MAX: RESYNC_LONG=1") }
        let depth = 3000
        let stage = try stage()
        try stage.makeFolder("b")
        let script = """
            import os, sys
            for side in sys.argv[1:]:
                folder = os.open(side, os.O_RDONLY)
                for level in range(\(depth)):
                    os.mkdir("d", dir_fd=folder)
                    below = os.open("d", os.O_RDONLY, dir_fd=folder)
                    os.utime(folder, (10 ** 9, 10 ** 9))
                    os.close(folder)
                    folder = below
                file = os.open("end", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=folder)
                os.write(file, side[-1].encode())
                os.utime(file, (10 ** 9, 10 ** 9))
                os.utime(folder, (10 ** 9, 10 ** 9))
            """
        guard try system("python3", "-c", script, stage.a, stage.b) != nil else {
            return skip("python3 is not installed")
        }
        var command = stage.verifying(["--json"])
        command.timeout = 600
        let found = try command.run()
        #expect(found.status == 1, "\(found.errorText)")
        let lines = try objects(found.lines)
        let path = lines.first { $0["type"] as? String == "diff" }?["path"] as? String
        #expect(path?.utf8.count == 2 * depth + 3)
        #expect(path?.hasSuffix("/d/end") == true)
        #expect(lines.last?["same"] as? Int == depth)
        print("depth \(depth): \(found.seconds) s, \(found.memory >> 20) MiB")
    }
}

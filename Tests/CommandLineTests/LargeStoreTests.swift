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
            let found = try command.run()
            #expect(found.status == 1, "\(found.report)")
            #expect(found.lines.first == "* some-name-00200000  size 0 on A, 1 on B (grown)")
            let same = count == 300_000 ? "299,999 same" : "999,999 same"
            #expect(found.text.contains(same), "\(found.report)")
            memory.append(found.memory)
        }
        print("peak memory: \(memory.map { $0 >> 20 }) MiB")
        #expect(memory[1] < 256 << 20)
        #expect(Double(memory[1]) < 1.25 * Double(memory[0]), "\(memory)")
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

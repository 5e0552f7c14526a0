import Foundation
import Glibc
import Testing

/// Images and devices that are not what a plan was made for, or not to be touched.
@Suite(.serialized) struct ImageStatusTests {
    /// Images `i` and `j` that differ in two places, and a plan `p` that makes `j` what `i` is.
    private struct Scene {
        let stage: Stage
        let target: String

        init(device: String? = nil, stage given: Stage? = nil) throws {
            stage = try given ?? Stage()
            target = device ?? stage.folder + "/j"
            if given == nil {
                try stage.write("i", noise(300_000))
                try stage.write("j", noise(300_000))
                try stage.patch("j", at: 5000, [0x55, 0xaa])
                try stage.patch("j", at: 299_999, [stage.bytes("j")[299_999] ^ 1])
            }
            let compared = try run("verify", source, target, "--settle", "0")
            #expect(compared.status == 1, "\(compared.report)")
            let planned = try run("plan", "last", "--authority", "a", "-o", "p")
            #expect(planned.status == 0, "\(planned.report)")
        }

        var source: String { stage.folder + "/i" }

        func run(_ arguments: String...) throws -> Finished { try stage.resync(arguments).run() }

        /// Bytes and times of the target.
        var state: String {
            get throws {
                try system("sha256sum", target)
                    .map { sum in
                        try system("stat", "-c", "%s %Y %Z", target).map { sum + $0 } ?? ""
                    }
                    ?? ""
            }
        }

        func refuses(
            _ status: Int32, _ words: String, lines: Int = 1, _ command: () throws -> Finished
        ) throws {
            let before = try state
            let found = try command()
            #expect(found.status == status, "\(found.report)")
            #expect(found.report.contains(words), "\(found.report)")
            #expect(found.errorText.split(separator: "\n").count == lines, "\(found.report)")
            #expect(try state == before)
        }

        func runFolder() throws -> String {
            let runs = stage.state + "/runs"
            let names = try FileManager.default.contentsOfDirectory(atPath: runs)
            let applied = names.filter {
                FileManager.default.fileExists(atPath: "\(runs)/\($0)/journal")
            }
            return runs + "/" + (try #require(applied.first))
        }
    }

    @Test func anImageOfAnotherSizeIsRefused() throws {
        let scene = try Scene()
        let whole = scene.stage.bytes("j")
        for size in ["200000", "300001", "0"] {
            try system("truncate", "-s", size, scene.target)
            try scene.refuses(5, "B has not the size that the plan was made for", lines: 2) {
                try scene.run("apply", "p")
            }
        }
        try scene.stage.write("j", whole)
        #expect(try scene.run("apply", "p").status == 0)
        #expect(scene.stage.bytes("j") == scene.stage.bytes("i"))
    }

    /// As a device does that was made anew.
    @Test func anImageThatTurnsToZerosIsRefusedAsASource() throws {
        for (pieces, words) in [
            (1...9, ""), (1...12, "the data of 12 pieces of B would turn to zeros"),
            (0...73, "293.0 KiB of 293.0 KiB of B would be overwritten, more than half"),
        ] {
            let stage = try Stage()
            try stage.write("i", noise(300_000))
            try stage.write("j", noise(300_000))
            for piece in pieces {
                // All of it, or every second page.
                let at = pieces.count > 20 ? piece : 2 * piece
                let count = min(4096, 300_000 - at * 4096)
                try stage.patch("i", at: at * 4096, [UInt8](repeating: 0, count: count))
            }
            let scene = try Scene(stage: stage)
            guard !words.isEmpty else {
                #expect(try scene.run("apply", "p").status == 0)
                continue
            }
            try scene.refuses(5, words, lines: 2) { try scene.run("apply", "p") }
        }
    }

    @Test func anImageThatIsOpenForWritingIsLeftAlone() throws {
        let scene = try Scene()
        let file = open(scene.target, O_RDWR | O_CLOEXEC)
        try #require(file >= 0)
        try scene.refuses(5, "is open for writing in another process") {
            try scene.run("apply", "p")
        }
        close(file)
        #expect(try scene.run("apply", "p").status == 0)
    }

    @Test func anUndoFileOfAnotherRunIsNotPlayedBack() throws {
        let (one, other) = (try Scene(), try Scene())
        let before = one.stage.bytes("j")
        for scene in [one, other] {
            let done = try scene.run("apply", "p")
            #expect(done.status == 0, "\(done.report)")
        }
        let own = try one.runFolder() + "/undo"
        let bytes = try #require(FileManager.default.contents(atPath: own))
        try system("cp", try other.runFolder() + "/undo", own)
        try one.refuses(5, "another image or device") { try one.run("undo") }
        // Damaged, and gone.
        for (at, words) in [(3, "not a file of this kind"), (bytes.count / 2, "damaged")] {
            var damaged = bytes
            damaged[at] ^= 1
            try damaged.write(to: URL(filePath: own))
            try one.refuses(2, words) { try one.run("undo") }
        }
        try system("rm", own)
        try one.refuses(2, " is gone from '") { try one.run("undo") }
        try bytes.write(to: URL(filePath: own))
        let undone = try one.run("undo")
        #expect(undone.status == 0, "\(undone.report)")
        #expect(one.stage.bytes("j") == before)
    }

    @Test func aMountedDeviceIsRefused() throws {
        guard isRoot else { return skip("devices need root") }
        let stage = try Stage()
        try stage.write("x", "on the device")
        guard try system("truncate", "-s", "16M", stage.folder + "/j") != nil,
            try system("mkfs.ext4", "-q", "-F", stage.folder + "/j") != nil
        else { return skip("mkfs.ext4 is not installed") }
        try system("cp", stage.folder + "/j", stage.folder + "/i")
        try stage.patch("i", at: 9 << 20, [1, 2, 3, 4])
        guard let loop = try Loop(stage.folder + "/j") else { return }
        let scene = try Scene(device: loop.device, stage: stage)
        try stage.makeFolder("m")
        guard try system("mount", loop.device, stage.folder + "/m") != nil else {
            return skip("an image cannot be mounted here")
        }
        let found: Finished
        do {
            defer { _ = try? system("umount", stage.folder + "/m") }
            let before = try system("sha256sum", loop.device)
            found = try scene.run("apply", "p")
            #expect(try system("sha256sum", loop.device) == before)
        }
        #expect([5, 6].contains(found.status), "\(found.report)")
        #expect(found.report.contains("mounted"), "\(found.report)")
    }

    /// What stands in a swap device is nobody's to change.
    @Test func aDeviceThatIsSwappedToIsRefused() throws {
        guard isRoot else { return skip("devices need root") }
        let stage = try Stage()
        try stage.write("j", [UInt8](repeating: 0, count: 8 << 20))
        guard try system("mkswap", stage.folder + "/j") != nil else {
            return skip("mkswap is not installed")
        }
        try system("cp", stage.folder + "/j", stage.folder + "/i")
        try stage.patch("i", at: 5 << 20, [1, 2, 3])
        guard let loop = try LoopDevice(stage.folder + "/j") else { return }
        let scene = try Scene(device: loop.path, stage: stage)
        guard try system("swapon", loop.path) != nil else {
            return skip("no swap space can be had")
        }
        do {
            defer { _ = try? system("swapoff", loop.path) }
            let before = try system("sha256sum", loop.path)
            let found = try scene.run("apply", "p")
            #expect(found.status == 5, "\(found.report)")
            #expect(found.errorText == "resync: '\(loop.path)' is used as swap space\n")
            #expect(try system("sha256sum", loop.path) == before)
        }
        #expect(try scene.run("apply", "p").status == 0)
    }

    /// Sectors of 4 KiB: what is written, read back and taken back is whole ones.
    @Test func aDeviceWithLargeSectorsIsPatched() throws {
        guard isRoot else { return skip("devices need root") }
        let stage = try Stage()
        let size = 245 << 12
        try stage.write("i", noise(size))
        try stage.write("j", noise(size))
        for at in [5000, 4096 * 9, size - 1] {
            try stage.patch("j", at: at, [stage.bytes("j")[at] ^ 1])
        }
        let before = stage.bytes("j")
        guard
            let device = try system(
                "losetup", "-f", "--show", "--sector-size", "4096", stage.folder + "/j")?
                .trimmingCharacters(in: .whitespacesAndNewlines)
        else { return skip("loop devices with large sectors are not to be had") }
        defer { _ = try? system("losetup", "-d", device) }
        #expect(try system("blockdev", "--getss", device) == "4096\n")
        let scene = try Scene(device: device, stage: stage)
        for command in [["apply", "p"], ["confirm"]] {
            let done = try stage.resync(command).run()
            #expect(done.status == 0, "\(done.report)")
        }
        #expect(try system("cmp", scene.source, device) != nil)
        let undone = try scene.run("undo")
        #expect(undone.status == 0, "\(undone.report)")
        try stage.write("before", before)
        #expect(try system("cmp", stage.folder + "/before", device) != nil)
    }

    /// As long as an image can be; all but a few bytes of it are holes.
    @Test func anImageOfExbibytesIsPatched() throws {
        guard let memory = try MemoryMount() else { return }
        let stage = try Stage()
        let (a, b) = (memory.point + "/i", memory.point + "/j")
        try #require(try system("truncate", "-s", "9223372036854775807", a, b) != nil)
        func put(_ offset: Int) throws {
            let file = open(a, O_WRONLY | O_CLOEXEC)
            defer { close(file) }
            try #require(file >= 0 && pwrite(file, "hello", 5, offset) == 5)
        }
        try put(1 << 40)
        try put(1 << 62)
        func run(_ arguments: String...) throws -> Finished {
            let done = try stage.resync(arguments).run()
            #expect(done.seconds < 60)
            return done
        }
        #expect(try run("verify", a, b, "--settle", "0").status == 1)
        #expect(try run("plan", "last", "--authority", "a", "-o", "p").status == 0)
        let applied = try run("apply", "p")
        #expect(applied.status == 0, "\(applied.report)")
        #expect(try run("confirm").status == 0)
        #expect(try run("verify", a, b, "--settle", "0").status == 0)
        let undone = try run("undo")
        #expect(undone.status == 0, "\(undone.report)")
        #expect(try run("verify", a, b, "--settle", "0").status == 1)
        // The end of the last page lies behind any offset: read or not, it is no agreement.
        #expect(try run("apply", "p").status != 0)
        #expect(try run("plan", a, b, "--authority", "a", "-o", "q").status == 0)
        #expect(try run("apply", "q").status == 0)
        try put(.max - 100)
        let last = try run("verify", a, b, "--settle", "0")
        #expect([1, 2].contains(last.status), "\(last.report)")
    }
}

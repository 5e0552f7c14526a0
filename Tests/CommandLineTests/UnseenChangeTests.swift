import Foundation
import Glibc
import TestSupport
import Testing

/// What differs is found, though something hid it: a mapping, a look that failed, another cache,
/// another file system in the place of one.
@Suite(.serialized) struct UnseenChangeTests {
    /// Who writes through a mapping moves a file's times once, and not again until the kernel has
    /// written that back, half a minute later.
    @Test func whatIsWrittenThroughAMappingIsSeen() throws {
        // In memory nothing is ever written back, and no times move.
        let stage = try Stage(below: "/var/tmp")
        try stage.write("a/f", noise(20_000))
        try stage.copy()
        let file = open(stage.a + "/f", O_RDWR | O_CLOEXEC)
        defer { close(file) }
        let mapped = try #require(mmap(nil, 20_000, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0))
        try #require(mapped != MAP_FAILED)
        defer { munmap(mapped, 20_000) }
        func write(_ byte: UInt8, at offset: Int) {
            mapped.storeBytes(of: byte, toByteOffset: offset, as: UInt8.self)
        }
        write(noise(1)[0], at: 0)
        usleep(2_300_000)
        #expect(try stage.verify("--keep", "--without", "mtime").status == 0)
        let wrong = noise(20_000).map { ~$0 }
        for offset in 0..<10 { write(wrong[offset], at: offset) }
        try #require(msync(mapped, 20_000, MS_SYNC) == 0)
        let found = try stage.verify("--assurance", "cached", "--without", "mtime")
        #expect(found.status == 1 && found.text.contains("* f"), "\(found.report)")
    }

    /// A directory that could not be opened, or listed, when it was looked what there is to be
    /// compared, is compared with all that lies in it.
    @Test(arguments: ["log", ""], ["statx", "getdents64"])
    func aLookThatFailedHidesNothing(_ folder: String, _ call: String) throws {
        guard let strace = Command.find("strace") else { return skip("strace is not installed") }
        let scene = try GateScene(modules: "- {name: log, pair: mail, paths: [log]}")
        #expect(try scene.run("verify", "mail").status == 0)
        // Only reading tells.
        for (store, text) in [(scene.folder.a, "one"), (scene.b, "two")] {
            for name in ["log/new", "new"] {
                let made = try system(
                    "sh", "-c",
                    "printf \(text) >'\(store)/\(name)'; "
                        + "find '\(store)' -exec touch -h -d @1500000000 {} +")
                try #require(made != nil)
            }
        }
        let place = scene.folder.a + (folder.isEmpty ? "" : "/" + folder)
        let config = ["--config", scene.watch.stage.folder + "/config.yaml"]
        var failures = 0
        for nth in 1...6 {
            for words in [["mail"], ["--module", "log"]] where !folder.isEmpty || words == ["mail"]
            {
                var command = scene.watch.stage.resync(
                    ["verify"] + words + ["--only", "unproven", "--workers", "1"] + config)
                let log = scene.folder.folder + "/trace"
                command.arguments =
                    [
                        "-f", "-qq", "-o", log, "-P", place, "-e", "trace=" + call, "-e",
                        "inject=\(call):error=EIO:when=\(nth)", Command.resync,
                    ].map { Array($0.utf8) } + command.arguments
                command.program = strace
                let found = try command.run()
                if scene.folder.text("trace").contains("(INJECTED)") { failures += 1 }
                #expect(found.status != 0, "\(words) \(nth): \(found.report)")
                #expect(!found.text.contains("\nIN SYNC"), "\(words) \(nth): \(found.report)")
            }
        }
        #expect(failures > 0)
    }

    /// A file system that is mounted inside of a store, and a copy of it that was damaged.
    @Test func aCopyMountedInAStoreIsAnother() throws {
        let stage = try Stage()
        for folder in ["a/data", "b", "b/data", "made"] { try stage.makeFolder(folder) }
        func mount(_ device: LoopDevice, on place: String) throws {
            try #require(try system("mount", device.path, "\(stage.folder)/\(place)") != nil)
        }
        func unmount(_ place: String) throws {
            try #require(try system("umount", "\(stage.folder)/\(place)") != nil)
        }
        try system("truncate", "-s", "16M", stage.folder + "/one")
        guard let one = try LoopDevice(stage.folder + "/one") else { return }
        guard try system("mkfs.ext4", "-qF", one.path) != nil else { return skip("no mkfs.ext4") }
        try mount(one, on: "made")
        let content = noise(8192)
        try stage.write("made/f", content)
        try unmount("made")
        for name in ["two", "damaged"] {
            try system("cp", stage.folder + "/one", "\(stage.folder)/\(name)")
        }
        var image = Data(stage.bytes("damaged"))
        let place = try #require(image.range(of: Data(content)))
        image[place.lowerBound] ^= 0xff
        try image.write(to: URL(fileURLWithPath: stage.folder + "/damaged"))
        let two = try #require(try LoopDevice(stage.folder + "/two"))
        let damaged = try #require(try LoopDevice(stage.folder + "/damaged"))
        try mount(one, on: "a/data")
        try mount(two, on: "b/data")
        defer {
            for side in ["a", "b"] { _ = try? system("umount", "\(stage.folder)/\(side)/data") }
        }
        usleep(2_200_000)
        let words = ["--cross-mounts", "--without", "mtime"]
        #expect(try stage.verifying(words + ["--keep"]).run().status == 0)
        let kept = try stage.verifying(words + ["--assurance", "cached"]).run()
        // What an earlier user of the loop device's name left in the kernel's log is trouble.
        let isRead = kept.errorText.contains("trouble")
        #expect(kept.status == 0, "\(kept.report)")
        #expect(isRead || kept.text.contains("0 B read"), "\(kept.report)")
        try unmount("a/data")
        try mount(damaged, on: "a/data")
        let found = try stage.verifying(words + ["--assurance", "cached"]).run()
        #expect(found.status == 1 && found.text.contains("data/f"), "\(found.report)")
        withExtendedLifetime((one, two, damaged)) {}
    }

    /// What is cached of a device is not what a file system mounted from it has written since.
    @Test func aMountedDeviceIsReadPastItsCache() throws {
        let stage = try Stage()
        try stage.makeFolder("m")
        for name in ["i", "j"] { try system("truncate", "-s", "16M", "\(stage.folder)/\(name)") }
        guard let a = try LoopDevice(stage.folder + "/i"),
            let b = try LoopDevice(stage.folder + "/j")
        else { return }
        guard try system("mkfs.ext4", "-qF", "-E", "lazy_itable_init=0", a.path) != nil else {
            return skip("no mkfs.ext4")
        }
        try #require(try system("mount", a.path, stage.folder + "/m") != nil)
        defer { _ = try? system("umount", stage.folder + "/m") }
        try stage.write("m/f", noise(1 << 20))
        try system("sync", "-f", stage.folder + "/m")
        // All of it comes into the device's own cache, and what is written since does not.
        try system("dd", "if=" + a.path, "of=/dev/null", "bs=1M")
        try stage.patch("m/f", at: 300_000, [1, 2, 3, 4])
        try system("sync", "-f", stage.folder + "/m")
        usleep(500_000)
        try system("dd", "if=" + a.path, "of=" + b.path, "bs=1M", "conv=fsync")
        let found = try stage.resync(["verify", a.path, b.path, "--settle", "0"]).run()
        #expect(found.status == 1, "\(found.report)")
        let manifest = try stage.resync(["scan", a.path, "-o", "m.of"]).run()
        #expect(manifest.status == 0 || manifest.status == 2, "\(manifest.report)")
        let held = try stage.resync(["verify", b.path, stage.folder + "/m.of"]).run()
        #expect(held.status == 1, "\(held.report)")
    }

    /// What a comparison of a part found, named by its paths, is known of the whole.
    @Test func whatAPartOfAStoreWasFoundWithCounts() throws {
        guard let mount = try LoopMount(.ext4) else { return }
        let stage = try Stage(below: mount.point)
        try stage.makeFolder("a/sub")
        let content = noise(70_000)
        try stage.write("a/sub/f", content)
        try stage.write("a/g", "other")
        try stage.copy()
        usleep(2_200_000)
        #expect(try stage.verify("--keep").status == 0)
        var wrong = content
        wrong[5] ^= 1
        // The first of both copies: it does not matter which.
        try #require(
            try mount.replace(Array(content.prefix(4096)), with: Array(wrong.prefix(4096))))
        let part = try stage.resync(["verify", stage.a + "/sub", stage.b + "/sub", "--settle", "0"])
            .run()
        #expect(part.status == 1, "\(part.report)")
        let found = try stage.verify("--assurance", "cached")
        #expect(found.status == 1 && found.text.contains("sub/f"), "\(found.report)")
        // Until the part was found equal.
        try #require(
            try mount.replace(Array(wrong.prefix(4096)), with: Array(content.prefix(4096))))
        let again = try stage.resync(["verify", stage.a + "/sub", stage.b + "/sub"]).run()
        #expect(again.status == 0, "\(again.report)")
        let all = try stage.verify("--assurance", "cached")
        #expect(all.status == 0, "\(all.report)")
        // What an earlier user of the loop device's name left in the kernel's log is trouble.
        let isInTrouble = all.errorText.contains("trouble")
        #expect(isInTrouble || all.text.contains("0 B read"), "\(all.report)")
    }

    /// A device node has no content but its number.
    @Test func theNumberOfADeviceIsItsContent() throws {
        guard isRoot else { return skip("device nodes need root") }
        let stage = try Stage()
        try stage.makeFolder("b")
        try system("mknod", stage.a + "/n", "c", "1", "3")
        try system("mknod", stage.b + "/n", "c", "1", "5")
        try system("touch", "-d", "@1500000000", stage.a + "/n", stage.b + "/n", stage.a, stage.b)
        let found = try stage.verify()
        #expect(found.status == 1 && found.text.contains("device"), "\(found.report)")
        #expect(try stage.verify("--without", "content").status == 0)
    }

    /// The same, of a part that a module was released with.
    @Test func whatAPartOfAModuleWasFoundWithShutsItsGate() throws {
        let scene = try GateScene(modules: "- {name: db, pair: mail, paths: [db]}")
        #expect(try scene.verify("db").status == 0)
        #expect(try scene.gate("db") == 0)
        try scene.folder.write("a/db/f1", "other")
        let found = try scene.run("verify", scene.folder.a + "/db", scene.b + "/db")
        #expect(
            found.status == 1 && found.text.contains("module db: NOT RELEASED"), "\(found.report)")
        #expect(try scene.gate("db") == 1)
    }
}

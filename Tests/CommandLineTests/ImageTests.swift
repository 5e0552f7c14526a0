import Foundation
import Testing

/// Image files and block devices.
@Suite(.serialized) struct ImageTests {
    /// Two images of one file system.
    private func stage() throws -> Stage? {
        let stage = try Stage()
        try stage.write("a/content", noise(3 << 20))
        try stage.write("image-a", [])
        guard try system("truncate", "-s", "24M", stage.folder + "/image-a") != nil,
            try system("mkfs.ext4", "-q", "-F", "-d", stage.a, stage.folder + "/image-a") != nil
        else {
            skip("mkfs.ext4 is not installed")
            return nil
        }
        try system("cp", "--sparse=always", stage.folder + "/image-a", stage.folder + "/image-b")
        return stage
    }

    private func verify(_ stage: Stage, _ a: String, _ b: String, _ more: [String] = []) throws
        -> Finished
    {
        try stage.resync(["verify", a, b, "--settle", "0"] + more).run()
    }

    /// What takes hours tells how far it is, and what it has read where it is stopped.
    @Test func aLargeImageTellsHowFarItIs() throws {
        let stage = try Stage()
        try stage.remove("a")
        try stage.write("a", noise(48 << 20))
        try stage.copy()
        let verify = stage.verifying([
            "--read-limit", "8MiB/s", "--max-duration", "4s", "--progress", "json", "--workers",
            "1",
        ])
        let found = try verify.run()
        #expect(found.status == 10, "\(found.report)")
        let told = try objects(
            found.errorText.split(separator: "\n").map(String.init).filter {
                $0.hasPrefix("{")
            })
        #expect(told.contains { $0["bytes_read"] as? Int ?? 0 > 8 << 20 }, "\(found.report)")
        #expect(found.text.contains("at least 1 not reached"), "\(found.report)")
        #expect(!found.text.contains(" 0 B read"), "\(found.report)")
        let whole = try stage.verify("--progress", "json")
        #expect(whole.text.contains("; 96.0 MiB read"), "\(whole.report)")
        let scan = try stage.resync(
            [
                "scan", stage.a, "-o", "m", "--progress", "json", "--workers", "1",
                "--read-limit", "8MiB/s",
            ]
        ).run()
        #expect(scan.status == 0, "\(scan.report)")
        let scanned = try objects(
            scan.errorText.split(separator: "\n").map(String.init).filter {
                $0.hasPrefix("{")
            }
        ).compactMap { $0["bytes_read"] as? Int }
        #expect(scanned.contains { $0 >= 8 << 20 && $0 < 48 << 20 }, "\(scan.report)")
        #expect(scanned.allSatisfy { $0 <= 48 << 20 }, "\(scan.report)")
    }

    /// Night by night, from where it was left; what was found before is found with the rest.
    @Test(arguments: ["1", "4"]) func aLargeImageIsGoneOnWith(_ workers: String) throws {
        let stage = try Stage()
        try stage.remove("a")
        // The last block is not whole.
        try stage.write("a", noise((40 << 20) + 5000))
        try stage.copy()
        for place in [3 << 20, (3 << 20) + 5, 30 << 20, 40 << 20] {
            try stage.patch("b", at: place, [1, 2, 3])
        }
        let whole = try stage.verify()
        #expect(whole.status == 1, "\(whole.report)")
        var found = try stage.verify(
            "--read-limit", "8MiB/s", "--max-duration", "2s", "--workers", workers)
        var (nights, known) = (1, false)
        while [3, 10].contains(found.status), nights < 12 {
            // Seen once by then, as soon as it was come to.
            known = known || found.text.contains("~ ")
            found = try stage.resync(["runs", "resume", "last"]).run()
            nights += 1
        }
        #expect(nights > 2 && known, "\(found.report)")
        #expect(found.status == 1 && found.lines.first == whole.lines.first, "\(found.report)")
        // All of it once, what was claimed at each end twice, and what differs looked at again.
        let words = found.text.split(separator: "; ").last?.split(separator: " ") ?? []
        let read = try #require(words.first.flatMap { Double($0) })
        #expect(words.dropFirst().first == "MiB" && read > 80 && read < 150, "\(found.report)")
    }

    /// What was compared before counts only while nobody has written to it.
    @Test func anImageThatWasWrittenToBeginsAnew() throws {
        let stage = try Stage()
        try stage.remove("a")
        try stage.write("a", noise(40 << 20))
        try stage.copy()
        let limits = ["--read-limit", "8MiB/s", "--max-duration", "2s", "--settle", "0"]
        let first = try stage.verifying(limits).run()
        #expect(first.status == 10, "\(first.report)")
        try stage.patch("b", at: 5, [1, 2, 3])
        var found = try stage.resync(["runs", "resume", "last"]).run()
        for _ in 0..<12 where [3, 10].contains(found.status) {
            found = try stage.resync(["runs", "resume", "last"]).run()
        }
        #expect(found.status == 1, "\(found.report)")
        #expect(found.text.contains("content: bytes "), "\(found.report)")
    }

    /// As devices are that are not attached: there is nothing that could agree.
    @Test(arguments: ["hash", "media"])
    func imagesWithoutBytesAreNotInSync(_ level: String) throws {
        let stage = try Stage()
        for name in ["i", "j"] { try stage.write(name, "") }
        let paths = [stage.folder + "/i", stage.folder + "/j"]
        let found = try stage.resync(["verify", "--assurance", level] + paths).run()
        #expect(found.status == 2, "\(found.report)")
        #expect(found.errorText.contains("have no bytes"), "\(found.report)")
        try stage.write("j", "data")
        #expect(try stage.resync(["verify", "--settle", "0s"] + paths).run().status == 1)
    }

    @Test func imagesAreComparedAsFiles() throws {
        guard let stage = try stage() else { return }
        let (a, b) = (stage.folder + "/image-a", stage.folder + "/image-b")
        let same = try verify(stage, a, b)
        #expect(same.status == 0, "\(same.report)")
        #expect(same.text.contains("24.0 MiB at hash"))
        let offset = 9 << 20
        try stage.patch("image-b", at: offset + 77, [stage.bytes("image-b")[offset + 77] ^ 1])
        let found = try verify(stage, a, b, ["--json"])
        #expect(found.status == 1, "\(found.report)")
        let difference = try objects(found.lines).first { $0["type"] as? String == "diff" }
        let extent = (difference?["extents"] as? [[String: Any]])?.first
        #expect(extent?["offset"] as? Int == offset, "\(found.report)")
        #expect(extent?["length"] as? Int == 4096)
    }

    /// Twice the size is more than a number holds.
    /// Not even where only metadata is asked for, of which an image has none.
    @Test func imagesAreNeverTheSameWithoutTheirBytes() throws {
        let stage = try Stage()
        try stage.write("image-a", noise(300_000, seed: 1))
        try stage.write("image-b", noise(300_000, seed: 2))
        let (a, b) = (stage.folder + "/image-a", stage.folder + "/image-b")
        for words in [
            ["--assurance", "metadata"], ["--assurance", "size"], ["--without", "content"],
        ] {
            let found = try stage.resync(["verify", a, b] + words).run()
            #expect(found.status == 64, "\(found.report)")
            #expect(found.errorText.contains("compared by its bytes"), "\(found.report)")
            #expect(found.output.isEmpty, "\(found.report)")
        }
    }

    @Test func imagesOfExbibytesAreCompared() throws {
        let stage = try Stage(below: "/dev/shm")
        let (a, b) = (stage.folder + "/image-a", stage.folder + "/image-b")
        guard try system("truncate", "-s", "5E", a, b) != nil else {
            return skip("no file of 5 EiB can be made here")
        }
        let same = try verify(stage, a, b)
        #expect(same.status == 0, "\(same.report)")
        #expect(same.text.contains("5.00 EiB at hash"), "\(same.report)")
    }

    @Test func imagesOfDifferentSizeDiffer() throws {
        guard let stage = try stage() else { return }
        try system("truncate", "-s", "20M", stage.folder + "/image-b")
        let found = try verify(stage, stage.folder + "/image-a", stage.folder + "/image-b")
        #expect(found.status == 1, "\(found.report)")
        #expect(found.text.contains("size 25165824 on A, 20971520 on B"), "\(found.report)")
    }

    @Test func blockDevicesAreCompared() throws {
        guard let stage = try stage() else { return }
        let paths = (a: stage.folder + "/image-a", b: stage.folder + "/image-b")
        guard let a = try Loop(paths.a) else { return }
        let same: Finished
        do {
            guard let b = try Loop(paths.b) else { return }
            same = try verify(stage, a.device, b.device)
            let media = try verify(stage, a.device, b.device, ["--assurance", "media"])
            #expect(media.status == 0, "\(media.report)")
            #expect(media.text.contains("24.0 MiB at media"), "\(media.report)")
            #expect(try verify(stage, a.device, a.device).status == 64)
        }
        #expect(same.status == 0, "\(same.report)")
        try stage.patch("image-b", at: 5_000_000, [1, 2, 3, 4])
        guard let b = try Loop(paths.b) else { return }
        let found = try verify(stage, a.device, b.device)
        #expect(found.status == 1, "\(found.report)")
        #expect(found.text.contains("bytes 4096 at 4997120"), "\(found.report)")
        let mixed = try verify(stage, a.device, paths.b)
        #expect(mixed.status == 1, "a device and an image: \(mixed.report)")
    }

    /// Written between the passes, which no stat tells: only where nobody uses the device the
    /// hardware is to blame.
    @Test(arguments: ["alone", "mounted", "open"])
    func aDeviceInUseIsChangingAndNotFlapping(_ use: String) throws {
        guard let stage = try stage() else { return }
        let offset = 20 << 20
        try stage.patch("image-b", at: offset, [1, 2, 3, 4])
        guard let a = try LoopDevice(stage.folder + "/image-a"),
            let b = try Loop(stage.folder + "/image-b", mounting: use == "mounted" ? stage : nil)
        else { return }
        var holder: Running?
        if use == "open" {
            holder = try Command("/bin/sh", ["-c", "exec 3<>\(b.device); exec sleep 100"]).start()
            usleep(300_000)
        }
        defer { holder?.signal(SIGKILL) }
        let running = try stage.resync(
            ["verify", a.path, b.device, "--settle", "2s", "--progress", "json"]
        ).start()
        for _ in 0..<1000 where !running.errorsSoFar.contains("settling") { usleep(5000) }
        try #require(
            try system(
                "dd", "if=/dev/urandom", "of=\(b.device)", "bs=4096", "count=1",
                "seek=\(offset / 4096)", "conv=notrunc,fsync") != nil)
        let found = try running.wait()
        let isFlapping = found.text.contains("FLAPPING")
        #expect(isFlapping == (use == "alone"), "\(found.report)")
        #expect(found.status == (use == "alone" ? 2 : 3), "\(found.report)")
        #expect(found.text.hasPrefix("~ .  content"), "\(found.report)")
        if use != "alone" {
            #expect(found.text.contains("changed while it was read"), "\(found.report)")
        }
    }

    @Test func mountedStoresAndTroubleOnOne() throws {
        guard let stage = try stage() else { return }
        guard let a = try Loop(stage.folder + "/image-a", mounting: stage),
            let b = try Loop(stage.folder + "/image-b", mounting: stage)
        else { return }
        // The kernel log may hold trouble of an earlier device of the same name.
        let same = try verify(stage, a.mount, b.mount)
        #expect(same.status == 0, "\(same.report)")
        #expect(!same.errorText.contains("errors counted"), "\(same.report)")
        let name = String(b.device.split(separator: "/").last ?? "")
        let trigger = "/sys/fs/ext4/\(name)/trigger_fs_error"
        guard try system("sh", "-c", "echo resync test > \(trigger)") != nil else {
            return skip("this kernel cannot be asked for a file system error")
        }
        let troubled = try verify(stage, a.mount, b.mount)
        #expect(troubled.status == 0, "\(troubled.report)")
        #expect(troubled.errorText.contains("trouble on B"), "\(troubled.report)")
        #expect(troubled.errorText.contains("errors counted since the last fsck: 1"))
        #expect(troubled.errorText.contains("past the page cache"))
        #expect(troubled.text.contains("3.00 MiB at media"), "\(troubled.report)")
        let json = try objects(verify(stage, a.mount, b.mount, ["--json"]).lines)
        #expect(json.first?["assurance"] as? String == "media")
        #expect((json.first?["trouble"] as? [String])?.isEmpty == false)
        let asked = try verify(stage, a.mount, b.mount, ["--assurance", "hash"])
        #expect(asked.text.contains("3.00 MiB at hash"), "\(asked.report)")
    }

    /// What lies on a mount inside a store is not passed over in silence.
    @Test func mountInsideIsNotVerified() throws {
        guard isRoot else { return skip("only root can mount") }
        let stage = try Stage()
        try stage.makeFolder("a/inside")
        try stage.write("a/file", "x")
        try stage.copy()
        guard try system("mount", "-t", "tmpfs", "tmpfs", stage.b + "/inside") != nil else {
            return skip("cannot mount a tmpfs here")
        }
        defer { _ = try? system("umount", "-l", stage.b + "/inside") }
        let found = try stage.verify()
        #expect(found.status == 2, "\(found.report)")
        #expect(found.text.contains("? inside  another file system is mounted here"))
        #expect(try stage.verify("--exclude", "/inside").status == 0)
        let media = try stage.resync(
            ["verify", stage.a, stage.b + "/inside", "--assurance", "media"]
        ).run()
        #expect(media.status != 0)
    }
}

/// A loop device on an image, mounted perhaps; gone when released.
final class Loop {
    let device: String
    let mount: String

    /// Nil, said aloud, where there are none.
    init?(_ image: String, mounting stage: Stage? = nil) throws {
        guard isRoot, let made = try system("losetup", "--find", "--show", image) else {
            skip("loop devices cannot be made here")
            return nil
        }
        device = made.trimmingCharacters(in: .whitespacesAndNewlines)
        guard let stage else {
            mount = ""
            return
        }
        mount = stage.folder + "/mount" + device.replacingOccurrences(of: "/", with: "-")
        try system("mkdir", mount)
        guard try system("mount", "-o", "errors=continue", device, mount) != nil else {
            skip("an image cannot be mounted here")
            return nil
        }
    }

    deinit {
        if !mount.isEmpty { _ = try? system("umount", "-l", mount) }
        _ = try? system("losetup", "--detach", device)
    }
}

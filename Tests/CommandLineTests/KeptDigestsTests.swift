import Foundation
import Testing

/// `--keep`, `--assurance cached`, `--since` and `--suspect`: what was kept is used where nothing
/// has moved, and nowhere else.
@Suite struct KeptDigestsTests {
    /// The last is large enough to be split over workers.
    private static let sizes = [1, 70_000, 3 << 20, 5 << 20]
    private static let total = sizes.reduce(0, +)

    /// Files that were left alone long enough for their digests to be kept.
    private func stage(settled: Bool = true) throws -> Stage {
        let stage = try Stage()
        try stage.makeFolder("a/sub")
        for (index, size) in Self.sizes.enumerated() {
            let folder = index % 2 == 0 ? "a" : "a/sub"
            try system(
                "sh", "-c", "head -c \(size) /dev/urandom >'\(stage.folder)/\(folder)/f\(index)'")
        }
        try stage.copy()
        if settled { usleep(2_200_000) }
        return stage
    }

    /// What a run read and at which level, from its summary.
    private struct Read: Equatable {
        var status: Int
        var bytes: Int
        var cached = 0
        var hash = 0
        var media = 0

        init(status: Int, bytes: Int, cached: Int = 0, hash: Int = 0, media: Int = 0) {
            (self.status, self.bytes, self.cached) = (status, bytes, cached)
            (self.hash, self.media) = (hash, media)
        }

        init(_ found: Finished) throws {
            let summary = try #require(try objects(found.lines).last, "\(found.report)")
            let levels = summary["bytes_by_assurance"] as? [String: Int] ?? [:]
            status = Int(found.status)
            bytes = summary["bytes_read"] as? Int ?? -1
            cached = levels["cached"] ?? 0
            hash = levels["hash"] ?? 0
            media = levels["media"] ?? 0
        }

        /// Both sides read whole, and nothing taken from what was kept.
        static let everything = Read(status: 0, bytes: 2 * total, hash: total)
        static let fromTheMedium = Read(status: 0, bytes: 2 * total, media: total)
        static let nothing = Read(status: 0, bytes: 0, cached: total)
    }

    private func read(_ stage: Stage, _ options: String...) throws -> Read {
        try Read(stage.verifying(options + ["--json"]).run())
    }

    private func cached(_ stage: Stage, _ more: String...) throws -> Read {
        try Read(stage.verifying(["--assurance", "cached", "--json"] + more).run())
    }

    @Test func whatHasNotChangedIsNotRead() throws {
        let stage = try stage()
        #expect(try cached(stage) == .everything, "nothing was kept yet")
        #expect(try read(stage, "--keep") == .everything)
        let lines = try objects(try stage.verify("--assurance", "cached", "--json").lines)
        #expect(lines.first?["assurance"] as? String == "cached")
        #expect(lines.first?["digest"] as? String == "sha256")
        #expect(try cached(stage) == .nothing)
        #expect(try read(stage) == .everything, "only on request")
        let text = try stage.verify("--assurance", "cached")
        #expect(text.text.contains("at cached"), "\(text.report)")
        #expect(text.lines.last == "IN SYNC")
    }

    /// What is a file on one side only is listed as of no kind.
    @Test func aFileBesideASymlinkIsReadForWhatIsKept() throws {
        for side in ["a/f", "b/f"] {
            let stage = try Stage()
            try stage.write("a/f", noise(70_000))
            try stage.write("a/g", noise(70_000))
            try stage.copy()
            try stage.remove(side)
            try system("ln", "-s", "g", "\(stage.folder)/\(side)")
            usleep(2_200_000)
            #expect(try stage.verify("--keep").status == 1)
            let again = try stage.verify("--keep", "--assurance", "cached")
            #expect(again.status == 1, "\(again.report)")
            #expect(again.text.contains("* f  type"), "\(again.report)")
            let last = try stage.verify("--assurance", "cached")
            #expect(last.text.contains("68.4 KiB at cached"), "\(last.report)")
        }
    }

    /// Each change keeps the size, so that content is compared on both sides.
    @Test(arguments: ["mtime", "ctime", "inode", "size"])
    func whatHasMovedIsRead(_ what: String) throws {
        let stage = try stage()
        #expect(try read(stage, "--keep") == .everything)
        var size = Self.sizes[1]
        for side in [stage.a, stage.b] {
            let file = "\(side)/sub/f1"
            switch what {
            case "mtime": try system("touch", "-d", "2001-02-03 04:05:06.789", file)
            case "ctime": try system("chmod", "640", file)
            case "inode":
                try system("cp", "-p", file, file + ".new")
                try system("mv", file + ".new", file)
                try system("touch", "-d", "@1500000000", side + "/sub")
            default:
                try system("sh", "-c", "printf x >>'\(file)' && touch -d @1500000000 '\(file)'")
            }
        }
        if what == "size" { size += 1 }
        let rest = Self.total - Self.sizes[1]
        #expect(try cached(stage) == Read(status: 0, bytes: 2 * size, cached: rest, hash: size))
    }

    @Test func aChangeUnderTheOldTimeIsSeen() throws {
        let stage = try stage()
        #expect(try read(stage, "--keep") == .everything)
        // Size and mtime are as they were; only the ctime tells.
        try stage.patch("b/f2", at: 2_000_000, [stage.bytes("b/f2")[2_000_000] ^ 1])
        let found = try stage.verify("--assurance", "cached")
        #expect(found.status == 1, "\(found.report)")
        #expect(found.lines.first == "* f2  content: bytes 4096 at 1998848 (bitflip)")
    }

    @Test func aKeptDifferenceStaysOne() throws {
        let stage = try stage()
        try stage.patch("b/f0", at: 0, [stage.bytes("b/f0")[0] ^ 1])
        usleep(2_200_000)
        #expect(try read(stage, "--keep").status == 1)
        let found = try stage.verify("--assurance", "cached")
        #expect(found.status == 1, "\(found.report)")
        #expect(found.text.contains("* f0  content"), "\(found.report)")
    }

    /// A digest taken less than two seconds after a change may hide another.
    @Test func racyEntriesAreReadAgain() throws {
        let stage = try stage(settled: false)
        #expect(try read(stage, "--keep").bytes == 2 * Self.total)
        usleep(2_200_000)
        #expect(try cached(stage) == .everything)
        #expect(try cached(stage, "--keep") == .everything)
        #expect(try cached(stage) == .nothing, "read again when it had settled, it is kept")
    }

    /// What is dated ahead was so long ago, by its ctime.
    @Test func timesToComeAreKept() throws {
        let stage = try stage(settled: false)
        for side in [stage.a, stage.b] {
            try system("touch", "-d", "2099-01-01", side + "/sub/f3")
        }
        usleep(2_200_000)
        #expect(try read(stage, "--keep") == .everything)
        #expect(try cached(stage) == .nothing)
        // Written to since, with that date put back.
        try stage.patch("b/sub/f3", at: 0, [1, 2, 3])
        try system("touch", "-d", "2099-01-01", stage.b + "/sub/f3")
        #expect(try cached(stage).status == 1)
    }

    // MARK: Manifests by name

    private func scan(_ stage: Stage, _ store: String, _ name: String, _ more: String...) throws {
        let found = try stage.resync(["scan", store, "-o", stage.folder + "/" + name] + more).run()
        #expect(found.status == 0, "\(found.report)")
    }

    @Test func namedManifestsStandForTheirStores() throws {
        let stage = try stage()
        try scan(stage, stage.a, "one")
        try scan(stage, stage.b, "two")
        let (one, two) = (stage.folder + "/one", stage.folder + "/two")
        #expect(try read(stage, "--since", one, "--since", two) == .nothing)
        // The store's identity selects the side, not the order.
        #expect(try read(stage, "--since", two, "--since", one) == .nothing)
        #expect(try read(stage, "--since", one) == .everything, "what was kept of one side alone")
        try stage.patch("b/f0", at: 0, [stage.bytes("b/f0")[0] ^ 1])
        #expect(try read(stage, "--since", one, "--since", two).status == 1)
    }

    @Test func manifestsThatDoNotFitAreRefused() throws {
        let stage = try stage()
        try stage.makeFolder("other")
        try stage.write("other/f0", "x")
        try scan(stage, stage.a, "one")
        try scan(stage, stage.folder + "/other", "other.m")
        try scan(stage, stage.a, "digest", "--digest", "sha512-256")
        try scan(stage, stage.a, "block", "--block-size", "64KiB")
        try scan(stage, stage.a, "bare", "--without", "content")
        try stage.write("junk", noise(5000))
        let path = { (name: String) in stage.folder + "/" + name }
        let refused: [([String], String)] = [
            (["--since", path("other.m")], "is of neither store"),
            (["--since", path("one"), "--since", path("one")], "is of neither store"),
            (["--since", path("digest")], "its digests are sha512-256, not sha256"),
            (["--since", path("one"), "--digest", "sha512-256"], "are sha256, not sha512-256"),
            (["--since", path("block")], "its blocks have 65536 bytes, not 1048576"),
            (["--since", path("bare")], "no content digests"),
            (["--since", path("junk")], "junk"), (["--since", path("none")], "none"),
        ]
        for (options, reason) in refused {
            let found = try stage.verifying(options).run()
            #expect(found.status == 2, "\(options): \(found.report)")
            #expect(found.errorText.contains(reason), "\(options): \(found.report)")
            #expect(found.output.isEmpty, "\(options): \(found.report)")
        }
        let gmac = try stage.verify("--since", path("one"), "--digest", "gmac")
        #expect(gmac.status == 64, "\(gmac.report)")
    }

    @Test func whatWasKeptOtherwiseIsSaidAndReadAgain() throws {
        let stage = try stage()
        #expect(try read(stage, "--keep") == .everything)
        let other = try stage.verify("--assurance", "cached", "--digest", "sha512-256", "--json")
        #expect(try Read(other) == .everything)
        #expect(other.errorText.contains("what was kept of A does not count"), "\(other.report)")
        #expect(try cached(stage, "--block-size", "64KiB") == .everything)
        #expect(try cached(stage) == .nothing)
    }

    @Test func damagedDigestsAreNotUsed() throws {
        let stage = try stage()
        #expect(try read(stage, "--keep") == .everything)
        let list = try #require(try system("find", stage.state + "/manifests", "-type", "f"))
        let files = list.split(separator: "\n").map { String($0) }
        #expect(files.count == 2)
        for file in files {
            let name = String(file.dropFirst(stage.folder.count + 1))
            let whole = stage.bytes(name)
            for place in stride(from: 9, to: whole.count, by: max(1, whole.count / 12)) {
                var damaged = whole
                damaged[place] ^= 0x20
                try stage.write(name, damaged)
                let found = try stage.verify("--assurance", "cached")
                #expect(found.status == 2, "byte \(place): \(found.report)")
                #expect(!found.text.contains("IN SYNC"), "byte \(place): \(found.report)")
            }
            try stage.write(name, Array(whole.dropLast(30)))
            #expect(try stage.verify("--assurance", "cached").status == 2)
            try stage.write(name, whole)
        }
        #expect(try cached(stage) == .nothing)
    }

    // MARK: Doubtful times

    @Test func whatWasKeptBeforeTheEndOfASuspectWindowDoesNotCount() throws {
        let stage = try stage()
        #expect(try read(stage, "--keep", "--assurance", "media") == .fromTheMedium)
        let past = "2020-01-01 10:00..2020-01-01 12:00"
        #expect(try cached(stage, "--suspect", past) == .nothing)
        let open = "2020-01-01 10:00..2099-01-01 00:00Z"
        let found = try stage.verify("--assurance", "cached", "--suspect", open, "--json")
        #expect(try Read(found) == .fromTheMedium)
        for side in ["A", "B"] {
            #expect(
                found.errorText.contains(
                    "what was kept of \(side) does not count: "
                        + "it was begun before the end of the suspect window"), "\(found.report)")
        }
        try scan(stage, stage.a, "one", "--assurance", "media")
        try scan(stage, stage.b, "two", "--assurance", "media")
        let since = ["--since", stage.folder + "/one", "--since", stage.folder + "/two", "--json"]
        #expect(
            try Read(stage.verifying(since + ["--suspect", open]).run()) == .fromTheMedium)
        #expect(try Read(stage.verifying(since + ["--suspect", past]).run()) == .nothing)
    }

    @Test(arguments: ["cached", "media", nil]) func aWindowThatEndsBeforeItBeginsIsRefused(
        _ level: String?
    ) throws {
        let stage = try stage(settled: false)
        let window = "2020-01-02 10:00..2020-01-01 12:00"
        let words = ["--suspect", window] + (level.map { ["--assurance", $0] } ?? [])
        let found = try stage.verifying(words).run()
        #expect(found.status == 64 && found.output.isEmpty, "\(found.report)")
        #expect(
            found.errorText == "resync: '\(window)' ends before it begins\n", "\(found.report)")
    }

    /// After failed write-back the cache looks right while the disk is stale.
    @Test func afterDoubtfulTimesOnlyWhatCameFromTheMediumCounts() throws {
        let stage = try stage()
        #expect(try read(stage, "--keep") == .everything)
        let past = "2020-01-01 10:00..2020-01-01 12:00"
        let found = try stage.verify("--assurance", "cached", "--suspect", past, "--json")
        #expect(try Read(found) == .fromTheMedium)
        #expect(
            found.errorText.contains(
                "it was not read from the medium since the end of the suspect window"),
            "\(found.report)")
        // What is read then is read there, and counts the next time.
        #expect(try cached(stage, "--suspect", past, "--keep") == .fromTheMedium)
        #expect(try cached(stage, "--suspect", past) == .nothing)
    }

    /// Keeping what was taken over does not make it younger.
    @Test func digestsThatWereTakenOverAreAsOldAsTheyWere() throws {
        let stage = try stage()
        #expect(try read(stage, "--keep") == .everything)
        usleep(1_100_000)
        let now = try #require(try system("date", "-u", "+%Y-%m-%d %H:%M:%S"))
        let end = now.trimmingCharacters(in: .whitespacesAndNewlines) + "Z"
        #expect(try cached(stage, "--keep") == .nothing)
        #expect(try cached(stage) == .nothing)
        let window = "2020-01-01 10:00..\(end)"
        #expect(try cached(stage, "--suspect", window) == .fromTheMedium)
        #expect(try cached(stage, "--suspect", window, "--keep") == .fromTheMedium)
        #expect(try cached(stage, "--suspect", window) == .nothing, "read since, they count")
    }

    /// A file system that counts errors may have lost writes: what was read before proves nothing.
    @Test func troubleOnAStoreVoidsWhatWasKeptOfIt() throws {
        let stage = try Stage()
        try stage.write("a/file", noise(100_000))
        for name in ["a", "b"] {
            let image = stage.folder + "/image-" + name
            guard try system("truncate", "-s", "16M", image) != nil,
                try system("mkfs.ext4", "-q", "-F", "-d", stage.a, image) != nil
            else { return skip("mkfs.ext4 is not installed") }
        }
        guard let a = try Loop(stage.folder + "/image-a", mounting: stage),
            let b = try Loop(stage.folder + "/image-b", mounting: stage)
        else { return }
        usleep(2_200_000)
        let name = b.device.split(separator: "/").last ?? ""
        func verify(_ options: String...) throws -> Finished {
            try stage.resync(["verify", a.mount, b.mount, "--settle", "0", "--json"] + options)
                .run()
        }
        #expect(try verify("--keep", "--assurance", "hash").status == 0)
        let calm = try verify("--assurance", "cached")
        // The kernel log may hold trouble of an earlier device of the same name.
        if !calm.errorText.contains("does not count") {
            #expect(try Read(calm) == Read(status: 0, bytes: 0, cached: 100_000))
        }
        let trigger = "/sys/fs/ext4/\(name)/trigger_fs_error"
        guard try system("sh", "-c", "echo resync test > \(trigger)") != nil else {
            return skip("this kernel cannot be asked for a file system error")
        }
        let troubled = try verify("--assurance", "cached")
        #expect(try Read(troubled) == Read(status: 0, bytes: 200_000, media: 100_000))
        #expect(
            troubled.errorText.contains(
                "what was kept of B does not count: there is trouble on it"), "\(troubled.report)")
    }
}

import Glibc
import ResyncCore
import ResyncStorage
import TestSupport
import Testing

/// What a power loss leaves of the changes a store is changed by.
@Suite struct DiskChangesDurabilityTests {
    private func paths(_ disk: SimulatedDisk) -> [String] { disk.paths.map { escaped($0) } }

    private func text(_ disk: SimulatedDisk, _ path: String) -> String {
        disk.exists(path) ? escaped(disk.content(path)) : "absent"
    }

    @Test func anExchangeIsOneChange() throws {
        for order in NameOrder.allCases {
            let disk = SimulatedDisk()
            disk.addFile("/a/x", "old")
            disk.addFile("/b/y", "new")
            disk.addDirectory("/b/z")
            let (a, b) = (try disk.open("/a"), try disk.open("/b"))
            try disk.rename("x", in: a, to: "y", in: b, .exchange)
            #expect(disk.unsyncedChanges == 1)
            var seen: Set<String> = []
            disk.forEachCrash(random: 30, orders: [order]) { _, after in
                seen.insert("\(text(after, "/a/x")) \(text(after, "/b/y"))")
            }
            #expect(seen == ["old new", "new old"])
            // One directory takes the other along.
            try disk.sync(a)
            #expect(text(disk.crash(keeping: .dropAll, order: order), "/b/y") == "old")
            // A directory takes the place of a file, and its own content with it.
            try disk.makeDirectory("z/deep", in: b, mode: 0o700)
            try disk.rename("z", in: b, to: "x", in: a, .exchange)
            try disk.sync(b)
            let after = disk.crash(keeping: .dropAll, order: order)
            #expect(after.peek("/a/x").type == .directory)
            #expect(after.peek("/b/z").type == .file)
            #expect(after.peek("/a/x").links == (after.exists("/a/x/deep") ? 3 : 2))
            #expect(after.peek("/a").links == 3)
        }
    }

    @Test func anExchangeWithoutWhatItStoodOn() throws {
        let disk = SimulatedDisk()
        disk.addFile("/d/x", "old")
        disk.addDirectory("/q")
        let (d, q) = (try disk.open("/d"), try disk.open("/q"))
        let file = try disk.open("/d/tmp", [.writeOnly, .create])
        try disk.put(file, 0, "new")
        try disk.sync(file)
        try disk.rename("tmp", in: d, to: "x", in: d, .exchange)
        try disk.rename("tmp", in: d, to: "1", in: q, .keep)
        // The new name lost: there was nothing to exchange, and nothing to move.
        #expect(paths(disk.crash(keeping: .dropOnly(0))) == ["/d", "/d/x", "/q"])
        // The exchange lost: what lies under the temporary name is the new file.
        let swapped = disk.crash(keeping: .dropOnly(1))
        #expect(text(swapped, "/d/x") == "old")
        #expect(text(swapped, "/q/1") == "new")
        for order in [NameOrder.ordered, .orderedInDirectory] {
            let after = disk.crash(keeping: .dropOnly(1), order: order)
            #expect(paths(after) == ["/d", "/d/tmp", "/d/x", "/q"])
        }
        // Syncing where it went is enough for all three.
        try disk.sync(q)
        let after = disk.crash(keeping: .dropAll)
        #expect(paths(after) == ["/d", "/d/x", "/q", "/q/1"])
        #expect(text(after, "/d/x") == "new")
        #expect(text(after, "/q/1") == "old")
    }

    @Test func directoriesDoNotEndUpInThemselves() throws {
        let disk = SimulatedDisk()
        disk.addDirectory("/a/b")
        disk.addDirectory("/c")
        let root = try disk.open("/")
        try disk.rename("a/b", in: root, to: "b", in: root, .keep)
        try disk.rename("c", in: root, to: "b/c", in: root, .keep)
        try disk.rename("a", in: root, to: "b/c", in: root, .exchange)
        // With the first lost, b is still in a: c goes there, a cannot.
        let after = disk.crash(keeping: .dropOnly(0))
        #expect(paths(after) == ["/a", "/a/b", "/a/b/c"])
        #expect(paths(disk.crash(keeping: .keepAll)) == ["/a", "/b", "/b/c"])
    }

    @Test func aMoveOverASymlinkStays() throws {
        let disk = SimulatedDisk()
        disk.addFile("/d/new", "new")
        disk.addSymlink("/d/x", to: "nowhere")
        let directory = try disk.open("/d")
        try disk.rename("new", in: directory, to: "x", in: directory, .replace)
        try disk.sync(directory)
        let after = disk.crash(keeping: .dropAll)
        #expect(paths(after) == ["/d", "/d/x"])
        #expect(text(after, "/d/x") == "new")
    }

    @Test func aLinkKeepsItsInode() throws {
        let disk = SimulatedDisk()
        disk.addFile("/a/x", "old")
        disk.addDirectory("/b")
        let (a, b) = (try disk.open("/a"), try disk.open("/b"))
        try disk.link("x", in: a, to: "y", in: b)
        try disk.remove("x", in: a, isDirectory: false)
        #expect(paths(disk.crash(keeping: .dropAll)) == ["/a", "/a/x", "/b"])
        #expect(paths(disk.crash(keeping: .keepOnly(0))) == ["/a", "/a/x", "/b", "/b/y"])
        #expect(disk.crash(keeping: .keepOnly(0)).peek("/b/y").links == 2)
        #expect(paths(disk.crash(keeping: .keepOnly(1))) == ["/a", "/b"])
        try disk.sync(b)
        let after = disk.crash(keeping: .dropAll)
        #expect(paths(after) == ["/a", "/a/x", "/b", "/b/y"])
        #expect(after.tree().entries[Array("b/y".utf8)]?.linkGroup == Array("a/x".utf8))
    }

    @Test func whatWasSetIsKeptOrLostByItself() throws {
        let disk = SimulatedDisk()
        disk.addFile("/x", "old", Ownership(mtime: Timestamp(seconds: 1, nanoseconds: 0)))
        let file = try disk.open("/x", .readWrite)
        let name = Array("user.x".utf8)
        try disk.setMode(0o600, of: nil, file)
        try disk.setOwner(uid: 7, gid: 8, of: nil, file)
        try disk.setTimes(modified: Timestamp(seconds: -5, nanoseconds: 9), of: nil, file)
        try disk.setAttribute(name, to: [1], of: nil, file)
        #expect(disk.unsyncedChanges == 4)
        func state(_ disk: SimulatedDisk) -> String {
            let stat = disk.peek("/x")
            return "\(String(stat.mode, radix: 8)) \(stat.uid) \(stat.gid) \(stat.mtime.seconds) "
                + "\(disk.attributes("/x").count)"
        }
        #expect(state(disk.crash(keeping: .keepAll)) == "600 7 8 -5 1")
        #expect(state(disk.crash(keeping: .dropAll)) == "644 0 0 1 0")
        #expect(state(disk.crash(keeping: .dropOnly(1))) == "600 0 0 -5 1")
        #expect(state(disk.crash(keeping: .keepOnly(2))) == "644 0 0 -5 0")
        #expect(state(disk.crash(keeping: .keepOnly(3))) == "644 0 0 1 1")
        var seen: Set<String> = []
        disk.forEachCrash(random: 500) { seen.insert(state($1)) }
        #expect(seen.count == 16)
        try disk.syncData(file)
        #expect(state(disk.crash(keeping: .dropAll)) == "644 0 0 1 0")
        try disk.sync(file)
        #expect(state(disk.crash(keeping: .dropAll)) == "600 7 8 -5 1")
        try disk.removeAttribute(name, of: "x", try disk.open("/"))
        #expect(state(disk.crash(keeping: .dropAll)) == "600 7 8 -5 1")
        #expect(state(disk.crash(keeping: .keepAll)) == "600 7 8 -5 0")
    }

    @Test func dataCanBeSyncedAlone() throws {
        let disk = SimulatedDisk()
        disk.addFile("/x", "old", Ownership(mtime: Timestamp(seconds: 1, nanoseconds: 0)))
        let file = try disk.open("/x", .readWrite)
        try disk.put(file, 0, "longer")
        try disk.syncData(file)
        let after = disk.crash(keeping: .dropAll)
        #expect(text(after, "/x") == "longer")
        #expect(after.peek("/x").mtime.seconds == 1)
    }

    @Test func symlinksAndSpecialsGoWithTheirNames() throws {
        let disk = SimulatedDisk()
        disk.addDirectory("/d")
        let directory = try disk.open("/d")
        try disk.makeSymlink(Array("to".utf8), "tmp", in: directory)
        try disk.makeSpecial(
            "n", in: directory, .blockDevice, mode: 0o600,
            device: DeviceNumber(major: 8, minor: 1))
        try disk.setOwner(uid: 5, gid: 5, of: "tmp", directory)
        try disk.rename("tmp", in: directory, to: "s", in: directory, .keep)
        try disk.setOwner(uid: 6, gid: 6, of: "s", directory)
        #expect(paths(disk.crash(keeping: .dropAll)) == ["/d"])
        try disk.sync(directory)
        let after = disk.crash(keeping: .dropAll)
        #expect(paths(after) == ["/d", "/d/n", "/d/s"])
        #expect(after.target("/d/s") == Array("to".utf8))
        #expect(after.peek("/d/n").special == DeviceNumber(major: 8, minor: 1))
        // Set before the name was: kept with it. Set afterwards: not.
        #expect(after.peek("/d/s").uid == 5)
        try disk.sync(directory)
        #expect(disk.crash(keeping: .dropAll).peek("/d/s").uid == 5)
        try disk.syncFileSystem(directory)
        #expect(disk.crash(keeping: .dropAll).peek("/d/s").uid == 6)
    }

    @Test func aFileSystemIsSyncedAsAWhole() throws {
        let disk = SimulatedDisk()
        disk.addFile("/m/x", "old")
        disk.addFile("/y", "old")
        disk.setMount("/m", SimulatedMount(number: 1))
        let (m, root) = (try disk.open("/m"), try disk.open("/"))
        let (x, y) = (try disk.open("/m/x", .readWrite), try disk.open("/y", .readWrite))
        for file in [x, y] {
            try disk.put(file, 0, "new")
            try disk.setMode(0o600, of: nil, file)
        }
        try disk.makeSymlink([65], "s", in: m)
        try disk.makeSymlink([65], "s", in: root)
        try disk.syncFileSystem(m)
        let after = disk.crash(keeping: .dropAll)
        #expect(paths(after) == ["/m", "/m/s", "/m/x", "/y"])
        #expect(text(after, "/m/x") == "new")
        #expect(after.peek("/m/x").mode == 0o600)
        #expect(text(after, "/y") == "old")
        #expect(after.peek("/y").mode == 0o644)
    }

    @Test func aFailedSyncOfAFileSystemLosesAllOfIt() throws {
        let disk = SimulatedDisk()
        disk.addFile("/x", "old")
        let (root, file) = (try disk.open("/"), try disk.open("/x", .readWrite))
        let other = try disk.open("/x", .readWrite)
        try disk.put(file, 0, "new")
        try disk.makeSymlink([65], "s", in: root)
        disk.inject(Fault(.fail(EIO), on: .syncfs))
        #expect(throws: DiskError(.syncfs, EIO)) { try disk.syncFileSystem(root) }
        try disk.syncFileSystem(root)
        let after = disk.crash(keeping: .dropAll)
        #expect(text(after, "/x") == "old")
        #expect(!after.exists("/s"))
        // Who writes hears of it by his own sync, and of any file's failure by that of the whole.
        #expect(throws: DiskError(.fsync, EIO)) { try disk.sync(file) }
        try disk.put(file, 0, "NEW")
        disk.inject(Fault(.fail(ENOSPC), on: .fdatasync))
        #expect(throws: DiskError(.fdatasync, ENOSPC)) { try disk.syncData(file) }
        try disk.syncData(file)
        #expect(text(disk.crash(keeping: .keepAll), "/x") == "old")
        #expect(throws: DiskError(.syncfs, ENOSPC)) { try disk.syncFileSystem(other) }
        try disk.syncFileSystem(other)
    }

    @Test func spaceChangesAreChangesOfTheFile() throws {
        let disk = SimulatedDisk()
        disk.addFile("/x", [UInt8](repeating: 1, count: 16_384))
        let file = try disk.open("/x", .readWrite)
        try disk.punchHole(file, from: 4096, count: 8192)
        try disk.allocate(file, from: 20_000, count: 10)
        let old = [UInt8](repeating: 1, count: 16_384)
        var new = old + [UInt8](repeating: 0, count: 20_010 - 16_384)
        for index in 4096..<12_288 { new[index] = 0 }
        #expect(disk.crash(keeping: .dropAll).content("/x") == old)
        #expect(disk.crash(keeping: .keepAll).content("/x") == new)
        #expect(disk.crash(keeping: .keepOnly(1)).content("/x").count == 20_010)
        var holes: Set<[Bool]> = []
        for seed in 0..<60 as Range<UInt64> {
            let content = disk.crash(keeping: .random, seed: seed).content("/x")
            holes.insert([4096, 8191, 8192, 12_287].map { content[$0] == 0 })
        }
        #expect(holes.count == 4)
        #expect(holes.allSatisfy { $0[0] == $0[1] && $0[2] == $0[3] })
        try disk.syncData(file)
        #expect(disk.crash(keeping: .dropAll).content("/x") == new)
    }

    @Test func directWritesAreVolatileToo() throws {
        let disk = SimulatedDisk()
        disk.addFile("/x", [UInt8](repeating: 1, count: 4096))
        let file = try disk.open("/x", .readWrite)
        _ = try disk.read(file, 0, 4096)
        try disk.setDirect(file)
        #expect(throws: DiskError(.pwrite, EINVAL)) { try disk.put(file, 0, [2] as [UInt8]) }
        try disk.put(file, 512, [UInt8](repeating: 2, count: 512))
        #expect(try disk.cachedPages(file, in: 0..<4096) == 0)
        #expect(disk.mediumContent("/x")[512] == 2)
        #expect(disk.content("/x")[512] == 2)
        #expect(disk.crash(keeping: .dropAll).content("/x")[512] == 1)
        try disk.syncData(file)
        #expect(disk.crash(keeping: .dropAll).content("/x")[512] == 2)
    }
}

import Glibc
import ResyncCore
import ResyncStorage
import TestSupport
import Testing

/// The page cache, failed write-back and power loss.
@Suite struct SimulatedDiskDurabilityTests {
    private let page = 4096

    @Test func theCacheHidesWhatTheMediumLost() throws {
        let disk = SimulatedDisk()
        disk.addGenerated("/x", size: 3 * page, seed: 1)
        let right = generatedBytes(seed: 1, 0..<3 * page)
        let file = try disk.open("/x")
        let direct = try disk.open("/x", [.readOnly, .direct])
        _ = try disk.read(file, 0, page)
        _ = try disk.read(file, page, page, .passing)
        #expect(try disk.cachedPages(file, in: 0..<3 * page) == 1)
        disk.corruptMedium("/x", .flipBit(at: 10))
        disk.corruptMedium("/x", .zero(page..<2 * page))
        // The first page is cached, the second one was not kept.
        #expect(try disk.read(file, 0, page) == Array(right[..<page]))
        #expect(try disk.read(file, page, page).allSatisfy { $0 == 0 })
        #expect(try disk.read(direct, 0, page)[10] == right[10] ^ 1)
        try disk.dropCache(file)
        #expect(try disk.cachedPages(file, in: 0..<3 * page) == 0)
        #expect(try disk.read(file, 0, page)[10] == right[10] ^ 1)
    }

    @Test func directReadsAreOfferedRefusedOrPretended() throws {
        let disk = SimulatedDisk()
        disk.addGenerated("/x", size: page, seed: 1)
        let file = try disk.open("/x", [.readOnly, .direct])
        #expect(try disk.directAlignment(file) == DirectAlignment(memory: 4, offset: 512))
        #expect(throws: DiskError(.pread, EINVAL)) { try disk.read(file, 1, 512) }
        disk.changeMount(of: "/x") { $0.directReads = .pretended }
        #expect(try disk.directAlignment(file) == nil)
        _ = try disk.read(file, 1, 511)
        #expect(try disk.cachedPages(file, in: 0..<page) == 1)
        disk.changeMount(of: "/x") { $0.dropsCache = false }
        try disk.dropCache(file)
        #expect(try disk.cachedPages(file, in: 0..<page) == 1)
        disk.changeMount(of: "/x") { $0.directReads = .refused }
        #expect(throws: DiskError(.openat, EINVAL)) {
            try disk.open("/x", [.readOnly, .direct])
        }
    }

    @Test func aReadCanBeCorruptedInOneViewOnly() throws {
        let disk = SimulatedDisk()
        disk.addFile("/x", [UInt8](repeating: 7, count: 512))
        let file = try disk.open("/x")
        let direct = try disk.open("/x", [.readOnly, .direct])
        disk.inject(
            Fault(.corrupt(.replace(at: 1, [8, 9])), on: .pread, persistent: true) {
                $0.view == .cached
            })
        #expect(try disk.read(file, 0, 4) == [7, 8, 9, 7])
        #expect(try disk.read(file, 2, 2) == [9, 7])
        #expect(try Array(disk.read(direct, 0, 512)[..<4]) == [7, 7, 7, 7])
    }

    @Test func writesCanMissTheMedium() throws {
        let disk = SimulatedDisk()
        disk.addFile("/x", [UInt8](repeating: 7, count: 8))
        let file = try disk.open("/x", .readWrite)
        disk.inject(Fault(.lose, on: .pwrite))
        try disk.put(file, 0, [1] as [UInt8])
        disk.inject(Fault(.misdirect(by: 4), on: .pwrite))
        try disk.put(file, 1, [2] as [UInt8])
        disk.inject(Fault(.corrupt(.flipBit(at: 2)), on: .pwrite))
        try disk.put(file, 2, [2] as [UInt8])
        try disk.sync(file)
        #expect(disk.content("/x") == [1, 2, 2, 7, 7, 7, 7, 7])
        #expect(disk.durableContent("/x") == [7, 7, 3, 7, 7, 2, 7, 7])
        try disk.dropCache(file)
        #expect(disk.content("/x") == [7, 7, 3, 7, 7, 2, 7, 7])
    }

    @Test func aFailedSyncLosesWhatWasWritten() throws {
        let disk = SimulatedDisk()
        disk.addFile("/x", "old")
        let file = try disk.open("/x", .readWrite)
        let other = try disk.open("/x")
        try disk.put(file, 0, "new")
        disk.inject(Fault(.fail(EIO), on: .fsync))
        #expect(throws: DiskError(.fsync, EIO)) { try disk.sync(file) }
        // The lie: the next sync works, and the cache has the new bytes.
        try disk.sync(file)
        #expect(disk.content("/x") == Array("new".utf8))
        #expect(disk.crash(keeping: .keepAll).content("/x") == Array("old".utf8))
        #expect(throws: DiskError(.fsync, EIO)) { try disk.sync(other) }
        try disk.sync(other)
        try disk.dropCache(file)
        #expect(disk.content("/x") == Array("old".utf8))
    }

    @Test func aFailedWritebackIsReportedOnce() throws {
        let disk = SimulatedDisk()
        disk.addFile("/x", "old")
        let file = try disk.open("/x", .readWrite)
        try disk.put(file, 0, "new")
        disk.failWriteback("/x", ENOSPC)
        // Nobody heard of it yet, so that even a later descriptor does.
        let late = try disk.open("/x")
        #expect(throws: DiskError(.fsync, ENOSPC)) { try disk.sync(late) }
        try disk.sync(try disk.open("/x"))
        #expect(throws: DiskError(.fsync, ENOSPC)) { try disk.sync(file) }
        try disk.put(file, 0, "NEW")
        try disk.sync(file)
        #expect(disk.durableContent("/x") == Array("NEW".utf8))
    }

    @Test func aFailedSyncOfADirectoryIsNotMendedByTheNext() throws {
        let disk = SimulatedDisk()
        disk.addDirectory("/d")
        let directory = try disk.open("/d")
        try disk.makeDirectory("x", in: directory, mode: 0o700)
        disk.inject(Fault(.fail(EIO), on: .fsync))
        #expect(throws: DiskError(.fsync, EIO)) { try disk.sync(directory) }
        try disk.sync(directory)
        #expect(!disk.crash(keeping: .dropAll).exists("/d/x"))
        #expect(disk.crash(keeping: .keepAll).exists("/d/x"))
    }

    @Test func powerLossKeepsWhatWasSynced() throws {
        let disk = SimulatedDisk()
        disk.addFile("/x", "0123456789")
        let file = try disk.open("/x", .readWrite)
        try disk.put(file, 0, "synced")
        try disk.sync(file)
        try disk.put(file, 8, "abcd")
        try disk.truncate(file, to: 9)
        #expect(disk.unsyncedChanges == 2)
        func content(_ policy: CrashPolicy) -> String {
            escaped(disk.crash(keeping: policy).content("/x"))
        }
        #expect(content(.dropAll) == "synced6789")
        #expect(content(.keepAll) == "synced67a")
        #expect(content(.keepOnly(0)) == "synced67abcd")
        #expect(content(.dropOnly(0)) == "synced678")
        let after = disk.crash(keeping: .dropAll)
        #expect(after.openDescriptors == 0)
        #expect(after.callCount == 0)
        #expect(after.unsyncedChanges == 0)
        #expect(after.peek("/x").inode == disk.peek("/x").inode)
        #expect(after.now > disk.now)
        after.addFile("/y", "new")
        #expect(after.content("/x") == Array("synced6789".utf8))
    }

    @Test func writesAreTornBetweenSectors() throws {
        let disk = SimulatedDisk()
        disk.addFile("/x", [UInt8](repeating: 0, count: 4096))
        let file = try disk.open("/x", .readWrite)
        try disk.put(file, 0, [UInt8](repeating: 1, count: 8192))
        var patterns: Set<[UInt8]> = []
        for seed in 0..<100 as Range<UInt64> {
            let content = disk.crash(keeping: .random, seed: seed).content("/x")
            #expect(content == disk.crash(keeping: .random, seed: seed).content("/x"))
            for sector in stride(from: 0, to: content.count, by: 512) {
                #expect(Set(content[sector..<sector + 512]).count == 1)
            }
            patterns.insert(content)
        }
        #expect(patterns.count > 20)
        #expect(patterns.contains([UInt8](repeating: 0, count: 4096)))
        #expect(patterns.contains([UInt8](repeating: 1, count: 8192)))
    }

    @Test func namesNeedTheSyncOfTheirDirectory() throws {
        let disk = SimulatedDisk()
        disk.addDirectory("/a")
        disk.addDirectory("/b")
        let a = try disk.open("/a")
        let b = try disk.open("/b")
        let file = try disk.open("/a/x", [.readWrite, .create])
        try disk.put(file, 0, "text")
        try disk.sync(file)
        #expect(!disk.crash(keeping: .dropAll).exists("/a/x"))
        try disk.rename("x", in: a, to: "y", in: b, .keep)
        try disk.makeDirectory("other", in: a, mode: 0o700)
        try disk.sync(b)
        let after = disk.crash(keeping: .dropAll)
        #expect(after.paths.map { escaped($0) } == ["/a", "/b", "/b/y"])
        #expect(after.content("/b/y") == Array("text".utf8))
        #expect(after.peek("/b/y").links == 1)
    }

    @Test func aNewDirectoryNeedsTheSyncOfItsParent() throws {
        let disk = SimulatedDisk()
        let root = try disk.open("/")
        try disk.makeDirectory("d", in: root, mode: 0o700)
        let directory = try disk.open("/d")
        try disk.makeDirectory("x", in: directory, mode: 0o700)
        try disk.sync(directory)
        #expect(!disk.crash(keeping: .dropAll).exists("/d"))
        #expect(disk.crash(keeping: .keepAll).exists("/d/x"))
        try disk.sync(root)
        #expect(disk.crash(keeping: .dropAll).exists("/d/x"))
    }

    @Test func theOrderOfNamesIsAModel() throws {
        let disk = SimulatedDisk()
        for name in ["a", "b"] { disk.addDirectory("/\(name)") }
        let a = try disk.open("/a")
        let b = try disk.open("/b")
        try disk.makeDirectory("1", in: a, mode: 0o700)
        try disk.makeDirectory("2", in: b, mode: 0o700)
        try disk.makeDirectory("3", in: a, mode: 0o700)
        func paths(_ policy: CrashPolicy, _ order: NameOrder) -> [String] {
            disk.crash(keeping: policy, order: order).paths.filter { $0.count > 2 }
                .map { escaped($0) }
        }
        #expect(paths(.dropOnly(0), .unordered) == ["/a/3", "/b/2"])
        #expect(paths(.dropOnly(0), .orderedInDirectory) == ["/b/2"])
        #expect(paths(.dropOnly(0), .ordered) == [])
        try disk.sync(b)
        #expect(paths(.dropAll, .unordered) == ["/b/2"])
        #expect(paths(.dropAll, .orderedInDirectory) == ["/b/2"])
        #expect(paths(.dropAll, .ordered) == ["/a/1", "/b/2"])
    }

    @Test func whatIsImpossibleDoesNotHappen() throws {
        let disk = SimulatedDisk()
        disk.addDirectory("/a/b")
        let root = try disk.open("/")
        try disk.rename("a/b", in: root, to: "b", in: root, .keep)
        try disk.rename("a", in: root, to: "b/a", in: root, .keep)
        let after = disk.crash(keeping: .dropOnly(0))
        #expect(after.paths.map { escaped($0) } == ["/a", "/a/b"])
    }

    /// Replacing a file, and what the replacement forgets.
    private struct Replacement {
        var syncsFile = true
        var syncsDirectory = true

        func run(_ disk: SimulatedDisk) throws {
            let directory = try disk.open("/d")
            let file = try disk.open("/d/.new", [.writeOnly, .create, .exclusive])
            defer {
                disk.close(file)
                disk.close(directory)
            }
            for part in 0..<4 {
                try disk.put(file, part * 512, [UInt8](repeating: 2, count: 512))
            }
            if syncsFile { try disk.sync(file) }
            try disk.rename(".new", in: directory, to: "x", in: directory, .replace)
            if syncsDirectory { try disk.sync(directory) }
        }
    }

    /// How many crashes leave something else than the old or the new file, and how many lose the
    /// new one after it was said to be there.
    private func damage(_ replacement: Replacement) throws -> (torn: Int, lost: Int) {
        let old = [UInt8](repeating: 1, count: 1024)
        let new = [UInt8](repeating: 2, count: 2048)
        var torn = 0
        var lost = 0
        for stop in 1... {
            let disk = SimulatedDisk()
            disk.addFile("/d/x", old)
            disk.inject(Fault(.fail(EIO), nth: stop, persistent: true) { $0.kind != .fsync })
            try? replacement.run(disk)
            for order in NameOrder.allCases {
                for seed in 0..<40 as Range<UInt64> {
                    let after = disk.crash(keeping: .random, order: order, seed: seed)
                    let found = after.exists("/d/x") ? after.content("/d/x") : []
                    if found != old, found != new { torn += 1 }
                    if disk.firedFaults == 0, found != new { lost += 1 }
                }
            }
            if disk.firedFaults == 0 { return (torn, lost) }
        }
        return (torn, lost)
    }

    @Test func replacingAFileNeedsBothSyncs() throws {
        let right = try damage(Replacement())
        #expect(right.torn == 0)
        #expect(right.lost == 0)
        #expect(try damage(Replacement(syncsFile: false)).torn > 0)
        #expect(try damage(Replacement(syncsDirectory: false)).lost > 0)
        #expect(try damage(Replacement(syncsDirectory: false)).torn == 0)
    }
}

import Glibc
import ResyncCore
import TestSupport
import Testing

@testable import ResyncStorage

@Suite struct FolderTests {
    private func folder(_ disk: SimulatedDisk) throws -> Folder {
        try Folder.make(path: Array("/state".utf8), disk: disk)
    }

    private let name = Array("x".utf8)
    private let old = [UInt8](repeating: 1, count: 1500)
    private let new = [UInt8](repeating: 2, count: 3000)

    /// Every call after the Nth fails, and then the power does.
    @Test(arguments: [Int.max, 512])
    func replacingLeavesTheOldOrTheNew(_ writeLimit: Int) throws {
        for stop in 1... {
            let disk = SimulatedDisk()
            disk.addFile("/state/x", old)
            // What an earlier attempt left behind.
            disk.addFile("/state/x.new", "rubbish")
            let folder = try folder(disk)
            if writeLimit < .max {
                disk.inject(Fault(.short(writeLimit), on: .pwrite, persistent: true))
            }
            let shortened = disk.firedFaults
            #expect(shortened == 0)
            disk.inject(Fault(.fail(EIO), nth: stop, persistent: true))
            let isDone = (try? folder.replace(name, with: new)) != nil
            for order in NameOrder.allCases {
                for seed in 0..<30 as Range<UInt64> {
                    let after = disk.crash(keeping: .random, order: order, seed: seed)
                    let found = after.exists("/state/x") ? after.content("/state/x") : []
                    if isDone {
                        #expect(found == new)
                    } else if found != old, found != new {
                        Issue.record("call \(stop), seed \(seed), \(order): \(found.count) bytes")
                    }
                }
            }
            if isDone {
                #expect(stop > 5)
                return
            }
        }
    }

    @Test func aFailedSyncKeepsTheOld() throws {
        let disk = SimulatedDisk()
        disk.addFile("/state/x", old)
        let folder = try folder(disk)
        disk.inject(Fault(.fail(EIO), on: .fsync))
        #expect(throws: DiskError(.fsync, EIO)) { try folder.replace(name, with: new) }
        #expect(disk.content("/state/x") == old)
        #expect(disk.count(.renameat2) == 0)
    }

    /// Asked again, the kernel would say yes: nobody may ask.
    @Test func aFailedSyncIsNeverRetried() throws {
        let disk = SimulatedDisk()
        let folder = try folder(disk)
        let file = try folder.create(name)
        try file.write(new)
        disk.inject(Fault(.fail(EIO), on: .fsync))
        for _ in 0..<3 {
            #expect(throws: DiskError(.fsync, EIO)) { try file.sync() }
        }
        #expect(disk.count(.fsync, "/state/x") == 1)

        disk.clearFaults()
        disk.inject(Fault(.fail(ENOSPC), on: .fsync, under: "/state"))
        #expect(throws: DiskError(.fsync, ENOSPC)) { try folder.sync() }
        let before = disk.count(.fsync, "/state")
        #expect(throws: DiskError(.fsync, ENOSPC)) { try folder.sync() }
        #expect(throws: DiskError(.fsync, ENOSPC)) { try folder.replace([0x79], with: new) }
        #expect(throws: DiskError(.fsync, ENOSPC)) { try folder.folder([0x7a], create: true) }
        #expect(disk.count(.fsync, "/state") == before)
        // Another descriptor is another matter.
        try self.folder(disk).sync()
    }

    @Test func aFolderThatWasMadeIsDurable() throws {
        let disk = SimulatedDisk()
        _ = try Folder.make(path: Array("/a/b//c/".utf8), disk: disk)
        #expect(disk.crash(keeping: .dropAll).exists("/a/b/c"))
        #expect(disk.peek("/a/b/c").mode == 0o700)
        #expect(disk.openDescriptors == 0)
    }

    /// Somebody else makes it between the look and the making.
    @Test func aFolderThatAppearsIsOpened() throws {
        let disk = SimulatedDisk()
        disk.onCall { call in
            if call.kind == .mkdirat { disk.addDirectory("/state/run") }
        }
        let run = try folder(disk).folder(Array("run".utf8), create: true)
        disk.onCall(nil)
        #expect(try run.names() == [])
        #expect(throws: DiskError(.openat, ENOENT)) {
            try folder(disk).folder(Array("absent".utf8), create: false)
        }
    }

    @Test func ourFilesAreNoSymlinks() throws {
        let disk = SimulatedDisk()
        disk.addFile("/elsewhere", "theirs")
        disk.addSymlink("/state/x", to: "/elsewhere")
        disk.addSymlink("/state/d", to: "/")
        let folder = try folder(disk)
        #expect(throws: DiskError(.openat, ELOOP)) { try folder.read(name) }
        #expect(throws: DiskError(.openat, ELOOP)) { try folder.reopen(name, at: 0) }
        #expect(throws: DiskError(.openat, EEXIST)) { try folder.create(name) }
        #expect(throws: DiskError.self) { try folder.folder(Array("d".utf8), create: true) }
        try folder.replace(name, with: new)
        #expect(disk.content("/elsewhere") == Array("theirs".utf8))
        #expect(disk.content("/state/x") == new)
    }

    @Test func namesComeInByteOrderEveryTime() throws {
        let disk = SimulatedDisk()
        for name in ["b", "a", "\u{e9}", "a.b", "B"] { disk.addFile("/state/\(name)") }
        let folder = try folder(disk)
        for _ in 0..<2 {
            #expect(try folder.names().map { escaped($0.bytes) } == ["B", "a", "a.b", "b", "é"])
        }
        try folder.remove(Array("b".utf8))
        try folder.rename(Array("a".utf8), to: Array("B".utf8))
        #expect(try folder.names().map { escaped($0.bytes) } == ["B", "a.b", "é"])
    }

    @Test func lockedMeansForOthers() throws {
        let disk = SimulatedDisk()
        let (one, other) = (try folder(disk), try folder(disk))
        #expect(try one.lock(exclusive: false))
        #expect(try other.lock(exclusive: false))
        #expect(try one.lock(exclusive: true) == false)
    }

    // MARK: Files

    @Test func writingGoesOnWhereItWas() throws {
        let disk = SimulatedDisk()
        let folder = try folder(disk)
        do {
            let file = try folder.create(name)
            for part in 0..<100 as Range<UInt8> {
                try file.write([UInt8](repeating: part, count: 10_000))
                #expect(file.offset == (Int(part) + 1) * 10_000)
            }
            try file.sync()
        }
        let whole = (0..<100).flatMap { [UInt8](repeating: UInt8($0), count: 10_000) }
        #expect(disk.crash(keeping: .dropAll).exists("/state/x") == false)
        try folder.sync()
        #expect(disk.crash(keeping: .dropAll).content("/state/x") == whole)

        let again = try folder.reopen(name, at: 25_000)
        #expect(again.offset == 25_000)
        try again.write([7, 7])
        try again.flush()
        #expect(disk.content("/state/x") == whole[..<25_000] + [7, 7])
        try again.write([8])
        try again.truncate(to: 10)
        try again.sync()
        #expect(disk.content("/state/x") == Array(whole[..<10]))
    }

    @Test func readingEndsWhereTheFileDoes() throws {
        let disk = SimulatedDisk()
        disk.addFile("/state/x", new)
        disk.inject(Fault(.short(700), on: .pread, persistent: true))
        let file = try folder(disk).read(name)
        #expect(file.size == 3000)
        #expect(try file.read(at: 0, count: 3000) == new)
        #expect(try file.read(at: 2990, count: 100).count == 10)
        #expect(try file.read(at: 3000, count: 5) == [])
        #expect(try file.read(at: 0, count: 0) == [])
        disk.inject(Fault(.fail(EIO), on: .pread, range: 1400..<1401, persistent: true))
        #expect(throws: DiskError(.pread, EIO)) { try file.read(at: 0, count: 3000) }
    }

    @Test func everythingIsClosedAgain() throws {
        let disk = SimulatedDisk()
        disk.addFile("/state/x", old)
        for stop in 1...40 {
            disk.clearFaults()
            disk.inject(Fault(.fail(EMFILE), nth: stop))
            do {
                let folder = try folder(disk)
                try? folder.replace(name, with: new)
                _ = try? folder.read(name)
                _ = try? folder.names()
                _ = try? folder.scratch.file()
                _ = try? OutputFile.create(
                    path: Array("/state/y".utf8), replacing: true, disk: disk)
                _ = try? InputFile.open(path: Array("/state/y".utf8), disk: disk)
            } catch {}
            #expect(disk.openDescriptors == 0, "call \(stop)")
            #expect(disk.badCloses == 0)
        }
    }

    @Test func anOperatorsFileIsNotOverwrittenUnasked() throws {
        let disk = SimulatedDisk()
        disk.addFile("/out", "theirs")
        let path = Array("/out".utf8)
        #expect(throws: DiskError(.openat, EEXIST)) {
            try OutputFile.create(path: path, replacing: false, disk: disk)
        }
        #expect(disk.content("/out") == Array("theirs".utf8))
        let file = try OutputFile.create(path: path, replacing: true, disk: disk)
        try file.write([1])
        try file.sync()
        #expect(disk.content("/out") == [1])
        #expect(try InputFile.open(path: path, disk: disk).read(at: 0, count: 9) == [1])
    }

    @Test func scratchHasNoName() throws {
        let disk = SimulatedDisk()
        let folder = try folder(disk)
        let held = disk.openDescriptors
        do {
            let (one, other) = (try folder.scratch.file(), try folder.scratch.file())
            #expect(try folder.names() == [])
            try one.write(old, at: 5)
            try other.write([9], at: 0)
            #expect(try one.read(at: 0, count: 4000) == [0, 0, 0, 0, 0] + old)
            #expect(try other.read(at: 0, count: 4000) == [9])
            #expect(disk.openDescriptors == held + 2)
        }
        #expect(disk.openDescriptors == held)
        disk.inject(Fault(.fail(EIO), on: .unlinkat))
        #expect(throws: DiskError(.unlinkat, EIO)) { try folder.scratch.file() }
        #expect(disk.openDescriptors == held)
    }

    // MARK: Listings

    private func collect(_ next: (Int) throws -> NameList) throws -> [[UInt8]] {
        var found: [[UInt8]] = []
        while true {
            let portion = try next(70)
            if portion.isEmpty { return found }
            found += (0..<portion.count).map { portion.name($0).bytes }
        }
    }

    /// Names of so many lengths, in no order.
    private func names(_ count: Int, _ lengths: [Int]) -> [[UInt8]] {
        (0..<count).map { number in
            let text = Array("\(mixedNumber(number))".utf8)
            let length = lengths[number % lengths.count]
            return text + [UInt8](repeating: 0xe9, count: max(0, length - text.count))
        }
    }

    @Test func hugeDirectoriesAreSortedThroughAFile() throws {
        let disk = SimulatedDisk()
        disk.addDirectory("/store")
        let names = names(3000, [0, 100, 255])
        for name in names { disk.addFile(Array("/store/".utf8) + name) }
        var options = LocalSiteOptions()
        options.namesInMemory = 500
        options.scratch = try folder(disk).scratch
        let site = try LocalSite(path: Array("/store".utf8), disk: disk, options: options)
        let scheme = try DigestScheme(.sha256, blockSize: 1 << 20)
        let worker = try Worker(scheme: scheme, pulse: Pulse(), stop: Stop())
        let listing = try site.root().list(worker)
        let found = try collect { try listing.next($0) }
        #expect(listing.completeness == .complete)
        #expect(found == names.sorted { $0.lexicographicallyPrecedes($1) })
        #expect(disk.count(.pwrite) > 0)
    }

    /// FUSE has names that are longer than what fits in one byte.
    @Test func longNamesAreSortedThroughAFile() throws {
        let runs = try NameRuns(try folder(SimulatedDisk()).scratch)
        let names = names(2000, [0, 255, 256, 300, 1024, 4095])
        for start in stride(from: 0, to: names.count, by: 400) {
            var list = NameList()
            for name in names[start..<start + 400] { list.append(Name(name), kind: .socket) }
            try runs.add(list.sorted())
        }
        let found = try collect { limit in
            let portion = try runs.next(limit)
            #expect(portion.kinds.allSatisfy { $0 == .socket })
            return portion
        }
        #expect(found == names.sorted { $0.lexicographicallyPrecedes($1) })
    }

    private func mixedNumber(_ number: Int) -> UInt64 {
        var seed = Seed(UInt64(number))
        return seed.next()
    }
}

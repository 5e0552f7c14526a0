import Foundation
import ResyncCore
import TestSupport
import Testing

@testable import ResyncStorage

/// A file system, and how it is made and mounted.
enum LoopKind: String, CaseIterable, Sendable {
    case ext4, xfs, btrfs

    fileprivate var make: String {
        switch self {
        case .ext4: "truncate -s 16M image && mkfs.ext4 -qF -E nodiscard image"
        case .xfs: "truncate -s 320M image && mkfs.xfs -qf image"
        case .btrfs: "truncate -s 160M image && \(faults)/mkfs.btrfs -qf image"
        }
    }

    /// Without checksums, so that changed bytes are read like any.
    fileprivate var options: String { self == .btrfs ? "loop,nodatasum" : "loop" }
}

/// A file system in an image file. The loop device frees itself with the mount.
private struct LoopImage {
    let folder: String
    var image: String { folder + "/image" }
    var mountPoint: String { folder + "/m" }

    /// Nil where this process may not mount.
    init?(_ kind: LoopKind = .ext4) {
        guard getuid() == 0, let made = shell("mktemp -d /tmp/resync-media-XXXXXX") else {
            return nil
        }
        folder = made
        let mounted = shell(
            """
            cd \(folder) && mkdir m && \(kind.make) && mount -o \(kind.options) image m
            """)
        if mounted == nil {
            remove()
            return nil
        }
    }

    func remove() { shell("umount \(mountPoint); rm -rf --one-file-system \(folder)") }
}

@Suite(.serialized) struct MediaAccessTests {
    private let disk = LinuxDisk()
    private let worker: Worker

    init() throws {
        worker = try Worker(
            scheme: DigestScheme(.sha256, blockSize: 64 << 10), pulse: Pulse(), stop: Stop())
    }

    private func image(_ path: String) throws -> any Examination {
        try LocalSite(path: Array(path.utf8), disk: disk, options: LocalSiteOptions()).image(
            upTo: .max)
    }

    private func digests(_ path: String, _ source: ReadSource) throws -> ContentAnswer {
        let file = try image(path)
        let blocks = ((file[0].entry?.stat.size ?? 0) + 65535) / 65536
        return try #require(
            try file.digest(
                [ContentRequest(index: 0, blocks: 0..<blocks, source: source)], worker
            ).first)
    }

    private func expected(_ content: Data) throws -> BlockList {
        var list = BlockList()
        for start in stride(from: 0, to: content.count, by: 65536) {
            list.append(
                try worker.digester.digest(
                    Array(content[start..<min(start + 65536, content.count)])))
        }
        return list
    }

    /// After failed write-back the cache looks right while the disk is stale: the bytes are changed
    /// here behind the file system's back, below its page cache.
    @Test(arguments: LoopKind.allCases) func mediaReadsGoPastThePageCache(_ kind: LoopKind) throws {
        guard let store = LoopImage(kind) else { return skip("needs root, loop and \(kind)") }
        defer { store.remove() }
        let path = "\(store.mountPoint)/file"
        var random = Seed.fromEnvironment()
        var content = Data((0..<(256 << 10)).map { _ in UInt8(truncatingIfNeeded: random.next()) })
        let pattern = content[(130 << 10)..<(130 << 10 + 512)]
        try content.write(to: URL(fileURLWithPath: path))
        try #require(shell("sync -f \(path)") != nil)
        let before = try expected(content)
        // Now all of it is in the page cache, and on the medium.
        #expect(try digests(path, .cache).blocks == before)
        #expect(try digests(path, .media).blocks == before)
        #expect(try digests(path, .cache).blocks == before)
        let descriptor = try disk.open(path)
        defer { disk.close(descriptor) }
        // Without direct reads the pages are dropped, and come back from the medium.
        let isDirect = try disk.directAlignment(descriptor) != nil
        guard isDirect || kind == .btrfs else {
            return skip("\(kind) offers no direct I/O here")
        }
        #expect(try disk.cachedPages(descriptor, in: 0..<content.count) == 64)

        let medium = try Data(
            contentsOf: URL(fileURLWithPath: store.image), options: .alwaysMapped)
        let place = try #require(medium.range(of: pattern))
        let writer = try FileHandle(forUpdating: URL(fileURLWithPath: store.image))
        try writer.seek(toOffset: UInt64(place.lowerBound))
        try writer.write(contentsOf: Data(repeating: 0xee, count: 512))
        try writer.close()

        content.replaceSubrange(
            pattern.startIndex..<pattern.endIndex, with: Data(repeating: 0xee, count: 512))
        let after = try expected(content)
        #expect(after.differences(from: before) == [2..<3])
        #expect(try digests(path, .cache).blocks == before)
        let media = try digests(path, .media)
        #expect(media.state == .stable)
        #expect(media.blocks == after)
        #expect(media.bytesRead == content.count)
        // Reading the medium directly did not bring it into the cache.
        #expect(try digests(path, .cache).blocks == (isDirect ? before : after))
        guard isDirect else { return }

        try comparisonSeesTheMedium(path, content, at: pattern.startIndex)
    }

    /// As the byte-by-byte comparison reads it.
    private func comparisonSeesTheMedium(_ path: String, _ content: Data, at offset: Int) throws {
        let file = try image(path)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 4096)
        defer { buffer.deallocate() }
        let page = offset / 4096 * 4096
        #expect(try file.read(0, at: page, into: buffer, worker) == 4096)
        #expect(Data(buffer) != content[page..<(page + 4096)])
        #expect(file.bypassCache(0))
        #expect(try file.read(0, at: page, into: buffer, worker) == 4096)
        #expect(Data(buffer) == content[page..<(page + 4096)])
    }

    /// A file whose end is no whole sector.
    @Test(arguments: [1, 511, 4097, 65536 + 1000])
    func mediaReadsOddSizes(_ size: Int) throws {
        guard let store = LoopImage() else { return skip("needs root and loop devices") }
        defer { store.remove() }
        let path = "\(store.mountPoint)/file"
        let content = Data((0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7 + 1) })
        try content.write(to: URL(fileURLWithPath: path))
        let media = try digests(path, .media)
        #expect(media.state == .stable)
        #expect(media.blocks == (try expected(content)))
        #expect(media.blocks.blockCount == (size + 65535) / 65536)
    }

    /// A large file of which nothing is cached is read directly; one of which something is, is not.
    @Test(arguments: [1 << 20, (3 << 20) + 1001])
    func whatIsColdIsReadDirectly(_ size: Int) throws {
        guard let store = LoopImage() else { return skip("needs root and loop devices") }
        defer { store.remove() }
        let path = "\(store.mountPoint)/file"
        let content = Data((0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7 + $0 >> 9) })
        try content.write(to: URL(fileURLWithPath: path))
        try #require(shell("sync -f \(path)") != nil)
        let descriptor = try disk.open(path)
        defer { disk.close(descriptor) }
        guard try disk.directAlignment(descriptor) != nil else {
            return skip("no direct I/O is offered here")
        }
        let blocks = try expected(content)
        func isPreferred() throws -> Bool {
            let file = try disk.open(path)
            defer { disk.close(file) }
            let access = MediumAccess(prefersDirect: true)
            let isDirect = access.preferDirect(disk, file, try disk.stat(file))
            #expect(isDirect == access.isDirect)
            return isDirect
        }
        try disk.dropCache(descriptor)
        #expect(try isPreferred())
        let cold = try digests(path, .cache)
        #expect(cold.state == .stable && cold.blocks == blocks && cold.bytesRead == size)
        #expect(try disk.cachedPages(descriptor, in: 0..<size) == 0)
        // By the same descriptor, which can be read no other way any more.
        let file = try image(path)
        _ = try file.digest([ContentRequest(index: 0, blocks: 0..<1, source: .cache)], worker)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 8192, alignment: 4096)
        defer { buffer.deallocate() }
        let last = (size - 1) / 4096 * 4096
        #expect(try file.read(0, at: last, into: buffer, worker) == size - last)
        _ = try disk.read(descriptor, 0, 1)
        #expect(try !isPreferred())
        #expect(try digests(path, .cache).blocks == blocks)
    }

    @Test func tmpfsHasNoMedium() throws {
        let folder = "/dev/shm/resync-media-\(getpid())"
        guard shell("test $(stat -f -c %T /dev/shm) = tmpfs && mkdir \(folder)") != nil else {
            return skip("needs a tmpfs on /dev/shm")
        }
        defer { shell("rm -rf \(folder)") }
        let path = "\(folder)/file"
        try Data(repeating: 5, count: 100_000).write(to: URL(fileURLWithPath: path))
        let media = try digests(path, .media)
        #expect(media.state == .noMedium)
        #expect(media.blocks.blockCount == 0)
        #expect(media.bytesRead == 0)
        #expect(try digests(path, .cache).state == .stable)
        #expect(try image(path).bypassCache(0) == false)
        // The trap: tmpfs opens for direct I/O without complaint.
        let descriptor = try disk.open(path)
        defer { disk.close(descriptor) }
        #expect(try disk.directAlignment(descriptor) == nil)
    }

    // MARK: Dropped pages

    /// A simulated store whose file has other bytes on the medium than in the page cache.
    private func staleStore(_ change: (inout SimulatedMount) -> Void) -> SimulatedDisk {
        let disk = SimulatedDisk()
        disk.addGenerated("/store/file", size: 200_000, seed: 3)
        var mount = SimulatedMount(number: 4)
        mount.directReads = .refused
        change(&mount)
        disk.setMount("/store", mount)
        _ = try? disk.read(try disk.open("/store/file"), 0, 200_000)
        disk.corruptMedium("/store/file", .flipBit(at: 70_000))
        return disk
    }

    private func digests(_ disk: SimulatedDisk, _ source: ReadSource) throws -> ContentAnswer {
        let site = try LocalSite(
            path: Array("/store/file".utf8), disk: disk, options: LocalSiteOptions())
        return try #require(
            try site.image(upTo: .max).digest(
                [ContentRequest(index: 0, blocks: 0..<4, source: source)], worker
            ).first)
    }

    @Test(arguments: [FileSystemKind.nfs, FileSystemKind.xfs, FileSystemKind.btrfs])
    func pagesAreDroppedWhereDirectReadsAreNotOffered(_ kind: Int) throws {
        let disk = staleStore { $0.fileSystem = kind }
        let cached = try expected(Data(disk.content("/store/file")))
        let medium = try expected(Data(disk.mediumContent("/store/file")))
        #expect(medium.differences(from: cached) == [1..<2])
        #expect(try digests(disk, .cache).blocks == cached)
        let media = try digests(disk, .media)
        #expect(media.state == .stable)
        #expect(media.blocks == medium)
        let site = try LocalSite(
            path: Array("/store/file".utf8), disk: disk, options: LocalSiteOptions())
        #expect(try site.image(upTo: .max).bypassCache(0))
    }

    /// A page that stays would answer for the medium; and not every file system reads again what
    /// was dropped.
    @Test(arguments: [true, false]) func pagesThatStayAreNotCalledMedium(_ drops: Bool) throws {
        let disk = staleStore {
            $0.fileSystem = drops ? FileSystemKind.ext4 : FileSystemKind.nfs
            $0.dropsCache = drops
        }
        let media = try digests(disk, .media)
        #expect(media.state == .noMedium)
        #expect(media.bytesRead == 0 && media.blocks.blockCount == 0)
        let site = try LocalSite(
            path: Array("/store/file".utf8), disk: disk, options: LocalSiteOptions())
        #expect(try site.image(upTo: .max).bypassCache(0) == false)
    }

    /// A drop that fails is no drop.
    @Test(arguments: [SystemCall.fdatasync, .fadvise, .cachestat, .statx])
    func callsThatFailGiveNoMedium(_ call: SystemCall) throws {
        let disk = staleStore { $0.fileSystem = FileSystemKind.nfs }
        let image = try LocalSite(
            path: Array("/store/file".utf8), disk: disk, options: LocalSiteOptions()
        ).image(upTo: .max)
        disk.inject(Fault(.fail(EIO), on: call, persistent: true))
        let request = ContentRequest(index: 0, blocks: 0..<4, source: .media)
        let answer = try #require(try image.digest([request], worker).first)
        #expect(answer.state != .stable || answer.blocks.blockCount == 0, "\(answer.state)")
    }
}

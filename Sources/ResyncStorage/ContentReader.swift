import ResyncCore
import Synchronization

/// From here on, reading a file may cost the services their cached pages.
let passingSize = 1 << 20

/// Digests blocks of one open file.
struct ContentReader {
    private let site: LocalSite
    private let descriptor: Descriptor
    private let stat: Stat
    private let fileSystem: FileSystem
    private let medium: MediumAccess?
    private let worker: Worker
    private let blockSize: Int
    /// What is read at a time.
    private var piece: UnsafeMutableRawBufferPointer
    private var answer = ContentAnswer()
    /// The data that begins at or after the current block, where holes are looked for.
    private var data: Range<Int>?
    private let looksForHoles: Bool
    /// Over every byte in order, holes as the zeros they are.
    private var whole: EVPHash?

    /// - Parameter medium: of everybody who reads this open file; nil for a small one of which the
    ///   medium was never asked for.
    init(
        site: LocalSite, descriptor: Descriptor, stat: Stat, medium: MediumAccess?, worker: Worker
    ) {
        self.site = site
        self.medium = medium
        self.descriptor = descriptor
        self.stat = stat
        self.worker = worker
        blockSize = worker.digester.blockSize
        piece = worker.piece
        fileSystem = site.fileSystem(of: descriptor, stat)
        looksForHoles = site.tellsHoles(descriptor, stat)
    }

    mutating func digest(_ request: ContentRequest) throws -> ContentAnswer {
        let blocks = request.blocks
        if request.wantsWhole { whole = try EVPHash(.sha256) }
        var isDirect = false
        if request.source == .media, stat.size > 0 {
            switch medium?.prepare(site.disk, descriptor, stat, fileSystem) {
            case .direct?: isDirect = true
            case .dropped?: break
            case MediaAccess.none?, nil:
                answer.state = .noMedium
                return answer
            }
        } else if let medium {
            isDirect =
                stat.size >= passingSize || medium.isOfDevice
                ? medium.preferDirect(site.disk, descriptor, stat) : medium.isDirect
        }
        let mode: ReadMode = !isDirect && stat.size >= passingSize ? .passing : .cached
        if mode == .passing, blocks.count < blockCount(stat.size, blockSize) {
            medium?.stopReadAhead(site.disk, descriptor)
        }
        if isDirect || mode == .passing && isCold(blocks, request.source) {
            piece = worker.widePiece
        }
        var block = blocks.lowerBound
        while block < blocks.upperBound, answer.state == .stable {
            if looksForHoles, let next = try skipHole(from: block, upTo: blocks.upperBound) {
                block = next
                continue
            }
            try digestBlock(block, mode, isDirect: isDirect)
            block += 1
        }
        if answer.state == .stable, answer.unreadable.isEmpty { answer.whole = whole?.finalize() }
        return answer
    }

    /// Whether so much comes from the device that it is asked for in longer stretches.
    private func isCold(_ blocks: Range<Int>, _ source: ReadSource) -> Bool {
        let start = blocks.lowerBound * blockSize
        let length = min(stat.size - start, Worker.widePieceSize)
        guard length == Worker.widePieceSize else { return false }
        if source == .media { return true }
        let cached = try? site.disk.cachedPages(descriptor, in: start..<start + length)
        return cached == 0
    }

    private mutating func digestBlock(
        _ block: Int, _ mode: ReadMode, isDirect: Bool
    ) throws {
        let start = block * blockSize
        let end = start + min(blockSize, stat.size - start)
        try worker.digester.begin()
        var at = start
        while at < end {
            if worker.stop.isRequested {
                answer.state = .stopped
                return
            }
            let wanted = min(end - at, piece.count)
            site.options.readLimit?.wait(for: wanted, worker: worker)
            let count: Int
            do throws(DiskError) {
                count = try readPiece(wanted, at: at, mode, isDirect: isDirect)
            } catch {
                // A read error costs its block, not the file.
                answer.unreadable.append(UnreadableBlock(block: block, error: error))
                answer.blocks.append(.zero)
                return
            }
            worker.pulse.step()
            answer.bytesRead += count
            guard count == wanted else {
                // Shorter than its stat said: it was cut while we read.
                answer.state = .moved
                return
            }
            let bytes = UnsafeRawBufferPointer(rebasing: piece[..<count])
            try worker.digester.update(bytes)
            whole?.update(bytes)
            at += count
        }
        answer.blocks.append(try worker.digester.finish())
    }

    private func readPiece(
        _ wanted: Int, at offset: Int, _ mode: ReadMode, isDirect: Bool
    ) throws(DiskError) -> Int {
        guard isDirect else {
            return try site.disk.readFully(
                descriptor, into: UnsafeMutableRawBufferPointer(rebasing: piece[..<wanted]),
                at: offset, mode)
        }
        // Direct reads ask for whole sectors; at the end of the file fewer bytes come.
        let whole = (wanted + 4095) / 4096 * 4096
        let count = try site.disk.readDirectly(
            descriptor, into: UnsafeMutableRawBufferPointer(rebasing: piece[..<whole]),
            at: offset)
        return min(count, wanted)
    }

    /// If the block lies in a hole: counts it, and the blocks after it that do, as the zeros they
    /// are, and says where to go on.
    private mutating func skipHole(from block: Int, upTo end: Int) throws -> Int? {
        let start = block * blockSize
        let size = min(blockSize, stat.size - start)
        if data.map({ start >= $0.upperBound || start + size <= $0.lowerBound }) ?? true {
            // If the question fails, that is no reason to call anything a hole: read it.
            data = (try? findData(from: start)) ?? start..<stat.size
        }
        guard let data else { return nil }
        if data.isEmpty { return try countZeros(from: block, upTo: end) }
        let firstDataBlock = data.lowerBound / blockSize
        guard firstDataBlock > block else { return nil }
        return try countZeros(from: block, upTo: min(firstDataBlock, end))
    }

    /// The next data from an offset on; empty when only a hole is left.
    private func findData(from start: Int) throws(DiskError) -> Range<Int> {
        guard let first = try site.disk.nextData(descriptor, from: start) else {
            return stat.size..<stat.size
        }
        return first..<max(first + 1, try site.disk.nextHole(descriptor, from: first))
    }

    private mutating func countZeros(from block: Int, upTo end: Int) throws -> Int {
        let last = blockCount(stat.size, blockSize) - 1
        let whole = min(end, last) - block
        if whole > 0 { answer.blocks.append(try worker.digester.zeros(blockSize), count: whole) }
        if end > last {
            answer.blocks.append(try worker.digester.zeros(stat.size - last * blockSize))
        }
        // Where a whole last block would end may be more than a number holds.
        addZeros((end > last ? stat.size : end * blockSize) - block * blockSize)
        worker.pulse.step()
        return end
    }

    /// So many zeros for the digest of the whole.
    private mutating func addZeros(_ count: Int) {
        guard whole != nil, count > 0 else { return }
        let zeros = worker.piece[..<min(count, Worker.pieceSize)]
        UnsafeMutableRawBufferPointer(rebasing: zeros).initializeMemory(
            as: UInt8.self, repeating: 0)
        var left = count
        while left > 0 {
            if worker.stop.isRequested {
                answer.state = .stopped
                return
            }
            let next = min(left, zeros.count)
            whole?.update(UnsafeRawBufferPointer(rebasing: zeros[..<next]))
            worker.pulse.step()
            left -= next
        }
    }
}

/// Magic numbers of statfs(2).
package enum FileSystemKind {
    package static let ext4 = 0xef53
    package static let xfs = 0x5846_5342
    package static let btrfs = 0x9123_683e
    package static let tmpfs = 0x0102_1994
    package static let ramfs = 0x8584_58f6
    package static let overlay = 0x794c_7630
    package static let nfs = 0x6969

    /// Where SEEK_HOLE is trusted.
    static let tellsHoles: Set<Int> = [ext4, xfs, btrfs, tmpfs]
    /// Whose pages, once dropped, come from the medium again.
    static let rereads: Set<Int> = [xfs, btrfs, nfs]

    package static func name(_ type: Int) -> String {
        switch type {
        case ext4: "ext4"
        case xfs: "xfs"
        case btrfs: "btrfs"
        case tmpfs: "tmpfs"
        case ramfs: "ramfs"
        case overlay: "overlay"
        case nfs: "nfs"
        default: "0x" + String(type, radix: 16)
        }
    }
}

/// How a file can be read past the page cache.
enum MediaAccess {
    case direct
    /// Its pages were dropped, and none is left.
    case dropped
    case none

    static func prepare(
        _ disk: any Disk, _ descriptor: Descriptor, _ stat: Stat, _ fileSystem: FileSystem
    ) -> MediaAccess {
        do throws(DiskError) {
            if try setDirect(disk, descriptor) { return .direct }
            guard FileSystemKind.rereads.contains(fileSystem.type) else { return .none }
            try disk.dropCache(descriptor)
            return try disk.cachedPages(descriptor, in: 0..<stat.size) == 0 ? .dropped : .none
        } catch {
            return .none
        }
    }

    /// Only where statx offers it: O_DIRECT itself is accepted on tmpfs and on inline data too,
    /// where nothing is bypassed.
    static func setDirect(
        _ disk: any Disk, _ descriptor: Descriptor
    ) throws(DiskError) -> Bool {
        guard let alignment = try disk.directAlignment(descriptor),
            alignment.memory <= 4096, alignment.offset <= 4096
        else { return false }
        try disk.setDirect(descriptor)
        return true
    }
}

/// How one open file is read by all who read it, found out once. What comes into the cache after
/// its pages were dropped comes from the medium; dropped and counted for each range, pages that one
/// worker has just read would tell another that the cache cannot be emptied. A file that once is
/// read directly can be read no other way by the same descriptor.
final class MediumAccess: Sendable {
    private struct Known {
        var medium: MediaAccess?
        var isCold: Bool?
    }

    private let known: Mutex<Known>
    private let direct = Atomic<Bool>(false)
    private let readsAhead = Atomic<Bool>(true)

    /// Whether it is a device. What is cached of one is its own, and not what a file system that is
    /// mounted from it has written since: it is read directly wherever that can be.
    let isOfDevice: Bool

    /// - Parameter prefersDirect: whether a file of which nothing is cached is to be read directly,
    ///   since all who read by its descriptor ask here how.
    init(prefersDirect: Bool = false, isOfDevice: Bool = false) {
        self.isOfDevice = isOfDevice
        known = Mutex(Known(isCold: prefersDirect ? nil : false))
    }

    /// Whether it is read directly from now on.
    var isDirect: Bool { direct.load(ordering: .acquiring) }

    /// Where several workers read a file, what the kernel reads ahead for one of them another one
    /// has read and dropped already: it would be read twice, and stay in the cache.
    func stopReadAhead(_ disk: any Disk, _ descriptor: Descriptor) {
        guard readsAhead.load(ordering: .relaxed),
            readsAhead.exchange(false, ordering: .relaxed)
        else { return }
        disk.stopReadAhead(descriptor)
    }

    /// Has a file of which nothing is cached read directly, though it need not come from the
    /// medium: what passes through the cache is copied, and costs others their pages.
    ///
    /// - Returns: whether it is read directly, for this reason or another.
    func preferDirect(_ disk: any Disk, _ descriptor: Descriptor, _ stat: Stat) -> Bool {
        known.withLock { known in
            guard known.isCold == nil, !isDirect else { return }
            let cached = isOfDevice ? 0 : try? disk.cachedPages(descriptor, in: 0..<stat.size)
            let isCold =
                cached == 0 && (try? MediaAccess.setDirect(disk, descriptor)) ?? false
            known.isCold = isCold
            if isCold { direct.store(true, ordering: .releasing) }
        }
        return isDirect
    }

    func prepare(
        _ disk: any Disk, _ descriptor: Descriptor, _ stat: Stat, _ fileSystem: FileSystem
    ) -> MediaAccess {
        known.withLock { known in
            let access =
                known.medium ?? MediaAccess.prepare(disk, descriptor, stat, fileSystem)
            known.medium = access
            if access == .direct { direct.store(true, ordering: .releasing) }
            return access
        }
    }

    /// The same file is looked at once more: pages that were dropped may have come back.
    func lookAgain() {
        known.withLock { known in
            if known.medium == .dropped { known.medium = nil }
        }
    }
}

/// The bytes of a simulated file: extents of data with holes between them, so that a file of 8 EiB
/// costs what was written to it.
struct SparseContent: Sendable {
    private(set) var size = 0
    /// In order and disjoint; all below `size`.
    private var extents: [Extent] = []
    /// Numbers of the blocks that have space: what was written is data by whole blocks, and stays
    /// so when a part of its block is cut off.
    private var blocks = RangeSet<Int>()
    /// Numbers of the blocks that have space and no data: holes for whoever asks.
    private var reserved = RangeSet<Int>()

    /// The unit in which a file system allots space and tells data from holes.
    static let blockSize = 4096

    fileprivate struct Extent: Sendable {
        var range: Range<Int>
        var data: Source
    }

    fileprivate enum Source: Sendable {
        /// The byte at offset `o` of the file is `bytes[o - origin]`: cutting an extent copies
        /// nothing.
        case bytes([UInt8], origin: Int)
        case generated(seed: UInt64)
    }

    mutating func write(_ bytes: [UInt8], at offset: Int) {
        guard !bytes.isEmpty else { return }
        insert(Extent(range: offset..<offset + bytes.count, data: .bytes(bytes, origin: offset)))
    }

    mutating func generate(_ range: Range<Int>, seed: UInt64) {
        guard !range.isEmpty else { return }
        insert(Extent(range: range, data: .generated(seed: seed)))
    }

    mutating func resize(to newSize: Int) {
        if newSize < size {
            _ = clear(newSize..<size)
            let kept = Self.blocks(0..<newSize).upperBound
            blocks.remove(contentsOf: kept..<Int.max)
            reserved.remove(contentsOf: kept..<Int.max)
        }
        size = newSize
    }

    mutating func apply(_ change: FileChange.Kind) {
        switch change {
        case .write(let bytes, let offset): write(bytes, at: offset)
        case .truncate(let newSize): resize(to: newSize)
        case .allocate(let range): allocate(range)
        case .punch(let range): punch(range)
        }
    }

    /// As fallocate(2) without flags.
    mutating func allocate(_ range: Range<Int>) {
        let touched = RangeSet(Self.blocks(range))
        reserved.formUnion(touched.subtracting(blocks))
        size = max(size, range.upperBound)
    }

    /// As FALLOC_FL_PUNCH_HOLE: whole blocks lose their space, what is left of others reads as
    /// zeros. The block at the end of the file is whole when all of the file's part of it is.
    mutating func punch(_ range: Range<Int>) {
        guard range.lowerBound < size else { return }
        _ = clear(range.clamped(to: 0..<size))
        let unit = Self.blockSize
        let first = (range.lowerBound + unit - 1) / unit
        let last = range.upperBound >= size ? (size - 1) / unit + 1 : range.upperBound / unit
        guard first < last else { return }
        blocks.remove(contentsOf: first..<last)
        reserved.remove(contentsOf: first..<last)
    }

    /// Copies bytes from `offset` on; returns how many, 0 from the end of the file on.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) -> Int {
        guard offset < size else { return 0 }
        let wanted = offset..<offset + min(buffer.count, size - offset)
        let target = UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted.count])
        target.initializeMemory(as: UInt8.self, repeating: 0)
        var index = firstExtent(endingAfter: offset)
        while index < extents.count, extents[index].range.lowerBound < wanted.upperBound {
            let part = extents[index].range.clamped(to: wanted)
            let start = part.lowerBound - offset
            copy(
                extents[index].data, part,
                to: UnsafeMutableRawBufferPointer(
                    rebasing: target[start..<start + part.count]))
            index += 1
        }
        return wanted.count
    }

    func bytes(_ range: Range<Int>) -> [UInt8] {
        let wanted = range.clamped(to: 0..<size)
        return [UInt8](unsafeUninitializedCapacity: wanted.count) { buffer, count in
            count = read(into: UnsafeMutableRawBufferPointer(buffer), at: wanted.lowerBound)
        }
    }

    /// As SEEK_DATA. Reserved blocks count as data where a page of them is in the cache.
    func nextData(from offset: Int, cached: RangeSet<Int>) -> Int? {
        guard offset < size else { return nil }
        let run = data(cached).ranges.first { $0.upperBound > offset / Self.blockSize }
        return run.map { max(offset, $0.lowerBound * Self.blockSize) }
    }

    /// As SEEK_HOLE; the end of the file is a hole.
    /// - Precondition: `offset` lies below `size`.
    func nextHole(from offset: Int, cached: RangeSet<Int>) -> Int {
        guard let run = data(cached).ranges.first(where: { $0.contains(offset / Self.blockSize) })
        else { return offset }
        // The last block of the largest file ends beyond what an Int holds.
        return run.upperBound > size / Self.blockSize ? size : run.upperBound * Self.blockSize
    }

    private func data(_ cached: RangeSet<Int>) -> RangeSet<Int> {
        reserved.isEmpty ? blocks : blocks.union(reserved.intersection(cached))
    }

    /// 512-byte units.
    var allocated: UInt64 {
        UInt64(blockCount) * UInt64(Self.blockSize / 512)
    }

    /// How many blocks have space.
    var blockCount: Int {
        blocks.ranges.reduce(0) { $0 + $1.count } + reserved.ranges.reduce(0) { $0 + $1.count }
    }

    /// Which of the blocks that a range touches have no space yet.
    func missingBlocks(_ range: Range<Int>) -> RangeSet<Int> {
        RangeSet(Self.blocks(range)).subtracting(blocks).subtracting(reserved)
    }

    /// The numbers of the blocks, or pages, that a range touches.
    static func blocks(_ range: Range<Int>) -> Range<Int> {
        guard !range.isEmpty else { return 0..<0 }
        return range.lowerBound / blockSize..<(range.upperBound - 1) / blockSize + 1
    }

    private mutating func insert(_ extent: Extent) {
        let index = clear(extent.range)
        extents.insert(extent, at: index)
        let touched = Self.blocks(extent.range)
        blocks.insert(contentsOf: touched)
        if !reserved.isEmpty { reserved.remove(contentsOf: touched) }
        size = max(size, extent.range.upperBound)
    }

    /// Makes a hole of `range`; returns where an extent for it would go.
    private mutating func clear(_ range: Range<Int>) -> Int {
        let first = firstExtent(endingAfter: range.lowerBound)
        var last = first
        var left: [Extent] = []
        var right: [Extent] = []
        while last < extents.count, extents[last].range.lowerBound < range.upperBound {
            let old = extents[last]
            if old.range.lowerBound < range.lowerBound {
                left = [Extent(range: old.range.lowerBound..<range.lowerBound, data: old.data)]
            }
            if old.range.upperBound > range.upperBound {
                right = [Extent(range: range.upperBound..<old.range.upperBound, data: old.data)]
            }
            last += 1
        }
        if last > first { extents.replaceSubrange(first..<last, with: left + right) }
        return first + left.count
    }

    /// The index of the first extent that ends after `offset`.
    private func firstExtent(endingAfter offset: Int) -> Int {
        var low = 0
        var high = extents.count
        while low < high {
            let middle = (low + high) / 2
            if extents[middle].range.upperBound > offset { high = middle } else { low = middle + 1 }
        }
        return low
    }
}

private func copy(
    _ source: SparseContent.Source, _ range: Range<Int>,
    to target: UnsafeMutableRawBufferPointer
) {
    switch source {
    case .bytes(let bytes, let origin):
        bytes.withUnsafeBytes {
            let part = $0[(range.lowerBound - origin)..<(range.upperBound - origin)]
            target.copyMemory(from: UnsafeRawBufferPointer(rebasing: part))
        }
    case .generated(let seed):
        fillGenerated(target, seed: seed, from: range.lowerBound)
    }
}

/// The bytes `addGenerated` puts into a file at `range`.
package func generatedBytes(seed: UInt64, _ range: Range<Int>) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: range.count) { buffer, count in
        fillGenerated(
            UnsafeMutableRawBufferPointer(buffer), seed: seed, from: range.lowerBound)
        count = range.count
    }
}

/// Every 8 bytes are a number of their own, so that any part can be made without the others.
private func fillGenerated(
    _ target: UnsafeMutableRawBufferPointer, seed: UInt64, from offset: Int
) {
    var at = 0
    while at < target.count {
        let position = offset + at
        let word = mixed(seed &+ UInt64(position / 8) &* 0x9e37_79b9_7f4a_7c15).littleEndian
        let skipped = position % 8
        let length = min(8 - skipped, target.count - at)
        withUnsafeBytes(of: word) { bytes in
            for index in 0..<length { target[at + index] = bytes[skipped + index] }
        }
        at += length
    }
}

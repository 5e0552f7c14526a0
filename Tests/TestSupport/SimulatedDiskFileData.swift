import ResyncCore

/// The three lives of a file's bytes.
struct FileData: Sendable {
    /// What reads through the page cache return.
    var cache = SparseContent()
    /// What the device returns: also what was written back and not yet made durable.
    var medium = SparseContent()
    /// What a power loss leaves in any case.
    var durable = SparseContent()
    /// What was written since the last sync, in order.
    var unsynced: [FileChange] = []
    /// Numbers of the pages in the page cache.
    var resident = RangeSet<Int>()

    var size: Int { cache.size }

    /// The cache keeps what the writer meant; the medium and the durable state get `change`.
    mutating func apply(_ change: FileChange) {
        medium.apply(change.kind)
        unsynced.append(change)
    }

    mutating func makeDurable() {
        durable = medium
        unsynced = []
    }

    /// After a failed write-back the pages are marked clean, and their new content is nowhere but
    /// in the cache.
    mutating func loseUnsynced() {
        medium = durable
        unsynced = []
    }

    mutating func evict() {
        let size = cache.size
        cache = medium
        cache.resize(to: size)
        resident = RangeSet()
    }

    mutating func pageIn(_ range: Range<Int>) {
        resident.insert(contentsOf: SparseContent.blocks(range))
    }

    mutating func dropPages(_ range: Range<Int>) {
        resident.remove(contentsOf: SparseContent.blocks(range))
    }

    /// Changes what the device holds behind the kernel's back: the cache sees it only where it
    /// holds no page.
    mutating func changeMedium(_ bytes: [UInt8], at offset: Int) {
        medium.write(bytes, at: offset)
        durable.write(bytes, at: offset)
        let held = offset..<offset + bytes.count
        let unit = SparseContent.blockSize
        for run in RangeSet(SparseContent.blocks(held)).subtracting(resident).ranges {
            let part = (run.lowerBound * unit..<run.upperBound * unit).clamped(to: held)
            let start = part.lowerBound - offset
            cache.write(Array(bytes[start..<start + part.count]), at: part.lowerBound)
        }
    }
}

/// One change of a file's bytes or size, as the device will get it.
struct FileChange: Sendable {
    enum Kind: Sendable {
        case write([UInt8], at: Int)
        case truncate(Int)
        case allocate(Range<Int>)
        case punch(Range<Int>)
    }

    /// Its place among all changes of the disk.
    let sequence: Int
    let kind: Kind
}

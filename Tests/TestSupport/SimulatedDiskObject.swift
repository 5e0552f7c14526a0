import ResyncCore

/// Identifies an object for the simulation, and only there: inode numbers repeat across mounts.
typealias ObjectID = Int

/// Why a simulated call was refused: an errno.
struct Refusal: Error {
    let number: Int32
    init(_ number: Int32) { self.number = number }
}

/// What an inode says about its object, apart from the bytes.
struct Attributes: Sendable {
    var mode: UInt16
    var uid: UInt32
    var gid: UInt32
    var mtime: Timestamp
    var ctime: Timestamp
    var extended: [[UInt8]: [UInt8]] = [:]
}

/// A file, directory, symlink or special file.
struct Object: Sendable {
    let id: ObjectID
    let type: EntryType
    var inode: UInt64
    /// The number of the mount it lies on.
    var mount: Int
    var attributes: Attributes
    /// The attributes as of the last sync of this object.
    var durableAttributes: Attributes
    /// How many names lead here, without `.` and `..`.
    var names: UInt32 = 0
    /// Regular files, and block devices that were given a size.
    var file: FileData?
    var directory: DirectoryData?
    /// Where a symlink leads.
    var target: [UInt8] = []
    var special = DeviceNumber(major: 0, minor: 0)
    var locks = Locks()
    var failure = WritebackFailure()

    init(id: ObjectID, type: EntryType, inode: UInt64, mount: Int, attributes: Attributes) {
        self.id = id
        self.type = type
        self.inode = inode
        self.mount = mount
        self.attributes = attributes
        durableAttributes = attributes
        if type == .file { file = FileData() }
    }

    mutating func touch(_ now: Timestamp, modified: Bool) {
        attributes.ctime = now
        if modified { attributes.mtime = now }
    }
}

/// Who holds the advisory lock, by descriptor number.
struct Locks: Sendable {
    var shared: Set<Int32> = []
    var exclusive: Int32?

    mutating func take(_ holder: Int32, exclusive wantsExclusive: Bool) -> Bool {
        if let other = exclusive, other != holder { return false }
        if wantsExclusive, !shared.subtracting([holder]).isEmpty { return false }
        drop(holder)
        if wantsExclusive { exclusive = holder } else { shared.insert(holder) }
        return true
    }

    mutating func drop(_ holder: Int32) {
        shared.remove(holder)
        if exclusive == holder { exclusive = nil }
    }
}

/// The kernel's `errseq_t`: each open descriptor hears of a failed write-back once.
struct WritebackFailure: Sendable {
    private(set) var count = 0
    private var last: Int32 = 0
    private var wasSeen = true

    mutating func record(_ number: Int32) {
        count += 1
        last = number
        wasSeen = false
    }

    /// What a new descriptor starts from: a failure nobody heard of yet is still news to it.
    var sample: Int { wasSeen ? count : count - 1 }

    mutating func report(since seen: inout Int) -> Int32? {
        guard seen != count else { return nil }
        seen = count
        wasSeen = true
        return last
    }
}

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
        switch change.kind {
        case .write(let bytes, let offset): medium.write(bytes, at: offset)
        case .truncate(let size): medium.resize(to: size)
        }
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

/// One write or truncation, as the device will get it.
struct FileChange: Sendable {
    enum Kind: Sendable {
        case write([UInt8], at: Int)
        case truncate(Int)
    }

    /// Its place among all changes of the disk.
    let sequence: Int
    let kind: Kind
}

/// The names of one directory, in the order in which they are listed.
struct DirectoryData: Sendable {
    var parent: ObjectID
    /// Removed from the tree, yet still open somewhere.
    var isRemoved = false
    private var entries: [Name: Entry] = [:]
    /// In order of `cookie`; nil where a name was removed.
    private var slots: [(cookie: Int, name: Name?)] = []
    private var nextCookie = 1

    private struct Entry: Sendable {
        var object: ObjectID
        let cookie: Int
    }

    init(parent: ObjectID) { self.parent = parent }

    var isEmpty: Bool { entries.isEmpty }
    var count: Int { entries.count }
    var all: [(name: Name, object: ObjectID)] {
        slots.compactMap { slot in
            slot.name.flatMap { name in entries[name].map { (name, $0.object) } }
        }
    }

    subscript(name: Name) -> ObjectID? { entries[name]?.object }

    /// A name that is there already keeps its place in the listing.
    mutating func set(_ name: Name, _ object: ObjectID) {
        if entries[name] != nil {
            entries[name]?.object = object
            return
        }
        entries[name] = Entry(object: object, cookie: nextCookie)
        slots.append((nextCookie, name))
        nextCookie += 1
    }

    mutating func remove(_ name: Name) {
        guard let entry = entries.removeValue(forKey: name) else { return }
        slots[firstSlot(after: entry.cookie - 1)].name = nil
        if slots.count > 64, slots.count > entries.count * 2 {
            slots.removeAll { $0.name == nil }
        }
    }

    /// The next names after `cursor` that fit into `space` bytes of directory records, and the
    /// cursor behind them.
    func names(
        after cursor: Int, space: Int
    ) -> (names: [(name: Name, object: ObjectID)], cursor: Int) {
        var found: [(Name, ObjectID)] = []
        var used = 0
        var reached = cursor
        for slot in slots[firstSlot(after: cursor)...] {
            if let name = slot.name, let entry = entries[name] {
                used += (19 + name.bytes.count + 1 + 7) / 8 * 8
                if used > space { break }
                found.append((name, entry.object))
            }
            reached = slot.cookie
        }
        return (found, reached)
    }

    private func firstSlot(after cookie: Int) -> Int {
        var low = 0
        var high = slots.count
        while low < high {
            let middle = (low + high) / 2
            if slots[middle].cookie > cookie { high = middle } else { low = middle + 1 }
        }
        return low
    }
}

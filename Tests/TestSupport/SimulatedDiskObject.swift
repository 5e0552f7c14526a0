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
    /// What was done to them since, in order.
    var attributeChanges: [AttributeChange] = []
    let birth: Timestamp
    /// Set by a test: nobody may change it, or what names it.
    var isImmutable = false
    /// Set by a test: a block device that is mounted, or otherwise somebody's.
    var isHeld = false
    /// Of a block device: set read-only in the kernel.
    var refusesWrites = false
    /// How many descriptors lead here.
    var opens = 0
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

    init(
        id: ObjectID, type: EntryType, inode: UInt64, mount: Int, attributes: Attributes,
        birth: Timestamp
    ) {
        self.id = id
        self.type = type
        self.inode = inode
        self.mount = mount
        self.attributes = attributes
        self.birth = birth
        durableAttributes = attributes
        if type == .file { file = FileData() }
    }

    /// Changes the attributes, and remembers that a power loss may undo it.
    mutating func apply(_ change: AttributeChange) {
        attributes.apply(change)
        if change.isImplied, let last = attributeChanges.last, last.isImplied {
            attributeChanges[attributeChanges.count - 1] = last.followed(by: change)
        } else {
            attributeChanges.append(change)
        }
    }

    mutating func makeAttributesDurable() {
        durableAttributes = attributes
        attributeChanges = []
    }

    /// What was changed before a change of its name reached the medium with that.
    mutating func makeAttributesDurable(before sequence: Int) {
        let kept = attributeChanges.prefix { $0.sequence < sequence }
        for change in kept { durableAttributes.apply(change) }
        attributeChanges.removeFirst(kept.count)
    }
}

/// One change of what an inode says: what is nil stays.
struct AttributeChange: Sendable {
    /// Its place among all changes of the disk.
    let sequence: Int
    /// Whether another change brought it along: times that move, bits that a write clears.
    let isImplied: Bool
    var mode: UInt16?
    var owner: (uid: UInt32, gid: UInt32)?
    var mtime: Timestamp?
    let ctime: Timestamp
    /// Nil removes an attribute.
    var extended: [(name: [UInt8], value: [UInt8]?)] = []

    func followed(by next: AttributeChange) -> AttributeChange {
        var both = next
        both.mode = next.mode ?? mode
        both.owner = next.owner ?? owner
        both.mtime = next.mtime ?? mtime
        both.extended = extended + next.extended
        return both
    }
}

extension Attributes {
    mutating func apply(_ change: AttributeChange) {
        if let new = change.mode { mode = new }
        if let new = change.owner { (uid, gid) = new }
        if let new = change.mtime { mtime = new }
        ctime = change.ctime
        for (name, value) in change.extended { extended[name] = value }
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

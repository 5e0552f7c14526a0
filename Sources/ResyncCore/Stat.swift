/// What kind of object an entry is.
package enum EntryType: UInt8, Sendable, CaseIterable {
    case file = 1
    case directory, symlink, fifo, socket, characterDevice, blockDevice

    package var word: String {
        switch self {
        case .file: "file"
        case .directory: "directory"
        case .symlink: "symlink"
        case .fifo: "fifo"
        case .socket: "socket"
        case .characterDevice: "character device"
        case .blockDevice: "block device"
        }
    }

    package var isDevice: Bool { self == .characterDevice || self == .blockDevice }
}

/// Seconds and nanoseconds since 1970-01-01 UTC, as the file system keeps them.
package struct Timestamp: Sendable, Hashable, Comparable {
    package var seconds: Int64
    /// 0 ..< 1,000,000,000.
    package var nanoseconds: UInt32

    package init(seconds: Int64, nanoseconds: UInt32) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    /// The beginning of 1970, before everything that is remembered.
    package static let epoch = Timestamp(seconds: 0, nanoseconds: 0)

    package static func < (left: Timestamp, right: Timestamp) -> Bool {
        (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
    }

    /// Whether a file system may have made this of a time that it was given: it cuts what is finer
    /// than its unit, and keeps the nearest that it can hold of what is out of its reach.
    package func isKept(of given: Timestamp) -> Bool {
        if self == given { return true }
        if seconds == given.seconds {
            return Self.units.contains { nanoseconds == given.nanoseconds / $0 * $0 }
        }
        guard nanoseconds == 0 else { return false }
        // FAT counts every other second.
        if seconds == given.seconds & ~1 { return true }
        return given.seconds < seconds
            ? Self.earliest.contains(seconds) : Self.latest.contains(seconds)
    }

    /// In nanoseconds: of NTFS and SMB, of UDF and some of NFS, of exFAT, of ext4 with small
    /// inodes.
    private static let units: [UInt32] = [100, 1000, 10_000_000, 1_000_000_000]
    /// In seconds: of ext4 and XFS, of NFS version 3 and others without a sign, of FAT.
    private static let earliest: Set<Int64> = [-0x8000_0000, 0, 315_532_800]
    /// In seconds: of ext4 with small inodes and of XFS, of NFS version 3, of FAT, of ext4, of XFS
    /// with large times.
    private static let latest: Set<Int64> = [
        0x7fff_ffff, 0xffff_ffff, 4_354_819_198, 0x3_7fff_ffff, 16_299_260_424,
    ]

    /// The distance to another time in nanoseconds, saturating.
    package func distance(to other: Timestamp) -> UInt64 {
        let (early, late) = self < other ? (self, other) : (other, self)
        let (seconds, overflow) = late.seconds.subtractingReportingOverflow(early.seconds)
        guard !overflow, seconds < 9_000_000_000 else { return .max }
        return UInt64(seconds) * 1_000_000_000 + UInt64(late.nanoseconds)
            - UInt64(early.nanoseconds)
    }

    package func adding(seconds more: Int64) -> Timestamp {
        let (sum, overflow) = seconds.addingReportingOverflow(more)
        return Timestamp(
            seconds: overflow ? (more < 0 ? .min : .max) : sum, nanoseconds: nanoseconds)
    }
}

/// A device number.
package struct DeviceNumber: Sendable, Hashable {
    package var major: UInt32
    package var minor: UInt32

    package init(major: UInt32, minor: UInt32) {
        self.major = major
        self.minor = minor
    }
}

/// Which object a name led to, on one running system.
package struct ObjectIdentity: Sendable, Hashable {
    package var device: DeviceNumber
    package var inode: UInt64

    package init(device: DeviceNumber, inode: UInt64) {
        self.device = device
        self.inode = inode
    }
}

/// What `statx` says of one entry.
package struct Stat: Sendable, Hashable {
    package var type: EntryType
    /// The lower 12 bits: permissions, set-user-id, set-group-id, sticky.
    package var mode: UInt16
    package var uid: UInt32
    package var gid: UInt32
    /// Bytes; for devices 0.
    package var size: Int
    package var mtime: Timestamp
    package var ctime: Timestamp
    package var inode: UInt64
    package var device: DeviceNumber
    /// The mount it was reached through.
    package var mount: UInt64
    package var links: UInt32
    /// What a device entry refers to.
    package var special: DeviceNumber
    /// 512-byte units really allocated.
    package var allocated: UInt64
    /// When the inode was made, where the file system tells. It stays with the inode, so that
    /// another one that got the number of one that went is seen to be another.
    package var birth: Timestamp?

    package init(
        type: EntryType, mode: UInt16 = 0o644, uid: UInt32 = 0, gid: UInt32 = 0, size: Int = 0,
        mtime: Timestamp = Timestamp(seconds: 0, nanoseconds: 0),
        ctime: Timestamp = Timestamp(seconds: 0, nanoseconds: 0), inode: UInt64 = 0,
        device: DeviceNumber = DeviceNumber(major: 0, minor: 0), mount: UInt64 = 0,
        links: UInt32 = 1, special: DeviceNumber = DeviceNumber(major: 0, minor: 0),
        allocated: UInt64 = 0, birth: Timestamp? = nil
    ) {
        self.type = type
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.size = size
        self.mtime = mtime
        self.ctime = ctime
        self.inode = inode
        self.device = device
        self.mount = mount
        self.links = links
        self.special = special
        self.allocated = allocated
        self.birth = birth
    }

    package var identity: ObjectIdentity { ObjectIdentity(device: device, inode: inode) }

    /// Whether nothing a writer would have moved has moved since `earlier`: the object is the same
    /// and its size, mtime and ctime stand.
    package func isUnchanged(since earlier: Stat) -> Bool {
        size == earlier.size && mtime == earlier.mtime && ctime == earlier.ctime
            && inode == earlier.inode && type == earlier.type
    }

    /// A change within this time before a reading may have left the times as they were.
    private static var racySeconds: Int64 { 2 }

    /// Whether it may have been written to after it was read, and not show it. Who writes moves the
    /// ctime; the mtime counts where no file system keeps one, but not what was dated ahead.
    ///
    /// - Parameter time: the wall clock no later than the last stat around the reading.
    package func isRacy(at time: Timestamp) -> Bool {
        let limit = time.adding(seconds: -Self.racySeconds)
        return ctime > limit
            || mtime > limit && mtime <= time.adding(seconds: Self.racySeconds)
    }
}

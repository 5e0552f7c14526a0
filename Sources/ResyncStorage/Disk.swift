package import ResyncCore

/// The system calls that touch a store or our own files, shaped as the kernel shapes them.
///
/// Two implementations: `LinuxDisk`, and the tests' simulated disk, which fails the Nth call and
/// forgets what was not synced. Nothing outside this seam opens, reads or changes a file. Calls
/// may block; none of them follows a symlink unless it says so; EINTR never surfaces.
package protocol Disk: AnyObject, Sendable {
    /// Opens a path the operator gave, relative to the working directory, following symlinks.
    func open(path: [UInt8], _ flags: OpenFlags, mode: UInt16) throws(DiskError) -> Descriptor
    func open(
        _ name: UnsafePointer<CChar>, in directory: Descriptor, _ flags: OpenFlags, mode: UInt16
    ) throws(DiskError) -> Descriptor
    /// Never fails: what a close reports too late is no ground to act on; sync first.
    func close(_ descriptor: Descriptor)

    func stat(_ descriptor: Descriptor) throws(DiskError) -> Stat
    func stat(
        _ name: UnsafePointer<CChar>, in directory: Descriptor
    ) throws(DiskError) -> Stat
    func stat(path: [UInt8]) throws(DiskError) -> Stat

    /// Appends the next names of a directory, `.` and `..` left out; false at its end. `buffer` is
    /// scratch of at least 32 KiB.
    func list(
        _ directory: Descriptor, into names: inout NameList,
        buffer: UnsafeMutableRawBufferPointer
    ) throws(DiskError) -> Bool
    func readLink(
        _ name: UnsafePointer<CChar>, in directory: Descriptor
    ) throws(DiskError) -> [UInt8]

    /// Reads up to `buffer.count` bytes; fewer only at the end of the file or by the kernel's whim.
    func read(
        _ descriptor: Descriptor, into buffer: UnsafeMutableRawBufferPointer, at offset: Int,
        _ mode: ReadMode
    ) throws(DiskError) -> Int
    /// Writes a part of `bytes`, at least one; returns how many.
    func write(
        _ descriptor: Descriptor, _ bytes: UnsafeRawBufferPointer, at offset: Int
    ) throws(DiskError) -> Int
    func truncate(_ descriptor: Descriptor, to size: Int) throws(DiskError)
    /// Makes a file's bytes, or a directory's names, survive a power loss. Never call it again on
    /// the same descriptor after it failed: the kernel may have forgotten what was dirty.
    func sync(_ descriptor: Descriptor) throws(DiskError)
    /// As `sync` for a file's bytes and size; its mode, owner, times and attributes may be lost.
    func syncData(_ descriptor: Descriptor) throws(DiskError)
    /// As `sync` for everything on the file system the descriptor lies on. An error stands for any
    /// of it.
    func syncFileSystem(_ descriptor: Descriptor) throws(DiskError)
    /// Reserves space for a range, which reads as zeros where nothing was written; the file grows
    /// to its end. EOPNOTSUPP where the file system cannot.
    func allocate(_ descriptor: Descriptor, from offset: Int, count: Int) throws(DiskError)
    /// Makes a range read as zeros and gives its whole blocks back; the size stays.
    func punchHole(_ descriptor: Descriptor, from offset: Int, count: Int) throws(DiskError)

    func makeDirectory(
        _ name: UnsafePointer<CChar>, in directory: Descriptor, mode: UInt16
    ) throws(DiskError)
    func remove(
        _ name: UnsafePointer<CChar>, in directory: Descriptor, isDirectory: Bool
    ) throws(DiskError)
    /// Two names of one inode are a trap, whatever the rule but `keep`: nothing happens, and both
    /// stay.
    func rename(
        _ name: UnsafePointer<CChar>, in directory: Descriptor, to newName: UnsafePointer<CChar>,
        in newDirectory: Descriptor, _ rule: RenameRule
    ) throws(DiskError)
    /// One more name for the inode; of a symlink, for the symlink itself.
    func link(
        _ name: UnsafePointer<CChar>, in directory: Descriptor, to newName: UnsafePointer<CChar>,
        in newDirectory: Descriptor
    ) throws(DiskError)
    func makeSymlink(
        _ target: [UInt8], _ name: UnsafePointer<CChar>, in directory: Descriptor
    ) throws(DiskError)
    /// A fifo, socket or device; EINVAL for other types. `device` is for devices only.
    func makeSpecial(
        _ name: UnsafePointer<CChar>, in directory: Descriptor, _ type: EntryType, mode: UInt16,
        device: DeviceNumber
    ) throws(DiskError)
    /// False when somebody else holds it. The lock dies with the descriptor.
    func lock(_ descriptor: Descriptor, exclusive: Bool) throws(DiskError) -> Bool
    /// Whether anybody has a regular file open for writing. The descriptor must be open for reading
    /// only. EACCES and EINVAL where the kernel will not tell.
    func isOpenForWriting(_ descriptor: Descriptor) throws(DiskError) -> Bool

    /// The start of the next data at or after `offset`; nil when only a hole is left.
    func nextData(_ descriptor: Descriptor, from offset: Int) throws(DiskError) -> Int?
    func nextHole(_ descriptor: Descriptor, from offset: Int) throws(DiskError) -> Int
    /// Writes back and forgets the cached pages of a file, as far as the kernel will.
    func dropCache(_ descriptor: Descriptor) throws(DiskError)
    /// Asks for the first bytes of a file to be brought into the page cache, and does not wait for
    /// them. Whatever comes of it, reading tells.
    func prefetch(_ descriptor: Descriptor, size: Int)
    /// Has reading bring in what is asked for, and nothing behind it. Without an effect where that
    /// cannot be had.
    func stopReadAhead(_ descriptor: Descriptor)
    /// Writes back what is cached of a file and dirty, so that the next write through a mapping
    /// moves its times. That it failed is nothing to whoever reads.
    func writeBack(_ descriptor: Descriptor)
    /// How many pages of these bytes of a file are in the page cache.
    func cachedPages(_ descriptor: Descriptor, in range: Range<Int>) throws(DiskError) -> Int
    /// The alignment that direct reads of this file need; nil where they are not offered.
    func directAlignment(_ descriptor: Descriptor) throws(DiskError) -> DirectAlignment?

    /// From now on reads and writes go past the page cache, and must be aligned. What was written
    /// is still lost with the power until it is synced.
    func setDirect(_ descriptor: Descriptor) throws(DiskError)

    /// Extended attributes, unsorted, of an open descriptor or of a name that is not opened.
    func attributeNames(
        _ name: UnsafePointer<CChar>?, _ descriptor: Descriptor
    ) throws(DiskError) -> [[UInt8]]
    func attribute(
        _ attribute: [UInt8], of name: UnsafePointer<CChar>?, _ descriptor: Descriptor
    ) throws(DiskError) -> [UInt8]

    // Of an open descriptor, or of a name that is not followed. A descriptor opened with
    // `pathOnly` serves as the directory of a name only.

    /// All twelve bits. EOPNOTSUPP for a symlink, which has none of its own.
    func setMode(
        _ mode: UInt16, of name: UnsafePointer<CChar>?, _ descriptor: Descriptor
    ) throws(DiskError)
    /// Takes set-user-id, set-group-id and capabilities away from all but directories. EINVAL for
    /// 0xffffffff, which the kernel would take for "as it is".
    func setOwner(
        uid: UInt32, gid: UInt32, of name: UnsafePointer<CChar>?, _ descriptor: Descriptor
    ) throws(DiskError)
    /// The access time stays. A file system that cannot hold the time holds one near it.
    func setTimes(
        modified: Timestamp, of name: UnsafePointer<CChar>?, _ descriptor: Descriptor
    ) throws(DiskError)
    /// Makes or replaces. Access control lists are the attributes `system.posix_acl_access` and
    /// `system.posix_acl_default`; the first changes the mode, too.
    func setAttribute(
        _ attribute: [UInt8], to value: [UInt8], of name: UnsafePointer<CChar>?,
        _ descriptor: Descriptor
    ) throws(DiskError)
    func removeAttribute(
        _ attribute: [UInt8], of name: UnsafePointer<CChar>?, _ descriptor: Descriptor
    ) throws(DiskError)

    func fileSystem(_ descriptor: Descriptor) throws(DiskError) -> FileSystem
    /// Bytes of a block device.
    func deviceSize(_ descriptor: Descriptor) throws(DiskError) -> Int
    /// Whether a block device refuses writes, whatever the mode of its node.
    func isReadOnlyDevice(_ descriptor: Descriptor) throws(DiskError) -> Bool
}

/// An open file of one disk. Not closed by itself: whoever opened it closes it.
package struct Descriptor: Sendable, Hashable {
    package let number: Int32
    package init(_ number: Int32) { self.number = number }
}

package struct OpenFlags: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    package static let readOnly = OpenFlags(rawValue: 1 << 0)
    package static let writeOnly = OpenFlags(rawValue: 1 << 1)
    package static let readWrite = OpenFlags(rawValue: 1 << 2)
    package static let create = OpenFlags(rawValue: 1 << 3)
    /// With `create`: the name must not be there. Alone, of a block device: nobody else may hold
    /// it, by a mount or likewise (EBUSY).
    package static let exclusive = OpenFlags(rawValue: 1 << 4)
    package static let directory = OpenFlags(rawValue: 1 << 5)
    package static let noFollow = OpenFlags(rawValue: 1 << 6)
    package static let nonBlocking = OpenFlags(rawValue: 1 << 7)
    package static let noAccessTime = OpenFlags(rawValue: 1 << 8)
    package static let direct = OpenFlags(rawValue: 1 << 9)
    package static let pathOnly = OpenFlags(rawValue: 1 << 10)
    package static let truncate = OpenFlags(rawValue: 1 << 11)
    package static let append = OpenFlags(rawValue: 1 << 12)
}

/// What a rename does with a name that is there already.
package enum RenameRule: Sendable, CaseIterable {
    /// Takes its place.
    case replace
    /// Fails with EEXIST.
    case keep
    /// Trades places with it, whatever either is; both must be there. One change: a power loss
    /// leaves both names as before or both as after.
    case exchange
}

/// How a read treats the page cache.
package enum ReadMode: Sendable {
    /// Through the page cache.
    case cached
    /// Through the page cache, leaving nothing there that was not there before.
    case passing
}

package struct DirectAlignment: Sendable, Hashable {
    package let memory: Int
    package let offset: Int

    package init(memory: Int, offset: Int) {
        self.memory = memory
        self.offset = offset
    }
}

/// A system call that failed. Which entry it was about is known to the caller.
package struct DiskError: Error, Sendable, Hashable {
    package let call: SystemCall
    package let number: Int32

    package init(_ call: SystemCall, _ number: Int32) {
        self.call = call
        self.number = number
    }
}

/// The calls an error can name, as in their manual pages.
package enum SystemCall: String, Sendable {
    case openat, statx, getdents64, readlinkat, pread, pwrite, ftruncate, fsync, mkdirat, unlinkat
    case renameat2, flock, lseek, fcntl, fadvise, cachestat, listxattr, getxattr, fstatfs, ioctl
    case linkat, symlinkat, mknodat, fchmodat, fchownat, utimensat, setxattr, removexattr
    case fallocate, fdatasync, syncfs, close, socket, pipe, realpath
    case spawn = "posix_spawn"
    case syncFileRange = "sync_file_range"
}

/// What kind of file system a descriptor lies on.
package struct FileSystem: Sendable, Hashable {
    /// The magic number of statfs(2).
    package let type: Int
    /// As statfs(2) gives it, or what stands for it; 0 where nothing does.
    package let identity: UInt64
    package let blockSize: Int
    package let blocks: Int
    /// What is kept for root alone included.
    package let blocksFree: Int
    package let blocksAvailable: Int
    package let isReadOnly: Bool
    /// Inodes in use; 0 where it does not count them.
    package let inodesUsed: Int

    package init(
        type: Int, identity: UInt64, blockSize: Int, blocks: Int, blocksFree: Int? = nil,
        blocksAvailable: Int, isReadOnly: Bool, inodesUsed: Int = 0
    ) {
        self.type = type
        self.identity = identity
        self.blockSize = blockSize
        self.blocks = blocks
        self.blocksFree = blocksFree ?? blocksAvailable
        self.blocksAvailable = blocksAvailable
        self.isReadOnly = isReadOnly
        self.inodesUsed = inodesUsed
    }

    /// Of which nothing is taken on trust.
    static let unknown = FileSystem(
        type: 0, identity: 0, blockSize: 0, blocks: 0, blocksAvailable: 0, isReadOnly: false)

    /// Bytes that can still be written; nil where the file system does not say.
    package var available: Int? {
        guard blocks > 0 else { return nil }
        let (bytes, isTooLarge) = blocksAvailable.multipliedReportingOverflow(by: blockSize)
        return isTooLarge ? nil : bytes
    }
}

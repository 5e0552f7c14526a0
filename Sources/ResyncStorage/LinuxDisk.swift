import CLinux
package import ResyncCore

/// The kernel.
package final class LinuxDisk: Disk {
    package init() {}

    package func open(
        path: [UInt8], _ flags: OpenFlags, mode: UInt16
    ) throws(DiskError) -> Descriptor {
        try withCString(path) { (name) throws(DiskError) in
            try open(name, in: Descriptor(clinux_working_directory()), flags, mode: mode)
        }
    }

    package func open(
        _ name: UnsafePointer<CChar>, in directory: Descriptor, _ flags: OpenFlags, mode: UInt16
    ) throws(DiskError) -> Descriptor {
        Descriptor(
            try check(
                clinux_openat(directory.number, name, flags.rawValue, UInt32(mode)), .openat))
    }

    package func close(_ descriptor: Descriptor) { _ = clinux_close(descriptor.number) }

    package func stat(_ descriptor: Descriptor) throws(DiskError) -> Stat {
        var raw = clinux_stat()
        _ = try check(clinux_stat(descriptor.number, "", &raw), .statx)
        return try Stat(raw)
    }

    package func stat(
        _ name: UnsafePointer<CChar>, in directory: Descriptor
    ) throws(DiskError) -> Stat {
        var raw = clinux_stat()
        _ = try check(clinux_stat(directory.number, name, &raw), .statx)
        return try Stat(raw)
    }

    package func stat(path: [UInt8]) throws(DiskError) -> Stat {
        var raw = clinux_stat()
        try withCString(path) { (name) throws(DiskError) in
            _ = try check(
                clinux_stat_followed(clinux_working_directory(), name, &raw), .statx)
        }
        return try Stat(raw)
    }

    package func list(
        _ directory: Descriptor, into names: inout NameList,
        buffer: UnsafeMutableRawBufferPointer
    ) throws(DiskError) -> Bool {
        let length = try check(
            clinux_getdents(directory.number, buffer.baseAddress, UInt64(buffer.count)),
            .getdents64)
        guard length > 0 else { return false }
        appendNames(UnsafeRawBufferPointer(rebasing: buffer[..<length]), to: &names)
        return true
    }

    package func readLink(
        _ name: UnsafePointer<CChar>, in directory: Descriptor
    ) throws(DiskError) -> [UInt8] {
        // PATH_MAX bounds what symlink(2) accepts; a full buffer would mean it was cut.
        var buffer = [UInt8](repeating: 0, count: 4097)
        let result = buffer.withUnsafeMutableBytes { raw in
            let bytes = raw.assumingMemoryBound(to: CChar.self)
            return clinux_readlink(
                directory.number, name, bytes.baseAddress, UInt64(bytes.count))
        }
        let length = try check(result, .readlinkat)
        guard length < buffer.count else {
            throw DiskError(.readlinkat, ErrorNumber.nameTooLong)
        }
        return Array(buffer[..<length])
    }

    package func read(
        _ descriptor: Descriptor, into buffer: UnsafeMutableRawBufferPointer, at offset: Int,
        _ mode: ReadMode
    ) throws(DiskError) -> Int {
        // preadv2 takes -1 for the current position.
        guard offset >= 0 else { throw DiskError(.pread, ErrorNumber.invalidArgument) }
        let size = UInt64(buffer.count)
        if mode == .passing {
            let count = clinux_pread_uncached(
                descriptor.number, buffer.baseAddress, size, Int64(offset))
            if count >= 0 { return Int(count) }
            // Older kernels and some file systems do not know the flag: read plainly.
            if count != -Int64(ErrorNumber.notSupported) {
                throw DiskError(.pread, Int32(-count))
            }
        }
        return try check(
            clinux_pread(descriptor.number, buffer.baseAddress, size, Int64(offset)), .pread)
    }

    package func lock(_ descriptor: Descriptor, exclusive: Bool) throws(DiskError) -> Bool {
        let result = clinux_lock(descriptor.number, exclusive ? 2 : 1)
        if result == -ErrorNumber.wouldBlock { return false }
        _ = try check(result, .flock)
        return true
    }

    /// The last page of the longest file there can be ends behind any offset. Of a file this close
    /// to it the kernel's answers wrap around, and tmpfs does not find data there at all.
    private static let lastOffsets = (Int.max - (2 << 20) + 1)..<Int.max

    package func nextData(
        _ descriptor: Descriptor, from offset: Int
    ) throws(DiskError) -> Int? {
        let found = clinux_seek(
            descriptor.number, Int64(offset), Int32(CLINUX_SEEK_DATA))
        guard found == -Int64(ErrorNumber.noSuchAddress) else { return try check(found, .lseek) }
        let size = try stat(descriptor).size
        guard size > Self.lastOffsets.lowerBound, offset < size else { return nil }
        return max(offset, Self.lastOffsets.lowerBound)
    }

    package func nextHole(_ descriptor: Descriptor, from offset: Int) throws(DiskError) -> Int {
        let found = clinux_seek(descriptor.number, Int64(offset), Int32(CLINUX_SEEK_HOLE))
        return found == .min ? Self.lastOffsets.upperBound : try check(found, .lseek)
    }

    package func dropCache(_ descriptor: Descriptor) throws(DiskError) {
        // Dirty pages are not dropped: write them back first.
        try syncData(descriptor)
        _ = try check(clinux_drop_cache(descriptor.number, 0, 0), .fadvise)
    }

    package func stopReadAhead(_ descriptor: Descriptor) {
        _ = clinux_stop_read_ahead(descriptor.number)
    }

    package func writeBack(_ descriptor: Descriptor) {
        _ = clinux_write_back(descriptor.number)
    }

    package func prefetch(_ descriptor: Descriptor, size: Int) {
        _ = clinux_prefetch(descriptor.number, 0, Int64(size))
    }

    package func cachedPages(
        _ descriptor: Descriptor, in range: Range<Int>
    ) throws(DiskError) -> Int {
        try check(
            clinux_cached_pages(
                descriptor.number, Int64(range.lowerBound), Int64(range.count)), .cachestat)
    }

    package func directAlignment(
        _ descriptor: Descriptor
    ) throws(DiskError) -> DirectAlignment? {
        var raw = clinux_stat()
        _ = try check(clinux_stat_direct(descriptor.number, &raw), .statx)
        guard raw.direct_offset_alignment > 0 else { return nil }
        return DirectAlignment(
            memory: Int(raw.direct_memory_alignment), offset: Int(raw.direct_offset_alignment))
    }

    package func setDirect(_ descriptor: Descriptor) throws(DiskError) {
        _ = try check(clinux_set_direct(descriptor.number), .fcntl)
    }

    package func attributeNames(
        _ name: UnsafePointer<CChar>?, _ descriptor: Descriptor
    ) throws(DiskError) -> [[UInt8]] {
        let list = try growing(.listxattr) { bytes, size in
            let text = bytes?.assumingMemoryBound(to: CChar.self)
            guard let name else { return clinux_list_xattr(descriptor.number, text, size) }
            return clinux_list_xattr_at(descriptor.number, name, text, size)
        }
        return list.split(separator: 0).map { Array($0) }
            .filter { !Self.secondNames.contains($0) }
    }

    /// XFS lists access control lists once more under names of its own, to root only: they cannot
    /// be set or removed beside the others, and say nothing new.
    private static let secondNames: Set<[UInt8]> = [
        Array("trusted.SGI_ACL_FILE".utf8), Array("trusted.SGI_ACL_DEFAULT".utf8),
    ]

    package func attribute(
        _ attribute: [UInt8], of name: UnsafePointer<CChar>?, _ descriptor: Descriptor
    ) throws(DiskError) -> [UInt8] {
        try withCString(attribute, .getxattr) { (attribute) throws(DiskError) in
            try growing(.getxattr) { bytes, size in
                guard let name else {
                    return clinux_get_xattr(descriptor.number, attribute, bytes, size)
                }
                return clinux_get_xattr_at(descriptor.number, name, attribute, bytes, size)
            }
        }
    }

    package func fileSystem(_ descriptor: Descriptor) throws(DiskError) -> FileSystem {
        var raw = clinux_file_system()
        _ = try check(clinux_file_system(descriptor.number, &raw), .fstatfs)
        let identity =
            raw.identity == 0
            ? sourceIdentity(of: descriptor, LinuxKernelFiles()) : raw.identity
        return FileSystem(
            type: Int(raw.type), identity: identity,
            blockSize: Int(clamping: raw.block_size), blocks: Int(clamping: raw.blocks),
            blocksFree: Int(clamping: raw.blocks_free),
            blocksAvailable: Int(clamping: raw.blocks_available), isReadOnly: raw.read_only != 0,
            inodesUsed: Int(clamping: raw.inodes_used))
    }

    package func deviceSize(_ descriptor: Descriptor) throws(DiskError) -> Int {
        try check(clinux_device_size(descriptor.number), .ioctl)
    }

    package func isReadOnlyDevice(_ descriptor: Descriptor) throws(DiskError) -> Bool {
        try check(clinux_device_read_only(descriptor.number), .ioctl) != 0
    }

    package func isOpenForWriting(_ descriptor: Descriptor) throws(DiskError) -> Bool {
        try check(clinux_open_for_writing(descriptor.number), .fcntl) != 0
    }
}

/// The result of a call, or the error it returned negated.
func check(_ result: Int32, _ call: SystemCall) throws(DiskError) -> Int32 {
    guard result >= 0 else { throw DiskError(call, -result) }
    return result
}

func check(_ result: Int64, _ call: SystemCall) throws(DiskError) -> Int {
    guard result >= 0 else { throw DiskError(call, Int32(-result)) }
    return Int(result)
}

/// Calls `body` with the bytes as a C string. A NUL inside would cut the name: refused as the
/// kernel refuses a name that does not exist.
func withCString<R>(
    _ bytes: [UInt8], _ call: SystemCall = .openat,
    _ body: (UnsafePointer<CChar>) throws(DiskError) -> R
) throws(DiskError) -> R {
    guard !bytes.contains(0) else { throw DiskError(call, ErrorNumber.invalidArgument) }
    return try (bytes + [0]).withUnsafeBufferPointer { (all) throws(DiskError) -> R in
        let start = UnsafeRawPointer(all.baseAddress.unsafelyUnwrapped)
        return try start.withMemoryRebound(to: CChar.self, capacity: all.count) {
            (name) throws(DiskError) -> R in try body(name)
        }
    }
}

/// Asks for the size, then for the bytes, again when they grew in between.
private func growing(
    _ call: SystemCall, _ body: (UnsafeMutableRawPointer?, UInt64) -> Int64
) throws(DiskError) -> [UInt8] {
    for _ in 0..<8 {
        let size = body(nil, 0)
        guard size >= 0 else { throw DiskError(call, Int32(-size)) }
        guard size > 0 else { return [] }
        var buffer = [UInt8](repeating: 0, count: Int(size))
        let length = buffer.withUnsafeMutableBytes { body($0.baseAddress, UInt64(size)) }
        if length == -Int64(ErrorNumber.outOfRange) { continue }
        guard length >= 0 else { throw DiskError(call, Int32(-length)) }
        return Array(buffer[..<Int(length)])
    }
    throw DiskError(call, ErrorNumber.outOfRange)
}

/// Parses `struct linux_dirent64` records: inode 8, offset 8, length 2, kind 1, name.
private func appendNames(_ records: UnsafeRawBufferPointer, to names: inout NameList) {
    var at = 0
    while at + 19 < records.count {
        let length = Int(records.loadUnaligned(fromByteOffset: at + 16, as: UInt16.self))
        guard length > 19, at + length <= records.count else { return }
        let field = records[(at + 19)..<(at + length)]
        let end = field.firstIndex(of: 0) ?? field.endIndex
        let name = UnsafeRawBufferPointer(rebasing: field[..<end])
        let isDots =
            name.count <= 2 && !name.isEmpty && name.allSatisfy { $0 == UInt8(ascii: ".") }
        if !isDots { names.append(name, kind: EntryType(directoryKind: records[at + 18])) }
        at += length
    }
}

extension EntryType {
    /// From `d_type` (readdir(3)); nil for DT_UNKNOWN and what is not known here.
    fileprivate init?(directoryKind: UInt8) {
        switch directoryKind {
        case 1: self = .fifo
        case 2: self = .characterDevice
        case 4: self = .directory
        case 6: self = .blockDevice
        case 8: self = .file
        case 10: self = .symlink
        case 12: self = .socket
        default: return nil
        }
    }

    /// From the type bits of `st_mode` (inode(7)).
    fileprivate init?(mode: UInt32) {
        self.init(directoryKind: UInt8(truncatingIfNeeded: (mode >> 12) & 15))
    }
}

extension Stat {
    fileprivate init(_ raw: clinux_stat) throws(DiskError) {
        // A size beyond what an offset can say cannot be read: treat it as the kernel would.
        guard let type = EntryType(mode: raw.mode), let size = Int(exactly: raw.size) else {
            throw DiskError(.statx, ErrorNumber.tooLarge)
        }
        self.init(
            type: type, mode: UInt16(truncatingIfNeeded: raw.mode & 0o7777), uid: raw.uid,
            gid: raw.gid, size: size,
            mtime: Timestamp(seconds: raw.mtime_seconds, nanoseconds: raw.mtime_nanoseconds),
            ctime: Timestamp(seconds: raw.ctime_seconds, nanoseconds: raw.ctime_nanoseconds),
            inode: raw.inode,
            device: DeviceNumber(major: raw.device_major, minor: raw.device_minor),
            mount: raw.mount, links: raw.links,
            special: DeviceNumber(major: raw.special_major, minor: raw.special_minor),
            allocated: raw.blocks,
            birth: raw.has_birth == 0
                ? nil
                : Timestamp(seconds: raw.birth_seconds, nanoseconds: raw.birth_nanoseconds))
    }
}

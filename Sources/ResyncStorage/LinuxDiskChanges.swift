import CLinux
package import ResyncCore

/// What changes a disk.
extension LinuxDisk {
    package func write(
        _ descriptor: Descriptor, _ bytes: UnsafeRawBufferPointer, at offset: Int
    ) throws(DiskError) -> Int {
        try check(
            clinux_pwrite(
                descriptor.number, bytes.baseAddress, UInt64(bytes.count), Int64(offset)),
            .pwrite)
    }

    package func truncate(_ descriptor: Descriptor, to size: Int) throws(DiskError) {
        _ = try check(clinux_truncate(descriptor.number, Int64(size)), .ftruncate)
    }

    package func allocate(
        _ descriptor: Descriptor, from offset: Int, count: Int
    ) throws(DiskError) {
        _ = try check(
            clinux_allocate(descriptor.number, Int64(offset), Int64(count)), .fallocate)
    }

    package func punchHole(
        _ descriptor: Descriptor, from offset: Int, count: Int
    ) throws(DiskError) {
        _ = try check(
            clinux_punch_hole(descriptor.number, Int64(offset), Int64(count)), .fallocate)
    }

    package func sync(_ descriptor: Descriptor) throws(DiskError) {
        _ = try check(clinux_sync(descriptor.number), .fsync)
    }

    package func syncData(_ descriptor: Descriptor) throws(DiskError) {
        _ = try check(clinux_sync_data(descriptor.number), .fdatasync)
    }

    package func syncFileSystem(_ descriptor: Descriptor) throws(DiskError) {
        _ = try check(clinux_sync_file_system(descriptor.number), .syncfs)
    }

    // MARK: - Names

    package func makeDirectory(
        _ name: UnsafePointer<CChar>, in directory: Descriptor, mode: UInt16
    ) throws(DiskError) {
        _ = try check(clinux_mkdir(directory.number, name, UInt32(mode)), .mkdirat)
    }

    package func makeSymlink(
        _ target: [UInt8], _ name: UnsafePointer<CChar>, in directory: Descriptor
    ) throws(DiskError) {
        try withCString(target, .symlinkat) { (target) throws(DiskError) in
            _ = try check(clinux_symlink(target, directory.number, name), .symlinkat)
        }
    }

    package func makeSpecial(
        _ name: UnsafePointer<CChar>, in directory: Descriptor, _ type: EntryType, mode: UInt16,
        device: DeviceNumber
    ) throws(DiskError) {
        guard let kind = type.specialKind else {
            throw DiskError(.mknodat, ErrorNumber.invalidArgument)
        }
        _ = try check(
            clinux_make_node(
                directory.number, name, kind, UInt32(mode), device.major, device.minor),
            .mknodat)
    }

    package func link(
        _ name: UnsafePointer<CChar>, in directory: Descriptor, to newName: UnsafePointer<CChar>,
        in newDirectory: Descriptor
    ) throws(DiskError) {
        _ = try check(
            clinux_link(directory.number, name, newDirectory.number, newName), .linkat)
    }

    package func remove(
        _ name: UnsafePointer<CChar>, in directory: Descriptor, isDirectory: Bool
    ) throws(DiskError) {
        _ = try check(clinux_unlink(directory.number, name, isDirectory ? 1 : 0), .unlinkat)
    }

    package func rename(
        _ name: UnsafePointer<CChar>, in directory: Descriptor, to newName: UnsafePointer<CChar>,
        in newDirectory: Descriptor, _ rule: RenameRule
    ) throws(DiskError) {
        let code: Int32 =
            switch rule {
            case .replace: 0
            case .keep: 1
            case .exchange: 2
            }
        _ = try check(
            clinux_rename(directory.number, name, newDirectory.number, newName, code),
            .renameat2)
    }

    // MARK: - Metadata

    package func setMode(
        _ mode: UInt16, of name: UnsafePointer<CChar>?, _ descriptor: Descriptor
    ) throws(DiskError) {
        _ = try check(clinux_set_mode(descriptor.number, name, UInt32(mode)), .fchmodat)
    }

    package func setOwner(
        uid: UInt32, gid: UInt32, of name: UnsafePointer<CChar>?, _ descriptor: Descriptor
    ) throws(DiskError) {
        guard uid != .max, gid != .max else {
            throw DiskError(.fchownat, ErrorNumber.invalidArgument)
        }
        _ = try check(clinux_set_owner(descriptor.number, name, uid, gid), .fchownat)
    }

    package func setTimes(
        modified: Timestamp, of name: UnsafePointer<CChar>?, _ descriptor: Descriptor
    ) throws(DiskError) {
        // Two values beyond mean "now" and "as it is".
        guard modified.nanoseconds < 1_000_000_000 else {
            throw DiskError(.utimensat, ErrorNumber.invalidArgument)
        }
        _ = try check(
            clinux_set_modified(
                descriptor.number, name, modified.seconds, modified.nanoseconds),
            .utimensat)
    }

    package func setAttribute(
        _ attribute: [UInt8], to value: [UInt8], of name: UnsafePointer<CChar>?,
        _ descriptor: Descriptor
    ) throws(DiskError) {
        try withCString(attribute, .setxattr) { (attribute) throws(DiskError) in
            let result = value.withUnsafeBytes {
                clinux_set_xattr(
                    descriptor.number, name, attribute, $0.baseAddress, UInt64($0.count))
            }
            _ = try check(result, .setxattr)
        }
    }

    package func removeAttribute(
        _ attribute: [UInt8], of name: UnsafePointer<CChar>?, _ descriptor: Descriptor
    ) throws(DiskError) {
        try withCString(attribute, .removexattr) { (attribute) throws(DiskError) in
            _ = try check(
                clinux_remove_xattr(descriptor.number, name, attribute), .removexattr)
        }
    }
}

extension EntryType {
    /// As `d_type` (readdir(3)) has it; nil for what mknod(2) is not for.
    fileprivate var specialKind: UInt32? {
        switch self {
        case .fifo: 1
        case .characterDevice: 2
        case .blockDevice: 6
        case .socket: 12
        case .file, .directory, .symlink: nil
        }
    }
}

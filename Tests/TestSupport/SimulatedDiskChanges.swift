import Glibc
package import ResyncCore
package import ResyncStorage

/// The calls that change something, and those about extended attributes.
extension SimulatedDisk {
    package func write(
        _ descriptor: Descriptor, _ bytes: UnsafeRawBufferPointer, at offset: Int
    ) throws(DiskError) -> Int {
        try perform(.pwrite, .descriptor(descriptor), range: asked(offset, bytes.count)) {
            (state, verdict) throws(Refusal) in
            try state.write(descriptor, bytes, at: offset, verdict)
        }
    }

    package func truncate(_ descriptor: Descriptor, to size: Int) throws(DiskError) {
        try perform(.ftruncate, .descriptor(descriptor)) { (state, _) throws(Refusal) in
            try state.truncate(descriptor, to: size)
        }
    }

    package func allocate(
        _ descriptor: Descriptor, from offset: Int, count: Int
    ) throws(DiskError) {
        try perform(.fallocate, .descriptor(descriptor), range: asked(offset, count)) {
            (state, _) throws(Refusal) in
            try state.allocate(descriptor, from: offset, count: count, punches: false)
        }
    }

    package func punchHole(
        _ descriptor: Descriptor, from offset: Int, count: Int
    ) throws(DiskError) {
        try perform(.fallocate, .descriptor(descriptor), range: asked(offset, count)) {
            (state, _) throws(Refusal) in
            try state.allocate(descriptor, from: offset, count: count, punches: true)
        }
    }

    package func sync(_ descriptor: Descriptor) throws(DiskError) {
        try perform(.fsync, .descriptor(descriptor)) { (state, _) throws(Refusal) in
            try state.sync(descriptor)
        }
    }

    package func syncData(_ descriptor: Descriptor) throws(DiskError) {
        try perform(.fdatasync, .descriptor(descriptor)) { (state, _) throws(Refusal) in
            try state.sync(descriptor, dataOnly: true)
        }
    }

    package func syncFileSystem(_ descriptor: Descriptor) throws(DiskError) {
        try perform(.syncfs, .descriptor(descriptor)) { (state, _) throws(Refusal) in
            try state.syncFileSystem(descriptor)
        }
    }

    // MARK: - Names

    package func makeDirectory(
        _ name: UnsafePointer<CChar>, in directory: Descriptor, mode: UInt16
    ) throws(DiskError) {
        try make(.mkdirat, name, directory) { (state, name, start) throws(Refusal) in
            try state.makeDirectory(name, from: start, mode: mode)
        }
    }

    package func makeSymlink(
        _ target: [UInt8], _ name: UnsafePointer<CChar>, in directory: Descriptor
    ) throws(DiskError) {
        guard !target.contains(0) else { throw DiskError(.symlinkat, EINVAL) }
        try make(.symlinkat, name, directory) { (state, name, start) throws(Refusal) in
            try state.makeSymlink(target, name, from: start)
        }
    }

    package func makeSpecial(
        _ name: UnsafePointer<CChar>, in directory: Descriptor, _ type: EntryType, mode: UInt16,
        device: DeviceNumber
    ) throws(DiskError) {
        try make(.mknodat, name, directory) { (state, name, start) throws(Refusal) in
            try state.makeSpecial(name, from: start, type, mode: mode, device)
        }
    }

    private func make(
        _ kind: SystemCall, _ name: UnsafePointer<CChar>, _ directory: Descriptor,
        _ body: (inout State, [UInt8], ObjectID) throws(Refusal) -> Void
    ) throws(DiskError) {
        let name = bytes(name)
        try perform(kind, .entry(name, directory)) { (state, _) throws(Refusal) in
            try body(&state, name, try state.start(directory, name))
        }
    }

    /// By the new name as far as faults and counters go.
    package func link(
        _ name: UnsafePointer<CChar>, in directory: Descriptor, to newName: UnsafePointer<CChar>,
        in newDirectory: Descriptor
    ) throws(DiskError) {
        let old = bytes(name)
        try make(.linkat, newName, newDirectory) { (state, new, start) throws(Refusal) in
            try state.link(
                old, from: try state.start(directory, old), to: new, from: start)
        }
    }

    package func remove(
        _ name: UnsafePointer<CChar>, in directory: Descriptor, isDirectory: Bool
    ) throws(DiskError) {
        try make(.unlinkat, name, directory) { (state, name, start) throws(Refusal) in
            try state.remove(name, from: start, isDirectory: isDirectory)
        }
    }

    package func rename(
        _ name: UnsafePointer<CChar>, in directory: Descriptor, to newName: UnsafePointer<CChar>,
        in newDirectory: Descriptor, _ rule: RenameRule
    ) throws(DiskError) {
        let newName = bytes(newName)
        try make(.renameat2, name, directory) { (state, name, start) throws(Refusal) in
            try state.rename(
                name, from: start, to: newName, from: try state.start(newDirectory, newName),
                rule)
        }
    }

    // MARK: - What an inode says

    package func setMode(
        _ mode: UInt16, of name: UnsafePointer<CChar>?, _ descriptor: Descriptor
    ) throws(DiskError) {
        try about(.fchmodat, name, descriptor) { (state, name) throws(Refusal) in
            try state.setMode(mode, name, descriptor)
        }
    }

    package func setOwner(
        uid: UInt32, gid: UInt32, of name: UnsafePointer<CChar>?, _ descriptor: Descriptor
    ) throws(DiskError) {
        try about(.fchownat, name, descriptor) { (state, name) throws(Refusal) in
            try state.setOwner(uid: uid, gid: gid, name, descriptor)
        }
    }

    package func setTimes(
        modified: Timestamp, of name: UnsafePointer<CChar>?, _ descriptor: Descriptor
    ) throws(DiskError) {
        try about(.utimensat, name, descriptor) { (state, name) throws(Refusal) in
            try state.setTimes(modified: modified, name, descriptor)
        }
    }

    package func setAttribute(
        _ attribute: [UInt8], to value: [UInt8], of name: UnsafePointer<CChar>?,
        _ descriptor: Descriptor
    ) throws(DiskError) {
        guard !attribute.contains(0) else { throw DiskError(.setxattr, EINVAL) }
        try about(.setxattr, name, descriptor) { (state, name) throws(Refusal) in
            try state.setAttribute(attribute, value, name, descriptor)
        }
    }

    package func removeAttribute(
        _ attribute: [UInt8], of name: UnsafePointer<CChar>?, _ descriptor: Descriptor
    ) throws(DiskError) {
        guard !attribute.contains(0) else { throw DiskError(.removexattr, EINVAL) }
        try about(.removexattr, name, descriptor) { (state, name) throws(Refusal) in
            try state.removeAttribute(attribute, name, descriptor)
        }
    }

    package func attributeNames(
        _ name: UnsafePointer<CChar>?, _ descriptor: Descriptor
    ) throws(DiskError) -> [[UInt8]] {
        try about(.listxattr, name, descriptor) { (state, name) throws(Refusal) in
            try state.attributeNames(name, descriptor)
        }
    }

    package func attribute(
        _ attribute: [UInt8], of name: UnsafePointer<CChar>?, _ descriptor: Descriptor
    ) throws(DiskError) -> [UInt8] {
        guard !attribute.contains(0) else { throw DiskError(.getxattr, EINVAL) }
        return try about(.getxattr, name, descriptor) { (state, name) throws(Refusal) in
            try state.attribute(attribute, name, descriptor)
        }
    }

    private func about<R: Sendable>(
        _ kind: SystemCall, _ name: UnsafePointer<CChar>?, _ descriptor: Descriptor,
        _ body: (inout State, [UInt8]?) throws(Refusal) -> R
    ) throws(DiskError) -> R {
        let name = name.map { bytes($0) }
        let subject: Subject =
            if let name { .entry(name, descriptor) } else { .descriptor(descriptor) }
        return try perform(kind, subject) { (state, _) throws(Refusal) in
            try body(&state, name)
        }
    }
}

/// The bytes a call asks for; empty where they cannot be.
func asked(_ offset: Int, _ count: Int) -> Range<Int> {
    guard offset >= 0, count >= 0 else { return 0..<0 }
    let (end, overflow) = offset.addingReportingOverflow(count)
    return offset..<(overflow ? Int.max : end)
}

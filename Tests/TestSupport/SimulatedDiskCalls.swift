import Glibc
package import ResyncCore
package import ResyncStorage
import Synchronization

/// The rest of `Disk`.
extension SimulatedDisk {
    package func list(
        _ directory: Descriptor, into names: inout NameList,
        buffer: UnsafeMutableRawBufferPointer
    ) throws(DiskError) -> Bool {
        let space = buffer.count
        let found = try perform(.getdents64, .descriptor(directory)) {
            (state, verdict) throws(Refusal) in
            try state.list(directory, space: space, verdict)
        }
        for entry in found { names.append(entry.name, kind: entry.kind) }
        return !found.isEmpty
    }

    package func readLink(
        _ name: UnsafePointer<CChar>, in directory: Descriptor
    ) throws(DiskError) -> [UInt8] {
        let name = bytes(name)
        return try perform(.readlinkat, .entry(name, directory)) { (state, _) throws(Refusal) in
            if name.isEmpty { return try state.target(directory) }
            let found = try state.find(name, from: try state.start(directory, name), .stop)
            guard found.type == .symlink else { throw Refusal(EINVAL) }
            return found.target
        }
    }

    package func read(
        _ descriptor: Descriptor, into buffer: UnsafeMutableRawBufferPointer, at offset: Int,
        _ mode: ReadMode
    ) throws(DiskError) -> Int {
        let view = state.withLock { $0.view(descriptor, mode) }
        return try perform(
            .pread, .descriptor(descriptor), range: asked(offset, buffer.count), view: view
        ) { (state, verdict) throws(Refusal) in
            try state.read(descriptor, into: buffer, at: offset, view, verdict)
        }
    }

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

    package func sync(_ descriptor: Descriptor) throws(DiskError) {
        try perform(.fsync, .descriptor(descriptor)) { (state, _) throws(Refusal) in
            try state.sync(descriptor)
        }
    }

    package func makeDirectory(
        _ name: UnsafePointer<CChar>, in directory: Descriptor, mode: UInt16
    ) throws(DiskError) {
        let name = bytes(name)
        try perform(.mkdirat, .entry(name, directory)) { (state, _) throws(Refusal) in
            try state.makeDirectory(name, from: try state.start(directory, name), mode: mode)
        }
    }

    package func remove(
        _ name: UnsafePointer<CChar>, in directory: Descriptor, isDirectory: Bool
    ) throws(DiskError) {
        let name = bytes(name)
        try perform(.unlinkat, .entry(name, directory)) { (state, _) throws(Refusal) in
            try state.remove(
                name, from: try state.start(directory, name), isDirectory: isDirectory)
        }
    }

    package func rename(
        _ name: UnsafePointer<CChar>, in directory: Descriptor, to newName: UnsafePointer<CChar>,
        in newDirectory: Descriptor, replacing: Bool
    ) throws(DiskError) {
        let name = bytes(name)
        let newName = bytes(newName)
        try perform(.renameat2, .entry(name, directory)) { (state, _) throws(Refusal) in
            try state.rename(
                name, from: try state.start(directory, name), to: newName,
                from: try state.start(newDirectory, newName), replacing: replacing)
        }
    }

    package func lock(_ descriptor: Descriptor, exclusive: Bool) throws(DiskError) -> Bool {
        do {
            return try perform(.flock, .descriptor(descriptor)) { (state, _) throws(Refusal) in
                let object = try state.usable(descriptor).1
                return state.objects[object.id]?.locks.take(
                    descriptor.number, exclusive: exclusive) ?? false
            }
        } catch let error where error.number == EWOULDBLOCK {
            return false
        }
    }

    package func nextData(
        _ descriptor: Descriptor, from offset: Int
    ) throws(DiskError) -> Int? {
        do {
            return try seek(descriptor, offset) { $0.nextData(from: offset) }
        } catch let error where error.number == ENXIO {
            return nil
        }
    }

    package func nextHole(_ descriptor: Descriptor, from offset: Int) throws(DiskError) -> Int {
        let found = try seek(descriptor, offset) { $0.nextHole(from: offset) }
        guard let found else { throw DiskError(.lseek, ENXIO) }
        return found
    }

    private func seek(
        _ descriptor: Descriptor, _ offset: Int, _ body: (SparseContent) -> Int?
    ) throws(DiskError) -> Int? {
        try perform(.lseek, .descriptor(descriptor)) { (state, verdict) throws(Refusal) in
            let object = try state.usable(descriptor).1
            if object.type == .fifo { throw Refusal(ESPIPE) }
            guard let file = object.file else { throw Refusal(EINVAL) }
            guard offset >= 0, offset < file.size else { throw Refusal(ENXIO) }
            if let answer = verdict.seek { return answer }
            return body(file.cache)
        }
    }

    package func dropCache(_ descriptor: Descriptor) throws(DiskError) {
        try sync(descriptor)
        try perform(.fadvise, .descriptor(descriptor)) { (state, _) throws(Refusal) in
            try state.dropCache(descriptor)
        }
    }

    package func cachedPages(_ descriptor: Descriptor, size: Int) throws(DiskError) -> Int {
        try perform(.cachestat, .descriptor(descriptor)) { (state, _) throws(Refusal) in
            try state.cachedPages(descriptor, size: size)
        }
    }

    package func directAlignment(
        _ descriptor: Descriptor
    ) throws(DiskError) -> DirectAlignment? {
        try perform(.statx, .descriptor(descriptor)) { (state, _) throws(Refusal) in
            let object = state.object(try state.openFile(descriptor).object)
            guard object.file != nil,
                case .offered(let alignment) = state.mount(of: object).directReads
            else { return nil }
            return alignment
        }
    }

    package func setDirect(_ descriptor: Descriptor) throws(DiskError) {
        try perform(.fcntl, .descriptor(descriptor)) { (state, _) throws(Refusal) in
            _ = try state.openFile(descriptor)
            state.descriptors[descriptor.number]?.flags.insert(.direct)
        }
    }

    package func attributeNames(
        _ name: UnsafePointer<CChar>?, _ descriptor: Descriptor
    ) throws(DiskError) -> [[UInt8]] {
        let (name, subject) = attributed(name, descriptor)
        return try perform(.listxattr, subject) { (state, _) throws(Refusal) in
            // Not in the order of the dictionary, which changes from process to process.
            try state.attributed(name, descriptor).extended.keys.sorted {
                $1.lexicographicallyPrecedes($0)
            }
        }
    }

    package func attribute(
        _ attribute: [UInt8], of name: UnsafePointer<CChar>?, _ descriptor: Descriptor
    ) throws(DiskError) -> [UInt8] {
        guard !attribute.contains(0) else { throw DiskError(.openat, EINVAL) }
        let (name, subject) = attributed(name, descriptor)
        return try perform(.getxattr, subject) { (state, _) throws(Refusal) in
            let all = try state.attributed(name, descriptor).extended
            guard let value = all[attribute] else { throw Refusal(ENODATA) }
            return value
        }
    }

    private func attributed(
        _ name: UnsafePointer<CChar>?, _ descriptor: Descriptor
    ) -> (name: [UInt8]?, subject: Subject) {
        guard let name else { return (nil, .descriptor(descriptor)) }
        return (bytes(name), .entry(bytes(name), descriptor))
    }

    package func fileSystem(_ descriptor: Descriptor) throws(DiskError) -> FileSystem {
        try perform(.fstatfs, .descriptor(descriptor)) { (state, _) throws(Refusal) in
            let mount = state.mount(of: state.object(try state.openFile(descriptor).object))
            return FileSystem(
                type: mount.fileSystem, identity: mount.identity, blockSize: 4096,
                blocks: mount.blocks, blocksAvailable: mount.blocksAvailable,
                isReadOnly: mount.isReadOnly)
        }
    }

    package func deviceSize(_ descriptor: Descriptor) throws(DiskError) -> Int {
        try perform(.ioctl, .descriptor(descriptor)) { (state, _) throws(Refusal) in
            let object = try state.usable(descriptor).1
            guard object.type == .blockDevice, let file = object.file else {
                throw Refusal(ENOTTY)
            }
            return file.size
        }
    }

    /// The bytes a call asks for; empty where they cannot be.
    private func asked(_ offset: Int, _ count: Int) -> Range<Int> {
        guard offset >= 0 else { return 0..<0 }
        let (end, overflow) = offset.addingReportingOverflow(count)
        return offset..<(overflow ? Int.max : end)
    }
}

extension State {
    /// Where the symlink leads that was opened as a path.
    fileprivate func target(_ descriptor: Descriptor) throws(Refusal) -> [UInt8] {
        let found = object(try openFile(descriptor).object)
        guard found.type == .symlink else { throw Refusal(ENOENT) }
        return found.target
    }
}

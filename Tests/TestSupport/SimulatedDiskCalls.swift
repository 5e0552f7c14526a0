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
            return try seek(descriptor, offset) {
                $0.cache.nextData(from: offset, cached: $0.resident)
            }
        } catch let error where error.number == ENXIO {
            return nil
        }
    }

    package func nextHole(_ descriptor: Descriptor, from offset: Int) throws(DiskError) -> Int {
        let found = try seek(descriptor, offset) {
            $0.cache.nextHole(from: offset, cached: $0.resident)
        }
        guard let found else { throw DiskError(.lseek, ENXIO) }
        return found
    }

    private func seek(
        _ descriptor: Descriptor, _ offset: Int, _ body: (FileData) -> Int?
    ) throws(DiskError) -> Int? {
        try perform(.lseek, .descriptor(descriptor)) { (state, verdict) throws(Refusal) in
            let object = try state.usable(descriptor).1
            if object.type == .fifo { throw Refusal(ESPIPE) }
            guard let file = object.file else { throw Refusal(EINVAL) }
            guard offset >= 0, offset < file.size else { throw Refusal(ENXIO) }
            if let answer = verdict.seek { return answer }
            return body(file)
        }
    }

    package func dropCache(_ descriptor: Descriptor) throws(DiskError) {
        try syncData(descriptor)
        try perform(.fadvise, .descriptor(descriptor)) { (state, _) throws(Refusal) in
            try state.dropCache(descriptor)
        }
    }

    package func stopReadAhead(_ descriptor: Descriptor) {}

    package func writeBack(_ descriptor: Descriptor) {}

    package func prefetch(_ descriptor: Descriptor, size: Int) {
        try? perform(.fadvise, .descriptor(descriptor)) { (state, _) throws(Refusal) in
            try state.prefetch(descriptor, size: size)
        }
    }

    package func cachedPages(
        _ descriptor: Descriptor, in range: Range<Int>
    ) throws(DiskError) -> Int {
        try perform(.cachestat, .descriptor(descriptor)) { (state, _) throws(Refusal) in
            try state.cachedPages(descriptor, in: range)
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

    package func isReadOnlyDevice(_ descriptor: Descriptor) throws(DiskError) -> Bool {
        try perform(.ioctl, .descriptor(descriptor)) { (state, _) throws(Refusal) in
            let object = try state.usable(descriptor).1
            guard object.type == .blockDevice, object.file != nil else { throw Refusal(ENOTTY) }
            return object.refusesWrites
        }
    }

    package func isOpenForWriting(_ descriptor: Descriptor) throws(DiskError) -> Bool {
        try perform(.fcntl, .descriptor(descriptor)) { (state, _) throws(Refusal) in
            let (file, object) = try state.usable(descriptor)
            guard object.type == .file else { throw Refusal(EINVAL) }
            guard !file.canWrite else { throw Refusal(EAGAIN) }
            let isOwn = state.identity.isRoot || state.identity.uid == object.attributes.uid
            guard isOwn else { throw Refusal(EACCES) }
            return state.descriptors.values.contains { $0.object == object.id && $0.canWrite }
        }
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

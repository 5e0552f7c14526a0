import Glibc
import ResyncCore
import ResyncStorage

/// Opening, reading, writing and syncing.
extension State {
    mutating func open(
        _ name: [UInt8], from start: ObjectID, _ flags: OpenFlags, mode: UInt16, path: [UInt8]
    ) throws(Refusal) -> Descriptor {
        let creates = flags.contains(.create) && !flags.contains(.pathOnly)
        if creates, flags.contains(.directory) { throw Refusal(EINVAL) }
        let isExclusive = creates && flags.contains(.exclusive)
        let stops = flags.contains(.noFollow) || isExclusive
        let place = try resolve(
            name, from: start, stops ? .stop : .follow, createsFile: creates)
        guard let id = place.object else {
            guard creates else { throw Refusal(ENOENT) }
            let id = try create(place, mode: mode)
            return try addDescriptor(id, flags, path: path)
        }
        if isExclusive { throw Refusal(EEXIST) }
        let found = object(id)
        if creates { try checkSticky(found, in: place.parent) }
        if place.wantsDirectory || flags.contains(.directory), found.type != .directory {
            throw Refusal(ENOTDIR)
        }
        if flags.contains(.pathOnly) { return try addDescriptor(id, flags, path: path) }
        try checkOpen(found, flags, creates: creates)
        let descriptor = try addDescriptor(id, flags, path: path)
        if flags.contains(.truncate), found.type == .file { resize(id, to: 0) }
        return descriptor
    }

    /// What somebody else put into a sticky directory is not taken for a file that was to be
    /// created. Settings spare files and FIFOs that; whatever else there is, but directories, is
    /// refused in any case, which Solar Designer (2020, linux-kernel) calls unintended.
    private func checkSticky(_ found: Object, in parent: ObjectID) throws(Refusal) {
        let directory = object(parent).attributes
        let protection =
            switch found.type {
            case .directory: 0
            case .file: identity.protectedFiles
            case .fifo: identity.protectedFIFOs
            default: 1
            }
        guard protection > 0, directory.mode & Mode.sticky != 0,
            found.attributes.uid != directory.uid, found.attributes.uid != identity.uid
        else { return }
        let writers = protection > 1 ? 0o022 : 0o002 as UInt16
        if directory.mode & writers != 0 { throw Refusal(EACCES) }
    }

    private func checkOpen(
        _ found: Object, _ flags: OpenFlags, creates: Bool
    ) throws(Refusal) {
        let writes = !flags.isDisjoint(with: [.writeOnly, .readWrite])
        let changes = writes || flags.contains(.truncate)
        if found.type == .symlink { throw Refusal(ELOOP) }
        if changes, found.isImmutable { throw Refusal(EPERM) }
        if found.type == .directory, changes || creates { throw Refusal(EISDIR) }
        var wanted: Access = flags.contains(.writeOnly) ? [] : .read
        if changes { wanted.insert(.write) }
        try checkAccess(found, wanted)
        if changes, found.file != nil, found.type == .file { try checkWritable(found) }
        if found.refusesWrites, changes { throw Refusal(EACCES) }
        if found.type == .blockDevice, flags.contains(.exclusive) {
            let others = descriptors.values.contains {
                $0.object == found.id && $0.flags.contains(.exclusive)
                    && !$0.flags.contains(.pathOnly)
            }
            if found.isHeld || others { throw Refusal(EBUSY) }
        }
        if flags.contains(.noAccessTime), !identity.isRoot, found.attributes.uid != identity.uid {
            throw Refusal(EPERM)
        }
        switch found.type {
        case .socket: throw Refusal(ENXIO)
        case .characterDevice: throw Refusal(ENXIO)
        case .blockDevice where found.file == nil: throw Refusal(ENXIO)
        case .fifo:
            // Without a peer the kernel would wait for ever: a test wants to see that, not hang.
            guard flags.contains(.nonBlocking) else { throw Refusal(EDEADLK) }
            if flags.contains(.writeOnly) { throw Refusal(ENXIO) }
        default: break
        }
        if flags.contains(.direct), found.type == .file,
            case .refused = mount(of: found).directReads
        {
            throw Refusal(EINVAL)
        }
    }

    private mutating func create(_ place: Place, mode: UInt16) throws(Refusal) -> ObjectID {
        try checkChange(in: place.parent)
        try takeSpace(0, mount: object(place.parent).mount)
        let id = makeOwnObject(.file, in: place.parent, mode: mode & 0o7777)
        addName(place.name, in: place.parent, id)
        return id
    }

    func view(_ descriptor: Descriptor, _ mode: ReadMode) -> SimulatedDisk.View {
        if let file = descriptors[descriptor.number], file.flags.contains(.direct),
            case .offered = mount(of: object(file.object)).directReads
        {
            return .direct
        }
        return mode == .passing ? .passing : .cached
    }

    mutating func read(
        _ descriptor: Descriptor, into buffer: UnsafeMutableRawBufferPointer, at offset: Int,
        _ view: SimulatedDisk.View, _ verdict: Verdict
    ) throws(Refusal) -> Int {
        let (file, object) = try usable(descriptor)
        guard file.canRead else { throw Refusal(EBADF) }
        guard offset >= 0 else { throw Refusal(EINVAL) }
        if object.type == .fifo { throw Refusal(ESPIPE) }
        guard object.type != .directory else { throw Refusal(EISDIR) }
        guard let data = object.file else { throw Refusal(EINVAL) }
        if view == .direct { try checkAligned(object, UnsafeRawBufferPointer(buffer), offset) }
        let wanted = UnsafeMutableRawBufferPointer(
            rebasing: buffer[..<min(buffer.count, verdict.limit)])
        let count: Int
        if view == .direct {
            count = readMedium(data, into: wanted, at: offset)
        } else {
            count = data.cache.read(into: wanted, at: offset)
            if view == .cached, count > 0 {
                objects[object.id]?.file?.pageIn(offset..<offset + count)
            }
        }
        let part = UnsafeMutableRawBufferPointer(rebasing: wanted[..<count])
        for corruption in verdict.corruptions { corruption.apply(to: part, at: offset) }
        ledger.recordRead(count, file.path)
        return count
    }

    /// The size is the inode's, also where the medium never got the last bytes.
    private func readMedium(
        _ data: FileData, into buffer: UnsafeMutableRawBufferPointer, at offset: Int
    ) -> Int {
        let count = max(0, min(buffer.count, data.size - offset))
        let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
        let held = data.medium.read(into: part, at: offset)
        for at in held..<max(held, count) { part[at] = 0 }
        return count
    }

    private func checkAligned(
        _ object: Object, _ buffer: UnsafeRawBufferPointer, _ offset: Int
    ) throws(Refusal) {
        guard case .offered(let alignment) = mount(of: object).directReads else { return }
        let address = UInt(bitPattern: buffer.baseAddress)
        guard offset % alignment.offset == 0, buffer.count % alignment.offset == 0,
            address % UInt(alignment.memory) == 0
        else { throw Refusal(EINVAL) }
    }

    mutating func write(
        _ descriptor: Descriptor, _ bytes: UnsafeRawBufferPointer, at asked: Int,
        _ verdict: Verdict
    ) throws(Refusal) -> Int {
        let (file, stat) = try checkWrite(descriptor, bytes, at: asked)
        if bytes.isEmpty { return 0 }
        let offset = file.flags.contains(.append) ? stat.size : asked
        var limit = verdict.limit
        if stat.isDevice {
            guard offset < stat.size else { throw Refusal(ENOSPC) }
            limit = min(limit, stat.size - offset)
        }
        guard offset < Int.max else { throw Refusal(EFBIG) }
        limit = min(limit, bytes.count, Int.max - offset)
        if !stat.isDevice { limit = try takeSpace(file.object, offset..<offset + limit) }
        let part = Array(bytes.prefix(limit))
        store(
            part, in: file.object, at: offset, verdict,
            isDirect: view(descriptor, .cached) == .direct)
        return part.count
    }

    /// Returns no object: a copy held during the write would make it copy the file's extents.
    private func checkWrite(
        _ descriptor: Descriptor, _ bytes: UnsafeRawBufferPointer, at offset: Int
    ) throws(Refusal) -> (OpenFile, (size: Int, isDevice: Bool)) {
        let (file, object) = try usable(descriptor)
        guard offset >= 0 else { throw Refusal(EINVAL) }
        if object.type == .fifo { throw Refusal(ESPIPE) }
        guard file.canWrite else { throw Refusal(EBADF) }
        guard let data = object.file else { throw Refusal(EINVAL) }
        if object.type == .file {
            try checkWritable(object)
            if object.isImmutable { throw Refusal(EPERM) }
        }
        if file.flags.contains(.direct) { try checkAligned(object, bytes, offset) }
        return (file, (data.size, object.type == .blockDevice))
    }

    private mutating func store(
        _ bytes: [UInt8], in id: ObjectID, at offset: Int, _ verdict: Verdict, isDirect: Bool
    ) {
        noteWrite(id)
        objects[id]?.file?.cache.write(bytes, at: offset)
        let range = offset..<offset + bytes.count
        if isDirect {
            objects[id]?.file?.dropPages(range)
        } else {
            objects[id]?.file?.pageIn(range)
        }
        guard !verdict.isLost else { return }
        var sent = bytes
        for corruption in verdict.corruptions {
            sent.withUnsafeMutableBytes { corruption.apply(to: $0, at: offset) }
        }
        let target = max(0, offset + verdict.shift)
        let change = FileChange(sequence: nextSequence(), kind: .write(sent, at: target))
        objects[id]?.file?.apply(change)
    }

    mutating func truncate(_ descriptor: Descriptor, to size: Int) throws(Refusal) {
        guard size >= 0 else { throw Refusal(EINVAL) }
        let (file, object) = try usable(descriptor)
        guard file.canWrite, object.type == .file else { throw Refusal(EINVAL) }
        try checkWritable(object)
        if object.isImmutable { throw Refusal(EPERM) }
        resize(object.id, to: size)
    }

    private mutating func resize(_ id: ObjectID, to size: Int) {
        noteWrite(id)
        let before = objects[id]?.file?.cache.blockCount ?? 0
        objects[id]?.file?.cache.resize(to: size)
        freeSpace(id, before: before)
        let kept = SparseContent.blocks(0..<size).upperBound
        objects[id]?.file?.resident.remove(contentsOf: kept..<Int.max)
        let change = FileChange(sequence: nextSequence(), kind: .truncate(size))
        objects[id]?.file?.apply(change)
    }

    mutating func allocate(
        _ descriptor: Descriptor, from offset: Int, count: Int, punches: Bool
    ) throws(Refusal) {
        let (file, object) = try usable(descriptor)
        guard offset >= 0, count > 0 else { throw Refusal(EINVAL) }
        guard file.canWrite else { throw Refusal(EBADF) }
        if object.isImmutable { throw Refusal(EPERM) }
        switch object.type {
        case .fifo: throw Refusal(ESPIPE)
        case .directory: throw Refusal(EISDIR)
        case .file, .blockDevice: break
        default: throw Refusal(ENODEV)
        }
        let (end, overflow) = offset.addingReportingOverflow(count)
        guard !overflow else { throw Refusal(EFBIG) }
        guard mount(of: object).canAllocate || object.type == .blockDevice,
            punches || object.type == .file
        else { throw Refusal(EOPNOTSUPP) }
        if object.type == .blockDevice {
            // Whole sectors of the device.
            guard offset % 512 == 0, end % 512 == 0, end <= object.file?.size ?? 0 else {
                throw Refusal(EINVAL)
            }
        } else {
            try checkWritable(object)
        }
        noteWrite(object.id)
        try changeSpace(object.id, offset..<end, punches: punches)
    }

    private mutating func changeSpace(
        _ id: ObjectID, _ range: Range<Int>, punches: Bool
    ) throws(Refusal) {
        if !punches {
            // What there was space for stays reserved when the rest does not fit.
            let count = try takeSpace(id, range)
            let part = range.lowerBound..<range.lowerBound + count
            let change = FileChange(sequence: nextSequence(), kind: .allocate(part))
            objects[id]?.file?.cache.allocate(part)
            objects[id]?.file?.apply(change)
            if count < range.count { throw Refusal(mount(of: object(id)).spaceError) }
            return
        }
        let before = objects[id]?.file?.cache.blockCount ?? 0
        objects[id]?.file?.cache.punch(range)
        objects[id]?.file?.dropPages(range)
        let change = FileChange(sequence: nextSequence(), kind: .punch(range))
        objects[id]?.file?.apply(change)
        freeSpace(id, before: before)
    }

    mutating func dropCache(_ descriptor: Descriptor) throws(Refusal) {
        let (_, object) = try usable(descriptor)
        if object.type == .fifo { throw Refusal(ESPIPE) }
        if mount(of: object).dropsCache { objects[object.id]?.file?.evict() }
    }

    mutating func prefetch(_ descriptor: Descriptor, size: Int) throws(Refusal) {
        let (_, object) = try usable(descriptor)
        guard let data = object.file else { throw Refusal(EINVAL) }
        objects[object.id]?.file?.pageIn(0..<min(size, data.size))
    }

    func cachedPages(_ descriptor: Descriptor, in range: Range<Int>) throws(Refusal) -> Int {
        let (_, object) = try usable(descriptor)
        guard let data = object.file, !range.isEmpty else { return 0 }
        let pages = RangeSet(SparseContent.blocks(range))
        return data.resident.intersection(pages).ranges.reduce(0) { $0 + $1.count }
    }
}

package import ResyncCore

/// Why an image or device is not patched: one sentence that begins with a verb. Nothing was
/// written.
package struct TargetRefusal: Error, Sendable, Hashable {
    package let path: [UInt8]
    package let reason: String

    package init(_ path: [UInt8], _ reason: String) {
        self.path = path
        self.reason = reason
    }
}

/// An image or device that is open for being patched in place: nobody else was using it when it was
/// opened, and nobody who asks for its lock gets it.
package final class ImageTarget {
    /// As it was found, its path as planned.
    package let store: StoreReference
    /// What could not be made sure of, a sentence each.
    package private(set) var notes: [String] = []
    private let disk: any Disk
    /// Reads past the page cache where that is offered.
    private let reading: Descriptor
    private let writing: Descriptor
    private let isDirect: Bool
    private var syncFailure: DiskError?

    package var size: Int { store.size }

    /// Opens what a plan was made for.
    ///
    /// - Parameter isLocked: whether the caller holds its lock already.
    /// - Throws: `TargetRefusal` where it is another one, in use, or cannot be written.
    package init(
        _ planned: StoreReference, disk: any Disk, files: some KernelFiles = LinuxKernelFiles(),
        isLocked: Bool = false
    ) throws {
        var opening = TargetOpening(planned, disk, files, isLocked: isLocked)
        do {
            try opening.open()
        } catch {
            opening.close()
            if let error = error as? DiskError {
                throw TargetRefusal(planned.path, "cannot be opened: \(error.sentence)")
            }
            throw error
        }
        guard let reading = opening.reading, let writing = opening.writing,
            let found = opening.found
        else { preconditionFailure("a target that is not open") }
        self.disk = disk
        self.reading = reading
        self.writing = writing
        store = found
        notes = opening.notes
        isDirect = opening.isDirect
    }

    deinit {
        disk.close(writing)
        disk.close(reading)
    }

    // MARK: Reading and writing

    /// What direct reads are aligned to.
    package static let page = 4096

    /// The bytes a buffer for an extent needs, since whole pages are read.
    package static func window(_ extent: Extent) -> Int {
        let start = extent.offset / page * page
        return (extent.end - start + page - 1) / page * page
    }

    /// Reads an extent as the medium has it, where direct reads are offered; elsewhere from the
    /// page cache. Nil where the target ends before it.
    ///
    /// - Parameter buffer: aligned to a page, with a place for `window(extent)` bytes.
    package func read(
        _ extent: Extent, into buffer: UnsafeMutableRawBufferPointer
    ) throws(DiskError) -> UnsafeRawBufferPointer? {
        let start = extent.offset / Self.page * Self.page
        let window = UnsafeMutableRawBufferPointer(rebasing: buffer[..<Self.window(extent)])
        let count =
            isDirect
            ? try disk.readDirectly(reading, into: window, at: start)
            : try disk.readFully(reading, into: window, at: start, .passing)
        let skipped = extent.offset - start
        guard count >= skipped + extent.length else { return nil }
        return UnsafeRawBufferPointer(
            rebasing: window[skipped..<(skipped + extent.length)])
    }

    package func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(DiskError) {
        try disk.writeFully(writing, bytes, at: offset)
    }

    /// What was written is durable when this returns. Once it failed, it fails for good.
    package func sync() throws(DiskError) {
        if let syncFailure { throw syncFailure }
        do throws(DiskError) {
            try disk.syncData(writing)
        } catch {
            syncFailure = error
            throw error
        }
    }

    /// Has what follows read from the medium, as far as that can be had without direct reads.
    package func refresh() throws(DiskError) {
        if !isDirect { try disk.dropCache(reading) }
    }

    /// Whether a file in this folder would lie on the target.
    package func holds(_ folder: Folder) throws(DiskError) -> Bool {
        guard store.kind == .device else { return false }
        return try folder.stat().device == store.identity.device
    }
}

/// The way from a path to a target that is open.
private struct TargetOpening<Files: KernelFiles> {
    let planned: StoreReference
    let disk: any Disk
    var use: TargetUse<Files>
    var reading: Descriptor?
    var writing: Descriptor?
    var found: StoreReference?
    var notes: [String] = []
    var isDirect = false
    let isLocked: Bool

    init(_ planned: StoreReference, _ disk: any Disk, _ files: Files, isLocked: Bool) {
        self.isLocked = isLocked
        self.planned = planned
        self.disk = disk
        use = TargetUse(disk, files)
    }

    func close() {
        for descriptor in [writing, reading] {
            if let descriptor { disk.close(descriptor) }
        }
    }

    mutating func open() throws {
        guard planned.kind != .directory else { throw refusal("is a directory, not an image") }
        let isDevice = planned.kind == .device
        let descriptor = try openForReading(isDevice: isDevice)
        reading = descriptor
        let stat = try disk.stat(descriptor)
        guard stat.type == (isDevice ? .blockDevice : .file) else {
            throw refusal("is a \(stat.type.word), which is not what was planned")
        }
        var store = planned
        store.size = isDevice ? try disk.deviceSize(descriptor) : stat.size
        store.identity = StoreIdentity(
            fileSystem: try disk.fileSystem(descriptor).identity, inode: stat.inode,
            device: isDevice ? stat.special : stat.device)
        guard store.size == planned.size else {
            let word = store.size < planned.size ? "smaller" : "larger"
            throw refusal(
                "is \(word) than planned: \(store.size) bytes instead of \(planned.size)")
        }
        guard store.isSameImage(as: planned) else {
            throw refusal("is not the one that the plan was made for")
        }
        if isDevice {
            try openDevice(descriptor, stat)
        } else {
            try openFile(descriptor, stat)
        }
        found = store
        notes += use.notes
        if let alignment = try disk.directAlignment(descriptor),
            alignment.memory <= ImageTarget.page, alignment.offset <= ImageTarget.page
        {
            try disk.setDirect(descriptor)
            isDirect = true
        } else {
            // Pages whose write-back failed look clean and are not what the medium has.
            try disk.dropCache(descriptor)
            notes.append("what was written cannot be read back past the page cache")
        }
    }

    /// A device may be named by a symlink; the name of an image must be its own.
    private func openForReading(isDevice: Bool) throws -> Descriptor {
        let flags: OpenFlags =
            isDevice
            ? [.readOnly, .nonBlocking]
            : [
                .readOnly, .nonBlocking, .noFollow,
            ]
        do throws(DiskError) {
            return try disk.open(path: planned.path, flags, mode: 0)
        } catch {
            if error.number == ErrorNumber.tooManyLinks, !isDevice {
                throw refusal("is a symlink: name the image itself")
            }
            throw error
        }
    }

    private mutating func openFile(_ descriptor: Descriptor, _ stat: Stat) throws {
        guard stat.links == 1 else {
            throw refusal("has \(stat.links) names, and all of them would change")
        }
        if let reason = use.ofFile(stat) { throw refusal(reason) }
        if try disk.fileSystem(descriptor).isReadOnly {
            throw refusal("lies on a read-only file system")
        }
        var isLocked = try lock(descriptor)
        if isOpenElsewhere(descriptor) {
            throw refusal("is open for writing in another process")
        }
        let opened = try openForWriting([.readWrite, .noFollow], same: stat)
        writing = opened
        // Only now, since what is open for writing here would pass for somebody else's.
        if !isLocked { isLocked = try lock(opened) }
        if !isLocked { notes.append("cannot be locked: others are not kept from it") }
    }

    /// Looked at for a second: who starts a child while it writes lends it its descriptors for a
    /// moment, and so does whoever looks at every new file.
    private mutating func isOpenElsewhere(_ descriptor: Descriptor) -> Bool {
        do throws(DiskError) {
            for _ in 0..<10 {
                if try !disk.isOpenForWriting(descriptor) { return false }
                pause(milliseconds: 100)
            }
            return true
        } catch {
            notes.append("whether others have it open is not known: \(error.sentence)")
            return false
        }
    }

    private mutating func openDevice(_ descriptor: Descriptor, _ stat: Stat) throws {
        if let reason = use.ofDevice(stat.special) { throw refusal(reason) }
        if try disk.isReadOnlyDevice(descriptor) { throw refusal("is read-only") }
        let opened = try openForWriting([.readWrite, .exclusive, .nonBlocking], same: stat)
        writing = opened
        if try !lock(opened) { notes.append("cannot be locked: others are not kept from it") }
    }

    /// False where this descriptor cannot have the lock, whoever has it.
    private func lock(_ descriptor: Descriptor) throws -> Bool {
        do {
            guard try isLocked || disk.lock(descriptor, exclusive: true) else {
                throw refusal("is locked by another process")
            }
            return true
        } catch let error as DiskError where error.isOfUnknownLock {
            return false
        }
    }

    private func openForWriting(_ flags: OpenFlags, same stat: Stat) throws -> Descriptor {
        let opened: Descriptor
        do throws(DiskError) {
            opened = try disk.open(path: planned.path, flags, mode: 0)
        } catch {
            if error.number == ErrorNumber.busy {
                throw refusal("is held: mounted, or part of another device")
            }
            throw refusal("cannot be opened for writing: \(error.sentence)")
        }
        do throws(DiskError) {
            let now = try disk.stat(opened)
            if now.identity == stat.identity, now.special == stat.special { return opened }
        } catch {
            disk.close(opened)
            throw error
        }
        disk.close(opened)
        throw refusal("was replaced while it was opened")
    }

    private func refusal(_ reason: String) -> TargetRefusal { TargetRefusal(planned.path, reason) }
}

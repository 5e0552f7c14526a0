package import ResyncCore
import Synchronization

/// A directory of ours, held open. Names in it are ours too: short, and never taken from a store.
package final class Folder: Sendable {
    package let disk: any Disk
    private let descriptor: Descriptor
    private let syncFailure = Mutex<DiskError?>(nil)

    private init(_ disk: any Disk, _ descriptor: Descriptor) {
        self.disk = disk
        self.descriptor = descriptor
    }

    deinit { disk.close(descriptor) }

    /// Opens a folder by a path of the operator's, making what is missing of it, mode 0700.
    package static func make(
        path: [UInt8], disk: any Disk
    ) throws(DiskError) -> Folder {
        let isAbsolute = path.first == slash
        var current = Folder(
            disk, try disk.open(path: isAbsolute ? [slash] : [UInt8(ascii: ".")], reading, mode: 0))
        for component in path.split(separator: slash) {
            current = try current.folder(Array(component), create: true, follows: true)
        }
        return current
    }

    /// For calls that take a directory and are no matter of a disk.
    var number: Int32 { descriptor.number }

    /// A path by which this process reaches the folder as long as it is kept, in ASCII.
    package var processPath: String { "/proc/self/fd/\(descriptor.number)" }

    private static let reading: OpenFlags = [.readOnly, .directory]

    /// A folder in this one. `follows` only for the operator's own paths.
    package func folder(
        _ name: [UInt8], create: Bool, follows: Bool = false
    ) throws(DiskError) -> Folder {
        let flags = follows ? Self.reading : Self.reading.union(.noFollow)
        let opened = try withCString(name) { (cName) throws(DiskError) -> Descriptor in
            do throws(DiskError) {
                return try disk.open(cName, in: descriptor, flags, mode: 0)
            } catch {
                guard create, error.number == ErrorNumber.noEntry else { throw error }
            }
            do throws(DiskError) {
                try disk.makeDirectory(cName, in: descriptor, mode: 0o700)
                // A new name survives a power loss only with its directory.
                try sync()
            } catch {
                // Somebody else may have made it just now.
                guard error.number == ErrorNumber.exists else { throw error }
            }
            return try disk.open(cName, in: descriptor, flags, mode: 0)
        }
        return Folder(disk, opened)
    }

    package func stat() throws(DiskError) -> Stat { try disk.stat(descriptor) }

    package func fileSystem() throws(DiskError) -> FileSystem { try disk.fileSystem(descriptor) }

    /// Does something that no other process does here at the same time; waits for its turn.
    package func exclusively<R>(_ body: () throws -> R) throws -> R {
        let own = try folder([UInt8(ascii: ".")], create: false)
        while try !own.lock(exclusive: true) { pause(milliseconds: 10) }
        return try withExtendedLifetime(own, body)
    }

    package var scratch: Scratch { Scratch(folder: self, descriptor: descriptor) }

    /// In byte order.
    package func names() throws(DiskError) -> [Name] {
        var names = NameList()
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)
        defer { buffer.deallocate() }
        let fresh = try withCString([UInt8(ascii: ".")]) { (name) throws(DiskError) -> Descriptor in
            try disk.open(name, in: descriptor, Self.reading, mode: 0)
        }
        defer { disk.close(fresh) }
        while try disk.list(fresh, into: &names, buffer: buffer) {}
        let sorted = names.sorted()
        return (0..<sorted.count).map { sorted.name($0) }
    }

    /// A new file.
    package func create(_ name: [UInt8]) throws(DiskError) -> OutputFile {
        try open(name, [.readWrite, .create, .exclusive, .noFollow])
    }

    /// An existing file, to go on writing at some place.
    package func reopen(_ name: [UInt8], at offset: Int) throws(DiskError) -> OutputFile {
        let file = try open(name, [.readWrite, .noFollow])
        try file.truncate(to: offset)
        return file
    }

    /// An existing file, to overwrite it from some place on; its size stays.
    package func overwrite(_ name: [UInt8], from offset: Int) throws(DiskError) -> OutputFile {
        try open(name, [.readWrite, .noFollow], at: offset)
    }

    private func open(
        _ name: [UInt8], _ flags: OpenFlags, at offset: Int = 0
    ) throws(DiskError) -> OutputFile {
        OutputFile(
            disk,
            try withCString(name) { (cName) throws(DiskError) -> Descriptor in
                try disk.open(cName, in: descriptor, flags, mode: 0o600)
            }, at: offset)
    }

    package func read(_ name: [UInt8]) throws(DiskError) -> InputFile {
        try InputFile(
            disk,
            try withCString(name) { (cName) throws(DiskError) -> Descriptor in
                try disk.open(cName, in: descriptor, [.readOnly, .noFollow], mode: 0)
            })
    }

    /// What has the name, which is not opened; nil where nothing has.
    package func stat(_ name: [UInt8]) throws(DiskError) -> Stat? {
        do throws(DiskError) {
            return try withCString(name) { (name) throws(DiskError) in
                try disk.stat(name, in: descriptor)
            }
        } catch {
            guard error.number != ErrorNumber.noEntry else { return nil }
            throw error
        }
    }

    package func has(_ name: [UInt8]) throws(DiskError) -> Bool { try stat(name) != nil }

    /// Puts a whole file in place so that after a crash the old or the new one is there.
    package func replace(_ name: [UInt8], with bytes: [UInt8]) throws(DiskError) {
        let temporary = name + Array(".new".utf8)
        // What an earlier attempt left must be gone for good: its name could outlive the removal,
        // and take the place of the new file's.
        if (try? remove(temporary)) != nil { try sync() }
        let file = try create(temporary)
        try file.write(bytes)
        try file.sync()
        try rename(temporary, to: name)
    }

    /// Durably, in place of what may be there.
    package func rename(_ name: [UInt8], to newName: [UInt8]) throws(DiskError) {
        try withCString(name) { (from) throws(DiskError) in
            try withCString(newName) { (to) throws(DiskError) in
                try disk.rename(from, in: descriptor, to: to, in: descriptor, .replace)
            }
        }
        try sync()
    }

    /// Durably, into another folder on the same file system, in place of what may be there.
    package func move(
        _ name: [UInt8], to other: Folder, as newName: [UInt8]
    ) throws(DiskError) {
        try withCString(name) { (from) throws(DiskError) in
            try withCString(newName) { (to) throws(DiskError) in
                try disk.rename(
                    from, in: descriptor, to: to, in: other.descriptor, .replace)
            }
        }
        try other.sync()
        try sync()
    }

    package func remove(_ name: [UInt8], isFolder: Bool = false) throws(DiskError) {
        try withCString(name) { (name) throws(DiskError) in
            try disk.remove(name, in: descriptor, isDirectory: isFolder)
        }
    }

    /// Its names are durable when this returns. Once it failed, it fails for good: asked again,
    /// the kernel says yes and has forgotten what was dirty.
    package func sync() throws(DiskError) {
        if let failure = syncFailure.withLock({ $0 }) { throw failure }
        do throws(DiskError) {
            try disk.sync(descriptor)
        } catch {
            syncFailure.withLock { $0 = error }
            throw error
        }
    }

    /// Held until the folder is released; false when another process holds it.
    package func lock(exclusive: Bool) throws(DiskError) -> Bool {
        try disk.lock(descriptor, exclusive: exclusive)
    }
}

/// A file of ours that is written front to back.
package final class OutputFile: @unchecked Sendable {
    // Unchecked because one thread at a time writes it: whoever emits a run's results.
    private let disk: any Disk
    private let descriptor: Descriptor
    private var pending: [UInt8] = []
    private var flushed = 0
    private var syncFailure: DiskError?
    private static let bufferSize = 256 << 10

    fileprivate init(_ disk: any Disk, _ descriptor: Descriptor, at offset: Int = 0) {
        self.disk = disk
        self.descriptor = descriptor
        flushed = offset
    }

    deinit { disk.close(descriptor) }

    /// A file at a path of the operator's: new, unless `replacing`.
    package static func create(
        path: [UInt8], replacing: Bool, disk: any Disk
    ) throws(DiskError) -> OutputFile {
        let flags: OpenFlags =
            replacing ? [.readWrite, .create, .truncate] : [.readWrite, .create, .exclusive]
        return OutputFile(disk, try disk.open(path: path, flags, mode: 0o644))
    }

    /// Where the next byte goes.
    package var offset: Int { flushed + pending.count }

    package func write(_ bytes: [UInt8]) throws(DiskError) {
        pending += bytes
        if pending.count >= Self.bufferSize { try flush() }
    }

    package func flush() throws(DiskError) {
        guard !pending.isEmpty else { return }
        try disk.writeAll(descriptor, pending, at: flushed)
        flushed += pending.count
        pending.removeAll(keepingCapacity: true)
    }

    /// All written bytes are durable when this returns. Once it failed, it fails for good, as that
    /// of a folder does.
    package func sync() throws(DiskError) { try sync(dataOnly: false) }

    /// As `sync`, its times left aside.
    package func syncData() throws(DiskError) { try sync(dataOnly: true) }

    private func sync(dataOnly: Bool) throws(DiskError) {
        if let syncFailure { throw syncFailure }
        try flush()
        do throws(DiskError) {
            if dataOnly { try disk.syncData(descriptor) } else { try disk.sync(descriptor) }
        } catch {
            syncFailure = error
            throw error
        }
    }

    /// Takes space for a file of so many bytes, so that writing them cannot fail for want of it;
    /// what is not written reads as zeros.
    package func allocate(upTo size: Int) throws(DiskError) {
        try disk.allocate(descriptor, from: 0, count: size)
    }

    package func truncate(to size: Int) throws(DiskError) {
        pending.removeAll()
        try disk.truncate(descriptor, to: size)
        flushed = size
    }
}

/// A file that is read at any place.
package final class InputFile: Sendable {
    private let disk: any Disk
    private let descriptor: Descriptor
    package let stat: Stat

    fileprivate init(_ disk: any Disk, _ descriptor: Descriptor) throws(DiskError) {
        self.disk = disk
        self.descriptor = descriptor
        do throws(DiskError) {
            stat = try disk.stat(descriptor)
        } catch {
            disk.close(descriptor)
            throw error
        }
    }

    deinit { disk.close(descriptor) }

    package static func open(path: [UInt8], disk: any Disk) throws(DiskError) -> InputFile {
        try InputFile(disk, try disk.open(path: path, [.readOnly, .nonBlocking], mode: 0))
    }

    package var size: Int { stat.size }

    /// Up to `count` bytes; fewer only at the end.
    package func read(at offset: Int, count: Int) throws(DiskError) -> [UInt8] {
        try disk.readAll(descriptor, at: offset, count: count)
    }
}

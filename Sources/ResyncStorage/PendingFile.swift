import ResyncCore

/// A file of ours that appears under its name only when it is whole and on the medium.
package final class PendingFile {
    private let disk: any Disk
    private let directory: Descriptor
    private let descriptor: Descriptor
    private let name: [UInt8]
    /// Under which nobody else has a file.
    private let temporary: [UInt8]
    private let replaces: Bool
    private var buffer: [UInt8] = []
    private var written = 0
    private var isCommitted = false

    private static let prefix = Array(".resync-".utf8)
    private static let suffix = Array(".partial".utf8)
    private static let bufferSize = 1 << 20

    /// Begins the file beside its later place; what lies under its name stays until the end.
    ///
    /// - Parameter replacing: whether that is to be replaced then, or kept.
    package init(
        path: [UInt8], replacing: Bool, disk: any Disk, mode: UInt16 = 0o600
    ) throws(DiskError) {
        self.disk = disk
        replaces = replacing
        temporary = Self.prefix + Array(hexText(Self.random()).utf8) + Self.suffix
        let cut = path.lastIndex(of: slash)
        let parent = cut.map { $0 == 0 ? [slash] : Array(path[..<$0]) } ?? [UInt8(ascii: ".")]
        name = cut.map { Array(path[($0 + 1)...]) } ?? path
        let directory = try disk.open(path: parent, [.readOnly, .directory], mode: 0)
        do throws(DiskError) {
            descriptor = try withCString(temporary) { (name) throws(DiskError) in
                try disk.open(
                    name, in: directory, [.writeOnly, .create, .exclusive, .noFollow], mode: mode)
            }
        } catch {
            disk.close(directory)
            throw error
        }
        self.directory = directory
    }

    deinit {
        disk.close(descriptor)
        if !isCommitted { try? removeTemporary() }
        disk.close(directory)
    }

    private static func random() -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<8).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }

    private func removeTemporary() throws(DiskError) {
        try withCString(temporary) { (name) throws(DiskError) in
            try disk.remove(name, in: directory, isDirectory: false)
        }
    }

    package func append(_ bytes: [UInt8]) throws(DiskError) {
        buffer += bytes
        if buffer.count >= Self.bufferSize { try flush() }
    }

    private func flush() throws(DiskError) {
        try disk.writeAll(descriptor, buffer, at: written)
        written += buffer.count
        buffer.removeAll(keepingCapacity: true)
    }

    /// Syncs the file, gives it its name, and syncs the directory. What came to lie under its name
    /// meanwhile is an error, unless it is to be replaced.
    package func commit() throws(DiskError) {
        try flush()
        try disk.sync(descriptor)
        try withCString(temporary) { (old) throws(DiskError) in
            try withCString(name) { (new) throws(DiskError) in
                if replaces {
                    try disk.rename(old, in: directory, to: new, in: directory, .replace)
                } else {
                    try keep(old, as: new)
                }
            }
        }
        isCommitted = true
        try disk.sync(directory)
    }

    /// Gives the file its name where nothing has it.
    private func keep(
        _ old: UnsafePointer<CChar>, as new: UnsafePointer<CChar>
    ) throws(DiskError) {
        do throws(DiskError) {
            try disk.rename(old, in: directory, to: new, in: directory, .keep)
        } catch {
            // Not every file system has that, as NFS; those have links.
            guard error.number == ErrorNumber.invalidArgument else { throw error }
            try disk.link(old, in: directory, to: new, in: directory)
            try? removeTemporary()
        }
    }
}

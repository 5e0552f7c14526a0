import ResyncCore

/// A file of ours that appears under its name only when it is whole and on the medium.
package final class PendingFile {
    private let disk: any Disk
    private let directory: Descriptor
    private let descriptor: Descriptor
    private let name: [UInt8]
    private var buffer: [UInt8] = []
    private var written = 0
    private var isCommitted = false

    private static let suffix = Array(".partial".utf8)
    private static let bufferSize = 1 << 20

    /// Begins the file beside its later place; what lies under its name stays until the end.
    package init(path: [UInt8], disk: any Disk, mode: UInt16 = 0o600) throws(DiskError) {
        self.disk = disk
        let cut = path.lastIndex(of: slash)
        let parent = cut.map { $0 == 0 ? [slash] : Array(path[..<$0]) } ?? [UInt8(ascii: ".")]
        name = cut.map { Array(path[($0 + 1)...]) } ?? path
        let directory = try disk.open(path: parent, [.readOnly, .directory], mode: 0)
        do throws(DiskError) {
            descriptor = try withCString(name + Self.suffix) { (name) throws(DiskError) in
                try disk.open(
                    name, in: directory, [.writeOnly, .create, .truncate, .noFollow], mode: mode)
            }
        } catch {
            disk.close(directory)
            throw error
        }
        self.directory = directory
    }

    deinit {
        disk.close(descriptor)
        if !isCommitted {
            // Should it stay, it is overwritten next time, and taken for nothing else.
            try? withCString(name + Self.suffix) { (name) throws(DiskError) in
                try disk.remove(name, in: directory, isDirectory: false)
            }
        }
        disk.close(directory)
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

    /// Syncs the file, gives it its name, and syncs the directory.
    package func commit() throws(DiskError) {
        try flush()
        try disk.sync(descriptor)
        try withCString(name + Self.suffix) { (old) throws(DiskError) in
            try withCString(name) { (new) throws(DiskError) in
                try disk.rename(old, in: directory, to: new, in: directory, .replace)
            }
        }
        isCommitted = true
        try disk.sync(directory)
    }
}

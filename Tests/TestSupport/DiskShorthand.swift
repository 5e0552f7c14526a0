import ResyncCore
package import ResyncStorage

/// Shorthand for tests.
extension Disk {
    package func open(_ path: String, _ flags: OpenFlags = [.readOnly]) throws(DiskError)
        -> Descriptor
    {
        try open(path: Array(path.utf8), flags, mode: 0o644)
    }

    package func read(
        _ descriptor: Descriptor, _ offset: Int, _ count: Int, _ mode: ReadMode = .cached
    ) throws(DiskError) -> [UInt8] {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 4096)
        defer { buffer.deallocate() }
        let length = try read(descriptor, into: buffer, at: offset, mode)
        return Array(buffer[..<length])
    }

    /// Writes a part of `bytes`; returns how many.
    @discardableResult
    package func put(
        _ descriptor: Descriptor, _ offset: Int, _ bytes: some ByteString
    ) throws(DiskError) -> Int {
        let copy = UnsafeMutableRawBufferPointer.allocate(
            byteCount: bytes.byteString.count, alignment: 4096)
        defer { copy.deallocate() }
        copy.copyBytes(from: bytes.byteString)
        return try write(descriptor, UnsafeRawBufferPointer(copy), at: offset)
    }

    /// The names of a directory as they come, at most `limit`.
    package func names(_ path: String, limit: Int = .max) throws(DiskError) -> [String] {
        let directory = try open(path)
        defer { close(directory) }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 32 << 10, alignment: 16)
        defer { buffer.deallocate() }
        var names = NameList()
        while names.count < limit, try list(directory, into: &names, buffer: buffer) {}
        return (0..<min(limit, names.count)).map { escaped(names.name($0).bytes) }
    }
}

/// A directory of ours for files that nobody needs after this process.
package final class Scratch: Sendable {
    private let folder: Folder
    private let directory: Descriptor
    private var disk: any Disk { folder.disk }

    /// The descriptor is the folder's, which stays open as long as this is kept.
    init(folder: Folder, descriptor: Descriptor) {
        self.folder = folder
        directory = descriptor
    }

    package func file() throws(DiskError) -> ScratchFile {
        let suffix = (try? randomBytes(8)) ?? []
        let name = Array("scratch-".utf8) + suffix.flatMap { [65 + ($0 >> 4), 65 + ($0 & 15)] }
        return try withCString(name) { (name) throws(DiskError) in
            let descriptor = try disk.open(
                name, in: directory, [.readWrite, .create, .exclusive, .noFollow], mode: 0o600)
            do throws(DiskError) {
                try disk.remove(name, in: directory, isDirectory: false)
            } catch {
                disk.close(descriptor)
                throw error
            }
            return ScratchFile(disk: disk, descriptor: descriptor)
        }
    }
}

/// A file without a name, gone when released.
package final class ScratchFile: Sendable {
    private let disk: any Disk
    private let descriptor: Descriptor

    fileprivate init(disk: any Disk, descriptor: Descriptor) {
        self.disk = disk
        self.descriptor = descriptor
    }

    deinit { disk.close(descriptor) }

    package func write(_ bytes: [UInt8], at offset: Int) throws(DiskError) {
        try disk.writeAll(descriptor, bytes, at: offset)
    }

    /// Fewer bytes only at the end.
    package func read(at offset: Int, count: Int) throws(DiskError) -> [UInt8] {
        try disk.readAll(descriptor, at: offset, count: count)
    }
}

extension Disk {
    package func writeAll(
        _ descriptor: Descriptor, _ bytes: [UInt8], at offset: Int
    ) throws(DiskError) {
        let result: Result<Void, DiskError> = bytes.withUnsafeBytes { all in
            Result { () throws(DiskError) in try writeFully(descriptor, all, at: offset) }
        }
        try result.get()
    }

    /// Writes all of a buffer.
    func writeFully(
        _ descriptor: Descriptor, _ bytes: UnsafeRawBufferPointer, at offset: Int
    ) throws(DiskError) {
        var done = 0
        while done < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[done...])
            done += try write(descriptor, rest, at: offset + done)
        }
    }

    /// Up to `count` bytes; fewer only at the end of the file.
    package func readAll(
        _ descriptor: Descriptor, at offset: Int, count: Int
    ) throws(DiskError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let result: Result<Int, DiskError> = bytes.withUnsafeMutableBytes { buffer in
            Result { () throws(DiskError) in
                try readFully(descriptor, into: buffer, at: offset, .cached)
            }
        }
        bytes.removeLast(count - (try result.get()))
        return bytes
    }

    /// As `readFully`, past the page cache: what comes between must be whole sectors, and anything
    /// else is the end of the file.
    func readDirectly(
        _ descriptor: Descriptor, into buffer: UnsafeMutableRawBufferPointer, at offset: Int
    ) throws(DiskError) -> Int {
        var done = 0
        while done < buffer.count {
            let count = try read(
                descriptor, into: UnsafeMutableRawBufferPointer(rebasing: buffer[done...]),
                at: offset + done, .cached)
            done += count
            if count == 0 || count % 4096 != 0 { break }
        }
        return done
    }

    /// Reads until the buffer is full or the file ends.
    package func readFully(
        _ descriptor: Descriptor, into buffer: UnsafeMutableRawBufferPointer, at offset: Int,
        _ mode: ReadMode
    ) throws(DiskError) -> Int {
        var done = 0
        while done < buffer.count {
            let count = try read(
                descriptor, into: UnsafeMutableRawBufferPointer(rebasing: buffer[done...]),
                at: offset + done, mode)
            if count == 0 { break }
            done += count
        }
        return done
    }
}

import Glibc
import ResyncCore

/// What the kernel says about itself in `/proc`, `/sys` and `/dev/kmsg`. No store is touched, so
/// none of this goes through `Disk`.
package protocol KernelFiles: Sendable {
    /// Everything there is to read now, cut at the first read that reaches `limit` bytes. Never
    /// waits for more. Of `/dev/kmsg` the records that are still there, one after the other.
    func read(_ path: [UInt8], limit: Int) throws(DiskError) -> [UInt8]
    /// The names in a directory, in any order.
    func names(in path: [UInt8]) throws(DiskError) -> [[UInt8]]
    /// Where a link leads.
    func target(of path: [UInt8]) throws(DiskError) -> [UInt8]
    /// The inode number of what lies there; nil where nothing does, or there are none.
    func number(of path: [UInt8]) -> UInt64?
}

extension KernelFiles {
    package func number(of path: [UInt8]) -> UInt64? { nil }
}

/// The running kernel.
package struct LinuxKernelFiles: KernelFiles {
    package init() {}

    package func read(_ path: [UInt8], limit: Int) throws(DiskError) -> [UInt8] {
        let descriptor = try withCString(path) { (name) throws(DiskError) -> Int32 in
            let number = Glibc.open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)
            guard number >= 0 else { throw DiskError(.openat, errno) }
            return number
        }
        defer { _ = Glibc.close(descriptor) }
        var output: [UInt8] = []
        // A read of the kernel log fails when the record does not fit.
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        var losses = 0
        while output.count < limit {
            let count = buffer.withUnsafeMutableBytes {
                Glibc.read(descriptor, $0.baseAddress, $0.count)
            }
            if count > 0 {
                output += buffer[..<count]
            } else if count == 0 || errno == EAGAIN {
                break
            } else if errno == EPIPE, losses < lossLimit {
                // Records were overwritten before they were read; the next read goes on behind
                // them, and their sequence numbers show the gap.
                losses += 1
            } else if errno != EINTR {
                throw DiskError(.pread, errno)
            }
        }
        return output
    }

    package func names(in path: [UInt8]) throws(DiskError) -> [[UInt8]] {
        let disk = LinuxDisk()
        let directory = try disk.open(path: path, [.readOnly, .directory], mode: 0)
        defer { disk.close(directory) }
        var names = NameList()
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 32 << 10, alignment: 16)
        defer { buffer.deallocate() }
        while try disk.list(directory, into: &names, buffer: buffer) {}
        return (0..<names.count).map { names.name($0).bytes }
    }

    package func target(of path: [UInt8]) throws(DiskError) -> [UInt8] {
        let disk = LinuxDisk()
        let root = try disk.open(path: [slash], [.pathOnly, .directory], mode: 0)
        defer { disk.close(root) }
        return try withCString(path) { (name) throws(DiskError) in
            try disk.readLink(name, in: root)
        }
    }

    package func number(of path: [UInt8]) -> UInt64? {
        (try? LinuxDisk().stat(path: path))?.inode
    }
}

/// How often the log may run away from its reader before the reader gives up.
private let lossLimit = 1000

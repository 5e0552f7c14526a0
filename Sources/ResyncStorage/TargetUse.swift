import ResyncCore

/// Who else uses an image or device, as far as the kernel says in `/proc` and `/sys`.
struct TargetUse<Files: KernelFiles> {
    private let disk: any Disk
    private let files: Files
    /// What could not be looked at.
    private(set) var notes: [String] = []

    init(_ disk: any Disk, _ files: Files) {
        self.disk = disk
        self.files = files
    }

    /// Why a regular file is not to be written; nil where nobody is known to use it.
    mutating func ofFile(_ stat: Stat) -> String? {
        for name in names("/sys/block") where name.starts(with: "loop".utf8) {
            let path = Array("/sys/block/".utf8) + name + Array("/loop/backing_file".utf8)
            guard let text = try? files.read(path, limit: 64 << 10) else { continue }
            if identity(of: Array(trimmed(text))) == stat.identity {
                return "backs the loop device /dev/\(escaped(name))"
            }
        }
        for path in swaps() where identity(of: path) == stat.identity {
            return "is used as swap space"
        }
        return nil
    }

    /// Why a device is not to be written; nil where nobody is known to use it or a part of it.
    mutating func ofDevice(_ device: DeviceNumber) -> String? {
        let parts = [device] + partitions(of: device)
        let table = MountTable(read("/proc/self/mountinfo", limit: 64 << 20) ?? [])
        if table.skipped > 0 { notes.append("\(table.skipped) mounts are not understood") }
        for mount in table.mounts {
            // Some file systems show another device than the one they lie on.
            let isNode = mount.source.first == slash
            if parts.contains(mount.device) || (isNode && parts.contains(special(mount.source))) {
                return "is mounted at '\(escaped(mount.mountPoint))'"
            }
        }
        for path in swaps() where parts.contains(special(path)) { return "is used as swap space" }
        for part in parts {
            let folder = "/sys/dev/block/\(part.major):\(part.minor)"
            if let holder = names(folder + "/holders").first {
                return "is part of the device \(escaped(holder))"
            }
        }
        return nil
    }

    /// Whether a process has it, or a part of it, open for writing.
    mutating func isWritten(_ device: DeviceNumber) -> Bool {
        let open = OpenFiles(files, disk: disk, below: "/dev/")
        return ([device] + partitions(of: device)).contains { open.writtenDevices.contains($0) }
    }

    /// A partition's folder lies in its disk's.
    private mutating func partitions(of device: DeviceNumber) -> [DeviceNumber] {
        let folder = Array("/sys/dev/block/\(device.major):\(device.minor)/".utf8)
        return names(folder).compactMap { name in
            let inside = folder + name
            guard (try? files.read(inside + Array("/partition".utf8), limit: 4096)) != nil,
                let text = try? files.read(inside + Array("/dev".utf8), limit: 4096)
            else { return nil }
            return DeviceNumber(trimmed(text))
        }
    }

    /// Paths of files and devices that are swapped to, from the first column of `/proc/swaps`.
    private mutating func swaps() -> [[UInt8]] {
        // A kernel without swapping has no such file.
        guard let text = try? files.read(Array("/proc/swaps".utf8), limit: 1 << 20) else {
            return []
        }
        return text.split(separator: UInt8(ascii: "\n")).dropFirst().compactMap { line in
            line.split(whereSeparator: { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") })
                .first.map { unescapedOctal($0) }
        }
    }

    private func identity(of path: [UInt8]) -> ObjectIdentity? {
        (try? disk.stat(path: path))?.identity
    }

    private func special(_ path: [UInt8]) -> DeviceNumber {
        // What is no device has number 0:0, as no block device has.
        (try? disk.stat(path: path))?.special ?? DeviceNumber(major: 0, minor: 0)
    }

    private mutating func read(_ path: String, limit: Int) -> [UInt8]? {
        do throws(DiskError) {
            return try files.read(Array(path.utf8), limit: limit)
        } catch {
            notes.append("\(path) cannot be read: \(error.sentence)")
            return nil
        }
    }

    private func names(_ path: String) -> [[UInt8]] { names(Array(path.utf8)) }

    private func names(_ path: [UInt8]) -> [[UInt8]] {
        ((try? files.names(in: path)) ?? []).sorted(by: precedes)
    }
}

/// `\040` and its like, as the kernel writes blanks and backslashes in tables.
private func unescapedOctal(_ text: ArraySlice<UInt8>) -> [UInt8] {
    var bytes: [UInt8] = []
    var rest = text
    while let next = rest.popFirst() {
        let digits = rest.prefix(3)
        let value = digits.reduce(0) { $0 * 8 + Int($1) - 0x30 }
        if next == UInt8(ascii: "\\"), digits.count == 3,
            digits.allSatisfy({ (0x30...0x37).contains($0) }),
            let byte = UInt8(exactly: value)
        {
            bytes.append(byte)
            rest = rest.dropFirst(3)
        } else {
            bytes.append(next)
        }
    }
    return bytes
}

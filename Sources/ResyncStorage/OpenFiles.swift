package import ResyncCore

/// Which processes have which files open for writing, as `/proc` tells; of other users' processes
/// only root is told. Files that are only mapped are not seen.
package struct OpenFiles: Sendable {
    package struct Holder: Sendable, Hashable {
        package let number: Int
        /// As the kernel calls it: at most 15 bytes.
        package let name: [UInt8]

        package init(number: Int, name: [UInt8]) {
            self.number = number
            self.name = name
        }

        init(number: Int, _ kernel: any KernelFiles) {
            let path = Array("/proc/\(number)/comm".utf8)
            let text = (try? kernel.read(path, limit: OpenFiles.limit)) ?? []
            self.init(number: number, name: Array(text.prefix { $0 != UInt8(ascii: "\n") }))
        }
    }

    package private(set) var writers: [ObjectIdentity: Holder] = [:]
    /// Block devices, by whatever names they were opened.
    private(set) var writtenDevices: Set<DeviceNumber> = []

    private static let limit = 4096

    package init(_ kernel: any KernelFiles = LinuxKernelFiles(), disk: any Disk = LinuxDisk()) {
        self.init(kernel, disk: disk, below: nil)
    }

    /// - Parameter folder: only what was opened below it is looked at; the file systems that other
    ///   files lie on might not answer.
    init(_ kernel: any KernelFiles, disk: any Disk, below folder: String?) {
        let own = (try? kernel.target(of: Array("/proc/self".utf8))) ?? []
        for name in (try? kernel.names(in: Array("/proc".utf8))) ?? [] {
            guard name != own, let number = Int(String(decoding: name, as: UTF8.self)) else {
                continue
            }
            look(number, kernel, disk, below: folder)
        }
    }

    private mutating func look(
        _ number: Int, _ kernel: any KernelFiles, _ disk: any Disk, below place: String?
    ) {
        let folder = "/proc/\(number)"
        guard let descriptors = try? kernel.names(in: Array("\(folder)/fd".utf8)) else { return }
        func isThere(_ path: String) -> Bool {
            guard let place else { return true }
            return (try? kernel.target(of: Array(path.utf8)))?.starts(with: place.utf8) == true
        }
        for descriptor in descriptors {
            let name = String(decoding: descriptor, as: UTF8.self)
            guard
                let text = try? kernel.read(
                    Array("\(folder)/fdinfo/\(name)".utf8), limit: Self.limit),
                Self.isWriting(text), isThere("\(folder)/fd/\(name)"),
                let stat = try? disk.stat(path: Array("\(folder)/fd/\(name)".utf8))
            else { continue }
            switch stat.type {
            case .file:
                writers[stat.identity] = Holder(number: number, kernel)
            case .blockDevice: writtenDevices.insert(stat.special)
            default: break
            }
        }
    }

    /// The line `flags:` has the open flags in octal (proc_pid_fdinfo(5)); the lowest two bits say
    /// how it may be used.
    static func isWriting(_ text: [UInt8]) -> Bool {
        for line in text.split(separator: UInt8(ascii: "\n")) {
            guard line.starts(with: Array("flags:".utf8)) else { continue }
            let digits = line.dropFirst(6).filter { $0 > 0x20 }
            let flags = Int(String(decoding: digits, as: UTF8.self), radix: 8) ?? 0
            return flags & 3 != 0
        }
        return false
    }
}

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
    }

    package private(set) var writers: [ObjectIdentity: Holder] = [:]

    private static let limit = 4096

    package init(_ kernel: any KernelFiles = LinuxKernelFiles(), disk: any Disk = LinuxDisk()) {
        let own = (try? kernel.target(of: Array("/proc/self".utf8))) ?? []
        for name in (try? kernel.names(in: Array("/proc".utf8))) ?? [] {
            guard name != own, let number = Int(String(decoding: name, as: UTF8.self)) else {
                continue
            }
            look(number, kernel, disk)
        }
    }

    private mutating func look(_ number: Int, _ kernel: any KernelFiles, _ disk: any Disk) {
        let folder = "/proc/\(number)"
        guard let descriptors = try? kernel.names(in: Array("\(folder)/fd".utf8)) else { return }
        for descriptor in descriptors {
            let name = String(decoding: descriptor, as: UTF8.self)
            guard
                let text = try? kernel.read(
                    Array("\(folder)/fdinfo/\(name)".utf8), limit: Self.limit),
                Self.isWriting(text),
                let stat = try? disk.stat(path: Array("\(folder)/fd/\(name)".utf8)),
                stat.type == .file
            else { continue }
            writers[stat.identity] = Holder(number: number, name: comm(folder, kernel))
        }
    }

    private func comm(_ folder: String, _ kernel: any KernelFiles) -> [UInt8] {
        let text = (try? kernel.read(Array("\(folder)/comm".utf8), limit: Self.limit)) ?? []
        return Array(text.prefix { $0 != UInt8(ascii: "\n") })
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

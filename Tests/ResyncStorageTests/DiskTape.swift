import Glibc
import ResyncCore
import ResyncStorage
import TestSupport

/// Runs calls on a disk below one directory and writes down what each returned, so that two disks
/// can be held against each other.
final class DiskTape {
    let disk: any Disk
    private(set) var lines: [String] = []
    private var held: [String: Descriptor] = [:]
    private var stats: [String: Stat] = [:]
    /// Only where the test waits between the calls: the clocks of file systems are coarse.
    var comparesTimes = false

    private let root: [UInt8]

    /// `root` becomes the descriptor named "".
    init(_ disk: any Disk, root: [UInt8]) throws {
        self.disk = disk
        self.root = root
        held[""] = try disk.open(path: root, [.readOnly, .directory], mode: 0)
    }

    deinit {
        for descriptor in held.values { disk.close(descriptor) }
    }

    /// What was not opened is a descriptor that never was.
    func descriptor(_ key: String) -> Descriptor { held[key] ?? Descriptor(999_999) }

    func note(_ what: String, _ body: () throws(DiskError) -> String) {
        do throws(DiskError) {
            lines.append("\(what): \(try body())")
        } catch {
            lines.append(
                "\(what): \(ErrorNumber.name(error.number)) (\(error.call.rawValue))")
        }
    }

    func open(
        _ name: String, in directory: String = "", _ flags: OpenFlags = [.readOnly],
        as key: String? = nil
    ) {
        note("open \(directory)|\(name) \(flags.rawValue)") { () throws(DiskError) in
            let opened = try disk.open(name, in: descriptor(directory), flags, mode: 0o600)
            if let key {
                close(key)
                held[key] = opened
            } else {
                disk.close(opened)
            }
            return "ok"
        }
    }

    func close(_ key: String) {
        if let old = held.removeValue(forKey: key) { disk.close(old) }
    }

    func stat(_ name: String, in directory: String = "") {
        note("stat \(directory)|\(name)") { () throws(DiskError) in
            describe(
                try disk.stat(name, in: descriptor(directory)), key: "\(directory)|\(name)")
        }
    }

    /// By a path the operator gave: symlinks are followed.
    func stat(path: String) {
        note("stat path \(path)") { () throws(DiskError) in
            describe(try disk.stat(path: root + Array("/\(path)".utf8)), key: "path \(path)")
        }
    }

    func stat(held key: String) {
        note("stat \(key)") { () throws(DiskError) in
            describe(try disk.stat(descriptor(key)), key: key)
        }
    }

    /// What both disks can agree on, and what moved since this was last asked.
    private func describe(_ stat: Stat, key: String) -> String {
        var text =
            "\(stat.type.word) \(String(stat.mode, radix: 8)) uid \(stat.uid) gid \(stat.gid)"
        if stat.type == .file || stat.type == .symlink { text += " size \(stat.size)" }
        if stat.type != .directory { text += " links \(stat.links)" }
        if stat.type.isDevice { text += " \(stat.special.major):\(stat.special.minor)" }
        // A file system may give two objects the same time, and reuse the number of one that went.
        if let old = stats[key], old.identity == stat.identity, comparesTimes {
            text += old.mtime == stat.mtime ? "" : " mtime moved"
            text += old.ctime == stat.ctime ? "" : " ctime moved"
        }
        stats[key] = stat
        return text
    }

    /// Whether two names lead to one object.
    func compare(_ left: String, _ right: String) {
        note("compare \(left) \(right)") { () throws(DiskError) in
            let one = try disk.stat(left, in: descriptor(""))
            let other = try disk.stat(right, in: descriptor(""))
            return "\(one.identity == other.identity) \(one.mount == other.mount)"
        }
    }

    /// A directory's names, whatever was listed of it before.
    func listAnew(_ name: String = ".") {
        close("listed anew")
        open(name, [.readOnly, .directory], as: "listed anew")
        list("listed anew")
    }

    func list(_ key: String) {
        note("list \(key)") { () throws(DiskError) in
            let buffer = UnsafeMutableRawBufferPointer.allocate(
                byteCount: 32 << 10, alignment: 16)
            defer { buffer.deallocate() }
            var names = NameList()
            while try disk.list(descriptor(key), into: &names, buffer: buffer) {}
            let sorted = names.sorted()
            return (0..<sorted.count).map { index in
                "\(escaped(sorted.name(index).bytes))=\(sorted.kinds[index]?.word ?? "?")"
            }.joined(separator: " ")
        }
    }

    func readLink(_ name: String, in directory: String = "") {
        note("readlink \(directory)|\(name)") { () throws(DiskError) in
            escaped(try disk.readLink(name, in: descriptor(directory)))
        }
    }

    func read(_ key: String, at offset: Int, count: Int, _ mode: ReadMode = .cached) {
        note("read \(key) \(offset)+\(count)") { () throws(DiskError) in
            let buffer = UnsafeMutableRawBufferPointer.allocate(
                byteCount: max(count, 1), alignment: 4096)
            defer { buffer.deallocate() }
            let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
            let length = try disk.read(descriptor(key), into: part, at: offset, mode)
            let sum = part[..<length].reduce(UInt64(7)) { mixed($0 ^ UInt64($1)) }
            return "\(length) bytes, \(sum)"
        }
    }

    func lock(_ key: String, exclusive: Bool) {
        note("lock \(key) \(exclusive)") { () throws(DiskError) in
            "\(try disk.lock(descriptor(key), exclusive: exclusive))"
        }
    }

    /// Not in directories, where every file system has its own answer.
    func seek(_ key: String, from offset: Int) {
        if let stat = try? disk.stat(descriptor(key)), stat.type == .directory { return }
        note("data \(key) \(offset)") { () throws(DiskError) in
            "\(try disk.nextData(descriptor(key), from: offset) ?? -1)"
        }
        note("hole \(key) \(offset)") { () throws(DiskError) in
            "\(try disk.nextHole(descriptor(key), from: offset))"
        }
    }

    func dropCache(_ key: String) {
        note("drop \(key)") { () throws(DiskError) in
            try disk.dropCache(descriptor(key))
            return "ok"
        }
    }

    func cachedPages(_ key: String, size: Int) {
        note("cached \(key) \(size)") { () throws(DiskError) in
            "\(try disk.cachedPages(descriptor(key), in: 0..<size))"
        }
    }

    func deviceSize(_ key: String) {
        note("device size \(key)") { () throws(DiskError) in
            "\(try disk.deviceSize(descriptor(key)))"
        }
    }

    func isReadOnly(_ key: String) {
        note("file system \(key)") { () throws(DiskError) in
            "\(try disk.fileSystem(descriptor(key)).isReadOnly)"
        }
    }
}

/// SplitMix64's mixing, to tell contents apart by one number.
private func mixed(_ value: UInt64) -> UInt64 {
    var seed = Seed(value)
    return seed.next()
}

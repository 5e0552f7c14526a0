import Foundation
import Glibc
import ResyncCore
import TestSupport
import Testing

/// A file system in a sparse image file, mounted for as long as this is kept.
final class LoopMount {
    enum Kind: String, CaseIterable {
        case ext4, xfs, btrfs

        /// What it needs at least.
        var size: String {
            switch self {
            case .ext4: "64M"
            case .xfs: "320M"
            case .btrfs: "192M"
            }
        }

        /// The program that makes one.
        var maker: String? {
            self == .btrfs
                ? Command.project + "/Tests/Faults/mkfs.btrfs" : Command.find("mkfs.\(rawValue)")
        }
    }

    let point: String
    private let folder: String

    /// Nil, said aloud, where that cannot be done here.
    ///
    /// - Parameters:
    ///   - features: what its maker is asked for beside.
    ///   - device: the loop device, where its name matters; else the first that is free.
    init?(
        _ kind: Kind, size: String? = nil, options: String = "loop", features: [String] = [],
        device: String? = nil
    ) throws {
        let name = "resync-mount-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        point = NSTemporaryDirectory() + name
        // In memory where there is room: thousands of syncs are waited for.
        folder = access("/dev/shm", W_OK) == 0 ? "/dev/shm/" + name : point + "-image"
        guard isRoot else {
            skip("mounting needs root")
            return nil
        }
        try system("mkdir", "-p", point, folder)
        let image = folder + "/image"
        try system("truncate", "-s", size ?? kind.size, image)
        let force = kind == .ext4 ? "-F" : "-f"
        let made = try kind.maker.map {
            try Command($0, ["-q", force] + features + [image]).run()
        }
        let isOn = try device.map { try system("losetup", $0, image) != nil } ?? false
        let source = isOn ? device ?? image : image
        let isMounted = try system("mount", "-o", isOn ? "rw" : options, source, point) != nil
        // It is let go of with the mount.
        if isOn { try system("losetup", "-d", source) }
        guard made?.status == 0, isMounted else {
            let why = made?.errorText ?? "it is not installed"
            skip("\(kind.rawValue) on a loop device is not to be had: \(why)")
            return nil
        }
        try system("rm", "-rf", point + "/lost+found")
    }

    deinit {
        _ = try? system("umount", "-l", point)
        _ = try? system("rm", "-rf", "--one-file-system", folder, point)
    }

    /// Takes it away and brings it back, as after a crash.
    func mountAgain() throws -> Bool {
        try system("umount", point) != nil
            && system("mount", "-o", "loop", folder + "/image", point) != nil
    }

    /// Turns bytes of a file over where they lie, behind the back of the file system, which is
    /// mounted anew. They are turned back the next time.
    ///
    /// - Returns: false where they were not found.
    func flip(_ bytes: [UInt8]) throws -> Bool {
        try changing { image in
            var all = try Data(contentsOf: URL(fileURLWithPath: image))
            // Its first block lies in one piece, turned over or not.
            let first = Data(bytes.prefix(4096))
            guard let place = all.range(of: first) ?? all.range(of: Data(first.map { ~$0 })) else {
                return false
            }
            all.replaceSubrange(place, with: all[place].map { ~$0 })
            let file = try FileHandle(forWritingTo: URL(fileURLWithPath: image))
            try file.write(contentsOf: all)
            try file.close()
            return true
        }
    }

    /// Has other bytes lie where those of a file lie in one piece, behind the back of the file
    /// system.
    ///
    /// - Returns: false where they were not found.
    func replace(_ old: [UInt8], with new: [UInt8]) throws -> Bool {
        try changing { image in
            let all = try Data(contentsOf: URL(fileURLWithPath: image), options: .alwaysMapped)
            guard let place = all.range(of: Data(old)) else { return false }
            let file = try FileHandle(forWritingTo: URL(fileURLWithPath: image))
            try file.seek(toOffset: UInt64(place.lowerBound))
            try file.write(contentsOf: Data(new))
            try file.close()
            return true
        }
    }

    /// Changes the disk while it is not mounted. Its device stays the same one: under another
    /// number it would be another store.
    func changing(_ body: (_ image: String) throws -> Bool) throws -> Bool {
        guard let source = try system("findmnt", "-n", "-o", "SOURCE", point) else { return false }
        let device = source.trimmingCharacters(in: .whitespacesAndNewlines)
        let held = open(device, O_RDONLY | O_CLOEXEC)
        guard held >= 0 else { return false }
        defer { close(held) }
        return try system("umount", point) != nil && body(folder + "/image")
            && system("blockdev", "--flushbufs", device) != nil
            && system("mount", device, point) != nil
    }

    /// Takes what lies on the disk now away, for later.
    func keep() throws {
        try system("sync", "-f", point)
        try system("cp", "--sparse=always", folder + "/image", folder + "/kept")
    }

    /// The disk is again as it was when it was kept: the writes since are lost.
    func loseWrites() throws -> Bool {
        try changing { try system("cp", "--sparse=always", folder + "/kept", $0) != nil }
    }

    func remount(_ options: String) throws -> Bool {
        try system("mount", "-o", "remount,\(options)", point) != nil
    }
}

/// A block device of a file, for as long as this is kept.
final class LoopDevice {
    let path: String

    init?(_ file: String) throws {
        guard isRoot, let found = try system("losetup", "-f", "--show", file) else {
            skip("loop devices are not to be had")
            return nil
        }
        path = found.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    deinit { _ = try? system("losetup", "-d", path) }
}

/// What one entry is, read by other means than those of the program.
struct RecordedEntry: Equatable {
    let stat: Stat
    /// Of a file; the target of a symlink.
    let bytes: [UInt8]
    let attributes: [[UInt8]: [UInt8]]

    /// Whether what stands at a name is the same version, wherever it is kept.
    func isSame(as other: RecordedEntry) -> Bool {
        isAlike(other, but: []) && stat.mode == other.stat.mode && stat.uid == other.stat.uid
            && stat.gid == other.stat.gid && stat.mtime == other.stat.mtime
    }

    /// For a message.
    var text: String {
        let (mode, time) = (String(stat.mode, radix: 8), stat.mtime)
        return
            "\(stat.type.word) \(mode) \(stat.uid):\(stat.gid) \(time.seconds).\(time.nanoseconds) "
            + "\(bytes.count) bytes, \(attributes.keys.map { escaped($0) }.sorted())"
    }

    /// Type, content, attributes and number of a device.
    func isAlike(_ other: RecordedEntry, but left: Set<[UInt8]>) -> Bool {
        stat.type == other.stat.type && bytes == other.bytes
            && stat.special == other.stat.special
            && attributes.filter { !left.contains($0.key) }
                == other.attributes.filter { !left.contains($0.key) }
    }
}

/// Every entry below a root by its path, the root's own being empty.
typealias Recorded = [[UInt8]: RecordedEntry]

func recorded(_ root: String) throws -> Recorded {
    var found: Recorded = [:]
    let attributes = AttributeCalls()
    for (path, entry) in try plainStore(root) {
        let name = (Array((root + "/").utf8) + path + [0]).map { CChar(bitPattern: $0) }
        var raw = Glibc.stat()
        guard lstat(name, &raw) == 0 else { throw StageFailure(call: "lstat", number: errno) }
        var stat = entry.stat
        stat.ctime = Timestamp(
            seconds: Int64(raw.st_ctim.tv_sec), nanoseconds: UInt32(raw.st_ctim.tv_nsec))
        stat.special = DeviceNumber(
            major: UInt32(raw.st_rdev >> 8), minor: UInt32(raw.st_rdev & 0xff))
        found[path] = RecordedEntry(
            stat: stat, bytes: entry.bytes, attributes: try attributes(name))
    }
    return found
}

/// Two calls that Swift's Glibc does not declare, found by name.
private struct AttributeCalls {
    typealias List =
        @convention(c) (
            UnsafePointer<CChar>, UnsafeMutablePointer<CChar>, Int
        ) -> Int
    typealias Get =
        @convention(c) (
            UnsafePointer<CChar>, UnsafePointer<CChar>, UnsafeMutableRawPointer, Int
        ) -> Int

    let list = unsafeBitCast(dlsym(nil, "llistxattr"), to: List.self)
    let get = unsafeBitCast(dlsym(nil, "lgetxattr"), to: Get.self)

    func callAsFunction(_ name: [CChar]) throws -> [[UInt8]: [UInt8]] {
        var words = [CChar](repeating: 0, count: 4096)
        let length = list(name, &words, words.count)
        guard length >= 0 else { throw StageFailure(call: "llistxattr", number: errno) }
        var found: [[UInt8]: [UInt8]] = [:]
        for word in words[..<length].split(separator: 0) {
            var value = [UInt8](repeating: 0, count: 4096)
            let count = get(name, Array(word) + [0], &value, value.count)
            guard count >= 0 else { throw StageFailure(call: "lgetxattr", number: errno) }
            found[word.map { UInt8(bitPattern: $0) }] = Array(value[..<count])
        }
        return found
    }
}

extension Recorded {
    /// Without what is the program's own.
    var withoutOwn: Recorded { filter { !$0.key.starts(with: ".resync".utf8) } }

    /// What files hold and symlinks say: what must never be lost.
    var contents: Set<[UInt8]> {
        Set(values.filter { $0.stat.type == .file || $0.stat.type == .symlink }.map(\.bytes))
    }

    /// A line for each path that is not the same in both, the root's time left aside. `links`:
    /// which names are one object counts, too.
    func differences(from other: Recorded, links: Bool = true) -> [String] {
        let (left, right) = (withoutOwn, other.withoutOwn)
        let heads = (left.heads, right.heads)
        return Set(left.keys).union(right.keys).sorted { $0.lexicographicallyPrecedes($1) }
            .compactMap { path in
                guard let one = left[path] else { return "missing: \(escaped(path))" }
                guard let two = right[path] else { return "too many: \(escaped(path))" }
                if path.isEmpty ? !one.isAlike(two, but: []) : !one.isSame(as: two) {
                    return "differs: \(escaped(path)): \(one.text), \(two.text)"
                }
                if links, heads.0[path] != heads.1[path] { return "linked: \(escaped(path))" }
                return nil
            }
    }

    /// By path, the first name of the object.
    private var heads: [[UInt8]: [UInt8]] {
        var first: [UInt64: [UInt8]] = [:]
        var heads: [[UInt8]: [UInt8]] = [:]
        for path in keys.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            guard let stat = self[path]?.stat, stat.type != .directory else { continue }
            heads[path] = first[stat.inode] ?? path
            if first[stat.inode] == nil { first[stat.inode] = path }
        }
        return heads
    }
}

/// A program of `Tests/Faults`, built for as long as this is kept.
final class FaultProgram {
    private let stage: Stage
    let path: String

    /// Nil, said aloud, where there is no compiler.
    init?(_ name: String, _ options: String...) throws {
        guard let compiler = Command.find("gcc") else {
            skip("gcc is not installed")
            return nil
        }
        stage = try Stage()
        path = stage.folder + "/" + name
        let source = Command.project + "/Tests/Faults/\(name).c"
        let built = try Command(
            compiler,
            ["-Wall", "-Wextra", "-Werror", "-O1", "-pthread", "-o", path, source] + options
        ).run()
        try #require(built.status == 0, "\(built.report)")
    }
}

/// Runs the program under `killer`, which ends it before the Nth call that changes something.
struct Killer {
    private let program: FaultProgram

    init?() throws {
        guard let program = try FaultProgram("killer") else { return nil }
        self.program = program
        let tried = try Command(program.path, ["0", "/dev/null", "/bin/true"]).run()
        guard tried.status == 0 else {
            skip("processes cannot be traced: \(tried.report)")
            return nil
        }
    }

    /// - Parameter nth: 0 never kills.
    /// - Returns: how many such calls there were, the last one not carried out where it was killed.
    func run(_ command: Command, killingAt nth: Int) throws -> (done: Finished, calls: Int) {
        let counts = NSTemporaryDirectory() + "/resync-calls-\(UInt64.random(in: 0 ... .max))"
        defer { unlink(counts) }
        var killed = command
        killed.program = program.path
        killed.arguments =
            ["\(nth)", counts, command.program].map { Array($0.utf8) } + command.arguments
        let done = try killed.run()
        let text = FileManager.default.contents(atPath: counts).map {
            String(decoding: $0, as: UTF8.self)
        }
        let calls = text.flatMap { Int($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
        return (done, try #require(calls, "\(done.report)"))
    }
}

extension Stage {
    /// Compares A with B and plans to make B the same; returns the plan's id.
    func planned(_ a: String? = nil, _ b: String? = nil) throws -> String {
        var isFolder: ObjCBool = false
        _ = FileManager.default.fileExists(atPath: a ?? self.a, isDirectory: &isFolder)
        // Trouble that other tests make is in the kernel's log for good.
        let compared = try resync(
            ["verify", a ?? self.a, b ?? self.b, "--settle", "0", "--assurance", "hash"]
                + (isFolder.boolValue ? ["--with", "links,xattrs,acl"] : [])
        ).run()
        try #require(compared.status == 1, "\(compared.report)")
        let made = try resync(
            ["plan", "last", "--authority", "a", "--specials", "--force", "-o", "plan", "--json"]
        ).run()
        try #require(made.status == 0, "\(made.report)")
        return try #require(try objects(made.lines).compactMap { $0["plan"] as? String }.last)
    }

    func applying(_ id: String, _ more: String...) -> Command {
        resync(["apply", "plan", "--accept", id] + more)
    }
}

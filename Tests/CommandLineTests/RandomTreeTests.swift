import Foundation
import Glibc
import ResyncCore
import TestSupport
import Testing

/// Random pairs of stores on a real file system, and what a comparison that knows no cleverness
/// says of them.
@Suite struct RandomTreeTests {
    @Test func everyPathIsJudgedAsAPlainComparisonDoes() throws {
        var seed = Seed.fromEnvironment()
        for round in 0..<rounds(12) {
            let stage = try Stage()
            try stage.makeFolder("b")
            let means = RandomTree.Means(devices: false, owners: isRoot)
            let tree = RandomTree(&seed, means)
            try tree.build(at: stage.a)
            try tree.changed(&seed).build(at: stage.b)
            let expected = plainlyCompared(try plainStore(stage.a), try plainStore(stage.b))
            let digest = seed.once(in: 2) ? "gmac" : "sha256"
            let list = stage.folder + "/list"
            let found = try stage.verify(
                "--with", "links", "--json", "--combined", list, "--null", "--block-size",
                "64KiB", "--digest", digest, "--workers", seed.once(in: 2) ? "1" : "5")
            let lines = try judged(found, stage.bytes("list"))
            let extra = lines.filter { !expected.contains($0) }
            let lacking = expected.filter { !lines.contains($0) }
            #expect(
                lines == expected,
                "round \(round): found \(extra), expected \(lacking), \(found.errorText)")
            let status = plainStatus(expected).code
            #expect(found.status == status, "round \(round): \(found.report)")
            guard lines == expected else { return }
        }
    }

    /// The combined list says which entries there are, the JSON lines in what they differ.
    private func judged(_ found: Finished, _ list: [UInt8]) throws -> [String] {
        var aspects: [[UInt8]: [String]] = [:]
        for object in try objects(found.lines) where object["type"] as? String == "diff" {
            let text = try #require(object["path_b64"] as? String)
            let path = try #require(Data(base64Encoded: text)).map { $0 }
            #expect(aspects[path] == nil, "\(escaped(path)) came twice")
            aspects[path] = object["aspects"] as? [String] ?? []
            #expect(object["confirmed"] as? Bool == true, "\(escaped(path))")
        }
        return list.split(separator: 0).map { item in
            let path = Array(item.dropFirst(2))
            let sign = String(decoding: item.prefix(1), as: UTF8.self)
            return ([sign, escaped(path)] + (aspects[path] ?? [])).joined(separator: " ")
        }
    }
}

extension RandomTree {
    /// Builds it in a directory that is there.
    func build(at root: String) throws {
        func place(_ path: [UInt8]) -> [CChar] {
            (Array((root + "/").utf8) + path + [0]).map { CChar(bitPattern: $0) }
        }
        for path in paths where !path.isEmpty {
            guard let node = nodes[path], node.alias == nil else { continue }
            let name = place(path)
            switch node.type {
            case .file: try write(node, name)
            case .directory: try done("mkdir", mkdir(name, 0o700))
            case .symlink:
                let target = (node.target + [0]).map { CChar(bitPattern: $0) }
                try done("symlink", symlink(target, name))
            case .fifo: try done("mkfifo", mkfifo(name, 0o600))
            case .socket: try done("mknod", mknod(name, S_IFSOCK | 0o600, 0))
            case .characterDevice, .blockDevice: throw StageFailure(call: "mknod", number: EPERM)
            }
        }
        for path in paths {
            guard let alias = nodes[path]?.alias else { continue }
            try done("link", link(place(alias), place(path)))
        }
        for path in paths {
            guard let node = nodes[path], node.alias == nil else { continue }
            let name = place(path)
            if geteuid() == 0 { try done("lchown", lchown(name, node.uid, node.gid)) }
            if node.type != .symlink { try done("chmod", chmod(name, mode_t(node.mode))) }
            let time = timespec(
                tv_sec: Int(node.mtime.seconds), tv_nsec: Int(node.mtime.nanoseconds))
            try done("utimensat", utimensat(AT_FDCWD, name, [time, time], AT_SYMLINK_NOFOLLOW))
        }
    }

    private func write(_ node: Node, _ name: [CChar]) throws {
        let file = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        try done("open", file)
        defer { close(file) }
        try done("ftruncate", ftruncate(file, node.size))
        if let seed = node.seed {
            let bytes = generatedBytes(seed: seed, 0..<node.size)
            try done("pwrite", Int32(pwrite(file, bytes, bytes.count, 0)) - Int32(bytes.count))
        }
        for patch in node.patches {
            try done("pwrite", Int32(pwrite(file, [patch.byte], 1, patch.at)) - 1)
        }
    }
}

private func done(_ call: String, _ result: Int32) throws {
    if result < 0 { throw StageFailure(call: call, number: errno) }
}

/// A store by `lstat`, `readdir`, `read` and `readlink`.
func plainStore(_ root: String) throws -> PlainStore {
    var store: PlainStore = [:]
    var rest: [[UInt8]] = [[]]
    while let path = rest.popLast() {
        let name = (Array((root + "/").utf8) + path + [0]).map { CChar(bitPattern: $0) }
        var raw = stat()
        try done("lstat", lstat(name, &raw))
        let type = try #require(EntryType(raw.st_mode))
        var bytes: [UInt8] = []
        switch type {
        case .file:
            let file = open(name, O_RDONLY | O_CLOEXEC)
            try done("open", file)
            defer { close(file) }
            bytes = [UInt8](repeating: 0, count: Int(raw.st_size))
            try done("read", Int32(read(file, &bytes, bytes.count)) - Int32(bytes.count))
        case .symlink:
            var text = [CChar](repeating: 0, count: 5000)
            let count = readlink(name, &text, text.count)
            try done("readlink", Int32(count))
            bytes = text.prefix(count).map { UInt8(bitPattern: $0) }
        case .directory:
            guard let folder = opendir(name) else {
                throw StageFailure(call: "opendir", number: errno)
            }
            defer { closedir(folder) }
            while let entry = readdir(folder) {
                let child = withUnsafeBytes(of: entry.pointee.d_name) {
                    Array($0.prefix { $0 != 0 })
                }
                if child == [0x2e] || child == [0x2e, 0x2e] { continue }
                rest.append(path.isEmpty ? child : path + [0x2f] + child)
            }
        default: break
        }
        store[path] = PlainEntry(Stat(type, raw), bytes)
    }
    return store
}

extension EntryType {
    fileprivate init?(_ mode: mode_t) {
        switch mode & S_IFMT {
        case S_IFREG: self = .file
        case S_IFDIR: self = .directory
        case S_IFLNK: self = .symlink
        case S_IFIFO: self = .fifo
        case S_IFSOCK: self = .socket
        case S_IFCHR: self = .characterDevice
        case S_IFBLK: self = .blockDevice
        default: return nil
        }
    }
}

extension Stat {
    fileprivate init(_ type: EntryType, _ raw: stat) {
        self.init(
            type: type, mode: UInt16(raw.st_mode & 0o7777), uid: raw.st_uid, gid: raw.st_gid,
            size: Int(raw.st_size),
            mtime: Timestamp(
                seconds: Int64(raw.st_mtim.tv_sec), nanoseconds: UInt32(raw.st_mtim.tv_nsec)),
            inode: UInt64(raw.st_ino), links: UInt32(raw.st_nlink))
    }
}

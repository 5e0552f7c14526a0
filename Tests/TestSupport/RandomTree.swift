package import ResyncCore

/// A small tree of every kind of entry, made up from a seed, with names that are hard on whoever
/// takes them for text.
package struct RandomTree: Sendable {
    package struct Node: Sendable {
        package var type = EntryType.file
        package var size = 0
        /// Of `generatedBytes`; nil: a hole.
        package var seed: UInt64?
        /// Bytes written over that.
        package var patches: [(at: Int, byte: UInt8)] = []
        package var target: [UInt8] = []
        package var mode: UInt16 = 0o644
        package var uid: UInt32 = 0
        package var gid: UInt32 = 0
        package var mtime = Timestamp(seconds: 0, nanoseconds: 0)
        package var special = DeviceNumber(major: 1, minor: 3)
        /// The path whose object this is one more name of; all else is then said there.
        package var alias: [UInt8]?
    }

    /// What may be made up here.
    package struct Means: Sendable {
        package var devices: Bool
        package var owners: Bool

        package init(devices: Bool, owners: Bool) {
            self.devices = devices
            self.owners = owners
        }
    }

    /// By path; parents are directories that are there too. The root has an empty path.
    package private(set) var nodes: [[UInt8]: Node]
    private let means: Means

    /// Parents first.
    package var paths: [[UInt8]] {
        nodes.keys.sorted { RelativePath($0) < RelativePath($1) }
    }

    package init(_ seed: inout Seed, _ means: Means) {
        self.means = means
        var root = Node()
        root.type = .directory
        root.mode = 0o755
        nodes = [[]: root]
        for _ in 0..<Int.random(in: 1...24, using: &seed) { add(&seed) }
    }

    private mutating func add(_ seed: inout Seed) {
        let folders = paths.filter { nodes[$0]?.type == .directory }
        let parent = folders.randomElement(using: &seed) ?? []
        let path = parent.isEmpty ? name(&seed) : parent + [slash] + name(&seed)
        guard nodes[path] == nil else { return }
        var node = self.node(&seed)
        if node.type != .directory, seed.once(in: 6) {
            node.alias = objects.randomElement(using: &seed)
        }
        nodes[path] = node
    }

    /// The paths that say what an object with several names is like.
    private var objects: [[UInt8]] {
        paths.filter { nodes[$0]?.type != .directory && nodes[$0]?.alias == nil }
    }

    /// The same tree after some accidents.
    package func changed(_ seed: inout Seed) -> RandomTree {
        var tree = self
        let share = Int.random(in: 1...8, using: &seed)
        for path in paths where tree.nodes[path] != nil && seed.once(in: share) {
            tree.damage(path, &seed)
        }
        for _ in 0..<Int.random(in: 0...2, using: &seed) { tree.add(&seed) }
        // Names whose object is gone get one of their own.
        for path in tree.paths {
            guard let alias = tree.nodes[path]?.alias else { continue }
            let other = tree.nodes[alias]
            if other == nil || other?.type == .directory || other?.alias != nil || alias == path
                || seed.once(in: 6)
            {
                tree.nodes[path] = nodes[alias] ?? tree.node(&seed)
                tree.nodes[path]?.alias = nil
                if tree.nodes[path]?.type == .directory { tree.nodes[path]?.type = .fifo }
            }
        }
        return tree
    }

    private mutating func damage(_ path: [UInt8], _ seed: inout Seed) {
        guard var node = nodes[path] else { return }
        switch Int.random(in: 0...9, using: &seed) {
        case 0 where !path.isEmpty: return remove(path)
        case 1 where !path.isEmpty:
            remove(path)
            node = self.node(&seed)
        case 2: node.mode = Self.mode(node.type, &seed)
        case 3 where means.owners: node.uid = 1 - node.uid
        case 4: node.mtime.nanoseconds ^= 1
        case 5 where node.type == .symlink: node.target.append(UInt8(ascii: "x"))
        case 6 where node.type == .file: node.size = Self.size(&seed)
        case 7 where node.type != .directory:
            node.alias = objects.filter { $0 != path }.randomElement(using: &seed)
        default:
            guard node.type == .file, node.size > 0 else { return }
            let at = Int.random(in: 0..<node.size, using: &seed)
            let old = node.byte(at: at)
            node.patches.append((at, seed.once(in: 4) ? 0 : old ^ 0x41))
        }
        node.patches.removeAll { $0.at >= node.size }
        nodes[path] = node
    }

    private mutating func remove(_ path: [UInt8]) {
        for below in paths where RelativePath(below).isWithin(RelativePath(path)) {
            nodes[below] = nil
        }
    }

    // MARK: Making things up

    private static let block = 64 << 10
    private static let sizes = [
        0, 1, 511, 4095, 4096, 4097, block - 1, block, block + 1, 2 * block - 1, 2 * block,
        2 * block + 1, 3 * block + 5000,
    ]

    private static func size(_ seed: inout Seed) -> Int {
        sizes.randomElement(using: &seed) ?? 0
    }

    private static func mode(_ type: EntryType, _ seed: inout Seed) -> UInt16 {
        // Owners can always read, so that anybody can run this.
        UInt16.random(in: 0...0o777, using: &seed) | (type == .directory ? 0o700 : 0o400)
    }

    private func node(_ seed: inout Seed) -> Node {
        var node = Node()
        let types: [EntryType] =
            [.file, .file, .file, .directory, .directory, .symlink, .fifo, .socket]
            + (means.devices ? [.characterDevice] : [])
        node.type = types.randomElement(using: &seed) ?? .file
        if node.type == .file {
            node.size = Self.size(&seed)
            node.seed = seed.once(in: 3) ? nil : UInt64.random(in: 0...3, using: &seed)
            if node.seed == nil, seed.once(in: 5) { node.size = (4 << 20) + 1 }
            if node.size > 0, seed.once(in: 3) {
                let at = Int.random(in: 0..<node.size, using: &seed)
                node.patches = [(at, UInt8.random(in: 0...255, using: &seed))]
            }
        }
        node.target = seed.once(in: 2) ? Array("../a".utf8) : [slash, 0xff, 0x1b, 0x0a]
        node.mode = Self.mode(node.type, &seed)
        if means.owners {
            node.uid = UInt32.random(in: 0...1, using: &seed)
            node.gid = UInt32.random(in: 0...1, using: &seed)
        }
        node.mtime = Timestamp(
            seconds: [-1, 0, 1_600_000_000, 1 << 32].randomElement(using: &seed) ?? 0,
            nanoseconds: [0, 1, 999_999_999].randomElement(using: &seed) ?? 0)
        node.special.minor = UInt32.random(in: 3...5, using: &seed)
        return node
    }

    private static let odd: [[UInt8]] = [
        [0xff, 0xfe], [0xc0, 0xaf], [0xe9], Array("é".utf8), Array("e\u{301}".utf8),
        Array("\u{202e}txt.exe".utf8), Array("a\nb".utf8), Array("\u{1b}[2J".utf8), [0x9b],
        Array("-rf".utf8), Array("--".utf8), Array(" ".utf8), Array("~".utf8), Array("\\".utf8),
        Array("*".utf8), Array("$(id)".utf8), Array("...".utf8), Array("a.".utf8),
        Array("a-".utf8), Array("a".utf8), Array("a0".utf8), Array("A".utf8), [0x01], [0x7f],
        Array(".resync-store".utf8), Array(repeating: 0x78, count: 255),
    ]

    private func name(_ seed: inout Seed) -> [UInt8] {
        if seed.once(in: 2) { return Self.odd.randomElement(using: &seed) ?? [0x61] }
        return (0..<Int.random(in: 1...3, using: &seed)).map { _ in
            let byte = UInt8.random(in: 1...255, using: &seed)
            // Names of dots alone are taken, and a slash is no part of a name.
            return byte == slash || byte == UInt8(ascii: ".") ? 0x61 : byte
        }
    }
}

extension RandomTree.Node {
    package func byte(at offset: Int) -> UInt8 {
        if let patch = patches.last(where: { $0.at == offset }) { return patch.byte }
        return seed.map { generatedBytes(seed: $0, offset..<offset + 1)[0] } ?? 0
    }
}

extension RandomTree {
    /// Builds it below a directory that is there.
    package func build(on disk: SimulatedDisk, at root: [UInt8]) {
        func place(_ path: [UInt8]) -> [UInt8] { path.isEmpty ? root : root + [slash] + path }
        for path in paths where !path.isEmpty {
            guard let node = nodes[path], node.alias == nil else { continue }
            switch node.type {
            case .file:
                if let seed = node.seed {
                    disk.addGenerated(place(path), size: node.size, seed: seed)
                } else {
                    disk.addSparse(place(path), size: node.size)
                }
                for patch in node.patches { disk.write(place(path), at: patch.at, [patch.byte]) }
            case .directory: disk.addDirectory(place(path))
            case .symlink: disk.addSymlink(place(path), to: node.target)
            case .fifo: disk.addFifo(place(path))
            case .socket: disk.addSocket(place(path))
            case .characterDevice, .blockDevice:
                disk.addDevice(place(path), node.type, number: node.special)
            }
        }
        for path in paths {
            guard let alias = nodes[path]?.alias else { continue }
            disk.link(place(alias), as: place(path))
        }
        for path in paths {
            guard let node = nodes[path], node.alias == nil else { continue }
            disk.change(
                place(path),
                Ownership(mode: node.mode, uid: node.uid, gid: node.gid, mtime: node.mtime))
        }
    }
}

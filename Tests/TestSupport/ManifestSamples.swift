package import ResyncCore
import ResyncStorage

extension Seed {
    /// True once in `times` calls on average.
    package mutating func once(in times: Int) -> Bool {
        Int.random(in: 0..<times, using: &self) == 0
    }
}

/// Bytes in memory that are written and read as a file is.
package final class MemoryFile: @unchecked Sendable {
    // Unchecked because a test reads it from other threads only once it is written.
    package var bytes: [UInt8]

    package init(_ bytes: [UInt8] = []) { self.bytes = bytes }

    package func append(_ more: [UInt8]) { bytes += more }

    package func read(_ offset: Int, _ count: Int) -> [UInt8] {
        let start = min(max(0, offset), bytes.count)
        return Array(bytes[start..<min(bytes.count, start + max(0, count))])
    }
}

extension Entry {
    /// With some of its details replaced; the inner nil takes one away.
    package func with(
        target: [UInt8]?? = nil, xattrs: Digest?? = nil, acl: Digest?? = nil,
        owner: OwnerNames?? = nil
    ) -> Entry {
        Entry(
            stat: stat, target: target ?? self.target, xattrs: xattrs ?? self.xattrs,
            acl: acl ?? self.acl, owner: owner ?? self.owner)
    }
}

/// Makes up manifests.
package enum ManifestSample {
    package static let blockSize = 64 << 10

    package static func header() -> ManifestHeader {
        var header = ManifestHeader(
            blockSize: blockSize, aspects: .all, exclusions: digest([1, 2, 3]))
        header.host = Array("a.example".utf8)
        header.store = [0x2f, 0xff, 0x0a]
        header.tool = Array("resync 1.0".utf8)
        header.started = Timestamp(seconds: 1_700_000_000, nanoseconds: 5)
        return header
    }

    package static func digest(_ bytes: [UInt8]) -> Digest {
        var hash = ManifestHashes.openSSL.make(.sha256)
        hash.update(bytes)
        return hash.finalize()
    }

    package static func content(_ blocks: BlockList, size: Int, whole: Digest? = nil) -> FileContent
    {
        var tree = BlockTree(ManifestHashes.openSSL.make(.sha256))
        return FileContent(
            blocks: blocks,
            digest: tree.fileDigest(blocks, size: size, blockSize: blockSize), whole: whole)
    }

    /// A file of so many blocks, all different; `salt` tells contents apart.
    package static func file(_ name: Name, blocks count: Int, salt: UInt8 = 0) -> ManifestEntry {
        var blocks = BlockList()
        for block in 0..<count { blocks.append(digest([salt] + Array(String(block).utf8))) }
        let stat = Stat(
            type: .file, mode: 0o640, uid: 1, gid: 2, size: count * blockSize,
            mtime: Timestamp(seconds: 1_600_000_000, nanoseconds: 999_999_999),
            ctime: Timestamp(seconds: -1, nanoseconds: 1), inode: 77,
            device: DeviceNumber(major: 8, minor: 1))
        var entry = ManifestEntry(name: name, entry: complete(Entry(stat: stat)))
        entry.content = content(blocks, size: stat.size)
        return entry
    }

    package static func directory(_ name: Name) -> ManifestEntry {
        ManifestEntry(
            name: name, entry: complete(Entry(stat: Stat(type: .directory, mode: 0o755, links: 2))))
    }

    private static func complete(_ entry: Entry) -> Entry {
        Entry(
            stat: entry.stat, target: entry.target, xattrs: digest([]), acl: digest([]),
            owner: entry.owner)
    }

    package static func end(_ listing: ListingState = .complete) -> ManifestRecord {
        .end(DirectoryEnd(listing: listing))
    }

    /// A tree in walk order that has a bit of everything.
    package static func tree(
        _ generator: inout Seed, entries: Int, doubts: Bool = true
    ) -> [ManifestRecord] {
        var records: [ManifestRecord] = [.entry(directory(Name([])))]
        var left = entries
        fill(&records, &generator, &left, depth: 0, doubts: doubts)
        records.append(end())
        return records
    }

    private static func fill(
        _ records: inout [ManifestRecord], _ generator: inout Seed, _ left: inout Int,
        depth: Int, doubts: Bool
    ) {
        var names: Set<[UInt8]> = []
        for _ in 0..<Int.random(in: depth == 0 ? 20...30 : 0...12, using: &generator) {
            names.insert(name(&generator))
        }
        for bytes in names.sorted(by: { $0.lexicographicallyPrecedes($1) }) where left > 0 {
            left -= 1
            let name = Name(bytes)
            if depth < 6, generator.once(in: 4) {
                records.append(.entry(directory(name)))
                fill(&records, &generator, &left, depth: depth + 1, doubts: doubts)
                let isBroken = doubts && generator.once(in: 20)
                records.append(
                    end(isBroken ? .failed(call: Array("getdents64".utf8), number: 5) : .complete))
            } else {
                records.append(.entry(leaf(name, &generator, doubts: doubts)))
            }
        }
    }

    private static func name(_ generator: inout Seed) -> [UInt8] {
        while true {
            let count = Int.random(in: 1...(generator.once(in: 30) ? 255 : 12), using: &generator)
            let bytes = (0..<count).map { _ in UInt8.random(in: 1...255, using: &generator) }
            if Name(bytes).isValid { return bytes }
        }
    }

    private static func leaf(
        _ name: Name, _ generator: inout Seed, doubts: Bool
    ) -> ManifestEntry {
        var entry = file(
            name, blocks: Int.random(in: 0...3, using: &generator),
            salt: UInt8.random(in: 0...3, using: &generator))
        if generator.once(in: 100) {
            entry = file(name, blocks: ManifestLimit.runs * 2 + 5, salt: 9)
        }
        entry.isRacy = generator.once(in: 5)
        if generator.once(in: 6) {
            entry.linkedTo = RelativePath([0x61, slash, 0xfe])
            entry.entry?.stat.links = 2
        }
        let types: [EntryType] = [.symlink, .fifo, .socket, .characterDevice, .blockDevice]
        if generator.once(in: 4), let type = types.randomElement(using: &generator) {
            entry.entry?.stat.type = type
            entry.entry?.stat.size = 0
            entry.content = nil
            if type == .symlink { entry.entry = entry.entry?.with(target: [0xff, slash, 0x0a]) }
            if type.isDevice { entry.entry?.stat.special = DeviceNumber(major: 1, minor: 3) }
        }
        if doubts, generator.once(in: 15) {
            entry.doubt = Doubt(.unstable, .changing)
            entry.content = nil
        }
        if doubts, generator.once(in: 40) {
            entry = ManifestEntry(name: name, entry: nil)
            entry.doubt = Doubt(
                .unreadable, nil,
                errors: [EntryError(side: .a, call: Array("statx".utf8), number: 5)])
        }
        return entry
    }

    package static func write(
        _ records: [ManifestRecord], _ header: ManifestHeader = header()
    ) throws -> (file: MemoryFile, trailer: ManifestTrailer) {
        let file = MemoryFile()
        var writer = try ManifestWriter(header, .openSSL) { file.append($0) }
        for record in records { try writer.append(record) }
        return (file, try writer.finish(ended: Timestamp(seconds: 1_700_000_100, nanoseconds: 0)))
    }

    /// All records of a file, checked to its end.
    package static func read(_ file: MemoryFile) throws -> [ManifestRecord] {
        var reader = try ManifestReader(ManifestHashes.openSSL) { file.read($0, $1) }
        var records: [ManifestRecord] = []
        while let record = try reader.next() { records.append(record) }
        return records
    }
}

import ResyncCore
import ResyncStorage

extension StoreBench {
    /// Seconds that reading what was kept of so many entries adds to the walk, which it is done
    /// beside: as a manifest of made-up entries takes them, its work shared by so many processors
    /// that are all busy.
    func keptReading(_ entries: Double, processors: Int) throws -> Estimate {
        let count = 4000
        let bytes = try Self.manifest(count)
        var least = Double.infinity
        for _ in 0..<3 {
            let began = monotonicSeconds()
            var reader = try ManifestReader(ManifestHashes.openSSL) { offset, count in
                Array(bytes[min(offset, bytes.count)..<min(offset + count, bytes.count)])
            }
            while try reader.next() != nil {}
            least = min(least, monotonicSeconds() - began)
        }
        let alone = least / Double(count) * entries
        let shared = alone / Double(max(1, processors))
        return Estimate(shared, low: shared, high: alone).widened(by: 0.25)
    }

    /// A manifest of so many small files in one directory.
    private static func manifest(_ count: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        let header = ManifestHeader(
            blockSize: 1 << 20, aspects: .standard, exclusions: Filter.none.digest)
        var writer = try ManifestWriter(header, ManifestHashes.openSSL) { bytes += $0 }
        var root = ManifestEntry(
            name: Name([UInt8]()), entry: Entry(stat: Stat(type: .directory)))
        root.listing = .complete
        try writer.append(.entry(root))
        var tree = BlockTree(ManifestHashes.openSSL.make(.sha256))
        for number in 0..<count {
            let digits = String(number)
            let name = String(repeating: "0", count: 8 - digits.count) + digits
            let stat = Stat(type: .file, size: 4096, inode: UInt64(number))
            var entry = ManifestEntry(name: Name(Array(name.utf8)), entry: Entry(stat: stat))
            var blocks = BlockList()
            blocks.append(Digest(words: (UInt64(number), 1, 2, 3)))
            let digest = tree.fileDigest(blocks, size: 4096, blockSize: 1 << 20)
            entry.content = FileContent(blocks: blocks, digest: digest)
            try writer.append(.entry(entry))
        }
        try writer.append(.end(DirectoryEnd(listing: .complete)))
        _ = try writer.finish(ended: .epoch)
        return bytes
    }
}

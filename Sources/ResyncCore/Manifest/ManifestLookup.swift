/// Finds entries of a manifest by name without reading all of it. Each frame that is read is
/// checked; what a frame alone cannot show (counts, root digest) is for `ManifestReader`.
///
/// For one worker at a time; cheap when names are asked for in walk order.
package struct ManifestLookup<Hash: HashFunction> {
    package let header: ManifestHeader
    package let trailer: ManifestTrailer
    private let read: ReadBytes
    private var frames: FrameReader<Hash>
    private var tree: BlockTree<Hash>
    /// First entries of frames, in walk order.
    private let index: [(offset: Int, path: RelativePath)]
    private let endOfEntries: Int
    private var cache: [Decoded] = []

    /// Frames kept decoded: the one in use, and those of the directories above it.
    private static var cacheLimit: Int { 4 }

    private struct Decoded {
        let offset: Int
        /// In walk order.
        var entries: [(path: RelativePath, entry: ManifestEntry)] = []
    }

    /// - Parameter size: bytes of the file.
    package init(_ hashes: ManifestHashes<Hash>, size: Int, read: @escaping ReadBytes) throws {
        self.read = read
        frames = FrameReader(
            magic: ManifestFrame.magic, hash: hashes.make(.sha256), chain: hashes.make(.sha256))
        try frames.start(read)
        header = try ManifestHeader(try frames.expect(ManifestFrame.header, read))
        tree = BlockTree(hashes.make(header.digest))
        let footerOffset = size - ManifestFooter.frameLength
        guard footerOffset > frames.offset else { throw FormatError("is cut", at: size) }
        frames.seek(to: footerOffset)
        let footer = try ManifestFooter(try frames.expect(ManifestFrame.footer, read))
        guard footer.index <= footer.trailer, footer.trailer < footerOffset else {
            throw FormatError("is damaged: its footer points elsewhere", at: footerOffset)
        }
        endOfEntries = footer.index
        frames.seek(to: footer.index)
        var index: [(offset: Int, path: RelativePath)] = []
        while frames.offset < footer.trailer {
            index += try ManifestIndex.items(try frames.expect(ManifestFrame.index, read))
        }
        for (before, after) in zip(index, index.dropFirst()) {
            guard before.offset < after.offset, before.path < after.path else {
                throw FormatError("is damaged: an index out of order", at: footer.index)
            }
        }
        self.index = index
        frames.seek(to: footer.trailer)
        trailer = try ManifestTrailer(try frames.expect(ManifestFrame.trailer, read))
    }

    /// The entries of some names of one directory; nil where the manifest has none.
    package mutating func entries(
        _ names: [Name], in directory: RelativePath
    ) throws -> [ManifestEntry?] {
        var found: [ManifestEntry?] = []
        found.reserveCapacity(names.count)
        for name in names { found.append(try entry(directory.appending(name))) }
        return found
    }

    /// The entry at a path; the empty path is the root, or the image.
    package mutating func entry(_ path: RelativePath) throws -> ManifestEntry? {
        let following = index.partitioningIndex { path < $0.path }
        guard following > 0 else { return nil }
        let frame = try decoded(index[following - 1].offset)
        let entries = cache[frame].entries
        let at = entries.partitioningIndex { !($0.path < path) }
        guard at < entries.count, entries[at].path == path else { return nil }
        return entries[at].entry
    }

    /// Where in the cache a frame is, after reading it if need be.
    private mutating func decoded(_ offset: Int) throws -> Int {
        if let known = cache.lastIndex(where: { $0.offset == offset }) { return known }
        var decoded = Decoded(offset: offset)
        frames.seek(to: offset)
        var payload = ByteReader(try frames.expect(ManifestFrame.entries, read))
        var path = DirectoryPath(try payload.string(limit: ManifestLimit.path))
        while !payload.isAtEnd {
            switch try payload.manifestRecord() {
            case .moreRuns: break
            case .end: path.leave()
            case .entry(var entry, let runsLeft):
                try readRuns(of: &entry, runsLeft, &payload)
                try entry.complete(header, &tree)
                let isRoot = entry.name.bytes.isEmpty
                decoded.entries.append((isRoot ? .root : path.path(of: entry.name), entry))
                if entry.isDirectory { path.enter(entry.name) }
            }
        }
        if cache.count >= Self.cacheLimit { cache.removeFirst() }
        cache.append(decoded)
        return cache.count - 1
    }

    private mutating func readRuns(
        of entry: inout ManifestEntry, _ count: Int, _ payload: inout ByteReader
    ) throws {
        var left = count
        while left > 0 {
            if payload.isAtEnd {
                guard frames.offset < endOfEntries else { throw FormatError("is damaged") }
                payload = ByteReader(try frames.expect(ManifestFrame.entries, read))
                _ = try payload.string(limit: ManifestLimit.path)
            }
            guard case .moreRuns(let runs) = try payload.manifestRecord(), runs.count <= left
            else { throw FormatError("is damaged: a file without its end") }
            try entry.content?.blocks.append(runs: runs)
            left -= runs.count
        }
    }
}

extension FrameReader {
    fileprivate mutating func expect(_ kind: UInt8, _ read: ReadBytes) throws -> [UInt8] {
        let start = offset
        guard let frame = try next(read), frame.kind == kind else {
            throw FormatError("is damaged: a frame of another kind", at: start)
        }
        return frame.payload
    }
}

extension Array {
    /// The first index whose element fulfils a condition that all later ones fulfil too.
    fileprivate func partitioningIndex(_ isBehind: (Element) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = low + (high - low) / 2
            if isBehind(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}

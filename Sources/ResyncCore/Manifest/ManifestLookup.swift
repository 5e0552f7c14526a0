/// Finds entries of a manifest by name without reading all of it. Each frame that is read is
/// checked; what a frame alone cannot show (counts, root digest) is for `ManifestReader`.
package struct ManifestLookup<Hash: HashFunction>: Sendable {
    package let header: ManifestHeader
    package let trailer: ManifestTrailer
    private let read: @Sendable (_ offset: Int, _ count: Int) throws -> [UInt8]
    private let hashes: ManifestHashes<Hash>
    /// First entries of frames, in walk order.
    private let index: [(offset: Int, path: RelativePath)]
    private let endOfEntries: Int

    /// - Parameter size: bytes of the file.
    package init(
        _ hashes: ManifestHashes<Hash>, size: Int,
        read: @escaping @Sendable (_ offset: Int, _ count: Int) throws -> [UInt8]
    ) throws {
        self.read = read
        self.hashes = hashes
        var frames = Self.frames(hashes)
        try frames.start(read)
        header = try ManifestHeader(try frames.expect(ManifestFrame.header, read))
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

    private static func frames(_ hashes: ManifestHashes<Hash>) -> FrameReader<Hash> {
        FrameReader(
            magic: ManifestFrame.magic, hash: hashes.make(.sha256), chain: hashes.make(.sha256))
    }

    /// Which portion would hold an entry; nil where it lies before the first.
    package func portion(holding path: RelativePath) -> Int? {
        let following = index.partitioningIndex { path < $0.path }
        return following > 0 ? following - 1 : nil
    }

    /// The entries of one frame, with their digests' runs; without the digests over the runs, and
    /// without asking whether each holds all that the header's aspects name.
    package func read(portion number: Int) throws -> ManifestPortion {
        var portion = ManifestPortion.Builder()
        var frames = Self.frames(hashes)
        frames.seek(to: index[number].offset)
        var payload = ByteReader(try frames.expect(ManifestFrame.entries, read))
        var path = DirectoryPath(try payload.string(limit: ManifestLimit.path))
        portion.enter(path.bytes)
        while !payload.isAtEnd {
            switch try payload.manifestRecord() {
            case .moreRuns: break
            case .end:
                path.leave()
                portion.enter(path.bytes)
            case .entry(var entry, let runsLeft):
                try readRuns(of: &entry, runsLeft, &payload, &frames)
                try entry.checkBlocks(header)
                portion.add(entry)
                if entry.isDirectory {
                    path.enter(entry.name)
                    portion.enter(path.bytes)
                }
            }
        }
        return portion.built
    }

    private func readRuns(
        of entry: inout ManifestEntry, _ count: Int, _ payload: inout ByteReader,
        _ frames: inout FrameReader<Hash>
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

/// Bytes of a file at an offset, up to so many; fewer only at its end.
package typealias ReadBytes = (_ offset: Int, _ count: Int) throws -> [UInt8]

/// Reads a manifest from its beginning to its end and believes none of it: after `next` has given
/// nil, every byte was checked, and counts and root digest were computed anew.
package struct ManifestReader<Hash: HashFunction> {
    package let header: ManifestHeader
    /// Nil before the end was reached.
    package private(set) var trailer: ManifestTrailer?

    private let read: ReadBytes
    /// Where a part ends; nil for a whole manifest.
    private let end: Int?
    private var frames: FrameReader<Hash>
    private var digests: DirectoryDigests<Hash>
    private var tree: BlockTree<Hash>
    private var payload = ByteReader([])
    private var frameOffset = 0
    private var frameNeedsIndex = false
    private var path = DirectoryPath()
    /// The directory that ended last.
    private var ended = RelativePath.root
    private var order = RecordOrder()
    private var counts = ManifestCounts()
    private var index = ManifestIndex()

    /// Reads the header.
    package init(_ hashes: ManifestHashes<Hash>, read: @escaping ReadBytes) throws {
        try self.init(hashes, end: nil, read: read)
    }

    /// Reads what there is of a manifest that is still being written; `trailer` stays nil.
    package init(
        _ hashes: ManifestHashes<Hash>, _ part: ManifestPart, read: @escaping ReadBytes
    ) throws {
        // What was not written yet is read as the frame that it was to become.
        var frames = FrameWriter(
            magic: ManifestFrame.magic, hash: hashes.make(.sha256), chain: hashes.make(.sha256),
            resumingAt: part.end)
        let tail = part.pending.isEmpty ? [] : frames.frame(ManifestFrame.entries, part.pending)
        try self.init(hashes, end: part.end + tail.count) { offset, count in
            offset < part.end
                ? try read(offset, min(count, part.end - offset))
                : Array(tail.dropFirst(offset - part.end).prefix(count))
        }
    }

    private init(_ hashes: ManifestHashes<Hash>, end: Int?, read: @escaping ReadBytes) throws {
        self.read = read
        self.end = end
        frames = FrameReader(
            magic: ManifestFrame.magic, hash: hashes.make(.sha256), chain: hashes.make(.sha256))
        try frames.start(read)
        guard let first = try frames.next(read), first.kind == ManifestFrame.header else {
            throw FormatError("begins without a header")
        }
        header = try ManifestHeader(first.payload)
        digests = DirectoryDigests(header, hashes)
        tree = BlockTree(hashes.make(header.digest))
    }

    /// The path of the directory that is open behind the last record.
    package var directory: RelativePath { RelativePath(path.bytes) }

    /// The path of the record that `next` gave last.
    package func path(of record: ManifestRecord) -> RelativePath {
        switch record {
        case .end: ended
        case .entry(let entry):
            entry.isDirectory || header.isImage ? directory : path.path(of: entry.name)
        }
    }

    /// The next record; nil at the end, when all was found to be right.
    package mutating func next() throws -> ManifestRecord? {
        if trailer != nil { return nil }
        while payload.isAtEnd {
            guard try nextFrame() else { return nil }
        }
        do throws(FormatError) {
            return try record()
        } catch {
            throw FormatError("is damaged: \(error.reason)", at: frameOffset)
        }
    }

    /// False when the trailer was read instead, or a part has come to its end.
    private mutating func nextFrame() throws -> Bool {
        frameOffset = frames.offset
        if frameOffset == end { return false }
        guard let frame = try frames.next(read) else {
            throw FormatError("is cut", at: frameOffset)
        }
        guard frame.kind == ManifestFrame.entries else {
            try finish(frame)
            return false
        }
        payload = ByteReader(frame.payload)
        let begins = try payload.string(limit: ManifestLimit.path)
        guard begins == path.bytes, !payload.isAtEnd else {
            throw FormatError("is damaged: a frame out of place", at: frameOffset)
        }
        frameNeedsIndex = true
        return true
    }

    private mutating func record() throws(FormatError) -> ManifestRecord {
        switch try payload.manifestRecord() {
        case .moreRuns: throw FormatError("runs of no file")
        case .end(let end):
            try order.checkEnd()
            let computed = digests.end(end.listing)
            guard computed.digest == end.digest, computed.entries == end.entries else {
                throw FormatError("a directory's digest that does not match its entries")
            }
            try counts.count(end)
            ended = directory
            path.leave()
            return .end(end)
        case .entry(var entry, let runsLeft):
            try order.check(entry)
            if frameNeedsIndex {
                let isRoot = digests.depth == 0
                index.add(frameOffset, isRoot ? .root : path.path(of: entry.name))
                frameNeedsIndex = false
            }
            if runsLeft > 0 { try readRuns(of: &entry, runsLeft) }
            try entry.complete(header, &tree)
            digests.add(entry)
            counts.count(entry)
            if entry.isDirectory {
                path.enter(entry.name)
                guard path.bytes.count <= ManifestLimit.path else {
                    throw FormatError("a path longer than \(ManifestLimit.path) bytes")
                }
            }
            return .entry(entry)
        }
    }

    private mutating func readRuns(
        of entry: inout ManifestEntry, _ count: Int
    ) throws(FormatError) {
        var left = count
        while left > 0 {
            while payload.isAtEnd {
                do {
                    guard try nextFrame() else { throw FormatError("a file without its end") }
                } catch let error as FormatError {
                    throw error
                } catch {
                    throw FormatError("cannot be read: \(error)")
                }
            }
            guard case .moreRuns(let runs) = try payload.manifestRecord(), runs.count <= left,
                runs.count == min(left, ManifestLimit.runs)
            else { throw FormatError("a file without its end") }
            try entry.content?.blocks.append(runs: runs)
            left -= runs.count
        }
    }

    /// Reads everything behind the entries, of which `frame` is the first.
    private mutating func finish(_ first: (kind: UInt8, payload: [UInt8])) throws {
        try order.checkFinished()
        index.close()
        let indexOffset = frameOffset
        var frame = first
        for expected in index.payloads {
            guard frame.kind == ManifestFrame.index, frame.payload == expected else {
                throw FormatError("is damaged: its index is not that of its entries")
            }
            frame = try following()
        }
        guard frame.kind == ManifestFrame.trailer else {
            throw FormatError("is damaged: no trailer", at: frameOffset)
        }
        let trailerOffset = frameOffset
        let found = try ManifestTrailer(frame.payload)
        let chain = frames.chainDigest()
        frame = try following()
        guard frame.kind == ManifestFrame.footer else {
            throw FormatError("is damaged: no footer", at: frameOffset)
        }
        let footer = try ManifestFooter(frame.payload)
        guard footer.chain == chain else {
            throw FormatError("is damaged: its frames are not all there")
        }
        guard footer.index == indexOffset, footer.trailer == trailerOffset else {
            throw FormatError("is damaged: its footer points elsewhere", at: frameOffset)
        }
        guard try read(frames.offset, 1).isEmpty else {
            throw FormatError("goes on behind its end", at: frames.offset)
        }
        guard found.counts == counts else {
            throw FormatError("is damaged: its counts are not those of its entries")
        }
        guard found.root == digests.root else {
            throw FormatError("is damaged: its root digest is not that of its entries")
        }
        trailer = found
    }

    private mutating func following() throws -> (kind: UInt8, payload: [UInt8]) {
        frameOffset = frames.offset
        guard let frame = try frames.next(read) else {
            throw FormatError("is cut", at: frameOffset)
        }
        return frame
    }
}

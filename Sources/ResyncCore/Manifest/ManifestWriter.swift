/// Writes a manifest from records in walk order. Memory grows with the depth of the tree, and by
/// about a thousandth of what is written for the index.
package struct ManifestWriter<Hash: HashFunction> {
    /// Takes the file's bytes one stretch after the other.
    package typealias Output = (_ bytes: [UInt8]) throws -> Void

    private let output: Output
    private var frames: FrameWriter<Hash>
    private var digests: DirectoryDigests<Hash>
    private var payload = ByteWriter()
    /// Whether the open frame has begun.
    private var isOpen = false
    private var firstEntry: RelativePath?
    private var path = DirectoryPath()
    private var index = ManifestIndex()
    private var trailer = ManifestTrailer()
    private var order = RecordOrder()

    /// Writes the header.
    package init(
        _ header: ManifestHeader, _ hashes: ManifestHashes<Hash>, output: @escaping Output
    ) throws {
        self.output = output
        frames = FrameWriter(
            magic: ManifestFrame.magic, hash: hashes.make(.sha256), chain: hashes.make(.sha256))
        digests = DirectoryDigests(header, hashes)
        try output(frames.start())
        try output(frames.frame(ManifestFrame.header, header.bytes))
    }

    /// What is written, and what is to be written next.
    package var part: ManifestPart {
        ManifestPart(end: frames.offset, pending: payload.bytes)
    }

    /// Goes on with a manifest of which a part was written. That part is read, checked, and written
    /// once more in thought, so that all the writer must know of it is known again.
    ///
    /// - Parameters:
    ///   - read: gives the bytes of the part.
    ///   - output: takes what follows it.
    ///   - record: takes each record of the part, in order.
    package init(
        resuming part: ManifestPart, _ hashes: ManifestHashes<Hash>, read: @escaping ReadBytes,
        output: @escaping Output, record: (ManifestRecord) throws -> Void
    ) throws {
        var reader = try ManifestReader(hashes, part, read: read)
        var at = 0
        try self.init(reader.header, hashes) { bytes in
            guard at < part.end else { return try output(bytes) }
            guard try read(at, bytes.count) == bytes else {
                throw FormatError("is not what was written", at: at)
            }
            at += bytes.count
        }
        while let next = try reader.next() {
            try append(next)
            try record(next)
        }
        guard self.part == part else {
            throw FormatError("is not what was written", at: part.end)
        }
    }

    /// The digest and the count in a directory's end are computed here, whatever it says.
    package mutating func append(_ record: ManifestRecord) throws {
        switch record {
        case .entry(let entry): try append(entry)
        case .end(let end): try append(end)
        }
    }

    private mutating func append(_ entry: ManifestEntry) throws {
        try order.check(entry)
        let isRoot = digests.depth == 0
        beginFrame()
        if firstEntry == nil { firstEntry = isRoot ? .root : path.path(of: entry.name) }
        payload.manifestEntry(entry)
        digests.add(entry)
        trailer.counts.count(entry)
        if entry.isDirectory {
            path.enter(entry.name)
            guard path.bytes.count <= ManifestLimit.path else {
                throw FormatError("a path longer than \(ManifestLimit.path) bytes")
            }
        }
        try closeIfFull()
        guard let blocks = entry.content?.blocks else { return }
        var at = ManifestLimit.runs
        while at < blocks.runs.count {
            beginFrame()
            at = payload.moreRuns(blocks, from: at)
            try closeIfFull()
        }
    }

    private mutating func append(_ end: DirectoryEnd) throws {
        try order.checkEnd()
        beginFrame()
        let computed = digests.end(end.listing)
        var end = end
        end.digest = computed.digest
        end.entries = computed.entries
        payload.directoryEnd(end)
        try trailer.counts.count(end)
        path.leave()
        try closeIfFull()
    }

    /// A frame begins with the path of the directory it begins in, so that reading can start here.
    private mutating func beginFrame() {
        guard !isOpen else { return }
        isOpen = true
        payload.string(path.bytes)
    }

    private mutating func closeIfFull() throws {
        if payload.bytes.count >= ManifestLimit.framePayload { try closeFrame() }
    }

    private mutating func closeFrame() throws {
        guard isOpen else { return }
        if let firstEntry { index.add(frames.offset, firstEntry) }
        try output(frames.frame(ManifestFrame.entries, payload.bytes))
        payload.removeAll()
        isOpen = false
        firstEntry = nil
    }

    /// Writes index, trailer and footer. Only now is it a manifest.
    package mutating func finish(ended: Timestamp) throws -> ManifestTrailer {
        try order.checkFinished()
        try closeFrame()
        index.close()
        let indexOffset = frames.offset
        for payload in index.payloads {
            try output(frames.frame(ManifestFrame.index, payload))
        }
        trailer.root = digests.root
        trailer.ended = ended
        let trailerOffset = frames.offset
        try output(frames.frame(ManifestFrame.trailer, trailer.bytes))
        let footer = ManifestFooter(
            index: indexOffset, trailer: trailerOffset, chain: frames.chainDigest())
        try output(frames.frame(ManifestFrame.footer, footer.bytes))
        return trailer
    }
}

/// How much of a manifest is written, while it is made: whole frames up to `end`, and the payload
/// of the one that was begun.
package struct ManifestPart: Sendable, Hashable {
    package var end: Int
    package var pending: [UInt8]

    package init(end: Int, pending: [UInt8]) {
        self.end = end
        self.pending = pending
    }
}

/// Holds records to the one order there is: a root, names rising in each directory, an end for
/// each.
struct RecordOrder {
    /// The name that came last in each open directory.
    private var last: [Name?] = []
    private var isBegun = false

    mutating func check(_ entry: ManifestEntry) throws(FormatError) {
        if last.isEmpty {
            guard !isBegun else { throw FormatError("an entry behind the root's end") }
            guard entry.name.bytes.isEmpty else { throw FormatError("a root with a name") }
        } else {
            guard entry.name.isValid else { throw FormatError("a name no entry can have") }
            if let before = last[last.count - 1], !before.precedes(entry.name) {
                throw FormatError("names out of order")
            }
            last[last.count - 1] = entry.name
        }
        isBegun = true
        if entry.isDirectory { last.append(nil) }
    }

    mutating func checkEnd() throws(FormatError) {
        guard last.popLast() != nil else { throw FormatError("an end without a beginning") }
    }

    func checkFinished() throws(FormatError) {
        guard isBegun, last.isEmpty else { throw FormatError("a directory without an end") }
    }
}

extension Name {
    /// In byte order.
    func precedes(_ other: Name) -> Bool {
        bytes.withUnsafeBufferPointer { left in
            other.bytes.withUnsafeBufferPointer { right in bytesPrecede(left, right) == true }
        }
    }
}

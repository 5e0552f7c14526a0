/// What an undo file says before its first record.
package struct UndoHeader: Sendable, Hashable {
    package var run: String
    package var plan: Digest
    /// The image or device whose bytes it keeps; they are never put into another one.
    package var target: StoreReference
    /// Made once, at random, and repeated by every seal: bytes of the target that look like a seal
    /// are none.
    package var nonce: Digest

    package init(run: String, plan: Digest, target: StoreReference, nonce: Digest) {
        self.run = run
        self.plan = plan
        self.target = target
        self.nonce = nonce
    }
}

/// What an extent of the target was before it was overwritten; its bytes follow in the file.
package struct UndoRecord: Sendable, Hashable {
    package enum Role: UInt8, Sendable {
        /// What the plan found there.
        case displaced = 1
        /// What stood there where a crash had interrupted a write: kept, and never put back.
        case aside
    }

    package var role: Role
    package var extent: Extent
    /// SHA-256 of the bytes that follow.
    package var before: Digest
    /// SHA-256 of the bytes that take their place.
    package var after: Digest
    /// Where it stands in the file.
    package var position = 0

    package init(_ role: Role, _ extent: Extent, before: Digest, after: Digest) {
        self.role = role
        self.extent = extent
        self.before = before
        self.after = after
    }
}

/// What is known of a range of the target; the last mark that overlaps it counts.
package enum UndoMark: UInt8, Sendable {
    /// Its extents with records are being written: a crash may leave them torn.
    case writing = 1
    /// They are whole, durable and read back.
    case settled
}

/// Records and marks that were sealed together.
package struct UndoBatch: Sendable, Hashable {
    /// Where its first frame stands.
    package var start: Int
    /// The number of its first record.
    package var firstRecord: Int
    package var records = 0
    /// From the first to the last byte that its records of displaced bytes are about.
    package var range: Range<Int>?
    package var marks: [Mark] = []
    /// Its records of what was put aside.
    package var asides: [UndoRecord] = []

    package struct Mark: Sendable, Hashable {
        package let mark: UndoMark
        package let range: Range<Int>
    }

    init(start: Int, firstRecord: Int) {
        self.start = start
        self.firstRecord = firstRecord
    }

    mutating func add(_ record: UndoRecord) {
        records += 1
        guard record.role == .displaced else { return asides.append(record) }
        let new = record.extent.offset..<record.extent.end
        range =
            range.map {
                min($0.lowerBound, new.lowerBound)..<max($0.upperBound, new.upperBound)
            } ?? new
    }
}

/// The file that keeps what patching an image overwrites: see the page on its format.
package enum UndoFile {
    package static let magic = Array("resync-undo\n".utf8)
    static let header: UInt8 = 1
    static let record: UInt8 = 2
    static let bytes: UInt8 = 3
    static let mark: UInt8 = 4
    static let seal: UInt8 = 5
    static let format: UInt8 = 1
    /// Bytes of the target in one frame.
    static let piece = 1 << 20
    /// Bytes of the target in one record.
    package static let recordLimit = 64 << 20
    /// Bytes of a batch in the file, at most: what was not sealed ends within so many.
    package static let batchLimit = 160 << 20
    static let sealPayload = 32 + 8 + 8 + 32
    static let sealFrame = Frames.headLength + sealPayload + Frames.checkLength

    /// Bytes that an action takes in the file, its undo included, at most.
    package static func space(of action: Action) -> Int {
        action.patches.reduce(1024) { sum, patch in
            let length = patch.extent.length
            return cappedSum(sum, cappedSum(length, 128 + 32 * (length / piece)))
        }
    }

    /// Bytes that the file takes before its first batch, at most.
    package static func space(of header: UndoHeader) -> Int {
        1024 + header.run.utf8.count + header.target.path.count
            + (header.target.marker?.inconsistent?.utf8.count ?? 0)
            + Digest.byteCount * (header.target.marker?.history.count ?? 0)
    }
}

/// Builds an undo file, front to back. Nothing counts before its batch is sealed.
package struct UndoWriter<Hash: HashFunction> {
    private let nonce: Digest
    private var frames: FrameWriter<Hash>
    /// Over the checks of the frames since the last seal.
    private var chain: Hash
    private var linkHash: Hash
    /// Stands for everything up to the last seal.
    private var link = Digest.zero
    private var batch: UndoBatch

    /// - Parameter makeHash: gives a SHA-256 of its own each time.
    package init(_ header: UndoHeader, makeHash: () -> Hash) {
        nonce = header.nonce
        frames = FrameWriter(magic: UndoFile.magic, hash: makeHash(), chain: makeHash())
        chain = makeHash()
        linkHash = makeHash()
        batch = UndoBatch(start: 0, firstRecord: 0)
    }

    /// Goes on behind the last seal that a reader found.
    package init(behind reader: UndoReader<Hash>, makeHash: () -> Hash) {
        nonce = reader.header.nonce
        frames = FrameWriter(
            magic: UndoFile.magic, hash: makeHash(), chain: makeHash(), resumingAt: reader.end)
        chain = makeHash()
        linkHash = makeHash()
        link = reader.link
        batch = UndoBatch(start: reader.end, firstRecord: reader.records)
    }

    /// The beginning of the file, sealed.
    package mutating func start(_ header: UndoHeader) -> [UInt8] {
        var bytes = frames.start()
        batch.start = frames.offset
        var writer = ByteWriter()
        writer.undoHeader(header)
        bytes += frame(UndoFile.header, writer.bytes)
        return bytes + seal().bytes
    }

    /// Whether something waits for a seal.
    package var isOpen: Bool { frames.offset > batch.start }

    /// A record with its bytes, frame by frame. Returns it with its position.
    ///
    /// - Precondition: as many bytes as the extent has, at most `UndoFile.recordLimit`.
    package mutating func append(
        _ record: UndoRecord, _ bytes: UnsafeRawBufferPointer,
        output: (_ bytes: [UInt8]) throws -> Void
    ) throws -> UndoRecord {
        precondition(bytes.count == record.extent.length && bytes.count <= UndoFile.recordLimit)
        var record = record
        record.position = frames.offset
        var writer = ByteWriter()
        writer.number(batch.firstRecord + batch.records)
        writer.byte(record.role.rawValue)
        writer.number(record.extent.offset)
        writer.number(record.extent.length)
        writer.digest(record.before)
        writer.digest(record.after)
        writer.raw(Array(bytes.prefix(UndoFile.piece)))
        try output(frame(UndoFile.record, writer.bytes))
        var rest = bytes.dropFirst(UndoFile.piece)
        while !rest.isEmpty {
            try output(frame(UndoFile.bytes, Array(rest.prefix(UndoFile.piece))))
            rest = rest.dropFirst(UndoFile.piece)
        }
        batch.add(record)
        return record
    }

    private mutating func frame(_ kind: UInt8, _ payload: [UInt8]) -> [UInt8] {
        let bytes = frames.frame(kind, payload)
        chain.update(Array(bytes.suffix(Frames.checkLength)))
        return bytes
    }

    package mutating func mark(_ mark: UndoMark, _ range: Range<Int>) -> [UInt8] {
        batch.marks.append(UndoBatch.Mark(mark: mark, range: range))
        var writer = ByteWriter()
        writer.byte(mark.rawValue)
        writer.number(range.lowerBound)
        writer.number(range.count)
        return frame(UndoFile.mark, writer.bytes)
    }

    /// Ends a batch. What it seals must be durable before these bytes are written.
    package mutating func seal() -> (bytes: [UInt8], batch: UndoBatch) {
        link = linkHash.link(link, chain.finalize())
        var writer = ByteWriter()
        writer.digest(nonce)
        writer.fixed64(UInt64(batch.firstRecord))
        writer.fixed64(UInt64(batch.records))
        writer.digest(link)
        let bytes = frames.frame(UndoFile.seal, writer.bytes)
        defer {
            batch = UndoBatch(
                start: frames.offset, firstRecord: batch.firstRecord + batch.records)
        }
        return (bytes, batch)
    }
}

extension HashFunction {
    /// Stands for all that `link` stands for and what `chain` was taken over.
    mutating func link(_ link: Digest, _ chain: Digest) -> Digest {
        update(link.bytes)
        update(chain.bytes)
        return finalize()
    }
}

extension StoreReference {
    /// Whether both are the same image or device, also after the machine was started anew: a file
    /// is known by its file system and inode, a device by its number.
    package func isSameImage(as other: StoreReference) -> Bool {
        guard kind == other.kind, size == other.size else { return false }
        let (a, b) = (identity, other.identity)
        if kind == .device { return a.device == b.device }
        return a.fileSystem == b.fileSystem && a.inode == b.inode
            && (a.fileSystem != 0 || a.device == b.device)
    }
}

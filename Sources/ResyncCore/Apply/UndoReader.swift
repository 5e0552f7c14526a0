/// Reads an undo file, and believes none of it: opening it reads it once up to its last seal and
/// checks every frame.
///
/// What stands behind the last seal was cut by a crash and is ignored: nothing was overwritten that
/// it would have kept. Damage before a seal is refused.
package struct UndoReader<Hash: HashFunction> {
    package let header: UndoHeader
    /// Those that hold something.
    package private(set) var batches: [UndoBatch] = []
    /// Behind the last seal.
    package private(set) var end = 0
    /// Behind the last byte other than zero, `end` at least: what a crash left lies in between.
    package private(set) var tail = 0
    /// Why what stands behind the last seal does not count; nil where nothing stands there.
    package private(set) var rest: FormatError?
    /// Records up to the last seal.
    package private(set) var records = 0
    private(set) var link = Digest.zero
    private let read: ReadBytes
    private var frames: FrameReader<Hash>
    private var hash: Hash
    /// Over the checks of the frames since the last seal.
    private var chain: Hash

    /// - Parameter makeHash: gives a SHA-256 of its own each time.
    package init(makeHash: () -> Hash, read: @escaping ReadBytes) throws {
        self.read = read
        hash = makeHash()
        chain = makeHash()
        frames = FrameReader(magic: UndoFile.magic, hash: makeHash(), chain: makeHash())
        try frames.start(read)
        let start = frames.offset
        guard let first = try frames.next(read), first.kind == UndoFile.header else {
            throw FormatError("begins without a header")
        }
        var payload = ByteReader(first.payload)
        header = try payload.undoHeader()
        guard payload.isAtEnd else { throw FormatError("a header with more") }
        chain.update(frames.check)
        var batch = UndoBatch(start: start, firstRecord: 0)
        guard try readSealed(&batch) else {
            throw FormatError("ends without a seal", at: frames.offset)
        }
        while true {
            batch = UndoBatch(start: end, firstRecord: records)
            let isSealed: Bool
            do {
                isSealed = try readSealed(&batch)
            } catch let error as FormatError {
                // Cut by a crash: then no seal follows.
                if try findTail().hasSeal { throw error }
                rest = error
                break
            }
            guard isSealed else {
                let stop = frames.offset
                if try findTail().hasSeal { throw FormatError("is damaged", at: stop) }
                if stop > end { rest = FormatError("ends without a seal", at: stop) }
                break
            }
            if batch.records > 0 || !batch.marks.isEmpty { batches.append(batch) }
        }
    }

    /// Adds what a writer that goes on behind this reader has sealed.
    package mutating func add(_ batch: UndoBatch) {
        records = batch.firstRecord + batch.records
        batches.append(batch)
    }

    // MARK: What is known

    /// Records of displaced bytes about exactly these extents.
    package mutating func records(
        of extents: Set<Extent>, in range: Range<Int>
    ) throws -> [Extent: UndoRecord] {
        var found: [Extent: UndoRecord] = [:]
        for batch in batches where batch.range?.overlaps(range) == true {
            frames.seek(to: batch.start)
            var left = batch.records
            while left > 0 {
                let position = frames.offset
                guard let frame = try frames.next(read) else { throw Self.changed(position) }
                guard frame.kind == UndoFile.record else { continue }
                left -= 1
                var payload = ByteReader(frame.payload)
                let (record, _) = try payload.undoRecord(at: position)
                if record.role == .displaced, extents.contains(record.extent) {
                    found[record.extent] = record
                }
            }
        }
        return found
    }

    /// What stood where a write had been interrupted, and was overwritten with what was there
    /// before, since it was taken for torn: whether it was somebody's nobody can say.
    package func asides(of action: Action) -> [UndoRecord] {
        let all = Dictionary(grouping: batches.lazy.flatMap(\.asides), by: \.extent)
        guard !all.isEmpty else { return [] }
        return action.patches.flatMap { patch in
            // What the new bytes have replaced was made of those and the old ones, byte by byte.
            (all[patch.extent] ?? []).filter { $0.after == patch.before }
        }
    }

    /// The bytes that a record keeps, checked against its digest.
    package mutating func bytes(of record: UndoRecord) throws -> [UInt8] {
        frames.seek(to: record.position)
        guard let frame = try frames.next(read), frame.kind == UndoFile.record else {
            throw Self.changed(record.position)
        }
        var payload = ByteReader(frame.payload)
        _ = try payload.undoRecord(at: record.position)
        var bytes = try payload.raw(payload.left)
        while bytes.count < record.extent.length {
            guard let more = try frames.next(read), more.kind == UndoFile.bytes else {
                throw Self.changed(record.position)
            }
            bytes += more.payload
        }
        hash.update(bytes)
        guard hash.finalize() == record.before else { throw Self.changed(record.position) }
        return bytes
    }

    /// Whether a crash may have torn extents with records in a range; nil where nothing was ever
    /// written.
    package func mark(on range: Range<Int>) -> UndoMark? {
        for batch in batches.reversed() {
            if let last = batch.marks.last(where: { $0.range.overlaps(range) }) {
                return last.mark
            }
        }
        return nil
    }

    private static func changed(_ offset: Int) -> FormatError {
        FormatError("was changed while it was read", at: offset)
    }

    // MARK: Opening

    /// Reads up to a seal; false at the end of the file or of what was written of it.
    private mutating func readSealed(_ batch: inout UndoBatch) throws -> Bool {
        /// Bytes of the last record that are still to come.
        var missing = 0
        while true {
            let offset = frames.offset
            if try read(offset, 1).first ?? 0 == 0 { return false }
            guard let frame = try frames.next(read) else { return false }
            if frame.kind != UndoFile.seal { chain.update(frames.check) }
            var payload = ByteReader(frame.payload)
            if frame.kind == UndoFile.bytes {
                guard missing > 0, payload.left == min(missing, UndoFile.piece) else {
                    throw FormatError("has bytes of no record", at: offset)
                }
                missing -= payload.left
                continue
            }
            guard missing == 0 else { throw FormatError("a record is cut", at: offset) }
            switch frame.kind {
            case UndoFile.record:
                let (record, number) = try payload.undoRecord(at: offset)
                guard number == batch.firstRecord + batch.records else {
                    throw FormatError("records out of order", at: offset)
                }
                batch.add(record)
                missing = record.extent.length - payload.left
            case UndoFile.mark: batch.marks.append(try payload.undoMark())
            case UndoFile.seal:
                try checkSeal(&payload, batch, at: offset)
                return true
            default: throw FormatError("has a frame of unknown kind", at: offset)
            }
        }
    }

    private mutating func checkSeal(
        _ payload: inout ByteReader, _ batch: UndoBatch, at offset: Int
    ) throws {
        let nonce = try payload.digest()
        let first = try payload.fixed64()
        let count = try payload.fixed64()
        let sealed = try payload.digest()
        link = hash.link(link, chain.finalize())
        guard payload.isAtEnd, nonce == header.nonce, first == UInt64(batch.firstRecord),
            count == UInt64(batch.records), sealed == link
        else { throw FormatError("a seal that is not that of its records", at: offset) }
        records = batch.firstRecord + batch.records
        end = frames.offset
        tail = end
    }

    /// Looks through all that a batch behind the last seal can be: where its bytes end, and whether
    /// a whole seal is among them.
    private mutating func findTail() throws -> (hasSeal: Bool, tail: Int) {
        let limit = end + UndoFile.batchLimit
        let head =
            [UndoFile.seal, UInt8(UndoFile.sealPayload), 0, 0, 0] + header.nonce.bytes
        var at = end
        while at < limit {
            let chunk = try read(at, 1 << 20)
            let isLast = chunk.count < 1 << 20
            if let last = chunk.lastIndex(where: { $0 != 0 }) {
                tail = max(tail, at + last + 1)
                for start in chunk.places(of: head) where try isSeal(at: at + start) {
                    return (true, tail)
                }
            }
            if isLast { break }
            // A seal may lie across the end of a chunk.
            at += chunk.count - UndoFile.sealFrame
        }
        return (false, tail)
    }

    private mutating func isSeal(at offset: Int) throws -> Bool {
        frames.seek(to: offset)
        do {
            return try frames.next(read)?.kind == UndoFile.seal
        } catch is FormatError {
            return false
        }
    }
}

extension [UInt8] {
    /// Where some bytes, which begin with one other than zero, stand whole.
    fileprivate func places(of wanted: [UInt8]) -> [Int] {
        guard let first = wanted.first, count >= wanted.count else { return [] }
        return withUnsafeBytes { bytes in
            var found: [Int] = []
            var at = 0
            while at <= bytes.count - wanted.count {
                if bytes[at] == first, bytes[at..<(at + wanted.count)].elementsEqual(wanted) {
                    found.append(at)
                }
                at += 1
            }
            return found
        }
    }
}

extension ByteWriter {
    mutating func undoHeader(_ header: UndoHeader) {
        byte(UndoFile.format)
        string(Array(header.run.utf8))
        digest(header.plan)
        store(header.target)
        digest(header.nonce)
    }
}

extension ByteReader {
    fileprivate mutating func undoHeader() throws(FormatError) -> UndoHeader {
        let format = try byte()
        guard format == UndoFile.format else {
            throw FormatError("has format \(format), which this resync does not know", at: at)
        }
        guard let run = validText(try string(limit: 1 << 10)) else {
            throw FormatError("is no text", at: at)
        }
        return UndoHeader(
            run: run, plan: try digest(), target: try store(), nonce: try digest())
    }

    /// A record, its first bytes left to be read, and its number.
    fileprivate mutating func undoRecord(
        at position: Int
    ) throws(FormatError) -> (record: UndoRecord, number: Int) {
        let number = try int()
        guard let role = UndoRecord.Role(rawValue: try byte()) else {
            throw FormatError("unknown record", at: at)
        }
        let extent = Extent(offset: try int(), length: try int(limit: UndoFile.recordLimit))
        guard extent.length > 0, !extent.offset.addingReportingOverflow(extent.length).overflow
        else { throw FormatError("an extent out of bounds", at: at) }
        var record = UndoRecord(role, extent, before: try digest(), after: try digest())
        record.position = position
        guard left == min(extent.length, UndoFile.piece) else {
            throw FormatError("a record is cut", at: at)
        }
        return (record, number)
    }

    fileprivate mutating func undoMark() throws(FormatError) -> UndoBatch.Mark {
        guard let mark = UndoMark(rawValue: try byte()) else {
            throw FormatError("unknown mark", at: at)
        }
        let start = try int()
        let (end, overflow) = start.addingReportingOverflow(try int())
        guard !overflow, isAtEnd else { throw FormatError("a range out of bounds", at: at) }
        return UndoBatch.Mark(mark: mark, range: start..<end)
    }
}

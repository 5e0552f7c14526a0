/// How a baseline is kept: frames with a header, records in walk order, and a trailer that counts
/// them. Its id is SHA-256 over the checks of all frames.
package enum BaselineFrame {
    static let magic = Array("resync-baseline\n".utf8)
    static let header: UInt8 = 1
    static let records: UInt8 = 2
    static let trailer: UInt8 = 3
    static let format: UInt8 = 1
    static let framePayload = 64 << 10
    static let string = 1 << 20
}

/// Writes a baseline, record by record.
package struct BaselineWriter<Hash: HashFunction> {
    private let output: (_ bytes: [UInt8]) throws -> Void
    private var frames: FrameWriter<Hash>
    private var payload = ByteWriter()
    private var last: RelativePath?
    private var lastInFrame: [UInt8] = []
    package private(set) var count = 0

    package init(
        _ header: BaselineHeader, hash: Hash, chain: Hash,
        output: @escaping (_ bytes: [UInt8]) throws -> Void
    ) throws {
        self.output = output
        frames = FrameWriter(magic: BaselineFrame.magic, hash: hash, chain: chain)
        try output(frames.start())
        var writer = ByteWriter()
        writer.baselineHeader(header)
        try output(frames.frame(BaselineFrame.header, writer.bytes))
    }

    /// - Precondition: behind the last one in walk order.
    package mutating func append(_ record: BaselineRecord) throws {
        precondition(last.map { $0 < record.path } ?? true)
        last = record.path
        payload.baselineRecord(record, after: lastInFrame)
        lastInFrame = record.path.bytes
        count += 1
        if payload.bytes.count >= BaselineFrame.framePayload { try flush() }
    }

    private mutating func flush() throws {
        guard !payload.bytes.isEmpty else { return }
        try output(frames.frame(BaselineFrame.records, payload.bytes))
        payload.removeAll()
        lastInFrame = []
    }

    /// Writes the trailer; returns the baseline's id.
    package mutating func finish() throws -> Digest {
        try flush()
        var writer = ByteWriter()
        writer.number(count)
        try output(frames.frame(BaselineFrame.trailer, writer.bytes))
        return frames.chainDigest()
    }
}

/// Reads a baseline from its beginning to its end and believes none of it.
package struct BaselineReader<Hash: HashFunction> {
    package let header: BaselineHeader
    /// Known once the end was reached.
    package private(set) var id: Digest?
    private let read: ReadBytes
    private var frames: FrameReader<Hash>
    private var payload = ByteReader([])
    private var last: RelativePath?
    private var lastInFrame: [UInt8] = []
    private var count = 0

    package init(hash: Hash, chain: Hash, read: @escaping ReadBytes) throws {
        self.read = read
        frames = FrameReader(magic: BaselineFrame.magic, hash: hash, chain: chain)
        try frames.start(read)
        guard let first = try frames.next(read), first.kind == BaselineFrame.header else {
            throw FormatError("begins without a header")
        }
        var payload = ByteReader(first.payload)
        header = try payload.baselineHeader()
        guard payload.isAtEnd else { throw FormatError("a header with more") }
    }

    /// The next record; nil at the end, when all was found to be right.
    package mutating func next() throws -> BaselineRecord? {
        if id != nil { return nil }
        while payload.isAtEnd {
            let offset = frames.offset
            guard let frame = try frames.next(read) else { throw FormatError("is cut", at: offset) }
            if frame.kind == BaselineFrame.trailer {
                try finish(frame.payload)
                return nil
            }
            guard frame.kind == BaselineFrame.records, !frame.payload.isEmpty else {
                throw FormatError("has a frame of unknown kind", at: offset)
            }
            payload = ByteReader(frame.payload)
            lastInFrame = []
        }
        let record = try payload.baselineRecord(after: lastInFrame)
        guard last.map({ $0 < record.path }) ?? true else {
            throw FormatError("has records out of order", at: frames.offset)
        }
        last = record.path
        lastInFrame = record.path.bytes
        count += 1
        return record
    }

    private mutating func finish(_ trailer: [UInt8]) throws {
        var payload = ByteReader(trailer)
        guard try payload.int() == count, payload.isAtEnd, try read(frames.offset, 1).isEmpty
        else { throw FormatError("is damaged: its trailer is not that of its records") }
        id = frames.chainDigest()
    }
}

extension ByteWriter {
    fileprivate mutating func baselineHeader(_ header: BaselineHeader) {
        byte(BaselineFrame.format)
        for side in Side.allCases { identity(header.identities[side]) }
        number(header.blockSize)
        digest(header.exclusions)
        time(header.written)
        string(header.tool)
        byte(header.previous == nil ? 0 : 1)
        if let previous = header.previous { digest(previous) }
    }

    fileprivate mutating func baselineRecord(_ record: BaselineRecord, after last: [UInt8]) {
        let path = record.path.bytes
        var shared = 0
        while shared < min(last.count, path.count), last[shared] == path[shared] { shared += 1 }
        number(shared)
        string(path[shared...])
        byte((record.isRacy ? 1 : 0) | (record.level == .media ? 2 : 0))
        number(UInt64(record.aspects.rawValue))
        time(record.time)
        let stat = record.agreed.stat
        byte(stat.type.rawValue)
        number(UInt64(stat.mode))
        number(UInt64(stat.uid))
        number(UInt64(stat.gid))
        number(stat.size)
        if stat.type.isDevice {
            number(UInt64(stat.special.major))
            number(UInt64(stat.special.minor))
        }
        if stat.type == .symlink { string(record.agreed.entry.target ?? []) }
        let entry = record.agreed.entry
        for digest in [entry.xattrs, entry.acl, record.agreed.content] {
            byte(digest == nil ? 0 : 1)
            if let digest { self.digest(digest) }
        }
        for side in Side.allCases {
            let witness = record.witnesses[side]
            number(witness.inode)
            number(UInt64(witness.device.major))
            number(UInt64(witness.device.minor))
            time(witness.mtime)
            time(witness.ctime)
        }
    }
}

extension ByteWriter {
    /// For the time between the proof of an entry and the baseline's writing.
    package mutating func update(_ update: BaselineUpdate) {
        switch update {
        case .remove(let path):
            byte(0)
            string(path.bytes)
        case .set(let record):
            byte(1)
            baselineRecord(record, after: [])
        case .withdraw(let path, let since):
            byte(2)
            string(path.bytes)
            time(since)
        case .withdrawRolledBack(let path, let since, let side, let ctime):
            byte(side == .a ? 3 : 4)
            string(path.bytes)
            time(since)
            time(ctime)
        }
    }
}

extension ByteReader {
    /// More bytes than any update has.
    package static let updateLimit = ManifestLimit.path + ManifestLimit.target + 4096

    package mutating func update() throws(FormatError) -> BaselineUpdate {
        let kind = try byte()
        switch kind {
        case 0: return .remove(try path(limit: ManifestLimit.path))
        case 1: return .set(try baselineRecord(after: []))
        case 2:
            return .withdraw(
                try path(limit: ManifestLimit.path), since: try time())
        case 3, 4:
            return .withdrawRolledBack(
                try path(limit: ManifestLimit.path), since: try time(),
                kind == 3 ? .a : .b, ctime: try time())
        default: throw FormatError("unknown update", at: at)
        }
    }

    fileprivate mutating func baselineHeader() throws(FormatError) -> BaselineHeader {
        let format = try byte()
        guard format == BaselineFrame.format else {
            throw FormatError("has format \(format), which this resync does not know", at: at)
        }
        let identities = Sides(a: try identity(), b: try identity())
        let blockSize = try int(limit: ManifestHeader.blockSizes.upperBound)
        guard ManifestHeader.blockSizes.contains(blockSize) else {
            throw FormatError("a block size out of bounds", at: at)
        }
        var header = BaselineHeader(
            identities: identities, blockSize: blockSize, exclusions: try digest(),
            written: try time())
        header.tool = try string(limit: BaselineFrame.string)
        header.previous = try optionalDigest()
        return header
    }

    fileprivate mutating func baselineRecord(
        after last: [UInt8]
    ) throws(FormatError) -> BaselineRecord {
        let shared = try int(limit: last.count)
        let path = RelativePath(try string(after: last[..<shared], limit: ManifestLimit.path))
        guard path.isValid else { throw FormatError("a path that is none", at: at) }
        let flags = try byte()
        guard flags < 4 else { throw FormatError("unknown flags", at: at) }
        let aspects = AspectSet(rawValue: UInt16(try int(limit: Int(AspectSet.all.rawValue))))
        let time = try self.time()
        guard let type = EntryType(rawValue: try byte()) else {
            throw FormatError("unknown type", at: at)
        }
        var stat = Stat(type: type)
        stat.mode = UInt16(try int(limit: 0o7777))
        stat.uid = try number32()
        stat.gid = try number32()
        stat.size = try int()
        if type.isDevice {
            stat.special = DeviceNumber(major: try number32(), minor: try number32())
        }
        let target = type == .symlink ? try string(limit: ManifestLimit.target) : nil
        let entry = Entry(
            stat: stat, target: target, xattrs: try optionalDigest(), acl: try optionalDigest())
        let content = try optionalDigest()
        var record = BaselineRecord(
            path: path, agreed: ObservedEntry(entry: entry, content: content),
            witnesses: Sides(a: try witness(), b: try witness()), aspects: aspects,
            level: flags & 2 == 0 ? .hash : .media, time: time)
        record.isRacy = flags & 1 == 1
        return record
    }

    private mutating func witness() throws(FormatError) -> BaselineRecord.Witness {
        let inode = try number()
        let device = DeviceNumber(major: try number32(), minor: try number32())
        return BaselineRecord.Witness(
            inode: inode, device: device, mtime: try time(), ctime: try time())
    }
}

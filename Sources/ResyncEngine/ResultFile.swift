package import ResyncCore
package import ResyncStorage

/// The hash that keeps our own files honest.
func frameHash() -> EVPHash {
    guard let hash = try? EVPHash(.sha256) else {
        preconditionFailure("OpenSSL has no SHA-256")
    }
    return hash
}

/// Writes a run's results in walk order, many records to a frame.
package struct ResultWriter {
    private let file: OutputFile
    private var frames: FrameWriter<EVPHash>
    private var pending = ByteWriter()
    private var pendingLinks = ByteWriter()

    static let magic = Array("resync-results".utf8)
    static let recordsKind = UInt8(ascii: "R")
    private static let frameSize = 64 << 10

    package init(_ file: OutputFile) throws {
        self.file = file
        frames = FrameWriter(magic: Self.magic, hash: frameHash(), chain: frameHash())
        try file.write(frames.start())
    }

    /// Goes on where a checkpoint said that the results ended.
    package init(resuming file: OutputFile) {
        self.file = file
        frames = FrameWriter(
            magic: Self.magic, hash: frameHash(), chain: frameHash(), resumingAt: file.offset)
    }

    package mutating func write(_ record: ResultRecord) throws {
        pending.record(record)
        if pending.bytes.count >= Self.frameSize { try flush() }
    }

    /// How one name is linked on each side: for a resumed run, which compares groups of names.
    mutating func write(_ link: Sides<ObjectIdentity>) throws {
        for side in Side.allCases {
            pendingLinks.number(UInt64(link[side].device.major))
            pendingLinks.number(UInt64(link[side].device.minor))
            pendingLinks.number(link[side].inode)
        }
        if pendingLinks.bytes.count >= Self.frameSize { try flush() }
    }

    private mutating func flush() throws {
        if !pendingLinks.bytes.isEmpty {
            try file.write(frames.frame(Self.linksKind, pendingLinks.bytes))
            pendingLinks.removeAll()
        }
        guard !pending.bytes.isEmpty else { return }
        // A single record can exceed a frame: it is cut over several and joined on reading.
        var rest = pending.bytes[...]
        while rest.count > Frames.payloadLimit {
            let part = rest.prefix(Frames.payloadLimit)
            try file.write(frames.frame(Self.partKind, Array(part)))
            rest = rest.dropFirst(part.count)
        }
        try file.write(frames.frame(Self.recordsKind, Array(rest)))
        pending.removeAll()
    }

    static let partKind = UInt8(ascii: "P")
    static let linksKind = UInt8(ascii: "L")
    static let endKind = UInt8(ascii: "E")

    /// Makes everything written so far durable; returns where it ends.
    package mutating func sync() throws -> Int {
        try flush()
        try file.sync()
        return frames.offset
    }

    /// All records are durable, and what follows none is told from what was cut off.
    package mutating func finish() throws {
        try flush()
        try file.write(frames.frame(Self.endKind, []))
        try file.sync()
    }
}

/// Reads a run's results back, in order.
package struct ResultReader {
    private let file: InputFile
    private var frames: FrameReader<EVPHash>
    private var current = ByteReader([])
    private let end: Int?
    private var hasEnded = false

    /// - Parameter end: where the results end; what lies behind is no part of them. Nil for results
    ///   that were finished.
    package init(_ file: InputFile, end: Int? = nil) throws {
        self.file = file
        self.end = end
        frames = FrameReader(magic: ResultWriter.magic, hash: frameHash(), chain: frameHash())
        try frames.start { try file.read(at: $0, count: $1) }
    }

    package mutating func next() throws -> ResultRecord? {
        var joined: [UInt8] = []
        while current.isAtEnd {
            guard let (kind, payload) = try nextFrame() else {
                guard joined.isEmpty else { throw FormatError("is cut", at: frames.offset) }
                return nil
            }
            switch kind {
            case ResultWriter.partKind: joined += payload
            case ResultWriter.recordsKind: current = ByteReader(joined + payload)
            case ResultWriter.linksKind: continue
            default: throw FormatError("has a frame of unknown kind \(kind)", at: frames.offset)
            }
        }
        return try current.record()
    }

    /// All that was kept of links, read instead of the records.
    mutating func links() throws -> [Sides<ObjectIdentity>] {
        var links: [Sides<ObjectIdentity>] = []
        while let (kind, payload) = try nextFrame() {
            guard kind == ResultWriter.linksKind else { continue }
            var reader = ByteReader(payload)
            while !reader.isAtEnd {
                links.append(Sides(a: try reader.identity(), b: try reader.identity()))
            }
        }
        return links
    }

    private mutating func nextFrame() throws -> (kind: UInt8, payload: [UInt8])? {
        if hasEnded || frames.offset == end { return nil }
        guard end.map({ frames.offset < $0 }) ?? true,
            let frame = try frames.next({ try file.read(at: $0, count: $1) })
        else { throw FormatError("is cut", at: frames.offset) }
        guard frame.kind == ResultWriter.endKind else { return frame }
        hasEnded = true
        guard end == nil, try file.read(at: frames.offset, count: 1).isEmpty else {
            throw FormatError("goes on behind its end", at: frames.offset)
        }
        return nil
    }
}

extension ByteReader {
    fileprivate mutating func identity() throws(FormatError) -> ObjectIdentity {
        let device = DeviceNumber(major: try number32(), minor: try number32())
        return ObjectIdentity(device: device, inode: try number())
    }
}

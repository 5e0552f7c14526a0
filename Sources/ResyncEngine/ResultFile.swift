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

    private mutating func flush() throws {
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

    /// Makes everything written so far durable; returns where it ends.
    package mutating func sync() throws -> Int {
        try flush()
        try file.sync()
        return frames.offset
    }

    /// All records are handed to the kernel.
    package mutating func finish() throws {
        try flush()
        try file.flush()
    }
}

/// Reads a run's results back, in order.
package struct ResultReader {
    private let file: InputFile
    private var frames: FrameReader<EVPHash>
    private var current = ByteReader([])
    private let end: Int

    /// - Parameter end: where the results end; what lies behind is no part of them.
    package init(_ file: InputFile, end: Int? = nil) throws {
        self.file = file
        self.end = end ?? file.size
        frames = FrameReader(magic: ResultWriter.magic, hash: frameHash(), chain: frameHash())
        try frames.start { try file.read(at: $0, count: $1) }
    }

    package mutating func next() throws -> ResultRecord? {
        var joined: [UInt8] = []
        while current.isAtEnd {
            guard frames.offset < end,
                let (kind, payload) = try frames.next({ try file.read(at: $0, count: $1) })
            else {
                guard joined.isEmpty else { throw FormatError("is cut", at: frames.offset) }
                return nil
            }
            switch kind {
            case ResultWriter.partKind: joined += payload
            case ResultWriter.recordsKind: current = ByteReader(joined + payload)
            default: throw FormatError("has a frame of unknown kind \(kind)", at: frames.offset)
            }
        }
        return try current.record()
    }
}

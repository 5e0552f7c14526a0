/// How every file that resync keeps is built: a magic of 16 bytes, then frames.
///
/// A frame is its kind (1 byte), the length of its payload (4 bytes, little-endian), the payload,
/// and the first 16 bytes of SHA-256 over the magic, the frame's offset in the file (8 bytes,
/// little-endian), kind, length and payload. So a frame that was altered, cut, or moved to another
/// place or file is found where it stands.
package enum Frames {
    package static let magicLength = 16
    package static let payloadLimit = 4 << 20
    static let headLength = 5
    static let checkLength = 16
}

/// Builds frames one after the other.
package struct FrameWriter<Hash: HashFunction> {
    private var hash: Hash
    private var chain: Hash
    private let magic: [UInt8]
    package private(set) var offset: Int

    /// - Parameter magic: at most 16 bytes; filled up with newlines.
    package init(magic: [UInt8], hash: Hash, chain: Hash) {
        precondition(magic.count <= Frames.magicLength)
        self.magic = Frames.padded(magic)
        self.hash = hash
        self.chain = chain
        offset = 0
    }

    /// Goes on behind what was written before; the chain then covers only what follows.
    package init(magic: [UInt8], hash: Hash, chain: Hash, resumingAt offset: Int) {
        self.init(magic: magic, hash: hash, chain: chain)
        self.offset = offset
    }

    /// The first bytes of the file.
    package mutating func start() -> [UInt8] {
        precondition(offset == 0)
        offset = magic.count
        return magic
    }

    package mutating func frame(_ kind: UInt8, _ payload: [UInt8]) -> [UInt8] {
        precondition(payload.count <= Frames.payloadLimit)
        var writer = ByteWriter()
        writer.byte(kind)
        writer.fixed32(UInt32(payload.count))
        writer.raw(payload)
        let check = Frames.check(&hash, magic, offset, writer.bytes)
        chain.update(check)
        writer.raw(check)
        offset += writer.bytes.count
        return writer.bytes
    }

    /// A digest over the checks of all frames so far.
    package mutating func chainDigest() -> Digest { chain.finalize() }
}

/// Reads frames one after the other, from wherever their bytes are.
package struct FrameReader<Hash: HashFunction> {
    private var hash: Hash
    private var chain: Hash
    private let magic: [UInt8]
    package private(set) var offset: Int
    /// Of the last frame that was read.
    package private(set) var check: [UInt8] = []

    package init(magic: [UInt8], hash: Hash, chain: Hash) {
        self.magic = Frames.padded(magic)
        self.hash = hash
        self.chain = chain
        offset = 0
    }

    /// Checks the magic. `read` gives up to so many bytes at an offset, fewer only at the end.
    package mutating func start(
        _ read: (_ offset: Int, _ count: Int) throws -> [UInt8]
    ) throws {
        guard try read(0, magic.count) == magic else {
            throw FormatError("is not a file of this kind")
        }
        offset = magic.count
    }

    /// Continues at a frame known from an index.
    package mutating func seek(to offset: Int) { self.offset = offset }

    /// The next frame; nil at the very end of the file.
    package mutating func next(
        _ read: (_ offset: Int, _ count: Int) throws -> [UInt8]
    ) throws -> (kind: UInt8, payload: [UInt8])? {
        let head = try read(offset, Frames.headLength)
        if head.isEmpty { return nil }
        guard head.count == Frames.headLength else { throw FormatError("is cut", at: offset) }
        var reader = ByteReader(head)
        let kind = try reader.byte()
        let length = Int(try reader.fixed32())
        guard length <= Frames.payloadLimit else {
            throw FormatError("is damaged: a frame of \(length) bytes", at: offset)
        }
        let rest = try read(offset + head.count, length + Frames.checkLength)
        guard rest.count == length + Frames.checkLength else {
            throw FormatError("is cut", at: offset)
        }
        let payload = Array(rest[..<length])
        let check = Frames.check(&hash, magic, offset, head + payload)
        guard Array(rest[length...]) == check else {
            throw FormatError("is damaged", at: offset)
        }
        chain.update(check)
        self.check = check
        offset += head.count + rest.count
        return (kind, payload)
    }

    package mutating func chainDigest() -> Digest { chain.finalize() }
}

extension Frames {
    fileprivate static func padded(_ magic: [UInt8]) -> [UInt8] {
        magic + Array(repeating: UInt8(ascii: "\n"), count: max(0, magicLength - magic.count))
    }

    fileprivate static func check<Hash: HashFunction>(
        _ hash: inout Hash, _ magic: [UInt8], _ offset: Int, _ frame: [UInt8]
    ) -> [UInt8] {
        hash.update(magic)
        withUnsafeBytes(of: UInt64(offset).littleEndian) { hash.update($0) }
        hash.update(frame)
        return Array(hash.finalize().bytes[..<checkLength])
    }
}

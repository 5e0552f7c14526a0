/// Bytes that are not what a format of ours says. The offset is counted in the piece being read.
package struct FormatError: Error, Sendable, Hashable {
    package let reason: String
    package let offset: Int

    package init(_ reason: String, at offset: Int = 0) {
        self.reason = reason
        self.offset = offset
    }
}

/// Puts values together as the formats have them: numbers as LEB128 varints, byte strings led by
/// their length.
package struct ByteWriter: Sendable {
    package private(set) var bytes: [UInt8] = []

    package init() {}

    package mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }

    package mutating func byte(_ value: UInt8) { bytes.append(value) }

    package mutating func number(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    /// - Precondition: not negative.
    package mutating func number(_ value: Int) { number(UInt64(value)) }

    /// Small numbers of either sign stay short: 0, -1, 1, -2 become 0, 1, 2, 3.
    package mutating func signed(_ value: Int64) {
        number(UInt64(bitPattern: value << 1 ^ value >> 63))
    }

    package mutating func string(_ value: some Collection<UInt8>) {
        number(value.count)
        bytes.append(contentsOf: value)
    }

    package mutating func raw(_ value: [UInt8]) { bytes.append(contentsOf: value) }

    package mutating func digest(_ value: Digest) {
        value.withBytes { bytes.append(contentsOf: $0) }
    }

    package mutating func time(_ value: Timestamp) {
        signed(value.seconds)
        number(UInt64(value.nanoseconds))
    }

    package mutating func fixed32(_ value: UInt32) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    package mutating func fixed64(_ value: UInt64) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }
}

/// Takes values apart again; never trusts a length.
package struct ByteReader: Sendable {
    private let bytes: [UInt8]
    package private(set) var at = 0

    package init(_ bytes: [UInt8]) { self.bytes = bytes }

    package var isAtEnd: Bool { at == bytes.count }
    package var left: Int { bytes.count - at }

    package mutating func byte() throws(FormatError) -> UInt8 {
        guard at < bytes.count else { throw FormatError("ends too early", at: at) }
        defer { at += 1 }
        return bytes[at]
    }

    package mutating func number() throws(FormatError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let next = try byte()
            let bits = UInt64(next & 0x7f)
            guard shift < 63 || (shift == 63 && bits <= 1) else {
                throw FormatError("number too large", at: at)
            }
            value |= bits << shift
            if next & 0x80 == 0 {
                // One value, one form: or two manifests of one store could differ.
                guard next != 0 || shift == 0 else {
                    throw FormatError("number with needless zeros", at: at)
                }
                return value
            }
            shift += 7
        }
    }

    /// A count, size or offset.
    package mutating func int(limit: Int = .max) throws(FormatError) -> Int {
        let value = try number()
        guard let result = Int(exactly: value), result <= limit else {
            throw FormatError("number \(value) out of bounds", at: at)
        }
        return result
    }

    package mutating func number32() throws(FormatError) -> UInt32 {
        let value = try number()
        guard let result = UInt32(exactly: value) else {
            throw FormatError("number \(value) out of bounds", at: at)
        }
        return result
    }

    package mutating func signed() throws(FormatError) -> Int64 {
        let value = try number()
        return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
    }

    package mutating func string(limit: Int) throws(FormatError) -> [UInt8] {
        try string(after: [], limit: limit)
    }

    /// A byte string that goes on from one that is known.
    package mutating func string(
        after known: ArraySlice<UInt8>, limit: Int
    ) throws(FormatError) -> [UInt8] {
        let count = try int(limit: limit)
        guard count <= left else { throw FormatError("ends too early", at: at) }
        defer { at += count }
        if known.isEmpty { return Array(bytes[at..<(at + count)]) }
        var string: [UInt8] = []
        string.reserveCapacity(known.count + count)
        string += known
        string += bytes[at..<(at + count)]
        return string
    }

    /// A path that leads nowhere but into a store.
    package mutating func path(limit: Int) throws(FormatError) -> RelativePath {
        let path = RelativePath(try string(limit: limit))
        guard path.isValid else { throw FormatError("a path that is none", at: at) }
        return path
    }

    package mutating func raw(_ count: Int) throws(FormatError) -> [UInt8] {
        guard count <= left else { throw FormatError("ends too early", at: at) }
        defer { at += count }
        return Array(bytes[at..<(at + count)])
    }

    package mutating func digest() throws(FormatError) -> Digest {
        guard left >= Digest.byteCount else { throw FormatError("ends too early", at: at) }
        defer { at += Digest.byteCount }
        return bytes.withUnsafeBytes { all in
            Digest(UnsafeRawBufferPointer(rebasing: all[at..<(at + Digest.byteCount)]))
        }
    }

    package mutating func time() throws(FormatError) -> Timestamp {
        let seconds = try signed()
        let nanoseconds = try number32()
        guard nanoseconds < 1_000_000_000 else {
            throw FormatError("nanoseconds out of bounds", at: at)
        }
        return Timestamp(seconds: seconds, nanoseconds: nanoseconds)
    }

    package mutating func fixed32() throws(FormatError) -> UInt32 {
        var value: UInt32 = 0
        for shift in 0..<4 { value |= UInt32(try byte()) << UInt32(8 * shift) }
        return value
    }

    package mutating func fixed64() throws(FormatError) -> UInt64 {
        var value: UInt64 = 0
        for shift in 0..<8 { value |= UInt64(try byte()) << UInt64(8 * shift) }
        return value
    }
}

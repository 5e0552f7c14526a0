/// How blocks are digested.
package enum DigestAlgorithm: String, Sendable, CaseIterable {
    /// Keyed with a fresh random key per run and never kept: for comparing two live stores.
    case gmac
    case sha256
    case sha512_256 = "sha512-256"

    /// Whether its digests mean anything after the run that made them.
    package var canBeKept: Bool { self != .gmac }
}

/// What a hash or MAC function returned: 32 bytes, shorter tags padded with zeros.
package struct Digest: Sendable, Hashable {
    package var words: (UInt64, UInt64, UInt64, UInt64)

    package static let zero = Digest(words: (0, 0, 0, 0))
    package static let byteCount = 32

    package init(words: (UInt64, UInt64, UInt64, UInt64)) { self.words = words }

    /// - Precondition: at most 32 bytes.
    package init(_ bytes: UnsafeRawBufferPointer) {
        precondition(bytes.count <= Digest.byteCount)
        var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        withUnsafeMutableBytes(of: &words) { $0.copyMemory(from: bytes) }
        self.words = words
    }

    package init?(bytes: some Collection<UInt8>) {
        guard bytes.count == Digest.byteCount else { return nil }
        self = Array(bytes).withUnsafeBytes { Digest($0) }
    }

    package static func == (left: Digest, right: Digest) -> Bool {
        left.words.0 == right.words.0 && left.words.1 == right.words.1
            && left.words.2 == right.words.2 && left.words.3 == right.words.3
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(words.0) }

    package func withBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
        withUnsafeBytes(of: words, body)
    }

    package var bytes: [UInt8] { withBytes { Array($0) } }

    /// Lower-case hexadecimal, 64 digits.
    package var hex: String { hexText(bytes) }

    package init?(hex: some StringProtocol) {
        let digits = Array(hex.utf8)
        guard digits.count == Digest.byteCount * 2 else { return nil }
        var bytes: [UInt8] = []
        for at in stride(from: 0, to: digits.count, by: 2) {
            guard let high = hexValue(digits[at]), let low = hexValue(digits[at + 1]) else {
                return nil
            }
            bytes.append(high << 4 | low)
        }
        self.init(bytes: bytes)
    }
}

/// Lower-case hexadecimal, two digits for each byte.
package func hexText(_ bytes: [UInt8]) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(
        decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
}

/// The value of one hexadecimal digit of either case.
package func hexValue(_ digit: UInt8) -> UInt8? {
    switch digit {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
    default: nil
    }
}

/// A hash function as Core needs it for the formats; Storage computes with OpenSSL.
package protocol HashFunction {
    mutating func update(_ bytes: UnsafeRawBufferPointer)
    /// The digest of all bytes since the last call, and a fresh start.
    mutating func finalize() -> Digest
}

extension HashFunction {
    package mutating func update(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { update($0) }
    }
}

import ResyncCore
import TestSupport

/// Changes inputs at random.
struct Mutator {
    private static let keepLimit = 64

    /// First those that a target gave.
    private var samples: [[UInt8]]
    private let given: Int
    /// Bytes of what is kept: or inputs would grow, and rounds take ever longer.
    private let lengthLimit: Int

    init(samples: [[UInt8]]) {
        self.samples = samples
        given = samples.count
        lengthLimit = 1000 + 2 * (samples.map(\.count).max() ?? 0)
    }

    /// From now on this one is changed as well.
    mutating func keep(_ input: [UInt8], _ random: inout Seed) {
        guard input.count < lengthLimit else { return }
        if samples.count < given + Self.keepLimit {
            samples.append(input)
        } else {
            samples[given + random.below(Self.keepLimit)] = input
        }
    }

    func input(_ form: Form, _ random: inout Seed) -> [UInt8] {
        let sample = samples[random.below(samples.count)]
        if random.once(in: 8) {
            var input = sample
            for _ in 0...random.below(3) { changeBytes(&input, &random) }
            return input
        }
        var parts = form.split(sample)
        for _ in 0...random.below(4) {
            if parts.count > 1, random.once(in: 4) {
                changeParts(&parts, form, &random)
            } else if !parts.isEmpty {
                changeBytes(&parts[random.below(parts.count)], &random)
            }
        }
        return form.join(parts)
    }

    private func changeParts(_ parts: inout [[UInt8]], _ form: Form, _ random: inout Seed) {
        let at = random.below(parts.count)
        switch random.below(4) {
        case 0: parts.remove(at: at)
        case 1: parts.insert(parts[at], at: random.below(parts.count + 1))
        case 2: parts.swapAt(at, random.below(parts.count))
        default:
            let other = form.split(samples[random.below(samples.count)])
            if !other.isEmpty { parts[at] = other[random.below(other.count)] }
        }
    }

    private func changeBytes(_ bytes: inout [UInt8], _ random: inout Seed) {
        guard !bytes.isEmpty else {
            bytes = [UInt8(random.below(256))]
            return
        }
        let at = random.below(bytes.count)
        switch random.below(12) {
        case 0, 1: bytes[at] ^= 1 << UInt8(random.below(8))
        case 2: bytes[at] = UInt8(random.below(256))
        case 3: bytes[at] = bytes[at] &+ UInt8(truncatingIfNeeded: random.below(9) - 4)
        case 4: fixedNumber(&bytes, at, &random)
        case 5: variableNumber(&bytes, at, &random)
        case 6: bytes.insert(contentsOf: scrap(&random), at: at)
        case 7: bytes.removeSubrange(range(of: bytes, from: at, &random))
        case 8:
            let piece = Array(bytes[range(of: bytes, from: at, &random)])
            for _ in 0...random.below(random.once(in: 10) ? 200 : 3) {
                bytes.insert(contentsOf: piece, at: at)
            }
        case 9: splice(&bytes, at, &random)
        case 10: bytes.removeSubrange(at...)
        default:
            let piece = scrap(&random)
            for (place, byte) in zip(at..<bytes.count, piece) { bytes[place] = byte }
        }
    }

    /// Mostly short.
    private func range(of bytes: [UInt8], from at: Int, _ random: inout Seed) -> Range<Int> {
        let left = bytes.count - at
        let most = random.once(in: 5) ? left : min(left, 8)
        return at..<at + 1 + random.below(most)
    }

    private func splice(_ bytes: inout [UInt8], _ at: Int, _ random: inout Seed) {
        let other = samples[random.below(samples.count)]
        guard !other.isEmpty else { return }
        let piece = other[range(of: other, from: random.below(other.count), &random)]
        if random.once(in: 2) {
            bytes.replaceSubrange(at..., with: piece)
        } else {
            bytes.insert(contentsOf: piece, at: at)
        }
    }

    /// Numbers at whose borders programs go wrong.
    private func number(_ random: inout Seed) -> UInt64 {
        let border: UInt64 = 1 << UInt64(random.below(64))
        switch random.below(7) {
        case 0: return UInt64(random.below(16))
        case 5: return UInt64(Int.max - random.below(4))
        case 1: return border
        case 2: return border &- 1
        case 3: return border &+ UInt64(random.below(4))
        case 4: return 0 &- UInt64(random.below(4))
        default: return random.next()
        }
    }

    private func fixedNumber(_ bytes: inout [UInt8], _ at: Int, _ random: inout Seed) {
        let value = number(&random)
        for place in 0..<[1, 2, 4, 8][random.below(4)] where at + place < bytes.count {
            bytes[at + place] = UInt8(truncatingIfNeeded: value >> UInt64(8 * place))
        }
    }

    /// Replaces what may be a number of the formats.
    private func variableNumber(_ bytes: inout [UInt8], _ at: Int, _ random: inout Seed) {
        var end = at
        while end < bytes.count - 1, end < at + 9, bytes[end] & 0x80 != 0 { end += 1 }
        var writer = ByteWriter()
        writer.number(number(&random))
        bytes.replaceSubrange(at...end, with: writer.bytes)
    }

    private static let scraps = [
        "/", "..", "../", "/../", "/./", "//", ".", "\0", "\n", "\r\n", " ", "\t", "\\", "\\x41",
        "\\040", "\\0", ",", ";", ":", "-", " - ", "+", "=", "0", "-1", "9223372036854775807",
        "18446744073709551615", "18446744073709551616", "4294967296", "1e308", "nan", "inf", "*",
        "**", "***", "?", "[", "]", "[!a-z]", "[[:alpha:]]", "!", "#", ".resync", "\u{1b}[2J",
        "\u{202e}", "\u{301}", "é",
    ].map { Array($0.utf8) }

    private func scrap(_ random: inout Seed) -> [UInt8] {
        if random.once(in: 2) { return Self.scraps[random.below(Self.scraps.count)] }
        return (0...random.below(6)).map { _ in UInt8(random.below(256)) }
    }
}

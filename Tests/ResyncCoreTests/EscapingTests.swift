import TestSupport
import Testing

@testable import ResyncCore

@Suite struct EscapingTests {
    /// Written out anew rather than asked of `isShowable`: what no terminal may get.
    private func isForbidden(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7f..<0xa0: true  // C0, DEL, C1
        case 0x61c, 0x200e, 0x200f, 0x202a...0x202e, 0x2066...0x2069: true  // bidi controls
        case 0x2028, 0x2029: true  // line ends
        case 0xad, 0x200b...0x200d, 0x2060...0x2064, 0xfeff, 0xe0001, 0xe0020...0xe007f: true
        case 0xe000...0xf8ff, 0xf0000...0xffffd, 0x100000...0x10fffd: true  // private use
        case 0xfffe, 0xffff, 0xfdd0...0xfdef: true  // never characters
        default: false
        }
    }

    private func expectRoundTrip(_ bytes: [UInt8]) {
        let text = escaped(bytes)
        if let bad = text.unicodeScalars.first(where: isForbidden) {
            Issue.record("\(bytes) lets U+\(String(bad.value, radix: 16)) through")
        }
        if unescaped(text) != bytes { Issue.record("\(bytes) became '\(text)'") }
    }

    @Test func bytesAsDigits() {
        #expect(hexText([]) == "")
        #expect(hexText([0, 1, 15, 16, 0x9a, 0xbc, 255]) == "00010f109abcff")
        for byte in UInt8.min...UInt8.max { #expect(UInt8(hexText([byte]), radix: 16) == byte) }
    }

    @Test func everySingleByte() {
        for byte in UInt8.min...UInt8.max {
            expectRoundTrip([byte])
            let text = escaped([byte])
            switch byte {
            case 0x5c: #expect(text == "\\\\")
            case 0x20..<0x7f: #expect(Array(text.utf8) == [byte])
            default: #expect(text == "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16))
            }
        }
    }

    @Test func everyPairOfBytes() {
        for first in UInt8.min...UInt8.max {
            for second in UInt8.min...UInt8.max { expectRoundTrip([first, second]) }
        }
    }

    @Test func everyScalar() {
        let values = Array(UInt32(0)..<0x10000)
        let beyond = stride(from: UInt32(0x10000), through: 0x10ffff, by: isLongRun ? 1 : 61)
        for value in values + beyond + [0xe0001, 0xe0041, 0xf0000, 0x10fffd] {
            guard let scalar = Unicode.Scalar(value) else { continue }
            let bytes = Array(UTF8.encode(scalar) ?? .init([]))
            if bytes.isEmpty { Issue.record("\(value) has no UTF-8") }
            expectRoundTrip(bytes)
        }
    }

    @Test func randomBytes() {
        var random = Seed.fromEnvironment()
        let pieces: [[UInt8]] = [
            Array("\\".utf8), Array("\\x4".utf8), Array("é中🙂".utf8), [0xf0, 0x9f], [0xe2, 0x80],
            [0x1b, 0x5b, 0x32, 0x4a], [0xed, 0xa0, 0x80], Array("a".utf8), [0xcc, 0x81],
        ]
        for _ in 0..<rounds(2000) {
            var bytes: [UInt8] = []
            for _ in 0..<random.below(8) {
                bytes += random.below(2) == 0 ? pieces[random.below(pieces.count)] : random.bytes(1)
            }
            expectRoundTrip(bytes)
        }
    }

    @Test(
        arguments: [
            ([0x1b, 0x5b, 0x33, 0x31, 0x6d], #"\x1b[31m"#),  // a colour
            ([0x0d, 0x0a, 0x09, 0x00], #"\x0d\x0a\x09\x00"#),
            ([0xc2, 0x9b, 0x41], #"\xc2\x9bA"#),  // C1 CSI as UTF-8
            ([0xe2, 0x80, 0xae, 0x78], #"\xe2\x80\xaex"#),  // right-to-left override
            ([0xe2, 0x80, 0xa8], #"\xe2\x80\xa8"#),  // line separator
            ([0xc0, 0xaf], #"\xc0\xaf"#),  // overlong slash, 2 bytes
            ([0xe0, 0x80, 0xaf], #"\xe0\x80\xaf"#),  // and 3
            ([0xf0, 0x80, 0x80, 0xaf], #"\xf0\x80\x80\xaf"#),  // and 4
            ([0xed, 0xa0, 0x80, 0xed, 0xb0, 0x80], #"\xed\xa0\x80\xed\xb0\x80"#),  // surrogates
            ([0xf4, 0x90, 0x80, 0x80], #"\xf4\x90\x80\x80"#),  // beyond U+10FFFF
            ([0xff, 0xfe], #"\xff\xfe"#),
            ([0x5c, 0x78, 0x34, 0x31], #"\\x41"#),  // a name that looks escaped
            ([0xe4, 0xb8], #"\xe4\xb8"#),  // cut
            ([0xc3, 0xa9], "é"), ([0xf0, 0x9f, 0x99, 0x82], "🙂"),
        ] as [([UInt8], String)])
    func knownTexts(_ bytes: [UInt8], _ text: String) {
        #expect(escaped(bytes).utf8.elementsEqual(text.utf8))
        #expect(unescaped(text) == bytes)
    }

    @Test(arguments: ["\\", "a\\", "\\x", "\\x4", "\\xg0", "\\x0g", "\\n", "\\X41", "\\ "])
    func brokenEscapesAreRefused(_ text: String) {
        #expect(unescaped(text) == nil)
    }

    @Test func textOnlyWhereItIsValid() {
        #expect(validText([0xff]) == nil)
        #expect(validText([0xed, 0xa0, 0x80]) == nil)
        #expect(validText([0xc0, 0xaf]) == nil)
        #expect(validText(Array("e\u{301}".utf8)).map { Array($0.utf8) } == [0x65, 0xcc, 0x81])
    }
}

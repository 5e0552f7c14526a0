import TestSupport
import Testing

@testable import ResyncCore

@Suite struct ByteCodingTests {
    private func written(_ body: (inout ByteWriter) -> Void) -> [UInt8] {
        var writer = ByteWriter()
        body(&writer)
        return writer.bytes
    }

    private func number(_ bytes: [UInt8]) throws -> UInt64 {
        var reader = ByteReader(bytes)
        return try reader.number()
    }

    @Test func numbers() throws {
        #expect(written { $0.number(UInt64(0)) } == [0])
        #expect(written { $0.number(UInt64(127)) } == [0x7f])
        #expect(written { $0.number(UInt64(128)) } == [0x80, 1])
        #expect(written { $0.number(UInt64(300)) } == [0xac, 2])
        #expect(written { $0.number(UInt64.max) } == Array(repeating: 0xff, count: 9) + [1])
        for shift in 0..<UInt64(64) {
            for value in [1 << shift, (1 << shift) - 1, (1 << shift) + 1] as [UInt64] {
                #expect(try number(written { $0.number(value) }) == value)
            }
        }
    }

    @Test(
        arguments: [
            [0x80, 0x00], [0xff, 0x00], [0x80, 0x80, 0x00],
            [0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00],
        ] as [[UInt8]])
    func needlessZerosAreRefused(_ bytes: [UInt8]) {
        #expect(throws: FormatError.self) { try number(bytes) }
    }

    @Test func whatDoesNotFitIsRefused() {
        let full = [UInt8](repeating: 0xff, count: 9)
        #expect(throws: FormatError.self) { try number(full + [2]) }
        #expect(throws: FormatError.self) { try number(full + [0x81]) }
        #expect(throws: FormatError.self) { try number(full + [0x81, 0]) }
        #expect(throws: FormatError.self) { try number(full + [0x80, 1]) }
        #expect(throws: FormatError.self) {
            try number([UInt8](repeating: 0x80, count: 1000) + [1])
        }
        #expect(throws: FormatError.self) {
            var reader = ByteReader(written { $0.number(UInt64(Int.max) + 1) })
            _ = try reader.int()
        }
        #expect(throws: FormatError.self) {
            var reader = ByteReader(written { $0.number(11) })
            _ = try reader.int(limit: 10)
        }
        #expect(throws: FormatError.self) {
            var reader = ByteReader(written { $0.number(UInt64(UInt32.max) + 1) })
            _ = try reader.number32()
        }
        #expect(throws: FormatError.self) {
            var reader = ByteReader(written { $0.string([1, 2, 3]) })
            _ = try reader.string(limit: 2)
        }
        #expect(throws: FormatError.self) {
            var reader = ByteReader(
                written {
                    $0.signed(0)
                    $0.number(1_000_000_000)
                })
            _ = try reader.time()
        }
    }

    @Test func signedNumbers() throws {
        for (value, code) in [(0, 0), (-1, 1), (1, 2), (-2, 3), (63, 126)] as [(Int64, UInt8)] {
            #expect(written { $0.signed(value) } == [code])
        }
        for value in [Int64.min, .min + 1, -1 << 32, 1 << 62, .max - 1, .max] {
            var reader = ByteReader(written { $0.signed(value) })
            #expect(try reader.signed() == value)
            #expect(reader.isAtEnd)
        }
    }

    /// One of everything, and what reading it back gives.
    private var sample: [UInt8] {
        written {
            $0.byte(7)
            $0.number(UInt64.max)
            $0.signed(.min)
            $0.string([0, 0xff, 0x2f])
            $0.digest(digest(5))
            $0.time(Timestamp(seconds: -1, nanoseconds: 999_999_999))
            $0.fixed32(0x0102_0304)
            $0.fixed64(0x0102_0304_0506_0708)
            $0.raw([9, 8])
        }
    }

    private func readSample(_ bytes: [UInt8]) throws {
        var reader = ByteReader(bytes)
        #expect(try reader.byte() == 7)
        #expect(try reader.number() == .max)
        #expect(try reader.signed() == .min)
        #expect(try reader.string(limit: 3) == [0, 0xff, 0x2f])
        #expect(try reader.digest() == digest(5))
        #expect(try reader.time() == Timestamp(seconds: -1, nanoseconds: 999_999_999))
        #expect(try reader.fixed32() == 0x0102_0304)
        #expect(try reader.fixed64() == 0x0102_0304_0506_0708)
        #expect(try reader.raw(2) == [9, 8])
        #expect(reader.left == 0)
        #expect(reader.isAtEnd)
    }

    @Test func everythingRoundTrips() throws { try readSample(sample) }

    @Test func everyTruncationIsRefused() {
        for length in 0..<sample.count {
            #expect(throws: FormatError.self) { try readSample(Array(sample[..<length])) }
        }
    }

    @Test func fixedNumbersAreLittleEndian() {
        #expect(written { $0.fixed32(0x0102_0304) } == [4, 3, 2, 1])
        #expect(written { $0.fixed64(1) } == [1, 0, 0, 0, 0, 0, 0, 0])
    }

    // MARK: Frames

    private let magic = Array("resync-test".utf8)
    private let payloads: [[UInt8]] = [[1, 2, 3], [], [4, 5, 6], Array(0..<100)]

    private func file(_ payloads: [[UInt8]], magic: [UInt8]? = nil) -> [UInt8] {
        var writer = FrameWriter(magic: magic ?? self.magic, hash: ToyHash(), chain: ToyHash())
        var bytes = writer.start()
        for (index, payload) in payloads.enumerated() {
            bytes += writer.frame(UInt8(index), payload)
            #expect(writer.offset == bytes.count)
        }
        return bytes
    }

    /// The payloads of a file, and the digest over its frames.
    private func read(_ bytes: [UInt8]) throws -> (payloads: [[UInt8]], chain: Digest) {
        func piece(_ offset: Int, _ count: Int) -> [UInt8] {
            Array(bytes[min(offset, bytes.count)..<min(offset + count, bytes.count)])
        }
        var reader = FrameReader(magic: magic, hash: ToyHash(), chain: ToyHash())
        try reader.start(piece)
        var found: [[UInt8]] = []
        while let (kind, payload) = try reader.next(piece) {
            #expect(kind == UInt8(found.count))
            found.append(payload)
        }
        return (found, reader.chainDigest())
    }

    /// Where the frames of `file(payloads)` end.
    private var ends: [Int] { (0...payloads.count).map { file(Array(payloads[..<$0])).count } }

    @Test func framesRoundTrip() throws {
        #expect(try read(file(payloads)).payloads == payloads)
        #expect(try read(file([])).payloads == [])
        let large = [[UInt8](repeating: 3, count: Frames.payloadLimit)]
        #expect(try read(file(large)).payloads == large)
        #expect(file([]).count == Frames.magicLength)
    }

    /// A file that ends between frames is found by whoever knows how many there must be.
    @Test func everyTruncationIsFound() throws {
        let whole = file(payloads)
        let chain = try read(whole).chain
        for length in 0..<whole.count {
            let cut = Array(whole[..<length])
            if let count = ends.firstIndex(of: length) {
                let found = try read(cut)
                #expect(found.payloads == Array(payloads[..<count]))
                #expect(found.chain != chain)
            } else {
                #expect(throws: FormatError.self) { try read(cut) }
            }
        }
    }

    @Test func everyFlippedBitIsFound() {
        let whole = file(payloads)
        for at in whole.indices {
            for bit in 0..<8 {
                var bytes = whole
                bytes[at] ^= 1 << UInt8(bit)
                #expect(throws: FormatError.self, "byte \(at), bit \(bit)") { try read(bytes) }
            }
        }
    }

    @Test func movedFramesAreRefused() throws {
        // The first and the third frame have the same length.
        let whole = file(payloads)
        let frames = zip(ends, ends.dropFirst()).map { Array(whole[$0..<$1]) }
        #expect(frames[0].count == frames[2].count)
        let head = Array(whole[..<ends[0]])
        #expect(try read(head + frames.joined()).payloads == payloads)
        for order in [[2, 1, 0, 3], [0, 0], [1], [0, 2], [0, 1, 2, 3, 3]] {
            #expect(throws: FormatError.self, "\(order)") {
                try read(head + order.flatMap { frames[$0] })
            }
        }
        let foreign = file(payloads, magic: Array("resync-other".utf8))
        #expect(throws: FormatError.self) { try read(foreign) }
        #expect(throws: FormatError.self) { try read(head + foreign[ends[0]...]) }
    }

    @Test func anotherStartGoesOnWhereTheFirstEnded() throws {
        let first = file(Array(payloads[..<2]))
        var writer = FrameWriter(
            magic: magic, hash: ToyHash(), chain: ToyHash(), resumingAt: first.count)
        let rest = writer.frame(2, payloads[2]) + writer.frame(3, payloads[3])
        #expect(first + rest == file(payloads))
    }

    @Test func aFrameCanBeReadByItsOffset() throws {
        let whole = file(payloads)
        var reader = FrameReader(magic: magic, hash: ToyHash(), chain: ToyHash())
        reader.seek(to: ends[3])
        let found = try reader.next { Array(whole[$0..<min($0 + $1, whole.count)]) }
        #expect(found?.payload == payloads[3])
        reader.seek(to: ends[3] + 1)
        #expect(throws: FormatError.self) {
            try reader.next { Array(whole[$0..<min($0 + $1, whole.count)]) }
        }
    }
}

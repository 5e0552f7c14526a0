import TestSupport
import Testing

@testable import ResyncCore

@Suite struct DifferenceCodingTests {
    private var random = Seed.fromEnvironment("DifferenceCodingTests")

    private mutating func size() -> Int {
        [0, 1, 4096, 1 << 20, 1 << 40, .max / 4][random.below(6)]
    }

    private mutating func time() -> Timestamp {
        Timestamp(
            seconds: [.min, -1, 0, 1_763_852_645, .max][random.below(5)],
            nanoseconds: UInt32(random.below(1_000_000_000)))
    }

    private mutating func extents() -> [Extent] {
        var end = 0
        return (0..<random.below(4)).map { _ in
            let extent = Extent(offset: end + random.below(1 << 30), length: random.below(1 << 30))
            end = extent.end
            return extent
        }
    }

    private mutating func stat() -> StatWitness? {
        guard random.below(4) > 0, let type = EntryType.allCases.randomElement(using: &random)
        else { return nil }
        return StatWitness(
            type: type, size: size(), mtime: time(), ctime: time(), inode: random.next())
    }

    private mutating func digests() -> [Digest] {
        (0..<random.below(4)).map { _ in digest(random.next()) }
    }

    private mutating func error() -> EntryError {
        EntryError(
            side: random.below(2) == 0 ? .a : .b, call: Array("pread".utf8),
            number: Int32(truncatingIfNeeded: random.next()),
            extent: random.below(2) == 0 ? nil : Extent(offset: size(), length: size()))
    }

    private mutating func record() -> ResultRecord {
        var path = RelativePath.root
        for _ in 0..<random.below(6) { path = path.appending(random.name()) }
        let outcome = Outcome.allCases[random.below(Outcome.allCases.count)]
        if outcome == .same { return .same(path) }
        var difference = Difference(path: path, outcome: outcome)
        difference.aspects = AspectSet(rawValue: UInt16(random.below(1 << Aspect.allCases.count)))
        difference.shape = random.below(2) == 0 ? nil : Shape.allCases.randomElement(using: &random)
        difference.shapeSide = [nil, .a, .b][random.below(3)]
        difference.reason =
            random.below(2) == 0 ? nil : Reason.allCases.randomElement(using: &random)
        difference.confirmedFrom = [nil, .cache, .media][random.below(3)]
        difference.extents = extents()
        difference.errors = (0..<random.below(3)).map { _ in error() }
        difference.stats = Sides(a: stat(), b: stat())
        difference.witnesses = Sides(a: digests(), b: digests())
        difference.digests = Sides(a: digests(), b: digests())
        return .difference(difference)
    }

    private func bytes(_ record: ResultRecord) -> [UInt8] {
        var writer = ByteWriter()
        writer.record(record)
        return writer.bytes
    }

    /// Reads a record and everything that is derived from it.
    @discardableResult
    private func read(_ bytes: [UInt8]) throws -> ResultRecord {
        var reader = ByteReader(bytes)
        let record = try reader.record()
        if case .difference(let difference) = record {
            _ = difference.extents.map(\.end)
            _ = difference.errors.map { $0.extent?.end }
            _ = difference.aspects.aspects.map(\.word)
        }
        guard reader.isAtEnd else { throw FormatError("goes on", at: reader.at) }
        return record
    }

    @Test mutating func recordsRoundTrip() throws {
        for _ in 0..<rounds(2000) {
            let record = record()
            #expect(try read(bytes(record)) == record)
        }
    }

    /// As a name that ends early, or leads out of the store.
    @Test(arguments: ["..", "/etc", "d//x", "d/", "d/../../x", "d/.", "d\0x"])
    func aPathThatIsNoneIsRefused(path: String) {
        let path = RelativePath(Array(path.utf8))
        for record in [.same(path), .difference(Difference(path: path, outcome: .missingOnB))]
            as [ResultRecord]
        {
            #expect(throws: FormatError.self) { try read(bytes(record)) }
        }
        for update in [
            .remove(path), .withdraw(path, since: Timestamp(seconds: 0, nanoseconds: 0)),
        ]
            as [BaselineUpdate]
        {
            var writer = ByteWriter()
            writer.update(update)
            var reader = ByteReader(writer.bytes)
            #expect(throws: FormatError.self) { try reader.update() }
        }
    }

    @Test mutating func everyTruncationIsRefused() {
        for _ in 0..<rounds(50) {
            let whole = bytes(record())
            for length in 0..<whole.count {
                #expect(throws: FormatError.self) { try read(Array(whole[..<length])) }
            }
        }
    }

    /// Whatever can be read has one form only.
    @Test mutating func hostileBytesNeverTrap() {
        var accepted = 0
        for _ in 0..<rounds(300) {
            var hostile = bytes(record())
            for _ in 0..<40 {
                switch random.below(4) {
                case 0: hostile[random.below(hostile.count)] = UInt8(random.below(256))
                case 1: hostile[random.below(hostile.count)] ^= 1 << UInt8(random.below(8))
                case 2: hostile.insert(0xff, at: random.below(hostile.count + 1))
                default:
                    hostile.insert(
                        contentsOf: Array(repeating: 0xff, count: 8) + [0x7f],
                        at: random.below(hostile.count + 1))
                }
                guard let record = try? read(hostile) else { continue }
                accepted += 1
                #expect(bytes(record) == hostile)
            }
            _ = try? read(random.bytes(random.below(200)))
        }
        #expect(accepted > 0)
    }

    /// Extents whose end no number holds: asking for it would trap.
    @Test func endlessExtentsAreRefused() {
        func difference(_ body: (inout ByteWriter) -> Void) -> [UInt8] {
            var writer = ByteWriter()
            writer.byte(Outcome.differs.rawValue)
            writer.string([0x61])
            writer.number(0)
            for _ in 0..<4 { writer.byte(0) }
            body(&writer)
            // No stats, witnesses and digests, on two sides.
            for _ in 0..<6 { writer.byte(0) }
            return writer.bytes
        }
        func withError(_ flag: UInt8, _ numbers: [Int]) -> [UInt8] {
            difference { writer in
                writer.number(0)
                writer.number(1)
                writer.byte(0)
                writer.string([0x61])
                writer.number(5)
                writer.byte(flag)
                for number in numbers { writer.number(number) }
            }
        }
        #expect(throws: Never.self) { try read(withError(0, [])) }
        #expect(throws: Never.self) { try read(withError(1, [1, Int.max - 1])) }
        #expect(throws: FormatError.self) { try read(withError(1, [2, Int.max - 1])) }
        #expect(throws: FormatError.self) { try read(withError(2, [])) }
        func withExtents(_ numbers: [Int]) -> [UInt8] {
            difference { writer in
                writer.number(numbers.count / 2)
                for number in numbers { writer.number(number) }
                writer.number(0)
            }
        }
        #expect(throws: Never.self) { try read(withExtents([0, Int.max])) }
        #expect(throws: FormatError.self) { try read(withExtents([1, Int.max])) }
        #expect(throws: FormatError.self) { try read(withExtents([0, Int.max, 1, 0])) }
        #expect(throws: FormatError.self) { try read(withExtents([0, 1 << 62, 0, 1 << 62])) }
    }

    @Test func unknownValuesAreRefused() throws {
        var difference = Difference(path: RelativePath([0x61]), outcome: .differs)
        difference.aspects = .all
        let good = bytes(.difference(difference))
        #expect(try read(good) == .difference(difference))
        // Outcome; then, behind the path and two bytes of aspects: shape, side, reason, confirmed.
        for (at, value) in [(0, 9), (5, 5), (6, 3), (7, 16), (8, 3), (4, 0x20)] as [(Int, UInt8)] {
            var bad = good
            bad[at] = value
            #expect(throws: FormatError.self, "byte \(at)") { try read(bad) }
        }
    }

    /// Kept files hold these numbers.
    @Test func numbersInFilesStay() {
        #expect(Outcome.allCases.map(\.rawValue) == Array(0...8))
        #expect(Aspect.allCases.map(\.rawValue) == Array(0...11))
        #expect(Shape.allCases.map(\.rawValue) == Array(1...4))
        #expect(Reason.allCases.map(\.rawValue) == Array(1...15))
        #expect(EntryType.allCases.map(\.rawValue) == Array(1...7))
        #expect(String(Outcome.allCases.map(\.sign)) == "=*-+~!?xe")
        #expect(
            Outcome.allCases.map(\.word) == [
                "same", "differs", "missing_on_a", "missing_on_b", "unstable", "unreadable",
                "not_verified", "conflict", "expected",
            ])
        #expect(
            Outcome.allCases.filter { Difference(path: .root, outcome: $0).canBeConfirmed }
                == [.differs, .missingOnA, .missingOnB, .unstable])
    }
}

import TestSupport
import Testing

@testable import ResyncCore

/// Lines of recordings at random, the texts full of what may disturb a parser.
private struct LineMaker {
    var random: Seed

    private let scraps = [
        " ", "\\", "\n", "\r\n", "\u{301}", " \u{301}", "\u{200d}", "é", "\u{2028}", "\u{0}",
        "\\x41", "\u{1f600}", "\u{1b}[2J", "-", ".", "probe", "\u{fe0f}", "\u{1f1e9}", "e\u{323}",
    ]

    mutating func bytes() -> [UInt8] {
        if random.below(2) == 0 {
            return (0..<random.below(30)).map { _ in UInt8(random.below(256)) }
        }
        return (0..<random.below(8)).flatMap { _ in
            Array(scraps[random.below(scraps.count)].utf8)
        }
    }

    mutating func text() -> String { validText(bytes()) ?? scraps[random.below(scraps.count)] }

    mutating func moment() -> Moment {
        let isOdd = random.below(4) == 0
        return Moment(
            boot: isOdd ? random.next() : UInt64(random.below(1 << 50)),
            wall: Timestamp(
                seconds: isOdd ? Int64(bitPattern: random.next()) : 1_790_000_000,
                nanoseconds: UInt32(random.below(1_000_000_000))))
    }

    mutating func seconds() -> Double {
        let odd: [Double] = [0, -0.0, 0.1, 1e300, .leastNonzeroMagnitude, -3.25, 1.0 / 3]
        return random.below(3) == 0
            ? odd[random.below(odd.count)] : Double(random.below(1_000_000)) / 1000
    }

    mutating func outcome() -> ProbeOutcome {
        switch random.below(6) {
        case 0: .verified
        case 1: .full
        case 2:
            .failed(
                errorNumber: Int32(truncatingIfNeeded: random.next()),
                call: ["write", "fsync", "openat"][random.below(3)])
        case 3: .lost
        case 4: .foreign(text())
        default: .workerDied
        }
    }

    mutating func observation() -> Observation {
        switch random.below(7) {
        case 0: .probe(outcome(), started: moment())
        case 1: .probeHangs(seconds: seconds(), ProbeWait.allCases[random.below(2)])
        case 2: .mount(MountCondition.allCases[random.below(MountCondition.allCases.count)])
        case 3: .kernel(["ext4.ro", "note.port", "x"][random.below(3)], text: bytes())
        case 4: .fileSystemError(Int32(truncatingIfNeeded: random.next()), count: .max)
        case 5: .errorCount(random.below(2) == 0 ? nil : random.next())
        default: .deviceStalls(seconds: seconds())
        }
    }

    mutating func line() -> Recording.Line {
        let store = ["mail/a", "x", "a.b-c_D/9"][random.below(3)]
        return Recording.Line(at: moment(), store: store, observation())
    }
}

@Suite struct RecordingTests {
    @Test func whatIsWrittenIsReadAgain() {
        var maker = LineMaker(random: Seed.fromEnvironment())
        for _ in 0..<rounds(isLongRun ? 200_000 : 10_000) {
            let line = maker.line()
            guard let read = Recording.Line(String(line.text.dropLast())) else {
                Issue.record("not read: \(escaped(line.text.utf8))")
                return
            }
            #expect(read == line)
            // One line, and nothing in it that moves a cursor.
            let bytes = Array(line.text.utf8)
            #expect(bytes.firstIndex(of: 0x0a) == bytes.count - 1)
            #expect(!bytes.dropLast().contains { $0 < 0x20 || $0 == 0x7f })
        }
    }

    @Test func wholeRecordingsAreReadAgain() {
        var maker = LineMaker(random: Seed.fromEnvironment())
        for _ in 0..<20 {
            let lines = (0..<maker.random.below(200)).map { _ in maker.line() }
            let read = Recording.lines(Recording.header + lines.map(\.text).joined())
            #expect(read.firstBad == nil)
            #expect(read.lines.elementsEqual(lines), "\(lines.count) lines")
        }
    }

    @Test(arguments: [
        "", " ", "1", "1 2.3", "1 2.3 mail/a", "1 2.3 mail/a ", "1 2.3 mail/a sings",
        "1 2.3 mail/a probe", "1 2.3 mail/a probe 1 2.3", "1 2.3 mail/a probe 1 2.3 well",
        "1 2.3 mail/a probe 1 2.3 verified twice", "1 2.3 mail/a probe 1 2 verified",
        "1 2.3 mail/a probe 1 2.3 failed", "1 2.3 mail/a probe 1 2.3 failed 5",
        "1 2.3 mail/a probe 1 2.3 failed 99999999999 write",
        "1 2.3 mail/a probe 1 2.3 foreign", "1 2.3 mail/a probe 1 2.3 foreign \\x",
        "1 2.3 mail/a probe 1 2.3 foreign \\xff", "1 2.3 mail/a mount", "1 2.3 mail/a mount up",
        "1 2.3 mail/a mount ro ", "1 2.3 mail/a hang", "1 2.3 mail/a hang 3",
        "1 2.3 mail/a hang nan device", "1 2.3 mail/a hang inf device",
        "1 2.3 mail/a hang 3 nothing", "1 2.3 mail/a hang 1e999 device",
        "1 2.3 mail/a stall", "1 2.3 mail/a stall -inf", "1 2.3 mail/a errors",
        "1 2.3 mail/a errors -1", "1 2.3 mail/a errors 18446744073709551616",
        "1 2.3 mail/a fserror 1", "1 2.3 mail/a fserror 1 4294967296",
        "1 2.3 mail/a kernel", "1 2.3 mail/a kernel ext4.ro", "1 2.3 mail/a kernel x \\y",
        "-1 2.3 mail/a errors 1", "18446744073709551616 2.3 mail/a errors 1",
        "1 2.1000000000 mail/a errors 1", "1 9223372036854775808.3 mail/a errors 1",
        "1 2.3.4 mail/a errors 1", "1 2..3 mail/a errors 1", "1 2 mail/a errors 1",
        "1 2.3  mail/a errors 1", "1  2.3 mail/a errors 1", " 1 2.3 mail/a errors 1",
        "1 2.3 ma il/a errors 1", "1 2.3 mail:a errors 1", "1 2.3 mäil/a errors 1",
        "1 2.3 mail/a errors 1\r", "1 2.3 mail/a errors 1 ", "1 2.3 mail/a errors +1",
        "1 2.3 mail/a errors 0x1", "１ 2.3 mail/a errors 1",
    ])
    func whatIsNoLineIsRefused(_ short: String) {
        // Otherwise the time alone would be a reason.
        let text = short.replacing("2.3 ", with: "2.000000003 ")
        #expect(Recording.Line(text) == nil)
        #expect(Recording.lines(Recording.header + text + "x\n").firstBad == 2)
    }

    @Test func theLineThatIsWrongIsNamed() {
        let good = "1 2.000000003 mail/a errors 1\n"
        #expect(Recording.lines("").firstBad == 1)
        #expect(Recording.lines("resync-recording 2\n" + good).firstBad == 1)
        #expect(Recording.lines(good).firstBad == 1)
        #expect(Recording.lines(Recording.header).firstBad == nil)
        #expect(Recording.lines(Recording.header + good + good).lines.count == 2)
        let third = Recording.lines(Recording.header + good + "no\n" + good)
        #expect(third.firstBad == 3 && third.lines.count == 1)
        #expect(Recording.lines(Recording.header + good + "\n" + good).firstBad == 3)
        #expect(Recording.lines(Recording.header + good + "\n\nno\n").firstBad == 3)
        #expect(Recording.lines(Recording.header + good + good.dropLast() + "\r\n").firstBad == 3)
    }

    @Test func storesHaveNamesThatFitALine() {
        for name in ["a", "mail/a", "A-b_c.d/9", String(repeating: "x", count: 80)] {
            #expect(StoreName.isValid(name), "\(name)")
        }
        for name in [
            "", " ", "a b", "a\n", "ä", "a:b", "a\u{301}", "@", "[", "`", "{", "a\\",
            String(repeating: "x", count: 81),
        ] {
            #expect(!StoreName.isValid(name), "\(name)")
        }
    }

    /// Lines with a bit turned, bytes put in or left out, or two of them mixed: no crash, and what
    /// is still taken for a line is one.
    @Test func damagedLinesDoNoHarm() {
        var maker = LineMaker(random: Seed.fromEnvironment())
        var taken = 0
        for _ in 0..<rounds(isLongRun ? 500_000 : 20_000) {
            var bytes = Array(maker.line().text.utf8.dropLast())
            for _ in 0...maker.random.below(3) {
                let at = maker.random.below(bytes.count + 1)
                switch maker.random.below(5) {
                case 0 where at < bytes.count: bytes[at] ^= 1 << UInt8(maker.random.below(8))
                case 1 where at < bytes.count: bytes.remove(at: at)
                case 2: bytes.insert(UInt8(maker.random.below(256)), at: at)
                case 3: bytes.insert(contentsOf: maker.bytes(), at: at)
                default: bytes = bytes.prefix(at) + maker.line().text.utf8.dropLast().suffix(at)
                }
            }
            let text = String(decoding: bytes, as: UTF8.self)
            _ = Recording.lines(text)
            _ = Recording.lines(Recording.header + text)
            guard let line = Recording.Line(text) else { continue }
            taken += 1
            #expect(Recording.Line(String(line.text.dropLast())) == line)
            #expect(line.text.utf8.count { $0 == 0x0a } == 1)
        }
        #expect(taken > 0)
    }
}

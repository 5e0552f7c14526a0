import Foundation
import Glibc
import TestSupport
import Testing

@testable import ResyncCore

@Suite struct QuantityTests {
    @Test(
        arguments: [
            ("0", 0), ("4096", 4096), ("1B", 1), ("64KiB", 65536), ("64K", 65536), ("64k", 65536),
            ("64kib", 65536), ("1MiB", 1 << 20), ("200M", 200 << 20), ("1.5G", 3 << 29),
            ("2T", 2 << 40), ("0.5K", 512), ("9223372036854775807", .max),
            // A Double would make it 9007199254740992.
            ("9007199254740993", 9_007_199_254_740_993), ("8388607T", 8_388_607 << 40),
        ] as [(String, Int)])
    func sizes(_ text: String, _ bytes: Int) throws { #expect(try parseSize(text) == bytes) }

    @Test(arguments: [
        "", "K", "-1", "+1", "1e3", "0x10", "1 K", " 1", "1KB", "1X", "1.5", "0.3K", "1..5", ".",
        "9223372036854775808", "8388608T", "99999999999999999999T", "inf", "nan", "١", "1\0",
        "1\u{301}", "1K1",
    ])
    func noSizes(_ text: String) { #expect(throws: QuantityError.self) { try parseSize(text) } }

    @Test func rates() throws {
        #expect(try parseRate("200MiB/s") == 200 << 20)
        #expect(try parseRate("5K") == 5120)
        for text in ["0", "0/s", "/s", "5/m", "5/s/s"] {
            #expect(throws: QuantityError.self) { try parseRate(text) }
        }
    }

    @Test(
        arguments: [
            ("30s", 30), ("5m", 300), ("6h", 21600), ("7d", 604_800), ("500ms", 0.5),
            ("1h30m", 5400),
            ("90s", 90), ("0", 0), ("1.5h", 5400), ("1d1h1m1s", 90061),
        ] as [(String, Double)])
    func durations(_ text: String, _ seconds: Double) throws {
        #expect(try parseDuration(text) == seconds)
    }

    @Test(arguments: [
        "", "s", "90", "-5s", "5 s", "5M", "5y", "1e9", "5s-", "inf", "99999999999d", "1..5s", "٣s",
    ])
    func noDurations(_ text: String) {
        #expect(throws: QuantityError.self) { try parseDuration(text) }
    }

    /// What an operator typed comes back in the message: it must not move the cursor.
    @Test func whatNoNumberHoldsIsTheLargest() {
        #expect(wholeNumber(2.9) == 2 && wholeNumber(-2.9) == -2 && wholeNumber(0) == 0)
        #expect(wholeNumber(0x1p62) == 1 << 62 && wholeNumber(-0x1p63) == .min)
        #expect(wholeNumber(Double(Int.max)) == .max && wholeNumber(.infinity) == .max)
        #expect(wholeNumber(-1e300) == .min && wholeNumber(.nan) == 0)
    }

    @Test func messagesAreEscaped() {
        #expect {
            try parseSize("\u{1b}[2J")
        } throws: { error in
            (error as? QuantityError)?.reason.contains(#"'\x1b[2J'"#) == true
        }
    }

    @Test(
        arguments: [
            (0, "0 B"), (1023, "1023 B"), (1024, "1.00 KiB"), (1536, "1.50 KiB"),
            (10 << 10, "10.0 KiB"), (1023 << 10, "1023.0 KiB"), ((1 << 20) - 1, "1.00 MiB"),
            (1 << 20, "1.00 MiB"), (5 << 30, "5.00 GiB"), ((1 << 40) - 1, "1.00 TiB"),
            (.max, "8.00 EiB"),
        ] as [(Int, String)])
    func sizeTexts(_ bytes: Int, _ text: String) { #expect(sizeText(bytes) == text) }

    @Test(
        arguments: [
            (0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567"), (-5, "-5"),
            (-123, "-123"), (-1234, "-1,234"), (-123_456, "-123,456"),
            (.max, "9,223,372,036,854,775,807"),
        ] as [(Int, String)])
    func countTexts(_ count: Int, _ text: String) { #expect(countText(count) == text) }

    @Test(
        arguments: [
            (0, "0.00 s"), (0.424, "0.42 s"), (9.99, "9.99 s"), (12.34, "12.3 s"), (59.9, "59.9 s"),
            (100, "1 min 40 s"), (245, "4 min 05 s"), (119.6, "2 min 00 s"), (3599.6, "1 h 00 min"),
            (7620, "2 h 07 min"), (360_000, "100 h 00 min"), (.infinity, "inf s"), (.nan, "nan s"),
        ] as [(Double, String)])
    func durationTexts(_ seconds: Double, _ text: String) { #expect(durationText(seconds) == text) }

    @Test func numbersWithDecimals() {
        #expect(decimals(1.005, 1) == "1.0")
        #expect(decimals(0.05, 2) == "0.05")
        #expect(decimals(-1.5, 1) == "-1.5")
        #expect(decimals(-0.001, 2) == "0.00")
        #expect(decimals(12.7, 0) == "13")
        #expect(decimals(1e300, 2) == "1e+300")
    }

    // MARK: Times

    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00Z"), (1_763_852_645, "2025-11-22T23:04:05Z"),
            (951_782_400, "2000-02-29T00:00:00Z"), (-1, "1969-12-31T23:59:59Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"), (253_402_300_800, "10000-01-01T00:00:00Z"),
            (-62_135_596_800, "0001-01-01T00:00:00Z"), (-62_135_596_801, "0000-12-31T23:59:59Z"),
            (-62_198_755_200, "-0001-01-01T00:00:00Z"),
        ] as [(Int64, String)])
    func knownTimes(_ seconds: Int64, _ text: String) {
        #expect(Timestamp(seconds: seconds, nanoseconds: 5).utcText == text)
    }

    /// Foundation, since the calendar it knows began; days of every kind of year among them.
    @Test func timesAgreeWithFoundation() {
        let formatter = ISO8601DateFormatter()
        var random = Seed.fromEnvironment()
        for _ in 0..<rounds(3000) {
            let seconds = Int64.random(in: -12_000_000_000...253_402_300_799, using: &random)
            let date = Date(timeIntervalSince1970: Double(seconds))
            #expect(
                Timestamp(seconds: seconds, nanoseconds: 0).utcText == formatter.string(from: date))
        }
    }

    /// The C library, over as many years as it can count, and around every turn of a year.
    @Test func timesAgreeWithTheCLibrary() {
        var random = Seed.fromEnvironment()
        func check(_ seconds: Int64) {
            var (time, parts) = (Int(seconds), tm())
            guard gmtime_r(&time, &parts) != nil else { return }
            func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
            let year = Int(parts.tm_year) + 1900
            let text =
                "-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
                + "T\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))Z"
            let found = Timestamp(seconds: seconds, nanoseconds: 0).utcText
            if !found.hasSuffix(text) || Int(found.dropLast(text.count)) != year {
                Issue.record("\(seconds): \(found), expected \(year)\(text)")
            }
        }
        for _ in 0..<rounds(3000) {
            let bits = UInt64(1 + random.below(55))
            let seconds = Int64(random.next() & (1 << bits - 1))
            check(seconds)
            check(-seconds)
        }
        for year in -2500..<2500 as Range<Int64> {
            let turn = (year * 146_097 / 400) * 86400
            for offset in -2...2 as ClosedRange<Int64> { check(turn + offset * 86400 - 1) }
        }
    }

    /// tmpfs keeps any number of seconds.
    @Test func noTimeTraps() {
        for seconds in [Int64.min, .min + 1, .max] {
            #expect(Timestamp(seconds: seconds, nanoseconds: 0).utcText.hasSuffix("Z"))
        }
    }

    // MARK: Times

    /// What file systems with coarse or short times make of one is known; another time is not.
    @Test func timesAreKnownInWhatFileSystemsMakeOfThem() {
        func time(_ seconds: Int64, _ nanoseconds: UInt32 = 0) -> Timestamp {
            Timestamp(seconds: seconds, nanoseconds: nanoseconds)
        }
        let given = time(1_600_000_001, 123_456_789)
        for kept in [given, time(1_600_000_001), time(1_600_000_000)] {
            #expect(kept.isKept(of: given))
        }
        for nanoseconds in [123_456_700, 123_456_000, 120_000_000] as [UInt32] {
            #expect(time(1_600_000_001, nanoseconds).isKept(of: given))
        }
        #expect(time(0x3_7fff_ffff).isKept(of: time(16_725_225_600, 5)))
        #expect(time(-0x8000_0000).isKept(of: time(.min)))
        let others = [
            time(1_600_000_002), time(1_600_000_001, 123_456_788), time(1_600_000_001, 1),
            time(1_599_999_999), time(0x3_7fff_ffff), time(-0x8000_0000), time(1_600_000_000, 1),
        ]
        for other in others { #expect(!other.isKept(of: given), "\(other)") }
    }
}

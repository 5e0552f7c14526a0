import TestSupport
import Testing

@testable import ResyncCore

@Suite struct SuspicionTests {
    private let path = RelativePath(Array("rec/2026/11/22/x".utf8))
    private let start = Timestamp(seconds: 10_000, nanoseconds: 0)

    private func stat(_ mtime: Int64, _ ctime: Int64, inode: UInt64 = 7, size: Int = 5) -> Stat {
        Stat(
            type: .file, size: size, mtime: Timestamp(seconds: mtime, nanoseconds: 0),
            ctime: Timestamp(seconds: ctime, nanoseconds: 0), inode: inode)
    }

    private func record(_ stats: Sides<Stat>) -> BaselineRecord {
        BaselineRecord(
            path: path, agreed: ObservedEntry(entry: Entry(stat: stats.a)),
            witnesses: stats.map { BaselineRecord.Witness($0) }, aspects: [], level: .media,
            time: Timestamp(seconds: 5000, nanoseconds: 0))
    }

    /// - Parameter before: what was proven; nil: what is.
    private func rank(
        _ a: Stat?, _ b: Stat?, before: Sides<Stat>? = nil,
        clocks: Sides<Int64> = Sides(a: 0, b: 0),
        isMismatch: Bool = false, hot: HotPaths = HotPaths()
    ) -> SuspicionRank {
        let quiet = stat(1000, 1000)
        return Suspicion(since: start, clocks: clocks, hot: hot).rank(
            of: path, stats: Sides(a: a, b: b),
            record: record(before ?? Sides(a: a ?? quiet, b: b ?? quiet)), isMismatch: isMismatch)
    }

    @Test func whatWasFoundDifferentComesFirst() {
        let quiet = stat(1000, 1000)
        #expect(rank(quiet, quiet, isMismatch: true) == .mismatch)
        #expect(rank(quiet, quiet) == .other)
        #expect(SuspicionRank.allCases == SuspicionRank.allCases.sorted())
    }

    @Test func whatIsNewerThanTheWindowsStartMayHaveBeenWritten() {
        let quiet = stat(1000, 1000)
        for new in [
            stat(10_000, 1000), stat(1000, 10_000), stat(.max, 1000), stat(1000, .max),
            // A file system cut these.
            stat(9998, 1000), stat(1000, 9998),
        ] {
            #expect(rank(new, quiet) == .written)
            #expect(rank(quiet, new) == .written)
        }
        #expect(rank(stat(9997, 9997), stat(9997, 9997)) == .other)
        #expect(rank(stat(.min, .min), quiet) == .other)
    }

    @Test func eachSideHasAClockOfItsOwn() {
        let quiet = stat(1000, 1000)
        let clocks = Sides<Int64>(a: -100, b: 100)
        #expect(rank(stat(9900, 1000), quiet, clocks: clocks) == .written)
        #expect(rank(stat(9897, 1000), quiet, clocks: clocks) == .other)
        #expect(rank(quiet, stat(10_050, 1000), clocks: clocks) == .other)
        #expect(rank(quiet, stat(1000, 10_100), clocks: clocks) == .written)
        #expect(rank(quiet, quiet, clocks: Sides(a: .min, b: 0)) == .written)
    }

    @Test func whatIsNotAsItWasProvenMayHaveBeenWritten() {
        let quiet = stat(1000, 1000)
        let both = Sides(a: quiet, b: quiet)
        for other in [
            stat(999, 1000), stat(1000, 999), stat(1000, 1000, inode: 8),
            stat(1000, 1000, size: 6), Stat(type: .fifo), nil,
        ] {
            #expect(rank(other, quiet, before: both) == .written)
            #expect(rank(quiet, other, before: both) == .written)
        }
        let suspicion = Suspicion(since: start, clocks: Sides(a: 0, b: 0))
        let stats: Sides<Stat?> = Sides(a: quiet, b: quiet)
        #expect(suspicion.rank(of: path, stats: stats, record: nil, isMismatch: false) == .written)
        var racy = record(both)
        racy.isRacy = true
        #expect(suspicion.rank(of: path, stats: stats, record: racy, isMismatch: false) == .written)
    }

    @Test func whatLiesWhereServicesWriteComesBeforeTheRest() throws {
        let quiet = stat(1000, 1000)
        let today = try HotPaths(
            [Array("rec/%Y/%m/%d".utf8)], days: [CalendarDay(year: 2026, month: 11, day: 22)])
        #expect(rank(quiet, quiet, hot: today) == .hot)
        #expect(rank(quiet, stat(10_000, 1000), hot: today) == .written)
        let yesterday = try HotPaths(
            [Array("rec/%Y/%m/%d".utf8)], days: [CalendarDay(year: 2026, month: 11, day: 21)])
        #expect(rank(quiet, quiet, hot: yesterday) == .other)
    }
}

@Suite struct HotPathTests {
    private func paths(_ patterns: [String], _ days: [CalendarDay] = [day(2026, 11, 22)]) throws
        -> [String]
    {
        try HotPaths(patterns.map { Array($0.utf8) }, days: days).paths.map { escaped($0.bytes) }
    }

    private static func day(_ year: Int, _ month: Int, _ day: Int) -> CalendarDay {
        CalendarDay(year: year, month: month, day: day)
    }

    @Test func aPatternStandsForEachDay() throws {
        let days = [Self.day(2026, 9, 30), Self.day(2026, 10, 1), Self.day(987, 1, 2)]
        #expect(
            try paths(["rec/%Y/%m/%d"], days)
                == ["rec/0987/01/02", "rec/2026/09/30", "rec/2026/10/01"])
        #expect(try paths(["%Y%m"], days) == ["098701", "202609", "202610"])
        // The same for both days.
        #expect(try paths(["rec/%Y"], [days[0], days[1]]) == ["rec/2026"])
        #expect(try paths(["db", "100%%"], []) == ["100%", "db"])
        #expect(try paths(["%Y"], []) == [])
        let hours = try paths(["%d/%H"])
        #expect(hours.count == 24)
        #expect(hours.first == "22/00" && hours.last == "22/23")
        #expect(try paths(["%%Y%%%d"]) == ["%Y%22"])
    }

    @Test func whatLiesBelowAnotherPathIsLeftOut() throws {
        #expect(try paths(["a/b/c", "a-b", "a", "a/b", "ab", "a"]) == ["a", "a-b", "ab"])
    }

    @Test(arguments: [
        ("rec/%j", "'rec/%j' has %j: use %Y, %m, %d, %H, or %% for a %"),
        ("%y", "'%y' has %y: use %Y, %m, %d, %H, or %% for a %"),
        ("rec/%", "'rec/%' has a % at its end: use %Y, %m, %d, %H, or %% for a %"),
        ("", "'' is no path below a store"),
        ("/rec", "'/rec' is no path below a store"),
        ("rec/", "'rec/' is no path below a store"),
        ("rec//%d", "'rec//%d' is no path below a store"),
        ("../%d", "'../%d' is no path below a store"),
    ])
    func otherPatternsAreRefused(_ pattern: String, _ reason: String) {
        #expect(throws: HotPathError(reason: reason)) { try paths([pattern]) }
    }

    @Test func whatIsNoDayIsRefused() {
        for day in [
            Self.day(10_000, 1, 1), Self.day(-1, 1, 1), Self.day(1, 0, 1),
            Self.day(1, 13, 1), Self.day(1, 1, 0), Self.day(1, 1, 32),
        ] {
            #expect(throws: HotPathError.self) { try paths(["%d"], [day]) }
        }
    }

    @Test func patternsStandForAThousandPathsAtMost() throws {
        let days = (1...1001).map { Self.day($0, 1, 1) }
        #expect(try paths(["%Y"], Array(days.dropLast())).count == 1000)
        #expect(
            throws: HotPathError(
                reason: "'%Y' and the patterns before it stand for more than 1,000 paths")
        ) { try paths(["%Y"], days) }
        #expect(throws: HotPathError.self) { try paths(["%Y", "x"], Array(days.dropLast())) }
        // The same path again is no other one.
        #expect(try paths(["%m"], days).count == 1)
    }

    @Test func containingIsLyingWithinAny() throws {
        var generator = Seed.fromEnvironment()
        func path(_ depth: Int) -> RelativePath {
            (0...depth).reduce(.root) { path, _ in path.appending(generator.name()) }
        }
        var found = 0
        for _ in 0..<rounds(200) {
            let given = (0..<generator.below(40)).map { _ in path(generator.below(3)) }
            let hot = try HotPaths(given.map { escapedPercent($0.bytes) }, days: [])
            for _ in 0..<50 {
                let asked = path(generator.below(4))
                let expected = given.contains { asked.isWithin($0) }
                #expect(hot.contain(asked) == expected)
                if expected { found += 1 }
            }
        }
        #expect(found > 100)
        #expect(!HotPaths().contain(.root))
    }

    private func escapedPercent(_ bytes: [UInt8]) -> [UInt8] {
        bytes.flatMap { $0 == UInt8(ascii: "%") ? [$0, $0] : [$0] }
    }
}

import ResyncCore
import Testing

@Suite struct WindowTests {
    private func windows(_ texts: String...) throws -> [Configuration.Window] {
        try texts.map { try #require(Configuration.Window($0)) }
    }

    private func left(_ windows: [Configuration.Window], _ hour: Int, _ minute: Int, _ second: Int)
        -> Double?
    {
        windows.secondsLeft(at: hour * 3600 + minute * 60 + second)
    }

    @Test func aWindowMayGoOverMidnight() throws {
        let night = try windows("22:00-06:00")
        #expect(night.minutes == 8 * 60)
        #expect(left(night, 22, 0, 0) == 8 * 3600 && left(night, 5, 59, 59) == 1)
        #expect(left(night, 6, 0, 0) == nil && left(night, 21, 59, 59) == nil)
    }

    /// Time is counted once, and goes on where another window begins.
    @Test func windowsAreJoined() throws {
        let parts = try windows("22:00-0:00", "0:00-6:00", "5:00-7:00", "12:00-13:00")
        #expect(parts.minutes == 10 * 60)
        #expect(left(parts, 23, 0, 0) == 28_800)
        #expect(left(parts, 12, 30, 0) == 1800)
        #expect(try windows("22:00-06:00", "22:00-06:00").minutes == 8 * 60)
        let always = try windows("6:00-18:00", "18:00-6:00")
        #expect(left(always, 3, 0, 0) == .infinity && always.minutes == 24 * 60)
        #expect(left([], 3, 0, 0) == nil && [Configuration.Window]().minutes == 0)
    }
}

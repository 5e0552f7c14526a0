import Glibc
import ResyncCore
import TestSupport
import Testing

@testable import ResyncStorage

/// What the machine says of its storage: kernel messages and by what names they speak of a store.
@Suite struct SignalsTests {
    private func moment(_ seconds: Double) -> Moment {
        Moment(
            boot: UInt64(seconds * 1e9), wall: Timestamp(seconds: Int64(seconds), nanoseconds: 0))
    }

    // MARK: Before anybody listened

    /// The clock of kernel messages was never set right: what is in doubt was later.
    @Test func withoutAComparisonTheClocksMayHaveDrifted() {
        let clock = MessageClock(at: moment(1_000_000), since: 1_000_000)
        #expect(clock.isLater(900_050_000_000, than: moment(900_000)))
        #expect(clock.isLater(899_950_000_000, than: moment(900_000)))
        #expect(!clock.isLater(899_900_000_000, than: moment(900_000)))
        // Time that the machine slept is not counted by it.
        let slept = MessageClock(at: moment(1_000_000), since: 900_000)
        #expect(slept.isLater(800_050_000_000, than: moment(900_000)))
        #expect(!slept.isLater(799_900_000_000, than: moment(900_000)))
        #expect(clock.isLater(.max, than: moment(900_000)))
    }

    @Test func aLineOfItsOwnComparesThem() throws {
        guard geteuid() == 0, let mark = MessageClock.Mark() else { return skip("needs root") }
        let after = Moment.now
        var clock: MessageClock?
        let log = try LinuxKernelFiles().read(Array("/dev/kmsg".utf8), limit: 64 << 20)
        var last: UInt64 = 0
        for line in log.split(separator: UInt8(ascii: "\n")) {
            guard let record = KernelRecord(line) else { continue }
            if let found = mark.clock(record) { (clock, last) = (found, record.microseconds) }
        }
        let exact = try #require(clock)
        #expect(exact.isLater(last, than: after))
        #expect(!exact.isLater(last - 2_100_000, than: after))
    }
}

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

    // MARK: By what names it is spoken of

    private static let table = MountTable(
        Array("1 0 8:1 / / rw - ext4 /dev/sda1 rw\n5 1 0:5 / /dev rw - devtmpfs dev rw\n".utf8))

    /// A disk with a partition.
    private func disk() -> RecordedFiles {
        var files = RecordedFiles()
        files.addDevice("sdb", 8, 16)
        files.addDevice("sdb1", 8, 17)
        files.folders["/sys/dev/block/8:16"] = ["sdb1", "stat"]
        files.texts["/sys/dev/block/8:16/sdb1/partition"] = "1\n"
        files.texts["/sys/dev/block/8:16/sdb1/dev"] = "8:17\n"
        files.texts["/sys/dev/block/8:17/partition"] = "1\n"
        files.texts["/sys/dev/block/8:17/../dev"] = "8:16\n"
        files.folders["/sys/dev/block/8:16/device/scsi_disk"] = ["2:0:0:1"]
        files.texts["/sys/dev/block/8:16/stat"] = "1 0 0 0 1 0 0 0 2 0 0\n"
        return files
    }

    /// A device store lies on itself, not on what /dev lies on.
    @Test func aDeviceIsFollowedByItsNumberAndBeforeThatByItsName() {
        let number = DeviceNumber(major: 8, minor: 16)
        for (path, known) in [("/dev/sdb", nil), ("/dev/disk/by-id/x", number)] {
            var signals = StoreSignals(
                of: Array(path.utf8), known, in: Self.table, files: disk())
            let expected: Set<KernelSubject> = [
                .device(Array("sdb".utf8)), .device(Array("sdb1".utf8)), .number(number),
                .number(DeviceNumber(major: 8, minor: 17)), .scsi(Array("2:0:0:1".utf8)),
            ]
            #expect(signals.subjects == expected, "\(path)")
            #expect(signals.unseen.isEmpty, "\(signals.unseen)")
            _ = signals.observations(at: moment(1))
            #expect(signals.observations(at: moment(4)) == [.deviceStalls(seconds: 3)])
        }
        let nameless = StoreSignals(
            of: Array("/dev/disk/by-id/x".utf8), nil, in: Self.table, files: disk())
        #expect(nameless.subjects.isEmpty && nameless.unseen.count == 1)
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

import Glibc
import ResyncCore
import Synchronization
import TestSupport
import Testing

@testable import ResyncStorage

/// Files of the kernel that change.
private final class ChangingFiles: KernelFiles {
    private let now: Mutex<RecordedFiles>
    init(_ files: RecordedFiles) { now = Mutex(files) }

    func change(_ change: (inout RecordedFiles) -> Void) { now.withLock { change(&$0) } }

    func read(_ path: [UInt8], limit: Int) throws(DiskError) -> [UInt8] {
        let files = now.withLock { $0 }
        return try files.read(path, limit: limit)
    }

    func names(in path: [UInt8]) throws(DiskError) -> [[UInt8]] {
        let files = now.withLock { $0 }
        return try files.names(in: path)
    }

    func target(of path: [UInt8]) throws(DiskError) -> [UInt8] {
        throw DiskError(.readlinkat, ENOENT)
    }
}

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
                of: Array(path.utf8), known, in: Self.table, at: moment(0), files: disk())
            let expected: Set<KernelSubject> = [
                .device(Array("sdb".utf8)), .device(Array("sdb1".utf8)), .number(number),
                .number(DeviceNumber(major: 8, minor: 17)), .scsi(Array("2:0:0:1".utf8)),
            ]
            #expect(expected.allSatisfy { signals.isAbout($0, at: moment(1)) }, "\(path)")
            #expect(!signals.isAbout(.device(Array("sda1".utf8)), at: moment(1)))
            #expect(signals.unseen.isEmpty, "\(signals.unseen)")
            _ = signals.observations(at: moment(1))
            #expect(signals.observations(at: moment(4)) == [.deviceStalls(seconds: 3)])
        }
        let nameless = StoreSignals(
            of: Array("/dev/disk/by-id/x".utf8), nil, in: Self.table, at: moment(0),
            files: disk())
        #expect(nameless.unseen.count == 1)
    }

    /// A path of a multipath map, with its session.
    private func path(_ name: String, _ minor: Int, _ session: Int, of files: inout RecordedFiles) {
        files.addDevice(name, 8, minor)
        let folder = "/sys/dev/block/8:\(minor)/device"
        files.folders["/sys/dev/block/253:3/slaves"] = [name]
        files.texts["/sys/dev/block/253:3/slaves/\(name)/dev"] = "8:\(minor)\n"
        files.folders[folder + "/scsi_disk"] = ["\(session):0:0:1"]
        files.folders[folder + "/../../iscsi_session"] = ["session\(session)"]
        files.folders[folder + "/../.."] = ["connection\(session):0"]
        files.texts["/sys/dev/block/8:\(minor)/stat"] = "1 0 0 0 1 0 0 0 1 0 0\n"
    }

    /// The map and the mount stay, and what is below has other names after a new login.
    @Test func pathsThatCameBackAreKnownByTheirNewNames() {
        let line = "9 1 253:3 / /m rw - ext4 /dev/mapper/x rw\n"
        let table = MountTable(Array(line.utf8))
        var files = RecordedFiles()
        files.addDevice("dm-3", 253, 3)
        files.texts["/sys/dev/block/253:3/stat"] = "1 0 0 0 1 0 0 0 1 0 0\n"
        path("sdf", 80, 3, of: &files)
        let kernel = ChangingFiles(files)
        var signals = StoreSignals(
            of: Array("/m".utf8), nil, in: table, at: moment(0), files: kernel)
        func knows(_ words: [String], at seconds: Double) -> [Bool] {
            words.map { word in
                let name = Array(word.utf8)
                let subjects: [KernelSubject] = [.device(name), .scsi(name), .iscsi(name)]
                return subjects.contains { signals.isAbout($0, at: moment(seconds)) }
            }
        }
        let old = ["sdf", "3:0:0:1", "session3", "connection3:0"]
        let new = ["sdh", "5:0:0:1", "session5", "connection5:0"]
        #expect(knows(["dm-3"] + old, at: 1) == [true, true, true, true, true])
        #expect(!knows(new, at: 1).contains(true))
        #expect(
            signals.observations(at: moment(1)) == [.errorCount(nil), .deviceStalls(seconds: 0)])
        kernel.change { path("sdh", 112, 5, of: &$0) }
        #expect(signals.age(at: moment(60)) == 60)
        signals.renew(nil, in: table, at: moment(60))
        #expect(signals.age(at: moment(60)) == 0)
        // A stall that has begun is not forgotten for that.
        #expect(signals.observations(at: moment(61)).last == .deviceStalls(seconds: 60))
        #expect(!knows(["dm-3"] + old + new, at: 60).contains(false))
        signals.renew(nil, in: table, at: moment(300))
        #expect(!knows(old + new, at: 659).contains(false))
        #expect(!knows(old, at: 661).contains(true))
        signals.renew(nil, in: table, at: moment(700))
        #expect(!knows(["dm-3"] + new, at: 5000).contains(false))
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

    /// For as long a file system may keep to itself what was written to others of its files.
    @Test func theMarginHoldsACommit() {
        func margin(_ kind: String, _ options: String = "rw") -> Double {
            var files = RecordedFiles()
            files.texts["/proc/sys/vm/dirty_expire_centisecs"] = "3000\n"
            files.texts["/proc/sys/vm/dirty_writeback_centisecs"] = "500\n"
            files.texts["/proc/self/mountinfo"] =
                "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
                + "2 1 8:2 / /mnt rw - \(kind) /dev/sda2 \(options)\n"
            return writeBackMargin(of: Array("/mnt/store".utf8), files)
        }
        #expect(margin("ext4") == 40 && margin("xfs") == 40)
        #expect(margin("ext4", "rw,commit=60") == 95 && margin("ext4", "rw,commit=0") == 40)
        #expect(margin("btrfs") == 65 && margin("btrfs", "rw,commit=120,ssd") == 155)
        #expect(margin("f2fs") == 95)
        #expect(margin("btrfs", "rw,commit=99999999999999999999") == 65)
    }
}

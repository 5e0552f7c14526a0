import Glibc
import ResyncCore
import Synchronization
import Testing

@testable import ResyncStorage

/// What the kernel says of two disks, of which one has a partition.
private final class ChangingFiles: KernelFiles {
    private let texts = Mutex<[String: String]>([
        "/sys/dev/block/8:1/uevent": "MAJOR=8\nMINOR=1\nDEVNAME=sda1\nDEVTYPE=partition\n",
        "/sys/dev/block/8:1/partition": "1\n", "/sys/dev/block/8:1/../dev": "8:0\n",
        "/sys/dev/block/8:0/uevent": "MAJOR=8\nMINOR=0\nDEVNAME=sda\nDEVTYPE=disk\n",
        "/sys/dev/block/8:16/uevent": "MAJOR=8\nMINOR=16\nDEVNAME=sdb\nDEVTYPE=disk\n",
    ])

    func read(_ path: [UInt8], limit: Int) throws(DiskError) -> [UInt8] {
        let text = texts.withLock { $0[String(decoding: path, as: UTF8.self)] }
        guard let text else { throw DiskError(.openat, ENOENT) }
        return Array(text.utf8)
    }

    func names(in path: [UInt8]) throws(DiskError) -> [[UInt8]] {
        throw DiskError(.openat, ENOENT)
    }

    func target(of path: [UInt8]) throws(DiskError) -> [UInt8] {
        throw DiskError(.readlinkat, ENOENT)
    }

    /// As Documentation/block/stat.rst has the fields.
    func set(_ number: String, reads: (Int, Int), writes: (Int, Int)) {
        let text = "\(reads.0) 7 800 \(reads.1)  \(writes.0) 7 800 \(writes.1)  1 500 600 0 0\n"
        texts.withLock { $0["/sys/dev/block/\(number)/stat"] = text }
    }

    func say(_ number: String, _ text: String) {
        texts.withLock { $0["/sys/dev/block/\(number)/stat"] = text }
    }
}

@Suite struct DeviceLatencyTests {
    private let table = MountTable(
        Array("1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 8:16 / /m rw - ext4 /dev/sdb rw\n".utf8))

    @Test func theSlowestDeviceCounts() {
        let files = ChangingFiles()
        let paths = ["/x", "/m/y"].map { Array($0.utf8) }
        var latency = DeviceLatency(of: paths, in: table, files: files)
        for number in ["8:1", "8:0", "8:16"] {
            files.set(number, reads: (100, 1000), writes: (100, 1000))
        }
        #expect(latency.next() == nil, "nothing to compare with")
        #expect(latency.next() == nil, "nothing ended")
        files.set("8:16", reads: (101, 1004), writes: (103, 1012))
        #expect(latency.next() == 0.004)
        files.set("8:16", reads: (111, 1014), writes: (103, 1012))
        files.set("8:1", reads: (100, 1000), writes: (110, 1200))
        #expect(latency.next() == 0.02)
        // Counters that began anew, or say nothing, tell of nothing.
        files.set("8:1", reads: (0, 0), writes: (1, 5))
        files.say("8:16", "1 2 3\n")
        #expect(latency.next() == nil)
        files.set("8:1", reads: (0, 0), writes: (2, 10))
        #expect(latency.next() == 0.005)
    }

    /// A disk that answers nothing is not a calm one.
    @Test func whatWaitsCountsForAsLongAsItHasWaited() {
        let files = ChangingFiles()
        var latency = DeviceLatency(of: [Array("/m".utf8)], in: table, files: files)
        files.say("8:16", "100 7 800 1000  100 7 800 1000  1 500 600 0 0\n")
        _ = latency.next()
        files.say("8:16", "100 7 800 1000  100 7 800 1000  2 2500 600 0 0\n")
        #expect(latency.next() == 2)
        files.say("8:16", "101 7 800 5000  100 7 800 1000  1 3000 600 0 0\n")
        #expect(latency.next() == 4)
        files.say("8:16", "101 7 800 5000  100 7 800 1000  0 3000 600 0 0\n")
        #expect(latency.next() == nil, "nothing is in flight")
    }

    @Test func onlyItsOwnDevicesCount() {
        let files = ChangingFiles()
        var latency = DeviceLatency(of: [Array("/m".utf8)], in: table, files: files)
        files.set("8:1", reads: (1, 1), writes: (1, 1))
        files.set("8:16", reads: (1, 1), writes: (1, 1))
        _ = latency.next()
        files.set("8:1", reads: (2, 900), writes: (1, 1))
        #expect(latency.next() == nil)
        var none = DeviceLatency(of: [], in: table, files: files)
        _ = none.next()
        #expect(none.next() == nil)
    }
}

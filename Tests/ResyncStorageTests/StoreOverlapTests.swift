import Glibc
import ResyncCore
import TestSupport
import Testing

@testable import ResyncStorage

/// Images and devices that show the same bytes.
@Suite struct StoreOverlapTests {
    private let disk = SimulatedDisk()
    private var files = RecordedFiles()
    private static let size = 1 << 20

    init() {
        for name in ["image", "other"] { disk.addGenerated("/\(name)", size: Self.size, seed: 1) }
    }

    /// A device with what `/sys` has in its folder.
    private mutating func device(
        _ name: String, _ number: (Int, Int), size: Int = Self.size,
        _ texts: [String: String] = [:],
        slaves: [(Int, Int)] = []
    ) {
        let folder = "/sys/dev/block/\(number.0):\(number.1)"
        disk.addDevice(
            "/dev/\(name)", .blockDevice,
            number: DeviceNumber(major: UInt32(number.0), minor: UInt32(number.1)), size: size)
        files.texts[folder + "/size"] = "\(size / 512)\n"
        for (path, text) in texts { files.texts["\(folder)/\(path)"] = text + "\n" }
        files.folders[folder + "/slaves"] = slaves.indices.map { "s\($0)" }
        for (index, slave) in slaves.enumerated() {
            files.texts["\(folder)/slaves/s\(index)/dev"] = "\(slave.0):\(slave.1)\n"
            files.folders["/sys/dev/block/\(slave.0):\(slave.1)/holders", default: []].append(name)
        }
    }

    private func backing(_ path: String, offset: Int = 0, limit: Int = 0) -> [String: String] {
        [
            "loop/backing_file": path, "loop/offset": "\(offset)", "loop/sizelimit": "\(limit)",
        ]
    }

    private func partition(_ disk: String, start: Int) -> [String: String] {
        ["partition": "1", "start": "\(start)", "../dev": disk]
    }

    private func areOne(_ a: String, _ b: String) throws -> Bool {
        let sites = try [a, b].map {
            var options = LocalSiteOptions()
            options.kernel = files
            return try LocalSite(path: Array($0.utf8), disk: disk, options: options)
        }
        let found = try Sides(
            a: storeOverlap(sites[0], sites[1], files: files),
            b: storeOverlap(sites[1], sites[0], files: files))
        func isSame(_ overlap: StoreOverlap?) -> Bool {
            if case .same? = overlap { true } else { false }
        }
        #expect(isSame(found.a) == isSame(found.b))
        return isSame(found.a)
    }

    @Test mutating func anImageIsItsLoopDevice() throws {
        device("loop0", (7, 0), backing("/image"))
        device("loop1", (7, 1), backing("/image"))
        device("loop2", (7, 2), backing("/image", offset: 4096))
        device("loop3", (7, 3), backing("/image", limit: 4096))
        device("loop4", (7, 4), backing("/dev/loop0"))
        device("loop5", (7, 5), backing("/image (deleted)"))
        #expect(try areOne("/image", "/dev/loop0") && areOne("/dev/loop0", "/dev/loop1"))
        #expect(try areOne("/image", "/dev/loop4") && areOne("/dev/loop1", "/dev/loop4"))
        #expect(try !areOne("/other", "/dev/loop0") && !areOne("/image", "/other"))
        // What shows another part is another store.
        for name in ["loop2", "loop3", "loop5"] {
            #expect(try !areOne("/image", "/dev/\(name)") && !areOne("/dev/loop0", "/dev/\(name)"))
        }
    }

    @Test mutating func partitionsOfOneDiskAreNotOne() throws {
        device("sda", (8, 0), ["device/wwid": "naa.5000c500a1b2c3d4"])
        device("sda1", (8, 1), size: 1 << 19, partition("8:0", start: 0))
        device("sda2", (8, 2), size: 1 << 19, partition("8:0", start: 1 << 10))
        device("sdb", (8, 16), ["device/wwid": "naa.5000c500a1b2c3d4"])
        device("sdb1", (8, 17), size: 1 << 19, partition("8:16", start: 0))
        device("sdb2", (8, 18), size: 1 << 19, partition("8:16", start: 1 << 10))
        for other in ["sda", "sdb", "sda2", "sdb2"] {
            #expect(try !areOne("/dev/sda1", "/dev/\(other)"), "\(other)")
        }
        // Over another path they are.
        #expect(try areOne("/dev/sda1", "/dev/sdb1") && areOne("/dev/sda2", "/dev/sdb2"))
        #expect(try areOne("/dev/sda", "/dev/sdb"))
    }

    @Test mutating func pathsToOneDiskAreOne() throws {
        let wwid = ["device/wwid": "naa.600a098038303053"]
        device("sda", (8, 0), wwid)
        device("sdb", (8, 16), wwid)
        device("sdc", (8, 32), ["device/wwid": "naa.600a098038303054"])
        device("dm-0", (253, 0), ["dm/name": "mpatha"], slaves: [(8, 0), (8, 16)])
        device("md0", (9, 0), ["md/level": "raid1"], slaves: [(8, 0), (8, 32)])
        device("nvme0n1", (259, 0), ["wwid": "eui.0025385b01"])
        device("nvme1n1", (259, 1), ["wwid": "eui.0025385b01"])
        #expect(try areOne("/dev/sda", "/dev/sdb") && areOne("/dev/dm-0", "/dev/sdb"))
        #expect(try areOne("/dev/nvme0n1", "/dev/nvme1n1"))
        #expect(try !areOne("/dev/sda", "/dev/sdc") && !areOne("/dev/dm-0", "/dev/sdc"))
        #expect(try !areOne("/dev/md0", "/dev/sda") && !areOne("/dev/md0", "/dev/sdc"))
    }

    /// A name that names none is no reason to refuse anything.
    @Test mutating func disksWithoutANameAreNotOne() throws {
        for (index, wwid) in ["", "", "naa.0000000000000000", "naa.0000000000000000"].enumerated() {
            device("sd\(index)", (8, 16 * index), ["device/wwid": wwid])
        }
        #expect(try !areOne("/dev/sd0", "/dev/sd1") && !areOne("/dev/sd2", "/dev/sd3"))
    }

    @Test mutating func whatIsMadeOfOneDeviceIsThat() throws {
        device("sda", (8, 0))
        device("sdb", (8, 16))
        device("sdc", (8, 32))
        device("dm-0", (253, 0), ["dm/name": "whole"], slaves: [(8, 0)])
        device("dm-1", (253, 1), ["dm/name": "again"], slaves: [(253, 0)])
        device("md0", (9, 0), size: Self.size - 4096, ["md/level": "raid1"], slaves: [(8, 32)])
        #expect(try areOne("/dev/sda", "/dev/dm-0") && areOne("/dev/sda", "/dev/dm-1"))
        #expect(try areOne("/dev/md0", "/dev/sdc"))
        // Volumes cut from one device.
        device("dm-2", (253, 2), size: 1 << 18, ["dm/name": "one"], slaves: [(8, 16)])
        device("dm-3", (253, 3), size: 1 << 18, ["dm/name": "two"], slaves: [(8, 16)])
        #expect(try !areOne("/dev/dm-2", "/dev/dm-3") && !areOne("/dev/dm-2", "/dev/sdb"))
        // Thin ones may each be as large as their pool.
        device("dm-4", (253, 4), ["dm/name": "pool"], slaves: [(8, 48)])
        for minor in [5, 6] { device("dm-\(minor)", (253, minor), slaves: [(253, 4)]) }
        #expect(try !areOne("/dev/dm-5", "/dev/dm-6"))
        // In a circle nothing is found.
        device("dm-7", (253, 7), slaves: [(253, 8)])
        device("dm-8", (253, 8), slaves: [(253, 7)])
        #expect(try !areOne("/dev/dm-7", "/dev/sda"))
    }

    @Test func aRealLoopDeviceIsItsImage() throws {
        guard getuid() == 0, let folder = shell("mktemp -d") else { return skip("needs root") }
        defer { shell("rm -r \(folder)") }
        let make = "cd \(folder) && truncate -s 1M i j && losetup -f --show \(folder)/i"
        guard let device = shell(make) else { return skip("needs loop devices") }
        defer { shell("losetup -d \(device)") }
        func overlap(_ name: String) throws -> StoreOverlap? {
            let sites = try ["\(folder)/\(name)", device].map {
                try LocalSite(
                    path: Array($0.utf8), disk: LinuxDisk(), options: LocalSiteOptions())
            }
            return try storeOverlap(sites[0], sites[1])
        }
        guard case .same? = try overlap("i") else {
            Issue.record("the image is not seen to be its device")
            return
        }
        #expect(try overlap("j") == nil)
    }

    /// Of NFS and FUSE the kernel says no more than what is mounted.
    @Test func whatIsMountedStandsForAnIdentity() {
        func identity(_ type: String, _ source: String, id: Int = 31) -> UInt64 {
            var files = RecordedFiles()
            files.texts["/proc/self/fdinfo/7"] = "pos:\t0\nflags:\t0100000\nmnt_id:\t31\n"
            files.texts["/proc/self/mountinfo"] =
                "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
                + "\(id) 1 0:45 / /srv rw - \(type) \(source) rw\n"
            return sourceIdentity(of: Descriptor(7), files)
        }
        let one = identity("nfs4", "server:/mail")
        #expect(one != 0 && one == identity("nfs4", "server:/mail"))
        #expect(one != identity("nfs4", "server:/home"))
        #expect(identity("fuse.sshfs", "u@h:/x") != identity("fuse.s3", "u@h:/x"))
        // Where the table does not have it, nothing stands for it.
        #expect(identity("nfs4", "server:/mail", id: 32) == 0)
    }
}

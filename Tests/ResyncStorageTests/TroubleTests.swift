import Foundation
import ResyncCore
import Testing

@testable import ResyncStorage

/// Recorded texts; a path that is not among them does not exist.
struct RecordedFiles: KernelFiles {
    var texts: [String: String] = [:]
    var folders: [String: [String]] = [:]
    var failures: [String: Int32] = [:]

    func read(_ path: [UInt8], limit: Int) throws(DiskError) -> [UInt8] {
        let path = String(decoding: path, as: UTF8.self)
        if let number = failures[path] { throw DiskError(.openat, number) }
        guard let text = texts[path] else { throw DiskError(.openat, ENOENT) }
        return Array(text.utf8)
    }

    func names(in path: [UInt8]) throws(DiskError) -> [[UInt8]] {
        let path = String(decoding: path, as: UTF8.self)
        if let number = failures[path] { throw DiskError(.openat, number) }
        guard let names = folders[path] else { throw DiskError(.openat, ENOENT) }
        return names.map { Array($0.utf8) }
    }

    func target(of path: [UInt8]) throws(DiskError) -> [UInt8] {
        throw DiskError(.readlinkat, ENOENT)
    }
}

private let healthyLog = "6,0,0,-;Linux version 6.18\n"
private let rootLine = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"

/// A machine whose root lies on sda1, with one more mount.
private func machine(_ mountLine: String, log: String = healthyLog) -> RecordedFiles {
    var files = RecordedFiles()
    files.texts["/proc/self/mountinfo"] = rootLine + mountLine + "\n"
    files.texts["/dev/kmsg"] = log
    files.texts["/sys/fs/ext4/sda1/errors_count"] = "0\n"
    files.addDevice("sda", 8, 0)
    files.addDevice("sda1", 8, 1)
    files.texts["/sys/dev/block/8:1/partition"] = "1\n"
    files.texts["/sys/dev/block/8:1/../dev"] = "8:0\n"
    return files
}

extension RecordedFiles {
    mutating func addDevice(_ name: String, _ major: Int, _ minor: Int) {
        texts["/sys/dev/block/\(major):\(minor)/uevent"] =
            "MAJOR=\(major)\nMINOR=\(minor)\nDEVNAME=\(name)\nDEVTYPE=disk\n"
        texts["/sys/class/block/\(name)/dev"] = "\(major):\(minor)\n"
    }
}

private func root(_ major: UInt32, _ minor: UInt32) -> Stat {
    Stat(type: .directory, device: DeviceNumber(major: major, minor: minor))
}

private func look(
    _ files: RecordedFiles, at path: String = "/m", _ major: UInt32, _ minor: UInt32
) -> StoreTrouble {
    storeTrouble(path: Array(path.utf8), root: root(major, minor), descriptor: nil, files: files)
}

@Suite struct TroubleTests {
    /// The rows of the fault table: what each fault shows, and whether that is trouble.
    @Test(arguments: [
        ("rw - ext4 /dev/loop0 rw", nil),
        ("ro - ext4 /dev/loop0 ro", nil),
        ("ro - ext4 /dev/loop0 rw", nil),
        ("rw - ext4 /dev/loop0 ro", "ext4 at '/m': mounted rw, but turned read-only"),
        (
            "rw - ext4 /dev/loop0 rw,emergency_ro",
            "ext4 at '/m': emergency_ro, it stopped writing after an error"
        ),
        (
            "rw - ext4 /dev/loop0 rw,shutdown",
            "ext4 at '/m': shutdown, it stopped reading and writing"
        ),
        ("rw - squashfs /dev/loop0 ro", nil),
    ])
    func mountsAreJudged(_ rest: String, _ reason: String?) {
        var files = machine("64 1 7:0 / /m \(rest)")
        files.addDevice("loop0", 7, 0)
        files.texts["/sys/fs/ext4/loop0/errors_count"] = "0\n"
        let found = look(files, 7, 0)
        #expect(found.reasons == (reason.map { [$0] } ?? []))
        #expect(found.unseen == [])
        #expect(found.isSeen == (reason != nil))
    }

    /// What is mounted inside of a store belongs to it where mounts are crossed.
    @Test func whatIsMountedInsideIsJudgedWhereItIsCrossed() {
        var files = machine(
            "64 1 7:0 / /m rw - ext4 /dev/loop0 rw\n65 64 7:1 / /m/in rw - ext4 /dev/loop1 rw\n"
                + "66 1 7:2 / /more rw - ext4 /dev/loop2 ro")
        for (minor, count) in [(0, 0), (1, 3), (2, 5)] {
            files.addDevice("loop\(minor)", 7, minor)
            files.texts["/sys/fs/ext4/loop\(minor)/errors_count"] = "\(count)\n"
        }
        #expect(look(files, 7, 0).reasons == [])
        let crossed = storeTrouble(
            path: Array("/m".utf8), root: root(7, 0), descriptor: nil, crossing: true, files: files)
        #expect(crossed.reasons == ["ext4 on loop1: errors counted since the last fsck: 3"])
    }

    @Test func countedErrorsAreTrouble() {
        var files = machine("64 1 7:0 / /m rw - ext4 /dev/loop0 rw")
        files.addDevice("loop0", 7, 0)
        files.texts["/sys/fs/ext4/loop0/errors_count"] = "12\n"
        #expect(
            look(files, 7, 0).reasons == ["ext4 on loop0: errors counted since the last fsck: 12"])
        files.texts["/sys/fs/ext4/loop0/errors_count"] = "many\n"
        #expect(
            look(files, 7, 0).unseen == ["the number in '/sys/fs/ext4/loop0/errors_count'"])
        files.texts["/sys/fs/ext4/loop0/errors_count"] = nil
        #expect(
            look(files, 7, 0).unseen
                == ["'/sys/fs/ext4/loop0/errors_count': No such file or directory"])
    }

    @Test func messagesOfAPartitionAndItsDiskAreFound() {
        let log = """
            6,0,0,-;Linux version 6.18
            3,1,7000000,-;I/O error, dev sda, sector 1
            3,2,8000000,-;I/O error, dev sda2, sector 1
            3,3,9000000,-;I/O error, dev sdb, sector 1
            2,4,21628500000,-;Aborting journal on device sda1-8.
            2,5,21628600000,-;Aborting journal on device sda1-8.
            11,6,21628700000,-;EXT4-fs (sda1): Remounting filesystem read-only

            """
        let found = look(machine("", log: log), at: "/srv", 8, 1)
        #expect(
            found.reasons == [
                "kernel log: blk.ioerr on sda once 7 s after boot: I/O error, dev sda, sector 1",
                "kernel log: jbd2.abort on sda1 2 times, last 21628 s after boot: "
                    + "Aborting journal on device sda1-8.",
            ])
        #expect(found.unseen == [])
    }

    /// The path from the first lost ping to the read-only file system, on a mapped iSCSI disk.
    @Test func theWholePathOfAMappedDiskIsFound() {
        let log = """
            6,0,0,-;Linux version 6.18
            3,1,1000000,-; connection3:0: ping timeout of 5 secs expired
            3,2,2000000,-; connection3:0: detected conn error (1022)
            3,3,122000000,-; session3: session recovery timed out after 120 secs
            3,4,122100000,-;sd 3:0:0:1: rejecting I/O to offline device
            3,5,122200000,-;I/O error, dev sdf, sector 8 op 0x1:(WRITE)
            4,6,122300000,-;device-mapper: multipath: 253:3: Failing path 8:80.
            2,7,122400000,-;Aborting journal on device dm-3-8.
            2,8,122500000,-;EXT4-fs (dm-3): Remounting filesystem read-only
            3,9,122600000,-; connection4:0: detected conn error (1022)

            """
        var files = machine("64 1 253:3 / /m rw - ext4 /dev/mapper/lun rw,emergency_ro", log: log)
        files.addDevice("dm-3", 253, 3)
        files.addDevice("sdf", 8, 80)
        files.texts["/sys/fs/ext4/dm-3/errors_count"] = "0\n"
        files.folders["/sys/dev/block/253:3/slaves"] = ["sdf"]
        files.texts["/sys/dev/block/253:3/slaves/sdf/dev"] = "8:80\n"
        files.folders["/sys/dev/block/8:80/device/scsi_disk"] = ["3:0:0:1"]
        files.folders["/sys/dev/block/8:80/device/../../iscsi_session"] = ["session3"]
        files.folders["/sys/dev/block/8:80/device/../.."] = ["connection3:0", "target3:0:0"]
        let found = look(files, 253, 3)
        let what = found.reasons.dropFirst().map { $0.split(separator: " ")[2] }
        #expect(
            what == [
                "iscsi.ping", "iscsi.conn", "iscsi.lost", "scsi.reject", "blk.ioerr", "mpath.fail",
                "jbd2.abort", "ext4.ro",
            ])
        #expect(found.unseen == [])
    }

    @Test func whatALoopDeviceAndAnOverlayRestOnIsLookedAt() {
        let mounts = """
            64 1 7:0 / /images rw - ext4 /dev/loop0 rw
            65 1 0:50 / /m rw - overlay o rw,lowerdir=/lower\\134:1:/,upperdir=/up/x
            66 1 8:17 / /up rw - ext4 /dev/sdb1 rw,emergency_ro
            67 1 7:1 / /lower:1 rw - ext4 /dev/loop1 rw
            """
        var files = machine(mounts)
        for (name, major, minor) in [("sdb1", 8, 17), ("loop0", 7, 0), ("loop1", 7, 1)] {
            files.addDevice(name, major, minor)
            files.texts["/sys/fs/ext4/\(name)/errors_count"] = "0\n"
        }
        files.texts["/sys/fs/ext4/loop0/errors_count"] = "4\n"
        files.texts["/sys/dev/block/7:1/loop/backing_file"] = "/images/one\n"
        let found = look(files, 0, 50)
        #expect(
            found.reasons == [
                "ext4 at '/up': emergency_ro, it stopped writing after an error",
                "ext4 on loop0: errors counted since the last fsck: 4",
            ])
        #expect(found.unseen == [])
    }

    @Test func btrfsIsFoundThroughItsSource() {
        var files = machine(
            "64 1 0:40 / /m rw,relatime - btrfs /dev/mapper/pool-a ro,ssd",
            log: "6,0,0,-;L\n6,1,2000000,-;BTRFS info (device dm-1 state E): forced readonly\n")
        files.folders["/sys/class/block"] = ["sda", "dm-0", "dm-1"]
        files.texts["/sys/class/block/dm-1/dm/name"] = "pool-a\n"
        files.folders["/sys/fs/btrfs"] = ["features", "f5f7"]
        files.folders["/sys/fs/btrfs/f5f7/devices"] = ["dm-1", "sdc"]
        files.texts["/sys/fs/btrfs/f5f7/devices/dm-1/dev"] = "253:1\n"
        files.texts["/sys/fs/btrfs/f5f7/devices/sdc/dev"] = "8:32\n"
        files.folders["/sys/fs/btrfs/f5f7/devinfo"] = ["1", "2"]
        files.texts["/sys/fs/btrfs/f5f7/devinfo/1/error_stats"] = "write_errs 0\nread_errs 0\n"
        files.texts["/sys/fs/btrfs/f5f7/devinfo/2/error_stats"] = "write_errs 2\nread_errs 0\n"
        files.addDevice("dm-1", 253, 1)
        files.addDevice("sdc", 8, 32)
        // stat gives a device of the subvolume: only path or descriptor lead to the mount.
        let found = look(files, 0, 41)
        #expect(
            found.reasons == [
                "btrfs at '/m': mounted rw, but turned read-only",
                "btrfs device 2 counts write_errs 2",
                "kernel log: btrfs.ro on dm-1 once 2 s after boot: "
                    + "BTRFS info (device dm-1 state E): forced readonly",
            ])
        #expect(found.unseen == [])
    }

    @Test func aServerThatDoesNotAnswerIsTrouble() {
        let log = "6,0,0,-;L\n4,1,3000000,-;nfs: server filer not responding, timed out\n"
        let found = look(machine("64 1 0:60 / /m rw - nfs4 filer:/x rw", log: log), 0, 60)
        #expect(found.reasons.count == 1)
        #expect(found.reasons.first?.hasPrefix("kernel log: nfs.stall on filer once") == true)
    }

    @Test func aDeviceStoreKnowsItsPartitions() {
        let log = "6,0,0,-;L\n2,1,3000000,-;Aborting journal on device sda1-8.\n"
        var files = machine("", log: log)
        files.folders["/sys/dev/block/8:0"] = ["sda1", "queue", "sdaq"]
        files.texts["/sys/dev/block/8:0/sda1/partition"] = "1\n"
        files.texts["/sys/dev/block/8:0/sda1/dev"] = "8:1\n"
        files.texts["/sys/fs/ext4/sda1/errors_count"] = "1\n"
        let stat = Stat(
            type: .blockDevice, device: DeviceNumber(major: 0, minor: 6),
            special: DeviceNumber(major: 8, minor: 0))
        let found = storeTrouble(
            path: Array("/dev/sda".utf8), root: stat, descriptor: nil, files: files)
        #expect(found.reasons.count == 2)
        #expect(found.unseen == [])
    }

    @Test func theDescriptorLeadsToTheMount() {
        // Two subvolumes, two mounts: the path alone, here a symlink, would find the wrong one.
        var files = machine(
            "64 1 7:0 / /m rw - ext4 /dev/loop0 rw\n65 1 7:1 / /n rw - ext4 /dev/loop1 rw,shutdown")
        for (name, minor) in [("loop0", 0), ("loop1", 1)] {
            files.addDevice(name, 7, minor)
            files.texts["/sys/fs/ext4/\(name)/errors_count"] = "0\n"
        }
        files.texts["/proc/self/fdinfo/9"] = "pos:\t0\nflags:\t0100000\nmnt_id:\t65\nino:\t3\n"
        let found = storeTrouble(
            path: Array("/m".utf8), root: root(0, 99), descriptor: Descriptor(9), files: files)
        #expect(found.reasons == ["ext4 at '/n': shutdown, it stopped reading and writing"])
        // A mount that was taken away is not replaced by what the path leads to now.
        files.texts["/proc/self/fdinfo/9"] = "mnt_id:\t77\n"
        let gone = storeTrouble(
            path: Array("/m".utf8), root: root(0, 99), descriptor: Descriptor(9), files: files)
        #expect(gone.unseen == ["the mount that '/m' lies on"])
    }

    @Test func whatCannotBeReadIsSaid() {
        var files = machine("64 1 7:0 / /m rw - ext4 /dev/loop0 rw\nnonsense")
        files.failures["/dev/kmsg"] = EPERM
        files.failures["/sys/dev/block/7:0/uevent"] = EACCES
        let found = look(files, 7, 0)
        #expect(found.reasons == [])
        #expect(
            found.unseen == [
                "mount table: 1 lines not understood",
                "'/sys/dev/block/7:0/uevent': Permission denied",
                "'/dev/kmsg': Operation not permitted",
            ])
        #expect(look(RecordedFiles(), 7, 0).unseen.count == 4)
        let late = look(machine("", log: "6,40,0,-;late\nnonsense\n"), at: "/x", 8, 1)
        #expect(
            late.unseen == [
                "kernel log: 1 records not understood",
                "kernel log: 40 messages since boot were overwritten",
            ])
    }

    @Test func nothingReachesATerminalUnescaped() {
        var files = machine(
            "64 1 7:0 / /m\\033[2J rw - ext4 /dev/loop0 rw,shutdown",
            log: "6,0,0,-;L\n2,1,0,-;EXT4-fs error (device loop0): x:1: \\x1b[2J\u{202e}\n")
        files.addDevice("loop0", 7, 0)
        files.failures["/sys/fs/ext4/loop0/errors_count"] = EIO
        for line in look(files, 7, 0).reasons + look(files, 7, 0).unseen {
            #expect(line.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value < 0x7f })
        }
        #expect(look(files, 7, 0).reasons.count == 2)
    }

    @Test func aStormIsToldInAFewLines() {
        var log = healthyLog
        var files = machine("64 1 253:0 / /m rw - xfs /dev/mapper/x rw")
        files.addDevice("dm-0", 253, 0)
        files.folders["/sys/dev/block/253:0/slaves"] = (0..<300).map { "sd\($0)" }
        for number in 0..<300 {
            files.addDevice("sd\(number)", 8, 100 + number)
            files.texts["/sys/dev/block/253:0/slaves/sd\(number)/dev"] = "8:\(100 + number)\n"
            log += "3,\(number + 1),0,-;I/O error, dev sd\(number), sector 1\n"
        }
        files.texts["/dev/kmsg"] = log
        let found = look(files, 253, 0)
        #expect(found.reasons.count == 17)
        #expect(found.reasons.last == "kernel log: 239 more kinds of trouble")
        #expect(found.unseen.count == 45)
    }
}

@Suite struct TroubleOfThisMachineTests {
    @Test func theKernelLogIsReadWithoutWaiting() throws {
        guard mayReadKernelLog() else {
            print("skipped: needs permission to read /dev/kmsg")
            return
        }
        let path = Array("/dev/kmsg".utf8)
        let bytes = try LinuxKernelFiles().read(path, limit: 64 << 20)
        let log = KernelLog(bytes, about: [])
        #expect(log.records > 0)
        #expect(log.malformed == 0)
        #expect(try LinuxKernelFiles().read(path, limit: 1).last == 0x0a)
    }

    @Test func theMountTableIsUnderstood() throws {
        let text = try LinuxKernelFiles().read(Array("/proc/self/mountinfo".utf8), limit: 1 << 26)
        let table = MountTable(text)
        #expect(table.skipped == 0)
        #expect(!table.mounts.isEmpty)
    }

    @Test func aDescriptorOfThisProcessIsInTheTable() throws {
        let disk = LinuxDisk()
        let descriptor = try disk.open(path: [0x2f], [.readOnly, .directory], mode: 0)
        defer { disk.close(descriptor) }
        let found = storeTrouble(
            path: [0x2f], root: try disk.stat(descriptor), descriptor: descriptor)
        #expect(!found.unseen.contains("the mount that '/' lies on"))
    }

    @Test func anErrorOfExt4IsSeen() throws {
        guard let store = LoopStore() else {
            print("skipped: needs root and loop devices")
            return
        }
        defer { store.remove() }
        #expect(try store.trouble().filter { !$0.hasPrefix("kernel log:") } == [])

        let trigger = "/sys/fs/ext4/\(store.loop)/trigger_fs_error"
        guard shell("echo 1 > \(trigger)") != nil else {
            print("skipped: this kernel offers no \(trigger)")
            return
        }
        let found = try store.trouble()
        #expect(
            found.contains("ext4 on \(store.loop): errors counted since the last fsck: 1"))
        // Before Linux 6.15 the mount table does not show it.
        if shell("grep ' \(store.mountPoint) ' /proc/self/mountinfo | grep -q emergency_ro") != nil
        {
            #expect(found.contains { $0.contains("'\(store.mountPoint)': emergency_ro") })
        }
        if mayReadKernelLog() {
            for what in ["ext4.error", "ext4.ro"] {
                #expect(found.contains { $0.hasPrefix("kernel log: \(what) on \(store.loop) ") })
            }
        }
        let device = try LinuxDisk().stat(path: Array("/dev/\(store.loop)".utf8))
        let ofDevice = storeTrouble(
            path: Array("/dev/\(store.loop)".utf8), root: device, descriptor: nil)
        #expect(ofDevice.reasons.filter { store.isMeant(by: $0) } == found)
    }
}

/// An ext4 in a file. The loop device frees itself with the mount, even when a test crashes later.
private struct LoopStore {
    let folder: String
    let loop: String
    var mountPoint: String { folder + "/m" }

    /// Nil where this process may not mount.
    init?() {
        guard getuid() == 0, let folder = shell("mktemp -d /tmp/resync-trouble-XXXXXX") else {
            return nil
        }
        self.folder = folder
        let made = shell(
            """
            cd \(folder) && mkdir m && truncate -s 8M image \
            && mkfs.ext4 -qF -E nodiscard -e remount-ro image && mount -o loop image m \
            && losetup -j image -n -O NAME
            """)
        guard let made, made.hasPrefix("/dev/loop") else {
            shell("umount \(folder)/m; rm -rf --one-file-system \(folder)")
            return nil
        }
        loop = String(made.dropFirst(5))
    }

    /// What is known against this store, without what is known against the disk below it.
    func trouble() throws -> [String] {
        let disk = LinuxDisk()
        let path = Array(mountPoint.utf8)
        let descriptor = try disk.open(path: path, [.readOnly, .directory], mode: 0)
        defer { disk.close(descriptor) }
        let found = storeTrouble(
            path: path, root: try disk.stat(descriptor), descriptor: descriptor)
        return found.reasons.filter { isMeant(by: $0) }
    }

    func isMeant(by reason: String) -> Bool {
        reason.contains(" \(loop)") || reason.contains("'\(mountPoint)'")
    }

    func remove() {
        shell("umount \(mountPoint); rm -rf --one-file-system \(folder)")
    }
}

private func mayReadKernelLog() -> Bool {
    let descriptor = open("/dev/kmsg", O_RDONLY | O_NONBLOCK)
    if descriptor >= 0 { close(descriptor) }
    return descriptor >= 0
}

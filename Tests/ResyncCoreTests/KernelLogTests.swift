import Testing

@testable import ResyncCore

private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

private func trouble(_ text: String, priority: Int = 3) -> KernelTrouble? {
    KernelRecord(bytes("\(priority),5,1234567,-;\(text)\n")).flatMap { KernelTrouble($0) }
}

/// Messages that were seen, and what they mean.
private let messages: [(String, String, KernelSubject)] = [
    ("EXT4-fs (loop0): Remounting filesystem read-only", "ext4.ro", .device(bytes("loop0"))),
    (
        "EXT4-fs error (device loop0): ext4_put_super:1306: comm umount: Couldn't clean up",
        "ext4.error", .device(bytes("loop0"))
    ),
    (
        "EXT4-fs error (device sda2) in ext4_reserve_inode_write:5784: Journal has aborted",
        "ext4.error", .device(bytes("sda2"))
    ),
    ("EXT4-fs (dm-3): shut down requested (1)", "ext4.shutdown", .device(bytes("dm-3"))),
    (
        "EXT4-fs (sdf): previous I/O error to superblock detected", "ext4.sbwrite",
        .device(bytes("sdf"))
    ),
    ("EXT4-fs (sdf): I/O error while writing superblock", "ext4.sbwrite", .device(bytes("sdf"))),
    (
        "EXT4-fs (pxd!pxd123): failed to convert unwritten extents to written extents -- "
            + "potential data loss!  (inode 12, error -5)",
        "ext4.lostdata", .device(bytes("pxd!pxd123"))
    ),
    (
        "EXT4-fs (sdf): This should not happen!! Data will be lost", "ext4.lostdata",
        .device(bytes("sdf"))
    ),
    (
        "EXT4-fs warning (device sdf): ext4_end_bio:343: I/O error 10 writing to inode 12 start",
        "ext4.endio", .device(bytes("sdf"))
    ),
    (
        "EXT4-fs (nvme0n1p2): warning: mounting fs with errors, running e2fsck is recommended",
        "ext4.witherrors", .device(bytes("nvme0n1p2"))
    ),
    (
        "EXT4-fs (vda): error count since last fsck: 3", "ext4.witherrors",
        .device(bytes("vda"))
    ),
    ("Aborting journal on device sdf-8.", "jbd2.abort", .device(bytes("sdf"))),
    ("Aborting journal on device dm-8-8.", "jbd2.abort", .device(bytes("dm-8"))),
    ("Aborting journal on device dm-8.", "jbd2.abort", .device(bytes("dm-8"))),
    ("Aborting journal on device sdb1:8.", "jbd2.abort", .device(bytes("sdb1"))),
    (
        "JBD2: I/O error when updating journal superblock for sdf-8.", "jbd2.error",
        .device(bytes("sdf"))
    ),
    (
        "JBD2: Error -5 detected when updating journal superblock for dm-0-8.", "jbd2.error",
        .device(bytes("dm-0"))
    ),
    (
        "JBD2: Detected IO errors while flushing file data on sdf-8", "jbd2.data",
        .device(bytes("sdf"))
    ),
    (
        "XFS (dm-0): Log I/O Error Detected. Shutting down filesystem", "xfs.shutdown",
        .device(bytes("dm-0"))
    ),
    (
        "XFS (sdb): I/O Error Detected.  Shutting down filesystem: sdb", "xfs.shutdown",
        .device(bytes("sdb"))
    ),
    (
        "XFS (loop0): Filesystem has been shut down due to log error (0x2).", "xfs.shutdown",
        .device(bytes("loop0"))
    ),
    ("XFS (loop0): log I/O error -5", "xfs.logerr", .device(bytes("loop0"))),
    (
        "XFS (sdc1): metadata I/O error in \"xfs_trans_read_buf_map\" at daddr 0x1 len 1 error 5",
        "xfs.metaerr", .device(bytes("sdc1"))
    ),
    (
        "XFS (sdc1): Metadata corruption detected at xfs_agi_verify+0x1/0x2", "xfs.corrupt",
        .device(bytes("sdc1"))
    ),
    ("BTRFS info (device loop0 state E): forced readonly", "btrfs.ro", .device(bytes("loop0"))),
    ("BTRFS info (device sda1): forced readonly", "btrfs.ro", .device(bytes("sda1"))),
    ("BTRFS info (device dm-0: state EA): forced readonly", "btrfs.ro", .device(bytes("dm-0"))),
    (
        "BTRFS: error (device loop0) in btrfs_commit_transaction:2546: errno=-5 IO failure",
        "btrfs.abort", .device(bytes("loop0"))
    ),
    (
        "BTRFS error (device loop0 state EA): Transaction aborted (error -5)", "btrfs.abort",
        .device(bytes("loop0"))
    ),
    (
        "BTRFS error (device loop0): bdev /dev/loop0 errs: wr 1, rd 0, flush 0, corrupt 0, gen 0",
        "btrfs.devstat", .device(bytes("loop0"))
    ),
    (
        "critical space allocation error, dev loop0, sector 36866 op 0x1:(WRITE) flags 0x8800",
        "blk.ioerr", .device(bytes("loop0"))
    ),
    (
        "blk_update_request: I/O error, dev sdf, sector 2048 op 0x1:(WRITE)", "blk.ioerr",
        .device(bytes("sdf"))
    ),
    ("print_req_error: I/O error, dev sdf, sector 0", "blk.ioerr", .device(bytes("sdf"))),
    ("I/O error, dev cciss!c0d0, sector 8", "blk.ioerr", .device(bytes("cciss!c0d0"))),
    ("device offline error, dev sdf, sector 8", "blk.ioerr", .device(bytes("sdf"))),
    (
        "Buffer I/O error on dev loop0, logical block 7988, lost async page write", "buf.lost",
        .device(bytes("loop0"))
    ),
    ("Buffer I/O error on device sdf1, logical block 3", "buf.error", .device(bytes("sdf1"))),
    (
        "Buffer I/O error on dev sdf1, logical block 3, async page read", "buf.error",
        .device(bytes("sdf1"))
    ),
    (
        "loop0: writeback error on inode 131, offset 0, sector 64", "wb.error",
        .device(bytes("loop0"))
    ),
    (
        "Trying to write to read-only block-device sdf (partno 0)", "blk.rodev",
        .device(bytes("sdf"))
    ),
    ("sd 2:0:0:1: rejecting I/O to offline device", "scsi.reject", .scsi(bytes("2:0:0:1"))),
    ("sd 2:0:0:1: [sdf] rejecting I/O to dead device", "scsi.reject", .device(bytes("sdf"))),
    ("sd 2:0:0:1: [sdf] Write Protect is on", "scsi.wp", .device(bytes("sdf"))),
    (
        "sd 2:0:0:1: [sdf] tag#3 FAILED Result: hostbyte=DID_TRANSPORT_FAILFAST driverbyte=0",
        "scsi.transport", .device(bytes("sdf"))
    ),
    (
        " connection3:0: ping timeout of 5 secs expired, recv timeout 5", "iscsi.ping",
        .iscsi(bytes("connection3:0"))
    ),
    (
        " connection3:0: detected conn error (1022)", "iscsi.conn",
        .iscsi(bytes("connection3:0"))
    ),
    (
        " session3: session recovery timed out after 120 secs", "iscsi.lost",
        .iscsi(bytes("session3"))
    ),
    (
        "device-mapper: multipath: 253:3: Failing path 8:80.", "mpath.fail",
        .number(DeviceNumber(major: 253, minor: 3))
    ),
    (
        "nfs: server filer.example not responding, still trying", "nfs.stall",
        .server(bytes("filer.example"))
    ),
]

/// Messages that are no trouble on a device, or not the kernel's word for it.
private let harmless = [
    "", "EXT4-fs", "EXT4-fs (): Remounting filesystem read-only",
    "EXT4-fs (vda): mounted filesystem 00000000-0000-0000-0000-000000000000 r/w with ordered",
    "EXT4-fs (loop0): re-mounted a2a16df2-79ec-4e83-8074-84af384b2373 ro.",
    "EXT4-fs (loop0): recovery complete", "EXT4-fs (loop0): Remounting filesystem read-only, no",
    "operation not supported error, dev loop0, sector 819072 op 0x9:(WRITE_ZEROES)",
    "BTRFS info (device loop0): first mount of filesystem f5f7a73e",
    "BTRFS warning (device loop0 state E): Skipping commit of aborted transaction.",
    "BTRFS error (device loop0 state EA): remounting read-write after error is not allowed",
    "XFS (loop0): Ending clean mount", "XFS (loop0): Unmounting Filesystem",
    "sd 2:0:0:1: [sdf] Write Protect is off", "sd 2:0:0:1: [sdf] Attached SCSI disk",
    "device-mapper: multipath: 253:3: Reinstating path 8:80.", "nfs: server filer OK",
    "INFO: task dd:123 blocked for more than 120 seconds.",
    "br0: port 1(veth0) entered blocking state", "br0: topology change detected",
    "usb 1-1: Product: EXT4-fs error (device sda1): ext4_find_entry:1: not so",
    "Aborting journal on device .", "Aborting journal on device sdf-8. Really",
    "session: session recovery timed out after 120 secs",
]

@Suite struct KernelLogTests {
    @Test func recordsAreParsed() throws {
        let record = try #require(
            KernelRecord(
                bytes("30,187,360855,c,caller=T1;a\\x5cb\\x0ac\\xff\\xzz\n SUBSYSTEM=acpi\n D=1\n"))
        )
        #expect(record.facility == 3)
        #expect(record.level == 6)
        #expect(record.sequence == 187)
        #expect(record.microseconds == 360_855)
        #expect(record.text == bytes("a\\b\nc") + [0xff] + bytes("\\xzz"))
        #expect(KernelRecord(bytes("0,0,0,-;"))?.text == [])
    }

    @Test(arguments: [
        "", ";", "3,1,2;x", "3,1,2,-", "x,1,2,-;t", "3,-1,2,-;t", ",,,;t", " SUBSYSTEM=acpi",
        "99999999999999999999,1,2,-;t",
    ])
    func whatIsNoRecordIsRefused(_ text: String) {
        #expect(KernelRecord(bytes(text)) == nil)
    }

    @Test func anEndlessRecordIsRefused() {
        let text = bytes("3,1,2,-;") + [UInt8](repeating: 0x61, count: KernelRecord.limit)
        #expect(KernelRecord(text) == nil)
    }

    @Test func troubleIsRecognised() {
        for (text, what, subject) in messages {
            let found = trouble(text)
            #expect(found?.what == what, "\(text)")
            #expect(found?.subject == subject, "\(text)")
            #expect(found?.text == bytes(text))
            #expect(found?.microseconds == 1_234_567)
        }
    }

    @Test func theRestIsNoTrouble() {
        for text in harmless { #expect(trouble(text) == nil, "\(text)") }
    }

    @Test func onlyTheKernelIsBelieved() {
        let text = "EXT4-fs (fake0): Remounting filesystem read-only"
        #expect(trouble(text, priority: 2) != nil)
        // What user space writes to /dev/kmsg carries facility 1 at least.
        for priority in [8, 10, 15, 16, 30, 8 << 20] {
            #expect(trouble(text, priority: priority) == nil)
        }
    }

    @Test func aMessageCannotHideInALaterLine() {
        #expect(trouble("usb: x\\x0aEXT4-fs (sda): Remounting filesystem read-only") == nil)
    }

    @Test func kindsAreCountedForTheSubjectsAskedFor() {
        let log = KernelLog(
            bytes(
                """
                3,0,1000000,-;I/O error, dev sda, sector 1
                3,1,2000000,-;I/O error, dev sdb, sector 1
                 SUBSYSTEM=block
                 DEVICE=b8:16
                3,2,3000000,-;I/O error, dev sda, sector 9
                12,3,3500000,-;I/O error, dev sda, sector 10
                3,4,4000000,-;Aborting journal on device sda-8.
                nonsense
                3,9,5000000,-;I/O error, dev sdc, sector 1

                """), about: [.device(bytes("sda"))])
        #expect(log.kinds.map(\.last.what) == ["blk.ioerr", "jbd2.abort"])
        #expect(log.kinds.map(\.count) == [2, 1])
        #expect(log.kinds.first?.last.microseconds == 3_000_000)
        #expect(log.malformed == 1)
        #expect(log.overwritten == 4)
        #expect(log.records == 7)
    }

    @Test func whatWasOverwrittenBeforeTheFirstRecordIsCounted() {
        #expect(KernelLog(bytes("6,0,0,-;Linux\n"), about: []).overwritten == 0)
        #expect(KernelLog(bytes("6,12,0,-;late\n"), about: []).overwritten == 12)
        let most = KernelLog(bytes("6,\(UInt64.max),0,-;a\n6,\(UInt64.max),0,-;b\n"), about: [])
        #expect(most.overwritten > 0)
    }

    @Test func kindsAreBounded() {
        var text: [UInt8] = []
        var subjects: Set<KernelSubject> = []
        for number in 0..<(KernelLog.kindLimit + 5) {
            text += bytes("3,\(number),0,-;I/O error, dev sd\(number), sector 1\n")
            subjects.insert(.device(bytes("sd\(number)")))
        }
        let log = KernelLog(text, about: subjects)
        #expect(log.kinds.count == KernelLog.kindLimit)
        #expect(log.unlisted == 5)
    }

    @Test func noRecordTraps() {
        for (text, _, subject) in messages {
            let whole = bytes("3,5,1234567,-;\(text)\\x0a\n DEVICE=b8:16\n")
            for end in 0...whole.count { use(Array(whole[..<end]), subject) }
            for at in whole.indices {
                for flip in [1, 16, 128, 255] as [UInt8] {
                    var record = whole
                    record[at] ^= flip
                    use(record, subject)
                }
            }
        }
    }

    private func use(_ text: [UInt8], _ subject: KernelSubject) {
        let log = KernelLog(text, about: [subject])
        #expect(log.malformed <= log.records)
    }
}

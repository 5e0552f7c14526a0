import Testing

@testable import ResyncCore

private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }
private func table(_ text: String) -> MountTable { MountTable(bytes(text)) }

private let sample = """
    27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
    22 27 0:21 / /proc rw,relatime - proc proc rw
    40 27 8:1 /sub /mnt/a rw,noatime shared:7 master:2 propagate_from:1 - ext4 \
    /dev/sda1 rw,emergency_ro
    41 40 0:40 / /mnt/a/deep\\040er ro - btrfs /dev/sdb ro,ssd,subvol=/
    42 27 0:44 / /mnt/ab rw - tmpfs  rw,size=1m
    43 27 0:45 / /mnt/n rw - nfs4 [fe80::1]:/x\\134y rw,addr=a\\054b,vers=4.2

    """

@Suite struct MountTableTests {
    @Test func fieldsAreRead() throws {
        let table = table(sample)
        #expect(table.skipped == 0)
        #expect(table.mounts.map(\.id) == [27, 22, 40, 41, 42, 43])
        let mount = try #require(table.mount(id: 40))
        #expect(mount.parent == 27)
        #expect(mount.device == DeviceNumber(major: 8, minor: 1))
        #expect(mount.root == bytes("/sub"))
        #expect(mount.mountPoint == bytes("/mnt/a"))
        #expect(mount.options == [bytes("rw"), bytes("noatime")])
        #expect(mount.isType("ext4"))
        #expect(mount.source == bytes("/dev/sda1"))
        #expect(mount.superOptions == [bytes("rw"), bytes("emergency_ro")])
        #expect(mount.hasSuperOption("emergency_ro"))
        #expect(!mount.hasOption("emergency_ro"))
        #expect(!mount.hasSuperOption("emergency"))
    }

    @Test func whereSomethingIsToBeMountedIsRead() {
        let text = """
            # /dev/sdz /comment ext4 defaults 0 0
            UUID=1 / ext4 defaults 0 1
              /dev/sdb1\t/srv/mail\\040store/   xfs  noauto 0 0
            /dev/sdc none swap sw 0 0
            /dev/sdd /srv
            //server/share /srv/deep/er cifs x

            """
        let points = mountPoints(ofFstab: bytes(text))
        #expect(points == ["/", "/srv/mail store", "/srv/deep/er"].map(bytes))
    }

    @Test func escapesAreDecodedAfterOptionsAreSplit() throws {
        let table = table(sample)
        #expect(table.mount(id: 41)?.mountPoint == bytes("/mnt/a/deep er"))
        #expect(table.mount(id: 42)?.source == [])
        let nfs = try #require(table.mount(id: 43))
        #expect(nfs.source == bytes("[fe80::1]:/x\\y"))
        #expect(nfs.superOptions == [bytes("rw"), bytes("addr=a,b"), bytes("vers=4.2")])
    }

    @Test func anyByteCanBeEscapedAndWhatIsNoEscapeStays() {
        let line = "1 0 0:1 / /\\000\\011\\012\\377\\400\\8\\04 rw - t s rw"
        let point = table(line).mounts.first?.mountPoint
        #expect(point == bytes("/") + [0, 9, 10, 255] + bytes("\\400\\8\\04"))
        let raw = bytes("1 0 0:1 / /") + [0xff, 0xc3] + bytes(" rw - t s rw")
        #expect(MountTable(raw).mounts.first?.mountPoint == [0x2f, 0xff, 0xc3])
    }

    @Test func anUnescapedSpaceDoesNotHideOptions() {
        let plain = table("1 0 8:1 / /m rw - ext4 /dev/x rw,l=a b,shutdown").mounts.first
        #expect(plain?.hasSuperOption("shutdown") == true)
    }

    /// The lines seen for each kind of fault on Linux 6.18.
    @Test(arguments: [
        ("ro", "ext4 /dev/loop0 ro", false, true), ("ro", "ext4 /dev/loop0 rw", false, false),
        ("rw", "ext4 /dev/loop0 ro", false, true),
        ("rw", "ext4 /dev/loop0 rw,emergency_ro", true, false),
        ("rw", "ext4 /dev/loop0 rw,shutdown", true, false),
        ("rw", "btrfs /dev/loop0 ro,ssd,subvolid=5,subvol=/", false, true),
    ])
    func faultsShowInTheSuperOptions(
        _ options: String, _ rest: String, _ isMarked: Bool, _ isReadOnly: Bool
    ) throws {
        let mount = try #require(
            table("64 43 7:0 / /m \(options),relatime - \(rest)").mounts.first)
        #expect(mount.hasOption("ro") == (options == "ro"))
        #expect(
            (mount.hasSuperOption("emergency_ro") || mount.hasSuperOption("shutdown")) == isMarked)
        #expect(mount.hasSuperOption("ro") == isReadOnly)
    }

    @Test(arguments: [
        "", " ", "27", "27 1 254:0 / / rw - ext4 /dev/vda", "27 1 254:0 / / rw ext4 /dev/vda rw x",
        "x 1 254:0 / / rw - ext4 /dev/vda rw", "27 1 254 / / rw - ext4 /dev/vda rw",
        "27 1 254:0:1 / / rw - ext4 /dev/vda rw", "27 1 4294967296:0 / / rw - ext4 /dev/vda rw",
        "99999999999999999999 1 8:0 / / rw - e s rw", "27 -1 8:0 / / rw - e s rw",
        "27 1 8:0 / relative rw - e s rw", "27 1 8:0 / / rw -  s rw",
    ])
    func malformedLinesAreCounted(_ line: String) {
        let table = table(line + "\n1 0 8:0 / / rw - e s rw\n")
        #expect(table.mounts.map(\.id) == [1])
        #expect(table.skipped == (line.isEmpty ? 0 : 1))
    }

    @Test func theLastLineOfAnIdWins() {
        let table = table("1 0 8:0 / / rw - e s rw\n1 0 8:1 / / rw - e s rw\n")
        #expect(table.mounts.map(\.device.minor) == [1])
        #expect(table.mount(id: 1)?.device.minor == 1)
    }

    @Test func longLinesAndLongTablesAreCut() {
        let long = "1 0 8:0 / / rw - e s " + String(repeating: "x", count: MountTable.lineLimit)
        #expect(table(long).mounts.isEmpty)
        #expect(table(long).skipped == 1)
        let good = bytes("1 0 8:0 / / rw - e s rw\n")
        let lines = [UInt8](repeatElement(bytes("x\n"), count: MountTable.tableLimit - 1).joined())
        #expect(MountTable(lines + good).mounts.count == 1)
        let many = MountTable(bytes("x\n") + lines + good)
        #expect(many.mounts.isEmpty)
        #expect(many.skipped == MountTable.tableLimit + 1)
    }

    @Test func aTableOfTenThousandLines() {
        var text = bytes("1 0 8:0 / / rw - ext4 /dev/sda rw\n")
        for number in 2...10_000 {
            text += bytes("\(number) 1 0:\(number) / /m/\(number) rw - tmpfs t rw\n")
        }
        let table = MountTable(text)
        #expect(table.mounts.count == 10_000)
        #expect(table.mount(holding: bytes("/m/9999/x"))?.id == 9999)
        #expect(table.mount(holding: bytes("/m/10001"))?.id == 1)
        #expect(table.mounts(below: bytes("/m")).count == 9999)
        #expect(table.mounts(below: bytes("/m/77")).isEmpty)
    }

    @Test func aPathLeadsToTheMountThatCoversIt() {
        let table = table(sample)
        func id(_ path: String) -> UInt64? { table.mount(holding: bytes(path))?.id }
        #expect(id("/") == 27)
        #expect(id("/mnt/a") == 40)
        #expect(id("//mnt/./a/") == 40)
        #expect(id("/mnt/a/x") == 40)
        #expect(id("/mnt/a/deep er/x") == 41)
        #expect(id("/mnt/abc") == 27)
        #expect(id("/mnt/ab/c") == 42)
        #expect(id("mnt/a") == nil)
        #expect(id("/mnt/../mnt/a") == nil)
        #expect(id("") == nil)
    }

    @Test func hiddenMountsAreNotMet() {
        // b was mounted below a, then something else on a, then again on that.
        let table = table(
            """
            1 0 8:0 / / rw - e s rw
            2 1 8:1 / /a/b rw - e s rw
            3 1 8:2 / /a rw - e s rw
            4 3 8:3 / /a rw - e s rw
            5 4 8:4 / /a/c rw - e s rw
            6 5 8:5 / /a/c rw - e s rw
            7 5 8:6 / /a/c/d rw - e s rw

            """)
        #expect(table.mount(holding: bytes("/a/b"))?.id == 4)
        #expect(table.mount(holding: bytes("/a/c/d"))?.id == 6)
        #expect(table.mounts(below: bytes("/a")).map(\.id) == [6])
        #expect(table.mounts(below: bytes("/")).map(\.id) == [4, 6])
    }

    @Test func mountsBelowAPathAreStrictlyBelow() {
        let table = table(sample)
        #expect(table.mounts(below: bytes("/mnt/a")).map(\.id) == [41])
        #expect(table.mounts(below: bytes("/mnt")).map(\.id) == [40, 41, 42, 43])
        #expect(table.mounts(below: bytes("/mnt/ab")).isEmpty)
        #expect(table.mounts(below: bytes("relative")).isEmpty)
    }

    @Test func aTableWithoutItsTopAndOneWithCirclesAreSearched() {
        let jail = table("9 5 8:0 / /data rw - e s rw\n10 9 8:1 / /data/x rw - e s rw\n")
        #expect(jail.mount(holding: bytes("/data/x/y"))?.id == 10)
        #expect(jail.mount(holding: bytes("/etc")) == nil)
        let circle = table("1 2 8:0 / / rw - e s rw\n2 1 8:1 / / rw - e s rw\n")
        #expect(circle.mount(holding: bytes("/x")) == nil)
        #expect(circle.mounts(below: bytes("/")).isEmpty)
        let own = table("1 1 0:1 / / rw - rootfs rootfs rw\n2 1 8:1 / / rw - e s rw\n")
        #expect(own.mount(holding: bytes("/x"))?.id == 2)
    }

    @Test func noTextTraps() {
        let whole = bytes(sample)
        for end in 0...whole.count { use(Array(whole[..<end])) }
        for at in whole.indices {
            for flip in [1, 4, 16, 32, 128, 255] as [UInt8] {
                var text = whole
                text[at] ^= flip
                use(text)
            }
        }
    }

    private func use(_ text: [UInt8]) {
        let table = MountTable(text)
        let lines = text.split(separator: 0x0a).count
        #expect(table.mounts.count + table.skipped <= lines)
        _ = table.mount(holding: bytes("/mnt/a/deep er/x"))
        _ = table.mounts(below: bytes("/"))
    }
}

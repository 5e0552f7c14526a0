import Testing

@testable import ResyncCore

private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }
private func table(_ text: String) -> MountTable { MountTable(bytes(text)) }

private let root = "1 0 8:0 / / rw - ext4 /dev/sda rw\n"

/// The store lies below a mount of its own.
private let good =
    root + "2 1 8:16 / /srv/mail rw,relatime shared:1 - ext4 /dev/sdb rw,stripe=4\n"

private func condition(_ text: String, path: String = "/srv/mail/a") -> MountCondition? {
    MountBaseline(of: bytes(path), in: table(good))?.condition(in: table(text))
}

@Suite struct MountConditionTests {
    @Test func theBaselineIsWhatWasThere() throws {
        let baseline = try #require(MountBaseline(of: bytes("/srv/mail/a"), in: table(good)))
        #expect(baseline.mountPoint == bytes("/srv/mail"))
        #expect(baseline.device == DeviceNumber(major: 8, minor: 16))
        #expect(baseline.condition(in: table(good)) == .writable)
        #expect(MountBaseline(of: bytes("srv"), in: table(good)) == nil)
        #expect(MountBaseline(of: bytes("/srv"), in: table("")) == nil)
    }

    @Test(arguments: [
        ("ro", "rw", MountCondition.readOnlyMount), ("ro", "ro", .readOnlyMount),
        ("rw", "ro", .readOnly), ("rw", "rw,emergency_ro", .emergencyReadOnly),
        ("ro", "ro,emergency_ro", .emergencyReadOnly), ("rw", "rw,shutdown", .shutdown),
        ("rw", "rw,emergency_ro,shutdown", .shutdown),
        ("rw,relatime", "rw,errors=remount-ro", .writable),
        ("rw,ro_not", "rw,shutdown_soon,label=ro", .writable), ("rw", "", .writable),
    ])
    func faultsShowInTheOptions(
        _ options: String, _ superOptions: String, _ expected: MountCondition
    ) {
        let line = "2 1 8:16 / /srv/mail \(options) - ext4 /dev/sdb \(superOptions)\n"
        #expect(condition(root + line) == expected)
    }

    @Test func whatIsNotThereIsGone() {
        #expect(condition(root) == .gone)
        // Below another mount of its device, but not on its own.
        #expect(condition(root + "3 1 8:16 / /srv rw - ext4 /dev/sdb rw\n") == .gone)
        // Another one was mounted over a directory above it.
        #expect(condition(good + "3 1 8:32 / /srv rw - ext4 /dev/sdc rw\n") == .gone)
        // Or over the store, or a directory on the way, on the mount itself.
        #expect(condition(good + "3 2 8:32 / /srv/mail/a rw - ext4 /dev/sdc rw\n") == .gone)
    }

    @Test func anotherDeviceInItsPlaceIsTold() {
        #expect(condition(good.replacing("8:16", with: "8:32")) == .otherDevice)
        // Stacked: the upper one counts, whatever its own state.
        let upper = "3 2 8:32 / /srv/mail ro - ext4 /dev/sdc ro\n"
        #expect(condition(good + upper) == .otherDevice)
        #expect(condition(good + "3 1 8:32 / /srv/mail rw - tmpfs t rw\n") == .otherDevice)
    }

    @Test func ofStackedMountsTheUpperOneCounts() {
        let over = "3 2 8:16 / /srv/mail rw - ext4 /dev/sdb"
        #expect(condition(good + over + " rw\n") == .writable)
        #expect(condition(good + over + " rw,emergency_ro\n") == .emergencyReadOnly)
        let broken = good.replacing("rw,stripe=4", with: "rw,emergency_ro")
        #expect(condition(broken) == .emergencyReadOnly)
        #expect(condition(broken + over.replacing(" rw", with: " ro") + " rw\n") == .readOnlyMount)
    }

    @Test func otherMountsDoNotMatter() {
        let beside = "3 2 8:32 / /srv/mail/b ro - ext4 /dev/sdc ro\n"
        #expect(condition(good + beside) == .writable)
        #expect(condition(good + beside.replacing("mail/b", with: "mail2")) == .writable)
        #expect(
            condition(good + beside.replacing("/srv/mail/b", with: "/srv/mail/ab")) == .writable)
        #expect(condition(good.replacing("rw,relatime", with: "rw") + "\n\n") == .writable)
    }

    /// What cannot be read may be the line that counts: it is not known that the mount is gone.
    @Test(arguments: [
        "", "\n\n", "no mount\n", "2 1 8:16 / /srv/mail rw ext4 /dev/sdb rw\n",
        root + "2 1 8:16 / /srv/mail rw\n", root + "2 1 x / /srv/mail rw - ext4 /dev/sdb rw\n",
        root + "2 1 8:16 / srv/mail rw - ext4 /dev/sdb rw\n", root + "\u{0}\u{1}\u{2}\n",
        "2 1 8:99 / / rw - ext4 /dev/x rw\n" + root.dropLast(8),
    ])
    func whatCannotBeReadIsUnknown(_ text: String) {
        #expect(condition(text) == .unknown)
    }

    @Test func aLineTooLongIsNotReadAndNotGone() {
        let long =
            "2 1 8:16 / /srv/mail rw - ext4 /dev/sdb rw,"
            + String(repeating: "x", count: MountTable.lineLimit) + "\n"
        #expect(condition(root + long) == .unknown)
    }

    @Test func namesMayHoldAnything() throws {
        for (name, written) in [
            ("a b", "a\\040b"), ("a\tb", "a\\011b"), ("a\nb", "a\\012b"), ("a\\b", "a\\134b"),
            ("#x", "\\043x"), ("\\040", "\\134040"), ("e\u{301}", "e\u{301}"),
        ] {
            let text = root + "2 1 8:16 / /srv/\(written) rw - ext4 /dev/sdb rw\n"
            let path = bytes("/srv/\(name)/store")
            let baseline = try #require(MountBaseline(of: path, in: table(text)))
            #expect(baseline.mountPoint == bytes("/srv/\(name)"))
            #expect(baseline.condition(in: table(text)) == .writable)
            #expect(baseline.condition(in: table(root)) == .gone)
            let shut = text.replacing("sdb rw", with: "sdb rw,shutdown")
            #expect(baseline.condition(in: table(shut)) == .shutdown)
        }
        let odd =
            bytes(root) + bytes("2 1 8:16 / /srv/") + [0xff, 0xc3]
            + bytes(" rw - ext4 /dev/sdb ro\n")
        let path = bytes("/srv/") + [0xff, 0xc3]
        let baseline = try #require(MountBaseline(of: path, in: MountTable(odd)))
        #expect(baseline.condition(in: MountTable(odd)) == .readOnly)
    }

    @Test func theRootCanBeAStore() throws {
        let baseline = try #require(MountBaseline(of: bytes("/var/x"), in: table(root)))
        #expect(baseline.mountPoint == bytes("/"))
        #expect(baseline.condition(in: table(good)) == .writable)
        #expect(baseline.condition(in: table(root.replacing(" rw\n", with: " ro\n"))) == .readOnly)
    }

    /// Each second, whatever the table is like: beside each other, in each other, on each other.
    @Test func tablesOfTenThousandLinesAreNoBurden() throws {
        let beside = (3...10_000).map { "\($0) 1 0:\($0) / /m/\($0) rw - tmpfs t rw\n" }.joined()
        let stacked = (3...10_000).map {
            "\($0) \($0 - 1) 8:16 / /srv/mail rw - ext4 /dev/sdb rw\n"
        }.joined()
        let onOneParent = (3...10_000).map {
            "\($0) 1 8:16 / /srv/mail rw - ext4 /dev/sdb rw\n"
        }.joined()
        var nested = ""
        var point = "/srv"
        for number in 3...400 {
            point += "/d"
            nested += "\(number) \(number == 3 ? 1 : number - 1) 0:9 / \(point) rw - tmpfs t rw\n"
        }
        for (text, name) in [
            (beside, "beside"), (stacked, "stacked"), (onOneParent, "on one parent"),
            (nested, "nested"),
        ] {
            let whole = bytes(good + text)
            let start = ContinuousClock.now
            let table = MountTable(whole)
            let baseline = try #require(MountBaseline(of: bytes("/srv/mail/a"), in: table))
            #expect(baseline.condition(in: table) == .writable)
            let took = ContinuousClock.now - start
            #expect(took < .seconds(2), "\(name): \(took)")
        }
    }

    /// A byte changed or the end cut off: an answer, and `gone` only where all lines were read.
    @Test func damagedTablesAreNoTrap() throws {
        let whole = bytes(good)
        let baseline = try #require(MountBaseline(of: bytes("/srv/mail/a"), in: table(good)))
        var texts = whole.indices.map { Array(whole[..<$0]) }
        for at in whole.indices {
            for flip in [1, 8, 32, 128, 255] as [UInt8] {
                var text = whole
                text[at] ^= flip
                texts.append(text)
            }
        }
        for text in texts {
            let table = MountTable(text)
            let found = baseline.condition(in: table)
            if table.skipped > 0 { #expect(found != .gone, "\(escaped(text))") }
        }
    }
}

import TestSupport
import Testing

@testable import ResyncCore

private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

private func message(
    _ text: String, priority: Int = 3, trusted: Set<UInt64> = [0]
) -> KernelMessage? {
    KernelRecord(bytes("\(priority),5,1234567,-;\(text)\n DEVICE=b8:16\n")).flatMap {
        KernelMessage($0, trusted: trusted)
    }
}

private let sdf = KernelSubject.device(bytes("sdf"))
private let uuid = "ffffffff-1111-2222-3333-444444444444"

private let notices: [(String, String, KernelSubject?)] = [
    ("EXT4-fs (sdf): re-mounted \(uuid) ro. Quota mode: none.", "note.remounted-ro", sdf),
    ("EXT4-fs (sdf): re-mounted \(uuid) ro.", "note.remounted-ro", sdf),
    ("EXT4-fs (sdf): re-mounted \(uuid) r/w. Quota mode: none.", "note.remounted-rw", sdf),
    ("EXT4-fs (sdf): re-mounted \(uuid) r/w.", "note.remounted-rw", sdf),
    // A remount that changed nothing, as one of a file system that the kernel gave up.
    ("EXT4-fs (sdf): re-mounted \(uuid).", "note.remounted", sdf),
    ("EXT4-fs (sdf): re-mounted. Opts: (null)", "note.remounted", sdf),
    (
        "EXT4-fs (sdf): mounted filesystem \(uuid) r/w with ordered data mode. Quota mode: none.",
        "note.mounted", sdf
    ),
    ("EXT4-fs (sdf): recovery complete", "note.replayed", sdf),
    ("EXT4-fs (sdf): unmounting filesystem \(uuid).", "note.unmounted", sdf),
    ("XFS (sdf): Mounting V5 Filesystem \(uuid)", "note.mounted", sdf),
    ("XFS (sdf): Ending clean mount", "note.mounted", sdf),
    ("XFS (sdf): Ending recovery (logdev: internal)", "note.mounted", sdf),
    (
        "device-mapper: multipath: 253:4: Reinstating path 8:32.", "note.path-back",
        .number(DeviceNumber(major: 253, minor: 4))
    ),
    ("nfs: server filer OK", "note.server-back", .server(bytes("filer"))),
    ("br0: port 2(eth1) entered listening state", "note.port", nil),
    ("br0: port 2(eth1) entered forwarding state", "note.port", nil),
    ("br0: topology change detected, propagating", "note.topology", nil),
    ("br0: port 2(eth1): topology change detected, sending tcn bpdu", "note.topology", nil),
    ("e1000e 0000:00:1f.6 eth0: NIC Link is Down", "note.link-down", nil),
]

@Suite struct KernelMessageTests {
    @Test(arguments: notices)
    func noticesAreKnown(_ text: String, _ what: String, _ subject: KernelSubject?) throws {
        let found = try #require(message(text, priority: 6))
        #expect(found.what == what && found.subject == subject)
        #expect(found.text == bytes(text) && found.microseconds == 1_234_567)
        let (strength, kind) = Evidence.weight(ofKernel: found.what)
        #expect(strength == .context && kind == nil)
    }

    @Test func troubleGoesBeforeNotices() {
        #expect(message("EXT4-fs (sdf): Remounting filesystem read-only")?.what == "ext4.ro")
        #expect(message("EXT4-fs (sdf): Remounting filesystem read-only")?.subject == sdf)
        #expect(message("XFS (sdf): log I/O error -5")?.what == "xfs.logerr")
        #expect(
            message(" session1: session recovery timed out after 120 secs")?.what == "iscsi.lost")
    }

    @Test(arguments: [
        "", "usb 1-1: new device", "EXT4-fs (sdf): something else", "br0: port 2(eth1) is up",
        "eth0: Link is Up", "XFS (sdf): Unmounting Filesystem",
    ])
    func whatSaysNothingAboutStorageIsLeftOut(_ text: String) {
        #expect(message(text) == nil)
    }

    /// Everybody who may write to the kernel's log can write there what the kernel would; only the
    /// facility tells them apart.
    @Test func whatTheKernelDidNotWriteIsRefused() {
        let text = "EXT4-fs (sdf): Remounting filesystem read-only"
        for priority in 0..<8 { #expect(message(text, priority: priority) != nil) }
        for priority in [8, 10, 13, 14, 24, 30, 191, 1 << 20] {
            #expect(message(text, priority: priority) == nil)
            for (notice, _, _) in notices {
                #expect(message(notice, priority: priority) == nil)
            }
        }
        #expect(message(text, priority: 10, trusted: [0, 1])?.what == "ext4.ro")
        #expect(message(text, priority: 18, trusted: [0, 1]) == nil)
        #expect(message(text, priority: 3, trusted: []) == nil)
    }

    /// Names and labels are chosen by others: what they quote is no message.
    @Test(arguments: [
        "device eth0 entered promiscuous mode EXT4-fs (sdf): Remounting filesystem read-only",
        "x EXT4-fs (sdf): re-mounted \(uuid) ro.", "(sdf): mounted filesystem",
        "EXT4-fs (sd f): re-mounted \(uuid) ro.", "EXT4-fs (): re-mounted \(uuid) ro.",
        "EXT4-fs (sdf)\u{1b}[2J: re-mounted \(uuid) ro.",
        "EXT4-fs (sdf): Remounting filesystem read-only\u{1b}[2J",
        "EXT4-fs (sdf\u{0}): Remounting filesystem read-only",
    ])
    func quotedMessagesAreNone(_ text: String) { #expect(message(text) == nil) }

    /// The kernel writes control bytes as `\x1b`; they come as they are, and are shown escaped.
    @Test func controlBytesAreKeptAndShownHarmless() throws {
        let text = #"EXT4-fs error (device sdf): f:1: comm \x1b[2J\x0a: bad"#
        let found = try #require(message(text))
        #expect(found.what == "ext4.error")
        #expect(found.text.contains(0x1b) && found.text.contains(0x0a))
        let evidence = Evidence(
            .kernel, .hard, .ioError, what: found.what, text: found.text,
            at: Moment(boot: 0, wall: Timestamp(seconds: 0, nanoseconds: 0)))
        #expect(escaped(evidence.text).utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7f })
    }

    @Test func noRecordIsATrap() {
        var random = Seed.fromEnvironment()
        let texts =
            notices.map { bytes("6,5,1,-;\($0.0)") } + [bytes("3,1,2,-;Aborting journal on ")]
        for _ in 0..<rounds(isLongRun ? 500_000 : 20_000) {
            var text = texts[random.below(texts.count)]
            for _ in 0...random.below(4) {
                let at = random.below(text.count)
                switch random.below(3) {
                case 0: text[at] = UInt8(random.below(256))
                case 1: text = Array(text.prefix(at + 1))
                default: text.insert(UInt8(random.below(256)), at: at)
                }
            }
            guard let record = KernelRecord(text), let message = KernelMessage(record) else {
                continue
            }
            #expect(record.facility == 0 && message.text == record.text)
        }
    }
}

import Foundation
import Glibc
import Testing

/// Kernel logs of a machine where nothing was watching.
@Suite struct EpisodeImportTests {
    /// How iSCSI gives a session up and ext4 its journal: seconds, and what is said.
    private static let outage: [(Int, String)] = [
        (0, " connection1:0: ping timeout of 5 secs expired, recv timeout 5, last rx 42949"),
        (0, " connection1:0: detected conn error (1022)"),
        (120, " session1: session recovery timed out after 120 secs"),
        (121, "sd 2:0:0:1: rejecting I/O to offline device"),
        (121, "I/O error, dev sdf, sector 2048 op 0x1:(WRITE) flags 0x0 phys_seg 1 prio class 2"),
        (122, "Aborting journal on device sdf-8."),
        (
            125,
            "EXT4-fs error (device sdf): ext4_journal_check_start:83: comm smtpd: Detected aborted"
        ),
        (125, "EXT4-fs (sdf): Remounting filesystem read-only"),
    ]

    /// What others of the machine's devices and programs say meanwhile.
    private static let others: [(Int, String)] = [
        (1, " session2: session recovery timed out after 120 secs"),
        (1, "EXT4-fs (sdg): Remounting filesystem read-only"),
        (2, "usb 1-1: new high-speed USB device number 4 using xhci_hcd"),
        (3, "audit: type=1400 audit(1.2:3): apparmor=\"DENIED\""),
    ]

    /// Everything the store was on.
    private static let all = ["sdf", "2:0:0:1", "session1", "connection1:0"]

    /// Of the two outages, hours apart.
    private static let starts = [now - 300_000, now - 277_200]
    private static let now = Int(Date.now.timeIntervalSince1970)

    enum Format: String, CaseIterable {
        case isoJournal, preciseJournal, syslog, isoSyslog, dmesg

        func line(_ time: Int, _ text: String) -> String {
            var (seconds, fields) = (time_t(time), tm())
            gmtime_r(&seconds, &fields)
            func written(_ format: String) -> String {
                var buffer = [CChar](repeating: 0, count: 64)
                let count = strftime(&buffer, buffer.count, format, &fields)
                return String(
                    decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
            }
            switch self {
            case .isoJournal: return written("%Y-%m-%dT%H:%M:%S+0000") + " st1 kernel: \(text)"
            case .preciseJournal:
                return written("%Y-%m-%dT%H:%M:%S.123456+00:00") + " st1 kernel: \(text)"
            case .syslog:
                return written("%b %e %H:%M:%S") + " st1 kernel: [\(time % 100_000).123456] \(text)"
            case .isoSyslog: return written("%Y-%m-%dT%H:%M:%S.123456Z") + " st1 kernel: \(text)"
            case .dmesg: return "[\(time - EpisodeImportTests.booted).123456] \(text)"
            }
        }
    }

    private static let booted = now - 500_000

    private func log(_ format: Format, _ starts: [Int] = starts) -> String {
        let lines = starts.flatMap { start in
            (Self.outage + Self.others).map { (start + $0.0, $0.1) }
        }.sorted { $0.0 < $1.0 }
        return lines.map { format.line($0.0, $0.1) + "\n" }.joined()
    }

    private func imported(
        _ scene: EpisodeStage, _ text: String, _ more: String..., devices: [String] = all
    ) throws -> Finished {
        try scene.stage.write("kern.log", text)
        return try scene.inZone(
            "UTC",
            [
                "episode", "import", "--journal", scene.stage.folder + "/kern.log", "--store",
                "mail/a", "--config", scene.config,
            ] + devices.flatMap { ["--device", $0] } + more)
    }

    private func utc(_ seconds: Int) -> String {
        Date(timeIntervalSince1970: Double(seconds)).formatted(.iso8601)
    }

    /// Two outages hours apart are two linked episodes of one incident, whoever wrote the log.
    @Test(arguments: Format.allCases)
    func twoOutagesAreOneIncident(_ format: Format) throws {
        let scene = try EpisodeStage()
        let boot = format == .dmesg ? utc(Self.booted) : nil
        func run() throws -> Finished {
            try scene.stage.write("kern.log", log(format))
            return try scene.inZone(
                "UTC",
                [
                    "episode", "import", "--journal", scene.stage.folder + "/kern.log", "--store",
                    "mail/a", "--config", scene.config,
                ] + Self.all.flatMap { ["--device", $0] } + (boot.map { ["--boot", $0] } ?? []))
        }
        let found = try run()
        #expect(found.status == 0, "\(found.report)")
        let all = try scene.episodes("--since", "9000d")
        try #require(all.count == 2, "\(found.report)")
        for (episode, start) in zip(all, Self.starts) {
            #expect(episode["first_evidence"] as? String == utc(start))
            #expect(episode["detected"] as? String == utc(start + 120))
            // A log tells that all is well by what comes after alone.
            let closed = episode["closed"] as? String ?? ""
            #expect(start == Self.starts[0] ? closed == utc(start + 125) : closed >= utc(Self.now))
            #expect(episode["suspect_from"] == nil, "nothing was ever seen to be good")
            #expect(episode["class"] as? String == "gone")
            #expect(episode["classes"] as? [String] == ["io-error", "gone"])
            let evidence = episode["evidence"] as? [[String: Any]] ?? []
            let texts = evidence.compactMap { $0["text"] as? String }
            #expect(texts.count == Self.outage.count, "\(texts)")
            #expect(
                !texts.contains {
                    $0.contains("sdg") || $0.contains("session2") || $0.contains("usb")
                })
        }
        #expect(all[1]["recurrence_of"] as? String == all[0]["episode"] as? String)
        #expect(all[1]["ordinal"] as? Int == 2)
        #expect(all[1]["incident"] as? String == all[0]["incident"] as? String)

        // Once more is the same.
        let again = try run()
        #expect(again.status == 0 && again.output == found.output, "\(again.report)")
        let after = try scene.stage.resync(["episode", "list", "--json", "--since", "9000d"]).run()
        let isSame = try (objects(after.lines) as NSArray) == (all as NSArray)
        #expect(isSame)
    }

    /// What a log only notes is no trouble, and makes no episode longer.
    @Test func notesAreNoTrouble() throws {
        let scene = try EpisodeStage()
        let start = Self.starts[0]
        let notes = [
            (start - 1800, "EXT4-fs (sdf): mounted filesystem with ordered data mode"),
            (start + 3000, "EXT4-fs (sdf): mounted filesystem with ordered data mode"),
        ].map { Format.isoJournal.line($0.0, $0.1) + "\n" }
        let text = notes[0] + log(.isoJournal, [start]) + notes[1]
        let found = try imported(
            scene, text, "--good", utc(start - 600), "--to", utc(start + 2000))
        #expect(found.status == 0, "\(found.report)")
        #expect(found.text.contains("taken to be good again"), "\(found.report)")
        let episode = try scene.episodes("--since", "9000d").first
        #expect(episode?["first_evidence"] as? String == utc(start), "\(found.report)")
        #expect(episode?["closed"] as? String == utc(start + 2000), "\(found.report)")
    }

    /// What was lost in between is not known by the name of the disk.
    @Test func onlyWhatIsNamedCounts() throws {
        let scene = try EpisodeStage()
        let found = try imported(scene, log(.isoJournal, [Self.starts[0]]), devices: ["sdf"])
        #expect(found.status == 0, "\(found.report)")
        let all = try scene.episodes("--since", "9000d")
        #expect(all.map { $0["classes"] as? [String] } == [["io-error", "read-only"]])
        #expect(all.first?["first_evidence"] as? String == utc(Self.starts[0] + 121))
    }

    @Test func whatThePersonKnowsIsTaken() throws {
        let scene = try EpisodeStage()
        let (start, last) = (Self.starts[0], Self.starts[1] + 125)
        let found = try imported(
            scene, log(.isoJournal), "--good", utc(start - 600), "--to", utc(last + 3600))
        #expect(found.status == 0, "\(found.report)")
        let all = try scene.episodes("--since", "9000d")
        #expect(all.count == 2)
        #expect(all.first?["last_good"] as? String == utc(start - 600))
        #expect(all.first?["closed"] as? String == utc(start + 125))
        #expect(all.last?["closed"] as? String == utc(last + 3600))
        #expect(all.last?["suspect_to"] as? String == utc(last + 3600))
        #expect(found.text.contains("closed after") == false)
        let list = try scene.run("episode", "list", "--since", "9000d")
        #expect(list.lines.first?.hasSuffix("closed after 2 min 05 s") == true, "\(list.report)")
        #expect(list.lines.last?.hasSuffix("number 2") == true, "\(list.report)")
    }

    /// Whoever reads the log once more, and knows less, takes nothing of it back.
    @Test func whatWasSaidOfItsEndStands() throws {
        let scene = try EpisodeStage()
        let end = utc(Self.starts[1] + 7200)
        var noted: [String?] = []
        for more in [["--to", end], [], ["--good", utc(Self.starts[0] - 60)]] {
            try scene.stage.write("kern.log", log(.isoJournal))
            let found = try scene.inZone(
                "UTC",
                [
                    "episode", "import", "--journal", scene.stage.folder + "/kern.log", "--store",
                    "mail/a", "--config", scene.config,
                ] + Self.all.flatMap { ["--device", $0] } + more)
            #expect(found.status == 0, "\(found.report)")
            let all = try scene.episodes("--since", "9000d")
            #expect(all.last?["closed"] as? String == end, "\(more)")
            noted.append(all.last?["noted"] as? String)
            usleep(1_100_000)
        }
        // Until it says more than before nothing new was noted.
        #expect(noted[0] != nil && noted[0] == noted[1] && noted[1] != noted[2], "\(noted)")
    }

    /// On the days on which the clocks change, a day has not 24 hours. Months, and hours between
    /// that zone and UTC after the change.
    @Test(arguments: [(3, 2), (10, 1)])
    func timesWithoutAZoneAreThoseOfTheClock(_ month: Int, _ offset: Int) throws {
        let scene = try EpisodeStage()
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = try #require(TimeZone(identifier: "UTC"))
        var day = Date.now.addingTimeInterval(-2 * 86_400)
        while calendar.component(.month, from: day) != month
            || calendar.component(.weekday, from: day) != 1
            || calendar.component(.month, from: day.addingTimeInterval(7 * 86_400)) == month
        { day.addTimeInterval(-86_400) }
        let clock = calendar.startOfDay(for: day).addingTimeInterval(17 * 3600 + 50 * 60 + 3)
        let line = Format.syslog.line(
            Int(clock.timeIntervalSince1970), "Aborting journal on device sdf-8.")
        try scene.stage.write("kern.log", line + "\n")
        func imported(_ more: String...) throws -> Finished {
            try scene.inZone(
                "CET-1CEST,M3.5.0,M10.5.0/3",
                [
                    "episode", "import", "--journal", scene.stage.folder + "/kern.log", "--store",
                    "mail/a", "--config", scene.config, "--device", "sdf",
                ] + more)
        }
        func first() throws -> String? {
            try scene.episodes("--since", "9000d").first?["first_evidence"] as? String
        }
        let utcOfLine = Int(clock.timeIntervalSince1970)
        #expect(try imported("--zone", "-02:30").status == 0)
        #expect(try first() == utc(utcOfLine + 9000))
        #expect(try imported("--zone", "nowhere").status == 64)
        let found = try imported()
        #expect(found.status == 0, "\(found.report)")
        #expect(try first() == utc(utcOfLine - offset * 3600), "\(found.report)")
    }

    /// A line of later today was written in another zone, and not a year ago.
    @Test func whatIsStillToComeIsRefused() throws {
        let scene = try EpisodeStage()
        let line = Format.syslog.line(Self.now + 3600, "Aborting journal on device sdf-8.")
        let found = try imported(scene, line + "\n", devices: ["sdf"])
        #expect(found.status == 64, "\(found.report)")
        #expect(found.errorText.contains("say with --zone"), "\(found.report)")
        let told = try imported(scene, line + "\n", "--zone", "+02:00", devices: ["sdf"])
        #expect(told.status == 0, "\(told.report)")
        let first = try scene.episodes().first?["first_evidence"] as? String
        #expect(first == utc(Self.now - 3600))
    }

    /// What contradicts the log is no use.
    @Test func whatTheLogContradictsIsRefused() throws {
        let scene = try EpisodeStage()
        let (start, last) = (Self.starts[0], Self.starts[1] + 125)
        let early = try imported(scene, log(.isoJournal), "--to", utc(last - 10))
        #expect(early.status == 64, "\(early.report)")
        #expect(early.errorText.contains("it was not good again at"), "\(early.report)")
        let late = try imported(scene, log(.isoJournal), "--good", utc(start + 10))
        #expect(late.status == 64, "\(late.report)")
        #expect(late.errorText.contains("it was not good at"), "\(late.report)")
        let future = try imported(scene, log(.isoJournal), "--to", "2999-01-01 10:00")
        #expect(future.status == 64 && future.errorText.contains("is still to come"))
        let unknown = try imported(scene, log(.dmesg))
        #expect(unknown.status == 64 && unknown.errorText.contains("--boot"), "\(unknown.report)")
        #expect(try scene.episodes("--since", "9000d").isEmpty)
    }

    @Test func aDryRunRecordsNothing() throws {
        let scene = try EpisodeStage()
        let found = try imported(scene, log(.isoJournal), "--dry-run")
        #expect(found.status == 0 && found.lines.first?.hasPrefix("episode ") == true)
        #expect(try scene.episodes("--since", "9000d").isEmpty)
    }

    /// The order of the lines, other hosts' ends of lines and what is no log make no difference.
    @Test func aLogInPiecesIsOneLog() throws {
        let scene = try EpisodeStage()
        let pieces = [
            log(.isoSyslog, [Self.starts[1]]), "\n\n-- Boot 0123 --\n",
            log(.isoJournal, [Self.starts[0]]),
        ]
        let found = try imported(scene, pieces.joined() + "no log\n[x] y\n\u{0}\n")
        #expect(found.status == 0, "\(found.report)")
        let all = try scene.episodes("--since", "9000d")
        #expect(all.map { $0["first_evidence"] as? String } == Self.starts.map { utc($0) })
    }

    /// Soft signs alone are no episode, and what is said of other devices is nothing.
    @Test func whatCountsForNothingRecordsNothing() throws {
        let scene = try EpisodeStage()
        let soft = Format.isoJournal.line(
            Self.starts[0], "I/O error, dev sdf, sector 2048 op 0x1:(WRITE) flags 0x0")
        let found = try imported(scene, soft + "\n")
        #expect(found.status == 0 && found.text.hasPrefix("signs of trouble"), "\(found.report)")
        let other = try imported(scene, soft + "\n", devices: ["sdz"])
        #expect(other.status == 2, "\(other.report)")
        #expect(other.errorText.contains("says nothing of trouble on sdz"), "\(other.report)")
        let empty = try imported(scene, "")
        #expect(empty.status == 2, "\(empty.report)")
        #expect(try scene.episodes("--since", "9000d").isEmpty)
    }

    /// Whatever a line claims to be.
    @Test func oddLinesEndNothing() throws {
        let scene = try EpisodeStage()
        let text = "Aborting journal on device sdf-8."
        let odd = [
            "[1e300] \(text)", "[inf] \(text)", "[nan] \(text)", "[-1] \(text)", "[] \(text)",
            "[99999999999] \(text)", "[12", "0000-00-00T00:00:00Z h kernel: \(text)",
            "9999-12-31T23:59:60+23:59 h kernel: \(text)", "Feb 31 10:00:00 h kernel: \(text)",
            "Nov 24 25:00:00 h kernel: \(text)", "Nov 24 10:00:00 h smtpd[1]: \(text)",
            "2026-11-24T10:00:00Z h kernel:", String(repeating: "[", count: 70_000),
        ]
        let found = try imported(
            scene, odd.joined(separator: "\n") + "\n" + log(.isoJournal, [Self.starts[0]]),
            "--boot", utc(Self.booted))
        #expect(found.status == 0, "\(found.report.prefix(2000))")
        let all = try scene.episodes("--since", "9000d")
        #expect(all.contains { $0["first_evidence"] as? String == utc(Self.starts[0]) })
        let bytes = noise(100_000)
        try scene.stage.write("noise", bytes)
        let binary = try scene.run(
            "episode", "import", "--journal", scene.stage.folder + "/noise", "--store", "mail/a",
            "--device", "sdf", "--config", scene.config)
        #expect(binary.status == 2, "\(binary.report)")
        let nowhere = try scene.run(
            "episode", "import", "--journal", "/nowhere", "--store", "mail/a", "--device", "sdf",
            "--config", scene.config)
        #expect(nowhere.status == 2, "\(nowhere.report)")
        #expect(nowhere.errorText.contains("cannot read '/nowhere'"), "\(nowhere.report)")
    }

    /// A syslog time has no year: the latest such day past is meant, in the zone of the reader.
    @Test func aTimeWithoutAYearIsTheLatestPast() throws {
        let now = Int(Date.now.timeIntervalSince1970)
        for time in [now - 3600, now - 300 * 86400] {
            let scene = try EpisodeStage()
            let found = try imported(scene, log(.syslog, [time]))
            #expect(found.status == 0, "\(found.report)")
            let all = try scene.episodes("--since", "9000d")
            #expect(all.map { $0["first_evidence"] as? String } == [utc(time)])
        }
    }
}

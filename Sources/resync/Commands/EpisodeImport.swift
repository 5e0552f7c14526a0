import ArgumentParser
import Glibc
import ResyncCore
import ResyncLedger
import ResyncStorage

extension EpisodeCommand {
    struct Import: ResyncCommand {
        static let configuration = CommandConfiguration(
            abstract: "Find episodes in the kernel log of a machine where nothing was watching.",
            discussion: """
                FILE is what 'journalctl -k -o short-iso', a syslog daemon, or dmesg (with --boot) \
                wrote. A log never says that all is well again: an episode ends with --to, or \
                with the last message, and begins with whatever --good says was good before.
                """)

        @Option(
            name: .long, help: ArgumentHelp("The kernel log, as text.", valueName: "FILE"))
        var journal: String

        @Option(
            name: .long,
            help: ArgumentHelp("The store it was about, as mail/a.", valueName: "STORE"))
        var store: String

        @Option(
            name: .long,
            help: ArgumentHelp(
                "What the store was on, as the log names it: sdf, dm-3, 2:0:0:1, session3, "
                    + "connection3:0, a server. Repeatable.",
                valueName: "NAME"))
        var device: [String]

        @Option(
            name: .long,
            help: ArgumentHelp("The store was good then.", valueName: "TIME"))
        var good: String?

        @Option(name: .long, help: ArgumentHelp("It was good again then.", valueName: "TIME"))
        var to: String?

        @Option(
            name: .long,
            help: ArgumentHelp("When the machine was booted, for dmesg.", valueName: "TIME"))
        var boot: String?

        @Flag(name: .long, help: "Only print what would be recorded.")
        var dryRun = false

        @OptionGroup var file: ConfigurationOptions
        @OptionGroup var state: StateOptions

        private static let sizeLimit = 256 << 20
        /// Seconds without trouble after which trouble is another episode.
        private static let gap: Int64 = 3600

        mutating func execute() throws -> ExitStatus {
            let found = try evidence()
            guard !found.isEmpty else {
                throw CommandError(
                    "'\(escaped(journal.utf8))' says nothing of trouble on "
                        + device.map { escaped($0.utf8) }.joined(separator: ", "))
            }
            let ledger = try LedgerFile.openOrMake(in: try state.open())
            let path = try ManualEpisode.path(of: store, ledger, file)
            let end = try to.map { try pastTime($0) }
            let start = try good.map { try pastTime($0, before: found[0].at.wall) }
            if let end, let last = found.last?.at.wall, end < last {
                throw CommandError(
                    "the log tells of trouble until \(last.localText): it was not good again at "
                        + end.localText, .usage)
            }
            if let start, start > found[0].at.wall {
                throw CommandError(
                    "the log tells of trouble from \(found[0].at.wall.localText) on: it was not "
                        + "good at \(start.localText)", .usage)
            }
            var groups: [[Evidence]] = []
            for piece in found {
                if let last = groups.last?.last,
                    piece.at.wall.seconds - last.at.wall.seconds <= Self.gap
                {
                    groups[groups.count - 1].append(piece)
                } else {
                    groups.append([piece])
                }
            }
            var recorded = 0
            for group in groups where group.contains(where: { $0.strength == .hard }) {
                let isLast = group.last == found.last
                let record = try record(
                    group, path, good: start, to: isLast ? end : nil, ledger)
                if !dryRun { try ledger.save(record) }
                recorded += 1
                let lines = EpisodeReport.lines(record)
                try StandardOutput.shared.write(lines.joined(separator: "\n") + "\n\n")
            }
            if recorded == 0 {
                try StandardOutput.shared.write("signs of trouble, but none that counts alone\n")
            }
            return .ok
        }

        private func record(
            _ group: [Evidence], _ path: [UInt8], good: Timestamp?, to end: Timestamp?,
            _ ledger: Ledger
        ) throws -> EpisodeRecord {
            let hard = group.first { $0.strength == .hard }
            guard let first = group.first, let last = group.last, let hard,
                let kind = hard.kind
            else { throw CommandError("nothing is to be recorded") }
            // The same log gives the same episode, however often it is read.
            let digits = first.at.wall.utcText.filter { $0.isNumber }
            let name = store.split(separator: "/").joined(separator: "-")
            let id = "e\(digits)-import-\(name)"
            var episode = Episode(
                id: id, store: store, bootID: "",
                lastGood: good.map { Moment(boot: 0, wall: $0) }, firstEvidence: first.at,
                detected: hard.at, steps: [Episode.Step(kind, hard.at)])
            for piece in group {
                episode.add(piece)
                if piece.strength == .hard, let kind = piece.kind {
                    _ = episode.rise(to: kind, at: piece.at)
                }
            }
            episode.firstGood = Moment(boot: 0, wall: end ?? last.at.wall)
            episode.closed = episode.firstGood
            episode.ending = .person
            episode.note =
                "from \(escaped(journal.utf8))" + (end == nil ? "; a log tells no end" : "")
            try ManualEpisode.place(&episode, ledger)
            return EpisodeRecord(episode, path: path, margin: writeBackMargin())
        }

        private func evidence() throws -> [Evidence] {
            let names = Set(device.map { RawArguments.bytes($0) })
            let booted = try boot.map { try pastTime($0) }
            var found: [Evidence] = []
            let text = try wholeFile(
                RawArguments.bytes(journal), limit: Self.sizeLimit, .trouble)
            for line in text.split(separator: UInt8(ascii: "\n")) {
                guard let parsed = KernelLogLine(Array(line)),
                    let message = KernelMessage(text: parsed.text),
                    message.subject.map({ names.contains($0.bytes) }) ?? true
                else { continue }
                guard let time = wall(parsed.time, booted) else {
                    throw CommandError(
                        "'\(escaped(journal.utf8))' counts from the machine's boot: say with "
                            + "--boot when that was", .usage)
                }
                let (strength, kind) = Evidence.weight(ofKernel: message.what)
                found.append(
                    Evidence(
                        .kernel, strength, kind, what: message.what, text: message.text,
                        at: Moment(boot: 0, wall: time)))
            }
            guard found.contains(where: { $0.strength != .context }) else { return [] }
            // Several files may have been put together in any order.
            return found.enumerated().sorted {
                ($0.element.at.wall, $0.offset) < ($1.element.at.wall, $1.offset)
            }.map { $0.element }
        }

        private func wall(_ time: KernelLogLine.Time, _ boot: Timestamp?) -> Timestamp? {
            switch time {
            case .wall(let time): return time
            case .sinceBoot(let seconds): return boot?.adding(seconds: Int64(seconds))
            case .local(let month, let day, let seconds):
                var (now, fields) = (time_t(Timestamp.now.seconds), tm())
                localtime_r(&now, &fields)
                (fields.tm_mon, fields.tm_mday) = (Int32(month - 1), Int32(day))
                (fields.tm_hour, fields.tm_min, fields.tm_sec) = (0, 0, Int32(seconds))
                fields.tm_isdst = -1
                var last = fields
                last.tm_year -= 1
                let found = mktime(&fields)
                // No year is written: the latest such day past is meant.
                return Timestamp(
                    seconds: Int64(found > now ? mktime(&last) : found), nanoseconds: 0)
            }
        }
    }
}

/// Episodes that no watcher saw.
enum ManualEpisode {
    /// Where a store is, by what was remembered or configured.
    static func path(
        of store: String, _ ledger: Ledger, _ file: ConfigurationOptions
    ) throws -> [UInt8] {
        guard StoreName.isValid(store) else {
            throw CommandError("'\(escaped(store.utf8))' is no name of a store", .usage)
        }
        if let known = try ledger.stores().first(where: { $0.name == store }) {
            return known.path
        }
        let configuration = try ConfigurationFile.load(file.path)
        guard let found = configuration.stores.first(where: { $0.name == store }) else {
            throw CommandError("no store '\(store)' is configured", .usage)
        }
        return found.store.path
    }

    static func record(
        _ store: String, _ path: [UInt8], _ kind: EpisodeClass, from start: Timestamp,
        to end: Timestamp?, note: String, _ ledger: Ledger
    ) throws -> EpisodeRecord {
        let now = Moment.now
        let passed = Double(max(0, now.wall.seconds - start.seconds))
        let began = Moment(boot: now.earlier(bySeconds: passed).boot, wall: start)
        let digits = now.wall.utcText.filter { $0.isNumber }
        var episode = Episode(
            id: "e\(digits)-\(hexText(try randomBytes(2)))", store: store, bootID: bootIdentity(),
            lastGood: began, firstEvidence: began, detected: began,
            steps: [Episode.Step(kind, began)])
        episode.add(
            Evidence(
                .person, .hard, kind, what: "person.opened", text: Array(note.utf8), at: began))
        episode.note = note
        if let end {
            episode.firstGood = Moment(boot: 0, wall: end)
            episode.closed = episode.firstGood
            episode.ending = .person
        }
        try place(&episode, ledger)
        return EpisodeRecord(episode, path: path, margin: writeBackMargin())
    }

    /// What a person says of a store whose episode is open already.
    static func adding(
        _ kind: EpisodeClass, _ note: String, to record: EpisodeRecord
    ) -> EpisodeRecord {
        var record = record
        let now = Moment.now
        record.episode.add(
            Evidence(
                .person, .hard, kind, what: "person.opened", text: Array(note.utf8), at: now))
        _ = record.episode.rise(to: kind, at: now)
        return record
    }

    static func place(_ episode: inout Episode, _ ledger: Ledger) throws {
        let first = episode.firstEvidence.wall.adding(seconds: -8 * 86400)
        try ledger.chronicle(since: first).place(&episode) { moment in
            "i" + moment.wall.utcText.filter { $0.isNumber }
        }
    }
}

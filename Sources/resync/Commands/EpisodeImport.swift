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
                wrote. A log never says that all is well again: the last episode ends with --to, \
                or now, and it begins with whatever --good says was good before.
                """)

        @Option(
            name: .long, help: ArgumentHelp("The kernel log, as text.", valueName: "FILE"),
            completion: .file())
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

        @Option(
            name: .long, parsing: .unconditional,
            help: ArgumentHelp(
                "In which zone the log was written, where its times have none: Z, +01:00; this "
                    + "machine's, where nothing is said.",
                valueName: "ZONE"))
        var zone: String?

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
            // Notes about the machine are no trouble.
            let signs = found.filter { $0.strength != .context }.map(\.at.wall)
            guard let firstSign = signs.first, let lastSign = signs.last else {
                try StandardOutput.shared.write("no signs of trouble, only notes\n")
                return .ok
            }
            let end = try to.map { try pastTime($0) }
            let start = try good.map { try pastTime($0, before: firstSign) }
            if let end, end < lastSign {
                throw CommandError(
                    "the log tells of trouble until \(lastSign.localText): it was not good again "
                        + "at \(end.localText)", .usage)
            }
            if let start, start > firstSign {
                throw CommandError(
                    "the log tells of trouble from \(firstSign.localText) on: it was not "
                        + "good at \(start.localText)", .usage)
            }
            var groups: [[Evidence]] = []
            for piece in found {
                if let last = groups.last?.last(where: { $0.strength != .context }),
                    piece.at.wall.seconds - last.at.wall.seconds <= Self.gap
                {
                    groups[groups.count - 1].append(piece)
                } else {
                    groups.append([piece])
                }
            }
            groups.removeAll { group in !group.contains { $0.strength == .hard } }
            for (index, group) in groups.enumerated() {
                let isLast = index == groups.count - 1
                let record = try record(
                    group, path, good: start, to: isLast ? end : Self.lastSign(of: group), ledger)
                if !dryRun { try ledger.save(record) }
                let lines = EpisodeReport.lines(record)
                try StandardOutput.shared.write(lines.joined(separator: "\n") + "\n\n")
            }
            if groups.isEmpty {
                try StandardOutput.shared.write("signs of trouble, but none that counts alone\n")
            }
            return .ok
        }

        private static func lastSign(of group: [Evidence]) -> Timestamp? {
            group.last { $0.strength != .context }?.at.wall
        }

        /// - Parameter end: as a person said, or as what comes after tells; nil where nobody said.
        private func record(
            _ group: [Evidence], _ path: [UInt8], good: Timestamp?, to end: Timestamp?,
            _ ledger: Ledger
        ) throws -> EpisodeRecord {
            let hard = group.first { $0.strength == .hard }
            let sign = group.first { $0.strength != .context }
            guard let first = sign, let hard, let kind = hard.kind
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
            // What was said before stands, where nothing is said now.
            let before = try ledger.episode(id).flatMap { $0.episode.id == id ? $0 : nil }
            let ended = end ?? before?.episode.closed?.wall ?? .now
            episode.firstGood = Moment(boot: 0, wall: ended)
            episode.closed = episode.firstGood
            episode.ending = .person
            episode.note =
                "from \(escaped(journal.utf8))"
                + (end == nil ? "; nobody said when it was good again" : "")
            try ManualEpisode.place(&episode, ledger)
            var record = EpisodeRecord(
                episode, path: path, margin: try ManualEpisode.margin(of: store, path, ledger),
                noted: .now)
            // What gates knew already they went by.
            if let before, before.isAsBad(as: record) { record.noted = before.noted }
            return record
        }

        private func evidence() throws -> [Evidence] {
            let names = Set(device.map { RawArguments.bytes($0) })
            let booted = try boot.map { try pastTime($0) }
            let zone = try zone.map { try secondsEast($0) }
            var found: [Evidence] = []
            let text = try wholeFile(
                RawArguments.bytes(journal), limit: Self.sizeLimit, .trouble)
            for line in text.split(separator: UInt8(ascii: "\n")) {
                guard let parsed = KernelLogLine(Array(line)),
                    let message = KernelMessage(text: parsed.text),
                    message.subject.map({ names.contains($0.bytes) }) ?? true
                else { continue }
                guard let time = try wall(parsed.time, booted, zone) else {
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

        private func wall(
            _ time: KernelLogLine.Time, _ boot: Timestamp?, _ zone: Int64?
        ) throws -> Timestamp? {
            switch time {
            case .wall(let time): return time
            case .sinceBoot(let seconds): return boot?.adding(seconds: Int64(seconds))
            case .local(let month, let day, let seconds):
                let now = Timestamp.now
                guard var fields = now.fields(east: zone) else { return nil }
                (fields.tm_mon, fields.tm_mday) = (Int32(month - 1), Int32(day))
                (fields.tm_hour, fields.tm_min) = (Int32(seconds / 3600), Int32(seconds / 60 % 60))
                fields.tm_sec = Int32(seconds % 60)
                let found = Timestamp(fields, east: zone)
                if found <= now { return found }
                guard found > now.adding(seconds: Self.day) else {
                    throw CommandError(
                        "'\(escaped(journal.utf8))' tells of \(found.localText), which is still to "
                            + "come: say with --zone in which zone it was written", .usage)
                }
                // No year is written: the latest such day past is meant.
                fields.tm_year -= 1
                return Timestamp(fields, east: zone)
            }
        }

        private static let day: Int64 = 86_400
    }
}

extension EpisodeRecord {
    /// Whether it voids what another one does.
    fileprivate func isAsBad(as other: EpisodeRecord) -> Bool {
        window == other.window && end == other.end
            && episode.reachesAll == other.episode.reachesAll && path == other.path
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
        var id = ""
        repeat {
            id = "e\(digits)-\(hexText(try randomBytes(2)))"
        } while try ledger.episode(id) != nil
        var episode = Episode(
            id: id, store: store, bootID: bootIdentity(),
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
        return EpisodeRecord(
            episode, path: path, margin: try margin(of: store, path, ledger), noted: now.wall)
    }

    /// Seconds before an episode in which what was written, by the store's times, may have been
    /// lost.
    static func margin(of store: String, _ path: [UInt8], _ ledger: Ledger) throws -> Double {
        let clock = try ledger.stores().first { $0.name == store }?.sight?.clock ?? 0
        return writeBackMargin(of: path) + max(0, -Double(clock))
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

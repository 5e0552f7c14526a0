import ArgumentParser
import ResyncCore
import ResyncEngine
import ResyncLedger
import ResyncStorage

struct EpisodeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "episode",
        abstract: "The times in which a store was not safely writable.",
        subcommands: [
            List.self, Show.self, Open.self, Close.self, Import.self, Maintenance.self,
            Accept.self,
        ])

    struct List: JSONCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the episodes of the last 30 days, and all that are open.",
            discussion: """
                The status is 1 when one is open, and 2 when it is not known which there were. \
                What a watcher could not write down yet is listed, too.
                """)

        @Option(
            name: .long,
            help: ArgumentHelp("Those of so long, as 7d, instead.", valueName: "TIME"))
        var since = "30d"

        @OptionGroup var format: JSONOptions

        @OptionGroup var state: StateOptions

        mutating func execute() throws -> ExitStatus {
            let seconds = try parsing(since, parseDuration)
            let knowledge = EpisodeKnowledge(try state.open())
            let time = Timestamp.now.adding(seconds: -Int64(seconds))
            if knowledge.ledger == nil, let failure = knowledge.failure {
                throw CommandError(failure)
            }
            let records = try knowledge.ledger?.episodes(since: time) ?? []
            for record in records {
                try StandardOutput.shared.write(
                    json
                        ? EpisodeReport.jsonLine(record).bytes
                        : Array("\(EpisodeReport.line(record))\n".utf8))
            }
            let unkept = knowledge.unkept
            for (store, episode) in unkept {
                var line = JSONLine(type: "unwritten")
                line.field("store", store.name)
                line.field("episode", episode)
                line.field("state", store.state.word)
                try StandardOutput.shared.write(
                    json
                        ? line.bytes
                        : Array(
                            ("\(episode)  \(store.name)  not written down yet; the store is "
                                + "\(store.state.word)\n").utf8))
            }
            let isOpen = records.contains { $0.episode.isOpen } || !unkept.isEmpty
            if records.isEmpty, unkept.isEmpty, !json {
                try StandardOutput.shared.write("no episodes\n")
            }
            var status = isOpen ? ExitStatus.differences : .ok
            if let failure = knowledge.failure {
                Main.complain(failure)
                status.merge(.trouble)
            }
            if let lost = knowledge.lost {
                Main.complain(
                    "the ledger that knew of episodes until \(lost.localText) is lost: which there "
                        + "were before is not known")
                status.merge(.trouble)
            }
            return status
        }
    }

    struct Show: JSONCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print an episode, or an incident, with all that is known of it.",
            discussion: "ID is an episode's or an incident's, a part that only one has, or last.")

        @Argument(help: ArgumentHelp("The episode or incident.", valueName: "ID"))
        var id = "last"

        @OptionGroup var format: JSONOptions

        @OptionGroup var state: StateOptions

        mutating func execute() throws -> ExitStatus {
            let ledger = try LedgerFile.open(in: try state.open())
            let output = StandardOutput.shared
            let records = try found(ledger)
            guard !records.isEmpty else {
                throw CommandError("there is no episode '\(escaped(id.utf8))'")
            }
            if !json, records.count > 1 {
                try output.write(
                    "incident  \(records[0].episode.incident): \(records.count) episodes\n\n")
            }
            for (index, record) in records.enumerated() {
                if json {
                    try output.write(EpisodeReport.jsonLine(record).bytes)
                } else {
                    if index > 0 { try output.write("\n") }
                    let lines = EpisodeReport.lines(record)
                    try output.write(lines.joined(separator: "\n") + "\n")
                }
            }
            return records.contains { $0.episode.isOpen } ? .differences : .ok
        }

        private func found(_ ledger: Ledger?) throws -> [EpisodeRecord] {
            guard let ledger else { return [] }
            if id == "last" { return try ledger.lastEpisode().map { [$0] } ?? [] }
            if let one = try ledger.episode(id) { return [one] }
            return try ledger.episodes(ofIncident: id)
        }
    }

    struct Open: ResyncCommand {
        static let configuration = CommandConfiguration(
            abstract: "Say that a store was, or is, not to be trusted.",
            discussion: """
                With --to it is over, and only recorded. Without, it stays open until probes are \
                verified, or a person closes it. A time of day alone is the latest such time past, \
                in local time; with a date as '2026-11-21 17:50', with Z or +01:00 in that zone.
                """)

        @Argument(help: ArgumentHelp("The store, as mail/a.", valueName: "STORE"))
        var store: String

        @Option(name: .long, help: ArgumentHelp("When it began.", valueName: "TIME"))
        var from: String?

        @Option(name: .long, help: ArgumentHelp("When it was over.", valueName: "TIME"))
        var to: String?

        @Option(
            name: .customLong("class"),
            help: ArgumentHelp(
                "What was wrong: read-only, io-error, stall, gone, lost-write and others.",
                valueName: "CLASS"))
        var kind = EpisodeClass.readOnly.rawValue

        @Option(name: .long, help: ArgumentHelp("Why.", valueName: "TEXT"))
        var note: String

        @OptionGroup var file: ConfigurationOptions
        @OptionGroup var state: StateOptions

        mutating func execute() throws -> ExitStatus {
            let known = EpisodeClass.allCases.filter { $0 != .unwatched }
            guard let kind = EpisodeClass(rawValue: kind), known.contains(kind) else {
                let known = known.map { $0.rawValue }.joined(separator: ", ")
                throw CommandError(
                    "there is no class '\(escaped(self.kind.utf8))': \(known)", .usage)
            }
            let end = try to.map { try pastTime($0) }
            let start = try from.map { try pastTime($0, before: end ?? .now) } ?? .now
            if let end, end < start { throw CommandError("it ends before it begins", .usage) }
            let shown = end.map { " to \($0.localText)" } ?? ""
            Main.complain("not to be trusted from \(start.localText)\(shown)")
            let state = try state.open()
            // A watcher can be told whatever became of the ledger.
            let open = try? LedgerFile.open(in: state)?.openEpisodes()
                .first { $0.episode.store == store }
            if end == nil, from != nil, let open, let known = open.window.start, start < known {
                throw CommandError(
                    "episode \(open.episode.id) is open already, and suspect from "
                        + "\(known.localText) on: what was before that is an episode with --to",
                    .usage)
            }
            if end == nil, let client = try WatchClient(state) {
                let seconds = Double(max(0, Timestamp.now.seconds - start.seconds))
                try client.tell(.open(store: store, kind, seconds: seconds, note: note))
                return .ok
            }
            let ledger = try LedgerFile.openOrMake(in: state)
            let record: EpisodeRecord
            if end == nil, let open {
                record = ManualEpisode.adding(kind, note, to: open)
            } else {
                record = try ManualEpisode.record(
                    store, try ManualEpisode.path(of: store, ledger, file), kind, from: start,
                    to: end, note: note, ledger)
            }
            try ledger.save(record)
            try StandardOutput.shared.write("\(EpisodeReport.line(record))\n")
            return .ok
        }
    }

    struct Close: ResyncCommand {
        static let configuration = CommandConfiguration(
            abstract: "Say that an episode is over, though nothing has proved it.",
            discussion: """
                Whoever closes it vouches for what is at the store's place now: its file system \
                is from then on the one that belongs there. Whoever closes one of the class \
                unwatched vouches that nothing was lost meanwhile: then it counts no longer, and \
                gates are as they were before it.
                """)

        @Argument(help: ArgumentHelp("The episode.", valueName: "ID"))
        var id: String

        @Option(name: .long, help: ArgumentHelp("Why.", valueName: "TEXT"))
        var note: String

        @OptionGroup var state: StateOptions

        mutating func execute() throws -> ExitStatus {
            let state = try state.open()
            let ledger = try LedgerFile.open(in: state)
            let record = try ledger?.episode(id)
            // What the watcher knows may not be in the ledger yet, and the other way round.
            let name = record?.episode.id ?? id
            if let client = try WatchClient(state),
                try client.status().contains(where: { $0.episode == name })
            {
                try WatchClient(state)?.tell(.close(episode: name, note: note))
                return .ok
            }
            guard let ledger, var record else {
                throw CommandError("there is no episode '\(escaped(id.utf8))'")
            }
            let isOver = !record.episode.isOpen
            guard !isOver || record.episode.kind == .unwatched && !record.episode.isExcused else {
                throw CommandError("episode \(record.episode.id) is closed already")
            }
            if !isOver { record.episode.closed = .now }
            record.episode.ending = .person
            record.episode.note = note
            try ledger.save(record)
            if !isOver { try vouch(record, ledger) }
            return .ok
        }

        /// The next watcher takes what it finds at the store's place for the store.
        private func vouch(_ record: EpisodeRecord, _ ledger: Ledger) throws {
            let known = try ledger.stores().first {
                $0.name == record.episode.store && $0.path == record.path
            }
            guard var store = known else { return }
            (store.sequence, store.fileSystem) = (0, nil)
            try ledger.save([store])
        }
    }

    struct Accept: ResyncCommand {
        static let configuration = CommandConfiguration(
            abstract: "Accept the errors that a store's file system counts.",
            discussion: """
                ext4 counts its errors, and only a check of it (fsck) sets the count back. While \
                it is above what was accepted, gates of the store's modules stay undecided. \
                Errors that come later are told as ever.
                """)

        @Argument(help: ArgumentHelp("The store, as mail/a.", valueName: "STORE"))
        var store: String

        @Option(name: .long, help: ArgumentHelp("Why.", valueName: "TEXT"))
        var note: String

        @OptionGroup var state: StateOptions

        mutating func execute() throws -> ExitStatus {
            let state = try state.open()
            if let client = try WatchClient(state) {
                try client.tell(.accept(store: store, note: note))
                return .ok
            }
            guard let ledger = try LedgerFile.open(in: state),
                var record = try ledger.stores().first(where: { $0.name == store })
            else { throw CommandError("nobody ever watched a store '\(escaped(store.utf8))'") }
            record.errors.accept()
            try ledger.save([record])
            try ledger.save([
                SuspicionNote(store, .began(record.errors.acceptance(note, at: .now)))
            ])
            return .ok
        }
    }

    struct Maintenance: ResyncCommand {
        static let configuration = CommandConfiguration(
            abstract: "Announce work on a store, which then opens no episode.",
            discussion: """
                Until then it may be read-only, frozen, slow or unmounted. Errors are told as \
                ever, and what is still wrong at the end is.
                """)

        @Argument(help: ArgumentHelp("The store, as mail/a.", valueName: "STORE"))
        var store: String

        @Option(
            name: .customLong("for"),
            help: ArgumentHelp("How long, as 1h; 0 ends it.", valueName: "TIME"))
        var length: String

        @OptionGroup var state: StateOptions

        mutating func execute() throws -> ExitStatus {
            let seconds = try parsing(length, parseDuration)
            guard let client = try WatchClient(try state.open()) else {
                throw CommandError("no watcher is running")
            }
            try client.tell(.maintenance(store: store, seconds: seconds))
            let until = Timestamp.now.adding(seconds: Int64(seconds)).localText
            Main.complain(
                seconds > 0
                    ? "\(store) is in maintenance until \(until): what is done to it is no episode"
                    : "the maintenance of \(store) is over")
            return .ok
        }
    }
}

/// What the option parser of a quantity refuses is wrong usage.
func parsing<Value>(
    _ text: String, _ parse: (String) throws(QuantityError) -> Value
) throws -> Value {
    do throws(QuantityError) {
        return try parse(text)
    } catch {
        throw CommandError(error.reason, .usage)
    }
}

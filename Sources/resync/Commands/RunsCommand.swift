import ArgumentParser
import Glibc
import ResyncCore
import ResyncEngine
import ResyncLedger
import ResyncStorage

struct RunsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "runs", abstract: "What earlier runs found, and going on with them.",
        subcommands: [
            List.self, Show.self, Resume.self, Pause.self, Limit.self, Delete.self,
        ])

    struct List: ResyncCommand {
        static let configuration = CommandConfiguration(abstract: "List the runs that are kept.")

        @OptionGroup var state: StateOptions

        mutating func execute() throws -> ExitStatus {
            let state = try state.open()
            for id in try RunFolder.list(in: state.runs) {
                let run = try RunFolder.open(id, in: state.runs)
                try StandardOutput.shared.write(line(id, run, in: state) + "\n")
            }
            return .ok
        }

        private func line(_ id: String, _ run: RunFolder, in state: StateFolder) -> String {
            guard let header = try? run.header() else { return "\(id)  damaged" }
            let result: String
            if (try? run.isUnderWay(in: state.runs)) == true {
                result = run.order().isPaused ? "under way, paused" : "under way"
            } else if header.kind == "apply" {
                result = (try? ApplyFolder(reading: run))?.standing ?? "damaged"
            } else if let summary = try? run.summary() {
                result = summary.verdict
            } else {
                result = (try? run.checkpoint()) == nil ? "without a result" : "can be resumed"
            }
            return "\(id)  \(header.kind)  \(escaped(header.a))  \(escaped(header.b))  \(result)"
        }
    }

    struct Show: JSONCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print what a run found.",
            discussion: "RUN is an id, an unambiguous beginning or end of one, or last.")

        @Argument(help: ArgumentHelp("The run.", valueName: "RUN"))
        var run = "last"

        @OptionGroup var format: JSONOptions

        @OptionGroup var state: StateOptions

        mutating func execute() throws -> ExitStatus {
            let state = try state.open()
            let run = try RunFolder.open(try state.runID(run), in: state.runs)
            let header = try run.header()
            if !json {
                try StandardOutput.shared.write(
                    "\(run.id): \(header.kind) \(escaped(header.a)) \(escaped(header.b)), begun "
                        + "\(header.started.utcText)\n")
            }
            guard header.kind != "scan" else { throw Self.unfinished }
            if header.kind == "apply" { return try show(try ApplyFolder(reading: run)) }
            var reader = try run.results()
            while let record = try reader.next() {
                guard case .difference(let difference) = record else { continue }
                if json {
                    try JSONReport.add(record)
                } else {
                    try StandardOutput.shared.write(TextReport.line(difference) + "\n")
                }
            }
            guard let summary = try run.summary() else { throw Self.unfinished }
            if json {
                try JSONReport.summary(summary)
            } else {
                try StandardOutput.shared.write(TextReport.summaryText(summary, run.id))
            }
            return summary.status
        }

        private func show(_ folder: ApplyFolder) throws -> ExitStatus {
            let report = ApplyReport(folder, json: json)
            try report.actions()
            let result = ApplyResult(counts: folder.state.counts, ending: .complete)
            try report.summary("applied", result, result.status)
            if !json { try StandardOutput.shared.write(folder.standing + "\n") }
            return result.status
        }

        private static var unfinished: CommandError {
            CommandError("the run has no result yet; 'resync runs resume' goes on")
        }
    }

    struct Resume: ResyncCommand {
        static let configuration = CommandConfiguration(
            abstract: "Go on with a run that was interrupted or paused.",
            discussion: """
                What 'resync apply' was interrupted in, the same 'resync apply' goes on with; \
                what 'resync runs pause' holds up goes on where it is.
                """)

        @Argument(help: ArgumentHelp("The run.", valueName: "RUN"))
        var run = "last"

        @OptionGroup var state: StateOptions

        mutating func execute() throws -> ExitStatus {
            let state = try state.open()
            let id = try state.runID(run)
            let run = try RunFolder.open(id, in: state.runs)
            if try run.isUnderWay(in: state.runs) {
                guard run.order().isPaused else { throw RunError.busy(id) }
                return try Order(run, in: state).change { $0.isPaused = false }
            }
            let header = try run.header()
            if let summary = try run.summary(), summary.ending == .complete {
                throw RunError.nothingToResume(id)
            }
            switch try header.command() {
            case let verify as VerifyCommand:
                return try verify.execute(
                    resuming: id, arguments: header.arguments.map { RawArguments.text($0) })
            case let scan as ScanCommand: return try scan.execute(resuming: id)
            case is ApplyCommand:
                throw CommandError(
                    "'resync apply' with the same plan goes on with run \(id)", .usage)
            default: throw RunError.nothingToResume(id)
            }
        }
    }

    struct Pause: ResyncCommand {
        static let configuration = CommandConfiguration(
            abstract: "Hold up a run that is under way.",
            discussion: """
                It stops within two seconds, between two calls, and holds what it holds; \
                'resync runs resume' lets it go on, an interrupt ends it.
                """)

        @Argument(help: ArgumentHelp("The run.", valueName: "RUN"))
        var run = "last"

        @OptionGroup var state: StateOptions

        mutating func execute() throws -> ExitStatus {
            try Order(run, state).change { $0.isPaused = true }
        }
    }

    struct Limit: ResyncCommand {
        static let configuration = CommandConfiguration(
            abstract: "Change the rates of a run that is under way.",
            discussion: "What is not named stays as it is.")

        @Argument(help: ArgumentHelp("The run.", valueName: "RUN"))
        var run = "last"

        @Option(
            name: .long,
            help: ArgumentHelp(
                "Read no faster than this from each side; none for any rate.", valueName: "RATE"))
        var readLimit: String?

        @Option(
            name: .long,
            help: ArgumentHelp("Write no faster than this; none for any rate.", valueName: "RATE"))
        var writeLimit: String?

        @OptionGroup var state: StateOptions

        mutating func execute() throws -> ExitStatus {
            guard readLimit != nil || writeLimit != nil else {
                throw CommandError("say --read-limit RATE or --write-limit RATE", .usage)
            }
            let (read, write) = (try readLimit.map(limit), try writeLimit.map(limit))
            return try Order(run, state).change { order in
                if let read { order.readLimit = read }
                if let write { order.writeLimit = write }
            }
        }

        private func limit(_ text: String) throws -> Int {
            try text == "none" ? 0 : rate(text)
        }
    }

    struct Delete: ResyncCommand {
        static let configuration = CommandConfiguration(abstract: "Forget a run.")

        @Argument(help: ArgumentHelp("The runs.", valueName: "RUN"))
        var runs: [String]

        @OptionGroup var state: StateOptions

        mutating func execute() throws -> ExitStatus {
            let state = try state.open()
            // Once, or a second 'last' would be another one.
            for id in Set(try runs.map { try state.runID($0) }).sorted() {
                let run = try RunFolder.open(id, in: state.runs)
                // First, or an apply could go on with it after its journal was read.
                try run.lock()
                try refuseLosing(run)
                try removeUndoFiles(run)
                try run.delete(
                    from: state.runs,
                    to: isNoted(run, in: state) ? nil : try state.forgotten(create: true))
            }
            return .ok
        }
    }

    /// Whether nothing is to be remembered of what a run found, and of what was decided about it,
    /// or the ledger does.
    private static func isNoted(_ run: RunFolder, in state: StateFolder) -> Bool {
        do {
            guard let record = try run.record(), record.findings > 0 else { return true }
            guard let ledger = try LedgerFile.open(in: state) else { return false }
            try ledger.save(record)
            try ledger.save(try run.decisions(), of: run.id)
            return true
        } catch {
            return false
        }
    }

    /// What a run displaced or made cannot be found again without its journal, nor an image's bytes
    /// at all.
    private static func refuseLosing(_ run: RunFolder) throws {
        guard try run.isOfApply() else { return }
        let reason: String?
        do {
            let folder = try ApplyFolder(reading: run)
            if folder.reasonToKeep == nil { try refuseStrays(folder) }
            reason = folder.reasonToKeep
        } catch let error as FormatError {
            reason = "is damaged (\(error.reason))"
        }
        guard let reason else { return }
        throw CommandError(
            "run \(run.id) \(reason): take it back ('resync undo'), or confirm it and let its "
                + "quarantine go ('resync quarantine purge')", .refused)
    }

    private static func removeUndoFiles(_ run: RunFolder) throws {
        guard try run.isOfApply() else { return }
        try Quarantine(try ApplyFolder(reading: run)).removeUndoFiles()
    }

    private static func refuseStrays(_ folder: ApplyFolder) throws {
        guard folder.mayHaveStrays else { return }
        guard let sites = try reachable(folder) else {
            throw CommandError(
                "run \(folder.run.id) may have entries in the quarantine of a store that cannot be "
                    + "looked at", .refused)
        }
        let count = try Quarantine(folder).strays(sites).count
        guard count > 0 else { return }
        throw CommandError(
            "run \(folder.run.id) has \(countText(count)) entries in quarantine that it made or "
                + "put aside: see 'resync quarantine list', and let them go ('resync quarantine "
                + "purge' or 'erase')", .refused)
    }

    /// What a run that another process works on is told.
    private struct Order {
        private let run: RunFolder

        init(_ run: RunFolder, in state: StateFolder) throws {
            guard try run.isUnderWay(in: state.runs) else {
                throw CommandError("run \(run.id) is not under way")
            }
            self.run = run
        }

        init(_ text: String, _ options: StateOptions) throws {
            let state = try options.open()
            try self.init(try RunFolder.open(try state.runID(text), in: state.runs), in: state)
        }

        func change(_ body: (inout PaceOrder) -> Void) throws -> ExitStatus {
            var order = run.order()
            body(&order)
            try run.give(order)
            return .ok
        }
    }
}

extension RunHeader {
    /// The command that began the run, in the directory that its paths were given relative to.
    func command() throws -> any ParsableCommand {
        let path = workingDirectory.map { CChar(bitPattern: $0) } + [0]
        guard chdir(path) == 0 else {
            throw CommandError(
                "cannot go to '\(escaped(workingDirectory))': "
                    + ErrorNumber.sentence(errno) + " (chdir)")
        }
        let arguments = arguments.map { RawArguments.text($0) }
        return try Resync.parseAsRoot(arguments)
    }

    /// As `command`; nil where it was no comparison.
    func verifyCommand() throws -> VerifyCommand? { try command() as? VerifyCommand }
}

extension ApplyFolder {
    /// In which state the run is, in a few words.
    var standing: String {
        if state.isCutOff {
            return state.isBeingUndone ? "cut off; undo goes on" : "cut off; apply or undo goes on"
        }
        if state.isTakenBack { return "taken back" }
        if state.isBeingUndone {
            return state.isOver
                ? "taken back, but for what was left alone" : "taken back in part; undo goes on"
        }
        if !state.results.contains(where: { $0?.isDone == true }) { return "nothing done" }
        var words = state.isComplete ? "applied" : "applied in part"
        words +=
            state.confirmed == nil ? ", not confirmed; confirm or undo is due" : ", confirmed"
        if state.released != nil { words += ", can no longer be taken back" }
        return words
    }
}

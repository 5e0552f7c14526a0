import ArgumentParser
import ResyncCore
import ResyncEngine
import ResyncStorage

struct QuarantineCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quarantine",
        abstract: "What runs displaced and keep, and freeing it.",
        subcommands: [List.self, Purge.self, Erase.self])

    struct List: ResyncCommand {
        static let configuration = CommandConfiguration(
            abstract: "List what is kept, and of which run.")

        @OptionGroup var state: StateOptions

        mutating func execute() throws -> ExitStatus {
            let state = try state.open()
            var entries = 0
            var bytes = 0
            for folder in try applyRuns(state) {
                try Quarantine(folder).forEach { _, action in
                    entries += 1
                    bytes = cappedSum(bytes, action.bytesDisplaced)
                    try StandardOutput.shared.write(
                        "\(folder.run.id)  \(action.side.letter)  \(shown(action.path))  "
                            + "\(sizeText(action.bytesDisplaced))\n")
                }
            }
            try StandardOutput.shared.write(
                "\(countText(entries)) kept, \(sizeText(bytes))\n")
            return .ok
        }
    }

    struct Purge: ResyncCommand {
        static let configuration = CommandConfiguration(
            abstract: "Free what confirmed runs keep; they can then no longer be taken back.",
            discussion: """
                Only runs that were confirmed longer ago than --older-than, and of those that are \
                named only these.
                """)

        @Argument(help: ArgumentHelp("The runs; all where none is named.", valueName: "RUN"))
        var runs: [String] = []

        @Option(
            name: .long,
            help: ArgumentHelp("How long ago a run was confirmed.", valueName: "DURATION"))
        var olderThan = "14d"

        @OptionGroup var state: StateOptions

        mutating func execute() throws -> ExitStatus {
            let state = try state.open()
            let age = try duration(olderThan)
            let named = try runs.map { try state.runID($0, kind: "apply") }
            for folder in try applyRuns(state)
            where named.isEmpty || named.contains(folder.run.id) {
                guard folder.state.released == nil else { continue }
                let id = folder.run.id
                guard let confirmed = folder.state.confirmed else {
                    Main.complain("run \(id) was never confirmed: what it keeps stays")
                    continue
                }
                guard confirmed <= Timestamp.now.adding(seconds: -Int64(age)) else {
                    Main.complain("run \(id) was confirmed \(confirmed.utcText): not long enough")
                    continue
                }
                let session = try ApplySession(run: id, state)
                let freed = try Quarantine(session.folder).release(session.sites)
                try StandardOutput.shared.write(
                    "run \(id): freed \(countText(freed.entries)) entries, "
                        + "\(sizeText(freed.bytes)); it can no longer be taken back\n")
            }
            return .ok
        }
    }

    struct Erase: ResyncCommand {
        static let configuration = CommandConfiguration(
            abstract: "Free what is kept of one path, in every run, and record it.",
            discussion: "For data that must not be kept, as a person's who asks for its erasure.")

        @Argument(help: ArgumentHelp("A path in a store.", valueName: "PATH"))
        var path: String

        @OptionGroup var state: StateOptions

        mutating func execute() throws -> ExitStatus {
            let state = try state.open()
            let path = try storePath(path)
            var count = 0
            for folder in try applyRuns(state) {
                var isKept = false
                try Quarantine(folder).forEach { _, action in
                    if action.path.isWithin(path) { isKept = true }
                }
                guard isKept else { continue }
                let session = try ApplySession(run: folder.run.id, state)
                for erased in try Quarantine(session.folder).erase(path, session.sites) {
                    count += 1
                    try StandardOutput.shared.write(
                        "run \(folder.run.id): erased what was kept of \(shown(erased))\n")
                }
            }
            guard count > 0 else {
                throw CommandError("nothing is kept of '\(shown(path))'")
            }
            return .ok
        }
    }
}

/// Every run that changed stores, oldest first.
func applyRuns(_ state: StateFolder) throws -> [ApplyFolder] {
    try RunFolder.list(in: state.runs).compactMap { id in
        let run = try RunFolder.open(id, in: state.runs)
        guard (try? run.header())?.kind == "apply" else { return nil }
        return try ApplyFolder(reading: run)
    }
}

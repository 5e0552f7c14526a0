import ArgumentParser
import ResyncCore

/// The program's name, for everything that needs it in front of a message.
let programName = "resync"
/// As in CHANGELOG.md.
let programVersion = "0.1.0"

@main
struct Resync: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: programName,
        abstract: "Confirm that two copies of a data store are the same, and make them so.",
        discussion: """
            A store is a directory, a regular file (an image) or a block device. verify compares \
            two stores without ever writing to them and says exactly what was and was not \
            covered. plan says what would make them the same; apply does it and loses nothing; \
            confirm reads it back; undo takes it back.

            Exit status: 0 everything verified, no difference; 1 differences; 2 something could \
            not be verified; 3 only unconfirmed differences; 4 a conflict needs a decision; 5 a \
            guard refused, nothing was written; 6 applied in part; 10 time budget reached; 64 \
            wrong usage; 75 another run holds the lock; 128+N ended by signal N.
            """,
        version: programVersion,
        subcommands: [
            VerifyCommand.self, ScanCommand.self, DiffCommand.self, ManifestCommand.self,
            PlanCommand.self, ApplyCommand.self, ConfirmCommand.self, UndoCommand.self,
            QuarantineCommand.self, DecideCommand.self, RunsCommand.self, StoreCommand.self,
            WatchCommand.self, StatusCommand.self, GateCommand.self, NightlyCommand.self,
            ScheduleCommand.self, BenchCommand.self,
            EpisodeCommand.self, ConfigCommand.self, DemoCommand.self,
        ])

    static func main() { Main.run(RawArguments.all()) }
}

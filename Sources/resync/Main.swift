import ArgumentParser
import Glibc
import ResyncCore
import ResyncEngine
import ResyncLedger
import ResyncStorage

/// A command of ours: does its work and says how it went.
protocol ResyncCommand: ParsableCommand {
    mutating func execute() throws -> ExitStatus
    /// Whether a failure is to be told as a summary in JSON, too.
    var printsJSON: Bool { get }
}

extension ResyncCommand {
    var printsJSON: Bool { false }

    // Never called: `Main` runs `execute` and turns its status into the process's.
    mutating func run() throws { throw ExitCode(try execute().code) }
}

/// A command that prints JSON Lines instead of text where it is told to.
protocol JSONCommand: ResyncCommand {
    var format: JSONOptions { get }
}

extension JSONCommand {
    var json: Bool { format.json }
    var printsJSON: Bool { json }
}

/// What the user has to be told instead of a result.
struct CommandError: Error {
    let message: String
    let status: ExitStatus

    init(_ message: String, _ status: ExitStatus = .trouble) {
        self.message = message
        self.status = status
    }
}

/// From arguments to the exit status; the only caller of `exit`.
enum Main {
    static func run(_ arguments: [String]) -> Never {
        // A closed pipe shows as an error of the write, where the status can still be decided.
        signal(SIGPIPE, SIG_IGN)
        occupyStandardStreams()
        guard CommandLine.argc > 0 else {
            complain("cannot read its own arguments: /proc is not mounted")
            leave(.trouble)
        }
        if arguments.count == 3, arguments[0] == ProbeWorker.role {
            ProbeWorker.run(path: RawArguments.bytes(arguments[1]), id: arguments[2])
            leave(.ok)
        }
        do {
            var command = try parse(arguments)
            guard var ours = command as? any ResyncCommand else {
                try command.run()
                leave(.ok)
            }
            let status = try execute(&ours)
            try StandardOutput.shared.flush()
            leave(status)
        } catch is OutputClosed {
            // Whoever read us has gone: nothing more to say, and no claim to make.
            leave(.trouble)
        } catch {
            // What was printed before still counts, the last line of JSON above all.
            try? StandardOutput.shared.flush()
            leave(report(error))
        }
    }

    /// What the parser refuses is a run that failed, too: whoever asked for JSON is told in JSON.
    private static func parse(_ arguments: [String]) throws -> any ParsableCommand {
        do {
            return try Resync.parseAsRoot(arguments)
        } catch
            where Resync.exitCode(for: error) == .validationFailure
            && arguments.prefix(while: { $0 != "--" }).contains("--json")
        {
            try JSONReport.failure(Resync.message(for: error), .usage)
            throw error
        }
    }

    private static func execute(_ command: inout some ResyncCommand) throws -> ExitStatus {
        do {
            return try command.execute()
        } catch  where command.printsJSON {
            if let known = explain(error) {
                try JSONReport.failure(known.message, known.status)
            }
            throw error
        }
    }

    /// A stream that is closed must not give its number to a file, which would then receive what
    /// is meant for the stream. Standard output stays one that cannot be written.
    private static func occupyStandardStreams() {
        for stream in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO]
        where fcntl(stream, F_GETFD) < 0 {
            // The lowest free number is the one that is taken.
            _ = open("/dev/null", stream == STDERR_FILENO ? O_WRONLY : O_RDONLY)
        }
    }

    private static func leave(_ status: ExitStatus) -> Never {
        // A kept run that was ended by one is only told of.
        if case .signal(let number) = status, Interruption.shared.signalNumber == number {
            // Ended by a signal should look like it, for the shell's sake.
            signal(number, SIG_DFL)
            raise(number)
        }
        exit(status.code)
    }

    /// Prints what went wrong in one line and says which status that is.
    private static func report(_ error: any Error) -> ExitStatus {
        guard let known = explain(error) else { return parserReport(error) }
        complain(known.message)
        return known.status
    }

    /// Nil for what only the argument parser can explain.
    static func explain(_ error: any Error) -> CommandError? {
        switch error {
        case let error as CommandError: error
        case let error as StoreError: CommandError("'\(escaped(error.path))' \(error.reason)")
        case let error as DiskError: CommandError(error.sentence)
        case let error as StoreFailure: CommandError("work on \(error.sentence)")
        case let error as LedgerError: CommandError("the ledger \(error.reason)")
        case let error as FormatError:
            CommandError("a file of a kept run \(error.reason) (at byte \(error.offset))")
        case let error as DamagedBaseline:
            CommandError(
                "the baseline 'baselines/\(escaped(error.name))' in the state folder "
                    + "\(error.error.reason) (at byte \(error.error.offset)): without that file "
                    + "'resync verify --keep' makes a new one")
        case let error as UndoDamage: CommandError(error.sentence)
        case let error as JournalFailure:
            CommandError(
                "the run's journal cannot be written: \(error.error.sentence); what was done is "
                    + "safe, and the same command goes on", .partial)
        case let error as RunError: explain(error)
        case let error as TargetRefusal:
            CommandError("'\(escaped(error.path))' \(error.reason)", .refused)
        case let error as UndoRefusal: CommandError(error.reason, .refused)
        case let error as PlanRefusal: CommandError("no plan can be made: \(error.reason)")
        case let error as PlanInterruption:
            CommandError("no plan was made: interrupted", .signal(error.signal))
        case let error as HashingError:
            CommandError("OpenSSL failed (\(error.call)): nothing was verified", .defect)
        default: nil
        }
    }

    private static func explain(_ error: RunError) -> CommandError {
        switch error {
        case .unknown(let id):
            CommandError("no run '\(escaped(id.utf8))': see 'resync runs list'")
        case .busy(let id):
            CommandError("run \(id) is being worked on by another process", .locked)
        case .begunOtherwise(let id, let reason):
            CommandError("run \(id) cannot go on: \(reason); begin a new one")
        case .nothingToResume(let id):
            CommandError("run \(id) came to its end: there is nothing to resume")
        case .cutOffEarly(let id):
            CommandError(
                "run \(id) was cut off before anything of it was kept: begin it anew")
        }
    }

    /// Help, version and what the parser itself refuses.
    private static func parserReport(_ error: any Error) -> ExitStatus {
        let code = Resync.exitCode(for: error)
        let message = Resync.fullMessage(for: error)
        if code == .success {
            do {
                try StandardOutput.shared.write(message + "\n")
                try StandardOutput.shared.flush()
                return .ok
            } catch {
                return .trouble
            }
        }
        // It repeats what was given.
        let lines = message.split(separator: "\n", omittingEmptySubsequences: false)
        StandardError.write(lines.map { escaped($0.utf8) + "\n" }.joined())
        return code == .validationFailure ? .usage : .defect
    }

    static func complain(_ message: String) {
        StandardError.write("\(programName): \(message)\n")
    }
}

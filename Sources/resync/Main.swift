import ArgumentParser
import Glibc
import ResyncCore
import ResyncEngine
import ResyncStorage

/// A command of ours: does its work and says how it went.
protocol ResyncCommand: ParsableCommand {
    mutating func execute() throws -> ExitStatus
}

extension ResyncCommand {
    // Never called: `Main` runs `execute` and turns its status into the process's.
    mutating func run() throws { throw ExitCode(try execute().code) }
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
        do {
            var command = try Resync.parseAsRoot(arguments)
            guard var ours = command as? any ResyncCommand else {
                try command.run()
                leave(.ok)
            }
            let status = try ours.execute()
            try StandardOutput.shared.flush()
            leave(status)
        } catch is OutputClosed {
            // Whoever read us has gone: nothing more to say, and no claim to make.
            leave(.trouble)
        } catch {
            leave(report(error))
        }
    }

    private static func leave(_ status: ExitStatus) -> Never {
        if case .signal(let number) = status {
            // Ended by a signal should look like it, for the shell's sake.
            signal(number, SIG_DFL)
            raise(number)
        }
        exit(status.code)
    }

    /// Prints what went wrong in one line and says which status that is.
    private static func report(_ error: any Error) -> ExitStatus {
        switch error {
        case let error as CommandError:
            complain(error.message)
            return error.status
        case let error as StoreError:
            complain("'\(escaped(error.path))' \(error.reason)")
            return .trouble
        case let error as DiskError:
            complain(error.sentence)
            return .trouble
        case let error as FormatError:
            complain("a file of a kept run \(error.reason) (at byte \(error.offset))")
            return .trouble
        case let error as RunError: return report(error)
        case let error as HashingError:
            complain("OpenSSL failed (\(error.call)): nothing was verified")
            return .defect
        default: return parserReport(error)
        }
    }

    private static func report(_ error: RunError) -> ExitStatus {
        switch error {
        case .unknown(let id):
            complain("no run '\(escaped(id.utf8))': see 'resync runs list'")
            return .trouble
        case .busy(let id):
            complain("run \(id) is being worked on by another process")
            return .locked
        case .nothingToResume(let id):
            complain("run \(id) came to its end: there is nothing to resume")
            return .trouble
        }
    }

    /// Help, version and what the parser itself refuses.
    private static func parserReport(_ error: any Error) -> ExitStatus {
        let code = Resync.exitCode(for: error)
        let message = Resync.fullMessage(for: error)
        if code == .success {
            try? StandardOutput.shared.write(message + "\n")
            try? StandardOutput.shared.flush()
            return .ok
        }
        StandardError.write(message + "\n")
        return code == .validationFailure ? .usage : .defect
    }

    static func complain(_ message: String) {
        StandardError.write("\(programName): \(message)\n")
    }
}

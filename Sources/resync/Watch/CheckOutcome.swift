import ResyncCore
import ResyncEngine
import ResyncStorage

/// What a check of the operator's said: its exit, and its last line for people.
struct CheckOutcome {
    /// As a shell has it.
    let exit: Int
    /// Why it did not succeed; nil where it did. Without its end.
    let failure: String?
    /// The last line of what it said; empty where it said nothing.
    let lastLine: [UInt8]
    /// The same, escaped, and not too long.
    var line: String { Self.shown(lastLine) }

    private static let lineLimit = 200

    /// Runs it, and waits for it no longer than is allowed.
    init(running words: [[UInt8]], isInterrupted: () -> Bool = { false }) {
        do throws(DiskError) {
            let outcome = try OperatorCommand(words).run(isInterrupted: isInterrupted)
            lastLine = Self.lastLine(outcome.output)
            exit = outcome.exit
            let said = lastLine.isEmpty ? "" : ": \(Self.shown(lastLine))"
            switch outcome.end {
            case .exited(0): failure = nil
            case .exited(let code): failure = "exit \(code)\(said)"
            case .signalled(let number): failure = "ended by signal \(number)\(said)"
            case .tookTooLong:
                let limit = durationText(OperatorCommand.usualTimeout)
                failure = "killed, it took longer than \(limit)\(said)"
            case .interrupted: failure = "interrupted"
            }
        } catch {
            (exit, lastLine) = (127, [])
            failure = "cannot be started: \(error.sentence)"
        }
    }

    private static func shown(_ line: [UInt8]) -> String {
        escaped(Array(line.prefix(lineLimit)))
    }

    private static func lastLine(_ output: [UInt8]) -> [UInt8] {
        let lines = output.split(separator: UInt8(ascii: "\n"))
        let blank: [UInt8] = [UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r")]
        return Array(lines.last { line in line.contains { !blank.contains($0) } } ?? [])
    }
}

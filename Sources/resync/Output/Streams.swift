import Glibc
import ResyncCore
import ResyncStorage

/// Whoever read our standard output is gone.
struct OutputClosed: Error {}

/// Standard output, buffered. Every failure to write is thrown: a result that was not handed over
/// must not look like one.
final class StandardOutput {
    nonisolated(unsafe) static let shared = StandardOutput()  // because only the main thread prints

    private var pending: [UInt8] = []

    func write(_ text: String) throws { try write(Array(text.utf8)) }

    func write(_ bytes: [UInt8]) throws {
        pending += bytes
        if pending.count > 64 << 10 { try flush() }
    }

    func flush() throws {
        var rest = pending[...]
        pending = []
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count)
            }
            if count < 0 {
                if errno == EINTR { continue }
                if errno == EPIPE { throw OutputClosed() }
                throw CommandError(
                    "cannot write to standard output: \(ErrorNumber.sentence(errno)) (write)")
            }
            rest = rest.dropFirst(count)
        }
    }
}

/// Standard error. If nobody can hear us, there is nobody to tell.
enum StandardError {
    static let isTerminal = isatty(STDERR_FILENO) == 1

    static func write(_ text: String) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count)
            }
            if count < 0 {
                if errno == EINTR { continue }
                return
            }
            rest = rest.dropFirst(count)
        }
    }
}

import Glibc
import ResyncCore
import ResyncStorage
import Synchronization

/// Whoever read our standard output is gone.
struct OutputClosed: Error {}

/// Standard output, buffered. Every failure to write is thrown: a result that was not handed over
/// must not look like one.
final class StandardOutput: Sendable {
    static let shared = StandardOutput()

    private let pending = Mutex<[UInt8]>([])

    func write(_ text: String) throws { try write(Array(text.utf8)) }

    func write(_ bytes: [UInt8]) throws {
        try pending.withLock { pending in
            pending += bytes
            if pending.count > 64 << 10 { try Self.flush(&pending) }
        }
    }

    func flush() throws { try pending.withLock { try Self.flush(&$0) } }

    private static func flush(_ pending: inout [UInt8]) throws {
        defer { pending = [] }
        try put(pending)
    }

    /// Writes past the buffer, and waits until it is read.
    static func put(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
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

    private static let queue = Mutex<WatchLines?>(nil)

    static func write(_ text: String) {
        if let queue = queue.withLock({ $0 }) { queue.add(text) } else { put(Array(text.utf8)) }
    }

    /// Whether whoever has something to say does not wait until it is read; what is not read within
    /// two seconds of the end of that is lost.
    static func neverWait(_ isSo: Bool) {
        let lines = isSo ? WatchLines { text, lost in put(WatchLines.gap(lost) + text) } : nil
        let before = queue.withLock { queue in
            defer { queue = lines }
            return queue
        }
        before?.end(within: 2)
    }

    /// Waits until it is read.
    private static func put(_ bytes: [UInt8]) {
        var rest = bytes[...]
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

import Dispatch
import ResyncCore
import ResyncStorage
import Synchronization

/// What the watcher says, or writes down. Nobody waits for whoever reads it, or for where it is
/// kept: that may be the disk that hangs.
final class WatchLines: Sendable {
    /// On standard output.
    static let shared = WatchLines { text, lost in
        // Whoever flushes the buffer at the end must not wait for this.
        try? StandardOutput.put(gap(lost) + text)
    }

    private struct Waiting {
        var count = 0
        var lost = 0
    }

    private let queue = DispatchQueue(label: "resync.lines")
    private let waiting = Mutex(Waiting())
    private let put: @Sendable (_ text: [UInt8], _ lost: Int) -> Void

    private static let limit = 10_000

    /// - Parameter put: writes lines, and may wait; before them some may be lost.
    init(_ put: @escaping @Sendable (_ text: [UInt8], _ lost: Int) -> Void) { self.put = put }

    /// Says where lines are missing.
    static func gap(_ lost: Int) -> [UInt8] {
        lost > 0 ? Array("\(countText(lost)) lines could not be written in time\n".utf8) : []
    }

    /// - Parameter text: whole lines, with their ends.
    func add(_ text: String) {
        let hasRoom = waiting.withLock { waiting in
            guard waiting.count < Self.limit else {
                waiting.lost += 1
                return false
            }
            waiting.count += 1
            return true
        }
        guard hasRoom else { return }
        queue.async {
            let lost = self.waiting.withLock { waiting in
                defer { waiting = Waiting(count: waiting.count - 1) }
                return waiting.lost
            }
            self.put(Array(text.utf8), lost)
        }
    }

    /// Waits until all is written, so many seconds at most.
    func end(within seconds: Double) {
        let isDone = DispatchSemaphore(value: 0)
        queue.async { isDone.signal() }
        _ = isDone.wait(timeout: .now() + seconds)
    }
}

extension WatchLines {
    /// Lines that could not be written, one after the other, before a recording is given up.
    private static let failureLimit = 10_000

    /// Those of a recording. With a line missing it tells another story: that is said.
    convenience init(recording file: OutputFile) {
        let failures = FailureCount()
        self.init { text, lost in
            if lost > 0 {
                Main.complain(
                    "the recording has a gap: \(countText(lost)) lines could not be written in "
                        + "time")
            }
            guard failures.count < Self.failureLimit else { return }
            do throws(DiskError) {
                try file.write(text)
                try file.flush()
                failures.count = 0
            } catch {
                failures.count += 1
                let isOver = failures.count == Self.failureLimit
                guard failures.count == 1 || isOver else { return }
                Main.complain(
                    "the recording cannot be written: \(error.sentence)"
                        + (isOver ? "; it is given up" : ""))
            }
        }
    }
}

private final class FailureCount: @unchecked Sendable {
    // Unchecked because it is used on one queue alone.
    var count = 0
}

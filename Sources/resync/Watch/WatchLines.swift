import Dispatch
import ResyncCore
import Synchronization

/// What the watcher says on standard output. Nobody waits for whoever reads it: the log may lie on
/// the disk that hangs.
final class WatchLines: Sendable {
    static let shared = WatchLines()

    private struct Waiting {
        var count = 0
        var lost = 0
    }

    private let queue = DispatchQueue(label: "resync.lines")
    private let waiting = Mutex(Waiting())

    private static let limit = 10_000

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
            let gap = lost > 0 ? "\(countText(lost)) lines could not be written in time\n" : ""
            // Whoever flushes the buffer at the end must not wait for this.
            try? StandardOutput.put(Array((gap + text).utf8))
        }
    }

    /// Waits until all is written, so many seconds at most.
    func end(within seconds: Double) {
        let isDone = DispatchSemaphore(value: 0)
        queue.async { isDone.signal() }
        _ = isDone.wait(timeout: .now() + seconds)
    }
}

import Glibc
import Synchronization

/// Holds reading to a rate, over all workers of one side: each read books its bytes and waits for
/// its turn, so the rate is exact over time and bursts last a tenth of a second.
package final class Throttle: Sendable {
    private let bytesPerSecond: Double
    private let nextFree = Mutex<Double>(0)
    private static let burst = 0.1

    /// - Precondition: a rate above zero.
    package init(bytesPerSecond: Int) {
        precondition(bytesPerSecond > 0)
        self.bytesPerSecond = Double(bytesPerSecond)
    }

    /// Returns when so many bytes may be read, or a stop is requested.
    package func wait(for bytes: Int, worker: Worker) {
        let start = nextFree.withLock { next in
            let now = monotonicSeconds()
            next = max(next, now - Self.burst)
            defer { next += Double(bytes) / bytesPerSecond }
            return next
        }
        while !worker.stop.isRequested {
            let left = start - monotonicSeconds()
            if left <= 0 { return }
            // In small sleeps: waiting on purpose must not look like a stalled disk.
            usleep(UInt32(min(left, 0.05) * 1_000_000))
            worker.pulse.step()
        }
    }
}

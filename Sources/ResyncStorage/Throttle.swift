import CLinux
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

/// Gives up the processor for so long.
package func pause(milliseconds: Int) { usleep(UInt32(clamping: milliseconds * 1000)) }

/// Seconds on a clock that no one can set.
package func monotonicSeconds() -> Double {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
}

/// Raises this process's limit on open descriptors as far as it may; the limit then in force.
package func descriptorLimit() -> Int { max(64, Int(clinux_raise_descriptor_limit())) }

/// Processor time that this process has used, in seconds.
package func processorSeconds() -> Double { Double(clinux_processor_time()) / 1e9 }

/// The wall clock.
package func wallClock() -> (seconds: Int64, nanoseconds: UInt32) {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    return (Int64(now.tv_sec), UInt32(now.tv_nsec))
}

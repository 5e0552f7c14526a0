import CLinux
import Dispatch
import Glibc
package import ResyncCore
import Synchronization

/// Gives up the processor for so long.
package func pause(milliseconds: Int) { usleep(UInt32(clamping: milliseconds * 1000)) }

/// What `body` gives, unless storage does not answer in so many seconds: then nil, and the thread
/// that asked is left behind.
package func answer<Answer: Sendable>(
    within seconds: Double, _ body: @escaping @Sendable () -> Answer?
) -> Answer? {
    let found = Answered<Answer>()
    DispatchQueue.global().async {
        found.take(body())
    }
    return found.wait(seconds)
}

private final class Answered<Answer: Sendable>: Sendable {
    private let answer = Mutex<Answer?>(nil)
    private let isThere = MonotonicSignal()

    func take(_ answer: Answer?) {
        self.answer.withLock { $0 = answer }
        isThere.set()
    }

    func wait(_ seconds: Double) -> Answer? {
        guard isThere.wait(.seconds(seconds)) else { return nil }
        return answer.withLock { $0 }
    }
}

/// Seconds on a clock that no one can set.
package func monotonicSeconds() -> Double {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
}

/// Raises this process's limit on open descriptors as far as it may; the limit then in force.
package func descriptorLimit() -> Int { max(64, Int(clinux_raise_descriptor_limit())) }

/// How often threads of this process gave up the processor to wait for something.
package func voluntarySwitches() -> Int { Int(clinux_voluntary_switches()) }

/// Processor time that this process has used, in seconds.
package func processorSeconds() -> Double { Double(clinux_processor_time()) / 1e9 }

extension Timestamp {
    /// The wall clock.
    package static var now: Timestamp {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return Timestamp(
            seconds: Int64(now.tv_sec), nanoseconds: UInt32(truncatingIfNeeded: now.tv_nsec))
    }
}

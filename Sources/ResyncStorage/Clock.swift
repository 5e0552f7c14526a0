import CLinux
import Glibc
package import ResyncCore

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

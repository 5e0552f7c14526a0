import Glibc
import Synchronization

/// Holds reading or writing to a rate, over all workers of one side: each call books its bytes and
/// waits for its turn, so the rate is exact over time and bursts last a tenth of a second. A rate
/// that is changed meanwhile holds for whoever is waiting, too.
package final class Throttle: Sendable {
    /// In bytes, since the beginning.
    private struct Books: Sendable {
        var booked = 0.0
        /// What may have been begun by now; never far ahead of what was booked.
        var allowed = 0.0
        var time = 0.0

        mutating func advance(_ rate: Double) {
            let now = monotonicSeconds()
            allowed = min(allowed + rate * (now - time), booked + rate * Throttle.burst)
            time = now
        }
    }

    private let begun: Double?
    private let direction: Pace.Direction
    private let pace: Pace
    private let books = Mutex(Books())
    private static let burst = 0.1

    /// - Precondition: a rate above zero.
    private init(_ bytesPerSecond: Int?, _ direction: Pace.Direction, _ pace: Pace) {
        precondition(bytesPerSecond ?? 1 > 0)
        begun = bytesPerSecond.map { Double($0) }
        self.direction = direction
        self.pace = pace
    }

    /// - Parameter rate: bytes per second; nil for no limit but one that is ordered later.
    package static func reading(_ rate: Int?, _ pace: Pace = Pace()) -> Throttle {
        Throttle(rate, .reading, pace)
    }

    /// As `reading`.
    package static func writing(_ rate: Int?, _ pace: Pace = Pace()) -> Throttle {
        Throttle(rate, .writing, pace)
    }

    /// What was begun to be written is brought to its end as fast as it can be once the run has to
    /// end. Reading waits for the stop, or it would overtake it.
    private var isLetGo: Bool { direction == .writing && pace.isInterrupted }

    /// Returns when so many bytes may be read or written, or the run has to end.
    package func wait(for bytes: Int, worker: Worker) {
        pace.hold(worker)
        guard let rate = pace.rate(direction, begun: begun) else { return }
        let start = books.withLock { books in
            books.advance(rate)
            defer { books.booked += Double(bytes) }
            return books.booked
        }
        while !worker.stop.isRequested, !isLetGo {
            guard let rate = pace.rate(direction, begun: begun) else { return }
            let left = books.withLock { books in
                books.advance(rate)
                return (start - books.allowed) / rate
            }
            if left <= 0 { return }
            // In small sleeps: waiting on purpose must not look like a stalled disk.
            usleep(UInt32(min(left, 0.05) * 1_000_000))
            worker.pulse.step()
            pace.hold(worker)
        }
    }
}

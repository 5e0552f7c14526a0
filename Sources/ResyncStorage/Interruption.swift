import Dispatch
import Glibc
import Synchronization

/// Turns SIGINT, SIGTERM and SIGHUP into a request to end tidily; the second one ends at once.
package final class Interruption: @unchecked Sendable {
    // Unchecked because the sources are only kept, never used again.
    private var sources: [any DispatchSourceSignal] = []
    private let received = Atomic<Int32>(0)
    /// Only touched on the signals' queue; by the monotonic clock.
    private var first = 0.0
    /// Seconds in which the same signal is the same request: timeout(1) sends it to its child, and
    /// then to its group.
    private static let echo = 0.1

    /// The one of the process, from its first use on. A source that is made while an earlier one of
    /// the same signal is being released hears of none.
    package static let shared = Interruption()

    private init() {
        let queue = DispatchQueue(label: "resync.signals")
        for number in [SIGINT, SIGTERM, SIGHUP] {
            // Only an ignored signal reaches the source instead of ending the process. One that was
            // ignored before, as nohup has it, stays so.
            let before = signal(number, SIG_IGN)
            if number == SIGHUP,
                unsafeBitCast(before, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
            {
                continue
            }
            let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
            source.setEventHandler { [weak self] in self?.receive(number) }
            source.resume()
            sources.append(source)
        }
    }

    private func receive(_ number: Int32) {
        let before = received.exchange(number, ordering: .relaxed)
        if before == 0 {
            first = monotonicSeconds()
        } else if before != number || monotonicSeconds() - first > Self.echo {
            signal(number, SIG_DFL)
            // To the process: the thread that runs this takes no signals.
            kill(getpid(), number)
        }
    }

    /// The signal that asked for an end.
    package var signalNumber: Int32? {
        let number = received.load(ordering: .relaxed)
        return number == 0 ? nil : number
    }
}

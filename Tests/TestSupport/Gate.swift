import Glibc
import Synchronization

/// Holds back the calls that come to it until it is opened, for a read that does not return.
package final class Gate: Sendable {
    private let semaphore = Semaphore()
    private let arrived = Atomic(0)

    package init() {}

    /// How many calls came to it.
    package var arrivals: Int { arrived.load(ordering: .sequentiallyConsistent) }

    /// Lets everyone through, now and later.
    package func open() { semaphore.post() }

    /// Waits until somebody stands at the gate; false when nobody came in so many milliseconds.
    package func waitForArrival(milliseconds: Int = 10_000) -> Bool {
        for _ in 0..<milliseconds {
            if arrivals > 0 { return true }
            usleep(1000)
        }
        return arrivals > 0
    }

    /// Stands at the gate until it is open.
    package func pass() {
        arrived.add(1, ordering: .sequentiallyConsistent)
        semaphore.wait()
        // Hands the one permit on to whoever waits next.
        semaphore.post()
    }
}

/// `@unchecked Sendable` because sem_t is made to be used by many threads; it lives at one address
/// from `init` to `deinit`.
private final class Semaphore: @unchecked Sendable {
    private let raw = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

    init() { sem_init(raw, 0, 0) }

    deinit {
        sem_destroy(raw)
        raw.deallocate()
    }

    func wait() { while sem_wait(raw) == -1 {} }
    func post() { sem_post(raw) }
}

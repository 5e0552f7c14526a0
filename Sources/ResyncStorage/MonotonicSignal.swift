import Glibc

/// Something that happens once, waited for on a clock that no one can set: a semaphore's timeout
/// goes by the wall clock here, and comes at once or years late where that is set meanwhile.
///
/// `@unchecked Sendable` because `isSet` is only touched under `mutex`.
final class MonotonicSignal: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var isSet = false

    init() {
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    func set() {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        isSet = true
        pthread_cond_broadcast(condition)
    }

    /// Whether it has happened, or does within so long.
    func wait(_ duration: Duration) -> Bool {
        let (seconds, attoseconds) = max(.zero, duration).components
        var end = timespec()
        clock_gettime(CLOCK_MONOTONIC, &end)
        let nanoseconds = end.tv_nsec + Int(attoseconds / 1_000_000_000)
        end.tv_sec += min(Int(seconds), 1 << 40) + nanoseconds / 1_000_000_000
        end.tv_nsec = nanoseconds % 1_000_000_000
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while !isSet {
            if pthread_cond_timedwait(condition, mutex, &end) == ETIMEDOUT { return isSet }
        }
        return true
    }
}

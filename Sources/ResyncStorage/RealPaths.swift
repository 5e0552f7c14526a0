import Glibc
import Synchronization

/// Where stores lie without symlinks, for one who asks again and again and must not wait for one
/// that hangs: at most one thread is lost to each path, however often it is asked for.
package final class RealPaths: Sendable {
    private struct Place {
        /// As it was found last.
        var real: [UInt8]?
        var isAsked = false
    }

    private let places = Mutex<[[UInt8]: Place]>([:])
    private let follow: @Sendable ([UInt8]) -> [UInt8]?

    package init(_ follow: @escaping @Sendable ([UInt8]) -> [UInt8]? = { realPath($0) }) {
        self.follow = follow
    }

    /// Waits so many seconds at most, for all of them together, and not for those that were asked
    /// for before and have not answered yet.
    ///
    /// - Returns: what is known by then; of one that does not answer what it was before.
    package func find(_ paths: Set<[UInt8]>, within seconds: Double) -> [[UInt8]: [UInt8]] {
        let end = monotonicSeconds() + seconds
        let asked = paths.compactMap { ask($0) }
        for answer in asked { _ = answer.wait(.seconds(end - monotonicSeconds())) }
        return places.withLock { places in
            Dictionary(
                uniqueKeysWithValues: paths.compactMap { path in
                    places[path]?.real.map { (path, $0) }
                })
        }
    }

    /// Nil where somebody asks already.
    private func ask(_ path: [UInt8]) -> MonotonicSignal? {
        let isNew = places.withLock { places in
            if places[path]?.isAsked == true { return false }
            places[path, default: Place()].isAsked = true
            return true
        }
        guard isNew else { return nil }
        let answer = MonotonicSignal()
        let isStarted = startThread { [self] in
            let real = follow(path)
            places.withLock { $0[path] = Place(real: real) }
            answer.set()
        }
        guard !isStarted else { return answer }
        places.withLock { $0[path]?.isAsked = false }
        return nil
    }
}

private final class ThreadBody: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

/// A thread of its own. Those below queues are shared by all of them, and few: with enough stores
/// that hang none would be left to write the ledger.
private func startThread(_ body: @escaping @Sendable () -> Void) -> Bool {
    let kept = Unmanaged.passRetained(ThreadBody(body))
    var thread = pthread_t()
    let failure = pthread_create(
        &thread, nil,
        { argument in
            if let argument {
                Unmanaged<ThreadBody>.fromOpaque(argument).takeRetainedValue().run()
            }
            return nil
        }, kept.toOpaque())
    guard failure == 0 else {
        kept.release()
        return false
    }
    pthread_detach(thread)
    return true
}

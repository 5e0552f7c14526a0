import Dispatch
import ResyncCore
import ResyncEngine
import Synchronization

/// Whether a store of a pair was found not to be well since it was made.
final class EpisodeAlarm: @unchecked Sendable {
    // Unchecked because a timer is not known to be sendable; it is only made and cancelled.
    /// Seconds from one look to the next; an episode lasts longer than that.
    private static let interval = 2.0

    private let flag = Mutex(false)
    private let timer: any DispatchSourceTimer

    var isRaised: Bool { flag.withLock { $0 } }

    init(_ pair: Configuration.Pair, _ state: StateFolder) {
        let queue = DispatchQueue(label: "resync.alarm")
        timer = DispatchSource.makeTimerSource(queue: queue)
        timer.schedule(deadline: .now() + Self.interval, repeating: Self.interval)
        timer.setEventHandler { [weak self] in
            // Without a watcher nobody waits.
            let stores = (try? WatchClient(state)?.status()) ?? []
            guard stores.contains(where: { pair.has($0.name) && $0.episode != nil }) else { return }
            self?.flag.withLock { $0 = true }
        }
        timer.activate()
    }

    deinit { timer.cancel() }
}

import Glibc
import Synchronization

/// What an operator says to a run that is under way.
package struct PaceOrder: Sendable, Hashable {
    package var isPaused = false
    /// Bytes per second of each side; 0 for no limit, nil for the one that the run was begun with.
    package var readLimit: Int?
    /// As `readLimit`.
    package var writeLimit: Int?
    /// What is said of it instead of what it is; empty: nothing is. Kept nowhere.
    package var sentence: String?

    package init() {}
}

/// Lets the operator hold up a run that is under way, or change its rates. All workers of a run
/// share one; whoever comes by when it is time looks for a new order.
package final class Pace: Sendable {
    /// Where orders come from, and who is told of a new one.
    private struct Source: Sendable {
        let look: @Sendable () -> PaceOrder
        let changed: @Sendable (PaceOrder) -> Void
        let isInterrupted: @Sendable () -> Bool
    }

    private let source = Mutex<Source?>(nil)
    private let order = Mutex(PaceOrder())
    /// Copies of what is in force, for reading it before every call at no cost.
    private let paused = Atomic<Bool>(false)
    private let readLimit = Atomic<Int>(Pace.asBegun)
    private let writeLimit = Atomic<Int>(Pace.asBegun)
    private let nextLook = Atomic<UInt64>(0)

    private static let asBegun = -1
    /// Seconds after which an order is obeyed, but for the call that is under way.
    private static let interval = 0.5

    /// Nobody gives orders until `follow`.
    package init() {}

    /// - Parameters:
    ///   - look: the order that stands now. Asked twice a second while work is done, by one thread
    ///     at a time.
    ///   - isInterrupted: whether the run has to end: then nothing is held up any more.
    package func follow(
        _ look: @escaping @Sendable () -> PaceOrder,
        changed: @escaping @Sendable (PaceOrder) -> Void,
        isInterrupted: @escaping @Sendable () -> Bool
    ) {
        source.withLock {
            $0 = Source(look: look, changed: changed, isInterrupted: isInterrupted)
        }
    }

    /// Returns at once; where the run is paused, when it goes on or has to end.
    package func hold() { hold(while: { true }, pulse: nil) }

    func hold(_ worker: Worker) {
        hold(while: { !worker.stop.isRequested }, pulse: worker.pulse)
    }

    private func hold(while goesOn: () -> Bool, pulse: Pulse?) {
        refresh()
        while paused.load(ordering: .relaxed), goesOn(), !isInterrupted {
            usleep(50_000)
            // Waiting on purpose must not look like a stalled disk.
            pulse?.step()
            refresh()
        }
    }

    var isInterrupted: Bool { source.withLock { $0 }?.isInterrupted() ?? false }

    enum Direction: Sendable {
        case reading, writing
    }

    /// Bytes per second; nil where there is no limit.
    func rate(_ direction: Direction, begun: Double?) -> Double? {
        let ordered =
            switch direction {
            case .reading: readLimit.load(ordering: .relaxed)
            case .writing: writeLimit.load(ordering: .relaxed)
            }
        if ordered == Self.asBegun { return begun }
        return ordered == 0 ? nil : Double(ordered)
    }

    private func refresh() {
        let due = nextLook.load(ordering: .relaxed)
        let now = monotonicSeconds()
        guard now >= Double(bitPattern: due) else { return }
        let next = (now + Self.interval).bitPattern
        guard
            nextLook.compareExchange(expected: due, desired: next, ordering: .relaxed).exchanged,
            let source = source.withLock({ $0 })
        else { return }
        obey(source.look(), source)
    }

    private func obey(_ found: PaceOrder, _ source: Source) {
        let isNew = order.withLock { order in
            defer { order = found }
            return order != found
        }
        guard isNew else { return }
        readLimit.store(found.readLimit ?? Self.asBegun, ordering: .relaxed)
        writeLimit.store(found.writeLimit ?? Self.asBegun, ordering: .relaxed)
        paused.store(found.isPaused, ordering: .relaxed)
        source.changed(found)
    }
}

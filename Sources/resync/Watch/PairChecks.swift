import Dispatch
import ResyncCore
import ResyncEngine
import ResyncLedger
import ResyncStorage
import Synchronization

/// Runs the checks of all pairs, each in its time, and keeps what they say. None waits for another
/// one, and nobody for them.
final class PairChecks: @unchecked Sendable {
    // Unchecked because timers and queues are made once, and touched by whoever ends them only.
    private let ledger: Ledger
    private let isEnding = Mutex(false)
    private var running: [(timer: any DispatchSourceTimer, queue: DispatchQueue)] = []

    init(_ configuration: Configuration, _ ledger: Ledger) {
        self.ledger = ledger
        for pair in configuration.pairs {
            for check in pair.checks {
                let queue = DispatchQueue(label: "resync.check.\(pair.name).\(check.name)")
                let timer = DispatchSource.makeTimerSource(queue: queue)
                timer.schedule(deadline: .now(), repeating: check.every)
                timer.setEventHandler { [weak self] in self?.run(check, of: pair.name) }
                timer.activate()
                running.append((timer, queue))
            }
        }
    }

    /// Ends those that run, and waits for that, so many seconds at most.
    func end(within seconds: Double) {
        isEnding.withLock { $0 = true }
        let end = DispatchTime.now() + seconds
        for (timer, queue) in running {
            timer.cancel()
            let isDone = DispatchSemaphore(value: 0)
            queue.async { isDone.signal() }
            _ = isDone.wait(timeout: end)
        }
    }

    private func run(_ check: Configuration.Check, of pair: String) {
        let began = Timestamp.now
        let outcome = CheckOutcome(running: check.command) {
            self.isEnding.withLock { $0 }
        }
        guard !isEnding.withLock({ $0 }) else { return }
        let line = outcome.exit == 0 ? outcome.line : outcome.failure ?? outcome.line
        do {
            try ledger.save(
                CheckRecord(
                    pair: pair, name: check.name, began: began, ended: .now, exit: outcome.exit,
                    line: line))
        } catch {
            Main.complain(Main.explain(error)?.message ?? "\(error)")
        }
    }
}

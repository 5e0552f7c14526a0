import ResyncCore
import ResyncStorage

/// Works on the actions of a batch side by side, each thread with its own hands on both stores.
struct BatchWork {
    let sites: Sides<any Site>
    let order: ChangeOrder
    let controls: RunControls
    let progress: Progress
    let blockSize: Int
    /// Threads, at most: a few actions keep none of them busy.
    let workers: Int

    struct Outcome: Sendable {
        /// The action's place in its batch.
        let at: Int
        /// Nil where it goes on.
        var result: ActionResult?
        /// What lies under the staged name, where something does.
        var staged: Stat?
        /// As `StoreChanger.takeNotTaken`.
        var notTaken: [Aspect: Int] = [:]
    }

    /// What became of the chosen actions, in any order. A signal stops what is under way; the batch
    /// is brought to its end, without waiting for any rate.
    func eachOf(
        _ chosen: [Int], _ body: @escaping @Sendable (Int, Hand, Worker) throws -> Outcome
    ) throws -> [Outcome] {
        let collected = Collected()
        let (sites, order) = (sites, order)
        let stop = Stop()
        let scheme = try DigestScheme(.sha256, blockSize: blockSize)
        let drain = Drain<Int, Outcome, (Hand, Worker)>(
            first: chosen,
            context: { index in
                let worker = try Worker(
                    scheme: scheme, pulse: Pulse(), stop: stop, index: index)
                return (Hand(sites, order), worker)
            },
            run: { at, context in [.output(try body(at, context.0, context.1))] },
            emit: { outcome, _ in collected.all.append(outcome) })
        let workers = min(workers, max(1, chosen.count / 4))
        _ = try drain.work(workers: workers) { _ in
            controls.report(.comparing, progress)
            if controls.interruption() != nil { stop.request() }
            return .goOn
        }
        return collected.all
    }

    private final class Collected: @unchecked Sendable {
        // Unchecked because a drain emits on one thread at a time.
        var all: [Outcome] = []
    }
}

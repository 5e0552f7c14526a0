import ResyncCore
import Synchronization

/// One way for the power to fail: enough to have it fail so again.
package struct CrashCase: Sendable, CustomStringConvertible {
    package let policy: CrashPolicy
    package let order: NameOrder
    package let seed: UInt64

    package var description: String { "\(policy), \(order), seed \(seed)" }
}

extension SimulatedDisk {
    /// Moves with every change and every sync: between two equal values a power loss leaves the
    /// same.
    package var revision: Int { state.withLock { $0.sequence + $0.syncs } }

    /// This disk once more, to go on in another way: open descriptors, the cache and what is not
    /// synced are there; no fault, no hook and no count is.
    package func copy() -> SimulatedDisk {
        SimulatedDisk(
            state.withLock { state in
                var copy = state
                copy.hook = nil
                copy.plan = FaultPlan()
                copy.ledger = CallLedger()
                return copy
            })
    }

    /// Calls `body` with the disks that a power loss now can leave, each different one once: all
    /// changes kept, all lost, each single one lost or kept alone, and `random` ones in which
    /// chance decides, under each of `orders`. Returns how many.
    @discardableResult
    package func forEachCrash(
        random: Int, seed: UInt64 = 0, orders: [NameOrder] = NameOrder.allCases,
        _ body: (CrashCase, SimulatedDisk) throws -> Void
    ) rethrows -> Int {
        let now = state.withLock { $0 }
        let shared = CrashBase(now)
        let unsynced = now.unsynced
        var policies: [CrashPolicy] = [.keepAll, .dropAll]
        policies += unsynced.indices.flatMap { [.dropOnly($0), .keepOnly($0)] }
        var seen: Set<[Int]> = []
        var chances: UInt64 = 0
        for order in orders {
            for policy in policies + [CrashPolicy](repeating: .random, count: random) {
                chances += 1
                let seed = policy == .random ? mixed(seed &+ chances) : seed
                let outcome = now.outcome(unsynced, policy, order, seed: seed)
                guard seen.insert(outcome.key).inserted else { continue }
                let crash = CrashCase(policy: policy, order: order, seed: seed)
                try body(crash, SimulatedDisk(shared.crashed(outcome)))
            }
        }
        return seen.count
    }

    /// Runs `workload` on this disk and calls `check` with what a power loss would have left, at
    /// every moment between two calls at which that could have changed, the end included. Returns
    /// how many disks there were. A workload that throws ends the walk where it threw.
    package func walkCrashes(
        random: Int, seed: UInt64 = 0, orders: [NameOrder] = NameOrder.allCases,
        during workload: (SimulatedDisk) throws -> Void,
        check: @escaping @Sendable (CrashCase, SimulatedDisk) -> Void
    ) rethrows -> Int {
        let progress = Mutex<(revision: Int, count: Int)>((-1, 0))
        let earlier = state.withLock { $0.hook }
        @Sendable func look(_ disk: SimulatedDisk) {
            let revision = disk.revision
            let isNew = progress.withLock { progress in
                defer { progress.revision = revision }
                return progress.revision != revision
            }
            guard isNew else { return }
            let count = disk.forEachCrash(
                random: random, seed: seed &+ UInt64(revision), orders: orders, check)
            progress.withLock { $0.count += count }
        }
        onCall { [unowned self] call in
            look(self)
            earlier?(call)
        }
        defer { onCall(earlier) }
        try workload(self)
        look(self)
        return progress.withLock { $0.count }
    }
}

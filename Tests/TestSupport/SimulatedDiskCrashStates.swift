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

    /// The ways in which the power can fail now: all changes kept, all lost, each single one lost
    /// or kept alone, and `random` ones in which chance decides, under each of `orders`.
    package func crashCases(
        random: Int, seed: UInt64 = 0, orders: [NameOrder] = NameOrder.allCases
    ) -> [CrashCase] {
        var policies: [CrashPolicy] = [.keepAll, .dropAll]
        policies += (0..<unsyncedChanges).flatMap { [.dropOnly($0), .keepOnly($0)] }
        policies += [CrashPolicy](repeating: .random, count: random)
        var chances: UInt64 = 0
        return orders.flatMap { order in
            policies.map { policy in
                chances += 1
                let own = policy == .random ? mixed(seed &+ chances) : seed
                return CrashCase(policy: policy, order: order, seed: own)
            }
        }
    }

    /// So large a share of them, picked by chance.
    package func crashCases(
        random: Int, share: Double, _ seed: inout Seed
    ) -> [CrashCase] {
        var chosen: [CrashCase] = []
        for crash in crashCases(random: random, seed: seed.next()) {
            if Double.random(in: 0..<1, using: &seed) < share { chosen.append(crash) }
        }
        return chosen
    }

    /// Calls `body` with the disks that these power losses leave, each different one once. Returns
    /// how many.
    @discardableResult
    package func forEachCrash(
        of cases: [CrashCase], _ body: (CrashCase, SimulatedDisk) throws -> Void
    ) rethrows -> Int {
        guard !cases.isEmpty else { return 0 }
        let now = state.withLock { $0 }
        let shared = CrashBase(now)
        let unsynced = now.unsynced
        var seen: Set<[Int]> = []
        for crash in cases {
            let outcome = now.outcome(unsynced, crash.policy, crash.order, seed: crash.seed)
            guard seen.insert(outcome.key).inserted else { continue }
            try body(crash, SimulatedDisk(shared.crashed(outcome)))
        }
        return seen.count
    }

    /// As above, with every one of `crashCases`.
    @discardableResult
    package func forEachCrash(
        random: Int, seed: UInt64 = 0, orders: [NameOrder] = NameOrder.allCases,
        _ body: (CrashCase, SimulatedDisk) throws -> Void
    ) rethrows -> Int {
        try forEachCrash(of: crashCases(random: random, seed: seed, orders: orders), body)
    }

    /// Runs `workload` on this disk and calls `moment` between two calls, and at the end, wherever
    /// a power loss may leave something else than before. A workload that throws ends the walk.
    package func walkMoments(
        during workload: (SimulatedDisk) throws -> Void,
        at moment: @escaping @Sendable (SimulatedDisk) -> Void
    ) rethrows {
        let last = Mutex(-1)
        let earlier = state.withLock { $0.hook }
        @Sendable func look(_ disk: SimulatedDisk) {
            let revision = disk.revision
            let isNew = last.withLock { last in
                defer { last = revision }
                return last != revision
            }
            if isNew { moment(disk) }
        }
        onCall { [unowned self] call in
            look(self)
            earlier?(call)
        }
        defer { onCall(earlier) }
        try workload(self)
        look(self)
    }

    /// Runs `workload` on this disk and calls `check` with what a power loss would have left, at
    /// every moment between two calls at which that could have changed, the end included. Returns
    /// how many disks there were. A workload that throws ends the walk where it threw.
    package func walkCrashes(
        random: Int, seed: UInt64 = 0, orders: [NameOrder] = NameOrder.allCases,
        during workload: (SimulatedDisk) throws -> Void,
        check: @escaping @Sendable (CrashCase, SimulatedDisk) -> Void
    ) rethrows -> Int {
        let count = Mutex(0)
        try walkMoments(during: workload) { disk in
            let found = disk.forEachCrash(
                random: random, seed: seed &+ UInt64(disk.revision), orders: orders, check)
            count.withLock { $0 += found }
        }
        return count.withLock { $0 }
    }
}

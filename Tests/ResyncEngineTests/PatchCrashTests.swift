import Glibc
import ResyncCore
import ResyncStorage
import Synchronization
import TestSupport
import Testing

@testable import ResyncEngine

/// Power losses and failing calls at every moment of patching, of going on after a crash, and of
/// taking back.
@Suite(.serialized) struct PatchCrashTests {
    /// Where a power loss leaves something else than the call before.
    private static let changing: Set<SystemCall> = [
        .pwrite, .fdatasync, .fsync, .renameat2, .fallocate, .unlinkat, .ftruncate,
    ]

    /// The disks that a power loss may leave at every boundary while `body` runs.
    private func crashes(
        _ disk: SimulatedDisk, _ random: inout Seed, each count: Int?, _ body: () throws -> Void
    ) rethrows -> [SimulatedDisk] {
        let found = Mutex<[SimulatedDisk]>([])
        let seeds = Mutex(random)
        disk.onCall { call in
            guard Self.changing.contains(call.kind) else { return }
            seeds.withLock { random in
                for (policy, order) in Self.policies(disk.unsyncedChanges, count, &random) {
                    let after = disk.crash(keeping: policy, order: order, seed: random.next())
                    found.withLock { $0.append(after) }
                }
            }
        }
        defer { disk.onCall(nil) }
        try body()
        random = seeds.withLock { $0 }
        return found.withLock { $0 }
    }

    /// All kept, all lost, and so many (nil: all) of the others.
    private static func policies(
        _ unsynced: Int, _ count: Int?, _ random: inout Seed
    ) -> [(CrashPolicy, NameOrder)] {
        var others: [CrashPolicy] = (0..<unsynced).flatMap {
            [CrashPolicy.dropOnly($0), .keepOnly($0)]
        }
        others += [CrashPolicy](repeating: .random, count: 4)
        var policies: [CrashPolicy] = [.keepAll, .dropAll]
        if let count {
            for _ in 0..<count {
                policies.append(others.randomElement(using: &random) ?? .random)
            }
        } else {
            policies += others
        }
        let orders = NameOrder.allCases
        return policies.map { ($0, orders.randomElement(using: &random) ?? .unordered) }
    }

    private var each: Int? { isLongRun ? nil : 4 }

    /// Nothing is lost now, going on comes to the end, and taking back to the beginning.
    private func check(_ stage: PatchStage, _ disk: SimulatedDisk, undoing: Bool = false) throws {
        if let loss = stage.loss(disk) {
            Issue.record("\(loss)")
            return
        }
        if !undoing {
            let outcome = try stage.apply(disk)
            #expect(outcome.stop == nil && outcome.results.allSatisfy { $0 == .done })
            #expect(areEqual(disk.durableContent(stage.target), stage.after))
        }
        let undone = try stage.undo(disk)
        #expect(undone.stop == nil && undone.results.allSatisfy { $0 == .done })
        #expect(areEqual(disk.durableContent(stage.target), stage.before))
        #expect(disk.openDescriptors == 0 && disk.badCloses == 0)
    }

    @Test(arguments: [false, true])
    func powerLossWhilePatching(_ device: Bool) throws {
        var random = Seed.fromEnvironment()
        let stage = PatchStage(device: device, seed: random.next())
        let states = try crashes(stage.disk, &random, each: each) {
            _ = try stage.apply(stage.disk)
        }
        #expect(states.count > 250)
        for state in states { try check(stage, state) }
        print("power loss while patching: \(states.count) states")
    }

    @Test func powerLossWhileTakingBack() throws {
        var random = Seed.fromEnvironment()
        let stage = PatchStage(seed: random.next())
        _ = try stage.apply(stage.disk)
        let states = try crashes(stage.disk, &random, each: each) { _ = try stage.undo(stage.disk) }
        #expect(states.count > 250)
        for (index, state) in states.enumerated() {
            // Taken back to the end, or carried out anew first.
            try check(stage, state, undoing: index % 2 == 0)
        }
        print("power loss while taking back: \(states.count) states")
    }

    @Test func powerLossWhileRecovering() throws {
        var random = Seed.fromEnvironment()
        let stage = PatchStage(extents: 20, seed: random.next())
        let first = try crashes(stage.disk, &random, each: 2) { _ = try stage.apply(stage.disk) }
        var count = 0
        for _ in 0..<(isLongRun ? 60 : 6) {
            let state = try #require(first.randomElement(using: &random))
            var isUndo = Bool.random(using: &random)
            var states = [state]
            for _ in 0..<3 {
                let next = try #require(states.randomElement(using: &random))
                let isUndoNow = isUndo
                states = try crashes(next, &random, each: 1) {
                    _ = isUndoNow ? try stage.undo(next) : try stage.apply(next)
                }
                if states.isEmpty { states = [next] }
                for state in states where Int.random(in: 0..<8, using: &random) == 0 {
                    try check(stage, state.crash(keeping: .keepAll), undoing: isUndo)
                    count += 1
                }
                isUndo.toggle()
            }
        }
        #expect(count > 10)
        print("power loss while recovering: \(count) states")
    }

    /// Each call fails once, or from then on.
    @Test(arguments: [false, true])
    func everyCallFails(_ persistent: Bool) throws {
        var random = Seed.fromEnvironment()
        let errors = [EIO, ENOSPC, EROFS]
        let step = isLongRun ? 1 : 2
        var nth = Int.random(in: 1...step, using: &random)
        var met = 0
        while true {
            let stage = PatchStage(extents: 20, seed: 5)
            let number = errors.randomElement(using: &random) ?? EIO
            stage.disk.inject(Fault(.fail(number), nth: nth, persistent: persistent))
            let outcome = try? stage.apply(stage.disk)
            if stage.disk.firedFaults == 0 { break }
            met += 1
            checkResults(stage, outcome)
            stage.disk.clearFaults()
            let seed = random.next()
            for policy in [CrashPolicy.keepAll, .dropAll, .random] {
                try check(stage, stage.disk.crash(keeping: policy, seed: seed))
            }
            // Without a crash in between, with what the cache holds.
            try check(stage, stage.disk)
            nth += step
        }
        #expect(met > 15)
        print("calls that fail, persistent \(persistent): \(met)")
    }

    @Test func everyCallFailsWhileTakingBack() throws {
        var random = Seed.fromEnvironment()
        let step = isLongRun ? 1 : 2
        var nth = Int.random(in: 1...step, using: &random)
        var met = 0
        while true {
            let stage = PatchStage(extents: 20, seed: 6)
            _ = try stage.apply(stage.disk)
            stage.disk.inject(Fault(.fail(EIO), nth: nth))
            _ = try? stage.undo(stage.disk)
            if stage.disk.firedFaults == 0 { break }
            met += 1
            stage.disk.clearFaults()
            try check(stage, stage.disk.crash(keeping: .random, seed: random.next()), undoing: true)
            try check(stage, stage.disk, undoing: true)
            nth += step
        }
        #expect(met > 10)
    }

    /// What a result says of its action is true.
    private func checkResults(_ stage: PatchStage, _ outcome: PatchOutcome?) {
        guard let outcome else {
            #expect(areEqual(stage.disk.durableContent(stage.target), stage.before))
            return
        }
        let now = stage.disk.durableContent(stage.target)
        for (action, result) in zip(stage.actions, outcome.results) {
            guard let result else { continue }
            for patch in action.patches {
                let range = patch.extent.offset..<patch.extent.end
                #expect(areEqual(now, result.isDone ? stage.after : stage.before, range))
            }
            if case .failed = result { continue }
            #expect(result == .done)
        }
    }
}

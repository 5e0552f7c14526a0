import Glibc
import ResyncCore
import ResyncStorage
import Synchronization
import TestSupport
import Testing

@testable import ResyncEngine

/// Power losses at every boundary between two calls of a plan's work, under every model of what
/// survives them.
@Suite struct ApplyCrashTests {
    @Test(arguments: Workload.allCases)
    func aPowerLossAtAnyMomentLosesNothing(_ workload: Workload) throws {
        let seed = Seed.fromEnvironment("\(#function) \(workload)")
        let sweep = try CrashSweep(workload, seed)
        let budget = isLong ? 40_000 : 300
        try sweep.run(budget: budget) { stage in try stage.apply() }
        print("\(workload): \(sweep.states.count) crash states of an apply")
    }

    @Test(arguments: [Workload.types, .links, .metadata, .mixed])
    func aPowerLossDuringAnUndoLosesNothing(_ workload: Workload) throws {
        let seed = Seed.fromEnvironment("\(#function) \(workload)")
        let sweep = try CrashSweep(workload, seed, prepare: { try $0.apply() })
        try sweep.run(budget: isLong ? 10_000 : 100) { stage in try stage.undo() }
        print("\(workload): \(sweep.states.count) crash states of an undo")
    }

    /// The power goes once more while what the first loss left is being settled.
    @Test(arguments: [Workload.smallFiles, .types, .links])
    func aPowerLossDuringRecoveryLosesNothing(_ workload: Workload) throws {
        let seed = Seed.fromEnvironment("\(#function) \(workload)")
        var random = seed
        for _ in 0..<(isLong ? 200 : 4) {
            let first = try CrashSweep(workload, Seed(random.next()))
            guard let disk = try first.oneState(of: { try $0.apply() }) else { continue }
            let second = CrashSweep(again: first, disk, Seed(random.next()))
            try second.run(budget: isLong ? 200 : 30) { stage in try stage.apply() }
        }
    }
}

/// Loses the power at many moments of one piece of work, and looks at what is left each time.
final class CrashSweep: Sendable {
    private let workload: Workload
    private let stage: ApplyStage
    private let before: TreeImage
    private let target: TreeImage
    private let original: TreeImage
    private let contents: Set<[UInt8]>
    private let seed: Seed
    let states = Counter()

    init(
        _ workload: Workload, _ seed: Seed, prepare: (ApplyStage) throws -> Void = { _ in }
    ) throws {
        self.workload = workload
        self.seed = seed
        stage = try workload.stage()
        original = stage.store("/b")
        target = stage.store("/a")
        contents = stage.contents()
        try prepare(stage)
        before = stage.store("/b")
    }

    init(again first: CrashSweep, _ disk: SimulatedDisk, _ seed: Seed) {
        workload = first.workload
        self.seed = seed
        stage = ApplyStage(disk)
        (before, target, original) = (first.before, first.target, first.original)
        contents = first.contents
    }

    /// What survived of the disk, at one moment chosen by the seed.
    func oneState(of work: (ApplyStage) throws -> Void) throws -> SimulatedDisk? {
        var random = seed
        let count = try countCalls(work)
        let chosen = Int.random(in: 0..<max(1, count), using: &random)
        let found = Mutex<SimulatedDisk?>(nil)
        let copy = stage.disk.crash(keeping: .keepAll)
        let calls = Counter()
        let crashSeed = random.next()
        copy.onCall { _ in
            guard calls.next() == chosen + 1 else { return }
            found.withLock {
                $0 = copy.crash(keeping: .random, order: .unordered, seed: crashSeed)
            }
        }
        try work(ApplyStage(copy))
        return found.withLock { $0 }
    }

    private func countCalls(_ work: (ApplyStage) throws -> Void) throws -> Int {
        let copy = stage.disk.crash(keeping: .keepAll)
        let calls = Counter()
        copy.onCall { _ in calls.next() }
        try work(ApplyStage(copy))
        return calls.count
    }

    /// Spreads at most so many crashes over all moments and models.
    func run(budget: Int, _ work: @escaping @Sendable (ApplyStage) throws -> Void) throws {
        let policies: [(CrashPolicy, NameOrder)] = [
            (.keepAll, .unordered), (.dropAll, .unordered), (.random, .ordered),
            (.random, .orderedInDirectory), (.random, .unordered), (.random, .unordered),
        ]
        let calls = try countCalls(work)
        let step = max(1, calls * policies.count / budget)
        var random = seed
        let offset = Int.random(in: 0..<step, using: &random)
        let problems = Mutex<[String]>([])
        let copy = stage.disk.crash(keeping: .keepAll)
        let at = Counter()
        let salt = random.next()
        copy.onCall { call in
            let number = at.next()
            for (index, (policy, order)) in policies.enumerated()
            where (number * policies.count + index) % step == offset {
                let seed = salt &+ UInt64(number * policies.count + index)
                let crashed = copy.crash(keeping: policy, order: order, seed: seed)
                self.states.next()
                do {
                    for problem in try self.check(ApplyStage(crashed), work) {
                        problems.withLock {
                            $0.append(
                                "\(self.workload) before call \(number) \(call.kind) "
                                    + "\(escaped(call.path)) \(policy) \(order) seed \(seed): "
                                    + problem)
                        }
                    }
                } catch {
                    problems.withLock {
                        $0.append(
                            "\(self.workload) before call \(number) \(call.kind) "
                                + "\(escaped(call.path)) \(policy) \(order): \(error)")
                    }
                }
            }
        }
        try work(ApplyStage(copy))
        let found = problems.withLock { $0 }
        for problem in found.prefix(5) { Issue.record("\(problem)") }
        if found.count > 5 { Issue.record("\(found.count) problems in all") }
    }

    private func check(
        _ stage: ApplyStage, _ work: (ApplyStage) throws -> Void
    ) throws -> [String] {
        var problems: [String] = []
        // No byte string is lost, and each path is wholly as before or wholly as planned.
        problems += lost(stage).map { "at once lost \($0)" }
        problems += mixtures(stage.store("/b"))
        try work(stage)
        problems += lost(stage).map { "lost \($0)" }
        let after = stage.store("/b")
        let wanted = isUndoing ? original : target
        problems += ApplyStage.differences(after, wanted).map { "not converged: \($0)" }
        problems += leftovers(stage).map { "left behind \($0)" }
        return problems
    }

    private var isUndoing: Bool { before != original }

    private func lost(_ stage: ApplyStage) -> [String] {
        contents.subtracting(stage.contents()).map { escaped(Array($0.prefix(24))) }
    }

    /// Paths whose object is neither the old nor the new one.
    private func mixtures(_ now: TreeImage) -> [String] {
        now.entries.compactMap { path, entry in
            guard entry.type != .directory else { return nil }
            for known in [original, target, before] {
                guard let other = known.entries[path] else { continue }
                if entry.type == other.type, entry.content == other.content,
                    entry.target == other.target
                {
                    return nil
                }
            }
            return "a third version of \(escaped(path))"
        }
    }

    private func leftovers(_ stage: ApplyStage) -> [String] {
        stage.disk.paths.filter { path in
            path.starts(with: [slash, 0x62, slash])
                && path.split(separator: slash).contains { $0.starts(with: stagedPrefix) }
                && !path.split(separator: slash).contains { $0.elementsEqual(quarantineName) }
        }.map { escaped($0) }
    }
}

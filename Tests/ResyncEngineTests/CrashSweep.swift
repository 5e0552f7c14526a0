import ResyncCore
import ResyncStorage
import Synchronization
import TestSupport
import Testing

@testable import ResyncEngine

/// Loses the power in one piece of work, at moments and in ways that chance picks from all there
/// are, and checks each disk that is left. Equal disks are checked once: what goes on from them
/// depends on nothing else.
final class CrashSweep: Sendable {
    typealias Work = @Sendable (SimulatedDisk) throws -> Void
    /// Has the work go on where it was cut off; what is wrong then.
    typealias Check = @Sendable (SimulatedDisk, inout Seed) throws -> [String]

    /// Where the work begins.
    private let disk: SimulatedDisk
    private let work: Work
    private let check: Check
    private let progress: Mutex<Progress>

    private struct Progress {
        var random: Seed
        var seen: Set<UInt64> = []
        var losses = 0
        var problems: [String] = []
    }

    init(from disk: SimulatedDisk, _ seed: Seed, _ work: @escaping Work, check: @escaping Check) {
        self.disk = disk
        self.work = work
        self.check = check
        progress = Mutex(Progress(random: seed))
    }

    convenience init(_ check: CrashCheck, from disk: SimulatedDisk, _ seed: Seed) {
        self.init(from: disk, seed, { try check.begin($0) }) { disk, random in
            try check.problems(disk, &random).map { "\(check.workload): \($0)" }
        }
    }

    /// How many ways chance decides in at each moment, under each model of what survives.
    private static let chances = isLongRun ? 400 : 24

    /// Checks about so many disks, all different, or as many as there are. Returns how many.
    @discardableResult
    func run(about budget: Int) throws -> Int {
        let all = try count()
        // Of the ways that are chosen more than half leave what another one left.
        let share = Double(budget) * 2.4 / Double(max(1, all))
        let copy = disk.copy()
        try copy.walkMoments(during: work) { [self] disk in look(disk, share) }
        let (found, count) = progress.withLock { ($0.problems, $0.seen.count) }
        for problem in found.prefix(5) { Issue.record("\(problem)") }
        if found.count > 5 { Issue.record("\(found.count) problems in all") }
        return count
    }

    /// How many ways there are to lose the power, at all moments together.
    private func count() throws -> Int {
        let copy = disk.copy()
        let total = Mutex(0)
        try copy.walkMoments(during: work) { disk in
            let own = (2 + 2 * disk.unsyncedChanges + Self.chances) * NameOrder.allCases.count
            total.withLock { $0 += own }
        }
        return total.withLock { $0 }
    }

    private func look(_ disk: SimulatedDisk, _ share: Double) {
        var random = progress.withLock { progress in
            defer { _ = progress.random.next() }
            return Seed(progress.random.next())
        }
        let cases = disk.crashCases(random: Self.chances, share: share, &random)
        disk.forEachCrash(of: cases) { crash, left in
            let isNew = progress.withLock { progress in
                progress.losses += 1
                return progress.seen.insert(left.fingerprint).inserted
            }
            guard isNew else { return }
            var problems: [String] = []
            do {
                problems = try check(left, &random)
            } catch {
                problems = ["\(error)"]
            }
            guard !problems.isEmpty else { return }
            let calls = disk.callCount
            progress.withLock { progress in
                progress.problems += problems.map { "after call \(calls), \(crash): \($0)" }
            }
        }
    }

    /// A disk that one power loss in the work left, by chance.
    static func one(
        from disk: SimulatedDisk, _ random: inout Seed, _ work: Work
    ) throws -> SimulatedDisk {
        let chosen = Mutex<(count: Int, disk: SimulatedDisk?, random: Seed)>(
            (0, nil, Seed(random.next())))
        let copy = disk.copy()
        try copy.walkMoments(during: work) { disk in
            chosen.withLock { chosen in
                chosen.count += 1
                guard chosen.random.once(in: chosen.count) else { return }
                let orders = NameOrder.allCases
                chosen.disk = disk.crash(
                    keeping: [.random, .random, .keepAll, .dropAll][chosen.random.below(4)],
                    order: orders[chosen.random.below(orders.count)], seed: chosen.random.next())
            }
        }
        return chosen.withLock { $0.disk } ?? disk.crash(keeping: .keepAll)
    }
}

import Glibc
import ResyncCore
import ResyncStorage
import Synchronization
import TestSupport
import Testing

@testable import ResyncEngine

/// Power losses and failing calls at every moment of patching, of going on after a crash, and of
/// taking back.
@Suite struct PatchCrashTests {
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

    private var scale: Int { isLongRun ? 12 : 1 }

    @Test(arguments: [false, true])
    func powerLossWhilePatching(_ device: Bool) throws {
        var random = Seed.fromEnvironment("\(#function) \(device)")
        let stage = PatchStage(device: device, seed: random.next())
        let sweep = CrashSweep(from: stage.disk, random, { _ = try stage.apply($0) }) { disk, _ in
            try check(stage, disk)
            return []
        }
        let count = try sweep.run(about: 1800 * scale)
        #expect(count > 500)
        tell(count, "patching \(device ? "a device" : "an image")")
    }

    @Test func powerLossWhileTakingBack() throws {
        var random = Seed.fromEnvironment()
        let stage = PatchStage(seed: random.next())
        _ = try stage.apply(stage.disk)
        let sweep = CrashSweep(from: stage.disk, random, { _ = try stage.undo($0) }) {
            disk, random in
            // Taken back to the end, or carried out anew first.
            try check(stage, disk, undoing: random.once(in: 2))
            return []
        }
        let count = try sweep.run(about: 1400 * scale)
        #expect(count > 500)
        tell(count, "taking patches back")
    }

    /// The power goes a second time and a third, in whatever is done next.
    @Test func powerLossWhileRecovering() throws {
        var random = Seed.fromEnvironment()
        var count = 0
        for _ in 0..<(20 * scale) {
            let stage = PatchStage(extents: 20, seed: random.next())
            var disk = stage.disk
            var isUndo = false
            for _ in 0..<(1 + random.below(2)) {
                disk = try CrashSweep.one(from: disk, &random) { [isUndo] disk in
                    _ = isUndo ? try stage.undo(disk) : try stage.apply(disk)
                }
                if random.once(in: 2) { isUndo.toggle() }
            }
            let sweep = CrashSweep(
                from: disk, Seed(random.next()),
                { [isUndo] disk in
                    _ = isUndo ? try stage.undo(disk) : try stage.apply(disk)
                },
                check: { [isUndo] disk, _ in
                    try check(stage, disk, undoing: isUndo)
                    return []
                })
            count += try sweep.run(about: 50)
        }
        #expect(count > 300)
        tell(count, "the second or third power loss while patching")
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

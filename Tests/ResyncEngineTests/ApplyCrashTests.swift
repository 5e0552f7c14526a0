import ResyncCore
import ResyncStorage
import Synchronization
import TestSupport
import Testing

@testable import ResyncEngine

/// Power losses between any two calls of a plan's work, of taking it back and of freeing what it
/// displaced, under every model of what survives them, torn writes included.
@Suite struct ApplyCrashTests {
    @Test(arguments: Workload.allCases)
    func aPowerLossAtAnyMomentLosesNothing(_ workload: Workload) throws {
        let seed = Seed.fromEnvironment("\(#function) \(workload)")
        let stage = try workload.stage()
        let check = CrashCheck(workload, .apply, stage)
        let count = try CrashSweep(check, from: stage.disk, seed).run(about: 1600 * scale)
        #expect(count > 300)
        tell(count, "an apply of \(workload)")
    }

    @Test(arguments: Workload.allCases)
    func aPowerLossDuringAnUndoLosesNothing(_ workload: Workload) throws {
        let seed = Seed.fromEnvironment("\(#function) \(workload)")
        let stage = try workload.stage()
        let check = CrashCheck(workload, .undo, stage)
        try stage.apply()
        let count = try CrashSweep(check, from: stage.disk, seed).run(about: 500 * scale)
        #expect(count > 60)
        tell(count, "an undo of \(workload)")
    }

    /// What was displaced is freed, or taken back as far as it is still there.
    @Test(arguments: [Workload.types, .links, .deleteTree, .mixed])
    func aPowerLossDuringAPurgeLeavesTheStoreWhole(_ workload: Workload) throws {
        let seed = Seed.fromEnvironment("\(#function) \(workload)")
        let stage = try workload.stage()
        let check = CrashCheck(workload, .purge, stage)
        try stage.apply()
        let count = try CrashSweep(check, from: stage.disk, seed).run(about: 400 * scale)
        #expect(count > 50)
        tell(count, "a purge after \(workload)")
    }

    /// The source has moved on when the plan goes on: none of that is written, and all is taken
    /// back.
    @Test(arguments: [Workload.smallFiles, .links, .mixed])
    func aPowerLossAndASourceThatMovesLoseNothing(_ workload: Workload) throws {
        let seed = Seed.fromEnvironment("\(#function) \(workload)")
        let stage = try workload.stage()
        let check = CrashCheck(workload, .applyOfAMovingSource, stage)
        let count = try CrashSweep(check, from: stage.disk, seed).run(about: 500 * scale)
        #expect(count > 100)
        tell(count, "an apply of \(workload) whose source moves")
    }

    /// The power goes again while what the first loss left is settled, and a third time.
    @Test(arguments: Workload.allCases, [2, 3])
    func aPowerLossDuringRecoveryLosesNothing(_ workload: Workload, _ losses: Int) throws {
        var random = Seed.fromEnvironment("\(#function) \(workload) \(losses)")
        var count = 0
        for _ in 0..<(5 * scale) {
            let stage = try workload.stage()
            var check = CrashCheck(workload, .apply, stage)
            var disk = stage.disk
            for _ in 1..<losses {
                disk = try CrashSweep.one(from: disk, &random) { [check] in try check.begin($0) }
                if random.once(in: 3) { check = check.with(.undo) }
            }
            count += try CrashSweep(check, from: disk, Seed(random.next())).run(about: 60)
        }
        #expect(count > 50)
        tell(count, "the \(losses == 2 ? "second" : "third") power loss in \(workload)")
    }

    private var scale: Int { isLongRun ? 12 : 1 }
}

/// `Scripts/test` adds these up.
func tell(_ count: Int, _ what: String) { print("crash states: \(count) of \(what)") }

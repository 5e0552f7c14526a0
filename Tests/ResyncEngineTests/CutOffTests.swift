import Glibc
import ResyncCore
import ResyncStorage
import Synchronization
import TestSupport
import Testing

@testable import ResyncEngine

/// Single ways of being cut off that once went wrong.
@Suite struct CutOffTests {
    /// Only the last change reached the medium: a directory's move, not those of what was in it.
    @Test func aDirectoryThatWentBeforeItsEntriesComesBackWhole() throws {
        let stage = try Workload.deleteTree.stage()
        let (original, planned) = (stage.store("/b"), stage.store("/a"))
        let left = Mutex<[SimulatedDisk]>([])
        try stage.disk.copy().walkMoments(during: { _ = try ApplyStage($0).apply() }) { disk in
            let count = disk.unsyncedChanges
            guard count > 1 else { return }
            left.withLock { $0.append(disk.crash(keeping: .keepOnly(count - 1))) }
        }
        let disks = left.withLock { $0 }
        #expect(disks.count > 20)
        for disk in disks {
            let again = ApplyStage(disk.copy())
            #expect(try again.apply().counts.notDone == 0)
            #expect(ApplyStage.differences(again.store("/b"), planned) == [])
            let back = ApplyStage(disk)
            try back.undo()
            #expect(ApplyStage.differences(back.store("/b"), original) == [])
        }
    }

    @Test func metadataThatWasSetInPartIsTakenBack() throws {
        let stage = try Workload.metadata.stage()
        let original = stage.store("/b")
        stage.disk.inject(Fault(.fail(EIO), on: .utimensat, under: "/b/m", persistent: true))
        #expect(try stage.apply().counts.notDone > 0)
        stage.disk.clearFaults()
        #expect(ApplyStage.differences(stage.store("/b"), original) != [])
        try stage.undo()
        #expect(ApplyStage.differences(stage.store("/b"), original) == [])
    }

    /// Setting an owner takes the set-user-id bit away; the mode comes after it.
    @Test func aModeThatAChangeOfOwnerTookAwayIsSetAgain() throws {
        let stage = try Workload.metadata.stage()
        stage.disk.inject(Fault(.fail(EIO), on: .fchmodat, under: "/b/m", persistent: true))
        #expect(try stage.apply().counts.notDone > 0)
        stage.disk.clearFaults()
        _ = try stage.apply()
        #expect(try stage.apply().counts.notDone == 0)
        #expect(ApplyStage.differences(stage.store("/b"), stage.store("/a")) == [])
    }

    @Test func aDirectoryThatSomebodyMadeKeepsItsMode() throws {
        let stage = try Workload.smallFiles.stage()
        for path in ["/b/d0", "/state/plan"] { stage.disk.remove(path) }
        try stage.plan()
        stage.disk.addDirectory("/b/d0", Ownership(mode: 0o751))
        let counts = try stage.apply().counts
        #expect(counts.changed == 1 && counts.blocked > 1, "\(counts)")
        #expect(stage.disk.peek("/b/d0").mode == 0o751)
        #expect(try stage.disk.names("/b/d0").isEmpty)
    }
}

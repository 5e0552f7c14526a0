import Glibc
import ResyncCore
import ResyncStorage
import TestSupport
import Testing

@testable import ResyncEngine

@Suite struct PatchTests {
    @Test(arguments: [false, true])
    func patchesAndTakesBack(_ device: Bool) throws {
        let stage = PatchStage(device: device)
        #expect(stage.before != stage.after)
        let applied = try stage.apply(stage.disk)
        #expect(applied.stop == nil)
        #expect(applied.results == stage.actions.map { _ in .done })
        #expect(stage.disk.durableContent(stage.target) == stage.after)
        // Again: nothing is to be done.
        let writes = stage.disk.count(.pwrite, stage.target)
        #expect(writes == stage.actions.reduce(0) { $0 + $1.patches.count })
        #expect(try stage.apply(stage.disk).results == applied.results)
        #expect(stage.disk.count(.pwrite, stage.target) == writes)
        let undone = try stage.undo(stage.disk)
        #expect(undone.results == applied.results)
        #expect(stage.disk.durableContent(stage.target) == stage.before)
        #expect(try stage.undo(stage.disk).results == applied.results)
        #expect(stage.disk.durableContent(stage.target) == stage.before)
        #expect(try stage.apply(stage.disk).results == applied.results)
        #expect(stage.disk.durableContent(stage.target) == stage.after)
        #expect(stage.disk.openDescriptors == 0)
    }

    @Test func readsEachSideAtMostTwice() throws {
        let stage = PatchStage()
        let pages = stage.actions.flatMap(\.patches).reduce(0) {
            $0 + ImageTarget.window($1.extent)
        }
        _ = try stage.apply(stage.disk)
        #expect(stage.disk.bytesRead(stage.target) <= 2 * pages)
        #expect(stage.disk.bytesRead("/a/image") <= pages)
    }

    @Test func withoutDirectReadsToo() throws {
        let stage = PatchStage()
        stage.disk.changeMount(of: "/b") { $0.directReads = .refused }
        #expect(try stage.openTarget(stage.disk).notes.count == 1)
        #expect(try stage.apply(stage.disk).results.allSatisfy { $0 == .done })
        #expect(stage.disk.durableContent(stage.target) == stage.after)
    }

    /// Where a crash may have cut a write stands what is neither old nor new, nor made of both.
    @Test func whatSomebodyWroteAfterACrashIsLeft() throws {
        let stage = PatchStage()
        stage.disk.inject(Fault(.fail(EIO), on: .pwrite, under: stage.target, nth: 1))
        _ = try stage.apply(stage.disk)
        let extent = stage.actions[0].patches[0].extent
        let somebodys = [UInt8](repeating: 0x5a, count: extent.length)
        stage.disk.write(stage.target, at: extent.offset, somebodys)
        let outcome = try stage.apply(stage.disk)
        #expect(outcome.results[0] == .changed)
        #expect(outcome.results.dropFirst().allSatisfy { $0 == .done })
        let now = stage.medium(stage.disk)
        #expect(Array(now[extent.offset..<extent.end]) == somebodys)
    }

    @Test func whatChangedOnTheTargetIsLeft() throws {
        let stage = PatchStage()
        let other = stage.actions[2].patches[1].extent
        stage.disk.write(stage.target, at: other.offset + 7, "somebody's")
        let start = stage.medium(stage.disk)
        let outcome = try stage.apply(stage.disk)
        #expect(outcome.results[2] == .changed)
        #expect(outcome.results.indices.allSatisfy { $0 == 2 || outcome.results[$0] == .done })
        let now = stage.medium(stage.disk)
        for (at, action) in stage.actions.enumerated() {
            for patch in action.patches {
                let range = patch.extent.offset..<patch.extent.end
                #expect(now[range] == (at == 2 ? start : stage.after)[range])
            }
        }
        #expect(try stage.undo(stage.disk).results.allSatisfy { $0 == .done })
        #expect(stage.medium(stage.disk) == start)
    }

    @Test func whatChangedOnTheSourceIsNotTaken() throws {
        let stage = PatchStage()
        stage.disk.write("/a/image", at: stage.actions[3].patches[0].extent.offset, "later")
        let outcome = try stage.apply(stage.disk)
        #expect(outcome.results[3] == .sourceChanged)
        #expect(outcome.results.count { $0 == .done } == stage.actions.count - 1)
        let range =
            stage.actions[3].patches[0].extent.offset..<stage.actions[3].patches[4].extent.end
        #expect(stage.medium(stage.disk)[range] == stage.before[range])
    }

    /// A crash came while an action was written, then its source changed: it is taken back.
    @Test func aHalfWrittenActionWhoseSourceChangedIsTakenBack() throws {
        let stage = PatchStage()
        stage.disk.inject(Fault(.fail(EIO), on: .pwrite, under: stage.target, nth: 8))
        let outcome = try stage.apply(stage.disk)
        #expect(outcome.stop == .target(DiskError(.pwrite, EIO)))
        #expect(outcome.results[1] == nil)
        stage.disk.clearFaults()
        #expect(stage.medium(stage.disk) != stage.before)
        stage.disk.write("/a/image", at: stage.actions[1].patches[4].extent.offset, "later")
        let again = try stage.apply(stage.disk)
        #expect(again.results[1] == .sourceChanged)
        #expect(again.results.count { $0 == .done } == stage.actions.count - 1)
        for patch in stage.actions[1].patches {
            let range = patch.extent.offset..<patch.extent.end
            #expect(stage.disk.durableContent(stage.target)[range] == stage.before[range])
        }
    }

    /// As above, where the target cannot be read: it is neither gone on with nor put back, and what
    /// is kept of it is not done with.
    @Test func aHalfWrittenActionThatCannotBeReadHasNoEnd() throws {
        let stage = PatchStage()
        stage.disk.inject(Fault(.fail(EIO), on: .pwrite, under: stage.target, nth: 8))
        _ = try stage.apply(stage.disk)
        stage.disk.clearFaults()
        let extent = stage.actions[1].patches[3].extent
        stage.disk.inject(
            Fault(
                .fail(EIO), on: .pread, under: stage.target, range: extent.offset..<extent.end,
                persistent: true))
        let outcome = try stage.apply(stage.disk)
        #expect(outcome.stop == .target(DiskError(.pread, EIO)))
        #expect(outcome.results[1] == nil)
        let undone = try stage.undo(stage.disk)
        #expect(undone.results[1] == ActionResult(DiskError(.pread, EIO)))
        stage.disk.clearFaults()
        #expect(try stage.apply(stage.disk).results.allSatisfy { $0 == .done })
        #expect(try stage.undo(stage.disk).results.allSatisfy { $0 == .done })
        #expect(stage.medium(stage.disk) == stage.before)
    }

    @Test func undoLeavesWhatChangedSince() throws {
        let stage = PatchStage()
        _ = try stage.apply(stage.disk)
        let other = stage.actions[4].patches[2].extent
        stage.disk.write(stage.target, at: other.offset, "newer")
        let outcome = try stage.undo(stage.disk)
        #expect(outcome.results[4] == .changed)
        #expect(outcome.refused == [other])
        #expect(outcome.results.count { $0 == .done } == stage.actions.count - 1)
        var expected = stage.before
        let range = other.offset..<other.end
        expected.replaceSubrange(range, with: stage.after[range])
        expected.replaceSubrange(other.offset..<other.offset + 5, with: Array("newer".utf8))
        #expect(stage.medium(stage.disk) == expected)
    }

    /// Of what is recorded as done, and stands there, without a record nothing is put back.
    @Test func whatNothingIsKeptOfIsNotCalledTakenBack() throws {
        let stage = PatchStage()
        _ = try stage.apply(stage.disk)
        let folder = try Folder.make(path: Array("/state".utf8), disk: stage.disk)
        try folder.remove(PatchStage.undoName)
        let undone = try stage.undo(stage.disk) { $0 < 2 }
        for (number, result) in undone.results.enumerated() {
            #expect(result == (number < 2 ? .lost : .done))
        }
        #expect(undone.refused == stage.actions.prefix(2).flatMap { $0.patches.map(\.extent) })
        #expect(stage.medium(stage.disk) == stage.after)
    }

    @Test func aWriteThatDoesNotReachTheMediumIsFound() throws {
        let stage = PatchStage()
        stage.disk.inject(Fault(.lose, on: .pwrite, under: stage.target, nth: 3))
        let outcome = try stage.apply(stage.disk)
        #expect(outcome.stop == .readBack(stage.actions[0].patches[2].extent))
        #expect(outcome.results.allSatisfy { $0 == nil })
        #expect(try stage.apply(stage.disk).results.allSatisfy { $0 == .done })
        #expect(stage.medium(stage.disk) == stage.after)
    }

    @Test func aFailedSyncIsNotAskedAgain() throws {
        for path in ["/b/image", "/state"] {
            let stage = PatchStage()
            let isTarget = path == stage.target
            stage.disk.inject(
                Fault(.fail(EIO), on: .fdatasync, under: path, nth: isTarget ? 1 : 3))
            let outcome = try? stage.apply(stage.disk)
            if isTarget { #expect(outcome?.stop == .target(DiskError(.fdatasync, EIO))) }
            #expect(stage.loss(stage.disk) == nil)
            if isTarget { #expect(stage.disk.count(.fdatasync, stage.target) == 1) }
        }
    }

    @Test func withoutSpaceForTheUndoFileNothingIsWritten() throws {
        let stage = PatchStage()
        stage.disk.changeMount(of: "/state") {
            $0.isSpaceLimited = true
            $0.blocksAvailable = 20
        }
        #expect(throws: DiskError(.fallocate, ENOSPC)) { try stage.apply(stage.disk) }
        #expect(stage.medium(stage.disk) == stage.before)
        #expect(!stage.disk.exists("/state/undo") && !stage.disk.exists("/state/undo.new"))
        // With the space that was asked for, no more is needed.
        stage.disk.changeMount(of: "/state") { $0.blocksAvailable = stage.space / 4096 + 3 }
        #expect(try stage.apply(stage.disk).results.allSatisfy { $0 == .done })
        #expect(try stage.undo(stage.disk).results.allSatisfy { $0 == .done })
    }

    // MARK: Undo files that are not this run's

    @Test func undoFilesOfOthersAreRefused() throws {
        let stage = PatchStage()
        _ = try stage.apply(stage.disk)
        let done = stage.medium(stage.disk)
        let target = try stage.openTarget(stage.disk)
        #expect(throws: UndoRefusal.self) {
            try stage.log(stage.disk, target, plan: Digest(words: (9, 9, 9, 9)))
        }
        let folder = try Folder.make(path: Array("/state".utf8), disk: stage.disk)
        #expect(throws: UndoRefusal.self) {
            try UndoLog.open(
                PatchStage.undoName, in: folder, run: "other", plan: PatchStage.plan,
                target: target)
        }
        let other = PatchStage(device: true)
        other.disk.addFile("/state/undo", stage.disk.content("/state/undo"))
        #expect(throws: UndoRefusal.self) { try other.undo(other.disk) }
        #expect(other.medium(other.disk) == other.before)
        #expect(stage.medium(stage.disk) == done)
    }

    @Test func anUndoFileInMemoryIsRefused() throws {
        let stage = PatchStage()
        stage.disk.changeMount(of: "/state") { $0.fileSystem = FileSystemKind.tmpfs }
        #expect(throws: UndoRefusal.self) { try stage.apply(stage.disk) }
        #expect(stage.medium(stage.disk) == stage.before)
    }

    @Test func anUndoFileOnTheTargetIsRefused() throws {
        let stage = PatchStage(device: true)
        stage.disk.addDirectory("/on")
        var mount = SimulatedMount(number: 5)
        mount.device = PatchStage.number
        stage.disk.setMount("/on", mount)
        let folder = try Folder.make(path: Array("/on".utf8), disk: stage.disk)
        let target = try stage.openTarget(stage.disk)
        #expect(throws: UndoRefusal.self) {
            try UndoLog.create(
                PatchStage.undoName, in: folder, run: "run", plan: PatchStage.plan,
                target: target, space: stage.space)
        }
    }

    @Test func aDamagedUndoFileIsRefused() throws {
        let stage = PatchStage()
        _ = try stage.apply(stage.disk)
        let kept = stage.disk.content("/state/undo")
        stage.disk.write("/state/undo", at: 9000, [kept[9000] ^ 1] as [UInt8])
        #expect(throws: UndoDamage.self) { try stage.undo(stage.disk) }
        #expect(stage.medium(stage.disk) == stage.after)
    }

    @Test func whatWasNotSealedIsIgnored() throws {
        let stage = PatchStage()
        stage.disk.inject(Fault(.fail(EIO), on: .fdatasync, under: "/state", nth: 3))
        _ = try? stage.apply(stage.disk)
        stage.disk.clearFaults()
        let bytes = stage.disk.content("/state/undo")
        let reader = try UndoReader(makeHash: frameHash) { at, count in
            Array(bytes[min(at, bytes.count)..<min(at + count, bytes.count)])
        }
        stage.disk.write("/state/undo", at: reader.end, "torn")
        stage.disk.write("/state/undo", at: reader.end + 20_000, "torn as well")
        #expect(try stage.apply(stage.disk).results.allSatisfy { $0 == .done })
        #expect(try stage.undo(stage.disk).results.allSatisfy { $0 == .done })
        #expect(stage.medium(stage.disk) == stage.before)
    }
}

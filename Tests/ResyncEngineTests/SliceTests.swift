import ResyncCore
import ResyncStorage
import Synchronization
import TestSupport
import Testing

@testable import ResyncEngine

/// A plan that there is not room for at once.
@Suite struct SliceTests {
    private static let size = 40_000

    /// Eight files of B are replaced, and one is made.
    private func stage() throws -> ApplyStage {
        try ApplyStage.planted { disk in
            for number in 0..<9 {
                disk.addFile("/a/f\(number)", generatedBytes(seed: UInt64(number), 0..<Self.size))
            }
        } b: { disk in
            for number in 0..<8 {
                disk.addFile(
                    "/b/f\(number)", generatedBytes(seed: UInt64(100 + number), 0..<Self.size))
            }
        }
    }

    @Test func aSliceIsReadBackAndNothingIsReleasedUnasked() throws {
        let stage = try stage()
        let before = stage.contents()
        let result = try stage.apply(maxUndo: 3 * Self.size + 1)
        #expect(result.shortage == .undo(needed: Self.size, available: 1))
        #expect(result.counts.done == 3)
        #expect(result.slice?.confirmed == 3)
        #expect(before.isSubset(of: stage.contents()))
        #expect(try stage.marker(.b)?.inconsistent != nil)
        // Asked again it comes no further.
        #expect(try stage.apply(maxUndo: 3 * Self.size + 1).counts.done == 3)
        // With more room it does.
        #expect(try stage.apply().shortage == nil)
        #expect(ApplyStage.differences(stage.store("/b"), stage.store("/a")) == [])
        #expect(before.isSubset(of: stage.contents()))
        #expect(try stage.undo().counts.notDone == 0)
    }

    @Test func releasingLeadsToTheEndAndIsRemembered() throws {
        let stage = try stage()
        var freed: [Int] = []
        let result = try stage.apply(maxUndo: 3 * Self.size) { freed.append($0.bytes) }
        #expect(result.shortage == nil)
        #expect(result.counts.notDone == 0)
        #expect(freed == [3 * Self.size, 3 * Self.size])
        #expect(ApplyStage.differences(stage.store("/b"), stage.store("/a")) == [])
        let undone = try stage.undo()
        #expect(undone.counts.released == 6)
        // What came last is still kept.
        for number in 6..<8 {
            #expect(
                stage.disk.content("/b/f\(number)")
                    == generatedBytes(seed: UInt64(100 + number), 0..<Self.size))
        }
        #expect(stage.disk.content("/b/f0") == stage.disk.content("/a/f0"))
    }

    /// What is carried out after a release can be taken back, and is not forgotten.
    @Test func aReleasedPartIsNotTheWholeRun() throws {
        let stage = try stage()
        #expect(try stage.apply(maxUndo: 3 * Self.size).counts.done == 3)
        #expect(try stage.purge().entries == 3)
        #expect(try stage.folder().state.released == nil)
        #expect(try stage.apply().counts.notDone == 0)
        #expect(try stage.folder().reasonToKeep != nil)
        let undone = try stage.undo()
        #expect(undone.counts.released == 3 && undone.counts.notDone == 3)
        for number in 0..<8 {
            let seed = UInt64(number < 3 ? number : 100 + number)
            let isRight = areEqual(
                stage.disk.content("/b/f\(number)"), generatedBytes(seed: seed, 0..<Self.size))
            #expect(isRight, "\(number)")
        }
    }

    /// As runs were that released a part as if it were all.
    @Test func aReleasedRunIsNotGoneOnWith() throws {
        let stage = try stage()
        #expect(try stage.apply(maxUndo: 3 * Self.size).counts.done == 3)
        try stage.folder().append(.released(ApplyStage.calm))
        let before = stage.disk.tree("/b")
        #expect(throws: UndoRefusal.self) { try stage.apply() }
        #expect(stage.disk.tree("/b").differences(from: before) == [])
    }

    /// The file system itself sets the slices.
    @Test func aFullFileSystemIsNeverRunInto() throws {
        let stage = try stage()
        let blocks = 4 * (Self.size / 4096 + 2)
        stage.disk.limitSpace(of: "/b", blocks: blocks)
        let first = try stage.apply()
        guard case .space(.b, _, _) = first.shortage else {
            Issue.record("\(first)")
            return
        }
        #expect(first.failure == nil)
        #expect(first.counts.done > 0)
        #expect(first.counts.failed == 0)
        var slices = 0
        let result = try stage.apply { _ in slices += 1 }
        #expect(slices > 1)
        #expect(result.counts.notDone == 0, "\(result)")
        #expect(ApplyStage.differences(stage.store("/b"), stage.store("/a")) == [])
    }

    /// A directory that the plan makes is closed to others, and so unlike the source's, to the end.
    @Test func directoriesThatAreMadeDoNotHoldASliceUp() throws {
        let stage = try ApplyStage.planted { disk in
            for number in 0..<6 {
                disk.addDirectory("/a/d\(number)")
                for root in ["/a", "/a/d\(number)"] {
                    disk.addFile(
                        "\(root)/f\(number)", generatedBytes(seed: 7, 0..<Self.size))
                }
            }
        } b: { disk in
            for number in 0..<6 {
                disk.addFile(
                    "/b/f\(number)", generatedBytes(seed: UInt64(100 + number), 0..<Self.size))
            }
        }
        var slices = 0
        let result = try stage.apply(maxUndo: 2 * Self.size) { _ in slices += 1 }
        #expect(result.counts.notDone == 0, "\(result)")
        #expect(slices == 2)
        #expect(ApplyStage.differences(stage.store("/b"), stage.store("/a")) == [])
    }

    /// A file of 1 MiB with a few bytes of data.
    @Test func holesNeedNoRoom() throws {
        let stage = try Workload.sparse.stage()
        let pieces = 256 * 1024 / 4096
        stage.disk.limitSpace(of: "/b", blocks: pieces - 10)
        #expect(try stage.apply().shortage != nil)
        stage.disk.limitSpace(of: "/b", blocks: pieces + 10)
        let result = try stage.apply()
        #expect(result.shortage == nil && result.counts.notDone == 0, "\(result)")
        #expect(ApplyStage.differences(stage.store("/b"), stage.store("/a")) == [])
    }

    @Test func whatDoesNotAgreeIsNotReleased() throws {
        let stage = try stage()
        _ = try stage.apply(maxUndo: 2 * Self.size)
        // Somebody writes into the slice before it is read back.
        stage.disk.write("/b/f1", at: 0, [1, 2, 3])
        var freed = 0
        let result = try stage.apply(maxUndo: 2 * Self.size) { _ in freed += 1 }
        #expect(freed == 0)
        #expect(result.slice?.different == 1)
        #expect(result.counts.done == 2)
    }

    @Test func withoutRoomForTheFirstChangeNothingIsTouched() throws {
        let stage = try stage()
        let before = stage.disk.tree("/b")
        let result = try stage.apply(maxUndo: Self.size - 1) { _ in }
        #expect(result.shortage == .undo(needed: Self.size, available: Self.size - 1))
        #expect(result.counts.done == 0)
        #expect(stage.disk.tree("/b").differences(from: before) == [])
    }

    /// The power may go at any moment of it: the same call comes to the same end.
    @Test func aCrashBetweenSlicesLosesNothing() throws {
        let stage = try stage()
        let (calls, crashes) = (Counter(), Counter())
        let problems = Mutex<[String]>([])
        let copy = stage.disk.crash(keeping: .keepAll)
        copy.onCall { call in
            let number = calls.next()
            guard number % 7 == 0 else { return }
            crashes.next()
            let policy = number % 2 == 0 ? CrashPolicy.dropAll : .random
            let left = ApplyStage(
                copy.crash(keeping: policy, order: .unordered, seed: UInt64(number)))
            do {
                let result = try left.apply(maxUndo: 3 * Self.size) { _ in }
                let differences = ApplyStage.differences(left.store("/b"), left.store("/a"))
                guard result.counts.notDone > 0 || !differences.isEmpty else { return }
                problems.withLock { $0.append("\(number) \(call.kind): \(result) \(differences)") }
            } catch {
                problems.withLock { $0.append("\(number) \(call.kind): \(error)") }
            }
        }
        _ = try ApplyStage(copy).apply(maxUndo: 3 * Self.size) { _ in }
        for problem in problems.withLock({ $0.prefix(3) }) { Issue.record("\(problem)") }
        #expect(crashes.count > 50)
    }
}

import Glibc
import ResyncCore
import ResyncStorage
import TestSupport
import Testing

@testable import ResyncEngine

/// Somebody who had a file open goes on writing to it in the quarantine; an undo brings it back
/// with that.
@Suite struct LateWriteTests {
    /// How the file system of B can rename.
    enum Kind: String, CaseIterable, Sendable {
        case exchanges, links, noLinks
    }

    private static let names = ["/b/d/gone", "/b/f"]
    private static let late = "what came late"

    /// A plan that is carried out, with every file it displaced written to since.
    private func stage(_ kind: Kind) throws -> ApplyStage {
        let stage = try ApplyStage.planted(
            a: { disk in
                disk.addFile("/a/f", "of A")
                disk.addDirectory("/a/d")
            },
            b: { disk in
                disk.addFile("/b/f", "of B, and longer than that")
                disk.addDirectory("/b/d")
                disk.addFile("/b/d/gone", "on B only, and deleted")
            })
        stage.disk.changeMount(of: "/b") { mount in
            mount.knowsRenameRules = kind == .exchanges
            mount.canLink = kind != .noLinks
        }
        let result = try stage.apply()
        #expect(result.counts.notDone == 0, "\(result.counts)")
        let shelf = Array("/b/.resync-quarantine/run/".utf8)
        let kept = stage.disk.paths.filter { $0.starts(with: shelf) }
        try #require(kept.count == Self.names.count)
        for path in kept { stage.disk.write(path, at: 3, Self.late) }
        return stage
    }

    private func problems(_ disk: SimulatedDisk) -> [String] {
        Self.names.compactMap { name in
            let isBack = disk.exists(name)
            let content = isBack ? Array(disk.content(name)) : []
            return content.dropFirst(3).starts(with: Array(Self.late.utf8))
                ? nil : "\(name): \(String(decoding: content, as: UTF8.self))"
        }
    }

    @Test(arguments: Kind.allCases)
    func whatWasWrittenLateComesBackAndIsNamed(_ kind: Kind) throws {
        let stage = try stage(kind)
        let undone = try stage.undo()
        #expect(undone.counts.notDone == 0, "\(undone.counts)")
        #expect(Set(undone.late.map { "/b/" + escaped($0.path.bytes) }) == Set(Self.names))
        #expect(problems(stage.disk) == [])
        #expect(try stage.folder().state.isUndone)
        #expect(try stage.marker(.b)?.inconsistent == nil)
    }

    @Test(arguments: Kind.allCases)
    func aPowerLossInTheUndoLosesNothingOfIt(_ kind: Kind) throws {
        let seed = Seed.fromEnvironment("\(#function) \(kind)")
        let stage = try stage(kind)
        let shelf = "/b/.resync-quarantine/run"
        let wanted = stage.disk.contentNumbers("/a").union(stage.disk.contentNumbers(shelf))
        let sweep = CrashSweep(from: stage.disk, seed, { try ApplyStage($0).undo() }) {
            [self] disk, _ in
            let stage = ApplyStage(disk)
            let lost = wanted.subtracting(stage.contents()).count
            let undone = try stage.undo()
            var found = lost > 0 ? ["at once: \(lost) contents are lost"] : []
            if undone.counts.notDone > 0 { found.append("\(undone.notUndone)") }
            if try !stage.folder().state.isUndone { found.append("not taken back") }
            return found + problems(disk)
        }
        let count = try sweep.run(about: isLongRun ? 4000 : 300)
        #expect(count > 40)
        tell(count, "an undo of what was written to late (\(kind))")
    }

    // MARK: After a crash

    /// `f` is replaced, and the run is cut off before it can say so; then it is written to.
    private func cutOff(_ kind: Kind) throws -> ApplyStage {
        let stage = try ApplyStage.planted(
            a: { $0.addFile("/a/f", "of A") },
            b: { $0.addFile("/b/f", "of B, and longer than that") })
        stage.disk.changeMount(of: "/b") { mount in
            mount.knowsRenameRules = kind == .exchanges
            mount.canLink = kind != .noLinks
        }
        _ = try stage.folder()
        stage.disk.inject(
            Fault(.fail(EIO), on: .pwrite, under: "/state/runs/run/journal", nth: 3))
        #expect(throws: JournalFailure.self) { try stage.apply() }
        stage.disk.clearFaults()
        try #require(try stage.folder().state.open != nil)
        try #require(stage.disk.content("/b/f") == Array("of A".utf8))
        stage.disk.write(Self.shelved, at: 3, Self.late)
        return stage
    }

    private static let shelved = "/b/.resync-quarantine/run/0"

    private func isBack(_ disk: SimulatedDisk, _ path: String = "/b/f") -> Bool {
        disk.exists(path) && disk.content(path).dropFirst(3).starts(with: Array(Self.late.utf8))
    }

    @Test(arguments: Kind.allCases)
    func whatIsWrittenLateAfterACrashIsStillWhatWasDisplaced(_ kind: Kind) throws {
        let stage = try cutOff(kind)
        let gone = ApplyStage(stage.disk.copy())
        #expect(try gone.apply().counts.notDone == 0)
        #expect(gone.disk.content("/b/f") == Array("of A".utf8))
        for stage in [stage, gone] {
            let undone = try stage.undo()
            #expect(undone.counts.notDone == 0, "\(undone.notUndone)")
            #expect(undone.late.map { escaped($0.path.bytes) } == ["f"])
            #expect(isBack(stage.disk))
            #expect(try stage.folder().state.isUndone)
            #expect(try stage.marker(.b)?.inconsistent == nil)
        }
    }

    /// What was displaced lies in the quarantine, and somebody has another thing in its place.
    @Test(arguments: [false, true])
    func whatAConflictLeftDisplacedIsNotCalledTakenBack(_ isGoneOnWith: Bool) throws {
        let stage = try cutOff(.exchanges)
        stage.disk.remove("/b/f")
        stage.disk.addFile("/b/f", "of somebody else")
        if isGoneOnWith { for _ in 0..<2 { #expect(try stage.apply().counts.notDone > 0) } }
        for _ in 0..<2 {
            let undone = try stage.undo()
            #expect(undone.counts.notDone == 1, "\(undone.counts)")
            #expect(undone.notUndone.keys.sorted() == [0])
            #expect(try !stage.folder().state.isUndone)
            #expect(try stage.marker(.b)?.inconsistent != nil)
            #expect(stage.disk.content("/b/f") == Array("of somebody else".utf8))
            #expect(isBack(stage.disk, Self.shelved))
        }
        // Once its place is free for it, or it is erased, it is over.
        let erased = ApplyStage(stage.disk.copy())
        #expect(try Quarantine(try erased.folder()).erase(.root, try erased.sites()).count == 1)
        #expect(try erased.undo().counts.notDone == 0)
        #expect(try erased.marker(.b)?.inconsistent == nil)
    }
}

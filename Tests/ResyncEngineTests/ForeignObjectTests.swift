import Glibc
import ResyncCore
import ResyncStorage
import Synchronization
import TestSupport
import Testing

@testable import ResyncEngine

/// What looks like the run's own and is somebody's: told by what the run has said it made.
@Suite struct ForeignObjectTests {
    private static let calm = Ownership(mode: 0o600, mtime: ApplyStage.calm)
    private static let edit = "USERS EDIT"

    /// `f` is another one on each side, `g` and `d/new` are to be made.
    private static func stage() throws -> ApplyStage {
        try ApplyStage.planted(
            a: { disk in
                disk.addFile("/a/f", "what A has, and it is long", calm)
                disk.addFile("/a/g", "of A", calm)
                disk.addDirectory("/a/d", Ownership(mode: 0o755, mtime: ApplyStage.calm))
                disk.addFile("/a/d/new", "of A", calm)
            }, b: { $0.addFile("/b/f", "what B had", calm) })
    }

    /// Runs until the first renaming of what has a name that begins so; somebody is quicker there.
    ///
    /// - Returns: what a process that is killed right after it leaves.
    private static func cutOff(
        _ disk: SimulatedDisk, at path: String, _ body: () throws -> Void,
        meanwhile: @escaping @Sendable (SimulatedDisk) -> Void
    ) throws -> ApplyStage {
        let path = Array(path.utf8)
        let left = Left()
        disk.onCall { call in
            left.state.withLock { state in
                switch state {
                case .before:
                    guard call.kind == .renameat2, call.path.starts(with: path) else { return }
                    meanwhile(disk)
                    state = .at
                case .at: state = .after(disk.copy())
                case .after: break
                }
            }
        }
        try body()
        disk.onCall(nil)
        return ApplyStage(
            try #require(
                left.state.withLock { state in
                    if case .after(let copy) = state { return copy }
                    return nil
                }))
    }

    private final class Left: Sendable {
        enum State {
            case before, at
            case after(SimulatedDisk)
        }

        let state = Mutex(State.before)
    }

    private static func isAnywhere(_ disk: SimulatedDisk, _ text: String) -> Bool {
        disk.paths.contains {
            disk.peek($0).type == .file && disk.content($0) == Array(text.utf8)
        }
    }

    /// An editor saves with a backup, the run is killed when it has exchanged the two, and the
    /// backup is put back.
    @Test func whatAnExchangeHasTakenIsKeptThoughTheOldOneIsBack() throws {
        let whole = try Self.stage()
        let stage = try Self.cutOff(whole.disk, at: "/b/.resync-staged-") {
            try whole.apply()
        } meanwhile: { disk in
            disk.rename("/b/f", to: "/b/f.bak")
            disk.addFile("/b/f", Self.edit, Ownership(mode: 0o600, uid: geteuid()))
        }
        let disk = stage.disk
        #expect(disk.content("/b/f") != Array(Self.edit.utf8))
        disk.remove("/b/f")
        disk.rename("/b/f.bak", to: "/b/f")
        _ = try stage.apply()
        #expect(Self.isAnywhere(disk, Self.edit))
        let strays = try Quarantine(try stage.folder()).strays(try stage.sites())
        #expect(strays.contains { $0.stray.isUnplaced }, "\(strays)")
    }

    /// Whatever its mode is, also one that a directory of ours could have.
    @Test(arguments: [0o700, 0o751, 0o755] as [UInt16])
    func aDirectoryThatSomebodyMadeIsLeftWithAllItHas(_ mode: UInt16) throws {
        let stage = try Self.stage()
        let disk = stage.disk
        disk.addDirectory("/b/d", Ownership(mode: mode, uid: 33, gid: 33, mtime: ApplyStage.calm))
        disk.setAttribute("/b/d", "user.note", "keep me")
        let before = disk.peek("/b/d")
        let counts = try stage.apply().counts
        #expect(counts.changed == 1 && counts.blocked == 2 && counts.done > 1, "\(counts)")
        for _ in 0..<2 {
            #expect(disk.peek("/b/d") == before)
            #expect(disk.attributes("/b/d").count == 1 && !disk.exists("/b/d/new"))
            try stage.undo()
        }
        #expect(disk.content("/b/f") == Array("what B had".utf8))
    }

    @Test(arguments: [false, true])
    func whatACutOffUndoHasTakenOutGoesBack(_ isTaken: Bool) throws {
        let whole = try Self.stage()
        #expect(try whole.apply().counts.notDone == 0)
        let stage = try Self.cutOff(whole.disk, at: "/b/g") {
            try whole.undo()
        } meanwhile: { disk in
            disk.remove("/b/g")
            disk.addFile("/b/g", Self.edit)
        }
        let disk = stage.disk
        #expect(!disk.exists("/b/g"))
        if isTaken { disk.addFile("/b/g", "and another one") }
        let undone = try stage.undo()
        #expect(undone.notUndone.values.map { $0 } == [isTaken ? .conflict : .changed])
        let strays = try Quarantine(try stage.folder()).strays(try stage.sites())
        if isTaken {
            #expect(disk.content("/b/g") == Array("and another one".utf8))
            #expect(strays.count { $0.stray.isUnplaced } == 1, "\(strays)")
            #expect(Self.isAnywhere(disk, Self.edit))
        } else {
            #expect(disk.content("/b/g") == Array(Self.edit.utf8))
        }
        #expect(disk.content("/b/f") == Array("what B had".utf8))
    }

    @Test func whatACutOffUndoHasExchangedGoesBack() throws {
        let whole = try Self.stage()
        #expect(try whole.apply().counts.notDone == 0)
        let stage = try Self.cutOff(whole.disk, at: "/b/f") {
            try whole.undo()
        } meanwhile: { disk in
            disk.remove("/b/f")
            disk.addFile("/b/f", Self.edit)
        }
        let disk = stage.disk
        #expect(disk.content("/b/f") == Array("what B had".utf8))
        for _ in 0..<2 {
            let undone = try stage.undo()
            #expect(undone.counts.changed == 1, "\(undone.counts)")
            #expect(disk.content("/b/f") == Array(Self.edit.utf8))
            #expect(Self.isAnywhere(disk, "what B had"))
        }
    }

    /// As another run makes it, of which this one knows nothing.
    @Test func anEqualCopyOfSomebodyElsesIsNotTakenBack() throws {
        let stage = try Self.stage()
        let disk = stage.disk
        #expect(try stage.apply().counts.notDone == 0)
        let made = disk.peek("/b/f")
        let content = String(decoding: disk.content("/b/f"), as: UTF8.self)
        disk.remove("/b/f")
        disk.addFile(
            "/b/f", content,
            Ownership(mode: made.mode, uid: made.uid, gid: made.gid, mtime: made.mtime))
        let undone = try stage.undo()
        #expect(undone.counts.changed == 1, "\(undone.counts)")
        #expect(disk.content("/b/f") == Array(content.utf8))
        #expect(!disk.exists("/b/g"))
    }

    @Test func aFurtherNameOfWhatChangedSinceIsNotMade() throws {
        let stage = try ApplyStage.planted(
            a: { disk in
                disk.addFile("/a/h1", "several names", Self.calm)
                disk.link("/a/h1", as: "/a/h2")
            }, b: { $0.addFile("/b/h1", "several names", Self.calm) })
        let disk = stage.disk
        disk.change("/b/h1", Ownership(mode: 0o666, uid: 44, mtime: ApplyStage.calm))
        let counts = try stage.apply().counts
        #expect(counts.notDone > 0 && !disk.exists("/b/h2"), "\(counts)")
        #expect(disk.peek("/b/h1").links == 1)
        #expect(try stage.undo().counts.notDone == 0)
    }

    /// Where settling it ended half-way: its mode comes last.
    @Test func aDirectoryThatIsHalfSettledIsTakenBack() throws {
        let stage = try Self.stage()
        #expect(try stage.apply().counts.notDone == 0)
        stage.disk.change("/b/d", Ownership(mode: 0o1750, uid: 33))
        #expect(try stage.undo().counts.notDone == 0)
        #expect(!stage.disk.exists("/b/d"))
    }

    @Test func aDirectoryOfTheRunsThatSomebodyHasChangedIsNotTakenBack() throws {
        let stage = try Self.stage()
        let disk = stage.disk
        #expect(try stage.apply().counts.notDone == 0)
        disk.change("/b/d", Ownership(mode: 0o2770, gid: 33))
        let undone = try stage.undo()
        #expect(undone.counts.changed == 1, "\(undone.counts)")
        #expect(disk.peek("/b/d").mode == 0o2770 && !disk.exists("/b/d/new"))
    }
}

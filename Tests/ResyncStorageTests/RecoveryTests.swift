import Glibc
import ResyncCore
import TestSupport
import Testing

@testable import ResyncStorage

/// What a crash left, where somebody was at work before the run went on.
@Suite struct RecoveryTests {
    /// In place of a file comes another one; at its staged name lies what is given.
    private struct Scene {
        let disk = SimulatedDisk()
        let changer: LocalChanger
        let action: Action
        var staged: String { "/s/" + String(decoding: changer.stagedName(0), as: UTF8.self) }

        init() throws {
            disk.addDirectory("/s")
            disk.addFile("/s/f", "what was to be replaced")
            let site = try LocalSite(
                path: Array("/s".utf8), disk: disk, options: LocalSiteOptions())
            changer = LocalChanger(
                site, root: site.descriptor,
                ChangeOrder(run: "run", secret: .zero, blockSize: 1 << 20, planned: .now))
            var action = Action(.write, on: .b, RelativePath(Array("f".utf8)), why: .unknown)
            let stat = try disk.stat(path: Array("/s/f".utf8))
            action.before = ObservedEntry(entry: Entry(stat: stat))
            var after = stat
            after.size = 100
            action.after = ObservedEntry(entry: Entry(stat: after), content: .zero)
            self.action = action
        }

        /// - Parameter isStaged: whether the run had said what it was about to put in place, which
        ///   is nowhere now.
        func recover(isStaged: Bool) throws -> ActionResult? {
            let mark = isStaged ? ObjectMark(Stat(type: .file, inode: 1 << 40)) : nil
            return try changer.recover(0, action, OwnObjects(placed: mark, directories: []))
        }
    }

    /// An exchange had taken it from the name before the crash.
    @Test func whatMayBeSomebodysIsKept() throws {
        let scene = try Scene()
        // By look it could be what we had begun to make.
        scene.disk.addFile(
            scene.staged, "the only one", Ownership(mode: 0o600, uid: geteuid()))
        #expect(try scene.recover(isStaged: true) == .conflict)
        #expect(!scene.disk.exists(scene.staged))
        let kept = scene.disk.content("/s/.resync-quarantine/run/0-unplaced")
        #expect(kept == Array("the only one".utf8))
        #expect(scene.disk.content("/s/f") == Array("what was to be replaced".utf8))
    }

    /// What an earlier attempt has taken from the name is never taken for our own, though nothing
    /// says any more that it was put there.
    @Test(arguments: [false, true])
    func whatWasToBeReplacedIsGivenBack(_ isTaken: Bool) throws {
        let scene = try Scene()
        let old = Array("what was to be replaced".utf8)
        scene.disk.rename("/s/f", to: scene.staged)
        if isTaken { scene.disk.addFile("/s/f", "somebody else's") }
        #expect(try scene.recover(isStaged: false) == (isTaken ? .conflict : nil))
        #expect(!scene.disk.exists(scene.staged))
        let place = isTaken ? "/s/.resync-quarantine/run/0-unplaced" : "/s/f"
        #expect(scene.disk.content(place) == old)
        #expect(!isTaken || scene.disk.content("/s/f") == Array("somebody else's".utf8))
    }

    @Test func whatWeBeganToMakeIsNot() throws {
        let scene = try Scene()
        scene.disk.addFile(scene.staged, "part of", Ownership(mode: 0o600, uid: geteuid()))
        #expect(try scene.recover(isStaged: false) == nil)
        #expect(!scene.disk.exists(scene.staged))
        let still = try Scene()
        still.disk.addFile(still.staged, "torn by the power loss")
        #expect(try still.recover(isStaged: false) == nil)
        #expect(!still.disk.exists(still.staged))
    }
}

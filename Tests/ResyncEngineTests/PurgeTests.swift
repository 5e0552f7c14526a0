import Glibc
import ResyncCore
import ResyncStorage
import TestSupport
import Testing

@testable import ResyncEngine

/// Freeing what a run keeps, where not all of it can go.
@Suite struct PurgeTests {
    private static let shelf = "/b/.resync-quarantine/run"

    /// B had four things that A does not have, or has otherwise; with the plan carried out.
    private func stage() throws -> ApplyStage {
        let stage = try ApplyStage.planted(
            a: { disk in
                disk.addFile("/a/f", "of A")
                disk.addDirectory("/a/new")
                disk.addFile("/a/new/made", "on A only")
            },
            b: { disk in
                disk.addFile("/b/f", "of B")
                disk.addDirectory("/b/old")
                disk.addFile("/b/old/one", "on B only")
                disk.addFile("/b/extra", "on B only, too")
            })
        let result = try stage.apply()
        #expect(result.counts.notDone == 0, "\(result.counts)")
        #expect(shelved(stage).count == 4)
        return stage
    }

    private func shelved(_ stage: ApplyStage) -> [String] {
        stage.disk.paths.map { String(decoding: $0, as: UTF8.self) }.filter {
            $0.hasPrefix(Self.shelf + "/")
        }
    }

    @Test func aDisplacedDirectoryThatGotAnEntryIsKeptAndNamed() throws {
        let stage = try stage()
        let directory = try #require(
            shelved(stage).first { stage.disk.peek($0).type == .directory })
        // Of somebody whose working directory it was.
        stage.disk.addFile(directory + "/late", "what came late")
        let freed = try stage.purge()
        #expect(freed.late.map { escaped($0.bytes) } == ["old"])
        #expect(freed.entries == 3)
        #expect(shelved(stage) == [directory, directory + "/late"])
        // Asked again, it still is.
        #expect(try stage.purge().late.count == 1)
        #expect(try stage.undo().counts.released == 3)
        #expect(stage.disk.content("/b/old/late") == Array("what came late".utf8))
    }

    /// Whatever the journal says: what lies there is known by its run alone.
    @Test func theQuarantineOfAReleasedRunIsLookedAt() throws {
        let stage = try stage()
        _ = try stage.purge()
        let folder = try stage.folder()
        #expect(folder.state.released != nil && folder.mayHaveStrays)
        #expect(try Quarantine(folder).strays(try stage.sites()).isEmpty)
        stage.disk.addFile(Self.shelf + "/0-unplaced", "of somebody")
        #expect(try Quarantine(folder).strays(try stage.sites()).count == 1)
    }

    @Test func whatWasFreedBeforeAnErrorIsRemembered() throws {
        let stage = try stage()
        stage.disk.inject(Fault(.fail(EIO), on: .unlinkat, under: Self.shelf, nth: 3))
        #expect(throws: DiskError(.unlinkat, EIO)) { try stage.purge() }
        stage.disk.clearFaults()
        #expect(shelved(stage).count == 2)
        let copy = ApplyStage(stage.disk.copy())
        let undone = try copy.undo()
        #expect(undone.counts.released == 2, "\(undone.notUndone)")
        #expect(undone.counts.changed == 0, "\(undone.notUndone)")
        let rest = try stage.purge()
        #expect(rest.entries == 2 && rest.late.isEmpty)
        #expect(shelved(stage) == [])
    }

    // MARK: Copies that an undo took out

    /// With the undo done as well.
    private func takenBack() throws -> (stage: ApplyStage, file: String, directory: String) {
        let stage = try stage()
        #expect(try stage.undo().counts.notDone == 0)
        let copies = shelved(stage)
        #expect(copies.count == 3)
        let file = try #require(copies.first { isOf($0, "of A", stage) })
        let directory = try #require(copies.first { stage.disk.peek($0).type == .directory })
        return (stage, file, directory)
    }

    private func isOf(_ path: String, _ content: String, _ stage: ApplyStage) -> Bool {
        stage.disk.peek(path).type == .file && stage.disk.content(path) == Array(content.utf8)
    }

    private func late(_ freed: Quarantine.Freed) -> [String] {
        freed.late.map { escaped($0.bytes) }
    }

    @Test func copiesGo() throws {
        let (stage, _, _) = try takenBack()
        let freed = try stage.purge()
        #expect(freed.entries == 3 && freed.late.isEmpty)
        #expect(shelved(stage) == [])
        #expect(try stage.folder().state.released != nil)
        #expect(try stage.folder().state.erasedStrays.count == 3)
    }

    @Test func copiesThatWentBeforeAnErrorAreRemembered() throws {
        let (stage, _, _) = try takenBack()
        stage.disk.inject(Fault(.fail(EIO), on: .unlinkat, under: Self.shelf, nth: 2))
        #expect(throws: DiskError(.unlinkat, EIO)) { try stage.purge() }
        stage.disk.clearFaults()
        #expect(try stage.folder().state.erasedStrays.count == 1)
        #expect(try stage.purge().entries == 2)
        #expect(try stage.folder().state.erasedStrays.count == 3)
    }

    @Test func aCopyThatSomebodyWroteToIsKeptAndNamed() throws {
        let (stage, file, directory) = try takenBack()
        stage.disk.write(file, at: 0, "by others")
        stage.disk.addFile(directory + "/late", "what came late")
        // Once more, since that must not be the end of it.
        for count in [1, 0] {
            let freed = try stage.purge()
            #expect(freed.entries == count)
            #expect(late(freed).sorted() == ["f", "new"])
            #expect(isOf(file, "by others", stage))
            #expect(isOf(directory + "/late", "what came late", stage))
            #expect(try stage.folder().mayHaveStrays)
        }
    }

    @Test func aCopyThatIsOpenForWritingIsKeptUntilItIsClosed() throws {
        let (stage, file, _) = try takenBack()
        let writer = try stage.disk.open(path: Array(file.utf8), [.readWrite], mode: 0)
        let freed = try stage.purge()
        #expect(freed.entries == 2 && late(freed) == ["f"])
        stage.disk.close(writer)
        #expect(try stage.purge().entries == 1)
        #expect(shelved(stage) == [])
    }

    /// An undo goes on, since it loses nothing; what it took out stays until somebody says so.
    @Test func whereTheKernelDoesNotTellWhoWritesACopyIsKept() throws {
        let stage = try stage()
        stage.disk.inject(Fault(.fail(EINVAL), on: .fcntl, under: "/b", persistent: true))
        let undone = try stage.undo()
        #expect(undone.counts.notDone == 0, "\(undone.notUndone)")
        let freed = try stage.purge()
        #expect(freed.entries == 1 && late(freed).sorted() == ["f", "new/made"])
        #expect(shelved(stage).count == 2)
        let erased = try Quarantine(try stage.folder()).erase(.root, try stage.sites())
        #expect(erased.count == 2)
        #expect(shelved(stage) == [])
        #expect(try stage.folder().state.erasedStrays.count == 3)
    }
}

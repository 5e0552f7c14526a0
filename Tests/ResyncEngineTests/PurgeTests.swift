import Glibc
import ResyncCore
import ResyncStorage
import TestSupport
import Testing

@testable import ResyncEngine

/// Freeing what a run keeps, where not all of it can go.
@Suite struct PurgeTests {
    private static let shelf = "/b/.resync-quarantine/run"

    /// B has four things that A does not have, or has otherwise; with the plan carried out.
    private func stage() throws -> ApplyStage {
        let stage = try ApplyStage.planted(
            a: { disk in
                disk.addFile("/a/f", "of A")
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
}

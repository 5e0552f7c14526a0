import Foundation
import Glibc
import Testing

/// What the undo file of an image keeps, what it lacks, and what is said of it.
@Suite struct ImageKeptTests {
    /// Images `a` and `b` that differ in three places, and the id of a plan.
    private func stage() throws -> (stage: Stage, plan: String) {
        let stage = try Stage()
        try stage.remove("a")
        for name in ["a", "b"] { try stage.write(name, noise(300_000)) }
        for at in Self.places {
            try stage.patch("a", at: at, [UInt8](repeating: 0x55, count: 4096))
        }
        return (stage, try stage.planned(stage.a, stage.b))
    }

    private static let places = [40960, 81920, 163840]

    private func run(_ stage: Stage) throws -> String {
        let runs = try FileManager.default.contentsOfDirectory(atPath: stage.state + "/runs")
        return try #require(runs.first { stage.exists("state/runs/\($0)/journal") })
    }

    @Test func extentsThatAnUndoLeavesAreNamed() throws {
        let (stage, plan) = try stage()
        #expect(try stage.applying(plan).run().status == 0)
        for at in Self.places.suffix(2) { try stage.patch("b", at: at + 9, [1, 2, 3]) }
        let undone = try stage.resync(["undo"]).run()
        #expect(undone.status == 6, "\(undone.report)")
        #expect(undone.text.contains("since the run; left as it is: 4096 at 81920, 4096 at 163840"))
        let lines = try objects(try stage.resync(["undo", "--json"]).run().lines)
        let action = try #require(lines.first { $0["type"] as? String == "action" })
        let extents = action["extents"] as? [[String: Int]]
        #expect(action["extents_left"] as? Int == 2)
        #expect(extents?.map { $0["offset"] } == [81920, 163840])
        #expect(extents?.map { $0["length"] } == [4096, 4096])
        // Nobody confirms it any more: its name lets it go.
        let purge = ["quarantine", "purge", "--older-than", "0"]
        let kept = try stage.resync(purge).run()
        #expect(kept.errorText.contains("stays unless the run is named"), "\(kept.report)")
        #expect(stage.exists("state/runs/\(try run(stage))/undo"))
        let freed = try stage.resync(purge + ["last"]).run()
        #expect(freed.status == 0, "\(freed.report)")
        #expect(try stage.resync(["runs", "delete", try run(stage)]).run().status == 0)
    }

    @Test func anUndoFileThatIsCutIsSaidToBe() throws {
        let (stage, plan) = try stage()
        #expect(try stage.applying(plan).run().status == 0)
        let id = try run(stage)
        let undo = "\(stage.state)/runs/\(id)/undo"
        try system("truncate", "-s", "9000", undo)
        let undone = try stage.resync(["undo"]).run()
        #expect(undone.status == 6, "\(undone.report)")
        #expect(undone.text.contains("the undo file of run \(id) is cut (at byte "))
        #expect(undone.text.contains("1 of which nothing is kept"), "\(undone.report)")
        #expect(!undone.text.contains("changed"), "\(undone.report)")
        try system("truncate", "-s", "100", undo)
        let refused = try stage.resync(["undo", "--json"]).run()
        #expect(refused.status == 2, "\(refused.report)")
        #expect(refused.errorText.contains("the undo file of run \(id) is cut (at byte 16)"))
    }

    @Test func aReleasedUndoFileThatACrashLeftIsRemoved() throws {
        for command in ["purge", "confirm", "delete"] {
            let (stage, plan) = try stage()
            let elsewhere = stage.folder + "/elsewhere"
            let applied = try stage.applying(plan, "--undo-dir", elsewhere).run()
            #expect(applied.status == 0, "\(applied.report)")
            let id = try run(stage)
            let undo = "elsewhere/resync-\(id).undo"
            let bytes = stage.bytes(undo)
            #expect(try stage.resync(["confirm", "--release-undo"]).run().status == 0)
            #expect(!stage.exists(undo))
            try stage.write(undo, bytes)
            let arguments = [
                "purge": ["quarantine", "purge"], "confirm": ["confirm", "--release-undo"],
                "delete": ["runs", "delete", id],
            ]
            let done = try stage.resync(arguments[command] ?? []).run()
            #expect(done.status == 0, "\(done.report)")
            #expect(!stage.exists(undo), "\(command)")
        }
    }

    /// Nil, said aloud, where nothing can be killed. A run that is killed in the midst of writing,
    /// then somebody's bytes where it was writing, then an undo.
    private func overwritten() throws -> (stage: Stage, run: String, undone: Finished)? {
        guard let killer = try Killer() else { return nil }
        let whole = try stage()
        let calls = try killer.run(whole.stage.applying(whole.plan), killingAt: 0).calls
        for moment in (1..<calls).reversed() {
            let (stage, plan) = try stage()
            _ = try killer.run(stage.applying(plan), killingAt: moment)
            try stage.patch("b", at: Self.places[1] + 100, Array("somebody's".utf8))
            let undone = try stage.resync(["undo"]).run()
            guard undone.text.contains("put aside") else { continue }
            #expect(undone.status == 0, "\(undone.report)")
            return (stage, try run(stage), undone)
        }
        Issue.record("no moment of \(calls) leaves a write that may be torn")
        return nil
    }

    @Test func whatAnUndoPutsAsideIsToldListedAndCopied() throws {
        guard let (stage, id, undone) = try overwritten() else { return }
        let piece = "B 4.00 KiB at byte 81920"
        #expect(undone.text.contains("~ \(piece)  stood where the run was cut off"))
        #expect(undone.text.contains("'resync quarantine copy \(id) DIR'"), "\(undone.report)")
        #expect(undone.text.contains(", 1 put aside"), "\(undone.report)")
        let listed = try stage.resync(["quarantine", "list"]).run()
        #expect(listed.lines.contains("\(id)  \(piece)  put aside"), "\(listed.report)")
        #expect(listed.lines.last == "1 kept, 4.00 KiB", "\(listed.report)")
        let copied = try stage.resync(["quarantine", "copy", "last", stage.folder + "/out"]).run()
        #expect(copied.status == 0, "\(copied.report)")
        let bytes = stage.bytes("out/81920")
        #expect(bytes.count == 4096)
        #expect(Array(bytes[100..<110]) == Array("somebody's".utf8))
        let again = try stage.resync(["quarantine", "copy", "last", stage.folder + "/out"]).run()
        #expect(again.status == 2, "\(again.report)")
    }

    /// Nobody knows whose it was.
    @Test func whatWasPutAsideGoesWhenItsRunIsNamed() throws {
        guard let (stage, id, _) = try overwritten() else { return }
        let deleted = try stage.resync(["runs", "delete", id]).run()
        #expect(deleted.status == 5, "\(deleted.report)")
        #expect(deleted.errorText.contains("keeps what it put aside"), "\(deleted.report)")
        let all = try stage.resync(["quarantine", "purge", "--older-than", "0s"]).run()
        #expect(all.status == 6, "\(all.report)")
        #expect(all.errorText.contains("kept unless the run is named"), "\(all.report)")
        #expect(stage.exists("state/runs/\(id)/undo"))
        let named = try stage.resync(["quarantine", "purge", id, "--older-than", "0s"]).run()
        #expect(named.status == 0, "\(named.report)")
        let words = "! B 4.00 KiB at byte 81920  was put aside, and goes with the rest"
        #expect(named.lines.first == words, "\(named.report)")
        #expect(!stage.exists("state/runs/\(id)/undo"))
        #expect(try stage.resync(["quarantine", "list"]).run().lines == ["0 kept, 0 B"])
        let copied = try stage.resync(["quarantine", "copy", id, stage.folder + "/out"]).run()
        #expect(copied.status == 2, "\(copied.report)")
        #expect(try stage.resync(["runs", "delete", id]).run().status == 0)
    }
}

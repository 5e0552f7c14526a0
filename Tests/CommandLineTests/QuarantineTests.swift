import Foundation
import Testing

/// What runs keep, and freeing it.
@Suite struct QuarantineTests {
    @Test func whatIsKeptIsListedAndPurgedByAge() throws {
        let scene = try ApplyScene()
        try scene.refuses(2, "nothing is kept of 'f'") { try scene.run("quarantine", "erase", "f") }
        try scene.applied()
        let kept = try scene.run("quarantine", "list")
        #expect(kept.status == 0, "\(kept.report)")
        #expect(kept.lines.last == "5 kept, 25 B", "\(kept.report)")
        for name in ["f", "extra", "old", "old/one", "old/two"] {
            #expect(kept.lines.contains { $0.contains("  B  \(name)  ") }, "\(kept.report)")
        }
        let store = try scene.store
        let shelf = try traces(scene.stage.b + "/.resync-quarantine")
        // Never confirmed, then not long enough ago: nothing goes.
        let unconfirmed = try scene.run("quarantine", "purge", "--older-than", "0s")
        #expect(unconfirmed.status == 0, "\(unconfirmed.report)")
        #expect(unconfirmed.errorText.contains("never confirmed"), "\(unconfirmed.report)")
        let confirmed = try scene.run("confirm")
        #expect(confirmed.status == 0, "\(confirmed.report)")
        let young = try scene.run("quarantine", "purge")
        #expect(young.errorText.contains("not long enough"), "\(young.report)")
        #expect(try traces(scene.stage.b + "/.resync-quarantine") == shelf)
        let freed = try scene.run("quarantine", "purge", "--older-than", "0s")
        #expect(freed.status == 0 && freed.text.contains("freed 5 entries"), "\(freed.report)")
        #expect(try scene.run("quarantine", "list").lines == ["0 kept, 0 B"])
        #expect(try scene.store == store)
        // What is gone cannot come back; what stands is left as it is.
        let undone = try scene.run("undo")
        #expect(undone.status == 5, "\(undone.report)")
        #expect(undone.errorText.contains("no longer be taken back"), "\(undone.report)")
        #expect(scene.stage.bytes("b/f") == scene.stage.bytes("a/f"))
        #expect(!scene.stage.exists("b/extra"))
    }

    /// What a run keeps lies in the store that it changed.
    @Test func theOtherStoreIsNotNeeded() throws {
        let scene = try ApplyScene()
        try scene.applied()
        #expect(try scene.run("confirm").status == 0)
        try system("mv", scene.stage.a, scene.stage.folder + "/elsewhere")
        let listed = try scene.run("quarantine", "list")
        #expect(listed.status == 0 && listed.lines.last == "5 kept, 25 B", "\(listed.report)")
        let erased = try scene.run("quarantine", "erase", "f")
        #expect(erased.status == 0, "\(erased.report)")
        let freed = try scene.run("quarantine", "purge", "--older-than", "0s")
        #expect(freed.status == 0 && freed.text.contains("freed 4 entries"), "\(freed.report)")
        #expect(try scene.run("quarantine", "list").lines == ["0 kept, 0 B"])
    }

    @Test func onePathIsErasedAndTheRestComesBack() throws {
        let scene = try ApplyScene()
        try scene.applied()
        let erased = try scene.run("quarantine", "erase", "old")
        #expect(erased.status == 0, "\(erased.report)")
        #expect(erased.lines.count == 3, "\(erased.report)")
        #expect(erased.text.contains("erased what was kept of old/two"), "\(erased.report)")
        #expect(try scene.run("quarantine", "list").lines.last == "2 kept, 19 B")
        try scene.refuses(2, "nothing is kept of 'old'") {
            try scene.run("quarantine", "erase", "old")
        }
        try scene.refuses(64, "../f") { try scene.run("quarantine", "erase", "../f") }
        let undone = try scene.run("undo")
        #expect(undone.status == 6, "\(undone.report)")
        #expect(scene.stage.text("b/f") == "what B had")
        #expect(scene.stage.text("b/extra") == "only on B")
        #expect(!scene.stage.exists("b/old"))
    }

    @Test func aPathOfSeveralPairsIsErasedOnlyWhereItIsSaid() throws {
        let scene = try ApplyScene()
        let stage = scene.stage
        try scene.applied()
        for (store, text) in [("c", "of C"), ("d", "of D, and kept")] {
            try stage.makeFolder(store)
            try stage.write(store + "/f", text)
        }
        let (c, d) = (stage.folder + "/c", stage.folder + "/d")
        #expect(try scene.run("plan", c, d, "--authority", "a", "-o", "q").status == 0)
        #expect(try scene.run("apply", "q").status == 0)
        let run = try scene.runFolder().split(separator: "/").last.map { String($0) } ?? ""
        try scene.refuses(5, "runs of several pairs of stores keep it, so --run must say") {
            try scene.run("quarantine", "erase", "f")
        }
        let erased = try scene.run("quarantine", "erase", "f", "--run", run)
        #expect(erased.status == 0 && erased.lines.count == 1, "\(erased.report)")
        let rest = try scene.run("quarantine", "erase", "f")
        #expect(rest.status == 0 && rest.lines.count == 1, "\(rest.report)")
        #expect(rest.lines != erased.lines)
    }

    @Test func whatWasTakenAwayByHandIsLost() throws {
        let scene = try ApplyScene()
        try scene.applied()
        let own = try scene.runFolder().split(separator: "/").last.map { String($0) } ?? "?"
        try system("rm", "-rf", "\(scene.stage.b)/.resync-quarantine/\(own)")
        let kept = try scene.run("quarantine", "list")
        #expect(kept.status == 2, "\(kept.report)")
        #expect(kept.lines.contains { $0.contains("  B  f  10 B  gone") }, "\(kept.report)")
        #expect(kept.lines.last == "0 kept, 0 B; 5 gone", "\(kept.report)")
        let undone = try scene.run("undo")
        #expect(undone.status == 6, "\(undone.report)")
        for name in ["f", "extra"] {
            let line = "! \(name)  lost: what it displaced is no longer in the quarantine"
            #expect(undone.text.contains(line), "\(undone.report)")
        }
        // What it made needs nothing from there.
        #expect(!scene.stage.exists("b/d/new"))
        #expect(undone.text.contains("is at its end"), "\(undone.report)")
    }

    @Test func whatLiesInAStoreIsListedWithoutTheState() throws {
        let scene = try ApplyScene()
        try scene.applied()
        let own = try scene.runFolder().split(separator: "/").last.map { String($0) } ?? "?"
        let known = try scene.run("quarantine", "list", scene.stage.b)
        #expect(known.status == 0 && known.lines.last == "5 kept, 25 B", "\(known.report)")
        try system("mv", scene.stage.state, scene.stage.folder + "/lost")
        let before = try scene.b
        let found = try scene.run("quarantine", "list", scene.stage.b)
        #expect(found.status == 2, "\(found.report)")
        #expect(
            found.lines.contains { $0.contains("\(own)/1  10 B  of an unknown run") },
            "\(found.report)")
        #expect(found.lines.last == "0 kept, 0 B; 5 of unknown runs", "\(found.report)")
        #expect(try scene.b == before)
    }

    @Test func onlyRunsThatAreThereArePurged() throws {
        let scene = try ApplyScene()
        try scene.applied()
        try scene.refuses(2, "no run") { try scene.run("quarantine", "purge", "nothing") }
        try scene.refuses(64, "duration") {
            try scene.run("quarantine", "purge", "--older-than", "soon")
        }
        #expect(try scene.run("quarantine", "list").lines.last == "5 kept, 25 B")
    }
}

import Foundation
import Glibc
import Testing

/// What a run must not claim, and what it must not take away from others.
@Suite struct ApplyCareTests {
    // MARK: What is not said

    @Test func whatAPlanLeavesOutIsNotCalledTheSame() throws {
        let stage = try Stage()
        try stage.write("a/f", "one")
        try stage.write("a/g", "same")
        try stage.copy()
        try stage.age()
        #expect(try stage.verify("--keep").status == 0)
        // Both sides have their own f by now, and A a newer g.
        try stage.write("a/f", "of A")
        try stage.write("b/f", "of B")
        try stage.write("a/g", "newer")
        #expect(try stage.verify().status == 1)
        let planned = try stage.resync(
            ["plan", "last", "--authority", "baseline", "-o", "p"]).run()
        #expect(planned.status == 4, "\(planned.report)")
        let applied = try stage.resync(["apply", stage.folder + "/p"]).run()
        #expect(applied.status == 4, "\(applied.report)")
        #expect(applied.text.contains("left as they are: 1 conflict"), "\(applied.report)")
        let confirmed = try stage.resync(["confirm", "--json"]).run()
        #expect(confirmed.status == 4, "\(confirmed.report)")
        let summary = try #require(try objects(confirmed.lines).last)
        #expect((summary["left_out"] as? [String: Any])?["conflicts"] as? Int == 1)
        #expect(stage.text("b/g") == "newer" && stage.text("b/f") == "of B")
    }

    @Test func aPlanWithNothingToDoBeginsNoRun() throws {
        let stage = try Stage()
        try stage.write("a/f", "of A")
        try stage.copy()
        try stage.write("b/f", "of B")
        #expect(try stage.verify().status == 1)
        let planned = try stage.resync(
            ["plan", "last", "--authority", "union", "-o", "p"]).run()
        #expect(planned.status == 0, "\(planned.report)")
        let before = try traces(stage.a) + traces(stage.b)
        let applied = try stage.resync(["apply", stage.folder + "/p"]).run()
        #expect(applied.status == 0, "\(applied.report)")
        #expect(applied.lines == ["the plan has nothing to do", "left as they are: 1 other"])
        #expect(try traces(stage.a) + traces(stage.b) == before)
        #expect(try stage.resync(["confirm"]).run().status != 0)
    }

    @Test func aStoreThatAnotherRunLeftHalfChangedStaysMarked() throws {
        let scene = try ApplyScene()
        try scene.applied()
        #expect(try scene.run("confirm").status == 0)
        let first = try #require(try scene.runFolder().split(separator: "/").last)
        try scene.stage.write("a/f", "the second version")
        try scene.makePlan()
        try scene.applied()
        func state() throws -> String? {
            let shown = try Command(Command.resync, ["store", "show", scene.stage.b]).run()
            return shown.lines.first { $0.hasPrefix("state") }
        }
        let second = try state()
        #expect(second?.contains("changed in part by run") == true)
        #expect(try scene.run("confirm", String(first)).status == 0)
        #expect(try state() == second)
        let undone = try scene.run("undo", String(first))
        #expect(undone.text.contains("has changed it since: take that back first"))
        #expect(try state() == second)
        #expect(try scene.run("undo", "last").status == 0)
        #expect(try state() == "state     consistent")
    }

    @Test func aRunThatKeepsSomethingIsNotForgotten() throws {
        let scene = try ApplyScene()
        try scene.applied()
        let runs = try traces(scene.stage.state)
        try scene.refuses(5, "keeps what it displaced") { try scene.run("runs", "delete", "last") }
        #expect(try traces(scene.stage.state) == runs)
        #expect(try scene.run("confirm", "--release-undo").status == 0)
        #expect(try scene.run("runs", "delete", "last").status == 0)
        #expect(try scene.run("quarantine", "list").lines == ["0 kept, 0 B"])
    }

    // MARK: Writers that come late

    /// Not inherited by the processes that other tests start meanwhile.
    private func writer(of path: String) throws -> FileHandle {
        let descriptor = open(path, O_WRONLY | O_CLOEXEC)
        try #require(descriptor >= 0)
        return FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    }

    @Test func whatIsWrittenToTheDisplacedIsKeptAndNamed() throws {
        let scene = try ApplyScene()
        let writer = try writer(of: scene.stage.b + "/f")
        let applied = try scene.apply("--accept-open")
        #expect(applied.status == 0, "\(applied.report)")
        try writer.seekToEnd()
        try writer.write(contentsOf: Data(", and more".utf8))
        try writer.close()
        let confirmed = try scene.run("confirm", "--release-undo")
        #expect(confirmed.status == 6, "\(confirmed.report)")
        #expect(confirmed.text.contains("! f  was written to after it was displaced"))
        let kept = try scene.run("quarantine", "list")
        #expect(kept.lines.count == 2 && kept.lines[0].contains("  B  f  "), "\(kept.report)")
        // It can be taken back still, with what was written to it.
        let undone = try scene.run("undo")
        #expect(undone.status == 6, "\(undone.report)")
        let purged = try scene.run("quarantine", "purge", "--older-than", "0s")
        #expect(purged.status != 0 || !purged.text.contains("freed 1"), "\(purged.report)")
        let erased = try scene.run("quarantine", "erase", "f")
        #expect(erased.status == 0, "\(erased.report)")
        let left = try scene.run("quarantine", "list")
        #expect(!left.lines.contains { $0.contains("  B  f  ") }, "\(left.report)")
    }

    /// As it would be had the run never been.
    @Test func whatIsWrittenToTheDisplacedComesBackWithIt() throws {
        let scene = try ApplyScene()
        let names = ["f", "extra"]
        let writers = try names.map { try writer(of: scene.stage.b + "/\($0)") }
        let applied = try scene.apply("--accept-open")
        #expect(applied.status == 0, "\(applied.report)")
        for writer in writers {
            try writer.seekToEnd()
            try writer.write(contentsOf: Data(", and more".utf8))
            try writer.close()
        }
        let undone = try scene.run("undo")
        #expect(undone.status == 0, "\(undone.report)")
        for name in names {
            let line = "~ \(name)  came back with what was written to it after it was displaced"
            #expect(undone.lines.contains(line), "\(undone.report)")
        }
        #expect(scene.stage.text("b/f") == "what B had, and more")
        #expect(scene.stage.text("b/extra") == "only on B, and more")
        #expect(scene.stage.text("b/old/one") == "one" && !scene.stage.exists("b/d/new"))
        let kept = try scene.run("quarantine", "list")
        #expect(kept.lines.contains { $0.contains("  B  f  ") && $0.contains("taken back") })
        #expect(kept.lines.last == "2 kept, 4.89 KiB", "\(kept.report)")
    }

    /// What stands in its place is somebody's, too: both stay, and the undo says where.
    @Test func whereBothWereWrittenToBothAreNamed() throws {
        let scene = try ApplyScene()
        let writer = try writer(of: scene.stage.b + "/f")
        #expect(try scene.apply("--accept-open").status == 0)
        try writer.seekToEnd()
        try writer.write(contentsOf: Data(", and more".utf8))
        try writer.close()
        try scene.stage.write("b/f", "new")
        let undone = try scene.run("undo")
        #expect(undone.status == 6, "\(undone.report)")
        let line = try #require(undone.lines.first { $0.hasPrefix("! f  changed on B since") })
        let place = try #require(line.split(separator: " ").last)
        #expect(place.hasPrefix(".resync-quarantine/"), "\(line)")
        #expect(scene.stage.text("b/f") == "new")
        #expect(scene.stage.text("b/\(place)") == "what B had, and more")
    }

    @Test func whatSomebodyHasOpenIsNotTakenBack() throws {
        let scene = try ApplyScene()
        try scene.applied()
        let made = try writer(of: scene.stage.b + "/d/new")
        let replaced = try writer(of: scene.stage.b + "/f")
        let undone = try scene.run("undo")
        #expect(undone.status == 6, "\(undone.report)")
        for name in ["d/new", "f"] {
            let line = "! \(name)  open for writing on B; left as it is"
            #expect(undone.lines.contains(line), "\(undone.report)")
        }
        #expect(scene.stage.text("b/d/new") == "made")
        #expect(scene.stage.bytes("b/f") == noise(5000, seed: 2))
        try made.close()
        try replaced.close()
        // A process that another test was just starting may hold them for a moment longer.
        var later = try scene.run("undo")
        for _ in 0..<20 where later.status != 0 {
            usleep(100_000)
            later = try scene.run("undo")
        }
        #expect(later.status == 0, "\(later.report)")
        #expect(!scene.stage.exists("b/d/new"))
        #expect(scene.stage.text("b/f") == "what B had")
    }

    // MARK: What is left after an undo

    @Test func whatAnUndoPutsAsideIsListedErasedAndPurged() throws {
        let scene = try ApplyScene()
        try scene.applied()
        #expect(try scene.run("undo").status == 0)
        let kept = try scene.run("quarantine", "list")
        #expect(
            kept.lines.contains { $0.contains("  B  d/new  4 B  made, and taken back") },
            "\(kept.report)")
        #expect(kept.lines.last == "2 kept, 4.89 KiB", "\(kept.report)")
        let erased = try scene.run("quarantine", "erase", "d")
        #expect(erased.lines.count == 1, "\(erased.report)")
        let purged = try scene.run("quarantine", "purge", "--older-than", "0s")
        #expect(purged.text.contains("freed 1 entries"), "\(purged.report)")
        #expect(try scene.run("quarantine", "list").lines == ["0 kept, 0 B"])
        #expect(scene.stage.text("b/f") == "what B had")
    }

    @Test func aStoreThatIsNotThereKeepsNoOtherOnesQuarantine() throws {
        let scene = try ApplyScene()
        let (stage, second) = (scene.stage, scene.stage.folder + "/c")
        try system("cp", "-a", stage.b, second)
        try scene.applied()
        #expect(try scene.run("confirm").status == 0)
        // A third copy is taken by its name, not by accepting whatever lies there.
        #expect(try scene.run("store", "adopt", second).status == 0)
        let id = try stage.planned(stage.a, second)
        #expect(try stage.applying(id).run().status == 0)
        #expect(try scene.run("confirm").status == 0)
        try system("mv", stage.b, stage.folder + "/elsewhere")
        let purged = try scene.run("quarantine", "purge", "--older-than", "0s")
        #expect(purged.status == 2, "\(purged.report)")
        #expect(purged.errorText.contains("'\(stage.b)'"), "\(purged.report)")
        #expect(purged.text.contains("freed 5 entries"), "\(purged.report)")
        try system("mv", stage.folder + "/elsewhere", stage.b)
        #expect(try scene.run("quarantine", "purge", "--older-than", "0s").status == 0)
        #expect(try scene.run("quarantine", "list").lines == ["0 kept, 0 B"])
    }

    /// Without its run nobody knows whose copies they are.
    @Test func aRunThatWasTakenBackIsKeptWithItsCopies() throws {
        let scene = try ApplyScene()
        try scene.applied()
        #expect(try scene.run("undo").status == 0)
        try scene.refuses(5, "has 2 entries in quarantine") {
            try scene.run("runs", "delete", "last")
        }
        let id = try scene.runFolder().split(separator: "/").last ?? ""
        try system("mv", scene.stage.b, scene.stage.folder + "/elsewhere")
        let unseen = try scene.run("runs", "delete", "last")
        #expect(unseen.status == 5, "\(unseen.report)")
        #expect(unseen.errorText.contains("cannot be looked at"), "\(unseen.report)")
        try system("mv", scene.stage.folder + "/elsewhere", scene.stage.b)
        #expect(try scene.run("quarantine", "list").lines.last == "2 kept, 4.89 KiB")
        #expect(try scene.run("quarantine", "purge", "--older-than", "0s").status == 0)
        let shelf = try traces(scene.stage.b + "/.resync-quarantine/" + id)
        #expect(shelf.count == 1, "\(shelf)")
        #expect(try scene.run("runs", "delete", "last").status == 0)
        #expect(!scene.stage.exists("state/runs/" + id))
    }

    /// What its journal says may have another end by the time that it is asked for.
    @Test func aRunThatIsWorkedOnIsNotJudged() throws {
        let scene = try ApplyScene()
        try scene.applied()
        let folder = open(try scene.runFolder(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        try #require(folder >= 0)
        defer { close(folder) }
        try #require(flock(folder, LOCK_EX | LOCK_NB) == 0)
        try scene.refuses(75, "being worked on") { try scene.run("runs", "delete", "last") }
    }

    /// Its header does not say of what kind it is; what else it keeps does.
    @Test func aRunWithADamagedHeaderIsNotForgotten() throws {
        let scene = try ApplyScene()
        try scene.applied()
        let run = try scene.runFolder()
        let id = String(run.split(separator: "/").last ?? "")
        try system("truncate", "-s", "20", run + "/header")
        try scene.refuses(5, "keeps what it displaced") { try scene.run("runs", "delete", id) }
    }

    // MARK: Sources that move

    @Test func aNewDirectoryIsOpenedThoughItsSourceHasGrown() throws {
        let stage = try Stage()
        try stage.makeFolder("a/new")
        try stage.write("a/new/f", "of A")
        try stage.makeFolder("b")
        #expect(try stage.verify().status == 1)
        #expect(
            try stage.resync(["plan", "last", "--authority", "union", "-o", "p"]).run().status == 0)
        try stage.write("a/new/later", "more")
        let applied = try stage.resync(["apply", stage.folder + "/p"]).run()
        #expect(applied.status == 0, "\(applied.report)")
        let mode = try Command("/usr/bin/stat", ["-c", "%a", stage.b + "/new"]).run()
        let wanted = try Command("/usr/bin/stat", ["-c", "%a", stage.a + "/new"]).run()
        #expect(mode.lines == wanted.lines)
        #expect(stage.text("b/new/f") == "of A" && !stage.exists("b/new/later"))
    }

    // MARK: What is not ours

    @Test func aQuarantineThatOthersCanWriteIsNotUsed() throws {
        for (owner, mode) in [("root", "0777"), ("nobody", "0700")] {
            if getuid() != 0, owner != "root" { return skip("not root") }
            let scene = try ApplyScene()
            try scene.stage.makeFolder("b/.resync-quarantine")
            let folder = scene.stage.b + "/.resync-quarantine"
            try system("chmod", mode, folder)
            if getuid() == 0 { try system("chown", owner, folder) }
            let before = try scene.store
            let refused = try scene.apply()
            #expect(refused.status == 5, "\(refused.report)")
            #expect(refused.errorText.contains("could take away what is kept"), "\(refused.report)")
            #expect(try scene.store == before)
            try system("rmdir", folder)
            try scene.applied()
        }
    }

    @Test func aDamagedRunHidesNoOther() throws {
        let scene = try ApplyScene()
        try scene.applied()
        let whole = try scene.run("quarantine", "list")
        let run = try scene.runFolder()
        try system("cp", "-a", run, run + "0")
        try Data("rubbish".utf8).write(to: URL(filePath: run + "0/journal"))
        let kept = try scene.run("quarantine", "list")
        #expect(kept.status == 2 && kept.errorText.contains("cannot be read"), "\(kept.report)")
        #expect(kept.lines.dropLast() == whole.lines.dropLast(), "\(kept.report)")
        let count = try #require(whole.lines.last)
        #expect(kept.lines.last == "at least \(count); 1 run cannot be read", "\(kept.report)")
    }

    @Test func aFailureIsASummaryInJSON() throws {
        let scene = try ApplyScene()
        let commands = [
            ["confirm", "none"], ["undo", "none"], ["apply", scene.stage.folder + "/none"],
            ["plan", "none", "--authority", "a", "-o", "other"], ["runs", "show", "none"],
        ]
        for command in commands {
            let failed = try scene.stage.resync(command + ["--json"]).run()
            #expect(failed.status == 2, "\(failed.report)")
            let summary = try #require(try objects(failed.lines).last, "\(failed.report)")
            #expect(summary["type"] as? String == "summary")
            #expect(summary["exit_status"] as? Int == 2)
            #expect((summary["error"] as? String)?.isEmpty == false)
        }
    }
}

import Foundation
import Glibc
import TestSupport
import Testing

/// What a plan, and its undo, find where things are not as they are thought to be.
@Suite struct ApplyRescueTests {
    private func stage() throws -> Stage {
        // Where a power loss is outlived.
        let stage = try Stage(below: "/var/tmp")
        try stage.write("a/f", "new")
        try stage.makeFolder("b")
        try stage.write("b/f", "precious")
        return stage
    }

    private func apply(_ stage: Stage, _ more: String...) throws {
        let made = try stage.resync(
            ["plan", stage.a, stage.b, "--authority", "a", "-o", "p", "--force"] + more
        ).run()
        try #require(made.status == 0, "\(made.report)")
        let applied = try stage.resync(["apply", "p"]).run()
        try #require(applied.status == 0, "\(applied.report)")
    }

    /// The other site is what is most likely not there.
    @Test(arguments: ["gone", "another"]) func anUndoNeedsOnlyWhatTheRunChanged(
        _ state: String
    ) throws {
        let stage = try stage()
        try apply(stage)
        #expect(stage.text("b/f") == "new")
        try system("mv", stage.a, stage.folder + "/elsewhere")
        if state == "another" { try stage.makeFolder("a") }
        let undone = try stage.resync(["undo", "last"]).run()
        #expect(undone.status == 0, "\(undone.report)")
        #expect(stage.text("b/f") == "precious")
    }

    /// Its runs' only copies are no plan's business.
    @Test func aStoreInsideAnotherOneKeepsItsQuarantine() throws {
        let stage = try Stage(below: "/var/tmp")
        for side in ["a", "b"] {
            try system("mkdir", "-p", "\(stage.folder)/\(side)/sub")
            try stage.write("\(side)/sub/f", side == "a" ? "new" : "precious")
        }
        func run(_ words: [String]) throws {
            let done = try stage.resync(words).run()
            try #require([0, 1].contains(done.status), "\(words) \(done.report)")
        }
        try run(["plan", stage.a + "/sub", stage.b + "/sub", "--authority", "a", "-o", "p"])
        try run(["apply", "p"])
        let inner = try #require(try stage.runs("list").lines.last?.split(separator: " ").first)
        try stage.write("a/g", "more")
        let refused = try stage.resync([
            "plan", stage.a, stage.b, "--authority", "a", "-o", "q",
        ]).run()
        #expect(refused.status == 5, "\(refused.report)")
        #expect(refused.errorText.contains("/b/sub' is a store of its own"), "\(refused.report)")
        let without = ["--exclude", "/sub"]
        try run(["plan", stage.a, stage.b, "--authority", "a", "-o", "q"] + without)
        try run(["apply", "q"])
        #expect(stage.text("b/g") == "more")
        let undone = try stage.resync(["undo", String(inner)]).run()
        #expect(undone.status == 0, "\(undone.report)")
        #expect(stage.text("b/sub/f") == "precious")
    }

    /// Wherever the run that it goes by was begun.
    @Test func stateMayBeNamedFromWhereOneStands() throws {
        let stage = try stage()
        #expect(try stage.verify("--settle", "0").status == 1)
        var command = Command(
            Command.resync, ["plan", "last", "--authority", "a", "-o", "p", "--state", "../state"])
        try stage.makeFolder("elsewhere")
        command.directory = stage.folder + "/elsewhere"
        let made = try command.run()
        #expect(made.status == 0, "\(made.report)")
    }

    /// It would be a difference itself.
    @Test func aPlanLiesInNoStore() throws {
        let stage = try stage()
        for place in [stage.b + "/plan", "a/plan"] {
            let made = try stage.resync([
                "plan", stage.a, stage.b, "--authority", "a", "-o", place,
            ]).run()
            #expect(made.status == 64, "\(made.report)")
            #expect(made.errorText.contains("which is only looked at"), "\(made.report)")
        }
        #expect(!stage.exists("a/plan") && !stage.exists("b/plan"))
    }

    @Test func aDirectoryThatHoldsWhatIsLeftOutIsNotPlannedToGo() throws {
        let stage = try stage()
        try system("mkdir", "-p", stage.b + "/old/deep", stage.b + "/gone")
        try stage.write("b/old/deep/kept.log", "left out")
        try stage.write("b/old/f", "not in A")
        let made = try stage.resync([
            "plan", stage.a, stage.b, "--authority", "a", "-o", "p", "--exclude", "*.log",
        ]).run()
        #expect(made.status == 0, "\(made.report)")
        for name in ["old", "old/deep"] {
            #expect(made.text.contains("x \(name)  not deleted"), "\(made.report)")
        }
        let applied = try stage.resync(["apply", "p"]).run()
        #expect(applied.status == 0, "\(applied.report)")
        #expect(stage.text("b/old/deep/kept.log") == "left out")
        #expect(!stage.exists("b/old/f") && !stage.exists("b/gone"))
    }

    @Test func aPathThatNamesNothingIsNoPlan() throws {
        let stage = try stage()
        #expect(try stage.verify("--settle", "0").status == 1)
        func plan(_ path: String) throws -> Finished {
            try stage.resync([
                "plan", "last", "--authority", "a", "-o", "p", "--force", "--path", path,
            ]).run()
        }
        let wrong = try plan("g")
        #expect(wrong.status == 2, "\(wrong.report)")
        #expect(wrong.errorText.contains("found no difference at 'g'"), "\(wrong.report)")
        // A whole path is taken for what it leads to.
        for path in ["f", stage.b + "/f", stage.a + "/f"] {
            let made = try plan(path)
            #expect(made.status == 0 && made.text.contains("1 replaced"), "\(made.report)")
        }
    }

    /// What only moved because of it is nothing that the other side has to share.
    @Test func aPlanForAPartIsConfirmed() throws {
        let stage = try Stage(below: "/var/tmp")
        for side in ["a", "b"] {
            try system("mkdir", "-p", "\(stage.folder)/\(side)/d")
            try stage.write("\(side)/d/f", side)
        }
        try system("touch", "-d", "@1000000000", stage.a + "/d")
        try system("touch", "-d", "@1100000000", stage.b + "/d")
        #expect(try stage.verify("--settle", "0").status == 1)
        let made = try stage.resync([
            "plan", "last", "--authority", "a", "-o", "p", "--path", "d/f",
        ]).run()
        #expect(made.status == 0, "\(made.report)")
        #expect(try stage.resync(["apply", "p"]).run().status == 0)
        let confirmed = try stage.resync(["confirm", "last"]).run()
        #expect(confirmed.status == 0, "\(confirmed.report)")
    }

    /// Whose directory is gone has been at work there; the run must not be stuck for that.
    @Test func anUndoWhoseDirectoryIsGoneComesToItsEnd() throws {
        let stage = try Stage(below: "/var/tmp")
        for side in ["a", "b"] {
            try system("mkdir", "-p", "\(stage.folder)/\(side)/d")
            try stage.write("\(side)/d/f", side)
            try stage.write("\(side)/g", side)
        }
        try apply(stage)
        try stage.remove("b/d")
        let undone = try stage.resync(["undo", "last"]).run()
        #expect(undone.status == 6, "\(undone.report)")
        #expect(undone.text.contains("! d/f  changed on B since the run"), "\(undone.report)")
        #expect(stage.text("b/g") == "b")
        // And the store is free for what comes next.
        try apply(stage)
    }

    /// However often it is asked for, an undo comes to its end, and says so.
    @Test func anUndoThatHasDoneAllItCanIsEnded() throws {
        let stage = try Stage(below: "/var/tmp")
        for side in ["a", "b"] {
            for name in ["d", "e"] {
                try system("mkdir", "-p", "\(stage.folder)/\(side)/\(name)")
                try stage.write("\(side)/\(name)/f", side + name)
            }
        }
        try apply(stage)
        try system("chmod", "711", stage.b + "/d")
        func run(_ words: String...) throws -> Finished { try stage.resync(words).run() }
        for _ in 0..<3 {
            let undone = try run("undo", "last")
            #expect(undone.status == 6, "\(undone.report)")
            #expect(undone.text.contains("! d  changed on B since the run"), "\(undone.report)")
            #expect(undone.text.contains("is at its end"), "\(undone.report)")
            #expect(stage.text("b/d/f") == "bd" && stage.text("b/e/f") == "be")
            let standing = try run("runs", "list").text
            #expect(standing.contains("taken back, but for what was left alone"), "\(standing)")
            let shown = try Command(Command.resync, ["store", "show", stage.b]).run().text
            #expect(shown.contains("state     consistent"), "\(shown)")
        }
        for verb in [["apply", "p"], ["confirm", "last"]] {
            let refused = try stage.resync(verb).run()
            #expect(refused.status == 64, "\(refused.report)")
            #expect(refused.errorText.contains("was taken back"), "\(refused.report)")
        }
        // And the store is free for what comes next.
        try apply(stage)
    }

    /// Attributes that were compared are somebody's edit, too.
    @Test func anUndoLeavesWhatGotOtherAttributes() throws {
        let stage = try stage()
        let file = stage.b + "/f"
        guard let tool = Command.find("setfattr"),
            try system(tool, "-n", "user.old", "-v", "x", stage.a + "/f") != nil
        else { return skip("extended attributes are not to be had") }
        try apply(stage, "--with", "xattrs")
        try #require(try system(tool, "-n", "user.mine", "-v", "precious", file) != nil)
        let undone = try stage.resync(["undo", "last"]).run()
        #expect(undone.status == 6, "\(undone.report)")
        #expect(stage.text("b/f") == "new")
        #expect(try system("getfattr", "-d", file)?.contains("user.mine") == true)
    }
}

import Foundation
import Glibc
import TestSupport
import Testing

/// Plans made by the program, from its runs and from two stores.
@Suite struct PlanTests {
    /// Two equal stores, untouched for long enough that their stats prove something.
    private func stage(_ names: [String] = ["d/k", "f", "g", "h"]) throws -> Stage {
        let stage = try Stage()
        try stage.makeFolder("a/d")
        for (index, name) in names.enumerated() {
            try stage.write("a/\(name)", noise(5000, seed: UInt64(index + 1)))
            try age(stage, "a/\(name)")
        }
        try stage.copy()
        return stage
    }

    private func age(_ stage: Stage, _ path: String) throws {
        try system("touch", "-d", "2020-01-01", "\(stage.folder)/\(path)")
    }

    private func plan(_ stage: Stage, _ arguments: String...) throws -> Finished {
        try stage.resync(["plan"] + arguments + ["-o", "p", "--force"]).run()
    }

    /// The lines of actions.
    private func show(_ stage: Stage, _ path: String = "p") throws -> [String] {
        var command = Command(Command.resync, ["plan", "show", path])
        command.directory = stage.folder
        let shown = try command.run()
        #expect(shown.status == 0, "\(shown.report)")
        return shown.lines.filter { "+*.-".contains($0.first ?? " ") }
    }

    @Test func oneSideIsMadeAsTheOther() throws {
        let stage = try stage()
        try stage.write("a/new", "made")
        try stage.write("b/extra", "x")
        try stage.patch("b/f", at: 3, [1, 2, 3])
        try system("chmod", "600", "\(stage.b)/g")
        #expect(try stage.verify().status == 1)
        let made = try plan(stage, "last", "--authority", "a")
        #expect(made.status == 0, "\(made.report)")
        #expect(made.text.contains("two-way"), "\(made.report)")
        let mount = try system("findmnt", "-n", "-o", "TARGET", "-T", stage.b)
        let place = try #require(mount).trimmingCharacters(in: .whitespacesAndNewlines)
        #expect(made.text.contains(" on the file system at \(place); "), "\(made.report)")
        #expect(
            try show(stage) == [
                "* B f  file: 4.88 KiB; two-way", ". B g  metadata; two-way",
                "+ B new  file: 4 B; two-way", "- B extra  file; two-way",
            ])
        #expect(try plan(stage, "last", "--authority", "b").status == 0)
        #expect(
            try show(stage) == [
                "+ A extra  file: 1 B; two-way", "* A f  file: 4.88 KiB; two-way",
                ". A g  metadata; two-way", "- A new  file; two-way",
            ])
        #expect(try plan(stage, "last", "--authority", "union").status == 0)
        #expect(
            try show(stage) == ["+ A extra  file: 1 B; two-way", "+ B new  file: 4 B; two-way"])
    }

    @Test func twoStoresAreComparedFirst() throws {
        let stage = try stage()
        let same = try plan(stage, stage.a, stage.b, "--authority", "a")
        #expect(same.status == 0 && same.text.contains("nothing to do"), "\(same.report)")
        try stage.write("a/new", "made")
        try stage.write("a/out", "left")
        let made = try plan(stage, stage.a, stage.b, "--authority", "a", "--exclude", "/out")
        #expect(made.status == 0, "\(made.report)")
        #expect(try show(stage) == ["+ B new  file: 4 B; two-way"])
        #expect(!stage.exists("b/new"))
    }

    @Test func theBaselineTellsWhoIsRight() throws {
        let stage = try stage(["d/k", "f", "g", "h", "i"])
        let none = try plan(stage, stage.a, stage.b, "--authority", "baseline")
        #expect(none.status == 2 && none.errorText.contains("no baseline"), "\(none.report)")
        usleep(2_200_000)
        #expect(try stage.verify("--keep").status == 0)
        try stage.write("a/f", "edited on A")
        try stage.write("b/g", "edited on B")
        try stage.write("a/h", "both")
        try stage.write("b/h", "both!")
        try stage.remove("b/i")
        try stage.write("b/made", "here")
        try system("chmod", "600", "\(stage.b)/d/k")
        #expect(try stage.verify().status == 1)
        let made = try plan(stage, "last", "--authority", "baseline")
        #expect(made.status == 4, "\(made.report)")
        #expect(made.text.contains("left as they are: 1 conflict\n"), "\(made.report)")
        let expected = [
            ". A d/k  metadata; edited on B", "* B f  file: 11 B; edited on A",
            "* A g  file: 11 B; edited on B", "+ A made  file: 4 B; edited on B",
            "- A i  file; edited on B",
        ]
        #expect(try show(stage) == expected)
        // A rerun that finds nothing equal takes nothing away, and so does one the other way round.
        let swapped = try plan(stage, stage.b, stage.a, "--authority", "baseline")
        #expect(swapped.status == 4, "\(swapped.report)")
        #expect(try show(stage).first == ". B d/k  metadata; edited on A")
        #expect(
            try plan(
                stage, stage.a, stage.b, "--authority", "baseline", "--conflict-resolve", "larger"
            ).status == 0)
        #expect(try show(stage).contains("* A h  file: 5 B; conflict"))
    }

    @Test func whatWasDecidedIsPlanned() throws {
        let stage = try stage()
        usleep(2_200_000)
        #expect(try stage.verify("--keep").status == 0)
        try stage.write("a/h", "both")
        try stage.write("b/h", "both!")
        #expect(try stage.verify().status == 1)
        func decide(_ arguments: String...) throws -> Finished {
            try stage.resync(["decide", "last"] + arguments).run()
        }
        #expect(try decide("h", "--accept", "b").status == 64)
        #expect(try decide("h", "--accept", "c", "--reason", "x").status == 64)
        #expect(try decide("h", "--accept", "a", "--open", "--reason", "x").status == 64)
        #expect(try decide("nothing", "--accept", "b", "--reason", "x").status == 2)
        #expect(try decide("h", "--accept", "b", "--reason", "the owner said so").status == 0)
        let kept = try decide()
        #expect(kept.text.contains("h: B is right: the owner said so"), "\(kept.report)")
        #expect(try plan(stage, "last", "--authority", "baseline").status == 0)
        #expect(try show(stage) == ["* A h  file: 5 B; conflict"])
        // It was about another one than is there now.
        try stage.write("b/h", "edited after that")
        #expect(try plan(stage, "last", "--authority", "baseline").status == 4)
        #expect(try plan(stage, "last", "--authority", "a").status == 4)
        #expect(try show(stage) == [])
        #expect(try stage.verify().status == 1)
        #expect(try decide("h", "--accept", "b", "--reason", "still").status == 0)
        #expect(try decide("h", "--open", "--reason", "not so sure").status == 0)
        #expect(try plan(stage, "last", "--authority", "baseline").status == 4)
        #expect(try show(stage) == [])
        #expect(try decide().lines.count == 2)
    }

    @Test func aModuleIsDecidedAsAWhole() throws {
        let stage = try stage()
        for side in ["a", "b"] {
            try stage.makeFolder(side + "/m")
            for name in ["m/one", "m/two", "h"] { try stage.write("\(side)/\(name)", "of " + side) }
        }
        try stage.write(
            "config.yaml",
            """
            pairs: [{name: mail, a: \(stage.a), b: \(stage.b)}]
            modules:
              - {name: box, pair: mail, paths: [m]}
              - {name: other, pair: mail, paths: [d]}
            """)
        #expect(try stage.verify().status == 1)
        func decide(_ arguments: String...) throws -> Finished {
            try stage.resync(
                ["decide", "last", "--reason", "x", "--config", "config.yaml"] + arguments
            ).run()
        }
        #expect(try decide("--module", "box", "m", "--accept", "a").status == 64)
        #expect(try decide("--module", "nobody", "--accept", "a").status == 64)
        let none = try decide("--module", "other", "--accept", "a")
        #expect(none.status == 2, "\(none.report)")
        #expect(try decide("--module", "box", "--accept", "b").status == 0)
        #expect(try plan(stage, "last", "--authority", "a").status == 0)
        let planned = try show(stage)
        #expect(planned.filter { $0.hasPrefix("* A m/") }.count == 2, "\(planned)")
        #expect(planned.contains { $0.hasPrefix("* B h") }, "\(planned)")
    }

    /// Whoever asks why a copy was taken finds who said so, when the run is long gone.
    @Test func whatWasDecidedOutlivesItsRun() throws {
        let stage = try stage()
        try stage.write("a/h", "one")
        try stage.write("b/h", "other")
        func decide(_ arguments: String...) throws -> Finished {
            try stage.resync(["decide"] + arguments).run()
        }
        func reasons() throws -> [String] {
            try decide().lines.map { String($0.split(separator: " ").last ?? "") }
        }
        #expect(try stage.verify().status == 1)
        let run = try #require(stage.runs("list").lines.last?.prefix { $0 != " " })
        #expect(try decide("last", "h", "--accept", "b", "--reason", "first").status == 0)
        #expect(try reasons() == ["first"])
        // A ledger that is made later takes over what is there, and then what comes.
        try stage.write(
            "config.yaml", "pairs: [{name: mail, a: \(stage.a), b: \(stage.b)}]\n")
        let opened = try stage.resync([
            "episode", "open", "mail/a", "--from", "00:00", "--to", "00:00", "--note", "x",
            "--config", stage.folder + "/config.yaml",
        ]).run()
        try #require(opened.status == 0, "\(opened.report)")
        #expect(try decide("last", "h", "--open", "--reason", "second").status == 0)
        #expect(try reasons() == ["first", "second"])
        #expect(try stage.runs("delete", String(run)).status == 0)
        #expect(try reasons() == ["first", "second"])
        let ofRun = try decide(String(run))
        #expect(ofRun.status == 0 && ofRun.text.contains("h: B is right: first"))
        #expect(try decide("20200101T000000.000Z-0000").status == 2)
        // Where there is no ledger it is kept beside the runs.
        try system("sh", "-c", "rm -f \(stage.state)/ledger.sqlite*")
        #expect(try reasons() == [])
        #expect(try stage.verify().status == 1)
        #expect(try decide("last", "h", "--accept", "a", "--reason", "third").status == 0)
        #expect(try stage.runs("delete", "last", "last").status == 0)
        #expect(try reasons() == ["third"])
        #expect(try stage.runs("list").lines == [])
    }

    /// Twenty are shown, and all in JSON.
    @Test func whatAPlanLeavesIsNamed() throws {
        let stage = try stage()
        usleep(2_200_000)
        #expect(try stage.verify("--keep").status == 0)
        for number in 0..<30 {
            for side in ["a", "b"] { try stage.write("\(side)/n\(number)", "of \(side) \(number)") }
        }
        let made = try plan(stage, stage.a, stage.b, "--authority", "baseline")
        #expect(made.status == 4, "\(made.report)")
        #expect(made.lines.count { $0.hasPrefix("x n") } == 20, "\(made.report)")
        #expect(made.text.contains("  and 10 more: --json names all\n"), "\(made.report)")
        #expect(made.errorText.contains(" PATH --accept a|b --reason TEXT'"), "\(made.report)")
        let json = try plan(stage, "last", "--authority", "baseline", "--json")
        let left = try objects(json.lines).filter { $0["type"] as? String == "left_out" }
        #expect(left.count == 30 && left.allSatisfy { $0["reason"] as? String == "undetermined" })
    }

    @Test func whatIsLeftSaysWhy() throws {
        let stage = try Stage()
        try stage.makeFolder("b")
        try stage.write("a/f", "of A")
        try stage.write("b/f", "of B, longer")
        try system("mkfifo", stage.a + "/pipe")
        let made = try plan(stage, stage.a, stage.b, "--authority", "union")
        #expect(made.lines.contains("x f  on both sides, left as it is"), "\(made.report)")
        #expect(
            made.lines.contains("x pipe  special, without --specials, left as it is"),
            "\(made.report)")
    }

    @Test func aPathNarrowsThePlan() throws {
        let stage = try stage()
        try stage.makeFolder("a/n")
        try stage.makeFolder("a/n/m")
        try stage.write("a/n/m/x", "x")
        try stage.write("a/n/y", "y")
        try stage.remove("b/f")
        #expect(try plan(stage, stage.a, stage.b, "--authority", "a", "--path", "n/m").status == 0)
        #expect(
            try show(stage) == [
                "+ B n  directory; two-way", "+ B n/m  directory; two-way",
                "+ B n/m/x  file: 1 B; two-way",
            ])
        let outside = try plan(stage, "last", "--authority", "a", "--path", "../x")
        #expect(outside.status == 64, "\(outside.report)")
    }

    @Test func linksStayLinks() throws {
        let stage = try stage()
        try system("ln", "\(stage.a)/f", "\(stage.a)/f2")
        try stage.write("a/n", "n")
        try system("ln", "\(stage.a)/n", "\(stage.a)/d/n2")
        #expect(try plan(stage, stage.a, stage.b, "--authority", "a").status == 0)
        #expect(
            try show(stage) == [
                "+ B d/n2  file: 1 B; two-way", "+ B f2  link to f; two-way",
                "+ B n  link to d/n2; two-way", ". B d  metadata of a directory; two-way",
            ])
    }

    @Test func specialFilesAreMadeOnlyWhenAsked() throws {
        let stage = try stage()
        try system("mkfifo", "\(stage.a)/pipe")
        let without = try plan(stage, stage.a, stage.b, "--authority", "a")
        #expect(without.text.contains("left as they are: 1 other"), "\(without.report)")
        #expect(try plan(stage, "last", "--authority", "a", "--specials").status == 0)
        #expect(try show(stage) == ["+ B pipe  fifo; two-way"])
    }

    @Test func imagesArePatched() throws {
        let stage = try Stage()
        try stage.write("i", noise(300_000))
        try stage.write("j", noise(300_000))
        try stage.patch("j", at: 5000, [0x55, 0xaa])
        try stage.patch("j", at: 299_999, [stage.bytes("j")[299_999] ^ 1])
        let made = try plan(stage, "\(stage.folder)/i", "\(stage.folder)/j", "--authority", "a")
        #expect(made.status == 0, "\(made.report)")
        #expect(try show(stage) == ["* B .  2 extents: 4.97 KiB; two-way"])
        let union = try plan(stage, "last", "--authority", "union")
        #expect(union.text.contains("nothing to do"), "\(union.report)")
        #expect(try plan(stage, "last", "--authority", "baseline").status == 2)
        try system("truncate", "-s", "200000", "\(stage.folder)/j")
        let smaller = try plan(stage, "\(stage.folder)/i", "\(stage.folder)/j", "--authority", "a")
        #expect(smaller.status == 2 && smaller.errorText.contains("changes no size"))
    }

    @Test func guardsSayWhatWouldBeRefused() throws {
        let stage = try stage()
        try stage.makeFolder("empty")
        let empty = try plan(stage, stage.folder + "/empty", stage.b, "--authority", "a")
        #expect(empty.text.contains("would be refused: A is empty"), "\(empty.report)")
        try stage.remove("a/d/k")
        let emptied = try plan(stage, stage.a, stage.b, "--authority", "a")
        #expect(
            emptied.text.contains(
                "would be refused: 1 of B and its top-level directories would become empty"),
            "\(emptied.report)")
    }

    @Test func wrongUseChangesNothing() throws {
        let stage = try stage()
        let cases: [([String], Int32)] = [
            (["last"], 64), (["last", "--authority", "none", "-o", "q"], 64),
            (["a", "b", "c", "--authority", "a", "-o", "q"], 64),
            (["last", "--authority", "a"], 64), (["last", "--authority", "a", "-o", "q"], 2),
            (["last", "--authority", "a", "-o", "nowhere/q"], 2),
            (["nothing", "--authority", "a", "-o", "q"], 2),
            (["show", "q"], 2), (["show", "a/f"], 2),
        ]
        for (arguments, status) in cases {
            let isShow = arguments.first == "show"
            var command = stage.resync(["plan"] + arguments)
            if isShow { command = Command(Command.resync, ["plan"] + arguments) }
            command.directory = stage.folder
            let found = try command.run()
            #expect(found.status == status, "\(arguments): \(found.report)")
        }
        #expect(!stage.exists("q") && !stage.exists("q.partial"))
        try stage.write("taken", "mine")
        let taken = try stage.resync(
            ["plan", stage.a, stage.b, "--authority", "a", "-o", "taken"]
        ).run()
        #expect(taken.status == 2 && taken.errorText.contains("--force"), "\(taken.report)")
        #expect(stage.text("taken") == "mine")
    }

    @Test func aPlanThatWasAlteredIsRefused() throws {
        let stage = try stage()
        try stage.write("a/new", "made")
        #expect(try plan(stage, stage.a, stage.b, "--authority", "a").status == 0)
        var bytes = stage.bytes("p")
        bytes[bytes.count / 2] ^= 1
        try stage.write("altered", bytes)
        try stage.write("cut", Array(stage.bytes("p").dropLast(9)))
        for name in ["altered", "cut"] {
            let found = try Command(
                Command.resync, ["plan", "show", "\(stage.folder)/\(name)"]
            ).run()
            #expect(found.status == 2, "\(found.report)")
            #expect(found.errorText.split(separator: "\n").count == 1, "\(found.report)")
        }
    }

    @Test func aStoreIsAdoptedOnce() throws {
        let stage = try stage()
        func store(_ arguments: String...) throws -> Finished {
            let state = arguments[0] == "adopt" ? ["--state", stage.state] : []
            return try Command(Command.resync, ["store"] + arguments + state).run()
        }
        #expect(try store("show", stage.a).text.contains("no marker"))
        let first = try store("adopt", stage.a)
        #expect(first.status == 0 && first.text.contains("had no marker"), "\(first.report)")
        let again = try store("adopt", stage.a)
        #expect(again.text.contains("nothing was changed"), "\(again.report)")
        #expect(try store("show", stage.a).status == 0)
        // A marker that came along with a copy.
        try system("cp", "-p", "\(stage.a)/.resync-store", "\(stage.b)/.resync-store")
        let foreign = try store("show", stage.b)
        #expect(foreign.status == 2 && foreign.text.contains("FOREIGN"), "\(foreign.report)")
        let taken = try store("adopt", stage.b)
        #expect(taken.status == 0 && taken.text.contains("made elsewhere"), "\(taken.report)")
        #expect(try store("show", stage.b).status == 0)
        #expect(try stage.verify().status == 0)
    }

    /// A million of them when tests may take long; a fifth of that otherwise.
    @Test func memoryDoesNotGrowWithTheDifferences() throws {
        let stage = try Stage()
        let program =
            URL(filePath: Command.resync).deletingLastPathComponent().path
            + "/resync-bench"
        guard FileManager.default.isExecutableFile(atPath: program) else {
            return skip("resync-bench is not built")
        }
        func peak(_ count: Int) throws -> Int {
            var command = Command(
                program,
                ["plan-memory", "--differences", "\(count)", "--directory", stage.folder])
            command.timeout = 600
            let found = try command.run()
            #expect(found.status == 0, "\(found.report)")
            return Int(found.text.filter { $0.isNumber }) ?? .max / 2
        }
        let few = try peak(1000)
        let many = try peak(isLongRun ? 1_000_000 : 200_000)
        #expect(few > 1000)
        #expect(many - few < 64 << 10, "\(few) KiB, then \(many) KiB")
    }
}

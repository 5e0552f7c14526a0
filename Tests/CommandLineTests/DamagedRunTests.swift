import Foundation
import Testing

/// An image has no marker: only the runs that are kept tell in which state it is, and one that
/// cannot be read is not one that came to its end.
@Suite struct DamagedRunTests {
    /// Images `a` and `b` of 48 MiB; `b` is patched in half by a run, and a plan `back` makes `a`
    /// what `b` is.
    private struct Scene {
        let stage: Stage
        private(set) var run = ""

        init() throws {
            stage = try Stage()
            try stage.remove("a")
            for name in ["a", "b"] {
                try stage.write(name, "")
                try system("truncate", "-s", "48M", "\(stage.folder)/\(name)")
            }
            // Three actions of the plan.
            for number in 0..<20 {
                let seed = UInt64(number + 1)
                try stage.patch("a", at: number * 3 << 19, noise(1 << 20, seed: seed + 100))
                try stage.patch("b", at: number * 3 << 19, noise(1 << 20, seed: seed))
            }
            #expect(try stage.verify().status == 1)
            try plan("p", authority: "a")
            let first = try stage.resync(["apply", "p", "--max-undo", "9MiB"]).run()
            #expect(first.status == 6, "\(first.report)")
            let runs = try FileManager.default.contentsOfDirectory(atPath: stage.state + "/runs")
            run = try #require(runs.max())
            #expect(stage.exists("state/runs/\(run)/journal"))
            #expect(try stage.verify().status == 1)
            try plan("back", authority: "b")
        }

        func plan(_ name: String, authority: String) throws {
            let planned = try stage.resync(
                ["plan", "last", "--authority", authority, "-o", name]
            ).run()
            #expect(planned.status == 0, "\(planned.report)")
        }

        func damage(_ file: String) throws {
            var bytes = stage.bytes("state/runs/\(run)/\(file)")
            try #require(bytes.count > 40)
            bytes[30] ^= 1
            try stage.write("state/runs/\(run)/\(file)", bytes)
        }

        func refuses(_ words: String) throws {
            let before = try traces(stage.a) + traces(stage.b)
            for plan in ["back", "p"] {
                let found = try stage.resync(["apply", plan]).run()
                #expect(found.status == 5, "\(found.report)")
                #expect(found.errorText.contains(words), "\(found.report)")
                #expect(found.errorText.contains(run), "\(found.report)")
            }
            #expect(try traces(stage.a) + traces(stage.b) == before)
        }
    }

    @Test(arguments: [["journal"], ["journal", "plan"], ["journal", "header"]])
    func aRunThatCannotBeReadIsNotCalledFinished(_ files: [String]) throws {
        let scene = try Scene()
        for file in files { try scene.damage(file) }
        try scene.refuses("cannot be read")
        let list = try scene.stage.runs("list")
        #expect(list.lines.contains { $0.contains(scene.run) && $0.hasSuffix("damaged") })
    }

    /// Nothing that it keeps is known: that is not nothing.
    @Test(arguments: [["journal"], ["journal", "header"], ["plan"]])
    func whatItKeepsIsNotCalledNothing(_ files: [String]) throws {
        let scene = try Scene()
        let quarantine = ["quarantine"]
        let known = try scene.stage.resync(quarantine + ["list"]).run()
        #expect(known.status == 0 && known.lines.last == "1 kept, 8.00 MiB", "\(known.report)")
        for file in files { try scene.damage(file) }
        try unread(scene, ["list"])
        try scene.stage.remove("state/runs/\(scene.run)/journal")
        try unread(scene, ["list"])
        try unread(scene, ["purge", "--older-than", "0s"])
        try unread(scene, ["erase", "x"])
        #expect(scene.stage.exists("state/runs/\(scene.run)/undo"))
    }

    private func unread(_ scene: Scene, _ command: [String]) throws {
        let found = try scene.stage.resync(["quarantine"] + command).run()
        #expect(found.status == 2, "\(found.report)")
        #expect(
            found.errorText.contains("run \(scene.run) cannot be read: "), "\(found.report)")
        guard command == ["list"] else { return }
        let words = "at least 0 kept, 0 B; 1 run cannot be read"
        #expect(found.lines == [words], "\(found.report)")
    }

    @Test func aRunWithoutItsJournalIsNotCalledFinished() throws {
        let scene = try Scene()
        try scene.stage.remove("state/runs/\(scene.run)/journal")
        try scene.refuses("cannot be read")
    }

    /// It says of which stores it is, damaged or not.
    @Test(arguments: [["journal"], ["journal", "plan"]])
    func otherImagesAreNotConcerned(_ files: [String]) throws {
        let scene = try Scene()
        for file in files { try scene.damage(file) }
        let stage = scene.stage
        for (name, byte) in [("c", "1"), ("d", "2")] { try stage.write(name, byte) }
        let (c, d) = (stage.folder + "/c", stage.folder + "/d")
        #expect(try stage.resync(["verify", c, d, "--settle", "0"]).run().status == 1)
        try scene.plan("q", authority: "a")
        let done = try stage.resync(["apply", "q"]).run()
        #expect(done.status == 0, "\(done.report)")
    }
}

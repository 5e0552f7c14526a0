import Glibc
import TestSupport
import Testing

/// Images and devices whose pair was once proven to agree.
@Suite(.serialized) struct ImageBaselineTests {
    /// Images `i` and `j` that were proven to agree long enough ago that a write moves their times.
    private struct Scene {
        let stage: Stage
        let target: String

        init(_ more: [String] = [], device: String? = nil, stage given: Stage? = nil) throws {
            stage = try given ?? Stage()
            target = device ?? stage.folder + "/j"
            if given == nil { for name in ["i", "j"] { try stage.write(name, Self.content) } }
            let long = "2020-01-02 03:04:05"
            try system("touch", "-d", long, stage.folder + "/i", stage.folder + "/j")
            let proven = try run(["verify", "i", target, "--settle", "0", "--keep"] + more)
            #expect(proven.status == 0, "\(proven.report)")
        }

        static let content = noise(3 << 20)

        func run(_ arguments: [String]) throws -> Finished { try stage.resync(arguments).run() }

        func run(_ arguments: String...) throws -> Finished { try run(arguments) }

        /// Leaves the times as they were: as rot does.
        func rot(_ name: String, at offset: Int) throws { try stage.patch(name, at: offset, [7]) }

        /// As somebody does who works with it.
        func edit(_ name: String, at offset: Int, _ bytes: [UInt8] = [0x55, 0xaa]) throws {
            try stage.patch(name, at: offset, bytes)
            try system("touch", stage.folder + "/" + name)
        }

        /// - Returns: the status, and what the plan shows.
        func plan(_ a: String = "i", _ b: String? = nil, _ more: String...) throws -> (
            status: Int32, shown: String
        ) {
            let compared = try run("verify", a, b ?? target, "--settle", "0")
            #expect([0, 1].contains(compared.status), "\(compared.report)")
            let planned = try run(
                ["plan", "last", "--authority", "baseline", "-o", "p", "--force"] + more)
            guard planned.status != 2 else { return (2, planned.report) }
            return (planned.status, try shown())
        }

        func shown() throws -> String {
            let shown = try Command(Command.resync, ["plan", "show", stage.folder + "/p"]).run()
            #expect(shown.status == 0, "\(shown.report)")
            return shown.text
        }
    }

    @Test(arguments: [[], ["--block-size", "64KiB"], ["--assurance", "media"]])
    func theSideThatWasEditedWins(_ more: [String]) throws {
        let scene = try Scene(more)
        try scene.edit("j", at: 5000)
        try scene.edit("j", at: 2 << 20)
        let found = try scene.plan()
        #expect(found.status == 0 && found.shown.contains("A .  2 extents"), "\(found)")
        #expect(found.shown.contains("edited on B"), "\(found)")
        let swapped = try scene.plan("j", "i")
        #expect(swapped.status == 0 && swapped.shown.contains("edited on A"), "\(swapped)")
        let applied = try scene.run("apply", "p")
        #expect(applied.status == 0, "\(applied.report)")
        #expect(scene.stage.bytes("i") == scene.stage.bytes("j"))
        #expect(scene.stage.bytes("i") != Scene.content)
    }

    /// What was patched is held against what it was before by nobody: neither when it is edited
    /// again, nor once it is taken back.
    @Test func whatWasPatchedHasNoBaselineUntilItIsProvenAgain() throws {
        let scene = try Scene()
        try scene.edit("j", at: 5000)
        #expect(try scene.plan().status == 0)
        #expect(try scene.run("apply", "p").status == 0)
        #expect(try scene.run("confirm", "last").status == 0)
        // Somebody puts the old state back on A: an edit, and the newest.
        try scene.edit("i", at: 0, Scene.content)
        let refused = try scene.plan()
        #expect(refused.status == 2 && refused.shown.contains("no baseline"), "\(refused)")
        try scene.edit("j", at: 0, Scene.content)
        let proven = try scene.run("verify", "i", "j", "--settle", "0", "--keep")
        #expect(proven.status == 0, "\(proven.report)")
        try scene.edit("i", at: 9000)
        let again = try scene.plan()
        #expect(again.status == 0 && again.shown.contains("edited on A"), "\(again)")
        #expect(try scene.run("apply", "p").status == 0)
        let before = try scene.run("verify", "i", "j", "--settle", "0", "--keep")
        #expect(before.status == 0, "\(before.report)")
        #expect(try scene.run("undo", "last").status == 0)
        #expect(try scene.plan().shown.contains("no baseline"))
    }

    @Test func whatBothChangedIsAConflict() throws {
        let scene = try Scene()
        try scene.edit("i", at: 5000)
        try scene.edit("j", at: 90_000)
        let found = try scene.plan()
        #expect(found.status == 4 && found.shown.contains("nothing to do"), "\(found)")
        let resolved = try scene.plan("i", nil, "--conflict-resolve", "b")
        #expect(resolved.status == 0 && resolved.shown.contains("A .  2 extents"), "\(resolved)")
        #expect(try scene.run("decide", "last", ".", "--accept", "a", "--reason", "x").status == 0)
        let decided = try scene.run(
            "plan", "last", "--authority", "baseline", "-o", "p", "--force")
        #expect(decided.status == 0, "\(decided.report)")
        #expect(try scene.shown().contains("B .  2 extents"))
    }

    /// Zeros where the other side still has what was proven, and what changed under times that did
    /// not: no edit, and nobody claims to know that it is damage.
    @Test func whatMayBeRottenNeverWins() throws {
        let zeros = try Scene()
        try zeros.edit("j", at: 8192, [UInt8](repeating: 0, count: 8192))
        #expect(try zeros.plan().status == 4)
        let rotten = try Scene()
        try rotten.rot("j", at: 8192)
        let found = try rotten.plan()
        #expect(found.status == 4 && found.shown.contains("1 undetermined"), "\(found)")
    }

    /// It was written to, and is as it was: somebody put that back, after the other one was edited
    /// or before. Whoever proved it under another state folder knows nothing of what came between.
    @Test func whatWasPutBackIsNotOverwritten() throws {
        let scene = try Scene()
        try scene.edit("j", at: 5000)
        try system("touch", scene.stage.folder + "/i")
        let found = try scene.plan()
        #expect(found.status == 4 && found.shown.contains("1 undetermined"), "\(found)")
    }

    /// The patched image is another one for every pair that it is of.
    @Test func aPatchEndsTheProofOfOtherPairsToo() throws {
        let scene = try Scene()
        try scene.stage.write("k", Scene.content)
        #expect(try scene.run("verify", "j", "k", "--settle", "0", "--keep").status == 0)
        #expect(try scene.run("verify", "i", "k", "--settle", "0", "--keep").status == 0)
        try scene.edit("i", at: 5000)
        #expect(try scene.plan().status == 0)
        #expect(try scene.run("apply", "p").status == 0)
        let other = try scene.plan("j", "k")
        #expect(other.status == 2 && other.shown.contains("no baseline"), "\(other)")
        #expect(try scene.plan("i", "k").status == 0)
    }

    /// Nothing was proven, and what was kept of the larger one stays.
    @Test func imagesOfDifferentSizeProveNothing() throws {
        let scene = try Scene()
        func manifests() throws -> [String] {
            let kept = try system("sh", "-c", "sha256sum \(scene.stage.state)/manifests/*")
            return try #require(kept).split(separator: "\n").map(String.init)
        }
        let before = try manifests()
        try system("sh", "-c", "echo more >>\(scene.stage.folder)/j")
        let found = try scene.run("verify", "i", "j", "--settle", "0", "--keep")
        #expect(found.status == 1, "\(found.report)")
        let now = try manifests()
        #expect(now.count == 2 && now.filter { before.contains($0) }.count == 1, "\(now)")
        let cut = try scene.run("verify", "i", "j", "--keep", "--max-duration", "1h")
        #expect(cut.status == 64 && cut.errorText.contains("at one go"), "\(cut.report)")
    }

    @Test func whatAgreesByNowNeedsNothing() throws {
        let scene = try Scene()
        try scene.edit("j", at: 5000)
        #expect(try scene.run("verify", "i", "j", "--settle", "0").status == 1)
        try scene.edit("i", at: 5000)
        let planned = try scene.run("plan", "last", "--authority", "baseline", "-o", "p")
        #expect(planned.status == 0 && planned.text.contains("nothing to do"), "\(planned.report)")
    }

    /// A device has no times: what came to it nobody can tell from what went bad.
    @Test func ofADeviceTheBaselineAloneDecidesNothing() throws {
        let stage = try Stage()
        for name in ["i", "j"] { try stage.write(name, Scene.content) }
        guard let loop = try LoopDevice(stage.folder + "/j") else { return }
        let scene = try Scene(device: loop.path, stage: stage)
        try system(
            "dd", "if=/dev/zero", "of=" + loop.path, "bs=4096", "seek=3", "count=1",
            "conv=notrunc,fsync", "status=none")
        let found = try scene.plan()
        #expect(found.status == 4 && found.shown.contains("1 undetermined"), "\(found)")
        #expect(try scene.plan("i", nil, "--conflict-resolve", "a").status == 4)
    }

    /// Begun anew: what was read before the stop has no digests any more that could be kept.
    @Test func oneThatWasCutOffIsProvenOnceItIsWhole() throws {
        let stage = try Stage()
        for name in ["i", "j"] { try stage.write(name, noise(16 << 20)) }
        let running = try stage.resync([
            "verify", "i", "j", "--settle", "0", "--keep", "--read-limit", "8MiB/s",
        ]).start()
        usleep(1_500_000)
        running.signal(SIGINT)
        #expect(try running.wait().status == 128 + SIGINT)
        let planning = stage.resync([
            "plan", "last", "--authority", "baseline", "-o", "p", "--force",
        ])
        #expect(try planning.run().errorText.contains("no baseline"))
        let whole = try stage.resync(["runs", "resume", "last"]).run()
        #expect(whole.status == 0, "\(whole.report)")
        let planned = try planning.run()
        #expect(planned.status == 0, "\(planned.report)")
    }
}

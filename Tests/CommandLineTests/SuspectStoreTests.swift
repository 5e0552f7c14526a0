import Foundation
import Glibc
import TestSupport
import Testing

/// What verify, plan and apply make of a store that has, or had, an episode.
@Suite struct SuspectStoreTests {
    /// What a comparison read, and at which level.
    private struct Read: Equatable {
        let status: Int32
        let media: Bool
        let cached: Bool

        init(_ found: Finished) throws {
            let summary = try #require(try objects(found.lines).last, "\(found.report)")
            let levels = summary["bytes_by_assurance"] as? [String: Int] ?? [:]
            status = found.status
            media = levels["media", default: 0] > 0
            cached = levels["cached", default: 0] > 0
        }
    }

    private func verify(_ scene: EpisodeStage, _ options: String...) throws -> Finished {
        try scene.stage.verifying(options).run()
    }

    private func read(_ scene: EpisodeStage, _ options: String...) throws -> Read {
        try Read(try scene.stage.verifying(options + ["--json"]).run())
    }

    @Test(arguments: ["mail/a", "mail/b"])
    func nothingIsAppliedWhileAnEpisodeIsOpen(_ store: String) throws {
        let scene = try EpisodeStage()
        try scene.stage.write("a/new", "made")
        #expect(try verify(scene).status == 1)
        let planned = try scene.run("plan", "last", "--authority", "a", "-o", "p", "--force")
        #expect(planned.status == 0, "\(planned.report)")
        let episode = try scene.open(store: store)
        let before = (try traces(scene.stage.a), try traces(scene.stage.b))
        let runs = try FileManager.default.contentsOfDirectory(atPath: scene.stage.state + "/runs")
        let refused = try scene.run("apply", "p")
        #expect(refused.status == 5, "\(refused.report)")
        #expect(refused.output.isEmpty, "\(refused.report)")
        let id = episode["episode"] as? String ?? "?"
        #expect(refused.errorText.contains("has an open episode, \(id)"), "\(refused.report)")
        #expect(try traces(scene.stage.a) == before.0)
        #expect(try traces(scene.stage.b) == before.1)
        let after = try FileManager.default.contentsOfDirectory(atPath: scene.stage.state + "/runs")
        #expect(after.count == runs.count)
        try scene.close(episode)
        let applied = try scene.run("apply", "p")
        #expect(applied.status == 0, "\(applied.report)")
        #expect(scene.stage.exists("b/new"))
    }

    /// From the opening to the first use of what was kept after it.
    @Test func onlyTheMediumClearsAStore() throws {
        let scene = try EpisodeStage()
        usleep(2_200_000)
        #expect(try verify(scene, "--keep").status == 0)
        #expect(try read(scene, "--assurance", "cached").cached)
        #expect(try !read(scene).media, "by default from the cache")

        let episode = try scene.open("--class", "lost-write")
        let open = try verify(scene)
        #expect(open.status == 2, "\(open.report)")
        #expect(open.errorText.contains("trouble on A: episode"), "\(open.report)")
        #expect(open.errorText.contains("is open: it lost an acknowledged write"))
        #expect(!open.errorText.contains("trouble on B"), "\(open.report)")
        #expect(open.errorText.contains("assurance media"), "\(open.report)")
        #expect(open.text.contains("! A had episode"), "\(open.report)")
        let cached = try verify(scene, "--assurance", "cached")
        #expect(cached.errorText.contains("what was kept of A does not count"), "\(cached.report)")

        try scene.close(episode)
        // A suspect window ends with a whole second: before it is over, a run still falls into it.
        usleep(1_200_000)
        // Closed, and not yet verified from the medium.
        let closed = try verify(scene, "--assurance", "hash")
        #expect(closed.status == 0, "\(closed.report)")
        #expect(closed.errorText.contains("it was not verified from the medium since"))
        let void = try verify(scene, "--assurance", "cached")
        #expect(void.errorText.contains("what was kept of A does not count"), "\(void.report)")

        // A part of it, or without its content, or at another level, clears nothing.
        let parts = [
            ["--assurance", "hash"], ["--assurance", "media", "--without", "content"],
            ["--assurance", "media", "--exclude", "other"],
        ]
        for part in parts {
            let found = try scene.stage.verifying(part).run()
            #expect(found.status == 0, "\(part) \(found.report)")
            let still = try read(scene, "--exclude", "other")
            #expect(still.media, "\(part)")
        }
        let cleared = try verify(scene)
        #expect(cleared.status == 0, "\(cleared.report)")
        #expect(cleared.text.contains("at media"), "\(cleared.report)")
        let calm = try verify(scene)
        #expect(calm.status == 0 && !calm.errorText.contains("trouble on"), "\(calm.report)")
        #expect(!calm.text.contains("at media"), "\(calm.report)")

        // What was kept before still does not count, nor what is kept from the cache.
        for keeping in [["--assurance", "hash", "--keep"], ["--assurance", "media", "--keep"]] {
            let before = try verify(scene, "--assurance", "cached")
            #expect(
                before.errorText.contains("what was kept of A does not count"), "\(before.report)")
            #expect(!before.errorText.contains("what was kept of B"), "\(before.report)")
            usleep(2_200_000)
            #expect(try scene.stage.verifying(keeping).run().status == 0)
        }
        let after = try verify(scene, "--assurance", "cached")
        #expect(!after.errorText.contains("does not count"), "\(after.report)")
        #expect(try read(scene, "--assurance", "cached").cached)
    }

    /// What had to be read came from the medium, and so counts the next time.
    @Test func nightAfterNightWhatWasKeptCounts() throws {
        let scene = try EpisodeStage()
        try scene.close(try scene.open())
        usleep(2_200_000)
        #expect(try verify(scene, "--assurance", "media", "--keep").status == 0)
        for number in 0..<3 {
            try scene.stage.write("a/new\(number)", noise(5000, seed: UInt64(number)))
            try scene.stage.write("b/new\(number)", noise(5000, seed: UInt64(number)))
            usleep(2_200_000)
            let night = try scene.stage.verifying(["--assurance", "cached", "--keep", "--json"])
                .run()
            #expect(!night.errorText.contains("does not count"), "\(night.report)")
            let read = try Read(night)
            #expect(read.cached && read.media, "\(number): \(night.report)")
        }
    }

    /// Nothing was there yet, or not all of it was settled: that speaks for nothing.
    @Test func whatVerifiedNothingClearsNoStore() throws {
        let scene = try EpisodeStage()
        try scene.close(try scene.open())
        usleep(1_200_000)
        for side in ["a", "b"] {
            try system("mv", scene.stage.folder + "/" + side, scene.stage.folder + "/away-" + side)
            try scene.stage.makeFolder(side)
        }
        let empty = try verify(scene)
        #expect(empty.status == 2, "\(empty.report)")
        #expect(empty.text.contains("there was nothing to compare"), "\(empty.report)")
        for side in ["a", "b"] {
            try system("rm", "-r", scene.stage.folder + "/" + side)
            try system("mv", scene.stage.folder + "/away-" + side, scene.stage.folder + "/" + side)
        }
        let there = try verify(scene)
        #expect(there.text.contains("at media"), "\(there.report)")
    }

    /// Who names a window in which a store may have lied is not answered from its page cache.
    @Test func aSuspectWindowIsNeverIgnored() throws {
        let scene = try EpisodeStage()
        #expect(try read(scene, "--suspect", "00:00..00:01").media)
        #expect(try verify(scene, "--suspect", "nonsense").status == 64)
        for level in ["hash", "metadata", "size"] {
            let refused = try verify(scene, "--suspect", "00:00..00:01", "--assurance", level)
            #expect(refused.status == 64, "\(level) \(refused.report)")
        }
        let since = try verify(scene, "--since", "manifest", "--assurance", "hash")
        #expect(since.status == 64, "\(since.report)")
    }

    /// It does not matter by which name somebody watches it.
    @Test func aStoreIsKnownByWhateverPathItIsNamed() throws {
        let scene = try EpisodeStage()
        symlink(scene.stage.a, scene.stage.folder + "/link")
        symlink(scene.stage.folder, scene.stage.folder + "/up")
        try scene.stage.write(
            "config.yaml",
            "pairs: [{name: mail, a: \(scene.stage.folder)/link, b: \(scene.stage.b)}]\n")
        try scene.open()
        for name in ["a", "link", "a/", "./a", "up/a", "up/link"] {
            let found = try scene.run("verify", name, "b", "--settle", "0")
            #expect(found.errorText.contains("trouble on A: episode"), "\(name) \(found.report)")
        }
        // A part of a store is in trouble with it, and so is what holds it.
        try scene.stage.makeFolder("a/part")
        try scene.stage.makeFolder("part")
        let part = try scene.run("verify", "a/part", "part", "--settle", "0")
        #expect(part.errorText.contains("trouble on A: episode"), "\(part.report)")
        let beside = try scene.run("verify", "b", "part", "--settle", "0")
        #expect(!beside.errorText.contains("trouble on"), "\(beside.report)")
    }

    /// Nor by which mount: what lies there is one.
    @Test(arguments: ["a", "bound"]) func aBindMountOfAStoreIsTheStore(_ watched: String) throws {
        let scene = try EpisodeStage()
        for name in ["a/part", "part", "bound"] { try scene.stage.makeFolder(name) }
        let point = scene.stage.folder + "/bound"
        guard isRoot, try system("mount", "--bind", scene.stage.a, point) != nil else {
            return skip("mounting needs root")
        }
        defer { _ = try? system("umount", point) }
        try scene.stage.write(
            "config.yaml",
            "pairs: [{name: mail, a: \(scene.stage.folder)/\(watched), b: \(scene.stage.b)}]\n")
        try scene.open()
        for (name, other) in [
            ("a", "b"), ("bound", "b"), ("a/part", "part"), ("bound/part", "part"),
        ] {
            let found = try scene.run("verify", name, other, "--settle", "0")
            #expect(found.errorText.contains("trouble on A: episode"), "\(name) \(found.report)")
        }
        let beside = try scene.run("verify", "b", "part", "--settle", "0")
        #expect(!beside.errorText.contains("trouble on"), "\(beside.report)")
    }

    /// What was found while the store failed is not to be trusted.
    @Test func anEpisodeDuringAVerifyMakesItUndecided() throws {
        let scene = try EpisodeStage()
        try scene.stage.write("a/large", noise(3 << 20))
        try scene.stage.remove("b")
        try scene.stage.copy()
        let running = try scene.stage.verifying(["--read-limit", "1MiB/s"]).start()
        usleep(1_500_000)
        let opened = try scene.opening([], store: "mail/b")
        #expect(opened.status == 0, "\(opened.report)")
        let found = try running.wait()
        #expect(found.status == 2, "\(found.report)")
        #expect(found.text.contains("B had episode e"), "\(found.report)")
        #expect(!found.text.contains("A had episode"), "\(found.report)")
        #expect(found.text.hasSuffix("NOT VERIFIED\n"), "\(found.report)")
        // It is remembered like that, and told like that to programs.
        let shown = try scene.run("runs", "show", "last", "--json")
        let summary = try #require(try objects(shown.lines).last, "\(shown.report)")
        #expect(shown.status == 2 && summary["exit_status"] as? Int == 2, "\(shown.report)")
        #expect(summary["verdict"] as? String == "NOT VERIFIED", "\(shown.report)")
        #expect((summary["doubts"] as? [String])?.count == 1, "\(shown.report)")
    }

    @Test func anEpisodeDuringAComparisonWithAManifestMakesItUndecided() throws {
        let scene = try EpisodeStage()
        try scene.stage.write("a/large", noise(3 << 20))
        #expect(try scene.run("scan", "a", "-o", "m").status == 0)
        let running = try scene.stage.resync(["verify", "a", "m", "--read-limit", "1MiB/s"])
            .start()
        usleep(1_500_000)
        try scene.open()
        let found = try running.wait()
        #expect(found.status == 2, "\(found.report)")
        #expect(found.text.contains("A had episode e"), "\(found.report)")
        #expect(found.text.hasSuffix("NOT VERIFIED\n"), "\(found.report)")
    }

    /// Nobody knows whether the stores are well where the watcher lives and says nothing, or where
    /// so many wait for it that it does not even take them.
    @Test(arguments: [1, 0]) func aWatcherThatDoesNotAnswerIsTrouble(_ places: Int) throws {
        let scene = try EpisodeStage()
        try scene.stage.write("a/new", "made")
        #expect(try verify(scene).status == 1)
        let planned = try scene.run("plan", "last", "--authority", "a", "-o", "p", "--force")
        #expect(planned.status == 0, "\(planned.report)")
        let script = """
            import socket, sys, time
            s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            s.bind(sys.argv[1])
            s.listen(int(sys.argv[2]) * 16)
            kept = []
            if sys.argv[2] == "0":
                kept = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)]
                kept[0].connect(sys.argv[1])
            open(sys.argv[3], "w").close()
            time.sleep(100)
            """
        var silent = Command(
            "/usr/bin/env", ["python3", "-c", script, "watch.sock", "\(places)", "../listens"])
        silent.directory = scene.stage.state
        let watcher = try silent.start()
        defer { watcher.signal(SIGKILL) }
        while !scene.stage.exists("listens") { usleep(10_000) }
        let found = try verify(scene, "--max-duration", "1m")
        #expect(found.errorText.contains("trouble on A: the watcher d"), "\(found.report)")
        #expect(found.text.contains("at media"), "\(found.report)")
        let refused = try scene.run("apply", "p")
        #expect(refused.status == 5, "\(refused.report)")
        #expect(refused.errorText.contains("is not known: the watcher d"), "\(refused.report)")
        #expect(!scene.stage.exists("b/new"))
    }

    @Test func anEpisodeThatAlsoEndsDuringAVerifyCounts() throws {
        let scene = try EpisodeStage()
        try scene.stage.write("a/large", noise(3 << 20))
        try scene.stage.remove("b")
        try scene.stage.copy()
        let running = try scene.stage.verifying([
            "--assurance", "media", "--read-limit", "1MiB/s",
        ]).start()
        usleep(1_200_000)
        try scene.close(try scene.open())
        let found = try running.wait()
        #expect(found.status == 2, "\(found.report)")
        #expect(found.text.contains("A had episode e"), "\(found.report)")
        // It began before the end, so that it clears nothing.
        let next = try verify(scene)
        #expect(next.text.contains("at media"), "\(next.report)")
        #expect(next.status == 0, "\(next.report)")
    }

    /// What vanished from a side that failed since the baseline may have been lost.
    @Test func whatAFailingSideLostIsNotDeletedFromTheOther() throws {
        let scene = try EpisodeStage()
        usleep(2_200_000)
        #expect(try verify(scene, "--keep").status == 0)
        try scene.stage.remove("a/file")
        func planned() throws -> Finished {
            let found = try scene.run(
                "plan", "last", "--authority", "baseline", "-o", "p", "--force")
            #expect([0, 4].contains(found.status), "\(found.report)")
            return found
        }
        #expect(try verify(scene).status == 1)
        let calm = try planned()
        #expect(calm.text.contains("1 deleted"), "\(calm.report)")
        let episode = try scene.open()
        try scene.close(episode)
        usleep(1_200_000)
        #expect(try verify(scene, "--assurance", "media").status == 1)
        let after = try planned()
        #expect(!after.text.contains("deleted"), "\(after.report)")
    }

    /// That something else was proven since says nothing of what was not.
    @Test func whatWasLostIsNotDeletedOnceOtherThingsAreProven() throws {
        let scene = try EpisodeStage()
        usleep(2_200_000)
        #expect(try verify(scene, "--keep").status == 0)
        try scene.stage.remove("a/file")
        try scene.close(try scene.open())
        usleep(1_200_000)
        try scene.stage.write("b/other", "edited since")
        #expect(try verify(scene, "--assurance", "media").status == 1)
        func run(_ words: String...) throws {
            let done = try scene.stage.resync(words).run()
            #expect([0, 1, 4].contains(done.status), "\(words) \(done.report)")
        }
        try run("plan", "last", "--authority", "baseline", "--path", "other", "-o", "q")
        try run("apply", "q")
        try run("confirm", "last")
        #expect(try verify(scene, "--assurance", "media").status == 1)
        let after = try scene.run(
            "plan", "last", "--authority", "baseline", "-o", "p", "--force")
        #expect([0, 4].contains(after.status), "\(after.report)")
        #expect(!after.text.contains("deleted"), "\(after.report)")
        #expect(after.text.contains("1 made"), "\(after.report)")
    }

    // MARK: Verdicts

    /// The first incident of a pair comes before anything was ever proven of it.
    @Test func whatAnEpisodeMayHaveLostIsNotDeletedElsewhere() throws {
        let scene = try EpisodeStage()
        try scene.stage.remove("a/other")
        try scene.close(try scene.open())
        usleep(1_200_000)
        #expect(try verify(scene).status == 1)
        func plan(_ more: String...) throws -> Finished {
            try scene.stage.resync(
                ["plan", "last", "--authority", "a", "-o", "p", "--force"] + more
            ).run()
        }
        let careful = try plan()
        #expect(careful.status == 0 && careful.text.contains("1 lost"), "\(careful.report)")
        let told = try plan("--accept-deletions")
        #expect(told.status == 0 && told.text.contains("1 deleted"), "\(told.report)")
    }

    /// The device comes back without its last writes: no times moved forward there.
    @Test func aStoreThatLostItsLastWritesDoesNotWin() throws {
        guard let disk = try LoopMount(.ext4) else { return }
        let scene = try EpisodeStage()
        let stage = scene.stage
        try stage.write(
            "config.yaml", "pairs: [{name: mail, a: \(disk.point), b: \(stage.b), settle: 0s}]\n")
        try system("cp", "-a", stage.b + "/.", disk.point)
        try disk.keep()
        usleep(50_000)
        try stage.write("b/file", "what both were proven to hold")
        try system("cp", "-p", stage.b + "/file", disk.point + "/file")
        try system("sync", "-f", disk.point)
        usleep(2_200_000)
        let proven = try scene.run("verify", "mail", "--config", scene.config)
        #expect(proven.status == 0, "\(proven.report)")
        try #require(try disk.loseWrites())
        func plan() throws -> String {
            let found = try scene.run("verify", "mail", "--config", scene.config)
            #expect(found.status == 1, "\(found.report)")
            let planned = try scene.run(
                "plan", "last", "--authority", "baseline", "-o", "p", "--force")
            #expect([0, 4].contains(planned.status), "\(planned.report)")
            var show = Command(Command.resync, ["plan", "show", "p"])
            show.directory = stage.folder
            return try planned.text + show.run().text
        }
        let before = try plan()
        #expect(before.contains("1 undetermined"), "\(before)")
        try scene.close(try scene.open())
        usleep(1_200_000)
        let after = try plan()
        #expect(after.contains("* A file  file: 29 B; missed write on A"), "\(after)")
        // Brought back by an undo it has a new ctime, and is no edit for that.
        for words in [["apply", "p"], ["undo"]] {
            let done = try stage.resync(words).run()
            #expect(done.status == 0, "\(done.report)")
        }
        let again = try plan()
        #expect(again.contains("1 undetermined"), "\(again)")
        #expect(!again.contains("file  file"), "\(again)")
    }
}

import Foundation
import Glibc
import TestSupport
import Testing

/// Nights from cron: silence while the copies agree, one page for what is new.
@Suite struct NightlyTests {
    private final class Scene {
        let stage: Stage

        init(_ more: String = "") throws {
            stage = try Stage()
            for number in 0..<6 {
                try stage.write("a/f\(number)", noise(20_000, seed: UInt64(number)))
            }
            try stage.copy()
            try configure(more)
            usleep(2_200_000)
        }

        func configure(_ more: String) throws {
            try stage.write(
                "c.yaml",
                "pairs: [{name: mail, a: \(stage.a), b: \(stage.b), settle: 0s\(more)}]\n")
        }

        func night(_ words: String..., zone: String = "UTC") throws -> Finished {
            var command = stage.resync(["nightly", "--config", "c.yaml"] + words)
            command.arguments =
                [Array("TZ=\(zone)".utf8), Array(command.program.utf8)] + command.arguments
            command.program = "/usr/bin/env"
            return try command.run()
        }

        /// Runs of verify, the newest first: their last lines.
        func runs() throws -> [String] { try stage.runs("list").lines }
    }

    private func isSilent(_ found: Finished) -> Bool {
        found.output.isEmpty && found.errorText.isEmpty
    }

    /// As long as a watcher, or the night of another pair, reads one of its stores.
    @Test func aNightWaitsForItsTurn() throws {
        let scene = try Scene()
        #expect(try scene.night().status == 0)
        let turns = scene.stage.state + "/turns"
        let names = try #require(try system("ls", turns)).split(separator: "\n")
        #expect(names.count == 2)
        for name in names {
            let hold = "flock '\(turns)/\(name)' sleep 1 >/dev/null 2>&1 & sleep 0.1"
            try #require(try system("sh", "-c", hold) != nil)
            let waited = try scene.night()
            #expect(waited.status == 0 && waited.seconds > 0.8, "\(waited.report)")
        }
    }

    /// One whose night fills its window must not keep the others from theirs.
    @Test func thePairThatWaitedLongestComesFirst() throws {
        let stage = try Stage()
        for name in ["one", "two", "three"] {
            try system("mkdir", "-p", "\(stage.folder)/\(name)/a", "\(stage.folder)/\(name)/b")
            try stage.write("\(name)/a/f", "text")
            try stage.write("\(name)/b/f", "other text")
        }
        let pairs = ["one", "two", "three"].map { name in
            "{name: \(name), a: \(stage.folder)/\(name)/a, b: \(stage.folder)/\(name)/b, "
                + "settle: 0s}"
        }
        try stage.write("c.yaml", "pairs: [\(pairs.joined(separator: ", "))]\n")
        func night(_ words: String...) throws -> [String] {
            let night = try stage.resync(["nightly", "--config", "c.yaml"] + words).run()
            #expect(night.status == 1, "\(night.report)")
            return night.lines.compactMap { line in
                ["one", "two", "three"].first { line.hasPrefix("\($0): ") }
            }
        }
        #expect(try night("one") == ["one"])
        usleep(1_100_000)
        #expect(try night("two") == ["two"])
        usleep(1_100_000)
        #expect(try night() == ["three", "one", "two"])
    }

    /// Once all was read from the medium, what is kept counts again.
    @Test func anEpisodeIsOverWithOneNight() throws {
        let scene = try Scene()
        #expect(try scene.night().status == 0)
        let noted = try scene.stage.resync([
            "episode", "open", "mail/b", "--note", "t", "--from", "00:00", "--to", "00:01",
            "--config", "c.yaml",
        ]).run()
        #expect(noted.status == 0, "\(noted.report)")
        usleep(1_200_000)
        let first = try scene.night()
        #expect(first.status == 0 && first.errorText.contains("trouble on B"), "\(first.report)")
        let second = try scene.night()
        #expect(second.status == 0 && isSilent(second), "\(second.report)")
        let shown = try scene.stage.runs("show", "last")
        #expect(shown.text.contains("at cached; 0 B read"), "\(shown.report)")
    }

    /// It makes way for what a person wants, and goes on when that is done.
    @Test func aPersonsApplyComesFirst() throws {
        let scene = try Scene(", read-limit: 20KiB/s")
        try scene.stage.write("a/f5", noise(20_000, seed: 99))
        let planned = try scene.stage.resync([
            "plan", scene.stage.a, scene.stage.b, "--authority", "a", "-o", "p",
        ]).run()
        #expect(planned.status == 0, "\(planned.report)")
        let night = try scene.stage.resync(["nightly", "--config", "c.yaml"]).start()
        usleep(1_500_000)
        let applied = try scene.stage.resync(["apply", "p"]).run()
        #expect(applied.status == 0 && applied.seconds < 15, "\(applied.report)")
        let ended = try night.wait()
        #expect(ended.status == 0 && isSilent(ended), "\(ended.report)")
        let shown = try scene.stage.runs("show", "last")
        #expect(shown.text.contains("IN SYNC"), "\(shown.report)")
    }

    /// It leaves its turn to the watcher, which verifies what is dangerous first.
    @Test func anEpisodeEndsTheNight() throws {
        let folder = try Stage()
        try folder.write("a/f", noise(1 << 20))
        let watch = try WatchStage(folder.a, readLimit: "20KiB/s") { stage in
            try system("cp", "-a", folder.a + "/.", stage.folder + "/other")
        }
        let config = ["--config", watch.stage.folder + "/config.yaml"]
        let night = try watch.stage.resync(["nightly"] + config).start()
        usleep(2_000_000)
        let opened = try watch.stage.resync(
            ["episode", "open", "mail/b", "--note", "t"] + config
        ).run()
        #expect(opened.status == 0, "\(opened.report)")
        let ended = try night.wait()
        #expect(ended.seconds < 20 && ended.status == 2, "\(ended.report)")
        #expect(ended.errorText.contains("so that its night is over"), "\(ended.report)")
    }

    @Test func aNightIsSilentUntilSomethingIsNew() throws {
        let scene = try Scene()
        for _ in 0..<2 {
            let calm = try scene.night()
            #expect(calm.status == 0 && isSilent(calm), "\(calm.report)")
        }
        // The second night read nothing again.
        let second = try scene.stage.runs("show", "last")
        #expect(second.text.contains("at cached; 0 B read"), "\(second.report)")
        try scene.stage.write("b/f1", noise(20_000, seed: 99))
        let new = try scene.night()
        #expect(new.status == 1, "\(new.report)")
        #expect(new.lines.first?.hasPrefix("mail: ") == true, "\(new.report)")
        #expect(new.lines.dropFirst().first?.hasPrefix("* f1  content") == true, "\(new.report)")
        #expect(!new.text.contains("known from before"), "\(new.report)")
        // Told once; what is worse or new is told again.
        let known = try scene.night()
        #expect(known.status == 1 && isOld(known), "\(known.report)")
        try scene.stage.remove("a/f2")
        chmod(scene.stage.b + "/f1", 0o600)
        let more = try scene.night()
        #expect(more.status == 1, "\(more.report)")
        #expect(more.text.contains("\n* f1  content"), "\(more.report)")
        #expect(more.text.contains("\n- f2  missing on A"), "\(more.report)")
        try scene.stage.write("b/f3", "other")
        let third = try scene.night()
        #expect(third.text.contains("\n2 known from before\n"), "\(third.report)")
    }

    /// A line that the copies differ still, and no more.
    private func isOld(_ night: Finished) -> Bool {
        night.lines.count == 1 && night.text.contains("nothing new, and 1 known from before")
    }

    /// Damage that was told of once is told of again when there is more of it.
    @Test func knownDamageThatGrowsIsNews() throws {
        let scene = try Scene()
        try scene.stage.write("a/f", noise(12 << 20))
        try system("cp", "-p", scene.stage.a + "/f", scene.stage.b)
        try system("touch", "-r", scene.stage.a, scene.stage.b)
        usleep(2_200_000)
        #expect(try scene.night().status == 0)
        let place = "of='\(scene.stage.b)/f' bs=4096 conv=notrunc status=none"
        try system("sh", "-c", "dd if=/dev/urandom count=1 seek=5 \(place)")
        let new = try scene.night()
        #expect(new.status == 1 && new.text.contains("\n* f  content"), "\(new.report)")
        let known = try scene.night()
        #expect(known.status == 1 && isOld(known), "\(known.report)")
        try system("sh", "-c", "dd if=/dev/zero count=2560 \(place)")
        let grown = try scene.night()
        #expect(grown.status == 1 && grown.text.contains("\n* f  content"), "\(grown.report)")
        let again = try scene.night()
        #expect(again.status == 1 && isOld(again), "\(again.report)")
    }

    /// What was read longest ago is read again, from the medium, and is younger then.
    @Test func everythingIsReadAgain() throws {
        let scene = try Scene(", max-age: 1d")
        #expect(try scene.night().status == 0)
        let first = try scene.runs()
        #expect(first.count == 2, "\(first)")
        let again = try scene.stage.runs("show", "last")
        #expect(again.text.contains("117.2 KiB at media"), "\(again.report)")
        // Nothing is overdue: the next night reads a share, and what was kept makes it no older.
        try scene.configure(", max-age: 2s")
        usleep(1_500_000)
        let next = try scene.night()
        #expect(next.status == 0 && isSilent(next), "\(next.report)")
    }

    @Test func whatStaysUnreadIsSaid() throws {
        let scene = try Scene()
        #expect(try scene.night().status == 0)
        usleep(2_000_000)
        // So old by now, and what differs is proven by no reading.
        try scene.configure(", max-age: 1s")
        try scene.stage.write("b/f1", noise(20_000, seed: 99))
        usleep(1_100_000)
        let found = try scene.night()
        #expect(found.status == 2, "\(found.report)")
        #expect(
            found.text.contains("mail: 1 files, 19.5 KiB, were not read within 1.00 s"),
            "\(found.report)")
    }

    /// It keeps to the windows, and what it had no time for goes on the next night.
    @Test func aWindowEndsANight() throws {
        // By the time zone it is any time of the day that is wanted.
        let hour = Int(time(nil) / 3600 % 24)
        let scene = try Scene(", windows: [\"12:00-13:00\"]")
        let outside = try scene.night(zone: "ABC\((hour + 6) % 24)")
        #expect(outside.status == 10, "\(outside.report)")
        #expect(outside.errorText.contains("it is in none of its windows now"))
        #expect(outside.output.isEmpty)
        // West of Greenwich is positive.
        let shift = hour - 12
        let inside = try scene.night(zone: "ABC\(shift)")
        #expect(inside.status == 0 && isSilent(inside), "\(inside.report)")
    }

    @Test func twoNightsAtOnceAreOne() throws {
        let scene = try Scene(", read-limit: 8KiB/s")
        let first = try scene.stage.resync(["nightly", "--config", "c.yaml"]).start()
        let begun = (0..<100).contains { _ in
            usleep(50_000)
            return (try? scene.runs().isEmpty) == false
        }
        #expect(begun)
        let second = try scene.night()
        #expect(second.status == 75, "\(second.report)")
        first.signal(SIGTERM)
        let ended = try first.wait()
        #expect(ended.status == 128 + SIGTERM, "\(ended.report)")
        // What was interrupted goes on.
        let id = try scene.runs().first?.split(separator: " ").first.map(String.init)
        try scene.configure("")
        let next = try scene.night()
        #expect(next.status == 0 && isSilent(next), "\(next.report)")
        #expect(try scene.runs().count == 1 && id != nil)
    }

    /// Images have no baseline: each night they are compared.
    @Test func imagesAreComparedEachNight() throws {
        let scene = try Scene()
        let (one, two) = (scene.stage.folder + "/one.img", scene.stage.folder + "/two.img")
        for image in ["one.img", "two.img"] { try scene.stage.write(image, noise(3 << 20)) }
        try scene.stage.write(
            "c.yaml",
            "pairs: [{name: images, a: \(one), b: \(two), settle: 0s, max-age: 1d}]\n")
        for _ in 0..<2 {
            let calm = try scene.night()
            #expect(calm.status == 0 && isSilent(calm), "\(calm.report)")
        }
        try system("sh", "-c", "printf x | dd of='\(two)' seek=99 bs=1 conv=notrunc")
        let found = try scene.night()
        #expect(found.status == 1, "\(found.report)")
    }

    /// Within the age they are read from the medium, both of them whole.
    @Test func imagesHaveTheirTurn() throws {
        let scene = try Scene()
        let names = ["one.img", "two.img"]
        for image in names { try scene.stage.write(image, noise(3 << 20)) }
        func configure(_ age: String, _ more: String = "") throws {
            let places = zip(["a", "b"], names).map { "\($0): \(scene.stage.folder)/\($1)" }
            try scene.stage.write(
                "c.yaml",
                "pairs: [{name: images, \(places.joined(separator: ", ")), settle: 0s, "
                    + "max-age: \(age)\(more)}]\n")
        }
        func level() throws -> String {
            let calm = try scene.night()
            #expect(calm.status == 0 && isSilent(calm), "\(calm.report)")
            let text = try scene.stage.runs("show", "last").text
            return text.contains("at media") ? "media" : text.contains("at hash") ? "hash" : text
        }
        try configure("7d")
        #expect(try level() == "media")
        #expect(try level() == "hash")
        try configure("1d")
        #expect(try level() == "media")
        usleep(2_100_000)
        let hour = Int(time(nil) / 3600 % 24)
        try configure("1s", ", windows: [\"12:00-13:00\"]")
        let late = try scene.night(zone: "ABC\((hour + 6) % 24)")
        #expect(late.status == 2, "\(late.report)")
        #expect(
            late.text.contains("images: it was not read from the medium within 1.00 s"),
            "\(late.report)")
    }

    /// A night that ends because a store does not answer says where that was.
    @Test func aReadThatIsNotAnsweredIsNamed() throws {
        guard isLongRun else { return skip("waits for a minute") }
        guard let hostile = try FuseTests.Hostile() else { return }
        let stage = hostile.stage
        try hostile.furnish(["file": "ddddd"])
        try stage.write(
            "c.yaml",
            "pairs: [{name: mail, a: \(hostile.mount)/later, b: \(stage.b), settle: 0s}]\n")
        try hostile.holdReads(true)
        var command = stage.resync(["nightly", "--config", "c.yaml"])
        command.timeout = 180
        let running = try command.start()
        for _ in 0..<1200 where !running.outputSoFar.contains("runs show") { usleep(100_000) }
        try hostile.holdReads(false)
        let found = try running.wait()
        #expect(found.status == 2, "\(found.report)")
        #expect(
            found.text.contains(
                "\n! file  a read on A was not answered in time; the rest of that store was not "
                    + "verified\n"), "\(found.report)")
    }

    @Test func aPairThatIsNotThereIsRefused() throws {
        let scene = try Scene()
        let found = try scene.night("mall")
        #expect(found.status == 64, "\(found.report)")
        try scene.stage.write(
            "c.yaml",
            """
            pairs:
              - {name: gone, a: /nowhere/a, b: /nowhere/b}
              - {name: mail, a: \(scene.stage.a), b: \(scene.stage.b), settle: 0s}

            """)
        // One pair's trouble keeps no other from its night.
        let both = try scene.night()
        #expect(both.status == 2, "\(both.report)")
        #expect(both.errorText.contains("gone: "), "\(both.report)")
        #expect(try scene.runs().count == 1)
    }
}

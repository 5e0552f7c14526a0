import Foundation
import Glibc
import Testing

/// Wrong volumes, wrong directions, too much at once: refused before the first write.
@Suite(.serialized) struct ApplyGuardTests {
    // MARK: Decisions

    /// Who reopens a difference does not want it carried out.
    @Test func whatADecisionNoLongerSaysIsWithheld() throws {
        let scene = try ApplyScene()
        #expect(try scene.stage.verify().status == 1)
        func decide(_ words: String...) throws {
            let done = try scene.stage.resync(["decide", "last"] + words).run()
            #expect(done.status == 0, "\(done.report)")
        }
        try decide("f", "--accept", "a", "--reason", "newer")
        try decide("d", "--accept", "a", "--reason", "newer")
        let made = try scene.run("plan", "last", "--authority", "a", "-o", "p", "--force")
        #expect(made.status == 0, "\(made.report)")
        try decide("f", "--open", "--reason", "not sure")
        try decide("extra", "--accept", "b", "--reason", "it is needed")
        try decide("d", "--accept", "a", "--reason", "still so")
        for _ in 0..<2 {
            let applied = try scene.apply()
            #expect(applied.status == 6, "\(applied.report)")
            for name in ["f", "extra"] {
                #expect(
                    applied.text.contains("! \(name)  decided otherwise since the plan was made"),
                    "\(applied.report)")
            }
            #expect(scene.stage.text("b/f") == "what B had")
            #expect(scene.stage.exists("b/extra"))
            #expect(scene.stage.text("b/d/new") == "made")
            #expect(!scene.stage.exists("b/old"))
        }
    }

    /// What was decided about was another one.
    @Test func aDecisionAboutWhatChangedSinceIsStale() throws {
        let scene = try ApplyScene()
        #expect(try scene.stage.verify().status == 1)
        let decided = try scene.run("decide", "last", "f", "--accept", "a", "--reason", "newer")
        #expect(decided.status == 0, "\(decided.report)")
        try scene.stage.write("b/f", "and something else")
        let made = try scene.run("plan", "last", "--authority", "a", "-o", "p", "--force")
        #expect(made.status == 4, "\(made.report)")
        #expect(
            made.text.contains("x f  decided about before it changed, left as it is"),
            "\(made.report)")
    }

    // MARK: Volumes

    /// The marker came along when the whole store was copied.
    @Test func aCopiedMarkerIsRefused() throws {
        let scene = try ApplyScene()
        let stage = scene.stage
        try scene.applied()
        #expect(try scene.run("confirm").status == 0)
        try system("cp", "-a", stage.b, stage.folder + "/copy")
        try stage.write("a/g", "a new version")
        let copy = stage.folder + "/copy"
        let planned = try scene.run("plan", stage.a, copy, "--authority", "a", "-o", "q")
        #expect(planned.text.contains("would be refused: the marker of B"), "\(planned.report)")
        let before = try traces(copy)
        try scene.refuses(5, "the marker of B was made on another file system", lines: 2) {
            try scene.run("apply", "q")
        }
        #expect(try traces(copy) == before)
    }

    /// A source that was brought back from before the last confirmed agreement.
    @Test func anOlderSourceIsRefused() throws {
        let scene = try ApplyScene()
        let stage = scene.stage
        try scene.applied()
        #expect(try scene.run("confirm").status == 0)
        try system("cp", "-a", stage.a, stage.folder + "/snapshot")
        try stage.write("a/g", "the next version")
        try scene.makePlan()
        try scene.applied()
        #expect(try scene.run("confirm").status == 0)
        try system(
            "rsync", "-a", "--delete", stage.folder + "/snapshot/", stage.a + "/")
        try scene.makePlan()
        try scene.refuses(5, "A is older than B", lines: 2) { try scene.apply() }
        #expect(stage.text("b/g") == "the next version")
    }

    /// A source that has lost writes holds zeros in places.
    @Test(arguments: [10, 11])
    func zerosInManyFilesAreRefused(_ count: Int) throws {
        let stage = try Stage()
        for number in 0..<100 {
            try stage.write("a/f\(number)", noise(200_000, seed: UInt64(number + 1)))
        }
        try stage.copy()
        for number in 0..<count {
            try system(
                "dd", "if=/dev/zero", "of=\(stage.a)/f\(number)", "bs=4096", "seek=16", "count=2",
                "conv=notrunc", "status=none")
        }
        let planned = try stage.resync(
            ["plan", stage.a, stage.b, "--authority", "a", "-o", "p"]).run()
        #expect(planned.status == 0, "\(planned.report)")
        let isRefused = planned.text.contains(
            "would be refused: the data of 11 files of B would turn to nothing or, in whole or in "
                + "part, to zeros")
        #expect(isRefused == (count > 10), "\(planned.report)")
        let applied = try stage.resync(["apply", "p"]).run()
        #expect(applied.status == (count > 10 ? 5 : 0), "\(applied.report)")
    }

    /// As in a crontab whose two stores changed places.
    @Test func swappedRolesAreRefused() throws {
        let scene = try ApplyScene()
        let stage = scene.stage
        try scene.applied()
        #expect(try scene.run("confirm").status == 0)
        func shown(_ store: String) throws -> Finished {
            try Command(Command.resync, ["store", "show", store]).run()
        }
        let source = try shown(stage.a).lines.first ?? "?"
        let target = try shown(stage.b)
        #expect(
            target.lines.contains(source.replacing("store  ", with: "follows")),
            "\(target.report)")
        func back() throws -> Finished {
            try scene.run("plan", stage.b, stage.a, "--authority", "a", "-o", "q", "--force")
        }
        try stage.write("a/g", "an edit that B has not got")
        let planned = try back()
        let line = "A was made like B by the last plan that was confirmed"
        #expect(planned.text.contains("would be refused: \(line)"), "\(planned.report)")
        try scene.refuses(5, line, lines: 2) { try scene.run("apply", "q") }
        #expect(stage.text("a/g") == "an edit that B has not got")
        // The usual direction is as good as before.
        try scene.makePlan()
        try scene.applied()
        #expect(try scene.run("confirm").status == 0)
        // Meant and accepted, it is the usual one from then on.
        try stage.write("b/g", "an edit after a fail-over")
        let id = try #require(
            try back().text.firstMatch(of: /plan ([0-9a-f]{12})/)?.output.1)
        #expect(try scene.run("apply", "q", "--accept", String(id)).status == 0)
        #expect(try scene.run("confirm").status == 0)
        try stage.write("b/g", "and another one")
        _ = try back()
        #expect(try scene.run("apply", "q").status == 0)
        #expect(stage.text("a/g") == "and another one")
    }

    // MARK: Amounts

    /// 60 files on both sides, `count` of them changed by a shell command on A.
    private func many(_ change: String) throws -> ApplyScene {
        let scene = try ApplyScene()
        try scene.stage.makeFolder("a/many")
        for number in 0..<60 { try scene.stage.write("a/many/\(number)", "version 1 of \(number)") }
        try scene.stage.age()
        try system("rsync", "-a", "--delete", scene.stage.a + "/", scene.stage.b + "/")
        try system("sh", "-c", "cd '\(scene.stage.a)' && \(change)")
        try scene.makePlan()
        return scene
    }

    @Test func whatChangesNearlyEverythingIsRefused() throws {
        // However many directories stay as they are.
        let scene = try many(
            "for f in many/*; do echo encrypted > $f; done; mkdir -p empty/$(seq -s/ 80)")
        try scene.refuses(5, "60 of 65 entries of B that are no directories would be", lines: 2) {
            try scene.apply()
        }
        // Another plan's id does not count, and neither does a beginning of few digits.
        for id in ["0123456789ab", "0"] {
            try scene.refuses(5, "would be overwritten", lines: 2) {
                try scene.apply("--accept", id)
            }
        }
        let shown = try Command(Command.resync, ["plan", "show", scene.plan, "--json"]).run()
        let id = try objects(shown.lines).compactMap { $0["plan"] as? String }.last ?? "?"
        #expect(try scene.apply("--accept", String(id.prefix(12))).status == 0)
    }

    @Test func whatDeletesMuchIsRefused() throws {
        let scene = try many("rm many/1* many/2*")
        try scene.refuses(5, "22 entries of B would be deleted, more than 20", lines: 2) {
            try scene.apply()
        }
        let emptied = try many("rm many/?; rm many/??; touch many")
        try emptied.refuses(5, "would become empty", lines: 3) { try emptied.apply() }
    }

    /// A new file system in place of the store is as good as none.
    @Test(arguments: [true, false])
    func anEmptyFileSystemIsRefusedAsASource(_ hasOwn: Bool) throws {
        let stage = try Stage()
        try stage.makeFolder("b")
        for name in ["f", "g", "h"] { try stage.write("b/" + name, "the only copy of " + name) }
        try stage.makeFolder(hasOwn ? "a/lost+found" : "a/unrelated")
        try stage.makeFolder(hasOwn ? "b/lost+found" : "b/unrelated")
        #expect(try stage.verify().status == 1)
        let planned = try stage.resync(["plan", "last", "--authority", "a", "-o", "p"]).run()
        #expect(planned.status == 0, "\(planned.report)")
        let done = try stage.resync(["apply", "p"]).run()
        #expect(done.status == (hasOwn ? 5 : 0), "\(done.report)")
        if hasOwn {
            #expect(done.errorText.contains("A is empty"), "\(done.report)")
            #expect(done.errorText.contains("would become empty"), "\(done.report)")
        }
        #expect(FileManager.default.fileExists(atPath: stage.b + "/f") == hasOwn)
    }

    /// As a change of the time zone leaves them: no content is written.
    @Test func newTimesAloneOverwriteNothing() throws {
        let scene = try many("find . -type f -exec touch -d '2021-03-04 05:06:07' {} +")
        let inodes = try system("stat", "-c", "%i", scene.stage.b + "/f", scene.stage.b + "/many/7")
        let done = try scene.apply()
        #expect(done.status == 0, "\(done.report)")
        #expect(
            try system("stat", "-c", "%i", scene.stage.b + "/f", scene.stage.b + "/many/7")
                == inodes)
        #expect(try scene.run("quarantine", "list").lines == ["0 kept, 0 B"])
    }

    @Test func otherExclusionsThanTheBaselinesAreRefused() throws {
        let scene = try ApplyScene()
        try system("rsync", "-a", "--delete", scene.stage.a + "/", scene.stage.b + "/")
        #expect(try scene.stage.verify("--keep").status == 0)
        try scene.stage.write("a/g", "new")
        let planned = try scene.run(
            "plan", scene.stage.a, scene.stage.b, "--authority", "a", "-o", "q", "--exclude", "h")
        #expect(planned.status == 0, "\(planned.report)")
        try scene.refuses(5, "the exclusions are not those of the baseline", lines: 2) {
            try scene.run("apply", "q")
        }
    }

    // MARK: Places

    @Test func storesThatOverlapAreNotPlanned() throws {
        let scene = try ApplyScene()
        let stage = scene.stage
        let pairs = [
            (stage.a, stage.a + "/d", "B lies inside A"),
            (stage.b + "/old", stage.b, "A lies inside B"),
            (stage.a, stage.a, "A and B are the same store"),
        ]
        for (one, other, words) in pairs {
            try scene.refuses(64, words) {
                try scene.run("plan", one, other, "--authority", "a", "-o", "q")
            }
        }
        #expect(!stage.exists("q"))
    }

    /// What must be remembered does not lie where it may be changed or forgotten.
    @Test func stateInTheTargetOrInMemoryIsRefused() throws {
        let scene = try ApplyScene()
        func apply(_ state: String) throws -> Finished {
            try Command(Command.resync, ["apply", scene.plan, "--state", state]).run()
        }
        try system("mkdir", scene.stage.b + "/old/state")
        try scene.refuses(64, "lies in '") { try apply(scene.stage.b + "/old") }
        try system("rmdir", scene.stage.b + "/old/state")
        try scene.refuses(64, "does not outlive a power loss") {
            try apply("/dev/shm/resync-test-\(getpid())")
        }
        try system("rm", "-rf", "/dev/shm/resync-test-\(getpid())")
    }

    /// One changes; others wait, or look on.
    @Test func twoRunsDoNotChangeOneStore() throws {
        let scene = try ApplyScene()
        try scene.stage.write("a/large", noise(3 << 20))
        try scene.makePlan()
        let first = try scene.stage.resync(["apply", scene.plan, "--write-limit", "1MiB"]).start()
        let staged = "ls -A '\(scene.stage.b)' | grep -q resync-staged"
        for _ in 0..<500 {
            if try system("sh", "-c", staged) != nil { break }
            usleep(10_000)
        }
        for arguments in [["apply", scene.plan], ["undo"], ["confirm"]] {
            let second = try scene.stage.resync(arguments).run()
            #expect(second.status == 75, "\(second.report)")
            #expect(second.errorText.split(separator: "\n").count == 1, "\(second.report)")
            #expect(second.seconds < 5)
        }
        // Of this one's state the other knows nothing.
        let other = Command(
            Command.resync, ["apply", scene.plan, "--state", scene.stage.folder + "/other"])
        let elsewhere = try other.run()
        #expect(elsewhere.status == 75, "\(elsewhere.report)")
        let words = "in use by another run: resync (process \(first.process))"
        #expect(elsewhere.errorText.contains(words), "\(elsewhere.report)")
        #expect(elsewhere.errorText.split(separator: "\n").count == 1, "\(elsewhere.report)")
        let done = try first.wait()
        #expect(done.status == 0, "\(done.report)")
        #expect(try scene.run("confirm").status == 0)
    }

    /// Nothing can be moved into a quarantine that is another file system.
    @Test func aQuarantineOnAnotherFileSystemLosesNothing() throws {
        guard isRoot else { return skip("only root can mount") }
        let scene = try ApplyScene()
        let stage = scene.stage
        try stage.makeFolder("b/.resync-quarantine")
        guard try system("mount", "-t", "tmpfs", "tmpfs", stage.b + "/.resync-quarantine") != nil
        else { return skip("cannot mount a tmpfs here") }
        let before = try scene.store
        let found = try scene.apply()
        let after = try scene.store
        try system("umount", stage.b + "/.resync-quarantine")
        #expect(found.status == 5, "\(found.report)")
        let words = "/b/.resync-quarantine' lies on another mount"
        #expect(found.errorText.contains(words), "\(found.report)")
        #expect(after == before)
        let again = try scene.apply()
        #expect(again.status == 0, "\(again.report)")
        #expect(stage.bytes("b/f") == stage.bytes("a/f"))
    }

    @Test func whatLiesOnAMountInsideIsNotDeleted() throws {
        guard isRoot else { return skip("only root can mount") }
        let scene = try ApplyScene()
        let stage = scene.stage
        try stage.makeFolder("b/old/inside")
        guard try system("mount", "-t", "tmpfs", "tmpfs", stage.b + "/old/inside") != nil else {
            return skip("cannot mount a tmpfs here")
        }
        defer { _ = try? system("umount", "-l", stage.b + "/old/inside") }
        try stage.write("b/old/inside/precious", "on another file system")
        let planned = try scene.run("plan", stage.a, stage.b, "--authority", "a", "-o", "q")
        #expect(planned.status == 0, "\(planned.report)")
        let applied = try scene.run("apply", "q")
        #expect([0, 6].contains(applied.status), "\(applied.report)")
        #expect(stage.text("b/old/inside/precious") == "on another file system")
        #expect(stage.bytes("b/f") == stage.bytes("a/f"))
    }

    @Test func aReadOnlyDeviceIsRefused() throws {
        guard isRoot else { return skip("devices need root") }
        let stage = try Stage()
        try stage.write("i", noise(1 << 20))
        try stage.write("j", noise(1 << 20))
        try stage.patch("j", at: 70_000, [1, 2, 3])
        guard
            let loop = try system("losetup", "-r", "--find", "--show", stage.folder + "/j")?
                .trimmingCharacters(in: .whitespacesAndNewlines)
        else { return skip("loop devices cannot be made here") }
        defer { _ = try? system("losetup", "--detach", loop) }
        let planned = try stage.resync(
            ["plan", stage.folder + "/i", loop, "--authority", "a", "-o", "p"]).run()
        #expect(planned.status == 0, "\(planned.report)")
        let found = try stage.resync(["apply", "p"]).run()
        #expect(found.status == 5, "\(found.report)")
        #expect(found.errorText.contains("read-only"), "\(found.report)")
        #expect(found.errorText.split(separator: "\n").count <= 2, "\(found.report)")
    }

    @Test func aDamagedBaselineIsSaid() throws {
        let scene = try ApplyScene()
        try system("rsync", "-a", "--delete", scene.stage.a + "/", scene.stage.b + "/")
        #expect(try scene.stage.verify("--keep").status == 0)
        try scene.stage.write("a/g", "new")
        let folder = scene.stage.state + "/baselines"
        let name = try #require(try FileManager.default.contentsOfDirectory(atPath: folder).first)
        let file = URL(filePath: folder + "/" + name)
        let bytes = try Data(contentsOf: file)
        for at in [3, 60] {
            var damaged = bytes
            damaged[at] ^= 1
            try damaged.write(to: file)
            let found = try scene.run(
                "plan", scene.stage.a, scene.stage.b, "--authority", "baseline", "-o", "q")
            #expect(found.status == 2, "\(found.report)")
            #expect(found.errorText.contains("'baselines/\(name)'"), "\(found.report)")
            #expect(!scene.stage.exists("q"))
        }
        try FileManager.default.removeItem(at: file)
        #expect(try scene.stage.verify("--keep").status == 1)
        #expect(FileManager.default.fileExists(atPath: file.path))
    }
}

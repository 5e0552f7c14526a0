import Foundation
import Glibc
import TestSupport
import Testing

/// What a configuration says of a module beside its paths: what must succeed before it is released,
/// and what counts otherwise in its comparison.
@Suite struct ModuleRulesTests {
    /// Two equal stores, a pair of the configuration, as old as what was left alone for years.
    final class Scene {
        let scene: EpisodeStage
        var stage: Stage { scene.stage }

        init(_ module: String, more: String = "") throws {
            scene = try EpisodeStage()
            try stage.makeFolder("a/d")
            for name in ["f", "g", "h"] {
                try stage.write("a/d/\(name)", noise(9000, seed: UInt64(name.utf8.first ?? 1)))
            }
            try system("rm", "-rf", stage.b)
            try configure(module, more)
            try stage.copy()
            try age()
            // There is a ledger once there was an episode.
            try scene.close(try scene.open())
            usleep(1_200_000)
        }

        func configure(_ module: String, _ more: String = "") throws {
            try stage.write(
                "config.yaml",
                """
                pairs: [{name: mail, a: \(stage.a), b: \(stage.b), settle: 0s}]
                modules:
                  - {name: m, pair: mail, paths: [d], \(module)}
                \(more)

                """)
        }

        /// As if nobody had touched them for years, but for what the kernel keeps to itself.
        func age(_ paths: String...) throws {
            for path in paths.isEmpty ? [stage.a, stage.b] : paths.map({ stage.folder + "/" + $0 })
            {
                let script = "find \"$1\" -exec touch -h -d @1500000000 {} +"
                let done = try Command("/bin/sh", ["-c", script, "sh", path]).run()
                try #require(done.status == 0, "\(done.report)")
            }
            // What was written just before it is read is to be read again.
            usleep(2_200_000)
        }

        func run(_ words: String...) throws -> Finished {
            try stage.resync(words + ["--config", scene.config]).run()
        }

        func verify(_ more: String...) throws -> Finished {
            try stage.resync(["verify", "--module", "m", "--config", scene.config] + more).run()
        }
    }

    // MARK: Paths

    /// A name that was mistyped, or that both sides have lost, is nothing that agrees.
    @Test func aPathThatLiesNowhereKeepsAModuleShut() throws {
        let scene = try Scene("scope: full")
        try scene.stage.write(
            "config.yaml",
            """
            pairs: [{name: mail, a: \(scene.stage.a), b: \(scene.stage.b), settle: 0s}]
            modules: [{name: m, pair: mail, paths: [d, queues]}]

            """)
        let found = try scene.verify()
        #expect(found.status == 2, "\(found.report)")
        let line = "module m: UNDECIDED: nothing lies under 1 of its paths: 'queues'"
        #expect(found.text.contains(line), "\(found.report)")
        let night = try scene.run("nightly")
        #expect(night.status == 2, "\(night.report)")
        #expect(night.text.contains(line), "\(night.report)")
        for side in ["a", "b"] { try scene.stage.makeFolder("\(side)/queues") }
        try scene.age("a/queues", "b/queues")
        let mended = try scene.verify()
        #expect(mended.status == 0, "\(mended.report)")
        #expect(mended.text.contains("module m: released"), "\(mended.report)")
    }

    // MARK: What was proven before

    /// What was proven is not proven of more than was compared.
    @Test func onlyWhatIsNotProvenAsAskedIsCompared() throws {
        let scene = try Scene("scope: suspect")
        #expect(try scene.verify("--assurance", "media").status == 0)
        let calm = try scene.verify("--only", "unproven")
        #expect(calm.text.contains("4 proven before"), "\(calm.report)")
        let more = try scene.verify("--only", "unproven", "--with", "xattrs")
        #expect(more.status == 0 && !more.text.contains("proven before"), "\(more.report)")
    }

    // MARK: Checks

    @Test func aCheckMustSucceedBeforeAModuleIsReleased() throws {
        let scene = try Scene("check: /bin/true")
        let allowed = scene.stage.folder + "/allowed"
        try scene.configure(
            "check: \"test -e '\(allowed)' || { echo 'not\\tyet'; echo; exit 4; }\"")
        let failed = try scene.verify()
        #expect(failed.status == 2, "\(failed.report)")
        #expect(failed.text.contains("IN SYNC"), "\(failed.report)")
        #expect(
            failed.text.contains(#"module m: UNDECIDED: check failed: exit 4: not\x09yet"#),
            "\(failed.report)")
        let json = try scene.verify("--json")
        let module = try objects(json.lines).first { $0["type"] as? String == "module" }
        #expect(module?["answer"] as? String == "undecided", "\(json.report)")
        #expect(module?["check_exit"] as? Int == 4, "\(json.report)")
        try scene.stage.write("allowed", "x")
        let done = try scene.verify()
        #expect(done.status == 0, "\(done.report)")
        #expect(done.text.contains("module m: released"), "\(done.report)")
        // A program, not of the shell; and one that is not there.
        try scene.configure("check: [/bin/test, -e, '\(allowed)']")
        #expect(try scene.verify().text.contains("module m: released"))
        try scene.configure("check: [/nowhere/at/all]")
        let none = try scene.verify()
        #expect(
            none.text.contains("UNDECIDED: check failed: cannot be started: No such file"),
            "\(none.report)")
    }

    /// Only where all is proven: else it is not even asked.
    @Test func aCheckIsNotAskedAboutWhatDiffers() throws {
        let scene = try Scene("check: /bin/true")
        let asked = scene.stage.folder + "/asked"
        try scene.configure("check: \"touch '\(asked)'\"")
        try scene.stage.write("a/d/f", "other")
        let found = try scene.verify()
        #expect(found.status == 1 && found.text.contains("NOT RELEASED"), "\(found.report)")
        #expect(!scene.stage.exists("asked"))
        try system("cp", "-p", scene.stage.a + "/d/f", scene.stage.b + "/d/f")
        usleep(2_200_000)
        #expect(try scene.verify().status == 0)
        #expect(scene.stage.exists("asked"))
    }

    // MARK: External modules

    @Test func anExternalModuleIsReleasedByItsCheckAlone() throws {
        let scene = try Scene("check: /bin/true, kind: external")
        let allowed = scene.stage.folder + "/allowed"
        try scene.configure("check: \"test -e '\(allowed)'\", kind: external")
        try scene.stage.write("a/d/f", "what a live database has written")
        let failed = try scene.verify()
        #expect(failed.status == 2, "\(failed.report)")
        #expect(failed.text == "module m: UNDECIDED: check failed: exit 1\n", "\(failed.report)")
        try scene.stage.write("allowed", "x")
        let done = try scene.verify("--json")
        #expect(done.status == 0, "\(done.report)")
        let lines = try objects(done.lines)
        #expect(lines.first?["assurance"] as? String == "external", "\(done.report)")
        #expect(lines.first?["answer"] as? String == "released", "\(done.report)")
        #expect(lines.first?["check_exit"] as? Int == 0, "\(done.report)")
        #expect(lines.last?["type"] as? String == "summary", "\(done.report)")
        // Its paths are no part of its pair's comparison.
        let pair = try scene.run("verify", "mail")
        #expect(pair.status == 0, "\(pair.report)")
        #expect(pair.text.contains("2 entries: 2 same, 1 excluded"), "\(pair.report)")
        #expect(
            pair.text.contains(
                "module m: released by its check; its paths are not compared (external)"),
            "\(pair.report)")
    }

    /// A check before the episode was over counts for nothing.
    @Test func anExternalModulesGateOpensByACheckAfterTheEpisode() throws {
        let folder = try Stage()
        defer { withExtendedLifetime(folder) {} }
        try folder.write("a/file", noise(5000))
        let watch = try WatchStage(
            folder.a,
            modules: """
                modules:
                  - name: live
                    pair: mail
                    paths: [pg]
                    kind: external
                    check: "test -e \(folder.folder)/up"
                """
        ) { try system("cp", "-a", folder.a + "/.", $0.folder + "/other") }
        func run(_ words: String...) throws -> Finished {
            try watch.stage.resync(words + ["--config", watch.stage.folder + "/config.yaml"]).run()
        }
        func gate() throws -> Finished { try run("gate", "live") }
        try folder.write("up", "x")
        #expect(try run("verify", "--module", "live").status == 0)
        let opened = try run("episode", "open", "mail/b", "--note", "test")
        #expect(opened.status == 0, "\(opened.report)")
        #expect(try run("verify", "--module", "live").status == 0)
        var id: String?
        let isKept = try watch.within(10) {
            id = try watch.episodes().first { $0["closed"] == nil }?["episode"] as? String
            return id != nil
        }
        #expect(isKept, "\(watch.report)")
        let closed = try watch.stage.resync(["episode", "close", id ?? "", "--note", "x"]).run()
        #expect(closed.status == 0, "\(closed.report)")
        #expect(try gate().status == 1)
        usleep(1_200_000)
        try folder.remove("up")
        #expect(try run("verify", "--module", "live").status == 2)
        let failed = try gate()
        #expect(failed.status == 2, "\(failed.report)")
        #expect(failed.text.contains("live: check failed: exit 1 (its check)"), "\(failed.report)")
        try folder.write("up", "x")
        #expect(try run("verify", "--module", "live").status == 0)
        let open = try gate()
        #expect(open.status == 0 && open.text.contains(" by its check"), "\(open.report)")
        let status = try run("status")
        #expect(status.text.contains("  checked    "), "\(status.report)")
    }

    @Test func nothingIsPlannedOrAppliedInAnExternalModule() throws {
        let scene = try Scene("check: /bin/true, kind: external")
        let (stage, plan) = (scene.stage, scene.stage.folder + "/plan")
        try stage.write("a/d/f", "what a live database has written")
        try stage.write("a/file", "changed")
        try stage.makeFolder("b/d/below")
        // Of two stores everything is compared; what is external is left alone all the same.
        let found = try stage.verify()
        #expect(found.status == 1 && found.text.contains("d/f"), "\(found.report)")
        let made = try scene.run("plan", "last", "--authority", "a", "-o", plan)
        #expect(made.text.contains("3 left alone: of external modules"), "\(made.report)")
        let shown = try Command(Command.resync, ["plan", "show", plan]).run()
        #expect(shown.text.contains("* B file"), "\(shown.report)")
        #expect(shown.lines.count { $0.dropFirst().hasPrefix(" B ") } == 1, "\(shown.report)")
        let narrow = try scene.run(
            "plan", "last", "--authority", "a", "-o", plan, "--force", "--module", "m")
        #expect(narrow.status == 64, "\(narrow.report)")
        // One that knows nothing of it is not carried out.
        try stage.write("empty.yaml", "pairs: [{name: mail, a: \(stage.a), b: \(stage.b)}]\n")
        let blind = try stage.resync([
            "plan", "last", "--authority", "a", "-o", plan, "--force", "--config",
            stage.folder + "/empty.yaml",
        ]).run()
        #expect(blind.status == 0, "\(blind.report)")
        let refused = try scene.run("apply", plan)
        #expect(refused.status == 5, "\(refused.report)")
        #expect(refused.errorText.contains("is of the external module m"), "\(refused.report)")
        #expect(stage.bytes("b/file") == noise(9000))
        // All of the store is a module's, and it goes by another name.
        try system("ln", "-s", stage.folder, stage.folder + "/link")
        try stage.write(
            "config.yaml",
            """
            pairs: [{name: q, a: \(stage.folder)/link/a, b: \(stage.folder)/link/b}]
            modules: [{name: all, pair: q, paths: [.], check: /bin/true, kind: external}]

            """)
        let whole = try scene.run("apply", plan)
        #expect(whole.status == 5, "\(whole.report)")
        #expect(whole.errorText.contains("of the external module all"), "\(whole.report)")
    }

    @Test func aModuleNarrowsAPlan() throws {
        let scene = try Scene("scope: full")
        let (stage, plan) = (scene.stage, scene.stage.folder + "/plan")
        try stage.write("a/d/f", "what the service has written")
        try stage.write("a/file", "changed")
        #expect(try stage.verify().status == 1)
        func lines(_ module: String) throws -> [String] {
            let made = try scene.run(
                "plan", "last", "--authority", "a", "-o", plan, "--force", "--module", module)
            #expect(made.status == 0, "\(made.report)")
            let shown = try Command(Command.resync, ["plan", "show", plan]).run()
            return shown.lines.filter { $0.hasPrefix("* ") }.map { String($0.prefix(7)) }
        }
        #expect(try lines("m") == ["* B d/f"])
        func refused(_ module: String) throws -> String {
            let refused = try scene.run(
                "plan", "last", "--authority", "a", "-o", plan, "--force", "--module", module)
            #expect(refused.status == 64, "\(refused.report)")
            return refused.errorText
        }
        #expect(try refused("n").contains("has no module 'n'"))
        let config = stage.text("config.yaml")
        try stage.write(
            "config.yaml", config.replacingOccurrences(of: stage.b, with: "/elsewhere"))
        #expect(try refused("m").contains("is of other stores"))
    }

    // MARK: What may differ

    @Test func whatIsYoungerThanTheLagIsPending() throws {
        let scene = try Scene("lag: 1h")
        try scene.stage.write("a/d/f", "on its way")
        try scene.stage.write("b/d/new", "on its way")
        // It is as old as anything else by what was set, but not by what the kernel says.
        try scene.age("a/d/f")
        let found = try scene.verify("--json")
        #expect(found.status == 3, "\(found.report)")
        let lines = try objects(found.lines)
        let pending = lines.filter { $0["reason"] as? String == "pending: younger than the lag" }
        // The directory that holds the new one, too.
        #expect(pending.compactMap { $0["path"] as? String } == ["d", "d/f", "d/new"])
        #expect(pending.allSatisfy { $0["outcome"] as? String == "unstable" })
        #expect(lines.last?["unstable"] as? Int == 3, "\(found.report)")
        let module = lines.first { $0["type"] as? String == "module" }
        #expect(module?["answer"] as? String == "undecided", "\(found.report)")
        let text = try scene.verify()
        #expect(
            text.text.contains("module m: UNDECIDED: 3 pending: younger than the lag"),
            "\(text.report)")
        // By now it should have come.
        try scene.configure("lag: 1s")
        let late = try scene.verify()
        #expect(late.status == 1, "\(late.report)")
        #expect(late.text.contains("module m: NOT RELEASED: 3 different"), "\(late.report)")
    }

    private static let expected = """
        expect: [{path: /d/f, reason: a host name, until: 2999-12-31}, \
        {path: "d/*h", reason: x, until: 2999-12-31}]
        """

    @Test func whatMayDifferIsCountedAndKeepsNothingShut() throws {
        let scene = try Scene(Self.expected)
        let stage = scene.stage
        try stage.write("a/d/f", "host a")
        chmod(stage.b + "/d/h", 0o600)
        let found = try scene.verify("--combined", stage.folder + "/list")
        #expect(found.status == 0, "\(found.report)")
        for words in [
            "e d/f  size 6 on A, 9000 on B", "e d/h  mode", "2 expected to differ",
            "IN SYNC, but for what may differ",
            "module m: released, 2 entries, 8.79 KiB proven equal (full), 2 expected to differ",
        ] { #expect(found.text.contains(words), "\(words)\n\(found.report)") }
        #expect(stage.text("list") == "= d\ne d/f\n= d/g\ne d/h\n")
        let again = try scene.verify("--json")
        let lines = try objects(again.lines)
        #expect(lines.last?["expected"] as? Int == 2 && lines.last?["differs"] as? Int == 0)
        #expect(lines.filter { $0["outcome"] as? String == "expected" }.count == 2)
        let shown = try stage.runs("show", "last")
        #expect(shown.text.contains("2 expected to differ"), "\(shown.report)")
        let plan = try scene.run(
            "plan", "last", "--authority", "a", "-o", stage.folder + "/plan")
        #expect(plan.status == 0, "\(plan.report)")
        #expect(plan.text.contains("2 left alone: expected to differ"), "\(plan.report)")
        #expect(plan.text.contains("nothing to do"), "\(plan.report)")
        #expect(!plan.text.contains("left as they are"), "\(plan.report)")
        let night = try scene.run("nightly")
        #expect(night.status == 0 && night.text.isEmpty, "\(night.report)")
    }

    @Test func whatIsNotThereOrNoLongerExpectedCounts() throws {
        let scene = try Scene(Self.expected)
        try scene.stage.remove("b/d/f")
        let missing = try scene.verify()
        #expect(missing.status == 1, "\(missing.report)")
        #expect(
            missing.text.contains("NOT RELEASED: 2 different; 1 missing on B"), "\(missing.report)")
        try scene.stage.write("b/d/f", "host b")
        try scene.configure("expect: [{path: f, reason: 'for a while', until: 2020-02-29}]")
        let expired = "module 'm': that 'f' may differ has expired (for a while)"
        let found = try scene.verify()
        #expect(found.status == 1, "\(found.report)")
        #expect(found.errorText.contains(expired), "\(found.report)")
        let gate = try scene.run("gate", "m")
        #expect(gate.errorText.contains(expired), "\(gate.report)")
        let config = try Command(
            Command.resync, ["config", "check", "--config", scene.scene.config]
        ).run()
        #expect(config.status == 0 && config.errorText.contains(expired), "\(config.report)")
    }

    // MARK: What must not change

    /// Writes the same bytes on both sides, long ago.
    private func share(_ scene: Scene, _ path: String, _ bytes: [UInt8]) throws {
        for store in ["a", "b"] { try scene.stage.write("\(store)/\(path)", bytes) }
    }

    private func answer(_ scene: Scene, status: Int32) throws -> String {
        try scene.age()
        let found = try scene.verify()
        #expect(found.status == status && found.text.contains("IN SYNC"), "\(found.report)")
        return found.lines.last { $0.hasPrefix("module m: ") } ?? ""
    }

    @Test func whatIsImmutableStaysAsItWasProven() throws {
        let scene = try Scene("policy: immutable")
        #expect(try answer(scene, status: 0).contains("released, 4 entries"))
        let (old, new) = (noise(9000, seed: 102), noise(9000, seed: 9))
        #expect(scene.stage.bytes("a/d/f") == old)
        try share(scene, "d/f", new)
        try share(scene, "d/more", new)
        let broken = "module m: NOT RELEASED: 1 not what was proven, and must not change: 'd/f'"
        #expect(try answer(scene, status: 1).hasPrefix(broken))
        // It is not forgotten by having been seen, by day or night.
        #expect(try answer(scene, status: 1).hasPrefix(broken))
        let night = try scene.run("nightly")
        #expect(night.status == 1, "\(night.report)")
        #expect(
            night.text
                == "mail: module \(broken.dropFirst(7).replacing("NOT RELEASED: ", with: ""))\n")
        let gate = try scene.run("gate", "m", "--json")
        #expect(gate.text.contains("must not change"), "\(gate.report)")
        try share(scene, "d/f", old)
        #expect(try answer(scene, status: 0).contains("released, 5 entries"))
        // Whoever takes the policy away for once accepts what is there.
        try share(scene, "d/f", new)
        try scene.configure("scope: full")
        let accepted = try answer(scene, status: 0)
        #expect(accepted.contains("released"), "\(accepted)")
        try scene.configure("policy: immutable")
        let held = try answer(scene, status: 0)
        #expect(held.contains("released"), "\(held)")
        for store in ["a", "b"] {
            try scene.stage.remove("\(store)/d/f")
            try system("mkdir", "\(scene.stage.folder)/\(store)/d/f")
        }
        #expect(try answer(scene, status: 1).contains("1 no file any more, and must not change"))
    }

    /// With parts of blocks, whole ones, and several.
    @Test(arguments: [9000, 1 << 20, (1 << 20) + 5000])
    func whatIsAppendedToBeginsAsItDid(_ size: Int) throws {
        let scene = try Scene("policy: append-only")
        let bytes = noise(size + 5000, seed: 5)
        try share(scene, "d/f", Array(bytes[..<size]))
        #expect(try answer(scene, status: 0).contains("released, 4 entries"))
        try share(scene, "d/f", bytes)
        #expect(try answer(scene, status: 0).contains("released, 4 entries"))
        for at in [0, size + 4999] {
            var changed = bytes
            changed[at] ^= 1
            try share(scene, "d/f", changed + [1])
            #expect(
                try answer(scene, status: 1).hasPrefix(
                    "module m: NOT RELEASED: 1 not beginning as was proven, and may only grow: "
                        + "'d/f'"), "\(at)")
        }
        try share(scene, "d/f", Array(bytes[..<size]))
        #expect(
            try answer(scene, status: 1).hasPrefix(
                "module m: NOT RELEASED: 1 shorter than was proven, and may only grow: 'd/f'"))
        try share(scene, "d/f", bytes + [1])
        #expect(try answer(scene, status: 0).contains("released, 4 entries"))
        // Other digests would say nothing of what was proven.
        let other = try scene.verify("--block-size", "128KiB")
        #expect(other.status == 64, "\(other.report)")
    }
}

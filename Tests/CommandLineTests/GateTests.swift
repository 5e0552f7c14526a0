import Foundation
import Glibc
import TestSupport
import Testing

/// From an episode to the services' leave to run again: `verify --module`, and `gate`.
@Suite struct GateTests {
    @Test func aModuleOpensOnceItAndWhatItNeedsAreProven() throws {
        let scene = try GateScene()
        let calm = try scene.run("gate", "rec")
        #expect(calm.status == 0, "\(calm.report)")
        #expect(calm.text.contains("db: no episode was ever recorded"), "\(calm.report)")

        // What is proven before, or while it is open, counts for nothing.
        #expect(try scene.verify("rec").status == 0)
        try scene.episode {
            let open = try scene.run("gate", "rec")
            #expect(open.status == 2, "\(open.report)")
            #expect(open.text.contains("rec: mail/b has an open episode"), "\(open.report)")
            // Though all is well again by now: it is over only when that has held.
            let isBack = scene.watch.within(10) {
                scene.watch.watcher.outputSoFar.contains("mail/b  RECOVERING")
            }
            #expect(isBack, "\(scene.watch.report)")
            usleep(100_000)
            let doubtful = try scene.verify("rec")
            #expect(doubtful.status == 2, "\(doubtful.report)")
        }
        let closed = try scene.run("gate", "rec")
        #expect(closed.status == 1, "\(closed.report)")
        #expect(closed.text.contains("rec: not verified since the end of e"), "\(closed.report)")

        // One after the other; only with both proven it opens.
        usleep(1_200_000)
        let proven = try scene.verify("rec")
        #expect(proven.status == 0, "\(proven.report)")
        #expect(proven.text.contains("at media"), "\(proven.report)")
        #expect(
            proven.text.contains("module rec: released, 4 entries, 26.4 KiB proven equal (full)"),
            "\(proven.report)")
        let half = try scene.run("gate", "rec", "--json")
        #expect(half.status == 1, "\(half.report)")
        let line = try #require(try objects(half.lines).last)
        #expect(line["answer"] as? String == "shut", "\(half.report)")
        #expect((line["reasons"] as? [String])?.count == 2, "\(half.report)")
        #expect(try scene.verify("db").status == 0)
        #expect(try scene.gate("rec") == 0)
        #expect(try scene.gate("log") == 1)

        try whatIsAnotherModuleByNowIsNotProven(scene)

        // Its service may write; a difference that is found shuts it, until it is put right.
        try scene.folder.write("a/rec/f1", "written since")
        #expect(try scene.gate("rec") == 0)
        let differs = try scene.verify("rec")
        #expect(differs.status == 1, "\(differs.report)")
        #expect(differs.text.contains("module rec: NOT RELEASED: 1 different"), "\(differs.report)")
        let shut = try scene.run("gate", "rec")
        #expect(shut.status == 1, "\(shut.report)")
        #expect(shut.text.contains("rec: 1 different"), "\(shut.report)")
        try expectPlan(from: shut, in: scene)
        try system("cp", "-p", scene.folder.a + "/rec/f1", scene.b + "/rec/f1")
        usleep(2_500_000)
        #expect(try scene.verify("rec").status == 0)
        #expect(try scene.gate("rec") == 0)
        try withNobodyWatchingNobodyKnows(scene)
    }

    /// A plan is made from the run that a gate's answer names.
    private func expectPlan(from answer: Finished, in scene: GateScene) throws {
        let run = try #require(answer.text.firstMatch(of: /\(run ([^ )]+)\)/)).1
        let plan = try scene.watch.stage.resync([
            "plan", String(run), "--authority", "a", "-o", scene.watch.stage.folder + "/plan",
        ]).run()
        #expect(plan.status == 0 && plan.text.contains("replaced"), "\(plan.report)")
    }

    private func withNobodyWatchingNobodyKnows(_ scene: GateScene) throws {
        scene.watch.watcher.signal(SIGKILL)
        _ = try scene.watch.watcher.wait()
        let alone = try scene.run("gate", "rec")
        #expect(alone.status == 2, "\(alone.report)")
        #expect(alone.text.contains("mail/b is watched by nobody"), "\(alone.report)")
    }

    /// Whatever its name is.
    private func whatIsAnotherModuleByNowIsNotProven(_ scene: GateScene) throws {
        let config = scene.watch.stage.text("config.yaml")
        for (old, new) in [
            ("paths: [rec]", "paths: [rec, more]"), ("[db]}", "[db], scope: suspect}"),
            ("b: \(scene.b)", "b: \(scene.b)/rec"),
        ] {
            try scene.watch.stage.write("config.yaml", config.replacing(old, with: new))
            let other = try scene.run("gate", "rec")
            #expect(other.status != 0, "\(old) \(other.report)")
        }
        try scene.watch.stage.write("config.yaml", config)
        #expect(try scene.gate("rec") == 0)
    }

    /// After failed write-back the cache looks right: it opens nothing.
    @Test func onlyTheMediumOpensIt() throws {
        let scene = try GateScene()
        try scene.episode()
        for module in ["log", "db"] {
            let cached = try scene.verify(module, "--assurance", "hash")
            #expect(cached.status == 2, "\(cached.report)")
            #expect(
                cached.text.contains(
                    "module \(module): UNDECIDED: 4 not read from the medium since an episode"),
                "\(cached.report)")
            let gate = try scene.run("gate", module)
            #expect(gate.status == 2, "\(gate.report)")
        }
        for module in ["log", "db"] {
            #expect(try scene.verify(module, "--assurance", "media").status == 0)
            #expect(try scene.gate(module) == 0)
        }
    }

    @Test func aWholePairReleasesAllOfItsModules() throws {
        let scene = try GateScene()
        try scene.episode("lost-write")
        try scene.folder.write("a/log/f0", "edited")
        let found = try scene.run("verify", "mail")
        #expect(found.status == 2, "\(found.report)")
        for line in [
            "module rec: released, 4 entries", "module db: released, 4 entries",
            "module log: NOT RELEASED: 1 different",
            "module nothing: UNDECIDED: nothing lies under its paths",
        ] {
            #expect(found.text.contains(line), "\(line)\n\(found.report)")
        }
        #expect(try scene.gate("rec") == 0)
        #expect(try scene.gate("log") == 1)
        #expect(try scene.gate("nothing") == 2)
        // As JSON, the summary is still the last line.
        let json = try scene.run("verify", "mail", "--json")
        let lines = try objects(json.lines)
        #expect(lines.last?["type"] as? String == "summary", "\(json.report)")
        #expect(lines.filter { $0["type"] as? String == "module" }.count == 4, "\(json.report)")
    }

    /// A person may open it for a time, also where nothing is known.
    @Test func aPersonOpensIt() throws {
        let scene = try EpisodeStage()
        try scene.stage.write(
            "config.yaml",
            """
            pairs: [{name: mail, a: \(scene.stage.a), b: \(scene.stage.b)}]
            modules:
              - {name: m, pair: mail, paths: [file]}
              - {name: n, pair: mail, paths: [other]}

            """)
        func gate(_ words: String...) throws -> Finished {
            try scene.stage.resync(["gate"] + words + ["--config", scene.config]).run()
        }
        let unknown = try gate("m")
        #expect(unknown.status == 2, "\(unknown.report)")
        #expect(unknown.text.contains("there is no ledger here"), "\(unknown.report)")
        for words in [["--override"], ["--for", "1h"], ["--reason", "x"]] {
            let refused = try scene.stage.resync(["gate", "m", "--config", scene.config] + words)
                .run()
            #expect(refused.status == 64, "\(refused.report)")
        }
        for length in ["0s", "8d"] {
            let refused = try gate("m", "--override", "--reason", "x", "--for", length)
            #expect(refused.status == 64, "\(refused.report)")
        }
        let opened = try gate("m", "--override", "--reason", "a\nb \u{1b}[2J", "--for", "3s")
        #expect(opened.status == 0, "\(opened.report)")
        let still = try gate("m")
        #expect(still.status == 0, "\(still.report)")
        #expect(still.text.contains(#": a\x0ab \x1b[2J"#), "\(still.report)")
        #expect(try gate("n").status == 2)
        usleep(3_200_000)
        #expect(try gate("m").status == 2)
        let other = try gate("nobody")
        #expect(other.status == 64, "\(other.report)")
        #expect(other.errorText.contains("has no module 'nobody'"), "\(other.report)")
        // What combines with the blank before it is a reason like any other.
        let combining = try gate("m", "--override", "--reason", "\u{301}x", "--for", "2s")
        #expect(combining.status == 0, "\(combining.report)")
        #expect(try gate("m").status == 0)
        // What is damaged opens nothing.
        usleep(2_200_000)
        try scene.stage.write("state/overrides", "1 99999999999\n")
        let damaged = try gate("m")
        #expect(damaged.status == 2, "\(damaged.report)")
    }

    // MARK: By itself

    /// After an episode the modules are verified in their order, and those are told who wait for
    /// them; what differs waits for a person.
    @Test func anEpisodeIsVerifiedByItself() throws {
        let told = try Stage()
        let script = told.folder + "/tell"
        try told.write("tell", "#!/bin/sh\ncat >>'\(told.folder)/told'\n")
        chmod(script, 0o755)
        let scene = try GateScene(verifies: true, notify: script)
        try scene.folder.write("a/log/f0", "edited on one side")
        func events() throws -> [[String: Any]] {
            guard told.exists("told") else { return [] }
            return try objects(told.text("told").split(separator: "\n").map(String.init))
                .filter { $0["type"] as? String == "gate" }
        }
        // Before a watcher ran nobody knew; from now on they may run.
        let areOpen = try scene.watch.within(30) { try events().count == 4 }
        #expect(areOpen, "\(scene.watch.report)")
        try scene.episode()
        // At once, and not only when it is looked again some time later.
        let begins = scene.watch.within(4) {
            scene.watch.watcher.outputSoFar.contains("  VERIFY   ")
        }
        #expect(begins, "\(scene.watch.report)")
        func verified() -> [String] {
            let lines = scene.watch.watcher.outputSoFar.split(separator: "\n").map(String.init)
            return lines.filter { $0.contains("  mail  VERIF") }.map { line in
                line.split(separator: " ").drop { !$0.hasPrefix("VERIF") }.prefix(2)
                    .joined(separator: " ").trimmingCharacters(in: [",", ":"])
            }
        }
        let isDone = try scene.watch.within(60) {
            try scene.gate("rec") == 0 && scene.gate("log") == 1
                && scene.run("gate", "log").text.contains("1 different") && verified().count >= 8
        }
        #expect(isDone, "\(scene.watch.report)")
        // What lies nowhere stays undecided, and is not tried again at once.
        usleep(4_000_000)
        let verified = verified()
        #expect(verified.count == 8, "\(scene.watch.report)")
        let db = verified.firstIndex(of: "VERIFIED db") ?? 9
        #expect(db < verified.firstIndex(of: "VERIFY rec") ?? -1, "\(verified)")
        // The waiting services are told, each once of its opening and of its withdrawal.
        let all = try events()
        func modules(_ event: String) -> [String] {
            all.filter { $0["event"] as? String == event }
                .compactMap { $0["module"] as? String }.sorted()
        }
        #expect(modules("released") == ["db", "db", "log", "nothing", "rec", "rec"], "\(all)")
        #expect(modules("withdrawn") == ["db", "log", "nothing", "rec"], "\(all)")
        // What differs waits for a person, who is told of it.
        let differing = try objects(told.text("told").split(separator: "\n").map(String.init))
            .filter { $0["event"] as? String == "differs" }
        #expect(differing.compactMap { $0["module"] as? String } == ["log"], "\(differing)")
        // It never writes to a store: repair is a person's.
        #expect(scene.folder.text("a/log/f0") == "edited on one side")
    }

    /// A recurrence ends what is under way; afterwards it begins anew.
    @Test func aRecurrenceEndsAVerification() throws {
        let scene = try GateScene(verifies: true, readLimit: "4KiB/s")
        // What a person found before is not what the ended one found.
        let before = try scene.run("verify", "mail", "--read-limit", "1MiB/s")
        #expect(before.text.contains("module db: released"), "\(before.report)")
        try scene.episode()
        func has(_ text: String, times: Int = 1) -> Bool {
            scene.watch.watcher.outputSoFar.components(separatedBy: text).count > times
        }
        #expect(scene.watch.within(20) { has("LOOK     ") }, "\(scene.watch.report)")
        // Nobody else reads either store unasked meanwhile.
        let turns = scene.watch.stage.state + "/turns"
        let names = try system("ls", turns) ?? ""
        #expect(names.split(separator: "\n").count == 2)
        for name in names.split(separator: "\n") {
            #expect(try system("flock", "-n", "\(turns)/\(name)", "true") == nil)
        }
        try scene.episode {
            #expect(scene.watch.within(10) { has("STOPPED  verifying") }, "\(scene.watch.report)")
            #expect(scene.watch.within(10) { has("LOOKED   ") }, "\(scene.watch.report)")
            // It may have begun to compare by then, or not yet.
            let isUndecided = has(": it did not come to its end") || has(": NOT VERIFIED")
            #expect(isUndecided, "\(scene.watch.report)")
        }
        #expect(scene.watch.within(20) { has("LOOK     ", times: 2) }, "\(scene.watch.report)")
        #expect(try scene.gate("db") == 1)
    }

    /// What is another module by now, for whoever reads the configuration anew, keeps nobody from
    /// his turn.
    @Test func aConfigurationThatChangedIsToldOf() throws {
        let scene = try GateScene(verifies: true)
        let path = scene.watch.stage.folder + "/config.yaml"
        try system("sed", "-i", "s/paths: .db.}/paths: [db, log2]}/", path)
        try scene.folder.makeFolder("a/log2")
        try scene.episode()
        let hasEnded = scene.watch.within(40) {
            scene.watch.watcher.outputSoFar.contains("  LOOKED   the rest")
        }
        #expect(hasEnded, "\(scene.watch.report)")
        let lines = scene.watch.watcher.outputSoFar.split(separator: "\n")
        #expect(lines.count { $0.contains("  VERIFY   db") } == 1, "\(scene.watch.report)")
        #expect(
            scene.watch.watcher.errorsSoFar.contains("start the watcher again"),
            "\(scene.watch.report)")
    }

    /// What fails at once is not started over and over.
    @Test func whatDoesNotComeToItsEndIsTriedLater() throws {
        let scene = try GateScene(verifies: true)
        try scene.episode { try scene.watch.stage.remove("config.yaml") }
        let hasEnded = scene.watch.within(30) {
            scene.watch.watcher.outputSoFar.components(separatedBy: "VERIFIED").count > 4
        }
        #expect(hasEnded, "\(scene.watch.report)")
        usleep(4_000_000)
        let lines = scene.watch.watcher.outputSoFar.split(separator: "\n")
        let begun = lines.filter { $0.contains("  VERIFY   ") }
        #expect(begun.count == 4, "\(scene.watch.report)")
        // And it was looked at first, once, and at the rest in the end.
        let ended = lines.filter { $0.contains(": it did not come to its end") }
        #expect(ended.count == 6, "\(scene.watch.report)")
    }

    /// What is shipped for systemd does what it says, as far as it can be run without it.
    @Test func aReleasedModulesUnitIsStarted() throws {
        let stage = try Stage()
        try stage.write("systemctl", "#!/bin/sh\necho \"$*\" >>'\(stage.folder)/started'\n")
        chmod(stage.folder + "/systemctl", 0o755)
        let script = Command.project + "/Sources/resync/Documentation/notify-start"
        func tell(_ line: String) throws {
            try stage.write("line", line + "\n")
            let done = try Command(
                "/bin/sh",
                [
                    "-c",
                    """
                    PATH="$1:$PATH" "$2" mail=a.service mail2='b c.service' <"$1/line"
                    """, "sh", stage.folder, script,
                ]
            ).run()
            #expect(done.status == 0, "\(done.report)")
        }
        try tell(#"{"type":"gate","module":"mail","answer":"shut","event":"withdrawn"}"#)
        try tell(#"{"type":"episode","event":"opened"}"#)
        #expect(!stage.exists("started"))
        try tell(#"{"type":"gate","module":"mail2","answer":"open","event":"released"}"#)
        #expect(stage.text("started") == "start --no-block -- b c.service\n")
        let dropIn = try String(
            contentsOfFile: Command.project + "/Sources/resync/Documentation/resync-gate.conf",
            encoding: .utf8)
        #expect(
            dropIn.hasSuffix(
                "\n[Service]\nExecCondition=+/usr/local/bin/resync gate mailboxes\n"))
        guard let analyze = Command.find("systemd-analyze") else {
            return skip("systemd-analyze is not installed")
        }
        try stage.makeFolder("d.service.d")
        try stage.write("d.service", "[Service]\nExecStart=/bin/true\n")
        func installed(_ text: String) -> String {
            text.replacing("/usr/local/bin/resync", with: "/bin/true")
        }
        try stage.write("d.service.d/resync-gate.conf", installed(dropIn))
        for unit in ["resync-nightly.service", "resync-nightly.timer"] {
            let text = try String(
                contentsOfFile: Command.project + "/Sources/resync/Documentation/" + unit,
                encoding: .utf8)
            try stage.write(unit, installed(text))
        }
        let names = ["d.service", "resync-nightly.service", "resync-nightly.timer"]
        let checked = try Command(
            analyze, ["verify", "--man=no"] + names.map { stage.folder + "/" + $0 }
        ).run()
        #expect(checked.status == 0 && checked.errorText.isEmpty, "\(checked.report)")
    }

    @Test func whatVerifyIsAboutIsSaidInOneWay() throws {
        let scene = try GateScene()
        for words in [["verify"], ["verify", "nobody"], ["verify", "--module", "nobody"]] {
            let refused = try scene.watch.stage.resync(
                words + ["--config", scene.watch.stage.folder + "/config.yaml"]
            ).run()
            #expect(refused.status == 64, "\(refused.report)")
        }
        let both = try scene.run("verify", scene.folder.a, scene.b, "--module", "rec")
        #expect(both.status == 64, "\(both.report)")
    }
}

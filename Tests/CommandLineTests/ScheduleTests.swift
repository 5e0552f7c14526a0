import Foundation
import Glibc
import TestSupport
import Testing

/// In which order modules are best verified: `resync schedule`.
@Suite struct ScheduleTests {
    /// Pairs of two equal stores, and modules of one file each, with nobody watching.
    private struct Scene {
        let stage: Stage
        let config: String

        /// - Parameters:
        ///   - files: how many bytes each module's file has, pair by pair.
        ///   - modules: what the configuration says of modules, as a list in YAML.
        ///   - more: of each pair, behind its stores.
        init(_ files: [String: [String: Int]], modules: String, more: String = "") throws {
            stage = try Stage()
            var pairs = "pairs:\n"
            for (pair, modules) in files.sorted(by: { $0.key < $1.key }) {
                try stage.makeFolder(pair)
                try stage.makeFolder("\(pair)/a")
                for (module, size) in modules {
                    try stage.makeFolder("\(pair)/a/\(module)")
                    try stage.write("\(pair)/a/\(module)/file", noise(size))
                }
                let folder = "\(stage.folder)/\(pair)"
                try system("cp", "-a", "\(folder)/a", "\(folder)/b")
                pairs += "  - {name: \(pair), a: \(folder)/a, b: \(folder)/b\(more)}\n"
            }
            config = stage.folder + "/config.yaml"
            try stage.write("config.yaml", pairs + "modules:\n" + modules + "\n")
        }

        func run(_ words: String...) throws -> Finished { try command(words).run() }

        func command(_ words: [String], zone: String? = nil) -> Command {
            var command = stage.resync(words + ["--config", config])
            if let zone {
                command.arguments =
                    [Array("TZ=\(zone)".utf8), Array(command.program.utf8)] + command.arguments
                command.program = "/usr/bin/env"
            }
            return command
        }

        /// Has the ledger know an episode that was over long ago.
        func episode(
            _ store: String, from: String = "2026-01-15 17:50", to: String = "2026-01-15 19:15",
            zone: String = "UTC"
        ) throws {
            let done = try command(
                ["episode", "open", store, "--note", "test", "--from", from, "--to", to],
                zone: zone
            ).run()
            try #require(done.status == 0, "\(done.report)")
        }

        /// The lines of a schedule as JSON; the last one is the summary.
        func schedule(_ words: String..., zone: String? = nil) throws -> [[String: Any]] {
            let found = try command(["schedule", "--json"] + words, zone: zone).run()
            try #require(found.status == 0, "\(found.report)")
            let lines = try objects(found.lines)
            try #require(lines.last?["type"] as? String == "summary", "\(found.report)")
            return lines
        }
    }

    private func modules(_ lines: [[String: Any]], _ pair: String? = nil) -> [[String: Any]] {
        lines.filter {
            $0["type"] as? String == "module" && (pair == nil || $0["pair"] as? String == pair)
        }
    }

    private func names(_ lines: [[String: Any]], _ pair: String? = nil) -> [String] {
        modules(lines, pair).compactMap { $0["module"] as? String }
    }

    private func numbers(_ lines: [[String: Any]], _ field: String) -> [Double] {
        lines.compactMap { ($0[field] as? NSNumber)?.doubleValue }
    }

    private func seconds(_ value: Any?) throws -> Double {
        let text = try #require(value as? String)
        return try #require(ISO8601DateFormatter().date(from: text)).timeIntervalSince1970
    }

    @Test func whatIsNeededComesEarlyForWhatNeedsIt() throws {
        let scene = try Scene(
            ["mail": ["log": 4000, "rec": 1000, "db": 8000]],
            modules: """
                  - {name: log, pair: mail, paths: [log], weight: 2}
                  - {name: rec, pair: mail, paths: [rec], weight: 10, after: [db, db]}
                  - {name: db, pair: mail, paths: [db]}
                """)
        try scene.episode("mail/a")
        let verified = try scene.run("verify", "mail")
        #expect(verified.text.contains("module db: "), "\(verified.report)")

        // By hand: 1 × 8 s + 10 × 9 s + 2 × 13 s; log first would make 2 × 4 + 1 × 12 + 10 × 13.
        let lines = try scene.schedule("--read-limit", "1000/s")
        let found = modules(lines)
        #expect(names(lines) == ["db", "rec", "log"])
        #expect(numbers(found, "number") == [1, 2, 3])
        #expect(numbers(found, "seconds") == [8, 1, 4])
        #expect(numbers(found, "bytes") == [8000, 1000, 4000])
        #expect(numbers(found, "entries") == [2, 2, 2])
        #expect(found.map { $0["size_known"] as? Bool } == [true, true, true])
        #expect(found.map { $0["after"] as? [String] } == [[], ["db"], []])
        #expect(
            found.map { $0["reason"] as? String } == [
                "needed by rec", "largest weight for its time", "nothing else is left",
            ])
        let result = try #require(lines.first { $0["type"] as? String == "schedule" })
        #expect(numbers([result], "weighted_seconds") == [124])
        #expect(numbers([result], "bound") == [1])
        #expect(result["least"] as? Bool == true)
        #expect(result["rate_from"] as? String == "option")

        let text = try scene.run("schedule", "--read-limit", "1000/s")
        for part in [
            "pair mail: 3 of 3 modules wait, each side read at 1000 B/s\n",
            "  1  db   UNDECIDED  7.81 KiB  2 entries  8.00 s   weight 1.0  needed by rec\n",
            "  2  rec  UNDECIDED  1000 B    2 entries  1.00 s  weight 10.0  largest",
            "\n       after db\n", "mail/a is watched by nobody",
            "weighted reopening time 9.54 s on average; proven the least\n",
        ] {
            let squeezed = { (text: String) in text.split(separator: " ").joined(separator: " ") }
            #expect(squeezed(text.text).contains(squeezed(part)), "\(part)\n\(text.report)")
        }
        #expect(!text.lines.contains { $0.hasSuffix(" ") }, "\(text.report)")
    }

    @Test func theRateIsTheOptionsOrThePairsOrAssumed() throws {
        let module = "  - {name: m, pair: p, paths: [m]}"
        let limited = try Scene(
            ["p": ["m": 10]], modules: module, more: ", read-limit: 2MiB/s")
        let free = try Scene(["p": ["m": 10]], modules: module)
        func rate(_ scene: Scene, _ words: String...) throws -> (Double?, String?) {
            let found = try scene.command(["schedule", "--json"] + words).run()
            let line = try objects(found.lines).first { $0["type"] as? String == "schedule" } ?? [:]
            return (numbers([line], "rate").first, line["rate_from"] as? String)
        }
        #expect(try rate(limited) == (2_097_152, "pair"))
        #expect(try rate(limited, "--read-limit", "3K") == (3072, "option"))
        #expect(try rate(free) == (104_857_600, "assumed"))
        let said = try free.run("schedule")
        #expect(said.text.contains("100.0 MiB/s, which is assumed"), "\(said.report)")
        for word in ["0", "fast", "-1"] {
            let refused = try free.run("schedule", "--read-limit=\(word)")
            #expect(refused.status == 64, "\(refused.report)")
        }
        // The slowest there is still makes a number.
        let slow = try free.run("schedule", "--read-limit", "1B")
        #expect(slow.status == 0, "\(slow.report)")
    }

    @Test func whatIsNotKnownIsMarked() throws {
        let scene = try Scene(
            ["p": ["x": 1000, "y": 3000, "z": 5]],
            modules: """
                  - {name: x, pair: p, paths: [x]}
                  - {name: y, pair: p, paths: [y]}
                  - {name: z, pair: p, paths: [z], weight: 3, after: [x]}
                """)
        // Without a ledger the weights and what needs what still tell an order.
        let blind = try scene.run("schedule")
        #expect(blind.status == 0, "\(blind.report)")
        let said = blind.text.components(separatedBy: "there is no ledger here").count - 1
        #expect(said == 1, "\(blind.report)")
        #expect(blind.lines.count { $0.contains("1.00 GiB?  ? entries") } == 3, "\(blind.report)")
        let lines = try scene.schedule()
        #expect(names(lines) == ["x", "z", "y"])
        #expect(modules(lines).allSatisfy { $0["entries"] == nil })
        #expect(modules(lines).allSatisfy { $0["size_known"] as? Bool == false })
        #expect(!scene.stage.exists("state/ledger.sqlite"))

        // Then it is what the others have on average.
        try scene.episode("p/b")
        for module in ["x", "y"] { _ = try scene.run("verify", "--module", module) }
        let known = modules(try scene.schedule())
        #expect(known.map { $0["module"] as? String } == ["x", "z", "y"])
        #expect(numbers(known, "bytes") == [1000, 2000, 3000])
        #expect(known.map { $0["size_known"] as? Bool } == [true, false, true])
    }

    /// Sparse files can be larger together than any number tells.
    @Test func whatIsLargerThanAnythingIsStillOrdered() throws {
        guard Command.find("sqlite3") != nil else { return skip("sqlite3 is not installed") }
        let scene = try Scene(
            ["o": [:], "p": [:]],
            modules: """
                  - {name: bad, pair: o, paths: [bad]}
                  - {name: x, pair: p, paths: [x]}
                  - {name: y, pair: p, paths: [y]}
                  - {name: z, pair: p, paths: [z]}
                """)
        try scene.episode("p/a")
        for (module, bytes) in [("x", Int.max), ("y", .max), ("bad", -5)] {
            let row =
                "'\(module)', 1, '', 'p', 'r', 1, 'released', 'full', '', 3, \(bytes), NULL, "
                + "'', NULL"
            let found = try sqlite(
                scene.stage.state + "/ledger.sqlite", "INSERT INTO standing VALUES (\(row))")
            #expect(found?.status == 0, "\(found?.report ?? "")")
        }
        let lines = modules(try scene.schedule("--simulate", "--read-limit", "1B"))
        #expect(lines.map { $0["module"] as? String } == ["bad", "x", "y", "z"])
        #expect(numbers(lines, "released_after_s") == [0, 1e12, 2e12, 3e12])
        let text = try scene.run("schedule", "--simulate", "--read-limit", "1B")
        #expect(text.status == 0, "\(text.report)")
    }

    /// A module opens only when those it needs have, in whichever pair they lie.
    @Test func simulatedTimesAddUp() throws {
        let scene = try Scene(
            ["p": ["x": 8000, "w": 2000], "q": ["y": 1000, "z": 500, "v": 4000]],
            modules: """
                  - {name: x, pair: p, paths: [x]}
                  - {name: w, pair: p, paths: [w], weight: 0.1, after: [y]}
                  - {name: y, pair: q, paths: [y], weight: 9, after: [x]}
                  - {name: z, pair: q, paths: [z], after: [y]}
                  - {name: v, pair: q, paths: [v], weight: 0.5}
                """)
        try scene.episode("p/a")
        for pair in ["p", "q"] { _ = try scene.run("verify", pair) }
        let before = Date.now.timeIntervalSince1970
        let lines = try scene.schedule("--simulate", "--read-limit", "1000/s")
        #expect(names(lines, "p") == ["x", "w"])
        #expect(names(lines, "q") == ["y", "z", "v"])
        for pair in ["p", "q"] {
            var sum = 0.0
            for module in modules(lines, pair) {
                sum += try #require(numbers([module], "seconds").first)
                #expect(numbers([module], "verified_after_s") == [sum])
            }
        }
        let released = Dictionary(
            uniqueKeysWithValues: modules(lines).map {
                ($0["module"] as? String ?? "?", numbers([$0], "released_after_s").first)
            })
        #expect(released == ["x": 8, "w": 10, "y": 8, "z": 8, "v": 5.5])
        for module in modules(lines) {
            let after = try #require(numbers([module], "released_after_s").first)
            let begun = try seconds(module["released"]) - after
            #expect(begun >= before - 1 && begun < before + 60, "\(module)")
        }
        let waits = modules(lines).compactMap { $0["waits_for"] as? [[String: String]] }
        #expect(
            waits == [
                [], [["module": "y", "pair": "q"]], [["module": "x", "pair": "p"]], [], [],
            ])

        // One pair alone still waits for the other one.
        let alone = try scene.schedule("q", "--simulate", "--read-limit", "1000/s")
        #expect(names(alone) == ["y", "z", "v"])
        #expect(numbers(modules(alone), "released_after_s") == [8, 8, 5.5])
        let text = try scene.run("schedule", "q", "--simulate", "--read-limit", "1000/s")
        #expect(text.text.contains("waits for x of p"), "\(text.report)")
        #expect(text.text.contains(", after 8.00 s\n"), "\(text.report)")
        #expect(text.text.contains("proven the least, other pairs aside"), "\(text.report)")
        #expect(!text.text.contains("pair p"), "\(text.report)")
    }

    @Test func whatIsNotThereIsSaid() throws {
        let scene = try Scene(
            ["p": ["x": 1], "empty": [:]], modules: "  - {name: x, pair: p, paths: [x]}")
        let unknown = try scene.run("schedule", "nobody\u{1b}[2J")
        #expect(unknown.status == 64, "\(unknown.report)")
        #expect(unknown.errorText.contains(#"no pair 'nobody\x1b[2J'"#), "\(unknown.report)")
        let empty = try scene.run("schedule", "empty")
        #expect(empty.status == 0, "\(empty.report)")
        #expect(empty.text == "no modules of pair empty are configured\n", "\(empty.report)")
        let all = try scene.run("schedule")
        #expect(!all.text.contains("empty"), "\(all.report)")

        let circle = try Scene(
            ["p": [:]],
            modules: """
                  - {name: x, pair: p, paths: [x], after: [y]}
                  - {name: y, pair: p, paths: [y], after: [x]}
                """)
        let refused = try circle.run("schedule", "--json")
        #expect(refused.status == 64, "\(refused.report)")
        #expect(refused.errorText.contains("modules wait for each other"), "\(refused.report)")
        #expect(try objects(refused.lines).last?["exit_status"] as? Int == 64)

        let none = try Scene(["p": [:]], modules: "  []")
        let nothing = try none.run("schedule")
        #expect(nothing.status == 0, "\(nothing.report)")
        #expect(nothing.text == "no modules are configured\n", "\(nothing.report)")
        #expect(try none.schedule().count == 1)
    }

    /// The days are those of the suspect window, by the calendar of this machine.
    @Test func hotPathsAreThoseOfTheDaysInQuestion() throws {
        let scene = try Scene(
            ["p": ["x": 1]],
            modules: #"""
                  - name: x
                    pair: p
                    paths: [x]
                    hot: ["x/%Y/%m/%d", "x/a b/é\u202e\e[2J/%d", x/always]
                  - {name: y, pair: p, paths: [y], hot: [y/%H/%d]}
                """#)
        func hot(_ module: String, _ zone: String) throws -> [String] {
            let line = modules(try scene.schedule(zone: zone))
                .first { $0["module"] as? String == module }
            let paths = try #require(line?["hot"] as? [[String: String]])
            return paths.map { $0["path"] ?? "?" }
        }
        // Nobody knows of any trouble yet.
        #expect(try hot("x", "UTC") == ["x/always"])
        #expect(try hot("y", "UTC").isEmpty)
        let calm = try scene.run("schedule")
        #expect(calm.text.contains("no hot paths: no suspect window is known"), "\(calm.report)")

        // An older incident does not count, an episode of the same one does.
        try scene.episode("p/a", from: "2026-01-01 10:00", to: "2026-01-01 11:00")
        try scene.episode("p/b", from: "2026-02-27 22:30", to: "2026-02-27 23:00")
        try scene.episode("p/b", from: "2026-02-28 20:30", to: "2026-02-28 23:30")
        #expect(
            try hot("x", "UTC").filter { $0.contains("2026") } == [
                "x/2026/02/27", "x/2026/02/28",
            ])
        #expect(
            try hot("x", "Europe/Rome").filter { $0.contains("2026") } == [
                "x/2026/02/27", "x/2026/02/28", "x/2026/03/01",
            ])
        #expect(try hot("y", "Asia/Tokyo").count == 24 * 2)
        #expect(
            try hot("x", "UTC").filter { $0.contains("a b") } == [
                "x/a b/é\u{202e}\u{1b}[2J/27", "x/a b/é\u{202e}\u{1b}[2J/28",
            ])
        let text = try scene.command(["schedule"], zone: "Europe/Rome").run()
        #expect(
            text.text.contains("7 hot paths: x/2026/02/27, x/2026/02/28, x/2026/03/01 and 4 more"),
            "\(text.report)")
        #expect(!text.text.contains("\u{202e}") && !text.text.contains("\u{1b}"))
        #expect(text.text.contains("72 hot paths: y/00/01, y/00/27, y/00/28 and 69 more"))

        // An incident of years is more than anybody wants to have listed.
        try scene.episode("p/b", from: "2019-01-01 10:00", to: "2026-03-01 00:30")
        let long = try scene.run("schedule")
        #expect(long.status == 0, "\(long.report)")
        #expect(
            long.text.contains("no hot paths: the suspect window has more than 1,000 days"),
            "\(long.report)")
    }

    @Test func hotNamesAreEscaped() throws {
        let scene = try Scene(
            ["p": ["x": 1]],
            modules: #"""
                  - {name: x, pair: p, paths: [x], hot: ["a b/é\u202e\e[2J\n/x"]}
                """#)
        let text = try scene.run("schedule")
        #expect(
            text.text.contains(#"1 hot path: a b/é\xe2\x80\xae\x1b[2J\x0a/x"# + "\n"),
            "\(text.report)")
    }

    /// An order is needed most where nothing else works.
    @Test func aDamagedStateStillGivesAnOrder() throws {
        for file in ["ledger.sqlite", "overrides"] {
            let scene = try Scene(
                ["p": ["x": 1]], modules: "  - {name: x, pair: p, paths: [x]}")
            try scene.episode("p/a")
            for suffix in ["-wal", "-shm"] { unlink("\(scene.stage.state)/\(file)\(suffix)") }
            try scene.stage.write("state/\(file)", noise(5000))
            let found = try scene.run("schedule")
            #expect(found.status == 2, "\(found.report)")
            #expect(found.text.contains("NOT KNOWN: the "), "\(found.report)")
            #expect(found.text.contains("1  x"), "\(found.report)")
            let json = try scene.run("schedule", "--json")
            let last = try #require(try objects(json.lines).last)
            #expect(last["exit_status"] as? Int == 2, "\(json.report)")
            #expect(last["modules"] as? Int == 1, "\(json.report)")
        }
    }

    /// A pair under watch: what it holds was not touched for years.
    private func watched(_ folder: Stage) throws -> WatchStage {
        for module in ["rec", "db", "log"] {
            try folder.makeFolder("a/\(module)")
            try folder.write("a/\(module)/f", noise(9000))
        }
        return try WatchStage(
            folder.a,
            modules: """
                modules:
                  - {name: rec, pair: mail, paths: [rec], after: [db], weight: 5}
                  - {name: db, pair: mail, paths: [db]}
                  - {name: log, pair: mail, paths: [log], weight: 2}
                """
        ) { stage in
            try system("cp", "-a", folder.a + "/.", stage.folder + "/other")
            let script = "find \"$1\" -exec touch -h -d @1500000000 {} +"
            for store in [folder.a, stage.folder + "/other"] {
                try system("sh", "-c", script, "sh", store)
            }
        }
    }

    /// Only what keeps a gate shut is verified; what is proven itself waits without costing time.
    @Test func whatIsOpenIsLeftOut() throws {
        let folder = try Stage()
        let watch = try watched(folder)
        func run(_ words: String...) throws -> Finished {
            let config = watch.stage.folder + "/config.yaml"
            return try watch.stage.resync(words + ["--config", config]).run()
        }
        let calm = try run("schedule")
        #expect(calm.text == "pair mail: all modules are open\n", "\(calm.report)")
        #expect(try run("episode", "open", "mail/b", "--note", "test").status == 0)
        let during = try run("schedule")
        #expect(during.text.contains("mail/b has an open episode, e"), "\(during.report)")
        #expect(during.text.contains("UNDECIDED"), "\(during.report)")
        let id = try #require(try watch.episodes().last?["episode"] as? String)
        #expect(try watch.stage.resync(["episode", "close", id, "--note", "t"]).run().status == 0)
        // What was touched a moment before it is read proves nothing.
        usleep(2_500_000)

        let shut = try objects(try run("schedule", "--json").lines)
        #expect(names(shut) == ["db", "rec", "log"])
        #expect(modules(shut).allSatisfy { $0["gate"] as? String == "shut" })
        // What `gate` says, and no more than that.
        #expect(try run("verify", "--module", "rec", "--settle", "0").status == 0)
        let opened = try run("gate", "log", "--override", "--reason", "x", "--for", "1h")
        #expect(opened.status == 0, "\(opened.report)")
        let half = modules(try objects(try run("schedule", "--json").lines))
        #expect(half.map { $0["module"] as? String } == ["db", "rec", "log"])
        #expect(half.map { $0["proven"] as? Bool } == [false, true, false])
        #expect(half.map { $0["gate"] as? String } == ["shut", "shut", "shut"])
        #expect(half.map { $0["overridden"] as? Bool } == [nil, nil, true])
        #expect(numbers(half, "seconds")[1] == 0)
        #expect(try run("gate", "rec").status == 1)
        #expect(half[1]["reason"] as? String == "proven itself, opens with what it needs")

        #expect(try run("verify", "--module", "db", "--settle", "0").status == 0)
        let rest = try run("schedule")
        #expect(rest.text.contains("pair mail: 1 of 3 modules wait"), "\(rest.report)")
        #expect(rest.text.contains("1  log  SHUT"), "\(rest.report)")
        #expect(rest.text.contains("opened by a person meanwhile"), "\(rest.report)")
        #expect(rest.text.contains("left out because they are open: 2 (see --all)"))
        let all = try run("schedule", "--all")
        #expect(all.lines.count { $0.hasPrefix("  -  ") && $0.contains("OPEN") } == 2)
        #expect(!all.lines.contains { $0.hasSuffix(" ") }, "\(all.report)")
        let lines = modules(try objects(try run("schedule", "--all", "--json").lines))
        #expect(lines.map { $0["gate"] as? String } == ["shut", "open", "open"])
    }

    /// As many as a large service has are put in order while one waits.
    @Test func aThousandModulesAreOrderedAtOnce() throws {
        var seed = Seed.fromEnvironment()
        let count = 1000
        let modules = (0..<count).map { number in
            let others = number == 0 ? 0 : seed.below(3)
            let after = (0..<others).map { _ in "m\(seed.below(number))" }.joined(separator: ", ")
            return "  - {name: m\(number), pair: p, paths: [m\(number)], weight: "
                + "\(1 + seed.below(100))" + (after.isEmpty ? "" : ", after: [\(after)]") + "}"
        }
        let scene = try Scene(["p": [:]], modules: modules.joined(separator: "\n"))
        try scene.episode("p/a")
        let found = try scene.run("schedule", "--simulate", "--json")
        print("\(count) modules: \(found.seconds) s")
        #expect(found.seconds < 10)
        let lines = try objects(found.lines)
        let places = Dictionary(
            uniqueKeysWithValues: names(lines).enumerated().map { ($1, $0) })
        #expect(places.count == count)
        for module in self.modules(lines) {
            let own = try #require(places[module["module"] as? String ?? "?"])
            for other in module["after"] as? [String] ?? [] {
                #expect(places[other] ?? .max < own)
            }
        }
    }
}

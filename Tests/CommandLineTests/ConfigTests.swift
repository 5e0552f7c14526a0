import Foundation
import Glibc
import TestSupport
import Testing

/// `resync config check`: every mistake with its place, and what was understood.
@Suite struct ConfigTests {
    private func check(_ stage: Stage, _ bytes: [UInt8]) throws -> Finished {
        try stage.write("c.yaml", bytes)
        var command = Command(Command.resync, ["config", "check", "--config", "c.yaml"])
        command.directory = stage.folder
        command.timeout = 60
        return try command.run()
    }

    private func check(_ stage: Stage, _ text: String) throws -> Finished {
        try check(stage, Array(text.utf8))
    }

    /// A file, and where its mistakes are, each with words of what is said of it.
    struct Mistaken: CustomTestStringConvertible, Sendable {
        let text: String
        let mistakes: [String]

        init(_ text: String, _ mistakes: String...) {
            self.text = text
            self.mistakes = mistakes
        }

        var testDescription: String { text }
    }

    private static let pair = "pairs: [{name: p, a: /x, b: /y}]\n"
    private static let start = "pairs:\n  - name: p\n    a: /x\n    b: /y\n"

    private static func module(_ more: String) -> String {
        "modules: [{name: m, pair: p, paths: [x], \(more)}]\n"
    }

    private static let mistaken: [Mistaken] = [
        // Keys that nobody knows, at each level.
        Mistaken(pair + "extra: 1\n", "2:1: unknown key 'extra': there are pairs, watch, notify"),
        Mistaken(start + "    color: red\n", "5:5: unknown key 'color': there are name, a, b"),
        Mistaken(
            "pairs: [{name: p, a: {path: /x, pth: 1}, b: /y}]\n",
            "1:33: unknown key 'pth': there are path, probe"),
        Mistaken(
            pair + "watch:\n  interval: 1s\n  pause: 3s\n",
            "4:3: unknown key 'pause': there are interval"),
        Mistaken(pair + "watch: {pause: true}\n", "2:9: unknown key 'pause'"),
        Mistaken(
            pair + "notify: {command: [/x], mail: me}\n", "2:25: unknown key 'mail': there are"),
        Mistaken(pair + "\"e\\u001b[2J\": 1\n", "2:1: unknown key 'e\\x1b[2J'"),
        // What is no YAML.
        Mistaken(
            "pairs:\n  - name: p\n   a: /x\n",
            "3:4: did not find expected '-' indicator while parsing a block collection that begins "
                + "in line 2: is the indentation right?"),
        // What is of the wrong kind.
        Mistaken("[1, 2]\n", "1:1: the file must be a mapping"),
        Mistaken("pairs: 3\n", "1:8: pairs must be a list"),
        Mistaken("pairs: {a: /x}\n", "1:8: pairs must be a list"),
        Mistaken("pairs:\n  - text\n", "2:5: a pair must be a mapping"),
        Mistaken("pairs: [{name: p, a: [/x], b: /y}]\n", "1:22: a store must be a mapping"),
        Mistaken(
            "pairs: [{name: p, a: {path: [/x]}, b: /y}]\n", "1:29: a path is text"),
        Mistaken(
            "pairs: [{name: p, a: {path: /x, probe: 7}, b: /y}]\n",
            "1:40: probe is true or false"),
        Mistaken(pair + "watch: 10s\n", "2:8: watch must be a mapping"),
        Mistaken(pair + "watch: {slow: [1]}\n", "2:15: a value is expected"),
        Mistaken(pair + "notify: [x]\n", "2:9: notify must be a mapping"),
        Mistaken(pair + "notify: {command: tell}\n", "2:19: command is a list"),
        Mistaken(pair + "notify: {command: [tell]}\n", "2:19: command is a list"),
        Mistaken(pair + "notify: {command: []}\n", "2:19: command is a list"),
        Mistaken(pair + "notify: {command: [/x, [y]]}\n", "2:19: command is a list"),
        Mistaken(start + "    checks: x\n", "5:13: checks is a list of {name, command, every}"),
        Mistaken(
            start + "    checks: [x, {every: 0s, by: 1}]\n", "5:14: a check must be a mapping",
            "5:25: that is too short", "5:29: unknown key 'by': there are name, command, every",
            "5:17: a check needs 'name'", "5:17: a check needs 'command'"),
        Mistaken(
            start + "    checks: [{name: c, command: x, every: 1s}, "
                + "{name: c, command: [y], every: 1s}, {name: c, command: z, every: 1s}]\n",
            "5:67: command is a command of the shell", "5:84: there is a check 'c' already"),
        Mistaken(start + "    windows: 22:00-06:00\n", "5:14: windows is a list"),
        // Modules.
        Mistaken(pair + "modules: 3\n", "2:10: modules must be a list"),
        Mistaken(pair + "modules: [x]\n", "2:11: a module must be a mapping"),
        Mistaken(
            pair + "modules: [{}]\n", "2:11: a module needs 'name'",
            "2:11: a module needs 'pair'", "2:11: a module needs 'paths'"),
        Mistaken(pair + module("size: 3"), "2:42: unknown key 'size': there are name, pair, paths"),
        Mistaken(pair + module("weight: 0"), "2:50: a weight is a number above 0"),
        Mistaken(pair + module("weight: heavy"), "2:50: a weight is a number above 0"),
        Mistaken(pair + module("check: [sh]"), "2:49: check is a command of the shell"),
        Mistaken(pair + module("check: ''"), "2:49: check is a command of the shell"),
        Mistaken(pair + module("check: [/x, [y]]"), "2:49: check is a command of the shell"),
        Mistaken(pair + module("policy: keep"), "2:50: policy is immutable or append-only"),
        Mistaken(pair + module("lag: soon"), "2:47: 'soon' is no duration"),
        Mistaken(pair + module("lag: 0s"), "2:47: that is too short"),
        Mistaken(
            pair + module("kind: external, check: x, lag: 3s"),
            "2:11: 'lag' means nothing where no bytes are compared"),
        Mistaken(pair + module("expect: x"), "2:50: expect is a list of {path, reason, until}"),
        Mistaken(pair + module("expect: [x]"), "2:51: what is expected must be a mapping"),
        Mistaken(
            pair + module("expect: [{path: x}]"), "2:51: what is expected needs 'reason'",
            "2:51: what is expected needs 'until'"),
        Mistaken(
            pair + module("expect: [{path: '', reason: x, until: 2030-01-31, by: me}]"),
            "2:51: '' is no pattern", "2:92: unknown key 'by': there are path, reason, until"),
        Mistaken(
            pair + module("expect: [{path: [x], reason: '', until: 2030-1-31}]"),
            "2:51: a path is a pattern", "2:71: a reason is text", "2:82: until is a day"),
        Mistaken(pair + module("kind: live"), "2:48: kind is copies or external"),
        Mistaken(pair + module("kind: external"), "2:11: an external module needs 'check'"),
        Mistaken(pair + module("scope: some"), "2:49: scope is suspect or full"),
        Mistaken(pair + module("after: n"), "2:49: after is a list of modules"),
        Mistaken(pair + module("hot: [[x]]"), "2:47: hot is a list of paths"),
        Mistaken(pair + module("hot: [\"x/%q\"]"), "2:47: "),
        Mistaken(pair + module("after: [o]"), "2:11: module 'm': there is no module 'o'"),
        Mistaken(pair + module("after: [m]"), "2:11: modules wait for each other: m after m"),
        Mistaken(
            pair + "modules: [{name: m, pair: q, paths: [x]}]\n",
            "2:11: module 'm': there is no pair 'q'"),
        Mistaken(
            pair + "modules: [{name: m, pair: p, paths: [/x]}]\n",
            "2:37: '/x' is no path in a store"),
        Mistaken(
            pair + "modules: [{name: m, pair: p, paths: [x/../y]}]\n",
            "2:37: 'x/../y' is no path in a store"),
        Mistaken(
            pair + "modules: [{name: m, pair: p, paths: [.resync-probe-1]}]\n",
            "2:37: '.resync-probe-1' is no path in a store"),
        Mistaken(
            pair + "modules: [{name: m, pair: p, paths: []}]\n", "2:37: paths is a list of paths"),
        Mistaken(
            pair + "modules:\n- {name: m, pair: p, paths: [x, y]}\n"
                + "- {name: n, pair: p, paths: [y/z]}\n",
            "4:3: module 'n': 'y/z' lies in 'y' of module 'm'"),
        Mistaken(
            pair + "modules:\n- {name: m, pair: p, paths: [x]}\n"
                + "- {name: m, pair: p, paths: [y]}\n",
            "4:3: there is a module 'm' already"),
        Mistaken(
            pair + "modules:\n- {name: m, pair: p, paths: [x], after: [n]}\n"
                + "- {name: n, pair: p, paths: [y], after: [m]}\n",
            "3:3: modules wait for each other: m after n after m"),
        // What is missing.
        Mistaken("pairs: []\n", "1:1: it names no pairs"),
        Mistaken("watch: {slow: 1s}\n", "1:1: it names no pairs"),
        Mistaken(
            "pairs: [{}]\n", "1:9: a pair needs 'name'", "1:9: a pair needs 'a'",
            "1:9: a pair needs 'b'"),
        Mistaken("pairs: [{name: p, a: /x}]\n", "1:9: a pair needs 'b'"),
        Mistaken("pairs: [{name: p, a: {probe: no}, b: /y}]\n", "1:22: a store needs a path"),
        Mistaken("pairs: [{name: p, a: {}, b: /y}]\n", "1:22: a store needs a path"),
        Mistaken(pair + "notify: {timeout: 3s}\n", "2:9: notify needs a command"),
        // Durations, rates and windows that mean nothing.
        Mistaken(start + "    settle: soon\n", "5:13: 'soon' is no duration"),
        Mistaken(start + "    settle: -1s\n", "5:13: '-1s' is no duration"),
        Mistaken(start + "    max-age: 7 days\n", "5:14: '7 days' is no duration"),
        Mistaken(start + "    max-age: 99999999d\n", "5:14: '99999999d' is out of bounds"),
        Mistaken(start + "    read-limit: fast\n", "5:17: 'fast' is no number"),
        Mistaken(start + "    read-limit: 0\n", "5:17: a rate of zero would never end"),
        Mistaken(start + "    write-limit: 3kb/h\n", "5:18: '3kb/h' is no size"),
        Mistaken(pair + "watch: {interval: 10 s}\n", "2:19: '10 s' is no duration"),
        Mistaken(pair + "watch: {interval: 0s}\n", "2:19: that is too short"),
        Mistaken(pair + "watch: {slow: 20s, hung: 10s}\n", "2:8: slow must not be longer"),
        Mistaken(
            pair + "watch: {hold-down: 5m, hold-down-limit: 1m}\n",
            "2:41: hold-down-limit must not be shorter"),
        Mistaken(pair + "notify: {command: [/x], timeout: 0s}\n", "2:34: that is too short"),
        Mistaken(pair + "notify: {command: [/x], repeat: 1s}\n", "2:33: that is too short"),
        Mistaken(
            start + "    windows: [\"22:00-06:00\", \"25:00-26:00\", \"1-2\", \"3:00-3:00\"]\n",
            "5:30: a window is as", "5:45: a window is as", "5:52: a window is as"),
        // Names and paths.
        Mistaken("pairs: [{name: a/b, a: /x, b: /y}]\n", "1:16: a name has letters"),
        Mistaken("pairs: [{name: \"\", a: /x, b: /y}]\n", "1:16: a name has letters"),
        Mistaken(
            pair.replacingOccurrences(of: "]", with: ", {name: p, a: /z, b: /w}]"),
            "1:41: there is a pair 'p' already"),
        Mistaken("pairs: [{name: p, a: x/y, b: /y}]\n", "1:22: a store's path begins with '/'"),
        Mistaken("pairs: [{name: p, a: '', b: /y}]\n", "1:22: a store's path begins with '/'"),
        Mistaken("pairs: [{name: p, a: /x/../y, b: /y}]\n", "1:22: a store's path has no '..'"),
        Mistaken(
            "pairs: [{name: p, a: ssh://far/x, b: {path: ssh://far/y}}]\n",
            "1:22: stores over ssh", "1:45: stores over ssh"),
        Mistaken(
            "pairs: [{name: p, a: /\(String(repeating: "n", count: 4096)), b: /y}]\n",
            "1:22: a store's path begins with '/'"),
        // Stores that are one, or lie one in the other.
        Mistaken(
            "pairs: [{name: p, a: /x, b: //x/./}]\n", "1:29: p/b and p/a are the same store"),
        Mistaken(
            start + "  - {name: q, a: /z, b: /y/deep}\n",
            "5:25: q/b and p/b lie one in the other"),
        Mistaken(
            "pairs: [{name: p, a: /, b: {path: /y}}]\n", "1:28: p/b and p/a lie one in the other"),
        // What is no YAML, or says a thing twice.
        Mistaken("", "1:1: it is empty"), Mistaken("# nothing\n", "1:1: it is empty"),
        Mistaken(pair + "pairs: []\n", "1:1: a key is there twice: pairs"),
        Mistaken(
            "pairs: [{name: p, a: /x,\n  b: /y, b: /z}]\n", "2:3: a key is there twice: b"),
        Mistaken("pairs: [{name: p\n", "2:1: "), Mistaken("a: b: c\n", "1:5: "),
        Mistaken("pairs:\n\t- x\n", "2:1: "), Mistaken("pairs: *nowhere\n", "1:8: "),
        Mistaken("pairs:\n  - \u{7}\n", "2:5: control characters are not allowed"),
        // Several at once.
        Mistaken(
            """
            pairs:
              - name: p
                a: x
                settle: never
                shade: 1
              - {name: q, a: /y, b: {probe: 2}, max-age: x}
            watch: {pace: 1s, slow: x}
            notify: {repeat: 5s}
            """, "3:8: a store's path", "4:13: 'never' is no duration", "5:5: unknown key 'shade'",
            "2:5: a pair needs 'b'", "6:33: probe is true or false", "6:25: a store needs a path",
            "6:46: 'x' is no", "7:9: unknown key 'pace'", "7:25: 'x' is no", "8:18: that is too",
            "8:9: notify needs a command"),
    ]

    @Test(arguments: mistaken)
    func everyMistakeIsNamedWithItsPlace(_ file: Mistaken) throws {
        let stage = try Stage()
        let found = try check(stage, file.text)
        #expect(found.status == 64, "\(found.report)")
        #expect(found.output.isEmpty, "\(found.report)")
        let lines = found.errorText.split(separator: "\n").map { String($0) }
        #expect(lines.count == file.mistakes.count, "\(found.report)")
        for mistake in file.mistakes {
            #expect(
                lines.contains { $0.hasPrefix("resync: c.yaml:\(mistake)") },
                "\(mistake)\n\(found.report)")
        }
    }

    /// Whoever only wants to use it hears of the first, and that there are more.
    @Test func whatIsMistakenIsNotUsed() throws {
        let stage = try Stage()
        try stage.write("c.yaml", "pairs: [{name: p, a: x, b: y}]\n")
        for words in [["watch"], ["episode", "open", "p/a", "--note", "x"]] {
            let found = try stage.resync(words + ["--config", stage.folder + "/c.yaml"]).run()
            #expect(found.status == 64, "\(found.report)")
            #expect(found.errorText.contains("c.yaml:1:22: a store's path"), "\(found.report)")
            #expect(found.errorText.contains("(and 1 more"), "\(found.report)")
        }
    }

    @Test func whatCannotBeReadIsSaid() throws {
        let stage = try Stage()
        try stage.write("c.yaml", "x")
        func refused(_ path: String, _ words: String) throws {
            var command = Command(Command.resync, ["config", "check", "--config", path])
            command.directory = stage.folder
            let found = try command.run()
            #expect(found.status == 64, "\(found.report)")
            #expect(found.errorText.contains(words), "\(found.report)")
            #expect(found.errorText.split(separator: "\n").count == 1, "\(found.report)")
        }
        try refused("nowhere", "cannot read the configuration 'nowhere': No such file")
        try refused("a", "'a' is no regular file")
        try refused("/dev/zero", "'/dev/zero' is no regular file")
        try stage.write("large", [UInt8](repeating: UInt8(ascii: "#"), count: (1 << 20) + 1))
        try refused("large", "'large' is larger than 1.00 MiB")
        try stage.write("latin", [UInt8]("# caf".utf8) + [0xe9, 0x0a])
        try refused("latin", "'latin' is no UTF-8 text")
        try stage.write("binary", noise(5000))
        try refused("binary", "is no UTF-8 text")
    }

    /// What is meant to exhaust whoever reads it.
    @Test func whatIsMeantToExhaustIsRefusedSoon() throws {
        let stage = try Stage()
        let deep = String(repeating: "[", count: 500_000)
        let found = try check(stage, "pairs: \(deep)\n")
        #expect(found.status == 64 && found.seconds < 30, "\(found.report.prefix(500))")
        let wide =
            "pairs:\n"
            + (0..<1001).map { "  - {name: n\($0), a: /a\($0), b: /b\($0)}\n" }
            .joined()
        let many = try check(stage, wide)
        #expect(many.status == 64, "\(many.report.prefix(500))")
        #expect(many.errorText.contains("2:3: there are more than 1000 pairs"), "\(many.report)")
    }

    // MARK: What is understood

    @Test func everythingIsUnderstood() throws {
        let stage = try Stage()
        try stage.write("a/file", noise(5000))
        try stage.copy()
        let found = try check(
            stage,
            """
            pairs:
              - name: mail
                a: {path: \(stage.a)/, probe: false}
                b: \(stage.b)
                settle: 90s
                read-limit: 2MiB/s
                write-limit: 1KiB
                max-age: 1h
                windows: ["22:00-06:00", "9:30-10:00"]
                checks: [{name: c, command: test -e /x, every: 5m}]
              - name: nowhere
                a: /nowhere/at/all/a
                b: /nowhere/at/all/b
            watch: {interval: 3s, slow: 4s, hung: 5s, hold-down: 6s, hold-down-limit: 7s}
            notify: {command: [/bin/tell, "a b"], timeout: 8s, repeat: 120s}
            modules:
              - {name: db, pair: mail, paths: [db, ./var//db/]}
              - name: rec
                pair: mail
                paths: [rec]
                weight: 2.5
                after: [db]
                hot: ["rec/%Y/%m/%d"]
                scope: suspect
                policy: append-only
                prepare: /bin/true
              - {name: live, pair: mail, paths: [pg], kind: external, check: "test -e /x"}
              - {name: log, pair: mail, paths: [log], check: [/bin/log, "a b"]}

            """)
        #expect(found.status == 2, "\(found.report)")
        let lines = found.lines
        try expectPairs(found, stage)
        for line in [
            "  settle 90.0 s, read 2.00 MiB/s, write 1.00 KiB/s, 22:00-6:00, 9:30-10:00",
            "  check c, each 5 min 00 s: /bin/sh -c test -e /x",
            "module db: db, var/db of mail, weight 1.0, full",
            "module rec: rec of mail, weight 2.5, suspect, after db, first rec/%Y/%m/%d, "
                + "append-only, prepared by /bin/sh -c /bin/true sh",
            "module live: pg of mail, weight 1.0, external, checked by /bin/sh -c test -e /x",
            "module log: log of mail, weight 1.0, full, checked by /bin/log a b",
            "pair nowhere", "  settle 2.00 s, read as fast as it goes, at any time",
            "watch: probed each 3.00 s, slow after 4.00 s, down after 5.00 s without an answer, "
                + "closed after 6.00 s without trouble, up to 7.00 s after relapses",
            "notify: /bin/tell a b, killed after 8.00 s, again each 2 min 00 s",
        ] {
            #expect(lines.contains(line), "\(line)\n\(found.report)")
        }
        #expect(lines.contains { $0.hasPrefix("  state of up to ") }, "\(found.report)")
        #expect(lines.contains { $0.contains("read again within 1 h 00 min") }, "\(found.report)")
        #expect(lines.filter { $0.contains("/nowhere/at/all/") }.count == 2, "\(found.report)")
        #expect(found.errorText == "", "\(found.report)")
    }

    private func expectPairs(_ found: Finished, _ stage: Stage) throws {
        let lines = found.lines
        #expect(lines.first == "pair mail", "\(found.report)")
        let plain = stage.folder.replacingOccurrences(of: "//", with: "/")
        let a = lines.first { $0.hasPrefix("  A  \(plain)/a: directory on ") }
        #expect(a?.hasSuffix(", not probed") == true, "\(found.report)")
        let b = lines.first { $0.hasPrefix("  B  \(plain)/b: directory on ") }
        #expect(b?.contains("probed") == false, "\(found.report)")
    }

    /// A reading takes its bytes at its rate in its windows.
    @Test func whetherAllCanBeReadInTimeIsSaid() throws {
        let stage = try Stage()
        let reading = ": one reading of 100.0 MiB takes "
        try system("truncate", "-s", "100M", stage.folder + "/x", stage.folder + "/y")
        func verdict(_ more: String) throws -> String? {
            let found = try check(
                stage, "pairs: [{name: p, a: \(stage.folder)/x, b: \(stage.folder)/y, \(more)}]\n")
            #expect(found.status == 0, "\(found.report)")
            return found.lines.first { $0.contains("read again") }
        }
        #expect(
            try verdict("max-age: 99s, read-limit: 1MiB/s")
                == "  CANNOT BE read again within 99.0 s" + reading + "1 min 40 s"
        )
        #expect(
            try verdict("max-age: 101s, read-limit: 1MiB/s")
                == "  can be read again within 1 min 41 s" + reading + "1 min 40 s"
        )
        // A quarter of the day, over midnight.
        #expect(
            try verdict("max-age: 101s, read-limit: 1MiB/s, windows: [\"21:00-3:00\"]")
                == "  CANNOT BE read again within 1 min 41 s" + reading + "6 min 40 s"
        )
        #expect(try verdict("max-age: 1h")?.contains("no read-limit is set") == true)
        #expect(try verdict("read-limit: 1MiB/s") == nil)
    }

    /// However they are named; and what no pair of images can have.
    @Test func whatCannotBeAPairIsSaid() throws {
        let stage = try Stage()
        try stage.makeFolder("b")
        try #require(symlink("a", stage.folder + "/link") == 0)
        try system("truncate", "-s", "1M", stage.folder + "/x", stage.folder + "/y")
        func found(_ a: String, _ b: String, _ more: String = "") throws -> Finished {
            try check(
                stage,
                "pairs: [{name: p, a: \(stage.folder)/\(a), b: \(stage.folder)/\(b)}]\n\(more)")
        }
        let same = try found("a", "link")
        #expect(same.status == 2, "\(same.report)")
        #expect(same.text.contains("CANNOT BE: p/b is the same store as p/a"), "\(same.report)")
        let mixed = try found("a", "x")
        #expect(mixed.status == 2, "\(mixed.report)")
        #expect(mixed.text.contains("CANNOT BE COMPARED: one is a directory"), "\(mixed.report)")
        let module = try found("x", "y", "modules: [{name: m, pair: p, paths: [f]}]\n")
        #expect(module.status == 2, "\(module.report)")
        #expect(module.text.contains("module m is no part of an image"), "\(module.report)")
        let verified = try stage.resync([
            "verify", "--module", "m", "--config", stage.folder + "/c.yaml",
        ]).run()
        #expect(verified.status == 64, "\(verified.report)")
        #expect(try found("a", "b").status == 0)
        #expect(try found("x", "y").status == 0)
    }

    // MARK: The example

    private func example() throws -> String {
        let path = Command.project + "/Sources/resync/Documentation/resync.yaml"
        let bytes = try #require(FileManager.default.contents(atPath: path))
        return String(decoding: bytes, as: UTF8.self)
    }

    /// As it is, and with everything in use that it only shows.
    @Test func theExampleIsAccepted() throws {
        let stage = try Stage()
        let example = try example()
        let used = example.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            line.hasPrefix("#") && !line.hasPrefix("# ") && line.count > 1 || line.hasPrefix("#  ")
                ? String(line.dropFirst()) : String(line)
        }.joined(separator: "\n")
        #expect(used != example)
        for (text, notify) in [(example, "notify: nobody"), (used, "notify: /usr/local/bin/")] {
            let found = try check(stage, text)
            // The stores are not there.
            #expect(found.status == 2, "\(found.report)")
            #expect(found.errors.isEmpty, "\(found.report)")
            #expect(found.lines.contains { $0.hasPrefix(notify) }, "\(found.report)")
            // What it says of the watcher is what holds without it.
            let plain = try check(stage, Self.pair)
            let watch = plain.lines.first { $0.hasPrefix("watch: ") }
            #expect(found.lines.contains(watch ?? "?"), "\(found.report)")
        }
    }

    /// Every key that is listed when one is unknown is in the example, each with its reason.
    @Test func theExampleShowsEveryKey() throws {
        let stage = try Stage()
        let found = try check(
            stage,
            """
            x: 1
            pairs: [{x: 1, name: p, a: {x: 1, path: /a}, b: /b, checks: [{x: 1}]}]
            watch: {x: 1s}
            notify: {x: 1, command: [/x]}
            modules: [{x: 1, name: m, pair: p, paths: [m], expect: [{x: 1}]}]

            """)
        let keys = found.errorText.split(separator: "\n").compactMap { line in
            line.components(separatedBy: "there are ").dropFirst().first
        }.flatMap { $0.components(separatedBy: ", ") }
        #expect(keys.count == 44, "\(keys)")
        let example = try example()
        for key in Set(keys) {
            let isShown = example.range(
                of: "(^|[\\n #{,-])\(key):", options: .regularExpression)
            #expect(isShown != nil, "\(key)")
        }
    }
}

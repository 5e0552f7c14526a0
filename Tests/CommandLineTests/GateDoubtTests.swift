import Foundation
import Glibc
import TestSupport
import Testing

/// What shuts a gate, or keeps it from opening, though nobody asked about the module.
@Suite struct GateDoubtTests {
    @Test func aLostLedgerOpensNothing() throws {
        let scene = try GateScene(
            modules: """
                - {name: log, pair: mail, paths: [log]}
                - {name: db, pair: mail, paths: [db]}
                """)
        #expect(try scene.run("verify", "mail").status == 0)
        try scene.episode()
        #expect(try scene.gate("db") == 1)
        try scene.watch.restart {
            for suffix in ["", "-wal", "-shm"] {
                try scene.watch.stage.remove("state/ledger.sqlite" + suffix)
            }
        }
        try #require(scene.watch.within(10) { scene.watch.state == "ok" })
        let unknown = try scene.run("gate", "db")
        #expect(unknown.status == 2, "\(unknown.report)")
        #expect(unknown.text.contains("a ledger until"), "\(unknown.report)")
        #expect(unknown.text.contains("'resync verify --module db' ends that"))
        #expect(!unknown.text.contains("episode close"), "\(unknown.report)")
        // Nor does anything count that was kept before.
        let found = try scene.verify("db")
        #expect(found.status == 0 && found.errorText.contains("is lost"), "\(found.report)")
        #expect(found.text.contains("at media"), "\(found.report)")
        #expect(try scene.gate("db") == 0)
        #expect(try scene.gate("log") == 2)
        // That it was lost once is remembered for good.
        try scene.watch.restart()
        try #require(scene.watch.within(10) { scene.watch.state == "ok" })
        #expect(try scene.gate("db") == 0)
        #expect(try scene.gate("log") == 2)
    }

    /// Also one that was named by its paths.
    @Test(arguments: [false, true]) func aDifferenceShutsTheGateWhoeverFindsIt(
        wasReleased: Bool
    ) throws {
        let scene = try GateScene(
            modules: """
                - {name: log, pair: mail, paths: [log]}
                - name: db
                  pair: mail
                  paths: [db]
                  expect: [{path: f1, reason: test, until: 2099-01-01}]
                """)
        if wasReleased { #expect(try scene.run("verify", "mail").status == 0) }
        #expect(try scene.gate("log") == 0)
        for name in ["db/f1", "log/f1"] {
            try system("sh", "-c", "printf X >>'\(scene.b)/\(name)'")
        }
        let found = try scene.run("verify", scene.b, scene.folder.a)
        #expect(found.status == 1, "\(found.report)")
        #expect(found.text.contains("module log: NOT RELEASED: 1 different"), "\(found.report)")
        #expect(try scene.gate("log") == 1)
        #expect(try scene.gate("db") == 0, "what is expected to differ may")
    }

    /// What was verified before anybody knew of an episode was not held against it.
    @Test func anEpisodeThatIsNotedLaterShutsTheGate() throws {
        let scene = try GateScene(modules: "- {name: log, pair: mail, paths: [log]}")
        #expect(try scene.run("verify", "mail").status == 0)
        #expect(try scene.gate("log") == 0)
        let noted = try scene.run(
            "episode", "open", "mail/b", "--note", "test", "--from", "2020-01-01 10:00", "--to",
            "2020-01-01 11:00")
        #expect(noted.status == 0, "\(noted.report)")
        #expect(try scene.gate("log") == 1)
        usleep(1_200_000)
        let found = try scene.verify("log")
        #expect(found.status == 0 && found.text.contains("at media"), "\(found.report)")
        #expect(try scene.gate("log") == 0)
    }

    /// What one store has of the other by a manifest speaks as the other one does itself.
    @Test func aDifferenceFromAManifestShutsTheGate() throws {
        let scene = try GateScene(
            modules: """
                - {name: log, pair: mail, paths: [log]}
                - {name: db, pair: mail, paths: [db]}
                """)
        #expect(try scene.run("verify", "mail").status == 0)
        try system("sh", "-c", "printf X >>'\(scene.b)/log/f1'")
        usleep(3_100_000)
        let manifest = scene.watch.stage.folder + "/m"
        let made = try scene.watch.stage.resync(["scan", scene.b, "-o", manifest]).run()
        #expect(made.status == 0, "\(made.report)")
        #expect(try scene.gate("log") == 0)
        // What was written since the manifest was made may be right.
        for name in ["db/f1", "log/f2"] {
            try system("sh", "-c", "printf X >>'\(scene.folder.a)/\(name)'")
        }
        let found = try scene.run("verify", scene.folder.a, manifest, "--settle", "0s")
        #expect(found.status == 1, "\(found.report)")
        #expect(found.text.contains("* log/f1") && found.text.contains("* db/f1"))
        #expect(found.text.contains("module log: NOT RELEASED: 1 different"), "\(found.report)")
        #expect(!found.text.contains("module db"), "\(found.report)")
        #expect(try scene.gate("log") == 1)
        #expect(try scene.gate("db") == 0)
    }

    /// A night in which a module stays unproven after an episode is not a silent one.
    @Test func aNightTellsWhatStaysUndecided() throws {
        let scene = try GateScene(modules: "- {name: log, pair: mail, paths: [log]}")
        #expect(try scene.run("verify", "mail").status == 0)
        try scene.episode()
        func write() throws {
            for store in [scene.folder.a, scene.b] {
                try system("sh", "-c", "printf X >>'\(store)/log/f1'")
            }
            try system("touch", "-r", scene.folder.a + "/log/f1", scene.b + "/log/f1")
        }
        try write()
        // Read within two seconds of its writing it is not proven.
        let told = try scene.run("nightly", "mail")
        #expect(told.status == 2, "\(told.report)")
        #expect(told.text.contains("mail: module log: UNDECIDED"), "\(told.report)")
        usleep(2_500_000)
        #expect(try scene.verify("log").status == 0)
        let calm = try scene.run("nightly", "mail")
        #expect(calm.status == 0 && calm.text.isEmpty, "\(calm.report)")
        // Its service's writes leave a gate open, and a night silent.
        try write()
        let open = try scene.run("nightly", "mail")
        #expect(open.status == 0 && open.text.isEmpty, "\(open.report)")
    }

    /// Whoever waits for a gate is told, also where nothing is verified without a person.
    @Test func whatShutWhileNobodyWatchedIsTold() throws {
        let told = try Stage()
        try told.write("tell", "#!/bin/sh\ncat >>'\(told.folder)/told'\n")
        chmod(told.folder + "/tell", 0o755)
        let scene = try GateScene(
            notify: told.folder + "/tell", holdDown: WatchStage.holdDown,
            modules: "- {name: log, pair: mail, paths: [log]}")
        func events() throws -> [String] {
            guard told.exists("told") else { return [] }
            return try objects(told.text("told").split(separator: "\n").map(String.init))
                .filter { $0["type"] as? String == "gate" }.compactMap { $0["event"] as? String }
        }
        func become(_ wanted: [String]) throws {
            let isTold = try scene.watch.within(20) { try events() == wanted }
            let all = try events()
            #expect(isTold, "\(all)")
        }
        try become(["released"])
        // What was skipped meanwhile waits for a word.
        try scene.watch.restart()
        try become(["released", "released"])
        try scene.watch.restart {
            let opened = try scene.run("episode", "open", "mail/b", "--note", "test")
            #expect(opened.status == 0, "\(opened.report)")
        }
        try become(["released", "released", "withdrawn"])
        try scene.watch.restart()
        usleep(4_000_000)
        try become(["released", "released", "withdrawn"])
    }

    /// An episode that could not be written down is one all the same, also when it is over.
    @Test func anEpisodeThatIsNotWrittenDownShutsGates() throws {
        guard let shell = Command.find("sqlite3") else { return skip("sqlite3 is not installed") }
        let scene = try GateScene(
            holdDown: WatchStage.holdDown, modules: "- {name: db, pair: mail, paths: [db]}")
        #expect(try scene.verify("db").status == 0)
        #expect(try scene.gate("db") == 0)
        let ledger = scene.watch.stage.state + "/ledger.sqlite"
        let holder = try Command(shell, [ledger, "BEGIN IMMEDIATE", ".shell sleep 90"]).start()
        usleep(500_000)
        let names = try FileManager.default.contentsOfDirectory(atPath: scene.b)
        let probe = try #require(names.first { $0.hasPrefix(".resync-probe-") })
        unlink(scene.b + "/" + probe)
        let isOver = scene.watch.within(20) {
            scene.watch.watcher.outputSoFar.contains("CLOSED   episode")
        }
        #expect(isOver, "\(scene.watch.report)")
        #expect(try scene.gate("db") == 2)
        let listed = try scene.watch.stage.resync(["episode", "list"]).run()
        #expect(listed.status == 1, "\(listed.report)")
        #expect(listed.text.contains("mail/b  not written down yet"), "\(listed.report)")
        holder.signal(SIGKILL)
        #expect(
            try scene.watch.within(30) {
                try scene.watch.episodes().contains { $0["closed"] != nil }
            }, "\(scene.watch.report)")
        // It is known now, and the module was not verified since.
        #expect(try scene.gate("db") == 1)
    }
}

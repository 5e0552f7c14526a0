import Foundation
import Glibc
import TestSupport
import Testing

/// Comparisons of what is still to be proven after an episode: `verify --only`.
@Suite struct UnprovenTests {
    private func summary(_ finished: Finished) throws -> [String: Any] {
        try #require(
            try objects(finished.lines).last { $0["type"] as? String == "summary" },
            "\(finished.report)")
    }

    /// What was read once after the episode is not read again, and what is suspect comes first.
    @Test func whatIsProvenIsNotReadAgain() throws {
        let scene = try GateScene(
            modules: """
                - {name: rec, pair: mail, paths: [rec], hot: [rec/f1]}
                - {name: log, pair: mail, paths: [log], scope: suspect}
                - {name: db, pair: mail, paths: [db]}
                """)
        let nothing = try scene.verify("db", "--only", "hot")
        #expect(
            nothing.status == 64 && nothing.errorText.contains("no hot paths"), "\(nothing.report)")
        #expect(try scene.run("verify", "mail").status == 0)
        try scene.episode()
        // What is hot is looked at without a look at anything else.
        let hot = try summary(scene.run("verify", "mail", "--only", "hot", "--json"))
        #expect(hot["entries"] as? Int == 2 && hot["proven_before"] as? Int == 0, "\(hot)")
        #expect(hot["bytes_read"] as? Int == 18_002, "\(hot)")
        #expect(hot["verdict"] as? String == "IN SYNC SO FAR", "\(hot)")
        #expect(try scene.gate("log") == 1)
        // All of it is so young that it may have been lost.
        let suspect = try scene.run("verify", "mail", "--only", "suspect")
        #expect(suspect.status == 0 && suspect.text.contains("IN SYNC SO FAR"), "\(suspect.report)")
        #expect(suspect.text.contains("2 proven before"), "\(suspect.report)")
        #expect(!suspect.text.contains("module "), "\(suspect.report)")
        // All that is left of a module whose scope is suspect was proven by that.
        let log = try scene.verify("log", "--only", "unproven", "--json")
        #expect(try summary(log)["bytes_read"] as? Int == 0, "\(log.report)")
        #expect(try summary(log)["proven_before"] as? Int == 4, "\(log.report)")
        #expect(try scene.gate("log") == 0)
        #expect(try scene.gate("rec") == 1)
        let again = try scene.verify("rec", "--only", "unproven")
        #expect(again.status == 0, "\(again.report)")
        #expect(again.text.contains("4 proven before"), "\(again.report)")
        #expect(again.text.contains("module rec: released, 4 entries"), "\(again.report)")
        for words in [["--only", "some"], ["--only", "hot", "--module", "nobody"]] {
            let refused = try scene.watch.stage.resync(
                ["verify"] + words + ["--config", scene.watch.stage.folder + "/config.yaml"]
            ).run()
            #expect(refused.status == 64, "\(refused.report)")
        }
        let stores = try scene.watch.stage.resync([
            "verify", scene.folder.a, scene.b, "--only", "hot",
        ]).run()
        #expect(stores.status == 64, "\(stores.report)")
    }

    /// It goes on with what is left by then.
    @Test func whatWasCutOffIsGoneOnWith() throws {
        let scene = try GateScene(modules: "- {name: log, pair: mail, paths: [log]}")
        #expect(try scene.run("verify", "mail").status == 0)
        try scene.episode()
        let running = try scene.watch.stage.resync([
            "verify", "--module", "log", "--only", "unproven", "--read-limit", "8KiB/s",
            "--config", scene.watch.stage.folder + "/config.yaml",
        ]).start()
        usleep(1_500_000)
        running.signal(SIGINT)
        let cut = try running.wait()
        #expect(cut.status == 130 && cut.text.contains("'resync runs resume "), "\(cut.report)")
        let found = try scene.watch.stage.resync(["runs", "resume", "last"]).run()
        #expect(found.status == 0, "\(found.report)")
        #expect(found.text.contains("module log: released"), "\(found.report)")
        #expect(found.text.contains("proven before"), "\(found.report)")
    }

    /// What was found to differ is looked at again, though all that goes by times holds it proven,
    /// until everything was compared and found equal.
    @Test func whatWasFoundToDifferIsNotForgotten() throws {
        let scene = try GateScene(modules: "- {name: log, pair: mail, paths: [log]}")
        #expect(try scene.run("verify", "mail").status == 0)
        try scene.episode()
        func copy(_ from: String, _ to: String) throws {
            try system("cp", "-p", "\(from)/log/f1", "\(to)/log/f1")
        }
        for name in ["kept", "kept/log"] { try scene.folder.makeFolder(name) }
        try copy(scene.b, scene.folder.folder + "/kept")
        try system("sh", "-c", "printf X >>'\(scene.b)/log/f1'")
        usleep(2_500_000)
        let found = try scene.watch.stage.resync(["verify", scene.folder.a, scene.b]).run()
        #expect(found.status == 1, "\(found.report)")
        try copy(scene.folder.folder + "/kept", scene.b)
        usleep(2_500_000)
        #expect(try scene.verify("log").status == 0)
        let again = try summary(scene.verify("log", "--only", "unproven", "--json"))
        // The folder, the file, and what leads there.
        #expect(again["proven_before"] as? Int == 3, "\(again)")
        #expect(again["bytes_read"] as? Int == 18_002, "\(again)")
        let id = try #require(try runs(scene))
        let deleted = try scene.watch.stage.resync(["runs", "delete", String(id)]).run()
        #expect(deleted.status == 0, "\(deleted.report)")
        // Where that run is gone, nobody knows what it found: all is compared.
        let all = try scene.verify("log", "--only", "unproven")
        #expect(all.status == 0 && all.errorText.contains("is not kept any more"), "\(all.report)")
        // What was found on the medium is made good there alone.
        #expect(try scene.run("verify", "mail", "--assurance", "hash").status == 0)
        let still = try scene.verify("log", "--only", "unproven")
        #expect(still.errorText.contains("is not kept any more"), "\(still.report)")
        #expect(try scene.run("verify", "mail", "--assurance", "media").status == 0)
        let none = try summary(scene.verify("log", "--only", "unproven", "--json"))
        #expect(none["proven_before"] as? Int == 4, "\(none) \(all.report)")
    }

    /// The run that ended with differences.
    private func runs(_ scene: GateScene) throws -> Substring? {
        let list = try scene.watch.stage.resync(["runs", "list"]).run()
        return list.lines.first { $0.contains("NOT IN SYNC") }?.split(separator: " ").first
    }
}

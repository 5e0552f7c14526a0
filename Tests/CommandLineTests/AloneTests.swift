import Foundation
import Glibc
import TestSupport
import Testing

/// One store, held against what it and its other copy were last proven to share, while that one
/// cannot be asked: `verify STORE --against baseline`.
@Suite struct AloneTests {
    private func alone(_ scene: GateScene, _ words: String...) throws -> Finished {
        try scene.watch.stage.resync(
            ["verify", scene.folder.a, "--against", "baseline", "--settle", "0s"] + words + [
                "--config", scene.watch.stage.folder + "/config.yaml",
            ]
        ).run()
    }

    /// What is as it was opens the gate while the other site is out of reach, and only then.
    @Test func whatIsAsItWasOpensTheGateMeanwhile() throws {
        let scene = try GateScene(
            modules: """
                - {name: rec, pair: mail, paths: [rec]}
                - {name: db, pair: mail, paths: [db]}
                - {name: log, pair: mail, paths: [log]}
                """)
        let never = try alone(scene)
        #expect(never.status == 2 && never.errorText.contains("nothing was ever proven"))
        #expect(try scene.run("verify", "mail").status == 0)
        try scene.episode {
            #expect(try scene.gate("rec") == 2)
            // New, touched, gone, and touched but as it was.
            try scene.folder.write("a/log/new", "not on the other side")
            try scene.folder.write("a/db/f0", "edited since")
            try scene.folder.remove("a/db/f1")
            try system("touch", "-d", "@1500000000", scene.folder.a + "/rec/f2")
            usleep(2_200_000)
            let found = try alone(scene)
            #expect(found.status == 2, "\(found.report)")
            for line in [
                "? log/new  unproven: newer than the baseline",
                "? db/f0  unproven: changed since the baseline",
                "? db/f1  unproven: gone since the baseline", "NOT VERIFIED",
                "module rec: released, 4 entries, 26.4 KiB proven equal (full, A alone)",
                "module db: UNDECIDED", "module log: UNDECIDED",
            ] {
                #expect(found.text.contains(line), "\(line)\n\(found.report)")
            }
            let open = try scene.run("gate", "rec")
            #expect(open.status == 0, "\(open.report)")
            #expect(
                open.text.contains("mail/a alone: mail/b has an open episode"), "\(open.report)")
            #expect(try scene.gate("db") == 2)
            let status = try scene.run("status")
            #expect(!status.text.contains("released, A alone"), "\(status.report)")
        }
        // Once the other one is back, both have to be compared.
        #expect(try scene.gate("rec") == 1)
        #expect(try scene.verify("rec").status == 0)
        #expect(try scene.gate("rec") == 0)
    }
}

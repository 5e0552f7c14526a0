import Foundation
import Testing

/// The demonstration comes out as it promises, for every user, and leaves nothing behind.
@Suite struct DemoTests {
    @Test func explainsEightKindsOfDamage() throws {
        let stage = try Stage()
        try stage.makeFolder("tmp")
        let found = try Command(
            "env", ["TMPDIR=\(stage.folder)/tmp", Command.resync, "demo"]
        ).run()
        #expect(found.status == 0, "\(found.report)")
        #expect(found.seconds < 60)
        #expect(found.lines.contains("IN SYNC"), "\(found.report)")
        #expect(found.lines.contains("NOT IN SYNC"), "\(found.report)")
        for word in ["(zeroed on B)", "(bitflip)", "(truncated)", "missing on A", "missing on B"] {
            #expect(found.text.contains(word), "\(word): \(found.report)")
        }
        #expect(found.text.contains("* config/permissions  mode"), "\(found.report)")
        #expect(try system("ls", "-A", stage.folder + "/tmp") == "")
    }

    @Test func needsATemporaryFolder() throws {
        let found = try Command("env", ["TMPDIR=/nonexistent", Command.resync, "demo"]).run()
        #expect(found.status == 2, "\(found.report)")
        #expect(found.errorText.contains("cannot work in"), "\(found.report)")
    }
}

import Foundation
import Testing

/// What speaks against a store, and what nobody could look at.
@Suite struct TroubleTests {
    /// The kernel log is not for everybody.
    @Test func whatCouldNotBeLookedAtIsSaidInOneLine() throws {
        guard isRoot, let user = Command.find("setpriv") else {
            return skip("needs root and setpriv")
        }
        let somebody = ["--reuid=65534", "--regid=65534", "--clear-groups"]
        let canRead = try Command(user, somebody + ["head", "-c1", "/dev/kmsg"]).run()
        guard canRead.status != 0 else { return skip("everybody may read the kernel log here") }
        let stage = try Stage()
        try stage.write("a/file", "x")
        try stage.copy()
        try stage.makeFolder("state")
        try system("cp", Command.resync, stage.folder + "/program")
        try system("chmod", "755", stage.folder)
        try system("chown", "65534", stage.state)
        func verify(_ options: String...) throws -> Finished {
            let call = [
                stage.folder + "/program", "verify", stage.a, stage.b, "--settle", "0", "--state",
                stage.state,
            ]
            return try Command(user, somebody + call + options).run()
        }
        let found = try verify()
        #expect(found.status == 0, "\(found.report)")
        let lines = found.errorText.split(separator: "\n")
        #expect(lines.count == 1, "\(found.report)")
        #expect(lines.first?.contains("trouble may go unseen") == true, "\(found.report)")
        #expect(lines.first?.contains("'/dev/kmsg': ") == true, "\(found.report)")
        #expect(found.lines.last == "IN SYNC")

        let json = try verify("--json")
        #expect(json.status == 0 && json.errors.isEmpty, "\(json.report)")
        let unseen = try objects(json.lines).first?["trouble_unseen"] as? [String] ?? []
        #expect(unseen.contains { $0.hasPrefix("'/dev/kmsg': ") }, "\(json.report)")

        #expect(try verify("--quiet").errors.isEmpty)
        // Where every byte comes from the medium, nothing rests on it.
        #expect(try !verify("--assurance", "media").errorText.contains("unseen"))
    }

    @Test func whoCanLookEverywhereIsToldNothing() throws {
        guard isRoot else { return skip("only root may look everywhere") }
        let stage = try Stage()
        try stage.write("a/file", "x")
        try stage.copy()
        let found = try stage.verify("--json")
        let unseen = try objects(found.lines).first?["trouble_unseen"] as? [String] ?? []
        let text = try stage.verify()
        #expect(text.errors.isEmpty == unseen.isEmpty, "\(text.report)")
    }
}

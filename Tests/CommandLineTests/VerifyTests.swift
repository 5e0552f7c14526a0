import Foundation
import Testing

/// `resync verify` on directories: what it finds, and which status it ends with.
@Suite struct VerifyTests {
    private func stage() throws -> Stage {
        let stage = try Stage()
        try stage.write("a/small", "hello")
        try stage.write("a/large", noise(5 << 20))
        try stage.makeFolder("a/sub")
        try stage.write("a/sub/inner", noise(9000))
        try system("ln", "-s", "small", stage.a + "/link")
        try stage.copy()
        return stage
    }

    @Test func equalStoresAreInSync() throws {
        let stage = try stage()
        let found = try stage.verify()
        #expect(found.status == 0, "\(found.report)")
        #expect(found.lines.first == "5 entries: 5 same")
        #expect(found.lines.last == "IN SYNC")
        // But for what nobody can know on a machine that has said much since it was booted.
        let complaints = found.errorText.split(separator: "\n").filter {
            !$0.contains("messages since boot were overwritten")
        }
        #expect(complaints.isEmpty)
    }

    @Test func changedByteWithSizeAndTimeKeptIsFound() throws {
        let stage = try stage()
        let offset = 3_000_000
        let old = stage.bytes("b/large")[offset]
        try stage.patch("b/large", at: offset, [old ^ 0x10])
        let found = try stage.verify()
        #expect(found.status == 1, "\(found.report)")
        #expect(found.lines.first == "* large  content: bytes 4096 at 2998272 (bitflip)")
        #expect(found.lines.last == "NOT IN SYNC")
        let shown = try stage.runs("show")
        #expect(shown.status == 1)
        #expect(shown.text.contains("* large  content: bytes 4096 at 2998272"))
    }

    @Test func everyKindOfDifferenceHasItsLine() throws {
        let stage = try stage()
        try stage.remove("b/small")
        try stage.write("b/new", "x")
        try stage.patch("b/large", at: 1 << 20, [UInt8](repeating: 0, count: 8192))
        try stage.write("b/sub/inner", noise(4000))
        let found = try stage.verify()
        #expect(found.status == 1, "\(found.report)")
        let lines = Set(found.lines)
        #expect(lines.contains("+ small  missing on B"), "\(found.report)")
        #expect(lines.contains("- new  missing on A"), "\(found.report)")
        #expect(found.text.contains("* large  content: bytes 8192 at 1048576 (zeroed on B)"))
        #expect(found.text.contains("* sub/inner  size 9000 on A, 4000 on B (truncated)"))
    }

    @Test func onlyMetadataDiffers() throws {
        let stage = try stage()
        try system("chmod", "600", stage.b + "/small")
        let found = try stage.verify()
        #expect(found.status == 1)
        #expect(found.lines.first == "* small  mode")
        #expect(found.lines.last == "CONTENT IN SYNC, 1 metadata difference")
        let without = try stage.verify("--without", "mode")
        #expect(without.status == 0, "\(without.report)")
    }

    @Test func freshDifferencesAreOnlyUnconfirmed() throws {
        let stage = try stage()
        try stage.patch("b/large", at: 0, [1, 2, 3])
        let found = try stage.verify("--confirm", "0")
        #expect(found.status == 3, "\(found.report)")
        #expect(found.lines.first?.hasPrefix("~ large") == true)
    }

    @Test func nothingToCompareIsNoAgreement() throws {
        let stage = try Stage()
        try stage.makeFolder("b")
        let found = try stage.verify()
        #expect(found.status == 2)
        #expect(found.lines.last == "NOT VERIFIED: there was nothing to compare")
    }

    @Test func unreadableFileOnOneSide() throws {
        guard let nobody = try Nobody() else { return }
        let stage = try stage()
        try system("chmod", "000", stage.b + "/small", stage.a + "/small")
        let found = try nobody.verify(stage, [])
        #expect(found.status == 2, "\(found.report)")
        #expect(found.text.contains("! small"), "\(found.report)")
        #expect(found.text.contains("Permission denied"))
        #expect(found.lines.last == "NOT VERIFIED")
    }

    @Test func unreadableSubdirectoryLeavesTheRestVerified() throws {
        guard let nobody = try Nobody() else { return }
        let stage = try stage()
        try system("chmod", "000", stage.a + "/sub", stage.b + "/sub")
        let found = try nobody.verify(stage, ["--combined", "-"])
        #expect(found.status == 2, "\(found.report)")
        #expect(
            Set(found.lines) == ["= small", "= large", "= link", "! sub"], "\(found.report)")
    }

    @Test func scopeLeavesOutWhatItNames() throws {
        let stage = try stage()
        try stage.patch("b/large", at: 0, [1, 2, 3])
        try stage.write("b/sub/inner", "other")
        let excluded = try stage.verify("--exclude", "/large", "--exclude", "inner")
        #expect(excluded.text.contains("2 excluded"), "\(excluded.report)")
        #expect(excluded.status == 0, "\(excluded.report)")
        try stage.write("list", "small\nlink\n")
        let listed = try stage.verify("--files-from", stage.folder + "/list")
        #expect(listed.status == 0, "\(listed.report)")
        #expect(listed.lines.first?.hasPrefix("2 entries: 2 same") == true, "\(listed.report)")
        try stage.write("list0", "large\0sub/inner\0")
        let found = try stage.verify("--files-from", "list0", "--from0")
        #expect(found.status == 1)
        #expect(found.text.contains("* large"))
        #expect(found.text.contains("* sub/inner"))
        try stage.write("rules", "large\ninner\n")
        #expect(try stage.verify("--exclude-from", "rules").status == 0)
    }

    /// With nothing listed below it, it stands for its own entry.
    @Test func aListedDirectoryIsComparedItself() throws {
        let stage = try stage()
        try stage.write("b/sub/inner", "other")
        try stage.write("list", "sub\n")
        try system("touch", "-r", stage.a + "/sub", stage.b + "/sub")
        let same = try stage.verify("--files-from", "list")
        #expect(same.status == 0, "\(same.report)")
        #expect(same.lines.first == "1 entry: 1 same", "\(same.report)")
        try system("chmod", "700", stage.b + "/sub")
        let found = try stage.verify("--files-from", "list")
        #expect(found.status == 1, "\(found.report)")
        #expect(found.text.contains("* sub  mode"), "\(found.report)")
    }

    @Test func listedNamesThatExistNowhereAreTold() throws {
        let stage = try stage()
        try stage.write("list", "absent\n")
        let found = try stage.verify("--files-from", "list")
        #expect([2, 3].contains(found.status), "\(found.report)")
    }
}

/// A user who may read only what everybody may, with a copy of the program that this user can run.
struct Nobody {
    private let holder: Stage
    private let setpriv: String

    /// Nil, said aloud, where nobody can be had.
    init?() throws {
        guard isRoot, let setpriv = Command.find("setpriv") else {
            skip("only root can become another user with setpriv")
            return nil
        }
        holder = try Stage()
        self.setpriv = setpriv
        try system("cp", Command.resync, holder.folder + "/resync")
        try system("chmod", "755", holder.folder)
        guard try command(["--version"]).run().status == 0 else {
            skip("another user cannot run the program here")
            return nil
        }
    }

    func verify(_ stage: Stage, _ options: [String]) throws -> Finished {
        try system("chmod", "777", stage.folder)
        return try command(
            ["verify", stage.a, stage.b, "--settle", "0", "--state", stage.state] + options
        ).run()
    }

    func command(_ arguments: [String]) -> Command {
        Command(
            setpriv,
            ["--reuid=65534", "--regid=65534", "--clear-groups", holder.folder + "/resync"]
                + arguments)
    }
}

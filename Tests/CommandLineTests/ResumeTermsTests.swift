import Foundation
import Testing

/// A comparison is gone on with on the stores, and by the rules, that it was begun on.
@Suite struct ResumeTermsTests {
    /// Out of time at once, with most of it left to read.
    private func stage(_ options: String...) throws -> Stage {
        let stage = try Stage()
        for index in 0..<3 {
            try stage.write("a/file\(index)", noise(1 << 20, seed: UInt64(index + 1)))
        }
        try stage.copy()
        try stage.write("list", "file1\nfile2\n")
        let slow = ["--max-duration", "0", "--read-limit", "1MiB/s", "--workers", "1"]
        let begun = try stage.verifying(slow + options).run()
        try #require(begun.status == 10, "\(begun.report)")
        return stage
    }

    private func isRefused(_ stage: Stage, _ reason: String) throws {
        let found = try stage.runs("resume", "last")
        #expect(found.status == 2, "\(found.report)")
        #expect(found.errorText.contains("cannot go on: \(reason)"), "\(found.report)")
        #expect(found.errors.count { $0 == UInt8(ascii: "\n") } == 1, "\(found.report)")
        #expect(!found.text.contains("IN SYNC"), "\(found.report)")
        #expect(try !stage.runs("list").text.contains("IN SYNC"))
    }

    @Test func onAnotherStoreItIsRefused() throws {
        for side in ["a", "b"] {
            let stage = try stage()
            try system("mv", "\(stage.folder)/\(side)", "\(stage.folder)/old")
            try system("cp", "-a", "\(stage.folder)/old", "\(stage.folder)/\(side)")
            try isRefused(stage, "\(side.uppercased()) is not the store that it was")
        }
    }

    /// A snapshot has the identity of its origin, and so has a copy of a file system.
    @Test func onACopyOfTheFileSystemItIsRefused() throws {
        guard isRoot, Command.find("mkfs.ext4") != nil else {
            return skip("needs root and mkfs.ext4")
        }
        let stage = try stage()
        let folder = stage.folder
        defer { _ = try? system("umount", "-q", stage.b) }
        try system("truncate", "-s", "16M", folder + "/one")
        try system("mkfs.ext4", "-q", "-d", stage.a, folder + "/one")
        guard try system("mount", "-o", "loop", folder + "/one", stage.b) != nil else {
            return skip("loop devices cannot be mounted here")
        }
        let begun = try stage.verify(
            "--max-duration", "0", "--read-limit", "1MiB/s", "--workers", "1", "--without", "mtime",
            "--exclude", "lost+found")
        try #require(begun.status == 10, "\(begun.report)")
        // The second is mounted before the first goes, so that it has another device.
        try stage.makeFolder("aside")
        defer { _ = try? system("umount", "-q", folder + "/aside") }
        try system("cp", folder + "/one", folder + "/two")
        try #require(try system("mount", "-o", "loop", folder + "/two", folder + "/aside") != nil)
        try #require(try system("umount", stage.b) != nil)
        try #require(try system("mount", "--bind", folder + "/aside", stage.b) != nil)
        try isRefused(stage, "B is not the store that it was")
    }

    @Test func withOtherExclusionsItIsRefused() throws {
        let stage = try stage("--exclude-from", "list")
        try stage.write("list", "file0\n")
        try isRefused(stage, "the exclusions are not those that they were")
        try stage.write("list", "file1\nfile2\n")
        #expect(try stage.runs("resume", "last").status == 10)
    }

    @Test func withAnotherListItIsRefused() throws {
        let stage = try stage("--files-from", "list")
        try stage.write("list", "file1\n")
        try isRefused(stage, "the list of paths is not the one that it was")
    }

    @Test func anImageOfAnotherSizeIsRefused() throws {
        let stage = try stage()
        func verify(_ options: String...) throws -> Finished {
            try stage.resync(["verify", "a/file0", "b/file0", "--settle", "0"] + options).run()
        }
        let begun = try verify("--max-duration", "0", "--read-limit", "256KiB/s", "--workers", "1")
        try #require(begun.status == 10, "\(begun.report)")
        try system("truncate", "-s", "2M", stage.b + "/file0")
        try isRefused(stage, "B has 2097152 bytes now, and had 1048576")
    }

    /// Whoever cannot tell must not go on.
    @Test func aRunWithoutTermsIsRefused() throws {
        let stage = try stage()
        try system("find", stage.state + "/runs", "-name", "terms", "-delete")
        try isRefused(stage, "it does not say of which stores it is")
    }
}

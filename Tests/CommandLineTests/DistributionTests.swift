import Foundation
import TestSupport
import Testing

/// What `Scripts/install` puts in place, and that it runs where there is nothing but glibc.
@Suite(.serialized) struct DistributionTests {
    private static let documentation = [
        "share/man/man1/resync.1", "share/bash-completion/completions/resync",
        "share/zsh/site-functions/_resync", "share/fish/vendor_completions.d/resync.fish",
    ]

    @Test func installedProgramNeedsNothingButTheCLibrary() throws {
        guard isLongRun else { return skip("a release build takes minutes: RESYNC_LONG=1") }
        let stage = try Stage()
        let prefix = stage.folder + "/prefix with space"
        var install = Command(Command.project + "/Scripts/install", ["--prefix", prefix])
        install.timeout = 3600
        let installed = try install.run()
        #expect(installed.status == 0, "\(installed.report)")
        let program = prefix + "/bin/resync"
        for path in ["bin/resync"] + Self.documentation {
            #expect(stage.exists("prefix with space/" + path), "\(path)")
        }

        let needed = try #require(try system("readelf", "-d", program)).split(separator: "\n")
            .filter { $0.contains("(NEEDED)") }
        #expect(!needed.isEmpty)
        for line in needed {
            #expect(line.contains("[libc.so") || line.contains("[libm.so") || line.contains("[ld-"))
        }
        try verifyInChroot(stage, program)

        let removal = try Command(
            Command.project + "/Scripts/install", ["--prefix=" + prefix, "--uninstall"]
        ).run()
        #expect(removal.status == 0, "\(removal.report)")
        let left = try #require(try system("find", prefix, "-type", "f"))
        #expect(left.isEmpty, "\(left)")
    }

    /// Digests of every kind: what OpenSSL would load from files elsewhere must be built in.
    private func verifyInChroot(_ stage: Stage, _ program: String) throws {
        guard isRoot, let chroot = Command.find("chroot") else {
            return skip("only root can change the root")
        }
        let root = stage.folder + "/root"
        let libraries = try #require(try system("ldd", program)).split(separator: "\n")
            .compactMap { $0.split { $0 == " " || $0 == "\t" }.first { $0.hasPrefix("/") } }
            .map { String($0) }
        #expect(libraries.count == 3, "\(libraries)")
        for library in libraries {
            let path = library.split(separator: "/").dropLast().joined(separator: "/")
            let folder = root + "/" + path
            try system("mkdir", "-p", folder)
            try system("cp", "-L", library, folder)
        }
        try stage.write("a/file", noise(100_000))
        try stage.copy()
        for name in ["a", "b"] { try system("cp", "-a", stage.folder + "/" + name, root) }
        try system("cp", program, root + "/resync")
        try system("mkdir", root + "/proc")
        guard try system("mount", "-t", "proc", "proc", root + "/proc") != nil else {
            return skip("cannot mount /proc here")
        }
        defer { _ = try? system("umount", "-l", root + "/proc") }
        func run(_ arguments: String...) throws -> Finished {
            try Command(chroot, [root, "/resync"] + arguments).run()
        }
        for options in [["--digest", "gmac"], ["--digest", "sha512-256"], ["--keep"]] {
            let call = ["/a", "/b", "--settle", "0", "--state", "/state"] + options
            let found = try Command(chroot, [root, "/resync", "verify"] + call).run()
            #expect(found.status == 0, "\(options): \(found.report)")
            #expect(found.lines.last == "IN SYNC", "\(found.report)")
        }
        try stage.write("root/b/file", noise(100_000, seed: 2))
        let differs = try run("verify", "/a", "/b", "--settle", "0", "--state", "/state")
        #expect(differs.status == 1, "\(differs.report)")
        let scan = try run("scan", "/a", "-o", "/m", "--whole-file", "--state", "/state")
        #expect(scan.status == 0, "\(scan.report)")
        #expect(try run("--help").status == 0)
    }

    @Test func wrongArgumentsAreRefused() throws {
        for (script, arguments) in [
            ("install", ["--prefix"]), ("install", ["--prefix="]), ("install", ["--bogus"]),
            ("dist", ["--bogus"]),
        ] {
            let found = try Command(Command.project + "/Scripts/" + script, arguments).run()
            #expect(found.status == 64, "\(script) \(arguments): \(found.report)")
        }
    }
}

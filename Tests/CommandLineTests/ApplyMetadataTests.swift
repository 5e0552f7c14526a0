import Foundation
import Glibc
import TestSupport
import Testing

/// Modes, owners, times, attributes and access control lists: copied exactly, or said not to be.
@Suite(.serialized) struct ApplyMetadataTests {
    @Test func specialBitsAndCapabilitiesAreCopied() throws {
        guard isRoot else { return skip("owners need root") }
        let stage = try Stage()
        try stage.makeFolder("b")
        for (index, mode) in ["4755", "2755", "6711", "1777", "0000", "2640"].enumerated() {
            for store in ["a", "b"] {
                try stage.write("\(store)/f\(mode)", "same")
                try stage.write("\(store)/c\(mode)", "content of \(store)")
                try stage.makeFolder("\(store)/d\(mode)")
                try stage.write("\(store)/d\(mode)/in", store)
            }
            for name in ["f", "c", "d"] {
                try system("chown", "\(1000 + index):\(2000 + index)", "\(stage.a)/\(name)\(mode)")
                try system("chmod", mode, "\(stage.a)/\(name)\(mode)")
            }
        }
        try stage.age()
        for mode in ["4755", "2755", "6711"] { try system("chmod", mode, "\(stage.a)/c\(mode)") }
        if try system("setcap", "cap_net_raw=ep", stage.a + "/c0000") == nil {
            skip("capabilities cannot be set here")
        }
        try stage.takingBack { try stage.makeSame() }
    }

    @Test func ownersAtTheEndOfTheirRangeAreCopied() throws {
        guard isRoot else { return skip("owners need root") }
        let stage = try Stage()
        try stage.makeFolder("b")
        for store in ["a", "b"] { try stage.write("\(store)/f", "same") }
        try system("chown", "4294967294:4294967294", stage.a + "/f")
        try system("ln", "-s", "f", stage.a + "/l")
        try system("chown", "-h", "7:4294967294", stage.a + "/l")
        try stage.age()
        try stage.takingBack { try stage.makeSame() }
    }

    @Test func timesFarAwayAreCopied() throws {
        let stage = try Stage()
        try stage.makeFolder("b")
        let times = [
            "1901-12-14 00:00:00.000000001", "1969-12-31 23:59:59.999999999",
            "1970-01-01 00:00:00", "2038-01-19 03:14:08.5", "2105-06-07 08:09:10.123456789",
        ]
        for (index, time) in times.enumerated() {
            try stage.write("a/f\(index)", "new \(index)")
            try stage.write("a/m\(index)", "same")
            try stage.write("b/m\(index)", "same")
            try stage.makeFolder("a/d\(index)")
            for name in ["f", "m", "d"] {
                try system("touch", "-d", time, "\(stage.a)/\(name)\(index)")
            }
        }
        try stage.takingBack { try stage.makeSame() }
    }

    /// A file system that holds whole seconds: nothing is called the same that is not.
    @Test func timesThatDoNotFitAreSaid() throws {
        let stage = try Stage()
        guard try Self.mount(stage, "b", "mkfs.ext4 -q -F -I 128", size: "16M") else { return }
        defer { _ = try? system("umount", "-l", stage.b) }
        try stage.write("a/f", "content")
        try system("touch", "-d", "2020-01-01 00:00:00.25", stage.a + "/f")
        let leftOut = ["--exclude", "/lost+found"]
        for (window, status) in [("0s", 1), ("1s", 0)] as [(String, Int32)] {
            let options = leftOut + ["--modify-window", window]
            let planned = try stage.resync(
                ["plan", stage.a, stage.b, "--authority", "a", "-o", "p", "--force"] + options
            ).run()
            #expect(planned.status == 0, "\(planned.report)")
            if !planned.text.contains("nothing to do") {
                let applied = try stage.resync(["apply", "p"]).run()
                #expect([0, 6].contains(applied.status), "\(applied.report)")
                // What was made is known again.
                let undone = try stage.resync(["undo"]).run()
                #expect(undone.status == 0 && !stage.exists("b/f"), "\(undone.report)")
                try stage.remove("p")
                let again = try stage.resync(
                    ["plan", stage.a, stage.b, "--authority", "a", "-o", "p"] + options
                ).run()
                #expect(again.status == 0, "\(again.report)")
                #expect(try stage.resync(["apply", "p"]).run().status == 0)
            }
            #expect(stage.text("b/f") == "content")
            let found = try stage.resync(["verify", stage.a, stage.b, "--settle", "0"] + options)
                .run()
            #expect(found.status == status, "\(found.report)")
        }
    }

    @Test func attributesOfAnySizeAndNameAreCopied() throws {
        guard isRoot else { return skip("mounting needs root") }
        let stage = try Stage()
        for store in ["a", "b"] {
            guard try Self.mount(stage, store, "mkfs.xfs -q -f", size: "320M") else { return }
        }
        defer { for store in [stage.a, stage.b] { _ = try? system("umount", "-l", store) } }
        let script = """
            import os, sys
            root = os.fsencode(sys.argv[1])
            f = root + b"/f"
            open(f, "w").write("content")
            os.setxattr(f, b"user.big", b"x" * 65536)
            for n in range(1000): os.setxattr(f, b"user.%d" % n, b"v%d" % n)
            os.setxattr(f, b"user.\\x1b[2J\\xff\\xfe", b"\\0\\n\\xff")
            os.setxattr(f, b"trusted.t", b"t")
            os.setxattr(f, b"user.empty", b"")
            os.mkdir(root + b"/d")
            os.setxattr(root + b"/d", b"user.d", b"of a directory")
            os.symlink(b"f", root + b"/l")
            os.setxattr(root + b"/l", b"trusted.l", b"of a symlink", follow_symlinks=False)
            """
        guard try system("python3", "-c", script, stage.a) != nil else {
            return skip("attributes cannot be set here")
        }
        try stage.write("b/f", "content")
        try stage.age()
        try stage.takingBackInPlace { try stage.makeSame() }
    }

    /// The lists that a target's directory gives to what is made in it are not left on it.
    @Test func whatATargetsDirectoryWouldGiveIsNotKept() throws {
        let stage = try Stage()
        try stage.makeFolder("b")
        try stage.makeFolder("a/d")
        try stage.makeFolder("b/d")
        guard try system("setfacl", "-d", "-m", "u:1234:rwx,g:77:r,o::rwx", stage.b + "/d") != nil
        else { return skip("access control lists are not to be had") }
        try stage.write("a/d/file", "new")
        try stage.makeFolder("a/d/folder")
        try system("ln", "-s", "x", stage.a + "/d/link")
        try system("setfacl", "-m", "u:99:r", stage.a + "/d/file")
        try stage.age()
        try stage.takingBack { try stage.makeSame() }
    }

    /// What cannot hold attributes does not become the same by leaving them out.
    @Test func aTargetWithoutAttributesIsNotCalledTheSame() throws {
        guard isRoot else { return skip("mounting needs root") }
        let stage = try Stage()
        try stage.write("a/f", "content")
        try stage.write("a/plain", "content")
        guard try system("setfattr", "-n", "user.x", "-v", "y", stage.a + "/f") != nil else {
            return skip("attributes cannot be set here")
        }
        try stage.makeFolder("b")
        guard try system("mount", "-t", "ramfs", "ramfs", stage.b) != nil else {
            return skip("ramfs is not to be had")
        }
        defer { _ = try? system("umount", "-l", stage.b) }
        let planned = try stage.resync(
            ["plan", stage.a, stage.b, "--authority", "a", "-o", "p", "--with", "xattrs"]).run()
        #expect(planned.status == 0, "\(planned.report)")
        let id = planned.text.split(separator: " ").last.map { String($0.prefix(12)) } ?? "?"
        let applied = try stage.resync(["apply", "p", "--accept", id]).run()
        #expect(applied.status == 6, "\(applied.report)")
        #expect(applied.text.contains("! f  "), "\(applied.report)")
        #expect(!applied.text.contains("! plain"), "\(applied.report)")
        #expect(stage.text("b/plain") == "content")
        #expect(!stage.exists("b/f"))
    }

    @Test func whatIsImmutableIsLeftAndNamed() throws {
        let scene = try ApplyScene()
        guard isRoot, try system("chattr", "+i", scene.stage.b + "/f") != nil else {
            return skip("files cannot be made immutable here")
        }
        let first = try scene.apply()
        let flags = try system("lsattr", scene.stage.b + "/f")
        try system("chattr", "-i", scene.stage.b + "/f")
        #expect(first.status == 6, "\(first.report)")
        #expect(first.text.contains("! f  Operation not permitted on B"), "\(first.report)")
        #expect(flags?.split(separator: " ").first?.contains("i") == true, "\(flags ?? "")")
        #expect(scene.stage.text("b/f") == "what B had")
        let second = try scene.apply()
        #expect(second.status == 0, "\(second.report)")
        #expect(scene.stage.bytes("b/f") == scene.stage.bytes("a/f"))
    }

    /// Nobody but root can give files away: content comes over, and the rest is named.
    @Test func withoutRootOwnersAreNamed() throws {
        guard isRoot, let setpriv = Command.find("setpriv") else {
            return skip("needs root and setpriv")
        }
        let stage = try Stage(below: "/var/tmp")
        try system("chmod", "755", stage.folder)
        try stage.write("a/mine", "new")
        try stage.write("a/roots", "new")
        try stage.makeFolder("a/closed")
        try stage.write("a/closed/in", "new")
        try stage.makeFolder("b")
        try stage.makeFolder("b/shut")
        try stage.makeFolder("a/shut")
        try stage.write("a/shut/in", "new")
        try stage.makeFolder("state")
        try system("chown", "-R", "1234:1234", stage.a, stage.b, stage.state)
        try system("chown", "0:0", stage.a + "/roots")
        try system("chmod", "555", stage.a + "/closed", stage.a + "/shut", stage.b + "/shut")
        func run(_ arguments: String...) throws -> Finished {
            var command = stage.resync(arguments)
            command.arguments =
                ["--reuid", "1234", "--regid", "1234", "--clear-groups"].map { Array($0.utf8) }
                + [Array(Command.resync.utf8)] + command.arguments
            command.program = setpriv
            return try command.run()
        }
        let plan = stage.state + "/p"
        let planned = try run("plan", stage.a, stage.b, "--authority", "a", "-o", plan)
        #expect(planned.status == 0, "\(planned.report)")
        let applied = try run("apply", plan)
        #expect(applied.status == 6, "\(applied.report)")
        let refused = "Operation not permitted on B (fchownat); --without owner leaves owners alone"
        #expect(applied.text.contains("! roots  \(refused)\n"), "\(applied.report)")
        #expect(applied.text.contains("! shut/in  Permission denied on B"), "\(applied.report)")
        #expect(applied.text.components(separatedBy: "! ").count == 3, "\(applied.report)")
        #expect(stage.text("b/mine") == "new" && stage.text("b/closed/in") == "new")
        #expect(try system("stat", "-c", "%a", stage.b + "/closed") == "555\n")
    }

    private static func mount(
        _ stage: Stage, _ name: String, _ maker: String, size: String
    ) throws -> Bool {
        let image = "\(stage.folder)/\(name).image"
        try system("mkdir", "-p", "\(stage.folder)/\(name)")
        guard isRoot, try system("truncate", "-s", size, image) != nil,
            try system("sh", "-c", "\(maker) '\(image)'") != nil,
            try system("mount", "-o", "loop", image, "\(stage.folder)/\(name)") != nil
        else {
            skip("no file system by '\(maker)' can be mounted here")
            return false
        }
        return true
    }
}

extension Stage {
    /// As `takingBack`, where a copy elsewhere cannot hold what B has.
    fileprivate func takingBackInPlace(_ work: () throws -> Void) throws {
        let before = try plainTraces(b)
        try work()
        let undone = try resync(["undo"]).run()
        #expect(undone.status == 0, "\(undone.report)")
        #expect(try plainTraces(b) == before)
    }
}

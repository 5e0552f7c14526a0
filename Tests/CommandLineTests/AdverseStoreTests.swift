import Foundation
import Glibc
import TestSupport
import Testing

/// Stores with names, names of names and attributes that somebody chose to do harm, or that come of
/// another world.
@Suite(.serialized) struct AdverseStoreTests {
    // MARK: Ways out of the source

    /// A directory of the source becomes a symlink to one outside, and itself again, while it is
    /// copied.
    @Test func nothingOutsideOfTheSourceIsCopied() throws {
        guard isRoot, let flipper = try FaultProgram("flipper") else {
            return skip("whoever plays with the source is another user")
        }
        let start = ContinuousClock.now
        var (flips, attempts) = (0, 0)
        repeat {
            let stage = try Stage()
            let script = """
                set -eu
                cd "$1"; mkdir -p a/p/q b canary/p/q
                for name in $(seq 30) q/1 q/2 q/3; do
                    echo "of A, to be copied $name" >a/p/$name
                    echo "canary, to be kept $name" >canary/p/$name
                    setfattr -n user.k -v of-a a/p/$name || true
                    setfattr -n user.k -v canary canary/p/$name || true
                done
                for of in a canary; do yes $of | head -c 3000000 >$of/p/large; done
                ln -s canary-target canary/p/link; ln -s of-a a/p/link
                find a canary -exec touch -h -d @1500000000 {} +
                ln -s ../canary/p a/twin
                chmod 777 a a/p canary canary/p; chmod 755 .
                """
            let made = try Command("/bin/bash", ["-c", script, "script", stage.folder]).run()
            try #require(made.status == 0, "\(made.report)")
            let id = try stage.planned()
            let attacker = try Command(
                flipper.path, ["65534", stage.a + "/p", stage.a + "/twin"]
            ).start()
            for _ in 0..<3 {
                let done = try stage.applying(id, "--workers", "2").run()
                #expect(done.status != 70 && done.status < 128, "\(done.report)")
                attempts += 1
            }
            attacker.signal(SIGTERM)
            flips += Int(try attacker.wait().text.filter(\.isNumber)) ?? 0
            let found = try Command("/bin/grep", ["-rlaF", "canary", stage.b]).run()
            #expect(found.status == 1, "\(found.report)")
            let links = try system("find", stage.b, "-lname", "*canary-target*")
            #expect(links == "", "\(links ?? "")")
            let attributes = try system("getfattr", "-Rd", stage.b) ?? ""
            #expect(!attributes.contains("canary"), "\(attributes)")
        } while start.duration(to: .now) < .seconds(isLongRun ? 20 : 2)
        #expect(flips > attempts * 10)
    }

    /// Its other name is for root alone, and so is the copy.
    @Test func aHardLinkToASecretIsCopiedForItsOwnerOnly() throws {
        guard isRoot else { return skip("giving files away needs root") }
        let stage = try Stage()
        try stage.makeFolder("b")
        try stage.write("secret", "the password")
        try system("chmod", "600", stage.folder + "/secret")
        try system("chown", "12345:12346", stage.folder + "/secret")
        try system("ln", stage.folder + "/secret", stage.a + "/innocent")
        try stage.write("a/more", "more")
        try stage.age()
        try stage.makeSame()
        let format = "%a %u:%g %h"
        #expect(try system("stat", "-c", format, stage.b + "/innocent") == "600 12345:12346 1\n")
        #expect(stage.text("b/innocent") == "the password")
        // The stores hold the same names of the same files, which is what is compared.
        let compared = try stage.verify("--with", "links")
        #expect(compared.status == 0, "\(compared.report)")
        // A second name inside is one more than B has.
        try system("ln", stage.a + "/innocent", stage.a + "/again")
        try system("cp", "-a", stage.b + "/innocent", stage.b + "/again")
        let split = try stage.verify("--with", "links")
        #expect(split.status == 1, "\(split.report)")
        #expect(split.text.contains("links"), "\(split.report)")
    }

    // MARK: Attributes of another world

    /// It is neither an attribute nor compared: it says whose quota an entry counts for. A copy
    /// counts for that of its directory.
    @Test(arguments: [LoopMount.Kind.ext4, .xfs])
    func projectNumbersAreNotComparedAndFailNothing(_ kind: LoopMount.Kind) throws {
        let features = kind == .ext4 ? ["-I", "256", "-O", "project"] : []
        guard let mount = try LoopMount(kind, features: features) else { return }
        let stage = try Stage(below: mount.point)
        try stage.makeFolder("a/d")
        for name in ["d/f", "g"] { try stage.write("a/\(name)", "same \(name)") }
        try stage.copy()
        guard try system("chattr", "-p", "7", stage.a + "/g") != nil,
            try system("chattr", "-R", "+P", "-p", "9", stage.b + "/d") != nil
        else { return skip("project numbers cannot be set here") }
        try stage.age()
        let compared = try stage.verify("--with", "xattrs,acl")
        #expect(compared.status == 0, "\(compared.report)")
        try stage.write("a/d/f", "another one")
        try stage.write("a/d/new", "made")
        try system(
            "touch", "-d", "2020-01-01", stage.a + "/d/f", stage.a + "/d/new", stage.a + "/d")
        try stage.takingBack { try stage.makeSame() }
        // What stands in such a directory and counts for another project.
        try stage.write("a/d/f", "one more")
        try stage.age()
        #expect(try system("chattr", "-p", "8", stage.b + "/d/f") != nil)
        let planned = try stage.resync(
            ["plan", stage.a, stage.b, "--authority", "a", "-o", "p", "--force"]).run()
        #expect(planned.status == 0, "\(planned.report)")
        let applied = try stage.resync(["apply", "p"]).run()
        guard kind == .ext4, applied.status == 6 else {
            #expect(applied.status == 0, "\(applied.report)")
            return #expect(stage.text("b/d/f") == "one more")
        }
        // There no name may come to such a directory that counts for another project.
        #expect(applied.text.contains("! d/f  Invalid cross-device link on B"), "\(applied.report)")
        #expect(stage.text("b/d/f") == "another one")
    }

    /// As any other attribute: told with `--with xattrs`, and copied.
    @Test func labelsAreComparedAndCopiedWithTheAttributes() throws {
        let stage = try Stage()
        for name in ["f", "g"] { try stage.write("a/\(name)", "same \(name)") }
        try stage.copy()
        for (store, label) in [(stage.a, "one_t"), (stage.b, "other_t")] {
            let set = try system(
                "setfattr", "-n", "security.selinux", "-v", "u:object_r:\(label):s0", store + "/f")
            guard isRoot, set != nil else { return skip("labels cannot be set here") }
        }
        try stage.age()
        let plain = try stage.verify()
        #expect(plain.status == 0, "\(plain.report)")
        let compared = try stage.verify("--with", "xattrs")
        #expect(compared.status == 1, "\(compared.report)")
        #expect(compared.lines.first == "* f  xattrs", "\(compared.report)")
        try stage.takingBack { try stage.makeSame() }
    }

    // MARK: Names

    /// What moves a cursor, ends a line or begins a command of a terminal is spelled out.
    @Test func namesAreEscapedInEveryLineAboutARun() throws {
        let scene = try ApplyScene()
        let stage = scene.stage
        let name = "e\u{1b}[2J\nn\u{9b}m\r\u{7f}"
        let shown = #"e\x1b[2J\x0an\xc2\x9bm\x0d\x7f"#
        try stage.write("a/\(name)", "new")
        try stage.write("b/\(name)", "what B had")
        try stage.write("b/gone\(name)", "only on B")
        try system("find", stage.a, stage.b, "-exec", "touch", "-d", "2020-01-01", "{}", "+")
        try scene.makePlan()
        try stage.write("b/gone\(name)", "edited since")
        func check(_ line: String, _ arguments: String..., also: [String] = []) throws {
            let found = try stage.resync(arguments).run()
            #expect(found.lines.contains { $0.hasPrefix(line) }, "\(arguments): \(found.report)")
            for bytes in [found.output, found.errors] {
                let raw = bytes.filter { $0 < 0x20 && $0 != 0x0a || $0 == 0x7f }
                #expect(raw == [], "\(arguments)")
                #expect(!found.text.unicodeScalars.contains { (0x80..<0xa0).contains($0.value) })
            }
            #expect(!found.text.contains("\nn"), "\(arguments)")
        }
        try check("! gone\(shown)  changed on B", "apply", scene.plan)
        let listed = try scene.run("quarantine", "list")
        #expect(listed.text.contains("  B  \(shown)  "), "\(listed.report)")
        #expect(!listed.output.contains(0x1b) && !listed.output.contains(0x9b))
        try stage.write("b/\(name)", "edited since, too")
        try check("* \(shown)  ", "confirm")
        try check("! \(shown)  changed on B", "undo")
        let again = try scene.run("quarantine", "list")
        #expect(!again.output.contains(0x1b) && !again.output.contains(0x9b), "\(again.report)")
    }

    /// Below the root a name like that of what is staged is a user's, which no journal claims: it
    /// is told as a difference, goes into quarantine at most, and comes back.
    @Test func namesLikeStagedOnesBelowTheRootAreTheUsers() throws {
        let stage = try Stage()
        try stage.makeFolder("a/d")
        for name in ["d/f", "g", "h"] { try stage.write("a/\(name)", "same \(name)") }
        try stage.copy()
        let name = "d/.resync-staged-0123456789abcdef0123456789abcdef"
        try stage.write("b/\(name)", "left by a run without a journal")
        try stage.age()
        let compared = try stage.verify()
        #expect(compared.status == 1, "\(compared.report)")
        #expect(compared.lines.first == "- \(name)  missing on A", "\(compared.report)")
        try stage.takingBack {
            try stage.makeSame()
            #expect(!stage.exists("b/\(name)"))
            let kept = try stage.resync(["quarantine", "list"]).run()
            #expect(kept.text.contains("  B  \(name)  "), "\(kept.report)")
        }
        #expect(stage.text("b/\(name)") == "left by a run without a journal")
    }

    // MARK: Ways to a store

    /// Whoever made a symlink on the way to a store leads the next command elsewhere.
    @Test func aWayThroughSomebodyElsesSymlinkIsRefusedByAllThatChange() throws {
        guard isRoot else { return skip("giving symlinks away needs root") }
        let words = "is a symlink that somebody else has made"
        for isAbove in [false, true] {
            let scene = try ApplyScene()
            let stage = scene.stage
            let link = stage.folder + "/link"
            try system("ln", "-s", isAbove ? "." : "b", link)
            let store = isAbove ? link + "/b" : link
            let planned = try scene.run("plan", stage.a, store, "--authority", "a", "-o", "q")
            #expect(planned.status == 0, "\(planned.report)")
            func refused(_ commands: [[String]]) throws {
                try system("chown", "-h", "12345", link)
                for arguments in commands {
                    let before = (try scene.a, try scene.b)
                    let found = try stage.resync(arguments).run()
                    #expect(found.status == 64, "\(arguments): \(found.report)")
                    #expect(found.errorText.contains(words), "\(arguments): \(found.report)")
                    #expect(try scene.a == before.0 && scene.b == before.1, "\(arguments)")
                }
                try system("chown", "-h", "0", link)
            }
            var adoptions = [["store", "adopt", store]]
            if !isAbove { adoptions.append(["store", "adopt", store + "/"]) }
            try refused([["apply", "q"]] + adoptions)
            #expect(try scene.run("apply", "q").status == 0)
            try refused([["confirm"], ["undo"], ["quarantine", "erase", "f"]] + adoptions)
            #expect(try scene.run("confirm").status == 0)
            try refused([["quarantine", "purge", "--older-than", "0s"], ["undo"]])
            let kept = try scene.run("quarantine", "list")
            #expect(kept.lines.last == "5 kept, 25 B", "\(kept.report)")
            let freed = try scene.run("quarantine", "purge", "--older-than", "0s")
            #expect(freed.status == 0, "\(freed.report)")
        }
    }
}

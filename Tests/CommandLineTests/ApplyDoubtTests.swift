import Foundation
import Glibc
import TestSupport
import Testing

/// What an apply, its undo and its confirming leave behind is taken for no more than it is.
@Suite struct ApplyDoubtTests {
    private let stage: Stage

    init() throws {
        stage = try Stage(below: "/var/tmp")
        for name in ["f1", "f2", "f3"] { try stage.write("a/" + name, "base of " + name) }
        try stage.makeFolder("b")
        try same()
    }

    private func run(_ arguments: String...) throws -> Finished {
        try stage.resync(arguments).run()
    }

    /// Runs it and expects a status.
    @discardableResult
    private func expect(_ status: Int32, _ arguments: String...) throws -> Finished {
        let done = try stage.resync(arguments).run()
        #expect(done.status == status, "\(arguments): \(done.report)")
        return done
    }

    /// Both sides alike, and long untouched.
    private func same() throws {
        try system("rsync", "-aX", "--delete", "--exclude=/.resync*", stage.a + "/", stage.b + "/")
        try age()
    }

    private func age() throws {
        try system("find", stage.a, stage.b, "-exec", "touch", "-hd", "2020-01-01", "{}", "+")
    }

    private func keep() throws {
        // What was written just before it is read is proven of nothing.
        usleep(2_200_000)
        try expect(0, "verify", stage.a, stage.b, "--keep")
    }

    /// From a comparison that waits for nothing.
    private func plan(_ more: String...) throws -> Finished {
        var (compared, planned): ([String], [String]) = ([], [])
        var isCompared = false
        for word in more {
            if word.hasPrefix("--") { isCompared = ["--with", "--exclude"].contains(word) }
            if isCompared { compared.append(word) } else { planned.append(word) }
        }
        let verify = ["verify", stage.a, stage.b, "--settle", "0s"] + compared
        let found = try stage.resync(verify).run()
        #expect([0, 1].contains(found.status), "\(found.report)")
        return try stage.resync(["plan", "last", "-o", "p", "--force"] + planned).run()
    }

    private func shown() throws -> String {
        try Command(Command.resync, ["plan", "show", stage.folder + "/p"]).run().text
    }

    private func planID() throws -> String {
        let text = try shown()
        return String(try #require(text.firstMatch(of: /plan ([0-9a-f]{12})/)).output.1)
    }

    // MARK: Undo

    /// How what was applied came to be proven before it was taken back.
    enum Proof: CaseIterable { case partly, slice, verified, none }

    /// The baseline says what both shared once, and that is no more what B has.
    @Test(arguments: Proof.allCases)
    func whatWasTakenBackDoesNotWin(_ proof: Proof) throws {
        try keep()
        try stage.write("a/f1", "an edit of f1")
        try stage.write("a/f2", "an edit of f2")
        #expect(try plan("--authority", "baseline").status == 0)
        let held = proof == .partly ? open(stage.b + "/f2", O_RDWR) : -1
        let applying =
            proof == .slice ? ["apply", "p", "--max-undo", "13"] : ["apply", "p"]
        let applied = try stage.resync(applying).run()
        if held >= 0 { close(held) }
        switch proof {
        case .partly:
            #expect(applied.status == 6, "\(applied.report)")
            try expect(6, "confirm")
        case .slice: #expect(applied.status == 6, "\(applied.report)")
        case .verified:
            #expect(applied.status == 0, "\(applied.report)")
            try keep()
        case .none: #expect(applied.status == 0, "\(applied.report)")
        }
        try expect(0, "undo")
        #expect(stage.text("b/f1") == "base of f1")
        let again = try plan("--authority", "baseline")
        let planned = try shown()
        #expect(!planned.contains("* A"), "\(planned)\(again.report)")
        #expect(planned.contains("* B f1") == (proof == .none), "\(planned)")
        if again.status == 0 { try expect(0, "apply", "p") }
        #expect(stage.text("a/f1") == "an edit of f1")
        #expect(stage.text("a/f2") == "an edit of f2")
    }

    @Test func whatWasTakenBackIsNotConfirmed() throws {
        try stage.write("a/f1", "an edit of f1")
        #expect(try plan("--authority", "a").status == 0)
        try expect(0, "apply", "p")
        try expect(0, "undo")
        let confirmed = try expect(64, "confirm")
        #expect(confirmed.errorText.contains("was taken back"), "\(confirmed.report)")
        let none = try plan("--authority", "baseline")
        #expect(none.errorText.contains("has no baseline"), "\(none.report)")
    }

    /// What somebody went on to edit is theirs: the store is not changed in part for ever.
    @Test func anEditSinceDoesNotLeaveTheStoreInPart() throws {
        for name in ["f1", "f2"] { try stage.write("a/" + name, "an edit") }
        #expect(try plan("--authority", "a").status == 0)
        try expect(0, "apply", "p")
        try stage.write("b/f1", "edited once more")
        try expect(6, "undo")
        #expect(stage.text("b/f1") == "edited once more")
        #expect(stage.text("b/f2") == "base of f2")
        let next = try plan("--authority", "a")
        #expect(!next.text.contains("would be refused"), "\(next.report)")
        try expect(0, "apply", "p")
    }

    /// What was let go of cannot come back: the store stays as it is, and is no half of anything.
    @Test func whatWasErasedDoesNotLeaveTheStoreInPart() throws {
        for name in ["f1", "f2"] { try stage.write("a/" + name, "an edit") }
        #expect(try plan("--authority", "a").status == 0)
        try expect(0, "apply", "p")
        try expect(0, "quarantine", "erase", "f1")
        try expect(6, "undo")
        #expect(stage.text("b/f1") == "an edit" && stage.text("b/f2") == "base of f2")
        let next = try plan("--authority", "a")
        #expect(!next.text.contains("would be refused"), "\(next.report)")
    }

    /// They agree in that part, and the rest is as old as it was.
    @Test func aPartThatAgreesDoesNotMakeTheStoresAgree() throws {
        for name in ["f1", "f2"] { try stage.write("a/" + name, "an edit") }
        #expect(try plan("--authority", "a", "--path", "f1").status == 0)
        try expect(0, "apply", "p")
        let confirmed = try expect(0, "confirm")
        #expect(confirmed.text.contains("of a part of the stores"), "\(confirmed.report)")
        let shown = try Command(Command.resync, ["store", "show", stage.b]).run()
        #expect(shown.text.contains("baseline  none"), "\(shown.report)")
        #expect(shown.text.contains("state     consistent"), "\(shown.report)")
    }

    /// An old run's damage is its own.
    @Test func anotherRunsDamageKeepsNobody() throws {
        try stage.write("a/f1", "an edit")
        #expect(try plan("--authority", "a").status == 0)
        try expect(0, "apply", "p")
        try expect(0, "confirm")
        let journals = try system("find", stage.state + "/runs", "-name", "journal")
        let journal = try #require(journals?.split(separator: "\n").first)
        try system("sh", "-c", "printf x | dd of='\(journal)' bs=1 seek=40 conv=notrunc")
        try stage.write("a/f2", "another edit")
        #expect(try plan("--authority", "a").status == 0)
        try expect(0, "apply", "p")
        #expect(stage.text("b/f2") == "another edit")
    }

    @Test func aRunThatNobodyHasCanBeGivenUp() throws {
        try stage.write("a/f1", "an edit")
        #expect(try plan("--authority", "a").status == 0)
        try expect(0, "apply", "p")
        try system("rm", "-rf", stage.state)
        let adopting = ["store", "adopt", stage.b]
        let refused = try stage.resync(adopting).run()
        #expect(refused.status == 5, "\(refused.report)")
        #expect(refused.errorText.contains("--force"), "\(refused.report)")
        func id() throws -> String? {
            try Command(Command.resync, ["store", "show", stage.b]).run().lines.first
        }
        let before = try id()
        #expect(try stage.resync(adopting + ["--force"]).run().status == 0)
        #expect(try id() == before)
        #expect(try stage.resync(adopting).run().text.contains("already ours"))
    }

    // MARK: Attributes

    @Test func capabilitiesOutliveAChangeOfOwner() throws {
        guard isRoot, Command.find("setcap") != nil else { return skip("needs root and setcap") }
        for side in ["a", "b"] {
            try system("chmod", "755", "\(stage.folder)/\(side)/f1")
            try system("chown", side == "a" ? "7:7" : "8:8", "\(stage.folder)/\(side)/f1")
            guard try system("setcap", "cap_net_raw=ep", "\(stage.folder)/\(side)/f1") != nil else {
                return skip("no capabilities can be set here")
            }
        }
        try age()
        func capabilities() throws -> String? { try system("getcap", stage.b + "/f1") }
        let before = try capabilities()
        #expect(before?.contains("cap_net_raw") == true)
        #expect(try plan("--authority", "a").status == 0)
        try expect(0, "apply", "p")
        #expect(try capabilities() == before)
        #expect(try system("stat", "-c", "%u", stage.b + "/f1") == "7\n")
        try expect(0, "undo")
        #expect(try capabilities() == before)
        #expect(try system("stat", "-c", "%u", stage.b + "/f1") == "8\n")
    }

    /// What is no program may have some as well: then its owner stays.
    @Test func capabilitiesThatMeanNothingAreNotLost() throws {
        guard isRoot, try system("setcap", "cap_net_raw=ep", stage.b + "/f1") != nil
        else { return skip("needs root and setcap") }
        try system("chown", "7:7", stage.a + "/f1")
        #expect(try plan("--authority", "a").status == 0)
        try expect(6, "apply", "p")
        #expect(try system("getcap", stage.b + "/f1")?.contains("cap_net_raw") == true)
    }

    private func set(_ name: String, _ value: String, on path: String) throws -> Bool {
        try system("setfattr", "-n", name, "-v", value, "\(stage.folder)/\(path)") != nil
    }

    private func attribute(_ name: String, of path: String) throws -> String? {
        try system("getfattr", "--only-values", "-n", name, "\(stage.folder)/\(path)")
    }

    /// Nobody else has them, and no quarantine keeps those of a directory.
    @Test func attributesThatAUserGaveADirectoryStay() throws {
        for side in ["a", "b"] { try stage.makeFolder(side + "/d") }
        guard try set("user.old", "1", on: "b/d"), try set("user.new", "2", on: "a/d") else {
            return skip("no user attributes here")
        }
        try stage.write("a/d/in", "new")
        try stage.write("a/f2", "an edit of f2")
        let held = open(stage.b + "/f2", O_RDWR)
        #expect(try plan("--authority", "a", "--with", "xattrs,acl").status == 0)
        try expect(6, "apply", "p")
        close(held)
        #expect(try attribute("user.new", of: "b/d") == "2")
        _ = try set("user.mine", "3", on: "b/d")
        let on = try expect(6, "apply", "p")
        #expect(on.text.contains("! d  changed on B"), "\(on.report)")
        #expect(try attribute("user.mine", of: "b/d") == "3")
        let undone = try expect(6, "undo")
        #expect(undone.text.contains("! d  changed on B"), "\(undone.report)")
        #expect(try attribute("user.mine", of: "b/d") == "3")
        try system("setfattr", "-x", "user.mine", stage.b + "/d")
        try expect(0, "undo")
        #expect(try attribute("user.old", of: "b/d") == "1")
        #expect(try attribute("user.new", of: "b/d") == nil)
    }

    @Test func attributesGivenSinceThePlanAreAChange() throws {
        try stage.write("a/f1", "an edit of f1")
        guard try set("user.other", "1", on: "a/f3") else { return skip("no user attributes here") }
        #expect(try plan("--authority", "a", "--with", "xattrs,acl").status == 0)
        _ = try set("user.mine", "2", on: "b/f1")
        let applied = try expect(6, "apply", "p")
        #expect(applied.text.contains("! f1  changed on B"), "\(applied.report)")
        #expect(try attribute("user.mine", of: "b/f1") == "2")
    }

    @Test func whatAUserGaveAttributesIsNotPurged() throws {
        try stage.write("a/new", "made by the run")
        #expect(try plan("--authority", "a").status == 0)
        try expect(0, "apply", "p")
        guard try set("user.mine", "1", on: "b/new") else { return skip("no user attributes here") }
        try expect(0, "undo")
        try expect(6, "quarantine", "purge", "last", "--older-than", "0s")
        let kept = try system("find", stage.b + "/.resync-quarantine", "-type", "f")
        let path = try #require(kept?.split(separator: "\n").first)
        #expect(try system("getfattr", "--only-values", "-n", "user.mine", String(path)) == "1")
    }

    // MARK: Other stores

    /// Files that lie below a mount point, as long as nothing is mounted there.
    @Test(arguments: ["a", "b"])
    func anUnmarkedStoreIsNotTheOneThatAgreed(_ side: String) throws {
        try stage.write("a/f1", "an edit of f1")
        #expect(try plan("--authority", "a").status == 0)
        try expect(0, "apply", "p")
        try expect(0, "confirm")
        try system("mv", "\(stage.folder)/\(side)", stage.folder + "/unmounted")
        try stage.makeFolder(side)
        for name in ["f1", "f2"] { try stage.write("\(side)/\(name)", "stale") }
        let other = side == "a" ? "b" : "a"
        let before = try plainTraces("\(stage.folder)/\(other)")
        let planned = try plan("--authority", "a")
        #expect(planned.status == 0, "\(planned.report)")
        let refused = try expect(5, "apply", "p")
        let line = "\(side.uppercased()) has no marker"
        #expect(refused.errorText.contains(line), "\(refused.report)")
        // There is one way to take it.
        let id = try #require(planned.text.split(separator: "plan ").last?.prefix(12))
        try expect(5, "apply", "p", "--accept", String(id))
        #expect(try plainTraces("\(stage.folder)/\(other)") == before)
        #expect(stage.text("\(side)/f1") == "stale")
        try expect(0, "store", "adopt", "\(stage.folder)/\(side)")
        #expect(try plan("--authority", "a").status == 0)
        let adopted = try run("apply", "p")
        #expect(!adopted.errorText.contains("has no marker"), "\(adopted.report)")
    }

    /// What was done to another store would count as done to this one.
    @Test func nobodyAcceptsAnotherStore() throws {
        try stage.write("a/f1", "an edit of f1")
        try system("rm", stage.a + "/f2")
        try stage.write("a/f3", "")
        #expect(try plan("--authority", "a").status == 0)
        let id = try planID()
        try system("mv", stage.b, stage.folder + "/unmounted")
        try stage.makeFolder("b")
        try stage.write("b/f1", "of another store")
        let refused = try expect(5, "apply", "p", "--accept", id)
        #expect(refused.errorText.contains("not the store that the plan"), "\(refused.report)")
        #expect(!refused.errorText.contains("--accept"), "\(refused.report)")
        #expect(stage.text("b/f1") == "of another store")
    }

    // MARK: Links

    @Test func aLinkThatIsNoneIsNotConfirmed() throws {
        try system("ln", "-f", stage.a + "/f1", stage.a + "/f2")
        try system("cp", "-p", stage.a + "/f1", stage.b + "/f2")
        try age()
        #expect(try plan("--authority", "a", "--with", "links").status == 0)
        try expect(0, "apply", "p")
        let script = "cd '\(stage.b)' && rm f2 && cp -p f1 f2"
        try system("sh", "-c", script)
        let confirmed = try expect(1, "confirm")
        #expect(confirmed.text.contains("* f2  links"), "\(confirmed.report)")
    }

    // MARK: What was left out

    /// On one side the name is a directory, and left out.
    @Test(arguments: ["a", "b"]) func aNameThatIsLeftOutOnOneSideStays(_ authority: String) throws {
        try stage.makeFolder("a/foo")
        try stage.write("a/foo/in", "left out")
        try stage.write("b/foo", "a file")
        let planned = try plan("--authority", authority, "--exclude", "foo/")
        #expect(planned.text.contains("x foo  left out on one side"), "\(planned.report)")
        #expect(try !shown().contains("foo"), "\(planned.report)")
    }

    @Test func aDirectoryWithWhatWasLeftOutIsNotMoved() throws {
        try stage.makeFolder("b/d")
        try stage.write("b/d/x.tmp", "left out")
        try stage.write("b/d/y", "goes")
        try age()
        #expect(
            try plan("--authority", "a", "--accept-deletions", "--exclude", "*.tmp").status == 0)
        let inode = try system("stat", "-c", "%i %Z", stage.b + "/d/x.tmp")
        let applied = try expect(0, "apply", "p")
        #expect(applied.text.contains("left as they are: 1 deletions"), "\(applied.report)")
        #expect(try system("stat", "-c", "%i %Z", stage.b + "/d/x.tmp") == inode)
        #expect(!stage.exists("b/d/y"))
    }
}

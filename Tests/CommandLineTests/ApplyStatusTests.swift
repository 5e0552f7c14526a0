import Foundation
import Glibc
import Testing

/// Plans and runs that cannot be carried out, gone on with or taken back: one clear line, the right
/// status, and nothing is written.
@Suite struct ApplyStatusTests {
    // MARK: The plan

    @Test func aPlanThatWasAlteredIsNotCarriedOut() throws {
        let scene = try ApplyScene()
        let whole = scene.stage.bytes("p")
        for at in [3, whole.count / 3, whole.count / 2, whole.count - 5] {
            var bytes = whole
            bytes[at] ^= 1
            try scene.stage.write("p", bytes)
            try scene.refuses(2, "plan") { try scene.apply() }
        }
        for count in [0, 10, whole.count / 2, whole.count - 1] {
            try scene.stage.write("p", Array(whole.prefix(count)))
            try scene.refuses(2, "plan") { try scene.apply() }
        }
        try scene.stage.write("p", whole + [0])
        try scene.refuses(2, "plan") { try scene.apply() }
        try scene.stage.write("p", noise(5000))
        try scene.refuses(2, "plan") { try scene.apply() }
        try scene.stage.remove("p")
        try scene.refuses(2, "No such file") { try scene.apply() }
        try scene.stage.write("p", whole)
        try scene.applied()
    }

    @Test func aPlanIsCarriedOutOnce() throws {
        let scene = try ApplyScene()
        try scene.applied()
        try scene.refuses(64, "carried out already") { try scene.apply() }
        let undone = try scene.run("undo")
        #expect(undone.status == 0, "\(undone.report)")
        try scene.refuses(64, "taken back") { try scene.apply() }
    }

    // MARK: The stores

    /// As when a file system is not mounted any more, and what lies below it comes to light.
    @Test func nothingIsPlannedForOtherStoresThanWereCompared() throws {
        let scene = try ApplyScene()
        let stage = scene.stage
        try system("mv", stage.b, stage.folder + "/real")
        try system("cp", "-a", stage.folder + "/real", stage.b)
        try scene.refuses(5, "b' is not the store that run") {
            try scene.run("plan", "last", "--authority", "a", "-o", "other")
        }
        #expect(!stage.exists("other"))
        try stage.remove("b")
        try system("mv", stage.folder + "/real", stage.b)
        let planned = try scene.run("plan", "last", "--authority", "a", "-o", "other")
        #expect(planned.status == 0, "\(planned.report)")
    }

    @Test func otherStoresUnderTheNamesAreRefused() throws {
        let scene = try ApplyScene()
        let stage = scene.stage
        try system("mv", stage.b, stage.folder + "/real")
        try system("cp", "-a", stage.folder + "/real", stage.b)
        try scene.refuses(5, "B is not the store that the plan was made for", lines: 2) {
            try scene.apply()
        }
        try stage.remove("b")
        try stage.makeFolder("b")
        try scene.refuses(5, "B is not the store", lines: 2) { try scene.apply() }
        try stage.remove("b")
        let before = try scene.a
        let missing = try scene.apply()
        #expect(missing.status == 2, "\(missing.report)")
        #expect(missing.errorText.split(separator: "\n").count == 1, "\(missing.report)")
        #expect(!stage.exists("b"))
        #expect(try scene.a == before)
        try system("mv", stage.folder + "/real", stage.b)
        try scene.applied()
    }

    @Test func aSourceThatIsGoneOrEmptyIsRefused() throws {
        let scene = try ApplyScene()
        let stage = scene.stage
        try system(
            "sh", "-c", "mkdir '\(stage.folder)/keep' && mv '\(stage.a)'/* '\(stage.folder)/keep'")
        try scene.refuses(5, "A is empty: is it mounted?", lines: 2) { try scene.apply() }
        try system("sh", "-c", "mv '\(stage.folder)/keep'/* '\(stage.a)'")
        try system("mv", stage.a, stage.folder + "/away")
        let before = try scene.b
        let gone = try scene.apply()
        #expect(gone.status == 2, "\(gone.report)")
        #expect(gone.errorText.split(separator: "\n").count == 1, "\(gone.report)")
        #expect(try scene.b == before)
    }

    /// Others could take away what is kept there.
    @Test func aQuarantineThatIsOpenToOthersIsRefused() throws {
        let scene = try ApplyScene()
        let quarantine = scene.stage.b + "/.resync-quarantine"
        try scene.stage.makeFolder("b/.resync-quarantine")
        try system("chmod", "777", quarantine)
        try scene.refuses(5, "'\(quarantine)' is open to others") { try scene.apply() }
        #expect(!scene.stage.exists("b/.resync-store"))
        try system("chmod", "700", quarantine)
        try scene.applied()
        try system("chmod", "777", quarantine)
        try scene.refuses(5, "'\(quarantine)' is open to others") { try scene.run("undo") }
    }

    /// Which is due, a person could not see from a store's mark.
    @Test func aRunThatWasNeverConfirmedIsNamed() throws {
        let scene = try ApplyScene()
        try scene.applied()
        let first = try scene.runFolder().split(separator: "/").last.map { String($0) } ?? "?"
        try scene.stage.write("a/g", "another")
        #expect(try scene.stage.verify().status == 1)
        let planned = try scene.run(
            "plan", "last", "--authority", "a", "-o", "p", "--json", "--force")
        let id = try objects(planned.lines).compactMap { $0["plan"] as? String }.last ?? "?"
        let applied = try scene.apply("--accept", id)
        #expect(applied.status == 0, "\(applied.report)")
        let confirmed = try scene.run("confirm")
        let line = "B stays marked as changed in part by run \(first): 'resync confirm \(first)'"
        #expect(confirmed.status == 0 && confirmed.text.contains(line), "\(confirmed.report)")
        let list = try scene.run("runs", "list").text
        #expect(list.contains("applied, not confirmed; confirm or undo is due"), "\(list)")
        #expect(try scene.run("confirm", first).text.contains("stays marked") == false)
        let marker = try Command(Command.resync, ["store", "show", scene.stage.b]).run()
        #expect(marker.text.contains("state     consistent"), "\(marker.report)")
    }

    @Test func aReadOnlyTargetIsRefused() throws {
        let stage = try Stage()
        try stage.write("a/f", "new")
        guard let mount = try Mount(ext4: "16M", at: stage.folder, "b") else { return }
        defer { withExtendedLifetime(mount) {} }
        try stage.write("b/f", "old")
        let compared = try stage.verify("--exclude", "/lost+found")
        #expect(compared.status == 1, "\(compared.report)")
        let planned = try stage.resync(["plan", "last", "--authority", "a", "-o", "p"]).run()
        #expect(planned.status == 0, "\(planned.report)")
        guard try system("mount", "-o", "remount,ro", stage.b) != nil else {
            return skip("a mount cannot be made read-only here")
        }
        let before = try traces(stage.b)
        let found = try stage.resync(["apply", "p"]).run()
        #expect(found.status == 5, "\(found.report)")
        #expect(found.errorText.contains("B is mounted read-only"), "\(found.report)")
        // Accepted all the same, it fails in one line, and goes on when it can.
        let id = found.errorText.split(separator: " ").first { $0.count == 12 }.map { String($0) }
        let accepted = try stage.resync(["apply", "p", "--accept", id ?? "?"]).run()
        #expect([2, 6].contains(accepted.status), "\(accepted.report)")
        #expect(accepted.report.contains("Read-only file system"), "\(accepted.report)")
        #expect(try traces(stage.b) == before)
        try system("mount", "-o", "remount,rw", stage.b)
        #expect(try stage.resync(["apply", "p"]).run().status == 0)
        #expect(stage.text("b/f") == "new")
    }

    // MARK: The journal

    /// A run that did all but one thing, so that the same command would go on.
    private func begun() throws -> ApplyScene {
        let scene = try ApplyScene()
        try scene.stage.write("b/extra", "edited since the plan")
        let found = try scene.apply()
        #expect(found.status == 6, "\(found.report)")
        #expect(found.text.contains("! extra  changed on B since the plan was made"))
        return scene
    }

    @Test func whatACrashLeftAtTheEndOfAJournalIsNoDamage() throws {
        for tail in [[0], Array(repeating: 0x52, count: 300), noise(5000)] as [[UInt8]] {
            let scene = try begun()
            let journal = try scene.runFolder() + "/journal"
            let bytes = try #require(FileManager.default.contents(atPath: journal))
            try (bytes + Data(tail)).write(to: URL(filePath: journal))
            let found = try scene.apply()
            #expect(found.status == 6, "\(found.report)")
            #expect(scene.stage.text("b/extra") == "edited since the plan")
            // Cut in its last record: that is settled anew.
            try bytes.dropLast(7).write(to: URL(filePath: journal))
            #expect(try scene.apply().status == 6)
            let undone = try scene.run("undo")
            #expect(undone.status == 0, "\(undone.report)")
            #expect(scene.stage.text("b/f") == "what B had")
            #expect(scene.stage.text("b/old/two") == "two")
        }
    }

    @Test func aJournalDamagedInItsMidstIsRefused() throws {
        let scene = try begun()
        let journal = try scene.runFolder() + "/journal"
        let bytes = try #require(FileManager.default.contents(atPath: journal))
        // Whose run it is stands at its beginning: damaged there, B is only seen to be in the midst
        // of something.
        let places = [
            (2, "not a file of this kind", false), (40, "damaged", false),
            (bytes.count / 2, "damaged", true),
        ]
        for (at, words, isKnown) in places {
            var damaged = bytes
            damaged[at] ^= 0x10
            try damaged.write(to: URL(filePath: journal))
            try scene.refuses(
                isKnown ? 2 : 5, isKnown ? words : "left B changed in part",
                lines: isKnown ? 1 : 2
            ) { try scene.apply() }
            try scene.refuses(2, words) { try scene.run("undo") }
        }
    }

    // MARK: Taking back

    /// What the later one has put there may be equal to what the earlier one had.
    @Test func whatALaterRunHasChangedGoesBackWithThatOneFirst() throws {
        let scene = try ApplyScene()
        let stage = scene.stage
        try scene.applied()
        let first = try scene.runFolder().split(separator: "/").last.map { String($0) } ?? "?"
        #expect(try scene.run("confirm").status == 0)
        try stage.write("b/f", "written in between")
        try scene.makePlan()
        try scene.applied()
        let second = try scene.run("runs", "list").lines.last?.split(separator: " ").first ?? "?"
        let early = try scene.run("undo", first)
        #expect(early.status == 6, "\(early.report)")
        #expect(
            early.text.contains("! f  run \(second) has changed it since: take that back first"),
            "\(early.report)")
        #expect(stage.bytes("b/f") == noise(5000, seed: 2))
        #expect(stage.text("b/extra") == "only on B")
        // Both have done something in the root, and that is no order.
        #expect(early.lines.filter { $0.hasPrefix("!") }.count == 1, "\(early.report)")
        #expect(try scene.run("undo", String(second)).status == 0)
        #expect(stage.text("b/f") == "written in between")
        // Now it is somebody's.
        #expect(try scene.run("undo", first).status == 6)
        #expect(stage.text("b/f") == "written in between")
    }

    @Test func runsAreTakenBackOneAfterTheOther() throws {
        let scene = try ApplyScene()
        let stage = scene.stage
        try scene.applied()
        let first = try scene.runFolder().split(separator: "/").last.map { String($0) } ?? "?"
        #expect(try scene.run("confirm").status == 0)
        try stage.write("a/f", "the second version")
        try stage.write("a/d/new", "another")
        try scene.makePlan()
        try scene.applied()
        let after = try scene.store
        // The earlier one first: what the later one replaced stays, and is named.
        let early = try scene.run("undo", first)
        #expect(early.status == 6, "\(early.report)")
        #expect(early.text.contains("take that back first"), "\(early.report)")
        #expect(stage.text("b/f") == "the second version")
        #expect(stage.text("b/extra") == "only on B")
        #expect(try scene.store != after)
        let late = try scene.run("undo", "last")
        #expect(late.status == 0, "\(late.report)")
        #expect(stage.bytes("b/f") == noise(5000, seed: 2))
        #expect(stage.text("b/d/new") == "made")
        let again = try scene.run("undo", first)
        #expect(again.status == 0, "\(again.report)")
        #expect(stage.text("b/f") == "what B had")
        #expect(!stage.exists("b/d/new"))
        #expect(stage.text("b/old/one") == "one")
    }
}

import Foundation
import Glibc
import Testing

/// An image whose undo file may not become as large as the whole plan needs.
@Suite struct ImageSliceTests {
    /// Two images of 48 MiB that differ in 20 extents of 1 MiB: three actions.
    private func stage() throws -> (stage: Stage, plan: String) {
        let stage = try Stage()
        try stage.remove("a")
        for name in ["a", "b"] {
            try stage.write(name, "")
            try system("truncate", "-s", "48M", "\(stage.folder)/\(name)")
        }
        for number in 0..<20 {
            let bytes = [UInt8](repeating: UInt8(number + 1), count: 1 << 20)
            try stage.patch("b", at: number * 3 << 19, bytes)
            let wanted = [UInt8](repeating: 0xee, count: 1 << 20)
            try stage.patch("a", at: number * 3 << 19, wanted)
        }
        try system("cp", stage.b, stage.folder + "/before")
        let plan = stage.folder + "/plan"
        #expect(try stage.verify().status == 1)
        let planned = try stage.resync(["plan", "last", "--authority", "a", "-o", plan]).run()
        #expect(planned.status == 0, "\(planned.report)")
        return (stage, plan)
    }

    private func isRepaired(_ stage: Stage) throws -> Bool {
        try system("cmp", stage.a, stage.b) != nil
    }

    private func isAsBefore(_ stage: Stage) throws -> Bool {
        try system("cmp", stage.folder + "/before", stage.b) != nil
    }

    private func undoFiles(_ folder: String) throws -> [String] {
        (try FileManager.default.subpathsOfDirectory(atPath: folder)).filter {
            $0.contains("undo")
        }
    }

    @Test func aSliceIsReadBackAndWaits() throws {
        let (stage, plan) = try stage()
        let first = try stage.resync(["apply", plan, "--max-undo", "9MiB"]).run()
        #expect(first.status == 6, "\(first.report)")
        #expect(first.text.contains("the rest waits"), "\(first.report)")
        #expect(first.text.contains("was read back, and agrees"), "\(first.report)")
        #expect(try !isAsBefore(stage))
        #expect(try !isRepaired(stage))
        let undone = try stage.resync(["undo"]).run()
        #expect(undone.status == 0, "\(undone.report)")
        #expect(try isAsBefore(stage))
    }

    /// An image has no marker: the runs that are kept tell in which state it is.
    @Test func aHalfPatchedImageIsNoSource() throws {
        let (stage, plan) = try stage()
        #expect(try stage.resync(["apply", plan, "--max-undo", "9MiB"]).run().status == 6)
        #expect(try stage.verify().status == 1)
        let back = stage.folder + "/back"
        let planned = try stage.resync(["plan", "last", "--authority", "b", "-o", back]).run()
        #expect(planned.text.contains("would be refused: run"), "\(planned.report)")
        let before = try traces(stage.a)
        let refused = try stage.resync(["apply", back]).run()
        #expect(refused.status == 5, "\(refused.report)")
        #expect(refused.errorText.contains("left B changed in part"), "\(refused.report)")
        #expect(try traces(stage.a) == before)
        #expect(try stage.resync(["undo"]).run().status == 0)
        #expect(try stage.resync(["apply", back]).run().status == 0)
    }

    /// What a guest has written between two calls stays, and so does what else its action did.
    @Test func whatIsDoneIsNotLookedAtAgain() throws {
        let (stage, plan) = try stage()
        let first = try stage.resync(["apply", plan, "--max-undo", "9MiB"]).run()
        #expect(first.status == 6, "\(first.report)")
        try system("cp", stage.a, stage.folder + "/wanted")
        for name in ["b", "wanted"] { try stage.patch(name, at: 100, Array("of a guest".utf8)) }
        let rest = try stage.resync(["apply", plan]).run()
        #expect(rest.status == 0, "\(rest.report)")
        #expect(try system("cmp", stage.folder + "/wanted", stage.b) != nil)
    }

    /// As above, of an undo that left something as it is.
    @Test func whatIsTakenBackIsNotLookedAtAgain() throws {
        let (stage, plan) = try stage()
        #expect(try stage.resync(["apply", plan]).run().status == 0)
        // In the last extent, which an undo then leaves.
        let guest = Array("of a guest".utf8)
        try stage.patch("b", at: 19 * 3 << 19, guest)
        let first = try stage.resync(["undo"]).run()
        #expect(first.status == 6, "\(first.report)")
        // Somebody has the first extent as the plan wanted it after all.
        let wanted = Array(stage.bytes("a").prefix(1 << 20))
        try stage.patch("b", at: 0, wanted)
        #expect(try stage.resync(["undo"]).run().status == 6)
        try stage.patch("before", at: 0, wanted)
        try stage.patch("before", at: 19 * 3 << 19, guest + wanted.dropFirst(guest.count))
        #expect(try system("cmp", stage.folder + "/before", stage.b) != nil)
    }

    @Test func releasedSlicesLeadToTheEnd() throws {
        let (stage, plan) = try stage()
        let elsewhere = stage.folder + "/elsewhere"
        let done = try stage.resync([
            "apply", plan, "--max-undo", "9MiB", "--undo-dir", elsewhere, "--release-undo",
        ]).run()
        #expect(done.status == 0, "\(done.report)")
        #expect(done.text.contains("can no longer be taken back"), "\(done.report)")
        #expect(try isRepaired(stage))
        // That of the last slice.
        #expect(try undoFiles(elsewhere).count == 1)
        #expect(try undoFiles(stage.state) == [])
        let confirmed = try stage.resync(["confirm", "--release-undo"]).run()
        #expect(confirmed.status == 0, "\(confirmed.report)")
        #expect(try undoFiles(elsewhere) == [])
        let undone = try stage.resync(["undo"]).run()
        #expect(undone.status == 5, "\(undone.report)")
        #expect(try isRepaired(stage))
    }

    /// What is released is what was done by then, and no word says more.
    @Test func whatFollowsAReleaseCanBeTakenBack() throws {
        let (stage, plan) = try stage()
        #expect(try stage.resync(["apply", plan, "--max-undo", "9MiB"]).run().status == 6)
        let confirmed = try stage.resync(["confirm", "--release-undo"]).run()
        #expect(confirmed.status == 6, "\(confirmed.report)")
        #expect(confirmed.text.contains("released"), "\(confirmed.report)")
        #expect(!confirmed.text.contains("run "), "\(confirmed.report)")
        #expect(try undoFiles(stage.state) == [])
        let rest = try stage.resync(["apply", plan]).run()
        #expect(rest.status == 0, "\(rest.report)")
        #expect(rest.text.contains("takes back what was not released"), "\(rest.report)")
        #expect(try stage.resync(["runs", "delete", "last"]).run().status == 5)
        let undone = try stage.resync(["undo"]).run()
        #expect(undone.status == 6, "\(undone.report)")
        #expect(undone.text.contains("1 that can no longer be taken back"), "\(undone.report)")
        // The first slice stays, and nothing else.
        let (now, before, wanted) = (stage.bytes("b"), stage.bytes("before"), stage.bytes("a"))
        let isFirstNew = now.prefix(1 << 20) == wanted.prefix(1 << 20)
        let isLastOld = now.dropFirst(20 << 20) == before.dropFirst(20 << 20)
        #expect(isFirstNew && isLastOld)
    }

    @Test func nothingBeginsWithoutRoomForTheFirstChange() throws {
        let (stage, plan) = try stage()
        let refused = try stage.resync(["apply", plan, "--max-undo", "1KiB"]).run()
        #expect(refused.status == 5, "\(refused.report)")
        #expect(try isAsBefore(stage))
    }

    @Test func aBegunUndoFileStaysWhereItIs() throws {
        let (stage, plan) = try stage()
        let first = try stage.resync(["apply", plan, "--max-undo", "9MiB"]).run()
        #expect(first.status == 6, "\(first.report)")
        let other = try stage.resync([
            "apply", plan, "--undo-dir", stage.folder + "/elsewhere",
        ]).run()
        #expect(other.status == 5, "\(other.report)")
        #expect(other.errorText.contains("lies with the run"), "\(other.report)")
        let rest = try stage.resync(["apply", plan]).run()
        #expect(rest.status == 0, "\(rest.report)")
        #expect(try isRepaired(stage))
        let undone = try stage.resync(["undo"]).run()
        #expect(undone.status == 0, "\(undone.report)")
    }
}

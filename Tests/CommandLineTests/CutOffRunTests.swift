import Foundation
import Glibc
import Testing

/// Runs that were killed in the midst of a batch, and what others do before they go on.
@Suite struct CutOffRunTests {
    /// `f` of B is replaced; in `y` lies what is another store at the same place.
    private func stage() throws -> (stage: Stage, plan: String) {
        let stage = try Stage()
        for (store, text) in [("a", "of A, and longer"), ("b", "of B"), ("y", "of Y, too")] {
            if store != "a" { try stage.makeFolder(store) }
            try stage.write("\(store)/f", text)
            try system("touch", "-d", "2020-01-01", "\(stage.folder)/\(store)/f")
        }
        return (stage, try stage.planned())
    }

    /// Killed with the old file displaced, and no word of it in the journal. Nil, said aloud, where
    /// nothing can be killed.
    private func cutOff() throws -> (stage: Stage, plan: String)? {
        guard let killer = try Killer() else { return nil }
        let whole = try stage()
        let calls = try killer.run(whole.stage.applying(whole.plan), killingAt: 0).calls
        for moment in (1..<calls).reversed() {
            let (stage, plan) = try stage()
            _ = try killer.run(stage.applying(plan), killingAt: moment)
            guard try standing(stage).contains("cut off") else { continue }
            #expect(stage.text("b/f") == "of A, and longer")
            return (stage, plan)
        }
        Issue.record("no moment of \(calls) cuts a run off")
        return nil
    }

    /// Of the first run of apply.
    private func standing(_ stage: Stage) throws -> String {
        try stage.runs("list").lines.first { $0.contains("  apply  ") } ?? ""
    }

    private func move(_ stage: Stage, _ from: String, _ to: String) throws {
        try system("mv", "\(stage.folder)/\(from)", "\(stage.folder)/\(to)")
    }

    @Test func anotherStoreAtTheSamePlaceIsNotWhereItIsSettled() throws {
        guard let (stage, plan) = try cutOff() else { return }
        let id = try standing(stage).split(separator: " ").first.map { String($0) } ?? ""
        try move(stage, "plan", "first")
        try move(stage, "b", "x")
        try move(stage, "y", "b")
        let other = try stage.planned()
        let applied = try stage.applying(other).run()
        #expect(applied.status == 0, "\(applied.report)")
        #expect(applied.errorText.contains("run \(id) was cut off on"), "\(applied.report)")
        #expect(try standing(stage).contains("cut off"))
        try move(stage, "b", "y")
        try move(stage, "x", "b")
        let rest = try stage.resync(["apply", "first", "--accept", plan]).run()
        #expect(rest.status == 0, "\(rest.report)")
        let undone = try stage.resync(["undo", id]).run()
        #expect(undone.status == 0, "\(undone.report)")
        #expect(stage.text("b/f") == "of B")
    }

    /// Whoever accepts it for the rest of the plan.
    @Test func anotherStoreAtTheSamePlaceIsNotGoneOnWith() throws {
        guard let (stage, plan) = try cutOff() else { return }
        try move(stage, "b", "x")
        try move(stage, "y", "b")
        let other = try traces(stage.b)
        let refused = try stage.applying(plan).run()
        #expect(refused.status == 5, "\(refused.report)")
        #expect(refused.errorText.contains("is not the store"), "\(refused.report)")
        #expect(try traces(stage.b) == other)
        #expect(try standing(stage).contains("cut off"))
        try move(stage, "b", "y")
        try move(stage, "x", "b")
        #expect(try stage.applying(plan).run().status == 0)
        #expect(try stage.resync(["undo"]).run().status == 0)
        #expect(stage.text("b/f") == "of B")
    }

    /// Where it was found again, it is settled whatever is done next.
    @Test func theSameStoreIsSettledFirst() throws {
        guard let (stage, _) = try cutOff() else { return }
        try stage.write("a/g", "one more")
        let other = try stage.planned()
        let applied = try stage.applying(other).run()
        #expect(applied.status == 0, "\(applied.report)")
        #expect(applied.errorText.contains("settling what it left"), "\(applied.report)")
        #expect(try !standing(stage).contains("cut off"))
    }

    @Test func aRunThatWasGivenUpIsCalledSo() throws {
        guard let (stage, plan) = try cutOff() else { return }
        let id = try standing(stage).split(separator: " ").first.map { String($0) } ?? ""
        for name in try FileManager.default.contentsOfDirectory(atPath: stage.b)
        where name.hasPrefix(".resync-staged") { try move(stage, "b/" + name, "aside") }
        let adopted = try stage.resync(["store", "adopt", stage.b, "--force"]).run()
        #expect(adopted.status == 0, "\(adopted.report)")
        let refused = try stage.applying(plan).run()
        #expect(refused.status == 5, "\(refused.report)")
        #expect(refused.errorText.contains("given up"), "\(refused.report)")
        #expect(refused.errorText.contains("'resync undo \(id)'"), "\(refused.report)")
    }

    /// The other site is what is most likely not there.
    @Test func theChangedStoreAloneIsTakenBack() throws {
        guard let (stage, _) = try cutOff() else { return }
        try move(stage, "a", "elsewhere")
        let undone = try stage.resync(["undo"]).run()
        #expect(undone.status == 0, "\(undone.report)")
        #expect(stage.text("b/f") == "of B")
        #expect(try standing(stage).hasSuffix("taken back"))
    }

    @Test func theChangedStoreAloneIsSettled() throws {
        guard let (stage, _) = try cutOff() else { return }
        try move(stage, "a", "elsewhere")
        try move(stage, "y", "a")
        let other = try stage.planned()
        let applied = try stage.applying(other).run()
        #expect(applied.status == 0, "\(applied.report)")
        #expect(applied.errorText.contains("settling what it left"), "\(applied.report)")
        #expect(try !standing(stage).contains("cut off"))
        #expect(stage.text("b/f") == "of Y, too")
    }

    /// - Parameter isUndo: the second run is not cut off itself, but its undo.
    @Test(arguments: ["confirm", "undo"], [false, true])
    func anotherRunIsReadBackOrTakenBackAfterIt(_ verb: String, _ isUndo: Bool) throws {
        guard let killer = try Killer() else { return }
        func prepared() throws -> (stage: Stage, first: String, work: Command) {
            let (stage, plan) = try stage()
            let applied = try stage.applying(plan).run()
            #expect(applied.status == 0, "\(applied.report)")
            let first = try standing(stage).split(separator: " ").first.map { String($0) } ?? ""
            try stage.write("a/g", "new on A")
            try stage.write("b/g", "and another on B")
            let second = stage.applying(try stage.planned())
            guard isUndo else { return (stage, first, second) }
            let done = try second.run()
            #expect(done.status == 0, "\(done.report)")
            return (stage, first, stage.resync(["undo"]))
        }
        let whole = try prepared()
        let calls = try killer.run(whole.work, killingAt: 0).calls
        for moment in (1..<calls).reversed() {
            let (stage, first, work) = try prepared()
            _ = try killer.run(work, killingAt: moment)
            guard try stage.runs("list").text.contains("cut off") else { continue }
            let done = try stage.resync([verb, first]).run()
            #expect(done.status == 0, "\(done.report)")
            #expect(done.errorText.contains("was cut off: settling"), "\(done.report)")
            #expect(try !stage.runs("list").text.contains("cut off"))
            if isUndo { #expect(stage.text("b/g") == "and another on B") }
            return
        }
        Issue.record("no moment of \(calls) cuts a run off")
    }
}

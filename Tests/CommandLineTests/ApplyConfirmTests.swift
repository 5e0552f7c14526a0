import Testing

/// What is confirmed was read back, and only then is what it displaced let go.
@Suite(.serialized) struct ApplyConfirmTests {
    /// A run has made B's `f` what A's is, by a plan of a comparison without content.
    private func applied() throws -> Stage {
        let stage = try Stage(below: "/var/tmp")
        try stage.write("a/f", "what is new")
        try stage.makeFolder("b")
        try stage.write("b/f", "what was old, and longer")
        try stage.write("a/other", "x")
        try stage.write("b/other", "x")
        let planned = try stage.resync([
            "plan", stage.a, stage.b, "--authority", "a", "--without", "content", "-o", "p",
        ]).run()
        #expect(planned.status == 0, "\(planned.report)")
        let id = try #require(
            planned.text.split(separator: "\n").last { $0.hasPrefix("plan ") }?.dropFirst(5))
        let applied = try stage.resync(["apply", "p", "--accept", String(id)]).run()
        #expect(applied.status == 0, "\(applied.report)")
        #expect(stage.text("b/f") == "what is new", "\(applied.report)")
        return stage
    }

    private func confirm(_ stage: Stage) throws {
        let confirmed = try stage.resync(["confirm", "last", "--release-undo"]).run()
        #expect(confirmed.status != 0, "\(confirmed.report)")
        #expect(confirmed.text.contains("1 do not agree"), "\(confirmed.report)")
        let kept = try stage.resync(["quarantine", "list"]).run()
        #expect(kept.text.contains("24 B"), "\(kept.report)")
    }

    /// Under its old times, so that nothing but its bytes tells.
    @Test func whatWasWrittenIsReadBackWhateverWasCompared() throws {
        let stage = try applied()
        try stage.patch("b/f", at: 0, [1, 2, 3, 4])
        try confirm(stage)
    }

    @Test func whatIsNowhereAnyMoreIsNotConfirmed() throws {
        let stage = try applied()
        for name in ["a/f", "b/f"] { try stage.remove(name) }
        try confirm(stage)
    }
}

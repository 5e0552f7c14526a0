import ResyncCore
import Testing

@Suite struct DecisionTests {
    private func decision(
        _ path: String, _ ruling: Decision.Ruling, at seconds: Int64
    ) -> Decision {
        Decision(
            path: RelativePath(Array(path.utf8)), ruling: ruling, who: [],
            when: Timestamp(seconds: seconds, nanoseconds: 0), reason: [])
    }

    private func write(_ path: String, on side: Side = .b) -> Action {
        Action(.write, on: side, RelativePath(Array(path.utf8)), why: .unknown)
    }

    /// What the plan follows is told by its place among the decisions, whatever the clock says.
    @Test func aClockThatIsSetBackHidesNoDecision() {
        let decisions = Decisions([
            decision("f", .accept(.a), at: 2000), decision("f", .open, at: 10),
            decision("d", .accept(.b), at: 20),
        ])
        let later = LaterDecisions(decisions, after: 1)
        #expect(later?.speakAgainst(write("f")) == true)
        #expect(later?.speakAgainst(write("d/below")) == true)
        #expect(later?.speakAgainst(write("d", on: .a)) == false)
        #expect(later?.speakAgainst(write("other")) == false)
        #expect(LaterDecisions(decisions, after: 3) == nil)
        // Decisions of which fewer are left than the plan knew say nothing new.
        #expect(LaterDecisions(decisions, after: 4) == nil)
        // A plan from before they were counted may have followed any: what it does is what counts.
        let all = LaterDecisions(decisions, after: 0)
        #expect(all?.speakAgainst(write("d", on: .a)) == false)
        #expect(all?.speakAgainst(write("d")) == true)
    }
}

import ResyncCore
import Testing

private typealias Gate = ResyncCore.Gate

/// Whether the second site could take over: `Takeover`.
@Suite struct TakeoverTests {
    private static let now = Timestamp(seconds: 10_000, nanoseconds: 0)

    private func takeover(
        unknown: String? = nil, troubles: [String] = [],
        modules: [Takeover.ModuleState] = [module()], checks: [Takeover.CheckState] = []
    ) -> Takeover {
        Takeover(unknown: unknown, troubles: troubles, modules, checks, at: Self.now)
    }

    private static func module(
        _ gate: Gate.Answer = .open, isProven: Bool = true
    ) -> Takeover.ModuleState {
        Takeover.ModuleState(name: "m", gate: gate, isProven: isProven)
    }

    private func check(_ ended: Int64?, exit: Int = 0, line: String = "") -> Takeover.CheckState {
        Takeover.CheckState(
            name: "c", every: 100,
            ended: ended.map { Timestamp(seconds: $0, nanoseconds: 0) }, exit: exit, line: line)
    }

    @Test func everythingMustBeKnownToBeWell() {
        #expect(takeover().isReady)
        #expect(takeover(checks: [check(10_000), check(9_800)]).isReady)
        #expect(takeover(unknown: "nobody watches it").reasons == ["nobody watches it"])
        #expect(
            takeover(troubles: ["p/a has an open episode"]).reasons == ["p/a has an open episode"])
        #expect(takeover(modules: []).reasons == ["nothing of it is proven: it has no modules"])
        for gate in [Gate.Answer.shut, .undecided] {
            #expect(
                takeover(modules: [Self.module(), Self.module(gate)]).reasons
                    == ["m is \(gate.rawValue)"])
        }
        // Where there never was an episode a gate is open, and nothing is proven.
        #expect(takeover(modules: [Self.module(isProven: false)]).reasons == ["m was never proven"])
    }

    @Test func aCheckMustHaveSucceededOfLate() {
        func reasons(_ check: Takeover.CheckState) -> [String] { takeover(checks: [check]).reasons }
        #expect(reasons(check(nil)) == ["check c was never run"])
        #expect(reasons(check(9_900, exit: 3)) == ["check c failed (exit 3)"])
        #expect(reasons(check(9_900, exit: 3, line: "no")) == ["check c failed (exit 3): no"])
        #expect(reasons(check(9_799)).isEmpty)
        #expect(reasons(check(9_798)) == ["check c was not run for too long"])
        // What it said then says nothing of now, good or bad.
        #expect(reasons(check(.min, exit: 1)) == ["check c was not run for too long"])
        #expect(reasons(check(.max)) == ["check c was not run for too long"])
    }
}

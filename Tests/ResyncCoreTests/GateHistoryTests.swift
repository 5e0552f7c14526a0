import ResyncCore
import TestSupport
import Testing

/// Random histories of stores that fail, of those who verify and mend them, and of the gates of
/// what lies there, held against an account of what really happened.
@Suite struct GateHistoryTests {
    @Test func noGateOpensOnWhatIsNotProven() {
        let first = Seed.fromEnvironment().value
        var tally = GateTally()
        for number in 0..<UInt64(rounds(isLongRun ? 100_000 : 1000)) {
            var history = GateHistory(Seed(first &+ number))
            history.run()
            for problem in history.problems.prefix(1) {
                let happened = history.world.log.joined(separator: "\n")
                Issue.record(
                    "RESYNC_SEED=\(first &+ number) RESYNC_RUNS=1: \(problem)\n\(happened)")
            }
            tally.add(history.tally)
            if !history.problems.isEmpty { break }
        }
        print("gates: \(tally)")
        guard tally.histories > 500 else { return }
        // Each of it happens often enough to mean something.
        let answers = tally.opens + tally.shuts + tally.undecided
        for count in [tally.opens, tally.shuts, tally.undecided] { #expect(count > answers / 20) }
        #expect(tally.doubtful > tally.histories / 10)
        #expect(tally.unwatched > tally.histories / 10 && tally.excused > 0)
        #expect(tally.told > tally.histories / 20)
    }
}

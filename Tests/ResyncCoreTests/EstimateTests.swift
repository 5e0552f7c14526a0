import TestSupport
import Testing

@testable import ResyncCore

/// What a sample says of the whole.
@Suite struct EstimateTests {
    @Test func whereAllWasReadNothingIsEstimated() {
        var sample = RateSample()
        sample.add(amount: 10, seconds: 2)
        #expect(sample.estimate(of: 10) == Estimate(2, low: 2, high: 2))
    }

    @Test func aSampleOfOnePartIsAQuarterUncertain() {
        var sample = RateSample()
        sample.add(amount: 10, seconds: 2)
        #expect(sample.estimate(of: 100) == Estimate(20, low: 15, high: 25))
    }

    @Test func equalPartsAreCertain() {
        var sample = RateSample()
        for _ in 0..<3 { sample.add(amount: 10, seconds: 2) }
        let found = sample.estimate(of: 300)
        #expect(abs(found.seconds - 60) < 1e-9)
        #expect(abs(found.high - found.low) < 1e-6)
    }

    @Test func nothingTakesNoTime() {
        #expect(RateSample().estimate(of: 100) == .nothing)
        var sample = RateSample()
        sample.add(amount: 0, seconds: 5)
        #expect(sample.isEmpty)
    }

    @Test func boundsHoldTheTruthMostly() {
        var seed = Seed.fromEnvironment()
        var inside = 0
        let count = 400
        for _ in 0..<count {
            // Parts of a store whose seconds go with their amount, and scatter.
            let all = (0..<400).map { _ in
                let amount = Double.random(in: 1...10, using: &seed)
                return (amount, amount * Double.random(in: 0.5...1.5, using: &seed))
            }
            var sample = RateSample()
            for part in all.shuffled(using: &seed)[..<40] {
                sample.add(amount: part.0, seconds: part.1)
            }
            let found = sample.estimate(of: all.reduce(0) { $0 + $1.0 })
            let truth = all.reduce(0) { $0 + $1.1 }
            if found.low <= truth, truth <= found.high { inside += 1 }
        }
        // Two standard errors hold 95 in 100; 90 is five standard deviations below that.
        #expect(inside > count * 90 / 100)
        #expect(inside < count)
    }

    @Test func everyElementHasTheSameChance() {
        var seed = Seed.fromEnvironment()
        var drawn = [Int](repeating: 0, count: 50)
        for _ in 0..<4000 {
            var reservoir = Reservoir<Int>(limit: 10)
            for number in 0..<50 { reservoir.add(number, using: &seed) }
            #expect(reservoir.seen == 50)
            for number in reservoir.elements { drawn[number] += 1 }
        }
        // 800 each, with a standard deviation of 25.
        for count in drawn { #expect((660...940).contains(count), "\(drawn)") }
    }
}

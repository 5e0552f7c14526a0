import ResyncCore
import TestSupport
import Testing

@Suite struct RateRampTests {
    private func rates(_ latencies: [Double?], share: Double = RateRamp.least) -> [Int] {
        var ramp = RateRamp(limit: 1000, share: share)
        return [ramp.rate]
            + latencies.map { latency in
                ramp.take(latency: latency)
                return ramp.rate
            }
    }

    @Test func itDoublesFromATenthWhileNothingIsSlow() {
        #expect(rates([nil, nil, nil, nil, nil]) == [100, 200, 400, 800, 1000, 1000])
        // A disk that always takes long is no slower than usual.
        #expect(rates([0.3, 0.4, 0.8, 0.3]) == [100, 200, 400, 800, 1000])
        // What is harmless is no reason, however fast it was before.
        #expect(rates([0.0001, 0.02, 0.02, 0.02]) == [100, 200, 400, 800, 1000])
        #expect(rates([], share: 0.5) == [500] && rates([], share: 7) == [1000])
        for seconds: Double in [0, 1.9, 2, 5, 7.9, 8, 1e9, -5] {
            var ramp = RateRamp(limit: 1000)
            for _ in 0..<Int(max(0, min(seconds / RateRamp.turn, 50))) { ramp.take(latency: nil) }
            #expect(RateRamp.share(after: seconds) == ramp.share, "\(seconds)")
        }
    }

    @Test func itBacksOffWhileRequestsTakeLongerThanUsual() {
        let slow = 0.021
        #expect(
            rates([0.005, 0.005, 0.005, slow, slow, slow, slow, slow, nil, 0.005])
                == [100, 200, 400, 800, 400, 200, 100, 100, 100, 200, 400])
        // Three times as long is usual for a disk that turns.
        #expect(rates([0.008, 0.024, 0.0241]) == [100, 200, 400, 200])
    }

    @Test func theHighestLimitIsALimit() {
        #expect(RateRamp(limit: .max, share: 1).rate == .max)
        #expect(RateRamp(limit: .max).rate > 0)
    }

    @Test func itSaysWhy() {
        var ramp = RateRamp(limit: 1000)
        #expect(ramp.cause == .beginning)
        ramp.take(latency: 0.01)
        #expect(ramp.cause == .beginning)
        ramp.take(latency: 0.1)
        #expect(ramp.cause == .slow(seconds: 0.1, usually: 0.01))
        // Until it has come to the limit.
        for _ in 0..<3 {
            ramp.take(latency: 0.01)
            #expect(ramp.cause == .slow(seconds: 0.1, usually: 0.01))
        }
        ramp.take(latency: 0.01)
        #expect(ramp.cause == nil && ramp.rate == 1000)
        #expect(RateRamp(limit: 1).rate == 1)
    }

    /// Whatever comes, it keeps between a tenth and all of the limit.
    @Test func itStaysWithinItsBounds() {
        var seed = Seed.fromEnvironment()
        for _ in 0..<rounds(300) {
            var ramp = RateRamp(limit: 10 + seed.below(1 << 30))
            for _ in 0..<100 {
                let all: [Double?] = [nil, 0, 0.001, 0.02, 0.03, 5, .infinity]
                let latency = all[seed.below(all.count)]
                ramp.take(latency: latency)
                #expect(ramp.share >= RateRamp.least && ramp.share <= 1)
                #expect((ramp.cause == nil) == (ramp.share == 1))
            }
        }
    }
}

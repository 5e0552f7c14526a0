import Testing

@testable import ResyncEngine

/// How many workers a pass has: those of the processors, or all where storage is waited for.
@Suite struct WorkPolicyTests {
    private let policy = WorkPolicy(fixed: nil, cores: 2)

    private func wanted(
        workers: Int = 2, idle: Int = 0, busyShare: Double = 0.1, waits: Int = 100
    ) -> Int {
        policy.wanted(workers: workers, idle: idle, busyShare: busyShare, waits: waits)
    }

    @Test func coldStorageGetsAllAtOnce() {
        #expect(policy.first == 2)
        #expect(wanted() == policy.limit)
        #expect(wanted(workers: policy.limit) == policy.limit)
    }

    @Test func nobodyIsAddedWhereTheyWouldNotWait() {
        #expect(wanted(idle: 1) == 2)
        #expect(wanted(busyShare: 0.6) == 2)
        // Others keep the processors busy.
        #expect(wanted(waits: 1) == 2)
        let fixed = WorkPolicy(fixed: 3, cores: 2)
        #expect(fixed.first == 3)
        #expect(fixed.wanted(workers: 3, idle: 0, busyShare: 0, waits: 100) == 3)
    }
}

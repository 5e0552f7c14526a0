import Testing

@testable import ResyncCore

// Testing has an `ExitStatus` too.
private typealias Status = ResyncCore.ExitStatus

@Suite struct SummaryTests {
    private let everyStatus: [Status] = [
        .ok, .differences, .trouble, .unconfirmed, .undecided, .refused, .partial, .outOfTime,
        .usage, .unavailable, .defect, .locked, .signal(2),
    ]

    @Test func codes() {
        #expect(everyStatus.map(\.code) == [0, 1, 2, 3, 4, 5, 6, 10, 64, 69, 70, 75, 130])
        #expect(Status.signal(15).code == 143)
    }

    /// "When several apply the first of: 128+N, 70, 5, 69, 2, 6, 4, 1, 3, 10".
    @Test func theFirstOfSeveralWins() {
        let order: [Status] = [
            .signal(2), .defect, .refused, .unavailable, .trouble, .partial, .undecided,
            .differences, .unconfirmed, .outOfTime, .ok,
        ]
        #expect(order.map(\.code) == [130, 70, 5, 69, 2, 6, 4, 1, 3, 10, 0])
        for (index, winner) in order.enumerated() {
            for loser in order[index...] {
                var (one, other) = (winner, loser)
                one.merge(loser)
                other.merge(winner)
                #expect(one == winner)
                #expect(other == winner)
            }
        }
    }

    @Test func theFirstSignalStays() {
        var status = Status.signal(15)
        status.merge(.signal(2))
        #expect(status == .signal(15))
    }

    private let endings: [Ending] = [.complete, .interrupted(15), .outOfTime, .stalled]

    /// Calls `body` with every summary whose counts are 0 or 1, of 0 to 2 entries.
    private func forEachSummary(_ body: (Summary) -> Void) {
        let counts: [WritableKeyPath<Tally, Int>] = [
            \.same, \.contentDiffers, \.metadataDiffers, \.missingOnA, \.missingOnB, \.unstable,
            \.unreadable, \.notVerified, \.conflicts, \.flapping,
        ]
        for bits in 0..<(1 << counts.count) {
            var tally = Tally()
            for (bit, count) in counts.enumerated() where bits & 1 << bit != 0 {
                tally[keyPath: count] = 1
            }
            for entries in 0...2 {
                tally.entries = entries
                for ending in endings {
                    for left in 0...1 {
                        body(Summary(tally: tally, ending: ending, leftUnread: left))
                    }
                }
            }
        }
    }

    @Test func onlyWhatIsWhollyVerifiedIsOK() {
        var okCount = 0
        forEachSummary { summary in
            let tally = summary.tally
            let isVerified =
                summary.ending == .complete && summary.leftUnread == 0 && tally.entries > 0
                && tally.same >= tally.entries && tally.outcomes == tally.same
                && tally.flapping == 0
            if (summary.status == .ok) != isVerified {
                Issue.record("\(summary) has status \(summary.status)")
            }
            if (summary.verdict == "IN SYNC") != isVerified {
                Issue.record("\(summary) is \(summary.verdict)")
            }
            if isVerified { okCount += 1 }
        }
        #expect(okCount == 1)
    }

    @Test func whatHasNoVerdictIsTrouble() {
        forEachSummary { summary in
            let tally = summary.tally
            let hasTrouble =
                tally.unreadable + tally.notVerified + tally.flapping > 0
                || summary.ending == .stalled
                || (tally.entries == 0 && summary.ending == .complete)
            let expected: Status? =
                if case .interrupted(let number) = summary.ending {
                    .signal(number)
                } else if hasTrouble {
                    .trouble
                } else {
                    nil
                }
            if let expected, summary.status != expected {
                Issue.record("\(summary) has status \(summary.status)")
            }
        }
    }

    @Test func contentIsInSyncOnlyWhenAllOfItWasCompared() {
        forEachSummary { summary in
            guard summary.verdict.hasPrefix("CONTENT IN SYNC") else { return }
            let tally = summary.tally
            let isVerified =
                summary.ending == .complete && summary.leftUnread == 0
                && tally.same + tally.metadataDiffers == tally.outcomes
                && tally.outcomes >= tally.entries && tally.entries > 0 && tally.flapping == 0
            if !isVerified { Issue.record("\(summary) is \(summary.verdict)") }
        }
    }

    private func summary(_ ending: Ending = .complete, _ fill: (inout Tally) -> Void) -> Summary {
        var tally = Tally()
        fill(&tally)
        if tally.entries == 0 { tally.entries = tally.outcomes }
        return Summary(tally: tally, ending: ending)
    }

    @Test func verdicts() {
        #expect(summary { $0.same = 3 }.verdict == "IN SYNC")
        #expect(summary { _ in }.verdict == "NOT VERIFIED")
        #expect(summary(.outOfTime) { $0.same = 3 }.verdict == "NOT VERIFIED")
        #expect(summary(.outOfTime) { $0.same = 3 }.status == .outOfTime)
        #expect(summary { $0.contentDiffers = 1 }.verdict == "NOT IN SYNC")
        #expect(summary { $0.missingOnA = 1 }.verdict == "NOT IN SYNC")
        #expect(summary { $0.missingOnB = 1 }.verdict == "NOT IN SYNC")
        #expect(
            summary { $0.metadataDiffers = 1 }.verdict
                == "CONTENT IN SYNC, 1 metadata difference")
        #expect(
            summary { $0.metadataDiffers = 2 }.verdict
                == "CONTENT IN SYNC, 2 metadata differences")
        #expect(summary { $0.metadataDiffers = 2 }.status == .differences)
        let unstable = summary { ($0.metadataDiffers, $0.unstable) = (1, 1) }
        #expect(unstable.verdict == "NOT VERIFIED, 1 metadata difference")
        #expect(summary { $0.unstable = 1 }.status == .unconfirmed)
        #expect(summary { $0.unstable = 1 }.verdict == "NOT VERIFIED")
    }

    /// Fewer results than entries: some entry was counted and never judged.
    @Test func anEntryWithoutAResultIsTrouble() {
        let missing = summary { ($0.entries, $0.same) = (5, 4) }
        #expect(missing.status == .trouble)
        #expect(missing.verdict == "NOT VERIFIED")
        // A directory that could not be listed to its end has two.
        #expect(summary { ($0.entries, $0.same, $0.unreadable) = (5, 5, 1) }.status == .trouble)
    }

    @Test func whatWasNotReachedIsNotVerified() {
        var left = summary { ($0.same, $0.notVerified) = (1, 2) }
        left.leftUnread = 3
        #expect(left.notVerified == 5)
        var complete = summary { $0.same = 1 }
        complete.leftUnread = 1
        #expect(complete.status == .trouble)
    }

    // MARK: Tally

    /// Every count, found by name, so that a new one cannot be forgotten where tallies are added.
    private func counts(_ tally: Tally) -> [String: Int] {
        var counts: [String: Int] = [:]
        for child in Mirror(reflecting: tally).children {
            if let label = child.label, let count = child.value as? Int { counts[label] = count }
        }
        return counts
    }

    private var full: Tally {
        var tally = Tally()
        tally.entries = 1
        tally.same = 2
        tally.contentDiffers = 3
        tally.metadataDiffers = 4
        tally.missingOnA = 5
        tally.missingOnB = 6
        tally.unstable = 7
        tally.unreadable = 8
        tally.notVerified = 9
        tally.conflicts = 10
        tally.flapping = 11
        tally.confirmed = 12
        tally.excluded = 13
        tally.bytesRead = 14
        tally.expected = 15
        tally.directories = 16
        tally.count(bytes: 17, .hash)
        tally.count(bytes: 18, .media)
        return tally
    }

    @Test func addingAddsEveryCount() {
        #expect(counts(full).values.sorted() == Array(1...16))
        var sum = full
        sum += full
        #expect(counts(sum) == counts(full).mapValues { $0 * 2 })
        #expect(sum.bytesByAssurance == [.hash: 34, .media: 36])
        #expect(full.outcomes == 2 + 3 + 4 + 5 + 6 + 7 + 8 + 9 + 10 + 15)
        let kept = counts(full.withoutDifferences).filter { $0.value != 0 }
        #expect(
            kept == [
                "entries": 1, "same": 2, "excluded": 13, "bytesRead": 14, "directories": 16,
            ])
        #expect(full.withoutDifferences.bytesByAssurance == full.bytesByAssurance)
    }

    @Test func everyDifferenceIsCountedOnce() {
        for outcome in Outcome.allCases {
            for aspects in [AspectSet(.mode), AspectSet(.content), AspectSet([.mode, .size])] {
                var difference = Difference(path: .root, outcome: outcome)
                difference.aspects = aspects
                var tally = Tally()
                tally.count(difference)
                #expect(tally.outcomes == 1)
                #expect(tally.confirmed == 0 && tally.flapping == 0)
                #expect(
                    tally.metadataDiffers
                        == (outcome == .differs && !aspects.touchesContent ? 1 : 0))
            }
        }
        var flapping = Difference(path: .root, outcome: .unstable)
        flapping.reason = .flapping
        flapping.confirmedFrom = .cache
        var tally = Tally()
        tally.count(flapping)
        #expect(tally.flapping == 1 && tally.unstable == 1 && tally.confirmed == 1)
        tally.count(bytes: 0, .media)
        #expect(tally.bytesByAssurance == [:])
    }
}

import TestSupport
import Testing

@testable import ResyncCore

/// What one side may have become since the baseline.
private enum SideState: String, CaseIterable {
    case same, touched, edited, chmod, zeros, rotten, absent, rolledBack
}

@Suite struct JudgementTests {
    private static let time = Timestamp(seconds: 1_600_000_000, nanoseconds: 7)
    private static let later = Timestamp(seconds: 1_600_000_500, nanoseconds: 0)

    private static func file(_ inode: UInt64) -> ObservedEntry {
        let stat = Stat(
            type: .file, mode: 0o640, size: 4096, mtime: time, ctime: time, inode: inode)
        return ObservedEntry(entry: Entry(stat: stat), content: digest(1))
    }

    private static func record(_ base: ObservedEntry) -> BaselineRecord {
        let witness = BaselineRecord.Witness(base.stat)
        return BaselineRecord(
            path: RelativePath([0x78]), agreed: base, witnesses: Sides(a: witness, b: witness),
            aspects: .standard, level: .hash, time: later)
    }

    /// `salt` tells one side's edit from the other's.
    private static func become(_ state: SideState, _ salt: UInt64) -> ObservedEntry? {
        var now = file(5)
        switch state {
        case .same: break
        case .touched: now.entry.stat.ctime = later
        case .edited:
            now.content = digest(salt)
            now.entry.stat.mtime = later.adding(seconds: Int64(salt))
            now.entry.stat.ctime = later
        case .chmod:
            now.entry.stat.mode = 0o600 + UInt16(salt % 8)
            now.entry.stat.ctime = later
        case .zeros:
            now.content = digest(0)
            now.entry.stat.mtime = later.adding(seconds: Int64(salt))
            now.entry.stat.ctime = later
        case .rotten: now.content = digest(salt)
        case .absent: return nil
        case .rolledBack:
            now.content = digest(salt)
            now.entry.stat.mtime = time.adding(seconds: -9)
            now.entry.stat.ctime = time.adding(seconds: -9)
        }
        return now
    }

    private static func judgement(
        _ a: SideState, _ b: SideState, episodes: Sides<Bool> = Sides(a: false, b: false),
        media: Bool = true
    ) -> Judgement? {
        let sides = Sides(a: become(a, 11), b: become(b, 12))
        var aspects: AspectSet = []
        if let left = sides.a, let right = sides.b {
            aspects = ComparisonRules().metadataDifferences(left.entry, right.entry)
            if left.content != right.content { aspects.insert(.content) }
        } else if sides.a != nil || sides.b != nil {
            aspects = AspectSet(.existence)
        }
        guard !aspects.isEmpty else { return nil }
        var judgement = Judgement(base: .record(record(file(5))), sides: sides, aspects: aspects)
        judgement.hadEpisode = episodes
        judgement.isFromMedium = media
        if a == .zeros, b != .zeros { judgement.zeroSide = .a }
        if b == .zeros, a != .zeros { judgement.zeroSide = .b }
        return judgement
    }

    /// Rows A, columns B; nil where the two do not differ.
    private static let calm: [(SideState, [Verdict?])] = [
        (
            .same,
            [
                nil, nil, .editedOnB, .editedOnB, .undetermined, .damageOnB, .editedOnB,
                .undetermined,
            ]
        ),
        (
            .touched,
            [
                nil, nil, .missedWriteOnA, .missedWriteOnA, .undetermined, .damageOnB,
                .editedOnB, .undetermined,
            ]
        ),
        (
            .edited,
            [
                .editedOnA, .missedWriteOnB, .conflict, .conflict, .missedWriteOnB,
                .undetermined, .conflict, .undetermined,
            ]
        ),
        (
            .chmod,
            [
                .editedOnA, .missedWriteOnB, .conflict, .conflict, .missedWriteOnB,
                .undetermined, .conflict, .undetermined,
            ]
        ),
        (
            .zeros,
            [
                .undetermined, .undetermined, .missedWriteOnA, .missedWriteOnA, .conflict,
                .undetermined, .conflict, .undetermined,
            ]
        ),
        (
            .rotten,
            [
                .damageOnA, .damageOnA, .undetermined, .undetermined, .undetermined,
                .undetermined, .undetermined, .undetermined,
            ]
        ),
        (
            .absent,
            [
                .editedOnA, .editedOnA, .conflict, .conflict, .conflict, .undetermined, nil,
                .undetermined,
            ]
        ),
        (.rolledBack, [Verdict?](repeating: .undetermined, count: 8)),
    ]

    @Test func everyPairOfStatesHasItsVerdict() {
        for (a, row) in Self.calm {
            for (b, expected) in zip(SideState.allCases, row) {
                let found = Self.judgement(a, b)?.verdict
                #expect(found == expected, "\(a) on A, \(b) on B")
            }
        }
    }

    @Test func theSidesAreTreatedAlike() {
        let mirrored: [Verdict: Verdict] = [
            .editedOnA: .editedOnB, .editedOnB: .editedOnA, .missedWriteOnA: .missedWriteOnB,
            .missedWriteOnB: .missedWriteOnA, .lostOnA: .lostOnB, .lostOnB: .lostOnA,
            .damageOnA: .damageOnB, .damageOnB: .damageOnA,
        ]
        for a in SideState.allCases {
            for b in SideState.allCases {
                for bits in 0..<4 {
                    let episodes = Sides(a: bits & 1 == 1, b: bits & 2 == 2)
                    guard let there = Self.judgement(a, b, episodes: episodes)?.verdict,
                        let back = Self.judgement(b, a, episodes: episodes.swapped)?.verdict
                    else { continue }
                    #expect(back == mirrored[there] ?? there, "\(a), \(b), \(episodes)")
                }
            }
        }
    }

    @Test func anEpisodeTurnsAnAbsenceIntoALoss() {
        let onB = Sides(a: false, b: true)
        for a in [SideState.same, .touched, .edited, .chmod, .zeros] {
            #expect(Self.judgement(a, .absent, episodes: onB)?.verdict == .lostOnB, "\(a)")
        }
        #expect(Self.judgement(.rotten, .absent, episodes: onB)?.verdict == .undetermined)
        #expect(Self.judgement(.same, .absent, episodes: onB.swapped)?.verdict == .editedOnB)
    }

    @Test func anEpisodeExplainsAWriteThatIsMissing() {
        let onB = Sides(a: false, b: true)
        #expect(Self.judgement(.edited, .same, episodes: onB)?.verdict == .missedWriteOnB)
        #expect(Self.judgement(.edited, .same, episodes: onB.swapped)?.verdict == .editedOnA)
        #expect(Self.judgement(.edited, .zeros, episodes: onB)?.verdict == .missedWriteOnB)
    }

    /// What a store had before its last writes does not win, and with an episode nobody has to be
    /// asked.
    @Test func whatWasRolledBackIsAMissedWriteAfterAnEpisode() {
        let onA = Sides(a: true, b: false)
        for other in [SideState.same, .touched, .edited, .chmod] {
            let found = Self.judgement(.rolledBack, other, episodes: onA)?.verdict
            #expect(found == .missedWriteOnA, "\(other)")
            let elsewhere = Self.judgement(.rolledBack, other, episodes: onA.swapped)?.verdict
            #expect(elsewhere == .undetermined, "\(other)")
        }
    }

    @Test func damageIsClaimedOnlyWhereNothingElseExplainsIt() {
        #expect(Self.judgement(.same, .rotten)?.verdict == .damageOnB)
        #expect(Self.judgement(.same, .rotten, media: false)?.verdict == .undetermined)
        let onB = Sides(a: false, b: true)
        #expect(Self.judgement(.same, .rotten, episodes: onB)?.verdict == .undetermined)
        var judgement = Self.judgement(.same, .rotten)
        if case .record(var record)? = judgement?.base {
            record.isRacy = true
            judgement?.base = .record(record)
        }
        // Nobody can tell whether it was touched: neither damage nor an edit.
        #expect(judgement?.verdict == .undetermined)
    }

    /// No write and no truncation leaves the times as they were; a repaired file system does. Nor
    /// is it an edit for a `chown`, or an undo, that came after.
    @Test(arguments: [100, 9000]) func aSizeThatMovedAloneIsNoEdit(_ size: Int) {
        for (isChowned, isRead, other) in [
            (false, true, SideState.same), (true, true, .same), (true, false, .same),
            (false, true, .edited), (true, true, .edited),
        ] {
            var now = Self.file(5)
            now.content = isRead ? digest(9) : nil
            now.entry.stat.size = size
            if isChowned { now.entry.stat.ctime = Self.later }
            for (side, hadEpisode) in [(Side.a, false), (.b, false), (.a, true), (.b, true)] {
                var sides: Sides<ObservedEntry?> = Sides(a: now, b: now)
                sides[side.other] = Self.become(other, 11)
                var judgement = Judgement(
                    base: .record(Self.record(Self.file(5))), sides: sides,
                    aspects: AspectSet([.size, .content, .mtime]))
                judgement.hadEpisode[side] = hadEpisode
                judgement.isFromMedium = true
                #expect(judgement.verdict == .undetermined, "\(other), \(isChowned), \(side)")
            }
        }
    }

    @Test func aModeThatWasSetOnZerosIsAnEdit() {
        var judgement = Self.judgement(.edited, .zeros)
        #expect(judgement?.verdict == .missedWriteOnB)
        judgement?.sides.b?.entry.stat.mode = 0o777
        judgement?.aspects.insert(.mode)
        #expect(judgement?.verdict == .conflict)
    }

    @Test func withoutARecordNothingIsOverwritten() {
        func verdict(_ a: SideState, _ b: SideState, _ base: BaselineKnowledge) -> Verdict? {
            var judgement = Self.judgement(a, b)
            judgement?.base = base
            return judgement?.verdict
        }
        #expect(verdict(.edited, .same, .none) == .unknown)
        #expect(verdict(.edited, .absent, .none) == .unknown)
        for base in [BaselineKnowledge.none, .noRecord] {
            var lost = Self.judgement(
                .edited, .absent, episodes: Sides(a: false, b: true))
            lost?.base = base
            #expect(lost?.verdict == .lostOnB, "\(base)")
        }
        #expect(verdict(.edited, .same, .noRecord) == .undetermined)
        #expect(verdict(.edited, .absent, .noRecord) == .editedOnA)
        #expect(verdict(.absent, .edited, .noRecord) == .editedOnB)
    }

    @Test func aDirectorysTimeIsNothingToDecideAbout() {
        var base = Self.file(5)
        base.entry.stat.type = .directory
        base.content = nil
        let record = Self.record(base)
        func entry(_ seconds: Int64, mode: UInt16 = 0o640) -> ObservedEntry {
            var now = base
            now.entry.stat.mtime = Self.later.adding(seconds: seconds)
            now.entry.stat.ctime = Self.later
            now.entry.stat.mode = mode
            return now
        }
        func verdict(_ a: ObservedEntry?, _ b: ObservedEntry?, _ aspects: AspectSet) -> Verdict {
            Judgement(base: .record(record), sides: Sides(a: a, b: b), aspects: aspects).verdict
        }
        let time = AspectSet(.mtime)
        #expect(verdict(entry(1), entry(2), time) == .editedOnB)
        #expect(verdict(entry(1), base, time) == .editedOnA)
        let both = AspectSet([.mode, .mtime])
        #expect(verdict(entry(1, mode: 1), entry(2, mode: 2), both) == .conflict)
    }

    /// A device tells nothing of writes: only an episode of the other side explains one.
    @Test func ofADeviceAnEpisodeAloneDecides() {
        func verdict(
            _ a: SideState, _ b: SideState, _ episodes: Sides<Bool> = Sides(a: false, b: false)
        ) -> Verdict? {
            var judgement = Self.judgement(a, b, episodes: episodes)
            judgement?.hasTimes = Sides(a: false, b: false)
            judgement?.isOfBytes = true
            judgement?.aspects = AspectSet(.content)
            return judgement?.verdict
        }
        let (onA, onB) = (Sides(a: true, b: false), Sides(a: false, b: true))
        let both = Sides(a: true, b: true)
        for state in [SideState.edited, .rotten, .rolledBack] {
            #expect(verdict(.same, state) == .undetermined)
            #expect(verdict(.same, state, onA) == .missedWriteOnA)
            #expect(verdict(.same, state, onB) == .undetermined)
            #expect(verdict(state, .same, onB) == .missedWriteOnB)
        }
        #expect(verdict(.same, .zeros, both) == .undetermined)
        #expect(verdict(.edited, .zeros) == .undetermined)
        #expect(verdict(.edited, .zeros, onB) == .missedWriteOnB)
        #expect(verdict(.same, .edited, both) == .undetermined)
        #expect(verdict(.edited, .rotten, both) == .undetermined)
        for a in SideState.allCases where a != .absent {
            for b in SideState.allCases where b != .absent {
                for episodes in [Sides(a: false, b: false), onA, onB, both] {
                    guard let found = verdict(a, b, episodes), let winner = found.winner
                    else { continue }
                    let loser = Sides(a: a, b: b)[winner.other]
                    #expect(episodes[winner.other] && !episodes[winner], "\(a), \(b)")
                    #expect([.same, .touched, .chmod, .zeros].contains(loser), "\(a), \(b)")
                }
            }
        }
    }

    /// Whatever happened: what equals the baseline does not overwrite what was edited, and damage
    /// wins over nothing.
    @Test func noEditIsOverwritten() {
        var generator = Seed.fromEnvironment()
        for _ in 0..<rounds(20_000) {
            let a = SideState.allCases[generator.below(SideState.allCases.count)]
            let b = SideState.allCases[generator.below(SideState.allCases.count)]
            let episodes = Sides(a: generator.once(in: 2), b: generator.once(in: 2))
            guard
                let found = Self.judgement(
                    a, b, episodes: episodes, media: generator.once(in: 2)),
                let winner = found.verdict.winner
            else { continue }
            let states = Sides(a: a, b: b)
            let (won, lost) = (states[winner], states[winner.other])
            let edits: Set<SideState> = [.edited, .chmod]
            #expect(won != .rotten && won != .rolledBack, "\(a), \(b), \(episodes)")
            if won == .same || won == .touched {
                #expect(!edits.contains(lost), "\(a), \(b), \(episodes)")
            }
            if edits.contains(won) { #expect(!edits.contains(lost), "\(a), \(b)") }
            if won == .absent { #expect(!episodes[winner], "\(a), \(b)") }
        }
    }
}

import ResyncCore
import TestSupport
import Testing

private typealias Expectation = ResyncCore.Expectation

/// What a configuration lets differ: `Expectation`, `Allowances`, and what `ModuleProof` makes of
/// it.
@Suite struct AllowancesTests {
    private static let looked = Timestamp(seconds: 10_000, nanoseconds: 5)

    private func path(_ text: String) -> RelativePath { RelativePath(Array(text.utf8)) }

    private func expectation(_ pattern: String, until: Int64 = 20_000) throws
        -> Expectation
    {
        try #require(
            Expectation(
                Array(pattern.utf8), reason: "r", until: Timestamp(seconds: until, nanoseconds: 0)))
    }

    private func module(_ patterns: String..., lag: Double? = nil) throws -> Module {
        var module = Module(name: "m", pair: "p", paths: [path("d")])
        module.expectations = try patterns.map { try expectation($0) }
        module.lag = lag
        return module
    }

    private func witness(
        _ type: EntryType = .file, mtime: Int64 = 1, ctime: Int64 = 1
    ) -> StatWitness {
        StatWitness(
            type: type, size: 3, mtime: Timestamp(seconds: mtime, nanoseconds: 0),
            ctime: Timestamp(seconds: ctime, nanoseconds: 0), inode: 7)
    }

    private func difference(
        _ text: String, _ outcome: Outcome = .differs, a: StatWitness? = nil, b: StatWitness? = nil
    ) -> Difference {
        var difference = Difference(path: path(text), outcome: outcome)
        difference.aspects = AspectSet(.content)
        difference.stats = Sides(a: a ?? witness(), b: b ?? witness())
        difference.confirmedFrom = .media
        return difference
    }

    private func outcome(
        _ module: Module, _ difference: Difference, at now: Int64 = 1,
        looked: Timestamp? = Self.looked
    ) -> Outcome {
        Allowances([module], at: Timestamp(seconds: now, nanoseconds: 0))
            .settle(difference, looked: looked).outcome
    }

    @Test func whatMayDifferIsExpected() throws {
        let named = try module("/d/f", "*.log", "cache/")
        for text in ["d/f", "d/x.log", "d/e/y.log"] {
            #expect(outcome(named, difference(text)) == .expected, "\(text)")
        }
        // Of another name, of another module, and what is no directory.
        for text in ["d/g", "d/e/f", "x.log", "e/x.log", "d/cache"] {
            #expect(outcome(named, difference(text)) == .differs, "\(text)")
        }
        let folder = witness(.directory)
        #expect(outcome(named, difference("d/cache", a: folder, b: folder)) == .expected)
        // Only while it holds.
        #expect(outcome(named, difference("d/f"), at: 19_999) == .expected)
        #expect(outcome(named, difference("d/f"), at: 20_000) == .differs)
        #expect(named.expired(at: Timestamp(seconds: 20_000, nanoseconds: 0)).count == 3)
    }

    @Test func whatIsMissingOrOfAnotherTypeCountsAllTheSame() throws {
        let named = try module("*")
        #expect(outcome(named, difference("d/f")) == .expected)
        for side in Side.allCases {
            var missing = difference("d/f", side == .a ? .missingOnA : .missingOnB)
            missing.stats[side] = nil
            #expect(outcome(named, missing) == missing.outcome)
        }
        #expect(outcome(named, difference("d/f", b: witness(.symlink))) == .differs)
        for outcome in [Outcome.unreadable, .notVerified, .conflict, .same] {
            #expect(self.outcome(named, difference("d/f", outcome)) == outcome)
        }
        // What moves all the time may; what flaps, and what is not all listed, may not.
        var moving = difference("d/f", .unstable)
        for (reason, expected) in [
            (nil, Outcome.expected), (.changing, .expected), (.flapping, .unstable),
            (.stopped, .unstable), (Reason.brokenDirectory, .unstable),
        ] {
            moving.reason = reason
            #expect(outcome(named, moving) == expected, "\(String(describing: reason))")
        }
        let folder = witness(.directory)
        #expect(outcome(named, difference("d/e", .unstable, a: folder, b: folder)) == .unstable)
    }

    @Test func whatIsYoungerThanTheLagIsPending() throws {
        let lagging = try module(lag: 100)
        let old = difference("d/f", a: witness(mtime: 9899, ctime: 9899), b: witness())
        #expect(outcome(lagging, old) == .differs)
        let young = [
            witness(mtime: 9901, ctime: 1), witness(mtime: 1, ctime: 9901),
            witness(mtime: 10_050, ctime: 1),
        ]
        for stat in young {
            for side in Side.allCases {
                var one = difference("d/f")
                one.stats[side] = stat
                #expect(outcome(lagging, one) == .unstable)
                one.stats[side.other] = nil
                one.outcome = side == .a ? .missingOnB : .missingOnA
                let settled = Allowances([lagging]).settle(one, looked: Self.looked)
                #expect(settled.outcome == .unstable && settled.reason == .pending)
                #expect(outcome(lagging, one, looked: nil) == one.outcome)
                one.confirmedFrom = nil
                #expect(outcome(lagging, one) == one.outcome)
            }
        }
        // A time far ahead says nothing of when it was written.
        #expect(
            outcome(lagging, difference("d/f", a: witness(mtime: 10_200, ctime: 1))) == .differs)
        #expect(outcome(try module(), difference("d/f", a: young[0])) == .differs)
        #expect(outcome(lagging, difference("e/f", a: young[0])) == .differs)
    }

    /// What is expected to differ has no proof, and needs none; being there it does need.
    @Test func whatIsExpectedKeepsNoProofFromBeingWhole() throws {
        func proof(_ module: Module, _ b: Stat?) -> ModuleProof {
            var proof = ModuleProof(module, Sides(a: [], b: []))
            proof.add(path("d/f"), Sides(a: Stat(type: .file), b: b), nil)
            return proof
        }
        let named = try module("f")
        let whole = proof(named, Stat(type: .file))
        #expect(whole.isWhole && whole.expected == 1 && whole.entries == 0 && !whole.isEmpty)
        #expect(!proof(named, nil).isWhole && proof(named, nil).gaps == [.missingOnB: 1])
        #expect(proof(named, Stat(type: .symlink)).gaps == [.unproven: 1])
        #expect(proof(try module("g"), Stat(type: .file)).gaps == [.unproven: 1])
    }

    @Test func whatIsNoPatternIsNoExpectation() {
        for text in [[], [0], [UInt8](repeating: 97, count: 5000)] {
            #expect(Expectation(text, reason: "r", until: .epoch) == nil)
        }
    }
}

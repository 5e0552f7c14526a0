import ResyncCore
import TestSupport
import Testing

private typealias Gate = ResyncCore.Gate

private func path(_ text: String) -> RelativePath { RelativePath(Array(text.utf8)) }

/// What opens a gate, and what does not: `Gate`, and the modules that others need.
@Suite struct ModuleGateTests {
    private func time(_ seconds: Int64) -> Timestamp {
        Timestamp(seconds: seconds, nanoseconds: 0)
    }

    private func need(
        named name: String = "m", closed: Int64? = 100, open: String? = nil, trouble: String? = nil,
        gap: Int64? = nil, doubt: String? = nil,
        _ standings: (Gate.Standing.Answer, began: Int64)...
    ) -> Gate.Need {
        var a = Gate.Store(name: "p/a")
        a.lastClosed = closed.map { time($0) }
        a.lastEpisode = closed.map { _ in "e1" }
        a.openEpisode = open
        var b = Gate.Store(name: "p/b")
        b.trouble = trouble
        b.doubt = doubt
        b.gap = gap.map { Gate.Gap(episode: "u1", end: time($0), "was watched by nobody") }
        return Gate.Need(
            module: name, stores: [a, b],
            standings: standings.map { Gate.Standing($0.0, began: time($0.began), "\($0.0)") })
    }

    private func answer(_ needs: Gate.Need...) -> Gate.Answer { Gate(unknown: nil, needs).answer }

    /// Where there was no episode yet, what was found to differ shuts it all the same.
    @Test func aDifferenceShutsAGateWithoutAnEpisode() {
        #expect(answer(need(closed: nil)) == .open)
        #expect(answer(need(closed: nil, (.undecided, 3))) == .open)
        #expect(answer(need(closed: nil, (.different, 3))) == .shut)
        #expect(answer(need(closed: nil, (.undecided, 4), (.different, 3))) == .shut)
        #expect(answer(need(closed: nil, (.released, 4), (.different, 3))) == .open)
        #expect(answer(need(closed: nil, (.different, 4), (.released, 3))) == .shut)
    }

    /// All of them at once say what each gate says of the module and all that it needs.
    @Test func gatesAreTheWorstOfWhatIsNeeded() {
        var seed = Seed.fromEnvironment()
        for _ in 0..<rounds(200) {
            let names = (0..<1 + seed.below(12)).map { "m\($0)" }
            var own: [String: Gate.Answer] = [:]
            let modules = names.enumerated().map { number, name in
                var module = Module(name: name, pair: "p", paths: [path(name)])
                module.after = (0..<seed.below(3)).map { _ in "m\(seed.below(number + 1))" }
                // Of one in five nothing is known.
                own[name] = [.open, .open, .shut, .undecided, nil][seed.below(5)]
                return module
            }
            let gates = modules.gates(own)
            for module in modules {
                let needs = modules.needed(by: module).map { module in
                    switch own[module.name] ?? .undecided {
                    case .open: need(named: module.name, closed: nil)
                    case .shut: need(named: module.name)
                    case .undecided: need(named: module.name, (.undecided, 101))
                    }
                }
                #expect(gates[module.name] == Gate(unknown: nil, needs).answer, "\(modules)")
            }
        }
    }

    @Test func onlyAProofSinceTheEpisodeOpensIt() {
        #expect(answer(need(closed: nil)) == .open)
        #expect(answer(need()) == .shut)
        #expect(answer(need((.released, 99))) == .shut)
        // What began as the episode was closed may have read what it still changed.
        #expect(answer(need((.released, 100))) == .shut)
        #expect(answer(need((.released, 101))) == .open)
        #expect(answer(need((.undecided, 101))) == .undecided)
        #expect(answer(need((.different, 101))) == .shut)
    }

    @Test func aDifferenceShutsItUntilTheNextProof() {
        #expect(answer(need((.different, 120), (.released, 110))) == .shut)
        #expect(answer(need((.released, 120), (.different, 110))) == .open)
        // Ordinary writes leave it undecided for those who look, and open.
        #expect(answer(need((.undecided, 120), (.released, 110))) == .open)
        #expect(answer(need((.undecided, 130), (.different, 120), (.released, 110))) == .shut)
        #expect(answer(need((.undecided, 130), (.released, 120), (.different, 110))) == .open)
    }

    @Test func aDifferenceCountsHoweverEarlyItsVerificationBegan() {
        // It began while the episode was open, and came to its end after another had released it.
        #expect(answer(need((.different, 90), (.released, 101))) == .shut)
        #expect(answer(need((.undecided, 95), (.different, 90), (.released, 101))) == .shut)
        #expect(answer(need((.released, 101), (.different, 90))) == .open)
        #expect(answer(need((.undecided, 101), (.different, 90))) == .undecided)
        #expect(answer(need((.undecided, 101), (.released, 90))) == .undecided)
        #expect(answer(need((.released, 90), (.released, 101))) == .open)
    }

    /// What one side was proven to hold opens it while the other one is out of reach, not longer.
    @Test func oneSideOpensItWhileTheOtherIsOutOfReach() {
        func answer(
            _ standings: [(Gate.Standing.Answer, began: Int64, alone: Side?)], open: String? = "e2",
            trouble: Sides<String?> = Sides(a: nil, b: nil), closed: Int64? = 100, other: Int64 = 90
        ) -> Gate {
            var stores = [Gate.Store(name: "p/a"), Gate.Store(name: "p/b")]
            (stores[0].lastClosed, stores[0].lastEpisode) = (closed.map { time($0) }, "e1")
            (stores[1].lastClosed, stores[1].lastEpisode) = (time(other), "e0")
            (stores[0].trouble, stores[1].trouble) = (trouble.a, trouble.b)
            stores[1].openEpisode = open
            let known = standings.map {
                Gate.Standing($0.0, began: time($0.began), "\($0.0)", alone: $0.alone)
            }
            return Gate(
                unknown: nil, [Gate.Need(module: "m", stores: stores, standings: known)])
        }
        let proven = (Gate.Standing.Answer.released, began: Int64(101), alone: Side?.some(.a))
        #expect(answer([proven]).answer == .open)
        #expect(
            answer([proven]).reasons.map(\.text) == [
                "m: released, p/a alone: p/b has an open episode, e2"
            ])
        #expect(answer([proven], open: nil, trouble: Sides(a: nil, b: "is gone")).answer == .open)
        // It is back, or its own store is not well, or was not since.
        #expect(answer([proven], open: nil).answer == .shut)
        #expect(answer([proven], trouble: Sides(a: "is suspect", b: nil)).answer == .undecided)
        #expect(answer([proven], closed: 101).answer == .undecided)
        #expect(answer([(.released, 101, .b)]).answer == .undecided)
        #expect(answer([(.undecided, 101, .a)]).answer == .undecided)
        // A difference shuts it, whoever found it; and outlives the other side's return.
        #expect(answer([(.different, 102, .a), proven]).answer == .undecided)
        #expect(answer([(.different, 102, nil), proven]).answer == .undecided)
        #expect(answer([(.different, 102, .a), (.released, 101, nil)], open: nil).answer == .shut)
        // The other one was back since: it says nothing of the next time that it is not.
        #expect(answer([(.released, 102, nil), proven]).answer == .undecided)
        #expect(answer([proven], other: 100).answer == .open)
        #expect(answer([proven], other: 101).answer == .undecided)
        // For both it proves nothing, and spares nobody a verification.
        #expect(answer([proven, (.released, 101, nil)], open: nil).answer == .open)
        #expect(answer([proven, (.undecided, 101, nil)], open: nil).answer == .undecided)
    }

    @Test func theStoreWhoseEpisodeEndedLastDecides() {
        func answer(
            _ closed: Sides<Int64?>, open: Sides<String?> = Sides(a: nil, b: nil)
        ) -> Gate.Answer {
            let stores = Side.allCases.map { side in
                var store = Gate.Store(name: "p/\(side)")
                store.lastClosed = closed[side].map { time($0) }
                store.lastEpisode = closed[side].map { _ in "e" }
                store.openEpisode = open[side]
                return store
            }
            let released = Gate.Standing(.released, began: time(101), "")
            return Gate(
                unknown: nil, [Gate.Need(module: "m", stores: stores, standings: [released])]
            ).answer
        }
        for side in Side.allCases {
            var closed = Sides<Int64?>(a: 100, b: 100)
            #expect(answer(closed) == .open)
            closed[side] = 110
            #expect(answer(closed) == .shut)
            closed[side.other] = nil
            #expect(answer(closed) == .shut)
            var open = Sides<String?>(a: nil, b: nil)
            open[side] = "e2"
            closed[side] = nil
            #expect(answer(closed, open: open) == .undecided)
        }
        // Where its end is not known nothing counts.
        var endless = Gate.Store(name: "p/a")
        endless.lastEpisode = "e"
        let released = Gate.Standing(.released, began: time(101), "")
        let need = Gate.Need(module: "m", stores: [endless], standings: [released])
        #expect(Gate(unknown: nil, [need]).answer == .shut)
    }

    @Test func aStoreThatIsNotWellLeavesItUndecided() {
        let released: (Gate.Standing.Answer, began: Int64) = (.released, 101)
        #expect(answer(need(open: "e2", released)) == .undecided)
        #expect(answer(need(closed: nil, open: "e1", released)) == .undecided)
        #expect(answer(need(trouble: "is suspect", released)) == .undecided)
        #expect(answer(need(closed: nil, trouble: "is suspect")) == .undecided)
        // That it differs is known all the same.
        #expect(answer(need(trouble: "is suspect", (.different, 101))) == .shut)
        #expect(Gate(unknown: "no ledger", [need(released)]).answer == .undecided)
        #expect(Gate(unknown: nil, []).answer == .undecided)
    }

    /// It is not known what happened meanwhile: neither open, nor shut by that alone.
    @Test func whatNobodyWatchedLeavesItUndecidedUntilTheNextProof() {
        #expect(answer(need(closed: nil, gap: 200)) == .undecided)
        #expect(answer(need(closed: nil, gap: 200, (.released, 200))) == .undecided)
        #expect(answer(need(closed: nil, gap: 200, (.released, 201))) == .open)
        #expect(answer(need(gap: 200, (.released, 150))) == .undecided)
        #expect(answer(need(gap: 200, (.released, 201))) == .open)
        #expect(answer(need(gap: 200, (.undecided, 210), (.released, 150))) == .undecided)
        #expect(answer(need(gap: 200, (.different, 210), (.released, 150))) == .shut)
        // What is known besides still shuts it: an episode that nothing was verified after, and a
        // difference.
        #expect(answer(need(gap: 200)) == .shut)
        #expect(answer(need(gap: 200, (.released, 99))) == .shut)
        #expect(answer(need(gap: 200, (.different, 160), (.released, 150))) == .shut)
        // An episode that came after it counts as ever.
        #expect(answer(need(closed: 300, gap: 200, (.released, 250))) == .shut)
        #expect(answer(need(closed: 300, gap: 200, (.released, 301))) == .open)
        // It is told what ends it, and that is due by itself.
        let need = need(gap: 200, (.released, 150))
        let text = Gate(unknown: nil, [need]).reasons.map(\.text).joined()
        for part in [
            "m: p/b was watched by nobody", "'resync verify --module m'",
            "'resync episode close u1 --note TEXT'",
        ] { #expect(text.contains(part), "\(text)") }
        #expect(need.isDue(at: time(300)))
    }

    @Test func errorsThatNobodyAcceptedLeaveItUndecided() {
        #expect(answer(need(closed: nil, doubt: "counts")) == .undecided)
        #expect(answer(need(doubt: "counts", (.released, 101))) == .undecided)
        #expect(answer(need(doubt: "counts")) == .shut)
        // It is verified all the same.
        #expect(need(doubt: "counts").isDue(at: time(150)))
    }

    @Test func oneSideAloneMustBeFreeOfDoubt() {
        func answer(_ change: (inout [Gate.Store]) -> Void) -> Gate.Answer {
            var stores = [Gate.Store(name: "p/a"), Gate.Store(name: "p/b")]
            stores[1].openEpisode = "e2"
            change(&stores)
            let proven = Gate.Standing(.released, began: time(101), "proven", alone: .a)
            return Gate(
                unknown: nil, [Gate.Need(module: "m", stores: stores, standings: [proven])]
            ).answer
        }
        func gap(_ end: Int64) -> Gate.Gap { Gate.Gap(episode: "u1", end: time(end), "") }
        #expect(answer { _ in } == .open)
        #expect(answer { $0[0].doubt = "counts" } == .undecided)
        #expect(answer { $0[1].doubt = "counts" } == .open)
        #expect(answer { $0[0].gap = gap(100) } == .open)
        #expect(answer { $0[0].gap = gap(101) } == .undecided)
        // It was seen again since.
        #expect(answer { $0[1].gap = gap(100) } == .open)
        #expect(answer { $0[1].gap = gap(200) } == .undecided)
    }

    @Test func allThatItNeedsMustBeOpen() {
        let open = need(named: "m", (.released, 101))
        #expect(answer(open, need(named: "n", (.released, 101))) == .open)
        #expect(answer(open, need(named: "n")) == .shut)
        #expect(answer(open, need(named: "n", (.undecided, 101))) == .undecided)
        #expect(answer(open, need(named: "n", (.undecided, 101)), need(named: "o")) == .shut)
        #expect(answer(need(named: "m"), need(named: "n", (.undecided, 101))) == .shut)
        #expect(answer(open, need(named: "n", open: "e2", (.released, 101))) == .undecided)
    }

    /// What is verified without anybody asking: never in an episode, never what differs.
    @Test func whatWasNotVerifiedSinceAnEpisodeIsDue() {
        func isDue(_ need: Gate.Need, at now: Int64 = 150) -> Bool { need.isDue(at: time(now)) }
        #expect(!isDue(need(closed: nil)))
        #expect(isDue(need()))
        #expect(isDue(need((.released, 100))) && !isDue(need((.released, 101))))
        #expect(!isDue(need((.different, 101))))
        #expect(!isDue(need(open: "e2")) && !isDue(need(trouble: "is suspect")))
        // What was left undecided is tried again, beside the time that it takes.
        #expect(!isDue(need((.undecided, 101)), at: 161) && isDue(need((.undecided, 101)), at: 162))
        var long = need()
        long.standings = [
            Gate.Standing(.undecided, began: time(101), looked: time(201), "moved")
        ]
        #expect(!isDue(long, at: 1201) && isDue(long, at: 1202))
        #expect(!isDue(need((.undecided, 120), (.released, 110)), at: 9999))
        #expect(!isDue(need((.undecided, 120), (.different, 110)), at: 9999))
    }

    @Test func modulesAreFoundWithWhatTheyNeed() {
        func module(_ name: String, _ after: String...) -> Module {
            var module = Module(name: name, pair: "p", paths: [])
            module.after = after
            return module
        }
        let modules = [
            module("a", "b", "c"), module("b", "d"), module("c", "d", "nobody"), module("d"),
            module("e", "a"),
        ]
        #expect(modules.needed(by: modules[0]).map(\.name) == ["a", "b", "c", "d"])
        #expect(modules.needed(by: modules[3]).map(\.name) == ["d"])
        #expect(modules.works { _ in 2 }.map(\.after) == [[1, 2], [3], [3], [], [0]])
        #expect(modules.works { _ in 2 }.allSatisfy { $0.seconds == 2 && $0.weight == 1 })
        // Deep ones are no trouble.
        let chain = (0..<20_000).map { module("m\($0)", "m\($0 + 1)") }
        #expect(chain.needed(by: chain[0]).count == 20_000)
    }
}

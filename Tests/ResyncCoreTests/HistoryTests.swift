import ResyncCore
import TestSupport
import Testing

/// Random histories of two stores, with a plan by the baseline now and then, held against an
/// account of what really happened.
@Suite struct HistoryTests {
    @Test func noHistoryLosesAnEdit() throws {
        let first = Seed.fromEnvironment().value
        var tally = Tally()
        for number in 0..<UInt64(rounds(isLongRun ? 100_000 : 10_000)) {
            var history = History(Seed(first &+ number))
            try history.run()
            for problem in history.problems.prefix(3) {
                let happened = history.log.joined(separator: "; ")
                Issue.record(
                    "RESYNC_SEED=\(first &+ number) RESYNC_RUNS=1: \(problem); \(happened)")
            }
            tally.add(history.tally)
            if history.problems.count > 0, tally.histories > 20 { break }
        }
        print("histories: \(tally.histories), with \(tally)")
        guard tally.histories > 1000 else { return }
        // Each of it happens often enough to mean something.
        #expect(tally.kept > tally.histories / 4)
        #expect(tally.cut > 0 && tally.refused > 0 && tally.left > 0)
    }

    struct Tally: CustomStringConvertible {
        var histories = 0
        var plans = 0
        var actions = 0
        /// Entries that had to come out one way, and did.
        var kept = 0
        var left = 0
        var cut = 0
        var refused = 0

        mutating func add(_ other: Tally) {
            histories += 1
            plans += other.plans
            actions += other.actions
            kept += other.kept
            left += other.left
            cut += other.cut
            refused += other.refused
        }

        var description: String {
            "\(plans) plans of \(actions) actions, \(cut) cut off, \(refused) refused; "
                + "\(kept) entries that had to come out one way, \(left) left for a decision"
        }
    }
}

/// One history, from two stores that agree.
private struct History {
    private var model: HistoryModel
    private(set) var problems: [String] = []
    private(set) var tally = HistoryTests.Tally()
    private var pending: Pending?
    private var runs: UInt64 = 1

    /// A plan that was cut off.
    private struct Pending {
        let plan: ModelPlan
        let done: Int
        let touched: Set<RelativePath>
        let isWhole: Bool
        let decided: [RelativePath: Side]
    }

    init(_ seed: Seed) { model = HistoryModel(seed) }

    var log: [String] { model.log }

    mutating func run() throws {
        for _ in 0..<(2 + model.random.below(4)) {
            for _ in 0..<(1 + model.random.below(5)) {
                model.happen(isPlanWaiting: pending != nil)
            }
            if model.random.once(in: 5) { model.prove() }
            try pending == nil ? plan() : goOn()
        }
    }

    private mutating func decisions() -> [RelativePath: Side] {
        guard model.random.once(in: 5) else { return [:] }
        let path = HistoryModel.path(HistoryModel.names[model.random.below(8)])
        let side = Side.allCases[model.random.below(2)]
        let below = HistoryModel.names.map { HistoryModel.path($0) }.filter { $0.isWithin(path) }
        return Dictionary(uniqueKeysWithValues: below.map { ($0, side) })
    }

    private func totals(_ plan: ModelPlan) -> Sides<PlanTotals> {
        var totals = Sides(a: PlanTotals(), b: PlanTotals())
        for action in plan.actions { totals[action.side].count(action) }
        return totals
    }

    /// Makes a plan and carries it out, perhaps in part.
    private mutating func plan() throws {
        let decided = decisions()
        let plan = try model.plan(decided)
        let totals = totals(plan)
        let refusals = model.refusals(totals)
        let generations = model.generations
        for side in Side.allCases where totals[side.other].actions > 0 {
            guard generations[side] < generations[side.other] else { continue }
            if !refusals.contains(.olderSource(side)) {
                problems.append("\(side.letter) came from an older copy and may be a source")
            }
        }
        tally.plans += 1
        tally.left += plan.leftOut.count
        if !refusals.isEmpty {
            tally.refused += 1
            // Somebody accepts this plan; what it may do is the same.
            if model.random.once(in: 2) { return }
        }
        let isCut = plan.actions.count > 1 && model.random.once(in: 3)
        let count = isCut ? model.random.below(plan.actions.count) : plan.actions.count
        let before = model.things()
        let oracle = model.oracle
        let (touched, isWhole) = model.carryOut(plan.actions[..<count])
        tally.actions += count
        judge(oracle, before, decided)
        if isCut {
            tally.cut += 1
            pending = Pending(
                plan: plan, done: count, touched: touched, isWhole: isWhole, decided: decided)
            return
        }
        if !isWhole { problems.append("a fresh plan could not be carried out") }
        expect(oracle, before, decided)
        finish(touched, isWhole)
    }

    /// A plan that was cut off is gone on with; until then what it changed is no source.
    private mutating func goOn() throws {
        guard let cut = pending else { return }
        let other = totals(try model.plan([:]))
        for side in Side.allCases where model.markers[side].inconsistent != nil {
            guard other[side.other].actions > 0 else { continue }
            if !model.refusals(other).contains(.inconsistentSource(side, run: "run")) {
                problems.append("\(side.letter) is changed in part and may be a source")
            }
        }
        let before = model.things()
        let oracle = model.oracle
        let (touched, isWhole) = model.carryOut(cut.plan.actions[cut.done...])
        judge(oracle, before, cut.decided, isResumed: true)
        pending = nil
        finish(cut.touched.union(touched), cut.isWhole && isWhole)
    }

    private mutating func finish(_ touched: Set<RelativePath>, _ isWhole: Bool) {
        model.prove(touched)
        runs += 1
        isWhole ? model.agree(runs) : model.accept()
    }

    private mutating func judge(
        _ oracle: HistoryOracle, _ before: [String: Sides<HistoryOracle.Thing?>],
        _ decided: [RelativePath: Side], isResumed: Bool = false
    ) {
        let after = model.things()
        for name in HistoryModel.names where decided[HistoryModel.path(name)] == nil {
            guard let old = before[name], let new = after[name] else { continue }
            for side in Side.allCases {
                problems += oracle.violations(
                    name, side, before: old, after: new, isResumed: isResumed)
            }
        }
    }

    /// What happened to one side alone comes out as it has to.
    private mutating func expect(
        _ oracle: HistoryOracle, _ before: [String: Sides<HistoryOracle.Thing?>],
        _ decided: [RelativePath: Side]
    ) {
        let after = model.things()
        for name in ["f", "g", "h", "s"] where decided[HistoryModel.path(name)] == nil {
            guard let old = before[name], let new = after[name],
                let wanted = oracle.expectation(name, before: old)
            else { continue }
            if new == wanted {
                tally.kept += 1
            } else {
                problems.append(
                    "\(name): \(oracle.origin(name, .a)) on A, \(oracle.origin(name, .b)) on B, "
                        + "became \(new), not \(wanted)")
            }
        }
    }
}

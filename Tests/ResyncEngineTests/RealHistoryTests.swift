import Glibc
import ResyncCore
import ResyncStorage
import TestSupport
import Testing

@testable import ResyncEngine

/// Random histories of two stores that are compared, planned for by the baseline, changed and read
/// back by the program itself, with power losses in the midst of it, held against an account of
/// what really happened.
@Suite struct RealHistoryTests {
    @Test func noHistoryLosesAnEdit() throws {
        let first = Seed.fromEnvironment().value
        var tally = RealHistory.Tally()
        var histories = 0
        for number in 0..<UInt64(rounds(isLongRun ? 10_000 : 500)) {
            var history = RealHistory(Seed(first &+ number))
            do {
                try history.run()
            } catch {
                history.problems.append("\(error)")
            }
            histories += 1
            for problem in history.problems.prefix(3) {
                Issue.record(
                    "RESYNC_SEED=\(first &+ number) RESYNC_RUNS=1: \(problem); \(history.story)")
            }
            tally.add(history.tally)
            if !history.problems.isEmpty, histories > 20 { break }
        }
        print("real histories: \(histories), with \(tally)")
        guard histories > 100 else { return }
        // Each of it happens often enough to mean something.
        #expect(tally.kept > histories / 4)
        #expect(tally.cut > 10 && tally.resumed > 10 && tally.undone > 10 && tally.left > 10)
    }

    /// An undo moves the ctime of what it brings back, which is not to make an edit of it.
    @Test(arguments: ["apply", "apply and confirm"])
    func damageThatWasTakenBackIsNoEdit(_ work: String) throws {
        var history = RealHistory(Seed(3))
        let (name, planned) = try history.takeDamageBack(isConfirmed: work != "apply")
        #expect(planned.first?.contains("write \(name) on B: damage on B") == true, "\(planned)")
        #expect(!planned.dropFirst().contains { $0.contains(" \(name) on ") }, "\(planned)")
        #expect(history.leftOut == 1 && history.problems == [], "\(history.problems)")
    }
}

private struct RealHistory {
    private var stores: RealStores
    var problems: [String] = []
    private(set) var tally = Tally()
    private var number = 0
    /// Of the last plan.
    private(set) var leftOut = 0
    /// When the last plan was made.
    private var planned = Timestamp(seconds: 0, nanoseconds: 0)
    /// A run that was cut off.
    private var pending: Pending?

    struct Tally: CustomStringConvertible {
        var plans = 0
        var actions = 0
        /// Entries that had to come out one way, and did.
        var kept = 0
        var left = 0
        var cut = 0
        var resumed = 0
        var undone = 0

        mutating func add(_ other: Tally) {
            plans += other.plans
            actions += other.actions
            kept += other.kept
            left += other.left
            cut += other.cut
            resumed += other.resumed
            undone += other.undone
        }

        var description: String {
            "\(plans) plans of \(actions) actions, \(cut) cut off, \(resumed) gone on with, "
                + "\(undone) taken back; \(kept) entries that had to come out one way, "
                + "\(left) left for a decision"
        }
    }

    private struct Pending {
        let id: String
        let before: [String: Sides<HistoryOracle.Thing?>]
        let oracle: HistoryOracle
    }

    init(_ seed: Seed) { stores = RealStores(seed) }

    var story: String { stores.log.joined(separator: "; ") }

    mutating func run() throws {
        try prove()
        for _ in 0..<(2 + stores.random.below(3)) {
            for _ in 0..<(1 + stores.random.below(5)) {
                stores.happen(isPlanWaiting: pending != nil)
            }
            if pending == nil, stores.random.once(in: 5) { try prove() }
            try pending == nil ? plan() : goOn()
        }
    }

    /// Damage to B is repaired, that is taken back, and a plan is made once more; what was planned.
    mutating func takeDamageBack(
        isConfirmed: Bool
    ) throws -> (name: String, planned: [String]) {
        try prove()
        let name = try #require(["f", "g", "h"].first { stores.exists($0, .b) })
        stores.damage(name, .b, zeroes: false)
        let before = stores.things()
        let plan = try #require(try makePlan("one"))
        _ = try apply(job("one", plan))
        if isConfirmed { try confirm("one", before, isFresh: true) }
        try takeBack("one", before)
        _ = try makePlan("two")
        return (name, stores.log.filter { $0.hasPrefix("planned") })
    }

    // MARK: The program

    private var two: TwoStores { TwoStores(stores.disk, kept: stores.disk) }

    private func sites() throws -> Sides<LocalSite> {
        try stores.paths.map {
            try LocalSite(path: Array($0.utf8), disk: stores.disk, options: LocalSiteOptions())
        }
    }

    private func verify(
        _ change: @escaping (inout VerifyPlan) -> Void = { _ in }
    ) throws -> TwoStores.Verified {
        let paths = stores.paths
        return try two.verify {
            $0.algorithm = .sha256
            $0.paths = (paths.a, paths.b)
            $0.plan = change
        }
    }

    /// Both sides are read; what agrees is proven.
    private mutating func prove() throws {
        stores.log.append("proven")
        var rules = ScanRules(scheme: try DigestScheme(.sha256, blockSize: 64 << 10))
        rules.aspects = ComparisonRules().aspects
        let headers = try sites().map {
            ScanRun($0, rules).header(mounts: .one, owners: .number, host: [], tool: [])
        }
        let state = try two.state()
        let found = try verify {
            $0.rules.keepsRecords = true
            $0.keeping = Keeping(headers, state.manifests, state.baselines)
        }
        let differing = Set(found.differences.map { escaped($0.path.bytes) })
        if differing.isEmpty { stores.episodes = Sides(a: false, b: false) }
        for name in RealStores.names where !differing.contains(name) { proven(name) }
    }

    private mutating func proven(_ name: String) {
        stores.oracle.noteProof(name, stores.thing(name, .a))
        // A plan is told of one time for all entries, that of the oldest proof.
        for side in Side.allCases where stores.episodes[side] {
            stores.oracle.noteEpisode(on: side, [name])
        }
    }

    private func job(_ id: String, _ plan: InputFile? = nil) throws -> ApplyJob {
        let runs = try two.state().runs
        let folder: ApplyFolder
        if let plan {
            let header = RunHeader(
                id: id, kind: "apply", started: .now, a: [], b: [], arguments: [],
                workingDirectory: [], version: "test")
            let reader = try PlanReader(hash: frameHash(), chain: frameHash()) {
                try plan.read(at: $0, count: $1)
            }
            folder = try ApplyFolder(
                begin: try RunFolder.prepare(in: runs, header), plan: plan, id: reader.id)
        } else {
            folder = try ApplyFolder(resume: try RunFolder.open(id, in: runs))
        }
        return ApplyJob(folder, try sites(), .none, settle: 0)
    }

    private func apply(_ job: ApplyJob) throws -> ApplyResult {
        try job.apply(
            ApplyOptions(blockSize: ApplyStage.blockSize), ComparisonRules(),
            try two.state().baselines, freed: nil)
    }

    /// Writes a plan by the baseline, durably; nil where nothing is to be done.
    private mutating func makePlan(_ id: String) throws -> InputFile? {
        let found = try verify()
        let state = try two.state()
        let sites = try sites()
        let header = PlanHeader(
            stores: sites.map {
                StoreReference(path: $0.facts.path, kind: .directory, identity: $0.identity)
            },
            authority: .baseline, created: .now, blockSize: ApplyStage.blockSize,
            aspects: .standard, exclusions: Filter.none.digest)
        var task = PlanTask(
            sites: sites.map { $0 as any Site }, policy: PlanPolicy(.baseline), header: header,
            comparison: ComparisonRules(),
            limits: RunLimits(work: WorkPolicy(fixed: 1, cores: 2)), scratch: state.folder.scratch)
        task.baseline = try state.baselines.find(sites.map { $0.identity })
        task.suspectEnd = stores.episodes.map { $0 ? .now : nil }
        let name = Array("plan-\(id)".utf8)
        let file = try state.folder.create(name)
        let made = try PlanRun(task, .none, of: try RunFolder.open(found.id, in: state.runs)) {
            try file.write($0)
        }()
        try file.sync()
        try state.folder.sync()
        tally.plans += 1
        leftOut = made.trailer.leftOut.count
        tally.left += leftOut
        guard made.trailer.actions > 0 else { return nil }
        let plan = try state.folder.read(name)
        var reader = try PlanReader(hash: frameHash(), chain: frameHash()) {
            try plan.read(at: $0, count: $1)
        }
        var actions: [String] = []
        try reader.forEach { _, action in
            actions.append(
                "\(action.kind) \(escaped(action.path.bytes)) on \(action.side.letter): "
                    + action.why.word)
        }
        stores.log.append("planned: " + actions.joined(separator: ", "))
        planned = stores.disk.now
        return plan
    }

    // MARK: Carrying out

    private mutating func plan() throws {
        number += 1
        let id = "change-\(number)"
        let before = stores.things()
        let oracle = stores.oracle
        guard let plan = try makePlan(id) else { return expect(oracle, before) }
        if stores.random.once(in: 3) {
            stores.disk.inject(
                Fault(.fail(EIO), nth: 1 + stores.random.below(400), persistent: true))
            _ = try? apply(job(id, plan))
            stores.crash()
            tally.cut += 1
            judge(oracle, before, isResumed: false)
            noteCopies(before)
            // What was never listed has done nothing.
            guard try RunFolder.list(in: two.state().runs).contains(id) else { return }
            pending = Pending(id: id, before: before, oracle: oracle)
            return
        }
        let job = try job(id, plan)
        let result = try apply(job)
        tally.actions += result.counts.done
        if result.counts.notDone > 0 || result.failure != nil {
            problems.append("a fresh plan could not be carried out: \(result)")
        }
        judge(oracle, before, isResumed: false)
        if stores.random.once(in: 4) { return try takeBack(id, before) }
        expect(oracle, before)
        try confirm(id, before, isFresh: true)
    }

    /// The run that was cut off is gone on with, or taken back.
    private mutating func goOn() throws {
        guard let cut = pending else { return }
        pending = nil
        tally.resumed += 1
        let before = stores.things()
        let oracle = stores.oracle
        if stores.random.once(in: 3) {
            _ = try job(cut.id).undo(try two.state().baselines)
            tally.undone += 1
            judge(oracle, before, isResumed: true, original: cut.before)
            noteChanges(before) { cut.oracle.origin($0, $1) }
            noteMoved()
            return try accept()
        }
        let result = try apply(job(cut.id))
        tally.actions += result.counts.done
        judge(oracle, before, isResumed: true)
        noteCopies(before)
        try confirm(cut.id, before, isFresh: false)
    }

    /// Everything is as it was.
    private mutating func takeBack(
        _ id: String, _ before: [String: Sides<HistoryOracle.Thing?>]
    ) throws {
        stores.log.append("taken back")
        let result = try job(id).undo(try two.state().baselines)
        tally.undone += 1
        noteMoved()
        if result.counts.notDone > 0 { problems.append("not taken back: \(result.notUndone)") }
        let after = stores.things()
        for name in RealStores.names where after[name] != before[name] {
            problems.append("\(name) was not taken back")
        }
        for side in Side.allCases
        where try MarkerFile.read(try sites()[side])?.inconsistent != nil {
            problems.append("\(side.letter) is marked after all was taken back")
        }
    }

    private mutating func confirm(
        _ id: String, _ before: [String: Sides<HistoryOracle.Thing?>], isFresh: Bool
    ) throws {
        noteCopies(before)
        var different: [String] = []
        let job = try job(id)
        let found = try job.confirm(ComparisonRules(), try two.state().baselines) { path, aspects in
            different.append("\(escaped(path.bytes)) \(aspects.aspects.map(\.word))")
        }
        if isFresh, !found.isGood {
            problems.append("not confirmed: \(found) \(different)")
        }
        guard found.isGood else { return try accept() }
        var plan = job.folder.plan
        var paths: Set<String> = []
        try plan.forEach { at, action in
            if job.folder.state.isDone(at) { paths.insert(escaped(action.path.bytes)) }
        }
        for name in RealStores.names
        // A directory that was left for a decision may differ, and is not proven.
        where paths.contains(name) && stores.thing(name, .a) == stores.thing(name, .b) {
            proven(name)
        }
        if !job.folder.state.isComplete { try accept() }
    }

    /// What a run that is given up left is declared right.
    private mutating func accept() throws {
        for side in Side.allCases {
            try MarkerFile.change(try sites()[side]) { $0.inconsistent = nil }
        }
    }

    /// What was brought back, or on its way, has another ctime than was proven: from then on nobody
    /// can tell its rot from an edit.
    private mutating func noteMoved() {
        let moved: [HistoryOracle.Origin: HistoryOracle.Origin] = [
            .proven: .touched, .rotten: .rottenUnseen,
        ]
        for name in RealStores.names {
            for side in Side.allCases {
                let path = stores.place(name, side)
                guard let origin = moved[stores.oracle.origin(name, side)],
                    stores.disk.exists(path), stores.disk.peek(path).ctime > planned
                else { continue }
                stores.note(name, side, origin)
            }
        }
    }

    // MARK: Judging

    private mutating func noteCopies(_ before: [String: Sides<HistoryOracle.Thing?>]) {
        noteChanges(before) { _, _ in .copied }
        noteMoved()
    }

    private mutating func noteChanges(
        _ before: [String: Sides<HistoryOracle.Thing?>],
        _ origin: (_ name: String, Side) -> HistoryOracle.Origin
    ) {
        let after = stores.things()
        for name in RealStores.names {
            for side in Side.allCases where after[name]?[side] != before[name]?[side] {
                stores.note(name, side, origin(name, side))
            }
        }
    }

    private mutating func judge(
        _ oracle: HistoryOracle, _ before: [String: Sides<HistoryOracle.Thing?>],
        isResumed: Bool, original: [String: Sides<HistoryOracle.Thing?>] = [:]
    ) {
        let after = stores.things()
        for name in RealStores.names {
            guard let old = before[name], let new = after[name] else { continue }
            for side in Side.allCases {
                problems += oracle.violations(
                    name, side, before: old, after: new, isResumed: isResumed,
                    original: original[name])
            }
        }
    }

    /// What happened to one side alone comes out as it has to.
    private mutating func expect(
        _ oracle: HistoryOracle, _ before: [String: Sides<HistoryOracle.Thing?>]
    ) {
        let after = stores.things()
        for name in ["f", "g", "h", "s"]
        where oracle.hadEpisode(name) == stores.episodes {
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

package import ResyncCore
package import ResyncStorage

/// Everything that making a plan from a run's differences needs to know.
package struct PlanTask: Sendable {
    package var sites: Sides<any Site>
    package var policy: PlanPolicy
    package var header: PlanHeader
    package var comparison: ComparisonRules
    package var limits: RunLimits
    package var scratch: Scratch
    /// Only what lies within these; empty for everything.
    package var paths: [RelativePath] = []
    package var baseline: KeptBaseline?
    /// The end of each side's last suspect window: what was proven before may be lost since.
    package var suspectEnd = Sides<Timestamp?>(a: nil, b: nil)
    package var decisions = Decisions()
    /// Of external modules: nothing at, above or below these is replaced or deleted, and nothing is
    /// put there.
    package var external = Selection([])
    /// As the comparison was made.
    package var filter = Filter.none
    /// Whether the comparison came to its end.
    package var isComplete = true
    /// Whether it looked at names that were picked out, and listed no directory.
    package var hasSelection = false
    /// Names looked at together.
    package var batchSize = 64

    package init(
        sites: Sides<any Site>, policy: PlanPolicy, header: PlanHeader,
        comparison: ComparisonRules, limits: RunLimits, scratch: Scratch
    ) {
        self.sites = sites
        self.policy = policy
        self.header = header
        self.comparison = comparison
        self.limits = limits
        self.scratch = scratch
    }

    func isInScope(_ path: RelativePath) -> Bool {
        paths.isEmpty || paths.contains { path.isWithin($0) }
    }

    /// Whether what is to be done would touch an external module's data.
    func isExternal(_ entry: SurveyedEntry, _ choice: PlanChoice) -> Bool {
        if external.holds(entry.path) { return true }
        guard case .take(let source) = choice, external.isLedTo(by: entry.path) else {
            return false
        }
        return entry.sides[source]?.isDirectory != true
    }

    /// What was never proven may have been lost in any episode.
    func hadEpisode(since record: BaselineRecord?) -> Sides<Bool> {
        let proven = record?.time ?? .epoch
        return suspectEnd.map { $0.map { proven <= $0 } ?? false }
    }

    /// Whether something in scope lies below it.
    func leadsToScope(_ path: RelativePath) -> Bool { paths.contains { $0.isWithin(path) } }
}

package struct PlanResult: Sendable {
    package let id: Digest
    package let trailer: PlanTrailer
    /// Differences that were left since they are of external modules; among those left out.
    package var external = 0
    /// Differences that may be, and are left.
    package var expected = 0
}

/// Why no plan can be made; a sentence without its end.
package struct PlanRefusal: Error, Sendable {
    package let reason: String

    package init(_ reason: String) { self.reason = reason }
}

/// Makes a plan from the differences of a run: looks at each once more, judges it, and hands the
/// plan's bytes on as they come.
package final class PlanRun {
    private let task: PlanTask
    private let run: RunFolder
    private let controls: RunControls
    private let left: (RelativePath, LeaveReason) throws -> Void
    private let scheme: DigestScheme
    private let started = monotonicSeconds()
    private let progress = Progress()
    private var writer: PlanWriter<EVPHash>
    private var baseline: BaselineRecords?
    private var poisoned: Set<RelativePath> = []
    private var external = 0
    private var expected = 0
    private var agreeing: Sides<AgreeingNames?> = Sides(a: nil, b: nil)
    private var looker: Worker?

    private static let chunkSize = 4096

    /// - Parameters:
    ///   - left: is told of each entry that is left as it is.
    ///   - output: takes the plan's bytes.
    package init(
        _ task: PlanTask, _ controls: RunControls, of run: RunFolder,
        left: @escaping (RelativePath, LeaveReason) throws -> Void = { _, _ in },
        output: @escaping (_ bytes: [UInt8]) throws -> Void
    ) throws {
        self.task = task
        self.left = left
        self.controls = controls
        self.run = run
        scheme = try DigestScheme(.sha256, blockSize: task.header.blockSize)
        baseline = try task.baseline?.records()
        writer = try PlanWriter(
            task.header, hash: frameHash(), chain: frameHash(), output: output)
    }

    package func callAsFunction() throws -> PlanResult {
        guard task.header.stores.a.kind == .directory else {
            let verdict = ImageVerdict(task, scheme, controls)
            let patches = try PatchPlan(task, scheme, verdict).make(try imageDifference())
            for action in patches.actions { try writer.append(action) }
            for _ in 0..<patches.zeroed {
                if let target = patches.actions.first?.side { writer.countZeroed(on: target) }
            }
            var leftOut = PlanLeftOut()
            if let reason = patches.left {
                leftOut.count(reason)
                try left(.root, reason)
            }
            return try finish(leftOut)
        }
        try findPoisoned()
        var planner = Planner(
            spools: PlanSpools { ActionSpoolFile(task.scratch) }, questions: questions(), left: left
        ) { action, zeroes in
            try self.writer.append(action)
            if zeroes { self.writer.countZeroed(on: action.side) }
        }
        var reader = try run.results()
        var isAtEnd = false
        while !isAtEnd {
            var chunk: [Difference] = []
            while chunk.count < Self.chunkSize {
                guard let record = try reader.next() else {
                    isAtEnd = true
                    break
                }
                if case .difference(let difference) = record { chunk.append(difference) }
            }
            try plan(chunk, &planner)
        }
        try planner.finish()
        for side in Side.allCases {
            writer.count(emptied: try emptied(planner.losses[side], side), on: side)
        }
        return try finish(planner.leftOut)
    }

    private func finish(_ leftOut: PlanLeftOut) throws -> PlanResult {
        writer.isRootIncomplete = poisoned.contains(.root)
        writer.isNarrowed = !task.paths.isEmpty
        let id = try writer.finish(leftOut)
        return PlanResult(id: id, trailer: writer.trailer, external: external, expected: expected)
    }

    private func imageDifference() throws -> Difference? {
        var reader = try run.results()
        while let record = try reader.next() {
            if case .difference(let difference) = record { return difference }
        }
        return nil
    }

    // MARK: Completeness

    /// Directories whose listing was not whole, or that nobody could look into.
    private func findPoisoned() throws {
        var reader = try run.results()
        while let record = try reader.next() {
            guard case .difference(let difference) = record, !difference.isSettled,
                difference.outcome != .expected
            else { continue }
            let types = [difference.stats.a?.type, difference.stats.b?.type]
            if types.contains(.directory) || difference.path == .root {
                poisoned.insert(difference.path)
            }
        }
    }

    private func questions() -> PlannerQuestions {
        var questions = PlannerQuestions()
        let (poisoned, hasSelection) = (poisoned, task.hasSelection)
        questions.isListedWhole = { _, path in !hasSelection && !poisoned.contains(path) }
        if !task.filter.isEmpty { questions.holdsLeftOut = holdsLeftOut }
        questions.comparesLinks = task.header.aspects.contains(.links)
        // Without a whole comparison nobody knows that a name agrees.
        if task.isComplete, !hasSelection {
            questions.existingName = { side, identity in
                try self.agreeingNames(side)[identity]
            }
        }
        return questions
    }

    private func agreeingNames(_ side: Side) throws -> AgreeingNames {
        if let known = agreeing[side] { return known }
        var scope = WalkScope()
        scope.filter = task.filter
        scope.batchSize = task.batchSize
        let walk = Walk(LinkScan(), WalkedSites(a: task.sites[side], b: nil), scope)
        let names = try work(walk, [.root])
        var reader = try run.results()
        let found = try AgreeingNames(names, without: &reader)
        agreeing[side] = found
        return found
    }

    /// How many of the directories that lose entries have no others.
    private func emptied(_ losses: [RelativePath: Int], _ side: Side) throws -> Int {
        guard losses.values.contains(where: { $0 > 0 }) else { return 0 }
        let root = try task.sites[side].root()
        let worker = try looking()
        var emptied = 0
        for (path, lost) in losses where lost > 0 {
            guard let directory = opened(path, in: root, worker) else { continue }
            let listing = directory.list(worker)
            var count = 0
            while count <= lost {
                let names = try listing.next(Self.chunkSize)
                if names.isEmpty { break }
                count += (0..<names.count).count { path != .root || !names.name($0).isOfNoUser }
            }
            if count <= lost { emptied += 1 }
        }
        return emptied
    }

    /// As far as anybody can say: one that cannot be listed may.
    private func holdsLeftOut(_ side: Side, _ path: RelativePath) throws -> Bool {
        let root = try task.sites[side].root()
        guard let directory = opened(path, in: root, try looking()) else { return true }
        let listing = directory.list(try looking())
        while true {
            let names = try listing.next(Self.chunkSize)
            guard names.count > 0 else { return listing.completeness != .complete }
            for index in 0..<names.count where isLeftOut(names, index, in: path) { return true }
        }
    }

    private func isLeftOut(_ names: NameList, _ index: Int, in path: RelativePath) -> Bool {
        let isDirectory = names.kinds[index] == .directory
        return names.withBytes(index) {
            task.filter.excludes($0, in: path.bytes, isDirectory: isDirectory)
        }
    }

    /// Who looks at single directories.
    private func looking() throws -> Worker {
        if let looker { return looker }
        let made = try Worker(scheme: scheme, pulse: Pulse(), stop: Stop())
        looker = made
        return made
    }

    /// The root, or a directory below it.
    private func opened(
        _ path: RelativePath, in root: any SiteDirectory, _ worker: Worker
    ) -> (any SiteDirectory)? {
        var directory: (any SiteDirectory)? = root
        for name in path.components {
            var names = NameList()
            names.append(name, kind: .directory)
            directory = directory?.open(names, 0, worker).directory
        }
        return directory
    }

    // MARK: Looking again

    private func plan(_ chunk: [Difference], _ planner: inout Planner) throws {
        let wanted = chunk.filter { $0.isSettled && isOfInterest($0.path) }
        var unsettled = chunk.filter { !$0.isSettled && task.isInScope($0.path) }
            .sorted { $0.path < $1.path }[...]
        let table = Dictionary(
            wanted.map { ($0.path, $0) }, uniquingKeysWith: { first, _ in first })
        let outputs = try survey(wanted)
        let apart = try contentsApart(outputs, wanted)
        for output in outputs {
            let path: RelativePath
            switch output {
            case .directory(let at, _): path = at
            case .entry(let look): path = look.path
            }
            while let left = unsettled.first, left.path < path {
                try leave(left, &planner)
                unsettled = unsettled.dropFirst()
            }
            switch output {
            case .directory(let path, let sides): try planner.enter(path, sides)
            case .entry(let look):
                guard let difference = table[look.path] else { continue }
                try plan(apart[look.path] ?? look, difference, &planner)
            }
        }
        for left in unsettled { try leave(left, &planner) }
    }

    private func leave(_ difference: Difference, _ planner: inout Planner) throws {
        guard difference.outcome == .expected else {
            return try planner.leaveOut(difference.path, .unreadable)
        }
        planner.stay(difference.path)
        expected += 1
    }

    private func isOfInterest(_ path: RelativePath) -> Bool {
        task.isInScope(path) || task.leadsToScope(path)
    }

    private func survey(_ wanted: [Difference]) throws -> [Survey.Output] {
        guard !wanted.isEmpty else { return [] }
        var wants = Survey.Wants()
        wants.judges = task.baseline != nil || task.policy.authority == .baseline
        switch task.policy.authority {
        case .a: wants.source = .a
        case .b: wants.source = .b
        case .baseline, .union: break
        }
        if !task.decisions.isEmpty || task.policy.resolution != nil { wants.source = nil }
        var scope = WalkScope()
        scope.batchSize = task.batchSize
        scope.selection = Selection(wanted.map { $0.path })
        let survey = Survey(wanted, wants, scheme)
        let walk = Walk(survey, WalkedSites(a: task.sites.a, b: task.sites.b), scope)
        return try work(walk, [.root])
    }

    /// A file in whose place the other side has a directory is digested in a walk of its own, since
    /// the first one went into the directory.
    private func contentsApart(
        _ outputs: [Survey.Output], _ wanted: [Difference]
    ) throws -> [RelativePath: Survey.Look] {
        var paths: Set<RelativePath> = []
        for case .entry(let look) in outputs where look.needsContent { paths.insert(look.path) }
        guard !paths.isEmpty else { return [:] }
        var found: [RelativePath: Survey.Look] = [:]
        for case .entry(let look) in try survey(wanted.filter { paths.contains($0.path) }) {
            found[look.path] = look
        }
        return found
    }

    private func work<P: Pass>(_ walk: Walk<P>, _ first: [WalkUnit<P>]) throws -> [P.Output] {
        let stop = Stop()
        let board = PulseBoard()
        let scheme = scheme
        let collected = Collected<P.Output>()
        let drain = Drain<WalkUnit<P>, P.Output, Worker>(
            first: first,
            context: { index in
                try Worker(scheme: scheme, pulse: board.addPulse(), stop: stop, index: index)
            },
            run: { try walk.run($0, $1) },
            emit: { output, _ in collected.outputs.append(output) })
        var supervisor = Supervisor(task.limits, controls, stop, board, started)
        let isDone = try drain.work(workers: task.limits.work.first) { status in
            supervisor.decide(status) { controls.report(.comparing, progress) }
        }
        guard isDone else {
            if case .interrupted(let signal) = supervisor.ending {
                throw PlanInterruption(signal: signal)
            }
            throw PlanRefusal("storage does not answer")
        }
        return collected.outputs
    }

    /// Unchecked because a drain emits on one thread at a time, and is over before it is read.
    private final class Collected<Output: Sendable>: @unchecked Sendable {
        var outputs: [Output] = []
    }

    // MARK: Judging

    private func plan(
        _ look: Survey.Look, _ difference: Difference, _ planner: inout Planner
    ) throws {
        progress.add(entries: 1, bytes: 0, differences: 0)
        guard look.isSettled else {
            if task.isInScope(look.path) { try planner.leaveOut(look.path, .unreadable) }
            return
        }
        let isUnmoved = Side.allCases.allSatisfy { side in
            look.sides[side].map { StatWitness($0.stat) } == difference.stats[side]
        }
        var entry = SurveyedEntry(path: look.path, sides: look.sides, aspects: [])
        entry.isZero = look.isZero
        entry.aspects = aspects(look, difference, isUnmoved: isUnmoved)
        if isUnmoved, difference.shape == .zeroed { entry.zeroedSide = difference.shapeSide }
        // What agrees by now needs nothing, and neither does what is gone.
        guard !entry.aspects.isEmpty else { return }
        entry.verdict = try judge(entry, difference, isUnmoved: isUnmoved)
        let decided = task.decisions.winner(entry.path)
        var choice = task.policy.choose(
            entry, decided: decided, isNamed: task.decisions.names(entry.path))
        // What somebody decided about was another one. A directory is, whatever came into it.
        if decided != nil, !isUnmoved, !entry.isDirectoryOnBoth { choice = .leave(.stale) }
        // Under a name that is left out on one side for what it is there, nothing is put or taken.
        if isLeftOut(entry) { choice = .leave(.excluded) }
        if task.isExternal(entry, choice) {
            choice = .leave(.external)
            external += 1
        }
        if !task.isInScope(entry.path) {
            guard case .take(let source) = choice, entry.sides[source]?.isDirectory == true,
                entry.sides[source.other]?.isDirectory != true
            else { return }
        }
        try planner.add(entry, choice)
    }

    private func isLeftOut(_ entry: SurveyedEntry) -> Bool {
        guard entry.path != .root, !task.filter.isEmpty else { return false }
        return Side.allCases.contains { side in
            guard let own = entry.sides[side] else { return false }
            return entry.path.lastName.bytes.withUnsafeBufferPointer { name in
                task.filter.excludes(
                    name, in: entry.path.parent.bytes, isDirectory: own.isDirectory)
            }
        }
    }

    private func aspects(
        _ look: Survey.Look, _ difference: Difference, isUnmoved: Bool
    ) -> AspectSet {
        guard let a = look.sides.a, let b = look.sides.b else {
            return look.sides.a == nil && look.sides.b == nil ? [] : AspectSet(.existence)
        }
        var aspects = task.comparison.metadataDifferences(a.entry, b.entry)
        if look.path == .root { aspects.remove(AspectSet(.mtime)) }
        guard a.type == b.type else { return aspects }
        if let left = a.content, let right = b.content {
            if left != right { aspects.insert(.content) }
        } else if isUnmoved, difference.aspects.contains(.content) {
            aspects.insert(.content)
        }
        if isUnmoved, difference.aspects.contains(.links) { aspects.insert(.links) }
        return aspects
    }

    private func judge(
        _ entry: SurveyedEntry, _ difference: Difference, isUnmoved: Bool
    ) throws -> Verdict {
        let record = try baseline?.record(of: entry.path)
        let base: BaselineKnowledge =
            baseline == nil ? .none : record.map { .record($0) } ?? .noRecord
        var judgement = Judgement(base: base, sides: entry.sides, aspects: entry.aspects)
        judgement.hadEpisode = task.hadEpisode(since: record)
        if isUnmoved { judgement.isFromMedium = difference.confirmedFrom == .media }
        judgement.zeroSide = entry.zeroedSide
        if entry.isZero.a != entry.isZero.b { judgement.zeroSide = entry.isZero.a ? .a : .b }
        return judgement.verdict
    }
}

/// A signal came before the plan was whole.
package struct PlanInterruption: Error, Sendable {
    package let signal: Int32
}

extension Difference {
    /// Whether it was seen twice, and can be planned for.
    fileprivate var isSettled: Bool {
        switch outcome {
        case .differs, .missingOnA, .missingOnB: true
        case .same, .unstable, .unreadable, .notVerified, .conflict, .expected: false
        }
    }
}

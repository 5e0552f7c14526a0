package import ResyncCore
package import ResyncStorage

/// A run that changes stores, from its first word to its last: their markers say that they are
/// changed in part before anything is written, and that they agree only when it was read back.
package struct ApplyJob {
    package let folder: ApplyFolder
    private let sites: Sides<LocalSite>
    private let controls: RunControls
    /// Seconds before reading back: until a change is so old that another could not hide behind the
    /// same times.
    private let settle: Double
    /// Where other runs are.
    private let runs: Folder?

    package init(
        _ folder: ApplyFolder, _ sites: Sides<LocalSite>, _ controls: RunControls,
        settle: Double = 2.1, besides runs: Folder? = nil
    ) {
        self.runs = runs
        self.folder = folder
        self.sites = sites
        self.controls = controls
        self.settle = settle
    }

    private var anySites: Sides<any Site> { sites.map { $0 as any Site } }

    /// The sides that the plan changes.
    package var targets: [Side] {
        Side.allCases.filter { folder.plan.trailer.totals[$0].actions > 0 }
    }

    private var isTree: Bool { folder.plan.header.stores.a.kind == .directory }

    /// Settles what a crash left of this run. An image is settled by whatever is done next.
    package func recover() throws {
        guard isTree else { return }
        try ApplyRun(folder, anySites, options, controls).settleOpen()
    }

    /// Settles what a crash left of this run, so that others may go on: an undo has come to the end
    /// of its batch then.
    package func settleForOthers() throws {
        try recover()
        if isTree { try undoRun().settleOpen() }
    }

    private func undoRun() throws -> UndoRun {
        UndoRun(
            folder, anySites, controls,
            later: try runs.map { try folder.changedLater(in: $0) } ?? [:])
    }

    private var options: ApplyOptions {
        ApplyOptions(blockSize: folder.plan.header.blockSize)
    }

    /// Carries the plan out as far as it can be. Where there is not room for all of it, a slice:
    /// that is read back at once, and where the operator has said so, what it displaced is freed,
    /// so that the next one can follow.
    ///
    /// - Parameter freed: called with what was freed for good between two slices; nil where nothing
    ///   may be.
    /// - Throws: `UndoRefusal` where the run was released: what it would displace could not be
    ///   taken back.
    package func apply(
        _ options: ApplyOptions, _ rules: ComparisonRules, _ baselines: Baselines,
        freed: ((Quarantine.Freed) throws -> Void)?
    ) throws -> ApplyResult {
        guard folder.state.released == nil else {
            throw UndoRefusal(
                reason: "what run \(folder.run.id) displaced was released before all was done: "
                    + "make a new plan for the rest")
        }
        while true {
            var result = try carryOut(options, baselines)
            guard result.shortage != nil, result.ending == .complete, result.failure == nil,
                folder.state.keepsSomething, !folder.state.isCutOff
            else { return result }
            let slice = try readBack(rules, baselines, isSlice: true) { _, _ in }
            result.slice = slice
            guard slice.isGood, slice.fromCache == 0, let freed else { return result }
            let found = try Quarantine(folder).freeSlice(sites)
            try freed(found)
            guard found.bytes > 0 else { return result }
        }
    }

    private func carryOut(
        _ options: ApplyOptions, _ baselines: Baselines
    ) throws -> ApplyResult {
        guard isTree else {
            return try ImageApply(folder, sites, controls).apply(options, baselines)
        }
        let run = ApplyRun(folder, anySites, options, controls)
        if folder.state.open == nil, let shortage = try run.shortage() {
            var result = ApplyResult(counts: folder.state.counts, ending: .complete)
            result.shortage = shortage
            return result
        }
        try refuseUnsafeQuarantines()
        try markTargets(folder.run.id)
        return try run()
    }

    /// Takes back what was done. A store that is as it was before is whole again.
    package func undo(_ baselines: Baselines) throws -> ApplyResult {
        guard isTree else {
            return try ImageApply(folder, sites, controls).undo(baselines)
        }
        try refuseUnsafeQuarantines()
        try markTargets(folder.run.id)
        try forget(baselines)
        try recover()
        let result = try undoRun()()
        if folder.state.isUndone || folder.state.isOver { try markTargets(nil) }
        return result
    }

    private func refuseUnsafeQuarantines() throws {
        for side in targets { try sites[side].refuseUnsafeQuarantine() }
    }

    /// Says that this run has changed the targets in part, or that it has not any more. A store
    /// that another run left so stays marked by that one, whatever is done about this one.
    private func markTargets(_ run: String?) throws {
        for side in targets {
            try MarkerFile.change(sites[side]) { marker in
                if marker.isLeft(by: folder.run.id) { marker.inconsistent = run }
            }
        }
    }

    // MARK: Confirming

    /// Reads back what was done; where all of it agrees, the baseline and then both markers say
    /// so, the target's first.
    package func confirm(
        _ rules: ComparisonRules, _ baselines: Baselines,
        different: (_ path: RelativePath, AspectSet) throws -> Void
    ) throws -> ConfirmResult {
        try readBack(rules, baselines, isSlice: false, different: different)
    }

    private func readBack(
        _ rules: ComparisonRules, _ baselines: Baselines, isSlice: Bool,
        different: (_ path: RelativePath, AspectSet) throws -> Void
    ) throws -> ConfirmResult {
        let start = monotonicSeconds()
        while monotonicSeconds() - start < settle {
            controls.report(.settling, Progress())
            pause(milliseconds: 20)
        }
        guard isTree else {
            let result = try ImageApply(folder, sites, controls).confirm(
                isSlice: isSlice, different: different)
            if result.isGood, folder.state.isComplete { try folder.append(.confirmed(.now)) }
            return result
        }
        let run = ConfirmRun(folder, anySites, rules, controls)
        var updates = UpdateSpool(baselines.scratch)
        let result = try run(
            isSlice: isSlice, agreed: { try update($0).map { try updates.append($0) } },
            different: different)
        guard result.isGood, !result.confirmsNothing else { return result }
        let id = try write(&updates, to: baselines)
        guard folder.state.isComplete else { return result }
        let order = targets == [.a] ? [Side.a, .b] : [Side.b, .a]
        // One that has no marker yet is known by nothing that the other could name.
        let before = try sites.map { try MarkerFile.change($0) { _ in } }
        for side in order {
            try MarkerFile.change(sites[side]) { marker in
                if marker.isLeft(by: folder.run.id) { marker.inconsistent = nil }
                guard !folder.plan.trailer.isNarrowed else { return }
                marker.agree(on: id, with: before[side.other])
                if folder.plan.header.authority.isOneSided, !targets.isEmpty {
                    let other = before[side.other].store
                    marker.take(part: targets.contains(side) ? .target : .source, with: other)
                }
            }
        }
        try folder.append(.confirmed(.now))
        return result
    }

    private func update(_ agreed: AgreedEntry) -> BaselineUpdate? {
        guard let found = agreed.sides else { return .remove(agreed.path) }
        // What was changed counts when it was read from the medium.
        guard agreed.source == .media else { return nil }
        var aspects = folder.plan.header.aspects
        // Not all names of the object were looked at.
        if found.a.hasMoreNames || found.b.hasMoreNames { aspects.remove(AspectSet(.links)) }
        var record = BaselineRecord(
            path: agreed.path, agreed: found.a,
            witnesses: found.map { BaselineRecord.Witness($0.stat) },
            aspects: aspects, level: .media, time: agreed.time)
        record.isRacy =
            found.a.stat.isRacy(at: agreed.time) || found.b.stat.isRacy(at: agreed.time)
        return .set(record)
    }

    private func write(
        _ updates: inout UpdateSpool, to baselines: Baselines
    ) throws -> Digest {
        let plan = folder.plan.header
        var header = BaselineHeader(
            identities: plan.stores.map { $0.identity }, blockSize: plan.blockSize,
            exclusions: plan.exclusions, written: .now)
        header.tool = plan.tool
        return try baselines.update(header) { try updates.next() }
    }

    /// What is taken back agrees no longer, and nobody can say in which direction it moved: not
    /// only what the run's own confirming has proven of it, but what anybody has since it began.
    private func forget(_ baselines: Baselines) throws {
        for side in targets { try MarkerFile.change(sites[side]) { $0.followed = nil } }
        let stores = folder.plan.header.stores
        guard let known = try baselines.find(stores.map { $0.identity }) else { return }
        // Whose beginning nobody knows took nothing for granted that was proven.
        let started = (try? folder.run.header().started) ?? .epoch
        var withdrawn = UpdateSpool(baselines.scratch)
        var plan = folder.plan
        try plan.forEach { _, action in
            try withdrawn.append(Self.withdrawn(action, since: started))
        }
        var header = known.header
        header.tool = folder.plan.header.tool
        _ = try baselines.update(header) { try withdrawn.next() }
    }

    /// What an undo brings back has a new ctime. What was known by an earlier one to be older than
    /// what was proven, or was in doubt at all, would pass for an edit by it.
    private static func withdrawn(_ action: Action, since: Timestamp) -> BaselineUpdate {
        if action.why == .undetermined { return .remove(action.path) }
        guard let before = action.before else { return .withdraw(action.path, since: since) }
        return .withdrawRolledBack(
            action.path, since: since, action.side, ctime: before.stat.ctime)
    }
}

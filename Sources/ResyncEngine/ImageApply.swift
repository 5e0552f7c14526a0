import ResyncCore
import ResyncStorage

/// Carries a plan of patches out on an image or device, or takes it back, under the same journal
/// as a tree's.
struct ImageApply {
    private let folder: ApplyFolder
    private let sites: Sides<LocalSite>
    private let controls: RunControls
    private let progress = Progress()

    init(_ folder: ApplyFolder, _ sites: Sides<LocalSite>, _ controls: RunControls) {
        self.folder = folder
        self.sites = sites
        self.controls = controls
    }

    /// - Precondition: the plan changes one side.
    private var side: Side { folder.plan.trailer.totals.a.actions > 0 ? .a : .b }

    private func openTarget() throws -> ImageTarget {
        try sites[side].target(folder.plan.header.stores[side])
    }

    func apply(_ options: ApplyOptions, _ baselines: Baselines) throws -> ApplyResult {
        let target = try openTarget()
        try UndoPlace(folder).removeFreed(all: false)
        try choosePlace(options.undoFolder)
        try forget(baselines)
        return try result {
            let (log, room) = try undoLog(target, options)
            let patcher = ImagePatcher(target, log, try worker(), writeLimit: options.writeLimit)
            let source = OpenContent(try sites[side.other].image(upTo: .max), 0)
            var left = room
            func carryOut(_ first: Int, _ actions: [Action]) throws {
                try folder.append(.intent(first..<first + actions.count))
                let outcome = try patcher.apply(actions, from: source)
                guard let results = outcome.allResults else { throw outcome.stop ?? .cut }
                try note(asides: actions, from: first, log)
                try folder.append(.results(first: first, results))
                if let stop = outcome.stop { throw stop }
            }
            // What a crash cut off is kept already, whatever there is room for by now.
            if let open = folder.state.open {
                var actions: [Action] = []
                try folder.plan.forEach(in: open) { _, action in actions.append(action) }
                left.add(actions)
                try carryOut(open.lowerBound, actions)
            }
            try forEachBatch(isSettled: { folder.state.isDone($0) }) { first, actions in
                // What is done is in use by now, and may have been written to: the patcher would
                // take that for a change which came before it, and put back all the rest.
                let (done, rest) = run(of: actions) { folder.state.isDone(first + $0) }
                guard done == 0 else { return done }
                let count = try left.take(rest)
                try carryOut(first, Array(rest.prefix(count)))
                return count
            }
        }
    }

    /// Nobody reads all of an image that is patched. Held against what it was before, the side that
    /// was left alone would pass later for the one that somebody changed.
    private func forget(_ baselines: Baselines) throws {
        try baselines.removeAll(of: folder.plan.header.stores[side].identity)
    }

    func undo(_ baselines: Baselines) throws -> ApplyResult {
        let target = try openTarget()
        try UndoPlace(folder).removeFreed(all: false)
        try forget(baselines)
        var account = UndoAccount()
        var opened: (log: UndoLog, patcher: ImagePatcher)?
        var result = try result {
            try forEachBatch(isSettled: { folder.state.undone.contains($0) }) { first, actions in
                let (undone, left) = run(of: actions) { folder.state.undone.contains(first + $0) }
                guard undone == 0 else { return undone }
                let (erased, actions) = run(of: left) { folder.state.isErased(first + $0) }
                guard erased == 0 else {
                    for number in first..<first + erased { account.count(.released, of: number) }
                    return erased
                }
                let (log, patcher) = try opened ?? openUndo(target)
                opened = (log, patcher)
                try takeBack(first, actions, patcher, log, &account)
                return actions.count
            }
        }
        account.counts.undone = folder.state.undone.count
        result.counts = account.counts
        result.notUndone = account.notUndone
        result.leftExtents = account.left
        if account.counts.lost > 0 { result.undoLack = opened?.log.lack }
        return result
    }

    /// What an undo came to.
    private struct UndoAccount {
        var counts = ApplyCounts()
        var notUndone: [Int: ActionResult] = [:]
        var left: [Int: LeftExtents] = [:]

        mutating func count(_ result: ActionResult, of number: Int) {
            counts.count(result)
            if !result.isDone { notUndone[number] = result }
        }
    }

    private func takeBack(
        _ first: Int, _ actions: [Action], _ patcher: ImagePatcher, _ log: UndoLog,
        _ account: inout UndoAccount
    ) throws {
        let wasBegun = actions.indices.map { isBegun(first + $0) }
        try folder.append(.undoIntent(first..<first + actions.count))
        let outcome = try patcher.undo(actions) {
            folder.state.results[first + $0]?.isDone == true
        }
        guard let results = outcome.allResults else { throw outcome.stop ?? .cut }
        for (at, result) in results.enumerated() where wasBegun[at] || result != .done {
            account.count(result, of: first + at)
        }
        let refused = Set(outcome.refused)
        for (at, action) in actions.enumerated() where account.left.count < Self.namedActions {
            let extents = action.patches.map(\.extent).filter { refused.contains($0) }
            if !extents.isEmpty { account.left[first + at] = LeftExtents(extents) }
        }
        try note(asides: actions, from: first, log)
        try folder.append(.undone(first: first, results))
        if let stop = outcome.stop { throw stop }
    }

    /// Actions whose extents are named where an undo leaves them.
    private static let namedActions = 1000

    private func openUndo(_ target: ImageTarget) throws -> (UndoLog, ImagePatcher) {
        let log = try undoLog(target, ApplyOptions(blockSize: 1)).0
        let limit = Throttle.writing(nil, controls.pace)
        return (log, ImagePatcher(target, log, try worker(), writeLimit: limit))
    }

    /// Before the actions have their results: then a run that was cut off in between says so, too.
    private func note(asides actions: [Action], from first: Int, _ log: UndoLog) throws {
        for (at, action) in actions.enumerated() {
            let found = log.asides(of: action)
            guard !found.isEmpty, found != folder.state.asides[first + at] else { continue }
            try folder.append(.putAside(number: first + at, found))
        }
    }

    /// How many of the actions are settled, from the first on; where none is, those before the next
    /// that is.
    private func run(
        of actions: [Action], isSettled: (Int) -> Bool
    ) -> (settled: Int, left: [Action]) {
        let settled = actions.indices.prefix(while: isSettled).count
        let left = actions.indices.prefix { !isSettled($0) }.count
        return (settled, Array(actions.prefix(left)))
    }

    /// Whether an action may have been carried out, recorded as done or not.
    private func isBegun(_ number: Int) -> Bool {
        folder.state.results[number] != nil || folder.state.open?.contains(number) == true
    }

    // MARK: The undo file

    /// Whether the undo file of the slice may hold what nothing else knows.
    private var isSliceBegun: Bool {
        let state = folder.state
        return state.open != nil || state.keepsSomething || !state.asides.isEmpty
    }

    private func choosePlace(_ wanted: [UInt8]?) throws {
        guard let wanted, wanted != folder.state.undoFolder else { return }
        guard !isSliceBegun else {
            let place = folder.state.undoFolder.map { "in '\(escaped($0))'" } ?? "with the run"
            throw UndoRefusal(reason: "the undo file of run \(folder.run.id) lies \(place)")
        }
        try folder.append(.undoFolder(wanted))
    }

    private func open(_ place: UndoPlace, _ target: ImageTarget) throws -> UndoLog {
        try UndoLog.open(
            place.name, in: try place.folder(), run: folder.run.id, plan: folder.plan.id,
            target: target)
    }

    /// The undo file of the slice, made with space for all of the plan before the first write, or
    /// for as much as there is room for; and what fits into it.
    ///
    /// - Throws: `Shortage` where there is room for nothing.
    private func undoLog(
        _ target: ImageTarget, _ options: ApplyOptions
    ) throws -> (UndoLog, UndoRoom) {
        let place = UndoPlace(folder)
        let directory = try place.folder()
        var room = UndoRoom(limit: options.maxUndo ?? .max)
        try room.count(folder)
        let available = try directory.fileSystem().available ?? .max
        do {
            let log = try open(place, target)
            let (end, isUnlimited) = log.end.addingReportingOverflow(available)
            room.limit(to: isUnlimited ? .max : max(log.size, end))
            return (log, room)
        } catch let error as DiskError where error.number == ErrorNumber.noEntry {
            // Once anything was begun, nothing else knows what was there before.
            guard !isSliceBegun else {
                throw UndoDamage(
                    run: folder.run.id, reason: "is gone from \(place.text)", offset: nil)
            }
            room.limit(to: available)
            try room.checkFirst(folder)
            let log = try UndoLog.create(
                place.name, in: directory, run: folder.run.id, plan: folder.plan.id,
                target: target, space: room.wanted)
            return (log, room)
        }
    }

    private func worker() throws -> Worker {
        try Worker(
            scheme: try DigestScheme(.sha256, blockSize: folder.plan.header.blockSize),
            pulse: Pulse(), stop: Stop())
    }

    /// Bytes of the target between two records of the journal.
    private static let batchBytes = 64 << 20

    /// - Parameter body: does as many of the actions as it can, from the first on, and says how
    ///   many; at least one.
    private func forEachBatch(
        isSettled: (Int) -> Bool, _ body: (_ first: Int, [Action]) throws -> Int
    ) throws {
        for frame in 0..<folder.plan.frameCount {
            var (first, rest) = try folder.plan.actions(frame: frame)
            while !rest.isEmpty {
                if let signal = controls.interruption() { throw Signal(number: signal) }
                controls.report(.comparing, progress)
                controls.pace.hold()
                var bytes = 0
                var batch = Array(
                    rest.prefix {
                        bytes = cappedSum(bytes, $0.bytesWritten)
                        return bytes <= Self.batchBytes
                    })
                if batch.isEmpty { batch = [rest[0]] }
                var count = batch.count
                let numbers = first..<first + count
                if !numbers.allSatisfy(isSettled) {
                    count = try body(first, batch)
                    progress.add(
                        entries: count,
                        bytes: batch.prefix(count).reduce(0) { cappedSum($0, $1.bytesWritten) },
                        differences: 0)
                }
                first += count
                rest = Array(rest.dropFirst(count))
            }
        }
    }

    private struct Signal: Error {
        let number: Int32
    }

    private func result(_ body: () throws -> Void) throws -> ApplyResult {
        var result = ApplyResult(counts: folder.state.counts, ending: .complete)
        do {
            try body()
        } catch let signal as Signal {
            result.ending = .interrupted(signal.number)
        } catch let shortage as Shortage {
            result.shortage = shortage
        } catch let stop as PatchStop {
            result.failure = StoreFailure(side, stop.error)
        }
        result.counts = folder.state.counts
        return result
    }

    // MARK: Confirming

    /// Reads every extent back on both sides; calls `different` with those that do not agree.
    func confirm(
        isSlice: Bool, different: (_ path: RelativePath, AspectSet) throws -> Void
    ) throws -> ConfirmResult {
        var result = ConfirmResult()
        let worker = try worker()
        let open = try sites.map { OpenContent(try $0.image(upTo: .max), 0) }
        let isDirect =
            open.a.examination.bypassCache(0) && open.b.examination.bypassCache(0)
        let scheme = try DigestScheme(.sha256, blockSize: folder.plan.header.blockSize)
        for frame in 0..<folder.plan.frameCount {
            if let signal = controls.interruption() {
                result.ending = .interrupted(signal)
                break
            }
            controls.report(.confirming(folder.plan.trailer.actions), progress)
            let (first, actions) = try folder.plan.actions(frame: frame)
            for (at, action) in actions.enumerated() where folder.isRead(first + at, isSlice) {
                var comparer = try ExtentComparer(open.a, open.b, scheme, worker)
                let found = try comparer.compare(action.patches.map(\.extent))
                if !found.errors.isEmpty || found.wasCut {
                    result.unreadable += 1
                } else if found.isDifferent {
                    result.different += 1
                    try different(action.path, AspectSet(.content))
                } else {
                    result.confirmed += 1
                    if !isDirect { result.fromCache += 1 }
                }
                controls.confirmed(result)
            }
        }
        return result
    }
}

extension PatchOutcome {
    /// Nil where one is not finished.
    fileprivate var allResults: [ActionResult]? {
        let known = results.compactMap { $0 }
        return known.count == results.count ? known : nil
    }
}

extension PatchStop {
    /// Not told why.
    fileprivate static var cut: PatchStop { .target(DiskError(.pwrite, ErrorNumber.inputOutput)) }

    fileprivate var error: DiskError {
        switch self {
        case .target(let error), .undoFile(let error): error
        case .readBack: DiskError(.pread, ErrorNumber.inputOutput)
        }
    }
}

/// What fits into the undo file of a slice; in bytes of that file.
private struct UndoRoom {
    private var limit: Int
    private var used = 0
    /// What all that is left would take, or as much of it as there is room for.
    private(set) var wanted = 0

    init(limit: Int) { self.limit = limit }

    mutating func count(_ folder: ApplyFolder) throws {
        var plan = folder.plan
        try plan.forEach { number, action in
            let space = UndoFile.space(of: action)
            if folder.state.isKept(number) { used = cappedSum(used, space) }
            if !folder.state.isErased(number) { wanted = cappedSum(wanted, space) }
        }
    }

    mutating func add(_ actions: [Action]) {
        for action in actions { used = cappedSum(used, UndoFile.space(of: action)) }
    }

    mutating func limit(to bytes: Int) {
        limit = min(limit, bytes)
        wanted = min(wanted, limit)
    }

    func checkFirst(_ folder: ApplyFolder) throws {
        for frame in 0..<folder.plan.frameCount {
            let (first, actions) = try folder.plan.actions(frame: frame)
            for (at, action) in actions.enumerated() where !folder.state.isDone(first + at) {
                var room = self
                _ = try room.take([action])
                return
            }
        }
    }

    /// How many of the actions fit, from the first on; at least one.
    mutating func take(_ actions: [Action]) throws -> Int {
        for (at, action) in actions.enumerated() {
            let space = UndoFile.space(of: action)
            guard space <= limit - used else {
                if at > 0 { return at }
                throw Shortage.undo(needed: space, available: max(0, limit - used))
            }
            used = cappedSum(used, space)
        }
        return actions.count
    }
}

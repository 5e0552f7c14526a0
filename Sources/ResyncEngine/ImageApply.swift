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

    private static let undoName = Array("undo".utf8)

    /// - Precondition: the plan changes one side.
    private var side: Side { folder.plan.trailer.totals.a.actions > 0 ? .a : .b }

    func apply(writeLimit: Throttle?) throws -> ApplyResult {
        let target = try ImageTarget(folder.plan.header.stores[side], disk: folder.run.folder.disk)
        let log = try undoLog(target)
        let patcher = ImagePatcher(target, log, try worker(), writeLimit: writeLimit)
        let source = OpenContent(try sites[side.other].image(upTo: .max), 0)
        return try forEachFrame { first, actions in
            try folder.append(.intent(first..<first + actions.count))
            let outcome = try patcher.apply(actions, from: source)
            guard let results = outcome.allResults else { return outcome.stop ?? .cut }
            try folder.append(.results(first: first, results))
            return outcome.stop
        } skipping: { range in
            range.allSatisfy { folder.state.isDone($0) }
        }
    }

    func undo() throws -> ApplyResult {
        let target = try ImageTarget(folder.plan.header.stores[side], disk: folder.run.folder.disk)
        let patcher = ImagePatcher(target, try undoLog(target), try worker())
        // What a crash kept from being recorded as done is taken back as well.
        var counts = ApplyCounts()
        var result = try forEachFrame { first, actions in
            try folder.append(.undoIntent(first..<first + actions.count))
            let outcome = try patcher.undo(actions)
            guard let results = outcome.allResults else { return outcome.stop ?? .cut }
            try folder.append(.undone(first: first, results))
            for result in results { counts.count(result) }
            return outcome.stop
        } skipping: { range in
            range.allSatisfy { folder.state.undone.contains($0) }
        }
        counts.undone = folder.state.undone.count
        result.counts = counts
        return result
    }

    /// The run's undo file; made with space for all of the plan before the first write.
    private func undoLog(_ target: ImageTarget) throws -> UndoLog {
        let (run, plan) = (folder.run.id, folder.plan.id)
        do {
            return try UndoLog.open(
                Self.undoName, in: folder.run.folder, run: run, plan: plan, target: target)
        } catch let error as DiskError where error.number == ErrorNumber.noEntry {
            // Once anything was begun, nothing else knows what was there before.
            guard folder.state.open == nil, folder.state.results.allSatisfy({ $0 == nil }) else {
                throw FormatError("has lost its undo file")
            }
            var space = 0
            var reader = folder.plan
            try reader.forEach { _, action in space += UndoFile.space(of: action) }
            return try UndoLog.create(
                Self.undoName, in: folder.run.folder, run: run, plan: plan, target: target,
                space: space)
        }
    }

    private func worker() throws -> Worker {
        try Worker(
            scheme: try DigestScheme(.sha256, blockSize: folder.plan.header.blockSize),
            pulse: Pulse(), stop: Stop())
    }

    private func forEachFrame(
        _ body: (_ first: Int, [Action]) throws -> PatchStop?,
        skipping isSettled: (Range<Int>) -> Bool
    ) throws -> ApplyResult {
        var ending = Ending.complete
        var stop: PatchStop?
        for frame in 0..<folder.plan.frameCount where stop == nil {
            if let signal = controls.interruption() { ending = .interrupted(signal) }
            guard ending == .complete else { break }
            controls.report(.comparing, progress)
            let (first, actions) = try folder.plan.actions(frame: frame)
            if isSettled(first..<first + actions.count) { continue }
            stop = try body(first, actions)
            progress.add(
                entries: actions.count, bytes: actions.reduce(0) { $0 + $1.bytesWritten },
                differences: 0)
        }
        return ApplyResult(
            counts: folder.state.counts, ending: ending,
            failure: stop.map { (side, $0.error) })
    }

    // MARK: Confirming

    /// Reads every extent back on both sides; calls `different` with those that do not agree.
    func confirm(
        different: (_ path: RelativePath, AspectSet) throws -> Void
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
            for (at, action) in actions.enumerated() where folder.state.isDone(first + at) {
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

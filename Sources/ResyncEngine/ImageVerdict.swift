import ResyncCore
import ResyncStorage

/// How two images or devices came to differ. Where the baseline decides, all of both is read for
/// it: a baseline has one digest of an image, and blocks of one are never taken from both sides.
struct ImageVerdict {
    private let task: PlanTask
    private let scheme: DigestScheme
    private let controls: RunControls

    init(_ task: PlanTask, _ scheme: DigestScheme, _ controls: RunControls) {
        self.task = task
        self.scheme = scheme
        self.controls = controls
    }

    /// - Parameter zeroSide: the side that holds nothing but zeros where they differ.
    /// - Returns: without aspects where they agree by now; nil where one could not be read whole,
    ///   or did not stand still.
    func callAsFunction(
        _ difference: Difference, zeroSide: Side?
    ) throws -> SurveyedEntry? {
        guard task.policy.authority == .baseline, let baseline = task.baseline else {
            let observed = ObservedEntry(
                entry: Entry(stat: Stat(type: .file, size: task.header.stores.a.size)))
            return SurveyedEntry(
                path: .root, sides: Sides(a: observed, b: observed), aspects: difference.aspects)
        }
        var records = try baseline.records()
        let record = try records.record(of: .root)
        let source: ReadSource = difference.confirmedFrom == .media ? .media : .cache
        guard let a = try observe(.a, source), let b = try observe(.b, source) else { return nil }
        let sides = Sides<ObservedEntry?>(a: a, b: b)
        var entry = SurveyedEntry(
            path: .root, sides: sides,
            aspects: a.content == b.content ? [] : AspectSet(.content))
        var judgement = Judgement(
            base: record.map { .record($0) } ?? .noRecord, sides: sides, aspects: entry.aspects)
        judgement.hasTimes = task.header.stores.map { $0.kind == .file }
        judgement.isOfBytes = true
        judgement.hadEpisode = task.hadEpisode(since: record)
        judgement.zeroSide = zeroSide
        entry.zeroedSide = zeroSide
        entry.verdict = judgement.verdict
        return entry
    }

    private func observe(_ side: Side, _ source: ReadSource) throws -> ObservedEntry? {
        var rules = ScanRules(scheme: scheme)
        rules.source = source
        var found: ManifestEntry?
        let result = try ScanRun(task.sites[side], rules)(task.limits, controls) { record in
            if case .entry(let entry) = record { found = entry }
        }
        switch result.ending {
        case .complete: break
        case .interrupted(let signal): throw PlanInterruption(signal: signal)
        default: throw PlanRefusal("storage does not answer")
        }
        guard let found, found.doubt == nil, let entry = found.entry,
            let content = found.content?.digest
        else { return nil }
        return ObservedEntry(entry: entry, content: content)
    }
}

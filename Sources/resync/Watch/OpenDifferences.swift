import ResyncCore
import ResyncEngine
import ResyncLedger

/// What was found to differ between the stores of a pair and was not proven equal since, by what is
/// kept: no store is looked at. A name that is gone from both sides since counts until they are
/// compared again.
struct OpenDifferences {
    /// The last comparison, of whatever part.
    let last: RunRecord
    /// The last comparison of both stores as a whole that found nothing; nil where none did.
    let proof: RunRecord?
    private(set) var count = 0
    /// Of each module of the pair, by its name.
    private(set) var ofModules: [String: Int] = [:]
    /// Whether more was found than is still kept.
    let isCut: Bool

    /// - Parameter baseline: what both sides were last proven to share; nil where nothing was.
    init(
        _ mismatches: Mismatches, last: RunRecord, proof: RunRecord?, _ modules: [Module],
        _ baseline: BaselineRecords?
    ) throws {
        (self.last, self.proof) = (last, proof)
        isCut = mismatches.lost.last != nil
        var baseline = baseline
        let found = mismatches.found.filter { $0.value.isDifferent }
        for (path, finding) in found.sorted(by: { $0.key < $1.key }) {
            if let record = try baseline?.record(of: path), record.time > finding.time { continue }
            count += 1
            // No path is of two modules.
            if let module = modules.first(where: { $0.holds(path) }) {
                ofModules[module.name, default: 0] += 1
            }
        }
    }

    var text: String { Self.text(count, isCut: isCut) }

    func text(of module: Module) -> String? {
        ofModules[module.name].map { Self.text($0, isCut: isCut) }
    }

    private static func text(_ count: Int, isCut: Bool) -> String {
        guard count > 0 || isCut else { return "no difference open" }
        return "\(isCut ? "at least " : "")\(countText(count)) "
            + "\(count == 1 ? "difference" : "differences") open"
    }
}

extension EpisodeKnowledge {
    /// Nil where the stores of a pair were never compared.
    func openDifferences(
        of pair: Configuration.Pair, _ modules: [Module], in state: StateFolder
    ) throws -> OpenDifferences? {
        let stores = pair.stores.map { StorePlace($0.path, nil) }
        let known = try comparisons(of: stores, in: state)
        guard let newest = known.runs.first else { return nil }
        let mismatches = try Mismatches(
            known.runs, of: stores.map { $0.identity }, since: known.since, in: state)
        // As they were last read, whatever lies at their paths now.
        let whole = known.runs.filter { $0.place == .root }
        let identities = whole.lazy.compactMap { known -> Sides<StoreIdentity>? in
            let found = known.run.identities
            guard let a = found.a, let b = found.b else { return nil }
            return known.first == .a ? Sides(a: a, b: b) : Sides(a: b, b: a)
        }.first
        let baseline = try identities.flatMap { try state.baselines.find($0) }?.records()
        let proof = whole.lazy.map(\.run)
            .first { $0.isWhole && $0.findings == 0 && !$0.isAlone }
        return try OpenDifferences(
            mismatches, last: newest.run, proof: proof, modules.filter { $0.pair == pair.name },
            baseline)
    }
}

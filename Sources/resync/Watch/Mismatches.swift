import ResyncCore
import ResyncEngine
import ResyncLedger

/// What was found to differ between two stores, and may do so still: by all comparisons since the
/// last one of everything that found no difference.
struct Mismatches {
    private(set) var paths: Set<RelativePath> = []
    /// Those whose bytes differed, as they were last found.
    private(set) var contents: [RelativePath: Mismatch] = [:]
    /// False where there may be more: runs are not kept any more, or too many.
    private(set) var isWhole = true

    /// Whether any of it was read from the medium, and can be again.
    var areFromMedium: Bool { contents.values.contains { $0.isFromMedium } }

    /// - Parameters:
    ///   - runs: newest first, each with whether it has the stores the other way round.
    ///   - hasAll: whether no other ones are known of.
    init(
        _ runs: some Sequence<(RunRecord, isSwapped: Bool)>, hasAll: Bool, in state: StateFolder
    ) throws {
        isWhole = hasAll
        // What the medium had is not made good by what the cache has.
        var isCleanInCache = false
        for (run, isSwapped) in runs {
            let isFromMedium = run.assurance == Assurance.media.rawValue
            if run.status == ExitStatus.ok.code {
                if run.isWhole, isFromMedium {
                    isWhole = true
                    return
                }
                isCleanInCache = isCleanInCache || run.isWhole
                continue
            }
            if isCleanInCache, !isFromMedium { continue }
            do {
                var results = try RunFolder.open(run.id, in: state.runs).results()
                while let record = try results.next() {
                    guard case .difference(let difference) = record else { continue }
                    guard paths.count < UnprovenEntries.limit else {
                        isWhole = false
                        return
                    }
                    paths.insert(difference.path)
                    add(difference, run.began, isFromMedium, isSwapped)
                }
            } catch is RunError {
                isWhole = false
            }
        }
    }

    private mutating func add(
        _ difference: Difference, _ began: Timestamp, _ isFromMedium: Bool, _ isSwapped: Bool
    ) {
        guard difference.outcome == .differs, difference.aspects.contains(.content) else { return }
        let stats = isSwapped ? difference.stats.swapped : difference.stats
        let found = Mismatch(began: began, isFromMedium: isFromMedium, stats: stats)
        contents[difference.path] = contents[difference.path].map { $0.joined(found) } ?? found
    }
}

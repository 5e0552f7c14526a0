import ResyncCore
import ResyncEngine
import ResyncLedger

/// What was found to differ between two stores, and may do so still: by all comparisons since the
/// last one of everything that read the medium, or the cache and found no difference.
struct Mismatches {
    private(set) var paths: Set<RelativePath> = []
    /// Those whose bytes differed, as they were last found.
    private(set) var contents: [RelativePath: Mismatch] = [:]
    /// What was found besides: by runs that are not kept any more, or too many.
    private(set) var lost = LostFindings()

    /// Whether any of it was read from the medium, and can be again.
    var areFromMedium: Bool { contents.values.contains { $0.isFromMedium } }

    /// - Parameters:
    ///   - runs: newest first, each with which side its A is, or the only store that it read.
    ///   - since: earlier ones are not known of; nil where these are all.
    init(
        _ runs: some Sequence<(RunRecord, first: Side)>, since: Timestamp?,
        in state: StateFolder
    ) throws {
        // What the medium had is not made good by what the cache has.
        var isCleanInCache = false
        for (run, first) in runs {
            let isFromMedium = run.assurance == Assurance.media.rawValue
            if run.foundNothing {
                if run.isWhole, isFromMedium { return }
                isCleanInCache = isCleanInCache || run.isWhole
                continue
            }
            if isCleanInCache, !isFromMedium { continue }
            do {
                var results = try RunFolder.open(run.id, in: state.runs).results()
                while let record = try results.next() {
                    guard case .difference(let difference) = record else { continue }
                    guard paths.count < UnprovenEntries.limit else {
                        lost.add(run.began, isFromMedium: isFromMedium)
                        return
                    }
                    paths.insert(difference.path)
                    add(difference, of: run, isFromMedium, first)
                }
            } catch is RunError {
                lost.add(run.began, isFromMedium: isFromMedium)
            } catch is FormatError {
                lost.add(run.began, isFromMedium: isFromMedium)
            }
            // It found all there was.
            if run.isWhole, isFromMedium { return }
        }
        if let since { lost.add(since, isFromMedium: true) }
    }

    private mutating func add(
        _ difference: Difference, of run: RunRecord, _ isFromMedium: Bool, _ first: Side
    ) {
        guard difference.outcome == .differs, difference.aspects.contains(.content) else { return }
        var stats = difference.stats
        if run.isAlone {
            let alone = stats.a ?? stats.b
            stats = Sides(a: nil, b: nil)
            stats[first] = alone
        } else if first == .b {
            stats = stats.swapped
        }
        let found = Mismatch(began: run.began, isFromMedium: isFromMedium, stats: stats)
        contents[difference.path] = contents[difference.path].map { $0.joined(found) } ?? found
    }
}

extension RunRecord {
    /// Whether nothing was found to differ, as far as it came.
    fileprivate var foundNothing: Bool {
        status == ExitStatus.ok.code || status == ExitStatus.outOfTime.code
    }
}

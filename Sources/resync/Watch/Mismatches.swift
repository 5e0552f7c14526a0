import ResyncCore
import ResyncEngine
import ResyncStorage

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
    ///   - runs: the one that ended last first, each with which side its A is, or the only store
    ///     that it read.
    ///   - since: earlier ones are not known of; nil where these are all.
    init(
        _ runs: some Sequence<(RunRecord, first: Side)>, since: Timestamp?,
        in state: StateFolder
    ) throws {
        // When those began beside which earlier ones count for nothing. What the medium had is not
        // made good by what the cache has.
        var all = (ofMedium: Timestamp?.none, ofCache: Timestamp?.none)
        for (run, first) in runs {
            let isFromMedium = run.assurance == Assurance.media.rawValue
            if let began = all.ofMedium, run.ended <= began { break }
            if let began = all.ofCache, !isFromMedium, run.ended <= began { continue }
            if run.findings > 0, try !take(run, first, isFromMedium, in: state) { return }
            guard run.isWhole else { continue }
            if isFromMedium {
                all.ofMedium = max(all.ofMedium ?? run.began, run.began)
            } else if run.findings == 0 {
                all.ofCache = max(all.ofCache ?? run.began, run.began)
            }
        }
        if let since { lost.add(since, isFromMedium: true) }
    }

    /// Takes what a run found; whether there is room for more.
    private mutating func take(
        _ run: RunRecord, _ first: Side, _ isFromMedium: Bool, in state: StateFolder
    ) throws -> Bool {
        do {
            var results = try RunFolder.open(run.id, in: state.runs).results()
            while let record = try results.next() {
                guard case .difference(let difference) = record else { continue }
                guard paths.count < UnprovenEntries.limit else {
                    lost.add(run.ended, isFromMedium: isFromMedium)
                    return false
                }
                paths.insert(difference.path)
                add(difference, of: run, isFromMedium, first)
            }
        } catch let error where Self.isLost(error) {
            lost.add(run.ended, isFromMedium: isFromMedium)
        }
        return true
    }

    /// Whether what a run found is gone, and not only out of reach.
    private static func isLost(_ error: any Error) -> Bool {
        switch error {
        case is RunError, is FormatError: true
        case let error as DiskError: error.number == ErrorNumber.noEntry
        default: false
        }
    }

    private mutating func add(
        _ difference: Difference, of run: RunRecord, _ isFromMedium: Bool, _ first: Side
    ) {
        guard difference.speaksAgainstContent else { return }
        var stats = difference.stats
        if run.isAlone {
            let alone = stats.a ?? stats.b
            stats = Sides(a: nil, b: nil)
            stats[first] = alone
        } else if first == .b {
            stats = stats.swapped
        }
        let found = Mismatch(found: run.ended, isFromMedium: isFromMedium, stats: stats)
        contents[difference.path] = contents[difference.path].map { $0.joined(found) } ?? found
    }
}

extension Difference {
    /// Whether bytes that both sides have differed, may have, or could not be read.
    fileprivate var speaksAgainstContent: Bool {
        switch outcome {
        case .unreadable: true
        case .differs, .expected, .unstable:
            aspects.contains(.content) || reason == .flapping
        case .same, .missingOnA, .missingOnB, .notVerified, .conflict: false
        }
    }
}

import ResyncCore
import ResyncEngine
import ResyncStorage

/// What was found to differ between two stores, and may do so still: by all comparisons since the
/// last one of everything that read the medium, or the cache and found no difference.
struct Mismatches {
    private(set) var found: [RelativePath: Finding] = [:]
    /// Those whose bytes differed, as they were last found.
    private(set) var contents: [RelativePath: Mismatch] = [:]
    /// What was found besides: by runs that are not kept any more, or too many.
    private(set) var lost = LostFindings()

    struct Finding {
        /// When the last run ended that found it.
        var time: Timestamp
        /// Whether it was found to differ, and not only that nobody could tell.
        var isDifferent: Bool
    }

    var paths: Set<RelativePath> { Set(found.keys) }

    /// Whether any of it was read from the medium, and can be again.
    var areFromMedium: Bool { contents.values.contains { $0.isFromMedium } }

    /// - Parameters:
    ///   - runs: the one that ended last first, each with which side its A is, or the only store
    ///     that it read.
    ///   - stores: what they are, where that is known: what a run found of others at their paths
    ///     may still be true of them, but nothing is made good by it.
    ///   - since: earlier ones are not known of; nil where these are all.
    init(
        _ runs: some Sequence<(RunRecord, first: Side)>, of stores: Sides<StoreIdentity?>,
        since: Timestamp?, in state: StateFolder
    ) throws {
        // When those began beside which earlier ones count for nothing. What the medium had is not
        // made good by what the cache has.
        var all = (ofMedium: Timestamp?.none, ofCache: Timestamp?.none)
        for (run, first) in runs {
            let isFromMedium = run.assurance == Assurance.media.rawValue
            if let began = all.ofMedium, run.ended <= began { break }
            if let began = all.ofCache, !isFromMedium, run.ended <= began { continue }
            if run.findings > 0, try !take(run, first, isFromMedium, in: state) { return }
            // One that ended before it began, or is still to begin, had a clock that was wrong.
            guard run.isWhole, run.began <= run.ended, run.began <= .now,
                run.isOf(stores, first: first)
            else { continue }
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
                guard found.count < UnprovenEntries.limit else {
                    lost.add(run.ended, isFromMedium: isFromMedium)
                    return false
                }
                let known = found[difference.path]
                found[difference.path] = Finding(
                    time: max(known?.time ?? run.ended, run.ended),
                    isDifferent: known?.isDifferent == true || difference.isDifferent)
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

extension RunRecord {
    /// Whether it compared these stores, as far as anybody knows what both are.
    fileprivate func isOf(_ stores: Sides<StoreIdentity?>, first: Side) -> Bool {
        func isSame(_ found: StoreIdentity?, _ wanted: StoreIdentity?) -> Bool {
            guard let found, let wanted else { return true }
            return found == wanted
        }
        return isSame(identities.a, stores[first])
            && (isAlone || isSame(identities.b, stores[first.other]))
    }
}

extension Difference {
    /// Whether the sides differ, as they may not.
    fileprivate var isDifferent: Bool {
        switch outcome {
        case .differs, .missingOnA, .missingOnB, .conflict: true
        case .same, .expected, .unstable, .unreadable, .notVerified: false
        }
    }

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

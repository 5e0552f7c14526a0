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
    ///   - runs: the one that ended last first.
    ///   - stores: what they are, where that is known: what a run found of others at their paths
    ///     may still be true of them, but nothing is made good by it.
    ///   - since: earlier ones are not known of; nil where these are all.
    init(
        _ runs: some Sequence<KnownComparison>, of stores: Sides<StoreIdentity?>,
        since: Timestamp?, in state: StateFolder
    ) throws {
        // When those began beside which earlier ones of the same place, or of a part of it, count
        // for nothing. What the medium had is not made good by what the cache has.
        var ofMedium: [RelativePath: Timestamp] = [:]
        var ofCache: [RelativePath: Timestamp] = [:]
        for known in runs {
            let run = known.run
            let isFromMedium = run.assurance == Assurance.media.rawValue
            func isMadeGood(_ all: [RelativePath: Timestamp]) -> Bool {
                all.contains { known.place.isWithin($0.key) && run.ended <= $0.value }
            }
            if let began = ofMedium[.root], run.ended <= began { break }
            if isMadeGood(ofMedium) || !isFromMedium && isMadeGood(ofCache) { continue }
            if run.findings > 0, try !take(known, isFromMedium, in: state) { return }
            // One that ended before it began, or is still to begin, had a clock that was wrong.
            guard run.isWhole, run.began <= run.ended, run.began <= .now, known.isOf(stores)
            else { continue }
            if isFromMedium {
                ofMedium[known.place] = max(ofMedium[known.place] ?? run.began, run.began)
            } else if run.findings == 0 {
                ofCache[known.place] = max(ofCache[known.place] ?? run.began, run.began)
            }
        }
        if let since { lost.add(since, isFromMedium: true) }
    }

    /// Takes what a run found; whether there is room for more.
    private mutating func take(
        _ known: KnownComparison, _ isFromMedium: Bool, in state: StateFolder
    ) throws -> Bool {
        let run = known.run
        do {
            var results = try RunFolder.open(run.id, in: state.runs).results()
            while let record = try results.next() {
                guard case .difference(var difference) = record else { continue }
                difference.path = known.place.appending(difference.path)
                guard found.count < UnprovenEntries.limit else {
                    lost.add(run.ended, isFromMedium: isFromMedium)
                    return false
                }
                let last = found[difference.path]
                found[difference.path] = Finding(
                    time: max(last?.time ?? run.ended, run.ended),
                    isDifferent: last?.isDifferent == true || difference.isDifferent)
                add(difference, of: run, isFromMedium, known.first)
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

extension KnownComparison {
    /// Whether it compared these stores, as far as anybody knows what both are.
    fileprivate func isOf(_ stores: Sides<StoreIdentity?>) -> Bool {
        func isSame(_ found: StoreIdentity?, _ wanted: StoreIdentity?) -> Bool {
            guard let found, let wanted else { return true }
            // A place in a store is no root of it.
            return place == .root ? found == wanted : found.fileSystem == wanted.fileSystem
        }
        return isSame(run.identities.a, stores[first])
            && (run.isAlone || isSame(run.identities.b, stores[first.other]))
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

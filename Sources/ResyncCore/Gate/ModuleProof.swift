/// A time in which a store may have lost what was written to it, as its files' times have it.
package struct SuspectSpan: Sendable, Hashable {
    /// Nil: it may have begun at any time.
    package let start: Timestamp?
    /// Nil: it is not over.
    package let end: Timestamp?
    /// Whether what was written long before may be lost as well: writes were lost without an error,
    /// another device came, or a check of the file system put things right.
    package let reachesAll: Bool
    /// Whether it is only that nobody watched: then services ran on.
    package let isUnwatched: Bool
    /// When it came to be known, and shut gates; nil: nobody knows.
    package let noted: Timestamp?
    /// Whether the module's gate was shut all through it, after another episode: then it reaches
    /// only what was written in it, whatever the scope.
    package fileprivate(set) var wasShut = false

    package init(
        start: Timestamp?, end: Timestamp?, reachesAll: Bool, isUnwatched: Bool = false,
        noted: Timestamp? = nil
    ) {
        self.start = start
        self.end = end
        self.reachesAll = reachesAll
        self.isUnwatched = isUnwatched
        self.noted = noted
    }

    /// Whether it may have hit what was last written to, by all that its stat tells, at a time.
    func reaches(_ touched: Timestamp, _ scope: Module.Scope) -> Bool {
        guard scope == .suspect || wasShut, !reachesAll, let start else { return true }
        // A file's times may lie before its writing.
        return touched >= start.adding(seconds: -Suspicion.coarseness)
    }
}

extension Sides where Value == [SuspectSpan] {
    /// The same, with what is known of the times in which a module's gate was open: an episode that
    /// came again before that voids nothing of it but what was touched meanwhile.
    ///
    /// - Parameters:
    ///   - openings: a moment at least within each time in which it was opened.
    ///   - since: from when on it is known to have been a module, and so gated; nil: it is not.
    package func knowing(openings: [ClosedRange<Timestamp>], since: Timestamp?) -> Self {
        // Before it was noted it shut nothing.
        let ends = (a + b).filter { !$0.isUnwatched }.compactMap { span in
            span.end.flatMap { end in span.noted.map { max(end, $0) } }
        }
        return map { spans in
            spans.map { span in
                guard let start = span.start, let end = span.end,
                    let before = ends.filter({ $0 < start }).max(),
                    let since, since <= before
                else { return span }
                var span = span
                span.wasShut = !openings.contains {
                    $0.upperBound > before && $0.lowerBound <= end
                }
                return span
            }
        }
    }
}

/// Bytes that a comparison found to differ, while neither side's stat told that they might.
package struct Mismatch: Sendable, Hashable {
    /// When the comparison ended that found it last.
    private let found: Timestamp
    package let isFromMedium: Bool
    /// As they were then; nil of a side that was not looked at.
    private let stats: Sides<StatWitness?>

    package init(found: Timestamp, isFromMedium: Bool, stats: Sides<StatWitness?>) {
        self.found = found
        self.isFromMedium = isFromMedium
        self.stats = stats
    }

    /// The same, with what an earlier comparison found: what the medium had is not made good by
    /// what the cache has.
    package func joined(_ earlier: Mismatch) -> Mismatch {
        Mismatch(
            found: found,
            isFromMedium: isFromMedium || earlier.isFromMedium && earlier.isOf(stats),
            stats: stats)
    }

    private func isOf(_ other: Sides<StatWitness?>) -> Bool {
        Side.allCases.allSatisfy { side in
            stats[side] == nil || other[side] == nil || stats[side] == other[side]
        }
    }

    /// Whether it still speaks against what was proven: who writes the entry anew moves a stat, and
    /// has what is there read anew.
    func contradicts(_ record: BaselineRecord, _ now: Sides<Stat>) -> Bool {
        guard isOf(now.map { StatWitness($0) }) else { return false }
        return record.time <= found || isFromMedium && record.level != .media
    }
}

/// What earlier comparisons may have found to differ, and nobody knows any more: until when.
package struct LostFindings: Sendable, Hashable {
    private var time: Timestamp?
    /// By reading the medium.
    private var ofMedium: Timestamp?

    package init() {}

    package mutating func add(_ found: Timestamp, isFromMedium: Bool) {
        time = max(time ?? found, found)
        if isFromMedium { ofMedium = max(ofMedium ?? found, found) }
    }

    /// The last time; nil where nothing was lost.
    package var last: Timestamp? { time }

    func contradict(_ record: BaselineRecord) -> Bool {
        if let time, record.time <= time { return true }
        guard let ofMedium else { return false }
        // What the medium had is not made good by what the cache has.
        return record.level != .media || record.time <= ofMedium
    }
}

/// Holds a module's entries, as they are now, against what was proven of them: whether its service
/// may use them.
///
/// An entry counts when both sides were read equal, and neither side's stat has moved since; where
/// a side had an episode, when that was from the medium after the episode's end.
package struct ModuleProof: Sendable {
    /// Why an entry does not count.
    package enum Gap: UInt8, Sendable, CaseIterable, Comparable {
        /// It could not be looked at.
        case unreadable
        case missingOnA, missingOnB
        /// Nothing was ever proven of it.
        case unproven
        /// It was changed since.
        case moved
        /// It was written so shortly before it was read that nobody can tell whether it was changed
        /// since.
        case racy
        /// It was found to differ since, under the same stat.
        case foundDiffering
        /// It may have been found to differ since: nobody knows any more.
        case findingsLost
        /// It was last proven before the end of an episode that may have hit it.
        case beforeEpisode
        /// It was not read from the medium since an episode.
        case notFromMedium

        package static func < (left: Gap, right: Gap) -> Bool { left.rawValue < right.rawValue }

        package var sentence: String {
            switch self {
            case .unreadable: "could not be looked at"
            case .missingOnA: "missing on A"
            case .missingOnB: "missing on B"
            case .unproven: "never proven equal"
            case .moved: "changed since it was proven equal"
            case .racy:
                "written just before it was read, or at a time that is still to come, to be read "
                    + "again"
            case .foundDiffering: "found to differ, and not proven equal since from the medium"
            case .findingsLost:
                "not proven again since a run that found differences and is not kept any more"
            case .beforeEpisode: "not proven equal since an episode"
            case .notFromMedium: "not read from the medium since an episode"
            }
        }
    }

    /// Paths that are kept as examples.
    private static let shown = 8

    private let module: Module
    private let spans: Sides<[SuspectSpan]>
    private let mismatches: [RelativePath: Mismatch]
    private let lost: LostFindings
    /// The only side that there is; nil where both are looked at.
    private let alone: Side?
    /// Entries that it holds.
    package private(set) var entries = 0
    /// Bytes of its files.
    package private(set) var bytes = 0
    /// Entries that are on both sides and not proven equal, and need not be.
    package private(set) var expected = 0
    package private(set) var gaps: [Gap: Int] = [:]
    package private(set) var examples: [(path: RelativePath, gap: Gap)] = []
    /// The time of the oldest proof that counts.
    package private(set) var oldest: Timestamp?
    /// Paths of the module that nothing was met at.
    package private(set) var unmet: [RelativePath]

    /// - Parameters:
    ///   - spans: all that are known of each side.
    ///   - mismatches: what was found to differ.
    ///   - lost: more may have been found than that.
    package init(
        _ module: Module, _ spans: Sides<[SuspectSpan]>,
        mismatches: [RelativePath: Mismatch] = [:], lost: LostFindings = LostFindings()
    ) {
        self.module = module
        self.spans = spans
        self.mismatches = mismatches
        self.lost = lost
        alone = nil
        unmet = module.paths
    }

    /// Of one side alone, all of which was just read, and held against what was proven of both.
    package init(_ module: Module, alone side: Side) {
        self.module = module
        spans = Sides(a: [], b: [])
        mismatches = [:]
        lost = LostFindings()
        alone = side
        unmet = module.paths
    }

    /// Whether every entry counts, and there is one.
    package var isWhole: Bool { !isEmpty && gaps.isEmpty && unmet.isEmpty }

    /// Whether there is nothing that it could be about.
    package var isEmpty: Bool { entries + expected == 0 }

    package mutating func add(
        _ path: RelativePath, _ stats: Sides<Stat?>, _ record: BaselineRecord?
    ) {
        // The root is ours as well: our marker moves its times.
        guard module.holds(path), stats.a != nil || stats.b != nil else { return }
        if !unmet.isEmpty { unmet.removeAll { path.isWithin($0) } }
        guard path != .root else { return }
        let gap = gap(stats, record) ?? contradiction(path, stats, record)
        if gap != nil, let a = stats.a, let b = stats.b, a.type == b.type,
            module.expects(path, isDirectory: a.type == .directory)
        {
            expected += 1
            return
        }
        entries += 1
        if let stat = stats.a ?? stats.b, stat.type == .file {
            bytes = cappedSum(bytes, stat.size)
        }
        if let gap { return miss(path, gap) }
        guard let time = record?.time else { return }
        oldest = oldest.map { min($0, time) } ?? time
    }

    /// What could not be looked at, or not wholly.
    package mutating func addUnreadable(_ path: RelativePath) {
        // A directory above that could not be opened hides what is below it.
        guard module.holds(path) || module.paths.contains(where: { $0.isWithin(path) }) else {
            return
        }
        unmet.removeAll { path.isWithin($0) || $0.isWithin(path) }
        entries += 1
        miss(path, .unreadable)
    }

    /// Why an entry does not count; nil where it does.
    ///
    /// - Parameters:
    ///   - stats: as they are now; nil where a side has no such entry.
    ///   - record: what was proven of it.
    package func gap(_ stats: Sides<Stat?>, _ record: BaselineRecord?) -> Gap? {
        if let alone {
            guard let stat = stats[alone], let record, record.aspects.isSuperset(of: .standard)
            else { return .unproven }
            return record.hasMoved(stat, on: alone) ? .moved : nil
        }
        guard let a = stats.a else { return .missingOnA }
        guard let b = stats.b else { return .missingOnB }
        guard let record, record.aspects.isSuperset(of: .standard) else { return .unproven }
        if record.hasMoved(a, on: .a) || record.hasMoved(b, on: .b) { return .moved }
        if record.isRacy { return .racy }
        for (side, stat) in [(Side.a, a), (.b, b)] {
            let touched = max(stat.mtime, stat.ctime)
            for span in spans[side] where span.reaches(touched, module.scope) {
                guard let end = span.end, record.time > end else { return .beforeEpisode }
                // After failed write-back the cache looks right while the disk is stale.
                if record.level != .media { return .notFromMedium }
            }
        }
        return nil
    }

    /// What was found since speaks against what was proven.
    private func contradiction(
        _ path: RelativePath, _ stats: Sides<Stat?>, _ record: BaselineRecord?
    ) -> Gap? {
        guard let record, let a = stats.a, let b = stats.b else { return nil }
        if a.type == .file, lost.contradict(record) { return .findingsLost }
        return mismatches[path]?.contradicts(record, Sides(a: a, b: b)) == true
            ? .foundDiffering : nil
    }

    private mutating func miss(_ path: RelativePath, _ gap: Gap) {
        gaps[gap, default: 0] += 1
        if examples.count < Self.shown { examples.append((path, gap)) }
    }
}

/// A time in which a store may have lost what was written to it, as its files' times have it.
package struct SuspectSpan: Sendable, Hashable {
    /// Nil: it may have begun at any time.
    package let start: Timestamp?
    /// Nil: it is not over.
    package let end: Timestamp?
    /// Whether what was written long before may be lost as well: writes were lost without an error,
    /// another device came, or a check of the file system put things right.
    package let reachesAll: Bool

    package init(start: Timestamp?, end: Timestamp?, reachesAll: Bool) {
        self.start = start
        self.end = end
        self.reachesAll = reachesAll
    }

    /// Whether it may have hit what was last written to, by all that its stat tells, at a time.
    func reaches(_ touched: Timestamp, _ scope: Module.Scope) -> Bool {
        guard scope == .suspect, !reachesAll, let start else { return true }
        // A file's times may lie before its writing.
        return touched >= start.adding(seconds: -Suspicion.coarseness)
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
            case .racy: "written just before it was read, to be read again"
            case .beforeEpisode: "not proven equal since an episode"
            case .notFromMedium: "not read from the medium since an episode"
            }
        }
    }

    /// Paths that are kept as examples.
    private static let shown = 8

    private let module: Module
    private let spans: Sides<[SuspectSpan]>
    /// Entries that it holds.
    package private(set) var entries = 0
    /// Bytes of its files.
    package private(set) var bytes = 0
    package private(set) var gaps: [Gap: Int] = [:]
    package private(set) var examples: [(path: RelativePath, gap: Gap)] = []
    /// The time of the oldest proof that counts.
    package private(set) var oldest: Timestamp?

    /// - Parameter spans: all that are known of each side.
    package init(_ module: Module, _ spans: Sides<[SuspectSpan]>) {
        self.module = module
        self.spans = spans
    }

    /// Whether every entry counts, and there is one.
    package var isWhole: Bool { entries > 0 && gaps.isEmpty }

    package mutating func add(
        _ path: RelativePath, _ stats: Sides<Stat?>, _ record: BaselineRecord?
    ) {
        // The root is ours as well: our marker moves its times.
        guard module.holds(path), path != .root else { return }
        guard stats.a != nil || stats.b != nil else { return }
        entries += 1
        if let stat = stats.a ?? stats.b, stat.type == .file {
            bytes = cappedSum(bytes, stat.size)
        }
        guard let a = stats.a else { return miss(path, .missingOnA) }
        guard let b = stats.b else { return miss(path, .missingOnB) }
        guard let record, record.aspects.isSuperset(of: .standard) else {
            return miss(path, .unproven)
        }
        if let gap = gap(Sides(a: a, b: b), record) { return miss(path, gap) }
        oldest = oldest.map { min($0, record.time) } ?? record.time
    }

    /// What could not be looked at, or not wholly.
    package mutating func addUnreadable(_ path: RelativePath) {
        // A directory above that could not be opened hides what is below it.
        guard module.holds(path) || module.paths.contains(where: { $0.isWithin(path) }) else {
            return
        }
        entries += 1
        miss(path, .unreadable)
    }

    private func gap(_ stats: Sides<Stat>, _ record: BaselineRecord) -> Gap? {
        if Side.allCases.contains(where: { record.hasMoved(stats[$0], on: $0) }) { return .moved }
        if record.isRacy { return .racy }
        for side in Side.allCases {
            let touched = max(stats[side].mtime, stats[side].ctime)
            for span in spans[side] where span.reaches(touched, module.scope) {
                guard let end = span.end, record.time > end else { return .beforeEpisode }
                // After failed write-back the cache looks right while the disk is stale.
                if record.level != .media { return .notFromMedium }
            }
        }
        return nil
    }

    private mutating func miss(_ path: RelativePath, _ gap: Gap) {
        gaps[gap, default: 0] += 1
        if examples.count < Self.shown { examples.append((path, gap)) }
    }
}

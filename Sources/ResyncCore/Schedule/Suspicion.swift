/// How likely it is that an entry was damaged, the most likely first.
package enum SuspicionRank: UInt8, Sendable, CaseIterable, Comparable {
    /// The last comparison found it different.
    case mismatch
    /// Something tells that it was written since the suspect window began, or nothing tells that it
    /// was not.
    case written
    /// It lies where the services were writing.
    case hot
    case other

    package static func < (left: SuspicionRank, right: SuspicionRank) -> Bool {
        left.rawValue < right.rawValue
    }
}

/// What comes first after an episode. It only orders the work: a journal that is rolled back takes
/// times and sizes with it, so that nothing is spared because it looks old.
package struct Suspicion: Sendable {
    /// When the suspect window began, by the clock of each side's store.
    private let starts: Sides<Timestamp>
    private let hot: HotPaths

    /// Seconds by which an entry's times may lie before its writing: file systems cut them, FAT to
    /// two seconds, and the kernel takes them from a clock that it winds on a few hundred times a
    /// second.
    package static let coarseness: Int64 = 2

    /// - Parameters:
    ///   - start: of the suspect window, by our clock.
    ///   - clocks: seconds by which the clock that sets each store's times is ahead of ours.
    package init(since start: Timestamp, clocks: Sides<Int64>, hot: HotPaths = HotPaths()) {
        starts = clocks.map { start.adding(seconds: $0).adding(seconds: -Self.coarseness) }
        self.hot = hot
    }

    /// - Parameters:
    ///   - stats: as they are now; nil where a side has no such entry.
    ///   - record: what both sides were last proven to share.
    ///   - isMismatch: whether the last comparison found it different.
    package func rank(
        of path: RelativePath, stats: Sides<Stat?>, record: BaselineRecord?, isMismatch: Bool
    ) -> SuspicionRank {
        if isMismatch { return .mismatch }
        guard let record, !record.isRacy else { return .written }
        for side in Side.allCases {
            guard let stat = stats[side], !record.hasMoved(stat, on: side),
                stat.mtime < starts[side], stat.ctime < starts[side]
            else { return .written }
        }
        return hot.contain(path) ? .hot : .other
    }
}

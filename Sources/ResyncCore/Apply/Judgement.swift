/// What the baseline says of one entry.
package enum BaselineKnowledge: Sendable, Hashable {
    /// The pair has no baseline.
    case none
    /// It has one, and this entry was never proven to agree.
    case noRecord
    case record(BaselineRecord)
}

/// How an entry came to differ: everything that is known of it, and the verdict that follows.
///
/// Only what the sides disagree about now is held against the baseline: what both changed alike
/// needs no decision.
package struct Judgement: Sendable {
    package var base: BaselineKnowledge
    package var sides: Sides<ObservedEntry?>
    /// In what the sides disagree.
    package var aspects: AspectSet
    /// Whether a side had an episode since the entry's record, or, without one, since the baseline.
    package var hadEpisode = Sides(a: false, b: false)
    /// The side that holds nothing but zeros where the sides differ.
    package var zeroSide: Side?
    /// Whether a side's stat tells of writes: that of a device does not.
    package var hasTimes = Sides(a: true, b: true)
    /// Whether it is compared by its bytes alone, as an image or device is. Then bytes that are as
    /// they were may have been put back since, and nobody can say that one side has rotted.
    package var isOfBytes = false
    /// Whether the difference was seen from the medium, twice, and may be called damage for it.
    package var isFromMedium = false

    package init(base: BaselineKnowledge, sides: Sides<ObservedEntry?>, aspects: AspectSet) {
        self.base = base
        self.sides = sides
        self.aspects = aspects
    }

    /// What became of one side since the baseline.
    private enum Change {
        case absent
        /// As the baseline has it; `moved` when its stat is another all the same.
        case same(moved: Bool)
        /// Changed, and its stat with it.
        case edited
        /// Changed, and its stat with it, to one from before the record: nobody but the file system
        /// sets a ctime, and after a crash or an aborted journal it has an earlier one again.
        case rolledBack
        /// Other data in the same inode, as long as before under an mtime that is no later, or of
        /// any length under the very same one: it may be an edit that put the time back, and it may
        /// have rotted and been chowned since.
        case ambiguous
        /// Changed under an unchanged stat, or under one that proves nothing.
        case silent
    }

    package var verdict: Verdict {
        switch base {
        case .none: return Side.allCases.first { isLost(on: $0) }.map { .lost($0) } ?? .unknown
        case .noRecord: return withoutRecord
        case .record(let record):
            if aspects == AspectSet(.links) { return ofLinks(record) }
            if let later = laterDirectory(record) { return .edited(later) }
            switch (change(record, .a), change(record, .b)) {
            case (.absent, let other): return deletion(on: .a, other)
            case (let other, .absent): return deletion(on: .b, other)
            case (.ambiguous, _), (_, .ambiguous): return .undetermined
            case (.rolledBack, let other): return rolledBack(.a, other)
            case (let other, .rolledBack): return rolledBack(.b, other)
            case (.same(let moved), let other):
                return oneSided(.b, other, otherMoved: moved, record)
            case (let other, .same(let moved)):
                return oneSided(.a, other, otherMoved: moved, record)
            case (.edited, .edited):
                guard let zeroSide, changedDataOnly(record, zeroSide) else { return .conflict }
                return .missedWrite(zeroSide)
            case (.edited, .silent): return zerosInEpisode(.b)
            case (.silent, .edited): return zerosInEpisode(.a)
            case (.silent, .silent): return .undetermined
            }
        }
    }

    /// Made since, or never proven: where only one side has it, nothing is lost by copying it.
    private var withoutRecord: Verdict {
        guard let a = sides.a else { return isLost(on: .a) ? .lost(.a) : .editedOnB }
        guard let b = sides.b else { return isLost(on: .b) ? .lost(.b) : .editedOnA }
        guard a.isDirectory, b.isDirectory, aspects == AspectSet(.mtime) else {
            return .undetermined
        }
        return .edited(a.stat.mtime < b.stat.mtime ? .b : .a)
    }

    private func isLost(on side: Side) -> Bool { sides[side] == nil && hadEpisode[side] }

    private func change(_ record: BaselineRecord, _ side: Side) -> Change {
        guard let now = sides[side] else { return .absent }
        // Where one side has something else altogether, anything the other changed counts.
        let isWhole = sides[side.other] == nil || aspects.contains(.type)
        let compared = isWhole ? AspectSet.all : aspects
        let changes = record.changes(to: now, on: side, in: compared)
        guard hasTimes[side] else {
            if changes.isEmpty { return .same(moved: false) }
            return hadEpisode[side.other] && !hadEpisode[side] ? .edited : .silent
        }
        let then = record.witnesses[side]
        if !changes.isEmpty, now.stat.ctime < then.ctime { return .rolledBack }
        // A directory's times move with its entries, and say nothing of itself.
        if now.isDirectory { return changes.isEmpty ? .same(moved: false) : .edited }
        if changes.isEmpty { return .same(moved: record.hasMoved(now.stat, on: side)) }
        guard record.wasTouched(now.stat, on: side) else { return .silent }
        let isLater = now.stat.mtime > then.mtime || now.stat.inode != then.inode
        if changes.contains(.size) {
            return isLater || now.stat.mtime < then.mtime ? .edited : .ambiguous
        }
        return changes.contains(.content) && !isLater ? .ambiguous : .edited
    }

    private func deletion(on side: Side, _ other: Change) -> Verdict {
        switch other {
        case .same: return hadEpisode[side] ? .lost(side) : .edited(side)
        case .edited: return hadEpisode[side] ? .lost(side) : .conflict
        // The only copy there is may be rotten.
        case .silent, .ambiguous, .rolledBack, .absent: return .undetermined
        }
    }

    /// Older than what was proven: that never wins, and where an episode explains it the other side
    /// does, unless that is in doubt itself.
    private func rolledBack(_ side: Side, _ other: Change) -> Verdict {
        switch other {
        case .same, .edited: hadEpisode[side] ? .missedWrite(side) : .undetermined
        case .silent, .ambiguous, .rolledBack, .absent: .undetermined
        }
    }

    /// The other side is as it was.
    private func oneSided(
        _ side: Side, _ change: Change, otherMoved: Bool, _ record: BaselineRecord
    ) -> Verdict {
        switch change {
        case .edited:
            // Zeros where the other side still has what was proven are no edit to spread.
            if zeroSide == side || isOfBytes && otherMoved { return .undetermined }
            return hadEpisode[side.other] || otherMoved
                ? .missedWrite(side.other) : .edited(side)
        case .silent:
            let isDamage =
                !isOfBytes && isFromMedium && !record.isRacy && !hadEpisode[side]
                && aspects == AspectSet(.content)
            return isDamage ? .damage(side) : .undetermined
        case .absent, .same, .ambiguous, .rolledBack: return .undetermined
        }
    }

    /// Whether nothing but a side's data is another, as a write leaves it whose bytes got lost; a
    /// mode or an owner that somebody gave it is an edit to be kept.
    private func changedDataOnly(_ record: BaselineRecord, _ side: Side) -> Bool {
        guard let now = sides[side] else { return false }
        return record.changes(to: now, on: side, in: aspects)
            .isSubset(of: AspectSet([.content, .size, .mtime]))
    }

    private func zerosInEpisode(_ side: Side) -> Verdict {
        zeroSide == side && hadEpisode[side] ? .missedWrite(side) : .undetermined
    }

    /// Of links the baseline knows nothing; but making one moves a file's ctime.
    private func ofLinks(_ record: BaselineRecord) -> Verdict {
        guard let a = sides.a, let b = sides.b else { return .undetermined }
        let moved = (record.hasMoved(a.stat, on: .a), record.hasMoved(b.stat, on: .b))
        let side: Side = moved.0 ? .a : .b
        guard moved.0 != moved.1, let now = sides[side],
            now.stat.ctime >= record.witnesses[side].ctime
        else { return .undetermined }
        return .edited(side)
    }

    /// Entries came and went on both sides: the directory's time alone is nothing to decide about.
    private func laterDirectory(_ record: BaselineRecord) -> Side? {
        guard aspects == AspectSet(.mtime), let a = sides.a, let b = sides.b, a.isDirectory,
            b.isDirectory,
            !record.changes(to: a, on: .a, in: aspects).isEmpty,
            !record.changes(to: b, on: .b, in: aspects).isEmpty
        else { return nil }
        return a.stat.mtime < b.stat.mtime ? .b : .a
    }
}

extension Verdict {
    package static func edited(_ side: Side) -> Verdict { side == .a ? .editedOnA : .editedOnB }
    package static func lost(_ side: Side) -> Verdict { side == .a ? .lostOnA : .lostOnB }
    package static func damage(_ side: Side) -> Verdict { side == .a ? .damageOnA : .damageOnB }
    package static func missedWrite(_ side: Side) -> Verdict {
        side == .a ? .missedWriteOnA : .missedWriteOnB
    }
}

/// What decides which side's copy is taken.
package struct PlanPolicy: Sendable {
    package var authority: Authority
    /// What is done about conflicts; nil to leave them.
    package var resolution: ConflictResolution?
    /// Whether an entry that was lost may be deleted on the other side.
    package var acceptsDeletions = false
    /// Whether fifos, sockets and devices are made.
    package var allowsSpecials = false

    package init(_ authority: Authority) { self.authority = authority }
}

package enum ConflictResolution: String, Sendable, CaseIterable {
    case a, b
    /// The one with the later mtime.
    case newer
    /// The larger of two files.
    case larger
}

/// What is done about one difference.
package enum PlanChoice: Sendable, Hashable {
    /// The other side is made as this one is.
    case take(Side)
    case leave(LeaveReason)
}

/// Why a difference is left as it is.
package enum LeaveReason: Sendable, Hashable, CaseIterable {
    case conflict, undetermined, lost, unreadable
    /// It was decided about before it changed.
    case stale
    /// Nobody knows whether the source's directory has it after all, or something stays inside.
    case deletion
    /// It belongs to an external module: equal bytes would prove nothing of it.
    case external
    /// On one side its name is left out, for what it is there.
    case excluded
    /// A device, FIFO or socket that is not to be copied.
    case special
    /// Both sides have it, and a union overwrites nothing.
    case onBoth
    /// Its directory is left as it is.
    case other
}

extension PlanPolicy {
    /// - Parameters:
    ///   - decided: the side that somebody has declared right.
    ///   - isNamed: whether by the entry's own name; else by that of a directory above it.
    package func choose(
        _ entry: SurveyedEntry, decided: Side? = nil, isNamed: Bool = true
    ) -> PlanChoice {
        // A union overwrites and deletes nothing, whoever decides.
        if let decided, authority != .union {
            // Who decides about a directory may not know what was lost in it.
            if !isNamed, !acceptsDeletions, entry.verdict == .lost(decided) {
                return .leave(.lost)
            }
            return checked(.take(decided), entry)
        }
        switch authority {
        case .a: return ordered(entry, .a)
        case .b: return ordered(entry, .b)
        case .union: return checked(united(entry), entry)
        case .baseline: return checked(proven(entry), entry)
        }
    }

    /// Damage never wins, and a loss is not spread.
    private func ordered(_ entry: SurveyedEntry, _ source: Side) -> PlanChoice {
        if entry.verdict == .damage(source) { return .leave(.undetermined) }
        if entry.verdict == .lost(source), !acceptsDeletions { return .leave(.lost) }
        return checked(.take(source), entry)
    }

    private func united(_ entry: SurveyedEntry) -> PlanChoice {
        if entry.sides.a == nil { return .take(.b) }
        return entry.sides.b == nil ? .take(.a) : .leave(.onBoth)
    }

    private func proven(_ entry: SurveyedEntry) -> PlanChoice {
        if acceptsDeletions {
            if entry.verdict == .lostOnA { return .take(.a) }
            if entry.verdict == .lostOnB { return .take(.b) }
        }
        if let winner = entry.verdict.winner { return .take(winner) }
        guard entry.verdict == .conflict else { return .leave(.undetermined) }
        return resolved(entry).map { .take($0) } ?? .leave(.conflict)
    }

    private func resolved(_ entry: SurveyedEntry) -> Side? {
        switch resolution {
        case nil: return nil
        case .a?: return .a
        case .b?: return .b
        case .newer?:
            // A device has none.
            guard let a = entry.sides.a?.stat.mtime, let b = entry.sides.b?.stat.mtime, a != b,
                a != .epoch, b != .epoch
            else { return nil }
            return a < b ? .b : .a
        case .larger?:
            guard let a = entry.sides.a, let b = entry.sides.b, a.type == .file,
                b.type == .file, a.stat.size != b.stat.size
            else { return nil }
            return a.stat.size < b.stat.size ? .b : .a
        }
    }

    private func checked(_ choice: PlanChoice, _ entry: SurveyedEntry) -> PlanChoice {
        guard case .take(let side) = choice, let source = entry.sides[side] else { return choice }
        switch source.type {
        case .file, .directory, .symlink: return choice
        case .fifo, .socket, .characterDevice, .blockDevice:
            return allowsSpecials ? choice : .leave(.special)
        }
    }
}

extension PlanLeftOut {
    package mutating func count(_ reason: LeaveReason, _ number: Int = 1) {
        switch reason {
        case .conflict, .stale: conflicts += number
        case .undetermined: undetermined += number
        case .lost: lost += number
        case .unreadable: unreadable += number
        case .deletion: deletions += number
        case .external, .excluded, .special, .onBoth, .other: others += number
        }
    }
}

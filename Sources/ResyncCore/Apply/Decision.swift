/// What somebody has decided about one difference of a run.
package struct Decision: Sendable, Hashable {
    package enum Ruling: Sendable, Hashable {
        /// This side's copy is right.
        case accept(Side)
        /// It is to be decided anew.
        case open
    }

    package var path: RelativePath
    package var ruling: Ruling
    package var who: [UInt8]
    package var when: Timestamp
    package var reason: [UInt8]

    package init(
        path: RelativePath, ruling: Ruling, who: [UInt8], when: Timestamp, reason: [UInt8]
    ) {
        self.path = path
        self.ruling = ruling
        self.who = who
        self.when = when
        self.reason = reason
    }
}

/// All decisions about a run, oldest first; the latest about a path counts.
package struct Decisions: Sendable {
    package private(set) var all: [Decision]
    private var latest: [RelativePath: Decision.Ruling] = [:]

    package init(_ all: [Decision] = []) {
        self.all = all
        for decision in all { latest[decision.path] = decision.ruling }
    }

    package var isEmpty: Bool { all.isEmpty }

    /// Whether a path was decided about by its own name.
    package func names(_ path: RelativePath) -> Bool { latest[path] != nil }

    /// The side that is right about a path, by what was decided of it or of a directory above it.
    package func winner(_ path: RelativePath) -> Side? {
        guard !latest.isEmpty else { return nil }
        var at = path
        while true {
            switch latest[at] {
            case .accept(let side)?: return side
            case .open?: return nil
            case nil: break
            }
            if at == .root { return nil }
            at = at.parent
        }
    }
}

/// What was decided since a plan was made.
package struct LaterDecisions: Sendable {
    private let then: Decisions
    private let now: Decisions

    /// Nil where nothing was.
    ///
    /// - Parameter count: of those that the plan follows. No clock is asked, which may have been
    ///   set since.
    package init?(_ decisions: Decisions, after count: Int) {
        guard count < decisions.all.count else { return nil }
        (then, now) = (Decisions(Array(decisions.all.prefix(count))), decisions)
    }

    /// Whether an action of the plan does what is no longer decided, or was decided otherwise.
    package func speakAgainst(_ action: Action) -> Bool {
        // What is done in a directory moves its times, whoever is right about it.
        guard action.keptDirectory == nil else { return false }
        let last = now.winner(action.path)
        return last != then.winner(action.path) && last != action.side.other
    }
}

/// How a run came to its end.
package enum Ending: Sendable, Hashable {
    case complete
    /// The number of the signal that ended it.
    case interrupted(Int32)
    case outOfTime
    /// A read was not answered in time.
    case stalled
}

/// What a comparison says in the end.
package struct Summary: Sendable, Hashable {
    package var tally: Tally
    package var ending: Ending
    /// At least so many entries were not reached because the run ended early.
    package var leftUnread: Int
    package var elapsed: Double
    /// Entries that were not compared, because they were proven equal before and nothing tells that
    /// they were touched since.
    package var provenBefore = 0
    /// Whether what is left to be proven was left out on purpose, for a first verdict.
    package var isFirstLook = false
    /// What of the usual aspects was not compared at all.
    package var leftOut: AspectSet = []
    /// Why nothing that was found on a side is to be trusted; sentences without their ends.
    package var doubts = Sides<[String]>(a: [], b: [])

    package init(tally: Tally, ending: Ending, leftUnread: Int = 0, elapsed: Double = 0) {
        self.tally = tally
        self.ending = ending
        self.leftUnread = leftUnread
        self.elapsed = elapsed
    }

    package var notVerified: Int { tally.notVerified + leftUnread }

    /// Something in scope has no verdict.
    private var hasTrouble: Bool {
        tally.unreadable > 0 || tally.notVerified > 0 || tally.flapping > 0
            || (tally.entries + provenBefore == 0 && ending == .complete) || ending == .stalled
            || isIncomplete || isDoubtful
    }

    private var isDoubtful: Bool { !doubts.a.isEmpty || !doubts.b.isEmpty }

    /// It claims to have come to the end, and did not look at everything.
    private var isIncomplete: Bool {
        ending == .complete && (leftUnread > 0 || tally.outcomes < tally.entries)
    }

    package var status: ExitStatus {
        var status = ExitStatus.ok
        if case .interrupted(let signal) = ending { status.merge(.signal(signal)) }
        if hasTrouble { status.merge(.trouble) }
        if tally.conflicts > 0 { status.merge(.undecided) }
        if confirmedDifferences > 0 { status.merge(.differences) }
        if tally.unstable > 0 { status.merge(.unconfirmed) }
        if ending == .outOfTime { status.merge(.outOfTime) }
        return status
    }

    private var confirmedDifferences: Int {
        tally.differs + tally.missingOnA + tally.missingOnB
    }

    /// The words a person looks for.
    package var verdict: String {
        if isDoubtful { return "NOT VERIFIED" }
        if confirmedDifferences > 0 {
            let isContent = tally.contentDiffers + tally.missingOnA + tally.missingOnB > 0
            if isContent { return "NOT IN SYNC" }
            guard !hasTrouble, ending == .complete, tally.unstable + tally.conflicts == 0 else {
                return "NOT VERIFIED, \(metadataText)"
            }
            // Of content that nobody looked at nothing is said.
            guard !leftOut.contains(.content) else {
                return "NOT IN SYNC, \(metadataText), content not compared"
            }
            return "CONTENT IN SYNC, \(metadataText)"
        }
        guard status == .ok else { return "NOT VERIFIED" }
        if isFirstLook { return "IN SYNC SO FAR" }
        return (leftOut.contains(.content) ? "IN SYNC, content not compared" : "IN SYNC")
            + (tally.expected > 0 ? ", but for what may differ" : "")
    }

    private var metadataText: String {
        tally.metadataDiffers == 1
            ? "1 metadata difference" : "\(tally.metadataDiffers) metadata differences"
    }
}

/// What a command returns to its caller.
package enum ExitStatus: Sendable, Hashable {
    /// Everything in scope verified at the asked level, no difference.
    case ok
    /// Confirmed differences.
    case differences
    /// Something could not be verified, nothing was there to verify, or the run failed.
    case trouble
    /// Only unconfirmed or unstable differences.
    case unconfirmed
    /// A conflict or undetermined difference needs a decision.
    case undecided
    /// Safety stop: nothing was written.
    case refused
    /// Applied in part.
    case partial
    /// Time budget reached, checkpoint saved, no difference so far.
    case outOfTime
    case usage
    case unavailable
    /// A defect of resync itself.
    case defect
    /// Another run holds the lock.
    case locked
    /// Ended by a signal, state saved.
    case signal(Int32)

    package var code: Int32 {
        switch self {
        case .ok: 0
        case .differences: 1
        case .trouble: 2
        case .unconfirmed: 3
        case .undecided: 4
        case .refused: 5
        case .partial: 6
        case .outOfTime: 10
        case .usage: 64
        case .unavailable: 69
        case .defect: 70
        case .locked: 75
        case .signal(let number): 128 + number
        }
    }

    /// Which of several wins: the higher one.
    private var severity: Int {
        switch self {
        case .ok: 0
        case .outOfTime: 1
        case .unconfirmed: 2
        case .differences: 3
        case .undecided: 4
        case .partial: 5
        case .trouble: 6
        case .unavailable: 7
        case .refused: 8
        case .defect: 9
        case .signal: 10
        // Both are found before any work starts.
        case .usage, .locked: 11
        }
    }

    package mutating func merge(_ other: ExitStatus) {
        if other.severity > severity { self = other }
    }
}

/// What is known of an episode when another one is placed beside it.
package struct EpisodeHeader: Sendable, Hashable {
    package let id: String
    package let store: String
    package let incident: String
    package let firstEvidence: Timestamp
    package let closed: Timestamp?
    package let ordinal: Int
    /// Whether it is only that nobody watched: then nothing comes back in what follows.
    package var isUnwatched = false

    package init(
        id: String, store: String, incident: String, firstEvidence: Timestamp,
        closed: Timestamp?, ordinal: Int
    ) {
        self.id = id
        self.store = store
        self.incident = incident
        self.firstEvidence = firstEvidence
        self.closed = closed
        self.ordinal = ordinal
    }

    package init(_ episode: Episode) {
        self.init(
            id: episode.id, store: episode.store, incident: episode.incident,
            firstEvidence: episode.firstEvidence.wall, closed: episode.closed?.wall,
            ordinal: episode.ordinal)
        isUnwatched = episode.kind == .unwatched
    }
}

/// Which episodes belong together.
package enum Incident {
    /// Stores behind one path fail within the time after which iSCSI gives a session up
    /// (`replacement_timeout`, 120 s).
    package static let grouping: Int64 = 120
    /// An episode that begins within a day of the end of another one of its store comes back.
    package static let recurrence: Int64 = 24 * 3600

    /// Gives an episode its incident, and links it to the one that it repeats.
    ///
    /// - Parameter known: the others, in any order.
    package static func place(
        _ episode: inout Episode, among known: [EpisodeHeader], newID: (Moment) -> String
    ) {
        let start = episode.firstEvidence.wall
        let others = known.filter { $0.id != episode.id }
        let before = others.filter { other in
            guard other.store == episode.store, let closed = other.closed, !other.isUnwatched,
                episode.kind != .unwatched
            else { return false }
            return closed <= start && closed.distance(to: start) <= nanoseconds(recurrence)
        }
        let last = before.max { ($0.closed ?? start) < ($1.closed ?? start) }
        // An outage is one incident, whatever one of its stores had before: else it would depend on
        // which of them is found first.
        let near = others.filter { other in
            (last == nil || other.store != episode.store && !other.isUnwatched)
                && other.firstEvidence.distance(to: start) <= nanoseconds(grouping)
        }
        let nearest = near.min {
            $0.firstEvidence.distance(to: start) < $1.firstEvidence.distance(to: start)
        }
        if let last {
            episode.recurrenceOf = last.id
            episode.ordinal = last.ordinal == .max ? .max : last.ordinal + 1
        }
        episode.incident =
            nearest?.incident ?? last?.incident ?? newID(episode.firstEvidence)
    }

    private static func nanoseconds(_ seconds: Int64) -> UInt64 { UInt64(seconds) * 1_000_000_000 }
}

/// How restless a store was of late, after the route damping of RFC 2439: each episode and each
/// relapse adds to it, and it halves within an hour.
package struct FlapPenalty: Sendable, Hashable {
    package static let step = 1000.0
    /// From here on nothing is verified on the store until it is calm again.
    package static let suppress = 2500.0
    package static let reuse = 750.0
    package static let halfLife = 3600.0

    package private(set) var value: Double
    package private(set) var at: Timestamp
    package private(set) var isSuppressed: Bool

    package init(value: Double = 0, at: Timestamp, isSuppressed: Bool = false) {
        self.value = value.isFinite ? max(0, min(value, 1e6)) : 0
        self.at = at
        self.isSuppressed = isSuppressed
    }

    package mutating func add(at now: Timestamp) {
        decay(to: now)
        value = min(value + Self.step, 1e6)
        if value >= Self.suppress { isSuppressed = true }
    }

    /// Lets time pass; a clock that was set back adds nothing.
    package mutating func decay(to now: Timestamp) {
        let passed = now > at ? Double(at.distance(to: now)) / 1e9 / Self.halfLife : 0
        at = now
        if passed >= 64 {
            value = 0
        } else {
            for _ in 0..<Int(passed) { value /= 2 }
            // The exact curve, so that it does not matter how often somebody looks.
            value *= powerOfHalf(passed - passed.rounded(.down))
        }
        if value < Self.reuse { isSuppressed = false }
    }
}

/// One half to the power of a number from 0 to 1, by its series: there is no mathematical library
/// here.
private func powerOfHalf(_ exponent: Double) -> Double {
    let x = -exponent * 0.693_147_180_559_945_3
    var (sum, term) = (1.0, 1.0)
    for step in 1...18 {
        term *= x / Double(step)
        sum += term
    }
    return sum
}

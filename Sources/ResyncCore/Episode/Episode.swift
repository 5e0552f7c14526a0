/// One store's time of not being safely writable.
package struct Episode: Sendable, Hashable {
    /// Pieces of evidence that are kept: the first half as they came, then the newest.
    package static let evidenceLimit = 64

    package enum Ending: String, Sendable, CaseIterable {
        /// Verified probes over the whole hold-down.
        case probe
        /// The same, after the machine had been booted anew.
        case reboot
        case person
        /// It was over as soon as the store was watched again.
        case watched
    }

    package struct Step: Sendable, Hashable {
        package let kind: EpisodeClass
        package let at: Moment

        package init(_ kind: EpisodeClass, _ at: Moment) {
            self.kind = kind
            self.at = at
        }
    }

    package let id: String
    package let store: String
    /// Of the boot in which it was opened.
    package let bootID: String
    /// The start of the last verified probe before the first evidence; nil where there was none.
    package private(set) var lastGood: Moment?
    package let firstEvidence: Moment
    package let detected: Moment
    /// Every class it had, each a worse one than before.
    package private(set) var steps: [Step]
    package private(set) var evidence: [Evidence] = []
    /// Pieces that were left out between the first and the newest.
    package private(set) var evidenceLeftOut = 0
    /// The end of the first good probe of the recovery that lasted; nil before.
    package var firstGood: Moment?
    package var closed: Moment?
    package var ending: Ending?
    /// How often it fell back while it recovered.
    package var flaps = 0
    /// Whether an fsck was seen to have run: the file system's error count fell.
    package var sawCheck = false
    /// The file system's count of errors at the last look; nil where it keeps none.
    package var errorCount: UInt64?
    package var incident = ""
    /// The episode of this store that ended less than a day before.
    package var recurrenceOf: String?
    /// 1 for the first of its incident on this store.
    package var ordinal = 1
    package var note = ""

    package init(
        id: String, store: String, bootID: String, lastGood: Moment?, firstEvidence: Moment,
        detected: Moment, steps: [Step]
    ) {
        self.id = id
        self.store = store
        self.bootID = bootID
        self.lastGood = lastGood
        self.firstEvidence = firstEvidence
        self.detected = detected
        self.steps = steps
    }

    package var kind: EpisodeClass { steps.last?.kind ?? .slow }
    package var isOpen: Bool { closed == nil }
    /// Whether a person vouches that nothing was lost while nobody watched.
    package var isExcused: Bool { kind == .unwatched && ending == .person }

    /// Whether what was written long before may be lost, too.
    package var reachesAll: Bool {
        sawCheck || steps.contains { $0.kind == .lostWrite || $0.kind == .wrongDevice }
    }

    /// Raises its class; false where it is that bad already.
    package mutating func rise(to kind: EpisodeClass, at moment: Moment) -> Bool {
        if let last = steps.last, kind <= last.kind { return false }
        steps.append(Step(kind, moment))
        return true
    }

    /// What made it read-only is known by now: a person did. False where there was more than that.
    package mutating func explain(byRemountAt moment: Moment, within seconds: Double) -> Bool {
        guard steps.count == 1, kind == .readOnly, moment.seconds(since: detected) <= seconds else {
            return false
        }
        steps = [Step(.adminReadOnly, detected)]
        return true
    }

    /// Has the suspect window begin earlier.
    package mutating func widen(to good: Moment?) {
        guard let last = lastGood else { return }
        guard let good else { return lastGood = nil }
        if good.boot < last.boot { lastGood = good }
    }

    package mutating func add(_ piece: Evidence) {
        if evidence.count >= Self.evidenceLimit {
            evidence.remove(at: Self.evidenceLimit / 2)
            evidenceLeftOut &+= 1
        }
        evidence.append(piece)
    }

    /// As it was kept.
    package mutating func restore(evidence: [Evidence], leftOut: Int) {
        self.evidence = evidence
        evidenceLeftOut = leftOut
    }

    /// The wall-clock time that surely contains the damage. What applications were told was written
    /// before the first error may never have reached the medium, so it begins earlier than the last
    /// verified probe by the time the kernel may keep written data to itself.
    ///
    /// - Parameter margin: seconds of that: `vm.dirty_expire_centisecs`,
    ///   `vm.dirty_writeback_centisecs` and the file system's commit interval.
    /// - Returns: `end` is nil while nothing was good again, and nobody said that it was; `start`
    ///   nil where nothing ever was good.
    package func suspectWindow(margin: Double) -> (start: Timestamp?, end: Timestamp?) {
        // Files bear the wall clock's time. Whenever it was set meanwhile, each known moment tells
        // how it went before or after, over the whole time, so that nothing is cut short.
        let known = [lastGood, firstEvidence, detected, firstGood].compactMap { $0 }
        let start = lastGood.flatMap { good in
            known.map { $0.boot > good.boot ? $0.wall(at: good) : $0.wall }.min()?
                .adding(seconds: -Int64(max(0, min(margin, 1e9)).rounded(.up)))
        }
        let end = (firstGood ?? closed).flatMap { good in
            known.map { $0.boot < good.boot ? $0.wall(at: good) : $0.wall }.max()
        }
        return (start, end)
    }
}

extension DetectorEvent {
    /// The one that it is about.
    package var episode: Episode? {
        switch self {
        case .opened(let episode), .rose(let episode), .recovering(let episode),
            .noted(let episode), .relapsed(let episode), .closed(let episode):
            episode
        case .watchedAgain(let episode, _): episode
        case .suspected, .cleared, .accepted: nil
        }
    }
}

/// What became of a store. Each carries the episode as it is then.
package enum DetectorEvent: Sendable, Hashable {
    case suspected(Evidence)
    /// The suspicion came to nothing.
    case cleared(since: Moment)
    case opened(Episode)
    /// Its class rose, or is known better.
    case rose(Episode)
    case recovering(Episode)
    /// More is known of it.
    case noted(Episode)
    /// It fell back while it recovered.
    case relapsed(Episode)
    case closed(Episode)
    /// Nobody had watched it since then. With an episode, which is over, where something changed
    /// meanwhile.
    case watchedAgain(Episode?, since: Timestamp)
    /// A person accepts what its file system counts of errors.
    case accepted(UInt64, note: String)
}

/// Decides from what the signals say of one store whether it is safely writable.
///
/// ```
/// ok ── soft ──► suspect ── hard, or slow for long ──► down ◄── hard ── recovering ──► closed: ok
///  ▲                │                                    └─ verified probe ──▲  held: no evidence
///  └─ good probes ──┘
/// ```
/// Only verified probes lead out of `down`; a mount that looks writable never does.
package struct Detector: Sendable {
    package enum Phase: Sendable, Hashable {
        case ok
        case suspect(since: Moment, good: Int, slow: Int)
        case down
        /// `since` is the end of the first of `good` probes in a row, which may have waited for the
        /// end of the fault.
        case recovering(since: Moment, good: Int)
    }

    /// A piece of evidence before there is an episode.
    private struct Prelude {
        let piece: Evidence
        /// The start of the last verified probe before it.
        let good: Moment?
    }

    /// Pieces of evidence that are kept before there is an episode.
    private static let preludeLimit = 16
    /// What happened longer before an episode does not belong to it, in seconds.
    private static let preludeAge = 120.0

    package let store: String
    package let bootID: String
    package let settings: DetectorSettings
    package private(set) var phase = Phase.ok
    package private(set) var episode: Episode?
    /// The start of the last verified probe that was not slow.
    package private(set) var lastGood: Moment?
    /// The same before what it is suspected of now, as long as it is.
    package var soundGood: Moment? {
        guard case .suspect = phase else { return lastGood }
        return goodBeforeSuspicion
    }
    /// That of the one before it.
    private var goodBefore: Moment?
    package var condition: MountCondition? { weighing.condition }
    package private(set) var errors: ErrorCount
    /// Whether the last probe found no room.
    package private(set) var isFull = false
    /// Seconds for which all must be well in the present episode.
    package private(set) var holdDown: Double
    package private(set) var maintenanceEnd: Moment?
    /// Whether something is not as it should be, expected or not.
    package var isAmiss: Bool { badProbes > 0 || condition.map { $0 != .writable } ?? false }
    private var prelude: [Prelude] = []
    private var goodBeforeSuspicion: Moment?
    private var weighing: Weighing
    /// The newest that could change a state.
    package private(set) var lastEvidence: Evidence?
    /// What the last probe was refused with, where that says nothing about the storage.
    package private(set) var refusal: Evidence?
    /// When requests were last seen to stand still.
    private var lastStall: Moment?
    private var badProbes = 0
    /// The episode that was open when the watcher ended.
    private let restored: String?
    private let newID: @Sendable (Moment) -> String

    /// - Parameters:
    ///   - episode: one that was open when the watcher ended.
    ///   - lastGood: as it was then.
    ///   - errors: as they were then; a count that has grown since is told.
    package init(
        store: String, bootID: String, settings: DetectorSettings = DetectorSettings(),
        episode: Episode? = nil, lastGood: Moment? = nil, errors: ErrorCount = ErrorCount(),
        newID: @escaping @Sendable (Moment) -> String
    ) {
        self.store = store
        self.bootID = bootID
        self.settings = settings
        self.episode = episode
        self.lastGood = lastGood
        goodBefore = lastGood
        self.newID = newID
        self.errors = errors
        restored = episode?.id
        weighing = Weighing(settings, errorCount: episode?.errorCount ?? errors.count)
        var hold = settings.holdDown
        for _ in 0..<max(0, min(episode?.flaps ?? 0, 16)) {
            hold = min(hold * 2, settings.holdDownLimit)
        }
        holdDown = hold
        if var episode {
            phase = .down
            episode.firstGood = nil
            self.episode = episode
        }
    }

    /// Whether its probe was refused for longer than a probe may take; whoever has no room is told
    /// so, and nothing else of the storage is known.
    package func isOverdue(at now: Moment) -> Bool {
        guard settings.hasProbe, refusal != nil, !isFull, let good = lastGood else { return false }
        return now.seconds(since: good) > settings.longestGap
    }

    /// Seconds from the end of one probe to the start of the next.
    package var probeInterval: Double {
        switch phase {
        case .ok: settings.interval
        case .suspect: settings.alertInterval
        case .down, .recovering:
            min(settings.alertIntervalLimit, settings.alertInterval * Double(1 + badProbes / 5))
        }
    }

    /// Takes in what a signal says.
    package mutating func observe(_ observation: Observation, at now: Moment) -> [DetectorEvent] {
        switch observation {
        case .probe(.verified, let started): return verified(started, now)
        case .probe(let outcome, _) where outcome.isFull:
            isFull = true
            weighing.probeEnded()
            let full = Evidence(.probe, .context, what: "probe.full", at: now)
            refusal = full
            holdAnew(now)
            return take(full, now)
        // It is told once, but lasts.
        case .deviceStalls(let seconds) where seconds >= settings.slow: lastStall = now
        case .errorCount(let count): errors.observe(count, at: now.wall)
        default: break
        }
        if case .probe = observation { badProbes = min(badProbes + 1, 1000) }
        let count = weighing.errorCount
        guard let evidence = weighing.evidence(of: observation, isCalm: isCalm, at: now) else {
            return []
        }
        if case .probe = observation {
            refusal = evidence.strength == .context ? evidence : nil
            holdAnew(now)
        }
        if let now = weighing.errorCount, now != count {
            annotate {
                $0.errorCount = now
                if let count, now < count { $0.sawCheck = true }
            }
        }
        return take(evidence, now)
    }

    /// To be called at least each second.
    package mutating func tick(at now: Moment) -> [DetectorEvent] {
        if let end = maintenanceEnd, end.boot <= now.boot { endMaintenance() }
        guard case .suspect(let since, _, let slow) = phase,
            now.seconds(since: since) > settings.suspicionLimit
        else { return [] }
        let isQuiet = [lastEvidence?.at, lastStall].compactMap { $0 }.allSatisfy {
            now.seconds(since: $0) > settings.suspicionLimit
        }
        if !settings.hasProbe, isQuiet {
            phase = .ok
            return [.cleared(since: since)]
        }
        guard slow >= settings.slowProbes else { return [] }
        return take(Evidence(.probe, .hard, .slow, what: "probe.slow", at: now), now)
    }

    // MARK: What a person says

    /// What an administrator does to the store until then opens no episode.
    package mutating func beginMaintenance(until end: Moment) { maintenanceEnd = end }

    package mutating func endMaintenance() {
        maintenanceEnd = nil
        weighing.forget()
    }

    /// A person says that the store is not to be trusted, since then.
    package mutating func open(
        _ kind: EpisodeClass, note: String, since: Moment, at now: Moment
    ) -> [DetectorEvent] {
        let said = Evidence(
            .person, .hard, kind, what: "person.opened", text: Array(note.utf8), at: now)
        guard episode == nil else { return take(said, now) }
        // A suspicion that is older begins the episode.
        if case .suspect(let earlier, _, _) = phase, earlier.boot <= since.boot {
            return take(said, now)
        }
        // What was verified in between was not asked whether it lost anything.
        let good = lastGood.flatMap { $0.boot <= since.boot ? $0 : nil }
        phase = .suspect(since: since, good: 0, slow: 0)
        goodBeforeSuspicion = good ?? since
        return take(said, now)
    }

    /// A person says that it is over.
    package mutating func close(note: String, at now: Moment) -> [DetectorEvent] {
        guard var ended = episode else { return [] }
        ended.note = note
        episode = ended
        return finish(.person, now)
    }

    /// A person accepts what the file system counts of errors.
    package mutating func accept(note: String) -> [DetectorEvent] {
        errors.accept()
        return [.accepted(errors.accepted, note: note)]
    }

    // MARK: What nobody saw

    /// It is another store from now on: what its file system counts is not held against what the
    /// other one counted.
    package mutating func beginAnew() {
        errors = ErrorCount()
        weighing.forgetCount()
    }

    /// The store is watched again, and was looked at.
    ///
    /// - Parameters:
    ///   - earlier: how it was seen last, its moment on the clocks of this boot.
    ///   - lastGood: the start of the last probe that was verified by then.
    package mutating func found(
        _ sight: StoreSight, after earlier: StoreSight, lastGood: Moment?, at now: Moment
    ) -> [DetectorEvent] {
        let changes = sight.changes(since: earlier).map { change in
            Evidence(
                .watcher, .context, what: change.what, text: Array(change.sentence.utf8), at: now)
        }
        if let open = episode {
            for change in changes { annotate { $0.add(change) } }
            // A new one may have begun before anybody looked; an old one reaches back already.
            if open.id != restored { annotate { $0.widen(to: lastGood) } }
            return episode.map { [.noted($0)] } ?? []
        }
        guard !changes.isEmpty else { return [.watchedAgain(nil, since: earlier.at.wall)] }
        var unwatched = Episode(
            id: newID(now), store: store, bootID: bootID, lastGood: lastGood,
            firstEvidence: earlier.at, detected: now, steps: [Episode.Step(.unwatched, now)])
        for change in changes { unwatched.add(change) }
        unwatched.errorCount = sight.errorCount
        if let count = sight.errorCount, let before = earlier.errorCount, count < before {
            unwatched.sawCheck = true
        }
        (unwatched.closed, unwatched.ending) = (now, .watched)
        return [.watchedAgain(unwatched, since: earlier.at.wall)]
    }

    // MARK: What the other stores say

    /// Takes over the place that the episode which it opened has among the others.
    package mutating func place(as event: DetectorEvent) {
        guard case .opened(let placed) = event else { return }
        annotate {
            $0.incident = placed.incident
            $0.recurrenceOf = placed.recurrenceOf
            $0.ordinal = placed.ordinal
        }
    }

    // MARK: From evidence to states

    private mutating func annotate(_ change: (inout Episode) -> Void) {
        guard var changed = episode else { return }
        change(&changed)
        episode = changed
    }

    /// Whether a probe that waits is news.
    private var isCalm: Bool {
        switch phase {
        case .ok: true
        case .recovering(_, let good): good > 0
        case .suspect, .down: false
        }
    }

    private mutating func take(_ evidence: Evidence, _ now: Moment) -> [DetectorEvent] {
        if evidence.strength != .context { lastEvidence = evidence }
        switch evidence.strength {
        case .context:
            keep(evidence, now)
            return evidence.what == "note.remounted-ro" ? explained(now) : []
        case .soft:
            return suspect(evidence, now)
        case .hard:
            guard let kind = evidence.kind else { return [] }
            if isExpected(evidence) {
                keep(evidence, now)
                return []
            }
            return condemn(evidence, kind, now)
        }
    }

    /// A remount is told when it is done, and seen before: what it did is then no fault.
    private mutating func explained(_ now: Moment) -> [DetectorEvent] {
        guard weighing.isRemounted(now), var known = episode,
            known.explain(byRemountAt: now, within: settings.remountLimit)
        else { return [] }
        episode = known
        return [.rose(known)]
    }

    /// What an administrator who announced maintenance does is no episode. Errors are.
    private func isExpected(_ evidence: Evidence) -> Bool {
        guard maintenanceEnd != nil, episode == nil, let kind = evidence.kind else { return false }
        switch evidence.source {
        case .probe, .mount:
            // The kernel says itself that this was an error.
            guard condition != .emergencyReadOnly else { return false }
            return kind <= .stall || kind == .gone || kind == .readOnly
        case .kernel, .fanotify, .counters, .device, .person, .watcher: return false
        }
    }

    private mutating func keep(_ evidence: Evidence, _ now: Moment) {
        if episode != nil {
            annotate { $0.add(evidence) }
            return
        }
        prelude.removeAll { now.seconds(since: $0.piece.at) > Self.preludeAge }
        if prelude.count >= Self.preludeLimit {
            // What begins an episode is not pushed out by notes about the whole machine.
            let note = prelude.firstIndex { $0.piece.strength == .context }
            prelude.remove(at: note ?? Self.preludeLimit / 2)
        }
        prelude.append(Prelude(piece: evidence, good: lastGood))
    }

    private mutating func suspect(_ evidence: Evidence, _ now: Moment) -> [DetectorEvent] {
        keep(evidence, now)
        if maintenanceEnd != nil, episode == nil { return [] }
        let isSlow = evidence.what == "probe.slow"
        switch phase {
        case .ok:
            goodBeforeSuspicion = lastGood
            phase = .suspect(since: now, good: 0, slow: isSlow ? 1 : 0)
            return [.suspected(evidence)]
        case .suspect(let since, _, let slow):
            phase = .suspect(since: since, good: 0, slow: slow + (isSlow ? 1 : 0))
            return []
        case .down:
            return []
        case .recovering:
            // Nothing may be amiss while it is held: the time begins anew with the next probe.
            phase = .recovering(since: now, good: 0)
            return []
        }
    }

    private mutating func condemn(
        _ evidence: Evidence, _ kind: EpisodeClass, _ now: Moment
    ) -> [DetectorEvent] {
        switch phase {
        case .ok: return [openEpisode(evidence, kind, since: now, lastGood)]
        case .suspect(let since, _, _):
            return [openEpisode(evidence, kind, since: since, goodBeforeSuspicion)]
        case .down, .recovering: break
        }
        guard var worse = episode else { return [] }
        worse.add(evidence)
        if evidence.what == "probe.lost", worse.lastGood == lastGood {
            worse.widen(to: goodBefore)
        }
        let rose = worse.rise(to: kind, at: now)
        var events: [DetectorEvent] = []
        if case .recovering = phase {
            phase = .down
            badProbes = 0
            worse.flaps &+= 1
            worse.firstGood = nil
            holdDown = min(holdDown * 2, settings.holdDownLimit)
            events.append(.relapsed(worse))
        }
        episode = worse
        if rose { events.append(.rose(worse)) }
        return events
    }

    private mutating func openEpisode(
        _ evidence: Evidence, _ kind: EpisodeClass, since: Moment, _ good: Moment?
    ) -> DetectorEvent {
        keep(evidence, evidence.at)
        // Good probes may have cleared what came before: it belongs to this all the same.
        let first = prelude.first { $0.piece.strength != .context && $0.piece.at.boot < since.boot }
        var opened = Episode(
            id: newID(evidence.at), store: store, bootID: bootID, lastGood: good,
            firstEvidence: first?.piece.at ?? since, detected: evidence.at,
            steps: [Episode.Step(kind, evidence.at)])
        if let first { opened.widen(to: first.good) }
        for known in prelude { opened.add(known.piece) }
        // The write that was acknowledged at the last good probe is the one that is lost.
        if evidence.what == "probe.lost" { opened.widen(to: goodBefore) }
        opened.errorCount = weighing.errorCount
        prelude = []
        episode = opened
        phase = .down
        badProbes = 0
        holdDown = settings.holdDown
        return .opened(opened)
    }

    // MARK: Probes that went well

    private mutating func verified(_ started: Moment, _ now: Moment) -> [DetectorEvent] {
        isFull = false
        refusal = nil
        weighing.probeEnded()
        let seconds = now.seconds(since: started)
        guard seconds <= settings.slow else {
            let text = Array("took \(decimals(seconds, 1)) s".utf8)
            return take(Evidence(.probe, .soft, what: "probe.slow", text: text, at: now), now)
        }
        (goodBefore, lastGood) = (lastGood, started)
        // Nor is what nobody looked at, as while the machine slept.
        if let before = goodBefore, started.boot > before.boot,
            started.seconds(since: before) > settings.alertIntervalLimit + settings.hung
        {
            holdAnew(now)
        }
        // Each probe begins when the one before has ended.
        badProbes = 0
        // What was under way when something happened says nothing about the time after it.
        if let last = lastEvidence, started.boot < last.at.boot { return [] }
        switch phase {
        case .ok:
            return []
        case .suspect(let since, let good, let slow):
            guard good + 1 >= settings.goodProbes else {
                phase = .suspect(since: since, good: good + 1, slow: slow)
                return []
            }
            phase = .ok
            return [.cleared(since: since)]
        case .down:
            guard mayRecover else { return [] }
            phase = .recovering(since: now, good: 1)
            annotate { $0.firstGood = now }
            return episode.map { [.recovering($0)] } ?? []
        case .recovering(let since, let good):
            let first = good == 0 ? now : since
            if good == 0 { annotate { $0.firstGood = now } }
            guard mayRecover, good + 1 >= settings.goodProbes,
                now.seconds(since: first) >= holdDown
            else {
                phase = .recovering(since: first, good: good + 1)
                return []
            }
            return finish(episode?.bootID == bootID ? .probe : .reboot, now)
        }
    }

    /// A verified probe shows that another device is still this store; read-only it cannot be.
    private var mayRecover: Bool {
        condition == nil || condition == .writable || condition == .otherDevice
    }

    /// What was not verified is no part of the time for which all was well.
    private mutating func holdAnew(_ now: Moment) {
        if case .recovering = phase { phase = .recovering(since: now, good: 0) }
    }

    private mutating func finish(_ ending: Episode.Ending, _ now: Moment) -> [DetectorEvent] {
        guard var ended = episode else { return [] }
        ended.closed = now
        ended.ending = ending
        episode = nil
        phase = .ok
        holdDown = settings.holdDown
        // What a person closes may still be wrong, and is then told anew.
        if ending == .person { weighing.forget() }
        return [.closed(ended)]
    }
}

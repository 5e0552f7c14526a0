import ResyncCore

/// A store with a clock that only the test moves.
struct DetectorScene {
    /// Seconds since boot.
    private(set) var time: Double
    /// What the wall clock shows beyond the time since boot.
    var wallOffset: Int64 = 1_790_000_000
    var detector: Detector
    private(set) var events: [(at: Double, event: DetectorEvent)] = []

    init(
        at time: Double = 1000, settings: DetectorSettings = DetectorSettings(),
        boot: String = "boot-1", episode: Episode? = nil, lastGood: Moment? = nil,
        errors: ErrorCount = ErrorCount()
    ) {
        self.time = time
        detector = Detector(
            store: "mail/a", bootID: boot, settings: settings, episode: episode,
            lastGood: lastGood, errors: errors, newID: { "e-\($0.boot / 1_000_000_000)" })
    }

    func moment(_ seconds: Double) -> Moment {
        let boot = UInt64((seconds * 1e9).rounded())
        return Moment(
            boot: boot,
            wall: Timestamp(
                seconds: wallOffset + Int64(boot / 1_000_000_000),
                nanoseconds: UInt32(boot % 1_000_000_000)))
    }

    var now: Moment { moment(time) }
    var episode: Episode? { detector.episode }
    var words: [String] { events.map { $0.event.word } }

    mutating func wait(_ seconds: Double) { time += seconds }

    @discardableResult
    private mutating func keep(_ new: [DetectorEvent]) -> [String] {
        events += new.map { (time, $0) }
        return new.map(\.word)
    }

    /// Lets time pass, and then a signal speak.
    @discardableResult
    mutating func see(_ observation: Observation, after seconds: Double = 1) -> [String] {
        time += seconds
        return keep(detector.observe(observation, at: now))
    }

    @discardableResult
    mutating func kernel(_ what: String, after seconds: Double = 1) -> [String] {
        see(.kernel(what, text: Array("the kernel's words".utf8)), after: seconds)
    }

    /// A probe that begins after so many seconds and lasts so long.
    @discardableResult
    mutating func probe(
        _ outcome: ProbeOutcome = .verified, after seconds: Double = 1, took: Double = 0.01
    ) -> [String] {
        time += seconds
        let started = now
        return see(.probe(outcome, started: started), after: took)
    }

    @discardableResult
    mutating func tick(after seconds: Double = 1) -> [String] {
        time += seconds
        return keep(detector.tick(at: now))
    }

    @discardableResult
    mutating func open(_ kind: EpisodeClass, since: Moment? = nil) -> [String] {
        keep(detector.open(kind, note: "seen by hand", since: since ?? now, at: now))
    }

    @discardableResult
    mutating func close() -> [String] {
        keep(detector.close(note: "looked at", at: now))
    }

    @discardableResult
    mutating func find(_ sight: StoreSight, after earlier: StoreSight) -> [String] {
        keep(detector.found(sight, after: earlier, lastGood: earlier.at, at: now))
    }

    /// Verified probes at the detector's own interval, for so many seconds at least.
    ///
    /// - Returns: what came of it, and after how many seconds.
    @discardableResult
    mutating func staysGood(for seconds: Double) -> [(after: Double, word: String)] {
        let start = time
        let known = events.count
        while time < start + seconds {
            tick(after: 0)
            probe(after: detector.probeInterval)
        }
        return events[known...].map { ($0.at - start, $0.event.word) }
    }

    /// A probe that hangs for so long, told each second, as the watcher does.
    mutating func hangs(for seconds: Double, _ wait: ProbeWait = .device) {
        var waited = 0.0
        while waited + 1 <= seconds {
            waited += 1
            see(.probeHangs(seconds: waited, wait))
            tick(after: 0)
        }
        time += seconds - waited
    }
}

extension DetectorEvent {
    var word: String {
        switch self {
        case .suspected: "suspected"
        case .cleared: "cleared"
        case .opened: "opened"
        case .rose: "rose"
        case .noted: "noted"
        case .recovering: "recovering"
        case .relapsed: "relapsed"
        case .closed: "closed"
        case .watchedAgain(let episode, _): episode == nil ? "watched" : "unwatched"
        case .accepted: "accepted"
        }
    }

    var episode: Episode? {
        switch self {
        case .suspected, .cleared, .accepted: nil
        case .watchedAgain(let episode, _): episode
        case .opened(let episode), .rose(let episode), .noted(let episode),
            .recovering(let episode), .relapsed(let episode), .closed(let episode):
            episode
        }
    }
}

package import ResyncCore

/// The watcher's part for one trace: signals each second, and a probe at the detector's own
/// interval, which hangs, fails and is given up as a real one does.
package struct TraceRun {
    package struct Told {
        package let at: Int
        package let event: DetectorEvent
        /// When the last thing was amiss before it, as the store and its signals know.
        package let lastBad: Int
        /// Verified probes since then.
        package let goodProbes: Int
        /// When the probe began whose end this is; nil for what no probe brought.
        package let probeStarted: Int?
    }

    fileprivate struct Probe {
        let started: Int
        /// Milliseconds of work in it, and after how many of them it is decided how it ends.
        let work: Int
        let decision: Int
        var done = 0
        var isDecided = false
        var wasStuck = false
        var isGivenUp = false
    }

    package let trace: Trace
    package private(set) var told: [Told] = []
    /// Faults that a signal or a probe showed.
    package private(set) var noticed: Set<Int> = []
    /// The last time at which anything kept the store from being well, or could not be told.
    package private(set) var disturbed: [Int] = []
    package private(set) var steps = 0
    private var random: Seed
    private var detector: Detector
    private var time = 0
    private var probe: Probe?
    private var probeEnded = -100_000
    private var lastBad = -1
    private var goodProbes = 0
    private var changes: [Int]
    private var messages: [(at: Int, what: String)]
    private var isStallTold = false
    private var countTold: UInt64?

    package init(_ trace: Trace) {
        self.trace = trace
        random = Seed(trace.seed &+ 1)
        detector = Self.detector(nil, nil)
        var times = trace.restarts
        for fault in trace.faults {
            times += [fault.start, fault.end]
            if fault.kind == .session { times += [fault.failing, fault.readOnly] }
        }
        changes = Array(times.sorted().reversed())
        let all =
            trace.sources.kernel ? trace.faults.flatMap(\.messages) + trace.noise : []
        messages = Array(all.sorted { $0.at < $1.at }.reversed())
    }

    private static func detector(_ episode: Episode?, _ good: Moment?) -> Detector {
        Detector(
            store: "mail/a", bootID: "boot-1", episode: episode, lastGood: good,
            newID: { "e-\($0.boot)" })
    }

    package var episode: Episode? { detector.episode }

    package mutating func run() {
        tick()
        while time < trace.end {
            let next = nextTime
            advance(to: next)
            while let change = changes.last, change <= time {
                changes.removeLast()
                changed(change)
            }
            while let message = messages.last, message.at <= time {
                messages.removeLast()
                say(message.what)
            }
            goOnWithProbe()
            if isTickDue { tick() }
            steps += 1
        }
    }

    // MARK: Time

    private var active: Int? { trace.faults.firstIndex { $0.isActive(time) } }

    private var isStuck: Bool {
        if case .stuck = trace.state(time) { return true }
        return false
    }

    private var isTickDue: Bool { isTicking && time % 1000 == trace.tickOffset }

    /// Nothing is lost by not looking each second at a store that is well: all stays as it is.
    private var isTicking: Bool {
        if case .suspect = detector.phase { return true }
        if let probe, probe.work > 1000 || probe.wasStuck { return true }
        return trace.faults.contains { $0.start <= time && time <= $0.end + 3000 }
    }

    private var nextTime: Int {
        var next = trace.end
        if let change = changes.last { next = min(next, change) }
        if let message = messages.last { next = min(next, message.at) }
        if isTicking {
            let second = (time - trace.tickOffset + 1000) / 1000 * 1000 + trace.tickOffset
            next = min(next, second > time ? second : second + 1000)
        }
        if let probe {
            let point = probe.isDecided ? probe.work : probe.decision
            if !isStuck { next = min(next, time + max(0, point - probe.done)) }
        } else {
            next = min(next, max(time, probeEnded + Int(detector.probeInterval * 1000)))
        }
        return max(next, time)
    }

    private mutating func advance(to next: Int) {
        if isStuck { probe?.wasStuck = true } else { probe?.done += next - time }
        time = next
    }

    // MARK: Signals

    private mutating func observe(_ observation: Observation, probeStarted: Int? = nil) {
        let events = detector.observe(observation, at: trace.moment(time))
        keep(events, probeStarted)
    }

    private mutating func keep(_ events: [DetectorEvent], _ probeStarted: Int?) {
        for event in events {
            told.append(
                Told(
                    at: time, event: event, lastBad: lastBad, goodProbes: goodProbes,
                    probeStarted: probeStarted))
        }
    }

    private mutating func isBad(_ fault: Int?) {
        lastBad = time
        goodProbes = 0
        disturbed.append(time)
        if let fault { noticed.insert(fault) }
    }

    private mutating func changed(_ change: Int) {
        if trace.restarts.contains(change) {
            detector = Self.detector(detector.episode, detector.lastGood)
            probe = nil
            probeEnded = time - 100_000
            disturbed.append(time)
            tick()
        }
        guard trace.sources.fanotify else { return }
        for (index, fault) in trace.faults.enumerated() where fault.counted == change {
            isBad(index)
            observe(.fileSystemError(-5, count: 1))
        }
    }

    private mutating func say(_ what: String) {
        if !what.hasPrefix("note.") { isBad(active) }
        observe(.kernel(what, text: []))
    }

    private mutating func tick() {
        let state = trace.state(time)
        if trace.sources.mount {
            let condition = trace.condition(time)
            if condition != .writable { isBad(active) }
            observe(.mount(condition))
        }
        if trace.sources.counters, trace.condition(time) != .gone {
            let count = UInt64(trace.faults.count { ($0.counted ?? .max) <= time })
            if let countTold, count > countTold {
                // One that is over by now may have told only this of itself.
                isBad(trace.faults.lastIndex { ($0.counted ?? .max) <= time })
            }
            countTold = count
            observe(.errorCount(count))
        }
        if trace.sources.device { lookAtDevice(state) }
        if let probe, time - probe.started >= 1000 {
            let seconds = Double(time - probe.started) / 1000
            if seconds >= detector.settings.slow { isBad(probe.wasStuck ? active : nil) }
            if seconds >= detector.settings.hung { self.probe?.isGivenUp = true }
            var wait = ProbeWait.device
            if case .stuck(.frozen) = state { wait = .frozen }
            observe(.probeHangs(seconds: seconds, wait))
        }
        keep(detector.tick(at: trace.moment(time)), nil)
    }

    private mutating func lookAtDevice(_ state: TraceState) {
        if case .stuck(.device) = state, let active {
            let seconds = Double(time - trace.faults[active].start) / 1000
            isStallTold = true
            if seconds >= detector.settings.slow { isBad(active) }
            observe(.deviceStalls(seconds: seconds))
        } else if isStallTold {
            isStallTold = false
            observe(.deviceStalls(seconds: 0))
        }
    }

    // MARK: The probe

    private mutating func goOnWithProbe() {
        guard var now = probe else {
            if time >= probeEnded + Int(detector.probeInterval * 1000) { startProbe() }
            return
        }
        let state = trace.state(time)
        if case .failing(let outcome) = state, now.wasStuck || now.isDue {
            return ended(now.isGivenUp && random.below(2) == 0 ? .workerDied : outcome, now)
        }
        if case .stuck = state { return }
        if now.isDue {
            if trace.full.contains(where: { $0.contains(time) }) { return ended(.full, now) }
            now.isDecided = true
            probe = now
        }
        if now.isDecided, now.done >= now.work {
            ended(now.isGivenUp && random.below(2) == 0 ? .workerDied : .verified, now)
        }
    }

    private mutating func startProbe() {
        var work = 1 + random.below(50)
        if random.below(30) == 0 { work = random.below(1900) + 1 }
        if case .slow = trace.state(time) { work = 2001 + random.below(12_000) }
        let decision = random.below(work)
        probe = Probe(started: time, work: work, decision: decision)
        if isStuck { probe?.wasStuck = true }
    }

    private mutating func ended(_ outcome: ProbeOutcome, _ ended: Probe) {
        probe = nil
        probeEnded = time
        switch outcome {
        case .verified where time - ended.started <= Int(detector.settings.slow * 1000):
            // What was under way when something happened does not count.
            if ended.started >= lastBad { goodProbes += 1 }
        case .full: disturbed.append(time)
        case .verified, .workerDied:
            // What held it up may be over by now.
            isBad(trace.faults.lastIndex { $0.start <= time && $0.end > ended.started })
        case .failed, .lost, .foreign: isBad(active)
        }
        observe(
            .probe(outcome, started: trace.moment(ended.started)), probeStarted: ended.started)
    }
}

extension TraceRun.Probe {
    fileprivate var isDue: Bool { !isDecided && done >= decision }
}

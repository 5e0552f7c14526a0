import TestSupport
import Testing

@testable import ResyncCore

/// Random stories of a store that fails and heals, told by whatever signals there are, held against
/// what really happened.
@Suite struct DetectorTraceTests {
    @Test func everyFaultIsSeenAndNoneIsMadeUp() {
        let first = Seed.fromEnvironment().value
        var tally = TraceTally()
        for number in 0..<UInt64(rounds(isLongRun ? 100_000 : 10_000)) {
            let trace = Trace(seed: first &+ number)
            var run = TraceRun(trace)
            run.run()
            var check = TraceCheck(run)
            check.all()
            if !trace.jumps.isEmpty { check.sameWithoutJumps() }
            for problem in check.problems.prefix(3) {
                Issue.record(
                    "RESYNC_SEED=\(first &+ number) RESYNC_RUNS=1: \(problem); \(trace); \(run.log)"
                )
            }
            tally.add(check)
            if tally.problems > 10 { break }
        }
        print("traces: \(tally)")
        guard tally.traces > 1000 else { return }
        // Each of it happens often enough to mean something.
        #expect(tally.episodes > tally.traces / 2 && tally.relapses > tally.traces / 20)
        #expect(tally.merged > 0 && tally.parted > 0 && tally.unseen > 0)
        #expect(tally.fakes > tally.traces / 20)
    }
}

private struct TraceTally: CustomStringConvertible {
    var traces = 0
    var problems = 0
    var steps = 0
    var faults = 0
    var episodes = 0
    var relapses = 0
    /// Pairs of faults that had to be one episode, and that had to be two.
    var merged = 0
    var parted = 0
    /// Faults too short for the signals there were.
    var unseen = 0
    var fakes = 0

    mutating func add(_ check: TraceCheck) {
        traces += 1
        problems += check.problems.count
        steps += check.run.steps
        faults += check.trace.faults.count
        episodes += check.episodes.count
        relapses += check.run.told.count { $0.event.word == "relapsed" }
        merged += check.merged
        parted += check.parted
        unseen += check.trace.faults.count - check.run.noticed.count
        fakes += check.trace.faults.map(\.fakes.count).reduce(0, +)
    }

    var description: String {
        "\(traces) of \(steps) steps, \(faults) faults of which \(unseen) went unseen, \(episodes) "
            + "episodes, \(relapses) relapses, \(merged) pairs merged, \(parted) parted, "
            + "\(fakes) fake remounts"
    }
}

extension TraceRun {
    fileprivate var log: String {
        told.map { "\($0.at) \($0.event.word) \($0.event.episode?.kind.rawValue ?? "")" }
            .joined(separator: ", ")
    }
}

private struct TraceCheck {
    let run: TraceRun
    let trace: Trace
    private(set) var problems: [String] = []
    private(set) var merged = 0
    private(set) var parted = 0
    /// As they were in the end, and when they were opened and closed.
    private(set) var episodes: [(episode: Episode, opened: Int, closed: TraceRun.Told?)] = []

    private static let settings = DetectorSettings()

    init(_ run: TraceRun) {
        self.run = run
        trace = run.trace
    }

    mutating func all() {
        sequence()
        for (episode, opened, closed) in episodes {
            shape(episode)
            reason(episode, opened)
            if let closed { ending(episode, opened, closed) }
        }
        for index in trace.faults.indices { fault(index) }
        for (index, next) in trace.faults.indices.dropFirst().enumerated() { pair(index, next) }
    }

    private mutating func expect(_ isTrue: Bool, _ problem: @autoclosure () -> String) {
        if !isTrue { problems.append(problem()) }
    }

    // MARK: Events

    private mutating func sequence() {
        var open: (Episode, Int)?
        var isSuspect = false
        var isRecovering = false
        var last = 0
        for told in run.told {
            expect(told.at >= last, "time goes back")
            // A new start forgets a suspicion.
            if trace.restarts.contains(where: { last < $0 && $0 <= told.at }) { isSuspect = false }
            last = told.at
            switch told.event {
            case .suspected:
                expect(open == nil && !isSuspect, "a suspicion inside another one")
                isSuspect = true
            case .cleared:
                expect(open == nil && isSuspect, "cleared without a suspicion")
                isSuspect = false
            case .watchedAgain, .noted, .accepted:
                expect(false, "nobody was away, or accepted anything")
            case .opened(let episode):
                expect(open == nil, "two are open")
                expect(episode.isOpen && episode.flaps == 0, "opened with a past")
                open = (episode, told.at)
                (isSuspect, isRecovering) = (false, false)
            case .rose(let episode), .recovering(let episode), .relapsed(let episode),
                .closed(let episode):
                guard let (before, opened) = open else {
                    expect(false, "\(told.event.word) while none is open")
                    continue
                }
                follows(before, episode, told)
                open = (episode, opened)
                switch told.event {
                case .recovering:
                    // A new start of the watcher has it begin anew.
                    expect(!isRecovering || !trace.restarts.isEmpty, "recovers twice")
                    isRecovering = true
                case .relapsed:
                    expect(isRecovering, "fell back from nothing")
                    isRecovering = false
                case .closed:
                    expect(isRecovering, "closed without recovery")
                    episodes.append((episode, opened, told))
                    open = nil
                default: break
                }
            }
        }
        if let (_, opened) = open, let episode = run.episode {
            episodes.append((episode, opened, nil))
        }
        expect(Set(episodes.map(\.episode.id)).count == episodes.count, "an id twice")
    }

    private mutating func follows(_ before: Episode, _ now: Episode, _ told: TraceRun.Told) {
        // A write that is found lost later takes the window back, never forward.
        let isEarlier = now.lastGood.map { $0.boot < before.lastGood?.boot ?? 0 } ?? true
        let isNoLater =
            now.lastGood == before.lastGood || now.kind == .lostWrite && isEarlier
        expect(now.id == before.id && isNoLater, "another episode")
        expect(now.kind >= before.kind, "its class fell")
        let flaps = before.flaps + (told.event.word == "relapsed" ? 1 : 0)
        expect(now.flaps == flaps, "relapses are not counted")
        expect(now.isOpen == (told.event.word != "closed"), "\(told.event.word) and open or not")
    }

    // MARK: Episodes

    private mutating func shape(_ episode: Episode) {
        expect(episode.evidence.count <= Episode.evidenceLimit, "too much evidence")
        expect(!episode.evidence.isEmpty, "no evidence")
        let kinds = episode.steps.map(\.kind)
        expect(zip(kinds, kinds.dropFirst()).allSatisfy { $0 < $1 }, "classes \(kinds)")
        let evidence = episode.evidence.map(\.at.boot)
        expect(zip(evidence, evidence.dropFirst()).allSatisfy { $0 <= $1 }, "evidence unsorted")
        expect(episode.firstEvidence.boot <= episode.detected.boot, "detected before seen")
        if let good = episode.lastGood {
            expect(good.boot <= episode.firstEvidence.boot, "good after it was bad")
        }
    }

    /// Something really was amiss when it was opened.
    private mutating func reason(_ episode: Episode, _ opened: Int) {
        // A probe that had to wait may go on for a while after that is over.
        let slack =
            switch episode.steps.first?.kind {
            case .slow: 75_000
            case .stall, .frozen: 14_000
            default: 1000
            }
        let reason = trace.faults.contains { fault in
            fault.start <= opened && opened <= fault.end + slack
                && (fault.kind != .slow || slack > 1000)
        }
        expect(reason, "opened at \(opened) for no reason")
    }

    private mutating func ending(_ episode: Episode, _ opened: Int, _ closed: TraceRun.Told) {
        guard let started = closed.probeStarted, episode.ending == .probe else {
            return expect(false, "closed by no probe")
        }
        expect(
            !trace.faults.contains { $0.start <= started && closed.at <= $0.end },
            "closed at \(closed.at) while the fault lasts")
        var hold = Self.settings.holdDown
        for _ in 0..<min(episode.flaps, 10) { hold = min(2 * hold, Self.settings.holdDownLimit) }
        let held = Double(closed.at - closed.lastBad) / 1000
        expect(held >= hold, "closed after only \(held) s of \(hold) s")
        expect(closed.goodProbes >= 3, "closed after \(closed.goodProbes) probes")
        let calm = run.disturbed.last { $0 < closed.at } ?? 0
        let lastEnd = trace.faults.last { $0.end <= closed.at }?.end ?? 0
        let late = Double(closed.at - max(calm, lastEnd)) / 1000 - hold
        expect(late < 15, "closed \(late) s late")
        window(episode, opened, closed)
    }

    /// What was noticed of it lies in the window as a whole: by the clock since boot always, and by
    /// the wall clock if that was set once at most.
    private mutating func window(_ episode: Episode, _ opened: Int, _ closed: TraceRun.Told) {
        guard let firstGood = episode.firstGood else { return expect(false, "no end of window") }
        let begin = Int(episode.firstEvidence.boot / 1_000_000)
        let (start, end) = episode.suspectWindow(margin: 0)
        for (index, fault) in trace.faults.enumerated() {
            guard run.noticed.contains(index), fault.kind != .slow,
                fault.end >= begin, fault.start < (closed.probeStarted ?? 0)
            else { continue }
            let last = UInt64(fault.end) * 1_000_000
            expect(last <= firstGood.boot, "\(fault.kind) at \(fault.start) outlasts the window")
            if let good = episode.lastGood {
                expect(
                    good.boot <= UInt64(fault.start) * 1_000_000,
                    "\(fault.kind) begins at \(fault.start) before the window")
            }
            guard trace.jumps.count <= 1, let end else { continue }
            var times = [fault.start, fault.end - 1]
            times += trace.jumps.map(\.at).flatMap { [$0 - 1, $0] }.filter(fault.isActive)
            for time in times {
                let wall = trace.wall(time)
                expect(wall <= end, "at \(time) the wall clock is behind the window")
                if let start { expect(start <= wall, "at \(time) it is before the window") }
            }
        }
    }

    // MARK: Faults

    private func opened(in range: ClosedRange<Int>) -> [Int] {
        episodes.map(\.opened).filter(range.contains)
    }

    private func isOpen(at time: Int) -> Bool {
        episodes.contains { $0.opened <= time && time <= $0.closed?.at ?? .max }
    }

    private mutating func fault(_ index: Int) {
        let fault = trace.faults[index]
        expect(opened(in: fault.start...fault.end).count <= 1, "two episodes of \(fault.kind)")
        let settings = Self.settings
        var limit = Int((settings.interval + settings.hung + 1) * 1000) + 1950
        if fault.isTold(trace.sources) { limit = 1000 }
        if fault.kind == .slow {
            limit = Int((settings.interval + settings.suspicionLimit) * 1000) + 25_000
        }
        // A new start of the watcher takes nothing along, and a probe that finds no room finds that
        // quickly.
        var hidden = trace.restarts
        if fault.kind == .slow { hidden += trace.full.map(\.upperBound) }
        let start = hidden.filter(fault.isActive).max() ?? fault.start
        guard start + limit < fault.end else { return }
        expect(isOpen(at: start + limit), "\(fault.kind) at \(fault.start) not seen in time")
        expect(isOpen(at: fault.end), "closed within \(fault.kind) at \(fault.start)")
    }

    private mutating func pair(_ index: Int, _ next: Int) {
        let (first, second) = (trace.faults[index], trace.faults[next])
        guard run.noticed.contains(index), isOpen(at: first.end) else { return }
        let gap = first.end...second.start
        let closings = episodes.compactMap(\.closed?.at).filter(gap.contains)
        if second.start - first.end < Int(Self.settings.holdDown * 1000) {
            merged += 1
            expect(closings.isEmpty, "closed between faults that belong together")
        }
        let disturbances = run.disturbed.filter { gap.contains($0) } + [first.end]
        let calm = second.start - (disturbances.max() ?? first.end)
        if calm > Int((Self.settings.holdDownLimit + 15) * 1000) {
            parted += 1
            expect(!closings.isEmpty, "open over \(calm / 1000) s of calm")
        }
    }

    // MARK: The wall clock

    mutating func sameWithoutJumps() {
        var calm = trace
        calm.jumps = []
        var other = TraceRun(calm)
        other.run()
        let (left, right) = (run.told, other.told)
        let isSame =
            left.count == right.count
            && zip(left, right).allSatisfy { one, two in
                one.at == two.at && one.event.word == two.event.word
                    && one.event.episode?.kind == two.event.episode?.kind
            }
        expect(isSame, "the wall clock decided something")
    }
}

import ResyncCore
import ResyncStorage

/// What a run may take.
package struct RunLimits: Sendable {
    package var work: WorkPolicy
    /// Seconds after which an unanswered read counts as stalled.
    package var ioTimeout = 60.0
    /// Seconds after which the run ends.
    package var maxDuration: Double?

    package init(work: WorkPolicy) { self.work = work }
}

/// Watches over the workers of one pass: ends it on a signal, at its deadline or when storage does
/// not answer, and adds workers while they only wait.
struct Supervisor {
    private let limits: RunLimits
    private let controls: RunControls
    private let stop: Stop
    private let board: PulseBoard
    private let started: Double
    private(set) var ending = Ending.complete
    private(set) var stalled: [StalledRead] = []
    private var lastLook = monotonicSeconds()
    private var lastProcessorTime = processorSeconds()
    private var lastSwitches = voluntarySwitches()
    private var lastReport = 0.0
    private var stoppedAt: Double?
    private var slowWindows = 0

    /// How long workers that are not stuck may take to finish their block.
    private static let grace = 5.0
    private static let reportInterval = 0.2
    /// Over so many seconds it is looked whether workers wait for storage.
    private static let window = 0.05

    init(
        _ limits: RunLimits, _ controls: RunControls, _ stop: Stop, _ board: PulseBoard,
        _ started: Double
    ) {
        self.limits = limits
        self.controls = controls
        self.stop = stop
        self.board = board
        self.started = started
    }

    mutating func decide(_ status: DrainStatus, report: () -> Void) -> DrainAction {
        let now = monotonicSeconds()
        if now - lastReport >= Self.reportInterval {
            lastReport = now
            report()
        }
        if let stuck = stuck(now) {
            stalled = stuck
            // Who was told to end ends so.
            if case .interrupted = ending {} else { ending = .stalled }
            stop.request()
            return .abandon
        }
        if stoppedAt != nil { return .goOn }
        if let signal = controls.interruption() { return end(.interrupted(signal), now) }
        let isLate = limits.maxDuration.map { now - started >= $0 } ?? false
        if isLate || controls.isOver() { return end(.outOfTime, now) }
        return workers(status, now)
    }

    private mutating func end(_ ending: Ending, _ now: Double) -> DrainAction {
        self.ending = ending
        stoppedAt = now
        stop.request()
        return .stop
    }

    /// After a stop, whoever does not come back within the grace is stuck as well.
    private func stuck(_ now: Double) -> [StalledRead]? {
        var timeout = limits.ioTimeout
        if let stoppedAt {
            guard now - stoppedAt > Self.grace else { return nil }
            timeout = min(timeout, Self.grace)
        }
        let found = board.stalled(for: timeout)
        return found.isEmpty ? nil : found.map { StalledRead(side: $0.side, path: $0.path) }
    }

    private mutating func workers(_ status: DrainStatus, _ now: Double) -> DrainAction {
        let wall = now - lastLook
        guard wall >= Self.window else { return .goOn }
        let switches = voluntarySwitches()
        defer { lastSwitches = switches }
        let used = processorSeconds()
        let share = (used - lastProcessorTime) / (wall * Double(limits.work.cores))
        lastLook = now
        lastProcessorTime = used
        let wanted = limits.work.wanted(
            workers: status.workers, idle: status.idle, busyShare: share,
            waits: switches - lastSwitches)
        // One slow moment is no cold storage.
        slowWindows = wanted > status.workers ? slowWindows + 1 : 0
        return slowWindows >= 2 ? .workers(wanted) : .goOn
    }
}

import ResyncCore
import ResyncStorage

/// The process that probes one store, and what is waited for from it: one order at a time. Another
/// one is started only when it is gone.
struct Prober {
    enum Reply {
        case answer(ProbeAnswer, ErrorReports?)
        /// It ended by itself.
        case died
        /// It was killed, and storage answers again: only then it is gone.
        case gone
        /// What it was asked about is another thing by now.
        case void
        case nothing
    }

    private let program: [UInt8]
    private let path: [UInt8]
    /// By which the probe's file is known.
    private(set) var probeID: String
    /// When it was asked what it has not answered yet.
    private(set) var asked: Moment?
    /// Seconds since then in which nothing ran: no answer could come.
    private var pause = 0.0
    private var worker: ProbeWorker?
    private var isKilled = false
    private var isVoid = false
    private var lastStart: UInt64 = 0
    /// Those that are of no more use, until the last of them has ended.
    private var retired: [ProbeWorker] = []

    /// Nanoseconds after which one that ended is started anew.
    private static let restart: UInt64 = 1_000_000_000

    init(_ program: [UInt8], path: [UInt8], probeID: String) {
        self.program = program
        self.path = path
        self.probeID = probeID
    }

    /// Where it will answer; nil while nothing is asked.
    var descriptor: Int32? { asked == nil ? nil : worker?.descriptor }

    /// Seconds for which the present answer has been waited for; 0 while nothing is asked.
    func waited(at now: Moment) -> Double {
        asked.map { max(0, now.seconds(since: $0) - pause) } ?? 0
    }

    /// Nothing ran for so many seconds.
    mutating func paused(_ seconds: Double) { pause += seconds }

    /// Whether one can be asked now, or started.
    mutating func isReady(_ now: Moment) -> Bool {
        retired.removeAll { $0.hasEnded() }
        return asked == nil && (worker != nil || now.boot &- lastStart >= Self.restart)
    }

    /// Asks it; false where none can be had.
    mutating func ask(_ order: ProbeOrder, at now: Moment) -> Bool {
        // One that ended while nobody asked it anything is replaced.
        let wasThere = worker != nil
        guard isAsked(order, now) || wasThere && isAsked(order, now) else { return false }
        (asked, pause) = (now, 0)
        return true
    }

    private mutating func isAsked(_ order: ProbeOrder, _ now: Moment) -> Bool {
        if worker == nil {
            lastStart = now.boot
            worker = try? ProbeWorker(program, path: path, id: probeID)
        }
        if let worker, worker.ask(order) { return true }
        retire()
        return false
    }

    /// What has become of the present order; all but `nothing` ends it.
    mutating func reply() -> Reply {
        switch worker?.reply() {
        case .answer(let answer, let watch):
            let reports = watch.map { ErrorReports($0) }
            if isKilled { retire() }
            return end(isVoid ? .void : .answer(answer, reports))
        case .gone, nil:
            guard worker?.hasEnded() ?? true else { return .nothing }
            worker = nil
            return end(isVoid ? .void : isKilled ? .gone : .died)
        case .nothing: return .nothing
        }
    }

    private mutating func end(_ reply: Reply) -> Reply {
        (asked, isKilled, isVoid) = (nil, false, false)
        return reply
    }

    /// What it waits for, of use while it hangs.
    var wait: ProbeWait { worker?.waitsFor() ?? .device }

    /// Has it end as soon as it can.
    mutating func kill() {
        guard !isKilled else { return }
        isKilled = asked != nil
        worker?.kill()
    }

    /// Has the answer to what it was asked by now count for nothing.
    mutating func forgetOrder() { isVoid = asked != nil }

    /// It is another store from now on, with a file of another name.
    mutating func beginAnew() {
        probeID = (try? randomBytes(16)).map { hexText($0) } ?? probeID
        forgetOrder()
        kill()
        if asked == nil { retire() }
    }

    private mutating func retire() {
        if let worker { retired.append(worker) }
        worker = nil
    }
}

import ResyncCore
import ResyncEngine
import ResyncStorage

/// Does work that a signal can end, with a line that shows how far it is.
///
/// - Parameters:
///   - run: whose orders are obeyed meanwhile, by all that goes by `pace`; nil: none are given.
///   - ramp: what changes its rate where no order does.
///   - totalBytes: nil where nobody knows how much there is to do.
func watched<Result>(
    _ style: ProgressStyle, _ run: RunFolder? = nil, _ pace: Pace = Pace(),
    ramp: Ramp? = nil, totalBytes: Int? = nil, _ work: (RunControls) throws -> Result
) throws -> Result {
    let interruption = Interruption.shared
    let line = ProgressLine(style, totalBytes: totalBytes)
    defer { line.clear() }
    if let run {
        run.forgetOrder()
        pace.follow(
            { ramp?.order(run.order()) ?? run.order() },
            changed: { order in
                let words = order.sentence ?? order.words(for: run.id)
                if !words.isEmpty { Main.complain(words) }
            },
            isInterrupted: { interruption.signalNumber != nil })
    }
    defer { run?.forgetOrder() }
    return try work(
        RunControls(
            interruption: { interruption.signalNumber }, report: { line.report($0, $1) },
            pace: pace))
}

/// What `body` finds out about a store before a run watches over it.
///
/// - Throws: also where storage does not answer in so many seconds; the thread that asked is then
///   left behind.
func answered<Value: Sendable>(
    within seconds: Double, _ path: [UInt8], _ body: @escaping @Sendable () throws -> Value
) throws -> Value {
    guard let result = answer(within: seconds, { Result { try body() } }) else {
        throw CommandError("'\(escaped(path))' does not answer: nothing was verified")
    }
    return try result.get()
}

/// What `body` does with files or stores of the operator, through disks that are watched over.
///
/// - Parameter paths: what is worked on through each disk.
/// - Throws: also where a call is not answered in time; the thread that asked is then left behind.
func answering<Value>(
    _ patience: PatienceOptions, _ paths: Sides<String>,
    _ body: @escaping (Sides<any Disk>) throws -> Value
) throws -> Value {
    let watch = StallWatch()
    let disks = Side.both { WatchedDisk(LinuxDisk(), $0, watch) as any Disk }
    do {
        return try watch.guarding(within: try duration(patience.ioTimeout)) { try body(disks) }
    } catch let stall as Stall {
        let path = escaped(RawArguments.bytes(paths[stall.side]))
        throw CommandError("'\(path)' does not answer: \(stall.call.rawValue)")
    }
}

/// As for two, with one file or store.
func answering<Value>(
    _ patience: PatienceOptions, _ path: String, _ body: @escaping (any Disk) throws -> Value
) throws -> Value {
    try answering(patience, Sides(a: path, b: path)) { try body($0.a) }
}

extension PaceOrder {
    /// What a run does when it is told so.
    fileprivate func words(for run: String) -> String {
        if isPaused { return "paused; 'resync runs resume \(run)' lets it go on" }
        let limits = [("reading", readLimit), ("writing", writeLimit)].compactMap { what, limit in
            limit.map { $0 == 0 ? "\(what) at any rate" : "\(what) at \(sizeText($0))/s" }
        }
        return limits.isEmpty ? "goes on" : "goes on, " + limits.joined(separator: ", ")
    }
}

/// A rate from the command line.
func rate(_ text: String) throws -> Int {
    do throws(QuantityError) {
        return try parseRate(text)
    } catch {
        throw CommandError(error.reason, .usage)
    }
}

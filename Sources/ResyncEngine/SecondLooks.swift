import ResyncCore
import ResyncStorage

/// Looks again at what the first pass of a run found, as often as asked, and settles what stays
/// open.
struct SecondLooks {
    /// Looks at some open differences; what becomes of them goes into the table.
    typealias Look = (
        _ open: [Difference], _ table: SecondLook, _ result: inout VerifyResult
    ) throws -> Void

    let run: RunFolder
    let controls: RunControls
    let progress: Progress
    let passes: Int
    /// Seconds that a difference must have been left alone.
    let settle: Double
    let keepsSames: Bool
    /// When the run ends, on the clock that no one can set; nil for never.
    let deadline: Double?
    /// What may differ.
    var allowances = Allowances()

    /// - Parameter openCount: differences of the first pass that nobody has seen twice.
    func callAsFunction(
        _ openCount: Int, _ result: inout VerifyResult, look: Look
    ) throws {
        var open = openCount
        var looked: Timestamp?
        for _ in 0..<passes where open > 0 && result.summary.ending == .complete {
            if let ending = waitToSettle() {
                result.summary.ending = ending
                break
            }
            looked = looked ?? .now
            open = try pass(&result, look)
        }
        if open > 0 || (openCount > 0 && !allowances.isEmpty) { try settle(&result, looked) }
    }

    /// What ended the run first; nil where nothing did.
    private func waitToSettle() -> Ending? {
        let end = monotonicSeconds() + settle
        while monotonicSeconds() < end {
            if let signal = controls.interruption() { return .interrupted(signal) }
            if let deadline, monotonicSeconds() >= deadline { return .outOfTime }
            controls.report(.settling, progress)
            pause(milliseconds: 20)
        }
        return nil
    }

    private static let chunkSize = 4096

    /// How many differences are open afterwards.
    private func pass(_ result: inout VerifyResult, _ look: Look) throws -> Int {
        var reader = try run.results()
        var writer = try run.createNext()
        var tally = result.summary.tally.withoutDifferences
        var open = 0
        var isAtEnd = false
        while !isAtEnd {
            var chunk: [ResultRecord] = []
            while chunk.count < Self.chunkSize {
                guard let record = try reader.next() else {
                    isAtEnd = true
                    break
                }
                chunk.append(record)
            }
            let table = SecondLook(keepsSames: keepsSames)
            let wanted = chunk.compactMap { $0.openDifference }
            if !wanted.isEmpty, result.summary.ending == .complete {
                try look(wanted, table, &result)
            }
            for record in chunk {
                let settled = table.settle(record, &tally)
                if case .difference(let difference)? = settled {
                    tally.count(difference)
                    if settled?.openDifference != nil { open += 1 }
                }
                if let settled { try writer.write(settled) }
            }
        }
        try writer.finish()
        result.summary.tally = tally
        try run.promoteNext()
        return open
    }

    /// What nobody confirmed is not claimed to differ: it is unstable.
    ///
    /// - Parameter looked: before the first of the second looks; nil where there was none.
    private func settle(_ result: inout VerifyResult, _ looked: Timestamp?) throws {
        var reader = try run.results()
        var writer = try run.createNext()
        var tally = result.summary.tally.withoutDifferences
        while let record = try reader.next() {
            var settled = record
            if case .difference(var difference) = record {
                if record.openDifference != nil { difference.outcome = .unstable }
                difference = allowances.settle(difference, looked: looked)
                tally.count(difference)
                settled = .difference(difference)
            }
            try writer.write(settled)
        }
        try writer.finish()
        try run.promoteNext()
        result.summary.tally = tally
    }
}

extension ResultRecord {
    /// What another look could still settle.
    fileprivate var openDifference: Difference? {
        guard case .difference(let difference) = self, difference.canBeConfirmed,
            !difference.isConfirmed
        else { return nil }
        return difference
    }
}

/// What a second look found for some records, by path.
final class SecondLook: @unchecked Sendable {
    // Unchecked because a drain emits on one thread at a time, and is over before it is read.
    private var outputs: [RelativePath: Confirm.Output] = [:]
    private let keepsSames: Bool

    init(keepsSames: Bool) { self.keepsSames = keepsSames }

    /// Whether a look was ended in its midst.
    private(set) var wasStopped = false

    func take(_ output: Confirm.Output) {
        outputs[output.path] = output
        if output.difference?.reason == .stopped { wasStopped = true }
    }

    /// What a record is now; nil when both sides agree and nobody asked for what agrees.
    func settle(_ record: ResultRecord, _ tally: inout Tally) -> ResultRecord? {
        guard let difference = record.openDifference,
            let output = outputs.removeValue(forKey: difference.path)
        else { return record }
        tally.bytesRead += output.bytesRead
        if let remaining = output.difference { return .difference(remaining) }
        tally.same += 1
        tally.count(bytes: output.bytesAgreed, output.agreedFrom == .media ? .media : .hash)
        return keepsSames ? .same(difference.path) : nil
    }
}

extension Walk where P.Output == Confirm.Output {
    /// Leads a second look at `count` differences to its end under supervision.
    func look(
        from first: [WalkUnit<P>], count: Int, into table: SecondLook, _ scheme: DigestScheme,
        _ limits: RunLimits, _ controls: RunControls, _ progress: Progress, _ started: Double,
        _ result: inout VerifyResult
    ) throws {
        let stop = Stop()
        let board = PulseBoard()
        let pace = controls.pace
        let drain = Drain<WalkUnit<P>, Confirm.Output, Worker>(
            first: first,
            context: { index in
                try Worker(
                    scheme: scheme, pulse: board.addPulse(), stop: stop, index: index, pace: pace)
            },
            run: { try run($0, $1) },
            emit: { output, _ in table.take(output) })
        var supervisor = Supervisor(limits, controls, stop, board, started)
        let isDone = try drain.work(workers: limits.work.first) { status in
            supervisor.decide(status) { controls.report(.confirming(count), progress) }
        }
        guard !isDone || table.wasStopped else { return }
        result.summary.ending = supervisor.ending
        result.stalled += supervisor.stalled
    }
}

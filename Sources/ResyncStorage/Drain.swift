import Dispatch
import Synchronization

/// What carrying out a unit of work gave: results, and more units, in the order in which their
/// results belong.
package enum Piece<Unit: Sendable, Output: Sendable>: Sendable {
    case output(Output)
    case unit(Unit)
    /// As the last piece: a unit that is begun once the units before it, and all that these gave,
    /// are done.
    case last(Unit)
}

/// What whoever started a drain wants of it, asked a few times a second.
package enum DrainAction: Sendable {
    case goOn
    /// Have at least so many workers.
    case workers(Int)
    /// Take no more units; end when those under way have ended.
    case stop
    /// As `stop`, but wait for no unit: some thread hangs in the kernel.
    case abandon
}

/// How far a drain is.
package struct DrainStatus: Sendable {
    package let workers: Int
    /// Workers without a unit to take.
    package let idle: Int
    package let running: Int
}

/// Runs units of work on N blocking threads and hands their outputs on in order.
///
/// A unit may produce more units; the outputs come out as a depth-first, left-to-right expansion
/// of the first unit would give them, whatever the number of workers. The earliest unit is always
/// taken first, so what is started but not handed on stays small; `lookahead` bounds it.
///
/// Each worker is a serial Dispatch queue, which is a thread that may block in the kernel:
/// concurrent queues and `concurrentPerform` keep only about as many blocked calls in flight as
/// there are cores.
package final class Drain<Unit: Sendable, Output: Sendable, Context>: Sendable {
    package typealias Run = @Sendable (Unit, Context) throws -> [Piece<Unit, Output>]
    /// Called by one thread at a time. `inOrder` is false for what came after a gap that a stop
    /// left.
    package typealias Emit = @Sendable (Output, _ inOrder: Bool) throws -> Void

    /// What the outputs may weigh that wait for an earlier one before only the earliest unit is
    /// taken.
    private let lookahead: Int
    private let makeContext: @Sendable (Int) throws -> Context
    private let run: Run
    private let emit: Emit
    private let state: Mutex<State>
    private let wake = DispatchSemaphore(value: 0)
    private let ended = MonotonicSignal()

    private struct State {
        var list: OrderedWork<Unit, Output>
        var workers = 0
        var idle = 0
        var running = 0
        var isStopping = false
        var isAbandoned = false
        var isEmitting = false
        var failure: (any Error)?
    }

    /// - Parameter weight: of an output, as a count of what memory is needed for.
    package init(
        first: [Unit], lookahead: Int = 1 << 16,
        weight: @escaping @Sendable (Output) -> Int = { _ in 1 },
        context: @escaping @Sendable (Int) throws -> Context, run: @escaping Run,
        emit: @escaping Emit
    ) {
        self.lookahead = lookahead
        self.makeContext = context
        self.run = run
        self.emit = emit
        self.state = Mutex(State(list: OrderedWork(first, weight: weight)))
    }

    /// Works until nothing is left, or until told to stop; then throws the first error a unit, a
    /// context or `emit` threw. Returns whether all was done.
    package func work(
        workers: Int, tick: Duration = .milliseconds(20),
        supervise: (DrainStatus) -> DrainAction
    ) throws -> Bool {
        guard state.withLock({ !$0.list.isEmpty }) else { return true }
        addWorkers(upTo: max(1, workers))
        loop: while !ended.wait(tick) {
            let status = state.withLock {
                DrainStatus(workers: $0.workers, idle: $0.idle, running: $0.running)
            }
            switch supervise(status) {
            case .goOn: break
            case .workers(let wanted): addWorkers(upTo: wanted)
            case .stop: stop()
            case .abandon:
                stop()
                state.withLock { $0.isAbandoned = true }
                waitForEmitter()
                break loop
            }
        }
        try emitRest()
        return try state.withLock {
            if let failure = $0.failure { throw failure }
            return $0.list.isEmpty
        }
    }

    /// What was not carried out: after a stop, the units that were never begun or went back.
    package var remaining: [Unit] { state.withLock { $0.list.waitingUnits } }

    private func stop() {
        let idle = state.withLock { state in
            state.isStopping = true
            defer { state.idle = 0 }
            return state.idle
        }
        for _ in 0..<idle { wake.signal() }
    }

    private func addWorkers(upTo wanted: Int) {
        while true {
            let index: Int? = state.withLock { state in
                guard state.workers < wanted, !state.isStopping, !state.list.isEmpty else {
                    return nil
                }
                state.workers += 1
                return state.workers - 1
            }
            guard let index else { return }
            DispatchQueue(label: "resync.worker.\(index)").async { self.workerBody(index) }
        }
    }

    private func workerBody(_ index: Int) {
        do {
            let context = try makeContext(index)
            while let (node, unit) = next() {
                do {
                    finish(node, try run(unit, context))
                } catch {
                    finish(node, [], failure: error)
                }
            }
        } catch {
            fail(error)
        }
        let isLast = state.withLock { state in
            state.workers -= 1
            return state.workers == 0
        }
        if isLast { ended.set() }
    }

    /// The next unit to run; waits for one; nil when there will be none.
    private func next() -> (node: Int, unit: Unit)? {
        while true {
            let step: Step = state.withLock { state in
                if state.isStopping || state.failure != nil { return .leave }
                if let taken = state.list.take(lookahead: lookahead) {
                    state.running += 1
                    return .run(taken.node, taken.unit)
                }
                if state.running == 0, !state.isEmitting { return .leave }
                state.idle += 1
                return .wait
            }
            switch step {
            case .run(let node, let unit): return (node, unit)
            case .leave:
                stop()
                return nil
            case .wait: wake.wait()
            }
        }
    }

    private enum Step {
        case run(Int, Unit)
        case leave, wait
    }

    private func finish(
        _ node: Int, _ pieces: [Piece<Unit, Output>], failure: (any Error)? = nil
    ) {
        let isEmitter = state.withLock { state in
            state.running -= 1
            if state.isAbandoned { return false }
            if let failure {
                state.failure = state.failure ?? failure
                return false
            }
            state.list.replace(node, with: pieces)
            if state.isEmitting || !state.list.hasReadyOutput { return false }
            state.isEmitting = true
            return true
        }
        if isEmitter { emitReady() }
        wakeIdle()
    }

    private func fail(_ error: any Error) {
        state.withLock { $0.failure = $0.failure ?? error }
        stop()
    }

    /// Hands on what is at the head, as its only emitter, until the head is not ready.
    private func emitReady() {
        while true {
            let ready: [Output] = state.withLock { state in
                // What is ready by then stays in the list, for `emitRest`.
                let ready = state.isAbandoned ? [] : state.list.takeReady()
                if ready.isEmpty { state.isEmitting = false }
                return ready
            }
            if ready.isEmpty { return }
            do {
                for output in ready { try emit(output, true) }
            } catch {
                state.withLock { $0.isEmitting = false }
                return fail(error)
            }
        }
    }

    private func wakeIdle() {
        let count = state.withLock { state in
            let everythingDone = state.running == 0 && !state.isEmitting && state.list.isEmpty
            let count =
                everythingDone || state.failure != nil
                ? state.idle : min(state.idle, state.list.waitingCount)
            state.idle -= count
            return count
        }
        for _ in 0..<count { wake.signal() }
    }

    /// What it hands on belongs before the rest, and never to two threads at a time.
    private func waitForEmitter() {
        while state.withLock({ $0.isEmitting }) { pause(milliseconds: 1) }
    }

    /// After a stop: what was finished at the head, and then what was finished behind the first
    /// gap.
    private func emitRest() throws {
        let (ready, rest): ([Output], [Output]) = state.withLock { state in
            guard state.failure == nil else { return ([], []) }
            return (state.list.takeReady(), state.list.takeAllDone())
        }
        for output in ready { try emit(output, true) }
        for output in rest { try emit(output, false) }
    }
}

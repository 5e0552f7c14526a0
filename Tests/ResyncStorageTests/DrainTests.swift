import Dispatch
import Foundation
import ResyncStorage
import Synchronization
import TestSupport
import Testing

/// Work that gives results and more work, in the order in which they belong.
private struct Branch: Sendable {
    var id: Int
    var parts: [Part]

    enum Part: Sendable {
        case result(Int)
        case branch(Branch)
    }

    /// What one thread would give, going down first.
    var expanded: [Int] {
        parts.flatMap { part in
            switch part {
            case .result(let number): [number]
            case .branch(let branch): branch.expanded
            }
        }
    }

    var count: Int {
        parts.reduce(1) { sum, part in
            if case .branch(let branch) = part { sum + branch.count } else { sum }
        }
    }

    static func random(_ random: inout Seed, _ id: inout Int, depth: Int = 4) -> Branch {
        var branch = Branch(id: id, parts: [])
        id += 1
        for _ in 0..<Int.random(in: 0...5, using: &random) {
            if depth > 0, Bool.random(using: &random) {
                branch.parts.append(.branch(.random(&random, &id, depth: depth - 1)))
            } else {
                branch.parts.append(.result(Int(truncatingIfNeeded: random.next() >> 32)))
            }
        }
        return branch
    }

    var pieces: [Piece<Branch, Int>] {
        parts.map { part in
            switch part {
            case .result(let number): .output(number)
            case .branch(let branch): .unit(branch)
            }
        }
    }
}

/// What was handed on, and whether two threads ever did so at once.
private final class Collected: Sendable {
    private let state = Mutex<(outputs: [Int], behind: [Int], emitting: Int, clashes: Int)>(
        ([], [], 0, 0))

    func take(_ output: Int, _ inOrder: Bool, meanwhile: () -> Void = {}) {
        state.withLock {
            $0.emitting += 1
            if $0.emitting > 1 { $0.clashes += 1 }
            if inOrder { $0.outputs.append(output) } else { $0.behind.append(output) }
        }
        meanwhile()
        state.withLock { $0.emitting -= 1 }
    }

    var outputs: [Int] { state.withLock { $0.outputs } }
    /// After a gap.
    var behind: [Int] { state.withLock { $0.behind } }
    var clashes: Int { state.withLock { $0.clashes } }
}

/// Lets threads through only when so many of them stand at it.
private final class Barrier: Sendable {
    private let count: Int
    private let arrived = Atomic(0)

    init(_ count: Int) { self.count = count }

    /// False when the others did not come within ten seconds.
    func pass() -> Bool {
        arrived.add(1, ordering: .sequentiallyConsistent)
        for _ in 0..<10_000 {
            if arrived.load(ordering: .sequentiallyConsistent) >= count { return true }
            usleep(1000)
        }
        return false
    }
}

private struct Failure: Error, Equatable { let id: Int }

private func wait(until condition: () -> Bool) -> Bool {
    for _ in 0..<10_000 {
        if condition() { return true }
        usleep(1000)
    }
    return false
}

@Suite(.serialized) struct DrainTests {
    private typealias BranchDrain = Drain<Branch, Int, Int>

    @Test(arguments: [1, 2, 8, 64])
    func outputIsThatOfOneThread(_ workers: Int) throws {
        var random = Seed.fromEnvironment()
        for round in 0..<rounds(60) {
            var id = 0
            let units = (0..<Int.random(in: 1...4, using: &random)).map { _ in
                Branch.random(&random, &id)
            }
            let collected = Collected()
            let drain = BranchDrain(
                first: units, lookahead: [1, 3, 1 << 16][round % 3], context: { $0 },
                run: { branch, _ in
                    if branch.id % 7 == 3 { usleep(300) }
                    return branch.pieces
                }, emit: { collected.take($0, $1) })
            let isDone = try drain.work(workers: workers, tick: .milliseconds(1)) { _ in .goOn }
            #expect(isDone)
            #expect(collected.outputs == units.flatMap(\.expanded))
            #expect(collected.behind == [] && collected.clashes == 0)
            #expect(drain.remaining.isEmpty)
        }
    }

    /// A tree, each of whose nodes has an end.
    private enum Part: Sendable {
        case node(path: [Int])
        case end(path: [Int])
    }

    @Test(arguments: [1, 3, 16]) func aLastUnitWaitsForAllThatTheOthersGive(
        _ workers: Int
    ) throws {
        let ended = Mutex<[[Int]]>([])
        let early = Mutex<[[Int]]>([])
        let outputs = Mutex<[String]>([])
        let drain = Drain<Part, String, Int>(
            first: [.node(path: [])], context: { $0 },
            run: { part, _ in
                switch part {
                case .end(let path):
                    let children = ended.withLock { ended in
                        defer { ended.append(path) }
                        return ended.count { $0.count == path.count + 1 && $0.starts(with: path) }
                    }
                    if path.count < 3, children != 4 { early.withLock { $0.append(path) } }
                    return [.output("end \(path)")]
                case .node(let path):
                    if (path.last ?? 0) % 2 == 1 { usleep(500) }
                    let children = path.count < 3 ? (0..<4).map { path + [$0] } : []
                    return [.output("begin \(path)")] + children.map { .unit(.node(path: $0)) }
                        + [.last(.end(path: path))]
                }
            }, emit: { output, _ in outputs.withLock { $0.append(output) } })
        #expect(try drain.work(workers: workers, tick: .milliseconds(1)) { _ in .goOn })
        func expanded(_ path: [Int]) -> [String] {
            let children = path.count < 3 ? (0..<4).flatMap { expanded(path + [$0]) } : []
            return ["begin \(path)"] + children + ["end \(path)"]
        }
        #expect(early.withLock { $0 } == [])
        #expect(outputs.withLock { $0 } == expanded([]))
    }

    @Test(arguments: [1, 8])
    func anyFailingUnitEndsIt(_ workers: Int) throws {
        var random = Seed.fromEnvironment()
        var id = 0
        var unit = Branch.random(&random, &id)
        while !(10...60).contains(unit.count) {
            id = 0
            unit = .random(&random, &id)
        }
        for failing in 0..<unit.count {
            let collected = Collected()
            let drain = BranchDrain(
                first: [unit], context: { $0 },
                run: { branch, _ in
                    if branch.id == failing { throw Failure(id: failing) }
                    return branch.pieces
                }, emit: { collected.take($0, $1) })
            #expect(throws: Failure(id: failing)) {
                try drain.work(workers: workers, tick: .milliseconds(1)) { _ in .goOn }
            }
            // What was handed on is a beginning.
            #expect(unit.expanded.starts(with: collected.outputs))
            #expect(collected.behind == [])
        }
    }

    @Test func failingToBeginOrToHandOnEndsIt() throws {
        let unit = Branch(id: 0, parts: [.result(1), .result(2)])
        let noContext = BranchDrain(
            first: [unit], context: { _ in throw Failure(id: 1) },
            run: { branch, _ in branch.pieces },
            emit: { _, _ in })
        #expect(throws: Failure(id: 1)) { try noContext.work(workers: 4) { _ in .goOn } }
        let noEmit = BranchDrain(
            first: [unit], context: { $0 }, run: { branch, _ in branch.pieces },
            emit: { number, _ in throw Failure(id: number) })
        #expect(throws: Failure(id: 1)) { try noEmit.work(workers: 4) { _ in .goOn } }
        let nothing = BranchDrain(
            first: [], context: { _ in throw Failure(id: 2) }, run: { branch, _ in branch.pieces },
            emit: { _, _ in })
        let isDone = try nothing.work(workers: 4) { _ in .goOn }
        #expect(isDone)
    }

    /// The first unit turns into one that is never begun; the second has long ended.
    @Test func aStopLeavesAGapAndTheRest() throws {
        let gate = Gate()
        let ended = Atomic(0)
        let collected = Collected()
        let inner = Branch(id: 9, parts: [.result(2)])
        let drain = BranchDrain(
            first: [
                Branch(id: 0, parts: [.result(1), .branch(inner), .result(3)]),
                Branch(id: 1, parts: [.result(4)]),
            ], context: { $0 },
            run: { branch, _ in
                if branch.id == 0 { gate.pass() }
                defer { ended.add(1, ordering: .sequentiallyConsistent) }
                return branch.pieces
            }, emit: { collected.take($0, $1) })
        var isStopping = false
        let isDone = try drain.work(workers: 2, tick: .milliseconds(1)) { status in
            if isStopping { gate.open() }
            guard ended.load(ordering: .sequentiallyConsistent) == 1, status.running == 1 else {
                return .goOn
            }
            isStopping = true
            return .stop
        }
        #expect(!isDone)
        #expect(collected.outputs == [1])
        #expect(collected.behind == [3, 4])
        #expect(drain.remaining.map(\.id) == [9])
    }

    @Test func abandoningWaitsForNoUnit() throws {
        let gate = Gate()
        let late = Atomic(false)
        let collected = Collected()
        let ended = Atomic(0)
        let drain = BranchDrain(
            first: (0..<6).map { Branch(id: $0, parts: [.result($0)]) }, context: { $0 },
            run: { branch, _ in
                if branch.id == 2 {
                    gate.pass()
                    late.store(true, ordering: .sequentiallyConsistent)
                } else {
                    ended.add(1, ordering: .sequentiallyConsistent)
                }
                return branch.pieces
            }, emit: { collected.take($0, $1) })
        let isDone = try drain.work(workers: 2, tick: .milliseconds(1)) { status in
            ended.load(ordering: .sequentiallyConsistent) == 5 && status.running == 1
                ? .abandon : .goOn
        }
        #expect(!isDone)
        let wasLate = late.load(ordering: .sequentiallyConsistent)
        #expect(!wasLate)
        #expect(collected.outputs == [0, 1])
        #expect(collected.behind == [3, 4, 5])
        // What it gives once it comes back is nobody's any more.
        gate.open()
        let isLate = wait { late.load(ordering: .sequentiallyConsistent) }
        #expect(isLate)
        usleep(20_000)
        #expect(collected.outputs == [0, 1])
        #expect(collected.behind == [3, 4, 5])
    }

    /// Somebody is handing on just then, and more became ready behind him.
    @Test func abandoningLosesNothingThatIsReady() throws {
        let hanging = Gate()
        let emitting = Gate()
        defer { hanging.open() }
        let collected = Collected()
        let drain = BranchDrain(
            first: (0..<6).map { Branch(id: $0, parts: [.result($0)]) }, context: { $0 },
            run: { branch, _ in
                if branch.id == 3 { hanging.pass() }
                return branch.pieces
            },
            emit: { output, inOrder in
                collected.take(output, inOrder) { if output == 0 { emitting.pass() } }
            })
        let isDone = try drain.work(workers: 3, tick: .milliseconds(1)) { status in
            // One hands on, one hangs, the third found nothing more.
            guard emitting.arrivals == 1, hanging.arrivals == 1, status.idle == 1 else {
                return .goOn
            }
            DispatchQueue.global().asyncAfter(deadline: .now() + 0.05) { emitting.open() }
            return .abandon
        }
        #expect(!isDone)
        #expect(collected.outputs == [0, 1, 2])
        #expect(collected.behind == [4, 5])
        #expect(collected.clashes == 0)
    }

    /// Each output weighs as much as what it holds, not one.
    @Test(arguments: [1, 5]) func lookaheadBoundsWhatIsHeldBack(_ weight: Int) throws {
        let gate = Gate()
        let begun = Atomic(0)
        let collected = Collected()
        let drain = BranchDrain(
            first: (0..<500).map { Branch(id: $0, parts: [.result($0)]) }, lookahead: 10,
            weight: { _ in weight }, context: { $0 },
            run: { branch, _ in
                begun.add(1, ordering: .sequentiallyConsistent)
                if branch.id == 0 { gate.pass() }
                return branch.pieces
            }, emit: { collected.take($0, $1) })
        var most = 0
        var ticks = 0
        let isDone = try drain.work(workers: 4, tick: .milliseconds(5)) { status in
            guard most == 0, status.idle == 3 else { return .goOn }
            ticks += 1
            if ticks == 10 {
                most = begun.load(ordering: .sequentiallyConsistent)
                gate.open()
            }
            return .goOn
        }
        #expect(isDone)
        // The blocked one, those held back, and what three others had begun by then.
        let held = 10 / weight
        #expect((held + 1...held + 3).contains(most), "\(most) begun")
        #expect(collected.outputs == Array(0..<500))
    }

    @Test func everyWorkerIsAThreadOfItsOwn() throws {
        let barrier = Barrier(32)
        let drain = Drain<Int, Bool, Int>(
            first: Array(0..<32), context: { $0 }, run: { _, _ in [.output(barrier.pass())] },
            emit: { met, _ in #expect(met) })
        let isDone = try drain.work(workers: 32) { _ in .goOn }
        #expect(isDone)
    }

    @Test func workersComeInTheMiddle() throws {
        let barrier = Barrier(8)
        let contexts = Mutex<Set<Int>>([])
        let drain = Drain<Int, Bool, Int>(
            first: Array(0..<40),
            context: { index in
                contexts.withLock { _ = $0.insert(index) }
                return index
            }, run: { unit, _ in [.output(unit >= 8 || barrier.pass())] },
            emit: { met, _ in #expect(met) })
        var most = 0
        let isDone = try drain.work(workers: 1, tick: .milliseconds(1)) { status in
            most = max(most, status.workers)
            return .workers(8)
        }
        #expect(isDone)
        #expect(most <= 8)
        #expect(contexts.withLock { $0 } == Set(0..<8))
    }
}

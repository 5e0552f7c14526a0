import Foundation
import Glibc
import ResyncCore
import Synchronization
import TestSupport
import Testing

/// The real program on real file systems, killed at each of its calls that change something. No
/// content is lost, each name is old or new, and the same command comes to the same end.
@Suite struct KillSweepTests {
    /// What is cut off, and what brings things to an end.
    enum Plot: CaseIterable {
        /// Applying; the same again goes on.
        case apply
        /// Applying, and the next attempt as well.
        case applyTwice
        /// Undoing; the same again goes on.
        case undo
        /// Applying; an undo takes back what was done.
        case applyThenUndo

        /// How many of its moments are looked at, of so many; `RESYNC_LONG` looks at each.
        func moments(_ calls: Int, _ seed: inout Seed) -> [Int] {
            let all = Array(1...calls)
            if isLongRun { return all }
            return Array(all.shuffled(using: &seed).prefix(rounds(self == .apply ? 2 : 1)))
        }
    }

    private static let total = KillCount()

    @Test(arguments: LoopMount.Kind.allCases)
    func treesComeToTheirEnd(_ kind: LoopMount.Kind) throws {
        guard let killer = try Killer(), let mount = try LoopMount(kind) else { return }
        var seed = Seed.fromEnvironment()
        var kills = 0
        let cases = WaitingCases()
        for workload in KillWorkload.allCases {
            for (whole, plots) in [(Plot.apply, [Plot.applyTwice, .applyThenUndo]), (.undo, [])] {
                let sweep = TreeSweep(killer, mount, kind, workload, whole, cases)
                let calls = try sweep.callsOfAWholeRun()
                kills += try sweep.run(calls, &seed)
                for plot in plots {
                    kills += try TreeSweep(killer, mount, kind, workload, plot, cases)
                        .run(calls, &seed)
                }
            }
        }
        try cases.finish()
        #expect(kills >= KillWorkload.allCases.count * 2, "\(kind)")
        Self.total.add(kills, kind.rawValue)
    }
}

/// Kills of all file systems together.
private final class KillCount: Sendable {
    private let state = Mutex<(kills: Int, places: [String])>((0, []))

    func add(_ kills: Int, _ place: String) {
        let (sum, places) = state.withLock { state in
            state.kills += kills
            state.places.append(place)
            return (state.kills, state.places.sorted().joined(separator: ", "))
        }
        print("kills: \(sum) of the real program on \(places)")
    }
}

/// Cases that only wait to be confirmed, which takes two seconds of waiting each: side by side.
final class WaitingCases {
    private var waiting: [(Running, Stage, Recorded, String)] = []

    func add(_ stage: Stage, _ expected: Recorded, _ what: String) throws {
        waiting.append((try stage.resync(["confirm"]).start(), stage, expected, what))
        if waiting.count >= 8 { try finishFirst() }
    }

    private func finishFirst() throws {
        let (running, stage, expected, what) = waiting.removeFirst()
        let confirmed = try running.wait()
        #expect(confirmed.status == 0, "\(what): \(confirmed.report)")
        let differences = try recorded(stage.b).differences(from: expected)
        #expect(differences == [], "\(what)")
    }

    func finish() throws { while !waiting.isEmpty { try finishFirst() } }
}

/// One workload with one plot on one file system.
private struct TreeSweep {
    let killer: Killer
    let mount: LoopMount
    let kind: LoopMount.Kind
    let workload: KillWorkload
    let plot: KillSweepTests.Plot
    let cases: WaitingCases

    init(
        _ killer: Killer, _ mount: LoopMount, _ kind: LoopMount.Kind, _ workload: KillWorkload,
        _ plot: KillSweepTests.Plot, _ cases: WaitingCases
    ) {
        self.killer = killer
        self.mount = mount
        self.kind = kind
        self.workload = workload
        self.plot = plot
        self.cases = cases
    }

    func callsOfAWholeRun() throws -> Int {
        let calls = try one(0, 0).calls
        try #require(calls > 10)
        return calls
    }

    /// - Returns: how many runs were killed.
    func run(_ calls: Int, _ seed: inout Seed) throws -> Int {
        var kills = 0
        for moment in plot.moments(calls, &seed) {
            if try one(moment, Int.random(in: 1...calls, using: &seed)).isKilled { kills += 1 }
        }
        return kills
    }

    /// One change of fresh stores, killed at a moment, and at another one the next time.
    private func one(_ moment: Int, _ again: Int) throws -> (calls: Int, isKilled: Bool) {
        let stage = try Stage(below: mount.point)
        try workload.build(stage)
        let id = try stage.planned()
        let tree = try TreeCase(stage, "\(kind) \(workload) \(plot) \(moment) \(again)")
        let apply = stage.applying(id, "--workers", "1")
        let undo = stage.resync(["undo"])
        if plot == .undo { try tree.end(apply) }
        let cut = plot == .undo ? undo : apply
        let (first, calls) = try killer.run(cut, killingAt: moment)
        #expect(
            first.status == 0 || moment > 0 && first.status == 137, "\(tree.what): \(first.report)")
        try tree.checkNothingIsLost()
        if plot == .applyTwice, moment > 0 {
            let (second, _) = try killer.run(apply, killingAt: again)
            #expect([0, 64, 137].contains(second.status), "\(tree.what): \(second.report)")
            try tree.checkNothingIsLost()
        }
        switch plot {
        case .apply, .applyTwice:
            try tree.end(apply)
            try tree.checkEnd(tree.a)
            try cases.add(stage, tree.a, tree.what)
        case .undo, .applyThenUndo:
            try tree.end(undo)
            try tree.checkEnd(tree.b)
        }
        return (calls, first.status == 137)
    }
}

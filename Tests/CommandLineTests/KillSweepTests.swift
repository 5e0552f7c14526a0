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
        #expect(kills > KillWorkload.allCases.count * Plot.allCases.count, "\(kind)")
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
        let tree = TreeCase(
            stage, "\(kind) \(workload) \(plot) \(moment) \(again)", a: try recorded(stage.a),
            b: try recorded(stage.b))
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

/// Two stores as they were before, and what must be true of them since.
struct TreeCase {
    let stage: Stage
    let what: String
    let a: Recorded
    let b: Recorded

    init(_ stage: Stage, _ what: String, a: Recorded, b: Recorded) {
        self.stage = stage
        self.what = what
        self.a = a
        self.b = b
    }

    /// Runs a command that has to come to its end. One that came there before it was killed says
    /// so; and where nothing was begun, nothing is to be taken back.
    func end(_ command: Command) throws {
        let done = try command.run()
        let isOver =
            done.status == 0 || done.errorText.contains("carried out already")
            || done.errorText.contains("no run 'last'")
        #expect(isOver, "\(what): \(done.report)")
    }

    func checkNothingIsLost() throws {
        let source = try recorded(stage.a)
        let differences = source.differences(from: a)
        #expect(differences == [], "\(what)")
        #expect(source.mapValues(\.stat.ctime) == a.mapValues(\.stat.ctime), "\(what)")
        let target = try recorded(stage.b)
        let lost = a.contents.union(b.contents)
            .subtracting(source.contents).subtracting(target.contents)
            .map { escaped($0.prefix(40)) }
        #expect(lost == [], "\(what)")
        let torn = torn(target)
        #expect(torn == [], "\(what)")
    }

    /// Paths that are neither wholly as they were nor wholly as they are to be.
    private func torn(_ now: Recorded) -> [String] {
        var found: [String] = []
        for path in Set(now.keys).union(a.keys).union(b.keys) where !isOwn(path) {
            let (old, new) = (b[path], a[path])
            guard let entry = now[path] else {
                // The removal of a directory is a change of its own, whatever takes its place.
                let isOneStep = old?.stat.type != .directory || new?.stat.type == .directory
                if old != nil, new != nil, isOneStep, isStable(path) {
                    found.append("gone \(escaped(path))")
                }
                continue
            }
            let versions = [old, new].compactMap { $0 }
            if entry.stat.type == .directory {
                if !versions.contains(where: { $0.stat.type == .directory }) {
                    found.append("unknown directory \(escaped(path))")
                }
            } else if !versions.contains(where: { $0.isSame(as: entry) }),
                !isBetween(entry, old, new)
            {
                found.append("torn \(escaped(path)): \(entry.text)")
            }
        }
        return found
    }

    private func isOwn(_ path: [UInt8]) -> Bool {
        path.split(separator: slash).contains { $0.starts(with: ".resync".utf8) }
    }

    /// Whether all above a path are directories before and after.
    private func isStable(_ path: [UInt8]) -> Bool {
        var above = path
        while let end = above.lastIndex(of: slash) {
            above = Array(above[..<end])
            if a[above]?.stat.type != .directory || b[above]?.stat.type != .directory {
                return false
            }
        }
        return true
    }

    /// Metadata that is changed in place: the object is the old one, each part is old or new. A
    /// change of owner takes special bits and capabilities away until they are set again.
    private func isBetween(
        _ now: RecordedEntry, _ old: RecordedEntry?, _ new: RecordedEntry?
    ) -> Bool {
        guard let old, let new, now.stat.inode == old.stat.inode else { return false }
        let modes = [old.stat.mode, new.stat.mode, old.stat.mode & 0o777, new.stat.mode & 0o777]
        return now.isAlike(old, but: [Array("security.capability".utf8)])
            && modes.contains(now.stat.mode)
            && [old.stat.uid, new.stat.uid].contains(now.stat.uid)
            && [old.stat.gid, new.stat.gid].contains(now.stat.gid)
            && [old.stat.mtime, new.stat.mtime].contains(now.stat.mtime)
    }

    func checkEnd(_ expected: Recorded) throws {
        let found = try recorded(stage.b)
        let differences = found.differences(from: expected)
        #expect(differences == [], "\(what)")
        let left = found.keys.filter { path in
            let names = path.split(separator: slash)
            guard let own = names.firstIndex(where: { $0.starts(with: ".resync".utf8) }) else {
                return false
            }
            if own == 0, names[0].elementsEqual(".resync-store".utf8) { return false }
            guard own == 0, names[0].elementsEqual(".resync-quarantine".utf8) else { return true }
            return names.contains { $0.suffix(9).elementsEqual("-unplaced".utf8) }
        }
        #expect(left.map { escaped($0) } == [], "\(what)")
    }
}

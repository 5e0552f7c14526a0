import ResyncCore
import ResyncStorage
import Synchronization
import TestSupport

@testable import ResyncEngine

/// What a power loss cuts off, and what is then done.
enum CrashWork: Sendable {
    case apply, undo
    /// What the run displaced is freed.
    case purge
    /// As `apply`; before it goes on, somebody changes the source.
    case applyOfAMovingSource
}

/// What must hold on every disk that a power loss can leave, and when the work has gone on there.
struct CrashCheck: Sendable {
    let workload: Workload
    let work: CrashWork
    /// B as it was.
    private let original: TreeImage
    /// A, and B as it is to be.
    private let planned: TreeImage
    private let around: TreeImage
    /// What may not be lost.
    private let contents: Set<UInt64>

    /// - Parameter stage: with nothing done yet.
    init(_ workload: Workload, _ work: CrashWork, _ stage: ApplyStage) {
        self.workload = workload
        self.work = work
        original = stage.store("/b")
        planned = stage.store("/a")
        around = stage.disk.tree("/around")
        contents =
            switch work {
            case .apply, .undo: stage.contents()
            // The source's are its user's to change.
            case .applyOfAMovingSource: stage.disk.contentNumbers("/b")
            // What was displaced is what is freed.
            case .purge: stage.disk.contentNumbers("/a")
            }
    }

    private init(_ other: CrashCheck, _ work: CrashWork) {
        workload = other.workload
        self.work = work
        (original, planned) = (other.original, other.planned)
        (around, contents) = (other.around, other.contents)
    }

    /// The same stores, with other work to be done; neither changes the source or frees anything.
    func with(_ other: CrashWork) -> CrashCheck { CrashCheck(self, other) }

    func stage(_ disk: SimulatedDisk) -> ApplyStage {
        ApplyStage(disk, details: workload.details)
    }

    func begin(_ disk: SimulatedDisk) throws {
        switch work {
        case .apply, .applyOfAMovingSource: try stage(disk).apply()
        case .undo: try stage(disk).undo()
        case .purge: try stage(disk).purge()
        }
    }

    /// Looks at what a power loss left, has the work go on, and looks again.
    func problems(_ disk: SimulatedDisk, _ random: inout Seed) throws -> [String] {
        let stage = stage(disk)
        var problems = standing(stage, "at once")
        switch work {
        case .apply:
            try stage.apply()
            problems += differences(stage, planned)
            problems += leftovers(stage)
            switch random.below(8) {
            case 0: problems += try onceMore(stage)
            case 1: problems += try takenBack(stage)
            default: break
            }
        case .undo: problems += try takenBack(stage)
        case .purge: problems += try freed(stage, takesBack: random.once(in: 2))
        case .applyOfAMovingSource:
            change(disk, &random)
            try stage.apply()
            problems += standing(stage, "gone on", sourceMoved: true)
            problems += try takenBack(stage)
        }
        return problems + standing(stage, "in the end", sourceMoved: work == .applyOfAMovingSource)
    }

    // MARK: At any time

    /// Nothing is lost, each path is wholly as before or wholly as planned, and what the plan is
    /// not about stands untouched.
    private func standing(
        _ stage: ApplyStage, _ when: String, sourceMoved: Bool = false
    ) -> [String] {
        var problems: [String] = []
        let lost = contents.subtracting(stage.contents()).count
        if lost > 0 { problems.append("\(when): \(lost) contents are lost") }
        problems += mixtures(stage.store("/b")).map { "\(when): a third version of \($0)" }
        let now = stage.disk.tree("/around")
        if now != around {
            problems += now.differences(from: around).map { "\(when): around: \($0)" }
        }
        if !sourceMoved {
            let source = stage.store("/a")
            if source != planned {
                problems += source.differences(from: planned).map { "\(when): source: \($0)" }
            }
        }
        return problems
    }

    private func mixtures(_ now: TreeImage) -> [String] {
        now.entries.compactMap { path, entry in
            guard entry.type != .directory else { return nil }
            for known in [original, planned] {
                guard let other = known.entries[path] else { continue }
                if entry.type == other.type, entry.content == other.content,
                    entry.target == other.target
                {
                    return nil
                }
            }
            return escaped(path)
        }
    }

    // MARK: In the end

    private func differences(_ stage: ApplyStage, _ wanted: TreeImage) -> [String] {
        ApplyStage.differences(stage.store("/b"), wanted).map { "not as it should be: \($0)" }
    }

    private func leftovers(_ stage: ApplyStage) -> [String] {
        stage.disk.paths.filter { path in
            path.starts(with: Array("/b/".utf8))
                && path.split(separator: slash).contains { $0.starts(with: stagedPrefix) }
                && !path.split(separator: slash).contains { $0.elementsEqual(quarantineName) }
        }.map { "left behind: \(escaped($0))" }
    }

    private static let changing: Set<SystemCall> = [
        .pwrite, .ftruncate, .mkdirat, .unlinkat, .renameat2, .linkat, .symlinkat, .mknodat,
        .fchmodat, .fchownat, .utimensat, .setxattr, .removexattr, .fallocate,
    ]

    /// What is done is not done again: the target is not even touched.
    private func onceMore(_ stage: ApplyStage) throws -> [String] {
        let touched = Counter()
        stage.disk.onCall { call in
            guard Self.changing.contains(call.kind), call.path.starts(with: Array("/b".utf8))
            else { return }
            touched.next()
        }
        defer { stage.disk.onCall(nil) }
        let result = try stage.apply()
        var problems: [String] = []
        if touched.count > 0 { problems.append("done again: \(touched.count) calls") }
        if result.counts.notDone > 0 { problems.append("done again: \(result.counts)") }
        return problems
    }

    private func takenBack(_ stage: ApplyStage) throws -> [String] {
        try stage.undo()
        return differences(stage, original) + leftovers(stage)
    }

    /// Freed for good, or taken back as far as that can still be: whatever stands is whole.
    private func freed(_ stage: ApplyStage, takesBack: Bool) throws -> [String] {
        var problems = differences(stage, planned)
        if takesBack {
            try stage.undo()
            return problems + leftovers(stage)
        }
        try stage.purge()
        problems += differences(stage, planned)
        let shelf = Array("/b/.resync-quarantine/run/".utf8)
        let kept = stage.disk.paths.filter { $0.starts(with: shelf) }
        return problems + kept.map { "still kept: \(escaped($0))" }
    }

    /// Somebody writes new versions of a third of the source's files, and removes some.
    private func change(_ disk: SimulatedDisk, _ random: inout Seed) {
        for path in disk.paths where path.starts(with: Array("/a/".utf8)) {
            guard disk.exists(path), disk.peek(path).type == .file else { continue }
            switch random.below(6) {
            case 0, 1: disk.write(path, at: 0, "moved on \(random.next())")
            case 2: disk.remove(path)
            default: break
            }
        }
    }
}

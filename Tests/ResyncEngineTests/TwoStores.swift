import Glibc
import ResyncCore
import ResyncStorage
import Synchronization
import TestSupport

@testable import ResyncEngine

/// Two stores, `/a` and `/b`, on one simulated disk, and the runs that compare them. What resync
/// keeps of its own lies on a disk of its own, so that faults and counters meet the stores alone.
struct TwoStores: Sendable {
    let disk: SimulatedDisk
    let kept: SimulatedDisk

    /// On disks that are there already.
    init(_ disk: SimulatedDisk, kept: SimulatedDisk) {
        self.disk = disk
        self.kept = kept
    }

    init(as identity: SimulatedDisk.Identity = .init()) {
        kept = SimulatedDisk()
        disk = SimulatedDisk(as: identity)
        disk.addDirectory("/a")
        disk.addDirectory("/b")
    }

    static let calmTime = Timestamp(seconds: 1_600_000_000, nanoseconds: 123_456_789)

    /// Gives everything one mtime, so that only what a test plants differs.
    func calm() {
        for path in disk.paths {
            disk.change(path, Ownership(mtime: Self.calmTime))
        }
    }

    /// The same on both sides, at `/a/…` and `/b/…`.
    func both(_ build: (_ root: String) -> Void) {
        build("/a")
        build("/b")
    }

    /// How a run is made.
    struct Settings {
        var options: @Sendable (inout LocalSiteOptions) -> Void = { _ in }
        var plan: (inout VerifyPlan) -> Void = { _ in }
        var interruption: @Sendable () -> Int32? = { nil }
        var report: @Sendable (RunPhase, ResyncStorage.Progress) -> Void = { _, _ in }
        var paths = ("/a", "/b")
        var algorithm = DigestAlgorithm.gmac
        var blockSize = 64 << 10
        var workers = 2
        var pace = Pace()
        var resumes = false
        /// Of the run to resume; a new run has one of its own.
        var id = "run"
    }

    private static let runs = Counter()

    struct Verified {
        var result: VerifyResult
        var records: [ResultRecord]
        let id: String

        var summary: Summary { result.summary }
        var tally: Tally { result.summary.tally }
        var status: ExitStatus { result.summary.status }
        var lines: [String] { records.map(line) }
        var differences: [Difference] {
            records.compactMap { if case .difference(let found) = $0 { found } else { nil } }
        }
    }

    func state() throws -> StateFolder { try StateFolder(path: Array("/state".utf8), disk: kept) }

    /// Compares; without being told otherwise with two workers, one confirm pass and no wait.
    func verify(_ change: (inout Settings) -> Void = { _ in }) throws -> Verified {
        var settings = Settings()
        change(&settings)
        let state = try state()
        let run: RunFolder
        if settings.resumes {
            run = try RunFolder.open(settings.id, in: state.runs)
        } else {
            settings.id += "-\(Self.runs.next())"
            let header = RunHeader(
                id: settings.id, kind: "verify", started: Self.calmTime, a: [], b: [],
                arguments: [], workingDirectory: [], version: "test")
            run = try RunFolder.create(in: state.runs, header)
        }
        var options = LocalSiteOptions()
        options.scratch = state.folder.scratch
        settings.options(&options)
        var rules = VerifyRules(
            scheme: try DigestScheme(settings.algorithm, blockSize: settings.blockSize))
        rules.keepsSames = true
        let a = try LocalSite(path: Array(settings.paths.0.utf8), disk: disk, options: options)
        let b = try LocalSite(path: Array(settings.paths.1.utf8), disk: disk, options: options)
        var plan = VerifyPlan(
            sites: WalkedSites(a: a, b: b), rules: rules,
            limits: RunLimits(work: WorkPolicy(fixed: settings.workers, cores: 2)))
        plan.settle = 0
        plan.scope.batchSize = 8
        settings.plan(&plan)
        let checkpoint = settings.resumes ? try run.checkpoint() : nil
        let result = try VerifyRun(
            plan,
            RunControls(
                interruption: settings.interruption, report: settings.report, pace: settings.pace),
            in: run, resuming: checkpoint)()
        return Verified(result: result, records: try records(settings.id), id: settings.id)
    }

    /// What a run kept.
    func records(_ id: String) throws -> [ResultRecord] {
        var reader = try RunFolder.open(id, in: try state().runs).results()
        var records: [ResultRecord] = []
        while let record = try reader.next() { records.append(record) }
        return records
    }

    /// Has everything in the page cache.
    func warm() throws {
        _ = try verify { $0.plan = { $0.confirmPasses = 0 } }
    }

    /// Waits for worker threads that are past their last unit to let go of what they hold.
    func openAfterwards() -> Int {
        for _ in 0..<1000 where disk.openDescriptors > 0 { usleep(1000) }
        return disk.openDescriptors
    }
}

/// As `* d/x content 0+4096 zeroed:b`, with what is open or odd about it behind.
func line(_ record: ResultRecord) -> String {
    guard case .difference(let found) = record else { return "= \(escaped(record.path.bytes))" }
    var parts = [String(found.outcome.sign), escaped(found.path.bytes)]
    parts += found.aspects.aspects.map(\.word)
    parts += found.extents.map { "\($0.offset)+\($0.length)" }
    if let shape = found.shape {
        parts.append(shape.word + (found.shapeSide.map { ":" + $0.word } ?? ""))
    }
    if let reason = found.reason { parts.append("(\(reason))") }
    parts += found.errors.map { error in
        let place = error.extent.map { "@\($0.offset)+\($0.length)" } ?? ""
        let call = String(decoding: error.call, as: UTF8.self)
        return "!\(error.side.word):\(call):\(ErrorNumber.name(error.number))\(place)"
    }
    if found.canBeConfirmed, !found.isConfirmed, found.outcome != .unstable {
        parts.append("unconfirmed")
    }
    return parts.joined(separator: " ")
}

/// Counts up from many threads.
final class Counter: Sendable {
    private let value = Atomic(0)

    /// The count including this one.
    @discardableResult
    func next() -> Int { value.add(1, ordering: .relaxed).newValue }
    var count: Int { value.load(ordering: .relaxed) }
}

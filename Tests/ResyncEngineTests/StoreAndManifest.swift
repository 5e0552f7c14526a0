import ResyncCore
import ResyncStorage
import TestSupport

@testable import ResyncEngine

extension TwoStores {
    /// How `/b` is compared with a manifest of `/a`.
    struct Against {
        var passes = 1
        var side = Side.a
        var source = ReadSource.cache
        var hasWholeFile = false
        var aspects = AspectSet.standard
        /// Meets the store between the first pass and the second.
        var between: (@Sendable () -> Void)?
        var interruption: @Sendable () -> Int32? = { nil }
        var workers = 2
        var resumes: RunFolder?
    }

    private func rules(_ against: Against) throws -> ScanRules {
        var rules = ScanRules(scheme: try DigestScheme(.sha256, blockSize: 64 << 10))
        rules.aspects = against.aspects
        rules.source = against.source
        rules.hasWholeFile = against.hasWholeFile
        return rules
    }

    func site(_ path: String) throws -> LocalSite {
        try LocalSite(path: Array(path.utf8), disk: disk, options: LocalSiteOptions())
    }

    /// A manifest of a store, kept beside the runs.
    func manifest(of path: String = "/a", _ against: Against = Against()) throws -> InputFile {
        let folder = try state().folder
        let name = Array("manifest".utf8)
        try? folder.remove(name)
        let file = try folder.create(name)
        var rules = try rules(against)
        rules.source = .cache
        let run = ScanRun(try site(path), rules)
        let header = run.header(mounts: .one, owners: .number, host: [], tool: [])
        var writer = try ManifestWriter(header, .openSSL) { try file.write($0) }
        let result = try run.work(workers: 2, stop: Stop()) { _ in
            .goOn
        } record: {
            try writer.append($0)
        }
        precondition(result.isComplete)
        _ = try writer.finish(ended: Self.calmTime)
        try file.sync()
        return try folder.read(name)
    }

    struct Held {
        var result: VerifyResult
        var records: [ResultRecord]
        var run: RunFolder
        var lines: [String] { records.map(line) }
        var tally: Tally { result.summary.tally }
        var status: ExitStatus { result.summary.status }
    }

    func hold(
        _ manifest: InputFile, live: String = "/b", _ change: (inout Against) -> Void = { _ in }
    ) throws -> Held {
        var against = Against()
        change(&against)
        let rules = try rules(against)
        let witness: EntryJudge.Witness = { [scheme = rules.scheme] in scheme.witness($0, $1) }
        var plan = ManifestVerifyPlan(
            try site(live), rules, WalkScope(),
            RunLimits(work: WorkPolicy(fixed: against.workers, cores: 2)), manifest,
            on: against.side,
            EntryJudge(
                ComparisonRules(aspects: against.aspects), blockSize: 64 << 10, witness: witness))
        plan.keepsSames = true
        plan.confirmPasses = against.passes
        plan.settle = against.between == nil ? 0 : 0.05
        let moves = Counter()
        let controls = RunControls(
            interruption: against.interruption,
            report: { [between = against.between] phase, _ in
                if case .settling = phase, moves.next() == 1 { between?() }
            })
        let state = try state()
        let run = try against.resumes ?? RunFolder.create(in: state.runs, Self.header())
        let result = try ManifestVerifyRun(plan, controls, in: run)()
        var reader = try run.results()
        var records: [ResultRecord] = []
        while let record = try reader.next() { records.append(record) }
        let kept = try run.summary()
        precondition(kept?.tally == result.summary.tally)
        return Held(result: result, records: records, run: run)
    }

    private static let holds = Counter()

    private static func header() -> RunHeader {
        RunHeader(
            id: "held-\(holds.next())", kind: "verify", started: calmTime, a: [], b: [],
            arguments: [], workingDirectory: [], version: "test")
    }
}

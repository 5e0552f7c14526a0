import Glibc
import ResyncCore
import ResyncStorage
import TestSupport
import Testing

@testable import ResyncEngine

/// A comparison of a part of two stores, and what the last look makes of it.
@Suite struct WithinTests {
    private func path(_ text: String) -> RelativePath { RelativePath(Array(text.utf8)) }

    private func sites(_ stores: TwoStores) throws -> Sides<LocalSite> {
        try Sides(a: "/a", b: "/b").map {
            try LocalSite(path: Array($0.utf8), disk: stores.disk, options: LocalSiteOptions())
        }
    }

    private func stores() -> TwoStores {
        let stores = TwoStores()
        stores.both { root in
            for folder in ["m", "m/d", "n", "p", "p/q", "p/q/r"] {
                stores.disk.addDirectory("\(root)/\(folder)")
            }
            for file in ["m/f", "m/d/g", "n/x", "p/q/r/h", "p/q/i", "top"] {
                stores.disk.addFile("\(root)/\(file)", "content of \(file)")
            }
        }
        stores.calm()
        return stores
    }

    /// Compares what lies within these paths, or everything, and keeps what it proves.
    private func keep(
        _ stores: TwoStores, within paths: [String]? = nil, isDeep: Bool = true,
        interruption: @escaping @Sendable () -> Int32? = { nil }
    ) throws -> TwoStores.Verified {
        var rules = ScanRules(scheme: try DigestScheme(.sha256, blockSize: 64 << 10))
        rules.aspects = ComparisonRules().aspects
        let headers = try sites(stores).map {
            ScanRun($0, rules).header(mounts: .one, owners: .number, host: [], tool: [])
        }
        let state = try stores.state()
        return try stores.verify {
            $0.algorithm = .sha256
            $0.interruption = interruption
            $0.workers = 1
            $0.plan = { plan in
                plan.rules.keepsRecords = true
                plan.scope.batchSize = 1
                plan.scope.within = paths.map {
                    let paths = $0.map { path($0) }
                    return Selection(paths, shallow: isDeep ? [] : Set(paths))
                }
                plan.keeping = Keeping(
                    headers, paths == nil ? state.manifests : nil, state.baselines)
            }
        }
    }

    private func baseline(_ stores: TwoStores) throws -> KeptBaseline? {
        try stores.state().baselines.find(try sites(stores).map { $0.identity })
    }

    private func proven(_ stores: TwoStores) throws -> [String] {
        guard var records = try baseline(stores)?.records() else { return [] }
        var paths: [String] = []
        while let record = try records.next() { paths.append(escaped(record.path.bytes)) }
        return paths
    }

    private func look(_ stores: TwoStores, _ paths: String...) throws -> ModuleProof {
        let module = Module(name: "m", pair: "p", paths: paths.map { path($0) })
        let look = BaselineLook(
            try sites(stores).map { $0 as any Site }, try baseline(stores),
            RunLimits(work: WorkPolicy(fixed: 2, cores: 2)),
            RunControls(interruption: { nil }, report: { _, _ in }), batchSize: 2)
        return try #require(try look.proof(of: module, Sides(a: [], b: [])))
    }

    @Test func onlyWhatLiesWithinIsCompared() throws {
        let stores = stores()
        for file in ["m/f", "n/x", "p/q/i", "p/q/r/h"] {
            stores.disk.write("/a/\(file)", at: 0, "CHANGED")
        }
        stores.disk.change("/a/p", Ownership(mode: 0o700))
        stores.disk.change("/a/p/q", Ownership(mtime: stores.disk.now))
        let found = try keep(stores, within: ["m/d", "p/q/r"])
        #expect(found.differences.map { escaped($0.path.bytes) } == ["p/q/r/h"])
        // A directory that only leads there has to be one, and nothing more.
        #expect(found.tally.entries == 4, "\(found.tally)")
        #expect(found.tally.excluded == 0)
        // The directory itself is of it.
        stores.disk.change("/a/m/d", Ownership(mode: 0o700))
        let own = try keep(stores, within: ["m/d"])
        #expect(own.differences.map { escaped($0.path.bytes) } == ["m/d"])
        let nowhere = try keep(stores, within: ["x/y"])
        #expect(nowhere.differences.isEmpty && nowhere.tally.entries == 0)
        #expect(nowhere.status == .trouble)
    }

    /// Of a directory that was picked out alone, what lies in it is not looked at.
    @Test func whatLiesBelowASinglePathIsLeftAlone() throws {
        let stores = stores()
        for file in ["m/d/g", "n/x", "p/q/i", "p/q/r/h", "top"] {
            stores.disk.write("/a/\(file)", at: 0, "CHANGED")
        }
        stores.disk.change("/a/p/q", Ownership(mode: 0o700))
        stores.disk.change("/a/n", Ownership(mode: 0o700))
        let found = try keep(stores, within: ["m/d", "p/q", "p/q/i", "top"], isDeep: false)
        let expected = ["p/q", "p/q/i", "top"]
        #expect(found.differences.map { escaped($0.path.bytes) } == expected, "\(found.lines)")
        #expect(try keep(stores, within: [""], isDeep: false).tally.entries == 0)
    }

    /// What a run came to before it was ended is proven; the rest is as it was.
    @Test func aRunThatIsEndedProvesWhatItCameTo() throws {
        var counts: Set<Int> = []
        for place in 1...100 {
            let stores = stores()
            let (flag, calls) = (Flag(), Counter())
            stores.disk.onCall { _ in
                guard calls.next() == place else { return }
                flag.raise()
                usleep(60_000)
            }
            let found = try keep(stores, interruption: { flag.isUp ? SIGINT : nil })
            stores.disk.onCall(nil)
            guard found.summary.ending != .complete else { continue }
            let proven = try proven(stores)
            counts.insert(proven.count)
            // Only what was compared: the last entry of the checkpoint, and nothing behind it.
            #expect(proven.count <= found.tally.same + 1, "\(place): \(proven)")
            let gaps = try look(stores, "m", "n", "p", "top").gaps
            #expect(gaps[.unproven, default: 0] == 12 - max(0, proven.count - 1), "\(gaps)")
            // Another run proves the rest.
            #expect(try keep(stores).status == .ok)
            #expect(try look(stores, "m", "n", "p", "top").isWhole)
        }
        #expect(counts.count > 3, "\(counts)")
    }

    /// One store alone, as `a` of the pair.
    private func alone(
        _ stores: TwoStores, _ id: String, within: [String]? = nil
    ) throws -> (status: ResyncCore.ExitStatus, lines: [String]) {
        let state = try stores.state()
        let header = RunHeader(
            id: id, kind: "verify", started: TwoStores.calmTime, a: [], b: [], arguments: [],
            workingDirectory: [], version: "test")
        let run = try RunFolder.create(in: state.runs, header)
        let site = try LocalSite(
            path: Array("/a".utf8), disk: stores.disk, options: LocalSiteOptions())
        let baseline = try #require(try state.baselines.all(of: site.identity, as: .a).first)
        var rules = ScanRules(scheme: try DigestScheme(.sha256, blockSize: 64 << 10))
        rules.source = .media
        var scope = WalkScope()
        scope.within = within.map { Selection($0.map { path($0) }) }
        var plan = AlonePlan(
            site, .a, baseline, rules, scope, RunLimits(work: WorkPolicy(fixed: 2, cores: 2)))
        plan.settle = 0
        let controls = RunControls(interruption: { nil }, report: { _, _ in })
        let result = try AloneRun(plan, controls, in: run)()
        return (result.summary.status, try stores.records(id).map(line))
    }

    /// What is not as it was is proven by nothing; only what changed without being touched differs.
    @Test func oneStoreIsHeldAgainstTheBaseline() throws {
        let stores = stores()
        #expect(try keep(stores).status == .ok)
        // Of the other side nothing is read.
        stores.disk.inject(Fault(.fail(ErrorNumber.inputOutput), under: "/b"))
        let clean = try alone(stores, "1")
        #expect(clean.status == .ok && clean.lines == [], "\(clean.lines)")
        stores.disk.corruptMedium("/a/m/f", .flipBit(at: 3))
        stores.disk.addFile("/a/m/d/new", "new")
        stores.disk.write("/a/n/x", at: 0, "CHANGED")
        stores.disk.remove("/a/p/q/i")
        let found = try alone(stores, "2")
        #expect(found.status == .trouble, "\(found.lines)")
        for part in ["* m/f content", "? m/d/new", "? n/x", "? p/q/i"] {
            #expect(found.lines.contains { $0.hasPrefix(part) }, "\(part) \(found.lines)")
        }
        let part = try alone(stores, "3", within: ["m/f", "p/q/r"])
        #expect(part.status == .differences, "\(part.lines)")
        #expect(part.lines.count == 1 && part.lines[0].hasPrefix("* m/f content"))
        #expect(try alone(stores, "4", within: ["p/q/r"]).lines == [])
        #expect(try alone(stores, "5", within: ["p/q/i"]).lines.first?.hasPrefix("? p/q/i") == true)
    }

    @Test func whatLeadsThereAndIsGoneIsMissing() throws {
        let stores = stores()
        for file in ["p/q/r/h", "p/q/r", "p/q/i", "p/q"] { stores.disk.remove("/b/\(file)") }
        let found = try keep(stores, within: ["p/q/r"])
        let lines = found.differences.filter { $0.outcome == .missingOnB }
        #expect(lines.map { escaped($0.path.bytes) }.contains("p/q"), "\(found.lines)")
        #expect(found.status == .differences)
        let proof = try look(stores, "p/q/r")
        #expect(proof.gaps == [.missingOnB: 2])
    }

    @Test func aPartProvesOnlyItself() throws {
        let stores = stores()
        #expect(try keep(stores).status == .ok)
        let before = try proven(stores)
        let kept = try stores.state().manifests.find(try sites(stores).a.identity)
        stores.both { root in
            stores.disk.remove("\(root)/n/x")
            stores.disk.addFile("\(root)/m/new", "new on both")
        }
        stores.calm()
        #expect(try keep(stores, within: ["m"]).status == .ok)
        // What it did not look at is as it was, what is gone included.
        #expect(try proven(stores) == (before + ["m/new"]).sorted { path($0) < path($1) })
        let now = try stores.state().manifests.find(try sites(stores).a.identity)
        #expect(now?.header == kept?.header, "a part took the place of the whole")
        #expect(stores.kept.paths.filter { escaped($0).contains("manifest-") } == [])
    }

    @Test func theLastLookSeesWhatMovedSince() throws {
        let stores = stores()
        let empty = try look(stores, "m")
        #expect(empty.gaps == [.unproven: 4] && !empty.isWhole)
        #expect(try keep(stores, within: ["m", "p/q/r"]).status == .ok)
        let whole = try look(stores, "m", "p/q/r")
        #expect(whole.isWhole && whole.entries == 6, "\(whole.gaps)")
        #expect(whole.bytes == 11 + "content of m/f".utf8.count + "content of m/d/g".utf8.count + 7)
        #expect(try look(stores, "n").gaps == [.unproven: 2])
        stores.disk.write("/b/m/d/g", at: 0, "content of m/d/g")
        let moved = try look(stores, "m", "p/q/r")
        #expect(moved.gaps == [.moved: 1] && moved.examples.first?.path == path("m/d/g"))
        stores.disk.inject(Fault(.fail(ErrorNumber.inputOutput), under: "/a/p/q/r"))
        #expect(try look(stores, "p/q/r").gaps.keys.contains(.unreadable))
    }
}

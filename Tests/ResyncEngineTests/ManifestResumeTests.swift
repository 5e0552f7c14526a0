import Glibc
import ResyncCore
import ResyncStorage
import TestSupport
import Testing

@testable import ResyncEngine

extension TwoStores {
    struct KeptScan {
        let result: ScanResult
        let trailer: ManifestTrailer?
        let run: RunFolder
    }

    /// Scans `/a` into a run's folder, or goes on with that.
    func scan(
        in run: RunFolder, workers: Int = 2, interval: Double = 30,
        interruption: @escaping @Sendable () -> Int32? = { nil },
        options: (inout LocalSiteOptions) -> Void = { _ in }
    ) throws -> KeptScan {
        var rules = ScanRules(scheme: try DigestScheme(.sha256, blockSize: 64 << 10))
        rules.aspects = .standard.union(AspectSet(.links))
        var scope = WalkScope()
        scope.batchSize = 3
        var site = LocalSiteOptions()
        site.scratch = try state().folder.scratch
        options(&site)
        let scan = ScanRun(
            try LocalSite(path: Array("/a".utf8), disk: disk, options: site), rules, scope)
        var header = scan.header(mounts: .one, owners: .number, host: [], tool: [])
        let checkpoint = try run.checkpoint()
        // Of constant length, so that whole files can be compared.
        header.started = Timestamp(
            seconds: 1_700_000_000 + (checkpoint == nil ? 0 : 1), nanoseconds: 1)
        let (result, trailer) = try scan(
            RunLimits(work: WorkPolicy(fixed: workers, cores: 2)),
            RunControls(interruption: interruption, report: { _, _ in }), in: run, header,
            resuming: checkpoint, interval: interval)
        return KeptScan(result: result, trailer: trailer, run: run)
    }

    func newRun(_ id: String = "scan") throws -> RunFolder {
        let header = RunHeader(
            id: id, kind: "scan", started: Self.calmTime, a: [], b: [], arguments: [],
            workingDirectory: [], version: "test")
        return try RunFolder.create(in: try state().runs, header)
    }
}

/// All of a manifest but the time of its end; damaged ones, and wrong counts, are refused.
private func manifest(_ bytes: [UInt8]) throws -> [UInt8] {
    let file = MemoryFile(bytes)
    _ = try ManifestSample.read(file)
    let lookup = try ManifestLookup(.openSSL, size: bytes.count) { file.read($0, $1) }
    let at = bytes.count - 16 - 40
    let start = bytes[at..<at + 8].reversed().reduce(0) { $0 << 8 | Int($1) }
    return Array(bytes[..<start]) + Array((lookup.trailer.root?.hex ?? "none").utf8)
}

/// Manifests that are gone on with become what they would have been.
@Suite struct ManifestResumeTests {
    private static func stores(many: Int = 0) -> TwoStores {
        let stores = TwoStores()
        stores.both { root in
            for name in ["d/1", "d/2", "d/e/3", "f/4", "g", "h/i/5", "h/i/6", "h/j"] {
                stores.disk.addFile("\(root)/\(name)", "text")
            }
            for name in ["hollow", "hollow2", "mount", "z2/locked", "z3/mount"] {
                stores.disk.addDirectory("\(root)/\(name)")
            }
            stores.disk.addFile("\(root)/.resync-x", "reserved")
            stores.disk.addFile("\(root)/z", "last")
            stores.disk.link("\(root)/z", as: "\(root)/d/first")
            stores.disk.addSparse("\(root)/k/large", size: 5 << 20)
            stores.disk.write("\(root)/k/large", at: 3_000_000, "data")
            stores.disk.addFile("\(root)/k/m", "text")
            for index in 0..<many {
                let name = String(repeating: "n", count: 200) + "\(index)"
                stores.disk.addFile("\(root)/l\(index % 3)/\(name)", "text")
            }
        }
        stores.disk.addFile("/a/h/only", "1")
        stores.disk.addFile("/b/hollow3/only", "1")
        stores.calm()
        for (number, root) in [(7, "/a"), (8, "/b")] {
            stores.disk.setMount("\(root)/mount", SimulatedMount(number: number))
            stores.disk.setMount("\(root)/z3/mount", SimulatedMount(number: number + 2))
            stores.disk.inject(
                Fault(
                    .fail(EACCES), on: .openat, under: "\(root)/z2/locked", persistent: true))
        }
        return stores
    }

    private func scanned(_ stores: TwoStores) throws -> [UInt8] {
        let found = try stores.scan(in: try stores.newRun())
        #expect(found.result.ending == .complete)
        return stores.kept.content("/state/runs/scan/manifest-a")
    }

    /// Stops at a call to the stores; false where there are not so many.
    private func stop(
        _ stores: TwoStores, at place: Int,
        _ body: (@escaping @Sendable () -> Int32?) throws -> Void
    ) rethrows -> Bool {
        let flag = Flag()
        let calls = Counter()
        stores.disk.onCall { _ in
            guard calls.next() == place else { return }
            flag.raise()
            // Long enough for the supervisor to see it before the work is done.
            usleep(60_000)
        }
        try body { flag.isUp ? SIGINT : nil }
        stores.disk.onCall(nil)
        return calls.count >= place
    }

    @Test(arguments: [1, 4]) func aScanGoesOnFromAnyPlace(_ workers: Int) throws {
        let whole = try manifest(try scanned(Self.stores()))
        var stopped = 0
        for place in stride(from: 1, to: Int.max, by: isLongRun ? 1 : 3) {
            let stores = Self.stores()
            let run = try stores.newRun()
            var found: TwoStores.KeptScan?
            let isPlace = try stop(stores, at: place) { interruption in
                found = try stores.scan(in: run, workers: workers, interruption: interruption)
            }
            guard isPlace else { break }
            if found?.trailer == nil {
                stopped += 1
                #expect(found?.result.ending == .interrupted(SIGINT))
                // Once more, a little further on.
                _ = try stop(stores, at: 25) { interruption in
                    found = try stores.scan(in: run, workers: workers, interruption: interruption)
                }
            }
            if found?.trailer == nil { found = try stores.scan(in: run, workers: workers) }
            let bytes = stores.kept.content("/state/runs/scan/manifest-a")
            #expect(try manifest(bytes) == whole, "stopped at \(place)")
        }
        #expect(stopped > 20)
    }

    @Test func aScanOfManyFramesGoesOn() throws {
        let whole = try manifest(try scanned(Self.stores(many: 700)))
        #expect(whole.count > 2 * ManifestLimit.framePayload)
        for place in stride(from: 300, to: 2600, by: isLongRun ? 11 : 331) {
            let stores = Self.stores(many: 700)
            let run = try stores.newRun()
            let isPlace = try stop(stores, at: place) { interruption in
                _ = try stores.scan(in: run, workers: 1, interval: 0.01, interruption: interruption)
            }
            #expect(isPlace)
            _ = try stores.scan(in: run)
            let bytes = stores.kept.content("/state/runs/scan/manifest-a")
            #expect(try manifest(bytes) == whole, "stopped at \(place)")
        }
    }

    /// The power fails at each call to the disk that holds the run.
    @Test func aScanGoesOnAfterAPowerLoss() throws {
        let first = Self.stores()
        let whole = try manifest(try scanned(first))
        var resumed = 0
        for nth in stride(from: 1, to: Int.max, by: isLongRun ? 1 : 7) {
            let stores = Self.stores()
            let crashed = Crashed()
            stores.kept.onCall { [kept = stores.kept] call in
                if call.number == nth { crashed.take(kept, seed: UInt64(nth)) }
            }
            _ = try stores.scan(in: try stores.newRun(), workers: 1, interval: 0)
            stores.kept.onCall(nil)
            guard !crashed.disks.isEmpty else { break }
            for disk in crashed.disks {
                let after = TwoStores(stores.disk, kept: disk)
                guard let run = try? RunFolder.open("scan", in: try after.state().runs),
                    (try? run.header()) != nil
                else { continue }
                if try run.checkpoint()?.through != nil { resumed += 1 }
                _ = try after.scan(in: run)
                let bytes = disk.content("/state/runs/scan/manifest-a")
                #expect(try manifest(bytes) == whole, "call \(nth)")
            }
        }
        #expect(resumed > 20)
    }

    /// What the run keeps cannot be read or written when it goes on.
    @Test(arguments: [EIO, ENOSPC, ENOENT]) func noFailureMakesAWrongManifest(
        _ number: Int32
    ) throws {
        let whole = try manifest(try scanned(Self.stores()))
        for nth in 1... {
            let stores = Self.stores()
            let run = try stores.newRun()
            _ = try stop(stores, at: 40) { interruption in
                _ = try stores.scan(in: run, workers: 1, interruption: interruption)
            }
            stores.kept.inject(Fault(.fail(number), nth: nth))
            if (try? stores.scan(in: run).trailer) == nil {
                // It failed, and can be tried again.
                _ = try stores.scan(in: run)
            }
            let bytes = stores.kept.content("/state/runs/scan/manifest-a")
            #expect(try manifest(bytes) == whole, "call \(nth)")
            if stores.kept.firedFaults == 0 {
                #expect(nth > 10)
                return
            }
        }
    }

    // MARK: What moves between the attempts

    /// Stops a scan behind `last`, lets the store move, and goes on; the entries, and what the ends
    /// of directories say.
    private func moved(
        behind last: String, _ change: (SimulatedDisk) -> Void
    ) throws -> (entries: [String], listings: [String: ListingState], trailer: ManifestTrailer) {
        let stores = TwoStores()
        for name in ["d/1", "d/e/2", "d/e/3", "d/f", "g"] {
            stores.disk.addFile("/a/\(name)", "text")
        }
        stores.calm()
        let run = try stores.newRun()
        let flag = Flag()
        stores.disk.onCall { call in
            guard call.kind == .pread, call.path == Array("/a/\(last)".utf8) else { return }
            flag.raise()
            usleep(60_000)
        }
        let first = try stores.scan(
            in: run, workers: 1, interruption: { flag.isUp ? SIGINT : nil })
        #expect(first.trailer == nil)
        stores.disk.onCall(nil)
        change(stores.disk)
        let found = try stores.scan(in: run)
        let file = MemoryFile(stores.kept.content("/state/runs/scan/manifest-a"))
        var reader = try ManifestReader(.openSSL) { file.read($0, $1) }
        var entries: [String] = []
        var listings: [String: ListingState] = [:]
        while let record = try reader.next() {
            let path = escaped(reader.path(of: record).bytes)
            switch record {
            case .entry: entries.append(path)
            case .end(let end): listings[path] = end.listing
            }
        }
        return (entries, listings, try #require(found.trailer))
    }

    @Test func whatStoodStillIsComplete() throws {
        let found = try moved(behind: "d/e/3") { _ in }
        #expect(found.entries == ["", "d", "d/1", "d/e", "d/e/2", "d/e/3", "d/f", "g"])
        #expect(found.trailer.counts.isWhole && found.trailer.root != nil)
    }

    @Test func aNameThatMovedToTheFrontIsNotMissedSilently() throws {
        let found = try moved(behind: "d/e/3") { $0.rename("/a/d/f", to: "/a/d/0") }
        #expect(found.entries == ["", "d", "d/1", "d/e", "d/e/2", "d/e/3", "g"])
        #expect(found.listings == ["": .complete, "d": .changing, "d/e": .complete])
        #expect(found.trailer.root == nil && !found.trailer.counts.isWhole)
    }

    @Test func aDirectoryThatIsGoneEndsUnknown() throws {
        let found = try moved(behind: "d/e/3") { $0.remove("/a/d/e") }
        #expect(found.entries.last == "g" && found.entries.contains("d/f"))
        #expect(found.listings["d/e"] == .changing && found.listings["d"] == .changing)
        let gone = try moved(behind: "d/e/3") { $0.remove("/a/d") }
        #expect(gone.entries.last == "g" && !gone.entries.contains("d/f"))
        #expect(
            gone.listings == ["": .changing, "d": .changing, "d/e": .changing])
    }

    @Test func aDirectoryThatWasReplacedEndsUnknown() throws {
        let found = try moved(behind: "d/e/3") {
            $0.remove("/a/d/e")
            $0.addFile("/a/d/e/4", "new")
            for path in ["/a/d/e/4", "/a/d/e", "/a/d"] {
                $0.change(path, Ownership(mtime: TwoStores.calmTime))
            }
        }
        #expect(found.listings["d/e"] == .changing && found.trailer.root == nil)
        let file = try moved(behind: "d/e/3") {
            $0.remove("/a/d/e")
            $0.addFile("/a/d/e", "file")
        }
        #expect(file.listings["d/e"] == .changing && file.trailer.root == nil)
    }

    /// Its record says that it could not be entered, and that stays so.
    @Test func whatOpensUpMeanwhileStaysUnknown() throws {
        let stores = TwoStores()
        stores.disk.addFile("/a/m/x/y", "text")
        stores.disk.addFile("/a/m/z", "text")
        stores.disk.addFile("/a/n", "text")
        stores.calm()
        let run = try stores.newRun()
        let flag = Flag()
        stores.disk.inject(Fault(.fail(EACCES), on: .openat, under: "/a/m"))
        stores.disk.onCall { call in
            guard call.path == Array("/a/n".utf8) else { return }
            flag.raise()
            usleep(60_000)
        }
        let first = try stores.scan(
            in: run, workers: 1, interruption: { flag.isUp ? SIGINT : nil })
        #expect(first.trailer == nil && stores.disk.firedFaults == 1)
        stores.disk.onCall(nil)
        let found = try stores.scan(in: run)
        #expect(found.trailer?.counts.entries == 3 && found.trailer?.root == nil)
    }

    @Test func anotherStoreIsRefused() throws {
        let stores = Self.stores()
        let run = try stores.newRun()
        _ = try stop(stores, at: 30) { interruption in
            _ = try stores.scan(in: run, workers: 1, interruption: interruption)
        }
        let other = TwoStores(SimulatedDisk(), kept: stores.kept)
        other.disk.addFile("/x")
        other.disk.addFile("/a/other", "text")
        #expect(throws: RunError.self) { try other.scan(in: run) }
    }

    // MARK: Manifests that a comparison keeps

    private func verify(
        _ stores: TwoStores, workers: Int, resuming id: String? = nil, interval: Double = 30,
        interruption: @escaping @Sendable () -> Int32? = { nil }
    ) throws -> TwoStores.Verified {
        let headers = try Sides(a: "/a", b: "/b").map { path in
            let run = ScanRun(
                try stores.site(path),
                ScanRules(scheme: try DigestScheme(.sha256, blockSize: 65536)))
            var header = run.header(mounts: .one, owners: .number, host: [], tool: [])
            header.started = Timestamp(
                seconds: 1_700_000_000 + (id == nil ? 0 : 1), nanoseconds: 1)
            return header
        }
        let state = try stores.state()
        return try stores.verify {
            $0.workers = workers
            $0.algorithm = .sha256
            $0.interruption = interruption
            $0.resumes = id != nil
            $0.id = id ?? "run"
            $0.plan = {
                $0.rules.keepsRecords = true
                $0.keeping = Keeping(headers, state.manifests, state.baselines)
                $0.checkpointInterval = interval
                $0.scope.batchSize = 3
            }
        }
    }

    private func kept(_ stores: TwoStores) throws -> [[UInt8]] {
        try stores.kept.paths.filter { $0.starts(with: Array("/state/manifests/".utf8)) }
            .map { try manifest(stores.kept.content($0)) }
    }

    /// A's manifest is in its place already, B's is not.
    @Test func aComparisonThatBrokeOffBetweenItsManifestsIsResumed() throws {
        let first = Self.stores()
        let told = try verify(first, workers: 2)
        let whole = try kept(first)
        let stores = Self.stores()
        let name = Array("manifest-b".utf8)
        stores.kept.inject(
            Fault(.fail(EIO), on: .renameat2, when: { Array($0.path.suffix(10)) == name }))
        #expect(throws: DiskError.self) { try verify(stores, workers: 2, interval: 0) }
        #expect(try kept(stores).count == 1)
        let id = try #require(try RunFolder.list(in: try stores.state().runs).last)
        let found = try verify(stores, workers: 2, resuming: id)
        #expect(found.lines == told.lines)
        #expect(try kept(stores) == whole)
    }

    @Test(arguments: [1, 4]) func aResumedComparisonKeepsItsManifests(_ workers: Int) throws {
        let first = Self.stores()
        let told = try verify(first, workers: 2)
        let whole = try kept(first)
        #expect(whole.count == 2)
        var stopped = 0
        for place in stride(from: 1, to: Int.max, by: isLongRun ? 1 : 7) {
            let stores = Self.stores()
            var found: TwoStores.Verified?
            let isPlace = try stop(stores, at: place) { interruption in
                found = try verify(stores, workers: workers, interruption: interruption)
            }
            guard isPlace, let begun = found else { break }
            if begun.summary.ending == .interrupted(SIGINT) {
                stopped += 1
                found = try verify(stores, workers: workers, resuming: begun.id)
            }
            #expect(found?.lines == told.lines, "stopped at \(place)")
            #expect(try kept(stores) == whole, "stopped at \(place)")
        }
        #expect(stopped > 20)
    }
}

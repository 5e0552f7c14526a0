import Glibc
import ResyncCore
import ResyncStorage
import TestSupport
import Testing

@testable import ResyncEngine

/// Plans made from runs over two simulated stores.
@Suite struct PlanRunTests {
    private func sites(_ stores: TwoStores) throws -> Sides<LocalSite> {
        try Sides(a: "/a", b: "/b").map {
            try LocalSite(path: Array($0.utf8), disk: stores.disk, options: LocalSiteOptions())
        }
    }

    /// A comparison that writes the baseline.
    private func keep(_ stores: TwoStores) throws {
        var rules = ScanRules(scheme: try DigestScheme(.sha256, blockSize: 64 << 10))
        rules.aspects = ComparisonRules().aspects
        let headers = try sites(stores).map {
            ScanRun($0, rules).header(mounts: .one, owners: .number, host: [], tool: [])
        }
        let state = try stores.state()
        let found = try stores.verify {
            $0.algorithm = .sha256
            $0.plan = {
                $0.rules.keepsRecords = true
                $0.keeping = Keeping(headers, state.manifests, state.baselines)
            }
        }
        #expect(found.status == .ok, "\(found.lines)")
    }

    private struct Made {
        var lines: [String] = []
        var trailer = PlanTrailer()
    }

    /// What a plan from a run would do.
    private func plan(
        _ stores: TwoStores, _ run: TwoStores.Verified, _ authority: Authority,
        _ change: (inout PlanTask) -> Void = { _ in }
    ) throws -> Made {
        let state = try stores.state()
        let sites = try sites(stores)
        let baseline = try state.baselines.find(sites.map { $0.identity })
        let header = PlanHeader(
            stores: sites.map {
                StoreReference(path: $0.facts.path, kind: .directory, identity: $0.identity)
            },
            authority: authority, created: .now, blockSize: 64 << 10,
            aspects: .standard, exclusions: Filter.none.digest)
        var task = PlanTask(
            sites: sites.map { $0 as any Site }, policy: PlanPolicy(authority), header: header,
            comparison: ComparisonRules(),
            limits: RunLimits(work: WorkPolicy(fixed: 2, cores: 2)), scratch: state.folder.scratch)
        task.baseline = authority == .baseline ? baseline : nil
        task.batchSize = 8
        change(&task)
        let file = MemoryFile()
        let controls = RunControls(interruption: { nil }, report: { _, _ in })
        let folder = try RunFolder.open(run.id, in: state.runs)
        let result = try PlanRun(task, controls, of: folder) { file.append($0) }()
        var reader = try PlanReader(hash: frameHash(), chain: frameHash()) { file.read($0, $1) }
        #expect(reader.id == result.id)
        var made = Made(trailer: reader.trailer)
        try reader.forEach { _, action in
            guard action.kind != .settleDirectory || action.changesMetadata else { return }
            made.lines.append(
                "\(action.kind) \(action.side.word) \(escaped(action.path.bytes)): "
                    + action.why.word)
        }
        return made
    }

    private func stores(_ names: [String] = ["d/x", "y"]) -> TwoStores {
        let stores = TwoStores()
        stores.both { root in
            stores.disk.addDirectory("\(root)/d")
            for name in names { stores.disk.addFile("\(root)/\(name)", noise(name)) }
        }
        stores.calm()
        return stores
    }

    private func noise(_ name: String) -> [UInt8] {
        var generator = Seed(UInt64(name.utf8.reduce(0) { $0 &* 31 + Int($1) }))
        return (0..<70_000).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
    }

    @Test func damageIsRepairedFromTheSideThatStillHasWhatWasProven() throws {
        let stores = stores()
        try keep(stores)
        stores.disk.corruptMedium("/b/d/x", .flipBit(at: 66_000))
        stores.disk.evictCache("/b/d/x")
        let run = try stores.verify()
        #expect(run.differences.first?.confirmedFrom == .media, "\(run.lines)")
        let made = try plan(stores, run, .baseline)
        #expect(made.lines == ["write b d/x: damage on B"])
        // The other way round nobody may ask for it.
        let wrong = try plan(stores, run, .b) {
            $0.baseline = try? stores.state().baselines.find(sites(stores).map { $0.identity })
        }
        #expect(wrong.lines == [])
        #expect(wrong.trailer.leftOut.undetermined == 1)
    }

    @Test func bothSidesGetWhatTheOtherEdited() throws {
        let stores = stores(["d/x", "y", "z"])
        try keep(stores)
        stores.disk.write("/a/y", at: 0, "edited")
        stores.disk.change("/a/y", Ownership(mtime: stores.disk.now))
        stores.disk.remove("/b/z")
        stores.disk.addFile("/b/new", "new")
        let run = try stores.verify()
        #expect(
            try plan(stores, run, .baseline).lines == [
                "write a new: edited on B", "write b y: edited on A", "remove a z: edited on B",
            ])
        let lost = try plan(stores, run, .baseline) { $0.suspectEnd.b = .now }
        #expect(
            lost.lines == [
                "write a new: edited on B", "write b y: missed write on B", "write b z: lost on B",
            ])
        let accepted = try plan(stores, run, .baseline) {
            $0.suspectEnd.b = .now
            $0.policy.acceptsDeletions = true
        }
        #expect(accepted.lines.last == "remove a z: lost on B")
    }

    @Test func whatCannotBeReadIsLeftOut() throws {
        let stores = stores()
        stores.disk.addFile("/a/n", noise("n"))
        stores.disk.addFile("/a/o", "o")
        let run = try stores.verify()
        stores.disk.inject(Fault(.fail(EIO), on: .pread, under: "/a/n", persistent: true))
        let made = try plan(stores, run, .a)
        #expect(made.lines == ["write b o: two-way"])
        #expect(made.trailer.leftOut.unreadable == 1)
    }

    @Test func nothingIsDeletedBelowAListingThatWasNotWhole() throws {
        let stores = stores()
        stores.disk.addFile("/b/d/extra", "x")
        stores.disk.addFile("/b/more", "x")
        stores.disk.inject(Fault(.fail(EIO), on: .getdents64, under: "/a/d", persistent: true))
        let run = try stores.verify()
        stores.disk.clearFaults()
        let made = try plan(stores, run, .a)
        #expect(made.lines.contains("remove b more: two-way"), "\(made.lines) \(run.lines)")
        #expect(!made.lines.contains { $0.contains("extra") }, "\(made.lines)")
        #expect(made.trailer.leftOut.count > 0)
        #expect(!made.trailer.isRootIncomplete)
    }

    /// A listing that names something twice, or has no end, says nothing of what is not there.
    @Test(arguments: [true, false])
    func nothingIsDeletedBelowAListingThatCannotBeTrusted(_ isEndless: Bool) throws {
        let stores = stores()
        stores.disk.addFile("/b/d/extra", "x")
        stores.disk.addFile("/b/more", "x")
        stores.disk.addFile("/a/d/new", "new")
        let fault: FaultEffect = isEndless ? .listForever : .listTwice
        stores.disk.inject(Fault(fault, on: .getdents64, under: "/a/d", persistent: true))
        let run = try stores.verify { $0.options = { $0.namesInDirectory = 2000 } }
        stores.disk.clearFaults()
        let made = try plan(stores, run, .a)
        #expect(made.lines.contains("remove b more: two-way"), "\(made.lines) \(run.lines)")
        #expect(!made.lines.contains { $0.contains("extra") }, "\(made.lines)")
        #expect(made.trailer.leftOut.count > 0)
    }

    /// Too deep to be looked into: nothing in it is copied, and nothing of it is deleted.
    @Test func aDirectoryWithAPathTooLongIsLeftOut() throws {
        let stores = stores()
        for root in ["/a", "/b"] {
            stores.disk.addFile("\(root)/dd/dd/dd/dd/in", root)
            stores.disk.addFile("\(root)/dd/dd/dd/\(root.dropFirst())", "side")
        }
        stores.disk.addFile("/b/ee/ee/ee/ee/ee", "deep, and on B alone")
        let run = try stores.verify { $0.options = { $0.directoryPath = 8 } }
        let made = try plan(stores, run, .a)
        #expect(
            made.lines.filter { !$0.hasPrefix("settle") } == [
                "write b dd/dd/dd/a: two-way", "remove b dd/dd/dd/b: two-way",
            ], "\(run.lines)")
        #expect(made.trailer.leftOut.unreadable > 0)
    }

    /// What cannot be read on the target is not called different. Moved out of the way, it is
    /// missing, and comes from the source.
    @Test func whatCannotBeReadOnTheTargetIsReplacedOnceItIsMovedAway() throws {
        let stores = stores()
        stores.disk.addFile("/a/n", "new")
        stores.disk.inject(Fault(.fail(EIO), on: .pread, under: "/b/y", persistent: true))
        let run = try stores.verify()
        #expect(run.lines.contains { $0.hasPrefix("! y ") }, "\(run.lines)")
        let made = try plan(stores, run, .a)
        #expect(made.lines == ["write b n: two-way"])
        #expect(made.trailer.leftOut.unreadable == 1)
        stores.disk.rename("/b/y", to: "/b/.resync-bad")
        stores.disk.clearFaults()
        let repair = try plan(stores, try stores.verify(), .a)
        #expect(repair.lines == ["write b n: two-way", "write b y: two-way"])
    }

    @Test func aRootThatCouldNotBeListedIsSaid() throws {
        let stores = stores()
        stores.disk.addFile("/b/extra", "x")
        stores.disk.inject(Fault(.fail(EIO), on: .getdents64, under: "/a"))
        let run = try stores.verify()
        stores.disk.clearFaults()
        let made = try plan(stores, run, .a)
        #expect(!made.lines.contains { $0.hasPrefix("remove") }, "\(made.lines)")
        #expect(made.trailer.isRootIncomplete)
    }

    /// What was planned for is what is there now, not what was there when it was compared.
    @Test func whatAgreesByNowNeedsNothing() throws {
        let stores = stores()
        stores.disk.addFile("/a/n", "n")
        stores.disk.addFile("/a/o", "o")
        let run = try stores.verify()
        stores.disk.remove("/a/n")
        stores.disk.addFile("/b/o", "o")
        stores.disk.change("/b/o", Ownership(mtime: stores.disk.peek("/a/o").mtime))
        #expect(try plan(stores, run, .a).lines == [])
    }

    /// More differences than are looked at together, below one directory that goes as a whole.
    @Test func aLargeDirectoryGoesFromTheInside() throws {
        let stores = stores()
        stores.disk.addDirectory("/b/gone")
        stores.disk.addDirectory("/b/gone/deep")
        for index in 0..<5000 { stores.disk.addFile("/b/gone/deep/f\(index)", "") }
        stores.disk.addFile("/b/gone/last", "")
        let run = try stores.verify { $0.plan = { $0.confirmPasses = 1 } }
        let made = try plan(stores, run, .a)
        #expect(made.lines.count == 5003)
        #expect(made.trailer.totals.b.deletes == 5003)
        #expect(
            made.lines.suffix(3).map { $0.split(separator: ":")[0] } == [
                "removeDirectory b gone/deep", "remove b gone/last", "removeDirectory b gone",
            ])
    }

    @Test func directoriesAndFilesTakeEachOthersPlace() throws {
        let stores = stores()
        stores.disk.addDirectory("/a/p")
        stores.disk.addFile("/a/p/in", "in")
        stores.disk.addFile("/b/p", "file")
        stores.disk.addFile("/a/q", "file")
        stores.disk.addDirectory("/b/q")
        stores.disk.addFile("/b/q/in", "in")
        let run = try stores.verify()
        #expect(
            try plan(stores, run, .a).lines == [
                "makeDirectory b p: two-way", "write b p/in: two-way", "remove b q/in: two-way",
                "removeDirectory b q: two-way", "write b q: two-way",
            ])
    }

    /// By its device's number alone a store is told from a copy of that device. And a clock that
    /// was wrong proves nothing.
    @Test func aCopyOfADeviceIsAnotherStore() throws {
        func identity(_ fileSystem: UInt64, device: UInt32) -> StoreIdentity {
            StoreIdentity(
                fileSystem: fileSystem, inode: 2, device: DeviceNumber(major: 8, minor: device))
        }
        let folder = try Folder.make(path: Array("/baselines".utf8), disk: SimulatedDisk())
        let baselines = Baselines(folder)
        func prove(_ identities: Sides<StoreIdentity>, at time: Timestamp) throws {
            let header = BaselineHeader(
                identities: identities, blockSize: 64 << 10, exclusions: .zero, written: .now)
            let stat = Stat(type: .file, size: 1)
            let witness = BaselineRecord.Witness(stat)
            var updates = [
                BaselineUpdate.set(
                    BaselineRecord(
                        path: RelativePath([0x66]),
                        agreed: ObservedEntry(entry: Entry(stat: stat)),
                        witnesses: Sides(a: witness, b: witness), aspects: .standard, level: .hash,
                        time: time))
            ][...]
            _ = try baselines.update(header) { updates.popFirst() }
        }
        func count(_ identities: Sides<StoreIdentity>) throws -> Int? {
            var records = try baselines.find(identities)?.records()
            var count = 0
            while try records?.next() != nil { count += 1 }
            return records == nil ? nil : count
        }
        let pair = Sides(a: identity(7, device: 1), b: identity(9, device: 2))
        try prove(pair, at: .now)
        #expect(try count(pair) == 1 && count(pair.swapped) == 1)
        #expect(try baselines.all(of: pair.b, as: .a).count == 1)
        for copy in [Sides(a: identity(7, device: 3), b: pair.b), Sides(a: pair.a, b: pair.a)] {
            #expect(try count(copy) == nil)
        }
        #expect(try baselines.all(of: identity(9, device: 3), as: .a).isEmpty)

        let twins = Sides(a: identity(5, device: 1), b: identity(5, device: 2))
        try prove(twins, at: .now.adding(seconds: 3600))
        #expect(try count(twins) == 0, "of a time that is still to come")
        try prove(twins, at: .now)
        #expect(try count(twins.swapped) == 1)
        #expect(try count(Sides(a: twins.a, b: identity(5, device: 3))) == nil)
        #expect(try baselines.all(of: twins.a, as: .a).count == 1)
    }

    /// Every call after the Nth fails, and then the power does: the baseline is the old or the new.
    @Test func theBaselineSurvivesEveryFault() throws {
        let identities = Sides(
            a: StoreIdentity(fileSystem: 1, inode: 2), b: StoreIdentity(fileSystem: 3, inode: 4))
        let header = BaselineHeader(
            identities: identities, blockSize: 64 << 10, exclusions: .zero, written: .now)
        func record(_ name: String) -> BaselineUpdate {
            let stat = Stat(type: .file, size: 1)
            let witness = BaselineRecord.Witness(stat)
            return .set(
                BaselineRecord(
                    path: RelativePath(Array(name.utf8)),
                    agreed: ObservedEntry(entry: Entry(stat: stat)),
                    witnesses: Sides(a: witness, b: witness), aspects: .standard, level: .hash,
                    time: .now))
        }
        func update(_ disk: SimulatedDisk, _ name: String) throws {
            var updates = [record(name)][...]
            let folder = try Folder.make(path: Array("/baselines".utf8), disk: disk)
            _ = try Baselines(folder).update(header) { updates.popFirst() }
        }
        func names(_ disk: SimulatedDisk) throws -> [String] {
            let folder = try Folder.make(path: Array("/baselines".utf8), disk: disk)
            var records = try Baselines(folder).find(identities)?.records()
            var names: [String] = []
            while let record = try records?.next() { names.append(escaped(record.path.bytes)) }
            return names
        }
        for stop in 1... {
            let disk = SimulatedDisk()
            try update(disk, "a")
            disk.inject(Fault(.fail(EIO), nth: stop, persistent: true))
            let isDone = (try? update(disk, "b")) != nil
            for seed in 0..<20 as Range<UInt64> {
                let found = try names(disk.crash(keeping: .random, seed: seed))
                #expect(
                    found == ["a", "b"] || (!isDone && found == ["a"]), "call \(stop), \(seed)")
            }
            if isDone {
                #expect(stop > 8)
                return
            }
        }
    }

    @Test func decisionsOutliveTheRun() throws {
        let stores = stores()
        stores.disk.addFile("/a/n", "n")
        let verified = try stores.verify()
        let run = try RunFolder.open(verified.id, in: try stores.state().runs)
        #expect(try run.decisions().isEmpty)
        let at = RelativePath(Array("d".utf8))
        for ruling in [Decision.Ruling.accept(.b), .open, .accept(.a)] {
            try run.add(
                Decision(path: at, ruling: ruling, who: [0xff], when: .now, reason: [0x0a]))
        }
        let decisions = try run.decisions()
        #expect(decisions.all.map { $0.ruling } == [.accept(.b), .open, .accept(.a)])
        #expect(decisions.winner(RelativePath(Array("d/x".utf8))) == .a)
        #expect(decisions.winner(RelativePath(Array("dx".utf8))) == nil)
    }
}

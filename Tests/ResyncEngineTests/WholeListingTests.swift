import Glibc
import ResyncCore
import ResyncStorage
import TestSupport
import Testing

@testable import ResyncEngine

/// A directory whose listing is not whole, or not of one moment, is never called in sync: not by a
/// run that goes on after a stop either.
@Suite struct WholeListingTests {
    private static let names = (100..<140).map { "\($0)" }

    /// A's `d` has five names more.
    private static func stores() -> TwoStores {
        let stores = TwoStores()
        stores.both { root in
            for name in names { stores.disk.addFile("\(root)/d/\(name)", "text") }
            stores.disk.addFile("\(root)/e", "text")
        }
        for index in 1...5 { stores.disk.addFile("/a/d/0\(index)", "only on A") }
        stores.calm()
        return stores
    }

    /// Raised once a file is read; never where none is given.
    private func flag(raisedAt path: String?, of stores: TwoStores) -> Flag {
        let flag = Flag()
        guard let path else { return flag }
        stores.disk.onCall { call in
            guard call.kind == .pread, call.path == Array(path.utf8) else { return }
            flag.raise()
            usleep(60_000)
        }
        return flag
    }

    /// Stops a comparison once it read a file; goes on with one that is given.
    private func verify(
        _ stores: TwoStores, resuming id: String? = nil, stopAt path: String? = nil,
        options: @escaping @Sendable (inout LocalSiteOptions) -> Void = { _ in },
        interval: Double = 30
    ) throws -> TwoStores.Verified {
        let flag = flag(raisedAt: path, of: stores)
        defer { stores.disk.onCall(nil) }
        return try stores.verify {
            $0.workers = 1
            $0.options = options
            $0.interruption = { flag.isUp ? SIGINT : nil }
            $0.resumes = id != nil
            $0.id = id ?? "run"
            $0.plan = {
                $0.checkpointInterval = interval
                $0.scope.batchSize = 2
            }
        }
    }

    private func scan(
        _ stores: TwoStores, in run: RunFolder, stopAt path: String? = nil,
        options: @escaping @Sendable (inout LocalSiteOptions) -> Void = { _ in }
    ) throws -> TwoStores.KeptScan {
        let flag = flag(raisedAt: path, of: stores)
        defer { stores.disk.onCall(nil) }
        return try stores.scan(
            in: run, workers: 1, interruption: { flag.isUp ? SIGINT : nil }, options: options)
    }

    private func trouble(_ found: TwoStores.Verified) -> [String] {
        found.lines.filter { !$0.hasPrefix("=") }
    }

    // MARK: Going on after a stop

    @Test func whatCouldNotBeListedBeforeTheStopStaysUnreadable() throws {
        let stores = Self.stores()
        stores.disk.inject(Fault(.fail(EIO), on: .getdents64, under: "/a/d", persistent: true))
        var found = try verify(stores, stopAt: "/a/d/110")
        #expect(found.summary.ending == .interrupted(SIGINT))
        #expect(trouble(found) == ["! d !a:getdents64:EIO"])
        stores.disk.clearFaults()
        // However often it goes on.
        found = try verify(stores, resuming: found.id, stopAt: "/a/d/120", interval: 0)
        #expect(found.summary.ending == .interrupted(SIGINT))
        found = try verify(stores, resuming: found.id)
        #expect(trouble(found) == ["! d !a:getdents64:EIO"], "\(trouble(found))")
        #expect(found.status == .trouble && found.tally.unreadable == 1)
        #expect(found.summary.verdict == "NOT VERIFIED")
    }

    /// That a name comes twice shows only when sorted portions are merged.
    @Test func whatShowsInTheMiddleOfAListingIsKnownAfterAStop() throws {
        let stores = Self.stores()
        stores.disk.inject(Fault(.listTwice, on: .getdents64, under: "/a/d", persistent: true))
        let found = try verify(stores, stopAt: "/a/d/130", options: { $0.namesInMemory = 16 })
        #expect(found.summary.ending == .interrupted(SIGINT))
        stores.disk.clearFaults()
        let end = try verify(stores, resuming: found.id)
        #expect(trouble(end).contains("! d (brokenDirectory)"), "\(trouble(end))")
        #expect(end.status == .trouble)
    }

    @Test func aCheckpointOfAnEarlierFormatIsRefused() throws {
        var writer = ByteWriter()
        writer.byte(1)
        var reader = ByteReader(writer.bytes)
        #expect(throws: FormatError.self) { try reader.checkpoint() }
    }

    @Test func aScanKeepsTheWorseOfWhatItWasTold() throws {
        let stores = Self.stores()
        let run = try stores.newRun()
        // The rest of the names is not given.
        stores.disk.inject(
            Fault(.fail(EIO), on: .getdents64, under: "/a/d", nth: 2, persistent: true))
        for index in 0..<2000 { stores.disk.addFile("/a/d/long-name-\(index)", "x") }
        let first = try scan(stores, in: run, stopAt: "/a/d/long-name-11")
        #expect(first.trailer == nil)
        stores.disk.clearFaults()
        let trailer = try #require(try scan(stores, in: run).trailer)
        #expect(trailer.root == nil && !trailer.isWhole && !trailer.counts.isWhole)
        #expect(trailer.counts.incompleteDirectories == 1)
    }

    @Test func aScanKnowsAfterAStopWhatShowedInTheMiddleOfAListing() throws {
        let stores = Self.stores()
        let run = try stores.newRun()
        stores.disk.inject(Fault(.listTwice, on: .getdents64, under: "/a/d", persistent: true))
        let first = try scan(
            stores, in: run, stopAt: "/a/d/130", options: { $0.namesInMemory = 16 })
        #expect(first.trailer == nil)
        stores.disk.clearFaults()
        let trailer = try #require(try scan(stores, in: run).trailer)
        #expect(trailer.root == nil && trailer.counts.incompleteDirectories == 1)
    }

    // MARK: What happens after the listing

    /// Does something to the stores when a file is read.
    private func verify(
        _ stores: TwoStores, workers: Int = 1, at path: String = "/a/q/d/3",
        plan: @escaping (inout VerifyPlan) -> Void = { _ in },
        _ body: @escaping @Sendable (SimulatedDisk) -> Void
    ) throws -> TwoStores.Verified {
        let seen = Counter()
        stores.disk.onCall { [weak disk = stores.disk] call in
            guard let disk, call.kind == .pread, call.path == Array(path.utf8) else { return }
            if seen.next() == 1 {
                // Later than what was there, as it would be.
                disk.advance(seconds: 1)
                body(disk)
            }
        }
        defer { stores.disk.onCall(nil) }
        return try stores.verify {
            $0.workers = workers
            $0.plan = {
                $0.scope.batchSize = 1
                plan(&$0)
            }
        }
    }

    private static func nested() -> TwoStores {
        let stores = TwoStores()
        stores.both { root in
            for name in ["1", "2", "3", "4"] { stores.disk.addFile("\(root)/q/d/\(name)", name) }
            stores.disk.addFile("\(root)/q/z", "z")
            stores.disk.addFile("\(root)/top", "top")
        }
        stores.calm()
        return stores
    }

    @Test(arguments: [1, 4]) func aDirectoryThatIsMovedAwayMeanwhileIsNotInSync(
        _ workers: Int
    ) throws {
        let found = try verify(Self.nested(), workers: workers) {
            $0.rename("/a/q/d", to: "/a/q/moved")
        }
        #expect(trouble(found).contains("~ q (changing)"), "\(found.lines)")
        #expect(found.status == .unconfirmed && found.summary.verdict == "NOT VERIFIED")
    }

    @Test func aNameThatTakesAnothersPlaceMeanwhileIsNotInSync() throws {
        let found = try verify(Self.nested()) { disk in
            disk.remove("/a/q/d/1")
            disk.addFile("/a/q/d/0", "new")
        }
        #expect(trouble(found) == ["~ q/d (changing)"], "\(found.lines)")
        #expect(found.status == .unconfirmed && found.tally.unstable == 1)
        let both = try verify(Self.nested()) { disk in
            for root in ["/a", "/b"] { disk.addFile("\(root)/q/d/0", "new") }
        }
        #expect(trouble(both) == ["~ q/d (changing)"] && both.tally.unstable == 1)
    }

    /// As many programs save what they edit, and as temporary files come and go.
    @Test func aFileThatTakesItsOwnPlaceMovesNothing() throws {
        let found = try verify(Self.nested()) { disk in
            for root in ["/a", "/b"] {
                disk.addFile("\(root)/q/d/new", "saved")
                disk.rename("\(root)/q/d/new", to: "\(root)/q/d/1")
                disk.addFile("\(root)/q/d/tmp", "x")
                disk.remove("\(root)/q/d/tmp")
            }
        }
        #expect(!trouble(found).contains("~ q/d (changing)"), "\(found.lines)")
    }

    /// A large file that many workers read keeps its directory from ending.
    @Test func aDirectoryEndsAfterItsLastFile() throws {
        let stores = TwoStores()
        stores.both { stores.disk.addGenerated("\($0)/q/d/3", size: 24 << 20, seed: 1) }
        stores.calm()
        let found = try verify(stores, workers: 8) { disk in
            usleep(50_000)
            disk.rename("/a/q/d", to: "/a/q/moved")
        }
        #expect(trouble(found).contains("~ q (changing)"), "\(found.lines)")
    }

    @Test func whatResyncKeepsInTheRootMovesNothing() throws {
        let found = try verify(Self.nested()) { $0.addFile("/a/.resync-probe", "x") }
        #expect(trouble(found) == [] && found.status == .ok)
        let other = try verify(Self.nested()) { disk in
            disk.addFile("/a/.resync-probe", "x")
            disk.addFile("/a/new", "x")
        }
        #expect(trouble(other) == ["~  (changing)"])
        let replaced = try verify(Self.nested()) { $0.rename("/a/top", to: "/a/toq") }
        #expect(trouble(replaced).contains("~  (changing)"))
    }

    /// Nor does what nobody asked for.
    @Test func whatIsLeftOutMovesNothing() throws {
        var filter = Filter()
        try filter.add(rule: Array("*.tmp".utf8))
        let found = try verify(Self.nested(), plan: { $0.scope.filter = filter }) {
            $0.addFile("/a/q/d/x.tmp", "x")
        }
        #expect(trouble(found) == [] && found.status == .ok)
        let within = Selection([RelativePath(Array("q/d".utf8))])
        let part = try verify(Self.nested(), plan: { $0.scope.within = within }) {
            $0.addFile("/a/q/new", "x")
        }
        #expect(trouble(part) == [] && part.status == .ok)
        let inside = try verify(Self.nested(), plan: { $0.scope.within = within }) {
            $0.addFile("/a/q/d/new", "x")
        }
        #expect(trouble(inside) == ["~ q/d (changing)"])
    }

    @Test func aDirectoryThatCannotBeLookedAtAgainIsUnreadable() throws {
        let found = try verify(Self.nested()) {
            $0.inject(Fault(.fail(EIO), on: .statx, under: "/b/q/d", persistent: true))
        }
        #expect(trouble(found).contains("! q/d !b:statx:EIO"), "\(found.lines)")
        #expect(found.status == .trouble)
    }

    @Test func aScanSaysWhatMovedAfterItsListing() throws {
        let stores = Self.nested()
        let seen = Counter()
        stores.disk.onCall { [weak disk = stores.disk] call in
            guard let disk, call.kind == .pread, call.path == Array("/a/q/d/4".utf8) else { return }
            if seen.next() == 1 {
                disk.advance(seconds: 1)
                disk.rename("/a/q/d", to: "/a/q/moved")
            }
        }
        let trailer = try #require(try stores.scan(in: try stores.newRun(), workers: 1).trailer)
        #expect(trailer.root == nil && trailer.counts.incompleteDirectories == 1)
    }

    // MARK: Rules for directories, and names that are given

    /// `foo` is a directory on A and a file on B; `bar` the other way round.
    private static func mixed() -> TwoStores {
        let stores = TwoStores()
        for (root, other) in [("/a", "/b"), ("/b", "/a")] {
            let (folder, file) = root == "/a" ? ("foo", "bar") : ("bar", "foo")
            stores.disk.addFile("\(root)/\(folder)/x", "in it")
            stores.disk.addFile("\(root)/\(file)", "a file")
            stores.disk.addFile("\(root)/same", "same")
            stores.disk.addDirectory("\(root)/both")
            #expect(root != other)
        }
        stores.calm()
        return stores
    }

    @Test func aRuleForDirectoriesHidesNoFile() throws {
        for rules in [["foo/", "bar/"], ["*/"]] {
            var filter = Filter()
            for rule in rules { try filter.add(rule: Array(rule.utf8)) }
            let found = try Self.mixed().verify { $0.plan = { $0.scope.filter = filter } }
            #expect(
                trouble(found) == ["- bar existence", "+ foo existence"]
                    || trouble(found) == ["+ bar existence", "- foo existence"],
                "\(found.lines)")
            #expect(found.tally.missingOnA == 1 && found.tally.missingOnB == 1)
            #expect(found.tally.confirmed == 2 && found.status == .differences)
            #expect(found.tally.excluded == (rules.count == 1 ? 3 : 2))
        }
    }

    @Test func rulesHoldForNamesThatAreGiven() throws {
        func verify(
            _ rules: [String], _ names: [String], _ stores: TwoStores = Self.mixed()
        ) throws -> TwoStores.Verified {
            var filter = Filter()
            for rule in rules { try filter.add(rule: Array(rule.utf8)) }
            return try stores.verify {
                $0.plan = {
                    $0.rules.namesAreGiven = true
                    $0.scope.filter = filter
                    $0.scope.selection = Selection(names.map { RelativePath(Array($0.utf8)) })
                }
            }
        }
        let nested = Self.nested()
        nested.disk.write("/a/q/d/3", at: 0, "X")
        nested.disk.write("/a/q/z", at: 0, "X")
        nested.disk.addFile("/a/.resync-x", "own")
        let given = ["q/d/3", "q/d/4", "q/z", "top", ".resync-x"]
        var found = try verify(["d/"], given, nested)
        #expect(found.lines == ["* q/z content mtime 0+1 bitflip", "= top"], "\(found.lines)")
        #expect(found.tally.excluded == 3 && found.status == .differences)
        found = try verify(["/q/z", "3"], given, nested)
        #expect(found.lines == ["= q/d/4", "= top"], "\(found.lines)")
        #expect(found.tally.excluded == 3 && found.status == .ok)
        // A rule for directories leaves files of that name alone, on the side where they are.
        found = try verify(["top/"], given, nested)
        #expect(found.lines.contains("= top") && found.tally.excluded == 1)
        found = try verify(["foo/", "both/"], ["foo", "both", "foo/x", "same"])
        #expect(found.tally.missingOnA == 1 && found.tally.confirmed == 1, "\(found.lines)")
        #expect(found.lines.contains("= same") && found.tally.excluded == 2)
    }
}

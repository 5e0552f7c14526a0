import ResyncCore
import ResyncStorage
import TestSupport
import Testing

@testable import ResyncEngine

/// What an earlier run kept stands for a reading where the file is the same object with the same
/// size, mtime and ctime.
@Suite struct KeptDigestsTests {
    private static let names = (0..<12).map { "d/f\($0)" } + ["large", "small"]

    private func stores() -> TwoStores {
        let stores = TwoStores()
        stores.both { root in
            for (index, name) in Self.names.enumerated() {
                let size = name == "large" ? 9 << 20 : 3000 + index
                stores.disk.addGenerated("\(root)/\(name)", size: size, seed: UInt64(index))
            }
        }
        stores.calm()
        return stores
    }

    private func sites(_ stores: TwoStores) throws -> Sides<LocalSite> {
        try Sides(a: "/a", b: "/b").map {
            try LocalSite(path: Array($0.utf8), disk: stores.disk, options: LocalSiteOptions())
        }
    }

    /// A run that keeps what it finds.
    private func keep(_ stores: TwoStores) throws -> TwoStores.Verified {
        var rules = ScanRules(scheme: try DigestScheme(.sha256, blockSize: 64 << 10))
        rules.aspects = ComparisonRules().aspects
        let headers = try sites(stores).map {
            ScanRun($0, rules).header(mounts: .one, owners: .number, host: [], tool: [])
        }
        let manifests = try stores.state().manifests
        return try stores.verify {
            $0.algorithm = .sha256
            $0.plan = {
                $0.rules.keepsRecords = true
                $0.keeping = Keeping(headers, manifests)
            }
        }
    }

    private func cached(
        _ stores: TwoStores, confirmPasses: Int = 1
    ) throws -> TwoStores.Verified {
        let manifests = try stores.state().manifests
        let kept = try sites(stores).map { try manifests.find($0.identity) }
        try #require(kept.a != nil && kept.b != nil)
        return try stores.verify {
            $0.algorithm = .sha256
            $0.plan = {
                $0.rules.kept = kept
                $0.confirmPasses = confirmPasses
            }
        }
    }

    private func bytesRead(_ stores: TwoStores) -> [String: Int] {
        var found: [String: Int] = [:]
        for root in ["/a", "/b"] {
            for name in Self.names {
                found["\(root)/\(name)"] = stores.disk.bytesRead("\(root)/\(name)")
            }
        }
        return found
    }

    @Test func nothingUnchangedIsOpened() throws {
        let stores = stores()
        #expect(try keep(stores).status == .ok)
        let before = (bytesRead(stores), stores.disk.count(.openat))
        let found = try cached(stores)
        #expect(found.status == .ok, "\(found.lines)")
        #expect(bytesRead(stores) == before.0)
        #expect(found.tally.bytesRead == 0)
        let total = Self.names.reduce(0) { $0 + stores.disk.peek("/a/\($1)").size }
        #expect(found.tally.bytesByAssurance == [.cached: total])
        #expect(stores.disk.count(.openat, "/a/large") == 1, "only when it was kept")
    }

    enum Change: CaseIterable {
        case size, mtime, ctime, inode, mtimeBack, nothing
    }

    /// One property alone is moved, on both sides, and the bytes stay equal: the file is read, and
    /// no other.
    @Test(arguments: Change.allCases, ["d/f3", "large"])
    func eachPropertyCountsAlone(_ change: Change, _ name: String) throws {
        let stores = stores()
        #expect(try keep(stores).status == .ok)
        for root in ["/a", "/b"] {
            let path = "\(root)/\(name)"
            let old = stores.disk.peek(path)
            let calm = old.mtime
            var given = Ownership(mtime: old.mtime, ctime: old.ctime)
            switch change {
            case .size: stores.disk.truncate(path, to: old.size - 1)
            case .mtime: given.mtime = calm.adding(seconds: 1)
            case .mtimeBack: given.mtime = calm.adding(seconds: -1_000_000)
            case .ctime: given.ctime?.nanoseconds += 1
            case .inode: given.inode = 1_000_000
            case .nothing: break
            }
            stores.disk.change(path, given)
        }
        let before = bytesRead(stores)
        let found = try cached(stores)
        #expect(found.status == .ok, "\(found.lines)")
        for (path, count) in bytesRead(stores) {
            let isMeant = change != .nothing && path.hasSuffix("/" + name)
            let size = stores.disk.peek(path).size
            #expect(count - (before[path] ?? 0) == (isMeant ? size : 0), "\(path)")
        }
        let read = change == .nothing ? 0 : stores.disk.peek("/a/\(name)").size
        #expect(found.tally.bytesRead == 2 * read)
        #expect(found.tally.bytesByAssurance[.hash] ?? 0 == read)
    }

    /// The rest of its batch is opened, and one of these moves at that moment.
    @Test func aFileThatMovesAfterTheLookIsRead() throws {
        for victim in ["d/f1", "d/f5"] {
            let stores = stores()
            #expect(try keep(stores).status == .ok)
            for root in ["/a", "/b"] {
                stores.disk.change("\(root)/d/f3", Ownership(mtime: TwoStores.calmTime))
            }
            let path = Array("/b/\(victim)".utf8)
            let disk = stores.disk
            let opened = Counter()
            disk.onCall { call in
                guard call.kind == .openat, call.path == path, opened.next() == 1 else { return }
                disk.write(path, at: 100, "changed")
                disk.change(path, Ownership(mtime: TwoStores.calmTime))
            }
            let found = try cached(stores)
            disk.onCall(nil)
            #expect(opened.count > 0, "\(victim) was never opened")
            #expect(!found.lines.contains("= \(victim)"), "\(found.lines)")
            #expect(found.status != .ok)
        }
    }

    /// What the medium lost without a trace in the stat `cached` cannot see, and `hash` can.
    @Test func levelsAreNotMixedUp() throws {
        let stores = stores()
        #expect(try keep(stores).status == .ok)
        stores.disk.corruptMedium("/b/small", .flipBit(at: 7))
        stores.disk.evictCache("/b/small")
        let found = try cached(stores)
        #expect(found.status == .ok)
        #expect(found.tally.bytesByAssurance[.hash] == nil)
        #expect(try stores.verify().lines.contains { $0.hasPrefix("* small content") })
    }

    /// What could not be read, or moved while it was read, is not kept.
    @Test func doubtfulReadingsAreNotKept() throws {
        let stores = stores()
        stores.disk.inject(
            Fault(.fail(5), on: .pread, under: "/a/d/f2", persistent: true))
        let disk = stores.disk
        let moved = Counter()
        disk.onCall { call in
            guard call.kind == .pread, call.path == Array("/b/small".utf8), moved.next() == 1 else {
                return
            }
            disk.change("/b/small", Ownership(mtime: TwoStores.calmTime))
        }
        #expect(try keep(stores).status == .trouble)
        disk.onCall(nil)
        disk.clearFaults()
        let before = bytesRead(stores)
        #expect(try cached(stores).status == .ok)
        let after = bytesRead(stores)
        let read = Set(after.keys.filter { after[$0] != before[$0] })
        #expect(read == ["/a/d/f2", "/b/d/f2", "/a/small", "/b/small"])
    }

    /// What vanished since, or is new, is seen by the listing.
    @Test func keptEntriesDoNotHideNames() throws {
        let stores = stores()
        #expect(try keep(stores).status == .ok)
        stores.disk.remove("/b/d/f4")
        stores.disk.addFile("/a/d/new", "x")
        stores.disk.remove("/b/d/f6")
        stores.disk.addSymlink("/b/d/f6", to: "f7")
        let lines = try cached(stores).lines
        #expect(lines.contains("+ d/f4 existence"), "\(lines)")
        #expect(lines.contains("+ d/new existence"), "\(lines)")
        #expect(lines.contains { $0.hasPrefix("* d/f6 type") }, "\(lines)")
    }
}

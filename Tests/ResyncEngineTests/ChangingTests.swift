import Glibc
import ResyncCore
import ResyncStorage
import TestSupport
import Testing

@testable import ResyncEngine

/// Stores that services go on writing to while they are compared.
@Suite struct ChangingTests {
    /// Does something once, just before the first call that fits.
    private static func once(
        _ disk: SimulatedDisk, before kind: SystemCall, _ path: String, nth: Int = 1,
        _ body: @escaping @Sendable (SimulatedDisk) -> Void
    ) {
        let seen = Counter()
        disk.onCall { [weak disk] call in
            guard let disk, call.kind == kind, call.path == Array(path.utf8) else { return }
            if seen.next() == nth { body(disk) }
        }
    }

    private static func stores(size: Int = 200_000) -> TwoStores {
        let stores = TwoStores()
        stores.both { root in
            stores.disk.addGenerated("\(root)/d/f", size: size, seed: 1)
            stores.disk.addFile("\(root)/d/g", "same")
        }
        stores.calm()
        return stores
    }

    /// What befalls `/a/d/f` between its listing and its end.
    enum Event: String, CaseIterable, Sendable {
        case grows, shrinks, isRewritten, isReplaced, vanishes, becomesDirectory, becomesSymlink
        case becomesFifo

        func happen(_ disk: SimulatedDisk) {
            let path = "/a/d/f"
            switch self {
            case .grows: disk.write(path, at: disk.peek(path).size, "more")
            case .shrinks: disk.truncate(path, to: 10)
            case .isRewritten: disk.write(path, at: 0, "X")
            case .isReplaced:
                disk.addGenerated("/a/d/new", size: 200_000, seed: 2)
                disk.rename("/a/d/new", to: path)
            case .vanishes: disk.remove(path)
            case .becomesDirectory:
                disk.remove(path)
                disk.addFile(path + "/x", "1")
            case .becomesSymlink:
                disk.remove(path)
                disk.addSymlink(path, to: "g")
            case .becomesFifo:
                disk.remove(path)
                disk.addFifo(path)
            }
        }
    }

    @Test(arguments: Event.allCases, [SystemCall.openat, .statx, .pread])
    func whatChangesUnderTheReaderIsNeverSame(_ event: Event, _ call: SystemCall) throws {
        for confirms in 0...2 {
            // Before the first statx the file is what it then is.
            for nth in (call == .statx ? 2 : 1)...2 {
                let stores = Self.stores()
                Self.once(stores.disk, before: call, "/a/d/f", nth: nth) { event.happen($0) }
                let found = try stores.verify {
                    $0.plan = { $0.confirmPasses = confirms }
                    $0.workers = 1
                }
                guard stores.disk.count(call, "/a/d/f") >= nth else { continue }
                #expect(!found.lines.contains("= d/f"), "\(nth) \(confirms): \(found.lines)")
                #expect(found.status != .ok)
                #expect(found.lines.contains("= d/g"))
                #expect(stores.openAfterwards() == 0)
                if event == .becomesFifo { #expect(stores.disk.count(.openat, "/a/d/f") <= 2) }
            }
        }
    }

    @Test func whatChangedAndAgreesAgainIsReadWhole() throws {
        let stores = Self.stores()
        Self.once(stores.disk, before: .pread, "/a/d/f", nth: 2) { disk in
            for root in ["/a", "/b"] {
                disk.write("\(root)/d/f", at: 0, "X")
                disk.change("\(root)/d/f", Ownership(mtime: TwoStores.calmTime))
            }
        }
        let found = try stores.verify { $0.workers = 1 }
        #expect(found.lines.contains("= d/f") && found.status == .ok)
        #expect(found.tally.bytesByAssurance == [.hash: 4, .media: 200_000])
        #expect(found.tally.unstable == 0 && found.tally.same == 3)
        #expect(try stores.verify { $0.plan = { $0.confirmPasses = 0 } }.status == .ok)
    }

    @Test func aNewNameIsFoundOrTheDirectoryIsUnstable() throws {
        for nth in 1...4 {
            let stores = Self.stores()
            Self.once(stores.disk, before: .getdents64, "/a/d", nth: nth) { disk in
                disk.addFile("/a/d/new", "1")
            }
            let found = try stores.verify()
            let wasThere = nth <= 2
            #expect(found.lines.contains { $0.hasPrefix("+ d/new") } == wasThere)
            #expect(found.status == (wasThere ? .differences : .ok))
        }
    }

    @Test func aDirectoryThatNeverRestsIsUnstable() throws {
        let stores = Self.stores()
        stores.disk.onCall { [weak disk = stores.disk] call in
            guard let disk, call.kind == .getdents64, call.path.starts(with: Array("/a/d".utf8))
            else {
                return
            }
            disk.change("/a/d", Ownership(mtime: disk.now))
        }
        let found = try stores.verify()
        #expect(found.lines.contains("~ d (changing)") && found.tally.unstable > 0)
        #expect(found.status != .ok)
    }

    /// Both sides lose a directory to a file between listing and opening it.
    @Test(arguments: [0, 1, 2]) func aDirectoryThatBecomesAFileIsReadAsOne(
        _ confirms: Int
    ) throws {
        for isEqual in [true, false] {
            let stores = Self.stores()
            Self.once(stores.disk, before: .statx, "/a/d") { disk in
                for root in ["/a", "/b"] {
                    disk.remove("\(root)/d")
                    disk.addFile("\(root)/d", root == "/a" || isEqual ? "one" : "two")
                    disk.change("\(root)/d", Ownership(mtime: TwoStores.calmTime))
                    disk.change(root, Ownership(mtime: TwoStores.calmTime))
                }
            }
            let found = try stores.verify {
                $0.plan = { $0.confirmPasses = confirms }
                $0.workers = 1
            }
            let isSame = found.lines.contains("= d")
            #expect(isSame == (isEqual && confirms > 0), "\(confirms) \(isEqual) \(found.lines)")
            if !isSame { #expect(found.status != .ok) }
        }
    }

    /// What was listed as something else and is a file on both sides by the time it is looked at.
    @Test(arguments: [EntryType.symlink, .fifo]) func whatBecomesAFileIsReadAsOne(
        _ type: EntryType
    ) throws {
        for isEqual in [true, false] {
            let stores = TwoStores()
            stores.both { root in
                type == .fifo
                    ? stores.disk.addFifo("\(root)/x")
                    : stores.disk.addSymlink("\(root)/x", to: "y")
            }
            stores.calm()
            Self.once(stores.disk, before: .statx, "/a/x") { disk in
                for root in ["/a", "/b"] {
                    disk.remove("\(root)/x")
                    disk.addFile("\(root)/x", root == "/a" || isEqual ? "one" : "two")
                    disk.change("\(root)/x", Ownership(mtime: TwoStores.calmTime))
                    disk.change(root, Ownership(mtime: TwoStores.calmTime))
                }
            }
            let found = try stores.verify { $0.workers = 1 }
            #expect(found.lines.contains("= x") == isEqual)
            #expect((found.status == .ok) == isEqual)
        }
    }

    /// Files on both sides become directories, with different entries, while they are looked at.
    @Test(arguments: [0, 1, 2]) func whatBecomesADirectoryIsNotSame(_ confirms: Int) throws {
        let stores = TwoStores()
        stores.both { stores.disk.addFile("\($0)/x", "1") }
        stores.calm()
        Self.once(stores.disk, before: .openat, "/a/x") { disk in
            for root in ["/a", "/b"] {
                disk.remove("\(root)/x")
                disk.addFile("\(root)/x/\(root == "/a" ? "one" : "two")", "1")
                disk.change("\(root)/x", Ownership(mode: root == "/a" ? 0o755 : 0o700))
            }
        }
        let found = try stores.verify { $0.plan = { $0.confirmPasses = confirms } }
        #expect(found.tally.same == 0 && found.tally.differs == 0)
        #expect(found.lines.contains { $0.hasPrefix("~ x") }, "\(found.lines)")
    }

    /// A file beside a directory becomes a directory before the second look, with more in it.
    @Test func aDirectoryThatIsNewAtTheSecondLookIsNotSame() throws {
        let stores = TwoStores()
        stores.disk.addFile("/a/x/one", "1")
        stores.disk.addFile("/b/x", "1")
        stores.calm()
        let found = try stores.verify {
            $0.report = { [disk = stores.disk] phase, _ in
                guard case .settling = phase, disk.peek("/b/x").type == .file else { return }
                disk.remove("/b/x")
                disk.addFile("/b/x/one", "1")
                disk.addFile("/b/x/two", "1")
                disk.change("/b/x/one", Ownership(mtime: TwoStores.calmTime))
                disk.change("/b/x", Ownership(mtime: TwoStores.calmTime))
            }
            $0.plan = { $0.settle = 0.05 }
        }
        #expect(!found.lines.contains("= x") && found.status != .ok)
    }

    /// A second name is looked at after the file behind both was rewritten.
    @Test func aFileWithTwoNamesIsReadAgainWhenItChanged() throws {
        for (text, isGrowing) in [("onX", false), ("longer", true)] {
            let stores = TwoStores()
            stores.disk.addFile("/a/d/1", "one")
            stores.disk.addDirectory("/a/e")
            stores.disk.link("/a/d/1", as: "/a/e/2")
            for name in ["d/1", "e/2"] { stores.disk.addFile("/b/\(name)", "one") }
            if isGrowing { stores.disk.write("/b/e/2", at: 0, "other!") }
            stores.calm()
            Self.once(stores.disk, before: .getdents64, "/a/e") { disk in
                disk.write("/a/d/1", at: 0, text)
                disk.change("/a/d/1", Ownership(mtime: TwoStores.calmTime))
            }
            let found = try stores.verify { $0.workers = 1 }
            #expect(found.lines.contains { $0.hasPrefix("* e/2 content") }, "\(found.lines)")
        }
    }
}

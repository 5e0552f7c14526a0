import Glibc
import ResyncCore
import ResyncStorage
import TestSupport
import Testing

@testable import ResyncEngine

/// Storage that fails: whatever fails, nothing is called same that was not compared.
@Suite struct FaultTests {
    /// A little of everything, with differences planted where a failure could hide them.
    private static func mixed(isDifferent: Bool = true) -> TwoStores {
        let stores = TwoStores()
        stores.both { root in
            stores.disk.addGenerated("\(root)/d/e/deep", size: 70_000, seed: 1)
            stores.disk.addFile("\(root)/d/plain", "text")
            stores.disk.addFile("\(root)/empty")
            stores.disk.addSymlink("\(root)/link", to: "target")
            stores.disk.addFifo("\(root)/pipe")
            stores.disk.addFile("\(root)/two", "one inode")
            stores.disk.link("\(root)/two", as: "\(root)/twin")
            stores.disk.addSparse("\(root)/holes", size: 300_000)
            stores.disk.write("\(root)/holes", at: 200_000, "data")
        }
        if isDifferent {
            stores.disk.write("/b/d/e/deep", at: 69_999, "X")
            stores.disk.addFile("/b/d/e/extra", "1")
            stores.disk.addFile("/a/d/only", "1")
            stores.disk.write("/a/holes", at: 100_000, "X")
        }
        stores.calm()
        return stores
    }

    private static let planted: Set<String> = ["d/e/deep", "d/e/extra", "d/only", "holes"]

    /// Fails each call in turn and returns how many there are.
    @discardableResult
    private static func failEach(
        _ number: Int32, persistent: Bool, isDifferent: Bool, confirms: Int = 1
    ) throws -> Int {
        for nth in 1... {
            let stores = mixed(isDifferent: isDifferent)
            let disk = stores.disk
            disk.inject(Fault(.fail(number), nth: nth, persistent: persistent))
            let found: TwoStores.Verified
            do {
                found = try stores.verify {
                    $0.workers = 1
                    $0.plan = { $0.confirmPasses = confirms }
                }
            } catch is StoreError {
                continue
            } catch is DiskError {
                continue
            }
            let what = "call \(nth), \(ErrorNumber.name(number)): \(found.lines)"
            let same = Set(found.lines.filter { $0.hasPrefix("=") }.map { String($0.dropFirst(2)) })
            #expect(same.isDisjoint(with: isDifferent ? planted : []), "\(what)")
            if isDifferent { #expect(found.status != .ok, "\(what)") }
            // Agreement is claimed only where every entry has its verdict.
            if found.status == .ok { #expect(same.count == 10, "\(what)") }
            #expect(found.tally.entries >= found.tally.same, "\(what)")
            #expect(stores.openAfterwards() == 0 && disk.badCloses == 0, "\(what)")
            if disk.firedFaults == 0 { return nth }
        }
        return 0
    }

    @Test(
        arguments: [EIO, ENOENT, ESTALE]
            + (isLongRun ? [EACCES, ENOMEM, ETIMEDOUT, ELOOP, ENOTDIR, EPERM] : []))
    func noSingleFailureHidesADifference(_ number: Int32) throws {
        #expect(try Self.failEach(number, persistent: false, isDifferent: true) > 60)
    }

    @Test(arguments: [EIO, ENOENT, ESTALE, EACCES])
    func noLastingFailureHidesADifference(_ number: Int32) throws {
        try Self.failEach(number, persistent: true, isDifferent: true)
        try Self.failEach(number, persistent: true, isDifferent: false, confirms: 0)
    }

    @Test(arguments: [EIO, ENOENT])
    func equalStoresAreOnlyEqualWhenAllWasRead(_ number: Int32) throws {
        try Self.failEach(number, persistent: false, isDifferent: false)
        try Self.failEach(number, persistent: false, isDifferent: false, confirms: 0)
    }

    @Test func aReadErrorCostsItsBlockNotTheFile() throws {
        let stores = TwoStores()
        stores.both { stores.disk.addGenerated("\($0)/f", size: 300_000, seed: 1) }
        stores.disk.write("/b/f", at: 200_000, "X~")
        stores.calm()
        stores.disk.inject(
            Fault(.fail(EIO), on: .pread, under: "/a", range: 70_000..<70_001, persistent: true))
        let found = try stores.verify()
        #expect(
            found.lines == ["! f content 196608+65536 !a:pread:EIO@65536+65536"])
        #expect(found.status == .trouble)
        #expect(found.tally.bytesByAssurance == [.hash: 300_000 - 65_536])
    }

    @Test func namesBehindAFailedListingAreLookedUp() throws {
        let stores = TwoStores()
        for index in 100..<2000 {
            stores.both { stores.disk.addFile("\($0)/d/file-with-a-long-name-\(index)", "1") }
        }
        stores.disk.remove("/a/d/file-with-a-long-name-1999")
        stores.calm()
        stores.disk.inject(Fault(.fail(EIO), on: .getdents64, under: "/a/d", nth: 2))
        let found = try stores.verify()
        #expect(
            found.lines.filter { !$0.hasPrefix("=") } == [
                "- d/file-with-a-long-name-1999 existence", "! d !a:getdents64:EIO",
            ])
        #expect(found.tally.same == 1900 && found.status == .trouble)
    }

    @Test func aNameListedTwiceMakesTheDirectoryUnreliable() throws {
        for names in [1 << 18, 16] {
            let stores = TwoStores()
            for index in 100..<200 {
                stores.both { stores.disk.addFile("\($0)/d/\(index)", "1") }
            }
            stores.calm()
            stores.disk.inject(Fault(.listTwice, on: .getdents64, under: "/a/d", persistent: true))
            let found = try stores.verify { $0.options = { $0.namesInMemory = names } }
            #expect(found.lines.filter { !$0.hasPrefix("=") } == ["! d (brokenDirectory)"])
            #expect(found.tally.same == 101 && found.status == .trouble)
        }
    }

    @Test func mountsInsideAreNotDescendedUnlessAskedFor() throws {
        let stores = TwoStores()
        stores.both { stores.disk.addFile("\($0)/m/x", "1") }
        stores.both { stores.disk.addFile("\($0)/y", "1") }
        stores.calm()
        stores.disk.setMount("/b/m", SimulatedMount(number: 5))
        let found = try stores.verify()
        #expect(found.lines == ["? m (mount)", "= y"])
        #expect(found.status == .trouble)
        let crossed = try stores.verify { $0.options = { $0.crossMounts = true } }
        #expect(crossed.lines == ["= m", "= m/x", "= y"])
    }

    @Test func namesOfUnknownKindAreAskedFor() throws {
        let stores = Self.mixed()
        let told = try stores.verify().lines
        stores.disk.changeMount(of: "/a") { $0.namesKinds = false }
        #expect(try stores.verify().lines == told)
    }

    /// The root's file system tells where its holes are, a mounted one may lie.
    @Test func holesOfAMountInsideAreNotTakenOnTheRootsTrust() throws {
        let stores = TwoStores()
        stores.both { root in
            stores.disk.addSparse("\(root)/m/lies", size: 300_000)
            stores.disk.addSparse("\(root)/own", size: 300_000)
        }
        stores.disk.write("/a/m/lies", at: 100_000, "data")
        stores.calm()
        var mount = SimulatedMount(number: 5)
        mount.fileSystem = FileSystemKind.nfs
        stores.disk.setMount("/a/m", mount)
        stores.disk.inject(Fault(.seek(nil), on: .lseek, under: "/a/m", persistent: true))
        let found = try stores.verify { $0.options = { $0.crossMounts = true } }
        #expect(found.lines.contains("* m/lies content 98304+4096 zeroed:b"), "\(found.lines)")
        #expect(stores.disk.count(.fstatfs, "/a/m/lies") == 1)
        #expect(stores.disk.count(.pread, "/a/own") == 0)
    }

    /// What the root's file system reads again when it is dropped, a mounted one may not.
    @Test func aMountInsideHasAMediumOfItsOwn() throws {
        let stores = TwoStores()
        stores.both { stores.disk.addGenerated("\($0)/m/x", size: 100_000, seed: 1) }
        stores.both { stores.disk.addGenerated("\($0)/y", size: 100_000, seed: 1) }
        stores.calm()
        stores.disk.changeMount(of: "/") {
            $0.fileSystem = FileSystemKind.nfs
            $0.directReads = .refused
        }
        var mount = SimulatedMount(number: 5)
        mount.fileSystem = FileSystemKind.overlay
        mount.directReads = .refused
        stores.disk.setMount("/a/m", mount)
        let found = try stores.verify {
            $0.options = { $0.crossMounts = true }
            $0.plan = { $0.rules.source = .media }
        }
        #expect(found.lines == ["= m", "? m/x (noMedium)", "= y"])
    }

    /// Each answer comes in time, so that nothing stands still; asked to end, it asks for no more.
    @Test func askingForKindsIsNoStall() throws {
        let stores = TwoStores()
        for index in 0..<60 { stores.both { stores.disk.addFile("\($0)/d/f\(index)", "1") } }
        stores.calm()
        stores.disk.changeMount(of: "/") { $0.namesKinds = false }
        stores.disk.onCall { call in
            if call.kind == .statx, call.path.starts(with: "/a/d/f".utf8) { usleep(10_000) }
        }
        let found = try stores.verify {
            $0.workers = 1
            $0.plan = { $0.limits.ioTimeout = 0.3 }
        }
        #expect(found.summary.ending == .complete && found.status == .ok, "\(found.result)")
        let asked = Counter()
        stores.disk.onCall { call in
            guard call.kind == .statx, call.path.starts(with: "/a/d/f".utf8) else { return }
            asked.next()
            usleep(10_000)
        }
        let stopped = try stores.verify {
            $0.workers = 1
            $0.interruption = { asked.count > 0 ? SIGINT : nil }
        }
        #expect(stopped.summary.ending == .interrupted(SIGINT))
        #expect(asked.count < 50)
    }

    @Test func aReadThatNeverReturnsEndsTheRun() throws {
        let stores = TwoStores()
        for name in ["a", "b", "c", "d"] {
            stores.both { stores.disk.addFile("\($0)/d/\(name)", "1") }
        }
        stores.calm()
        let gate = Gate()
        stores.disk.inject(Fault(.block(gate), on: .pread, under: "/b/d/b"))
        let found = try stores.verify {
            $0.plan = {
                $0.limits.ioTimeout = 0.3
                $0.scope.batchSize = 1
            }
        }
        gate.open()
        #expect(found.summary.ending == .stalled && found.status == .trouble)
        #expect(
            found.result.stalled == [StalledRead(side: .b, path: RelativePath(Array("d/b".utf8)))])
        #expect(!found.lines.contains("= d/b") && found.summary.leftUnread > 0)
        let resumed = try stores.verify {
            $0.resumes = true
            $0.id = found.id
        }
        #expect(resumed.lines == ["= d", "= d/a", "= d/b", "= d/c", "= d/d"])
        #expect(resumed.status == .ok && resumed.tally.entries == 5)
    }

    /// Large files are shared by workers, an image is nothing else, and the second look at one
    /// reads by itself.
    @Test(arguments: ["/d/large", "/image"], [false, true])
    func aSharedReadThatNeverReturnsEndsTheRun(_ path: String, _ isSecond: Bool) throws {
        let stores = TwoStores()
        for root in ["/a", "/b"] {
            stores.disk.addDirectory(root + "/d")
            stores.disk.addGenerated(root + path, size: 12_000_001, seed: 4)
        }
        stores.disk.write("/b" + path, at: 0, [7])
        stores.calm()
        func verify(_ change: @escaping (inout VerifyPlan) -> Void) throws -> TwoStores.Verified {
            try stores.verify {
                if path == "/image" { $0.paths = ("/a/image", "/b/image") }
                $0.plan = change
            }
        }
        _ = try verify { $0.confirmPasses = 0 }
        let firstLook = stores.disk.count(.pread, "/b" + path)
        let gate = Gate()
        let nth = isSecond ? firstLook + 1 : 1
        stores.disk.inject(Fault(.block(gate), on: .pread, under: "/b" + path, nth: nth))
        let found = try verify { $0.limits.ioTimeout = 0.3 }
        gate.open()
        #expect(found.summary.ending == .stalled && found.status == .trouble)
        let name = path == "/image" ? RelativePath.root : RelativePath(Array("d/large".utf8))
        #expect(found.result.stalled == [StalledRead(side: .b, path: name)])
    }

    @Test func aRootThatDoesNotAnswerEndsTheSecondLook() throws {
        let stores = TwoStores()
        stores.disk.addFile("/a/f", "1")
        stores.disk.addFile("/b/f", "2")
        stores.calm()
        _ = try stores.verify { $0.plan = { $0.confirmPasses = 0 } }
        let asked = stores.disk.count(.statx, "/b")
        let gate = Gate()
        stores.disk.inject(
            Fault(
                .block(gate), on: .statx, nth: asked + 1,
                when: { $0.path == Array("/b".utf8) }))
        let found = try stores.verify { $0.plan = { $0.limits.ioTimeout = 0.3 } }
        gate.open()
        #expect(found.summary.ending == .stalled && found.status == .trouble)
        #expect(found.result.stalled == [StalledRead(side: .b, path: .root)])
    }

    /// Behind a directory that cannot be opened a name that was asked for may be there.
    @Test func whatLiesBehindAnErrorIsNotCalledAbsent() throws {
        let stores = TwoStores()
        stores.both { stores.disk.addFile("\($0)/d/x", "1") }
        stores.calm()
        stores.disk.inject(Fault(.fail(EIO), on: .openat, under: "/b/d", persistent: true))
        let found = try stores.verify {
            $0.plan = {
                $0.rules.namesAreGiven = true
                $0.scope.selection = Selection([RelativePath(Array("d/x".utf8))])
            }
        }
        #expect(found.differences.map(\.outcome) == [.unreadable])
        #expect(found.differences.first?.errors.map(\.number) == [EIO])
        #expect(found.status == .trouble)
    }

    /// Where nothing is read, too.
    @Test func aRunThatReadsNoContentIsPaused() throws {
        let stores = TwoStores()
        for index in 0..<40 { stores.both { stores.disk.addFile("\($0)/d\(index)/f", "1") } }
        stores.calm()
        let (asked, pace) = (Counter(), Pace())
        let began = monotonicSeconds()
        pace.follow(
            {
                var order = PaceOrder()
                order.isPaused = monotonicSeconds() < began + 2
                return order
            }, changed: { _ in }, isInterrupted: { false })
        stores.disk.onCall { call in
            if monotonicSeconds() < began + 1.4, call.path.starts(with: "/a/d".utf8) {
                _ = asked.next()
            }
        }
        let found = try stores.verify {
            $0.pace = pace
            $0.plan = { $0.rules.comparison.aspects.remove(AspectSet(.content)) }
        }
        #expect(found.status == .ok && found.tally.entries == 80)
        #expect(asked.count == 0)
        #expect(monotonicSeconds() - began > 1.9)
    }
}

import Glibc
import ResyncCore
import ResyncStorage
import TestSupport
import Testing

@testable import ResyncEngine

/// The second look at what differs.
@Suite struct ConfirmTests {
    private static func different(_ size: Int = 300_000) -> TwoStores {
        let stores = TwoStores()
        stores.both { stores.disk.addGenerated("\($0)/f", size: size, seed: 1) }
        stores.disk.write("/b/f", at: 70_000, "different")
        stores.calm()
        return stores
    }

    /// Calls `body` once, between the first pass and the second.
    private static func between(
        _ settings: inout TwoStores.Settings, pass: Int = 1,
        _ body: @escaping @Sendable () -> Void
    ) {
        let passes = Counter()
        let isSettling = Counter()
        settings.report = { phase, _ in
            if case .settling = phase {
                if isSettling.count == passes.count {
                    isSettling.next()
                    if isSettling.count == pass { body() }
                }
            } else if isSettling.count > passes.count {
                passes.next()
            }
        }
        let old = settings.plan
        settings.plan = {
            old(&$0)
            $0.settle = 0.05
        }
    }

    @Test func withoutASecondLookNothingIsConfirmed() throws {
        let found = try Self.different().verify { $0.plan = { $0.confirmPasses = 0 } }
        #expect(found.lines == ["~ f content 65536+65536"])
        #expect(found.status == .unconfirmed && found.tally.confirmed == 0)
    }

    @Test func whatIsSeenAgainIsConfirmedFromTheMedium() throws {
        let found = try Self.different().verify()
        #expect(found.lines == ["* f content 69632+4096"])
        #expect(found.differences.map(\.confirmedFrom) == [.media])
        #expect(found.tally.confirmed == 1 && found.status == .differences)
    }

    /// A file that moved is read from its beginning, and may be nearly all hole.
    @Test func holesOfBothSidesAreNotRead() throws {
        let size = 256 << 20
        let stores = TwoStores()
        stores.both { root in
            stores.disk.addSparse("\(root)/f", size: size)
            stores.disk.write("\(root)/f", at: 200 << 20, "the same")
        }
        stores.disk.write("/a/f", at: 100 << 20, "one")
        stores.disk.write("/b/f", at: 150 << 20, "other")
        stores.calm()
        let found = try stores.verify {
            $0.plan = { $0.confirmPasses = 2 }
            Self.between(&$0) { [disk = stores.disk] in
                disk.write("/b/f", at: 201 << 20, "moved")
                disk.change("/b/f", Ownership(mtime: TwoStores.calmTime))
            }
        }
        let difference = try #require(found.differences.first)
        #expect(difference.confirmedFrom == .media)
        #expect(
            difference.extents == [
                Extent(offset: 100 << 20, length: 4096), Extent(offset: 150 << 20, length: 4096),
                Extent(offset: 201 << 20, length: 4096),
            ])
        #expect(found.tally.bytesRead < 8 << 20, "\(found.tally.bytesRead)")
    }

    @Test func whatWasRepairedMeanwhileIsSame() throws {
        let stores = Self.different()
        let found = try stores.verify {
            Self.between(&$0) { [disk = stores.disk] in
                disk.write("/b/f", at: 70_000, generatedBytes(seed: 1, 70_000..<70_009))
                disk.change("/b/f", Ownership(mtime: TwoStores.calmTime))
            }
        }
        #expect(found.lines == ["= f"] && found.status == .ok)
        #expect(found.tally.bytesByAssurance == [.hash: 300_000])
    }

    @Test(arguments: [1, 2, 3, 4]) func whatMovesIsUnstableUntilItRests(_ passes: Int) throws {
        let stores = Self.different()
        let found = try stores.verify {
            $0.plan = { $0.confirmPasses = passes }
            Self.between(&$0) { [disk = stores.disk] in
                disk.write("/b/f", at: 200_000, "different again")
                disk.change("/b/f", Ownership(mtime: TwoStores.calmTime))
            }
        }
        if passes == 1 {
            #expect(found.status == .unconfirmed && found.tally.unstable == 1)
            #expect(found.lines.allSatisfy { $0.hasPrefix("~ f") })
        } else {
            #expect(found.lines == ["* f content 69632+4096 196608+4096"])
            #expect(found.status == .differences)
        }
    }

    @Test func emptyFilesThatMoveAreConfirmedInTheEnd() throws {
        let stores = TwoStores()
        stores.both { stores.disk.addFile("\($0)/f") }
        stores.calm()
        stores.disk.change("/b/f", Ownership(mode: 0o600))
        let found = try stores.verify {
            $0.plan = { $0.confirmPasses = 2 }
            Self.between(&$0) { [disk = stores.disk] in
                disk.change("/b/f", Ownership(mode: 0o640))
            }
        }
        #expect(found.lines == ["* f mode"] && found.status == .differences)
    }

    @Test func whatIsGoneOnBothSidesIsUnstable() throws {
        let stores = Self.different()
        let found = try stores.verify {
            Self.between(&$0) { [disk = stores.disk] in
                disk.remove("/a/f")
                disk.remove("/b/f")
            }
        }
        #expect(found.lines == ["~ f (vanished)"] && found.status == .unconfirmed)
    }

    @Test func whatIsMissingIsConfirmedOrComesBack() throws {
        let stores = TwoStores()
        stores.both { stores.disk.addFile("\($0)/other", "1") }
        stores.disk.addFile("/a/gone", "1")
        stores.disk.addFile("/a/late", "one")
        stores.disk.addFile("/a/wrong", "one")
        stores.calm()
        let found = try stores.verify {
            Self.between(&$0) { [disk = stores.disk] in
                for (name, text) in [("late", "one"), ("wrong", "two")] {
                    disk.addFile("/b/\(name)", text)
                    disk.change("/b/\(name)", Ownership(mtime: TwoStores.calmTime))
                }
            }
        }
        #expect(found.lines[0] == "+ gone existence")
        #expect(found.lines.contains("= late"))
        #expect(found.lines.contains { $0.hasPrefix("~ wrong") })
    }

    /// One byte of what is read differs each time, and nothing in the stat says why.
    @Test func bytesThatChangeUnderOneStatAreFlapping() throws {
        let stores = TwoStores()
        stores.both { stores.disk.addGenerated("\($0)/f", size: 300_000, seed: 1) }
        stores.calm()
        // Only the first reading of A meets it: by the second look both sides agree.
        stores.disk.inject(
            Fault(.corrupt(.flipBit(at: 70_000)), on: .pread, under: "/a/f", range: 70_000..<70_001)
        )
        let found = try stores.verify()
        #expect(found.lines == ["~ f content 65536+65536 (flapping)"])
        #expect(found.tally.flapping == 1 && found.status == .trouble)
    }

    @Test func aCacheThatLooksRightOverAStaleMediumIsFlapping() throws {
        let stores = Self.different()
        try stores.warm()
        stores.disk.corruptMedium("/a/f", .zero(70_000..<70_004))
        let found = try stores.verify()
        #expect(found.tally.flapping == 1 && found.status == .trouble)
    }

    @Test func theMediumIsSeenAtMediaLevelAlone() throws {
        let stores = TwoStores()
        stores.both { stores.disk.addGenerated("\($0)/f", size: 300_000, seed: 1) }
        stores.calm()
        try stores.warm()
        stores.disk.corruptMedium("/b/f", .zero(65_536..<69_632))
        #expect(try stores.verify().status == .ok)
        let found = try stores.verify { $0.plan = { $0.rules.source = .media } }
        #expect(found.lines == ["* f content 65536+4096 zeroed:b"])
        #expect(found.status == .differences)
        #expect(found.tally.bytesByAssurance == [.media: 300_000])
    }

    @Test func shortDirectReadsAreNoChange() throws {
        let stores = TwoStores()
        stores.both { stores.disk.addGenerated("\($0)/f", size: 300_000, seed: 1) }
        stores.calm()
        stores.disk.inject(Fault(.short(8192), on: .pread, persistent: true))
        for source in [ReadSource.cache, .media] {
            let found = try stores.verify {
                $0.plan = {
                    $0.rules.source = source
                    $0.confirmPasses = 0
                }
            }
            #expect(found.lines == ["= f"])
        }
    }

    @Test(arguments: [SimulatedMount.DirectReads.refused, .pretended])
    func withoutAMediumNothingIsVerifiedAtMediaLevel(
        _ reads: SimulatedMount.DirectReads
    ) throws {
        let stores = TwoStores()
        stores.both { root in
            stores.disk.addFile("\(root)/f", "text")
            stores.disk.addFile("\(root)/empty")
            stores.disk.addFile("\(root)/large", [UInt8](repeating: 1, count: 5 << 20))
        }
        stores.disk.addFile("/a/late", "text")
        stores.calm()
        stores.disk.changeMount(of: "/a") {
            $0.directReads = reads
            $0.dropsCache = false
            $0.fileSystem = FileSystemKind.tmpfs
        }
        let found = try stores.verify {
            $0.plan = { $0.rules.source = .media }
            Self.between(&$0) { [disk = stores.disk] in
                disk.addFile("/b/late", "text")
                disk.change("/b/late", Ownership(mtime: TwoStores.calmTime))
            }
        }
        #expect(
            found.lines == [
                "= empty", "? f (noMedium)", "? large (noMedium)", "? late (noMedium)",
            ])
        #expect(found.status == .trouble && found.tally.bytesByAssurance == [:])
    }

    @Test func droppedPagesCountAsTheMediumWhereTheyAreReread() throws {
        let stores = TwoStores()
        stores.both { stores.disk.addGenerated("\($0)/f", size: 300_000, seed: 1) }
        stores.calm()
        stores.disk.corruptMedium("/b/f", .flipBit(at: 100))
        stores.disk.changeMount(of: "/a") {
            $0.directReads = .refused
            $0.fileSystem = FileSystemKind.xfs
        }
        let found = try stores.verify { $0.plan = { $0.rules.source = .media } }
        #expect(found.lines == ["* f content 0+4096 bitflip"])
    }
}

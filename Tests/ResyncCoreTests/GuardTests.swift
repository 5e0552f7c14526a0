import Testing

@testable import ResyncCore

@Suite struct GuardTests {
    private let identities = Sides(
        a: StoreIdentity(fileSystem: 1, inode: 2), b: StoreIdentity(fileSystem: 3, inode: 2))

    private func marker(_ side: Side, _ number: UInt64) -> StoreMarker {
        StoreMarker(store: digest(number), identity: identities[side])
    }

    private struct Scene {
        var header: PlanHeader
        var trailer = PlanTrailer()
        var found: Sides<StoreFindings>
        var baselineExclusions: Digest?
        var run: String?

        var refusals: [Refusal] {
            ResyncCore.refusals(
                header, trailer, found, baselineExclusions: baselineExclusions, run: run)
        }
    }

    /// A plan that makes one entry of B; nothing stands against it.
    private var scene: Scene {
        var found = identities.map { StoreFindings(identity: $0) }
        var references = identities.map { identity in
            StoreReference(path: [], kind: .directory, identity: identity)
        }
        for side in Side.allCases {
            found[side].available = 1 << 30
            found[side].marker = marker(side, side == .a ? 10 : 20)
            found[side].marker?.baseline = digest(5)
            references[side].marker = found[side].marker
        }
        var header = PlanHeader(
            stores: references, authority: .a, created: Timestamp(seconds: 0, nanoseconds: 0),
            blockSize: 1 << 20, aspects: .standard, exclusions: digest(7))
        header.entries = 1000
        var scene = Scene(header: header, found: found, baselineExclusions: digest(7))
        scene.trailer.totals.b.creates = 1
        return scene
    }

    private func refusals(_ change: (inout Scene) -> Void) -> [Refusal] {
        var scene = scene
        change(&scene)
        return scene.refusals
    }

    @Test func nothingStandsAgainstAQuietPlan() {
        #expect(scene.refusals == [])
        #expect(refusals { $0.trailer.totals.b = PlanTotals() } == [])
    }

    @Test func whoFollowedIsNoSourceUnasked() {
        func swapped(_ change: (inout Scene) -> Void = { _ in }) -> [Refusal] {
            refusals {
                $0.found.a.marker?.followed = digest(20)
                change(&$0)
            }
        }
        #expect(swapped() == [.swappedRoles(.a)])
        #expect(swapped { $0.found.a.marker?.followed = digest(21) } == [])
        #expect(swapped { $0.found.b.marker?.followed = digest(10) } == [.swappedRoles(.a)])
        #expect(refusals { $0.found.b.marker?.followed = digest(10) } == [])
        for authority in Authority.allCases {
            let expected: [Refusal] = authority.isOneSided ? [.swappedRoles(.a)] : []
            #expect(swapped { $0.header.authority = authority } == expected)
        }
    }

    @Test func partsAreTakenInTurn() {
        var marker = marker(.a, 10)
        marker.take(part: .target, with: digest(20))
        #expect(marker.followed == digest(20))
        marker.take(part: .source, with: digest(30))
        #expect(marker.followed == digest(20))
        marker.take(part: .source, with: digest(20))
        #expect(marker.followed == nil)
    }

    @Test func anUnmarkedStoreIsNotThatOfAMarkedOne() {
        func unmarked(_ side: Side, _ change: (inout Scene) -> Void = { _ in }) -> [Refusal] {
            refusals {
                ($0.found[side].marker, $0.header.stores[side].marker) = (nil, nil)
                change(&$0)
            }
        }
        for side in Side.allCases {
            #expect(unmarked(side) == [.unmarked(side)])
            #expect(unmarked(side) { $0.header.hasBaseline = true } == [])
            #expect(unmarked(side) { $0.found[side.other].marker?.baseline = nil } == [])
        }
        for only in [Refusal.unmarked(.a), .otherFileSystem(.a)] {
            #expect(!only.canBeAccepted)
        }
    }

    @Test func storesOfOtherPartnersAreStrangers() {
        func met(_ change: (inout Scene) -> Void = { _ in }) -> [Refusal] {
            refusals {
                $0.found.b.marker?.baseline = digest(6)
                change(&$0)
            }
        }
        #expect(met() == [.strangers])
        #expect(met { $0.header.hasBaseline = true } == [])
        #expect(met { $0.found.a.marker?.baseline = nil } == [])
        // A third store that both of them met.
        #expect(
            met {
                $0.found.a.marker?.history = [digest(4)]
                $0.found.b.marker?.history = [digest(3), digest(4)]
            } == [])
    }

    /// What lies below a mount point is a directory like others.
    @Test func nothingIsWrittenWhereAStoreIsMissing() {
        func missing(_ change: (inout Scene) -> Void = { _ in }) -> [Refusal] {
            refusals {
                $0.found.b.isEmpty = true
                ($0.found.b.marker, $0.header.stores.b.marker) = (nil, nil)
                $0.found.a.hasPartner = true
                change(&$0)
            }
        }
        #expect(missing() == [.emptyTarget(.b)])
        #expect(missing { $0.found.a.hasPartner = false } == [])
        #expect(missing { $0.found.b.isEmpty = false } == [.unmarked(.b)])
        #expect(missing { $0.header.hasBaseline = true } == [])
        #expect(missing { $0.found.b.marker = marker(.b, 20) } == [])
    }

    @Test func theStoresAreThoseOfThePlan() {
        let other = StoreIdentity(fileSystem: 9, inode: 2)
        #expect(
            refusals {
                $0.found.b.identity = other
                $0.found.b.marker?.identity = other
            } == [.otherFileSystem(.b)])
        #expect(
            refusals { $0.found.b.marker?.identity = other } == [.copiedMarker(.b)])
        #expect(refusals { $0.found.a.marker?.store = digest(99) } == [.otherMarker(.a)])
        #expect(refusals { $0.found.a.marker = nil } == [.otherMarker(.a)])
        // A boot gives devices other numbers.
        #expect(refusals { $0.found.a.identity.device.minor = 77 } == [])
        #expect(
            refusals {
                $0.header.stores.b.kind = .device
                $0.header.stores.b.size = 100
                $0.found.b.size = 99
            } == [.otherSize(.b)])
    }

    @Test func aDoubtfulSourceIsRefused() {
        #expect(refusals { $0.found.a.isEmpty = true } == [.emptySource(.a)])
        // An empty target is what a first copy has.
        #expect(refusals { $0.found.b.isEmpty = true } == [])
        #expect(
            refusals { $0.found.a.marker?.inconsistent = "r" }
                == [.inconsistentSource(.a, run: "r")])
        #expect(
            refusals { $0.found.b.marker?.inconsistent = "r" }
                == [.unfinishedTarget(.b, run: "r")])
        for side in Side.allCases {
            #expect(
                refusals { $0.found[side].unreadable = "r" } == [.unreadableRun(side, run: "r")])
        }
        // What the plan's own run has begun, it may go on with.
        #expect(
            refusals {
                $0.run = "r"
                for side in Side.allCases {
                    $0.trailer.totals[side].creates = 1
                    $0.found[side].marker?.inconsistent = "r"
                }
            } == [])
        #expect(refusals { $0.trailer.isRootIncomplete = true } == [.incompleteSource])
        #expect(
            refusals {
                $0.found.b.marker?.baseline = digest(6)
                $0.found.b.marker?.history = [digest(4), digest(5)]
            } == [.olderSource(.a)])
        #expect(
            refusals {
                $0.found.a.marker?.baseline = digest(6)
                $0.found.a.marker?.history = [digest(5)]
            } == [])
    }

    @Test func countsHaveTheirBounds() {
        func b(_ change: (inout PlanTotals) -> Void) -> [Refusal] {
            refusals { change(&$0.trailer.totals.b) }
        }
        #expect(b { $0.deletes = 100 } == [])
        #expect(b { $0.deletes = 101 } == [.deletes(.b, 101, limit: 100)])
        #expect(b { $0.overwrites = 500 } == [])
        #expect(b { $0.overwrites = 501 } == [.overwrites(.b, 501, of: 1000)])
        #expect(b { $0.zeroed = 10 } == [])
        #expect(b { $0.zeroed = 11 } == [.zeroed(.b, 11)])
        #expect(b { $0.emptied = 1 } == [.emptiedDirectories(.b, 1)])
        func few(_ deletes: Int, _ overwrites: Int) -> [Refusal] {
            refusals {
                $0.header.entries = 20
                $0.trailer.totals.b.deletes = deletes
                $0.trailer.totals.b.overwrites = overwrites
            }
        }
        #expect(few(20, 20) == [])
        #expect(few(21, 0) == [.deletes(.b, 21, limit: 20)])
        func ofDirectories(_ overwrites: Int) -> [Refusal] {
            refusals {
                $0.header.directories = 900
                $0.trailer.totals.b.overwrites = overwrites
            }
        }
        #expect(ofDirectories(50) == [])
        #expect(ofDirectories(51) == [.overwrites(.b, 51, of: 100)])
    }

    /// An image is one entry: its bytes are counted.
    @Test func ofAnImageBytesHaveTheirBounds() {
        func b(_ change: (inout PlanTotals) -> Void) -> [Refusal] {
            refusals {
                for side in Side.allCases {
                    $0.header.stores[side].kind = .file
                    $0.header.stores[side].size = 1 << 20
                    $0.found[side].size = 1 << 20
                }
                $0.trailer.totals.b.overwrites = 1
                change(&$0.trailer.totals.b)
            }
        }
        let half = 512 << 10
        #expect(b { $0.bytesWritten = half } == [])
        #expect(
            b { $0.bytesWritten = half + 1 } == [.overwrittenBytes(.b, half + 1, of: 1 << 20)])
        #expect(b { $0.zeroed = 10 } == [])
        #expect(b { $0.zeroed = 11 } == [.zeroedPieces(.b, 11)])
    }

    @Test func exclusionsAreThoseOfTheBaseline() {
        #expect(refusals { $0.baselineExclusions = digest(8) } == [.changedExclusions])
        #expect(refusals { $0.baselineExclusions = nil } == [])
    }

    @Test func spaceIsThereOrNot() {
        func needs(_ bytes: Int, _ change: (inout Scene) -> Void = { _ in }) -> [Refusal] {
            refusals {
                $0.found.b.available = 105
                $0.trailer.totals.b.bytesWritten = bytes
                change(&$0)
            }
        }
        #expect(needs(100) == [])
        #expect(needs(101) == [.noSpace(.b, needed: 106, available: 105)])
        #expect(needs(.max) == [.noSpace(.b, needed: .max, available: 105)])
        #expect(needs(.max) { $0.found.b.available = nil } == [])
        // What is displaced can be released, slice by slice.
        #expect(needs(1000) { $0.trailer.totals.b.bytesDisplaced = 945 } == [])
        #expect(
            needs(1000) { $0.trailer.totals.b.bytesDisplaced = 944 }
                == [.noSpace(.b, needed: 106, available: 105)])
        // Both sides may lie on one file system.
        let both = needs(60) { scene in
            scene.trailer.totals.a.creates = 1
            scene.trailer.totals.a.bytesWritten = 60
            scene.header.stores.b.identity.fileSystem = 1
            scene.found.b.identity.fileSystem = 1
            scene.found.b.marker?.identity.fileSystem = 1
        }
        #expect(both == [.noSpace(.b, needed: 126, available: 105)])
        #expect(refusals { $0.found.b.isReadOnly = true } == [.readOnly(.b)])
        #expect(refusals { $0.found.a.isReadOnly = true } == [])
    }

    /// A side that came from an old copy was accepted; a copy of the other one from before that is
    /// older than both all the same.
    @Test func bothSidesRememberWhatEitherLeftBehind() {
        var (a, b) = (marker(.a, 1), marker(.b, 2))
        (a.baseline, b.baseline) = (digest(1), digest(2))
        b.history = [digest(1)]
        let before = (a, b)
        a.agree(on: digest(3), with: before.1)
        b.agree(on: digest(3), with: before.0)
        #expect(a.history.contains(digest(2)) && a.history.contains(digest(1)))
        #expect(a.baseline == digest(3) && b.baseline == digest(3))
        #expect(!a.history.contains(digest(3)) && Set(a.history).count == a.history.count)
        let refused = refusals {
            $0.found.a.marker?.baseline = before.1.baseline
            $0.found.b.marker?.baseline = a.baseline
            $0.found.b.marker?.history = a.history
        }
        #expect(refused == [.olderSource(.a)])
    }

    @Test func slicesAreNeededWhereOldAndNewDoNotFitAtOnce() {
        var scene = scene
        scene.found.b.available = 105
        func sliced(_ written: Int, _ displaced: Int) -> [Side] {
            scene.trailer.totals.b.bytesWritten = written
            scene.trailer.totals.b.bytesDisplaced = displaced
            return slicedSides(scene.trailer, scene.found)
        }
        #expect(sliced(100, 0) == [])
        #expect(sliced(101, 0) == [.b])
        #expect(sliced(1000, 1000) == [.b])
    }
}

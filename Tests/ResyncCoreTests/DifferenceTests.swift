import Testing

@testable import ResyncCore

/// What counts as known from before.
@Suite struct DifferenceTests {
    private static func stat(_ size: Int, _ type: EntryType = .file) -> StatWitness {
        let time = Timestamp(seconds: 1, nanoseconds: 0)
        return StatWitness(type: type, size: size, mtime: time, ctime: time, inode: 1)
    }

    private static let before: Difference = {
        var difference = Difference(path: RelativePath(Array("f".utf8)), outcome: .differs)
        difference.aspects = AspectSet([.content, .mode])
        difference.extents = [
            Extent(offset: 4096, length: 4096), Extent(offset: 8192, length: 8192),
            Extent(offset: 1 << 20, length: 4096),
        ]
        difference.shape = .zeroed
        difference.shapeSide = .b
        difference.stats = Sides(a: stat(2 << 20), b: stat(2 << 20))
        difference.errors = [
            EntryError(
                side: .a, call: Array("pread".utf8), number: 5,
                extent: Extent(offset: 0, length: 4096))
        ]
        return difference
    }()

    private func isKnown(_ change: (inout Difference) -> Void) -> Bool {
        var now = Self.before
        change(&now)
        return now.isNoMore(than: Self.before)
    }

    @Test func theSameAndLessIsNoMore() {
        #expect(isKnown { _ in })
        #expect(isKnown { $0.aspects = AspectSet([.content]) })
        #expect(isKnown { $0.extents.removeFirst() })
        #expect(isKnown { $0.extents = [Extent(offset: 5000, length: 10_000)] })
        #expect(isKnown { $0.errors = [] })
        #expect(isKnown { $0.errors[0].extent?.length = 512 })
    }

    @Test func whatIsWorseIsMore() {
        #expect(!isKnown { $0.outcome = .unreadable })
        #expect(!isKnown { $0.aspects.insert(.mtime) })
        #expect(!isKnown { $0.extents[0].offset = 0 })
        #expect(!isKnown { $0.extents[2].length += 1 })
        #expect(!isKnown { $0.extents.append(Extent(offset: 3 << 20, length: 1)) })
        #expect(!isKnown { $0.extents = [Extent(offset: 4096, length: 1 << 20)] })
        #expect(!isKnown { $0.shape = nil })
        #expect(!isKnown { $0.shapeSide = .a })
        #expect(!isKnown { $0.stats.b = Self.stat(1 << 20) })
        #expect(!isKnown { $0.stats.a = nil })
        #expect(!isKnown { $0.errors[0].side = .b })
        #expect(!isKnown { $0.errors[0].number = 110 })
        #expect(!isKnown { $0.errors[0].extent = nil })
        #expect(!isKnown { $0.errors[0].extent?.length += 512 })
        var unseen = Self.before
        unseen.extents = []
        #expect(!Self.before.isNoMore(than: unseen))
    }

    @Test func aDirectoryMayGrow() {
        var before = Self.before
        before.stats.a = Self.stat(4096, .directory)
        var now = before
        now.stats.a = Self.stat(8192, .directory)
        #expect(now.isNoMore(than: before))
    }

    /// What was joined may hide more of the same; digests are of what differs alone.
    @Test func joinedExtentsAreKnownByTheirDigests() {
        var before = Self.before
        before.extents = (0..<Difference.extentLimit).map {
            Extent(offset: $0 * 8192, length: 4096)
        }
        before.digests = Sides(a: [digest(1)], b: [digest(2)])
        var now = before
        #expect(now.isNoMore(than: before))
        now.digests.b = [digest(3)]
        #expect(!now.isNoMore(than: before))
        now.digests = before.digests
        now.extents.removeLast()
        #expect(!now.isNoMore(than: before))
    }
}

import Testing

@testable import ResyncCore

/// An entry whose parts can be changed one by one.
private struct Parts {
    var stat: Stat
    var target: [UInt8]?
    var xattrs: Digest?
    var acl: Digest?
    var owner: OwnerNames?

    var entry: Entry {
        Entry(stat: stat, target: target, xattrs: xattrs, acl: acl, owner: owner)
    }
}

@Suite struct AspectTests {
    private let everything = ComparisonRules(aspects: .all)

    @Test func everyAspectRestsOnExistence() {
        for aspect in Aspect.allCases {
            var chain = [aspect]
            while let below = chain.last?.restsOn {
                #expect(!chain.contains(below), "\(aspect) rests on itself")
                chain.append(below)
            }
            #expect(chain.last == .existence)
        }
        #expect(Aspect.content.restsOn == .size)
        #expect(Aspect.size.restsOn == .type)
        #expect(Aspect.type.restsOn == .existence)
    }

    @Test func sets() {
        var set = AspectSet([.mode, .content])
        #expect(set.aspects == [.content, .mode])
        #expect(set.touchesContent)
        set.remove(AspectSet(.content))
        #expect(!set.touchesContent)
        set.insert(.target)
        #expect(set.contains(Aspect.target) && !set.contains(Aspect.size))
        #expect(AspectSet.all.aspects == Aspect.allCases)
        #expect(Set(Aspect.allCases.map(\.word)).count == Aspect.allCases.count)
        #expect(
            AspectSet.standard.aspects == [
                .existence, .type, .size, .content, .target, .mode, .owner, .mtime,
            ])
        #expect(
            Aspect.allCases.filter(\.isContent) == [
                .existence, .type, .size, .content, .target, .device,
            ])
    }

    /// Each change of an entry, and the only aspect in which it shows.
    @Test func eachChangeShowsInItsAspect() {
        let base = Parts(
            stat: Stat(type: .file, size: 10), target: [0x61], xattrs: .zero, acl: .zero,
            owner: OwnerNames(user: [1], group: [1]))
        func expect(_ aspects: [Aspect], type: EntryType = .file, _ change: (inout Parts) -> Void) {
            var (one, other) = (base, base)
            one.stat.type = type
            other.stat.type = type
            change(&other)
            for (left, right) in [(one.entry, other.entry), (other.entry, one.entry)] {
                #expect(everything.metadataDifferences(left, right).aspects == aspects)
                for aspect in Aspect.allCases {
                    let only = ComparisonRules(aspects: AspectSet(aspect))
                    // The number of a device node is all the content that it has.
                    let shown = aspects.filter {
                        $0 == aspect || $0 == .device && aspect == .content
                    }
                    #expect(only.metadataDifferences(left, right).aspects == shown)
                }
            }
        }
        expect([]) { _ in }
        expect([.size]) { $0.stat.size = 11 }
        expect([.mode]) { $0.stat.mode = 0o4644 }
        expect([.owner]) { $0.stat.uid = 1 }
        expect([.owner]) { $0.stat.gid = 1 }
        expect([.mtime]) { $0.stat.mtime.nanoseconds = 1 }
        expect([.xattrs]) { $0.xattrs = digest(1) }
        expect([.acl]) { $0.acl = digest(1) }
        expect([.target], type: .symlink) { $0.target = [0x62] }
        expect([.device], type: .blockDevice) { $0.stat.special.minor = 1 }
        expect([.device], type: .characterDevice) { $0.stat.special.major = 1 }
        // What says nothing there: a symlink's mode, a directory's size, what no comparison is
        // about.
        expect([], type: .symlink) { $0.stat.mode = 0o777 }
        expect([], type: .directory) { $0.stat.size = 11 }
        expect([]) { $0.target = [0x62] }
        expect([]) { $0.stat.special.minor = 1 }
        expect([]) { $0.owner = OwnerNames(user: [2], group: [1]) }
        expect([]) {
            $0.stat.ctime.seconds = 5
            $0.stat.inode = 5
            $0.stat.device.minor = 5
            $0.stat.mount = 5
            $0.stat.allocated = 5
            $0.stat.links = 5
        }
    }

    /// Nothing else is compared where not even the type agrees.
    @Test func anotherTypeIsTheOnlyDifference() {
        let file = Entry(stat: Stat(type: .file, mode: 0o600, uid: 1, size: 1))
        let directory = Entry(stat: Stat(type: .directory, mode: 0o700, uid: 2, size: 2))
        #expect(everything.metadataDifferences(file, directory).aspects == [.type])
        let modeOnly = ComparisonRules(aspects: AspectSet(.mode))
        #expect(modeOnly.metadataDifferences(file, directory) == [])
    }

    @Test func timesMayLieApart() {
        func entry(_ seconds: Int64, _ nanoseconds: UInt32) -> Entry {
            var stat = Stat(type: .file)
            stat.mtime = Timestamp(seconds: seconds, nanoseconds: nanoseconds)
            return Entry(stat: stat)
        }
        func differ(_ window: UInt64, _ left: Entry, _ right: Entry) -> Bool {
            let rules = ComparisonRules(modifyWindow: window)
            let found = rules.metadataDifferences(left, right)
            #expect(rules.metadataDifferences(right, left) == found)
            return found.contains(Aspect.mtime)
        }
        let second: UInt64 = 1_000_000_000
        #expect(differ(0, entry(5, 0), entry(5, 1)))
        #expect(!differ(1, entry(5, 0), entry(5, 1)))
        #expect(!differ(2 * second, entry(5, 0), entry(7, 0)))
        #expect(differ(2 * second, entry(5, 0), entry(7, 1)))
        #expect(!differ(2, entry(4, 999_999_999), entry(5, 1)))
        #expect(differ(.max - 1, entry(.min, 0), entry(.max, 0)))
        #expect(!differ(second, entry(-1, 500_000_000), entry(0, 500_000_000)))
    }

    @Test func ownersByName() {
        let rules = ComparisonRules(owners: .name)
        func entry(_ uid: UInt32, _ group: UInt8) -> Entry {
            Entry(
                stat: Stat(type: .file, uid: uid), owner: OwnerNames(user: [1], group: [group]))
        }
        #expect(rules.metadataDifferences(entry(1, 1), entry(99, 1)) == [])
        #expect(rules.metadataDifferences(entry(1, 1), entry(1, 2)).aspects == [.owner])
    }

    /// Two entries are equal only if every part of them is.
    @Test func entriesAreTheirParts() {
        let base = Parts(
            stat: Stat(type: .symlink), target: [1], xattrs: .zero, acl: .zero,
            owner: OwnerNames(user: [1], group: [1]))
        let changes: [(inout Parts) -> Void] = [
            { $0.stat.size = 1 }, { $0.target = [2] }, { $0.target = nil }, { $0.xattrs = nil },
            { $0.acl = digest(1) }, { $0.owner = nil }, { $0 = Parts(stat: $0.stat) },
        ]
        #expect(base.entry == base.entry)
        for change in changes {
            var other = base
            change(&other)
            #expect(other.entry != base.entry)
            #expect(other.entry.target == other.target && other.entry.owner == other.owner)
            #expect(other.entry.xattrs == other.xattrs && other.entry.acl == other.acl)
        }
    }

    @Test func contentIsComparedWhereTypeAndSizeAgree() {
        let rules = ComparisonRules()
        let file = Stat(type: .file, size: 5)
        #expect(rules.comparesContent(file, file))
        #expect(!rules.comparesContent(file, Stat(type: .file, size: 6)))
        #expect(!rules.comparesContent(file, Stat(type: .symlink, size: 5)))
        #expect(!rules.comparesContent(Stat(type: .fifo), Stat(type: .fifo)))
        #expect(!ComparisonRules(aspects: AspectSet(.size)).comparesContent(file, file))
    }

    @Test func unchangedMeansEverythingAWriterMoves() {
        let stat = Stat(type: .file, size: 5, inode: 7)
        #expect(stat.isUnchanged(since: stat))
        func changed(_ change: (inout Stat) -> Void) -> Bool {
            var other = stat
            change(&other)
            return !other.isUnchanged(since: stat)
        }
        #expect(changed { $0.size = 6 })
        #expect(changed { $0.mtime.nanoseconds = 1 })
        #expect(changed { $0.ctime.nanoseconds = 1 })
        #expect(changed { $0.inode = 8 })
        #expect(changed { $0.type = .fifo })
    }

    @Test func timesFarApart() {
        let (first, last) = (
            Timestamp(seconds: .min, nanoseconds: 0), Timestamp(seconds: .max, nanoseconds: 0)
        )
        #expect(first < last)
        #expect(first.distance(to: last) == .max)
        #expect(last.adding(seconds: 1) == last)
        #expect(first.adding(seconds: -1) == first)
        #expect(Timestamp(seconds: 5, nanoseconds: 9).adding(seconds: -6).seconds == -1)
    }
}

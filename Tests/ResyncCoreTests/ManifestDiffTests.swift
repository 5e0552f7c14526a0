import TestSupport
import Testing

@testable import ResyncCore

@Suite struct ManifestDiffTests {
    private func diff(
        _ a: [ManifestRecord], _ b: [ManifestRecord], pushing side: Side = .a,
        _ rules: ComparisonRules = ComparisonRules(aspects: .all)
    ) throws -> (tally: Tally, found: [Difference]) {
        var found: [Difference] = []
        var pulled = (side == .a ? b : a)[...]
        var diff = ManifestDiff(
            EntryJudge(rules, blockSize: ManifestSample.blockSize), pushing: side,
            pull: { pulled.popFirst() },
            emit: { if case .difference(let difference) = $0 { found.append(difference) } })
        for record in side == .a ? a : b { try diff.push(record) }
        return (try diff.finish(), found)
    }

    private func lines(_ found: [Difference]) -> [String] {
        found.map { "\($0.outcome.sign) \(escaped($0.path.bytes)) \($0.aspects.words)" }
    }

    private func tree(_ entries: [ManifestRecord]) -> [ManifestRecord] {
        [.entry(ManifestSample.directory(Name([])))] + entries + [ManifestSample.end()]
    }

    private func directory(
        _ name: StaticString, _ listing: ListingState = .complete,
        _ entries: [ManifestRecord] = []
    ) -> [ManifestRecord] {
        var own = ManifestSample.directory(Name(name))
        own.listing = listing
        return [.entry(own)] + entries + [ManifestSample.end(listing)]
    }

    private func file(_ name: StaticString, salt: UInt8 = 0) -> ManifestRecord {
        .entry(ManifestSample.file(Name(name), blocks: 2, salt: salt))
    }

    @Test func nothingDiffersFromItself() throws {
        let first = Seed.fromEnvironment().value
        for round in 0..<rounds(5) {
            let seed = first &+ UInt64(round)
            var generator = Seed(seed)
            let records = ManifestSample.tree(&generator, entries: 400, doubts: false)
            let (tally, found) = try diff(records, records)
            #expect(found.isEmpty, "seed \(seed)")
            #expect(tally.same == tally.entries && tally.entries > 0, "seed \(seed)")
        }
    }

    @Test func doubtIsEqualToNothing() throws {
        let first = Seed.fromEnvironment().value
        for round in 0..<rounds(5) {
            let seed = first &+ UInt64(round)
            var generator = Seed(seed)
            let records = ManifestSample.tree(&generator, entries: 400)
            let (tally, found) = try diff(records, records)
            let counts = try ManifestSample.write(records).trailer.counts
            #expect(tally.unstable == counts.unstable, "seed \(seed)")
            // Each side reports a listing that is not whole.
            #expect(
                tally.unreadable == counts.unreadable + 2 * counts.incompleteDirectories,
                "seed \(seed)")
            #expect(found.allSatisfy { $0.outcome != .differs && $0.outcome != .same })
        }
    }

    @Test func bothSidesSeeTheSame() throws {
        let first = Seed.fromEnvironment().value
        for round in 0..<rounds(5) {
            let seed = first &+ UInt64(round)
            var generator = Seed(seed)
            let a = ManifestSample.tree(&generator, entries: 60)
            var b = a
            // Entries of one side taken out or changed at random.
            b.removeAll { record in
                guard case .entry(let entry) = record, !entry.isDirectory else { return false }
                return generator.once(in: 5)
            }
            b = b.map { record in
                guard case .entry(var entry) = record, generator.once(in: 5) else { return record }
                entry.entry?.stat.mode ^= 0o100
                return .entry(entry)
            }
            let pushedA = try diff(a, b)
            let pushedB = try diff(a, b, pushing: .b)
            #expect(pushedA.tally == pushedB.tally, "seed \(seed)")
            #expect(pushedA.found == pushedB.found, "seed \(seed)")
            let swapped = try diff(b, a)
            #expect(swapped.tally.missingOnA == pushedA.tally.missingOnB, "seed \(seed)")
            #expect(swapped.tally.entries == pushedA.tally.entries, "seed \(seed)")
            let paths = pushedA.found.map { $0.path }
            let own = paths.filter { path in pushedA.found.count { $0.path == path } == 1 }
            #expect(own == own.sorted(), "seed \(seed)")
        }
    }

    @Test func oneSidedSubtreesAreWhollyReported() throws {
        let a = tree(
            directory("d", .complete, directory("e", .complete, [file("x")])) + [file("z")])
        let b = tree([file("z")])
        for side in Side.allCases {
            #expect(
                try lines(diff(a, b, pushing: side).found)
                    == ["+ d existence", "+ d/e existence", "+ d/e/x existence"])
            #expect(try lines(diff(b, a, pushing: side).found).allSatisfy { $0.hasPrefix("-") })
        }
    }

    @Test func aDirectoryAgainstAFile() throws {
        let a = tree(directory("n", .complete, [file("x")]) + [file("z")])
        let b = tree([file("n"), file("z")])
        for side in Side.allCases {
            #expect(
                try lines(diff(a, b, pushing: side).found) == ["* n type", "+ n/x existence"])
            #expect(
                try lines(diff(b, a, pushing: side).found) == ["* n type", "- n/x existence"])
        }
    }

    @Test func whatAnUncertainListingLacksIsNotMissing() throws {
        let states: [ListingState] = [
            .changing, .broken, .failed(call: Array("getdents64".utf8), number: 5),
        ]
        for state in states {
            let a = tree(directory("d", .complete, [file("x")]))
            let b = tree(directory("d", state))
            for side in Side.allCases {
                let found = try diff(a, b, pushing: side).found
                #expect(found.map { $0.outcome }.first == .notVerified)
                #expect(found.map { $0.path.bytes }.last == Array("d".utf8))
                #expect(found.last?.outcome == (state == .changing ? .unstable : .unreadable))
            }
        }
    }

    @Test func aMountThatWasNotEnteredIsNotVerified() throws {
        var mount = ManifestSample.directory(Name("d"))
        mount.listing = .mount
        mount.doubt = Doubt(.notVerified, .mount)
        let a = tree([.entry(mount), ManifestSample.end(.mount)])
        let b = tree(directory("d", .complete, [file("x")]))
        let found = try diff(a, b).found
        #expect(lines(found) == ["? d ", "? d/x "])
        #expect(found.allSatisfy { $0.reason == .mount })
    }

    @Test func contentDiffersInExtents() throws {
        var changed = ManifestSample.file(Name("f"), blocks: 9)
        var blocks = BlockList()
        let runs = try #require(changed.content).blocks.runs
        for (at, run) in runs.enumerated() {
            blocks.append([2, 3, 7].contains(at) ? ManifestSample.digest([9]) : run.digest)
        }
        changed.content?.blocks = blocks
        let size = ManifestSample.blockSize
        let a = tree([.entry(ManifestSample.file(Name("f"), blocks: 9))])
        let found = try diff(a, tree([.entry(changed)])).found
        #expect(lines(found) == ["* f content"])
        #expect(
            found.first?.extents == [
                Extent(offset: 2 * size, length: 2 * size), Extent(offset: 7 * size, length: size),
            ])
    }

    @Test func linksArePartitions() throws {
        func linked(_ name: StaticString, to first: String?) -> ManifestRecord {
            var entry = ManifestSample.file(Name(name), blocks: 1)
            entry.entry?.stat.links = 3
            entry.linkedTo = first.map { RelativePath(Array($0.utf8)) }
            return .entry(entry)
        }
        let a = tree([linked("p", to: nil), linked("q", to: "p"), linked("r", to: "p")])
        let b = tree([linked("q", to: nil), linked("r", to: "q")])
        #expect(try lines(diff(a, b).found) == ["+ p existence"])
        let c = tree([linked("p", to: nil), linked("q", to: nil), linked("r", to: "q")])
        #expect(try lines(diff(a, c).found) == ["* q links", "* r links"])
        #expect(try diff(a, c, ComparisonRules(aspects: .standard)).found.isEmpty)
    }

    @Test func headersThatDoNotMatchAreRefused() {
        let header = ManifestSample.header()
        for (change, word) in [
            ({ $0.digest = .sha512_256 }, "digest"), ({ $0.blockSize *= 2 }, "block size"),
            ({ $0.aspects = .standard }, "aspects"), ({ $0.exclusions = .zero }, "exclusions"),
            ({ $0.mounts = .cross }, "mount rule"), ({ $0.kind = .file }, "image"),
            ({ $0.owners = .name }, "owner rule"),
        ] as [((inout ManifestHeader) -> Void, String)] {
            var other = header
            change(&other)
            #expect(header.refusal(with: other)?.contains(word) == true)
            #expect(other.refusal(with: header)?.contains(word) == true)
        }
        var other = header
        other.host = [1]
        other.started = Timestamp(seconds: 1, nanoseconds: 1)
        other.tool = []
        other.identity.inode = 9
        #expect(header.refusal(with: other) == nil)
    }
}

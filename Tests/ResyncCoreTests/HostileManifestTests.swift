import TestSupport
import Testing

@testable import ResyncCore

/// Manifests whose frames are right, and whose numbers and texts were chosen to do harm.
@Suite struct HostileManifestTests {
    private let coding = ManifestCodingTests()

    /// Two directories, each of which left out as many names as there can be.
    private func excluding(_ names: [StaticString]) -> [ManifestRecord] {
        let end = ManifestRecord.end(DirectoryEnd(listing: .complete, excluded: .max))
        return [.entry(ManifestSample.directory(Name([])))]
            + names.flatMap { [.entry(ManifestSample.directory(Name($0))), end] }
            + [ManifestSample.end()]
    }

    @Test func countsBeyondAnyNumberAreRefused() throws {
        let honest = try ManifestSample.read(
            ManifestSample.write([
                .entry(ManifestSample.directory(Name([]))),
                .entry(ManifestSample.directory(Name("a"))), ManifestSample.end(),
                .entry(ManifestSample.directory(Name("b"))), ManifestSample.end(),
                ManifestSample.end(),
            ]).file)
        let records = honest.map { record in
            switch record {
            case .entry(let entry): return coding.encoded(entry)
            case .end(var end):
                var writer = ByteWriter()
                if end.entries == 0 { end.excluded = .max }
                writer.directoryEnd(end)
                return writer
            }
        }
        let file = coding.forged(records)
        #expect(coding.reason { _ = try ManifestSample.read(file) }.contains("counts more"))
        #expect(throws: FormatError.self) { _ = try ManifestSample.write(excluding(["a", "b"])) }
    }

    @Test(
        arguments: [
            (["a", "b"], ["a", "b"]), (["a", "b"], []), ([], ["a", "b"]),
        ] as [([StaticString], [StaticString])])
    func countsBeyondAnyNumberAreNotCompared(a: [StaticString], b: [StaticString]) throws {
        var pulled = excluding(b)[...]
        var diff = ManifestDiff(
            EntryJudge(
                ComparisonRules(aspects: .all), blockSize: ManifestSample.blockSize),
            pushing: .a, pull: { pulled.popFirst() }, emit: { _ in })
        #expect(throws: FormatError.self) {
            for record in excluding(a) { try diff.push(record) }
        }
    }

    @Test func countsOfATrailerThatNobodyCheckedAreHarmless() {
        var counts = ManifestCounts()
        counts.unreadable = .max
        counts.unstable = .max
        counts.types = [.file: .max, .directory: .max]
        #expect(!counts.isWhole)
        #expect(counts.entries == .max)
    }

    private func doubtful(_ error: EntryError) -> MemoryFile {
        var entry = ManifestSample.file(Name("x"), blocks: 1)
        entry.doubt = Doubt(.unreadable, nil, errors: [error])
        return coding.forged([
            coding.encoded(ManifestSample.directory(Name([]))), coding.encoded(entry),
        ])
    }

    /// Whatever is taken for a call's name reaches a terminal.
    @Test(arguments: ["", "\nIN SYNC\n", "\u{1b}[2J", "p read", "Read"])
    func whatIsNoCallIsRefused(call: String) {
        let file = doubtful(EntryError(side: .a, call: Array(call.utf8), number: 5))
        #expect(coding.reason { _ = try ManifestSample.read(file) }.contains("no call"))
        var end = ByteWriter()
        end.directoryEnd(DirectoryEnd(listing: .failed(call: Array(call.utf8), number: 5)))
        let listing = coding.forged([coding.encoded(ManifestSample.directory(Name([]))), end])
        #expect(coding.reason { _ = try ManifestSample.read(listing) }.contains("no call"))
        var result = Difference(path: RelativePath([0x78]), outcome: .unreadable)
        result.errors = [EntryError(side: .a, call: Array(call.utf8), number: 5)]
        var writer = ByteWriter()
        writer.record(.difference(result))
        #expect(throws: FormatError.self) {
            var reader = ByteReader(writer.bytes)
            _ = try reader.record()
        }
    }

    @Test(arguments: ["", "..", "//d", "d//x", "d/", "/d", "d/../x", "."])
    func aLinkToWhatCannotBeIsRefused(path: String) {
        var entry = ManifestSample.file(Name("x"), blocks: 1)
        entry.linkedTo = RelativePath(Array(path.utf8))
        let file = coding.forged([
            coding.encoded(ManifestSample.directory(Name([]))), coding.encoded(entry),
        ])
        #expect(coding.reason { _ = try ManifestSample.read(file) }.contains("a link to what"))
    }

    @Test func aDoubtBeyondAnyOffsetIsRefused() {
        let beyond = Extent(offset: .max, length: 1)
        let file = doubtful(
            EntryError(side: .a, call: Array("pread64".utf8), number: 5, extent: beyond))
        #expect(coding.reason { _ = try ManifestSample.read(file) }.contains("extent out of"))
    }

    @Test(arguments: ["format=1", "content=blocks", "mounts=one", "tool="])
    func whatAHeaderSaysIsQuotedShortAndEscaped(line: String) {
        let text = String(decoding: ManifestSample.header().bytes, as: UTF8.self)
        let key = line.prefix { $0 != "=" }
        let long = "\(key)=\\q\u{1b}[2J\u{202e}" + String(repeating: "x", count: 1 << 20)
        let forged = text.split(separator: line, maxSplits: 1, omittingEmptySubsequences: false)
            .joined(separator: long)
        let reason = coding.reason { _ = try ManifestHeader(Array(forged.utf8)) }
        #expect(!reason.isEmpty && reason.utf8.count < 300)
        #expect(reason.unicodeScalars.allSatisfy { isShowable($0) })
        #expect(reason.contains("[2J"))
    }

    /// As the manifest of an image of 16 GiB that has no two blocks alike.
    @Test func manyRunsCostNoMoreThanEachOfThem() throws {
        let blocks = 1 << 18
        let records: [ManifestRecord] = [
            .entry(ManifestSample.directory(Name([]))),
            .entry(ManifestSample.file(Name("x"), blocks: blocks)), ManifestSample.end(),
        ]
        let file = try ManifestSample.write(records).file
        let clock = ContinuousClock()
        let time = try clock.measure {
            guard case .entry(let entry) = try ManifestSample.read(file)[1] else { return }
            #expect(entry.content?.blocks.blockCount == blocks)
        }
        // Copied for each run it is a terabyte and a half.
        #expect(time < .seconds(30), "\(time)")
    }

    /// A file that is doubtful as a whole, and larger than any list of its blocks could be.
    @Test func aHugeFileInDoubtIsComparedByItsRuns() throws {
        let blockSize = ManifestSample.blockSize
        let count = 1 << 46
        func entry(_ runs: [(Digest, Int)]) -> ManifestEntry {
            var entry = ManifestSample.file(Name("x"), blocks: 0)
            entry.entry?.stat.size = count * blockSize
            var blocks = BlockList()
            for (digest, count) in runs { blocks.append(digest, count: count) }
            entry.content = ManifestSample.content(blocks, size: count * blockSize)
            return entry
        }
        let read = entry([(digest(1), count)])
        let bad = entry([(digest(1), 5), (.zero, count - 10), (digest(2), 5)])
        let judge = EntryJudge(ComparisonRules(aspects: .all), blockSize: blockSize)
        var links = LinkPartition()
        var tally = Tally()
        let path = RelativePath([0x78])
        let found = try #require(
            judge.pair(Sides(a: bad, b: read), path, &links, &tally))
        #expect(
            found.extents
                == [Extent(offset: (count - 5) * blockSize, length: 5 * blockSize)])
        #expect(tally.bytesByAssurance == [.hash: 10 * blockSize])
    }

    @Test func filesLargerTogetherThanAnyNumberCanBePlanned() {
        var action = Action(.write, on: .a, RelativePath([0x78]), why: .unknown)
        action.after = ObservedEntry(entry: Entry(stat: Stat(type: .file, size: .max)))
        action.before = action.after
        var totals = PlanTotals()
        for _ in 0..<2 { totals.count(action) }
        #expect(totals.bytesWritten == .max && totals.bytesDisplaced == .max)
        #expect(totals.spaceNeeded == .max)
    }
}

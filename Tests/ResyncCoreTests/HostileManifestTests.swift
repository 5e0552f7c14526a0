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

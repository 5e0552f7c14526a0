import ResyncStorage
import TestSupport
import Testing

@testable import ResyncCore

/// A manifest that was written in part, and is gone on with.
@Suite struct ManifestPartTests {
    private static let ended = Timestamp(seconds: 1_700_000_100, nanoseconds: 0)

    /// Made up, and long enough for some frames.
    private static func tree() throws -> [ManifestRecord] {
        var generator = Seed.fromEnvironment()
        while true {
            let tree = ManifestSample.tree(&generator, entries: 900)
            let size = try ManifestSample.write(tree).file.bytes.count
            if size > 4 * ManifestLimit.framePayload { return tree }
        }
    }

    /// A manifest of the first records.
    private func begun(
        _ records: ArraySlice<ManifestRecord>
    ) throws -> (file: MemoryFile, part: ManifestPart) {
        let file = MemoryFile()
        var writer = try ManifestWriter(ManifestSample.header(), .openSSL) { file.append($0) }
        for record in records { try writer.append(record) }
        #expect(writer.part.end == file.bytes.count)
        return (file, writer.part)
    }

    private func resume(
        _ file: MemoryFile, _ part: ManifestPart
    ) throws -> (writer: ManifestWriter<EVPHash>, records: [ManifestRecord]) {
        var records: [ManifestRecord] = []
        let writer = try ManifestWriter(
            resuming: part, .openSSL, read: { file.read($0, $1) }, output: { file.append($0) },
            record: { records.append($0) })
        return (writer, records)
    }

    @Test func itBecomesTheSameFromAnyRecordOn() throws {
        let tree = try Self.tree()
        let whole = try ManifestSample.write(tree).file
        let records = try ManifestSample.read(whole)
        #expect(whole.bytes.count > 3 * ManifestLimit.framePayload)
        let places =
            Array(stride(from: 0, through: records.count, by: isLongRun ? 7 : 97)) + [
                1, records.count,
            ]
        for count in places {
            let (file, part) = try begun(records[..<count])
            var (writer, before) = try resume(file, part)
            #expect(before == Array(records[..<count]), "after \(count)")
            #expect(file.bytes.count == part.end, "after \(count)")
            for record in records[count...] { try writer.append(record) }
            _ = try writer.finish(ended: Self.ended)
            #expect(file.bytes == whole.bytes, "after \(count)")
        }
    }

    @Test func whatWasAlteredIsRefused() throws {
        let tree = try Self.tree()
        let (file, part) = try begun(tree[..<(tree.count - 5)])
        #expect(part.end > ManifestLimit.framePayload && !part.pending.isEmpty)
        for at in stride(from: 0, to: part.end, by: isLongRun ? 97 : 4999) {
            let changed = MemoryFile(file.bytes)
            changed.bytes[at] ^= 1
            #expect(throws: FormatError.self, "byte \(at)") { try resume(changed, part) }
        }
        for size in stride(from: 0, to: part.end, by: 17_011) {
            #expect(throws: FormatError.self, "cut to \(size)") {
                try resume(MemoryFile(Array(file.bytes[..<size])), part)
            }
        }
        for end in [part.end - 1, part.end + 1, part.end - ManifestLimit.framePayload] {
            #expect(throws: FormatError.self, "ends at \(end)") {
                try resume(file, ManifestPart(end: end, pending: part.pending))
            }
        }
        for size in [1, part.pending.count / 2, part.pending.count - 1] {
            let short = ManifestPart(end: part.end, pending: Array(part.pending[..<size]))
            guard let (writer, _) = try? resume(file, short) else { continue }
            // A cut between two records is a part like any other.
            #expect(writer.part == short)
        }
    }
}

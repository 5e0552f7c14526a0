import Foundation
import ResyncCore
import ResyncStorage
import TestSupport
import Testing

@testable import ResyncEngine

@Suite struct ManifestExportTests {
    private let scans = ScanTests()

    private func export(_ file: MemoryFile, _ format: ManifestExport.Format) throws -> [UInt8] {
        var reader = try scans.reader(file)
        var export = try ManifestExport(format, reader.header)
        var bytes = export.head
        while let record = try reader.next() {
            bytes += export.lines(record, at: reader.path(of: record))
        }
        let trailer = try #require(reader.trailer)
        #expect(export.skipped == 0)
        return bytes + export.tail(trailer)
    }

    private func has(_ tool: String) -> Bool {
        guard (try? TemporaryStore().shell("command -v \(tool)"))?.status == 0 else {
            print("skipped: no \(tool) on this machine")
            return false
        }
        return true
    }

    private func run(
        _ store: TemporaryStore, _ input: [UInt8], _ command: String
    ) throws -> (status: Int32, output: String) {
        let list = NSTemporaryDirectory() + "resync-list-\(UInt64.random(in: 0...UInt64.max))"
        try Data(input).write(to: URL(fileURLWithPath: list))
        defer { try? FileManager.default.removeItem(atPath: list) }
        return try store.shell("LIST=\(list); \(command)")
    }

    /// Without our marker, which other tools would call extra.
    private func store() throws -> TemporaryStore {
        try scans.furnished(
            "rm .resync-store; printf dash > -; mkdir $'a\\\\b'; echo > $'a\\\\b/='")
    }

    @Test func sha256sumAgrees() throws {
        guard has("sha256sum") else { return }
        let store = try store()
        let file = try scans.scan(store.bytes, workers: 4, whole: true).file
        let list = try export(file, .sha256sum)
        let count = list.count { $0 == UInt8(ascii: "\n") }
        let (status, output) = try run(store, list, "sha256sum --strict -c $LIST")
        #expect(status == 0, "\(output)")
        #expect(output.split(separator: "\n").count { $0.hasSuffix(": OK") } == count)
        #expect(count > 300)
        _ = try store.shell("printf x >> large")
        #expect(try run(store, list, "sha256sum --strict -c $LIST").status != 0)
    }

    @Test func sha256sumZeroIsWhatSha256sumWrites() throws {
        guard has("sha256sum") else { return }
        let store = try store()
        let file = try scans.scan(store.bytes, workers: 4, whole: true).file
        let ours = try export(file, .sha256sumZero)
        let (status, output) = try run(
            store, ours,
            "find . -type f -print0 | xargs -0 sha256sum -z | sort -z | cmp - <(sort -z $LIST)")
        #expect(status == 0, "\(output)")
    }

    @Test func mtreeAgrees() throws {
        guard has("mtree") else { return }
        let store = try store()
        let file = try scans.scan(store.bytes, workers: 4, whole: true).file
        let list = try export(file, .mtree)
        let (status, output) = try run(store, list, "mtree -f $LIST -p .")
        #expect(status == 0 && output.isEmpty, "\(output)")
        for (change, word) in [
            ("touch -h -d @5 link", "link"), ("touch extra", "extra"), ("chmod 600 a/nothing", "a"),
            (
                "printf y | dd of=large bs=1 conv=notrunc status=none; touch -r a/b/file large",
                "sha256"
            ),
        ] {
            _ = try store.shell(change)
            let (status, output) = try run(store, list, "mtree -f $LIST -p .")
            #expect(status != 0 && output.contains(word), "\(change): \(output)")
        }
    }

    @Test func jsonLinesAreJSON() throws {
        let store = try store()
        let file = try scans.scan(store.bytes, workers: 4, whole: true).file
        let lines = try export(file, .json).split(separator: UInt8(ascii: "\n"))
        var types: [String: Int] = [:]
        for line in lines {
            let object = try #require(
                JSONSerialization.jsonObject(with: Data(line)) as? [String: Any])
            let type = try #require(object["type"] as? String)
            types[type, default: 0] += 1
            guard type == "entry" else { continue }
            let bytes = try #require(
                (object["path_b64"] as? String).flatMap { Data(base64Encoded: $0) })
            #expect((object["path"] as? String)?.utf8.elementsEqual(bytes) ?? !bytes.isEmpty)
        }
        #expect(types["manifest"] == 1 && types["summary"] == 1)
        #expect(types["directory_end"] == 9 && (types["entry"] ?? 0) > 300)
    }

    @Test func withoutWholeDigestsExportIsRefused() throws {
        var header = ManifestSample.header()
        for format in [ManifestExport.Format.sha256sum, .sha256sumZero, .mtree] {
            #expect(throws: ManifestRefusal.self) { _ = try ManifestExport(format, header) }
        }
        header.kind = .file
        header.aspects = .image
        _ = try ManifestExport(.json, header)
    }

    // MARK: Import

    private func imported(
        _ list: [UInt8], prefix: [UInt8] = [], chunk: Int = 1 << 16
    ) throws -> MemoryFile {
        var importing = ManifestImport(prefix: prefix)
        for start in stride(from: 0, to: list.count, by: chunk) {
            try importing.take(Array(list[start..<min(start + chunk, list.count)]))
        }
        let file = MemoryFile()
        let header = ManifestImport.header(
            exclusions: Filter.none.digest, store: [], tool: [],
            started: Timestamp(seconds: 0, nanoseconds: 0))
        var writer = try ManifestWriter(header, .openSSL) { file.append($0) }
        try importing.finish { try writer.append($0) }
        _ = try writer.finish(ended: header.started)
        return file
    }

    @Test func aListIsComparedWithAScan() throws {
        guard has("sha256sum") else { return }
        let store = try store()
        let list = NSTemporaryDirectory() + "resync-list-\(UInt64.random(in: 0...UInt64.max))"
        defer { try? FileManager.default.removeItem(atPath: list) }
        _ = try store.shell("find \(store.path) -type f -print0 | xargs -0 sha256sum -z > \(list)")
        let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: list)))
        let known = try imported(bytes, prefix: store.bytes, chunk: 37)
        let same = try scans.scan(store.bytes, workers: 2, whole: true).file
        let (tally, none) = try scans.diff(known, same)
        #expect(none.isEmpty, "\(none)")
        #expect(tally.entries == tally.same && tally.same > 300)
        _ = try store.shell("printf x >> large; rm zero; touch a/more; mkdir a/dir; ln -s x a/ln")
        let later = try scans.scan(store.bytes, workers: 2, whole: true).file
        let (_, found) = try scans.diff(known, later)
        #expect(
            found.map { "\($0.outcome.sign) \(escaped($0.path.bytes))" }
                == ["- a/more", "* large", "+ zero"])
    }

    @Test func aListWithoutWholeDigestsOnTheOtherSideIsRefused() throws {
        let list = ManifestImport.header(
            exclusions: ManifestSample.header().exclusions, store: [], tool: [],
            started: Timestamp(seconds: 0, nanoseconds: 0))
        var scan = ManifestSample.header()
        #expect(scan.refusal(with: list)?.contains("whole files") == true)
        scan.hasWholeFile = true
        #expect(scan.refusal(with: list) == nil)
        scan.exclusions = .zero
        #expect(list.refusal(with: scan)?.contains("exclusions") == true)
        scan.kind = .device
        #expect(list.refusal(with: scan)?.contains("image") == true)
    }

    private static let sum = String(repeating: "a", count: 64)

    @Test(arguments: [
        ("", "empty"), ("\(sum)  x", "cut"), ("\(sum)  x\n", "cut"), ("\(sum) x\0", "line 1"),
        ("zz\0", "line 1"), ("\(sum)  ../x\0", "no path"), ("\(sum)  a/../x\0", "no path"),
        ("\(sum)  /x\0", "no path"), ("\(sum)  a//x\0", "no path"), ("\(sum)  x/\0", "no path"),
        ("\(sum)  ./\0", "no path"), ("\(sum)  x\0\(sum)  x/y\0", "contradicts"),
        ("\(sum)  x\0\(String(repeating: "b", count: 64))  x\0", "contradicts"),
        ("SHA256 (x) = \(sum)\0", "line 1"),
    ])
    func listsThatAreNoneAreRefused(list: String, expected: String) {
        do {
            _ = try imported(Array(list.utf8))
            Issue.record("accepted")
        } catch let error as ManifestRefusal {
            #expect(error.reason.contains(expected))
        } catch {
            Issue.record("\(error)")
        }
    }

    @Test func aLineMayComeTwice() throws {
        let list = "\(Self.sum)  x\0\(Self.sum) *./x\0"
        let records = try ManifestSample.read(try imported(Array(list.utf8)))
        #expect(records.count == 3)
    }
}

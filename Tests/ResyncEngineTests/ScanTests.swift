import Foundation
import ResyncCore
import ResyncStorage
import TestSupport
import Testing

@testable import ResyncEngine

/// A directory that is gone when the test is.
final class TemporaryStore {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "resync-scan-\(UInt64.random(in: 0...UInt64.max))"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func shell(_ script: String) throws -> (status: Int32, output: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/bash")
        process.arguments = ["-c", script]
        process.currentDirectoryURL = URL(fileURLWithPath: path)
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: output, as: UTF8.self))
    }

    var bytes: [UInt8] { Array(path.utf8) }
}

/// A bit of everything that a store can hold.
let furnish = #"""
    set -e
    mkdir -p a/b/c a.d empty 'white space' $'line\nbreak'
    printf hello > a/b/file; printf '' > a/nothing; ln a/b/file a.d/same; ln a/nothing zero
    head -c 9000000 /dev/urandom > large
    truncate -s 10M sparse; printf x | dd of=sparse bs=1 seek=5000000 conv=notrunc status=none
    truncate -s 40M hole
    printf 1 > 'white space/#hash*?['
    printf 2 > $'line\nbreak/back\\slash\r' ; printf 3 > $'\xff\xfe'
    ln -s 'a/b/file' link; ln -s $'no\nwhere\xff' a/dangling; mkfifo fifo
    mknod null c 1 3 || true
    for i in $(seq 300); do printf $i > a/b/c/$i; done
    chmod 4711 large; touch -d @1234567890.123456789 -h link a/b/file a
    touch .resync-store
    """#

@Suite struct ScanTests {
    static let blockSize = 64 << 10

    func scan(
        _ store: [UInt8], workers: Int, whole: Bool = false, aspects: AspectSet = .all
    ) throws -> (file: MemoryFile, trailer: ManifestTrailer, header: ManifestHeader) {
        var rules = ScanRules(scheme: try DigestScheme(.sha256, blockSize: Self.blockSize))
        rules.aspects = aspects
        rules.hasWholeFile = whole
        var options = LocalSiteOptions()
        options.details = aspects
        let site = try LocalSite(path: store, disk: LinuxDisk(), options: options)
        let run = ScanRun(site, rules)
        let header = run.header(
            mounts: .one, owners: .number, host: [], tool: [])
        let file = MemoryFile()
        var writer = try ManifestWriter(header, .openSSL) { file.append($0) }
        let result = try run.work(workers: workers, stop: Stop()) { _ in
            .goOn
        } record: {
            try writer.append($0)
        }
        #expect(result.isComplete)
        return (file, try writer.finish(ended: header.started), header)
    }

    func reader(_ file: MemoryFile) throws -> ManifestReader<EVPHash> {
        try ManifestReader(ManifestHashes.openSSL) { file.read($0, $1) }
    }

    func diff(_ a: MemoryFile, _ b: MemoryFile) throws -> (Tally, [Difference]) {
        var (left, right) = (try reader(a), try reader(b))
        #expect(left.header.refusal(with: right.header) == nil)
        var found: [Difference] = []
        var diff = ManifestDiff(
            EntryJudge(
                left.header.rules(with: right.header), blockSize: left.header.blockSize,
                isListed: left.header.content == .whole || right.header.content == .whole),
            pushing: .a, pull: { try right.next() },
            emit: { if case .difference(let difference) = $0 { found.append(difference) } })
        while let record = try left.next() { try diff.push(record) }
        return (try diff.finish(), found)
    }

    /// Everything but header and trailer, which hold times.
    func entries(_ file: MemoryFile) throws -> [ManifestRecord] { try ManifestSample.read(file) }

    func furnished(_ more: String = "") throws -> TemporaryStore {
        let store = try TemporaryStore()
        let (status, output) = try store.shell(furnish + "\n" + more)
        #expect(status == 0, "\(output)")
        return store
    }

    @Test func theNumberOfWorkersDoesNotShow() throws {
        let store = try furnished("sleep 2.1")
        let one = try scan(store.bytes, workers: 1)
        #expect(one.trailer.root != nil)
        #expect(one.trailer.counts.excluded == 1)
        #expect(one.trailer.counts.types[.directory] == 8)
        let start = ManifestFrame.headerEnd(one.header)
        for workers in [2, 8, 64] {
            let many = try scan(store.bytes, workers: workers)
            #expect(many.trailer.root == one.trailer.root)
            #expect(
                try ManifestFrame.entriesEnd(many.file) == (try ManifestFrame.entriesEnd(one.file)))
            // The header's time may be of another length; the frames' checks cover their offsets.
            #expect(try entries(many.file) == entries(one.file))
            if ManifestFrame.headerEnd(many.header) == start {
                let end = try ManifestFrame.entriesEnd(one.file)
                #expect(many.file.bytes[start..<end] == one.file.bytes[start..<end])
            }
        }
    }

    @Test func aHoleCountsAsZeros() throws {
        let store = try furnished()
        let sparse = try scan(store.bytes, workers: 4, whole: true)
        let copied = try store.shell(
            "cp --sparse=never sparse s && mv s sparse; touch -d @0 sparse")
        #expect(copied.status == 0)
        let dense = try scan(store.bytes, workers: 4, whole: true)
        let (_, differences) = try diff(sparse.file, dense.file)
        #expect(differences.map { $0.aspects.words } == ["mtime"])
    }

    @Test func namesOfOneObjectAreTied() throws {
        let store = try furnished()
        let file = try scan(store.bytes, workers: 3).file
        var linked: [String: String] = [:]
        var all = try reader(file)
        while let record = try all.next() {
            guard case .entry(let entry) = record, let first = entry.linkedTo else { continue }
            linked[escaped(all.directory.appending(entry.name).bytes)] = escaped(first.bytes)
        }
        #expect(linked == ["a.d/same": "a/b/file", "zero": "a/nothing"])
    }

    @Test func whatChangedIsFound() throws {
        let store = try furnished()
        let before = try scan(store.bytes, workers: 2).file
        let changed = try store.shell(
            #"""
            set -e
            printf X | dd of=large bs=1 seek=131072 conv=notrunc status=none
            touch -r a/b/c/1 -d @5 a/b/c/2; chmod 600 a/b/c/3; rm a/b/c/4; printf new > a/b/c/40x
            rm -r empty; ln -sfn elsewhere link; rm fifo; mkdir fifo; touch fifo/in
            cp -p zero z2; mv z2 zero
            """#)
        #expect(changed.status == 0, "\(changed.output)")
        let after = try scan(store.bytes, workers: 2).file
        let (tally, differences) = try diff(before, after)
        let lines = differences.filter { $0.aspects != AspectSet(.mtime) }.map {
            "\($0.outcome.sign) \(escaped($0.path.bytes)) \($0.aspects.words)"
        }
        #expect(
            lines == [
                "* a/b/c/3 mode", "+ a/b/c/4 existence", "- a/b/c/40x existence",
                "+ empty existence", "* fifo type", "- fifo/in existence",
                "* large content,mtime", "* link target,mtime", "* zero links",
            ])
        let large = differences.first { $0.path.bytes == Array("large".utf8) }
        #expect(large?.extents == [Extent(offset: 131072, length: Self.blockSize)])
        #expect(tally.entries == tally.same + differences.count { $0.path != .root })
        let (again, none) = try diff(after, after)
        #expect(none.isEmpty && again.same == again.entries && again.entries > 300)
    }

    @Test func anImageHasADigest() throws {
        let store = try TemporaryStore()
        _ = try store.shell("head -c 5000001 /dev/urandom > image; cp image copy")
        let one = try scan(store.bytes + Array("/image".utf8), workers: 1)
        let two = try scan(store.bytes + Array("/copy".utf8), workers: 8)
        #expect(one.trailer.root != nil)
        #expect(one.trailer.root == two.trailer.root)
        let (tally, differences) = try diff(one.file, two.file)
        #expect(differences.isEmpty && tally.same == 1)
        #expect(tally.bytesByAssurance[.hash] == 5_000_001)
    }

    @Test func aRunningScanIsComparedWithAManifest() throws {
        let store = try furnished()
        let kept = try scan(store.bytes, workers: 2).file
        _ = try store.shell("printf changed >> a/nothing")
        var rules = ScanRules(scheme: try DigestScheme(.sha256, blockSize: Self.blockSize))
        rules.aspects = .all
        var options = LocalSiteOptions()
        options.details = .all
        let site = try LocalSite(path: store.bytes, disk: LinuxDisk(), options: options)
        var manifest = try reader(kept)
        var found: [String] = []
        var diff = ManifestDiff(
            EntryJudge(ComparisonRules(aspects: .all), blockSize: Self.blockSize), pushing: .a,
            pull: { try manifest.next() }, emit: { found.append(escaped($0.path.bytes)) })
        _ = try ScanRun(site, rules).work(workers: 8, stop: Stop()) { _ in
            .goOn
        } record: {
            try diff.push($0)
        }
        #expect(try diff.finish().entries > 300)
        #expect(found == ["a/nothing", "zero"])
    }

    @Test func aStoppedScanIsNoManifest() throws {
        let store = try furnished()
        let rules = ScanRules(scheme: try DigestScheme(.sha256, blockSize: Self.blockSize))
        let site = try LocalSite(path: store.bytes, disk: LinuxDisk(), options: LocalSiteOptions())
        let stop = Stop()
        stop.request()
        let result = try ScanRun(site, rules).work(workers: 2, stop: stop) { _ in
            .stop
        } record: { _ in
        }
        #expect(!result.isComplete)
    }
}

enum ManifestFrame {
    /// Magic, frame head, header, check.
    static func headerEnd(_ header: ManifestHeader) -> Int { 16 + 5 + header.bytes.count + 16 }

    /// The footer's first number.
    static func entriesEnd(_ file: MemoryFile) throws -> Int {
        let at = file.bytes.count - 16 - 48
        return file.bytes[at..<at + 8].reversed().reduce(0) { $0 << 8 | Int($1) }
    }
}

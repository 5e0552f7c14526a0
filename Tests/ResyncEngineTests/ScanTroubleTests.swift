import ResyncCore
import ResyncStorage
import Synchronization
import TestSupport
import Testing

@testable import ResyncEngine

/// What a scan says of a store that fails or moves under it.
@Suite struct ScanTroubleTests {
    private static let blockSize = 64 << 10

    private func scan(
        _ disk: SimulatedDisk
    ) throws -> (entries: [String: ManifestEntry], trailer: ManifestTrailer) {
        let rules = ScanRules(scheme: try DigestScheme(.sha256, blockSize: Self.blockSize))
        let site = try LocalSite(
            path: Array("/store".utf8), disk: disk, options: LocalSiteOptions())
        let run = ScanRun(site, rules)
        let header = run.header(
            mounts: .one, owners: .number, host: [], tool: [])
        let file = MemoryFile()
        var writer = try ManifestWriter(header, .openSSL) { file.append($0) }
        let result = try run.work(workers: 1, stop: Stop()) { _ in
            .goOn
        } record: {
            try writer.append($0)
        }
        #expect(result.isComplete)
        let trailer = try writer.finish(ended: header.started)
        var entries: [String: ManifestEntry] = [:]
        var reader = try ManifestReader(ManifestHashes.openSSL) { file.read($0, $1) }
        while let record = try reader.next() {
            guard case .entry(let entry) = record else { continue }
            entries[escaped(reader.path(of: record).bytes)] = entry
        }
        return (entries, trailer)
    }

    private func digest(_ bytes: [UInt8]) -> Digest { ManifestSample.digest([0] + bytes) }

    @Test func aReadErrorCostsItsBlock() throws {
        let disk = SimulatedDisk()
        disk.addGenerated("/store/f", size: 3 * Self.blockSize, seed: 1)
        let bad = Self.blockSize..<2 * Self.blockSize
        disk.inject(
            Fault(.fail(5), on: .pread, under: "/store/f", range: bad, persistent: true))
        let (entries, trailer) = try scan(disk)
        let entry = try #require(entries["f"])
        #expect(entry.doubt?.outcome == .unreadable)
        #expect(
            entry.doubt?.errors.map { $0.extent }
                == [Extent(offset: Self.blockSize, length: Self.blockSize)])
        #expect(entry.content?.blocks.runs.map { $0.digest == .zero } == [false, true, false])
        #expect(trailer.root == nil && trailer.counts.unreadable == 1)
    }

    @Test func whatKeepsMovingIsUnstable() throws {
        let disk = SimulatedDisk()
        disk.addFile("/store/f", "first")
        disk.addFile("/store/g", "still")
        let reads = Mutex(0)
        disk.onCall { call in
            guard call.kind == .pread, call.path == Array("/store/f".utf8) else { return }
            let count = reads.withLock { count in
                count += 1
                return count
            }
            disk.advance(seconds: 1)
            disk.write("/store/f", at: 0, Array("\(count)".utf8))
        }
        let (entries, trailer) = try scan(disk)
        #expect(entries["f"]?.doubt == Doubt(.unstable, .changing))
        #expect(entries["f"]?.content == nil)
        #expect(entries["g"]?.doubt == nil)
        #expect(trailer.root == nil && trailer.counts.unstable == 1)
        #expect(reads.withLock { $0 } >= Scan.attempts)
    }

    @Test func whatMovesOnceIsReadAgain() throws {
        let disk = SimulatedDisk()
        disk.addFile("/store/f", "first")
        let isDone = Mutex(false)
        disk.onCall { call in
            guard call.kind == .pread, call.path == Array("/store/f".utf8),
                !isDone.withLock({ $0 })
            else { return }
            isDone.withLock { $0 = true }
            disk.advance(seconds: 1)
            disk.write("/store/f", at: 0, "later")
        }
        let (entries, trailer) = try scan(disk)
        #expect(entries["f"]?.doubt == nil)
        #expect(entries["f"]?.content?.blocks.runs.first?.digest == digest(Array("later".utf8)))
        #expect(trailer.root != nil)
    }

    @Test func anObjectThatMovedBetweenItsNamesIsReadForEach() throws {
        let disk = SimulatedDisk()
        disk.addFile("/store/a", "first")
        disk.addDirectory("/store/b")
        disk.link("/store/a", as: "/store/b/c")
        let isDone = Mutex(false)
        disk.onCall { call in
            guard call.path == Array("/store/b".utf8), !isDone.withLock({ $0 }) else { return }
            isDone.withLock { $0 = true }
            disk.advance(seconds: 1)
            disk.write("/store/a", at: 0, "much longer")
        }
        let (entries, _) = try scan(disk)
        #expect(entries["a"]?.content?.blocks.runs.first?.digest == digest(Array("first".utf8)))
        #expect(
            entries["b/c"]?.content?.blocks.runs.first?.digest
                == digest(Array("much longer".utf8)))
        #expect(entries["b/c"]?.linkedTo == RelativePath(Array("a".utf8)))
    }

    @Test func aListingThatFailsIsNotWhole() throws {
        let disk = SimulatedDisk()
        disk.addFile("/store/d/f", "x")
        disk.inject(Fault(.fail(5), on: .getdents64, under: "/store/d", persistent: true))
        let (entries, trailer) = try scan(disk)
        #expect(
            entries["d"]?.listing == .failed(call: Array("getdents64".utf8), number: 5))
        #expect(trailer.root == nil && trailer.counts.incompleteDirectories == 1)
    }

    @Test func aNameThatComesTwiceIsKeptOnce() throws {
        let disk = SimulatedDisk()
        disk.addFile("/store/d/f", "x")
        disk.addFile("/store/d/g", "y")
        disk.inject(Fault(.listTwice, on: .getdents64, under: "/store/d", persistent: true))
        let (entries, trailer) = try scan(disk)
        #expect(entries["d"]?.listing == .broken)
        #expect(entries.count == 4)
        #expect(trailer.root == nil)
    }

    @Test func anotherFileSystemIsNotEntered() throws {
        let disk = SimulatedDisk()
        disk.addFile("/store/m/f", "x")
        disk.setMount("/store/m", SimulatedMount(number: 2))
        let (entries, trailer) = try scan(disk)
        #expect(entries["m"]?.doubt == Doubt(.notVerified, .mount))
        #expect(entries["m/f"] == nil)
        #expect(trailer.root == nil && trailer.counts.notVerified == 1)
    }

    @Test func timesCloseToTheReadingProveNothing() {
        let now = Timestamp(seconds: 100, nanoseconds: 5)
        func isRacy(mtime: Int64, ctime: Int64, _ nanoseconds: UInt32 = 5) -> Bool {
            Stat(
                type: .file, mtime: Timestamp(seconds: mtime, nanoseconds: nanoseconds),
                ctime: Timestamp(seconds: ctime, nanoseconds: nanoseconds)
            ).isRacy(at: now)
        }
        #expect(!isRacy(mtime: 98, ctime: 98))
        #expect(isRacy(mtime: 98, ctime: 98, 6))
        #expect(isRacy(mtime: 99, ctime: 9) && isRacy(mtime: 9, ctime: 99))
        #expect(isRacy(mtime: 9, ctime: 200) && isRacy(mtime: 102, ctime: 9))
        // Whoever dated it ahead did so long ago.
        #expect(!isRacy(mtime: 200, ctime: 9))
    }
}

import Glibc
import ResyncCore
import TestSupport
import Testing

@testable import ResyncStorage

@Suite struct PrefetchTests {
    private let disk = SimulatedDisk()
    private let blockSize = 64 << 10
    private let worker: Worker

    init() throws {
        worker = try Worker(
            scheme: DigestScheme(.sha256, blockSize: 64 << 10), pulse: Pulse(), stop: Stop())
    }

    /// Digests the files `/s/0`, `/s/1` … as one batch.
    private func digest(_ count: Int, _ source: ReadSource) throws -> [ContentAnswer] {
        let site = try LocalSite(
            path: Array("/s".utf8), disk: disk, options: LocalSiteOptions())
        var names = NameList()
        for index in 0..<count { names.append(Name(Array(String(index).utf8)), kind: .file) }
        let examination = try site.root().examine(
            names, Array(repeating: .open, count: count), worker)
        let requests = (0..<count).map { index in
            let size = examination[index].entry?.stat.size ?? 0
            return ContentRequest(
                index: index, blocks: 0..<blockCount(size, blockSize), source: source)
        }
        return try examination.digest(requests, worker)
    }

    private func addFiles(_ count: Int, size: Int) {
        disk.addDirectory("/s")
        for index in 0..<count {
            disk.addFile("/s/\(index)", [UInt8](repeating: UInt8(index), count: size))
        }
        disk.keepLog()
    }

    @Test func coldFilesAreAllAskedForBeforeTheFirstIsRead() throws {
        addFiles(20, size: 5000)
        let cold = try digest(20, .cache)
        let calls = disk.log.map(\.kind).filter { $0 == .fadvise || $0 == .pread }
        #expect(calls.prefix(20).allSatisfy { $0 == .fadvise })
        #expect(calls.filter { $0 == .fadvise }.count == 20)

        // They are cached by now.
        #expect(try digest(20, .cache).map(\.blocks) == cold.map(\.blocks))
        #expect(disk.count(.fadvise) == 20)
    }

    @Test func nothingIsAskedForThatIsReadPastTheCache() throws {
        addFiles(3, size: 5000)
        _ = try digest(3, .media)
        #expect(disk.count(.fadvise) == 0)

    }

    @Test func whatTheKernelReadsAheadIsNotAskedFor() throws {
        addFiles(3, size: 200_000)
        _ = try digest(3, .cache)
        #expect(disk.count(.fadvise) == 0)
    }

    @Test func whatOneWorkerAsksForIsBounded() throws {
        addFiles(40, size: 100_000)
        #expect(try digest(40, .cache).count == 40)
        #expect(disk.count(.fadvise) == (2 << 20) / 100_000)
    }

    @Test func adviceThatFailsChangesNothing() throws {
        addFiles(20, size: 5000)
        disk.inject(Fault(.fail(EIO), on: .fadvise, persistent: true))
        disk.inject(Fault(.fail(ENOSYS), on: .cachestat, persistent: true))
        let answers = try digest(20, .cache)
        #expect(disk.firedFaults == 22)
        #expect(answers.allSatisfy { $0.isWhole && $0.bytesRead == 5000 })
    }
}

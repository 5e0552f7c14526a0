import ResyncCore
import ResyncStorage
import Synchronization
import TestSupport
import Testing

@testable import ResyncEngine

/// The sample that `bench` reads.
@Suite struct StoreBenchTests {
    private static let blockSize = 64 << 10

    private func bench(
        _ disk: SimulatedDisk, _ path: String = "/store", duration: Double = 5, inodes: Int = 0
    ) throws -> BenchResult {
        let site = try LocalSite(
            path: Array(path.utf8), disk: disk, options: LocalSiteOptions())
        let limits = RunLimits(work: WorkPolicy(fixed: 2, cores: 2))
        let controls = RunControls(interruption: { nil }, report: { _, _ in })
        return try StoreBench(
            site, DigestScheme(.gmac, blockSize: Self.blockSize), WalkScope(), limits, controls,
            duration: duration, rate: nil)(inodes: inodes)
    }

    private func store() -> SimulatedDisk {
        let disk = SimulatedDisk()
        disk.addDirectory("/store/d")
        for index in 0..<200 { disk.addFile("/store/d/f\(index)", "content \(index)") }
        disk.addGenerated("/store/large", size: 5 << 20, seed: 1)
        return disk
    }

    @Test func allOfASmallStoreIsRead() throws {
        let result = try bench(store())
        #expect(result.isCounted)
        #expect(result.files == 201 && result.failures == 0)
        #expect(result.bytes >= 5 << 20)
        // Through the cache and from the medium, each large range by one of them.
        #expect(result.filesRead == 400)
        #expect(result.levels.map(\.assurance) == ["metadata", "cached", "hash", "media"])
    }

    @Test func nothingIsWritten() throws {
        let disk = store()
        let before = disk.fingerprint
        _ = try bench(disk)
        #expect(disk.fingerprint == before)
    }

    @Test func whatCannotBeReadIsCounted() throws {
        let disk = store()
        disk.inject(Fault(.fail(13), on: .openat, under: "/store/d/f7", persistent: true))
        let result = try bench(disk)
        #expect(result.failures > 0)
    }

    @Test func whatCouldNotBeCountedIsToldByTheFileSystem() throws {
        let disk = store()
        disk.onCall { call in
            guard call.path.starts(with: Array("/store/d/".utf8)) else { return }
            usleepFor(2)
        }
        let result = try bench(disk, duration: 0.3, inodes: 5000)
        #expect(!result.isCounted)
        #expect(result.entries == 5000)
        let metadata = try #require(result.levels.first?.estimate)
        #expect(metadata.low < metadata.seconds && metadata.seconds < metadata.high)
    }
}

private func usleepFor(_ milliseconds: Int) {
    let until = monotonicSeconds() + Double(milliseconds) / 1000
    while monotonicSeconds() < until {}
}

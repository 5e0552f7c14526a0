import Glibc
import ResyncCore
import TestSupport
import Testing

@testable import ResyncStorage

@Suite struct MarkerFileTests {
    private func store(_ disk: SimulatedDisk) throws -> LocalSite {
        if !disk.exists("/s") { disk.addDirectory("/s") }
        return try LocalSite(path: Array("/s".utf8), disk: disk, options: LocalSiteOptions())
    }

    private func marker(_ number: UInt64) -> StoreMarker {
        var marker = StoreMarker(
            store: Digest(words: (number, 1, 2, 3)),
            identity: StoreIdentity(fileSystem: 5, inode: 6))
        marker.baseline = Digest(words: (number, 0, 0, 0))
        marker.history = [.zero]
        marker.inconsistent = "run"
        // As those were that were written first.
        if number == 2 { marker.followed = Digest(words: (7, number, 0, 0)) }
        return marker
    }

    @Test func whatIsWrittenIsRead() throws {
        let disk = SimulatedDisk()
        let site = try store(disk)
        #expect(try MarkerFile.read(site) == nil)
        for number in 1...2 as ClosedRange<UInt64> {
            try MarkerFile.write(marker(number), to: site)
            #expect(try MarkerFile.read(site) == marker(number))
        }
        #expect(disk.peek("/s/.resync-store").mode == 0o600)
        #expect(!disk.exists("/s/.resync-store.new"))
        #expect(disk.openDescriptors == 1)
    }

    /// As on NFS, where a directory cannot be locked for one holder.
    @Test func aMarkerIsChangedWhereADirectoryCannotBeLocked() throws {
        let disk = SimulatedDisk()
        let site = try store(disk)
        disk.inject(Fault(.fail(EBADF), on: .flock, persistent: true))
        #expect(try MarkerFile.change(site) { $0.inconsistent = "run" }.inconsistent == "run")
        #expect(try MarkerFile.read(site)?.inconsistent == "run")
        disk.clearFaults()
        disk.inject(Fault(.fail(EIO), on: .flock, persistent: true))
        #expect(throws: DiskError(.flock, EIO)) { try MarkerFile.change(site) { _ in } }
        #expect(disk.openDescriptors == 1)
    }

    /// Every call after the Nth fails, and then the power does.
    @Test func writingLeavesTheOldOrTheNew() throws {
        for stop in 1... {
            let disk = SimulatedDisk()
            disk.addDirectory("/s")
            let site = try store(disk)
            try MarkerFile.write(marker(1), to: site)
            disk.addFile("/s/.resync-store.new", "rubbish")
            disk.inject(Fault(.fail(EIO), nth: stop, persistent: true))
            let isDone = (try? MarkerFile.write(marker(2), to: site)) != nil
            for order in NameOrder.allCases {
                for seed in 0..<20 as Range<UInt64> {
                    let after = disk.crash(keeping: .random, order: order, seed: seed)
                    let found = try MarkerFile.read(try store(after))
                    let allowed = isDone ? [marker(2)] : [marker(1), marker(2)]
                    #expect(found.map { allowed.contains($0) } ?? false, "call \(stop), \(seed)")
                }
            }
            if isDone {
                #expect(stop > 6)
                return
            }
        }
    }

    @Test func whatIsNoMarkerIsRefused() throws {
        func refused(_ make: (SimulatedDisk) -> Void) throws -> String {
            let disk = SimulatedDisk()
            disk.addDirectory("/s")
            make(disk)
            do {
                _ = try MarkerFile.read(try store(disk))
                return "accepted"
            } catch let error as StoreError {
                return error.reason
            }
        }
        let good = SimulatedDisk()
        try MarkerFile.write(marker(1), to: try store(good))
        let bytes = good.content("/s/.resync-store")
        let name = "/s/.resync-store"
        #expect(try refused { $0.addFile(name, bytes) } == "accepted")
        let cases: [(String, (SimulatedDisk) -> Void)] = [
            ("is no regular file", { $0.addSymlink(name, to: "/elsewhere") }),
            ("is no regular file", { $0.addFifo(name) }),
            ("is no regular file", { $0.addDirectory(name) }),
            (
                "has several names",
                {
                    $0.addFile(name, bytes); $0.link(name, as: "/s/x")
                }
            ),
            ("is too large", { $0.addFile(name, [UInt8](repeating: 0, count: 5000)) }),
            ("is not a file of this kind", { $0.addFile(name, "rubbish") }),
            ("is damaged", { $0.addFile(name, bytes + [0]) }),
        ]
        for (why, make) in cases { #expect(try refused(make).contains(why), "\(why)") }
        for count in 0..<bytes.count {
            let found = try refused { $0.addFile(name, Array(bytes[..<count])) }
            #expect(found.contains("cannot be used"), "\(count) bytes: \(found)")
        }
        for at in bytes.indices {
            var flipped = bytes
            flipped[at] ^= 1
            let found = try refused { $0.addFile(name, flipped) }
            #expect(found.contains("cannot be used"), "byte \(at): \(found)")
        }
    }
}

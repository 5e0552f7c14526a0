import Foundation
import Glibc
import ResyncCore
import ResyncStorage
import TestSupport
import Testing

@testable import ResyncEngine

/// Directories that are huge, endless or very deep, and directories that are swapped meanwhile.
@Suite struct OddDirectoryTests {
    /// Every way of reading names: at once, and sorted by portions through a file.
    @Test(arguments: [1 << 18, 64]) func aDirectoryWithoutAnEndIsLeft(_ namesInMemory: Int) throws {
        let stores = TwoStores()
        stores.both { root in
            for index in 100..<300 { stores.disk.addFile("\(root)/d/\(index)", "1") }
            stores.disk.addFile("\(root)/e/after", "1")
        }
        stores.disk.write("/b/d/205", at: 0, "2")
        stores.disk.remove("/a/d/111")
        stores.calm()
        stores.disk.inject(
            Fault(.listForever, on: .getdents64, under: "/a/d", persistent: true))
        let found = try stores.verify {
            $0.options = {
                $0.namesInMemory = namesInMemory
                $0.namesInDirectory = 2000
            }
        }
        let odd = found.lines.filter { !$0.hasPrefix("=") }
        #expect(
            odd == [
                "- d/111 existence", "* d/205 content 0+1 bitflip", "! d (brokenDirectory)",
            ])
        #expect(found.status == .trouble)
        #expect(found.lines.contains("= e/after"))
        // It was given up at the limit, not much later.
        #expect(stores.disk.count(.getdents64, "/a/d") < 100)
    }

    /// Compares `a` with `b` in a folder of the real file system, tmpfs where there is one.
    private func verify(
        _ top: String, _ change: @escaping (inout LocalSiteOptions) -> Void
    ) throws -> (result: VerifyResult, lines: [String]) {
        let disk = LinuxDisk()
        let state = try StateFolder(path: Array("\(top)/state".utf8), disk: disk)
        var options = LocalSiteOptions()
        options.scratch = state.folder.scratch
        change(&options)
        let sites = try Sides(a: "a", b: "b").map {
            try LocalSite(path: Array("\(top)/\($0)".utf8), disk: disk, options: options)
        }
        var plan = VerifyPlan(
            sites: WalkedSites(a: sites.a, b: sites.b),
            rules: VerifyRules(scheme: try DigestScheme(.gmac, blockSize: 64 << 10)),
            limits: RunLimits(work: WorkPolicy(fixed: 2, cores: 2)))
        plan.settle = 0
        let header = RunHeader(
            id: "run", kind: "verify", started: TwoStores.calmTime, a: [], b: [], arguments: [],
            workingDirectory: [], version: "test")
        let run = try RunFolder.create(in: state.runs, header)
        let result = try VerifyRun(
            plan, RunControls(interruption: { nil }, report: { _, _ in }), in: run)()
        var reader = try run.results()
        var lines: [String] = []
        while let record = try reader.next() { lines.append(line(record)) }
        return (result, lines)
    }

    /// Removed when released; in memory where that can be had.
    private final class Place {
        let path: String

        init(_ script: String) throws {
            let shared = "/dev/shm"
            let parent =
                FileManager.default.isWritableFile(atPath: shared) ? shared : NSTemporaryDirectory()
            path = "\(parent)/resync-odd-\(UInt64.random(in: 0...UInt64.max))"
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true)
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/bin/bash")
            process.arguments = ["-c", "set -e\n" + script]
            process.currentDirectoryURL = URL(fileURLWithPath: path)
            try process.run()
            process.waitUntilExit()
            try #require(process.terminationStatus == 0)
        }

        deinit {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/bin/rm")
            process.arguments = ["-rf", path]
            guard (try? process.run()) != nil else { return }
            process.waitUntilExit()
        }
    }

    @Test func manyNamesInOneDirectoryAreComparedThroughAFile() throws {
        let place = try Place(
            """
            mkdir a b
            for side in a b; do
                (cd $side && seq -f 'some-name-%06g' 60000 | xargs touch -d @1000000000)
            done
            printf x >a/some-name-030000; printf y >b/some-name-030000
            touch -d @1000000000 a/some-name-030000 b/some-name-030000
            rm a/some-name-000001 b/some-name-059999
            """)
        let found = try verify(place.path) { $0.namesInMemory = 4000 }
        #expect(
            found.lines == [
                "- some-name-000001 existence", "* some-name-030000 content 0+1 bitflip",
                "+ some-name-059999 existence",
            ])
        #expect(found.result.summary.tally.entries == 60_000)
        #expect(found.result.summary.tally.same == 59_997)
        #expect(found.result.summary.status == .differences)
    }

    /// Longer than any path that is kept: one entry that was not verified, and not the end of all.
    @Test func aDirectoryWithAPathTooLongIsLeft() throws {
        // It is a record of its own, as a directory, in every format.
        #expect(LocalSiteOptions().directoryPath + 1 + Name.limit <= ManifestLimit.path)
        let stores = TwoStores()
        stores.both { root in
            for depth in 1...4 {
                stores.disk.addFile(
                    root + String(repeating: "/dd", count: depth) + "/file", "\(depth)")
            }
            stores.disk.addFile("\(root)/e/after", "1")
        }
        stores.calm()
        let found = try stores.verify { $0.options = { $0.directoryPath = 8 } }
        #expect(
            found.lines.filter { !$0.hasPrefix("=") } == [
                "! dd/dd/dd/dd !a:openat:ENAMETOOLONG !b:openat:ENAMETOOLONG"
            ])
        #expect(found.lines.contains("= dd/dd/dd/file") && found.lines.contains("= e/after"))
        #expect(found.status == .trouble)
    }

    /// On the way back every directory has one more name, so that it must be opened again.
    @Test func deepDirectoriesAreOpenedAgainOnTheWayBack() throws {
        let depth = isLongRun ? 4000 : 300
        let place = try Place("mkdir a b")
        for side in ["a", "b"] { try Self.dig("\(place.path)/\(side)", depth) }
        let found = try verify(place.path) { $0.openDirectories = 8 }
        let tally = found.result.summary.tally
        #expect(tally.entries == 2 * depth + 1)
        #expect(tally.same == 2 * depth + 1, "\(found.lines.prefix(3))")
        #expect(found.result.summary.status == .ok)
    }

    /// Directories in directories, each with a file that says how deep it lies.
    private static func dig(_ path: String, _ depth: Int) throws {
        let time = [timespec](repeating: timespec(tv_sec: 1_000_000_000, tv_nsec: 0), count: 2)
        var folder = Glibc.open(path, O_RDONLY | O_DIRECTORY)
        defer { Glibc.close(folder) }
        for level in 0...depth {
            let file = openat(folder, "z", O_WRONLY | O_CREAT | O_EXCL, 0o644)
            let text = Array("\(level)".utf8)
            try #require(Glibc.write(file, text, text.count) == text.count)
            try #require(futimens(file, time) == 0)
            Glibc.close(file)
            guard level < depth else { break }
            try #require(mkdirat(folder, "d", 0o755) == 0)
            let next = openat(folder, "d", O_RDONLY | O_DIRECTORY)
            try #require(next >= 0 && futimens(folder, time) == 0)
            Glibc.close(folder)
            folder = next
        }
        try #require(futimens(folder, time) == 0)
    }

    /// The other directory has what would make both sides agree.
    @Test(arguments: [1, 4]) func aParentThatIsSwappedIsNotTakenForTheOldOne(
        _ workers: Int
    ) throws {
        for level in [1, 3, 10] {
            let stores = TwoStores()
            func path(_ root: String, _ depth: Int) -> String {
                root + String(repeating: "/d", count: depth)
            }
            for depth in 0...20 {
                stores.disk.addFile(path("/a", depth) + "/z", "true")
                stores.disk.addFile(path("/b", depth) + "/z", "fake")
                guard depth >= level else { continue }
                stores.disk.addFile(path(path("/other", level), depth - level) + "/z", "fake")
            }
            stores.disk.addFile(path("/a", 20) + "/bottom", "1")
            stores.disk.addFile(path("/b", 20) + "/bottom", "1")
            stores.calm()
            let disk = stores.disk
            let bottom = Array((path("/a", 20) + "/bottom").utf8)
            let (old, new) = (path("/a", level), path("/other", level))
            let swaps = Counter()
            disk.onCall { call in
                guard call.kind == .openat, call.path == bottom, swaps.next() == 1 else { return }
                disk.rename(old, to: "/gone")
                disk.rename(new, to: old)
            }
            let found = try stores.verify {
                $0.workers = workers
                $0.options = { $0.openDirectories = 3 }
                // A second look would find the other directory by its path, and agreement there.
                $0.plan = {
                    $0.scope.batchSize = 1
                    $0.confirmPasses = 0
                }
            }
            disk.onCall(nil)
            #expect(swaps.count > 0)
            let wrong = found.lines.filter { $0.hasPrefix("=") && $0.hasSuffix("/z") }
            #expect(wrong.isEmpty, "level \(level): \(found.lines)")
            guard workers == 1 else { continue }
            #expect(found.status == .trouble, "level \(level): \(found.lines)")
            #expect(found.lines.contains { $0.hasSuffix("/z !a:openat:ESTALE") })
        }
    }
}

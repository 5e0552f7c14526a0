import ArgumentParser
import Foundation
import ResyncCore
import ResyncEngine
import ResyncStorage

/// Patches scattered blocks of a large image, from the plan on, and has rsync do the same.
struct Patch: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Time patching an image in place against rsync --inplace.",
        discussion: """
            Makes DIRECTORY/a and copies of it with CHANGES blocks of 4 KiB that differ, drops the \
            page cache where it may, and prints seconds for each tool and their ratio.
            """)

    @Argument(help: "A directory to work in, on the storage to be measured.")
    var directory: String

    @Option(help: "Bytes of the image, in MiB.")
    var size = 4096

    @Option(help: "Blocks of 4 KiB that differ.")
    var changes = 1000

    @Option(help: "Rounds; the median counts.")
    var rounds = 3

    func validate() throws {
        guard size > 0, size <= 1 << 20, rounds > 0, (1...size * 128).contains(changes) else {
            throw ValidationError("out of bounds")
        }
    }

    private var a: String { directory + "/a" }
    private var b: String { directory + "/b" }

    func run() throws {
        try FileManager.default.createDirectory(
            atPath: directory, withIntermediateDirectories: true)
        let actions = try make()
        var ours: [Double] = []
        var theirs: [Double] = []
        for round in 0..<rounds {
            ours.append(try measure(actions) { try patch(actions, round) })
            theirs.append(
                try measure(actions) {
                    try command(["rsync", "--inplace", "--no-whole-file", "--fsync", a, b])
                })
        }
        let (our, their) = (ours.sorted()[rounds / 2], theirs.sorted()[rounds / 2])
        print(
            String(
                format: "patch %.2f s, rsync %.2f s, ratio %.3f", our, their, our / their))
        for path in [a, b] { try FileManager.default.removeItem(atPath: path) }
    }

    /// Two images that differ, and what makes B as A is.
    private func make() throws -> [Action] {
        var random = Random(seed: 1, stream: 0)
        var words = [UInt64](repeating: 0, count: 1 << 17)
        guard FileManager.default.createFile(atPath: a, contents: nil),
            let output = FileHandle(forWritingAtPath: a)
        else { throw BenchError("no \(a)") }
        for _ in 0..<size {
            words.withUnsafeMutableBufferPointer { random.fill($0) }
            try output.write(contentsOf: words.withUnsafeBytes { Data($0) })
        }
        try output.close()
        try command(["cp", a, b])
        var pages: Set<Int> = []
        while pages.count < changes { pages.insert(Int(random.next() % UInt64(size * 256))) }
        var actions: [Action] = []
        var action = Action(.patch, on: .b, .root, why: .unknown)
        guard let input = FileHandle(forReadingAtPath: a) else { throw BenchError("no \(a)") }
        for page in pages.sorted() {
            try input.seek(toOffset: UInt64(page) << 12)
            let new = try input.read(upToCount: 4096) ?? Data()
            action.patches.append(
                Action.Patch(
                    extent: Extent(offset: page << 12, length: 4096),
                    before: try sha256(Data(new.map { ~$0 })), after: try sha256(new)))
            if action.patches.count == 1024 {
                actions.append(action)
                action.patches = []
            }
        }
        return action.patches.isEmpty ? actions : actions + [action]
    }

    /// Puts the differences into B, and times what takes them out.
    private func measure(_ actions: [Action], _ body: () throws -> Void) throws -> Double {
        guard let source = FileHandle(forReadingAtPath: a),
            let target = FileHandle(forWritingAtPath: b)
        else { throw BenchError("no images") }
        for patch in actions.flatMap(\.patches) {
            try source.seek(toOffset: UInt64(patch.extent.offset))
            let new = try source.read(upToCount: patch.extent.length) ?? Data()
            try target.seek(toOffset: UInt64(patch.extent.offset))
            try target.write(contentsOf: Data(new.map { ~$0 }))
        }
        try target.close()
        try command(["sync"])
        // Whoever may not drops nothing, for either tool.
        try? command(["sh", "-c", "echo 3 > /proc/sys/vm/drop_caches"])
        // rsync passes over files of equal size and time.
        try command(["touch", "-d", "2001-01-01", b])
        let start = ContinuousClock.now
        try body()
        let seconds = start.duration(to: .now) / .seconds(1)
        try command(["cmp", a, b])
        return seconds
    }

    private func patch(_ actions: [Action], _ round: Int) throws {
        let disk = LinuxDisk()
        let facts = try LocalSite(
            path: Array(b.utf8), disk: disk, options: LocalSiteOptions()
        ).facts
        let planned = StoreReference(
            path: facts.path, kind: .file,
            identity: StoreIdentity(
                fileSystem: facts.fileSystem.identity, inode: facts.stat.inode,
                device: facts.stat.device), size: facts.size)
        let target = try ImageTarget(planned, disk: disk)
        let folder = try Folder.make(path: Array(directory.utf8), disk: disk)
        let name = Array("undo-\(round)".utf8)
        let log = try UndoLog.create(
            name, in: folder, run: "bench", plan: .zero, target: target,
            space: actions.reduce(0) { $0 + UndoFile.space(of: $1) })
        let worker = try Worker(
            scheme: DigestScheme(.sha256, blockSize: 1 << 20), pulse: Pulse(), stop: Stop())
        let patcher = ImagePatcher(target, log, worker)
        let source = try LocalSite(
            path: Array(a.utf8), disk: disk, options: LocalSiteOptions())
        let outcome = try patcher.apply(
            actions, from: OpenContent(try source.image(upTo: .max), 0))
        guard outcome.stop == nil, outcome.results.allSatisfy({ $0 == .done }) else {
            throw BenchError("not patched: \(outcome)")
        }
        try folder.remove(name)
    }

    private func sha256(_ data: Data) throws -> Digest {
        var hash = try EVPHash(.sha256)
        hash.update(Array(data))
        return hash.finalize()
    }

    private func command(_ words: [String]) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = words
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw BenchError("failed: \(words)") }
    }
}

import ArgumentParser
import Foundation
import ResyncCore
import ResyncEngine
import ResyncStorage

/// How much memory planning for so many differences takes.
struct PlanMemory: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Plan for made-up differences; print the most memory it took, in KiB.")

    @Option(help: "Differences of all kinds.")
    var differences = 1000

    @Option(help: "Where scratch files go.")
    var directory = "/tmp"

    func run() throws {
        let folder = try Folder.make(path: Array(directory.utf8), disk: LinuxDisk())
        let scratch = folder.scratch
        var planner = try makePlanner(scratch)
        let policy = PlanPolicy(.a)
        let perDirectory = 1000
        var sides = Sides<ObservedEntry?>(a: entry(.directory, 1), b: entry(.directory, 1))
        try planner.enter(.root, sides)
        for number in 0..<differences {
            let name = RelativePath(Array("d\(padded(number / perDirectory))".utf8))
            if number % perDirectory == 0 { try planner.enter(name, sides) }
            let path = name.appending(Name(Array("f\(padded(number))".utf8)))
            let found = Sides<ObservedEntry?>(
                a: number % 3 == 1 ? nil : entry(number % 3 == 0 ? .directory : .file, number),
                b: number % 3 == 0 ? nil : entry(.file, number + 1))
            var aspects = AspectSet(.existence)
            if found.a != nil, found.b != nil { aspects = AspectSet(.content) }
            let difference = SurveyedEntry(path: path, sides: found, aspects: aspects)
            try planner.add(difference, policy.choose(difference))
        }
        try planner.finish()
        sides.a = nil
        print(peakMemory())
    }

    private func makePlanner(_ scratch: Scratch) throws -> Planner {
        let output = try scratch.file()
        var end = 0
        let header = PlanHeader(
            stores: Side.both { _ in
                StoreReference(path: [], kind: .directory, identity: StoreIdentity())
            },
            authority: .a, created: .now, blockSize: 1 << 20, aspects: .standard,
            exclusions: .zero)
        var writer = try PlanWriter(
            header, hash: try EVPHash(.sha256), chain: try EVPHash(.sha256)
        ) { bytes in
            try output.write(bytes, at: end)
            end += bytes.count
        }
        return Planner(spools: PlanSpools { ActionSpoolFile(scratch) }) { action, _ in
            try writer.append(action)
        }
    }

    private func entry(_ type: EntryType, _ number: Int) -> ObservedEntry {
        var stat = Stat(type: type, mode: 0o755, size: number, inode: UInt64(number))
        stat.mtime = .now
        let content = Digest(words: (UInt64(number), 1, 2, 3))
        return ObservedEntry(entry: Entry(stat: stat), content: type == .file ? content : nil)
    }

    private func padded(_ number: Int) -> String { String(format: "%08d", number) }
}

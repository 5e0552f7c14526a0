import ArgumentParser
import Foundation
import ResyncCore
import ResyncEngine
import ResyncStorage

private let day = 86400.0

/// How long it takes to choose what is due to be read again.
struct Due: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Choose what of a made-up baseline is to be read again.",
        discussion: """
            Makes a baseline of so many files, proven on 28 days, and chooses what a night reads \
            again of them. Prints the seconds of both, the baseline's bytes, and the most memory \
            it took, in KiB.
            """)

    @Option(help: "Files of the pair.")
    var entries = 1_000_000

    @Option(help: "Files chosen at a time.")
    var limit = 1_000_000

    @Option(help: "Where the baseline goes; it is removed again.")
    var directory = "/var/tmp"

    func run() throws {
        let place = directory + "/resync-due-\(getpid())"
        defer { try? FileManager.default.removeItem(atPath: place) }
        let state = try StateFolder(path: Array(place.utf8), disk: LinuxDisk())
        let baselines = state.baselines
        let identities = Sides(
            a: StoreIdentity(fileSystem: 1, inode: 2), b: StoreIdentity(fileSystem: 2, inode: 2))
        let now = Timestamp.now
        let header = BaselineHeader(
            identities: identities, blockSize: 1 << 20, exclusions: .zero, written: now)
        let start = ContinuousClock.now
        var number = 0
        _ = try baselines.update(header) { () -> BaselineUpdate? in
            guard number < entries else { return nil }
            defer { number += 1 }
            return .set(record(number, before: now))
        }
        let made = start.duration(to: .now) / .seconds(1)
        guard let baseline = try baselines.find(identities) else {
            throw BenchError("no baseline was made")
        }
        let chosen = ContinuousClock.now
        let oldest = try OldestRead(
            baseline, at: now, age: 28 * day, pause: day, share: 1.2 / 28, limit: limit)
        let seconds = chosen.duration(to: .now) / .seconds(1)
        print(
            "made", String(format: "%.2f", made), "chosen", String(format: "%.2f", seconds),
            "files", oldest.paths.count, "peak", peakMemory())
    }

    private static let perDirectory = 1000

    private func record(_ number: Int, before now: Timestamp) -> BaselineRecord {
        let name = String(
            format: "projects/team%05d/file-%09d.dat", number / Self.perDirectory, number)
        var stat = Stat(
            type: .file, mode: 0o644, size: 1 + number % 100_000, inode: UInt64(number))
        stat.mtime = now.adding(seconds: -Int64(29 * day))
        stat.ctime = stat.mtime
        let content = Digest(words: (UInt64(number), 1, 2, 3))
        let witness = BaselineRecord.Witness(stat)
        return BaselineRecord(
            path: RelativePath(Array(name.utf8)),
            agreed: ObservedEntry(entry: Entry(stat: stat), content: content),
            witnesses: Sides(a: witness, b: witness), aspects: .standard, level: .media,
            time: now.adding(seconds: -Int64(number % 28) * Int64(day)))
    }
}

/// The most memory that this process has taken, in KiB.
func peakMemory() -> Int {
    let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
    return line.flatMap { Int($0.filter { $0.isNumber }) } ?? 0
}

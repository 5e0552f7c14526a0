import ArgumentParser
import Foundation

/// Makes the stores that `Benchmarks/compare` compares tools on, and times what has no command yet.
@main
struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resync-bench",
        abstract: "Make stores from a seed, for measuring, and time what has no command yet.",
        subcommands: [Generate.self, Patch.self, PlanMemory.self, Due.self])

    @Flag(help: "Generate tiny versions of every workload, check them, remove them.")
    var smoke = false

    func run() throws {
        guard smoke else { throw CleanExit.helpRequest(self) }
        try Smoke.run()
    }
}

struct Generate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make two stores, DIRECTORY/a and DIRECTORY/b.",
        discussion: """
            small:     200000 files of 1 to 8 KiB a side, 500 to a directory
            big:       4 files of 1 GiB of random bytes a side
            tree:      two copies of a directory that every machine has
            sparse:    an image of 64 GiB a side, 1 GiB of it data, the rest holes
            huge:      1000000 names in one directory, a sixteenth of them with content
            deep:      20 chains of 400 directories, one in the other, each with a file
            nightly:   as small, with other bytes
            divergent: 100000 files a side; of B's, 5 in 100 differ: two in bytes under equal size
                       and time, one in bytes and time, one in size, one is missing on a side

            All but divergent are equal on both sides.

            Stores that are already there and complete are left as they are.
            """)

    @Argument(help: ArgumentHelp(stringLiteral: Workload.words))
    var workload: Workload

    @Argument(help: "Made if missing; otherwise empty or made by this command.")
    var directory: String

    @Option(help: "Multiplies how many files there are, or how large they are.")
    var scale = 1.0

    @Option(help: "What sizes and bytes are drawn from.")
    var seed: UInt64 = 1

    @Option(help: "The directory that tree copies.")
    var source = "/usr"

    func validate() throws {
        guard scale > 0, scale <= 1000 else {
            throw ValidationError("--scale is more than 0 and at most 1000")
        }
        guard workload != .tree || scale == 1 else {
            throw ValidationError("tree has no scale: it is a copy of --source")
        }
    }

    func run() throws {
        let generator = Generator(
            Parameters(workload: workload, scale: scale, seed: seed, source: source),
            directory: directory, durable: true)
        let start = ContinuousClock.now
        let outcome = try generator.run()
        let seconds = start.duration(to: .now) / .seconds(1)
        switch outcome {
        case .reused:
            print("\(workload.rawValue): already complete in \(directory)")
        case .generated:
            print(
                "\(workload.rawValue): generated in \(directory) in",
                String(format: "%.1f s", seconds))
        }
    }
}

import ArgumentParser
import Foundation

/// Makes the stores that `Benchmarks/measure` compares tools on, and times what has no command yet.
@main
struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resync-bench",
        abstract: "Make equal stores from a seed, for measuring, and time patching and planning.",
        subcommands: [Generate.self, Patch.self, PlanMemory.self])

    @Flag(help: "Generate tiny versions of every workload, check them, remove them.")
    var smoke = false

    func run() throws {
        guard smoke else { throw CleanExit.helpRequest(self) }
        try Smoke.run()
    }
}

struct Generate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make two equal stores, DIRECTORY/a and DIRECTORY/b.",
        discussion: """
            small: 200000 files of 1 to 8 KiB a side, 500 to a directory
            big:   4 files of 1 GiB of random bytes a side
            tree:  two copies of a directory that every machine has

            Stores that are already there and complete are left as they are.
            """)

    @Argument(help: "small, big or tree.")
    var workload: Workload

    @Argument(help: "Made if missing; otherwise empty or made by this command.")
    var directory: String

    @Option(help: "Multiplies the directories of small, the file size of big.")
    var scale = 1.0

    @Option(help: "What the sizes and bytes of small and big are drawn from.")
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

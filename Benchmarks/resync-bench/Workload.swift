import ArgumentParser

enum Workload: String, CaseIterable, ExpressibleByArgument {
    case small, big, tree
}

/// Everything that decides what a workload's stores hold.
struct Parameters: Sendable {
    let workload: Workload
    let scale: Double
    let seed: UInt64
    /// What `tree` copies; the other workloads do not look at it.
    let source: String

    static let filesPerDirectory = 500
    static let bigFiles = 4

    /// Directories in a side of `small`.
    var directories: Int { max(1, Int((400 * scale).rounded())) }

    /// Bytes in a file of `big`.
    var bigFileSize: Int { max(4096, Int(Double(1 << 30) * scale)) }

    /// The text of the stamp file: equal texts mean equal stores. The first line changes whenever
    /// the generator makes other stores from the same parameters.
    var stamp: String {
        var lines = ["resync-bench stores 1", "workload \(workload.rawValue)"]
        switch workload {
        case .small, .big: lines += ["scale \(scale)", "seed \(seed)"]
        case .tree: lines += ["source \(source)"]
        }
        return lines.joined(separator: "\n") + "\n"
    }
}

struct BenchError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

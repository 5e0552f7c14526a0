import ArgumentParser

enum Workload: String, CaseIterable, ExpressibleByArgument {
    case small, big, tree, sparse, huge, deep, nightly, divergent

    static let words = allCases.map(\.rawValue).joined(separator: ", ") + "."
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

    /// Directories in a side of `small`, `nightly` or `divergent`.
    var directories: Int {
        max(1, Int(((workload == .divergent ? 200 : 400) * scale).rounded()))
    }

    /// Bytes in a file of `big`.
    var bigFileSize: Int { max(4096, Int(Double(1 << 30) * scale)) }

    /// Mebibytes of data in the image of `sparse`, each the first of so many of its size.
    var sparsePieces: Int { max(1, Int((1024 * scale).rounded())) }
    static let sparseStride = 64

    /// Names in the one directory of `huge`; one in `hugeFilled` of them has content.
    var hugeNames: Int { max(16, Int((1_000_000 * scale).rounded())) }
    static let hugeFilled = 16

    /// Chains of directories in `deep`, and the directories of each, one in the other.
    var deepChains: Int { max(1, Int((20 * scale).rounded())) }
    static let deepLevels = 400

    /// The text of the stamp file: equal texts mean equal stores. The first line changes whenever
    /// the generator makes other stores from the same parameters.
    var stamp: String {
        var lines = ["resync-bench stores 1", "workload \(workload.rawValue)"]
        switch workload {
        case .small, .big, .sparse, .huge, .deep, .nightly, .divergent:
            lines += ["scale \(scale)", "seed \(seed)"]
        case .tree: lines += ["source \(source)"]
        }
        return lines.joined(separator: "\n") + "\n"
    }
}

struct BenchError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

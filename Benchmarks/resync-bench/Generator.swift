import Foundation
import Glibc

/// Makes the two stores of one workload, or finds them made.
///
/// `begun` is written first and says that the directory is ours to clear; `stamp` is written last,
/// after everything else was synced, and says that the stores are whole.
struct Generator {
    enum Outcome { case reused, generated }

    private let parameters: Parameters
    private let directory: String
    private let durable: Bool

    /// Without `durable` the stamp may outlive a power loss that the stores do not.
    init(_ parameters: Parameters, directory: String, durable: Bool) {
        self.parameters = parameters
        self.directory = directory
        self.durable = durable
    }

    var sideA: String { directory + "/a" }
    var sideB: String { directory + "/b" }
    var stamp: String { directory + "/stamp" }
    private var begun: String { directory + "/begun" }

    /// Throws `BenchError` for a directory that holds what this command did not make.
    func run() throws -> Outcome {
        if try isComplete() { return .reused }
        try clear()
        try Data().write(to: URL(fileURLWithPath: begun))
        switch parameters.workload {
        case .tree: try copyTree()
        default: try StoreWriter(parameters).write(sideA, sideB)
        }
        if durable { sync() }
        try Data(parameters.stamp.utf8).write(to: URL(fileURLWithPath: stamp), options: .atomic)
        return .generated
    }

    private func isComplete() throws -> Bool {
        guard FileManager.default.fileExists(atPath: stamp) else { return false }
        let text = try Data(contentsOf: URL(fileURLWithPath: stamp))
        return text == Data(parameters.stamp.utf8)
    }

    private func clear() throws {
        let files = FileManager.default
        try files.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let names = try files.contentsOfDirectory(atPath: directory)
        guard names.isEmpty || names.contains("begun") else {
            throw BenchError("\(directory) is not empty, and not made by this command")
        }
        // The stamp goes first: a removal cut short must not leave it on half a store.
        for path in [stamp, sideA, sideB] where names.contains(path.lastComponent) {
            try files.removeItem(atPath: path)
        }
    }

    /// The second copy is made from the first, since the source may change in between.
    private func copyTree() throws {
        try copy(parameters.source, to: sideA)
        try copy(sideA, to: sideB)
    }

    private func copy(_ source: String, to destination: String) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/cp")
        process.arguments = ["-a", "--one-file-system", "--", source + "/.", destination]
        try process.run()
        process.waitUntilExit()
        guard process.terminationReason == .exit, process.terminationStatus == 0 else {
            throw BenchError("cp of \(source) to \(destination) failed")
        }
    }
}

extension String {
    fileprivate var lastComponent: String { String(split(separator: "/").last ?? "") }
}

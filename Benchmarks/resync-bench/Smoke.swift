import Foundation
import Glibc

/// Generates a tiny version of every workload twice and compares what came out.
enum Smoke {
    static func run() throws {
        let files = FileManager.default
        let root = files.temporaryDirectory.path + "/resync-bench-\(UUID().uuidString)"
        try files.createDirectory(atPath: root, withIntermediateDirectories: false)
        defer { try? files.removeItem(atPath: root) }
        let source = root + "/source"
        try makeSource(source)
        for workload in Workload.allCases {
            let parameters = Parameters(
                workload: workload, scale: scale(workload), seed: 1, source: source)
            let first = try digest(parameters, in: root + "/first-\(workload.rawValue)")
            let second = try digest(parameters, in: root + "/second-\(workload.rawValue)")
            print(workload.rawValue, hexadecimal(first), hexadecimal(second))
            guard first == second else {
                throw BenchError("\(workload.rawValue): two runs made different stores")
            }
        }
    }

    /// Enough for two directories of small, and for two buffers of a file of big.
    private static func scale(_ workload: Workload) -> Double {
        switch workload {
        case .small: 0.005
        case .big: 0.001
        case .tree: 1
        case .sparse: 0.002
        case .huge: 0.0001
        case .deep: 0.05
        case .nightly, .divergent: 0.005
        }
    }

    /// What both sides hold, after checks that they are equal, found again, and redone when
    /// partial.
    private static func digest(_ parameters: Parameters, in directory: String) throws -> UInt64 {
        // A sync waits for whatever else the machine is writing.
        let generator = Generator(parameters, directory: directory, durable: false)
        let name = parameters.workload.rawValue
        try expect(generator.run() == .generated, "\(name): found what was never made")
        let made = try digest(of: generator.sideA)
        try expect(generator.run() == .reused, "\(name): complete stores were made again")
        try FileManager.default.removeItem(atPath: generator.stamp)
        try expect(generator.run() == .generated, "\(name): partial stores were taken as complete")
        try expect(digest(of: generator.sideA) == made, "\(name): redone stores differ")
        let areEqual = try digest(of: generator.sideB) == made
        try expect(
            areEqual == (parameters.workload != .divergent),
            "\(name): the sides \(areEqual ? "are equal" : "differ")")
        return made
    }

    private static func expect(_ condition: Bool, _ message: String) throws {
        guard condition else { throw BenchError(message) }
    }

    private static func hexadecimal(_ value: UInt64) -> String {
        String(format: "%016llx", value)
    }

    /// A little of what /usr has: directories, files, a symlink, a hard link.
    private static func makeSource(_ path: String) throws {
        let files = FileManager.default
        try files.createDirectory(atPath: path + "/bin", withIntermediateDirectories: true)
        for index in 0..<20 {
            let file = URL(fileURLWithPath: "\(path)/bin/tool\(index)")
            try Data("tool \(index)\n".utf8).write(to: file)
        }
        try files.createSymbolicLink(atPath: path + "/link", withDestinationPath: "bin/tool1")
        try files.linkItem(atPath: path + "/bin/tool2", toPath: path + "/tool2")
        // The times of a copy are those of its source.
        let time = Array(repeating: timespec(tv_sec: 1_600_000_000, tv_nsec: 0), count: 2)
        for name in try files.subpathsOfDirectory(atPath: path) + ["."] {
            guard utimensat(AT_FDCWD, "\(path)/\(name)", time, AT_SYMLINK_NOFOLLOW) == 0 else {
                throw BenchError("cannot set the time of \(name)")
            }
        }
    }

    /// FNV-1a over names, modes, owners, times and bytes, in the order of the names.
    private static func digest(of store: String) throws -> UInt64 {
        let files = FileManager.default
        var hash = UInt64(0xcbf2_9ce4_8422_2325)
        func add(_ bytes: some Sequence<UInt8>) {
            for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        }
        for name in try files.subpathsOfDirectory(atPath: store).sorted() + ["."] {
            let path = store + "/" + name
            var status = Glibc.stat()
            guard lstat(path, &status) == 0 else { throw BenchError("cannot stat \(path)") }
            let time = status.st_mtim
            add("\(name) \(status.st_mode) \(status.st_uid) \(status.st_gid) ".utf8)
            add("\(time.tv_sec).\(time.tv_nsec) \(status.st_nlink)\n".utf8)
            switch status.st_mode & S_IFMT {
            case S_IFREG: add(try Data(contentsOf: URL(fileURLWithPath: path)))
            case S_IFLNK: add(try files.destinationOfSymbolicLink(atPath: path).utf8)
            default: break
            }
        }
        return hash
    }
}

import Dispatch
import Foundation
import Glibc
import ResyncCore
import ResyncStorage
import Synchronization

/// Writes the stores of a workload, several files at a time.
///
/// What a file holds depends on the seed and its number alone, so neither the number of workers
/// nor, but for `divergent`, the side shows in it.
struct StoreWriter: Sendable {
    private let parameters: Parameters
    private let disk = LinuxDisk()

    init(_ parameters: Parameters) { self.parameters = parameters }

    /// The directories `sides` must not exist yet.
    func write(_ a: String, _ b: String) throws {
        umask(0o022)
        let roots = try [a, b].map { try makeRoot($0) }
        defer { for root in roots { disk.close(root) } }
        // One side after the other, as stores come to be: written alternately, their files would
        // lie side by side on the device and cold reads would look better than they are.
        for (side, root) in roots.enumerated() {
            try fill(root, isB: side == 1)
            try setTime(root, number: 0, nanoseconds: 0)
        }
    }

    private func fill(_ root: Descriptor, isB: Bool) throws {
        switch parameters.workload {
        case .small, .nightly, .divergent:
            try parallel(parameters.directories) { try writeDirectory($0, in: root, isB: isB) }
        case .big: try parallel(Parameters.bigFiles) { try writeBigFile($0, in: root) }
        case .sparse: try writeSparseImage(in: root)
        case .huge: try writeHugeDirectory(in: root)
        case .deep: try parallel(parameters.deepChains) { try writeChain($0, in: root) }
        case .tree: throw BenchError("tree is copied, not written")
        }
    }

    private func makeRoot(_ path: String) throws -> Descriptor {
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: false,
            attributes: [.posixPermissions: 0o755])
        return try disk.open(path: Array(path.utf8), [.readOnly, .directory], mode: 0)
    }

    /// Directory `number` of `small` and its kin, with its files.
    private func writeDirectory(_ number: Int, in root: Descriptor, isB: Bool) throws {
        let name = String(format: "d%04d", number)
        try disk.makeDirectory(name, in: root, mode: 0o755)
        let directory = try disk.open(name, in: root, [.readOnly, .directory], mode: 0)
        defer { disk.close(directory) }
        let words = UnsafeMutableBufferPointer<UInt64>.allocate(capacity: 16384 / 8)
        defer { words.deallocate() }
        for index in 0..<Parameters.filesPerDirectory {
            let file = number * Parameters.filesPerDirectory + index
            let twist = parameters.workload == .divergent ? Twist(of: file) : .none
            guard !twist.isMissing(onB: isB) else { continue }
            // Streams apart from those of `small`, so that no tool can find one in the other.
            let stream = UInt64(file) + (parameters.workload == .nightly ? 1 << 40 : 0)
            var random = Random(seed: parameters.seed, stream: stream)
            var size = 1024 + Int(random.next() % (8192 - 1024 + 1))
            let nanoseconds = Int(random.next() % 1_000_000_000)
            random.fill(words)
            if isB {
                if twist.changesBytes { words[size / 16] = ~words[size / 16] }
                if twist == .size { size += 512 }
            }
            let moved = isB && twist == .bytesAndTime ? 1 : 0
            try writeFile(
                String(format: "f%03d", index), in: directory, number: file + moved,
                nanoseconds: nanoseconds
            ) { descriptor in
                let bytes = UnsafeRawBufferPointer(words)
                try writeAll(
                    UnsafeRawBufferPointer(rebasing: bytes[..<size]), to: descriptor, at: 0)
            }
        }
        try setTime(directory, number: number, nanoseconds: 0)
    }

    /// How a file of `divergent` differs on B.
    private enum Twist {
        case none, bytes, bytesAndTime, size, missingOnA, missingOnB

        /// 5 files of 100, spread over all directories.
        init(of file: Int) {
            // A multiplicative hash (Knuth 1973, 6.4), so that no directory has a pattern.
            let drawn = (UInt64(file) &* 0x9e37_79b9_7f4a_7c15) >> 33
            switch drawn % 200 {
            case 0...3: self = .bytes
            case 4, 5: self = .bytesAndTime
            case 6, 7: self = .size
            case 8: self = .missingOnA
            case 9: self = .missingOnB
            default: self = .none
            }
        }

        var changesBytes: Bool { self == .bytes || self == .bytesAndTime }

        func isMissing(onB: Bool) -> Bool { self == (onB ? .missingOnB : .missingOnA) }
    }

    private func writeHugeDirectory(in root: Descriptor) throws {
        try disk.makeDirectory("queue", in: root, mode: 0o755)
        let directory = try disk.open("queue", in: root, [.readOnly, .directory], mode: 0)
        defer { disk.close(directory) }
        let portion = 1000
        let names = parameters.hugeNames
        try parallel((names + portion - 1) / portion) { part in
            for number in part * portion..<min((part + 1) * portion, names) {
                try writeSmallFile(
                    String(format: "m%08d", number), in: directory, number: number,
                    limit: number % Parameters.hugeFilled == 0 ? 512 : 0)
            }
        }
        try setTime(directory, number: 0, nanoseconds: 0)
    }

    /// A chain of directories, each in the one before and with a file.
    private func writeChain(_ chain: Int, in root: Descriptor) throws {
        var parent = root
        defer { if parent.number != root.number { disk.close(parent) } }
        for level in 0..<Parameters.deepLevels {
            let number = chain * Parameters.deepLevels + level
            let name = String(
                format: level == 0 ? "chain%03d" : "l%03d", level == 0 ? chain : level)
            try disk.makeDirectory(name, in: parent, mode: 0o755)
            let child = try disk.open(name, in: parent, [.readOnly, .directory], mode: 0)
            if parent.number != root.number {
                try setTime(parent, number: number, nanoseconds: 0)
                disk.close(parent)
            }
            parent = child
            try writeSmallFile("file", in: parent, number: number, limit: 1024)
        }
        try setTime(parent, number: chain, nanoseconds: 0)
    }

    /// A file of 1 to `limit` bytes; an empty one for no limit.
    private func writeSmallFile(
        _ name: String, in directory: Descriptor, number: Int, limit: Int
    ) throws {
        var random = Random(seed: parameters.seed, stream: UInt64(number))
        let nanoseconds = Int(random.next() % 1_000_000_000)
        let size = limit == 0 ? 0 : 1 + Int(random.next() % UInt64(limit))
        try writeFile(name, in: directory, number: number, nanoseconds: nanoseconds) { descriptor in
            guard size > 0 else { return }
            try withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 1024 / 8) { words in
                random.fill(words)
                let bytes = UnsafeRawBufferPointer(words)
                try writeAll(
                    UnsafeRawBufferPointer(rebasing: bytes[..<size]), to: descriptor, at: 0)
            }
        }
    }

    /// A mebibyte of data in each 64, and a hole behind the last.
    private func writeSparseImage(in root: Descriptor) throws {
        let mebibyte = 1 << 20
        try writeFile("image", in: root, number: 0, nanoseconds: 0) { descriptor in
            try parallel(parameters.sparsePieces) { piece in
                var random = Random(seed: parameters.seed, stream: UInt64(piece))
                let words = UnsafeMutableBufferPointer<UInt64>.allocate(capacity: mebibyte / 8)
                defer { words.deallocate() }
                random.fill(words)
                try writeAll(
                    UnsafeRawBufferPointer(words), to: descriptor,
                    at: piece * Parameters.sparseStride * mebibyte)
            }
            let size = parameters.sparsePieces * Parameters.sparseStride * mebibyte
            guard ftruncate(descriptor.number, size) == 0 else {
                throw BenchError("ftruncate: \(ErrorNumber.sentence(errno))")
            }
        }
    }

    private func writeBigFile(_ number: Int, in root: Descriptor) throws {
        var random = Random(seed: parameters.seed, stream: UInt64(number))
        let nanoseconds = Int(random.next() % 1_000_000_000)
        let words = UnsafeMutableBufferPointer<UInt64>.allocate(capacity: (1 << 20) / 8)
        defer { words.deallocate() }
        let bytes = UnsafeRawBufferPointer(words)
        try writeFile(
            "image\(number)", in: root, number: number, nanoseconds: nanoseconds
        ) { descriptor in
            var offset = 0
            while offset < parameters.bigFileSize {
                random.fill(words)
                let count = min(bytes.count, parameters.bigFileSize - offset)
                try writeAll(
                    UnsafeRawBufferPointer(rebasing: bytes[..<count]), to: descriptor, at: offset)
                offset += count
            }
        }
    }

    private func writeFile(
        _ name: String, in directory: Descriptor, number: Int, nanoseconds: Int,
        _ body: (Descriptor) throws -> Void
    ) throws {
        let descriptor = try disk.open(
            name, in: directory, [.writeOnly, .create, .exclusive], mode: 0o644)
        defer { disk.close(descriptor) }
        try body(descriptor)
        try setTime(descriptor, number: number, nanoseconds: nanoseconds)
    }

    private func writeAll(
        _ bytes: UnsafeRawBufferPointer, to descriptor: Descriptor, at offset: Int
    ) throws {
        var done = 0
        while done < bytes.count {
            done += try disk.write(
                descriptor, UnsafeRawBufferPointer(rebasing: bytes[done...]), at: offset + done)
        }
    }

    /// A time of September 2020 or later that depends on `number` alone.
    private func setTime(_ descriptor: Descriptor, number: Int, nanoseconds: Int) throws {
        let time = timespec(tv_sec: 1_600_000_000 + number, tv_nsec: nanoseconds)
        guard futimens(descriptor.number, [time, time]) == 0 else {
            throw BenchError("futimens: \(ErrorNumber.sentence(errno))")
        }
    }

    /// Runs `body` for 0 ..< `count` on all cores; throws the first error, after all have stopped.
    private func parallel(
        _ count: Int, _ body: @Sendable (Int) throws -> Void
    ) throws {
        let failure = Mutex<BenchError?>(nil)
        DispatchQueue.concurrentPerform(iterations: count) { index in
            guard failure.withLock({ $0 == nil }) else { return }
            do {
                try body(index)
            } catch {
                failure.withLock { $0 = $0 ?? Self.described(error) }
            }
        }
        if let error = failure.withLock({ $0 }) { throw error }
    }

    private static func described(_ error: any Error) -> BenchError {
        switch error {
        case let error as BenchError: error
        case let error as DiskError:
            BenchError("\(error.call.rawValue): \(ErrorNumber.sentence(error.number))")
        default: BenchError("\(error)")
        }
    }
}

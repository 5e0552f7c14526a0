import Dispatch
import Foundation
import Glibc
import ResyncCore
import ResyncStorage
import Synchronization

/// Writes the stores of `small` and `big`, several files at a time.
///
/// What a file holds depends on the seed and its number alone, so neither the number of workers
/// nor the side shows in it.
struct StoreWriter: Sendable {
    private let parameters: Parameters
    private let disk = LinuxDisk()

    init(_ parameters: Parameters) { self.parameters = parameters }

    /// The directories `sides` must not exist yet.
    func write(_ sides: String...) throws {
        umask(0o022)
        let roots = try sides.map { try makeRoot($0) }
        defer { for root in roots { disk.close(root) } }
        // One side after the other, as stores come to be: written alternately, their files would
        // lie side by side on the device and cold reads would look better than they are.
        for root in roots {
            switch parameters.workload {
            case .small: try parallel(parameters.directories) { try writeDirectory($0, in: root) }
            case .big: try parallel(Parameters.bigFiles) { try writeBigFile($0, in: root) }
            case .tree: throw BenchError("tree is copied, not written")
            }
            try setTime(root, number: 0, nanoseconds: 0)
        }
    }

    private func makeRoot(_ path: String) throws -> Descriptor {
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: false,
            attributes: [.posixPermissions: 0o755])
        return try disk.open(path: Array(path.utf8), [.readOnly, .directory], mode: 0)
    }

    /// Directory `number` of `small`, with its files.
    private func writeDirectory(_ number: Int, in root: Descriptor) throws {
        let name = String(format: "d%04d", number)
        try disk.makeDirectory(name, in: root, mode: 0o755)
        let directory = try disk.open(name, in: root, [.readOnly, .directory], mode: 0)
        defer { disk.close(directory) }
        let words = UnsafeMutableBufferPointer<UInt64>.allocate(capacity: 8192 / 8)
        defer { words.deallocate() }
        for index in 0..<Parameters.filesPerDirectory {
            let file = number * Parameters.filesPerDirectory + index
            var random = Random(seed: parameters.seed, stream: UInt64(file))
            let size = 1024 + Int(random.next() % (8192 - 1024 + 1))
            let nanoseconds = Int(random.next() % 1_000_000_000)
            random.fill(words)
            try writeFile(
                String(format: "f%03d", index), in: directory, number: file,
                nanoseconds: nanoseconds
            ) { descriptor in
                let bytes = UnsafeRawBufferPointer(words)
                try writeAll(
                    UnsafeRawBufferPointer(rebasing: bytes[..<size]), to: descriptor, at: 0)
            }
        }
        try setTime(directory, number: number, nanoseconds: 0)
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

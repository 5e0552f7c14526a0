import CLinux
import Glibc
package import ResyncCore

/// A process that probes one store, and the only one that touches it. It may wait for storage for
/// ever, and cannot be killed while it does; whoever asked goes on.
package final class ProbeWorker {
    /// The first argument by which a process knows that it is one.
    package static let role = "probe-worker"

    private let process: ChildProcess
    private let channel: Channel
    private var isKilled = false

    /// Starts one.
    ///
    /// - Parameter program: the path of resync itself.
    package init(_ program: [UInt8], path: [UInt8], id: String) throws(DiskError) {
        var ends: [Int32] = [-1, -1]
        let result = clinux_socket_pair(&ends)
        guard result >= 0 else { throw DiskError(.socket, -result) }
        channel = Channel(ends[0])
        // Closed on return: the child has its own.
        let theirs = Channel(ends[1])
        process = try ChildProcess(
            program,
            [Array("resync".utf8), Array(Self.role.utf8), path, Array(id.utf8)],
            input: theirs.descriptor)
    }

    deinit { process.kill() }

    package var descriptor: Int32 { channel.descriptor }
    package var number: Int32 { process.number }

    /// False where it is gone.
    package func ask(_ order: ProbeOrder) -> Bool { channel.send(Array(order.text.utf8)) }

    package enum Reply: Sendable {
        /// With a watch for the file system's errors, if it was wanted and can be had.
        case answer(ProbeAnswer, errors: Int32?)
        case nothing
        /// It ended.
        case gone
    }

    package func reply() -> Reply {
        switch channel.receive() {
        case .nothing: return .nothing
        case .end: return .gone
        case .message(let bytes, let descriptor):
            guard let answer = validText(bytes).flatMap(ProbeAnswer.init) else {
                if let descriptor { _ = clinux_close(descriptor) }
                return .gone
            }
            return .answer(answer, errors: descriptor)
        }
    }

    /// Has it end as soon as it can.
    package func kill() {
        isKilled = true
        process.kill()
    }

    /// Whether it has ended and left nothing behind.
    package func hasEnded() -> Bool { process.ended() != nil }

    /// What it waits for, as far as the kernel says; its answer is only of use while it hangs.
    package func waitsFor(_ files: some KernelFiles = LinuxKernelFiles()) -> ProbeWait {
        let path = Array("/proc/\(number)/wchan".utf8)
        guard let text = try? files.read(path, limit: 128).prefix(while: { $0 > 0x20 }) else {
            return .device
        }
        // fsfreeze holds the superblock's semaphore: Linux 4 to 6 have these two names for waiting.
        return text.elementsEqual("percpu_rwsem_wait".utf8)
            || text.elementsEqual("__percpu_down_read".utf8) ? .frozen : .device
    }

    /// The life of a worker: what comes on standard input is done, until nobody asks any more.
    package static func run(path: [UInt8], id: String) {
        _ = clinux_lock_memory()
        let channel = Channel(STDIN_FILENO)
        let probe = Probe(path: path, id: id, disk: LinuxDisk())
        while case .message(let bytes, _) = channel.receive() {
            guard let order = validText(bytes).flatMap(ProbeOrder.init) else { return }
            var errors: Int32?
            var answer = probe.run(order, { .now }) { directory in
                guard order.wantsErrors else { return }
                let watch = clinux_watch_errors(directory.number)
                if watch >= 0 { errors = watch }
            }
            answer.path = realPath(path) ?? []
            let isSent = channel.send(Array(answer.text.utf8), descriptor: errors)
            if let errors { _ = clinux_close(errors) }
            guard isSent else { return }
        }
    }
}

/// A path without symlinks; nil where it leads nowhere.
package func realPath(_ path: [UInt8]) -> [UInt8]? {
    var buffer = [CChar](repeating: 0, count: 4096)
    let length = try? withCString(path, .realpath) { (path) throws(DiskError) in
        clinux_real_path(path, &buffer, UInt64(buffer.count))
    }
    guard let length, length >= 0 else { return nil }
    return buffer[..<Int(length)].map { UInt8(bitPattern: $0) }
}

import CLinux
import Glibc
import ResyncCore

/// One end of a connection that keeps messages apart. Closed when it is released.
package final class Channel: Sendable {
    /// Bytes of a message.
    package static let limit = StoreStatus.messageLimit

    package let descriptor: Int32

    package init(_ descriptor: Int32) { self.descriptor = descriptor }

    deinit { _ = clinux_close(descriptor) }

    package enum Received: Sendable {
        case message([UInt8], descriptor: Int32?)
        /// Nothing now.
        case nothing
        /// The other end is gone.
        case end
    }

    /// False where the other end is gone or does not listen.
    package func send(_ bytes: [UInt8], descriptor passed: Int32? = nil) -> Bool {
        bytes.withUnsafeBytes {
            clinux_send(descriptor, $0.baseAddress, UInt64($0.count), passed ?? -1)
        } == Int64(bytes.count)
    }

    package enum Offer: Sendable {
        case taken
        /// There is no room for it until the other end has read more.
        case later
        /// The other end is gone.
        case refused
    }

    /// Sends without waiting for room, where this end does not wait.
    package func offer(_ bytes: [UInt8]) -> Offer {
        let count = bytes.withUnsafeBytes {
            clinux_send(descriptor, $0.baseAddress, UInt64($0.count), -1)
        }
        if count == -Int64(EAGAIN) { return .later }
        return count == Int64(bytes.count) ? .taken : .refused
    }

    package func receive() -> Received {
        var buffer = [UInt8](repeating: 0, count: Self.limit)
        var passed: Int32 = -1
        let count = buffer.withUnsafeMutableBytes {
            clinux_receive(descriptor, $0.baseAddress, UInt64($0.count), &passed)
        }
        if count == -Int64(EAGAIN) { return .nothing }
        guard count > 0 else {
            if passed >= 0 { _ = clinux_close(passed) }
            return .end
        }
        return .message(Array(buffer[..<Int(count)]), descriptor: passed >= 0 ? passed : nil)
    }
}

/// Where a watcher is spoken to: a socket in its state folder, which only its owner may open.
package final class ControlSocket: Sendable {
    package static let name = "watch.sock"

    private let channel: Channel
    package var descriptor: Int32 { channel.descriptor }

    package init(in folder: Folder) throws(DiskError) {
        let result = clinux_listen(folder.number, Self.name)
        guard result >= 0 else { throw DiskError(.socket, -result) }
        channel = Channel(result)
    }

    /// The next who wants to speak; nil when there is nobody.
    package func next() -> Channel? {
        var user: UInt32 = 0
        let result = clinux_accept(channel.descriptor, &user)
        guard result >= 0 else { return nil }
        let client = Channel(result)
        return user == 0 || user == geteuid() ? client : nil
    }

    /// Speaks to the watcher of a state folder; nil where none listens.
    package static func connect(in folder: Folder) throws(DiskError) -> Channel? {
        let result = clinux_connect(folder.number, name)
        if result >= 0 { return Channel(result) }
        guard -result == ENOENT || -result == ECONNREFUSED else {
            throw DiskError(.socket, -result)
        }
        return nil
    }
}

/// What a thread can wait for.
package struct Waiter {
    private var descriptors: [Int32] = []
    private var events: [Int32] = []

    package init() {}

    package mutating func add(_ descriptor: Int32) {
        descriptors.append(descriptor)
        events.append(Int32(CLINUX_WAIT_READABLE))
    }

    /// What there is something to say to.
    package mutating func add(writable descriptor: Int32) {
        descriptors.append(descriptor)
        events.append(Int32(CLINUX_WAIT_WRITABLE))
    }

    /// A mount table, whose changes are waited for.
    package mutating func add(mountTable descriptor: Int32) {
        descriptors.append(descriptor)
        events.append(Int32(CLINUX_WAIT_URGENT))
    }

    /// Until one of them has something to say, or so many seconds are over; whether one has.
    @discardableResult
    package func wait(_ seconds: Double) -> Bool {
        let milliseconds = Int32(max(0, min(seconds, 60)) * 1000)
        return clinux_wait(descriptors, events, UInt32(descriptors.count), milliseconds) > 0
    }
}

/// A program that was started, and leads a process group of its own.
package struct ChildProcess: Sendable {
    package let number: Int32

    /// - Parameters:
    ///   - path: of the program, absolute.
    ///   - arguments: its name among them.
    ///   - input: what becomes its standard input; nil: nothing.
    ///   - output: takes all that it says; nil: only its errors are kept, where they are.
    package init(
        _ path: [UInt8], _ arguments: [[UInt8]], input: Int32?, output: Int32? = nil,
        keepsErrors: Bool = true
    ) throws(DiskError) {
        var pointers: [UnsafeMutablePointer<CChar>?] = []
        defer { for pointer in pointers { free(pointer) } }
        for argument in arguments {
            guard !argument.contains(0) else {
                throw DiskError(.spawn, ErrorNumber.invalidArgument)
            }
            pointers.append(
                (argument + [0]).withUnsafeBytes { bytes in
                    bytes.baseAddress.flatMap { strdup($0.assumingMemoryBound(to: CChar.self)) }
                })
        }
        pointers.append(nil)
        let started = try withCString(path, .spawn) { (path) throws(DiskError) in
            clinux_spawn(
                path, pointers, input ?? -1, output ?? -1,
                output ?? (keepsErrors ? STDERR_FILENO : -1))
        }
        guard started > 0 else { throw DiskError(.spawn, -started) }
        number = started
    }

    /// It and all that it started. What waits for a disk ends only when that answers.
    package func kill() { _ = clinux_signal_group(number, SIGKILL) }

    /// Asks it, and all that it started, to come to an end.
    package func terminate() { _ = clinux_signal_group(number, SIGTERM) }

    /// Whether it ended, before `ended` says how: until then its group is nobody else's.
    package var hasEnded: Bool { clinux_has_ended(number) == 1 }

    /// How it ended, as of wait(2); nil while it has not.
    package func ended() -> Int32? {
        var status: Int32 = 0
        return clinux_reap(number, &status) == 1 ? status : nil
    }
}

/// A pipe to a child. Both ends are closed when it is released.
package final class ChildInput {
    package private(set) var reading: Int32
    private var writing: Int32

    package init() throws(DiskError) {
        var ends: [Int32] = [-1, -1]
        let result = clinux_pipe(&ends)
        guard result >= 0 else { throw DiskError(.pipe, -result) }
        (reading, writing) = (ends[0], ends[1])
    }

    /// Gives it what there is to say, as far as it fits, and closes this end.
    package func write(_ bytes: [UInt8]) {
        _ = bytes.withUnsafeBytes {
            clinux_write(writing, $0.baseAddress, UInt64($0.count))
        }
        close(&writing)
        close(&reading)
    }

    private func close(_ end: inout Int32) {
        if end >= 0 { _ = clinux_close(end) }
        end = -1
    }

    deinit {
        close(&writing)
        close(&reading)
    }
}

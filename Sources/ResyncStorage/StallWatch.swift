import Dispatch
import Glibc
package import ResyncCore
import Synchronization

/// A call on a store that was not answered in time.
package struct Stall: Error, Sendable, Hashable {
    package let side: Side
    package let call: SystemCall
    /// Of what it was about, as far as that is known.
    package let path: RelativePath
    /// For how long it was waited for, in seconds.
    package let seconds: Double
}

/// Knows which calls on the stores of a run are under way, and ends the run for its caller when one
/// of them is not answered. A thread that was waiting then stays where it is: should the answer
/// come after all, nothing more is done to the stores.
package final class StallWatch: Sendable {
    /// A call that is under way. The name lives as long as the call, which ends under the lock.
    fileprivate struct Call {
        let side: Side
        let call: SystemCall
        let directory: Descriptor?
        let name: UnsafePointer<CChar>?
        var since: Double
        /// What the store's device had done when that was looked at last.
        var activity: [UInt8]?
    }

    fileprivate struct Board: @unchecked Sendable {
        // Unchecked because names are looked at only while their calls are under way.
        var calls: [Int: Call] = [:]
        var next = 0
        var isOver = false
        var paths: Sides<[Int32: RelativePath]> = Sides(a: [:], b: [:])
        var devices: Sides<DeviceNumber?> = Sides(a: nil, b: nil)
    }

    private let board = Mutex(Board())
    private let kernel: any KernelFiles

    package init(_ kernel: any KernelFiles = LinuxKernelFiles()) { self.kernel = kernel }

    /// From now on a sync of this side is waited for as long as its device completes anything: what
    /// it has to write down may take any time.
    package func follow(_ device: DeviceNumber, _ side: Side) {
        board.withLock { $0.devices[side] = device }
    }

    // MARK: Calls

    func begin(
        _ call: SystemCall, _ side: Side, _ directory: Descriptor?, _ name: UnsafePointer<CChar>?
    ) -> Int {
        // Unsafe because a name is no longer looked at than its call lasts.
        nonisolated(unsafe) let name = name
        let ticket = board.withLock { board -> Int? in
            guard !board.isOver else { return nil }
            board.next += 1
            board.calls[board.next] = Call(
                side: side, call: call, directory: directory, name: name,
                since: monotonicSeconds())
            return board.next
        }
        guard let ticket else { stayHere() }
        return ticket
    }

    func end(_ ticket: Int) {
        let isOver = board.withLock { board in
            board.calls[ticket] = nil
            return board.isOver
        }
        if isOver { stayHere() }
    }

    private func stayHere() -> Never {
        while true { pause(milliseconds: 1000) }
    }

    func opened(
        _ descriptor: Descriptor, _ side: Side, _ directory: Descriptor?,
        _ name: UnsafePointer<CChar>?
    ) {
        // Unsafe because it is used at once only.
        nonisolated(unsafe) let name = name
        board.withLock { $0.paths[side][descriptor.number] = $0.path(side, directory, name) }
    }

    func closed(_ descriptor: Descriptor, _ side: Side) {
        board.withLock { $0.paths[side][descriptor.number] = nil }
    }

    // MARK: Watching

    /// What `body` gives, which is done on a thread of its own.
    ///
    /// - Throws: also a `Stall`, where a call is not answered in so many seconds: what `body` holds
    ///   must not be touched then.
    package func guarding<Value>(
        within seconds: Double, _ body: @escaping () throws -> Value
    ) throws -> Value {
        let work = Work(body)
        DispatchQueue(label: "resync.changes").async { work.run() }
        while !work.isDone(within: Self.interval) {
            if let stall = stalled(for: seconds) { throw stall }
        }
        return try work.result()
    }

    private static let interval = 0.2

    private final class Work<Value>: @unchecked Sendable {
        // Unchecked because the result is written before the semaphore says so.
        private let body: () throws -> Value
        private let done = DispatchSemaphore(value: 0)
        private var found: Result<Value, any Error>?

        init(_ body: @escaping () throws -> Value) { self.body = body }

        func run() {
            found = Result { try body() }
            done.signal()
        }

        func isDone(within seconds: Double) -> Bool {
            done.wait(timeout: .now() + seconds) == .success
        }

        func result() throws -> Value {
            guard let found else { preconditionFailure("work that is not done") }
            return try found.get()
        }
    }

    private func stalled(for seconds: Double) -> Stall? {
        let now = monotonicSeconds()
        let devices = board.withLock { $0.devices }
        let activities = devices.map { $0.flatMap { activity(of: $0) } }
        return board.withLock { board in
            for (ticket, call) in board.calls {
                let activity = call.call.isSync ? activities[call.side] : nil
                if activity != call.activity {
                    board.calls[ticket]?.activity = activity
                    board.calls[ticket]?.since = now
                } else if now - call.since >= seconds {
                    board.isOver = true
                    return Stall(
                        side: call.side, call: call.call,
                        path: board.path(call.side, call.directory, call.name), seconds: seconds)
                }
            }
            return nil
        }
    }

    /// What a device has completed since the start of the system: the counts of reads, writes,
    /// discards and flushes (Documentation/ABI/stable/sysfs-block); nil where there is no such
    /// device.
    private func activity(of device: DeviceNumber) -> [UInt8]? {
        let path = "/sys/dev/block/\(device.major):\(device.minor)/stat"
        guard let text = try? kernel.read(Array(path.utf8), limit: 4096) else { return nil }
        let words = text.split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\n") }
        return [0, 2, 4, 6, 11, 15].filter { $0 < words.count }.flatMap { words[$0] + [slash] }
    }
}

extension StallWatch.Board {
    fileprivate func path(
        _ side: Side, _ directory: Descriptor?, _ name: UnsafePointer<CChar>?
    ) -> RelativePath {
        let parent = directory.flatMap { paths[side][$0.number] } ?? .root
        guard let name else { return parent }
        let last = Name(UnsafeRawBufferPointer(start: name, count: strlen(name)).map { $0 })
        return last.bytes == [UInt8(ascii: ".")] ? parent : parent.appending(last)
    }
}

extension SystemCall {
    fileprivate var isSync: Bool { [.fsync, .fdatasync, .syncfs].contains(self) }
}

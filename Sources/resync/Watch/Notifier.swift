import Dispatch
import ResyncCore
import ResyncStorage
import Synchronization

/// Runs the operator's command for each thing that happens, one after the other, and never has
/// anybody wait for it.
final class Notifier: Sendable {
    /// Notifications that wait for their turn; of more the oldest is left out, and that is said:
    /// how it is now is worth more than how it was.
    private static let limit = 2000
    /// Commands that cannot be killed, since they wait for a disk, beside which others are run.
    private static let stuckLimit = 8

    private struct Queue {
        var waiting: [[UInt8]] = []
        var isRun = false
        var stuck: [ChildProcess] = []
        var isFull = false
    }

    private let settings: Configuration.Notification
    private let name: String
    private let thread = DispatchQueue(label: "resync.notify")
    private let queue = Mutex(Queue())

    init(_ settings: Configuration.Notification) {
        self.settings = settings
        name = escaped(settings.command.first ?? [])
    }

    func send(_ message: JSONLine) {
        let bytes = message.bytes
        let (isLost, isRun) = queue.withLock { queue in
            queue.waiting.append(bytes)
            let isLost = queue.waiting.count > Self.limit
            if isLost { queue.waiting.removeFirst() }
            defer { queue.isRun = true }
            return (isLost, queue.isRun)
        }
        if isLost {
            Main.complain("a notification was left out: \(Self.limit) newer ones wait already")
        }
        if !isRun { thread.async { while let next = self.next() { self.run(next) } } }
    }

    /// Waits for what is under way, so many seconds at most.
    func end(within seconds: Double) {
        let isDone = DispatchSemaphore(value: 0)
        thread.async { isDone.signal() }
        _ = isDone.wait(timeout: .now() + seconds)
    }

    /// What is to be told next, once there is room for another command; nil where nothing waits.
    private func next() -> [UInt8]? {
        while !hasRoom() { pause(milliseconds: 500) }
        return queue.withLock { queue in
            queue.isRun = !queue.waiting.isEmpty
            return queue.waiting.isEmpty ? nil : queue.waiting.removeFirst()
        }
    }

    private func hasRoom() -> Bool {
        let (isFull, wasFull) = queue.withLock { queue in
            queue.stuck.removeAll { $0.ended() != nil }
            let wasFull = queue.isFull
            queue.isFull = queue.stuck.count >= Self.stuckLimit
            return (queue.isFull, wasFull)
        }
        if isFull, !wasFull {
            Main.complain(
                "\(Self.stuckLimit) processes of '\(name)' hang for good: nobody is notified until "
                    + "one of them ends")
        }
        return !isFull
    }

    private func run(_ bytes: [UInt8]) {
        do throws(DiskError) {
            let command = OperatorCommand(settings.command, timeout: settings.timeout)
            let outcome = try command.tell(bytes)
            guard outcome.end == .tookTooLong else { return }
            guard let stuck = outcome.stuck else {
                return Main.complain("'\(name)' was killed: it took longer than notify allows")
            }
            let isFirst = queue.withLock { queue in
                queue.stuck.append(stuck)
                return queue.stuck.count == 1
            }
            guard isFirst else { return }
            Main.complain(
                "'\(name)' takes longer than notify allows and cannot be killed, as it waits for a "
                    + "disk: it is left alone, and others are run beside it")
        } catch {
            Main.complain("cannot notify by '\(name)': \(error.sentence)")
        }
    }
}

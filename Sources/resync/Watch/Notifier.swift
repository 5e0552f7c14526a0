import Dispatch
import ResyncCore
import ResyncStorage
import Synchronization

/// Runs the operator's command for each thing that happens, one after the other, and never has
/// anybody wait for it.
final class Notifier: Sendable {
    /// Notifications that wait for their turn; what comes then is left out, and said.
    private static let limit = 100

    private let settings: Configuration.Notification
    private let queue = DispatchQueue(label: "resync.notify")
    private let waiting = Mutex(0)

    init(_ settings: Configuration.Notification) { self.settings = settings }

    func send(_ message: JSONLine) {
        let isTaken = waiting.withLock { count in
            guard count < Self.limit else { return false }
            count += 1
            return true
        }
        guard isTaken else {
            Main.complain("a notification was left out: \(Self.limit) others wait already")
            return
        }
        let bytes = message.bytes
        queue.async {
            self.run(bytes)
            self.waiting.withLock { $0 -= 1 }
        }
    }

    /// Waits for what is under way, so many seconds at most.
    func end(within seconds: Double) {
        let isDone = DispatchSemaphore(value: 0)
        queue.async { isDone.signal() }
        _ = isDone.wait(timeout: .now() + seconds)
    }

    private func run(_ bytes: [UInt8]) {
        let name = escaped(settings.command.first ?? [])
        do throws(DiskError) {
            let command = OperatorCommand(settings.command, timeout: settings.timeout)
            guard try command.tell(bytes).end == .tookTooLong else { return }
            Main.complain("'\(name)' was killed: it took longer than notify allows")
        } catch {
            Main.complain("cannot notify by '\(name)': \(error.sentence)")
        }
    }
}

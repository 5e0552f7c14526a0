import Dispatch
import Glibc
import ResyncCore
import ResyncStorage
import Synchronization

/// Runs the operator's command for each thing that happens, one after the other, and never has
/// anybody wait for it.
final class Notifier: Sendable {
    /// Notifications that wait for their turn; what comes then is left out, and said.
    private static let limit = 100
    private static let step = 20

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
            let pipe = try ChildInput()
            let process = try ChildProcess(
                settings.command.first ?? [], settings.command, input: pipe.reading)
            // What does not fit into a pipe is not waited for: a message is far smaller.
            pipe.write(bytes)
            let end = monotonicSeconds() + settings.timeout
            while process.ended() == nil {
                if monotonicSeconds() > end {
                    process.kill()
                    Main.complain("'\(name)' was killed: it took longer than notify allows")
                    while process.ended() == nil { pause(milliseconds: Self.step) }
                }
                pause(milliseconds: Self.step)
            }
        } catch {
            Main.complain("cannot notify by '\(name)': \(error.sentence)")
        }
    }
}

import CLinux
import Glibc
import ResyncCore

/// A command of the operator's: a program that may hang, fail or say more than anybody can keep.
package struct OperatorCommand: Sendable {
    /// Seconds that one may take where nobody said otherwise.
    package static let usualTimeout = 60.0
    /// Bytes that are kept of what it says: the last ones.
    package static let outputLimit = 4 << 10
    /// Bytes that it can be told: what fits into a pipe that nobody reads yet (pipe(7): 64 KiB).
    package static let messageLimit = 60 << 10
    private static let step = 20
    /// Seconds in which what was killed is gone, unless it waits for a disk.
    private static let patience = 5.0

    /// How it came to its end.
    package struct Outcome: Sendable {
        package enum End: Sendable, Hashable {
            case exited(Int)
            case signalled(Int)
            /// It took longer than it may, and was killed.
            case tookTooLong
            /// It was killed since nobody wants to know any more.
            case interrupted
        }

        package let end: End
        package let output: [UInt8]
        /// It was killed, but waits for a disk, and ends only when that answers. Who asked for it
        /// is to look for that.
        package let stuck: ChildProcess?

        package var hasSucceeded: Bool { end == .exited(0) }

        /// As a shell has it in `$?`; what was killed counts as such.
        package var exit: Int {
            switch end {
            case .exited(let code): code
            case .signalled(let number): 128 + number
            case .tookTooLong, .interrupted: 128 + Int(SIGKILL)
            }
        }
    }

    private let words: [[UInt8]]
    private let timeout: Double

    /// - Parameters:
    ///   - words: the program's absolute path, and its arguments.
    ///   - timeout: seconds after which it is killed.
    package init(_ words: [[UInt8]], timeout: Double = Self.usualTimeout) {
        self.words = words
        self.timeout = timeout
    }

    /// Tells it something, of which what is beyond `messageLimit` may be lost, lets what it says go
    /// where ours goes, and leaves alone what it started.
    package func tell(_ message: [UInt8]) throws(DiskError) -> Outcome {
        let pipe = try ChildInput()
        let process = try ChildProcess(words.first ?? [], words, input: pipe.reading)
        pipe.write(message)
        return finish(process, nil, { false })
    }

    /// Runs it and all that it starts, which is killed in the end.
    ///
    /// - Parameter isInterrupted: asked all the while whether it is to be killed at once.
    package func run(
        isInterrupted: () -> Bool = { false }
    ) throws(DiskError) -> Outcome {
        let pipe = try ChildOutput()
        let process = try ChildProcess(words.first ?? [], words, input: nil, output: pipe.writing)
        pipe.closeWriting()
        return finish(process, pipe, isInterrupted)
    }

    private func finish(
        _ process: ChildProcess, _ output: ChildOutput?, _ isInterrupted: () -> Bool
    ) -> Outcome {
        let end = monotonicSeconds() + timeout
        var killed: Outcome.End?
        while !process.hasEnded, killed == nil {
            if isInterrupted() { killed = .interrupted }
            if monotonicSeconds() > end { killed = .tookTooLong }
            if killed == nil { wait(output) }
        }
        if killed != nil || output != nil { process.kill() }
        let last = monotonicSeconds() + Self.patience
        var status = process.ended()
        while status == nil, monotonicSeconds() < last {
            pause(milliseconds: Self.step)
            status = process.ended()
        }
        output?.drain()
        return Outcome(
            end: killed ?? Self.end(status ?? 0), output: output?.kept ?? [],
            stuck: status == nil ? process : nil)
    }

    private func wait(_ output: ChildOutput?) {
        guard let output, output.isOpen else { return pause(milliseconds: Self.step) }
        var waiter = Waiter()
        waiter.add(output.reading)
        if waiter.wait(Double(Self.step) / 1000) { output.drain() }
    }

    /// - Parameter status: as of wait(2).
    private static func end(_ status: Int32) -> Outcome.End {
        let number = Int(status & 0x7f)
        return number == 0 ? .exited(Int(status >> 8 & 0xff)) : .signalled(number)
    }
}

/// A pipe from a child, of which the last bytes are kept. Both ends are closed when it is released.
private final class ChildOutput {
    let reading: Int32
    private(set) var writing: Int32
    private(set) var kept: [UInt8] = []
    /// Whether more may come.
    private(set) var isOpen = true

    private static let portion = 64 << 10

    init() throws(DiskError) {
        var ends: [Int32] = [-1, -1]
        let result = clinux_output_pipe(&ends)
        guard result >= 0 else { throw DiskError(.pipe, -result) }
        (reading, writing) = (ends[0], ends[1])
    }

    func closeWriting() {
        if writing >= 0 { _ = clinux_close(writing) }
        writing = -1
    }

    /// Takes what is there now, so much at most as a pipe holds.
    func drain() {
        var buffer = [UInt8](repeating: 0, count: Self.portion)
        let count = buffer.withUnsafeMutableBytes {
            clinux_read(reading, $0.baseAddress, UInt64($0.count))
        }
        guard count > 0 else {
            if count != -Int64(EAGAIN) { isOpen = false }
            return
        }
        kept = Array((kept + buffer[..<Int(count)]).suffix(OperatorCommand.outputLimit))
    }

    deinit {
        closeWriting()
        _ = clinux_close(reading)
    }
}

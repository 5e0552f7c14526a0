import Glibc
import ResyncStorage
import TestSupport
import Testing

/// Commands of the operator's: those that hang, fail, flood, or leave others behind.
@Suite struct OperatorCommandTests {
    private func run(_ script: String, timeout: Double = 20) throws -> OperatorCommand.Outcome {
        let words = ["/bin/sh", "-c", script].map { Array($0.utf8) }
        return try OperatorCommand(words, timeout: timeout).run()
    }

    private func text(_ outcome: OperatorCommand.Outcome) -> String {
        String(decoding: outcome.output, as: UTF8.self)
    }

    @Test func howItEndedIsTold() throws {
        let good = try run("echo well; echo so >&2")
        #expect(good.hasSucceeded && good.exit == 0 && text(good) == "well\nso\n")
        let bad = try run("exit 3")
        #expect(!bad.hasSucceeded && bad.end == .exited(3) && bad.exit == 3)
        let shot = try run("kill -TERM $$")
        #expect(!shot.hasSucceeded && shot.end == .signalled(15) && shot.exit == 143)
        #expect(throws: DiskError.self) {
            _ = try OperatorCommand([Array("/nowhere/at/all".utf8)]).run()
        }
    }

    @Test func whatHangsIsKilledWithAllThatItStarted() throws {
        let start = monotonicSeconds()
        let hung = try run("sleep 300 & echo $!; sleep 300", timeout: 0.5)
        #expect(hung.end == .tookTooLong && !hung.hasSucceeded && hung.exit == 137)
        #expect(monotonicSeconds() - start < 5)
        try expectGone(hung)
    }

    @Test func whatItLeavesBehindIsKilledAndNotWaitedFor() throws {
        let start = monotonicSeconds()
        let left = try run("sleep 300 & echo $!")
        #expect(left.hasSucceeded && monotonicSeconds() - start < 5)
        try expectGone(left)
    }

    /// The process whose number it printed.
    private func expectGone(_ outcome: OperatorCommand.Outcome) throws {
        let number = try #require(Int32(text(outcome).split(separator: "\n").first ?? ""))
        // Its parent is gone: whoever reaps it does so when it likes.
        for _ in 0..<200 where kill(number, 0) == 0 && !isZombie(number) { usleep(10_000) }
        #expect(kill(number, 0) != 0 || isZombie(number))
    }

    private func isZombie(_ number: Int32) -> Bool {
        guard let file = fopen("/proc/\(number)/stat", "r") else { return true }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 200)
        guard fgets(&line, 200, file) != nil else { return true }
        return String(decoding: line.map { UInt8(bitPattern: $0) }, as: UTF8.self).contains(") Z ")
    }

    @Test func aFloodIsPassedOver() throws {
        let done = try run("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done")
        #expect(done.hasSucceeded && done.output.count == OperatorCommand.outputLimit)
        #expect(text(done).hasSuffix("line 19998\nline 19999\n"))
        let endless = try run("yes", timeout: 0.5)
        #expect(endless.end == .tookTooLong && endless.output.count <= OperatorCommand.outputLimit)
    }

    @Test func whoeverIsInterruptedDoesNotWait() throws {
        let start = monotonicSeconds()
        let words = ["/bin/sh", "-c", "sleep 300"].map { Array($0.utf8) }
        let cut = try OperatorCommand(words).run { monotonicSeconds() - start > 0.3 }
        #expect(cut.end == .interrupted && !cut.hasSucceeded && monotonicSeconds() - start < 5)
    }
}

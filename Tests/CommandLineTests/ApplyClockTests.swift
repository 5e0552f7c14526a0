import Foundation
import Glibc
import TestSupport
import Testing

/// Clocks that are years off, or go backwards while the program runs, decide nothing.
@Suite struct ApplyClockTests {
    private static let year = 365 * 24 * 3600

    /// Runs a command with its wall clock moved, and set back with each look at it.
    private struct Clock {
        let library: FaultProgram

        init?() throws {
            guard let library = try FaultProgram("clock", "-shared", "-fPIC") else { return nil }
            self.library = library
            let moved = try shifting(
                Command("/bin/date", ["+%s"]), by: 10 * ApplyClockTests.year
            ).run()
            let now = Int(Date().timeIntervalSince1970)
            guard let found = Int(moved.text.filter { $0.isNumber }), found > now + 300_000_000
            else {
                skip("the clock of a program cannot be moved here: \(moved.report)")
                return nil
            }
        }

        func shifting(_ command: Command, by seconds: Int, step: Int = 0) -> Command {
            var moved = command
            moved.program = "/usr/bin/env"
            moved.arguments =
                [
                    "LD_PRELOAD=" + library.path, "RESYNC_CLOCK_OFFSET=\(seconds)",
                    "RESYNC_CLOCK_STEP=\(step)", command.program,
                ].map { Array($0.utf8) } + command.arguments
            return moved
        }
    }

    @Test(arguments: [(10, -10, 0), (-10, 10, 0), (10, -10, 3600), (0, 0, 86400)])
    func yearsAndStepsChangeNothing(_ first: Int, _ second: Int, _ step: Int) throws {
        guard let clock = try Clock() else { return }
        let scene = try ApplyScene()
        let stage = scene.stage
        try stage.remove("p")
        let before = try scene.store
        func run(_ years: Int, _ arguments: String...) throws -> Finished {
            let command = stage.resync(arguments)
            let done = try clock.shifting(command, by: years * Self.year, step: step).run()
            #expect(done.seconds < 30)
            return done
        }
        let compared = try run(first, "verify", stage.a, stage.b, "--settle", "0")
        #expect(compared.status == 1, "\(compared.report)")
        let planned = try run(second, "plan", stage.a, stage.b, "--authority", "a", "-o", "p")
        #expect(planned.status == 0, "\(planned.report)")
        let shown = try Command(Command.resync, ["plan", "show", scene.plan]).run()
        #expect(shown.lines.count { "+*-".contains($0.first ?? " ") } == 6, "\(shown.report)")
        for (years, command) in [(first, ["apply", "p"]), (second, ["confirm"])] {
            let done = try clock.shifting(
                stage.resync(command), by: years * Self.year, step: step
            ).run()
            #expect(done.status == 0, "\(done.report)")
        }
        #expect(stage.bytes("b/f") == stage.bytes("a/f"))
        #expect(try plainTraces(stage.a) == scene.store)
        let undone = try run(first, "undo")
        #expect(undone.status == 0, "\(undone.report)")
        #expect(try scene.store == before)
    }
}

import Foundation
import Glibc
import TestSupport
import Testing

/// A service goes on writing to the target while a plan is carried out, and while it is taken back:
/// what it wrote, and did not itself overwrite, is in its place or in quarantine.
@Suite struct WriterTests {
    @Test(arguments: [false, true])
    func noVersionIsLost(acceptingOpen: Bool) throws {
        guard let python = Command.find("python3") else { return skip("python3 is not installed") }
        guard let mount = try LoopMount(.ext4, size: "256M") else { return }
        var seed = Seed.fromEnvironment()
        let start = ContinuousClock.now
        var (versions, changed) = (0, 0)
        repeat {
            let round = try WriterRound(mount, python, seed.next())
            let more = acceptingOpen ? ["--accept-open"] : []
            let done = try round.whileWriting { try round.apply(more).run() }
            #expect(done.status == 6 || done.status == 0, "\(done.report)")
            changed += try round.skipped(done)
            versions += try round.check("applying")
            // What stands there now, nobody changes any more.
            let again = try round.apply(more).run()
            #expect(again.status == 6 || again.status == 0, "\(again.report)")
            _ = try round.check("applying again")
            let undone = try round.whileWriting { try round.stage.resync(["undo"]).run() }
            #expect(undone.status == 6 || undone.status == 0, "\(undone.report)")
            _ = try round.check("undoing")
        } while start.duration(to: .now) < .seconds(isLongRun ? 60 : 5)
        // Without any the two did not meet.
        #expect(versions > 100 && changed > 0)
        print("writer: \(versions) versions kept, \(changed) changes left alone for their sake")
    }
}

/// A store of 2000 files that are nearly all replaced, with a writer at work in it.
private final class WriterRound {
    let stage: Stage
    private let id: String
    private let python: String
    private let seed: UInt64
    private var logs = 0
    /// By their digests: what was there at first, and what the writer said.
    private let originals: Set<String>

    private static let script = """
        set -eu
        cd "$1"; mkdir -p a b trash
        for d in 0 1 2 3 4 5 6 7 8 9; do
            mkdir a/$d b/$d
            for n in $(seq 200); do
                [ $((n % 7)) = 0 ] || head -c $((n * 20)) /dev/urandom >a/$d/$n
                [ $((n % 9)) = 0 ] || head -c $((n * 20 + 1)) /dev/urandom >b/$d/$n
            done
        done
        find a b -exec touch -d @1500000000 {} +
        """

    init(_ mount: LoopMount, _ python: String, _ seed: UInt64) throws {
        stage = try Stage(below: mount.point)
        self.python = python
        self.seed = seed >> 1
        let made = try Command("/bin/bash", ["-c", Self.script, "script", stage.folder]).run()
        try #require(made.status == 0, "\(made.report)")
        id = try stage.planned()
        originals = try Self.digests(stage, ["b"])
    }

    private static func digests(_ stage: Stage, _ folders: [String]) throws -> Set<String> {
        let script = "cd \"$1\"; shift; find \"$@\" -type f -print0 | xargs -0 sha256sum"
        let found = try Command("/bin/bash", ["-c", script, "script", stage.folder] + folders).run()
        try #require(found.status == 0, "\(found.report)")
        return Set(found.lines.map { String($0.prefix(64)) })
    }

    /// Slowed down after each rename, which gives the writer time between two steps.
    func apply(_ more: [String]) -> Command {
        var command = stage.applying(id, "--write-limit", "3M", "--workers", "2")
        command.arguments += more.map { Array($0.utf8) }
        guard let strace = Command.find("strace") else { return command }
        let words = [
            "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", "trace=renameat2", "-e",
            "inject=renameat2:delay_exit=2000",
        ]
        command.arguments =
            (words + [command.program]).map { Array($0.utf8) } + command.arguments
        command.program = strace
        return command
    }

    func whileWriting(_ body: () throws -> Finished) throws -> Finished {
        logs += 1
        let writer = try Command(
            python,
            [
                Command.project + "/Tests/Faults/writer.py", stage.b, stage.folder + "/trash",
                "\(stage.folder)/log\(logs)", "\(seed + UInt64(logs))", "2500",
            ]
        ).start()
        while writer.outputSoFar.isEmpty { usleep(5000) }
        let done = try body()
        writer.signal(SIGTERM)
        let ended = try writer.wait()
        #expect(ended.status == 0, "\(ended.report)")
        return done
    }

    /// How many actions were left alone because of what the writer did.
    func skipped(_ done: Finished) throws -> Int {
        done.lines.count { $0.contains("changed on B") || $0.contains("somebody else") }
    }

    /// - Returns: how many versions had to be there, and were.
    func check(_ what: String) throws -> Int {
        var (wrote, overwrote) = (originals, Set<String>())
        for number in 1...logs {
            for line in stage.text("log\(number)").split(separator: "\n") {
                let words = line.split(separator: " ")
                if words[0] == "wrote" { wrote.insert(String(words[1])) }
                if words[0] == "overwrote" { overwrote.insert(String(words[1])) }
            }
        }
        let wanted = wrote.subtracting(overwrote)
        let found = try Self.digests(stage, ["a", "b", "trash"])
        let lost = wanted.subtracting(found)
        #expect(lost == [], "\(what): \(lost.count) of \(wanted.count), seed \(seed)")
        return wanted.subtracting(originals).count
    }
}

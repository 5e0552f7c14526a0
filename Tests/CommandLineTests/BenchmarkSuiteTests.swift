import Foundation
import TestSupport
import Testing

/// `Benchmarks/compare`, as far as it can be told without measuring.
@Suite struct BenchmarkSuiteTests {
    private static let folder = Command.project + "/Benchmarks"

    private func python(_ arguments: String...) throws -> Finished? {
        guard let python = Command.find("python3") else {
            skip("there is no python3")
            return nil
        }
        return try Command(python, arguments).run()
    }

    @Test func everyBenchmarkIsDocumented() throws {
        guard let listed = try python(Self.folder + "/compare", "--list") else { return }
        #expect(listed.status == 0, "\(listed.report)")
        let names = listed.lines.filter { !$0.hasPrefix(" ") }
            .compactMap { $0.split(separator: " ").first }
        #expect(names.count >= 15)
        let text = try String(contentsOfFile: Self.folder + "/README.md", encoding: .utf8)
        for name in names { #expect(text.contains("\n| \(name) | "), "\(name)") }
    }

    @Test func aBenchmarkThatDoesNotExistIsRefused() throws {
        guard let refused = try python(Self.folder + "/compare", "--only", "smal") else { return }
        #expect(refused.status == 2 && refused.errorText.contains("smal"), "\(refused.report)")
    }

    @Test func onlyWhatIsWorseInEveryPairCountsAsWorse() throws {
        let script = """
            import sys
            sys.dont_write_bytecode = True
            sys.path.insert(0, sys.argv[1])
            from suite.record import is_worse
            from suite.session import Figure
            from suite.growth import exponent
            def figure(value, low, high, better):
                return Figure("", value, low, high, better)
            print(is_worse(figure(1.2, 1.1, 1.3, "lower"), 1.0),
                  is_worse(figure(1.2, 0.9, 1.3, "lower"), 1.0),
                  is_worse(figure(1.1, 1.05, 1.3, "lower"), 1.0),
                  is_worse(figure(0.8, 0.7, 0.9, "higher"), 1.0),
                  is_worse(figure(0.8, 0.7, 1.1, "higher"), 1.0),
                  is_worse(figure(1.2, 1.1, 1.3, "higher"), 1.0),
                  is_worse(figure(0.015, 0.01, 0.02, "lower"), 0.001),
                  round(exponent([(1, 3), (2, 12), (4, 48)]), 6))
            """
        guard let told = try python("-c", script, Self.folder) else { return }
        #expect(told.status == 0, "\(told.report)")
        // Near zero noise is large against what was recorded.
        #expect(told.text == "True False False True False False False 2.0\n", "\(told.report)")
    }

    /// What reads from the device is no warm run, whoever left the cache as it was.
    @Test func aWarmRunIsRepeatedUntilItIsOne() throws {
        let script = """
            import sys
            from types import SimpleNamespace
            sys.dont_write_bytecode = True
            sys.path.insert(0, sys.argv[1])
            from suite import turns
            from suite.machine import Failure
            from suite.tools import Tool
            fills = []
            turns.fill_cache = fills.append
            turns.say = lambda text: None
            def run(reads):
                reads = iter(reads)
                def stopwatch(argv, statuses):
                    return SimpleNamespace(seconds=1.0, read=next(reads))
                return turns.warm_run(stopwatch, Tool("t", None), ["s"], 1000).read
            print(run([900, 11, 10]), len(fills))
            try:
                run([11] * 10)
            except Failure as failure:
                print(failure)
            """
        guard let told = try python("-c", script, Self.folder) else { return }
        #expect(told.status == 0, "\(told.report)")
        #expect(told.text == "10 2\nt: the files do not stay in the page cache\n", "\(told.report)")
    }
}

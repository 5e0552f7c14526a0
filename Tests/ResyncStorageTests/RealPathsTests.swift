import Dispatch
import Synchronization
import Testing

@testable import ResyncStorage

@Suite struct RealPathsTests {
    /// Paths that lead on only while nothing hangs, and how often each was followed.
    private final class Paths: Sendable {
        private let asked = Mutex<[[UInt8]: Int]>([:])
        let gate = DispatchSemaphore(value: 0)

        func follow(_ path: [UInt8]) -> [UInt8]? {
            asked.withLock { $0[path, default: 0] += 1 }
            if path.starts(with: "/dead".utf8) { gate.wait() }
            return path == Array("/gone".utf8) ? nil : Array("/real".utf8) + path
        }

        func count(_ path: [UInt8]) -> Int { asked.withLock { $0[path, default: 0] } }
    }

    private func bytes(_ path: String) -> [UInt8] { Array(path.utf8) }

    /// Of 300, more than a shared pool has threads, none keeps the one that lives from being found.
    @Test func aPathThatHangsIsAskedForOnceAndWaitedForOnce() {
        let paths = Paths()
        let real = RealPaths { paths.follow($0) }
        let dead = Set((0..<300).map { bytes("/dead\($0)") })
        let all = dead.union([bytes("/a"), bytes("/gone")])
        let start = monotonicSeconds()
        #expect(real.find(all, within: 1) == [bytes("/a"): bytes("/real/a")])
        #expect(monotonicSeconds() - start < 5)
        let again = monotonicSeconds()
        for _ in 0..<10 {
            #expect(real.find(all, within: 30) == [bytes("/a"): bytes("/real/a")])
        }
        #expect(monotonicSeconds() - again < 5)
        #expect(dead.allSatisfy { paths.count($0) == 1 })
        #expect(paths.count(bytes("/a")) == 11)
        for _ in 0..<1000 { paths.gate.signal() }
        for _ in 0..<500 where real.find(dead, within: 1).count < 300 { pause(milliseconds: 10) }
        #expect(real.find(all, within: 30).count == 301)
    }

    /// It is known where it lay, and asked again once it has answered.
    @Test func aPathThatBeginsToHangIsWhereItWas() {
        let paths = Paths()
        let real = RealPaths { paths.follow($0) }
        let dead: Set = [bytes("/dead")]
        paths.gate.signal()
        let known = [bytes("/dead"): bytes("/real/dead")]
        #expect(real.find(dead, within: 30) == known)
        #expect(real.find(dead, within: 0.1) == known)
        #expect(real.find(dead, within: 30) == known)
        #expect(paths.count(bytes("/dead")) == 2)
        for _ in 0..<10 { paths.gate.signal() }
    }
}

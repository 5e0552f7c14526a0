import Foundation
import TestSupport
import Testing

@Suite struct FuzzTests {
    @Test(arguments: FuzzTarget.all)
    func whateverItIsFed(_ target: FuzzTarget) throws {
        var random = Seed.fromEnvironment(target.name)
        let count = rounds(target.rounds * (isLongRun ? 20 : 1))
        let before = addressSpace()
        let tally = try target.run(count, &random)
        print(
            "fuzzed \(target): \(tally.accepted) accepted, \(tally.refused) refused,"
                + " \(tally.seconds) s")
        // Else it is no test of what lies behind the first check, or of no check at all.
        if count >= 1000 {
            #expect(min(tally.accepted, tally.refused) > count / 200, "\(tally)")
        }
        // Of the whole process: other tests have their share of it.
        #expect(addressSpace() - before < 8 << 30)
    }
}

/// The most bytes that this process ever had for its own, used or not.
private func addressSpace() -> Int {
    guard let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8),
        let line = status.split(separator: "\n").first(where: { $0.hasPrefix("VmPeak:") }),
        let pages = line.split(separator: " ").dropFirst().first.flatMap({ Int($0) })
    else { return 0 }
    return pages << 10
}

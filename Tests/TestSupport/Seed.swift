import Glibc

/// SplitMix64 (Steele, Lea and Flood 2014): small, and the same on every machine, so that a printed
/// seed replays a failure.
package struct Seed: RandomNumberGenerator, Sendable {
    /// What it started from.
    package let value: UInt64
    private var state: UInt64

    package init(_ value: UInt64) {
        self.value = value
        state = value
    }

    /// From `RESYNC_SEED` (decimal, or hexadecimal after 0x). Else always the same for a test, so
    /// that who changed nothing sees nothing change; a long run is there to find what is new, and
    /// takes another one each time. Printed, because a failure that cannot be replayed is lost.
    package static func fromEnvironment(_ test: String = #function) -> Seed {
        let usual = isLongRun ? UInt64.random(in: 0...UInt64.max) : mixed(fnv(test))
        let seed = Seed(given() ?? usual)
        print("\(test): RESYNC_SEED=\(seed.value)")
        return seed
    }

    package mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        return mixed(state)
    }

    package mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &self) }

    private static func given() -> UInt64? {
        guard let text = environment("RESYNC_SEED") else { return nil }
        return text.hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16) : UInt64(text)
    }
}

/// How many random rounds a test runs: `RESYNC_RUNS` for long ones, else what is quick.
package func rounds(_ quick: Int) -> Int {
    environment("RESYNC_RUNS").flatMap { Int($0) } ?? quick
}

private func environment(_ name: String) -> String? {
    getenv(name).map { String(cString: $0) }
}

/// The output function of SplitMix64: every bit of the input moves every bit of the result.
func mixed(_ value: UInt64) -> UInt64 {
    var word = value
    word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
    word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
    return word ^ (word >> 31)
}

/// FNV-1a (Fowler, Noll and Vo) of a text, the same in every process.
private func fnv(_ text: String) -> UInt64 {
    text.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
}

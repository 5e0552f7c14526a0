/// xoshiro256++ of Blackman and Vigna, its state drawn with SplitMix64 as they recommend.
struct Random {
    private var s0, s1, s2, s3: UInt64

    /// Different streams of one seed are independent sequences.
    init(seed: UInt64, stream: UInt64) {
        // The seed is mixed before the stream is added: otherwise stream 1 of seed 1 would be
        // stream 0 of seed 2.
        var mixed = seed
        var state = Self.split(&mixed) &+ stream
        state = Self.split(&state)
        s0 = Self.split(&state)
        s1 = Self.split(&state)
        s2 = Self.split(&state)
        s3 = Self.split(&state)
    }

    mutating func next() -> UInt64 {
        let sum = s0 &+ s3
        let result = ((sum << 23) | (sum >> 41)) &+ s0
        let shifted = s1 << 17
        s2 ^= s0
        s3 ^= s1
        s1 ^= s2
        s0 ^= s3
        s2 ^= shifted
        s3 = (s3 << 45) | (s3 >> 19)
        return result
    }

    /// The same bytes on every machine.
    mutating func fill(_ words: UnsafeMutableBufferPointer<UInt64>) {
        // A copy, so that the state stays in registers.
        var generator = self
        for index in words.indices { words[index] = generator.next().littleEndian }
        self = generator
    }

    private static func split(_ state: inout UInt64) -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

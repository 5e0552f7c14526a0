import ResyncCore

/// FNV-1a over everything, spread over 32 bytes: a hash that needs no library, for tests of shape.
struct ToyHash: HashFunction {
    private var state: UInt64 = 0xcbf2_9ce4_8422_2325

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        for byte in bytes { state = (state ^ UInt64(byte)) &* 0x100_0000_01b3 }
    }

    mutating func finalize() -> Digest {
        defer { self = ToyHash() }
        func word(_ salt: UInt64) -> UInt64 {
            let mixed = (state ^ salt) &* 0x9e37_79b9_7f4a_7c15
            return mixed ^ mixed >> 29
        }
        return Digest(words: (word(1), word(2), word(3), word(4)))
    }
}

/// A digest that is told from others by its number.
func digest(_ number: UInt64) -> Digest {
    Digest(words: (number, ~number, number &* 31, 7))
}

extension RandomNumberGenerator {
    mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &self) }

    mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) }
    }

    /// A valid name; few letters, around `/` in order, so that names share beginnings.
    mutating func name() -> Name {
        let letters: [UInt8] = [0x01, 0x20, 0x2e, 0x2d, 0x30, 0x61, 0x7f, 0x80, 0xff]
        while true {
            let name = Name((0..<(1 + below(3))).map { _ in letters[below(letters.count)] })
            if name.isValid { return name }
        }
    }
}

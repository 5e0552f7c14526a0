import Foundation
import ResyncCore
import TestSupport
import Testing

@testable import ResyncStorage

@Suite struct HashingTests {
    private func hex(_ algorithm: DigestAlgorithm, _ text: String) throws -> String {
        var hash = try EVPHash(algorithm)
        hash.update(Array(text.utf8))
        return hash.finalize().hex
    }

    /// FIPS 180-4, from NIST's examples; "" and the second message from its test vectors.
    @Test func knownHashes() throws {
        #expect(
            try hex(.sha256, "abc")
                == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(
            try hex(.sha256, "")
                == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(
            try hex(.sha256, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")
                == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
        #expect(
            try hex(.sha512_256, "abc")
                == "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23")
    }

    @Test func finalizingStartsAfresh() throws {
        for algorithm in [DigestAlgorithm.sha256, .sha512_256] {
            var hash = try EVPHash(algorithm)
            hash.update([1])
            let first = hash.finalize()
            let empty = hash.finalize()
            hash.update([1])
            #expect(hash.finalize() == first)
            #expect(first != empty)
        }
    }

    /// The published vectors of Certificate Transparency: leaves, nodes and shape at once.
    @Test func treesAgreeWithCertificateTransparency() throws {
        let inputs: [[UInt8]] = [
            [], [0], [0x10], [0x20, 0x21], [0x30, 0x31], [0x40, 0x41, 0x42, 0x43],
            Array(0x50...0x57), Array(0x60...0x6f),
        ]
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ]
        let digester = try BlockDigester(DigestScheme(.sha256, blockSize: 1 << 20))
        var tree = BlockTree(try EVPHash(.sha256))
        for count in 1...8 {
            for input in inputs[..<count] { tree.append(try digester.digest(input), count: 1) }
            #expect(tree.finish().hex == roots[count - 1])
        }
    }

    @Test(arguments: DigestAlgorithm.allCases)
    func blocks(_ algorithm: DigestAlgorithm) throws {
        let scheme = try DigestScheme(algorithm, blockSize: 1 << 20)
        let digester = try BlockDigester(scheme)
        let other = try BlockDigester(scheme)
        var random = Seed.fromEnvironment()
        for size in [0, 1, 15, 16, 17, 4096, 65536, 100_000] {
            let block = (0..<size).map { _ in UInt8.random(in: 0...255, using: &random) }
            let digest = try digester.digest(block)
            #expect(try digester.digest(block) == digest)
            #expect(try other.digest(block) == digest)
            // In pieces it is the same block.
            try other.begin()
            for start in stride(from: 0, to: size, by: 1000) {
                try block[start..<min(start + 1000, size)].withUnsafeBytes { try other.update($0) }
            }
            #expect(try other.finish() == digest)
            // One more zero makes another block, and so does any flipped bit.
            #expect(try digester.digest(block + [0]) != digest)
            for _ in 0..<20 where size > 0 {
                var changed = block
                changed[Int.random(in: 0..<size, using: &random)] ^= 1 << UInt8(random.next() % 8)
                #expect(try digester.digest(changed) != digest)
            }
        }
    }

    /// A read error, a cut file or a stop leaves a block unfinished: the next one must not show it.
    @Test(arguments: DigestAlgorithm.allCases)
    func anUnfinishedBlockLeavesNoTrace(_ algorithm: DigestAlgorithm) throws {
        let digester = try BlockDigester(DigestScheme(algorithm, blockSize: 1 << 20))
        let block = [UInt8](repeating: 7, count: 4096)
        let digest = try digester.digest(block)
        try digester.begin()
        #expect(try digester.digest(block) == digest)
        try digester.begin()
        try block.withUnsafeBytes { try digester.update($0) }
        #expect(try digester.digest(block) == digest)
        #expect(try digester.digest(block) == digest)
    }

    @Test(arguments: DigestAlgorithm.allCases)
    func zerosAreTheDigestOfZeros(_ algorithm: DigestAlgorithm) throws {
        let digester = try BlockDigester(DigestScheme(algorithm, blockSize: 1 << 20))
        for count in [0, 1, 4096, 65535, 1 << 20] + Array(2..<80) {
            let expected = try digester.digest([UInt8](repeating: 0, count: count))
            #expect(try digester.zeros(count) == expected)
            #expect(try digester.zeros(count) == expected)
        }
    }

    @Test func twoRunsHaveTwoKeys() throws {
        let block = [UInt8](repeating: 7, count: 4096)
        var digests: Set<Digest> = []
        for _ in 0..<20 {
            let digester = try BlockDigester(DigestScheme(.gmac, blockSize: 1 << 20))
            digests.insert(try digester.digest(block))
        }
        #expect(digests.count == 20)
        // What is kept is the same in every run.
        for algorithm in DigestAlgorithm.allCases where algorithm.canBeKept {
            let both = try (0..<2).map { _ in
                try BlockDigester(DigestScheme(algorithm, blockSize: 1 << 20)).digest(block)
            }
            #expect(both[0] == both[1])
        }
    }

    /// A context used again without its nonce must fail, not answer with the tag before.
    @Test func aForgottenNonceIsAnError() throws {
        let digester = try BlockDigester(DigestScheme(.gmac, blockSize: 1 << 20))
        let first = try digester.digest([UInt8](repeating: 1, count: 4096))
        let second = Result { () throws -> Digest in
            try [UInt8](repeating: 2, count: 4096).withUnsafeBytes { try digester.update($0) }
            return try digester.finish()
        }
        #expect(throws: HashingError.self) { try second.get() }
        // And the next block that is begun is right again.
        #expect(try digester.digest([UInt8](repeating: 1, count: 4096)) == first)
    }

    @Test func theSelfTestCatchesStaleTags() throws {
        func digest(_ number: UInt64) -> Digest { Digest(words: (number, 0, 0, 0)) }
        #expect(throws: HashingError.self) {
            try DigestScheme.test { _ throws(HashingError) in digest(1) }
        }
        #expect(throws: HashingError.self) {
            var count: UInt64 = 0
            try DigestScheme.test { _ throws(HashingError) in
                count += 1
                return digest(count)
            }
        }
        #expect(throws: HashingError.self) {
            try DigestScheme.test { _ throws(HashingError) in throw HashingError(call: "x") }
        }
        try DigestScheme.test { byte throws(HashingError) in digest(UInt64(byte)) }
    }

    /// A witness can be kept: it must not be what anybody can compute from the keyed digests.
    @Test func witnessesAreBlinded() throws {
        var blocks = BlockList()
        blocks.append(Digest(words: (1, 0, 0, 0)), count: 2)
        blocks.append(Digest(words: (2, 0, 0, 0)))
        var plain = try EVPHash(.sha256)
        for (word, count) in [(1, 2), (2, 1)] as [(UInt64, UInt8)] {
            plain.update(Digest(words: (word, 0, 0, 0)).bytes + [count, 0, 0, 0, 0, 0, 0, 0])
        }
        let expected = plain.finalize()

        let kept = try DigestScheme(.sha256, blockSize: 1 << 20)
        #expect(kept.witness(blocks, 0..<3) == expected)
        #expect(kept.witness(blocks, 0..<2) != expected)
        let keyed = try DigestScheme(.gmac, blockSize: 1 << 20)
        #expect(keyed.witness(blocks, 0..<3) == keyed.witness(blocks, 0..<3))
        #expect(keyed.witness(blocks, 0..<3) != expected)
        #expect(keyed.witness(blocks, 0..<2) != keyed.witness(blocks, 1..<3))
        let other = try DigestScheme(.gmac, blockSize: 1 << 20)
        #expect(other.witness(blocks, 0..<3) != keyed.witness(blocks, 0..<3))
    }

    // MARK: GMAC

    private func gmac(_ digester: BlockDigester, _ bytes: [UInt8], piece: Int) throws -> String {
        try digester.begin()
        for start in stride(from: 0, to: bytes.count, by: piece) {
            try bytes[start..<min(start + piece, bytes.count)].withUnsafeBytes {
                try digester.update($0)
            }
        }
        let digest = try digester.finish()
        #expect(digest.bytes.dropFirst(16).allSatisfy { $0 == 0 })
        return String(digest.hex.prefix(32))
    }

    private func digester(_ key: [UInt8], _ nonce: [UInt8]) throws -> BlockDigester {
        try BlockDigester(DigestScheme(RunKey(key: key, nonce: nonce), blockSize: 1 << 20))
    }

    private func bytes(_ hex: String) -> [UInt8] {
        let digits = hex.compactMap { $0.hexDigitValue }.map { UInt8($0) }
        return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }

    /// NIST SP 800-38D: the first test case of the GCM proposal, and two of NIST's validation
    /// vectors (gcmEncryptExtIV128) without plaintext.
    @Test func publishedVectorsOfGMAC() throws {
        let vectors = [
            (
                key: "00000000000000000000000000000000", nonce: "000000000000000000000000",
                data: "", tag: "58e2fccefa7e3061367f1d57a4e7455a"
            ),
            (
                key: "11754cd72aec309bf52f7687212e8957", nonce: "3c819d9a9bed087615030b65",
                data: "", tag: "250327c674aaf477aef2675748cf6971"
            ),
            (
                key: "77be63708971c4e240d1cb79e8d77feb", nonce: "e0e00f19fed7ba0136a797f3",
                data: "7a43ec1d9c0a5a78a0b16533a6213cab", tag: "209fcc8d3675ed938e9c7166709dd946"
            ),
        ]
        for vector in vectors {
            let digester = try digester(bytes(vector.key), bytes(vector.nonce))
            for _ in 0..<2 {
                #expect(try gmac(digester, bytes(vector.data), piece: 64) == vector.tag)
            }
        }
    }

    /// Computed with AESGCM of Python's cryptography, the data as additional data; in whatever
    /// pieces it comes, and whatever was digested before.
    @Test func lengthsOfGMACAgreeWithAnotherImplementation() throws {
        let tags = [
            1: "30022983c9200dfc1f9ec6749541eff6", 15: "50a7f8229fb02819fcffa68b62939a4e",
            16: "bbd38767efb6f661c28c6de8911c31c2", 17: "9e7bdf5c6e4c1bdeb1ea2f28f3fc8ea8",
            20: "a0736d2ca047d3eed7e8423e008f823c", 4096: "02f56b77aa8d000d0f59ba11bca686a8",
            100_003: "a5438896c8b51c36b339a574b8a0c6c6",
        ]
        let digester = try digester(Array(0..<16), Array(0x40..<0x4c))
        for (count, tag) in tags {
            let data = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 7 + $0 / 256) }
            for piece in [1, 7, 16, 4096, 1 << 20] where count / piece < 20_000 {
                #expect(try gmac(digester, data, piece: piece) == tag, "\(count) by \(piece)")
            }
        }
    }
}

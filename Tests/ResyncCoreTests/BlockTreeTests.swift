import TestSupport
import Testing

@testable import ResyncCore

@Suite struct BlockTreeTests {
    // MARK: The tree

    private func node(_ left: Digest, _ right: Digest) -> Digest {
        var hash = ToyHash()
        hash.update([1])
        hash.update(left.bytes)
        hash.update(right.bytes)
        return hash.finalize()
    }

    /// RFC 6962, section 2.1, word for word: split at the largest power of two below n.
    private func naiveRoot(_ leaves: ArraySlice<Digest>) -> Digest {
        if leaves.isEmpty {
            var hash = ToyHash()
            return hash.finalize()
        }
        if leaves.count == 1 { return leaves[leaves.startIndex] }
        var split = 1
        while split * 2 < leaves.count { split *= 2 }
        let middle = leaves.startIndex + split
        return node(naiveRoot(leaves[..<middle]), naiveRoot(leaves[middle...]))
    }

    @Test func shapeIsThatOfTheRFC() {
        var tree = BlockTree(ToyHash())
        for count in 0...140 {
            let leaves = (0..<count).map { digest(UInt64($0)) }
            for leaf in leaves { tree.append(leaf, count: 1) }
            #expect(tree.finish() == naiveRoot(leaves[...]), "\(count) leaves")
        }
    }

    @Test func runsAreTheSameAsTheirLeaves() {
        var random = Seed.fromEnvironment()
        var tree = BlockTree(ToyHash())
        for _ in 0..<rounds(300) {
            var leaves: [Digest] = []
            for _ in 0..<random.below(8) {
                let run = (
                    digest(UInt64(random.below(3))), [1, 2, 3, 8, 63, 64, 100][random.below(7)]
                )
                tree.append(run.0, count: run.1)
                leaves += Array(repeating: run.0, count: run.1)
            }
            #expect(tree.finish() == naiveRoot(leaves[...]))
        }
    }

    /// A sparse file of 8 EiB in blocks of 1 MiB.
    @Test func aHugeHoleIsQuick() {
        let clock = ContinuousClock()
        var tree = BlockTree(ToyHash())
        let time = clock.measure {
            tree.append(digest(1), count: 3)
            tree.append(digest(0), count: 1 << 43)
            tree.append(digest(2), count: 1)
            _ = tree.finish()
            tree.append(digest(0), count: .max)
            _ = tree.finish()
        }
        #expect(time < .seconds(1))

        // 2^43 equal leaves are 43 levels of equal nodes.
        tree.append(digest(0), count: 1 << 43)
        var expected = digest(0)
        for _ in 0..<43 { expected = node(expected, expected) }
        #expect(tree.finish() == expected)
    }

    @Test func aFileDigestDependsOnEverything() {
        var tree = BlockTree(ToyHash())
        var blocks = BlockList()
        blocks.append(digest(1), count: 2)
        let first = tree.fileDigest(blocks, size: 100, blockSize: 64)
        #expect(tree.fileDigest(blocks, size: 100, blockSize: 64) == first)
        #expect(tree.fileDigest(blocks, size: 101, blockSize: 64) != first)
        #expect(tree.fileDigest(blocks, size: 100, blockSize: 65) != first)
        var other = blocks
        other.append(digest(1))
        #expect(tree.fileDigest(other, size: 100, blockSize: 64) != first)
        // No file's digest is the root over its blocks.
        tree.append(digest(1), count: 2)
        #expect(tree.finish() != first)
        var hash = ToyHash()
        hash.update([2, 100, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0])
        hash.update(node(digest(1), digest(1)).bytes)
        #expect(hash.finalize() == first)
    }

    // MARK: Lists

    private func expanded(_ list: BlockList) -> [Digest] {
        list.runs.flatMap { Array(repeating: $0.digest, count: $0.count) }
    }

    private func randomList(_ random: inout Seed) -> BlockList {
        var list = BlockList()
        for _ in 0..<random.below(8) {
            list.append(digest(UInt64(random.below(3))), count: random.below(5))
        }
        return list
    }

    @Test func equalNeighboursAreOneRun() {
        var list = BlockList()
        list.append(digest(1))
        list.append(digest(1), count: 4)
        list.append(digest(2), count: 0)
        list.append(digest(2), count: 1 << 43)
        #expect(list.runs.map(\.count) == [5, 1 << 43])
        #expect(list.blockCount == 5 + 1 << 43)
        var twice = list
        twice.append(contentsOf: list)
        #expect(twice.runs.map(\.count) == [5, 1 << 43, 5, 1 << 43])
        #expect(list.differences(from: list) == [])
    }

    @Test func differencesAgreeWithTheNaiveOnes() {
        var random = Seed.fromEnvironment()
        for _ in 0..<rounds(2000) {
            let (left, right) = (randomList(&random), randomList(&random))
            let found = left.differences(from: right)
            let pairs = zip(expanded(left), expanded(right)).enumerated()
            let expected = pairs.filter { $0.element.0 != $0.element.1 }.map(\.offset)
            #expect(found.flatMap { Array($0) } == expected)
            for (one, next) in zip(found, found.dropFirst()) {
                #expect(one.upperBound < next.lowerBound, "touching ranges are not joined")
            }
            #expect(right.differences(from: left) == found)
        }
    }

    @Test func runsInARangeAgreeWithTheNaiveOnes() {
        var random = Seed.fromEnvironment()
        for _ in 0..<rounds(2000) {
            let list = randomList(&random)
            let all = expanded(list)
            let start = random.below(all.count + 2)
            let range = start..<(start + random.below(all.count + 3))
            var met: [Digest] = []
            list.forEachRun(in: range) { met += Array(repeating: $0, count: $1) }
            #expect(met == Array(all[range.clamped(to: 0..<all.count)]))
        }
    }

    // MARK: Digests

    @Test func digestsAsText() {
        let bytes = (0..<32).map { UInt8($0 * 8 + 7) }
        let value = Digest(bytes: bytes)
        #expect(value?.bytes == bytes)
        #expect(value?.hex.hasPrefix("070f171f") == true)
        #expect(Digest(hex: value?.hex ?? "") == value)
        #expect(Digest(hex: value?.hex.uppercased() ?? "") == value)
        #expect(Digest(hex: String(repeating: "0", count: 63)) == nil)
        #expect(Digest(hex: String(repeating: "0", count: 65)) == nil)
        #expect(Digest(hex: String(repeating: "g", count: 64)) == nil)
        #expect(Digest(bytes: bytes.dropLast()) == nil)
        #expect(DigestAlgorithm.allCases.filter { !$0.canBeKept } == [.gmac])
    }

    @Test func digestsDifferInEveryByte() {
        for at in 0..<32 {
            var bytes = [UInt8](repeating: 0, count: 32)
            bytes[at] = 1
            #expect(Digest(bytes: bytes) != .zero)
        }
    }
}

/// The first byte of what is hashed, so that no digest of one kind can stand for another.
package enum TreeDomain {
    package static let leaf: UInt8 = 0
    package static let node: UInt8 = 1
    package static let file: UInt8 = 2
    package static let directory: UInt8 = 3
}

/// How many blocks so many bytes are, the last one perhaps not whole.
package func blockCount(_ size: Int, _ blockSize: Int) -> Int {
    size / blockSize + (size % blockSize == 0 ? 0 : 1)
}

/// The digests of a file's blocks in order, equal neighbours counted instead of repeated: a hole
/// of a terabyte is one run.
package struct BlockList: Sendable, Hashable {
    package struct Run: Sendable, Hashable {
        package var count: Int
        package var digest: Digest
    }

    /// Equal blocks up to where they end.
    private struct Stretch: Sendable, Hashable {
        var end: Int
        let digest: Digest
    }

    /// Most files are one block: the first needs no allocation.
    private var first: Stretch?
    private var rest: [Stretch] = []

    package init() {}

    package var blockCount: Int { rest.last?.end ?? first?.end ?? 0 }

    /// The runs one by one, without a copy of them.
    package var runs: Runs { Runs(list: self) }

    package struct Runs: RandomAccessCollection, Sendable {
        fileprivate let list: BlockList

        package var startIndex: Int { 0 }
        package var endIndex: Int { list.first == nil ? 0 : list.rest.count + 1 }

        package subscript(index: Int) -> Run {
            let run = list.stretch(index)
            return Run(count: run.end - list.start(of: index), digest: run.digest)
        }
    }

    /// - Precondition: there are that many runs.
    private func stretch(_ index: Int) -> Stretch {
        if index > 0 { return rest[index - 1] }
        guard let first else { preconditionFailure("a run of an empty list") }
        return first
    }

    /// Of the run that a block is in; that of the end where there is no such block.
    private func index(holding block: Int) -> Int {
        var (low, high) = (0, runs.count)
        while low < high {
            let middle = low + (high - low) / 2
            if stretch(middle).end <= block { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private func start(of index: Int) -> Int { index > 0 ? stretch(index - 1).end : 0 }

    /// Of the last block; nil where there is none.
    package var lastDigest: Digest? { rest.last?.digest ?? first?.digest }

    /// - Precondition: no more blocks than a number holds.
    package mutating func append(_ digest: Digest, count: Int = 1) {
        guard count > 0 else { return }
        let end = blockCount + count
        if digest != lastDigest {
            let new = Stretch(end: end, digest: digest)
            if first == nil { first = new } else { rest.append(new) }
        } else if rest.isEmpty {
            first?.end = end
        } else {
            rest[rest.count - 1].end = end
        }
    }

    package mutating func append(contentsOf other: BlockList) {
        for run in other.runs { append(run.digest, count: run.count) }
    }

    package func contains(_ digest: Digest) -> Bool {
        first?.digest == digest || rest.contains { $0.digest == digest }
    }

    /// Calls `body` with each run that lies in a range of blocks, cut to it.
    package func forEachRun(in range: Range<Int>, _ body: (Digest, Int) -> Void) {
        var at = range.lowerBound
        var index = index(holding: at)
        while at < range.upperBound, index < runs.count {
            let run = stretch(index)
            let end = min(run.end, range.upperBound)
            body(run.digest, end - at)
            at = end
            index += 1
        }
    }

    /// The blocks that no digest is known of, in order.
    package var unread: [Range<Int>] {
        guard contains(.zero) else { return [] }
        return runs.indices.compactMap { index in
            let run = stretch(index)
            return run.digest == .zero ? start(of: index)..<run.end : nil
        }
    }

    /// The ranges of blocks, of the shorter list's length, whose digests differ.
    package func differences(from other: BlockList) -> [Range<Int>] {
        var found: [Range<Int>] = []
        var (left, right) = (Cursor(self), Cursor(other))
        var at = 0
        while let l = left.current, let r = right.current {
            let count = min(left.remaining, right.remaining)
            if l != r {
                if let last = found.last, last.upperBound == at {
                    found[found.count - 1] = last.lowerBound..<(at + count)
                } else {
                    found.append(at..<(at + count))
                }
            }
            at += count
            left.advance(count)
            right.advance(count)
        }
        return found
    }

    private struct Cursor {
        let runs: Runs
        var index = 0
        var remaining: Int

        init(_ list: BlockList) {
            runs = list.runs
            remaining = runs.first?.count ?? 0
        }

        var current: Digest? { index < runs.count ? runs[index].digest : nil }

        mutating func advance(_ count: Int) {
            remaining -= count
            if remaining == 0 {
                index += 1
                remaining = index < runs.count ? runs[index].count : 0
            }
        }
    }
}

/// The Merkle tree hash of RFC 6962, section 2.1, over block digests as leaves. A run of equal
/// leaves costs logarithmic work.
package struct BlockTree<Hash: HashFunction> {
    private var hash: Hash
    private var stack: [(level: Int, digest: Digest)] = []
    private var position: UInt64 = 0

    package init(_ hash: Hash) { self.hash = hash }

    package mutating func append(_ leaf: Digest, count: Int) {
        var remaining = UInt64(count)
        var powers = [leaf]
        while remaining > 0 {
            let aligned = position == 0 ? 63 : position.trailingZeroBitCount
            let level = min(aligned, 63 - remaining.leadingZeroBitCount)
            while powers.count <= level {
                let below = powers[powers.count - 1]
                powers.append(node(below, below))
            }
            push(level, powers[level])
            position += 1 << UInt64(level)
            remaining -= 1 << UInt64(level)
        }
    }

    private mutating func push(_ level: Int, _ digest: Digest) {
        var (level, digest) = (level, digest)
        while let top = stack.last, top.level == level {
            stack.removeLast()
            digest = node(top.digest, digest)
            level += 1
        }
        stack.append((level, digest))
    }

    private mutating func node(_ left: Digest, _ right: Digest) -> Digest {
        hash.update([TreeDomain.node])
        left.withBytes { hash.update($0) }
        right.withBytes { hash.update($0) }
        return hash.finalize()
    }

    /// The root, and an empty tree again. Without any leaf it is the hash of nothing.
    package mutating func finish() -> Digest {
        guard var root = stack.popLast()?.digest else { return hash.finalize() }
        while let left = stack.popLast() { root = node(left.digest, root) }
        position = 0
        return root
    }

    /// A file's digest: the domain byte, its size and the block size as little-endian 64-bit
    /// numbers, and the root over its blocks.
    package mutating func fileDigest(_ blocks: BlockList, size: Int, blockSize: Int) -> Digest {
        for run in blocks.runs { append(run.digest, count: run.count) }
        let root = finish()
        hash.update([TreeDomain.file])
        withUnsafeBytes(of: UInt64(size).littleEndian) { hash.update($0) }
        withUnsafeBytes(of: UInt64(blockSize).littleEndian) { hash.update($0) }
        root.withBytes { hash.update($0) }
        return hash.finalize()
    }
}

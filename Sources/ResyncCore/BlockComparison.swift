/// What the digests of two files of one size say about their blocks. It costs what their runs do,
/// however many blocks these stand for.
package struct BlockComparison: Sendable {
    /// Blocks that differ, neighbours joined until there are no more than a difference holds.
    package let differing: [Range<Int>]
    /// Where these lie.
    package let extents: [Extent]
    /// Bytes for which the digests of both sides were compared.
    package let comparedBytes: Int

    /// - Parameter unread: blocks that one side or the other could not read.
    /// - Precondition: both lists are for all blocks.
    package init(
        _ a: BlockList, _ b: BlockList, unread: [Range<Int>], size: Int, blockSize: Int
    ) {
        precondition(a.blockCount == b.blockCount)
        let unread = unread.merged
        differing = a.differences(from: b).subtracting(unread).joined(
            upTo: Difference.extentLimit)
        extents = differing.map { Extent(blocks: $0, size: size, blockSize: blockSize) }
        comparedBytes = unread.reduce(size) { left, blocks in
            left - Extent(blocks: blocks, size: size, blockSize: blockSize).length
        }
    }

    /// Of each extent on each side.
    package func witnesses(
        _ a: BlockList, _ b: BlockList, _ witness: (BlockList, Range<Int>) -> Digest
    ) -> Sides<[Digest]> {
        Sides(a: differing.map { witness(a, $0) }, b: differing.map { witness(b, $0) })
    }
}

extension Extent {
    /// Where some blocks of a file of this size lie.
    package init(blocks: Range<Int>, size: Int, blockSize: Int) {
        let start = blocks.lowerBound * blockSize
        // The end of the last block may lie beyond what a number holds.
        let end = blocks.upperBound > size / blockSize ? size : blocks.upperBound * blockSize
        self.init(offset: start, length: end - start)
    }
}

extension [Extent] {
    /// With those of what lies behind, one where they touch, neighbours joined until there are no
    /// more than a difference holds.
    package func joined(with later: [Extent]) -> [Extent] {
        let all = (self + later).map { $0.offset..<$0.end }.merged
        return all.joined(upTo: Difference.extentLimit).map {
            Extent(offset: $0.lowerBound, length: $0.count)
        }
    }
}

extension [Range<Int>] {
    /// In order, and one where they touch.
    fileprivate var merged: [Range<Int>] {
        var all: [Range<Int>] = []
        for range in sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let last = all.last, range.lowerBound <= last.upperBound {
                all[all.count - 1] =
                    last.lowerBound..<Swift.max(last.upperBound, range.upperBound)
            } else {
                all.append(range)
            }
        }
        return all
    }

    /// Without what is in others; both are in order, and none touches the next.
    fileprivate func subtracting(_ others: [Range<Int>]) -> [Range<Int>] {
        guard !others.isEmpty else { return self }
        var parts: [Range<Int>] = []
        var first = 0
        for range in self {
            while first < others.count, others[first].upperBound <= range.lowerBound {
                first += 1
            }
            var at = range.lowerBound
            for other in others[first...] {
                guard other.lowerBound < range.upperBound else { break }
                if at < other.lowerBound { parts.append(at..<other.lowerBound) }
                at = other.upperBound
            }
            if at < range.upperBound { parts.append(at..<range.upperBound) }
        }
        return parts
    }

    /// Joins neighbours until no more than `limit` are left.
    fileprivate func joined(upTo limit: Int) -> [Range<Int>] {
        guard count > limit else { return self }
        let group = (count + limit - 1) / limit
        return stride(from: 0, to: count, by: group).map { start in
            let last = self[Swift.min(start + group, count) - 1]
            return self[start].lowerBound..<last.upperBound
        }
    }
}

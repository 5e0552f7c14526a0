extension Module {
    /// What must not become of files that were proven once, though both sides agree about it.
    package enum Policy: String, Sendable, Hashable, CaseIterable {
        /// Their content stays as it was.
        case immutable
        /// They may grow, and begin as they did.
        case appendOnly = "append-only"
    }
}

/// How a file broke what its module promises of it.
package enum PolicyBreach: UInt8, Sendable, Hashable, CaseIterable, Comparable {
    case changed, replaced, shrunk, rewritten

    package static func < (left: PolicyBreach, right: PolicyBreach) -> Bool {
        left.rawValue < right.rawValue
    }

    package var sentence: String {
        switch self {
        case .changed: "not what was proven, and must not change"
        case .replaced: "no file any more, and must not change"
        case .shrunk: "shorter than was proven, and may only grow"
        case .rewritten: "not beginning as was proven, and may only grow"
        }
    }
}

extension Module.Policy {
    package enum Finding: Sendable, Hashable {
        case kept
        case broken(PolicyBreach)
        /// It is kept if the file begins as it did.
        case grown
    }

    /// Holds a file, as both sides share it now, against what they shared before.
    package func weigh(_ known: BaselineRecord, _ now: BaselineRecord) -> Finding {
        let (old, new) = (known.agreed, now.agreed)
        guard old.type == .file else { return .kept }
        guard new.type == .file else { return .broken(.replaced) }
        // What was not read says nothing of what it was.
        guard let then = old.content, let content = new.content, then != content else {
            return .kept
        }
        guard self == .appendOnly else { return .broken(.changed) }
        if new.stat.size < old.stat.size { return .broken(.shrunk) }
        return new.stat.size == old.stat.size ? .broken(.rewritten) : .grown
    }
}

extension FileContent {
    /// The digest of a file that ends earlier, from the blocks of this one.
    ///
    /// - Parameters:
    ///   - size: of its beginning, in bytes.
    ///   - rest: the digest of what it has of its last block; nil where that is a whole one.
    /// - Returns: nil where not all blocks before are known.
    package func digest<Hash: HashFunction>(
        ofFirst size: Int, rest: Digest?, blockSize: Int, _ hash: Hash
    ) -> Digest? {
        let whole = size / blockSize
        guard blocks.blockCount >= whole else { return nil }
        var beginning = BlockList()
        blocks.forEachRun(in: 0..<whole) { beginning.append($0, count: $1) }
        guard !beginning.contains(.zero) else { return nil }
        if let rest { beginning.append(rest) }
        var tree = BlockTree(hash)
        return tree.fileDigest(beginning, size: size, blockSize: blockSize)
    }
}

/// The result for one entry.
package enum Outcome: UInt8, Sendable, CaseIterable {
    case same = 0
    case differs, missingOnA, missingOnB, unstable, unreadable, notVerified, conflict
    /// It differs, and may.
    case expected

    /// As in `--combined`: rclone's signs, and three more.
    package var sign: Character {
        switch self {
        case .same: "="
        case .differs: "*"
        case .missingOnA: "-"
        case .missingOnB: "+"
        case .unreadable: "!"
        case .unstable: "~"
        case .notVerified: "?"
        case .conflict: "x"
        case .expected: "e"
        }
    }

    package var word: String {
        switch self {
        case .same: "same"
        case .differs: "differs"
        case .missingOnA: "missing_on_a"
        case .missingOnB: "missing_on_b"
        case .unstable: "unstable"
        case .unreadable: "unreadable"
        case .notVerified: "not_verified"
        case .conflict: "conflict"
        case .expected: "expected"
        }
    }
}

/// Offset and length in one entry or device, in bytes.
package struct Extent: Sendable, Hashable {
    package var offset: Int
    package var length: Int

    package init(offset: Int, length: Int) {
        self.offset = offset
        self.length = length
    }

    package var end: Int { offset + length }
}

/// What a content difference looks like, which often tells what made it.
package enum Shape: UInt8, Sendable, CaseIterable {
    /// B is a prefix of A.
    case truncated = 1
    /// A is a prefix of B.
    case grown
    /// Zeros on one side where the other has data: the classic lost write.
    case zeroed
    /// At most 8 differing bits in a block.
    case bitflip

    package var word: String {
        switch self {
        case .truncated: "truncated"
        case .grown: "grown"
        case .zeroed: "zeroed"
        case .bitflip: "bitflip"
        }
    }
}

/// Why an entry was not verified, or not settled.
package enum Reason: UInt8, Sendable, CaseIterable {
    /// Another file system is mounted there.
    case mount = 1
    /// It cannot be read past the page cache.
    case noMedium
    case changing
    case vanished
    case stalled
    case brokenDirectory
    case stopped
    /// Its digest changed under an unchanged stat.
    case flapping
    /// The two sides agreed when it was read again.
    case converged
    /// It was asked for by name, and is on neither side.
    case absent
    /// It may still be on its way to the other side.
    case pending
    /// Of one store that is held against the baseline: it is not in that.
    case newer
    /// The same: it is not as it was, and was touched since.
    case touched
    /// The same: it is not there any more.
    case gone
    /// Where a file system ought to be mounted.
    case unmounted

    package var sentence: String {
        switch self {
        case .mount: "another file system is mounted here"
        case .unmounted: "nothing is mounted here, as /etc/fstab has it"
        case .noMedium: "cannot be read past the page cache"
        case .changing: "changed while it was read"
        case .vanished: "vanished while it was read"
        case .stalled: "a read was not answered in time"
        case .brokenDirectory: "the directory cannot be listed reliably"
        case .stopped: "the run ended before it"
        case .flapping: "gave different bytes under an unchanged stat: suspect the hardware"
        case .converged: "agreed when it was read again"
        case .absent: "is on neither side"
        case .pending: "pending: younger than the lag"
        case .newer: "unproven: newer than the baseline"
        case .touched: "unproven: changed since the baseline"
        case .gone: "unproven: gone since the baseline"
        }
    }
}

/// Where digested bytes are read from.
package enum ReadSource: Sendable, Hashable {
    case cache
    /// Past the page cache, or not at all.
    case media
}

/// A call that failed on one side. The number is an errno.
package struct EntryError: Sendable, Hashable {
    package var side: Side
    package var call: [UInt8]
    package var number: Int32
    /// What could not be read; nil for the entry as a whole.
    package var extent: Extent?

    package init(side: Side, call: [UInt8], number: Int32, extent: Extent? = nil) {
        self.side = side
        self.call = call
        self.number = number
        self.extent = extent
    }
}

/// An entry's stat on one side as far as it decides whether the entry moved between two passes.
package struct StatWitness: Sendable, Hashable {
    package var type: EntryType
    package var size: Int
    package var mtime: Timestamp
    package var ctime: Timestamp
    package var inode: UInt64

    package init(_ stat: Stat) {
        type = stat.type
        size = stat.size
        mtime = stat.mtime
        ctime = stat.ctime
        inode = stat.inode
    }

    package init(
        type: EntryType, size: Int, mtime: Timestamp, ctime: Timestamp, inode: UInt64
    ) {
        self.type = type
        self.size = size
        self.mtime = mtime
        self.ctime = ctime
        self.inode = inode
    }
}

/// One disagreement, or one entry that could not be verified.
package struct Difference: Sendable, Hashable {
    package var path: RelativePath
    package var outcome: Outcome
    package var aspects: AspectSet = []
    /// What differs, in order, not touching; empty where that was not looked at.
    package var extents: [Extent] = []
    package var shape: Shape?
    /// The side that holds the zeros, where the shape is `zeroed`.
    package var shapeSide: Side?
    package var reason: Reason?
    /// Where it was seen from for the second time; nil while it is not confirmed.
    package var confirmedFrom: ReadSource?
    package var errors: [EntryError] = []
    /// Nil where the entry is absent on that side.
    package var stats: Sides<StatWitness?> = Sides(a: nil, b: nil)
    /// What each extent's bytes were digested to, on each side, blinded by the run's secret.
    package var witnesses: Sides<[Digest]> = Sides(a: [], b: [])
    /// SHA-256 of each extent as it was when the difference was confirmed.
    package var digests: Sides<[Digest]> = Sides(a: [], b: [])

    package init(path: RelativePath, outcome: Outcome) {
        self.path = path
        self.outcome = outcome
    }

    package var isConfirmed: Bool { confirmedFrom != nil }

    /// The same, which a second look did not find to stand still.
    package func unstable(_ reason: Reason) -> Difference {
        var kept = self
        kept.outcome = .unstable
        kept.reason = reason
        return kept
    }

    /// Whether a side is what this says it was: the same object with the same times, or absent as
    /// before.
    package func isUnmoved(on side: Side, _ now: StatWitness?) -> Bool {
        guard let now, let then = stats[side] else { return now == nil && stats[side] == nil }
        // A directory's times move with its entries, which says nothing of itself.
        if now.type == .directory { return then.type == now.type && then.inode == now.inode }
        return now == then
    }

    /// Extents kept per entry; beyond that, neighbours are joined.
    package static let extentLimit = 4096

    /// Whether nothing of an entry differs, or cannot be read, that was not so before.
    package func isNoMore(than before: Difference) -> Bool {
        path == before.path && outcome == before.outcome
            && aspects.isSubset(of: before.aspects) && sizes == before.sizes
            && shape == before.shape && shapeSide == before.shapeSide
            && hasNoMoreExtents(than: before) && hasNoMoreErrors(than: before)
    }

    /// Of a directory it says nothing: it moves with the entries.
    private var sizes: Sides<Int?> {
        stats.map { stat in stat.flatMap { $0.type == .directory ? nil : $0.size } }
    }

    private func hasNoMoreExtents(than before: Difference) -> Bool {
        guard before.extents.count >= Self.extentLimit else {
            return extents.lie(within: before.extents)
        }
        // Those that were joined hold what agreed; only the digests tell whether it still does.
        return extents == before.extents && digests == before.digests
    }

    private func hasNoMoreErrors(than before: Difference) -> Bool {
        /// Those that are told apart by no more than where they are.
        struct Kind: Hashable {
            let side: Side
            let number: Int32
            let call: [UInt8]
            let isOfWhole: Bool

            init(_ error: EntryError) {
                (side, number, call) = (error.side, error.number, error.call)
                isOfWhole = error.extent == nil
            }
        }
        let known = Dictionary(grouping: before.errors, by: Kind.init)
        return Dictionary(grouping: errors, by: Kind.init).allSatisfy { kind, errors in
            guard let known = known[kind] else { return false }
            return errors.compactMap(\.extent).lie(within: known.compactMap(\.extent))
        }
    }

    /// Whether reading it again could change the verdict.
    package var canBeConfirmed: Bool {
        switch outcome {
        case .differs, .missingOnA, .missingOnB, .unstable: true
        case .same, .unreadable, .notVerified, .conflict, .expected: false
        }
    }
}

extension [Extent] {
    /// Whether each lies in one of others, where those that touch are one.
    fileprivate func lie(within others: [Extent]) -> Bool {
        var rest = others.sorted { $0.offset < $1.offset }[...]
        return sorted { $0.offset < $1.offset }.allSatisfy { extent in
            var reached = extent.offset
            while reached < extent.end, let other = rest.first, other.offset <= reached {
                reached = Swift.max(reached, other.end)
                if reached < extent.end { rest.removeFirst() }
            }
            return reached >= extent.end
        }
    }
}

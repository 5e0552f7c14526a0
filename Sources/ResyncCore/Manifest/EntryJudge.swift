/// Why a name is not there on one side: because it is missing, or because that side's directory is
/// not fully known.
package struct Absence {
    let side: Side?
    let doubt: Reason?

    package init(side: Side, doubt: Reason?) {
        self.side = side
        self.doubt = doubt
    }

    /// Below a directory whose counterpart is no directory.
    init(because other: ManifestEntry) {
        side = nil
        doubt = other.doubt.map { $0.reason ?? .brokenDirectory }
    }
}

/// The verdict on entries of two manifests.
package struct EntryJudge: Sendable {
    /// A digest over some blocks' digests, by which content is known again.
    package typealias Witness = @Sendable (BlockList, Range<Int>) -> Digest

    package let rules: ComparisonRules
    let blockSize: Int
    package let isListed: Bool
    let assurance: Assurance
    let witness: Witness?

    /// - Parameters:
    ///   - isListed: one side is a list of files and nothing else.
    ///   - assurance: how the weaker of both sides was read.
    ///   - witness: for differences that are to be looked at again.
    package init(
        _ rules: ComparisonRules, blockSize: Int, isListed: Bool = false,
        assurance: Assurance = .hash, witness: Witness? = nil
    ) {
        self.rules = rules
        self.blockSize = blockSize
        self.isListed = isListed
        self.assurance = assurance
        self.witness = witness
    }

    /// Whether an entry without a counterpart is a difference: a list knows only files.
    func concerns(_ entry: ManifestEntry) -> Bool {
        !isListed || entry.type == .file || entry.doubt != nil
    }

    package func alone(
        _ entry: ManifestEntry, _ path: RelativePath, on side: Side, _ why: Absence
    ) -> Difference {
        var difference = Difference(path: path, outcome: .notVerified)
        difference.stats[side] = entry.entry.map { StatWitness($0.stat) }
        difference.errors = entry.errors(side)
        if let doubt = why.doubt {
            difference.reason = doubt
        } else if entry.entry == nil, let doubt = entry.doubt {
            difference.outcome = doubt.outcome
            difference.reason = doubt.reason
        } else {
            difference.outcome = side == .a ? .missingOnB : .missingOnA
            difference.aspects = AspectSet(.existence)
        }
        return difference
    }

    /// Nil where both agree, which is counted here.
    package func pair(
        _ both: Sides<ManifestEntry>, _ path: RelativePath, _ links: inout LinkPartition,
        _ tally: inout Tally
    ) -> Difference? {
        let isCounted = path != .root || !both.a.isDirectory
        let isKnown = both.a.doubt == nil && both.b.doubt == nil
        if isListed, isKnown, both.a.isDirectory, both.b.isDirectory { return nil }
        if isCounted { tally.entries += 1 }
        var difference = Difference(path: path, outcome: .differs)
        difference.stats = both.map { $0.entry.map { StatWitness($0.stat) } }
        if let a = both.a.entry, let b = both.b.entry {
            difference.aspects = rules.metadataDifferences(a, b)
            // Our own marker moves the root's time.
            if path == .root { difference.aspects.remove(AspectSet(.mtime)) }
            compareContent(both, a.stat, b.stat, &difference, &tally)
            if a.stat.type == b.stat.type, rules.aspects.contains(.links),
                links.differ(both, path)
            {
                difference.aspects.insert(.links)
            }
        }
        addDoubt(both, &difference)
        if difference.outcome == .differs, difference.aspects.isEmpty {
            if isCounted { tally.same += 1 }
            return nil
        }
        return difference
    }

    package func comparesContent(_ a: Stat, _ b: Stat) -> Bool {
        isListed ? a.type == .file && b.type == .file : rules.comparesContent(a, b)
    }

    private func compareContent(
        _ both: Sides<ManifestEntry>, _ a: Stat, _ b: Stat, _ difference: inout Difference,
        _ tally: inout Tally
    ) {
        guard comparesContent(a, b) else { return }
        guard let left = both.a.content, let right = both.b.content else {
            // Not compared is not the same; a doubt already there says it better.
            if both.a.doubt == nil, both.b.doubt == nil { difference.outcome = .notVerified }
            return
        }
        if let one = left.whole, let other = right.whole, one != other {
            difference.aspects.insert(.content)
        }
        if isListed {
            if left.whole == nil || right.whole == nil { difference.outcome = .notVerified }
            tally.count(bytes: max(a.size, b.size), assurance)
            return
        }
        guard left.blocks.blockCount == right.blocks.blockCount else {
            difference.outcome = .notVerified
            return
        }
        let comparison = BlockComparison(
            left.blocks, right.blocks, unread: left.blocks.unread + right.blocks.unread,
            size: a.size, blockSize: blockSize)
        tally.count(bytes: comparison.comparedBytes, assurance)
        difference.extents = comparison.extents
        if !difference.extents.isEmpty { difference.aspects.insert(.content) }
        guard let witness else { return }
        difference.witnesses = comparison.witnesses(left.blocks, right.blocks, witness)
    }

    /// What is in doubt on either side is in doubt as a pair, the gravest first.
    private func addDoubt(_ both: Sides<ManifestEntry>, _ difference: inout Difference) {
        let doubts = [both.a.doubt, both.b.doubt].compactMap { $0 }
        for outcome in [Outcome.unreadable, .unstable, .notVerified] {
            guard let gravest = doubts.first(where: { $0.outcome == outcome }) else { continue }
            difference.outcome = outcome
            difference.reason = gravest.reason
            break
        }
        for side in Side.allCases { difference.errors += both[side].errors(side) }
    }
}

/// Which names of one side stand for the same object, against which on the other: both must part
/// the names they share in the same way.
package struct LinkPartition {
    /// From a group on one side, named by its first path, to the group on the other.
    private var groups: Sides<[RelativePath: RelativePath]> = Sides(a: [:], b: [:])

    package init() {}

    mutating func differ(_ both: Sides<ManifestEntry>, _ path: RelativePath) -> Bool {
        guard !both.a.isDirectory,
            both.a.entry?.stat.links ?? 1 > 1 || both.b.entry?.stat.links ?? 1 > 1
        else { return false }
        let a = both.a.linkedTo ?? path
        let b = both.b.linkedTo ?? path
        if let known = groups.a[a] { return known != b }
        if let known = groups.b[b] { return known != a }
        groups.a[a] = b
        groups.b[b] = a
        return false
    }
}

extension ManifestEntry {
    fileprivate func errors(_ side: Side) -> [EntryError] {
        (doubt?.errors ?? []).map { error in
            var own = error
            own.side = side
            return own
        }
    }
}

extension Difference {
    /// Of a directory whose names are not all known; nil where they are, or where its own record
    /// says so.
    init?(incomplete listing: ListingState, _ path: RelativePath, _ side: Side) {
        switch listing {
        case .complete, .mount, .unmounted: return nil
        case .changing:
            self.init(path: path, outcome: .unstable)
        case .broken:
            self.init(path: path, outcome: .unreadable)
        case .failed(let call, let number):
            self.init(path: path, outcome: .unreadable)
            errors = [EntryError(side: side, call: call, number: number)]
        }
        reason = listing.reason
    }
}

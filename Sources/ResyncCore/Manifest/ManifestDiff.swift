/// Compares two streams of records in walk order: one is pushed, so that a running scan can be
/// compared with a manifest, the other pulled. Memory grows with the depth of the trees, and with
/// the groups of linked names where links are compared.
///
/// Both streams have the order that `ManifestReader` enforces; an entry in doubt is never the same
/// as anything.
package struct ManifestDiff {
    package typealias Pull = () throws -> ManifestRecord?
    package typealias Emit = (ResultRecord) throws -> Void

    package private(set) var tally = Tally()
    private let judge: EntryJudge
    /// Which side is pushed.
    private let side: Side
    private let pull: Pull
    private let keepsSames: Bool
    private let emit: Emit
    private var links = LinkPartition()
    /// The next record of the pulled side.
    private var pulled: ManifestRecord?
    private var isStarted = false
    private var isDone = false
    /// Of the pushed side, which is the common one outside of `alone`.
    private var path = DirectoryPath()
    private var common: [CommonDirectory] = []
    /// What the pushed side is in that the other has not; nil where both have it.
    private var alone: Alone?

    /// A directory that both sides have.
    private struct CommonDirectory {
        var listings: Sides<ListingState>
        /// Its own record said already that not all of it is known.
        var isDoubted: Sides<Bool>
    }

    /// A subtree on one side.
    private struct Alone {
        var why: Absence
        /// For each open directory, whether its own record was in doubt.
        var doubted: [Bool]
    }

    /// - Parameters:
    ///   - keepsSames: whether the paths of entries that agree are wanted.
    package init(
        _ judge: EntryJudge, pushing side: Side, keepsSames: Bool = false, pull: @escaping Pull,
        emit: @escaping Emit
    ) {
        self.judge = judge
        self.side = side
        self.keepsSames = keepsSames
        self.pull = pull
        self.emit = emit
    }

    package mutating func push(_ record: ManifestRecord) throws {
        if !isStarted {
            isStarted = true
            try advance()
        }
        guard !isDone else { throw FormatError("an entry behind the root's end") }
        if alone != nil { return try pushAlone(record) }
        switch record {
        case .entry(let entry): try push(entry)
        case .end(let end): try push(end)
        }
    }

    /// - Throws: when the sides have not both come to their end.
    package mutating func finish() throws -> Tally {
        guard isDone, pulled == nil else { throw FormatError("ends before its root does") }
        return tally
    }

    private mutating func advance() throws { pulled = try pull() }

    // MARK: In a directory that both sides have

    private mutating func push(_ entry: ManifestEntry) throws {
        let isRoot = common.isEmpty
        while !isRoot, case .entry(let other)? = pulled, other.name.precedes(entry.name) {
            try pullAlone(other, absence(on: side))
        }
        guard case .entry(let other)? = pulled, other.name == entry.name else {
            guard !isRoot else { throw FormatError("begins without a root") }
            return try begin(entry, alone: absence(on: side.other))
        }
        try advance()
        let at = isRoot ? RelativePath.root : path.path(of: entry.name)
        let both = sides(entry, other)
        let sames = tally.same
        try report(judge.pair(both, at, &links, &tally), at)
        if keepsSames, tally.same > sames { try emit(.same(at)) }
        if entry.isDirectory, other.isDirectory {
            path.enter(entry.name)
            common.append(
                CommonDirectory(
                    listings: both.map { $0.listing }, isDoubted: both.map { $0.doubt != nil }))
        } else if entry.isDirectory {
            path.enter(entry.name)
            alone = Alone(why: Absence(because: other), doubted: [entry.doubt != nil])
        } else if other.isDirectory {
            try pullRest(of: other, at, Absence(because: entry))
        } else if isRoot {
            isDone = true
        }
    }

    private mutating func push(_ end: DirectoryEnd) throws {
        while case .entry(let other)? = pulled { try pullAlone(other, absence(on: side)) }
        guard case .end(let otherEnd)? = pulled, let directory = common.popLast() else {
            throw FormatError("an end without a beginning")
        }
        try advance()
        let ends = sides(end, otherEnd)
        try exclude(max(end.excluded, otherEnd.excluded))
        for each in Side.allCases {
            let state =
                directory.listings[each] == .complete
                ? ends[each].listing : directory.listings[each]
            try reportListing(
                state, each, RelativePath(path.bytes), isDoubted: directory.isDoubted[each])
        }
        path.leave()
        isDone = common.isEmpty
    }

    /// Why a name of the open directory is not there on a side.
    private func absence(on side: Side) -> Absence {
        let listing = common[common.count - 1].listings[side]
        return Absence(side: side, doubt: listing.reason)
    }

    private func sides<Value>(_ pushed: Value, _ pulled: Value) -> Sides<Value> {
        side == .a ? Sides(a: pushed, b: pulled) : Sides(a: pulled, b: pushed)
    }

    // MARK: On one side only

    private mutating func begin(_ entry: ManifestEntry, alone why: Absence) throws {
        try reportAlone(entry, path.path(of: entry.name), side, why)
        guard entry.isDirectory else { return }
        path.enter(entry.name)
        alone = Alone(why: why, doubted: [entry.doubt != nil])
    }

    private mutating func pushAlone(_ record: ManifestRecord) throws {
        guard var alone else { return }
        switch record {
        case .entry(let entry):
            try reportAlone(entry, path.path(of: entry.name), side, alone.why)
            if entry.isDirectory {
                path.enter(entry.name)
                alone.doubted.append(entry.doubt != nil)
            }
        case .end(let end):
            let isDoubted = alone.doubted.popLast() ?? false
            try exclude(end.excluded)
            try reportListing(
                end.listing, side, RelativePath(path.bytes), isDoubted: isDoubted)
            path.leave()
        }
        self.alone = alone.doubted.isEmpty ? nil : alone
    }

    private mutating func pullAlone(_ entry: ManifestEntry, _ why: Absence) throws {
        try advance()
        let at = path.path(of: entry.name)
        try reportAlone(entry, at, side.other, why)
        if entry.isDirectory { try pullRest(of: entry, at, why) }
    }

    /// All of a directory of the pulled side up to its end.
    private mutating func pullRest(
        of directory: ManifestEntry, _ start: RelativePath, _ why: Absence
    ) throws {
        var path = DirectoryPath(start.bytes)
        var doubted = [directory.doubt != nil]
        while let isDoubted = doubted.last {
            switch pulled {
            case nil: throw FormatError("ends before its root does")
            case .entry(let entry)?:
                try reportAlone(entry, path.path(of: entry.name), side.other, why)
                if entry.isDirectory {
                    path.enter(entry.name)
                    doubted.append(entry.doubt != nil)
                }
            case .end(let end)?:
                try exclude(end.excluded)
                try reportListing(
                    end.listing, side.other, RelativePath(path.bytes), isDoubted: isDoubted)
                doubted.removeLast()
                path.leave()
            }
            try advance()
        }
        if common.isEmpty { isDone = true }
    }

    // MARK: Reporting

    private mutating func exclude(_ count: Int) throws {
        tally.excluded = try checkedSum(tally.excluded, count)
    }

    private mutating func reportAlone(
        _ entry: ManifestEntry, _ at: RelativePath, _ side: Side, _ why: Absence
    ) throws {
        guard judge.concerns(entry) else { return }
        tally.entries += 1
        try report(judge.alone(entry, at, on: side, why), at)
    }

    /// A verdict of nil was counted where it was made.
    private mutating func report(_ difference: Difference?, _ at: RelativePath) throws {
        guard let difference else { return }
        tally.count(difference)
        try emit(.difference(difference))
    }

    private mutating func reportListing(
        _ listing: ListingState, _ side: Side, _ at: RelativePath, isDoubted: Bool
    ) throws {
        guard !isDoubted, let difference = Difference(incomplete: listing, at, side) else {
            return
        }
        try report(difference, at)
    }
}

/// Holds one store, as it is scanned, against what both stores of its pair were last proven to
/// share: what is as it was is proven without the other one. What was touched since may be right
/// all the same, which nobody can tell from one side: it is not verified. Only content that is
/// another one under an unchanged stat is a difference.
package struct BaselineComparison {
    package typealias Pull = () throws -> BaselineRecord?
    package typealias Emit = (ResultRecord) throws -> Void

    /// What is as it was proven though it was touched.
    package struct Renewal: Sendable, Hashable {
        package let known: BaselineRecord
        /// The same under the stat that it has now.
        package let now: BaselineRecord
    }

    /// Proven entries that were touched, whose records are kept to be renewed, at most.
    package static let touchedLimit = 1_000_000

    private let side: Side
    private let rules: ComparisonRules
    private let assurance: Assurance
    private let within: Selection?
    private let pull: Pull
    private let emit: Emit
    private var next: BaselineRecord?
    private var isStarted = false
    private var path = DirectoryPath()
    /// The directory that came last of those whose names are not all known.
    private var broken: RelativePath?
    package private(set) var tally = Tally()
    /// In walk order.
    package private(set) var touched: [Renewal] = []

    /// - Parameters:
    ///   - side: of the pair, which the store is.
    ///   - assurance: how it is read.
    ///   - within: all that is scanned; nil for everything.
    ///   - pull: the baseline's records, in walk order.
    package init(
        _ side: Side, _ assurance: Assurance, within: Selection?, pull: @escaping Pull,
        emit: @escaping Emit
    ) {
        self.side = side
        self.assurance = assurance
        self.within = within
        self.pull = pull
        self.emit = emit
        rules = ComparisonRules()
    }

    package mutating func push(_ record: ManifestRecord) throws {
        switch record {
        case .entry(let entry): try push(entry)
        case .end(let end):
            let at = RelativePath(path.bytes)
            tally.excluded = try checkedSum(tally.excluded, end.excluded)
            if let difference = Difference(incomplete: end.listing, at, side) {
                broken = at
                try report(difference)
            }
            path.leave()
        }
    }

    /// Once the scan has come to its end.
    package mutating func finish() throws {
        while let known = try following() { try reportGone(known) }
    }

    private mutating func push(_ entry: ManifestEntry) throws {
        let isRoot = !isStarted
        let at = isRoot ? RelativePath.root : path.path(of: entry.name)
        var known: BaselineRecord?
        while known == nil, let first = try peek(), first.path <= at {
            _ = try following()
            if first.path == at { known = first } else { try reportGone(first) }
        }
        if entry.isDirectory {
            path.enter(entry.name)
            if entry.listing != .complete { broken = at }
        }
        // Our own marker moves the root's times, and what leads to a part is none of it.
        guard !isRoot, within?.holds(at) ?? true else { return }
        tally.entries += 1
        if let difference = judged(entry, at, known) { return try report(difference) }
        tally.same += 1
        if let stat = entry.entry?.stat, stat.type == .file {
            tally.count(bytes: stat.size, assurance)
        }
        try emit(.same(at))
    }

    /// Nil where it is as it was proven.
    private mutating func judged(
        _ entry: ManifestEntry, _ at: RelativePath, _ known: BaselineRecord?
    ) -> Difference? {
        var difference = Difference(path: at, outcome: .notVerified)
        difference.stats[side] = entry.entry.map { StatWitness($0.stat) }
        if let doubt = entry.doubt {
            difference.outcome = doubt.outcome
            difference.reason = doubt.reason
            difference.errors = doubt.errors.map { error in
                var own = error
                own.side = side
                return own
            }
            return difference
        }
        guard let now = entry.entry, let known, known.aspects.isSuperset(of: .standard) else {
            difference.reason = .newer
            return difference
        }
        var then = known.agreed.entry
        // What both sides shared, as this one had it.
        then.stat.mtime = known.witnesses[side].mtime
        difference.aspects = rules.metadataDifferences(then, now)
        if now.stat.type == .file, then.stat.type == .file,
            entry.content?.digest != known.agreed.content || known.agreed.content == nil
        {
            difference.aspects.insert(.content)
        }
        let hasMoved = known.hasMoved(now.stat, on: side)
        guard difference.aspects.isEmpty else {
            if hasMoved {
                difference.reason = .touched
                difference.aspects = []
            } else {
                difference.outcome = .differs
            }
            return difference
        }
        if hasMoved, touched.count < Self.touchedLimit {
            var record = known
            record.witnesses[side] = BaselineRecord.Witness(now.stat)
            record.isRacy = known.isRacy || entry.isRacy
            if assurance != .media { record.level = .hash }
            touched.append(Renewal(known: known, now: record))
        }
        return nil
    }

    private mutating func reportGone(_ known: BaselineRecord) throws {
        guard known.path != .root, within?.holds(known.path) ?? true else { return }
        var difference = Difference(path: known.path, outcome: .notVerified)
        difference.reason =
            broken.map { known.path.isWithin($0) } ?? false ? .brokenDirectory : .gone
        tally.entries += 1
        try report(difference)
    }

    private mutating func report(_ difference: Difference) throws {
        tally.count(difference)
        try emit(.difference(difference))
    }

    private mutating func peek() throws -> BaselineRecord? {
        if !isStarted {
            isStarted = true
            next = try pull()
        }
        return next
    }

    private mutating func following() throws -> BaselineRecord? {
        let record = try peek()
        next = record == nil ? nil : try pull()
        return record
    }
}

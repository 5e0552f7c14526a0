package import ResyncCore
package import ResyncStorage

/// How two stores are compared.
package struct VerifyRules: Sendable {
    package var comparison = ComparisonRules()
    package var source = ReadSource.cache
    package var scheme: DigestScheme
    /// Whether names come from the operator: then one that is on neither side is an error.
    package var namesAreGiven = false
    /// As the walk's scope: of a directory that only leads to these nothing is compared but that it
    /// is one.
    package var within: Selection?
    /// Whether the paths of entries that agree are wanted.
    package var keepsSames = false
    /// Whether each side's records for a manifest are wanted; then everything is read.
    ///
    /// - Precondition: the scheme's digests can be kept.
    package var keepsRecords = false
    /// Digests that were kept, to be used where size, mtime, ctime and inode are unchanged.
    package var kept: Sides<KeptManifest?> = Sides(a: nil, b: nil)
    /// Paths of which they do not count.
    package var doubted: Set<RelativePath> = []

    /// Since when what is read may have been left behind by its store: it is of a snapshot.
    package var taken: Timestamp?

    package init(scheme: DigestScheme) { self.scheme = scheme }

    /// Where an earlier attempt at the run was stopped.
    var resumed: Checkpoint?

    var usesKept: Bool { kept.a != nil || kept.b != nil }

    var assurance: Assurance { source == .media ? .media : .hash }
}

/// What a stretch of entries gave.
package struct VerifyOutput: Sendable {
    package var tally = Tally()
    package var differences: [Difference] = []
    package var sames: [RelativePath] = []
    /// Entries with several names, for comparing how names are linked.
    package var links: [LinkedEntry] = []
    /// The last entry of the stretch; nil for what is said of a directory after all that is below
    /// it.
    package var through: EntryPlace?
    /// The directory whose own entry it is.
    package var entered: EnteredDirectory?
    /// What each side's manifest says of the stretch, where that is wanted.
    var records: Sides<ScanOutput> = Sides(a: ScanOutput(), b: ScanOutput())

    /// How many entries it holds something of; one at least, for itself.
    var weight: Int {
        let entries = differences.count + sames.count + links.count
        return max(1, entries + records.a.items.count + records.b.items.count)
    }
}

/// An entry by its directory and name; the path is put together only when it is needed.
package struct EntryPlace: Sendable {
    /// Nil where the path is at hand anyway.
    private let directory: PairedDirectory?
    let name: Name
    private let whole: RelativePath

    init(directory: PairedDirectory, name: Name) {
        self.directory = directory
        self.name = name
        whole = .root
    }

    init(_ path: RelativePath) {
        directory = nil
        name = Name([])
        whole = path
    }

    package var path: RelativePath { directory?.path.appending(name) ?? whole }
}

package struct LinkedEntry: Sendable {
    package let path: RelativePath
    package let a: ObjectIdentity
    package let b: ObjectIdentity
    let stats: Sides<StatWitness?>
}

/// The first pass of a comparison: every entry of both stores, side by side.
package struct Verify: Pass {
    package typealias Output = VerifyOutput
    package typealias Work = SplitFile

    package static var looksAgain: Bool { true }

    let rules: VerifyRules
    let progress: Progress
    /// Files larger than this are split over workers.
    let splitSize: Int
    let splitWidth: Int
    private let linkTables = Sides(a: LinkTable(), b: LinkTable())
    /// Makes records of what was found, where these are wanted.
    let recorder: Scan?

    package init(_ rules: VerifyRules, progress: Progress, splitWidth: Int) {
        self.rules = rules
        self.progress = progress
        self.splitWidth = splitWidth
        splitSize = max(4 << 20, rules.scheme.blockSize)
        if rules.keepsRecords {
            var scanRules = ScanRules(scheme: rules.scheme)
            scanRules.aspects = rules.comparison.aspects
            scanRules.source = rules.source
            scanRules.taken = rules.taken
            recorder = Scan(scanRules, progress: Progress(), splitWidth: splitWidth)
        } else {
            recorder = nil
        }
    }

    // MARK: Directories

    package func enter(
        _ opened: Sides<OpenedDirectory>, presence: Presence, path: () -> RelativePath
    ) -> [VerifyOutput] {
        let path = path()
        let judged = judgeDirectory(
            opened.map { Examined(entry: $0.entry, failure: $0.failure) }, path)
        var output = VerifyOutput()
        output.through = EntryPlace(path)
        if opened.a.failure == nil, opened.b.failure == nil {
            output.entered = EnteredDirectory(opened, path)
        }
        // What only leads to what is compared was not compared, but for what tells of itself.
        let isCounted = path != .root && (judged != nil || rules.within?.holds(path) ?? true)
        if isCounted {
            output.tally.entries = 1
            output.tally.directories = 1
        }
        if let judged {
            output.tally.count(judged)
            output.differences = [judged]
        } else if isCounted {
            output.tally.same = 1
            if rules.keepsSames { output.sames = [path] }
        }
        progress.add(entries: 1, bytes: 0, differences: output.differences.count)
        recordEntering(opened, presence, path, &output)
        return [output]
    }

    /// What else is wrong with its listing is said where it ends.
    package func reenter(
        _ opened: Sides<OpenedDirectory>, path: () -> RelativePath
    ) -> [VerifyOutput] {
        let path = path()
        let found = opened.map { Examined(entry: $0.entry, failure: $0.failure) }
        var output = VerifyOutput()
        if let failed = Difference.failed(found, path: { path }) {
            // Unless it could not be opened before either, which is said already.
            guard rules.resumed?.hasEntered(path) ?? true else { return [] }
            output.differences = [failed]
        } else if opened.a.directory == nil, opened.b.directory == nil,
            rules.resumed?.hasListed(path) ?? true
        {
            output.differences = [.changing(path)]
            output.differences[0].stats = found.map { $0.entry.map { StatWitness($0.stat) } }
        }
        for difference in output.differences { output.tally.count(difference) }
        return output.differences.isEmpty ? [] : [output]
    }

    package func listed(
        _ directory: PairedDirectory, completeness: Sides<Completeness>
    ) -> [VerifyOutput] {
        var output = VerifyOutput()
        output.entered = EnteredDirectory(depth: directory.path.depth, listed: directory)
        recordListing(directory, completeness, &output)
        return [output]
    }

    /// As `judge`, for a directory's own entry.
    func judgeDirectory(_ found: Sides<Examined>, _ path: RelativePath) -> Difference? {
        var judged = judge(found, path: { path })
        if judged?.aspects.isDisjoint(with: AspectSet([.existence, .type])) == true,
            judged?.outcome == .differs, rules.within?.holds(path) == false
        {
            return nil
        }
        if let a = found.a.entry, let b = found.b.entry, found.a.failure == nil,
            found.b.failure == nil, a.stat.type != .directory, b.stat.type != .directory
        {
            // It was a directory when it was listed; as what it is now it was not read.
            return .changing(path)
        }
        if path == .root {
            // Our own marker moves the root's time, so that one is not compared.
            judged?.aspects.remove(AspectSet(.mtime))
            if judged?.outcome == .differs, judged?.aspects.isEmpty == true { return nil }
        }
        return judged
    }

    package func leave(
        _ directory: PairedDirectory, completeness: Sides<Completeness>, excluded: Int
    ) -> [VerifyOutput] {
        var output = VerifyOutput()
        output.tally.excluded = excluded
        for side in Side.allCases where completeness[side] != .complete {
            // That it was changed has no side.
            if side == .b, completeness.a == .changing, completeness.b == .changing { continue }
            output.differences.append(
                .incomplete(directory.path, side, completeness[side], directory.sides))
        }
        for difference in output.differences { output.tally.count(difference) }
        recordLeaving(directory, completeness, excluded, &output)
        let isNothing = excluded == 0 && output.differences.isEmpty && recorder == nil
        return isNothing ? [] : [output]
    }

    package func leftOut(_ count: Int) -> [VerifyOutput] {
        guard count > 0 else { return [] }
        var output = VerifyOutput()
        output.tally.excluded = count
        return [output]
    }

    package func unreached(
        _ paths: ArraySlice<RelativePath>, because opened: Sides<OpenedDirectory>
    ) -> [VerifyOutput] {
        // Behind what cannot be opened they may be there.
        let found = opened.map { Examined(failure: $0.failure) }
        return paths.map { path in
            var output = VerifyOutput()
            output.tally.entries = 1
            output.differences = [.failed(found) { path } ?? .absent(path)]
            output.tally.count(output.differences[0])
            return output
        }
    }

    // MARK: Entries

    package func visit(
        _ names: PairedNames, in directory: PairedDirectory, _ worker: Worker
    ) throws -> Pieces {
        if rules.usesKept, let pieces = try visitKept(names, in: directory, worker) {
            return pieces
        }
        let examined = examine(names, in: directory, worker)
        defer {
            examined.a?.close()
            examined.b?.close()
        }
        let batch = VerifyBatch(self, names, directory, examined)
        try batch.judgeAll(worker)
        return batch.pieces()
    }

    /// - Parameter opening: hold files open whose content is to be compared.
    func examine(
        _ names: PairedNames, in directory: PairedDirectory, opening: Bool = true,
        _ worker: Worker
    ) -> Sides<(any Examination)?> {
        var wishes: [Wish] = []
        wishes.reserveCapacity(names.count)
        let opens = opening && rules.comparison.aspects.contains(.content)
        for index in 0..<names.count {
            // Whatever it was listed as: by now it may be a file.
            let isWanted = names.presence[index] == .both || rules.keepsRecords
            wishes.append(opens && isWanted ? .open : .describe)
        }
        var examined: Sides<(any Examination)?> = Sides(a: nil, b: nil)
        for side in Side.allCases {
            guard let held = directory.sides[side] else { continue }
            var own = wishes
            for index in 0..<names.count where !names.presence[index].contains(side) {
                own[index] = .absent
            }
            worker.pulse.enter(Pulse.Place(side: side, directory: held, names: names.names))
            examined[side] = held.examine(names.names, own, worker)
        }
        return examined
    }

    /// The verdict on two descriptions of one name, content left out; nil when they agree.
    func judge(_ found: Sides<Examined>, path: () -> RelativePath) -> Difference? {
        if let failed = Difference.failed(found, path: path) { return failed }
        switch (found.a.entry, found.b.entry) {
        case (nil, nil):
            if rules.namesAreGiven { return .absent(path()) }
            var difference = Difference(path: path(), outcome: .unstable)
            difference.reason = .vanished
            return difference
        case (let a?, nil): return .missing(.b, path(), a.stat)
        case (nil, let b?): return .missing(.a, path(), b.stat)
        case (let a?, let b?):
            let aspects = rules.comparison.metadataDifferences(a, b)
            guard !aspects.isEmpty else { return nil }
            var difference = Difference(path: path(), outcome: .differs)
            difference.aspects = aspects
            difference.stats = Sides(a: StatWitness(a.stat), b: StatWitness(b.stat))
            return difference
        }
    }

    /// The shared reading of a file that has several names, begun here if nobody did before, or if
    /// the file has moved since.
    func linkedReading(
        _ side: Side, _ stat: Stat, begin: () -> SharedReading
    ) -> SharedReading {
        linkTables[side].reading(of: stat, begin: begin)
    }

    package func run(_ work: SplitFile, _ worker: Worker) throws -> Pieces {
        try work.run(worker, self)
    }
}

extension EnteredDirectory {
    fileprivate convenience init(_ opened: Sides<OpenedDirectory>, _ path: RelativePath) {
        self.init(
            depth: path.depth,
            opened.map { $0.directory.map { StatWitness($0.entry.stat) } })
    }
}

extension Checkpoint {
    /// Whether names of a directory on the way to the last entry were passed. Of the last entry
    /// itself, where that is a directory, none was.
    fileprivate func hasListed(_ path: RelativePath) -> Bool { path.depth < through?.depth ?? 0 }

    fileprivate func hasEntered(_ path: RelativePath) -> Bool {
        path.depth < max(directories.count, through?.depth ?? 0)
    }
}

extension Difference {
    /// For a name that the operator gave and no side has.
    static func absent(_ path: RelativePath) -> Difference {
        var difference = Difference(path: path, outcome: .notVerified)
        difference.reason = .absent
        return difference
    }

    /// For an entry that became something else while it was looked at.
    static func changing(_ path: RelativePath) -> Difference {
        var difference = Difference(path: path, outcome: .unstable)
        difference.reason = .changing
        return difference
    }

    static func missing(_ side: Side, _ path: RelativePath, _ other: Stat) -> Difference {
        var difference = Difference(
            path: path, outcome: side == .a ? .missingOnA : .missingOnB)
        difference.aspects = AspectSet(.existence)
        difference.stats[side.other] = StatWitness(other)
        return difference
    }

    /// For an entry that could not be looked at on some side.
    static func failed(_ found: Sides<Examined>, path: () -> RelativePath) -> Difference? {
        guard found.a.failure != nil || found.b.failure != nil else { return nil }
        var difference = Difference(path: path(), outcome: .notVerified)
        for side in Side.allCases {
            difference.stats[side] = found[side].entry.map { StatWitness($0.stat) }
            switch found[side].failure {
            case .disk(let error)?:
                difference.outcome = .unreadable
                difference.errors.append(EntryError(side, error))
            case .mount?:
                if difference.outcome == .notVerified { difference.reason = .mount }
            case .unmounted?:
                if difference.outcome == .notVerified { difference.reason = .unmounted }
            case nil: break
            }
        }
        return difference
    }

    static func incomplete(
        _ path: RelativePath, _ side: Side, _ completeness: Completeness,
        _ directories: Sides<(any SiteDirectory)?>
    ) -> Difference {
        var difference = Difference(path: path, outcome: .unreadable)
        difference.stats = directories.map { $0.map { StatWitness($0.entry.stat) } }
        switch completeness {
        case .complete: preconditionFailure("a complete listing is no difference")
        case .changing:
            difference.outcome = .unstable
            difference.reason = .changing
        case .failed(let error): difference.errors = [EntryError(side, error)]
        case .broken: difference.reason = .brokenDirectory
        }
        return difference
    }
}

extension EntryError {
    init(_ side: Side, _ error: DiskError, extent: Extent? = nil) {
        self.init(
            side: side, call: Array(error.call.rawValue.utf8), number: error.number,
            extent: extent)
    }
}

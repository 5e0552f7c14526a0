package import ResyncCore
package import ResyncStorage

/// How a store is scanned.
package struct ScanRules: Sendable {
    package var aspects = AspectSet.standard
    package var source = ReadSource.cache
    package var scheme: DigestScheme
    /// Whether files are digested with plain SHA-256 too: then each is read by one worker.
    package var hasWholeFile = false
    /// As in `VerifyRules`.
    package var taken: Timestamp?

    /// - Precondition: the scheme's digests can be kept.
    package init(scheme: DigestScheme) {
        precondition(scheme.algorithm.canBeKept)
        self.scheme = scheme
    }
}

/// What a stretch of entries gave, in walk order.
package struct ScanOutput: Sendable {
    enum Item {
        /// A directory's own entry; its listing follows.
        case begin(ManifestEntry)
        /// With the directory, where another attempt may have to go on in it.
        case listing(ListingState, PairedDirectory?)
        case entry(ManifestEntry)
        case end(ListingState, excluded: Int)
    }

    var items: [Item] = []
    package var bytesRead = 0

    /// How many records it holds; one at least, for itself.
    var weight: Int { max(1, items.count) }
}

/// The pass that lists and hashes one store, which is side A of the walk.
package struct Scan: Pass {
    package typealias Output = ScanOutput
    package typealias Work = ScanFile

    package static var looksAgain: Bool { true }

    let rules: ScanRules
    let progress: Progress
    /// Files larger than this are split over workers.
    let splitSize: Int
    let splitWidth: Int
    private let linkTable = LinkTable()

    /// How often content that moves is read before it counts as unstable.
    static let attempts = 3

    package init(_ rules: ScanRules, progress: Progress, splitWidth: Int) {
        self.rules = rules
        self.progress = progress
        self.splitWidth = splitWidth
        splitSize = max(4 << 20, rules.scheme.blockSize)
    }

    // MARK: Directories

    package func enter(
        _ opened: Sides<OpenedDirectory>, presence: Presence, path: () -> RelativePath
    ) -> [ScanOutput] {
        progress.add(entries: 1, bytes: 0, differences: 0)
        let name = path().lastName
        let found = Examined(entry: opened.a.entry, failure: opened.a.failure)
        let entry = ManifestEntry(name, found)
        var output = ScanOutput()
        if opened.a.directory != nil {
            output.items = [.begin(entry)]
        } else {
            output.items = items(of: entry, found, wasDirectory: true)
        }
        return [output]
    }

    package func listed(
        _ directory: PairedDirectory, completeness: Sides<Completeness>
    ) -> [ScanOutput] {
        [ScanOutput(items: [.listing(ListingState(completeness.a), directory)])]
    }

    /// A scan selects nothing.
    package func unreached(
        _ paths: ArraySlice<RelativePath>, because opened: Sides<OpenedDirectory>
    ) -> [ScanOutput] { [] }

    package func leave(
        _ directory: PairedDirectory, completeness: Sides<Completeness>, excluded: Int
    ) -> [ScanOutput] {
        [ScanOutput(items: [.end(ListingState(completeness.a), excluded: excluded)])]
    }

    /// The records of an entry whose content is not read; a directory that was not entered ends at
    /// once.
    func items(
        of entry: ManifestEntry, _ found: Examined, wasDirectory: Bool
    ) -> [ScanOutput.Item] {
        var entry = entry
        guard entry.isDirectory else {
            if wasDirectory, entry.doubt == nil { entry.doubt = Doubt(.unstable, .changing) }
            return [.entry(entry)]
        }
        // It became a directory since it was listed; what is below it was not seen.
        if entry.doubt == nil { entry.doubt = Doubt(.unstable, .changing) }
        let listing: ListingState =
            switch found.failure {
            case .mount?: .mount
            case .unmounted?: .unmounted
            case .disk(let error)?: ListingState(.failed(error))
            case nil: .changing
            }
        return [.begin(entry), .listing(listing, nil), .end(listing, excluded: 0)]
    }

    // MARK: Entries

    package func visit(
        _ names: PairedNames, in directory: PairedDirectory, _ worker: Worker
    ) throws -> Pieces {
        guard let held = directory.sides.a else { return [] }
        // Whatever it was listed as: by now it may be a file.
        let wishes = names.names.kinds.map { _ in
            rules.aspects.contains(.content) ? Wish.open : .describe
        }
        worker.pulse.enter(Pulse.Place(side: .a, directory: held, names: names.names))
        let examination = held.examine(names.names, wishes, worker)
        defer { examination.close() }
        var batch = ScanBatch(self, names.names, directory, examination)
        try batch.scanAll(worker)
        return batch.pieces()
    }

    /// The reading of a file, begun here, or by whoever read another name of it before.
    func linkedReading(_ stat: Stat, begin: () -> SharedReading) -> SharedReading {
        linkTable.reading(of: stat, begin: begin)
    }

    package func run(_ work: ScanFile, _ worker: Worker) throws -> Pieces {
        try work.run(worker, self)
    }

    /// What reading a file gave; nil when it moved meanwhile.
    func content(
        _ answer: ContentAnswer, of entry: ManifestEntry, readFrom start: Timestamp
    ) -> ManifestEntry? {
        var entry = entry
        switch answer.state {
        case .moved, .stopped: return nil
        case .noMedium:
            entry.doubt = Doubt(.notVerified, .noMedium)
            return entry
        case .stable: break
        }
        guard let stat = entry.entry?.stat else { return entry }
        // It may have been read under another name before.
        let began = [start, answer.began ?? start, rules.taken ?? start].min() ?? start
        entry.isRacy = entry.isRacy || stat.isRacy(at: began)
        let blockSize = rules.scheme.blockSize
        if !answer.unreadable.isEmpty {
            let errors = answer.unreadable.prefix(ManifestLimit.errors).map { bad in
                EntryError(
                    .a, bad.error,
                    extent: Extent(
                        blocks: bad.block..<bad.block + 1, size: stat.size, blockSize: blockSize))
            }
            entry.doubt = Doubt(.unreadable, nil, errors: Array(errors))
        }
        var tree = BlockTree(ManifestHashes.openSSL.make(rules.scheme.algorithm))
        entry.content = FileContent(
            blocks: answer.blocks,
            digest: tree.fileDigest(answer.blocks, size: stat.size, blockSize: blockSize),
            whole: answer.whole)
        return entry
    }
}

extension ManifestEntry {
    init(_ name: Name, _ found: Examined) {
        self.init(name: name, entry: found.entry)
        switch found.failure {
        case .mount?: doubt = Doubt(.notVerified, .mount)
        case .unmounted?: doubt = Doubt(.notVerified, .unmounted)
        case .disk(let error)?: doubt = Doubt(.unreadable, nil, errors: [EntryError(.a, error)])
        case nil: if found.entry == nil { doubt = Doubt(.unstable, .vanished) }
        }
    }
}

extension ListingState {
    init(_ completeness: Completeness) {
        switch completeness {
        case .complete: self = .complete
        case .changing: self = .changing
        case .broken: self = .broken
        case .failed(let error):
            self = .failed(call: Array(error.call.rawValue.utf8), number: error.number)
        }
    }
}

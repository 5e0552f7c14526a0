/// One entry's record as it is to be from now on.
package enum BaselineUpdate: Sendable, Hashable {
    case set(BaselineRecord)
    /// The entry is on neither side any more.
    case remove(RelativePath)
    /// What was proven since then holds no longer.
    case withdraw(RelativePath, since: Timestamp)
    /// Nor does what was proven before, where a side's ctime was from before that.
    case withdrawRolledBack(RelativePath, since: Timestamp, Side, ctime: Timestamp)

    package var path: RelativePath {
        switch self {
        case .set(let record): record.path
        case .remove(let path), .withdraw(let path, _), .withdrawRolledBack(let path, _, _, _):
            path
        }
    }
}

/// Merges a baseline with what was proven since; both in walk order. Records that nothing is said
/// of are kept.
package func mergeBaseline(
    _ old: () throws -> BaselineRecord?, _ updates: () throws -> BaselineUpdate?,
    into emit: (BaselineRecord) throws -> Void
) throws {
    var record = try old()
    var update = try updates()
    while record != nil || update != nil {
        if let known = record, update.map({ known.path < $0.path }) ?? true {
            try emit(known)
            record = try old()
            continue
        }
        guard let next = update else { break }
        var known: BaselineRecord?
        if let current = record, current.path == next.path {
            known = current
            record = try old()
        }
        switch next {
        case .set(let new): try emit(new)
        case .remove: break
        case .withdraw(_, let since): if let known, known.time < since { try emit(known) }
        case .withdrawRolledBack(_, let since, let side, let ctime):
            if let known, known.time < since, known.witnesses[side].ctime <= ctime {
                try emit(known)
            }
        }
        update = try updates()
        if let following = update, !(next.path < following.path) {
            throw FormatError("has records out of order")
        }
    }
}

/// What two manifests that were made side by side prove, merged into the baseline before: an entry
/// that agrees in all that was compared and was read without doubt gets a record, one that is on
/// neither side any more loses it, every other one keeps it.
package struct BaselineProof<Hash: HashFunction> {
    private let rules: ComparisonRules
    private let level: Assurance
    private let time: Timestamp
    /// Without it nothing can be said of what is not listed.
    private let listsEverything: Bool
    private var cursors: Sides<Cursor>
    private var links = LinkPartition()

    /// - Parameter listsEverything: what is not listed, and not left out, is not there.
    /// - Precondition: the manifests were made under the same rules.
    package init(
        _ a: ManifestReader<Hash>, _ b: ManifestReader<Hash>, modifyWindow: UInt64 = 0,
        listsEverything: Bool
    ) throws {
        rules = a.header.rules(with: b.header, modifyWindow: modifyWindow)
        level = a.header.source == .media && b.header.source == .media ? .media : .hash
        time = min(a.header.started, b.header.started)
        self.listsEverything = listsEverything
        cursors = Sides(a: try Cursor(a), b: try Cursor(b))
    }

    /// Whether what was known stays in spite of what is proven now, whose content is given.
    package typealias Keeps = (
        _ known: BaselineRecord, _ now: BaselineRecord, _ content: FileContent?
    ) throws -> Bool

    package mutating func merge(
        _ old: () throws -> BaselineRecord?, keeps: Keeps = { _, _, _ in false },
        isLeftOut: (BaselineRecord) -> Bool = { _ in false },
        into emit: (BaselineRecord) throws -> Void
    ) throws {
        var record = try old()
        while true {
            let candidates = [record?.path, cursors.a.entryPath, cursors.b.entryPath]
            let next = candidates.compactMap { $0 }.min()
            var hasLeft = false
            for side in Side.allCases where try cursors[side].leave(before: next) { hasLeft = true }
            if hasLeft { continue }
            guard let path = next else { return }
            var known: BaselineRecord?
            if let current = record, current.path == path {
                known = current
                record = try old()
            }
            if let result = try settle(path, known, keeps) {
                try emit(result)
            } else if let known, isLeftOut(known) {
                try emit(known)
            }
        }
    }

    private mutating func settle(
        _ path: RelativePath, _ known: BaselineRecord?, _ keeps: Keeps
    ) throws -> BaselineRecord? {
        let a = try cursors.a.take(path)
        let b = try cursors.b.take(path)
        if let a, let b {
            guard let proven = proven(path, a, b) else { return known }
            guard let known else { return proven }
            if try keeps(known, proven, a.content) { return known }
            return known.saysMore(than: proven) ? known : proven
        }
        guard a == nil, b == nil, listsEverything, cursors.a.isListedWhole,
            cursors.b.isListedWhole
        else { return known }
        return nil
    }

    private mutating func proven(
        _ path: RelativePath, _ a: ManifestEntry, _ b: ManifestEntry
    ) -> BaselineRecord? {
        guard a.doubt == nil, b.doubt == nil, let left = a.entry, let right = b.entry else {
            return nil
        }
        let areLinkedAlike =
            !rules.aspects.contains(.links) || !links.differ(Sides(a: a, b: b), path)
        var differing = rules.metadataDifferences(left, right)
        if path == .root { differing.remove(AspectSet(.mtime)) }
        guard differing.isEmpty, areLinkedAlike, left.stat.type == right.stat.type else {
            return nil
        }
        if left.stat.type == .file {
            guard let one = a.content?.digest, one == b.content?.digest else { return nil }
        }
        // Without the rules that let more agree, and of names of one object only as many as were
        // looked at.
        var strict = rules
        (strict.modifyWindow, strict.owners) = (0, .number)
        var laxly = strict.metadataDifferences(left, right)
        if path == .root { laxly.remove(AspectSet(.mtime)) }
        var aspects = rules.aspects
        aspects.subtract(laxly)
        if max(left.stat.links, right.stat.links) > 1, left.stat.type != .directory {
            aspects.remove(AspectSet(.links))
        }
        var record = BaselineRecord(
            path: path, agreed: ObservedEntry(entry: left, content: a.content?.digest),
            witnesses: Sides(
                a: BaselineRecord.Witness(left.stat), b: BaselineRecord.Witness(right.stat)),
            aspects: aspects, level: level, time: time)
        record.isRacy = a.isRacy || b.isRacy
        return record
    }

    /// Where one manifest is, with the directories that are open there.
    private struct Cursor {
        private var reader: ManifestReader<Hash>
        private var front: ManifestRecord?
        private var path = RelativePath.root
        private var listings: [ListingState] = []

        init(_ reader: ManifestReader<Hash>) throws {
            self.reader = reader
            try advance()
        }

        private mutating func advance() throws {
            front = try reader.next()
            if let front { path = reader.path(of: front) }
        }

        /// The path of the next entry, where no directory's end comes before it.
        var entryPath: RelativePath? {
            if case .entry? = front { return path }
            return nil
        }

        /// Whether the directory that is open is known to hold no more than what was seen.
        var isListedWhole: Bool { listings.last == .complete }

        /// Leaves the open directory where `next` does not lie in it.
        mutating func leave(before next: RelativePath?) throws -> Bool {
            guard case .end? = front else { return false }
            if let next, next != path, next.isWithin(path) { return false }
            listings.removeLast()
            try advance()
            return true
        }

        mutating func take(_ wanted: RelativePath) throws -> ManifestEntry? {
            guard case .entry(let entry)? = front, path == wanted else { return nil }
            if entry.isDirectory { listings.append(entry.listing) }
            try advance()
            return entry
        }
    }
}

extension BaselineRecord {
    /// Whether it says the same as another one, of a reading from the medium where that was none,
    /// or of a later one: digests that were kept and used again prove it as of then, and no later.
    fileprivate func saysMore(than other: BaselineRecord) -> Bool {
        (level == other.level ? time > other.time : level == .media)
            && witnesses == other.witnesses && agreed.content == other.agreed.content
            && aspects.isSuperset(of: other.aspects) && !isRacy
    }
}

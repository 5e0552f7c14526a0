import ResyncCore
import ResyncStorage

/// A second look at what differed between a live store and a manifest: the live side is read
/// again, from the medium where there is one, and held against the digests of the manifest.
///
/// A manifest's own doubt cannot be cleared by looking again, and is never confirmed.
struct ManifestLook: Pass {
    typealias Output = Confirm.Output

    /// An image; of what a walk finds nothing is split off, since what differs is mostly small.
    struct Work: Sendable {
        let examination: any Examination
        let entry: ManifestEntry
    }

    /// What the pass before said of an entry, and what the manifest does.
    struct Case: Sendable {
        let earlier: Difference
        let kept: ManifestEntry?
    }

    let scan: Scan
    let judge: EntryJudge
    /// The side that is read.
    let live: Side
    let cases: [RelativePath: Case]

    // MARK: The walk

    func enter(
        _ opened: Sides<OpenedDirectory>, presence: Presence, path: () -> RelativePath
    ) -> [Output] {
        let path = path()
        guard let known = cases[path] else { return [] }
        let found = Examined(entry: opened.a.entry, failure: opened.a.failure)
        let isFile = found.entry.map { $0.stat.type == .file } ?? false
        if isFile, known.kept?.type == .file {
            // Something was expected below it; as what it is now it is not read here.
            return [Output(path: path, difference: known.earlier.unstable(.changing))]
        }
        return [Output(path: path, difference: settled(path, known, entry(path, found), nil))]
    }

    /// Without a directory above them they are absent; where it cannot be opened nothing is known.
    func unreached(
        _ paths: ArraySlice<RelativePath>, because opened: Sides<OpenedDirectory>
    ) -> [Output] {
        guard opened.a.failure == nil else { return [] }
        return paths.compactMap { path in
            cases[path].map { Output(path: path, difference: settled(path, $0, nil, nil)) }
        }
    }

    func leave(
        _ directory: PairedDirectory, completeness: Sides<Completeness>, excluded: Int
    ) -> [Output] { [] }

    func visit(
        _ names: PairedNames, in directory: PairedDirectory, _ worker: Worker
    ) throws -> Pieces {
        guard let held = directory.sides.a else { return [] }
        worker.pulse.enter(Pulse.Place(side: .a, directory: held, names: names.names))
        let wishes = [Wish](repeating: .open, count: names.count)
        let examination = held.examine(names.names, wishes, worker)
        defer { examination.close() }
        var pieces: Pieces = []
        for index in 0..<names.count {
            let path = directory.path.appending(names.names.name(index))
            guard let known = cases[path] else { continue }
            let now = entry(path, examination[index])
            pieces.append(.output(try look(path, known, now, examination, index, worker)))
        }
        return pieces
    }

    func run(_ work: Work, _ worker: Worker) throws -> Pieces {
        guard let known = cases[.root] else { return [] }
        worker.pulse.enter(Pulse.Place(side: .a, directory: nil, names: nil))
        guard work.examination.isUnchanged(0) else {
            return [.output(Output(path: .root, difference: known.earlier.unstable(.changing)))]
        }
        var output = try look(.root, known, work.entry, work.examination, 0, worker)
        output.excuse(work.examination)
        return [.output(output)]
    }

    /// Nil for what is not there.
    private func entry(_ path: RelativePath, _ found: Examined) -> ManifestEntry? {
        guard found.entry != nil || found.failure != nil else { return nil }
        return ManifestEntry(path.lastName, found)
    }

    // MARK: Reading

    private func look(
        _ path: RelativePath, _ known: Case, _ now: ManifestEntry?, _ examination: any Examination,
        _ index: Int, _ worker: Worker
    ) throws -> Output {
        var output = Output(path: path)
        guard var now, let stat = now.entry?.stat, now.doubt == nil, let kept = known.kept,
            let keptStat = kept.entry?.stat, kept.doubt == nil, let content = kept.content,
            judge.comparesContent(stat, keptStat)
        else {
            output.difference = settled(path, known, now, nil)
            return output
        }
        let earlier = known.earlier
        let isUnmoved = earlier.isUnmoved(on: live, now.entry.map { StatWitness($0.stat) })
        if isUnmoved, earlier.outcome == .differs, !earlier.aspects.contains(.content) {
            // The first pass found it to agree, to its end.
            now.content = content
            output.difference = settled(path, known, now, nil)
            return output
        }
        let count = blockCount(stat.size, scan.rules.scheme.blockSize)
        let ranges =
            isUnmoved && !earlier.extents.isEmpty
            ? earlier.extents.map { scan.rules.scheme.blocks(of: $0) } : [0..<count]
        let started = Timestamp.now
        let reading = Reading(
            examination: examination, index: index, ranges: ranges, isAll: ranges == [0..<count])
        let (answer, source) = try reading(scan.rules, content.blocks, worker)
        output.bytesRead = answer.bytesRead
        guard let read = scan.content(answer, of: now, readFrom: started) else {
            output.difference = earlier.unstable(answer.state == .stopped ? .stopped : .changing)
            return output
        }
        output.difference = settled(path, known, read, source)
        // What was read to its end before is counted already.
        let wasCounted =
            earlier.outcome == .differs && earlier.stats.a?.size == earlier.stats.b?.size
        if output.difference == nil, !wasCounted { output.bytesAgreed = stat.size }
        output.agreedFrom = source
        return output
    }

    /// The blocks of one file that are read again.
    private struct Reading {
        let examination: any Examination
        let index: Int
        let ranges: [Range<Int>]
        let isAll: Bool

        /// An answer for the whole file: between the ranges it is what was found to agree before.
        func callAsFunction(
            _ rules: ScanRules, _ agreed: BlockList, _ worker: Worker
        ) throws -> (ContentAnswer, ReadSource) {
            let fromMedium = try read(.media, rules, agreed, worker)
            // Asked for as such, the medium has no substitute.
            guard fromMedium.state == .noMedium, rules.source != .media else {
                return (fromMedium, .media)
            }
            return (try read(.cache, rules, agreed, worker), .cache)
        }

        private func read(
            _ source: ReadSource, _ rules: ScanRules, _ agreed: BlockList, _ worker: Worker
        ) throws -> ContentAnswer {
            let requests = ranges.map { range in
                ContentRequest(
                    index: index, blocks: range, source: source,
                    wantsWhole: isAll && rules.hasWholeFile)
            }
            var whole = ContentAnswer()
            var at = 0
            for (range, answer) in zip(ranges, try examination.digest(requests, worker)) {
                if whole.state == .stable { whole.state = answer.state }
                agreed.forEachRun(in: at..<range.lowerBound) { whole.blocks.append($0, count: $1) }
                whole.blocks.append(contentsOf: answer.blocks)
                whole.unreadable += answer.unreadable
                whole.bytesRead += answer.bytesRead
                whole.whole = answer.whole
                at = range.upperBound
            }
            agreed.forEachRun(in: at..<max(at, agreed.blockCount)) {
                whole.blocks.append($0, count: $1)
            }
            return whole
        }
    }

    // MARK: The verdict

    /// What two looks at an entry together say; nil when it agrees now.
    ///
    /// - Parameter source: where content was read from just now; nil where none was.
    private func settled(
        _ path: RelativePath, _ known: Case, _ now: ManifestEntry?, _ source: ReadSource?
    ) -> Difference? {
        let earlier = known.earlier
        var judged = judged(path, now, known.kept)
        guard known.kept?.doubt == nil else { return judged ?? earlier }
        let isUnmoved = earlier.isUnmoved(on: live, now?.entry.map { StatWitness($0.stat) })
        if earlier.aspects.contains(.links) {
            // How names are linked is seen by the first pass alone; while the inode stands, so
            // does that.
            guard isUnmoved else { return earlier.unstable(.changing) }
            if judged == nil {
                judged = Difference(path: path, outcome: .differs)
                judged?.stats = earlier.stats
            }
            judged?.aspects.insert(.links)
        }
        if now?.isDirectory == true, known.kept?.isDirectory == true,
            earlier.outcome != .differs || !isUnmoved || earlier.stats[live]?.type != .directory
        {
            // What is below it was not all compared, and looking at it alone does not mend that.
            return earlier.unstable(.changing)
        }
        let isFlapping =
            isUnmoved && earlier.aspects.contains(.content)
            && (judged == nil || judged?.witnesses != earlier.witnesses)
        guard var difference = judged else {
            return isFlapping ? earlier.unstable(.flapping) : nil
        }
        switch difference.outcome {
        case .differs: break
        case .missingOnA, .missingOnB:
            // What could not be looked at was not seen again.
            guard now?.doubt == nil else { return earlier }
        default: return difference
        }
        if isFlapping {
            difference.aspects.insert(.content)
            if difference.extents.isEmpty {
                difference.extents = earlier.extents
                difference.witnesses = earlier.witnesses
            }
            return difference.unstable(.flapping)
        }
        guard isUnmoved, difference.aspects == earlier.aspects else {
            return difference.unstable(.changing)
        }
        // What was not read has no medium: stats and names come from the kernel either way.
        difference.confirmedFrom = source ?? .cache
        return difference
    }

    private func judged(
        _ path: RelativePath, _ now: ManifestEntry?, _ kept: ManifestEntry?
    ) -> Difference? {
        switch (now, kept) {
        case (nil, nil):
            return Difference(path: path, outcome: .unstable).unstable(.vanished)
        case (let now?, nil):
            return judge.alone(now, path, on: live, Absence(side: live.other, doubt: nil))
        case (nil, let kept?):
            return judge.alone(kept, path, on: live.other, Absence(side: live, doubt: nil))
        case (let now?, let kept?):
            var links = LinkPartition()
            var tally = Tally()
            let both = live == .a ? Sides(a: now, b: kept) : Sides(a: kept, b: now)
            return judge.pair(both, path, &links, &tally)
        }
    }
}

extension DigestScheme {
    /// The blocks that an extent lies in.
    fileprivate func blocks(of extent: Extent) -> Range<Int> {
        extent.offset / blockSize..<blockCount(extent.end, blockSize)
    }
}

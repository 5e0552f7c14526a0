package import ResyncCore
package import ResyncStorage

/// A pass over what the pass before found, to tell what is really different from what only
/// happened to be under way.
///
/// An entry is confirmed when it disagrees again, read from the medium where there is one, while
/// neither side's stat moved in between. Content that changed under an unchanged stat is flapping,
/// even where both sides agree by now.
package struct Confirm: Pass {
    package struct Output: Sendable {
        package var path: RelativePath
        /// What remains; nil when both sides were found to agree.
        package var difference: Difference?
        package var bytesRead = 0
        /// Bytes whose agreement was established here.
        package var bytesAgreed = 0
        package var agreedFrom = ReadSource.cache
    }

    /// A pair of images; of what a walk finds nothing is split off, since what differs is mostly
    /// small.
    package struct Work: Sendable {
        let open: Sides<OpenContent>
        let earlier: Difference
    }

    /// Of files of different size, the shared beginning is compared up to this size.
    private static let prefixLimit = 1 << 30

    private let verify: Verify
    /// What the pass before said, by path.
    private let earlier: [RelativePath: Difference]

    /// Whether an entry's witnesses were made under another run's secret, and so say nothing here.
    private let isForeign: @Sendable (RelativePath) -> Bool

    package init(
        _ verify: Verify, _ earlier: [Difference],
        isForeign: @escaping @Sendable (RelativePath) -> Bool = { _ in false }
    ) {
        self.verify = verify
        self.isForeign = isForeign
        var table: [RelativePath: Difference] = [:]
        // A directory may have two records: its own, and that its listing is not whole.
        for difference in earlier where table[difference.path] == nil {
            table[difference.path] = difference
        }
        self.earlier = table
    }

    package func run(_ work: Work, _ worker: Worker) throws -> Pieces {
        worker.pulse.enter(Pulse.Place(side: .a, directory: nil, names: nil))
        let found = Sides(
            a: work.open.a.examination[0], b: work.open.b.examination[0])
        var judged: Difference?
        if work.earlier.aspects.contains(.size) {
            judged = Difference(path: .root, outcome: .differs)
            judged?.aspects = AspectSet(.size)
            if let a = found.a.entry?.stat, let b = found.b.entry?.stat {
                judged?.stats = Sides(a: StatWitness(a), b: StatWitness(b))
            }
        }
        var output = try look(.root, judged, work.earlier, found, work.open, worker)
        output.excuse(work.open.a.examination, work.open.b.examination)
        return [.output(output)]
    }

    package func enter(
        _ opened: Sides<OpenedDirectory>, presence: Presence, path: () -> RelativePath
    ) -> [Output] {
        let path = path()
        guard let earlier = earlier[path] else { return [] }
        let found = opened.map { Examined(entry: $0.entry, failure: $0.failure) }
        let judged = verify.judgeDirectory(found, path)
        return [Output(path: path, difference: settled(judged, earlier, found))]
    }

    /// What was not come to is not confirmed.
    package func unreached(
        _ paths: ArraySlice<RelativePath>, because opened: Sides<OpenedDirectory>
    ) -> [Output] { [] }

    package func leave(
        _ directory: PairedDirectory, completeness: Sides<Completeness>, excluded: Int
    ) -> [Output] { [] }

    package func visit(
        _ names: PairedNames, in directory: PairedDirectory, _ worker: Worker
    ) throws -> Pieces {
        let examined = verify.examine(names, in: directory, worker)
        defer {
            examined.a?.close()
            examined.b?.close()
        }
        var outputs: [Output] = []
        for index in 0..<names.count {
            let path = directory.path.appending(names.names.name(index))
            guard let earlier = earlier[path] else { continue }
            let found = Sides(
                a: examined.a?[index] ?? Examined(), b: examined.b?[index] ?? Examined())
            let judged = verify.judge(found) { path }
            let open: Sides<OpenContent>? =
                if let a = examined.a, let b = examined.b {
                    Sides(a: OpenContent(a, index), b: OpenContent(b, index))
                } else { nil }
            outputs.append(try look(path, judged, earlier, found, open, worker))
        }
        return outputs.map { .output($0) }
    }

    /// The second look at one entry that is no directory.
    private func look(
        _ path: RelativePath, _ judged: Difference?, _ earlier: Difference,
        _ found: Sides<Examined>, _ open: Sides<OpenContent>?, _ worker: Worker
    ) throws -> Output {
        var output = Output(path: path)
        guard let open, let a = found.a.entry?.stat, let b = found.b.entry?.stat,
            found.a.failure == nil, found.b.failure == nil, a.type == .file, b.type == .file,
            // That of an image is compared whatever was asked for.
            verify.rules.comparison.aspects.contains(.content) || earlier.aspects.contains(.content)
        else {
            output.difference = settled(judged, earlier, found)
            return output
        }
        var judged = judged
        let stats = Sides(a: a, b: b)
        let isFromMedium =
            open.a.examination.bypassCache(open.a.index)
            && open.b.examination.bypassCache(open.b.index)
        // Only what was read to its end says anything about content that need not be read again.
        let wasRead =
            earlier.outcome == .differs || !earlier.witnesses.a.isEmpty
            || (a.size == 0 && b.size == 0)
        let isUnmoved = unmoved(earlier, found) && wasRead
        if isUnmoved { keepLinks(&judged, earlier) }
        let sharedSize = min(a.size, b.size)
        let needsContent =
            isUnmoved
            ? !earlier.extents.isEmpty
                || (earlier.aspects.contains(.size) && sharedSize <= Self.prefixLimit)
            : a.size == b.size
        guard needsContent else {
            output.difference = settled(judged, earlier, found)
            return output
        }
        let extents =
            isUnmoved && !earlier.extents.isEmpty
            ? earlier.extents : wholeExtent(sharedSize)
        var comparer = try ExtentComparer(open.a, open.b, verify.rules.scheme, worker)
        let comparison = try comparer.compare(extents)
        output.bytesRead = comparison.bytesRead
        let moved =
            comparison.wasCut || !open.a.examination.isUnchanged(open.a.index)
            || !open.b.examination.isUnchanged(open.b.index)
        output.difference = verdict(
            judged ?? Difference(path: path, outcome: .differs), earlier, comparison, stats,
            isUnmoved: isUnmoved, moved: moved, source: isFromMedium ? .media : .cache)
        if verify.rules.source == .media, !isFromMedium, a.size > 0, output.difference == nil {
            // Agreement in the page cache is not what was asked for.
            output.difference = Difference(path: path, outcome: .notVerified)
            output.difference?.reason = .noMedium
        }
        // What was read to its end before is counted already.
        if output.difference == nil, !wasCounted(earlier) { output.bytesAgreed = a.size }
        output.agreedFrom = isFromMedium ? .media : .cache
        return output
    }

    /// Whether the first pass compared the whole content.
    private func wasCounted(_ earlier: Difference) -> Bool {
        guard earlier.outcome == .differs, let a = earlier.stats.a, let b = earlier.stats.b else {
            return false
        }
        return a.type == .file && b.type == .file && a.size == b.size
    }

    /// How names are linked is seen by the first pass alone; while no inode moved it stands.
    private func keepLinks(_ judged: inout Difference?, _ earlier: Difference) {
        guard earlier.aspects.contains(.links) else { return }
        var difference = judged ?? Difference(path: earlier.path, outcome: .differs)
        if judged == nil { difference.stats = earlier.stats }
        difference.aspects.insert(.links)
        judged = difference
    }

    /// Extents start at block boundaries; without an earlier reading everything is one.
    private func wholeExtent(_ size: Int) -> [Extent] {
        size > 0 ? [Extent(offset: 0, length: size)] : []
    }

    /// What two readings of a pair of files together say.
    private func verdict(
        _ judged: Difference, _ earlier: Difference, _ comparison: ExtentComparison,
        _ stats: Sides<Stat>, isUnmoved: Bool, moved: Bool, source: ReadSource
    ) -> Difference? {
        var difference = judged
        difference.stats = stats.map { StatWitness($0) }
        difference.extents = comparison.extents
        difference.digests = comparison.digests
        difference.errors += comparison.errors
        if comparison.isDifferent { difference.aspects.insert(.content) }
        if !comparison.errors.isEmpty {
            difference.outcome = .unreadable
            return difference
        }
        if comparison.wasStopped || moved {
            return earlier.unstable(moved ? .changing : .stopped)
        }
        // Bytes that differed and now agree have changed, whatever their witnesses are worth.
        let isSeenAgain =
            isForeign(earlier.path)
            ? comparison.isDifferent || !earlier.aspects.contains(.content)
            : comparison.witnesses == earlier.witnesses
        if isUnmoved, !earlier.extents.isEmpty, !isSeenAgain {
            difference.aspects.insert(.content)
            if difference.extents.isEmpty { difference.extents = earlier.extents }
            return difference.unstable(.flapping)
        }
        if judged.aspects.isEmpty, !comparison.isDifferent {
            return earlier.aspects.contains(.links) ? earlier.unstable(.changing) : nil
        }
        difference.outcome = .differs
        addShape(&difference, comparison, stats)
        if isUnmoved {
            difference.confirmedFrom = source
        } else {
            // Seen like this for the first time: the witnesses are for the next pass.
            difference.extents = wholeExtent(min(stats.a.size, stats.b.size))
            difference.witnesses = comparison.witnesses
            return difference.unstable(.changing)
        }
        return difference
    }

    private func addShape(
        _ difference: inout Difference, _ comparison: ExtentComparison, _ stats: Sides<Stat>
    ) {
        if difference.aspects.contains(.size) {
            if !comparison.isDifferent {
                difference.shape = stats.b.size < stats.a.size ? .truncated : .grown
            }
        } else if let (shape, side) = comparison.shape {
            difference.shape = shape
            difference.shapeSide = side
        }
    }

    private func unmoved(_ earlier: Difference, _ found: Sides<Examined>) -> Bool {
        Side.allCases.allSatisfy { side in
            earlier.isUnmoved(on: side, found[side].entry.map { StatWitness($0.stat) })
        }
    }

    /// Whether the directories are those whose entries the first pass compared.
    private func isSameDirectory(_ earlier: Difference, _ found: Sides<Examined>) -> Bool {
        Side.allCases.allSatisfy { side in
            earlier.stats[side]?.type == .directory
                && earlier.stats[side]?.inode == found[side].entry?.stat.inode
        }
    }

    /// The verdict where no content is to be read.
    private func settled(
        _ judged: Difference?, _ earlier: Difference, _ found: Sides<Examined>
    ) -> Difference? {
        var judged = judged
        if unmoved(earlier, found) { keepLinks(&judged, earlier) }
        let isDirectory =
            found.a.entry?.stat.type == .directory && found.b.entry?.stat.type == .directory
        if isDirectory, judged == nil || judged?.outcome == .differs,
            earlier.outcome != .differs || !isSameDirectory(earlier, found)
        {
            // Its listing was not whole, or it was not this directory on both sides: what is below
            // it was not compared, and looking at the directory itself does not mend that.
            return earlier.unstable(.changing)
        }
        if judged == nil, earlier.aspects.contains(.links) { return earlier.unstable(.changing) }
        guard var difference = judged else { return nil }
        guard difference.canBeConfirmed, difference.reason != .vanished else { return difference }
        if unmoved(earlier, found), difference.aspects == earlier.aspects {
            // What was not read has no medium: stats and names come from the kernel either way.
            difference.confirmedFrom = .cache
            return difference
        }
        return difference.unstable(.changing)
    }
}

extension Confirm.Output {
    /// A device has no times: where others use it, other bytes than before are no sign of a fault.
    mutating func excuse(_ images: any Examination...) {
        guard difference?.reason == .flapping, images.contains(where: { $0.isInUse(0) }) else {
            return
        }
        difference?.reason = .changing
    }
}

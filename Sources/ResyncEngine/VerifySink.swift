import ResyncCore
import ResyncStorage

/// Takes the first pass's outputs in order: counts, keeps the results, saves checkpoints.
final class VerifySink: @unchecked Sendable {
    // Unchecked because a drain emits on one thread at a time.
    private let run: RunFolder
    private var writer: ResultWriter
    /// Of everything up to the last entry emitted in order.
    private var tally: Tally
    /// Of what was finished behind a gap.
    private var tallyBehind = Tally()
    private var links = LinkComparison()
    private var through: EntryPlace?
    private var savedAt = monotonicSeconds()
    private let started = monotonicSeconds()
    private let earlierElapsed: Double
    private let interval: Double
    private var hasCheckpoint: Bool
    private var isInOrder = true
    private var keepers: [(side: Side, keeper: ManifestKeeper)] = []
    /// What the last checkpoint found written of both manifests; nil where they are not kept.
    private(set) var kept: Sides<ManifestPart>?
    /// What a run resumed at `through` would find again: kept out of the checkpoint until the walk
    /// is past it.
    private var held: [VerifyOutput] = []
    /// Whether there is any beside the root.
    var hasEntries: Bool { tally.entries > 0 }
    private let keepsLinks: Bool
    /// The directories on the way to the last entry, from the root down, and perhaps some that
    /// have ended behind them. Empty where paths were selected: then no directory is listed.
    private var entered: [EnteredDirectory]
    /// Whether the last entry is the last of these.
    private var isAtDirectory = false
    /// Differences that nobody has seen twice.
    var openCount = 0
    /// Of images that were not compared to their end.
    private var image: ImagePart?

    init(
        _ run: RunFolder, _ writer: ResultWriter, _ checkpoint: Checkpoint?, interval: Double,
        elapsed: Double, links: [Sides<ObjectIdentity>]?
    ) {
        self.run = run
        keepsLinks = links != nil
        for link in links ?? [] { _ = self.links.agrees(link) }
        through = checkpoint?.through.map { EntryPlace($0) }
        entered = checkpoint?.directories ?? []
        isAtDirectory = entered.count > checkpoint?.through?.depth ?? 0
        self.writer = writer
        self.interval = interval
        tally = checkpoint?.tally ?? Tally()
        hasCheckpoint = checkpoint != nil
        earlierElapsed = elapsed
        openCount = tally.openCount
    }

    func take(_ output: VerifyOutput, inOrder: Bool) throws {
        if !inOrder, isInOrder {
            // What comes now lies behind a gap: a resumed run will find it again.
            isInOrder = false
            try save()
            try takeHeld()
        }
        if isInOrder {
            // Between a directory's entry and its listing a manifest has no record of it yet.
            if output.through != nil, monotonicSeconds() - savedAt > interval { try save() }
            for (side, keeper) in keepers { try keeper.take(output.records[side]) }
            guard output.through != nil else { return held.append(output) }
            try takeHeld()
        }
        try count(output)
        if isInOrder, let place = output.through {
            through = place
            isAtDirectory = output.entered != nil
        }
    }

    private func takeHeld() throws {
        for output in held { try count(output) }
        held = []
    }

    private func count(_ output: VerifyOutput) throws {
        var output = output
        for link in output.links {
            if !links.agrees(Sides(a: link.a, b: link.b)) { output.addLinkDifference(link) }
            if keepsLinks { try writer.write(Sides(a: link.a, b: link.b)) }
        }
        if isInOrder { tally += output.tally } else { tallyBehind += output.tally }
        if isInOrder, let directory = output.entered { enter(directory) }
        for difference in output.differences {
            if difference.canBeConfirmed { openCount += 1 }
        }
        try write(output)
    }

    private func enter(_ directory: EnteredDirectory) {
        guard directory.depth <= entered.count else { return }
        entered.removeSubrange(directory.depth...)
        entered.append(directory)
    }

    /// Differences and what agrees, in order.
    private func write(_ output: VerifyOutput) throws {
        guard !output.sames.isEmpty else {
            for difference in output.differences { try writer.write(.difference(difference)) }
            return
        }
        var sames = output.sames[...]
        for difference in output.differences {
            while let same = sames.first, same < difference.path {
                try writer.write(.same(same))
                sames = sames.dropFirst()
            }
            try writer.write(.difference(difference))
        }
        for same in sames { try writer.write(.same(same)) }
    }

    private func save(isDone: Bool = false) throws {
        var manifests = Sides<ManifestPart?>(a: nil, b: nil)
        if !isDone { for (side, keeper) in keepers { manifests[side] = try keeper.save() } }
        if let a = manifests.a, let b = manifests.b { kept = Sides(a: a, b: b) }
        let through = through?.path
        let depth = isDone ? 0 : (through?.depth ?? 0) + (isAtDirectory ? 1 : 0)
        try run.save(
            Checkpoint(
                isFirstPassDone: isDone, through: through,
                directories: Array(entered.prefix(depth)), tally: tally,
                manifests: manifests, resultsEnd: try writer.sync(),
                elapsed: earlierElapsed + monotonicSeconds() - started, saved: .now,
                image: image))
        hasCheckpoint = true
        savedAt = monotonicSeconds()
    }

    /// Has each side's manifest written into the run's folder as well, from the beginning, or from
    /// where a checkpoint found it.
    func keep(_ headers: Sides<ManifestHeader>, from checkpoint: Checkpoint?) throws {
        for side in Side.allCases {
            let name = RunFolder.manifest(side)
            guard let checkpoint else {
                keepers.append((side, try ManifestKeeper(headers[side], in: run.folder, name)))
                continue
            }
            guard let part = checkpoint.manifests[side] else { continue }
            do {
                let keeper = try ManifestKeeper(resuming: part, in: run.folder, name)
                guard headers[side].continues(keeper.header) else {
                    throw RunError.begunOtherwise(
                        run.id, ManifestHeader.discontinued)
                }
                keepers.append((side, keeper))
            } catch let error as DiskError where error.number == ErrorNumber.noEntry {
                // It was whole, and moved to where it is kept, just before the stop.
            }
        }
    }

    /// Where the walk came to its end, the manifests take the place of those kept before, if they
    /// are to.
    ///
    /// - Parameter prove: called while both lie whole in the run's folder.
    func finishKeeping(in store: KeptManifests?, prove: () throws -> Void) throws {
        var trailers: [ManifestTrailer] = []
        for (_, keeper) in keepers {
            guard let trailer = try keeper.finish() else { return }
            trailers.append(trailer)
        }
        // Of an image there is one record, and it proves all or nothing.
        let isTree = keepers.allSatisfy { $0.keeper.header.kind == .directory }
        let agrees = trailers.allSatisfy { $0.isWhole && $0.root == trailers[0].root }
        // Where one was moved to its place already, both were whole, and proved what they prove.
        if keepers.count == Side.allCases.count, isTree || agrees { try prove() }
        for ((side, keeper), trailer) in zip(keepers, trailers) {
            let name = RunFolder.manifest(side)
            if let store, isTree || trailer.isWhole {
                try store.keep(name, from: run.folder, of: keeper.header.identity)
            } else {
                try run.folder.remove(name)
            }
        }
        keepers = []
    }

    /// What was compared of two images when they were left. A run that goes on says what was found
    /// in it together with the rest.
    func leave(_ part: ImagePart) throws {
        image = part
        guard let difference = part.difference else { return }
        var output = VerifyOutput()
        output.tally.entries = 1
        output.tally.count(difference)
        output.differences = [difference]
        try take(output, inOrder: false)
    }

    /// All results are written. A complete first pass can be resumed at its second looks.
    func finish(isComplete: Bool) throws -> Tally {
        if !isComplete, isInOrder {
            try save()
            isInOrder = false
        }
        try takeHeld()
        if isComplete, openCount > 0 || hasCheckpoint { try save(isDone: true) }
        try writer.finish()
        var all = tally
        all += tallyBehind
        return all
    }
}

/// Compares how names are linked: both sides must group the same names. In walk order, two names
/// are in one group exactly if the first name of their group is the same one.
struct LinkComparison {
    private var first: Sides<[ObjectIdentity: Int]> = Sides(a: [:], b: [:])
    private var count = 0

    mutating func agrees(_ link: Sides<ObjectIdentity>) -> Bool {
        let a = first.a[link.a] ?? count
        let b = first.b[link.b] ?? count
        if a == count { first.a[link.a] = count }
        if b == count { first.b[link.b] = count }
        count += 1
        return a == b
    }
}

extension VerifyOutput {
    /// Adds that a name is linked differently to what is said of it already.
    fileprivate mutating func addLinkDifference(_ link: LinkedEntry) {
        if let index = differences.firstIndex(where: { $0.path == link.path }) {
            differences[index].aspects.insert(.links)
            return
        }
        var difference = Difference(path: link.path, outcome: .differs)
        difference.aspects = AspectSet(.links)
        difference.stats = link.stats
        differences.append(difference)
        differences.sort { $0.path < $1.path }
        sames.removeAll { $0 == link.path }
        tally.same -= 1
        tally.count(difference)
    }
}

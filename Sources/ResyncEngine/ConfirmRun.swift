package import ResyncCore
package import ResyncStorage

/// What reading back the result of a run showed.
package struct ConfirmResult: Sendable {
    package var confirmed = 0
    /// Entries that do not agree now, with what they disagree in.
    package var different = 0
    package var unreadable = 0
    /// Of the confirmed ones, those that could not be read past the page cache.
    package var fromCache = 0
    /// Entries to which somebody wrote after they were displaced, or may yet: what was written is
    /// in the quarantine only.
    package var late: [(number: Int, path: RelativePath)] = []
    package var ending = Ending.complete

    package init() {}

    /// Whether there was nothing to read back, or nothing of it could be said.
    package var confirmsNothing: Bool { confirmed == 0 && different == 0 }

    /// Whether everything was read back, and agrees.
    package var isGood: Bool { ending == .complete && different == 0 && unreadable == 0 }
}

/// An entry that both sides were found to have alike.
package struct AgreedEntry: Sendable {
    package let path: RelativePath
    /// Nil where neither side has it.
    package let sides: Sides<ObservedEntry>?
    package let source: ReadSource
    /// Before it was looked at.
    package let time: Timestamp
}

/// Reads back, past the page cache where there is a medium, what a run has done, on both sides.
package final class ConfirmRun {
    private let folder: ApplyFolder
    private let sites: Sides<any Site>
    private let rules: ComparisonRules
    private let blockSize: Int
    private let controls: RunControls
    private let progress = Progress()
    private var result = ConfirmResult() {
        didSet { controls.confirmed(result) }
    }

    package init(
        _ folder: ApplyFolder, _ sites: Sides<any Site>, _ rules: ComparisonRules,
        _ controls: RunControls
    ) {
        self.folder = folder
        self.sites = sites
        self.rules = rules
        self.controls = controls
        blockSize = folder.plan.header.blockSize
    }

    /// - Parameters:
    ///   - isSlice: only what is done since the last slice was freed; else all that is done.
    ///   - agreed: called with each entry that agrees, in the order of the plan.
    ///   - different: called with each that does not.
    package func callAsFunction(
        isSlice: Bool = false, agreed: (AgreedEntry) throws -> Void,
        different: (_ path: RelativePath, AspectSet) throws -> Void
    ) throws -> ConfirmResult {
        let hand = folder.hand(sites)
        let displaced = try Displaced(folder, hand)
        let worker = try Worker(
            scheme: try DigestScheme(.sha256, blockSize: blockSize), pulse: Pulse(), stop: Stop())
        for frame in 0..<folder.plan.frameCount {
            if let signal = controls.interruption() {
                result.ending = .interrupted(signal)
                break
            }
            controls.report(.confirming(folder.plan.trailer.actions), progress)
            let (first, actions) = try folder.plan.actions(frame: frame)
            for (at, action) in actions.enumerated() where folder.isRead(first + at, isSlice) {
                do {
                    try lookAtDisplaced(first + at, action, displaced)
                    try look(action, isSlice: isSlice, hand, worker, agreed, different)
                } catch is DiskError {
                    result.unreadable += 1
                }
            }
        }
        return result
    }

    private func lookAtDisplaced(
        _ number: Int, _ action: Action, _ displaced: Displaced
    ) throws {
        guard action.keepsOld, action.kind != .patch, folder.state.isKept(number),
            try displaced.isWrittenLate(number, action)
        else { return }
        result.late.append((number, action.path))
    }

    private func look(
        _ action: Action, isSlice: Bool, _ hand: Hand, _ worker: Worker,
        _ agreed: (AgreedEntry) throws -> Void,
        _ different: (RelativePath, AspectSet) throws -> Void
    ) throws {
        let time = Timestamp.now
        let found = try Side.allCases.map { side in
            try hand.changer(side).observe(action.path, readsContent: true, worker)
        }
        let (a, b) = (found[0], found[1])
        progress.add(
            entries: 1, bytes: 2 * (a.observed?.contentSize ?? 0), differences: 0)
        guard let left = a.observed, let right = b.observed else {
            if a.observed == nil, b.observed == nil {
                // What was made and is nowhere any more nobody can read back.
                guard action.after == nil else {
                    result.different += 1
                    return try different(action.path, AspectSet(.existence))
                }
                result.confirmed += 1
                return try agreed(
                    AgreedEntry(path: action.path, sides: nil, source: .media, time: time))
            }
            if isKept(action, action.side == .a ? a.observed : b.observed) { return }
            result.different += 1
            return try different(action.path, AspectSet(.existence))
        }
        if isSlice, action.kind == .makeDirectory, left.isDirectory, right.isDirectory {
            // Closed to others until all of the plan is done: then it is looked at as a whole.
            result.confirmed += 1
            return
        }
        var aspects = rules.metadataDifferences(left.entry, right.entry)
        // Our own marker moves the root's time.
        if action.path == .root { aspects.remove(AspectSet(.mtime)) }
        // What was written is read back, whatever the comparison was about.
        let readsBack = action.kind == .write || action.kind == .link
        if readsBack || rules.comparesContent(left.stat, right.stat),
            left.content != right.content
        {
            aspects.insert(.content)
        }
        if try !isLinked(action, Sides(a: left, b: right), hand, worker) {
            aspects.insert(.links)
        }
        guard aspects.isEmpty else {
            if isKept(action, action.side == .a ? left : right) { return }
            result.different += 1
            return try different(action.path, aspects)
        }
        let source = a.source == .media && b.source == .media ? ReadSource.media : .cache
        result.confirmed += 1
        if source == .cache { result.fromCache += 1 }
        try agreed(
            AgreedEntry(
                path: action.path, sides: Sides(a: left, b: right), source: source, time: time))
    }

    /// Whether a directory is as it was that only what was done in it has moved. Where the plan
    /// left something, or was only about a part, how it differs from the other side's is nothing
    /// that the run was to change, and nothing that it proves; else it came to differ since.
    private func isKept(_ action: Action, _ now: ObservedEntry?) -> Bool {
        let trailer = folder.plan.trailer
        guard trailer.leftOut.count > 0 || trailer.isNarrowed, let kept = action.keptDirectory,
            let now
        else { return false }
        var aspects = rules.metadataDifferences(kept.entry, now.entry)
        // Our own marker moves the root's time.
        if action.path == .root { aspects.remove(AspectSet(.mtime)) }
        return now.isDirectory && aspects.isEmpty
    }

    /// Whether what was to become another name of a file is one, on both sides.
    private func isLinked(
        _ action: Action, _ found: Sides<ObservedEntry>, _ hand: Hand, _ worker: Worker
    ) throws -> Bool {
        guard action.kind == .link, let other = action.linkTo else { return true }
        return try Side.allCases.allSatisfy { side in
            let first = try hand.changer(side).observe(other, readsContent: false, worker)
            return first.observed?.stat.identity == found[side].stat.identity
        }
    }
}

/// What a run displaced, and whether somebody wrote to it after that, or may yet.
///
/// A file with several names moves the ctime of all of them with each, also when one is freed. So
/// that of the name that came last is held against what it is now, at the beginning.
struct Displaced {
    private let folder: ApplyFolder
    private let hand: Hand
    /// With no name but in the quarantine, and written to there.
    private var late: Set<ObjectIdentity> = []

    private struct Linked {
        var names = 0
        /// When the last of them came there; nil where that was not kept.
        var shelved: Timestamp?
        let number: Int
        let action: Action
    }

    init(_ folder: ApplyFolder, _ hand: Hand) throws {
        (self.folder, self.hand) = (folder, hand)
        var linked: [ObjectIdentity: Linked] = [:]
        try Quarantine(folder).forEach { number, action in
            guard let before = action.before, before.type == .file, before.content == nil,
                before.stat.links > 1
            else { return }
            let identity = before.stat.identity
            var known = linked[identity] ?? Linked(number: number, action: action)
            known.names += 1
            known.shelved = [known.shelved, folder.state.shelvedTime(number)].compactMap { $0 }
                .max()
            linked[identity] = known
        }
        for (identity, known) in linked {
            do throws(DiskError) {
                // What has a name elsewhere is not lost with these.
                guard
                    let now = try hand.changer(known.action.side).shelved(
                        known.number, known.action),
                    now.links <= known.names, let shelved = known.shelved, now.ctime != shelved
                else { continue }
                late.insert(identity)
            } catch {
                // Looked at again it may answer, and by then nothing is asked of its time.
                late.insert(identity)
            }
        }
    }

    func isWrittenLate(_ number: Int, _ action: Action) throws(DiskError) -> Bool {
        let changer = hand.changer(action.side)
        guard let before = action.before, before.type == .file, before.stat.links > 1 else {
            return try changer.isWrittenLate(
                number, action, shelved: folder.state.shelvedTime(number))
        }
        if late.contains(before.stat.identity) { return true }
        return try changer.isWrittenLate(number, action, shelved: nil)
    }
}

extension ApplyFolder {
    /// Whether confirming reads an action's entry back.
    func isRead(_ number: Int, _ isSlice: Bool) -> Bool {
        isSlice ? state.isKept(number) : state.isDone(number)
    }
}

extension ObservedEntry {
    fileprivate var contentSize: Int { type == .file ? stat.size : 0 }
}

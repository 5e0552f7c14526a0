/// What is known of one store when a plan is about to be applied.
package struct StoreFindings: Sendable, Hashable {
    package var identity: StoreIdentity
    package var marker: StoreMarker?
    /// The run that left an image or device half-changed; a directory's marker names it.
    package var unfinished: String?
    /// A run that may have done so: what is kept of it cannot be read.
    package var unreadable: String?
    /// Of an image or device, in bytes.
    package var size = 0
    /// Whether a directory holds nothing but what is resync's own, or a new file system's.
    package var isEmpty = false
    /// Whether it was ever proven to agree with some store.
    package var hasPartner = false
    package var isReadOnly = false
    /// Bytes that can be written; nil where that is not known.
    package var available: Int?

    package init(identity: StoreIdentity) { self.identity = identity }

    fileprivate var inconsistent: String? { marker?.inconsistent ?? unfinished }
}

/// A rule that stands against carrying a plan out; each can be overruled for this plan alone.
package enum Refusal: Sendable, Hashable {
    case emptySource(Side)
    /// The other side was in step with a store, and not with this one.
    case emptyTarget(Side)
    /// It has no marker, and the other side's says that it was in step with a store.
    case unmarked(Side)
    /// Each was in step with some store, and never with the other one.
    case strangers
    case otherFileSystem(Side)
    case copiedMarker(Side)
    case otherMarker(Side)
    case otherSize(Side)
    case olderSource(Side)
    case swappedRoles(Side)
    case inconsistentSource(Side, run: String)
    case unfinishedTarget(Side, run: String)
    case unreadableRun(Side, run: String)
    case emptiedDirectories(Side, Int)
    case deletes(Side, Int, limit: Int)
    case overwrites(Side, Int, of: Int)
    case overwrittenBytes(Side, Int, of: Int)
    case zeroed(Side, Int)
    case zeroedPieces(Side, Int)
    case incompleteSource
    case changedExclusions
    case noSpace(Side, needed: Int, available: Int)
    case readOnly(Side)

    /// Whether it can be overruled: not where another store would be changed than was planned for,
    /// and what was done there be counted as done here; nor where a store has to be adopted.
    package var canBeAccepted: Bool {
        switch self {
        case .otherFileSystem, .copiedMarker, .otherMarker, .otherSize, .unmarked: false
        default: true
        }
    }

    /// A sentence without its end.
    package var sentence: String {
        switch self {
        case .emptySource(let side): "\(side.letter) is empty: is it mounted?"
        case .emptyTarget(let side):
            "\(side.letter) is empty, and is not the store that \(side.other.letter) was last "
                + "proven to agree with: is it mounted?"
        case .unmarked(let side):
            "\(side.letter) has no marker, and \(side.other.letter) was last proven to agree with "
                + "another store: is the right one mounted? ('resync store adopt' takes it)"
        case .strangers:
            "A and B were each proven to agree with another store, and never with one another: are "
                + "the right ones mounted?"
        case .otherFileSystem(let side):
            "\(side.letter) is not the store that the plan was made for"
        case .copiedMarker(let side):
            "the marker of \(side.letter) was made on another file system: the store is a copy, "
                + "or another one is mounted ('resync store adopt' takes it)"
        case .otherMarker(let side):
            "the marker of \(side.letter) is not the one that the plan was made with"
        case .otherSize(let side): "\(side.letter) has not the size that the plan was made for"
        case .olderSource(let side):
            "\(side.letter) is older than \(side.other.letter): its last confirmed state is one "
                + "that \(side.other.letter) has left behind (if 'resync confirm' was cut off, "
                + "confirm that run again)"
        case .swappedRoles(let side):
            "\(side.letter) was made like \(side.other.letter) by the last plan that was "
                + "confirmed, and is the source now: is the direction meant?"
        case .inconsistentSource(let side, let run):
            "run \(escaped(run.utf8)) left \(side.letter) changed in part: it cannot be a source"
        case .unfinishedTarget(let side, let run):
            "run \(escaped(run.utf8)) left \(side.letter) changed in part: go on with it, or take "
                + "it back"
        case .unreadableRun(let side, let run):
            "what is kept of run \(escaped(run.utf8)) cannot be read: it may have left "
                + "\(side.letter) changed in part"
        case .emptiedDirectories(let side, let count):
            "\(count) of \(side.letter) and its top-level directories would become empty"
        case .deletes(let side, let count, let limit):
            "\(count) entries of \(side.letter) would be deleted, more than \(limit)"
        case .overwrites(let side, let count, let others):
            "\(count) of \(others) entries of \(side.letter) that are no directories would be "
                + "overwritten, more than half"
        case .overwrittenBytes(let side, let bytes, let size):
            "\(sizeText(bytes)) of \(sizeText(size)) of \(side.letter) would be overwritten, more "
                + "than half"
        case .zeroedPieces(let side, let count):
            "the data of \(count) pieces of \(side.letter) would turn to zeros"
        case .zeroed(let side, let count):
            "the data of \(count) files of \(side.letter) would turn to nothing or, in whole "
                + "or in part, to zeros"
        case .incompleteSource: "the root of a store could not be listed whole"
        case .changedExclusions: "the exclusions are not those of the baseline"
        case .noSpace(let side, let needed, let available):
            "\(side.letter) needs \(sizeText(needed)) and has \(sizeText(available)), whatever is "
                + "released of what it displaces"
        case .readOnly(let side): "\(side.letter) is mounted read-only"
        }
    }
}

/// Everything that stands against carrying a plan out, decided before anything is written.
///
/// - Parameters:
///   - baselineExclusions: of the pair's baseline; nil where there is none.
///   - run: that carried the plan out in part before; nil where none has.
package func refusals(
    _ header: PlanHeader, _ trailer: PlanTrailer, _ found: Sides<StoreFindings>,
    baselineExclusions: Digest? = nil, run: String? = nil
) -> [Refusal] {
    var refusals: [Refusal] = []
    let targets = Side.allCases.filter { trailer.totals[$0].actions > 0 }
    for side in Side.allCases {
        refusals += identityRefusals(header.stores[side], found[side], side)
        if let run = found[side].unreadable, !targets.isEmpty {
            refusals.append(.unreadableRun(side, run: run))
        }
    }
    if !targets.isEmpty, areStrangers(header, found) { refusals.append(.strangers) }
    for target in targets {
        refusals += sourceRefusals(found, target.other, run)
        refusals += strangers(header, found, target)
        if header.authority.isOneSided, let other = found[target].marker?.store,
            found[target.other].marker?.followed == other
        {
            refusals.append(.swappedRoles(target.other))
        }
        if let other = found[target].inconsistent, other != run {
            refusals.append(.unfinishedTarget(target, run: other))
        }
        let totals = trailer.totals[target]
        let store = header.stores[target]
        refusals +=
            store.kind == .directory
            ? countRefusals(totals, target, header)
            : byteRefusals(totals, target, of: store.size)
        if found[target].isReadOnly { refusals.append(.readOnly(target)) }
    }
    if trailer.isRootIncomplete, !targets.isEmpty { refusals.append(.incompleteSource) }
    if let baselineExclusions, baselineExclusions != header.exclusions, !targets.isEmpty {
        refusals.append(.changedExclusions)
    }
    return refusals + spaceRefusals(trailer, found, targets)
}

private func identityRefusals(
    _ planned: StoreReference, _ found: StoreFindings, _ side: Side
) -> [Refusal] {
    var refusals: [Refusal] = []
    if !found.identity.isSameStore(as: planned.identity) {
        refusals.append(.otherFileSystem(side))
    }
    if planned.kind != .directory, found.size != planned.size { refusals.append(.otherSize(side)) }
    if let marker = found.marker, !marker.identity.isSameStore(as: found.identity) {
        refusals.append(.copiedMarker(side))
    }
    if let was = planned.marker, found.marker?.store != was.store {
        refusals.append(.otherMarker(side))
    }
    return refusals
}

private func areStrangers(_ header: PlanHeader, _ found: Sides<StoreFindings>) -> Bool {
    guard !header.hasBaseline, header.stores.a.kind == .directory, let a = found.a.marker,
        let b = found.b.marker, a.baseline != nil, b.baseline != nil
    else { return false }
    return a.past.isDisjoint(with: b.past)
}

/// Sides that may not be the store that the other one was in step with.
private func strangers(
    _ header: PlanHeader, _ found: Sides<StoreFindings>, _ target: Side
) -> [Refusal] {
    guard header.stores[target].kind == .directory, !header.hasBaseline else { return [] }
    let source = target.other
    func isUnmarked(_ side: Side) -> Bool {
        found[side].marker == nil && header.stores[side].marker == nil
            && found[side.other].marker?.baseline != nil
    }
    if found[target].isEmpty, found[target].marker == nil {
        return found[source].hasPartner ? [.emptyTarget(target)] : []
    }
    if isUnmarked(target) { return [.unmarked(target)] }
    return isUnmarked(source) && !found[source].isEmpty ? [.unmarked(source)] : []
}

private func sourceRefusals(
    _ found: Sides<StoreFindings>, _ source: Side, _ run: String?
) -> [Refusal] {
    var refusals: [Refusal] = []
    if found[source].isEmpty { refusals.append(.emptySource(source)) }
    if let other = found[source].inconsistent, other != run {
        refusals.append(.inconsistentSource(source, run: other))
    }
    guard let own = found[source].marker else { return refusals }
    if let other = found[source.other].marker, let baseline = own.baseline,
        baseline != other.baseline, other.history.contains(baseline)
    {
        refusals.append(.olderSource(source))
    }
    return refusals
}

/// What is few in any store.
private let fewEntries = 20
private let fewFiles = 10
private let fewBytes = 64 << 10

private func countRefusals(
    _ totals: PlanTotals, _ target: Side, _ header: PlanHeader
) -> [Refusal] {
    var refusals: [Refusal] = []
    let limit = max(fewEntries, header.entries / 10)
    if totals.deletes > limit {
        refusals.append(.deletes(target, totals.deletes, limit: limit))
    }
    // Directories are not overwritten: a store with few files in each has as many of them.
    let others = header.entries - header.directories
    if others > fewEntries, totals.overwrites > others / 2 {
        refusals.append(.overwrites(target, totals.overwrites, of: others))
    }
    if totals.emptied > 0 { refusals.append(.emptiedDirectories(target, totals.emptied)) }
    if totals.zeroed > fewFiles { refusals.append(.zeroed(target, totals.zeroed)) }
    return refusals
}

/// Of an image or device.
private func byteRefusals(_ totals: PlanTotals, _ target: Side, of size: Int) -> [Refusal] {
    var refusals: [Refusal] = []
    if totals.bytesWritten > max(fewBytes, size / 2) {
        refusals.append(.overwrittenBytes(target, totals.bytesWritten, of: size))
    }
    if totals.zeroed > fewFiles { refusals.append(.zeroedPieces(target, totals.zeroed)) }
    return refusals
}

private func spaceRefusals(
    _ trailer: PlanTrailer, _ found: Sides<StoreFindings>, _ targets: [Side]
) -> [Refusal] {
    targets.compactMap { side in
        guard let available = found[side].available else { return nil }
        let needed = needed(trailer, found, side) { $0.spaceNeededInSlices }
        return needed > available
            ? .noSpace(side, needed: needed, available: available) : nil
    }
}

/// Sides on which a plan has to be carried out in slices, each read back and what it displaced
/// released before the next: there is not room for what is new and what is old at once.
package func slicedSides(_ trailer: PlanTrailer, _ found: Sides<StoreFindings>) -> [Side] {
    Side.allCases.filter { side in
        guard trailer.totals[side].actions > 0, let available = found[side].available else {
            return false
        }
        return needed(trailer, found, side) { $0.spaceNeeded } > available
    }
}

private func needed(
    _ trailer: PlanTrailer, _ found: Sides<StoreFindings>, _ side: Side,
    _ need: (PlanTotals) -> Int
) -> Int {
    // Both may draw on the same space.
    let isShared =
        found.a.identity.fileSystem == found.b.identity.fileSystem
        && found.a.identity.device == found.b.identity.device
    let own = need(trailer.totals[side])
    guard isShared else { return own }
    return cappedSum(own, need(trailer.totals[side.other]))
}

extension PlanTotals {
    /// Bytes to be found free: what is written and a twentieth, since what is displaced stays.
    package var spaceNeeded: Int { cappedSum(bytesWritten, bytesWritten / 20) }

    /// As `spaceNeeded`, once all is released that is displaced.
    fileprivate var spaceNeededInSlices: Int { max(0, spaceNeeded - bytesDisplaced) }
}

extension StoreIdentity {
    /// Whether two findings are of one store. Device numbers change from boot to boot, and count
    /// only where the file system has no identity.
    package func isSameStore(as other: StoreIdentity) -> Bool {
        fileSystem == other.fileSystem && inode == other.inode
            && (fileSystem != 0 || device == other.device)
    }
}

import ResyncCore
import ResyncStorage

/// A directory in the middle of its listing: merges both sides' names in portions. One worker at a
/// time has the turn.
package final class DirectoryTurn: @unchecked Sendable {
    // Unchecked because a turn is one unit of work, run by one worker and then handed on.
    let directory: PairedDirectory
    private let inner: SubtreeScope
    private let scope: WalkScope
    private let parent: [UInt8]
    private let isRoot: Bool
    /// The only names of it that are visited; nil for all.
    private let ways: Set<[UInt8]>?
    /// Whether there may be names that do not count, and move its times all the same.
    private let mayHoldOthers: Bool
    private let a: Cursor
    private let b: Cursor
    private(set) var isDone = false
    private(set) var excludedCount = 0

    /// Items made per turn: enough for every worker, few enough to stay small.
    private static let itemLimit = 64
    private static let chunkSize = 4096

    /// Where one side's listing is.
    private final class Cursor {
        private let directory: PairedDirectory
        private let side: Side
        /// Nil at its end, too: it may hold many names.
        private var listing: (any Listing)?
        /// The directory while it was listed.
        let stat: Stat?
        var names = NameList()
        var at = 0
        /// Of the names that count.
        var seen = Hasher()

        init(_ directory: PairedDirectory, _ side: Side, _ worker: Worker) {
            self.directory = directory
            self.side = side
            if let held = directory.sides[side] {
                worker.pulse.enter(Pulse.Place(side: side, directory: held, names: nil))
                listing = held.list(worker)
            }
            stat = listing?.stat
            directory.note(listing?.completeness ?? .complete, on: side)
        }

        /// The kind of the current name.
        var kind: EntryType? { names.kinds[at] }

        /// Whether there is a current name, after fetching more where needed.
        func hasName() -> Bool {
            if at < names.count { return true }
            guard let listing else { return false }
            at = 0
            do throws(DiskError) {
                names = try listing.next(DirectoryTurn.chunkSize)
            } catch {
                directory.note(.failed(error), on: side)
                names = NameList()
            }
            directory.note(listing.completeness, on: side)
            if names.isEmpty { self.listing = nil }
            return !names.isEmpty
        }
    }

    enum Item {
        case names(PairedNames)
        case directory(PairedNames, SubtreeScope)
    }

    init(
        _ directory: PairedDirectory, _ inner: SubtreeScope, _ scope: WalkScope, _ worker: Worker
    ) {
        self.directory = directory
        self.inner = inner
        self.scope = scope
        a = Cursor(directory, .a, worker)
        b = Cursor(directory, .b, worker)
        isRoot = (directory.sides.a ?? directory.sides.b)?.isRoot ?? false
        parent = scope.filter.isEmpty ? [] : directory.path.bytes
        ways = scope.within?.names(in: directory.path)
        mayHoldOthers = isRoot || ways != nil || !scope.filter.isEmpty
    }

    /// The next portion, in order.
    func nextItems() -> [Item] {
        var items: [Item] = []
        var batch = PairedNames()
        func flush() {
            if !batch.isEmpty { items.append(.names(batch)) }
            batch = PairedNames()
        }
        while items.count < Self.itemLimit {
            guard let listed = nextPresence() else {
                isDone = true
                break
            }
            let presence = counting(listed)
            let cursor = presence.contains(.a) ? a : b
            if !presence.isEmpty, let below = resumeBelow(cursor.names, cursor.at) {
                let kinds = Sides(
                    a: presence.contains(.a) ? a.kind : nil,
                    b: presence.contains(.b) ? b.kind : nil)
                // Where a rule leaves out what one side has, that side is not asked.
                let asked = presence == listed ? presenceToAsk(presence) : presence
                if kinds.a == .directory || kinds.b == .directory {
                    flush()
                    var name = PairedNames()
                    name.append(cursor.at, of: cursor.names, kind: .directory, asked)
                    items.append(.directory(name, below))
                } else if below.isReported {
                    let isMixed = presence == .both && kinds.a != kinds.b
                    batch.append(
                        cursor.at, of: cursor.names, kind: isMixed ? nil : cursor.kind, asked)
                    if batch.count >= scope.batchSize { flush() }
                }
            }
            if listed.contains(.a) { a.at += 1 }
            if listed.contains(.b) { b.at += 1 }
        }
        flush()
        return items
    }

    /// On which sides the next name in order is listed; nil at the end.
    private func nextPresence() -> Presence? {
        guard a.hasName() else { return b.hasName() ? .b : nil }
        guard b.hasName() else { return .a }
        switch a.names.precedes(a.at, b.names, b.at) {
        case true?: return .a
        case false?: return .b
        case nil: return .both
        }
    }

    /// A name that a side did not list is looked for there all the same when that side's listing
    /// cannot be relied on.
    private func presenceToAsk(_ presence: Presence) -> Presence {
        guard presence != .both else { return presence }
        var asked = presence
        let completeness = directory.completeness
        for side in Side.allCases
        where directory.sides[side] != nil && completeness[side] != .complete {
            asked.insert(Presence.on(side))
        }
        return asked
    }

    private enum Standing {
        case counts, excluded
        /// Not on the way to what is visited.
        case aside
    }

    private func standing(
        _ names: NameList, _ index: Int, _ kind: EntryType?
    ) -> Standing {
        guard mayHoldOthers else { return .counts }
        return names.withBytes(index) { name in
            if isRoot, name.starts(with: reservedPrefix) { return .excluded }
            if let ways, !ways.contains(Array(name)) { return .aside }
            let isExcluded = scope.filter.excludes(
                name, in: parent, isDirectory: kind == .directory)
            return isExcluded ? .excluded : .counts
        }
    }

    /// On which of the sides that list the current name it counts. A rule for directories may leave
    /// out what only one side has one of.
    private func counting(_ listed: Presence) -> Presence {
        guard mayHoldOthers else {
            if listed.contains(.a) { a.seen.combine(a.names, a.at) }
            if listed.contains(.b) { b.seen.combine(b.names, b.at) }
            return listed
        }
        var counting: Presence = []
        let kinds = Sides(
            a: listed.contains(.a) ? a.kind : nil, b: listed.contains(.b) ? b.kind : nil)
        var isExcluded = false
        var earlier: (kind: EntryType?, standing: Standing)?
        for side in Side.allCases where listed.contains(side) {
            let cursor = side == .a ? a : b
            let kind = kinds[side] ?? kinds[side.other]
            let standing =
                if let earlier, earlier.kind == kind {
                    earlier.standing
                } else {
                    standing(cursor.names, cursor.at, kind)
                }
            earlier = (kind, standing)
            switch standing {
            case .counts:
                counting.insert(Presence.on(side))
                cursor.seen.combine(cursor.names, cursor.at)
            case .excluded: isExcluded = true
            case .aside: break
            }
        }
        if isExcluded { excludedCount += 1 }
        return counting
    }

    /// To be called when all that is below it was visited: whether it is what it was when it was
    /// listed. Where it moved, names may have been missed.
    func lookAgain(_ worker: Worker) {
        let known = directory.completeness
        for side in Side.allCases where known[side] == .complete {
            guard let held = directory.sides[side] else { continue }
            worker.pulse.enter(Pulse.Place(side: side, directory: held, names: nil))
            let found = look(at: held, listedBy: side == .a ? a : b, worker)
            // Then it may have been cut short.
            if worker.stop.isRequested { return }
            directory.note(found, on: side)
        }
    }

    private func look(
        at held: any SiteDirectory, listedBy cursor: Cursor, _ worker: Worker
    ) -> Completeness {
        do throws(DiskError) {
            let now = try held.stat()
            if let then = cursor.stat, now.mtime == then.mtime, now.ctime == then.ctime {
                return .complete
            }
            // What is left out may have moved it alone, or a file that took its own name's place,
            // as many programs save. What became of a name was seen when it was visited.
            let listing = held.list(worker)
            var seen = Hasher()
            while true {
                let names = try listing.next(Self.chunkSize)
                if names.isEmpty { break }
                for index in 0..<names.count
                where standing(names, index, names.kinds[index]) == .counts {
                    seen.combine(names, index)
                }
            }
            let isSame = seen.finalize() == cursor.seen.finalize()
            return listing.completeness.and(isSame ? .complete : .changing)
        } catch {
            // It is open, or was closed meanwhile, and is no longer where it was.
            let isGone = error.number == ErrorNumber.noEntry || error.number == ErrorNumber.stale
            return isGone ? .changing : .failed(error)
        }
    }

    /// What is left to do of a subtree when an earlier run came as far as `inner.resume`; nil when
    /// nothing is.
    private func resumeBelow(_ names: NameList, _ index: Int) -> SubtreeScope? {
        guard let resume = inner.resume, let next = resume.first else { return SubtreeScope() }
        let order = names.withBytes(index) { name in
            next.bytes.withUnsafeBufferPointer { bytesPrecede(name, $0) }
        }
        switch order {
        case true?: return nil
        case false?: return SubtreeScope()
        case nil:
            let rest = resume.dropFirst()
            return SubtreeScope(resume: rest.isEmpty ? nil : rest, isReported: false)
        }
    }
}

extension Hasher {
    fileprivate mutating func combine(_ names: NameList, _ index: Int) {
        names.withBytes(index) {
            combine($0.count)
            combine(bytes: UnsafeRawBufferPointer($0))
        }
    }
}

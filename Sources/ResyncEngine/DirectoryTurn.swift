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
    private let a: Cursor
    private let b: Cursor
    private(set) var isDone = false
    private(set) var excludedCount = 0

    /// Items made per turn: enough for every worker, few enough to stay small.
    private static let itemLimit = 64
    private static let chunkSize = 4096

    /// Where one side's listing is.
    private final class Cursor {
        let listing: (any Listing)?
        var names = NameList()
        var at = 0
        var isAtEnd = false
        var failure: DiskError?

        init(_ listing: (any Listing)?) { self.listing = listing }

        /// The kind of the current name.
        var kind: EntryType? { names.kinds[at] }

        /// Whether there is a current name, after fetching more where needed.
        func hasName() -> Bool {
            if at < names.count { return true }
            guard !isAtEnd else { return false }
            at = 0
            do throws(DiskError) {
                names = try listing?.next(DirectoryTurn.chunkSize) ?? NameList()
            } catch {
                failure = error
                names = NameList()
            }
            isAtEnd = names.isEmpty
            return !names.isEmpty
        }

        var completeness: Completeness {
            failure.map { .failed($0) } ?? listing?.completeness ?? .complete
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
        var listings: Sides<(any Listing)?> = Sides(a: nil, b: nil)
        for side in Side.allCases {
            guard let held = directory.sides[side] else { continue }
            worker.pulse.enter(Pulse.Place(side: side, directory: held, names: nil))
            listings[side] = held.list(worker)
        }
        a = Cursor(listings.a)
        b = Cursor(listings.b)
        isRoot = (directory.sides.a ?? directory.sides.b)?.isRoot ?? false
        parent = scope.filter.isEmpty ? [] : directory.path.bytes
        ways = scope.within?.names(in: directory.path)
    }

    var completeness: Sides<Completeness> {
        Sides(a: a.completeness, b: b.completeness)
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
            guard let presence = nextPresence() else {
                isDone = true
                break
            }
            let cursor = presence.contains(.a) ? a : b
            let kinds = (
                a: presence.contains(.a) ? a.kind : nil, b: presence.contains(.b) ? b.kind : nil
            )
            let isDirectory = kinds.a == .directory || kinds.b == .directory
            if accepts(cursor.names, cursor.at, isDirectory: isDirectory),
                let below = resumeBelow(cursor.names, cursor.at)
            {
                if isDirectory {
                    flush()
                    var name = PairedNames()
                    name.append(
                        cursor.at, of: cursor.names, kind: .directory, presenceToAsk(presence))
                    items.append(.directory(name, below))
                } else if below.isReported {
                    let isMixed = presence == .both && kinds.a != kinds.b
                    batch.append(
                        cursor.at, of: cursor.names, kind: isMixed ? nil : cursor.kind,
                        presenceToAsk(presence))
                    if batch.count >= scope.batchSize { flush() }
                }
            }
            if presence.contains(.a) { a.at += 1 }
            if presence.contains(.b) { b.at += 1 }
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
        if directory.sides.a != nil, a.completeness != .complete { asked.insert(.a) }
        if directory.sides.b != nil, b.completeness != .complete { asked.insert(.b) }
        return asked
    }

    private func accepts(_ names: NameList, _ index: Int, isDirectory: Bool) -> Bool {
        names.withBytes(index) { name in
            if isRoot, name.starts(with: reservedPrefix) {
                excludedCount += 1
                return false
            }
            if let ways, !ways.contains(Array(name)) { return false }
            guard !scope.filter.isEmpty else { return true }
            let isExcluded = scope.filter.excludes(name, in: parent, isDirectory: isDirectory)
            if isExcluded { excludedCount += 1 }
            return !isExcluded
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

import ResyncCore
import ResyncStorage

/// A directory in the middle of its listing: merges both sides' names in portions. One worker at a
/// time has the turn.
package final class DirectoryTurn: @unchecked Sendable {
    // Unchecked because a turn is one unit of work, run by one worker and then handed on.
    let directory: PairedDirectory
    private let listings: Sides<(any Listing)?>
    private let inner: SubtreeScope
    private let scope: WalkScope
    private let parent: [UInt8]
    private let isRoot: Bool
    private var chunks = Sides(a: Chunk(), b: Chunk())
    private var failures: Sides<DiskError?> = Sides(a: nil, b: nil)
    private(set) var isDone = false
    private(set) var excludedCount = 0

    /// Items made per turn: enough for every worker, few enough to stay small.
    private static let itemLimit = 64
    private static let chunkSize = 4096

    private struct Chunk {
        var names = NameList()
        var at = 0
        var isAtEnd = false

        var current: Int? { at < names.count ? at : nil }
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
        self.listings = listings
        isRoot = (directory.sides.a ?? directory.sides.b)?.isRoot ?? false
        parent = scope.filter.isEmpty ? [] : directory.path.bytes
    }

    var completeness: Sides<Completeness> {
        var result = listings.map { $0?.completeness ?? .complete }
        for side in Side.allCases {
            if let failure = failures[side] { result[side] = .failed(failure) }
        }
        return result
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
            guard let (side, presence) = nextPresence() else {
                isDone = true
                break
            }
            let names = chunks[side].names
            let index = chunks[side].at
            let kinds = kinds(presence)
            let isDirectory = kinds.a == .directory || kinds.b == .directory
            if accepts(names, index, isDirectory: isDirectory) {
                if isDirectory {
                    if let below = resumeBelow(names, index) {
                        flush()
                        var name = PairedNames()
                        name.append(index, of: names, kind: .directory, presenceToAsk(presence))
                        items.append(.directory(name, below))
                    }
                } else if resumeBelow(names, index)?.isReported == true {
                    let kind = kinds.a == kinds.b ? kinds.a : kinds.a == nil ? kinds.b : nil
                    let isMixed = presence == .both && kinds.a != kinds.b
                    batch.append(
                        index, of: names, kind: isMixed ? nil : kind, presenceToAsk(presence))
                    if batch.count >= scope.batchSize { flush() }
                }
            }
            if presence.contains(.a) { chunks.a.at += 1 }
            if presence.contains(.b) { chunks.b.at += 1 }
        }
        flush()
        return items
    }

    /// Which side has the next name in order, and on which sides it is listed.
    private func nextPresence() -> (Side, Presence)? {
        fill(.a)
        fill(.b)
        guard let a = chunks.a.current else { return chunks.b.current.map { _ in (.b, .b) } }
        guard let b = chunks.b.current else { return (.a, .a) }
        switch chunks.a.names.precedes(a, chunks.b.names, b) {
        case true?: return (.a, .a)
        case false?: return (.b, .b)
        case nil: return (.a, .both)
        }
    }

    private func fill(_ side: Side) {
        guard chunks[side].current == nil, !chunks[side].isAtEnd else { return }
        do throws(DiskError) {
            let names = try listings[side]?.next(Self.chunkSize) ?? NameList()
            chunks[side].names = names
            chunks[side].at = 0
            chunks[side].isAtEnd = names.isEmpty
        } catch {
            failures[side] = error
            chunks[side].names = NameList()
            chunks[side].at = 0
            chunks[side].isAtEnd = true
        }
    }

    private func kinds(_ presence: Presence) -> Sides<EntryType?> {
        Sides(
            a: presence.contains(.a) ? chunks.a.names.kinds[chunks.a.at] : nil,
            b: presence.contains(.b) ? chunks.b.names.kinds[chunks.b.at] : nil)
    }

    /// A name that a side did not list is looked for there all the same when that side's listing
    /// cannot be relied on.
    private func presenceToAsk(_ presence: Presence) -> Presence {
        var asked = presence
        for side in Side.allCases
        where !presence.contains(side) && directory.sides[side] != nil {
            if completeness[side] != .complete { asked.insert(.on(side)) }
        }
        return asked
    }

    private func accepts(_ names: NameList, _ index: Int, isDirectory: Bool) -> Bool {
        names.withBytes(index) { name in
            if isRoot, name.starts(with: reservedPrefix) {
                excludedCount += 1
                return false
            }
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

/// Names at the root of a store that begin so are resync's own.
package let reservedPrefix = Array(".resync".utf8)

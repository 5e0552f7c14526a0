/// One change of one store.
package struct Action: Sendable, Hashable {
    package enum Kind: UInt8, Sendable, CaseIterable {
        /// Put a directory in place, empty and closed to others until it is settled.
        case makeDirectory = 1
        /// Put a whole file in place, with the source's content and metadata.
        case write
        /// Put another name of a file of the same store in place.
        case link
        case symlink
        /// A fifo, socket or device.
        case special
        /// Change mode, owner or times where they are.
        case metadata
        /// Move what is there into the quarantine.
        case remove
        /// Remove an empty directory.
        case removeDirectory
        /// Give a directory, whose entries are in place by now, its mode, owner, times and
        /// attributes.
        case settleDirectory
        /// Overwrite some extents of an image or device.
        case patch
    }

    package var kind: Kind
    /// The target: the side whose store is changed.
    package var side: Side
    package var path: RelativePath
    /// What the target has there, and must still have; nil where there is nothing.
    package var before: ObservedEntry?
    /// What the source has there; nil where there is nothing.
    package var after: ObservedEntry?
    /// Of a link: the name that it is another name of.
    package var linkTo: RelativePath?
    /// Of a patch, in order, not touching.
    package var patches: [Patch] = []
    package var why: Verdict

    package init(_ kind: Kind, on side: Side, _ path: RelativePath, why: Verdict) {
        self.kind = kind
        self.side = side
        self.path = path
        self.why = why
    }

    /// An extent with SHA-256 of its bytes as they are and as they are to be.
    package struct Patch: Sendable, Hashable {
        package var extent: Extent
        package var before: Digest
        package var after: Digest

        package init(extent: Extent, before: Digest, after: Digest) {
            self.extent = extent
            self.before = before
            self.after = after
        }
    }

    /// Bytes that it writes into the target.
    package var bytesWritten: Int {
        switch kind {
        case .write: after?.stat.size ?? 0
        case .patch: patches.reduce(0) { $0 + $1.extent.length }
        default: 0
        }
    }

    /// Whether a directory that was there before gets other metadata than it had.
    package var changesMetadata: Bool {
        guard let before, let after else { return false }
        let (old, new) = (before.stat, after.stat)
        return old.mode != new.mode || old.uid != new.uid || old.gid != new.gid
            || old.mtime != new.mtime || before.entry.xattrs != after.entry.xattrs
            || before.entry.acl != after.entry.acl
    }

    /// What a directory is to be again that only what is done in it moves; nil for anything else.
    package var keptDirectory: ObservedEntry? {
        kind == .settleDirectory && before != nil && !changesMetadata ? after : nil
    }

    /// Bytes that are kept for an undo.
    package var bytesDisplaced: Int {
        switch kind {
        case .write, .link, .symlink, .special, .makeDirectory, .remove:
            before?.type == .file ? before?.stat.size ?? 0 : 0
        case .patch: bytesWritten
        case .metadata, .removeDirectory, .settleDirectory: 0
        }
    }
}

/// How a differing entry came to differ, as far as the baseline can tell.
package enum Verdict: UInt8, Sendable, CaseIterable {
    /// Nothing is known of how the entry was before.
    case unknown = 1
    /// Changed on one side only, its stat with it; a deletion is an edit as well.
    case editedOnA, editedOnB
    /// One side has not what the other one wrote.
    case missedWriteOnA, missedWriteOnB
    /// Gone from a side that had an episode since the baseline.
    case lostOnA, lostOnB
    /// Content changed under an unchanged stat: never taken as right.
    case damageOnA, damageOnB
    /// Changed on both sides.
    case conflict
    case undetermined

    package var word: String {
        switch self {
        case .unknown: "two-way"
        case .editedOnA: "edited on A"
        case .editedOnB: "edited on B"
        case .missedWriteOnA: "missed write on A"
        case .missedWriteOnB: "missed write on B"
        case .lostOnA: "lost on A"
        case .lostOnB: "lost on B"
        case .damageOnA: "damage on A"
        case .damageOnB: "damage on B"
        case .conflict: "conflict"
        case .undetermined: "undetermined"
        }
    }

    /// The side whose copy is right; nil where nobody can say.
    package var winner: Side? {
        switch self {
        case .editedOnA, .missedWriteOnB, .lostOnB, .damageOnB: .a
        case .editedOnB, .missedWriteOnA, .lostOnA, .damageOnA: .b
        case .unknown, .conflict, .undetermined: nil
        }
    }

    package var needsDecision: Bool { self == .conflict || self == .undetermined }
}

private enum Limit {
    static let path = 64 << 20
    static let patches = 1 << 16
}

extension ByteWriter {
    package mutating func action(_ action: Action) {
        byte(action.kind.rawValue)
        byte(action.side.rawValue)
        byte(action.why.rawValue)
        string(action.path.bytes)
        observed(action.before)
        observed(action.after)
        switch action.kind {
        case .link: string(action.linkTo?.bytes ?? [])
        case .patch:
            number(action.patches.count)
            for patch in action.patches {
                number(patch.extent.offset)
                number(patch.extent.length)
                digest(patch.before)
                digest(patch.after)
            }
        default: break
        }
    }
}

extension Action {
    /// Whether it can be meant for a store: an image has blocks only, and what is our own in a
    /// directory is never changed by a plan.
    func fits(_ store: StoreReference) -> Bool {
        guard store.kind == .directory else {
            return kind == .patch && path == .root && patches.last?.extent.end ?? 0 <= store.size
        }
        guard self.kind != .patch, !path.isReserved, linkTo?.isReserved != true else {
            return false
        }
        switch self.kind {
        case .metadata, .settleDirectory: return true
        default: return path != .root
        }
    }
}

extension ByteReader {
    /// Refuses paths that lead elsewhere than into a store.
    package mutating func action() throws(FormatError) -> Action {
        guard let kind = Action.Kind(rawValue: try byte()) else {
            throw FormatError("unknown action", at: at)
        }
        guard let side = Side(rawValue: try byte()), let why = Verdict(rawValue: try byte()) else {
            throw FormatError("unknown side or reason", at: at)
        }
        var action = Action(kind, on: side, try path(limit: Limit.path), why: why)
        action.before = try observed()
        action.after = try observed()
        switch kind {
        case .link: action.linkTo = try path(limit: Limit.path)
        case .patch: action.patches = try patches()
        default: break
        }
        return action
    }

    private mutating func patches() throws(FormatError) -> [Action.Patch] {
        var patches: [Action.Patch] = []
        var end = 0
        for _ in 0..<(try int(limit: Limit.patches)) {
            let extent = Extent(offset: try int(), length: try int())
            guard extent.offset >= end, extent.length > 0,
                !extent.offset.addingReportingOverflow(extent.length).overflow
            else { throw FormatError("extents out of order", at: at) }
            end = extent.end
            patches.append(
                Action.Patch(extent: extent, before: try digest(), after: try digest()))
        }
        return patches
    }
}

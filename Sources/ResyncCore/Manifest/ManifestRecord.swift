/// One line of a manifest, in walk order: an entry, or the end of a directory begun before.
package enum ManifestRecord: Sendable, Hashable {
    /// A directory's own entry begins it: what follows is in it until its end.
    case entry(ManifestEntry)
    case end(DirectoryEnd)
}

/// One name with all that a manifest says of it.
package struct ManifestEntry: Sendable, Hashable {
    /// Empty for the store's root, and for an image.
    package var name: Name
    /// Nil where it could not even be described. Its `mount` and `allocated` are not kept.
    package var entry: Entry?
    /// Why this is not known to be how the entry is; nil when it is.
    package var doubt: Doubt?
    /// Whether its times lie so close to its reading that an unchanged stat proves nothing.
    package var isRacy = false
    /// Of a regular file or an image that was read.
    package var content: FileContent?
    /// The first name, in walk order, of the same object; nil for that name itself.
    package var linkedTo: RelativePath?
    /// Of a directory: whether what follows is all it holds.
    package var listing = ListingState.complete

    package init(name: Name, entry: Entry?) {
        self.name = name
        self.entry = entry
    }

    package var type: EntryType? { entry?.stat.type }
    package var isDirectory: Bool { type == .directory }
}

/// What makes an entry equal to nothing.
package struct Doubt: Sendable, Hashable {
    /// `unstable`, `unreadable` or `notVerified`.
    package var outcome: Outcome
    package var reason: Reason?
    /// Of side A, whatever side it turns up on later.
    package var errors: [EntryError]

    package init(_ outcome: Outcome, _ reason: Reason? = nil, errors: [EntryError] = []) {
        self.outcome = outcome
        self.reason = reason
        self.errors = errors
    }
}

/// The bytes of a file, by their digests.
package struct FileContent: Sendable, Hashable {
    /// Empty in a list that other tools made. `Digest.zero` stands for an unreadable block.
    package var blocks: BlockList
    /// The tree over the blocks; not kept, since it follows from them.
    package var digest: Digest
    /// SHA-256 of all bytes.
    package var whole: Digest?

    package init(blocks: BlockList, digest: Digest, whole: Digest? = nil) {
        self.blocks = blocks
        self.digest = digest
        self.whole = whole
    }
}

/// Whether a directory's listing holds every name it had at one moment.
package enum ListingState: Sendable, Hashable {
    case complete
    /// It was changed while it was read, each time it was tried.
    case changing
    /// A name came twice, or there was no end.
    case broken
    /// Another file system, not to be entered.
    case mount
    /// Where one ought to be mounted.
    case unmounted
    /// The number is an errno.
    case failed(call: [UInt8], number: Int32)

    /// What two looks at one listing say together: the worse of both.
    package func and(_ other: ListingState) -> ListingState {
        self == .complete || (self == .changing && other != .complete) ? other : self
    }

    package var reason: Reason? {
        switch self {
        case .complete: nil
        case .changing: .changing
        case .mount: .mount
        case .unmounted: .unmounted
        case .broken, .failed: .brokenDirectory
        }
    }
}

package struct DirectoryEnd: Sendable, Hashable {
    /// As known at the end: what the directory's own record says may have been too good.
    package var listing: ListingState
    /// Names directly in it.
    package var entries: Int
    /// Names left out by rules of the operator, and resync's own.
    package var excluded: Int
    /// Over all below it; nil where any of that is in doubt.
    package var digest: Digest?

    package init(
        listing: ListingState, entries: Int = 0, excluded: Int = 0, digest: Digest? = nil
    ) {
        self.listing = listing
        self.entries = entries
        self.excluded = excluded
        self.digest = digest
    }
}

/// The path of the directory a stream of records is in.
struct DirectoryPath {
    private(set) var bytes: [UInt8]
    /// Lengths of the paths above, where they are known.
    private(set) var depth = 0

    init(_ path: [UInt8] = []) { bytes = path }

    /// Entering the root, whose name is empty, stays where it is.
    mutating func enter(_ name: Name) {
        if !bytes.isEmpty { bytes.append(slash) }
        bytes.append(contentsOf: name.bytes)
        depth += 1
    }

    mutating func leave() {
        depth -= 1
        if let cut = bytes.lastIndex(of: slash) {
            bytes.removeSubrange(cut...)
        } else {
            bytes.removeAll(keepingCapacity: true)
        }
    }

    func path(of name: Name) -> RelativePath { RelativePath(bytes).appending(name) }
}

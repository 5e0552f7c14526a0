package import ResyncCore

/// Turns the ordered outputs of a scan into a manifest's records. For one thread at a time: the
/// `emit` of a drain.
///
/// A scan that goes on where another was stopped lists the directories anew that were open then. Of
/// what both attempts say of a listing the worse stands.
package struct ScanRecords {
    /// The entry of a directory that waits for its listing.
    private var begun: ManifestEntry?
    private var path: [Level] = []
    private var links = LinkNames()
    package private(set) var bytesRead = 0
    /// How many of the directories that were open at a stop have been entered again; nil when that
    /// is settled.
    private var reentered: Int?
    /// Depth below a directory that had ended before the stop, and is passed through again.
    private var foreignDepth = 0

    private struct Level {
        var path: RelativePath
        var last: Name?
        var isBroken = false
        /// As its record has it.
        var listing: ListingState
        var directory: PairedDirectory?
    }

    package init() {}

    /// Whether the root has ended.
    package private(set) var isComplete = false

    /// The last entry that was taken; nil before the first.
    package private(set) var through: RelativePath?

    /// The directories that have not ended, from the root down; nil for those that are not entered
    /// again yet.
    var directories: [PairedDirectory?] { path.map { $0.directory } }

    package mutating func take(
        _ output: ScanOutput, _ record: (ManifestRecord) throws -> Void
    ) throws {
        bytesRead += output.bytesRead
        for item in output.items {
            if foreignDepth > 0 {
                passForeign(item)
                continue
            }
            if case .listing(let listing, let directory) = item {
                try take(listing, directory, record)
                continue
            }
            try settleReentering(record)
            switch item {
            case .begin(let entry): begun = entry
            case .listing: preconditionFailure("a listing is taken above")
            case .entry(var entry):
                guard let at = place(entry) else { continue }
                links.name(&entry, at: at)
                try record(.entry(entry))
                if path.isEmpty { isComplete = true }
            case .end(let listing, let excluded):
                try end(listing, excluded, record)
            }
        }
    }

    private mutating func take(
        _ listing: ListingState, _ directory: PairedDirectory?,
        _ record: (ManifestRecord) throws -> Void
    ) throws {
        if var entry = begun {
            begun = nil
            entry.listing = listing
            let at = place(entry) ?? .root
            try record(.entry(entry))
            path.append(Level(path: at, listing: listing, directory: directory))
        } else if let level = reentered, level < path.count {
            path[level].directory = directory
            reentered = level + 1
        } else {
            foreignDepth = 1
        }
    }

    private mutating func end(
        _ listing: ListingState, _ excluded: Int, _ record: (ManifestRecord) throws -> Void
    ) throws {
        let level = path.removeLast()
        var state = level.listing.and(listing)
        if state == .complete, level.isBroken { state = .broken }
        try record(.end(DirectoryEnd(listing: state, excluded: excluded)))
        isComplete = path.isEmpty
    }

    /// The path of the next entry; nil for a name that its directory gave before, which only a
    /// broken file system does.
    private mutating func place(_ entry: ManifestEntry) -> RelativePath? {
        guard !path.isEmpty else {
            through = .root
            return .root
        }
        let level = path.count - 1
        if let last = path[level].last, last == entry.name, !entry.isDirectory {
            path[level].isBroken = true
            return nil
        }
        path[level].last = entry.name
        let at = path[level].path.appending(entry.name)
        through = at
        return at
    }

    // MARK: Going on after a stop

    /// Takes back a record that was written before the stop, in order.
    mutating func restore(_ record: ManifestRecord) {
        switch record {
        case .entry(var entry):
            guard let at = place(entry) else { return }
            if entry.isDirectory {
                path.append(Level(path: at, listing: entry.listing))
            } else {
                links.name(&entry, at: at)
            }
        case .end: path.removeLast()
        }
        reentered = path.isEmpty ? nil : 0
        isComplete = path.isEmpty
    }

    /// What was open at the stop and is not found again ends as it is known: not to its end.
    private mutating func settleReentering(
        _ record: (ManifestRecord) throws -> Void
    ) throws {
        guard let found = reentered else { return }
        reentered = nil
        while path.count > found { try end(.changing, 0, record) }
    }

    /// What its end says stands, also where it could not be entered before and can be now.
    private mutating func passForeign(_ item: ScanOutput.Item) {
        switch item {
        case .listing: foreignDepth += 1
        case .end: foreignDepth -= 1
        case .begin, .entry: break
        }
    }
}

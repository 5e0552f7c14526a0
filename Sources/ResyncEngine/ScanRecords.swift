package import ResyncCore

/// Turns the ordered outputs of a scan into a manifest's records. For one thread at a time: the
/// `emit` of a drain.
package struct ScanRecords {
    /// The entry of a directory that waits for its listing.
    private var begun: ManifestEntry?
    private var path: [Level] = []
    private var links = LinkNames()
    package private(set) var bytesRead = 0

    private struct Level {
        var path: RelativePath
        var last: Name?
        var isBroken = false
    }

    package init() {}

    /// Whether the root has ended.
    package private(set) var isComplete = false

    package mutating func take(
        _ output: ScanOutput, _ record: (ManifestRecord) throws -> Void
    ) throws {
        bytesRead += output.bytesRead
        for item in output.items {
            switch item {
            case .begin(let entry): begun = entry
            case .listing(let listing):
                guard var entry = begun else { preconditionFailure("a listing of nothing") }
                begun = nil
                entry.listing = listing
                let at = place(entry) ?? .root
                try record(.entry(entry))
                path.append(Level(path: at))
            case .entry(var entry):
                guard let at = place(entry) else { continue }
                links.name(&entry, at: at)
                try record(.entry(entry))
                if path.isEmpty { isComplete = true }
            case .end(let listing, let excluded):
                let level = path.removeLast()
                let state = level.isBroken && listing == .complete ? .broken : listing
                try record(.end(DirectoryEnd(listing: state, excluded: excluded)))
                isComplete = path.isEmpty
            }
        }
    }

    /// The path of the next entry; nil for a name that its directory gave before, which only a
    /// broken file system does.
    private mutating func place(_ entry: ManifestEntry) -> RelativePath? {
        guard !path.isEmpty else { return .root }
        let level = path.count - 1
        if let last = path[level].last, last == entry.name, !entry.isDirectory {
            path[level].isBroken = true
            return nil
        }
        path[level].last = entry.name
        return path[level].path.appending(entry.name)
    }
}

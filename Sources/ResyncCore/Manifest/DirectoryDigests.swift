/// How Core comes by the hash functions of a manifest.
package struct ManifestHashes<Hash: HashFunction>: Sendable {
    package let make: @Sendable (DigestAlgorithm) -> Hash

    /// - Parameter make: called with `sha256` or `sha512-256` only.
    package init(_ make: @escaping @Sendable (DigestAlgorithm) -> Hash) { self.make = make }
}

/// Computes the digests of directories, and so of the store, from records in walk order.
///
/// A directory's digest is over the domain byte, the aspects, its own metadata, and each entry in
/// order: only what the aspects name, so that neither inode, ctime nor host can change it. What is
/// in doubt has no digest, and no directory above it has one.
package struct DirectoryDigests<Hash: HashFunction> {
    private let header: ManifestHeader
    private let hashes: ManifestHashes<Hash>
    private var open: [Level] = []
    /// Contexts of directories that have ended.
    private var spare: [Hash] = []
    /// Of the store, once its root has ended.
    package private(set) var root: Digest?

    private struct Level {
        var hash: Hash
        var name: Name
        var entries = 0
        var isKnown: Bool
    }

    package init(_ header: ManifestHeader, _ hashes: ManifestHashes<Hash>) {
        self.header = header
        self.hashes = hashes
    }

    package mutating func add(_ entry: ManifestEntry) {
        if entry.isDirectory {
            begin(entry)
        } else if open.isEmpty {
            root = entry.doubt == nil ? entry.content?.digest : nil
        } else {
            var writer = ByteWriter()
            writer.string(entry.name.bytes)
            writer.byte(entry.type?.rawValue ?? RecordKind.unknownType)
            writer.metadata(entry, header, isRoot: false)
            child(writer.bytes, isKnown: entry.doubt == nil)
        }
    }

    private mutating func begin(_ entry: ManifestEntry) {
        var level = Level(
            hash: spare.popLast() ?? hashes.make(header.digest), name: entry.name,
            isKnown: entry.doubt == nil && entry.listing == .complete)
        var writer = ByteWriter()
        writer.byte(TreeDomain.directory)
        writer.number(UInt64(header.aspects.rawValue))
        writer.byte(header.owners == .number ? 0 : 1)
        writer.metadata(entry, header, isRoot: open.isEmpty)
        level.hash.update(writer.bytes)
        open.append(level)
    }

    private mutating func child(_ bytes: [UInt8], isKnown: Bool) {
        let last = open.count - 1
        open[last].hash.update(bytes)
        open[last].entries += 1
        if !isKnown { open[last].isKnown = false }
    }

    /// Ends the directory begun last.
    ///
    /// - Precondition: one is open.
    package mutating func end(_ listing: ListingState) -> (digest: Digest?, entries: Int) {
        var level = open.removeLast()
        let isKnown = level.isKnown && listing == .complete
        let computed = level.hash.finalize()
        spare.append(level.hash)
        if open.isEmpty {
            root = isKnown ? computed : nil
        } else {
            var writer = ByteWriter()
            writer.string(level.name.bytes)
            writer.byte(EntryType.directory.rawValue)
            writer.digest(computed)
            child(writer.bytes, isKnown: isKnown)
        }
        return (isKnown ? computed : nil, level.entries)
    }

    package var depth: Int { open.count }
}

extension ByteWriter {
    /// What the aspects name of an entry, in the order of their declaration.
    fileprivate mutating func metadata(
        _ entry: ManifestEntry, _ header: ManifestHeader, isRoot: Bool
    ) {
        guard let known = entry.entry else { return }
        let stat = known.stat
        let aspects = header.aspects
        if stat.type == .file {
            if aspects.contains(.size) { number(stat.size) }
            if aspects.contains(.content), let content = entry.content {
                digest(header.content == .whole ? content.whole ?? .zero : content.digest)
            }
        }
        if aspects.contains(.target), stat.type == .symlink { string(known.target ?? []) }
        if aspects.contains(.mode), stat.type != .symlink { number(UInt64(stat.mode)) }
        if aspects.contains(.owner) { owner(known, header.owners) }
        // Our own marker moves the root's time.
        if aspects.contains(.mtime), !isRoot { time(stat.mtime) }
        if aspects.contains(.links), stat.type != .directory {
            string(entry.linkedTo?.bytes ?? [])
        }
        if aspects.contains(.xattrs) { digest(known.xattrs ?? .zero) }
        if aspects.contains(.acl) { digest(known.acl ?? .zero) }
        if aspects.contains(.device), stat.type.isDevice {
            number(UInt64(stat.special.major))
            number(UInt64(stat.special.minor))
        }
    }

    private mutating func owner(_ entry: Entry, _ rule: OwnerRule) {
        switch rule {
        case .number:
            number(UInt64(entry.stat.uid))
            number(UInt64(entry.stat.gid))
        case .name:
            string(entry.owner?.user ?? [])
            string(entry.owner?.group ?? [])
        }
    }
}

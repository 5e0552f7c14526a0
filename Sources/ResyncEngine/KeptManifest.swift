package import ResyncCore
package import ResyncStorage

/// The digests that an earlier run kept of a store.
package final class KeptManifest: Sendable {
    package let header: ManifestHeader
    private let file: InputFile

    /// - Throws: `FormatError` where it is damaged, cut, or not a manifest.
    package init(_ file: InputFile) throws {
        self.file = file
        header = try Self.lookup(file).header
    }

    private static func lookup(_ file: InputFile) throws -> ManifestLookup<EVPHash> {
        try ManifestLookup(.openSSL, size: file.size) { try file.read(at: $0, count: $1) }
    }

    /// The digests of a file's blocks, where it is still what it was when they were taken: the same
    /// object with the same size, mtime and ctime, not read so soon after a change that another
    /// could hide behind the same times.
    func content(
        _ path: RelativePath, _ stat: Stat, _ worker: Worker, _ side: Side
    ) throws -> ContentAnswer? {
        if worker.lookups[side] == nil { worker.lookups[side] = try Self.lookup(file) }
        guard let entry = try worker.lookups[side]?.entry(path), entry.doubt == nil,
            !entry.isRacy, let content = entry.content, let kept = entry.entry?.stat,
            kept.size == stat.size, kept.mtime == stat.mtime, kept.ctime == stat.ctime,
            kept.inode == stat.inode, kept.type == stat.type
        else { return nil }
        var answer = ContentAnswer()
        answer.blocks = content.blocks
        return answer
    }

    /// Why these digests cannot stand for a reading under these rules; nil when they can.
    package func refusal(_ scheme: DigestScheme) -> String? {
        if header.content != .blocks { return "it has no block digests" }
        if header.digest != scheme.algorithm {
            return "its digests are \(header.digest.rawValue), not \(scheme.algorithm.rawValue)"
        }
        if header.blockSize != scheme.blockSize {
            return "its blocks have \(header.blockSize) bytes, not \(scheme.blockSize)"
        }
        if !header.aspects.contains(.content) { return "it has no content digests" }
        return nil
    }
}

/// The manifests kept of stores: one each, found by the store's identity.
package struct KeptManifests: Sendable {
    private let folder: Folder

    package init(_ folder: Folder) { self.folder = folder }

    private func name(_ identity: StoreIdentity) -> [UInt8] {
        let device = "\(identity.device.major)-\(identity.device.minor)"
        return Array(
            "\(String(identity.fileSystem, radix: 16))-\(identity.inode)-\(device)".utf8)
    }

    /// What was kept of a store; nil where nothing was.
    package func find(_ identity: StoreIdentity) throws -> KeptManifest? {
        do {
            return try KeptManifest(try folder.read(name(identity)))
        } catch let error as DiskError where error.number == ErrorNumber.noEntry {
            return nil
        }
    }

    /// Puts the manifest of a run that has come to its end in the place of the one before.
    func keep(_ name: [UInt8], from folder: Folder, of identity: StoreIdentity) throws {
        try folder.move(name, to: self.folder, as: self.name(identity))
    }
}

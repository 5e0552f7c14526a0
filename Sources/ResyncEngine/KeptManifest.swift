package import ResyncCore
package import ResyncStorage

/// The digests that an earlier run kept of a store.
package final class KeptManifest: Sendable {
    package var header: ManifestHeader { portions.header }
    private let portions: ManifestPortions

    /// - Throws: `FormatError` where it is damaged, cut, or not a manifest.
    package init(_ file: InputFile) throws { portions = try ManifestPortions(file) }

    /// For each name of a directory the digests of its blocks, where it is still what it was when
    /// they were taken: the same object with the same size, mtime and ctime, not read so soon after
    /// a change that another could hide behind the same times.
    ///
    /// - Parameter names: in byte order.
    func contents(
        _ names: NameList, in directory: RelativePath, _ described: any Examination
    ) throws -> [BlockList?] {
        var found = [BlockList?](repeating: nil, count: names.count)
        var number: Int?
        var entries: ManifestPortion.Names?
        for index in 0..<names.count {
            guard let stat = described[index].entry?.stat, stat.type == .file else { continue }
            func look() -> BlockList? {
                names.withBytes(index) { name in
                    entries?.withEntry(name) { $0.content(unlessMovedFrom: stat) }
                }
            }
            found[index] = look()
            guard entries?.isAtEnd ?? true else { continue }
            // Behind what the portion has of the directory: perhaps in another.
            let path = directory.appending(names.name(index))
            guard let next = try portions.portion(holding: path), next.number != number else {
                continue
            }
            number = next.number
            entries = next.portion.directory(directory)
            found[index] = look()
        }
        return found
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

extension ManifestEntry {
    /// The digests of its blocks, if the file is the same as it was when they were taken. On a file
    /// system that is mounted inside of the store, only its device tells it from a copy.
    fileprivate borrowing func content(unlessMovedFrom stat: Stat) -> BlockList? {
        guard doubt == nil, !isRacy, let kept = entry?.stat, stat.isUnchanged(since: kept),
            stat.device == kept.device
        else { return nil }
        return content?.blocks
    }
}

/// The manifests kept of stores: one each, found by the store's identity.
package struct KeptManifests: Sendable {
    private let folder: Folder

    package init(_ folder: Folder) { self.folder = folder }

    /// What was kept of a store; nil where nothing was.
    package func find(_ identity: StoreIdentity) throws -> KeptManifest? {
        do {
            return try KeptManifest(try folder.read(identity.fileName))
        } catch let error as DiskError where error.number == ErrorNumber.noEntry {
            return nil
        }
    }

    /// Puts the manifest of a run that has come to its end in the place of the one before.
    func keep(_ name: [UInt8], from folder: Folder, of identity: StoreIdentity) throws {
        try folder.move(name, to: self.folder, as: identity.fileName)
    }
}

extension StoreIdentity {
    /// Under which name something is kept of a store. Its device's number is part of it, though
    /// that may be another one after a reboot: nothing else tells a store from one whose device was
    /// made as a copy of its own, down to inodes and times.
    var fileName: [UInt8] {
        Array("\(String(fileSystem, radix: 16))-\(inode)-\(device.major)-\(device.minor)".utf8)
    }
}

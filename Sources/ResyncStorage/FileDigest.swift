import ResyncCore

/// The digest of an open file, as a manifest has it, and where it was read from; nil where it
/// moved.
///
/// - Throws: `DiskError` where a block cannot be read.
func fileDigest(
    _ site: LocalSite, _ descriptor: Descriptor, _ stat: Stat, source: ReadSource,
    _ worker: Worker
) throws -> (digest: Digest, source: ReadSource)? {
    let blockSize = worker.digester.blockSize
    let medium = MediumAccess()
    func answer(_ source: ReadSource) throws -> ContentAnswer {
        var reader = ContentReader(
            site: site, descriptor: descriptor, stat: stat, medium: medium, worker: worker)
        return try reader.digest(
            ContentRequest(
                index: 0, blocks: 0..<blockCount(stat.size, blockSize), source: source))
    }
    var found = try answer(source)
    var used = source
    if found.state == .noMedium {
        used = .cache
        found = try answer(.cache)
    }
    if let block = found.unreadable.first { throw block.error }
    guard found.isWhole else { return nil }
    var tree = BlockTree(ManifestHashes.openSSL.make(.sha256))
    return (tree.fileDigest(found.blocks, size: stat.size, blockSize: blockSize), used)
}

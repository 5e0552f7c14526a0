extension ManifestEntry {
    /// Refuses what no scan writes, and computes the digest over the blocks.
    ///
    /// An entry without doubt must hold all that the header's aspects name: or nothing would say
    /// that it was not compared.
    mutating func complete<Hash: HashFunction>(
        _ header: ManifestHeader, _ tree: inout BlockTree<Hash>
    ) throws(FormatError) {
        try checkName(header)
        if doubt == nil { try checkWhole(header) }
        try completeContent(header, &tree)
    }

    private func checkName(_ header: ManifestHeader) throws(FormatError) {
        let found = entry?.stat.type
        let root: EntryType = header.isImage ? .file : .directory
        if name.bytes.isEmpty, found != root { throw FormatError("a root that is no root") }
        guard let first = linkedTo else { return }
        let isPossible = first != .root && first.isValid
        if found == .directory || !isPossible { throw FormatError("a link to what cannot be") }
    }

    private func checkWhole(_ header: ManifestHeader) throws(FormatError) {
        guard let entry else { throw FormatError("an entry that nothing is said of") }
        var missing: AspectSet = []
        if entry.xattrs == nil { missing.insert(.xattrs) }
        if entry.acl == nil { missing.insert(.acl) }
        if entry.stat.type == .symlink, entry.target == nil { missing.insert(.target) }
        if header.owners == .name, entry.owner == nil { missing.insert(.owner) }
        if entry.stat.type == .file, content == nil { missing.insert(.content) }
        guard missing.isDisjoint(with: header.aspects) else {
            throw FormatError("an entry without what its aspects name")
        }
        if let content, header.hasWholeFile, content.whole == nil {
            throw FormatError("a file without its whole digest")
        }
    }

    private mutating func completeContent<Hash: HashFunction>(
        _ header: ManifestHeader, _ tree: inout BlockTree<Hash>
    ) throws(FormatError) {
        try checkBlocks(header)
        guard var content, let stat = entry?.stat else { return }
        content.digest =
            header.content == .whole
            ? content.whole ?? .zero
            : tree.fileDigest(content.blocks, size: stat.size, blockSize: header.blockSize)
        self.content = content
    }

    /// Refuses digests that are not those of a file of this size.
    func checkBlocks(_ header: ManifestHeader) throws(FormatError) {
        guard let content, let stat = entry?.stat else { return }
        guard stat.type == .file else { throw FormatError("content of what is no file") }
        if content.whole != nil, !header.hasWholeFile {
            throw FormatError("a whole digest that the header does not know")
        }
        if header.content == .whole {
            guard content.blocks.blockCount == 0 else {
                throw FormatError("blocks in a list of whole files")
            }
        } else {
            guard content.blocks.blockCount == blockCount(stat.size, header.blockSize) else {
                throw FormatError("blocks that do not make up the size")
            }
            guard doubt != nil || !content.blocks.contains(.zero) else {
                throw FormatError("an unread block without a reason")
            }
        }
    }
}

extension ManifestEntry {
    /// Refuses what no scan writes, and computes the digest over the blocks.
    ///
    /// An entry without doubt must hold all that the header's aspects name: or nothing would say
    /// that it was not compared.
    mutating func complete<Hash: HashFunction>(
        _ header: ManifestHeader, _ tree: inout BlockTree<Hash>
    ) throws(FormatError) {
        if name.bytes.isEmpty {
            guard type == (header.isImage ? .file : .directory) else {
                throw FormatError("a root that is no root")
            }
        }
        if let linkedTo {
            guard !isDirectory, linkedTo.components.allSatisfy({ $0.isValid }),
                !linkedTo.bytes.isEmpty
            else { throw FormatError("a link to what cannot be") }
        }
        if doubt == nil { try checkWhole(header) }
        try completeContent(header, &tree)
    }

    private func checkWhole(_ header: ManifestHeader) throws(FormatError) {
        guard let entry else { throw FormatError("an entry that nothing is said of") }
        let aspects = header.aspects
        let hasAll =
            (!aspects.contains(.xattrs) || entry.xattrs != nil)
            && (!aspects.contains(.acl) || entry.acl != nil)
            && (!aspects.contains(.target) || entry.stat.type != .symlink || entry.target != nil)
            && (!aspects.contains(.owner) || header.owners == .number || entry.owner != nil)
            && (!aspects.contains(.content) || entry.stat.type != .file || content != nil)
        guard hasAll else { throw FormatError("an entry without what its aspects name") }
        if let content, header.hasWholeFile, content.whole == nil {
            throw FormatError("a file without its whole digest")
        }
    }

    private mutating func completeContent<Hash: HashFunction>(
        _ header: ManifestHeader, _ tree: inout BlockTree<Hash>
    ) throws(FormatError) {
        guard var content, let stat = entry?.stat else { return }
        guard stat.type == .file else { throw FormatError("content of what is no file") }
        if content.whole != nil, !header.hasWholeFile {
            throw FormatError("a whole digest that the header does not know")
        }
        if header.content == .whole {
            guard content.blocks.blockCount == 0 else {
                throw FormatError("blocks in a list of whole files")
            }
            content.digest = content.whole ?? .zero
        } else {
            let (size, blockSize) = (stat.size, header.blockSize)
            let count = size / blockSize + (size % blockSize > 0 ? 1 : 0)
            guard content.blocks.blockCount == count else {
                throw FormatError("blocks that do not make up the size")
            }
            let isUnread = content.blocks.runs.contains { $0.digest == .zero }
            guard !isUnread || doubt != nil else {
                throw FormatError("an unread block without a reason")
            }
            content.digest = tree.fileDigest(content.blocks, size: size, blockSize: blockSize)
        }
        self.content = content
    }
}

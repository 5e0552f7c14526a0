package import ResyncCore

/// Digests parts of files that are no whole blocks.
package struct PartReading: Sendable {
    private let site: any Site
    private let scheme: DigestScheme
    private let source: ReadSource

    /// - Parameter source: from where it reads; where that cannot be had nothing is digested.
    package init(_ site: any Site, _ scheme: DigestScheme, _ source: ReadSource) {
        self.site = site
        self.scheme = scheme
        self.source = source
    }

    /// The digest of one range of a file, as if it were a block of it; nil where it is not the
    /// file that was seen, or cannot be read.
    ///
    /// - Precondition: the range begins at a multiple of 4096.
    package func digest(
        _ range: Range<Int>, of path: RelativePath, seen: Stat
    ) throws -> Digest? {
        let worker = try Worker(scheme: scheme, pulse: Pulse(), stop: Stop())
        guard let file = try open(path, worker) else { return nil }
        defer { file.close() }
        guard let now = file[0].entry?.stat, file[0].failure == nil, now.isUnchanged(since: seen),
            source == .cache || file.bypassCache(0)
        else { return nil }
        try worker.digester.begin()
        var at = range.lowerBound
        while at < range.upperBound {
            let wanted = min(worker.piece.count, range.upperBound - at)
            // What is read directly ends where a page does.
            let count = try file.read(0, at: at, into: worker.piece, worker)
            guard count >= wanted else { return nil }
            try worker.digester.update(
                UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(worker.piece)[..<wanted]))
            at += wanted
        }
        let digest = try worker.digester.finish()
        return file.isUnchanged(0) ? digest : nil
    }

    private func open(_ path: RelativePath, _ worker: Worker) throws -> (any Examination)? {
        var directory = try site.root()
        for component in path.components.dropLast() {
            var name = NameList()
            name.append(component, kind: .directory)
            guard let next = directory.open(name, 0, worker).directory else { return nil }
            directory = next
        }
        var name = NameList()
        name.append(path.lastName, kind: .file)
        return directory.examine(name, [.open], worker)
    }
}

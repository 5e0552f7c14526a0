import ResyncCore

/// One thread's way of copying from a store on this machine.
final class LocalSource: StoreSource {
    let site: LocalSite
    let chain: DirectoryChain

    init(_ site: LocalSite, root: Descriptor) {
        self.site = site
        chain = DirectoryChain(site.disk, root: root)
    }

    func open(
        _ path: RelativePath, as seen: ObservedEntry
    ) throws(DiskError) -> (any SourceEntry)? {
        do throws(DiskError) {
            guard !path.bytes.isEmpty else {
                return try entry(chain.open(.root), nil, seen)
            }
            let parent = try chain.open(path.parent)
            return try withCString(path.lastName.bytes) { (name) throws(DiskError) in
                let stat = try site.disk.stat(name, in: parent)
                guard isStill(stat, seen) else { return nil }
                guard stat.type == .file || stat.type == .directory else {
                    return LocalSourceEntry(site, parent, name: path.lastName, stat)
                }
                let flags: OpenFlags =
                    stat.type == .directory
                    ? [.readOnly, .directory, .noFollow, .nonBlocking]
                    : [.readOnly, .noFollow, .nonBlocking]
                let descriptor = try site.disk.openQuietly(name, in: parent, flags)
                return try entry(descriptor, descriptor, seen)
            }
        } catch {
            // Gone, or in a directory that is gone or is a symlink by now.
            guard error.isAbsence else { throw error }
            return nil
        }
    }

    /// A directory's times move with its entries; what it is given is its metadata.
    private func isStill(_ now: Stat, _ seen: ObservedEntry) -> Bool {
        now.type == .directory ? seen.isStill(now) : now.isUnchanged(since: seen.stat)
    }

    /// - Parameter owned: to be closed with the entry.
    private func entry(
        _ descriptor: Descriptor, _ owned: Descriptor?, _ seen: ObservedEntry
    ) throws(DiskError) -> LocalSourceEntry? {
        do throws(DiskError) {
            let stat = try site.disk.stat(descriptor)
            if isStill(stat, seen) {
                return LocalSourceEntry(site, descriptor, name: nil, stat, owned: owned)
            }
        } catch {
            if let owned { site.disk.close(owned) }
            throw error
        }
        if let owned { site.disk.close(owned) }
        return nil
    }
}

/// An open entry, or a name in a directory for what is never opened.
private final class LocalSourceEntry: SourceEntry {
    private let site: LocalSite
    private let descriptor: Descriptor
    private let name: Name?
    private let stat: Stat
    private let owned: Descriptor?

    init(
        _ site: LocalSite, _ descriptor: Descriptor, name: Name?, _ stat: Stat,
        owned: Descriptor? = nil
    ) {
        self.site = site
        self.descriptor = descriptor
        self.name = name
        self.stat = stat
        self.owned = owned
    }

    deinit { if let owned { site.disk.close(owned) } }

    func attributes() throws(DiskError) -> [Attribute] {
        guard let name else { return try site.disk.allAttributes(of: nil, descriptor) }
        return try withCString(name.bytes) { (name) throws(DiskError) in
            try site.disk.allAttributes(of: name, descriptor)
        }
    }

    func read(
        at offset: Int, into buffer: UnsafeMutableRawBufferPointer, _ worker: Worker
    ) throws(DiskError) -> Int {
        site.options.readLimit?.wait(for: buffer.count, worker: worker)
        defer { worker.pulse.step() }
        return try site.disk.readFully(descriptor, into: buffer, at: offset, .passing)
    }

    func nextData(from offset: Int) -> Range<Int> {
        site.nextData(descriptor, stat, from: offset)
    }

    var isUnchanged: Bool {
        guard name == nil else { return true }
        guard let now = try? site.disk.stat(descriptor) else { return false }
        return stat.type == .directory || now.isUnchanged(since: stat)
    }
}

extension LocalSite {
    /// The next data of a file at or after an offset: all the rest where its file system does not
    /// tell holes, empty where only a hole is left.
    func nextData(_ descriptor: Descriptor, _ stat: Stat, from offset: Int) -> Range<Int> {
        let size = stat.size
        guard tellsHoles(descriptor, stat) else { return offset..<max(offset, size) }
        do throws(DiskError) {
            guard let start = try disk.nextData(descriptor, from: offset), start < size else {
                return size..<size
            }
            return start..<max(start, min(size, try disk.nextHole(descriptor, from: start)))
        } catch {
            return offset..<max(offset, size)
        }
    }
}

extension Disk {
    /// Sorted by name; none where the file system has no attributes.
    func allAttributes(
        of name: UnsafePointer<CChar>?, _ descriptor: Descriptor
    ) throws(DiskError) -> [Attribute] {
        var names: [[UInt8]] = []
        do throws(DiskError) {
            names = try attributeNames(name, descriptor)
        } catch {
            guard error.number == ErrorNumber.notSupported else { throw error }
        }
        names.sort { $0.lexicographicallyPrecedes($1) }
        var attributes: [Attribute] = []
        for each in names {
            do throws(DiskError) {
                let value = try attribute(each, of: name, descriptor)
                attributes.append(Attribute(name: each, value: value))
            } catch {
                // Removed since it was listed: then it is not there.
                guard error.number == ErrorNumber.noData else { throw error }
            }
        }
        return attributes
    }
}

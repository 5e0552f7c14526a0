package import ResyncCore

/// How two stores can be one.
package enum StoreOverlap: Sendable {
    case same
    /// The side that lies inside the other.
    case inside(Side)
}

/// Whether two stores overlap, told by the identity of their roots and of what lies above these,
/// and by what the kernel says of their places, so that neither links and bind mounts hide it nor
/// loop devices and their like.
package func storeOverlap(
    _ a: LocalSite, _ b: LocalSite, files: some KernelFiles = LinuxKernelFiles()
) throws(DiskError) -> StoreOverlap? {
    if a.facts.stat.identity == b.facts.stat.identity { return .same }
    if let placeA = DevicePlace(a, files), placeA == DevicePlace(b, files) { return .same }
    guard a.facts.kind == .directory, b.facts.kind == .directory else { return nil }
    if try lies(b, below: a) { return .inside(.b) }
    if try lies(a, below: b) { return .inside(.a) }
    // Without a mount table no more than that can be told.
    guard let table = mountTable(files) else { return nil }
    guard let placeA = MountedPlace(a, table, files), let placeB = MountedPlace(b, table, files)
    else { return nil }
    if leads(from: a, placeA, to: b, placeB, table) { return .inside(.b) }
    if leads(from: b, placeB, to: a, placeA, table) { return .inside(.a) }
    return nil
}

/// What is mounted where, as this process sees it now; nil where the kernel does not say.
package func mountTable(_ files: some KernelFiles = LinuxKernelFiles()) -> MountTable? {
    (try? files.read(Array("/proc/self/mountinfo".utf8), limit: 64 << 20)).map { MountTable($0) }
}

extension LocalSite {
    /// The mount that the store's root lies on; nil where it is not in the table.
    package func mount(
        in table: MountTable, _ files: some KernelFiles = LinuxKernelFiles()
    ) -> Mount? { table.mount(of: descriptor, files) }
}

extension MountTable {
    /// The mount that an open file lies on; nil where it is not in the table.
    func mount(of descriptor: Descriptor, _ files: some KernelFiles) -> Mount? {
        let path = Array("/proc/self/fdinfo/\(descriptor.number)".utf8)
        guard let info = try? files.read(path, limit: 1 << 16),
            let id = field("mnt_id:", of: info).flatMap({ UInt64(digits: $0) })
        else { return nil }
        return mount(id: id)
    }
}

/// Stands for the identity of a file system that has none, as those of other machines and of FUSE:
/// the first 8 bytes of SHA-256 over its type and what is mounted, as `server:/exports/mail`. Their
/// root's inode and their device's number are soon another one's. 0 where that cannot be told.
func sourceIdentity(of descriptor: Descriptor, _ files: some KernelFiles) -> UInt64 {
    guard let mount = mountTable(files)?.mount(of: descriptor, files),
        var hash = try? EVPHash(.sha256)
    else { return 0 }
    hash.update(mount.fileSystemType + [0] + mount.source)
    return hash.finalize().withBytes { $0.loadUnaligned(as: UInt64.self).littleEndian }
}

/// No path is deeper; a chain that is longer goes in circles.
private let ancestorLimit = 1 << 16

/// Whether the way up from one root meets the other; at a bind mount it leaves the file system.
private func lies(_ inner: LocalSite, below outer: LocalSite) throws(DiskError) -> Bool {
    let disk = inner.disk
    var current = try disk.open(path: inner.facts.path, [.readOnly, .directory], mode: 0)
    defer { disk.close(current) }
    var identity = inner.facts.stat.identity
    for _ in 0..<ancestorLimit {
        let parent = try withCString(Array("..".utf8)) { (name) throws(DiskError) -> Descriptor in
            try disk.open(name, in: current, [.readOnly, .directory], mode: 0)
        }
        disk.close(current)
        current = parent
        let above = try disk.stat(parent).identity
        if above == outer.facts.stat.identity { return true }
        if above == identity { return false }
        identity = above
    }
    return false
}

/// Where a store's root lies: in this process's tree and in its file system's own.
private struct MountedPlace {
    let path: [UInt8]
    let place: FileSystemPlace

    /// Nil where the kernel does not say, or says what does not fit together.
    init?(_ site: LocalSite, _ table: MountTable, _ files: some KernelFiles) {
        guard let mount = site.mount(in: table, files),
            let path = try? files.target(
                of: Array("/proc/self/fd/\(site.descriptor.number)".utf8)),
            let place = mount.place(of: path)
        else { return nil }
        self.path = path
        self.place = place
    }
}

/// Whether a walk from one root comes to the other by a way that the mount table names.
private func leads(
    from outer: LocalSite, _ start: MountedPlace, to inner: LocalSite, _ end: MountedPlace,
    _ table: MountTable
) -> Bool {
    let routes = table.routes(
        from: start.place, at: start.path, to: end.place, crossing: outer.options.crossMounts)
    return routes.contains { route in
        (try? identity(at: route, in: outer)) == inner.facts.stat.identity
    }
}

/// What lies at a path below a store's root, found one component at a time.
private func identity(
    at path: RelativePath, in site: LocalSite
) throws(DiskError) -> ObjectIdentity {
    let disk = site.disk
    var current = site.descriptor
    defer { if current != site.descriptor { disk.close(current) } }
    for name in path.components {
        let next = try withCString(name.bytes) { (name) throws(DiskError) -> Descriptor in
            try disk.open(name, in: current, [.pathOnly, .directory, .noFollow], mode: 0)
        }
        if current != site.descriptor { disk.close(current) }
        current = next
    }
    return try disk.stat(current).identity
}

package import ResyncCore

/// How two stores can be one.
package enum StoreOverlap: Sendable {
    case same
    /// The side that lies inside the other.
    case inside(Side)
}

/// Whether two stores overlap, told by the identity of their roots and of what lies above these,
/// so that links and bind mounts of one directory do not hide it.
package func storeOverlap(
    _ a: LocalSite, _ b: LocalSite
) throws(DiskError) -> StoreOverlap? {
    if a.facts.stat.identity == b.facts.stat.identity { return .same }
    if a.facts.kind == .device, b.facts.kind == .device,
        a.facts.stat.special == b.facts.stat.special
    {
        return .same
    }
    guard a.facts.kind == .directory, b.facts.kind == .directory else { return nil }
    if try lies(b, inside: a) { return .inside(.b) }
    if try lies(a, inside: b) { return .inside(.a) }
    return nil
}

/// No path is deeper; a chain that is longer goes in circles.
private let ancestorLimit = 1 << 16

private func lies(_ inner: LocalSite, inside outer: LocalSite) throws(DiskError) -> Bool {
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

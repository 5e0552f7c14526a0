import ResyncCore

/// Where /etc/fstab says that something is mounted at start, and nothing is: what is found there is
/// what lies below, and is not the store's.
struct MissingMounts {
    /// That which the store itself lies on.
    private(set) var own: [UInt8]?
    /// Directories in the store.
    private(set) var inside: Set<ObjectIdentity> = []

    /// - Parameters:
    ///   - descriptor: of the store's root.
    ///   - crossing: whether other mounts in the store are gone into.
    init(
        _ descriptor: Descriptor, _ root: Stat, crossing: Bool, _ disk: any Disk,
        _ files: some KernelFiles
    ) {
        // Nearly always that is all there is to be asked.
        guard let fstab = try? files.read(Array("/etc/fstab".utf8), limit: 1 << 20),
            let path = try? files.target(of: Array("/proc/self/fd/\(descriptor.number)".utf8))
        else { return }
        // The root is there, though a table that is seen from inside it may not say so.
        let points = mountPoints(ofFstab: fstab, atStart: true).filter {
            $0 != [slash] && (isWithin(path, $0) || isWithin($0, path))
        }
        // Without a mount table nothing is known to be missing.
        guard !points.isEmpty, let table = mountTable(files) else { return }
        let mounted = Set(table.mounts.map { $0.mountPoint })
        let holder = table.mount(holding: path)?.id
        for point in points where !mounted.contains(point) {
            if isWithin(path, point) {
                own = point
            } else if crossing || table.mount(holding: point)?.id == holder,
                let stat = try? disk.stat(path: point), stat.type == .directory,
                crossing || stat.mount == root.mount
            {
                inside.insert(stat.identity)
            }
        }
    }
}

/// How a store's mount was when it was first seen in good order.
package struct MountBaseline: Sendable, Hashable {
    /// Where the store is, absolute and without symlinks.
    package let path: [UInt8]
    package let mountPoint: [UInt8]
    package let device: DeviceNumber

    package init(
        path: [UInt8], mountPoint: [UInt8], device: DeviceNumber
    ) {
        self.path = path
        self.mountPoint = mountPoint
        self.device = device
    }

    /// Nil where the path lies on no mount of the table.
    package init?(of path: [UInt8], in table: MountTable) {
        guard let mount = table.mount(holding: path) else { return nil }
        self.init(
            path: path, mountPoint: mount.mountPoint, device: mount.device)
    }

    /// Whether something was mounted on the way from there to the store, or over it.
    ///
    /// - Parameter mount: what the store's path leads to.
    package func isCovered(by mount: Mount?, in table: MountTable) -> Bool {
        guard table.skipped == 0, let mount else { return false }
        return mount.mountPoint != mountPoint && isWithin(mount.mountPoint, mountPoint)
    }

    /// Of places where something is to be mounted the first on the way from there to the store.
    package func missing(of places: [[UInt8]]) -> [UInt8]? {
        places.filter { $0 != mountPoint && isWithin($0, mountPoint) && isWithin(path, $0) }
            .min { $0.count < $1.count }
    }

    /// What became of it.
    package func condition(in table: MountTable) -> MountCondition {
        condition(with: table.mount(holding: path), in: table)
    }

    /// The same, where what the path leads to is known.
    package func condition(with mount: Mount?, in table: MountTable) -> MountCondition {
        // A line that could not be parsed may be the one that counts.
        guard let mount else {
            return table.skipped > 0 || table.mounts.isEmpty ? .unknown : .gone
        }
        guard mount.mountPoint == mountPoint else {
            return table.skipped > 0 ? .unknown : .gone
        }
        guard mount.device == device else { return .otherDevice }
        return mount.condition
    }
}

extension Mount {
    /// By its options alone.
    package var condition: MountCondition {
        if hasSuperOption("shutdown") { return .shutdown }
        if hasSuperOption("emergency_ro") { return .emergencyReadOnly }
        if hasOption("ro") { return .readOnlyMount }
        return hasSuperOption("ro") ? .readOnly : .writable
    }
}

/// Looks up what a path leads to, and remembers that for as long as the table is the same one.
package struct MountLookup: Sendable {
    private var found: (mount: Mount?, path: [UInt8], table: UInt64)?

    package init() {}

    package mutating func mount(holding path: [UInt8], in table: MountTable) -> Mount? {
        if let found, found.table == table.number, found.path == path, table.number > 0 {
            return found.mount
        }
        let mount = table.mount(holding: path)
        found = (mount, path, table.number)
        return mount
    }
}

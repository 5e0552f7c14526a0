/// A directory in the tree of its file system, whatever mount it is reached through.
package struct FileSystemPlace: Sendable, Hashable {
    package let device: DeviceNumber
    /// From the file system's own root.
    package let path: [UInt8]

    package init(device: DeviceNumber, path: [UInt8]) {
        self.device = device
        self.path = path
    }
}

extension Mount {
    /// Where in its file system a path lies that leads through this mount, without symlinks; nil
    /// for a path that does not.
    package func place(of path: [UInt8]) -> FileSystemPlace? {
        guard let below = relative(path, to: mountPoint) else { return nil }
        return FileSystemPlace(device: device, path: joined(root, below))
    }
}

extension MountTable {
    /// The paths under which this table shows what lies at a path without symlinks, itself among
    /// them, as bind mounts give it more than one; none where no mount holds it. Mounts may hide
    /// one. Mounts of NFS do not say what they show: there it has the one name.
    package func names(of path: [UInt8]) -> [[UInt8]] {
        guard let mount = mount(holding: path), let place = mount.place(of: path) else { return [] }
        if mount.isType("nfs") || mount.isType("nfs4") { return [path] }
        return mounts(of: place.device).compactMap { mount in
            relative(place.path, to: mount.root).map { joined(mount.mountPoint, $0) }
        }
    }

    /// How a walk from a directory could come to a place, as paths below the directory: what the
    /// table says, which the identity of what lies there must prove. Mounts may hide it, and some
    /// file systems (NFS) do not tell which of their directories a mount shows.
    ///
    /// - Parameters:
    ///   - path: where the directory is mounted, without symlinks.
    ///   - crossing: whether the walk enters other mounts.
    package func routes(
        from directory: FileSystemPlace, at path: [UInt8], to place: FileSystemPlace,
        crossing: Bool
    ) -> [RelativePath] {
        var routes: [[UInt8]] = []
        if directory.device == place.device, let below = relative(place.path, to: directory.path) {
            routes.append(below)
        }
        if crossing {
            for mount in mounts(below: path) where mount.device == place.device {
                guard let above = relative(mount.mountPoint, to: path),
                    let below = relative(place.path, to: mount.root)
                else { continue }
                routes.append(joined(above, below))
            }
        }
        return routes.map { RelativePath($0) }
    }
}

/// What follows `start` in an absolute path that is it or lies below it; empty or relative.
private func relative(_ path: [UInt8], to start: [UInt8]) -> [UInt8]? {
    let start = start == [slash] ? [] : start
    guard path.first == slash, path.starts(with: start) else { return nil }
    let rest = path.dropFirst(start.count)
    guard rest.isEmpty || rest.first == slash else { return nil }
    return Array(rest.dropFirst())
}

private func joined(_ above: [UInt8], _ below: [UInt8]) -> [UInt8] {
    if below.isEmpty { return above }
    return (above.last == slash || above.isEmpty ? above : above + [slash]) + below
}

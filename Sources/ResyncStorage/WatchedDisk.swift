package import ResyncCore

/// A disk whose calls on one store are watched over: see `StallWatch`.
package final class WatchedDisk: Disk {
    private let disk: any Disk
    private let side: Side
    private let watch: StallWatch

    package init(_ disk: any Disk, _ side: Side, _ watch: StallWatch) {
        self.disk = disk
        self.side = side
        self.watch = watch
    }

    private func watched<R, E>(
        _ call: SystemCall, _ directory: Descriptor?, _ name: UnsafePointer<CChar>?,
        _ body: () throws(E) -> R
    ) throws(E) -> R {
        let ticket = watch.begin(call, side, directory, name)
        defer { watch.end(ticket) }
        return try body()
    }

    // MARK: Descriptors

    package func open(
        path: [UInt8], _ flags: OpenFlags, mode: UInt16
    ) throws(DiskError) -> Descriptor {
        let opened = try watched(.openat, nil, nil) { () throws(DiskError) -> Descriptor in
            try disk.open(path: path, flags, mode: mode)
        }
        watch.opened(opened, side, nil, nil)
        return opened
    }

    package func open(
        _ name: UnsafePointer<CChar>, in directory: Descriptor, _ flags: OpenFlags, mode: UInt16
    ) throws(DiskError) -> Descriptor {
        let opened = try watched(.openat, directory, name) {
            () throws(DiskError) -> Descriptor in
            try disk.open(name, in: directory, flags, mode: mode)
        }
        watch.opened(opened, side, directory, name)
        return opened
    }

    package func close(_ descriptor: Descriptor) {
        watch.closed(descriptor, side)
        watched(.close, nil, nil) { disk.close(descriptor) }
    }

    // MARK: Looking, reading and writing

    package func stat(_ descriptor: Descriptor) throws(DiskError) -> Stat {
        try watched(.statx, descriptor, nil) { () throws(DiskError) -> Stat in
            try disk.stat(descriptor)
        }
    }

    package func stat(_ name: UnsafePointer<CChar>, in directory: Descriptor) throws(DiskError)
        -> Stat
    {
        try watched(.statx, directory, name) { () throws(DiskError) -> Stat in
            try disk.stat(name, in: directory)
        }
    }

    package func stat(path: [UInt8]) throws(DiskError) -> Stat {
        try watched(.statx, nil, nil) { () throws(DiskError) -> Stat in
            try disk.stat(path: path)
        }
    }

    package func list(
        _ directory: Descriptor, into names: inout NameList, buffer: UnsafeMutableRawBufferPointer
    ) throws(DiskError) -> Bool {
        try watched(.getdents64, directory, nil) { () throws(DiskError) -> Bool in
            try disk.list(directory, into: &names, buffer: buffer)
        }
    }

    package func readLink(_ name: UnsafePointer<CChar>, in directory: Descriptor) throws(DiskError)
        -> [UInt8]
    {
        try watched(.readlinkat, directory, name) { () throws(DiskError) -> [UInt8] in
            try disk.readLink(name, in: directory)
        }
    }

    package func read(
        _ descriptor: Descriptor, into buffer: UnsafeMutableRawBufferPointer, at offset: Int,
        _ mode: ReadMode
    ) throws(DiskError) -> Int {
        try watched(.pread, descriptor, nil) { () throws(DiskError) -> Int in
            try disk.read(descriptor, into: buffer, at: offset, mode)
        }
    }

    package func write(_ descriptor: Descriptor, _ bytes: UnsafeRawBufferPointer, at offset: Int)
        throws(DiskError) -> Int
    {
        try watched(.pwrite, descriptor, nil) { () throws(DiskError) -> Int in
            try disk.write(descriptor, bytes, at: offset)
        }
    }

    package func truncate(_ descriptor: Descriptor, to size: Int) throws(DiskError) {
        try watched(.ftruncate, descriptor, nil) { () throws(DiskError) in
            try disk.truncate(descriptor, to: size)
        }
    }

    package func sync(_ descriptor: Descriptor) throws(DiskError) {
        try watched(.fsync, descriptor, nil) { () throws(DiskError) in
            try disk.sync(descriptor)
        }
    }

    package func syncData(_ descriptor: Descriptor) throws(DiskError) {
        try watched(.fdatasync, descriptor, nil) { () throws(DiskError) in
            try disk.syncData(descriptor)
        }
    }

    package func syncFileSystem(_ descriptor: Descriptor) throws(DiskError) {
        try watched(.syncfs, descriptor, nil) { () throws(DiskError) in
            try disk.syncFileSystem(descriptor)
        }
    }

    package func allocate(_ descriptor: Descriptor, from offset: Int, count: Int) throws(DiskError)
    {
        try watched(.fallocate, descriptor, nil) { () throws(DiskError) in
            try disk.allocate(descriptor, from: offset, count: count)
        }
    }

    package func punchHole(_ descriptor: Descriptor, from offset: Int, count: Int) throws(DiskError)
    {
        try watched(.fallocate, descriptor, nil) { () throws(DiskError) in
            try disk.punchHole(descriptor, from: offset, count: count)
        }
    }

    // MARK: Names

    package func makeDirectory(_ name: UnsafePointer<CChar>, in directory: Descriptor, mode: UInt16)
        throws(DiskError)
    {
        try watched(.mkdirat, directory, name) { () throws(DiskError) in
            try disk.makeDirectory(name, in: directory, mode: mode)
        }
    }

    package func remove(_ name: UnsafePointer<CChar>, in directory: Descriptor, isDirectory: Bool)
        throws(DiskError)
    {
        try watched(.unlinkat, directory, name) { () throws(DiskError) in
            try disk.remove(name, in: directory, isDirectory: isDirectory)
        }
    }

    package func rename(
        _ name: UnsafePointer<CChar>, in directory: Descriptor, to newName: UnsafePointer<CChar>,
        in newDirectory: Descriptor, _ rule: RenameRule
    ) throws(DiskError) {
        try watched(.renameat2, directory, name) { () throws(DiskError) in
            try disk.rename(name, in: directory, to: newName, in: newDirectory, rule)
        }
    }

    package func link(
        _ name: UnsafePointer<CChar>, in directory: Descriptor, to newName: UnsafePointer<CChar>,
        in newDirectory: Descriptor
    ) throws(DiskError) {
        try watched(.linkat, directory, name) { () throws(DiskError) in
            try disk.link(name, in: directory, to: newName, in: newDirectory)
        }
    }

    package func makeSymlink(
        _ target: [UInt8], _ name: UnsafePointer<CChar>, in directory: Descriptor
    ) throws(DiskError) {
        try watched(.symlinkat, directory, name) { () throws(DiskError) in
            try disk.makeSymlink(target, name, in: directory)
        }
    }

    package func makeSpecial(
        _ name: UnsafePointer<CChar>, in directory: Descriptor, _ type: EntryType, mode: UInt16,
        device: DeviceNumber
    ) throws(DiskError) {
        try watched(.mknodat, directory, name) { () throws(DiskError) in
            try disk.makeSpecial(name, in: directory, type, mode: mode, device: device)
        }
    }

    // MARK: What the kernel knows

    package func lock(_ descriptor: Descriptor, exclusive: Bool) throws(DiskError) -> Bool {
        try watched(.flock, descriptor, nil) { () throws(DiskError) -> Bool in
            try disk.lock(descriptor, exclusive: exclusive)
        }
    }

    package func isOpenForWriting(_ descriptor: Descriptor) throws(DiskError) -> Bool {
        try watched(.fcntl, descriptor, nil) { () throws(DiskError) -> Bool in
            try disk.isOpenForWriting(descriptor)
        }
    }

    package func nextData(_ descriptor: Descriptor, from offset: Int) throws(DiskError) -> Int? {
        try watched(.lseek, descriptor, nil) { () throws(DiskError) -> Int? in
            try disk.nextData(descriptor, from: offset)
        }
    }

    package func nextHole(_ descriptor: Descriptor, from offset: Int) throws(DiskError) -> Int {
        try watched(.lseek, descriptor, nil) { () throws(DiskError) -> Int in
            try disk.nextHole(descriptor, from: offset)
        }
    }

    package func dropCache(_ descriptor: Descriptor) throws(DiskError) {
        try watched(.fadvise, descriptor, nil) { () throws(DiskError) in
            try disk.dropCache(descriptor)
        }
    }

    package func stopReadAhead(_ descriptor: Descriptor) {
        watched(.fadvise, descriptor, nil) { disk.stopReadAhead(descriptor) }
    }

    package func writeBack(_ descriptor: Descriptor) {
        watched(.syncFileRange, descriptor, nil) { disk.writeBack(descriptor) }
    }

    package func prefetch(_ descriptor: Descriptor, size: Int) {
        watched(.fadvise, descriptor, nil) {
            disk.prefetch(descriptor, size: size)
        }
    }

    package func cachedPages(_ descriptor: Descriptor, in range: Range<Int>) throws(DiskError)
        -> Int
    {
        try watched(.cachestat, descriptor, nil) { () throws(DiskError) -> Int in
            try disk.cachedPages(descriptor, in: range)
        }
    }

    package func directAlignment(_ descriptor: Descriptor) throws(DiskError) -> DirectAlignment? {
        try watched(.statx, descriptor, nil) { () throws(DiskError) -> DirectAlignment? in
            try disk.directAlignment(descriptor)
        }
    }

    package func setDirect(_ descriptor: Descriptor) throws(DiskError) {
        try watched(.fcntl, descriptor, nil) { () throws(DiskError) in
            try disk.setDirect(descriptor)
        }
    }

    // MARK: Metadata

    package func attributeNames(_ name: UnsafePointer<CChar>?, _ descriptor: Descriptor)
        throws(DiskError) -> [[UInt8]]
    {
        try watched(.listxattr, descriptor, name) { () throws(DiskError) -> [[UInt8]] in
            try disk.attributeNames(name, descriptor)
        }
    }

    package func attribute(
        _ attribute: [UInt8], of name: UnsafePointer<CChar>?, _ descriptor: Descriptor
    ) throws(DiskError) -> [UInt8] {
        try watched(.getxattr, descriptor, name) { () throws(DiskError) -> [UInt8] in
            try disk.attribute(attribute, of: name, descriptor)
        }
    }

    package func setMode(_ mode: UInt16, of name: UnsafePointer<CChar>?, _ descriptor: Descriptor)
        throws(DiskError)
    {
        try watched(.fchmodat, descriptor, name) { () throws(DiskError) in
            try disk.setMode(mode, of: name, descriptor)
        }
    }

    package func setOwner(
        uid: UInt32, gid: UInt32, of name: UnsafePointer<CChar>?, _ descriptor: Descriptor
    ) throws(DiskError) {
        try watched(.fchownat, descriptor, name) { () throws(DiskError) in
            try disk.setOwner(uid: uid, gid: gid, of: name, descriptor)
        }
    }

    package func setTimes(
        modified: Timestamp, of name: UnsafePointer<CChar>?, _ descriptor: Descriptor
    ) throws(DiskError) {
        try watched(.utimensat, descriptor, name) { () throws(DiskError) in
            try disk.setTimes(modified: modified, of: name, descriptor)
        }
    }

    package func setAttribute(
        _ attribute: [UInt8], to value: [UInt8], of name: UnsafePointer<CChar>?,
        _ descriptor: Descriptor
    ) throws(DiskError) {
        try watched(.setxattr, descriptor, name) { () throws(DiskError) in
            try disk.setAttribute(attribute, to: value, of: name, descriptor)
        }
    }

    package func removeAttribute(
        _ attribute: [UInt8], of name: UnsafePointer<CChar>?, _ descriptor: Descriptor
    ) throws(DiskError) {
        try watched(.removexattr, descriptor, name) { () throws(DiskError) in
            try disk.removeAttribute(attribute, of: name, descriptor)
        }
    }

    // MARK: File systems and devices

    package func fileSystem(_ descriptor: Descriptor) throws(DiskError) -> FileSystem {
        try watched(.fstatfs, descriptor, nil) { () throws(DiskError) -> FileSystem in
            try disk.fileSystem(descriptor)
        }
    }

    package func deviceSize(_ descriptor: Descriptor) throws(DiskError) -> Int {
        try watched(.ioctl, descriptor, nil) { () throws(DiskError) -> Int in
            try disk.deviceSize(descriptor)
        }
    }

    package func isReadOnlyDevice(_ descriptor: Descriptor) throws(DiskError) -> Bool {
        try watched(.ioctl, descriptor, nil) { () throws(DiskError) -> Bool in
            try disk.isReadOnlyDevice(descriptor)
        }
    }
}

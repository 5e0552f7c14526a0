import ResyncCore
import Synchronization

/// A directory of a local store. Its descriptor is opened from its parent's, one component at a
/// time, and may be closed and opened again: then it must still be the same object.
final class LocalDirectory: SiteDirectory {
    let entry: Entry
    private let site: LocalSite
    private let name: Name
    /// Because only deinit ever changes it, when nobody else can see it.
    nonisolated(unsafe) private var parent: LocalDirectory?
    let isRoot: Bool
    /// Bytes of its path below the root.
    private let pathLength: Int
    private let held: Mutex<Held>

    private struct Held {
        var descriptor: Descriptor?
        var users = 0
        var wasListed = false
    }

    init(root site: LocalSite, entry: Entry, descriptor: Descriptor) {
        self.site = site
        self.entry = entry
        name = Name([])
        isRoot = true
        pathLength = 0
        held = Mutex(Held(descriptor: descriptor))
    }

    private init(_ name: Name, in parent: LocalDirectory, entry: Entry, descriptor: Descriptor) {
        site = parent.site
        self.entry = entry
        self.name = name
        self.parent = parent
        isRoot = false
        pathLength = parent.pathLength(below: name)
        held = Mutex(Held(descriptor: descriptor))
    }

    deinit {
        if !isRoot, let descriptor = held.withLock({ $0.descriptor }) {
            site.disk.close(descriptor)
        }
        // One by one: released as a chain, a deep tree would use up the stack.
        var next = parent
        parent = nil
        while next != nil, isKnownUniquelyReferenced(&next) {
            let above = next?.parent
            next?.parent = nil
            next = above
        }
    }

    var path: RelativePath {
        // In one piece from its end: at a depth of thousands its parts cost more than all else.
        var length = 0
        var at = self
        while let above = at.parent {
            length += at.name.bytes.count + 1
            at = above
        }
        guard length > 0 else { return .root }
        let bytes = [UInt8](unsafeUninitializedCapacity: length - 1) { buffer, count in
            var end = length - 1
            at = self
            while let above = at.parent {
                let start = end - at.name.bytes.count
                for (index, byte) in at.name.bytes.enumerated() { buffer[start + index] = byte }
                if start > 0 { buffer[start - 1] = slash }
                end = start - 1
                at = above
            }
            count = length - 1
        }
        return RelativePath(bytes)
    }

    private func pathLength(below name: Name) -> Int {
        (isRoot ? 0 : pathLength + 1) + name.bytes.count
    }

    // MARK: Descriptor

    var isOpen: Bool { held.withLock { $0.descriptor != nil } }
    var isIdle: Bool { !isRoot && held.withLock { $0.descriptor != nil && $0.users == 0 } }

    func closeIfIdle() {
        let descriptor = held.withLock { held -> Descriptor? in
            guard held.users == 0, !isRoot else { return nil }
            defer { held.descriptor = nil }
            return held.descriptor
        }
        if let descriptor { site.disk.close(descriptor) }
    }

    /// Calls `body` with the open directory, opening it again where it was closed.
    func withDescriptor<R>(
        _ body: (Descriptor) throws(DiskError) -> R
    ) throws(DiskError) -> R {
        let descriptor = try acquire()
        defer { release() }
        return try body(descriptor)
    }

    private func acquireIfOpen() -> Descriptor? {
        held.withLock { held in
            guard let descriptor = held.descriptor else { return nil }
            held.users += 1
            return descriptor
        }
    }

    private func release() { held.withLock { $0.users -= 1 } }

    private func acquire() throws(DiskError) -> Descriptor {
        if let descriptor = acquireIfOpen() { return descriptor }
        var closed = [self]
        var anchor = parent
        var descriptor: Descriptor?
        while let above = anchor {
            descriptor = above.acquireIfOpen()
            if descriptor != nil { break }
            closed.append(above)
            anchor = above.parent
        }
        guard var holder = anchor, var current = descriptor else {
            throw DiskError(.openat, ErrorNumber.stale)
        }
        for directory in closed.reversed() {
            // Only when what lies below is held may what lies above be closed.
            let above = holder
            defer { above.release() }
            current = try directory.reopen(in: current)
            holder = directory
        }
        return current
    }

    /// Opens it again and counts one user.
    private func reopen(in parent: Descriptor) throws(DiskError) -> Descriptor {
        let fresh = try withCString(name.bytes) { (name) throws(DiskError) in
            try site.disk.openDirectory(name, in: parent)
        }
        do throws(DiskError) {
            let stat = try site.disk.stat(fresh)
            guard stat.identity == entry.stat.identity else {
                throw DiskError(.openat, ErrorNumber.stale)
            }
        } catch {
            site.disk.close(fresh)
            throw error
        }
        let current = held.withLock { held in
            held.users += 1
            if let other = held.descriptor { return other }
            held.descriptor = fresh
            return fresh
        }
        if current == fresh { site.opened(self) } else { site.disk.close(fresh) }
        return current
    }

    // MARK: Verbs

    func list(_ worker: Worker) -> any Listing {
        // One that stays open keeps its place in the listing, the root from one walk to the next.
        let wasListed = held.withLock { held in
            defer { held.wasListed = true }
            return held.wasListed
        }
        return LocalListing(self, again: isRoot || wasListed, site: site, worker: worker)
    }

    func stat() throws(DiskError) -> Stat {
        try withDescriptor { (descriptor) throws(DiskError) in try site.disk.stat(descriptor) }
    }

    func open(_ names: NameList, _ index: Int, _ worker: Worker) -> OpenedDirectory {
        var opened = OpenedDirectory()
        do throws(DiskError) {
            try withDescriptor { (parent) throws(DiskError) in
                try names.withCName(index) { (name) throws(DiskError) in
                    try open(name, names.name(index), in: parent, &opened, worker)
                }
            }
        } catch {
            if error.number != ErrorNumber.noEntry || opened.entry != nil {
                opened.failure = .disk(error)
            }
        }
        return opened
    }

    private func open(
        _ cName: UnsafePointer<CChar>, _ name: Name, in parent: Descriptor,
        _ opened: inout OpenedDirectory, _ worker: Worker
    ) throws(DiskError) {
        // Looked at before it is opened: opening alone would set off an automount.
        let stat = try site.disk.stat(cName, in: parent)
        worker.pulse.step()
        let details = EntryDetails(site)
        opened.entry = Entry(stat: stat)
        guard stat.type == .directory else {
            opened.entry = try details.entry(stat, cName, in: parent)
            return
        }
        if let boundary = site.boundary(stat) {
            opened.failure = boundary
            return
        }
        guard pathLength(below: name) <= site.options.directoryPath else {
            throw DiskError(.openat, ErrorNumber.nameTooLong)
        }
        let descriptor = try site.disk.openDirectory(cName, in: parent)
        worker.pulse.step()
        do throws(DiskError) {
            let current = try site.disk.stat(descriptor)
            guard current.identity == stat.identity else {
                throw DiskError(.openat, ErrorNumber.stale)
            }
            let entry = try details.entry(current, descriptor)
            opened.entry = entry
            let directory = LocalDirectory(name, in: self, entry: entry, descriptor: descriptor)
            opened.directory = directory
            site.opened(directory)
        } catch {
            site.disk.close(descriptor)
            throw error
        }
    }

    func examine(_ names: NameList, _ wishes: [Wish], _ worker: Worker) -> any Examination {
        LocalExamination(site: site, names: names, wishes: wishes, in: self, worker)
    }
}

extension Disk {
    /// For reading, without touching its access time where that is allowed.
    func openQuietly(
        _ name: UnsafePointer<CChar>, in directory: Descriptor, _ flags: OpenFlags
    ) throws(DiskError) -> Descriptor {
        do {
            return try open(name, in: directory, flags.union(.noAccessTime), mode: 0)
        } catch {
            // Only the owner may ask for it.
            guard error.number == ErrorNumber.notPermitted else { throw error }
            return try open(name, in: directory, flags, mode: 0)
        }
    }

    func openDirectory(
        _ name: UnsafePointer<CChar>, in directory: Descriptor
    ) throws(DiskError) -> Descriptor {
        try openQuietly(name, in: directory, [.readOnly, .directory, .noFollow, .nonBlocking])
    }
}

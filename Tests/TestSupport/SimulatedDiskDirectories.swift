import Glibc
import ResyncCore
import ResyncStorage

/// Listing, making, removing and renaming.
extension State {
    mutating func list(
        _ descriptor: Descriptor, space: Int, _ verdict: Verdict
    ) throws(Refusal) -> [(name: Name, kind: EntryType?)] {
        let (file, object) = try usable(descriptor)
        guard let directory = object.directory else { throw Refusal(ENOTDIR) }
        guard !directory.isRemoved else { throw Refusal(ENOENT) }
        var found = directory.names(after: file.cursor, space: space)
        if found.names.isEmpty, verdict.listsForever {
            found = directory.names(after: 0, space: space)
        }
        // A name is at most 255 bytes: only a buffer below the contract's size holds none.
        if found.names.isEmpty, !directory.names(after: file.cursor, space: .max).names.isEmpty {
            throw Refusal(EINVAL)
        }
        descriptors[descriptor.number]?.cursor = found.cursor
        let tells = mount(of: object).namesKinds
        var names = found.names.map { entry in
            (name: entry.name, kind: tells ? self.object(entry.object).type : nil)
        }
        if verdict.listsTwice, let first = names.first { names.append(first) }
        return names
    }

    mutating func makeDirectory(
        _ name: [UInt8], from start: ObjectID, mode: UInt16
    ) throws(Refusal) {
        let place = try resolve(name, from: start, .leave)
        guard place.object == nil else { throw Refusal(EEXIST) }
        try checkChange(in: place.parent)
        let id = makeOwnObject(.directory, in: place.parent, mode: mode & 0o1777)
        addName(place.name, in: place.parent, id)
    }

    mutating func remove(
        _ name: [UInt8], from start: ObjectID, isDirectory: Bool
    ) throws(Refusal) {
        let place = try resolve(name, from: start, .leave)
        switch place.last {
        case .name: break
        case .dot where isDirectory: throw Refusal(EINVAL)
        case .dotDot where isDirectory: throw Refusal(ENOTEMPTY)
        case .root where isDirectory: throw Refusal(EBUSY)
        default: throw Refusal(EISDIR)
        }
        try checkWritable(object(place.parent))
        guard let id = place.object else { throw Refusal(ENOENT) }
        let found = object(id)
        if !isDirectory, place.wantsDirectory {
            throw Refusal(found.type == .directory ? EISDIR : ENOTDIR)
        }
        try checkChange(in: place.parent)
        try checkReplaced(found, in: place.parent, asDirectory: isDirectory)
        apply(.remove(Slot(directory: place.parent, name: place.name)))
    }

    mutating func rename(
        _ name: [UInt8], from start: ObjectID, to newName: [UInt8], from newStart: ObjectID,
        replacing: Bool
    ) throws(Refusal) {
        let old = try resolve(name, from: start, .leave)
        let new = try resolve(newName, from: newStart, .leave)
        guard object(old.parent).mount == object(new.parent).mount else { throw Refusal(EXDEV) }
        guard old.last == .name else { throw Refusal(EBUSY) }
        guard new.last == .name else { throw Refusal(replacing ? EBUSY : EEXIST) }
        try checkWritable(object(old.parent))
        guard let id = old.object else { throw Refusal(ENOENT) }
        let moved = object(id)
        if !replacing, new.object != nil { throw Refusal(EEXIST) }
        if moved.type != .directory, old.wantsDirectory || new.wantsDirectory {
            throw Refusal(ENOTDIR)
        }
        if isWithin(new.parent, id) { throw Refusal(EINVAL) }
        if let target = new.object, isWithin(old.parent, target) { throw Refusal(ENOTEMPTY) }
        if new.object == id { return }
        try checkChange(in: old.parent)
        try checkChange(in: new.parent)
        if moved.mount != object(old.parent).mount { throw Refusal(EBUSY) }
        if let target = new.object {
            try checkReplaced(
                object(target), in: new.parent, asDirectory: moved.type == .directory)
        }
        apply(
            .move(
                Slot(directory: old.parent, name: old.name),
                to: Slot(directory: new.parent, name: new.name)))
        objects[id]?.touch(now, modified: false)
    }

    /// Whether names of a directory may change.
    func checkChange(in id: ObjectID) throws(Refusal) {
        let directory = object(id)
        try checkWritable(directory)
        if directory.directory?.isRemoved ?? true { throw Refusal(ENOENT) }
        try checkAccess(directory, [.write, .execute])
    }

    /// Whether the name of `found` may go, to be removed or replaced as what it is said to be.
    private func checkReplaced(
        _ found: Object, in parent: ObjectID, asDirectory: Bool
    ) throws(Refusal) {
        if asDirectory, found.type != .directory { throw Refusal(ENOTDIR) }
        if !asDirectory, found.type == .directory { throw Refusal(EISDIR) }
        if found.mount != object(parent).mount { throw Refusal(EBUSY) }
        if let directory = found.directory, !directory.isEmpty { throw Refusal(ENOTEMPTY) }
    }

    private func isWithin(_ id: ObjectID, _ ancestor: ObjectID) -> Bool {
        var current = id
        while current != ancestor {
            guard current != State.root, let directory = object(current).directory else {
                return false
            }
            current = directory.parent
        }
        return true
    }

    // MARK: - Names

    mutating func addName(_ name: Name, in parent: ObjectID, _ id: ObjectID) {
        apply(.add(Slot(directory: parent, name: name), id))
    }

    /// Carries a change of names out, and remembers that it is not durable yet.
    mutating func apply(_ change: NameChange.Kind) {
        nameChanges.append(NameChange(sequence: nextSequence(), kind: change))
        switch change {
        case .add(let slot, let id): attach(slot, id)
        case .remove(let slot): detach(slot)
        case .move(let old, let new):
            guard let id = objects[old.directory]?.directory?[old.name] else { return }
            detach(new)
            detach(old)
            attach(new, id)
        }
    }

    private mutating func attach(_ slot: Slot, _ id: ObjectID) {
        objects[slot.directory]?.directory?.set(slot.name, id)
        objects[slot.directory]?.touch(now, modified: true)
        objects[id]?.names += 1
        objects[id]?.directory?.parent = slot.directory
        objects[id]?.directory?.isRemoved = false
    }

    private mutating func detach(_ slot: Slot) {
        guard let id = objects[slot.directory]?.directory?[slot.name] else { return }
        objects[slot.directory]?.directory?.remove(slot.name)
        objects[slot.directory]?.touch(now, modified: true)
        objects[id]?.names -= 1
        objects[id]?.touch(now, modified: false)
        objects[id]?.directory?.isRemoved = true
    }

    // MARK: - What is told of an object

    func stat(_ object: Object) -> Stat {
        let mount = mount(of: object)
        var stat = Stat(
            type: object.type, mode: object.attributes.mode, uid: object.attributes.uid,
            gid: object.attributes.gid, mtime: object.attributes.mtime,
            ctime: object.attributes.ctime, inode: object.inode, device: mount.device,
            mount: mount.id, links: object.names, special: object.special)
        switch object.type {
        case .file:
            stat.size = object.file?.size ?? 0
            stat.allocated = object.file?.cache.allocated ?? 0
        case .symlink: stat.size = object.target.count
        case .directory:
            stat.size = 4096
            stat.allocated = 8
            stat.links = object.directory.map(links) ?? 0
        default: break
        }
        return stat
    }

    private func links(_ directory: DirectoryData) -> UInt32 {
        if directory.isRemoved { return 0 }
        let inside = directory.all.count { object($0.object).type == .directory }
        return UInt32(truncatingIfNeeded: inside + 2)
    }

    /// The object whose attributes a call is about.
    func attributed(
        _ name: [UInt8]?, _ descriptor: Descriptor
    ) throws(Refusal) -> Attributes {
        let object: Object
        if let name {
            object = try find(name, from: try openFile(descriptor).object, .stop)
        } else {
            object = try usable(descriptor).1
        }
        guard mount(of: object).hasAttributes else { throw Refusal(EOPNOTSUPP) }
        return object.attributes
    }
}

/// A name in a directory, whether or not anything is there.
struct Slot: Sendable, Hashable {
    let directory: ObjectID
    let name: Name
}

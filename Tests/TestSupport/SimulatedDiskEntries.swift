import Glibc
import ResyncCore
import ResyncStorage

/// What a change of names does to the objects, and what is told of them.
extension State {
    /// The process is its owner, not whoever laid out the disk. What its directory says of group
    /// and access control list is inherited.
    mutating func makeOwnObject(_ type: EntryType, in parent: ObjectID, mode: UInt16) -> ObjectID {
        let directory = object(parent)
        let id = makeObject(type, mount: directory.mount, parent: parent, mode: mode)
        var attributes = object(id).attributes
        attributes.uid = identity.uid
        attributes.gid = identity.gid
        if directory.attributes.mode & Mode.setGroup != 0 {
            attributes.gid = directory.attributes.gid
            if type == .directory { attributes.mode |= Mode.setGroup }
        }
        if type != .symlink { attributes.inherit(directory.attributes, type, identity.umask) }
        objects[id]?.attributes = attributes
        objects[id]?.durableAttributes = attributes
        return id
    }

    /// Its ctime moves, and its mtime when it was `modified`.
    mutating func touch(_ id: ObjectID, modified: Bool) {
        let change = AttributeChange(
            sequence: nextSequence(), isImplied: true, mtime: modified ? now : nil, ctime: now)
        objects[id]?.apply(change)
    }

    mutating func addName(_ name: Name, in parent: ObjectID, _ id: ObjectID) {
        apply(.add(Slot(directory: parent, name: name), id))
    }

    /// Carries a change of names out, and remembers that it is not durable yet.
    mutating func apply(_ change: NameChange.Kind) {
        nameChanges.append(
            NameChange(sequence: nextSequence(), kind: change, objects: concerned(change)))
        switch change {
        case .add(let slot, let id): attach(slot, id)
        case .remove(let slot): detach(slot)
        case .move(let old, let new):
            guard let id = named(old) else { return }
            detach(new)
            detach(old)
            attach(new, id)
        case .exchange(let one, let other):
            guard let first = named(one), let second = named(other) else { return }
            place(second, at: one)
            place(first, at: other)
        }
    }

    private func named(_ slot: Slot) -> ObjectID? {
        objects[slot.directory]?.directory?[slot.name]
    }

    private func concerned(_ change: NameChange.Kind) -> [ObjectID] {
        if case .add(_, let id) = change { return [id] }
        return change.slots.compactMap { named($0) }
    }

    /// What was there keeps its link count: it has its other place already, or gets it next.
    private mutating func place(_ id: ObjectID, at slot: Slot) {
        objects[slot.directory]?.directory?.set(slot.name, id)
        objects[id]?.directory?.parent = slot.directory
        touch(slot.directory, modified: true)
    }

    private mutating func attach(_ slot: Slot, _ id: ObjectID) {
        objects[slot.directory]?.directory?.set(slot.name, id)
        touch(slot.directory, modified: true)
        objects[id]?.names += 1
        objects[id]?.directory?.parent = slot.directory
        objects[id]?.directory?.isRemoved = false
    }

    private mutating func detach(_ slot: Slot) {
        guard let id = named(slot) else { return }
        objects[slot.directory]?.directory?.remove(slot.name)
        touch(slot.directory, modified: true)
        objects[id]?.names -= 1
        touch(id, modified: false)
        objects[id]?.directory?.isRemoved = true
    }

    func stat(_ object: Object) -> Stat {
        let mount = mount(of: object)
        var stat = Stat(
            type: object.type, mode: object.attributes.mode, uid: object.attributes.uid,
            gid: object.attributes.gid, mtime: object.attributes.mtime,
            ctime: object.attributes.ctime, inode: object.inode, device: mount.device,
            mount: mount.id, links: object.names, special: object.special, birth: object.birth)
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
}

/// A name in a directory, whether or not anything is there.
struct Slot: Sendable, Hashable {
    let directory: ObjectID
    let name: Name
}

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
        let place = try newPlace(name, from: start, isDirectory: true)
        try takeSpace(1, mount: object(place.parent).mount)
        let id = makeOwnObject(.directory, in: place.parent, mode: mode & 0o1777)
        addName(place.name, in: place.parent, id)
    }

    mutating func makeSymlink(
        _ target: [UInt8], _ name: [UInt8], from start: ObjectID
    ) throws(Refusal) {
        guard !target.isEmpty else { throw Refusal(ENOENT) }
        guard target.count < 4096 else { throw Refusal(ENAMETOOLONG) }
        let place = try newPlace(name, from: start)
        let isLong = target.count >= shortTarget
        try takeSpace(isLong ? 1 : 0, mount: object(place.parent).mount)
        let id = makeOwnObject(.symlink, in: place.parent, mode: 0o777)
        objects[id]?.target = target
        addName(place.name, in: place.parent, id)
    }

    mutating func makeSpecial(
        _ name: [UInt8], from start: ObjectID, _ type: EntryType, mode: UInt16,
        _ number: DeviceNumber
    ) throws(Refusal) {
        guard type != .file, type != .directory, type != .symlink else { throw Refusal(EINVAL) }
        // What a device number of 32 bits holds.
        guard !type.isDevice || (number.major < 1 << 12 && number.minor < 1 << 20) else {
            throw Refusal(EINVAL)
        }
        let place = try newPlace(name, from: start)
        if type.isDevice, !identity.isRoot { throw Refusal(EPERM) }
        try takeSpace(0, mount: object(place.parent).mount)
        let id = makeOwnObject(type, in: place.parent, mode: mode & 0o7777)
        if type.isDevice { objects[id]?.special = number }
        addName(place.name, in: place.parent, id)
    }

    mutating func link(
        _ name: [UInt8], from start: ObjectID, to newName: [UInt8], from newStart: ObjectID
    ) throws(Refusal) {
        let found = try find(name, from: start, .stop)
        let place = try vacantPlace(newName, from: newStart)
        guard found.mount == object(place.parent).mount else { throw Refusal(EXDEV) }
        try checkChange(in: place.parent)
        let canLink = mounts[found.mount].canLink && !found.isImmutable
        guard canLink, found.type != .directory else { throw Refusal(EPERM) }
        guard found.names > 0 else { throw Refusal(ENOENT) }
        addName(place.name, in: place.parent, found.id)
        touch(found.id, modified: false)
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
        freeSpaceIfGone(id)
    }

    mutating func rename(
        _ name: [UInt8], from start: ObjectID, to newName: [UInt8], from newStart: ObjectID,
        _ rule: RenameRule
    ) throws(Refusal) {
        let old = try resolve(name, from: start, .leave)
        let new = try resolve(newName, from: newStart, .leave)
        guard object(old.parent).mount == object(new.parent).mount else { throw Refusal(EXDEV) }
        guard rule == .replace || mounts[object(old.parent).mount].knowsRenameRules else {
            throw Refusal(EINVAL)
        }
        guard old.last == .name else { throw Refusal(EBUSY) }
        guard new.last == .name else { throw Refusal(rule == .keep ? EEXIST : EBUSY) }
        try checkWritable(object(old.parent))
        guard let id = old.object else { throw Refusal(ENOENT) }
        try checkRename(id, old, new, rule)
        if new.object == id { return }
        try checkMoves(id, old, new, rule)
        let slots = [old, new].map { Slot(directory: $0.parent, name: $0.name) }
        apply(rule == .exchange ? .exchange(slots[0], slots[1]) : .move(slots[0], to: slots[1]))
        touch(id, modified: false)
        if let target = new.object {
            if rule == .exchange { touch(target, modified: false) }
            freeSpaceIfGone(target)
        }
    }

    /// What the kernel checks of the names alone.
    private func checkRename(
        _ id: ObjectID, _ old: Place, _ new: Place, _ rule: RenameRule
    ) throws(Refusal) {
        if rule == .keep, new.object != nil { throw Refusal(EEXIST) }
        let exchanges = rule == .exchange
        if exchanges {
            guard let target = new.object else { throw Refusal(ENOENT) }
            if new.wantsDirectory, object(target).type != .directory { throw Refusal(ENOTDIR) }
        }
        if object(id).type != .directory,
            old.wantsDirectory || (new.wantsDirectory && !exchanges)
        {
            throw Refusal(ENOTDIR)
        }
        if isWithin(new.parent, id) { throw Refusal(EINVAL) }
        if let target = new.object, isWithin(old.parent, target) {
            throw Refusal(exchanges ? EINVAL : ENOTEMPTY)
        }
    }

    /// Whether the objects may leave their places.
    private func checkMoves(
        _ id: ObjectID, _ old: Place, _ new: Place, _ rule: RenameRule
    ) throws(Refusal) {
        let moved = object(id)
        try checkChange(in: old.parent)
        try checkMayGo(moved, in: old.parent)
        try checkChange(in: new.parent)
        if let target = new.object { try checkMayGo(object(target), in: new.parent) }
        if moved.mount != object(old.parent).mount { throw Refusal(EBUSY) }
        if old.parent != new.parent {
            // The entry for the parent in it changes.
            if moved.type == .directory { try checkAccess(moved, .write) }
            if rule == .exchange, let target = new.object, object(target).type == .directory {
                try checkAccess(object(target), .write)
            }
        }
        guard let target = new.object else { return }
        if rule == .exchange {
            if object(target).mount != object(new.parent).mount { throw Refusal(EBUSY) }
        } else {
            try checkReplaced(
                object(target), in: new.parent, asDirectory: moved.type == .directory)
        }
    }

    /// Whether names of a directory may change.
    func checkChange(in id: ObjectID) throws(Refusal) {
        let directory = object(id)
        try checkWritable(directory)
        if directory.isImmutable { throw Refusal(EPERM) }
        if directory.directory?.isRemoved ?? true { throw Refusal(ENOENT) }
        try checkAccess(directory, [.write, .execute])
    }

    /// Where a name would go that must not be there.
    private func vacantPlace(
        _ name: [UInt8], from start: ObjectID, isDirectory: Bool = false
    ) throws(Refusal) -> Place {
        let place = try resolve(name, from: start, .leave)
        guard place.object == nil else { throw Refusal(EEXIST) }
        if place.wantsDirectory, !isDirectory { throw Refusal(ENOENT) }
        try checkWritable(object(place.parent))
        return place
    }

    private func newPlace(
        _ name: [UInt8], from start: ObjectID, isDirectory: Bool = false
    ) throws(Refusal) -> Place {
        let place = try vacantPlace(name, from: start, isDirectory: isDirectory)
        try checkChange(in: place.parent)
        return place
    }

    private func checkMayGo(_ found: Object, in parent: ObjectID) throws(Refusal) {
        if found.isImmutable { throw Refusal(EPERM) }
        let directory = object(parent).attributes
        if directory.mode & Mode.sticky != 0, !identity.isRoot, directory.uid != identity.uid,
            found.attributes.uid != identity.uid
        {
            throw Refusal(EPERM)
        }
    }

    /// Whether the name of `found` may go, to be removed or replaced as what it is said to be.
    private func checkReplaced(
        _ found: Object, in parent: ObjectID, asDirectory: Bool
    ) throws(Refusal) {
        try checkMayGo(found, in: parent)
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
}

/// From this length on the target of a symlink takes a block.
let shortTarget = 60

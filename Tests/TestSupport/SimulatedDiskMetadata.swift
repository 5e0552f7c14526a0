import Glibc
import ResyncCore
import ResyncStorage

/// The bits of a mode that calls treat by themselves.
enum Mode {
    static let setUser: UInt16 = 0o4000
    static let setGroup: UInt16 = 0o2000
    static let sticky: UInt16 = 0o1000
    static let groupExecute: UInt16 = 0o010
}

let capability = Array("security.capability".utf8)

/// Changing what an inode says.
extension State {
    /// What a call about an open descriptor, or a name that is not followed, is about.
    func subject(_ name: [UInt8]?, _ descriptor: Descriptor) throws(Refusal) -> Object {
        guard let name else { return try usable(descriptor).1 }
        return try find(name, from: try start(descriptor, name), .stop)
    }

    private func checkChangeable(_ object: Object) throws(Refusal) {
        try checkWritable(object)
        if object.isImmutable { throw Refusal(EPERM) }
    }

    private func checkOwner(_ object: Object) throws(Refusal) {
        if !identity.isRoot, object.attributes.uid != identity.uid { throw Refusal(EPERM) }
    }

    private mutating func newChange(implied: Bool = false) -> AttributeChange {
        AttributeChange(sequence: nextSequence(), isImplied: implied, ctime: now)
    }

    mutating func setMode(
        _ mode: UInt16, _ name: [UInt8]?, _ descriptor: Descriptor
    ) throws(Refusal) {
        let found = try subject(name, descriptor)
        try checkChangeable(found)
        if found.type == .symlink { throw Refusal(EOPNOTSUPP) }
        try checkOwner(found)
        var change = newChange()
        change.mode = withoutForeignGroup(mode & 0o7777, gid: found.attributes.gid)
        if let list = found.attributes.accessControl?.limited(to: mode) {
            change.extended = [(AccessControlList.access, list.bytes)]
        }
        objects[found.id]?.apply(change)
    }

    /// Only a member of the group may make a file set its group.
    private func withoutForeignGroup(_ mode: UInt16, gid: UInt32) -> UInt16 {
        identity.isRoot || gid == identity.gid ? mode : mode & ~Mode.setGroup
    }

    mutating func setOwner(
        uid: UInt32, gid: UInt32, _ name: [UInt8]?, _ descriptor: Descriptor
    ) throws(Refusal) {
        guard uid != .max, gid != .max else { throw Refusal(EINVAL) }
        let found = try subject(name, descriptor)
        try checkChangeable(found)
        if !identity.isRoot {
            try checkOwner(found)
            guard uid == found.attributes.uid,
                gid == found.attributes.gid || gid == identity.gid
            else { throw Refusal(EPERM) }
        }
        var change = newChange()
        change.owner = (uid, gid)
        if found.type != .directory { clearPrivileges(found, &change, always: true) }
        objects[found.id]?.apply(change)
    }

    mutating func setTimes(
        modified: Timestamp, _ name: [UInt8]?, _ descriptor: Descriptor
    ) throws(Refusal) {
        guard modified.nanoseconds < 1_000_000_000 else { throw Refusal(EINVAL) }
        let found = try subject(name, descriptor)
        try checkChangeable(found)
        try checkOwner(found)
        var change = newChange()
        change.mtime = mount(of: found).nearest(modified)
        objects[found.id]?.apply(change)
    }

    /// After a write: the times move, and what gave the file power over its reader goes.
    mutating func noteWrite(_ id: ObjectID) {
        var change = newChange(implied: true)
        change.mtime = now
        let found = object(id)
        if found.type == .file { clearPrivileges(found, &change, always: false) }
        objects[id]?.apply(change)
    }

    /// Capabilities go in any case; the bits unless root writes.
    private func clearPrivileges(
        _ found: Object, _ change: inout AttributeChange, always: Bool
    ) {
        let old = found.attributes
        if old.extended[capability] != nil { change.extended.append((capability, nil)) }
        guard always || !identity.isRoot else { return }
        var mode = old.mode & ~Mode.setUser
        // Without the right to execute, the bit once meant something else.
        let isMember = identity.isRoot || old.gid == identity.gid
        if mode & Mode.groupExecute != 0 || !isMember { mode &= ~Mode.setGroup }
        if mode != old.mode { change.mode = mode }
    }

    // MARK: - Extended attributes

    /// The attributes a process may see.
    func attributeNames(_ name: [UInt8]?, _ descriptor: Descriptor) throws(Refusal) -> [[UInt8]] {
        let found = try subject(name, descriptor)
        guard mount(of: found).hasAttributes else { throw Refusal(EOPNOTSUPP) }
        // Not in the order of the dictionary, which changes from process to process.
        return found.attributes.extended.keys.sorted { $1.lexicographicallyPrecedes($0) }
            .filter { identity.isRoot || AttributeSpace($0) != .trusted }
    }

    func attribute(
        _ attribute: [UInt8], _ name: [UInt8]?, _ descriptor: Descriptor
    ) throws(Refusal) -> [UInt8] {
        try checkName(attribute)
        let found = try subject(name, descriptor)
        try checkAttribute(attribute, found, writes: false)
        guard let value = found.attributes.extended[attribute] else { throw Refusal(ENODATA) }
        return value
    }

    mutating func setAttribute(
        _ attribute: [UInt8], _ value: [UInt8], _ name: [UInt8]?, _ descriptor: Descriptor
    ) throws(Refusal) {
        try checkName(attribute)
        if value.count > 65_536 { throw Refusal(E2BIG) }
        let found = try subject(name, descriptor)
        try checkWritable(found)
        if AttributeSpace(attribute) == .accessControl {
            let list = try value.isEmpty ? nil : AccessControlList(value)
            // A list of nobody takes away the one that is there.
            return try setAccessControl(attribute, list?.isEmpty == true ? nil : list, found)
        }
        try checkAttribute(attribute, found, writes: true)
        let old = found.attributes.extended
        if old[attribute] == value { return }
        let taken = old.reduce(attribute.count + value.count) { sum, other in
            other.key == attribute ? sum : sum + other.key.count + other.value.count
        }
        let mount = mount(of: found)
        if taken > mount.attributeSpace { throw Refusal(mount.spaceError) }
        try takeSpace(0, mount: found.mount)
        var change = newChange()
        change.extended = [(attribute, value)]
        objects[found.id]?.apply(change)
    }

    mutating func removeAttribute(
        _ attribute: [UInt8], _ name: [UInt8]?, _ descriptor: Descriptor
    ) throws(Refusal) {
        try checkName(attribute)
        let found = try subject(name, descriptor)
        try checkWritable(found)
        if AttributeSpace(attribute) == .accessControl {
            return try setAccessControl(attribute, nil, found)
        }
        try checkAttribute(attribute, found, writes: true)
        guard found.attributes.extended[attribute] != nil else { throw Refusal(ENODATA) }
        var change = newChange()
        change.extended = [(attribute, nil)]
        objects[found.id]?.apply(change)
    }

    private mutating func setAccessControl(
        _ attribute: [UInt8], _ list: AccessControlList?, _ found: Object
    ) throws(Refusal) {
        if found.isImmutable { throw Refusal(EPERM) }
        guard mount(of: found).hasAttributes, found.type != .symlink else {
            throw Refusal(EOPNOTSUPP)
        }
        let isDefault = attribute == AccessControlList.inherited
        if isDefault, found.type != .directory {
            if list == nil { return }
            throw Refusal(EACCES)
        }
        try checkOwner(found)
        try list?.checkValid()
        var change = newChange()
        change.extended = [(attribute, list?.bytes)]
        if !isDefault, let list {
            let mode = found.attributes.mode & ~0o777 | list.mode
            change.mode = withoutForeignGroup(mode, gid: found.attributes.gid)
            if list.isMinimal { change.extended = [(attribute, nil)] }
        }
        objects[found.id]?.apply(change)
    }

    private func checkName(_ attribute: [UInt8]) throws(Refusal) {
        guard (1...255).contains(attribute.count) else { throw Refusal(ERANGE) }
    }

    /// As the kernel's xattr_permission and the choice of a handler.
    private func checkAttribute(
        _ attribute: [UInt8], _ found: Object, writes: Bool
    ) throws(Refusal) {
        if writes, found.isImmutable { throw Refusal(EPERM) }
        let refusal = Refusal(writes ? EPERM : ENODATA)
        let space = AttributeSpace(attribute)
        switch space {
        case .trusted where !identity.isRoot: throw refusal
        case .user:
            guard found.type == .file || found.type == .directory else { throw refusal }
            try checkAccess(found, writes ? .write : .read)
        case .security where writes && !identity.isRoot: throw refusal
        case .other: try checkAccess(found, writes ? .write : .read)
        default: break
        }
        guard mount(of: found).hasAttributes, space != .other,
            space != .accessControl || found.type != .symlink
        else { throw Refusal(EOPNOTSUPP) }
        if space.prefix.count == attribute.count, space != .accessControl { throw Refusal(EINVAL) }
    }
}

extension SimulatedMount {
    /// The time it would keep.
    fileprivate func nearest(_ time: Timestamp) -> Timestamp {
        let seconds = min(max(time.seconds, times.lowerBound), times.upperBound)
        let isEdge = seconds == times.lowerBound || seconds == times.upperBound
        return Timestamp(seconds: seconds, nanoseconds: isEdge ? 0 : time.nanoseconds)
    }
}

/// Who is responsible for an attribute, by its name (xattr(7)).
enum AttributeSpace {
    case user, trusted, security, accessControl, other

    init(_ name: [UInt8]) {
        if name == AccessControlList.access || name == AccessControlList.inherited {
            self = .accessControl
        } else {
            self = [.user, .trusted, .security].first { name.starts(with: $0.prefix) } ?? .other
        }
    }

    var prefix: [UInt8] {
        switch self {
        case .user: Array("user.".utf8)
        case .trusted: Array("trusted.".utf8)
        case .security: Array("security.".utf8)
        case .accessControl, .other: []
        }
    }
}

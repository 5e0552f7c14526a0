import Glibc
import ResyncCore

/// Where a path led.
struct Place: Sendable {
    enum LastComponent: Sendable {
        case name, dot, dotDot, root
    }

    /// The directory of the last component.
    let parent: ObjectID
    let name: Name
    let last: LastComponent
    /// Nil when the directory has no such name.
    let object: ObjectID?
    /// The path ended in a slash, so that only a directory will do.
    let wantsDirectory: Bool
}

/// What to do with a symlink in the last component.
enum LastSymlink: Sendable {
    case follow, stop
    /// Not even before a trailing slash: for calls that change names.
    case leave
}

struct Access: OptionSet, Sendable {
    let rawValue: UInt16
    static let execute = Access(rawValue: 1)
    static let write = Access(rawValue: 2)
    static let read = Access(rawValue: 4)
}

extension State {
    /// Whether the process may do this to an object, by its permission bits.
    func mayAccess(_ object: Object, _ wanted: Access) -> Bool {
        if identity.isRoot { return true }
        let attributes = object.attributes
        let shift =
            attributes.uid == identity.uid ? 6 : attributes.gid == identity.gid ? 3 : 0
        return Access(rawValue: attributes.mode >> UInt16(shift)).isSuperset(of: wanted)
    }

    func checkAccess(_ object: Object, _ wanted: Access) throws(Refusal) {
        if !mayAccess(object, wanted) { throw Refusal(EACCES) }
    }

    /// Walks a path as path_resolution(7) says.
    func resolve(
        _ path: [UInt8], from start: ObjectID, _ symlink: LastSymlink, createsFile: Bool = false
    ) throws(Refusal) -> Place {
        guard !path.isEmpty else { throw Refusal(ENOENT) }
        guard path.count < 4096 else { throw Refusal(ENAMETOOLONG) }
        var current = path[0] == slash ? State.root : start
        var rest = components(path)
        var wantsDirectory = path.last == slash
        var followed = 0
        while let component = rest.popLast() {
            let directory = try searchable(current)
            let isLast = rest.isEmpty
            if component == dots(1) || component == dots(2) {
                let next = component.count == 1 ? current : directory.parent
                if isLast {
                    return Place(
                        parent: current, name: Name(component),
                        last: component.count == 1 ? .dot : .dotDot, object: next,
                        wantsDirectory: true)
                }
                current = next
                continue
            }
            // Also in the target of a symlink.
            if isLast, wantsDirectory, createsFile { throw Refusal(EISDIR) }
            guard component.count <= 255 else { throw Refusal(ENAMETOOLONG) }
            let found = directory[Name(component)]
            guard let id = found else {
                guard isLast else { throw Refusal(ENOENT) }
                return Place(
                    parent: current, name: Name(component), last: .name, object: nil,
                    wantsDirectory: wantsDirectory)
            }
            if object(id).type == .symlink, !isLast || follows(symlink, wantsDirectory) {
                followed += 1
                guard followed <= 40 else { throw Refusal(ELOOP) }
                let target = object(id).target
                if target.first == slash { current = State.root }
                if isLast, target.last == slash { wantsDirectory = true }
                rest += components(target)
                continue
            }
            if isLast {
                return Place(
                    parent: current, name: Name(component), last: .name, object: id,
                    wantsDirectory: wantsDirectory)
            }
            current = id
        }
        return Place(
            parent: current, name: Name([]), last: .root, object: current,
            wantsDirectory: true)
    }

    /// The object a path leads to.
    func find(
        _ path: [UInt8], from start: ObjectID, _ symlink: LastSymlink
    ) throws(Refusal) -> Object {
        let place = try resolve(path, from: start, symlink)
        guard let id = place.object else { throw Refusal(ENOENT) }
        let found = object(id)
        if place.wantsDirectory, found.type != .directory { throw Refusal(ENOTDIR) }
        return found
    }

    private func follows(_ symlink: LastSymlink, _ wantsDirectory: Bool) -> Bool {
        switch symlink {
        case .follow: true
        case .stop: wantsDirectory
        case .leave: false
        }
    }

    private func searchable(_ id: ObjectID) throws(Refusal) -> DirectoryData {
        let object = object(id)
        guard let directory = object.directory else { throw Refusal(ENOTDIR) }
        try checkAccess(object, .execute)
        return directory
    }
}

/// The components of a path, the last one first.
private func components(_ path: [UInt8]) -> [[UInt8]] {
    path.split(separator: slash).reversed().map { Array($0) }
}

private func dots(_ count: Int) -> [UInt8] { [UInt8](repeating: UInt8(ascii: "."), count: count) }

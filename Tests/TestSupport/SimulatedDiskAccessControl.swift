import Glibc
import ResyncCore

/// A POSIX access control list, in the form of the attributes `system.posix_acl_*`: a version of 32
/// bits, 2, then entries of a tag and permissions of 16 bits and an id of 32, all little-endian
/// (linux/posix_acl_xattr.h).
struct AccessControlList: Sendable {
    static let access = Array("system.posix_acl_access".utf8)
    /// What objects made in a directory start with.
    static let inherited = Array("system.posix_acl_default".utf8)

    private enum Tag: UInt16 {
        case owner = 1
        case user = 2
        case owningGroup = 4
        case group = 8
        case mask = 16
        case other = 32
    }

    private struct Entry {
        let tag: Tag
        var permissions: UInt16
        let id: UInt32
    }

    private var entries: [Entry] = []

    /// Refuses what is no list; whether it makes sense `checkValid` says.
    init(_ bytes: [UInt8]) throws(Refusal) {
        guard bytes.count >= 4 else { throw Refusal(EINVAL) }
        func number(_ offset: Int, _ length: Int) -> UInt32 {
            bytes[offset..<offset + length].reversed().reduce(0) { $0 << 8 | UInt32($1) }
        }
        guard number(0, 4) == 2 else { throw Refusal(EOPNOTSUPP) }
        guard bytes.count % 8 == 4 else { throw Refusal(EINVAL) }
        for start in stride(from: 4, to: bytes.count, by: 8) {
            guard let tag = Tag(rawValue: UInt16(number(start, 2))) else { throw Refusal(EINVAL) }
            let named = tag == .user || tag == .group
            entries.append(
                Entry(
                    tag: tag, permissions: UInt16(number(start + 2, 2)),
                    id: named ? number(start + 4, 4) : .max))
        }
    }

    var bytes: [UInt8] {
        var bytes: [UInt8] = [2, 0, 0, 0]
        for entry in entries {
            for value in [entry.tag.rawValue, entry.permissions] {
                bytes += [UInt8(truncatingIfNeeded: value), UInt8(truncatingIfNeeded: value >> 8)]
            }
            for shift in [0, 8, 16, 24] as [UInt32] {
                bytes.append(UInt8(truncatingIfNeeded: entry.id >> shift))
            }
        }
        return bytes
    }

    /// Each class in its order; a mask where anybody is named.
    func checkValid() throws(Refusal) {
        let tags = entries.map(\.tag)
        let isSorted = zip(tags, tags.dropFirst()).allSatisfy { $0.rawValue <= $1.rawValue }
        func count(_ tag: Tag) -> Int { tags.count { $0 == tag } }
        let once = [Tag.owner, .owningGroup, .other].allSatisfy { count($0) == 1 }
        let masks = count(.mask)
        guard isSorted, once, masks == 1 || (masks == 0 && isMinimal),
            entries.allSatisfy({ $0.permissions <= 7 })
        else { throw Refusal(EINVAL) }
    }

    var isEmpty: Bool { entries.isEmpty }

    /// It says no more than a mode does.
    var isMinimal: Bool {
        entries.allSatisfy { $0.tag == .owner || $0.tag == .owningGroup || $0.tag == .other }
    }

    /// The permission bits of an object that has this list.
    var mode: UInt16 {
        func permissions(_ tag: Tag) -> UInt16? { entries.first { $0.tag == tag }?.permissions }
        let group = permissions(.mask) ?? permissions(.owningGroup) ?? 0
        return (permissions(.owner) ?? 0) << 6 | group << 3 | (permissions(.other) ?? 0)
    }

    /// After the mode was set.
    func limited(to mode: UInt16) -> AccessControlList {
        let hasMask = entries.contains { $0.tag == .mask }
        var list = self
        for index in list.entries.indices {
            switch list.entries[index].tag {
            case .owner: list.entries[index].permissions = mode >> 6 & 7
            case .mask: list.entries[index].permissions = mode >> 3 & 7
            case .owningGroup where !hasMask: list.entries[index].permissions = mode >> 3 & 7
            case .other: list.entries[index].permissions = mode & 7
            default: break
            }
        }
        return list
    }
}

extension Attributes {
    /// The list that goes beyond the mode, if there is one.
    var accessControl: AccessControlList? {
        extended[AccessControlList.access].flatMap { try? AccessControlList($0) }
    }

    /// What a new object takes over: with a default list neither the mode it was asked for nor the
    /// umask alone decides.
    mutating func inherit(_ directory: Attributes, _ type: EntryType, _ umask: UInt16) {
        guard let bytes = directory.extended[AccessControlList.inherited],
            let list = try? AccessControlList(bytes)
        else {
            mode &= ~umask
            return
        }
        let given = list.limited(to: list.mode & mode)
        mode = mode & ~0o777 | given.mode
        if !given.isMinimal { extended[AccessControlList.access] = given.bytes }
        if type == .directory { extended[AccessControlList.inherited] = bytes }
    }
}

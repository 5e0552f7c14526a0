import Glibc
package import ResyncCore
import Synchronization

/// Completes a stat to an entry with what the comparison asks for beyond it.
struct EntryDetails {
    private let site: LocalSite

    init(_ site: LocalSite) { self.site = site }

    /// Of an open descriptor.
    func entry(_ stat: Stat, _ descriptor: Descriptor) throws(DiskError) -> Entry {
        guard site.needsDetails else { return Entry(stat: stat) }
        let attributes = try attributes(nil, descriptor)
        return Entry(
            stat: stat, xattrs: attributes.xattrs, acl: attributes.acl, owner: owner(of: stat))
    }

    /// Of a name that is not opened.
    func entry(
        _ stat: Stat, _ name: UnsafePointer<CChar>, in directory: Descriptor
    ) throws(DiskError) -> Entry {
        let target =
            stat.type == .symlink ? try site.disk.readLink(name, in: directory) : nil
        let attributes = try attributes(name, directory)
        return Entry(
            stat: stat, target: target, xattrs: attributes.xattrs, acl: attributes.acl,
            owner: owner(of: stat))
    }

    private func owner(of stat: Stat) -> OwnerNames? {
        guard site.options.owners == .name else { return nil }
        return site.owners.names(uid: stat.uid, gid: stat.gid)
    }

    private func attributes(
        _ name: UnsafePointer<CChar>?, _ descriptor: Descriptor
    ) throws(DiskError) -> (xattrs: Digest?, acl: Digest?) {
        let wanted = site.options.details
        guard wanted.contains(.xattrs) || wanted.contains(.acl) else { return (nil, nil) }
        let all = try site.disk.allAttributes(of: name, descriptor)
        return (
            wanted.contains(.xattrs) ? attributesDigest(all.filter { !$0.isAccessList }) : nil,
            wanted.contains(.acl) ? attributesDigest(all.filter { $0.isAccessList }) : nil
        )
    }
}

/// SHA-256 over each name and value in name order, each led by its length as a little-endian 64-bit
/// number.
///
/// - Precondition: they come in name order.
private func attributesDigest(_ attributes: [Attribute]) -> Digest {
    guard var hash = try? EVPHash(.sha256) else {
        preconditionFailure("OpenSSL has no SHA-256")
    }
    for attribute in attributes {
        for part in [attribute.name, attribute.value] {
            withUnsafeBytes(of: UInt64(part.count).littleEndian) { hash.update($0) }
            hash.update(part)
        }
    }
    return hash.finalize()
}

extension Attribute {
    var isAccessList: Bool { name.starts(with: Array("system.posix_acl_".utf8)) }
}

extension Entry {
    /// Whether an object with these attributes, in name order, has those of the entry, as far as
    /// that knows its own.
    package func hasAttributes(_ all: [Attribute]) -> Bool {
        (xattrs.map { $0 == attributesDigest(all.filter { !$0.isAccessList }) } ?? true)
            && (acl.map { $0 == attributesDigest(all.filter { $0.isAccessList }) } ?? true)
    }
}

/// Users' and groups' names by number, looked up once each.
final class OwnerTable: Sendable {
    private let known = Mutex<(users: [UInt32: [UInt8]], groups: [UInt32: [UInt8]])>(([:], [:]))

    func names(uid: UInt32, gid: UInt32) -> OwnerNames {
        known.withLock { known in
            let user = known.users[uid] ?? Self.user(uid)
            let group = known.groups[gid] ?? Self.group(gid)
            known.users[uid] = user
            known.groups[gid] = group
            return OwnerNames(user: user, group: group)
        }
    }

    private static let bufferSize = 64 << 10

    private static func user(_ uid: UInt32) -> [UInt8] {
        var record = passwd()
        var found: UnsafeMutablePointer<passwd>?
        var buffer = [CChar](repeating: 0, count: bufferSize)
        guard getpwuid_r(uid, &record, &buffer, bufferSize, &found) == 0, found != nil,
            let name = record.pw_name
        else { return Array(String(uid).utf8) }
        return bytes(name)
    }

    private static func group(_ gid: UInt32) -> [UInt8] {
        var record = Glibc.group()
        var found: UnsafeMutablePointer<Glibc.group>?
        var buffer = [CChar](repeating: 0, count: bufferSize)
        guard getgrgid_r(gid, &record, &buffer, bufferSize, &found) == 0, found != nil,
            let name = record.gr_name
        else { return Array(String(gid).utf8) }
        return bytes(name)
    }

    private static func bytes(_ text: UnsafePointer<CChar>) -> [UInt8] {
        UnsafeRawBufferPointer(start: text, count: strlen(text)).map { $0 }
    }
}

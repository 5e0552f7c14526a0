/// An entry as it was seen on one side: what a plan wants it to be, or expects it to be still.
package struct ObservedEntry: Sendable, Hashable {
    /// Its `mount` and `allocated` are not kept.
    package var entry: Entry
    /// Of a file that was read: the digest of its tree of blocks, as in a manifest.
    package var content: Digest?

    package init(entry: Entry, content: Digest? = nil) {
        self.entry = entry
        self.content = content
    }

    package var stat: Stat { entry.stat }
    package var type: EntryType { entry.stat.type }
    package var isDirectory: Bool { type == .directory }
    /// Whether there are other names of the same object.
    package var hasMoreNames: Bool { type != .directory && stat.links > 1 }

    /// Whether an object still is the one that was seen. The ctime is left aside, since renaming
    /// moves it on some file systems, and so is the number of names, which falls when other names
    /// of the object are replaced. A directory's size and times move with its entries.
    package func isStill(_ now: Stat) -> Bool {
        guard now.type == type, now.inode == stat.inode, hasSameMetadata(as: now) else {
            return false
        }
        if isDirectory { return true }
        return now.size == stat.size && now.mtime == stat.mtime
    }

    /// Whether mode and owner are as they were. A symlink's mode means nothing.
    private func hasSameMetadata(as now: Stat) -> Bool {
        now.uid == stat.uid && now.gid == stat.gid
            && (type == .symlink || now.mode == stat.mode)
    }
}

/// An extended attribute; access control lists are among them.
package struct Attribute: Sendable, Hashable {
    package let name: [UInt8]
    package let value: [UInt8]

    package init(name: [UInt8], value: [UInt8]) {
        self.name = name
        self.value = value
    }
}

extension ByteWriter {
    mutating func observed(_ observed: ObservedEntry?) {
        guard let observed else { return byte(0) }
        let stat = observed.stat
        byte(stat.type.rawValue)
        number(UInt64(stat.mode))
        number(UInt64(stat.uid))
        number(UInt64(stat.gid))
        number(stat.size)
        time(stat.mtime)
        time(stat.ctime)
        number(stat.inode)
        number(UInt64(stat.links))
        number(UInt64(stat.device.major))
        number(UInt64(stat.device.minor))
        number(UInt64(stat.special.major))
        number(UInt64(stat.special.minor))
        if stat.type == .symlink { string(observed.entry.target ?? []) }
        for digest in [observed.entry.xattrs, observed.entry.acl, observed.content] {
            byte(digest == nil ? 0 : 1)
            if let digest { self.digest(digest) }
        }
    }
}

extension ByteReader {
    mutating func observed() throws(FormatError) -> ObservedEntry? {
        let kind = try byte()
        guard kind != 0 else { return nil }
        guard let type = EntryType(rawValue: kind) else {
            throw FormatError("unknown type", at: at)
        }
        var stat = Stat(type: type)
        stat.mode = UInt16(try int(limit: 0o7777))
        stat.uid = try number32()
        stat.gid = try number32()
        stat.size = try int()
        stat.mtime = try time()
        stat.ctime = try time()
        stat.inode = try number()
        stat.links = try number32()
        stat.device = DeviceNumber(major: try number32(), minor: try number32())
        stat.special = DeviceNumber(major: try number32(), minor: try number32())
        let target = type == .symlink ? try string(limit: ManifestLimit.target) : nil
        let xattrs = try optionalDigest()
        let acl = try optionalDigest()
        let entry = Entry(stat: stat, target: target, xattrs: xattrs, acl: acl)
        return ObservedEntry(entry: entry, content: try optionalDigest())
    }

    mutating func optionalDigest() throws(FormatError) -> Digest? {
        switch try byte() {
        case 0: nil
        case 1: try digest()
        default: throw FormatError("neither yes nor no", at: at)
        }
    }
}

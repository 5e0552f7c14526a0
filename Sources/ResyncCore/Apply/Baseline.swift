/// What both sides of a pair were last proven to share in one entry, and each side's stat then.
package struct BaselineRecord: Sendable, Hashable {
    package var path: RelativePath
    /// Type, size, mode, owner, target, attributes and content; its times and inode mean nothing.
    package var agreed: ObservedEntry
    package var witnesses: Sides<Witness>
    /// What was compared.
    package var aspects: AspectSet
    /// Whether its times lay so close to the reading that an unchanged stat proves nothing.
    package var isRacy = false
    /// `media` or `hash`.
    package var level: Assurance
    /// No later than the reading.
    package var time: Timestamp

    /// By what an object on one side is known to have been left alone.
    package struct Witness: Sendable, Hashable {
        package var inode: UInt64
        package var device: DeviceNumber
        package var mtime: Timestamp
        package var ctime: Timestamp

        package init(
            inode: UInt64, device: DeviceNumber, mtime: Timestamp, ctime: Timestamp
        ) {
            self.inode = inode
            self.device = device
            self.mtime = mtime
            self.ctime = ctime
        }

        package init(_ stat: Stat) {
            self.init(
                inode: stat.inode, device: stat.device, mtime: stat.mtime, ctime: stat.ctime)
        }
    }

    package init(
        path: RelativePath, agreed: ObservedEntry, witnesses: Sides<Witness>, aspects: AspectSet,
        level: Assurance, time: Timestamp
    ) {
        self.aspects = aspects
        self.path = path
        self.agreed = agreed
        self.witnesses = witnesses
        self.level = level
        self.time = time
    }

    /// Whether anything tells that a side's object was touched since. The device number is none of
    /// it: it changes from boot to boot.
    package func hasMoved(_ now: Stat, on side: Side) -> Bool {
        wasTouched(now, on: side) || (now.type == .file && now.size != agreed.stat.size)
    }

    /// Whether a kernel can have changed it since: none changes a size and no time.
    package func wasTouched(_ now: Stat, on side: Side) -> Bool {
        let then = witnesses[side]
        return now.type != agreed.type || now.inode != then.inode
            || now.mtime != then.mtime || now.ctime != then.ctime
    }

    /// The aspects, of those asked for, in which a side's entry is not what was proven. What was
    /// not read or not compared then is not compared.
    package func changes(
        to now: ObservedEntry, on side: Side, in aspects: AspectSet
    ) -> AspectSet {
        let (old, new) = (agreed.stat, now.stat)
        guard old.type == new.type else { return AspectSet(.type) }
        var found: AspectSet = []
        if old.type == .file, old.size != new.size { found.insert(.size) }
        if let then = agreed.content, let current = now.content, then != current {
            found.insert(.content)
        }
        if old.type == .symlink, agreed.entry.target != now.entry.target { found.insert(.target) }
        if old.type != .symlink, old.mode != new.mode { found.insert(.mode) }
        if old.uid != new.uid || old.gid != new.gid { found.insert(.owner) }
        if witnesses[side].mtime != new.mtime, !isAloneInTime(now) { found.insert(.mtime) }
        if let then = agreed.entry.xattrs, let current = now.entry.xattrs, then != current {
            found.insert(.xattrs)
        }
        if let then = agreed.entry.acl, let current = now.entry.acl, then != current {
            found.insert(.acl)
        }
        if old.type.isDevice, old.special != new.special { found.insert(.device) }
        return found.intersection(aspects).intersection(self.aspects)
    }

    /// Our own marker moves the root's time.
    private func isAloneInTime(_ now: ObservedEntry) -> Bool { path == .root && now.isDirectory }

    /// The same, seen with the sides exchanged.
    package var swapped: BaselineRecord {
        var swapped = self
        swapped.witnesses = witnesses.swapped
        return swapped
    }
}

/// What a baseline says before its first record.
package struct BaselineHeader: Sendable, Hashable {
    package var identities: Sides<StoreIdentity>
    /// Bytes of a block in the digests of files; these are SHA-256.
    package var blockSize: Int
    /// SHA-256 over the canonical bytes of the exclusions.
    package var exclusions: Digest
    package var written: Timestamp
    package var tool: [UInt8]
    /// The id of the baseline it was made from.
    package var previous: Digest?

    package init(
        identities: Sides<StoreIdentity>, blockSize: Int, exclusions: Digest, written: Timestamp
    ) {
        self.identities = identities
        self.blockSize = blockSize
        self.exclusions = exclusions
        self.written = written
        tool = []
    }
}

package import ResyncCore

/// The file `.resync-store` at the root of a directory store: by it a store is known again.
package enum MarkerFile {
    static let name = Array(".resync-store".utf8)
    private static let temporary = Array(".resync-store.new".utf8)
    package static let magic = Array("resync-marker\n".utf8)

    /// Whether a directory is a store of its own, by a marker that lies in it.
    package static func isIn(_ path: [UInt8], _ disk: any Disk) -> Bool {
        guard let file = try? InputFile.open(path: path + [slash] + name, disk: disk) else {
            return false
        }
        return (try? file.read(at: 0, count: magic.count)) == magic
    }
    private static let kind: UInt8 = 1
    private static let sizeLimit = 4096

    /// What the marker says; nil where there is none. An image or device has none.
    ///
    /// - Throws: `StoreError` where what lies there cannot be a marker of ours.
    package static func read(_ site: LocalSite) throws -> StoreMarker? {
        guard site.facts.kind == .directory else { return nil }
        func refused(_ why: String) -> StoreError {
            StoreError(
                path: site.facts.path, reason: "has a marker that cannot be used: it \(why)")
        }
        do {
            let descriptor = try withCString(name) { (name) throws(DiskError) -> Descriptor in
                let stat = try site.disk.stat(name, in: site.descriptor)
                guard stat.type == .file else {
                    throw DiskError(.openat, ErrorNumber.tooManyLinks)
                }
                return try site.disk.openQuietly(
                    name, in: site.descriptor, [.readOnly, .noFollow, .nonBlocking])
            }
            defer { site.disk.close(descriptor) }
            let stat = try site.disk.stat(descriptor)
            guard stat.type == .file else { throw refused("is a \(stat.type.word)") }
            guard stat.links == 1 else { throw refused("has several names") }
            guard stat.size <= sizeLimit else { throw refused("is too large") }
            let bytes = try site.disk.readAll(descriptor, at: 0, count: sizeLimit + 1)
            return try decode(bytes)
        } catch let error as DiskError {
            switch error.number {
            case ErrorNumber.noEntry: return nil
            case ErrorNumber.tooManyLinks: throw refused("is no regular file")
            default: throw refused("cannot be read: \(error.sentence)")
            }
        } catch let error as FormatError {
            throw refused(error.reason)
        }
    }

    /// Changes what the marker says, durably, or makes one, though other runs that have the store
    /// for their source may be doing the same.
    ///
    /// - Returns: what it says now.
    @discardableResult
    package static func change(
        _ site: LocalSite, _ body: (inout StoreMarker) throws -> Void
    ) throws -> StoreMarker {
        let own = try withCString([UInt8(ascii: ".")]) { (name) throws(DiskError) in
            try site.disk.openDirectory(name, in: site.descriptor)
        }
        defer { site.disk.close(own) }
        do {
            while try !site.isLockedForUs && !site.disk.lock(own, exclusive: true) {
                pause(milliseconds: 10)
            }
        } catch let error as DiskError where error.isOfUnknownLock {
            // Whoever locked the site was told: a directory cannot be opened for writing.
        }
        let found = try read(site)
        var marker = try found ?? StoreMarker(new: site.identity)
        try body(&marker)
        if marker != found { try write(marker, to: site) }
        return marker
    }

    /// Puts a marker in place, durably: after a crash the old or the new one is there.
    package static func write(_ marker: StoreMarker, to site: LocalSite) throws(DiskError) {
        let (disk, root) = (site.disk, site.descriptor)
        try disk.keepingTime(of: root) { () throws(DiskError) in
            try place(marker, disk, root)
        }
        try disk.sync(root)
    }

    private static func place(
        _ marker: StoreMarker, _ disk: any Disk, _ root: Descriptor
    ) throws(DiskError) {
        try withCString(temporary) { (new) throws(DiskError) in
            do throws(DiskError) {
                try disk.remove(new, in: root, isDirectory: false)
                // A name that outlives its removal could take the place of the new file's.
                try disk.sync(root)
            } catch {
                guard error.number == ErrorNumber.noEntry else { throw error }
            }
            let file = try disk.open(
                new, in: root, [.readWrite, .create, .exclusive, .noFollow], mode: 0o600)
            do throws(DiskError) {
                defer { disk.close(file) }
                try disk.writeAll(file, encode(marker), at: 0)
                try disk.sync(file)
            } catch {
                try? disk.remove(new, in: root, isDirectory: false)
                throw error
            }
            try withCString(name) { (name) throws(DiskError) in
                try disk.rename(new, in: root, to: name, in: root, .replace)
            }
        }
    }

    private static func hash() -> EVPHash {
        guard let hash = try? EVPHash(.sha256) else {
            preconditionFailure("OpenSSL has no SHA-256")
        }
        return hash
    }

    package static func encode(_ marker: StoreMarker) -> [UInt8] {
        var writer = ByteWriter()
        writer.marker(marker)
        if let followed = marker.followed { writer.digest(followed) }
        var frames = FrameWriter(magic: magic, hash: hash(), chain: hash())
        return frames.start() + frames.frame(kind, writer.bytes)
    }

    /// - Throws: `FormatError`
    package static func decode(_ bytes: [UInt8]) throws -> StoreMarker {
        let read: ReadBytes = { offset, count in
            let start = min(offset, bytes.count)
            return Array(bytes[start..<min(bytes.count, start + count)])
        }
        var frames = FrameReader(magic: magic, hash: hash(), chain: hash())
        try frames.start(read)
        guard let frame = try frames.next(read), frame.kind == kind, frames.offset == bytes.count
        else { throw FormatError("is damaged") }
        var payload = ByteReader(frame.payload)
        var marker = try payload.marker()
        // Those that were written first had none.
        if !payload.isAtEnd { marker.followed = try payload.digest() }
        guard payload.isAtEnd else { throw FormatError("is damaged") }
        return marker
    }
}

extension Disk {
    /// Does something of ours in a store's root, whose time then still tells of its user's doings.
    func keepingTime<R>(
        of root: Descriptor, _ body: () throws(DiskError) -> R
    ) throws(DiskError) -> R {
        let before = try stat(root).mtime
        let result = try body()
        if try stat(root).mtime != before {
            try setTimes(modified: before, of: nil, root)
        }
        return result
    }
}

extension LocalSite {
    /// By what the store can be known again. A device is known by its own number, and by what the
    /// kernel knows of what is behind it: another disk can come to have that number.
    package var identity: StoreIdentity {
        StoreIdentity(
            fileSystem: serial ?? facts.fileSystem.identity, inode: facts.stat.inode,
            device: facts.kind == .device ? facts.stat.special : facts.stat.device)
    }

    /// Whether its identity is that of any device with its number.
    package var isNamelessDevice: Bool { facts.kind == .device && serial == nil }
}

extension StoreMarker {
    /// A marker for a store that had none.
    package init(new identity: StoreIdentity) throws(HashingError) {
        guard let store = Digest(bytes: try randomBytes(Digest.byteCount)) else {
            throw HashingError(call: "RAND_bytes")
        }
        self.init(store: store, identity: identity)
    }
}

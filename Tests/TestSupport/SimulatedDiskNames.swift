import ResyncCore

/// What the builder is made of: changes for good, by somebody whom nothing stops.
extension Object {
    /// The same in the cache, on the medium and after a power loss; no page is resident.
    mutating func replaceContent(_ body: (inout SparseContent) -> Void) {
        var content = SparseContent()
        body(&content)
        file = FileData(cache: content, medium: content, durable: content)
    }

    mutating func take(_ given: Ownership) {
        if let mode = given.mode { attributes.mode = mode }
        if let uid = given.uid { attributes.uid = uid }
        if let gid = given.gid { attributes.gid = gid }
        if let mtime = given.mtime { attributes.mtime = mtime }
        if let ctime = given.ctime { attributes.ctime = ctime }
        if let inode = given.inode { self.inode = inode }
    }
}

extension State {
    /// What a path leads to, for whom nothing is forbidden.
    func known(_ path: some ByteString) -> ObjectID {
        guard let id = lookUp(path) else {
            preconditionFailure("no such entry: \(escaped(path.byteString))")
        }
        return id
    }

    func lookUp(_ path: some ByteString) -> ObjectID? {
        var asRoot = self
        asRoot.identity.isRoot = true
        let full = absolutePath(path.byteString)
        return try? asRoot.find(full.isEmpty ? [slash] : full, from: State.root, .stop).id
    }

    /// Where a name is or would be; the directory must be there.
    func slot(_ path: some ByteString) -> Slot {
        let full = RelativePath(absolutePath(path.byteString))
        precondition(full.lastName.isValid, "not a name: \(escaped(path.byteString))")
        return Slot(directory: known(full.parent.bytes), name: full.lastName)
    }

    /// Where a name would be; missing directories are made.
    mutating func freeSlot(_ path: some ByteString) -> Slot {
        let full = RelativePath(absolutePath(path.byteString))
        var missing: [RelativePath] = []
        var parent = full.parent
        while lookUp(parent.bytes) == nil {
            missing.append(parent)
            parent = parent.parent
        }
        for directory in missing.reversed() {
            let slot = slot(directory.bytes)
            let id = makeObject(
                .directory, mount: object(slot.directory).mount, parent: slot.directory,
                mode: 0o755)
            applyDurably(.add(slot, id))
        }
        precondition(lookUp(full.bytes) == nil, "already there: \(escaped(full.bytes))")
        return slot(full.bytes)
    }

    func slotsBelow(_ slot: Slot) -> [Slot] {
        var found = [slot]
        var next = 0
        while next < found.count {
            if let id = objects[found[next].directory]?.directory?[found[next].name],
                let directory = object(id).directory
            {
                found += directory.all.map { Slot(directory: id, name: $0.name) }
            }
            next += 1
        }
        return found
    }

    mutating func applyDurably(_ kind: NameChange.Kind) {
        apply(kind)
        makeLastNameDurable()
        for slot in kind.slots { objects[slot.directory]?.makeAttributesDurable() }
    }

    /// Changes an object for good; its ctime moves unless `body` sets it.
    mutating func changeObject(_ id: ObjectID, _ body: (inout Object) -> Void) {
        var object = object(id)
        object.attributes.ctime = now
        body(&object)
        object.makeAttributesDurable()
        objects[id] = object
    }

    mutating func move(_ root: ObjectID, toMount mount: Int) {
        var rest = [root]
        while let id = rest.popLast() {
            objects[id]?.mount = mount
            objects[id]?.inode = nextInode[mount]
            nextInode[mount] += 1
            rest += objects[id]?.directory?.all.map(\.object) ?? []
        }
    }
}

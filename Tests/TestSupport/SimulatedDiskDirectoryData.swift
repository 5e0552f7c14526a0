import ResyncCore

/// The names of one directory, in the order in which they are listed.
struct DirectoryData: Sendable {
    var parent: ObjectID
    /// Removed from the tree, yet still open somewhere.
    var isRemoved = false
    /// Names that differ only in the case of letters are one.
    var foldsCase = false
    /// By folded name where case is folded.
    private var entries: [Name: Entry] = [:]
    /// In order of `cookie`; nil where a name was removed.
    private var slots: [(cookie: Int, name: Name?)] = []
    private var nextCookie = 1

    private struct Entry: Sendable {
        var object: ObjectID
        let cookie: Int
    }

    init(parent: ObjectID) { self.parent = parent }

    var isEmpty: Bool { entries.isEmpty }
    var count: Int { entries.count }
    var all: [(name: Name, object: ObjectID)] {
        slots.compactMap { slot in
            slot.name.flatMap { name in entries[key(name)].map { (name, $0.object) } }
        }
    }

    subscript(name: Name) -> ObjectID? { entries[key(name)]?.object }

    private func key(_ name: Name) -> Name {
        guard foldsCase else { return name }
        return Name(name.bytes.map { (0x41...0x5a).contains($0) ? $0 + 0x20 : $0 })
    }

    /// A name that is there already keeps its place in the listing.
    mutating func set(_ name: Name, _ object: ObjectID) {
        if entries[key(name)] != nil {
            entries[key(name)]?.object = object
            return
        }
        entries[key(name)] = Entry(object: object, cookie: nextCookie)
        slots.append((nextCookie, name))
        nextCookie += 1
    }

    mutating func remove(_ name: Name) {
        guard let entry = entries.removeValue(forKey: key(name)) else { return }
        slots[firstSlot(after: entry.cookie - 1)].name = nil
        if slots.count > 64, slots.count > entries.count * 2 {
            slots.removeAll { $0.name == nil }
        }
    }

    /// The next names after `cursor` that fit into `space` bytes of directory records, and the
    /// cursor behind them.
    func names(
        after cursor: Int, space: Int
    ) -> (names: [(name: Name, object: ObjectID)], cursor: Int) {
        var found: [(Name, ObjectID)] = []
        var used = 0
        var reached = cursor
        for slot in slots[firstSlot(after: cursor)...] {
            if let name = slot.name, let entry = entries[key(name)] {
                used += (19 + name.bytes.count + 1 + 7) / 8 * 8
                if used > space { break }
                found.append((name, entry.object))
            }
            reached = slot.cookie
        }
        return (found, reached)
    }

    private func firstSlot(after cookie: Int) -> Int {
        var low = 0
        var high = slots.count
        while low < high {
            let middle = (low + high) / 2
            if slots[middle].cookie > cookie { high = middle } else { low = middle + 1 }
        }
        return low
    }
}

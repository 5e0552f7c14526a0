import ResyncCore
import Synchronization

/// A change of names that a power loss may undo.
struct NameChange: Sendable {
    enum Kind: Sendable {
        case add(Slot, ObjectID)
        case remove(Slot)
        case move(Slot, to: Slot)
    }

    enum Durability: Sendable {
        case pending, durable
        /// A sync of its directory failed: no later one makes it durable.
        case forgotten
    }

    /// Its place among all changes of the disk.
    let sequence: Int
    let kind: Kind
    var durability = Durability.pending

    var slots: [Slot] {
        switch kind {
        case .add(let slot, _), .remove(let slot): [slot]
        case .move(let old, let new): [old, new]
        }
    }
}

/// What becomes of the changes that were not synced. They are numbered from 0 in the order in which
/// they were made, writes, truncations and changes of names together.
package enum CrashPolicy: Sendable {
    case keepAll, dropAll
    case dropOnly(Int), keepOnly(Int)
    /// Each is kept, dropped or, when it is a write, torn, by the seed.
    case random
}

/// Which changes of names may outlive an earlier one that is lost.
package enum NameOrder: Sendable, CaseIterable {
    /// None: what is kept is a beginning of what was done.
    case ordered
    /// Those in other directories.
    case orderedInDirectory
    /// Any.
    case unordered
}

private enum Fate {
    case kept, dropped, torn
}

extension SimulatedDisk {
    /// How many changes a power loss now could undo.
    package var unsyncedChanges: Int { state.withLock { $0.unsynced.count } }

    /// The disk as it is after the power came back: nothing open, nothing cached, no fault laid,
    /// no call counted. This disk goes on as if nothing had happened.
    package func crash(
        keeping policy: CrashPolicy, order: NameOrder = .unordered, seed: UInt64 = 0
    ) -> SimulatedDisk {
        SimulatedDisk(
            state.withLock { state in
                var random = Seed(seed)
                return state.crashed(policy, order, &random)
            })
    }
}

extension State {
    fileprivate var unsynced: [Int] {
        let writes = objects.values.flatMap { $0.file?.unsynced.map(\.sequence) ?? [] }
        let names = nameChanges.filter { $0.durability != .durable }.map(\.sequence)
        return (writes + names).sorted()
    }

    /// A sync of a directory keeps its names, and what led to them in other directories.
    mutating func makeNamesDurable(_ directory: ObjectID) {
        var needed: Set<Slot> = []
        for index in nameChanges.indices.reversed()
        where nameChanges[index].durability != .forgotten {
            let slots = nameChanges[index].slots
            guard slots.contains(where: { $0.directory == directory || needed.contains($0) })
            else { continue }
            nameChanges[index].durability = .durable
            needed.formUnion(slots)
        }
        settleNames()
    }

    /// What the builder does is durable at once.
    mutating func makeLastNameDurable() {
        nameChanges[nameChanges.count - 1].durability = .durable
        settleNames()
    }

    mutating func forgetNameChanges(in directory: ObjectID) {
        for index in nameChanges.indices where nameChanges[index].durability == .pending {
            if nameChanges[index].slots.contains(where: { $0.directory == directory }) {
                nameChanges[index].durability = .forgotten
            }
        }
    }

    /// Only a durable beginning can leave the list: a later change stands on the earlier ones.
    private mutating func settleNames() {
        let end =
            nameChanges.firstIndex { $0.durability != .durable } ?? nameChanges.endIndex
        if end == nameChanges.startIndex { return }
        // Taken out while it changes: as a part of `self` each change would copy all of it.
        var names = durableNames
        durableNames = [:]
        for change in nameChanges[..<end] { replay(change.kind, &names) }
        durableNames = names
        nameChanges.removeFirst(end)
    }

    fileprivate func crashed(
        _ policy: CrashPolicy, _ order: NameOrder, _ random: inout Seed
    ) -> State {
        var fates: [Int: Fate] = [:]
        for (index, sequence) in unsynced.enumerated() {
            fates[sequence] = fate(index, policy, &random)
        }
        var names = durableNames
        for change in keptNames(fates, order) { replay(change.kind, &names) }
        var after = State(identity: identity)
        after.mounts = mounts
        after.nextInode = nextInode
        after.nextObject = nextObject
        after.now = now.adding(seconds: 60)
        after.rebuild(self, names) { survivor($0, policy, fates, &random) }
        return after
    }

    private func fate(_ index: Int, _ policy: CrashPolicy, _ random: inout Seed) -> Fate {
        switch policy {
        case .keepAll: .kept
        case .dropAll: .dropped
        case .dropOnly(let one): index == one ? .dropped : .kept
        case .keepOnly(let one): index == one ? .kept : .dropped
        case .random: [Fate.kept, .dropped, .torn][Int.random(in: 0..<3, using: &random)]
        }
    }

    /// The changes of names that survive. A torn change of names is a kept one: a rename happens or
    /// it does not.
    private func keptNames(_ fates: [Int: Fate], _ order: NameOrder) -> [NameChange] {
        var isSafe = nameChanges.map { $0.durability == .durable }
        // What a durable change stands on is durable as well.
        var safeDirectories: Set<ObjectID> = []
        for index in nameChanges.indices.reversed() {
            let directories = nameChanges[index].slots.map(\.directory)
            switch order {
            case .ordered: if !safeDirectories.isEmpty { isSafe[index] = true }
            case .orderedInDirectory:
                if !safeDirectories.isDisjoint(with: directories) { isSafe[index] = true }
            case .unordered: break
            }
            if isSafe[index] { safeDirectories.formUnion(directories) }
        }
        var lost: Set<ObjectID> = []
        return nameChanges.indices.compactMap { index in
            let change = nameChanges[index]
            let directories = change.slots.map(\.directory)
            var survives = isSafe[index] || fates[change.sequence] != .dropped
            switch order {
            case .ordered: if !isSafe[index], !lost.isEmpty { survives = false }
            case .orderedInDirectory:
                if !isSafe[index], !lost.isDisjoint(with: directories) { survives = false }
            case .unordered: break
            }
            if !survives { lost.formUnion(directories) }
            return survives ? change : nil
        }
    }

    /// Carries a change out as a file system would: what is impossible without an earlier change
    /// that was lost does not happen.
    private func replay(_ kind: NameChange.Kind, _ names: inout [ObjectID: [Name: ObjectID]]) {
        switch kind {
        case .add(let slot, let id):
            if names[slot.directory]?[slot.name] == nil {
                names[slot.directory, default: [:]][slot.name] = id
            }
        case .remove(let slot):
            guard let id = names[slot.directory]?[slot.name], names[id]?.isEmpty ?? true else {
                return
            }
            names[slot.directory]?[slot.name] = nil
        case .move(let old, let new):
            guard let id = names[old.directory]?[old.name] else { return }
            if let target = names[new.directory]?[new.name] {
                let isOccupied = !(names[target]?.isEmpty ?? true)
                if isOccupied || object(target).type != object(id).type { return }
            }
            if object(id).type == .directory, reaches(new.directory, from: id, names) { return }
            names[old.directory]?[old.name] = nil
            names[new.directory, default: [:]][new.name] = id
        }
    }

    private func reaches(
        _ directory: ObjectID, from start: ObjectID, _ names: [ObjectID: [Name: ObjectID]]
    ) -> Bool {
        var rest = [start]
        while let next = rest.popLast() {
            if next == directory { return true }
            rest += names[next]?.values.filter { object($0).type == .directory } ?? []
        }
        return false
    }

    /// Builds what can be reached from the root, children in byte order so that the seed decides
    /// the same way every time.
    private mutating func rebuild(
        _ before: State, _ names: [ObjectID: [Name: ObjectID]],
        _ survivor: (ObjectID) -> Object
    ) {
        objects = [State.root: survivor(State.root)]
        durableNames = [:]
        var rest = [State.root]
        while let id = rest.popLast() {
            guard let inside = names[id], !inside.isEmpty else { continue }
            durableNames[id] = inside
            let children = inside.sorted {
                $0.key.bytes.lexicographicallyPrecedes($1.key.bytes)
            }
            for (name, child) in children {
                if objects[child] == nil { objects[child] = survivor(child) }
                objects[id]?.directory?.set(name, child)
                objects[child]?.names += 1
                objects[child]?.directory?.parent = id
                if before.object(child).type == .directory { rest.append(child) }
            }
        }
    }

    /// An object as the medium has it.
    private func survivor(
        _ id: ObjectID, _ policy: CrashPolicy, _ fates: [Int: Fate], _ random: inout Seed
    ) -> Object {
        let old = object(id)
        let keepsAttributes =
            switch policy {
            case .keepAll: true
            case .dropAll: false
            default: Bool.random(using: &random)
            }
        var object = Object(
            id: id, type: old.type, inode: old.inode, mount: old.mount,
            attributes: keepsAttributes ? old.attributes : old.durableAttributes)
        object.target = old.target
        object.special = old.special
        if old.directory != nil { object.directory = DirectoryData(parent: State.root) }
        guard let file = old.file else { return object }
        var content = file.durable
        for change in file.unsynced {
            content.replay(change.kind, fates[change.sequence] ?? .kept, &random)
        }
        object.file = FileData(cache: content, medium: content, durable: content)
        return object
    }
}

extension SparseContent {
    /// A torn write reaches the medium in some of its 512-byte sectors, yet the size grows as if it
    /// had reached all: that is how zeros come into files.
    fileprivate mutating func replay(
        _ kind: FileChange.Kind, _ fate: Fate, _ random: inout Seed
    ) {
        if fate == .dropped { return }
        switch kind {
        case .truncate(let newSize): resize(to: newSize)
        case .write(let bytes, let offset):
            guard fate == .torn else {
                write(bytes, at: offset)
                return
            }
            let end = offset + bytes.count
            var start = offset
            while start < end {
                let next = min(end, (start / 512 + 1) * 512)
                if Bool.random(using: &random) {
                    write(Array(bytes[(start - offset)..<(next - offset)]), at: start)
                }
                start = next
            }
            if size < end { resize(to: end) }
        }
    }
}

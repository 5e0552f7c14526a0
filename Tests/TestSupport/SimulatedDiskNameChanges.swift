import ResyncCore

/// A change of names that a power loss may undo.
struct NameChange: Sendable {
    enum Kind: Sendable {
        case add(Slot, ObjectID)
        case remove(Slot)
        case move(Slot, to: Slot)
        case exchange(Slot, Slot)
    }

    enum Durability: Sendable {
        case pending, durable
        /// A sync of its directory failed: no later one makes it durable.
        case forgotten
    }

    /// Its place among all changes of the disk.
    let sequence: Int
    let kind: Kind
    /// What the names led to that it added, took away or moved.
    let objects: [ObjectID]
    var durability = Durability.pending

    var slots: [Slot] { kind.slots }
}

extension NameChange.Kind {
    var slots: [Slot] {
        switch self {
        case .add(let slot, _), .remove(let slot): [slot]
        case .move(let old, let new): [old, new]
        case .exchange(let one, let other): [one, other]
        }
    }
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

/// The names of a whole disk.
typealias NameTable = [ObjectID: [Name: ObjectID]]

extension State {
    /// A sync of a directory keeps its names, and what led to them in other directories.
    mutating func makeNamesDurable(_ directory: ObjectID) {
        var needed: Set<Slot> = []
        for index in nameChanges.indices.reversed()
        where nameChanges[index].durability != .forgotten {
            let slots = nameChanges[index].slots
            guard slots.contains(where: { $0.directory == directory || needed.contains($0) })
            else { continue }
            makeNameDurable(index)
            needed.formUnion(slots)
        }
        settleNames()
    }

    mutating func makeNamesDurable(onMount mount: Int) {
        for index in nameChanges.indices where nameChanges[index].durability == .pending {
            let slots = nameChanges[index].slots
            if slots.contains(where: { object($0.directory).mount == mount }) {
                makeNameDurable(index)
            }
        }
        settleNames()
    }

    private mutating func makeNameDurable(_ index: Int) {
        guard nameChanges[index].durability != .durable else { return }
        nameChanges[index].durability = .durable
        for id in nameChanges[index].objects where object(id).isSyncedByName {
            objects[id]?.makeAttributesDurable(before: nameChanges[index].sequence)
        }
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

    /// The changes of names that survive when those are lost of which `isDropped` says so, as far
    /// as `order` allows.
    func keptNames(_ order: NameOrder, _ isDropped: (NameChange) -> Bool) -> [NameChange] {
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
            var survives = isSafe[index] || !isDropped(change)
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
    /// that was lost does not happen. A move or exchange is about whatever the names lead to then:
    /// when what was to be moved never got its name, another object may be moved in its place.
    func replay(_ kind: NameChange.Kind, _ names: inout NameTable) {
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
                let isDirectory = object(id).type == .directory
                if isOccupied || isDirectory != (object(target).type == .directory) { return }
            }
            if reaches(new.directory, from: id, names) { return }
            names[old.directory]?[old.name] = nil
            names[new.directory, default: [:]][new.name] = id
        case .exchange(let one, let other):
            guard let first = names[one.directory]?[one.name],
                let second = names[other.directory]?[other.name],
                !reaches(other.directory, from: first, names),
                !reaches(one.directory, from: second, names)
            else { return }
            names[one.directory]?[one.name] = second
            names[other.directory]?[other.name] = first
        }
    }

    /// Whether a directory is `start` or lies below it.
    private func reaches(
        _ directory: ObjectID, from start: ObjectID, _ names: NameTable
    ) -> Bool {
        guard object(start).type == .directory else { return false }
        var rest = [start]
        while let next = rest.popLast() {
            if next == directory { return true }
            rest += names[next]?.values.filter { object($0).type == .directory } ?? []
        }
        return false
    }
}

extension Object {
    /// Whether there is no other way to sync it alone than by its name: symlinks and special files.
    var isSyncedByName: Bool { type != .file && type != .directory }
}

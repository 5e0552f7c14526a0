import ResyncCore
import Synchronization

/// What becomes of the changes that were not synced. They are numbered from 0 in the order in which
/// they were made: changes of bytes, sizes, names, and attributes that were set.
package enum CrashPolicy: Sendable, Hashable {
    case keepAll, dropAll
    case dropOnly(Int), keepOnly(Int)
    /// Each is kept, dropped or, when it is a change of bytes, torn, by the seed.
    case random
}

enum Fate: Sendable {
    case kept, dropped, torn
}

/// What a power loss leaves of what was not synced.
struct CrashOutcome: Sendable {
    /// By sequence.
    fileprivate var fates: [Int: Fate] = [:]
    fileprivate(set) var names: [NameChange] = []
    /// What becomes of times that moved by themselves; nil: the seed says, object by object.
    fileprivate var keepsImplied: Bool?
    fileprivate var random: Seed

    init(random: Seed) { self.random = random }

    mutating func dropAll(_ unsynced: [Int]) {
        for sequence in unsynced { fates[sequence] = .dropped }
        keepsImplied = false
    }

    /// Equal for outcomes that leave the same disk.
    var key: [Int] {
        let unsynced = fates.sorted { $0.key < $1.key }
        var key = names.map(\.sequence) + [-1]
        for (sequence, fate) in unsynced where fate != .dropped {
            key.append(fate == .kept ? sequence : -2 - sequence)
        }
        let isChance = keepsImplied == nil || fates.values.contains(.torn)
        return key + [keepsImplied == true ? 1 : 0]
            + (isChance ? [Int(truncatingIfNeeded: random.value)] : [])
    }
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
                state.crashed(state.outcome(state.unsynced, policy, order, seed: seed))
            })
    }
}

extension State {
    /// The numbers of what a power loss may undo, in order.
    var unsynced: [Int] {
        var found = nameChanges.filter { $0.durability != .durable }.map(\.sequence)
        for object in objects.values {
            if let file = object.file { found += file.unsynced.map(\.sequence) }
            for change in object.attributeChanges where !change.isImplied {
                found.append(change.sequence)
            }
        }
        return found.sorted()
    }

    func outcome(
        _ unsynced: [Int], _ policy: CrashPolicy, _ order: NameOrder, seed: UInt64
    ) -> CrashOutcome {
        var outcome = CrashOutcome(random: Seed(seed))
        for (index, sequence) in unsynced.enumerated() {
            outcome.fates[sequence] = fate(index, policy, &outcome.random)
        }
        // A torn change of names is a kept one: a rename happens or it does not.
        outcome.names = keptNames(order) { outcome.fates[$0.sequence] == .dropped }
        for change in nameChanges { outcome.fates[change.sequence] = nil }
        switch policy {
        case .keepAll, .dropOnly: outcome.keepsImplied = true
        case .dropAll, .keepOnly: outcome.keepsImplied = false
        case .random: break
        }
        let hasImplied = objects.values.contains { object in
            object.attributeChanges.contains { $0.isImplied }
        }
        if !hasImplied { outcome.keepsImplied = true }
        return outcome
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

    func crashed(_ outcome: CrashOutcome) -> State {
        let names = names(outcome)
        var after = State(identity: identity)
        after.mounts = mounts
        after.mountFailures = mountFailures.map { _ in WritebackFailure() }
        after.nextInode = nextInode
        after.nextObject = nextObject
        after.now = now.adding(seconds: 60)
        after.rebuild(self, names) { survivor($0, outcome) }
        after.recountSpace(since: self)
        return after
    }

    func names(_ outcome: CrashOutcome) -> NameTable {
        var names = durableNames
        for change in outcome.names { replay(change.kind, &names) }
        return names
    }

    /// Builds what can be reached from the root, in the order in which objects were made, so that
    /// the seed decides the same way every time.
    private mutating func rebuild(
        _ before: State, _ names: NameTable, _ survivor: (ObjectID) -> Object
    ) {
        objects = [State.root: survivor(State.root)]
        durableNames = [:]
        var rest = [State.root]
        while let id = rest.popLast() {
            guard let inside = names[id], !inside.isEmpty else { continue }
            durableNames[id] = inside
            let children = inOrder(inside)
            var directory = DirectoryData(parent: objects[id]?.directory?.parent ?? State.root)
            for (name, child) in children {
                var object = objects[child] ?? survivor(child)
                directory.set(name, child)
                object.names += 1
                object.directory?.parent = id
                if object.directory != nil { rest.append(child) }
                objects[child] = object
            }
            objects[id]?.directory = directory
        }
    }

    /// An object as the medium has it.
    func survivor(_ id: ObjectID, _ outcome: CrashOutcome) -> Object {
        let old = object(id)
        // By the object, not by the order in which they are asked for.
        var random = Seed(mixed(outcome.random.value &+ UInt64(id)))
        var attributes = old.durableAttributes
        if !old.attributeChanges.isEmpty {
            let keepsImplied = outcome.keepsImplied ?? Bool.random(using: &random)
            for change in old.attributeChanges {
                let isKept =
                    change.isImplied
                    ? keepsImplied : outcome.fates[change.sequence] != .dropped
                if isKept { attributes.apply(change) }
            }
        }
        var object = Object(
            id: id, type: old.type, inode: old.inode, mount: old.mount, attributes: attributes,
            birth: old.birth)
        object.target = old.target
        object.special = old.special
        object.isImmutable = old.isImmutable
        object.isHeld = old.isHeld
        object.refusesWrites = old.refusesWrites
        if old.directory != nil { object.directory = DirectoryData(parent: State.root) }
        guard let file = old.file else { return object }
        var content = file.durable
        for change in file.unsynced {
            content.replay(
                change.kind, outcome.fates[change.sequence] ?? .kept, &random)
        }
        object.file = FileData(cache: content, medium: content, durable: content)
        return object
    }
}

/// The names of a directory in the order in which their objects were made.
func inOrder(_ names: [Name: ObjectID]) -> [(key: Name, value: ObjectID)] {
    names.sorted { left, right in
        if left.value != right.value { return left.value < right.value }
        return left.key.bytes.lexicographicallyPrecedes(right.key.bytes)
    }
}

extension SparseContent {
    fileprivate mutating func replay(
        _ kind: FileChange.Kind, _ fate: Fate, _ random: inout Seed
    ) {
        switch fate {
        case .dropped: break
        case .kept: apply(kind)
        case .torn: tear(kind, &random)
        }
    }

    /// A torn write reaches the medium in some of its 512-byte sectors, yet the size grows as if it
    /// had reached all: that is how zeros come into files. A torn hole has some of its blocks.
    private mutating func tear(_ kind: FileChange.Kind, _ random: inout Seed) {
        func pieces(_ range: Range<Int>, _ unit: Int, _ body: (Range<Int>) -> Void) {
            var start = range.lowerBound
            while start < range.upperBound {
                let next = min(range.upperBound, (start / unit + 1) * unit)
                if Bool.random(using: &random) { body(start..<next) }
                start = next
            }
        }
        switch kind {
        case .write(let bytes, let offset):
            let end = offset + bytes.count
            pieces(offset..<end, 512) { part in
                write(
                    Array(bytes[(part.lowerBound - offset)..<(part.upperBound - offset)]),
                    at: part.lowerBound)
            }
            if size < end { resize(to: end) }
        case .punch(let range):
            pieces(range.clamped(to: 0..<max(size, range.lowerBound)), Self.blockSize) { punch($0) }
        case .truncate, .allocate: apply(kind)
        }
    }
}

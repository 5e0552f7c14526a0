import ResyncCore

/// What all power losses of one moment have in common, so that each costs only what differs.
struct CrashBase {
    private let now: State
    /// Everything lost.
    private let lost: State
    /// The objects that depend on what is kept.
    private let unsettled: [ObjectID]

    init(_ now: State) {
        self.now = now
        var nothing = CrashOutcome(random: Seed(0))
        nothing.dropAll(now.unsynced)
        lost = now.crashed(nothing)
        unsettled = now.objects.values.filter { object in
            !object.attributeChanges.isEmpty || object.file?.unsynced.isEmpty == false
        }.map(\.id)
    }

    /// The same as `State.crashed`.
    func crashed(_ outcome: CrashOutcome) -> State {
        var after = lost
        for id in unsettled {
            guard let old = lost.objects[id] else { continue }
            var object = now.survivor(id, outcome)
            object.names = old.names
            object.directory = old.directory
            after.objects[id] = object
        }
        let names = now.names(outcome)
        var touched = Set(outcome.names.flatMap { $0.slots.map(\.directory) })
            .filter { lost.objects[$0] != nil }
        var left: Set<ObjectID> = []
        while let id = touched.popFirst() {
            for child in after.durableNames[id]?.values.map({ $0 }) ?? [] {
                after.objects[child]?.names -= 1
                left.insert(child)
            }
            fill(id, names[id] ?? [:], names, &after, outcome, &touched)
        }
        for id in left where after.objects[id]?.names == 0 {
            // Names that were moved to where nothing leads: too rare to be clever.
            if names[id]?.isEmpty == false { return now.crashed(outcome) }
            after.objects[id] = nil
            after.durableNames[id] = nil
        }
        after.mounts = now.mounts
        after.recountSpace(since: now)
        return after
    }

    private func fill(
        _ id: ObjectID, _ inside: [Name: ObjectID], _ names: NameTable, _ after: inout State,
        _ outcome: CrashOutcome, _ touched: inout Set<ObjectID>
    ) {
        var directory = DirectoryData(parent: after.objects[id]?.directory?.parent ?? State.root)
        for (name, child) in inOrder(inside) {
            if after.objects[child] == nil {
                after.objects[child] = now.survivor(child, outcome)
                if names[child]?.isEmpty == false { touched.insert(child) }
            }
            directory.set(name, child)
            after.objects[child]?.names += 1
            after.objects[child]?.directory?.parent = id
        }
        after.objects[id]?.directory = directory
        after.durableNames[id] = inside.isEmpty ? nil : inside
    }
}

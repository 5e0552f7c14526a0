import ResyncCore
import TestSupport

/// A store that is only what a plan can see of it.
struct ModelStore: Equatable {
    var entries: [RelativePath: ObservedEntry]

    static let moved = Timestamp(seconds: 9_999_999_999, nanoseconds: 0)

    subscript(path: RelativePath) -> ObservedEntry? {
        get { entries[path] }
        set { entries[path] = newValue }
    }

    func children(of path: RelativePath) -> [RelativePath] {
        entries.keys.filter { $0 != .root && $0.parent == path }
    }

    /// Carries an action out as the disk would; says what is wrong with it.
    mutating func apply(_ action: Action) -> String? {
        let path = action.path
        let current = self[path]
        switch action.kind {
        case .makeDirectory, .write, .link, .symlink, .special:
            guard current == action.before else { return "not what it replaces" }
            guard self[path.parent]?.isDirectory == true else { return "no directory to be in" }
            if action.kind == .link {
                guard let first = action.linkTo, let other = self[first],
                    other.type == .file, other.content == action.after?.content
                else { return "a link to nothing" }
            }
            self[path] = action.after
            if action.kind == .makeDirectory { self[path]?.entry.stat.mode = 0o700 }
        case .metadata, .settleDirectory:
            guard let current, let after = action.after, current.type == after.type else {
                return "nothing to change"
            }
            if action.kind == .metadata, current != action.before { return "not what it changes" }
            self[path] = after
            return nil
        case .remove, .removeDirectory:
            guard let current, current.type == action.before?.type else { return "nothing there" }
            guard children(of: path).isEmpty else { return "not empty" }
            self[path] = nil
        case .patch: return "no image"
        }
        self[path.parent]?.entry.stat.mtime = Self.moved
        return nil
    }
}

/// Keeps actions in memory.
final class MemorySpool: ActionSpool {
    private var actions: [Action] = []

    func append(_ action: Action) { actions.append(action) }
    func forEach(_ body: (Action) throws -> Void) throws { for each in actions { try body(each) } }
}

/// Plans for two model stores.
struct ModelPlan {
    var actions: [Action] = []
    var leftOut = PlanLeftOut()
    var losses = Sides<[RelativePath: Int]>(a: [:], b: [:])

    init(
        _ stores: Sides<ModelStore>, _ policy: PlanPolicy, decided: [RelativePath: Side] = [:],
        questions: PlannerQuestions = PlannerQuestions(),
        verdict: (SurveyedEntry) -> Verdict = { _ in .unknown }
    ) throws {
        var found: [Action] = []
        var planner = Planner(spools: PlanSpools { MemorySpool() }, questions: questions) {
            action, _ in found.append(action)
        }
        let paths = Set(stores.a.entries.keys).union(stores.b.entries.keys).sorted()
        for path in paths {
            let sides = stores.map { $0[path] }
            guard var entry = Self.difference(path, sides) else { continue }
            entry.verdict = verdict(entry)
            var above = path.parent
            var way = path == .root ? [] : [above]
            while above != .root {
                above = above.parent
                way.append(above)
            }
            for directory in way.reversed() {
                let found = stores.map { store in
                    store[directory].flatMap { $0.isDirectory ? $0 : nil }
                }
                try planner.enter(directory, found)
            }
            try planner.add(entry, policy.choose(entry, decided: decided[path]))
        }
        try planner.finish()
        actions = found
        leftOut = planner.leftOut
        losses = planner.losses
    }

    static func difference(
        _ path: RelativePath, _ sides: Sides<ObservedEntry?>
    ) -> SurveyedEntry? {
        var aspects = AspectSet(.existence)
        if let a = sides.a, let b = sides.b {
            aspects = ComparisonRules().metadataDifferences(a.entry, b.entry)
            if path == .root { aspects.remove(AspectSet(.mtime)) }
            if a.type == b.type, a.content != b.content { aspects.insert(.content) }
        }
        return aspects.isEmpty ? nil : SurveyedEntry(path: path, sides: sides, aspects: aspects)
    }
}

extension Seed {
    /// A small tree with all kinds of entries.
    mutating func modelStore() -> ModelStore {
        var store = ModelStore(entries: [.root: modelEntry(.directory)])
        for _ in 0..<below(14) { grow(&store) }
        return store
    }

    mutating func modelEntry(_ type: EntryType) -> ObservedEntry {
        var stat = Stat(
            type: type, mode: [0o644, 0o600, 0o755][below(3)],
            mtime: Timestamp(seconds: Int64(below(3)), nanoseconds: 0))
        if type == .file { stat.size = 10 }
        stat.inode = next()
        stat.ctime = Timestamp(seconds: Int64(next() >> 2), nanoseconds: 0)
        let target: [UInt8]? = type == .symlink ? [UInt8(below(3))] : nil
        return ObservedEntry(
            entry: Entry(stat: stat, target: target),
            content: type == .file ? digest(UInt64(below(3))) : nil)
    }

    /// Adds, changes or takes away an entry.
    mutating func grow(_ store: inout ModelStore, isEdit: Bool = false) {
        let directories = store.entries.filter { $0.value.isDirectory }.keys.sorted()
        let parent = directories[below(directories.count)]
        guard parent.components.count < 4 else { return }
        let path = parent.appending(Name([UInt8(ascii: "a") + UInt8(below(4))]))
        let types: [EntryType] = [.file, .file, .directory, .symlink]
        if isEdit, once(in: 3) {
            for gone in store.entries.keys where gone.isWithin(path) { store[gone] = nil }
            return
        }
        let entry = modelEntry(types[below(types.count)])
        if store[path]?.isDirectory == true, !entry.isDirectory {
            for gone in store.entries.keys where gone.isWithin(path) { store[gone] = nil }
        }
        store[path] = entry
    }
}

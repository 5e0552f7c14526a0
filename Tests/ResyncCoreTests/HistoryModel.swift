import ResyncCore
import TestSupport

/// Two small stores with what happens to them, and what the program remembers of them. The judging,
/// choosing, planning and guarding are the program's own; the rest is a model.
struct HistoryModel {
    private(set) var stores: Sides<ModelStore>
    private(set) var oracle = HistoryOracle()
    /// What happened, for a person who looks into a failure.
    private(set) var log: [String] = []
    private(set) var records: [RelativePath: BaselineRecord] = [:]
    private(set) var markers: Sides<StoreMarker>
    /// When a side last had an episode.
    private var episodes = Sides<Int64>(a: -1, b: -1)
    private var snapshots = Sides<Snapshot?>(a: nil, b: nil)
    /// How often the stores had been confirmed when this side became what it is.
    private(set) var generations = Sides<UInt64>(a: 0, b: 0)
    private var time: Int64 = 1_600_000_000
    private var version: UInt64 = 1000
    private var inode: UInt64 = 10
    var random: Seed

    private struct Snapshot {
        let store: ModelStore
        let marker: StoreMarker
        let generation: UInt64
    }

    static let names = ["f", "g", "h", "s", "d", "d/x", "d/y", "d/z"]
    private static let identities = Sides(
        a: StoreIdentity(fileSystem: 1, inode: 2), b: StoreIdentity(fileSystem: 2, inode: 2))

    init(_ seed: Seed) {
        random = seed
        let store = ModelStore(entries: [:])
        stores = Sides(a: store, b: store)
        markers = Self.identities.map { StoreMarker(store: digest($0.fileSystem), identity: $0) }
        for side in Side.allCases { stores[side][.root] = fresh(.directory) }
        let count = 3 + random.below(6)
        for name in Self.names.shuffled(using: &random).prefix(count).sorted() {
            make(name, both: true)
        }
        prove()
        agree(1)
    }

    static func path(_ name: String) -> RelativePath { RelativePath(Array(name.utf8)) }

    private mutating func tick() { time += 100 }

    private var now: Timestamp { Timestamp(seconds: time, nanoseconds: 7) }

    private mutating func nextVersion() -> UInt64 {
        version += 1
        return version
    }

    private mutating func fresh(_ type: EntryType, version: UInt64 = 0) -> ObservedEntry {
        inode += 1
        var stat = Stat(type: type, mode: 0o644, mtime: now, ctime: now, inode: inode)
        if type == .file { stat.size = 10 }
        let target = type == .symlink ? Array(String(version).utf8) : nil
        return ObservedEntry(
            entry: Entry(stat: stat, target: target),
            content: type == .file ? digest(version) : nil)
    }

    // MARK: What happens

    /// As a user makes it, on one side or through both.
    private mutating func make(_ name: String, both: Bool = false, on side: Side = .a) {
        let path = Self.path(name)
        let type: EntryType = name == "d" ? .directory : name == "s" ? .symlink : .file
        let new = nextVersion()
        for side in both ? Side.allCases : [side] {
            guard stores[side][path.parent]?.isDirectory == true else {
                if path.parent != .root { make("d", on: side) }
                guard stores[side][path.parent]?.isDirectory == true else { continue }
                stores[side][path] = fresh(type, version: new)
                note(name, side, .edited)
                continue
            }
            stores[side][path] = fresh(type, version: new)
            note(name, side, .edited)
            touchParent(path, side)
        }
    }

    private mutating func note(_ name: String, _ side: Side, _ origin: HistoryOracle.Origin) {
        log.append("\(name) on \(side.letter) \(origin)")
        oracle.note(name, side, origin, thing(name, side))
    }

    private mutating func touch(_ path: RelativePath, _ side: Side, writes: Bool = false) {
        let now = now
        stores[side][path]?.entry.stat.ctime = now
        if writes { stores[side][path]?.entry.stat.mtime = now }
    }

    private mutating func touchParent(_ path: RelativePath, _ side: Side) {
        touch(path.parent, side, writes: true)
    }

    private mutating func edit(_ name: String, _ side: Side, version: UInt64, seen: Bool = true) {
        let path = Self.path(name)
        guard var entry = stores[side][path] else { return }
        let before = entry.entry.stat
        switch entry.type {
        case .file: entry.content = digest(version)
        case .symlink:
            entry = ObservedEntry(
                entry: Entry(stat: entry.stat, target: Array(String(version).utf8)))
        default: return
        }
        if seen {
            entry.entry.stat.ctime = now
            // Some put the old time back, and some write a new file.
            if random.below(4) > 0 { entry.entry.stat.mtime = now }
            if entry.type == .symlink || random.once(in: 4) {
                inode += 1
                entry.entry.stat.inode = inode
            }
            if entry.type == .file { entry.entry.stat.size = 10 + Int(version % 3) }
        }
        stores[side][path] = entry
        let stat = entry.entry.stat
        let isBack = (stat.mtime, stat.inode) == (before.mtime, before.inode)
        note(name, side, seen ? isBack ? .editedBack : .edited : .editedUnseen)
    }

    /// What was written to one side is written to the other as well.
    private mutating func mirror(_ name: String, from side: Side) {
        let path = Self.path(name)
        guard let old = stores[side.other][path], var new = stores[side][path],
            old.type == new.type
        else { return }
        new.entry.stat.inode = old.stat.inode
        new.entry.stat.ctime = now
        stores[side.other][path] = new
        note(name, side.other, .edited)
    }

    private mutating func chmod(_ name: String, _ side: Side) {
        let path = Self.path(name)
        guard let entry = stores[side][path], entry.type != .symlink else { return }
        // A directory that a plan has made is the plan's until it is settled.
        if entry.isDirectory, oracle.origin(name, side) == .copied { return }
        stores[side][path]?.entry.stat.mode = entry.stat.mode ^ UInt16(1 << random.below(6))
        touch(path, side)
        note(name, side, oracle.origin(name, side).afterChmod)
    }

    private mutating func damage(_ name: String, _ side: Side, zeroes: Bool) {
        let path = Self.path(name)
        guard stores[side][path]?.type == .file else { return }
        let new = zeroes ? 0 : nextVersion()
        stores[side][path]?.content = digest(new)
        let isProven = oracle.origin(name, side) == .proven
        if zeroes {
            // A write that was acknowledged, its inode kept and its data not.
            touch(path, side, writes: true)
            note(name, side, .zeroed)
        } else {
            note(name, side, isProven ? .rotten : .rottenUnseen)
        }
    }

    private mutating func remove(_ name: String, _ side: Side, _ origin: HistoryOracle.Origin) {
        let path = Self.path(name)
        guard stores[side][path] != nil else { return }
        for each in Self.names where Self.path(each).isWithin(path) {
            guard stores[side][Self.path(each)] != nil else { continue }
            stores[side][Self.path(each)] = nil
            note(each, side, origin)
        }
        touchParent(path, side)
    }

    private mutating func episode(_ side: Side) {
        log.append("an episode on \(side.letter)")
        episodes[side] = time
        oracle.noteEpisode(on: side, Self.names)
    }

    /// One thing, to one side or through both. A plan that waits to be gone on with means the sides
    /// as they are.
    mutating func happen(isPlanWaiting: Bool) {
        tick()
        let name = Self.names[random.below(Self.names.count)]
        let side = Side.allCases[random.below(2)]
        let exists = stores[side][Self.path(name)] != nil
        switch random.below(16) {
        case 0, 1, 2: exists ? edit(name, side, version: nextVersion()) : make(name, on: side)
        case 3: chmod(name, side)
        case 4: damage(name, side, zeroes: false)
        case 5: damage(name, side, zeroes: true)
        case 6: remove(name, side, .edited)
        case 7:
            episode(side)
            remove(name, side, .lost)
        case 8:
            // The service wrote through both; one side lost it in an episode.
            episode(side)
            edit(name, side.other, version: nextVersion())
            if random.once(in: 3) { damage(name, side, zeroes: true) }
        case 9:
            episode(side)
            edit(name, side, version: nextVersion(), seen: false)
        case 10:
            edit(name, side, version: nextVersion())
            mirror(name, from: side)
        case 11: episode(side)
        case 12: keepCopy(side)
        case 13: restore(side)
        case 14: if !isPlanWaiting { swap() }
        default: break
        }
    }

    /// Roles are swapped: A is from now on what B was.
    private mutating func swap() {
        log.append("swapped")
        (stores, markers) = (stores.swapped, markers.swapped)
        (episodes, snapshots) = (episodes.swapped, snapshots.swapped)
        generations = generations.swapped
        records = records.mapValues { $0.swapped }
        oracle.swap()
    }

    private mutating func keepCopy(_ side: Side) {
        snapshots[side] = Snapshot(
            store: stores[side], marker: markers[side], generation: generations[side])
    }

    /// A store as it once was, from a copy: old times, new inodes.
    private mutating func restore(_ side: Side) {
        guard let snapshot = snapshots[side] else { return }
        log.append("\(side.letter) from a copy")
        for name in Self.names {
            let path = Self.path(name)
            let before = thing(name, side)
            stores[side][path] = snapshot.store[path]
            inode += 1
            stores[side][path]?.entry.stat.inode = inode
            touch(path, side)
            if let then = thing(name, side), then.version == 0 {
                note(name, side, .zeroed)
            } else if thing(name, side) != before {
                note(name, side, .edited)
            } else if oracle.origin(name, side) == .proven, before != nil {
                note(name, side, .touched)
            } else if oracle.origin(name, side) == .rotten {
                note(name, side, .rottenUnseen)
            }
        }
        markers[side] = snapshot.marker
        generations[side] = snapshot.generation
    }

    // MARK: What is seen

    func thing(_ name: String, _ side: Side) -> HistoryOracle.Thing? {
        guard let entry = stores[side][Self.path(name)] else { return nil }
        let target = entry.entry.target.map { UInt64(String(decoding: $0, as: UTF8.self)) ?? 1 }
        return HistoryOracle.Thing(
            entry.type, mode: entry.stat.mode, version: target ?? entry.content?.words.0 ?? 1)
    }

    func things() -> [String: Sides<HistoryOracle.Thing?>] {
        Dictionary(
            uniqueKeysWithValues: Self.names.map { name in
                (name, Side.both { thing(name, $0) })
            })
    }

    // MARK: What the program does

    /// Both sides are read; what agrees is proven.
    mutating func prove(_ only: Set<RelativePath>? = nil) {
        tick()
        log.append("proven")
        for name in [""] + Self.names {
            let path = Self.path(name)
            if let only, !only.contains(path) { continue }
            let sides = stores.map { $0[path] }
            guard let a = sides.a, let b = sides.b else {
                if sides.a == nil, sides.b == nil {
                    records[path] = nil
                    oracle.noteProof(name, nil)
                }
                continue
            }
            guard ModelPlan.difference(path, sides) == nil else { continue }
            records[path] = BaselineRecord(
                path: path, agreed: a,
                witnesses: Sides(
                    a: BaselineRecord.Witness(a.stat), b: BaselineRecord.Witness(b.stat)),
                aspects: .standard, level: .media, time: now)
            oracle.noteProof(name, thing(name, .a))
        }
    }

    private func verdict(_ entry: SurveyedEntry) -> Verdict {
        let record = records[entry.path]
        var judgement = Judgement(
            base: record.map { .record($0) } ?? .noRecord, sides: entry.sides,
            aspects: entry.aspects)
        judgement.hadEpisode = episodes.map { $0 > record?.time.seconds ?? -1 }
        judgement.isFromMedium = true
        let isZero = entry.sides.map { $0?.content == digest(0) }
        if isZero.a != isZero.b { judgement.zeroSide = isZero.a ? .a : .b }
        return judgement.verdict
    }

    func plan(_ decided: [RelativePath: Side]) throws -> ModelPlan {
        try ModelPlan(
            stores, PlanPolicy(.baseline), decided: decided, verdict: { verdict($0) })
    }

    /// What the guards have against a plan.
    func refusals(_ totals: Sides<PlanTotals>) -> [Refusal] {
        var trailer = PlanTrailer()
        trailer.totals = totals
        let header = PlanHeader(
            stores: Self.identities.map {
                StoreReference(path: [], kind: .directory, identity: $0)
            },
            authority: .baseline, created: now, blockSize: 1 << 20, aspects: .standard,
            exclusions: .zero)
        let found = Side.both { side in
            var found = StoreFindings(identity: Self.identities[side])
            found.marker = markers[side]
            found.marker?.identity = Self.identities[side]
            return found
        }
        return ResyncCore.refusals(header, trailer, found)
    }

    /// Carries actions out; one whose target or source is not as planned any more is left. Returns
    /// the paths that were changed, and whether all were.
    mutating func carryOut(_ actions: ArraySlice<Action>) -> (Set<RelativePath>, isWhole: Bool) {
        tick()
        var touched: Set<RelativePath> = []
        var isWhole = true
        for action in actions {
            markers[action.side].inconsistent = "run"
            log.append("\(action.kind) \(escaped(action.path.bytes)): \(action.why.word)")
            if carryOut(action) { touched.insert(action.path) } else { isWhole = false }
        }
        return (touched, isWhole)
    }

    private mutating func carryOut(_ action: Action) -> Bool {
        let (side, path) = (action.side, action.path)
        let old = stores[side][path]
        let isSettling = action.kind == .settleDirectory
        if let old, isSettling || old.isDirectory {
            // Its times and size move with its entries; what a plan has made is closed to others.
            let isWanted = isSettling && old.stat.mode == action.after?.stat.mode
            let isAsPlanned = action.before?.isStill(old.stat) ?? (old.stat.mode & 0o077 == 0)
            guard isAsPlanned || isWanted else { return false }
        } else {
            guard old == action.before else { return false }
        }
        if let after = action.after, !after.isDirectory, stores[side.other][path] != after {
            return false
        }
        guard stores[side].apply(action) == nil else { return false }
        if stores[side][path] != nil {
            inode += 1
            let isInPlace = isSettling || action.kind == .metadata
            stores[side][path]?.entry.stat.inode = isInPlace ? old?.stat.inode ?? inode : inode
            touch(path, side)
        }
        if !isSettling || action.changesMetadata {
            note(String(decoding: path.bytes, as: UTF8.self), side, .copied)
        }
        return true
    }

    /// The run was read back: both markers say that the stores agree.
    mutating func agree(_ id: UInt64) {
        generations = Sides(a: id, b: id)
        let before = markers
        for side in Side.allCases {
            markers[side].agree(on: digest(id), with: before[side.other])
            markers[side].inconsistent = nil
        }
        // Somebody keeps a copy of how it is now.
        if random.once(in: 3) { keepCopy(Side.allCases[random.below(2)]) }
    }

    /// What a run that is given up left is declared right.
    mutating func accept() {
        for side in Side.allCases { markers[side].inconsistent = nil }
    }
}

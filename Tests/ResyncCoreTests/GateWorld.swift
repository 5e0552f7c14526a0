import ResyncCore
import TestSupport

/// Two pairs of small stores on two sites, as they really are: what each medium has, what the
/// kernel shows of it, and what was lost. Knows nothing of modules but what the scope promises.
struct GateWorld {
    /// One side's entry as it stands somewhere.
    struct State {
        /// Tells one version from all others; 0 is nothing but zeros, nil where there is none.
        var bytes: Int?
        var stat: Stat?
        /// When it was really written.
        var written: Int64 = 0
        /// The faults that had a part in it, and when.
        var blame: [(fault: Int, at: Int64)] = []
    }

    struct Copy {
        /// As the kernel shows it: its bytes from the page cache.
        var seen = State()
        /// As it is found once the store was mounted anew.
        var medium = State()
        /// Acknowledged writes that a fault may still take, with what it would leave.
        var recent: [(at: Int64, before: State)] = []

        /// What a reading past the page cache gives.
        var fromMedium: Int? { seen.stat == nil ? nil : medium.bytes ?? 0 }
    }

    struct File {
        let path: RelativePath
        let pair: Int
        let isDirectory: Bool
        /// Its directory.
        let parent: Int?
        /// Whether an inode may be lost that belongs to bytes that were not.
        let mayLoseInode: Bool
        var sides = Sides(a: Copy(), b: Copy())
    }

    enum FaultKind: CaseIterable {
        /// The kernel gave up writing, until somebody mends it.
        case readOnly
        /// The machine went down, and came up at once.
        case crash
        /// Writes failed, and the pages counted as clean from then on.
        case errors
        /// A write that was lost without an error.
        case silent
    }

    struct Fault {
        let kind: FaultKind
        let store: Int
        let at: Int64
        var mended: Int64?
        /// What the watcher knew as the last good probe then.
        var goodBefore: Int64?
        var sawCheck = false
        var needsRemount = false
        /// The place of the episode that it is known by, among its store's.
        var episode: Int?
    }

    private enum Loss: CaseIterable { case bytes, inodeAndBytes, inode }

    /// Half seconds after its acknowledgement in which a write may be lost.
    static let margin: Int64 = 8

    var files: [File] = []
    var faults: [Fault] = []
    /// The fault that keeps each store from being written.
    var active: [Int?] = [nil, nil, nil, nil]
    /// In half seconds.
    private(set) var now: Int64 = 2000
    private(set) var log: [String] = []
    /// What was written to one side and is still on its way to the other.
    private var underway: [(due: Int64, file: Int, side: Side, bytes: Int?)] = []
    /// Half seconds that the times of each store's files count in.
    private let units: [Int64]
    private var version = 0
    private var inode: UInt64 = 100
    var random: Seed

    init(_ seed: Seed) {
        var seed = seed
        units = (0..<4).map { _ in [1, 1, 2, 4][seed.below(4)] }
        random = seed
    }

    static func store(_ pair: Int, _ side: Side) -> Int { 2 * pair + (side == .a ? 0 : 1) }

    static func time(_ halves: Int64) -> Timestamp {
        Timestamp(seconds: halves / 2, nanoseconds: halves % 2 == 0 ? 0 : 500_000_000)
    }

    mutating func say(_ what: String) { log.append("\(now): \(what)") }

    mutating func pass(_ halves: Int64) { now += halves }

    private func name(_ file: Int, _ side: Side) -> String {
        "\(escaped(files[file].path.bytes)) on \(side.letter)"
    }

    // MARK: Writes

    mutating func add(
        _ path: RelativePath, pair: Int, parent: Int?, isDirectory: Bool, mayLoseInode: Bool
    ) {
        files.append(
            File(
                path: path, pair: pair, isDirectory: isDirectory, parent: parent,
                mayLoseInode: mayLoseInode))
        version += 1
        for side in Side.allCases {
            let state = fresh(files.count - 1, side, isDirectory ? 1 : version)
            files[files.count - 1].sides[side].seen = state
            files[files.count - 1].sides[side].medium = state
        }
    }

    private mutating func fresh(_ file: Int, _ side: Side, _ bytes: Int?) -> State {
        guard let bytes else { return State(written: now) }
        let unit = units[Self.store(files[file].pair, side)]
        let stamp = Self.time(now / unit * unit)
        var stat = Stat(type: files[file].isDirectory ? .directory : .file)
        (stat.mtime, stat.ctime, stat.size) = (stamp, stamp, 100)
        if let old = files[file].sides[side].seen.stat {
            stat.inode = old.inode
            // Some put the old time back.
            if random.once(in: 4) { stat.mtime = old.mtime }
        }
        if stat.inode == 0 || random.once(in: 6) {
            inode += 1
            stat.inode = inode
        }
        return State(bytes: bytes, stat: stat, written: now)
    }

    /// Somebody writes, or removes, on one side or through it on both.
    mutating func edit(_ file: Int, _ side: Side, onBoth: Bool, removes: Bool) {
        guard !files[file].isDirectory else { return }
        version += 1
        let bytes = removes ? nil : version
        guard write(file, side, bytes), onBoth else { return }
        underway.append((now + Int64(random.below(5)), file, side.other, bytes))
    }

    /// What is due on the other side gets there; what cannot, later or never.
    mutating func replicate(all: Bool = false) {
        var left: [(due: Int64, file: Int, side: Side, bytes: Int?)] = []
        for item in underway {
            if item.due > now, !all {
                left.append(item)
            } else if !write(item.file, item.side, item.bytes), random.once(in: 2) {
                left.append((now + 4, item.file, item.side, item.bytes))
            }
        }
        underway = left
    }

    /// Returns whether it was acknowledged.
    private mutating func write(_ file: Int, _ side: Side, _ bytes: Int?) -> Bool {
        let fault = active[Self.store(files[file].pair, side)]
        if fault != nil, random.once(in: 2) { return false }
        let old = files[file].sides[side]
        if bytes == nil, old.seen.stat == nil { return true }
        let new = fresh(file, side, bytes)
        files[file].sides[side].seen = new
        say("\(name(file, side)) becomes \(bytes.map { "\($0)" } ?? "nothing")")
        if let fault {
            lose(file, side, fault, random.once(in: 2) ? .bytes : .inodeAndBytes, old.medium)
        } else {
            files[file].sides[side].medium = new
            files[file].sides[side].recent.append((now, old.medium))
        }
        if (old.seen.stat == nil) != (new.stat == nil), let parent = files[file].parent {
            touch(parent, side, isKept: fault == nil)
        }
        return true
    }

    private mutating func touch(_ file: Int, _ side: Side, isKept: Bool) {
        let new = fresh(file, side, 1)
        files[file].sides[side].seen.stat = new.stat
        files[file].sides[side].seen.written = now
        guard isKept else { return }
        files[file].sides[side].medium.stat = new.stat
        files[file].sides[side].medium.written = now
    }

    /// A write that is acknowledged and lost, and nobody is told.
    mutating func loseSilently(_ file: Int, _ side: Side) {
        let store = Self.store(files[file].pair, side)
        guard active[store] == nil, !files[file].isDirectory else { return }
        let old = files[file].sides[side]
        version += 1
        let new = fresh(file, side, version)
        guard old.seen.stat != nil else { return }
        let id = begin(.silent, store, nil)
        files[file].sides[side].seen = new
        lose(file, side, id, .bytes, old.medium)
        underway.append((now + Int64(random.below(5)), file, side.other, version))
    }

    /// One side's copy is brought to the other.
    mutating func copy(_ file: Int, from side: Side) {
        guard active[Self.store(files[file].pair, side.other)] == nil,
            !files[file].isDirectory
        else { return }
        let source = files[file].sides[side]
        let bytes = source.fromMedium
        guard bytes != nil || files[file].sides[side.other].seen.stat != nil else { return }
        say("copied from \(side.letter)")
        if write(file, side.other, bytes), let stat = source.seen.stat {
            // As the source's, but for ctime and inode.
            inode += 1
            files[file].sides[side.other].seen.stat?.mtime = stat.mtime
            files[file].sides[side.other].seen.stat?.inode = inode
            files[file].sides[side.other].medium.stat = files[file].sides[side.other].seen.stat
        }
        underway.removeAll { $0.file == file }
    }

    // MARK: Faults

    private mutating func begin(_ kind: FaultKind, _ store: Int, _ goodBefore: Int64?) -> Int {
        faults.append(Fault(kind: kind, store: store, at: now, goodBefore: goodBefore))
        say("fault \(faults.count - 1) (\(kind)) on store \(store)")
        return faults.count - 1
    }

    /// Waits as long as something that was written to a store last may still be lost; false where
    /// nothing may.
    mutating func waitUntilLost(_ store: Int) -> Bool {
        let side: Side = store % 2 == 0 ? .a : .b
        let times = files.filter { $0.pair == store / 2 }
            .compactMap { $0.sides[side].recent.last?.at }.filter { $0 >= now - Self.margin }
        guard let last = times.randomElement(using: &random) else { return false }
        now = last + Self.margin
        return true
    }

    /// What was acknowledged shortly before is lost in part.
    mutating func fail(_ kind: FaultKind, _ store: Int, goodBefore: Int64?) {
        guard active[store] == nil else { return }
        let id = begin(kind, store, goodBefore)
        let side: Side = store % 2 == 0 ? .a : .b
        for file in files.indices where files[file].pair == store / 2 {
            let recent = files[file].sides[side].recent.filter { $0.at >= now - Self.margin }
            files[file].sides[side].recent = recent
            guard !recent.isEmpty, random.once(in: 2) else { continue }
            if kind == .errors, files[file].sides[side].seen.stat == nil { continue }
            let loss = kind == .errors ? .bytes : Loss.allCases[random.below(3)]
            lose(file, side, id, loss, recent[random.below(recent.count)].before)
            files[file].sides[side].recent = []
        }
        switch kind {
        case .readOnly: active[store] = id
        case .crash: remount(store, id)
        case .errors, .silent: break
        }
    }

    private mutating func lose(
        _ file: Int, _ side: Side, _ fault: Int, _ loss: Loss, _ before: State
    ) {
        // Where bytes are kept and their inode is not, an entry looks as it did before the window,
        // and no scope that goes by times can see it: the other side's copy is known to have moved
        // only if it was written as well and its inode was kept. `suspect` cannot promise anything
        // then, so that its modules are spared that here; `full` goes by no times.
        let isSpared = loss == .inode && !files[file].mayLoseInode
        let seen = files[file].sides[side].seen
        var medium = files[file].sides[side].medium
        switch loss {
        case .bytes where seen.stat != nil:
            (medium.stat, medium.written) = (seen.stat, seen.written)
            (medium.bytes, medium.blame) = (before.bytes ?? 0, before.blame)
        case .inode where !isSpared && seen.stat != nil && before.stat != nil:
            (medium.stat, medium.written) = (before.stat, before.written)
            medium.blame = []
        default: medium = before
        }
        medium.blame.append((fault, now))
        files[file].sides[side].medium = medium
        // Names and inodes cannot be read past the kernel: what it shows of them is right only
        // since the store was mounted. A journal that was aborted is not written to before that.
        if medium.stat != seen.stat { faults[fault].needsRemount = true }
        say("\(name(file, side)) loses \(loss)")
    }

    /// What keeps a store from being written is gone.
    mutating func mend(_ store: Int) {
        guard let fault = active[store] else { return }
        active[store] = nil
        faults[fault].mended = now
        say("store \(store) is mended")
        if faults[fault].needsRemount || random.once(in: 2) { remount(store, fault) }
    }

    private mutating func remount(_ store: Int, _ fault: Int) {
        let side: Side = store % 2 == 0 ? .a : .b
        let isChecked = random.once(in: 5)
        faults[fault].sawCheck = isChecked
        say("store \(store) is mounted anew\(isChecked ? ", checked" : "")")
        for file in files.indices where files[file].pair == store / 2 {
            // What a check of the file system puts right may be anything.
            if isChecked, random.once(in: 4), !files[file].isDirectory,
                files[file].sides[side].medium.stat != nil
            {
                files[file].sides[side].medium.bytes = 0
                files[file].sides[side].medium.blame.append((fault, now))
                say("\(name(file, side)) is zeroed")
            }
            files[file].sides[side].seen = files[file].sides[side].medium
            files[file].sides[side].recent = []
        }
    }

    /// The kernel needs the memory.
    mutating func forgetPages(_ file: Int, _ side: Side) {
        guard files[file].sides[side].seen.stat != nil else { return }
        files[file].sides[side].seen.bytes = files[file].sides[side].fromMedium
    }

    /// All copies are made alike, whichever is right.
    mutating func repairAll() {
        underway = []
        for file in files.indices {
            let sides = files[file].sides
            let isAlike =
                sides.a.fromMedium == sides.b.fromMedium
                && sides.a.seen.bytes == sides.b.seen.bytes
            if !isAlike { copy(file, from: sides.a.seen.stat == nil ? .b : .a) }
        }
    }
}

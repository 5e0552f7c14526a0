import Glibc
import ResyncCore
import ResyncStorage
import TestSupport

@testable import ResyncEngine

/// Two small stores on a simulated disk, what happens to them, and an account of it.
struct RealStores {
    private(set) var disk = SimulatedDisk()
    var oracle = HistoryOracle()
    /// What happened, for a person who looks into a failure.
    var log: [String] = []
    /// Whether a side had an episode since all of it was proven.
    var episodes = Sides(a: false, b: false)
    var random: Seed
    private var isSwapped = false
    private var version: UInt64 = 1000

    static let names = ["f", "g", "h", "s", "d", "d/x", "d/y", "d/z"]

    init(_ seed: Seed) {
        random = seed
        for root in ["/a", "/b"] { disk.addDirectory(root) }
        let count = 3 + random.below(6)
        for name in Self.names.shuffled(using: &random).prefix(count).sorted() {
            make(name, on: Side.allCases)
        }
    }

    var paths: Sides<String> {
        let paths = Sides(a: "/a", b: "/b")
        return isSwapped ? paths.swapped : paths
    }

    func place(_ name: String, _ side: Side) -> String { "\(paths[side])/\(name)" }

    func exists(_ name: String, _ side: Side) -> Bool { disk.exists(place(name, side)) }

    /// The power went in the midst of some work.
    mutating func crash() {
        let policies: [CrashPolicy] = [.random, .random, .keepAll, .dropAll]
        let orders = NameOrder.allCases
        log.append("the power went")
        disk = disk.crash(
            keeping: policies[random.below(policies.count)],
            order: orders[random.below(orders.count)], seed: random.next())
    }

    // MARK: What is seen

    func thing(_ name: String, _ side: Side) -> HistoryOracle.Thing? {
        let path = place(name, side)
        guard disk.exists(path) else { return nil }
        let stat = disk.peek(path)
        let bytes: [UInt8]
        switch stat.type {
        case .file: bytes = disk.mediumContent(path)
        case .symlink: bytes = disk.target(path)
        default: return HistoryOracle.Thing(stat.type, mode: stat.mode, version: 1)
        }
        let digits = bytes.prefix { $0 > 0x20 }
        return HistoryOracle.Thing(
            stat.type, mode: stat.mode,
            version: UInt64(String(decoding: digits, as: UTF8.self)) ?? 0)
    }

    func things() -> [String: Sides<HistoryOracle.Thing?>] {
        Dictionary(
            uniqueKeysWithValues: Self.names.map { name in
                (name, Sides(a: thing(name, .a), b: thing(name, .b)))
            })
    }

    mutating func note(_ name: String, _ side: Side, _ origin: HistoryOracle.Origin) {
        log.append("\(name) on \(side.letter) \(origin)")
        oracle.note(name, side, origin, thing(name, side))
    }

    // MARK: What happens

    private mutating func nextVersion() -> UInt64 {
        version += 1
        return version
    }

    private func content(_ version: UInt64) -> [UInt8] {
        let digits = Array(String(version).utf8)
        return digits + [UInt8](repeating: 0x20, count: 20 + Int(version % 3))
    }

    private mutating func make(_ name: String, on sides: [Side]) {
        let new = nextVersion()
        let given = Ownership(mtime: disk.now)
        for side in sides where !exists(name, side) {
            if name.hasPrefix("d/"), !exists("d", side) { make("d", on: [side]) }
            switch name {
            case "d": disk.addDirectory(place(name, side), given)
            case "s": disk.addSymlink(place(name, side), to: String(new), given)
            default: disk.addFile(place(name, side), content(new), given)
            }
            note(name, side, .edited)
        }
    }

    private mutating func edit(_ name: String, _ sides: [Side], isSeen: Bool = true) {
        let new = nextVersion()
        let keepsTime = random.once(in: 4)
        let now = disk.now
        for side in sides where exists(name, side) {
            let path = place(name, side)
            let old = disk.peek(path)
            switch old.type {
            case .file:
                let bytes = content(new)
                if isSeen { disk.truncate(path, to: bytes.count) }
                disk.write(path, at: 0, isSeen ? bytes : Array(bytes.prefix(old.size)))
            case .symlink:
                guard isSeen else { continue }
                disk.remove(path)
                disk.addSymlink(path, to: String(new))
            default: continue
            }
            disk.change(
                path,
                isSeen
                    ? Ownership(mtime: keepsTime ? old.mtime : now)
                    : Ownership(mtime: old.mtime, ctime: old.ctime))
            let isBack = keepsTime && old.type == .file
            note(name, side, isSeen ? isBack ? .editedBack : .edited : .editedUnseen)
        }
    }

    private mutating func chmod(_ name: String, _ side: Side, isPlanWaiting: Bool) {
        guard exists(name, side) else { return }
        let stat = disk.peek(place(name, side))
        guard stat.type != .symlink else { return }
        // A directory that a plan has made is the plan's until it is settled.
        if stat.type == .directory, oracle.origin(name, side) == .copied { return }
        let mode = stat.mode ^ UInt16(1 << random.below(6))
        // What a plan that has begun may have done as well, nobody can tell from it.
        if isPlanWaiting, thing(name, side.other)?.mode == mode { return }
        disk.change(place(name, side), Ownership(mode: mode))
        note(name, side, oracle.origin(name, side).afterChmod)
    }

    mutating func damage(_ name: String, _ side: Side, zeroes: Bool) {
        guard exists(name, side), disk.peek(place(name, side)).type == .file else { return }
        let path = place(name, side)
        let size = disk.peek(path).size
        if zeroes {
            // A write that was acknowledged, its inode kept and its data not.
            disk.write(path, at: 0, [UInt8](repeating: 0, count: size))
            disk.change(path, Ownership(mtime: disk.now))
            return note(name, side, .zeroed)
        }
        let isProven = oracle.origin(name, side) == .proven
        disk.corruptMedium(path, .replace(at: 0, Array(content(nextVersion()).prefix(size))))
        disk.evictCache(path)
        note(name, side, isProven ? .rotten : .rottenUnseen)
    }

    private mutating func remove(_ name: String, _ side: Side, _ origin: HistoryOracle.Origin) {
        guard exists(name, side) else { return }
        let gone = Self.names.filter {
            ($0 == name || $0.hasPrefix(name + "/")) && exists($0, side)
        }
        disk.remove(place(name, side))
        for each in gone { note(each, side, origin) }
    }

    private mutating func episode(_ side: Side) {
        log.append("an episode on \(side.letter)")
        episodes[side] = true
        oracle.noteEpisode(on: side, Self.names)
    }

    /// One thing, to one side or through both.
    mutating func happen(isPlanWaiting: Bool) {
        disk.advance(seconds: 100)
        let name = Self.names[random.below(Self.names.count)]
        let side = Side.allCases[random.below(2)]
        switch random.below(13) {
        case 0, 1, 2: exists(name, side) ? edit(name, [side]) : make(name, on: [side])
        case 3: chmod(name, side, isPlanWaiting: isPlanWaiting)
        case 4: damage(name, side, zeroes: false)
        case 5: damage(name, side, zeroes: true)
        case 6: remove(name, side, .edited)
        case 7:
            episode(side)
            remove(name, side, .lost)
        case 8:
            // The service wrote through both; one side lost it in an episode.
            episode(side)
            edit(name, [side.other])
            if random.once(in: 3) { damage(name, side, zeroes: true) }
        case 9:
            episode(side)
            edit(name, [side], isSeen: false)
        case 10: edit(name, Side.allCases)
        case 11: episode(side)
        default: if !isPlanWaiting { swap() }
        }
    }

    /// Roles are swapped: A is from now on what B was.
    private mutating func swap() {
        log.append("swapped")
        isSwapped.toggle()
        episodes = episodes.swapped
        oracle.swap()
    }
}

import ResyncCore
import TestSupport

/// One history: two pairs of stores with modules in them, a watcher that knows some of what goes
/// wrong, verifications, and the gates' answers held against what is really so.
struct GateHistory {
    var world: GateWorld
    private(set) var modules: [Module] = []
    /// The pair of each module, and the module of each file.
    private(set) var pairs: [Int] = []
    private(set) var owners: [Int] = []
    /// Of each store, in order.
    private(set) var episodes: [[Episode]] = [[], [], [], []]
    /// When those were noted that a person told of once they were over.
    private(set) var noted: [String: Int64] = [:]
    private var isWatched = true
    private var suspected = [false, false, false, false]
    /// Whether its file system counts errors that nobody accepted.
    private var counted = [false, false, false, false]
    /// When the watcher died.
    private var died: Int64 = 0
    /// The start of the last verified probe.
    private var lastGood: [Int64?] = [nil, nil, nil, nil]
    var runs: [GateVerification] = []
    var records: [RelativePath: BaselineRecord] = [:]
    /// When a file was last really read equal from both media, and what that was.
    var proven: [Int: (at: Int64, bytes: Int?)] = [:]
    /// Of each module, the newest first.
    var standings: [[GateRelease]] = []
    /// Whether much goes wrong.
    private let isRough: Bool
    /// Whether nothing happens any more.
    private(set) var isOver = false
    var tally = GateTally()
    private(set) var problems: [String] = []

    let margin = Double(GateWorld.margin) / 2

    init(_ seed: Seed) {
        world = GateWorld(seed)
        isRough = world.random.once(in: 3)
        lastGood = [world.now, world.now, world.now, world.now]
        let count = 2 + world.random.below(2)
        for index in 0..<count {
            let name = "m\(index)"
            let root = RelativePath(Array(name.utf8))
            let pair = world.random.below(3) / 2
            var module = Module(name: name, pair: "p\(pair)", paths: [root])
            module.scope = world.random.once(in: 3) ? .full : .suspect
            module.after = (0..<index).filter { _ in world.random.once(in: 2) }.map { "m\($0)" }
            modules.append(module)
            pairs.append(pair)
            standings.append([])
            let parent = world.files.count
            for file in 0..<(2 + world.random.below(3)) {
                let path =
                    file == 0 ? root : RelativePath(Array("\(name)/\(file)".utf8))
                world.add(
                    path, pair: pair, parent: file == 0 ? nil : parent, isDirectory: file == 0,
                    mayLoseInode: module.scope == .full)
                owners.append(index)
            }
        }
        world.pass(20)
    }

    mutating func run() {
        let steps = 60 + world.random.below(120)
        for _ in 0..<steps {
            pass()
            happen()
            if problems.count > 2 { return }
            if world.random.once(in: 3) { ask() }
        }
        end()
    }

    private mutating func pass() {
        switch world.random.below(40) {
        case 0: world.pass(60)
        case 1...4: world.pass(Int64(4 + world.random.below(8)))
        case 5...20: world.pass(Int64(1 + world.random.below(2)))
        default: break
        }
        world.replicate()
        for store in 0..<4 where world.random.once(in: 2) { probe(store) }
    }

    // MARK: What happens

    private mutating func happen() {
        let file = world.random.below(world.files.count)
        let side = Side.allCases[world.random.below(2)]
        let store = GateWorld.store(world.files[file].pair, side)
        switch world.random.below(100) {
        case 0..<13: world.edit(file, side, onBoth: true, removes: false)
        case 13..<16: world.edit(file, side, onBoth: true, removes: true)
        case 16 where world.random.once(in: 2):
            world.edit(file, side, onBoth: false, removes: world.random.once(in: 3))
        case 17..<20: world.copy(file, from: side)
        case 20 where world.random.once(in: 2): tell(store)
        case 20: world.forgetPages(file, side)
        case 21 where isRough: world.loseSilently(file, side)
        case 21 where world.random.once(in: 2): excuse()
        case 22..<26 where isRough || world.random.once(in: 6):
            fail(store)
        case 26..<32: notice(store, lost: world.random.once(in: 3))
        case 32..<46: recover()
        case 46:
            if isWatched == world.random.once(in: 6) { watch(!isWatched) }
        case 47 where world.random.once(in: 2):
            counted[store] = !counted[store] && world.random.once(in: 6)
        case 47: suspected[store] = !suspected[store] && world.random.once(in: 6)
        case 48..<54: copyAndConfirm(file, from: side)
        case 55..<61 where runs.count < 3: verify()
        case 61..<92: goOn()
        default: repair()
        }
    }

    private mutating func fail(_ store: Int) {
        // What was written as early as it may be lost at all is lost right after a good probe.
        if world.random.once(in: 2), world.waitUntilLost(store) { probe(store) }
        let kind: GateWorld.FaultKind = [.readOnly, .crash, .errors][world.random.below(3)]
        world.fail(kind, store, goodBefore: lastGood[store])
    }

    private mutating func verify() {
        let only = world.random.below(modules.count)
        verify(
            pairs[only], world.random.once(in: 2) ? only : nil,
            isMedia: world.random.once(in: 2))
    }

    private mutating func goOn() {
        guard !runs.isEmpty else { return }
        let index = world.random.below(runs.count)
        let steps = world.random.once(in: 3) ? 1000 : 1 + world.random.below(5)
        if goOn(index, steps: steps) {
            runs.remove(at: index)
            ask()
        }
    }

    /// Somebody makes a module's copies alike.
    private mutating func repair() {
        let module = world.random.below(modules.count)
        for file in files(of: [module]) {
            let sides = world.files[file].sides
            if sides.a.fromMedium != sides.b.fromMedium {
                world.copy(file, from: sides.a.fromMedium == nil ? .b : .a)
            }
        }
    }

    /// As an apply does, which reads back what it has copied.
    private mutating func copyAndConfirm(_ file: Int, from side: Side) {
        guard !world.files[file].isDirectory else { return }
        world.copy(file, from: side)
        let began = world.now
        world.pass(Int64(world.random.below(8)))
        let readings = world.files[file].sides.map { copy in
            GateVerification.Reading(
                stat: copy.seen.stat, bytes: copy.fromMedium, at: world.now)
        }
        guard readings.a.bytes == readings.b.bytes else { return }
        prove(file, readings, isMedia: true, began: began)
    }

    // MARK: The watcher

    private func moment(_ halves: Int64) -> Moment {
        Moment(boot: UInt64(halves) * 500_000_000, wall: GateWorld.time(halves))
    }

    private mutating func probe(_ store: Int) {
        guard isWatched, world.active[store] == nil else { return }
        lastGood[store] = world.now
    }

    private mutating func watch(_ isOn: Bool) {
        guard isWatched != isOn else { return }
        isWatched = isOn
        world.say(isOn ? "the watcher is back" : "the watcher dies")
        guard isOn else {
            died = world.now
            return
        }
        // What it knew may be gone with it.
        let hasForgotten = world.random.once(in: 2)
        for store in 0..<4 {
            if hasForgotten { forget(store) }
            if world.random.once(in: 2) { notice(store, lost: false) }
            compare(store)
        }
    }

    /// What the watcher makes of what changed while it was dead. A new boot shows; errors do where
    /// the file system counts them, or was mounted anew because of them.
    private mutating func compare(_ store: Int) {
        let unknown = world.faults.indices.filter { index in
            let fault = world.faults[index]
            return fault.store == store && fault.episode == nil && fault.kind != .silent
                && fault.at >= died
        }
        let booted = unknown.contains { world.faults[$0].kind == .crash }
        let shows = booted || world.random.once(in: 2)
        // What is broken still is an episode of its own.
        guard shows, world.active[store] == nil else { return }
        if episodes[store].last?.isOpen == true {
            for index in unknown { world.faults[index].episode = episodes[store].count - 1 }
            return
        }
        let now = moment(world.now)
        let good = lastGood[store].map { min($0, died) }
        var episode = Episode(
            id: "u\(store).\(episodes[store].count)", store: "\(store)", bootID: "",
            lastGood: good.map(moment), firstEvidence: moment(died), detected: now,
            steps: [Episode.Step(.unwatched, now)])
        (episode.closed, episode.ending) = (now, .watched)
        episode.sawCheck = unknown.contains { world.faults[$0].sawCheck }
        for index in unknown { world.faults[index].episode = episodes[store].count }
        episodes[store].append(episode)
        tally.unwatched += 1
        world.say("episode \(episode.id) (unwatched) for \(unknown)")
    }

    /// A person knows that nothing was lost, and says so.
    private mutating func excuse() {
        let known = (0..<4).flatMap { store in
            episodes[store].indices.filter { place in
                episodes[store][place].kind == .unwatched && !episodes[store][place].isExcused
                    && !world.faults.contains { $0.store == store && $0.episode == place }
            }.map { (store, $0) }
        }
        guard let (store, place) = known.randomElement(using: &world.random) else { return }
        episodes[store][place].ending = .person
        tally.excused += 1
        world.say("episode \(episodes[store][place].id) is vouched for")
    }

    /// A person tells of what the watcher did not see, and is over.
    private mutating func tell(_ store: Int) {
        let unknown = world.faults.indices.filter { index in
            let fault = world.faults[index]
            return fault.store == store && fault.episode == nil && fault.kind != .silent
        }
        let faults = unknown.map { world.faults[$0] }
        guard world.active[store] == nil, episodes[store].last?.isOpen != true,
            let began = faults.map(\.at).min(), let ended = faults.map({ $0.mended ?? $0.at }).max()
        else { return }
        let start = moment(began)
        var episode = Episode(
            id: "t\(store).\(episodes[store].count)", store: "\(store)", bootID: "",
            lastGood: start, firstEvidence: start, detected: start,
            steps: [Episode.Step(.readOnly, start)])
        episode.firstGood = Moment(boot: 0, wall: GateWorld.time(ended))
        (episode.closed, episode.ending) = (episode.firstGood, .person)
        episode.sawCheck = faults.contains(where: \.sawCheck)
        for index in unknown { world.faults[index].episode = episodes[store].count }
        episodes[store].append(episode)
        noted[episode.id] = world.now
        tally.told += 1
        world.say("a person tells of episode \(episode.id) (\(began) to \(ended)) for \(unknown)")
    }

    /// When it came to be known.
    func noting(_ episode: Episode) -> Timestamp {
        noted[episode.id].map { GateWorld.time($0) } ?? episode.detected.wall
    }

    /// Those that count.
    func counting(_ store: Int) -> [Episode] { episodes[store].filter { !$0.isExcused } }

    private mutating func forget(_ store: Int) {
        lastGood[store] = nil
        for index in world.faults.indices where world.faults[index].store == store {
            world.faults[index].goodBefore = nil
        }
    }

    /// The watcher sees what is wrong with a store, or that what was written there is lost.
    private mutating func notice(_ store: Int, lost: Bool) {
        guard isWatched else { return }
        let unknown = world.faults.indices.filter { index in
            let fault = world.faults[index]
            return fault.store == store && fault.episode == nil && (lost || fault.kind != .silent)
        }
        guard !unknown.isEmpty else { return }
        let faults = unknown.map { world.faults[$0] }
        let isLost = faults.contains { $0.kind == .silent }
        let kind: EpisodeClass =
            isLost ? .lostWrite : faults.contains { $0.kind == .readOnly } ? .readOnly : .ioError
        // Probes are good while writes are lost without an error.
        let times = faults.map { $0.kind == .silent ? lastGood[store] : $0.goodBefore }
        let good = times.contains(nil) ? nil : times.compactMap { $0 }.min()
        let now = moment(world.now)
        if episodes[store].last?.isOpen != true {
            episodes[store].append(
                Episode(
                    id: "e\(store).\(episodes[store].count)", store: "\(store)", bootID: "",
                    lastGood: good.map(moment), firstEvidence: now, detected: now,
                    steps: [Episode.Step(kind, now)]))
            tally.episodes += 1
        }
        let place = episodes[store].count - 1
        episodes[store][place].widen(to: good.map(moment))
        _ = episodes[store][place].rise(to: kind, at: now)
        episodes[store][place].firstGood = nil
        for index in unknown { world.faults[index].episode = place }
        world.say("episode \(episodes[store][place].id) (\(kind)) for \(unknown)")
    }

    /// One store is mended, found good, or closed.
    private mutating func recover() {
        let ill = (0..<4).filter { world.active[$0] != nil || episodes[$0].last?.isOpen == true }
        guard let store = ill.randomElement(using: &world.random) else { return }
        if world.active[store] != nil {
            world.mend(store)
        } else if episodes[store].last?.firstGood == nil, world.random.below(4) > 0 {
            findGood(store)
            if world.random.once(in: 3), runs.count < 3 { verify() }
        } else if world.random.once(in: 3) {
            close(store)
        }
    }

    private mutating func findGood(_ store: Int) {
        guard isWatched, let place = episodes[store].indices.last, episodes[store][place].isOpen,
            episodes[store][place].firstGood == nil
        else { return }
        episodes[store][place].firstGood = moment(world.now)
    }

    /// By probes, or by a person.
    private mutating func close(_ store: Int) {
        guard world.active[store] == nil, let place = episodes[store].indices.last,
            episodes[store][place].isOpen
        else { return }
        let isChecked = world.faults.contains {
            $0.store == store && $0.episode == place && $0.sawCheck
        }
        if isChecked { episodes[store][place].sawCheck = true }
        episodes[store][place].closed = moment(world.now)
        lastGood[store] = world.now
        world.say("episode \(episodes[store][place].id) is closed")
    }

    // MARK: The gates

    private func store(_ index: Int) -> ResyncCore.Gate.Store {
        var store = ResyncCore.Gate.Store(name: "s\(index)")
        for episode in counting(index) {
            guard let closed = episode.closed?.wall else {
                store.openEpisode = episode.id
                continue
            }
            let end = max(
                closed, episode.suspectWindow(margin: margin).end ?? closed, noting(episode))
            if episode.kind == .unwatched {
                if store.gap.map({ $0.end < end }) ?? true {
                    store.gap = ResyncCore.Gate.Gap(episode: episode.id, end: end, "")
                }
                continue
            }
            if store.lastClosed.map({ $0 < end }) ?? true {
                (store.lastClosed, store.lastEpisode) = (end, episode.id)
            }
        }
        if !isWatched { store.trouble = "is watched by nobody" }
        if suspected[index] { store.trouble = "is suspect" }
        if counted[index] { store.doubt = "counts errors" }
        return store
    }

    private func answer(_ module: Int) -> ResyncCore.Gate.Answer {
        let needs = modules.needed(by: modules[module]).map { needed -> ResyncCore.Gate.Need in
            let index = modules.firstIndex { $0.name == needed.name } ?? 0
            return ResyncCore.Gate.Need(
                module: needed.name,
                stores: Side.allCases.map { store(GateWorld.store(pairs[index], $0)) },
                standings: standings[index].map(\.standing))
        }
        return ResyncCore.Gate(unknown: nil, needs).answer
    }

    private mutating func ask() {
        for module in modules.indices {
            let answer = answer(module)
            let against = needed(module).flatMap { self.against($0) }
            let hadEpisode = needed(module).contains { index in
                Side.allCases.contains { !counting(GateWorld.store(pairs[index], $0)).isEmpty }
            }
            tally.note(answer, hadEpisode: hadEpisode)
            if answer == .open, let problem = against.first {
                say("\(modules[module].name) is open, and \(problem)")
            }
            if answer != .open, against.isEmpty {
                say("\(modules[module].name) is \(answer), and nothing is known against it")
            }
        }
    }

    private mutating func say(_ problem: String) {
        world.say("PROBLEM: \(problem)")
        problems.append(problem)
    }

    /// A module, and all that have to be open before it.
    private func needed(_ module: Int) -> Set<Int> {
        modules[module].after.reduce(into: [module]) { found, name in
            found.formUnion(needed(modules.firstIndex { $0.name == name } ?? module))
        }
    }

    /// What speaks against a module by itself.
    private func against(_ module: Int) -> [String] {
        let name = modules[module].name
        let stores = Side.allCases.map { GateWorld.store(pairs[module], $0) }
        guard isWatched else { return ["nobody watches"] }
        guard !stores.contains(where: { suspected[$0] }) else { return ["a store is suspect"] }
        guard !stores.contains(where: { counted[$0] }) else { return ["a store counts errors"] }
        let known = stores.flatMap { counting($0) }
        guard !known.isEmpty else {
            let decided = standings[module].map(\.standing).first { $0.answer != .undecided }
            return decided?.answer == .different ? ["\(name) was found to differ"] : []
        }
        let closed = known.map { max(closing($0), noted[$0.id] ?? .min) }.max() ?? .min
        let release = standings[module].firstIndex {
            $0.standing.answer == .released && $0.began > closed
        }
        guard let release else { return ["\(name) was not released since an episode"] }
        if standings[module][..<release].contains(where: { $0.standing.answer == .different }) {
            return ["\(name) was found to differ since"]
        }
        return standings[module][release].findings.filter { finding in
            !finding.faults.contains { world.faults[$0].episode == nil }
        }.map(\.text)
    }

    // MARK: The end

    /// Once all is mended, alike and verified, every gate opens.
    private mutating func end() {
        runs = []
        isOver = true
        watch(true)
        for store in 0..<4 {
            world.mend(store)
            notice(store, lost: true)
            suspected[store] = false
            counted[store] = false
            close(store)
        }
        world.pass(1)
        world.repairAll()
        world.pass(6)
        for pair in 0..<2 {
            verify(pair, nil, isMedia: true)
            while !runs.isEmpty {
                if goOn(0, steps: 1) { runs.removeFirst() }
            }
        }
        ask()
        for module in modules.indices where answer(module) != .open {
            say("\(modules[module].name) does not open in the end")
        }
    }
}

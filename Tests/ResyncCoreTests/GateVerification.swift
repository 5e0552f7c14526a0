import ResyncCore
import TestSupport

/// A verification of some modules of a pair, made in steps: each side of each file is read over
/// some time, then what differs is looked at again, then everything once more.
struct GateVerification {
    enum Phase { case reading, confirming, looking, done }

    /// One side's reading of one file.
    struct Reading {
        let stat: Stat?
        let bytes: Int?
        let at: Int64
        var isStable = true
        var isOver = false
    }

    let pair: Int
    let modules: [Int]
    let isMedia: Bool
    let began: Int64
    var phase = Phase.reading
    /// Each twice: for the beginning and the end of the reading.
    var reads: [(file: Int, side: Side)] = []
    var readings: [Int: Sides<Reading?>] = [:]
    /// What the first pass found to differ.
    var open: [Int] = []
    var differing: [Int] = []
    /// What the last look goes by.
    var looks: [(module: Int, file: Int)] = []
    var proofs: [Int: ModuleProof] = [:]
    var findings: [Int: [GateFinding]] = [:]

    init(_ pair: Int, _ modules: [Int], isMedia: Bool, began: Int64) {
        (self.pair, self.modules, self.isMedia, self.began) = (pair, modules, isMedia, began)
    }
}

/// What speaks against a release, by what is really so.
struct GateFinding {
    let text: String
    /// Nobody can be blamed for it while one of these is not known.
    let faults: [Int]
}

/// What a verification said of a module, with what was really so.
struct GateRelease {
    let standing: ResyncCore.Gate.Standing
    let began: Int64
    let findings: [GateFinding]
}

extension GateHistory {
    func files(of modules: [Int]) -> [Int] {
        world.files.indices.filter { modules.contains(owners[$0]) }
    }

    mutating func verify(_ pair: Int, _ only: Int?, isMedia: Bool) {
        let modules = only.map { [$0] } ?? modules.indices.filter { pairs[$0] == pair }
        guard !modules.isEmpty else { return }
        var run = GateVerification(pair, modules, isMedia: isMedia, began: world.now)
        // What is not read keeps its record.
        for file in files(of: modules) where isOver || !world.random.once(in: 12) {
            let sides = world.random.once(in: 2) ? Side.allCases : [.b, .a]
            // Both at the same time, or one behind the other.
            if world.random.once(in: 2) {
                run.reads += [(file, sides[0]), (file, sides[1])]
                run.reads += [(file, sides[0]), (file, sides[1])]
            } else {
                for side in sides { run.reads += [(file, side), (file, side)] }
            }
        }
        run.reads.reverse()
        world.say(
            "verification of \(modules) at \(isMedia ? "media" : "hash") begins")
        runs.append(run)
        tally.verifications += 1
    }

    /// Goes on with a verification; returns whether it is over.
    mutating func goOn(_ index: Int, steps: Int) -> Bool {
        for _ in 0..<steps {
            switch runs[index].phase {
            case .reading: read(index)
            case .confirming: confirm(index)
            case .looking: look(index)
            case .done: return true
            }
        }
        return runs[index].phase == .done
    }

    private mutating func read(_ index: Int) {
        guard let (file, side) = runs[index].reads.popLast() else { return endReading(index) }
        let copy = world.files[file].sides[side]
        var both = runs[index].readings[file] ?? Sides(a: nil, b: nil)
        if var begun = both[side] {
            begun.isStable = begun.stat == copy.seen.stat
            begun.isOver = true
            both[side] = begun
        } else {
            both[side] = GateVerification.Reading(
                stat: copy.seen.stat,
                bytes: runs[index].isMedia ? copy.fromMedium : copy.seen.bytes,
                at: world.now)
        }
        runs[index].readings[file] = both
    }

    /// What agrees and was read without doubt gets a record, and what is gone loses it.
    private mutating func endReading(_ index: Int) {
        let run = runs[index]
        // What is read while an episode is open proves nothing, even once that is over.
        let isDoubtful = isDoubtful(run)
        for (file, readings) in run.readings.sorted(by: { $0.key < $1.key }) {
            guard let a = readings.a, let b = readings.b else { continue }
            if a.isStable, b.isStable, a.stat == nil, b.stat == nil, !isDoubtful {
                records[world.files[file].path] = nil
            } else if a.bytes != b.bytes || (a.stat == nil) != (b.stat == nil) {
                runs[index].open.append(file)
            } else if a.isStable, b.isStable, !isDoubtful {
                prove(file, Sides(a: a, b: b), isMedia: run.isMedia, began: run.began)
            }
        }
        runs[index].phase = .confirming
    }

    mutating func prove(
        _ file: Int, _ readings: Sides<GateVerification.Reading>, isMedia: Bool, began: Int64
    ) {
        guard let a = readings.a.stat, let b = readings.b.stat else { return }
        let path = world.files[file].path
        var record = BaselineRecord(
            path: path,
            agreed: ObservedEntry(
                entry: Entry(stat: a), content: digest(UInt64(readings.a.bytes ?? 0))),
            witnesses: Sides(a: BaselineRecord.Witness(a), b: BaselineRecord.Witness(b)),
            aspects: .standard, level: isMedia ? .media : .hash, time: GateWorld.time(began))
        record.isRacy = Side.allCases.contains { side in
            let limit = GateWorld.time(readings[side].at).adding(seconds: -2)
            return readings[side].stat.map { $0.mtime > limit || $0.ctime > limit } ?? false
        }
        records[path] = record
        if isMedia { proven[file] = (min(readings.a.at, readings.b.at), readings.a.bytes) }
    }

    /// A difference counts when it is seen again, from the medium, and nothing moved meanwhile.
    private mutating func confirm(_ index: Int) {
        let run = runs[index]
        for file in run.open {
            let sides = world.files[file].sides
            guard let readings = run.readings[file], let a = readings.a, let b = readings.b,
                a.stat == sides.a.seen.stat, b.stat == sides.b.seen.stat,
                sides.a.fromMedium != sides.b.fromMedium
            else { continue }
            runs[index].differing.append(file)
        }
        if isDoubtful(run) {
            world.say("verification of \(run.modules) is doubtful")
            tally.doubtful += 1
            runs[index].phase = .done
            return
        }
        let all = Side.both { self.spans(GateWorld.store(run.pair, $0)) }
        for module in run.modules {
            let released = standings[module].map(\.standing).filter { $0.answer == .released }
            let spans = all.knowing(
                openings: released.map { $0.looked...$0.looked }, since: .epoch)
            runs[index].proofs[module] = ModuleProof(modules[module], spans)
            runs[index].looks += files(of: [module]).map { (module, $0) }
        }
        runs[index].looks.reverse()
        runs[index].phase = .looking
    }

    /// An episode in the meantime makes all of it doubtful.
    private func isDoubtful(_ run: GateVerification) -> Bool {
        Side.allCases.contains { side in
            spans(GateWorld.store(run.pair, side)).contains {
                ($0.end ?? GateWorld.time(world.now)) >= GateWorld.time(run.began)
            }
        }
    }

    private func spans(_ store: Int) -> [SuspectSpan] {
        counting(store).map { episode in
            let (start, end) = episode.suspectWindow(margin: margin)
            let closed = episode.closed?.wall
            return SuspectSpan(
                start: start, end: closed.map { max($0, end ?? $0) },
                reachesAll: episode.reachesAll, isUnwatched: episode.kind == .unwatched,
                noted: noting(episode))
        }
    }

    private mutating func look(_ index: Int) {
        guard let (module, file) = runs[index].looks.popLast() else { return }
        let entry = world.files[file]
        if !isOver, world.random.once(in: 200) {
            runs[index].proofs[module]?.addUnreadable(entry.path)
        } else {
            runs[index].proofs[module]?.add(
                entry.path, entry.sides.map { $0.seen.stat }, records[entry.path])
            runs[index].findings[module, default: []] += findings(file, module)
        }
        if runs[index].looks.last?.module != module { settle(index, module) }
        if runs[index].looks.isEmpty { runs[index].phase = .done }
    }

    private mutating func settle(_ index: Int, _ module: Int) {
        let run = runs[index]
        guard let proof = run.proofs[module] else { return }
        let differing = run.differing.contains { owners[$0] == module }
        let answer: ResyncCore.Gate.Standing.Answer =
            differing ? .different : proof.isWhole ? .released : .undecided
        let standing = ResyncCore.Gate.Standing(
            answer, began: GateWorld.time(run.began), "\(proof.gaps)")
        world.say("\(modules[module].name) is \(answer) \(proof.gaps)")
        if answer == .released { tally.releases += 1 }
        standings[module].insert(
            GateRelease(
                standing: standing, began: run.began, findings: run.findings[module] ?? []),
            at: 0)
    }

    // MARK: What is really so

    /// What speaks against releasing a file, at the moment of its last look.
    private func findings(_ file: Int, _ module: Int) -> [GateFinding] {
        let entry = world.files[file]
        let known = Side.allCases.flatMap { counting(GateWorld.store(entry.pair, $0)) }
        guard !known.isEmpty else { return [] }
        let name = "\(escaped(entry.path.bytes))"
        let (a, b) = (entry.sides.a.medium, entry.sides.b.medium)
        let blame = a.blame + b.blame
        var found: [GateFinding] = []
        let isFull = modules[module].scope == .full
        if a.bytes != b.bytes {
            // What was read from the medium was right then, but for names and inodes, which are
            // not read past the kernel.
            let isHidden = Side.allCases.contains { side in
                entry.sides[side].seen.stat != entry.sides[side].medium.stat
            }
            let faults = blame.filter {
                !isFull || isHidden || $0.at >= proven[file]?.at ?? .min
            }
            found.append(GateFinding(text: "\(name) differs", faults: faults.map { $0.fault }))
        }
        guard entry.sides.a.seen.stat != nil || entry.sides.b.seen.stat != nil else { return found }
        var since: Int64 = .min
        for side in Side.allCases {
            let store = GateWorld.store(entry.pair, side)
            if isFull {
                let all = counting(store).filter { !wasShut(module, $0, entry.pair) }
                since = all.map(closing).max().map { max($0, since) } ?? since
            }
            for fault in world.faults where fault.store == store {
                guard let place = fault.episode,
                    entry.sides[side].seen.written >= fault.at - GateWorld.margin
                else { continue }
                since = max(since, closing(episodes[store][place]))
            }
        }
        guard since > .min else { return found }
        guard let proof = proven[file], proof.at > since else {
            found.append(GateFinding(text: "\(name) was not read from the medium", faults: []))
            return found
        }
        if entry.sides.a.fromMedium != proof.bytes || entry.sides.b.fromMedium != proof.bytes {
            let faults = blame.filter { $0.at >= proof.at }.map { $0.fault }
            found.append(GateFinding(text: "\(name) is not what was read", faults: faults))
        }
        return found
    }

    /// Whether a module was shut from an earlier episode on all through another one: that voids
    /// nothing but what was written in it, whatever the scope.
    private func wasShut(_ module: Int, _ episode: Episode, _ pair: Int) -> Bool {
        guard !episode.reachesAll, let end = episode.closed?.wall,
            let start = episode.suspectWindow(margin: margin).start
        else { return false }
        let ends = Side.allCases.flatMap { counting(GateWorld.store(pair, $0)) }
            .filter { $0.kind != .unwatched }.compactMap { other in
                other.closed.map { max($0.wall, noting(other)) }
            }
        guard let before = ends.filter({ $0 < start }).max() else { return false }
        return !standings[module].contains { release in
            release.standing.answer == .released && release.standing.looked > before
                && release.standing.looked <= end
        }
    }

    /// In half seconds; the end of time while it is open.
    func closing(_ episode: Episode) -> Int64 {
        episode.closed.map { $0.wall.seconds * 2 + ($0.wall.nanoseconds > 0 ? 1 : 0) } ?? .max
    }
}

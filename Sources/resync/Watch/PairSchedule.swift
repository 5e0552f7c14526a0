import Glibc
import ResyncCore
import ResyncLedger

/// What is known of the modules of a configuration.
struct ModuleKnowledge {
    /// Why something is not known that is kept.
    private(set) var troubles: [String]
    private let episodes: EpisodeKnowledge
    private let modules: [String: [Module]]
    /// The pair of each module.
    private let places: [String: String]
    private let overrides: Set<String>
    private let standings: [String: StandingRecord]
    /// What is known of each by itself, without those that it needs.
    private let own: [String: Gate.Answer]
    private let gates: [String: Gate.Answer]
    private let stores: [String: [Gate.Store]]
    /// The largest of all numbers is none that a whole one could be made of.
    private static let largest = 9e18

    init(_ configuration: Configuration, _ episodes: EpisodeKnowledge, _ overrides: Overrides) {
        let modules = configuration.modules
        self.modules = Dictionary(grouping: modules, by: \.pair)
        places = Dictionary(uniqueKeysWithValues: modules.map { ($0.name, $0.pair) })
        self.episodes = episodes
        troubles = episodes.failure.map { [$0] } ?? []
        do {
            self.overrides = Set(try overrides.current().map(\.module))
        } catch {
            self.overrides = []
            troubles.append(Main.explain(error)?.message ?? "\(error)")
        }
        var (needs, standings): ([Gate.Need], [StandingRecord]) = ([], [])
        do {
            needs = try episodes.needs(modules, configuration) ?? []
            standings = try episodes.newestStandings()
        } catch {
            troubles.append(Main.explain(error)?.message ?? "\(error)")
        }
        own = Dictionary(
            uniqueKeysWithValues: needs.map { ($0.module, Gate(unknown: nil, [$0]).answer) })
        stores = Dictionary(
            zip(modules.map(\.pair), needs.map(\.stores)), uniquingKeysWith: { one, _ in one })
        gates = modules.gates(own)
        self.standings = Dictionary(
            standings.map { ($0.module, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// Why nothing of a pair is to be trusted now.
    func troubles(of pair: Configuration.Pair) -> [String] {
        stores[pair.name, default: []].compactMap { store in
            let episode = store.openEpisode.map { "has an open episode, \($0)" }
            return (episode ?? store.trouble).map { "\(store.name) \($0)" }
        }
    }

    /// The modules of a pair as the configuration has them, as far as each is known by itself.
    fileprivate func turns(_ pair: Configuration.Pair) -> [ModuleTurn] {
        let modules = modules[pair.name, default: []]
        let known = modules.compactMap { standings[$0.name]?.bytes }
        // Shares first: the sum may be more than there can be.
        let mean = known.reduce(0.0) { $0 + Double($1) / Double(known.count) }
        let bytes = known.isEmpty ? ModuleTurn.usualBytes : Int(min(mean, Self.largest))
        return modules.map { module in
            var turn = ModuleTurn(
                module: module, gate: gates[module.name] ?? .undecided,
                isProven: own[module.name] == .open,
                isOverridden: overrides.contains(module.name),
                bytes: standings[module.name]?.bytes ?? bytes,
                entries: standings[module.name]?.entries)
            for name in Set(module.after).sorted() where gates[name] != .open {
                guard let other = places[name] else { continue }
                if other == pair.name {
                    turn.after.append(name)
                } else {
                    turn.waits.append((name, other))
                }
            }
            turn.findHotPaths(episodes, pair.stores.map { $0.path })
            return turn
        }
    }
}

/// A module in the order of its pair.
struct ModuleTurn {
    /// What a module is taken to hold where nothing is known of any.
    static let usualBytes = 1 << 30

    let module: Module
    let gate: Gate.Answer
    /// Whether it needs no verifying, and only waits for others.
    let isProven: Bool
    /// Whether a person opened it all the same.
    let isOverridden: Bool
    /// Of one side; where `entries` is nil, what others have on average.
    let bytes: Int
    let entries: Int?
    /// Those of its pair, and of others, that it waits for.
    var after: [String] = []
    var waits: [(module: String, pair: String)] = []
    private(set) var hot = HotPaths()
    /// Why there are none; nil where there are, or none are named.
    private(set) var hotTrouble: String?
    fileprivate(set) var reason = ""
    fileprivate(set) var seconds = 0.0
    /// From the start of the first, in seconds.
    fileprivate(set) var verified = 0.0
    /// The same, where pairs are verified side by side and all goes well.
    fileprivate(set) var released = 0.0

    fileprivate mutating func findHotPaths(
        _ episodes: EpisodeKnowledge, _ paths: Sides<[UInt8]>
    ) {
        guard !module.hot.isEmpty else { return }
        do throws(HotPathError) {
            hot = try episodes.hotPaths(of: [module], paths.map { StorePlace($0, nil) })
            if hot.paths.isEmpty { hotTrouble = "no suspect window is known" }
        } catch {
            hotTrouble = error.reason
        }
    }
}

/// The order in which the modules of one pair are verified.
struct PairSchedule {
    /// Where the rate is taken from.
    enum RateSource: String {
        case option, pair, assumed
    }

    /// What a disk that turns gives at least, and a network of 1 Gbit/s: bytes a second.
    private static let usualRate = 100 << 20

    let pair: Configuration.Pair
    /// Bytes a second of each side.
    let rate: Int
    let rateSource: RateSource
    /// Those that are not open, in their order.
    private(set) var turns: [ModuleTurn] = []
    let open: [ModuleTurn]
    let order: ModuleOrder

    private init(
        _ pair: Configuration.Pair, _ knowledge: ModuleKnowledge, readLimit: Int?
    ) throws {
        self.pair = pair
        (rate, rateSource) =
            readLimit.map { ($0, .option) } ?? pair.readLimit.map { ($0, .pair) }
            ?? (Self.usualRate, .assumed)
        let all = knowledge.turns(pair)
        var shut = all.filter { $0.gate != .open }
        open = all.filter { $0.gate == .open }
        // Both sides are read at the same time.
        for index in shut.indices where !shut[index].isProven {
            let seconds = Double(shut[index].bytes) / Double(rate)
            shut[index].seconds = min(max(0, seconds), ModuleWork.limit)
        }
        let seconds = Dictionary(
            uniqueKeysWithValues: shut.map { ($0.module.name, $0.seconds) })
        let works = shut.map(\.module).works { seconds[$0.name] ?? 0 }
        do throws(ModuleOrderError) {
            order = try ModuleOrder(works)
        } catch {
            throw CommandError("the modules of '\(pair.name)' have no order: \(error)", .defect)
        }
        let reasons = Self.reasons(shut, works, order.order)
        turns = order.order.map { index in
            var turn = shut[index]
            turn.reason = reasons[index]
            turn.verified = order.estimatedEnds[index]
            return turn
        }
    }

    /// Of all pairs: modules wait for those of others, too.
    static func all(
        _ configuration: Configuration, _ knowledge: ModuleKnowledge, readLimit: Int?
    ) throws -> [PairSchedule] {
        var schedules = try configuration.pairs.map {
            try PairSchedule($0, knowledge, readLimit: readLimit)
        }
        var released: [String: Double] = [:]
        var isSettled = false
        // Along a chain of modules each round gets one pair further.
        while !isSettled {
            isSettled = true
            for pair in schedules.indices {
                for place in schedules[pair].turns.indices {
                    let turn = schedules[pair].turns[place]
                    let others = turn.module.after.compactMap { released[$0] }
                    let time = others.reduce(turn.verified, max)
                    schedules[pair].turns[place].released = time
                    let before = released.updateValue(time, forKey: turn.module.name)
                    if before != time { isSettled = false }
                }
            }
        }
        return schedules
    }

    /// Why each stands where it does.
    private static func reasons(
        _ turns: [ModuleTurn], _ works: [ModuleWork], _ order: [Int]
    ) -> [String] {
        var followers: [[Int]] = works.map { _ in [] }
        var waiting = works.map { Set($0.after).count }
        for (index, work) in works.enumerated() {
            for other in Set(work.after) { followers[other].append(index) }
        }
        var reasons = works.map { _ in "" }
        var left = Set(works.indices.filter { waiting[$0] == 0 })
        for index in order {
            left.remove(index)
            let work = works[index]
            let isLargest = !left.contains {
                // But for what rounding makes of equal ones.
                works[$0].weight * work.seconds > work.weight * works[$0].seconds * (1 + 1e-9)
            }
            if turns[index].isProven {
                reasons[index] = "proven itself, opens with what it needs"
            } else if isLargest, !left.isEmpty {
                reasons[index] = "largest weight for its time"
            } else if !followers[index].isEmpty {
                reasons[index] =
                    "needed by " + listed(followers[index].map { turns[$0].module.name }, count: 3)
            } else {
                reasons[index] = left.isEmpty ? "nothing else is left" : "weighed with the others"
            }
            for follower in followers[index] {
                waiting[follower] -= 1
                if waiting[follower] == 0 { left.insert(follower) }
            }
        }
        return reasons
    }
}

/// The first few of some words, and how many more there are.
func listed(_ words: [String], count: Int) -> String {
    let more = words.count - count
    return words.prefix(count).joined(separator: ", ")
        + (more > 0 ? " and \(countText(more)) more" : "")
}

extension CalendarDay {
    private static let length = 86400

    /// From that of one time to that of another one, by the local calendar; nil where that makes
    /// more than a limit.
    static func local(from start: Timestamp, to end: Timestamp, limit: Int) -> [CalendarDay]? {
        guard let first = number(of: start), let last = number(of: max(start, end)),
            last - first < limit
        else { return nil }
        return (first...last).map { number in
            var (time, fields) = (time_t(number * length), tm())
            gmtime_r(&time, &fields)
            return CalendarDay(
                year: Int(fields.tm_year) + 1900, month: Int(fields.tm_mon) + 1,
                day: Int(fields.tm_mday))
        }
    }

    /// Days of the calendar since 1970, however many hours each had.
    private static func number(of time: Timestamp) -> Int? {
        guard var fields = time.localFields else { return nil }
        (fields.tm_hour, fields.tm_min, fields.tm_sec) = (0, 0, 0)
        return Int(timegm(&fields)) / length
    }
}

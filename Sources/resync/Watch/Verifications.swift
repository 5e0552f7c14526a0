import Dispatch
import ResyncCore
import ResyncEngine
import ResyncLedger
import ResyncStorage

/// Tells of gates that open or shut, and verifies modules after an episode without anybody asking:
/// first what is suspect of all of them, then one at a time of each pair, each by a process of its
/// own, which is ended where a store of the pair is not well any more. Never writes to a store.
/// What it does next follows from the ledger, so that nothing is lost with it but first looks.
final class Verifications: @unchecked Sendable {
    // Unchecked because everything below is touched on its queue only.

    /// Seconds after which is looked for what is to be done, also where nothing happened.
    private static let interval = 10.0
    /// Seconds after which what could not come to its end is tried again.
    private static let retry = 60.0
    /// Seconds in which a store that lives was found well after a start.
    private static let startTime = 60.0

    private let configuration: Configuration
    private let configurationPath: [UInt8]
    private let state: StateFolder
    private let ledger: Ledger
    private let notifier: Notifier?
    private let verifies: Bool
    private let told: ToldAnswers
    private let begun = monotonicSeconds()
    /// Kept from one turn to the next, since a store that hangs is asked where it lies only once.
    private let realPaths = RealPaths()
    private let queue = DispatchQueue(label: "resync.verifications")
    private let timer: any DispatchSourceTimer
    private var stores: [StoreStatus] = []
    /// By the monotonic clock; nil where something has happened since.
    private var lastLook: Double?
    private var running: [String: Running] = [:]
    /// Modules whose verification could not come to its end, and when that was.
    private var failed: [String: Double] = [:]
    /// Of each module, as it was told last, also by the watcher before; nil before the first turn.
    private var answers: [String: Gate.Answer]?
    /// Of each pair: the episode after which it is looked at first, and what is left of that.
    private var first: [String: First] = [:]

    private struct First {
        let episode: String
        var left: [UnprovenEntries.Part]
        /// By the monotonic clock.
        let began = monotonicSeconds()
    }

    private enum Task {
        case look(UnprovenEntries.Part)
        case module(Module)

        var words: String {
            switch self {
            case .look(let part): "what is \(part.rawValue)"
            case .module(let module): module.name
            }
        }
    }

    private struct Running {
        let task: Task
        let process: ChildProcess
        let started: Timestamp
        /// No pair of the same store, and no nightly, reads it meanwhile.
        let turn: [Folder]
        var isEnding = false
    }

    /// - Parameter verifies: whether it does more than tell.
    init(
        _ configuration: Configuration, at path: [UInt8], _ state: StateFolder,
        _ ledger: Ledger, _ notifier: Notifier?, verifies: Bool
    ) {
        self.verifies = verifies
        told = ToldAnswers(folder: state.folder)
        self.configuration = configuration
        configurationPath = absolutePath(path)
        (self.state, self.ledger) = (state, ledger)
        self.notifier = notifier
        timer = DispatchSource.makeTimerSource(queue: queue)
        timer.schedule(deadline: .now() + 1, repeating: 1)
        timer.setEventHandler { [weak self] in self?.turn() }
        timer.activate()
    }

    /// How all stores are. Nothing waits for what follows from it.
    func beat(_ stores: [StoreStatus]) {
        queue.async { self.stores = stores }
    }

    /// Something happened to a store.
    func happened(_ store: StoreStatus) {
        queue.async {
            guard let at = self.stores.firstIndex(where: { $0.name == store.name }) else { return }
            self.stores[at] = store
            self.lastLook = nil
            self.turn()
        }
    }

    /// What happened is in the ledger by now: before that it says of an episode that was closed
    /// that it is open, and nothing is due.
    func kept() {
        queue.async {
            self.lastLook = nil
            self.turn()
        }
    }

    /// Ends what runs, and waits for that, so many seconds at most; longer for what has to be put
    /// back in order then.
    func end(within usual: Double) {
        let isDone = DispatchSemaphore(value: 0)
        let seconds = usual + (queue.sync { isPrepared } ? OperatorCommand.usualTimeout : 0)
        queue.async {
            self.timer.cancel()
            // A second signal would end at once what the first one lets come to its end.
            for one in self.running.values where !one.isEnding { one.process.terminate() }
            let end = monotonicSeconds() + seconds
            while monotonicSeconds() < end, !self.running.isEmpty {
                self.running = self.running.filter { $0.value.process.ended() == nil }
                pause(milliseconds: 20)
            }
            isDone.signal()
        }
        _ = isDone.wait(timeout: .now() + seconds + 1)
    }

    /// Whether a module is verified that has something to be done in the end.
    private var isPrepared: Bool {
        running.values.contains { one in
            if case .module(let module) = one.task { module.finish != nil } else { false }
        }
    }

    private func turn() {
        guard !stores.isEmpty else { return }
        let bad = Set(stores.filter { $0.state != .ok || $0.isSuppressed }.map(\.name))
        for pair in configuration.pairs {
            guard let one = running[pair.name] else { continue }
            if let status = one.process.ended() {
                running[pair.name] = nil
                conclude(one, of: pair, status)
                lastLook = nil
            } else if !one.isEnding,
                let store = Side.allCases.map(pair.storeName)
                    .first(where: bad.contains)
            {
                running[pair.name]?.isEnding = true
                one.process.terminate()
                say(pair.name, "STOPPED  verifying \(one.task.words): \(store) is not well")
            }
        }
        let now = monotonicSeconds()
        guard lastLook.map({ now - $0 >= Self.interval }) ?? true else { return }
        lastLook = now
        do {
            let knowledge = EpisodeKnowledge(ledger, stores, state, realPaths)
            try tellChanges(knowledge)
            for pair in configuration.pairs
            where verifies && running[pair.name] == nil && !bad.contains(where: pair.has) {
                try start(pair, knowledge)
            }
        } catch {
            Main.complain(Main.explain(error)?.message ?? "\(error)")
        }
    }

    private func start(_ pair: Configuration.Pair, _ knowledge: EpisodeKnowledge) throws {
        let now = monotonicSeconds()
        let due = try knowledge.due(pair, configuration).filter { module in
            failed[module.name].map { now - $0 >= Self.retry } ?? true
        }
        guard let module = due.first else { return }
        guard let turn = try state.turn(at: pair.stores.map { $0.path }) else { return }
        if let part = nextLook(of: pair, due, knowledge) {
            try start(.look(part), of: pair, turn)
            say(pair.name, "LOOK     what is \(part.rawValue)")
            return
        }
        try start(.module(module), of: pair, turn)
        let more = due.count > 1 ? ", \(due.count - 1) more to follow" : ""
        say(pair.name, "VERIFY   \(module.name)\(more)")
    }

    /// What is to be looked at before any module is verified; nil where that was done.
    private func nextLook(
        of pair: Configuration.Pair, _ due: [Module], _ knowledge: EpisodeKnowledge
    ) -> UnprovenEntries.Part? {
        let paths = pair.stores.map { $0.path }
        guard let episode = knowledge.lastEpisode(of: paths) else { return nil }
        if first[pair.name]?.episode != episode {
            let hasHot = due.contains { !$0.hot.isEmpty }
            first[pair.name] = First(
                episode: episode, left: hasHot ? [.hot, .suspect] : [.suspect])
        }
        return first[pair.name]?.left.first
    }

    private func start(_ task: Task, of pair: Configuration.Pair, _ turn: [Folder]) throws {
        let about =
            switch task {
            case .look(let part): ["--only", part.rawValue, pair.name]
            case .module(let module):
                ["--only", UnprovenEntries.Part.unproven.rawValue, "--module", module.name]
            }
        // What services that come back do counts more than how soon all of it is verified.
        let began = first[pair.name]?.began ?? monotonicSeconds()
        let share = RateRamp.share(after: monotonicSeconds() - began)
        let ramp = pair.readLimit == nil ? [] : ["--ramp", "\(share)"]
        let words = ([programName, "verify", "--quiet", "--progress", "none"] + ramp + about)
            .map { Array($0.utf8) }
        let started = Timestamp.now
        let process = try ChildProcess(
            Array("/proc/self/exe".utf8),
            words + [
                Array("--state".utf8), absolutePath(state.path), Array("--config".utf8),
                configurationPath,
            ], input: nil)
        running[pair.name] = Running(
            task: task, process: process, started: started, turn: turn)
    }

    /// - Parameter status: as of wait(2).
    private func conclude(_ one: Running, of pair: Configuration.Pair, _ status: Int32) {
        switch one.task {
        case .look(let part):
            let run = run(of: one, pair)
            say(
                pair.name,
                "LOOKED   what is \(part.rawValue): "
                    + (run.map { "\($0.verdict) (run \($0.id))" } ?? Self.noEnd(status)))
            // What was not looked at first is looked at with its module.
            if !one.isEnding { first[pair.name]?.left.removeAll { $0 == part } }
        case .module(let module):
            let standing = standing(of: module, since: one.started)
            say(pair.name, "VERIFIED \(module.name): \(words(standing, status))")
            failed[module.name] = standing == nil && !one.isEnding ? monotonicSeconds() : nil
        }
    }

    /// What it found out, from the ledger; nil where that is of another run.
    private func standing(of module: Module, since started: Timestamp) -> StandingRecord? {
        guard let newest = try? ledger.standings(of: module.name, limit: 1).first,
            newest.began.seconds >= started.seconds
        else { return nil }
        return newest
    }

    /// The run of a look, from the ledger; nil where it did not come to its end.
    private func run(of one: Running, _ pair: Configuration.Pair) -> RunRecord? {
        try? ledger.runs(limit: 100).first { run in
            run.began.seconds >= one.started.seconds && run.a == pair.stores.a.path
                && run.b == pair.stores.b.path
        }
    }

    /// - Parameter status: as of wait(2).
    private static func noEnd(_ status: Int32) -> String {
        let (signal, code) = (status & 0x7f, status >> 8 & 0xff)
        return "it did not come to its end ("
            + (signal == 0 ? "status \(code))" : "ended by signal \(signal))")
    }

    /// - Parameter status: as of wait(2).
    private func words(_ standing: StandingRecord?, _ status: Int32) -> String {
        guard let standing else { return Self.noEnd(status) }
        return standing.answer == .released
            ? "released" : "\(standing.answer.rawValue), \(standing.reason) (run \(standing.run))"
    }

    /// Tells of gates that opened or shut since the last time.
    private func tellChanges(_ knowledge: EpisodeKnowledge) throws {
        // Until the first probes are back nobody knows more than before.
        let isStarting = monotonicSeconds() - begun < Self.startTime
        if isStarting, stores.contains(where: { $0.state == .unknown }) { return }
        let modules = configuration.modules
        guard let needs = try knowledge.needs(modules, configuration) else { return }
        let own = needs.map { ($0.module, Gate(unknown: nil, [$0]).answer) }
        // What was skipped while no watcher ran waits for a word, whatever was told before.
        let isFirst = answers == nil
        let before = answers ?? told.read()
        let now = modules.gates(Dictionary(own, uniquingKeysWith: { first, _ in first }))
        for module in modules {
            let hasOpened = now[module.name] == .open
            guard isFirst && hasOpened || (before[module.name] == .open) != hasOpened else {
                continue
            }
            let gate = try knowledge.gate(module, configuration)
            let reasons = gate.reasons.map(\.text).joined(separator: "; ")
            say(module.name, hasOpened ? "OPEN     \(reasons)" : "WITHDRAWN \(reasons)")
            var message = gate.jsonLine(module)
            message.field("event", hasOpened ? "released" : "withdrawn")
            message.field("message", "\(module.name) \(gate.answer.rawValue): \(reasons)")
            notifier?.send(message)
        }
        // In the end: rather told twice than never.
        answers = now
        if now != before { told.keep(now) }
    }

    private func say(_ name: String, _ text: String) {
        WatchLines.shared.add("\(Timestamp.now.localText)  \(name)  \(text)\n")
    }
}

/// The answers of gates as they were told last, beside the ledger: what shuts while no watcher runs
/// is told by the next one.
private struct ToldAnswers {
    private static let name = Array("gates".utf8)
    private static let limit = 1 << 20

    let folder: Folder

    /// What cannot be read is as if nothing had been told.
    func read() -> [String: Gate.Answer] {
        guard let file = try? folder.read(Self.name), file.size <= Self.limit,
            let text = validText((try? file.read(at: 0, count: file.size)) ?? [])
        else { return [:] }
        let known = text.split(separator: "\n").compactMap { line -> (String, Gate.Answer)? in
            let words = line.split(separator: " ", maxSplits: 1).map { String($0) }
            guard words.count == 2 else { return nil }
            return Gate.Answer(rawValue: words[0]).map { (words[1], $0) }
        }
        return Dictionary(known, uniquingKeysWith: { first, _ in first })
    }

    func keep(_ answers: [String: Gate.Answer]) {
        let lines = answers.sorted { $0.key < $1.key }.map { "\($1.rawValue) \($0)\n" }
        do throws(DiskError) {
            try folder.replace(Self.name, with: Array(lines.joined().utf8))
        } catch {
            Main.complain("what was told of gates cannot be kept: \(error.sentence)")
        }
    }
}

extension Configuration.Pair {
    /// Whether a store of this name is one of the two.
    func has(_ store: String) -> Bool { Side.allCases.contains { storeName($0) == store } }
}

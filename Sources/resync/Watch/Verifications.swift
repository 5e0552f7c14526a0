import Dispatch
import ResyncCore
import ResyncEngine
import ResyncLedger
import ResyncStorage

/// Tells of gates that open or shut, and verifies pairs after an episode without anybody asking:
/// first what is suspect, then module by module, then what lies in none, each by a process of its
/// own, which is ended where a store of the pair is not well any more. Never writes to a store.
/// What it does next follows from the ledger, so that nothing is lost with it but first looks.
final class Verifications: @unchecked Sendable {
    // Unchecked because everything below is touched on its queue only.

    /// Seconds after which is looked for what is to be done, also where nothing happened.
    private static let interval = 10.0
    /// Seconds after which what could not come to its end is tried again.
    private static let retry = 60.0
    /// Of a module that needs many others: a command is told only so much.
    private static let reasonsTold = 50
    /// Seconds in which a store that lives says what it is.
    private static let patience = 2.0
    /// Seconds in which a store that lives was found well after a start.
    private static let startTime = 60.0

    private let configuration: Configuration
    private let configurationPath: [UInt8]
    private let state: StateFolder
    private let ledger: Ledger
    private let notifier: Notifier?
    private let verifies: Bool
    private let told: KeptWords
    /// Of each pair the episode after which also its rest was verified.
    private let rests: KeptWords
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
    /// Pairs of which was said that their turn is somebody else's.
    private var waiting: Set<String> = []
    /// Of each module, as it was told last, also by the watcher before; nil before the first turn.
    private var answers: [String: Gate.Answer]?
    /// Of each pair: what its last episode wants besides its modules.
    private var aftermaths: [String: Aftermath] = [:]

    private struct Aftermath {
        let episode: String
        /// Before any module is verified.
        var looks: [UnprovenEntries.Part]
        /// After all of them.
        var isRestDue: Bool
        /// By the monotonic clock.
        var restFailed: Double?
        let began = monotonicSeconds()
    }

    private enum Task {
        case look(UnprovenEntries.Part)
        case module(Module)

        var words: String {
            switch self {
            case .look(.rest): "the rest"
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
        told = KeptWords(folder: state.folder, name: "gates", what: "what was told of gates")
        rests = KeptWords(
            folder: state.folder, name: "rests", what: "that the rest of a pair was verified")
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
        let knowledge = EpisodeKnowledge(ledger, stores, state, realPaths)
        complaining { try tellChanges(knowledge) }
        for pair in configuration.pairs
        where verifies && running[pair.name] == nil && !bad.contains(where: pair.has) {
            // What keeps one from being started keeps no other.
            complaining { try start(pair, knowledge) }
        }
    }

    private func complaining(_ body: () throws -> Void) {
        do {
            try body()
        } catch {
            Main.complain(Main.explain(error)?.message ?? "\(error)")
        }
    }

    private func start(_ pair: Configuration.Pair, _ knowledge: EpisodeKnowledge) throws {
        let now = monotonicSeconds()
        func mayTry(_ failed: Double?) -> Bool { failed.map { now - $0 >= Self.retry } ?? true }
        let due = try knowledge.due(pair, configuration).filter { mayTry(failed[$0.name]) }
        let after = try aftermath(of: pair, knowledge)
        let isRestDue = after.map { $0.isRestDue && mayTry($0.restFailed) } ?? false
        guard !due.isEmpty || isRestDue else { return }
        guard let turn = try state.turn(at: pair.stores.map { $0.path }) else {
            if waiting.insert(pair.name).inserted {
                say(pair.name, "WAITING  its stores are being read by nightly, or for another pair")
            }
            return
        }
        waiting.remove(pair.name)
        if let part = after?.looks.first ?? (due.isEmpty ? .rest : nil) {
            let task = Task.look(part)
            try start(task, of: pair, turn)
            say(pair.name, "LOOK     \(task.words)")
        } else if let module = due.first {
            try start(.module(module), of: pair, turn)
            let more = due.count > 1 ? ", \(due.count - 1) more to follow" : ""
            say(pair.name, "VERIFY   \(module.name)\(more)")
        }
    }

    /// Nil where it never had an episode.
    private func aftermath(
        of pair: Configuration.Pair, _ knowledge: EpisodeKnowledge
    ) throws -> Aftermath? {
        let paths = pair.stores.map { $0.path }
        guard let episode = knowledge.lastEpisodeWord(of: paths) else { return nil }
        if let known = aftermaths[pair.name], known.episode == episode { return known }
        var looks: [UnprovenEntries.Part] = []
        // Nothing is suspect before the rest in what has no times.
        if try isOfDirectories(pair) {
            let hasHot = configuration.modules.contains {
                $0.pair == pair.name && !$0.hot.isEmpty
            }
            looks = hasHot ? [.hot, .suspect] : [.suspect]
        }
        let after = Aftermath(
            episode: episode, looks: looks, isRestDue: rests.read()[pair.name] != episode)
        aftermaths[pair.name] = after
        return after
    }

    private func isOfDirectories(_ pair: Configuration.Pair) throws -> Bool {
        let path = pair.stores.a.path
        return try answered(within: Self.patience, path) {
            try LocalSite(path: path, disk: LinuxDisk(), options: LocalSiteOptions()).facts.kind
                == .directory
        }
    }

    private func start(_ task: Task, of pair: Configuration.Pair, _ turn: [Folder]) throws {
        let about =
            switch task {
            case .look(let part): ["--only", part.rawValue, pair.name]
            case .module(let module):
                ["--only", UnprovenEntries.Part.unproven.rawValue, "--module", module.name]
            }
        // What services that come back do counts more than how soon all of it is verified.
        let began = aftermaths[pair.name]?.began ?? monotonicSeconds()
        let share = RateRamp.share(after: monotonicSeconds() - began)
        let ramp = pair.readLimit == nil ? [] : ["--ramp", "\(share)"]
        let quietly = ["--yields", "--quiet", "--progress", "none"]
        let words = ([programName, "verify"] + quietly + ramp + about).map { Array($0.utf8) }
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
                "LOOKED   \(one.task.words): "
                    + (run.map { "\($0.verdict) (run \($0.id))" } ?? Self.noEnd(status)))
            guard !one.isEnding else { break }
            // What was not looked at first is looked at with its module, or with the rest.
            aftermaths[pair.name]?.looks.removeAll { $0 == part }
            if part == .rest { concludeRest(of: pair, run) }
        case .module(let module):
            let standing = standing(of: module, since: one.started)
            say(pair.name, "VERIFIED \(module.name): \(words(standing, status))")
            if let standing, standing.answer == .different {
                tellDifference(in: module.name, pair, standing.run, module)
            }
            // What was found out about it as a changed configuration has it says nothing here.
            let isMeant = standing.map { $0.terms == pair.terms(of: module) } ?? false
            if standing != nil, !isMeant {
                Main.complain(
                    "module \(module.name) is another one in the configuration by now: start the "
                        + "watcher again")
            }
            failed[module.name] = isMeant || one.isEnding ? nil : monotonicSeconds()
        }
    }

    private func cameToItsEnd(_ run: RunRecord) -> Bool {
        let folder = try? RunFolder.open(run.id, in: state.runs)
        return (try? folder?.summary())?.ending == .complete
    }

    private func concludeRest(of pair: Configuration.Pair, _ run: RunRecord?) {
        guard let run, cameToItsEnd(run), let after = aftermaths[pair.name] else {
            aftermaths[pair.name]?.restFailed = monotonicSeconds()
            return
        }
        aftermaths[pair.name]?.isRestDue = false
        var known = rests.read()
        known[pair.name] = after.episode
        rests.keep(known)
        if run.findings > 0 { tellDifference(in: "the rest of \(pair.name)", pair, run.id) }
    }

    /// What differs waits for a person.
    private func tellDifference(
        in what: String, _ pair: Configuration.Pair, _ run: String, _ module: Module? = nil
    ) {
        var message = JSONLine(type: "difference")
        message.field("event", "differs")
        message.field("pair", pair.name)
        if let module { message.field("module", module.name) }
        message.field("run", run)
        message.field("message", "\(what) differs: see 'resync runs show \(run)'")
        notifier?.send(message)
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
        // Where nothing is known any more, nothing is open.
        let needs = try knowledge.needs(modules, configuration)
        guard needs != nil || knowledge.failure != nil else { return }
        let own =
            needs?.map { ($0.module, Gate(unknown: nil, [$0]).answer) }
            ?? modules.map { ($0.name, .undecided) }
        // What was skipped while no watcher ran waits for a word, whatever was told before.
        let isFirst = answers == nil
        let before = answers ?? told.read().compactMapValues { Gate.Answer(rawValue: $0) }
        let now = modules.gates(Dictionary(own, uniquingKeysWith: { first, _ in first }))
        for module in modules {
            let hasOpened = now[module.name] == .open
            guard isFirst && hasOpened || (before[module.name] == .open) != hasOpened else {
                continue
            }
            let gate = try knowledge.gate(module, configuration)
            let reasons = gate.reasons.prefix(Self.reasonsTold).map(\.text)
                .joined(separator: "; ")
            say(module.name, hasOpened ? "OPEN     \(reasons)" : "WITHDRAWN \(reasons)")
            var message = gate.jsonLine(
                module, event: hasOpened ? "released" : "withdrawn", limit: Self.reasonsTold)
            message.field("message", "\(module.name) \(gate.answer.rawValue): \(reasons)")
            notifier?.send(message)
        }
        // In the end: rather told twice than never.
        answers = now
        if now != before { told.keep(now.mapValues { $0.rawValue }) }
    }

    private func say(_ name: String, _ text: String) {
        WatchLines.shared.add("\(Timestamp.now.localText)  \(name)  \(text)\n")
    }
}

/// A word for each of some names, kept beside the ledger from one watcher to the next.
private struct KeptWords {
    private static let limit = 1 << 20

    let folder: Folder
    let name: String
    /// What it is that is kept.
    let what: String

    /// What cannot be read is as if nothing had been kept.
    func read() -> [String: String] {
        guard let file = try? folder.read(Array(name.utf8)), file.size <= Self.limit,
            let text = validText((try? file.read(at: 0, count: file.size)) ?? [])
        else { return [:] }
        let known = text.split(separator: "\n").compactMap { line -> (String, String)? in
            let words = line.split(separator: " ", maxSplits: 1).map { String($0) }
            return words.count == 2 ? (words[1], words[0]) : nil
        }
        return Dictionary(known, uniquingKeysWith: { first, _ in first })
    }

    func keep(_ words: [String: String]) {
        let lines = words.sorted { $0.key < $1.key }.map { "\($1) \($0)\n" }
        do throws(DiskError) {
            try folder.replace(Array(name.utf8), with: Array(lines.joined().utf8))
        } catch {
            Main.complain("\(what) cannot be kept: \(error.sentence)")
        }
    }
}

extension Configuration.Pair {
    /// Whether a store of this name is one of the two.
    func has(_ store: String) -> Bool { Side.allCases.contains { storeName($0) == store } }
}

package import ResyncCore
package import ResyncStorage

/// What a watcher needs besides its stores.
package struct WatchSetup: Sendable {
    /// The path of resync itself: workers are started from it before anything is wrong.
    package let program: [UInt8]
    package let settings: DetectorSettings
    /// Episodes of the last days, with which new ones may belong together.
    package var chronicle = Chronicle()
    /// Facilities whose messages are taken for the kernel's; only tests add to 0.
    package var trusted: Set<UInt64> = [0]

    package init(program: [UInt8], settings: DetectorSettings) {
        self.program = program
        self.settings = settings
    }
}

/// Watches stores until it is told to end. One thread, which touches no store and never waits for
/// longer than a second: each store has a process that does, and may be lost to it.
package final class Watcher {
    /// Seconds between two looks at what does not speak by itself.
    private static let tick = 1.0
    /// Seconds from one turn to the next beyond which the machine must have slept, or was held up.
    private static let longestTurn = 3.0
    /// Seconds between two beats.
    private static let beat = 10.0
    /// Who may be connected at once.
    private static let clientLimit = 16

    private let stores: [StoreWatch]
    private let machine: MachineSignals
    private let sink: any WatchSink
    private let socket: ControlSocket?
    private var clients: [Client] = []
    private var chronicle: Chronicle
    private var lastTurn: Moment?
    private var lastTick: UInt64 = 0
    private var lastBeat: UInt64 = 0
    private var shown: [String: [Int: Observation]] = [:]
    private let newIncidentID: (Moment) -> String

    /// Who asks something, one thing each. How the stores are is said one by one, as they are when
    /// there is room for it: nothing is kept for somebody who does not read.
    private struct Client {
        let channel: Channel
        var reply: Reply?
        /// Messages of it that were taken.
        var told = 0
    }

    private enum Reply {
        case stores
        case words(String)
    }

    package init(
        _ stores: [WatchedStore], _ setup: WatchSetup, socket: ControlSocket?,
        sink: any WatchSink
    ) {
        self.socket = socket
        self.sink = sink
        chronicle = setup.chronicle
        let machine = MachineSignals(trusted: setup.trusted, looksBack: true)
        self.machine = machine
        let bootID = bootIdentity()
        let ids = EpisodeIDs()
        newIncidentID = { "i" + ids.next($0) }
        self.stores = stores.map {
            StoreWatch(
                $0, program: setup.program, bootID: bootID, settings: setup.settings,
                machine: machine, newID: { "e" + ids.next($0) })
        }
    }

    /// Watches until `isEnding` says so.
    package func run(until isEnding: () -> Bool) {
        while !isEnding() {
            turn()
            wait()
        }
        for store in stores { store.end() }
        sink.beat(stores.map { $0.status(at: .now) }, at: .now)
    }

    private func wait() {
        var waiter = Waiter()
        machine.add(to: &waiter)
        for store in stores { store.add(to: &waiter) }
        if let socket { waiter.add(socket.descriptor) }
        for client in clients {
            let descriptor = client.channel.descriptor
            if client.reply == nil {
                waiter.add(descriptor)
            } else {
                waiter.add(writable: descriptor)
            }
        }
        let now = Moment.now
        let passed = Double(now.boot &- lastTick) / 1e9
        let soonest = stores.compactMap { $0.untilDue(now) }.min() ?? Self.tick
        waiter.wait(max(0.01, min(Self.tick - passed, soonest)))
    }

    /// Takes in everything that there is to know now.
    private func turn() {
        let now = Moment.now
        let passed = lastTurn.map { now.seconds(since: $0) } ?? 0
        lastTurn = now
        if passed > Self.longestTurn {
            for store in stores { store.paused(passed - Self.tick) }
        }
        let isTick = now.boot &- lastTick >= UInt64(Self.tick * 1e9)
        if isTick { lastTick = now.boot }
        let answers = stores.map { $0.probeObservation(at: now) }
        // What a probe met is explained by the mount, and that by what the kernel has said of it:
        // each is read after what it explains.
        let table = machine.mountTable()
        let messages = machine.messages()
        for (store, answer) in zip(stores, answers) {
            let before = store.beginnings
            var observations = store.observations(messages, table, isTick: isTick, at: now)
            let answer = store.beginnings == before ? answer : nil
            if let answer { observations.append(answer) }
            for observation in observations {
                record(observation, of: store, now)
                tell(store.observe(observation, at: now), store, now)
            }
            if case .probe(.verified, _) = answer { store.settle(table, at: now) }
            tell(store.tick(at: now), store, now)
            if isTick {
                tell(store.compare(at: now), store, now)
                tell(store.compareAfterMaintenance(at: now), store, now)
            }
            if let failure = store.probeIfDue(now) {
                record(failure, of: store, now)
                tell(store.observe(failure, at: now), store, now)
            }
        }
        serve(now)
        if now.boot &- lastBeat >= UInt64(Self.beat * 1e9) {
            lastBeat = now.boot
            sink.beat(stores.map { $0.status(at: now) }, at: now)
        }
    }

    /// What says the same as before is left out of a recording.
    private func record(_ observation: Observation, of store: StoreWatch, _ now: Moment) {
        let name = store.setup.name
        let kind: Int? =
            switch observation {
            case .mount: 0
            case .errorCount: 1
            case .deviceStalls(let seconds): seconds == 0 ? 2 : nil
            default: nil
            }
        if let kind {
            guard shown[name, default: [:]][kind] != observation else { return }
            shown[name, default: [:]][kind] = observation
        } else if case .deviceStalls = observation {
            shown[name, default: [:]][2] = nil
        }
        sink.observed(Recording.Line(at: now, store: name, observation))
    }

    private func tell(_ events: [DetectorEvent], _ store: StoreWatch, _ now: Moment) {
        for event in events {
            let told = chronicle.take(event, newID: newIncidentID)
            store.place(as: told)
            sink.happened(told, store.status(at: now), at: now)
        }
    }

    // MARK: Who speaks to it

    private func serve(_ now: Moment) {
        while let client = socket?.next() {
            if clients.count >= Self.clientLimit { clients.removeFirst() }
            clients.append(Client(channel: client))
        }
        clients = clients.compactMap { client in
            var client = client
            if client.reply == nil {
                switch client.channel.receive() {
                case .nothing: return client
                case .end: return nil
                case .message(let bytes, _): client.reply = reply(to: bytes, now)
                }
            }
            return isServed(&client, now) ? nil : client
        }
    }

    private func reply(to bytes: [UInt8], _ now: Moment) -> Reply {
        guard let order = validText(bytes).flatMap(WatchOrder.init) else {
            return .words("error it does not understand that")
        }
        if case .status = order { return .stores }
        return .words(obey(order, now).map { "error \($0)" } ?? "ok")
    }

    /// Says as much as there is room for; whether that was all, or nobody listens any more.
    private func isServed(_ client: inout Client, _ now: Moment) -> Bool {
        while let message = message(to: client, now) {
            switch client.channel.offer(message) {
            case .taken: client.told += 1
            case .later: return false
            case .refused: return true
            }
        }
        return true
    }

    private func message(to client: Client, _ now: Moment) -> [UInt8]? {
        switch client.reply {
        case .stores where client.told < stores.count:
            stores[client.told].status(at: now).bytes
        case .stores: client.told == stores.count ? Array("end".utf8) : nil
        case .words(let text): client.told == 0 ? Array(text.utf8) : nil
        case nil: nil
        }
    }

    /// Does what a person says; what is wrong with it otherwise.
    private func obey(_ order: WatchOrder, _ now: Moment) -> String? {
        switch order {
        case .status: return nil
        case .open(let name, let kind, let seconds, let note):
            guard let store = stores.first(where: { $0.setup.name == name }) else {
                return "it watches no store '\(name)'"
            }
            let since = now.earlier(bySeconds: seconds)
            let events = store.told(at: now) {
                $0.open(kind, note: note, since: since, at: now)
            }
            tell(events, store, now)
        case .close(let id, let note):
            let store = stores.first { $0.status(at: now).episode == id }
            guard let store else { return "no episode '\(id)' is open" }
            store.adopt()
            tell(store.told(at: now) { $0.close(note: note, at: now) }, store, now)
        case .accept(let name, let note):
            guard let store = stores.first(where: { $0.setup.name == name }) else {
                return "it watches no store '\(name)'"
            }
            tell(store.told(at: now) { $0.accept(note: note) }, store, now)
        case .maintenance(let name, let seconds):
            guard let store = stores.first(where: { $0.setup.name == name }) else {
                return "it watches no store '\(name)'"
            }
            store.maintain(until: seconds > 0 ? now.later(bySeconds: seconds) : nil, at: now)
        }
        return nil
    }
}

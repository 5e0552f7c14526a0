import ResyncCore
import ResyncStorage

/// One store under watch: its probe, its devices, its state.
final class StoreWatch {
    let setup: WatchedStore
    private(set) var detector: Detector
    private(set) var penalty: FlapPenalty
    private let program: [UInt8]
    private let machine: MachineSignals
    private var worker: ProbeWorker?
    private var errors: ErrorReports?
    private var signals: StoreSignals?
    private var baseline: MountBaseline?
    private var mountID: UInt64?
    /// Without symlinks, once the worker has said so.
    private var path: [UInt8]
    private var isPathKnown = false
    /// The store itself, where it is a block device.
    private var device: DeviceNumber?
    /// Whether it is an image or a device, in which no probe writes.
    private var isOnlyRead = false
    /// Whether the last probe read past the page cache; nil before there was one.
    private var isFromMedium: Bool?
    /// Whether a probe has found there what this store is known by.
    private var isOurs = false
    private var asked: Moment?
    /// Seconds since then in which nothing ran: no answer could come.
    private var pause = 0.0
    private var isKilled = false
    private var due: UInt64 = 0
    private var probes = 0
    private var sequence: UInt64
    private var highest: UInt64
    private var fileSystem: UInt64?
    private var mayCreate: Bool
    private var probeTime: Double?
    private var clock: Int64
    private var behind: Double
    private var since: Moment?
    private var isFirstDone = false
    /// Whether all that the machine says of it was looked at since, and held against what was
    /// known.
    private var isCompared = false
    private var lastWorkerStart: UInt64 = 0
    private let bootID: String
    private var mount: MountSight?
    /// How an earlier watcher saw it last, until it was looked at and both were compared.
    private var earlier: StoreSight?
    /// The episode that came of that.
    private var unwatched: String?
    /// How it was before it was taken into maintenance, until it is well again after that.
    private var beforeMaintenance: StoreSight?
    private var lastGoodBefore: Moment?
    /// Since when the kernel's messages about it were read by nobody, as long as that is so.
    private var unheard: Moment?
    /// Messages about devices that are not known to be its own, until that is looked up anew.
    private var strange: [KernelMessage] = []
    private static let strangeLimit = 256
    /// Seconds after which the names of its devices are looked up anew, and after which the same
    /// is done where the kernel speaks of others.
    private static let nameAges = (usual: 60.0, doubtful: 5.0)
    private var unseenBefore: [String] = []
    /// Workers that have answered and are of no more use, until the last of them has ended.
    private var retired: [ProbeWorker] = []

    /// Every so many probes names are changed, too.
    private static let thoroughness = 10
    /// Nanoseconds after which a worker that ended is started anew.
    private static let restart: UInt64 = 1_000_000_000

    init(
        _ setup: WatchedStore, program: [UInt8], bootID: String, settings: DetectorSettings,
        machine: MachineSignals, newID: @escaping @Sendable (Moment) -> String
    ) {
        self.setup = setup
        self.program = program
        path = setup.path
        penalty = setup.penalty
        sequence = setup.sequence
        highest = setup.sequence
        fileSystem = setup.fileSystem
        mayCreate = setup.sequence == 0
        self.bootID = bootID
        earlier = setup.sight
        clock = setup.sight?.clock ?? 0
        behind = max(setup.behind, -Double(setup.sight?.clock ?? 0))
        self.machine = machine
        unheard = setup.sight.flatMap { $0.bootID == bootID && !bootID.isEmpty ? $0.at : nil }
        var settings = settings
        settings.hasProbe = setup.probes
        isFirstDone = !setup.probes
        detector = Detector(
            store: setup.name, bootID: bootID, settings: settings, episode: setup.episode,
            lastGood: setup.lastGood, errors: setup.errors, newID: newID)
        since = setup.episode?.detected
    }

    func add(to waiter: inout Waiter) {
        if asked != nil, let worker { waiter.add(worker.descriptor) }
        if let errors { waiter.add(errors.descriptor) }
    }

    /// Seconds until the next probe is due; nil while one is under way.
    func untilDue(_ now: Moment) -> Double? {
        asked == nil && setup.probes ? (due > now.boot ? Double(due - now.boot) / 1e9 : 0) : nil
    }

    // MARK: Signals

    /// What the machine says of this store; in this order, since a message may explain an option.
    func observations(
        _ messages: [KernelMessage], _ table: MountTable?, isTick: Bool, at now: Moment
    ) -> [Observation] {
        // By what names it is spoken of follows from where it is mounted.
        let condition = table.map { self.condition(in: $0, now) }
        var heard = messages.filter { isAbout($0, now) }
        let others = messages.lazy.filter { !self.isAbout($0, now) && $0.subject?.isDevice == true }
        strange += others.prefix(Self.strangeLimit - strange.count)
        if let table { heard = missed(table, now) + heard }
        var found: [Observation] = heard.map { .kernel($0.what, text: $0.text) }
        while let error = errors?.next() { found.append(error) }
        if let condition { found.append(.mount(condition)) }
        guard isTick else { return found }
        // The path may lead to another file system than it seems to, or nothing be mounted there
        // yet: what is counted then is not this store's.
        for observation in signals?.observations(at: now) ?? [] {
            if case .errorCount = observation, !isOurs, setup.probes { continue }
            found.append(observation)
        }
        if let table { mount = sight(in: table) }
        return found
    }

    private func isAbout(_ message: KernelMessage, _ now: Moment) -> Bool {
        message.subject.map { signals?.isAbout($0, at: now) ?? false } ?? true
    }

    /// What the kernel said of it while nobody listened, and while it was not known where it lies,
    /// or that another name is one of its devices'.
    private func missed(_ table: MountTable, _ now: Moment) -> [KernelMessage] {
        let mount = table.mount(holding: path)
        let isNew = mount?.mountPoint == baseline?.mountPoint && renewNames(table, now)
        let isThere = isOurs || !setup.probes || mount?.device == earlier?.mount?.device
        guard isFirstDone, isThere, isNew || unheard != nil else { return [] }
        let before = unheard.map { machine.messages(since: $0) } ?? []
        if let since = unheard, !machine.remembers(since) {
            unseenBefore = [
                "kernel messages of the time in which nobody watched it: they were overwritten"
            ]
        }
        let heard = (before + strange).filter { isAbout($0, now) }
        strange.removeAll { isNew || isAbout($0, now) }
        unheard = nil
        return heard
    }

    /// Looks up the names of its devices, if it is time; whether it was.
    private func renewNames(_ table: MountTable, _ now: Moment) -> Bool {
        let (usual, doubtful) = Self.nameAges
        guard let age = signals?.age(at: now), age >= (strange.isEmpty ? usual : doubtful) else {
            return false
        }
        signals?.renew(device, in: table, at: now)
        return true
    }

    private func sight(in table: MountTable) -> MountSight? {
        table.mount(holding: path).map { mount in
            let condition = mount.condition
            return MountSight(
                // In a view of one's own they are other ones with each start.
                mount: machine.seesAllMounts ? mount.id : nil, device: mount.device,
                isReadOnly: condition == .readOnly || condition == .readOnlyMount,
                instance: signals?.instance)
        }
    }

    private func sight(at now: Moment) -> StoreSight {
        var sight = StoreSight(at: now, bootID: bootID)
        sight.mount = mount
        sight.fileSystem = fileSystem
        sight.errorCount = detector.errors.count
        sight.clock = clock
        return sight
    }

    private func condition(in table: MountTable, _ now: Moment) -> MountCondition {
        if baseline == nil { learnMount(table, now) }
        guard let baseline else { return .unknown }
        let mount = table.mount(holding: path)
        if let mount, mount.id != mountID {
            mountID = mount.id
            // The watch for errors goes with the mount, and the devices below may be others.
            errors = nil
            if mount.mountPoint == baseline.mountPoint {
                signals?.renew(device, in: table, at: now)
            }
        }
        let condition = baseline.condition(in: table)
        let isMeant = condition == .readOnlyMount || condition == .readOnly
        return setup.isReadOnly && isMeant ? .writable : condition
    }

    private func learnMount(_ table: MountTable, _ now: Moment) {
        baseline = MountBaseline(of: path, in: table)
        mountID = table.mount(holding: path)?.id
        signals?.renew(device, in: table, at: now)
        signals = signals ?? StoreSignals(of: path, device, in: table, at: now)
    }

    // MARK: The probe

    /// The answer of the probe under way, or how long it has been waited for.
    func probeObservation(at now: Moment) -> Observation? {
        guard let asked else { return nil }
        let seconds = waited(at: now, since: asked)
        switch worker?.reply() {
        case .answer(let answer, let watch):
            if isKilled { retire() }
            if let watch { errors = ErrorReports(watch) }
            finished(now)
            return .probe(judged(answer, seconds), started: asked)
        case .gone, nil:
            // A killed one is gone as soon as storage answers: only then another one is started.
            guard worker?.hasEnded() ?? true else { break }
            let wasKilled = isKilled
            worker = nil
            finished(now)
            if wasKilled { due = now.boot }
            return wasKilled ? nil : .probe(.workerDied, started: asked)
        case .nothing: break
        }
        guard seconds >= detector.settings.slow else { return nil }
        let wait = worker?.waitsFor() ?? .device
        if seconds >= detector.settings.hung, !isKilled {
            isKilled = true
            worker?.kill()
        }
        return .probeHangs(seconds: seconds, wait)
    }

    private func waited(at now: Moment, since asked: Moment) -> Double {
        max(0, now.seconds(since: asked) - pause)
    }

    /// Nothing ran for so many seconds, this watcher least of all: that nothing was answered
    /// meanwhile is no sign of a stall.
    func paused(_ seconds: Double) {
        pause += seconds
        signals?.forgetActivity()
    }

    private func retire() {
        if let worker { retired.append(worker) }
        worker = nil
    }

    private func finished(_ now: Moment) {
        asked = nil
        isKilled = false
        isFirstDone = true
        due = now.boot &+ UInt64(detector.probeInterval * 1e9)
    }

    /// What an answer means, with what this side knows.
    private func judged(_ answer: ProbeAnswer, _ seconds: Double) -> ProbeOutcome {
        if !answer.path.isEmpty, !isPathKnown {
            isPathKnown = true
            if answer.path != path {
                path = answer.path
                (baseline, signals) = (nil, nil)
            }
        }
        if answer.isBlockDevice, answer.device != device {
            (device, baseline) = (answer.device, nil)
        }
        guard case .verified = answer.outcome else {
            let isHere = detector.condition == .writable || detector.condition == nil
            // Whoever took the probe's file away took no store away.
            if case .foreign = answer.outcome, isHere, answer.fileSystem == fileSystem {
                mayCreate = true
            }
            return answer.outcome
        }
        if sequence == 0, let known = fileSystem, answer.fileSystem != known {
            return .foreign("it is another file system than before")
        }
        if !isOurs {
            isOurs = true
            // What was learned while something else was there, or nothing, is not this store's.
            if probes > 1 { (baseline, signals, errors) = (nil, nil, nil) }
        }
        sequence = answer.sequence
        highest = max(highest, sequence)
        fileSystem = answer.fileSystem
        mayCreate = false
        probeTime = seconds
        clock = answer.clock
        // People set clocks right after an incident: what was written in it bears the old times.
        behind = max(detector.episode == nil ? 0 : behind, -Double(clock))
        (isOnlyRead, isFromMedium) = (answer.isOnlyRead, answer.isFromMedium)
        return .verified
    }

    /// What is to be learned anew after a good probe of a store that has moved.
    func settle(_ table: MountTable?, at now: Moment) {
        guard detector.condition == .otherDevice, let table else { return }
        baseline = nil
        learnMount(table, now)
        errors = nil
    }

    /// Starts the next probe if it is time; false where the worker cannot be had.
    func probeIfDue(_ now: Moment) -> Bool {
        retired.removeAll { $0.hasEnded() }
        guard setup.probes, asked == nil, now.boot >= due else { return true }
        if worker == nil {
            guard now.boot &- lastWorkerStart >= Self.restart else { return true }
            lastWorkerStart = now.boot
            worker = try? ProbeWorker(program, path: setup.path, id: setup.probeID)
        }
        highest += 1
        probes += 1
        let order = ProbeOrder(
            acknowledged: sequence, next: highest, creates: mayCreate,
            isThorough: probes % Self.thoroughness == 0, wantsErrors: errors == nil)
        guard let worker, worker.ask(order) else {
            retire()
            due = now.boot &+ UInt64(detector.probeInterval * 1e9)
            return false
        }
        (asked, pause) = (now, 0)
        return true
    }

    func end() { worker?.kill() }

    // MARK: State

    func observe(_ observation: Observation, at now: Moment) -> [DetectorEvent] {
        note(detector.observe(observation, at: now), now)
    }

    func tick(at now: Moment) -> [DetectorEvent] { note(detector.tick(at: now), now) }

    /// Compares what was seen of it last with what is there, once it was looked at.
    func compare(at now: Moment) -> [DetectorEvent] {
        guard isFirstDone else { return [] }
        isCompared = true
        guard let before = earlier else { return [] }
        earlier = nil
        return found(after: before, lastGood: setup.probes ? setup.lastGood : before.at, now)
    }

    private func found(
        after before: StoreSight, lastGood: Moment?, _ now: Moment
    ) -> [DetectorEvent] {
        let events = detector.found(sight(at: now), after: before, lastGood: lastGood, at: now)
        if case .watchedAgain(let episode, _) = events.first { unwatched = episode?.id }
        return note(events, now)
    }

    /// An administrator takes it into maintenance, or out of it where no end is said.
    func maintain(until end: Moment?, at now: Moment) {
        guard let end else { return detector.endMaintenance() }
        if beforeMaintenance == nil {
            (beforeMaintenance, lastGoodBefore) = (earlier ?? sight(at: now), detector.lastGood)
        }
        detector.beginMaintenance(until: end)
    }

    /// Compares what it was before a maintenance with what it is once that is over and it is well:
    /// what was done to it meanwhile, nobody watched.
    func compareAfterMaintenance(at now: Moment) -> [DetectorEvent] {
        // An episode that is open by then knows nothing of what was done before it.
        guard let before = beforeMaintenance, detector.maintenanceEnd == nil,
            case .ok = detector.phase, !isAmiss(at: now), asked == nil || !setup.probes
        else { return [] }
        beforeMaintenance = nil
        guard !sight(at: now).changes(since: before).isEmpty else { return [] }
        return found(after: before, lastGood: lastGoodBefore, now)
    }

    /// Whether something is not as it should be, expected or not.
    private func isAmiss(at now: Moment) -> Bool {
        let waits = asked.map { waited(at: now, since: $0) } ?? 0
        return detector.isAmiss || waits >= detector.settings.slow
    }

    /// Has a person's word taken.
    func told(
        at now: Moment, _ body: (inout Detector) -> [DetectorEvent]
    ) -> [DetectorEvent] {
        note(body(&detector), now)
    }

    /// A person vouches for what is there now.
    func adopt() {
        mayCreate = true
        fileSystem = nil
        sequence = 0
    }

    func place(as event: DetectorEvent) { detector.place(as: event) }

    private func note(_ events: [DetectorEvent], _ now: Moment) -> [DetectorEvent] {
        for event in events {
            switch event {
            case .accepted, .watchedAgain: continue
            default: since = now
            }
            switch event {
            case .opened, .relapsed:
                penalty.add(at: now.wall)
                // What is wrong is looked at more often from now on.
                due = min(due, now.boot &+ UInt64(detector.probeInterval * 1e9))
            case .suspected:
                due = min(due, now.boot &+ UInt64(detector.probeInterval * 1e9))
            case .cleared, .rose, .noted, .recovering, .closed, .watchedAgain, .accepted: break
            }
        }
        return events
    }

    func status(at now: Moment) -> StoreStatus {
        var status = StoreStatus(name: setup.name, path: setup.path)
        status.since = since?.wall
        switch detector.phase {
        case .ok:
            let isOut = detector.maintenanceEnd != nil && isAmiss(at: now)
            status.state = isOut ? .maintenance : isCompared ? .ok : .unknown
        case .suspect: status.state = .suspect
        case .down: status.state = .down
        case .recovering(let since, _):
            status.state = .recovering
            status.holdLeft = max(0, detector.holdDown - now.seconds(since: since))
        }
        status.kind = detector.episode?.kind
        status.episode = detector.episode?.id
        if let last = detector.lastEvidence, status.state != .ok {
            status.evidence = last.sentence
        }
        status.lastGood = detector.lastGood
        status.probeTime = probeTime
        if let asked {
            let seconds = waited(at: now, since: asked)
            if seconds >= 1 { status.waiting = seconds }
        }
        status.isFull = detector.isFull
        status.isReadOnlyProbe = !setup.probes || isOnlyRead
        var penalty = penalty
        penalty.decay(to: now.wall)
        status.penalty = penalty.value
        status.isSuppressed = penalty.isSuppressed
        status.maintenanceUntil = detector.maintenanceEnd?.wall
        status.unseen = machine.unseen + unseenBefore + (signals?.unseen ?? [])
        if isFromMedium == false {
            status.unseen.append("the medium: what its probe reads may come from the page cache")
        }
        status.sequence = sequence
        status.fileSystem = fileSystem
        status.errors = detector.errors
        status.clock = clock
        status.behind = behind
        status.unwatched = unwatched
        status.sight = beforeMaintenance ?? earlier ?? sight(at: now)
        return status
    }
}

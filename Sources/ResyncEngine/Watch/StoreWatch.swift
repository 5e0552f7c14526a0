import ResyncCore
import ResyncStorage

/// One store under watch: its probe, its devices, its state.
final class StoreWatch {
    let setup: WatchedStore
    private(set) var detector: Detector
    private(set) var penalty: FlapPenalty
    private let machine: MachineSignals
    private var prober: Prober
    private var place: StoreMount
    /// Whether nobody ever found it, nor vouched for what is there: then it is not looked for where
    /// something is still to be mounted, and this is where.
    private var isNew: Bool
    private var missing: [UInt8]?
    /// Whether the last probe found nothing there, and nobody ever did.
    private var isAbsent = false
    /// In nanoseconds since boot: until then what is to be mounted there is waited for, since
    /// nobody has seen the store in this boot.
    private var awaited: UInt64 = 0
    /// Whether it is an image or a device, in which no probe writes.
    private var isOnlyRead = false
    /// Whether the last probe read past the page cache; nil before there was one.
    private var isFromMedium: Bool?
    /// Whether the last probe got no watch for the errors that the file system reports.
    private var isDeaf = false
    /// Whether a probe has found there what this store is known by.
    private var isOurs = false
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
    private let bootID: String
    private var mount: MountSight?
    /// How often it was begun anew: an answer from before that is about another store.
    private(set) var beginnings = 0
    /// How an earlier watcher saw it last, or what was there before it was begun anew, until it was
    /// looked at and both were compared.
    private var earlier: StoreSight?
    /// The start of the last verified probe by then.
    private var earlierGood: Moment?
    /// Episodes that were noted, the newest last.
    private var recent: [String] = []
    /// How it was before it was taken into maintenance, until it is well again after that.
    private var beforeMaintenance: StoreSight?
    private var lastGoodBefore: Moment?
    /// Since when the kernel's messages about it were read by nobody, as long as that is so.
    private var unheard: Moment?
    /// Messages about devices that are not known to be its own, until that is looked up anew.
    private var strange: [KernelMessage] = []
    private static let strangeLimit = 256
    private var unseenBefore: [String] = []
    /// Verified probes after which what is mounted over a directory has taken the store away.
    private static let novelty: UInt64 = 360
    /// Every so many probes names are changed, too.
    private static let thoroughness = 10

    init(
        _ setup: WatchedStore, program: [UInt8], bootID: String, settings: DetectorSettings,
        machine: MachineSignals, newID: @escaping @Sendable (Moment) -> String
    ) {
        self.setup = setup
        prober = Prober(program, path: setup.path, probeID: setup.probeID)
        place = StoreMount(path: setup.path)
        penalty = setup.penalty
        sequence = setup.sequence
        highest = setup.sequence
        fileSystem = setup.fileSystem
        mayCreate = setup.sequence == 0
        isNew = setup.sequence == 0
        self.bootID = bootID
        earlier = setup.sight
        earlierGood = setup.lastGood
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
        let now = Moment.now
        if let seen = setup.sight, seen.bootID != bootID, !isNew {
            awaited = now.boot &+ UInt64(settings.mountLimit * 1e9)
        }
        if let end = setup.maintenanceEnd, end > now.wall {
            // What an earlier watcher saw last was before it.
            (beforeMaintenance, lastGoodBefore) = (earlier, earlierGood)
            earlier = nil
            let left = Double(end.seconds) - Double(now.wall.seconds)
            detector.beginMaintenance(until: now.later(bySeconds: left))
        }
    }

    func add(to waiter: inout Waiter) {
        if let descriptor = prober.descriptor { waiter.add(descriptor) }
        if let errors = place.errors { waiter.add(errors.descriptor) }
    }

    /// Seconds until the next probe is due; nil while one is under way.
    func untilDue(_ now: Moment) -> Double? {
        guard prober.asked == nil, setup.probes else { return nil }
        return due > now.boot ? Double(due - now.boot) / 1e9 : 0
    }

    // MARK: Signals

    /// What the machine says of this store; in this order, since a message may explain an option.
    func observations(
        _ messages: [KernelMessage], _ table: MountTable?, isTick: Bool, at now: Moment
    ) -> [Observation] {
        // By what names it is spoken of follows from where it is mounted.
        let condition = table.map { self.condition(in: $0, now) }
        var heard = messages.filter { place.isAbout($0, at: now) }
        let others = messages.lazy.filter {
            !self.place.isAbout($0, at: now) && $0.subject?.isDevice == true
        }
        strange += others.prefix(Self.strangeLimit - strange.count)
        if let table { heard = missed(table, now) + heard }
        var found: [Observation] = heard.map { .kernel($0.what, text: $0.text) }
        found += place.reports()
        if let condition { found.append(.mount(condition)) }
        guard isTick else { return found }
        // The path may lead to another file system than it seems to, or nothing be mounted there
        // yet: what is counted then is not this store's.
        for observation in place.counts(at: now) {
            if case .errorCount = observation, !isOurs, setup.probes { continue }
            found.append(observation)
        }
        if let table { mount = place.sight(in: table, seesAllMounts: machine.seesAllMounts) }
        return found
    }

    /// What the kernel said of it while nobody listened, and while it was not known where it lies,
    /// or that another name is one of its devices'.
    private func missed(_ table: MountTable, _ now: Moment) -> [KernelMessage] {
        let isNew = place.renewNames(table, isDoubtful: !strange.isEmpty, at: now)
        let isThere =
            isOurs || !setup.probes || place.mount(in: table)?.device == earlier?.mount?.device
        guard isFirstDone, isThere, isNew || unheard != nil else { return [] }
        let before = unheard.map { machine.messages(since: $0) } ?? []
        if let since = unheard, !machine.remembers(since) {
            unseenBefore = [
                "kernel messages of the time in which nobody watched it: they were overwritten"
            ]
        }
        let heard = (before + strange).filter { place.isAbout($0, at: now) }
        strange.removeAll { isNew || place.isAbout($0, at: now) }
        unheard = nil
        return heard
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
        if place.isCovered(in: table) {
            if isNovel {
                beginAnew(now)
            } else if isAwaited(now) {
                place.forget()
                due = now.boot
            }
        }
        let condition = place.condition(in: table, at: now)
        let isMeant = condition == .readOnlyMount || condition == .readOnly
        return setup.isReadOnly && isMeant ? .writable : condition
    }

    /// Whether nobody ever found it, or of late only in the directory that it is mounted on.
    private var isNovel: Bool { sequence == 0 || isOurs && sequence < Self.novelty }

    /// Whether it is not the store's fault yet that it is not there.
    private func isAwaited(_ now: Moment) -> Bool { !isOurs && now.boot < awaited }

    /// What was watched until now was only the directory in which the store is mounted: nothing
    /// that is known holds for what is there now, and its probe's file is another one, since that
    /// of the directory lies there for good.
    private func beginAnew(_ now: Moment) {
        // Where nothing was ever found, there is nothing to compare.
        if earlier == nil, isOurs || !setup.probes {
            (earlier, earlierGood) = (sight(at: now), detector.lastGood)
            earlier?.errorCount = nil
        }
        beginnings += 1
        prober.beginAnew()
        (sequence, highest, fileSystem, mayCreate) = (0, 0, nil, true)
        (isOurs, isFirstDone, isCompared) = (false, !setup.probes, false)
        place.forget()
        detector.beginAnew()
        due = now.boot
    }

    // MARK: The probe

    /// The answer of the probe under way, or how long it has been waited for.
    func probeObservation(at now: Moment) -> Observation? {
        guard let asked = prober.asked else { return nil }
        let seconds = prober.waited(at: now)
        switch prober.reply() {
        case .answer(let answer, let reports):
            finished(now)
            place.errors = reports ?? place.errors
            isDeaf = place.errors == nil
            return judged(answer, seconds, now).map { .probe($0, started: asked) }
        case .died:
            finished(now)
            return .probe(.workerDied, started: asked)
        case .gone:
            finished(now)
            due = now.boot
            return nil
        case .void:
            due = now.boot
            return nil
        case .nothing: break
        }
        guard seconds >= detector.settings.slow else { return nil }
        let wait = prober.wait
        if seconds >= detector.settings.hung { prober.kill() }
        return .probeHangs(seconds: seconds, wait)
    }

    /// Nothing ran for so many seconds, this watcher least of all: that nothing was answered
    /// meanwhile is no sign of a stall.
    func paused(_ seconds: Double) {
        prober.paused(seconds)
        place.forgetActivity()
    }

    private func finished(_ now: Moment) {
        isFirstDone = true
        due = now.boot &+ UInt64(detector.probeInterval * 1e9)
    }

    /// What an answer means, with what this side knows; nil where it is about another store.
    private func judged(
        _ answer: ProbeAnswer, _ seconds: Double, _ now: Moment
    ) -> ProbeOutcome? {
        place.locate(answer)
        isAbsent = false
        if isNew, case .failed(ErrorNumber.noEntry, _) = answer.outcome {
            isAbsent = true
            return nil
        }
        guard case .verified = answer.outcome else {
            if case .foreign = answer.outcome, wasBeneath(answer) {
                beginAnew(now)
                return nil
            }
            let isHere = detector.condition == .writable || detector.condition == nil
            // Whoever took the probe's file away took no store away.
            if case .foreign = answer.outcome, isHere, answer.fileSystem == fileSystem {
                mayCreate = true
            }
            return answer.outcome
        }
        if sequence == 0 || answer.isOnlyRead, let known = fileSystem, answer.fileSystem != known {
            return .foreign("another \(answer.isOnlyRead ? "image" : "file system") than before")
        }
        if !isOurs {
            (isOurs, isNew) = (true, false)
            // What was learned while something else was there, or nothing, is not this store's.
            if probes > 1 { place.forget() }
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

    /// Whether an earlier watcher knew only the directory in which the store is mounted by now.
    private func wasBeneath(_ answer: ProbeAnswer) -> Bool {
        guard !isOurs, setup.sequence < Self.novelty, detector.episode == nil,
            answer.fileSystem != fileSystem,
            let seen = setup.sight, seen.bootID == bootID, let device = seen.mount?.device
        else { return false }
        return device == place.beneath
    }

    /// What is to be learned anew after a good probe of a store that has moved.
    func settle(_ table: MountTable?, at now: Moment) {
        guard detector.condition == .otherDevice, let table else { return }
        place.learnAnew(table, at: now)
    }

    /// Starts the next probe if it is time; what there is to say where that cannot be done.
    func probeIfDue(_ now: Moment) -> Observation? {
        guard setup.probes, now.boot >= due, prober.isReady(now) else { return nil }
        missing = isNew || isAwaited(now) ? place.missing(of: machine.mountPoints) : nil
        guard missing == nil else {
            due = now.boot &+ UInt64(detector.probeInterval * 1e9)
            return nil
        }
        highest += 1
        probes += 1
        let order = ProbeOrder(
            acknowledged: sequence, next: highest, creates: mayCreate,
            isThorough: probes % Self.thoroughness == 0, wantsErrors: place.errors == nil)
        if prober.ask(order, at: now) { return nil }
        due = now.boot &+ UInt64(detector.probeInterval * 1e9)
        return .probe(.workerDied, started: now)
    }

    func end() { prober.kill() }

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
        return found(after: before, lastGood: setup.probes ? earlierGood : before.at, now)
    }

    private func found(
        after before: StoreSight, lastGood: Moment?, _ now: Moment
    ) -> [DetectorEvent] {
        note(detector.found(sight(at: now), after: before, lastGood: lastGood, at: now), now)
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
            case .ok = detector.phase, !isAmiss(at: now), prober.asked == nil || !setup.probes
        else { return [] }
        beforeMaintenance = nil
        guard !sight(at: now).changes(since: before).isEmpty else { return [] }
        return found(after: before, lastGood: lastGoodBefore, now)
    }

    /// Whether something is not as it should be, expected or not.
    private func isAmiss(at now: Moment) -> Bool {
        detector.isAmiss || prober.waited(at: now) >= detector.settings.slow
    }

    /// Has a person's word taken.
    func told(
        at now: Moment, _ body: (inout Detector) -> [DetectorEvent]
    ) -> [DetectorEvent] {
        note(body(&detector), now)
    }

    /// A person vouches for what is there now.
    func adopt() {
        // What was asked before may be answered by what the person knows already.
        prober.forgetOrder()
        (mayCreate, isNew) = (true, false)
        fileSystem = nil
        sequence = 0
    }

    func place(as event: DetectorEvent) {
        detector.place(as: event)
        guard let id = event.episode?.id, recent.last != id else { return }
        recent.removeAll { $0 == id }
        recent.append(id)
        if recent.count > StoreStatus.recentLimit { recent.removeFirst() }
    }

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
            let isKnown = isCompared && (isOurs || !setup.probes) && !detector.isOverdue(at: now)
            status.state = isOut ? .maintenance : isKnown ? .ok : .unknown
        case .suspect: status.state = .suspect
        case .down: status.state = .down
        case .recovering(let since, _):
            status.state = .recovering
            status.holdLeft = max(0, detector.holdDown - now.seconds(since: since))
        }
        status.kind = detector.episode?.kind
        status.episode = detector.episode?.id
        let refusal = status.state == .unknown ? detector.refusal : nil
        if let last = refusal ?? detector.lastEvidence, status.state != .ok {
            status.evidence = last.sentence
        }
        if let missing, status.state == .unknown {
            status.evidence = "nothing is mounted at '\(escaped(missing))', as /etc/fstab has it"
        }
        if isAbsent, status.state == .unknown {
            status.evidence = "nothing was ever found at '\(escaped(setup.path))'"
        }
        status.lastGood = detector.soundGood
        status.probeTime = probeTime
        let seconds = prober.waited(at: now)
        if seconds >= 1 { status.waiting = seconds }
        status.isFull = detector.isFull
        status.isReadOnlyProbe = !setup.probes || isOnlyRead
        var penalty = penalty
        penalty.decay(to: now.wall)
        status.penalty = penalty.value
        status.isSuppressed = penalty.isSuppressed
        status.maintenanceUntil = detector.maintenanceEnd?.wall
        status.unseen = machine.unseen + unseenBefore + place.unseen
        if isDeaf { status.unseen.append("what its file system reports of errors (fanotify)") }
        if isFromMedium == false {
            status.unseen.append("the medium: what its probe reads may come from the page cache")
        }
        status.probeID = prober.probeID
        status.sequence = sequence
        status.fileSystem = fileSystem
        status.errors = detector.errors
        status.clock = clock
        status.behind = behind
        status.recent = recent
        status.sight = beforeMaintenance ?? earlier ?? sight(at: now)
        return status
    }
}

import Glibc
import ResyncCore
import ResyncEngine
import ResyncStorage

/// The stores and the run folder of a command that changes stores, held against every other run.
struct ApplySession {
    let state: StateFolder
    let folder: ApplyFolder
    let sites: Sides<LocalSite>
    let pace = Pace()
    let limits: ApplyLimits
    private let locks: [Folder]
    private let watch: ChangeWatch

    /// Stores under their locks.
    private struct Held {
        let state: StateFolder
        let sites: Sides<LocalSite>
        let locks: [Folder]
        /// The run that has begun to carry the plan out.
        let begun: RunFolder?
    }

    /// A run that carries out a plan: the one that was begun before, or a new one.
    ///
    /// - Parameter permit: called with the stores as they will be changed, under their locks and
    ///   before anything is written, and with the run that began before; throws where the plan is
    ///   not to be carried out.
    init(
        plan input: PlanInput, _ options: StateOptions, _ limits: ApplyLimits,
        _ watch: ChangeWatch,
        permit: (Sides<LocalSite>, StateFolder, RunFolder?) throws -> Void
    ) throws {
        self.limits = limits
        self.watch = watch
        let plan = input.plan
        let held = try Self.hold(plan, options, limits, pace, watch, permit)
        (state, sites, locks) = (held.state, held.sites, held.locks)
        if let begun = held.begun {
            try begun.lock()
            folder = try ApplyFolder(resume: begun)
            try Self.refuseUnmarked(sites, folder)
        } else {
            let started = Timestamp.now
            let header = RunHeader(
                id: try StateFolder.newRunID(at: started), kind: "apply", started: started,
                a: plan.header.stores.a.path, b: plan.header.stores.b.path,
                arguments: RawArguments.all().map { RawArguments.bytes($0) },
                workingDirectory: workingDirectory(), version: programVersion)
            folder = try ApplyFolder(
                begin: try RunFolder.prepare(in: state.runs, header), plan: input.file,
                id: plan.id)
        }
        watch.began(folder.run)
    }

    private static func hold(
        _ plan: PlanReader<EVPHash>, _ options: StateOptions, _ limits: ApplyLimits, _ pace: Pace,
        _ watch: ChangeWatch, isSettled: Bool = false,
        _ permit: (Sides<LocalSite>, StateFolder, RunFolder?) throws -> Void
    ) throws -> Held {
        let state: StateFolder
        let others: [String]
        do {
            let sites = try open(plan.header, limits, pace, watch)
            try refuse(state: try options.path(), inside: sites)
            state = try options.open()
            let locks = try lock(sites, plan, state)
            try refuseUnsafe(sites, state)
            let begun = try run(of: plan, state)
            try permit(sites, state, begun)
            others = isSettled ? [] : try cutOff(on: plan.header, besides: begun?.id, state, watch)
            if others.isEmpty {
                return Held(state: state, sites: sites, locks: locks, begun: begun)
            }
        }
        // Each locks what it changes itself, so nothing is held; what they leave is judged anew.
        try settle(others, state, watch)
        return try hold(plan, options, limits, pace, watch, isSettled: true, permit)
    }

    /// What was cut off is settled where it was begun, whoever accepts another store for the rest:
    /// the marker there says so since before the first write.
    private static func refuseUnmarked(
        _ sites: Sides<LocalSite>, _ folder: ApplyFolder
    ) throws {
        guard folder.state.isCutOff else { return }
        for side in Side.allCases where folder.plan.trailer.totals[side].actions > 0 {
            let site = sites[side]
            guard site.facts.kind == .directory else { continue }
            let marker = try MarkerFile.read(site)
            guard marker?.inconsistent == nil else { continue }
            let (path, id) = (escaped(site.facts.path), folder.run.id)
            let planned = folder.plan.header.stores[side].identity
            guard marker != nil, site.identity.isSameStore(as: planned) else {
                throw CommandError(
                    "'\(path)' is not the store that run \(id) was cut off on", .refused)
            }
            throw CommandError(
                "'\(path)' was taken as it is since run \(id) was cut off on it ('resync store "
                    + "adopt --force'), so that run was given up: 'resync undo \(id)' takes back "
                    + "what it did, and a new plan does the rest", .refused)
        }
    }

    /// The run that has begun to carry a plan out; the last one, if there are several.
    private static func run(
        of plan: PlanReader<EVPHash>, _ state: StateFolder
    ) throws -> RunFolder? {
        for id in try RunFolder.list(in: state.runs).reversed() {
            let run = try RunFolder.open(id, in: state.runs)
            // A run that was cut off while it was made has changed nothing.
            guard (try? run.header().kind) == "apply",
                (try? ApplyFolder.planID(of: run)) == plan.id
            else { continue }
            return run
        }
        return nil
    }

    /// A run that carried out a plan before.
    ///
    /// - Parameters:
    ///   - marksBoth: whether both stores are written to, the source its marker only.
    ///   - settlesOthers: whether what other runs of its stores were cut off from is settled first.
    ///   - needsSource: else only the stores that the run changed are needed; enough to settle
    ///     what it was cut off from, to take it back, or to free what it keeps.
    init(
        run text: String, _ state: StateFolder, _ limits: ApplyLimits = ApplyLimits(),
        marksBoth: Bool = false, settlesOthers: Bool = false, needsSource: Bool = true,
        watch: ChangeWatch = ChangeWatch()
    ) throws {
        self.state = state
        self.limits = limits
        self.watch = watch
        let run = try RunFolder.open(try state.runID(text, kind: "apply"), in: state.runs)
        guard try run.header().kind == "apply" else {
            throw CommandError("run \(run.id) changed nothing: it is no run of apply", .usage)
        }
        try run.lock()
        folder = try ApplyFolder(resume: run)
        if settlesOthers {
            let others = try Self.cutOff(on: folder.plan.header, besides: run.id, state, watch)
            try Self.settle(others, state, watch)
        }
        watch.began(run)
        let needed = needsSource ? Side.allCases : folder.plan.trailer.sidesKept
        let opened = try Self.open(folder.plan.header, limits, pace, watch, needed)
        sites = opened
        try Self.refuse(state: state.path, inside: opened)
        locks = try Self.lock(opened, folder.plan, state, marksBoth: marksBoth, needed)
        if let other = try folder.plan.header.otherStore(in: opened, needed) {
            throw CommandError(
                "'\(escaped(other))' is not the store that run \(run.id) changed", .refused)
        }
    }

    /// Nothing is copied from or to a store that is not known to be safely writable.
    private static func refuseUnsafe(
        _ sites: Sides<LocalSite>, _ state: StateFolder
    ) throws {
        let knowledge = EpisodeKnowledge(state)
        for side in Side.allCases {
            guard let reason = knowledge.refusal(for: sites[side].facts.path) else { continue }
            throw CommandError("\(reason): nothing is changed before that is over", .refused)
        }
    }

    /// - Parameter needed: the sides that are looked at; the other one is not opened, and what is
    ///   needed stands in its place.
    private static func open(
        _ header: PlanHeader, _ limits: ApplyLimits, _ pace: Pace, _ watch: ChangeWatch,
        _ needed: [Side] = Side.allCases
    ) throws -> Sides<LocalSite> {
        var options = LocalSiteOptions()
        options.details = header.aspects.intersection(AspectSet([.xattrs, .acl]))
        options.readLimit = .reading(limits.read, pace)
        options.writeLimit = .writing(limits.write, pace)
        func open(_ side: Side) throws -> LocalSite {
            let path = header.stores[side].path
            let site = try LocalSite(path: path, disk: watch.disk(side), options: options)
            try site.refuseSymlinksOfOthers()
            return site
        }
        let first = try open(needed[0])
        let sites =
            needed.count == 1
            ? Sides(a: first, b: first) : Sides(a: first, b: try open(.b))
        watch.follow(sites)
        return sites
    }

    /// Exclusively where something is changed.
    private static func lock(
        _ sites: Sides<LocalSite>, _ plan: PlanReader<EVPHash>, _ state: StateFolder,
        marksBoth: Bool = false, _ needed: [Side] = Side.allCases
    ) throws -> [Folder] {
        try needed.map { side in
            let isChanged = plan.trailer.totals[side].actions > 0
            let site = sites[side]
            let held =
                isChanged
                ? try state.lockBeforeOthers(site.facts)
                : try state.lock(site.facts, exclusive: false)
            guard let lock = held else { throw inUse(site) }
            // Another run may have its state elsewhere.
            switch try site.lock(exclusive: isChanged || marksBoth) {
            case .held: break
            case .busy: throw inUse(site)
            case .unknown:
                Main.complain(
                    "'\(escaped(site.facts.path))' cannot be locked: a run with another --state is "
                        + "not kept from it")
            }
            return lock
        }
    }

    private static func inUse(_ site: LocalSite) -> CommandError {
        let holder = site.lockHolder().map { ": \(escaped($0.name)) (process \($0.number))" } ?? ""
        return CommandError(
            "'\(escaped(site.facts.path))' is in use by another run\(holder)", .locked)
    }

    /// What resync must remember must outlive what it does, and lie where it changes nothing; asked
    /// before the folder is made, for the place where it would be.
    private static func refuse(state path: [UInt8], inside stores: Sides<LocalSite>) throws {
        var place = path
        while (try? LinuxDisk().stat(path: place.isEmpty ? [UInt8(ascii: ".")] : place)) == nil,
            !place.isEmpty, place != [slash]
        {
            let isAbsolute = place.first == slash
            let parent = place.split(separator: slash).dropLast().joined(separator: [slash])
            place = (isAbsolute ? [slash] : []) + Array(parent)
        }
        if place.isEmpty { place = [UInt8(ascii: ".")] }
        let own = try LocalSite(path: place, disk: LinuxDisk(), options: LocalSiteOptions())
        if [FileSystemKind.tmpfs, FileSystemKind.ramfs].contains(own.facts.fileSystem.type) {
            throw CommandError(
                "state in '\(escaped(path))' does not outlive a power loss: use --state DIR",
                .usage)
        }
        for side in Side.allCases {
            try resync.refuse(state: path, at: own, inside: stores[side])
        }
    }

    /// Bytes that the plan still has to write.
    func bytesToWrite() throws -> Int {
        var plan = folder.plan
        let all = Side.allCases.reduce(0) { cappedSum($0, plan.trailer.totals[$1].bytesWritten) }
        guard folder.state.results.contains(where: { $0 != nil }) else { return all }
        var left = 0
        try plan.forEach { number, action in
            if !folder.state.isDone(number) { left = cappedSum(left, action.bytesWritten) }
        }
        return left
    }

    /// Does work on the run that a signal can end, and its operator hold up.
    ///
    /// - Parameter totalBytes: to be written, as far as it is known.
    func watched<Result>(
        _ style: ProgressStyle, totalBytes: Int? = nil,
        _ work: (_ job: ApplyJob, RunControls) throws -> Result
    ) throws -> Result {
        let watch = watch
        return try resync.watched(style, folder.run, pace, totalBytes: totalBytes) { controls in
            var controls = controls
            controls.confirmed = { watch.read($0) }
            return try work(ApplyJob(folder, sites, controls, besides: state.runs), controls)
        }
    }

    // MARK: What others left

    /// Runs, besides one, that were cut off while they changed one of a plan's stores. An image is
    /// settled by whatever is done next about its own run.
    private static func cutOff(
        on plan: PlanHeader, besides own: String?, _ state: StateFolder, _ watch: ChangeWatch
    ) throws -> [String] {
        let paths = [plan.stores.a.path, plan.stores.b.path]
        return try RunFolder.list(in: state.runs).filter { id in
            let run = try RunFolder.open(id, in: state.runs)
            guard id != own, let header = try? run.header(), header.kind == "apply",
                paths.contains(header.a) || paths.contains(header.b)
            else { return false }
            do {
                // Looked at first: most are over, and somebody may be looking at them.
                let other = try ApplyFolder(reading: run)
                return other.state.isCutOff && other.plan.header.stores.a.kind == .directory
            } catch let error as FormatError {
                guard try isMarked(plan, by: id, watch) else { return false }
                throw CommandError(
                    "run \(id) has left a store changed in part, and what is kept of it cannot be "
                        + "read: it \(error.reason)")
            }
        }
    }

    private static func settle(
        _ runs: [String], _ state: StateFolder, _ watch: ChangeWatch
    ) throws {
        for id in runs {
            let session: ApplySession
            do {
                session = try ApplySession(run: id, state, needsSource: false, watch: watch)
            } catch let error as CommandError where error.status != .locked {
                Main.complain(
                    "run \(id) was cut off on stores that are not all there now: left as it is "
                        + "(\(error.message))")
                continue
            }
            Main.complain("run \(id) was cut off: settling what it left")
            try session.watched(ProgressStyle.none) { job, _ in try job.settleForOthers() }
        }
    }

    private static func isMarked(
        _ plan: PlanHeader, by run: String, _ watch: ChangeWatch
    ) throws -> Bool {
        try Side.allCases.contains { side in
            let site = try LocalSite(
                path: plan.stores[side].path, disk: watch.disk(side), options: LocalSiteOptions())
            return try MarkerFile.read(site)?.inconsistent == run
        }
    }
}

extension LocalSite {
    /// Refuses a store to which others can lead elsewhere.
    func refuseSymlinksOfOthers() throws {
        guard try isNamedBySymlink(ofOthersThan: geteuid()) else { return }
        throw CommandError(
            "there is a symlink that somebody else has made in '\(escaped(facts.path))': name the "
                + "store itself", .usage)
    }
}

extension PlanHeader {
    /// The path of a store that is not the one that the plan was made for; nil where both are. A
    /// path alone tells nothing: another file system may be mounted there.
    func otherStore(
        in sites: Sides<LocalSite>, _ needed: [Side] = Side.allCases
    ) throws -> [UInt8]? {
        for side in needed {
            let (site, planned) = (sites[side], stores[side])
            let (now, then) = (try MarkerFile.read(site)?.store, planned.marker?.store)
            let isMarkedSo = now == nil || then == nil || now == then
            guard isMarkedSo, site.identity.isSameStore(as: planned.identity) else {
                return site.facts.path
            }
        }
        return nil
    }
}

/// How fast stores may be read and written, in bytes per second.
struct ApplyLimits {
    var read: Int?
    var write: Int?
}

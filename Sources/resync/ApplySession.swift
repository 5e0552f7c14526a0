import ResyncCore
import ResyncEngine
import ResyncStorage

/// The stores and the run folder of a command that changes stores, held against every other run.
struct ApplySession {
    let state: StateFolder
    let folder: ApplyFolder
    let sites: Sides<LocalSite>
    private let locks: [Folder]

    /// A run that carries out a plan: the one that was begun before, or a new one.
    init(plan path: [UInt8], _ state: StateFolder, _ limits: ApplyLimits) throws {
        self.state = state
        let plan = try openPlan(path)
        sites = try Self.open(plan.header, limits)
        locks = try Self.lock(sites, plan, state)
        for id in try RunFolder.list(in: state.runs).reversed() {
            let run = try RunFolder.open(id, in: state.runs)
            guard try run.header().kind == "apply", try ApplyFolder.planID(of: run) == plan.id
            else { continue }
            try run.lock()
            folder = try ApplyFolder(resume: run)
            return
        }
        let started = Timestamp.now
        let header = RunHeader(
            id: try StateFolder.newRunID(at: started), kind: "apply", started: started,
            a: plan.header.stores.a.path, b: plan.header.stores.b.path,
            arguments: RawArguments.all().map { RawArguments.bytes($0) },
            workingDirectory: workingDirectory(), version: programVersion)
        folder = try ApplyFolder(
            begin: try RunFolder.prepare(in: state.runs, header),
            plan: try InputFile.open(path: path, disk: LinuxDisk()))
    }

    /// A run that carried out a plan before.
    init(run text: String, _ state: StateFolder, _ limits: ApplyLimits) throws {
        self.state = state
        let run = try RunFolder.open(try state.runID(text, kind: "apply"), in: state.runs)
        guard try run.header().kind == "apply" else {
            throw CommandError("run \(run.id) changed nothing: it is no run of apply", .usage)
        }
        try run.lock()
        folder = try ApplyFolder(resume: run)
        sites = try Self.open(folder.plan.header, limits)
        locks = try Self.lock(sites, folder.plan, state)
        for side in Side.allCases
        where !sites[side].identity.isSameStore(as: folder.plan.header.stores[side].identity) {
            throw CommandError(
                "'\(escaped(sites[side].facts.path))' is not the store that run \(run.id) changed",
                .refused)
        }
    }

    private static func open(
        _ header: PlanHeader, _ limits: ApplyLimits
    ) throws -> Sides<LocalSite> {
        var options = LocalSiteOptions()
        options.details = header.aspects.intersection(AspectSet([.xattrs, .acl]))
        options.planBlockSize = header.blockSize
        options.readLimit = limits.read
        options.writeLimit = limits.write
        return try header.stores.map { store in
            try LocalSite(path: store.path, disk: LinuxDisk(), options: options)
        }
    }

    /// Exclusively where something is changed.
    private static func lock(
        _ sites: Sides<LocalSite>, _ plan: PlanReader<EVPHash>, _ state: StateFolder
    ) throws -> [Folder] {
        try refuseStateInside(sites, plan, state)
        return try Side.allCases.map { side in
            let isChanged = plan.trailer.totals[side].actions > 0
            guard let lock = try state.lock(sites[side].facts, exclusive: isChanged) else {
                throw CommandError(
                    "'\(escaped(sites[side].facts.path))' is in use by another run", .locked)
            }
            return lock
        }
    }

    /// What resync must remember must outlive what it does.
    private static func refuseStateInside(
        _ sites: Sides<LocalSite>, _ plan: PlanReader<EVPHash>, _ state: StateFolder
    ) throws {
        let own = try LocalSite(path: state.path, disk: LinuxDisk(), options: LocalSiteOptions())
        if [FileSystemKind.tmpfs, FileSystemKind.ramfs].contains(own.facts.fileSystem.type) {
            throw CommandError(
                "state in '\(escaped(state.path))' does not outlive a power loss: use --state DIR",
                .usage)
        }
        for side in Side.allCases where sites[side].facts.kind == .directory {
            switch try storeOverlap(sites[side], own) {
            case .same?, .inside(.b)?:
                throw CommandError(
                    "state in '\(escaped(state.path))' lies in \(side.letter): use --state DIR",
                    .usage)
            case .inside(.a)?, nil: break
            }
        }
    }

    func job(_ controls: RunControls) -> ApplyJob { ApplyJob(folder, sites, controls) }

    /// Settles what an earlier run of the same stores was cut off from.
    func recoverOthers(_ controls: RunControls) throws {
        for id in try RunFolder.list(in: state.runs) where id != folder.run.id {
            let run = try RunFolder.open(id, in: state.runs)
            guard let header = try? run.header(), header.kind == "apply", isOurs(header) else {
                continue
            }
            try run.lock()
            let other = try ApplyFolder(resume: run)
            guard other.state.open != nil else { continue }
            Main.complain("run \(id) was cut off: settling what it left")
            try ApplyJob(other, sites, controls).recover()
        }
    }

    private func isOurs(_ header: RunHeader) -> Bool {
        header.a == sites.a.facts.path && header.b == sites.b.facts.path
    }
}

/// How fast stores may be read and written.
struct ApplyLimits {
    var read: Throttle?
    var write: Throttle?
}

/// What became of a plan's actions, for a person or a program.
struct ApplyReport {
    private let folder: ApplyFolder
    private let json: Bool

    init(_ folder: ApplyFolder, json: Bool) {
        self.folder = folder
        self.json = json
    }

    /// Lines printed before the rest is only counted.
    private static let lineLimit = 1000

    /// Every action that is not done, with why.
    func actions(where isShown: (Int) -> Bool) throws {
        var plan = folder.plan
        var printed = 0
        var omitted = 0
        try plan.forEach { number, action in
            guard let result = folder.state.results[number], !result.isDone, isShown(number) else {
                return
            }
            if json { return try add(action, result) }
            guard printed < Self.lineLimit else {
                omitted += 1
                return
            }
            printed += 1
            try StandardOutput.shared.write(
                "! \(shown(action.path))  \(result.sentence(on: action.side))\n")
        }
        if omitted > 0 { try StandardOutput.shared.write("… \(countText(omitted)) more\n") }
    }

    private func add(_ action: Action, _ result: ActionResult) throws {
        var line = JSONLine(type: "action")
        line.path(action.path)
        line.field("side", action.side.word)
        line.field("result", result.word)
        try StandardOutput.shared.write(line.bytes)
    }

    func summary(_ verb: String, _ result: ApplyResult, _ status: ExitStatus) throws {
        let counts = result.counts
        if json {
            var line = JSONLine(type: "summary")
            line.field("run", folder.run.id)
            line.field("plan", folder.plan.id.hex)
            line.field("actions", folder.plan.trailer.actions)
            line.field("done", counts.done)
            line.field("not_done", counts.notDone)
            line.field("undone", counts.undone)
            line.field("exit_status", Int(status.code))
            return try StandardOutput.shared.write(line.bytes)
        }
        var parts = [
            "\(verb) \(countText(counts.done)) of \(countText(counts.done + counts.notDone))"
        ]
        func add(_ count: Int, _ text: String) {
            if count > 0 { parts.append("\(countText(count)) \(text)") }
        }
        add(counts.changed, "changed since the plan was made")
        add(counts.withheld, "open for writing")
        add(counts.sourceChanged, "with a source that changed")
        add(counts.failed, "failed")
        add(counts.blocked, "not possible without those")
        add(counts.conflicts, "met somebody else at work")
        add(counts.left, "not begun")
        try StandardOutput.shared.write(parts.joined(separator: ", ") + "\n")
        if let failure = result.failure {
            try StandardOutput.shared.write(
                "work on \(failure.side.letter) ended: \(failure.error.sentence)\n")
        }
    }
}

extension ActionResult {
    var word: String {
        switch self {
        case .done: "done"
        case .changed: "changed"
        case .withheld: "withheld"
        case .sourceChanged: "source_changed"
        case .failed: "failed"
        case .blocked: "blocked"
        case .conflict: "conflict"
        }
    }

    func sentence(on side: Side) -> String {
        switch self {
        case .done: "done"
        case .changed: "changed on \(side.letter) since the plan was made; left as it is"
        case .withheld: "open for writing on \(side.letter); --accept-open changes it all the same"
        case .sourceChanged: "changed on \(side.other.letter) since the plan was made"
        case .blocked: "needs what was not done"
        case .conflict: "somebody else was at work there; what stood there is kept"
        case .failed(let failure):
            "\(ErrorNumber.sentence(failure.number)) on "
                + "\((failure.isSource ? side.other : side).letter) "
                + "(\(escaped(failure.call)))"
        }
    }
}

extension ApplyResult {
    var status: ExitStatus {
        var status = ExitStatus.ok
        if counts.notDone > 0 || failure != nil { status.merge(.partial) }
        if case .interrupted(let signal) = ending { status.merge(.signal(signal)) }
        return status
    }
}

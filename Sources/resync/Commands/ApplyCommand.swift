import ArgumentParser
import Glibc
import ResyncCore
import ResyncEngine
import ResyncStorage

struct ApplyCommand: JSONCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply",
        abstract: "Carry a plan out; nothing that is replaced or deleted is lost.",
        discussion: """
            Each change is prepared beside its target, exchanged with it in one step, and what it \
            displaced goes into quarantine. A target that changed since the plan was made is left \
            as it is. Cut off at any moment, the same command goes on. Then 'resync confirm' reads \
            the result back, or 'resync undo' takes it back.
            """)

    @Argument(help: ArgumentHelp("The plan.", valueName: "PLAN"), completion: .file())
    var plan: String

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Carry it out although a guard stands against it: the plan's id, or its first 12 "
                + "digits.", valueName: "ID"))
    var accept: String?

    @Flag(name: .long, help: "Change files that a process has open for writing, too.")
    var acceptOpen = false

    @Option(
        name: .long,
        help: ArgumentHelp("Read no faster than this from the source.", valueName: "RATE"))
    var readLimit: String?

    @Option(
        name: .long,
        help: ArgumentHelp("Write no faster than this.", valueName: "RATE"))
    var writeLimit: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Of an image or device: make the undo file in this directory.", valueName: "DIR"),
        completion: .directory)
    var undoDir: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Keep no more than this for an undo, on each side; the rest of the plan waits.",
            valueName: "SIZE"))
    var maxUndo: String?

    @Flag(
        name: .long,
        help: ArgumentHelp(
            "Where there is no room for the whole plan at once: free for good what a slice of it "
                + "displaced, once that was read back, and go on with the next."))
    var releaseUndo = false

    @Option(name: .long, help: ArgumentHelp("Workers.", valueName: "N"))
    var workers = 4

    @OptionGroup var format: JSONOptions

    @OptionGroup var progress: ProgressOptions

    @OptionGroup var patience: PatienceOptions
    @OptionGroup var state: StateOptions
    @OptionGroup var file: ConfigurationOptions

    mutating func execute() throws -> ExitStatus {
        guard (1...64).contains(workers) else {
            throw CommandError("--workers takes 1 to 64", .usage)
        }
        let watch = ChangeWatch()
        let command = self
        return try watch.guarding(patience, json: json) {
            try command.carryOut(watch)
        } stalled: { folder, result in
            try command.report(result, folder)
        }
    }

    private func carryOut(_ watch: ChangeWatch) throws -> ExitStatus {
        let style = try progress.style()
        let limits = ApplyLimits(
            read: try readLimit.map { try rate($0) }, write: try writeLimit.map { try rate($0) })
        let input = try PlanInput(path: RawArguments.bytes(plan))
        let plan = input.plan
        var options = try options(plan)
        guard plan.trailer.actions > 0 else { return try reportNothingToDo(plan) }
        let session = try ApplySession(plan: input, state, limits, watch) { sites, state, run in
            try refuseExternal(plan, sites)
            try guardAgainst(plan, sites, state, run)
            options.decided = try DecideCommand.decided(since: plan, state)
        }
        let state = session.state
        let id = session.folder.run.id
        try refuseEnded(session.folder)
        options.writeLimit = .writing(limits.write, session.pace)
        let total = try session.bytesToWrite()
        let result = try session.watched(style, totalBytes: total) { job, _ in
            try job.apply(
                options, ComparisonRules(aspects: plan.header.aspects), state.baselines,
                freed: releaseUndo ? { try tell($0, id) } : nil)
        }
        return try report(result, session.folder)
    }

    private func reportNothingToDo(_ plan: PlanReader<EVPHash>) throws -> ExitStatus {
        let leftOut = plan.trailer.leftOut
        let status = leftOut.needsDecision ? ExitStatus.undecided : .ok
        if json {
            var line = JSONLine(type: "summary")
            line.field("plan", plan.id.hex)
            line.field("actions", 0)
            line.field("left_out", leftOut.object)
            line.field("exit_status", Int(status.code))
            try StandardOutput.shared.write(line.bytes)
        } else {
            try StandardOutput.shared.write("the plan has nothing to do\n\(leftOut.line)")
        }
        return status
    }

    /// A run that has come to its end, in one direction or the other, is not begun again.
    private func refuseEnded(_ folder: ApplyFolder) throws {
        let (state, id) = (folder.state, folder.run.id)
        if state.isComplete {
            throw CommandError("the plan is carried out already, by run \(id)", .usage)
        }
        guard state.isBeingUndone else { return }
        throw CommandError(
            state.isTakenBack || state.isOver
                ? "run \(id) carried the plan out and was taken back: make a new plan"
                : "run \(id) is being taken back: 'resync undo \(id)' goes on", .usage)
    }

    private func options(_ plan: PlanReader<EVPHash>) throws -> ApplyOptions {
        var options = ApplyOptions(blockSize: plan.header.blockSize)
        options.workers = workers
        options.acceptsOpen = acceptOpen
        // Of an image the kernel says whether it is open, to its owner as well.
        if !acceptOpen, geteuid() != 0, plan.header.stores.a.kind == .directory {
            Main.complain(
                "without root nobody is told which files other users' programs have open for "
                    + "writing: they are not held back")
        }
        options.openForWriting = { OpenFiles().writers }
        do throws(QuantityError) {
            options.maxUndo = try maxUndo.map { (text) throws(QuantityError) in
                try parseSize(text)
            }
        } catch {
            throw CommandError(error.reason, .usage)
        }
        guard let undoDir else { return options }
        guard plan.header.stores.a.kind != .directory else {
            throw CommandError(
                "--undo-dir is for images and devices: what a directory's changes displace stays "
                    + "on its own file system", .usage)
        }
        options.undoFolder = absolutePath(RawArguments.bytes(undoDir))
        return options
    }

    private func tell(_ freed: Quarantine.Freed, _ run: String) throws {
        guard !json else { return }
        guard freed.entries > 0 || freed.putAside.isEmpty else {
            return try StandardOutput.shared.write(
                "read back a slice, and released nothing: what the run put aside would go with it; "
                    + "'resync confirm \(run) --release-undo' lets it go\n")
        }
        try StandardOutput.shared.write(
            "read back a slice, and released \(sizeText(freed.bytes)) that it displaced: "
                + "\(countText(freed.entries)) changes of run \(run) can no longer be taken back\n")
        try StandardOutput.shared.flush()
    }

    /// What equal bytes prove nothing of is not made equal, whoever accepts it.
    private func refuseExternal(_ plan: PlanReader<EVPHash>, _ sites: Sides<LocalSite>) throws {
        let external = ExternalPaths(try file.loadIfThere(), in: sites)
        guard !external.paths.paths.isEmpty else { return }
        var plan = plan
        try plan.forEach { _, action in
            guard let module = external.module(touchedBy: action) else { return }
            throw CommandError(
                "'\(shown(action.path))' on \(action.side.letter) is of the external module "
                    + "\(module), whose equal bytes prove nothing: nothing was written", .refused)
        }
    }

    /// Every guard that stands against the plan, in one answer, before anything is written.
    private func guardAgainst(
        _ plan: PlanReader<EVPHash>, _ sites: Sides<LocalSite>, _ state: StateFolder,
        _ run: RunFolder?
    ) throws {
        let baseline = try state.baselines.find(sites.map { $0.identity })
        let found = try sites.map { try StoreFindings($0, state) }
        let standing = refusals(
            plan.header, plan.trailer, found, baselineExclusions: baseline?.header.exclusions,
            run: run?.id
        ).filter { refusal in
            // Of a plan that is done in part, each change is held against what is free in its turn.
            if case .noSpace = refusal { return run == nil }
            return true
        }
        if run == nil {
            for side in slicedSides(plan.trailer, found) {
                Main.complain(
                    "\(side.letter) has no room for all of the plan at once: it is carried out in "
                        + "slices, each read back before the next")
            }
        }
        let hard = standing.filter {
            !$0.canBeAccepted || isCutOffElsewhere($0, plan.header, state)
        }
        let id = plan.id.hex
        let isAccepted = accept.map { $0.count >= 12 && id.hasPrefix($0.lowercased()) } ?? false
        guard !(isAccepted ? hard : standing).isEmpty else { return }
        for refusal in standing { Main.complain(refusal.sentence) }
        throw CommandError(
            hard.isEmpty
                ? "nothing was written; --accept \(id.prefix(12)) carries this plan out all the "
                    + "same"
                : "nothing was written: it takes the stores of the plan, or a new plan", .refused)
    }

    /// Whether a run with another store was cut off on one of these: what it left may be the only
    /// one of its kind, and only that run knows of what.
    private func isCutOffElsewhere(
        _ refusal: Refusal, _ header: PlanHeader, _ state: StateFolder
    ) -> Bool {
        guard case .unfinishedTarget(_, let id) = refusal,
            let run = try? RunFolder.open(id, in: state.runs),
            let other = try? ApplyFolder(reading: run), other.state.isCutOff
        else { return false }
        let stores = other.plan.header.stores
        return stores.a.path != header.stores.a.path || stores.b.path != header.stores.b.path
    }

    private func report(_ result: ApplyResult, _ folder: ApplyFolder) throws -> ExitStatus {
        var report = ApplyReport(folder, json: json)
        report.holders = result.holders
        try report.actions()
        var status = result.status
        if result.shortage != nil, result.counts.done == 0 { status = .refused }
        if folder.plan.trailer.leftOut.needsDecision { status.merge(.undecided) }
        try report.summary("applied", result, status)
        if !json, result.counts.done > 0 {
            let isKept = folder.state.erased.isEmpty
            let (next, undone) =
                result.status == .ok
                ? ("'resync confirm last' reads it back", "it back")
                : ("'resync apply' with the same plan goes on", "back what was done")
            try StandardOutput.shared.write(
                "run \(folder.run.id): \(next), 'resync undo last' takes "
                    + "\(isKept ? undone : "back what was not released")\n")
        }
        return status
    }
}

struct ConfirmCommand: JSONCommand {
    static let configuration = CommandConfiguration(
        commandName: "confirm",
        abstract: "Read back from the medium what a run changed, and record what agrees.",
        discussion: """
            RUN is an id, an unambiguous beginning or end of one, or last. Only what was read \
            back and agrees becomes the baseline of the pair, and only then do the stores' \
            markers say that they agree.
            """)

    @Argument(help: ArgumentHelp("The run.", valueName: "RUN"))
    var run = "last"

    @Flag(
        name: .long,
        help: "Once all that is done agrees, free for good what it displaced; it stays then.")
    var releaseUndo = false

    @OptionGroup var format: JSONOptions

    @OptionGroup var progress: ProgressOptions

    @OptionGroup var patience: PatienceOptions
    @OptionGroup var state: StateOptions

    mutating func execute() throws -> ExitStatus {
        let watch = ChangeWatch()
        let command = self
        return try watch.guarding(patience, json: json) {
            try command.readBack(watch)
        } stalled: { folder, _ in
            var result = watch.confirmed
            result.ending = .stalled
            return try command.report(result, folder)
        }
    }

    private func readBack(_ watch: ChangeWatch) throws -> ExitStatus {
        let style = try progress.style()
        let state = try state.open()
        let session = try ApplySession(
            run: run, state, marksBoth: true, settlesOthers: true, watch: watch)
        let isJSON = json
        guard !session.folder.state.isBeingUndone else {
            throw CommandError(
                "run \(session.folder.run.id) was taken back: there is nothing to confirm", .usage)
        }
        let result = try session.watched(style) { job, _ in
            try job.recover()
            return try job.confirm(
                ComparisonRules(aspects: session.folder.plan.header.aspects), state.baselines
            ) { path, aspects in
                if isJSON {
                    var line = JSONLine(type: "diff")
                    line.path(path)
                    line.field("aspects", aspects.aspects.map(\.word))
                    try StandardOutput.shared.write(line.bytes)
                } else {
                    let words = aspects.aspects.map(\.word).joined(separator: ", ")
                    try StandardOutput.shared.write("* \(shown(path))  \(words)\n")
                }
            }
        }
        let status = try report(result, session.folder)
        try tellMarks(session)
        if releaseUndo, result.isGood { try release(session, result) }
        return status
    }

    /// What another run has left is not over because this one is.
    private func tellMarks(_ session: ApplySession) throws {
        for side in Side.allCases {
            guard let run = try MarkerFile.read(session.sites[side])?.inconsistent,
                run != session.folder.run.id
            else { continue }
            let name = escaped(run.utf8)
            guard !json else {
                var line = JSONLine(type: "still_marked")
                line.field("side", side.word)
                line.field("run", name)
                try StandardOutput.shared.write(line.bytes)
                continue
            }
            try StandardOutput.shared.write(
                "\(side.letter) stays marked as changed in part by run \(name): 'resync confirm "
                    + "\(name)' or 'resync undo \(name)' ends that\n")
        }
    }

    private func release(_ session: ApplySession, _ result: ConfirmResult) throws {
        let id = session.folder.run.id
        guard result.fromCache == 0 else {
            return Main.complain(
                "nothing was released: not all of it could be read past the page cache")
        }
        guard !session.folder.state.isCutOff else {
            return Main.complain(
                "nothing was released: run \(id) was cut off in its midst, and has to go on first")
        }
        guard session.folder.state.released == nil else {
            _ = try Quarantine(session.folder).removeReleased()
            return
        }
        try tellGoing(session.folder, json: json)
        let freed = try Quarantine(session.folder).release(session.sites)
        guard !json else { return }
        let isAll = session.folder.state.released != nil
        try StandardOutput.shared.write(
            "released \(sizeText(freed.bytes)) that \(countText(freed.entries)) changes displaced: "
                + "\(isAll ? "run \(id)" : "they") can no longer be taken back\n")
    }

    private func report(_ result: ConfirmResult, _ folder: ApplyFolder) throws -> ExitStatus {
        var status = ExitStatus.ok
        if case .interrupted(let signal) = result.ending { status.merge(.signal(signal)) }
        if result.unreadable > 0 || result.ending == .stalled || result.confirmsNothing {
            status.merge(.trouble)
        }
        if result.different > 0 { status.merge(.differences) }
        let left = folder.state.counts.notDone
        if left > 0 || !result.late.isEmpty { status.merge(.partial) }
        let leftOut = folder.plan.trailer.leftOut
        if leftOut.needsDecision { status.merge(.undecided) }
        // Not in the plan, but different, as far as anybody knows.
        if leftOut.count > 0 { status.merge(.differences) }
        if json {
            var line = JSONLine(type: "summary")
            line.field("run", folder.run.id)
            line.field("confirmed", result.confirmed)
            line.field("different", result.different)
            line.field("unreadable", result.unreadable)
            line.field("from_cache", result.fromCache)
            line.field("not_done", left)
            line.field("written_late", result.late.map { escaped($0.path.bytes) })
            line.field("left_out", leftOut.object)
            line.field("exit_status", Int(status.code))
            try StandardOutput.shared.write(line.bytes)
            return status
        }
        let output = StandardOutput.shared
        for (number, path) in result.late {
            try output.write(
                "! \(shown(path))  was written to after it was displaced, or is open for writing "
                    + "still: see .resync-quarantine/\(folder.run.id)/\(number)\n")
        }
        let noun = result.confirmed == 1 ? "change" : "changes"
        try output.write("confirmed \(countText(result.confirmed)) \(noun)")
        if result.fromCache > 0 {
            try output.write(", \(countText(result.fromCache)) of them from the page cache only")
        }
        if result.different > 0 {
            try output.write(", \(countText(result.different)) do not agree")
        }
        if result.unreadable > 0 {
            try output.write(", \(countText(result.unreadable)) cannot be read")
        }
        try output.write("\n")
        if left > 0 {
            try output.write(
                "\(countText(left)) of the plan's changes are not done: the stores are not called "
                    + "the same\n")
        }
        try output.write(leftOut.line)
        if folder.plan.trailer.isNarrowed {
            try output.write(
                "the plan was of a part of the stores: their markers do not say that they agree\n")
        }
        return status
    }
}

struct UndoCommand: JSONCommand {
    static let configuration = CommandConfiguration(
        commandName: "undo",
        abstract: "Bring back what a run replaced or deleted.",
        discussion: """
            RUN is an id, an unambiguous beginning or end of one, or last. Bytes and metadata \
            come back exactly; what changed since the run is left as it is and named.
            """)

    @Argument(help: ArgumentHelp("The run.", valueName: "RUN"))
    var run = "last"

    @OptionGroup var format: JSONOptions

    @OptionGroup var progress: ProgressOptions

    @OptionGroup var patience: PatienceOptions
    @OptionGroup var state: StateOptions

    mutating func execute() throws -> ExitStatus {
        let watch = ChangeWatch()
        let command = self
        return try watch.guarding(patience, json: json) {
            try command.takeBack(watch)
        } stalled: { folder, result in
            var result = result
            let done = result.counts.done
            result.counts = ApplyCounts()
            result.counts.done = folder.state.undone.count
            result.counts.undone = folder.state.undone.count
            result.counts.left = done - folder.state.undone.count
            return try command.report(result, folder)
        }
    }

    private func takeBack(_ watch: ChangeWatch) throws -> ExitStatus {
        let style = try progress.style()
        let state = try state.open()
        let session = try ApplySession(
            run: run, state, settlesOthers: true, needsSource: false, watch: watch)
        let id = session.folder.run.id
        guard session.folder.state.released == nil else {
            throw CommandError(
                "what run \(id) displaced was released: it can no longer be taken back", .refused)
        }
        let result = try session.watched(style) { job, _ in try job.undo(state.baselines) }
        return try report(result, session.folder)
    }

    private func report(_ result: ApplyResult, _ folder: ApplyFolder) throws -> ExitStatus {
        let report = ApplyReport(folder, json: json)
        try report.notUndone(result)
        try report.summary("took back", result, result.status, since: "the run")
        if !json, folder.state.isOver, !folder.state.isTakenBack {
            try StandardOutput.shared.write(
                "the undo of run \(folder.run.id) is at its end: what it left alone stays as it is"
                    + (folder.state.keepsSomething
                        ? ", and what that displaced is kept until 'resync quarantine purge "
                            + "\(folder.run.id)'\n" : "\n"))
        }
        return result.status
    }
}

import ArgumentParser
import ResyncCore
import ResyncEngine
import ResyncStorage

struct ApplyCommand: ResyncCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply",
        abstract: "Carry a plan out; nothing that is replaced or deleted is lost.",
        discussion: """
            Each change is prepared beside its target, exchanged with it in one step, and what it \
            displaced goes into quarantine. A target that changed since the plan was made is left \
            as it is. Cut off at any moment, the same command goes on. Then 'resync confirm' reads \
            the result back, or 'resync undo' takes it back.
            """)

    @Argument(help: ArgumentHelp("The plan.", valueName: "PLAN"))
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

    @Option(name: .long, help: ArgumentHelp("Workers.", valueName: "N"))
    var workers = 4

    @Flag(name: .long, help: "Print JSON Lines instead of text.")
    var json = false

    @Option(
        name: .long,
        help: ArgumentHelp("Progress on standard error.", valueName: "auto|json|none"))
    var progress = "auto"

    @OptionGroup var state: StateOptions

    mutating func execute() throws -> ExitStatus {
        guard (1...64).contains(workers) else {
            throw CommandError("--workers takes 1 to 64", .usage)
        }
        let style = try ProgressStyle.parse(progress, quiet: false)
        let limits = ApplyLimits(read: try throttle(readLimit), write: try throttle(writeLimit))
        let state = try state.open()
        let path = RawArguments.bytes(plan)
        try guardAgainst(try openPlan(path), state)
        let session = try ApplySession(plan: path, state, limits)
        let id = session.folder.run.id
        guard session.folder.state.undone.isEmpty else {
            throw CommandError(
                "run \(id) carried the plan out and was taken back: make a new plan", .usage)
        }
        guard !session.folder.state.isComplete else {
            throw CommandError("the plan is carried out already, by run \(id)", .usage)
        }
        var options = ApplyOptions(blockSize: session.folder.plan.header.blockSize)
        options.workers = workers
        options.acceptsOpen = acceptOpen
        options.openForWriting = { Set(OpenFiles().writers.keys) }
        let result = try watched(style) { controls in
            try session.recoverOthers(controls)
            return try session.job(controls).apply(options)
        }
        return try report(result, session.folder)
    }

    private func throttle(_ text: String?) throws -> Throttle? {
        try text.map { text in
            do throws(QuantityError) {
                return Throttle(bytesPerSecond: try parseRate(text))
            } catch {
                throw CommandError(error.reason, .usage)
            }
        }
    }

    /// Every guard that stands against the plan, in one answer, before anything is written.
    private func guardAgainst(_ plan: PlanReader<EVPHash>, _ state: StateFolder) throws {
        let sites = try plan.header.stores.map { store in
            try LocalSite(path: store.path, disk: LinuxDisk(), options: LocalSiteOptions())
        }
        let baseline = try state.baselines.find(sites.map { $0.identity })
        let standing = refusals(
            plan.header, plan.trailer, try sites.map { try StoreFindings($0) },
            baselineExclusions: baseline?.header.exclusions)
        guard !standing.isEmpty else { return }
        let id = plan.id.hex
        if let accept, accept.count >= 12, id.hasPrefix(accept.lowercased()) { return }
        for refusal in standing { Main.complain(refusal.sentence) }
        throw CommandError(
            "nothing was written; --accept \(id.prefix(12)) carries this plan out all the same",
            .refused)
    }

    private func report(_ result: ApplyResult, _ folder: ApplyFolder) throws -> ExitStatus {
        let report = ApplyReport(folder, json: json)
        try report.actions { _ in true }
        let status = result.status
        try report.summary("applied", result, status)
        if !json {
            try StandardOutput.shared.write(
                status == .ok
                    ? "run \(folder.run.id): 'resync confirm last' reads it back, "
                        + "'resync undo last' takes it back\n"
                    : "run \(folder.run.id): 'resync apply' with the same plan goes on, "
                        + "'resync undo last' takes back what was done\n")
        }
        return status
    }
}

struct ConfirmCommand: ResyncCommand {
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

    @Flag(name: .long, help: "Print JSON Lines instead of text.")
    var json = false

    @Option(
        name: .long,
        help: ArgumentHelp("Progress on standard error.", valueName: "auto|json|none"))
    var progress = "auto"

    @OptionGroup var state: StateOptions

    /// Until a change is so old that another could not hide behind the same times.
    private static let settle = 2.1

    mutating func execute() throws -> ExitStatus {
        let style = try ProgressStyle.parse(progress, quiet: false)
        let state = try state.open()
        let session = try ApplySession(run: run, state, ApplyLimits())
        let isJSON = json
        let result = try watched(style) { controls in
            let job = session.job(controls)
            try job.recover()
            let start = monotonicSeconds()
            while monotonicSeconds() - start < Self.settle {
                controls.report(.settling, Progress())
                pause(milliseconds: 20)
            }
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
        return try report(result, session.folder)
    }

    private func report(_ result: ConfirmResult, _ folder: ApplyFolder) throws -> ExitStatus {
        var status = ExitStatus.ok
        if case .interrupted(let signal) = result.ending { status.merge(.signal(signal)) }
        if result.unreadable > 0 { status.merge(.trouble) }
        if result.different > 0 { status.merge(.differences) }
        let left = folder.state.counts.notDone
        if left > 0 { status.merge(.partial) }
        if json {
            var line = JSONLine(type: "summary")
            line.field("run", folder.run.id)
            line.field("confirmed", result.confirmed)
            line.field("different", result.different)
            line.field("unreadable", result.unreadable)
            line.field("from_cache", result.fromCache)
            line.field("not_done", left)
            line.field("exit_status", Int(status.code))
            try StandardOutput.shared.write(line.bytes)
            return status
        }
        let output = StandardOutput.shared
        try output.write("confirmed \(countText(result.confirmed)) changes")
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
        return status
    }
}

struct UndoCommand: ResyncCommand {
    static let configuration = CommandConfiguration(
        commandName: "undo",
        abstract: "Bring back what a run replaced or deleted.",
        discussion: """
            RUN is an id, an unambiguous beginning or end of one, or last. Bytes and metadata \
            come back exactly; what changed since the run is left as it is and named.
            """)

    @Argument(help: ArgumentHelp("The run.", valueName: "RUN"))
    var run = "last"

    @Flag(name: .long, help: "Print JSON Lines instead of text.")
    var json = false

    @Option(
        name: .long,
        help: ArgumentHelp("Progress on standard error.", valueName: "auto|json|none"))
    var progress = "auto"

    @OptionGroup var state: StateOptions

    mutating func execute() throws -> ExitStatus {
        let style = try ProgressStyle.parse(progress, quiet: false)
        let state = try state.open()
        let session = try ApplySession(run: run, state, ApplyLimits())
        let result = try watched(style) { controls in
            try session.job(controls).undo(state.baselines)
        }
        let status = result.status
        let folder = session.folder
        var plan = folder.plan
        if !json {
            try plan.forEach { number, action in
                guard folder.state.isDone(number) else { return }
                try StandardOutput.shared.write(
                    "! \(shown(action.path))  changed since; left as it is\n")
            }
        }
        try ApplyReport(folder, json: json).summary("took back", result, status)
        return status
    }
}

import ArgumentParser
import Glibc
import ResyncCore
import ResyncEngine
import ResyncStorage

struct VerifyCommand: ResyncCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Compare two stores; never writes to them.",
        discussion: """
            A and B are two directories, or two images or block devices. Every entry is compared \
            in existence, type, size, content, symlink target, mode, owner and mtime. What differs \
            is looked at again after --settle, from the medium, before it is called a difference.
            """)

    @Argument(help: ArgumentHelp("One store.", valueName: "A"))
    var a: String

    @Argument(help: ArgumentHelp("The other store.", valueName: "B"))
    var b: String

    @Option(
        name: .long,
        help: ArgumentHelp(
            "How strongly content is compared: media (past the page cache), hash, metadata, size. "
                + "By default hash, but media where the machine shows trouble on a store.",
            valueName: "LEVEL"))
    var assurance: String?

    @Flag(
        name: .long,
        help: "Keep each side's digests for later runs (SHA-256; everything is read).")
    var keep = false

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Use the digests of this manifest where nothing has changed since; once per side.",
            valueName: "MANIFEST"))
    var since: [String] = []

    @Option(
        name: .long,
        help: ArgumentHelp(
            "No digest kept before the end of this time counts (as 17:50..19:15).",
            valueName: "FROM..TO"))
    var suspect: String?

    @OptionGroup(title: "What is looked at") var scope: ScopeOptions
    @OptionGroup(title: "What is compared") var aspects: AspectOptions
    @OptionGroup(title: "How it is read") var read: ReadOptions

    @Option(
        name: .long,
        help: ArgumentHelp("Look again at differences up to N times.", valueName: "N"))
    var confirm = 1

    @Option(
        name: .long,
        help: ArgumentHelp(
            "How long a difference must have been left alone to count.", valueName: "DURATION"))
    var settle = "2s"

    @Option(
        name: .long,
        help: ArgumentHelp(
            "End after this time, with a checkpoint to go on from.", valueName: "DURATION"))
    var maxDuration: String?

    @OptionGroup(title: "Results") var report: ReportOptions
    @OptionGroup var state: StateOptions

    mutating func execute() throws -> ExitStatus {
        try execute(resuming: nil)
    }

    /// - Parameter id: a run to go on with; its arguments are this command's.
    func execute(resuming id: String?) throws -> ExitStatus {
        do {
            if ManifestInput.isManifest(a) || ManifestInput.isManifest(b) {
                return try ManifestVerification(self).perform()
            }
            return try Verification(self, resuming: id).perform()
        } catch  where report.json {
            if let known = Main.explain(error) {
                try JSONReport.failure(known.message, known.status)
            }
            throw error
        }
    }
}

/// One comparison from its options to its printed result.
struct Verification {
    private let command: VerifyCommand
    private let resumed: String?
    private let state: StateFolder
    /// From which the run can be resumed.
    private let arguments: [String]

    init(
        _ command: VerifyCommand, resuming id: String?,
        arguments: [String] = RawArguments.all()
    ) throws {
        self.command = command
        self.arguments = arguments
        resumed = id
        state = try command.state.open()
    }

    func perform() throws -> ExitStatus {
        let style = try command.report.progressStyle()
        var options = command.report
        // The files that are there now are those of the attempt that is gone on with.
        if resumed != nil { options.force = true }
        var reports = try ReportFiles(options)
        let (result, run) = try compare(style, reports) { header, plan, level in
            try printHeader(header, plan, level)
        }
        try printResult(result, run, &reports)
        return result.summary.status
    }

    /// The comparison alone, and the run that keeps what it found.
    func compare(
        _ style: ProgressStyle, _ reports: ReportFiles,
        announce: (RunHeader, VerifyPlan, Level) throws -> Void
    ) throws -> (result: VerifyResult, run: RunFolder) {
        let sites = try openSites()
        let locks = try lockStores(sites)
        defer { withExtendedLifetime(locks) {} }
        let level = try assurance(sites)
        let plan = try plan(sites, level, reports)
        let run = try openRun(sites)
        try announce(try run.folder.header(), plan, level)
        let interruption = Interruption()
        let line = ProgressLine(style, totalBytes: totalBytes(sites))
        let controls = RunControls(
            interruption: { interruption.signalNumber },
            report: { line.report($0, $1) })
        let result = try VerifyRun(plan, controls, in: run.folder, resuming: run.checkpoint)()
        line.clear()
        return (result, run.folder)
    }

    // MARK: Before

    private func openSites() throws -> Sides<LocalSite> {
        let opening = SiteOpening(
            scope: command.scope, comparison: try command.aspects.rules(), read: command.read,
            state: state)
        let sites = Sides(a: try opening.open(command.a), b: try opening.open(command.b))
        let (a, b) = (sites.a.facts.kind, sites.b.facts.kind)
        guard (a == .directory) == (b == .directory) else {
            throw CommandError(
                "A is a \(a.rawValue) and B is a \(b.rawValue): they cannot be compared", .usage)
        }
        switch try storeOverlap(sites.a, sites.b) {
        case .same?: throw CommandError("A and B are the same store", .usage)
        case .inside(let side)?:
            let other = side.other.word.uppercased()
            throw CommandError("\(side.word.uppercased()) lies inside \(other)", .usage)
        case nil: return sites
        }
    }

    private func lockStores(_ sites: Sides<LocalSite>) throws -> Sides<Folder> {
        try sites.map { site in
            guard let lock = try state.lock(site.facts, exclusive: false) else {
                throw CommandError(
                    "'\(escaped(site.facts.path))' is being changed by another run", .locked)
            }
            return lock
        }
    }

    struct Level {
        var level: Assurance
        /// What speaks against a store.
        var reasons: Sides<[String]> = Sides(a: [], b: [])

        var hasTrouble: Bool { !reasons.a.isEmpty || !reasons.b.isEmpty }

        /// With the side in front.
        var lines: [String] {
            reasons.a.map { "A: \($0)" } + reasons.b.map { "B: \($0)" }
        }
    }

    private func assurance(_ sites: Sides<LocalSite>) throws -> Level {
        let reasons = sites.map { $0.trouble().reasons }
        guard let asked = command.assurance ?? (command.since.isEmpty ? nil : "cached") else {
            let hasTrouble = !reasons.a.isEmpty || !reasons.b.isEmpty
            return Level(level: hasTrouble ? .media : .hash, reasons: reasons)
        }
        guard let level = Assurance(rawValue: asked), level != .none else {
            throw CommandError(
                "'\(escaped(asked.utf8))' is no assurance: media, hash, cached, metadata, size",
                .usage)
        }
        return Level(level: level, reasons: reasons)
    }

    private func plan(
        _ sites: Sides<LocalSite>, _ level: Level, _ reports: ReportFiles
    ) throws -> VerifyPlan {
        let outlives = command.keep || level.level == .cached
        var rules = VerifyRules(
            scheme: outlives
                ? try keptScheme(command.read) : try command.read.scheme(default: .gmac))
        rules.comparison = try command.aspects.rules()
        rules.keepsSames = reports.needsSames
        switch level.level {
        case .media: rules.source = .media
        case .hash, .none: break
        case .metadata: rules.comparison.aspects.remove(AspectSet(.content))
        case .size: rules.comparison.aspects = AspectSet([.existence, .type, .size])
        case .cached:
            rules.kept = try KeptDigests(command, state, level.reasons).find(sites, rules.scheme)
        }
        rules.keepsRecords = command.keep
        var limits = try command.read.limits()
        limits.maxDuration = try command.maxDuration.map { try duration($0) }
        var plan = VerifyPlan(
            sites: WalkedSites(a: sites.a, b: sites.b), rules: rules, limits: limits)
        plan.scope.filter = try command.scope.filter()
        plan.scope.selection = try command.scope.selection()
        plan.rules.namesAreGiven = plan.scope.selection != nil
        plan.scope.batchSize = limits.work.batchSize(descriptors: descriptorLimit())
        guard (0...1000).contains(command.confirm) else {
            throw CommandError("--confirm takes 0 to 1000", .usage)
        }
        plan.confirmPasses = command.confirm
        plan.settle = try duration(command.settle)
        if command.keep {
            plan.keeping = Keeping(try headers(sites, rules), state.manifests, state.baselines)
        }
        return plan
    }

    /// The headers of the manifests that are kept of both sides.
    private func headers(
        _ sites: Sides<LocalSite>, _ rules: VerifyRules
    ) throws -> Sides<ManifestHeader> {
        guard sites.a.facts.kind == .directory else {
            throw CommandError("--keep is for directories; scan keeps images", .usage)
        }
        guard command.scope.filesFrom == nil, rules.comparison.aspects.contains(.content) else {
            throw CommandError("--keep needs the content of the whole store", .usage)
        }
        let opening = SiteOpening(
            scope: command.scope, comparison: rules.comparison, read: command.read, state: state)
        var headers = try sites.map { site in
            try LiveScan(
                site, opening, scheme: rules.scheme,
                assurance: rules.source == .media ? "media" : "hash", wholeFile: false
            ).header
        }
        for side in Side.allCases {
            // Digests that are taken over are as old as they were.
            guard let kept = rules.kept[side] else { continue }
            headers[side].started = min(headers[side].started, kept.header.started)
        }
        return headers
    }

    private func openRun(
        _ sites: Sides<LocalSite>
    ) throws -> (folder: RunFolder, checkpoint: Checkpoint?) {
        if let resumed {
            let run = try RunFolder.open(resumed, in: state.runs)
            try run.lock()
            guard let checkpoint = try run.checkpoint() else {
                throw RunError.nothingToResume(resumed)
            }
            return (run, checkpoint)
        }
        let started = Timestamp.now
        let header = RunHeader(
            id: try StateFolder.newRunID(at: started), kind: "verify", started: started,
            a: absolutePath(sites.a.facts.path), b: absolutePath(sites.b.facts.path),
            arguments: arguments.map { RawArguments.bytes($0) },
            workingDirectory: workingDirectory(), version: programVersion)
        return (try RunFolder.create(in: state.runs, header), nil)
    }

    /// Known only for images: counting a tree would be a walk of its own.
    private func totalBytes(_ sites: Sides<LocalSite>) -> Int? {
        guard sites.a.facts.kind != .directory else { return nil }
        return 2 * min(sites.a.facts.size, sites.b.facts.size)
    }

    // MARK: After

    private func printHeader(_ header: RunHeader, _ plan: VerifyPlan, _ level: Level) throws {
        if command.report.json {
            return try JSONReport.run(
                header, digest: plan.rules.scheme.algorithm.rawValue,
                blockSize: plan.rules.scheme.blockSize, assurance: level.level.rawValue,
                trouble: level.lines)
        }
        // Trouble is said even where nothing else is.
        for line in level.lines { Main.complain("trouble on \(line)") }
        if level.hasTrouble {
            Main.complain(
                level.level == .media
                    ? "assurance media: every byte is read past the page cache"
                    : "with trouble on a store, --assurance media is what tells the truth")
        }
    }

    private func printResult(
        _ result: VerifyResult, _ run: RunFolder, _ reports: inout ReportFiles
    ) throws {
        var text = TextReport(runID: run.id)
        // A list on standard output stays a list.
        let ownsOutput = command.report.usesStandardOutput
        let isSilent = command.report.quiet && result.summary.status == .ok
        var reader = try run.results()
        while let record = try reader.next() {
            try reports.add(record)
            if command.report.json {
                try JSONReport.add(record)
            } else if !isSilent, !ownsOutput {
                try text.add(record)
            }
        }
        try reports.finish()
        if command.report.json {
            for read in result.stalled { try JSONReport.stalled(read) }
            try JSONReport.summary(result.summary)
        } else if !isSilent, !ownsOutput {
            try text.finish(result.summary, result.stalled)
        }
        try StandardOutput.shared.flush()
    }
}

func absolutePath(_ path: [UInt8]) -> [UInt8] {
    path.first == slash ? path : workingDirectory() + [slash] + path
}

/// The directory that relative paths start from.
func workingDirectory() -> [UInt8] {
    guard let path = getcwd(nil, 0) else { return [slash] }
    defer { free(path) }
    return UnsafeRawBufferPointer(start: path, count: strlen(path)).map { $0 }
}

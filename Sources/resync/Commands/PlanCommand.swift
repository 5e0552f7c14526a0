import ArgumentParser
import Glibc
import ResyncCore
import ResyncEngine
import ResyncStorage

struct PlanCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan", abstract: "Plan what makes two stores the same again.",
        subcommands: [Make.self, Show.self], defaultSubcommand: Make.self)

    struct Make: JSONCommand {
        static let configuration = CommandConfiguration(
            commandName: "make",
            abstract: "Make a plan from what a comparison found; changes nothing.",
            discussion: """
                Give a run of verify (an id, or last), or two stores, which are compared first. \
                Everything that differs is looked at once more. The plan says of each change what \
                must still be there when it is carried out.

                Authorities: a or b makes the other side the same in everything, deletions too; \
                baseline takes from each side what the last proven agreement shows to be right, \
                and leaves conflicts out; union copies what is missing both ways and overwrites \
                and deletes nothing.
                """)

        @Argument(
            help: ArgumentHelp("A run, or two stores.", valueName: "RUN|A B"), completion: .file())
        var what: [String]

        @Option(
            name: .long,
            help: ArgumentHelp("Who is right.", valueName: "a|b|baseline|union"),
            completion: .list(["a", "b", "baseline", "union"]))
        var authority: String

        @Option(
            name: .shortAndLong, help: ArgumentHelp("Where the plan goes.", valueName: "PLAN"),
            completion: .file())
        var output: String

        @Option(
            name: .long,
            help: ArgumentHelp(
                "What is taken where both sides changed an entry.",
                valueName: "a|b|newer|larger"), completion: .list(["a", "b", "newer", "larger"]))
        var conflictResolve: String?

        @Option(
            name: .long,
            help: ArgumentHelp("Plan only this path and what is below it.", valueName: "PATH"))
        var path: [String] = []

        @Option(
            name: .long,
            help: ArgumentHelp(
                "Plan only what lies in this module of the configuration.", valueName: "MODULE"))
        var module: [String] = []

        @Flag(
            name: .long,
            help: "Plan deletions of what was lost from a side that had an episode, too.")
        var acceptDeletions = false

        @Flag(name: .long, help: "Make fifos, sockets and devices, too.")
        var specials = false

        @Flag(name: .long, help: "Replace a plan that exists.")
        var force = false

        @OptionGroup var format: JSONOptions

        @OptionGroup var progress: ProgressOptions

        @OptionGroup var patience: PatienceOptions
        @OptionGroup(title: "Of two stores: what is looked at") var scope: ScopeOptions
        @OptionGroup(title: "Of two stores: what is compared") var aspects: AspectOptions
        @OptionGroup var state: StateOptions
        @OptionGroup var file: ConfigurationOptions

        mutating func execute() throws -> ExitStatus {
            guard !what.isEmpty, what.count <= 2 else {
                throw CommandError("plan takes a run, or two stores", .usage)
            }
            return try Planning(self).perform()
        }
    }

    struct Show: JSONCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print what a plan would do, and the space it needs.",
            discussion: """
                One line per action: + something is made, * replaced, . gets other metadata, \
                - goes into quarantine.
                """)

        @Argument(help: ArgumentHelp("The plan.", valueName: "PLAN"), completion: .file())
        var plan: String

        @OptionGroup var format: JSONOptions

        @OptionGroup var patience: PatienceOptions

        mutating func execute() throws -> ExitStatus {
            let (path, json) = (RawArguments.bytes(plan), json)
            try answering(patience, plan) { disk in
                var plan = try PlanInput(path: path, on: disk).plan
                if json {
                    try PlanReport.json(&plan)
                } else {
                    try PlanReport.text(&plan)
                }
            }
            return .ok
        }
    }
}

/// A plan at a path of the operator's, read once to its end and found to be whole.
struct PlanInput {
    let file: InputFile
    let plan: PlanReader<EVPHash>

    init(path: [UInt8], on disk: any Disk = LinuxDisk()) throws {
        do {
            let file = try InputFile.open(path: path, disk: disk)
            self.file = file
            plan = try PlanReader(hash: try EVPHash(.sha256), chain: try EVPHash(.sha256)) {
                try file.read(at: $0, count: $1)
            }
        } catch let error as FormatError {
            throw CommandError(
                "plan '\(escaped(path))' \(error.reason) (at byte \(error.offset))")
        } catch let error as DiskError {
            throw CommandError("cannot read plan '\(escaped(path))': \(error.sentence)")
        }
    }
}

/// From the options to a plan in its file.
private struct Planning {
    private let command: PlanCommand.Make
    private let state: StateFolder
    private let policy: PlanPolicy
    private let style: ProgressStyle

    init(_ command: PlanCommand.Make) throws {
        self.command = command
        guard let authority = Authority(rawValue: command.authority) else {
            throw CommandError("--authority takes a, b, baseline or union", .usage)
        }
        var policy = PlanPolicy(authority)
        policy.resolution = try command.conflictResolve.map { word in
            guard let resolution = ConflictResolution(rawValue: word) else {
                throw CommandError("--conflict-resolve takes a, b, newer or larger", .usage)
            }
            return resolution
        }
        guard policy.resolution == nil || authority == .baseline else {
            throw CommandError("--conflict-resolve is for --authority baseline", .usage)
        }
        policy.acceptsDeletions = command.acceptDeletions
        policy.allowsSpecials = command.specials
        self.policy = policy
        style = try command.progress.style()
        state = try command.state.open()
    }

    func perform() throws -> ExitStatus {
        let path = absolutePath(RawArguments.bytes(command.output))
        _ = try OutputName(path, replacing: command.force)
        let run = try openRun()
        let header = try run.header()
        guard let summary = try run.summary(), var verify = try header.verifyCommand() else {
            throw CommandError("run \(run.id) has no result of a comparison to plan from")
        }
        verify.read.ioTimeout = command.patience.ioTimeout
        let sites = try openSites(header, verify)
        if let side = try run.terms()?.otherStore(than: sites.map { $0.identity }) {
            throw CommandError(
                "'\(escaped(sites[side].facts.path))' is not the store that run \(run.id) compared",
                .refused)
        }
        try refuse(path, inside: [sites.a, sites.b], crossing: true)
        let locks = try sites.map { try sharedLock($0, state) }
        defer { withExtendedLifetime(locks) {} }
        var paths = try command.path.map { try self.path($0, in: sites) }
        try requireDifferences(at: paths, in: run)
        try refuseStoresInside(sites, run)
        let file = try named(path) {
            try PendingFile(path: path, replacing: command.force, disk: LinuxDisk())
        }
        let configuration = try configuration(of: verify)
        for name in command.module { paths += try self.paths(of: name, configuration, sites) }
        var task = try task(sites, run, verify, summary, configuration)
        task.paths = paths
        if !command.json {
            Main.complain("from run \(run.id), begun \(header.started.localText)")
        }
        let left = LeftEntries(json: command.json)
        let result = try watched(style) { controls in
            let planning = try PlanRun(task, controls, of: run, left: { try left.add($0, $1) }) {
                bytes in try named(path) { try file.append(bytes) }
            }
            return try planning()
        }
        try named(path) { try file.commit() }
        try left.finish(run.id, result.trailer.leftOut)
        try report(result, task, sites, path)
        var status = result.trailer.leftOut.needsDecision ? ExitStatus.undecided : .ok
        for doubt in summary.doubtLines {
            Main.complain("made from a run that is not to be trusted: \(doubt)")
            status.merge(.trouble)
        }
        return status
    }

    /// Of a store; a whole one that leads into one of them is taken for that.
    private func path(_ text: String, in sites: Sides<LocalSite>) throws -> RelativePath {
        let bytes = RawArguments.bytes(text)
        let root = [sites.a, sites.b].map { absolutePath($0.facts.path) }.first { root in
            bytes.first == slash && isWithin(bytes, root)
        }
        return try storePath(
            root.map { RawArguments.text(Array(bytes.dropFirst($0.count))) } ?? text)
    }

    /// A name that was mistaken must not look like one that needs nothing.
    private func requireDifferences(at paths: [RelativePath], in run: RunFolder) throws {
        var missing = Set(paths)
        var reader = try run.results()
        while !missing.isEmpty, let record = try reader.next() {
            guard case .difference(let difference) = record else { continue }
            let found = difference.path
            missing = missing.filter { !found.isWithin($0) && !$0.isWithin(found) }
        }
        guard let first = missing.min() else { return }
        throw CommandError("run \(run.id) found no difference at '\(shown(first))'")
    }

    /// What runs of a store that lies in one of these keep in its quarantine is nowhere else: no
    /// plan may take it for what only one side has.
    private func refuseStoresInside(_ sites: Sides<LocalSite>, _ run: RunFolder) throws {
        guard sites.a.facts.kind == .directory else { return }
        var reader = try run.results()
        while let record = try reader.next() {
            guard case .difference(let difference) = record else { continue }
            let parts = difference.path.components
            guard let at = parts.firstIndex(where: { $0.bytes == quarantineName }), at > 0 else {
                continue
            }
            for side in Side.allCases {
                let place = parts[..<at].reduce(absolutePath(sites[side].facts.path)) {
                    $0 + [slash] + $1.bytes
                }
                guard MarkerFile.isIn(place, LinuxDisk()) else { continue }
                throw CommandError(
                    "'\(escaped(place))' is a store of its own, and runs of it may be taken back: "
                        + "compare with --exclude, or purge them first", .refused)
            }
        }
    }

    private func named<R>(_ path: [UInt8], _ body: () throws -> R) throws -> R {
        do {
            return try body()
        } catch let error as DiskError {
            throw CommandError("cannot write '\(escaped(path))': \(error.sentence)")
        }
    }

    /// The run that was named, or that of a comparison made now.
    private func openRun() throws -> RunFolder {
        if command.what.count == 1 {
            return try RunFolder.open(
                try state.runID(command.what[0], kind: "verify"), in: state.runs)
        }
        let arguments = ["verify"] + compared() + ["--"] + command.what
        guard let verify = try Resync.parseAsRoot(arguments) as? VerifyCommand else {
            throw CommandError("plan takes a run, or two stores", .usage)
        }
        let found = try Verification(verify, resuming: nil, arguments: arguments).compare(
            style, try ReportFiles(verify.report)
        ) { _, _, level in
            for line in level.lines { Main.complain("trouble on \(line)") }
            if let line = level.unseenLine { Main.complain(line) }
        }
        return found.run.folder
    }

    /// Our options of what is looked at, as verify has them.
    private func compared() -> [String] {
        let (scope, aspects) = (command.scope, command.aspects)
        var words: [String] = []
        func add(_ name: String, _ values: [String]) {
            words += values.map { "--\(name)=\($0)" }
        }
        add("exclude", scope.exclude)
        add("exclude-from", scope.excludeFrom)
        add("files-from", scope.filesFrom.map { [$0] } ?? [])
        if scope.fromNull { words.append("--from0") }
        if scope.crossMounts { words.append("--cross-mounts") }
        add("with", aspects.with)
        add("without", aspects.without)
        add("modify-window", aspects.modifyWindow.map { [$0] } ?? [])
        add("owner-by", aspects.ownerBy.map { [$0] } ?? [])
        add("io-timeout", [command.patience.ioTimeout])
        add("state", command.state.state.map { [$0] } ?? [])
        return words
    }

    private func openSites(
        _ header: RunHeader, _ verify: VerifyCommand
    ) throws -> Sides<LocalSite> {
        let opening = SiteOpening(
            scope: verify.scope, comparison: try verify.aspects.rules(), read: verify.read,
            state: state)
        return Sides(
            a: try opening.open(RawArguments.text(header.a)),
            b: try opening.open(RawArguments.text(header.b)))
    }

    private func task(
        _ sites: Sides<LocalSite>, _ run: RunFolder, _ verify: VerifyCommand, _ summary: Summary,
        _ configuration: Configuration?
    ) throws -> PlanTask {
        let isTree = sites.a.facts.kind == .directory
        let baseline = try state.baselines.find(sites.map { $0.identity })
        guard policy.authority != .baseline || baseline != nil else {
            throw CommandError(
                "the pair has no baseline: 'resync verify --keep' makes one of what agrees")
        }
        let rules = try comparison(verify)
        let filter = try filter(verify, run, configuration)
        let patience = try duration(verify.read.ioTimeout)
        let references = try sites.map { site in
            StoreReference(
                path: absolutePath(site.facts.path), kind: site.facts.manifestKind,
                identity: site.identity, size: site.facts.size,
                marker: try answered(within: patience, site.facts.path) {
                    try MarkerFile.read(site)
                })
        }
        let scheme = try verify.read.scheme(default: .sha256)
        var header = PlanHeader(
            stores: references, authority: policy.authority, created: .now,
            blockSize: baseline?.header.blockSize ?? scheme.blockSize,
            aspects: isTree ? rules.aspects : .image, exclusions: filter.digest)
        header.run = run.id
        header.tool = Array("\(programName) \(programVersion)".utf8)
        header.entries = summary.tally.entries
        header.directories = summary.tally.directories
        header.hasBaseline = baseline != nil
        let decisions = try run.decisions()
        header.decisions = decisions.all.count
        let limits = try verify.read.limits()
        var task = PlanTask(
            sites: sites.map { $0 as any Site }, policy: policy, header: header,
            comparison: rules, limits: limits, scratch: state.folder.scratch)
        task.baseline = baseline
        let knowledge = EpisodeKnowledge(state)
        task.suspectEnd = sites.map { knowledge.suspectEnd(of: $0.facts.path) }
        task.decisions = decisions
        task.external = ExternalPaths(configuration, in: sites).paths
        task.filter = filter
        task.hasSelection = try run.terms()?.selection != nil
        task.isComplete = summary.ending == .complete && rules.aspects.contains(.content)
        task.batchSize = limits.work.batchSize(descriptors: descriptorLimit())
        return task
    }

    private func paths(
        of name: String, _ configuration: Configuration?, _ sites: Sides<LocalSite>
    ) throws -> [RelativePath] {
        guard let configuration else {
            throw CommandError("there is no configuration that has modules", .usage)
        }
        let module = try configuration.module(name)
        guard let pair = configuration.pairs.first(where: { $0.name == module.pair }),
            pair.isOf(sites)
        else {
            throw CommandError("module '\(escaped(name.utf8))' is of other stores", .usage)
        }
        guard module.kind != .external else {
            throw CommandError(
                "module '\(escaped(name.utf8))' is external: nothing is planned in it", .usage)
        }
        return module.paths
    }

    /// That of the comparison, where none was named; nil where there is none.
    private func configuration(of verify: VerifyCommand) throws -> Configuration? {
        try (command.file.config == nil ? verify.file : command.file).loadIfThere()
    }

    /// What the run left out.
    private func filter(
        _ verify: VerifyCommand, _ run: RunFolder, _ configuration: Configuration?
    ) throws -> Filter {
        var filter = try verify.scope.filter()
        if verify.b.isEmpty, let configuration {
            let target =
                try verify.module.map { try VerifyTarget(module: $0, in: configuration) }
                ?? VerifyTarget(pair: verify.a, in: configuration)
            filter = try target.filter(with: filter)
        }
        guard let terms = try run.terms(), terms.exclusions != filter.digest else { return filter }
        throw CommandError(
            "run \(run.id) left out other entries than are left out now: compare again", .refused)
    }

    /// What the run compared.
    private func comparison(_ verify: VerifyCommand) throws -> ComparisonRules {
        let level = verify.assurance.flatMap { Assurance(rawValue: $0) } ?? .hash
        return try verify.aspects.rules(at: level)
    }

    private func report(
        _ result: PlanResult, _ task: PlanTask, _ sites: Sides<LocalSite>, _ path: [UInt8]
    ) throws {
        let (patience, state) = (try duration(command.patience.ioTimeout), state)
        let found = try sites.map { site in
            try answered(within: patience, site.facts.path) { try StoreFindings(site, state) }
        }
        let standing = refusals(
            task.header, result.trailer, found,
            baselineExclusions: task.baseline?.header.exclusions)
        if command.json {
            try PlanReport.summary(
                result.id, task.header, result.trailer, standing, external: result.external,
                expected: result.expected)
        } else {
            try PlanReport.left(external: result.external, expected: result.expected)
            try PlanReport.summaryText(
                result.id, task.header, result.trailer, standing,
                sliced: slicedSides(result.trailer, found))
        }
    }
}

/// Keeps a store from being changed while it is looked at.
func sharedLock(_ site: LocalSite, _ state: StateFolder) throws -> Folder {
    guard let lock = try state.lock(site.facts, exclusive: false) else {
        throw CommandError(
            "'\(escaped(site.facts.path))' is being changed by another run", .locked)
    }
    return lock
}

/// A path below a store's root, as a person gives it.
func storePath(_ text: String) throws -> RelativePath {
    let path = RelativePath.written(RawArguments.bytes(text))
    guard path.isValid else {
        throw CommandError("'\(escaped(text.utf8))' is no path in a store", .usage)
    }
    return path
}

extension StoreFacts {
    var manifestKind: ManifestHeader.Kind {
        switch kind {
        case .directory: .directory
        case .file: .file
        case .device: .device
        }
    }
}

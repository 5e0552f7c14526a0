import ArgumentParser
import Glibc
import ResyncCore
import ResyncEngine
import ResyncLedger
import ResyncStorage

struct DecideCommand: ResyncCommand {
    static let configuration = CommandConfiguration(
        commandName: "decide",
        abstract: "Say which side is right about a difference, and why.",
        discussion: """
            What was decided is kept with the run, with who said it and when. A plan made from the \
            run follows it. A decision about a directory holds for everything in it that was not \
            lost, and one about a module for each of its paths. Without a \
            path, prints what was decided; without a run, of all runs, those that were deleted \
            included.
            """)

    @Argument(help: ArgumentHelp("The run: an id, or last.", valueName: "RUN"))
    var run: String?

    @Argument(help: ArgumentHelp("The entry, as a report prints it.", valueName: "PATH"))
    var path: String?

    @Option(
        name: .long, help: ArgumentHelp("This side's copy is right.", valueName: "a|b"),
        completion: .list(["a", "b"]))
    var accept: String?

    @Flag(name: .long, help: "It is to be decided anew.")
    var open = false

    @Option(name: .long, help: ArgumentHelp("Why.", valueName: "TEXT"))
    var reason: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "All that differs in this module of the configuration.", valueName: "M"))
    var module: String?

    @OptionGroup var state: StateOptions
    @OptionGroup var file: ConfigurationOptions

    mutating func execute() throws -> ExitStatus {
        let state = try state.open()
        guard let run else { return try list(try Self.known(in: state)) }
        guard path != nil || module != nil else { return try list(of: run, in: state) }
        let folder = try RunFolder.open(try state.runID(run, kind: "verify"), in: state.runs)
        let ruling = try ruling()
        guard let reason, !reason.isEmpty else {
            throw CommandError("a decision needs its --reason", .usage)
        }
        let places = try places(folder)
        try folder.lock()
        for place in places {
            try folder.add(
                Decision(
                    path: place, ruling: ruling, who: userName(), when: .now,
                    reason: RawArguments.bytes(reason)))
        }
        do {
            try LedgerFile.open(in: state)?.save(try folder.decisions(), of: folder.id)
        } catch {
            // Made it is all the same: plans go by what the run has.
            Main.complain(Main.explain(error)?.message ?? "\(error)")
        }
        return .ok
    }

    /// What is decided about: something differs at each of them, or below.
    private func places(_ folder: RunFolder) throws -> [RelativePath] {
        if let module {
            guard path == nil else {
                throw CommandError("decide takes a path or --module, not both", .usage)
            }
            let found = try paths(of: module, folder).filter { try contains(folder, $0) }
            guard !found.isEmpty else {
                throw CommandError(
                    "run \(folder.id) has no difference in module '\(escaped(module.utf8))'")
            }
            return found
        }
        guard let path, let bytes = unescaped(path) else {
            throw CommandError("'\(escaped((path ?? "").utf8))' is no path in a store", .usage)
        }
        let place = try storePath(RawArguments.text(bytes))
        guard try contains(folder, place) else {
            throw CommandError("run \(folder.id) has no difference at '\(shown(place))'")
        }
        return [place]
    }

    private func paths(of name: String, _ folder: RunFolder) throws -> [RelativePath] {
        guard let configuration = try file.loadIfThere() else {
            throw CommandError("there is no configuration that has modules", .usage)
        }
        let module = try configuration.module(name)
        let header = try folder.header()
        let pair = configuration.pairs.first { $0.name == module.pair }
        let stores = pair.map { Set([$0.stores.a.path, $0.stores.b.path]) } ?? []
        let compared = Set([header.a, header.b])
        // Neither store need be there to be decided about.
        let real = RealPaths().find(stores.union(compared), within: 5)
        guard Set(stores.map { real[$0] ?? $0 }) == Set(compared.map { real[$0] ?? $0 }) else {
            throw CommandError("module '\(escaped(name.utf8))' is of other stores", .usage)
        }
        return module.paths
    }

    private func ruling() throws -> Decision.Ruling {
        switch (accept, open) {
        case ("a"?, false): return .accept(.a)
        case ("b"?, false): return .accept(.b)
        case (nil, true): return .open
        default: throw CommandError("decide takes --accept a, --accept b or --open", .usage)
        }
    }

    /// Whether anything at the path, or below it, differs.
    private func contains(_ run: RunFolder, _ path: RelativePath) throws -> Bool {
        var reader = try run.results()
        while let record = try reader.next() {
            if case .difference(let found) = record, found.path.isWithin(path) { return true }
        }
        return false
    }

    private typealias OfRun = (run: String, decisions: Decisions)

    /// Those of the runs that are kept, and those that the ledger has of others.
    private static func known(in state: StateFolder) throws -> [OfRun] {
        let kept =
            try RunFolder.decisions(in: state.runs)
            + (state.forgotten().map { try RunFolder.decisions(in: $0) } ?? [])
        let ids = Set(kept.map(\.run))
        let others = try LedgerFile.open(in: state)?.decisions().filter { !ids.contains($0.run) }
        return (kept + (others ?? [])).sorted { $0.run < $1.run }
    }

    /// What somebody has decided about the comparison that the plan was made from.
    static func decided(
        since plan: PlanReader<EVPHash>, _ state: StateFolder
    ) throws -> LaterDecisions? {
        guard let run = plan.header.run else { return nil }
        let decisions: Decisions?
        if try RunFolder.list(in: state.runs).contains(run) {
            decisions = try RunFolder.open(run, in: state.runs).decisions()
        } else {
            decisions = try known(in: state).first { $0.run == run }?.decisions
        }
        let later = decisions.flatMap { LaterDecisions($0, after: plan.header.decisions) }
        guard plan.header.stores.a.kind != .directory, let later else { return later }
        var plan = plan
        try plan.forEach { _, action in
            guard later.speakAgainst(action) else { return }
            throw CommandError(
                "it was decided otherwise since the plan was made: nothing was written", .refused)
        }
        return nil
    }

    private func list(of run: String, in state: StateFolder) throws -> ExitStatus {
        do {
            let folder = try RunFolder.open(try state.runID(run, kind: "verify"), in: state.runs)
            return try list([(folder.id, try folder.decisions())])
        } catch let error as RunError {
            guard let known = try Self.known(in: state).first(where: { $0.run == run }) else {
                throw error
            }
            return try list([known])
        }
    }

    private func list(_ all: [OfRun]) throws -> ExitStatus {
        for (id, decisions) in all {
            for decision in decisions.all {
                let word =
                    switch decision.ruling {
                    case .open: "open"
                    case .accept(let side): "\(side.letter) is right"
                    }
                try StandardOutput.shared.write(
                    (run == nil ? id + "  " : "")
                        + "\(decision.when.utcText) \(escaped(decision.who)): "
                        + "\(shown(decision.path)): \(word): \(escaped(decision.reason))\n")
            }
        }
        return .ok
    }

    private func userName() -> [UInt8] {
        if let record = getpwuid(getuid()), let name = record.pointee.pw_name {
            return UnsafeRawBufferPointer(start: name, count: strlen(name)).map { $0 }
        }
        return Array(String(getuid()).utf8)
    }
}

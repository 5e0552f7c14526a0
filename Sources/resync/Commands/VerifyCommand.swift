import ArgumentParser
import ResyncCore

struct VerifyCommand: ResyncCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Compare two stores; never writes to them.",
        discussion: """
            A and B are two directories, or two images or block devices. Every entry is compared \
            in existence, type, size, content, symlink target, mode, owner and mtime. What differs \
            is looked at again after --settle, from the medium, before it is called a difference. \
            One of them may be a manifest: then the other is scanned and held against it. Instead \
            of both, a pair of the configuration may be named, or --module with one of its \
            modules: then what agrees is kept as proven (as with --keep), and it is said which \
            modules are released by it.
            """)

    @Argument(
        help: ArgumentHelp("One store, or a pair of the configuration.", valueName: "A"),
        completion: .file())
    var a = ""

    @Argument(help: ArgumentHelp("The other store.", valueName: "B"), completion: .file())
    var b = ""

    @Option(
        name: .long,
        help: ArgumentHelp("Compare this module of the configuration.", valueName: "M"))
    var module: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Of a pair or module, compare this alone: unproven (what was not proven equal since "
                + "the last episode), suspect (of that, what is likely to be damaged), hot (of "
                + "that, what lies in hot paths), or rest (of that, what lies in no module).",
            valueName: "PART"))
    var only: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "With one store: hold it against the baseline, that is what it and its other copy were "
                + "last proven to share.", valueName: "BASELINE"))
    var against: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "How strongly content is compared: media (past the page cache), hash, cached (with "
                + "kept digests), metadata, size. By default hash, but media where the machine "
                + "shows trouble on a store.",
            valueName: "LEVEL"), completion: .list(["media", "hash", "cached", "metadata", "size"]))
    var assurance: String?

    @Flag(
        name: .long,
        help: "Keep each side's digests for later runs (SHA-256; everything is read).")
    var keep = false

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Use the digests of this manifest where nothing has changed since; once per side.",
            valueName: "MANIFEST"), completion: .file())
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
    var settle = Self.usualSettle

    @Option(
        name: .long,
        help: ArgumentHelp(
            "End after this time, with a checkpoint to go on from.", valueName: "DURATION"))
    var maxDuration: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Begin with this share of --read-limit (0.1 to 1), and double it while the devices "
                + "answer as they usually do.", valueName: "SHARE"))
    var ramp: Double?

    @Flag(
        name: .long,
        help: ArgumentHelp("Leave the stores to who waits for them.", visibility: .hidden))
    var yields = false

    @OptionGroup(title: "Results") var report: ReportOptions
    @OptionGroup var state: StateOptions
    @OptionGroup var file: ConfigurationOptions

    private static let usualSettle = "2s"

    mutating func execute() throws -> ExitStatus {
        try execute(resuming: nil)
    }

    func confirmPasses() throws -> Int {
        guard (0...1000).contains(confirm) else {
            throw CommandError("--confirm takes 0 to 1000", .usage)
        }
        return confirm
    }

    /// - Parameters:
    ///   - id: a run to go on with.
    ///   - arguments: this command's; of the run that is gone on with, those it was begun with.
    func execute(
        resuming id: String?, arguments: [String] = RawArguments.all()
    ) throws -> ExitStatus {
        do {
            return try compare(resuming: id, arguments)
        } catch  where report.json {
            if let known = Main.explain(error) {
                try JSONReport.failure(known.message, known.status)
            }
            throw error
        }
    }

    private func compare(resuming given: String?, _ arguments: [String]) throws -> ExitStatus {
        var id = given
        if only != nil, id != nil {
            Main.complain("what is still to be proven is looked for anew: nothing is read twice")
            id = nil
        }
        if against != nil {
            if id != nil {
                Main.complain("a comparison with the baseline does not go on: it begins anew")
            }
            return try AloneVerification(self).perform()
        }
        let (command, target) = try targeted()
        return try command.compare(target, resuming: id, arguments)
    }

    /// With the stores of a pair or module that was named instead of them.
    func targeted() throws -> (command: VerifyCommand, target: VerifyTarget?) {
        guard module != nil || b.isEmpty else {
            guard !a.isEmpty || module != nil else {
                throw CommandError("the path of A is empty", .usage)
            }
            guard only == nil else {
                throw CommandError("--only is for a pair of the configuration, or --module", .usage)
            }
            return (self, nil)
        }
        guard module == nil || a.isEmpty, module != nil || !a.isEmpty else {
            throw CommandError("verify takes two stores, a pair, or --module M", .usage)
        }
        guard module != nil || !RawArguments.all().contains("") else {
            throw CommandError("the path of B is empty", .usage)
        }
        guard
            let configuration = module == nil
                ? try file.loadIfThere() : try ConfigurationFile.load(file.path)
        else {
            throw CommandError(
                "verify takes two stores, and B is missing; nor is there a configuration at "
                    + "'\(escaped(file.path))' that could have a pair of that name", .usage)
        }
        var target =
            try module.map { try VerifyTarget(module: $0, in: configuration) }
            ?? VerifyTarget(pair: a, in: configuration)
        if let only {
            guard let part = UnprovenEntries.Part(rawValue: only) else {
                throw CommandError("--only takes unproven, suspect, hot or rest", .usage)
            }
            target.part = part
        }
        for module in target.modules { module.tellExpired(at: target.time) }
        var command = self
        let stores = target.pair.stores
        (command.a, command.b) = (
            RawArguments.text(stores.a.path), RawArguments.text(stores.b.path)
        )
        if settle == Self.usualSettle { command.settle = "\(target.pair.settle)s" }
        if read.readLimit == nil {
            command.read.readLimit = target.pair.readLimit.map { "\($0)/s" }
        }
        return (command, target)
    }

    private func compare(
        _ target: VerifyTarget?, resuming id: String?, _ arguments: [String]
    ) throws -> ExitStatus {
        if let target, let module = target.onlyExternal {
            return try ask(module, target.pair.terms(of: module))
        }
        let patience = try duration(read.ioTimeout)
        let isManifest = try Sides(a: a, b: b).map {
            try ManifestInput.isManifest($0, within: patience)
        }
        if isManifest.a || isManifest.b {
            return try ManifestVerification(self, isManifest, resuming: id).perform()
        }
        return try Verification(self, target, resuming: id, arguments: arguments).perform()
    }
}

import ArgumentParser
import Glibc
import ResyncCore
import ResyncEngine
import ResyncStorage

struct ScanCommand: ResyncCommand {
    static let configuration = CommandConfiguration(
        commandName: "scan",
        abstract: "List and digest one store into a manifest.",
        discussion: """
            The manifest appears under its name only when it is whole and on the medium; until \
            then it is kept with the run, which can be resumed. An entry that could not be read is \
            in it as such, and makes the status 2.
            """)

    @Argument(help: ArgumentHelp("The store.", valueName: "STORE"), completion: .file())
    var store: String

    @Option(
        name: .shortAndLong, help: ArgumentHelp("Where the manifest goes.", valueName: "MANIFEST"),
        completion: .file())
    var output: String

    @Flag(name: .long, help: "Keep plain SHA-256 of whole files too: exports need it.")
    var wholeFile = false

    @Option(
        name: .long,
        help: ArgumentHelp("media (read past the page cache) or hash.", valueName: "LEVEL"),
        completion: .list(["media", "hash", "cached", "metadata", "size"]))
    var assurance = "hash"

    @Option(
        name: .long,
        help: ArgumentHelp(
            "End after this time, with a checkpoint to go on from.", valueName: "DURATION"))
    var maxDuration: String?

    @Flag(name: .long, help: "Replace a manifest that exists.")
    var force = false

    @Flag(name: [.customShort("q"), .long], help: "Print nothing when all was read.")
    var quiet = false

    @OptionGroup var progress: ProgressOptions

    @OptionGroup(title: "What is looked at") var scope: ScopeOptions
    @OptionGroup(title: "What is kept") var aspects: AspectOptions
    @OptionGroup(title: "How it is read") var read: ReadOptions
    @OptionGroup var state: StateOptions

    mutating func execute() throws -> ExitStatus {
        try execute(resuming: nil)
    }

    func execute(resuming id: String?) throws -> ExitStatus {
        guard scope.filesFrom == nil else {
            throw CommandError("a manifest is of a whole store: no --files-from", .usage)
        }
        let output = try ManifestOutput(self.output, replacing: force)
        let state = try state.open()
        let opening = SiteOpening(
            scope: scope, comparison: try aspects.rules(), read: read, state: state)
        let site = try opening.open(store)
        try refuse(
            RawArguments.bytes(self.output), inside: [site], crossing: scope.crossMounts)
        var scan = try LiveScan(
            site, opening, scheme: try keptScheme(read), assurance: assurance,
            wholeFile: wholeFile)
        scan.limits.maxDuration = try maxDuration.map { try duration($0) }
        let style = try progress.style(quiet: quiet)
        let run = try KeptRun(
            state, kind: "scan", Sides(a: store, b: self.output).map { RawArguments.bytes($0) },
            resuming: id)
        let checkpoint = try run.folder.checkpoint()
        let started = monotonicSeconds() - (checkpoint?.elapsed ?? 0)
        let (result, trailer) = try scan.run(style, in: run.folder, resuming: checkpoint)
        guard let trailer else {
            return report(stopped: result, of: run.folder.id, isImage: scan.header.isImage)
        }
        try output.place(try run.folder.folder.read(RunFolder.manifest(.a)))
        try run.folder.delete(from: state.runs)
        let isGood = trailer.isWhole && trailer.counts.entries > 1 || scan.header.isImage
        if !quiet || !isGood {
            try StandardOutput.shared.write(
                ManifestText.summary(trailer)
                    + "\(sizeText(result.bytesRead)) read in "
                    + "\(durationText(monotonicSeconds() - started))\n")
        }
        return isGood && trailer.isWhole ? .ok : .trouble
    }

    private func report(
        stopped result: ScanResult, of id: String, isImage: Bool
    ) -> ExitStatus {
        for read in result.stalled {
            Main.complain("a read of '\(shown(read.path))' was not answered in time")
        }
        Main.complain(
            "the scan did not come to its end: no manifest was written; "
                + "'resync runs resume \(id)' "
                + (isImage ? "reads the image from its beginning" : "goes on"))
        switch result.ending {
        case .interrupted(let signal): return .signal(signal)
        case .outOfTime: return .outOfTime
        case .complete, .stalled: return .trouble
        }
    }
}

/// The scheme for digests that outlive the run.
func keptScheme(_ read: ReadOptions) throws -> DigestScheme {
    let scheme = try read.scheme(default: .sha256)
    guard scheme.algorithm.canBeKept else {
        throw CommandError("gmac digests mean nothing after the run: use sha256", .usage)
    }
    return scheme
}

/// How stores are opened, from the options of a command.
struct SiteOpening {
    let scope: ScopeOptions
    let comparison: ComparisonRules
    let read: ReadOptions
    let state: StateFolder
    /// Of the run that the store is opened for.
    var pace = Pace()
    private let disk = LinuxDisk()

    func open(_ path: String) throws -> LocalSite {
        var options = LocalSiteOptions()
        options.crossMounts = scope.crossMounts
        options.details = comparison.aspects.intersection(AspectSet([.xattrs, .acl]))
        options.owners = comparison.owners
        options.openDirectories = max(16, min(512, descriptorLimit() / 8))
        options.scratch = state.folder.scratch
        options.readLimit = try read.throttle(pace)
        let (bytes, disk, ready) = (RawArguments.bytes(path), disk, options)
        let place = state.path
        // What is remembered of a store must not change it.
        return try answered(within: try duration(read.ioTimeout), bytes) {
            let site = try LocalSite(path: bytes, disk: disk, options: ready)
            try refuse(
                state: place, at: LocalSite(path: place, disk: disk, options: LocalSiteOptions()),
                inside: site)
            return site
        }
    }

    func walkScope() throws -> WalkScope {
        var walk = WalkScope()
        walk.filter = try scope.filter()
        walk.batchSize = try read.limits().work.batchSize(descriptors: descriptorLimit())
        return walk
    }
}

/// The scan of a live store, with the header its manifest has.
struct LiveScan {
    let header: ManifestHeader
    let rules: ScanRules
    let scope: WalkScope
    var limits: RunLimits
    private let run: ScanRun
    private let pace: Pace

    init(
        _ site: LocalSite, _ opening: SiteOpening, scheme: DigestScheme, assurance: String,
        wholeFile: Bool
    ) throws {
        let comparison = opening.comparison
        pace = opening.pace
        var rules = ScanRules(scheme: scheme)
        rules.aspects = comparison.aspects
        rules.hasWholeFile = wholeFile
        switch assurance {
        case "hash": break
        case "media": rules.source = .media
        default: throw CommandError("a scan's --assurance is hash or media", .usage)
        }
        guard comparison.aspects.contains(.type) else {
            throw CommandError("a manifest holds the type of every entry", .usage)
        }
        self.rules = rules
        scope = try opening.walkScope()
        run = ScanRun(site, rules, scope)
        limits = try opening.read.limits()
        header = run.header(
            mounts: opening.scope.crossMounts ? .cross : .one, owners: comparison.owners,
            host: hostName(), tool: Array("\(programName) \(programVersion)".utf8))
    }

    func run(
        _ style: ProgressStyle, in folder: RunFolder, resuming checkpoint: Checkpoint?
    ) throws -> (result: ScanResult, trailer: ManifestTrailer?) {
        try watched(style, folder, pace) {
            try run(limits, $0, in: folder, header, resuming: checkpoint)
        }
    }
}

func hostName() -> [UInt8] {
    var name = [CChar](repeating: 0, count: 256)
    guard gethostname(&name, name.count - 1) == 0 else { return [] }
    return name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
}

/// A manifest on its way to a file.
struct ManifestOutput {
    private let path: [UInt8]
    private let replaces: Bool

    /// Refuses a name that is taken before any work is done.
    init(_ path: String, replacing: Bool) throws {
        self.path = RawArguments.bytes(path)
        replaces = replacing
        _ = try OutputName(self.path, replacing: replacing)
    }

    private func pending() throws -> PendingFile {
        try PendingFile(path: path, replacing: replaces, disk: LinuxDisk())
    }

    func begin(_ header: ManifestHeader) throws -> Writer {
        try named { Writer(try ManifestFile(header, try pending()), self) }
    }

    /// Puts a manifest that is whole under its name.
    func place(_ whole: InputFile) throws {
        let portion = 1 << 20
        try named {
            let file = try pending()
            for offset in stride(from: 0, to: whole.size, by: portion) {
                try file.append(try whole.read(at: offset, count: portion))
            }
            try file.commit()
        }
    }

    fileprivate func named<Value>(_ body: () throws -> Value) throws -> Value {
        do {
            return try body()
        } catch let error as DiskError {
            throw CommandError("cannot write '\(escaped(path))': \(error.sentence)")
        }
    }

    struct Writer {
        private let file: ManifestFile
        private let output: ManifestOutput

        fileprivate init(_ file: ManifestFile, _ output: ManifestOutput) {
            (self.file, self.output) = (file, output)
        }

        func append(_ record: ManifestRecord) throws {
            try output.named { try file.append(record) }
        }

        func commit() throws -> ManifestTrailer { try output.named { try file.commit() } }
    }
}

private final class ManifestFile {
    private var writer: ManifestWriter<EVPHash>
    private let file: PendingFile

    init(_ header: ManifestHeader, _ file: PendingFile) throws {
        self.file = file
        writer = try ManifestWriter(header, .openSSL) { try file.append($0) }
    }

    func append(_ record: ManifestRecord) throws { try writer.append(record) }

    func commit() throws -> ManifestTrailer {
        let trailer = try writer.finish(ended: .now)
        try file.commit()
        return trailer
    }
}

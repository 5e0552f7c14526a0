import ArgumentParser
import ResyncCore
import ResyncEngine
import ResyncStorage

struct BenchCommand: JSONCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Say how long a full verification of a store would take.",
        discussion: """
            A sample of the store is read, and nothing is written to it. Told is the time that \
            verify would take for the store and a copy that lies on the same storage, at each \
            assurance, between which bounds, and what binds it: the device, memory, the digest, \
            system calls or the rate limit. A copy with storage of its own takes up to half of \
            that where the device binds. At hash what is in the page cache now counts as it is; \
            at cached nothing has changed since the digests were kept.
            """)

    @Argument(help: ArgumentHelp("The store.", valueName: "STORE"), completion: .file())
    var store: String

    @Option(
        name: .long,
        help: ArgumentHelp("Take no longer than this.", valueName: "DURATION"))
    var maxDuration = "60s"

    @OptionGroup var format: JSONOptions

    @OptionGroup var progress: ProgressOptions

    @OptionGroup(title: "What is looked at") var scope: ScopeOptions
    @OptionGroup(title: "How it is read") var read: ReadOptions
    @OptionGroup var state: StateOptions

    mutating func execute() throws -> ExitStatus {
        guard scope.filesFrom == nil else {
            throw CommandError("a whole store is estimated: no --files-from", .usage)
        }
        guard try !ManifestInput.isManifest(store, within: try resync.duration(read.ioTimeout))
        else {
            throw CommandError(
                "'\(escaped(RawArguments.bytes(store)))' is a manifest: there is nothing to read "
                    + "in it", .usage)
        }
        let duration = try duration(maxDuration)
        guard duration > 0 else { throw CommandError("no time is no sample", .usage) }
        let opening = SiteOpening(
            scope: scope, comparison: ComparisonRules(), read: read, state: try state.open())
        let site = try opening.open(store)
        let limits = try read.limits()
        let rate = try read.readLimit.map { try resync.rate($0) }
        let scheme = try read.scheme(default: .gmac)
        let walk = try opening.walkScope()
        let style = try progress.style()
        let inodes = fileSystemInodes(site)
        let started = monotonicSeconds()
        let result = try watched(style) {
            try StoreBench(site, scheme, walk, limits, $0, duration: duration, rate: rate)(
                inodes: inodes)
        }
        let status = status(of: result)
        let elapsed = monotonicSeconds() - started
        if json {
            try tellJSON(result, scheme, status, elapsed)
        } else {
            try tell(result, elapsed)
        }
        return status
    }

    /// Those in use, where the store is the whole of its file system.
    private func fileSystemInodes(_ site: LocalSite) -> Int {
        let above = RawArguments.bytes(store) + Array("/..".utf8)
        guard site.facts.kind == .directory, let stat = try? LinuxDisk().stat(path: above),
            stat.device != site.facts.stat.device
        else { return 0 }
        return site.facts.fileSystem.inodesUsed
    }

    private func status(of result: BenchResult) -> ExitStatus {
        switch result.ending {
        case .interrupted(let signal): .signal(signal)
        case .stalled: .trouble
        case .complete, .outOfTime: result.failures > 0 || result.files == 0 ? .trouble : .ok
        }
    }

    // MARK: Telling

    private func tell(_ result: BenchResult, _ elapsed: Double) throws {
        for read in result.stalled {
            Main.complain("a read of '\(shown(read.path))' was not answered in time")
        }
        if result.failures > 0 {
            Main.complain(
                "\(countText(result.failures)) entries could not be read: verify would not answer "
                    + "for them")
        }
        guard result.files > 0 else {
            Main.complain("'\(escaped(RawArguments.bytes(store)))' holds nothing to read")
            return
        }
        guard result.ending == .complete else { return }
        let about = result.isCounted ? "" : "about "
        var text =
            "\(about)\(countText(result.files)) \(result.files == 1 ? "file" : "files"), "
            + "\(sizeText(result.bytes)); \(sizeText(result.bytesRead)) read for it in "
            + "\(durationText(elapsed))\n"
        if !result.isCounted {
            text += "not all of it could be counted in this time: give it more\n"
        }
        text += "A verification of it, with a copy on the same storage:\n"
        for level in result.levels.reversed() {
            let name = level.assurance + String(repeating: " ", count: 10 - level.assurance.count)
            text += "  \(name)\(Self.sentence(level))\n"
        }
        try StandardOutput.shared.write(text)
    }

    private static func sentence(_ level: BenchResult.Level) -> String {
        guard let estimate = level.estimate else { return level.silence?.sentence ?? "" }
        let high =
            estimate.high.isFinite ? "to \(durationText(estimate.high))" : "at least"
        let limit = level.limit.map { "; bound by \(bound($0))" } ?? ""
        return "\(durationText(estimate.seconds))  (\(durationText(estimate.low)) \(high))\(limit)"
    }

    private static func bound(_ limit: BindingLimit) -> String {
        limit == .systemCalls || limit == .memory ? limit.rawValue : "the \(limit.rawValue)"
    }

    private func tellJSON(
        _ result: BenchResult, _ scheme: DigestScheme, _ status: ExitStatus, _ elapsed: Double
    ) throws {
        var line = JSONLine(type: "bench")
        line.field("schema", 1)
        line.field("store", escaped(RawArguments.bytes(store)))
        line.field("digest", scheme.algorithm.rawValue)
        line.field("block_size", scheme.blockSize)
        try StandardOutput.shared.write(line.bytes)
        for level in result.ending == .complete && result.files > 0 ? result.levels : [] {
            var line = JSONLine(type: "estimate")
            line.field("assurance", level.assurance)
            if let estimate = level.estimate {
                line.field("seconds", estimate.seconds)
                line.field("low_s", estimate.low)
                // Nothing bounds what was not counted.
                if estimate.high.isFinite { line.field("high_s", estimate.high) }
            }
            if let silence = level.silence { line.field("reason", silence.sentence) }
            if let limit = level.limit { line.field("limit", limit.rawValue) }
            try StandardOutput.shared.write(line.bytes)
        }
        line = JSONLine(type: "summary")
        line.field("entries", result.entries)
        line.field("files", result.files)
        line.field("bytes", result.bytes)
        line.field("counted", result.isCounted)
        line.field("files_read", result.filesRead)
        line.field("bytes_read", result.bytesRead)
        line.field("unreadable", result.failures)
        line.field("elapsed_s", elapsed)
        line.field("exit_status", Int(status.code))
        try StandardOutput.shared.write(line.bytes)
    }
}

extension BenchResult.Silence {
    var sentence: String {
        switch self {
        case .noMedium: "cannot be had: nothing is read past the page cache here"
        case .noTime: "nothing could be read in this time: give it more"
        }
    }
}

import ArgumentParser
import Glibc
import ResyncCore
import ResyncEngine
import ResyncStorage

/// Which entries are looked at.
struct ScopeOptions: ParsableArguments {
    @Option(
        name: .long, parsing: .unconditionalSingleValue,
        help: ArgumentHelp(
            "Leave out what matches PATTERN, with rsync's pattern meaning.", valueName: "PATTERN"))
    var exclude: [String] = []

    @Option(
        name: .long,
        help: ArgumentHelp("Read exclusions from FILE, one a line.", valueName: "FILE"),
        completion: .file())
    var excludeFrom: [String] = []

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Look only at the paths listed in FILE (- for standard input), not below them.",
            valueName: "FILE"), completion: .file())
    var filesFrom: String?

    @Flag(
        name: .customLong("from0"),
        help: "The files of --exclude-from and --files-from separate names by NUL bytes.")
    var fromNull = false

    @Flag(
        name: .long,
        help: "Descend into other file systems mounted inside a store.")
    var crossMounts = false

    func filter() throws -> Filter {
        var filter = Filter()
        do {
            for rule in exclude { try filter.add(rule: RawArguments.bytes(rule)) }
            for path in excludeFrom {
                let list = try readList(path)
                try filter.add(list: list, separator: fromNull ? 0 : UInt8(ascii: "\n"))
            }
        } catch let error as FilterError {
            let line = error.line.map { " (line \($0))" } ?? ""
            throw CommandError("an exclusion cannot be used: \(error.reason)\(line)", .usage)
        }
        return filter
    }

    /// The paths of `--files-from`.
    func selection() throws -> Selection? {
        guard let filesFrom else { return nil }
        let list = try readList(filesFrom)
        let separator: UInt8 = fromNull ? 0 : UInt8(ascii: "\n")
        var paths: [RelativePath] = []
        for line in list.split(separator: separator) {
            let path = RelativePath.written(Array(line))
            guard !line.contains(0) else {
                throw CommandError(
                    "'\(escaped(filesFrom.utf8))' separates names by NUL bytes: use --from0", .usage
                )
            }
            guard path.isValid else {
                throw CommandError(
                    "'\(escaped(filesFrom.utf8))' names a path outside the store: "
                        + "'\(escaped(line))'", .usage)
            }
            paths.append(path)
        }
        return Selection(paths)
    }

    private static let listLimit = 256 << 20

    private func readList(_ path: String) throws -> [UInt8] {
        var all: [UInt8] = []
        try readBytes(path) { bytes in
            all += bytes
            if all.count > Self.listLimit {
                throw CommandError("'\(escaped(path.utf8))' is too long for a list", .usage)
            }
        }
        return all
    }
}

/// Hands on the bytes of a file of the operator's, portion by portion; `-` is standard input,
/// which may be a pipe and then has no offsets.
func readBytes(_ path: String, _ take: ([UInt8]) throws -> Void) throws {
    let source = path == "-" ? Array("/dev/stdin".utf8) : RawArguments.bytes(path)
    do {
        let disk = LinuxDisk()
        let descriptor = try disk.open(path: source, [.readOnly], mode: 0)
        defer { disk.close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = Glibc.read(descriptor.number, &buffer, buffer.count)
            if count == 0 { return }
            if count > 0 {
                try take(Array(buffer[..<count]))
            } else if errno != EINTR {
                throw DiskError(.pread, errno)
            }
        }
    } catch let error as DiskError {
        throw CommandError("cannot read '\(escaped(source))': \(error.sentence)", .usage)
    }
}

/// What of an entry is compared.
struct AspectOptions: ParsableArguments {
    static let words = Aspect.allCases.map { $0.word }.joined(separator: ", ")

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Compare these aspects too: links, xattrs, acl, device.", valueName: "ASPECT,…"))
    var with: [String] = []

    @Option(
        name: .long,
        help: ArgumentHelp("Do not compare these aspects.", valueName: "ASPECT,…"))
    var without: [String] = []

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Times no further apart than this agree (as 2s, 1ms).", valueName: "DURATION"))
    var modifyWindow: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Compare owners by number (the default) or by name.", valueName: "number|name"),
        completion: .list(["number", "name"]))
    var ownerBy: String?

    /// - Parameters: what is meant where nothing is said.
    func rules(
        _ standard: AspectSet = .standard, owners standardOwners: OwnerRule = .number
    ) throws -> ComparisonRules {
        var aspects = standard
        for aspect in try parse(with) { aspects.insert(aspect) }
        for aspect in try parse(without) {
            guard aspect != .existence else {
                throw CommandError("existence is always compared", .usage)
            }
            aspects.remove(AspectSet(aspect))
        }
        // Nothing can be said of an aspect whose ground is not compared.
        for aspect in aspects.aspects {
            var ground = aspect.restsOn
            while let below = ground {
                if !aspects.contains(below) {
                    throw CommandError(
                        "\(aspect.word) rests on \(below.word): leave out both or none", .usage)
                }
                ground = below.restsOn
            }
        }
        guard let owners = ownerBy.map({ OwnerRule(rawValue: $0) }) ?? standardOwners else {
            throw CommandError("--owner-by takes number or name", .usage)
        }
        let window = try modifyWindow.map { try duration($0) } ?? 0
        return ComparisonRules(
            aspects: aspects, modifyWindow: UInt64(window * 1e9), owners: owners)
    }

    /// What is compared at a level of assurance. What was asked for by name always is.
    func rules(at level: Assurance) throws -> ComparisonRules {
        var rules = try rules()
        switch level {
        case .media, .hash, .cached, .none: break
        case .metadata:
            guard try !asked().contains(.content) else {
                throw CommandError("--assurance metadata reads no content", .usage)
            }
            rules.aspects.remove(AspectSet(.content))
        case .size: rules.aspects = AspectSet([.existence, .type, .size] + (try asked()))
        }
        return rules
    }

    /// What `--with` asks for.
    func asked() throws -> [Aspect] { try parse(with) }

    private func parse(_ lists: [String]) throws -> [Aspect] {
        try lists.flatMap { $0.split(separator: ",") }.map { word in
            guard let aspect = Aspect.allCases.first(where: { $0.word == word }) else {
                throw CommandError(
                    "'\(escaped(word.utf8))' is no aspect: \(Self.words)", .usage)
            }
            return aspect
        }
    }
}

/// How content is digested and read.
struct ReadOptions: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Digest blocks with gmac (not kept), sha256 or sha512-256.", valueName: "ALGORITHM"),
        completion: .list(["gmac", "sha256", "sha512-256"]))
    var digest: String?

    @Option(
        name: .long,
        help: ArgumentHelp("Bytes of a block, 64KiB to 16MiB.", valueName: "SIZE"))
    var blockSize = "1MiB"

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Workers; by default they follow the storage.", valueName: "N"))
    var workers: Int?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Read no faster than this from each side (as 200MiB/s).", valueName: "RATE"))
    var readLimit: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "A read that is not answered in this time counts as stalled.", valueName: "DURATION"))
    var ioTimeout = "60s"

    func scheme(default algorithm: DigestAlgorithm) throws -> DigestScheme {
        let named = try digest.map { word in
            guard let algorithm = DigestAlgorithm(rawValue: word) else {
                let known = DigestAlgorithm.allCases.map { $0.rawValue }.joined(separator: ", ")
                throw CommandError("'\(escaped(word.utf8))' is no digest: \(known)", .usage)
            }
            return algorithm
        }
        let size = try self.size(blockSize)
        guard size >= 64 << 10, size <= 16 << 20, size % 4096 == 0 else {
            throw CommandError(
                "a block size must lie between 64KiB and 16MiB, in steps of 4KiB", .usage)
        }
        return try DigestScheme(named ?? algorithm, blockSize: size)
    }

    /// One for each side.
    func throttle(_ pace: Pace) throws -> Throttle {
        .reading(try readLimit.map { try rate($0) }, pace)
    }

    func limits() throws -> RunLimits {
        if let workers, !(1...1024).contains(workers) {
            throw CommandError("--workers takes 1 to 1024", .usage)
        }
        var limits = RunLimits(
            work: WorkPolicy(fixed: workers, cores: Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))))
        limits.ioTimeout = try duration(ioTimeout)
        return limits
    }

    private func size(_ text: String) throws -> Int {
        do throws(QuantityError) {
            return try parseSize(text)
        } catch {
            throw CommandError(error.reason, .usage)
        }
    }
}

func duration(_ text: String) throws -> Double {
    do throws(QuantityError) {
        return try parseDuration(text)
    } catch {
        throw CommandError(error.reason, .usage)
    }
}

struct JSONOptions: ParsableArguments {
    @Flag(name: .long, help: "Print JSON Lines instead of text.")
    var json = false
}

struct ProgressOptions: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp("Progress on standard error.", valueName: "auto|json|none"),
        completion: .list(["auto", "json", "none"]))
    var progress = "auto"

    func style(quiet: Bool = false) throws -> ProgressStyle {
        try ProgressStyle.parse(progress, quiet: quiet)
    }
}

/// Where results go.
struct ReportOptions: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Write a line per entry: = same, * differs, - missing on A, + missing on B, "
                + "! unreadable, ~ unstable, ? not verified.", valueName: "FILE"),
        completion: .file())
    var combined: String?

    @Option(
        name: .long, help: ArgumentHelp("Write the paths that differ.", valueName: "FILE"),
        completion: .file())
    var differ: String?

    @Option(
        name: [.customLong("missing-on-a"), .customLong("missing-on-src")],
        help: ArgumentHelp("Write the paths missing on A.", valueName: "FILE"), completion: .file())
    var missingOnA: String?

    @Option(
        name: [.customLong("missing-on-b"), .customLong("missing-on-dst")],
        help: ArgumentHelp("Write the paths missing on B.", valueName: "FILE"), completion: .file())
    var missingOnB: String?

    @Option(
        name: .long,
        help: ArgumentHelp("Write the paths that could not be verified.", valueName: "FILE"),
        completion: .file())
    var error: String?

    @Flag(
        name: [.customShort("0"), .customLong("null")],
        help: "End names in these files with NUL, unescaped.")
    var null = false

    @Flag(name: .long, help: "Replace files that exist.")
    var force = false

    @OptionGroup var format: JSONOptions

    @Flag(name: [.customShort("q"), .long], help: "Print nothing at all when in sync.")
    var quiet = false

    @OptionGroup var progress: ProgressOptions

    var json: Bool { format.json }

    var usesStandardOutput: Bool {
        [combined, differ, missingOnA, missingOnB, error].contains("-")
    }

    func progressStyle() throws -> ProgressStyle {
        try progress.style(quiet: quiet)
    }
}

/// Where resync keeps its state.
struct StateOptions: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Keep runs in this folder instead of /var/lib/resync (root) or "
                + "$XDG_STATE_HOME/resync.", valueName: "DIR"), completion: .directory)
    var state: String?

    func path() throws -> [UInt8] {
        if let state { return RawArguments.bytes(state) }
        if geteuid() == 0 { return Array("/var/lib/resync".utf8) }
        if let base = environment("XDG_STATE_HOME") { return base + Array("/resync".utf8) }
        guard let home = environment("HOME") else {
            throw CommandError("no HOME to keep state in: use --state DIR", .usage)
        }
        return home + Array("/.local/state/resync".utf8)
    }

    func open() throws -> StateFolder {
        let path = try path()
        do throws(DiskError) {
            // A run that is gone on with is worked on from where it was begun.
            return try StateFolder(path: absolutePath(path), disk: LinuxDisk())
        } catch {
            throw CommandError(
                "cannot keep state in '\(escaped(path))': \(error.sentence); use --state DIR")
        }
    }
}

/// The bytes of an environment variable; nil where it is not set or empty.
func environment(_ name: String) -> [UInt8]? {
    guard let value = getenv(name), value.pointee != 0 else { return nil }
    return UnsafeRawBufferPointer(start: value, count: strlen(value)).map { $0 }
}

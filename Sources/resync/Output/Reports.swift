import ResyncCore
import ResyncEngine
import ResyncStorage

/// The lists of paths that rclone's check writes, each to a file of its own.
struct ReportFiles {
    private var combined: ReportFile?
    private var differ: ReportFile?
    private var missingOnA: ReportFile?
    private var missingOnB: ReportFile?
    private var error: ReportFile?
    private let isNull: Bool

    /// Refuses names that cannot be used, before any work is done.
    init(_ options: ReportOptions) throws {
        isNull = options.null
        var places: Set<[UInt8]> = []
        func file(_ path: String?) throws -> ReportFile? {
            guard let path else { return nil }
            guard path != "-" || !options.json else {
                throw CommandError("a list on standard output cannot be mixed with --json", .usage)
            }
            let file = try ReportFile(path, replacing: options.force)
            guard file.place.map({ places.insert($0).inserted }) ?? true else {
                throw CommandError("'\(escaped(path.utf8))' is to hold two lists", .usage)
            }
            return file
        }
        combined = try file(options.combined)
        differ = try file(options.differ)
        missingOnA = try file(options.missingOnA)
        missingOnB = try file(options.missingOnB)
        error = try file(options.error)
    }

    private var all: [ReportFile] {
        [combined, differ, missingOnA, missingOnB, error].compactMap { $0 }
    }

    /// Begins them, none of them in what is compared.
    func begin(outside sites: [LocalSite], _ scope: ScopeOptions) throws {
        for file in all { try file.begin(outside: sites, crossing: scope.crossMounts) }
    }

    /// Whether the entries that agree are wanted too.
    var needsSames: Bool { combined != nil }

    mutating func add(_ record: ResultRecord) throws {
        switch record {
        case .same(let path): try write(to: combined, "=", path)
        case .difference(let difference):
            try write(to: combined, difference.outcome.sign, difference.path)
            switch difference.outcome {
            case .differs: try write(to: differ, nil, difference.path)
            case .missingOnA: try write(to: missingOnA, nil, difference.path)
            case .missingOnB: try write(to: missingOnB, nil, difference.path)
            case .unreadable, .notVerified, .unstable, .conflict:
                try write(to: error, nil, difference.path)
            case .same, .expected: break
            }
        }
    }

    private func write(to file: ReportFile?, _ sign: Character?, _ path: RelativePath) throws {
        guard let file else { return }
        let lead = sign.map { Array("\($0) ".utf8) } ?? []
        try file.write(lead + (isNull ? path.bytes + [0] : Array((shown(path) + "\n").utf8)))
    }

    func finish() throws {
        for file in all { try file.finish() }
    }
}

/// A path as a person reads it; the root is a dot.
func shown(_ path: RelativePath) -> String {
    path == .root ? "." : escaped(path.bytes)
}

/// Refuses a file of ours where a store lies that is only looked at.
func refuse(_ path: [UInt8], inside sites: [LocalSite], crossing: Bool) throws {
    let parent = path.lastIndex(of: slash).map { Array(path[...$0]) } ?? [UInt8(ascii: ".")]
    guard
        let folder = try? LocalSite(path: parent, disk: LinuxDisk(), options: LocalSiteOptions())
    else { return }
    for site in sites where site.facts.kind == .directory {
        guard crossing || folder.facts.stat.mount == site.facts.stat.mount else { continue }
        switch try storeOverlap(site, folder) {
        case .same?, .inside(.b)?:
            throw CommandError(
                "'\(escaped(path))' lies in '\(escaped(site.facts.path))', which is only looked "
                    + "at: name a place outside of it", .usage)
        case .inside(.a)?, nil: break
        }
    }
}

/// Refuses state that lies in a store: it would change what is looked at.
///
/// - Parameter own: the state folder, or the nearest one above it that is there.
func refuse(state path: [UInt8], at own: LocalSite, inside store: LocalSite) throws {
    guard store.facts.kind == .directory else { return }
    switch try storeOverlap(store, own) {
    case .same?, .inside(.b)?:
        throw CommandError(
            "state in '\(escaped(path))' lies in '\(escaped(store.facts.path))': use --state DIR",
            .usage)
    case .inside(.a)?, nil: break
    }
}

/// Where a file of the operator's is to go, looked at before any work is done.
struct OutputName {
    let path: [UInt8]
    /// What lies there; nil where nothing does.
    let existing: EntryType?
    /// The same however it is written.
    let place: [UInt8]

    /// - Parameters:
    ///   - replacing: whether what lies there may be replaced.
    ///   - streams: whether it may be written to a character device.
    /// - Throws: `CommandError` where no file can come to lie there.
    init(_ path: [UInt8], replacing: Bool, streams: Bool = false) throws {
        self.path = path
        func refusal(_ reason: String) -> CommandError {
            CommandError("cannot create '\(escaped(path))': \(reason)")
        }
        let cut = path.lastIndex(of: slash)
        let name = cut.map { Array(path[($0 + 1)...]) } ?? path
        let parent = cut.map { Array(path[...$0]) } ?? [UInt8(ascii: ".")]
        guard ![Array("".utf8), Array(".".utf8), Array("..".utf8)].contains(name) else {
            throw refusal("that is no file's name")
        }
        do throws(DiskError) {
            guard try LinuxDisk().stat(path: parent).type == .directory else {
                throw DiskError(.openat, ErrorNumber.notDirectory)
            }
        } catch {
            throw refusal(error.sentence)
        }
        place = (realPath(parent) ?? parent) + [slash] + name
        existing = (try? LinuxDisk().stat(path: path))?.type
        let canBeReplaced = existing == .file || streams && existing == .characterDevice
        guard existing == nil || (canBeReplaced && replacing) else {
            throw refusal(
                ErrorNumber.sentence(ErrorNumber.exists)
                    + (canBeReplaced ? "; --force replaces it" : ""))
        }
    }
}

/// One list; `-` is standard output. A file appears under its name once it is whole.
final class ReportFile {
    private let path: [UInt8]
    private let existing: EntryType?
    private let replaces: Bool
    /// Nil for standard output.
    let place: [UInt8]?
    private var target: Target?

    private enum Target {
        case standardOutput
        /// A character device, as `/dev/null`.
        case stream(OutputFile)
        case file(PendingFile)
    }

    init(_ path: String, replacing: Bool) throws {
        self.path = RawArguments.bytes(path)
        replaces = replacing
        guard path != "-" else {
            (existing, place, target) = (nil, nil, .standardOutput)
            return
        }
        let name = try OutputName(self.path, replacing: replacing, streams: true)
        (existing, place) = (name.existing, name.place)
    }

    func begin(outside sites: [LocalSite], crossing: Bool) throws {
        guard target == nil else { return }
        let disk = LinuxDisk()
        do {
            if existing == .characterDevice {
                target = .stream(try OutputFile.create(path: path, replacing: true, disk: disk))
            } else {
                try refuse(path, inside: sites, crossing: crossing)
                target = .file(
                    try PendingFile(path: path, replacing: replaces, disk: disk, mode: 0o644))
            }
        } catch let error as DiskError {
            throw CommandError("cannot create '\(escaped(path))': \(error.sentence)", .trouble)
        }
    }

    func write(_ bytes: [UInt8]) throws {
        do throws(DiskError) {
            switch target {
            case .standardOutput: break
            case .stream(let file): return try file.write(bytes)
            case .file(let file): return try file.append(bytes)
            case nil: preconditionFailure("a list that was not begun")
            }
        } catch {
            throw failed(error)
        }
        try StandardOutput.shared.write(bytes)
    }

    func finish() throws {
        do throws(DiskError) {
            switch target {
            case .stream(let file): try file.flush()
            case .file(let file): try file.commit()
            case .standardOutput, nil: break
            }
        } catch {
            throw failed(error)
        }
    }

    private func failed(_ error: DiskError) -> CommandError {
        CommandError("cannot write '\(escaped(path))': \(error.sentence)")
    }
}

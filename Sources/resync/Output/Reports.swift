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

    /// Creates them, so that a name that is taken is found before any work.
    init(_ options: ReportOptions) throws {
        isNull = options.null
        func open(_ path: String?) throws -> ReportFile? {
            try path.map { try ReportFile($0, replacing: options.force) }
        }
        combined = try open(options.combined)
        differ = try open(options.differ)
        missingOnA = try open(options.missingOnA)
        missingOnB = try open(options.missingOnB)
        error = try open(options.error)
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
        for file in [combined, differ, missingOnA, missingOnB, error] { try file?.finish() }
    }
}

/// A path as a person reads it; the root is a dot.
func shown(_ path: RelativePath) -> String {
    path == .root ? "." : escaped(path.bytes)
}

/// One list; `-` is standard output.
final class ReportFile {
    private let path: [UInt8]
    private let file: OutputFile?

    init(_ path: String, replacing: Bool) throws {
        self.path = RawArguments.bytes(path)
        guard path != "-" else {
            file = nil
            return
        }
        do throws(DiskError) {
            file = try OutputFile.create(
                path: self.path, replacing: replacing, disk: LinuxDisk())
        } catch {
            let hint = error.number == ErrorNumber.exists ? "; --force replaces it" : ""
            throw CommandError(
                "cannot create '\(escaped(self.path))': \(error.sentence)\(hint)", .trouble)
        }
    }

    func write(_ bytes: [UInt8]) throws {
        guard let file else { return try StandardOutput.shared.write(bytes) }
        do throws(DiskError) { try file.write(bytes) } catch { throw failed(error) }
    }

    func finish() throws {
        do throws(DiskError) { try file?.flush() } catch { throw failed(error) }
    }

    private func failed(_ error: DiskError) -> CommandError {
        CommandError("cannot write '\(escaped(path))': \(error.sentence)")
    }
}

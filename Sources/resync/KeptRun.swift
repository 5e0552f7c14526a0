import Glibc
import ResyncCore
import ResyncEngine
import ResyncStorage

/// The folder of a run, new or gone on with, and what it holds in the end.
struct KeptRun {
    let folder: RunFolder

    /// - Parameters:
    ///   - paths: of A and B, as the operator gave them, or `RunRecord.baseline` for B.
    ///   - isAlone: whether B is that.
    ///   - id: the run to go on with; nil for a new one.
    ///   - started: as of which a new one's result is; now, where nothing is said.
    ///   - terms: under which two stores are compared; one gone on with was begun under the same.
    ///   - arguments: from which it can be gone on with.
    init(
        _ state: StateFolder, kind: String, _ paths: Sides<[UInt8]>, isAlone: Bool = false,
        resuming id: String?, started: Timestamp? = nil, terms: RunTerms? = nil,
        arguments: [String] = RawArguments.all()
    ) throws {
        if let id {
            folder = try RunFolder.open(id, in: state.runs)
            try folder.lock()
            if let terms { try folder.requireTerms(terms) }
            return
        }
        let started = started ?? .now
        let header = RunHeader(
            id: try StateFolder.newRunID(at: started), kind: kind, started: started,
            a: absolutePath(paths.a), b: isAlone ? paths.b : absolutePath(paths.b),
            arguments: arguments.map { RawArguments.bytes($0) },
            workingDirectory: workingDirectory(), version: programVersion)
        folder = try RunFolder.create(in: state.runs, header, terms: terms)
    }

    func printResult(
        _ result: VerifyResult, _ options: ReportOptions, _ reports: inout ReportFiles
    ) throws {
        var text = TextReport(runID: folder.id)
        // A list on standard output stays a list.
        let ownsOutput = options.usesStandardOutput
        let isSilent = options.quiet && result.summary.status == .ok
        var reader = try folder.results()
        while let record = try reader.next() {
            try reports.add(record)
            if options.json {
                try JSONReport.add(record)
            } else if !isSilent, !ownsOutput {
                try text.add(record)
            }
        }
        try reports.finish()
        if options.json {
            for read in result.stalled { try JSONReport.stalled(read) }
            try JSONReport.summary(result.summary)
        } else if !isSilent, !ownsOutput {
            try text.finish(result.summary, result.stalled)
        } else if !isSilent {
            StandardError.write(TextReport.closing(result.summary, result.stalled, folder.id))
        } else {
            for doubt in result.summary.doubtLines { Main.complain(doubt) }
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

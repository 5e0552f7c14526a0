import ResyncCore
import ResyncEngine
import ResyncStorage

/// The same as JSON Lines, one object per line; the last is always a summary.
enum JSONReport {
    /// - Parameter trouble: why the assurance is higher than it would be otherwise.
    static func run(
        _ header: RunHeader, _ scheme: DigestScheme, assurance: String, trouble: [String] = [],
        unseen: [String] = [], unfinished: Sides<String?> = Sides(a: nil, b: nil),
        snapshots: Sides<[UInt8]?> = Sides(a: nil, b: nil)
    ) throws {
        var line = JSONLine(type: "run")
        line.field("schema", 1)
        line.field("run", header.id)
        line.field("a", escaped(header.a))
        line.field("b", escaped(header.b))
        line.field("digest", scheme.algorithm.rawValue)
        line.field("block_size", scheme.blockSize)
        line.field("assurance", assurance)
        if !trouble.isEmpty { line.field("trouble", trouble) }
        if !unseen.isEmpty { line.field("trouble_unseen", unseen) }
        if let run = unfinished.a { line.field("unfinished_a", run) }
        if let run = unfinished.b { line.field("unfinished_b", run) }
        if let path = snapshots.a { line.field("snapshot_a", escaped(path)) }
        if let path = snapshots.b { line.field("snapshot_b", escaped(path)) }
        line.field("started", header.started.utcText)
        line.field("version", header.version)
        try StandardOutput.shared.write(line.bytes)
    }

    static func add(_ record: ResultRecord) throws {
        guard case .difference(let difference) = record else { return }
        try StandardOutput.shared.write(line(difference).bytes)
        for error in difference.errors {
            var line = JSONLine(type: "error")
            line.path(difference.path)
            line.field("side", error.side.word)
            line.field("call", String(decoding: error.call, as: UTF8.self))
            line.field("errno", ErrorNumber.name(error.number))
            if let extent = error.extent {
                line.field("offset", extent.offset)
                line.field("length", extent.length)
            }
            try StandardOutput.shared.write(line.bytes)
        }
    }

    private static func line(_ difference: Difference) -> JSONLine {
        var line = JSONLine(type: "diff")
        line.path(difference.path)
        line.field("outcome", difference.outcome.word)
        line.field("aspects", difference.aspects.aspects.map { $0.word })
        if !difference.extents.isEmpty {
            line.field("extents", extents(difference))
        }
        if let shape = difference.shape { line.field("shape", shape.word) }
        if let side = difference.shapeSide { line.field("zeroed_on", side.word) }
        if let reason = difference.reason { line.field("reason", reason.sentence) }
        line.field("confirmed", difference.isConfirmed)
        if let source = difference.confirmedFrom {
            line.field("confirmed_from", source == .media ? "media" : "cache")
        }
        return line
    }

    private static func extents(_ difference: Difference) -> [JSONObject] {
        difference.extents.enumerated().map { index, extent in
            var object = JSONObject()
            object.field("offset", extent.offset)
            object.field("length", extent.length)
            if index < difference.digests.a.count, index < difference.digests.b.count {
                object.field("sha256_a", difference.digests.a[index].hex)
                object.field("sha256_b", difference.digests.b[index].hex)
            }
            return object
        }
    }

    static func stalled(_ stall: Stall) throws {
        try stalled(stall.path, stall.side, stall.call)
    }

    static func stalled(_ read: StalledRead) throws {
        try stalled(read.path, read.side, .pread)
    }

    private static func stalled(
        _ path: RelativePath, _ side: Side, _ call: SystemCall
    ) throws {
        var line = JSONLine(type: "error")
        line.path(path)
        line.field("side", side.word)
        line.field("call", call.rawValue)
        line.field("errno", "ETIMEDOUT")
        try StandardOutput.shared.write(line.bytes)
    }

    static func summary(_ summary: Summary) throws {
        let tally = summary.tally
        var line = JSONLine(type: "summary")
        line.field("entries", tally.entries)
        line.field("same", tally.same)
        line.field("differs", tally.differs)
        line.field("content_differs", tally.contentDiffers)
        line.field("metadata_differs", tally.metadataDiffers)
        line.field("missing_on_a", tally.missingOnA)
        line.field("missing_on_b", tally.missingOnB)
        line.field("expected", tally.expected)
        line.field("unstable", tally.unstable)
        line.field("flapping", tally.flapping)
        line.field("unreadable", tally.unreadable)
        line.field("not_verified", summary.notVerified)
        line.field("excluded", tally.excluded)
        line.field("proven_before", summary.provenBefore)
        line.field("first_look", summary.isFirstLook)
        line.field("bytes_read", tally.bytesRead)
        var levels = JSONObject()
        for level in Assurance.allCases {
            guard let bytes = tally.bytesByAssurance[level] else { continue }
            switch level {
            case .media: levels.field("media", bytes)
            case .hash: levels.field("hash", bytes)
            case .cached: levels.field("cached", bytes)
            case .metadata: levels.field("metadata", bytes)
            case .size: levels.field("size", bytes)
            case .none: levels.field("none", bytes)
            }
        }
        line.field("bytes_by_assurance", levels)
        if !summary.leftOut.isEmpty {
            line.field("not_compared", summary.leftOut.aspects.map { $0.word })
        }
        let doubts = summary.doubtLines
        if !doubts.isEmpty { line.field("doubts", doubts) }
        line.field("elapsed_s", summary.elapsed)
        line.field("verdict", summary.verdict)
        line.field("exit_status", Int(summary.status.code))
        try StandardOutput.shared.write(line.bytes)
    }

    /// The last line of a run that could not even begin, or broke off.
    static func failure(_ message: String, _ status: ExitStatus) throws {
        var line = JSONLine(type: "summary")
        line.field("error", message)
        line.field("exit_status", Int(status.code))
        try StandardOutput.shared.write(line.bytes)
    }
}

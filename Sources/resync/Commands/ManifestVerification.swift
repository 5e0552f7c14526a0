import ResyncCore
import ResyncEngine
import ResyncStorage

/// A comparison with a manifest as one store, or as both: a live store is scanned under the rules
/// that the manifest was made under.
struct ManifestVerification {
    private let command: VerifyCommand

    init(_ command: VerifyCommand) throws {
        self.command = command
        guard !command.keep, command.since.isEmpty, command.scope.filesFrom == nil else {
            throw CommandError(
                "with a manifest, --keep, --since and --files-from have no meaning", .usage)
        }
    }

    func perform() throws -> ExitStatus {
        let started = monotonicSeconds()
        let manifestSide: Side = ManifestInput.isManifest(command.a) ? .a : .b
        let (manifest, store) =
            manifestSide == .a ? (command.a, command.b) : (command.b, command.a)
        if ManifestInput.isManifest(store) {
            var diff = DiffCommand()
            (diff.first, diff.second) = (command.a, command.b)
            diff.modifyWindow = command.aspects.modifyWindow
            (diff.json, diff.quiet) = (command.report.json, command.report.quiet)
            return try diff.execute()
        }
        let input = try ManifestInput(manifest)
        var reader = try input.reader()
        let scan = try liveScan(store, reader.header)
        let headers =
            manifestSide == .a ? (reader.header, scan.header) : (scan.header, reader.header)
        let window = try command.aspects.modifyWindow.map { try duration($0) } ?? 0
        let comparison = try ManifestComparison(
            headers.0, headers.1, modifyWindow: window, json: command.report.json,
            quiet: command.report.quiet)
        var diff = comparison.diff(pushing: manifestSide.other) {
            try input.named { try reader.next() }
        }
        let result = try scan.run(try command.report.progressStyle()) { try diff.push($0) }
        guard result.ending == .complete else {
            return try comparison.finish(
                Summary(
                    tally: diff.tally, ending: result.ending, leftUnread: 1,
                    elapsed: monotonicSeconds() - started))
        }
        while try input.named({ try reader.next() }) != nil {}
        var tally = try diff.finish()
        tally.bytesRead = result.bytesRead
        return try comparison.finish(
            Summary(
                tally: tally, ending: .complete, elapsed: monotonicSeconds() - started))
    }

    private func liveScan(_ store: String, _ header: ManifestHeader) throws -> LiveScan {
        let isList = header.content == .whole
        let aspects = isList ? AspectSet.standard : header.aspects
        let opening = SiteOpening(
            scope: command.scope,
            comparison: try command.aspects.rules(
                header.isImage ? .standard : aspects, owners: header.owners),
            read: command.read, state: try command.state.open())
        let scheme =
            isList || command.read.digest != nil
            ? try keptScheme(command.read)
            : try DigestScheme(header.digest, blockSize: header.blockSize)
        return try LiveScan(
            try opening.open(store), opening, scheme: scheme,
            assurance: command.assurance ?? "hash", wholeFile: header.hasWholeFile)
    }
}

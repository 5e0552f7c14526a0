import ArgumentParser
import ResyncCore
import ResyncEngine
import ResyncStorage

struct DiffCommand: JSONCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff",
        abstract: "Compare two manifests.",
        discussion: """
            Both must be made under the same rules: digest, block size, exclusions, aspects and \
            mount rule. Nothing but the manifests is read, so nothing is looked at a second time: \
            what differs between them counts at first sight.
            """)

    @Argument(help: ArgumentHelp("One manifest.", valueName: "M1"), completion: .file())
    var first: String

    @Argument(help: ArgumentHelp("The other.", valueName: "M2"), completion: .file())
    var second: String

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Times no further apart than this agree (as 2s, 1ms).", valueName: "DURATION"))
    var modifyWindow: String?

    @OptionGroup var format: JSONOptions

    @Flag(name: [.customShort("q"), .long], help: "Print nothing at all when in sync.")
    var quiet = false

    @OptionGroup var patience: PatienceOptions

    mutating func execute() throws -> ExitStatus {
        let command = self
        try ManifestInput.refuseSame(
            Sides(a: first, b: second), within: try duration(patience.ioTimeout))
        return try answering(patience, Sides(a: first, b: second)) { try command.compare($0) }
    }

    private func compare(_ disks: Sides<any Disk>) throws -> ExitStatus {
        let started = monotonicSeconds()
        let inputs = (
            try ManifestInput(first, on: disks.a), try ManifestInput(second, on: disks.b)
        )
        var a = try inputs.0.reader()
        var b = try inputs.1.reader()
        let comparison = try ManifestComparison(
            a.header, b.header, modifyWindow: try modifyWindow.map { try duration($0) } ?? 0,
            json: json, quiet: quiet)
        var diff = comparison.diff(pushing: .a) { try inputs.1.named { try b.next() } }
        while let record = try inputs.0.named({ try a.next() }) { try diff.push(record) }
        // Only at its end has a manifest been checked as a whole.
        while try inputs.1.named({ try b.next() }) != nil {}
        return try comparison.finish(
            Summary(
                tally: try diff.finish(), ending: .complete,
                elapsed: monotonicSeconds() - started))
    }
}

/// A comparison of two manifests, and its printing.
struct ManifestComparison {
    private let judge: EntryJudge
    private let isImage: Bool
    private let json: Bool
    private let quiet: Bool
    private let lines = Lines()

    private final class Lines {
        var text = TextReport(runID: nil)
    }

    /// Refuses what was made under other rules.
    init(
        _ a: ManifestHeader, _ b: ManifestHeader, modifyWindow: Double, json: Bool, quiet: Bool
    ) throws {
        if let reason = a.refusal(with: b) {
            throw CommandError("the manifests cannot be compared: \(reason)")
        }
        judge = EntryJudge(
            a.rules(with: b, modifyWindow: UInt64(modifyWindow * 1e9)),
            blockSize: max(a.blockSize, b.blockSize),
            isListed: a.content == .whole || b.content == .whole,
            assurance: a.source == .media && b.source == .media ? .media : .hash)
        isImage = a.isImage
        self.json = json
        self.quiet = quiet
    }

    func diff(pushing side: Side, pull: @escaping ManifestDiff.Pull) -> ManifestDiff {
        let (lines, json) = (lines, json)
        return ManifestDiff(judge, pushing: side, pull: pull) { record in
            if json { try JSONReport.add(record) } else { try lines.text.add(record) }
        }
    }

    func finish(_ summary: Summary) throws -> ExitStatus {
        var summary = summary
        if !isImage { summary.leftOut = judge.rules.aspects.leftOut }
        if json {
            try JSONReport.summary(summary)
        } else if !quiet || summary.status != .ok {
            try lines.text.finish(summary, [])
        }
        return summary.status
    }
}

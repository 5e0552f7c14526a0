import ArgumentParser
import ResyncCore
import ResyncEngine
import ResyncStorage

/// A comparison with a manifest as one store, or as both: a live store is scanned under the rules
/// that the manifest was made under.
struct ManifestVerification {
    private let command: VerifyCommand
    private let isManifest: Sides<Bool>
    private let resumed: String?

    /// - Parameter isManifest: which of the two are; one at least.
    init(_ command: VerifyCommand, _ isManifest: Sides<Bool>, resuming id: String?) throws {
        self.command = command
        self.isManifest = isManifest
        resumed = id
        try Self.refuse(
            [
                ("--keep", command.keep), ("--since", !command.since.isEmpty),
                ("--suspect", command.suspect != nil),
                ("--files-from", command.scope.filesFrom != nil),
            ], with: "a manifest")
    }

    private static func refuse(_ given: [(name: String, isGiven: Bool)], with what: String) throws {
        guard let option = given.first(where: { $0.isGiven }) else { return }
        throw CommandError("with \(what), \(option.name) has no meaning", .usage)
    }

    func perform() throws -> ExitStatus {
        if isManifest.a, isManifest.b {
            try refuseMeaningless()
            for path in [command.a, command.b] {
                try requireStrength(of: try ManifestInput(path).reader().header, path)
            }
            var diff = DiffCommand()
            (diff.first, diff.second) = (command.a, command.b)
            diff.modifyWindow = command.aspects.modifyWindow
            (diff.format, diff.quiet) = (command.report.format, command.report.quiet)
            var patience = PatienceOptions()
            patience.ioTimeout = command.read.ioTimeout
            diff.patience = patience
            return try diff.execute()
        }
        let side: Side = isManifest.a ? .a : .b
        let input = try ManifestInput(side == .a ? command.a : command.b)
        return try compare(side == .a ? command.b : command.a, input, on: side)
    }

    /// With two manifests nothing is read, and nothing is looked at a second time.
    private func refuseMeaningless() throws {
        let standard = try VerifyCommand.parse(["a", "b"])
        let (scope, read, report) = (command.scope, command.read, command.report)
        let given: [(name: String, isGiven: Bool)] = [
            ("--exclude", !scope.exclude.isEmpty),
            ("--exclude-from", !scope.excludeFrom.isEmpty),
            ("--from0", scope.fromNull), ("--cross-mounts", scope.crossMounts),
            ("--without", !command.aspects.without.isEmpty),
            ("--owner-by", command.aspects.ownerBy != nil),
            ("--digest", read.digest != nil),
            ("--block-size", read.blockSize != standard.read.blockSize),
            ("--workers", read.workers != nil), ("--read-limit", read.readLimit != nil),
            ("--confirm", command.confirm != standard.confirm),
            ("--settle", command.settle != standard.settle),
            ("--max-duration", command.maxDuration != nil),
            ("--combined", report.combined != nil), ("--differ", report.differ != nil),
            ("--missing-on-a", report.missingOnA != nil),
            ("--missing-on-b", report.missingOnB != nil), ("--error", report.error != nil),
        ]
        try Self.refuse(given, with: "two manifests")
    }

    /// What was asked for in so many words is not done at less.
    private func requireStrength(of header: ManifestHeader, _ path: String) throws {
        let name = "'\(escaped(RawArguments.bytes(path)))'"
        switch command.assurance {
        case nil: break
        case "media"?, "hash"?:
            guard header.aspects.contains(.content) else {
                throw CommandError("\(name) holds no content to compare", .usage)
            }
            guard command.assurance == "hash" || header.source == .media else {
                throw CommandError(
                    "\(name) was not made at media: it cannot be compared at it", .usage)
            }
        case _?:
            throw CommandError("with a manifest, --assurance is hash or media", .usage)
        }
        for aspect in try command.aspects.asked() where !header.aspects.contains(aspect) {
            throw CommandError("\(name) does not hold \(aspect.word)", .usage)
        }
    }

    private func compare(
        _ store: String, _ input: ManifestInput, on side: Side
    ) throws -> ExitStatus {
        let style = try command.report.progressStyle()
        var options = command.report
        // The files that are there now are those of the attempt before.
        if resumed != nil { options.force = true }
        var reports = try ReportFiles(options)
        let state = try command.state.open()
        let episodes = EpisodeKnowledge(state)
        let header = try input.reader().header
        try requireStrength(of: header, side == .a ? command.a : command.b)
        let opening = try opening(header, state)
        let site = try opening.open(store)
        try reports.begin(outside: [site], command.scope)
        let lock = try lockStore(site, state)
        defer { withExtendedLifetime(lock) {} }
        let scan = try LiveScan(
            site, opening, scheme: try scheme(header),
            assurance: try assurance(site, side.other, episodes),
            wholeFile: header.hasWholeFile)
        var plan = try plan(scan, site, input, header, on: side)
        plan.keepsSames = reports.needsSames
        let paths = Sides(a: command.a, b: command.b).map { RawArguments.bytes($0) }
        let run = try KeptRun(state, kind: "verify", paths, resuming: resumed)
        let findings = ManifestFindings(
            plan, site, header, episodes, state, try? command.file.loadIfThere())
        if resumed != nil {
            Main.complain(
                "a comparison with a manifest does not go on in the middle: it begins anew")
        }
        if options.json {
            try JSONReport.run(
                try run.folder.header(), scan.rules.scheme,
                assurance: scan.rules.source == .media ? "media" : "hash")
        }
        do {
            let (result, standings) = try watched(style, run.folder, opening.pace) { controls in
                var controls = controls
                controls.doubts = try episodes.doubts(about: run.folder, in: state)
                let result = try ManifestVerifyRun(plan, controls, in: run.folder)()
                return (result, try findings.note(result, run.folder, controls))
            }
            return try tell(result, run, standings, options, &reports, episodes)
        } catch let damage as ManifestDamage {
            throw input.explain(damage.found)
        }
    }

    /// What was asked for, or what the state of the store calls for.
    private func assurance(
        _ site: LocalSite, _ side: Side, _ episodes: EpisodeKnowledge
    ) throws -> String {
        if let asked = command.assurance { return asked }
        let patience = try duration(command.read.ioTimeout)
        let reasons =
            episodes.reasons(against: StorePlace(site))
            + (try answered(within: patience, site.facts.path) { site.trouble().reasons })
        for reason in reasons { Main.complain("trouble on \(side.letter): \(reason)") }
        return reasons.isEmpty ? "hash" : "media"
    }

    private func opening(_ header: ManifestHeader, _ state: StateFolder) throws -> SiteOpening {
        let aspects = header.isImage || header.content == .whole ? .standard : header.aspects
        return SiteOpening(
            scope: command.scope,
            comparison: try command.aspects.rules(aspects, owners: header.owners),
            read: command.read, state: state)
    }

    private func scheme(_ header: ManifestHeader) throws -> DigestScheme {
        let standard = try VerifyCommand.parse(["a", "b"]).read
        let isSized = command.read.blockSize != standard.blockSize
        guard header.content != .whole, !isSized else { return try keptScheme(command.read) }
        let algorithm =
            command.read.digest == nil ? header.digest : try keptScheme(command.read).algorithm
        return try DigestScheme(algorithm, blockSize: header.blockSize)
    }

    private func plan(
        _ scan: LiveScan, _ site: LocalSite, _ input: ManifestInput, _ header: ManifestHeader,
        on side: Side
    ) throws -> ManifestVerifyPlan {
        if let reason = header.refusal(with: scan.header) {
            throw CommandError("the manifests cannot be compared: \(reason)")
        }
        let window = try command.aspects.modifyWindow.map { try duration($0) } ?? 0
        let scheme = scan.rules.scheme
        let judge = EntryJudge(
            header.rules(with: scan.header, modifyWindow: UInt64(window * 1e9)),
            blockSize: scheme.blockSize, isListed: header.content == .whole,
            assurance: header.source == .media && scan.rules.source == .media ? .media : .hash,
            witness: { scheme.witness($0, $1) })
        var limits = scan.limits
        limits.maxDuration = try command.maxDuration.map { try duration($0) }
        var plan = ManifestVerifyPlan(
            site, scan.rules, scan.scope, limits, input.file, on: side, judge)
        plan.confirmPasses = try command.confirmPasses()
        plan.settle = try duration(command.settle)
        return plan
    }
}

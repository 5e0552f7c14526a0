import ResyncCore
import ResyncEngine
import ResyncLedger
import ResyncStorage

extension VerifyCommand {
    /// What an external module's check says, which is all that there is to it.
    func ask(_ module: Module, _ terms: String) throws -> ExitStatus {
        let knowledge = EpisodeKnowledge(try state.open())
        let interruption = Interruption.shared
        let standing = externalStanding(module, terms) { interruption.signalNumber }
        if let signal = interruption.signalNumber { return .signal(signal) }
        try knowledge.note(standing)
        let status: ExitStatus = standing.isTrouble ? .trouble : .ok
        if report.json {
            try StandardOutput.shared.write(standing.json.bytes)
            var line = JSONLine(type: "summary")
            line.field("exit_status", Int(status.code))
            try StandardOutput.shared.write(line.bytes)
        } else if !report.quiet || standing.answer != .released {
            try StandardOutput.shared.write("\(standing.line)\n")
        }
        try StandardOutput.shared.flush()
        if !knowledge.hasLedger { Main.complain(StandingRecord.unkept) }
        return status
    }
}

extension VerifyTarget {
    /// Nil where nothing has a policy.
    ///
    /// - Parameter site: from which one of both is read.
    func policies(
        _ sites: Sides<LocalSite>, reading site: LocalSite, _ rules: VerifyRules,
        _ limits: RunLimits, _ state: StateFolder
    ) throws -> PolicyGuard? {
        guard let module = policed.first else { return nil }
        let known = try state.baselines.find(sites.map { $0.identity })?.header.blockSize
        guard known ?? rules.scheme.blockSize == rules.scheme.blockSize,
            rules.scheme.algorithm == .sha256
        else {
            throw CommandError(
                "what was proven before cannot be held against other digests, and module "
                    + "'\(module.name)' has a policy: leave --digest and --block-size out", .usage)
        }
        return PolicyGuard(
            policed, site, rules.scheme, rules.source, patience: limits.ioTimeout)
    }
}

/// Prints what a comparison found, and what it proves of modules.
///
/// - Parameter asked: the module that was asked for by its name: of nothing else the status says
///   that it is undecided.
/// - Returns: the status of all of it.
func tell(
    _ result: VerifyResult, _ run: KeptRun, _ standings: [StandingRecord],
    _ options: ReportOptions, _ reports: inout ReportFiles, _ episodes: EpisodeKnowledge,
    asked: Module? = nil
) throws -> ExitStatus {
    if options.json {
        for standing in standings { try StandardOutput.shared.write(standing.json.bytes) }
    }
    try run.printResult(result, options, &reports)
    if !options.json, !options.usesStandardOutput {
        for standing in standings where !options.quiet || standing.answer != .released {
            try StandardOutput.shared.write("\(standing.line)\n")
        }
        try StandardOutput.shared.flush()
    }
    if !standings.isEmpty, !episodes.hasLedger { Main.complain(StandingRecord.unkept) }
    var status = result.summary.status
    // What was found says more.
    let isUndecided = standings.contains { $0.answer == .undecided && $0.module == asked?.name }
    if standings.contains(where: \.isTrouble) || status == .ok && isUndecided {
        status.merge(.trouble)
    }
    if !result.policies.isEmpty { status.merge(.differences) }
    for (name, found) in result.policies.sorted(by: { $0.key < $1.key })
    where !standings.contains(where: { $0.module == name }) {
        Main.complain(
            "module '\(escaped(name.utf8))': "
                + found.sentences.joined(separator: "; "))
    }
    return status
}

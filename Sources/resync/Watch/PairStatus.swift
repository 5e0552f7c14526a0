import ResyncCore
import ResyncEngine
import ResyncLedger
import ResyncStorage

/// What differs between the stores of a pair, and whether the second site could take over now, for
/// a person or a monitoring system.
struct PairStatus {
    let pair: Configuration.Pair
    /// Nil where it was never compared.
    let differences: OpenDifferences?
    /// The last of either store; nil where neither had any.
    let episode: EpisodeRecord?
    /// Nil where it has neither modules nor checks.
    let takeover: Takeover?
    /// As the pair names them, each with what it last said.
    let checks: [(check: Configuration.Check, last: CheckRecord?)]

    /// Of all pairs.
    ///
    /// - Parameters:
    ///   - differences: of each pair that was compared.
    ///   - watched: nil where no watcher runs.
    static func all(
        _ state: StateFolder, _ configuration: Configuration, _ modules: [ModuleStatus],
        _ differences: [String: OpenDifferences], _ knowledge: EpisodeKnowledge,
        _ watched: [StoreStatus]?
    ) throws -> [PairStatus] {
        guard !configuration.pairs.isEmpty else { return [] }
        let ledger = try LedgerFile.open(in: state)
        let open = Set(
            try (ledger?.openEpisodes() ?? []).map(\.episode.store)
                + (watched ?? []).filter { $0.episode != nil }.map(\.name))
        let records = try ledger?.checks() ?? []
        let unknown =
            watched == nil ? "nobody watches it" : ledger == nil ? "there is no ledger" : nil
        let now = Timestamp.now
        return configuration.pairs.map { pair in
            let checks = pair.checks.map { check in
                (check, records.first { $0.pair == pair.name && $0.name == check.name })
            }
            let states = checks.map { check, last in
                Takeover.CheckState(
                    name: check.name, every: check.every, ended: last?.ended,
                    exit: last?.exit ?? 0, line: last?.line ?? "")
            }
            let own = modules.filter { $0.module.pair == pair.name }.map { status in
                Takeover.ModuleState(
                    name: status.module.name, gate: status.gate.answer,
                    isProven: status.proof != nil)
            }
            let found = differences[pair.name]
            let episode = knowledge.lastEpisode(of: pair.stores.map { $0.path })
            let isAsked = !own.isEmpty || !checks.isEmpty
            // A gate that is open because one store is out of reach says nothing of that one.
            let troubles = Side.allCases.map(pair.storeName).compactMap { name in
                if open.contains(name) { return "\(name) has an open episode" }
                let state = watched?.first { $0.name == name }?.state ?? .unknown
                return state == .ok ? nil : "\(name) is \(state.word)"
            }
            let takeover = Takeover(unknown: unknown, troubles: troubles, own, states, at: now)
            return PairStatus(
                pair: pair, differences: found, episode: episode,
                takeover: isAsked ? takeover : nil, checks: checks)
        }
    }

    private static let shown = 3

    var lines: [String] {
        let said = takeover.map { "  B could take over: \(answer($0))" } ?? ""
        var lines = ["pair \(pair.name)\(said)"]
        if let episode { lines.append("  episode    \(EpisodeReport.line(episode))") }
        if let differences {
            lines.append("  compared   \(text(differences.last)): \(differences.text)")
            lines.append("  proven     " + (differences.proof.map(text) ?? "never as a whole"))
        } else {
            lines.append("  compared   never")
        }
        return lines
            + checks.map { check, last in
                guard let last else { return "  check      \(check.name): not run yet" }
                let words = last.exit == 0 ? "ok" : "FAILED"
                let said = last.line.isEmpty ? "" : ": \(last.line)"
                return "  check      \(check.name): \(words), \(last.ended.localText)\(said)"
            }
    }

    /// As of when, and how far.
    private func text(_ run: RunRecord) -> String {
        "as of \(run.began.localText), \(run.began.ageText) ago, \(run.assurance), "
            + (run.isWhole ? "all of it" : "a part of it")
    }

    private func answer(_ takeover: Takeover) -> String {
        guard !takeover.isReady else { return "yes" }
        let reasons = takeover.reasons
        return "no: " + reasons.prefix(Self.shown).joined(separator: "; ")
            + (reasons.count > Self.shown ? "; \(reasons.count - Self.shown) more" : "")
    }

    var jsonLine: JSONLine {
        var line = JSONLine(type: "pair")
        line.field("pair", pair.name)
        if let episode {
            line.field("last_episode", episode.episode.id)
            line.field("last_episode_open", episode.episode.isOpen)
        }
        if let differences {
            line.field("compared", differences.last.began.utcText)
            line.field("compared_assurance", differences.last.assurance)
            line.field("compared_whole", differences.last.isWhole)
            if let proof = differences.proof {
                line.field("proven_as_of", proof.began.utcText)
                line.field("assurance", proof.assurance)
            }
            line.field("open_differences", differences.count)
            if differences.isCut { line.field("more_differences", true) }
        }
        if let takeover {
            line.field("takeover", takeover.isReady)
            line.field("reasons", takeover.reasons)
        }
        line.field(
            "checks",
            checks.map { check, last in
                var object = JSONObject()
                object.field("name", check.name)
                if let last {
                    object.field("ended", last.ended.utcText)
                    object.field("exit", last.exit)
                    object.field("line", last.line)
                }
                return object
            })
        return line
    }
}

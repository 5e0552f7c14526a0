import ResyncCore
import ResyncEngine
import ResyncLedger
import ResyncStorage

/// Whether the second site of a pair could take over now, for a person or a monitoring system.
struct TakeoverStatus {
    let pair: Configuration.Pair
    let takeover: Takeover
    /// As the pair names them, each with what it last said.
    let checks: [(check: Configuration.Check, last: CheckRecord?)]

    /// Of all pairs that have modules or checks.
    ///
    /// - Parameter watched: nil where no watcher runs.
    static func all(
        _ state: StateFolder, _ configuration: Configuration, _ modules: [ModuleStatus],
        _ watched: [StoreStatus]?
    ) throws -> [TakeoverStatus] {
        let pairs = configuration.pairs.filter { pair in
            !pair.checks.isEmpty || modules.contains { $0.module.pair == pair.name }
        }
        guard !pairs.isEmpty else { return [] }
        let ledger = try LedgerFile.open(in: state)
        let open = Set(
            try (ledger?.openEpisodes() ?? []).map(\.episode.store)
                + (watched ?? []).filter { $0.episode != nil }.map(\.name))
        let records = try ledger?.checks() ?? []
        let unknown =
            watched == nil ? "nobody watches it" : ledger == nil ? "there is no ledger" : nil
        let now = Timestamp.now
        return pairs.map { pair in
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
            // A gate that is open because one store is out of reach says nothing of that one.
            let troubles = Side.allCases.map(pair.storeName).compactMap { name in
                if open.contains(name) { return "\(name) has an open episode" }
                let state = watched?.first { $0.name == name }?.state ?? .unknown
                return state == .ok ? nil : "\(name) is \(state.word)"
            }
            return TakeoverStatus(
                pair: pair,
                takeover: Takeover(
                    unknown: unknown, troubles: troubles, own, states, at: now), checks: checks)
        }
    }

    private static let shown = 3

    var lines: [String] {
        let reasons = takeover.reasons
        let answer =
            takeover.isReady
            ? "yes"
            : "no: " + reasons.prefix(Self.shown).joined(separator: "; ")
                + (reasons.count > Self.shown ? "; \(reasons.count - Self.shown) more" : "")
        return ["pair \(pair.name)  B could take over: \(answer)"]
            + checks.map { check, last in
                guard let last else { return "  check      \(check.name): not run yet" }
                let words = last.exit == 0 ? "ok" : "FAILED"
                let said = last.line.isEmpty ? "" : ": \(last.line)"
                return "  check      \(check.name): \(words), \(last.ended.localText)\(said)"
            }
    }

    var jsonLine: JSONLine {
        var line = JSONLine(type: "pair")
        line.field("pair", pair.name)
        line.field("takeover", takeover.isReady)
        line.field("reasons", takeover.reasons)
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

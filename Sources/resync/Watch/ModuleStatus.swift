import ResyncCore
import ResyncEngine
import ResyncLedger
import ResyncStorage

/// How a module stands, for a person or a monitoring system.
struct ModuleStatus {
    let module: Module
    let gate: Gate
    /// By which it was last released; nil where it never was.
    let proof: StandingRecord?
    /// What was found out last.
    let newest: StandingRecord?
    /// By which a person has opened it, whatever the gate says; nil where nobody has.
    let override: Overrides.Override?
    /// Of its pair; nil where that was never compared.
    let differences: OpenDifferences?

    /// Of all modules of a configuration.
    ///
    /// - Parameter differences: of each pair that was compared.
    static func all(
        _ state: StateFolder, _ configuration: Configuration, _ knowledge: EpisodeKnowledge,
        _ differences: [String: OpenDifferences]
    ) throws -> [ModuleStatus] {
        let overrides = Overrides(state)
        let gates = try knowledge.gates(configuration)
        return try zip(configuration.modules, gates).map { module, gate in
            let pair = configuration.pairs.first { $0.name == module.pair }
            let standings = try knowledge.standings(of: module, in: pair)
            return ModuleStatus(
                module: module, gate: gate,
                proof: standings.first { $0.answer == .released && $0.alone == nil },
                newest: standings.first, override: try overrides.current(of: module.name),
                differences: differences[module.pair])
        }
    }

    /// No entry of it was proven equal earlier than then; nil where some never was.
    var provenAsOf: Timestamp? { proof?.oldest }

    var lines: [String] {
        let reasons = gate.reasons.filter { $0.answer == gate.answer }.map(\.text)
        var lines = [
            "module \(module.name)  \(gate.answer.rawValue.uppercased())  "
                + reasons.prefix(1).joined()
        ]
        if let override { lines.append("  override   \(override.sentence)") }
        if let proof, let time = provenAsOf, proof.isExternal {
            lines.append("  checked    \(time.localText), \(time.ageText) ago: its check succeeded")
        } else if let proof, let time = provenAsOf {
            lines.append(
                "  proven     as of \(time.localText), \(time.ageText) ago, \(proof.assurance), "
                    + "scope \(proof.scope.rawValue): \(countText(proof.entries)) entries, "
                    + sizeText(proof.bytes))
        } else {
            lines.append("  proven     never")
        }
        if let text = differences?.text(of: module) { lines.append("  differs    \(text)") }
        if let newest, newest.answer != .released {
            lines.append("  last look  \(newest.looked.localText): \(newest.reason)")
        }
        return lines
    }

    var jsonLine: JSONLine {
        var line = gate.jsonLine(module)
        line.field("pair", module.pair)
        if let override { line.field("override", override.sentence) }
        if let proof, let time = provenAsOf {
            line.field("proven_as_of", time.utcText)
            line.field("entries", proof.entries)
            line.field("bytes", proof.bytes)
            line.field("assurance", proof.assurance)
            line.field("scope", proof.scope.rawValue)
        }
        if let differences {
            line.field("open_differences", differences.ofModules[module.name] ?? 0)
        }
        if let newest {
            line.field("looked", newest.looked.utcText)
            line.field("found", newest.answer.rawValue)
            if !newest.reason.isEmpty { line.field("reason", newest.reason) }
        }
        return line
    }
}

/// The same for a program that watches over many machines.
struct Monitoring {
    let stores: [StoreStatus]
    let modules: [ModuleStatus]
    let pairs: [PairStatus]

    /// In the text format of Prometheus, 0.0.4, as its node exporter reads it from a file.
    var prometheus: String {
        var text = ""
        func metric(_ name: String, _ help: String, _ rows: [(labels: String, value: Int64)]) {
            guard !rows.isEmpty else { return }
            text += "# HELP resync_\(name) \(help)\n# TYPE resync_\(name) gauge\n"
            for row in rows { text += "resync_\(name){\(row.labels)} \(row.value)\n" }
        }
        // Names have letters, digits, '.', '-', '_' and '/' only: nothing is to be escaped.
        func of(_ value: (StoreStatus) -> Int64?) -> [(String, Int64)] {
            stores.compactMap { store in value(store).map { ("store=\"\(store.name)\"", $0) } }
        }
        func each(_ value: (ModuleStatus) -> Int64?) -> [(String, Int64)] {
            modules.compactMap { status in
                value(status).map { ("module=\"\(status.module.name)\"", $0) }
            }
        }
        metric("store_ok", "Whether the store is safely writable.", of { $0.state == .ok ? 1 : 0 })
        metric(
            "store_episode_open", "Whether an episode of the store is open.",
            of { $0.episode == nil ? 0 : 1 })
        metric(
            "store_last_good_timestamp_seconds", "The start of the last verified probe.",
            of { $0.lastGood?.wall.seconds })
        metric(
            "store_errors", "Errors that the store's file system counts, and nobody accepted.",
            of { $0.errors.count == nil ? nil : Int64(clamping: $0.errors.excess) })
        metric(
            "module_open", "Whether the module's service may run.",
            each { $0.gate.answer == .open ? 1 : 0 })
        metric(
            "module_undecided", "Whether that is not known.",
            each { $0.gate.answer == .undecided ? 1 : 0 })
        metric(
            "module_proven_timestamp_seconds", "No entry was proven equal earlier than then.",
            each { $0.provenAsOf?.seconds })
        metric(
            "module_open_differences", "Differences that were found and not proven equal since.",
            each { status in
                status.differences.map { Int64($0.ofModules[status.module.name] ?? 0) }
            })
        func ofPairs(_ value: (PairStatus) -> Int64?) -> [(String, Int64)] {
            pairs.compactMap { pair in value(pair).map { ("pair=\"\(pair.pair.name)\"", $0) } }
        }
        metric(
            "pair_open_differences", "Differences that were found and not proven equal since.",
            ofPairs { $0.differences.map { Int64($0.count) } })
        metric(
            "pair_compared_timestamp_seconds", "When the last comparison began.",
            ofPairs { $0.differences?.last.began.seconds })
        metric(
            "pair_proven_timestamp_seconds",
            "When the last comparison of all of it that found nothing began.",
            ofPairs { $0.differences?.proof?.began.seconds })
        metric(
            "takeover_ready", "Whether B could take over.",
            ofPairs { $0.takeover.map { $0.isReady ? 1 : 0 } })
        let checks = pairs.flatMap { pair in
            pair.checks.compactMap { check, last in
                last.map { ("pair=\"\(pair.pair.name)\",check=\"\(check.name)\"", $0) }
            }
        }
        metric(
            "check_ok", "Whether the check succeeded when it was last run.",
            checks.map { ($0, $1.exit == 0 ? 1 : 0) })
        metric(
            "check_timestamp_seconds", "When the check last ended.",
            checks.map { ($0, $1.ended.seconds) })
        return text
    }

    /// As a plug-in of Nagios and its like says it: one line, and its status.
    var nagios: (line: String, status: ExitStatus) {
        var (critical, warning): ([String], [String]) = ([], [])
        for store in stores where store.state != .ok {
            let text = "\(store.name) \(store.state.word)"
            if store.state == .down { critical.append(text) } else { warning.append(text) }
        }
        for module in modules where module.gate.answer != .open {
            warning.append("\(module.module.name) \(module.gate.answer.rawValue)")
        }
        // Nobody who has no checks has asked.
        for pair in pairs where !pair.checks.isEmpty {
            guard let takeover = pair.takeover, !takeover.isReady else { continue }
            let reason = takeover.reasons.first ?? ""
            warning.append("\(pair.pair.name): B could not take over (\(reason))")
        }
        for pair in pairs {
            guard let found = pair.differences, found.count > 0 || found.isCut else { continue }
            warning.append("\(pair.pair.name): \(found.text)")
        }
        let bad = (critical + warning).joined(separator: ", ")
        if !critical.isEmpty { return ("RESYNC CRITICAL - \(bad)", .trouble) }
        if !warning.isEmpty { return ("RESYNC WARNING - \(bad)", .differences) }
        return (
            "RESYNC OK - \(stores.count) stores ok, \(modules.count) modules open", .ok
        )
    }
}

import ArgumentParser
import ResyncCore
import ResyncEngine
import ResyncLedger
import ResyncStorage

struct ScheduleCommand: JSONCommand {
    static let configuration = CommandConfiguration(
        commandName: "schedule",
        abstract: "Say in which order modules are best verified after an episode.",
        discussion: """
            Reads no store, and starts nothing. Modules whose gate is open are left out. The \
            others of a pair are verified one after the other, so that the sum of how long each \
            waits, times its weight, is small; pairs go side by side. The time of one is \
            estimated from the bytes that it had when it was last verified; a size with '?' is \
            not known, and taken as the mean of the others, or as 1 GiB. The status is 2 when \
            what is kept of episodes cannot be read: the order is printed all the same.
            """)

    @Argument(
        help: ArgumentHelp(
            "A pair of the configuration; without, each of them.", valueName: "PAIR"))
    var pair: String?

    @Flag(name: .long, help: "Say when each would be released if it began now.")
    var simulate = false

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Estimate with this rate for each side instead of the pair's read-limit (as "
                + "200MiB/s).", valueName: "RATE"))
    var readLimit: String?

    @Flag(name: .long, help: "Show those that are open, too.")
    var all = false

    @OptionGroup var format: JSONOptions

    @OptionGroup var file: ConfigurationOptions
    @OptionGroup var state: StateOptions

    /// Hot paths that are shown of a module.
    private static let hotShown = 3

    mutating func execute() throws -> ExitStatus {
        let configuration = try ConfigurationFile.load(file.path)
        let limit = try readLimit.map { try rate($0) }
        if let pair, !configuration.pairs.contains(where: { $0.name == pair }) {
            throw CommandError("the configuration has no pair '\(escaped(pair.utf8))'", .usage)
        }
        let state = try state.open()
        let episodes = EpisodeKnowledge(state)
        let knowledge = ModuleKnowledge(configuration, episodes, Overrides(state))
        var notes = knowledge.troubles.map { "NOT KNOWN: \($0)" }
        if !configuration.modules.contains(where: { $0.pair == pair ?? $0.pair }) {
            notes.append("no modules \(pair.map { "of pair \($0) " } ?? "")are configured")
        } else if !episodes.hasLedger, episodes.failure == nil {
            notes.append("there is no ledger here: which are open, and how large, is not known")
        }
        let status: ExitStatus = knowledge.troubles.isEmpty ? .ok : .trouble
        if !json { for note in notes { try StandardOutput.shared.write("\(note)\n") } }
        let schedules = try PairSchedule.all(configuration, knowledge, readLimit: limit).filter {
            $0.pair.name == pair ?? $0.pair.name && !($0.turns.isEmpty && $0.open.isEmpty)
        }
        let now = Timestamp.now
        for schedule in schedules {
            let troubles = knowledge.troubles(of: schedule.pair)
            if json {
                try printJSON(schedule, troubles, now)
            } else {
                let lines = lines(schedule, troubles, now)
                try StandardOutput.shared.write(lines.joined(separator: "\n") + "\n")
            }
        }
        if json { try summary(schedules, notes, status) }
        return status
    }

    // MARK: For people

    private func lines(
        _ schedule: PairSchedule, _ troubles: [String], _ now: Timestamp
    ) -> [String] {
        let (turns, open) = (schedule.turns, schedule.open)
        let source =
            switch schedule.rateSource {
            case .option: ""
            case .pair: ", its read-limit"
            case .assumed: ", which is assumed: it has no read-limit"
            }
        let count = "\(countText(turns.count)) of \(countText(turns.count + open.count)) modules"
        let rate = "each side read at \(sizeText(schedule.rate))/s\(source)"
        var lines = [
            "pair \(schedule.pair.name): "
                + (turns.isEmpty ? "all modules are open" : "\(count) wait, \(rate)")
        ]
        lines += troubles.map { "  \($0)" }
        let shown = all ? turns + open : turns
        var table = shown.enumerated().map { row($1, at: $0 < turns.count ? $0 + 1 : nil) }
        for column in table.first.map({ $0.indices.dropLast() }) ?? 0..<0 {
            let width = table.map { $0[column].count }.max() ?? 0
            for row in table.indices {
                let blanks = String(repeating: " ", count: width - table[row][column].count)
                let isNumber = column != 1 && column != 2
                table[row][column] =
                    isNumber ? blanks + table[row][column] : table[row][column] + blanks
            }
        }
        for (index, turn) in shown.enumerated() {
            lines.append("  " + table[index].joined(separator: "  "))
            lines += details(turn, isOpen: index >= turns.count, now).map { "       \($0)" }
        }
        if !open.isEmpty, !all, !turns.isEmpty {
            lines.append("  left out because they are open: \(countText(open.count)) (see --all)")
        }
        return lines + conclusion(schedule)
    }

    private func row(_ turn: ModuleTurn, at number: Int?) -> [String] {
        let entries = turn.entries.map(countText) ?? "?"
        return [
            number.map { "\($0)" } ?? "-", turn.module.name, turn.gate.rawValue.uppercased(),
            "\(sizeText(turn.bytes))\(turn.entries == nil ? "?" : "")",
            "\(entries) \(turn.entries == 1 ? "entry" : "entries")",
            number == nil ? "" : durationText(turn.seconds),
            "weight \(turn.module.weight)", number == nil ? "-" : turn.reason,
        ]
    }

    private func details(_ turn: ModuleTurn, isOpen: Bool, _ now: Timestamp) -> [String] {
        var lines: [String] = []
        if turn.isOverridden { lines.append("opened by a person meanwhile") }
        guard !isOpen else { return lines }
        if !turn.after.isEmpty { lines.append("after \(turn.after.joined(separator: ", "))") }
        for other in turn.waits { lines.append("waits for \(other.module) of \(other.pair)") }
        if let trouble = turn.hotTrouble {
            lines.append("no hot paths: \(trouble)")
        } else if !turn.hot.paths.isEmpty {
            let count = turn.hot.paths.count
            lines.append(
                "\(countText(count)) hot \(count == 1 ? "path" : "paths"): "
                    + listed(turn.hot.paths.map(shown), count: Self.hotShown))
        }
        if simulate {
            lines.append(
                "released \(time(turn, now).localText), after \(durationText(turn.released))")
        }
        return lines
    }

    private func conclusion(_ schedule: PairSchedule) -> [String] {
        guard !schedule.turns.isEmpty else { return [] }
        let order = schedule.order
        // Rounded down it would say less than it is.
        let bound = (order.bound * 1000).rounded(.up) / 1000
        return [
            "  weighted reopening time \(durationText(schedule.mean)) on average; "
                + (order.isOptimal
                    ? "proven the least" : "at most \(decimals(bound, 3)) × the least")
                + (schedule.turns.contains { !$0.waits.isEmpty } ? ", other pairs aside" : "")
        ]
    }

    private func time(_ turn: ModuleTurn, _ now: Timestamp) -> Timestamp {
        now.adding(seconds: Int64(wholeNumber(turn.released.rounded(.up))))
    }

    // MARK: For programs

    private func printJSON(
        _ schedule: PairSchedule, _ troubles: [String], _ now: Timestamp
    ) throws {
        let output = StandardOutput.shared
        for (index, turn) in schedule.turns.enumerated() {
            var line = line(turn, schedule.pair)
            line.field("number", index + 1)
            line.field("seconds", turn.seconds)
            line.field("after", turn.after)
            line.field(
                "waits_for",
                turn.waits.map { other in
                    var object = JSONObject()
                    object.field("module", other.module)
                    object.field("pair", other.pair)
                    return object
                })
            line.field("reason", turn.reason)
            line.field(
                "hot",
                turn.hot.paths.map { path in
                    var object = JSONObject()
                    object.path(path)
                    return object
                })
            if let trouble = turn.hotTrouble { line.field("hot_trouble", trouble) }
            if simulate {
                line.field("verified_after_s", turn.verified)
                line.field("released_after_s", turn.released)
                line.field("released", time(turn, now).utcText)
            }
            try output.write(line.bytes)
        }
        if all { for turn in schedule.open { try output.write(line(turn, schedule.pair).bytes) } }
        var line = JSONLine(type: "schedule")
        line.field("pair", schedule.pair.name)
        line.field("modules", schedule.turns.count)
        line.field("open", schedule.open.count)
        line.field("rate", schedule.rate)
        line.field("rate_from", schedule.rateSource.rawValue)
        line.field("seconds", schedule.turns.last?.verified ?? 0)
        line.field("weighted_seconds", schedule.order.cost)
        line.field("mean_seconds", schedule.mean)
        line.field("bound", schedule.order.bound)
        line.field("least", schedule.order.isOptimal)
        if !troubles.isEmpty { line.field("troubles", troubles) }
        try output.write(line.bytes)
    }

    private func line(_ turn: ModuleTurn, _ pair: Configuration.Pair) -> JSONLine {
        var line = JSONLine(type: "module")
        line.field("module", turn.module.name)
        line.field("pair", pair.name)
        line.field("gate", turn.gate.rawValue)
        line.field("proven", turn.isProven)
        if turn.isOverridden { line.field("overridden", true) }
        line.field("bytes", turn.bytes)
        line.field("size_known", turn.entries != nil)
        if let entries = turn.entries { line.field("entries", entries) }
        line.field("weight", turn.module.weight)
        return line
    }

    private func summary(
        _ schedules: [PairSchedule], _ notes: [String], _ status: ExitStatus
    ) throws {
        var line = JSONLine(type: "summary")
        line.field("pairs", schedules.count)
        line.field("modules", schedules.reduce(0) { $0 + $1.turns.count })
        line.field("open", schedules.reduce(0) { $0 + $1.open.count })
        if !notes.isEmpty { line.field("notes", notes) }
        line.field("exit_status", Int(status.code))
        try StandardOutput.shared.write(line.bytes)
    }
}

extension PairSchedule {
    /// Seconds after which a module reopens, on the average of their weights.
    fileprivate var mean: Double {
        let weight = turns.reduce(0) { $0 + $1.module.weight }
        return weight > 0 ? order.cost / weight : 0
    }
}

import ArgumentParser
import ResyncCore
import ResyncEngine
import ResyncLedger
import ResyncStorage

struct StatusCommand: JSONCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Say of each watched store and module how it is, and why.",
        discussion: """
            Asks the watcher; where none is running, prints what it last knew. The status is 0 \
            when every store is ok, 1 when one is not, 2 when no watcher runs or no probe has \
            found a store well yet. Of each module of the configuration it says whether its gate \
            is open, and as of when it was proven: no entry was proven equal earlier. Of each pair \
            it says which episode was the last, when it was last compared and how far, how many \
            of the differences that were found are not proven equal since, when all of it was \
            last found to be the same, and whether B could take over now.
            """)

    @OptionGroup var format: JSONOptions

    @Flag(name: .long, help: "Print metrics for Prometheus's textfile collector.")
    var prometheus = false

    @Flag(
        name: .long,
        help: "Print one line, and end with 0 to 3, as plug-ins of Nagios do.")
    var nagios = false

    @OptionGroup var file: ConfigurationOptions
    @OptionGroup var state: StateOptions

    mutating func execute() throws -> ExitStatus {
        guard [json, prometheus, nagios].count(where: { $0 }) <= 1 else {
            throw CommandError("--json, --prometheus and --nagios are not for each other", .usage)
        }
        let state = try state.open()
        let watched: [StoreStatus]?
        do {
            watched = try WatchClient(state)?.status()
        } catch let error as CommandError where nagios {
            try StandardOutput.shared.write("RESYNC UNKNOWN - \(error.message)\n")
            return .unconfirmed
        }
        var (modules, pairs): ([ModuleStatus], [PairStatus]) = ([], [])
        // Whatever keeps it from telling of these, what the watcher sees comes first.
        var lack: CommandError?
        do {
            (modules, pairs) = try configured(state, watched)
        } catch {
            guard let known = Main.explain(error) else { throw error }
            lack = CommandError("modules and pairs are not known: \(known.message)")
        }
        if prometheus || nagios {
            let known = Monitoring(stores: watched ?? [], modules: modules, pairs: pairs)
            return try monitor(known, watched != nil, lack)
        }
        guard let stores = watched else {
            if let lack { Main.complain(lack.message) }
            return try remembered(state, modules, pairs)
        }
        var status = ExitStatus.ok
        for store in stores {
            switch store.state {
            case .ok: break
            case .unknown: status.merge(.trouble)
            case .suspect, .down, .recovering, .maintenance: status.merge(.differences)
            }
            try print(store)
        }
        try print(modules, pairs)
        if let lack {
            Main.complain(lack.message)
            status.merge(lack.status)
        }
        if json { try summary(stores.count, isWatched: true, status) }
        return status
    }

    /// None where nothing is configured in the usual place.
    private func configured(
        _ state: StateFolder, _ watched: [StoreStatus]?
    ) throws -> (modules: [ModuleStatus], pairs: [PairStatus]) {
        guard let configuration = try file.loadIfThere() else { return ([], []) }
        let knowledge = EpisodeKnowledge(state)
        var differences: [String: OpenDifferences] = [:]
        for pair in configuration.pairs {
            differences[pair.name] = try knowledge.openDifferences(
                of: pair, configuration.modules, in: state)
        }
        let modules = try ModuleStatus.all(state, configuration, knowledge, differences)
        return (
            modules,
            try PairStatus.all(state, configuration, modules, differences, knowledge, watched)
        )
    }

    private func print(_ modules: [ModuleStatus], _ pairs: [PairStatus]) throws {
        for status in modules {
            try StandardOutput.shared.write(
                json
                    ? status.jsonLine.bytes
                    : Array((status.lines.joined(separator: "\n") + "\n").utf8))
        }
        for pair in pairs {
            try StandardOutput.shared.write(
                json
                    ? pair.jsonLine.bytes : Array((pair.lines.joined(separator: "\n") + "\n").utf8))
        }
    }

    private func monitor(
        _ monitoring: Monitoring, _ isWatched: Bool, _ lack: CommandError?
    ) throws -> ExitStatus {
        if prometheus {
            let text =
                "# HELP resync_watched Whether a watcher runs.\n# TYPE resync_watched gauge\n"
            try StandardOutput.shared.write(
                "\(text)resync_watched \(isWatched ? 1 : 0)\n\(monitoring.prometheus)")
            guard let lack else { return .ok }
            Main.complain(lack.message)
            return lack.status
        }
        guard isWatched else {
            try StandardOutput.shared.write("RESYNC UNKNOWN - no watcher runs\n")
            return .unconfirmed
        }
        let (line, status) = monitoring.nagios
        if status == .ok, let lack {
            try StandardOutput.shared.write("RESYNC UNKNOWN - \(lack.message)\n")
            return .unconfirmed
        }
        try StandardOutput.shared.write("\(line)\n")
        return status
    }

    private func print(_ store: StoreStatus) throws {
        guard !json else {
            return try StandardOutput.shared.write(store.jsonLine.bytes)
        }
        try StandardOutput.shared.write(
            Self.lines(store).joined(separator: "\n") + "\n")
    }

    static func lines(_ store: StoreStatus) -> [String] {
        var first = store.state.word.uppercased()
        if let kind = store.kind { first += " \(kind.rawValue): \(kind.sentence)" }
        var lines = ["\(store.name)  \(first)", "  path       \(escaped(store.path))"]
        if let since = store.since, store.state != .ok {
            lines.append("  since      \(since.localText)")
        }
        if let episode = store.episode { lines.append("  episode    \(episode)") }
        if !store.evidence.isEmpty { lines.append("  evidence   \(store.evidence)") }
        let good = store.lastGood.map { $0.wall.localText } ?? "never"
        let time = store.probeTime.map { ", took \(decimals($0 * 1000, 1)) ms" } ?? ""
        lines.append("  last good  \(good)\(time)")
        if let waiting = store.waiting {
            lines.append("  waiting    a probe has not ended for \(durationText(waiting))")
        }
        if let left = store.holdLeft {
            lines.append("  closes     in \(durationText(left)), if all is well until then")
        }
        if store.errors.excess > 0, let count = store.errors.count {
            lines.append(
                "  errors     its file system counts \(count), \(store.errors.accepted) accepted")
        }
        if store.isFull { lines.append("  full       no room for the probe: it is not verified") }
        if store.isReadOnlyProbe {
            lines.append("  no probe   it is watched without writing to it")
        }
        if store.isSuppressed {
            lines.append("  restless   nothing is verified on it until it is calm again")
        }
        if let end = store.maintenanceUntil {
            lines.append("  maintenance until \(end.localText)")
        }
        if store.hasOtherClock {
            let time = durationText(Double(store.clock.magnitude))
            lines.append("  clock      \(time) \(store.clock < 0 ? "behind" : "ahead of") ours")
        }
        for sentence in store.unseen { lines.append("  unseen     \(sentence)") }
        return lines
    }

    private func summary(_ count: Int, isWatched: Bool, _ status: ExitStatus) throws {
        var line = JSONLine(type: "summary")
        line.field("stores", count)
        line.field("watched", isWatched)
        line.field("exit_status", Int(status.code))
        try StandardOutput.shared.write(line.bytes)
    }

    /// What is known without a watcher.
    private func remembered(
        _ state: StateFolder, _ modules: [ModuleStatus], _ pairs: [PairStatus]
    ) throws -> ExitStatus {
        let output = StandardOutput.shared
        let ledger = try LedgerFile.open(in: state)
        let stores = try ledger?.stores() ?? []
        let open = try ledger?.openEpisodes() ?? []
        guard !json else {
            for record in open { try output.write(EpisodeReport.jsonLine(record).bytes) }
            try print(modules, pairs)
            try summary(stores.count, isWatched: false, .trouble)
            return .trouble
        }
        try output.write("NO WATCHER is running: what follows is what it last knew\n")
        for store in stores {
            let good = store.lastGood.map { $0.wall.localText } ?? "never"
            try output.write("\(store.name)  last good  \(good)\n")
        }
        for record in open { try output.write("\(EpisodeReport.line(record))\n") }
        try print(modules, pairs)
        return .trouble
    }
}

/// Speaks to the watcher of a state folder.
struct WatchClient {
    private let channel: Channel
    /// Seconds in which a watcher that lives has answered.
    private static let patience = 5.0

    /// Nil where no watcher runs.
    init?(_ state: StateFolder) throws {
        do throws(DiskError) {
            guard let channel = try ControlSocket.connect(in: state.folder) else { return nil }
            self.channel = channel
        } catch {
            throw CommandError("the watcher does not answer: \(error.sentence)")
        }
    }

    func status() throws -> [StoreStatus] {
        try ask(.status)
        var stores: [StoreStatus] = []
        while let bytes = try next() {
            if bytes.elementsEqual("end".utf8) { return stores }
            guard let status = try? StoreStatus(bytes) else { break }
            stores.append(status)
        }
        throw CommandError("the watcher did not answer")
    }

    /// Has it do something.
    ///
    /// - Throws: `CommandError` with what it said against it.
    func tell(_ order: WatchOrder) throws {
        try ask(order)
        guard let reply = try next().flatMap(validText) else {
            throw CommandError("the watcher did not answer")
        }
        guard reply == "ok" else {
            throw CommandError(
                reply.hasPrefix("error ") ? String(reply.dropFirst(6)) : "the watcher refused")
        }
    }

    private func ask(_ order: WatchOrder) throws {
        guard channel.send(Array(order.text.utf8)) else {
            throw CommandError("the watcher does not listen")
        }
    }

    private func next() throws -> [UInt8]? {
        var waiter = Waiter()
        waiter.add(channel.descriptor)
        guard waiter.wait(Self.patience), case .message(let bytes, _) = channel.receive() else {
            return nil
        }
        return bytes
    }
}

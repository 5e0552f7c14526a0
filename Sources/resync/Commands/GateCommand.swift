import ArgumentParser
import ResyncCore
import ResyncEngine
import ResyncLedger
import ResyncStorage

struct GateCommand: JSONCommand {
    static let configuration = CommandConfiguration(
        commandName: "gate",
        abstract: "Say whether a module's service may run on its data.",
        discussion: """
            Reads no store. The status is 0 when it may: since the last episode of its stores, and \
            of those that it needs, 'resync verify' has proven every entry equal, or there never \
            was an episode. It is 1 when it may not, and 2 when that is not known, as while a \
            store is in an episode or nobody watches it. Ordinary writes leave a released module \
            open; a new episode or a new difference shuts it.
            """)

    @Argument(help: ArgumentHelp("A module of the configuration.", valueName: "MODULE"))
    var module: String

    @Flag(name: .long, help: "Open it all the same, for a time; needs --reason and --for.")
    var override = false

    @Option(
        name: .long, help: ArgumentHelp("Why it is opened all the same.", valueName: "TEXT"))
    var reason: String?

    @Option(
        name: .customLong("for"),
        help: ArgumentHelp("How long it is opened all the same.", valueName: "DURATION"))
    var length: String?

    @OptionGroup var format: JSONOptions

    @OptionGroup var file: ConfigurationOptions
    @OptionGroup var state: StateOptions

    mutating func execute() throws -> ExitStatus {
        let configuration = try ConfigurationFile.load(file.path)
        let module = try configuration.module(module)
        let state = try state.open()
        let overrides = Overrides(state)
        if override {
            guard let reason, !reason.isEmpty, let length else {
                throw CommandError("--override takes --reason TEXT and --for DURATION", .usage)
            }
            try overrides.add(module.name, for: try duration(length), because: reason)
        } else if reason != nil || length != nil {
            throw CommandError("--reason and --for are for --override", .usage)
        }
        if let override = try overrides.current(of: module.name) {
            let gate = Gate(override: override.sentence)
            try print(module, gate)
            return .ok
        }
        for needed in configuration.modules.needed(by: module) { needed.tellExpired(at: .now) }
        let gate = try EpisodeKnowledge(state).gate(module, configuration)
        try print(module, gate)
        switch gate.answer {
        case .open: return .ok
        case .shut: return .differences
        case .undecided: return .trouble
        }
    }

    private func print(_ module: Module, _ gate: Gate) throws {
        if json { return try StandardOutput.shared.write(gate.jsonLine(module).bytes) }
        var text = "\(module.name): \(gate.answer.rawValue.uppercased())"
        text += " (scope \(module.scope.rawValue))\n"
        for reason in gate.reasons { text += "  \(reason.text)\n" }
        try StandardOutput.shared.write(text)
    }
}

extension Gate {
    /// - Parameters:
    ///   - event: what has become of it, for who is told that.
    ///   - limit: reasons that are told.
    func jsonLine(_ module: Module, event: String? = nil, limit: Int = .max) -> JSONLine {
        var line = JSONLine(type: "gate")
        if let event { line.field("event", event) }
        line.field("module", module.name)
        line.field("answer", answer.rawValue)
        line.field("scope", module.scope.rawValue)
        line.field("reasons", reasons.prefix(limit).map(\.text))
        return line
    }
}

/// What people opened all the same. Kept beside the ledger, so that it works without one.
struct Overrides {
    /// One of them.
    struct Override {
        let module: String
        let given: Timestamp
        let until: Timestamp
        let reason: String

        var sentence: String {
            "opened by a person until \(until.localText), given \(given.localText): \(reason)"
        }
    }

    private static let name = Array("overrides".utf8)
    private static let sizeLimit = 1 << 20
    /// So many are remembered.
    private static let limit = 1000
    private static let longest = 7 * 86400.0
    private static let reasonLimit = 500

    private let state: StateFolder

    init(_ state: StateFolder) { self.state = state }

    func current(of module: String) throws -> Override? {
        try current().last { $0.module == module }
    }

    func current() throws -> [Override] {
        let now = Timestamp.now
        return try all().filter { $0.given <= now && now < $0.until }
    }

    /// - Throws: `CommandError` where it is to hold for too long, or what is kept is no such list.
    func add(_ module: String, for seconds: Double, because reason: String) throws {
        guard seconds >= 1, seconds <= Self.longest else {
            throw CommandError(
                "an override holds for a second to \(durationText(Self.longest))", .usage)
        }
        let reason = escaped(reason.utf8.prefix(Self.reasonLimit))
        let now = Timestamp.now
        let made = Override(
            module: module, given: now, until: now.adding(seconds: Int64(seconds)), reason: reason)
        try state.folder.exclusively {
            let lines = (try all() + [made]).suffix(Self.limit).map { override in
                "\(override.given.seconds) \(override.until.seconds) \(override.module) "
                    + "\(override.reason)\n"
            }
            try state.folder.replace(Self.name, with: Array(lines.joined().utf8))
        }
    }

    /// Those that are over, too.
    func all() throws -> [Override] {
        let bytes: [UInt8]
        do throws(DiskError) {
            let file = try state.folder.read(Self.name)
            guard file.size <= Self.sizeLimit else { throw DiskError(.pread, ErrorNumber.tooLarge) }
            bytes = try file.read(at: 0, count: file.size)
        } catch {
            if error.number == ErrorNumber.noEntry { return [] }
            throw CommandError("cannot read the overrides: \(error.sentence)")
        }
        // By bytes: what combines with a blank or with the end of a line would hide it.
        return try bytes.split(separator: UInt8(ascii: "\n")).map { line in
            let words = line.split(separator: UInt8(ascii: " "), maxSplits: 3)
                .map { String(decoding: $0, as: UTF8.self) }
            guard words.count == 4, let given = Int64(words[0]), let until = Int64(words[1]) else {
                throw CommandError("the overrides in the state folder are damaged")
            }
            return Override(
                module: words[2], given: Timestamp(seconds: given, nanoseconds: 0),
                until: Timestamp(seconds: until, nanoseconds: 0), reason: words[3])
        }
    }
}

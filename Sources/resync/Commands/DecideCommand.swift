import ArgumentParser
import Glibc
import ResyncCore
import ResyncEngine
import ResyncStorage

struct DecideCommand: ResyncCommand {
    static let configuration = CommandConfiguration(
        commandName: "decide",
        abstract: "Say which side is right about a difference, and why.",
        discussion: """
            What was decided is kept with the run, with who said it and when. A plan made from the \
            run follows it. A decision about a directory holds for everything in it. Without a \
            path, prints what was decided.
            """)

    @Argument(help: ArgumentHelp("The run: an id, or last.", valueName: "RUN"))
    var run: String

    @Argument(help: ArgumentHelp("The entry, as a report prints it.", valueName: "PATH"))
    var path: String?

    @Option(name: .long, help: ArgumentHelp("This side's copy is right.", valueName: "a|b"))
    var accept: String?

    @Flag(name: .long, help: "It is to be decided anew.")
    var open = false

    @Option(name: .long, help: ArgumentHelp("Why.", valueName: "TEXT"))
    var reason: String?

    @OptionGroup var state: StateOptions

    mutating func execute() throws -> ExitStatus {
        let state = try state.open()
        let run = try RunFolder.open(try state.runID(run, kind: "verify"), in: state.runs)
        guard let path else { return try list(run) }
        let ruling = try ruling()
        guard let reason, !reason.isEmpty else {
            throw CommandError("a decision needs its --reason", .usage)
        }
        guard let bytes = unescaped(path) else {
            throw CommandError("'\(escaped(path.utf8))' is no path in a store", .usage)
        }
        let place = try storePath(RawArguments.text(bytes))
        guard try contains(run, place) else {
            throw CommandError("run \(run.id) has no difference at '\(shown(place))'")
        }
        try run.lock()
        try run.add(
            Decision(
                path: place, ruling: ruling, who: userName(), when: .now,
                reason: RawArguments.bytes(reason)))
        return .ok
    }

    private func ruling() throws -> Decision.Ruling {
        switch (accept, open) {
        case ("a"?, false): return .accept(.a)
        case ("b"?, false): return .accept(.b)
        case (nil, true): return .open
        default: throw CommandError("decide takes --accept a, --accept b or --open", .usage)
        }
    }

    /// Whether anything at the path, or below it, differs.
    private func contains(_ run: RunFolder, _ path: RelativePath) throws -> Bool {
        var reader = try run.results()
        while let record = try reader.next() {
            if case .difference(let found) = record, found.path.isWithin(path) { return true }
        }
        return false
    }

    private func list(_ run: RunFolder) throws -> ExitStatus {
        for decision in try run.decisions().all {
            let word =
                switch decision.ruling {
                case .open: "open"
                case .accept(let side): "\(side.letter) is right"
                }
            try StandardOutput.shared.write(
                "\(decision.when.utcText) \(escaped(decision.who)): \(shown(decision.path)): "
                    + "\(word): \(escaped(decision.reason))\n")
        }
        return .ok
    }

    private func userName() -> [UInt8] {
        if let record = getpwuid(getuid()), let name = record.pointee.pw_name {
            return UnsafeRawBufferPointer(start: name, count: strlen(name)).map { $0 }
        }
        return Array(String(getuid()).utf8)
    }
}

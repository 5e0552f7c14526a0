/// A recording of what the signals said, so that an incident in the field becomes a test: a line of
/// text for each observation, `boot_ns wall_ns store what…`, text escaped and last.
package enum Recording {
    package static let header = "resync-recording 1\n"

    package struct Line: Sendable, Hashable {
        package let at: Moment
        package let store: String
        package let observation: Observation

        package init(at: Moment, store: String, _ observation: Observation) {
            self.at = at
            self.store = store
            self.observation = observation
        }

        package var text: String {
            "\(fields(at)) \(store) \(words(observation))\n"
        }

        /// Nil for what is no line of a recording.
        package init?(_ text: String) {
            var words = Words(text)
            guard let at = words.moment(), let store = words.next(), StoreName.isValid(store),
                let observation = parsed(&words), words.isAtEnd
            else { return nil }
            self.init(at: at, store: store, observation)
        }
    }

    /// Lines of a whole recording; nil, with the number of the line, for what is none.
    package static func lines(_ text: String) -> (lines: [Line], firstBad: Int?) {
        guard text.hasPrefix(header) else { return ([], 1) }
        var lines: [Line] = []
        let body = text.dropFirst(header.count).split(separator: "\n")
        for (index, line) in body.enumerated() {
            guard let parsed = Line(String(line)) else { return (lines, index + 2) }
            lines.append(parsed)
        }
        return (lines, nil)
    }
}

private func fields(_ moment: Moment) -> String {
    "\(moment.boot) \(moment.wall.seconds).\(moment.wall.nanoseconds)"
}

private func words(_ observation: Observation) -> String {
    switch observation {
    case .probe(let outcome, let started): "probe \(fields(started)) \(outcome.text)"
    case .probeHangs(let seconds, let wait): "hang \(seconds) \(wait.rawValue)"
    case .mount(let condition): "mount \(condition.rawValue)"
    case .kernel(let what, let text): "kernel \(what) \(escaped(text))"
    case .fileSystemError(let number, let count): "fserror \(number) \(count)"
    case .errorCount(let count): "errors \(count.map(String.init) ?? "-")"
    case .deviceStalls(let seconds): "stall \(seconds)"
    }
}

extension ProbeOutcome {
    /// In one line.
    package var text: String {
        switch self {
        case .verified: "verified"
        case .full: "full"
        case .failed(let number, let call): "failed \(number) \(call)"
        case .lost: "lost"
        case .foreign(let reason): "foreign \(escaped(reason.utf8))"
        case .workerDied: "died"
        }
    }

    package init?(_ text: String) {
        var words = Words(text)
        guard let outcome = outcome(&words), words.isAtEnd else { return nil }
        self = outcome
    }
}

private func parsed(_ words: inout Words) -> Observation? {
    switch words.next() {
    case "probe":
        guard let started = words.moment(), let outcome = outcome(&words) else { return nil }
        return .probe(outcome, started: started)
    case "hang":
        guard let seconds = words.next().flatMap(Double.init), seconds.isFinite,
            let wait = words.next().flatMap(ProbeWait.init)
        else { return nil }
        return .probeHangs(seconds: seconds, wait)
    case "mount": return words.next().flatMap(MountCondition.init).map { .mount($0) }
    case "kernel":
        guard let what = words.next(), let text = words.rest() else { return nil }
        return .kernel(what, text: text)
    case "fserror":
        guard let number = words.next().flatMap({ Int32($0) }),
            let count = words.next().flatMap({ UInt32($0) })
        else { return nil }
        return .fileSystemError(number, count: count)
    case "errors":
        guard let word = words.next() else { return nil }
        if word == "-" { return .errorCount(nil) }
        return UInt64(word).map { .errorCount($0) }
    case "stall":
        guard let seconds = words.next().flatMap(Double.init), seconds.isFinite else {
            return nil
        }
        return .deviceStalls(seconds: seconds)
    default: return nil
    }
}

private func outcome(_ words: inout Words) -> ProbeOutcome? {
    switch words.next() {
    case "verified": return .verified
    case "full": return .full
    case "failed":
        guard let number = words.next().flatMap({ Int32($0) }), let call = words.next() else {
            return nil
        }
        return .failed(errorNumber: number, call: call)
    case "lost": return .lost
    case "foreign": return words.rest().flatMap(validText).map { .foreign($0) }
    case "died": return .workerDied
    default: return nil
    }
}

/// Words of a line, separated by single blanks.
private struct Words {
    private var left: Substring?

    init(_ line: String) { left = line[...] }

    var isAtEnd: Bool { left == nil }

    mutating func next() -> String? {
        guard let rest = left else { return nil }
        guard let blank = rest.firstIndex(of: " ") else {
            left = nil
            return String(rest)
        }
        left = rest[rest.index(after: blank)...]
        return String(rest[..<blank])
    }

    mutating func rest() -> [UInt8]? {
        defer { left = nil }
        return left.flatMap { unescaped(String($0)) }
    }

    mutating func moment() -> Moment? {
        guard let boot = next().flatMap({ UInt64($0) }),
            let wall = next()?.split(separator: "."), wall.count == 2,
            let seconds = Int64(wall[0]), let nanoseconds = UInt32(wall[1]),
            nanoseconds < 1_000_000_000
        else { return nil }
        return Moment(boot: boot, wall: Timestamp(seconds: seconds, nanoseconds: nanoseconds))
    }
}

/// Names of pairs, and of their stores: `mail/a`.
package enum StoreName {
    package static func isValid(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.count <= 80
            && name.utf8.allSatisfy { byte in
                (byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7a) || (byte >= 0x30 && byte <= 0x39)
                    || byte == UInt8(ascii: "/") || byte == UInt8(ascii: "-")
                    || byte == UInt8(ascii: "_") || byte == UInt8(ascii: ".")
            }
    }
}

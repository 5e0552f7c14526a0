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
            // What would be more than one line, or move a cursor, is in an escape.
            guard !text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f }) else { return nil }
            var words = Words(text)
            guard let at = words.moment(), let store = words.next(), StoreName.isValid(store),
                let observation = parsed(&words), words.isAtEnd
            else { return nil }
            self.init(at: at, store: store, observation)
        }
    }

    /// Lines of a whole recording; nil, with the number of the line, for what is none.
    package static func lines(_ text: String) -> (lines: [Line], firstBad: Int?) {
        guard text.utf8.starts(with: header.utf8) else { return ([], 1) }
        var lines: [Line] = []
        var body = text.utf8.dropFirst(header.utf8.count).split(
            separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        // Behind the end of the last line there is none.
        if body.last?.isEmpty == true { body.removeLast() }
        for (index, line) in body.enumerated() {
            guard let parsed = Line(String(Substring(line))) else { return (lines, index + 2) }
            lines.append(parsed)
        }
        return (lines, nil)
    }
}

private func fields(_ moment: Moment) -> String {
    "\(moment.boot) \(wallText(moment.wall))"
}

private func wallText(_ wall: Timestamp) -> String {
    let digits = String(wall.nanoseconds)
    return "\(wall.seconds).\(String(repeating: "0", count: max(0, 9 - digits.count)))\(digits)"
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
        guard let number = words.number(Int32.self), let count = words.number(UInt32.self) else {
            return nil
        }
        return .fileSystemError(number, count: count)
    case "errors":
        if words.isNext("-") { return .errorCount(nil) }
        return words.number(UInt64.self).map { .errorCount($0) }
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
        guard let number = words.number(Int32.self), let call = words.next() else { return nil }
        return .failed(errorNumber: number, call: call)
    case "lost": return .lost
    case "foreign": return words.rest().flatMap(validText).map { .foreign($0) }
    case "died": return .workerDied
    default: return nil
    }
}

/// Words of a line, separated by single blanks. Bytes, not characters: a text may begin with an
/// accent, which as a character would swallow the blank before it.
private struct Words {
    private var left: Substring.UTF8View?

    init(_ line: String) { left = line[...].utf8 }

    var isAtEnd: Bool { left == nil }

    mutating func next() -> String? {
        guard let rest = left else { return nil }
        guard let blank = rest.firstIndex(of: UInt8(ascii: " ")) else {
            left = nil
            return String(Substring(rest))
        }
        left = rest[rest.index(after: blank)...]
        return String(Substring(rest[..<blank]))
    }

    /// Takes the next word if it is this one.
    mutating func isNext(_ word: String) -> Bool {
        var further = self
        guard further.next() == word else { return false }
        self = further
        return true
    }

    /// The next word as a number, if it is written as this program writes it.
    mutating func number<Number: FixedWidthInteger>(_ type: Number.Type) -> Number? {
        guard let word = next(), let number = Number(word), String(number) == word else {
            return nil
        }
        return number
    }

    mutating func rest() -> [UInt8]? {
        defer { left = nil }
        return left.flatMap { unescaped(Substring($0)) }
    }

    mutating func moment() -> Moment? {
        guard let boot = number(UInt64.self), let word = next() else { return nil }
        let parts = word.split(separator: ".")
        guard parts.count == 2, let seconds = Int64(parts[0]), let nanoseconds = UInt32(parts[1]),
            nanoseconds < 1_000_000_000
        else { return nil }
        let wall = Timestamp(seconds: seconds, nanoseconds: nanoseconds)
        return word == wallText(wall) ? Moment(boot: boot, wall: wall) : nil
    }
}

/// Names of pairs, and of their stores: `mail/a`.
package enum StoreName {
    package static func isValid(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.count <= 80
            && name.utf8.allSatisfy { byte in
                (byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7a) || (byte >= 0x30 && byte <= 0x39)
                    || byte == slash || byte == UInt8(ascii: "-")
                    || byte == UInt8(ascii: "_") || byte == UInt8(ascii: ".")
            }
    }
}

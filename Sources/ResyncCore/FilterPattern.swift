/// One pattern with the meaning rsync gives it (rsync(1), PATTERN MATCHING RULES).
///
/// Bytes, not text: classes such as `[:alpha:]` are those of the C locale. What the manual leaves
/// open follows what rsync does: `?` and `[...]` never match a slash, yet one inside brackets
/// counts among the slashes that decide what the pattern is compared with; a pattern with an
/// unclosed or unknown class matches nothing.
struct FilterPattern: Sendable {
    /// The pattern as written, a trailing slash included.
    let text: [UInt8]
    private let subject: Subject
    private let directoriesOnly: Bool
    /// `dir/***`: a directory is compared with a slash after its name, so that it matches too.
    private let matchesOwnDirectory: Bool
    /// Nil when the pattern can match nothing.
    private let automaton: WildcardAutomaton?

    /// Which part of an entry's path the pattern must cover.
    private enum Subject: Sendable {
        case name
        case path
        /// The path with a slash before it, so that a leading `**/` matches at the root.
        case slashAndPath
        /// The last components, exactly this many.
        case tail(Int)
        /// What follows the start or any slash.
        case anyTail
    }

    /// - Precondition: not empty and without zero bytes.
    init(_ text: [UInt8]) {
        self.text = text
        var pattern = text[...]
        directoriesOnly = pattern.count > 1 && pattern.last == slash
        if directoriesOnly { pattern.removeLast() }

        let spansSlashes = zip(pattern, pattern.dropFirst()).contains { $0 == star && $1 == star }
        let slashes = pattern.count { $0 == slash }
        matchesOwnDirectory = pattern.suffix(3) == [star, star, star]
        if slashes == 0, !spansSlashes {
            subject = .name
        } else if pattern.first == slash {
            subject = .path
        } else if pattern.starts(with: [star, star]) {
            subject = .slashAndPath
        } else {
            subject = spansSlashes ? .anyTail : .tail(slashes + 1)
        }

        let body = pattern.first == slash ? pattern.dropFirst() : pattern
        automaton = WildcardToken.parse(body).map { WildcardAutomaton($0) }
    }

    /// Whether the entry `name` in the directory `parent` (empty for the root) matches: linear in
    /// the path's length for a given pattern.
    func matches(
        _ name: UnsafeBufferPointer<UInt8>, in parent: UnsafeBufferPointer<UInt8>,
        isDirectory: Bool
    ) -> Bool {
        guard let automaton, isDirectory || !directoriesOnly else { return false }
        var folder = UnsafeBufferPointer(rebasing: parent[...])
        var restarts = false
        switch subject {
        case .name: folder = UnsafeBufferPointer(rebasing: parent[..<0])
        case .path, .slashAndPath: break
        case .anyTail: restarts = true
        case .tail(let count):
            guard let start = tailStart(of: parent, components: count - 1) else { return false }
            folder = UnsafeBufferPointer(rebasing: parent[start...])
        }
        return automaton.run(restartingAfterSlash: restarts) { state in
            if case .slashAndPath = subject { state.consume(slash) }
            if !folder.isEmpty {
                state.consume(folder)
                state.consume(slash)
            }
            state.consume(name)
            if matchesOwnDirectory, isDirectory { state.consume(slash) }
        }
    }
}

extension FilterPattern: Hashable {
    static func == (left: FilterPattern, right: FilterPattern) -> Bool { left.text == right.text }

    func hash(into hasher: inout Hasher) { hasher.combine(text) }
}

/// Where the last `components` components of `path` start; nil when it has fewer.
private func tailStart(of path: UnsafeBufferPointer<UInt8>, components: Int) -> Int? {
    guard !path.isEmpty else { return nil }
    var missing = components
    for at in path.indices.reversed() where path[at] == slash {
        missing -= 1
        if missing == 0 { return at + 1 }
    }
    return missing == 1 ? 0 : nil
}

/// One step of a wildcard pattern.
private enum WildcardToken {
    case byte(UInt8)
    /// Any byte of a set.
    case set(ByteSet)
    /// Any bytes: a slash among them for `**` and longer runs, but not for `*`.
    case stars(crossSlashes: Bool)

    /// The steps of `pattern`; nil when it can match nothing.
    ///
    /// A backslash is an escape only in a pattern that has one of `*`, `?` and `[` (rsync(1)).
    static func parse(_ pattern: ArraySlice<UInt8>) -> [WildcardToken]? {
        guard pattern.contains(where: [star, question, opening].contains) else {
            return pattern.map { .byte($0) }
        }
        var tokens: [WildcardToken] = []
        var rest = pattern
        while let byte = rest.popFirst() {
            switch byte {
            case backslash:
                guard let escaped = rest.popFirst() else { return nil }
                tokens.append(.byte(escaped))
            case question:
                tokens.append(.set(.anyButSlash))
            case opening:
                guard let set = ByteSet(parsing: &rest) else { return nil }
                tokens.append(.set(set))
            case star:
                let more = rest.prefix { $0 == star }.count
                rest.removeFirst(more)
                tokens.append(.stars(crossSlashes: more > 0))
            default:
                tokens.append(.byte(byte))
            }
        }
        return tokens
    }
}

/// All ways a pattern can match, followed at once: state `i` means that the first `i` tokens cover
/// the bytes read so far.
///
/// The states are bits, so a byte costs one pass over `tokens / 64` words whatever the pattern and
/// the name are; there is no backtracking to make expensive.
private struct WildcardAutomaton: Sendable {
    private let words: Int
    private let end: Int
    /// Rows of `words` words: row `b` has the states that byte `b` advances, then `starRow`, then
    /// `doubleStarRow`.
    private var rows: [UInt64]

    /// The states that stay on any byte but a slash, and that advance on none.
    private static let starRow = 256
    /// Those of them that stay on a slash too.
    private static let doubleStarRow = 257

    /// - Precondition: no star token follows another, as `WildcardToken.parse` makes them.
    init(_ tokens: [WildcardToken]) {
        end = tokens.count
        words = tokens.count / 64 + 1
        rows = Array(repeating: 0, count: words * 258)
        for (state, token) in tokens.enumerated() {
            switch token {
            case .byte(let byte):
                mark(state, row: Int(byte))
            case .set(let set):
                for byte in set.bytes { mark(state, row: Int(byte)) }
            case .stars(let crossSlashes):
                mark(state, row: WildcardAutomaton.starRow)
                if crossSlashes { mark(state, row: WildcardAutomaton.doubleStarRow) }
            }
        }
    }

    private mutating func mark(_ state: Int, row: Int) {
        rows[row * words + state / 64] |= 1 << UInt64(state % 64)
    }

    /// Whether the bytes that `feed` gives are covered by the whole pattern: from the first one on
    /// or, when `restarts`, from after any slash.
    func run(restartingAfterSlash restarts: Bool, feed: (inout Run) -> Void) -> Bool {
        withUnsafeTemporaryAllocation(of: UInt64.self, capacity: words) { states in
            rows.withUnsafeBufferPointer { rows in
                states.initialize(repeating: 0)
                var run = Run(states: states, rows: rows, restarts: restarts)
                run.start()
                feed(&run)
                return states[end / 64] >> UInt64(end % 64) & 1 == 1
            }
        }
    }

    /// Valid only while `run` is.
    struct Run {
        fileprivate let states: UnsafeMutableBufferPointer<UInt64>
        fileprivate let rows: UnsafeBufferPointer<UInt64>
        fileprivate let restarts: Bool
        /// Whether some state is left.
        private var isAlive = true

        fileprivate init(
            states: UnsafeMutableBufferPointer<UInt64>, rows: UnsafeBufferPointer<UInt64>,
            restarts: Bool
        ) {
            self.states = states
            self.rows = rows
            self.restarts = restarts
        }

        /// Adds state 0 and, as a star may match nothing, the one behind a leading star.
        fileprivate mutating func start() {
            states[0] |= 1 | (rows[WildcardAutomaton.starRow * states.count] & 1) << 1
            isAlive = true
        }

        mutating func consume(_ bytes: UnsafeBufferPointer<UInt8>) {
            for byte in bytes {
                guard isAlive || restarts else { return }
                consume(byte)
            }
        }

        mutating func consume(_ byte: UInt8) {
            if isAlive { step(byte) }
            if restarts, byte == slash { start() }
        }

        private mutating func step(_ byte: UInt8) {
            let words = states.count
            let advancing = Int(byte) * words
            let stars = WildcardAutomaton.starRow * words
            let staying = byte == slash ? WildcardAutomaton.doubleStarRow * words : stars
            var carry: UInt64 = 0
            var union: UInt64 = 0
            for at in 0..<words {
                let advanced = states[at] & rows[advancing + at]
                var next = advanced << 1 | carry | states[at] & rows[staying + at]
                // A star may match nothing; what follows one is never one, so once is enough.
                let skipped = next & rows[stars + at]
                next |= skipped << 1
                carry = (advanced | skipped) >> 63
                states[at] = next
                union |= next
            }
            isAlive = union != 0
        }
    }
}

/// A set of byte values.
private struct ByteSet {
    private var isMember = [Bool](repeating: false, count: 256)

    static let anyButSlash: ByteSet = {
        var set = ByteSet()
        set.invert()
        set.isMember[Int(slash)] = false
        return set
    }()

    private init() {}

    var bytes: [UInt8] { (0...UInt8.max).filter { isMember[Int($0)] } }

    private mutating func insert(_ range: ClosedRange<UInt8>) {
        for byte in range { isMember[Int(byte)] = true }
    }

    private mutating func invert() { isMember = isMember.map { !$0 } }

    /// The set written as `[...]` in a wildcard pattern, whose opening bracket is already taken off
    /// `rest`; takes off the remainder. Nil when it is not closed or names no class of bytes.
    ///
    /// A slash is never in it, as in rsync, whatever the brackets say.
    init?(parsing rest: inout ArraySlice<UInt8>) {
        let isInverted = rest.first == UInt8(ascii: "!") || rest.first == UInt8(ascii: "^")
        if isInverted { rest.removeFirst() }
        // What a `-` would start a range from: not a range's own end, and not a class.
        var low: UInt8?
        var isFirst = true
        while let byte = rest.popFirst() {
            if byte == closing, !isFirst {
                if isInverted { invert() }
                isMember[Int(slash)] = false
                return
            }
            isFirst = false
            if byte == UInt8(ascii: "-"), let start = low, let next = rest.first, next != closing {
                guard let end = popMember(&rest) else { return nil }
                if start <= end { insert(start...end) }
                low = nil
            } else if byte == opening, let name = popClassName(&rest) {
                guard let ranges = byteClass(name) else { return nil }
                for range in ranges { insert(range) }
                low = nil
            } else {
                guard let member = byte == backslash ? rest.popFirst() : byte else { return nil }
                insert(member...member)
                low = member
            }
        }
        return nil
    }
}

/// One byte or, after a backslash, the byte behind it.
private func popMember(_ rest: inout ArraySlice<UInt8>) -> UInt8? {
    let byte = rest.popFirst()
    return byte == backslash ? rest.popFirst() : byte
}

/// The name in `:name:]`, taken off `rest`; nil, with `rest` as it was, when that is not there.
private func popClassName(_ rest: inout ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
    let colon = UInt8(ascii: ":")
    guard rest.first == colon, let end = rest.firstIndex(of: closing),
        end - rest.startIndex >= 2, rest[end - 1] == colon
    else { return nil }
    defer { rest = rest[(end + 1)...] }
    return rest[(rest.startIndex + 1)..<(end - 1)]
}

/// The members of a POSIX class in the C locale; nil for a name that is none.
private func byteClass(_ name: ArraySlice<UInt8>) -> [ClosedRange<UInt8>]? {
    let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
    let lower = UInt8(ascii: "a")...UInt8(ascii: "z")
    let upper = UInt8(ascii: "A")...UInt8(ascii: "Z")
    return switch String(decoding: name, as: UTF8.self) {
    case "alnum": [digits, lower, upper]
    case "alpha": [lower, upper]
    case "blank": [0x09...0x09, 0x20...0x20]
    case "cntrl": [0x00...0x1f, 0x7f...0x7f]
    case "digit": [digits]
    case "graph": [0x21...0x7e]
    case "lower": [lower]
    case "print": [0x20...0x7e]
    case "punct": [0x21...0x2f, 0x3a...0x40, 0x5b...0x60, 0x7b...0x7e]
    case "space": [0x09...0x0d, 0x20...0x20]
    case "upper": [upper]
    case "xdigit":
        [digits, UInt8(ascii: "a")...UInt8(ascii: "f"), UInt8(ascii: "A")...UInt8(ascii: "F")]
    default: nil
    }
}

private let star = UInt8(ascii: "*")
private let question = UInt8(ascii: "?")
private let opening = UInt8(ascii: "[")
private let closing = UInt8(ascii: "]")
private let backslash = UInt8(ascii: "\\")

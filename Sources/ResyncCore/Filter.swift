/// Which entries are left out of both stores, by rules with the meaning of rsync's `--exclude` and
/// `--exclude-from` (rsync(1), FILTER RULES).
///
/// The first rule that matches an entry decides; an entry that none matches is kept. The walk asks
/// from the root down and does not enter what is left out, so a rule that keeps an entry has no
/// effect below a directory that is left out.
package struct Filter: Sendable, Hashable {
    /// Leaves nothing out.
    package static let none = Filter()

    /// Bytes of one pattern; rsync drops longer ones, here they are refused.
    package static let patternLimit = 4095
    /// With `byteLimit` this bounds the work for one entry: at most 27,000 words of automaton state
    /// for each byte of its path.
    package static let ruleLimit = 10_000
    /// Bytes of all patterns together.
    package static let byteLimit = 1 << 20

    private struct Rule: Sendable, Hashable {
        let keeps: Bool
        let pattern: FilterPattern
    }

    private var rules: [Rule] = []
    private var byteCount = 0

    package init() {}

    /// Adds what one `--exclude` argument says: a pattern, `- ` or `+ ` and a pattern to leave out
    /// or to keep, or `!`, which forgets all rules so far. An empty argument says nothing.
    ///
    /// As in rsync, no other rule exists here: `P foo`, `merge foo` and `: foo` are patterns.
    ///
    /// Throws, with the filter unchanged, when a limit is exceeded, when no pattern follows the
    /// prefix, and on a zero byte.
    package mutating func add(rule: [UInt8]) throws(FilterError) {
        do throws(Refusal) {
            try add(rule[...])
        } catch {
            throw FilterError(reason: error.reason, line: nil)
        }
    }

    /// Adds what an `--exclude-from` file says: one rule in each line as in `add(rule:)`; lines
    /// that are empty or begin with `;` or `#` say nothing.
    ///
    /// `separator` is a newline, and then a carriage return ends a line too, or zero (`--from0`).
    /// Throws as `add(rule:)` does, with the filter unchanged and the number of the line.
    package mutating func add(list: [UInt8], separator: UInt8) throws(FilterError) {
        var result = self
        var line = 1
        var start = 0
        while start < list.count {
            let end = list[start...].firstIndex { ends($0, separator) } ?? list.count
            let rule = list[start..<end]
            if let first = rule.first, first != UInt8(ascii: ";"), first != UInt8(ascii: "#") {
                do throws(Refusal) {
                    try result.add(rule)
                } catch {
                    throw FilterError(reason: error.reason, line: line)
                }
            }
            start = end + 1
            // A carriage return and a newline end one line, not two.
            let isPair =
                end < list.count && list[end] == carriageReturn && start < list.count
                && list[start] == newline && separator == newline
            if !isPair { line += 1 }
        }
        self = result
    }

    /// Leaves out a path of the store and all below it; the root: everything.
    ///
    /// Throws as `add(rule:)` does.
    package mutating func leaveOut(_ path: RelativePath) throws(FilterError) {
        let star = UInt8(ascii: "*")
        guard path != .root else { return try add(rule: excludePrefix + [slash, star]) }
        let special = [star, UInt8(ascii: "?"), UInt8(ascii: "[")]
        let backslash = UInt8(ascii: "\\")
        // Without a wildcard a backslash is no escape.
        let escapes = path.bytes.contains(where: special.contains)
        let text = path.bytes.flatMap { byte in
            escapes && (special + [backslash]).contains(byte) ? [backslash, byte] : [byte]
        }
        try add(rule: excludePrefix + [slash] + text)
    }

    /// Whether there are no rules.
    package var isEmpty: Bool { rules.isEmpty }

    /// Whether an entry of a baseline is left out, or a directory above it.
    package func excludes(_ record: BaselineRecord) -> Bool {
        guard !rules.isEmpty else { return false }
        var at = record.path
        var isDirectory = record.agreed.isDirectory
        while at != .root {
            let parent = at.parent
            let isLeftOut = at.lastName.bytes.withUnsafeBufferPointer {
                excludes($0, in: parent.bytes, isDirectory: isDirectory)
            }
            if isLeftOut { return true }
            (at, isDirectory) = (parent, true)
        }
        return false
    }

    /// Whether an entry is left out.
    ///
    /// `name` is its last component, `parent` the path of its directory below the root, empty for
    /// the root itself. A symlink is no directory, wherever it leads.
    package func excludes(
        _ name: UnsafeBufferPointer<UInt8>, in parent: [UInt8], isDirectory: Bool
    ) -> Bool {
        guard !rules.isEmpty, !name.isEmpty else { return false }
        return parent.withUnsafeBufferPointer { parent in
            for rule in rules
            where rule.pattern.matches(name, in: parent, isDirectory: isDirectory) {
                return !rule.keeps
            }
            return false
        }
    }

    /// The rules in order, for the digest by which two manifests' exclusions are compared: each as
    /// `- ` or `+ `, its pattern and a zero byte. It is a list that `add(list:separator:)` reads
    /// back to an equal filter.
    package var canonicalBytes: [UInt8] {
        var bytes: [UInt8] = []
        for rule in rules {
            bytes += rule.keeps ? keepPrefix : excludePrefix
            bytes += rule.pattern.text
            bytes.append(0)
        }
        return bytes
    }

    /// Why a rule is not taken.
    private enum Refusal: Error {
        case zeroByte, noPattern, longPattern, manyRules, manyBytes

        var reason: String {
            switch self {
            case .zeroByte: "the pattern contains a zero byte"
            case .noPattern: "no pattern follows the prefix"
            case .longPattern: "the pattern has more than \(Filter.patternLimit) bytes"
            case .manyRules: "there are more than \(Filter.ruleLimit) rules"
            case .manyBytes: "all patterns together have more than \(Filter.byteLimit) bytes"
            }
        }
    }

    private mutating func add(_ rule: ArraySlice<UInt8>) throws(Refusal) {
        guard !rule.isEmpty else { return }
        guard rule != [UInt8(ascii: "!")] else {
            self = .none
            return
        }
        let keeps = rule.starts(with: keepPrefix)
        let text = keeps || rule.starts(with: excludePrefix) ? rule.dropFirst(2) : rule
        guard !text.isEmpty else { throw .noPattern }
        // No name has one; rsync would silently take what stands before it as the pattern.
        guard !text.contains(0) else { throw .zeroByte }
        guard text.count <= Filter.patternLimit else { throw .longPattern }
        guard rules.count < Filter.ruleLimit else { throw .manyRules }
        guard byteCount + text.count <= Filter.byteLimit else { throw .manyBytes }
        rules.append(Rule(keeps: keeps, pattern: FilterPattern(Array(text))))
        byteCount += text.count
    }
}

/// A rule that cannot be taken.
package struct FilterError: Error, Hashable {
    /// What is wrong, without the pattern itself.
    package let reason: String
    /// Where in the list, from 1; nil for a rule that came alone.
    package let line: Int?

    package init(reason: String, line: Int?) {
        self.reason = reason
        self.line = line
    }
}

private let keepPrefix: [UInt8] = [UInt8(ascii: "+"), UInt8(ascii: " ")]
private let excludePrefix: [UInt8] = [UInt8(ascii: "-"), UInt8(ascii: " ")]
private let newline = UInt8(ascii: "\n")
private let carriageReturn = UInt8(ascii: "\r")

private func ends(_ byte: UInt8, _ separator: UInt8) -> Bool {
    byte == separator || byte == carriageReturn && separator == newline
}

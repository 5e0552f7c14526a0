import ResyncCore

/// rsync's pattern rules as the manual words them, by recursion over every choice: slow, and with
/// nothing in common with the automaton it is compared with.
package enum FilterReference {
    package static func matches(_ text: [UInt8], path: [UInt8], isDirectory: Bool) -> Bool {
        var pattern = text
        if pattern.count > 1, pattern.last == slash {
            guard isDirectory else { return false }
            pattern.removeLast()
        }
        let written = String(decoding: pattern, as: UTF8.self)
        let isAnchored = pattern.first == slash
        let components = path.split(separator: slash, omittingEmptySubsequences: false)
        var subjects: [[UInt8]] = []
        if !written.utf8.contains(slash), !contains(pattern, "**") {
            subjects = [Array(components[components.count - 1])]
        } else if isAnchored {
            pattern.removeFirst()
            subjects = [path]
        } else {
            let slashes = pattern.count { $0 == slash }
            for start in components.indices {
                guard contains(pattern, "**") || components.count - start == slashes + 1 else {
                    continue
                }
                subjects.append(Array(components[start...].joined(separator: [slash])))
            }
            if pattern.starts(with: Array("**".utf8)) { subjects.append([slash] + path) }
        }
        if isDirectory, pattern.suffix(3) == Array("***".utf8) {
            subjects = subjects.map { $0 + [slash] }
        }
        // By bytes: what combines with one of these would hide it.
        let isWild = written.utf8.contains { "*?[".utf8.contains($0) }
        return subjects.contains { isWild ? glob(pattern[...], $0[...]) : pattern == $0 }
    }

    private static func contains(_ bytes: [UInt8], _ part: String) -> Bool {
        let part = Array(part.utf8)
        return bytes.indices.contains { bytes[$0...].starts(with: part) }
    }

    private static func glob(_ pattern: ArraySlice<UInt8>, _ text: ArraySlice<UInt8>) -> Bool {
        guard let first = pattern.first else { return text.isEmpty }
        let rest = pattern.dropFirst()
        if first == UInt8(ascii: "*") {
            let after = rest.drop { $0 == first }
            let crosses = after.count < rest.count
            for cut in text.startIndex...text.endIndex {
                if !crosses, text[..<cut].contains(slash) { return false }
                if glob(after, text[cut...]) { return true }
            }
            return false
        }
        guard let byte = text.first else { return false }
        switch first {
        case UInt8(ascii: "?"):
            return byte != slash && glob(rest, text.dropFirst())
        case UInt8(ascii: "\\"):
            return rest.first == byte && glob(rest.dropFirst(), text.dropFirst())
        case UInt8(ascii: "["):
            guard let (isIn, after) = set(rest, byte), byte != slash else { return false }
            return isIn && glob(after, text.dropFirst())
        default:
            return first == byte && glob(rest, text.dropFirst())
        }
    }

    /// Whether `byte` is in the set behind the bracket, and what follows the set.
    private static func set(
        _ pattern: ArraySlice<UInt8>, _ byte: UInt8
    ) -> (Bool, ArraySlice<UInt8>)? {
        var rest = Array(pattern)
        let isInverted = rest.first.map { "!^".utf8.contains($0) } ?? false
        if isInverted { rest.removeFirst() }
        var isIn = false
        var before: UInt8?
        var isFirst = true
        while let next = rest.first {
            if next == UInt8(ascii: "]"), !isFirst {
                return (isIn != isInverted, pattern.suffix(rest.count - 1))
            }
            isFirst = false
            if rest.starts(with: Array("[:".utf8)) {
                guard let close = rest.firstIndex(of: UInt8(ascii: "]")) else { return nil }
                if close > 2, rest[close - 1] == UInt8(ascii: ":") {
                    let letters = UInt8(ascii: "a")...UInt8(ascii: "z")
                    let isAlpha = rest[..<(close - 1)] == Array("[:alpha".utf8)[...]
                    guard isAlpha else { return nil }
                    isIn = isIn || letters.contains(byte | 0x20)
                    rest.removeFirst(close + 1)
                    before = nil
                    continue
                }
            }
            rest.removeFirst()
            if next == UInt8(ascii: "-"), let low = before, let after = rest.first,
                after != UInt8(ascii: "]")
            {
                rest.removeFirst()
                let high = after == UInt8(ascii: "\\") ? rest.first : after
                guard let high else { return nil }
                if after == UInt8(ascii: "\\") { rest.removeFirst() }
                isIn = isIn || (low <= byte && byte <= high)
                before = nil
            } else if next == UInt8(ascii: "\\") {
                guard !rest.isEmpty else { return nil }
                before = rest.removeFirst()
                isIn = isIn || before == byte
            } else {
                before = next
                isIn = isIn || next == byte
            }
        }
        return nil
    }
}

/// What filter tests ask of chance.
extension Seed {
    package mutating func chance(_ percent: Int) -> Bool {
        Int.random(in: 0..<100, using: &self) < percent
    }

    /// A name of one to three bytes that mean something in patterns, or nothing in UTF-8.
    package mutating func filterName() -> [UInt8] {
        let common = Array("abc".utf8)
        let odd = Array("*?[]\\-!^:Z .".utf8) + [0xff]
        while true {
            let name = (0..<Int.random(in: 1...3, using: &self)).compactMap { _ in
                (chance(70) ? common : odd).randomElement(using: &self)
            }
            if Name(name).isValid { return name }
        }
    }

    package mutating func path() -> [UInt8] {
        Array(
            (0..<Int.random(in: 1...4, using: &self)).map { _ in filterName() }.joined(separator: [
                slash
            ])
        )
    }

    /// A pattern made from the tail of `path`, some of its bytes replaced, so that it often matches
    /// and often just fails to.
    package mutating func pattern(from path: [UInt8]) -> [UInt8] {
        let components = path.split(separator: slash)
        let tail = components.suffix(Int.random(in: 1...components.count, using: &self))
        let pieces = [
            "*", "*", "**", "**", "***", "?", "?", "[!b]", "[a-c]", "[[:alpha:]]", "[^]b-]", "[]",
            "[\\a-\\c]", "[[:]", "[[:x:]]", "[a", "\\", "/", "**/", "/**", "-", "!", "]", "[", "a",
        ].map { Array($0.utf8) }
        var pattern: [UInt8] = chance(25) ? [slash] : []
        for byte in tail.joined(separator: [slash]) {
            switch Int.random(in: 0..<10, using: &self) {
            case 0, 1: pattern += pieces.randomElement(using: &self) ?? []
            case 2: pattern += (pieces.randomElement(using: &self) ?? []) + [byte]
            case 3: pattern += [UInt8(ascii: "\\"), byte]
            case 4: pattern += "[".utf8 + [byte] + "]".utf8
            default: pattern.append(byte)
            }
        }
        if chance(10) { pattern += "/***".utf8 }
        if chance(10) { pattern += "/**".utf8 }
        if chance(15) { pattern.append(slash) }
        return pattern
    }
}

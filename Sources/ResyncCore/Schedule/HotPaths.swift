/// A day of the local calendar.
package struct CalendarDay: Sendable, Hashable {
    /// 0 ... 9999.
    package let year: Int
    /// 1 ... 12.
    package let month: Int
    /// 1 ... 31.
    package let day: Int

    package init(year: Int, month: Int, day: Int) {
        self.year = year
        self.month = month
        self.day = day
    }

    fileprivate var isPlausible: Bool {
        (0...9999).contains(year) && (1...12).contains(month) && (1...31).contains(day)
    }
}

/// Why hot paths cannot be taken.
package struct HotPathError: Error, Hashable {
    /// As a person reads it.
    package let reason: String

    package init(reason: String) { self.reason = reason }
}

/// Where services write: paths below a store's root, each with all below it.
package struct HotPaths: Sendable, Hashable {
    /// In walk order; none lies below another one.
    package let paths: [RelativePath]

    /// How many paths patterns may stand for.
    package static let limit = 1000

    package init() { paths = [] }

    /// - Parameters:
    ///   - patterns: as `rec/%Y/%m/%d`, with the letters of strftime: `%Y` `%m` `%d` `%H` `%%`.
    ///   - days: of the suspect window. `%H` stands for each hour of a day.
    package init(_ patterns: [[UInt8]], days: [CalendarDay]) throws(HotPathError) {
        var found: Set<RelativePath> = []
        for pattern in patterns {
            let parts = try Self.parts(of: pattern)
            // What names no day, or no hour, is the same for each.
            let isDated = parts.contains { $0.isDated }
            let days = isDated ? days : [CalendarDay(year: 0, month: 1, day: 1)]
            if let wrong = days.first(where: { !$0.isPlausible }) {
                throw HotPathError(
                    reason: "\(wrong.year)-\(wrong.month)-\(wrong.day) is no day for a path")
            }
            let hours = parts.contains(.hour) ? 0..<24 : 0..<1
            for day in days {
                for hour in hours {
                    let path = RelativePath(parts.flatMap { $0.bytes(day, hour) })
                    guard path.isValid, path != .root else {
                        throw HotPathError(reason: "\(quoted(pattern)) is no path below a store")
                    }
                    found.insert(path)
                    guard found.count <= Self.limit else {
                        throw HotPathError(
                            reason: "\(quoted(pattern)) and the patterns before it stand for "
                                + "more than \(countText(Self.limit)) paths")
                    }
                }
            }
        }
        var paths: [RelativePath] = []
        for path in found.sorted() {
            // What lies below another path comes right behind it.
            if let last = paths.last, path.isWithin(last) { continue }
            paths.append(path)
        }
        self.paths = paths
    }

    /// Whether a path is one of these or lies below one.
    package func contain(_ path: RelativePath) -> Bool {
        var (low, high) = (0, paths.count)
        while low < high {
            let middle = (low + high) / 2
            if path < paths[middle] { high = middle } else { low = middle + 1 }
        }
        return low > 0 && path.isWithin(paths[low - 1])
    }

    private enum Part: Hashable {
        case text(UInt8)
        case year, month, day, hour

        var isDated: Bool {
            if case .text = self { return false }
            return true
        }

        func bytes(_ date: CalendarDay, _ hour: Int) -> [UInt8] {
            switch self {
            case .text(let byte): [byte]
            case .year: digits(date.year, 4)
            case .month: digits(date.month, 2)
            case .day: digits(date.day, 2)
            case .hour: digits(hour, 2)
            }
        }
    }

    private static func parts(of pattern: [UInt8]) throws(HotPathError) -> [Part] {
        var parts: [Part] = []
        var rest = pattern[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                parts.append(.text(byte))
                continue
            }
            switch rest.popFirst() {
            case UInt8(ascii: "Y"): parts.append(.year)
            case UInt8(ascii: "m"): parts.append(.month)
            case UInt8(ascii: "d"): parts.append(.day)
            case UInt8(ascii: "H"): parts.append(.hour)
            case byte: parts.append(.text(byte))
            case let other:
                let letter = other.map { escaped([byte, $0]) } ?? "a % at its end"
                throw HotPathError(
                    reason: "\(quoted(pattern)) has \(letter): use %Y, %m, %d, %H, or %% for a %")
            }
        }
        return parts
    }
}

private func quoted(_ pattern: [UInt8]) -> String { "'\(escaped(pattern))'" }

private func digits(_ number: Int, _ count: Int) -> [UInt8] {
    let digits = Array(String(number).utf8)
    return Array(repeating: UInt8(ascii: "0"), count: max(0, count - digits.count)) + digits
}

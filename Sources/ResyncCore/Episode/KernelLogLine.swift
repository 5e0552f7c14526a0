/// One line of a kernel log that was kept as text: by journalctl (`-k -o short-iso`,
/// `short-iso-precise`, `short`), by a syslog daemon (RFC 3164 or ISO times), or by `dmesg`.
package struct KernelLogLine: Sendable, Hashable {
    package enum Time: Sendable, Hashable {
        case wall(Timestamp)
        /// `dmesg` counts seconds since boot.
        case sinceBoot(Double)
        /// A syslog time has no year and no zone: month and day from 1, seconds since midnight.
        case local(month: Int, day: Int, seconds: Int)
    }

    package static let limit = 16 << 10
    /// Seconds since boot that a machine can have been up for: more than a century.
    private static let timeLimit = 4e9

    package let time: Time
    package let text: [UInt8]

    /// Nil for a line that is none, or that the kernel did not write.
    package init?(_ line: [UInt8]) {
        guard line.count <= Self.limit else { return nil }
        var rest = line[...]
        if rest.first == UInt8(ascii: "[") {
            guard let end = rest.firstIndex(of: UInt8(ascii: "]")),
                let seconds = Double(
                    String(decoding: rest[1..<end].drop { $0 == 0x20 }, as: UTF8.self)),
                (0..<Self.timeLimit).contains(seconds)
            else { return nil }
            time = .sinceBoot(seconds)
            rest = rest[(end + 1)...].drop { $0 == 0x20 }
        } else {
            let words = rest.split(separator: 0x20, maxSplits: 5)
            if let first = words.first, let stamp = isoTime(Array(first)) {
                time = .wall(stamp)
                rest = rest[first.endIndex...]
            } else if words.count > 3, let local = syslogTime(words) {
                time = local
                rest = rest[words[2].endIndex...]
            } else {
                return nil
            }
            // The host, and who wrote it.
            let parts = rest.split(separator: 0x20, maxSplits: 2)
            guard parts.count == 3, parts[1].elementsEqual("kernel:".utf8) else { return nil }
            rest = parts[2]
            // Some daemons keep the kernel's own time in front of the message.
            if rest.first == UInt8(ascii: "["), let end = rest.firstIndex(of: UInt8(ascii: "]")),
                rest[rest.startIndex..<end].dropFirst().allSatisfy({ $0 <= 0x39 })
            {
                rest = rest[(end + 1)...].drop { $0 == 0x20 }
            }
        }
        text = Array(rest)
    }
}

private let months = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
]

private func syslogTime(_ words: [ArraySlice<UInt8>]) -> KernelLogLine.Time? {
    let name = String(decoding: words[0], as: UTF8.self)
    guard let month = months.firstIndex(of: name), let day = UInt64(digits: words[1]),
        (1...31).contains(day)
    else { return nil }
    let clock = words[2].split(separator: UInt8(ascii: ":")).compactMap { UInt64(digits: $0) }
    guard clock.count == 3, clock[0] < 24, clock[1] < 60, clock[2] < 61 else { return nil }
    return .local(
        month: month + 1, day: Int(day),
        seconds: Int(clock[0] * 3600 + clock[1] * 60 + clock[2]))
}

/// `2026-11-24T17:50:03.123456+01:00`, `+0100` or `Z` (ISO 8601).
private func isoTime(_ text: [UInt8]) -> Timestamp? {
    func number(_ range: Range<Int>) -> Int64? {
        guard range.upperBound <= text.count else { return nil }
        return UInt64(digits: text[range]).map { Int64($0) }
    }
    guard text.count >= 20, text[4] == UInt8(ascii: "-"), text[10] == UInt8(ascii: "T"),
        let year = number(0..<4), let month = number(5..<7), (1...12).contains(month),
        let day = number(8..<10), (1...31).contains(day), let hour = number(11..<13), hour < 24,
        let minute = number(14..<16), minute < 60, let second = number(17..<19), second < 61
    else { return nil }
    var at = 19
    var nanoseconds: UInt32 = 0
    if at < text.count, text[at] == UInt8(ascii: ".") || text[at] == UInt8(ascii: ",") {
        let digits = text[(at + 1)...].prefix { $0 >= 0x30 && $0 <= 0x39 }.prefix(9)
        var value: UInt32 = 0
        for place in 0..<9 {
            let digit = place < digits.count ? digits[digits.startIndex + place] - 0x30 : 0
            value = value * 10 + UInt32(digit)
        }
        nanoseconds = value
        at += 1 + digits.count
    }
    guard let offset = zone(text[min(at, text.count)...]) else { return nil }
    let seconds = days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset
    return Timestamp(seconds: seconds, nanoseconds: nanoseconds)
}

/// Seconds east of Greenwich.
private func zone(_ text: ArraySlice<UInt8>) -> Int64? {
    guard let sign = text.first else { return nil }
    if sign == UInt8(ascii: "Z") { return text.count == 1 ? 0 : nil }
    let digits = text.dropFirst().filter { $0 != UInt8(ascii: ":") }
    guard sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-"), digits.count == 4,
        let number = UInt64(digits: digits), number % 100 < 60, number / 100 < 24
    else { return nil }
    let seconds = Int64(number / 100 * 3600 + number % 100 * 60)
    return sign == UInt8(ascii: "-") ? -seconds : seconds
}

/// Days since 1970-01-01 (Hinnant, "chrono-Compatible Low-Level Date Algorithms",
/// days_from_civil), for years from 0.
private func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
    let shifted = month <= 2 ? year - 1 : year
    let era = (shifted >= 0 ? shifted : shifted - 399) / 400
    let yearOfEra = shifted - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
}

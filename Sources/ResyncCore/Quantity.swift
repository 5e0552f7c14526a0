/// A number with a unit that an operator typed, and cannot mean what was asked for.
package struct QuantityError: Error, Sendable {
    package let reason: String
}

/// The sum, or the largest number there is: two sparse files can be larger together than any.
package func cappedSum(_ left: Int, _ right: Int) -> Int {
    let (sum, isTooLarge) = left.addingReportingOverflow(right)
    return isTooLarge ? .max : sum
}

/// The sum of numbers that a file gave.
func checkedSum(_ left: Int, _ right: Int) throws(FormatError) -> Int {
    let (sum, isTooLarge) = left.addingReportingOverflow(right)
    guard !isTooLarge else { throw FormatError("counts more than there can be") }
    return sum
}

/// Without its fraction; the nearest `Int` where it is larger than any, as `Double(Int.max)` is.
package func wholeNumber(_ value: Double) -> Int {
    Int(exactly: value.rounded(.towardZero)) ?? (value < 0 ? .min : value > 0 ? .max : 0)
}

/// Sizes as `64KiB`, `200M`, `1GiB`, `4096`; `K`, `M`, `G`, `T` are powers of 1024 as well.
package func parseSize(_ text: String) throws(QuantityError) -> Int {
    let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
    guard let number = Double(digits), number.isFinite else {
        throw QuantityError(reason: "'\(escaped(text.utf8))' is no number")
    }
    let unit = text.dropFirst(digits.count)
    let shifts: [String: Int] = [
        "": 0, "B": 0, "K": 10, "KIB": 10, "M": 20, "MIB": 20, "G": 30, "GIB": 30, "T": 40,
        "TIB": 40,
    ]
    guard let shift = shifts[unit.uppercased()] else {
        throw QuantityError(reason: "'\(escaped(text.utf8))' is no size: use 4096, 64KiB, 1MiB, 2G")
    }
    // A whole number stays whole: beyond 2^53 a Double would round it.
    if let whole = Int(digits) {
        let (value, overflows) = whole.multipliedReportingOverflow(by: 1 << shift)
        if !overflows { return value }
    }
    let value = number * Double(1 << shift)
    guard value < 9e18, value == value.rounded() else {
        throw QuantityError(reason: "'\(escaped(text.utf8))' is no whole number of bytes")
    }
    return Int(value)
}

/// Bytes per second as `200MiB/s`; the `/s` may be left out.
package func parseRate(_ text: String) throws(QuantityError) -> Int {
    let size = try parseSize(text.hasSuffix("/s") ? String(text.dropLast(2)) : text)
    guard size > 0 else { throw QuantityError(reason: "a rate of zero would never end") }
    guard text.contains(where: { !$0.isNumber }) else {
        throw QuantityError(
            reason: "'\(escaped(text.utf8))' is no rate: use 500KiB/s, 200MiB/s, 1GiB/s")
    }
    return size
}

/// Durations as `30s`, `5m`, `6h`, `7d`, `500ms`, or `1h30m`, in seconds; a bare number is seconds.
package func parseDuration(_ text: String) throws(QuantityError) -> Double {
    let factors: [String: Double] = ["": 1, "ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400]
    var seconds = 0.0
    var rest = Substring(text)
    repeat {
        let digits = rest.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        let unit = rest.dropFirst(digits.count).prefix { $0.isASCII && $0.isLetter }
        rest = rest.dropFirst(digits.count + unit.count)
        // A number alone is as often meant in minutes, or hours; nothing is nothing in each.
        guard let number = Double(digits), let factor = factors[String(unit)],
            !unit.isEmpty || number == 0
        else {
            throw QuantityError(
                reason: "'\(escaped(text.utf8))' is no duration: use 30s, 5m, 6h, 7d")
        }
        seconds += number * factor
    } while !rest.isEmpty
    guard seconds.isFinite, seconds >= 0, seconds < 1e9 else {
        throw QuantityError(reason: "'\(escaped(text.utf8))' is out of bounds")
    }
    return seconds
}

/// As `1.5 GiB`.
package func sizeText(_ bytes: Int) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
    var value = Double(bytes)
    var unit = 0
    // What would be rounded to 1024 is 1 of the next unit.
    while value >= (unit == 0 ? 1024 : 1023.95), unit < units.count - 1 {
        value /= 1024
        unit += 1
    }
    return unit == 0 ? "\(bytes) B" : "\(decimals(value, value < 10 ? 2 : 1)) \(units[unit])"
}

/// As `1,234,567`.
package func countText(_ count: Int) -> String {
    let digits = Array(String(count))
    var text = ""
    for (index, digit) in digits.enumerated() {
        if index > 0, (digits.count - index) % 3 == 0, text != "-" { text += "," }
        text.append(digit)
    }
    return text
}

/// As `0.42 s`, `12.3 s`, `4 min 05 s`, `2 h 07 min`.
package func durationText(_ seconds: Double) -> String {
    if seconds < 10 { return "\(decimals(seconds, 2)) s" }
    guard seconds >= 100, seconds < 1e15 else { return "\(decimals(seconds, 1)) s" }
    let whole = Int(seconds.rounded())
    func padded(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
    if whole < 3600 { return "\(whole / 60) min \(padded(whole % 60)) s" }
    return "\(whole / 3600) h \(padded(whole % 3600 / 60)) min"
}

/// A number with so many decimals.
package func decimals(_ value: Double, _ count: Int) -> String {
    var factor = 1.0
    for _ in 0..<count { factor *= 10 }
    let rounded = (abs(value) * factor).rounded()
    guard rounded < 9e18 else { return "\(value)" }
    let scaled = Int(rounded)
    let digits = String(scaled)
    let padded = String(repeating: "0", count: max(0, count + 1 - digits.count)) + digits
    let sign = value < 0 && scaled != 0 ? "-" : ""
    return count == 0 ? sign + padded : "\(sign)\(padded.dropLast(count)).\(padded.suffix(count))"
}

extension Timestamp {
    /// As `2026-11-22T23:04:05Z` (RFC 3339).
    package var utcText: String {
        let rest = seconds % 86400
        let (days, inDay) = (seconds / 86400 - (rest < 0 ? 1 : 0), rest < 0 ? rest + 86400 : rest)
        let (year, month, day) = civil(days)
        func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let digits = String(year.magnitude)
        let zeros = String(repeating: "0", count: max(0, 4 - digits.count))
        return "\(year < 0 ? "-" : "")\(zeros)\(digits)-\(two(month))-\(two(day))"
            + "T\(two(inDay / 3600)):\(two(inDay % 3600 / 60)):\(two(inDay % 60))Z"
    }
}

/// Days since 1970-01-01 as a date of the Gregorian calendar (Hinnant, "chrono-Compatible Low-Level
/// Date Algorithms", civil_from_days).
private func civil(_ days: Int64) -> (year: Int64, month: Int64, day: Int64) {
    let shifted = days + 719_468
    let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra =
        (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
}

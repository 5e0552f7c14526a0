import Glibc
import ResyncCore
import ResyncStorage

/// A time in which storage was not to be trusted, as `17:50..19:15` or
/// `2026-11-21 17:50..2026-11-22 11:30`, in local time, or with `Z` or `+01:00`. A time of day
/// alone means the latest such time past.
struct SuspectWindow {
    let start: Timestamp
    let end: Timestamp

    init(_ text: String) throws {
        let parts = text.split(separator: "..", omittingEmptySubsequences: false)
        guard parts.count == 2 else { throw refusedTime(text) }
        end = try latestTime(String(parts[1]), text, before: .now)
        start = try latestTime(String(parts[0]), text, before: end)
        guard start <= end else {
            throw CommandError("'\(escaped(text.utf8))' ends before it begins", .usage)
        }
        Main.complain("suspect from \(start.utcText) to \(end.utcText)")
    }
}

private func refusedTime(_ text: String) -> CommandError {
    CommandError(
        "'\(escaped(text.utf8))' is no time or window: use 17:50, 2026-11-21 17:50, "
            + "17:50..19:15; Z or +01:00 behind it is the zone", .usage)
}

/// The time that a person means: a time of day alone is the latest such time past.
///
/// - Parameter whole: what the person typed, for the message.
func latestTime(
    _ text: String, _ whole: String, before limit: Timestamp
) throws -> Timestamp {
    let (text, offset) = splitZone(text)
    let parts = text.split { $0 == "T" || $0 == " " }
    guard let last = parts.last, parts.count <= 2,
        let clock = numbers(last, ":", [24, 60, 61]), clock.count >= 2
    else { throw refusedTime(whole) }
    var fields = tm()
    if parts.count == 2 {
        guard let date = numbers(parts[0], "-", [10_000, 13, 32]), date.count == 3,
            isDate(date)
        else { throw refusedTime(whole) }
        (fields.tm_year, fields.tm_mon, fields.tm_mday) = (date[0] - 1900, date[1] - 1, date[2])
    } else {
        guard let day = limit.fields(east: offset) else { throw refusedTime(whole) }
        fields = day
    }
    (fields.tm_hour, fields.tm_min) = (clock[0], clock[1])
    fields.tm_sec = clock.count > 2 ? clock[2] : 0
    let found = Timestamp(fields, east: offset)
    if parts.count == 2 || found <= limit { return found }
    // That was still to come: the day before is meant.
    fields.tm_mday -= 1
    return Timestamp(fields, east: offset)
}

/// The same, for what must have happened by now.
func pastTime(_ text: String, before limit: Timestamp = .now) throws -> Timestamp {
    let found = try latestTime(text, text, before: limit)
    guard found <= .now else {
        throw CommandError("'\(escaped(text.utf8))' is still to come", .usage)
    }
    return found
}

/// - Throws: `CommandError` for what is no zone.
func secondsEast(_ text: String) throws -> Int64 {
    guard case (let rest, let east?) = splitZone(" " + text), rest == " " else {
        throw CommandError("'\(escaped(text.utf8))' is no zone: use Z or +01:00", .usage)
    }
    return east
}

/// A time without its zone, and that in seconds east of Greenwich; nil: local time.
private func splitZone(_ text: String) -> (Substring, Int64?) {
    if text.hasSuffix("Z") { return (text.dropLast(), 0) }
    let zone = text.suffix(6)
    guard let sign = zone.first, sign == "+" || sign == "-",
        let parts = numbers(zone.dropFirst(), ":", [24, 60]), parts.count == 2, text.count > 6
    else { return (text[...], nil) }
    let east = Int64(parts[0]) * 3600 + Int64(parts[1]) * 60
    return (text.dropLast(6), sign == "-" ? -east : east)
}

/// Whether there is such a day.
private func isDate(_ date: [Int32]) -> Bool {
    var fields = tm()
    (fields.tm_year, fields.tm_mon, fields.tm_mday) = (date[0] - 1900, date[1] - 1, date[2])
    _ = timegm(&fields)
    return fields.tm_mon == date[1] - 1 && fields.tm_mday == date[2]
}

/// Numbers with a separator, each below its bound.
private func numbers(
    _ text: Substring, _ separator: Character, _ bounds: [Int32]
) -> [Int32]? {
    let parts = text.split(separator: separator, omittingEmptySubsequences: false)
    guard parts.count <= bounds.count else { return nil }
    var numbers: [Int32] = []
    for (part, bound) in zip(parts, bounds) {
        guard let number = Int32(part), number >= 0, number < bound else { return nil }
        numbers.append(number)
    }
    return numbers
}

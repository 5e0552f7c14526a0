import Glibc
import ResyncCore

extension Timestamp {
    /// As a person on this machine reads it: `2026-11-24 17:50:03 +01:00`.
    var localText: String { text(withDate: true) }

    /// The time of day alone: `17:50:03`.
    var clockText: String { text(withDate: false) }

    /// By the clock of this machine; nil for what no calendar holds.
    var localFields: tm? {
        var (time, fields) = (time_t(seconds), tm())
        return localtime_r(&time, &fields) == nil ? nil : fields
    }

    private func text(withDate: Bool) -> String {
        guard let fields = localFields else { return utcText }
        func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let clock = "\(two(fields.tm_hour)):\(two(fields.tm_min)):\(two(fields.tm_sec))"
        guard withDate else { return clock }
        let offset = Int32(fields.tm_gmtoff / 60)
        return "\(Int(fields.tm_year) + 1900)-\(two(fields.tm_mon + 1))-\(two(fields.tm_mday)) "
            + "\(clock) \(offset < 0 ? "-" : "+")\(two(abs(offset) / 60)):\(two(abs(offset) % 60))"
    }
}

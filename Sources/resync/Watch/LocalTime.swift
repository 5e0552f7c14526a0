import Glibc
import ResyncCore
import ResyncStorage

extension Timestamp {
    /// As a person on this machine reads it: `2026-11-24 17:50:03 +01:00`.
    var localText: String { text(withDate: true) }

    /// The time of day alone: `17:50:03`.
    var clockText: String { text(withDate: false) }

    /// How long ago that is.
    var ageText: String { durationText(Double(max(0, Timestamp.now.seconds - seconds))) }

    /// By the clock of this machine; nil for what no calendar holds.
    var localFields: tm? { fields(east: nil) }

    /// - Parameter offset: of the zone, in seconds east of Greenwich; nil: this machine's.
    func fields(east offset: Int64?) -> tm? {
        var (time, fields) = (time_t(seconds + (offset ?? 0)), tm())
        let found =
            offset == nil ? localtime_r(&time, &fields) : gmtime_r(&time, &fields)
        return found == nil ? nil : fields
    }

    /// - Parameter offset: as above.
    init(_ fields: tm, east offset: Int64?) {
        var fields = fields
        // Whether summer time was in force then, the zone knows best.
        fields.tm_isdst = -1
        let found = offset.map { Int64(timegm(&fields)) - $0 } ?? Int64(mktime(&fields))
        self.init(seconds: found, nanoseconds: 0)
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

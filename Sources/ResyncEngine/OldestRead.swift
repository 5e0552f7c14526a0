package import ResyncCore

/// What of a pair was read longest ago, by its baseline.
package struct OldestRead: Sendable {
    /// Files to be read again, the oldest ones, in walk order.
    package private(set) var paths: [RelativePath] = []
    /// Their bytes, on one side.
    package private(set) var bytes = 0
    /// Files that were last read before the limit that was asked for.
    package private(set) var overdue = 0
    package private(set) var overdueBytes = 0
    /// When the oldest of all was read.
    package private(set) var oldest: Timestamp?

    /// Seconds that are told apart: records are looked through twice, and counted by this.
    private static let grain: Int64 = 3600

    /// - Parameters:
    ///   - age: seconds after which a file is overdue.
    ///   - pause: seconds until the next time: what is overdue by then is chosen now.
    ///   - share: what part of all bytes is to be chosen, at least: 0 ... 1.
    ///   - limit: files that are chosen, at most.
    package init(
        _ baseline: KeptBaseline, at now: Timestamp, age: Double, pause: Double, share: Double,
        limit: Int
    ) throws {
        func ago(_ seconds: Double) -> Timestamp {
            now.adding(seconds: -Int64(max(0, min(seconds, 1e10))))
        }
        let (late, due) = (ago(age), ago(age - pause))
        var ages: [Int64: Int] = [:]
        var (total, dueBytes) = (0, 0)
        try Self.forEachFile(of: baseline) { record in
            let size = record.agreed.stat.size
            total = cappedSum(total, size)
            ages[record.time.seconds / Self.grain, default: 0] += size
            oldest = oldest.map { min($0, record.time) } ?? record.time
            if record.time < due { dueBytes = cappedSum(dueBytes, size) }
            guard record.time < late else { return }
            overdue += 1
            overdueBytes = cappedSum(overdueBytes, size)
        }
        let wanted = max(dueBytes, Int((Double(total) * max(0, min(share, 1))).rounded(.up)))
        var (found, last, ofLast) = (0, Int64.min, 0)
        for (hour, bytes) in ages.sorted(by: { $0.key < $1.key }) where found < wanted {
            (last, ofLast) = (hour, wanted - found)
            found = cappedSum(found, bytes)
        }
        guard last > .min else { return }
        try Self.forEachFile(of: baseline) { record in
            let hour = record.time.seconds / Self.grain
            guard paths.count < limit,
                record.time < due || hour < last || hour == last && ofLast > 0
            else { return }
            let size = record.agreed.stat.size
            if hour == last { ofLast -= size }
            paths.append(record.path)
            bytes = cappedSum(bytes, size)
        }
    }

    private static func forEachFile(
        of baseline: KeptBaseline, _ body: (BaselineRecord) -> Void
    ) throws {
        var records = try baseline.records()
        while let record = try records.next() {
            if record.agreed.type == .file, record.agreed.stat.size > 0 { body(record) }
        }
    }
}

package import ResyncCore

/// What of a pair was read longest ago, by its baseline.
package struct OldestRead: Sendable {
    /// Files to be read again, the oldest ones, in walk order.
    package private(set) var paths: [RelativePath] = []
    /// Their bytes, on one side.
    package private(set) var bytes = 0
    /// The last one of the oldest first, where more would have been chosen without the limit.
    package private(set) var last: Place?
    /// Files that were last read before the limit that was asked for.
    package private(set) var overdue = 0
    package private(set) var overdueBytes = 0
    /// When the oldest of all was read.
    package private(set) var oldest: Timestamp?

    /// Where an entry comes among all, the oldest first.
    package struct Place: Sendable, Hashable {
        /// In which it was read: times are told apart no finer.
        fileprivate let hour: Int64
        fileprivate let path: RelativePath

        /// - Parameter isTurn: whether it comes before what is only old.
        fileprivate init(_ record: BaselineRecord, isTurn: Bool) {
            self.init(hour: isTurn ? .min : record.time.seconds / 3600, path: record.path)
        }

        fileprivate init(hour: Int64, path: RelativePath) {
            (self.hour, self.path) = (hour, path)
        }
    }

    /// - Parameters:
    ///   - last: when this was last done to its end, as `now` was then; nil where it never was.
    ///   - age: seconds after which a file is overdue.
    ///   - pause: seconds until the next time: what is overdue by then is chosen now.
    ///   - share: what part of all bytes is to be chosen, at least: 0 ... 1.
    ///   - done: bytes of that which were read just before.
    ///   - place: what comes up to there was chosen just before, whatever came of it.
    ///   - limit: files that are chosen, at most; as many are held in memory.
    package init(
        _ baseline: KeptBaseline, at now: Timestamp, since last: Timestamp? = nil, age: Double,
        pause: Double, share: Double,
        done: Int = 0, after place: Place? = nil, limit: Int
    ) throws {
        func ago(_ seconds: Double) -> Timestamp {
            now.adding(seconds: -Int64(max(0, min(seconds, 1e10))))
        }
        let (late, due) = (ago(age), ago(age - pause))
        let turns = Turns(at: now, since: last, age: age, pause: pause)
        var candidates = Candidates(limit: limit)
        var (total, dueBytes) = (0, 0)
        var records = try baseline.records()
        while let record = try records.next() {
            let size = record.agreed.stat.size
            guard record.agreed.type == .file, size > 0 else { continue }
            total = cappedSum(total, size)
            oldest = oldest.map { min($0, record.time) } ?? record.time
            if record.time < late {
                overdue += 1
                overdueBytes = cappedSum(overdueBytes, size)
            }
            let isTurn = turns.isTurn(of: record)
            let isDue = isTurn || record.time < due
            let own = Place(record, isTurn: isTurn)
            if let place, own <= place { continue }
            if isDue { dueBytes = cappedSum(dueBytes, size) }
            candidates.add(own, size, isDue: isDue)
        }
        let part =
            share >= 1 ? total : wholeNumber((Double(total) * max(0, share)).rounded(.up))
        choose(from: candidates, bytes: max(dueBytes, part - done))
    }

    private mutating func choose(from candidates: Candidates, bytes wanted: Int) {
        for (_, files) in candidates.files.sorted(by: { $0.key < $1.key }) {
            for file in files where file.isDue || bytes < wanted {
                paths.append(file.path)
                bytes = cappedSum(bytes, file.size)
            }
        }
        if bytes < wanted { last = candidates.lastBeforeDropped }
        paths.sort()
    }

    /// What changes before it is old is read each time, and perhaps from the cache only: it is read
    /// from the medium once within the age, each file when its name has it.
    private struct Turns {
        /// Within the age; none without a next time.
        private let count: UInt64
        /// The first that was not yet, of all, and how many there are since then.
        private let first: UInt64
        private let open: UInt64

        init(at now: Timestamp, since last: Timestamp?, age: Double, pause: Double) {
            let isRepeated = pause >= 1 && pause <= 1e10
            let length = isRepeated ? Int64(pause) : 1
            let number = UInt64(max(0, now.seconds) / length)
            count = isRepeated ? UInt64(max(1, min((age / pause).rounded(.down), 1e6))) : 0
            // One at least, also a second time on one day, or by a clock that was set back.
            first = min(number, last.map { UInt64(max(0, $0.seconds) / length) + 1 } ?? number)
            open = min(number - first + 1, count)
        }

        func isTurn(of record: BaselineRecord) -> Bool {
            guard open > 0, record.level != .media else { return false }
            // FNV-1a, 64 bits (Fowler, Noll and Vo 1991).
            let hash = record.path.bytes.reduce(0xcbf2_9ce4_8422_2325 as UInt64) {
                ($0 ^ UInt64($1)) &* 0x100_0000_01b3
            }
            return (hash % count + count - first % count) % count < open
        }
    }

    /// The oldest files that were met, so many at most.
    private struct Candidates {
        /// By the hour in which they were read, each in walk order.
        private(set) var files: [Int64: [(path: RelativePath, size: Int, isDue: Bool)]] = [:]
        private var hasDropped = false
        private let limit: Int
        private var count = 0
        private var newest = Int64.min

        init(limit: Int) { self.limit = limit }

        /// The newest of them; nil where there are no more.
        var lastBeforeDropped: Place? {
            guard hasDropped, let path = files[newest]?.last?.path else { return nil }
            return Place(hour: newest, path: path)
        }

        mutating func add(_ place: Place, _ size: Int, isDue: Bool) {
            guard count < limit || place.hour < newest else { return hasDropped = true }
            files[place.hour, default: []].append((place.path, size, isDue))
            newest = max(newest, place.hour)
            count += 1
            if count > limit { dropNewest() }
        }

        private mutating func dropNewest() {
            hasDropped = true
            count -= 1
            files[newest]?.removeLast()
            guard files[newest]?.isEmpty == true else { return }
            files[newest] = nil
            newest = files.keys.max() ?? .min
        }
    }
}

extension OldestRead.Place: Comparable {
    package static func < (left: OldestRead.Place, right: OldestRead.Place) -> Bool {
        (left.hour, left.path) < (right.hour, right.path)
    }
}

import ResyncCore
import ResyncStorage

/// Brings updates of a baseline into walk order, through a scratch file where they are many. Of
/// several for one path, the last that was added counts.
struct UpdateSpool {
    private let scratch: Scratch
    private let limit: Int
    private var file: ScratchFile?
    private var pending: [BaselineUpdate] = []
    /// Sorted stretches of the file, in the order in which they were added.
    private var runs: [Run] = []
    private var end = 0

    private struct Run {
        var at: Int
        let end: Int
        var updates: ArraySlice<BaselineUpdate> = []
    }

    /// Bytes of a run that are read at a time; a record is less.
    private static let portion = 128 << 10

    /// - Parameter limit: updates that are kept in memory.
    init(_ scratch: Scratch, limit: Int = 1 << 15) {
        self.scratch = scratch
        self.limit = limit
    }

    mutating func append(_ update: BaselineUpdate) throws {
        pending.append(update)
        if pending.count >= limit { try flush() }
    }

    private mutating func flush() throws {
        guard !pending.isEmpty else { return }
        let file = try file ?? scratch.file()
        self.file = file
        let start = end
        var writer = ByteWriter()
        for update in Self.sorted(pending) {
            writer.update(update)
            guard writer.bytes.count >= Self.portion else { continue }
            try file.write(writer.bytes, at: end)
            end += writer.bytes.count
            writer.removeAll()
        }
        try file.write(writer.bytes, at: end)
        end += writer.bytes.count
        runs.append(Run(at: start, end: end))
        pending = []
    }

    private static func sorted(_ updates: [BaselineUpdate]) -> [BaselineUpdate] {
        // Sorting keeps the order of equal ones.
        let sorted = updates.sorted { $0.path < $1.path }
        return sorted.indices.compactMap { at in
            let isLast = at + 1 == sorted.count || sorted[at].path != sorted[at + 1].path
            return isLast ? sorted[at] : nil
        }
    }

    /// The next update in walk order; nil when all were given. Nothing is added any more.
    mutating func next() throws -> BaselineUpdate? {
        if !pending.isEmpty {
            if runs.isEmpty {
                runs = [Run(at: 0, end: 0, updates: Self.sorted(pending)[...])]
                pending = []
            } else {
                try flush()
            }
        }
        var found: BaselineUpdate?
        for index in runs.indices {
            try fill(index)
            guard let candidate = runs[index].updates.first else { continue }
            // Of equal ones, that of the later run.
            if let best = found, best.path < candidate.path { continue }
            found = candidate
        }
        guard let found else { return nil }
        for index in runs.indices where runs[index].updates.first?.path == found.path {
            runs[index].updates.removeFirst()
        }
        return found
    }

    private mutating func fill(_ index: Int) throws {
        guard runs[index].updates.isEmpty, runs[index].at < runs[index].end, let file else {
            return
        }
        let wanted = min(runs[index].end - runs[index].at, Self.portion + ByteReader.updateLimit)
        var reader = ByteReader(try file.read(at: runs[index].at, count: wanted))
        var updates: [BaselineUpdate] = []
        while !reader.isAtEnd, reader.at < Self.portion { updates.append(try reader.update()) }
        runs[index].updates = updates[...]
        runs[index].at += reader.at
    }
}

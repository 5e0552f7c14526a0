import ResyncCore

/// The names of a local directory in byte order: sorted in memory, or, for a huge directory,
/// sorted by portions into an unlinked file and merged from there.
final class LocalListing: Listing {
    private static let attempts = 3

    private let asRead: Completeness
    let stat: Stat?
    /// Because a listing is pulled by one worker at a time: whoever holds the directory's turn.
    nonisolated(unsafe) private var source: Source

    private enum Source {
        case memory(NameList, next: Int)
        case runs(NameRuns)
    }

    /// - Parameter again: whether it may have been listed before; while it stays open, so does its
    ///   place in the listing.
    init(_ directory: LocalDirectory, again: Bool, site: LocalSite, worker: Worker) {
        var reading = Reading(site: site, worker: worker)
        for attempt in 1...Self.attempts {
            reading = Reading(site: site, worker: worker)
            reading.read(directory, again: again || attempt > 1)
            if reading.completeness != .changing { break }
        }
        (source, asRead) = reading.finish()
        stat = reading.stat
    }

    var completeness: Completeness {
        guard case .runs(let runs) = source, let twice = runs.repeated else { return asRead }
        return .namesTwice(twice)
    }

    func next(_ limit: Int) throws(DiskError) -> NameList {
        switch source {
        case .memory(let names, let at):
            if at == 0, names.count <= limit {
                source = .memory(names, next: names.count)
                return names
            }
            var portion = NameList()
            let end = min(names.count, at + limit)
            for index in at..<end { portion.append(index, of: names) }
            source = .memory(names, next: end)
            return portion
        case .runs(let runs): return try runs.next(limit)
        }
    }

    /// One attempt at reading all names.
    private struct Reading {
        let site: LocalSite
        let worker: Worker
        var names = NameList()
        var count = 0
        var runs: NameRuns?
        var completeness = Completeness.complete
        var stat: Stat?

        init(site: LocalSite, worker: Worker) {
            self.site = site
            self.worker = worker
        }

        mutating func read(_ directory: LocalDirectory, again: Bool) {
            do throws(DiskError) {
                try directory.withDescriptor { (descriptor) throws(DiskError) in
                    guard again else { return try read(descriptor) }
                    // A fresh open starts at the beginning again.
                    let fresh = try withCString([UInt8(ascii: ".")]) {
                        (name) throws(DiskError) -> Descriptor in
                        try site.disk.openDirectory(name, in: descriptor)
                    }
                    defer { site.disk.close(fresh) }
                    try read(fresh)
                }
            } catch {
                completeness = .failed(error)
            }
        }

        private mutating func read(_ descriptor: Descriptor) throws(DiskError) {
            let before = try site.disk.stat(descriptor)
            while try site.disk.list(descriptor, into: &names, buffer: worker.piece) {
                worker.pulse.step()
                try resolveKinds(descriptor)
                if worker.stop.isRequested {
                    completeness = .changing
                    return
                }
                try spillIfLarge()
                let limit = site.options.namesInDirectory
                if count + names.count > limit {
                    completeness = .broken("has no end: more than \(limit) names")
                    return
                }
            }
            let after = try site.disk.stat(descriptor)
            if after.mtime != before.mtime || after.ctime != before.ctime {
                completeness = .changing
            }
            stat = after
        }

        /// Some file systems do not say what a name is: ask, so that nobody above has to. Each may
        /// be a question of its own to a server far away.
        private mutating func resolveKinds(_ descriptor: Descriptor) throws(DiskError) {
            for index in names.unknownKinds {
                if worker.stop.isRequested { return }
                worker.pulse.step()
                let stat = try? names.withCName(index) { (name) throws(DiskError) -> Stat in
                    try site.disk.stat(name, in: descriptor)
                }
                names.setKind(stat?.type, at: index)
            }
        }

        private mutating func spillIfLarge() throws(DiskError) {
            guard names.count >= site.options.namesInMemory, let scratch = site.options.scratch
            else { return }
            count += names.count
            if runs == nil { runs = try NameRuns(scratch) }
            try runs?.add(names.sorted())
            names.removeAll()
        }

        mutating func finish() -> (Source, Completeness) {
            guard let runs else {
                let sorted = names.sorted()
                if let twice = sorted.firstRepeated {
                    return (
                        .memory(sorted.withoutRepeats(), next: 0),
                        .namesTwice(sorted.name(twice))
                    )
                }
                return (.memory(sorted, next: 0), completeness)
            }
            do throws(DiskError) {
                try runs.add(names.sorted())
            } catch {
                completeness = .failed(error)
            }
            return (.runs(runs), completeness)
        }
    }
}

/// An unlinked file of sorted runs of names, merged on reading.
final class NameRuns {
    private let file: ScratchFile
    private var end = 0
    private var cursors: [Cursor] = []
    private var last: Name?
    /// A name that came twice; once is enough.
    private(set) var repeated: Name?

    private struct Cursor {
        var at: Int
        let end: Int
        var names = NameList()
        var next = 0
    }

    /// Names read ahead per run.
    private static let portion = 256
    /// Kind and length lead each name; 2 bytes of length, because FUSE has names beyond 255 bytes.
    private static let prefix = 3

    init(_ scratch: Scratch) throws(DiskError) { file = try scratch.file() }

    /// - Parameter names: in order.
    func add(_ names: NameList) throws(DiskError) {
        guard !names.isEmpty else { return }
        var names = names
        if let twice = names.firstRepeated {
            repeated = names.name(twice)
            names = names.withoutRepeats()
        }
        var bytes: [UInt8] = []
        let start = end
        for index in 0..<names.count {
            bytes.append(names.kinds[index]?.rawValue ?? 0)
            names.withBytes(index) {
                bytes.append(UInt8(truncatingIfNeeded: $0.count))
                bytes.append(UInt8(truncatingIfNeeded: $0.count >> 8))
                bytes.append(contentsOf: $0)
            }
            if bytes.count > 1 << 20 || index == names.count - 1 {
                try file.write(bytes, at: end)
                end += bytes.count
                bytes.removeAll(keepingCapacity: true)
            }
        }
        cursors.append(Cursor(at: start, end: end))
    }

    func next(_ limit: Int) throws(DiskError) -> NameList {
        var merged = NameList()
        while merged.count < limit {
            var first: Int?
            for index in cursors.indices {
                try fill(index)
                guard cursors[index].next < cursors[index].names.count else { continue }
                if let best = first {
                    let (left, right) = (cursors[index], cursors[best])
                    if left.names.precedes(left.next, right.names, right.next) == true {
                        first = index
                    }
                } else {
                    first = index
                }
            }
            guard let first else { break }
            let name = cursors[first].names.name(cursors[first].next)
            if name == last {
                repeated = name
            } else {
                merged.append(cursors[first].next, of: cursors[first].names)
            }
            last = name
            cursors[first].next += 1
        }
        return merged
    }

    private func fill(_ index: Int) throws(DiskError) {
        let cursor = cursors[index]
        guard cursor.next == cursor.names.count, cursor.at < cursor.end else { return }
        let wanted = min(cursor.end - cursor.at, Self.portion * (Self.prefix + 255))
        let bytes = try file.read(at: cursor.at, count: wanted)
        var names = NameList()
        var at = 0
        while names.count < Self.portion, at + Self.prefix <= bytes.count {
            let length = Int(bytes[at + 1]) | Int(bytes[at + 2]) << 8
            guard at + Self.prefix + length <= bytes.count else { break }
            let kind = EntryType(rawValue: bytes[at])
            let name = bytes[(at + Self.prefix)..<(at + Self.prefix + length)]
            name.withUnsafeBytes { names.append($0, kind: kind) }
            at += Self.prefix + length
        }
        cursors[index].names = names
        cursors[index].next = 0
        cursors[index].at += at
    }
}

extension Completeness {
    fileprivate static func namesTwice(_ name: Name) -> Completeness {
        .broken("names '\(escaped(name.bytes))' twice")
    }
}

extension NameList {
    /// The first name of a sorted list that equals the one before it.
    fileprivate var firstRepeated: Int? {
        guard count > 1 else { return nil }
        return (1..<count).first { precedes($0 - 1, self, $0) == nil }
    }

    fileprivate func withoutRepeats() -> NameList {
        var result = NameList()
        for index in 0..<count where index == 0 || precedes(index - 1, self, index) != nil {
            result.append(index, of: self)
        }
        return result
    }
}

import ResyncCore
package import ResyncStorage

/// A large file, or an image, that several workers read together; the last of them reports.
package final class ScanFile: Sendable {
    private let reading: SharedReading
    private let entry: ManifestEntry
    /// Nil for an image.
    private let directory: PairedDirectory?
    private let start: Timestamp
    /// How many units of work it is.
    package let width: Int
    private let left: Countdown

    init(
        _ reading: SharedReading, _ entry: ManifestEntry, in directory: PairedDirectory?,
        _ start: Timestamp, width: Int
    ) {
        self.reading = reading
        self.entry = entry
        self.directory = directory
        self.start = start
        self.width = width
        left = Countdown(width)
    }

    func run(_ worker: Worker, _ scan: Scan) throws -> Scan.Pieces {
        reading.help(worker)
        if worker.stop.isRequested { return [.unit(.work(self))] }
        guard left.arrive() else { return [] }
        let answer = try reading.answer(worker)
        if answer.state == .stopped { return [.unit(.work(self))] }
        var output = ScanOutput()
        if let settled = scan.content(answer, of: entry, readFrom: start) {
            output.items = [.entry(settled)]
        } else if let directory {
            output = try scan.readAgain(entry.name, in: directory, worker)
            if worker.stop.isRequested { return [.unit(.work(self))] }
        } else {
            var moved = entry
            moved.doubt = Doubt(.unstable, .changing)
            output.items = [.entry(moved)]
        }
        // Those of the first reading were told of as they were read.
        scan.progress.add(entries: 1, bytes: output.bytesRead, differences: 0)
        output.bytesRead += answer.bytesRead
        return [.output(output)]
    }
}

extension Scan {
    /// The units that scan a whole store.
    package func units(_ site: any Site) throws -> [WalkUnit<Scan>] {
        guard site.facts.kind != .directory else { return [.root] }
        let image = try site.image(upTo: site.facts.size)
        let entry = imageEntry(site)
        let reading = SharedReading(
            image, 0, size: entry.entry?.stat.size ?? 0, rules,
            place: Pulse.Place(side: .a, directory: nil, names: nil), progress: progress)
        let file = ScanFile(reading, entry, in: nil, .now, width: width(reading))
        return (0..<file.width).map { _ in .work(file) }
    }

    /// An image or device as the only entry of its store, unread.
    func imageEntry(_ site: any Site) -> ManifestEntry {
        // What a device node says of itself is not about the data.
        var stat = Stat(type: .file, size: site.facts.size)
        if site.facts.kind == .file { stat = site.facts.stat }
        var entry = ManifestEntry(name: Name([UInt8]()), entry: Entry(stat: stat))
        // A device has no times that tell of writes.
        entry.isRacy = site.facts.kind == .device
        return entry
    }
}

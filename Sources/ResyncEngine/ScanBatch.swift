import ResyncCore
import ResyncStorage

/// Some names of one directory on their way through a scan.
struct ScanBatch {
    private let scan: Scan
    private let names: NameList
    private let directory: PairedDirectory
    private let examination: any Examination
    private var results: [Result] = []
    private var bytesRead = 0

    private enum Result {
        case items([ScanOutput.Item])
        case split(ScanFile)
    }

    init(
        _ scan: Scan, _ names: NameList, _ directory: PairedDirectory,
        _ examination: any Examination
    ) {
        self.scan = scan
        self.names = names
        self.directory = directory
        self.examination = examination
        results.reserveCapacity(names.count)
    }

    mutating func scanAll(_ worker: Worker) throws {
        var small: [Int] = []
        for index in 0..<names.count {
            let found = examination[index]
            let entry = ManifestEntry(names.name(index), found)
            guard let stat = found.entry?.stat, stat.type == .file, entry.doubt == nil,
                scan.rules.aspects.contains(.content)
            else {
                results.append(.items(scan.items(of: entry, found, wasDirectory: false)))
                continue
            }
            results.append(.items([]))
            if stat.links > 1 || stat.size > scan.splitSize {
                try readShared(index, entry, stat, worker)
            } else {
                small.append(index)
            }
        }
        try readSmall(small, worker)
    }

    private mutating func readSmall(_ indexes: [Int], _ worker: Worker) throws {
        guard !indexes.isEmpty else { return }
        let requests = indexes.map { index in
            ContentRequest(
                index: index, size: examination[index].entry?.stat.size ?? 0, scan.rules)
        }
        let start = Timestamp.now
        let answers = try examination.digest(requests, worker)
        for (answer, index) in zip(answers, indexes) {
            try settle(index, answer, start, worker)
        }
    }

    /// Large files are split over workers; files with several names are read once.
    private mutating func readShared(
        _ index: Int, _ entry: ManifestEntry, _ stat: Stat, _ worker: Worker
    ) throws {
        func begin() -> SharedReading {
            let place = Pulse.Place(
                side: .a, directory: directory.sides.a, names: NameList(entry.name))
            return SharedReading(
                examination.detach(index), 0, size: stat.size, scan.rules, place: place,
                progress: stat.size > scan.splitSize ? scan.progress : nil)
        }
        let start = Timestamp.now
        let reading = stat.links > 1 ? scan.linkedReading(stat, begin: begin) : begin()
        if stat.size > scan.splitSize {
            results[index] = .split(
                ScanFile(reading, entry, in: directory, start, width: scan.width(reading)))
        } else {
            try settle(index, try reading.answer(worker), start, worker)
        }
    }

    private mutating func settle(
        _ index: Int, _ answer: ContentAnswer, _ start: Timestamp, _ worker: Worker
    ) throws {
        bytesRead += answer.bytesRead
        let entry = ManifestEntry(names.name(index), examination[index])
        // What a stop cut short is thrown away with its unit.
        if answer.state == .stopped { return }
        if let settled = scan.content(answer, of: entry, readFrom: start) {
            results[index] = .items([.entry(settled)])
        } else {
            try again(index, worker)
        }
    }

    /// Reads a file anew that moved while it was read.
    private mutating func again(_ index: Int, _ worker: Worker) throws {
        let retry = try scan.readAgain(names.name(index), in: directory, worker)
        bytesRead += retry.bytesRead
        results[index] = .items(retry.items)
    }

    /// The results in order, with the split files at their places.
    func pieces() -> Scan.Pieces {
        var pieces: Scan.Pieces = []
        var output = ScanOutput()
        output.bytesRead = bytesRead
        var entries = 0
        for result in results {
            switch result {
            case .items(let items):
                entries += 1
                output.items += items
            case .split(let file):
                pieces.append(.output(output))
                output = ScanOutput()
                for _ in 0..<file.width { pieces.append(.unit(.work(file))) }
            }
        }
        pieces.append(.output(output))
        scan.progress.add(entries: entries, bytes: bytesRead, differences: 0)
        return pieces
    }
}

extension Scan {
    func width(_ reading: SharedReading) -> Int { max(1, min(splitWidth, reading.claims)) }

    /// One name once more from the start, as often as it may be tried; what moves each time is
    /// unstable.
    func readAgain(
        _ name: Name, in directory: PairedDirectory, _ worker: Worker
    ) throws -> ScanOutput {
        var output = ScanOutput()
        let names = NameList(name)
        for _ in 1..<Self.attempts {
            guard let held = directory.sides.a, !worker.stop.isRequested else { break }
            let examination = held.examine(names, [.open], worker)
            defer { examination.close() }
            let entry = ManifestEntry(name, examination[0])
            guard let stat = entry.entry?.stat, stat.type == .file, entry.doubt == nil else {
                output.items = items(of: entry, examination[0], wasDirectory: false)
                return output
            }
            let start = Timestamp.now
            let request = ContentRequest(index: 0, size: stat.size, rules)
            guard let answer = try examination.digest([request], worker).first else { break }
            output.bytesRead += answer.bytesRead
            if let settled = content(answer, of: entry, readFrom: start) {
                output.items = [.entry(settled)]
                return output
            }
        }
        let last = directory.sides.a?.examine(names, [.describe], worker)
        var entry = ManifestEntry(name, last?[0] ?? Examined())
        if entry.doubt == nil { entry.doubt = Doubt(.unstable, .changing) }
        output.items = items(of: entry, last?[0] ?? Examined(), wasDirectory: false)
        return output
    }
}

extension NameList {
    /// Of a regular file, as far as is known.
    fileprivate init(_ name: Name) {
        self.init()
        append(name, kind: .file)
    }
}

extension ContentRequest {
    fileprivate init(index: Int, size: Int, _ rules: ScanRules) {
        let blockSize = rules.scheme.blockSize
        self.init(
            index: index, blocks: 0..<(size / blockSize + (size % blockSize > 0 ? 1 : 0)),
            source: rules.source, wantsWhole: rules.hasWholeFile, isKept: true)
    }
}

extension SharedReading {
    convenience init(
        _ examination: any Examination, _ index: Int, size: Int, _ rules: ScanRules,
        place: Pulse.Place, progress: Progress?
    ) {
        self.init(
            examination, index, size: size, blockSize: rules.scheme.blockSize,
            source: rules.source, place: place, wantsWhole: rules.hasWholeFile, isKept: true,
            progress: progress)
    }
}

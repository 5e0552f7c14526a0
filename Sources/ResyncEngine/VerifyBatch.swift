import ResyncCore
import ResyncStorage

/// Some names of one directory on their way through the first pass.
final class VerifyBatch {
    private let verify: Verify
    private let names: PairedNames
    private let directory: PairedDirectory
    private let examined: Sides<(any Examination)?>
    private var verdicts: [Verdict]
    private var bytesRead = 0
    /// Digests that were kept, by index; these files are not read. Empty where none were.
    private let known: [Sides<BlockList>?]
    /// What reading gave, by index, where records are made of it.
    private var contents: Sides<[Int: ContentAnswer]> = Sides(a: [:], b: [:])
    private let started: Timestamp?
    private var links: [Int: LinkedEntry] = [:]

    private enum Verdict {
        case same(bytes: Int)
        case difference(Difference, bytes: Int)
        case split(SplitFile)
    }

    init(
        _ verify: Verify, _ names: PairedNames, _ directory: PairedDirectory,
        _ examined: Sides<(any Examination)?>, known: [Sides<BlockList>?] = []
    ) {
        self.verify = verify
        self.names = names
        self.directory = directory
        self.examined = examined
        self.known = known
        started = verify.recorder == nil ? nil : .now
        verdicts = []
        verdicts.reserveCapacity(names.count)
    }

    private func path(_ index: Int) -> RelativePath {
        directory.path.appending(names.names.name(index))
    }

    /// Judges every name: first what the descriptions say, then the content of what can be read
    /// here and now.
    func judgeAll(_ worker: Worker) throws {
        var small: [Int] = []
        for index in 0..<names.count {
            let found = Sides(
                a: examined.a?[index] ?? Examined(), b: examined.b?[index] ?? Examined())
            let judged = judge(found, index)
            verdicts.append(judged.map { .difference($0, bytes: 0) } ?? .same(bytes: 0))
            guard let a = found.a.entry?.stat, let b = found.b.entry?.stat else { continue }
            noteLinks(a, b, index)
            guard found.a.failure == nil, found.b.failure == nil,
                verify.rules.comparison.comparesContent(a, b)
            else { continue }
            if let known = known(index) {
                settle(index, ContentAnswer(known.a), ContentAnswer(known.b))
            } else if a.links > 1 || b.links > 1 || a.size > verify.splitSize {
                try readShared(index, a, b, judged, worker)
            } else {
                small.append(index)
            }
        }
        try readSmall(small, worker)
        if verify.recorder != nil { try readAlone(worker) }
    }

    private func known(_ index: Int) -> Sides<BlockList>? { known.isEmpty ? nil : known[index] }

    /// Reads what is not compared but belongs into a side's records: what is missing on the other
    /// side, or has another size there.
    private func readAlone(_ worker: Worker) throws {
        guard verify.rules.comparison.aspects.contains(.content) else { return }
        let blockSize = verify.rules.scheme.blockSize
        for side in Side.allCases {
            guard let examination = examined[side] else { continue }
            var requests: [ContentRequest] = []
            for index in 0..<names.count where contents[side][index] == nil {
                guard let stat = examination[index].entry?.stat, stat.type == .file,
                    examination[index].failure == nil, !isSplit(index)
                else { continue }
                requests.append(
                    ContentRequest(
                        index: index, blocks: 0..<blockCount(stat.size, blockSize),
                        source: verify.rules.source, isKept: true))
            }
            place(side, worker)
            for (request, answer) in zip(requests, try examination.digest(requests, worker)) {
                contents[side][request.index] = answer
                bytesRead += answer.bytesRead
            }
        }
    }

    private func isSplit(_ index: Int) -> Bool {
        if case .split = verdicts[index] { return true }
        return false
    }

    private func note(_ index: Int, _ a: ContentAnswer, _ b: ContentAnswer) {
        guard verify.recorder != nil else { return }
        contents.a[index] = a
        contents.b[index] = b
    }

    private func judge(_ found: Sides<Examined>, _ index: Int) -> Difference? {
        if found.a.entry?.stat.type == .directory, found.b.entry?.stat.type == .directory,
            found.a.failure == nil, found.b.failure == nil
        {
            // A path that was given stands for itself; else it became a directory since it was
            // listed, and what is below it was not seen.
            return verify.rules.namesAreGiven
                ? verify.judgeDirectory(found, path(index)) : .changing(path(index))
        }
        return verify.judge(found) { path(index) }
    }

    private func noteLinks(_ a: Stat, _ b: Stat, _ index: Int) {
        guard a.links > 1 || b.links > 1, a.type == b.type, a.type != .directory,
            verify.rules.comparison.aspects.contains(.links)
        else { return }
        links[index] = LinkedEntry(
            path: path(index), a: a.identity, b: b.identity,
            stats: Sides(a: StatWitness(a), b: StatWitness(b)))
    }

    private func readSmall(_ indexes: [Int], _ worker: Worker) throws {
        guard let a = examined.a, let b = examined.b, !indexes.isEmpty else { return }
        let size = verify.rules.scheme.blockSize
        let requests = indexes.map { index in
            ContentRequest(
                index: index,
                blocks: 0..<blockCount(a[index].entry?.stat.size ?? 0, size),
                source: verify.rules.source, isKept: verify.recorder != nil)
        }
        var answers: Sides<[ContentAnswer]> = Sides(a: [], b: [])
        for side in worker.sides {
            place(side, worker)
            answers[side] = try (side == .a ? a : b).digest(requests, worker)
        }
        let (left, right) = (answers.a, answers.b)
        for (at, index) in indexes.enumerated() {
            settle(index, left[at], right[at])
        }
    }

    private func place(_ side: Side, _ worker: Worker) {
        worker.pulse.enter(
            Pulse.Place(side: side, directory: directory.sides[side], names: names.names))
    }

    /// Adds what the content says to a name's verdict.
    private func settle(_ index: Int, _ a: ContentAnswer, _ b: ContentAnswer) {
        bytesRead += a.bytesRead + b.bytesRead
        note(index, a, b)
        guard let stats = stats(index) else { return }
        // Nearly all agree, and then there is nothing to find out.
        if a.isWhole, b.isWhole, a.blocks == b.blocks, case .same = verdicts[index] {
            verdicts[index] = .same(bytes: stats.a.size)
            return
        }
        let finding = ContentFinding(a, b, size: stats.a.size, scheme: verify.rules.scheme)
        let judged: Difference? =
            if case .difference(let difference, _) = verdicts[index] { difference } else { nil }
        if let difference = finding.merged(into: judged, stats, path: { path(index) }) {
            verdicts[index] = .difference(difference, bytes: finding.comparedBytes)
        } else {
            verdicts[index] = .same(bytes: finding.comparedBytes)
        }
    }

    private func stats(_ index: Int) -> Sides<Stat>? {
        guard let a = examined.a?[index].entry?.stat, let b = examined.b?[index].entry?.stat
        else { return nil }
        return Sides(a: a, b: b)
    }

    /// Large files are split over workers; files with several names are read once.
    private func readShared(
        _ index: Int, _ a: Stat, _ b: Stat, _ judged: Difference?, _ worker: Worker
    ) throws {
        let readings = Sides(a: reading(.a, index, a), b: reading(.b, index, b))
        let file = SplitFile(
            readings, stats: Sides(a: a, b: b), judged: judged,
            place: EntryPlace(directory: directory, name: names.names.name(index)),
            link: links[index],
            width: min(verify.splitWidth, max(readings.a.claims, readings.b.claims)),
            records: verify.recorder == nil
                ? nil
                : Side.both { side in
                    ManifestEntry(
                        names.names.name(index), examined[side]?[index] ?? Examined())
                })
        if a.size > verify.splitSize {
            verdicts[index] = .split(file)
        } else {
            settle(index, try readings.a.answer(worker), try readings.b.answer(worker))
        }
    }

    private func reading(_ side: Side, _ index: Int, _ stat: Stat) -> SharedReading {
        func begin() -> SharedReading {
            guard let file = examined[side]?.detach(index) else {
                preconditionFailure("reading of a file that was not examined")
            }
            return SharedReading(
                file, 0, size: stat.size, blockSize: verify.rules.scheme.blockSize,
                source: verify.rules.source,
                place: Pulse.Place(
                    side: side, directory: directory.sides[side],
                    names: single(names.names.name(index))),
                isKept: verify.recorder != nil,
                progress: stat.size > verify.splitSize ? verify.progress : nil)
        }
        return stat.links > 1 ? verify.linkedReading(side, stat, begin: begin) : begin()
    }

    private func single(_ name: Name) -> NameList {
        var list = NameList()
        list.append(name, kind: .file)
        return list
    }

    /// The results in order, with the split files at their places.
    func pieces() -> Verify.Pieces {
        var pieces: Verify.Pieces = []
        var output = VerifyOutput()
        output.tally.bytesRead = bytesRead
        for index in verdicts.indices {
            output.tally.entries += 1
            if !isSplit(index) { record(index, &output) }
            let assurance = known(index) == nil ? verify.rules.assurance : .cached
            if let link = links[index] { output.links.append(link) }
            switch verdicts[index] {
            case .same(let bytes):
                output.tally.same += 1
                output.tally.count(bytes: bytes, assurance)
                if verify.rules.keepsSames { output.sames.append(path(index)) }
            case .difference(let difference, let bytes):
                output.tally.count(difference)
                output.tally.count(bytes: bytes, assurance)
                output.differences.append(difference)
            case .split(let file):
                output.tally.entries -= 1
                if links[index] != nil { output.links.removeLast() }
                if index > 0 { flush(&output, through: index - 1, &pieces) }
                for _ in 0..<file.width { pieces.append(.unit(.work(file))) }
            }
        }
        flush(&output, through: verdicts.count - 1, &pieces)
        return pieces
    }

    private func record(_ index: Int, _ output: inout VerifyOutput) {
        guard let started else { return }
        for side in Side.allCases {
            guard let found = examined[side]?[index] else { continue }
            output.records[side].items += verify.items(
                names.names.name(index), found, contents[side][index], started)
        }
    }

    private func flush(
        _ output: inout VerifyOutput, through index: Int, _ pieces: inout Verify.Pieces
    ) {
        output.through = EntryPlace(directory: directory, name: names.names.name(index))
        verify.progress.add(
            entries: output.tally.entries, bytes: output.tally.bytesRead,
            differences: output.differences.count)
        pieces.append(.output(output))
        output = VerifyOutput()
    }
}

import ResyncCore
import ResyncStorage

/// The pass that describes a store, or reads the part of it that it is led to.
struct Sample: Pass {
    /// Ranges of a large file's blocks, by its path.
    typealias Ranges = [RelativePath: [Range<Int>]]

    /// Nil to describe only.
    let source: ReadSource?
    let blockSize: Int
    let ranges: Ranges
    let progress = Progress()

    /// Larger files are split over workers, as in a verification.
    static func splitSize(blockSize: Int) -> Int { max(4 << 20, blockSize) }

    /// What some names of one directory gave.
    struct Output: Sendable {
        var entries = 0
        var files: Files?
        var bytesRead = 0
        /// What could not be looked at, or read.
        var failures = 0
        var hasNoMedium = false
    }

    /// Regular files of one directory, with their sizes.
    struct Files: Sendable {
        let directory: RelativePath
        let names: NameList
        var sizes: [(index: Int, size: Int)] = []

        func path(_ index: Int) -> RelativePath { directory.appending(names.name(index)) }
    }

    /// A range of a large file, and who holds it open.
    final class Work: Sendable {
        let examination: any Examination
        let place: Pulse.Place
        let blocks: Range<Int>

        init(_ examination: any Examination, _ place: Pulse.Place, _ blocks: Range<Int>) {
            self.examination = examination
            self.place = place
            self.blocks = blocks
        }
    }

    // MARK: Directories

    func enter(
        _ opened: Sides<OpenedDirectory>, presence: Presence, path: () -> RelativePath
    ) -> [Output] {
        progress.add(entries: 1, bytes: 0, differences: 0)
        return [Output(entries: 1, failures: opened.a.failure == nil ? 0 : 1)]
    }

    func listed(
        _ directory: PairedDirectory, completeness: Sides<Completeness>
    ) -> [Output] {
        if case .failed = completeness.a { return [Output(failures: 1)] }
        return []
    }

    func leave(
        _ directory: PairedDirectory, completeness: Sides<Completeness>, excluded: Int
    ) -> [Output] { [] }

    /// What is gone by now is not read.
    func unreached(
        _ paths: ArraySlice<RelativePath>, because opened: Sides<OpenedDirectory>
    ) -> [Output] { [] }

    // MARK: Entries

    func visit(
        _ names: PairedNames, in directory: PairedDirectory, _ worker: Worker
    ) throws -> Pieces {
        guard let held = directory.sides.a else { return [] }
        let list = names.names
        let wishes = list.kinds.map { kind in
            source != nil && (kind == .file || kind == nil) ? Wish.open : .describe
        }
        let place = Pulse.Place(side: .a, directory: held, names: list)
        worker.pulse.enter(place)
        let examination = held.examine(list, wishes, worker)
        defer { examination.close() }
        var output = Output(entries: list.count)
        var files = Files(directory: held.path, names: list)
        for index in 0..<list.count {
            if examination[index].failure != nil { output.failures += 1 }
            guard let stat = examination[index].entry?.stat, stat.type == .file else { continue }
            files.sizes.append((index, stat.size))
        }
        if !files.sizes.isEmpty { output.files = files }
        guard let source else {
            progress.add(entries: list.count, bytes: 0, differences: 0)
            return [.output(output)]
        }
        return try read(files, examination, place, source, &output, worker)
    }

    private func read(
        _ files: Files, _ examination: any Examination, _ place: Pulse.Place,
        _ source: ReadSource, _ output: inout Output, _ worker: Worker
    ) throws -> Pieces {
        var pieces: Pieces = []
        var requests: [ContentRequest] = []
        for (index, size) in files.sizes where examination[index].failure == nil {
            guard size > Self.splitSize(blockSize: blockSize) else {
                requests.append(
                    ContentRequest(
                        index: index, blocks: 0..<blockCount(size, blockSize), source: source))
                continue
            }
            let file = examination.detach(index)
            let all = 0..<blockCount(size, blockSize)
            for blocks in ranges[files.path(index)] ?? [] {
                // It may have become shorter since it was counted.
                pieces.append(.unit(.work(Work(file, place, blocks.clamped(to: all)))))
            }
        }
        let answers = try examination.digest(requests, worker)
        take(answers, &output)
        progress.add(
            entries: requests.count, bytes: answers.reduce(0) { $0 + $1.bytesRead },
            differences: 0)
        return [.output(output)] + pieces
    }

    func run(_ work: Work, _ worker: Worker) throws -> Pieces {
        guard let source else { return [] }
        worker.pulse.enter(work.place)
        let request = ContentRequest(index: 0, blocks: work.blocks, source: source)
        let answers = try work.examination.digest([request], worker)
        var output = Output()
        take(answers, &output)
        // Counted are the bytes that the range stands for: a hole takes its time as well.
        progress.add(entries: 0, bytes: work.blocks.count * blockSize, differences: 0)
        return [.output(output)]
    }

    private func take(_ answers: [ContentAnswer], _ output: inout Output) {
        for answer in answers {
            output.bytesRead += answer.bytesRead
            if answer.state == .noMedium { output.hasNoMedium = true }
            if !answer.unreadable.isEmpty { output.failures += 1 }
        }
    }
}

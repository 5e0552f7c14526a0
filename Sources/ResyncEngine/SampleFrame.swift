import ResyncCore

/// What a store was found to hold, and the parts of it that a sample is drawn from. Unchecked
/// because a drain emits on one thread at a time, and is over before it is read.
final class SampleFrame: @unchecked Sendable {
    /// Small files of directories near each other that are read together, or a range of a large
    /// file.
    struct Part: Sendable {
        let paths: [RelativePath]
        /// Of the large file.
        var blocks: Range<Int>?
    }

    private let blockSize: Int
    private let splitSize: Int
    private var random = SystemRandomNumberGenerator()
    private var batches = Reservoir<Sample.Files>(limit: 4096)
    private var larges = Reservoir<(path: RelativePath, blocks: Int)>(limit: 1 << 16)
    private var largeBlocks = 0
    private(set) var smallFiles = 0
    private var smallBytes = 0
    private var largeFiles = 0
    private(set) var failures = 0

    /// Batches that are read together.
    private static let neighbours = 16
    /// Bytes of a large file that are read in one go.
    private static let rangeBytes = 16 << 20
    private static let rangeLimit = 2048

    init(blockSize: Int) {
        self.blockSize = blockSize
        splitSize = Sample.splitSize(blockSize: blockSize)
    }

    var files: Int { smallFiles + largeFiles }
    var largeBytes: Int { cappedProduct(largeBlocks, blockSize) }
    var bytes: Int { cappedSum(smallBytes, largeBytes) }

    func add(_ output: Sample.Output) {
        failures += output.failures
        guard var files = output.files else { return }
        var small: [(index: Int, size: Int)] = []
        for (index, size) in files.sizes {
            if size > splitSize {
                addLarge(files.path(index), size)
            } else {
                small.append((index, size))
                smallFiles += 1
                smallBytes = cappedSum(smallBytes, size)
            }
        }
        files.sizes = small
        if !small.isEmpty { batches.add(files, using: &random) }
    }

    func add(image size: Int) { addLarge(.root, size) }

    private func addLarge(_ path: RelativePath, _ size: Int) {
        guard size > 0 else { return }
        let blocks = blockCount(size, blockSize)
        largeFiles += 1
        largeBlocks = cappedSum(largeBlocks, blocks)
        larges.add((path, blocks), using: &random)
    }

    /// As if there were so many times as much, of which this is all that was seen.
    func grow(by factor: Double) {
        func grown(_ count: Int) -> Int { Int(min(Double(count) * factor, 9e18)) }
        (smallFiles, smallBytes) = (grown(smallFiles), grown(smallBytes))
        (largeFiles, largeBlocks) = (grown(largeFiles), grown(largeBlocks))
    }

    /// One half, of two, of what is drawn, in an order of chance.
    func parts(_ half: Int) -> (small: [Part], large: [Part]) {
        // Neighbours share the directories above them, as in a walk.
        let batches = batches.elements.sorted { $0.directory < $1.directory }
        let small = stride(from: 0, to: batches.count, by: Self.neighbours).map { start in
            let some = batches[start..<min(start + Self.neighbours, batches.count)]
            return Part(
                paths: some.flatMap { files in files.sizes.map { files.path($0.index) } })
        }
        return (chosen(small, half), chosen(ranges(), half))
    }

    /// Where there is only one, both halves have it.
    private func chosen(_ parts: [Part], _ half: Int) -> [Part] {
        guard parts.count > 1 else { return parts }
        return parts.indices.filter { $0 % 2 == half }.map { parts[$0] }.shuffled(using: &random)
    }

    /// Ranges of the large files, one from each of so many equal stretches of all their bytes: a
    /// pattern in them is not met at its own pace.
    private func ranges() -> [Part] {
        let length = max(1, Self.rangeBytes / blockSize)
        let total = larges.elements.reduce(0) { cappedSum($0, $1.blocks) }
        let count = min(Self.rangeLimit, (total + length - 1) / max(1, length))
        guard count > 0 else { return [] }
        let stretch = Double(total) / Double(count)
        var parts: [Part] = []
        var (file, before) = (0, 0)
        for number in 0..<count {
            let room = max(0, stretch - Double(length))
            let start = Int(
                Double(number) * stretch + Double.random(in: 0...1, using: &random) * room)
            while file < larges.elements.count - 1, start >= before + larges.elements[file].blocks {
                before += larges.elements[file].blocks
                file += 1
            }
            let found = larges.elements[file]
            let lower = min(max(0, start - before), found.blocks - 1)
            parts.append(
                Part(paths: [found.path], blocks: lower..<min(lower + length, found.blocks)))
        }
        return parts
    }
}

private func cappedProduct(_ left: Int, _ right: Int) -> Int {
    let (product, isTooLarge) = left.multipliedReportingOverflow(by: right)
    return isTooLarge ? .max : product
}

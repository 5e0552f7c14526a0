import ResyncCore

/// Copies one file, digesting every byte on its way. Holes stay holes.
struct Copying {
    let disk: any Disk
    let target: Descriptor
    let size: Int
    let worker: Worker
    let limit: Throttle?
    /// Whether the call that failed was on the source.
    private(set) var isReading = false

    init(
        disk: any Disk, target: Descriptor, size: Int, worker: Worker, limit: Throttle? = nil
    ) {
        self.disk = disk
        self.target = target
        self.size = size
        self.worker = worker
        self.limit = limit
    }

    /// The digest of what was copied, as a manifest has it; nil where the source was shorter, or
    /// the worker is to stop.
    mutating func run(_ entry: any SourceEntry) throws -> Digest? {
        let blockSize = worker.digester.blockSize
        var blocks = BlockList()
        var data = entry.nextData(from: 0)
        var at = 0
        while at < size {
            let end = at + min(blockSize, size - at)
            if data.upperBound <= at { data = entry.nextData(from: at) }
            if data.lowerBound >= end || data.isEmpty {
                // As many whole blocks as the hole has, however many these are.
                let hole = (data.isEmpty ? size : data.lowerBound) - at
                let count = max(1, hole / blockSize)
                blocks.append(try worker.digester.zeros(end - at), count: count)
                at = end + (count - 1) * blockSize
                continue
            }
            guard let digest = try block(at..<end, entry, &data) else { return nil }
            blocks.append(digest)
            at = end
        }
        try disk.truncate(target, to: size)
        var tree = BlockTree(ManifestHashes.openSSL.make(.sha256))
        return tree.fileDigest(blocks, size: size, blockSize: blockSize)
    }

    private mutating func block(
        _ range: Range<Int>, _ entry: any SourceEntry, _ data: inout Range<Int>
    ) throws -> Digest? {
        try worker.digester.begin()
        var at = range.lowerBound
        while at < range.upperBound {
            let wanted = min(range.upperBound - at, Worker.pieceSize)
            let piece = UnsafeMutableRawBufferPointer(rebasing: worker.piece[..<wanted])
            if worker.stop.isRequested { return nil }
            isReading = true
            let count = try entry.read(at: at, into: piece, worker)
            isReading = false
            guard count == wanted else { return nil }
            try worker.digester.update(UnsafeRawBufferPointer(piece))
            // A piece that is all hole on the source is left one here.
            if data.upperBound <= at { data = entry.nextData(from: at) }
            if data.lowerBound < at + count {
                limit?.wait(for: count, worker: worker)
                try disk.writeFully(target, UnsafeRawBufferPointer(piece), at: at)
            }
            at += count
        }
        return try worker.digester.finish()
    }
}

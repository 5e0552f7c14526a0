import ResyncStorage
import TestSupport

@testable import ResyncCore

extension FuzzTarget {
    static let manifest = FuzzTarget(
        "manifest", rounds: 4000, samples: manifestSamples(),
        forms: [manifestFrames, manifestRecords, manifestRecords],
        check: checkManifest)
}

private func manifestSamples() -> [[UInt8]] {
    var samples = (0..<4 as Range<UInt64>).compactMap { seed -> [UInt8]? in
        var random = Seed(seed)
        let records = ManifestSample.tree(&random, entries: 12, doubts: seed % 2 == 1)
        return try? ManifestSample.write(records).file.bytes
    }
    var image = ManifestSample.header()
    image.kind = .file
    image.aspects = .image
    let entry = ManifestSample.file(Name([]), blocks: ManifestLimit.runs * 2 + 5)
    if let file = try? ManifestSample.write([.entry(entry)], image).file {
        samples.append(file.bytes)
    }
    return samples
}

/// Frames as they are, only that the footer knows them.
private let manifestFrames = Form(
    split: framed,
    join: { parts in
        joined(ManifestFrame.magic, parts) { frames, part in
            var reader = ByteReader(Array(part.dropFirst()))
            guard part.first == ManifestFrame.footer, part.count == 1 + 16 + Digest.byteCount,
                let index = try? reader.raw(16)
            else { return part }
            var frames = frames
            return [ManifestFrame.footer] + index + frames.chainDigest().bytes
        }
    })

/// A header, then one part for each record; index, trailer and footer follow from them.
private let manifestRecords = Form(
    split: { bytes in
        var parts: [[UInt8]] = []
        for frame in framed(bytes) {
            let payload = Array(frame.dropFirst())
            if frame.first == ManifestFrame.header { parts.append(payload) }
            guard frame.first == ManifestFrame.entries else { continue }
            var reader = ByteReader(payload)
            guard (try? reader.string(limit: ManifestLimit.path)) != nil else { continue }
            while !reader.isAtEnd {
                let start = reader.at
                guard (try? reader.manifestRecord()) != nil else { break }
                parts.append(Array(payload[start..<reader.at]))
            }
        }
        return parts
    },
    join: { parts in
        var forger = ManifestForger(header: parts.first ?? [])
        for part in parts.dropFirst() { forger.add(part) }
        return forger.finished()
    })

/// Writes a manifest of records that need not be right, with digests and counts that fit them.
private struct ManifestForger {
    private var frames = FrameWriter(
        magic: ManifestFrame.magic, hash: fuzzHash(), chain: fuzzHash())
    private var bytes: [UInt8]
    private var payload = ByteWriter()
    private var header: ManifestHeader
    private var digests: DirectoryDigests<EVPHash>
    private var tree: BlockTree<EVPHash>
    private var path = DirectoryPath()
    private var counts = ManifestCounts()
    private var index = ManifestIndex()
    private var first: RelativePath?
    /// An entry whose runs are not all there yet.
    private var open: (entry: ManifestEntry, left: Int)?

    init(header: [UInt8]) {
        self.header = (try? ManifestHeader(header)) ?? ManifestSample.header()
        digests = DirectoryDigests(self.header, .openSSL)
        tree = BlockTree(fuzzHash())
        bytes = frames.start()
        bytes += frames.frame(ManifestFrame.header, Array(header.prefix(Frames.payloadLimit)))
    }

    mutating func add(_ part: [UInt8]) {
        if payload.bytes.isEmpty { payload.string(path.bytes) }
        var reader = ByteReader(part)
        switch try? reader.manifestRecord() {
        case .entry(let entry, let left)?:
            payload.raw(part)
            open = (entry, left)
        case .moreRuns(let runs)?:
            payload.raw(part)
            if var (entry, left) = open {
                try? entry.content?.blocks.append(runs: runs)
                left -= min(runs.count, left)
                open = (entry, left)
            }
        case .end(var end)?:
            if digests.depth > 0 {
                (end.digest, end.entries) = digests.end(end.listing)
                path.leave()
            }
            try? counts.count(end)
            payload.directoryEnd(end)
        case nil: payload.raw(part)
        }
        if let (entry, left) = open {
            if first == nil {
                first = digests.depth == 0 ? .root : path.path(of: entry.name)
            }
            if left == 0 { close(entry) }
        }
        if payload.bytes.count >= ManifestLimit.framePayload { closeFrame() }
    }

    private mutating func close(_ entry: ManifestEntry) {
        open = nil
        var entry = entry
        try? entry.complete(header, &tree)
        digests.add(entry)
        counts.count(entry)
        if entry.isDirectory { path.enter(entry.name) }
    }

    private mutating func closeFrame() {
        guard !payload.bytes.isEmpty else { return }
        if let first { index.add(frames.offset, first) }
        bytes += frames.frame(
            ManifestFrame.entries, Array(payload.bytes.prefix(Frames.payloadLimit)))
        payload.removeAll()
        first = nil
    }

    mutating func finished() -> [UInt8] {
        closeFrame()
        index.close()
        let indexOffset = frames.offset
        for payload in index.payloads { bytes += frames.frame(ManifestFrame.index, payload) }
        let trailerOffset = frames.offset
        var trailer = ManifestTrailer()
        trailer.counts = counts
        trailer.root = digests.root
        bytes += frames.frame(ManifestFrame.trailer, trailer.bytes)
        let footer = ManifestFooter(
            index: indexOffset, trailer: trailerOffset, chain: frames.chainDigest())
        return bytes + frames.frame(ManifestFrame.footer, footer.bytes)
    }
}

/// What is taken is in order, each path once, and is written again as the same bytes.
private func checkManifest(_ bytes: [UInt8]) throws -> Bool {
    let whole = MemoryFile(bytes)
    // Reads from the end, and believes the index: it may refuse, and may find nothing.
    if let lookup = try? ManifestLookup(
        ManifestHashes.openSSL, size: bytes.count, read: { whole.read($0, $1) })
    {
        if let portion = lookup.portion(holding: RelativePath([0x61])) {
            _ = try? lookup.read(portion: portion)
        }
    }
    var reader = try ManifestReader(ManifestHashes.openSSL) { whole.read($0, $1) }
    let file = MemoryFile()
    var writer = try ManifestWriter(reader.header, .openSSL) { file.append($0) }
    var last: RelativePath?
    var open = 0
    while let record = try reader.next() {
        switch record {
        case .entry(let entry):
            let path = reader.path(of: record)
            try demandInside(path)
            try demand(last.map { $0 < path } ?? path.bytes.isEmpty, "entries out of order")
            last = path
            if let link = entry.linkedTo { try demandInside(link) }
            if entry.isDirectory { open += 1 }
        case .end: open -= 1
        }
        try demand(open >= 0, "an end without a beginning")
        do {
            try writer.append(record)
        } catch {
            throw Violation("takes what cannot be written: \(error)")
        }
    }
    try demand(open == 0, "a directory without an end")
    guard let trailer = reader.trailer else { throw Violation("has come to no end") }
    let written = try writer.finish(ended: trailer.ended)
    try demand(written == trailer, "counts otherwise than who writes it")
    try demand(file.bytes == bytes, "is written again as \(hexText(file.bytes))")
    return true
}

import ResyncStorage
import TestSupport

@testable import ResyncCore

extension FuzzTarget {
    static let undoFile = FuzzTarget(
        "undo file", rounds: 30_000, samples: undoSamples().map(\.file), forms: [sealed],
        check: checkUndo)
    /// One that nobody forged: bytes got lost, were altered, or moved.
    static let rottenUndoFile: FuzzTarget = {
        let sample = undoSamples()[0]
        return FuzzTarget(
            "undo file, rotten", rounds: 20_000, samples: [sample.file], grows: false
        ) { bytes in
            try checkRotten(bytes, sample.kept)
        }
    }()
}

private struct UndoSample {
    var file: [UInt8]
    /// What was sealed, in order.
    var kept: [(record: UndoRecord, bytes: [UInt8])] = []
}

private func undoSamples() -> [UndoSample] { [undoSample(batches: 3), undoSample(batches: 0)] }

private func undoSample(batches: Int) -> UndoSample {
    let header = UndoHeader(
        run: "20261122", plan: fuzzDigest(1), target: fuzzStore(.device, size: 1 << 30),
        nonce: fuzzDigest(99))
    var random = Seed(3)
    var writer = UndoWriter(header, makeHash: fuzzHash)
    var sample = UndoSample(file: writer.start(header))
    for batch in 0..<batches {
        for number in 0..<3 {
            let bytes = (0..<(number == 2 ? 1 : 40)).map { _ in UInt8(random.below(256)) }
            let record = UndoRecord(
                number == 2 ? .aside : .displaced,
                Extent(offset: batch * 1000 + number * 100, length: bytes.count),
                before: ManifestSample.digest(bytes), after: fuzzDigest(UInt8(number)))
            let kept = try? bytes.withUnsafeBytes { bytes in
                try writer.append(record, bytes) { sample.file += $0 }
            }
            if let kept { sample.kept.append((kept, bytes)) }
        }
        sample.file += writer.mark(batch == 1 ? .settled : .writing, batch * 1000..<batch * 2000)
        sample.file += writer.seal().bytes
    }
    return sample
}

/// Seals as those of the records before them, whatever these are.
private let sealed = Form(
    split: framed,
    join: { parts in
        var frames = FrameWriter(magic: UndoFile.magic, hash: fuzzHash(), chain: fuzzHash())
        var (chain, linkHash) = (fuzzHash(), fuzzHash())
        var link = Digest.zero
        var bytes = frames.start()
        for part in parts {
            guard let kind = part.first else { continue }
            var payload = Array(part.dropFirst().prefix(Frames.payloadLimit))
            if kind == UndoFile.seal, payload.count == UndoFile.sealPayload {
                link = linkHash.link(link, chain.finalize())
                payload.replaceSubrange(48..., with: link.bytes)
            }
            let frame = frames.frame(kind, payload)
            if kind != UndoFile.seal { chain.update(Array(frame.suffix(Frames.checkLength))) }
            bytes += frame
        }
        return bytes
    })

private func opened(_ bytes: [UInt8]) throws -> UndoReader<EVPHash> {
    try UndoReader(makeHash: fuzzHash, read: bytes.reading)
}

/// What is in the batches of a file that was opened, and can be read.
private func contents(
    _ reader: inout UndoReader<EVPHash>
) throws -> [(record: UndoRecord, bytes: [UInt8]?)] {
    var found: [(UndoRecord, [UInt8]?)] = []
    for batch in reader.batches {
        var records = batch.asides
        if let range = batch.range {
            let extents = Set(
                (0..<3000).map { Extent(offset: $0 / 3 * 100, length: [1, 40, 41][$0 % 3]) })
            records += try reader.records(of: extents, in: range).values
        }
        for record in records {
            // Bytes that do not fit their digest are refused when they are asked for.
            found.append((record, try? reader.bytes(of: record)))
        }
    }
    return found
}

/// Batches follow each other, and bytes are given only where they are those of the digest.
private func checkUndo(_ bytes: [UInt8]) throws -> Bool {
    var reader = try opened(bytes)
    try demand(reader.end <= bytes.count && reader.tail >= reader.end, "ends behind the file")
    var records = 0
    var start = 0
    for batch in reader.batches {
        try demand(batch.firstRecord >= records, "records counted twice")
        try demand(batch.start >= start && batch.start < reader.end, "batches out of order")
        records = batch.firstRecord + batch.records
        start = batch.start
    }
    try demand(records <= reader.records, "more records than it says")
    for (record, kept) in try contents(&reader) {
        guard let kept else { continue }
        try demand(kept.count == record.extent.length, "gives \(kept.count) bytes of \(record)")
        try demand(ManifestSample.digest(kept) == record.before, "gives other bytes of \(record)")
    }
    for at in [0, 1500, Int.max - 1] { _ = reader.mark(on: at..<at + 1) }
    return true
}

/// What is read is what was sealed, from its beginning on; nothing else.
private func checkRotten(
    _ bytes: [UInt8], _ kept: [(record: UndoRecord, bytes: [UInt8])]
) throws -> Bool {
    var reader = try opened(bytes)
    try demand(reader.records <= kept.count, "has records that nobody wrote")
    let expected = kept.prefix(reader.records)
    let found = try contents(&reader)
    try demand(found.count == expected.count, "gives \(found.count), not \(expected.count)")
    for (record, bytes) in found {
        try demand(
            expected.contains { $0.record == record && $0.bytes == bytes },
            "gives \(record), which nobody wrote")
    }
    // A cut file may well be taken: only what was never sealed, or the whole, says nothing.
    return true
}

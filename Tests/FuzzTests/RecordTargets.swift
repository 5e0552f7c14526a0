import ResyncStorage
import TestSupport

@testable import ResyncCore
@testable import ResyncEngine

extension FuzzTarget {
    static let result = FuzzTarget(
        "result record", rounds: 300_000, samples: resultSamples()
    ) { bytes in
        var reader = ByteReader(bytes)
        let record = try reader.record()
        try demandInside(record.path)
        if case .difference(let difference) = record {
            for error in difference.errors { try demandName(error.call) }
            var end = 0
            for extent in difference.extents {
                try demand(extent.offset >= end, "extents out of order")
                end = extent.end
            }
        }
        var writer = ByteWriter()
        writer.record(record)
        try demand(writer.bytes == Array(bytes.prefix(reader.at)), "is written in another way")
        return true
    }

    static let update = FuzzTarget(
        "baseline update", rounds: 300_000, samples: updateSamples()
    ) { bytes in
        var reader = ByteReader(bytes)
        let update = try reader.update()
        switch update {
        case .remove(let path), .withdraw(let path, _), .withdrawRolledBack(let path, _, _, _):
            try demandInside(path)
        case .set(let record): try demandInside(record.path)
        }
        var writer = ByteWriter()
        writer.update(update)
        try demand(writer.bytes == Array(bytes.prefix(reader.at)), "is written in another way")
        return true
    }

    static let marker = FuzzTarget(
        "marker", rounds: 40_000, samples: markerSamples(), forms: [.frames(MarkerFile.magic)]
    ) { bytes in
        let marker = try MarkerFile.decode(bytes)
        try demand(
            marker.history.count <= StoreMarker.historyLimit, "knows too much of what was before")
        try demand(try MarkerFile.decode(MarkerFile.encode(marker)) == marker, "is another one")
        return true
    }

    /// The first byte says which of a run's small files it is.
    static let runFile = FuzzTarget(
        "run file", rounds: 300_000, samples: runSamples()
    ) { bytes in
        guard let kind = bytes.first, kind < 5 else { return false }
        var reader = ByteReader(Array(bytes.dropFirst()))
        let written = try rewritten(kind, &reader)
        var again = ByteReader(written)
        try demand(
            try rewritten(kind, &again).count == written.count, "is written in another way")
        return true
    }
}

private let time = Timestamp(seconds: 1_700_000_000, nanoseconds: 6)

/// As the name of a call is shown: as it is.
private func demandName(_ call: [UInt8]) throws {
    let isName = call.allSatisfy { $0 == 0x5f || (0x30...0x39) ~= $0 || (0x61...0x7a) ~= $0 }
    try demand(isName && !call.isEmpty, "gives the call \(escaped(call))")
}

private func encoded(_ body: (inout ByteWriter) -> Void) -> [UInt8] {
    var writer = ByteWriter()
    body(&writer)
    return writer.bytes
}

private func resultSamples() -> [[UInt8]] {
    let path = RelativePath(Array("d/x\u{e9}".utf8))
    var differs = Difference(path: path, outcome: .differs)
    differs.aspects = AspectSet([.content, .size])
    differs.extents = [Extent(offset: 0, length: 4096), Extent(offset: 1 << 20, length: 5)]
    differs.confirmedFrom = .media
    let witness = StatWitness(type: .file, size: 5, mtime: time, ctime: time, inode: 9)
    differs.stats = Sides(a: witness, b: nil)
    differs.witnesses.a = [fuzzDigest(1), fuzzDigest(2)]
    differs.digests.b = [fuzzDigest(3)]
    var unreadable = Difference(path: path, outcome: .unreadable)
    unreadable.errors = [
        EntryError(side: .a, call: Array("pread64".utf8), number: 5),
        EntryError(
            side: .b, call: Array("statx".utf8), number: -1,
            extent: Extent(offset: 7, length: 1)),
    ]
    unreadable.reason = .changing
    return ([.same(path), .difference(differs), .difference(unreadable)] as [ResultRecord]).map {
        record in encoded { $0.record(record) }
    }
}

private func updateSamples() -> [[UInt8]] {
    let path = RelativePath(Array("d/x".utf8))
    let witness = BaselineRecord.Witness(
        inode: 5, device: DeviceNumber(major: 8, minor: 1), mtime: time, ctime: time)
    let record = BaselineRecord(
        path: path,
        agreed: ObservedEntry(
            entry: Entry(stat: Stat(type: .file, size: 7)), content: fuzzDigest(1)),
        witnesses: Sides(a: witness, b: witness), aspects: .standard, level: .hash, time: time)
    let updates: [BaselineUpdate] = [
        .remove(path), .set(record), .withdraw(path, since: time),
        .withdrawRolledBack(path, since: time, .b, ctime: time),
    ]
    return updates.map {
        update in encoded { $0.update(update) }
    }
}

extension ManifestPart {
    /// The frames of a manifest that is only begun, wherever they are said to end.
    fileprivate var reading: ReadBytes {
        let file = MemoryFile()
        _ = try? ManifestWriter(ManifestSample.header(), .openSSL) { file.append($0) }
        return { file.read($0, $1) }
    }
}

private func markerSamples() -> [[UInt8]] {
    var marker = StoreMarker(store: fuzzDigest(1), identity: StoreIdentity(fileSystem: 1, inode: 2))
    let new = MarkerFile.encode(marker)
    marker.agree(on: fuzzDigest(2), with: nil)
    marker.agree(on: fuzzDigest(3), with: nil)
    marker.inconsistent = "20261130-1"
    marker.followed = fuzzDigest(4)
    return [new, MarkerFile.encode(marker)]
}

private func runSamples() -> [[UInt8]] {
    let header = RunHeader(
        id: "20261130-1", kind: "verify", started: time, a: [0x2f, 0xff], b: [0x2f],
        arguments: [[0x61], []], workingDirectory: [0x2f], version: "1.0")
    var tally = Tally()
    tally.entries = 300
    tally.count(bytes: 1 << 40, .hash)
    let witness = StatWitness(type: .directory, size: 5, mtime: time, ctime: time, inode: 9)
    let failed = Completeness.failed(DiskError(.getdents64, 5))
    let directories = [Completeness.complete, .changing, failed, .broken("twice")].enumerated()
        .map { depth, completeness in
            EnteredDirectory(
                depth: depth, Sides(a: witness, b: witness),
                Sides(a: completeness, b: .complete))
        }
    let checkpoint = Checkpoint(
        isFirstPassDone: true, through: RelativePath([0x61]), directories: directories,
        tally: tally, manifests: Sides(a: ManifestPart(end: 77, pending: [1, 2]), b: nil),
        resultsEnd: 900, elapsed: 2.5, saved: time)
    var summary = Summary(
        tally: tally, ending: .interrupted(15), leftUnread: 3, elapsed: 2.5)
    summary.doubts.a = ["a doubt"]
    let reach = RunReach(
        ended: time, assurance: .hash, isWhole: true,
        identities: Sides(a: StoreIdentity(fileSystem: 1, inode: 2), b: nil))
    var order = PaceOrder()
    order.readLimit = 5
    return [
        encoded { $0.header(header) }, encoded { $0.checkpoint(checkpoint) },
        encoded { $0.summary(summary) }, encoded { $0.reach(reach) },
        encoded { $0.order(order) },
    ].enumerated().map { [UInt8($0)] + $1 }
}

private func rewritten(_ kind: UInt8, _ reader: inout ByteReader) throws -> [UInt8] {
    switch kind {
    case 0:
        let header = try reader.header()
        return encoded { $0.header(header) }
    case 1:
        let checkpoint = try reader.checkpoint()
        if let path = checkpoint.through { try demandInside(path) }
        for side in Side.allCases {
            // Where a resumed run goes on.
            guard let part = checkpoint.manifests[side] else { continue }
            var reader = try? ManifestReader(ManifestHashes.openSSL, part, read: part.reading)
            while (try? reader?.next()) != nil {}
        }
        return encoded { $0.checkpoint(checkpoint) }
    case 2:
        let summary = try reader.summary()
        // What is reported is computed of it.
        _ = (summary.tally.findings, summary.verdict, summary.status, summary.notVerified)
        return encoded { $0.summary(summary) }
    case 3:
        let reach = try reader.reach()
        return encoded { $0.reach(reach) }
    default:
        let order = try reader.order()
        return encoded { $0.order(order) }
    }
}

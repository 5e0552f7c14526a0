import ResyncStorage
import TestSupport

@testable import ResyncCore

extension FuzzTarget {
    static let plan = FuzzTarget(
        "plan", rounds: 20_000, samples: planSamples(),
        forms: [.frames(PlanFrame.magic), planActions], check: checkPlan)
    static let baseline = FuzzTarget(
        "baseline", rounds: 100_000, samples: baselineSamples(),
        forms: [.frames(BaselineFrame.magic), baselineRecordFrames], check: checkBaseline)
    static let journal = FuzzTarget(
        "journal", rounds: 100_000, samples: journalSamples(),
        forms: [.frames(JournalFrame.magic)], check: checkJournal)
}

private func file(_ size: Int, _ content: UInt8) -> ObservedEntry {
    let stat = Stat(
        type: .file, mode: 0o644, size: size,
        mtime: Timestamp(seconds: 1_700_000_000, nanoseconds: 5), inode: 7)
    return ObservedEntry(
        entry: Entry(stat: stat, xattrs: fuzzDigest(1)), content: fuzzDigest(content))
}

private let link = ObservedEntry(entry: Entry(stat: Stat(type: .symlink), target: [0xff, 0x2f]))
private let time = Timestamp(seconds: 5, nanoseconds: 6)

func fuzzStore(_ kind: ManifestHeader.Kind, size: Int = 0) -> StoreReference {
    var marker = StoreMarker(
        store: fuzzDigest(1), identity: StoreIdentity(fileSystem: 1, inode: 2))
    marker.baseline = fuzzDigest(2)
    marker.history = [fuzzDigest(3), fuzzDigest(4)]
    return StoreReference(
        path: [0x2f, 0xff], kind: kind, identity: StoreIdentity(fileSystem: 1, inode: 2),
        size: size, marker: marker)
}

// MARK: Plans

private func planSamples() -> [[UInt8]] {
    var actions: [Action] = []
    for kind in Action.Kind.allCases where kind != .settleDirectory && kind != .patch {
        let path = RelativePath(Array("d/\(kind)".utf8))
        var action = Action(kind, on: kind.rawValue % 2 == 0 ? .a : .b, path, why: .conflict)
        action.after = file(Int(kind.rawValue) % 2 * 1000, 5)
        if kind != .special { action.before = kind == .link ? link : file(10, 6) }
        if kind == .link { action.linkTo = RelativePath([0x78]) }
        actions.append(action)
    }
    actions.append(Action(.settleDirectory, on: .b, RelativePath([0x64]), why: .unknown))
    var patch = Action(.patch, on: .b, .root, why: .unknown)
    patch.patches = [0, 8192, 1 << 30].map {
        Action.Patch(
            extent: Extent(offset: $0, length: 4096), before: fuzzDigest(5),
            after: fuzzDigest(6))
    }
    return [planFile(.directory, actions), planFile(.file, [patch, patch]), planFile(.file, [])]
        .compactMap(\.self)
}

private func planFile(_ kind: ManifestHeader.Kind, _ actions: [Action]) -> [UInt8]? {
    let store = fuzzStore(kind, size: kind == .directory ? 0 : 1 << 40)
    var header = PlanHeader(
        stores: Sides(a: store, b: store), authority: .baseline, created: time,
        blockSize: 1 << 20, aspects: .standard, exclusions: fuzzDigest(4))
    header.run = "run"
    header.entries = 17
    let file = MemoryFile()
    guard
        var writer = try? PlanWriter(
            header, hash: fuzzHash(), chain: fuzzHash(), output: { file.append($0) })
    else { return nil }
    for action in actions { try? writer.append(action) }
    var left = PlanLeftOut()
    for reason in LeaveReason.allCases { left.count(reason, 3) }
    return (try? writer.finish(left)) == nil ? nil : file.bytes
}

/// A header, then one part for each action; the trailer counts those that can be read.
private let planActions = Form(
    split: { bytes in
        framed(bytes).flatMap { frame -> [[UInt8]] in
            if frame.first == PlanFrame.header { return [frame] }
            guard frame.first == PlanFrame.actions else { return [] }
            let payload = Array(frame.dropFirst())
            var reader = ByteReader(payload)
            var parts: [[UInt8]] = []
            while !reader.isAtEnd {
                let start = reader.at
                guard (try? reader.action()) != nil else { break }
                parts.append([PlanFrame.actions] + payload[start..<reader.at])
            }
            return parts
        }
    },
    join: { parts in
        var trailer = PlanTrailer()
        for part in parts where part.first == PlanFrame.actions {
            var reader = ByteReader(Array(part.dropFirst()))
            while !reader.isAtEnd, let action = try? reader.action() {
                trailer.actions += 1
                trailer.totals[action.side].count(action)
            }
        }
        var writer = ByteWriter()
        writer.byte(PlanFrame.trailer)
        writer.number(trailer.actions)
        for side in Side.allCases {
            let totals = trailer.totals[side]
            for count in [
                totals.creates, totals.overwrites, totals.metadata, totals.deletes,
                totals.bytesWritten, totals.bytesDisplaced, totals.zeroed, totals.emptied,
            ] {
                writer.number(count)
            }
        }
        for count in 0..<6 { writer.number(count) }
        writer.byte(0)
        return joined(PlanFrame.magic, parts + [writer.bytes]) { _, part in part }
    })

/// What is taken counts what it holds, leads nowhere but into a store, and its guards can be asked.
private func checkPlan(_ bytes: [UInt8]) throws -> Bool {
    var reader = try PlanReader(hash: fuzzHash(), chain: fuzzHash(), read: bytes.reading)
    var totals = Sides(a: PlanTotals(), b: PlanTotals())
    var count = 0
    var isSettling = false
    let stores = reader.header.stores
    let settling = reader.settling
    try reader.forEach { number, action in
        try demand(number == count, "numbers an action \(number) that is the \(count)th")
        count += 1
        totals[action.side].count(action)
        try demandInside(action.path)
        try demand(!action.path.isReserved, "changes what is our own")
        if let target = action.linkTo { try demandInside(target) }
        isSettling = isSettling || action.kind == .settleDirectory
        try demand(isSettling == (action.kind == .settleDirectory), "settles too early")
        try demand(isSettling == (number >= settling), "settles elsewhere than it says")
        var end = 0
        for patch in action.patches {
            try demand(patch.extent.offset >= end, "patches overlap")
            end = patch.extent.end
        }
        try demand(end <= stores[action.side].size || action.patches.isEmpty, "a patch outside")
        var writer = ByteWriter()
        writer.action(action)
        var again = ByteReader(writer.bytes)
        try demand(try again.action() == action, "an action is written as another one")
    }
    let trailer = reader.trailer
    try demand(count == trailer.actions, "\(count) actions, not \(trailer.actions)")
    for side in Side.allCases {
        var kept = trailer.totals[side]
        try demand(kept.zeroed >= totals[side].zeroed, "fewer are zeroed than there are")
        (kept.zeroed, kept.emptied) = (totals[side].zeroed, totals[side].emptied)
        try demand(kept == totals[side], "totals \(kept) of \(totals[side])")
    }
    var backwards = count
    try reader.forEach(backwards: true) { number, _ in
        backwards -= 1
        try demand(number == backwards, "goes backwards out of order")
    }
    try ask(guardsOf: reader)
    return true
}

private func ask(guardsOf plan: PlanReader<EVPHash>) throws {
    for available in [nil, 0, Int.max] {
        let found = plan.header.stores.map { store in
            var found = StoreFindings(identity: store.identity)
            found.marker = store.marker
            found.size = store.size
            found.available = available
            return found
        }
        let all = refusals(plan.header, plan.trailer, found, baselineExclusions: nil, run: nil)
        for refusal in all {
            try demand(
                refusal.sentence.unicodeScalars.allSatisfy { isHarmless($0) },
                "a refusal that moves the cursor: \(escaped(refusal.sentence.utf8))")
        }
        _ = slicedSides(plan.trailer, found)
    }
}

// MARK: Baselines

private func baselineSamples() -> [[UInt8]] {
    var header = BaselineHeader(
        identities: Sides(
            a: StoreIdentity(fileSystem: 1, inode: 2),
            b: StoreIdentity(fileSystem: 3, inode: 4)),
        blockSize: 1 << 20, exclusions: fuzzDigest(9), written: time)
    header.previous = fuzzDigest(8)
    let device = ObservedEntry(
        entry: Entry(
            stat: Stat(type: .blockDevice, special: DeviceNumber(major: 7, minor: 9))))
    let entries = [("", file(1, 1)), ("d", file(2, 2)), ("d/l", link), ("d/z", device)]
    let witness = BaselineRecord.Witness(
        inode: 5, device: DeviceNumber(major: 8, minor: 1), mtime: time, ctime: time)
    return [0, entries.count].compactMap { count in
        let file = MemoryFile()
        guard
            var writer = try? BaselineWriter(
                header, hash: fuzzHash(), chain: fuzzHash(), output: { file.append($0) })
        else { return nil }
        for (path, agreed) in entries.prefix(count) {
            let record = BaselineRecord(
                path: RelativePath(Array(path.utf8)), agreed: agreed,
                witnesses: Sides(a: witness, b: witness), aspects: .standard, level: .media,
                time: time)
            try? writer.append(record)
        }
        return (try? writer.finish()) == nil ? nil : file.bytes
    }
}

/// A header, then one part for each record, in a frame of its own; the trailer counts them.
private let baselineRecordFrames = Form(
    split: { bytes in
        guard let header = framed(bytes).first, let found = try? baselineRecords(bytes) else {
            return framed(bytes)
        }
        return [header]
            + found.records.map { record in
                var writer = ByteWriter()
                writer.update(.set(record))
                // An update has one byte before the record.
                return [BaselineFrame.records] + writer.bytes.dropFirst()
            }
    },
    join: { parts in
        let records = parts.count { $0.first == BaselineFrame.records }
        var writer = ByteWriter()
        writer.byte(BaselineFrame.trailer)
        writer.number(records)
        return joined(BaselineFrame.magic, parts + [writer.bytes]) { _, part in part }
    })

/// What is taken is in order, and is the same when it is written again.
private func checkBaseline(_ bytes: [UInt8]) throws -> Bool {
    let records = try baselineRecords(bytes)
    let file = MemoryFile()
    var writer = try BaselineWriter(
        records.header, hash: fuzzHash(), chain: fuzzHash(), output: { file.append($0) })
    var last: RelativePath?
    for record in records.records {
        try demandInside(record.path)
        try demand(last.map { $0 < record.path } ?? true, "records out of order")
        last = record.path
        try writer.append(record)
    }
    _ = try writer.finish()
    let again = try baselineRecords(file.bytes)
    try demand(again.records == records.records, "is written as another one")
    return true
}

private func baselineRecords(
    _ bytes: [UInt8]
) throws -> (header: BaselineHeader, records: [BaselineRecord]) {
    var reader = try BaselineReader(hash: fuzzHash(), chain: fuzzHash(), read: bytes.reading)
    var records: [BaselineRecord] = []
    while let record = try reader.next() { records.append(record) }
    try demand(reader.id != nil, "has come to no end")
    return (reader.header, records)
}

// MARK: Journals

private func journalSamples() -> [[UInt8]] {
    let failure = DiskFailure(call: Array("pwrite64".utf8), number: 28)
    let records: [JournalRecord] = [
        .begin(plan: fuzzDigest(1), secret: fuzzDigest(2)), .intent(3..<9),
        .results(first: 3, [.done, .changed, .withheld, .conflict, .failed(failure), .done]),
        .undoIntent(0..<4), .undone(first: 0, [.done, .lost, .released, .changed]),
        .attributes(number: 4, [Attribute(name: [1, 0xff], value: [])]), .confirmed(time),
        .erased(number: 7, time), .freed(0..<9, time), .undoFolder([slash, 0xff]),
        .putAside(number: 3, [Extent(offset: 5, length: 9)]),
        .straysErased([StrayName(number: 2, suffix: [9])], time), .released(time),
    ]
    return [records, Array(records.prefix(3))].map { records in
        var frames = FrameWriter(
            magic: JournalFrame.magic, hash: fuzzHash(), chain: fuzzHash())
        return records.reduce(frames.start()) { bytes, record in
            var writer = ByteWriter()
            writer.journal(record)
            return bytes + frames.frame(JournalFrame.record, writer.bytes)
        }
    }
}

/// Records are written as they were read, and a state of them can be asked anything.
private func checkJournal(_ bytes: [UInt8]) throws -> Bool {
    var frames = FrameReader(magic: JournalFrame.magic, hash: fuzzHash(), chain: fuzzHash())
    let read = bytes.reading
    try frames.start(read)
    let count = 12
    var state: JournalState?
    while let frame = try frames.next(read) {
        guard frame.kind == JournalFrame.record else { throw FormatError("of unknown kind") }
        var reader = ByteReader(frame.payload)
        let record = try reader.journal()
        var writer = ByteWriter()
        writer.journal(record)
        try demand(
            writer.bytes == Array(frame.payload.prefix(reader.at)),
            "\(record) is written in another way")
        if state == nil {
            state = try JournalState(record, count: count, settling: 10)
        } else {
            try state?.take(record)
        }
        try state.map(ask)
    }
    guard let state else { throw FormatError("is empty") }
    try demand(state.results.count == count, "has actions that the plan does not have")
    return true
}

private func ask(_ state: JournalState) throws {
    let count = state.results.count
    for range in [state.open, state.openUndo] {
        try demand(
            range.map { $0.upperBound <= count } ?? true, "open: \(String(describing: range))")
    }
    let numbers = [state.undone, state.conflicts, state.erased, Set(state.asides.keys)]
    for number in numbers.joined() + Array(state.attributes.keys) {
        try demand(state.results.indices.contains(number), "knows of action \(number)")
    }
    for number in 0..<count {
        try demand(!state.isKept(number) || state.isDone(number), "keeps what was not done")
        try demand(
            !(state.isErased(number) && state.isKept(number)), "keeps what it has erased")
    }
    let counts = state.counts
    try demand(counts.done + counts.notDone == count, "counts \(counts)")
    try demand(!state.isComplete || !state.isBeingUndone, "is complete, and being undone")
    try demand(!state.isTakenBack || state.isUndone, "is taken back, and not undone")
    _ = (state.isOver, state.keepsSomething, state.isCutOff)
}

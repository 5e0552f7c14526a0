package import ResyncCore
package import ResyncStorage

/// What a run that carries out a plan keeps: `header` as every run, `plan`, a copy of its own, and
/// `journal`, appended durably record by record.
package final class ApplyFolder {
    package let run: RunFolder
    package var plan: PlanReader<EVPHash>
    package private(set) var state: JournalState
    private let file: OutputFile?
    private var frames: FrameWriter<EVPHash>

    enum File {
        static let plan = Array("plan".utf8)
        static let journal = Array("journal".utf8)
    }

    /// Begins a run with a plan that is copied into its folder, and lists it once it is whole.
    ///
    /// - Parameter id: the plan that is meant.
    /// - Throws: `FormatError` where the plan is damaged, or is another one by now.
    package init(
        begin run: RunFolder, plan source: InputFile, id: Digest
    ) throws {
        self.run = run
        plan = try Self.copy(source, to: run.folder)
        guard plan.id == id else { throw FormatError("has changed while it was read") }
        let file = try run.folder.create(File.journal)
        self.file = file
        frames = FrameWriter(magic: JournalFrame.magic, hash: frameHash(), chain: frameHash())
        let secret = try randomBytes(Digest.byteCount)
        let begin = JournalRecord.begin(
            plan: plan.id, secret: secret.withUnsafeBytes { Digest($0) })
        state = try JournalState(begin, count: plan.trailer.actions, settling: plan.settling)
        try file.write(frames.start())
        try write(begin)
        try run.folder.sync()
        try run.publish()
    }

    /// Goes on with a run where its journal ends. A record that a crash cut is no record; nothing
    /// was begun that it would have announced.
    ///
    /// - Throws: `FormatError` where plan or journal are damaged in their midst.
    package init(resume run: RunFolder) throws {
        self.run = run
        plan = try Self.plan(of: run)
        let (replayed, end) = try Self.replay(try run.folder.read(File.journal), plan)
        state = replayed
        file = try run.folder.reopen(File.journal, at: end)
        frames = Self.frames(at: end)
    }

    /// Looks at a run without going on with it; nothing may be appended.
    package init(reading run: RunFolder) throws {
        self.run = run
        plan = try Self.plan(of: run)
        state = try Self.replay(try run.folder.read(File.journal), plan).state
        file = nil
        frames = Self.frames(at: 0)
    }

    private static func frames(at end: Int) -> FrameWriter<EVPHash> {
        FrameWriter(
            magic: JournalFrame.magic, hash: frameHash(), chain: frameHash(), resumingAt: end)
    }

    private static func replay(
        _ journal: InputFile, _ plan: PlanReader<EVPHash>
    ) throws -> (state: JournalState, end: Int) {
        let (records, end) = try JournalTail(journal).records()
        guard let first = records.first else { throw FormatError("a journal without a beginning") }
        var state = try JournalState(
            first, count: plan.trailer.actions, settling: plan.settling)
        for record in records.dropFirst() { try state.take(record) }
        guard state.plan == plan.id else { throw FormatError("a journal of another plan") }
        return (state, end)
    }

    /// The id of the plan that a run of kind `apply` carries out, from the journal's first record.
    package static func planID(of run: RunFolder) throws -> Digest {
        let journal = try run.folder.read(File.journal)
        var frames = FrameReader(
            magic: JournalFrame.magic, hash: frameHash(), chain: frameHash())
        let read: ReadBytes = { try journal.read(at: $0, count: $1) }
        try frames.start(read)
        guard let frame = try frames.next(read) else { throw FormatError("is cut") }
        var payload = ByteReader(frame.payload)
        guard case .begin(let plan, _) = try payload.journal() else {
            throw FormatError("a journal without a beginning")
        }
        return plan
    }

    static func plan(of run: RunFolder) throws -> PlanReader<EVPHash> {
        try open(try run.folder.read(File.plan))
    }

    private static func open(_ file: InputFile) throws -> PlanReader<EVPHash> {
        try PlanReader(hash: frameHash(), chain: frameHash()) {
            try file.read(at: $0, count: $1)
        }
    }

    private static func copy(
        _ source: InputFile, to folder: Folder
    ) throws -> PlanReader<EVPHash> {
        let target = try folder.create(File.plan)
        var at = 0
        while true {
            let bytes = try source.read(at: at, count: 1 << 20)
            if bytes.isEmpty { break }
            try target.write(bytes)
            at += bytes.count
        }
        try target.sync()
        try folder.sync()
        return try open(try folder.read(File.plan))
    }

    /// Why the run must not be forgotten yet; nil where it may.
    package var reasonToKeep: String? {
        if state.isCutOff { return "was cut off in its midst" }
        if state.keepsSomething { return "keeps what it displaced" }
        if !state.asides.isEmpty { return "keeps what it put aside" }
        return nil
    }

    /// Whether something may lie in the run's quarantine beside what it keeps: what it had made
    /// and taken back, or what it found there of somebody else's.
    package var mayHaveStrays: Bool {
        plan.header.stores.a.kind == .directory && state.results.contains { $0 != nil }
    }

    /// Durable when this returns.
    package func append(_ record: JournalRecord) throws {
        try state.take(record)
        try write(record)
    }

    private func write(_ record: JournalRecord) throws {
        guard let file else { preconditionFailure("a run that is only looked at") }
        var writer = ByteWriter()
        writer.journal(record)
        do throws(DiskError) {
            try file.write(frames.frame(JournalFrame.record, writer.bytes))
            try file.sync()
        } catch {
            throw JournalFailure(error: error)
        }
    }
}

/// The journal cannot be written: nothing is begun that it does not announce.
package struct JournalFailure: Error, Sendable, Hashable {
    package let error: DiskError
}

/// Reads a journal to its end, or to where a crash cut it.
private struct JournalTail {
    private let file: InputFile

    init(_ file: InputFile) { self.file = file }

    private var reader: FrameReader<EVPHash> {
        FrameReader(magic: JournalFrame.magic, hash: frameHash(), chain: frameHash())
    }

    func records() throws -> (records: [JournalRecord], end: Int) {
        var frames = reader
        let read: ReadBytes = { try file.read(at: $0, count: $1) }
        try frames.start(read)
        var records: [JournalRecord] = []
        while true {
            let offset = frames.offset
            do {
                guard let frame = try frames.next(read) else { break }
                guard frame.kind == JournalFrame.record else {
                    throw FormatError("a frame of unknown kind", at: offset)
                }
                var payload = ByteReader(frame.payload)
                records.append(try payload.journal())
            } catch let error as FormatError {
                // Cut by a crash: then nothing whole follows.
                guard try !hasFrame(behind: offset) else { throw error }
                return (records, offset)
            }
        }
        return (records, frames.offset)
    }

    /// Each record was durable before the next was begun, so what a crash cut is one frame at most.
    private static let tailLimit = Frames.payloadLimit + 4096

    private func hasFrame(behind offset: Int) throws -> Bool {
        let tail = try file.read(at: offset, count: Self.tailLimit + 1)
        guard tail.count <= Self.tailLimit else { return true }
        let read: ReadBytes = { at, count in
            Array(tail[min(tail.count, max(0, at - offset))...].prefix(count))
        }
        for start in offset + 1..<max(offset + 1, offset + tail.count) {
            var frames = reader
            frames.seek(to: start)
            if let found = try? frames.next(read), found.kind == JournalFrame.record {
                return true
            }
        }
        return false
    }
}

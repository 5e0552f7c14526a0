package import ResyncCore
package import ResyncStorage

/// What a run was asked to do.
package struct RunHeader: Sendable {
    package var id: String
    /// The command, as `verify`.
    package var kind: String
    package var started: Timestamp
    package var a: [UInt8]
    package var b: [UInt8]
    /// The arguments after the program's name, from which the run can be resumed.
    package var arguments: [[UInt8]]
    package var workingDirectory: [UInt8]
    package var version: String

    package init(
        id: String, kind: String, started: Timestamp, a: [UInt8], b: [UInt8],
        arguments: [[UInt8]], workingDirectory: [UInt8], version: String
    ) {
        self.id = id
        self.kind = kind
        self.started = started
        self.a = a
        self.b = b
        self.arguments = arguments
        self.workingDirectory = workingDirectory
        self.version = version
    }
}

/// What a comparison's result is about, once it has ended.
package struct RunReach: Sendable, Hashable {
    package var ended: Timestamp
    /// How strongly content was compared; nil where nobody can say.
    package var assurance: Assurance?
    /// Whether all of both stores was looked at.
    package var isWhole: Bool
    /// The stores; nil where there was no other one.
    package var identities: Sides<StoreIdentity?>

    package init(
        ended: Timestamp, assurance: Assurance?, isWhole: Bool, identities: Sides<StoreIdentity?>
    ) {
        self.ended = ended
        self.assurance = assurance
        self.isWhole = isWhole
        self.identities = identities
    }
}

/// What was compared of two images, from their beginning on.
package struct ImagePart: Sendable, Hashable {
    /// Bytes that both have.
    package var size: Int
    package var blockSize: Int
    /// As they were by then.
    package var stats: Sides<StatWitness>
    /// That were read on both sides.
    package var blocks: Int
    /// Bytes of these whose digests were compared.
    package var comparedBytes = 0
    /// Bytes that were read of both, also of what follows.
    package var bytesRead = 0
    /// What was found in these; nil where they agree.
    package var difference: Difference?

    package init(size: Int, blockSize: Int, stats: Sides<StatWitness>, blocks: Int) {
        self.size = size
        self.blockSize = blockSize
        self.stats = stats
        self.blocks = blocks
    }

    /// Whether a run can go on behind it: what has times must not have been written to since.
    func isBeginning(of now: Sides<Stat>, size: Int, blockSize: Int) -> Bool {
        size == self.size && blockSize == self.blockSize
            && Side.allCases.allSatisfy { side in
                now[side].type == .file ? StatWitness(now[side]) == stats[side] : true
            }
    }
}

/// How far a run had come.
package struct Checkpoint: Sendable {
    /// Only second looks are left.
    package var isFirstPassDone = false
    /// Everything up to here, in walk order, has its result.
    package var through: RelativePath?
    /// The directories on the way to it, itself included where it is one that could be opened, from
    /// the root down, as they were before they were listed.
    package var directories: [EnteredDirectory] = []
    package var tally: Tally
    /// What is written of each side's manifest, where these are kept.
    package var manifests: Sides<ManifestPart?> = Sides(a: nil, b: nil)
    /// Where the results that belong to it end in their file.
    package var resultsEnd: Int
    package var elapsed: Double
    package var saved: Timestamp
    /// Of images, which are one entry.
    package var image: ImagePart?
}

/// Everything a run keeps: `header`, `terms` (of a comparison of two stores), `first` (results of
/// the first pass, which later passes leave as they are), `checkpoint`, `differences` (results of
/// the last pass, if there was a later one), and at the end `summary` and `reach`; while it is
/// worked on also `order`, what its operator wants of it.
package final class RunFolder: Sendable {
    package let id: String
    package let folder: Folder

    private enum File {
        static let header = Array("header".utf8)
        static let terms = Array("terms".utf8)
        static let first = Array("first".utf8)
        static let differences = Array("differences".utf8)
        static let next = Array("next".utf8)
        static let checkpoint = Array("checkpoint".utf8)
        static let summary = Array("summary".utf8)
        static let reach = Array("reach".utf8)
        static let order = Array("order".utf8)
    }

    /// Where a run that keeps manifests puts them until it has come to its end.
    package static func manifest(_ side: Side) -> [UInt8] { Array("manifest-\(side.word)".utf8) }

    /// Where it will be listed; nil where it is.
    private let unlisted: Folder?

    private init(id: String, folder: Folder, unlisted: Folder? = nil) {
        self.id = id
        self.folder = folder
        self.unlisted = unlisted
    }

    /// Makes the folder of a new run and holds its lock.
    package static func create(
        in runs: Folder, _ header: RunHeader, terms: RunTerms? = nil
    ) throws -> RunFolder {
        let run = try prepare(in: runs, header)
        if let terms { try run.save(terms) }
        try run.publish()
        return RunFolder(id: run.id, folder: run.folder)
    }

    /// As `create`, but the run is not among those that are listed before it is published: one
    /// that a crash left without what every run of its kind has would be in everybody's way.
    package static func prepare(in runs: Folder, _ header: RunHeader) throws -> RunFolder {
        try sweep(runs, at: header.started)
        let folder = try runs.folder(hidden(header.id), create: true)
        let run = RunFolder(id: header.id, folder: folder, unlisted: runs)
        guard try folder.lock(exclusive: true) else { throw RunError.busy(header.id) }
        var writer = ByteWriter()
        writer.header(header)
        try run.write(File.header, writer.bytes)
        return run
    }

    /// Lists what was prepared, durably and with all that it has so far; to be called once.
    package func publish() throws {
        try unlisted?.rename(Self.hidden(id), to: Array(id.utf8))
    }

    private static func hidden(_ id: String) -> [UInt8] { Array(".\(id)".utf8) }

    /// How old a run that was never published is before it is taken for a crash's.
    private static let leftoverAge: Int64 = 24 * 3600

    private static func sweep(_ runs: Folder, at now: Timestamp) throws {
        for name in try runs.names() where name.bytes.first == UInt8(ascii: ".") {
            guard let folder = try? runs.folder(name.bytes, create: false),
                try folder.stat().mtime < now.adding(seconds: -leftoverAge),
                try folder.lock(exclusive: true)
            else { continue }
            for name in try folder.names() { try folder.remove(name.bytes) }
            try runs.remove(name.bytes, isFolder: true)
        }
    }

    /// Opens a run that was kept.
    package static func open(_ id: String, in runs: Folder) throws -> RunFolder {
        let name = Array(id.utf8)
        guard Name(name).isValid else { throw RunError.unknown(id) }
        do throws(DiskError) {
            return RunFolder(id: id, folder: try runs.folder(name, create: false))
        } catch {
            guard error.number == ErrorNumber.noEntry else { throw error }
            throw RunError.unknown(id)
        }
    }

    /// The ids of the runs that are kept, oldest first.
    package static func list(in runs: Folder) throws -> [String] {
        try runs.names().compactMap { validText($0.bytes) }.filter { !$0.hasPrefix(".") }
    }

    /// Makes sure that no other process works on it.
    package func lock() throws {
        guard try folder.lock(exclusive: true) else { throw RunError.busy(id) }
    }

    /// Whether a process works on it now.
    package func isUnderWay(in runs: Folder) throws -> Bool {
        // Of an opening of its own, so that the lock goes with it.
        try !runs.folder(Array(id.utf8), create: false).lock(exclusive: false)
    }

    /// - Parameter forgotten: where it is remembered that it found something; nil where somebody
    ///   else does.
    package func delete(from runs: Folder, to forgotten: Folder? = nil) throws {
        try lock()
        let kept =
            forgotten == nil
            ? []
            : [File.header, File.terms, File.summary, File.reach, Self.decisionsFile]
        for name in try folder.names() where !kept.contains(name.bytes) {
            try folder.remove(name.bytes)
        }
        // Or a crash could keep the removal of the folder without that of what was in it.
        try folder.sync()
        let name = Array(id.utf8)
        if let forgotten {
            try runs.move(name, to: forgotten, as: name)
        } else {
            try runs.remove(name, isFolder: true)
        }
        try runs.sync()
    }

    // MARK: Parts

    package func header() throws -> RunHeader {
        var reader = ByteReader(try read(File.header))
        return try reader.header()
    }

    /// Nil for a run that is no comparison of two stores.
    package func terms() throws -> RunTerms? {
        try readIfThere(File.terms) { try $0.terms() }
    }

    private func save(_ terms: RunTerms) throws {
        var writer = ByteWriter()
        writer.terms(terms)
        try write(File.terms, writer.bytes)
    }

    /// - Throws: `begunOtherwise` unless the run was begun under the same terms.
    package func requireTerms(_ now: RunTerms) throws {
        guard let then = try terms() else {
            throw RunError.begunOtherwise(id, "it does not say of which stores it is")
        }
        if let reason = then.refusal(of: now) { throw RunError.begunOtherwise(id, reason) }
    }

    package func checkpoint() throws -> Checkpoint? {
        try readIfThere(File.checkpoint) { try $0.checkpoint() }
    }

    package func summary() throws -> Summary? {
        try readIfThere(File.summary) { try $0.summary() }
    }

    package func save(_ checkpoint: Checkpoint) throws {
        var writer = ByteWriter()
        writer.checkpoint(checkpoint)
        try write(File.checkpoint, writer.bytes)
    }

    package func save(_ summary: Summary) throws {
        var writer = ByteWriter()
        writer.summary(summary)
        try write(File.summary, writer.bytes)
    }

    // MARK: What is noted of it

    /// How far its result reaches, which only whoever configured it knows; after `save(summary)`.
    package func save(_ reach: RunReach) throws {
        var writer = ByteWriter()
        writer.reach(reach)
        try write(File.reach, writer.bytes)
    }

    /// What the ledger has of a comparison; nil for one that has no result, and for other runs. One
    /// that was ended before its reach was kept proves nothing, but what it found counts.
    package func record() throws -> RunRecord? { try record(try header()) }

    private func record(_ header: RunHeader) throws -> RunRecord? {
        guard header.kind == "verify", let summary = try summary() else { return nil }
        let reach = try readIfThere(File.reach) { try $0.reach() }
        let terms = reach == nil ? try terms() : nil
        return RunRecord(
            id: header.id, kind: header.kind, a: header.a, b: header.b, began: header.started,
            ended: try reach?.ended ?? folder.stat().mtime, status: Int(summary.status.code),
            verdict: summary.verdict,
            assurance: (reach?.assurance ?? terms?.assurance)?.rawValue ?? "",
            isWhole: reach?.isWhole ?? false, findings: summary.tally.findings,
            identities: reach?.identities
                ?? Sides(a: terms?.stores.a.identity, b: terms?.stores.b.identity))
    }

    /// The records of all comparisons but some. Of one that is damaged it is only known that it may
    /// have found something; what does not even say of which stores it was is passed over.
    package static func records(
        in runs: Folder, except known: Set<String> = []
    ) throws -> [RunRecord] {
        try list(in: runs).filter { !known.contains($0) }.compactMap { id in
            // It may be deleted meanwhile, or be something else.
            guard let run = try? open(id, in: runs), let header = try? run.header() else {
                return nil
            }
            do {
                return try run.record(header)
            } catch let error as DiskError where error.number == ErrorNumber.noEntry {
                return nil
            } catch is FormatError {
                return RunRecord(
                    id: id, kind: header.kind, a: header.a, b: header.b, began: header.started,
                    ended: try run.folder.stat().mtime, status: Int(ExitStatus.trouble.code),
                    verdict: "damaged", assurance: Assurance.media.rawValue, isWhole: false,
                    findings: 1)
            }
        }
    }

    // MARK: Orders

    /// What stands for whoever works on the run; an order that cannot be read is none.
    package func order() -> PaceOrder {
        (try? readIfThere(File.order) { try $0.order() }) ?? PaceOrder()
    }

    package func give(_ order: PaceOrder) throws {
        var writer = ByteWriter()
        writer.order(order)
        try write(File.order, writer.bytes)
    }

    /// An order is for the process that works on the run now, not for the next one.
    package func forgetOrder() { try? folder.remove(File.order) }

    func createFirst() throws -> ResultWriter {
        try? folder.remove(File.first)
        return try ResultWriter(try folder.create(File.first))
    }

    func resumeFirst(at end: Int) throws -> ResultWriter {
        ResultWriter(resuming: try folder.reopen(File.first, at: end))
    }

    /// The links among the results of the first pass up to some end.
    func readLinks(upTo end: Int) throws -> [Sides<ObjectIdentity>] {
        var reader = try ResultReader(try folder.read(File.first), end: end)
        return try reader.links()
    }

    /// The results of a later pass, which take the place of those of the one before.
    func createNext() throws -> ResultWriter {
        try? folder.remove(File.next)
        return try ResultWriter(try folder.create(File.next))
    }

    /// The last results there are: those of the last later pass, or else the first pass's.
    package func results() throws -> ResultReader {
        do {
            return try ResultReader(try folder.read(File.differences))
        } catch let error as DiskError where error.number == ErrorNumber.noEntry {
            return try ResultReader(try folder.read(File.first))
        }
    }

    /// Lets the next pass start from what this one found.
    func promoteNext() throws { try folder.rename(File.next, to: File.differences) }

    /// Forgets later passes.
    func dropLaterPasses() throws {
        for name in [File.next, File.differences] {
            do throws(DiskError) {
                try folder.remove(name)
            } catch {
                guard error.number == ErrorNumber.noEntry else { throw error }
            }
        }
        try folder.sync()
    }

    // MARK: Small files: one frame each

    private static let magic = Array("resync-run".utf8)
    private static let kind = UInt8(ascii: "V")

    private func write(_ name: [UInt8], _ payload: [UInt8]) throws {
        var frames = FrameWriter(magic: Self.magic, hash: frameHash(), chain: frameHash())
        try folder.replace(name, with: frames.start() + frames.frame(Self.kind, payload))
    }

    private func read(_ name: [UInt8]) throws -> [UInt8] {
        let file = try folder.read(name)
        var frames = FrameReader(magic: Self.magic, hash: frameHash(), chain: frameHash())
        try frames.start { try file.read(at: $0, count: $1) }
        guard let (kind, payload) = try frames.next({ try file.read(at: $0, count: $1) }),
            kind == Self.kind
        else { throw FormatError("is empty") }
        return payload
    }

    private func readIfThere<Value>(
        _ name: [UInt8], _ decode: (inout ByteReader) throws -> Value
    ) throws -> Value? {
        let bytes: [UInt8]
        do {
            bytes = try read(name)
        } catch let error as DiskError where error.number == ErrorNumber.noEntry {
            return nil
        }
        var reader = ByteReader(bytes)
        return try decode(&reader)
    }
}

/// Why a run cannot be worked on.
package enum RunError: Error, Sendable {
    case unknown(String)
    case busy(String)
    case nothingToResume(String)
    /// Nothing was kept of where it was.
    case cutOffEarly(String)
    /// Begun on another store, or under other rules; with the reason, as the end of a sentence.
    case begunOtherwise(String, String)
}

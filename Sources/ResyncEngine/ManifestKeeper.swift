import ResyncCore
import ResyncStorage

/// Writes one store's manifest into a run's folder while its entries come, so that another attempt
/// at the run can go on with it.
final class ManifestKeeper {
    let header: ManifestHeader
    private var records: ScanRecords
    private var writer: ManifestWriter<EVPHash>
    private let file: OutputFile

    /// - Parameter name: what the file is called in the folder.
    init(_ header: ManifestHeader, in folder: Folder, _ name: [UInt8]) throws {
        try? folder.remove(name)
        let file = try folder.create(name)
        self.file = file
        self.header = header
        records = ScanRecords()
        writer = try ManifestWriter(header, .openSSL) { try file.write($0) }
    }

    /// Goes on with what a checkpoint found written.
    ///
    /// - Throws: `FormatError` where that is not what it was.
    init(resuming part: ManifestPart, in folder: Folder, _ name: [UInt8]) throws {
        let written = try folder.read(name)
        let file = try folder.reopen(name, at: part.end)
        let read: ReadBytes = { try written.read(at: $0, count: $1) }
        var records = ScanRecords()
        writer = try ManifestWriter(
            resuming: part, .openSSL, read: read, output: { try file.write($0) },
            record: { records.restore($0) })
        self.records = records
        self.file = file
        header = try ManifestReader(.openSSL, part, read: read).header
    }

    var isComplete: Bool { records.isComplete }
    /// The last entry, from which another attempt goes on.
    var through: RelativePath? { records.through }
    var bytesRead: Int { records.bytesRead }
    var directories: [PairedDirectory?] { records.directories }

    func take(_ output: ScanOutput) throws {
        try records.take(output) { try writer.append($0) }
    }

    /// All of the part is durable when this returns.
    func save() throws -> ManifestPart {
        let part = writer.part
        try file.sync()
        return part
    }

    /// Durable when this returns; nil where the walk did not come to its end.
    func finish() throws -> ManifestTrailer? {
        guard records.isComplete else { return nil }
        let trailer = try writer.finish(ended: .now)
        try file.sync()
        return trailer
    }
}

extension ScanOutput {
    /// Whether it holds entries.
    var hasEntries: Bool {
        switch items.first {
        case .begin?, .entry?: true
        case .listing?, .end?, nil: false
        }
    }
}

extension ManifestHeader {
    /// What is said where `continues` is false.
    static let discontinued = "its manifest is of another store, or by other rules"

    /// Whether another attempt may go on under this header: the same but for its time, which is
    /// that of the oldest digests, and so must be no earlier.
    func continues(_ earlier: ManifestHeader) -> Bool {
        guard started >= earlier.started else { return false }
        var same = self
        same.started = earlier.started
        return same == earlier
    }
}

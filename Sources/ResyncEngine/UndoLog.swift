package import ResyncCore
package import ResyncStorage

/// Why what is kept for an undo is not used, or not freed. Nothing was written.
package struct UndoRefusal: Error, Sendable, Hashable {
    package let reason: String
}

/// What is wrong with a run's undo file: a verb and what follows it.
package struct UndoDamage: Error, Sendable, Hashable {
    package let run: String
    package let reason: String
    /// In the undo file; nil where there is none.
    package let offset: Int?
}

/// The undo file of one run and one target: what patching overwrites is durable in it before it is
/// overwritten.
package final class UndoLog {
    package let header: UndoHeader
    private var reader: UndoReader<EVPHash>
    private var writer: UndoWriter<EVPHash>
    private let file: OutputFile
    private let input: InputFile

    /// Makes the file, with space for the whole of a plan.
    ///
    /// - Parameter space: the sum of `UndoFile.space` over all actions. Where it is not to be had
    ///   the error is ENOSPC, and nothing is left behind.
    /// - Throws: `UndoRefusal` where the folder lies on the target, or on no durable storage.
    package static func create(
        _ name: [UInt8], in folder: Folder, run: String, plan: Digest, target: ImageTarget,
        space: Int
    ) throws -> UndoLog {
        guard try !target.holds(folder) else {
            throw UndoRefusal(reason: "the undo file would lie on the device that is patched")
        }
        let type = try folder.fileSystem().type
        guard type != FileSystemKind.tmpfs, type != FileSystemKind.ramfs else {
            throw UndoRefusal(reason: "the undo file would lie in memory, gone with the power")
        }
        let nonce = try randomBytes(Digest.byteCount).withUnsafeBytes { Digest($0) }
        let header = UndoHeader(run: run, plan: plan, target: target.store, nonce: nonce)
        // It gets its name once its beginning is durable and its space is there.
        let temporary = name + Array(".new".utf8)
        if (try? folder.remove(temporary)) != nil { try folder.sync() }
        do {
            let file = try folder.create(temporary)
            try file.allocate(upTo: UndoFile.space(of: header) + space)
            var writer = UndoWriter(header, makeHash: frameHash)
            try file.write(writer.start(header))
            try file.sync()
        } catch {
            try? folder.remove(temporary)
            throw error
        }
        try folder.rename(temporary, to: name)
        return try open(name, in: folder, run: run, plan: plan, target: target)
    }

    /// Opens the file of a run that was begun.
    ///
    /// - Throws: `UndoRefusal` where it belongs to another run, plan or target, `UndoDamage` where
    ///   it is damaged, ENOENT where the run has not come so far as to make it.
    package static func open(
        _ name: [UInt8], in folder: Folder, run: String, plan: Digest, target: ImageTarget
    ) throws -> UndoLog {
        let input = try folder.read(name)
        let reader = try reader(of: input, run: run)
        guard reader.header.target.isSameImage(as: target.store) else {
            throw UndoRefusal(
                reason: "the undo file is that of '\(escaped(reader.header.target.path))',"
                    + " another image or device")
        }
        guard reader.header.run == run else {
            throw UndoRefusal(
                reason: "the undo file is that of run \(escaped(reader.header.run.utf8))")
        }
        guard reader.header.plan == plan else {
            throw UndoRefusal(reason: "the undo file is that of another plan")
        }
        // What a crash cut must not come to stand behind what is written now.
        if reader.tail > reader.end {
            let eraser = try folder.overwrite(name, from: reader.end)
            var left = reader.tail - reader.end
            while left > 0 {
                let zeros = [UInt8](repeating: 0, count: min(left, 1 << 20))
                try eraser.write(zeros)
                left -= zeros.count
            }
            try eraser.sync()
        }
        let file = try folder.overwrite(name, from: reader.end)
        return UndoLog(reader, file, input)
    }

    /// Reads what is sealed of the file of a run.
    static func reader(of input: InputFile, run: String) throws -> UndoReader<EVPHash> {
        let reader: UndoReader<EVPHash>
        do {
            guard input.size > 0 else { throw FormatError("is empty") }
            reader = try UndoReader(makeHash: frameHash) { try input.read(at: $0, count: $1) }
        } catch let error as FormatError {
            throw UndoDamage(run: run, reason: error.reason, offset: error.offset)
        }
        return reader
    }

    private init(_ reader: UndoReader<EVPHash>, _ file: OutputFile, _ input: InputFile) {
        self.reader = reader
        self.file = file
        self.input = input
        header = reader.header
        writer = UndoWriter(behind: reader, makeHash: frameHash)
    }

    /// Bytes of the file, the space that was taken for it included.
    var size: Int { input.size }
    /// Where its last record ends.
    var end: Int { reader.end }

    /// Where and why it has nothing more, though it should.
    var lack: UndoDamage {
        let isCut = size == reader.end
        let reason = reader.rest?.reason ?? (isCut ? "is cut" : "has nothing more")
        return UndoDamage(
            run: header.run, reason: reason, offset: reader.rest?.offset ?? reader.end)
    }

    // MARK: Writing

    func append(_ record: UndoRecord, _ bytes: UnsafeRawBufferPointer) throws {
        _ = try writer.append(record, bytes) { try file.write($0) }
    }

    func mark(_ mark: UndoMark, _ range: Range<Int>) throws {
        try file.write(writer.mark(mark, range))
    }

    /// All that was appended is durable, and counts, when this returns. The seal goes out last: one
    /// that is there says that everything before it is.
    func seal() throws {
        guard writer.isOpen else { return }
        try file.syncData()
        let (bytes, batch) = writer.seal()
        try file.write(bytes)
        try file.syncData()
        reader.add(batch)
    }

    // MARK: What is known

    /// The sealed records of an action's extents, where they were made for the same change.
    func records(of action: Action) throws -> [Extent: UndoRecord] {
        guard let range = action.range else { return [:] }
        let extents = Set(action.patches.map(\.extent))
        var found = try reader.records(of: extents, in: range)
        for patch in action.patches {
            guard let record = found[patch.extent] else { continue }
            if record.before != patch.before || record.after != patch.after {
                found[patch.extent] = nil
            }
        }
        return found
    }

    /// What was put aside for an action: see `UndoReader.asides`.
    func asides(of action: Action) -> [Extent] {
        reader.asides(of: action).map(\.extent)
    }

    func bytes(of record: UndoRecord) throws -> [UInt8] { try reader.bytes(of: record) }

    /// Whether a crash may have left extents with records in this range torn.
    func mayBeTorn(_ range: Range<Int>) -> Bool { reader.mark(on: range) == .writing }
}

extension Action {
    /// From the first to the last byte of a patch.
    var range: Range<Int>? {
        guard let first = patches.first, let last = patches.last else { return nil }
        return first.extent.offset..<last.extent.end
    }
}

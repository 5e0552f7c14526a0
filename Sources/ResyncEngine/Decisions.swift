package import ResyncCore
package import ResyncStorage

extension RunFolder {
    static let decisionsFile = Array("decisions".utf8)
    private static let magic = Array("resync-decided".utf8)
    private static let kind: UInt8 = 1

    package func decisions() throws -> Decisions {
        let file: InputFile
        do throws(DiskError) {
            file = try folder.read(Self.decisionsFile)
        } catch {
            guard error.number == ErrorNumber.noEntry else { throw error }
            return Decisions()
        }
        let read: ReadBytes = { try file.read(at: $0, count: $1) }
        var frames = FrameReader(magic: Self.magic, hash: frameHash(), chain: frameHash())
        try frames.start(read)
        var all: [Decision] = []
        while let frame = try frames.next(read) {
            guard frame.kind == Self.kind else { throw FormatError("has an unknown frame") }
            var payload = ByteReader(frame.payload)
            all.append(try payload.decision())
        }
        return Decisions(all)
    }

    /// By run, the oldest first; what is damaged is passed over.
    package static func decisions(
        in runs: Folder
    ) throws -> [(run: String, decisions: Decisions)] {
        try list(in: runs).compactMap { id in
            guard let decisions = try? open(id, in: runs).decisions(), !decisions.isEmpty
            else { return nil }
            return (id, decisions)
        }
    }

    /// Durable when this returns. None that was made before is ever taken away.
    package func add(_ decision: Decision) throws {
        var frames = FrameWriter(magic: Self.magic, hash: frameHash(), chain: frameHash())
        var bytes = frames.start()
        for decision in try decisions().all + [decision] {
            var writer = ByteWriter()
            writer.decision(decision)
            bytes += frames.frame(Self.kind, writer.bytes)
        }
        try folder.replace(Self.decisionsFile, with: bytes)
    }
}

private let stringLimit = 1 << 20

extension ByteWriter {
    fileprivate mutating func decision(_ decision: Decision) {
        string(decision.path.bytes)
        switch decision.ruling {
        case .open: byte(0)
        case .accept(let side): byte(side.rawValue + 1)
        }
        string(decision.who)
        time(decision.when)
        string(decision.reason)
    }
}

extension ByteReader {
    fileprivate mutating func decision() throws(FormatError) -> Decision {
        let path = RelativePath(try string(limit: stringLimit))
        guard path.isValid else { throw FormatError("a path that is none", at: at) }
        let ruling: Decision.Ruling
        switch try byte() {
        case 0: ruling = .open
        case 1: ruling = .accept(.a)
        case 2: ruling = .accept(.b)
        default: throw FormatError("unknown ruling", at: at)
        }
        return Decision(
            path: path, ruling: ruling, who: try string(limit: stringLimit), when: try time(),
            reason: try string(limit: stringLimit))
    }
}

package import ResyncCore
import ResyncStorage

/// What somebody has decided about one difference of a run.
package struct Decision: Sendable, Hashable {
    package enum Ruling: Sendable, Hashable {
        /// This side's copy is right.
        case accept(Side)
        /// It is to be decided anew.
        case open
    }

    package var path: RelativePath
    package var ruling: Ruling
    package var who: [UInt8]
    package var when: Timestamp
    package var reason: [UInt8]

    package init(
        path: RelativePath, ruling: Ruling, who: [UInt8], when: Timestamp, reason: [UInt8]
    ) {
        self.path = path
        self.ruling = ruling
        self.who = who
        self.when = when
        self.reason = reason
    }
}

/// All decisions about a run, oldest first; the latest about a path counts.
package struct Decisions: Sendable {
    package private(set) var all: [Decision]
    private var latest: [RelativePath: Decision.Ruling] = [:]

    package init(_ all: [Decision] = []) {
        self.all = all
        for decision in all { latest[decision.path] = decision.ruling }
    }

    package var isEmpty: Bool { all.isEmpty }

    /// The side that is right about a path, by what was decided of it or of a directory above it.
    package func winner(_ path: RelativePath) -> Side? {
        guard !latest.isEmpty else { return nil }
        var at = path
        while true {
            switch latest[at] {
            case .accept(let side)?: return side
            case .open?: return nil
            case nil: break
            }
            if at == .root { return nil }
            at = at.parent
        }
    }
}

extension RunFolder {
    private static let decisionsFile = Array("decisions".utf8)
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

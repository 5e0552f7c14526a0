/// What a manifest holds, counted: written behind the last entry, checked by every full reading.
package struct ManifestTrailer: Sendable, Hashable {
    package var counts = ManifestCounts()
    /// Over the whole store; nil where any of it is in doubt.
    package var root: Digest?
    package var ended = Timestamp(seconds: 0, nanoseconds: 0)

    package init() {}

    /// Whether every entry is known. A directory may be in doubt by its own record, and counted by
    /// its end alone.
    package var isWhole: Bool { counts.isWhole && root != nil }
}

package struct ManifestCounts: Sendable, Hashable {
    /// Entries by type; the root is one, unlike in a `Tally`.
    package var types: [EntryType: Int] = [:]
    /// Entries that could not even be described.
    package var undescribed = 0
    /// Bytes of all regular files and images, as their sizes say.
    package var bytes = 0
    package var incompleteDirectories = 0
    package var unreadable = 0
    package var unstable = 0
    package var notVerified = 0
    /// Names left out.
    package var excluded = 0

    package init() {}

    package var entries: Int { types.values.reduce(undescribed, cappedSum) }

    /// Whether nothing was counted that is not known.
    package var isWhole: Bool {
        [incompleteDirectories, unreadable, unstable, notVerified].allSatisfy { $0 == 0 }
    }

    package mutating func count(_ entry: ManifestEntry) {
        if let stat = entry.entry?.stat {
            types[stat.type, default: 0] += 1
            if stat.type == .file { bytes &+= stat.size }
        } else {
            undescribed += 1
        }
        switch entry.doubt?.outcome {
        case .unreadable?: unreadable += 1
        case .unstable?: unstable += 1
        case .some: notVerified += 1
        case nil: break
        }
    }

    package mutating func count(_ end: DirectoryEnd) throws(FormatError) {
        if end.listing != .complete { incompleteDirectories += 1 }
        excluded = try checkedSum(excluded, end.excluded)
    }
}

extension ManifestTrailer {
    var bytes: [UInt8] {
        var writer = ByteWriter()
        for type in EntryType.allCases { writer.number(counts.types[type] ?? 0) }
        writer.number(counts.undescribed)
        writer.number(UInt64(bitPattern: Int64(counts.bytes)))
        writer.number(counts.incompleteDirectories)
        writer.number(counts.unreadable)
        writer.number(counts.unstable)
        writer.number(counts.notVerified)
        writer.number(counts.excluded)
        writer.byte(root == nil ? 0 : 1)
        if let root { writer.digest(root) }
        writer.time(ended)
        return writer.bytes
    }

    init(_ bytes: [UInt8]) throws(FormatError) {
        var reader = ByteReader(bytes)
        for type in EntryType.allCases {
            let count = try reader.int()
            if count > 0 { counts.types[type] = count }
        }
        counts.undescribed = try reader.int()
        counts.bytes = Int(Int64(bitPattern: try reader.number()))
        counts.incompleteDirectories = try reader.int()
        counts.unreadable = try reader.int()
        counts.unstable = try reader.int()
        counts.notVerified = try reader.int()
        counts.excluded = try reader.int()
        switch try reader.byte() {
        case 0: break
        case 1: root = try reader.digest()
        default: throw FormatError("a root digest neither there nor not", at: reader.at)
        }
        ended = try reader.time()
        guard reader.isAtEnd else { throw FormatError("a trailer with more", at: reader.at) }
    }
}

/// The last frame: always as long, so that it is found from the end of the file.
struct ManifestFooter {
    /// Where the first index frame begins; where the trailer does when there is none.
    var index: Int
    var trailer: Int
    /// Over the checks of all frames before this one: one digest for the whole file.
    var chain: Digest

    /// Bytes of the whole frame.
    static let frameLength =
        Frames.headLength + 16 + Digest.byteCount + Frames.checkLength

    var bytes: [UInt8] {
        var writer = ByteWriter()
        writer.fixed64(UInt64(index))
        writer.fixed64(UInt64(trailer))
        writer.digest(chain)
        return writer.bytes
    }

    init(index: Int, trailer: Int, chain: Digest) {
        self.index = index
        self.trailer = trailer
        self.chain = chain
    }

    init(_ bytes: [UInt8]) throws(FormatError) {
        var reader = ByteReader(bytes)
        guard let index = Int(exactly: try reader.fixed64()),
            let trailer = Int(exactly: try reader.fixed64())
        else { throw FormatError("a footer that is not ours") }
        self.init(index: index, trailer: trailer, chain: try reader.digest())
        guard reader.isAtEnd else { throw FormatError("a footer that is not ours") }
    }
}

/// Kinds of the frames of a manifest.
enum ManifestFrame {
    static let magic = Array("resync-manifest\n".utf8)
    static let header: UInt8 = 1
    static let entries: UInt8 = 2
    static let index: UInt8 = 3
    static let trailer: UInt8 = 4
    static let footer: UInt8 = 5
}

/// Where the frames with entries begin, by the path of the first entry in each: encoded as it is
/// written, since that is the smallest form.
struct ManifestIndex {
    /// Payloads of index frames, each with whole items.
    private(set) var payloads: [[UInt8]] = []
    private var current = ByteWriter()

    mutating func add(_ offset: Int, _ path: RelativePath) {
        current.number(offset)
        current.string(path.bytes)
        if current.bytes.count >= ManifestLimit.framePayload { close() }
    }

    mutating func close() {
        guard !current.bytes.isEmpty else { return }
        payloads.append(current.bytes)
        current = ByteWriter()
    }

    static func items(
        _ payload: [UInt8]
    ) throws(FormatError) -> [(offset: Int, path: RelativePath)] {
        var reader = ByteReader(payload)
        var items: [(offset: Int, path: RelativePath)] = []
        while !reader.isAtEnd {
            items.append(
                (try reader.int(), RelativePath(try reader.string(limit: ManifestLimit.entryPath))))
        }
        return items
    }
}

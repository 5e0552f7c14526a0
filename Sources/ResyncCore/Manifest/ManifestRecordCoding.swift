/// Bounds on what a manifest holds.
package enum ManifestLimit {
    /// Bytes of a directory's path; deeper trees end the scan.
    package static let path = 1 << 20
    /// Runs of block digests in one record; the rest follows in records of their own.
    package static let runs = 1024
    /// A frame is closed when its payload reaches this many bytes.
    package static let framePayload = 64 << 10
    /// Errors kept of one entry; a file with more is unreadable all the same.
    package static let errors = 1024
    /// Bytes of the path of an entry.
    static let entryPath = path + 256
    static let target = 1 << 16
    static let owner = 1 << 16
}

/// The first byte of a record: an entry's type, or one of these.
enum RecordKind {
    static let unknownType: UInt8 = 0
    static let end: UInt8 = 8
    static let moreRuns: UInt8 = 9
}

/// What a record holds beyond what its type demands.
private struct RecordFlags: OptionSet {
    let rawValue: Int
    static let doubt = RecordFlags(rawValue: 1 << 0)
    static let racy = RecordFlags(rawValue: 1 << 1)
    static let target = RecordFlags(rawValue: 1 << 2)
    static let content = RecordFlags(rawValue: 1 << 3)
    static let whole = RecordFlags(rawValue: 1 << 4)
    static let linked = RecordFlags(rawValue: 1 << 5)
    static let owner = RecordFlags(rawValue: 1 << 6)
    static let xattrs = RecordFlags(rawValue: 1 << 7)
    static let acl = RecordFlags(rawValue: 1 << 8)
    static let all = 1 << 9 - 1

    init(rawValue: Int) { self.rawValue = rawValue }

    init(_ entry: ManifestEntry) {
        self = []
        if entry.doubt != nil { insert(.doubt) }
        if entry.isRacy { insert(.racy) }
        if entry.entry?.target != nil { insert(.target) }
        if entry.content != nil { insert(.content) }
        if entry.content?.whole != nil { insert(.whole) }
        if entry.linkedTo != nil { insert(.linked) }
        if entry.entry?.owner != nil { insert(.owner) }
        if entry.entry?.xattrs != nil { insert(.xattrs) }
        if entry.entry?.acl != nil { insert(.acl) }
    }
}

extension ByteWriter {
    mutating func manifestEntry(_ entry: ManifestEntry) {
        let flags = RecordFlags(entry)
        byte(entry.type?.rawValue ?? RecordKind.unknownType)
        number(flags.rawValue)
        string(entry.name.bytes)
        if let doubt = entry.doubt { self.doubt(doubt) }
        guard let known = entry.entry else { return }
        stat(known.stat)
        if known.stat.type == .directory { listing(entry.listing) }
        if let target = known.target { string(target) }
        if let linked = entry.linkedTo { string(linked.bytes) }
        if let owner = known.owner {
            string(owner.user)
            string(owner.group)
        }
        if let xattrs = known.xattrs { digest(xattrs) }
        if let acl = known.acl { digest(acl) }
        if let whole = entry.content?.whole { digest(whole) }
        if let blocks = entry.content?.blocks {
            number(blocks.runs.count)
            runs(blocks.runs.prefix(ManifestLimit.runs))
        }
    }

    /// The runs behind the first record, from `start` on; returns where the next record goes on.
    mutating func moreRuns(_ blocks: BlockList, from start: Int) -> Int {
        let end = min(blocks.runs.count, start + ManifestLimit.runs)
        byte(RecordKind.moreRuns)
        number(end - start)
        runs(blocks.runs[start..<end])
        return end
    }

    mutating func directoryEnd(_ end: DirectoryEnd) {
        byte(RecordKind.end)
        listing(end.listing)
        number(end.entries)
        number(end.excluded)
        byte(end.digest == nil ? 0 : 1)
        if let digest = end.digest { self.digest(digest) }
    }

    private mutating func runs(_ runs: Slice<BlockList.Runs>) {
        for run in runs {
            number(run.count)
            digest(run.digest)
        }
    }

    private mutating func stat(_ stat: Stat) {
        number(UInt64(stat.mode))
        number(UInt64(stat.uid))
        number(UInt64(stat.gid))
        time(stat.mtime)
        time(stat.ctime)
        number(stat.inode)
        number(UInt64(stat.links))
        device(stat.device)
        if stat.type == .file { number(stat.size) }
        if stat.type.isDevice { device(stat.special) }
    }

    private mutating func device(_ device: DeviceNumber) {
        number(UInt64(device.major))
        number(UInt64(device.minor))
    }

    private mutating func doubt(_ doubt: Doubt) {
        byte(doubt.outcome.rawValue)
        byte(doubt.reason?.rawValue ?? 0)
        let errors = doubt.errors.prefix(ManifestLimit.errors)
        number(errors.count)
        for error in errors {
            string(error.call)
            number(UInt64(UInt32(bitPattern: error.number)))
            byte(error.extent == nil ? 0 : 1)
            if let extent = error.extent {
                number(extent.offset)
                number(extent.length)
            }
        }
    }

    private mutating func listing(_ listing: ListingState) {
        switch listing {
        case .complete: byte(0)
        case .changing: byte(1)
        case .broken: byte(2)
        case .mount: byte(3)
        case .failed(let call, let number):
            byte(4)
            string(call)
            self.number(UInt64(UInt32(bitPattern: number)))
        case .unmounted: byte(5)
        }
    }
}

/// A record as its bytes say it.
enum RawRecord {
    /// The content's digest is still to be computed, when `runsLeft` runs have followed.
    case entry(ManifestEntry, runsLeft: Int)
    case end(DirectoryEnd)
    case moreRuns([BlockList.Run])
}

extension ByteReader {
    mutating func manifestRecord() throws(FormatError) -> RawRecord {
        let kind = try byte()
        switch kind {
        case RecordKind.end: return .end(try directoryEnd())
        case RecordKind.moreRuns:
            let count = try int(limit: ManifestLimit.runs)
            guard count > 0 else { throw FormatError("runs without a run", at: at) }
            return .moreRuns(try runs(count))
        case RecordKind.unknownType: return try entry(nil)
        default:
            guard let type = EntryType(rawValue: kind) else {
                throw FormatError("unknown record", at: at)
            }
            return try entry(type)
        }
    }

    private mutating func entry(_ type: EntryType?) throws(FormatError) -> RawRecord {
        let flags = RecordFlags(rawValue: try int(limit: RecordFlags.all))
        var result = ManifestEntry(name: Name(try string(limit: Name.limit)), entry: nil)
        if flags.contains(.doubt) { result.doubt = try doubt() }
        result.isRacy = flags.contains(.racy)
        guard let type else {
            guard flags.subtracting([.doubt, .racy]).isEmpty else {
                throw FormatError("an entry without a type, with more", at: at)
            }
            return .entry(result, runsLeft: 0)
        }
        let stat = try stat(type)
        if type == .directory { result.listing = try listing() }
        let target = flags.contains(.target) ? try string(limit: ManifestLimit.target) : nil
        if flags.contains(.linked) {
            result.linkedTo = RelativePath(
                try string(limit: ManifestLimit.entryPath))
        }
        var owner: OwnerNames?
        if flags.contains(.owner) {
            owner = OwnerNames(
                user: try string(limit: ManifestLimit.owner),
                group: try string(limit: ManifestLimit.owner))
        }
        let xattrs = flags.contains(.xattrs) ? try digest() : nil
        let acl = flags.contains(.acl) ? try digest() : nil
        result.entry = Entry(stat: stat, target: target, xattrs: xattrs, acl: acl, owner: owner)
        let whole = flags.contains(.whole) ? try digest() : nil
        guard flags.contains(.content) else {
            guard whole == nil else { throw FormatError("a digest without content", at: at) }
            return .entry(result, runsLeft: 0)
        }
        var content = FileContent(blocks: BlockList(), digest: .zero, whole: whole)
        let total = try int()
        let here = min(total, ManifestLimit.runs)
        try content.blocks.append(runs: try runs(here))
        result.content = content
        return .entry(result, runsLeft: total - here)
    }

    private mutating func runs(_ count: Int) throws(FormatError) -> [BlockList.Run] {
        var runs: [BlockList.Run] = []
        runs.reserveCapacity(count)
        for _ in 0..<count {
            runs.append(BlockList.Run(count: try int(), digest: try digest()))
        }
        return runs
    }

    private mutating func stat(_ type: EntryType) throws(FormatError) -> Stat {
        var stat = Stat(type: type)
        stat.mode = UInt16(try int(limit: 0o7777))
        stat.uid = try number32()
        stat.gid = try number32()
        stat.mtime = try time()
        stat.ctime = try time()
        stat.inode = try number()
        stat.links = try number32()
        stat.device = try device()
        if type == .file { stat.size = try int() }
        if type.isDevice { stat.special = try device() }
        return stat
    }

    private mutating func device() throws(FormatError) -> DeviceNumber {
        DeviceNumber(major: try number32(), minor: try number32())
    }

    private mutating func doubt() throws(FormatError) -> Doubt {
        guard let outcome = Outcome(rawValue: try byte()), outcome.isDoubt else {
            throw FormatError("unknown outcome", at: at)
        }
        var doubt = Doubt(outcome)
        let reason = try byte()
        if reason != 0 {
            doubt.reason = Reason(rawValue: reason)
            guard doubt.reason != nil else { throw FormatError("unknown reason", at: at) }
        }
        for _ in 0..<(try int(limit: ManifestLimit.errors)) {
            var error = EntryError(
                side: .a, call: try call(),
                number: Int32(bitPattern: try number32()))
            if try flag() { error.extent = try extent(after: 0) }
            doubt.errors.append(error)
        }
        return doubt
    }

    private mutating func flag() throws(FormatError) -> Bool {
        let value = try byte()
        guard value < 2 else { throw FormatError("neither yes nor no", at: at) }
        return value == 1
    }

    private mutating func listing() throws(FormatError) -> ListingState {
        switch try byte() {
        case 0: return .complete
        case 1: return .changing
        case 2: return .broken
        case 3: return .mount
        case 4:
            return .failed(
                call: try call(), number: Int32(bitPattern: try number32()))
        case 5: return .unmounted
        default: throw FormatError("unknown listing", at: at)
        }
    }

    private mutating func directoryEnd() throws(FormatError) -> DirectoryEnd {
        var end = DirectoryEnd(
            listing: try listing(), entries: try int(), excluded: try int())
        if try flag() { end.digest = try digest() }
        return end
    }
}

extension Outcome {
    /// Whether it says that something is not known.
    fileprivate var isDoubt: Bool {
        switch self {
        case .unstable, .unreadable, .notVerified: true
        case .same, .differs, .missingOnA, .missingOnB, .conflict, .expected: false
        }
    }
}

extension BlockList {
    /// Appends runs as a file gave them: one list, one form.
    mutating func append(runs: [Run]) throws(FormatError) {
        for run in runs {
            guard run.count > 0, run.count <= .max - blockCount,
                lastDigest != run.digest
            else { throw FormatError("runs of blocks that are not ours") }
            append(run.digest, count: run.count)
        }
    }
}

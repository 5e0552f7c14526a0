import ResyncCore
import ResyncStorage

/// The small files of a run folder.
private let version: UInt8 = 1
/// Version 1 did not say whether the listings of the directories were complete.
private let checkpointVersion: UInt8 = 2
private let stringLimit = 1 << 20
private let doubtLimit = 1000
private let doubtLength = 4096
/// So that sums of what nobody checks stay in bounds.
private let countLimit = 1 << 50
private let byteLimit = 1 << 60

extension ByteWriter {
    mutating func header(_ header: RunHeader) {
        byte(version)
        string(Array(header.id.utf8))
        string(Array(header.kind.utf8))
        time(header.started)
        string(header.a)
        string(header.b)
        number(header.arguments.count)
        for argument in header.arguments { string(argument) }
        string(header.workingDirectory)
        string(Array(header.version.utf8))
    }

    mutating func checkpoint(_ checkpoint: Checkpoint) {
        byte(checkpointVersion)
        byte(checkpoint.isFirstPassDone ? 1 : 0)
        byte(checkpoint.through == nil ? 0 : 1)
        string(checkpoint.through?.bytes ?? [])
        number(checkpoint.directories.count)
        for directory in checkpoint.directories {
            for side in Side.allCases { witness(directory.stats[side]) }
            for side in Side.allCases { completeness(directory.completeness[side]) }
        }
        tally(checkpoint.tally)
        for side in Side.allCases {
            byte(checkpoint.manifests[side] == nil ? 0 : 1)
            guard let part = checkpoint.manifests[side] else { continue }
            number(part.end)
            string(part.pending)
        }
        number(checkpoint.resultsEnd)
        milliseconds(checkpoint.elapsed)
        time(checkpoint.saved)
        number(checkpoint.tally.directories)
        byte(checkpoint.image == nil ? 0 : 1)
        if let part = checkpoint.image { image(part) }
    }

    private mutating func image(_ part: ImagePart) {
        for count in [part.size, part.blockSize, part.blocks, part.comparedBytes, part.bytesRead] {
            number(count)
        }
        for side in Side.allCases { witness(part.stats[side]) }
        record(part.difference.map { .difference($0) } ?? .same(.root))
    }

    mutating func summary(_ summary: Summary) {
        byte(version)
        tally(summary.tally)
        switch summary.ending {
        case .complete: number(0)
        case .outOfTime: number(1)
        case .stalled: number(2)
        case .interrupted(let signal): number(UInt64(max(0, signal)) + 16)
        }
        number(summary.leftUnread)
        milliseconds(summary.elapsed)
        number(UInt64(summary.leftOut.rawValue))
        for side in Side.allCases {
            let doubts = summary.doubts[side].prefix(doubtLimit)
            number(doubts.count)
            for doubt in doubts { string(Array(doubt.utf8.prefix(doubtLength))) }
        }
        number(summary.provenBefore)
        byte(summary.isFirstLook ? 1 : 0)
        number(summary.tally.expected)
        number(summary.tally.directories)
    }

    mutating func reach(_ reach: RunReach) {
        byte(version)
        time(reach.ended)
        string(Array((reach.assurance?.rawValue ?? "").utf8))
        byte(reach.isWhole ? 1 : 0)
        for side in Side.allCases {
            byte(reach.identities[side] == nil ? 0 : 1)
            if let store = reach.identities[side] { identity(store) }
        }
    }

    mutating func order(_ order: PaceOrder) {
        byte(version)
        byte(order.isPaused ? 1 : 0)
        for limit in [order.readLimit, order.writeLimit] {
            byte(limit == nil ? 0 : 1)
            number(limit ?? 0)
        }
    }

    private mutating func completeness(_ completeness: Completeness) {
        switch completeness {
        case .complete: byte(0)
        case .changing: byte(1)
        case .failed(let error):
            byte(2)
            string(Array(error.call.rawValue.utf8))
            number(UInt64(UInt32(bitPattern: error.number)))
        case .broken(let how):
            byte(3)
            string(Array(how.utf8))
        }
    }

    private mutating func milliseconds(_ seconds: Double) {
        number(UInt64(max(0, min(seconds, 1e12)) * 1000))
    }

    private mutating func tally(_ tally: Tally) {
        for count in tally.counts { number(count) }
        for assurance in Assurance.allCases { number(tally.bytesByAssurance[assurance] ?? 0) }
    }
}

extension ByteReader {
    mutating func header() throws(FormatError) -> RunHeader {
        try checkVersion()
        let id = try text()
        let kind = try text()
        let started = try time()
        let a = try string(limit: stringLimit)
        let b = try string(limit: stringLimit)
        var arguments: [[UInt8]] = []
        for _ in 0..<(try int(limit: 1 << 16)) { arguments.append(try string(limit: stringLimit)) }
        return RunHeader(
            id: id, kind: kind, started: started, a: a, b: b, arguments: arguments,
            workingDirectory: try string(limit: stringLimit), version: try text())
    }

    mutating func checkpoint() throws(FormatError) -> Checkpoint {
        try checkVersion(checkpointVersion)
        let isDone = try byte() == 1
        let isSet = try byte() == 1
        let path = try self.path(limit: 64 << 20)
        var directories: [EnteredDirectory] = []
        for depth in 0..<(try int(limit: 32 << 20)) {
            let stats = Sides(a: try witness(), b: try witness())
            let completeness = Sides(a: try completeness(), b: try completeness())
            directories.append(EnteredDirectory(depth: depth, stats, completeness))
        }
        var tally = try tally()
        var manifests = Sides<ManifestPart?>(a: nil, b: nil)
        for side in Side.allCases where try byte() == 1 {
            manifests[side] = ManifestPart(
                end: try int(limit: byteLimit), pending: try string(limit: Frames.payloadLimit))
        }
        let resultsEnd = try int(limit: byteLimit)
        let elapsed = try milliseconds()
        let saved = try time()
        tally.directories = try directoryCount()
        let hasImage = isAtEnd ? false : try byte() == 1
        return Checkpoint(
            isFirstPassDone: isDone, through: isSet ? path : nil, directories: directories,
            tally: tally, manifests: manifests, resultsEnd: resultsEnd, elapsed: elapsed,
            saved: saved, image: hasImage ? try image() : nil)
    }

    private mutating func image() throws(FormatError) -> ImagePart {
        let size = try int(limit: byteLimit)
        let blockSize = try int(limit: ManifestHeader.blockSizes.upperBound)
        let blocks = try int(limit: byteLimit)
        guard ManifestHeader.blockSizes.contains(blockSize), blocks <= blockCount(size, blockSize)
        else { throw FormatError("a part of an image out of bounds", at: at) }
        let (compared, read) = (try int(limit: size), try int(limit: byteLimit))
        guard let a = try witness(), let b = try witness() else {
            throw FormatError("a part of an image without stats", at: at)
        }
        var part = ImagePart(
            size: size, blockSize: blockSize, stats: Sides(a: a, b: b), blocks: blocks)
        (part.comparedBytes, part.bytesRead) = (compared, read)
        if case .difference(let difference) = try record() { part.difference = difference }
        return part
    }

    mutating func summary() throws(FormatError) -> Summary {
        try checkVersion()
        let tally = try tally()
        let ending: Ending
        switch try int(limit: 1 << 16) {
        case 0: ending = .complete
        case 1: ending = .outOfTime
        case 2: ending = .stalled
        case let other: ending = .interrupted(Int32(other - 16))
        }
        var summary = Summary(
            tally: tally, ending: ending, leftUnread: try int(limit: countLimit),
            elapsed: try milliseconds())
        summary.leftOut = AspectSet(rawValue: UInt16(try int(limit: Int(UInt16.max))))
        for side in Side.allCases {
            for _ in 0..<(try int(limit: doubtLimit)) {
                summary.doubts[side].append(
                    String(decoding: try string(limit: doubtLength), as: UTF8.self))
            }
        }
        summary.provenBefore = try int(limit: countLimit)
        summary.isFirstLook = try byte() == 1
        summary.tally.expected = try int(limit: countLimit)
        summary.tally.directories = try directoryCount()
        return summary
    }

    mutating func reach() throws(FormatError) -> RunReach {
        try checkVersion()
        let ended = try time()
        let assurance = Assurance(rawValue: try text())
        let isWhole = try byte() == 1
        let identities = try Side.both { (_) throws(FormatError) -> StoreIdentity? in
            try byte() == 1 ? try identity() : nil
        }
        return RunReach(
            ended: ended, assurance: assurance, isWhole: isWhole, identities: identities)
    }

    mutating func order() throws(FormatError) -> PaceOrder {
        try checkVersion()
        var order = PaceOrder()
        order.isPaused = try byte() == 1
        order.readLimit = try limit()
        order.writeLimit = try limit()
        return order
    }

    private mutating func limit() throws(FormatError) -> Int? {
        let isSet = try byte() == 1
        let limit = try int()
        return isSet ? limit : nil
    }

    private mutating func completeness() throws(FormatError) -> Completeness {
        switch try byte() {
        case 0: return .complete
        case 1: return .changing
        case 2:
            guard let call = SystemCall(rawValue: try text()) else {
                throw FormatError("unknown call", at: at)
            }
            let number = UInt32(truncatingIfNeeded: try number())
            return .failed(DiskError(call, Int32(bitPattern: number)))
        case 3: return .broken(try text())
        default: throw FormatError("unknown listing", at: at)
        }
    }

    private mutating func checkVersion(_ version: UInt8 = version) throws(FormatError) {
        let found = try byte()
        guard found == version else {
            throw FormatError("has version \(found), which this resync does not know", at: at)
        }
    }

    private mutating func text() throws(FormatError) -> String {
        guard let text = validText(try string(limit: stringLimit)) else {
            throw FormatError("is no text", at: at)
        }
        return text
    }

    private mutating func milliseconds() throws(FormatError) -> Double {
        Double(try number()) / 1000
    }

    /// At the end of what is kept; runs from before it was counted have none.
    private mutating func directoryCount() throws(FormatError) -> Int {
        isAtEnd ? 0 : try int(limit: countLimit)
    }

    private mutating func tally() throws(FormatError) -> Tally {
        var tally = Tally()
        var counts: [Int] = []
        for _ in 0..<tally.counts.count - 1 { counts.append(try int(limit: countLimit)) }
        // The last one counts bytes.
        counts.append(try int(limit: byteLimit))
        tally.counts = counts
        for assurance in Assurance.allCases { tally.count(bytes: try int(), assurance) }
        return tally
    }
}

extension Tally {
    /// Every plain count, in the order in which they are kept.
    fileprivate var counts: [Int] {
        get {
            [
                entries, same, contentDiffers, metadataDiffers, missingOnA, missingOnB, unstable,
                unreadable, notVerified, conflicts, flapping, confirmed, excluded, bytesRead,
            ]
        }
        set {
            entries = newValue[0]
            same = newValue[1]
            contentDiffers = newValue[2]
            metadataDiffers = newValue[3]
            missingOnA = newValue[4]
            missingOnB = newValue[5]
            unstable = newValue[6]
            unreadable = newValue[7]
            notVerified = newValue[8]
            conflicts = newValue[9]
            flapping = newValue[10]
            confirmed = newValue[11]
            excluded = newValue[12]
            bytesRead = newValue[13]
        }
    }
}

/// A plan as it is kept: frames with a header, actions in the order of their execution, and a
/// trailer. Its id is SHA-256 over the checks of all frames, so a plan that was altered is another
/// plan.
package enum PlanFrame {
    static let magic = Array("resync-plan\n".utf8)
    static let header: UInt8 = 1
    static let actions: UInt8 = 2
    static let trailer: UInt8 = 3
    static let format: UInt8 = 1
    static let framePayload = 64 << 10
    static let string = 1 << 20
    /// So that sums of what nobody checks stay in bounds.
    static let countLimit = 1 << 50
}

/// What stands behind the last action.
package struct PlanTrailer: Sendable, Hashable {
    package var actions = 0
    package var totals = Sides(a: PlanTotals(), b: PlanTotals())
    package var leftOut = PlanLeftOut()
    /// Whether the listing of a root was not whole, on either side.
    package var isRootIncomplete = false
    /// Whether it was made for a part of the stores only: then they agree in that, whatever is in
    /// the rest.
    package var isNarrowed = false

    /// Whose stores keep what the plan displaced: where it changes one, that one alone.
    package var sidesKept: [Side] {
        let changed = Side.allCases.filter { totals[$0].actions > 0 }
        return changed.count == 1 ? changed : Side.allCases
    }

    package init() {}
}

/// Writes a plan, action by action.
package struct PlanWriter<Hash: HashFunction> {
    private let output: (_ bytes: [UInt8]) throws -> Void
    private var frames: FrameWriter<Hash>
    private var payload = ByteWriter()
    package internal(set) var trailer = PlanTrailer()
    package var isRootIncomplete: Bool {
        get { trailer.isRootIncomplete }
        set { trailer.isRootIncomplete = newValue }
    }
    package var isNarrowed: Bool {
        get { trailer.isNarrowed }
        set { trailer.isNarrowed = newValue }
    }

    package init(
        _ header: PlanHeader, hash: Hash, chain: Hash,
        output: @escaping (_ bytes: [UInt8]) throws -> Void
    ) throws {
        self.output = output
        frames = FrameWriter(magic: PlanFrame.magic, hash: hash, chain: chain)
        try output(frames.start())
        var writer = ByteWriter()
        writer.planHeader(header)
        try output(frames.frame(PlanFrame.header, writer.bytes))
    }

    package mutating func append(_ action: Action) throws {
        payload.action(action)
        trailer.actions += 1
        trailer.totals[action.side].count(action)
        if payload.bytes.count >= PlanFrame.framePayload { try flush() }
    }

    package mutating func count(emptied: Int, on side: Side) {
        trailer.totals[side].emptied += emptied
    }

    /// A file whose bytes become zeros.
    package mutating func countZeroed(on side: Side) { trailer.totals[side].zeroed += 1 }

    private mutating func flush() throws {
        guard !payload.bytes.isEmpty else { return }
        try output(frames.frame(PlanFrame.actions, payload.bytes))
        payload.removeAll()
    }

    /// Writes the trailer; returns the plan's id.
    package mutating func finish(_ leftOut: PlanLeftOut) throws -> Digest {
        try flush()
        trailer.leftOut = leftOut
        var writer = ByteWriter()
        writer.planTrailer(trailer)
        try output(frames.frame(PlanFrame.trailer, writer.bytes))
        return frames.chainDigest()
    }
}

/// Reads a plan, and believes none of it: opening it reads it once from its beginning to its end,
/// checks every frame, and counts anew.
package struct PlanReader<Hash: HashFunction> {
    package let header: PlanHeader
    package let trailer: PlanTrailer
    package let id: Digest
    /// The first action that settles a directory: all behind it do, too.
    package let settling: Int
    private let read: ReadBytes
    private var frames: FrameReader<Hash>
    /// Where each frame of actions begins, and the number of its first action, from 0.
    private var index: [(offset: Int, first: Int)] = []

    package init(hash: Hash, chain: Hash, read: @escaping ReadBytes) throws {
        self.read = read
        frames = FrameReader(magic: PlanFrame.magic, hash: hash, chain: chain)
        try frames.start(read)
        guard let first = try frames.next(read), first.kind == PlanFrame.header else {
            throw FormatError("begins without a header")
        }
        var payload = ByteReader(first.payload)
        header = try payload.planHeader()
        guard payload.isAtEnd else { throw FormatError("a header with more") }
        var counted = PlanTrailer()
        var settling: Int?
        while true {
            let offset = frames.offset
            guard let frame = try frames.next(read) else { throw FormatError("is cut", at: offset) }
            var payload = ByteReader(frame.payload)
            if frame.kind == PlanFrame.trailer {
                trailer = try payload.planTrailer()
                break
            }
            guard frame.kind == PlanFrame.actions, !payload.isAtEnd else {
                throw FormatError("has a frame of unknown kind", at: offset)
            }
            index.append((offset, counted.actions))
            while !payload.isAtEnd {
                let action = try payload.action()
                guard action.fits(header.stores[action.side]) else {
                    throw FormatError("has an action that its store cannot have", at: offset)
                }
                counted.totals[action.side].count(action)
                if action.kind == .settleDirectory {
                    settling = settling ?? counted.actions
                } else if settling != nil {
                    throw FormatError("is damaged: its actions are out of order", at: offset)
                }
                counted.actions += 1
            }
        }
        let (kept, found) = (trailer.totals, counted.totals)
        guard counted.actions == trailer.actions,
            Side.allCases.allSatisfy({ kept[$0].isBased(on: found[$0]) }),
            try read(frames.offset, 1).isEmpty
        else {
            throw FormatError("is damaged: its trailer is not that of its actions")
        }
        self.settling = settling ?? counted.actions
        id = frames.chainDigest()
    }

    package var frameCount: Int { index.count }

    /// The actions of one frame, with the number of the first.
    package mutating func actions(frame number: Int) throws -> (first: Int, actions: [Action]) {
        frames.seek(to: index[number].offset)
        guard let frame = try frames.next(read), frame.kind == PlanFrame.actions else {
            throw FormatError("was changed while it was read", at: index[number].offset)
        }
        var payload = ByteReader(frame.payload)
        var actions: [Action] = []
        while !payload.isAtEnd { actions.append(try payload.action()) }
        return (index[number].first, actions)
    }

    /// The actions with these numbers, in order.
    package mutating func forEach(
        in numbers: Range<Int>, _ body: (_ number: Int, Action) throws -> Void
    ) throws {
        let following = index.firstIndex { $0.first > numbers.lowerBound } ?? index.count
        for frame in max(0, following - 1)..<index.count {
            if index[frame].first >= numbers.upperBound { return }
            let (first, actions) = try actions(frame: frame)
            for (at, action) in actions.enumerated() where numbers.contains(first + at) {
                try body(first + at, action)
            }
        }
    }

    /// All actions, in the order of their execution or backwards.
    package mutating func forEach(
        backwards: Bool = false, _ body: (_ number: Int, Action) throws -> Void
    ) throws {
        for frame in 0..<index.count {
            let (first, actions) = try actions(frame: backwards ? index.count - 1 - frame : frame)
            for at in actions.indices {
                let place = backwards ? actions.count - 1 - at : at
                try body(first + place, actions[place])
            }
        }
    }
}

extension ByteWriter {
    fileprivate mutating func planHeader(_ header: PlanHeader) {
        byte(PlanFrame.format)
        for side in Side.allCases { store(header.stores[side]) }
        string(Array(header.authority.rawValue.utf8))
        string(Array((header.run ?? "").utf8))
        time(header.created)
        string(header.tool)
        number(header.blockSize)
        number(UInt64(header.aspects.rawValue))
        digest(header.exclusions)
        number(header.entries)
        byte(header.hasBaseline ? 1 : 0)
        number(header.directories)
        number(header.decisions)
    }

    mutating func store(_ store: StoreReference) {
        string(store.path)
        string(Array(store.kind.rawValue.utf8))
        identity(store.identity)
        number(store.size)
        byte(store.marker == nil ? 0 : 1)
        if let marker = store.marker { self.marker(marker) }
    }

    package mutating func marker(_ marker: StoreMarker) {
        digest(marker.store)
        byte(marker.baseline == nil ? 0 : 1)
        if let baseline = marker.baseline { digest(baseline) }
        number(marker.history.count)
        for old in marker.history { digest(old) }
        string(Array((marker.inconsistent ?? "").utf8))
        identity(marker.identity)
    }

    package mutating func identity(_ identity: StoreIdentity) {
        number(identity.fileSystem)
        number(identity.inode)
        number(UInt64(identity.device.major))
        number(UInt64(identity.device.minor))
    }

    fileprivate mutating func planTrailer(_ trailer: PlanTrailer) {
        number(trailer.actions)
        for side in Side.allCases {
            for count in trailer.totals[side].counts { number(count) }
        }
        for count in trailer.leftOut.counts { number(count) }
        byte((trailer.isRootIncomplete ? 1 : 0) | (trailer.isNarrowed ? 2 : 0))
    }
}

extension ByteReader {
    fileprivate mutating func planHeader() throws(FormatError) -> PlanHeader {
        let format = try byte()
        guard format == PlanFrame.format else {
            throw FormatError("has format \(format), which this resync does not know", at: at)
        }
        let stores = Sides(a: try store(), b: try store())
        guard let authority = Authority(rawValue: try text()) else {
            throw FormatError("unknown authority", at: at)
        }
        let run = try text()
        let created = try time()
        let tool = try string(limit: PlanFrame.string)
        let blockSize = try int(limit: ManifestHeader.blockSizes.upperBound)
        guard ManifestHeader.blockSizes.contains(blockSize) else {
            throw FormatError("a block size out of bounds", at: at)
        }
        let aspects = AspectSet(rawValue: UInt16(try int(limit: Int(AspectSet.all.rawValue))))
        var header = PlanHeader(
            stores: stores, authority: authority, created: created, blockSize: blockSize,
            aspects: aspects, exclusions: try digest())
        header.run = run.isEmpty ? nil : run
        header.tool = tool
        header.entries = try int()
        header.hasBaseline = try byte() == 1
        if !isAtEnd { header.directories = try int(limit: header.entries) }
        if !isAtEnd { header.decisions = try int() }
        return header
    }

    mutating func store() throws(FormatError) -> StoreReference {
        let path = try string(limit: PlanFrame.string)
        guard let kind = ManifestHeader.Kind(rawValue: try text()) else {
            throw FormatError("unknown kind of store", at: at)
        }
        var store = StoreReference(
            path: path, kind: kind, identity: try identity(), size: try int())
        store.marker = try byte() == 1 ? try marker() : nil
        return store
    }

    package mutating func marker() throws(FormatError) -> StoreMarker {
        let store = try digest()
        let baseline = try optionalDigest()
        var history: [Digest] = []
        for _ in 0..<(try int(limit: StoreMarker.historyLimit)) { history.append(try digest()) }
        let inconsistent = try text()
        var marker = StoreMarker(store: store, identity: try identity())
        marker.baseline = baseline
        marker.history = history
        marker.inconsistent = inconsistent.isEmpty ? nil : inconsistent
        return marker
    }

    package mutating func identity() throws(FormatError) -> StoreIdentity {
        StoreIdentity(
            fileSystem: try number(), inode: try number(),
            device: DeviceNumber(major: try number32(), minor: try number32()))
    }

    private mutating func text() throws(FormatError) -> String {
        guard let text = validText(try string(limit: PlanFrame.string)) else {
            throw FormatError("is no text", at: at)
        }
        return text
    }

    fileprivate mutating func planTrailer() throws(FormatError) -> PlanTrailer {
        var trailer = PlanTrailer()
        trailer.actions = try int()
        for side in Side.allCases {
            var counts: [Int] = []
            for _ in 0..<trailer.totals[side].counts.count { counts.append(try int()) }
            trailer.totals[side].counts = counts
        }
        var counts: [Int] = []
        for _ in 0..<trailer.leftOut.counts.count {
            counts.append(try int(limit: PlanFrame.countLimit))
        }
        trailer.leftOut.counts = counts
        let flags = try byte()
        guard flags < 4 else { throw FormatError("unknown flags", at: at) }
        trailer.isRootIncomplete = flags & 1 != 0
        trailer.isNarrowed = flags & 2 != 0
        guard isAtEnd else { throw FormatError("a trailer with more", at: at) }
        return trailer
    }
}

extension StoreMarker {
    package static let historyLimit = 16
}

extension PlanTotals {
    /// Whether these are the counts of the same actions. What only a reading of the files tells
    /// may come on top.
    fileprivate func isBased(on found: PlanTotals) -> Bool {
        var counted = found
        counted.zeroed = zeroed
        counted.emptied = emptied
        return self == counted && zeroed >= found.zeroed && emptied >= found.emptied
    }

    /// Every count, in the order in which they are kept.
    fileprivate var counts: [Int] {
        get {
            [creates, overwrites, metadata, deletes, bytesWritten, bytesDisplaced, zeroed, emptied]
        }
        set {
            (creates, overwrites, metadata, deletes) = (
                newValue[0], newValue[1], newValue[2], newValue[3]
            )
            (bytesWritten, bytesDisplaced, zeroed, emptied) = (
                newValue[4], newValue[5], newValue[6], newValue[7]
            )
        }
    }
}

extension PlanLeftOut {
    fileprivate var counts: [Int] {
        get { [conflicts, undetermined, lost, unreadable, deletions, others] }
        set {
            (conflicts, undetermined, lost) = (newValue[0], newValue[1], newValue[2])
            (unreadable, deletions, others) = (newValue[3], newValue[4], newValue[5])
        }
    }
}

/// One line of a run's result, as it is kept: a difference, or the path of an entry that agrees.
package enum ResultRecord: Sendable, Hashable {
    case difference(Difference)
    case same(RelativePath)

    package var path: RelativePath {
        switch self {
        case .difference(let difference): difference.path
        case .same(let path): path
        }
    }
}

/// Bounds on what is read back.
private enum Limit {
    /// Deeper paths are not made by any tool, and not read from any file.
    static let path = 64 << 20
    static let extents = 1 << 16
    static let errors = 1 << 16
}

extension ByteWriter {
    package mutating func record(_ record: ResultRecord) {
        switch record {
        case .same(let path):
            byte(Outcome.same.rawValue)
            string(path.bytes)
        case .difference(let difference): self.difference(difference)
        }
    }

    private mutating func difference(_ difference: Difference) {
        byte(difference.outcome.rawValue)
        string(difference.path.bytes)
        number(UInt64(difference.aspects.rawValue))
        byte(difference.shape?.rawValue ?? 0)
        byte(difference.shapeSide.map { $0.rawValue + 1 } ?? 0)
        byte(difference.reason?.rawValue ?? 0)
        byte(difference.confirmedFrom.map { $0 == .media ? 2 : 1 } ?? 0)
        number(difference.extents.count)
        var end = 0
        for extent in difference.extents {
            number(extent.offset - end)
            number(extent.length)
            end = extent.end
        }
        number(difference.errors.count)
        for error in difference.errors { self.error(error) }
        for side in Side.allCases {
            witness(difference.stats[side])
            digests(difference.witnesses[side])
            digests(difference.digests[side])
        }
    }

    private mutating func error(_ error: EntryError) {
        byte(error.side.rawValue)
        string(error.call)
        number(UInt64(UInt32(bitPattern: error.number)))
        byte(error.extent == nil ? 0 : 1)
        if let extent = error.extent {
            number(extent.offset)
            number(extent.length)
        }
    }

    package mutating func witness(_ stat: StatWitness?) {
        guard let stat else { return byte(0) }
        byte(stat.type.rawValue)
        number(stat.size)
        time(stat.mtime)
        time(stat.ctime)
        number(stat.inode)
    }

    private mutating func digests(_ digests: [Digest]) {
        number(digests.count)
        for digest in digests { self.digest(digest) }
    }
}

extension ByteReader {
    package mutating func record() throws(FormatError) -> ResultRecord {
        guard let outcome = Outcome(rawValue: try byte()) else {
            throw FormatError("unknown outcome", at: at)
        }
        let path = try self.path(limit: Limit.path)
        if outcome == .same { return .same(path) }
        var difference = Difference(path: path, outcome: outcome)
        difference.aspects = AspectSet(
            rawValue: UInt16(try int(limit: Int(AspectSet.all.rawValue))))
        difference.shape = try optional { Shape(rawValue: $0) }
        difference.shapeSide = try optional { Side(rawValue: $0 - 1) }
        difference.reason = try optional { Reason(rawValue: $0) }
        difference.confirmedFrom = try optional { $0 == 2 ? .media : $0 == 1 ? .cache : nil }
        difference.extents = try extents()
        for _ in 0..<(try int(limit: Limit.errors)) { difference.errors.append(try error()) }
        for side in Side.allCases {
            difference.stats[side] = try witness()
            difference.witnesses[side] = try digests()
            difference.digests[side] = try digests()
        }
        return .difference(difference)
    }

    /// A byte where zero means nothing.
    private mutating func optional<Value>(
        _ make: (UInt8) -> Value?
    ) throws(FormatError) -> Value? {
        let value = try byte()
        if value == 0 { return nil }
        guard let made = make(value) else { throw FormatError("unknown value", at: at) }
        return made
    }

    private mutating func extents() throws(FormatError) -> [Extent] {
        var extents: [Extent] = []
        var end = 0
        for _ in 0..<(try int(limit: Limit.extents)) {
            let extent = try extent(after: end)
            extents.append(extent)
            end = extent.end
        }
        return extents
    }

    mutating func extent(after end: Int) throws(FormatError) -> Extent {
        let (offset, first) = end.addingReportingOverflow(try int())
        let length = try int()
        guard !first, !offset.addingReportingOverflow(length).overflow else {
            throw FormatError("extent out of bounds", at: at)
        }
        return Extent(offset: offset, length: length)
    }

    /// The name of a system call: nothing else, since it is shown as it is.
    mutating func call() throws(FormatError) -> [UInt8] {
        let name = try string(limit: 64)
        let isName = name.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "_"):
                true
            default: false
            }
        }
        guard isName, !name.isEmpty else { throw FormatError("a name of no call", at: at) }
        return name
    }

    private mutating func error() throws(FormatError) -> EntryError {
        guard let side = Side(rawValue: try byte()) else {
            throw FormatError("unknown side", at: at)
        }
        var error = EntryError(
            side: side, call: try call(),
            number: Int32(bitPattern: try number32()))
        error.extent = try optional { $0 == 1 ? true : nil } == nil ? nil : try extent(after: 0)
        return error
    }

    package mutating func witness() throws(FormatError) -> StatWitness? {
        let type: EntryType? = try optional { EntryType(rawValue: $0) }
        guard let type else { return nil }
        return StatWitness(
            type: type, size: try int(), mtime: try time(), ctime: try time(),
            inode: try number())
    }

    private mutating func digests() throws(FormatError) -> [Digest] {
        var digests: [Digest] = []
        for _ in 0..<(try int(limit: Limit.extents)) { digests.append(try digest()) }
        return digests
    }
}

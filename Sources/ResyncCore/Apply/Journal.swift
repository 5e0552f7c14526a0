/// What became of an action.
package enum ActionResult: Sendable, Hashable {
    /// Done, and durable.
    case done
    /// The target changed since the plan was made: nothing was touched.
    case changed
    /// A rule of the operator's holds it back: open for writing, or a special file.
    case withheld
    /// Somebody has decided otherwise since the plan was made: nothing was touched.
    case decided
    /// The source changed since the plan was made: nothing was touched.
    case sourceChanged
    /// A call failed, on the target unless `isSource`; nothing was touched.
    case failed(DiskFailure)
    /// What it needs was not done: its directory, or the name it links to.
    case blocked
    /// What stood there was put back, or brought into safety: somebody else was at work.
    case conflict
    /// Of an undo: what it displaced was released by the operator's word.
    case released
    /// Of an undo: what stood there before is not in the undo file.
    case lost
    /// Of an undo: what it displaced is in the quarantine no more, and not in its place either.
    case missing
    /// The run was ended before it was done: nothing was touched.
    case stopped

    package var isDone: Bool { self == .done }
}

/// A failed call as it is kept: the number is an errno.
package struct DiskFailure: Sendable, Hashable {
    package var call: [UInt8]
    package var number: Int32
    package var isSource: Bool

    package init(call: [UInt8], number: Int32, isSource: Bool = false) {
        self.call = call
        self.number = number
        self.isSource = isSource
    }
}

/// Something that lay in a run's quarantine beside what it displaced: see `Stray`.
package struct StrayName: Sendable, Hashable {
    package let number: Int
    package let suffix: [UInt8]

    package init(number: Int, suffix: [UInt8]) {
        self.number = number
        self.suffix = suffix
    }
}

/// The ctime that an action's displaced entry had when it had come into the quarantine.
package struct ShelvedTime: Sendable, Hashable {
    package let number: Int
    package let ctime: Timestamp

    package init(number: Int, ctime: Timestamp) {
        self.number = number
        self.ctime = ctime
    }
}

/// What tells one object of a file system from all others, also from one that got its inode number
/// after it: renaming, linking and mounting anew leave it as it is.
package struct ObjectMark: Sendable, Hashable {
    package let inode: UInt64
    /// Nil where the file system does not tell.
    package let birth: Timestamp?

    package init(_ stat: Stat) {
        (inode, birth) = (stat.inode, stat.birth)
    }

    init(inode: UInt64, birth: Timestamp?) {
        (self.inode, self.birth) = (inode, birth)
    }

    package func marks(_ stat: Stat) -> Bool {
        guard stat.inode == inode else { return false }
        guard let birth, let other = stat.birth else { return true }
        return birth == other
    }
}

/// What an action has made, or what its name is to lead to.
package struct MadeObject: Sendable, Hashable {
    package let number: Int
    package let mark: ObjectMark

    package init(number: Int, mark: ObjectMark) {
        (self.number, self.mark) = (number, mark)
    }
}

/// One line of an apply run's journal. Every line is durable before what it announces is begun, or
/// tells what is durable already.
package enum JournalRecord: Sendable, Hashable {
    /// First: the plan, and the secret that names of staged entries are made from.
    case begin(plan: Digest, secret: Digest)
    /// Actions with these numbers may leave traces from now on.
    case intent(Range<Int>)
    /// All of an intent is over: a result each, in order.
    case results(first: Int, [ActionResult])
    /// An undo of these actions may leave traces from now on.
    case undoIntent(Range<Int>)
    case undone(first: Int, [ActionResult])
    /// The attributes that a directory had before it was settled.
    case attributes(number: Int, [Attribute])
    /// The result was read back from the medium, and agreed.
    case confirmed(Timestamp)
    /// What was kept for an undo is gone, by the operator's word.
    case released(Timestamp)
    /// What this action displaced is gone, by the operator's word.
    case erased(number: Int, Timestamp)
    /// What the done ones of these actions displaced is gone, by the operator's word: it was read
    /// back before, and made room for the rest of the plan.
    case freed(Range<Int>, Timestamp)
    /// From here on what patches displace is kept in a file in this folder.
    case undoFolder([UInt8])
    /// All that the undo file keeps of what this patch put aside: nobody can say whose it was.
    case putAside(number: Int, [Extent])
    /// These are gone, by the operator's word. What the actions displaced is another matter.
    case straysErased([StrayName], Timestamp)
    /// What these actions displaced was read by nobody: the ctimes with which it lies in the
    /// quarantine.
    case shelved([ShelvedTime])
    /// What is staged for these actions, whole and durable, and may be put in its place from now
    /// on.
    case staged([MadeObject])
    /// Directories that these actions have made, at once under their own names.
    case madeDirectories([MadeObject])
}

package enum JournalFrame {
    package static let magic = Array("resync-journal\n".utf8)
    package static let record: UInt8 = 1
    fileprivate static let limit = 1 << 20
}

extension ByteWriter {
    package mutating func journal(_ record: JournalRecord) {
        switch record {
        case .begin(let plan, let secret):
            byte(1)
            digest(plan)
            digest(secret)
        case .intent(let range):
            byte(2)
            self.range(range)
        case .results(let first, let results):
            byte(3)
            self.results(first, results)
        case .undoIntent(let range):
            byte(4)
            self.range(range)
        case .undone(let first, let results):
            byte(5)
            self.results(first, results)
        case .confirmed(let time):
            byte(6)
            self.time(time)
        case .released(let time):
            byte(7)
            self.time(time)
        case .erased(let number, let time):
            byte(9)
            self.number(number)
            self.time(time)
        case .freed(let range, let time):
            byte(10)
            self.range(range)
            self.time(time)
        case .undoFolder(let path):
            byte(11)
            string(path)
        case .putAside(let number, let extents):
            byte(12)
            self.number(number)
            self.extents(extents)
        case .straysErased(let names, let time):
            byte(13)
            strays(names)
            self.time(time)
        case .shelved(let times):
            byte(14)
            shelved(times)
        case .staged(let objects):
            byte(15)
            made(objects)
        case .madeDirectories(let objects):
            byte(16)
            made(objects)
        case .attributes(let number, let attributes):
            byte(8)
            self.number(number)
            self.attributes(attributes)
        }
    }

    private mutating func shelved(_ times: [ShelvedTime]) {
        number(times.count)
        for time in times {
            number(time.number)
            self.time(time.ctime)
        }
    }

    private mutating func attributes(_ attributes: [Attribute]) {
        number(attributes.count)
        for attribute in attributes {
            string(attribute.name)
            string(attribute.value)
        }
    }

    private mutating func made(_ objects: [MadeObject]) {
        number(objects.count)
        for object in objects {
            number(object.number)
            number(object.mark.inode)
            byte(object.mark.birth == nil ? 0 : 1)
            if let birth = object.mark.birth { time(birth) }
        }
    }

    private mutating func range(_ range: Range<Int>) {
        number(range.lowerBound)
        number(range.count)
    }

    private mutating func extents(_ extents: [Extent]) {
        number(extents.count)
        for extent in extents {
            number(extent.offset)
            number(extent.length)
        }
    }

    private mutating func strays(_ names: [StrayName]) {
        number(names.count)
        for name in names {
            number(name.number)
            string(name.suffix)
        }
    }

    private mutating func results(_ first: Int, _ results: [ActionResult]) {
        number(first)
        number(results.count)
        for result in results {
            switch result {
            case .done: byte(1)
            case .changed: byte(2)
            case .withheld: byte(3)
            case .sourceChanged: byte(4)
            case .blocked: byte(5)
            case .conflict: byte(6)
            case .released: byte(9)
            case .stopped: byte(10)
            case .lost: byte(11)
            case .missing: byte(12)
            case .decided: byte(13)
            case .failed(let failure):
                byte(failure.isSource ? 8 : 7)
                string(failure.call)
                number(UInt64(UInt32(bitPattern: failure.number)))
            }
        }
    }
}

extension ByteReader {
    package mutating func journal() throws(FormatError) -> JournalRecord {
        switch try byte() {
        case 1: return .begin(plan: try digest(), secret: try digest())
        case 2: return .intent(try range())
        case 3: return .results(first: try int(), try results())
        case 4: return .undoIntent(try range())
        case 5: return .undone(first: try int(), try results())
        case 6: return .confirmed(try time())
        case 7: return .released(try time())
        case 8: return .attributes(number: try int(), try attributes())
        case 9: return .erased(number: try int(), try time())
        case 10: return .freed(try range(), try time())
        case 11: return .undoFolder(try string(limit: JournalFrame.limit))
        case 12: return .putAside(number: try int(), try extents())
        case 13: return .straysErased(try strayNames(), try time())
        case 14: return .shelved(try shelvedTimes())
        case 15: return .staged(try made())
        case 16: return .madeDirectories(try made())
        default: throw FormatError("unknown record", at: at)
        }
    }

    private mutating func strayNames() throws(FormatError) -> [StrayName] {
        var names: [StrayName] = []
        for _ in 0..<(try int(limit: JournalFrame.limit)) {
            names.append(StrayName(number: try int(), suffix: try string(limit: 256)))
        }
        return names
    }

    private mutating func shelvedTimes() throws(FormatError) -> [ShelvedTime] {
        var times: [ShelvedTime] = []
        for _ in 0..<(try int(limit: JournalFrame.limit)) {
            times.append(ShelvedTime(number: try int(), ctime: try time()))
        }
        return times
    }

    private mutating func made() throws(FormatError) -> [MadeObject] {
        var objects: [MadeObject] = []
        for _ in 0..<(try int(limit: JournalFrame.limit)) {
            let (number, inode) = (try int(), try self.number())
            let mark: ObjectMark
            switch try byte() {
            case 0: mark = ObjectMark(inode: inode, birth: nil)
            case 1: mark = ObjectMark(inode: inode, birth: try time())
            default: throw FormatError("neither yes nor no", at: at)
            }
            objects.append(MadeObject(number: number, mark: mark))
        }
        return objects
    }

    private mutating func extents() throws(FormatError) -> [Extent] {
        var extents: [Extent] = []
        for _ in 0..<(try int(limit: JournalFrame.limit)) {
            let extent = Extent(offset: try int(), length: try int())
            guard !extent.offset.addingReportingOverflow(extent.length).overflow else {
                throw FormatError("an extent out of bounds", at: at)
            }
            extents.append(extent)
        }
        return extents
    }

    private mutating func attributes() throws(FormatError) -> [Attribute] {
        var attributes: [Attribute] = []
        for _ in 0..<(try int(limit: JournalFrame.limit)) {
            attributes.append(
                Attribute(
                    name: try string(limit: JournalFrame.limit),
                    value: try string(limit: JournalFrame.limit)))
        }
        return attributes
    }

    private mutating func range() throws(FormatError) -> Range<Int> {
        let start = try int()
        let (end, overflow) = start.addingReportingOverflow(try int())
        guard !overflow else { throw FormatError("a range out of bounds", at: at) }
        return start..<end
    }

    private mutating func results() throws(FormatError) -> [ActionResult] {
        var results: [ActionResult] = []
        for _ in 0..<(try int(limit: JournalFrame.limit)) {
            switch try byte() {
            case 1: results.append(.done)
            case 2: results.append(.changed)
            case 3: results.append(.withheld)
            case 4: results.append(.sourceChanged)
            case 5: results.append(.blocked)
            case 6: results.append(.conflict)
            case 9: results.append(.released)
            case 10: results.append(.stopped)
            case 11: results.append(.lost)
            case 12: results.append(.missing)
            case 13: results.append(.decided)
            case let kind where kind == 7 || kind == 8:
                results.append(
                    .failed(
                        DiskFailure(
                            call: try string(limit: 64),
                            number: Int32(bitPattern: try number32()), isSource: kind == 8)))
            default: throw FormatError("unknown result", at: at)
            }
        }
        return results
    }
}

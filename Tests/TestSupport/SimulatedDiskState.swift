import Glibc
package import ResyncCore
package import ResyncStorage

/// What lies on one file system of a simulated disk, and how that file system behaves.
package struct SimulatedMount: Sendable {
    package enum DirectReads: Sendable {
        case offered(DirectAlignment)
        /// Opening with `direct` fails.
        case refused
        /// Opening succeeds, and the page cache answers all the same, as on tmpfs.
        case pretended
    }

    package var id: UInt64
    package var device: DeviceNumber
    package var isReadOnly = false
    package var directReads = DirectReads.offered(DirectAlignment(memory: 4, offset: 512))
    /// False where the cache is the only copy, as on tmpfs.
    package var dropsCache = true
    /// Whether listings say what kind of object a name leads to.
    package var namesKinds = true
    /// Whether space can be reserved and holes punched.
    package var canAllocate = true
    package var hasAttributes = true
    /// Whether renaming knows other rules than to replace.
    package var knowsRenameRules = true
    package var canLink = true
    /// How many bytes of names and values one object may have of them.
    package var attributeSpace = 4000
    package var fileSystem: Int = 0xef53
    package var identity: UInt64
    package var blocks = 1 << 28
    package var blocksAvailable = 1 << 27
    /// Whether `blocksAvailable` goes down with what is written and made, up with what is removed,
    /// and ends it with `spaceError`.
    package var isSpaceLimited = false
    /// ENOSPC, or EDQUOT.
    package var spaceError = ENOSPC
    /// What it can hold of a modification time, in seconds.
    package var times: ClosedRange<Int64> = -1 << 31...15_032_385_535

    /// An ext4 of its own.
    package init(number: Int) {
        id = UInt64(1000 + number)
        device = DeviceNumber(major: 254, minor: UInt32(truncatingIfNeeded: number))
        identity = mixed(UInt64(truncatingIfNeeded: number) &+ 1)
    }
}

/// An open file description.
struct OpenFile: Sendable {
    let object: ObjectID
    var flags: OpenFlags
    let path: [UInt8]
    /// How far a directory was listed.
    var cursor = 0
    var failuresSeen: Int
    var mountFailuresSeen: Int

    var canRead: Bool { !flags.contains(.writeOnly) && !flags.contains(.pathOnly) }
    var canWrite: Bool {
        !flags.isDisjoint(with: [.writeOnly, .readWrite]) && !flags.contains(.pathOnly)
    }
}

/// Everything a simulated disk knows; guarded by its mutex.
struct State: Sendable {
    static let root: ObjectID = 0

    var objects: [ObjectID: Object] = [:]
    var nextObject: ObjectID = State.root
    var mounts = [SimulatedMount(number: 0)]
    /// Failed write-backs of any object, by mount.
    var mountFailures = [WritebackFailure()]
    var nextInode: [UInt64] = [2]
    var descriptors: [Int32: OpenFile] = [:]
    var identity: SimulatedDisk.Identity
    var now = Timestamp(seconds: 1_700_000_000, nanoseconds: 0)
    var sequence = 0
    /// How many syncs there were.
    var syncs = 0
    /// The names that survive a power loss in any case, by directory.
    var durableNames: [ObjectID: [Name: ObjectID]] = [:]
    /// What was done to names since then, in order.
    var nameChanges: [NameChange] = []
    var ledger = CallLedger()
    var plan = FaultPlan()
    var hook: (@Sendable (SimulatedDisk.Call) -> Void)?

    init(identity: SimulatedDisk.Identity) {
        self.identity = identity
        _ = makeObject(.directory, mount: 0, parent: State.root, mode: 0o755)
    }

    func object(_ id: ObjectID) -> Object {
        guard let object = objects[id] else { preconditionFailure("no object \(id)") }
        return object
    }

    func mount(of object: Object) -> SimulatedMount { mounts[object.mount] }

    func checkWritable(_ object: Object) throws(Refusal) {
        if mounts[object.mount].isReadOnly { throw Refusal(EROFS) }
    }

    /// Every call takes a millisecond.
    mutating func tick() {
        let later = now.nanoseconds + 1_000_000
        now = Timestamp(
            seconds: now.seconds + Int64(later / 1_000_000_000), nanoseconds: later % 1_000_000_000)
    }

    mutating func nextSequence() -> Int {
        sequence += 1
        return sequence
    }

    /// An object without a name, owned by root.
    mutating func makeObject(
        _ type: EntryType, mount: Int, parent: ObjectID = State.root, mode: UInt16
    ) -> ObjectID {
        let id = nextObject
        nextObject += 1
        var object = Object(
            id: id, type: type, inode: nextInode[mount], mount: mount,
            attributes: Attributes(
                mode: mode, uid: 0, gid: 0, mtime: now, ctime: now), birth: now)
        nextInode[mount] += 1
        if type == .directory { object.directory = DirectoryData(parent: parent) }
        objects[id] = object
        return id
    }

    // MARK: - Descriptors

    mutating func addDescriptor(
        _ object: ObjectID, _ flags: OpenFlags, path: [UInt8]
    ) throws(Refusal) -> Descriptor {
        guard descriptors.count < identity.descriptorLimit else { throw Refusal(EMFILE) }
        var number: Int32 = 3
        while descriptors[number] != nil { number += 1 }
        let opened = self.object(object)
        descriptors[number] = OpenFile(
            object: object, flags: flags, path: path, failuresSeen: opened.failure.sample,
            mountFailuresSeen: mountFailures[opened.mount].sample)
        objects[object]?.opens += 1
        return Descriptor(number)
    }

    func openFile(_ descriptor: Descriptor) throws(Refusal) -> OpenFile {
        guard let file = descriptors[descriptor.number] else { throw Refusal(EBADF) }
        return file
    }

    /// What a call that needs more than a path gets of a descriptor.
    func usable(_ descriptor: Descriptor) throws(Refusal) -> (OpenFile, Object) {
        let file = try openFile(descriptor)
        guard !file.flags.contains(.pathOnly) else { throw Refusal(EBADF) }
        return (file, object(file.object))
    }

    mutating func close(_ descriptor: Descriptor) {
        guard let file = descriptors.removeValue(forKey: descriptor.number) else {
            ledger.badCloses += 1
            return
        }
        objects[file.object]?.locks.drop(descriptor.number)
        objects[file.object]?.opens -= 1
        freeSpaceIfGone(file.object)
    }

    // MARK: - Calls

    /// Counts a call, lets time pass, and says what is to go wrong with it.
    mutating func begin(
        _ kind: SystemCall, _ path: [UInt8], _ range: Range<Int>?, _ view: SimulatedDisk.View?
    ) -> (call: SimulatedDisk.Call, verdict: Verdict) {
        tick()
        let call = ledger.record(kind, path, range, view)
        return (call, plan.verdict(on: call))
    }

    func path(of descriptor: Descriptor) -> [UInt8] {
        descriptors[descriptor.number]?.path ?? []
    }
}

/// What was asked of the disk.
struct CallLedger: Sendable {
    private struct PathCall: Hashable, Sendable {
        let kind: SystemCall
        let path: [UInt8]
    }

    private(set) var total = 0
    private var kinds: [SystemCall: Int] = [:]
    private var paths: [PathCall: Int] = [:]
    private var bytes: [[UInt8]: Int] = [:]
    private(set) var bytesRead = 0
    private(set) var log: [SimulatedDisk.Call] = []
    /// A log of millions of calls is a memory leak: only on request.
    var keepsLog = false
    var badCloses = 0

    mutating func record(
        _ kind: SystemCall, _ path: [UInt8], _ range: Range<Int>?, _ view: SimulatedDisk.View?
    ) -> SimulatedDisk.Call {
        total += 1
        kinds[kind, default: 0] += 1
        paths[PathCall(kind: kind, path: path), default: 0] += 1
        let call = SimulatedDisk.Call(
            number: total, kind: kind, path: path, range: range, view: view)
        if keepsLog { log.append(call) }
        return call
    }

    mutating func recordRead(_ count: Int, _ path: [UInt8]) {
        bytesRead += count
        bytes[path, default: 0] += count
    }

    func count(_ kind: SystemCall) -> Int { kinds[kind] ?? 0 }
    func count(_ kind: SystemCall, _ path: [UInt8]) -> Int {
        paths[PathCall(kind: kind, path: path)] ?? 0
    }
    func bytesRead(_ path: [UInt8]) -> Int { bytes[path] ?? 0 }
}

import ResyncCore
import ResyncStorage

/// Where one store lies in a running machine: what its path leads to, how that was mounted when it
/// was first seen, and the devices below. None of it touches the store.
struct StoreMount {
    /// Without symlinks, once the worker has said so.
    private(set) var path: [UInt8]
    private var isPathKnown = false
    /// The store itself, where it is a block device.
    private var device: DeviceNumber?
    /// The file system that it would be in if nothing were mounted there.
    private(set) var beneath: DeviceNumber?
    /// The watch for the file system's errors, which goes with the mount.
    var errors: ErrorReports?
    private var signals: StoreSignals?
    private var baseline: MountBaseline?
    private var mountID: UInt64?
    private var lookup = MountLookup()

    /// Seconds after which its devices' names are looked up anew, also where others are named.
    private static let nameAges = (usual: 60.0, doubtful: 5.0)

    init(path: [UInt8]) { self.path = path }

    mutating func mount(in table: MountTable) -> Mount? {
        lookup.mount(holding: path, in: table)
    }

    // MARK: How it is mounted

    /// Whether something was mounted on the way to it, or over it, since it was first seen.
    mutating func isCovered(in table: MountTable) -> Bool {
        baseline?.isCovered(by: mount(in: table), in: table) == true
    }

    /// What became of its mount.
    mutating func condition(in table: MountTable, at now: Moment) -> MountCondition {
        if baseline == nil { learn(table, at: now) }
        guard let baseline else { return .unknown }
        let mount = mount(in: table)
        if let mount, mount.id != mountID {
            mountID = mount.id
            // The devices below may be others.
            errors = nil
            if mount.mountPoint == baseline.mountPoint {
                signals?.renew(device, in: table, at: now)
            }
        }
        return baseline.condition(with: mount, in: table)
    }

    /// Of places where something is to be mounted the first on the way to it where nothing is.
    func missing(of places: [[UInt8]]) -> [UInt8]? { baseline?.missing(of: places) }

    /// - Parameter seesAllMounts: whether the table is that of the machine: in a view of one's own
    ///   mounts are other ones with each start.
    mutating func sight(in table: MountTable, seesAllMounts: Bool) -> MountSight? {
        mount(in: table).map { mount in
            let condition = mount.condition
            return MountSight(
                mount: seesAllMounts ? mount.id : nil, device: mount.device,
                isReadOnly: condition == .readOnly || condition == .readOnlyMount,
                instance: signals?.instance)
        }
    }

    private mutating func learn(_ table: MountTable, at now: Moment) {
        baseline = MountBaseline(of: path, in: table)
        let mount = mount(in: table)
        mountID = mount?.id
        beneath = mount.flatMap { table.mount(id: $0.parent)?.device }
        signals?.renew(device, in: table, at: now)
        signals = signals ?? StoreSignals(of: path, device, in: table, at: now)
    }

    /// It has moved: how it is mounted now is how it is to be.
    mutating func learnAnew(_ table: MountTable, at now: Moment) {
        learn(table, at: now)
        errors = nil
    }

    /// What was learned is another store's: with the next table it is learned anew.
    mutating func forget() { (baseline, signals, errors) = (nil, nil, nil) }

    /// Takes over what a worker has found out about where it lies.
    mutating func locate(_ answer: ProbeAnswer) {
        if !answer.path.isEmpty, !isPathKnown {
            isPathKnown = true
            if answer.path != path {
                path = answer.path
                (baseline, signals) = (nil, nil)
            }
        }
        if answer.isBlockDevice, answer.device != device {
            (device, baseline) = (answer.device, nil)
        }
    }

    // MARK: What is said of it

    /// Whether a message is about it, or about the whole machine.
    func isAbout(_ message: KernelMessage, at now: Moment) -> Bool {
        message.subject.map { signals?.isAbout($0, at: now) ?? false } ?? true
    }

    /// Looks up the names of its devices, if it lies where it did and it is time; whether it was.
    mutating func renewNames(_ table: MountTable, isDoubtful: Bool, at now: Moment) -> Bool {
        let limit = isDoubtful ? Self.nameAges.doubtful : Self.nameAges.usual
        guard mount(in: table)?.mountPoint == baseline?.mountPoint,
            let age = signals?.age(at: now), age >= limit
        else { return false }
        signals?.renew(device, in: table, at: now)
        return true
    }

    /// What its file system has reported of itself since the last call.
    func reports() -> [Observation] {
        var found: [Observation] = []
        while let error = errors?.next() { found.append(error) }
        return found
    }

    /// What its file system counts, and devices that do not answer.
    mutating func counts(at now: Moment) -> [Observation] {
        signals?.observations(at: now) ?? []
    }

    /// Has what devices are waited for counted from now on.
    mutating func forgetActivity() { signals?.forgetActivity() }

    /// What cannot be seen of it, in sentences.
    var unseen: [String] { signals?.unseen ?? [] }
}

package import ResyncCore
import Synchronization

/// How a local store is walked and read.
package struct LocalSiteOptions: Sendable {
    package var crossMounts = false
    /// Aspects beyond the stat that entries must carry: xattrs, ACLs.
    package var details: AspectSet = []
    package var owners = OwnerRule.number
    package var readLimit: Throttle?
    package var writeLimit: Throttle?
    /// Open directories kept at most; descriptors of open files come on top.
    package var openDirectories = 512
    /// Names of one directory sorted in memory; beyond that they are sorted through `scratch`.
    package var namesInMemory = 1 << 18
    /// Names read of one directory: beyond this an honest one is not to be expected.
    package var namesInDirectory = 1 << 24
    /// Bytes of the path of a directory that is entered. Those in it that are not, for that reason,
    /// must still have a path that the formats hold.
    package var directoryPath = ManifestLimit.path - 1 - Name.limit
    /// Where the names of huge directories are sorted.
    package var scratch: Scratch?
    /// Where it is asked who uses a device.
    package var kernel: any KernelFiles = LinuxKernelFiles()

    package init() {}
}

/// Why a store cannot be opened.
package struct StoreError: Error, Sendable {
    package let path: [UInt8]
    package let reason: String

    package init(path: [UInt8], reason: String) {
        self.path = path
        self.reason = reason
    }
}

/// A store on this machine.
package final class LocalSite: Site {
    package let facts: StoreFacts
    let disk: any Disk
    let options: LocalSiteOptions
    let owners: OwnerTable
    let descriptor: Descriptor
    /// Of a device, as it was when it was opened.
    let serial: UInt64?
    /// Whether the store itself is locked against all others: see `lock`.
    let isHeld = Atomic<Bool>(false)
    /// Where a file system ought to be mounted.
    private let unmounted: Set<ObjectIdentity>
    private let openDirectories = Mutex(OpenDirectories())
    /// Of the store itself, as an image or a device.
    private let imageMedium: MediumAccess

    /// Those of mounts inside, by device.
    private let otherFileSystems = Mutex<[DeviceNumber: FileSystem]>([:])

    /// Directories in the order of their opening; those that are closed or gone leave now and then.
    private struct OpenDirectories: Sendable {
        private struct Place: Sendable {
            weak var directory: LocalDirectory?
        }

        private var places: [Place] = []
        /// What comes before it has left.
        private var first = 0
        /// Looking through all costs as much as there are.
        private var nextLook = 0

        /// Adds one; the answer is to be closed, since there are more than a limit.
        mutating func append(_ directory: LocalDirectory, limit: Int) -> LocalDirectory? {
            places.append(Place(directory: directory))
            guard places.count - first > limit else { return nil }
            if places.count >= nextLook {
                places = places[first...].filter { $0.directory?.isOpen == true }
                first = 0
                nextLook = max(places.count, limit) + limit / 4
                guard places.count > limit else { return nil }
            }
            // The first opened lies highest: a depth-first walk needs it last.
            for index in first..<places.count {
                let old = places[index].directory
                if index == first, old?.isOpen != true {
                    first += 1
                } else if let old, old !== directory, old.isOpen, old.isIdle {
                    if index == first { first += 1 }
                    return old
                }
            }
            return nil
        }
    }

    /// Opens a store read-only. A symlink in the operator's own path is followed.
    ///
    /// - Throws: `StoreError` also where /etc/fstab has a file system mounted that the store lies
    ///   on, and it is not.
    package init(
        path: [UInt8], disk: any Disk, options: LocalSiteOptions
    ) throws {
        self.disk = disk
        self.options = options
        owners = OwnerTable()
        let stat: Stat
        /// Open, and nobody's yet.
        var loose: Descriptor?
        defer { if let loose { disk.close(loose) } }
        do {
            stat = try disk.stat(path: path)
            let kind: StoreFacts.Kind
            switch stat.type {
            case .directory: kind = .directory
            case .file: kind = .file
            case .blockDevice: kind = .device
            default:
                throw StoreError(path: path, reason: "is a \(stat.type.word), not a store")
            }
            let flags: OpenFlags =
                kind == .directory
                ? [.readOnly, .directory, .nonBlocking] : [.readOnly, .nonBlocking]
            descriptor = try disk.open(path: path, flags, mode: 0)
            loose = descriptor
            let opened = try disk.stat(descriptor)
            guard opened.identity == stat.identity, opened.type == stat.type else {
                throw StoreError(path: path, reason: "was replaced while it was opened")
            }
            let size =
                switch kind {
                case .directory: 0
                case .file: opened.size
                case .device: try disk.deviceSize(descriptor)
                }
            facts = StoreFacts(
                kind: kind, path: path, stat: opened,
                fileSystem: try disk.fileSystem(descriptor), size: size,
                isInUse: kind == .device
                    && Self.isInUse(opened.special, disk, options.kernel))
            imageMedium = MediumAccess(prefersDirect: true, isOfDevice: kind == .device)
            serial = kind == .device ? deviceSerial(opened.special, options.kernel, disk) : nil
            let missing = MissingMounts(
                descriptor, opened, crossing: options.crossMounts, disk, options.kernel)
            if kind != .device, let point = missing.own {
                throw StoreError(
                    path: path,
                    reason: "is not there: nothing is mounted at '\(escaped(point))', as "
                        + "/etc/fstab has it")
            }
            unmounted = missing.inside
            loose = nil
        } catch let error as DiskError {
            throw StoreError(path: path, reason: "cannot be opened: \(error.sentence)")
        }
    }

    deinit { disk.close(descriptor) }

    /// Whether the path of the store has a symlink in it that neither root nor this user owns, and
    /// so can be led elsewhere by whoever does.
    package func isNamedBySymlink(ofOthersThan user: UInt32) throws(DiskError) -> Bool {
        let path = facts.path
        // A slash behind a symlink would have it followed.
        let ends = path.indices.filter { $0 > 0 && path[$0] == slash } + [path.count]
        for end in ends where path[end - 1] != slash {
            let name = try disk.open(path: Array(path[..<end]), [.pathOnly, .noFollow], mode: 0)
            defer { disk.close(name) }
            let stat = try disk.stat(name)
            if stat.type == .symlink, stat.uid != 0, stat.uid != user { return true }
        }
        return false
    }

    package func root() throws(DiskError) -> any SiteDirectory {
        // As it is now: a listing that comes after is of this moment or later.
        let details = try EntryDetails(self).entry(try disk.stat(descriptor), descriptor)
        return LocalDirectory(root: self, entry: details, descriptor: descriptor)
    }

    package func image(upTo size: Int) throws(DiskError) -> any Examination {
        var stat = facts.stat
        // As a store, an image or a device is its bytes.
        stat.type = .file
        stat.size = facts.size
        imageMedium.lookAgain()
        return LocalExamination(
            site: self, open: descriptor, entry: Entry(stat: stat),
            isDevice: facts.kind == .device, limit: size, medium: imageMedium)
    }

    package func changer(_ order: ChangeOrder) -> any StoreChanger {
        LocalChanger(self, root: descriptor, order)
    }

    package func source() -> any StoreSource { LocalSource(self, root: descriptor) }

    /// As `StoreFacts.isInUse`, and now.
    func isDeviceInUse() -> Bool {
        facts.isInUse || Self.isInUse(facts.stat.special, disk, options.kernel)
    }

    /// Whether a path leads to this store now; nil where nobody can say.
    package func isMeant(by path: [UInt8]) -> Bool? {
        guard let found = try? disk.stat(path: path) else { return nil }
        return facts.kind == .device
            ? found.type == .blockDevice && found.special == facts.stat.special
            : found.identity == facts.stat.identity
    }

    private static func isInUse(
        _ device: DeviceNumber, _ disk: any Disk, _ kernel: any KernelFiles
    ) -> Bool {
        func ask(_ kernel: some KernelFiles) -> Bool {
            var use = TargetUse(disk, kernel)
            return use.ofDevice(device) != nil || use.isWritten(device)
        }
        return ask(kernel)
    }

    /// What the machine knows against the store: see `storeTrouble`.
    package func trouble() -> StoreTrouble {
        storeTrouble(
            path: facts.path, root: facts.stat, descriptor: descriptor,
            crossing: facts.kind == .directory && options.crossMounts)
    }

    /// That of an open file, which on another mount is not the root's; where it does not say, it
    /// is of no known type.
    func fileSystem(of descriptor: Descriptor, _ stat: Stat) -> FileSystem {
        // As a store, a device is its bytes; what holds its name does not matter.
        guard stat.device != facts.stat.device else { return facts.fileSystem }
        if let known = otherFileSystems.withLock({ $0[stat.device] }) { return known }
        guard let found = try? disk.fileSystem(descriptor) else { return .unknown }
        otherFileSystems.withLock { $0[stat.device] = found }
        return found
    }

    /// Whether a file may have holes, and can be asked where. One that is fully allocated has none;
    /// elsewhere than on some file systems SEEK_HOLE has been seen to lie.
    func tellsHoles(_ descriptor: Descriptor, _ stat: Stat) -> Bool {
        stat.allocated < UInt64(stat.size) / 512
            && FileSystemKind.tellsHoles.contains(fileSystem(of: descriptor, stat).type)
    }

    /// Counts a directory that was opened, and closes one that nobody uses when there are too many.
    func opened(_ directory: LocalDirectory) {
        let closing = openDirectories.withLock { open in
            open.append(directory, limit: options.openDirectories)
        }
        closing?.closeIfIdle()
    }

    /// Whether entries carry more than their stat.
    var needsDetails: Bool { !options.details.isEmpty || options.owners == .name }

    /// Whether a file is a mount of its own. Only the mount tells: on an overlay the files of one
    /// mount have several devices.
    func isForeignMount(_ stat: Stat) -> Bool {
        !options.crossMounts && stat.mount != facts.stat.mount
    }

    /// Why a directory is not to be entered; nil where it is.
    func boundary(_ stat: Stat) -> EntryFailure? {
        if !options.crossMounts,
            stat.mount != facts.stat.mount || stat.device != facts.stat.device
        {
            return .mount
        }
        return unmounted.contains(stat.identity) ? .unmounted : nil
    }
}

extension DiskError {
    /// Whether the way to an entry leads nowhere: a name is not there, or no directory, or a
    /// symlink, which is never followed.
    var isAbsence: Bool {
        [ErrorNumber.noEntry, ErrorNumber.notDirectory, ErrorNumber.tooManyLinks].contains(number)
    }

    /// As `Input/output error (pread)`.
    package var sentence: String { "\(ErrorNumber.sentence(number)) (\(call.rawValue))" }
}

extension LocalSite {
    /// Whether a directory's root holds any entry of a user. However many it holds, a few are
    /// listed.
    package func holdsEntries() throws(DiskError) -> Bool {
        let directory = try withCString([UInt8(ascii: ".")]) { (name) throws(DiskError) in
            try disk.openDirectory(name, in: descriptor)
        }
        defer { disk.close(directory) }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 32 << 10, alignment: 16)
        defer { buffer.deallocate() }
        var names = NameList()
        while try disk.list(directory, into: &names, buffer: buffer) {
            for index in 0..<names.count where !names.name(index).isOfNoUser { return true }
            names.removeAll()
        }
        return false
    }
}

extension Name {
    /// At the root of a store: reserved, or made with the file system.
    package var isOfNoUser: Bool {
        bytes.starts(with: reservedPrefix) || bytes.elementsEqual("lost+found".utf8)
    }
}

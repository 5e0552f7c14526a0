package import ResyncCore

/// What the machine knows against a store: grounds to read it past the page cache.
package struct StoreTrouble: Sendable, Hashable {
    /// One line each, safe to print; empty where nothing was seen.
    package let reasons: [String]
    /// What could not be looked at, one line each, safe to print: silence there proves nothing.
    package let unseen: [String]

    package init(reasons: [String], unseen: [String]) {
        self.reasons = reasons
        self.unseen = unseen
    }

    package var isSeen: Bool { !reasons.isEmpty }
}

/// Looks for trouble on a store since boot in the mount table, in the file systems' error counters
/// and in the kernel log, for its device and the devices below it.
///
/// - Parameters:
///   - path: the store as the operator named it, for the text, and to find the mount by where
///     `descriptor` is nil.
///   - root: what `stat` says of the store's root.
///   - descriptor: the open root: the only sure way from a store to its mount, since statx counts
///     mounts differently from the table and btrfs shows a device that is in no table.
///   - crossing: whether what is mounted inside of the store belongs to it.
package func storeTrouble(
    path: [UInt8], root: Stat, descriptor: Descriptor?, crossing: Bool = false,
    files: some KernelFiles = LinuxKernelFiles()
) -> StoreTrouble {
    var search = TroubleSearch(files)
    search.look(at: path, root, descriptor, crossing: crossing)
    return StoreTrouble(reasons: search.reasons, unseen: search.unseen)
}

/// Where the machine speaks of one store.
struct StorePlaces {
    let subjects: Set<KernelSubject>
    /// Where its file system counts its errors.
    let errorCount: [UInt8]?
    /// What the kernel has in /sys for its file system while it is mounted.
    let fileSystem: [UInt8]?
    /// The folders in /sys of the devices it rests on.
    let devices: [[UInt8]]
    let unseen: [String]
}

/// As `storeTrouble`, without a look at the store itself, which may hang.
///
/// - Parameter device: the store itself, where it is a block device and known to be one.
func storePlaces(
    of path: [UInt8], _ device: DeviceNumber?, _ table: MountTable, _ files: some KernelFiles
) -> StorePlaces {
    var search = TroubleSearch(files, table)
    return search.places(of: path, device)
}

/// One look at one store.
private struct TroubleSearch<Files: KernelFiles> {
    private(set) var reasons: [String] = []
    private(set) var unseen: [String] = []
    private var devices: DeviceTree<Files>
    private let table: MountTable
    private var mountsSeen: Set<UInt64> = []
    private var markedFileSystems: Set<DeviceNumber> = []

    init(_ files: Files, _ table: MountTable) {
        devices = DeviceTree(files)
        self.table = table
    }

    init(_ files: Files) {
        devices = DeviceTree(files)
        // The store's path was resolved in this process's mount namespace, and the options that
        // matter belong to the file system: they are the same in all of them.
        let text = devices.files.bytes("/proc/self/mountinfo", limit: 64 << 20)
        table = MountTable(text ?? [])
        if table.skipped > 0 {
            devices.files.note("mount table: \(table.skipped) lines not understood")
        }
    }

    mutating func look(
        at path: [UInt8], _ root: Stat, _ descriptor: Descriptor?, crossing: Bool
    ) {
        if root.type == .blockDevice {
            devices.add(disk: root.special)
        } else if let mount = mount(of: path, root.device, descriptor) {
            visit(mount)
        } else {
            devices.files.note("the mount that '\(escaped(path))' lies on")
            if root.device.major != 0 { devices.add(root.device) }
        }
        if crossing {
            let place = descriptor.flatMap { devices.files.target(of: $0) } ?? path
            for mount in table.mounts where isWithin(mount.mountPoint, place) { visit(mount) }
        }
        follow()
        countErrors()
        readLog()
        unseen = devices.files.unseen
    }

    mutating func places(of path: [UInt8], _ device: DeviceNumber?) -> StorePlaces {
        let mount = device == nil ? table.mount(holding: path) : nil
        if let device {
            devices.add(disk: device)
        } else if let mount, mount.isType("devtmpfs") {
            devices.add(node: path)
        } else if let mount {
            visit(mount)
        }
        follow()
        let device = mount.flatMap { devices.names[$0.device] }
        let kind = ["ext4", "xfs", "f2fs"].first { mount?.fileSystemType == Array($0.utf8) }
        let folder = kind.flatMap { kind in
            device.map { Array("/sys/fs/\(kind)/".utf8) + $0 }
        }
        return StorePlaces(
            subjects: devices.subjects,
            errorCount: kind == "ext4" ? folder.map { $0 + Array("/errors_count".utf8) } : nil,
            fileSystem: folder,
            devices: devices.names.keys.map { Array("/sys/dev/block/\($0.text)".utf8) },
            unseen: devices.files.unseen)
    }

    private mutating func mount(
        of path: [UInt8], _ device: DeviceNumber, _ descriptor: Descriptor?
    ) -> Mount? {
        if let descriptor {
            let text = devices.files.bytes("/proc/self/fdinfo/\(descriptor.number)")
            if let id = field("mnt_id:", of: text ?? []).flatMap({ UInt64(digits: $0) }),
                let mount = table.mount(id: id)
            {
                return mount
            }
            // Unmounted lazily, and perhaps covered: what the path leads to now is another store.
            return table.mounts(of: device).last
        }
        return table.mounts(of: device).last ?? table.mount(holding: path)
    }

    /// Follows devices to what they rest on, and mounts to their devices, until nothing is new.
    private mutating func follow() {
        while let device = devices.next() {
            for mount in table.mounts(of: device) { visit(mount) }
            for file in devices.backingFiles(of: device) {
                if let mount = table.mount(holding: file) {
                    visit(mount)
                } else {
                    devices.files.note("the mount that '\(escaped(file))' lies on")
                }
            }
        }
    }

    private mutating func visit(_ mount: Mount) {
        guard mountsSeen.insert(mount.id).inserted else { return }
        judgeOptions(of: mount)
        if mount.device.major != 0 {
            devices.add(mount.device)
        } else if mount.isType("overlay") {
            for layer in overlayLayers(mount) {
                if let below = table.mount(holding: layer), below.id != mount.id {
                    visit(below)
                } else {
                    devices.files.note("the mount that '\(escaped(layer))' lies on")
                }
            }
        } else if mount.isType("btrfs") {
            devices.addBtrfs(source: mount.source)
        } else if mount.isType("nfs") || mount.isType("nfs4") {
            devices.subjects.insert(.server(server(of: mount.source)))
        } else if !mount.isType("tmpfs"), !mount.isType("ramfs"), !mount.isType("devtmpfs") {
            devices.files.note(
                "errors of \(escaped(mount.fileSystemType)): the kernel keeps no account of them")
        }
    }

    /// A plain `ro` is what an administrator asked for. What no administrator can ask for is
    /// trouble: the marks of Linux 6.15 and later, and before that a file system that became
    /// read-only under a mount that did not.
    private mutating func judgeOptions(of mount: Mount) {
        let meaning: String? =
            if mount.hasSuperOption("emergency_ro") {
                "emergency_ro, it stopped writing after an error"
            } else if mount.hasSuperOption("shutdown") {
                "shutdown, it stopped reading and writing"
            } else if mount.hasOption("rw"), mount.hasSuperOption("ro"), turnsReadOnly(mount) {
                "mounted rw, but turned read-only"
            } else {
                nil
            }
        guard let meaning, markedFileSystems.insert(mount.device).inserted else { return }
        reasons.append(
            "\(escaped(mount.fileSystemType)) at '\(escaped(mount.mountPoint))': \(meaning)")
    }

    private mutating func countErrors() {
        let byName = devices.names.sorted { precedes($0.value, $1.value) }
        for (device, name) in byName {
            guard let mount = table.mounts(of: device).last,
                mount.fileSystemType.starts(with: "ext".utf8)
            else { continue }
            let path = Array("/sys/fs/ext4/".utf8) + name + Array("/errors_count".utf8)
            // The ext2 driver of old kernels keeps no count.
            let text =
                mount.isType("ext4")
                ? devices.files.bytes(path) : devices.files.bytesIfAny(path)
            guard let text else { continue }
            guard let count = UInt64(digits: trimmed(text)) else {
                devices.files.note("the number in '\(escaped(path))'")
                continue
            }
            if count > 0 {
                reasons.append(
                    "ext4 on \(escaped(name)): errors counted since the last fsck: \(count)")
            }
        }
        reasons += devices.btrfsErrors()
    }

    private mutating func readLog() {
        let limit = 64 << 20
        guard let bytes = devices.files.bytes("/dev/kmsg", limit: limit) else { return }
        let log = KernelLog(bytes, about: devices.subjects)
        for kind in log.kinds.prefix(kindsShown) { reasons.append(line(kind)) }
        if log.kinds.count > kindsShown {
            reasons.append("kernel log: \(log.kinds.count - kindsShown) more kinds of trouble")
        }
        if bytes.count >= limit { devices.files.note("the newest kernel messages") }
        if log.malformed > 0 {
            devices.files.note("kernel log: \(log.malformed) records not understood")
        }
        if log.overwritten > 0 {
            devices.files.note(
                "kernel log: \(log.overwritten) messages since boot were overwritten")
        }
    }
}

/// Kinds of kernel trouble that are told one by one.
private let kindsShown = 16

private func line(_ kind: KernelLog.Kind) -> String {
    let times = kind.count == 1 ? "once" : "\(kind.count) times, last"
    let text = kind.last.text
    let shown = escaped(text.prefix(160)) + (text.count > 160 ? "..." : "")
    return "kernel log: \(kind.last.what) on \(escaped(kind.last.subject.bytes)) \(times) "
        + "\(kind.last.microseconds / 1_000_000) s after boot: \(shown)"
}

/// File systems that are only ever read-only below a writable mount because the kernel made them
/// so; squashfs and its like are born that way.
private func turnsReadOnly(_ mount: Mount) -> Bool {
    mount.isType("btrfs") || mount.isType("ext4") || mount.isType("ext3") || mount.isType("ext2")
        || mount.isType("f2fs") || mount.isType("jfs") || mount.isType("nilfs2")
        || mount.isType("vfat") || mount.isType("exfat") || mount.isType("ocfs2")
}

/// The directories an overlay is made of, as they were named when it was mounted.
private func overlayLayers(_ mount: Mount) -> [[UInt8]] {
    mount.superOptions.flatMap { option -> [[UInt8]] in
        guard let equals = option.firstIndex(of: UInt8(ascii: "=")) else { return [] }
        let value = Array(option[(equals + 1)...])
        switch validText(Array(option[..<equals])) {
        case "upperdir", "lowerdir+", "datadir+": return [value]
        case "lowerdir": return layers(value)
        default: return []
        }
    }
}

/// Splits at colons; `\:` is a colon of a name.
private func layers(_ list: [UInt8]) -> [[UInt8]] {
    var layers: [[UInt8]] = [[]]
    var isEscaped = false
    for byte in list {
        if byte == UInt8(ascii: "\\"), !isEscaped {
            isEscaped = true
        } else if byte == UInt8(ascii: ":"), !isEscaped {
            layers.append([])
        } else {
            layers[layers.count - 1].append(byte)
            isEscaped = false
        }
    }
    return layers.filter { !$0.isEmpty }
}

/// The server of `server:/export` or `[address]:/export`, as the kernel names it in messages.
private func server(of source: [UInt8]) -> [UInt8] {
    guard source.first == UInt8(ascii: "["),
        let end = source.firstIndex(of: UInt8(ascii: "]"))
    else { return Array(source.prefix { $0 != UInt8(ascii: ":") }) }
    return Array(source[1..<end])
}

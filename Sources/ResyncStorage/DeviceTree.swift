import ResyncCore

/// The block devices a store rests on, found in `/sys`, with every word by which the kernel log may
/// name them.
struct DeviceTree<Files: KernelFiles> {
    /// Devices of one store that are followed; a tree of this size is a fault of ours or of /sys.
    private static var limit: Int { 256 }

    var files: NotingFiles<Files>
    var subjects: Set<KernelSubject> = []
    /// The kernel's name of each device that was followed.
    private(set) var names: [DeviceNumber: [UInt8]] = [:]
    private var known: Set<DeviceNumber> = []
    private var waiting: [DeviceNumber] = []
    private var btrfsFolders: [[UInt8]] = []

    init(_ files: Files) { self.files = NotingFiles(files) }

    mutating func add(_ device: DeviceNumber) {
        guard !known.contains(device) else { return }
        guard known.count < Self.limit else {
            files.note("device \(device.text) and more below the store")
            return
        }
        known.insert(device)
        waiting.append(device)
    }

    /// The next device, its name and its addresses noted and the devices it is made of added; nil
    /// when all were given.
    mutating func next() -> DeviceNumber? {
        guard let device = waiting.popLast() else { return nil }
        let folder = folder(of: device)
        subjects.insert(.number(device))
        if let name = name(in: folder) {
            names[device] = name
            subjects.insert(.device(name))
        }
        // A partition's folder lies in its disk's.
        if files.bytesIfAny(folder + "/partition") != nil {
            add(numberIn: folder + "/../dev")
        }
        for slave in files.namesIfAny(folder + "/slaves") {
            add(numberIn: folder + "/slaves/" + slave + "/dev")
        }
        for address in files.namesIfAny(folder + "/device/scsi_disk") {
            subjects.insert(.scsi(address))
        }
        // Disk, target, session: the connections lie beside the session's own entry.
        let session = folder + "/device/../.."
        let sessions = files.namesIfAny(session + "/iscsi_session")
        for name in sessions { subjects.insert(.iscsi(name)) }
        if !sessions.isEmpty {
            for name in files.namesIfAny(session) where name.starts(with: "connection".utf8) {
                subjects.insert(.iscsi(name))
            }
        }
        return device
    }

    /// Adds a device that is looked at as a whole.
    mutating func add(disk: DeviceNumber) {
        add(disk)
        addPartitions(of: disk)
    }

    /// Adds the device of a node in /dev, as far as its name tells.
    mutating func add(node: [UInt8]) {
        guard let name = kernelName(ofNode: node) else {
            return files.note("the device at '\(escaped(node))'")
        }
        if let device = add(numberIn: "/sys/class/block/" + name + "/dev") {
            addPartitions(of: device)
        }
    }

    /// Adds what lies on a disk: errors are told of the partition, and its bytes are the disk's.
    private mutating func addPartitions(of disk: DeviceNumber) {
        let folder = folder(of: disk)
        guard let name = name(in: folder) else { return }
        for entry in files.namesIfAny(folder) where entry.starts(with: name) {
            let partition = folder + "/" + entry
            if files.bytesIfAny(partition + "/partition") != nil {
                add(numberIn: partition + "/dev")
            }
        }
    }

    /// The file under a loop device.
    mutating func backingFiles(of device: DeviceNumber) -> [[UInt8]] {
        guard let text = files.bytesIfAny(folder(of: device) + "/loop/backing_file") else {
            return []
        }
        let path = text.last == newline ? Array(text.dropLast()) : text
        return path.isEmpty ? [] : [path]
    }

    /// Adds the devices of the btrfs whose mount names `source`, one of them.
    mutating func addBtrfs(source: [UInt8]) {
        guard let name = kernelName(ofNode: source) else {
            files.note("the devices below btrfs on '\(escaped(source))'")
            return
        }
        for identity in files.namesIfAny("/sys/fs/btrfs".bytes) {
            let folder = "/sys/fs/btrfs/".bytes + identity
            let members = files.namesIfAny(folder + "/devices")
            guard members.contains(name) else { continue }
            btrfsFolders.append(folder)
            for member in members { add(numberIn: folder + "/devices/" + member + "/dev") }
            return
        }
        files.note("the error counters of btrfs on \(escaped(name))")
        add(numberIn: "/sys/class/block/" + name + "/dev")
    }

    /// One line for each device of a btrfs that counts errors.
    mutating func btrfsErrors() -> [String] {
        var reasons: [String] = []
        for folder in btrfsFolders {
            for number in files.namesIfAny(folder + "/devinfo").sorted(by: precedes) {
                let text = files.bytes(folder + "/devinfo/" + number + "/error_stats") ?? []
                let counts = text.split(separator: newline).filter {
                    UInt64(digits: $0.drop { $0 != space }.dropFirst()) ?? 0 > 0
                }
                guard !counts.isEmpty else { continue }
                let words = counts.map { escaped($0) }.joined(separator: ", ")
                reasons.append("btrfs device \(escaped(number)) counts \(words)")
            }
        }
        return reasons
    }

    @discardableResult
    private mutating func add(numberIn path: [UInt8]) -> DeviceNumber? {
        guard let text = files.bytes(path) else { return nil }
        guard let device = DeviceNumber(trimmed(text)) else {
            files.note("the device number in '\(escaped(path))'")
            return nil
        }
        add(device)
        return device
    }

    private func folder(of device: DeviceNumber) -> [UInt8] {
        "/sys/dev/block/\(device.text)".bytes
    }

    /// As in kernel messages, which have `!` where a device node has `/`.
    private mutating func name(in folder: [UInt8]) -> [UInt8]? {
        guard let text = files.bytes(folder + "/uevent") else { return nil }
        guard let name = field("DEVNAME=", of: text) else {
            files.note("the name in '\(escaped(folder))'")
            return nil
        }
        return name.map { $0 == slash ? UInt8(ascii: "!") : $0 }
    }

    /// The kernel's name of a device node in /dev, mapped devices by their name.
    private mutating func kernelName(ofNode path: [UInt8]) -> [UInt8]? {
        let mapper = "/dev/mapper/".bytes
        if path.starts(with: mapper) {
            let wanted = path.dropFirst(mapper.count)
            for name in files.namesIfAny("/sys/class/block".bytes)
            where name.starts(with: "dm-".utf8) {
                let text = files.bytesIfAny("/sys/class/block/" + name + "/dm/name") ?? []
                if trimmed(text).elementsEqual(wanted) { return name }
            }
            return nil
        }
        guard path.starts(with: "/dev/".utf8) else { return nil }
        return path.dropFirst(5).map { $0 == slash ? UInt8(ascii: "!") : $0 }
    }
}

/// Reads that note what could not be read; what is not there for a good reason is no trouble.
struct NotingFiles<Files: KernelFiles> {
    private let files: Files
    private(set) var unseen: [String] = []

    init(_ files: Files) { self.files = files }

    mutating func bytes(_ path: String, limit: Int = smallLimit) -> [UInt8]? {
        bytes(path.bytes, limit: limit)
    }

    mutating func bytes(_ path: [UInt8], limit: Int = smallLimit) -> [UInt8]? {
        read(path, limit, isOptional: false)
    }

    mutating func bytesIfAny(_ path: [UInt8]) -> [UInt8]? {
        read(path, smallLimit, isOptional: true)
    }

    mutating func namesIfAny(_ path: [UInt8]) -> [[UInt8]] {
        do {
            return try files.names(in: path)
        } catch {
            note(path, error, isOptional: true)
            return []
        }
    }

    /// Where an open file lies by now.
    func target(of descriptor: Descriptor) -> [UInt8]? {
        try? files.target(of: Array("/proc/self/fd/\(descriptor.number)".utf8))
    }

    private mutating func read(_ path: [UInt8], _ limit: Int, isOptional: Bool) -> [UInt8]? {
        do {
            return try files.read(path, limit: limit)
        } catch {
            note(path, error, isOptional: isOptional)
            return nil
        }
    }

    /// Notes once what could not be looked at.
    mutating func note(_ sentence: String) {
        if !unseen.contains(sentence) { unseen.append(sentence) }
    }

    private mutating func note(_ path: [UInt8], _ error: DiskError, isOptional: Bool) {
        let isAbsent = [ErrorNumber.noEntry, ErrorNumber.notDirectory].contains(error.number)
        if isOptional, isAbsent { return }
        note("'\(escaped(path))': \(ErrorNumber.sentence(error.number))")
    }
}

/// What is read of one file of /sys.
private let smallLimit = 64 << 10
private let newline = UInt8(ascii: "\n")
private let space = UInt8(ascii: " ")

/// What follows a key at the start of a line, without blanks around it.
func field(_ key: String, of text: [UInt8]) -> [UInt8]? {
    text.split(separator: newline).first { $0.starts(with: key.utf8) }.map {
        Array(trimmed(Array($0.dropFirst(key.utf8.count))))
    }
}

/// Without white space at its ends.
func trimmed(_ text: [UInt8]) -> ArraySlice<UInt8> {
    let isBlank = { (byte: UInt8) in byte == space || (byte >= 9 && byte <= 13) }
    let start = text.drop(while: isBlank)
    let end = start.lastIndex { !isBlank($0) } ?? start.startIndex - 1
    return start[start.startIndex..<(end + 1)]
}

func precedes(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    left.lexicographicallyPrecedes(right)
}

extension String {
    fileprivate var bytes: [UInt8] { Array(utf8) }
}

private func + (left: [UInt8], right: String) -> [UInt8] { left + Array(right.utf8) }
private func + (left: String, right: [UInt8]) -> [UInt8] { Array(left.utf8) + right }

package import ResyncCore

/// What a watcher asks of a probe worker. Sequence numbers tell one stamp from the next.
package struct ProbeOrder: Sendable, Hashable {
    /// The last stamp that was acknowledged; 0 where none is known.
    package var acknowledged: UInt64
    /// The stamp to write, if the one that lies there is not younger.
    package var next: UInt64
    /// Whether the probe's file may be made: it was never there, or a person took it away.
    package var creates: Bool
    /// Whether names are changed, too: made, renamed, removed.
    package var isThorough: Bool
    /// Whether a watch for file system errors is wanted with the answer.
    package var wantsErrors: Bool

    package init(
        acknowledged: UInt64, next: UInt64, creates: Bool, isThorough: Bool, wantsErrors: Bool
    ) {
        self.acknowledged = acknowledged
        self.next = next
        self.creates = creates
        self.isThorough = isThorough
        self.wantsErrors = wantsErrors
    }

    package var text: String {
        "probe \(acknowledged) \(next) \(creates ? 1 : 0) \(isThorough ? 1 : 0) "
            + "\(wantsErrors ? 1 : 0)"
    }

    package init?(_ text: String) {
        let words = text.split(separator: " ")
        guard words.count == 6, words[0] == "probe", let acknowledged = UInt64(words[1]),
            let next = UInt64(words[2])
        else { return nil }
        self.init(
            acknowledged: acknowledged, next: next, creates: words[3] == "1",
            isThorough: words[4] == "1", wantsErrors: words[5] == "1")
    }
}

/// What a probe worker found.
package struct ProbeAnswer: Sendable, Hashable {
    package var outcome: ProbeOutcome
    /// The stamp that now lies there, where it was verified.
    package var sequence: UInt64 = 0
    /// The file system: as statfs(2) identifies it, and its device; nil where it did not say.
    package var fileSystem: UInt64?
    package var device: DeviceNumber?
    /// Whether what was read came past the page cache.
    package var isFromMedium = false
    /// Whether the store is an image or a device, in which nothing is written.
    package var isOnlyRead = false
    /// Whether it is a block device itself, namely `device`.
    package var isBlockDevice = false
    /// The store, without symlinks; empty where it could not be found.
    package var path: [UInt8] = []
    /// Seconds by which the clock that sets its files' times is ahead of ours.
    package var clock: Int64 = 0

    package init(_ outcome: ProbeOutcome) { self.outcome = outcome }

    package var text: String {
        let device = self.device.map { $0.text } ?? "-"
        let fileSystem = self.fileSystem.map(String.init) ?? "-"
        let flags = (isFromMedium ? 1 : 0) | (isOnlyRead ? 2 : 0) | (isBlockDevice ? 4 : 0)
        return "\(sequence) \(fileSystem) \(device) \(flags) \(clock) \(outcome.text)\n"
            + escaped(path)
    }

    package init?(_ text: String) {
        let lines = text.split(separator: "\n", maxSplits: 1, omittingEmptySubsequences: false)
        let words = lines[0].split(separator: " ", maxSplits: 5)
        guard lines.count == 2, words.count == 6, let sequence = UInt64(words[0]),
            let flags = UInt8(words[3]), let clock = Int64(words[4]),
            let outcome = ProbeOutcome(String(words[5])), let path = unescaped(lines[1])
        else { return nil }
        self.init(outcome)
        self.sequence = sequence
        self.path = path
        self.clock = clock
        fileSystem = UInt64(words[1])
        device = DeviceNumber(words[2].utf8)
        isFromMedium = flags & 1 > 0
        (isOnlyRead, isBlockDevice) = (flags & 2 > 0, flags & 4 > 0)
    }
}

/// Looks whether a store still keeps what it is given, by a small file of its own in it. Runs in a
/// process of its own, since any call may never return.
///
/// The order of its steps matters. What was acknowledged earlier is read first: a device that
/// drops writes, was rolled back, or is another one, shows there. The sync after the write makes an
/// aborted journal show itself. What was written is read back at the end.
package struct Probe {
    /// Bytes of the stamp, and of the file.
    static let size = 4096

    private let disk: any Disk
    private let path: [UInt8]
    /// Of this watcher and this store: another copy's stamp has another one.
    private let id: String

    /// - Parameter id: 32 hexadecimal digits.
    package init(path: [UInt8], id: String, disk: any Disk) {
        self.path = path
        self.id = id
        self.disk = disk
    }

    private struct Stop: Error {
        let outcome: ProbeOutcome
    }

    /// Does it once.
    ///
    /// - Parameters:
    ///   - clock: our own.
    ///   - errors: gets the directory while it is open, where it is.
    package func run(
        _ order: ProbeOrder, _ clock: () -> Timestamp, errors: (Descriptor) -> Void = { _ in }
    ) -> ProbeAnswer {
        var answer = ProbeAnswer(.verified)
        do {
            try run(order, clock, &answer, errors)
        } catch let stop as Stop {
            answer.outcome = stop.outcome
        } catch let error as DiskError {
            let isFull = [ErrorNumber.noSpace, ErrorNumber.quotaExceeded].contains(error.number)
            answer.outcome =
                isFull
                ? .full : .failed(errorNumber: error.number, call: error.call.rawValue)
        } catch {
            answer.outcome = .workerDied
        }
        return answer
    }

    private func run(
        _ order: ProbeOrder, _ clock: () -> Timestamp, _ answer: inout ProbeAnswer,
        _ errors: (Descriptor) -> Void
    ) throws {
        let stat = try disk.stat(path: path)
        guard stat.type == .directory else {
            return try readOnly(stat, order, &answer)
        }
        let directory = try disk.open(path: path, [.readOnly, .directory, .nonBlocking], mode: 0)
        defer { disk.close(directory) }
        let opened = try disk.stat(directory)
        answer.device = opened.device
        answer.fileSystem = try disk.fileSystem(directory).identity
        errors(directory)
        let file = try stampFile(in: directory, order)
        defer { disk.close(file) }
        answer.isFromMedium = try goDirect(file)
        let before = try read(file)
        let found = try sequence(of: before, order)
        let now = clock()
        let stamp = ProbeStamp(id: id, sequence: max(order.next, found &+ 1), written: now).bytes
        try write(stamp, to: file)
        try disk.setTimes(modified: now, of: nil, file)
        try disk.sync(file)
        answer.clock = clockOffset(try disk.stat(file).ctime, between: now, clock())
        if order.isThorough { try changeNames(in: directory) }
        guard try read(file) == stamp else { throw Stop(outcome: .lost) }
        answer.sequence = max(order.next, found &+ 1)
    }

    /// An image or a device is only read: its bytes are somebody's.
    private func readOnly(
        _ stat: Stat, _ order: ProbeOrder, _ answer: inout ProbeAnswer
    ) throws {
        guard stat.type == .file || stat.type == .blockDevice else {
            throw Stop(outcome: .foreign("it is a \(stat.type.word)"))
        }
        (answer.isOnlyRead, answer.isBlockDevice) = (true, stat.type == .blockDevice)
        answer.device = answer.isBlockDevice ? stat.special : stat.device
        let file = try disk.open(path: path, [.readOnly, .nonBlocking], mode: 0)
        defer { disk.close(file) }
        let size = answer.isBlockDevice ? try disk.deviceSize(file) : stat.size
        // No stamp lies in it: it is known by what it is. A device may come back by another number.
        let inode = answer.isBlockDevice ? 0 : stat.inode
        let place = answer.isBlockDevice ? 0 : try disk.fileSystem(file).identity
        answer.fileSystem = mixed([place, inode, UInt64(clamping: size)])
        answer.isFromMedium = try goDirect(file)
        let places = max(1, size >> 20)
        let buffer = PageBuffer()
        let offset = Int(order.next % UInt64(places)) << 20
        let count = try disk.read(file, into: buffer.place(Self.size), at: offset, .passing)
        guard count >= min(Self.size, size - offset) else { throw Stop(outcome: .lost) }
        answer.sequence = order.next
    }

    /// FNV-1a, word by word.
    private func mixed(_ words: [UInt64]) -> UInt64 {
        words.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ $1) &* 0x100_0000_01b3 }
    }

    /// By how many whole seconds at least the clock is ahead of ours that gave a time between two
    /// moments of ours; the kernel's own, which is wound on in steps, is not.
    private func clockOffset(
        _ time: Timestamp, between first: Timestamp, _ last: Timestamp
    ) -> Int64 {
        /// Whole seconds from one time to a later one.
        func seconds(from early: Timestamp, to late: Timestamp) -> Int64 {
            late.seconds &- early.seconds &- (late.nanoseconds < early.nanoseconds ? 1 : 0)
        }
        if time < first { return 0 &- seconds(from: time, to: first) }
        return time > last ? seconds(from: last, to: time) : 0
    }

    // MARK: The probe's file

    private var name: [UInt8] { Array(".resync-probe-\(id.prefix(8))".utf8) }

    private func stampFile(
        in directory: Descriptor, _ order: ProbeOrder
    ) throws -> Descriptor {
        let file: Descriptor
        do throws(DiskError) {
            file = try open(name, in: directory, [.readWrite, .noFollow, .nonBlocking])
        } catch {
            switch error.number {
            case ErrorNumber.noEntry where order.creates:
                return try create(in: directory)
            case ErrorNumber.noEntry:
                throw Stop(outcome: .foreign("the probe's file is not there"))
            case ErrorNumber.tooManyLinks, ErrorNumber.noSuchAddress, ErrorNumber.isDirectory:
                throw Stop(outcome: .foreign("the probe's file is something else"))
            default: throw error
            }
        }
        do {
            let stat = try disk.stat(file)
            let own = try disk.stat(directory)
            guard stat.type == .file, stat.links == 1, stat.device == own.device else {
                throw Stop(outcome: .foreign("the probe's file is something else"))
            }
            // A worker that was killed while it made the file has left it short.
            if stat.size < Self.size, order.acknowledged == 0 || order.creates {
                try fill(file)
            } else if stat.size != Self.size {
                throw Stop(outcome: .foreign("the probe's file has another size"))
            }
        } catch {
            disk.close(file)
            throw error
        }
        return file
    }

    private func open(
        _ name: [UInt8], in directory: Descriptor, _ flags: OpenFlags
    ) throws(DiskError) -> Descriptor {
        try withCString(name) { (name) throws(DiskError) in
            try disk.open(name, in: directory, flags, mode: 0o600)
        }
    }

    private func create(in directory: Descriptor) throws -> Descriptor {
        let file = try open(
            name, in: directory, [.readWrite, .create, .exclusive, .noFollow])
        do {
            try fill(file)
            try disk.sync(directory)
        } catch {
            disk.close(file)
            throw error
        }
        return file
    }

    private func fill(_ file: Descriptor) throws {
        try disk.writeAll(file, [UInt8](repeating: 0, count: Self.size), at: 0)
        try disk.sync(file)
    }

    /// Whether the file is now read past the page cache.
    private func goDirect(_ file: Descriptor) throws(DiskError) -> Bool {
        guard let alignment = try disk.directAlignment(file), alignment.offset <= Self.size,
            alignment.memory <= Self.size
        else { return false }
        try disk.setDirect(file)
        return true
    }

    private func read(_ file: Descriptor) throws(DiskError) -> [UInt8] {
        let buffer = PageBuffer()
        let place = buffer.place(Self.size)
        let count = try disk.read(file, into: place, at: 0, .cached)
        return withExtendedLifetime(buffer) { Array(place[..<count]) }
    }

    private func write(_ stamp: [UInt8], to file: Descriptor) throws(DiskError) {
        let buffer = PageBuffer()
        let place = buffer.place(Self.size)
        place.copyBytes(from: stamp)
        let count = try disk.write(file, UnsafeRawBufferPointer(place), at: 0)
        withExtendedLifetime(buffer) {}
        guard count == Self.size else { throw DiskError(.pwrite, ErrorNumber.inputOutput) }
    }

    /// The number of the stamp that lies there; 0 for a file just made.
    private func sequence(of bytes: [UInt8], _ order: ProbeOrder) throws(Stop) -> UInt64 {
        let isBlank = bytes.allSatisfy { $0 == 0 }
        if isBlank {
            guard order.acknowledged == 0 || order.creates else { throw Stop(outcome: .lost) }
            return 0
        }
        guard let stamp = ProbeStamp(bytes) else {
            // A person has vouched for what is there now.
            guard order.acknowledged == 0, order.creates else { throw Stop(outcome: .lost) }
            return 0
        }
        // No watcher ever counts so far; others may be able to write to the file.
        guard stamp.id == id, stamp.sequence < 1 << 62 else {
            throw Stop(outcome: .foreign("its stamp was made by another watcher"))
        }
        guard stamp.sequence >= order.acknowledged else { throw Stop(outcome: .lost) }
        return stamp.sequence
    }

    /// What changes a directory goes through the journal in another way than what changes a file.
    private func changeNames(in directory: Descriptor) throws(DiskError) {
        let old = name + Array(".name".utf8)
        let new = name + Array(".name2".utf8)
        // A worker that was killed in between has left one behind.
        for left in [old, new] {
            do throws(DiskError) {
                try remove(left, in: directory)
            } catch {
                guard error.number == ErrorNumber.noEntry else { throw error }
            }
        }
        let file = try open(old, in: directory, [.readWrite, .create, .exclusive, .noFollow])
        disk.close(file)
        try withCString(old) { (from) throws(DiskError) in
            try withCString(new) { (to) throws(DiskError) in
                try disk.rename(from, in: directory, to: to, in: directory, .replace)
            }
        }
        try disk.sync(directory)
        try remove(new, in: directory)
        try disk.sync(directory)
    }

    private func remove(_ name: [UInt8], in directory: Descriptor) throws(DiskError) {
        try withCString(name) { (name) throws(DiskError) in
            try disk.remove(name, in: directory, isDirectory: false)
        }
    }
}

/// What the probe's file holds: a few lines that a person can read, and a check over them.
struct ProbeStamp {
    let id: String
    let sequence: UInt64
    private let text: String

    init(id: String, sequence: UInt64, written: Timestamp) {
        self.id = id
        self.sequence = sequence
        text = """
            resync probe 1: a file of the storage watcher, written and read back all the time
            id \(id)
            sequence \(sequence)
            written \(written.utcText)

            """
    }

    /// Nil for what is no whole stamp.
    init?(_ bytes: [UInt8]) {
        guard bytes.count == Probe.size, let end = bytes.firstIndex(of: 0),
            let all = validText(Array(bytes[..<end])), bytes[end...].allSatisfy({ $0 == 0 })
        else { return nil }
        let lines = all.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count == 6, lines[0].hasPrefix("resync probe 1:"), lines[1].hasPrefix("id "),
            lines[2].hasPrefix("sequence "), let sequence = UInt64(lines[2].dropFirst(9))
        else { return nil }
        let text = lines[..<4].joined(separator: "\n") + "\n"
        guard lines[4] == "check \(check(text))" else { return nil }
        self.id = String(lines[1].dropFirst(3))
        self.sequence = sequence
        self.text = text
    }

    var bytes: [UInt8] {
        let all = Array((text + "check \(check(text))\n").utf8)
        return all + [UInt8](repeating: 0, count: Probe.size - all.count)
    }
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo): against chance, not against malice.
private func check(_ text: String) -> UInt64 {
    text.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
}

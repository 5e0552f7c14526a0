import CLinux
import Glibc
package import ResyncCore

/// What the whole machine says of its storage, as a watcher reads it again and again. None of these
/// calls goes to a store.
package final class MachineSignals {
    /// Kernel messages that are passed on at once; a flood is cut here, and what is left out is
    /// neither lost nor waited for: it is read in the next turn.
    private static let messageLimit = 512

    private let files: any KernelFiles
    private let trusted: Set<UInt64>
    private let mountTablePath: [UInt8]
    /// Whether the mount table is that of process 1, which outlives this one.
    package let seesAllMounts: Bool
    /// Where /etc/fstab says that something is to be mounted.
    package let mountPoints: [[UInt8]]
    private var log: Int32 = -1
    private var mounts: Int32 = -1
    private var nextSequence: UInt64?
    private var buffer = [UInt8](repeating: 0, count: KernelRecord.limit)
    /// The last table, and the text it was made from: it seldom changes, and may be long.
    private var lastTable: (text: [UInt8], table: MountTable)?
    /// What could not be seen from the start.
    private var blindness: [String] = []
    /// Kernel messages that were overwritten before they could be read.
    private var lost: UInt64 = 0
    /// What the kernel had said before: of each kind about each subject the newest.
    private var past: [Topic: KernelMessage] = [:]
    /// When the oldest of what it had said was written, if there was more once.
    private var pastBegin: UInt64?
    private var clock: MessageClock

    private struct Topic: Hashable {
        let what: String
        let subject: KernelSubject?
    }

    /// - Parameters:
    ///   - trusted: facilities whose messages are taken for the kernel's; only tests add to the
    ///     kernel's own, 0.
    ///   - looksBack: whether what the kernel had said before is wanted.
    package init(
        files: any KernelFiles = LinuxKernelFiles(), trusted: Set<UInt64> = [0],
        looksBack: Bool = false
    ) {
        self.files = files
        clock = MessageClock(at: .now, since: monotonicSeconds())
        self.trusted = trusted
        let fstab = try? files.read(Array("/etc/fstab".utf8), limit: 1 << 20)
        mountPoints = ResyncCore.mountPoints(ofFstab: fstab ?? [])
        // A service may run in a mount namespace of its own, in which everything is read-only.
        let first = Array("/proc/1/mountinfo".utf8)
        seesAllMounts = (try? files.read(first, limit: 1)) != nil
        if seesAllMounts {
            mountTablePath = first
        } else {
            mountTablePath = Array("/proc/self/mountinfo".utf8)
            blindness.append("mounts outside of this process's own view (/proc/1/mountinfo)")
        }
        mounts = openQuietly(mountTablePath)
        log = openQuietly(Array("/dev/kmsg".utf8))
        if log < 0 {
            blindness.append("kernel messages (/dev/kmsg)")
        } else if looksBack {
            lookBack()
        } else {
            _ = lseek(log, 0, SEEK_END)
        }
    }

    deinit {
        for descriptor in [log, mounts] where descriptor >= 0 { _ = Glibc.close(descriptor) }
    }

    /// What cannot be seen here, in sentences.
    package var unseen: [String] {
        guard lost > 0 else { return blindness }
        return blindness + ["\(lost) kernel messages that were overwritten before they were read"]
    }

    /// Adds what has something to say before the next turn.
    package func add(to waiter: inout Waiter) {
        if log >= 0 { waiter.add(log) }
        if mounts >= 0 { waiter.add(mountTable: mounts) }
    }

    package func mountTable() -> MountTable? {
        guard let text = try? files.read(mountTablePath, limit: 64 << 20) else { return nil }
        // Taking notice of a change means reading from the start on the descriptor waited for.
        if mounts >= 0 {
            var byte: UInt8 = 0
            _ = pread(mounts, &byte, 1, 0)
        }
        if let lastTable, lastTable.text == text { return lastTable.table }
        var table = MountTable(text)
        table.number = (lastTable?.table.number ?? 0) + 1
        lastTable = (text, table)
        return table
    }

    /// What the kernel has said since the last call.
    package func messages() -> [KernelMessage] {
        var found: [KernelMessage] = []
        for _ in 0..<Self.messageLimit {
            guard let record = nextRecord() else { break }
            if let message = KernelMessage(record, trusted: trusted) { found.append(message) }
        }
        return found
    }

    /// What the kernel said between a moment of this boot and the first call of `messages`: of each
    /// kind about each subject the newest, in the order of time.
    package func messages(since moment: Moment) -> [KernelMessage] {
        past.values.filter { clock.isLater($0.microseconds, than: moment) }
            .sorted { $0.microseconds < $1.microseconds }
    }

    /// Whether all that it said since then could still be read.
    package func remembers(_ moment: Moment) -> Bool {
        log >= 0 && pastBegin.map { !clock.isLater($0, than: moment) } ?? true
    }

    private func lookBack() {
        let mark = MessageClock.Mark()
        // Whatever is said meanwhile comes in too fast for a machine that shall be watched.
        for _ in 0..<(1 << 20) {
            let isFirst = nextSequence == nil
            guard let record = nextRecord() else { break }
            if isFirst, record.sequence > 0 { pastBegin = record.microseconds }
            if let exact = mark?.clock(record) { clock = exact }
            guard let message = KernelMessage(record, trusted: trusted) else { continue }
            past[Topic(what: message.what, subject: message.subject)] = message
        }
    }

    /// The next of the kernel's log; nil when there is none now.
    private func nextRecord() -> KernelRecord? {
        guard log >= 0 else { return nil }
        for _ in 0..<Self.messageLimit {
            let count = buffer.withUnsafeMutableBytes { read(log, $0.baseAddress, $0.count) }
            guard count > 0 else {
                // Overwritten before it was read: the next one shows how many were.
                if count < 0, errno == EPIPE || errno == EINTR { continue }
                return nil
            }
            guard let record = KernelRecord(buffer[..<count]) else { continue }
            if let nextSequence, record.sequence > nextSequence {
                lost &+= record.sequence - nextSequence
            }
            nextSequence = record.sequence &+ 1
            return record
        }
        return nil
    }
}

/// How the times of kernel messages lie to moments. They come from a clock of their own, which
/// nothing sets right: after months it may be minutes off.
struct MessageClock {
    /// Nanoseconds by which moments are ahead.
    private let ahead: Int64
    /// When both were compared, in nanoseconds; 0: only at boot, when they began.
    private let compared: Int64
    /// In how many nanoseconds it is off by one, at most.
    private static let drift: Int64 = 10_000
    /// Nanoseconds within which two events may be told in either order.
    private static let slack: Int64 = 2_000_000_000

    private init(ahead: Int64, compared: Int64) {
        (self.ahead, self.compared) = (ahead, compared)
    }

    private static func nanoseconds(_ microseconds: UInt64) -> Int64 {
        Int64(min(microseconds, 1 << 50)) * 1000
    }

    /// - Parameter monotonic: seconds since boot without those in which the machine slept, which
    ///   the kernel's messages do not count either.
    init(at now: Moment, since monotonic: Double) {
        let slept = Int64(clamping: now.boot) - Int64(max(0, min(monotonic, 1e9)) * 1e9)
        self.init(ahead: max(0, slept), compared: 0)
    }

    /// Whether a message may have been written later than that, in doubt so.
    func isLater(_ microseconds: UInt64, than moment: Moment) -> Bool {
        let written = Self.nanoseconds(microseconds) + ahead
        let seen = Int64(clamping: moment.boot)
        let latitude = Self.slack + abs(seen - compared) / Self.drift
        return written + latitude > seen
    }

    /// A line of our own in the log, by which both clocks are compared.
    struct Mark {
        private let written: Moment
        private let text: [UInt8]

        /// Nil where it may not be written.
        init?() {
            let file = openQuietly(Array("/dev/kmsg".utf8), O_WRONLY)
            guard file >= 0 else { return nil }
            defer { _ = Glibc.close(file) }
            written = .now
            text = Array("resync: begins to watch, \(written.boot) ns after boot".utf8)
            // As a program, and for information. Without its end it would not be shown yet.
            let line = Array("<14>".utf8) + text + [UInt8(ascii: "\n")]
            guard line.withUnsafeBytes({ Glibc.write(file, $0.baseAddress, $0.count) }) > 0 else {
                return nil
            }
        }

        func clock(_ record: KernelRecord) -> MessageClock? {
            guard record.text == text else { return nil }
            let now = Int64(clamping: written.boot)
            return MessageClock(
                ahead: now - MessageClock.nanoseconds(record.microseconds), compared: now)
        }
    }
}

private func openQuietly(_ path: [UInt8], _ access: Int32 = O_RDONLY) -> Int32 {
    (path + [0]).withUnsafeBufferPointer { bytes in
        guard let start = bytes.baseAddress else { return -1 }
        return UnsafeRawPointer(start).withMemoryRebound(to: CChar.self, capacity: bytes.count) {
            Glibc.open($0, access | O_NONBLOCK | O_CLOEXEC)
        }
    }
}

/// What the machine says of the devices that one store rests on.
package struct StoreSignals {
    private let path: [UInt8]
    private let files: any KernelFiles
    private var places: StorePlaces
    /// When they were looked up, in nanoseconds since boot.
    private var looked: UInt64
    /// Names that are none of its devices any more, and until when they count.
    private var former: [KernelSubject: UInt64] = [:]
    private var lastCounts: [[UInt8]: Activity] = [:]

    /// Nanoseconds for which a name counts once another one has taken its place: what happened to
    /// a path is told after it came back, and sessions are given up after minutes.
    private static let memory: UInt64 = 600_000_000_000

    private struct Activity {
        let completed: UInt64
        let since: Moment
    }

    /// - Parameters:
    ///   - path: the store's, without symlinks.
    ///   - device: the store itself, where it is a block device and known to be one.
    package init(
        of path: [UInt8], _ device: DeviceNumber?, in table: MountTable, at now: Moment,
        files: any KernelFiles = LinuxKernelFiles()
    ) {
        (self.path, self.files) = (path, files)
        places = storePlaces(of: path, device, table, files)
        looked = now.boot
    }

    /// Looks up anew what it rests on: paths to a device come back under other names.
    package mutating func renew(
        _ device: DeviceNumber?, in table: MountTable, at now: Moment
    ) {
        let found = storePlaces(of: path, device, table, files)
        for name in places.subjects { former[name] = now.boot &+ Self.memory }
        former = former.filter { $0.value > now.boot && !found.subjects.contains($0.key) }
        (places, looked) = (found, now.boot)
    }

    /// Has what devices are waited for counted from now on.
    package mutating func forgetActivity() { lastCounts = [:] }

    /// Seconds since that was looked up last.
    package func age(at now: Moment) -> Double {
        Double(now.boot &- min(looked, now.boot)) / 1e9
    }

    /// What cannot be seen of it.
    package var unseen: [String] { places.unseen }

    /// Whether a message about this is about the store.
    package func isAbout(_ subject: KernelSubject, at now: Moment) -> Bool {
        places.subjects.contains(subject) || former[subject].map { $0 > now.boot } ?? false
    }

    /// Another number each time the file system is mounted; nil where there is none. The kernel
    /// numbers what is in /sys in the order in which it comes, and no number comes again soon.
    package var instance: UInt64? { places.fileSystem.flatMap { files.number(of: $0) } }

    /// What the file system counts, and devices that do not answer.
    package mutating func observations(at now: Moment) -> [Observation] {
        var found: [Observation] = []
        if let count = places.errorCount {
            let text = try? files.read(count, limit: 64)
            found.append(.errorCount(text.flatMap { UInt64(digits: trimmed($0)) }))
        }
        let longest = places.devices.compactMap { stalled($0, now) }.max()
        if let longest { found.append(.deviceStalls(seconds: longest)) }
        return found
    }

    /// Seconds for which requests were in flight and none ended; 0 where all is well.
    private mutating func stalled(_ folder: [UInt8], _ now: Moment) -> Double? {
        guard let text = try? files.read(folder + Array("/stat".utf8), limit: 1024) else {
            return nil
        }
        let fields = text.split { $0 <= 0x20 }.map { UInt64(digits: $0) ?? 0 }
        // Documentation/block/stat.rst: reads, writes and requests in flight are 1, 5 and 9.
        guard fields.count >= 9 else { return nil }
        let completed = fields[0] &+ fields[4]
        guard fields[8] > 0 else {
            lastCounts[folder] = nil
            return 0
        }
        if let last = lastCounts[folder], last.completed == completed {
            return now.seconds(since: last.since)
        }
        lastCounts[folder] = Activity(completed: completed, since: now)
        return 0
    }
}

/// The reports of one file system's errors, as a worker has handed them over.
package final class ErrorReports {
    private let channel: Channel
    package var descriptor: Int32 { channel.descriptor }

    package init(_ descriptor: Int32) { channel = Channel(descriptor) }

    package func next() -> Observation? {
        var (number, count): (Int32, UInt32) = (0, 0)
        guard clinux_next_error(descriptor, &number, &count) == 1, count > 0 else { return nil }
        return .fileSystemError(number, count: count)
    }
}

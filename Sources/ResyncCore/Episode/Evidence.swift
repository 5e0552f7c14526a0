/// One instant on two clocks: the one that counts since boot, suspended time included, by which
/// everything is decided, and the wall clock, which a person reads and anybody may set.
package struct Moment: Sendable, Hashable {
    /// Nanoseconds since boot (CLOCK_BOOTTIME).
    package var boot: UInt64
    package var wall: Timestamp

    package init(boot: UInt64, wall: Timestamp) {
        self.boot = boot
        self.wall = wall
    }

    /// Seconds from an earlier moment of the same boot to this one; 0 where it was not earlier.
    package func seconds(since earlier: Moment) -> Double {
        boot > earlier.boot ? Double(boot - earlier.boot) / 1e9 : 0
    }

    /// So much earlier on both clocks.
    package func earlier(bySeconds seconds: Double) -> Moment {
        let nanoseconds = UInt64(max(0, min(seconds, 1e9)) * 1e9)
        return Moment(
            boot: boot > nanoseconds ? boot - nanoseconds : 0,
            wall: wall.adding(seconds: -Int64(max(0, min(seconds, 1e9)).rounded(.up))))
    }

    /// So much later on both clocks.
    package func later(bySeconds seconds: Double) -> Moment {
        let seconds = max(0, min(seconds, 1e9))
        return Moment(
            boot: boot &+ UInt64(seconds * 1e9), wall: wall.adding(seconds: Int64(seconds)))
    }

    /// What the wall clock showed or will show at another moment of the same boot, if nobody sets
    /// it in between.
    package func wall(at other: Moment) -> Timestamp {
        let billion: Int64 = 1_000_000_000
        let isLater = other.boot > boot
        let distance = isLater ? other.boot - boot : boot - other.boot
        let sign: Int64 = isLater ? 1 : -1
        var seconds = sign * Int64(distance / UInt64(billion))
        var nanoseconds = Int64(wall.nanoseconds) + sign * Int64(distance % UInt64(billion))
        if nanoseconds < 0 { (nanoseconds, seconds) = (nanoseconds + billion, seconds - 1) }
        if nanoseconds >= billion { (nanoseconds, seconds) = (nanoseconds - billion, seconds + 1) }
        var shown = wall.adding(seconds: seconds)
        shown.nanoseconds = UInt32(nanoseconds)
        return shown
    }
}

/// How a store is not safely writable. The later of two is the worse one: an episode's class only
/// ever rises.
package enum EpisodeClass: String, Sendable, CaseIterable, Comparable {
    /// Nobody watched it, and something about it changed meanwhile: what, is not known.
    case unwatched
    /// It answers, but takes longer than anything should.
    case slow
    /// Somebody made it read-only.
    case adminReadOnly = "admin-read-only"
    /// Its file system is frozen (fsfreeze, a snapshot): writers wait.
    case frozen
    /// It does not answer.
    case stall
    /// A write failed, or the kernel said that one did.
    case ioError = "io-error"
    /// The kernel writes to it no longer.
    case readOnly = "read-only"
    /// Its file system was shut down.
    case shutdown
    /// It is not there.
    case gone
    /// Something else is in its place.
    case wrongDevice = "wrong-device"
    /// It acknowledged what it did not keep.
    case lostWrite = "lost-write"

    package static func < (left: EpisodeClass, right: EpisodeClass) -> Bool {
        left.rank < right.rank
    }

    private var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }

    /// What it means, for a person.
    package var sentence: String {
        switch self {
        case .unwatched: "nobody watched it while something changed"
        case .slow: "it answers too slowly"
        case .adminReadOnly: "somebody made it read-only"
        case .frozen: "its file system is frozen"
        case .stall: "it does not answer"
        case .ioError: "writes fail"
        case .readOnly: "it turned read-only"
        case .shutdown: "its file system was shut down"
        case .gone: "it is not there"
        case .wrongDevice: "something else is in its place"
        case .lostWrite: "it lost an acknowledged write"
        }
    }
}

/// Who said something.
package enum SignalSource: String, Sendable, CaseIterable {
    case probe, mount, kernel, fanotify, counters, device, person
    /// A watcher that finds a store again.
    case watcher
}

/// What one signal said about one store.
package struct Evidence: Sendable, Hashable {
    package enum Strength: String, Sendable, CaseIterable {
        /// Opens an episode at once: opening is cheap.
        case hard
        /// Has the store probed each second.
        case soft
        /// Never changes a state.
        case context
    }

    /// Bytes of its text that are kept.
    package static let textLimit = 240

    package let source: SignalSource
    package let strength: Strength
    /// What hard evidence speaks for.
    package let kind: EpisodeClass?
    /// Short and stable: `jbd2.abort`, `mount.emergency_ro`, `probe.EROFS`.
    package let what: String
    /// In the words of the source: any byte may be in it.
    package let text: [UInt8]
    package let at: Moment

    package init(
        _ source: SignalSource, _ strength: Strength, _ kind: EpisodeClass? = nil, what: String,
        text: [UInt8] = [], at: Moment
    ) {
        self.source = source
        self.strength = strength
        self.kind = kind
        self.what = what
        self.text = Array(text.prefix(Self.textLimit))
        self.at = at
    }
}

extension Evidence {
    /// In one line, for a person.
    package var sentence: String {
        let text = escaped(self.text)
        let name = what.split(separator: ".", maxSplits: 1).last.map { String($0) } ?? what
        return switch source {
        case .kernel: "kernel: \(text)"
        case .mount: "mount table: \(name)"
        case .fanotify: "the file system reports an error: \(text)"
        case .counters: "the file system's count of errors: \(text)"
        case .device: "the device: \(text)"
        case .person: "a person: \(text)"
        case .watcher: "while nobody watched: \(text)"
        case .probe:
            switch what {
            case "probe.hung", "probe.waits": "the probe waits: \(text)"
            case "probe.slow": "the probe is slow\(text.isEmpty ? "" : ": \(text)")"
            case "probe.full": "no room for the probe"
            case "probe.worker-died": "the process that probes has died"
            case "probe.lost", "probe.foreign": "the probe: \(text)"
            default: "the probe fails: \(text) (\(name))"
            }
        }
    }

    /// What a message of the kernel is worth, by its stable name (`KernelTrouble.what`).
    package static func weight(
        ofKernel what: String
    ) -> (strength: Strength, kind: EpisodeClass?) {
        switch what {
        case "ext4.ro", "btrfs.ro": (.hard, .readOnly)
        case "ext4.error", "ext4.sbwrite", "jbd2.abort", "jbd2.error", "xfs.logerr",
            "xfs.corrupt", "btrfs.abort", "iscsi.lost":
            (.hard, .ioError)
        case "ext4.shutdown", "xfs.shutdown": (.hard, .shutdown)
        case "ext4.lostdata": (.hard, .lostWrite)
        case "scsi.reject": (.hard, .gone)
        case let what where what.hasPrefix("note."): (.context, nil)
        default: (.soft, nil)
        }
    }
}

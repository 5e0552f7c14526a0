package import ResyncCore

/// What is wrong with a virtual store, and from when to when. All times of a trace are milliseconds
/// since boot.
package struct TraceFault {
    package enum Kind: CaseIterable {
        case errors, stall, frozen, emergency, readOnly, administered, shutdown, gone, replaced
        case lies
        /// A lost session: all stands still, then fails, then turns read-only.
        case session
        /// It answers, but slowly.
        case slow
    }

    package let kind: Kind
    package let start: Int
    package let end: Int
    /// When a lost session begins to fail, and when its file system turns read-only.
    let failing: Int
    let readOnly: Int
    /// Whether the mount table shows it, as not all kernels and file systems do.
    let isShown: Bool
    /// When it looks writable because somebody remounted it.
    package let fakes: [Range<Int>]

    package func isActive(_ time: Int) -> Bool { start <= time && time < end }

    func state(_ time: Int) -> TraceState {
        guard isActive(time) else { return .well }
        return switch kind {
        case .errors: .failing(.failed(errorNumber: 5, call: "pwrite"))
        case .stall: .stuck(.device)
        case .frozen: .stuck(.frozen)
        case .emergency, .readOnly, .administered:
            .failing(.failed(errorNumber: 30, call: "openat"))
        case .shutdown: .failing(.failed(errorNumber: 5, call: "stat"))
        case .gone: .failing(.failed(errorNumber: start % 2 == 0 ? 19 : 107, call: "openat"))
        case .replaced: .failing(.foreign("another store's"))
        case .lies: .failing(.lost)
        case .session where time < failing: .stuck(.device)
        case .session: .failing(.failed(errorNumber: time < readOnly ? 5 : 30, call: "fsync"))
        case .slow: .slow
        }
    }

    func condition(_ time: Int) -> MountCondition {
        guard isActive(time), !fakes.contains(where: { $0.contains(time) }) else {
            return .writable
        }
        return switch kind {
        case .errors, .stall, .frozen, .lies, .slow: .writable
        case .emergency: isShown ? .emergencyReadOnly : .writable
        case .readOnly: .readOnly
        case .administered: isShown ? .readOnlyMount : .readOnly
        case .shutdown: isShown ? .shutdown : .writable
        case .gone: .gone
        case .replaced: .otherDevice
        case .session: isShown && time >= readOnly ? .emergencyReadOnly : .writable
        }
    }

    /// When the file system counts an error; nil where it counts none.
    var counted: Int? {
        switch kind {
        case .emergency: start
        case .session: readOnly < end ? readOnly : nil
        default: nil
        }
    }

    /// What the kernel writes and when.
    var messages: [(at: Int, what: String)] {
        var messages: [(at: Int, what: String)] = []
        switch kind {
        case .errors: messages.append((start, "blk.ioerr"))
        case .emergency:
            messages += [(start, "ext4.error"), (start, "jbd2.abort"), (start + 5, "ext4.ro")]
        case .readOnly: messages.append((start, "btrfs.ro"))
        case .administered: messages.append((start, "note.remounted-ro"))
        case .shutdown: messages.append((start, "xfs.shutdown"))
        case .gone: messages.append((start, "note.unmounted"))
        case .session:
            messages += [(start + 5000, "iscsi.ping"), (failing, "iscsi.lost")]
            messages += [(failing, "jbd2.abort"), (readOnly, "ext4.ro")]
        case .stall, .frozen, .replaced, .lies, .slow: break
        }
        messages += fakes.map { ($0.lowerBound, "note.remounted-rw") }
        messages.removeAll { $0.at >= end }
        messages.append((end, "note.mounted"))
        return messages
    }

    /// Whether a signal that is not the probe tells of it at once, and as hard evidence.
    package func isTold(_ sources: TraceSources) -> Bool {
        switch kind {
        case .emergency:
            sources.kernel || sources.fanotify || sources.counters || sources.mount && isShown
        case .readOnly: sources.kernel || sources.mount
        case .administered, .gone, .replaced: sources.mount
        case .shutdown: sources.kernel || sources.mount && isShown
        case .errors, .stall, .frozen, .lies, .session, .slow: false
        }
    }
}

package enum TraceState {
    case well
    case stuck(ProbeWait)
    case failing(ProbeOutcome)
    case slow
}

/// Which signals are to be had beside the probe.
package struct TraceSources {
    var mount = true
    var kernel = true
    var fanotify = true
    var counters = true
    var device = true
}

/// One random story of a store.
package struct Trace: CustomStringConvertible {
    package private(set) var faults: [TraceFault] = []
    package private(set) var sources = TraceSources()
    /// Messages that have nothing to do with a fault.
    private(set) var noise: [(at: Int, what: String)] = []
    /// When there is no room for a probe.
    package private(set) var full: [Range<Int>] = []
    /// When the wall clock is set, and by how many seconds.
    package var jumps: [(at: Int, seconds: Int64)] = []
    /// When the watcher ends and starts again.
    package private(set) var restarts: [Int] = []
    /// Milliseconds behind the full second at which signals are looked at.
    private(set) var tickOffset = 0
    private(set) var end = 0
    package let seed: UInt64

    package init(seed: UInt64) {
        self.seed = seed
        var random = Seed(seed)
        var time = 20_000 + random.below(60_000)
        for _ in 0...random.below(4) {
            let fault = Self.fault(at: time, &random)
            faults.append(fault)
            time = fault.end + Self.gap(&random)
        }
        sources = TraceSources(
            mount: random.below(3) > 0, kernel: random.below(3) > 0,
            fanotify: random.below(3) > 0, counters: random.below(3) > 0,
            device: random.below(3) > 0)
        tickOffset = random.below(1000)
        let quiet = (faults.last?.end ?? 0) + 60_000
        for _ in 0..<max(0, random.below(8) - 3) {
            let what = ["blk.ioerr", "iscsi.conn", "nfs.stall", "note.link-down", "note.topology"]
            noise.append((random.below(quiet), what[random.below(what.count)]))
        }
        if random.below(5) == 0 {
            let start = random.below(quiet)
            full.append(start..<(start + 1 + random.below(60_000)))
        }
        if random.below(6) == 0 { restarts.append(random.below(quiet)) }
        for _ in 0..<max(0, random.below(4) - 1) {
            let tenYears: Int64 = 315_576_000
            jumps.append((random.below(quiet), random.below(2) == 0 ? tenYears : -tenYears))
        }
        jumps.sort { $0.at < $1.at }
        let last = max(quiet, full.last?.upperBound ?? 0)
        end = last + 960_000
    }

    private static func fault(at start: Int, _ random: inout Seed) -> TraceFault {
        let kind = TraceFault.Kind.allCases[random.below(TraceFault.Kind.allCases.count)]
        let length =
            switch random.below(3) {
            case 0: 200 + random.below(5000)
            case 1: 5000 + random.below(55_000)
            default: 60_000 + random.below(200_000)
            }
        let failing = start + random.below(length)
        var fakes: [Range<Int>] = []
        while random.below(3) == 0 {
            let from = (fakes.last?.upperBound ?? start) + 1500 + random.below(30_000)
            fakes.append(from..<(from + 500 + random.below(120_000)))
        }
        return TraceFault(
            kind: kind, start: start, end: start + length, failing: failing,
            readOnly: failing + random.below(length), isShown: random.below(2) == 0,
            fakes: fakes.filter { $0.upperBound < start + length })
    }

    private static func gap(_ random: inout Seed) -> Int {
        switch random.below(3) {
        case 0: 500 + random.below(55_000)
        case 1: 60_000 + random.below(240_000)
        default: 900_000 + random.below(600_000)
        }
    }

    package func wall(_ time: Int) -> Timestamp {
        let set = jumps.filter { $0.at <= time }.map(\.seconds).reduce(0, +)
        return Timestamp(
            seconds: 1_790_000_000 + set + Int64(time / 1000),
            nanoseconds: UInt32(time % 1000) * 1_000_000)
    }

    func moment(_ time: Int) -> Moment {
        Moment(boot: UInt64(time) * 1_000_000, wall: wall(time))
    }

    func condition(_ time: Int) -> MountCondition {
        faults.first { $0.isActive(time) }?.condition(time) ?? .writable
    }

    func state(_ time: Int) -> TraceState {
        faults.first { $0.isActive(time) }?.state(time) ?? .well
    }

    package var description: String {
        let told = faults.map { fault in
            var text = "\(fault.kind) \(fault.start)..<\(fault.end)"
            if fault.kind == .session { text += " fails \(fault.failing) ro \(fault.readOnly)" }
            return fault.fakes.isEmpty ? text : text + " fakes \(fault.fakes)"
        }
        return "\(told); \(sources); noise \(noise), full \(full), restarts \(restarts), "
            + "jumps \(jumps), ticks at \(tickOffset)"
    }
}

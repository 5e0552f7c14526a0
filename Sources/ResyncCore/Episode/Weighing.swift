/// Turns what the signals of one store say into evidence, with a memory for what explains what.
struct Weighing: Sendable {
    private let settings: DetectorSettings
    private(set) var condition: MountCondition?
    private(set) var errorCount: UInt64?
    private var hangTold: ProbeWait?
    /// Since when a probe that met a frozen file system waits for something else.
    private var unfrozen: Moment?
    private var isStallTold = false
    private var remounted: Moment?
    private var kernelErred: Moment?
    /// Whether the file system became read-only right after a remount by hand.
    private var wasRemounted = false

    /// - Parameter errorCount: as it was before the watcher ended.
    init(_ settings: DetectorSettings, errorCount: UInt64?) {
        self.settings = settings
        self.errorCount = errorCount
    }

    mutating func probeEnded() {
        hangTold = nil
        unfrozen = nil
    }

    /// Has what is still wrong told anew.
    mutating func forget() {
        condition = nil
        hangTold = nil
        isStallTold = false
    }

    /// What is counted next is not held against anything.
    mutating func forgetCount() { errorCount = nil }

    /// - Parameter isCalm: whether a probe that waits is news.
    mutating func evidence(
        of observation: Observation, isCalm: Bool, at now: Moment
    ) -> Evidence? {
        switch observation {
        case .probe(let outcome, _):
            probeEnded()
            return weigh(outcome, now)
        case .probeHangs(let seconds, let wait):
            return hang(seconds, wait, isCalm, now)
        case .mount(let new):
            return mountChanged(to: new, now)
        case .kernel(let what, let text):
            let (strength, kind) = Evidence.weight(ofKernel: what)
            if what == "note.remounted-ro" { remounted = now }
            if strength == .hard { erred(now) }
            return Evidence(.kernel, strength, kind, what: what, text: text, at: now)
        case .fileSystemError(let number, let count):
            erred(now)
            return Evidence(
                .fanotify, .hard, .ioError, what: "fanotify.error",
                text: Array("error \(number.magnitude), \(count) in all".utf8), at: now)
        case .errorCount(let count):
            return counted(count, now)
        case .deviceStalls(let seconds):
            guard seconds >= settings.slow else {
                isStallTold = false
                return nil
            }
            guard !isStallTold else { return nil }
            isStallTold = true
            return Evidence(
                .device, .soft, what: "device.stall",
                text: Array("no request ended for \(decimals(seconds, 1)) s".utf8), at: now)
        }
    }

    private func weigh(_ outcome: ProbeOutcome, _ now: Moment) -> Evidence? {
        switch outcome {
        case .verified, .full: nil
        case .lost:
            Evidence(
                .probe, .hard, .lostWrite, what: "probe.lost",
                text: Array("what it acknowledged was not there".utf8), at: now)
        case .foreign(let reason):
            // Where the store is not mounted, nothing can be in its place.
            Evidence(
                .probe, .hard, condition == .gone ? .gone : .wrongDevice, what: "probe.foreign",
                text: Array(reason.utf8), at: now)
        case .workerDied:
            Evidence(.probe, .soft, what: "probe.worker-died", at: now)
        case .failed(let number, let call):
            failure(number, call, now)
        }
    }

    private func failure(_ number: Int32, _ call: String, _ now: Moment) -> Evidence {
        let (strength, kind): (Evidence.Strength, EpisodeClass?) =
            switch number {
            case ProbeErrors.readOnly: (.hard, isAdministered(now) ? .adminReadOnly : .readOnly)
            case let number where ProbeErrors.gone.contains(number): (.hard, .gone)
            case let number where ProbeErrors.replaced.contains(number): (.hard, .wrongDevice)
            // Who may not write, or cannot be served, has learned nothing about the storage.
            case let number where ProbeErrors.refused.contains(number): (.context, nil)
            case let number where ProbeErrors.wanting.contains(number): (.soft, nil)
            default: (.hard, .ioError)
            }
        return Evidence(
            .probe, strength, kind, what: "probe.\(call)",
            text: Array(ProbeErrors.name(number).utf8),
            at: now)
    }

    private mutating func erred(_ now: Moment) {
        kernelErred = now
        wasRemounted = false
    }

    private func isAdministered(_ now: Moment) -> Bool {
        switch condition {
        case .readOnlyMount: true
        case .readOnly: wasRemounted || isRemounted(now)
        // The probe may meet it before the mount table is read again.
        case .writable, nil: isRemounted(now)
        case .emergencyReadOnly, .shutdown, .gone, .otherDevice, .unknown: false
        }
    }

    /// Whether a remount by hand explains what is read-only now: it was just made, and the kernel
    /// told of no error shortly before it, nor since.
    func isRemounted(_ now: Moment) -> Bool {
        guard let remounted, now.seconds(since: remounted) <= settings.remountLimit else {
            return false
        }
        guard let kernelErred else { return true }
        return remounted.seconds(since: kernelErred) > settings.remountLimit
    }

    private mutating func hang(
        _ seconds: Double, _ wait: ProbeWait, _ isCalm: Bool, _ now: Moment
    ) -> Evidence? {
        let text = Array("no answer for \(decimals(seconds, 1)) s".utf8)
        guard seconds >= settings.hung else {
            guard seconds >= settings.slow, isCalm else { return nil }
            return Evidence(.probe, .soft, what: "probe.waits", text: text, at: now)
        }
        // Told once, and again if it waits for something else for long: one that was just thawed
        // has only not ended yet.
        if wait == .frozen { unfrozen = nil }
        if hangTold == .frozen, wait == .device {
            unfrozen = unfrozen ?? now
            guard now.seconds(since: unfrozen ?? now) >= settings.hung else { return nil }
        } else if hangTold != nil {
            return nil
        }
        hangTold = wait
        return Evidence(
            .probe, .hard, wait == .frozen ? .frozen : .stall, what: "probe.hung", text: text,
            at: now)
    }

    private mutating func mountChanged(to new: MountCondition, _ now: Moment) -> Evidence? {
        // Not to know is no change.
        guard new != .unknown, new != condition else { return nil }
        let was = condition
        condition = new
        wasRemounted = new == .readOnly && isRemounted(now)
        let kind: EpisodeClass? =
            switch new {
            case .writable, .unknown: nil
            case .readOnlyMount: .adminReadOnly
            case .readOnly: wasRemounted ? .adminReadOnly : .readOnly
            case .emergencyReadOnly: .readOnly
            case .shutdown: .shutdown
            case .gone: .gone
            case .otherDevice: .wrongDevice
            }
        if kind == nil, was == nil { return nil }
        return Evidence(
            .mount, kind == nil ? .context : .hard, kind, what: "mount.\(new.rawValue)", at: now)
    }

    /// While the file system is not mounted there is no count, and that is when it is checked: the
    /// last one is remembered.
    private mutating func counted(_ count: UInt64?, _ now: Moment) -> Evidence? {
        guard let count else { return nil }
        let before = errorCount
        errorCount = count
        guard let before, count != before else { return nil }
        if count < before {
            return Evidence(
                .counters, .context, what: "counters.fell",
                text: Array("from \(before) to \(count): checked".utf8), at: now)
        }
        erred(now)
        return Evidence(
            .counters, .hard, .ioError, what: "counters.rose",
            text: Array("from \(before) to \(count)".utf8), at: now)
    }
}

extension ProbeOutcome {
    /// Whether there was no room for it, whichever call found that.
    var isFull: Bool {
        switch self {
        case .full: true
        case .failed(let number, _): ProbeErrors.noRoom.contains(number)
        case .verified, .lost, .foreign, .workerDied: false
        }
    }
}

/// Error numbers of Linux, by what they say about a store's health.
private enum ProbeErrors {
    static let readOnly: Int32 = 30
    /// ENOENT, ENXIO, ENODEV, ENOTCONN, ESTALE, ESHUTDOWN, EHOSTDOWN, EHOSTUNREACH.
    static let gone: Set<Int32> = [2, 6, 19, 107, 116, 108, 112, 113]
    /// ENOTDIR, ELOOP.
    static let replaced: Set<Int32> = [20, 40]
    /// ENOSPC, EDQUOT.
    static let noRoom: Set<Int32> = [28, 122]
    /// EPERM, EACCES.
    static let refused: Set<Int32> = [1, 13]
    /// EINTR, EAGAIN, ENOMEM, ENFILE, EMFILE.
    static let wanting: Set<Int32> = [4, 11, 12, 23, 24]

    private static let names: [Int32: String] = [
        1: "EPERM", 2: "ENOENT", 4: "EINTR", 5: "EIO", 6: "ENXIO", 11: "EAGAIN", 12: "ENOMEM",
        13: "EACCES", 16: "EBUSY", 19: "ENODEV", 20: "ENOTDIR", 22: "EINVAL", 23: "ENFILE",
        24: "EMFILE", 30: "EROFS", 40: "ELOOP", 61: "ENODATA", 107: "ENOTCONN", 108: "ESHUTDOWN",
        110: "ETIMEDOUT", 112: "EHOSTDOWN", 113: "EHOSTUNREACH", 116: "ESTALE", 117: "EUCLEAN",
        121: "EREMOTEIO", 123: "ENOMEDIUM",
    ]

    static func name(_ number: Int32) -> String { names[number] ?? "errno \(number)" }
}

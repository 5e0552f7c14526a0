/// What a watcher has to say of one store.
package struct StoreStatus: Sendable, Hashable {
    package enum State: UInt8, Sendable, CaseIterable {
        /// No probe of this watcher has found it well yet.
        case unknown
        case ok, suspect, down, recovering
        /// Not well now, which was announced.
        case maintenance

        package var word: String {
            switch self {
            case .unknown: "unknown"
            case .ok: "ok"
            case .suspect: "suspect"
            case .down: "down"
            case .recovering: "recovering"
            case .maintenance: "in maintenance"
            }
        }
    }

    package let name: String
    package let path: [UInt8]
    package var state = State.unknown
    /// Since when it is so.
    package var since: Timestamp?
    package var kind: EpisodeClass?
    package var episode: String?
    /// The newest evidence of the episode or the suspicion, in words.
    package var evidence = ""
    /// The start of the last verified probe.
    package var lastGood: Moment?
    /// Seconds that it took.
    package var probeTime: Double?
    /// Seconds for which the probe that is under way has not ended.
    package var waiting: Double?
    /// Seconds for which all must still be well before the episode is closed.
    package var holdLeft: Double?
    package var isFull = false
    /// Whether it is watched without writing to it.
    package var isReadOnlyProbe = false
    package var isSuppressed = false
    package var maintenanceUntil: Timestamp?
    /// Signals that cannot be seen, in sentences.
    package var unseen: [String] = []
    /// By which the probe's file is known. Not told to others.
    package var probeID = ""
    /// The stamp that was acknowledged last, and the file system it lies on.
    package var sequence: UInt64 = 0
    package var fileSystem: UInt64?
    package var penalty = 0.0
    /// As a sight has it.
    package var clock: Int64 = 0
    package var errors = ErrorCount()
    /// The newest episodes that this watcher noted, also that nobody watched it before: what of
    /// them is not in the ledger could not be written down yet.
    package var recent: [String] = []
    /// How many of them are kept in mind.
    package static let recentLimit = 16
    /// Seconds by which that was behind, at most, since before its episode. Not told to others.
    package var behind = 0.0
    /// How it was seen last; of an earlier watcher until this one has looked. Not told to others.
    package var sight: StoreSight?

    package init(name: String, path: [UInt8]) {
        self.name = name
        self.path = path
    }

    /// Whether the clock of its files is off by more than files' times are anyway.
    package var hasOtherClock: Bool { clock.magnitude > Suspicion.coarseness.magnitude }

    private static let textLimit = 4096
    private static let listLimit = 64
    /// Bytes of a message that says all of it.
    package static let messageLimit = 16 << 10

    /// As many of the signals that cannot be seen as there is room for.
    private var shownUnseen: [String] {
        let others = [name.utf8.count, path.count, min(evidence.utf8.count, Self.textLimit)]
        // The rest has a bound of its own.
        var room = Self.messageLimit - 2048 - others.reduce(0, +)
        var shown: [String] = []
        for sentence in unseen {
            room -= min(sentence.utf8.count, Self.textLimit) + 8
            guard room >= 0, shown.count < Self.listLimit - 1 else {
                return shown + ["\(unseen.count - shown.count) more, which are not told here"]
            }
            shown.append(sentence)
        }
        return shown
    }

    package var bytes: [UInt8] {
        var writer = ByteWriter()
        writer.string(Array(name.utf8))
        writer.string(path)
        writer.byte(state.rawValue)
        writer.time(since)
        writer.string(Array((kind?.rawValue ?? "").utf8))
        writer.string(Array((episode ?? "").utf8))
        writer.string(Array(evidence.utf8.prefix(Self.textLimit)))
        writer.time(lastGood?.wall)
        writer.number(lastGood?.boot ?? 0)
        for value in [probeTime, waiting, holdLeft, penalty] {
            writer.fixed64((value ?? .nan).bitPattern)
        }
        writer.byte((isFull ? 1 : 0) | (isReadOnlyProbe ? 2 : 0) | (isSuppressed ? 4 : 0))
        writer.time(maintenanceUntil)
        let shown = shownUnseen
        writer.number(shown.count)
        for sentence in shown { writer.string(Array(sentence.utf8.prefix(Self.textLimit))) }
        // Here a watcher told of one alone.
        writer.string([])
        writer.byte(errors.count == nil ? 0 : 1)
        if let count = errors.count {
            writer.number(count)
            writer.time(errors.since)
            writer.number(errors.accepted)
        }
        writer.fixed64(UInt64(bitPattern: clock))
        writer.number(recent.count)
        for id in recent { writer.string(Array(id.utf8)) }
        return writer.bytes
    }

    package init(_ bytes: [UInt8]) throws(FormatError) {
        var reader = ByteReader(bytes)
        self.init(
            name: try reader.text(limit: 256), path: try reader.string(limit: Self.textLimit))
        guard let state = State(rawValue: try reader.byte()) else {
            throw FormatError("has an unknown state", at: reader.at)
        }
        self.state = state
        since = try reader.optionalTime()
        kind = EpisodeClass(rawValue: try reader.text(limit: 64))
        let id = try reader.text(limit: 256)
        episode = id.isEmpty ? nil : id
        evidence = try reader.text(limit: Self.textLimit)
        let (good, boot) = (try reader.optionalTime(), try reader.number())
        lastGood = good.map { Moment(boot: boot, wall: $0) }
        var numbers: [Double?] = []
        for _ in 0..<4 {
            let number = Double(bitPattern: try reader.fixed64())
            numbers.append(number.isFinite ? number : nil)
        }
        (probeTime, waiting, holdLeft) = (numbers[0], numbers[1], numbers[2])
        penalty = numbers[3] ?? 0
        let flags = try reader.byte()
        (isFull, isReadOnlyProbe, isSuppressed) = (flags & 1 > 0, flags & 2 > 0, flags & 4 > 0)
        maintenanceUntil = try reader.optionalTime()
        for _ in 0..<(try reader.int(limit: Self.listLimit)) {
            unseen.append(try reader.text(limit: Self.textLimit))
        }
        // A watcher that was started before the program was replaced knows nothing of the rest.
        guard !reader.isAtEnd else { return }
        let gap = try reader.text(limit: 256)
        if !gap.isEmpty { recent.append(gap) }
        if try reader.byte() > 0 {
            errors.count = try reader.number()
            errors.since = try reader.optionalTime()
            errors.accepted = try reader.number()
        }
        guard !reader.isAtEnd else { return }
        clock = Int64(bitPattern: try reader.fixed64())
        guard !reader.isAtEnd else { return }
        for _ in 0..<(try reader.int(limit: Self.recentLimit)) {
            recent.append(try reader.text(limit: 256))
        }
    }

    package var jsonLine: JSONLine {
        var line = JSONLine(type: "store")
        line.field("store", name)
        line.path(RelativePath(path))
        line.field("state", state.word)
        if let since { line.field("since", since.utcText) }
        if let kind { line.field("class", kind.rawValue) }
        if let episode { line.field("episode", episode) }
        if !evidence.isEmpty { line.field("evidence", evidence) }
        if let lastGood { line.field("last_good", lastGood.wall.utcText) }
        if let probeTime { line.field("probe_s", probeTime) }
        if let waiting { line.field("probe_waits_s", waiting) }
        if let holdLeft { line.field("hold_left_s", holdLeft) }
        if isFull { line.field("full", true) }
        if isReadOnlyProbe { line.field("write_probe", false) }
        if isSuppressed { line.field("suppressed", true) }
        if let maintenanceUntil { line.field("maintenance_until", maintenanceUntil.utcText) }
        if let count = errors.count {
            line.field("file_system_errors", Int(clamping: count))
            line.field("accepted_errors", Int(clamping: errors.accepted))
        }
        if hasOtherClock { line.field("clock_ahead_s", Int(clamping: clock)) }
        if !unseen.isEmpty { line.field("unseen", unseen) }
        return line
    }
}

extension ByteWriter {
    mutating func time(_ value: Timestamp?) {
        byte(value == nil ? 0 : 1)
        if let value { time(value) }
    }
}

extension ByteReader {
    mutating func optionalTime() throws(FormatError) -> Timestamp? {
        try byte() == 0 ? nil : try time()
    }

    mutating func text(limit: Int) throws(FormatError) -> String {
        // What is not text is shown as if it were escaped: it comes from ourselves.
        let bytes = try string(limit: limit)
        return validText(bytes) ?? escaped(bytes)
    }
}

/// What a watcher is asked through its socket.
package enum WatchOrder: Sendable, Hashable {
    case status
    /// Seconds for which it has been so.
    case open(store: String, EpisodeClass, seconds: Double, note: String)
    case close(episode: String, note: String)
    /// Seconds; 0 ends it.
    case maintenance(store: String, seconds: Double)
    /// All errors that its file system counts by now.
    case accept(store: String, note: String)

    package var text: String {
        switch self {
        case .status: "status"
        case .open(let store, let kind, let seconds, let note):
            "open \(store) \(kind.rawValue) \(seconds) \(note)"
        case .close(let episode, let note): "close \(episode) \(note)"
        case .maintenance(let store, let seconds): "maintenance \(store) \(seconds)"
        case .accept(let store, let note): "accept \(store) \(note)"
        }
    }

    package init?(_ text: String) {
        let words = text.split(separator: " ", maxSplits: 4, omittingEmptySubsequences: false)
            .map { String($0) }
        switch words[0] {
        case "status" where words.count == 1: self = .status
        case "open" where words.count == 5:
            guard let kind = EpisodeClass(rawValue: words[2]), let seconds = Double(words[3]),
                (0...1e8).contains(seconds)
            else { return nil }
            self = .open(store: words[1], kind, seconds: seconds, note: words[4])
        case "close" where words.count >= 3:
            self = .close(episode: words[1], note: words[2...].joined(separator: " "))
        case "accept" where words.count >= 3:
            self = .accept(store: words[1], note: words[2...].joined(separator: " "))
        case "maintenance" where words.count == 3:
            guard let seconds = Double(words[2]), (0...1e7).contains(seconds) else { return nil }
            self = .maintenance(store: words[1], seconds: seconds)
        default: return nil
        }
    }
}

/// Where a watcher tells what happens. Nothing in it may wait for storage.
package protocol WatchSink: AnyObject {
    func happened(_ event: DetectorEvent, _ store: StoreStatus, at now: Moment)
    /// At least each ten seconds, and after whatever happened.
    func beat(_ stores: [StoreStatus], at now: Moment)
    func observed(_ line: Recording.Line)
}

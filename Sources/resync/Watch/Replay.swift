import ResyncCore
import ResyncStorage

/// What a watcher would have made of a recording, with the times it is given now.
struct Replay {
    private static let sizeLimit = 1 << 30
    /// Nanoseconds between two looks at the clock, as a watcher has them.
    private static let tick: UInt64 = 1_000_000_000

    private let lines: [Recording.Line]
    private let settings: DetectorSettings
    private var detectors: [String: Detector] = [:]
    private var chronicle = Chronicle()

    init(_ path: [UInt8], _ settings: DetectorSettings) throws {
        self.settings = settings
        let bytes = try wholeFile(path, limit: Self.sizeLimit, .usage)
        guard let text = validText(bytes) else {
            throw CommandError("'\(escaped(path))' is no recording", .usage)
        }
        let (lines, firstBad) = Recording.lines(text)
        if let firstBad {
            throw CommandError("'\(escaped(path))' is no recording: line \(firstBad)", .usage)
        }
        self.lines = lines
    }

    func run() throws {
        var replay = self
        try replay.play()
    }

    private mutating func play() throws {
        var clock: Moment?
        for line in lines {
            // What was left out of the recording said the same as before; time went on.
            while let now = clock, now.boot < line.at.boot, line.at.boot - now.boot > Self.tick {
                let next = Moment(boot: now.boot + Self.tick, wall: now.wall.adding(seconds: 1))
                clock = next
                for store in detectors.keys.sorted() {
                    try tell(detectors[store]?.tick(at: next) ?? [], store, next)
                }
            }
            clock = line.at
            let fresh = Detector(
                store: line.store, bootID: "replay", settings: settings,
                newID: { "e\($0.boot)" })
            let events = detectors[line.store, default: fresh]
                .observe(line.observation, at: line.at)
            try tell(events, line.store, line.at)
        }
    }

    private mutating func tell(
        _ events: [DetectorEvent], _ store: String, _ now: Moment
    ) throws {
        for event in events {
            let told = chronicle.take(event) { "i\($0.boot)" }
            detectors[store]?.place(as: told)
            try print(told, store, now)
        }
    }

    private func print(_ event: DetectorEvent, _ store: String, _ now: Moment) throws {
        var status = StoreStatus(name: store, path: [])
        status.evidence = detectors[store]?.lastEvidence?.sentence ?? ""
        status.holdLeft = detectors[store]?.holdDown
        try StandardOutput.shared.write(
            WatchRecorder.line(event, status, now, margin: writeBackMargin()))
    }
}

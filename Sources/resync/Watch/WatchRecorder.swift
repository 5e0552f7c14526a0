import ResyncCore
import ResyncEngine
import ResyncLedger
import ResyncStorage

/// What a watcher leaves behind: a line for each thing that happens, the ledger, notifications, a
/// heartbeat. All that may wait for a disk is done on a queue of its own, and what could not be
/// kept is tried again with the next beat.
final class WatchRecorder: WatchSink {
    /// Seconds between two records of the stores in the ledger.
    private static let storeInterval: UInt64 = 30_000_000_000

    private let ledger: LedgerQueue
    private let notifier: Notifier?
    private var notices = EpisodeNotices()
    private let verifications: Verifications?
    private let repeats: Double?
    /// Of each store: the largest that there was.
    private var margins: [String: Double] = [:]
    private let bootID: String
    private let recording: WatchLines?
    private var lastStores: UInt64 = 0
    private var latest: [StoreStatus] = []
    private var open: [String: (record: EpisodeRecord, told: UInt64)] = [:]

    init(
        _ ledger: Ledger, in folder: Folder, _ notification: Configuration.Notification?,
        _ notifier: Notifier?, _ verifications: Verifications?, open: [EpisodeRecord],
        recording: WatchLines?
    ) {
        self.ledger = LedgerQueue(ledger, in: folder)
        self.recording = recording
        self.notifier = notifier
        self.verifications = verifications
        repeats = notification?.repeats
        bootID = bootIdentity()
        for record in open { self.open[record.episode.id] = (record, Moment.now.boot) }
    }

    // MARK: What happens

    func happened(_ event: DetectorEvent, _ store: StoreStatus, at now: Moment) {
        say(event, store, now)
        switch event {
        case .suspected(let evidence):
            ledger.add { $0.suspect(evidence, of: store.name) }
        case .cleared:
            ledger.add { $0.clear(store.name, at: now.wall) }
        case .opened(let episode):
            // A suspicion has come to this.
            ledger.add { $0.clear(store.name, at: now.wall) }
            keep(episode, store, now, "opened")
        case .rose(let episode): keep(episode, store, now, "rose")
        case .recovering(let episode), .noted(let episode): keep(episode, store, now, nil)
        case .relapsed(let episode): keep(episode, store, now, "relapsed")
        case .closed(let episode):
            keep(episode, store, now, "closed")
            open[episode.id] = nil
        case .watchedAgain(let episode?, _):
            keep(episode, store, now, "unwatched")
            open[episode.id] = nil
        case .watchedAgain(nil, let since):
            let at = Moment(boot: now.boot, wall: since)
            let text = Array("nothing of it changed".utf8)
            ledger.add {
                $0.suspect(
                    Evidence(.watcher, .context, what: "unwatched", text: text, at: at),
                    of: store.name)
                $0.clear(store.name, at: now.wall)
            }
        case .accepted(_, let note):
            ledger.add { $0.suspect(store.errors.acceptance(note, at: now), of: store.name) }
        }
        save([store], now)
        if let verifications {
            verifications.happened(store)
            ledger.afterwards { verifications.kept() }
        }
    }

    private func keep(
        _ episode: Episode, _ store: StoreStatus, _ now: Moment, _ word: String?
    ) {
        let record = Self.record(episode, store, margin(of: store))
        ledger.add { $0.episodes[episode.id] = record }
        open[episode.id] = (record, now.boot)
        guard let word else { return }
        notify(record, store, word, now)
    }

    /// Where it lies on may be gone by now, or what the kernel was told changed.
    private func margin(of store: StoreStatus) -> Double {
        let margin = max(margins[store.name] ?? 0, writeBackMargin(of: store.path))
        margins[store.name] = margin
        return margin
    }

    private static func record(
        _ episode: Episode, _ store: StoreStatus, _ margin: Double
    ) -> EpisodeRecord {
        EpisodeRecord(
            episode, path: store.path, margin: margin + store.behind, noted: episode.detected.wall)
    }

    private func notify(
        _ record: EpisodeRecord, _ store: StoreStatus, _ word: String, _ now: Moment
    ) {
        for message in notices.messages(about: record, store.state, word, at: now) {
            notifier?.send(message)
        }
    }

    private func say(_ event: DetectorEvent, _ store: StoreStatus, _ now: Moment) {
        WatchLines.shared.add(Self.line(event, store, now, margin: margin(of: store)))
    }

    /// What happened, as a person reads it.
    static func line(
        _ event: DetectorEvent, _ store: StoreStatus, _ now: Moment, margin: Double
    ) -> String {
        let text: String
        switch event {
        case .suspected(let evidence): text = "SUSPECT  \(evidence.sentence)"
        case .cleared: text = "ok again: probes are verified, and nothing more came of it"
        case .opened(let episode):
            let again =
                episode.recurrenceOf.map {
                    "; number \(episode.ordinal), after \($0)"
                } ?? ""
            text =
                "DOWN     \(episode.kind.rawValue): \(episode.kind.sentence) "
                + "(\(store.evidence)); episode \(episode.id)\(again)"
        case .rose(let episode):
            text =
                "DOWN     now \(episode.kind.rawValue): \(episode.kind.sentence) "
                + "(\(store.evidence))"
        case .noted(let episode):
            text = "UNWATCHED before it was found so: \(EpisodeReport.changes(episode))"
        case .recovering:
            text = "RECOVERING, closed if all is well for \(durationText(store.holdLeft ?? 0))"
        case .relapsed(let episode):
            text = "RELAPSED (\(episode.flaps)): \(store.evidence)"
        case .closed(let episode):
            let record = Self.record(episode, store, margin)
            text = "CLOSED   episode \(episode.id); suspect \(EpisodeReport.window(record))"
        case .watchedAgain(let episode?, let since):
            text =
                "UNWATCHED since \(since.localText): \(EpisodeReport.changes(episode)); episode "
                + episode.id
        case .watchedAgain(nil, let since):
            text = "watched again, unwatched since \(since.localText): nothing of it changed"
        case .accepted(let count, let note):
            text = "ACCEPTED \(count) errors that its file system counts: \(escaped(note.utf8))"
        }
        return "\(now.wall.localText)  \(store.name)  \(text)\n"
    }

    func beat(_ stores: [StoreStatus], at now: Moment) {
        latest = stores
        // While it is still mounted.
        for store in stores where margins[store.name] == nil { _ = margin(of: store) }
        if now.boot &- lastStores >= Self.storeInterval {
            lastStores = now.boot
            save(stores, now)
        }
        if let repeats {
            for (id, entry) in open
            where Double(now.boot &- entry.told) / 1e9 >= repeats {
                open[id]?.told = now.boot
                let store = stores.first { $0.name == entry.record.episode.store }
                if let store { notify(entry.record, store, "still-open", now) }
            }
        }
        for message in notices.due(at: now) { notifier?.send(message) }
        verifications?.beat(stores)
        ledger.add { $0.heartbeat = Self.heartbeatText(stores, now) }
        ledger.flush()
        notifyService("WATCHDOG=1\nSTATUS=\(Self.summary(stores))")
    }

    func observed(_ line: Recording.Line) {
        recording?.add(line.text)
    }

    private static func summary(_ stores: [StoreStatus]) -> String {
        let bad = stores.filter { $0.state != .ok }.map { "\($0.name) \($0.state.word)" }
        return bad.isEmpty
            ? "\(stores.count) stores ok" : bad.prefix(8).joined(separator: ", ")
    }

    private static func heartbeatText(_ stores: [StoreStatus], _ now: Moment) -> [UInt8] {
        var text = "beat \(now.wall.utcText)\n"
        for store in stores {
            let good = store.lastGood.map { $0.wall.utcText } ?? "-"
            text += "store \(store.name) \(store.state.word) good \(good)\n"
        }
        return Array(text.utf8)
    }

    // MARK: The ledger

    private func save(_ stores: [StoreStatus], _ now: Moment) {
        ledger.add { pending in
            for status in stores {
                var record = StoreRecord(
                    name: status.name, path: status.path, probeID: status.probeID,
                    penalty: FlapPenalty(
                        value: status.penalty, at: now.wall, isSuppressed: status.isSuppressed))
                record.sequence = status.sequence
                record.fileSystem = status.fileSystem
                record.bootID = bootID
                record.lastGood = status.lastGood
                (record.sight, record.errors) = (status.sight, status.errors)
                record.maintenanceEnd = status.maintenanceUntil
                pending.stores[status.name] = record
            }
        }
        ledger.flush()
    }

    /// Waits until all is written, so many seconds at most.
    func end(within seconds: Double) {
        // So that what is seen until now is not taken for a change later.
        save(latest, .now)
        verifications?.end(within: seconds)
        ledger.end(within: seconds)
        recording?.end(within: seconds)
        for message in notices.due(at: .now, all: true) { notifier?.send(message) }
        notifier?.end(within: seconds)
        WatchLines.shared.end(within: seconds)
    }
}

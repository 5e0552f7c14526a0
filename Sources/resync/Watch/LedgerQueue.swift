import Dispatch
import ResyncCore
import ResyncLedger
import ResyncStorage
import Synchronization

/// Writes to the ledger without anybody waiting for it: what is to be written is put down, and
/// what could not be written is tried again.
final class LedgerQueue: Sendable {
    static let heartbeat = Array("watch.heartbeat".utf8)

    /// What is not written yet: of everything the newest only, so that it stays small however long
    /// the ledger cannot be written.
    struct Pending {
        var episodes: [String: EpisodeRecord] = [:]
        var stores: [String: StoreRecord] = [:]
        /// In the order in which it was so.
        private(set) var suspicions: [SuspicionNote] = []
        var heartbeat: [UInt8]?
        /// What is being written, and may never come to its end.
        fileprivate var inHand: [String: EpisodeRecord] = [:]
        fileprivate var isUnderWay = false
        fileprivate var isComplaining = false

        private static let suspicionLimit = 1000

        mutating func suspect(_ evidence: Evidence, of store: String) {
            add(SuspicionNote(store, .began(evidence)))
        }

        mutating func clear(_ store: String, at time: Timestamp) {
            add(SuspicionNote(store, .ended(time)))
        }

        /// What does not fit is left out, but never that all is well again.
        private mutating func add(_ note: SuspicionNote) {
            if note.isEnd {
                let last = suspicions.last { $0.store == note.store }
                if last?.isEnd == true { return }
            } else {
                guard suspicions.count < Self.suspicionLimit else { return }
            }
            suspicions.append(note)
        }

        /// All of it, and nothing stays.
        fileprivate mutating func take() -> Pending {
            inHand = episodes
            defer { (episodes, stores, suspicions, heartbeat) = ([:], [:], [], nil) }
            return self
        }

        fileprivate mutating func forgetSuspicions() { suspicions = [] }

        /// What could not be written, unless there is something newer.
        fileprivate mutating func putBack(_ old: Pending) {
            inHand = [:]
            episodes.merge(old.episodes) { newer, _ in newer }
            stores.merge(old.stores) { newer, _ in newer }
            let newer = suspicions
            suspicions = old.suspicions
            for note in newer { add(note) }
        }
    }

    private let ledger: Ledger
    private let folder: Folder
    private let queue = DispatchQueue(label: "resync.ledger")
    private let pending = Mutex(Pending())

    init(_ ledger: Ledger, in folder: Folder) {
        self.ledger = ledger
        self.folder = folder
    }

    func add(_ change: (inout sending Pending) -> Void) {
        pending.withLock { change(&$0) }
    }

    /// Has what is pending written.
    func flush() {
        let isFree = pending.withLock { pending in
            defer { pending.isUnderWay = true }
            return !pending.isUnderWay
        }
        guard isFree else { return }
        queue.async { while self.write() {} }
    }

    /// Has something done once what is being written is written, or could not be.
    func afterwards(_ body: @escaping @Sendable () -> Void) {
        queue.async(execute: body)
    }

    /// Waits until all is written, so many seconds at most.
    func end(within seconds: Double) {
        let isDone = DispatchSemaphore(value: 0)
        queue.async {
            // What came while something else was written is written now or never.
            while self.write() {}
            isDone.signal()
        }
        _ = isDone.wait(timeout: .now() + seconds)
        let left = pending.withLock { $0.inHand.merging($0.episodes) { _, newer in newer } }
        for record in left.values {
            Main.complain(
                "episode \(record.episode.id) of \(record.episode.store) could not be written down "
                    + "and is lost: note it with 'resync episode open --from --to' before anything "
                    + "of it is trusted. \(EpisodeReport.line(record))")
        }
    }

    /// Writes what is pending; whether there is more by now.
    private func write() -> Bool {
        var batch = pending.withLock { $0.take() }
        do {
            for record in batch.episodes.values { try ledger.save(record) }
            if !batch.stores.isEmpty { try ledger.save(Array(batch.stores.values)) }
            if !batch.suspicions.isEmpty { try ledger.save(batch.suspicions) }
            // They must not be written twice, whatever comes of the rest.
            batch.forgetSuspicions()
            if let heartbeat = batch.heartbeat {
                try folder.replace(Self.heartbeat, with: heartbeat)
            }
        } catch {
            putBack(batch, error)
            return false
        }
        return pending.withLock { pending in
            pending.isComplaining = false
            pending.inHand = [:]
            pending.isUnderWay = !pending.episodes.isEmpty || !pending.suspicions.isEmpty
            return pending.isUnderWay
        }
    }

    /// The next flush tries again; a person is told once.
    private func putBack(_ batch: Pending, _ error: any Error) {
        let isNew = pending.withLock { pending in
            pending.putBack(batch)
            pending.isUnderWay = false
            defer { pending.isComplaining = true }
            return !pending.isComplaining
        }
        guard isNew else { return }
        let reason =
            (error as? LedgerError).map { "the ledger \($0.reason)" }
            ?? Main.explain(error)?.message ?? "the ledger: \(error)"
        Main.complain("\(reason); what happens is kept in memory meanwhile")
    }
}

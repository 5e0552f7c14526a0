import Foundation
import GRDB
import Glibc
import ResyncCore
import TestSupport

@testable import ResyncLedger

/// A folder of its own for a ledger, removed in the end.
final class LedgerStage {
    let folder: String
    var path: String { folder + "/ledger.sqlite" }

    init() throws {
        folder = NSTemporaryDirectory() + "/resync-ledger-\(UInt64.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: false)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    /// As the program opens it.
    func open() throws -> Ledger {
        let isNew = !FileManager.default.fileExists(atPath: path)
        // What another connection has just made is in its log alone.
        let reason = isNew || hasLog ? nil : refusal(Array(bytes.prefix(100)))
        if let reason { throw LedgerError(reason) }
        return try Ledger(path: path, isNew: isNew)
    }

    func refusal(_ header: [UInt8]) -> String? {
        Ledger.refusal(header: header, size: bytes.count, hasLog: hasLog)
    }

    private var hasLog: Bool {
        FileManager.default.contents(atPath: path + "-wal")?.isEmpty == false
    }

    /// Has a ledger hold these and nothing else, in one file.
    func make(_ episodes: [EpisodeRecord]) throws {
        let ledger = try open()
        for episode in episodes { try ledger.save(episode) }
        try ledger.close()
    }

    var bytes: [UInt8] {
        get { FileManager.default.contents(atPath: path).map { Array($0) } ?? [] }
        set {
            for suffix in ["-wal", "-shm"] { unlink(path + suffix) }
            _ = FileManager.default.createFile(atPath: path, contents: Data(newValue))
        }
    }

    /// Another program that works with the file.
    func other() throws -> DatabaseQueue {
        var configuration = GRDB.Configuration()
        configuration.busyMode = .immediateError
        return try DatabaseQueue(path: path, configuration: configuration)
    }
}

extension Seed {
    /// Any time that 64 bits of nanoseconds can say.
    mutating func time() -> Timestamp {
        Timestamp(
            seconds: Int64.random(in: -9_000_000_000...9_000_000_000, using: &self),
            nanoseconds: UInt32.random(in: 0..<1_000_000_000, using: &self))
    }

    mutating func moment() -> Moment {
        Moment(boot: UInt64.random(in: 0...UInt64(Int64.max), using: &self), wall: time())
    }

    mutating func flag() -> Bool { below(2) == 0 }

    mutating func bytes(_ limit: Int) -> [UInt8] {
        (0..<below(limit)).map { _ in UInt8(truncatingIfNeeded: next()) }
    }

    /// Text that a statement made of strings would stumble over.
    mutating func text() -> String {
        let parts = [
            "mail", "/a", "'", "\"", "; DROP TABLE episode;--", "%", "_", "e\u{301}", "\u{e9}",
            "\u{1F4BE}", "\n", "\t", " ", "?1", "\\", "\u{202e}",
        ]
        return (0..<below(6)).map { _ in parts[below(parts.count)] }.joined()
    }

    mutating func identity() -> StoreIdentity {
        StoreIdentity(
            fileSystem: next(), inode: next(),
            device: DeviceNumber(
                major: UInt32(truncatingIfNeeded: next()), minor: UInt32(truncatingIfNeeded: next())
            ))
    }

    mutating func evidence() -> Evidence {
        Evidence(
            SignalSource.allCases[below(SignalSource.allCases.count)],
            Evidence.Strength.allCases[below(Evidence.Strength.allCases.count)],
            flag() ? EpisodeClass.allCases[below(EpisodeClass.allCases.count)] : nil,
            what: text(), text: bytes(300), at: moment())
    }

    mutating func errors() -> ErrorCount {
        guard flag() else { return ErrorCount(accepted: UInt64(below(.max))) }
        return ErrorCount(
            count: UInt64(below(.max)), since: flag() ? time() : nil,
            accepted: UInt64(below(.max)))
    }

    mutating func sight(of record: StoreRecord) -> StoreSight {
        var sight = StoreSight(at: moment(), bootID: text())
        (sight.fileSystem, sight.errorCount) = (record.fileSystem, record.errors.count)
        sight.clock = Int64(truncatingIfNeeded: next())
        guard flag() else { return sight }
        sight.mount = MountSight(
            mount: flag() ? UInt64(below(.max)) : nil,
            device: DeviceNumber(
                major: UInt32(truncatingIfNeeded: next()), minor: UInt32(truncatingIfNeeded: next())
            ), isReadOnly: flag(), instance: flag() ? next() : nil)
        return sight
    }

    mutating func episode(_ id: String, incident: String) -> EpisodeRecord {
        let steps = (0...below(4)).map { _ in
            Episode.Step(EpisodeClass.allCases[below(EpisodeClass.allCases.count)], moment())
        }
        var episode = Episode(
            id: id, store: text(), bootID: text(), lastGood: flag() ? moment() : nil,
            firstEvidence: moment(), detected: moment(), steps: steps)
        for _ in 0..<below(90) { episode.add(evidence()) }
        episode.firstGood = flag() ? moment() : nil
        if flag() {
            episode.closed = moment()
            episode.ending = Episode.Ending.allCases[below(Episode.Ending.allCases.count)]
        }
        episode.flaps = below(1000)
        episode.sawCheck = flag()
        episode.errorCount = flag() ? UInt64(below(.max)) : nil
        episode.incident = incident
        episode.recurrenceOf = flag() ? text() : nil
        episode.ordinal = 1 + below(1000)
        episode.note = text()
        return EpisodeRecord(
            episode, path: [UInt8(ascii: "/")] + bytes(200), margin: Double(below(86400)) / 7,
            noted: flag() ? time() : nil)
    }

    /// With ids of which none is a part of another one.
    mutating func episodes(_ count: Int) -> [EpisodeRecord] {
        (0..<count).map { number in
            let incident = "i\(below(max(1, count / 3)))"
            return episode(
                "e\(1000 + number)-\(String(below(1 << 16), radix: 16))z", incident: incident)
        }
    }
}

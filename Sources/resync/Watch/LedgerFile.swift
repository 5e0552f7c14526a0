import ResyncCore
import ResyncEngine
import ResyncLedger
import ResyncStorage
import Synchronization

/// The ledger of a state folder.
enum LedgerFile {
    private static let headerSize = 100
    /// Says beside it that there is one, and since when, in seconds, if another one was there
    /// before and vanished.
    private static let trace = Array("ledger.trace".utf8)

    /// The files that were looked at before SQLite opened them, until this process ends: to close
    /// one would end the locks that any of its connections has on it (fcntl(2)), and whoever closes
    /// the database then takes the log away that is still read.
    private static let seen = Mutex<[ObjectIdentity: InputFile]>([:])

    /// Opens it; nil where there is none.
    ///
    /// - Throws: `CommandError` where what lies there is not to be used.
    static func open(in state: StateFolder) throws -> Ledger? {
        let folder = state.folder
        let reason: String?
        do throws(DiskError) {
            guard let file = try file(in: folder) else { return nil }
            reason = try refusal(of: file, in: folder)
        } catch {
            guard error.number != ErrorNumber.noEntry else { return nil }
            throw refused(state, "cannot be read: \(error.sentence)")
        }
        if let reason { throw refused(state, reason) }
        do {
            let ledger = try Ledger(
                path: path(Ledger.fileName, in: folder), isNew: false, owner: folder)
            // Its write-ahead log is a new name beside it.
            try folder.sync()
            return ledger
        } catch let error as LedgerError {
            throw refused(state, error.reason)
        }
    }

    private static func file(in folder: Folder) throws(DiskError) -> InputFile? {
        try seen.withLock { (seen) throws(DiskError) -> InputFile? in
            guard let stat = try folder.stat(Ledger.fileName) else { return nil }
            if let known = seen[stat.identity] { return known }
            let file = try folder.read(Ledger.fileName)
            seen[file.stat.identity] = file
            return file
        }
    }

    /// As `Ledger.refusal`. A checkpoint under way has written the first page, which says how many
    /// there are, before the last one, and takes the log away in the end: what it makes of the file
    /// is there a moment later.
    private static func refusal(
        of file: InputFile, in folder: Folder
    ) throws(DiskError) -> String? {
        var reason: String?
        for attempt in 0..<3 {
            if attempt > 0 { pause(milliseconds: 20) }
            let header = try file.read(at: 0, count: headerSize)
            let size = try folder.stat(Ledger.fileName)?.size ?? 0
            let log = try folder.stat(Ledger.fileName + Array("-wal".utf8))
            reason = Ledger.refusal(header: header, size: size, hasLog: (log?.size ?? 0) > 0)
            if reason == nil { return nil }
        }
        return reason
    }

    /// Until when there was another one, which is lost: what it knew of episodes nobody knows any
    /// more. Nil where none is known to have been.
    static func lost(in state: StateFolder) throws -> Timestamp? {
        guard let text = try traced(in: state) else { return nil }
        // Not made anew yet. It is not opened: closing it would end SQLite's locks of this process.
        if (try? state.folder.has(Ledger.fileName)) == false { return .now }
        if text.isEmpty { return nil }
        guard let seconds = UInt64(digits: text).flatMap({ Int64(exactly: $0) }) else {
            throw refused(state, "is not the first one, and since when nobody knows")
        }
        return Timestamp(seconds: seconds, nanoseconds: 0)
    }

    /// What the trace says; nil where there is none.
    private static func traced(in state: StateFolder) throws -> [UInt8]? {
        do throws(DiskError) {
            let file = try state.folder.read(trace)
            return try file.read(at: 0, count: min(file.size, 32))
        } catch {
            guard error.number != ErrorNumber.noEntry else { return nil }
            throw refused(state, "may not be the first one: \(error.sentence)")
        }
    }

    /// Opens it, or makes one, which knows of runs and decisions what the runs that are kept say.
    static func openOrMake(in state: StateFolder) throws -> Ledger {
        let isTraced = try traced(in: state) != nil
        defer { if !isTraced { leaveTrace(in: state) } }
        if let ledger = try open(in: state) { return ledger }
        guard try WatchClient(state) == nil else {
            throw refused(
                state, "has vanished, and a watcher goes on with it: start the watcher anew")
        }
        if isTraced {
            // A second later, so that nothing counts for more than it is that was found by then.
            let now = Array(String(Timestamp.now.seconds + 1).utf8)
            do throws(DiskError) {
                try state.folder.replace(trace, with: now)
            } catch {
                throw refused(state, "is lost, and that cannot be noted: \(error.sentence)")
            }
        }
        // Under another name until it is whole: one that was cut off is then no empty one.
        let fresh = Ledger.fileName + Array(".new".utf8)
        for suffix in ["", "-wal", "-shm"] { try? state.folder.remove(fresh + suffix.utf8) }
        do {
            let ledger = try Ledger(path: path(fresh, in: state.folder), isNew: true)
            try ledger.save(try RunFolder.records(in: state.runs))
            for (run, decisions) in try RunFolder.decisions(in: state.runs) {
                try ledger.save(decisions, of: run)
            }
            try ledger.close()
            for suffix in ["-wal", "-shm"] { try? state.folder.remove(fresh + suffix.utf8) }
            try state.folder.rename(fresh, to: Ledger.fileName)
        } catch let error as LedgerError {
            throw refused(state, error.reason)
        } catch let error as DiskError {
            throw refused(state, "cannot be made: \(error.sentence)")
        }
        guard let ledger = try open(in: state) else {
            throw refused(state, "vanished while it was made")
        }
        return ledger
    }

    /// After the ledger: a start that was cut off is no loss.
    private static func leaveTrace(in state: StateFolder) {
        do throws(DiskError) {
            guard try state.folder.has(Ledger.fileName) else { return }
            try state.folder.replace(trace, with: [])
        } catch {
            Main.complain("that there is a ledger cannot be noted: \(error.sentence)")
        }
    }

    /// By the folder that is open, whatever bytes its path has.
    private static func path(_ name: [UInt8], in folder: Folder) -> String {
        "\(folder.processPath)/\(String(decoding: name, as: UTF8.self))"
    }

    private static func refused(_ state: StateFolder, _ reason: String) -> CommandError {
        let path = state.path + [slash] + Ledger.fileName
        return CommandError("the ledger '\(escaped(path))' \(reason)")
    }
}

import Foundation
import GRDB
import ResyncCore
import TestSupport
import Testing

@testable import ResyncLedger

/// A file with our id in which others have put something that SQLite would run, or beside which
/// they have put a log.
@Suite struct LedgerSchemaTests {
    @Test(
        arguments: [
            "CREATE TRIGGER t AFTER INSERT ON episode BEGIN DELETE FROM step; END",
            "CREATE VIEW v AS SELECT * FROM run",
            "ALTER TABLE store RENAME TO kept; CREATE VIEW store AS SELECT * FROM kept",
        ])
    func whatItWouldRunIsRefused(_ change: String) throws {
        var seed = Seed(5)
        let stage = try LedgerStage()
        try stage.make(seed.episodes(5))
        let other = try stage.other()
        try other.write { try $0.execute(sql: change) }
        try other.close()
        let before = stage.bytes
        let error = #expect(throws: LedgerError.self) { _ = try stage.open() }
        #expect(error?.reason.contains("has not made") == true, "\(error as Any)")
        #expect(error?.isPassing == false)
        let isUntouched = stage.bytes == before
        #expect(isUntouched)
    }

    /// SQLite knows a log by nothing but its own sums, and would put its pages over the file's.
    @Test func aLogOfAnotherDatabaseIsRefused() throws {
        var seed = Seed(5)
        let stage = try LedgerStage()
        try stage.make(seed.episodes(5))
        let before = stage.bytes
        let other = try DatabasePool(path: stage.folder + "/other")
        try other.write { database in
            try database.execute(sql: "CREATE TABLE episode (id TEXT); CREATE TABLE x (y)")
            try database.execute(sql: "INSERT INTO episode VALUES ('not ours')")
        }
        let log = stage.folder + "/other-wal"
        #expect((FileManager.default.contents(atPath: log)?.count ?? 0) > 0)
        try FileManager.default.copyItem(atPath: log, toPath: stage.path + "-wal")
        let error = #expect(throws: LedgerError.self) { _ = try stage.open() }
        #expect(error?.reason.contains("another database's log") == true, "\(error as Any)")
        let isUntouched = FileManager.default.contents(atPath: stage.path).map { Array($0) }
        #expect(isUntouched == before)
        try other.close()
        // Without it the ledger is what it was.
        for suffix in ["-wal", "-shm"] {
            try? FileManager.default.removeItem(atPath: stage.path + suffix)
        }
        let ledger = try stage.open()
        #expect(try ledger.episodes(since: Timestamp(number: .min)).count == 5)
    }

    /// What a table's own rules may call is called with this process's rights.
    @Test func noSchemaIsTrusted() throws {
        let stage = try LedgerStage()
        try stage.make([])
        for _ in 0..<2 {
            let ledger = try stage.open()
            let read = try ledger.read { try Int.fetchOne($0, sql: "PRAGMA trusted_schema") }
            #expect(read == 0)
            try ledger.write { database in
                let written = try Int.fetchOne(database, sql: "PRAGMA trusted_schema")
                #expect(written == 0)
            }
            try ledger.close()
        }
    }
}

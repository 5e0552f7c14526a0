import Foundation
import GRDB
import ResyncCore
import TestSupport
import Testing

@testable import ResyncLedger

/// The ledger's file: what is refused before it is touched, what was damaged, what an older version
/// wrote, and what others do with it meanwhile.
@Suite struct LedgerFileTests {
    private func header(_ stage: LedgerStage) -> [UInt8] { Array(stage.bytes.prefix(100)) }

    /// All that can be asked of it.
    private func everything(
        _ ledger: Ledger
    ) throws -> ([EpisodeRecord], [StoreRecord], [RunRecord]) {
        let all = try ledger.episodes(since: Timestamp(number: .min))
        return (all, try ledger.stores(), try ledger.runs())
    }

    @Test func whatIsOursIsNotRefused() throws {
        var seed = Seed(3)
        let stage = try LedgerStage()
        try stage.make(seed.episodes(3))
        #expect(stage.refusal(header(stage)) == nil)
    }

    /// Whatever is said, the way back is said with it.
    @Test func whatIsNotOursIsRefusedByItsFirstBytes() throws {
        let stage = try LedgerStage()
        try stage.make([])
        let good = header(stage)
        func refusal(_ change: (inout [UInt8]) -> Void) throws -> String {
            var bytes = good
            change(&bytes)
            return try #require(stage.refusal(bytes))
        }
        let damaged = [
            try refusal { $0 = [] }, try refusal { $0.removeLast() },
            try refusal { $0 = [UInt8](repeating: 0, count: 100) },
            try refusal { $0[5] ^= 1 }, try refusal { $0[15] = 1 },
        ]
        for text in damaged {
            #expect(text.contains("is damaged or no ledger") && text.contains("move it aside"))
        }
        for place in 68..<72 {
            let foreign = try refusal { $0[place] ^= 0x10 }
            #expect(foreign.contains("another program") && foreign.contains("move it aside"))
        }
        for version: [UInt8] in [[0, 0, 0, 8], [0, 0, 1, 0], [255, 255, 255, 255]] {
            let newer = try refusal { $0.replaceSubrange(60..<64, with: version) }
            #expect(newer.contains("newer resync") && newer.contains("use that one"))
        }
    }

    @Test func aForeignDatabaseIsKnown() throws {
        let stage = try LedgerStage()
        let other = try stage.other()
        try other.write { try $0.execute(sql: "CREATE TABLE episode (id TEXT)") }
        try other.close()
        #expect(stage.refusal(header(stage))?.contains("another program") == true)
    }

    /// Every page of it lost, one after the other: an episode that cannot be read is never passed
    /// over.
    @Test func aLostPageIsNoticed() throws {
        var seed = Seed.fromEnvironment()
        let stage = try LedgerStage()
        try stage.make(seed.episodes(40))
        let whole = try everything(try stage.open())
        let good = stage.bytes
        let pages = good.count / 4096
        #expect(pages > 20)
        var refused = 0
        for page in 0..<pages {
            let damaged = try LedgerStage()
            // The first holds the header, by which it is known, and the schema behind it.
            let lost = page * 4096 + (page == 0 ? 100 : 0)..<(page + 1) * 4096
            var bytes = good
            bytes.replaceSubrange(lost, with: [UInt8](repeating: 0, count: lost.count))
            damaged.bytes = bytes
            do {
                let found = try everything(try damaged.open())
                let isSame = found.0 == whole.0 && found.1 == whole.1 && found.2 == whole.2
                #expect(isSame, "page \(page) of \(pages)")
            } catch let error as LedgerError {
                #expect(error.reason.contains("move it aside"), "page \(page): \(error.reason)")
                #expect(!error.isPassing)
                let isUntouched = damaged.bytes == bytes
                #expect(isUntouched, "page \(page)")
                refused += 1
            }
        }
        // Those of indices are of no use without the rest, but nothing is lost with them.
        #expect(refused > pages / 2, "\(refused) of \(pages)")
    }

    @Test func aFileThatIsCutIsRefused() throws {
        var seed = Seed.fromEnvironment()
        let stage = try LedgerStage()
        try stage.make(seed.episodes(40))
        let good = stage.bytes
        let lengths = [
            100, 101, 4095, 4096, 8192, good.count / 2, good.count - 4096, good.count - 1,
        ]
        for length in lengths {
            let cut = try LedgerStage()
            cut.bytes = Array(good.prefix(length))
            let error = #expect(throws: LedgerError.self, "\(length) bytes") {
                _ = try everything(try cut.open())
            }
            #expect(
                error?.reason.contains("move it aside") == true, "\(length) bytes: \(error as Any)")
            #expect(cut.bytes.count == length)
        }
    }

    /// Where a value was replaced by one that means nothing, or by none.
    @Test(
        arguments: [
            "UPDATE step SET class = 'unheard-of'", "UPDATE evidence SET source = ''",
            "UPDATE evidence SET strength = 'x'", "DELETE FROM step",
            "UPDATE episode SET ended_by = 'itself'",
        ])
    func aValueThatMeansNothingIsDamage(_ change: String) throws {
        var seed = Seed(5)
        let stage = try LedgerStage()
        try stage.make(seed.episodes(5))
        let other = try stage.other()
        try other.write { try $0.execute(sql: change) }
        try other.close()
        let ledger = try stage.open()
        let error = #expect(throws: LedgerError.self) { _ = try everything(ledger) }
        #expect(error?.reason.contains("is damaged") == true)
    }

    /// No constraint of SQLite's is checked when a damaged file is read.
    @Test func aMissingValueIsDamage() throws {
        var seed = Seed(5)
        let stage = try LedgerStage()
        try stage.make(seed.episodes(5))
        let other = try stage.other()
        try other.writeWithoutTransaction { database in
            try database.execute(sql: "PRAGMA writable_schema = ON")
            try database.execute(
                sql: "UPDATE sqlite_schema SET sql = replace(sql, ' NOT NULL', '')")
        }
        try other.close()
        let again = try stage.other()
        try again.write { try $0.execute(sql: "UPDATE episode SET flaps = NULL") }
        try again.close()
        let error = #expect(throws: LedgerError.self) { _ = try everything(try stage.open()) }
        #expect(error?.reason.contains("is damaged") == true)
    }

    /// What was told is kept before anything else happens, also without the power.
    @Test func whatIsWrittenIsDurableAtOnce() throws {
        let stage = try LedgerStage()
        for _ in 0..<2 {
            let ledger = try stage.open()
            try ledger.write { database in
                let level = try Int.fetchOne(database, sql: "PRAGMA synchronous")
                #expect(level == 2, "FULL")
            }
            try ledger.close()
        }
    }

    // MARK: Others

    @Test func whoWritesKeepsNobodyFromReading() throws {
        var seed = Seed.fromEnvironment()
        let stage = try LedgerStage()
        let records = seed.episodes(5)
        try stage.make(records)
        let ledger = try stage.open()
        let other = try stage.other()
        try other.writeWithoutTransaction { database in
            try database.execute(sql: "BEGIN IMMEDIATE")
            try database.execute(sql: "DELETE FROM episode")
            #expect(try ledger.episodes(since: Timestamp(number: .min)).count == 5)
            // Whoever comes now can read, too.
            let late = try stage.open()
            #expect(try late.episodes(since: Timestamp(number: .min)).count == 5)
            let error = #expect(throws: LedgerError.self) { try ledger.save(records[0]) }
            #expect(error?.isPassing == true)
            #expect(error?.reason == "is locked by another process")
            try database.execute(sql: "ROLLBACK")
        }
        try ledger.save(records[0])
        #expect(try ledger.episodes(since: Timestamp(number: .min)).count == 5)
    }

    /// An episode is seen as it was at one moment, with all of its evidence.
    @Test func aReaderSeesWholeEpisodes() throws {
        var seed = Seed.fromEnvironment()
        let stage = try LedgerStage()
        let writer = try stage.open()
        let reader = try stage.open()
        let versions = (0..<200).map { number in
            var record = seed.episode("e1", incident: "i")
            record.episode.flaps = number
            return record
        }
        try writer.save(versions[0])
        let thread = Thread {
            for record in versions { try? writer.save(record) }
        }
        thread.start()
        var last = 0
        while !thread.isFinished {
            let found = try #require(try reader.episode("e1"))
            let isWhole = found == versions[found.episode.flaps]
            #expect(isWhole, "version \(found.episode.flaps)")
            #expect(found.episode.flaps >= last)
            last = found.episode.flaps
        }
        #expect(try reader.episode("e1")?.episode.flaps == 199)
    }

    // MARK: Versions

    /// As the first version wrote it: never to be changed.
    private static let versionOne = """
        PRAGMA application_id = 1920170350;
        PRAGMA user_version = 1;
        CREATE TABLE grdb_migrations (identifier TEXT NOT NULL PRIMARY KEY);
        INSERT INTO grdb_migrations VALUES ('1');
        CREATE TABLE store (name TEXT PRIMARY KEY NOT NULL, path BLOB NOT NULL, probe_id TEXT
            NOT NULL, sequence INTEGER NOT NULL DEFAULT 0, file_system INTEGER, boot_id TEXT NOT
            NULL DEFAULT '', good_boot INTEGER, good_wall INTEGER, penalty REAL NOT NULL DEFAULT 0,
            penalty_wall INTEGER NOT NULL DEFAULT 0, suppressed INTEGER NOT NULL DEFAULT 0) STRICT;
        CREATE TABLE episode (id TEXT PRIMARY KEY NOT NULL, store TEXT NOT NULL, path BLOB NOT
            NULL, incident TEXT NOT NULL, recurrence_of TEXT, ordinal INTEGER NOT NULL, boot_id
            TEXT NOT NULL, good_boot INTEGER, good_wall INTEGER, evidence_boot INTEGER NOT NULL,
            evidence_wall INTEGER NOT NULL, detected_boot INTEGER NOT NULL, detected_wall INTEGER
            NOT NULL, first_good_boot INTEGER, first_good_wall INTEGER, closed_boot INTEGER,
            closed_wall INTEGER, ended_by TEXT, flaps INTEGER NOT NULL, saw_check INTEGER NOT NULL,
            error_count INTEGER, left_out INTEGER NOT NULL, margin REAL NOT NULL, note TEXT NOT
            NULL) STRICT;
        CREATE INDEX episode_by_store ON episode (store, evidence_wall);
        CREATE INDEX episode_by_incident ON episode (incident);
        CREATE TABLE step (episode TEXT NOT NULL REFERENCES episode (id) ON DELETE CASCADE, place
            INTEGER NOT NULL, class TEXT NOT NULL, boot INTEGER NOT NULL, wall INTEGER NOT NULL,
            PRIMARY KEY (episode, place)) STRICT, WITHOUT ROWID;
        CREATE TABLE evidence (episode TEXT NOT NULL REFERENCES episode (id) ON DELETE CASCADE,
            place INTEGER NOT NULL, source TEXT NOT NULL, strength TEXT NOT NULL, class TEXT, what
            TEXT NOT NULL, text BLOB NOT NULL, boot INTEGER NOT NULL, wall INTEGER NOT NULL,
            PRIMARY KEY (episode, place)) STRICT, WITHOUT ROWID;
        CREATE TABLE suspicion (store TEXT NOT NULL, began_wall INTEGER NOT NULL, ended_wall
            INTEGER, what TEXT NOT NULL, text BLOB NOT NULL) STRICT;
        CREATE TABLE run (id TEXT PRIMARY KEY NOT NULL, kind TEXT NOT NULL, a BLOB NOT NULL, b
            BLOB NOT NULL, began_wall INTEGER NOT NULL, ended_wall INTEGER NOT NULL, status INTEGER
            NOT NULL, verdict TEXT NOT NULL, assurance TEXT NOT NULL, whole INTEGER NOT NULL)
            STRICT;
        INSERT INTO store VALUES ('mail/a', x'2fff', '00ff', 12, -1, 'boot', 5, 6, 1500.5, 7, 1);
        INSERT INTO episode VALUES ('e1', 'mail/a', x'2fff', 'i1', 'e0', 2, 'boot', 1, 2, 3, 4, 5,
            6, 7, 8, 9, 10, 'person', 3, 1, 4, 5, 40.5, 'why');
        INSERT INTO step VALUES ('e1', 0, 'stall', 5, 6), ('e1', 1, 'lost-write', 6, 7);
        INSERT INTO evidence VALUES ('e1', 0, 'kernel', 'hard', 'stall', 'x', x'00ff', 3, 4);
        INSERT INTO run VALUES ('r1', 'verify', x'2f61', x'2f62', 1, 2, 1, 'NOT IN SYNC', 'media',
            1);
        """

    @Test func whatTheFirstVersionWroteIsRead() throws {
        let stage = try LedgerStage()
        let old = try stage.other()
        try old.write { try $0.execute(sql: Self.versionOne) }
        try old.close()
        #expect(stage.refusal(header(stage)) == nil)
        let (episodes, stores, runs) = try everything(try stage.open())
        let record = try #require(episodes.first)
        func moment(_ boot: UInt64, _ wall: UInt32) -> Moment {
            Moment(boot: boot, wall: Timestamp(seconds: 0, nanoseconds: wall))
        }
        let episode = record.episode
        #expect(record.path == [0x2f, 0xff] && record.margin == 40.5)
        #expect(episode.store == "mail/a" && episode.incident == "i1")
        #expect(episode.recurrenceOf == "e0" && episode.ordinal == 2 && episode.bootID == "boot")
        #expect(episode.lastGood == moment(1, 2) && episode.firstEvidence == moment(3, 4))
        #expect(episode.detected == moment(5, 6) && episode.firstGood == moment(7, 8))
        #expect(episode.closed == moment(9, 10) && episode.ending == .person)
        #expect(record.noted == episode.detected.wall)
        #expect(episode.flaps == 3 && episode.sawCheck && episode.errorCount == 4)
        #expect(episode.evidenceLeftOut == 5 && episode.note == "why")
        #expect(episode.steps.map { $0.kind } == [.stall, .lostWrite])
        #expect(episode.evidence.first?.text == [0, 0xff])
        #expect(stores.first?.sequence == 12 && stores.first?.fileSystem == .max)
        #expect(stores.first?.sight?.at == moment(5, 6) && stores.first?.sight?.bootID == "boot")
        #expect(stores.first?.penalty.value == 1500.5)
        #expect(stores.first?.penalty.isSuppressed == true)
        #expect(runs.first?.id == "r1" && runs.first?.isWhole == true)
    }

    /// What the second and the third version added to it: never to be changed.
    private static let versionThree = """
        PRAGMA user_version = 3;
        INSERT INTO grdb_migrations VALUES ('2'), ('3');
        CREATE TABLE standing (module TEXT NOT NULL, looked_wall INTEGER NOT NULL,
            terms TEXT NOT NULL, pair TEXT NOT NULL, run TEXT NOT NULL,
            began_wall INTEGER NOT NULL, answer TEXT NOT NULL, scope TEXT NOT NULL,
            assurance TEXT NOT NULL, entries INTEGER NOT NULL, bytes INTEGER NOT NULL,
            oldest_wall INTEGER, reason TEXT NOT NULL, check_exit INTEGER,
            PRIMARY KEY (module, looked_wall)) STRICT, WITHOUT ROWID;
        CREATE TABLE pair_check (pair TEXT NOT NULL, name TEXT NOT NULL,
            began_wall INTEGER NOT NULL, ended_wall INTEGER NOT NULL, exit INTEGER NOT NULL,
            line TEXT NOT NULL, PRIMARY KEY (pair, name)) STRICT, WITHOUT ROWID;
        INSERT INTO standing VALUES ('m', 5, 't', 'p', 'r1', 4, 'released', 'full', 'media', 2, 3,
            1, 'why', NULL);
        INSERT INTO store VALUES ('mail/b', x'2f62', '01ff', 0, NULL, '', NULL, NULL, 0, 0, 0);
        """

    @Test func whatTheThirdVersionWroteIsRead() throws {
        let stage = try LedgerStage()
        let old = try stage.other()
        try old.write { try $0.execute(sql: Self.versionOne + Self.versionThree) }
        try old.close()
        let ledger = try stage.open()
        #expect(try ledger.standings(of: "m").first?.run == "r1")
        let stores = try ledger.stores()
        #expect(stores.map(\.name) == ["mail/a", "mail/b"])
        // Of one it is known when it was last good, of the other nothing.
        let seen = try #require(stores[0].sight)
        #expect(seen.at == stores[0].lastGood && seen.bootID == "boot" && seen.mount == nil)
        #expect(seen.fileSystem == .max && seen.errorCount == nil)
        #expect(stores[1].sight == nil)
        #expect(stores.allSatisfy { $0.errors == ErrorCount() })
    }

    /// A column that is changed in place would not be in files that are there already.
    @Test func theFirstVersionStaysAsItWas() throws {
        func tables(_ stage: LedgerStage) throws -> [String] {
            try stage.other().read { database in
                try String.fetchAll(
                    database,
                    sql: """
                        SELECT m.name || ' ' || c.cid || ' ' || c.name || ' ' || c.type || ' ' ||
                            c."notnull" || ' ' || c.pk
                        FROM sqlite_schema AS m, pragma_table_info(m.name) AS c
                        WHERE m.type = 'table' ORDER BY 1
                        """)
            }
        }
        let old = try LedgerStage()
        let first = try old.other()
        try first.write { try $0.execute(sql: Self.versionOne) }
        try first.close()
        let new = try LedgerStage()
        try new.make([])
        if Ledger.version == 1 { #expect(try tables(new) == tables(old)) }
        try old.make([])
        #expect(try tables(new) == tables(old))
    }
}

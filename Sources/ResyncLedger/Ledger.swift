import GRDB
import ResyncCore

/// Why the ledger cannot be used.
package struct LedgerError: Error, Sendable {
    package let reason: String
    /// Whether trying again later may help: it was locked, or its disk was full.
    package let isPassing: Bool

    package init(_ reason: String, isPassing: Bool = false) {
        self.reason = reason
        self.isPassing = isPassing
    }

    static let damage = LedgerError(
        "is damaged; it is not touched: move it aside to begin a new one, or have sqlite3 "
            + "recover it")

    /// Told by its schema, or by what a write-ahead log beside it makes of it.
    static let foreign = LedgerError(
        "holds what resync has not made, or lies beside another database's log (-wal): it is not "
            + "touched; move both aside to begin a new one")
}

/// What must be remembered of episodes, of the stores that are watched, and of runs: one SQLite
/// database, small, written by the watcher and read by everybody, at the same time.
///
/// Its directory is synced by whoever made the file: SQLite does not tell when that fails.
package final class Ledger: Sendable {
    package static let fileName = Array("ledger.sqlite".utf8)
    /// `rsyn`, by which the file is known for ours.
    static let applicationID: UInt32 = 0x7273_796e
    /// Of the newest migration.
    package static let version: UInt32 = 7

    private let database: DatabasePool
    private let owner: (any Sendable)?

    /// Why a file must not be opened as a ledger, before SQLite sees it: a foreign database would
    /// be changed by opening it. The layout is that of the SQLite file format, 1.3.
    ///
    /// - Parameters:
    ///   - header: the first 100 bytes.
    ///   - size: bytes of the whole file.
    ///   - hasLog: whether there is a write-ahead log beside it, which may hold what is missing.
    package static func refusal(header: [UInt8], size: Int, hasLog: Bool) -> String? {
        let wayBack =
            "it is not touched; move it aside to begin a new one: runs are kept elsewhere, "
            + "episodes before that are only in the old one"
        guard header.count >= 100, header.starts(with: Array("SQLite format 3\0".utf8)) else {
            return "is damaged or no ledger: \(wayBack)"
        }
        func number(_ at: Int) -> UInt32 {
            header[at..<(at + 4)].reduce(0) { $0 << 8 | UInt32($1) }
        }
        guard number(68) == applicationID else {
            return "is a database of another program: \(wayBack)"
        }
        guard number(60) <= version else {
            return "was written by a newer resync (version \(number(60)), this one knows "
                + "\(version)): use that one"
        }
        let page = Int(header[16]) << 8 | Int(header[17])
        guard hasLog || size >= Int(number(28)) * (page == 1 ? 65536 : page) else {
            return LedgerError.damage.reason
        }
        return nil
    }

    /// Opens the database, or makes it; what lies there must not be refused.
    ///
    /// - Parameters:
    ///   - isNew: whether there is no file yet.
    ///   - owner: kept as long as this is: the path may lead nowhere without it.
    /// - Throws: `LedgerError`
    package init(path: String, isNew: Bool, owner: (any Sendable)? = nil) throws {
        self.owner = owner
        var configuration = GRDB.Configuration()
        configuration.busyMode = .timeout(5)
        configuration.prepareDatabase { database in
            // What a schema may name is run with this process's rights.
            try database.execute(sql: "PRAGMA trusted_schema = OFF")
        }
        database = try explained {
            if !isNew { try Self.inspect(path, configuration) }
            let pool = try DatabasePool(path: path, configuration: configuration)
            // An episode that was told is still there after a power loss. The pool has set less
            // for itself while it was opened.
            try pool.writeWithoutTransaction { database in
                try database.execute(sql: "PRAGMA synchronous = FULL")
            }
            try migrations.migrate(pool)
            return pool
        }
    }

    /// Looks through what is there without changing it: opening it for writing does that already.
    private static func inspect(_ path: String, _ configuration: GRDB.Configuration) throws {
        var reading = configuration
        reading.readonly = true
        try DatabaseQueue(path: path, configuration: reading).read { database in
            // Before anything asks for a table: a log beside it may be another database's.
            guard try isOurs(database), try foreignObject(database) == nil else {
                throw LedgerError.foreign
            }
            guard try String.fetchAll(database, sql: "PRAGMA quick_check(1)") == ["ok"] else {
                throw LedgerError.damage
            }
        }
    }

    /// As the log has it: of one that is only being made nothing may be there yet.
    private static func isOurs(_ database: Database) throws -> Bool {
        let known =
            try UInt32.fetchOne(database, sql: "PRAGMA application_id") == applicationID
            && UInt32.fetchOne(database, sql: "PRAGMA user_version") ?? .max <= version
        if known { return true }
        return try Int.fetchOne(
            database,
            sql: """
                SELECT count(*) FROM sqlite_schema
                WHERE name <> 'grdb_migrations' AND substr(name, 1, 7) <> 'sqlite_'
                """) == 0
    }

    /// Something in the schema that no version of the ledger has made, and that is run when a row
    /// is written or read. Tables and indices with pages of their own are no code.
    private static func foreignObject(_ database: Database) throws -> String? {
        try String.fetchOne(
            database,
            sql: """
                SELECT type || ' ' || name FROM sqlite_schema
                WHERE type NOT IN ('table', 'index') OR ifnull(rootpage, 0) = 0
                """)
    }

    /// Closes it: afterwards the file holds everything by itself.
    package func close() throws { try explained { try database.close() } }

    func read<Result: Sendable>(
        _ body: @Sendable (Database) throws -> Result
    ) throws -> Result {
        try explained { try database.read(body) }
    }

    func write(_ body: @Sendable (Database) throws -> Void) throws {
        try explained { try database.write(body) }
    }
}

/// Gives what SQLite says a reason that a person can act on.
private func explained<Result>(_ body: () throws -> Result) throws -> Result {
    do {
        return try body()
    } catch let error as DatabaseError {
        switch error.resultCode {
        case .SQLITE_FULL: throw LedgerError("cannot be written: its disk is full", isPassing: true)
        case .SQLITE_BUSY, .SQLITE_LOCKED:
            throw LedgerError("is locked by another process", isPassing: true)
        case .SQLITE_CORRUPT, .SQLITE_NOTADB: throw LedgerError.damage
        case .SQLITE_READONLY, .SQLITE_IOERR, .SQLITE_CANTOPEN:
            throw LedgerError("cannot be used: \(error.message ?? "I/O error")", isPassing: true)
        default: throw LedgerError("failed: \(error.message ?? "\(error.resultCode)")")
        }
    } catch is RowDecodingError {
        throw LedgerError.damage
    }
}

private var migrations: DatabaseMigrator {
    var migrator = DatabaseMigrator()
    let versions = [
        firstVersion, secondVersion, thirdVersion, fourthVersion, fifthVersion, sixthVersion,
        seventhVersion,
    ]
    for (at, version) in versions.enumerated() {
        migrator.registerMigration("\(at + 1)") { try $0.execute(sql: version) }
    }
    return migrator
}

/// Times are two numbers: nanoseconds since boot, and nanoseconds since 1970 by the wall clock.
private let firstVersion = """
    PRAGMA application_id = 1920170350;
    PRAGMA user_version = 1;
    CREATE TABLE store (
        name TEXT PRIMARY KEY NOT NULL,
        path BLOB NOT NULL,
        probe_id TEXT NOT NULL,
        sequence INTEGER NOT NULL DEFAULT 0,
        file_system INTEGER,
        boot_id TEXT NOT NULL DEFAULT '',
        good_boot INTEGER, good_wall INTEGER,
        penalty REAL NOT NULL DEFAULT 0, penalty_wall INTEGER NOT NULL DEFAULT 0,
        suppressed INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE episode (
        id TEXT PRIMARY KEY NOT NULL,
        store TEXT NOT NULL,
        path BLOB NOT NULL,
        incident TEXT NOT NULL,
        recurrence_of TEXT,
        ordinal INTEGER NOT NULL,
        boot_id TEXT NOT NULL,
        good_boot INTEGER, good_wall INTEGER,
        evidence_boot INTEGER NOT NULL, evidence_wall INTEGER NOT NULL,
        detected_boot INTEGER NOT NULL, detected_wall INTEGER NOT NULL,
        first_good_boot INTEGER, first_good_wall INTEGER,
        closed_boot INTEGER, closed_wall INTEGER,
        ended_by TEXT,
        flaps INTEGER NOT NULL,
        saw_check INTEGER NOT NULL,
        error_count INTEGER,
        left_out INTEGER NOT NULL,
        margin REAL NOT NULL,
        note TEXT NOT NULL
    ) STRICT;
    CREATE INDEX episode_by_store ON episode (store, evidence_wall);
    CREATE INDEX episode_by_incident ON episode (incident);
    CREATE TABLE step (
        episode TEXT NOT NULL REFERENCES episode (id) ON DELETE CASCADE,
        place INTEGER NOT NULL,
        class TEXT NOT NULL,
        boot INTEGER NOT NULL, wall INTEGER NOT NULL,
        PRIMARY KEY (episode, place)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE evidence (
        episode TEXT NOT NULL REFERENCES episode (id) ON DELETE CASCADE,
        place INTEGER NOT NULL,
        source TEXT NOT NULL,
        strength TEXT NOT NULL,
        class TEXT,
        what TEXT NOT NULL,
        text BLOB NOT NULL,
        boot INTEGER NOT NULL, wall INTEGER NOT NULL,
        PRIMARY KEY (episode, place)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE suspicion (
        store TEXT NOT NULL,
        began_wall INTEGER NOT NULL,
        ended_wall INTEGER,
        what TEXT NOT NULL,
        text BLOB NOT NULL
    ) STRICT;
    CREATE TABLE run (
        id TEXT PRIMARY KEY NOT NULL,
        kind TEXT NOT NULL,
        a BLOB NOT NULL, b BLOB NOT NULL,
        began_wall INTEGER NOT NULL,
        ended_wall INTEGER NOT NULL,
        status INTEGER NOT NULL,
        verdict TEXT NOT NULL,
        assurance TEXT NOT NULL,
        whole INTEGER NOT NULL
    ) STRICT;
    """

/// What verifications found out about modules.
private let secondVersion = """
    PRAGMA user_version = 2;
    CREATE TABLE standing (
        module TEXT NOT NULL,
        looked_wall INTEGER NOT NULL,
        terms TEXT NOT NULL,
        pair TEXT NOT NULL,
        run TEXT NOT NULL,
        began_wall INTEGER NOT NULL,
        answer TEXT NOT NULL,
        scope TEXT NOT NULL,
        assurance TEXT NOT NULL,
        entries INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        oldest_wall INTEGER,
        reason TEXT NOT NULL,
        PRIMARY KEY (module, looked_wall)
    ) STRICT, WITHOUT ROWID;
    """

/// How modules' checks ended, and what the checks of pairs last said.
private let thirdVersion = """
    PRAGMA user_version = 3;
    ALTER TABLE standing ADD COLUMN check_exit INTEGER;
    CREATE TABLE pair_check (
        pair TEXT NOT NULL,
        name TEXT NOT NULL,
        began_wall INTEGER NOT NULL,
        ended_wall INTEGER NOT NULL,
        exit INTEGER NOT NULL,
        line TEXT NOT NULL,
        PRIMARY KEY (pair, name)
    ) STRICT, WITHOUT ROWID;
    """

/// How stores were seen last, and what their file systems count of errors. Of those that are known
/// already, that is when they were last verified.
private let fourthVersion = """
    PRAGMA user_version = 4;
    ALTER TABLE store ADD COLUMN seen_boot INTEGER;
    ALTER TABLE store ADD COLUMN seen_wall INTEGER;
    ALTER TABLE store ADD COLUMN seen_boot_id TEXT NOT NULL DEFAULT '';
    ALTER TABLE store ADD COLUMN mount INTEGER;
    ALTER TABLE store ADD COLUMN mount_device INTEGER;
    ALTER TABLE store ADD COLUMN mount_read_only INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE store ADD COLUMN mount_instance INTEGER;
    ALTER TABLE store ADD COLUMN errors INTEGER;
    ALTER TABLE store ADD COLUMN errors_wall INTEGER;
    ALTER TABLE store ADD COLUMN errors_accepted INTEGER NOT NULL DEFAULT 0;
    UPDATE store SET seen_boot = good_boot, seen_wall = good_wall, seen_boot_id = boot_id;
    """

/// What people decided about what runs found, in the order of each run; stores' clocks; and which
/// stores a run was about, and how much it found: of those that are known already, its status says
/// whether it did.
private let fifthVersion = """
    PRAGMA user_version = 5;
    CREATE TABLE decision (
        run TEXT NOT NULL,
        place INTEGER NOT NULL,
        path BLOB NOT NULL,
        ruling TEXT NOT NULL,
        who BLOB NOT NULL,
        wall INTEGER NOT NULL,
        reason BLOB NOT NULL,
        PRIMARY KEY (run, place)
    ) STRICT, WITHOUT ROWID;
    ALTER TABLE store ADD COLUMN clock INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE run ADD COLUMN a_identity TEXT;
    ALTER TABLE run ADD COLUMN b_identity TEXT;
    ALTER TABLE run ADD COLUMN findings INTEGER;
    """

/// When episodes came to be known. Of those that are there already, a watcher knew of its own when
/// it detected them; the end of those that were told afterwards has no time since a boot.
private let sixthVersion = """
    PRAGMA user_version = 6;
    ALTER TABLE episode ADD COLUMN noted_wall INTEGER;
    UPDATE episode SET noted_wall = detected_wall WHERE closed_boot IS NOT 0;
    """

/// Until when stores are in maintenance.
private let seventhVersion = """
    PRAGMA user_version = 7;
    ALTER TABLE store ADD COLUMN maintenance_wall INTEGER;
    """

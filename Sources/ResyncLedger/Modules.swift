import GRDB
package import ResyncCore

/// What a verification found out about a module.
package struct StandingRecord: Sendable, Hashable {
    package let module: String
    /// Stands for what the module was then: its stores, paths and scope.
    package let terms: String
    package let pair: String
    package let run: String
    /// When the verification began.
    package let began: Timestamp
    /// When its entries were last looked at.
    package let looked: Timestamp
    package let answer: Gate.Standing.Answer
    package let scope: Module.Scope
    package let assurance: String
    package let entries: Int
    package let bytes: Int
    /// Of entries, the time of the oldest proof; nil where none counts.
    package let oldest: Timestamp?
    /// Why it was not released, for people.
    package let reason: String
    /// How its check ended, as a shell has it; nil where none was run.
    package var checkExit: Int?
    /// Whether nothing was found where some of the module should lie. It is not kept.
    package var lacksPaths = false

    package init(
        module: String, terms: String, pair: String, run: String, began: Timestamp,
        looked: Timestamp, answer: Gate.Standing.Answer, scope: Module.Scope, assurance: String,
        entries: Int, bytes: Int, oldest: Timestamp?, reason: String
    ) {
        self.module = module
        self.terms = terms
        self.pair = pair
        self.run = run
        self.began = began
        self.looked = looked
        self.answer = answer
        self.scope = scope
        self.assurance = assurance
        self.entries = entries
        self.bytes = bytes
        self.oldest = oldest
        self.reason = reason
    }
}

extension Ledger {
    /// After all others of its module, whatever the clock says: where it was set back, a release
    /// that began at a time that is still to come is none.
    package func save(_ standing: StandingRecord) throws {
        try write { database in
            try database.execute(
                sql: """
                    UPDATE standing SET answer = ?1
                    WHERE module = ?2 AND answer = ?3 AND began_wall > ?4
                    """,
                arguments: [
                    Gate.Standing.Answer.undecided.rawValue, standing.module,
                    Gate.Standing.Answer.released.rawValue, standing.looked.number,
                ])
            let newest =
                try Int64.fetchOne(
                    database, sql: "SELECT max(looked_wall) FROM standing WHERE module = ?",
                    arguments: [standing.module]) ?? .min
            let looked = max(standing.looked.number, newest == .max ? newest : newest + 1)
            try database.execute(
                sql: """
                    INSERT OR REPLACE INTO standing
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                    """,
                arguments: [
                    standing.module, looked, standing.terms, standing.pair,
                    standing.run, standing.began.number, standing.answer.rawValue,
                    standing.scope.rawValue,
                    standing.assurance, standing.entries, standing.bytes,
                    standing.oldest?.number, standing.reason, standing.checkExit,
                ])
        }
    }

    /// What verifications found out about a module, the newest first.
    ///
    /// - Parameter answer: the only one that is asked for; nil for any.
    package func standings(
        of module: String, _ answer: Gate.Standing.Answer? = nil, limit: Int = 1000
    ) throws -> [StandingRecord] {
        try read { database in
            try Row.fetchAll(
                database,
                sql: """
                    SELECT * FROM standing WHERE module = ?1 AND coalesce(answer = ?2, 1)
                    ORDER BY looked_wall DESC LIMIT ?3
                    """,
                arguments: [module, answer?.rawValue, limit]
            ).map { try StandingRecord($0) }
        }
    }

    /// What the last look at each module found out, in order of their names.
    package func newestStandings() throws -> [StandingRecord] {
        try read { database in
            // Of each module one row of the index is visited, however many there are.
            try Row.fetchAll(
                database,
                sql: """
                    WITH RECURSIVE named(name) AS (
                        SELECT min(module) FROM standing
                        UNION ALL
                        SELECT (SELECT min(module) FROM standing WHERE module > name)
                        FROM named WHERE name IS NOT NULL)
                    SELECT standing.* FROM named JOIN standing ON module = name
                    WHERE looked_wall = (
                        SELECT max(looked_wall) FROM standing WHERE module = name)
                    ORDER BY module
                    """
            ).map { try StandingRecord($0) }
        }
    }
}

extension StandingRecord {
    fileprivate init(_ row: Row) throws {
        let oldest: Int64? = try row.value("oldest_wall")
        self.init(
            module: try row.value("module"), terms: try row.value("terms"),
            pair: try row.value("pair"), run: try row.value("run"),
            began: try row.time("began_wall"),
            looked: try row.time("looked_wall"), answer: try row.word("answer"),
            scope: try row.word("scope"), assurance: try row.value("assurance"),
            entries: try row.value("entries"), bytes: try row.value("bytes"),
            oldest: oldest.map { Timestamp(number: $0) }, reason: try row.value("reason"))
        checkExit = try row.value("check_exit")
    }
}

/// What a check of a pair last said.
package struct CheckRecord: Sendable, Hashable {
    package let pair: String
    package let name: String
    package let began: Timestamp
    package let ended: Timestamp
    /// As a shell has it.
    package let exit: Int
    /// One line of what it said, for people.
    package let line: String

    package init(
        pair: String, name: String, began: Timestamp, ended: Timestamp, exit: Int, line: String
    ) {
        self.pair = pair
        self.name = name
        self.began = began
        self.ended = ended
        self.exit = exit
        self.line = line
    }
}

extension Ledger {
    /// In place of what the same check said before.
    package func save(_ check: CheckRecord) throws {
        try write { database in
            try database.execute(
                sql: "INSERT OR REPLACE INTO pair_check VALUES (?, ?, ?, ?, ?, ?)",
                arguments: [
                    check.pair, check.name, check.began.number, check.ended.number, check.exit,
                    check.line,
                ])
        }
    }

    /// In order of pairs and names.
    package func checks() throws -> [CheckRecord] {
        try read { database in
            try Row.fetchAll(database, sql: "SELECT * FROM pair_check ORDER BY pair, name").map {
                CheckRecord(
                    pair: try $0.value("pair"), name: try $0.value("name"),
                    began: try $0.time("began_wall"), ended: try $0.time("ended_wall"),
                    exit: try $0.value("exit"), line: try $0.value("line"))
            }
        }
    }
}

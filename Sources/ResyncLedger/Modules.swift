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
    package func save(_ standing: StandingRecord) throws {
        try write { database in
            try database.execute(
                sql: """
                    INSERT OR REPLACE INTO standing
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                    """,
                arguments: [
                    standing.module, standing.looked.number, standing.terms, standing.pair,
                    standing.run, standing.began.number, standing.answer.rawValue,
                    standing.scope.rawValue,
                    standing.assurance, standing.entries, standing.bytes,
                    standing.oldest?.number, standing.reason,
                ])
        }
    }

    /// What verifications found out about a module, the newest first.
    package func standings(of module: String, limit: Int = 1000) throws -> [StandingRecord] {
        try read { database in
            try Row.fetchAll(
                database,
                sql: """
                    SELECT * FROM standing WHERE module = ? ORDER BY looked_wall DESC LIMIT ?
                    """,
                arguments: [module, limit]
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
    }
}

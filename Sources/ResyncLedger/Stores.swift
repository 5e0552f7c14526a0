import GRDB
package import ResyncCore

/// What is remembered of a store that is watched, from one watcher to the next.
package struct StoreRecord: Sendable, Hashable {
    package let name: String
    package var path: [UInt8]
    /// By which the probe's file in it is known: 32 hexadecimal digits.
    package let probeID: String
    package var sequence: UInt64 = 0
    /// As statfs(2) identifies it.
    package var fileSystem: UInt64?
    package var bootID = ""
    package var lastGood: Moment?
    package var penalty: FlapPenalty

    package init(name: String, path: [UInt8], probeID: String, penalty: FlapPenalty) {
        self.name = name
        self.path = path
        self.probeID = probeID
        self.penalty = penalty
    }
}

/// One run, for those who look for it by what it was about.
package struct RunRecord: Sendable, Hashable {
    package let id: String
    package let kind: String
    package let a: [UInt8]
    package let b: [UInt8]
    package let began: Timestamp
    package let ended: Timestamp
    package let status: Int
    package let verdict: String
    /// How strongly content was compared.
    package let assurance: String
    /// Whether all of both stores was looked at.
    package let isWhole: Bool

    package init(
        id: String, kind: String, a: [UInt8], b: [UInt8], began: Timestamp, ended: Timestamp,
        status: Int, verdict: String, assurance: String, isWhole: Bool
    ) {
        self.id = id
        self.kind = kind
        self.a = a
        self.b = b
        self.began = began
        self.ended = ended
        self.status = status
        self.verdict = verdict
        self.assurance = assurance
        self.isWhole = isWhole
    }
}

extension Ledger {
    package func stores() throws -> [StoreRecord] {
        try read { database in
            try Row.fetchAll(database, sql: "SELECT * FROM store ORDER BY name").map { row in
                let sequence: Int64 = try row.value("sequence")
                let fileSystem: Int64? = try row.value("file_system")
                var record = StoreRecord(
                    name: try row.value("name"), path: try row.bytes("path"),
                    probeID: try row.value("probe_id"),
                    penalty: FlapPenalty(
                        value: try row.value("penalty"), at: try row.time("penalty_wall"),
                        isSuppressed: try row.value("suppressed")))
                record.sequence = UInt64(clamping: sequence)
                record.fileSystem = fileSystem.map { UInt64(bitPattern: $0) }
                record.bootID = try row.value("boot_id")
                record.lastGood = try row.optionalMoment("good_boot", "good_wall")
                return record
            }
        }
    }

    /// Keeps these in place of what was kept of them.
    package func save(_ stores: [StoreRecord]) throws {
        try write { database in
            for store in stores {
                try database.execute(
                    sql: "INSERT OR REPLACE INTO store VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    arguments: [
                        store.name, store.path.blob, store.probeID,
                        Int64(clamping: store.sequence),
                        store.fileSystem.map { Int64(bitPattern: $0) }, store.bootID,
                        store.lastGood?.bootNumber, store.lastGood?.wallNumber,
                        store.penalty.value, store.penalty.at.number,
                        store.penalty.isSuppressed,
                    ])
            }
        }
    }

    package func save(_ run: RunRecord) throws {
        try write { database in
            try database.execute(
                sql: "INSERT OR REPLACE INTO run VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                arguments: [
                    run.id, run.kind, run.a.blob, run.b.blob, run.began.number,
                    run.ended.number, run.status, run.verdict, run.assurance, run.isWhole,
                ])
        }
    }

    package func runs(limit: Int = 1000) throws -> [RunRecord] {
        try read { database in
            try Row.fetchAll(
                database, sql: "SELECT * FROM run ORDER BY began_wall DESC LIMIT ?",
                arguments: [limit]
            ).map { row in
                RunRecord(
                    id: try row.value("id"), kind: try row.value("kind"),
                    a: try row.bytes("a"), b: try row.bytes("b"),
                    began: try row.time("began_wall"), ended: try row.time("ended_wall"),
                    status: try row.value("status"), verdict: try row.value("verdict"),
                    assurance: try row.value("assurance"), isWhole: try row.value("whole"))
            }
        }
    }
}

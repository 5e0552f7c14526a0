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
    /// Nil where it was never seen. Its file system is `fileSystem`, its count that of `errors`.
    package var sight: StoreSight?
    package var errors = ErrorCount()
    /// Until when it was taken into maintenance, if that is not over.
    package var maintenanceEnd: Timestamp?

    package init(name: String, path: [UInt8], probeID: String, penalty: FlapPenalty) {
        self.name = name
        self.path = path
        self.probeID = probeID
        self.penalty = penalty
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
                let end: Int64? = try row.value("maintenance_wall")
                record.maintenanceEnd = end.map { Timestamp(number: $0) }
                try record.restoreSight(row)
                return record
            }
        }
    }

    /// Keeps these in place of what was kept of them.
    package func save(_ stores: [StoreRecord]) throws {
        try write { database in
            for store in stores {
                try database.execute(
                    sql: """
                        INSERT OR REPLACE INTO store VALUES
                        (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                        """,
                    arguments: [
                        store.name, store.path.blob, store.probeID,
                        Int64(clamping: store.sequence),
                        store.fileSystem.map { Int64(bitPattern: $0) }, store.bootID,
                        store.lastGood?.bootNumber, store.lastGood?.wallNumber,
                        store.penalty.value, store.penalty.at.number,
                        store.penalty.isSuppressed, store.sight?.at.bootNumber,
                        store.sight?.at.wallNumber, store.sight?.bootID ?? "",
                        store.sight?.mount?.mount.map { Int64(clamping: $0) },
                        store.sight?.mount.map { $0.device.number },
                        store.sight?.mount?.isReadOnly ?? false,
                        store.sight?.mount?.instance.map { Int64(bitPattern: $0) },
                        store.errors.count.map { Int64(clamping: $0) },
                        store.errors.since?.number, Int64(clamping: store.errors.accepted),
                        store.sight?.clock ?? 0, store.maintenanceEnd?.number,
                    ])
            }
        }
    }

    package func save(_ runs: RunRecord...) throws { try save(runs) }

    package func save(_ runs: [RunRecord]) throws {
        try write { database in
            for run in runs {
                try database.execute(
                    sql:
                        "INSERT OR REPLACE INTO run VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    arguments: [
                        run.id, run.kind, run.a.blob, run.b.blob, run.began.number,
                        run.ended.number, run.status, run.verdict, run.assurance, run.isWhole,
                        run.identities.a?.text, run.identities.b?.text, run.findings,
                    ])
            }
        }
    }

    /// Of the runs that came to their end and found everything the same: nothing is added to them.
    package func goodRunIDs() throws -> Set<String> {
        try read { try String.fetchSet($0, sql: "SELECT id FROM run WHERE status = 0") }
    }

    /// The newest first.
    package func runs(limit: Int = 1000) throws -> [RunRecord] {
        try runs("1", [], limit)
    }

    /// The newest runs before a time that found anything, or that read all of it from the medium,
    /// and no more than `findingsLimit`.
    package func findings(before time: Timestamp) throws -> [RunRecord] {
        try runs(
            "began_wall < ? AND (status != 0 OR findings > 0 OR whole AND assurance = ?)",
            [time.number, Assurance.media.rawValue], Self.findingsLimit)
    }

    package static let findingsLimit = 1000

    private func runs(
        _ condition: String, _ arguments: StatementArguments, _ limit: Int
    ) throws -> [RunRecord] {
        try read { database in
            try Row.fetchAll(
                database,
                sql: "SELECT * FROM run WHERE \(condition) ORDER BY began_wall DESC LIMIT ?",
                arguments: arguments + [limit]
            ).map { row in
                let status: Int = try row.value("status")
                let findings: Int? = try row.value("findings")
                let foundNothing =
                    status == ExitStatus.ok.code || status == ExitStatus.outOfTime.code
                return RunRecord(
                    id: try row.value("id"), kind: try row.value("kind"),
                    a: try row.bytes("a"), b: try row.bytes("b"),
                    began: try row.time("began_wall"), ended: try row.time("ended_wall"),
                    status: status, verdict: try row.value("verdict"),
                    assurance: try row.value("assurance"), isWhole: try row.value("whole"),
                    findings: findings ?? (foundNothing ? 0 : 1),
                    identities: Sides(
                        a: try row.identity("a_identity"), b: try row.identity("b_identity")))
            }
        }
    }
}

extension Row {
    fileprivate func identity(_ column: String) throws -> StoreIdentity? {
        guard let text: String = try value(column) else { return nil }
        guard let identity = StoreIdentity(text) else { throw LedgerError.damage }
        return identity
    }
}

extension StoreIdentity {
    fileprivate var text: String { "\(fileSystem) \(inode) \(device.text)" }

    fileprivate init?(_ text: String) {
        let words = text.split(separator: " ")
        guard words.count == 3, let fileSystem = UInt64(words[0]), let inode = UInt64(words[1]),
            let device = DeviceNumber(words[2].utf8)
        else { return nil }
        self.init(fileSystem: fileSystem, inode: inode, device: device)
    }
}

extension StoreRecord {
    fileprivate mutating func restoreSight(_ row: Row) throws {
        let (count, since): (Int64?, Int64?) = (
            try row.value("errors"), try row.value("errors_wall")
        )
        errors.count = count.map { UInt64(clamping: $0) }
        errors.since = since.map { Timestamp(number: $0) }
        errors.accepted = UInt64(clamping: try row.value("errors_accepted") as Int64)
        guard let at = try row.optionalMoment("seen_boot", "seen_wall") else { return }
        var sight = StoreSight(at: at, bootID: try row.value("seen_boot_id"))
        (sight.fileSystem, sight.errorCount) = (fileSystem, errors.count)
        sight.clock = try row.value("clock")
        let (device, mount): (Int64?, Int64?) = (
            try row.value("mount_device"), try row.value("mount")
        )
        let instance: Int64? = try row.value("mount_instance")
        if let device {
            sight.mount = MountSight(
                mount: mount.map { UInt64(clamping: $0) }, device: DeviceNumber(number: device),
                isReadOnly: try row.value("mount_read_only"),
                instance: instance.map { UInt64(bitPattern: $0) })
        }
        self.sight = sight
    }
}

extension DeviceNumber {
    /// In one column.
    fileprivate var number: Int64 { Int64(bitPattern: UInt64(major) << 32 | UInt64(minor)) }

    fileprivate init(number: Int64) {
        let bits = UInt64(bitPattern: number)
        self.init(
            major: UInt32(truncatingIfNeeded: bits >> 32), minor: UInt32(truncatingIfNeeded: bits))
    }
}

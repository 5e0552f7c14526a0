import GRDB
package import ResyncCore

/// An episode as the ledger keeps it, with what it needs to be understood without a configuration.
package struct EpisodeRecord: Sendable, Hashable {
    package var episode: Episode
    /// The store's path when it was recorded.
    package var path: [UInt8]
    /// Seconds for which written data could have been kept back, and by which the clock that gave
    /// it its times was behind: the suspect window's margin.
    package var margin: Double
    /// When it came to be known, as it is now: what was verified before was not held against it.
    /// Nil: nobody knows.
    package var noted: Timestamp?

    package init(_ episode: Episode, path: [UInt8], margin: Double, noted: Timestamp?) {
        self.episode = episode
        self.path = path
        self.margin = margin
        self.noted = noted
    }

    package var window: (start: Timestamp?, end: Timestamp?) {
        episode.suspectWindow(margin: margin)
    }
}

extension Ledger {
    /// Keeps an episode as it is now, in place of what was kept of it.
    package func save(_ record: EpisodeRecord) throws {
        try write { database in
            let id = record.episode.id
            let isKnown = try Bool.fetchOne(
                database, sql: "SELECT EXISTS (SELECT 1 FROM episode WHERE id = ?)",
                arguments: [id])
            if isKnown != true {
                // What was released at a time that is still to come says nothing of what follows.
                try database.execute(
                    sql: """
                        UPDATE standing SET answer = ?1
                        WHERE answer = ?2 AND (began_wall > ?3 OR looked_wall > ?3)
                        """,
                    arguments: [
                        Gate.Standing.Answer.undecided.rawValue,
                        Gate.Standing.Answer.released.rawValue, record.noted?.number,
                    ])
            }
            try database.execute(sql: "DELETE FROM step WHERE episode = ?", arguments: [id])
            try database.execute(sql: "DELETE FROM evidence WHERE episode = ?", arguments: [id])
            try insert(record, database)
            for (place, step) in record.episode.steps.enumerated() {
                try database.execute(
                    sql: "INSERT INTO step VALUES (?, ?, ?, ?, ?)",
                    arguments: [
                        id, place, step.kind.rawValue, step.at.bootNumber, step.at.wallNumber,
                    ])
            }
            for (place, piece) in record.episode.evidence.enumerated() {
                try database.execute(
                    sql: "INSERT INTO evidence VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    arguments: [
                        id, place, piece.source.rawValue, piece.strength.rawValue,
                        piece.kind?.rawValue, piece.what, piece.text.blob, piece.at.bootNumber,
                        piece.at.wallNumber,
                    ])
            }
        }
    }

    /// Those that are open, in the order in which they began.
    package func openEpisodes() throws -> [EpisodeRecord] {
        try episodes("closed_wall IS NULL", [])
    }

    /// Those that began, or were still open, at or after a time, in the order in which they began.
    package func episodes(since time: Timestamp) throws -> [EpisodeRecord] {
        try episodes(
            "closed_wall IS NULL OR closed_wall >= ?", [time.number])
    }

    /// The same, as a new one is placed among them.
    package func chronicle(since time: Timestamp) throws -> Chronicle {
        Chronicle(try episodes(since: time).map { EpisodeHeader($0.episode) })
    }

    /// The one whose id this is, or the beginning or end of.
    package func episode(_ id: String) throws -> EpisodeRecord? {
        if let exact = try episodes("id = ?", [id]).first { return exact }
        guard !id.isEmpty else { return nil }
        let found = try episodes(
            "substr(id, 1, length(?1)) = ?1 OR substr(id, -length(?1)) = ?1", [id])
        return found.count == 1 ? found[0] : nil
    }

    package func lastEpisode() throws -> EpisodeRecord? {
        try episodes("id = (SELECT id FROM episode ORDER BY evidence_wall DESC LIMIT 1)", [])
            .first
    }

    package func episodes(ofIncident id: String) throws -> [EpisodeRecord] {
        try episodes("incident = ?", [id])
    }

    private func episodes(
        _ condition: String, _ arguments: StatementArguments
    ) throws -> [EpisodeRecord] {
        try read { database in
            let rows = try Row.fetchAll(
                database,
                sql: "SELECT * FROM episode WHERE \(condition) ORDER BY evidence_wall, id",
                arguments: arguments)
            return try rows.map { try record(from: $0, database) }
        }
    }

    /// Notes what became of suspicions, in the order in which it was so; all of it, or nothing.
    package func save(_ notes: [SuspicionNote]) throws {
        try write { database in
            for note in notes {
                switch note.what {
                case .began(let evidence):
                    try database.execute(
                        sql: "INSERT INTO suspicion VALUES (?, ?, NULL, ?, ?)",
                        arguments: [
                            note.store, evidence.at.wallNumber, evidence.what, evidence.text.blob,
                        ])
                case .ended(let time):
                    try database.execute(
                        sql: """
                            UPDATE suspicion SET ended_wall = ?
                            WHERE store = ? AND ended_wall IS NULL
                            """,
                        arguments: [time.number, note.store])
                }
            }
        }
    }
}

/// What became of a suspicion.
package struct SuspicionNote: Sendable {
    package enum What: Sendable {
        case began(Evidence)
        /// It came to nothing, or to an episode: of all that have no end yet.
        case ended(Timestamp)
    }

    package let store: String
    package let what: What

    package init(_ store: String, _ what: What) {
        self.store = store
        self.what = what
    }

    package var isEnd: Bool { if case .ended = what { true } else { false } }
}

private func insert(_ record: EpisodeRecord, _ database: Database) throws {
    let episode = record.episode
    try database.execute(
        sql: """
            INSERT OR REPLACE INTO episode VALUES
            (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """,
        arguments: [
            episode.id, episode.store, record.path.blob, episode.incident,
            episode.recurrenceOf, episode.ordinal, episode.bootID,
            episode.lastGood?.bootNumber, episode.lastGood?.wallNumber,
            episode.firstEvidence.bootNumber, episode.firstEvidence.wallNumber,
            episode.detected.bootNumber, episode.detected.wallNumber,
            episode.firstGood?.bootNumber, episode.firstGood?.wallNumber,
            episode.closed?.bootNumber, episode.closed?.wallNumber,
            episode.ending?.rawValue, episode.flaps, episode.sawCheck,
            episode.errorCount.map { Int64(clamping: $0) }, episode.evidenceLeftOut,
            record.margin, episode.note, record.noted?.number,
        ])
}

private func record(from row: Row, _ database: Database) throws -> EpisodeRecord {
    let id: String = try row.value("id")
    let steps = try Row.fetchAll(
        database, sql: "SELECT * FROM step WHERE episode = ? ORDER BY place", arguments: [id]
    ).map { Episode.Step(try $0.word("class"), try $0.moment("boot", "wall")) }
    guard !steps.isEmpty else { throw LedgerError.damage }
    let evidence = try Row.fetchAll(
        database, sql: "SELECT * FROM evidence WHERE episode = ? ORDER BY place",
        arguments: [id]
    ).map { row in
        Evidence(
            try row.word("source"), try row.word("strength"), try row.optionalWord("class"),
            what: try row.value("what"), text: try row.bytes("text"),
            at: try row.moment("boot", "wall"))
    }
    var episode = Episode(
        id: id, store: try row.value("store"), bootID: try row.value("boot_id"),
        lastGood: try row.optionalMoment("good_boot", "good_wall"),
        firstEvidence: try row.moment("evidence_boot", "evidence_wall"),
        detected: try row.moment("detected_boot", "detected_wall"), steps: steps)
    episode.restore(evidence: evidence, leftOut: try row.value("left_out"))
    episode.firstGood = try row.optionalMoment("first_good_boot", "first_good_wall")
    episode.closed = try row.optionalMoment("closed_boot", "closed_wall")
    episode.ending = try row.optionalWord("ended_by")
    episode.flaps = try row.value("flaps")
    episode.sawCheck = try row.value("saw_check")
    let count: Int64? = try row.value("error_count")
    episode.errorCount = count.map { UInt64(clamping: $0) }
    episode.incident = try row.value("incident")
    episode.recurrenceOf = try row.value("recurrence_of")
    episode.ordinal = try row.value("ordinal")
    episode.note = try row.value("note")
    let noted: Int64? = try row.value("noted_wall")
    return EpisodeRecord(
        episode, path: try row.bytes("path"), margin: try row.value("margin"),
        noted: noted.map { Timestamp(number: $0) })
}

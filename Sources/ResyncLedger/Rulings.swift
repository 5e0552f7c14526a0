import GRDB
package import ResyncCore

extension Ledger {
    /// Takes over all that was decided about a run, oldest first. They outlive the run.
    package func save(_ decisions: Decisions, of run: String) throws {
        try write { database in
            for (place, decision) in decisions.all.enumerated() {
                try database.execute(
                    sql: "INSERT OR REPLACE INTO decision VALUES (?, ?, ?, ?, ?, ?, ?)",
                    arguments: [
                        run, place, decision.path.bytes.blob, decision.ruling.word,
                        decision.who.blob, decision.when.number, decision.reason.blob,
                    ])
            }
        }
    }

    /// By run, the oldest first.
    package func decisions() throws -> [(run: String, decisions: Decisions)] {
        let rows = try read { database in
            try Row.fetchAll(database, sql: "SELECT * FROM decision ORDER BY run, place").map {
                (run: try $0.value("run") as String, try Decision($0))
            }
        }
        let byRun = Dictionary(grouping: rows) { $0.run }.mapValues { Decisions($0.map(\.1)) }
        return byRun.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }
}

extension Decision {
    fileprivate init(_ row: Row) throws {
        let path = RelativePath(try row.bytes("path"))
        guard path.isValid, let ruling = Ruling(try row.value("ruling")) else {
            throw LedgerError.damage
        }
        self.init(
            path: path, ruling: ruling, who: try row.bytes("who"), when: try row.time("wall"),
            reason: try row.bytes("reason"))
    }
}

extension Decision.Ruling {
    fileprivate var word: String {
        switch self {
        case .accept(let side): "accept \(side.word)"
        case .open: "open"
        }
    }

    fileprivate init?(_ word: String) {
        let known = [Self.open] + Side.allCases.map { .accept($0) }
        guard let ruling = known.first(where: { $0.word == word }) else { return nil }
        self = ruling
    }
}

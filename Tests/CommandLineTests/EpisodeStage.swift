import Foundation
import Glibc
import Testing

/// Two equal stores that are configured as `mail`, with nobody watching.
struct EpisodeStage {
    let stage: Stage
    var config: String { stage.folder + "/config.yaml" }
    var ledger: String { stage.state + "/ledger.sqlite" }

    init() throws {
        stage = try Stage()
        try stage.write("a/file", noise(9000))
        try stage.write("a/other", noise(70_000, seed: 2))
        try stage.copy()
        try stage.write(
            "config.yaml", "pairs: [{name: mail, a: \(stage.a), b: \(stage.b)}]\n")
    }

    func run(_ arguments: String...) throws -> Finished { try stage.resync(arguments).run() }

    /// `episode open` of mail/a with these options; what it said, as the ledger has it.
    @discardableResult
    func open(_ more: String..., store: String = "mail/a", zone: String? = nil) throws
        -> [String: Any]
    {
        let before = try episodes("--since", "9000d").map { $0["episode"] as? String }
        let done = try opening(more, store: store, zone: zone)
        try #require(done.status == 0, "\(done.report)")
        let new = try episodes("--since", "9000d").filter {
            !before.contains($0["episode"] as? String)
        }
        return new.first ?? [:]
    }

    func opening(
        _ more: [String], store: String = "mail/a", zone: String? = nil
    ) throws -> Finished {
        let words =
            ["episode", "open", store, "--note", "a test", "--config", config] + more
        return try inZone(zone, words)
    }

    func inZone(_ zone: String?, _ words: [String]) throws -> Finished {
        var command = stage.resync(words)
        if let zone {
            command.arguments =
                [Array("TZ=\(zone)".utf8), Array(command.program.utf8)] + command.arguments
            command.program = "/usr/bin/env"
        }
        return try command.run()
    }

    func episodes(_ more: String...) throws -> [[String: Any]] {
        let found = try stage.resync(["episode", "list", "--json"] + more).run()
        return try objects(found.lines)
    }

    @discardableResult
    func close(_ episode: [String: Any]) throws -> Finished {
        let id = episode["episode"] as? String ?? "?"
        let closed = try run("episode", "close", id, "--note", "looked")
        #expect(closed.status == 0, "\(closed.report)")
        return closed
    }
}

/// Has the SQLite shell do something with a database; nil where there is none.
@discardableResult
func sqlite(_ path: String, _ words: String...) throws -> Finished? {
    guard let shell = Command.find("sqlite3") else { return nil }
    return try Command(shell, [path] + words).run()
}

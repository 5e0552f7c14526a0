import Foundation
import Glibc
import TestSupport
import Testing

/// Two equal stores that are watched, with three modules, as old as what was left alone for
/// years.
final class GateScene {
    let folder: Stage
    let watch: WatchStage

    /// - Parameters:
    ///   - verifies: whether the watcher does so by itself.
    ///   - holdDown: longer than any test takes, so that an episode ends when the test says so.
    init(
        verifies: Bool = false, notify: String? = nil, readLimit: String? = nil,
        holdDown: Double = 600,
        modules: String = """
        - {name: rec, pair: mail, paths: [rec], after: [db]}
        - {name: db, pair: mail, paths: [db]}
        - {name: log, pair: mail, paths: [log], scope: suspect}
        - {name: nothing, pair: mail, paths: [nowhere/at/all]}
        """
    ) throws {
        let folder = try Stage()
        self.folder = folder
        for (module, seed) in [("rec", 1), ("db", 2), ("log", 3)] {
            try folder.makeFolder("a/\(module)")
            for number in 0..<3 {
                try folder.write(
                    "a/\(module)/f\(number)",
                    noise(9000 + number, seed: UInt64(seed * 10 + number)))
            }
        }
        watch = try WatchStage(
            folder.a, verifies: verifies, notify: notify,
            readLimit: readLimit, holdDown: holdDown,
            modules: "modules:\n" + modules
        ) { stage in
            try system("cp", "-a", folder.a + "/.", stage.folder + "/other")
            for store in [folder.a, stage.folder + "/other"] {
                let script = "find \"$1\" -exec touch -h -d @1500000000 {} +"
                let done = try Command("/bin/sh", ["-c", script, "sh", store]).run()
                try #require(done.status == 0, "\(done.report)")
            }
        }
        // What was written just before it is read is to be read again.
        usleep(2_200_000)
    }

    var b: String { watch.stage.folder + "/other" }

    func run(_ words: String...) throws -> Finished {
        try watch.stage.resync(words + ["--config", watch.stage.folder + "/config.yaml"]).run()
    }

    /// An episode of B, from its opening to its end.
    func episode(_ kind: String = "io-error", while body: () throws -> Void = {}) throws {
        let opened = try run("episode", "open", "mail/b", "--note", "test", "--class", kind)
        try #require(opened.status == 0, "\(opened.report)")
        try body()
        // It is kept a moment after it was opened.
        var id: String?
        try #require(
            try watch.within(10) {
                id = try watch.episodes().first { $0["closed"] == nil }?["episode"] as? String
                return id != nil
            })
        let closed = try watch.stage.resync(
            ["episode", "close", id ?? "", "--note", "test"]
        ).run()
        try #require(closed.status == 0, "\(closed.report)")
        // What begins within the second in which it ended still falls into it.
        usleep(1_200_000)
    }

    func gate(_ module: String) throws -> Int32 { try run("gate", module).status }

    func verify(_ module: String, _ more: String...) throws -> Finished {
        try watch.stage.resync(
            ["verify", "--module", module, "--config", watch.stage.folder + "/config.yaml"]
                + more
        ).run()
    }
}

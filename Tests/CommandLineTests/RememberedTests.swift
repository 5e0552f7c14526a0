import Foundation
import Glibc
import TestSupport
import Testing

/// What is remembered of an earlier comparison stands for no more than that one has read.
@Suite struct RememberedTests {
    private let stage: Stage

    init() throws {
        stage = try Stage(below: "/var/tmp")
        try system("mkdir", "-p", stage.folder + "/a/d")
        for name in ["d/f1", "d/f2", "d/x"] {
            try stage.write("a/" + name, "content of " + name)
        }
        try configure()
        try same()
    }

    private func configure(_ more: String = "") throws {
        try stage.write(
            "config.yaml",
            """
            pairs: [{name: p, a: \(stage.a), b: \(stage.b), settle: 0s}]
            modules: [{name: m, pair: p, paths: [d]\(more)}]
            """)
    }

    private func same() throws {
        try system("rsync", "-aH", "--delete", stage.a + "/", stage.folder + "/b/")
        try system("find", stage.a, stage.b, "-exec", "touch", "-hd", "2020-01-01", "{}", "+")
        usleep(2_200_000)
    }

    @discardableResult
    private func verify(_ status: Int32, _ words: String...) throws -> Finished {
        let done = try stage.resync(["verify"] + words + ["--config", "config.yaml"]).run()
        #expect(done.status == status, "\(words): \(done.report)")
        return done
    }

    /// Entries that it compared, and that needed no comparing.
    private func unproven(_ words: String...) throws -> (entries: Int, before: Int) {
        let words =
            ["verify", "p", "--only", "unproven", "--json", "--config", "config.yaml"] + words
        let done = try stage.resync(words).run()
        let summary = try objects(done.lines).last ?? [:]
        return (summary["entries"] as? Int ?? -1, summary["proven_before"] as? Int ?? 0)
    }

    @Test func aSuspectWindowHoldsForWhatIsUnproven() throws {
        try verify(0, "p")
        #expect(try unproven().entries == 0)
        let found = try unproven("--suspect", "00:00..23:59:59")
        #expect(found.entries > 3 && found.before == 0, "\(found)")
    }

    /// Nobody can say since when.
    @Test func withoutALedgerNothingCounts() throws {
        try verify(0, "p")
        try system(
            "sh", "-c",
            "rm -f '\(stage.state)'/ledger.sqlite*; echo no >'\(stage.state)/ledger.sqlite'")
        let found = try unproven()
        #expect(found.entries > 3 && found.before == 0, "\(found)")
        let cached = try verify(0, "p", "--assurance", "cached")
        #expect(
            cached.text.contains("at media") && !cached.text.contains("at hash"), "\(cached.report)"
        )
    }

    /// One of A that is over, as a person tells of it.
    private func noteEpisode() throws {
        let noted = try stage.resync([
            "episode", "open", "p/a", "--from", "00:00", "--to", "00:00", "--note", "x", "--config",
            "config.yaml",
        ]).run()
        try #require(noted.status == 0, "\(noted.report)")
        usleep(1_100_000)
    }

    /// What was on one side only was read by nobody.
    @Test func whoDidNotReadAllDoesNotEndTheDoubt() throws {
        try stage.write("a/d/big", "on A alone")
        try noteEpisode()
        let first = try verify(1, stage.a, stage.b)
        #expect(first.errorText.contains("assurance media"), "\(first.report)")
        try system("cp", "-p", stage.a + "/d/big", stage.b + "/d/big")
        try system("touch", "-r", stage.a + "/d", stage.b + "/d")
        let second = try verify(0, stage.a, stage.b)
        #expect(second.errorText.contains("assurance media"), "\(second.report)")
        let third = try verify(0, stage.a, stage.b)
        #expect(!third.errorText.contains("assurance media"), "\(third.report)")
    }

    @Test func anotherStoreInItsPlaceMakesNothingGood() throws {
        try verify(0, "p")
        // Found by a comparison by path, under a stat that was proven.
        try stage.write("a/d/f1", "CONTENT OF d/f1")
        try system("touch", "-hd", "2020-01-01", stage.a + "/d/f1", stage.a + "/d")
        try verify(1, stage.a, stage.b)
        #expect(try unproven().entries > 0)
        try system("mv", stage.a, stage.folder + "/elsewhere")
        try system("cp", "-a", stage.b, stage.a)
        usleep(2_200_000)
        try verify(0, stage.a, stage.b, "--assurance", "media")
        try system("rm", "-rf", stage.a)
        try system("mv", stage.folder + "/elsewhere", stage.a)
        let found = try verify(1, "p", "--only", "unproven")
        #expect(found.text.contains("* d/f1  content"), "\(found.report)")
    }

    @Test func anotherStoreInItsPlaceDoesNotEndTheDoubt() throws {
        try noteEpisode()
        try system("mv", stage.a, stage.folder + "/elsewhere")
        try system("cp", "-a", stage.b, stage.a)
        usleep(2_200_000)
        let other = try verify(0, stage.a, stage.b)
        #expect(other.errorText.contains("assurance media"), "\(other.report)")
        try system("rm", "-rf", stage.a)
        try system("mv", stage.folder + "/elsewhere", stage.a)
        let first = try verify(0, stage.a, stage.b)
        #expect(first.errorText.contains("assurance media"), "\(first.report)")
        let second = try verify(0, stage.a, stage.b)
        #expect(!second.errorText.contains("assurance media"), "\(second.report)")
    }

    /// What a manifest of the other store says is read again, whatever was kept.
    @Test func whatAManifestFoundIsReadAgain() throws {
        func read() throws -> Int? {
            let done = try verify(0, stage.a, stage.b, "--assurance", "cached", "--json")
            return try objects(done.lines).last?["bytes_read"] as? Int
        }
        try verify(0, stage.a, stage.b, "--keep")
        #expect(try read() == 0)
        // Of the same store, with other files under the same names, and no file is touched.
        let (own, other) = (stage.b + "/d", stage.folder + "/other")
        try system("cp", "-a", own, other)
        try system("sh", "-c", "printf CONTENT | dd of='\(other)/f1' conv=notrunc status=none")
        try system("touch", "-hd", "2020-01-01", other + "/f1")
        try system("mv", own, stage.folder + "/own")
        try system("mv", other, own)
        usleep(2_200_000)
        let made = try stage.resync(["scan", stage.b, "-o", stage.folder + "/m"]).run()
        try #require(made.status == 0, "\(made.report)")
        try system("mv", own, other)
        try system("mv", stage.folder + "/own", own)
        #expect(try read() == 0)
        try verify(1, stage.a, stage.folder + "/m", "--settle", "0s")
        #expect(try read() == 2 * "content of d/f1".utf8.count)
    }

    /// What was proven meanwhile is not taken back by who began before that.
    @Test func whatWasProvenMeanwhileStays() throws {
        try stage.write("a/z", noise(8 << 20))
        try same()
        try verify(0, "p")
        // Touched, and as it was.
        try system("touch", "-hd", "2020-01-01", stage.a + "/d/f1")
        usleep(2_200_000)
        let running = try stage.resync([
            "verify", stage.a, "--against", "baseline", "--assurance", "hash", "--read-limit",
            "1MiB/s", "--workers", "1", "--config", "config.yaml", "--progress", "json",
        ]).start()
        for _ in 0..<400 where !running.errorsSoFar.contains("\"status\"") { usleep(10_000) }
        usleep(500_000)
        for side in ["a", "b"] {
            try stage.write(side + "/d/f1", "CONTENT OF d/f1")
            try system("touch", "-hd", "2020-01-03", stage.folder + "/\(side)/d/f1")
        }
        usleep(2_200_000)
        try verify(0, "--module", "m")
        let ended = try running.wait()
        #expect(ended.status == 0, "\(ended.report)")
        #expect(try unproven().entries == 0)
    }

    @Test func linksAreNotProvenNameByName() throws {
        try system("ln", "-f", stage.a + "/d/f1", stage.a + "/d/x")
        try system("cp", "-p", stage.a + "/d/f1", stage.b + "/d/x")
        try system("find", stage.a, stage.b, "-exec", "touch", "-hd", "2020-01-01", "{}", "+")
        usleep(2_200_000)
        try verify(1, "p", "--with", "links")
        for _ in 0..<2 { try verify(1, "p", "--with", "links", "--only", "unproven") }
    }

    @Test func whatAgreedWithinAWindowIsNotProven() throws {
        try system("touch", "-hd", "2020-01-01 00:30", stage.b + "/d/f1")
        usleep(2_200_000)
        try verify(0, stage.a, stage.b, "--keep", "--modify-window", "1h")
        let found = try verify(1, "p", "--only", "unproven")
        #expect(found.text.contains("* d/f1  mtime"), "\(found.report)")
    }

    /// What must not change is held against what was proven, however it is compared meanwhile.
    @Test(arguments: [false, true]) func aPolicyIsNotForgotten(_ isByPath: Bool) throws {
        try configure(", policy: immutable")
        try verify(0, "p")
        if !isByPath { for _ in 0..<2 { try verify(0, "p", "--exclude", "/d/f1") } }
        for side in ["a", "b"] { try stage.write(side + "/d/f1", "changed alike on both sides") }
        try system("find", stage.a, stage.b, "-exec", "touch", "-hd", "2020-01-01", "{}", "+")
        usleep(2_200_000)
        if isByPath {
            let byPath = try verify(1, stage.a, stage.b, "--keep")
            #expect(byPath.errorText.contains("module 'm': 1 not what was"), "\(byPath.report)")
        }
        let found = try verify(1, "p")
        #expect(found.text.contains("must not change"), "\(found.report)")
    }

    @Test func theCacheProvesNothingOfTheMedium() throws {
        try verify(0, "p", "--assurance", "media")
        try stage.write("a/d/f2", "content of d/f2")
        try system("touch", "-hd", "2020-01-01", stage.a + "/d/f2", stage.a + "/d")
        usleep(2_200_000)
        let alone = try stage.resync([
            "verify", stage.a, "--against", "baseline", "--assurance", "hash", "--config",
            "config.yaml",
        ]).run()
        #expect(alone.status == 0, "\(alone.report)")
        #expect(try unproven("--assurance", "media").entries > 0)
        #expect(try unproven("--assurance", "media").entries == 0)
    }
}

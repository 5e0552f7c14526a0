import Foundation
import Glibc
import TestSupport
import Testing

/// What rots on a medium while no stat moves: B is an ext4, of whose disk bytes are turned over.
@Suite(.serialized) struct RottenStoreTests {
    private struct RottenStage {
        let scene: ModuleRulesTests.Scene
        private let disk: LoopMount

        /// Nil where it cannot be had here. The module is released, from the medium.
        init?() throws {
            // What the kernel logs of the disks that other tests break is not said of this one.
            guard let disk = try LoopMount(.ext4, device: "/dev/loop2000") else { return nil }
            self.disk = disk
            scene = try ModuleRulesTests.Scene("scope: full")
            try scene.stage.write(
                "config.yaml",
                """
                pairs:
                  - {name: mail, a: \(scene.stage.a), b: \(disk.point), settle: 0s, max-age: 1d}
                modules: [{name: m, pair: mail, paths: [d]}]

                """)
            try system("cp", "-a", scene.stage.a + "/.", disk.point)
            try scene.age("a")
            try system("find", disk.point, "-exec", "touch", "-h", "-d", "@1500000000", "{}", "+")
            usleep(2_200_000)
            let proven = try run("verify", "mail", "--assurance", "media")
            #expect(proven.text.contains("module m: released"), "\(proven.report)")
        }

        func run(_ words: String...) throws -> Finished {
            try scene.stage.resync(words + ["--config", scene.scene.config]).run()
        }

        /// As if nobody had configured them.
        func compare(_ words: String..., b: String? = nil) throws -> Finished {
            try scene.stage.resync(["verify", scene.stage.a, b ?? disk.point] + words).run()
        }

        /// Whether what was kept says that all is well: what a test begins with. Nil where it
        /// cannot be told here.
        func isTrusted() throws -> Bool? {
            let night = try compare("--assurance", "cached")
            guard isCalm(night) else { return nil }
            #expect(night.status == 0, "what was kept: \(night.report)")
            return night.status == 0
        }

        func loseLedger() throws {
            try system("sh", "-c", "rm -f \(scene.stage.folder)/state/ledger.sqlite*")
        }

        /// Whether the night after finds it.
        func expectFound(_ line: SourceLocation = #_sourceLocation) throws {
            let night = try compare("--assurance", "cached")
            let isFound = night.status == 1 && night.text.contains("* d/g")
            #expect(isFound, "\(night.report)", sourceLocation: line)
        }

        /// d/g on B; once more, and it is as it was.
        func rot() throws {
            try #require(try disk.flip(noise(9000, seed: UInt64(UInt8(ascii: "g")))))
        }

        var b: String { disk.point }

        /// Where old messages speak of a disk of the same name, nothing counts that was kept.
        func isCalm(_ night: Finished) -> Bool {
            guard night.errorText.contains("trouble on") else { return true }
            skip("the kernel log speaks against the loop device")
            return false
        }
    }

    /// What the medium showed to differ is made good by nothing that was kept, nor by the cache.
    @Test func whatRottedIsNotProvenByWhatWasKept() throws {
        guard let stage = try RottenStage() else { return }
        try stage.rot()
        let night = try stage.run("verify", "mail", "--assurance", "cached")
        guard stage.isCalm(night) else { return }
        #expect(night.text.contains("module m: released"), "what was kept: \(night.report)")
        let found = try stage.scene.verify("--assurance", "media")
        #expect(found.text.contains("module m: NOT RELEASED"), "\(found.report)")
        // Nor does it agree for that run being deleted.
        let run = try #require(stage.scene.stage.runs("list").lines.last?.prefix { $0 != " " })
        #expect(try stage.scene.stage.runs("delete", String(run)).status == 0)
        let again = try stage.run("verify", "mail", "--assurance", "cached")
        #expect(again.status == 1, "\(again.report)")
        #expect(again.text.contains("module m: NOT RELEASED"), "\(again.report)")
        // Back as it was, though nobody has read it so: the night reads it, and says no more.
        try stage.rot()
        let healed = try stage.run("verify", "mail", "--assurance", "media")
        #expect(healed.status == 0, "\(healed.report)")
        #expect(healed.text.contains("module m: released"), "\(healed.report)")

        // A night that reads again what was read longest ago finds it, and takes the release back.
        try stage.rot()
        usleep(1_200_000)
        let config = stage.scene.stage.text("config.yaml")
        try stage.scene.stage.write(
            "config.yaml", config.replacingOccurrences(of: "max-age: 1d", with: "max-age: 1s"))
        let late = try stage.run("nightly")
        #expect(late.status == 2 && late.text.contains("* d/g  content"), "\(late.report)")
        let modules = try stage.run("status", "--json")
        #expect(modules.text.contains("1 different"), "\(modules.report)")
    }

    /// Where nobody watches, and where the ledger was lost, the runs themselves tell.
    @Test func whatRottedIsNotForgottenWithTheLedger() throws {
        guard let stage = try RottenStage() else { return }
        try stage.rot()
        guard try stage.isTrusted() == true else { return }
        #expect(try stage.compare("--assurance", "media").status == 1)
        try stage.loseLedger()
        try stage.expectFound()
        // A new one knows of it, also when the runs are gone by then.
        try stage.scene.stage.write(
            "config.yaml", "pairs: [{name: other, a: /nowhere/a, b: /nowhere/b}]\n")
        let opened = try stage.run(
            "episode", "open", "other/a", "--from", "00:00", "--to", "00:00", "--note", "x")
        try #require(opened.status == 0, "\(opened.report)")
        try deleteRuns(stage)
        try stage.expectFound()
        // Without one it is remembered that somebody deleted what was found.
        try stage.loseLedger()
        try deleteRuns(stage)
        try stage.expectFound()
    }

    private func deleteRuns(_ stage: RottenStage) throws {
        for line in try stage.scene.stage.runs("list").lines {
            let run = String(line.prefix { $0 != " " })
            #expect(try stage.scene.stage.runs("delete", run).status == 0)
        }
    }

    /// What was kept goes by what a store is, not by how its path was written.
    @Test func whatRottedIsFoundUnderAnyPath() throws {
        guard let stage = try RottenStage() else { return }
        try stage.rot()
        guard try stage.isTrusted() == true else { return }
        let link = stage.scene.stage.folder + "/link"
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: stage.b)
        #expect(try stage.compare("--assurance", "media", b: link).status == 1)
        try stage.expectFound()
        let module = try stage.run("verify", "--module", "m", "--assurance", "cached")
        #expect(module.text.contains("module m: NOT RELEASED"), "\(module.report)")
    }

    /// One that began before a comparison that found nothing, and ended after it.
    @Test func whatAComparisonFoundThatWasGoneOnWithCounts() throws {
        guard let stage = try RottenStage() else { return }
        let running = try stage.scene.stage.resync([
            "verify", stage.scene.stage.a, stage.b, "--assurance", "media", "--read-limit",
            "12KiB/s",
        ]).start()
        usleep(1_500_000)
        running.signal(SIGINT)
        let cut = try running.wait()
        try #require(cut.status == 130, "\(cut.report)")
        let run = try #require(stage.scene.stage.runs("list").lines.last?.prefix { $0 != " " })
        #expect(try stage.compare("--assurance", "media").status == 0)
        try stage.rot()
        guard try stage.isTrusted() == true else { return }
        let found = try stage.scene.stage.runs("resume", String(run))
        #expect(found.status == 1, "\(found.report)")
        try stage.expectFound()
    }

    /// Nor is it, where it had found nothing yet, what the ledger has of it, if that could not be
    /// written any more.
    @Test func whatTheLedgerDoesNotHaveTheRunHas() throws {
        guard let stage = try RottenStage() else { return }
        try stage.rot()
        guard try stage.isTrusted() == true else { return }
        #expect(try stage.compare("--assurance", "media").status == 1)
        let stale = "UPDATE run SET status = 10, findings = 0 WHERE status = 1"
        let ledger = stage.scene.stage.state + "/ledger.sqlite"
        guard try sqlite(ledger, stale)?.status == 0 else { return skip("needs sqlite3") }
        try stage.expectFound()
    }

    /// What may differ for a while is no proof of anything once it may not.
    @Test func whatWasExpectedIsFoundOnceItIsNot() throws {
        guard let stage = try RottenStage() else { return }
        try stage.rot()
        guard try stage.isTrusted() == true else { return }
        let config = stage.scene.stage.text("config.yaml")
        try stage.scene.stage.write(
            "config.yaml",
            config.replacingOccurrences(
                of: "paths: [d]",
                with: "paths: [d], expect: [{path: d/g, reason: x, until: 2099-01-01}]"))
        let excused = try stage.run("verify", "--module", "m", "--assurance", "media")
        #expect(excused.status == 0, "\(excused.report)")
        #expect(excused.text.contains("1 expected to differ"), "\(excused.report)")
        #expect(!excused.text.contains("released, 4 entries"), "\(excused.report)")
        try stage.scene.stage.write("config.yaml", config)
        let module = try stage.run("verify", "--module", "m", "--assurance", "cached")
        #expect(module.status == 1, "\(module.report)")
        #expect(module.text.contains("module m: NOT RELEASED"), "\(module.report)")
    }

    /// What lies among the runs and is none is in nobody's way.
    @Test func whatIsNoRunIsPassedOver() throws {
        guard let stage = try RottenStage() else { return }
        let runs = stage.scene.stage.state + "/runs/"
        try stage.scene.stage.makeFolder("state/runs/empty")
        try "notes".write(toFile: runs + "notes.txt", atomically: false, encoding: .utf8)
        let module = try stage.run("verify", "--module", "m", "--assurance", "cached")
        #expect(module.status == 0, "\(module.report)")
        try stage.loseLedger()
        let opened = try stage.run(
            "episode", "open", "mail/a", "--from", "00:00", "--to", "00:00", "--note", "x")
        #expect(opened.status == 0, "\(opened.report)")
    }

    /// Nor what a look at that side alone showed, while the other one could not be asked.
    @Test(arguments: [false, true])
    func whatALookAtOneSideFoundCountsInTheNightAfter(_ isSwapped: Bool) throws {
        guard let stage = try RottenStage() else { return }
        if isSwapped {
            let config = stage.scene.stage.text("config.yaml")
            let (a, b) = ("a: \(stage.scene.stage.a)", "b: \(stage.b)")
            try stage.scene.stage.write(
                "config.yaml",
                config.replacingOccurrences(
                    of: a + ", " + b, with: "a: \(stage.b), b: \(stage.scene.stage.a)"))
            #expect(try stage.run("verify", "mail", "--assurance", "media").status == 0)
        }
        try stage.rot()
        let night = try stage.run("verify", "mail", "--assurance", "cached")
        guard stage.isCalm(night) else { return }
        #expect(night.text.contains("module m: released"), "what was kept: \(night.report)")
        let alone = try stage.run(
            "verify", stage.b, "--against", "baseline", "--settle", "0s", "--assurance", "media")
        #expect(alone.status == 1 && alone.text.contains("* d/g  content"), "\(alone.report)")
        let after = try stage.run("verify", "mail", "--assurance", "cached")
        #expect(after.status == 1, "\(after.report)")
        #expect(after.text.contains("module m: NOT RELEASED"), "\(after.report)")
    }

    /// What differs there takes a release back at whatever level it was read.
    @Test func aLookAtOneSideInTheCacheTakesAReleaseBack() throws {
        guard let stage = try RottenStage() else { return }
        try stage.rot()
        try system("sh", "-c", "echo 1 > /proc/sys/vm/drop_caches")
        let alone = try stage.run(
            "verify", stage.b, "--against", "baseline", "--settle", "0s", "--assurance", "hash")
        guard stage.isCalm(alone) else { return }
        #expect(alone.status == 1, "\(alone.report)")
        #expect(alone.text.contains("module m: NOT RELEASED: 1 different"), "\(alone.report)")
    }
}

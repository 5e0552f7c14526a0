import Glibc
import ResyncCore
import ResyncStorage
import Synchronization
import TestSupport
import Testing

@testable import ResyncEngine

/// Stores on file systems that know only the old way of renaming.
@Suite struct RenamingTests {
    /// What such a file system can do.
    enum Kind: String, CaseIterable, Sendable {
        case links, noLinks

        /// What there is to do that it can do.
        var workloads: [Workload] {
            self == .links
                ? Workload.allCases
                : [.oneFile, .smallFiles, .types, .deleteTree, .metadata, .sparse]
        }
    }

    static let cases = Kind.allCases.flatMap { kind in kind.workloads.map { (kind, $0) } }

    @Sendable private static func limit(_ stage: ApplyStage, _ kind: Kind) {
        stage.disk.changeMount(of: "/b") { mount in
            mount.knowsRenameRules = false
            mount.canLink = kind == .links
        }
    }

    @Test(arguments: cases)
    func aPlanIsCarriedOutAndTakenBack(_ kind: Kind, _ workload: Workload) throws {
        let stage = try workload.stage()
        Self.limit(stage, kind)
        let before = stage.store("/b")
        let result = try stage.apply()
        #expect(result.counts.notDone == 0, "\(result)")
        #expect(result.failure == nil)
        #expect(ApplyStage.differences(stage.store("/b"), stage.store("/a")) == [])
        if workload == .oneFile || workload == .types { #expect(result.withoutExchange == [.b]) }
        #expect(try stage.confirm().different == [])
        let undone = try stage.undo()
        #expect(undone.counts.notDone == 0, "\(undone.counts)")
        #expect(stage.store("/b").differences(from: before) == [])
    }

    @Test(arguments: cases.filter { [.oneFile, .types, .links].contains($0.1) })
    func aPowerLossLosesNothing(_ kind: Kind, _ workload: Workload) throws {
        let seed = Seed.fromEnvironment("\(#function) \(kind) \(workload)")
        let stage = try workload.stage()
        Self.limit(stage, kind)
        let check = CrashCheck(workload, .apply, stage)
        let applying = CrashSweep(check, from: stage.disk.copy(), seed)
        var count = try applying.run(about: isLongRun ? 3000 : 300)
        try stage.apply()
        let undoing = CrashSweep(check.with(.undo), from: stage.disk, seed)
        count += try undoing.run(about: isLongRun ? 3000 : 200)
        #expect(count > 100)
        tell(count, "\(workload) without an exchange (\(kind))")
    }

    /// Looked at through its second name, before anything takes its place.
    @Test func whatChangedAtTheLastMomentIsLeft() throws {
        let stage = try Workload.oneFile.stage()
        Self.limit(stage, .links)
        let disk = stage.disk
        let calls = Counter()
        disk.onCall { call in
            guard call.kind == .linkat, calls.next() == 1 else { return }
            disk.write("/b/f", at: 0, "edited just now")
        }
        let result = try stage.apply()
        disk.onCall(nil)
        #expect(calls.count > 0)
        #expect(result.counts.changed == 1, "\(result)")
        #expect(disk.content("/b/f").starts(with: Array("edited just now".utf8)))
        #expect(
            disk.paths.filter { $0.starts(with: Array("/b/".utf8)) }.allSatisfy { path in
                !path.split(separator: slash).contains { $0.starts(with: stagedPrefix) }
            })
    }

    /// A file that somebody puts in place of the old one, once that has its second name, stays.
    @Test func whatIsReplacedAtTheLastMomentIsLeft() throws {
        let stage = try Workload.oneFile.stage()
        Self.limit(stage, .links)
        let disk = stage.disk
        let calls = Counter()
        disk.onCall { call in
            // The second name is there by now.
            let isShelf = RelativePath(call.path).lastName == Name("run")
            guard call.kind == .fsync, isShelf, disk.exists("/b/.resync-quarantine/run/0"),
                calls.next() == 1
            else { return }
            disk.remove("/b/f")
            disk.addFile("/b/f", "somebody else's")
        }
        let result = try stage.apply()
        disk.onCall(nil)
        #expect(calls.count > 0)
        #expect(result.counts.changed == 1, "\(result)")
        #expect(disk.content("/b/f") == Array("somebody else's".utf8))
    }

    /// A name that somebody takes in the moment of absence stays theirs.
    @Test func aNameTakenMeanwhileIsLeft() throws {
        let stage = try Workload.oneFile.stage()
        Self.limit(stage, .noLinks)
        let disk = stage.disk
        disk.onCall { call in
            // What stood there has just gone into the quarantine.
            guard call.kind == .fsync, !disk.exists("/b/f") else { return }
            disk.addFile("/b/f", "somebody else's")
        }
        let contents = stage.contents()
        let result = try stage.apply()
        disk.onCall(nil)
        #expect(result.counts.conflicts == 1, "\(result)")
        #expect(disk.content("/b/f") == Array("somebody else's".utf8))
        #expect(contents.isSubset(of: stage.contents()))
    }
}

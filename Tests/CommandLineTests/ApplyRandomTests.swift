import Foundation
import Glibc
import TestSupport
import Testing

/// Random pairs of stores made the same by the real program, held against rsync, and taken back.
@Suite struct ApplyRandomTests {
    @Test func theResultIsThatOfRsync() throws {
        guard isRoot else { return skip("owners and devices need root") }
        guard let rsync = Command.find("rsync") else { return skip("rsync is not installed") }
        var seed = Seed.fromEnvironment()
        var compared = 0
        for round in 0..<rounds(12) {
            let stage = try Stage()
            try stage.makeFolder("b")
            let tree = RandomTree(&seed, RandomTree.Means(devices: false, owners: true))
            try tree.build(at: stage.a)
            let changed = tree.changed(&seed)
            try changed.build(at: stage.b)
            // A store with such a name is refused.
            if (tree.paths + changed.paths).contains(where: { $0.starts(with: ".resync".utf8) }) {
                continue
            }
            for copy in ["before", "rsynced"] {
                try system("cp", "-a", stage.b, "\(stage.folder)/\(copy)")
            }
            let copied = try Command(
                rsync, ["-aHAX", "--delete", "-c", stage.a + "/", stage.folder + "/rsynced/"]
            ).run()
            // It cannot read every access control list that it looks for.
            guard copied.status == 0 else { continue }
            compared += 1
            let isChanged = try makeSame(stage, round)
            let (wanted, rsynced) = (
                try plainStore(stage.a), try plainStore(stage.folder + "/rsynced")
            )
            let found = try plainStore(stage.b)
            #expect(different(wanted, found) == [], "round \(round)")
            // It leaves a directory's time alone that is off by a nanosecond.
            #expect(
                Set(different(rsynced, found)).isSubset(of: different(rsynced, wanted)),
                "round \(round): \(different(rsynced, found))")
            guard isChanged else { continue }
            let undone = try stage.resync(["undo"]).run()
            #expect(undone.status == 0, "round \(round): \(undone.report)")
            let before = try plainStore(stage.folder + "/before")
            #expect(different(before, try plainStore(stage.b)) == [], "round \(round)")
        }
        #expect(compared > 3)
    }

    /// False where nothing differed.
    private func makeSame(_ stage: Stage, _ round: Int) throws -> Bool {
        let compared = try stage.verify("--with", "links,xattrs,acl")
        guard compared.status == 1 else { return false }
        let plan = stage.folder + "/plan"
        let planned = try stage.resync(
            ["plan", "last", "--authority", "a", "--specials", "-o", plan, "--json"]).run()
        #expect(planned.status == 0, "round \(round): \(planned.report)")
        let id = try objects(planned.lines).compactMap { $0["plan"] as? String }.last
        let applied = try stage.resync(["apply", plan, "--accept", id ?? "?"]).run()
        #expect(applied.status == 0, "round \(round): \(applied.report)")
        let confirmed = try stage.resync(["confirm"]).run()
        #expect(confirmed.status == 0, "round \(round): \(confirmed.report)")
        return true
    }

    private func different(_ one: PlainStore, _ other: PlainStore) -> [String] {
        plainlyCompared(one, other).filter { !$0.hasPrefix("=") }
    }
}

import ResyncCore
import ResyncStorage
import TestSupport
import Testing

@testable import ResyncEngine

/// Random pairs of stores, and what a comparison that knows no cleverness says of them.
@Suite struct RandomTreeTests {
    @Test func everyPathIsJudgedAsAPlainComparisonDoes() throws {
        var seed = Seed.fromEnvironment()
        for round in 0..<rounds(80) {
            let means = RandomTree.Means(devices: true, owners: true)
            let tree = RandomTree(&seed, means)
            let other = seed.once(in: 12) ? RandomTree(&seed, means) : tree.changed(&seed)
            let stores = TwoStores()
            tree.build(on: stores.disk, at: Array("/a".utf8))
            other.build(on: stores.disk, at: Array("/b".utf8))
            let namesKinds = !seed.once(in: 3)
            stores.disk.changeMount(of: "/") { $0.namesKinds = namesKinds }
            let expected = plainlyCompared(
                stores.disk.plainStore(Array("/a".utf8)),
                stores.disk.plainStore(Array("/b".utf8)))
            let workers = seed.once(in: 2) ? 1 : 4
            let batchSize = Int.random(in: 1...9, using: &seed)
            let found = try stores.verify {
                $0.workers = workers
                $0.plan = {
                    $0.rules.comparison.aspects = .all
                    $0.scope.batchSize = batchSize
                }
            }
            let lines = found.records.map(plainLine)
            #expect(lines == expected, "round \(round): \(difference(lines, expected))")
            let status = plainStatus(expected)
            #expect(found.status == status, "round \(round): \(lines)")
            guard lines == expected else { return }
        }
    }

    private func difference(_ found: [String], _ expected: [String]) -> String {
        let extra = found.filter { !expected.contains($0) }
        let lacking = expected.filter { !found.contains($0) }
        return "found \(extra), expected \(lacking)"
    }

    /// Without what a plain comparison does not tell.
    private func plainLine(_ record: ResultRecord) -> String {
        guard case .difference(let found) = record else { return line(record) }
        let words = found.aspects.aspects.map(\.word)
        return ([String(found.outcome.sign), escaped(found.path.bytes)] + words)
            .joined(separator: " ")
    }
}

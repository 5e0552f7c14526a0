import ResyncCore
import ResyncStorage
import TestSupport
import Testing

/// What must not become of files that were proven once: `Module.Policy`.
@Suite struct PolicyTests {
    private func record(
        _ size: Int, _ content: UInt64?, _ type: EntryType = .file
    ) -> BaselineRecord {
        var stat = Stat(type: type)
        stat.size = size
        return BaselineRecord(
            path: RelativePath(Array("f".utf8)),
            agreed: ObservedEntry(
                entry: Entry(stat: stat), content: content.map { Digest(words: ($0, 1, 2, 3)) }),
            witnesses: Sides(
                a: BaselineRecord.Witness(stat), b: BaselineRecord.Witness(stat)),
            aspects: .standard, level: .hash, time: .epoch)
    }

    @Test func whatChangedIsWeighed() {
        let old = record(10, 1)
        for policy in Module.Policy.allCases {
            let isImmutable = policy == .immutable
            #expect(policy.weigh(old, record(10, 1)) == .kept)
            #expect(policy.weigh(old, record(10, nil, .symlink)) == .broken(.replaced))
            // What was not read is not held against anything, nor what was no file.
            #expect(policy.weigh(old, record(10, nil)) == .kept)
            #expect(policy.weigh(record(10, nil), record(10, 2)) == .kept)
            #expect(policy.weigh(record(10, nil, .directory), record(10, 2)) == .kept)
            let same = PolicyBreach.rewritten
            #expect(
                policy.weigh(old, record(10, 2)) == .broken(isImmutable ? .changed : same))
            #expect(
                policy.weigh(old, record(9, 2)) == .broken(isImmutable ? .changed : .shrunk))
            #expect(
                policy.weigh(old, record(11, 2)) == (isImmutable ? .broken(.changed) : .grown))
        }
    }

    /// A file's beginning has the digest that it had as a file of its own.
    @Test func aBeginningIsDigestedFromBlocks() throws {
        var seed = Seed.fromEnvironment()
        let hash = ManifestHashes.openSSL.make(.sha256)
        func list(_ leaves: [Digest]) -> BlockList {
            var list = BlockList()
            for leaf in leaves { list.append(leaf) }
            return list
        }
        for _ in 0..<rounds(500) {
            // Few different ones, so that there are runs of equal ones.
            let leaves = (0..<1 + seed.below(20)).map { _ in
                Digest(words: (UInt64(1 + seed.below(2)), 0, 0, 0))
            }
            let content = FileContent(blocks: list(leaves), digest: leaves[0])
            let count = seed.below(leaves.count + 1)
            let isCut = count < leaves.count && seed.below(2) == 0
            let rest = isCut ? Digest(words: (9, 9, 9, 9)) : nil
            let size = count * 100 + (isCut ? 1 + seed.below(99) : 0)
            var tree = BlockTree(hash)
            let expected = tree.fileDigest(
                list(leaves[..<count] + (rest.map { [$0] } ?? [])), size: size, blockSize: 100)
            let found = content.digest(ofFirst: size, rest: rest, blockSize: 100, hash)
            #expect(found == expected)
            #expect(
                content.digest(
                    ofFirst: (leaves.count + 1) * 100, rest: nil, blockSize: 100, hash) == nil)
        }
        let unread = FileContent(blocks: list([.zero]), digest: .zero)
        #expect(unread.digest(ofFirst: 100, rest: nil, blockSize: 100, hash) == nil)
    }
}

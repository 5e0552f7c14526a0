import ResyncCore
import ResyncStorage
import TestSupport
import Testing

@testable import ResyncEngine

@Suite struct UpdateSpoolTests {
    private func spool(_ limit: Int) throws -> UpdateSpool {
        let disk = SimulatedDisk()
        disk.addDirectory("/s")
        return UpdateSpool(
            try Folder.make(path: Array("/s".utf8), disk: disk).scratch, limit: limit)
    }

    private func record(_ path: RelativePath, _ size: Int) -> BaselineUpdate {
        var stat = Stat(type: .file)
        stat.size = size
        let witness = BaselineRecord.Witness(stat)
        return .set(
            BaselineRecord(
                path: path, agreed: ObservedEntry(entry: Entry(stat: stat)),
                witnesses: Sides(a: witness, b: witness), aspects: .standard, level: .media,
                time: Timestamp(seconds: 1, nanoseconds: 2)))
    }

    /// Against a dictionary, sorted: of several for one path the last counts.
    @Test(arguments: [1, 3, 50, 1000])
    func updatesComeInWalkOrder(_ limit: Int) throws {
        var seed = Seed(7)
        var spool = try spool(limit)
        var expected: [RelativePath: BaselineUpdate] = [:]
        for number in 0..<500 {
            let names = (0...Int.random(in: 0...2, using: &seed)).map { _ in
                Name(Array("n\(Int.random(in: 0..<12, using: &seed))".utf8))
            }
            let path = names.reduce(RelativePath.root) { $0.appending($1) }
            let all: [BaselineUpdate] = [
                .remove(path), record(path, number),
                .withdraw(path, since: Timestamp(seconds: Int64(number), nanoseconds: 3)),
                .withdrawRolledBack(
                    path, since: Timestamp(seconds: Int64(number), nanoseconds: 3),
                    number % 2 == 0 ? .a : .b, ctime: Timestamp(seconds: -5, nanoseconds: 7)),
            ]
            let update = all[Int.random(in: 0..<4, using: &seed)]
            try spool.append(update)
            expected[path] = update
        }
        var found: [BaselineUpdate] = []
        while let next = try spool.next() { found.append(next) }
        let isRight = found == expected.values.sorted { $0.path < $1.path }
        #expect(isRight)
    }

    @Test func withoutUpdatesThereIsNone() throws {
        var spool = try spool(3)
        #expect(try spool.next() == nil)
    }

    /// Longer than what is read at a time.
    @Test func longPathsAreReadWhole() throws {
        var spool = try spool(2)
        let names = (0..<900).map { _ in [UInt8](repeating: 0x61, count: 255) }
        let path = RelativePath(Array(names.joined(separator: [slash])))
        for _ in 0..<3 { try spool.append(.remove(path)) }
        try spool.append(.remove(.root))
        #expect(try spool.next() == .remove(.root))
        let last = try spool.next()
        let isRight = last == .remove(path)
        #expect(isRight)
        #expect(try spool.next() == nil)
    }
}

import ResyncCore
import ResyncStorage
import TestSupport
import Testing

@testable import ResyncEngine

/// What is chosen to be read again.
@Suite struct OldestReadTests {
    private static let day: Int64 = 86400
    private static let now = Timestamp(seconds: 1_700_000_000, nanoseconds: 0)

    /// A baseline of files that were read so many days ago, of so many bytes each.
    private func baseline(
        _ files: [(name: String, days: Double, size: Int)], _ level: Assurance = .media
    ) throws -> KeptBaseline {
        let identities = Sides(
            a: StoreIdentity(fileSystem: 1, inode: 1, device: DeviceNumber(major: 0, minor: 1)),
            b: StoreIdentity(fileSystem: 1, inode: 2, device: DeviceNumber(major: 0, minor: 1)))
        let header = BaselineHeader(
            identities: identities, blockSize: 1 << 20, exclusions: Filter.none.digest,
            written: Self.now)
        let state = try StateFolder(path: Array("/state".utf8), disk: SimulatedDisk())
        var updates = files.sorted { $0.name < $1.name }
            .map { file -> BaselineUpdate in
                var stat = Stat(type: file.size < 0 ? .directory : .file)
                stat.size = max(0, file.size)
                return .set(
                    BaselineRecord(
                        path: RelativePath(Array(file.name.utf8)),
                        agreed: ObservedEntry(entry: Entry(stat: stat)),
                        witnesses: Sides(
                            a: BaselineRecord.Witness(stat), b: BaselineRecord.Witness(stat)),
                        aspects: .standard, level: level,
                        time: Self.now.adding(seconds: -Int64(file.days * Double(Self.day)))))
            }[...]
        _ = try state.baselines.update(header) { updates.popFirst() }
        return try #require(try state.baselines.find(identities))
    }

    private func chosen(
        _ baseline: KeptBaseline, days: Double, pause: Double = 0, share: Double,
        limit: Int = 1000
    ) throws -> OldestRead {
        try OldestRead(
            baseline, at: Self.now, age: days * Double(Self.day),
            pause: pause * Double(Self.day), share: share, limit: limit)
    }

    @Test func theOldestComeFirst() throws {
        let baseline = try baseline([
            ("d", 50, -1), ("a", 6, 100), ("b", 1, 100), ("c", 8, 100), ("d/e", 3, 100),
            ("empty", 90, 0),
        ])
        func names(_ days: Double, _ share: Double, _ limit: Int = 1000) throws -> [String] {
            try chosen(baseline, days: days, share: share, limit: limit).paths
                .map { escaped($0.bytes) }
        }
        #expect(try names(7, 0) == ["c"])
        #expect(try names(7, 0.1) == ["c"])
        #expect(try names(7, 0.5) == ["a", "c"])
        #expect(try names(7, 0.51) == ["a", "c", "d/e"])
        #expect(try names(7, 1) == ["a", "b", "c", "d/e"])
        #expect(try names(2, 0) == ["a", "c", "d/e"])
        #expect(try names(7, 1, 3) == ["a", "c", "d/e"])
        #expect(try names(7, 1, 2) == ["a", "c"])
        #expect(try names(7, 0, 0) == [])
        #expect(try names(100, 0) == [])
        let soon = try chosen(baseline, days: 7, pause: 2, share: 0)
        #expect(soon.paths.map { escaped($0.bytes) } == ["a", "c"] && soon.overdue == 1)
        let found = try chosen(baseline, days: 5, share: 0)
        #expect(found.overdue == 2 && found.overdueBytes == 200 && found.bytes == 200)
        #expect(found.oldest == Self.now.adding(seconds: -8 * Self.day))
        let nothing = try chosen(try self.baseline([]), days: 5, share: 1)
        #expect(nothing.paths.isEmpty && nothing.oldest == nil)
    }

    /// What changes each day is never old: it has its turn all the same, once within the age.
    @Test func whatIsReadFromTheCacheEachTimeIsReadFromTheMediumInTime() throws {
        let files = (0..<100).map { (name: "f\($0)", days: -40.0, size: 10) }
        func read(_ night: Int64, _ level: Assurance, since: Int64? = nil) throws -> [String] {
            try OldestRead(
                try baseline(files, level), at: Self.now.adding(seconds: night * Self.day),
                since: since.map { Self.now.adding(seconds: $0 * Self.day) },
                age: 30 * Double(Self.day), pause: Double(Self.day), share: 0, limit: 1000
            ).paths.map { escaped($0.bytes) }
        }
        let nights = try (0..<30).map { try read($0, .hash) }
        #expect(nights.joined().sorted() == files.map(\.name).sorted())
        #expect(nights.allSatisfy { $0.count < 12 }, "\(nights.map(\.count))")
        #expect(try read(0, .media).isEmpty)
        // Nights that failed, or were none, are made up for.
        #expect(try read(6, .hash, since: 2).sorted() == nights[3...6].joined().sorted())
        #expect(try read(40, .hash, since: 2).count == 100)
        #expect(try read(6, .hash, since: 6) == nights[6])
        #expect(try read(6, .hash, since: 9) == nights[6])
    }

    /// Sparse files can be larger together than any number tells.
    @Test func theLargestSizesAreCounted() throws {
        for size in [Int.max, .max - 1, 1 << 62] {
            let found = try chosen(
                try baseline([("a", 1, size), ("b", 2, size)]), days: 7, share: 1)
            #expect(found.paths.count == (size == .max ? 1 : 2))
            #expect(found.bytes >= size)
        }
        let half = try chosen(try baseline([("a", 1, .max)]), days: 7, share: 0.5)
        #expect(half.paths.count == 1)
    }

    /// What is too much at once is chosen bit by bit, and no more than the share.
    @Test func whatTheLimitLeavesIsChosenNext() throws {
        let days = (0..<40).map { Double(($0 * 7) % 13) }
        var files = days.enumerated().map {
            (name: "f\($0.offset + 10)", days: $0.element, size: 100)
        }
        var (done, order, last) = (0, [Double](), OldestRead.Place?.none)
        repeat {
            let found = try OldestRead(
                try baseline(files), at: Self.now, age: 50 * Double(Self.day), pause: 0,
                share: 0.5, done: done, after: last, limit: 7)
            #expect(found.paths.count == min(7, 20 - order.count))
            #expect((found.last != nil) == (order.count + found.paths.count < 20))
            let names = found.paths.map { escaped($0.bytes) }
            #expect(names == names.sorted())
            order += files.filter { names.contains($0.name) }.map(\.days).sorted(by: >)
            // Every other one cannot be proven, and stays as old as it is.
            let proven = names.enumerated().filter { $0.offset % 2 == 0 }.map(\.element)
            files = files.map { proven.contains($0.name) ? ($0.name, 0, $0.size) : $0 }
            done += found.bytes
            last = found.last
        } while last != nil
        #expect(order == Array(days.sorted(by: >).prefix(20)))
    }

    /// Night by night everything is read within its age, whatever it was before.
    @Test func everythingIsReadInTime() throws {
        var random = Seed.fromEnvironment()
        for _ in 0..<20 {
            let age = Double(Int.random(in: 2...10, using: &random))
            var files = (0..<60).map { number in
                (
                    name: "f\(number)", days: Double.random(in: 0..<age - 1, using: &random),
                    size: Int.random(in: 1...1000, using: &random)
                )
            }
            let largest = files.map(\.size).max() ?? 0
            let total = files.reduce(0) { $0 + $1.size }
            for night in 0..<30 {
                let found = try chosen(
                    try baseline(files), days: age, pause: 1, share: 1.2 / age)
                #expect(found.overdue == 0)
                let chosen = Set(found.paths.map { escaped($0.bytes) })
                // Not much more than the share: an hour's worth, and one file.
                #expect(
                    night < Int(age)
                        || Double(found.bytes) <= Double(total) * 1.2 / age + Double(largest) + 1)
                files = files.map { file in
                    (file.name, chosen.contains(file.name) ? 1 : file.days + 1, file.size)
                }
            }
        }
    }
}

import ResyncCore
import TestSupport
import Testing

private func path(_ text: String) -> RelativePath { RelativePath(Array(text.utf8)) }
private func time(_ seconds: Int64) -> Timestamp { Timestamp(seconds: seconds, nanoseconds: 0) }

/// What is to be read again after an episode, and what of that comes first.
@Suite struct UnprovenEntriesTests {
    private let span = SuspectSpan(start: time(1000), end: time(2000), reachesAll: false)

    private func stat(_ touched: Int64) -> Stat {
        Stat(type: .file, size: 5, mtime: time(touched), ctime: time(touched), inode: 7)
    }

    private func record(_ name: String, _ stat: Stat, at proof: Int64) -> BaselineRecord {
        BaselineRecord(
            path: path(name), agreed: ObservedEntry(entry: Entry(stat: stat)),
            witnesses: Sides(a: .init(stat), b: .init(stat)), aspects: .standard, level: .media,
            time: time(proof))
    }

    private func entries(
        _ part: UnprovenEntries.Part, mismatches: Set<RelativePath> = [], limit: Int = 100
    ) throws -> UnprovenEntries {
        let modules = [("full", Module.Scope.full), ("part", .suspect), ("deep/in/full", .full)]
            .map { name, scope in
                var module = Module(name: name, pair: "p", paths: [path(name)])
                module.scope = scope
                return (module, Sides(a: [span], b: []))
            }
        let hot = try HotPaths([Array("full/hot".utf8)], days: [])
        return UnprovenEntries(
            part, modules, rest: Sides(a: [], b: [span]),
            Suspicion(since: time(1000), clocks: Sides(a: 0, b: 0), hot: hot),
            mismatches: mismatches, limit: limit)
    }

    /// Each name with the time that it was touched, and that of its proof; nil where there is none.
    private static let names: [(String, Int64, Int64?)] = [
        ("deep", 10, 500), ("deep/in", 10, 500), ("deep/in/a", 10, 500),
        ("deep/in/full", 10, 500), ("deep/in/full/a", 10, 500), ("deep/in/full/b", 10, 2500),
        ("deep/in/z", 1500, 500), ("full", 10, 2500), ("full/a", 10, 500),
        ("full/b", 1500, 500), ("full/hot", 10, 500), ("full/hot/a", 10, 500),
        ("full/hot/b", 1500, 2500), ("full/new", 10, nil), ("part", 10, 500),
        ("part/a", 10, 500), ("part/b", 1500, 500), ("part/c", 1500, 2500), ("z", 1500, 500),
    ]

    private func fill(_ entries: inout UnprovenEntries) -> [String] {
        entries.add(.root, Sides(a: stat(1500), b: stat(1500)), nil)
        for (name, touched, proof) in Self.names {
            let stat = stat(touched)
            entries.add(
                path(name), Sides(a: stat, b: stat), proof.map { record(name, stat, at: $0) })
        }
        return entries.paths.map { escaped($0.bytes) }
    }

    @Test func whatIsNotProvenIsFoundByTheScopeOfItsModule() throws {
        var all = try entries(.unproven)
        #expect(
            fill(&all) == [
                "deep/in/full", "deep/in/full/a", "deep/in/z", "full/a", "full/b", "full/hot",
                "full/hot/a", "full/new", "part/b", "z",
            ])
        #expect(all.proven == Self.names.count - 10 && all.left == 0 && !all.isCut)
    }

    @Test func whatIsSuspectComesFirst() throws {
        var some = try entries(.suspect)
        #expect(
            fill(&some) == [
                "deep/in/z", "full/b", "full/hot", "full/hot/a", "full/new", "part/b", "z",
            ])
        #expect(some.left == 3)
        var hot = try entries(.hot)
        #expect(fill(&hot).contains("full/hot/a") && hot.left == 0)
    }

    /// What comes first, and in which order the modules follow.
    @Test func aMillionEntriesOfAThousandModulesAreScheduledAtOnce() throws {
        var generator = Seed.fromEnvironment()
        let modules = (0..<1000).map { Module(name: "m\($0)", pair: "p", paths: [path("m\($0)")]) }
        let known = modules.flatMap { module in
            (0..<1000).map { number in
                record("\(module.name)/f\(number)", stat(number % 2 == 0 ? 10 : 1500), at: 500)
            }
        }
        let sizes = modules.map { _ in Double.random(in: 1...1e9, using: &generator) }
        let clock = ContinuousClock()
        let start = clock.now
        var entries = UnprovenEntries(
            .suspect, modules.map { ($0, Sides(a: [span], b: [])) }, rest: Sides(a: [], b: [span]),
            Suspicion(since: time(1000), clocks: Sides(a: 0, b: 0)), mismatches: [])
        for record in known {
            let stat = record.agreed.stat
            entries.add(record.path, Sides(a: stat, b: stat), record)
        }
        let order = try ModuleOrder(modules.works { sizes[modules.firstIndex(of: $0) ?? 0] }).order
        let took = clock.now - start
        print("a million entries of a thousand modules: \(took)")
        #expect(took < .seconds(5))
        #expect(order.count == 1000 && entries.paths.count == 500_000, "\(entries.paths.count)")
    }

    @Test func theRestLiesInNoModule() throws {
        var rest = try entries(.rest, mismatches: [path("part/c"), path("deep")])
        #expect(fill(&rest) == ["deep", "deep/in/z", "z"])
        #expect(rest.proven == Self.names.count - 12 && rest.left == 9)
    }

    /// Whatever was proven of it before.
    @Test func whatWasFoundToDifferIsAlwaysLookedAt() throws {
        for part in UnprovenEntries.Part.allCases where part != .rest {
            var entries = try entries(part, mismatches: [path("part/a"), path("part/c")])
            let found = fill(&entries)
            #expect(found.contains("part/a") && found.contains("part/c"), "\(part)")
        }
    }

    @Test func whatCannotBeLookedAtIsNotProven() throws {
        var entries = try entries(.suspect, limit: 2)
        entries.add(path("part/a"), nil, nil)
        entries.add(path("part/b"), Sides(a: stat(10), b: nil), record("part/b", stat(10), at: 500))
        #expect(entries.paths.count == 2 && !entries.isCut)
        entries.add(path("part/c"), nil, nil)
        #expect(entries.paths.count == 2 && entries.isCut)
    }

    /// A look that failed saw nothing of what lies below; what was a file may be a directory soon.
    @Test func onlyDirectoriesThatWereSeenStandForThemselves() throws {
        let folder = Stat(type: .directory, mtime: time(10), ctime: time(10), inode: 9)
        var entries = try entries(.unproven)
        entries.add(path("part"), Sides(a: folder, b: folder), nil)
        entries.add(path("part/a"), Sides(a: stat(10), b: stat(10)), nil)
        entries.add(path("part/d"), nil, nil)
        entries.add(path("part/e"), Sides(a: folder, b: nil), nil)
        entries.add(path("part/f"), Sides(a: folder, b: stat(10)), nil)
        entries.add(path("part/g"), Sides(a: folder, b: folder), nil)
        // Its listing failed.
        entries.add(path("part/g"), nil, nil)
        #expect(entries.directories == [path("part"), path("part/e")])
        let within = Selection(entries.paths, shallow: entries.directories)
        for (name, isHeld) in [
            ("part/a/x", true), ("part/d/x/y", true), ("part/e", true), ("part/e/x", false),
            ("part/f/x", true), ("part/g/x", true), ("part/x", false), ("other", false),
        ] {
            #expect(within.holds(path(name)) == isHeld, "\(name)")
        }
        #expect(
            within.names(in: path("part/d")) == nil && within.names(in: path("part/d/x")) == nil)
        #expect(within.names(in: path("part/e")) == [])
        // Of the root, too.
        entries.add(.root, nil, nil)
        let all = Selection(entries.paths, shallow: entries.directories)
        #expect(all.names(in: .root) == nil && all.holds(path("other")))
    }
}

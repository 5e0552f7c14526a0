import ResyncStorage
import TestSupport
import Testing

@testable import ResyncCore

@Suite struct PlannerTests {
    private func pair(_ generator: inout Seed) -> Sides<ModelStore> {
        let a = generator.modelStore()
        var b = generator.once(in: 4) ? generator.modelStore() : a
        for _ in 0..<generator.below(8) { generator.grow(&b, isEdit: true) }
        return Sides(a: a, b: b)
    }

    /// Every action finds what it needs, whatever came before it.
    private func apply(_ plan: ModelPlan, _ stores: Sides<ModelStore>, _ seed: UInt64)
        -> Sides<ModelStore>
    {
        var stores = stores
        for action in plan.actions {
            if let wrong = stores[action.side].apply(action) {
                Issue.record("seed \(seed): \(action.kind) \(escaped(action.path.bytes)): \(wrong)")
            }
        }
        return stores
    }

    /// What a comparison sees: inodes and ctimes are each store's own.
    private func seen(_ store: ModelStore) -> [RelativePath: ObservedEntry] {
        store.entries.mapValues { entry in
            var plain = entry
            plain.entry.stat.inode = 0
            plain.entry.stat.ctime = Timestamp(seconds: 0, nanoseconds: 0)
            if entry.type == .symlink { plain.entry.stat.mode = 0 }
            return plain
        }
    }

    @Test func oneSideBecomesTheOther() throws {
        let first = Seed.fromEnvironment().value
        for seed in (0..<rounds(600)).map({ first &+ UInt64($0) }) {
            var generator = Seed(seed)
            let stores = pair(&generator)
            for authority in [Authority.a, .b] {
                let plan = try ModelPlan(stores, PlanPolicy(authority))
                var after = apply(plan, stores, seed)
                // The root's own time is not compared, and is put back where it was.
                let source: Side = authority == .a ? .a : .b
                #expect(
                    after[source.other][.root]?.stat.mtime
                        == stores[source.other][.root]?.stat.mtime
                        || plan.actions.contains { $0.path == .root && $0.changesMetadata },
                    "seed \(seed)")
                after[source.other].entries[.root]?.entry.stat.mtime =
                    stores[source][.root]?.stat.mtime ?? ModelStore.moved
                #expect(seen(after[source.other]) == seen(after[source]), "seed \(seed)")
                #expect(after[source] == stores[source], "seed \(seed): the source was changed")
                #expect(plan.leftOut.count == 0)
            }
        }
    }

    @Test func aUnionOverwritesAndDeletesNothing() throws {
        let first = Seed.fromEnvironment().value
        for seed in (0..<rounds(400)).map({ first &+ UInt64($0) }) {
            var generator = Seed(seed)
            let stores = pair(&generator)
            let after = apply(try ModelPlan(stores, PlanPolicy(.union)), stores, seed)
            for side in Side.allCases {
                for (path, entry) in stores[side].entries {
                    #expect(after[side][path] == entry, "seed \(seed): \(escaped(path.bytes))")
                }
            }
        }
    }

    /// Both sides go their own way from a proven agreement: no edit is lost on either.
    @Test func noEditSinceTheBaselineIsOverwritten() throws {
        let first = Seed.fromEnvironment().value
        for seed in (0..<rounds(1500)).map({ first &+ UInt64($0) }) {
            var generator = Seed(seed)
            let base = generator.modelStore()
            var stores = Sides(a: base, b: base)
            for side in Side.allCases {
                for _ in 0..<generator.below(5) { generator.grow(&stores[side], isEdit: true) }
            }
            let plan = try ModelPlan(stores, PlanPolicy(.baseline)) { entry in
                let known = base[entry.path].map {
                    BaselineKnowledge.record(record(entry.path, $0))
                }
                return Judgement(
                    base: known ?? .noRecord, sides: entry.sides, aspects: entry.aspects
                ).verdict
            }
            let after = apply(plan, stores, seed)
            for side in Side.allCases {
                for (path, entry) in stores[side].entries where !entry.isDirectory {
                    let edited = edits(entry, since: base[path], path, side)
                    guard !edited.isEmpty else { continue }
                    let now =
                        ModelPlan.difference(
                            path, Sides(a: entry, b: after[side][path]))?.aspects ?? []
                    let lost = now.intersection(
                        edited.union(AspectSet([.existence, .type])))
                    #expect(lost.isEmpty, "seed \(seed): \(side) \(escaped(path.bytes)) \(lost)")
                }
            }
        }
    }

    /// In what an entry was edited: made anew with everything as it was, in nothing. What the other
    /// side did alike is no loss.
    private func edits(
        _ entry: ObservedEntry, since old: ObservedEntry?, _ path: RelativePath, _ side: Side
    ) -> AspectSet {
        guard let old, old.type == entry.type else { return .all }
        return record(path, old).changes(to: entry, on: side, in: .all)
    }

    private func record(_ path: RelativePath, _ entry: ObservedEntry) -> BaselineRecord {
        let witness = BaselineRecord.Witness(entry.stat)
        return BaselineRecord(
            path: path, agreed: entry, witnesses: Sides(a: witness, b: witness),
            aspects: .standard, level: .hash, time: Timestamp(seconds: 0, nanoseconds: 0))
    }

    // MARK: Cases

    private func path(_ text: String) -> RelativePath { RelativePath(Array(text.utf8)) }

    private func store(_ paths: [(String, EntryType)]) -> ModelStore {
        var generator = Seed(1)
        var store = ModelStore(entries: [.root: generator.modelEntry(.directory)])
        for (name, type) in paths {
            var entry = generator.modelEntry(type)
            entry.entry.stat.mtime = Timestamp(seconds: 1, nanoseconds: 0)
            entry.entry.stat.mode = 0o644
            store[path(name)] = entry
        }
        return store
    }

    private func lines(_ plan: ModelPlan) -> [String] {
        plan.actions.map { action in
            "\(action.kind) \(action.side.word) \(escaped(action.path.bytes))"
                + (action.linkTo.map { " -> \(escaped($0.bytes))" } ?? "")
        }
    }

    @Test func theOrderIsThatOfTheSections() throws {
        let a = store([("d", .file), ("n", .directory), ("n/x", .file)])
        let b = store([("d", .directory), ("d/x", .file), ("o", .directory), ("o/y", .file)])
        let plan = try ModelPlan(Sides(a: a, b: b), PlanPolicy(.a))
        #expect(
            lines(plan) == [
                "makeDirectory b n", "write b n/x", "remove b d/x", "removeDirectory b d",
                "remove b o/y", "removeDirectory b o", "write b d", "settleDirectory b n",
                "settleDirectory b ",
            ])
    }

    @Test func otherNamesOfAFileBecomeLinks() throws {
        var a = store([("x", .file), ("y", .file), ("z", .file)])
        for name in ["y", "z"] { a[path(name)] = a[path("x")] }
        for name in ["x", "y", "z"] { a[path(name)]?.entry.stat.links = 3 }
        let empty = store([])
        let plan = try ModelPlan(Sides(a: a, b: empty), PlanPolicy(.a))
        #expect(
            lines(plan) == [
                "write b x", "link b y -> x", "link b z -> x", "settleDirectory b ",
            ])
        // A name that agrees already is the one to link to.
        var b = empty
        b[path("x")] = a[path("x")]
        var questions = PlannerQuestions()
        questions.existingName = { _, _ in path("x") }
        let rest = try ModelPlan(Sides(a: a, b: b), PlanPolicy(.a), questions: questions)
        #expect(lines(rest) == ["link b y -> x", "link b z -> x", "settleDirectory b "])
    }

    /// Of two names of one object the first is missing, and the other has its content and not its
    /// mode: changed where it is it would stay an object of its own.
    @Test(arguments: [false, true])
    func aNameThatStaysBecomesALinkToWhatIsNew(_ comparesLinks: Bool) throws {
        var a = store([("x", .file), ("y", .file)])
        a[path("y")] = a[path("x")]
        for name in ["x", "y"] { a[path(name)]?.entry.stat.links = 2 }
        var b = store([])
        b[path("y")] = a[path("x")]
        b[path("y")]?.entry.stat.links = 1
        b[path("y")]?.entry.stat.inode = 999
        b[path("y")]?.entry.stat.mode = 0o604
        var questions = PlannerQuestions()
        questions.comparesLinks = comparesLinks
        let plan = try ModelPlan(Sides(a: a, b: b), PlanPolicy(.a), questions: questions)
        let second = comparesLinks ? "link b y -> x" : "metadata b y"
        #expect(lines(plan) == ["write b x", second, "settleDirectory b "])
    }

    /// A link cannot come before what it links to, and that waits for a directory to go.
    @Test func aLinkWaitsForWhatComesLate() throws {
        var a = store([("d", .file), ("e", .file)])
        a[path("e")] = a[path("d")]
        for name in ["d", "e"] { a[path(name)]?.entry.stat.links = 2 }
        let b = store([("d", .directory), ("d/x", .file)])
        let plan = try ModelPlan(Sides(a: a, b: b), PlanPolicy(.a))
        #expect(
            lines(plan) == [
                "remove b d/x", "removeDirectory b d", "write b d", "link b e -> d",
                "settleDirectory b ",
            ])
    }

    @Test func nothingIsDeletedWhereTheListingWasNotWhole() throws {
        let a = store([("d", .directory), ("e", .directory)])
        let b = store([
            ("d", .directory), ("d/x", .file), ("d/y", .directory), ("d/y/z", .file),
            ("e", .directory), ("e/x", .file),
        ])
        var questions = PlannerQuestions()
        questions.isListedWhole = { side, directory in
            #expect(side == .a)
            return directory != path("d")
        }
        let plan = try ModelPlan(Sides(a: a, b: b), PlanPolicy(.a), questions: questions)
        #expect(lines(plan).filter { $0.hasPrefix("remove") } == ["remove b e/x"])
        #expect(plan.leftOut.deletions == 3)
        #expect(plan.losses.b == [path("e"): 1])
    }

    @Test func aDirectoryInWhichSomethingStaysIsNotRemoved() throws {
        let a = store([])
        let b = store([("d", .directory), ("d/e", .directory), ("d/e/p", .fifo), ("d/x", .file)])
        var policy = PlanPolicy(.baseline)
        policy.allowsSpecials = true
        let plan = try ModelPlan(Sides(a: a, b: b), policy) { entry in
            entry.path == path("d/e/p") ? .conflict : .editedOnA
        }
        #expect(lines(plan).filter { $0.hasPrefix("remove") } == ["remove b d/x"])
        #expect(plan.leftOut.conflicts == 1)
        #expect(plan.leftOut.deletions == 2)
    }

    /// It comes in the middle of what is in a directory below, which goes on all the same.
    @Test func whatIsSaidOfADirectoryAfterwardsKeepsIt() throws {
        let gone = store([
            ("d", .directory), ("d/e", .directory), ("d/e/x", .file), ("d/e/y", .file),
        ])
        var found: [String] = []
        var planner = Planner(spools: PlanSpools { MemorySpool() }) { action, _ in
            found.append("\(action.kind) \(escaped(action.path.bytes))")
        }
        try planner.enter(.root, Sides(a: gone[.root], b: gone[.root]))
        for name in ["d", "d/e", "d/e/x", "d/e/y"] {
            let sides = Sides<ObservedEntry?>(a: nil, b: gone[path(name)])
            try planner.add(
                SurveyedEntry(path: path(name), sides: sides, aspects: AspectSet(.existence)),
                .take(.a))
            if name == "d/e/x" { try planner.leaveOut(path("d"), .unreadable) }
        }
        try planner.finish()
        #expect(
            found == [
                "remove d/e/x", "remove d/e/y", "removeDirectory d/e", "settleDirectory d",
            ])
        #expect(planner.leftOut.unreadable == 1)
    }

    @Test func whatWasLostIsBroughtBack() throws {
        let a = store([("x", .file)])
        let stores = Sides(a: a, b: store([]))
        var policy = PlanPolicy(.baseline)
        func kinds(_ policy: PlanPolicy) throws -> [Action.Kind] {
            try ModelPlan(stores, policy) { _ in .lostOnB }.actions.map { $0.kind }
        }
        #expect(try kinds(policy) == [.write, .settleDirectory])
        policy.acceptsDeletions = true
        #expect(try kinds(policy) == [.remove, .settleDirectory])
        #expect(try kinds(PlanPolicy(.b)) == [])
    }

    @Test func damageNeverWins() throws {
        let stores = Sides(a: store([("x", .file)]), b: store([("x", .symlink)]))
        let plan = try ModelPlan(stores, PlanPolicy(.b)) { _ in .damageOnB }
        #expect(plan.actions.isEmpty)
        #expect(plan.leftOut.undetermined == 1)
        let repair = try ModelPlan(stores, PlanPolicy(.baseline)) { _ in .damageOnB }
        #expect(lines(repair).first == "write b x")
    }

    @Test func conflictsAreResolvedOnlyAsAsked() throws {
        var a = store([("x", .file)])
        var b = a
        a[path("x")]?.entry.stat.size = 99
        b[path("x")]?.entry.stat.mtime = Timestamp(seconds: 8, nanoseconds: 0)
        let stores = Sides(a: a, b: b)
        func winner(_ resolution: ConflictResolution?, _ verdict: Verdict = .conflict) throws
            -> Side?
        {
            var policy = PlanPolicy(.baseline)
            policy.resolution = resolution
            return try ModelPlan(stores, policy) { _ in verdict }.actions.first?.side.other
        }
        #expect(try winner(nil) == nil)
        #expect(try winner(.a) == .a)
        #expect(try winner(.newer) == .b)
        #expect(try winner(.larger) == .a)
        #expect(try winner(.a, .undetermined) == nil)
        let decided = try ModelPlan(
            stores, PlanPolicy(.baseline), decided: [path("x"): .b]
        ) { _ in .undetermined }
        #expect(decided.actions.first?.side == .a)
    }
}

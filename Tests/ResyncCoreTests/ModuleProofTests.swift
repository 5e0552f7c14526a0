import ResyncCore
import TestSupport
import Testing

private func path(_ text: String) -> RelativePath { RelativePath(Array(text.utf8)) }

/// Which entries count, and why others do not: `ModuleProof`.
@Suite struct ModuleProofTests {
    private func time(_ seconds: Int64) -> Timestamp {
        Timestamp(seconds: seconds, nanoseconds: 0)
    }

    private func stat(_ touched: Int64 = 10, inode: UInt64 = 7) -> Stat {
        var stat = Stat(type: .file)
        (stat.inode, stat.size) = (inode, 100)
        (stat.mtime, stat.ctime) = (time(touched), time(touched))
        return stat
    }

    private func record(
        _ stats: Sides<Stat>, at seconds: Int64 = 50, _ level: Assurance = .hash
    ) -> BaselineRecord {
        BaselineRecord(
            path: path("m/f"), agreed: ObservedEntry(entry: Entry(stat: stats.a)),
            witnesses: stats.map { BaselineRecord.Witness($0) }, aspects: .standard,
            level: level, time: time(seconds))
    }

    /// Why an entry does not count; nil where it does.
    private func gap(
        _ stats: Sides<Stat?>, _ record: BaselineRecord?,
        _ spans: Sides<[SuspectSpan]> = Sides(a: [], b: []), _ scope: Module.Scope = .full
    ) -> ModuleProof.Gap? {
        var module = Module(name: "m", pair: "p", paths: [path("m")])
        module.scope = scope
        var proof = ModuleProof(module, spans)
        proof.add(path("m/f"), stats, record)
        #expect(proof.entries == 1)
        #expect(proof.isWhole == proof.gaps.isEmpty)
        #expect(proof.oldest == (proof.isWhole ? record?.time : nil))
        return proof.gaps.keys.first
    }

    @Test func anEntryCountsWhileNothingMoved() {
        let stats = Sides(a: stat(), b: stat(inode: 8))
        let now = stats.map { Optional($0) }
        #expect(gap(now, record(stats)) == nil)
        #expect(gap(now, nil) == .unproven)
        #expect(gap(Sides(a: nil, b: stats.b), record(stats)) == .missingOnA)
        #expect(gap(Sides(a: stats.a, b: nil), record(stats)) == .missingOnB)
        for side in Side.allCases {
            for change in [
                { $0.size += 1 }, { $0.inode += 1 }, { $0.mtime.nanoseconds += 1 },
                { $0.ctime.nanoseconds += 1 }, { $0.type = .symlink },
            ] as [(inout Stat) -> Void] {
                var moved = now
                var stat = stats[side]
                change(&stat)
                moved[side] = stat
                #expect(gap(moved, record(stats)) == .moved)
            }
        }
        var racy = record(stats)
        racy.isRacy = true
        #expect(gap(now, racy) == .racy)
        var part = record(stats)
        part.aspects.remove(AspectSet(.owner))
        #expect(gap(now, part) == .unproven)
    }

    @Test func anEpisodeVoidsWhatItMayHaveHit() {
        let span = SuspectSpan(start: time(60), end: time(70), reachesAll: false)
        let old = Sides(a: stat(), b: stat())
        let new = Sides(a: stat(), b: stat(60))
        func found(
            _ stats: Sides<Stat>, _ at: Int64, _ level: Assurance, _ scope: Module.Scope,
            _ span: SuspectSpan
        ) -> ModuleProof.Gap? {
            self.gap(
                stats.map { Optional($0) }, record(stats, at: at, level),
                Sides(a: [], b: [span]), scope)
        }
        for stats in [old, new] {
            #expect(found(stats, 50, .media, .full, span) == .beforeEpisode)
            #expect(found(stats, 70, .media, .full, span) == .beforeEpisode)
            #expect(found(stats, 71, .hash, .full, span) == .notFromMedium)
            #expect(found(stats, 71, .media, .full, span) == nil)
        }
        // In the suspect scope what was written before it began is as it was.
        for (at, level) in [(50, .hash), (71, .hash), (71, .media)] as [(Int64, Assurance)] {
            #expect(found(old, at, level, .suspect, span) == nil)
        }
        #expect(found(new, 50, .media, .suspect, span) == .beforeEpisode)
        #expect(found(new, 71, .hash, .suspect, span) == .notFromMedium)
        #expect(found(new, 71, .media, .suspect, span) == nil)
        // Unless writes were lost without a word, nobody knows when it began, or it is not over.
        for other in [
            SuspectSpan(start: time(60), end: time(70), reachesAll: true),
            SuspectSpan(start: nil, end: time(70), reachesAll: false),
        ] {
            #expect(found(old, 50, .media, .suspect, other) == .beforeEpisode)
            #expect(found(old, 71, .media, .suspect, other) == nil)
        }
        // File systems cut times: what was written as it began may look two seconds older.
        let cut = Sides(a: stat(), b: stat(58))
        #expect(found(cut, 50, .media, .suspect, span) == .beforeEpisode)
        #expect(found(Sides(a: stat(), b: stat(57)), 50, .media, .suspect, span) == nil)
        let endless = SuspectSpan(start: time(60), end: nil, reachesAll: false)
        #expect(found(new, 1000, .media, .suspect, endless) == .beforeEpisode)
        #expect(found(old, 1000, .media, .full, endless) == .beforeEpisode)
    }

    /// Either time tells of a write, and of either side's episodes each counts.
    @Test func eachEpisodeVoidsWhatEitherTimeTellsOf() {
        let early = SuspectSpan(start: time(20), end: time(30), reachesAll: false)
        let span = SuspectSpan(start: time(60), end: time(70), reachesAll: false)
        func gap(_ stats: Sides<Stat>, _ spans: Sides<[SuspectSpan]>) -> ModuleProof.Gap? {
            self.gap(
                stats.map { Optional($0) }, record(stats, at: 50, .media), spans, .suspect)
        }
        for change in [{ $0.mtime = self.time(60) }, { $0.ctime = self.time(60) }]
            as [(inout Stat) -> Void]
        {
            var touched = stat()
            change(&touched)
            let stats = Sides(a: touched, b: touched)
            for side in Side.allCases {
                var spans = Sides<[SuspectSpan]>(a: [], b: [])
                spans[side] = [span]
                #expect(gap(stats, spans) == .beforeEpisode)
                // Of several, each.
                spans[side] = [early, span]
                #expect(gap(stats, spans) == .beforeEpisode)
                spans[side] = [span, early]
                #expect(gap(stats, spans) == .beforeEpisode)
            }
        }
    }

    /// What came again before a gate was open voids only what was touched meanwhile.
    @Test func aRecurrenceSparesWhatWasShutAllThroughIt() {
        let again = SuspectSpan(start: time(60), end: time(70), reachesAll: false)
        func gap(
            at proof: Int64, touched: Int64 = 10, _ again: SuspectSpan,
            openings: [ClosedRange<Int64>] = [], since: Int64? = 0, noted: Int64? = 22
        ) -> ModuleProof.Gap? {
            let first = SuspectSpan(
                start: time(20), end: time(30), reachesAll: false, noted: noted.map { time($0) })
            let stats = Sides(a: stat(touched), b: stat(touched))
            let spans = Sides(a: [first], b: [again])
                .knowing(
                    openings: openings.map { time($0.lowerBound)...time($0.upperBound) },
                    since: since.map { time($0) })
            return self.gap(
                stats.map { Optional($0) }, record(stats, at: proof, .media), spans, .full)
        }
        #expect(gap(at: 40, again) == nil)
        // Not what was proven before the first one, nor what may have been touched in the second.
        #expect(gap(at: 30, again) == .beforeEpisode)
        #expect(gap(at: 40, touched: 57, again) == nil)
        #expect(gap(at: 40, touched: 58, again) == .beforeEpisode)
        // Of what was no module yet when the first one ended nobody knows who wrote to it.
        #expect(gap(at: 40, again, since: 30) == nil)
        #expect(gap(at: 40, again, since: 31) == .beforeEpisode)
        #expect(gap(at: 40, again, since: nil) == .beforeEpisode)
        // What nobody knew of then shut nothing: only from when on it was noted.
        #expect(gap(at: 40, again, noted: 59) == nil)
        #expect(gap(at: 40, again, openings: [40...40], noted: 59) == nil)
        #expect(gap(at: 40, again, openings: [59...60], noted: 59) == .beforeEpisode)
        for noted in [60, 65, 80, nil] as [Int64?] {
            #expect(gap(at: 40, again, noted: noted) == .beforeEpisode)
        }
        // Once its service was let run all of it is void, however short that was.
        for opening in [31...31, 50...55, 65...65, 70...90, 1...31] as [ClosedRange<Int64>] {
            #expect(gap(at: 40, again, openings: [opening]) == .beforeEpisode, "\(opening)")
        }
        for opening in [10...30, 71...71] as [ClosedRange<Int64>] {
            #expect(gap(at: 40, again, openings: [opening]) == nil, "\(opening)")
        }
        for other in [
            SuspectSpan(start: time(60), end: time(70), reachesAll: true),
            SuspectSpan(start: nil, end: time(70), reachesAll: false),
            SuspectSpan(start: time(60), end: nil, reachesAll: false),
            // It began before the first one was over: nothing was shut yet.
            SuspectSpan(start: time(30), end: time(70), reachesAll: false),
        ] {
            #expect(gap(at: 40, other) == .beforeEpisode, "\(other)")
        }
    }

    @Test func onlyTheModulesEntriesCount() {
        let module = Module(name: "m", pair: "p", paths: ["m", "x/y"].map { path($0) })
        var proof = ModuleProof(module, Sides(a: [], b: []))
        let stats = Sides<Stat?>(a: stat(), b: stat())
        for name in ["mm", "x", "x/yy", "n/m", "x/z"] {
            proof.add(path(name), stats, nil)
            if name != "x" { proof.addUnreadable(path(name)) }
        }
        // On neither side any more.
        proof.add(path("m/gone"), Sides(a: nil, b: nil), nil)
        #expect(proof.entries == 0)
        // Nothing is no proof.
        #expect(!proof.isWhole)
        for name in ["m", "m/a", "x/y/z/a"] { proof.add(path(name), stats, nil) }
        #expect(proof.entries == 3 && proof.gaps == [.unproven: 3] && proof.bytes == 300)
        // A directory above that cannot be read hides what is below it.
        proof.addUnreadable(path("x"))
        proof.addUnreadable(.root)
        #expect(proof.gaps[.unreadable] == 2)
    }

    @Test func whatWasFoundToDifferIsNoLongerProven() {
        let module = Module(name: "m", pair: "p", paths: [path("m")])
        let stats = Sides(a: stat(), b: stat(inode: 8))
        func counts(
            _ record: BaselineRecord, foundAt seconds: Int64, fromMedium: Bool, _ then: Sides<Stat>
        ) -> Bool {
            let found = Mismatch(
                found: time(seconds), isFromMedium: fromMedium, stats: then.map { StatWitness($0) })
            var proof = ModuleProof(
                module, Sides(a: [], b: []), mismatches: [path("m/f"): found])
            proof.add(path("m/f"), stats.map { Optional($0) }, record)
            #expect(proof.gaps == (proof.isWhole ? [:] : [.foundDiffering: 1]))
            return proof.isWhole
        }
        for (level, isFromMedium) in [(Assurance.hash, true), (.hash, false), (.media, true)] {
            // Found later, or in the same run.
            for found in [50, 60] as [Int64] {
                let old = record(stats, at: 50, level)
                #expect(!counts(old, foundAt: found, fromMedium: isFromMedium, stats))
            }
            // Proven again since, but not by the cache what the medium had otherwise.
            let later = record(stats, at: 70, level)
            let isEnough = level == .media || !isFromMedium
            #expect(counts(later, foundAt: 60, fromMedium: isFromMedium, stats) == isEnough)
        }
        // It was written anew since, on one side: what is proven is of what is there now.
        let moved = Sides(a: stats.a, b: stat(inode: 9))
        #expect(counts(record(stats, at: 50), foundAt: 60, fromMedium: true, moved))
    }

    /// What a run found that is not kept any more counts against all that is not proven since.
    @Test(arguments: [false, true])
    func whatMayHaveBeenFoundToDifferIsProvenAgain(_ isFromMedium: Bool) {
        let module = Module(name: "m", pair: "p", paths: [path("m")])
        let stats = Sides(a: stat(), b: stat(inode: 8))
        var lost = LostFindings()
        lost.add(time(60), isFromMedium: isFromMedium)
        lost.add(time(40), isFromMedium: false)
        for (seconds, level) in [(50, .media), (60, .media), (70, .hash), (70, .media)]
            as [(Int64, Assurance)]
        {
            var proof = ModuleProof(module, Sides(a: [], b: []), lost: lost)
            proof.add(path("m/f"), stats.map { Optional($0) }, record(stats, at: seconds, level))
            let counts = seconds > 60 && (level == .media || !isFromMedium)
            #expect(proof.isWhole == counts, "\(seconds) \(level)")
            #expect(proof.gaps == (counts ? [:] : [.findingsLost: 1]))
        }
    }

    @Test func aPathThatNothingIsMetAtIsNotProven() {
        let module = Module(name: "m", pair: "p", paths: ["m", "x/y"].map { path($0) })
        var proof = ModuleProof(module, Sides(a: [], b: []))
        let stats = Sides(a: stat(), b: stat())
        proof.add(path("m/a"), stats.map { Optional($0) }, record(stats))
        #expect(proof.gaps.isEmpty && !proof.isWhole && proof.unmet == [path("x/y")])
        proof.add(path("x/y/z"), stats.map { Optional($0) }, record(stats))
        #expect(proof.isWhole)
    }

    @Test func theOldestProofIsTold() {
        let module = Module(name: "m", pair: "p", paths: [.root])
        var proof = ModuleProof(module, Sides(a: [], b: []))
        let stats = Sides(a: stat(), b: stat())
        // Our own marker moves the root's times.
        proof.add(.root, stats.map { Optional($0) }, nil)
        #expect(proof.entries == 0)
        for (name, seconds) in [("a", 60), ("b", 50), ("c", 70)] as [(String, Int64)] {
            proof.add(path(name), stats.map { Optional($0) }, record(stats, at: seconds))
        }
        #expect(proof.isWhole && proof.entries == 3 && proof.oldest == time(50))
    }
}

import Glibc
import ResyncCore
import ResyncStorage
import TestSupport
import Testing

@testable import ResyncEngine

/// Fails the Nth call of a plan's work until there is none left to fail; then the fault goes away
/// and the same command is given again.
@Suite struct ApplyFaultTests {
    private static let shelf = "/b/.resync-quarantine/run"

    struct Trouble: Sendable, CustomTestStringConvertible {
        let workload: Workload
        let number: Int32
        let isPersistent: Bool
        /// Below which path calls fail.
        let place: String
        /// Whether only the answer is lost of a change of names.
        var isLate = false
        /// Whether the call after it fails, too.
        var isTwice = false

        var testDescription: String {
            let when =
                isLate ? "afterwards" : isPersistent ? "from then on" : isTwice ? "twice" : "once"
            return "\(workload) \(ErrorNumber.name(number)) \(when) \(place)"
        }

        /// - Parameter nth: of all calls there, whatever they are for.
        func fault(_ nth: Int) -> Fault {
            Fault(
                isLate ? .failAfterwards(number) : .fail(number), under: place, nth: nth,
                persistent: isPersistent,
                when: { [isLate] call in
                    isLate
                        ? [.renameat2, .linkat, .unlinkat].contains(call.kind) : call.kind != .close
                })
        }

        /// Has the work fail at each call that is looked at, until none is left.
        ///
        /// - Parameter work: with the fault in place.
        func sweep(
            _ disk: SimulatedDisk, _ work: (ApplyStage) -> Void,
            then check: (_ stage: ApplyStage, _ what: String) throws -> Void
        ) throws {
            let step = isLongRun || isLate ? 1 : 11
            var random = Seed.fromEnvironment("\(self)")
            var nth = 1 + random.below(step)
            while true {
                let stage = ApplyStage(disk.crash(keeping: .keepAll))
                stage.disk.inject(fault(nth))
                if isTwice { stage.disk.inject(fault(nth + 1)) }
                work(stage)
                let hasFired = stage.disk.firedFaults > 0
                stage.disk.clearFaults()
                try check(stage, "\(self) call \(nth)")
                guard hasFired else { break }
                nth += step
            }
        }
    }

    private static let troubles: [Trouble] =
        Workload.allCases.flatMap { workload in
            [EIO, ENOSPC, EROFS].flatMap { number in
                [false, true].flatMap { isPersistent in
                    ["/b", "/state"].map { place in
                        Trouble(
                            workload: workload, number: number, isPersistent: isPersistent,
                            place: place)
                    }
                }
            } + [
                Trouble(
                    workload: workload, number: EIO, isPersistent: false, place: "/b",
                    isLate: true),
                // One that does not end the work on the store.
                Trouble(
                    workload: workload, number: ENOMEM, isPersistent: false, place: "/b",
                    isTwice: true),
            ]
        }

    @Test(arguments: troubles)
    func noErrorLosesAnything(_ trouble: Trouble) throws {
        let planted = try trouble.workload.stage()
        let (target, contents) = (planted.store("/a"), planted.contents())
        var wasDone = false
        try trouble.sweep(planted.disk) { stage in
            let result = try? stage.apply()
            wasDone = result.map { $0.failure == nil && $0.counts.notDone == 0 } ?? false
        } then: { stage, what in
            #expect(contents.subtracting(stage.contents()).isEmpty, "\(what)")
            if wasDone { #expect(ApplyStage.differences(stage.store("/b"), target) == []) }
            // Once to settle and go on, once more for what waited for what failed.
            _ = try stage.apply()
            let last = try stage.apply()
            #expect(last.counts.notDone == 0, "\(what): \(last.counts)")
            #expect(ApplyStage.differences(stage.store("/b"), target) == [], "\(what)")
            #expect(contents.subtracting(stage.contents()).isEmpty, "\(what)")
        }
    }

    @Test(arguments: troubles)
    func noErrorInAnUndoLosesAnything(_ trouble: Trouble) throws {
        let stage = try trouble.workload.stage()
        let (old, contents) = (stage.store("/b"), stage.contents())
        try stage.apply()
        var wasDone = false
        try trouble.sweep(stage.disk) { stage in
            let result = try? stage.undo()
            wasDone = result.map { $0.failure == nil && $0.counts.notDone == 0 } ?? false
        } then: { stage, what in
            #expect(contents.subtracting(stage.contents()).isEmpty, "\(what)")
            if wasDone { #expect(ApplyStage.differences(stage.store("/b"), old) == [], "\(what)") }
            // A sync that failed may be told once more.
            _ = try? stage.undo()
            let last = try stage.undo()
            #expect(last.counts.notDone == 0, "\(what): \(last.notUndone)")
            #expect(ApplyStage.differences(stage.store("/b"), old) == [], "\(what)")
            #expect(contents.subtracting(stage.contents()).isEmpty, "\(what)")
        }
    }

    /// What is freed is what was displaced, and nothing that is not counts as freed.
    @Test(arguments: troubles)
    func noErrorInAReleaseTakesMore(_ trouble: Trouble) throws {
        let stage = try trouble.workload.stage()
        let source = stage.disk.contentNumbers("/a")
        try stage.apply()
        let (store, kept) = (stage.store("/b"), stage.disk.contentNumbers(Self.shelf))
        try trouble.sweep(stage.disk) {
            _ = try? $0.purge()
        } then: { stage, what in
            #expect(ApplyStage.differences(stage.store("/b"), store) == [], "\(what)")
            #expect(source.subtracting(stage.contents()).isEmpty, "\(what)")
            let state = try stage.folder().state
            let isReleased = state.released != nil
            let left = stage.disk.contentNumbers(Self.shelf)
            #expect(!isReleased || left.isEmpty, "\(what)")
            try stage.purge()
            #expect(stage.disk.contentNumbers(Self.shelf).isEmpty, "\(what)")
            #expect(try stage.folder().state.released != nil, "\(what)")
            #expect(ApplyStage.differences(stage.store("/b"), store) == [], "\(what)")
        }
        #expect(trouble.workload == .metadata || !kept.isEmpty)
    }

    /// What the medium does with a write that it says it took.
    enum Lie: CaseIterable {
        case loses, corrupts, misdirects

        var effect: FaultEffect {
            switch self {
            case .loses: .lose
            case .corrupts: .corrupt(.flipBit(at: 1))
            case .misdirects: .misdirect(by: 4096)
            }
        }
    }

    /// The old file stays; one that was never there is found out when it is read back.
    @Test(arguments: Lie.allCases) func whatTheMediumDoesNotKeepTakesNothingsPlace(
        _ lie: Lie
    ) throws {
        let planted = try ApplyStage.planted(
            a: { disk in
                disk.addFile("/a/f", "what is new")
                disk.addFile("/a/g", "what was never there")
            },
            b: { disk in disk.addFile("/b/f", "what was old") })
        let (old, target) = (planted.store("/b"), planted.store("/a"))
        func applied(_ nth: Int) throws -> (stage: ApplyStage, result: ApplyResult) {
            let stage = ApplyStage(planted.disk.crash(keeping: .keepAll))
            stage.disk.inject(
                Fault(lie.effect, on: .pwrite, under: "/b", nth: nth) {
                    String(decoding: $0.path, as: UTF8.self).contains("-staged-")
                })
            let result = try stage.apply()
            #expect(stage.disk.firedFaults == 1)
            stage.disk.clearFaults()
            return (stage, result)
        }
        let (stage, result) = try applied(1)
        #expect(result.failure?.error.number == EIO && result.counts.failed == 1)
        let name = Array("f".utf8)
        #expect(stage.store("/b").entries[name] == old.entries[name])
        #expect(try stage.apply().counts.notDone == 0)
        #expect(ApplyStage.differences(stage.store("/b"), target) == [])
        #expect(try stage.confirm().different == [])
        let new = try applied(2).stage
        #expect(try new.confirm().different == ["g [\"content\"]"])
    }

    /// Nothing was left by the plan: the directory came to differ since.
    @Test func whatHappenedToADirectoryOfTheSourceSinceIsNotConfirmed() throws {
        let own = Ownership(mtime: ApplyStage.calm)
        let stage = try ApplyStage.planted(
            a: { disk in
                disk.addFile("/a/d/f", "new", own)
                disk.change("/a/d", own)
            },
            b: { disk in
                disk.addFile("/b/d/f", "older", own)
                disk.change("/b/d", own)
            })
        try stage.apply()
        stage.disk.change("/a/d", Ownership(mode: 0o711))
        #expect(try stage.confirm().different == ["d [\"mode\"]"])
    }

    /// At every call; then the power comes back, and the same command is given again.
    @Test func aPowerLossWhileConfirmingClaimsNothing() throws {
        let planted = try Workload.smallFiles.stage()
        try planted.apply()
        var random = Seed.fromEnvironment()
        var claims = 0
        for nth in stride(from: 1, to: Int.max, by: isLongRun ? 1 : 3) {
            let stage = ApplyStage(planted.disk.crash(keeping: .keepAll))
            stage.disk.inject(Fault(.fail(EIO), nth: nth, persistent: true))
            _ = try? stage.confirm()
            let hasFired = stage.disk.firedFaults > 0
            let left = ApplyStage(
                stage.disk.crash(keeping: .random, order: .unordered, seed: random.next()))
            let (a, b) = (try left.marker(.a), try left.marker(.b))
            let identities = try left.folder().plan.header.stores.map { $0.identity }
            let known = try left.state().baselines.find(identities)?.id()
            // The target says so first, and neither before that what is proven is written down.
            if let id = b?.baseline {
                claims += 1
                #expect(known == id && b?.inconsistent == nil, "call \(nth)")
            }
            #expect(a?.baseline == nil || a?.baseline == b?.baseline, "call \(nth)")
            #expect(b?.baseline != nil || b?.inconsistent == "run", "call \(nth)")
            let again = try left.confirm()
            #expect(again.result.isGood, "call \(nth): \(again)")
            let agreed = try left.marker(.a)?.baseline
            let other = try left.marker(.b)
            #expect(agreed != nil && agreed == other?.baseline && other?.inconsistent == nil)
            guard hasFired else { break }
        }
        #expect(claims > 2)
    }

    /// Somebody changes what the plan is about, between planning and applying: theirs stays.
    @Test func whatChangedSinceThePlanIsLeftAlone() throws {
        let stage = try Workload.smallFiles.stage()
        stage.disk.write("/b/d0/f0", at: 0, "edited since")
        stage.disk.addFile("/b/d0/f1", "made since")
        let result = try stage.apply()
        #expect(result.counts.changed == 2, "\(result.counts)")
        #expect(stage.disk.content("/b/d0/f0") == Array("edited since".utf8))
        #expect(stage.disk.content("/b/d0/f1") == Array("made since".utf8))
    }

    /// The source moves on: nothing of it is written.
    @Test func whatChangedOnTheSourceIsNotCopied() throws {
        let stage = try Workload.oneFile.stage()
        stage.disk.write("/a/f", at: 0, "newer still")
        let result = try stage.apply()
        #expect(result.counts.sourceChanged == 1, "\(result.counts)")
        #expect(stage.disk.content("/b/f") == Array("what was old".utf8))
    }

    /// Where a file could not be written, no name is made another one of what stands in its place,
    /// as long and as old as it may be: rotten, or named twice where it is to be two files.
    @Test(arguments: ["rotten twice", "good text too"], [true, false])
    func namesWaitForTheirFile(_ old: String, _ isSourceAtFault: Bool) throws {
        let own = Ownership(mtime: ApplyStage.calm)
        let stage = try ApplyStage.planted(
            a: { disk in
                disk.addFile("/a/one", "good content", own)
                disk.link("/a/one", as: "/a/two")
            },
            b: { disk in
                disk.addFile("/b/one", old.prefix(12).description, own)
                disk.link("/b/one", as: "/b/two")
                disk.link("/b/one", as: "/b/three")
            })
        let target = stage.store("/a")
        if isSourceAtFault {
            stage.disk.inject(Fault(.fail(EACCES), on: .openat, under: "/a/one"))
        } else {
            stage.disk.inject(Fault(.fail(EPERM), on: .fchownat, under: "/b"))
        }
        let first = try stage.apply()
        #expect(stage.disk.firedFaults == 1)
        // After trouble with the target nothing is removed from it, either.
        #expect(first.counts.failed == 1, "\(first.counts)")
        #expect(first.counts.blocked == (isSourceAtFault ? 1 : 2), "\(first.counts)")
        let second = try stage.apply()
        #expect(second.counts.notDone == 0, "\(second.counts)")
        #expect(ApplyStage.differences(stage.store("/b"), target) == [])
        #expect(try stage.confirm().different == [])
    }

    /// A write between the check and the exchange is seen on what was displaced, and put back.
    @Test func anEditInTheLastMomentIsPutBack() throws {
        let stage = try Workload.oneFile.stage()
        let disk = stage.disk
        let calls = Counter()
        disk.onCall { call in
            let isStaged = RelativePath(call.path).lastName.bytes.starts(with: stagedPrefix)
            guard call.kind == .renameat2, isStaged || call.path == Array("/b/f".utf8),
                calls.next() == 1
            else { return }
            disk.write("/b/f", at: 0, "just now!")
        }
        let result = try stage.apply()
        disk.onCall(nil)
        #expect(result.counts.changed == 1, "\(result.counts)")
        #expect(disk.content("/b/f").starts(with: Array("just now!".utf8)))
    }

    /// A file made in a directory just before that is taken away: both stay where they were.
    @Test func aDirectoryThatIsNotEmptyAnyMoreStays() throws {
        let stage = try Workload.deleteTree.stage()
        let disk = stage.disk
        let calls = Counter()
        disk.onCall { call in
            let isRemoval = RelativePath(call.path).lastName == Name("e")
            guard call.kind == .renameat2, isRemoval, calls.next() == 1 else { return }
            disk.addFile(call.path + Array("/new".utf8), "just now")
        }
        let result = try stage.apply()
        disk.onCall(nil)
        #expect(result.counts.changed > 0, "\(result.counts)")
        let new = disk.paths.filter { RelativePath($0).lastName == Name("new") }
        #expect(new.count == 1)
        #expect(new.allSatisfy { $0.starts(with: Array("/b/t/".utf8)) }, "\(new)")
    }

    /// What is replaced need not be readable: it goes into quarantine as it is.
    @Test func aTargetThatCannotBeReadIsReplaced() throws {
        let stage = try Workload.oneFile.stage()
        stage.disk.inject(Fault(.fail(EIO), on: .pread, under: "/b/f", persistent: true))
        let result = try stage.apply()
        #expect(result.counts.notDone == 0, "\(result.counts)")
        stage.disk.clearFaults()
        #expect(stage.disk.content("/b/f") == Array("what is new".utf8))
        #expect(try stage.undo().counts.notDone == 0)
        #expect(stage.disk.content("/b/f") == Array("what was old".utf8))
    }

    /// The number that the kernel takes for "as it is".
    @Test func anOwnerThatNobodyCanBeIsNamed() throws {
        let nobody = Ownership(uid: .max, mtime: ApplyStage.calm)
        let stage = try ApplyStage.planted(
            a: {
                $0.addFile("/a/f", "new", nobody)
                $0.addFile("/a/g", "new", Ownership(mtime: ApplyStage.calm))
            }, b: { $0.addFile("/b/f", "old") })
        let result = try stage.apply()
        #expect(result.counts.failed == 1 && result.failure == nil, "\(result.counts)")
        #expect(stage.disk.content("/b/f") == Array("old".utf8))
        #expect(stage.disk.content("/b/g") == Array("new".utf8))
    }

    /// As far from now as a number can say: what the target makes of it is not called the same, and
    /// is known again when it is taken back.
    @Test(arguments: [Int64.min, .max])
    func timesOutOfReachAreTakenBack(_ seconds: Int64) throws {
        let time = Ownership(mtime: Timestamp(seconds: seconds, nanoseconds: 999_999_999))
        let stage = try ApplyStage.planted(
            a: {
                $0.addFile("/a/f", "new", time)
                $0.addDirectory("/a/d", time)
                $0.addFile("/a/m", "same", time)
            },
            b: {
                $0.addFile("/b/f", "old", Ownership(mtime: ApplyStage.calm))
                $0.addFile("/b/m", "same", Ownership(mtime: ApplyStage.calm))
            })
        let before = stage.store("/b")
        #expect(try stage.apply().counts.notDone == 0)
        let different = Set(try stage.confirm().different)
        #expect(different == ["d [\"mtime\"]", "f [\"mtime\"]", "m [\"mtime\"]"])
        let undone = try stage.undo()
        #expect(undone.counts.notDone == 0, "\(undone.counts)")
        #expect(stage.store("/b").differences(from: before) == [])
    }

    /// A log is renamed and begun anew while it is copied: what is placed is all of the one that
    /// was planned, or nothing.
    @Test func aSourceThatIsRotatedWhileItIsCopiedIsNotMixed() throws {
        let stage = try Workload.oneFile.stage()
        let disk = stage.disk
        let calls = Counter()
        disk.onCall { call in
            guard call.kind == .pread, call.path == Array("/a/f".utf8), calls.next() == 1 else {
                return
            }
            disk.rename("/a/f", to: "/a/f.1")
            disk.addFile("/a/f", "begun anew")
        }
        let result = try stage.apply()
        disk.onCall(nil)
        #expect(calls.count > 0)
        #expect(result.counts.sourceChanged == 1, "\(result.counts)")
        #expect(disk.content("/b/f") == Array("what was old".utf8))
        #expect(!disk.exists("/b/f.1"))
    }

    /// On a target that takes both names for one, the second finds its place taken.
    @Test(arguments: [false, true])
    func namesThatTheTargetFoldsDoNotOverwriteEachOther(_ isThere: Bool) throws {
        let calm = Ownership(mtime: ApplyStage.calm)
        let stage = try ApplyStage.planted(
            a: {
                $0.addFile("/a/Case", "one", calm)
                $0.addFile("/a/case", "two", calm)
            },
            b: {
                $0.foldCase(in: "/b")
                if isThere { $0.addFile("/b/CASE", "old", calm) }
            })
        let (before, all) = (stage.store("/b"), stage.contents())
        let result = try stage.apply()
        // That a third is to go is not asked of what has taken its place.
        let left = isThere ? 2 : 1
        #expect(result.counts.notDone == left && result.failure == nil, "\(result.counts)")
        #expect(stage.store("/b").entries.count == before.entries.count + (isThere ? 0 : 1))
        #expect(stage.disk.content("/b/case") == Array("one".utf8))
        let again = try stage.apply()
        #expect(again.counts.notDone == left, "\(again.counts)")
        #expect(all.isSubset(of: stage.contents()))
        #expect(try stage.undo().counts.notDone == 0)
        #expect(ApplyStage.differences(stage.store("/b"), before) == [])
    }

    @Test func whatIsOpenForWritingIsWithheld() throws {
        let stage = try Workload.oneFile.stage()
        var options = ApplyOptions(blockSize: ApplyStage.blockSize)
        let identity = stage.disk.peek("/b/f").identity
        let holder = OpenFiles.Holder(number: 7, name: Array("writer".utf8))
        options.openForWriting = { [identity: holder] }
        let job = ApplyJob(try stage.folder(), try stage.sites(), .none, settle: 0)
        func apply() throws -> ApplyResult {
            try job.apply(options, ComparisonRules(), try stage.state().baselines, freed: nil)
        }
        let held = try apply()
        #expect(held.counts.withheld == 1)
        #expect(Array(held.holders.values) == [holder])
        options.acceptsOpen = true
        #expect(try apply().counts.done == 2)
    }

    /// An undo leaves alone what was edited after the run, and brings back the rest.
    @Test func anUndoRefusesWhatChangedSince() throws {
        let stage = try Workload.smallFiles.stage()
        try stage.apply()
        stage.disk.write("/b/d0/f0", at: 0, "edited since")
        let result = try stage.undo()
        #expect(result.counts.changed == 1, "\(result.counts)")
        #expect(stage.disk.content("/b/d0/f0").starts(with: Array("edited since".utf8)))
        #expect(stage.disk.content("/b/d0/f2") == Array("/b 2".utf8))
    }

    @Test func markersTellWhatState() throws {
        let stage = try Workload.smallFiles.stage()
        #expect(try stage.marker(.b) == nil)
        try stage.apply()
        #expect(try stage.marker(.b)?.inconsistent == "run")
        stage.disk.advance(seconds: 5)
        _ = try stage.confirm()
        let (a, b) = (try stage.marker(.a), try stage.marker(.b))
        #expect(b?.inconsistent == nil)
        #expect(b?.baseline != nil && a?.baseline == b?.baseline)
    }
}

import Glibc
import ResyncCore
import ResyncStorage
import Synchronization
import TestSupport
import Testing

@testable import ResyncEngine

/// What is held up, held back or found changed while a plan is carried out.
@Suite struct ApplyCareTests {
    /// `f`, of 20 MiB on A, is missing on B; `g` is another one there.
    private static func stage() throws -> ApplyStage {
        try ApplyStage.planted(
            a: { disk in
                disk.addFile("/a/f", [UInt8](repeating: 7, count: 20 << 20))
                disk.addFile("/a/g", "of A")
            }, b: { $0.addFile("/b/g", "of B") })
    }

    @Test func aRunIsEndedInTheMidstOfALargeFile() throws {
        let stage = try Self.stage()
        let reads = Atomic<Int>(0)
        stage.disk.onCall { call in
            guard call.kind == .pread, call.path == Array("/a/f".utf8) else { return }
            // Whoever watches looks several times a second.
            if reads.add(1, ordering: .relaxed).newValue == 2 { usleep(500_000) }
        }
        let controls = RunControls(
            interruption: { reads.load(ordering: .relaxed) > 0 ? SIGINT : nil },
            report: { _, _ in })
        let job = ApplyJob(try stage.folder(), try stage.sites(), controls, settle: 0)
        let ended = try job.apply(
            ApplyOptions(blockSize: ApplyStage.blockSize), ComparisonRules(),
            try stage.state().baselines, freed: nil)
        #expect(ended.ending == .interrupted(SIGINT))
        #expect(reads.load(ordering: .relaxed) < 20)
        #expect(ended.counts.left > 0 && ended.counts.failed == 0, "\(ended.counts)")
        #expect(!stage.disk.exists("/b/f"))
        #expect(stage.disk.paths.allSatisfy { !$0.contains(Array("staged".utf8)) })
        stage.disk.onCall(nil)
        #expect(try stage.apply().counts.notDone == 0)
        #expect(stage.disk.content("/b/f") == stage.disk.content("/a/f"))
    }

    /// As after the target was mounted anew: the plan knows it under another device number.
    @Test func whoHasAFileOpenIsFoundUnderItsNumberOfToday() throws {
        let stage = try Self.stage()
        let then = stage.disk.peek("/b/g").device
        stage.disk.changeMount(of: "/b") {
            $0.device = DeviceNumber(major: then.major + 1, minor: then.minor)
        }
        let now = stage.disk.peek("/b/g")
        try #require(now.device != then)
        let holder = OpenFiles.Holder(number: 9, name: Array("writer".utf8))
        var options = ApplyOptions(blockSize: ApplyStage.blockSize)
        options.openForWriting = { [now.identity: holder] }
        let job = ApplyJob(try stage.folder(), try stage.sites(), .none, settle: 0)
        let result = try job.apply(
            options, ComparisonRules(), try stage.state().baselines, freed: nil)
        #expect(result.counts.withheld == 1, "\(result.counts)")
        #expect(stage.disk.content("/b/g") == Array("of B".utf8))
    }

    /// What cannot be read after a crash is not called somebody else's.
    @Test func whatCannotBeReadIsSettledLater() throws {
        let planted = try Self.stage()
        // Cut off between the exchange and the quarantine.
        planted.disk.inject(
            Fault(.fail(EIO), on: .renameat2, under: "/b", nth: 3, persistent: true))
        _ = try? planted.apply()
        let stage = ApplyStage(planted.disk.crash(keeping: .keepAll))
        stage.disk.inject(
            Fault(
                .fail(EIO), on: .pread, under: "/b", persistent: true,
                when: { !$0.path.ends(with: ".resync-store") }))
        let failed = try stage.apply()
        #expect(failed.failure?.side == .b)
        #expect(failed.counts.conflicts == 0, "\(failed.counts)")
        stage.disk.clearFaults()
        #expect(try stage.apply().counts.notDone == 0)
        #expect(try stage.undo().counts.notDone == 0)
        #expect(stage.disk.content("/b/g") == Array("of B".utf8))
    }

    @Test func withoutItsJournalNothingIsBegun() throws {
        let stage = try Self.stage()
        _ = try stage.folder()
        let before = stage.store("/b")
        stage.disk.inject(Fault(.fail(ENOSPC), on: .pwrite, under: "/state", persistent: true))
        #expect(throws: JournalFailure(error: DiskError(.pwrite, ENOSPC))) { try stage.apply() }
        #expect(stage.store("/b").differences(from: before) == [])
        stage.disk.clearFaults()
        #expect(try stage.apply().counts.notDone == 0)
    }

    @Test func anotherPlanThanTheGuardedOneIsNotBegun() throws {
        let stage = try Self.stage()
        let file = try stage.state().folder.read(Array("plan".utf8))
        let header = RunHeader(
            id: "other", kind: "apply", started: ApplyStage.calm, a: [], b: [], arguments: [],
            workingDirectory: [], version: "test")
        #expect(throws: FormatError.self) {
            _ = try ApplyFolder(
                begin: try RunFolder.create(in: try stage.state().runs, header), plan: file,
                id: .zero)
        }
    }

    /// It was missing on the source when the plan was made, and is not any more.
    @Test func whatTheSourceHasAgainIsNotDeleted() throws {
        let stage = try ApplyStage.planted(
            a: { $0.addDirectory("/a/kept") },
            b: { disk in
                disk.addDirectory("/b/kept")
                for folder in ["/b/back", "/b/gone", "/b/turned"] { disk.addDirectory(folder) }
                for file in ["/b/f", "/b/g", "/b/kept/h", "/b/back/i", "/b/gone/j"] {
                    disk.addFile(file, "on B only")
                }
            })
        stage.disk.addFile("/a/f", "come since")
        stage.disk.addSymlink("/a/kept/h", to: "nowhere")
        stage.disk.addDirectory("/a/back")
        // No directory any more: what lies below it is not there.
        stage.disk.addFile("/a/gone", "a file")
        let result = try stage.apply()
        #expect(result.counts.sourceChanged == 3, "\(result.counts)")
        for path in ["/b/f", "/b/kept/h", "/b/back"] { #expect(stage.disk.exists(path), "\(path)") }
        for path in ["/b/g", "/b/back/i", "/b/gone", "/b/turned"] {
            #expect(!stage.disk.exists(path), "\(path)")
        }
        let again = try stage.apply()
        #expect(again.counts.sourceChanged == 3, "\(again.counts)")
        #expect(try stage.undo().counts.notDone == 0)
        #expect(stage.disk.exists("/b/gone/j"))
    }

    /// What cannot be looked at is not taken for missing.
    @Test func whereTheSourceDoesNotTellNothingIsDeleted() throws {
        let stage = try ApplyStage.planted(a: { _ in }, b: { $0.addFile("/b/f", "on B only") })
        stage.disk.inject(Fault(.fail(EIO), on: .statx, under: "/a/f", persistent: true))
        let result = try stage.apply()
        #expect(result.counts.failed == 1, "\(result.counts)")
        #expect(stage.disk.exists("/b/f"))
        stage.disk.clearFaults()
        #expect(try stage.apply().counts.notDone == 0)
    }

    /// From the first word of an undo on, the plan is not carried out any more.
    @Test func anUndoThatWasCutOffGoesOnAsOne() throws {
        let stage = try Self.stage()
        try stage.apply()
        stage.disk.inject(Fault(.fail(EIO), on: .renameat2, under: "/b", persistent: true))
        stage.disk.inject(Fault(.fail(EIO), on: .syncfs, under: "/b", persistent: true))
        _ = try? stage.undo()
        let state = try stage.folder().state
        #expect(state.undone.isEmpty && state.isBeingUndone && !state.isComplete)
        stage.disk.clearFaults()
        #expect(try stage.undo().counts.notDone == 0)
        #expect(!stage.disk.exists("/b/f"))
    }

    /// `f` is missing on B, and `g` is another one there; both have an attribute and an owner on A.
    private static func owned(details: AspectSet = [], left: AspectSet = []) throws -> ApplyStage {
        try ApplyStage.planted(
            a: { disk in
                for name in ["/a/f", "/a/g"] {
                    disk.addFile(name, "of A", Ownership(uid: 7, gid: 7))
                    disk.setAttribute(name, "user.note", "x")
                }
            }, b: { $0.addFile("/b/g", "of B") }, details: details, left: left)
    }

    /// What was not compared is not insisted on, told, and no obstacle to a resumption or an undo.
    @Test(arguments: [(SystemCall.setxattr, EOPNOTSUPP), (.fchownat, EPERM)])
    func aTargetMayRefuseWhatWasNotCompared(_ call: SystemCall, _ number: Int32) throws {
        let aspect = call == .setxattr ? Aspect.xattrs : .owner
        func refuse(_ stage: ApplyStage) {
            stage.disk.inject(
                Fault(
                    .fail(number), under: "/b", nth: 1, persistent: true,
                    when: { $0.kind == call }))
        }
        let stage = try Self.owned(left: AspectSet(.owner))
        let before = stage.store("/b")
        refuse(stage)
        for nth in 1...100 {
            let again = ApplyStage(stage.disk.crash(keeping: .keepAll), left: stage.left)
            refuse(again)
            again.disk.inject(
                Fault(.fail(EIO), under: "/b", nth: nth, persistent: true, when: { _ in true }))
            _ = try? again.apply()
            again.disk.clearFaults()
            refuse(again)
            _ = try again.apply()
            let result = try again.apply()
            #expect(result.counts.notDone == 0, "\(call) \(nth): \(result.counts)")
            #expect(again.disk.content("/b/f") == Array("of A".utf8))
        }
        let result = try stage.apply()
        #expect(result.counts.notDone == 0, "\(result.counts)")
        #expect(result.notTaken.b == [aspect: 2] && result.notTaken.a.isEmpty)
        #expect(stage.disk.content("/b/f") == Array("of A".utf8))
        let different = try stage.confirm().different
        #expect(different == [], "\(different)")
        let undone = try stage.undo()
        #expect(undone.notUndone.isEmpty, "\(undone.counts)")
        #expect(ApplyStage.differences(stage.store("/b"), before) == [])

        // What was compared is.
        let asked = try Self.owned(details: AspectSet(.xattrs))
        refuse(asked)
        let failed = try asked.apply()
        #expect(failed.counts.failed == 2 && failed.notTaken.b.isEmpty, "\(failed.counts)")
        #expect(!asked.disk.exists("/b/f"))
    }
}

extension [UInt8] {
    fileprivate func ends(with text: String) -> Bool {
        suffix(text.utf8.count) == Array(text.utf8)[...]
    }
}

import Glibc
import ResyncCore
import ResyncStorage
import TestSupport
import Testing

@testable import ResyncEngine

/// Runs that patch an image, with their journal and undo files: cut off, gone on with, released in
/// part and taken back.
@Suite struct ImageRunTests {
    /// A plan that makes B what A is, of more than five actions that are one batch.
    private struct ImageStage {
        let images = PatchStage()
        var disk: SimulatedDisk { images.disk }

        private func site(_ path: String) throws -> LocalSite {
            var options = LocalSiteOptions()
            options.kernel = NoKernelFiles()
            return try LocalSite(path: Array(path.utf8), disk: disk, options: options)
        }

        func sites() throws -> Sides<LocalSite> {
            Sides(a: try site("/a/image"), b: try site(images.target))
        }

        private func state() throws -> StateFolder {
            try StateFolder(path: Array("/state".utf8), disk: disk)
        }

        func folder() throws -> ApplyFolder {
            let state = try state()
            if let run = try? RunFolder.open("run", in: state.runs) {
                return try ApplyFolder(resume: run)
            }
            var source = images.planned
            source.path = Array("/a/image".utf8)
            source.identity = try sites().a.identity
            let header = PlanHeader(
                stores: Sides(a: source, b: images.planned), authority: .a,
                created: ApplyStage.calm, blockSize: 64 << 10, aspects: .standard,
                exclusions: .zero)
            let file = try state.folder.create(Array("plan".utf8))
            var writer = try PlanWriter(header, hash: frameHash(), chain: frameHash()) {
                try file.write($0)
            }
            for action in images.actions { try writer.append(action) }
            _ = try writer.finish(PlanLeftOut())
            try file.sync()
            let input = try state.folder.read(Array("plan".utf8))
            let plan = try PlanReader(hash: frameHash(), chain: frameHash()) {
                try input.read(at: $0, count: $1)
            }
            let run = RunHeader(
                id: "run", kind: "apply", started: ApplyStage.calm, a: [], b: [], arguments: [],
                workingDirectory: [], version: "test")
            return try ApplyFolder(
                begin: try RunFolder.create(in: state.runs, run), plan: input, id: plan.id)
        }

        private func job() throws -> ApplyJob {
            ApplyJob(try folder(), try sites(), .none, settle: 0)
        }

        /// - Parameter room: for how many actions there is room in the undo file; nil: for all.
        @discardableResult
        func apply(
            room: Int? = nil, freed: ((Quarantine.Freed) -> Void)? = nil
        ) throws -> ApplyResult {
            var options = ApplyOptions(blockSize: 64 << 10)
            options.maxUndo = room.map {
                images.actions.prefix($0).reduce(0) { $0 + UndoFile.space(of: $1) }
            }
            return try job().apply(
                options, ComparisonRules(), try state().baselines, freed: freed)
        }

        /// Fails in the midst of the fourth action, which leaves what a crash would.
        func cutOff() throws {
            disk.inject(Fault(.fail(EIO), on: .pwrite, under: images.target, nth: 18))
            #expect(try apply().failure != nil)
            disk.clearFaults()
            try #require(try folder().state.open == 0..<images.actions.count)
            try #require(!isAsBefore)
        }

        /// Writes all of it, and the journal cannot say so any more.
        func endUnrecorded() throws {
            _ = try folder()
            disk.inject(Fault(.fail(EIO), on: .pwrite, under: "/state/runs/run/journal", nth: 2))
            #expect(throws: JournalFailure.self) { try apply() }
            disk.clearFaults()
            try #require(isRepaired)
        }

        func undo() throws -> ApplyResult { try job().undo(try state().baselines) }

        func confirm() throws -> ConfirmResult {
            try job().confirm(ComparisonRules(), try state().baselines) { _, _ in }
        }

        func release() throws -> Quarantine.Freed {
            try Quarantine(try folder()).release(try sites())
        }

        var isAsBefore: Bool { areEqual(images.medium(disk), images.before) }
        var isRepaired: Bool { areEqual(images.medium(disk), images.after) }
        var hasUndoFile: Bool { disk.exists("/state/runs/run/undo") }

        func isNew(_ number: Int) -> Bool {
            images.actions[number].patches.allSatisfy {
                areEqual(images.medium(disk), images.after, $0.extent.offset..<$0.extent.end)
            }
        }
    }

    /// Only its undo file knows what the batch has overwritten.
    @Test func aRunThatIsCutOffReleasesNothing() throws {
        let stage = ImageStage()
        try stage.cutOff()
        let confirmed = try stage.confirm()
        #expect(confirmed.confirmed == 0)
        #expect(throws: UndoRefusal.self) { try stage.release() }
        #expect(stage.hasUndoFile)
        #expect(try stage.folder().state.released == nil)
        #expect(try stage.apply().counts.notDone == 0)
        #expect(stage.isRepaired)
        #expect(try stage.undo().counts.notDone == 0)
        #expect(stage.isAsBefore)
    }

    @Test func anUndoThatIsCutOffReleasesNothing() throws {
        let stage = ImageStage()
        try stage.apply()
        stage.disk.inject(Fault(.fail(EIO), on: .pwrite, under: stage.images.target, nth: 8))
        #expect(try stage.undo().failure != nil)
        stage.disk.clearFaults()
        #expect(throws: UndoRefusal.self) { try stage.release() }
        #expect(stage.hasUndoFile)
        #expect(try stage.undo().counts.notDone == 0)
        #expect(stage.isAsBefore)
    }

    /// What is carried out later is kept again, and can be taken back.
    @Test func whatIsReleasedOfAPartIsNotTheWholeRun() throws {
        let stage = ImageStage()
        #expect(try stage.apply(room: 2).shortage != nil)
        #expect(try stage.confirm().isGood)
        #expect(try stage.release().entries == 2)
        #expect(try stage.folder().state.released == nil)
        #expect(!stage.hasUndoFile)
        #expect(try stage.apply().counts.notDone == 0)
        #expect(stage.isRepaired)
        let undone = try stage.undo()
        #expect(undone.counts.released == 2)
        #expect(undone.counts.done == stage.images.actions.count - 2)
        for number in stage.images.actions.indices {
            #expect(stage.isNew(number) == (number < 2))
        }
    }

    @Test func whatIsReleasedOfTheWholeIsTheEndOfIt() throws {
        let stage = ImageStage()
        try stage.apply()
        #expect(try stage.release().entries == stage.images.actions.count)
        #expect(try stage.folder().state.released != nil)
        #expect(!stage.hasUndoFile)
    }

    /// The batch that was cut off is kept in the undo file already, whatever may be kept from now
    /// on.
    @Test(arguments: [false, true])
    func aBatchThatIsCutOffIsGoneOnWithAsAWhole(_ isReleasing: Bool) throws {
        let stage = ImageStage()
        try stage.cutOff()
        var freed = 0
        try stage.apply(room: 1, freed: isReleasing ? { freed += $0.entries } : nil)
        let state = try stage.folder().state
        #expect(state.open == nil && state.isComplete)
        #expect(freed == 0)
        #expect(stage.hasUndoFile)
        #expect(stage.isRepaired)
        #expect(try stage.undo().counts.notDone == 0)
        #expect(stage.isAsBefore)
    }

    @Test func aBatchThatIsCutOffAndTakenBackIsOver() throws {
        let stage = ImageStage()
        try stage.cutOff()
        let undone = try stage.undo()
        #expect(undone.counts.notDone == 0)
        #expect(stage.isAsBefore)
        let folder = try stage.folder()
        #expect(folder.state.open == nil && folder.state.isTakenBack)
        #expect(folder.reasonToKeep == nil)
        _ = try stage.release()
        #expect(try stage.folder().state.released != nil)
        #expect(!stage.hasUndoFile)
    }

    /// As above, but for what somebody has written to since: that stays, and what it replaced is
    /// kept until somebody lets it go.
    @Test func aBatchThatIsTakenBackInPartIsOver() throws {
        let stage = ImageStage()
        try stage.endUnrecorded()
        let extent = stage.images.actions[0].patches[1].extent
        stage.disk.write(stage.images.target, at: extent.offset, "somebody's")
        for _ in 0..<2 {
            #expect(try stage.undo().counts.changed == 1)
            let folder = try stage.folder()
            #expect(!folder.state.isCutOff && !folder.state.isTakenBack)
            #expect(folder.reasonToKeep == "keeps what it displaced")
            #expect(stage.hasUndoFile)
        }
        // Once it is as the run left it, it goes back as well.
        stage.disk.write(
            stage.images.target, at: extent.offset,
            Array(stage.images.after[extent.offset..<extent.end]))
        #expect(try stage.undo().counts.notDone == 0)
        #expect(stage.isAsBefore)
        #expect(try stage.folder().state.isTakenBack)
    }

    @Test func whatWasNotTakenBackIsLetGoByAPerson() throws {
        let stage = ImageStage()
        try stage.endUnrecorded()
        let extent = stage.images.actions[0].patches[1].extent
        stage.disk.write(stage.images.target, at: extent.offset, "somebody's")
        #expect(try stage.undo().counts.changed == 1)
        #expect(try stage.release().entries == 1)
        #expect(!stage.hasUndoFile)
        #expect(try stage.folder().reasonToKeep == nil)
    }
}

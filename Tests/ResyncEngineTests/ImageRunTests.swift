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

        private func job(_ controls: RunControls = .none) throws -> ApplyJob {
            ApplyJob(try folder(), try sites(), controls, settle: 0)
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

        func undo(_ controls: RunControls = .none) throws -> ApplyResult {
            try job(controls).undo(try state().baselines)
        }

        func confirm() throws -> ConfirmResult {
            try job().confirm(ComparisonRules(), try state().baselines) { _, _ in }
        }

        func release() throws -> Quarantine.Freed {
            try Quarantine(try folder()).release(try sites())
        }

        func replaceUndo(_ bytes: [UInt8]) throws {
            let folder = try folder().run.folder
            try folder.remove(PatchStage.undoName)
            disk.addFile("/state/runs/run/undo", bytes)
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

    /// Its operator has ordered a rate at which it takes a second.
    @Test func anUndoObeysTheRateThatIsOrdered() throws {
        let stage = ImageStage()
        #expect(try stage.apply().counts.notDone == 0)
        let controls = RunControls(interruption: { nil }, report: { _, _ in })
        let bytes = stage.images.actions.reduce(0) { $0 + $1.bytesWritten }
        controls.pace.follow(
            {
                var order = PaceOrder()
                order.writeLimit = bytes
                return order
            }, changed: { _ in }, isInterrupted: { false })
        let start = monotonicSeconds()
        #expect(try stage.undo(controls).counts.notDone == 0)
        #expect(monotonicSeconds() - start > 0.5)
        #expect(stage.isAsBefore)
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

    // MARK: What nobody knows whose it was

    /// Where a crash may have cut a write stands what somebody wrote since: an undo cannot tell it
    /// from what is torn, and puts it aside.
    private func cutOffAndOverwritten() throws -> (ImageStage, PutAside, bytes: [UInt8]) {
        let stage = ImageStage()
        try stage.cutOff()
        let extent = stage.images.actions[3].patches[2].extent
        stage.disk.write(stage.images.target, at: extent.offset, "somebody's")
        let bytes = Array(stage.images.medium(stage.disk)[extent.offset..<extent.end])
        return (stage, PutAside(side: .b, number: 3, extent: extent), bytes)
    }

    @Test func whatAnUndoPutsAsideIsToldAndCanBeHad() throws {
        let (stage, piece, bytes) = try cutOffAndOverwritten()
        #expect(try stage.undo().counts.notDone == 0)
        #expect(stage.isAsBefore)
        let folder = try stage.folder()
        #expect(folder.putAside == [piece])
        #expect(folder.state.isTakenBack)
        #expect(folder.reasonToKeep == "keeps what it put aside")
        let out = try Folder.make(path: Array("/out".utf8), disk: stage.disk)
        var copied: [Extent] = []
        try folder.copyAside(to: out) { copied.append($1) }
        #expect(copied == [piece.extent])
        #expect(stage.disk.content("/out/\(piece.extent.offset)") == bytes)
        #expect(throws: DiskError(.openat, EEXIST)) { try folder.copyAside(to: out) { _, _ in } }
    }

    @Test func whatWasPutAsideGoesByAPersonsWord() throws {
        let (stage, piece, _) = try cutOffAndOverwritten()
        _ = try stage.undo()
        let held = try Quarantine(try stage.folder()).freeSlice(try stage.sites())
        #expect(held.entries == 0 && held.putAside == [piece])
        #expect(stage.hasUndoFile)
        let freed = try stage.release()
        #expect(freed.entries == 1 && freed.bytes == piece.extent.length)
        #expect(freed.putAside == [piece])
        #expect(!stage.hasUndoFile)
        #expect(try stage.folder().putAside == [])
        #expect(try stage.folder().reasonToKeep == nil)
    }

    /// As above, of an action that is not gone on with, since its source changed.
    @Test func whatAnApplyPutsAsideIsToldToo() throws {
        let (stage, piece, bytes) = try cutOffAndOverwritten()
        let last = stage.images.actions[3].patches[4].extent
        stage.disk.write("/a/image", at: last.offset, "later")
        #expect(try stage.apply().counts.sourceChanged == 1)
        let folder = try stage.folder()
        #expect(folder.putAside == [piece])
        let out = try Folder.make(path: Array("/out".utf8), disk: stage.disk)
        try folder.copyAside(to: out) { _, _ in }
        #expect(stage.disk.content("/out/\(piece.extent.offset)") == bytes)
        // Once all of it is taken back, it still is.
        #expect(try stage.undo().counts.notDone == 0)
        #expect(stage.isAsBefore)
        #expect(try stage.folder().putAside == [piece])
    }

    /// It is in the undo file, and the journal does not say so yet.
    @Test func whatWasPutAsideBeforeACrashIsTold() throws {
        let (stage, piece, _) = try cutOffAndOverwritten()
        stage.disk.inject(Fault(.fail(EIO), on: .pwrite, under: "/state/runs/run/journal", nth: 2))
        #expect(throws: JournalFailure.self) { try stage.undo() }
        stage.disk.clearFaults()
        #expect(stage.isAsBefore)
        #expect(try stage.folder().reasonToKeep == "was cut off in its midst")
        #expect(try stage.undo().counts.notDone == 0)
        #expect(try stage.folder().putAside == [piece])
    }

    // MARK: What is left, and why

    @Test func extentsThatAnUndoLeavesAreNamed() throws {
        let stage = ImageStage()
        try stage.apply()
        let extents = [1, 3].map { stage.images.actions[2].patches[$0].extent }
        for extent in extents {
            stage.disk.write(stage.images.target, at: extent.offset, "somebody's")
        }
        let undone = try stage.undo()
        #expect(undone.counts.changed == 1)
        #expect(undone.leftExtents == [2: LeftExtents(extents)])
        #expect(undone.undoLack == nil)
        let many = LeftExtents((0..<200).map { Extent(offset: $0, length: 1) })
        #expect(many.count == 200 && many.extents.count == LeftExtents.limit)
    }

    /// Nobody changed anything: the file does not have it any more.
    @Test(arguments: ["cut", "zeros", "damaged"])
    func whatACutUndoFileLacksIsLost(_ how: String) throws {
        let stage = ImageStage()
        try stage.apply(room: 2)
        let path = "/state/runs/run/undo"
        let whole = stage.disk.content(path)
        let end = (whole.lastIndex { $0 != 0 } ?? 0) + 1
        try stage.apply()
        #expect(stage.isRepaired)
        var bytes = stage.disk.content(path)
        let last = (bytes.lastIndex { $0 != 0 } ?? 0) + 1
        switch how {
        case "cut": bytes = Array(bytes[..<(end + 6000)])
        case "zeros": for at in end..<last { bytes[at] = 0 }
        default: for at in end + 6000..<last { bytes[at] = 0xee }
        }
        try stage.replaceUndo(bytes)
        let undone = try stage.undo()
        let count = stage.images.actions.count
        #expect(undone.counts.lost == count - 2 && undone.counts.done == 2)
        #expect(undone.counts.changed == 0)
        let lack = try #require(undone.undoLack)
        let offset = try #require(lack.offset)
        #expect(offset >= end && offset < end + 6000)
        let reasons = ["cut": "is cut", "zeros": "has nothing more", "damaged": "is damaged"]
        #expect(lack.reason.hasPrefix(reasons[how] ?? "?"), "\(lack)")
        #expect(Set(undone.leftExtents.keys) == Set(2..<count))
        for number in stage.images.actions.indices {
            #expect(stage.isNew(number) == (number >= 2))
        }
        #expect(try stage.folder().reasonToKeep == "keeps what it displaced")
    }

    @Test func anUndoFileOfAnotherRunIsNamed() throws {
        let stage = ImageStage()
        try stage.apply()
        let bytes = stage.disk.content("/state/runs/run/undo")
        try stage.replaceUndo([])
        #expect(throws: UndoDamage(run: "run", reason: "is empty", offset: 0)) { try stage.undo() }
        try stage.replaceUndo(Array(bytes.prefix(100)))
        #expect(throws: UndoDamage(run: "run", reason: "is cut", offset: 16)) { try stage.undo() }
        let target = try stage.images.openTarget(stage.disk)
        try stage.replaceUndo(bytes)
        let folder = try stage.folder()
        let of = UndoRefusal(reason: "the undo file is that of run run")
        #expect(throws: of) {
            try UndoLog.open(
                PatchStage.undoName, in: folder.run.folder, run: "other", plan: folder.plan.id,
                target: target)
        }
    }

    // MARK: What a crash left of a release

    @Test func aReleasedUndoFileThatACrashLeftIsRemoved() throws {
        let stage = ImageStage()
        try stage.apply()
        try failRemoval(stage)
        #expect(try stage.folder().state.released != nil)
        #expect(try Quarantine(try stage.folder()).removeReleased())
        #expect(!stage.hasUndoFile)
        #expect(try !Quarantine(try stage.folder()).removeReleased())
    }

    @Test func theUndoFileOfAFreedSliceIsRemovedByTheNext() throws {
        let stage = ImageStage()
        try stage.apply(room: 2)
        try failRemoval(stage)
        #expect(try stage.folder().state.slices == 1)
        #expect(try stage.apply().counts.notDone == 0)
        #expect(!stage.hasUndoFile && stage.disk.exists("/state/runs/run/undo-1"))
        #expect(try stage.undo().counts.released == 2)
    }

    private func failRemoval(_ stage: ImageStage) throws {
        let path = "/state/runs/run/undo"
        stage.disk.inject(Fault(.fail(EIO), on: .unlinkat, under: path))
        #expect(throws: DiskError(.unlinkat, EIO)) { try stage.release() }
        stage.disk.clearFaults()
        try #require(stage.hasUndoFile)
    }
}

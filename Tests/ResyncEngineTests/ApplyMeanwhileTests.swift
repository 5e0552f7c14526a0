import Glibc
import ResyncCore
import ResyncStorage
import TestSupport
import Testing

@testable import ResyncEngine

/// What others do to both stores between the plan and the end of the work, in ways that times do
/// not tell.
@Suite struct ApplyMeanwhileTests {
    private static let calm = Ownership(mtime: ApplyStage.calm)
    private static let large = 3 << 20
    private static let edit = "edited since"
    private static let shelf = "/b/.resync-quarantine/run"

    /// `f` of so many bytes is another one on each side, and `g` is to be made.
    private static func stage(_ size: Int) throws -> ApplyStage {
        try ApplyStage.planted(
            a: { disk in
                disk.addGenerated("/a/f", size: size, seed: 1, calm)
                disk.addFile("/a/g", "of A", calm)
            }, b: { $0.addGenerated("/b/f", size: size, seed: 2, calm) })
    }

    /// Writes without moving the size, nor the mtime, nor, if so told, the ctime.
    private static func edit(_ disk: SimulatedDisk, _ path: String, movesCtime: Bool = false) {
        let before = disk.peek(path)
        disk.write(path, at: 4000, edit)
        disk.change(
            path,
            Ownership(mtime: before.mtime, ctime: movesCtime ? nil : before.ctime))
    }

    private func isEdited(_ disk: SimulatedDisk, _ path: String) -> Bool {
        disk.exists(path)
            && disk.content(path).dropFirst(4000).starts(with: Array(Self.edit.utf8))
    }

    // MARK: The target

    /// As with `touch -r`.
    @Test(arguments: [5000, large])
    func anEditWhoseMtimeWasPutBackIsSeen(_ size: Int) throws {
        let stage = try Self.stage(size)
        stage.disk.advance(seconds: 1)
        Self.edit(stage.disk, "/b/f", movesCtime: true)
        let result = try stage.apply()
        #expect(result.counts.changed == 1, "\(result.counts)")
        #expect(isEdited(stage.disk, "/b/f"))
        #expect(stage.disk.content("/b/g") == Array("of A".utf8))
    }

    /// Clocks are coarse: what the plan saw may have been written to once more in the same tick.
    @Test(arguments: [5000, large])
    func anEditInTheTickOfThePlanIsSeen(_ size: Int) throws {
        let stage = ApplyStage()
        stage.disk.addGenerated("/a/f", size: size, seed: 1, Self.calm)
        stage.disk.addGenerated("/b/f", size: size, seed: 2)
        stage.disk.addGenerated("/a/h", size: size, seed: 3, Self.calm)
        stage.disk.addGenerated("/b/h", size: size, seed: 4)
        try stage.plan()
        stage.disk.advance(seconds: 1000)
        Self.edit(stage.disk, "/b/f")
        let result = try stage.apply()
        #expect(result.counts.changed == 1, "\(result.counts)")
        #expect(isEdited(stage.disk, "/b/f"))
        // What is only young is no reason to leave it.
        #expect(stage.disk.content("/b/h") == stage.disk.content("/a/h"))
    }

    /// As through a memory map: no time tells, and not all is read again before it is displaced.
    @Test func whatMovedNoTimeIsKeptNamedAndComesBack() throws {
        let stage = try Self.stage(Self.large)
        Self.edit(stage.disk, "/b/f")
        #expect(try stage.apply().counts.notDone == 0)
        #expect(stage.disk.content("/b/f") == stage.disk.content("/a/f"))
        #expect(isEdited(stage.disk, Self.shelf + "/0"))
        #expect(try stage.confirm().result.late.map { escaped($0.path.bytes) } == ["f"])
        #expect(try stage.purge().late.map { escaped($0.bytes) } == ["f"])
        #expect(try stage.undo().counts.notDone == 0)
        #expect(isEdited(stage.disk, "/b/f"))
    }

    /// By whoever had it open, with the mtime put back.
    @Test(arguments: [5000, large], [false, true])
    func whatIsWrittenLateUnderOldTimesIsNotFreed(_ size: Int, _ isSlice: Bool) throws {
        let stage = try Self.stage(size)
        #expect(try stage.apply().counts.notDone == 0)
        Self.edit(stage.disk, Self.shelf + "/0", movesCtime: true)
        #expect(try stage.confirm().result.late.map { escaped($0.path.bytes) } == ["f"])
        let quarantine = Quarantine(try stage.folder())
        let freed =
            try isSlice
            ? quarantine.freeSlice(try stage.sites()) : quarantine.release(try stage.sites())
        #expect(freed.late.map { escaped($0.bytes) } == ["f"])
        #expect(isEdited(stage.disk, Self.shelf + "/0"))
        #expect(try stage.undo().counts.notDone == 0)
        #expect(isEdited(stage.disk, "/b/f"))
    }

    /// As in every plan that goes by one side's word.
    private static func unread() throws -> ApplyStage {
        try ApplyStage.planted(
            a: { $0.addGenerated("/a/f", size: 5000, seed: 1, calm) },
            b: { disk in
                disk.addGenerated("/b/f", size: 5000, seed: 2, calm)
                disk.addGenerated("/b/gone", size: 5000, seed: 3, calm)
                disk.addGenerated("/b/one", size: 5000, seed: 4, calm)
                disk.link("/b/one", as: "/b/other")
            }, readsTarget: false)
    }

    private static func shelved(_ disk: SimulatedDisk) -> [[UInt8]] {
        let place = Array((shelf + "/").utf8)
        return disk.paths.filter { $0.starts(with: place) && disk.peek($0).links == 1 }
    }

    /// Where nobody has read what was displaced, its ctime tells.
    @Test(arguments: [false, true])
    func whatIsWrittenLateToWhatNobodyReadIsNotFreed(_ isCutOff: Bool) throws {
        let stage = try Self.unread()
        if isCutOff {
            _ = try stage.folder()
            stage.disk.inject(
                Fault(.fail(EIO), on: .pwrite, under: "/state/runs/run/journal", nth: 3))
            #expect(throws: JournalFailure.self) { try stage.apply() }
            stage.disk.clearFaults()
        }
        #expect(try stage.apply().counts.notDone == 0)
        stage.disk.advance(seconds: 1)
        let kept = Self.shelved(stage.disk)
        #expect(kept.count == 2)
        for path in kept {
            let before = stage.disk.peek(path)
            stage.disk.write(path, at: 4000, Self.edit)
            stage.disk.change(path, Ownership(mtime: before.mtime))
        }
        #expect(try stage.confirm().result.late.count == 2)
        #expect(try stage.purge().late.count == 2)
        #expect(try stage.undo().counts.done >= 2)
        #expect(isEdited(stage.disk, "/b/f") && isEdited(stage.disk, "/b/gone"))
    }

    /// Also what had several names, all of which the run took away: each moves the time of all.
    @Test(arguments: [false, true])
    func whatIsWrittenLateUnderSeveralNamesIsNotFreed(_ hasNameElsewhere: Bool) throws {
        let stage = try ApplyStage.planted(
            a: { _ in },
            b: { disk in
                disk.addGenerated("/b/one", size: 5000, seed: 4, Self.calm)
                disk.link("/b/one", as: "/b/other")
                if hasNameElsewhere { disk.link("/b/one", as: "/elsewhere") }
            }, readsTarget: false)
        #expect(try stage.apply().counts.notDone == 0)
        stage.disk.advance(seconds: 1)
        let place = Array((Self.shelf + "/").utf8)
        let kept = stage.disk.paths.filter { $0.starts(with: place) }
        #expect(kept.count == 2)
        let before = stage.disk.peek(kept[0])
        stage.disk.write(kept[0], at: 4000, Self.edit)
        stage.disk.change(kept[0], Ownership(mtime: before.mtime))
        // What has a name elsewhere is not lost with these.
        let late = hasNameElsewhere ? 0 : 2
        #expect(try stage.confirm().result.late.count == late)
        let freed = try stage.purge()
        #expect(freed.late.count == late && freed.entries == 2 - late, "\(freed)")
    }

    /// Nor is what nobody wrote to taken for that, whatever a power loss makes of its times, or
    /// letting another of its names go.
    @Test func whatNobodyReadIsFreedWhereItIsUntouched() throws {
        let seed = Seed.fromEnvironment(#function)
        let stage = try Self.unread()
        _ = try stage.folder()
        let sweep = CrashSweep(from: stage.disk, seed, { try ApplyStage($0).apply() }) { disk, _ in
            let stage = ApplyStage(disk)
            guard try stage.apply().counts.notDone == 0 else { return ["not done"] }
            let late = try stage.confirm().result.late.map { escaped($0.path.bytes) }
            let freed = try stage.purge()
            let isFreed = freed.late.isEmpty && freed.entries == 4
            return late.isEmpty && isFreed ? [] : ["\(late) \(freed)"]
        }
        let count = try sweep.run(about: isLongRun ? 4000 : 300)
        #expect(count > 40)
        tell(count, "the times of what nobody read")
    }

    /// What was not touched is freed all the same.
    @Test func whatNobodyWroteToIsFreed() throws {
        let stage = try Self.stage(Self.large)
        #expect(try stage.apply().counts.notDone == 0)
        #expect(try stage.confirm().result.late.isEmpty)
        let freed = try stage.purge()
        #expect(freed.late.isEmpty && freed.entries == 1)
        #expect(!stage.disk.exists(Self.shelf + "/0"))
    }

    /// It is to become a file, and got one of somebody's: before the work, or in its last moment.
    @Test(arguments: [false, true])
    func aDirectoryThatIsToBecomeAFileStaysWithWhatItGot(_ isLate: Bool) throws {
        let stage = try ApplyStage.planted(
            a: { disk in
                disk.addFile("/a/g", "of A", Self.calm)
                disk.addFile("/a/t", "a file", Self.calm)
            }, b: { $0.addFile("/b/t/old", "on B only", Self.calm) })
        let (disk, before) = (stage.disk, stage.contents())
        let calls = Counter()
        if isLate {
            disk.onCall { call in
                guard call.kind == .renameat2, RelativePath(call.path).lastName == Name("t"),
                    calls.next() == 1
                else { return }
                disk.addFile("/b/t/new", "of somebody")
            }
        } else {
            disk.addFile("/b/t/new", "of somebody")
        }
        for round in 0..<2 {
            let result = try stage.apply()
            disk.onCall(nil)
            #expect(result.counts.notDone > 0 && result.failure == nil, "\(result.counts)")
            #expect(disk.content("/b/t/new") == Array("of somebody".utf8), "\(round)")
            #expect(disk.content("/b/g") == Array("of A".utf8), "\(round)")
        }
        #expect(before.isSubset(of: stage.contents()))
        #expect(try stage.undo().counts.notDone == 0)
        #expect(disk.content("/b/t/old") == Array("on B only".utf8))
        #expect(disk.content("/b/t/new") == Array("of somebody".utf8))
    }

    /// What is under way goes where its directory went; nothing that is begun after that does.
    @Test func aDirectoryThatIsMovedOutOfTheStoreIsNotFollowed() throws {
        let count = 400
        let stage = try ApplyStage.planted(
            a: { disk in
                for number in 0..<count {
                    disk.addFile("/a/d/f\(number)", "of A \(number)", Self.calm)
                }
            },
            b: { disk in
                for number in 0..<count { disk.addFile("/b/d/f\(number)", "of B \(number)") }
            })
        let (disk, before) = (stage.disk, stage.contents())
        let calls = Counter()
        disk.onCall { call in
            guard call.kind == .pwrite, call.path.starts(with: Array("/b/d/".utf8)),
                calls.next() == 1
            else { return }
            disk.rename("/b/d", to: "/around/d")
        }
        let result = try stage.apply()
        disk.onCall(nil)
        #expect(calls.count > 0)
        #expect(result.counts.notDone > count - 256, "\(result.counts)")
        #expect(!disk.exists("/b/d"))
        let written = (0..<count).count {
            disk.content("/around/d/f\($0)").starts(with: Array("of A".utf8))
        }
        #expect(written <= 256, "\(written)")
        #expect(before.isSubset(of: stage.contents()))
        disk.rename("/around/d", to: "/b/d")
        // Once for what is left of what was under way.
        _ = try stage.apply()
        #expect(try stage.apply().counts.notDone == 0)
        #expect(ApplyStage.differences(stage.store("/b"), stage.store("/a")) == [])
    }

    // MARK: The source

    enum Intruder: CaseIterable {
        case fifo, device

        func put(_ path: String, _ disk: SimulatedDisk) {
            disk.remove(path)
            switch self {
            case .fifo: disk.addFifo(path)
            case .device:
                disk.addDevice(path, .characterDevice, number: DeviceNumber(major: 9, minor: 9))
            }
        }
    }

    /// Who opens such a thing may wait for ever, or set something off.
    @Test(arguments: Intruder.allCases)
    func whatIsNoFileAnyMoreOnTheSourceIsNotOpened(_ intruder: Intruder) throws {
        let stage = try Self.stage(5000)
        let before = stage.disk.content("/b/f")
        intruder.put("/a/f", stage.disk)
        let opened = stage.disk.count(.openat, "/a/f")
        let result = try stage.apply()
        #expect(result.counts.sourceChanged == 1 && result.failure == nil, "\(result.counts)")
        #expect(stage.disk.count(.openat, "/a/f") == opened)
        #expect(stage.disk.content("/b/f") == before)
        #expect(stage.disk.content("/b/g") == Array("of A".utf8))
    }

    /// Between the look and the opening; nothing waits.
    @Test(arguments: Intruder.allCases)
    func whatTakesTheSourcesPlaceAsItIsOpenedIsNotRead(_ intruder: Intruder) throws {
        let stage = try Self.stage(5000)
        let (disk, before) = (stage.disk, stage.disk.content("/b/f"))
        let read = disk.bytesRead("/a/f")
        let calls = Counter()
        disk.onCall { call in
            guard call.kind == .openat, call.path == Array("/a/f".utf8), calls.next() == 1 else {
                return
            }
            intruder.put("/a/f", disk)
        }
        let result = try stage.apply()
        disk.onCall(nil)
        #expect(calls.count == 1)
        #expect(result.counts.notDone == 1 && result.failure == nil, "\(result.counts)")
        #expect(disk.bytesRead("/a/f") == read)
        #expect(disk.content("/b/f") == before)
        #expect(disk.content("/b/g") == Array("of A".utf8))
    }

    // MARK: Room

    /// What is to be deleted stands where it stood, not only in the quarantine.
    @Test(arguments: [ENOSPC, EDQUOT])
    func whereThereIsNoRoomNothingIsDeleted(_ error: Int32) throws {
        let stage = try ApplyStage.planted(
            a: { $0.addGenerated("/a/new", size: 1 << 20, seed: 1, Self.calm) },
            b: { disk in
                for number in 0..<5 { disk.addFile("/b/extra\(number)", "on B only") }
            })
        let before = stage.store("/b")
        stage.disk.inject(
            Fault(.fail(error), on: .pwrite, under: "/b", persistent: true) {
                String(decoding: $0.path, as: UTF8.self).contains("-staged-")
            })
        let result = try stage.apply()
        #expect(result.failure?.error == DiskError(.pwrite, error))
        #expect(ApplyStage.differences(stage.store("/b"), before) == [])
        stage.disk.clearFaults()
        #expect(try stage.apply().counts.notDone == 0)
    }

    /// Attributes may be too large for any file system of the target's kind, and an owner may have
    /// no room left: that is one entry's trouble.
    @Test(
        arguments: [
            DiskError(.setxattr, ENOSPC), DiskError(.setxattr, EDQUOT),
            DiskError(.fchownat, EDQUOT),
        ])
    func whatOneEntryHasNoRoomForDoesNotEndTheWork(_ error: DiskError) throws {
        let stage = try ApplyStage.planted(
            a: { disk in
                for name in ["e", "f", "g", "h"] {
                    disk.addFile("/a/\(name)", "of A", Self.calm)
                    disk.setAttribute("/a/\(name)", "user.x", "of A")
                }
            }, b: { $0.addFile("/b/f", "of B") }, details: AspectSet([.xattrs]))
        // Of the four the second.
        stage.disk.inject(Fault(.fail(error.number), on: error.call, under: "/b", nth: 2))
        let result = try stage.apply()
        #expect(stage.disk.firedFaults == 1)
        #expect(result.counts.failed == 1 && result.failure == nil, "\(result.counts)")
        #expect(stage.disk.content("/b/f") == Array("of B".utf8))
        for name in ["e", "g", "h"] {
            #expect(stage.disk.content("/b/\(name)") == Array("of A".utf8))
        }
    }
}

import Glibc
import ResyncCore
import TestSupport
import Testing

@testable import ResyncStorage

/// A probe on a disk that fails, lies and forgets: what it calls verified was, and nothing but its
/// own file is ever changed.
@Suite struct ProbeTests {
    private static let id = "0123456789abcdef0123456789abcdef"
    private static let name = "/s/.resync-probe-01234567"

    /// A store with something in it that must stay as it is.
    private struct Scene {
        let disk: SimulatedDisk
        var acknowledged: UInt64 = 0
        private var asked: UInt64 = 0

        init(_ disk: SimulatedDisk = SimulatedDisk()) {
            self.disk = disk
            guard !disk.exists("/s") else { return }
            disk.addDirectory("/s")
            disk.addFile("/s/precious", "data")
            disk.addFile("/elsewhere", "as well")
        }

        /// The same one after the power was lost.
        func crashed(_ seed: UInt64) -> Scene {
            var scene = Scene(disk.crash(keeping: .random, seed: seed))
            (scene.acknowledged, scene.asked) = (acknowledged, asked)
            return scene
        }

        /// Probes as the watcher does, which knows what was acknowledged.
        mutating func probe(
            id: String = ProbeTests.id, thorough: Bool = true, creates: Bool? = nil
        ) -> ProbeOutcome {
            asked += 1
            let order = ProbeOrder(
                acknowledged: acknowledged, next: asked,
                creates: creates ?? (acknowledged == 0), isThorough: thorough, wantsErrors: false)
            let answer = Probe(path: Array("/s".utf8), id: id, disk: disk).run(order, { disk.now })
            #expect(disk.openDescriptors == 0, "\(answer)")
            if case .verified = answer.outcome {
                #expect(answer.sequence > acknowledged)
                #expect(answer.fileSystem != nil && answer.device != nil)
                acknowledged = answer.sequence
                let stamp = ProbeStamp(disk.content(ProbeTests.name))
                #expect(stamp?.sequence == acknowledged && stamp?.id == id)
            }
            return answer.outcome
        }

        /// What is not the probe's.
        var others: [String] {
            disk.paths.filter { !RelativePath($0).bytes.starts(with: ProbeTests.name.utf8) }
                .map { path in
                    let stat = disk.peek(path)
                    let bytes = stat.type == .file ? disk.content(path) : []
                    let times = stat.type == .file ? "\(stat.mtime) \(stat.ctime)" : ""
                    return "\(escaped(path)) \(stat.type) \(stat.mode) \(times) \(bytes)"
                }
        }
    }

    private func isVerified(_ outcome: ProbeOutcome) -> Bool {
        if case .verified = outcome { true } else { false }
    }

    private func isForeign(_ outcome: ProbeOutcome) -> Bool {
        if case .foreign = outcome { true } else { false }
    }

    @Test func aHealthyStoreIsVerifiedAndNothingElseIsTouched() {
        var scene = Scene()
        let before = scene.others
        for round in 1...25 as ClosedRange<UInt64> {
            #expect(scene.probe(thorough: round % 3 == 0) == .verified)
            #expect(scene.acknowledged == round)
        }
        #expect(scene.others == before)
        #expect(scene.disk.paths.count == before.count + 1)
        let stat = scene.disk.peek(Self.name)
        #expect(stat.size == 4096 && stat.mode == 0o600)
        let isDurable = scene.disk.durableContent(Self.name) == scene.disk.content(Self.name)
        #expect(isDurable)
        #expect(ProbeStamp(scene.disk.mediumContent(Self.name))?.sequence == 25)
    }

    // MARK: Every call fails once

    private enum Moment: CaseIterable {
        /// The file is made, is there already, or was left by a worker that was killed.
        case first, later, leftover
    }

    private func scene(_ moment: Moment) -> Scene {
        var scene = Scene()
        if moment != .first { #expect(scene.probe() == .verified) }
        if moment == .leftover {
            scene.disk.addFile(Self.name + ".name", "")
            scene.disk.addFile(Self.name + ".name2", "")
        }
        return scene
    }

    /// Until no call is left that could.
    @Test(arguments: Moment.allCases, [EIO, ENOSPC, EROFS, ENOENT])
    private func aCallThatFailsIsNeverVerified(_ moment: Moment, _ number: Int32) {
        for isLate in [false, true] {
            let effect = isLate ? FaultEffect.failAfterwards(number) : .fail(number)
            var calls = 0
            for nth in 1... {
                var scene = scene(moment)
                let before = scene.others
                let first = scene.disk.callCount
                scene.disk.keepLog()
                scene.disk.inject(Fault(effect, nth: nth) { $0.kind != .close })
                let outcome = scene.probe()
                guard scene.disk.firedFaults > 0 else { break }
                calls = nth
                let kinds = scene.disk.log.filter { $0.number > first && $0.kind != .close }
                // To find nothing there is what is hoped for, and nothing can fail after that.
                let isExpected =
                    switch kinds[nth - 1].kind {
                    case .openat: moment == .first && (isLate || number == ENOENT)
                    case .unlinkat: number == ENOENT || isLate && moment != .leftover
                    default: false
                    }
                if !isExpected { #expect(!isVerified(outcome), "call \(nth): \(outcome)") }
                #expect(scene.others == before, "call \(nth)")
                // What lies there now is no reason to doubt the store.
                scene.disk.clearFaults()
                let isHere = scene.disk.exists(Self.name)
                let next = scene.probe(creates: scene.acknowledged == 0 || !isHere)
                #expect(next == .verified, "call \(nth): \(outcome), then \(next)")
            }
            #expect(calls > 15, "\(calls)")
        }
    }

    /// What failed is said: by what number, in which call.
    @Test func theFailureIsNamed() {
        for (kind, number) in [
            (SystemCall.openat, EROFS), (.pread, EIO), (.pwrite, EIO), (.fsync, EIO),
            (.renameat2, EROFS), (.utimensat, EIO), (.statx, ESTALE), (.fstatfs, ENOTCONN),
        ] {
            var scene = scene(.later)
            scene.disk.inject(Fault(.fail(number), on: kind))
            #expect(scene.probe() == .failed(errorNumber: number, call: kind.rawValue))
        }
    }

    @Test(arguments: [ENOSPC, EDQUOT])
    func noRoomIsNoFailure(_ number: Int32) {
        var scene = Scene()
        scene.disk.limitSpace(of: "/s", blocks: 0, error: number)
        #expect(scene.probe() == .full)
        #expect(scene.probe() == .full)
        scene.disk.limitSpace(of: "/s", blocks: 100)
        #expect(scene.probe() == .verified)
    }

    @Test func whatIsReadOnlyIsNotWrittenTo() {
        var scene = scene(.later)
        scene.disk.changeMount(of: "/s") { $0.isReadOnly = true }
        #expect(scene.probe() == .failed(errorNumber: EROFS, call: "openat"))
    }

    /// After the power was lost at any call the store is well, and is found to be.
    @Test(arguments: [Moment.first, .later])
    private func aPowerLossIsNoLostWrite(_ moment: Moment) {
        var stop = 0
        var isDone = false
        while !isDone {
            stop += 1
            for seed in 0..<10 as Range<UInt64> {
                var scene = scene(moment)
                scene.disk.inject(Fault(.fail(EIO), nth: stop, persistent: true))
                isDone = isVerified(scene.probe())
                var after = scene.crashed(seed)
                let found = after.probe()
                #expect(found == .verified, "call \(stop), seed \(seed)")
                #expect(after.disk.content("/s/precious") == Array("data".utf8))
            }
        }
        #expect(stop > 15)
    }

    // MARK: What lies

    @Test func aDroppedWriteIsLost() {
        var scene = scene(.later)
        scene.disk.inject(Fault(.lose, on: .pwrite, under: Self.name, persistent: true))
        for _ in 0..<3 { #expect(scene.probe() == .lost) }
        scene.disk.clearFaults()
        #expect(scene.probe() == .verified)
    }

    /// The sync said that all was well, and then the device forgot it.
    @Test func aStampThatIsRolledBackIsLost() {
        var scene = scene(.later)
        let old = scene.disk.content(Self.name)
        for _ in 0..<3 { #expect(scene.probe() == .verified) }
        scene.disk.write(Self.name, at: 0, old)
        for _ in 0..<3 { #expect(scene.probe() == .lost) }
        // A person closes the episode: what is there is what counts from now on.
        scene.acknowledged = 0
        #expect(scene.probe(creates: true) == .verified)
    }

    @Test(arguments: [
        SimulatedDisk.Corruption.flipBit(at: 0), .flipBit(at: 120), .flipBit(at: 4000),
        .zero(0..<4096), .zero(64..<4096), .replace(at: 0, Array("rubbish".utf8)),
    ])
    func aDamagedStampIsLost(_ corruption: SimulatedDisk.Corruption) {
        var scene = scene(.later)
        scene.disk.corruptMedium(Self.name, corruption)
        #expect(scene.probe() == .lost)
        // Without a person's word it stays so.
        #expect(scene.probe() == .lost)
        scene.acknowledged = 0
        #expect(scene.probe(creates: true) == .verified)
        #expect(scene.probe() == .verified)
    }

    @Test func aWriteThatIsDamagedOnItsWayIsLost() {
        var scene = scene(.later)
        scene.disk.inject(Fault(.corrupt(.flipBit(at: 33)), on: .pwrite, under: Self.name))
        #expect(scene.probe() == .lost)
        scene = self.scene(.later)
        scene.disk.inject(Fault(.misdirect(by: 512), on: .pwrite, under: Self.name))
        #expect(!isVerified(scene.probe()))
    }

    /// Short of the whole, an answer is none.
    @Test func aPartIsNotVerified() {
        for kind in [SystemCall.pread, .pwrite] {
            for nth in 1...2 {
                var scene = scene(.later)
                scene.disk.inject(Fault(.short(100), on: kind, nth: nth))
                let outcome = scene.probe()
                guard scene.disk.firedFaults > 0 else { continue }
                #expect(!isVerified(outcome), "\(kind) \(nth)")
            }
        }
    }

    // MARK: What is in its place

    @Test func anotherStoresCopyIsForeign() {
        // The same name, made by another watcher.
        let other = Self.id.prefix(8) + "ffffffffffffffffffffffff"
        var theirs = Scene()
        #expect(theirs.probe(id: String(other)) == .verified)
        var scene = Scene(theirs.disk)
        #expect(isForeign(scene.probe()))
        scene.acknowledged = 1
        #expect(isForeign(scene.probe()))
        #expect(ProbeStamp(scene.disk.content(Self.name))?.id == String(other))
    }

    @Test func aFileThatIsGoneIsForeignUntilItMayBeMade() {
        var scene = scene(.later)
        scene.disk.remove(Self.name)
        #expect(isForeign(scene.probe()))
        #expect(!scene.disk.exists(Self.name))
        #expect(scene.probe(creates: true) == .verified)
    }

    private enum Impostor: CaseIterable {
        case symlink, dangling, directory, fifo, socket, device, hardLink, long, short
    }

    @Test(arguments: Impostor.allCases)
    private func whatIsNoPlainFileIsForeign(_ impostor: Impostor) {
        var scene = scene(.later)
        let disk = scene.disk
        if impostor != .long, impostor != .short { disk.remove(Self.name) }
        switch impostor {
        case .symlink: disk.addSymlink(Self.name, to: "/s/precious")
        case .dangling: disk.addSymlink(Self.name, to: "/s/new")
        case .directory: disk.addDirectory(Self.name)
        case .fifo: disk.addFifo(Self.name)
        case .socket: disk.addSocket(Self.name)
        case .device:
            let number = DeviceNumber(major: 8, minor: 1)
            disk.addDevice(Self.name, .blockDevice, number: number, size: 8192)
        case .hardLink: disk.link("/s/precious", as: Self.name)
        case .long: disk.write(Self.name, at: 4096, "more")
        case .short: disk.truncate(Self.name, to: 100)
        }
        let before = scene.others
        #expect(isForeign(scene.probe()), "\(impostor)")
        // Not even where it may be made, but for one that was never finished.
        if impostor != .short { #expect(isForeign(scene.probe(creates: true)), "\(impostor)") }
        #expect(scene.others == before)
        #expect(!disk.exists("/s/new"))
    }

    @Test func whatIsNoStoreIsForeign() {
        let disk = SimulatedDisk()
        let order = ProbeOrder(
            acknowledged: 0, next: 1, creates: true, isThorough: true, wantsErrors: false)
        func probe(_ path: String) -> ProbeOutcome {
            Probe(path: Array(path.utf8), id: Self.id, disk: disk).run(order, { disk.now }).outcome
        }
        #expect(probe("/nowhere") == .failed(errorNumber: ENOENT, call: "statx"))
        disk.addFifo("/fifo")
        disk.addSocket("/socket")
        for path in ["/fifo", "/socket"] { #expect(isForeign(probe(path))) }
        #expect(disk.paths.count == 2)
    }

    // MARK: Images and devices

    private func images() -> SimulatedDisk {
        let disk = SimulatedDisk()
        disk.addGenerated("/image", size: 5 << 20, seed: 1)
        disk.addFile("/empty", "")
        let number = DeviceNumber(major: 8, minor: 1)
        disk.addDevice("/device", .blockDevice, number: number, size: 3 << 20, seed: 2)
        return disk
    }

    private func read(_ disk: SimulatedDisk, _ path: String, _ next: UInt64) -> ProbeAnswer {
        let order = ProbeOrder(
            acknowledged: next - 1, next: next, creates: true, isThorough: true,
            wantsErrors: false)
        return Probe(path: Array(path.utf8), id: Self.id, disk: disk).run(order, { disk.now })
    }

    /// Whatever they hold is somebody's.
    @Test(arguments: ["/image", "/device", "/empty"])
    func anImageOrADeviceIsOnlyRead(_ path: String) {
        let disk = images()
        let (before, stat) = (disk.mediumContent(path), disk.peek(path))
        disk.keepLog()
        for next in 1...20 as ClosedRange<UInt64> {
            let answer = read(disk, path, next)
            #expect(answer.outcome == .verified && answer.sequence == next)
            #expect(answer.isOnlyRead && answer.isBlockDevice == (path == "/device"))
        }
        let harmless: Set<SystemCall> = [
            .openat, .statx, .fstatfs, .pread, .ioctl, .fcntl, .fadvise, .close, .lseek,
        ]
        let others = Set(disk.log.map { $0.kind }).subtracting(harmless)
        #expect(others.isEmpty, "\(others)")
        // Not the same place all the time.
        let places = Set(disk.log.compactMap { $0.kind == .pread ? $0.range?.lowerBound : nil })
        #expect(places.count == max(1, disk.mediumContent(path).count >> 20))
        let isUntouched = disk.mediumContent(path) == before && disk.peek(path) == stat
        #expect(isUntouched)
        #expect(disk.paths.count == 3 && disk.openDescriptors == 0)
    }

    @Test(arguments: ["/image", "/device"])
    func aReadThatFailsIsNotVerified(_ path: String) {
        for nth in 1... {
            let disk = images()
            disk.inject(Fault(.fail(EIO), nth: nth) { $0.kind != .close })
            let answer = read(disk, path, 2)
            guard disk.firedFaults > 0 else {
                #expect(nth > 4)
                return
            }
            #expect(!isVerified(answer.outcome), "call \(nth)")
            #expect(disk.openDescriptors == 0)
        }
    }

    // MARK: The store's clock

    /// That of a far server, say: how far it is off, in whole seconds.
    @Test(arguments: [-86_400, -3, 0, 3, 600] as [Int64])
    func aClockThatIsOffIsTold(_ ahead: Int64) {
        let disk = SimulatedDisk()
        disk.addDirectory("/s")
        let order = ProbeOrder(
            acknowledged: 0, next: 1, creates: true, isThorough: false, wantsErrors: false)
        let probe = Probe(path: Array("/s".utf8), id: Self.id, disk: disk)
        let answer = probe.run(order, { disk.now.adding(seconds: -ahead) })
        #expect(isVerified(answer.outcome))
        // Time passes between two calls.
        #expect((ahead - answer.clock).magnitude <= (ahead == 0 ? 0 : 1))
        #expect(answer.clock.magnitude <= ahead.magnitude)
    }

    /// The time that a probe takes is no offset: it is somewhere in between.
    @Test func aSlowProbeTellsNoOffset() {
        let disk = SimulatedDisk()
        disk.addDirectory("/s")
        let order = ProbeOrder(
            acknowledged: 0, next: 1, creates: true, isThorough: false, wantsErrors: false)
        var asked: Int64 = 0
        let answer = Probe(path: Array("/s".utf8), id: Self.id, disk: disk).run(order) {
            asked += 1
            return disk.now.adding(seconds: asked == 1 ? -30 : 30)
        }
        #expect(isVerified(answer.outcome) && answer.clock == 0 && asked == 2)
    }

    // MARK: What is said between the watcher and its worker

    @Test func ordersAndAnswersComeThroughAsText() throws {
        var seed = Seed.fromEnvironment()
        for _ in 0..<rounds(500) {
            let order = ProbeOrder(
                acknowledged: seed.next(), next: seed.next(), creates: seed.below(2) == 0,
                isThorough: seed.below(2) == 0, wantsErrors: seed.below(2) == 0)
            #expect(ProbeOrder(order.text) == order)
            let outcomes: [ProbeOutcome] = [
                .verified, .full, .lost, .workerDied, .foreign("it is a fifo"),
                .failed(errorNumber: Int32(seed.below(134)), call: "openat"),
            ]
            var answer = ProbeAnswer(outcomes[seed.below(outcomes.count)])
            answer.sequence = seed.next()
            answer.fileSystem = seed.below(2) == 0 ? nil : seed.next()
            answer.device =
                seed.below(2) == 0
                ? nil
                : DeviceNumber(major: UInt32(seed.below(4096)), minor: UInt32(seed.below(99999)))
            answer.isFromMedium = seed.below(2) == 0
            answer.isOnlyRead = seed.below(2) == 0
            answer.isBlockDevice = seed.below(2) == 0
            answer.clock = Int64(truncatingIfNeeded: seed.next())
            answer.path = (0..<seed.below(50)).map { _ in UInt8(truncatingIfNeeded: seed.next()) }
            #expect(ProbeAnswer(answer.text) == answer, "\(answer.text)")
        }
        for text in [
            "", "probe", "probe 1 2 3", "probe x 2 1 1 1", "probe 1 2 1 1 1 1", "x 1 2 1 1 1",
        ] {
            #expect(ProbeOrder(text) == nil)
        }
        for text in ["", "\n", "1 2 - 1 0 verified", "x - - 1 0 verified\n/", "1 - - 1 0 \n/"] {
            #expect(ProbeAnswer(text) == nil)
        }
    }
}

import Dispatch
import Foundation
import ResyncCore
import Synchronization
import TestSupport
import Testing

@testable import ResyncStorage

/// Runs `body` on so many threads at once, and waits for all of them.
private func inThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    let group = DispatchGroup()
    for index in 0..<count {
        DispatchQueue(label: "test.\(index)").async(group: group) { body(index) }
    }
    group.wait()
}

@Suite(.serialized) struct SharingTests {
    private let blockSize = 64 << 10
    private let size = 20 << 20 + 5
    private let disk = SimulatedDisk()
    private let scheme: DigestScheme

    init() throws {
        scheme = try DigestScheme(.sha256, blockSize: 64 << 10)
        // Each block is filled with its number.
        var content: [UInt8] = []
        for block in 0..<size / (64 << 10) + 1 {
            content += [UInt8](repeating: UInt8(truncatingIfNeeded: block), count: 64 << 10)
        }
        disk.addFile("/image", Array(content[..<size]))
    }

    private func image() throws -> any Examination {
        try LocalSite(path: Array("/image".utf8), disk: disk, options: LocalSiteOptions()).image(
            upTo: .max)
    }

    private func worker(_ stop: Stop = Stop()) -> Worker {
        guard let worker = try? Worker(scheme: scheme, pulse: Pulse(), stop: stop) else {
            preconditionFailure("no worker")
        }
        return worker
    }

    private func reading(_ examination: any Examination) -> SharedReading {
        SharedReading(
            examination, 0, size: size, blockSize: blockSize, source: .cache,
            place: Pulse.Place(side: .a, directory: nil, names: nil))
    }

    /// The digests as one worker has them that reads the file alone.
    private func expected() throws -> ContentAnswer {
        let blocks = 0..<(size + blockSize - 1) / blockSize
        let request = ContentRequest(index: 0, blocks: blocks, source: .cache)
        return try #require(try image().digest([request], worker()).first)
    }

    @Test(arguments: [1, 2, 5])
    func sharedIsTheSameAsAlone(_ helpers: Int) throws {
        let alone = try expected()
        #expect(alone.blocks.blockCount == 321)
        let shared = reading(try image())
        #expect(shared.claims == 3)
        let answers = Mutex<[ContentAnswer]>([])
        inThreads(helpers) { _ in
            guard let answer = try? shared.answer(worker()) else { return }
            answers.withLock { $0.append(answer) }
        }
        let found = answers.withLock { $0 }
        #expect(found.count == helpers)
        for answer in found {
            #expect(answer.blocks == alone.blocks)
            #expect(answer.state == .stable)
            #expect(answer.unreadable == [])
        }
        // What was read counts for whoever came first.
        #expect(found.reduce(0) { $0 + $1.bytesRead } == size)
        // Each byte was read once for all of them, and once alone.
        #expect(disk.bytesRead("/image") == 2 * size)
    }

    @Test func anUnreadableBlockKeepsItsNumber() throws {
        let alone = try expected()
        let bad = 200
        disk.inject(
            Fault(
                .fail(EIO), on: .pread, range: bad * blockSize..<(bad * blockSize + 1),
                persistent: true))
        let answer = try reading(try image()).answer(worker())
        #expect(answer.state == .stable)
        #expect(answer.unreadable == [UnreadableBlock(block: bad, error: DiskError(.pread, EIO))])
        #expect(answer.blocks.differences(from: alone.blocks) == [bad..<bad + 1])
        #expect(answer.blocks.blockCount == alone.blocks.blockCount)
    }

    @Test func whatWasNotReadIsNotStable() throws {
        let stop = Stop()
        stop.request()
        #expect(try reading(try image()).answer(worker(stop)).state == .stopped)
        // It ends between two claims.
        let half = reading(try image())
        #expect(half.helpOnce(worker()))
        #expect(try half.answer(worker(stop)).state == .stopped)
        // The file is cut while the last part is read.
        let cut = reading(try image())
        #expect(cut.helpOnce(worker()) && cut.helpOnce(worker()))
        disk.truncate("/image", to: size - 1)
        #expect(try cut.answer(worker()).state == .moved)
    }

    @Test func aWriterIsNoticed() throws {
        let shared = reading(try image())
        #expect(shared.helpOnce(worker()))
        disk.write("/image", at: 0, [1, 2, 3] as [UInt8])
        #expect(try shared.answer(worker()).state == .moved)
    }

    // MARK: Links

    private func stat(_ inode: UInt64, links: UInt32) -> Stat {
        Stat(type: .file, inode: inode, links: links)
    }

    @Test func linksAreReadOnce() throws {
        let table = LinkTable()
        let examination = try image()
        func read(_ inode: UInt64, _ links: UInt32) -> (ObjectIdentifier, Bool) {
            var hasBegun = false
            let found = table.reading(of: stat(inode, links: links)) {
                hasBegun = true
                return reading(examination)
            }
            kept.withLock { $0.append(found) }
            return (ObjectIdentifier(found), hasBegun)
        }
        let kept = Mutex<[SharedReading]>([])
        let (first, isFirst) = read(1, 3)
        #expect(isFirst)
        let other = read(2, 3)
        #expect(other.1 && other.0 != first)
        for _ in 0..<2 { #expect(read(1, 3) == (first, false)) }
        // With its last name it left the table.
        #expect(read(1, 3).1)
        #expect(read(2, 3) == (other.0, false))
    }

    /// What has names elsewhere never leaves: there is an end to what is remembered.
    @Test func moreLinksThanCanBeRememberedAreReadForEachName() throws {
        let table = LinkTable(limit: 2)
        let examination = try image()
        var begun: [UInt64] = []
        var kept: [SharedReading] = []
        for inode in [1, 2, 3, 3, 1, 2] as [UInt64] {
            kept.append(
                table.reading(of: stat(inode, links: 3)) {
                    begun.append(inode)
                    return reading(examination)
                })
        }
        #expect(begun == [1, 2, 3, 3])
    }

    /// Of millions of files with names elsewhere, nothing stays but what was found.
    @Test func aFileThatWasReadIsLetGo() throws {
        let table = LinkTable()
        weak var held: (any Examination)?
        func first() throws -> ContentAnswer {
            let examination = try image()
            held = examination
            return try table.reading(of: stat(1, links: 3)) { reading(examination) }
                .answer(worker())
        }
        let answer = try first()
        #expect(held == nil)
        let again = table.reading(of: stat(1, links: 3)) {
            Issue.record("read again")
            guard let other = try? image() else { preconditionFailure("no image") }
            return reading(other)
        }
        #expect(try again.answer(worker()).blocks == answer.blocks)
        #expect(again.claims == 3)
    }

    /// What was read before a writer came says nothing of what is there now.
    @Test func aChangedFileIsReadAnew() throws {
        let table = LinkTable()
        let examination = try image()
        let old = table.reading(of: stat(1, links: 3)) { reading(examination) }
        var changed = stat(1, links: 3)
        changed.mtime.nanoseconds = 1
        let new = table.reading(of: changed) { reading(examination) }
        #expect(new !== old)
        #expect(table.reading(of: changed) { reading(examination) } === new)
    }

    @Test func onlyOneBeginsTheReading() throws {
        let table = LinkTable()
        let examination = try image()
        let begun = Atomic(0)
        inThreads(16) { _ in
            _ = table.reading(of: stat(1, links: 16)) {
                begun.add(1, ordering: .relaxed)
                return reading(examination)
            }
        }
        let count = begun.load(ordering: .relaxed)
        #expect(count == 1)
    }

    @Test func oneIsTheLast() {
        let countdown = Countdown(100)
        let last = Atomic(0)
        inThreads(10) { _ in
            for _ in 0..<10 where countdown.arrive() { last.add(1, ordering: .relaxed) }
        }
        let count = last.load(ordering: .relaxed)
        #expect(count == 1)
    }

    // MARK: Throttle and pulses

    @Test func theRateHoldsOverAllWorkers() {
        let rate = 50_000_000
        let throttle = Throttle.reading(rate)
        let bytes = Atomic(0)
        let start = monotonicSeconds()
        inThreads(4) { _ in
            let worker = worker()
            while true {
                throttle.wait(for: 100_000, worker: worker)
                if monotonicSeconds() - start > 2 { return }
                bytes.add(100_000, ordering: .relaxed)
            }
        }
        let share = Double(bytes.load(ordering: .relaxed)) / (2 * Double(rate))
        #expect(share > 0.9 && share < 1.1, "\(share) of what is allowed")
    }

    /// A pause does not save up more than a tenth of a second.
    @Test func idlenessIsNotSavedUp() {
        let throttle = Throttle.reading(1_000_000)
        let worker = worker()
        throttle.wait(for: 1, worker: worker)
        usleep(400_000)
        let start = monotonicSeconds()
        for _ in 0..<4 { throttle.wait(for: 100_000, worker: worker) }
        let time = monotonicSeconds() - start
        #expect(time > 0.15 && time < 1, "\(time) s")
    }

    @Test func aStopEndsTheWaiting() {
        let throttle = Throttle.reading(1)
        let stop = Stop()
        let worker = worker(stop)
        throttle.wait(for: 1000, worker: worker)
        let before = monotonicSeconds()
        DispatchQueue.global().asyncAfter(deadline: .now() + 0.1) { stop.request() }
        throttle.wait(for: 1000, worker: worker)
        let time = monotonicSeconds() - before
        #expect(time > 0.05 && time < 5)
    }

    /// Pages that one worker has brought in are no sign for another that none can be dropped.
    @Test func theMediumIsAskedForOncePerFile() throws {
        disk.changeMount(of: "/") {
            $0.directReads = .refused
            $0.fileSystem = FileSystemKind.nfs
        }
        let shared = SharedReading(
            try image(), 0, size: size, blockSize: blockSize, source: .media,
            place: Pulse.Place(side: .a, directory: nil, names: nil))
        let own = worker()
        #expect(shared.helpOnce(own))
        let disk = disk
        let other = try disk.open("/image")
        disk.onCall { call in
            // As if another worker had read its range just then.
            if call.kind == .cachestat { _ = try? disk.read(other, 0, 4096) }
        }
        let answer = try shared.answer(own)
        disk.onCall(nil)
        #expect(answer.state == .stable && answer.blocks.blockCount == 321, "\(answer.state)")
        #expect(disk.count(.cachestat) == 1 && disk.count(.fadvise) == 1)
    }

    @Test func whoStandsStillIsNamed() {
        let board = PulseBoard()
        let (idle, moving, stuck) = (board.addPulse(), board.addPulse(), board.addPulse())
        var names = NameList()
        for name in ["x", "y"] { names.append(Name(Array(name.utf8)), kind: .file) }
        moving.enter(Pulse.Place(side: .a, directory: nil, names: names))
        stuck.enter(Pulse.Place(side: .b, directory: nil, names: names))
        stuck.step(to: 1)
        #expect(board.stalled(for: 0.05).isEmpty)
        usleep(60_000)
        moving.step()
        let found = board.stalled(for: 0.05)
        #expect(found.map(\.side) == [.b])
        #expect(found.map(\.path) == [RelativePath(Array("y".utf8))])
        #expect(board.stalled(for: 60).isEmpty)
        // An answer came, and then none for long enough again.
        stuck.step()
        #expect(board.stalled(for: 0).isEmpty == false)
        #expect(board.stalled(for: 0.05).isEmpty)
        stuck.leave()
        moving.leave()
        usleep(60_000)
        #expect(board.stalled(for: 0.05).isEmpty)
        #expect(idle.reading == nil && stuck.reading == nil)
        #expect(idle.location == nil)
        // Beyond the names it is the directory itself.
        stuck.step(to: 7)
        #expect(stuck.location?.path == .root)
    }
}

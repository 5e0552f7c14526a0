import Foundation
import Glibc
import ResyncCore
import ResyncStorage
import Synchronization
import Testing

@testable import ResyncEngine

private final class Silence: WatchSink {
    func happened(_ event: DetectorEvent, _ store: StoreStatus, at now: Moment) {}
    func beat(_ stores: [StoreStatus], at now: Moment) {}
    func observed(_ line: Recording.Line) {}
}

/// Hears what is suspected, and how stores are.
private final class Ear: WatchSink, Sendable {
    private let heard = Mutex<(suspicions: [String], states: [StoreStatus.State])>(([], []))
    var suspicions: [String] { heard.withLock { $0.suspicions } }
    var states: [StoreStatus.State] { heard.withLock { $0.states } }

    func happened(_ event: DetectorEvent, _ store: StoreStatus, at now: Moment) {
        guard case .suspected(let evidence) = event else { return }
        heard.withLock { $0.suspicions.append(evidence.sentence) }
    }
    func beat(_ stores: [StoreStatus], at now: Moment) {
        heard.withLock { $0.states += stores.map(\.state) }
    }
    func observed(_ line: Recording.Line) {}
}

private final class Sign: Sendable {
    private let value = Mutex(false)
    var isSet: Bool { value.withLock { $0 } }
    func set() { value.withLock { $0 = true } }
}

@Suite struct WatcherTests {
    private func stores(_ count: Int) -> [WatchedStore] {
        (0..<count).map { number in
            var store = Configuration.Store(path: Array("/nowhere/\(number)".utf8))
            store.probes = false
            return WatchedStore(
                name: "pair\(number)/a", store,
                probeID: String(repeating: "0", count: 32), penalty: FlapPenalty(at: .now))
        }
    }

    /// Of an overlay, whose mount tells nothing of what it lies on.
    @Test func whatAMountRestsOnIsLookedUpAnewWhileItStays() throws {
        let machine = MachineSignals()
        let store = StoreWatch(
            stores(1)[0], program: [], bootID: "boot", settings: DetectorSettings(),
            machine: machine, newID: { _ in "e" })
        func heard(_ map: String?, on device: String, at seconds: UInt64) -> Int {
            let table = MountTable(
                Array(
                    """
                    9 1 0:50 / /nowhere rw - overlay o rw,upperdir=/upper
                    10 1 \(device) / /upper rw - ext4 /dev/mapper/x rw

                    """.utf8))
            let text = "device-mapper: multipath: \(map ?? ""): Failing path 8:16."
            let message = map.flatMap { _ in KernelMessage(text: Array(text.utf8)) }
            let now = Moment(boot: seconds * 1_000_000_000, wall: .epoch)
            let found = store.observations(
                message.map { [$0] } ?? [], table, isTick: true, at: now)
            return found.count { if case .kernel = $0 { true } else { false } }
        }
        #expect(heard("253:7", on: "253:7", at: 1000) == 1)
        // It is not looked up all the time, but nothing is missed for that.
        #expect(heard("253:8", on: "253:8", at: 1002) == 0)
        #expect(heard(nil, on: "253:8", at: 1003) == 0)
        #expect(heard(nil, on: "253:8", at: 1005) == 1)
        #expect(heard("253:8", on: "253:8", at: 1006) == 1)
        // What it rested on before counts for a while, and what is another store's never.
        #expect(heard("253:7", on: "253:8", at: 1007) == 1)
        #expect(heard("253:9", on: "253:8", at: 1020) == 0)
        // Also where nobody speaks of it.
        #expect(heard(nil, on: "253:9", at: 1081) == 0)
        #expect(heard("253:9", on: "253:9", at: 1082) == 1)
        #expect(heard("253:7", on: "253:9", at: 1700) == 0)
    }

    /// What is mounted over the directory that a store was is another one; what was ever found
    /// elsewhere, and is not there now, is still gone.
    @Test func whatIsMountedOverAStoreThatWasNeverFoundIsNoLoss() throws {
        func told(_ sequence: UInt64, probes: Bool) -> (seen: [Observation], store: StoreWatch) {
            var configured = Configuration.Store(path: Array("/nowhere/at/all".utf8))
            configured.probes = probes
            var setup = WatchedStore(
                name: "pair/a", configured, probeID: String(repeating: "0", count: 32),
                penalty: FlapPenalty(at: .now))
            setup.sequence = sequence
            let store = StoreWatch(
                setup, program: [], bootID: "boot", settings: DetectorSettings(),
                machine: MachineSignals(), newID: { _ in "e" })
            let below = "9 1 0:50 / / rw - ext4 o rw\n"
            var seen: [Observation] = []
            for (second, text) in [below, below + "10 9 0:51 / /nowhere/at rw - ext4 o rw\n"]
                .enumerated()
            {
                let now = Moment(boot: UInt64(second + 1) * 1_000_000_000, wall: .epoch)
                let table = MountTable(Array(text.utf8))
                seen = store.observations([], table, isTick: true, at: now)
                for observation in seen { _ = store.observe(observation, at: now) }
                if second == 0 { _ = store.compare(at: now) }
            }
            return (seen, store)
        }
        #expect(told(0, probes: true).seen.contains(.mount(.writable)))
        #expect(told(5, probes: true).seen.contains(.mount(.gone)))
        let unprobed = told(0, probes: false)
        #expect(unprobed.seen.contains(.mount(.writable)) && unprobed.store.beginnings == 1)
        let events = unprobed.store.compare(at: Moment(boot: 3_000_000_000, wall: .epoch))
        guard case .watchedAgain(let episode?, _) = events.first else {
            return #expect(Bool(false), "\(events)")
        }
        #expect(episode.evidence.map(\.what) == ["unwatched.device"])
    }

    /// What lies where a store is to be mounted is not that store.
    @Test func aStoreThatIsStillToBeMountedIsNotLookedFor() throws {
        var setup = WatchedStore(
            name: "pair/a", Configuration.Store(path: Array("/nowhere/at/all".utf8)),
            probeID: String(repeating: "0", count: 32), penalty: FlapPenalty(at: .now))
        let below = "9 1 0:50 / / rw - ext4 o rw\n"
        let mounted = below + "10 9 0:51 / /nowhere/at rw - ext4 o rw\n"
        func watch(_ text: String, adopts: Bool = false) -> (Observation?, StoreStatus) {
            let store = StoreWatch(
                setup, program: Array("/nowhere/at/all".utf8), bootID: "boot",
                settings: DetectorSettings(), machine: MachineSignals(files: Fstab()),
                newID: { _ in "e" })
            let now = Moment(boot: 5_000_000_000, wall: .epoch)
            _ = store.observations([], MountTable(Array(text.utf8)), isTick: true, at: now)
            if adopts { store.adopt() }
            return (store.probeIfDue(now), store.status(at: now))
        }
        let (nothing, status) = watch(below)
        #expect(nothing == nil && status.state == .unknown)
        #expect(status.evidence == "nothing is mounted at '/nowhere/at', as /etc/fstab has it")
        // There is no program to probe with here: that it is tried is what counts.
        #expect(watch(mounted).0 != nil && watch(mounted).1.evidence == "")
        // A person knows better, and so does whoever has found it before.
        #expect(watch(below, adopts: true).0 != nil)
        setup.sequence = 1
        #expect(watch(below).0 != nil)
    }

    /// After a boot what was found before may take its time to be mounted, but not for ever.
    @Test func whatIsMountedLateAfterABootIsWaitedFor() throws {
        var setup = WatchedStore(
            name: "pair/a", Configuration.Store(path: Array("/nowhere/at/all".utf8)),
            probeID: String(repeating: "0", count: 32), penalty: FlapPenalty(at: .now))
        setup.sequence = 500
        let below = "9 1 0:50 / / rw - ext4 o rw\n"
        let mounted = below + "10 9 0:51 / /nowhere/at rw - ext4 o rw\n"
        let start = Moment.now
        func store(seenIn bootID: String) -> StoreWatch {
            setup.sight = StoreSight(at: .now, bootID: bootID)
            return StoreWatch(
                setup, program: Array("/nowhere/at/all".utf8), bootID: "boot",
                settings: DetectorSettings(), machine: MachineSignals(files: Fstab()),
                newID: { _ in "e" })
        }
        func look(_ store: StoreWatch, _ text: String, after seconds: Double) -> [Observation] {
            store.observations(
                [], MountTable(Array(text.utf8)), isTick: true,
                at: start.later(bySeconds: seconds))
        }
        let late = store(seenIn: "the one before")
        #expect(!look(late, below, after: 1).contains(.mount(.gone)))
        #expect(late.probeIfDue(start.later(bySeconds: 1)) == nil)
        let status = late.status(at: start.later(bySeconds: 1))
        #expect(status.state == .unknown)
        #expect(status.evidence == "nothing is mounted at '/nowhere/at', as /etc/fstab has it")
        #expect(look(late, mounted, after: 40).contains(.mount(.writable)))
        // There is no program to probe with here: that it is tried is what counts.
        #expect(late.probeIfDue(start.later(bySeconds: 40)) != nil)

        let never = store(seenIn: "the one before")
        _ = look(never, below, after: 1)
        #expect(never.probeIfDue(start.later(bySeconds: 89)) == nil)
        _ = look(never, below, after: 101)
        #expect(never.probeIfDue(start.later(bySeconds: 101)) != nil)
        // Who has seen it in this boot misses it at once.
        let seen = store(seenIn: "boot")
        _ = look(seen, below, after: 1)
        #expect(seen.probeIfDue(start.later(bySeconds: 1)) != nil)
        #expect(look(seen, mounted, after: 2).contains(.mount(.gone)))
    }

    private struct Fstab: KernelFiles {
        func read(_ path: [UInt8], limit: Int) throws(DiskError) -> [UInt8] {
            guard path.elementsEqual("/etc/fstab".utf8) else {
                throw DiskError(.openat, ErrorNumber.noEntry)
            }
            return Array("/dev/sdb1 /nowhere/at ext4 defaults 0 0\n".utf8)
        }
        func names(in path: [UInt8]) throws(DiskError) -> [[UInt8]] { [] }
        func target(of path: [UInt8]) throws(DiskError) -> [UInt8] {
            throw DiskError(.openat, ErrorNumber.noEntry)
        }
    }

    /// A store of which nothing is known is neither well nor only not looked at yet.
    @Test func aStoreThatNobodyCanProbeIsSuspect() throws {
        let (isEnding, hasEnded) = (Sign(), Sign())
        let ear = Ear()
        Thread {
            let store = WatchedStore(
                name: "pair/a", Configuration.Store(path: Array("/nowhere/at/all".utf8)),
                probeID: String(repeating: "0", count: 32), penalty: FlapPenalty(at: .now))
            let setup = WatchSetup(
                program: Array("/nowhere/at/all".utf8), settings: DetectorSettings())
            let watcher = Watcher([store], setup, socket: nil, sink: ear)
            watcher.run { isEnding.isSet }
            hasEnded.set()
        }.start()
        for _ in 0..<1000 where ear.suspicions.isEmpty { usleep(10_000) }
        #expect(ear.suspicions == ["the process that probes has died"])
        isEnding.set()
        for _ in 0..<500 where !hasEnded.isSet { usleep(10_000) }
        #expect(ear.states.last == .suspect)
    }

    /// What a watcher says to one who asks and reads nothing for a while.
    private func told(by client: Channel, after seconds: Double) -> [String] {
        #expect(client.send(Array("status".utf8)))
        usleep(UInt32(seconds * 1e6))
        var told: [String] = []
        while told.last != "end" {
            var waiter = Waiter()
            waiter.add(client.descriptor)
            guard waiter.wait(10), case .message(let bytes, _) = client.receive() else { break }
            told.append((try? StoreStatus(bytes).name) ?? String(decoding: bytes, as: UTF8.self))
        }
        return told
    }

    @Test func oneWhoReadsLateIsToldOfAllStores() throws {
        var template = Array("/tmp/resync-watcher-XXXXXX\0".utf8CString)
        #expect(mkdtemp(&template) != nil)
        let path = template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        defer {
            _ = try? FileManager.default.removeItem(atPath: String(decoding: path, as: UTF8.self))
        }
        let folder = try Folder.make(path: path, disk: LinuxDisk())
        let socket = try ControlSocket(in: folder)
        let (isEnding, hasEnded) = (Sign(), Sign())
        let all = stores(400)
        Thread {
            let setup = WatchSetup(program: [], settings: DetectorSettings())
            let watcher = Watcher(all, setup, socket: socket, sink: Silence())
            watcher.run { isEnding.isSet }
            hasEnded.set()
        }.start()
        let late = try #require(try ControlSocket.connect(in: folder))
        let expected = all.map(\.name) + ["end"]
        #expect(told(by: late, after: 1.5) == expected)
        // One who never reads keeps nobody from being told.
        let deaf = try #require(try ControlSocket.connect(in: folder))
        #expect(deaf.send(Array("status".utf8)))
        for _ in 0..<3 {
            let client = try #require(try ControlSocket.connect(in: folder))
            #expect(told(by: client, after: 0) == expected)
        }
        isEnding.set()
        for _ in 0..<500 where !hasEnded.isSet { usleep(10_000) }
        #expect(hasEnded.isSet)
    }
}

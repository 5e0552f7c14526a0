import TestSupport
import Testing

@testable import ResyncCore

/// What is made of a time in which nobody watched a store: `StoreSight`, `ErrorCount`, and what the
/// detector says when it finds a store again.
@Suite struct UnwatchedTests {
    private func sight(
        at seconds: UInt64 = 100, boot: String = "boot-1", count: UInt64? = 0
    ) -> StoreSight {
        var sight = StoreSight(
            at: Moment(
                boot: seconds * 1_000_000_000,
                wall: Timestamp(seconds: 1_790_000_000 + Int64(seconds), nanoseconds: 0)),
            bootID: boot)
        sight.mount = MountSight(
            mount: 30, device: DeviceNumber(major: 8, minor: 1), isReadOnly: false, instance: 7)
        (sight.fileSystem, sight.errorCount) = (12, count)
        return sight
    }

    private func changes(_ change: (inout StoreSight) -> Void) -> [StoreSight.Change] {
        var now = sight(at: 200)
        change(&now)
        let there = now.changes(since: sight())
        // It is one whichever way it goes.
        #expect(sight().changes(since: now).count == there.count)
        return there
    }

    @Test func eachThingThatChangedIsToldAndNothingElse() {
        let one: [(StoreSight.Change, (inout StoreSight) -> Void)] = [
            (.boot, { $0.bootID = "boot-2" }),
            (.mount, { $0.mount?.mount = 31 }),
            (.mount, { $0.mount?.instance = 8 }),
            (.device, { $0.mount?.device.minor = 2 }),
            (.readOnly, { $0.mount?.isReadOnly = true }),
            (.fileSystem, { $0.fileSystem = 13 }),
            (.errors(from: 0, to: 3), { $0.errorCount = 3 }),
        ]
        for (expected, change) in one {
            let found = changes(change)
            #expect(found == [expected])
        }
        let none = changes { _ in }
        #expect(none.isEmpty)
        let several = changes { sight in
            sight.errorCount = 3
            sight.mount?.isReadOnly = true
            sight.fileSystem = 13
        }
        #expect(several == [.readOnly, .fileSystem, .errors(from: 0, to: 3)])
        // Numbers of mounts and devices are of one boot.
        let anew = changes { sight in
            sight.bootID = "boot-2"
            sight.mount?.mount = 31
            sight.mount?.instance = 8
            sight.mount?.device.minor = 2
        }
        #expect(anew == [.boot])
    }

    @Test func notToKnowIsNoChange() {
        let unknown: [(inout StoreSight) -> Void] = [
            { $0.bootID = "" }, { $0.mount = nil }, { $0.mount?.mount = nil },
            { $0.mount?.instance = nil }, { $0.fileSystem = nil }, { $0.errorCount = nil },
        ]
        for change in unknown {
            let found = changes(change)
            #expect(found.isEmpty)
        }
    }

    @Test func whatChangedUnwatchedIsAnEpisodeThatIsOver() throws {
        var scene = DetectorScene(at: 1000)
        scene.probe()
        #expect(scene.find(sight(at: 1001, boot: "boot-2"), after: sight()) == ["unwatched"])
        let episode = try #require(scene.events.last?.event.episode)
        #expect(episode.kind == .unwatched && !episode.isOpen && episode.ending == .watched)
        #expect(episode.evidence.map(\.what) == ["unwatched.boot"])
        #expect(episode.lastGood == sight().at && episode.closed == scene.now)
        // From the last good probe, with what the kernel may have kept to itself, until now.
        let window = episode.suspectWindow(margin: 40)
        #expect(window.start == sight().at.wall.adding(seconds: -40))
        #expect(window.end == scene.now.wall)
        #expect(!episode.reachesAll && !episode.isExcused)
        // The store is well: nothing is opened, and nothing is held down.
        #expect(scene.episode == nil && scene.detector.phase == .ok)
        var other = episode
        other.ending = .person
        #expect(other.isExcused)
    }

    @Test func whereNothingChangedThatIsAllThereIsToSay() {
        var scene = DetectorScene(at: 1000)
        scene.probe()
        #expect(scene.find(sight(at: 1001), after: sight()) == ["watched"])
        #expect(scene.events.last?.event == .watchedAgain(nil, since: sight().at.wall))
    }

    @Test func aCheckUnwatchedReachesAll() throws {
        var scene = DetectorScene(at: 1000, errors: ErrorCount(count: 3))
        #expect(scene.see(.errorCount(0)).isEmpty)
        #expect(scene.find(sight(at: 1001), after: sight(count: 3)) == ["unwatched"])
        let episode = try #require(scene.events.last?.event.episode)
        #expect(episode.sawCheck && episode.reachesAll && episode.errorCount == 0)
    }

    /// Errors that came unwatched are errors.
    @Test func errorsThatCameUnwatchedOpenAnEpisodeThatReachesBack() throws {
        var scene = DetectorScene(at: 1000, lastGood: sight().at, errors: ErrorCount(count: 1))
        // A first probe may be good before the count is looked at.
        scene.probe()
        #expect(scene.see(.errorCount(3)) == ["opened"])
        #expect(scene.find(sight(at: 1001, count: 3), after: sight(count: 1)) == ["noted"])
        let episode = try #require(scene.episode)
        #expect(episode.kind == .ioError && episode.lastGood == sight().at)
        #expect(episode.evidence.map(\.what) == ["counters.rose", "unwatched.errors"])
        #expect(scene.detector.errors.excess == 3)
    }

    /// One that was open all the time keeps its window.
    @Test func anEpisodeThatWasOpenHoldsWhatWasUnwatched() throws {
        var before = DetectorScene(at: 50)
        before.probe()
        before.see(.mount(.writable))
        before.see(.mount(.readOnly))
        let open = try #require(before.episode)
        var scene = DetectorScene(at: 1000, boot: "boot-2", episode: open)
        // Of the boot before only the wall clock's time is left.
        var earlier = sight()
        earlier.at.boot = 0
        #expect(scene.find(sight(at: 1001, boot: "boot-2"), after: earlier) == ["noted"])
        #expect(scene.episode?.lastGood == open.lastGood)
        #expect(scene.episode?.evidence.last?.what == "unwatched.boot")
    }

    @Test func errorsAreCountedAboveWhatWasAccepted() {
        func time(_ seconds: Int64) -> Timestamp { Timestamp(seconds: seconds, nanoseconds: 0) }
        var errors = ErrorCount()
        #expect(errors.doubt(of: "m/a", since: nil) == nil)
        errors.observe(2, at: time(5))
        errors.observe(2, at: time(6))
        // It is not mounted: the last count stands.
        errors.observe(nil, at: time(7))
        #expect(errors.count == 2 && errors.since == time(5) && errors.excess == 2)
        let doubt = errors.doubt(of: "m/a", since: "then") ?? ""
        for part in ["counts 2 errors", "seen since then", "0 accepted", "episode accept m/a"] {
            #expect(doubt.contains(part), "\(doubt)")
        }
        errors.accept()
        #expect(errors.excess == 0 && errors.doubt(of: "m/a", since: nil) == nil)
        errors.observe(3, at: time(8))
        #expect(errors.excess == 1 && errors.since == time(8))
        // What was accepted before a check is not accepted after it.
        errors.observe(0, at: time(9))
        errors.observe(2, at: time(10))
        #expect(errors.excess == 2)
    }

    /// Nothing comes back after what was only unwatched, and that comes back from nothing.
    @Test func whatWasUnwatchedIsNoRecurrence() throws {
        var chronicle = Chronicle()
        func take(_ event: DetectorEvent) -> Episode? {
            let told = chronicle.take(event) { "i-\($0.boot)" }
            switch told {
            case .opened(let episode), .watchedAgain(let episode?, _): return episode
            default: return nil
            }
        }
        func unwatched(_ id: String, _ store: String, at seconds: UInt64) -> DetectorEvent {
            let now = Moment(
                boot: seconds * 1_000_000_000,
                wall: Timestamp(seconds: Int64(seconds), nanoseconds: 0))
            var episode = Episode(
                id: id, store: store, bootID: "", lastGood: nil, firstEvidence: now,
                detected: now, steps: [Episode.Step(.unwatched, now)])
            (episode.closed, episode.ending) = (now, .watched)
            return .watchedAgain(episode, since: now.wall)
        }
        func fault(_ id: String, _ store: String, at seconds: UInt64) -> DetectorEvent {
            let now = Moment(
                boot: seconds * 1_000_000_000,
                wall: Timestamp(seconds: Int64(seconds), nanoseconds: 0))
            return .opened(
                Episode(
                    id: id, store: store, bootID: "", lastGood: nil, firstEvidence: now,
                    detected: now, steps: [Episode.Step(.stall, now)]))
        }
        let first = try #require(take(unwatched("u1", "mail/a", at: 1000)))
        let beside = try #require(take(unwatched("u2", "mail/b", at: 1010)))
        #expect(!first.incident.isEmpty && beside.incident == first.incident)
        let later = try #require(take(fault("e1", "mail/a", at: 5000)))
        #expect(later.recurrenceOf == nil && later.ordinal == 1)
        let again = try #require(take(unwatched("u3", "mail/a", at: 9000)))
        #expect(again.recurrenceOf == nil && again.ordinal == 1)
    }

    @Test func whatAWatcherSaysComesThrough() throws {
        var seed = Seed.fromEnvironment()
        for _ in 0..<rounds(100) {
            var status = StoreStatus(name: "mail/a", path: Array("/srv".utf8))
            status.unseen = (0..<seed.below(3)).map { "s\($0)" }
            status.recent = (0..<seed.below(17)).map { _ in "e\(seed.below(100))" }
            status.clock = Int64(truncatingIfNeeded: seed.next())
            if seed.once(in: 2) {
                status.errors = ErrorCount(
                    count: seed.next(),
                    since: seed.once(in: 2)
                        ? Timestamp(seconds: Int64(seed.below(1000)), nanoseconds: 1) : nil,
                    accepted: UInt64(seed.below(5)))
            }
            #expect(try StoreStatus(status.bytes) == status)
        }
        let words = WatchOrder.accept(store: "mail/a", note: "old  ones, checked")
        #expect(WatchOrder(words.text) == words)
        #expect(WatchOrder("accept mail/a") == nil)
    }

    @Test func aStatusFitsIntoAMessageHoweverMuchIsUnseen() throws {
        for (count, length) in [(3, 10), (60, 300), (200, 20), (4, 5000), (1000, 4000)] {
            var status = StoreStatus(
                name: "mail/a", path: [UInt8](repeating: UInt8(ascii: "p"), count: 4095))
            status.evidence = String(repeating: "e", count: 4000)
            status.unseen = (0..<count).map { "\($0) " + String(repeating: "s", count: length) }
            let bytes = status.bytes
            #expect(bytes.count <= StoreStatus.messageLimit)
            let told = try StoreStatus(bytes)
            #expect(told.unseen.first?.prefix(2) == "0 " && told.evidence == status.evidence)
            let isCut = told.unseen.last?.hasSuffix("more, which are not told here") == true
            #expect(isCut == (count > 3), "\(count)")
        }
    }

    /// A watcher goes on while the program is replaced below it.
    @Test func whatAnEarlierWatcherSaysIsUnderstood() throws {
        var status = StoreStatus(name: "mail/a", path: Array("/srv".utf8))
        // Each time something was added at the end.
        for count in [1, 11] {
            #expect(try StoreStatus(Array(status.bytes.dropLast(count))) == status)
        }
        let old = Array(status.bytes.dropLast(11))
        status.recent = ["e1"]
        #expect(try StoreStatus(old) != status)
        // Where it told of one alone.
        var told = status.bytes
        told = Array(told[..<(told.count - 14)] + [2, 0x65, 0x31] + told[(told.count - 13)...])
        #expect(try StoreStatus(Array(told.dropLast(4))) == status)
        status.recent = ["e1", "e2"]
        #expect(try StoreStatus(status.bytes).recent == status.recent)
    }
}

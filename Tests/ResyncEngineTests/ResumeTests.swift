import Glibc
import ResyncCore
import ResyncStorage
import Synchronization
import TestSupport
import Testing

@testable import ResyncEngine

/// A run that was stopped anywhere, and went on, finds what one that was not stopped finds.
@Suite struct ResumeTests {
    private static func stores() -> TwoStores {
        let stores = TwoStores()
        stores.both { root in
            for name in ["d/1", "d/2", "d/e/3", "f/4", "g", "h/i/5"] {
                stores.disk.addFile("\(root)/\(name)", "text")
            }
            stores.disk.addDirectory("\(root)/hollow")
            stores.disk.addDirectory("\(root)/hollow2")
            stores.disk.addFile("\(root)/.resync-x", "reserved")
            stores.disk.addFile("\(root)/z", "last")
            stores.disk.link("\(root)/z", as: "\(root)/d/first")
        }
        stores.disk.remove("/b/z")
        stores.disk.addFile("/b/z", "last")
        stores.disk.write("/b/d/2", at: 0, "X")
        stores.disk.write("/b/h/i/5", at: 0, "X")
        stores.disk.addFile("/a/f/only", "1")
        stores.calm()
        return stores
    }

    /// Without what depends on when and how often things were read.
    private static func comparable(_ tally: Tally) -> Tally {
        var tally = tally
        tally.bytesRead = 0
        return tally
    }

    private func compare(
        _ found: TwoStores.Verified, _ whole: TwoStores.Verified, _ place: Int
    ) {
        #expect(found.lines == whole.lines, "stopped at \(place)")
        #expect(Self.comparable(found.tally) == Self.comparable(whole.tally), "stopped at \(place)")
        #expect(found.status == whole.status, "stopped at \(place)")
    }

    private func settings(_ settings: inout TwoStores.Settings, _ workers: Int) {
        settings.workers = workers
        settings.plan = {
            $0.rules.comparison.aspects.insert(.links)
            $0.scope.batchSize = 2
        }
    }

    @Test(arguments: [1, 4]) func everyPlaceToStopIsAPlaceToGoOnFrom(_ workers: Int) throws {
        let whole = try Self.stores().verify { settings(&$0, workers) }
        #expect(whole.tally.contentDiffers == 2 && whole.tally.missingOnB == 1)
        #expect(whole.lines.contains("* z links"))
        var stopped = 0
        // Every call is such a place; without time for all, every third is.
        for place in stride(from: 1, to: Int.max, by: isLongRun ? 1 : 3) {
            let stores = Self.stores()
            let flag = Flag()
            let calls = Counter()
            stores.disk.onCall { _ in
                guard calls.next() == place else { return }
                flag.raise()
                // Long enough for the supervisor to see it before the work is done.
                usleep(60_000)
            }
            var found = try stores.verify {
                settings(&$0, workers)
                $0.interruption = { flag.isUp ? SIGINT : nil }
            }
            guard calls.count >= place else { break }
            if found.summary.ending == .interrupted(SIGINT) {
                stopped += 1
                #expect(found.status == .signal(SIGINT))
                stores.disk.onCall(nil)
                let id = found.id
                found = try stores.verify {
                    settings(&$0, workers)
                    $0.resumes = true
                    $0.id = id
                }
            }
            compare(found, whole, place)
        }
        #expect(stopped > 10)
    }

    @Test func aRunOutOfTimeCanGoOn() throws {
        let stores = Self.stores()
        let whole = try stores.verify { settings(&$0, 1) }
        let calls = Counter()
        stores.disk.onCall { _ in
            if calls.next() > 20 { usleep(2000) }
        }
        let found = try stores.verify {
            settings(&$0, 1)
            let old = $0.plan
            $0.plan = {
                old(&$0)
                $0.limits.maxDuration = 0.03
            }
        }
        #expect(found.summary.ending == .outOfTime)
        stores.disk.onCall(nil)
        let resumed = try stores.verify {
            settings(&$0, 1)
            $0.resumes = true
            $0.id = found.id
        }
        compare(resumed, whole, 0)
    }

    /// Waiting is time, too.
    @Test func aRunThatWaitsForThingsToSettleEndsInTime() throws {
        let stores = Self.stores()
        let whole = try stores.verify { settings(&$0, 1) }
        let begun = monotonicSeconds()
        let found = try stores.verify {
            settings(&$0, 1)
            let old = $0.plan
            $0.plan = {
                old(&$0)
                $0.settle = 30
                $0.limits.maxDuration = 1
            }
        }
        #expect(monotonicSeconds() - begun < 15)
        #expect(found.summary.ending == .outOfTime && found.status == .unconfirmed)
        let resumed = try stores.verify {
            settings(&$0, 1)
            $0.resumes = true
            $0.id = found.id
        }
        compare(resumed, whole, 0)
    }

    @Test func checkpointsOnTheWayChangeNothing() throws {
        let whole = try Self.stores().verify { settings(&$0, 2) }
        let often = try Self.stores().verify {
            settings(&$0, 2)
            let old = $0.plan
            $0.plan = {
                old(&$0)
                $0.checkpointInterval = 0
            }
        }
        compare(often, whole, 0)
    }

    /// Stops a comparison of stores that agree at some call; nil where it came to its end before.
    private func stopped(_ stores: TwoStores, at place: Int) throws -> TwoStores.Verified? {
        let flag = Flag()
        let calls = Counter()
        stores.disk.onCall { _ in
            guard calls.next() == place else { return }
            flag.raise()
            usleep(60_000)
        }
        let found = try stores.verify {
            settings(&$0, 1)
            $0.interruption = { flag.isUp ? SIGINT : nil }
        }
        stores.disk.onCall(nil)
        return found.summary.ending == .interrupted(SIGINT) ? found : nil
    }

    private func resumed(
        _ stores: TwoStores, _ found: TwoStores.Verified, stopAfter calls: Int = .max
    ) throws -> TwoStores.Verified {
        let flag = Flag()
        let made = Counter()
        stores.disk.onCall { _ in
            guard made.next() == calls else { return }
            flag.raise()
            usleep(60_000)
        }
        defer { stores.disk.onCall(nil) }
        return try stores.verify {
            settings(&$0, 1)
            $0.interruption = { flag.isUp ? SIGINT : nil }
            $0.resumes = true
            $0.id = found.id
        }
    }

    private static func alike() -> TwoStores {
        let stores = TwoStores()
        stores.both { root in
            for name in ["d/1", "d/2", "d/e/3", "d/e/4", "f/4", "g"] {
                stores.disk.addFile("\(root)/\(name)", "text")
            }
        }
        stores.calm()
        return stores
    }

    /// The last path of a checkpoint.
    private func through(_ found: TwoStores.Verified, _ stores: TwoStores) throws -> String {
        let run = try RunFolder.open(found.id, in: try stores.state().runs)
        return escaped(try run.checkpoint()?.through?.bytes ?? [])
    }

    /// How often a stop lay inside `d`, so that names there were passed, each with what changed
    /// there meanwhile.
    private func inside(
        orAtTheDoor: Bool = false, _ change: (TwoStores) throws -> Void,
        _ check: (TwoStores, TwoStores.Verified) throws -> Void
    ) throws -> Int {
        var count = 0
        for place in 1..<200 {
            let stores = Self.alike()
            guard let found = try stopped(stores, at: place) else { continue }
            let place = try through(found, stores)
            guard place.hasPrefix("d/") || (orAtTheDoor && place == "d") else { continue }
            count += 1
            try change(stores)
            try check(stores, found)
        }
        return count
    }

    /// Before the last path of the checkpoint nobody looks again.
    @Test func whatCameBeforeTheStopIsNotCalledInSync() throws {
        let count = try inside { stores in
            stores.disk.addFile("/a/d/0new", "only on A")
        } _: { stores, found in
            let end = try resumed(stores, found)
            #expect(end.lines.contains("~ d (changing)"), "\(end.lines)")
            #expect(end.status == .unconfirmed && end.summary.verdict == "NOT VERIFIED")
            #expect(!end.lines.contains { $0.hasPrefix("~ f") || $0.hasPrefix("~ .") })
        }
        #expect(count > 3)
    }

    /// As often as the run is stopped and goes on.
    @Test func whatCameBeforeTheStopIsSaidAfterAnotherStopToo() throws {
        var again = 0
        let count = try inside { stores in
            stores.disk.addFile("/a/d/0new", "only on A")
        } _: { stores, found in
            var end = try resumed(stores, found, stopAfter: 25)
            if end.summary.ending == .interrupted(SIGINT) {
                again += 1
                end = try resumed(stores, end)
            }
            #expect(end.lines.filter { $0 == "~ d (changing)" }.count == 1, "\(end.lines)")
            #expect(end.status == .unconfirmed && end.tally.unstable == 1)
        }
        #expect(count > 3 && again > 0)
    }

    /// A directory that was come into, and cannot be opened when the run goes on.
    @Test func whatCannotBeEnteredAgainIsNotCalledInSync() throws {
        let count = try inside(orAtTheDoor: true) { stores in
            stores.disk.inject(Fault(.fail(EIO), on: .openat, under: "/b/d", persistent: true))
        } _: { stores, found in
            let end = try resumed(stores, found)
            #expect(end.lines.contains("! d !b:openat:EIO"), "\(end.lines)")
            #expect(end.status == .trouble && end.summary.verdict == "NOT VERIFIED")
        }
        #expect(count > 3)
    }

    @Test(arguments: [1, 2, 8, 64]) func outputDoesNotDependOnTheWorkers(_ workers: Int) throws {
        let stores = TwoStores()
        for index in 0..<200 {
            stores.both { root in
                stores.disk.addGenerated(
                    "\(root)/d\(index % 7)/e\(index % 3)/f\(index)", size: index * 37, seed: 1)
            }
            if index % 9 == 5 {
                stores.disk.write("/b/d\(index % 7)/e\(index % 3)/f\(index)", at: 0, "X")
            }
            if index % 31 == 7 { stores.disk.remove("/a/d\(index % 7)/e\(index % 3)/f\(index)") }
        }
        stores.both { stores.disk.addGenerated("\($0)/d3/large", size: 5 << 20, seed: 2) }
        stores.disk.write("/a/d3/large", at: 5_000_000, "X")
        stores.calm()
        let one = try stores.verify {
            $0.workers = 1
            $0.algorithm = .sha256
        }
        let many = try stores.verify {
            $0.workers = workers
            $0.algorithm = .sha256
        }
        #expect(many.records == one.records && many.tally == one.tally)
    }
}

/// Raised once, seen by all.
final class Flag: Sendable {
    private let value = Atomic(false)
    func raise() { value.store(true, ordering: .sequentiallyConsistent) }
    var isUp: Bool { value.load(ordering: .sequentiallyConsistent) }
}

import Testing

@testable import ResyncCore

private let readOnly: Observation = .mount(.emergencyReadOnly)

@Suite struct DetectorTests {
    // MARK: Suspicion

    @Test func aSuspicionComesToNothingAfterThreeGoodProbes() {
        var scene = DetectorScene()
        #expect(scene.detector.probeInterval == 10)
        let since = scene.moment(1001)
        #expect(scene.kernel("blk.ioerr") == ["suspected"])
        #expect(scene.detector.probeInterval == 1)
        #expect(scene.kernel("blk.ioerr") == [])
        #expect(scene.probe() == [])
        #expect(scene.probe() == [])
        #expect(scene.probe() == ["cleared"])
        #expect(scene.events.last?.event == .cleared(since: since))
        #expect(scene.detector.phase == .ok)
        #expect(scene.detector.probeInterval == 10)
        #expect(scene.episode == nil)
    }

    /// What a watcher that ends just then leaves to the next one.
    @Test func whileItIsSuspectedNoProbeSinceThenIsSound() {
        var scene = DetectorScene()
        scene.probe()
        let good = scene.detector.lastGood
        #expect(good != nil && scene.detector.soundGood == good)
        scene.kernel("blk.ioerr")
        scene.probe()
        #expect(scene.detector.lastGood != good && scene.detector.soundGood == good)
        for _ in 0..<3 { scene.probe() }
        #expect(scene.detector.phase == .ok)
        #expect(scene.detector.soundGood == scene.detector.lastGood)
    }

    @Test func softEvidenceBeginsTheCountAnew() {
        var scene = DetectorScene()
        scene.kernel("iscsi.ping")
        scene.probe()
        scene.probe()
        scene.kernel("iscsi.conn")
        #expect(scene.probe() == [])
        #expect(scene.probe() == [])
        #expect(scene.probe() == ["cleared"])
    }

    /// A probe that was on its way when something happened says nothing about it.
    @Test func aProbeThatBeganBeforeDoesNotCount() {
        var scene = DetectorScene()
        let started = scene.now
        scene.kernel("blk.ioerr")
        scene.see(.probe(.verified, started: started), after: 0.1)
        scene.probe()
        #expect(scene.probe() == [])
        #expect(scene.probe() == ["cleared"])
    }

    @Test func whatLedToAnEpisodeBelongsToIt() throws {
        var scene = DetectorScene()
        scene.kernel("note.link-down")
        scene.probe(after: 130)
        let good = scene.detector.lastGood
        scene.kernel("iscsi.ping")
        let first = scene.now
        scene.probe(after: 2)
        #expect(scene.kernel("iscsi.lost", after: 100) == ["opened"])
        let episode = try #require(scene.episode)
        #expect(episode.lastGood == good)
        #expect(episode.firstEvidence == first)
        #expect(episode.detected == scene.now)
        #expect(episode.evidence.map(\.what) == ["iscsi.ping", "iscsi.lost"])
        #expect(episode.steps == [Episode.Step(.ioError, scene.now)])
        #expect(episode.isOpen && episode.store == "mail/a" && episode.bootID == "boot-1")
    }

    /// Signs that good probes cleared are listed, and so lie in the window: each one as long as it
    /// is, and none that is too old for that.
    @Test func whatWasClearedShortlyBeforeLiesInTheWindow() throws {
        var scene = DetectorScene()
        scene.probe()
        scene.kernel("blk.ioerr")
        scene.staysGood(for: 50)
        let good = scene.detector.lastGood
        scene.kernel("blk.ioerr", after: 5)
        let first = scene.now
        for _ in 0..<3 { scene.probe() }
        scene.staysGood(for: 20)
        scene.kernel("iscsi.ping")
        for _ in 0..<3 { scene.probe() }
        scene.staysGood(for: 60)
        #expect(scene.detector.phase == .ok)
        #expect(scene.kernel("jbd2.abort") == ["opened"])
        let episode = try #require(scene.episode)
        #expect(episode.evidence.map(\.what) == ["blk.ioerr", "iscsi.ping", "jbd2.abort"])
        #expect(episode.firstEvidence == first && episode.detected == scene.now)
        #expect(episode.lastGood == good)
        let start = try #require(episode.suspectWindow(margin: 40).start)
        #expect(start <= first.wall.adding(seconds: -40))
    }

    /// Nothing is known to have been good before the first sign.
    @Test func whatWasClearedMayHaveNoGoodProbeBefore() {
        var scene = DetectorScene()
        scene.kernel("blk.ioerr")
        for _ in 0..<3 { scene.probe() }
        scene.kernel("note.link-down")
        scene.kernel("jbd2.abort", after: 50)
        #expect(scene.episode?.lastGood == nil)
        #expect(scene.episode?.suspectWindow(margin: 0).start == nil)
    }

    @Test func withoutAProbeASuspicionEndsByItself() {
        var settings = DetectorSettings()
        settings.hasProbe = false
        var scene = DetectorScene(settings: settings)
        scene.kernel("blk.ioerr")
        for _ in 0..<50 { scene.tick() }
        scene.kernel("blk.ioerr")
        for _ in 0..<60 { #expect(scene.tick() == []) }
        #expect(scene.tick() == ["cleared"])
        // As long as requests are stuck it does not.
        for second in 1...300 {
            scene.see(.deviceStalls(seconds: Double(second)))
            scene.tick(after: 0)
        }
        #expect(scene.words == ["suspected", "cleared", "suspected"])
        scene.see(.deviceStalls(seconds: 0))
        for _ in 0..<61 { scene.tick() }
        #expect(scene.words.last == "cleared")
    }

    // MARK: Slow

    @Test func slowProbesForAMinuteAreAnEpisode() throws {
        var scene = DetectorScene()
        scene.probe()
        let good = scene.detector.lastGood
        scene.probe(after: 10, took: 3)
        let first = scene.now
        #expect(scene.words == ["suspected"])
        while scene.episode == nil, scene.time < 1200 {
            scene.probe(took: 3)
            scene.tick(after: 0)
        }
        let episode = try #require(scene.episode)
        #expect(episode.kind == .slow)
        #expect(episode.firstEvidence == first && episode.lastGood == good)
        let passed = scene.now.seconds(since: first)
        #expect(passed > 60 && passed < 65)
        // Slow probes end it no more than none.
        for _ in 0..<300 { scene.probe(took: 2.1) }
        #expect(scene.words == ["suspected", "opened"])
        scene.staysGood(for: 70)
        #expect(scene.words.last == "closed")
    }

    @Test func aBusyMinuteIsNone() {
        var scene = DetectorScene()
        for _ in 0..<10 { scene.probe(took: 3) }
        scene.staysGood(for: 30)
        #expect(scene.words == ["suspected", "cleared"])
        // Just below what counts as slow it is nothing at all.
        for _ in 0..<100 { scene.probe(took: 2) }
        #expect(scene.words.count == 2)
    }

    /// A slow probe shows that what it wrote is there, not that all was well while it waited.
    @Test func aSlowProbeIsNoProofThatAllWasWell() {
        var scene = DetectorScene()
        scene.probe()
        let good = scene.detector.lastGood
        scene.probe(after: 10, took: 14)
        #expect(scene.detector.lastGood == good)
        scene.see(readOnly, after: 0.5)
        #expect(scene.episode?.lastGood == good)
    }

    // MARK: Recovery

    @Test func onlyVerifiedProbesOverTheWholeHoldDownCloseIt() {
        var scene = DetectorScene()
        scene.probe()
        scene.see(readOnly)
        scene.see(.mount(.writable), after: 20)
        #expect(scene.detector.phase == .down)
        let start = scene.time
        #expect(scene.probe() == ["recovering"])
        #expect(scene.episode?.firstGood == scene.now)
        while scene.words.last != "closed", scene.time < start + 100 { scene.probe() }
        let held = scene.time - start
        #expect(held >= 61 && held < 63)
        #expect(scene.words == ["opened", "recovering", "closed"])
        let closed = scene.events.last?.event.episode
        #expect(closed?.closed == scene.now && closed?.ending == .probe)
        #expect(scene.episode == nil && scene.detector.phase == .ok)
    }

    /// Nobody looked while the machine slept, nor where the probe was refused or found no room.
    @Test func whatWasNotVerifiedIsNoPartOfTheHoldDown() {
        let refused = ProbeOutcome.failed(errorNumber: 1, call: "openat")
        for gap in [nil, refused, .full] {
            var scene = DetectorScene()
            scene.see(readOnly)
            scene.see(.mount(.writable))
            for _ in 0..<3 { scene.probe() }
            if let gap {
                for _ in 0..<60 { scene.probe(gap) }
            } else {
                #expect(scene.probe(after: 600) == [])
            }
            #expect(scene.episode != nil)
            let start = scene.time
            while scene.words.last != "closed", scene.time < start + 100 { scene.probe() }
            #expect(scene.time - start >= 60 && scene.time - start < 66)
            let closed = scene.events.last?.event.episode
            #expect(closed?.firstGood.map { $0.seconds(since: scene.moment(start)) >= 0 } == true)
        }
    }

    /// What is noted of the whole machine does not push out what began an episode.
    @Test func notesDoNotMakeTheWindowShorter() {
        var scene = DetectorScene()
        scene.see(.mount(.writable))
        scene.staysGood(for: 30)
        for _ in 0..<8 { scene.kernel("note.port") }
        let good = scene.detector.lastGood
        scene.kernel("iscsi.conn")
        let first = scene.now
        scene.staysGood(for: 20)
        for _ in 0..<20 { scene.kernel("note.port") }
        scene.see(readOnly)
        #expect(good != nil && scene.episode?.lastGood == good)
        #expect(scene.episode?.firstEvidence == first)
    }

    @Test func aMountThatLooksBadKeepsItOpen() {
        for condition in MountCondition.allCases {
            var scene = DetectorScene()
            scene.see(.mount(.writable))
            scene.see(.mount(condition))
            scene.kernel("jbd2.abort")
            let closes = [.writable, .unknown, .otherDevice].contains(condition)
            scene.staysGood(for: 70)
            #expect((scene.words.last == "closed") == closes, "\(condition)")
        }
    }

    @Test func softEvidenceWhileItRecoversBeginsTheTimeAnew() {
        var scene = DetectorScene()
        scene.kernel("jbd2.abort")
        scene.staysGood(for: 55)
        #expect(scene.kernel("blk.ioerr", after: 0.5) == [])
        let disturbed = scene.now
        #expect(scene.staysGood(for: 55).isEmpty)
        #expect(scene.episode?.firstGood.map { $0.boot > disturbed.boot } == true)
        #expect(scene.episode?.flaps == 0)
        scene.staysGood(for: 10)
        #expect(scene.words == ["opened", "recovering", "closed"])
    }

    /// A probe under way when something happens neither begins a recovery nor restarts it.
    @Test func aProbeThatBeganBeforeTheTroubleEndedNoneOfIt() {
        var scene = DetectorScene()
        scene.probe()
        var started = scene.now
        scene.kernel("jbd2.abort", after: 0.5)
        #expect(scene.see(.probe(.verified, started: started), after: 0.5) == [])
        #expect(scene.detector.phase == .down)
        #expect(scene.probe() == ["recovering"])
        started = scene.now
        scene.kernel("blk.ioerr", after: 0.5)
        scene.see(.probe(.verified, started: started), after: 0.5)
        let before = scene.now
        scene.probe()
        #expect(scene.episode?.firstGood.map { $0.boot > before.boot } == true)
    }

    /// A probe that had to wait tells so, even if it then finds no room.
    @Test func aProbeThatWaitsInRecoveryBeginsTheTimeAnew() {
        var scene = DetectorScene()
        scene.kernel("jbd2.abort")
        scene.staysGood(for: 50)
        scene.hangs(for: 8)
        scene.probe(.full, after: 0, took: 0)
        #expect(scene.episode?.evidence.map(\.what).filter { $0 == "probe.waits" }.count == 1)
        #expect(scene.staysGood(for: 50).isEmpty)
        #expect(scene.staysGood(for: 15).map(\.word) == ["closed"])
    }

    @Test func aRelapseDoublesTheHoldDownUpToTheLimit() {
        var scene = DetectorScene()
        scene.kernel("jbd2.abort")
        var holds: [Double] = []
        for _ in 0..<7 {
            holds.append(scene.detector.holdDown)
            scene.staysGood(for: scene.detector.holdDown - 8)
            #expect(scene.detector.phase != .down && scene.detector.phase != .ok)
            #expect(scene.kernel("jbd2.error", after: 0.5) == ["relapsed"])
            #expect(scene.episode?.firstGood == nil)
        }
        #expect(holds == [60, 120, 240, 480, 900, 900, 900])
        #expect(scene.episode?.flaps == 7)
        let last = scene.staysGood(for: 920)
        #expect(last.map(\.word) == ["recovering", "closed"])
        #expect(last.last.map { $0.after >= 900 } == true)
        #expect(Set(scene.words.filter { $0 == "opened" }).count == 1)
        // The next one begins with a short one again.
        scene.kernel("jbd2.abort")
        #expect(scene.detector.holdDown == 60)
    }

    @Test func aRelapseMayBeWorse() {
        var scene = DetectorScene()
        scene.see(.probeHangs(seconds: 15, .device))
        scene.probe()
        #expect(scene.see(readOnly) == ["relapsed", "rose"])
        let episodes = scene.events.suffix(2).compactMap(\.event.episode)
        #expect(episodes.allSatisfy { $0.kind == .readOnly && $0.flaps == 1 })
    }

    @Test func probesComeOftenAtFirstAndThenLess() {
        var scene = DetectorScene()
        scene.kernel("jbd2.abort")
        var intervals: [Double] = []
        for _ in 0..<40 {
            intervals.append(scene.detector.probeInterval)
            scene.probe(.failed(errorNumber: 5, call: "write"))
        }
        #expect(intervals.first == 1 && intervals.last == 5)
        #expect(intervals == intervals.sorted())
        scene.probe()
        #expect(scene.detector.probeInterval == 1)
    }

    @Test func aStoreWithoutRoomNeitherFailsNorRecovers() {
        var scene = DetectorScene()
        for _ in 0..<100 { scene.probe(.full, after: 10) }
        #expect(scene.words == [] && scene.detector.isFull)
        scene.kernel("jbd2.abort")
        for _ in 0..<1000 { scene.probe(.full) }
        #expect(scene.words == ["opened"])
        scene.staysGood(for: 70)
        #expect(scene.words.last == "closed" && !scene.detector.isFull)
    }

    // MARK: Hanging

    @Test func aHangIsToldOnceAndAgainWhenItTurnsOutToBeTheDevice() {
        var scene = DetectorScene()
        scene.hangs(for: 14)
        #expect(scene.words == ["suspected"])
        scene.see(.probeHangs(seconds: 15, .frozen))
        scene.see(.probeHangs(seconds: 16, .frozen))
        #expect(scene.words == ["suspected", "opened"])
        #expect(scene.episode?.kind == .frozen)
        // One that was just thawed has only not ended yet.
        var rose: [Int] = []
        for seconds in 17...60 {
            let told = scene.see(.probeHangs(seconds: Double(seconds), .device))
            if !told.isEmpty { rose.append(seconds) }
        }
        #expect(rose.count == 1 && rose.allSatisfy { $0 >= 32 })
        for seconds in 61...500 { scene.see(.probeHangs(seconds: Double(seconds), .frozen)) }
        #expect(scene.episode?.kind == .stall)
        #expect(scene.episode?.evidence.count == 3)
    }

    @Test func aHangThatEndedForWantOfRoomIsOver() {
        var scene = DetectorScene()
        scene.hangs(for: 16)
        scene.probe(.full, took: 0)
        scene.hangs(for: 16)
        #expect(scene.episode?.evidence.map(\.what).filter { $0 == "probe.hung" }.count == 2)
    }
}

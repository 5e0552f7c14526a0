import Testing

@testable import ResyncCore

private let emergency: Observation = .mount(.emergencyReadOnly)

private func refused() -> ProbeOutcome { .failed(errorNumber: 30, call: "write") }

/// What administrators do, and what a new start of watcher or machine changes.
@Suite struct DetectorPeopleTests {
    // MARK: Who made it read-only

    @Test func aRemountByHandIsTold() {
        var scene = DetectorScene()
        scene.probe()
        scene.kernel("note.remounted-ro")
        #expect(scene.see(.mount(.readOnly)) == ["opened"])
        #expect(scene.episode?.kind == .adminReadOnly)
        // Its probes fail for as long as it lasts.
        for _ in 0..<100 { scene.probe(refused(), after: 30) }
        #expect(scene.words == ["opened"] && scene.episode?.kind == .adminReadOnly)
    }

    @Test func aProbeMayBeTheFirstToMeetARemount() {
        var scene = DetectorScene()
        scene.see(.mount(.writable))
        scene.kernel("note.remounted-ro")
        scene.probe(refused(), after: 0.1)
        scene.see(.mount(.readOnly), after: 0.5)
        #expect(scene.words == ["opened"] && scene.episode?.kind == .adminReadOnly)
    }

    @Test func aReadOnlyMountIsAlwaysByHand() {
        var scene = DetectorScene()
        scene.see(.mount(.readOnlyMount))
        scene.probe(refused())
        #expect(scene.words == ["opened"] && scene.episode?.kind == .adminReadOnly)
    }

    @Test func readOnlyWithoutAMessageIsTheKernels() {
        var scene = DetectorScene()
        scene.see(.mount(.readOnly))
        #expect(scene.episode?.kind == .readOnly)
        var other = DetectorScene()
        other.probe(refused())
        #expect(other.episode?.kind == .readOnly)
    }

    @Test(arguments: ["btrfs.abort", "jbd2.abort", "ext4.error"])
    func anErrorBeforeARemountIsNotExplainedByIt(_ what: String) {
        var scene = DetectorScene()
        scene.kernel(what)
        scene.kernel("note.remounted-ro", after: 5)
        scene.see(.mount(.readOnly))
        #expect(scene.episode?.kind == .readOnly)
        #expect(scene.words == ["opened", "rose"])
    }

    /// A remount explains what comes right after it, and nothing later.
    @Test func anOldRemountExplainsNothing() {
        var scene = DetectorScene()
        scene.see(.mount(.writable))
        scene.kernel("note.remounted-ro")
        scene.kernel("note.remounted-rw", after: 1)
        scene.see(.mount(.readOnly), after: 3600)
        #expect(scene.episode?.kind == .readOnly)
        var other = DetectorScene()
        other.kernel("note.remounted-ro")
        other.probe(refused(), after: 3600)
        #expect(other.episode?.kind == .readOnly)
    }

    @Test func anErrorAfterARemountCounts() {
        var scene = DetectorScene()
        scene.kernel("note.remounted-ro")
        scene.see(.mount(.readOnly))
        scene.see(.fileSystemError(5, count: 1))
        scene.probe(refused())
        #expect(scene.words == ["opened", "rose", "rose"])
        #expect(scene.episode?.steps.map(\.kind) == [.adminReadOnly, .ioError, .readOnly])
    }

    // MARK: Maintenance

    @Test func whatAnAdministratorAnnouncedIsNoEpisode() {
        var scene = DetectorScene()
        scene.detector.beginMaintenance(until: scene.moment(5000))
        scene.see(.mount(.readOnlyMount))
        scene.see(.mount(.readOnly))
        scene.see(.mount(.gone))
        scene.probe(refused())
        scene.probe(.failed(errorNumber: 2, call: "open"))
        scene.hangs(for: 100, .frozen)
        scene.kernel("iscsi.conn")
        scene.see(.mount(.writable))
        for _ in 0..<100 { scene.probe(took: 3) }
        scene.staysGood(for: 30)
        scene.detector.endMaintenance()
        scene.see(.mount(.writable))
        scene.staysGood(for: 100)
        #expect(scene.words == [])
    }

    /// Whatever failed before, one that is well again is not amiss: else nobody would compare.
    @Test func whatIsWellAgainIsNotAmiss() {
        let bad: [ProbeOutcome] = [
            .failed(errorNumber: 2, call: "open"), .failed(errorNumber: 13, call: "open"),
            .workerDied, refused(),
        ]
        for outcome in bad {
            var scene = DetectorScene()
            scene.see(.mount(.writable))
            scene.detector.beginMaintenance(until: scene.moment(5000))
            for _ in 0..<3 { scene.probe(outcome) }
            #expect(scene.detector.isAmiss, "\(outcome)")
            scene.probe(took: 3)
            #expect(scene.detector.isAmiss, "\(outcome)")
            scene.probe()
            #expect(!scene.detector.isAmiss && scene.words == [], "\(outcome)")
        }
        // Nor does one that failed long ago make it so.
        var scene = DetectorScene()
        scene.probe(.workerDied)
        scene.staysGood(for: 10)
        #expect(scene.words == ["suspected", "cleared"] && !scene.detector.isAmiss)
    }

    @Test func aSuspicionBeforeItDoesNotGrowInIt() {
        var scene = DetectorScene()
        for _ in 0..<3 { scene.probe(took: 3) }
        #expect(scene.words == ["suspected"])
        scene.detector.beginMaintenance(until: scene.moment(2000))
        for _ in 0..<300 { scene.tick() }
        #expect(scene.words == ["suspected"])
        scene.staysGood(for: 10)
        #expect(scene.words == ["suspected", "cleared"])
    }

    @Test(arguments: [
        Observation.kernel("ext4.error", text: []), .fileSystemError(5, count: 1),
        .mount(.shutdown), .mount(.otherDevice), .mount(.emergencyReadOnly),
    ])
    func errorsOpenOneEvenThen(_ observation: Observation) {
        var scene = DetectorScene()
        scene.detector.beginMaintenance(until: scene.moment(5000))
        #expect(scene.see(observation) == ["opened"])
    }

    @Test func aProbesErrorsOpenOneEvenThen() {
        for outcome: ProbeOutcome in [
            .lost, .foreign("other"), .failed(errorNumber: 5, call: "fsync"),
        ] {
            var scene = DetectorScene()
            scene.detector.beginMaintenance(until: scene.moment(5000))
            #expect(scene.probe(outcome) == ["opened"])
        }
        var scene = DetectorScene()
        scene.detector.beginMaintenance(until: scene.moment(5000))
        scene.see(.errorCount(1))
        #expect(scene.see(.errorCount(2)) == ["opened"])
    }

    @Test func whatIsStillWrongAfterwardsIsTold() {
        for observation: Observation in [
            .mount(.readOnly), .mount(.gone), .probeHangs(seconds: 40, .frozen),
        ] {
            var scene = DetectorScene()
            scene.detector.beginMaintenance(until: scene.moment(1100))
            for _ in 0..<98 {
                scene.see(observation)
                scene.tick(after: 0)
            }
            #expect(scene.words == [])
            scene.tick(after: 2)
            #expect(scene.detector.maintenanceEnd == nil)
            #expect(scene.see(observation) == ["opened"], "\(observation)")
        }
        var scene = DetectorScene()
        scene.detector.beginMaintenance(until: scene.moment(1100))
        scene.see(.deviceStalls(seconds: 5))
        scene.tick(after: 200)
        #expect(scene.see(.deviceStalls(seconds: 206)) == ["suspected"])
    }

    // MARK: A person

    @Test func aPersonOpensAndCloses() throws {
        var scene = DetectorScene()
        #expect(scene.close() == [])
        scene.detector.beginMaintenance(until: scene.moment(5000))
        #expect(scene.open(.lostWrite) == ["opened"])
        #expect(scene.episode?.evidence.first?.text == Array("seen by hand".utf8))
        #expect(scene.close() == ["closed"])
        let closed = try #require(scene.events.last?.event.episode)
        #expect(closed.ending == .person && closed.note == "looked at")
        #expect(closed.closed == scene.now && closed.firstGood == nil)
        #expect(scene.close() == [])
        #expect(scene.episode == nil && scene.detector.phase == .ok)
    }

    /// A person knows since when: what was verified later was not asked whether it lost anything.
    @Test func aPersonSaysSinceWhen() {
        func opened(_ since: Double, _ prepare: (inout DetectorScene) -> Void) -> Episode? {
            var scene = DetectorScene()
            prepare(&scene)
            let words = scene.open(.lostWrite, since: scene.moment(since))
            #expect(words == ["opened"])
            return scene.episode
        }
        let scene = DetectorScene()
        let well = opened(1025) { $0.staysGood(for: 100) }
        #expect(well?.firstEvidence == scene.moment(1025))
        #expect(well?.lastGood == scene.moment(1025))
        let later = opened(1055) {
            $0.probe(after: 10)
            $0.wait(50)
        }
        #expect(later?.lastGood == scene.moment(1010))
        // There was a suspicion already.
        let suspected = opened(1055) {
            $0.probe(after: 10)
            $0.kernel("blk.ioerr")
            $0.probe()
            $0.wait(50)
        }
        #expect(suspected?.lastGood == scene.moment(1010))
        #expect(suspected.map { $0.firstEvidence.boot < scene.moment(1012).boot } == true)
    }

    @Test func whatAPersonClosedAndIsStillWrongIsToldAnew() {
        for observation: Observation in [
            emergency, .mount(.gone), .probeHangs(seconds: 40, .device),
            .probe(refused(), started: DetectorScene().now),
        ] {
            var scene = DetectorScene()
            scene.see(.mount(.writable))
            scene.see(observation)
            let first = scene.episode?.id
            scene.close()
            #expect(scene.see(observation) == ["opened"], "\(observation)")
            #expect(scene.episode?.id != first)
        }
    }

    // MARK: New starts

    private func interrupted(flaps: Int = 0) -> (Episode?, Moment?) {
        var scene = DetectorScene()
        scene.probe()
        scene.kernel("jbd2.abort")
        for _ in 0..<flaps {
            scene.probe()
            scene.kernel("jbd2.abort")
        }
        scene.probe()
        return (scene.episode, scene.detector.lastGood)
    }

    @Test func anOpenEpisodeGoesOnAfterANewStart() {
        let (episode, good) = interrupted(flaps: 2)
        var scene = DetectorScene(at: 1200, episode: episode, lastGood: good)
        #expect(scene.detector.phase == .down && scene.detector.holdDown == 240)
        #expect(scene.episode?.firstGood == nil)
        #expect(scene.episode?.evidence == episode?.evidence)
        #expect(scene.detector.lastGood == good)
        let came = scene.staysGood(for: 260)
        #expect(came.map(\.word) == ["recovering", "closed"])
        #expect(came.last.map { $0.after > 239 } == true)
        let closed = scene.events.last?.event.episode
        #expect(closed?.ending == .probe && closed?.id == episode?.id && closed?.flaps == 2)
        #expect(closed?.lastGood == episode?.lastGood)
    }

    @Test func theHoldDownOfARestoredOneHasItsLimit() {
        var (episode, _) = interrupted()
        for flaps in [5, 100, Int.max, -1] {
            episode?.flaps = flaps
            let scene = DetectorScene(episode: episode)
            #expect(scene.detector.holdDown == (flaps < 0 ? 60 : 900))
        }
    }

    /// The machine was booted meanwhile: its clock began anew, and the storage may be well at once.
    @Test func oneThatABootEndedSaysSo() throws {
        let (episode, good) = interrupted()
        var scene = DetectorScene(at: 5, boot: "boot-2", episode: episode, lastGood: good)
        scene.wallOffset += 1500
        scene.see(.mount(.writable))
        scene.staysGood(for: 70)
        #expect(scene.words == ["recovering", "closed"])
        let closed = try #require(scene.events.last?.event.episode)
        #expect(closed.ending == .reboot && closed.bootID == "boot-1")
        let window = closed.suspectWindow(margin: 40)
        #expect(window.start == closed.lastGood?.wall.adding(seconds: -40))
        #expect(good.map { $0.wall > (closed.lastGood?.wall ?? $0.wall) } == true)
        #expect(window.end == closed.firstGood?.wall)
        #expect(closed.firstGood.map { $0.wall.seconds > 1_790_001_500 } == true)
    }

    @Test func oneThatLastsOverABootDoesNotEnd() {
        let (episode, good) = interrupted()
        var scene = DetectorScene(at: 5, boot: "boot-2", episode: episode, lastGood: good)
        for _ in 0..<500 { scene.probe(refused()) }
        #expect(scene.words == ["rose"])
        scene.see(emergency)
        scene.staysGood(for: 1000)
        #expect(scene.words == ["rose"])
    }

    /// A check of the file system happens while it is not mounted: the count is away meanwhile.
    @Test func aCheckIsSeenByTheCountOfErrors() {
        var scene = DetectorScene()
        scene.see(.errorCount(0))
        #expect(scene.see(.errorCount(3)) == ["opened"])
        #expect(scene.episode?.errorCount == 3 && scene.episode?.sawCheck == false)
        scene.see(.mount(.gone))
        for _ in 0..<5 { scene.see(.errorCount(nil)) }
        scene.see(.errorCount(0))
        scene.see(.mount(.writable))
        #expect(scene.episode?.sawCheck == true && scene.episode?.errorCount == 0)
        scene.staysGood(for: 70)
        #expect(scene.words.last == "closed")
        #expect(scene.see(.errorCount(nil)) == [] && scene.see(.errorCount(0)) == [])
        #expect(scene.see(.errorCount(1)) == ["opened"])
    }

    @Test func aCheckIsSeenAcrossANewStart() {
        var first = DetectorScene()
        first.see(.errorCount(0))
        first.see(.errorCount(3))
        var scene = DetectorScene(at: 2000, episode: first.episode)
        scene.see(.errorCount(0))
        #expect(scene.episode?.sawCheck == true)
        // What was counted before the start alone is no news.
        var other = DetectorScene()
        #expect(other.see(.errorCount(9)) == [] && other.see(.errorCount(9)) == [])
    }
}

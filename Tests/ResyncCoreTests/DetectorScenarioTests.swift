import Testing

@testable import ResyncCore

/// What really happened to stores, as the signals told it.
@Suite struct DetectorScenarioTests {
    /// A session over iSCSI is lost while a switch computes its spanning tree anew: all stands
    /// still, then requests fail, then the journal is aborted, and the next writer finds the file
    /// system read-only. Seconds since boot.
    private static let iscsi = """
        resync-recording 1
        1000.000 probe 1000.000 verified
        1003.200 kernel note.topology br0: port 2(eth1) topology change detected
        1010.000 probe 1010.000 verified
        1013.000 errors 0
        1020.000 mount writable
        1022.100 hang 2.1 device
        1023.100 stall 3.1
        1024.000 kernel iscsi.ping  connection1:0: ping timeout of 5 secs expired
        1024.100 kernel iscsi.conn  connection1:0: detected conn error (1022)
        1030.000 hang 10.0 device
        1035.000 hang 15.0 device
        1036.000 hang 16.0 device
        1144.100 kernel iscsi.lost  session1: session recovery timed out after 120 secs
        1144.101 kernel scsi.reject sd 2:0:0:1: [sdf] rejecting I/O to offline device
        1144.102 kernel blk.ioerr I/O error, dev sdf, sector 2048 op 0x1:(WRITE)
        1144.103 kernel jbd2.abort Aborting journal on device sdf-8.
        1144.200 probe 1020.000 failed 5 fsync
        1150.000 mount writable
        1439.000 kernel ext4.error EXT4-fs error (device sdf): Detected aborted journal
        1439.001 kernel ext4.ro EXT4-fs (sdf): Remounting filesystem read-only
        1439.100 fserror -5 1
        1440.000 mount emergency_ro
        1440.000 errors 1
        1441.000 probe 1441.000 failed 30 openat
        """

    /// The lines with whole time stamps.
    private static func recording(_ text: String, offset: Int64) -> String {
        func stamp(_ seconds: Substring) -> String {
            let parts = seconds.split(separator: ".")
            let wall = offset + (Int64(parts[0]) ?? 0)
            return "\(parts[0])\(parts[1])000000 \(wall).\(parts[1])000000"
        }
        return text.split(separator: "\n").enumerated().map { index, line in
            if index == 0 { return "\(line)\n" }
            var words = line.split(separator: " ", omittingEmptySubsequences: false)
            let start = stamp(words.removeFirst())
            if words[0] == "probe" { words[1] = Substring(stamp(words[1])) }
            return "\(start) mail/a \(words.joined(separator: " "))\n"
        }.joined()
    }

    @Test func aLostSessionIsOneEpisode() throws {
        var scene = DetectorScene()
        let text = Self.recording(Self.iscsi, offset: scene.wallOffset)
        let (lines, firstBad) = Recording.lines(text)
        #expect(firstBad == nil && lines.count == 24)
        #expect(Recording.header + lines.map(\.text).joined() == text)
        for line in lines {
            scene.see(line.observation, after: Double(line.at.boot) / 1e9 - scene.time)
            #expect(scene.now.boot == line.at.boot)
        }
        #expect(scene.words == ["suspected", "opened", "rose", "rose"])
        let steps = scene.episode?.steps ?? []
        #expect(steps.map(\.kind) == [.stall, .ioError, .gone])
        #expect(scene.episode?.lastGood == scene.moment(1010))
        #expect(scene.episode?.firstEvidence == scene.moment(1022.1))
        #expect(scene.episode?.detected == scene.moment(1035))

        // Somebody remounts it, which looks right and changes nothing.
        scene.kernel("note.remounted")
        for _ in 0..<200 { scene.probe(.failed(errorNumber: 30, call: "openat")) }
        #expect(scene.detector.phase == .down)
        // It is unmounted, checked and mounted again.
        scene.see(.mount(.gone))
        scene.see(.errorCount(nil))
        scene.see(.errorCount(0), after: 30)
        scene.see(.mount(.writable))
        let healed = scene.now
        scene.staysGood(for: 80)
        #expect(scene.words.suffix(2) == ["recovering", "closed"])
        let closed = try #require(scene.events.last?.event.episode)
        #expect(closed.sawCheck && closed.flaps == 0 && closed.ending == .probe)
        let window = closed.suspectWindow(margin: 40)
        #expect(window.start == scene.moment(970).wall)
        #expect(window.end.map { $0 >= healed.wall } == true)
        #expect(scene.words.filter { $0 == "opened" }.count == 1)
        #expect(closed.closed.map { $0.seconds(since: healed) >= 60 } == true)
    }

    /// `mount -o remount,rw` returns 0 and the kernel even says so, but every write still fails.
    @Test(arguments: [MountCondition.emergencyReadOnly, .writable])
    func aRemountThatOnlyLooksGoodClosesNothing(_ condition: MountCondition) {
        var scene = DetectorScene()
        scene.probe()
        scene.kernel("ext4.ro")
        scene.see(.mount(condition))
        for _ in 0..<50 {
            scene.kernel("note.remounted-rw")
            scene.see(.mount(.writable))
            scene.see(.mount(condition))
            scene.probe(.failed(errorNumber: 30, call: "write"), after: 60)
            scene.tick(after: 0)
        }
        #expect(scene.words == ["opened"])
    }

    /// A lazy unmount and a new mount attach the same broken file system again, until the last
    /// holder of it closes its files.
    @Test func aLazyUnmountClosesNothing() {
        var scene = DetectorScene()
        scene.probe()
        scene.see(.mount(.emergencyReadOnly))
        scene.see(.mount(.gone))
        scene.kernel("note.mounted")
        scene.see(.mount(.writable))
        // The directory below answers well for a moment, but it is not the store.
        scene.probe(.foreign("no stamp"))
        scene.see(.mount(.emergencyReadOnly))
        for _ in 0..<200 { scene.probe(.failed(errorNumber: 30, call: "write")) }
        #expect(scene.words == ["opened", "rose", "rose"])
        scene.see(.mount(.writable))
        scene.staysGood(for: 65)
        #expect(scene.words.suffix(2) == ["recovering", "closed"])
    }

    /// A verified probe does not help where the mount says that nothing is written.
    @Test func aGoodProbeBesideABadMountClosesNothing() {
        var scene = DetectorScene()
        scene.see(.mount(.emergencyReadOnly))
        scene.staysGood(for: 2000)
        #expect(scene.words == ["opened"])
    }

    @Test func threeStallsAreOneEpisodeThatFellBackTwice() throws {
        var settings = DetectorSettings()
        settings.slow = 0.5
        settings.hung = 2
        settings.holdDown = 8
        var scene = DetectorScene(settings: settings)
        scene.probe()
        for _ in 0..<3 {
            let started = scene.now
            scene.see(.probeHangs(seconds: 1, .device))
            scene.see(.probeHangs(seconds: 2, .device))
            scene.see(.probe(.workerDied, started: started), after: 0.5)
            scene.probe(after: 1)
            scene.probe(after: 0.9)
        }
        scene.staysGood(for: 40)
        let closed = try #require(scene.events.last?.event.episode)
        #expect(closed.flaps == 2 && closed.kind == .stall && closed.ending == .probe)
        #expect(
            scene.words == [
                "suspected", "opened", "recovering", "relapsed", "recovering", "relapsed",
                "recovering", "closed",
            ])
    }

    /// With the settings as they are such stalls are only suspicious.
    @Test func shortStallsAreNoEpisode() {
        var scene = DetectorScene()
        for _ in 0..<3 { scene.probe(after: 2, took: 2.5) }
        scene.staysGood(for: 60)
        #expect(scene.words == ["suspected", "cleared"])
    }

    /// Data cannot be written, which XFS does not show anywhere.
    @Test func failedDataIsSeenByTheProbeAlone() {
        var scene = DetectorScene()
        scene.probe()
        for _ in 0..<30 {
            scene.see(.mount(.writable))
            scene.probe(.failed(errorNumber: 5, call: "pwrite"))
        }
        #expect(scene.words == ["opened"] && scene.episode?.kind == .ioError)
        scene.staysGood(for: 65)
        #expect(scene.words == ["opened", "recovering", "closed"])
    }

    /// The storage acknowledges and drops: each probe finds that what it wrote is not there.
    @Test func aStoreThatLiesDoesNotOscillate() {
        var scene = DetectorScene()
        scene.probe()
        // What was written with the next one is what was lost.
        let good = scene.detector.lastGood
        scene.probe()
        for _ in 0..<500 { scene.probe(.lost) }
        #expect(scene.words == ["opened"] && scene.episode?.kind == .lostWrite)
        #expect(scene.episode?.lastGood == good && scene.episode?.flaps == 0)
        scene.staysGood(for: 65)
        #expect(scene.words == ["opened", "recovering", "closed"])
    }

    // MARK: The window

    /// A clock that is set during the episode must not let the damage slip out of the window.
    @Test(arguments: [-315_000_000, -3600, 3600, 315_000_000] as [Int64])
    func theWindowHoldsWhatTheWallClockShowed(_ jump: Int64) throws {
        for place in 0..<4 {
            var scene = DetectorScene()
            scene.probe()
            var shown = [scene.now.wall]
            func jumpIf(_ number: Int) { if place == number { scene.wallOffset += jump } }
            jumpIf(0)
            scene.wait(3)
            shown.append(scene.now.wall)
            scene.kernel("iscsi.conn")
            jumpIf(1)
            scene.wait(3)
            shown.append(scene.now.wall)
            scene.kernel("jbd2.abort")
            jumpIf(2)
            scene.wait(500)
            shown.append(scene.now.wall)
            jumpIf(3)
            scene.wait(1)
            shown.append(scene.now.wall)
            scene.staysGood(for: 70)
            let closed = try #require(scene.events.last?.event.episode)
            let window = closed.suspectWindow(margin: 0)
            let (start, end) = (try #require(window.start), try #require(window.end))
            for time in shown {
                #expect(start <= time && time <= end, "jump number \(place)")
            }
        }
    }

    @Test func theWindowIsOpenWhereNothingIsKnown() {
        var scene = DetectorScene()
        scene.kernel("jbd2.abort")
        #expect(scene.episode?.suspectWindow(margin: 40).start == nil)
        #expect(scene.episode?.suspectWindow(margin: 40).end == nil)
        scene.probe()
        #expect(scene.episode?.suspectWindow(margin: 40).end == scene.now.wall)
    }
}

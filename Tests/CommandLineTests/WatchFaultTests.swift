import Foundation
import Glibc
import TestSupport
import Testing

/// Real faults of real file systems, and what the watcher makes of them. Each opens one episode of
/// the right class in time, and closes it only after a real repair.
struct WatchFaultTests {
    /// The file system's own test of its error path.
    private func emergency(_ mount: FaultyStore) throws {
        let name = mount.device.split(separator: "/").last ?? ""
        let trigger = "/sys/fs/ext4/\(name)/trigger_fs_error"
        let file = try #require(fopen(trigger, "we"), "\(trigger)")
        fputs("x", file)
        fclose(file)
    }

    private func time(_ text: Any?) throws -> Double {
        let text = try #require(text as? String)
        let date = try #require(ISO8601DateFormatter().date(from: text))
        return date.timeIntervalSince1970
    }

    /// The suspect window holds the fault, whole seconds being all that is printed.
    private func check(_ episode: [String: Any], contains from: Double, _ to: Double) throws {
        #expect(try time(episode["suspect_from"]) <= from)
        #expect(try time(episode["suspect_to"]) >= to.rounded(.down))
    }

    @Test func anEmergencyIsSeenAtOnceAndOnlyARepairEndsIt() throws {
        guard let disk = try FaultyStore(.ext4) else { return }
        let stage = try WatchStage(disk.point)
        let from = Date.now.timeIntervalSince1970
        try emergency(disk)
        #expect(stage.within(2) { stage.state == "down" }, "\(stage.report)")
        #expect(stage.within(2) { stage.kind == "read-only" }, "\(stage.report)")
        // A remount that says it went well, and changed nothing.
        #expect(try system("mount", "-o", "remount,rw", disk.device, disk.point) != nil)
        usleep(5_000_000)
        #expect(stage.state == "down", "\(stage.report)")
        let to = Date.now.timeIntervalSince1970
        #expect(try disk.repair())
        let episode = try stage.closedEpisode()
        #expect(episode["class"] as? String == "gone")
        #expect((episode["classes"] as? [String])?.contains("read-only") == true)
        #expect(episode["ended_by"] as? String == "probe")
        #expect(episode["checked"] as? Bool == true)
        try check(episode, contains: from, to)
    }

    /// While somebody holds a file open, the same broken file system comes back.
    @Test func aLazyUnmountBringsNothingBack() throws {
        guard let disk = try FaultyStore(.ext4) else { return }
        let stage = try WatchStage(disk.point)
        let holder = open(disk.point + "/held", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        try #require(holder >= 0)
        try emergency(disk)
        #expect(stage.within(2) { stage.state == "down" }, "\(stage.report)")
        #expect(try system("umount", "-l", disk.point) != nil)
        #expect(try disk.mount())
        usleep(5_000_000)
        #expect(stage.state == "down", "\(stage.report)")
        close(holder)
        #expect(try disk.repair())
        _ = try stage.closedEpisode()
    }

    @Test(arguments: [LoopMount.Kind.ext4, .xfs])
    func aShutdownIsSeen(_ kind: LoopMount.Kind) throws {
        guard let disk = try FaultyStore(kind) else { return }
        guard Command.find("xfs_io") != nil else { return skip("xfs_io is not installed") }
        let stage = try WatchStage(disk.point)
        #expect(try system("xfs_io", "-x", "-c", "shutdown", disk.point) != nil)
        #expect(stage.within(3) { stage.kind == "shutdown" }, "\(stage.report)")
        #expect(try disk.repair())
        _ = try stage.closedEpisode()
    }

    @Test(arguments: LoopMount.Kind.allCases)
    func failingWritesAreSeen(_ kind: LoopMount.Kind) throws {
        guard let disk = try FaultyStore(kind) else { return }
        let stage = try WatchStage(disk.point)
        disk.order("fail-writes")
        #expect(stage.within(5) { stage.state == "down" }, "\(stage.report)")
        usleep(2_000_000)
        disk.order("ok")
        #expect(try disk.repair())
        let episode = try stage.closedEpisode()
        let classes = episode["classes"] as? [String] ?? []
        #expect(!classes.filter { ["io-error", "read-only", "shutdown"].contains($0) }.isEmpty)
    }

    @Test func whatAnAdministratorDoesIsToldFromAFault() throws {
        guard let disk = try FaultyStore(.ext4) else { return }
        let stage = try WatchStage(disk.point)
        #expect(try disk.makeReadOnly())
        #expect(stage.within(3) { stage.kind == "admin-read-only" }, "\(stage.report)")
        usleep(3_000_000)
        #expect(stage.kind == "admin-read-only", "\(stage.report)")
        #expect(try system("mount", "-o", "remount,rw", disk.point) != nil)
        let episode = try stage.closedEpisode()
        #expect(episode["classes"] as? [String] == ["admin-read-only"])
    }

    /// Nobody is told of that: the table only shows it to who looks.
    @Test func aFlipInAnotherNamespaceIsSeen() throws {
        guard let disk = try FaultyStore(.ext4) else { return }
        let stage = try WatchStage(disk.point)
        var isFlipped = false
        // Again, where a probe is being written just then.
        for _ in 0..<100 where !isFlipped {
            isFlipped =
                try system(
                    "unshare", "-m", "--propagation", "private", "mount", "-o", "remount,ro",
                    disk.point) != nil
            if !isFlipped { usleep(20_000) }
        }
        try #require(isFlipped)
        #expect(stage.within(3) { stage.state == "down" }, "\(stage.report)")
        #expect(try system("mount", "-o", "remount,rw", disk.point) != nil)
        _ = try stage.closedEpisode()
    }

    @Test func aStallIsSeenWhileTheWatcherAnswers() throws {
        guard let disk = try FaultyStore(.ext4) else { return }
        let stage = try WatchStage(disk.point)
        disk.order("hang-writes")
        let bound = 1 + WatchStage.hung + 1
        #expect(stage.within(bound) { stage.kind == "stall" }, "\(stage.report)")
        for _ in 0..<20 {
            // Starting the asking program takes its share of this.
            #expect(try stage.answerTime() < 0.5)
            #expect(try stage.workers() <= 2)
            usleep(100_000)
        }
        #expect(stage.state == "down")
        disk.order("ok")
        let episode = try stage.closedEpisode()
        #expect(episode["classes"] as? [String] == ["stall"])
    }

    /// The path is gone, the session is given up, the journal aborts: the whole of it is one
    /// episode.
    @Test func theFailureOfASANIsOneEpisode() throws {
        guard let disk = try FaultyStore(.ext4) else { return }
        let recording =
            NSTemporaryDirectory() + "/resync-recording-\(UInt32.random(in: 0 ... .max))"
        defer { unlink(recording) }
        let stage = try WatchStage(disk.point, options: ["--record", recording])
        let from = Date.now.timeIntervalSince1970
        disk.order("hang-writes")
        #expect(stage.within(6) { stage.kind == "stall" }, "\(stage.report)")
        disk.order("fail-writes")
        #expect(
            stage.within(6) { ["io-error", "read-only"].contains(stage.kind) }, "\(stage.report)")
        #expect(stage.within(6) { stage.kind == "read-only" }, "\(stage.report)")
        disk.order("ok")
        let to = Date.now.timeIntervalSince1970
        usleep(5_000_000)
        #expect(stage.state == "down", "\(stage.report)")
        #expect(try disk.repair())
        let episode = try stage.closedEpisode()
        #expect((episode["classes"] as? [String])?.first == "stall")
        try check(episode, contains: from, to)
        try replay(recording, stage)
    }

    /// What was recorded comes to the same again.
    private func replay(_ recording: String, _ stage: WatchStage) throws {
        stage.watcher.signal(SIGTERM)
        #expect(try stage.watcher.wait().status == 0)
        let config = stage.stage.folder + "/config.yaml"
        let played = try stage.stage.resync([
            "watch", "--config", config, "--replay", recording,
        ]).run()
        #expect(played.status == 0, "\(played.report)")
        func happened(_ text: String) -> [String] {
            let words = ["SUSPECT", "DOWN", "RECOVERING", "RELAPSED", "CLOSED"]
            return text.split(separator: "\n").compactMap { line in
                words.first { line.contains("mail/a  \($0)") }
            }
        }
        #expect(happened(played.text) == happened(stage.watcher.outputSoFar))
        #expect(happened(played.text).last == "CLOSED", "\(played.report)")
    }

    @Test func aDiskThatLosesWritesIsCaught() throws {
        guard let disk = try FaultyStore(.ext4) else { return }
        let stage = try WatchStage(disk.point)
        disk.order("lose")
        #expect(stage.within(5) { stage.kind == "lost-write" }, "\(stage.report)")
        disk.order("ok")
        _ = try disk.repair()
        _ = try stage.closedEpisode()
    }

    /// Nothing is written to it, and that is said; what the kernel says of it is heard.
    @Test func aDeviceIsWatchedByWhatTheKernelSaysOfIt() throws {
        guard let disk = try FaultyStore(.ext4) else { return }
        let stage = try WatchStage(disk.device)
        #expect(try stage.status()["write_probe"] as? Bool == false)
        let shown = try stage.stage.resync(["status"]).run()
        #expect(shown.text.contains("no probe   "), "\(shown.report)")
        try disk.loseData()
        #expect(stage.within(3) { stage.kind == "lost-write" }, "\(stage.report)")
    }

    @Test func aFrozenFileSystemIsCalledFrozen() throws {
        guard let disk = try FaultyStore(.ext4) else { return }
        let stage = try WatchStage(disk.point)
        #expect(try system("fsfreeze", "-f", disk.point) != nil)
        defer { _ = try? system("fsfreeze", "-u", disk.point) }
        #expect(
            stage.within(2 + WatchStage.hung) { stage.kind == "frozen" }, "\(stage.report)")
        #expect(try stage.workers() <= 2)
        #expect(try system("fsfreeze", "-u", disk.point) != nil)
        let episode = try stage.closedEpisode()
        #expect(episode["classes"] as? [String] == ["frozen"])
    }
}

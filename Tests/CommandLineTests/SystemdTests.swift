import Foundation
import Glibc
import TestSupport
import Testing

/// The services as they are shipped, under a real systemd.
@Suite struct SystemdTests {
    private static let pair = """
        pairs:
          - {name: mail, a: STORE, b: DIR/b}
        watch: {interval: 1s, slow: 1s, hung: 5s, hold-down: 3s}

        """

    /// Waits until the watcher says this of the store.
    private func becomes(
        _ state: String, _ seconds: Double, _ machine: SystemdStage,
        _ place: SourceLocation = #_sourceLocation
    ) throws {
        let isSo = try SystemdStage.within(seconds) { try machine.state(of: "mail/a") == state }
        let report = try machine.resync("status").report
        try #require(isSo, "\(report)", sourceLocation: place)
    }

    /// Hardened as it is, it sees what is mounted, writes its probes, and says so to systemd; what
    /// is killed or stands still is started anew, and an open episode is gone on with.
    @Test func theWatcherIsAService() throws {
        guard let mount = try LoopMount(.ext4),
            let machine = try SystemdStage(
                configuration: Self.pair.replacing("STORE", with: mount.point),
                units: [
                    "resync-watch.service.d/fast.conf":
                        "[Service]\nRestartSec=100ms\nWatchdogSec=12\nTimeoutAbortSec=1\n"
                ])
        else { return }
        let unit = "resync-watch.service"
        func isStartedAnew(_ times: Int, _ seconds: Double) throws {
            let isSo = try SystemdStage.within(seconds) {
                try machine.property("NRestarts", of: unit) == "\(times)"
            }
            #expect(isSo, "\(times)")
            try becomes("down", 10, machine)
        }
        let started = try machine.run("systemctl", "start", unit)
        #expect(started.status == 0, "\(started.report)")
        #expect(try machine.property("ActiveState", of: unit) == "active")
        try becomes("ok", 10, machine)
        let isSaid = try SystemdStage.within(15) {
            try machine.property("StatusText", of: unit).contains("2 stores ok")
        }
        #expect(isSaid)

        // Only the mount table of that machine tells of this.
        try machine.remount("ro", mount.point)
        try becomes("down", 5, machine)

        try machine.run("systemctl", "kill", "-s", "KILL", "--kill-who=main", unit)
        try isStartedAnew(1, 10)
        try machine.run("systemctl", "kill", "-s", "STOP", "--kill-who=main", unit)
        try isStartedAnew(2, 40)

        try machine.remount("rw", mount.point)
        try becomes("ok", 20, machine)
        let episodes = try objects(try machine.resync("episode", "list", "--json").lines)
        #expect(episodes.count == 1 && episodes[0]["closed"] != nil, "\(episodes)")

        let stopped = try machine.run("systemctl", "stop", unit)
        #expect(stopped.seconds < 10)
        let result = try machine.property("Result", of: unit)
        #expect(result == "success", "\(result)")
    }

    /// The drop-in keeps a service from starting while its gate is shut, and the hook starts it.
    @Test func aReleasedModulesServiceIsStarted() throws {
        let hook = Command.project + "/Sources/resync/Documentation/notify-start"
        let modules = """
            modules:
              - {name: mailboxes, pair: mail, paths: [boxes]}
            notify: {command: [\(hook), mailboxes=dovecot.service]}

            """
        guard let mount = try LoopMount(.ext4),
            let machine = try SystemdStage(
                configuration: Self.pair.replacing("STORE", with: mount.point) + modules,
                units: [
                    "dovecot.service": "[Service]\nExecStart=/bin/sleep 1000\n",
                    "dovecot.service.d/gate.conf": try SystemdStage.shipped("resync-gate.conf"),
                ])
        else { return }
        try system("mkdir", machine.stage.b + "/boxes")
        try machine.stage.write("b/boxes/one", "one\n")
        try system("cp", "-a", machine.stage.b + "/boxes", mount.point)
        func start() throws -> Finished { try machine.run("systemctl", "start", "dovecot") }
        func state() throws -> String {
            try machine.property("ActiveState", of: "dovecot.service")
        }

        #expect(try machine.run("systemctl", "start", "resync-watch").status == 0)
        try becomes("ok", 10, machine)
        #expect(try start().status == 0)
        #expect(try state() == "active", "no episode was ever recorded")
        try machine.run("systemctl", "stop", "dovecot")

        try machine.remount("ro", mount.point)
        try becomes("down", 5, machine)
        let skipped = try start()
        #expect(skipped.status == 0, "skipping is no failure: \(skipped.report)")
        #expect(try state() == "inactive")

        try machine.remount("rw", mount.point)
        let isStarted = try SystemdStage.within(40) { try state() == "active" }
        let report =
            try machine.resync("status").report + machine.resync("gate", "mailboxes").report
        #expect(isStarted, "\(report)")
        #expect(try machine.resync("gate", "mailboxes").status == 0)
    }

    /// Silent while the copies agree; a failed unit, which an `OnFailure=` may tell of, otherwise.
    @Test func theNightIsATimer() throws {
        guard
            let machine = try SystemdStage(
                configuration: Self.pair.replacing("STORE", with: "DIR/a"),
                units: [
                    "resync-nightly.service.d/output.conf":
                        "[Service]\nStandardOutput=append:DIR/output\nStandardError=inherit\n"
                ])
        else { return }
        let stage = machine.stage
        for store in ["a", "b"] { try stage.write(store + "/one", "one\n") }
        try system("touch", "-r", stage.a + "/one", stage.b + "/one")
        #expect(try machine.run("systemctl", "start", "resync-nightly.timer").status == 0)
        let next = try machine.property("NextElapseUSecRealtime", of: "resync-nightly.timer")
        #expect(!next.isEmpty)

        func night() throws -> Finished {
            try machine.run("systemctl", "start", "resync-nightly.service")
        }
        let quiet = try night()
        #expect(quiet.status == 0, "\(quiet.report)\(stage.text("output"))")
        #expect(stage.text("output") == "")
        try stage.write("b/one", "other\n")
        #expect(try night().status != 0)
        #expect(try machine.property("ExecMainStatus", of: "resync-nightly.service") == "1")
        #expect(stage.text("output").contains("one"), "\(stage.text("output"))")
    }
}

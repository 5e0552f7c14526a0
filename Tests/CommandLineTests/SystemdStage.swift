import Foundation
import Glibc
import TestSupport
import Testing

/// A systemd that is process 1 of a process tree of its own, with this machine's files, and with
/// `/etc`, `/run` and `/var/lib` that nobody else sees: the shipped services as they are installed.
final class SystemdStage {
    let stage: Stage
    private let outer: Running
    /// Its number outside its tree.
    private let manager: String
    private let enter: String

    private static let program = "/lib/systemd/systemd"

    /// Nil, said aloud, where that cannot be done here.
    ///
    /// - Parameters:
    ///   - configuration: what is in `/etc/resync/resync.yaml`; `DIR` is the stage's folder.
    ///   - units: more units, by name.
    init?(configuration: String, units: [String: String] = [:]) throws {
        stage = try Stage()
        guard getenv("RESYNC_ALONE") != nil else {
            skip("holds what other tests want to unmount: RESYNC_ALONE=1")
            return nil
        }
        guard isRoot, access(Self.program, X_OK) == 0, let enter = Command.find("nsenter"),
            try system("unshare", "--pid", "--fork", "--mount", "--cgroup", "/bin/true") != nil
        else {
            skip("a systemd of its own needs root, namespaces and systemd")
            return nil
        }
        self.enter = enter
        for folder in ["units", "top", "cgroup", "b"] { try stage.makeFolder(folder) }
        try stage.write("config.yaml", configuration.replacing("DIR", with: stage.folder))
        let shipped = ["resync-watch.service", "resync-nightly.service", "resync-nightly.timer"]
        for name in shipped { try stage.write("units/" + name, try Self.shipped(name)) }
        for (name, text) in units {
            let folders = name.split(separator: "/").dropLast()
            for folder in folders { try stage.makeFolder("units/" + folder) }
            try stage.write("units/" + name, text.replacing("DIR", with: stage.folder))
        }
        for (name, script) in [("outer", Self.outer), ("inner", Self.inner)] {
            try stage.write(name, script)
        }
        outer = try Command("/bin/sh", [stage.folder + "/outer", stage.folder]).start()
        guard let manager = Self.manager(below: outer) else {
            skip("a systemd of its own is not to be had: \(outer.errorsSoFar)")
            return nil
        }
        self.manager = manager
        let isUp = try Self.within(20) {
            try run("systemctl", "is-active", "basic.target").status == 0
        }
        try #require(isUp, "\(outer.outputSoFar)\(outer.errorsSoFar)")
    }

    deinit {
        outer.signal(SIGKILL)
        _ = try? outer.wait()
        _ = try? system("sh", "-c", Self.sweep, "sh", stage.folder, "\(outer.process)")
    }

    /// What is shipped, with the program that is tested.
    static func shipped(_ name: String) throws -> String {
        try String(
            contentsOfFile: Command.project + "/Sources/resync/Documentation/" + name,
            encoding: .utf8
        ).replacing("/usr/local/bin/resync", with: Command.resync)
    }

    /// Runs a program on that machine.
    @discardableResult
    func run(_ words: String...) throws -> Finished {
        try Command(enter, ["-t", manager, "-m", "-p", "--"] + words).run()
    }

    func resync(_ words: String...) throws -> Finished {
        try Command(enter, ["-t", manager, "-m", "-p", "--", Command.resync] + words).run()
    }

    /// A property of a unit.
    func property(_ name: String, of unit: String) throws -> String {
        try run("systemctl", "show", "--value", "-p", name, unit).text
            .trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// What the watcher says of a store.
    func state(of store: String) throws -> String {
        let found = try objects(try resync("status", "--json").lines)
        return found.first { $0["store"] as? String == store }?["state"] as? String ?? "?"
    }

    /// As an administrator does it: again, where a probe is being written just then.
    func remount(_ options: String, _ point: String) throws {
        let isDone = try Self.within(5) {
            try run("mount", "-o", "remount,bind," + options, point).status == 0
        }
        try #require(isDone)
    }

    static func within(_ seconds: Double, _ condition: () throws -> Bool) rethrows -> Bool {
        let end = ProcessInfo.processInfo.systemUptime + seconds
        while ProcessInfo.processInfo.systemUptime < end {
            if try condition() { return true }
            usleep(100_000)
        }
        return try condition()
    }

    /// What it was before it became systemd had children of its own.
    private static func manager(below outer: Running) -> String? {
        func text(_ path: String) -> String {
            ((try? String(contentsOfFile: "/proc/" + path, encoding: .utf8)) ?? "")
                .trimmingCharacters(in: .whitespacesAndNewlines)
        }
        var found = ""
        let isThere = within(20) {
            found = text("\(outer.process)/task/\(outer.process)/children")
            return text(found + "/comm") == "systemd" || !outer.isRunning
        }
        return isThere && outer.isRunning ? found : nil
    }

    /// Its services have a control group of their own, whatever the machine uses.
    private static let outer = """
        set -e
        mount -t cgroup2 none "$1/cgroup"
        mkdir "$1/cgroup/resync-test-$$"
        echo $$ >"$1/cgroup/resync-test-$$/cgroup.procs"
        umount "$1/cgroup"
        exec unshare --pid --fork --kill-child --mount --mount-proc --uts --ipc --cgroup \\
            /bin/sh "$1/inner" "$1"

        """

    /// Nothing of the machine's own services is started, and no kernel setting is changed.
    private static let inner = """
        set -e
        mount -t tmpfs -o mode=755 tmpfs /run
        mount -t tmpfs -o mode=755 tmpfs /var/lib
        mount -t cgroup2 none /sys/fs/cgroup
        mount -t tmpfs tmpfs "$1/top"
        mkdir "$1/top/upper" "$1/top/work"
        mount -t overlay -o "lowerdir=/etc,upperdir=$1/top/upper,workdir=$1/top/work" overlay /etc
        for folder in /lib/systemd/system /etc/systemd/system; do
            mount -t tmpfs -o mode=755 tmpfs $folder
        done
        cp -R "$1/units/." /etc/systemd/system/
        for target in sysinit basic shutdown multi-user local-fs timers; do
            printf '[Unit]\\nDefaultDependencies=no\\n' >/etc/systemd/system/$target.target
        done
        mkdir -p /etc/resync
        cp "$1/config.yaml" /etc/resync/resync.yaml
        mount --bind /proc/sys /proc/sys
        mount -o remount,ro,bind /proc/sys
        exec env -i container=resync PATH="$PATH" \(program) --system --unit=basic.target \\
            --log-target=console --show-status=no </dev/null

        """

    private static let sweep = """
        mount -t cgroup2 none "$1/cgroup" || exit
        # What was killed takes a moment to go.
        for turn in 1 2 3 4 5 6 7 8 9 10; do
            find "$1/cgroup/resync-test-$2" -depth -type d -exec rmdir {} + && break
            sleep 0.2
        done
        umount "$1/cgroup"
        """
}

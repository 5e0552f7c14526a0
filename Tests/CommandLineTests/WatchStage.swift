import Foundation
import Glibc
import TestSupport
import Testing

/// A disk that fails on command, with a file system on it, mounted for as long as this is kept.
final class FaultyStore {
    let point: String
    let kind: LoopMount.Kind
    private let folder: String
    private let server: Running
    private(set) var device = ""

    /// Nil, said aloud, where that cannot be done here.
    init?(_ kind: LoopMount.Kind) throws {
        self.kind = kind
        folder = NSTemporaryDirectory() + "/resync-fault-\(UInt32.random(in: 0 ... .max))"
        point = folder + "/mount"
        guard isRoot, access("/dev/fuse", R_OK | W_OK) == 0, let program = try Self.build() else {
            skip("a faulty disk needs root, /dev/fuse, gcc and libfuse3-dev")
            return nil
        }
        try system("mkdir", "-p", point, folder + "/f")
        try system("truncate", "-s", kind.size, folder + "/image")
        server = try Command(program, [folder + "/image", folder + "/f"]).start()
        for _ in 0..<500 where access(folder + "/f/disk", F_OK) != 0 { usleep(10_000) }
        guard let found = try system("losetup", "-f", "--show", folder + "/f/disk") else {
            skip("loop devices are not to be had")
            return nil
        }
        device = found.trimmingCharacters(in: .whitespacesAndNewlines)
        let options = kind == .ext4 ? ["-F", "-E", "nodiscard", "-e", "remount-ro"] : ["-f"]
        let made = try Command(try #require(kind.maker), ["-q"] + options + [device]).run()
        try #require(made.status == 0, "\(made.report)")
        try #require(try mount())
    }

    deinit {
        order("ok")
        _ = try? system("fsfreeze", "-u", point)
        _ = try? system("umount", "-l", point)
        if !device.isEmpty { _ = try? system("losetup", "-d", device) }
        _ = try? system("umount", "-l", folder + "/f")
        server.signal(SIGKILL)
        _ = try? system("rm", "-rf", "--one-file-system", folder)
    }

    /// Built once for all tests.
    private static func build() throws -> String? { try built.get() }

    private static let built = Result<String?, any Error> {
        let flags = try system("pkg-config", "--cflags", "--libs", "fuse3") ?? ""
        let words = flags.split { $0 == " " || $0 == "\n" }.map { String($0) }
        guard !words.isEmpty, let compiler = Command.find("gcc") else { return nil }
        let program = NSTemporaryDirectory() + "/resync-faultdisk-\(getpid())"
        let source = Command.project + "/Tests/Faults/faultdisk.c"
        let result = try Command(
            compiler,
            ["-Wall", "-Wextra", "-Werror", "-O1", "-o", program, source, "-lpthread"] + words
        ).run()
        try #require(result.status == 0, "\(result.report)")
        return program
    }

    /// Has the disk do something else from now on.
    func order(_ words: String) {
        guard let file = fopen(folder + "/f/ctl", "we") else { return }
        fputs(words, file)
        fclose(file)
    }

    /// As an administrator does it: again, where a probe is being written just then.
    func makeReadOnly() throws -> Bool {
        for _ in 0..<100 {
            if try system("mount", "-o", "remount,ro", point) != nil { return true }
            usleep(20_000)
        }
        return false
    }

    /// Has it fail for as long as one file is written back: the kernel says that data may be lost,
    /// and all else stays as it was.
    func loseData() throws {
        let file = open(point + "/late", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        try #require(file >= 0)
        defer { close(file) }
        try #require(write(file, [UInt8](repeating: 7, count: 65536), 65536) == 65536)
        order("fail-writes")
        // It ends before anything is written to the journal.
        let result = fdatasync(file)
        order("ok")
        try #require(result == -1 && errno == EIO)
    }

    func mount() throws -> Bool { try system("mount", device, point) != nil }

    /// A probe's or a writer's last call may hold it for a moment.
    func unmount() throws -> Bool {
        for _ in 0..<50 {
            if try system("umount", point) != nil { return true }
            usleep(100_000)
        }
        return false
    }

    /// As an operator brings it back: unmounted, checked, mounted.
    func repair() throws -> Bool {
        _ = try unmount()
        if kind == .ext4 { try system("e2fsck", "-fp", device) }
        return try mount()
    }
}

/// A pipe that is full, and that nobody reads.
final class FullPipe {
    let path: String
    private let end: Int32

    init(_ stage: Stage) throws {
        path = stage.folder + "/pipe"
        try #require(mkfifo(path, 0o600) == 0)
        end = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC)
        try #require(end >= 0)
        let bytes = [UInt8](repeating: 0, count: 4096)
        while write(end, bytes, bytes.count) > 0 {}
    }

    deinit { close(end) }
}

/// A watcher of one store, with short times, and a folder as its other copy.
final class WatchStage {
    static let hung = 3.0
    static let holdDown = 3.0

    let stage: Stage
    let store: String
    private(set) var watcher: Running
    private let options: [String]

    /// - Parameters:
    ///   - verifies: whether it does so by itself after an episode.
    ///   - starts: the state that it finds the store in.
    ///   - checks: what the configuration says of the pair's checks.
    ///   - holdDown: after so many seconds of being well an episode ends by itself.
    ///   - modules: what it says of modules.
    ///   - prepare: called before the watcher is started.
    init(
        _ store: String, verifies: Bool = false, options: [String] = [], notify: String? = nil,
        notifyTimeout: Int = 60,
        starts: String = "ok",
        readLimit: String? = nil, checks: String = "", holdDown: Double = WatchStage.holdDown,
        modules: String = "",
        prepare: (Stage) throws -> Void = { _ in }
    ) throws {
        stage = try Stage()
        self.store = store
        self.options = options + (verifies ? [] : ["--no-verify"])
        try stage.makeFolder("other")
        let limit = readLimit.map { ", read-limit: \($0)" } ?? ""
        let notification =
            notify.map { "\nnotify: {command: [\($0)], timeout: \(notifyTimeout)s}" } ?? ""
        try stage.write(
            "config.yaml",
            """
            pairs:
              - {name: mail, a: \(store), b: \(stage.folder)/other\(limit)\(checks)}
            watch: {interval: 1s, slow: 1s, hung: \(Self.hung)s, hold-down: \(holdDown)s}\
            \(notification)
            \(modules)

            """)
        try prepare(stage)
        watcher = try Self.start(stage, self.options)
        try #require(within(10) { self.state == starts }, "\(report)")
    }

    private static func start(_ stage: Stage, _ options: [String]) throws -> Running {
        try stage.resync(
            ["watch", "--config", stage.folder + "/config.yaml"] + options
        ).start()
    }

    deinit { watcher.signal(SIGKILL) }

    func restart(while body: () throws -> Void = {}) throws {
        watcher.signal(SIGTERM)
        let ended = try watcher.wait()
        try #require(ended.status == 0, "\(ended.report)")
        try body()
        watcher = try Self.start(stage, options)
    }

    var report: String {
        "watcher: \(watcher.outputSoFar)\(watcher.errorsSoFar)"
    }

    /// What the watcher says of the store, field by field.
    func status() throws -> [String: Any] {
        let found = try stage.resync(["status", "--json"]).run()
        return try objects(found.lines).first { $0["store"] as? String == "mail/a" } ?? [:]
    }

    var state: String { (try? status()["state"] as? String) ?? "?" }
    var kind: String { (try? status()["class"] as? String) ?? "-" }

    /// Seconds that the watcher took to answer.
    func answerTime() throws -> Double {
        let start = ProcessInfo.processInfo.systemUptime
        let found = try stage.resync(["status", "--json"]).run()
        #expect(found.lines.count == 3, "\(found.report)")
        return ProcessInfo.processInfo.systemUptime - start
    }

    /// Every episode that is in the ledger.
    func episodes() throws -> [[String: Any]] {
        try objects(try stage.resync(["episode", "list", "--json"]).run().lines)
    }

    /// Waits until something holds; whether it did in time.
    func within(_ seconds: Double, _ condition: () throws -> Bool) rethrows -> Bool {
        let end = ProcessInfo.processInfo.systemUptime + seconds
        while ProcessInfo.processInfo.systemUptime < end {
            if try condition() { return true }
            usleep(50_000)
        }
        return try condition()
    }

    /// Waits for the end of the only episode, and gives it.
    func closedEpisode() throws -> [String: Any] {
        let isClosed = try within(WatchStage.holdDown + 20) {
            try self.state == "ok" && self.episodes().allSatisfy { $0["closed"] != nil }
        }
        #expect(isClosed, "\(report)")
        let all = try episodes()
        #expect(all.count == 1, "\(report)")
        return all.first ?? [:]
    }

    /// Processes that the watcher has started and that have not ended.
    func workers() throws -> Int {
        let found = try system("pgrep", "-c", "-P", "\(watcher.process)") ?? "0"
        return Int(found.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0
    }
}

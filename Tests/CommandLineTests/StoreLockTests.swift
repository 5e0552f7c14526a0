import Glibc
import Testing

/// Runs with state folders of their own know nothing of each other; the stores keep them apart.
@Suite struct StoreLockTests {
    /// A lock of this process on what a path leads to, as another run would hold it.
    private final class Lock {
        private let descriptor: Int32

        init(_ path: String, _ operation: Int32) throws {
            descriptor = open(path, O_RDONLY | O_CLOEXEC)
            try #require(descriptor >= 0)
            try #require(flock(descriptor, operation | LOCK_NB) == 0)
        }

        /// Also where a process that another test was just starting has the descriptor, too.
        func release() { flock(descriptor, LOCK_UN) }

        deinit { close(descriptor) }
    }

    private var words: String { " (process \(getpid()))" }

    @Test func whatChangesAStoreHasItForItself() throws {
        let scene = try ApplyScene()
        let (a, b) = (scene.stage.a, scene.stage.b)
        for (path, operation) in [(b, LOCK_EX), (b, LOCK_SH), (a, LOCK_EX)] {
            let lock = try Lock(path, operation)
            try scene.refuses(75, "'\(path)' is in use by another run: ") { try scene.apply() }
            let found = try scene.apply()
            #expect(found.errorText.contains(words), "\(found.report)")
            // Whoever only looks is not kept from it.
            #expect(try scene.stage.verify().status == 1)
            lock.release()
        }
        // A source may serve several runs at a time.
        let reader = try Lock(a, LOCK_SH)
        try scene.applied()
        // Confirming marks both.
        try scene.refuses(75, "'\(a)' is in use by another run: ") { try scene.run("confirm") }
        reader.release()
        for command in ["confirm", "undo"] {
            let lock = try Lock(b, LOCK_EX)
            try scene.refuses(75, "'\(b)' is in use by another run: ") { try scene.run(command) }
            lock.release()
        }
        let lock = try Lock(a, LOCK_EX)
        let adopted = try scene.run("store", "adopt", a)
        #expect(adopted.status == 75, "\(adopted.report)")
        lock.release()
        #expect(try scene.run("undo").status == 0)
    }

    @Test func anImageIsLockedItself() throws {
        let stage = try Stage()
        try stage.remove("a")
        try stage.write("a", noise(100_000))
        try stage.write("b", noise(100_000, seed: 2))
        #expect(try stage.verify().status == 1)
        let planned = try stage.resync(["plan", "last", "--authority", "a", "-o", "p"]).run()
        #expect(planned.status == 0, "\(planned.report)")
        let before = stage.bytes("b")
        let lock = try Lock(stage.b, LOCK_EX)
        let held = try stage.resync(["apply", "p"]).run()
        #expect(held.status == 75, "\(held.report)")
        #expect(held.errorText.contains(words), "\(held.report)")
        #expect(stage.bytes("b") == before)
        lock.release()
    }

    /// Who looks at devices for the system holds each for a moment.
    @Test func aDeviceIsWaitedForAMoment() throws {
        guard isRoot else { return skip("devices need root") }
        let stage = try Stage()
        try stage.write("i", noise(1 << 20))
        try stage.write("j", noise(1 << 20, seed: 2))
        guard let loop = try Loop(stage.folder + "/j") else { return }
        let compared = try stage.resync(
            ["verify", stage.folder + "/i", loop.device, "--settle", "0"]
        ).run()
        #expect(compared.status == 1, "\(compared.report)")
        let plan = ["plan", "last", "--authority", "a", "-o", "p", "--json"]
        let planned = try objects(try stage.resync(plan).run().lines)
        let id = try #require(planned.compactMap { $0["plan"] as? String }.last)
        let lock = try Lock(loop.device, LOCK_EX)
        let apply = stage.resync(["apply", "p", "--accept", id])
        let held = try apply.run()
        #expect(held.status == 75, "\(held.report)")
        let running = try apply.start()
        usleep(700_000)
        #expect(running.isRunning)
        lock.release()
        let done = try running.wait()
        #expect(done.status == 0, "\(done.report)")
    }
}

import ResyncCore
import ResyncStorage
import Synchronization
import TestSupport
import Testing

/// Walking through what a power loss can leave.
@Suite struct CrashStateTests {
    @Test func eachStateComesOnce() throws {
        let disk = SimulatedDisk()
        disk.addFile("/x", "old")
        let root = try disk.open("/")
        let file = try disk.open("/x", .readWrite)
        #expect(disk.forEachCrash(random: 50) { _, _ in } == 1)
        try disk.put(file, 0, "new")
        try disk.makeDirectory("d", in: root, mode: 0o700)
        var seen: [String: Int] = [:]
        let count = disk.forEachCrash(random: 0) { crash, after in
            let again = disk.crash(keeping: crash.policy, order: crash.order, seed: crash.seed)
            #expect(after.tree() == again.tree())
            seen["\(escaped(after.content("/x"))) \(after.exists("/d"))", default: 0] += 1
        }
        #expect(count == seen.values.reduce(0, +))
        #expect(Set(seen.keys) == ["old false", "old true", "new false", "new true"])
        // The times that move by themselves are lost or kept: two ways for each of two states.
        #expect(count == 6)
    }

    /// Whatever was done before, a state of the walk is the one that `crash` gives.
    @Test func theWalkAndASingleCrashAgree() throws {
        var random = Seed.fromEnvironment()
        for _ in 0..<rounds(25) {
            let disk = SimulatedDisk()
            for name in ["a", "b", "a/c"] { disk.addDirectory("/\(name)") }
            for name in ["x", "a/x", "b/y"] { disk.addFile("/\(name)", name) }
            let root = try disk.open("/")
            let names = ["x", "a", "b", "a/x", "a/c", "b/y", "a/c/z", "b/c", "new"]
            func name() -> String { names.randomElement(using: &random) ?? "x" }
            for _ in 0..<14 {
                switch Int.random(in: 0..<9, using: &random) {
                case 0: try? disk.makeDirectory(name(), in: root, mode: 0o700)
                case 1: try? disk.remove(name(), in: root, isDirectory: Bool.random(using: &random))
                case 2: try? disk.link(name(), in: root, to: name(), in: root)
                case 3: try? disk.setMode(0o640, of: name(), root)
                case 4:
                    if let opened = try? disk.open("/" + name()) { try? disk.sync(opened) }
                case 5:
                    if let file = try? disk.open("/" + name(), [.writeOnly, .create]) {
                        _ = try? disk.put(file, 0, [UInt8](repeating: 7, count: 2000))
                    }
                default:
                    let rule = RenameRule.allCases.randomElement(using: &random) ?? .keep
                    try? disk.rename(name(), in: root, to: name(), in: root, rule)
                }
            }
            disk.forEachCrash(random: 20, seed: random.next()) { crash, after in
                let single = disk.crash(
                    keeping: crash.policy, order: crash.order, seed: crash.seed)
                let (found, expected) = (after.tree(), single.tree())
                if found != expected {
                    Issue.record("\(crash): \(found.differences(from: expected))")
                }
                for path in single.paths where after.peek(path) != single.peek(path) {
                    Issue.record("\(crash): \(escaped(path)): another stat")
                }
            }
        }
    }

    @Test func aWalkSeesEveryMoment() throws {
        let disk = SimulatedDisk()
        disk.addFile("/d/x", "old")
        let seen = Seen()
        let count = try disk.walkCrashes(random: 20) { disk in
            let directory = try disk.open("/d")
            let file = try disk.open("/d/.new", [.writeOnly, .create])
            try disk.put(file, 0, "new")
            _ = try disk.stat(file)
            try disk.sync(file)
            try disk.rename(".new", in: directory, to: "x", in: directory, .exchange)
            try disk.sync(directory)
            #expect(disk.unsyncedChanges == 0)
            try disk.remove(".new", in: directory, isDirectory: false)
        } check: { crash, after in
            let names = after.paths.dropFirst().map { path in
                "\(escaped(path))=\(escaped(after.content(path)))"
            }
            seen.add(names.joined(separator: " "))
        }
        #expect(seen.count == count)
        #expect(
            seen.all == [
                "/d/x=old", "/d/.new= /d/x=old", "/d/.new=\\x00\\x00\\x00 /d/x=old",
                "/d/.new=new /d/x=old", "/d/.new=old /d/x=new", "/d/x=new",
            ])
        #expect(disk.revision == disk.copy().revision)
    }

    @Test func aCopyGoesOnByItself() throws {
        let disk = SimulatedDisk()
        let file = try disk.open("/x", [.readWrite, .create])
        try disk.put(file, 0, "one")
        let copy = disk.copy()
        try copy.put(file, 0, "two")
        try copy.sync(file)
        #expect(disk.content("/x") == Array("one".utf8))
        #expect(disk.durableContent("/x") == [])
        #expect(copy.durableContent("/x") == Array("two".utf8))
        #expect(copy.count(.fsync) == 1)
        #expect(disk.callCount == 2)
    }

    @Test func treesTellEverythingApart() throws {
        func build(_ change: (SimulatedDisk) -> Void = { _ in }) -> TreeImage {
            let disk = SimulatedDisk()
            let time = Ownership(mtime: Timestamp(seconds: 5, nanoseconds: 6))
            disk.addFile("/t/f", "content", time)
            disk.addSparse("/t/big", size: 1 << 40, time)
            disk.write("/t/big", at: 1 << 30, "data")
            disk.addSymlink("/t/s", to: "f", time)
            disk.addDevice("/t/n", .blockDevice, number: DeviceNumber(major: 1, minor: 2), time)
            disk.addDirectory("/t/d", time)
            disk.link("/t/f", as: "/t/d/f")
            disk.setAttribute("/t/f", "user.x", "y")
            disk.change("/t/big", time)
            disk.change("/t/d", time)
            disk.change("/t", time)
            change(disk)
            return disk.tree("/t")
        }
        let old = build()
        #expect(old.entries.count == 7)
        #expect(old.entries[Array("d/f".utf8)]?.linkGroup == Array("d/f".utf8))
        #expect(
            build {
                $0.write("/t/big", at: 4096, [0, 0]);
                $0.change(
                    "/t/big",
                    Ownership(
                        mtime: Timestamp(seconds: 5, nanoseconds: 6)))
            } == old)
        let changes: [@Sendable (SimulatedDisk) -> Void] = [
            { $0.change("/t/f", Ownership(mode: 0o600)) }, { $0.change("/t/f", Ownership(uid: 1)) },
            { $0.change("/t/f", Ownership(gid: 1)) }, { $0.setAttribute("/t/f", "user.x", "z") },
            { $0.change("/t/s", Ownership(mtime: Timestamp(seconds: 5, nanoseconds: 7))) },
            { $0.corruptMedium("/t/f", .flipBit(at: 0)) }, { $0.remove("/t/d/f") },
            { $0.corruptMedium("/t/big", .flipBit(at: 1 << 30)) }, { $0.remove("/t/s") },
            { disk in
                disk.remove("/t/s")
                let time = Timestamp(seconds: 5, nanoseconds: 6)
                disk.addSymlink("/t/s", to: "g", Ownership(mtime: time))
            },
        ]
        for change in changes {
            let new = build(change)
            #expect(new != old)
            #expect(!new.differences(from: old).isEmpty)
        }
        #expect(old.differences(from: old) == [])
        #expect(SimulatedDisk().tree("/nowhere").entries.isEmpty)
    }

    /// What a sweep costs: printed, not judged, because machines differ.
    @Test func manyStatesAreCheap() throws {
        let disk = SimulatedDisk()
        for number in 0..<104 { disk.addFile("/d\(number % 8)/file \(number)", "content") }
        let target = isLongRun ? 30_000 : 1500
        let start = ContinuousClock.now
        var states = 0
        for number in 0... {
            if states >= target { break }
            let directory = try disk.open("/d\(number % 8)")
            defer { disk.close(directory) }
            let new = try disk.open("/d\(number % 8)/new", [.writeOnly, .create])
            defer { disk.close(new) }
            try disk.put(new, 0, [UInt8](repeating: 1, count: 4096))
            if number % 2 == 0 { try disk.sync(new) }
            let name = "file \(number % 104)"
            try disk.rename("new", in: directory, to: name, in: directory, .exchange)
            states += disk.forEachCrash(random: 64) { _, after in
                #expect(after.tree("/d\(number % 8)").entries.count > 12)
            }
            if number % 2 == 0 { try disk.syncFileSystem(directory) }
            try disk.remove("new", in: directory, isDirectory: false)
        }
        let spent = ContinuousClock.now - start
        print("\(states) crash states of 104 files took \(spent)")
    }
}

private final class Seen: Sendable {
    private let states = Mutex<(all: Set<String>, count: Int)>(([], 0))

    func add(_ state: String) {
        states.withLock { states in
            states.all.insert(state)
            states.count += 1
        }
    }

    var all: Set<String> { states.withLock { $0.all } }
    var count: Int { states.withLock { $0.count } }
}

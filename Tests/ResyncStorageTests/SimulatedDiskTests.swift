import Dispatch
import Glibc
import ResyncCore
import ResyncStorage
import TestSupport
import Testing

/// What the kernel cannot be asked to show: sizes, faults, counters, mounts and permissions.
@Suite struct SimulatedDiskTests {
    @Test func filesOfEightExbibytesCostNothing() throws {
        let disk = SimulatedDisk()
        disk.addGenerated("/generated", size: .max, seed: 3)
        disk.addSparse("/holes", size: .max)
        disk.write("/holes", at: 1 << 60, "data")
        let generated = try disk.open("/generated")
        let holes = try disk.open("/holes")
        let far = Int.max - 10_000
        #expect(
            try disk.read(generated, far, 20_000) == generatedBytes(seed: 3, far..<Int.max))
        #expect(try disk.nextHole(generated, from: 5) == .max)
        #expect(try disk.nextData(holes, from: 0) == 1 << 60)
        #expect(try disk.nextHole(holes, from: 1 << 60) == 1 << 60 + 4096)
        #expect(try disk.nextData(holes, from: 1 << 61) == nil)
        #expect(disk.peek("/holes").allocated == 8)
        #expect(try disk.read(holes, 1 << 60, 6) == Array("data".utf8) + [0, 0])
        #expect(try disk.read(holes, .max, 6) == [])
    }

    @Test func everyCallCanFail() throws {
        func work(_ disk: SimulatedDisk) throws {
            let file = try disk.open("/dir/file", [.readWrite, .create])
            defer { disk.close(file) }
            try disk.put(file, 0, "text")
            try disk.sync(file)
            let directory = try disk.open("/dir")
            defer { disk.close(directory) }
            try disk.rename("file", in: directory, to: "new", in: directory, .replace)
            try disk.sync(directory)
        }
        var failed: [SystemCall] = []
        for nth in 1... {
            let disk = SimulatedDisk()
            disk.addDirectory("/dir")
            disk.inject(Fault(.fail(EIO), nth: nth))
            do {
                try work(disk)
                #expect(disk.firedFaults == 0)
                break
            } catch let error as DiskError {
                #expect(error.number == EIO)
                failed.append(error.call)
            }
            #expect(disk.openDescriptors == 0)
        }
        #expect(failed == [.openat, .pwrite, .fsync, .openat, .renameat2, .fsync])
    }

    @Test func faultsMeetWhatTheyName() throws {
        let disk = SimulatedDisk()
        disk.addFile("/a/x", "0123456789")
        disk.addFile("/b/x", "0123456789")
        disk.inject(Fault(.fail(EIO), on: .pread, under: "/a", range: 4..<5, persistent: true))
        disk.inject(Fault(.fail(ESTALE), on: .statx, nth: 2) { $0.path == Array("/b/x".utf8) })
        disk.inject(Fault(.short(3), on: .pread, under: "/b"))
        let a = try disk.open("/a/x")
        let b = try disk.open("/b/x")
        #expect(try disk.read(a, 0, 4) == Array("0123".utf8))
        for _ in 0..<2 { #expect(throws: DiskError(.pread, EIO)) { try disk.read(a, 4, 1) } }
        #expect(try disk.read(b, 4, 4) == Array("456".utf8))
        #expect(try disk.read(b, 4, 4) == Array("4567".utf8))
        _ = try disk.stat(a)
        _ = try disk.stat(b)
        #expect(throws: DiskError(.statx, ESTALE)) { try disk.stat(b) }
        _ = try disk.stat(b)
        #expect(disk.firedFaults == 4)
    }

    @Test func aCallCanWorkAndFailAllTheSame() throws {
        let disk = SimulatedDisk()
        let root = try disk.open("/")
        disk.inject(Fault(.failAfterwards(EIO), on: .mkdirat))
        #expect(throws: DiskError(.mkdirat, EIO)) {
            try disk.makeDirectory("d", in: root, mode: 0o700)
        }
        #expect(disk.exists("/d"))
        disk.inject(Fault(.failAfterwards(EIO), on: .openat))
        #expect(throws: DiskError(.openat, EIO)) { try disk.open("/d") }
        #expect(disk.openDescriptors == 1)
    }

    @Test func listingsCanLie() throws {
        let disk = SimulatedDisk()
        for name in ["x", "y"] { disk.addFile("/d/\(name)") }
        disk.inject(Fault(.listTwice, on: .getdents64, under: "/d"))
        #expect(try disk.names("/d") == ["x", "y", "x"])
        #expect(try disk.names("/d") == ["x", "y"])
        disk.inject(Fault(.listForever, on: .getdents64, persistent: true))
        #expect(try disk.names("/d", limit: 9) == ["x", "y", "x", "y", "x", "y", "x", "y", "x"])
    }

    @Test func longListingsAreCutToTheBuffer() throws {
        let disk = SimulatedDisk()
        let expected = (0..<5000).map { "a name of some length \($0)" }
        for name in expected { disk.addFile("/d/\(name)") }
        #expect(try disk.names("/d") == expected)
        #expect(disk.count(.getdents64, "/d") > 3)
    }

    @Test func aReadThatDoesNotReturnHoldsNobodyElse() throws {
        let disk = SimulatedDisk()
        disk.addFile("/slow", "slow")
        disk.addFile("/fast", "fast")
        let gate = Gate()
        disk.inject(Fault(.block(gate), on: .pread, under: "/slow"))
        let slow = try disk.open("/slow")
        let fast = try disk.open("/fast")
        let done = DispatchSemaphore(value: 0)
        DispatchQueue.global().async {
            let found = try? disk.read(slow, 0, 4)
            #expect(found == Array("slow".utf8))
            done.signal()
        }
        #expect(gate.waitForArrival())
        #expect(try disk.read(fast, 0, 4) == Array("fast".utf8))
        #expect(done.wait(timeout: .now()) == .timedOut)
        gate.open()
        done.wait()
    }

    @Test func aFileCanChangeUnderItsReader() throws {
        let disk = SimulatedDisk()
        disk.addFile("/x", "before")
        disk.onCall { [unowned disk] call in
            if call.kind == .pread { disk.write(call.path, at: 0, "after!") }
        }
        let file = try disk.open("/x")
        let before = try disk.stat(file)
        #expect(try disk.read(file, 0, 6) == Array("after!".utf8))
        #expect(try !disk.stat(file).isUnchanged(since: before))
    }

    @Test func whatIsAskedIsCounted() throws {
        let disk = SimulatedDisk()
        disk.addFile("/x", "content")
        disk.link("/x", as: "/y")
        disk.addFifo("/fifo")
        disk.keepLog()
        let file = try disk.open("/x")
        _ = try disk.read(file, 2, 100)
        #expect(disk.bytesRead("/x") == 5)
        #expect(disk.bytesRead("/y") == 0)
        #expect(disk.bytesRead == 5)
        #expect(disk.count(.openat, "/fifo") == 0)
        #expect(disk.log.map(\.kind) == [.openat, .pread])
        #expect(disk.log.last?.range == 2..<102)
        #expect(disk.openPaths == [Array("/x".utf8)])
        disk.close(file)
        disk.close(file)
        #expect(disk.openDescriptors == 0)
        #expect(disk.badCloses == 1)
        #expect(throws: DiskError(.openat, EDEADLK)) { try disk.open("/fifo") }
    }

    @Test func permissionBitsStopAUser() throws {
        let disk = SimulatedDisk(as: .user)
        disk.addFile("/secret", "", Ownership(mode: 0))
        disk.addFile("/shut/x", "")
        disk.change("/shut", Ownership(mode: 0o600))
        disk.addFile("/readable", "")
        for path in ["/secret", "/shut/x"] {
            #expect(throws: DiskError(.openat, EACCES)) { try disk.open(path) }
        }
        #expect(throws: DiskError(.openat, EACCES)) { try disk.open("/readable", .writeOnly) }
        #expect(throws: DiskError(.openat, EACCES)) {
            try disk.open("/new", [.writeOnly, .create])
        }
        #expect(throws: DiskError(.openat, EPERM)) {
            try disk.open("/readable", [.readOnly, .noAccessTime])
        }
        _ = try disk.open("/readable")
    }

    @Test func mountsAreFileSystemsOfTheirOwn() throws {
        let disk = SimulatedDisk()
        disk.addFile("/a", "")
        disk.addFile("/m/x", "")
        disk.setMount("/m", SimulatedMount(number: 1))
        #expect(disk.peek("/m/x").device != disk.peek("/a").device)
        #expect(disk.peek("/m/x").mount != disk.peek("/a").mount)
        #expect(disk.peek("/m").inode == disk.peek("/").inode)
        let root = try disk.open("/")
        #expect(throws: DiskError(.renameat2, EXDEV)) {
            try disk.rename("a", in: root, to: "m/a", in: root, .replace)
        }
        #expect(throws: DiskError(.unlinkat, EBUSY)) {
            try disk.remove("m", in: root, isDirectory: true)
        }
        let file = try disk.open("/m/x", .writeOnly)
        disk.changeMount(of: "/m") { $0.isReadOnly = true }
        #expect(throws: DiskError(.pwrite, EROFS)) { try disk.put(file, 0, "x") }
        #expect(throws: DiskError(.openat, EROFS)) {
            try disk.open("/m/new", [.writeOnly, .create])
        }
        #expect(throws: DiskError(.mkdirat, EROFS)) {
            try disk.makeDirectory("m/d", in: root, mode: 0o700)
        }
        #expect(try disk.fileSystem(file).isReadOnly)
        #expect(try !disk.fileSystem(root).isReadOnly)
    }

    @Test func blockDevicesHaveASize() throws {
        let disk = SimulatedDisk()
        let number = DeviceNumber(major: 7, minor: 1)
        disk.addDevice("/dev/loop1", .blockDevice, number: number, size: 10_000, seed: 5)
        disk.addDevice("/dev/tty", .characterDevice, number: number)
        let device = try disk.open("/dev/loop1", .readWrite)
        #expect(try disk.deviceSize(device) == 10_000)
        #expect(try disk.stat(device).size == 0)
        #expect(try disk.stat(device).special == number)
        #expect(try disk.read(device, 9000, 4096) == generatedBytes(seed: 5, 9000..<10_000))
        #expect(try disk.put(device, 9998, "long") == 2)
        #expect(throws: DiskError(.pwrite, ENOSPC)) { try disk.put(device, 10_000, "x") }
        #expect(throws: DiskError(.openat, ENXIO)) { try disk.open("/dev/tty") }
    }

    @Test func manyThreadsMayUseIt() throws {
        let disk = SimulatedDisk()
        for worker in 0..<4 { disk.addDirectory("/\(worker)") }
        DispatchQueue.concurrentPerform(iterations: 4) { worker in
            for round in 0..<200 {
                #expect(throws: Never.self) {
                    let file = try disk.open("/\(worker)/\(round)", [.readWrite, .create])
                    try disk.put(file, 0, "\(worker) \(round)")
                    try disk.sync(file)
                    disk.close(file)
                }
            }
        }
        #expect(disk.openDescriptors == 0)
        #expect(disk.paths.count == 4 + 4 * 200)
        #expect(disk.callCount == 4 * 200 * 3)
        #expect(disk.content("/3/199") == Array("3 199".utf8))
    }
}

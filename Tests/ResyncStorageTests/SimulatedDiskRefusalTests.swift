import Glibc
import ResyncCore
import ResyncStorage
import TestSupport
import Testing

/// What a test can make a simulated disk refuse: space, changes, devices; and who may do what.
@Suite struct SimulatedDiskRefusalTests {
    /// Every call that changes something, by name; each works on `/d` as `changes` lays it.
    private func changes(_ disk: SimulatedDisk) throws -> [(SystemCall, () throws -> Void)] {
        for name in ["x", "y", "z"] { disk.addFile("/d/\(name)", "content") }
        disk.setAttribute("/d/x", "user.old", "value")
        let directory = try disk.open("/d")
        let file = try disk.open("/d/x", .readWrite)
        let none = DeviceNumber(major: 0, minor: 0)
        return [
            (.openat, { disk.close(try disk.open("/d/new", [.writeOnly, .create])) }),
            (.pwrite, { try disk.put(file, 100_000, "more") }),
            (.ftruncate, { try disk.truncate(file, to: 3) }),
            (.fallocate, { try disk.allocate(file, from: 1 << 20, count: 4096) }),
            (.fallocate, { try disk.punchHole(file, from: 0, count: 10) }),
            (.mkdirat, { try disk.makeDirectory("m", in: directory, mode: 0o700) }),
            (.symlinkat, { try disk.makeSymlink([65], "s", in: directory) }),
            (
                .mknodat,
                {
                    try disk.makeSpecial("p", in: directory, .fifo, mode: 0o600, device: none)
                }
            ),
            (.linkat, { try disk.link("x", in: directory, to: "l", in: directory) }),
            (.renameat2, { try disk.rename("x", in: directory, to: "y", in: directory, .replace) }),
            (
                .renameat2,
                {
                    try disk.rename("x", in: directory, to: "z", in: directory, .exchange)
                }
            ),
            (.unlinkat, { try disk.remove("x", in: directory, isDirectory: false) }),
            (.fchmodat, { try disk.setMode(0o600, of: nil, file) }),
            (.fchownat, { try disk.setOwner(uid: 1000, gid: 1000, of: nil, file) }),
            (
                .utimensat,
                {
                    let time = Timestamp(seconds: 1, nanoseconds: 1)
                    try disk.setTimes(modified: time, of: nil, file)
                }
            ),
            (.setxattr, { try disk.setAttribute(Array("user.x".utf8), to: [1], of: nil, file) }),
            (.removexattr, { try disk.removeAttribute(Array("user.old".utf8), of: nil, file) }),
        ]
    }

    private func expect(_ call: SystemCall, _ number: Int32, _ body: () throws -> Void) {
        #expect(throws: DiskError(call, number), "\(call)") { try body() }
    }

    /// As the kernel's documentation of fs.protected_fifos and fs.protected_regular says; what
    /// this machine's settings are, `DiskChangesConformanceTests` tries.
    @Test func whatOthersHavePutThereIsNotCreated() throws {
        for setting in 0...2 {
            var identity = SimulatedDisk.Identity()
            (identity.protectedFiles, identity.protectedFIFOs) = (setting, setting)
            let disk = SimulatedDisk(as: identity)
            for (mode, level) in [(0o777, 3), (0o1777, 1), (0o1770, 2), (0o1755, 3)] {
                let place = "/\(mode)"
                disk.addDirectory(place, Ownership(mode: UInt16(mode), uid: 5, gid: 5))
                for owner in [0, 5, 7] as [UInt32] {
                    disk.addFile("\(place)/file\(owner)", "x", Ownership(uid: owner, gid: 5))
                    disk.addFifo("\(place)/fifo\(owner)", Ownership(uid: owner, gid: 5))
                    for kind in ["file", "fifo"] {
                        let path = "\(place)/\(kind)\(owner)"
                        func open(_ flags: OpenFlags) throws {
                            disk.close(try disk.open(path, flags.union([.readOnly, .nonBlocking])))
                        }
                        try open([])
                        if owner == 7, setting >= level {
                            expect(.openat, EACCES) { try open(.create) }
                        } else {
                            try open(.create)
                        }
                    }
                }
            }
        }
    }

    @Test func everyChangeCanFail() throws {
        for index in try changes(SimulatedDisk()).indices {
            let disk = SimulatedDisk()
            let (call, change) = try changes(disk)[index]
            let before = disk.tree()
            disk.inject(Fault(.fail(EIO), on: call, under: "/d"))
            expect(call, EIO, change)
            #expect(disk.tree() == before)
            try change()
            #expect(disk.tree() != before)
            #expect(disk.firedFaults == 1)
        }
    }

    @Test func aMountCanBecomeReadOnly() throws {
        for index in try changes(SimulatedDisk()).indices {
            let disk = SimulatedDisk()
            let (call, change) = try changes(disk)[index]
            disk.changeMount(of: "/d") { $0.isReadOnly = true }
            let before = disk.tree()
            expect(call, EROFS, change)
            #expect(disk.tree() == before)
        }
        let disk = SimulatedDisk()
        let file = try disk.open("/x", [.readWrite, .create])
        try disk.put(file, 0, "text")
        disk.changeMount(of: "/") { $0.isReadOnly = true }
        expect(.fsync, EROFS) { try disk.sync(file) }
        expect(.syncfs, EROFS) { try disk.syncFileSystem(file) }
        #expect(disk.durableContent("/x") == [])
    }

    @Test func immutableObjectsStayAsTheyAre() throws {
        for index in try changes(SimulatedDisk()).indices {
            for path in ["/d", "/d/x"] {
                let disk = SimulatedDisk()
                let (call, change) = try changes(disk)[index]
                disk.setImmutable(path)
                let isOfFile = ![.openat, .mkdirat, .symlinkat, .mknodat].contains(call)
                let isOfName = [
                    .openat, .mkdirat, .symlinkat, .mknodat, .linkat, .renameat2, .unlinkat,
                ].contains(call)
                if path == "/d" ? isOfName : isOfFile {
                    expect(call, EPERM, change)
                } else {
                    try change()
                }
                disk.setImmutable(path, false)
                if disk.exists("/d/x") { try disk.setMode(0o640, of: "d/x", disk.open("/")) }
            }
        }
        let disk = SimulatedDisk()
        disk.addFile("/x")
        disk.setImmutable("/x")
        expect(.openat, EPERM) { _ = try disk.open("/x", .writeOnly) }
        _ = try disk.open("/x")
    }

    @Test func onlyTheOwnerMayChangeAnInode() throws {
        let disk = SimulatedDisk(as: .user)
        disk.addDirectory("/d", Ownership(mode: 0o777))
        disk.addFile("/d/theirs", "", Ownership(mode: 0o666))
        disk.addFile("/d/mine", "", Ownership(mode: 0o644, uid: 1000, gid: 5))
        let directory = try disk.open("/d")
        let time = Timestamp(seconds: 1, nanoseconds: 1)
        expect(.fchmodat, EPERM) { try disk.setMode(0o600, of: "theirs", directory) }
        expect(.fchownat, EPERM) {
            try disk.setOwner(uid: 0, gid: 0, of: "theirs", directory)
        }
        expect(.utimensat, EPERM) { try disk.setTimes(modified: time, of: "theirs", directory) }
        try disk.setAttribute(Array("user.x".utf8), to: [1], of: "theirs", directory)
        expect(.setxattr, EACCES) {
            try disk.setMode(0o044, of: "mine", directory)
            try disk.setAttribute(Array("user.x".utf8), to: [1], of: "mine", directory)
        }
        for space in ["trusted.x", "security.x"] {
            expect(.setxattr, EPERM) {
                try disk.setAttribute(Array(space.utf8), to: [1], of: "mine", directory)
            }
        }
        expect(.fchownat, EPERM) {
            try disk.setOwner(uid: 1001, gid: 5, of: "mine", directory)
        }
        expect(.fchownat, EPERM) { try disk.setOwner(uid: 1000, gid: 6, of: "mine", directory) }
        expect(.mknodat, EPERM) {
            try disk.makeSpecial(
                "n", in: directory, .blockDevice, mode: 0o600,
                device: DeviceNumber(major: 1, minor: 1))
        }
        try disk.setMode(0o6755, of: "mine", directory)
        // A group the process is not in.
        #expect(disk.peek("/d/mine").mode == 0o4755)
        try disk.setOwner(uid: 1000, gid: 1000, of: "mine", directory)
        #expect(disk.peek("/d/mine").mode == 0o755)
        try disk.setMode(0o6755, of: "mine", directory)
        let file = try disk.open("/d/mine", .readWrite)
        try disk.put(file, 0, "x")
        #expect(disk.peek("/d/mine").mode == 0o755)
        disk.change("/d", Ownership(mode: 0o1777))
        expect(.unlinkat, EPERM) { try disk.remove("theirs", in: directory, isDirectory: false) }
        expect(.renameat2, EPERM) {
            try disk.rename("mine", in: directory, to: "theirs", in: directory, .exchange)
        }
        try disk.remove("mine", in: directory, isDirectory: false)
    }

    @Test(arguments: [ENOSPC, EDQUOT]) func spaceEnds(_ error: Int32) throws {
        let disk = SimulatedDisk()
        disk.addFile("/d/old", [UInt8](repeating: 1, count: 8192))
        let directory = try disk.open("/d")
        disk.limitSpace(of: "/", blocks: 4, error: error)
        let file = try disk.open("/d/new", [.readWrite, .create])
        #expect(try disk.put(file, 100, [UInt8](repeating: 2, count: 8000)) == 8000)
        #expect(try disk.fileSystem(file).blocksAvailable == 2)
        // What was taken is not taken again; what is too much is written in part.
        #expect(try disk.put(file, 0, [UInt8](repeating: 2, count: 8192)) == 8192)
        try disk.makeDirectory("m", in: directory, mode: 0o700)
        #expect(try disk.put(file, 8190, [UInt8](repeating: 3, count: 9000)) == 4098)
        expect(.pwrite, error) { try disk.put(file, 12_288, "x") }
        expect(.fallocate, error) { try disk.allocate(file, from: 12_288, count: 1) }
        expect(.mkdirat, error) { try disk.makeDirectory("n", in: directory, mode: 0o700) }
        expect(.symlinkat, error) { try disk.makeSymlink([65], "s", in: directory) }
        expect(.openat, error) { _ = try disk.open("/d/other", [.writeOnly, .create]) }
        expect(.setxattr, error) {
            try disk.setAttribute(Array("user.x".utf8), to: [1], of: "new", directory)
        }
        // Names, holes and what is there already need none.
        try disk.rename("new", in: directory, to: "old", in: directory, .exchange)
        #expect(try disk.put(file, 0, "over") == 4)
        try disk.punchHole(file, from: 4096, count: 4096)
        #expect(try disk.fileSystem(file).blocksAvailable == 1)
        try disk.remove("m", in: directory, isDirectory: true)
        try disk.remove("new", in: directory, isDirectory: false)
        #expect(try disk.fileSystem(file).blocksAvailable == 4)
        // Open files go with their last descriptor.
        try disk.remove("old", in: directory, isDirectory: false)
        #expect(try disk.fileSystem(directory).blocksAvailable == 4)
        disk.close(file)
        #expect(try disk.fileSystem(directory).blocksAvailable == 6)
        #expect(try disk.crash(keeping: .dropAll).fileSystemSpace("/d") == 4)
        #expect(try disk.crash(keeping: .keepAll).fileSystemSpace("/d") == 6)
    }

    @Test func aHeldDeviceIsBusy() throws {
        let disk = SimulatedDisk()
        let number = DeviceNumber(major: 7, minor: 1)
        disk.addDevice("/dev/loop1", .blockDevice, number: number, size: 10_240)
        let flags: OpenFlags = [.readWrite, .exclusive]
        let first = try disk.open("/dev/loop1", flags)
        expect(.openat, EBUSY) { _ = try disk.open("/dev/loop1", flags) }
        _ = try disk.open("/dev/loop1", .readWrite)
        disk.close(first)
        disk.setHeld("/dev/loop1")
        expect(.openat, EBUSY) { _ = try disk.open("/dev/loop1", flags) }
        _ = try disk.open("/dev/loop1", .readWrite)
        disk.setHeld("/dev/loop1", false)
        let device = try disk.open("/dev/loop1", flags)
        try disk.put(device, 0, [UInt8](repeating: 1, count: 1024))
        try disk.punchHole(device, from: 512, count: 512)
        #expect(try disk.read(device, 511, 2) == [1, 0])
        expect(.fallocate, EINVAL) { try disk.punchHole(device, from: 1, count: 512) }
        expect(.fallocate, EOPNOTSUPP) { try disk.allocate(device, from: 0, count: 512) }
    }

    @Test func namesDoNotLeaveTheirMount() throws {
        let disk = SimulatedDisk()
        disk.addFile("/m/x", "")
        disk.addFile("/y", "")
        disk.setMount("/m", SimulatedMount(number: 1))
        let root = try disk.open("/")
        expect(.linkat, EXDEV) { try disk.link("y", in: root, to: "m/y", in: root) }
        for rule in RenameRule.allCases {
            expect(.renameat2, EXDEV) { try disk.rename("y", in: root, to: "m/x", in: root, rule) }
        }
        expect(.renameat2, EBUSY) { try disk.rename("m", in: root, to: "y", in: root, .exchange) }
        expect(.renameat2, EBUSY) { try disk.rename("y", in: root, to: "m", in: root, .exchange) }
    }

    @Test func someFileSystemsCannot() throws {
        let disk = SimulatedDisk()
        let file = try disk.open("/x", [.readWrite, .create])
        disk.changeMount(of: "/") {
            $0.canAllocate = false
            $0.hasAttributes = false
        }
        expect(.fallocate, EOPNOTSUPP) { try disk.allocate(file, from: 0, count: 1) }
        expect(.fallocate, EOPNOTSUPP) { try disk.punchHole(file, from: 0, count: 1) }
        for name in ["user.x", "system.posix_acl_access"] {
            expect(.setxattr, EOPNOTSUPP) {
                try disk.setAttribute(Array(name.utf8), to: [], of: nil, file)
            }
        }
    }
}

extension SimulatedDisk {
    fileprivate func fileSystemSpace(_ path: String) throws -> Int {
        try fileSystem(try open(path)).blocksAvailable
    }
}

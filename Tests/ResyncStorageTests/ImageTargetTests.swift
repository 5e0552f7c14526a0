import Foundation
import ResyncCore
import TestSupport
import Testing

@testable import ResyncStorage

/// A kernel that says what a test has it say.
private struct ToldFiles: KernelFiles {
    var texts: [String: String] = ["/proc/self/mountinfo": ""]
    var folders: [String: [String]] = [:]

    func read(_ path: [UInt8], limit: Int) throws(DiskError) -> [UInt8] {
        guard let text = texts[String(decoding: path, as: UTF8.self)] else {
            throw DiskError(.openat, ENOENT)
        }
        return Array(text.utf8)
    }

    func names(in path: [UInt8]) throws(DiskError) -> [[UInt8]] {
        guard let names = folders[String(decoding: path, as: UTF8.self)] else {
            throw DiskError(.openat, ENOENT)
        }
        return names.map { Array($0.utf8) }
    }

    func target(of path: [UInt8]) throws(DiskError) -> [UInt8] {
        throw DiskError(.readlinkat, ENOENT)
    }
}

/// Which targets are refused, and that nothing is written.
@Suite struct ImageTargetTests {
    private let disk = SimulatedDisk()
    private let number = DeviceNumber(major: 8, minor: 16)

    init() {
        disk.addGenerated("/image", size: 100_000, seed: 1)
        disk.addDevice("/dev/b", .blockDevice, number: number, size: 1 << 20, seed: 2)
        disk.addDevice(
            "/dev/b1", .blockDevice, number: DeviceNumber(major: 8, minor: 17), size: 1 << 19)
    }

    private func reference(_ path: String) -> StoreReference {
        let stat = disk.peek(path)
        let isDevice = stat.type == .blockDevice
        return StoreReference(
            path: Array(path.utf8), kind: isDevice ? .device : .file,
            identity: StoreIdentity(
                fileSystem: SimulatedMount(number: 0).identity, inode: stat.inode,
                device: isDevice ? stat.special : stat.device),
            size: isDevice ? 1 << 20 : stat.size)
    }

    private func refusal(
        _ planned: StoreReference, _ files: ToldFiles = ToldFiles()
    ) -> String? {
        defer { #expect(disk.count(.pwrite) == 0 && disk.openDescriptors == 0) }
        do {
            _ = try ImageTarget(planned, disk: disk, files: files)
            return nil
        } catch {
            return (error as? TargetRefusal)?.reason ?? "\(error)"
        }
    }

    /// As on NFS: a lock for one holder needs a file that is open for writing.
    @Test func aLockThatNeedsWritingIsTakenSo() throws {
        func failFirst() { disk.inject(Fault(.fail(EBADF), on: .flock, under: "/image")) }
        failFirst()
        let target = try ImageTarget(reference("/image"), disk: disk, files: ToldFiles())
        #expect(disk.count(.flock) == 2)
        let other = try disk.open(path: Array("/image".utf8), [.readOnly], mode: 0)
        #expect(try !disk.lock(other, exclusive: false))
        disk.close(other)
        withExtendedLifetime(target) {}
    }

    @Test func aLockThatNeedsWritingAndIsHeldIsRefused() throws {
        let other = try disk.open(path: Array("/image".utf8), [.readOnly], mode: 0)
        try #require(try disk.lock(other, exclusive: true))
        disk.inject(Fault(.fail(EBADF), on: .flock, under: "/image"))
        #expect(throws: TargetRefusal(Array("/image".utf8), "is locked by another process")) {
            try ImageTarget(reference("/image"), disk: disk, files: ToldFiles())
        }
        disk.close(other)
    }

    @Test func aFileSystemWithoutLocksIsPatchedAllTheSame() throws {
        for number in [EBADF, ENOLCK, EOPNOTSUPP] {
            disk.clearFaults()
            disk.inject(Fault(.fail(number), on: .flock, persistent: true))
            for path in ["/image", "/dev/b"] { #expect(refusal(reference(path)) == nil) }
        }
        disk.clearFaults()
        disk.inject(Fault(.fail(EIO), on: .flock, persistent: true))
        for path in ["/image", "/dev/b"] {
            #expect(refusal(reference(path))?.hasPrefix("cannot be opened") == true)
        }
    }

    @Test func whatNobodyUsesIsOpened() {
        #expect(refusal(reference("/image")) == nil)
        #expect(refusal(reference("/dev/b")) == nil)
    }

    @Test func anotherOneIsRefused() {
        var planned = reference("/image")
        planned.size += 1
        #expect(refusal(planned) == "is smaller than planned: 100000 bytes instead of 100001")
        planned.size -= 2
        #expect(refusal(planned) == "is larger than planned: 100000 bytes instead of 99999")
        planned.size += 1
        planned.identity.inode += 1
        #expect(refusal(planned) == "is not the one that the plan was made for")
        var device = reference("/dev/b")
        device.identity.device.minor += 1
        #expect(refusal(device) == "is not the one that the plan was made for")
        device = reference("/dev/b")
        device.kind = .file
        #expect(refusal(device) == "is a block device, which is not what was planned")
        device.kind = .directory
        #expect(refusal(device) == "is a directory, not an image")
        device = reference("/dev/b")
        device.path = Array("/dev/none".utf8)
        #expect(refusal(device) == "cannot be opened: No such file or directory (openat)")
    }

    @Test func namesThatLeadElsewhereAreRefused() {
        disk.addSymlink("/link", to: "/image")
        disk.addSymlink("/dev/by-name", to: "/dev/b")
        var planned = reference("/image")
        planned.path = Array("/link".utf8)
        #expect(refusal(planned) == "is a symlink: name the image itself")
        var device = reference("/dev/b")
        device.path = Array("/dev/by-name".utf8)
        #expect(refusal(device) == nil)
        disk.link("/image", as: "/second")
        #expect(refusal(reference("/image")) == "has 2 names, and all of them would change")
    }

    @Test func whatOthersHaveOpenIsRefused() throws {
        let writer = try disk.open("/image", [.writeOnly])
        var found: String?
        do { _ = try ImageTarget(reference("/image"), disk: disk, files: ToldFiles()) } catch {
            found = (error as? TargetRefusal)?.reason
        }
        #expect(found == "is open for writing in another process")
        disk.close(writer)
        let reader = try disk.open("/image")
        #expect(try disk.lock(reader, exclusive: false))
        do { _ = try ImageTarget(reference("/image"), disk: disk, files: ToldFiles()) } catch {
            found = (error as? TargetRefusal)?.reason
        }
        #expect(found == "is locked by another process")
        disk.close(reader)
        #expect(refusal(reference("/image")) == nil)
        disk.inject(Fault(.fail(EINVAL), on: .fcntl))
        let target = try ImageTarget(reference("/image"), disk: disk, files: ToldFiles())
        #expect(
            target.notes == ["whether others have it open is not known: Invalid argument (fcntl)"])
    }

    @Test func whatIsReadOnlyIsRefused() {
        disk.setReadOnlyDevice("/dev/b")
        #expect(refusal(reference("/dev/b")) == "is read-only")
        disk.changeMount(of: "/image") { $0.isReadOnly = true }
        #expect(refusal(reference("/image")) == "lies on a read-only file system")
    }

    @Test func whatTheKernelHoldsIsRefused() {
        disk.setHeld("/dev/b")
        #expect(refusal(reference("/dev/b")) == "is held: mounted, or part of another device")
    }

    @Test func whatTheKernelTellsOfIsRefused() {
        let planned = reference("/dev/b")
        var files = ToldFiles()
        files.texts["/proc/self/mountinfo"] =
            "30 1 8:16 / /mnt/a\\040b rw - ext4 /dev/b rw\n"
        #expect(refusal(planned, files) == "is mounted at '/mnt/a b'")
        files.texts["/proc/self/mountinfo"] = "30 1 0:40 / /mnt rw - btrfs /dev/b rw\n"
        #expect(refusal(planned, files) == "is mounted at '/mnt'")
        files.texts["/proc/self/mountinfo"] = "30 1 8:17 / /mnt rw - ext4 /dev/b1 rw\n"
        #expect(refusal(planned, files) == nil)
        files.folders["/sys/dev/block/8:16/"] = ["b1", "queue"]
        files.texts["/sys/dev/block/8:16/b1/partition"] = "1\n"
        files.texts["/sys/dev/block/8:16/b1/dev"] = "8:17\n"
        #expect(refusal(planned, files) == "is mounted at '/mnt'")
        files.texts["/proc/self/mountinfo"] = ""
        files.folders["/sys/dev/block/8:17/holders"] = ["dm-0"]
        #expect(refusal(planned, files) == "is part of the device dm-0")
        // A physical volume of LVM, or a member of an array, as a whole.
        for holder in ["dm-3", "md127"] {
            files = ToldFiles()
            files.folders["/sys/dev/block/8:16/holders"] = [holder]
            #expect(refusal(planned, files) == "is part of the device \(holder)")
        }
        files = ToldFiles()
        files.texts["/proc/swaps"] = "Filename Type Size Used Priority\n/dev/b partition 1 0 -2\n"
        #expect(refusal(planned, files) == "is used as swap space")
        files.texts["/proc/swaps"] = "Filename Type Size Used Priority\n/im\\141ge file 1 0 -2\n"
        #expect(refusal(reference("/image"), files) == "is used as swap space")
        files = ToldFiles()
        files.folders["/sys/block"] = ["sda", "loop3"]
        files.texts["/sys/block/loop3/loop/backing_file"] = "/image\n"
        #expect(refusal(reference("/image"), files) == "backs the loop device /dev/loop3")
    }
}

/// The kernel's own devices.
@Suite(.serialized) struct ImageTargetLoopTests {
    private final class Loop {
        let folder: String
        let device: String
        var image: String { folder + "/image" }

        init?(readOnly: Bool = false) {
            guard getuid() == 0, let made = shell("mktemp -d /tmp/resync-target-XXXXXX") else {
                return nil
            }
            folder = made
            guard
                let device = shell(
                    """
                    cd \(made) && mkdir m && truncate -s 16M image && mkfs.ext4 -qF image \
                    && losetup -f --show \(readOnly ? "-r" : "") image
                    """)
            else {
                _ = shell("rm -rf --one-file-system \(made)")
                return nil
            }
            self.device = device
        }

        deinit {
            _ = shell(
                """
                umount \(folder)/m 2>/dev/null; swapoff \(device) 2>/dev/null
                losetup -d \(device); rm -rf --one-file-system \(folder)
                """)
        }
    }

    private let disk = LinuxDisk()

    private func reference(_ path: String) throws -> StoreReference {
        let site = try LocalSite(
            path: Array(path.utf8), disk: disk, options: LocalSiteOptions())
        let facts = site.facts
        let isDevice = facts.kind == .device
        return StoreReference(
            path: facts.path, kind: isDevice ? .device : .file,
            identity: StoreIdentity(
                fileSystem: facts.fileSystem.identity, inode: facts.stat.inode,
                device: isDevice ? facts.stat.special : facts.stat.device),
            size: facts.size)
    }

    private func refusal(_ path: String, size: Int = 0) throws -> String? {
        var planned = try reference(path)
        planned.size += size
        do {
            _ = try ImageTarget(planned, disk: disk)
            return nil
        } catch {
            return (error as? TargetRefusal)?.reason ?? "\(error)"
        }
    }

    @Test func devices() throws {
        guard let loop = Loop() else { return skip("no loop devices") }
        #expect(try refusal(loop.device) == nil)
        #expect(
            try refusal(loop.device, size: 512)
                == "is smaller than planned: 16777216 bytes instead of 16777728")
        #expect(try refusal(loop.device, size: -512)?.hasPrefix("is larger") == true)
        try #require(shell("mount \(loop.device) \(loop.folder)/m") != nil)
        #expect(try refusal(loop.device) == "is mounted at '\(loop.folder)/m'")
        try #require(shell("umount \(loop.folder)/m") != nil)
        try #require(shell("blockdev --setro \(loop.device)") != nil)
        #expect(try refusal(loop.device) == "is read-only")
        try #require(shell("blockdev --setrw \(loop.device)") != nil)
        #expect(try refusal(loop.device) == nil)
    }

    @Test func swapSpace() throws {
        guard let loop = Loop() else { return skip("no loop devices") }
        guard shell("mkswap \(loop.device) && swapon \(loop.device)") != nil else {
            return skip("no swap space can be had")
        }
        #expect(try refusal(loop.device) == "is used as swap space")
    }

    @Test func heldByAnotherOpener() throws {
        guard let loop = Loop() else { return skip("no loop devices") }
        let holder = try disk.open(loop.device, [.readWrite, .exclusive])
        #expect(try refusal(loop.device) == "is held: mounted, or part of another device")
        disk.close(holder)
        let locker = try disk.open(loop.device)
        #expect(try disk.lock(locker, exclusive: false))
        #expect(try refusal(loop.device) == "is locked by another process")
        disk.close(locker)
        #expect(try refusal(loop.device) == nil)
    }

    @Test func images() throws {
        guard let loop = Loop() else { return skip("no loop devices") }
        #expect(
            try refusal(loop.image)
                == "backs the loop device \(loop.device)")
        let file = loop.folder + "/file"
        try #require(shell("truncate -s 1M \(file) && mkfs.ext4 -qF \(file)") != nil)
        #expect(try refusal(file) == nil)
        let writer = try disk.open(file, [.readWrite])
        #expect(try refusal(file) == "is open for writing in another process")
        disk.close(writer)
        let reader = try disk.open(file)
        #expect(try refusal(file) == nil)
        disk.close(reader)
        try #require(shell("mount -o loop \(file) \(loop.folder)/m") != nil)
        #expect(try refusal(file)?.hasPrefix("backs the loop device /dev/loop") == true)
        try #require(shell("umount \(loop.folder)/m") != nil)
        #expect(try refusal(file) == nil)
    }

    /// What the target says of the medium is from the medium.
    @Test func readingPassesTheCache() throws {
        guard let loop = Loop() else { return skip("no loop devices") }
        let target = try ImageTarget(try reference(loop.device), disk: disk)
        #expect(target.notes == [])
        let buffer = PageBuffer()
        let extent = Extent(offset: 5000, length: 7000)
        let bytes = [UInt8](repeating: 9, count: extent.length)
        try bytes.withUnsafeBytes { try target.write($0, at: extent.offset) }
        try target.sync()
        let place = buffer.place(ImageTarget.window(extent))
        let found = try target.read(extent, into: place)
        #expect(found.map { Array($0) } == bytes)
        let behind = Extent(offset: target.size - 100, length: 101)
        #expect(
            try target.read(behind, into: buffer.place(ImageTarget.window(behind))) == nil)
    }
}

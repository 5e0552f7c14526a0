import Foundation
import ResyncCore
import TestSupport
import Testing

@testable import ResyncStorage

/// Each call that changes a store, on the kernel itself: on the temporary directory and on tmpfs.
@Suite(.serialized) struct LinuxDiskChangesTests {
    private let disk = LinuxDisk()

    /// A directory of its own in each of the places there are.
    private func inPlaces(_ body: (Descriptor, String) throws -> Void) throws {
        for parent in ["/tmp", "/dev/shm"] {
            guard let root = shell("mktemp -d \(parent)/resync-changes-XXXXXX") else {
                skip("cannot write to \(parent)")
                continue
            }
            defer { shell("rm -rf \(root)") }
            let directory = try disk.open(root, [.readOnly, .directory])
            defer { disk.close(directory) }
            try body(directory, root)
        }
    }

    private func make(_ path: String, _ content: String) throws -> Descriptor {
        let file = try disk.open(path, [.readWrite, .create])
        try disk.put(file, 0, content)
        return file
    }

    private func text(_ path: String) throws -> String {
        let file = try disk.open(path)
        defer { disk.close(file) }
        return String(decoding: try disk.read(file, 0, 100), as: UTF8.self)
    }

    @Test func renamingByEachRule() throws {
        try inPlaces { directory, root in
            for name in ["x", "y"] { disk.close(try make("\(root)/\(name)", name)) }
            #expect(throws: DiskError(.renameat2, EEXIST)) {
                try disk.rename("x", in: directory, to: "y", in: directory, .keep)
            }
            try disk.rename("x", in: directory, to: "y", in: directory, .exchange)
            #expect(try text("\(root)/x") + text("\(root)/y") == "yx")
            try disk.makeDirectory("d", in: directory, mode: 0o700)
            try disk.rename("x", in: directory, to: "d", in: directory, .exchange)
            #expect(try disk.stat("x", in: directory).type == .directory)
            #expect(throws: DiskError(.renameat2, ENOENT)) {
                try disk.rename("x", in: directory, to: "z", in: directory, .exchange)
            }
            // The trap: both names stay.
            try disk.link("y", in: directory, to: "l", in: directory)
            try disk.rename("y", in: directory, to: "l", in: directory, .replace)
            #expect(try disk.stat("y", in: directory).links == 2)
            try disk.rename("d", in: directory, to: "y", in: directory, .replace)
            #expect(try text("\(root)/y") == "y")
            #expect(try disk.stat("l", in: directory).links == 1)
        }
    }

    @Test func makingWhatIsNoFile() throws {
        try inPlaces { directory, root in
            try disk.makeSymlink([0xff, 0x0a], "s", in: directory)
            #expect(try disk.readLink("s", in: directory) == [0xff, 0x0a])
            try disk.link("s", in: directory, to: "t", in: directory)
            #expect(try disk.stat("t", in: directory).type == .symlink)
            #expect(try disk.stat("t", in: directory).links == 2)
            let number = DeviceNumber(major: 259, minor: 70_000)
            for type in [EntryType.fifo, .socket, .characterDevice, .blockDevice] {
                if type.isDevice, geteuid() != 0 {
                    skip("devices need root")
                    continue
                }
                let name = "\(type)"
                try disk.makeSpecial(name, in: directory, type, mode: 0o600, device: number)
                let stat = try disk.stat(name, in: directory)
                #expect(stat.type == type)
                #expect(stat.special == (type.isDevice ? number : DeviceNumber(major: 0, minor: 0)))
            }
            #expect(throws: DiskError(.mknodat, EINVAL)) {
                try disk.makeSpecial("f", in: directory, .file, mode: 0o600, device: number)
            }
        }
    }

    @Test func settingWhatAnInodeSays() throws {
        try inPlaces { directory, root in
            let file = try make("\(root)/x", "text")
            defer { disk.close(file) }
            try disk.makeSymlink(Array("x".utf8), "s", in: directory)
            try disk.setMode(0o4711, of: nil, file)
            #expect(try disk.stat(file).mode == 0o4711)
            try disk.setMode(0o640, of: "x", directory)
            #expect(try disk.stat(file).mode == 0o640)
            #expect(throws: DiskError(.fchmodat, EOPNOTSUPP)) {
                try disk.setMode(0o600, of: "s", directory)
            }
            let time = Timestamp(seconds: -86_400, nanoseconds: 123_456_789)
            try disk.setTimes(modified: time, of: "s", directory)
            #expect(try disk.stat("s", in: directory).mtime == time)
            #expect(try disk.stat(file).mtime.seconds > 0)
            try disk.setTimes(modified: time, of: nil, file)
            #expect(try disk.stat(file).mtime == time)
            let birth = try disk.stat(file).birth
            #expect(birth == nil || time < (birth ?? time))
            if geteuid() == 0 {
                try disk.setOwner(uid: 7, gid: .max - 1, of: "s", directory)
                #expect(try disk.stat("s", in: directory).gid == .max - 1)
                #expect(try disk.stat(file).uid == 0)
                try disk.setOwner(uid: 8, gid: 9, of: nil, file)
                #expect(try disk.stat("x", in: directory).uid == 8)
            } else {
                skip("other owners need root")
            }
            for (uid, gid) in [(.max, 0), (0, .max)] as [(UInt32, UInt32)] {
                #expect(throws: DiskError(.fchownat, EINVAL)) {
                    try disk.setOwner(uid: uid, gid: gid, of: nil, file)
                }
            }
            #expect(throws: DiskError(.utimensat, EINVAL)) {
                let now = Timestamp(seconds: 0, nanoseconds: (1 << 30) - 1)
                try disk.setTimes(modified: now, of: nil, file)
            }
        }
    }

    @Test func attributesAndLists() throws {
        try inPlaces { directory, root in
            let file = try make("\(root)/x", "text")
            defer { disk.close(file) }
            let (name, value) = (Array("user.x".utf8), [0, 1, 255] as [UInt8])
            do {
                try disk.setAttribute(name, to: value, of: nil, file)
            } catch let error as DiskError where error.number == EOPNOTSUPP {
                return skip("no attributes in \(root)")
            }
            #expect(try disk.attribute(name, of: "x", directory) == value)
            try disk.setAttribute(name, to: [], of: "x", directory)
            #expect(try disk.attribute(name, of: nil, file) == [])
            try disk.removeAttribute(name, of: "x", directory)
            #expect(throws: DiskError(.removexattr, ENODATA)) {
                try disk.removeAttribute(name, of: nil, file)
            }
            #expect(throws: DiskError(.setxattr, EINVAL)) {
                try disk.setAttribute([0x75, 0], to: value, of: nil, file)
            }
            // Owner rw, user 5 r, group -, mask r, others -.
            let list: [UInt8] = [
                2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 5, 0, 0, 0, 4, 0, 0, 0,
                255, 255, 255, 255, 16, 0, 4, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255,
                255,
            ]
            let access = Array("system.posix_acl_access".utf8)
            try disk.setAttribute(access, to: list, of: "x", directory)
            #expect(try disk.attribute(access, of: nil, file) == list)
            #expect(try disk.stat(file).mode == 0o640)
        }
    }

    @Test func spaceAndSyncs() throws {
        try inPlaces { directory, root in
            let file = try make("\(root)/x", String(repeating: "x", count: 16_384))
            defer { disk.close(file) }
            try disk.allocate(file, from: 16_384, count: 65_536)
            var stat = try disk.stat(file)
            #expect(stat.size == 81_920)
            #expect(stat.allocated >= 160)
            try disk.punchHole(file, from: 4096, count: 1 << 20)
            stat = try disk.stat(file)
            #expect(stat.size == 81_920)
            #expect(stat.allocated <= 16)
            #expect(try disk.read(file, 4095, 2) == [0x78, 0])
            try disk.syncData(file)
            try disk.syncFileSystem(directory)
            for call in [disk.syncData, disk.syncFileSystem] {
                #expect(throws: DiskError.self) { try call(Descriptor(-1)) }
            }
        }
    }

    @Test func directWritesMustBeAligned() throws {
        try inPlaces { directory, root in
            let file = try make("\(root)/x", String(repeating: "x", count: 8192))
            defer { disk.close(file) }
            try disk.sync(file)
            guard let alignment = try disk.directAlignment(file) else {
                return skip("no direct access in \(root)")
            }
            try disk.dropCache(file)
            try disk.setDirect(file)
            let bytes = [UInt8](repeating: 0x79, count: alignment.offset)
            #expect(try disk.put(file, 4096, bytes) == bytes.count)
            #expect(throws: DiskError(.pwrite, EINVAL)) { try disk.put(file, 1, bytes) }
            #expect(throws: DiskError(.pwrite, EINVAL)) { try disk.put(file, 0, [1] as [UInt8]) }
            try disk.sync(file)
            #expect(try disk.cachedPages(file, in: 0..<8192) == 0)
            let other = try disk.open("\(root)/x")
            defer { disk.close(other) }
            #expect(try disk.read(other, 4095, 2) == [0x78, 0x79])
        }
    }

    @Test func aMountedDeviceIsHeld() throws {
        let folder = shell("mktemp -d /tmp/resync-held-XXXXXX") ?? ""
        defer { shell("umount \(folder)/m; rm -rf \(folder)") }
        let device = shell(
            """
            cd \(folder) && mkdir m && truncate -s 16M image && mkfs.ext4 -qF image \
            && mount -o loop image m && findmnt -no SOURCE \(folder)/m
            """)
        guard geteuid() == 0, let device else { return skip("needs root and loop devices") }
        let flags: OpenFlags = [.readWrite, .exclusive]
        #expect(throws: DiskError(.openat, EBUSY)) { try disk.open(device, flags) }
        disk.close(try disk.open(device, .readOnly))
    }
}

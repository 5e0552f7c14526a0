import Glibc
import ResyncCore
import ResyncStorage
import TestSupport
import Testing

/// As `SimulatedDiskConformanceTests`, for the calls that change a store.
@Suite struct DiskChangesConformanceTests {
    private let names = [
        "file", "dir", "to-file", "to-dir", "dangling", "absent", "second", "dir/inner", "empty",
        "file/", "to-dir/", "absent/", ".", "dir/..", "", "fifo", "file/x", "absent/x",
        String(repeating: "n", count: 256),
    ]

    private func lay(_ stage: any Stage) {
        laySamples(stage)
        stage.directory("empty")
        stage.directory("dir/sub")
    }

    @Test func linking() throws {
        for old in names {
            for new in names where new != "." {
                try compareDisks(lay) { tape in
                    tape.link(old, to: new)
                    for name in ["file", "to-file", "fifo", "absent"] { tape.stat(name) }
                    tape.compare("file", "absent")
                    tape.listAnew()
                }
            }
        }
    }

    @Test func linkingWhatIsGone() throws {
        try compareDisks(lay) { tape in
            tape.open("dir", as: "d")
            tape.link("inner", in: "d", to: "out")
            tape.link("file", in: "", to: "in", in: "d")
            tape.remove("file")
            tape.remove("second")
            tape.stat("in", in: "d")
            tape.remove("in", in: "d")
            tape.link("in", in: "d", to: "again")
            tape.link("fifo", to: "fifo2")
            tape.link("dangling", to: "dangling2")
            for name in ["fifo", "fifo2", "dangling", "dangling2"] { tape.stat(name) }
            tape.readLink("dangling2")
            tape.open("empty", as: "e")
            tape.remove("empty", isDirectory: true)
            tape.link("fifo", in: "", to: "x", in: "e")
            tape.makeSymlink([65], "x", in: "e")
            tape.makeSpecial("x", in: "e", .fifo)
            tape.rename("fifo", in: "", to: "x", in: "e", .exchange)
        }
    }

    @Test func makingSymlinksAndSpecials() throws {
        try compareDisks(lay) { tape in
            for name in names where name != "." {
                tape.makeSymlink(Array("somewhere".utf8), name)
                tape.stat(name)
                if name != "dir/.." { tape.remove(name) }
            }
            for length in [0, 1, 255, 256, 4095, 4096] {
                tape.makeSymlink([UInt8](repeating: 65, count: length), "length \(length)")
                tape.readLink("length \(length)")
            }
            tape.makeSymlink([65, 0, 66], "nul")
            tape.makeSymlink([0xff, 0x0a], "bytes")
            tape.readLink("bytes")
            for type in EntryType.allCases where geteuid() == 0 || !type.isDevice {
                for mode in [0, 0o644, 0o7777] as [UInt16] {
                    tape.makeSpecial("\(type) \(mode)", type, mode: mode)
                    tape.stat("\(type) \(mode)")
                    tape.makeSpecial("\(type) \(mode)", type)
                }
            }
            for name in names where name != "." && name != "dir/.." {
                tape.makeSpecial(name, .fifo)
            }
            guard geteuid() == 0 else { return }
            for number in [(4095, 1 << 20 - 1), (4096, 0), (0, 1 << 20)] as [(UInt32, UInt32)] {
                let number = DeviceNumber(major: number.0, minor: number.1)
                tape.makeSpecial("device \(number)", .blockDevice, number)
                tape.stat("device \(number)")
            }
        }
    }

    @Test func modesAndOwners() throws {
        try compareDisks(lay) { tape in
            tape.open("file", .readWrite, as: "f")
            tape.open("dir", as: "d")
            tape.open("file", .pathOnly, as: "p")
            tape.open("fifo", [.readOnly, .nonBlocking], as: "fifo")
            let uids: [UInt32] = geteuid() == 0 ? [0, 1234, 1 << 31, .max - 1, .max] : [.max]
            for mode in [0, 0o600, 0o4755, 0o6711, 0o2644, 0o7777, 0o170644] as [UInt16] {
                for name in names {
                    tape.setMode(mode, of: name)
                    for uid in uids { tape.setOwner(uid, 99, of: name) }
                    tape.setMode(mode, of: name)
                    tape.setOwner(geteuid(), .max, of: name)
                    tape.stat(name)
                }
                for key in ["f", "d", "p", "fifo", "nothing"] {
                    tape.setMode(mode, of: nil, in: key)
                    tape.stat(held: key)
                    for uid in uids { tape.setOwner(uid, getegid(), of: nil, in: key) }
                    tape.stat(held: key)
                    tape.setMode(mode, of: nil, in: key)
                    tape.write(key, at: 0, [1])
                    tape.stat(held: key)
                    tape.truncate(key, to: 100)
                    tape.stat(held: key)
                }
            }
        }
    }

    /// Sticky and writable for all, or for a group: what others have put there is not opened as
    /// what was to be created.
    @Test func creatingWhatSomebodyElseHasPutThere() throws {
        guard geteuid() == 0 else { return skip("only root gives files away") }
        try compareDisks(lay) { tape in
            let owners: [UInt32] = [0, 5, 7]
            for mode in [0o777, 0o1777, 0o1770, 0o1755] as [UInt16] {
                let place = "sticky \(mode)"
                tape.makeDirectory(place)
                tape.setOwner(5, 5, of: place)
                tape.setMode(mode, of: place)
                for type in EntryType.allCases where type != .characterDevice {
                    for owner in owners {
                        let name = "\(place)/\(type) \(owner)"
                        switch type {
                        case .directory: tape.makeDirectory(name)
                        case .symlink: tape.makeSymlink(Array("../socket".utf8), name)
                        default: tape.makeSpecial(name, type, DeviceNumber(major: 2047, minor: 0))
                        }
                        tape.setOwner(owner, 5, of: name)
                        for flags in [.create, [.create, .noFollow], []] as [OpenFlags] {
                            tape.open(name, flags.union([.readWrite, .nonBlocking]))
                        }
                        tape.open(name, [.create, .exclusive, .readWrite, .nonBlocking])
                        tape.open(name, [.create, .pathOnly])
                        tape.open(name + "/", [.create, .readWrite, .nonBlocking])
                        // From elsewhere, the directory of what is meant counts.
                        tape.makeSymlink(Array(name.utf8), "to \(type) \(owner) \(mode)")
                        tape.open(
                            "to \(type) \(owner) \(mode)", [.create, .readWrite, .nonBlocking])
                    }
                }
            }
        }
    }

    @Test func modificationTimes() throws {
        let times: [(Int64, UInt32)] = [
            (0, 0), (0, 1), (-1, 999_999_999), (1_700_000_000, 123_456_789), (-(1 << 31), 0),
            (-(1 << 31), 1), (-(1 << 31) - 1, 5), (1 << 31, 7), (15_032_385_534, 999_999_999),
            (15_032_385_535, 1), (1 << 40, 1), (5, 1_000_000_000), (5, (1 << 30) - 1),
            (5, (1 << 30) - 2), (5, .max),
        ]
        guard try holdsTimesOfExt4() else { return skip("the temporary directory is not on ext4") }
        try compareDisks(lay) { tape in
            tape.open("file", as: "f")
            tape.open("file", .pathOnly, as: "p")
            for (seconds, nanoseconds) in times {
                for name in names { tape.setTimes(seconds, nanoseconds, of: name) }
                for key in ["f", "p", "nothing"] {
                    tape.setTimes(seconds, nanoseconds, of: nil, in: key)
                }
            }
        }
    }

    private func holdsTimesOfExt4() throws -> Bool {
        let stage = try RealStage()
        let disk = LinuxDisk()
        let directory = try disk.open(stage.root)
        defer { disk.close(directory) }
        return try disk.fileSystem(directory).type == 0xef53
    }

    @Test func settingAttributes() throws {
        var attributes = [
            "user.note", "user.other", "user.", "security.", "nothing.x", "note", "", "user",
            "system.other", "user.\0", "user." + String(repeating: "n", count: 250),
            "user." + String(repeating: "n", count: 251),
        ]
        if geteuid() == 0 { attributes += ["trusted.x", "security.x", "trusted."] }
        try compareDisks(lay) { tape in
            tape.open("file", as: "f")
            tape.open("dir", as: "d")
            tape.open("file", .pathOnly, as: "p")
            for attribute in attributes {
                for name in names {
                    tape.setAttribute(attribute, to: [1, 0, 255], of: name)
                    tape.attribute(attribute, of: name, in: "")
                    tape.setAttribute(attribute, to: [], of: name)
                    tape.attribute(attribute, of: name, in: "")
                    tape.attributes(name, in: "")
                    tape.removeAttribute(attribute, of: name)
                    tape.removeAttribute(attribute, of: name)
                }
                for key in ["f", "d", "p", "nothing"] {
                    tape.setAttribute(attribute, to: [2], of: nil, in: key)
                    tape.attributes(nil, in: key)
                    tape.attribute(attribute, of: nil, in: key)
                    tape.removeAttribute(attribute, of: nil, in: key)
                    tape.removeAttribute(attribute, of: nil, in: key)
                }
            }
            tape.setAttribute("user.x", to: [UInt8](repeating: 1, count: 1000), of: "file")
            tape.setAttribute("user.x", to: [UInt8](repeating: 1, count: 65_537), of: "file")
            tape.attribute("user.x", of: "second", in: "")
        }
    }

    @Test func capabilitiesGoWithAWrite() throws {
        guard geteuid() == 0 else { return skip("needs root") }
        let value: [UInt8] =
            [0, 0, 0, 2] + [UInt8](repeating: 1, count: 4)
            + [UInt8](
                repeating: 0, count: 12)
        try compareDisks(lay) { tape in
            tape.open("file", .readWrite, as: "f")
            func look(_ change: () -> Void) {
                tape.setAttribute("security.capability", to: value, of: nil, in: "f")
                tape.attribute("security.capability", of: nil, in: "f")
                change()
                tape.attributes(nil, in: "f")
            }
            look { tape.write("f", at: 0, [1]) }
            look { tape.truncate("f", to: 1) }
            look { tape.allocate("f", from: 0, count: 1) }
            look { tape.setOwner(0, 0, of: nil, in: "f") }
            look { tape.setMode(0o755, of: nil, in: "f") }
            look { tape.link("file", to: "third") }
        }
    }

    @Test func allocatingAndPunching() throws {
        try compareDisks(lay) { tape in
            tape.open("new", [.readWrite, .create], as: "f")
            tape.open("new", as: "r")
            tape.open("dir", as: "d")
            tape.open("fifo", [.readWrite, .nonBlocking], as: "fifo")
            let ranges = [
                (0, 10_000), (20_000, 5000), (-1, 5), (0, 0), (5, -1), (.max - 5, 10),
                (4096, 4096), (5000, 100), (8192, 1 << 40), (24_000, 999), (0, 1),
            ]
            for key in ["f", "r", "d", "fifo", "nothing"] {
                for (offset, count) in ranges {
                    if count < 1 << 40 { tape.allocate(key, from: offset, count: count) }
                    tape.stat(held: key)
                    tape.seek(key, from: 0)
                    tape.write(key, at: 0, generatedBytes(seed: 1, 0..<30_000))
                    tape.punchHole(key, from: offset, count: count)
                    tape.stat(held: key)
                    for at in stride(from: 0, to: 32_000, by: 4000) { tape.seek(key, from: at) }
                    tape.read(key, at: 0, count: 40_000)
                    tape.truncate(key, to: 0)
                }
            }
            tape.open("new", .pathOnly, as: "p")
            tape.allocate("p", from: 0, count: 1)
            for key in ["f", "r", "d", "fifo", "p", "nothing"] {
                tape.syncData(key)
                tape.syncFileSystem(key)
            }
        }
    }

    @Test func timesOfChanges() throws {
        try compareDisks(lay) { tape in
            tape.comparesTimes = true
            let names = ["file", "dir", "dir/inner", "to-file", "empty", "fifo", "dir/sub"]
            func look() {
                // Longer than the coarsest clock of a file system.
                usleep(12_000)
                for name in names { tape.stat(name) }
                tape.stat(held: "")
                tape.stat(held: "i")
            }
            tape.open("dir/inner", as: "i")
            let steps: [() -> Void] = [
                { tape.link("file", to: "third") },
                { tape.rename("file", to: "dir/inner", .exchange) },
                { tape.rename("file", to: "dir/inner", .exchange) },
                { tape.rename("empty", to: "fifo", .exchange) },
                { tape.rename("empty", to: "fifo", .exchange) },
                { tape.rename("file", to: "second", .exchange) },
                { tape.rename("file", to: "second") },
                { tape.makeSymlink([65], "dir/link") },
                { tape.makeSpecial("dir/socket", .socket) },
                { tape.setMode(0o640, of: "file") },
                { tape.setMode(0o640, of: "file") },
                { tape.setOwner(geteuid(), getegid(), of: "to-file") },
                { tape.setTimes(7, 8, of: "fifo") },
                { tape.setAttribute("user.x", to: [1], of: "dir") },
                { tape.removeAttribute("user.x", of: "dir") },
                { tape.removeAttribute("user.x", of: "dir") },
                { tape.open("file", .readWrite, as: "f") },
                { tape.allocate("f", from: 0, count: 5000) },
                { tape.allocate("f", from: 0, count: 5000) },
                { tape.punchHole("f", from: 0, count: 4096) },
                { tape.punchHole("f", from: 1 << 20, count: 4096) },
                { tape.syncData("f") },
                { tape.syncFileSystem("f") },
                { tape.rename("third", to: "dir/inner") },
            ]
            look()
            for step in steps {
                step()
                look()
            }
        }
    }
}

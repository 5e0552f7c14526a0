import ResyncCore
import ResyncStorage
import TestSupport
import Testing

@testable import ResyncEngine

/// What is there to find between two stores that lie still.
@Suite struct DifferenceTests {
    @Test func equalStoresAreInSync() throws {
        let stores = TwoStores()
        stores.both { root in
            stores.disk.addFile("\(root)/d/e/file", "text")
            stores.disk.addFile("\(root)/d/empty")
            stores.disk.addDirectory("\(root)/d/hollow")
            stores.disk.addSymlink("\(root)/link", to: "/nowhere")
            stores.disk.addFifo("\(root)/pipe")
            stores.disk.addSocket("\(root)/socket")
            stores.disk.addDevice(
                "\(root)/null", .characterDevice, number: DeviceNumber(major: 1, minor: 3))
            stores.disk.addGenerated("\(root)/large", size: 4_500_001, seed: 1)
        }
        stores.calm()
        stores.disk.keepLog()
        let found = try stores.verify()
        #expect(found.status == .ok)
        #expect(found.summary.verdict == "IN SYNC")
        #expect(
            found.lines == [
                "= d", "= d/e", "= d/e/file", "= d/empty", "= d/hollow", "= large", "= link",
                "= null", "= pipe", "= socket",
            ])
        #expect(found.tally.entries == 10 && found.tally.same == 10)
        #expect(found.tally.bytesByAssurance == [.hash: 4_500_005])
        #expect(found.tally.bytesRead == 2 * 4_500_005)
        #expect(found.tally.bytesRead == stores.disk.bytesRead)
        #expect(stores.openAfterwards() == 0 && stores.disk.badCloses == 0)
        for name in ["pipe", "socket", "null", "link"] {
            for root in ["/a", "/b"] { #expect(stores.disk.count(.openat, "\(root)/\(name)") == 0) }
        }
    }

    @Test func twoEmptyStoresAgreeOnNothing() throws {
        let found = try TwoStores().verify()
        #expect(found.status == .trouble)
        #expect(found.summary.verdict == "NOT VERIFIED")
    }

    @Test func missingEntriesAreNamedWithAllThatIsBelow() throws {
        let stores = TwoStores()
        stores.disk.addFile("/a/only/x", "1")
        stores.disk.addFile("/b/other", "2")
        stores.calm()
        let found = try stores.verify()
        #expect(
            found.lines == ["+ only existence", "+ only/x existence", "- other existence"])
        #expect(found.status == .differences)
        #expect(found.tally.bytesRead == 0)
    }

    @Test(arguments: Array(EntryType.allCases.prefix(4)), Array(EntryType.allCases.prefix(4)))
    func everyPairOfTypesIsTold(_ a: EntryType, _ b: EntryType) throws {
        let stores = TwoStores()
        func add(_ path: String, _ type: EntryType) {
            switch type {
            case .file: stores.disk.addFile(path, "text")
            case .directory: stores.disk.addFile("\(path)/below", "text")
            case .symlink: stores.disk.addSymlink(path, to: "text")
            default: stores.disk.addFifo(path)
            }
        }
        add("/a/x", a)
        add("/b/x", b)
        stores.calm()
        var expected = [a == b ? "= x" : "* x type"]
        if a == .directory { expected.append(a == b ? "= x/below" : "+ x/below existence") }
        if b == .directory, a != b { expected.append("- x/below existence") }
        let found = try stores.verify()
        #expect(found.lines == expected)
        #expect(found.status == (a == b ? .ok : .differences))
    }

    @Test func contentIsComparedToItsLastByte() throws {
        let block = 64 << 10
        let sizes = [
            1, 2, 4095, 4096, 4097, block - 1, block, block + 1, 3 * block - 1, 3 * block,
            3 * block + 1, (4 << 20) + 1,
        ]
        let stores = TwoStores()
        var expected: [String] = []
        for size in sizes {
            let places = Set([0, size / 2, size - 1, block, block - 1, 4096].filter { $0 < size })
            for at in places {
                let name = "f\(size)-\(at)"
                stores.both { stores.disk.addGenerated("\($0)/\(name)", size: size, seed: 7) }
                let old = generatedBytes(seed: 7, at..<at + 1)[0]
                stores.disk.write("/b/\(name)", at: at, [old ^ 0x10])
                let page = at / 4096 * 4096
                let length = min(4096, size - page)
                let isZeroed = length == 1 && (old == 0 || old ^ 0x10 == 0)
                let shape = isZeroed ? "zeroed:\(old == 0 ? "a" : "b")" : "bitflip"
                expected.append("* \(name) content \(page)+\(length) \(shape)")
            }
        }
        stores.calm()
        let found = try stores.verify()
        #expect(found.lines.sorted() == expected.sorted())
        #expect(found.tally.contentDiffers == expected.count && found.tally.metadataDiffers == 0)
        #expect(found.tally.confirmed == expected.count)
        #expect(found.differences.allSatisfy { $0.digests.a.count == $0.extents.count })
    }

    @Test func extentsJoinPagesAndKeepGaps() throws {
        let stores = TwoStores()
        stores.both { stores.disk.addGenerated("\($0)/f", size: 1 << 20, seed: 1) }
        for at in [0, 5000, 300_000, 300_001, 1_048_575] {
            stores.disk.write("/b/f", at: at, "X~X".prefix(min(3, 1_048_576 - at)).description)
        }
        stores.calm()
        let found = try stores.verify()
        #expect(
            found.lines == ["* f content 0+8192 299008+4096 1044480+4096"])
    }

    @Test func shapesTellWhatMadeThem() throws {
        let stores = TwoStores()
        for name in ["cut", "grown", "zero", "flip", "both"] {
            stores.both { stores.disk.addGenerated("\($0)/\(name)", size: 200_000, seed: 2) }
        }
        stores.disk.truncate("/b/cut", to: 100_000)
        stores.disk.truncate("/a/grown", to: 0)
        stores.disk.write("/b/zero", at: 65_536, [UInt8](repeating: 0, count: 8192))
        stores.disk.write("/a/flip", at: 9, [generatedBytes(seed: 2, 9..<10)[0] ^ 1])
        stores.disk.truncate("/b/both", to: 150_000)
        stores.disk.write("/b/both", at: 0, "other")
        stores.calm()
        let found = try stores.verify()
        #expect(
            found.lines == [
                "* both size content 0+4096", "* cut size truncated",
                "* flip content 0+4096 bitflip", "* grown size grown",
                "* zero content 65536+8192 zeroed:b",
            ])
    }

    @Test func metadataIsCountedApart() throws {
        let stores = TwoStores()
        for name in ["mode", "owner", "group", "mtime", "setuid"] {
            stores.both { stores.disk.addFile("\($0)/\(name)", "same") }
        }
        stores.both { stores.disk.addSymlink("\($0)/link", to: $0) }
        stores.both { stores.disk.addDirectory("\($0)/dir") }
        stores.calm()
        stores.disk.change("/b/mode", Ownership(mode: 0o600))
        stores.disk.change("/b/setuid", Ownership(mode: 0o4644))
        stores.disk.change("/b/owner", Ownership(uid: 7))
        stores.disk.change("/b/group", Ownership(gid: 7))
        stores.disk.change("/b/dir", Ownership(mode: 0o700))
        var later = TwoStores.calmTime
        later.nanoseconds += 1
        stores.disk.change("/b/mtime", Ownership(mtime: later))
        let found = try stores.verify()
        #expect(
            found.lines == [
                "* dir mode", "* group owner", "* link target", "* mode mode", "* mtime mtime",
                "* owner owner", "* setuid mode",
            ])
        #expect(found.tally.contentDiffers == 1 && found.tally.metadataDiffers == 6)
        let window = try stores.verify {
            $0.plan = { $0.rules.comparison.modifyWindow = 1 }
        }
        #expect(!window.lines.contains("* mtime mtime") && window.lines.contains("= mtime"))
    }

    @Test func rootsAreComparedButTheirTimesAreNot() throws {
        let stores = TwoStores()
        stores.both { stores.disk.addFile("\($0)/x", "1") }
        stores.calm()
        stores.disk.change("/b", Ownership(mtime: stores.disk.now))
        #expect(try stores.verify().status == .ok)
        stores.disk.change("/b", Ownership(mode: 0o700))
        let found = try stores.verify()
        #expect(found.lines == ["*  mode", "= x"])
        #expect(found.summary.verdict == "CONTENT IN SYNC, 1 metadata difference")
    }

    @Test func reservedNamesAreLeftOutAtTheRootAlone() throws {
        let stores = TwoStores()
        stores.disk.addFile("/a/.resync-store", "1")
        stores.disk.addFile("/b/.resync-quarantine/x", "1")
        stores.disk.addFile("/a/d/.resync-store", "1")
        stores.disk.addFile("/b/d/.resync", "1")
        stores.both { stores.disk.addFile("\($0)/.resyn", "1") }
        stores.calm()
        let found = try stores.verify()
        #expect(
            found.lines == [
                "= .resyn", "= d", "- d/.resync existence", "+ d/.resync-store existence",
            ])
        #expect(found.tally.excluded == 2)
    }

    @Test func attributesAndDevicesAreComparedWhenAskedFor() throws {
        let stores = TwoStores()
        stores.both { root in
            for name in ["value", "extra", "same", "acl"] {
                stores.disk.addFile("\(root)/\(name)", "1")
                stores.disk.setAttribute("\(root)/\(name)", "user.k", "v")
            }
            stores.disk.addDevice(
                "\(root)/disk", .blockDevice,
                number: DeviceNumber(major: 8, minor: root == "/a" ? 1 : 2))
            stores.disk.addSymlink("\(root)/link", to: "x")
        }
        stores.disk.setAttribute("/b/value", "user.k", "w")
        stores.disk.setAttribute("/b/extra", "user.more", "")
        stores.disk.setAttribute("/b/acl", "system.posix_acl_access", "x")
        stores.disk.setAttribute("/b/link", "trusted.k", "x")
        stores.calm()
        // The number of a device node is its content.
        let usual = try stores.verify()
        #expect(usual.lines.filter { !$0.hasPrefix("=") } == ["* disk device"], "\(usual.lines)")
        let found = try stores.verify {
            let more = AspectSet([.xattrs, .acl, .device])
            $0.options = { $0.details = more }
            $0.plan = { $0.rules.comparison.aspects.formUnion(more) }
        }
        #expect(
            found.lines == [
                "* acl acl", "* disk device", "* extra xattrs", "* link xattrs", "= same",
                "* value xattrs",
            ])
    }

    @Test(arguments: [0, 5 << 20]) func linkGroupsAreComparedWhenAskedFor(_ size: Int) throws {
        let stores = TwoStores()
        stores.both { root in
            for name in ["joined1", "joined2", "kept1", "kept2", "split1"] {
                stores.disk.addGenerated("\(root)/\(name)", size: size, seed: 3)
            }
            stores.disk.link("\(root)/split1", as: "\(root)/split0")
            stores.disk.remove("\(root)/kept2")
            stores.disk.link("\(root)/kept1", as: "\(root)/kept2")
        }
        stores.disk.remove("/a/joined2")
        stores.disk.link("/a/joined1", as: "/a/joined2")
        stores.disk.remove("/b/split1")
        stores.disk.addGenerated("/b/split1", size: size, seed: 3)
        stores.calm()
        #expect(try stores.verify().status == .ok)
        let found = try stores.verify {
            $0.plan = { $0.rules.comparison.aspects.insert(.links) }
        }
        #expect(
            found.lines == [
                "= joined1", "* joined2 links", "= kept1", "= kept2", "= split0",
                "* split1 links",
            ])
        #expect(found.tally.same == 4 && found.tally.metadataDiffers == 2)
        #expect(found.status == .differences)
    }

    @Test func aLinkDifferenceJoinsWhatElseDiffers() throws {
        let stores = TwoStores()
        for name in ["x", "y"] {
            stores.both { stores.disk.addGenerated("\($0)/\(name)", size: 5 << 20, seed: 3) }
        }
        stores.disk.remove("/a/y")
        stores.disk.link("/a/x", as: "/a/y")
        stores.disk.write("/b/y", at: 5, [generatedBytes(seed: 3, 5..<6)[0] ^ 1])
        stores.calm()
        let found = try stores.verify {
            $0.plan = { $0.rules.comparison.aspects.insert(.links) }
        }
        #expect(found.lines == ["= x", "* y content links 0+4096 bitflip"])
        #expect(found.tally.entries == 2 && found.tally.same == 1 && found.tally.differs == 1)
    }

    @Test func namesAreBytes() throws {
        let stores = TwoStores()
        let names: [[UInt8]] = [
            Array("e\u{301}".utf8), Array("\u{e9}".utf8), [0xff], [0xfe], [0x0a], [0x1b, 0x5b],
            [UInt8](repeating: 0x78, count: 255),
        ]
        for name in names {
            stores.disk.addFile(Array("/a/".utf8) + name, "1")
        }
        stores.disk.addFile(Array("/b/".utf8) + names[0], "1")
        stores.disk.addFile(Array("/b/".utf8) + names[2], "1")
        stores.calm()
        let found = try stores.verify()
        #expect(found.tally.same == 2 && found.tally.missingOnB == names.count - 2)
        let same = Set(found.records.filter { line($0).hasPrefix("=") }.map(\.path.bytes))
        #expect(same == [names[0], names[2]])
    }

    @Test func imagesAreComparedAsOneFile() throws {
        let stores = TwoStores()
        stores.disk.addGenerated("/a/image", size: 5_000_001, seed: 4)
        stores.disk.addGenerated("/b/image", size: 5_000_001, seed: 4)
        stores.calm()
        func lines() throws -> [String] {
            try stores.verify { $0.paths = ("/a/image", "/b/image") }.lines
        }
        #expect(try lines() == ["= "])
        stores.disk.write(
            "/b/image", at: 5_000_000,
            [
                generatedBytes(
                    seed: 4, 5_000_000..<5_000_001)[0] ^ 1
            ])
        #expect(try lines() == ["*  content 4997120+2881 bitflip"])
        stores.disk.write(
            "/b/image", at: 5_000_000,
            generatedBytes(
                seed: 4, 5_000_000..<5_000_001))
        stores.disk.truncate("/b/image", to: 2_500_123)
        #expect(try lines() == ["*  size truncated"])
        stores.disk.write(
            "/b/image", at: 1_750_000,
            [
                generatedBytes(
                    seed: 4, 1_750_000..<1_750_001)[0] ^ 1
            ])
        #expect(try lines() == ["*  size content 1748992+4096"])
    }

    @Test func devicesAreComparedByTheirBytes() throws {
        let stores = TwoStores()
        for (root, minor) in [("/a", UInt32(1)), ("/b", 2)] {
            stores.disk.addDevice(
                "\(root)/disk", .blockDevice, number: DeviceNumber(major: 8, minor: minor),
                size: 2_000_384, seed: 9)
        }
        stores.calm()
        let found = try stores.verify { $0.paths = ("/a/disk", "/b/disk") }
        #expect(found.status == .ok && found.tally.bytesByAssurance == [.hash: 2_000_384])
    }
}

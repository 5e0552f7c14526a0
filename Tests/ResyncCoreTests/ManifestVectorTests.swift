import TestSupport
import Testing

@testable import ResyncCore

/// Files written once, and the same to the byte for ever: the format's document explains the first.
@Suite struct ManifestVectorTests {
    private static func bytes(_ hex: String) -> [UInt8] {
        var bytes: [UInt8] = []
        var high: UInt8?
        for digit in hex.utf8 {
            guard let value = hexValue(digit) else { continue }
            if let first = high {
                bytes.append(first << 4 | value)
                high = nil
            } else {
                high = value
            }
        }
        return bytes
    }

    private static func stat(_ type: EntryType, _ mode: UInt16, size: Int = 0) -> Stat {
        Stat(
            type: type, mode: mode, uid: 1000, gid: 100, size: size,
            mtime: Timestamp(seconds: 1_700_000_000, nanoseconds: 123_456_789),
            ctime: Timestamp(seconds: 1_700_000_001, nanoseconds: 0), inode: 12,
            device: DeviceNumber(major: 8, minor: 1))
    }

    private static func header(_ aspects: AspectSet) -> ManifestHeader {
        var header = ManifestHeader(
            blockSize: 65536, aspects: aspects, exclusions: ManifestSample.digest([]))
        header.host = Array("host".utf8)
        header.store = Array("/srv".utf8)
        header.tool = Array("resync 1".utf8)
        header.started = Timestamp(seconds: 1_700_000_002, nanoseconds: 0)
        return header
    }

    /// A directory, a file of 65537 bytes of which all but the last, an `x`, are zero, and a link.
    static var small: (records: [ManifestRecord], header: ManifestHeader) {
        var file = ManifestEntry(
            name: Name("a"), entry: Entry(stat: stat(.file, 0o644, size: 65537)))
        var blocks = BlockList()
        blocks.append(ManifestSample.digest([0] + Array(repeating: 0, count: 65536)))
        blocks.append(ManifestSample.digest([0, UInt8(ascii: "x")]))
        file.content = ManifestSample.content(blocks, size: 65537)
        let link = Entry(stat: stat(.symlink, 0o777), target: Array("../a".utf8))
        let records: [ManifestRecord] = [
            .entry(ManifestEntry(name: Name([]), entry: Entry(stat: stat(.directory, 0o755)))),
            .entry(file),
            .entry(ManifestEntry(name: Name("d"), entry: Entry(stat: stat(.directory, 0o700)))),
            .entry(ManifestEntry(name: Name("l"), entry: link)),
            ManifestSample.end(), ManifestSample.end(),
        ]
        return (records, header(.standard))
    }

    /// What the first has not: doubt, links, owners, devices, many runs, a listing that failed.
    static var rich: (records: [ManifestRecord], header: ManifestHeader) {
        var records: [ManifestRecord] = [.entry(ManifestSample.directory(Name([])))]
        records.append(.entry(ManifestSample.file(Name("a"), blocks: ManifestLimit.runs + 1)))
        var bad = ManifestSample.file(Name("b"), blocks: 2)
        let error = EntryError(
            side: .a, call: Array("pread".utf8), number: 5,
            extent: Extent(offset: 65536, length: 65536))
        bad.doubt = Doubt(.unreadable, nil, errors: [error])
        bad.isRacy = true
        records.append(.entry(bad))
        var linked = ManifestSample.file(Name("c"), blocks: 0)
        linked.entry?.stat.links = 2
        linked.linkedTo = RelativePath(Array("a".utf8))
        let owner = OwnerNames(user: Array("root".utf8), group: Array("disk".utf8))
        linked.entry = linked.entry?.with(owner: owner)
        records.append(.entry(linked))
        var device = ManifestSample.file(Name([0xff, 0x0a]), blocks: 0)
        device.content = nil
        device.entry?.stat.type = .characterDevice
        device.entry?.stat.special = DeviceNumber(major: 1, minor: 3)
        records.append(.entry(device))
        records.append(
            ManifestSample.end(.failed(call: Array("getdents64".utf8), number: 5)))
        return (records, header(.all))
    }

    @Test func theSmallOne() throws {
        let (records, header) = Self.small
        let (file, trailer) = try ManifestSample.write(records, header)
        #expect(file.bytes == Self.bytes(ManifestVectors.small))
        #expect(trailer.root?.hex == ManifestVectors.smallRoot)
        #expect(try ManifestSample.read(MemoryFile(Self.bytes(ManifestVectors.small))).count == 6)
    }

    @Test func theRichOne() throws {
        let (records, header) = Self.rich
        let (file, trailer) = try ManifestSample.write(records, header)
        #expect(trailer.root == nil)
        // Too long to be shown: its SHA-256.
        #expect(file.bytes.count == ManifestVectors.richCount)
        #expect(ManifestSample.digest(file.bytes).hex == ManifestVectors.rich)
        let first = try ManifestSample.read(file).first
        #expect(first == records.first)
    }
}

import ResyncStorage
import TestSupport
import Testing

@testable import ResyncCore

@Suite struct BaselineTests {
    private static func hash() -> EVPHash { ManifestHashes.openSSL.make(.sha256) }

    private static var header: BaselineHeader {
        var header = BaselineHeader(
            identities: Sides(
                a: StoreIdentity(fileSystem: 1, inode: 2), b: StoreIdentity(fileSystem: 3, inode: 4)
            ),
            blockSize: 1 << 20, exclusions: digest(9),
            written: Timestamp(seconds: 5, nanoseconds: 6))
        header.previous = digest(8)
        return header
    }

    private static func record(_ path: String, _ number: UInt64 = 1) -> BaselineRecord {
        let stat = Stat(type: .file, mode: 0o640, uid: 3, gid: 4, size: Int(number) * 7)
        let witness = BaselineRecord.Witness(
            inode: number, device: DeviceNumber(major: 8, minor: 1),
            mtime: Timestamp(seconds: -5, nanoseconds: 1),
            ctime: Timestamp(seconds: 9, nanoseconds: 2))
        var record = BaselineRecord(
            path: RelativePath(Array(path.utf8)),
            agreed: ObservedEntry(
                entry: Entry(stat: stat, xattrs: digest(4)), content: digest(number)),
            witnesses: Sides(a: witness, b: witness), aspects: .standard, level: .media,
            time: Timestamp(seconds: 77, nanoseconds: 0))
        record.isRacy = number % 2 == 0
        return record
    }

    private static func write(_ records: [BaselineRecord]) throws -> (MemoryFile, Digest) {
        let file = MemoryFile()
        var writer = try BaselineWriter(header, hash: hash(), chain: hash()) { file.append($0) }
        for record in records { try writer.append(record) }
        return (file, try writer.finish())
    }

    private static func read(_ file: MemoryFile) throws -> ([BaselineRecord], Digest?) {
        var reader = try BaselineReader(hash: hash(), chain: hash()) { file.read($0, $1) }
        #expect(reader.header == header)
        var records: [BaselineRecord] = []
        while let record = try reader.next() { records.append(record) }
        return (records, reader.id)
    }

    private static var sample: [BaselineRecord] {
        var link = record("d/l")
        link.agreed = ObservedEntry(
            entry: Entry(stat: Stat(type: .symlink), target: [0xff, 0x2f]))
        var device = record("d/z")
        device.agreed = ObservedEntry(
            entry: Entry(
                stat: Stat(type: .blockDevice, special: DeviceNumber(major: 7, minor: 9))))
        return [record(""), record("d"), link, device, record("dd", 2)]
    }

    @Test func whatIsWrittenIsRead() throws {
        // More than a frame.
        let many = (0..<3000).map { number in
            let digits = String(number)
            return Self.record(
                "many/" + String(repeating: "0", count: 4 - digits.count) + digits,
                UInt64(number) + 1)
        }
        for records in [[], Self.sample, many] {
            let (file, id) = try Self.write(records)
            let found = try Self.read(file)
            #expect(found.0 == records)
            #expect(found.1 == id)
        }
    }

    @Test func everyTruncationAndEveryFlippedByteIsRefused() throws {
        let whole = try Self.write(Self.sample).0.bytes
        for count in 0..<whole.count {
            #expect(throws: FormatError.self, "\(count) bytes") {
                _ = try Self.read(MemoryFile(Array(whole[..<count])))
            }
        }
        for at in whole.indices {
            var bytes = whole
            bytes[at] ^= UInt8(1 << (at % 8))
            #expect(throws: FormatError.self, "byte \(at)") { _ = try Self.read(MemoryFile(bytes)) }
        }
        #expect(throws: FormatError.self) { _ = try Self.read(MemoryFile(whole + [0])) }
    }

    @Test func updatesReplaceAddAndRemove() throws {
        let old = [Self.record("a"), Self.record("b"), Self.record("c")]
        let updates: [BaselineUpdate] = [
            .set(Self.record("a/x", 3)), .remove(RelativePath([0x62])), .set(Self.record("c", 5)),
            .set(Self.record("d", 7)), .remove(RelativePath([0x65])),
        ]
        var (left, right) = (old[...], updates[...])
        var found: [BaselineRecord] = []
        try mergeBaseline({ left.popFirst() }, { right.popFirst() }) { found.append($0) }
        #expect(
            found == [
                Self.record("a"), Self.record("a/x", 3), Self.record("c", 5), Self.record("d", 7),
            ])
    }

    // MARK: Proof

    private func file(_ name: String, salt: UInt8 = 0) -> ManifestRecord {
        .entry(ManifestSample.file(Name(Array(name.utf8)), blocks: 1, salt: salt))
    }

    private func prove(
        _ a: [ManifestRecord], _ b: [ManifestRecord], old: [String], listsEverything: Bool = true
    ) throws -> [String] {
        func reader(_ records: [ManifestRecord]) throws -> ManifestReader<EVPHash> {
            let file = try ManifestSample.write(records).file
            return try ManifestReader(ManifestHashes.openSSL) { file.read($0, $1) }
        }
        var proof = try BaselineProof(
            try reader(a), try reader(b), listsEverything: listsEverything)
        var left = old.map { Self.record($0, 99) }[...]
        var found: [String] = []
        try proof.merge({ left.popFirst() }) { record in
            let isOld = record.witnesses.a.inode == 99
            found.append((isOld ? "old " : "new ") + escaped(record.path.bytes))
        }
        return found
    }

    private func tree(
        _ records: [ManifestRecord], _ listing: ListingState = .complete
    ) -> [ManifestRecord] {
        var root = ManifestSample.directory(Name([]))
        root.listing = listing
        return [.entry(root)] + records + [ManifestSample.end(listing)]
    }

    private func directory(_ name: String, _ records: [ManifestRecord]) -> [ManifestRecord] {
        [.entry(ManifestSample.directory(Name(Array(name.utf8))))] + records
            + [ManifestSample.end()]
    }

    @Test func whatAgreesHasItsRecord() throws {
        let a = tree(directory("d", [file("x"), file("y")]) + [file("e"), file("f")])
        let b = tree(directory("d", [file("x"), file("y", salt: 1)]) + [file("e")])
        #expect(
            try prove(a, b, old: []) == ["new ", "new d", "new d/x", "new e"])
        // What differs, or is on one side only, keeps what was known; what is gone loses it.
        #expect(
            try prove(a, b, old: ["d/0", "d/x", "d/y", "d/z", "e", "f", "g", "g/h"])
                == ["new ", "new d", "new d/x", "old d/y", "new e", "old f"])
    }

    /// Digests that were kept and used again are older than what was read since.
    @Test func whatWasReadLaterIsKept() throws {
        let manifest = tree([file("x")])
        func proven(_ old: BaselineRecord?) throws -> BaselineRecord {
            func reader() throws -> ManifestReader<EVPHash> {
                let file = try ManifestSample.write(manifest).file
                return try ManifestReader(ManifestHashes.openSSL) { file.read($0, $1) }
            }
            var proof = try BaselineProof(try reader(), try reader(), listsEverything: true)
            var left = [old].compactMap { $0 }[...]
            var found: [BaselineRecord] = []
            try proof.merge({ left.popFirst() }) { found.append($0) }
            return try #require(found.last)
        }
        let new = try proven(nil)
        #expect(new.path == RelativePath(Array("x".utf8)))
        func kept(_ change: (inout BaselineRecord) -> Void) throws -> Bool {
            var old = new
            old.time.seconds += 1
            change(&old)
            let found = try proven(old)
            #expect(found == old || found == new)
            return found == old
        }
        #expect(try kept { _ in })
        #expect(try kept { $0.level = .media })
        #expect(try !kept { $0.time.seconds -= 2 })
        // What the medium had says more than what the cache has, however long ago.
        #expect(try kept { ($0.level, $0.time.seconds) = (.media, $0.time.seconds - 1000) })
        // It must be of the same objects, contents and aspects, and leave no doubt.
        #expect(try !kept { $0.witnesses.b.ctime.seconds += 1 })
        #expect(try !kept { $0.agreed.content = .zero })
        #expect(try !kept { $0.aspects.remove(AspectSet(.owner)) })
        #expect(try !kept { $0.isRacy = true })
    }

    @Test func whatMayBeHiddenKeepsItsRecord() throws {
        let whole = tree([file("x")])
        let broken = tree([file("x")], .broken)
        #expect(try prove(whole, broken, old: ["a", "z"]) == ["new ", "old a", "new x", "old z"])
        #expect(
            try prove(whole, whole, old: ["a", "z"], listsEverything: false)
                == ["new ", "old a", "new x", "old z"])
    }

    @Test func whatIsInDoubtKeepsItsRecord() throws {
        var entry = ManifestSample.file(Name([0x78]), blocks: 1)
        entry.doubt = Doubt(.unstable, .changing)
        #expect(
            try prove(tree([.entry(entry)]), tree([file("x")]), old: ["x"]) == ["new ", "old x"])
    }
}

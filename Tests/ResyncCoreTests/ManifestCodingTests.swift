import TestSupport
import Testing

@testable import ResyncCore

@Suite struct ManifestCodingTests {
    /// Without what is computed on writing.
    private func plain(_ records: [ManifestRecord]) -> [ManifestRecord] {
        records.map { record in
            guard case .end(let end) = record else { return record }
            return .end(DirectoryEnd(listing: end.listing, excluded: end.excluded))
        }
    }

    private func seeds() -> [UInt64] {
        (0..<20).map { _ in UInt64.random(in: 0...UInt64.max) } + [1]
    }

    @Test func whatIsWrittenIsRead() throws {
        for seed in seeds() {
            var generator = SeededGenerator(seed: seed)
            let records = ManifestSample.tree(&generator, entries: 1500)
            let (file, trailer) = try ManifestSample.write(records)
            #expect(try plain(ManifestSample.read(file)) == records, "seed \(seed)")
            #expect(trailer.counts.isWhole == (trailer.root != nil), "seed \(seed)")
        }
    }

    @Test func theHeaderComesBack() throws {
        let header = ManifestSample.header()
        #expect(try ManifestHeader(header.bytes) == header)
    }

    @Test func everyTruncationIsRefused() throws {
        let whole = try sample()
        for count in 0..<whole.count {
            #expect(throws: FormatError.self, "\(count) bytes") {
                _ = try ManifestSample.read(MemoryFile(Array(whole[..<count])))
            }
        }
    }

    @Test func everyFlippedByteIsRefused() throws {
        let whole = try sample()
        for at in whole.indices {
            var bytes = whole
            bytes[at] ^= UInt8(1 << (at % 8))
            #expect(throws: FormatError.self, "byte \(at)") {
                _ = try ManifestSample.read(MemoryFile(bytes))
            }
        }
    }

    @Test func dataBehindTheEndIsRefused() throws {
        let whole = try sample()
        #expect(throws: FormatError.self) {
            _ = try ManifestSample.read(MemoryFile(whole + [0]))
        }
        #expect(throws: (any Error).self) {
            let file = MemoryFile(whole + [0])
            _ = try ManifestLookup(ManifestHashes.openSSL, size: file.bytes.count) {
                file.read($0, $1)
            }
        }
    }

    private func sample() throws -> [UInt8] {
        var generator = SeededGenerator(seed: 7)
        let records = ManifestSample.tree(&generator, entries: 12)
        return try ManifestSample.write(records).file.bytes
    }

    /// Encodes records as they are, behind valid frame checks: what a forger would write.
    private func forged(
        _ records: [ByteWriter], counts: ManifestCounts? = nil, root: Digest? = nil
    ) -> MemoryFile {
        let hashes = ManifestHashes.openSSL
        var frames = FrameWriter(
            magic: ManifestFrame.magic, hash: hashes.make(.sha256), chain: hashes.make(.sha256))
        var bytes = frames.start()
        bytes += frames.frame(ManifestFrame.header, ManifestSample.header().bytes)
        var payload = ByteWriter()
        payload.string([])
        for record in records { payload.raw(record.bytes) }
        var index = ManifestIndex()
        index.add(frames.offset, .root)
        index.close()
        bytes += frames.frame(ManifestFrame.entries, payload.bytes)
        let indexOffset = frames.offset
        for payload in index.payloads { bytes += frames.frame(ManifestFrame.index, payload) }
        let trailerOffset = frames.offset
        var trailer = ManifestTrailer()
        trailer.counts = counts ?? ManifestCounts()
        trailer.root = root
        bytes += frames.frame(ManifestFrame.trailer, trailer.bytes)
        let footer = ManifestFooter(
            index: indexOffset, trailer: trailerOffset, chain: frames.chainDigest())
        bytes += frames.frame(ManifestFrame.footer, footer.bytes)
        return MemoryFile(bytes)
    }

    private func encoded(_ entry: ManifestEntry) -> ByteWriter {
        var writer = ByteWriter()
        writer.manifestEntry(entry)
        return writer
    }

    private func reason(_ body: () throws -> Void) -> String {
        do {
            try body()
            return ""
        } catch let error as FormatError {
            return error.reason
        } catch {
            return "\(error)"
        }
    }

    @Test(
        arguments: [
            ([], "no entry can have"), ([0x2e], "no entry can have"),
            ([0x2e, 0x2e], "no entry can have"), ([0x61, 0x2f], "no entry can have"),
            ([0x61, 0], "no entry can have"),
        ] as [([UInt8], String)])
    func hostileNamesAreRefused(name: [UInt8], expected: String) {
        let file = forged([
            encoded(ManifestSample.directory(Name([]))),
            encoded(ManifestSample.file(Name(name), blocks: 0)),
        ])
        #expect(reason { _ = try ManifestSample.read(file) }.contains(expected))
    }

    @Test(arguments: [["b", "a"], ["a", "a"]])
    func namesOutOfOrderAreRefused(names: [String]) {
        let file = forged(
            [encoded(ManifestSample.directory(Name([])))]
                + names.map { encoded(ManifestSample.file(Name(Array($0.utf8)), blocks: 0)) })
        #expect(reason { _ = try ManifestSample.read(file) }.contains("out of order"))
    }

    @Test func anUndoubtedEntryMustHoldAllItsAspects() {
        for strip in [
            { $0.content = nil }, { $0.entry?.xattrs = nil }, { $0.entry?.acl = nil },
        ] as [(inout ManifestEntry) -> Void] {
            var entry = ManifestSample.file(Name("x"), blocks: 1)
            strip(&entry)
            let file = forged([encoded(ManifestSample.directory(Name([]))), encoded(entry)])
            #expect(
                reason { _ = try ManifestSample.read(file) }.contains("without what its aspects"))
        }
    }

    @Test func blocksMustMakeUpTheSize() {
        var entry = ManifestSample.file(Name("x"), blocks: 2)
        entry.entry?.stat.size += 1
        let file = forged([encoded(ManifestSample.directory(Name([]))), encoded(entry)])
        #expect(reason { _ = try ManifestSample.read(file) }.contains("make up the size"))
    }

    @Test func aForgedDirectoryDigestIsRefused() {
        var end = ByteWriter()
        end.directoryEnd(DirectoryEnd(listing: .complete, entries: 0, digest: .zero))
        let file = forged([encoded(ManifestSample.directory(Name([]))), end])
        #expect(reason { _ = try ManifestSample.read(file) }.contains("does not match"))
    }

    @Test(arguments: [
        ("block-size=65536", "block-size=65535"), ("block-size=65536", "block-size=33554432"),
        ("block-size=65536", "block-size=065536"), ("digest=sha256", "digest=gmac"),
        ("digest=sha256", "digest=md5"), ("format=1", "format=2"), ("kind=directory", "kind=tape"),
        ("mounts=one", "mounts=one\nmounts=one"), ("whole-file=no", "whole-file=No"),
        ("aspects=existence,type", "aspects=type,existence"), ("tool=", "tol="),
        ("root-device=0:0", "root-device=0"), (".000000005\n", ".5\n"),
    ])
    func headersThatAreNotOursAreRefused(part: String, replacement: String) {
        let text = String(decoding: ManifestSample.header().bytes, as: UTF8.self)
        #expect(text.contains(part))
        let forged = text.split(separator: part, maxSplits: 1, omittingEmptySubsequences: false)
            .joined(separator: replacement)
        #expect(throws: FormatError.self) { _ = try ManifestHeader(Array(forged.utf8)) }
    }

    @Test func doubtHasNoDigestAboveIt() throws {
        var bad = ManifestSample.file(Name("x"), blocks: 1)
        bad.doubt = Doubt(.unreadable)
        let records: [ManifestRecord] = [
            .entry(ManifestSample.directory(Name([]))), .entry(ManifestSample.directory(Name("d"))),
            .entry(bad), ManifestSample.end(), .entry(ManifestSample.directory(Name("e"))),
            ManifestSample.end(), ManifestSample.end(),
        ]
        let (file, trailer) = try ManifestSample.write(records)
        #expect(trailer.root == nil)
        #expect(trailer.counts.unreadable == 1)
        let ends = try ManifestSample.read(file).compactMap { record -> Digest?? in
            guard case .end(let end) = record else { return nil }
            return .some(end.digest)
        }
        #expect(ends.map { $0 != nil } == [false, true, false])
    }

    @Test func onlyWhatTheAspectsNameChangesTheRoot() throws {
        func root(_ change: (inout ManifestEntry) -> Void) throws -> Digest? {
            var entry = ManifestSample.file(Name("x"), blocks: 1)
            change(&entry)
            return try ManifestSample.write([
                .entry(ManifestSample.directory(Name([]))), .entry(entry), ManifestSample.end(),
            ]).trailer.root
        }
        let plain = try root { _ in }
        #expect(plain != nil)
        #expect(try root { $0.entry?.stat.ctime.seconds = 9 } == plain)
        #expect(try root { $0.entry?.stat.inode = 9 } == plain)
        #expect(try root { $0.entry?.stat.links = 9 } == plain)
        #expect(try root { $0.isRacy = true } == plain)
        #expect(try root { $0.entry?.stat.mtime.nanoseconds = 0 } != plain)
        #expect(try root { $0.entry?.stat.mode = 0o600 } != plain)
        #expect(try root { $0.entry?.stat.gid = 9 } != plain)
        #expect(try root { $0.entry?.xattrs = .zero } != plain)
        #expect(try root { $0.linkedTo = RelativePath([0x61]) } != plain)
        #expect(try root { $0 = ManifestSample.file(Name("x"), blocks: 1, salt: 1) } != plain)
    }

    @Test func everyEntryIsFoundByName() throws {
        for seed in seeds().suffix(4) {
            var generator = SeededGenerator(seed: seed)
            let records = ManifestSample.tree(&generator, entries: 3000)
            let file = try ManifestSample.write(records).file
            var lookup = try ManifestLookup(ManifestHashes.openSSL, size: file.bytes.count) {
                file.read($0, $1)
            }
            var reader = try ManifestReader(ManifestHashes.openSSL) { file.read($0, $1) }
            while let record = try reader.next() {
                guard case .entry(let entry) = record else { continue }
                let path =
                    entry.isDirectory ? reader.directory : reader.directory.appending(entry.name)
                #expect(try lookup.entry(path) == entry, "seed \(seed)")
                let other = RelativePath(path.bytes + [0x01])
                #expect(try lookup.entry(other) == nil, "seed \(seed)")
            }
            #expect(lookup.trailer == reader.trailer)
        }
    }
}

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

    private func seeds(_ count: Int) -> [UInt64] {
        let first = Seed.fromEnvironment().value
        return (0..<rounds(count)).map { first &+ UInt64($0) }
    }

    @Test func whatIsWrittenIsRead() throws {
        for seed in seeds(5) {
            var generator = Seed(seed)
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
        var generator = Seed(7)
        let records = ManifestSample.tree(&generator, entries: 12)
        return try ManifestSample.write(records).file.bytes
    }

    /// What a forger may get wrong behind valid frame checks.
    private struct Forgery {
        var records: [ByteWriter] = []
        var counts: ManifestCounts?
        var root: Digest?
        var indexPath = RelativePath.root
        var shift = 0
        var chain: Digest?
    }

    func forged(_ records: [ByteWriter]) -> MemoryFile {
        forged(Forgery(records: records))
    }

    private func forged(_ forgery: Forgery) -> MemoryFile {
        let hashes = ManifestHashes.openSSL
        var frames = FrameWriter(
            magic: ManifestFrame.magic, hash: hashes.make(.sha256), chain: hashes.make(.sha256))
        var bytes = frames.start()
        bytes += frames.frame(ManifestFrame.header, ManifestSample.header().bytes)
        var payload = ByteWriter()
        payload.string([])
        for record in forgery.records { payload.raw(record.bytes) }
        var index = ManifestIndex()
        index.add(frames.offset, forgery.indexPath)
        index.close()
        bytes += frames.frame(ManifestFrame.entries, payload.bytes)
        let indexOffset = frames.offset
        for payload in index.payloads { bytes += frames.frame(ManifestFrame.index, payload) }
        let trailerOffset = frames.offset
        var trailer = ManifestTrailer()
        trailer.counts = forgery.counts ?? ManifestCounts()
        trailer.root = forgery.root
        bytes += frames.frame(ManifestFrame.trailer, trailer.bytes)
        let chain = frames.chainDigest()
        let footer = ManifestFooter(
            index: indexOffset + forgery.shift, trailer: trailerOffset,
            chain: forgery.chain ?? chain)
        bytes += frames.frame(ManifestFrame.footer, footer.bytes)
        return MemoryFile(bytes)
    }

    /// An empty store, and whatever the forger changed.
    @Test func forgedEndsAreRefused() throws {
        let (_, trailer) = try ManifestSample.write([
            .entry(ManifestSample.directory(Name([]))), ManifestSample.end(),
        ])
        var end = ByteWriter()
        end.directoryEnd(DirectoryEnd(listing: .complete, entries: 0, digest: trailer.root))
        let honest = Forgery(
            records: [encoded(ManifestSample.directory(Name([]))), end], counts: trailer.counts,
            root: trailer.root)
        #expect(try ManifestSample.read(forged(honest)).count == 2)
        for (change, word) in [
            ({ $0.counts?.bytes += 1 }, "counts"), ({ $0.counts?.unstable = 1 }, "counts"),
            ({ $0.root = nil }, "root digest"), ({ $0.root = .zero }, "root digest"),
            ({ $0.indexPath = RelativePath([0x61]) }, "index"), ({ $0.shift = 1 }, "footer"),
            ({ $0.chain = .zero }, "frames"), ({ $0.records.removeLast() }, "without an end"),
            ({ $0.records.append($0.records[1]) }, "without a beginning"),
            ({ $0.records.append($0.records[0]) }, "behind the root"),
        ] as [((inout Forgery) -> Void, String)] {
            var forgery = honest
            change(&forgery)
            #expect(reason { _ = try ManifestSample.read(forged(forgery)) }.contains(word))
        }
    }

    func encoded(_ entry: ManifestEntry) -> ByteWriter {
        var writer = ByteWriter()
        writer.manifestEntry(entry)
        return writer
    }

    func reason(_ body: () throws -> Void) -> String {
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
            { $0.content = nil }, { $0.entry = $0.entry?.with(xattrs: .some(nil)) },
            { $0.entry = $0.entry?.with(acl: .some(nil)) },
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

    /// By its rules a file would agree with a directory, or with one of another size.
    @Test func aHeaderWithoutTypesOrSizesIsRefused() throws {
        let withoutSize = AspectSet([.existence, .type, .content, .mode])
        for aspects: AspectSet in [[], AspectSet(.existence), AspectSet(.type), withoutSize] {
            var header = ManifestSample.header()
            header.aspects = aspects
            #expect(throws: FormatError.self) { _ = try ManifestHeader(header.bytes) }
            header.aspects = AspectSet([.existence, .type])
            #expect(try ManifestHeader(header.bytes) == header)
        }
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
        #expect(try root { $0.entry = $0.entry?.with(xattrs: .zero) } != plain)
        #expect(try root { $0.linkedTo = RelativePath([0x61]) } != plain)
        #expect(try root { $0 = ManifestSample.file(Name("x"), blocks: 1, salt: 1) } != plain)
    }

    /// Each look decodes a whole portion, so of many entries some are looked up.
    @Test func everyEntryIsFoundByName() throws {
        for seed in seeds(2) {
            var generator = Seed(seed)
            let records = ManifestSample.tree(&generator, entries: 1500)
            let step = max(1, records.count / 250)
            var number = Int.random(in: 0..<step, using: &generator)
            let file = try ManifestSample.write(records).file
            let lookup = try ManifestLookup(ManifestHashes.openSSL, size: file.bytes.count) {
                file.read($0, $1)
            }
            var reader = try ManifestReader(ManifestHashes.openSSL) { file.read($0, $1) }
            func find(_ path: RelativePath) throws -> ManifestEntry? {
                guard let number = lookup.portion(holding: path) else { return nil }
                var names = try lookup.read(portion: number).directory(path.parent)
                return path.lastName.bytes.withUnsafeBufferPointer { name in
                    names.withEntry(name) { (entry) -> ManifestEntry? in copy entry }
                }
            }
            while let record = try reader.next() {
                guard case .entry(var entry) = record else { continue }
                number += 1
                guard number % step == 0 else { continue }
                let path =
                    entry.isDirectory ? reader.directory : reader.directory.appending(entry.name)
                // The digest over the blocks is computed by a full reading alone.
                entry.content?.digest = .zero
                #expect(try find(path) == entry, "seed \(seed)")
                let other = RelativePath(path.bytes + [0x01])
                #expect(try find(other) == nil, "seed \(seed)")
            }
            #expect(lookup.trailer == reader.trailer)
        }
    }
}

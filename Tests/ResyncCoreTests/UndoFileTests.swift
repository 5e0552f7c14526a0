import ResyncCore
import TestSupport
import Testing

@Suite struct UndoFileTests {
    private static let nonce = digest(99)

    private var header: UndoHeader {
        var target = StoreReference(
            path: Array("/dev/x".utf8), kind: .device,
            identity: StoreIdentity(
                fileSystem: 5, inode: 6, device: DeviceNumber(major: 8, minor: 16)),
            size: 1 << 30)
        target.marker = StoreMarker(store: digest(3), identity: target.identity)
        return UndoHeader(run: "20261122", plan: digest(1), target: target, nonce: Self.nonce)
    }

    /// A file of three batches, and where each ends.
    private func sample(
        _ random: inout Seed
    ) throws -> (file: [UInt8], ends: [Int], records: [UndoRecord: [UInt8]]) {
        var hash = ToyHash()
        var writer = UndoWriter(header) { ToyHash() }
        var file = writer.start(header)
        var ends = [file.count]
        var records: [UndoRecord: [UInt8]] = [:]
        for batch in 0..<3 {
            for number in 0..<3 {
                let bytes = random.bytes(number == 2 ? 1 : 30 + random.below(40))
                hash.update(bytes)
                let extent = Extent(offset: batch * 1000 + number * 100, length: bytes.count)
                let record = UndoRecord(
                    number == 2 ? .aside : .displaced, extent, before: hash.finalize(),
                    after: digest(UInt64(number)))
                let kept = try bytes.withUnsafeBytes {
                    try writer.append(record, $0) { file += $0 }
                }
                records[kept] = bytes
            }
            file += writer.mark(.writing, batch * 1000..<batch * 1000 + 500)
            file += writer.seal().bytes
            ends.append(file.count)
        }
        return (file, ends, records)
    }

    private func opened(_ file: [UInt8]) throws -> UndoReader<ToyHash> {
        try UndoReader(makeHash: { ToyHash() }) { at, count in
            Array(file[min(at, file.count)..<min(at + count, file.count)])
        }
    }

    @Test func whatIsWrittenIsRead() throws {
        var random = Seed.fromEnvironment()
        let (file, ends, records) = try sample(&random)
        var reader = try opened(file + [UInt8](repeating: 0, count: 5000))
        #expect(reader.header == header)
        #expect(reader.batches.count == 3)
        #expect(reader.end == ends[3] && reader.tail == ends[3])
        #expect(reader.records == 9)
        for (record, bytes) in records {
            #expect(try reader.bytes(of: record) == bytes)
            let found = try reader.records(of: [record.extent], in: 0..<5000)
            #expect(found == (record.role == .displaced ? [record.extent: record] : [:]))
        }
        for (record, _) in records where record.role == .aside {
            var action = Action(.patch, on: .a, .root, why: .unknown)
            let other = Action.Patch(
                extent: record.extent, before: digest(77), after: record.after)
            let own = Action.Patch(extent: record.extent, before: record.after, after: digest(77))
            for (patch, found) in [(other, []), (own, [record])] {
                action.patches = [patch]
                #expect(reader.asides(of: action) == found)
            }
        }
        #expect(reader.rest == nil)
        #expect(reader.mark(on: 0..<10) == .writing)
        #expect(reader.mark(on: 600..<700) == nil)
        #expect(reader.mark(on: 2400..<9000) == .writing)
    }

    @Test func longRecordsGoOverFrames() throws {
        var random = Seed.fromEnvironment()
        let bytes = [UInt8](repeating: 7, count: (1 << 20) + 5) + random.bytes(9)
        var hash = ToyHash()
        hash.update(bytes)
        var writer = UndoWriter(header) { ToyHash() }
        var file = writer.start(header)
        let record = UndoRecord(
            .displaced, Extent(offset: 3, length: bytes.count), before: hash.finalize(),
            after: digest(2))
        let kept = try bytes.withUnsafeBytes { try writer.append(record, $0) { file += $0 } }
        var action = Action(.patch, on: .a, .root, why: .unknown)
        action.patches = [
            Action.Patch(extent: record.extent, before: record.before, after: record.after)
        ]
        file += writer.mark(.writing, 3..<9)
        file += writer.seal().bytes
        file += writer.mark(.settled, 3..<9)
        file += writer.seal().bytes
        #expect(file.count <= UndoFile.space(of: header) + UndoFile.space(of: action))
        var reader = try opened(file)
        #expect(try reader.bytes(of: kept) == bytes)
        #expect(reader.mark(on: 0..<100) == .settled)
    }

    /// A file cut anywhere gives the batches that were sealed before; one cut in its beginning is
    /// refused.
    @Test func aTornTailIsIgnored() throws {
        var random = Seed.fromEnvironment()
        let (file, ends, _) = try sample(&random)
        for length in 0..<file.count {
            for zeros in [0, 300] {
                let cut = Array(file[..<length]) + [UInt8](repeating: 0, count: zeros)
                guard length >= ends[0] else {
                    #expect(throws: FormatError.self) { try opened(cut) }
                    continue
                }
                // Where the file goes on with zeros of its own, it was cut further back.
                let same = zip(file, cut).prefix { $0 == $1 }.count
                let whole = ends.count { $0 <= same } - 1
                let reader = try opened(cut)
                #expect(reader.batches.count == whole)
                #expect(reader.end == ends[whole])
                #expect(reader.tail <= max(length, reader.end))
            }
        }
    }

    /// Every changed byte is found; only what stands behind the last whole seal is not believed
    /// without a word.
    @Test func aChangedByteIsFound() throws {
        var random = Seed.fromEnvironment()
        let (file, ends, _) = try sample(&random)
        let lastSeal = file.count - 101
        for at in file.indices {
            var changed = file
            changed[at] ^= UInt8(1 << random.below(8))
            if at >= lastSeal {
                #expect(try opened(changed).end == ends[2])
            } else {
                #expect(throws: FormatError.self, "byte \(at)") { try opened(changed) }
            }
        }
    }

    @Test func whatStandsElsewhereIsRefused() throws {
        var random = Seed.fromEnvironment()
        let (file, ends, _) = try sample(&random)
        let other = try sample(&random).file
        // A batch of another file, of the same lengths or not, in place of one.
        let mixed = Array(file[..<ends[1]] + other[ends[1]...])
        #expect(throws: FormatError.self) { try opened(mixed) }
        let without = Array(file[..<ends[1]] + file[ends[2]...])
        #expect(try opened(without).batches.count == 1)
        let twice = Array(file[..<ends[1]] + file[ends[0]...])
        #expect(try opened(twice).batches.count == 1)
    }

    @Test func writingGoesOnBehindTheLastSeal() throws {
        var random = Seed.fromEnvironment()
        let (file, ends, _) = try sample(&random)
        let cut = Array(file[..<(ends[2] + 40)])
        var again = try opened(cut)
        var writer = UndoWriter(behind: again) { ToyHash() }
        #expect(!writer.isOpen)
        var whole = Array(file[..<again.end])
        whole += writer.mark(.settled, 0..<100)
        #expect(writer.isOpen)
        let (bytes, batch) = writer.seal()
        whole += bytes
        again.add(batch)
        #expect(again.mark(on: 50..<60) == .settled)
        let found = try opened(whole)
        #expect(found.batches == again.batches)
        #expect(found.mark(on: 50..<60) == .settled && found.mark(on: 200..<300) == .writing)
    }

    @Test func whoIsTheSame() {
        let device = header.target
        var other = device
        other.identity.inode += 1
        other.identity.fileSystem += 1
        other.path = Array("/dev/other".utf8)
        #expect(device.isSameImage(as: other))
        other.identity.device.minor += 1
        #expect(!device.isSameImage(as: other))
        var file = device
        file.kind = .file
        #expect(!device.isSameImage(as: file))
        var renumbered = file
        renumbered.identity.device.minor += 1
        #expect(file.isSameImage(as: renumbered))
        renumbered.size += 1
        #expect(!file.isSameImage(as: renumbered))
        var moved = file
        moved.identity.inode += 1
        #expect(!file.isSameImage(as: moved))
        moved = file
        moved.identity.fileSystem += 1
        #expect(!file.isSameImage(as: moved))
    }
}

import ResyncCore
import ResyncStorage
import TestSupport
import Testing

@testable import ResyncEngine

/// What a run keeps is read back as it was written, or refused.
@Suite struct RunFolderTests {
    private static func kept() throws -> (stores: TwoStores, found: TwoStores.Verified) {
        let stores = TwoStores()
        for index in 0..<20 {
            stores.both { stores.disk.addFile("\($0)/f\(index)", "text") }
            stores.disk.write("/b/f\(index)", at: 0, "X")
        }
        stores.calm()
        return (stores, try stores.verify { $0.plan = { $0.checkpointInterval = 0 } })
    }

    /// Everything that can be asked of a run, in a form that can be compared.
    private static func contents(_ disk: SimulatedDisk, _ id: String) throws -> [String] {
        let state = try StateFolder(path: Array("/state".utf8), disk: disk)
        let run = try RunFolder.open(id, in: state.runs)
        var lines = [try run.header().kind]
        lines.append("\(String(describing: try run.checkpoint()))")
        lines.append("\(String(describing: try run.summary()))")
        var reader = try run.results()
        while let record = try reader.next() { lines.append(line(record)) }
        return lines
    }

    @Test func everyCutAndEveryFlippedBitIsRefused() throws {
        let (stores, found) = try Self.kept()
        let folder = "/state/runs/\(found.id)"
        let whole = try Self.contents(stores.kept, found.id)
        for name in ["header", "checkpoint", "summary", "differences"] {
            let path = "\(folder)/\(name)"
            let bytes = stores.kept.content(path)
            // Between frames a cut shows least: behind the magic, and before the last frame.
            let borders = [16, bytes.count - 21].filter { (0..<bytes.count).contains($0) }
            for size in Array(stride(from: 0, to: bytes.count, by: isLongRun ? 1 : 5)) + borders {
                stores.kept.truncate(path, to: size)
                #expect(throws: (any Error).self, "\(name) cut to \(size)") {
                    try Self.contents(stores.kept, found.id)
                }
                stores.kept.write(path, at: 0, bytes)
            }
            for at in stride(from: 0, to: bytes.count, by: isLongRun ? 1 : 7) {
                stores.kept.write(path, at: at, [bytes[at] ^ (1 << UInt8(at % 8))])
                #expect(throws: (any Error).self, "\(name) flipped at \(at)") {
                    try Self.contents(stores.kept, found.id)
                }
                stores.kept.write(path, at: at, [bytes[at]])
            }
        }
        #expect(try Self.contents(stores.kept, found.id) == whole)
    }

    /// A sum of them would be beyond any number.
    @Test func countsThatNoRunCanHaveAreRefused() {
        let changes: [(inout Summary) -> Void] = [
            { $0.leftUnread = .max }, { $0.provenBefore = .max }, { $0.tally.expected = .max },
            { $0.tally.same = .max }, { $0.tally.contentDiffers = .max },
        ]
        for change in changes {
            var summary = Summary(tally: Tally(), ending: .complete)
            change(&summary)
            var writer = ByteWriter()
            writer.summary(summary)
            var reader = ByteReader(writer.bytes)
            #expect(throws: FormatError.self) { try reader.summary() }
        }
    }

    @Test func aPartThatEndsBeyondAnyOffsetIsRefused() {
        var checkpoint = Checkpoint(
            tally: Tally(), resultsEnd: 0, elapsed: 0, saved: Timestamp(seconds: 0, nanoseconds: 0))
        checkpoint.manifests.b = ManifestPart(end: .max, pending: [1])
        var writer = ByteWriter()
        writer.checkpoint(checkpoint)
        var reader = ByteReader(writer.bytes)
        #expect(throws: FormatError.self) { try reader.checkpoint() }
    }

    @Test(arguments: ["..", "/etc", "d//x", "d\0x"])
    func aCheckpointElsewhereThanInTheStoreIsRefused(path: String) {
        let checkpoint = Checkpoint(
            through: RelativePath(Array(path.utf8)), tally: Tally(), resultsEnd: 0, elapsed: 0,
            saved: Timestamp(seconds: 0, nanoseconds: 0))
        var writer = ByteWriter()
        writer.checkpoint(checkpoint)
        var reader = ByteReader(writer.bytes)
        #expect(throws: FormatError.self) { try reader.checkpoint() }
    }

    /// Whatever moved is named, and nothing else is in the way.
    @Test func termsTellEachChange() throws {
        let store = RunTerms.Store(
            kind: .directory,
            identity: StoreIdentity(
                fileSystem: 7, inode: 2, device: DeviceNumber(major: 8, minor: 1)), size: 0)
        let terms = RunTerms(
            stores: Sides(a: store, b: store), assurance: .hash, aspects: .standard,
            exclusions: Filter().digest, selection: nil)
        var writer = ByteWriter()
        writer.terms(terms)
        var reader = ByteReader(writer.bytes)
        #expect(try reader.terms() == terms && reader.isAtEnd)
        #expect(terms.refusal(of: terms) == nil)
        func refusal(_ change: (inout RunTerms) -> Void) -> String? {
            var now = terms
            change(&now)
            return terms.refusal(of: now)
        }
        #expect(
            refusal { $0.assurance = .media } == "it was begun at hash, and would go on at media")
        #expect(refusal { $0.aspects.insert(.xattrs) }?.contains("aspects") == true)
        #expect(refusal { $0.exclusions = .zero }?.contains("exclusions") == true)
        #expect(
            refusal { $0.selection = Selection([]).digest(isWithin: false) }?.contains("list")
                == true)
        #expect(refusal { $0.stores.b.size = 1 }?.hasPrefix("B has 1 bytes") == true)
        #expect(refusal { $0.stores.a.kind = .file }?.hasPrefix("A is not") == true)
        // A plan looks at both stores anew; only a store of its own makes it another.
        var mounted = store
        mounted.identity.device = DeviceNumber(major: 8, minor: 17)
        #expect(refusal { $0.stores.b = mounted }?.hasPrefix("B is not") == true)
        let now = Sides(a: store.identity, b: mounted.identity)
        #expect(terms.otherStore(than: now) == nil)
        mounted.identity.inode = 3
        #expect(terms.otherStore(than: Sides(a: store.identity, b: mounted.identity)) == .b)
        let paths = [RelativePath(Array("x/y".utf8)), RelativePath(Array("x".utf8))]
        #expect(
            Selection(paths).digest(isWithin: false)
                != Selection([paths[0]]).digest(isWithin: false))
    }

    /// The power fails at each call to the disk that holds the run.
    @Test func aPowerLossNeverLeavesAResultThatIsNotTrue() throws {
        let (stores, found) = try Self.kept()
        let calls = stores.kept.callCount
        for nth in stride(from: 1, through: calls, by: 2) {
            let again = TwoStores()
            for path in stores.disk.paths where stores.disk.peek(path).type == .file {
                again.disk.addFile(path, stores.disk.content(path))
            }
            again.calm()
            let crashed = Crashed()
            again.kept.onCall { [kept = again.kept] call in
                if call.number == nth { crashed.take(kept, seed: UInt64(nth)) }
            }
            let run = try again.verify { $0.plan = { $0.checkpointInterval = 0 } }
            for disk in crashed.disks {
                guard let lines = try? Self.contents(disk, run.id), lines[2] != "nil" else {
                    continue
                }
                #expect(Array(lines.dropFirst(3)) == found.lines, "call \(nth)")
            }
        }
        let final = stores.kept.crash(keeping: .dropAll)
        #expect(try Self.contents(final, found.id).dropFirst(3) == found.lines[...])
    }

    @Test func linksAreComparedByTheirGroups() {
        func link(_ a: UInt64, _ b: UInt64) -> Sides<ObjectIdentity> {
            let device = DeviceNumber(major: 0, minor: 0)
            return Sides(
                a: ObjectIdentity(device: device, inode: a),
                b: ObjectIdentity(device: device, inode: b))
        }
        var random = Seed.fromEnvironment()
        for _ in 0..<rounds(200) {
            let names = (0..<8).map { _ in
                (UInt64.random(in: 0..<4, using: &random), UInt64.random(in: 0..<4, using: &random))
            }
            var comparison = LinkComparison()
            for (index, name) in names.enumerated() {
                let firstA = names.firstIndex { $0.0 == name.0 }
                let firstB = names.firstIndex { $0.1 == name.1 }
                #expect(
                    comparison.agrees(link(name.0, name.1)) == (firstA == firstB),
                    "\(names) at \(index)")
            }
        }
    }

    @Test func manyExtentsAndErrorsAreJoinedAndCanBeReadBack() throws {
        let scheme = try DigestScheme(.sha256, blockSize: 64 << 10)
        let count = 30_000
        var answers = (ContentAnswer(), ContentAnswer())
        for block in 0..<count {
            answers.0.blocks.append(.zero)
            var odd = Digest.zero
            odd.words.0 = UInt64(block % 2)
            answers.1.blocks.append(odd)
        }
        for block in stride(from: 0, to: count, by: 3) {
            answers.0.unreadable.append(
                UnreadableBlock(block: block, error: DiskError(.pread, 5)))
        }
        let size = count * scheme.blockSize
        let finding = ContentFinding(answers.0, answers.1, size: size, scheme: scheme)
        // Every other block but every third: joined evenly, and no more than is needed.
        let most = Difference.extentLimit
        #expect(finding.extents.count > most / 2 && finding.extents.count <= most)
        #expect(finding.errors.count == Difference.extentLimit)
        #expect(finding.extents.last?.end == size)
        let stats = Sides(a: Stat(type: .file, size: size), b: Stat(type: .file, size: size))
        let found = try #require(finding.merged(into: nil, stats) { RelativePath([0x78]) })
        var writer = ByteWriter()
        writer.record(.difference(found))
        var reader = ByteReader(writer.bytes)
        #expect(try reader.record() == .difference(found))
    }

    @Test func holesOfExbibytesAreQuick() throws {
        let stores = TwoStores()
        for name in ["equal", "other"] {
            stores.both { stores.disk.addSparse("\($0)/\(name)", size: .max) }
        }
        stores.disk.write("/b/other", at: 1 << 60, "X")
        stores.both { stores.disk.addSparse("\($0)/last", size: .max) }
        stores.disk.write("/a/last", at: .max - 9, "some data")
        stores.both { stores.disk.addSparse("\($0)/zeros", size: 300_000) }
        stores.disk.write("/b/zeros", at: 0, [UInt8](repeating: 0, count: 300_000))
        stores.calm()
        let found = try stores.verify()
        #expect(
            found.lines == [
                "= equal", "* last content \(Int.max - 4095)+4095 zeroed:b",
                "* other content \(1 << 60)+4096 bitflip", "= zeros",
            ])
        stores.disk.changeMount(of: "/a") { $0.fileSystem = FileSystemKind.nfs }
        stores.disk.remove("/a/equal")
        stores.disk.remove("/a/other")
        stores.disk.remove("/a/last")
        stores.disk.addSparse("/a/lies", size: 300_000)
        stores.disk.addSparse("/b/lies", size: 300_000)
        stores.disk.write("/a/lies", at: 100_000, "data")
        stores.calm()
        stores.disk.inject(Fault(.seek(nil), on: .lseek, persistent: true))
        #expect(try stores.verify().lines.contains("* lies content 98304+4096 zeroed:b"))
    }
}

/// Disks as a power loss would leave them.
final class Crashed: @unchecked Sendable {
    // Unchecked because one thread at a time writes what a run keeps.
    var disks: [SimulatedDisk] = []

    func take(_ disk: SimulatedDisk, seed: UInt64) {
        disks = [
            disk.crash(keeping: .dropAll), disk.crash(keeping: .keepAll),
            disk.crash(keeping: .random, seed: seed),
        ]
    }
}

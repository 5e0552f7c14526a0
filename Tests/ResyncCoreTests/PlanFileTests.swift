import ResyncStorage
import TestSupport
import Testing

@testable import ResyncCore

@Suite struct PlanFileTests {
    private static func hash() -> EVPHash { ManifestHashes.openSSL.make(.sha256) }

    private static var header: PlanHeader {
        var marker = StoreMarker(store: digest(1), identity: StoreIdentity(fileSystem: 1, inode: 2))
        marker.baseline = digest(2)
        marker.history = [digest(3)]
        let references = Sides(
            a: StoreReference(
                path: [0x2f, 0xff], kind: .directory,
                identity: StoreIdentity(fileSystem: 1, inode: 2), marker: marker),
            b: StoreReference(
                path: [0x2f], kind: .directory, identity: StoreIdentity(fileSystem: 1, inode: 3)))
        var header = PlanHeader(
            stores: references, authority: .baseline,
            created: Timestamp(seconds: 5, nanoseconds: 6), blockSize: 1 << 20,
            aspects: .standard, exclusions: digest(4))
        header.run = "run"
        header.hasBaseline = true
        header.entries = 17
        header.directories = 4
        header.decisions = 3
        return header
    }

    private static var imageHeader: PlanHeader {
        var header = header
        for side in Side.allCases {
            header.stores[side].kind = .file
            header.stores[side].size = 8192
        }
        return header
    }

    private static var patch: Action {
        var action = Action(.patch, on: .b, .root, why: .unknown)
        action.patches = [
            Action.Patch(
                extent: Extent(offset: 4096, length: 4096), before: digest(5), after: digest(6))
        ]
        return action
    }

    /// One action of each kind that a directory has, what settles directories last.
    private static var actions: [Action] {
        var generator = Seed(3)
        let kinds =
            Action.Kind.allCases.filter { $0 != .settleDirectory && $0 != .patch }
            + [.settleDirectory]
        return kinds.map { kind in
            let path = RelativePath(Array("d/\(kind)".utf8))
            var action = Action(kind, on: kind.rawValue % 2 == 0 ? .a : .b, path, why: .conflict)
            action.after = generator.modelEntry(.file)
            if kind != .special { action.before = generator.modelEntry(.symlink) }
            if kind == .link { action.linkTo = RelativePath([0x78]) }
            return action
        }
    }

    private static func write(
        _ actions: [Action], header: PlanHeader = header,
        _ change: (inout PlanWriter<EVPHash>) -> Void = { _ in }
    ) throws -> (file: MemoryFile, id: Digest) {
        let file = MemoryFile()
        var writer = try PlanWriter(header, hash: hash(), chain: hash()) { file.append($0) }
        for action in actions { try writer.append(action) }
        change(&writer)
        var left = PlanLeftOut()
        for (count, reason) in LeaveReason.allCases.enumerated() { left.count(reason, count + 1) }
        return (file, try writer.finish(left))
    }

    private static func open(_ file: MemoryFile) throws -> PlanReader<EVPHash> {
        try PlanReader(hash: hash(), chain: hash()) { file.read($0, $1) }
    }

    @Test func whatIsWrittenIsRead() throws {
        let many = (0..<400).flatMap { _ in Self.actions }
        // What settles directories stands last.
        let sorted =
            many.filter { $0.kind != .settleDirectory }
            + many.filter { $0.kind == .settleDirectory }
        for actions in [[], Self.actions, sorted] {
            let (file, id) = try Self.write(actions) { $0.isRootIncomplete = true }
            var reader = try Self.open(file)
            #expect(reader.id == id)
            #expect(reader.header == Self.header)
            #expect(reader.trailer.isRootIncomplete)
            #expect(reader.trailer.leftOut.count == (1...LeaveReason.allCases.count).reduce(0, +))
            let place = try #require(LeaveReason.allCases.firstIndex(of: .deletion))
            #expect(reader.trailer.leftOut.deletions == place + 1)
            var found: [Action] = []
            try reader.forEach { number, action in
                #expect(number == found.count)
                found.append(action)
            }
            #expect(found == actions)
            var backwards: [Action] = []
            try reader.forEach(backwards: true) { _, action in backwards.append(action) }
            #expect(backwards == actions.reversed())
        }
    }

    @Test func everyTruncationAndEveryFlippedByteIsRefused() throws {
        let whole = try Self.write(Self.actions).file.bytes
        for count in 0..<whole.count {
            #expect(throws: FormatError.self, "\(count) bytes") {
                _ = try Self.open(MemoryFile(Array(whole[..<count])))
            }
        }
        for at in whole.indices {
            var bytes = whole
            bytes[at] ^= UInt8(1 << (at % 8))
            #expect(throws: FormatError.self, "byte \(at)") {
                _ = try Self.open(MemoryFile(bytes))
            }
        }
        #expect(throws: FormatError.self) { _ = try Self.open(MemoryFile(whole + [0])) }
    }

    @Test func anActionMoreMakesAnotherPlan() throws {
        let actions = Self.actions
        let ids = try [actions, Array(actions.dropLast()), Array(actions.reversed())].map {
            try Self.write($0).id
        }
        #expect(Set(ids).count == 3)
    }

    /// Valid frames around counts that are not those of the actions.
    @Test func countsThatAreNotThoseOfTheActionsAreRefused() throws {
        func forged(_ change: (inout PlanTrailer) -> Void) throws -> MemoryFile {
            let file = MemoryFile()
            var writer = try PlanWriter(
                Self.header, hash: Self.hash(), chain: Self.hash()
            ) { file.append($0) }
            for action in Self.actions { try writer.append(action) }
            change(&writer.trailer)
            _ = try writer.finish(PlanLeftOut())
            return file
        }
        _ = try Self.open(try forged { _ in })
        _ = try Self.open(try forged { $0.totals.a.zeroed += 1 })
        for change in [
            { $0.totals.b.deletes -= 1 }, { $0.totals.b.deletes += 1 },
            { $0.totals.a.overwrites += 1 }, { $0.totals.b.bytesWritten += 1 },
            { $0.actions += 1 },
        ] as [(inout PlanTrailer) -> Void] {
            #expect(throws: FormatError.self) { _ = try Self.open(try forged(change)) }
        }
    }

    @Test func pathsThatLeadElsewhereAreRefused() throws {
        for path in ["..", "a/../b", "/a", "a/", "a//b", "."] {
            let action = Action(
                .remove, on: .a, RelativePath(Array(path.utf8)), why: .unknown)
            let file = try Self.write([action]).file
            #expect(throws: FormatError.self, "\(path)") { _ = try Self.open(file) }
        }
    }

    @Test func patchesBeyondTheStoreAreRefused() throws {
        var header = Self.imageHeader
        header.stores.a.size -= 1
        header.stores.b.size -= 1
        let file = try Self.write([Self.patch], header: header).file
        #expect(throws: FormatError.self) { _ = try Self.open(file) }
    }

    @Test func patchesAreRead() throws {
        let (file, _) = try Self.write([Self.patch], header: Self.imageHeader)
        var reader = try Self.open(file)
        var found: [Action] = []
        try reader.forEach { _, action in found.append(action) }
        #expect(found == [Self.patch])
    }

    @Test func whatAStoreCannotHaveIsRefused() throws {
        func action(_ kind: Action.Kind, _ path: String) -> Action {
            Action(kind, on: .b, RelativePath(Array(path.utf8)), why: .unknown)
        }
        var link = action(.link, "l")
        link.linkTo = RelativePath(Array(".resync-store".utf8))
        for wrong in [
            Self.patch, action(.remove, ""), action(.write, ".resync-store"),
            action(.metadata, ".resync-quarantine/run/1"), link,
        ] {
            let file = try Self.write([wrong]).file
            #expect(throws: FormatError.self, "\(wrong)") { _ = try Self.open(file) }
        }
        for wrong in [action(.write, ""), action(.remove, "a"), action(.metadata, "")] {
            let file = try Self.write([wrong], header: Self.imageHeader).file
            #expect(throws: FormatError.self, "\(wrong)") { _ = try Self.open(file) }
        }
        for right in [action(.metadata, ""), action(.settleDirectory, ""), action(.write, "a")] {
            _ = try Self.open(try Self.write([right]).file)
        }
    }

    @Test func countsThatOverflowAreRefused() throws {
        let file = MemoryFile()
        var writer = try PlanWriter(
            Self.header, hash: Self.hash(), chain: Self.hash()
        ) { file.append($0) }
        var left = PlanLeftOut()
        (left.conflicts, left.lost) = (.max, .max)
        _ = try writer.finish(left)
        #expect(throws: FormatError.self) { _ = try Self.open(file) }
    }
}

import ResyncCore
import ResyncStorage
import TestSupport
import Testing

@testable import ResyncEngine

/// Somebody who watches a store's directories learns the names of what is staged, takes them or
/// replaces what lies there.
@Suite struct StagedNameTests {
    @Sendable private static func isStaged(_ path: [UInt8]) -> Bool {
        RelativePath(path).lastName.bytes.starts(with: stagedPrefix)
    }

    private static func staged(on disk: SimulatedDisk) -> [[UInt8]] {
        disk.paths.filter(isStaged)
    }

    /// The contents of all files below B, whatever they are called.
    private static func texts(_ disk: SimulatedDisk) -> [String] {
        disk.paths.filter { $0.starts(with: Array("/b/".utf8)) && disk.peek($0).type == .file }
            .map { String(decoding: disk.content($0), as: UTF8.self) }
    }

    /// `f` is another one on A, `g` is missing on B.
    private static func stage() throws -> ApplyStage {
        try ApplyStage.planted(
            a: { disk in
                disk.addFile("/a/f", "what is new", Ownership(mtime: ApplyStage.calm))
                disk.addFile("/a/g", "what is more", Ownership(mtime: ApplyStage.calm))
            },
            b: { $0.addFile("/b/f", "what was old", Ownership(mtime: ApplyStage.calm)) })
    }

    // MARK: Taken before

    /// Whatever is to be made there.
    @Test(arguments: [SystemCall.openat, .symlinkat, .mknodat, .linkat, .mkdirat])
    func whatStandsAtAStagedNameIsPutAside(_ kind: SystemCall) throws {
        let stage = try (kind == .linkat ? Workload.links : .types).stage()
        let (disk, target, contents) = (stage.disk, stage.store("/a"), stage.contents())
        let plants = Counter()
        disk.onCall { call in
            guard call.kind == kind, Self.isStaged(call.path), !disk.exists(call.path),
                plants.next() == 1
            else { return }
            disk.addFile(call.path, "somebody else's", Ownership(mode: 0o600))
        }
        let result = try stage.apply()
        disk.onCall(nil)
        #expect(plants.count > 0)
        #expect(result.counts.notDone == 0, "\(result.counts)")
        #expect(ApplyStage.differences(stage.store("/b"), target) == [])
        #expect(Self.texts(disk).contains("somebody else's"))
        #expect(contents.isSubset(of: stage.contents()))
        #expect(Self.staged(on: disk) == [])
    }

    /// The action is left, theirs stays, and a later attempt succeeds.
    @Test(arguments: [SystemCall.openat, .linkat])
    func aStagedNameThatIsTakenEachTimeIsLeft(_ kind: SystemCall) throws {
        let stage = try (kind == .linkat ? Workload.links : .oneFile).stage()
        let (disk, target) = (stage.disk, stage.store("/a"))
        let contents = stage.contents()
        let plants = Counter()
        disk.onCall { call in
            guard call.kind == kind, Self.isStaged(call.path), !disk.exists(call.path) else {
                return
            }
            disk.addFile(call.path, "theirs \(plants.next())", Ownership(mode: 0o600))
        }
        let result = try stage.apply()
        disk.onCall(nil)
        #expect(plants.count >= 2)
        #expect(result.counts.changed == result.counts.notDone - result.counts.blocked)
        #expect(result.counts.changed > 0 && result.failure == nil, "\(result)")
        #expect(Self.staged(on: disk) != [])
        let theirs = Set((1...plants.count).map { "theirs \($0)" })
        #expect(theirs.isSubset(of: Self.texts(disk)))
        #expect(try stage.apply().counts.notDone == 0)
        #expect(ApplyStage.differences(stage.store("/b"), target) == [])
        #expect(theirs.isSubset(of: Self.texts(disk)))
        #expect(contents.isSubset(of: stage.contents()))
        #expect(Self.staged(on: disk) == [])
    }

    // MARK: Replaced after

    enum Replacement: String, CaseIterable, Sendable, CustomTestStringConvertible {
        /// As long and as old as what was staged.
        case file
        case symlink, directory, nothing

        var testDescription: String { rawValue }

        /// Moves what is staged away, and puts itself there.
        func take(_ path: [UInt8], on disk: SimulatedDisk) {
            let old = disk.peek(path)
            disk.rename(
                path, to: Array("/b/.resync-moved-".utf8) + RelativePath(path).lastName.bytes)
            switch self {
            case .file:
                let text = String(repeating: "X", count: old.size)
                disk.addFile(path, text, Ownership(mode: old.mode, mtime: old.mtime))
            case .symlink: disk.addSymlink(path, to: "/around/file")
            case .directory:
                disk.addDirectory(path)
                disk.addFile(path + Array("/in".utf8), "XX")
            case .nothing: break
            }
        }
    }

    /// Before it is read back, and with an exchange of names or without.
    @Test(arguments: Replacement.allCases, [true, false])
    func onlyWhatWasStagedIsPutInPlace(
        _ replacement: Replacement, _ knowsRenameRules: Bool
    ) throws {
        let stage = try Self.stage()
        let (disk, target, old) = (stage.disk, stage.store("/a"), stage.store("/b"))
        let (around, contents) = (disk.tree("/around"), stage.contents())
        disk.changeMount(of: "/b") { $0.knowsRenameRules = knowsRenameRules }
        let syncs = Counter()
        disk.onCall { call in
            guard call.kind == .syncfs, syncs.next() == 1 else { return }
            for path in Self.staged(on: disk) { replacement.take(path, on: disk) }
        }
        let result = try stage.apply()
        disk.onCall(nil)
        #expect(result.counts.conflicts == 2 && result.failure == nil, "\(result)")
        #expect(ApplyStage.differences(stage.store("/b"), old) == [])
        #expect(disk.tree("/around").differences(from: around) == [])
        #expect(contents.isSubset(of: stage.contents()))
        let others = Self.texts(disk).filter { $0.starts(with: "XX") }
        #expect(others.count == ([.file, .directory].contains(replacement) ? 2 : 0))
        #expect(Self.staged(on: disk) == [])
        #expect(try stage.apply().counts.notDone == 0)
        #expect(ApplyStage.differences(stage.store("/b"), target) == [])
    }

    /// At the last moment, when it was looked at: what stood there is kept, and so is what came.
    @Test(arguments: Replacement.allCases.filter { $0 != .nothing }, [true, false])
    func whatIsReplacedBetweenALookAndTheMoveIsAConflict(
        _ replacement: Replacement, _ knowsRenameRules: Bool
    ) throws {
        for name in ["f", "g"] {
            let stage = try Self.stage()
            let (disk, contents) = (stage.disk, stage.contents())
            let around = disk.tree("/around")
            disk.changeMount(of: "/b") { $0.knowsRenameRules = knowsRenameRules }
            let moves = Counter()
            let isLink = !knowsRenameRules && name == "g"
            disk.onCall { call in
                let isMove =
                    isLink
                    ? call.kind == .linkat && call.path == Array("/b/g".utf8)
                    : call.kind == .renameat2 && Self.isStaged(call.path)
                guard isMove, moves.count == 0 else { return }
                let text = name == "f" ? "what is new" : "what is more"
                for path in Self.staged(on: disk)
                where disk.content(path) == Array(text.utf8) && (isLink || path == call.path) {
                    moves.next()
                    replacement.take(path, on: disk)
                }
            }
            let result = try stage.apply()
            disk.onCall(nil)
            #expect(moves.count > 0, "\(name)")
            // A directory takes the place of nothing else.
            let isRefused = replacement == .directory && !knowsRenameRules && name == "f"
            let counts = isRefused ? result.counts.failed : result.counts.conflicts
            #expect(counts == 1 && result.counts.notDone == 1, "\(name) \(result)")
            #expect(result.failure == nil, "\(name) \(result)")
            #expect(contents.isSubset(of: stage.contents()), "\(name)")
            #expect(disk.tree("/around").differences(from: around) == [])
            if replacement != .symlink {
                #expect(Self.texts(disk).contains { $0.starts(with: "XX") }, "\(name)")
            }
        }
    }

    // MARK: Where it goes

    /// A symlink that is planted at the name after staging stays, and leads nowhere.
    @Test(arguments: [SystemCall.syncfs, .renameat2])
    func aSymlinkAtTheNameStaysAsItIs(_ moment: SystemCall) throws {
        let stage = try Self.stage()
        let (disk, contents) = (stage.disk, stage.contents())
        let around = disk.tree("/around")
        let plants = Counter()
        disk.onCall { call in
            guard call.kind == moment, !Self.staged(on: disk).isEmpty, plants.next() == 1 else {
                return
            }
            disk.rename("/b/f", to: "/b/moved")
            for name in ["/b/f", "/b/g"] { disk.addSymlink(name, to: "/around/file") }
        }
        let result = try stage.apply()
        disk.onCall(nil)
        #expect(plants.count > 0)
        #expect(result.counts.changed == 2 && result.failure == nil, "\(result)")
        for name in ["/b/f", "/b/g"] {
            #expect(disk.peek(name).type == .symlink)
            #expect(disk.target(name) == Array("/around/file".utf8))
        }
        #expect(disk.tree("/around").differences(from: around) == [])
        #expect(disk.content("/b/moved") == Array("what was old".utf8))
        #expect(contents.isSubset(of: stage.contents()))
        #expect(Self.staged(on: disk) == [])
    }

    // MARK: What others may read

    /// Nobody may read what is staged or placed who may not read it in the source, at any moment.
    @Test func copiesAreNeverOpenToMoreThanTheirSource() throws {
        let modes: [UInt16] = [0o600, 0o640, 0o604, 0o000, 0o4750]
        let stage = try ApplyStage.planted(
            a: { disk in
                for mode in modes {
                    let own = Ownership(mode: mode, uid: 42, gid: 43, mtime: ApplyStage.calm)
                    disk.addFile("/a/new\(mode)", "a secret", own)
                    disk.addFile("/a/old\(mode)", "a secret", own)
                    disk.link("/a/old\(mode)", as: "/around/old\(mode)")
                }
            },
            b: { disk in
                for mode in modes {
                    disk.addFile("/b/old\(mode)", "everybody's", Ownership(mode: 0o666))
                }
            })
        let disk = stage.disk
        let looks = Counter()
        disk.onCall { _ in
            for path in disk.paths where path.starts(with: Array("/b/".utf8)) {
                let now = disk.peek(path)
                guard now.type == .file else { continue }
                // What an exchange has displaced has the staged name for a moment.
                let text = String(decoding: disk.content(path), as: UTF8.self)
                guard Self.isStaged(path) ? text != "everybody's" : text == "a secret" else {
                    continue
                }
                looks.next()
                // Closed until it is another's, then open to nobody whom the source keeps out.
                let isClosed = now.mode & ~0o600 == 0 && (now.uid == 42 || now.uid == 0)
                let isAsSource = now.uid == 42 && now.gid == 43 && modes.contains(now.mode)
                #expect(isClosed || isAsSource, "\(escaped(path)) \(now)")
                guard !Self.isStaged(path), let name = RelativePath(path).lastName.mode else {
                    continue
                }
                #expect(now.mode & ~name == 0, "\(escaped(path)) \(now)")
            }
        }
        let result = try stage.apply()
        disk.onCall(nil)
        #expect(looks.count > 100)
        #expect(result.counts.notDone == 0, "\(result.counts)")
        for mode in modes {
            for name in ["/b/new\(mode)", "/b/old\(mode)"] {
                let now = disk.peek(name)
                #expect(now.mode == mode && now.uid == 42 && now.gid == 43 && now.links == 1)
            }
        }
    }

    // MARK: Names elsewhere

    /// A file with names that the store does not hold is copied as one of its own, and no record
    /// says that the names were compared.
    @Test func namesOutsideOfTheStoreAreNotRecorded() throws {
        let stage = try ApplyStage.planted(
            a: { disk in
                for name in ["f", "g"] {
                    disk.addFile("/a/\(name)", "of A: \(name)", Ownership(mtime: ApplyStage.calm))
                }
                disk.link("/a/f", as: "/around/other")
            },
            b: { _ in }, details: AspectSet(.links))
        #expect(try stage.apply().counts.notDone == 0)
        #expect(stage.disk.peek("/b/f").links == 1 && stage.disk.peek("/a/f").links == 2)
        #expect(try stage.confirm().different == [])
        let identities = Sides(a: StoreIdentity(), b: StoreIdentity())
        let baseline = try #require(try stage.state().baselines.find(identities))
        let aspects = try ["f", "g"].map { name in
            var records = try baseline.records()
            let path = RelativePath(Array(name.utf8))
            return try #require(try records.record(of: path)).aspects
        }
        #expect(!aspects[0].contains(.links))
        #expect(aspects[1] == aspects[0].union(AspectSet(.links)))
    }
}

extension Name {
    /// Of `new384` or `old384`.
    fileprivate var mode: UInt16? {
        UInt16(String(decoding: bytes.dropFirst(3), as: UTF8.self))
    }
}

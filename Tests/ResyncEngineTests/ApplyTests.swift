import ResyncCore
import ResyncStorage
import Synchronization
import TestSupport
import Testing

@testable import ResyncEngine

@Suite struct ApplyTests {
    @Test(arguments: Workload.allCases)
    func aPlanIsCarriedOutConfirmedAndTakenBack(_ workload: Workload) throws {
        let stage = try workload.stage()
        let before = stage.store("/b")
        let result = try stage.apply()
        #expect(result.failure == nil)
        #expect(result.counts.notDone == 0, "\(result.counts)")
        #expect(ApplyStage.differences(stage.store("/b"), stage.store("/a")) == [])
        let confirmed = try stage.confirm()
        #expect(confirmed.different == [])
        #expect(confirmed.result.unreadable == 0)
        let undone = try stage.undo()
        #expect(undone.counts.notDone == 0, "\(undone.counts)")
        #expect(stage.store("/b").differences(from: before) == [])
    }

    /// Nothing is left to do, and nothing is done.
    @Test(arguments: Workload.allCases)
    func appliedAgainNothingIsTouched(_ workload: Workload) throws {
        let stage = try workload.stage()
        try stage.apply()
        let before = stage.disk.tree("/b")
        let result = try stage.apply()
        #expect(result.counts.notDone == 0)
        #expect(stage.disk.tree("/b").differences(from: before) == [])
    }

    @Test func theSourceIsNeverChanged() throws {
        let stage = try Workload.mixed.stage()
        let before = stage.disk.tree("/a")
        try stage.apply()
        try stage.undo()
        #expect(stage.disk.tree("/a").differences(from: before) == [])
    }
}

extension SimulatedDisk {
    /// The directories above a path that are not there yet.
    func addParents(of path: String) {
        var above = ""
        for name in path.split(separator: "/").dropLast() {
            above += "/" + name
            if !exists(above) { addDirectory(above, Ownership(mtime: ApplyStage.calm)) }
        }
    }
}

/// What there is to do, small enough to lose the power at every moment of it.
enum Workload: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case oneFile, smallFiles, types, deleteTree, links, metadata, sparse, mixed

    var testDescription: String { rawValue }

    func stage() throws -> ApplyStage {
        try ApplyStage.planted(
            a: { build($0, "/a") }, b: { build($0, "/b") }, details: details)
    }

    /// Attributes cost two calls for each look at an entry: where they are the point.
    var details: AspectSet { self == .metadata ? AspectSet([.xattrs, .acl]) : [] }

    private static let old = Ownership(mtime: Timestamp(seconds: 1_500_000_000, nanoseconds: 5))
    private static let new = Ownership(mtime: Timestamp(seconds: 1_550_000_000, nanoseconds: 7))

    private func build(_ disk: SimulatedDisk, _ root: String) {
        let isA = root == "/a"
        let own = isA ? Self.new : Self.old
        func file(_ path: String, _ text: String, _ given: Ownership? = nil) {
            disk.addParents(of: "\(root)/\(path)")
            disk.addFile("\(root)/\(path)", text, given ?? own)
        }
        switch self {
        case .oneFile: file("f", isA ? "what is new" : "what was old")
        case .smallFiles:
            for number in 0..<20 where isA || number % 2 == 0 {
                file("d\(number / 4)/f\(number)", "\(root) \(number)")
            }
        case .types: types(disk, root, isA)
        case .deleteTree:
            file("kept", "kept", Self.old)
            if isA {
                file("n/m/k/f", "new below new directories")
            } else {
                for number in 0..<15 { file("t/d\(number / 3)/e/f\(number)", "gone \(number)") }
            }
        case .links: links(disk, root, isA)
        case .metadata: metadata(disk, root, isA)
        case .sparse:
            disk.addSparse("\(root)/s", size: 1 << 20, own)
            disk.write("\(root)/s", at: isA ? 200_000 : 8192, "data")
            disk.change("\(root)/s", own)
        case .mixed:
            types(disk, root, isA)
            links(disk, root, isA)
            for number in 0..<12 where isA || number > 3 {
                file("x/y\(number % 3)/f\(number)", "\(isA && number > 6 ? "n" : "o") \(number)")
            }
            if !isA { file("x/old/f", "only here") }
        }
    }

    private func metadata(_ disk: SimulatedDisk, _ root: String, _ isA: Bool) {
        disk.addParents(of: "\(root)/m/f")
        for number in 0..<8 {
            let path = "\(root)/m/f\(number)"
            // Of these, a change of owner takes bits away.
            let old: UInt16 = [0o600, 0o4711, 0o6755, 0o2644][number % 4]
            let given = Ownership(
                mode: isA ? 0o4750 : old, uid: isA ? UInt32(number) : 7,
                mtime: Timestamp(seconds: 1_500_000_000, nanoseconds: isA ? 9 : 8))
            disk.addFile(path, "same \(number)", given)
            // These must be replaced: attributes are not changed where they are.
            if number > 5 {
                disk.setAttribute(path, "user.of", root)
                if isA { disk.setAttribute(path, "security.capability", "may") }
                disk.change(path, given)
            }
        }
        disk.setAttribute("\(root)/m", isA ? "user.new" : "user.old", root)
        let own = isA ? Self.new : Self.old
        disk.change("\(root)/m", Ownership(mode: isA ? 0o2750 : 0o755, mtime: own.mtime))
    }

    private func types(_ disk: SimulatedDisk, _ root: String, _ isA: Bool) {
        let own = isA ? Self.new : Self.old
        disk.addDirectory("\(root)/types", own)
        let kinds = ["file", "dir", "link", "fifo"]
        for old in kinds {
            for new in kinds where new != old {
                let path = "\(root)/types/\(old)-\(new)"
                switch isA ? new : old {
                case "file": disk.addFile(path, "file of \(root)", own)
                case "dir":
                    disk.addDirectory(path, own)
                    disk.addFile("\(path)/in", "in \(root)\(old)\(new)", own)
                case "link": disk.addSymlink(path, to: "there/\(root)", own)
                default: disk.addFifo(path, own)
                }
            }
        }
    }

    /// One group is split, one is joined, one is there already.
    private func links(_ disk: SimulatedDisk, _ root: String, _ isA: Bool) {
        let own = isA ? Self.new : Self.old
        disk.addDirectory("\(root)/l", own)
        disk.addFile("\(root)/l/one", "linked \(root)", own)
        for name in ["two", "three"] {
            if isA {
                disk.link("\(root)/l/one", as: "\(root)/l/\(name)")
            } else {
                disk.addFile("\(root)/l/\(name)", "alone \(name)", own)
            }
        }
        disk.addFile("\(root)/l/x", "split x", own)
        if isA {
            disk.addFile("\(root)/l/y", "split y", own)
        } else {
            disk.link("\(root)/l/x", as: "\(root)/l/y")
        }
    }
}

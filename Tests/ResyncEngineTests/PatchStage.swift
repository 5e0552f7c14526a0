import Glibc
import ResyncCore
import ResyncStorage
import TestSupport
import Testing

@testable import ResyncEngine

/// An image `/a/image`, another at `/b/image` that differs in scattered extents, the last partial
/// block among them, and what is needed to patch B as A is; undo files lie in `/state`.
struct PatchStage: Sendable {
    let disk = SimulatedDisk()
    let size: Int
    let actions: [Action]
    /// The path of the target.
    let target: String
    let before: [UInt8]
    let after: [UInt8]
    static let plan = Digest(words: (1, 2, 3, 4))
    static let number = DeviceNumber(major: 7, minor: 3)

    init(device: Bool = false, extents count: Int = 40, seed: UInt64 = 1) {
        // A device ends with a sector, a file anywhere.
        let last = 2 * count + 8
        size = (last << 12) + (device ? 512 : 1234)
        let old = generatedBytes(seed: 77, 0..<size)
        var new = old
        var random = Seed(seed)
        var pages = Set([last])
        while pages.count < count { pages.insert(2 * Int.random(in: 0..<count, using: &random)) }
        // One is longer than a page.
        pages.insert(3)
        var extents: [Extent] = []
        for page in pages.sorted() {
            let range = page << 12..<min((page + 1) << 12, size)
            for at in range { new[at] = UInt8.random(in: 0...255, using: &random) }
            if let last = extents.last, last.end == range.lowerBound {
                extents[extents.count - 1].length += range.count
            } else {
                extents.append(Extent(offset: range.lowerBound, length: range.count))
            }
        }
        before = old
        after = new
        actions = Self.actions(extents, old, new)
        disk.addFile("/a/image", new)
        target = device ? "/dev/b" : "/b/image"
        if device {
            disk.addDevice(target, .blockDevice, number: Self.number, size: size)
            disk.write(target, at: 0, old)
        } else {
            disk.addFile(target, old)
        }
        disk.addDirectory("/state")
    }

    /// Five extents to an action.
    private static func actions(
        _ extents: [Extent], _ old: [UInt8], _ new: [UInt8]
    ) -> [Action] {
        stride(from: 0, to: extents.count, by: 5).map { start in
            var action = Action(.patch, on: .b, .root, why: .editedOnA)
            action.patches = extents[start...].prefix(5).map {
                Action.Patch(
                    extent: $0, before: sha256(old[$0.offset..<$0.end]),
                    after: sha256(new[$0.offset..<$0.end]))
            }
            return action
        }
    }

    static func sha256(_ bytes: some Collection<UInt8>) -> Digest {
        var hash = frameHash()
        hash.update(Array(bytes))
        return hash.finalize()
    }

    var space: Int { actions.reduce(0) { $0 + UndoFile.space(of: $1) } }

    // MARK: Opening

    var planned: StoreReference {
        let stat = disk.peek(target)
        let isDevice = stat.type == .blockDevice
        return StoreReference(
            path: Array(target.utf8), kind: isDevice ? .device : .file,
            identity: StoreIdentity(
                fileSystem: SimulatedMount(number: 0).identity, inode: stat.inode,
                device: isDevice ? stat.special : stat.device),
            size: size)
    }

    func openTarget(_ disk: SimulatedDisk) throws -> ImageTarget {
        try ImageTarget(planned, disk: disk, files: NoKernelFiles())
    }

    static let undoName = Array("undo".utf8)

    func log(_ disk: SimulatedDisk, _ target: ImageTarget, plan: Digest = plan) throws -> UndoLog {
        let folder = try Folder.make(path: Array("/state".utf8), disk: disk)
        do {
            return try UndoLog.open(
                Self.undoName, in: folder, run: "run", plan: plan, target: target)
        } catch let error as DiskError where error.number == ENOENT {
            return try UndoLog.create(
                Self.undoName, in: folder, run: "run", plan: plan, target: target, space: space)
        }
    }

    static func worker() throws -> Worker {
        try Worker(
            scheme: DigestScheme(.sha256, blockSize: 64 << 10), pulse: Pulse(), stop: Stop())
    }

    private func patcher(_ disk: SimulatedDisk) throws -> ImagePatcher {
        let target = try openTarget(disk)
        return ImagePatcher(
            target, try log(disk, target), try Self.worker(), batchBytes: 64 << 10)
    }

    // MARK: Patching

    func apply(_ disk: SimulatedDisk) throws -> PatchOutcome {
        let patcher = try patcher(disk)
        let source = try LocalSite(
            path: Array("/a/image".utf8), disk: disk, options: LocalSiteOptions())
        return try patcher.apply(
            actions, from: OpenContent(try source.image(upTo: .max), 0))
    }

    func undo(
        _ disk: SimulatedDisk, isDone: (Int) -> Bool = { _ in false }
    ) throws -> PatchOutcome {
        let patcher = try patcher(disk)
        return try patcher.undo(actions, isDone: isDone)
    }

    func medium(_ disk: SimulatedDisk) -> [UInt8] { disk.mediumContent(target) }

    // MARK: The invariant

    /// Why bytes would be lost if nothing more happened; nil when each extent is as it was, as it
    /// is to be, or kept in the undo file, and all else is as it was.
    func loss(_ disk: SimulatedDisk) -> String? {
        let now = medium(disk)
        guard now.count == size else { return "\(now.count) bytes instead of \(size)" }
        var rest = now
        var torn: [Action.Patch] = []
        for patch in actions.flatMap(\.patches) {
            let range = patch.extent.offset..<patch.extent.end
            rest.replaceSubrange(range, with: before[range])
            if !areEqual(now, before, range), !areEqual(now, after, range) { torn.append(patch) }
        }
        if !areEqual(rest, before, 0..<size) { return "bytes outside the plan changed" }
        if torn.isEmpty { return nil }
        do {
            let bytes = disk.content("/state/undo")
            var reader = try UndoReader(makeHash: frameHash) { at, count in
                Array(bytes[min(at, bytes.count)..<min(at + count, bytes.count)])
            }
            let found = try reader.records(of: Set(torn.map(\.extent)), in: 0..<size)
            for patch in torn {
                guard let record = found[patch.extent] else { return "torn, and not kept" }
                let range = patch.extent.offset..<patch.extent.end
                let kept = try reader.bytes(of: record)
                if kept != Array(before[range]) { return "kept wrongly" }
            }
            return nil
        } catch {
            return "torn, and the undo file is \(error)"
        }
    }
}

/// Much faster than comparing slices in a debug build.
func areEqual(_ a: [UInt8], _ b: [UInt8], _ range: Range<Int>) -> Bool {
    guard range.upperBound <= min(a.count, b.count) else { return false }
    return a.withUnsafeBytes { a in
        b.withUnsafeBytes { b in
            guard let a = a.baseAddress, let b = b.baseAddress else { return range.isEmpty }
            return memcmp(a + range.lowerBound, b + range.lowerBound, range.count) == 0
        }
    }
}

func areEqual(_ a: [UInt8], _ b: [UInt8]) -> Bool {
    a.count == b.count && areEqual(a, b, 0..<a.count)
}

/// A kernel with nothing mounted, swapped or looped.
struct NoKernelFiles: KernelFiles {
    func read(_ path: [UInt8], limit: Int) throws(DiskError) -> [UInt8] {
        if path == Array("/proc/self/mountinfo".utf8) { return [] }
        throw DiskError(.openat, ENOENT)
    }

    func names(in path: [UInt8]) throws(DiskError) -> [[UInt8]] {
        throw DiskError(.openat, ENOENT)
    }

    func target(of path: [UInt8]) throws(DiskError) -> [UInt8] {
        throw DiskError(.readlinkat, ENOENT)
    }
}

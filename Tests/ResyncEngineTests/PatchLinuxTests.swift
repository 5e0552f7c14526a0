import Foundation
import ResyncCore
import ResyncStorage
import TestSupport
import Testing

@testable import ResyncEngine

/// The kernel's own files and devices.
@Suite(.serialized) struct PatchLinuxTests {
    private final class Images {
        let folder: String
        let stage = PatchStage(extents: 60, seed: 9)
        var device: String?

        init() throws {
            folder = NSTemporaryDirectory() + "/resync-patch-\(UUID().uuidString)"
            for path in [folder, folder + "/state"] {
                try FileManager.default.createDirectory(
                    atPath: path, withIntermediateDirectories: false)
            }
            // A loop device leaves out what is no whole sector.
            try write("a", stage.after)
            try write("b", stage.before)
        }

        deinit {
            if let device { _ = run("losetup", "-d", device) }
            try? FileManager.default.removeItem(atPath: folder)
        }

        func write(_ name: String, _ bytes: [UInt8]) throws {
            try Data(bytes).write(to: URL(fileURLWithPath: folder + "/" + name))
        }

        var content: [UInt8] {
            FileManager.default.contents(atPath: folder + "/b").map { Array($0) } ?? []
        }

        func run(_ words: String...) -> String? {
            let process = Process()
            let output = Pipe()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments = words
            process.standardOutput = output
            process.standardError = FileHandle.nullDevice
            guard (try? process.run()) != nil else { return nil }
            let data = output.fileHandleForReading.readDataToEndOfFile()
            process.waitUntilExit()
            guard process.terminationStatus == 0 else { return nil }
            return String(decoding: data, as: UTF8.self).trimmingCharacters(
                in: .whitespacesAndNewlines)
        }

        func patcher(_ path: String) throws -> ImagePatcher {
            let disk = LinuxDisk()
            let facts = try LocalSite(
                path: Array(path.utf8), disk: disk, options: LocalSiteOptions()
            ).facts
            let isDevice = facts.kind == .device
            let planned = StoreReference(
                path: facts.path, kind: isDevice ? .device : .file,
                identity: StoreIdentity(
                    fileSystem: facts.fileSystem.identity, inode: facts.stat.inode,
                    device: isDevice ? facts.stat.special : facts.stat.device),
                size: facts.size)
            let target = try ImageTarget(planned, disk: disk)
            let state = try Folder.make(path: Array((folder + "/state").utf8), disk: disk)
            let log: UndoLog
            do {
                log = try UndoLog.open(
                    PatchStage.undoName, in: state, run: "run", plan: PatchStage.plan,
                    target: target)
            } catch let error as DiskError where error.number == ErrorNumber.noEntry {
                log = try UndoLog.create(
                    PatchStage.undoName, in: state, run: "run", plan: PatchStage.plan,
                    target: target, space: stage.space)
            }
            return ImagePatcher(
                target, log, try PatchStage.worker(), batchBytes: 64 << 10)
        }

        func apply(_ patcher: ImagePatcher, _ actions: [Action]) throws -> PatchOutcome {
            let source = try LocalSite(
                path: Array((folder + "/a").utf8), disk: LinuxDisk(),
                options: LocalSiteOptions())
            return try patcher.apply(
                actions, from: OpenContent(try source.image(upTo: .max), 0))
        }
    }

    @Test func anImage() throws {
        let images = try Images()
        let actions = images.stage.actions
        do {
            let patcher = try images.patcher(images.folder + "/b")
            let half = try images.apply(patcher, Array(actions.prefix(4)))
            #expect(half.results.allSatisfy { $0 == .done })
        }
        // Once it is done, what is neither old nor new is no crash's but somebody's.
        let other = actions[3].patches[1].extent
        let newer = Data(repeating: 0x5a, count: 512)
        let file = try #require(FileHandle(forWritingAtPath: images.folder + "/b"))
        try file.seek(toOffset: UInt64(other.offset))
        try file.write(contentsOf: newer)
        try file.close()
        do {
            let patcher = try images.patcher(images.folder + "/b")
            let results = try images.apply(patcher, actions).results
            #expect(results.indices.allSatisfy { results[$0] == ($0 == 3 ? .changed : .done) })
        }
        let patcher = try images.patcher(images.folder + "/b")
        let results = try patcher.undo(actions).results
        #expect(results.indices.allSatisfy { results[$0] == ($0 == 3 ? .changed : .done) })
        var expected = images.stage.before
        expected.replaceSubrange(
            other.offset..<other.end, with: images.stage.after[other.offset..<other.end])
        expected.replaceSubrange(other.offset..<other.offset + 512, with: newer)
        let isRight = images.content == expected
        #expect(isRight)
    }

    @Test func aDevice() throws {
        let images = try Images()
        guard getuid() == 0,
            let device = images.run("losetup", "-f", "--show", images.folder + "/b")
        else { return skip("no loop devices") }
        images.device = device
        // The last extent lies behind what the device has.
        let actions = Array(images.stage.actions.dropLast())
        do {
            let patcher = try images.patcher(device)
            #expect(try images.apply(patcher, actions).results.allSatisfy { $0 == .done })
            let last = images.stage.actions.suffix(1)
            #expect(try images.apply(patcher, Array(last)).results == [.changed])
        }
        var expected = images.stage.before
        for patch in actions.flatMap(\.patches) {
            let range = patch.extent.offset..<patch.extent.end
            expected.replaceSubrange(range, with: images.stage.after[range])
        }
        #expect(images.content.elementsEqual(expected))
        let patcher = try images.patcher(device)
        #expect(try patcher.undo(actions).results.allSatisfy { $0 == .done })
        #expect(images.content == images.stage.before)
    }
}

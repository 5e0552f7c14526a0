import Foundation
import TestSupport
import Testing

@testable import ResyncCore

/// Our exclusions and those of the `rsync` that is installed, on random trees and rules.
@Suite struct FilterTestsAgainstRsync {
    @Test func leavesOutWhatRsyncLeavesOut() throws {
        guard let rsync = installedRsync() else {
            print("skipped: rsync is not installed")
            return
        }
        let environment = ProcessInfo.processInfo.environment
        let rounds = environment["RESYNC_TEST_ROUNDS"].flatMap { Int($0) } ?? 60
        var random = Seed.fromEnvironment()
        var left = 0
        var refused = 0
        let tree = try RandomTree(using: &random)
        defer { tree.remove() }
        for round in 0..<rounds {
            let form = RuleForm.allCases[round % RuleForm.allCases.count]
            let rules = form.rules(for: tree, using: &random)
            let theirs = try tree.list(rsync, form.arguments(rules, in: tree.folder))
            let shown = rules.map { escaped($0) }
            do {
                let filter = try form.filter(rules)
                let ours = tree.list(filter)
                left += tree.entries.count - ours.count
                let difference = ours.symmetricDifference(theirs ?? []).map { escaped($0) }
                #expect(theirs != nil && difference == [], "\(form) \(shown)")
            } catch {
                refused += 1
                #expect(theirs == nil, "\(error): \(form) \(shown)")
            }
        }
        let shown = "\(rounds) rounds over \(tree.entries.count) entries"
        print("leavesOutWhatRsyncLeavesOut: \(shown), \(left) left out, \(refused) refused")
        #expect(left > rounds / 4, "the rules leave too little out")
    }

    private func installedRsync() -> URL? {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        return path.split(separator: ":").map { URL(filePath: "\($0)/rsync") }
            .first { FileManager.default.isExecutableFile(atPath: $0.path) }
    }
}

/// How rules are given to rsync.
private enum RuleForm: CaseIterable {
    case arguments, lines, zeros

    func rules(for tree: RandomTree, using random: inout Seed) -> [[UInt8]] {
        var rules: [[UInt8]] = []
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            let path = tree.entries.randomElement(using: &random)?.path ?? []
            var rule = random.pattern(from: path)
            switch Int.random(in: 0..<20, using: &random) {
            case 0..<5: rule = Array("+ ".utf8) + rule
            case 5..<9: rule = Array("- ".utf8) + rule
            case 9:
                let special = ["!", "", "; x", "#x", "- !", "*/"].randomElement(using: &random)
                rule = Array((special ?? "").utf8)
            default: break
            }
            if random.chance(1) { rule = Array("+ ".utf8) }
            // An argument reaches a process as text.
            if self == .arguments, validText(rule) == nil { rule.removeAll { $0 > 0x7f } }
            rules.append(rule)
        }
        return rules
    }

    private func list(_ rules: [[UInt8]]) -> [UInt8] {
        let ends: [[UInt8]] = self == .zeros ? [[0]] : [[10], [13, 10], [13], [10, 10]]
        return rules.enumerated().flatMap { $1 + ends[$0 % ends.count] }
    }

    func arguments(_ rules: [[UInt8]], in folder: URL) throws -> [String] {
        guard self != .arguments else { return rules.map { "--exclude=" + (validText($0) ?? "") } }
        let file = folder.appending(path: "rules")
        try Data(list(rules)).write(to: file)
        return (self == .zeros ? ["--from0"] : []) + ["--exclude-from=" + file.path]
    }

    func filter(_ rules: [[UInt8]]) throws(FilterError) -> Filter {
        var filter = Filter()
        if self == .arguments {
            for rule in rules { try filter.add(rule: rule) }
        } else {
            try filter.add(list: list(rules), separator: self == .zeros ? 0 : 10)
        }
        return filter
    }
}

/// Directories, files and symlinks with names that are hard on patterns.
private struct RandomTree {
    struct Entry {
        let parent: [UInt8]
        let name: [UInt8]
        let isDirectory: Bool

        var path: [UInt8] { parent.isEmpty ? name : parent + [slash] + name }
    }

    let folder: URL
    /// Each directory before what it holds.
    private(set) var entries: [Entry] = []

    init(using random: inout Seed) throws {
        folder = FileManager.default.temporaryDirectory.appending(
            path: "resync-filter-" + UUID().uuidString)
        for name in ["source", "target"] {
            try FileManager.default.createDirectory(
                at: folder.appending(path: name), withIntermediateDirectories: true)
        }
        try fill([], depth: 0, using: &random)
    }

    private mutating func fill(
        _ parent: [UInt8], depth: Int, using random: inout Seed
    ) throws {
        var taken: Set<[UInt8]> = []
        for _ in 0..<Int.random(in: 5...7, using: &random) {
            let name = random.filterName()
            guard taken.insert(name).inserted else { continue }
            let isDirectory = depth < 3 && random.chance(55)
            let entry = Entry(parent: parent, name: name, isDirectory: isDirectory)
            let path = Array((folder.path + "/source/").utf8) + entry.path + [0]
            let created = path.map { CChar(bitPattern: $0) }.withUnsafeBufferPointer { path in
                path.baseAddress.map { path in
                    if isDirectory { return mkdir(path, 0o755) }
                    if random.chance(20) { return symlink(".", path) }
                    return close(open(path, O_CREAT | O_WRONLY, 0o644))
                }
            }
            try #require(created == 0)
            entries.append(entry)
            if isDirectory { try fill(entry.path, depth: depth + 1, using: &random) }
        }
    }

    func remove() { try? FileManager.default.removeItem(at: folder) }

    /// The paths that a walk which asks `filter` meets, directories with a slash behind.
    func list(_ filter: Filter) -> Set<[UInt8]> {
        var entered: Set<[UInt8]> = [[]]
        var paths: Set<[UInt8]> = []
        for entry in entries where entered.contains(entry.parent) {
            let isOut = entry.name.withUnsafeBufferPointer {
                filter.excludes($0, in: entry.parent, isDirectory: entry.isDirectory)
            }
            guard !isOut else { continue }
            if entry.isDirectory { entered.insert(entry.path) }
            paths.insert(entry.path + (entry.isDirectory ? [slash] : []))
        }
        return paths
    }

    /// The paths that rsync would copy; nil when it refuses a rule.
    func list(_ rsync: URL, _ arguments: [String]) throws -> Set<[UInt8]>? {
        let process = Process()
        let output = Pipe()
        process.executableURL = rsync
        process.currentDirectoryURL = folder
        process.environment = ["LC_ALL": "C"]
        process.arguments =
            ["-an", "-8", "--out-format=%n"] + arguments + ["source/", "target/"]
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let bytes = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            try #require(process.terminationStatus == 1, "rsync failed otherwise than on a rule")
            return nil
        }
        return Set(bytes.split(separator: 10).map { Array($0) }.filter { $0 != Array("./".utf8) })
    }
}

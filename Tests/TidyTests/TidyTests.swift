import Foundation
import Testing

/// One line that breaks a rule.
private struct Finding: CustomStringConvertible {
    let path: String
    let line: Int
    let what: String

    var description: String { "\(path):\(line): \(what)" }
}

/// A text file of the project.
private struct Source {
    /// From the project's root.
    let path: String
    let lines: [String]
    /// The lines without string literals and comments.
    let codes: [String]

    init(_ path: String, _ text: String) {
        self.path = path
        lines = text.components(separatedBy: "\n")
        codes = lines.map { Self.code($0) }
    }

    var folder: Substring { path[..<(path.lastIndex(of: "/") ?? path.startIndex)] }
    var name: Substring {
        path[(path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex)...]
    }

    func finding(_ line: Int, _ what: String) -> Finding {
        Finding(path: path, line: line + 1, what: what)
    }

    func code(_ index: Int) -> String { codes[index] }

    static func code(_ line: String) -> String {
        var code: [UInt8] = []
        var isText = false
        var isEscaped = false
        for byte in line.utf8 {
            if isText {
                if byte == UInt8(ascii: "\""), !isEscaped { isText = false }
                isEscaped = byte == UInt8(ascii: "\\") && !isEscaped
                if !isText { code.append(byte) }
            } else if byte == UInt8(ascii: "/"), code.last == byte {
                code.removeLast()
                break
            } else {
                isText = byte == UInt8(ascii: "\"")
                code.append(byte)
            }
        }
        return String(decoding: code, as: UTF8.self)
    }

    /// The lines in which a pattern occurs.
    func lines(matching pattern: String, inComments: Bool) -> [Int] {
        let text = (inComments ? lines : codes).joined(separator: "\n") as NSString
        guard
            let expression = try? NSRegularExpression(
                pattern: pattern, options: .anchorsMatchLines)
        else { preconditionFailure("no pattern: \(pattern)") }
        let whole = NSRange(location: 0, length: text.length)
        return expression.matches(in: text as String, range: whole).map { match in
            text.substring(to: match.range.location).utf8.count { $0 == UInt8(ascii: "\n") }
        }
    }
}

private func matches(_ pattern: String, _ text: String) -> Bool {
    text.range(of: pattern, options: .regularExpression) != nil
}

// MARK: Rules

private let importTable: [String: Set<String>] = [
    "ResyncCore": [],
    "ResyncStorage": [
        "ResyncCore", "CLinux", "COpenSSL", "Glibc", "Dispatch", "Synchronization",
    ],
    "ResyncEngine": ["ResyncCore", "ResyncStorage"],
    // GRDB hands byte strings over as Foundation's Data.
    "ResyncLedger": ["ResyncCore", "GRDB", "Foundation"],
    "resync": [
        "ResyncCore", "ResyncStorage", "ResyncEngine", "ResyncLedger", "ArgumentParser", "Yams",
        "Glibc", "Dispatch", "Synchronization",
    ],
]

@Sendable private func forbiddenImports(_ source: Source) -> [Finding] {
    let parts = source.path.split(separator: "/")
    guard parts.first == "Sources", parts.count > 2 else { return [] }
    let module = String(parts[1])
    let allowed = importTable[module]
    return source.lines.indices.compactMap { index in
        let words = source.code(index).split(separator: " ")
        guard let at = words.firstIndex(of: "import"), at < 3, at + 1 < words.count,
            words[..<at].allSatisfy({ $0.first == "@" || ["package", "public"].contains($0) })
        else { return nil }
        let imported = String(words[words.count - 1].split(separator: ".")[0])
        guard let allowed else { return source.finding(index, "module not in the import table") }
        if allowed.contains(imported) { return nil }
        return source.finding(index, "\(module) may not import \(imported)")
    }
}

@Sendable private func longLines(_ source: Source) -> [Finding] {
    source.lines.indices.filter { index in
        source.lines[index].utf8.count > 100 && source.lines[index].count > 100
            // A row of a table cannot be broken.
            && !(source.path.hasSuffix(".md") && source.lines[index].hasPrefix("|"))
            && (index == 0 || !source.lines[index - 1].contains("swift-format-ignore"))
    }.map { source.finding($0, "longer than 100 columns") }
}

@Sendable private func trailingWhitespace(_ source: Source) -> [Finding] {
    source.lines.indices.filter { source.lines[$0].last?.isWhitespace == true }
        .map { source.finding($0, "trailing whitespace") }
}

@Sendable private func longFile(_ source: Source) -> [Finding] {
    source.lines.count > 501 ? [source.finding(500, "more than 500 lines")] : []
}

@Sendable private func emptyFile(_ source: Source) -> [Finding] {
    let hasCode = source.lines.indices.contains {
        !source.code($0).trimmingCharacters(in: .whitespaces).isEmpty
    }
    return hasCode ? [] : [source.finding(0, "no code in it")]
}

/// From the line with `func`, `init`, `deinit` or `subscript` to the brace that closes it, which
/// swift-format puts under the beginning.
@Sendable private func longFunctions(_ source: Source) -> [Finding] {
    let pattern = #"^ *([@A-Za-z]+(\([a-z]*\))? )*(func [^ ]|init[?(<]|deinit |subscript[(<])"#
    return source.lines(matching: pattern, inComments: true).compactMap { start in
        let margin = source.lines[start].prefix { $0 == " " }
        // One line, or a requirement of a protocol: what follows belongs to something else.
        if source.code(start).hasSuffix("}") { return nil }
        for index in source.lines.indices[(start + 1)...] {
            let line = source.lines[index]
            if line.isEmpty { continue }
            guard line.hasPrefix(margin) else { return nil }
            guard line.hasPrefix(margin + "}") else { continue }
            let count = index - start + 1
            return count > 60 ? source.finding(start, "function of \(count) lines") : nil
        }
        return nil
    }
}

/// A pattern that may not occur, and where it may.
private struct Ban: Sendable {
    let pattern: String
    let why: String
    var isExempt: @Sendable (String) -> Bool = { _ in false }
    /// Whether comments count as well.
    var readsComments = false
}

@Sendable private func isTest(_ path: String) -> Bool {
    path.hasPrefix("Tests/") || path.hasPrefix("Benchmarks/")
}

private let bans: [Ban] = [
    Ban(pattern: #"\btry!"#, why: "try!"),
    Ban(pattern: #"(?<=[\w)\]])(?<!\btry)(?<!\bas)!(\.|\[|\)|,|$|;| [^=])"#, why: "force unwrap"),
    Ban(pattern: #"\bas!"#, why: "forced cast"),
    Ban(pattern: #"\bfatalError\("#, why: "fatalError: a bug is a precondition"),
    Ban(
        pattern: #"\b(FileManager|URL\(|Process\()"#, why: "Foundation's files and processes",
        isExempt: isTest),
    Ban(pattern: #"-Ounchecked"#, why: "-Ounchecked", readsComments: true),
    Ban(pattern: #"\b(TODO|FIXME|XXX)\b"#, why: "unfinished", readsComments: true),
    Ban(
        pattern: #"(?<![.\w])print\("#, why: "printing outside the command",
        isExempt: { isTest($0) || $0.hasPrefix("Sources/resync/") }),
    Ban(
        pattern: #"(?<![.\w])_?exit\("#, why: "ending the process elsewhere than in Main",
        isExempt: { isTest($0) || $0 == "Sources/resync/Main.swift" }),
    Ban(
        pattern: #"String\(cString:"#, why: "text of bytes from outside",
        isExempt: { isTest($0) || $0 == "Sources/ResyncStorage/ErrorNumber.swift" }),
]

/// What bans look for, in a file that is full of it.
private let tidyFile = "Tests/TidyTests/TidyTests.swift"

@Sendable private func bannedText(_ source: Source) -> [Finding] {
    if source.path == tidyFile { return [] }
    return bans.filter { !$0.isExempt(source.path) }.flatMap { ban in
        // What is quoted in Package.swift is a flag, not a text.
        let inComments = ban.readsComments || source.path == "Package.swift"
        return source.lines(matching: ban.pattern, inComments: inComments).map {
            source.finding($0, ban.why)
        }
    }
}

@Sendable private func vagueNames(_ source: Source) -> [Finding] {
    let isVague = matches(#"(Util|Utils|Utilities|Helper|Helpers|Common|Misc)\b"#, source.path)
    return isVague ? [source.finding(0, "a name that says nothing")] : []
}

@Sendable private func unreasoned(_ source: Source) -> [Finding] {
    if source.path == tidyFile { return [] }
    return source.lines.indices.filter { index in
        let code = source.code(index)
        guard code.contains("@unchecked Sendable") || code.contains("nonisolated(unsafe)") else {
            return false
        }
        // On the line, in the two that follow, or in the comment that leads it.
        let around = max(0, index - 3)...min(index + 2, source.lines.count - 1)
        return !source.lines[around].contains { matches("[Bb]ecause", $0) }
    }.map { source.finding($0, "does not say because") }
}

/// The lines of a README's shell blocks whose command does not exist.
private func deadCommands(
    _ source: Source, scripts: Set<String>, subcommands: Set<String>
) -> [Finding] {
    var isShell = false
    return source.lines.indices.compactMap { index in
        let line = source.lines[index].trimmingCharacters(in: .whitespaces)
        if line.hasPrefix("```") {
            isShell = line == "```sh"
            return nil
        }
        let words = line.split(separator: " ").map(String.init)
        guard isShell, let first = words.first else { return nil }
        if first.hasPrefix("Scripts/") {
            return scripts.contains(first) ? nil : source.finding(index, "no script \(first)")
        }
        guard first == "resync", words.count > 1, !words[1].hasPrefix("-") else { return nil }
        if subcommands.contains(words[1]) { return nil }
        return source.finding(index, "no subcommand \(words[1])")
    }
}

private let rules: [@Sendable (Source) -> [Finding]] = [
    forbiddenImports, longLines, trailingWhitespace, longFile, emptyFile, longFunctions,
    bannedText, vagueNames, unreasoned,
]

// MARK: The project

private let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()

private func files(in folder: String, _ suffixes: [String]) -> [Source] {
    let top = root.appendingPathComponent(folder).path
    guard let found = FileManager.default.enumerator(atPath: top) else { return [] }
    return found.compactMap { $0 as? String }.sorted()
        .filter { path in suffixes.contains { path.hasSuffix($0) } }
        .compactMap { path in text("\(folder)/\(path)").map { Source("\(folder)/\(path)", $0) } }
}

private func text(_ path: String) -> String? {
    try? String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
}

private let swiftFiles =
    files(in: "Sources", [".swift"]) + files(in: "Tests", [".swift"])
    + files(in: "Benchmarks", [".swift"])
    + (text("Package.swift").map { [Source("Package.swift", $0)] } ?? [])

@Suite struct TidyTests {
    @Test func theProjectIsTidy() {
        #expect(swiftFiles.count > 100)
        for finding in swiftFiles.flatMap({ source in rules.flatMap { $0(source) } }) {
            Issue.record("\(finding)")
        }
        let others = files(in: "Sources", [".c", ".h", ".modulemap"])
        for finding in others.flatMap({ longLines($0) + trailingWhitespace($0) + bannedText($0) }) {
            Issue.record("\(finding)")
        }
    }

    /// Every module is in the import table, and no target is laxer than that.
    @Test func everyModuleIsInTheTable() {
        let modules = Set(
            files(in: "Sources", [".swift"]).map { String($0.path.split(separator: "/")[1]) })
        #expect(modules.subtracting(importTable.keys) == [])
    }

    @Test func formattingIsThatOfSwiftFormat() throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.currentDirectoryURL = root
        process.arguments =
            ["swift", "format", "lint", "--strict", "--recursive", "Package.swift"]
            + ["Sources", "Tests", "Benchmarks"]
        let output = Pipe()
        process.standardError = output
        process.standardOutput = output
        try process.run()
        let said = String(
            decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationStatus == 0, "\(said.prefix(4000))")
    }

    @Test func theReadmeNamesWhatThereIs() {
        guard let readme = text("README.md") else {
            print("skipped: there is no README.md yet")
            return
        }
        let scripts = files(in: "Scripts", [""]).map(\.path)
        let commands = files(in: "Sources/resync", [".swift"]).flatMap(\.lines)
        let named = commands.compactMap { line in
            line.firstMatch(of: /commandName: "([a-z-]+)"/).map { String($0.1) }
        }
        #expect(!named.isEmpty)
        for finding in deadCommands(
            Source("README.md", readme), scripts: Set(scripts), subcommands: Set(named))
        {
            Issue.record("\(finding)")
        }
    }
}

/// Each rule catches a bad example, and lets a good one pass.
@Suite struct TidyRulesTests {
    private func found(
        _ rule: (Source) -> [Finding], _ text: String,
        in path: String = "Sources/ResyncCore/X.swift"
    ) -> [Int] {
        rule(Source(path, text)).map(\.line)
    }

    @Test func imports() {
        #expect(found(forbiddenImports, "import Glibc") == [1])
        #expect(found(forbiddenImports, "// import Glibc\nlet x = \"import Glibc\"") == [])
        #expect(found(forbiddenImports, "package import Foundation") == [1])
        #expect(found(forbiddenImports, "@testable import ResyncStorage") == [1])
        #expect(found(forbiddenImports, "import struct Foundation.URL") == [1])
        let storage = "Sources/ResyncStorage/X.swift"
        #expect(
            found(forbiddenImports, "import CLinux\nimport ResyncEngine", in: storage) == [2])
        let engine = "Sources/ResyncEngine/X.swift"
        #expect(found(forbiddenImports, "import CLinux\nimport COpenSSL", in: engine) == [1, 2])
        #expect(found(forbiddenImports, "import ArgumentParser", in: engine) == [1])
        #expect(found(forbiddenImports, "import Dispatch", in: engine) == [1])
        #expect(found(forbiddenImports, "import ResyncCore", in: "Sources/New/X.swift") == [1])
        #expect(found(forbiddenImports, "import Foundation", in: "Tests/TestSupport/X.swift") == [])
    }

    @Test func lengths() {
        let line = String(repeating: "x", count: 100)
        #expect(found(longLines, "\(line)\n\(line)x") == [2])
        #expect(found(longLines, String(repeating: "é", count: 100)) == [])
        #expect(found(longFile, String(repeating: "x\n", count: 500)) == [])
        #expect(found(longFile, String(repeating: "x\n", count: 501)) == [501])
        #expect(found(emptyFile, "// nothing\n\n") == [1])
        #expect(found(emptyFile, "let x = 1\n") == [])
        func function(_ head: String, _ lines: Int) -> String {
            "\n    \(head) {\n" + String(repeating: "        x()\n", count: lines - 2) + "    }\n"
        }
        for head in [
            "func f(_ x: Int)", "private mutating func f()", "package init(x: Int)",
            "@Test(arguments) func f()", "deinit", "subscript(index: Int) -> Int",
            "init?(x: Int)",
        ] {
            #expect(found(longFunctions, function(head, 61)) == [2], "\(head)")
            #expect(found(longFunctions, function(head, 60)) == [], "\(head)")
        }
        #expect(
            found(longFunctions, "    func f() { 1 }\n" + function("func g()", 61)) == [3])
    }

    @Test func whitespace() {
        #expect(found(trailingWhitespace, "x \ny\n\t\nz") == [1, 3])
    }

    @Test(arguments: [
        "try! f()", "let x = y!", "y!.z", "f(y!)", "a[0]![1]", "f()!, 1", "x as! Int",
        "fatalError(\"\")", "FileManager.default", "URL(fileURLWithPath: x)", "let p = Process()",
        "print(1)", "exit(1)", "_exit(1)", "String(cString: x)", "// TODO later", "let XXX = 1",
        "// FIXME",
    ])
    func badText(_ line: String) {
        #expect(found(bannedText, "let good = 1\n\(line)").first == 2)
    }

    @Test(arguments: [
        "x != y", "!x", "a && !b", "guard !f() else { return }", "\"try! print(1) exit(1) y!\"",
        "// print(1) is not called", "site.print(1)", "fingerprint(1)", "processor.exit(1)",
        "String(decoding: x, as: UTF8.self)", "x!==y", "let todo = 1", "ProcessInfo()",
    ])
    func goodText(_ line: String) { #expect(found(bannedText, line) == []) }

    @Test func exemptPlaces() {
        #expect(found(bannedText, "exit(1)", in: "Sources/resync/Main.swift") == [])
        #expect(found(bannedText, "exit(1)", in: "Sources/resync/Other.swift") == [1])
        #expect(found(bannedText, "print(1)", in: "Sources/resync/Other.swift") == [])
        #expect(found(bannedText, "Process()", in: "Tests/X.swift") == [])
        #expect(found(bannedText, "try! f()", in: "Tests/X.swift") == [1])
        #expect(found(bannedText, "f([\"-Ounchecked\"])", in: "Package.swift") == [1])
        let errors = "Sources/ResyncStorage/ErrorNumber.swift"
        #expect(found(bannedText, "String(cString: x)", in: errors) == [])
    }

    @Test func names() {
        for name in ["Utils", "StringHelpers", "Common", "PathUtil", "Helper"] {
            #expect(found(vagueNames, "", in: "Sources/ResyncCore/\(name).swift") == [1])
        }
        #expect(found(vagueNames, "", in: "Sources/Common/X.swift") == [1])
        #expect(found(vagueNames, "", in: "Sources/resync/UtilizationReport.swift") == [])
    }

    @Test func reasons() {
        #expect(found(unreasoned, "final class A: @unchecked Sendable {\n// so\n}") == [1])
        #expect(found(unreasoned, "final class A: @unchecked Sendable {\n// because so\n}") == [])
        #expect(found(unreasoned, "/// Because so.\nnonisolated(unsafe) var x = 1") == [])
        #expect(found(unreasoned, "nonisolated(unsafe) var x = 1") == [1])
        #expect(found(unreasoned, "// because\n\n\n\n\nnonisolated(unsafe) var x = 1") == [6])
    }

    @Test func commands() {
        let readme = """
            resync nothing
            ```sh
            Scripts/build
            Scripts/gone --now
            resync verify /a /b
            resync vanish
            resync --version
            swift build
            ```
            ```
            resync output
            ```
            """
        let found = deadCommands(
            Source("README.md", readme), scripts: ["Scripts/build"], subcommands: ["verify"])
        #expect(found.map(\.line) == [4, 6])
    }

    @Test func codeIsWhatIsNoTextAndNoComment() {
        #expect(Source.code("let x = \"a // b\" // c").hasPrefix("let x = \"\" "))
        #expect(!Source.code("f(\"a \\\" print(1)\")").contains("print"))
        #expect(Source.code("a / b") == "a / b")
    }
}

import Foundation
import TestSupport
import Testing

@testable import ResyncCore

@Suite struct FilterTests {
    /// The examples of rsync(1) and one line for each corner of its rules. A path ending in a slash
    /// is a directory. Nothing here asks about the directories above the path.
    static let examples: [FilterExample] = [
        // The examples of the manual, PATTERN MATCHING RULES.
        FilterExample(
            "*.o", leavesOut: ["a.o", ".o", "x/y/a.o", "d.o/"], keeps: ["a.c", "a.o.c", "o"]),
        FilterExample("/foo", leavesOut: ["foo", "foo/"], keeps: ["x/foo", "foox", "xfoo"]),
        FilterExample(
            "foo", leavesOut: ["foo", "x/foo", "x/y/foo/"], keeps: ["xfoo", "foox", "fo"]),
        FilterExample(
            "foo/bar", leavesOut: ["foo/bar", "x/foo/bar"], keeps: ["bar", "xfoo/bar", "foo"]),
        FilterExample("foo/", leavesOut: ["foo/", "x/foo/"], keeps: ["foo", "x/foo"]),
        FilterExample(
            "foo/*/bar", leavesOut: ["foo/x/bar", "y/foo/x/bar/"],
            keeps: ["foo/bar", "foo/x/y/bar", "foo/x/bar/z"]),
        FilterExample(
            "/foo/*/bar", leavesOut: ["foo/x/bar"], keeps: ["y/foo/x/bar", "foo/bar", "x/bar"]),
        FilterExample(
            "/foo/**/bar", leavesOut: ["foo/x/bar", "foo/x/y/bar"],
            keeps: ["foo/bar", "y/foo/x/bar", "foo/x/bar/z"]),
        FilterExample(
            "/foo/**", leavesOut: ["foo/x", "foo/x/y/"], keeps: ["foo/", "foo", "x/foo/y"]),
        FilterExample(
            "dir/***", leavesOut: ["dir/", "dir/x", "dir/x/y", "a/dir/", "a/dir/x"],
            keeps: ["dir", "xdir/", "dirx/"]),
        FilterExample(
            "/dir/***", leavesOut: ["dir/", "dir/x"], keeps: ["a/dir/", "a/dir/x", "dir"]),
        FilterExample("foo\\bar", leavesOut: ["foo\\bar"], keeps: ["foobar"]),
        FilterExample("foo\\bar*", leavesOut: ["foobar", "foobarx"], keeps: ["foo\\bar"]),
        FilterExample("foo\\\\bar*", leavesOut: ["foo\\bar", "foo\\barx"], keeps: ["foobar"]),

        // Stars, question marks and slashes.
        FilterExample("*", leavesOut: ["a", "a/b", "a/"], keeps: []),
        FilterExample("/*", leavesOut: ["a", "a/"], keeps: ["a/b"]),
        FilterExample("*/", leavesOut: ["a/", "a/b/"], keeps: ["a", "a/b"]),
        FilterExample("**", leavesOut: ["a", "a/b/c"], keeps: []),
        FilterExample("***", leavesOut: ["a", "a/", "a/b/c"], keeps: []),
        FilterExample(
            "**/foo", leavesOut: ["foo", "x/foo", "x/y/foo"], keeps: ["xfoo", "x/yfoo"]),
        FilterExample("**foo", leavesOut: ["foo", "xfoo", "x/yfoo"], keeps: ["foo/x"]),
        FilterExample(
            "foo**bar", leavesOut: ["foobar", "x/foo/y/bar", "foo/bar"], keeps: ["xfoo/bar"]),
        FilterExample("foo/**/bar", leavesOut: ["x/foo/y/bar"], keeps: ["foo/bar", "xfoo/y/bar"]),
        FilterExample("a/**", leavesOut: ["a/b", "x/a/b/c"], keeps: ["a/", "xa/b"]),
        FilterExample("*/b", leavesOut: ["a/b", "x/a/b"], keeps: ["b", "a/c"]),
        FilterExample("/*/b", leavesOut: ["a/b"], keeps: ["b", "x/a/b"]),
        FilterExample("?", leavesOut: ["a", "x/b"], keeps: ["ab"]),
        FilterExample("/a?b", leavesOut: ["axb"], keeps: ["a/b", "ab"]),
        FilterExample("dir/***/", leavesOut: ["dir/", "dir/x/"], keeps: ["dir/x"]),
        FilterExample("***/x", leavesOut: ["x", "a/x", "a/b/x/"], keeps: ["ax"]),

        // What can match nothing.
        FilterExample("/", leavesOut: [], keeps: ["a", "a/", "a/b"]),
        FilterExample("//", leavesOut: [], keeps: ["a", "a/"]),
        FilterExample("//foo", leavesOut: [], keeps: ["foo", "x/foo"]),
        FilterExample("foo//", leavesOut: [], keeps: ["foo/", "x/foo/"]),
        FilterExample("a//b", leavesOut: [], keeps: ["a/b"]),
        FilterExample("*\\", leavesOut: [], keeps: ["\\", "a\\"]),
        FilterExample("[a", leavesOut: [], keeps: ["a", "[a"]),
        FilterExample("[]", leavesOut: [], keeps: ["[]", "]"]),
        FilterExample("[[:foo:]]", leavesOut: [], keeps: ["f", ":", "["]),

        // Escapes. A pattern without a wildcard has none.
        FilterExample("\\*", leavesOut: ["*"], keeps: ["a", "\\*"]),
        FilterExample("a\\?", leavesOut: ["a?"], keeps: ["ab", "a\\?"]),
        FilterExample("\\[a]", leavesOut: ["[a]"], keeps: ["a", "\\[a]"]),
        FilterExample("\\a", leavesOut: ["\\a"], keeps: ["a"]),
        FilterExample("a]", leavesOut: ["a]"], keeps: ["a"]),
        FilterExample("x\\**", leavesOut: ["x*", "x*y", "d/x*"], keeps: ["xy", "d/x*y/z"]),
        FilterExample("x\\***", leavesOut: ["x*", "x*y", "d/x*y/z"], keeps: ["xy"]),
        FilterExample("a\\/b*", leavesOut: ["a/b", "x/a/bc"], keeps: ["b", "a\\/b"]),

        // Sets.
        FilterExample("[ab]", leavesOut: ["a", "b"], keeps: ["c", "ab"]),
        FilterExample("[!ab]", leavesOut: ["c", "!"], keeps: ["a", "b"]),
        FilterExample("[^ab]", leavesOut: ["c", "^"], keeps: ["a", "b"]),
        FilterExample("[a-c]", leavesOut: ["a", "b", "c"], keeps: ["d", "-"]),
        FilterExample("[c-a]", leavesOut: ["c"], keeps: ["a", "b", "-"]),
        FilterExample("[-a]", leavesOut: ["-", "a"], keeps: ["b"]),
        FilterExample("[a-]", leavesOut: ["-", "a"], keeps: ["b"]),
        FilterExample("[a-c-e]", leavesOut: ["a", "b", "c", "-", "e"], keeps: ["d"]),
        FilterExample("[]a]", leavesOut: ["]", "a"], keeps: ["b"]),
        FilterExample("[!]a]", leavesOut: ["b"], keeps: ["]", "a"]),
        FilterExample("[\\]a]", leavesOut: ["]", "a"], keeps: ["\\"]),
        FilterExample("[a-\\c]", leavesOut: ["a", "b", "c"], keeps: ["\\"]),
        FilterExample("[\\a-c]", leavesOut: ["a", "b", "c"], keeps: ["\\", "-"]),
        FilterExample("[a!]", leavesOut: ["a", "!"], keeps: ["b"]),
        FilterExample("/a[/]b", leavesOut: [], keeps: ["a/b"]),
        FilterExample("[a/]", leavesOut: [], keeps: ["a", "x/a"]),
        FilterExample("/[a/]", leavesOut: ["a"], keeps: ["x/a"]),
        FilterExample("/a[!x]b", leavesOut: ["ayb"], keeps: ["a/b", "axb"]),
        FilterExample("[[]", leavesOut: ["["], keeps: ["]"]),
        FilterExample("[[:]", leavesOut: ["[", ":"], keeps: ["]"]),
        FilterExample("[[:digit:]x]", leavesOut: ["0", "9", "x"], keeps: ["a", ":"]),
        FilterExample("[![:digit:]]", leavesOut: ["a"], keeps: ["0"]),
        FilterExample("[[:digit:]-a]", leavesOut: ["0", "-", "a"], keeps: ["b", "Z"]),

        // Words that mean something only to --filter are patterns.
        FilterExample("P foo", leavesOut: ["P foo"], keeps: ["foo"]),
        FilterExample("merge foo", leavesOut: ["merge foo"], keeps: ["foo"]),
        FilterExample(": foo", leavesOut: [": foo"], keeps: ["foo"]),
        FilterExample("-foo", leavesOut: ["-foo"], keeps: ["foo"]),
        FilterExample("-", leavesOut: ["-"], keeps: ["a"]),
        FilterExample("!foo", leavesOut: ["!foo"], keeps: ["foo"]),
        FilterExample("- !", leavesOut: ["!"], keeps: ["a"]),
        FilterExample("-  a ", leavesOut: [" a "], keeps: ["a"]),
    ]

    @Test(arguments: examples)
    func example(_ example: FilterExample) throws {
        let filter = try Filter(excluding: [example.rule])
        #expect(example.leavesOut.filter { !filter.excludes(path: $0) } == [])
        #expect(example.keeps.filter { filter.excludes(path: $0) } == [])
    }

    @Test func classesAreThoseOfTheCLocale() throws {
        let members: [(String, (Int32) -> Int32)] = [
            ("alnum", isalnum), ("alpha", isalpha), ("blank", isblank), ("cntrl", iscntrl),
            ("digit", isdigit), ("graph", isgraph), ("lower", islower), ("print", isprint),
            ("punct", ispunct), ("space", isspace), ("upper", isupper), ("xdigit", isxdigit),
        ]
        for (name, isMember) in members {
            let filter = try Filter(excluding: ["[[:\(name):]]"])
            for byte in UInt8(1)...255 where byte != slash {
                let expected = isMember(Int32(byte)) != 0
                #expect(filter.excludes([byte], in: []) == expected, "\(name) \(byte)")
            }
        }
    }

    @Test func bytesAreNotText() throws {
        let question = try Filter(excluding: ["?"])
        #expect(question.excludes([0xff], in: []))
        #expect(!question.excludes(Array("é".utf8), in: []), "two bytes are no single one")
        // Canonically equivalent, yet two names.
        let composed = try Filter(excluding: ["\u{e9}"])
        #expect(!composed.excludes(Array("e\u{301}".utf8), in: []))
        var range = Filter()
        try range.add(rule: [UInt8(ascii: "["), 0x80, UInt8(ascii: "-"), 0xff, UInt8(ascii: "]")])
        #expect(range.excludes([0xc3], in: []) && !range.excludes([0x7f], in: []))
    }

    @Test func firstMatchingRuleDecides() throws {
        let sources = try Filter(excluding: ["+ */", "+ *.c", "*"])
        #expect(!sources.excludes(path: "d/") && !sources.excludes(path: "d/a.c"))
        #expect(sources.excludes(path: "d/a.o"))
        let late = try Filter(excluding: ["*", "+ a"])
        #expect(late.excludes(path: "a"))
        #expect(try !Filter(excluding: ["+ a", "- a"]).excludes(path: "a"))
    }

    @Test func exclamationMarkForgetsAllRules() throws {
        #expect(try Filter(excluding: ["a", "b", "!"]) == .none)
        let filter = try Filter(excluding: ["a", "!", "b"])
        #expect(!filter.excludes(path: "a") && filter.excludes(path: "b"))
        var list = try Filter(excluding: ["a"])
        try list.add(list: Array("!\nb\n".utf8), separator: 10)
        #expect(list == filter)
    }

    @Test func noRuleLeavesNothingOut() throws {
        #expect(Filter.none.isEmpty && !Filter.none.excludes(path: "a"))
        #expect(try Filter(excluding: [""]).isEmpty)
        #expect(try !Filter(excluding: ["*"]).excludes([], in: []), "the root is no entry")
    }

    @Test func listsAreReadByLine() throws {
        let expected = try Filter(excluding: ["a", " ;b", "+ c#", "d "])
        var filter = Filter()
        try filter.add(list: Array("a\n\n;no\n#no\n ;b\r\n+ c#\rd ".utf8), separator: 10)
        #expect(filter == expected)
        var zeros = Filter()
        try zeros.add(list: Array("a\0\0;no\0#no\0 ;b\0+ c#\0d \0".utf8), separator: 0)
        #expect(zeros == expected)
        var odd = Filter()
        try odd.add(list: Array("a\nb\r\0".utf8), separator: 0)
        #expect(try odd == Filter(excluding: ["a\nb\r"]), "only a zero byte ends a name")
    }

    @Test func canonicalBytesAreAListOfTheRules() throws {
        let filter = try Filter(excluding: ["a", "- b/", "+ #c", "!d", "- + e", "/"])
        #expect(filter.canonicalBytes == Array("- a\0- b/\0+ #c\0- !d\0- + e\0- /\0".utf8))
        var again = Filter()
        try again.add(list: filter.canonicalBytes, separator: 0)
        #expect(again == filter && again.hashValue == filter.hashValue)
        #expect(try Filter(excluding: ["a"]) != Filter(excluding: ["+ a"]))
        #expect(try Filter(excluding: ["a", "b"]) != Filter(excluding: ["b", "a"]))
        #expect(Filter.none.canonicalBytes.isEmpty)
    }

    @Test func refusalsNameTheLineAndChangeNothing() throws {
        var filter = try Filter(excluding: ["a"])
        let before = filter
        #expect(throws: FilterError(reason: "no pattern follows the prefix", line: nil)) {
            try filter.add(rule: Array("- ".utf8))
        }
        for text in ["x\n\n#\n+ \ny\n", "x\r\n\r\n#\r\n+ \r\ny\r\n", "x\r\r#\r+ \ry\r"] {
            #expect(throws: FilterError(reason: "no pattern follows the prefix", line: 4)) {
                try filter.add(list: Array(text.utf8), separator: 10)
            }
        }
        #expect(throws: FilterError(reason: "the pattern contains a zero byte", line: 2)) {
            try filter.add(list: Array("!\nx\0y\n".utf8), separator: 10)
        }
        #expect(filter == before)
    }

    @Test func limitsHold() throws {
        let longest = [UInt8](repeating: UInt8(ascii: "a"), count: Filter.patternLimit)
        var filter = Filter()
        try filter.add(rule: Array("- ".utf8) + longest)
        #expect(throws: FilterError.self) { try filter.add(rule: longest + [slash]) }
        for _ in 1..<(Filter.byteLimit / longest.count) { try filter.add(rule: longest) }
        #expect(throws: FilterError.self) { try filter.add(rule: longest) }
        try filter.add(rule: Array("!".utf8))
        try filter.add(rule: longest)

        var many = Filter()
        let rules = Array(repeating: "x", count: Filter.ruleLimit).joined(separator: "\n")
        try many.add(list: Array(rules.utf8), separator: 10)
        #expect(throws: FilterError.self) { try many.add(rule: [UInt8(ascii: "y")]) }
    }

    /// The automaton's states fill several words; each place for a star crosses their borders.
    @Test(arguments: [62, 63, 64, 65, 127, 128, 129, 200])
    func longPatternsMatchToTheLastByte(length: Int) throws {
        let name = (0..<length).map { UInt8(ascii: "a") + UInt8($0 % 26) }
        for at in 0...length {
            for stars in ["*", "**"] {
                var filter = Filter()
                try filter.add(rule: name[..<at] + Array(stars.utf8) + name[at...])
                let longer = name[..<at] + Array("0123456789".utf8) + name[at...]
                #expect(filter.excludes(name, in: []) && filter.excludes(Array(longer), in: []))
                for changed in [0, at - 1, at, length - 1] where name.indices.contains(changed) {
                    var other = name
                    other[changed] = UInt8(ascii: "X")
                    #expect(!filter.excludes(other, in: []), "\(at) \(changed)")
                }
            }
        }
    }

    /// Each of these takes a backtracking matcher longer than the universe has.
    @Test func hostilePatternsTakeBoundedTime() throws {
        let bytes = Filter.patternLimit
        let name = String(repeating: "a", count: 255)
        let path = String(repeating: name + "/", count: 16) + name
        let patterns = [
            String(repeating: "*a", count: bytes / 2 - 1) + "b",
            String(repeating: "**a", count: bytes / 3 - 1) + "b",
            String(repeating: "**/*a", count: bytes / 5 - 1) + "b",
            "a" + String(repeating: "**?*", count: bytes / 4 - 1) + "b",
            String(repeating: "*[!b]", count: bytes / 5 - 1) + "b",
            String(repeating: "*/", count: 15) + String(repeating: "*a", count: 2000) + "b",
            String(repeating: "*", count: bytes - 1) + "b",
            String(repeating: "[", count: bytes),
        ]
        let time = try ContinuousClock().measure {
            for pattern in patterns {
                let filter = try Filter(excluding: [pattern])
                #expect(!filter.excludes(path: path))
            }
        }
        print("hostile patterns: \(time)")
        #expect(time < .seconds(10))
    }

    @Test func agreesWithTheReference() throws {
        var random = Seed.fromEnvironment()
        var matched = 0
        let count = 10_000
        for _ in 0..<count {
            let path = random.path()
            let pattern = random.pattern(from: path)
            let isDirectory = Bool.random(using: &random)
            let expected = FilterReference.matches(pattern, path: path, isDirectory: isDirectory)
            let cut = path.lastIndex(of: slash)
            let parent = cut.map { Array(path[..<$0]) } ?? []
            let name = cut.map { Array(path[($0 + 1)...]) } ?? path
            var filter = Filter()
            try filter.add(rule: Array("- ".utf8) + pattern)
            let actual = filter.excludes(name, in: parent, isDirectory: isDirectory)
            matched += expected ? 1 : 0
            guard actual == expected else {
                Issue.record(
                    "\(escaped(pattern)) on \(escaped(path)), directory \(isDirectory): \(actual)")
                return
            }
        }
        print("agreesWithTheReference: \(matched) of \(count) matched")
        #expect(matched > count / 10 && matched < count * 9 / 10)
    }
}

/// A rule, paths that it leaves out and paths that it keeps.
struct FilterExample: Sendable, CustomTestStringConvertible {
    let rule: String
    let leavesOut: [String]
    let keeps: [String]

    init(_ rule: String, leavesOut: [String], keeps: [String]) {
        self.rule = rule
        self.leavesOut = leavesOut
        self.keeps = keeps
    }

    var testDescription: String { rule }
}

extension Filter {
    init(excluding rules: [String]) throws {
        self.init()
        for rule in rules { try add(rule: Array(rule.utf8)) }
    }

    func excludes(_ name: [UInt8], in parent: [UInt8], isDirectory: Bool = false) -> Bool {
        name.withUnsafeBufferPointer { excludes($0, in: parent, isDirectory: isDirectory) }
    }

    /// Whether the last component of `path` is left out; a directory if a slash ends it.
    func excludes(path: String) -> Bool {
        let components = path.utf8.split(separator: slash).map { Array($0) }
        let parent = Array(components.dropLast().joined(separator: [slash]))
        return excludes(components.last ?? [], in: parent, isDirectory: path.hasSuffix("/"))
    }
}

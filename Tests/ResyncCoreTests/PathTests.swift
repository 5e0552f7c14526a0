import TestSupport
import Testing

@testable import ResyncCore

@Suite struct PathTests {
    private final class Node {
        var children: [Name: Node] = [:]
    }

    /// All paths of a tree, in the order in which a depth-first walk over sorted names meets them.
    private func walk(_ node: Node, _ path: RelativePath, _ met: inout [RelativePath]) {
        met.append(path)
        let names = node.children.keys.sorted { $0.bytes.lexicographicallyPrecedes($1.bytes) }
        for name in names {
            if let child = node.children[name] { walk(child, path.appending(name), &met) }
        }
    }

    @Test func orderIsThatOfADepthFirstWalk() {
        var random = Seed.fromEnvironment()
        for _ in 0..<rounds(200) {
            let root = Node()
            for _ in 0..<(1 + random.below(40)) {
                var at = root
                for _ in 0..<(1 + random.below(4)) {
                    let name = random.name()
                    let child = at.children[name] ?? Node()
                    at.children[name] = child
                    at = child
                }
            }
            var met: [RelativePath] = []
            walk(root, .root, &met)
            #expect(met.shuffled(using: &random).sorted() == met)
            for (left, right) in zip(met, met.dropFirst()) {
                #expect(left < right)
                #expect(!(right < left))
            }
        }
    }

    @Test func aSlashSortsBeforeEveryByteOfAName() {
        let paths = ["a", "a/b", "a/b/c", "a\u{1}", "a ", "a-b", "a.b", "a0", "b"]
        let sorted = paths.map { RelativePath(Array($0.utf8)) }
        #expect(sorted.shuffled().sorted() == sorted)
    }

    @Test func whatAPersonWritesIsPutIntoItsOnlyForm() {
        func written(_ text: String) -> String {
            let path = RelativePath.written(Array(text.utf8))
            return String(decoding: path.bytes, as: UTF8.self) + (path.isValid ? "" : " is none")
        }
        for text in ["a/b", "/a//b/", "./a/./b/.", "//a/b"] { #expect(written(text) == "a/b") }
        for text in ["", ".", "/", "././"] { #expect(written(text) == "") }
        for text in ["..", "a/../b", "a\0"] { #expect(written(text).hasSuffix(" is none")) }
        #expect(written("...") == "..." && written(".a/b.") == ".a/b.")
    }

    @Test func anAbsolutePathLiesInAnother() {
        func lies(_ path: String, in other: String) -> Bool {
            isWithin(Array(path.utf8), Array(other.utf8))
        }
        for path in ["/", "/a", "/a/b"] { #expect(lies(path, in: path) && lies(path, in: "/")) }
        #expect(lies("/a/b", in: "/a") && lies("/a/b/c", in: "/a"))
        #expect(!lies("/ab", in: "/a") && !lies("/a", in: "/a/b") && !lies("/", in: "/a"))
    }

    @Test func pathsComeApartAndTogether() {
        let path = RelativePath(Array("a/b/c".utf8))
        #expect(path.components == [Name("a"), Name("b"), Name("c")])
        #expect(path.parent == RelativePath(Array("a/b".utf8)))
        #expect(path.lastName == Name("c"))
        #expect(path.parent.appending(path.lastName) == path)
        #expect(RelativePath.root.components == [])
        #expect(RelativePath.root.parent == .root)
        #expect(RelativePath.root.appending(Name("x")).parent == .root)
        #expect(RelativePath(Array("x".utf8)).lastName == Name("x"))
    }

    @Test(arguments: [
        ("a/b", "a/b", true), ("a/b/c", "a/b", true), ("a/bc", "a/b", false), ("a", "a/b", false),
        ("a", "", true), ("", "", true), ("", "a", false), ("b/a", "a", false),
    ])
    func within(_ path: String, _ other: String, _ isWithin: Bool) {
        let path = RelativePath(Array(path.utf8))
        #expect(path.isWithin(RelativePath(Array(other.utf8))) == isWithin)
    }

    @Test func namesAFileSystemCannotHold() {
        for text in ["", ".", "..", "a/b", "a\0b", "\0", "/"] {
            #expect(!Name(Array(text.utf8)).isValid, "\(escaped(text.utf8))")
        }
        #expect(!Name([UInt8](repeating: 0x61, count: 4096)).isValid)
        #expect(Name([UInt8](repeating: 0xff, count: 4095)).isValid)
        for text in ["...", ".a", "-", " ", "\n"] { #expect(Name(Array(text.utf8)).isValid) }
    }

    /// What `String` calls equal are two files.
    @Test func namesAreBytes() {
        let composed = Name(Array("\u{e9}".utf8))
        let decomposed = Name(Array("e\u{301}".utf8))
        #expect("\u{e9}" == "e\u{301}")
        #expect(composed != decomposed)
        #expect(Name([0xff]) != Name([0xfe]))
    }

    // MARK: Presence and selection

    @Test func presenceTellsSides() {
        #expect(Presence.on(.a) == .a)
        #expect(Presence.on(.b) == .b)
        #expect(Presence.both.contains(.a) && Presence.both.contains(.b))
        #expect(Presence.a.contains(Side.a) && !Presence.a.contains(Side.b))
        #expect(!Presence([]).contains(Side.a))
        var list = NameList()
        list.append(Name("x"), kind: .file)
        var names = PairedNames()
        #expect(names.isEmpty)
        names.append(0, of: list, kind: nil, .b)
        names.append(Name("y"), kind: .directory, .both)
        #expect(names.count == 2)
        #expect(names.presence == [.b, .both])
        #expect(names.names.kinds == [nil, .directory])
        #expect(names.names.name(0) == Name("x"))
    }

    @Test func selectionSortsAndDropsRepeats() {
        let paths = ["b", "a/x", "a", "a/x", "", "a.b"].map { RelativePath(Array($0.utf8)) }
        let selection = Selection(paths)
        #expect(selection.paths.map { escaped($0.bytes) } == ["", "a", "a/x", "a.b", "b"])
    }

    @Test func groupsShareAComponent() {
        let texts = ["a", "a/b/c", "a/b/d", "a/bc", "ab/x", "b/c/d/e"]
        let selection = Selection(texts.map { RelativePath(Array($0.utf8)) })
        let top = selection.groups(in: 0..<6, depth: 0)
        #expect(top.map(\.name) == [Name("a"), Name("ab"), Name("b")])
        #expect(top.map(\.isSelected) == [true, false, false])
        #expect(top.map(\.below) == [1..<4, 4..<5, 5..<6])
        let second = selection.groups(in: 1..<4, depth: 1)
        #expect(second.map(\.name) == [Name("b"), Name("bc")])
        #expect(second.map(\.isSelected) == [false, true])
        #expect(second.map(\.below) == [1..<3, 4..<4])
        #expect(selection.groups(in: 2..<2, depth: 0) == [])
        #expect(Selection([.root]).groups(in: 0..<1, depth: 0) == [])
    }

    /// Going down through the groups meets every path once, in order.
    @Test func groupsLeadToEveryPath() {
        var random = Seed.fromEnvironment()
        for _ in 0..<rounds(200) {
            let paths = (0..<(1 + random.below(20))).map { _ in
                (0..<(1 + random.below(4))).reduce(RelativePath.root) { path, _ in
                    path.appending(random.name())
                }
            }
            let selection = Selection(paths)
            var met: [RelativePath] = []
            func descend(_ range: Range<Int>, _ at: RelativePath, _ depth: Int) {
                for group in selection.groups(in: range, depth: depth) {
                    let path = at.appending(group.name)
                    if group.isSelected { met.append(path) }
                    descend(group.below, path, depth + 1)
                }
            }
            descend(0..<selection.paths.count, .root, 0)
            #expect(met == selection.paths)
        }
    }
}

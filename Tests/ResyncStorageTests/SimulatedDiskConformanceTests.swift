import Glibc
import ResyncCore
import ResyncStorage
import TestSupport
import Testing

/// The same calls on the kernel and on the simulation must return the same: a simulation that
/// drifts from the kernel proves nothing.
@Suite struct SimulatedDiskConformanceTests {
    private let samples = [
        "file", "dir", "to-file", "to-dir", "dangling", "loop", "slashed", "second", "absent",
        "", ".", "..", "/", "file/", "dir/", "to-dir/", "absent/", "dir/inner", "file/x",
        "absent/x", "to-dir/inner", "loop/x", "dir/../file", "dir/.", "dangling/",
        String(repeating: "n", count: 255), String(repeating: "n", count: 256),
        "dir//inner", String(repeating: "d/", count: 2048),
    ]

    @Test func opening() throws {
        let flags: [OpenFlags] = [
            .readOnly, .writeOnly, .readWrite, .directory, .noFollow, .pathOnly,
            [.directory, .noFollow], [.pathOnly, .noFollow], [.pathOnly, .directory],
            [.noFollow, .writeOnly], [.nonBlocking, .noFollow, .noAccessTime],
            [.readWrite, .directory],
        ]
        try compareDisks(laySamples) { tape in
            for name in samples {
                for each in flags { tape.open(name, each) }
            }
            tape.open("fifo", [.readOnly, .nonBlocking], as: "fifo")
            tape.stat(held: "fifo")
            tape.read("fifo", at: 0, count: 4)
            tape.open("fifo", [.writeOnly, .nonBlocking, .pathOnly])
            tape.open("file", in: "nothing")
            tape.open("file", as: "file")
            tape.open("x", in: "file")
        }
    }

    @Test func creating() throws {
        let flags: [OpenFlags] = [
            [.writeOnly, .create, .exclusive], [.writeOnly, .create], [.readWrite, .create],
            [.writeOnly, .create, .exclusive, .noFollow], [.writeOnly, .create, .noFollow],
            [.readWrite, .create, .directory], [.readOnly, .create],
        ]
        let kept = ["..", "."]
        for each in flags {
            try compareDisks(laySamples) { tape in
                for name in samples where !kept.contains(name) {
                    tape.open(name, each)
                    tape.stat(name)
                }
                tape.listAnew()
            }
        }
    }

    @Test func statAndLinks() throws {
        try compareDisks(laySamples) { tape in
            for name in samples where name != "/" && name != ".." {
                tape.stat(name)
                tape.stat(path: name)
                tape.readLink(name)
            }
            tape.open("to-file", [.pathOnly, .noFollow], as: "link")
            tape.readLink("", in: "link")
            tape.stat(held: "link")
            tape.stat("", in: "link")
            tape.stat(held: "nothing")
            tape.isReadOnly("link")
            tape.isReadOnly("nothing")
        }
    }

    @Test func attributes() throws {
        try compareDisks(laySamples) { tape in
            for name in ["file", "second", "to-file", "fifo", "absent", "dangling", "dir"] {
                tape.attributes(name, in: "")
                tape.attribute("user.note", of: name, in: "")
            }
            tape.open("file", as: "file")
            tape.attributes(nil, in: "file")
            tape.attribute("user.note", of: nil, in: "file")
            tape.attribute("user.other", of: nil, in: "file")
            tape.attribute("user.\0", of: nil, in: "file")
            tape.open("file", .pathOnly, as: "path")
            tape.attributes(nil, in: "path")
        }
    }

    @Test func readingAndWriting() throws {
        try compareDisks(laySamples) { tape in
            tape.open("new", [.readWrite, .create, .exclusive], as: "f")
            tape.seek("f", from: 0)
            tape.write("f", at: 0, generatedBytes(seed: 1, 0..<5000))
            tape.write("f", at: 20_000, [1, 2, 3])
            tape.write("f", at: 0, [])
            let offsets = [0, 4999, 5000, 8191, 8192, 16_383, 16_384, 20_002, 20_003, -1, 1 << 40]
            for offset in offsets {
                tape.read("f", at: offset, count: 100)
                // The kernel takes -1 in preadv2 for the position of the descriptor.
                if offset >= 0 { tape.read("f", at: offset, count: 10_000, .passing) }
                tape.seek("f", from: offset)
            }
            for size in [3000, 30_000, 20_000, 0, 4097, -1] {
                tape.truncate("f", to: size)
                tape.read("f", at: 0, count: 40_000)
                tape.seek("f", from: 0)
                tape.stat(held: "f")
            }
            tape.open("file", as: "r")
            tape.open("file", .writeOnly, as: "w")
            tape.open("file", [.writeOnly, .append], as: "a")
            tape.open("dir", as: "d")
            tape.open("file", .pathOnly, as: "p")
            tape.write("a", at: 0, [7])
            for key in ["r", "w", "d", "p", "nothing"] {
                tape.read(key, at: 0, count: 10)
                tape.write(key, at: 0, [9])
                tape.truncate(key, to: 3)
                tape.sync(key)
                tape.list(key)
                tape.deviceSize(key)
                tape.lock(key, exclusive: false)
            }
            tape.open("file", [.readWrite, .truncate], as: "t")
            tape.stat(held: "r")
            tape.seek("p", from: 0)
        }
    }

    @Test func caching() throws {
        try compareDisks { tape in
            tape.open("f", [.readWrite, .create], as: "f")
            tape.write("f", at: 0, generatedBytes(seed: 2, 0..<16_384))
            tape.cachedPages("f", size: 16_384)
            tape.cachedPages("f", size: 4096)
            tape.dropCache("f")
            tape.read("f", at: 0, count: 16_384)
            tape.cachedPages("f", size: 16_384)
            tape.truncate("f", to: 4096)
            tape.cachedPages("f", size: 16_384)
            tape.open("f", .pathOnly, as: "p")
            tape.dropCache("p")
            tape.cachedPages("p", size: 1)
            tape.dropCache("nothing")
        }
    }

    @Test func makingAndRemoving() throws {
        try compareDisks(laySamples) { tape in
            for name in samples where name != ".." && name != "/" {
                tape.makeDirectory(name)
            }
            tape.makeDirectory("new/")
            tape.makeDirectory("dir/deep")
            for name in ["dir/deep/.", "dir/deep/..", "/", "dir", "file", "file/", "to-dir/"] {
                tape.remove(name, isDirectory: true)
                if name != "file" { tape.remove(name) }
            }
            for name in samples where name != ".." && name != "/" && name != "." {
                tape.remove(name)
                tape.remove(name, isDirectory: true)
            }
            tape.listAnew()
        }
    }

    @Test(arguments: RenameRule.allCases) func renaming(rule: RenameRule) throws {
        let names = [
            "file", "dir", "to-file", "absent", "second", "dir/inner", "empty", "dir/sub/x",
            "file/", "empty/", ".", "dir/..", "absent/", "fifo",
        ]
        for old in names {
            for new in names {
                try compareDisks({
                    laySamples($0)
                    $0.directory("empty")
                    $0.directory("dir/sub")
                }) { tape in
                    for name in ["file", "dir", "empty", "second"] { tape.stat(name) }
                    tape.rename(old, to: new, rule)
                    tape.compare("file", "second")
                    for name in ["file", "dir", "empty", "second", "absent"] { tape.stat(name) }
                    tape.listAnew()
                }
            }
        }
    }

    @Test func whatIsOpenStays() throws {
        try compareDisks(laySamples) { tape in
            tape.open("file", .readWrite, as: "f")
            tape.remove("second")
            tape.remove("file")
            tape.stat(held: "f")
            tape.write("f", at: 0, [1, 2, 3])
            tape.read("f", at: 0, count: 100)
            tape.open("dir", as: "d")
            tape.compare("dir", "to-dir/")
            tape.rename("dir", to: "moved")
            tape.open("inner", in: "d")
            tape.stat("..", in: "d")
            tape.remove("inner", in: "d")
            tape.remove("moved", isDirectory: true)
            tape.stat(held: "d")
            tape.list("d")
            tape.open("x", in: "d", [.writeOnly, .create])
            tape.makeDirectory("y", in: "d")
            tape.open("..", in: "d")
            tape.open(".", in: "d")
            tape.stat("x", in: "d")
            tape.sync("d")
        }
    }

    @Test func locking() throws {
        try compareDisks(laySamples) { tape in
            for key in ["a", "b", "c"] { tape.open("file", as: key) }
            tape.lock("a", exclusive: false)
            tape.lock("b", exclusive: false)
            tape.lock("c", exclusive: true)
            tape.close("a")
            tape.lock("b", exclusive: true)
            tape.lock("c", exclusive: false)
            tape.lock("b", exclusive: false)
            tape.lock("c", exclusive: false)
            tape.close("b")
            tape.lock("c", exclusive: true)
        }
    }

    @Test func times() throws {
        try compareDisks(laySamples) { tape in
            tape.comparesTimes = true
            let names = ["file", "dir", "dir/inner", "to-file"]
            func look() {
                // Longer than the coarsest clock of a file system.
                usleep(12_000)
                for name in names { tape.stat(name) }
                tape.stat(held: "")
            }
            tape.open("file", .readWrite, as: "f")
            look()
            tape.write("f", at: 0, [1])
            look()
            tape.truncate("f", to: 1)
            look()
            tape.read("f", at: 0, count: 1)
            tape.sync("f")
            look()
            tape.rename("dir/inner", to: "dir/other")
            tape.rename("dir/other", to: "dir/inner")
            look()
            tape.remove("second")
            look()
            tape.makeDirectory("dir/new")
            look()
            tape.rename("dir", to: "elsewhere")
            tape.rename("elsewhere", to: "dir")
            look()
        }
    }

    @Test func anything() throws {
        var random = Seed.fromEnvironment()
        for _ in 0..<rounds(20) {
            let start = random.next()
            try compareDisks(laySamples) { tape in
                var random = Seed(start)
                for _ in 0..<300 { step(tape, &random) }
            }
        }
    }

    private func step(_ tape: DiskTape, _ random: inout Seed) {
        let names = ["a", "b", "dir", "dir/inner", "file", "a/b", "b/a", "to-dir/x", "a/"]
        func name() -> String { names.randomElement(using: &random) ?? "a" }
        func key() -> String { ["1", "2", "3"].randomElement(using: &random) ?? "1" }
        func offset() -> Int { Int.random(in: 0..<20_000, using: &random) }
        func rule() -> RenameRule { RenameRule.allCases.randomElement(using: &random) ?? .keep }
        switch Int.random(in: 0..<16, using: &random) {
        case 0, 1: tape.makeDirectory(name())
        case 2, 3: tape.open(name(), [.readWrite, .create], as: key())
        case 4: tape.open(name(), [.readWrite, .create, .exclusive], as: key())
        case 5: tape.open(name(), as: key())
        case 6: tape.remove(name())
        case 7: tape.remove(name(), isDirectory: true)
        case 8, 9: tape.rename(name(), to: name(), rule())
        case 10, 11:
            let count = Int.random(in: 0..<9000, using: &random)
            tape.write(key(), at: offset(), generatedBytes(seed: random.next(), 0..<count))
        case 12: tape.read(key(), at: offset(), count: 5000)
        case 13: tape.truncate(key(), to: offset())
        case 14:
            let key = key()
            tape.seek(key, from: offset())
            tape.stat(held: key)
        default:
            tape.stat(name())
            tape.listAnew()
        }
    }
}

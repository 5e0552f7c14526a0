import Foundation
import Glibc
import ResyncCore
import TestSupport
import Testing

/// Whatever entries are called, wherever they lead and whatever size they have: copied as they are.
@Suite struct ApplyNamesTests {
    private static let bytes: [[UInt8]] = [
        [0xff], [0xfe], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0x9b, 0x41],
        [UInt8](repeating: 0x6e, count: 255), [UInt8](repeating: 0xee, count: 255),
    ]
    private static let texts: [String] = [
        "caf\u{e9}", "cafe\u{301}", "a\nb", "\r", "\u{1b}[2J", "\u{1b}]52;c;aGk=\u{7}",
        "txt.\u{202e}exe", "-n", "--delete", "@file", "#x", "*", "$(touch x)", "`id`", "'\"", " ",
        "~", "dot.", "space ", "a\\b", "C:", "CON", "Case", "case",
    ]
    private static var odd: [[UInt8]] {
        var names = bytes + texts.map { Array($0.utf8) }
        for byte in UInt8(1)...255 where byte != 0x2f && byte != 0x2e {
            names.append([byte, 0x31])
        }
        return names
    }

    @Test func everyNameIsCopiedAsItIs() throws {
        let stage = try Stage()
        try stage.makeFolder("b")
        for (index, name) in Self.odd.enumerated() {
            try stage.write(Array("a/".utf8) + name, Array("A \(index)".utf8))
            if index % 3 == 0 { try stage.write(Array("b/".utf8) + name, Array("B".utf8)) }
            if index % 7 == 0 {
                try stage.write(Array("b/x".utf8) + name.prefix(200), Array("gone".utf8))
            }
        }
        try stage.age()
        try stage.takingBack {
            try stage.makeSame()
            let shown = try Command(Command.resync, ["plan", "show", stage.folder + "/same"]).run()
            #expect(shown.status == 0)
            let text = try #require(String(validating: shown.output, as: UTF8.self))
            let odd = text.unicodeScalars.filter { scalar in
                scalar.value != 0x0a
                    && (scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value)
                        || (0x202a...0x202e).contains(scalar.value))
            }
            #expect(odd.isEmpty, "\(odd)")
        }
    }

    /// Names of ours mean something at the root only.
    @Test func ourNamesBelowTheRootAreOrdinary() throws {
        let stage = try Stage()
        try stage.makeFolder("b")
        try stage.makeFolder("a/d")
        try stage.makeFolder("a/d/.resync-quarantine")
        try stage.write("a/d/.resync-store", "a file like any other")
        try stage.write("a/d/.resync-quarantine/1", "another")
        try stage.write("a/f", "f")
        try stage.age()
        try stage.makeSame()
        #expect(stage.text("b/d/.resync-store") == "a file like any other")
        #expect(stage.text("b/d/.resync-quarantine/1") == "another")
    }

    @Test func aDepthBeyondAnyPathIsCopied() throws {
        let stage = try Stage()
        try stage.makeFolder("b")
        var folder = open(stage.a, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        for _ in 0..<60 {
            let name = String(repeating: "d", count: 100)
            #expect(mkdirat(folder, name, 0o755) == 0)
            let next = openat(folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            close(folder)
            folder = next
        }
        let file = openat(folder, "deep", O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
        #expect(file >= 0 && write(file, "bottom", 6) == 6)
        close(file)
        close(folder)
        for arguments in [
            ["plan", stage.a, stage.b, "--authority", "a", "-o", "p"], ["apply", "p"], ["confirm"],
        ] {
            let done = try stage.resync(arguments).run()
            #expect(done.status == 0, "\(done.report)")
        }
        func digest(_ root: String) throws -> String? {
            try system(
                "sh", "-c",
                "tar -C '\(root)' --sort=name --exclude='./.resync*' --mtime=@0 -cf - . | sha256sum"
            )
        }
        #expect(try digest(stage.a) == digest(stage.b))
        let undone = try stage.resync(["undo"]).run()
        #expect(undone.status == 0, "\(undone.report)")
        #expect(try system("ls", stage.b) == "")
    }

    @Test func symlinksAreCopiedAndNeverFollowed() throws {
        let stage = try Stage()
        try stage.makeFolder("b")
        try stage.makeFolder("outside")
        try stage.write("outside/canary", "untouched")
        let outside = try traces(stage.folder + "/outside")
        let targets: [(name: String, target: String)] = [
            ("etc", "/etc"), ("up", ".."), ("dangling", "nowhere"), ("loop1", "loop2"),
            ("loop2", "loop1"), ("long", String(repeating: "x/", count: 2047)),
            ("out", "../outside"), ("canary", "../outside/canary"), ("odd", "\u{1b}[1m\n"),
        ]
        for (name, target) in targets { try system("ln", "-s", target, "\(stage.a)/\(name)") }
        // On B these are something else, and lead out of the store.
        try system("ln", "-s", "../outside", "\(stage.b)/etc")
        try system("ln", "-s", "../outside/canary", "\(stage.b)/dangling")
        try system("ln", "-s", "../outside", "\(stage.b)/dir")
        try stage.makeFolder("a/dir")
        try stage.write("a/dir/canary", "a file in a directory")
        try stage.write("b/loop1", "a file")
        try stage.makeFolder("b/up")
        try stage.write("b/up/in", "in")
        try stage.age()
        try system("touch", "-d", "2019-01-01", stage.folder + "/outside/canary")
        let before = try traces(stage.folder + "/outside")
        try stage.takingBack { try stage.makeSame() }
        #expect(try traces(stage.folder + "/outside") == before)
        #expect(outside.count == before.count)
    }

    @Test func specialFilesAreCopiedWhenAsked() throws {
        guard isRoot else { return skip("devices need root") }
        let stage = try Stage()
        try stage.makeFolder("b")
        try system("mkfifo", stage.a + "/fifo")
        try system("mknod", stage.a + "/null", "c", "1", "3")
        try system("mknod", stage.a + "/whiteout", "c", "0", "0")
        try system("mknod", stage.a + "/disk", "b", "7", "250")
        try system(
            "python3", "-c", "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])",
            stage.a + "/socket")
        try system("mknod", stage.b + "/disk", "b", "7", "251")
        try stage.write("b/null", "a file")
        try stage.age()
        let without = try stage.resync(
            ["plan", stage.a, stage.b, "--authority", "a", "-o", "p"]).run()
        #expect(without.text.contains("left as they are: 5 others"), "\(without.report)")
        try stage.takingBack { try stage.makeSame("--specials", with: "links,xattrs,acl,device") }
    }

    @Test func rootsMayBeSymlinks() throws {
        let stage = try Stage()
        try stage.write("a/f", "new")
        try stage.makeFolder("b")
        try stage.write("b/f", "old")
        try system("ln", "-s", "a", stage.folder + "/la")
        try system("ln", "-s", "b", stage.folder + "/lb")
        for arguments in [
            ["plan", "la", "lb", "--authority", "a", "-o", "p"], ["apply", "p"], ["confirm"],
        ] {
            let done = try stage.resync(arguments).run()
            #expect(done.status == 0, "\(done.report)")
        }
        #expect(stage.text("b/f") == "new")
    }

    /// Another name of a file, outside the store, is no part of it.
    @Test func namesOutsideTheStoreKeepTheirFile() throws {
        let stage = try Stage()
        try stage.write("a/f", "what A has")
        try stage.write("a/m", "same")
        try stage.makeFolder("b")
        try stage.write("secret", "what it was")
        try stage.write("meta", "same")
        try system("ln", stage.folder + "/secret", stage.b + "/f")
        try system("ln", stage.folder + "/meta", stage.b + "/m")
        try stage.age()
        try system("chmod", "600", stage.a + "/m")
        try stage.takingBack { try stage.makeSame(with: "xattrs") }
        #expect(stage.text("secret") == "what it was")
        #expect(try system("stat", "-c", "%a", stage.folder + "/meta") == "644\n")
    }

    @Test func sizesAreCopiedToTheByte() throws {
        let stage = try Stage()
        try stage.makeFolder("b")
        let block = 1 << 20
        let sizes = [
            0, 1, 511, 4095, 4096, 4097, block - 1, block, block + 1, 2 * block, 3 * block + 7,
        ]
        for (index, size) in sizes.enumerated() {
            try stage.write("a/f\(size)", noise(size, seed: UInt64(index + 1)))
            try stage.write("b/f\(size)", noise(sizes[sizes.count - 1 - index], seed: 77))
        }
        // Zeros that lie on the disk, and zeros that do not.
        try stage.write("a/zeros", [UInt8](repeating: 0, count: block))
        try system("truncate", "-s", "1M", stage.b + "/zeros")
        try stage.age()
        try stage.takingBack { try stage.makeSame() }
    }

    /// Gigabytes with next to nothing in them cost next to nothing.
    @Test func holesStayHoles() throws {
        let stage = try Stage()
        try stage.makeFolder("b")
        let size = 8 << 30
        try system("truncate", "-s", "\(size)", stage.a + "/sparse")
        for offset in [0, 1 << 32, size - 5] {
            try stage.patch("a/sparse", at: offset, [1, 2, 3, 4, 5])
        }
        let planned = try stage.resync(
            ["plan", stage.a, stage.b, "--authority", "a", "-o", "p"]).run()
        #expect(planned.status == 0, "\(planned.report)")
        let applied = try stage.resync(["apply", "p"]).run()
        if applied.report.contains("has no room") { return skip("needs 9 GiB of free space") }
        #expect(applied.status == 0, "\(applied.report)")
        #expect(applied.seconds < 60)
        let compared = try stage.verify()
        #expect(compared.status == 0, "\(compared.report)")
        let stat = try system("stat", "-c", "%s %b", stage.b + "/sparse") ?? ""
        let numbers = stat.split { !$0.isNumber }.compactMap { Int($0) }
        #expect(numbers.first == size)
        #expect((numbers.last ?? .max) < 10_000, "\(stat)")
        let tail = try system("tail", "-c", "6", stage.b + "/sparse")
        #expect(tail == "\u{0}\u{1}\u{2}\u{3}\u{4}\u{5}")
    }
}

import Foundation
import ResyncCore
import TestSupport
import Testing

@testable import ResyncStorage

/// The kernel itself, on a real directory.
@Suite(.serialized) struct LinuxDiskTests {
    private let disk = LinuxDisk()
    private let stage: RealStage
    private var root: [UInt8] { Array(stage.root.utf8) }

    init() throws { stage = try RealStage() }

    private func open(_ path: [UInt8], _ flags: OpenFlags = [.readOnly]) throws -> Descriptor {
        try disk.open(path: path, flags, mode: 0o644)
    }

    @Test func everyByteOfANameSurvives() throws {
        var names: [[UInt8]] = []
        for byte in UInt8(1)...255 where byte != slash {
            names.append([0x6e, byte, 0x6e])
            if byte != UInt8(ascii: ".") { names.append([byte]) }
        }
        names += [
            Array("\u{e9}".utf8), Array("e\u{301}".utf8), [0xff, 0xfe], [0xc0, 0xaf],
            Array("...".utf8), [UInt8](repeating: 0xff, count: 255),
        ]
        let directory = try open(root, [.readOnly, .directory])
        defer { disk.close(directory) }
        for (index, name) in names.enumerated() {
            let file = try withCString(name) { (name) throws(DiskError) in
                try disk.open(
                    name, in: directory, [.writeOnly, .create, .exclusive], mode: 0o600)
            }
            try disk.put(file, 0, [UInt8](repeating: 1, count: index))
            disk.close(file)
        }
        var list = NameList()
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 32 << 10, alignment: 16)
        defer { buffer.deallocate() }
        while try disk.list(directory, into: &list, buffer: buffer) {}
        let sorted = list.sorted()
        let found = (0..<sorted.count).map { sorted.name($0).bytes }
        #expect(found == names.sorted { $0.lexicographicallyPrecedes($1) })
        for (index, name) in names.enumerated() {
            let stat = try withCString(name) { (name) throws(DiskError) in
                try disk.stat(name, in: directory)
            }
            #expect(stat.size == index)
            #expect(try disk.stat(path: root + [slash] + name).identity == stat.identity)
        }
    }

    @Test func errorsHaveTheirNumbers() throws {
        stage.file("file", "x")
        stage.directory("dir")
        stage.file("dir/inner", "x")
        stage.symlink("link", "file")
        stage.symlink("loop", "loop")
        func expect(_ call: SystemCall, _ number: Int32, _ body: () throws -> Void) {
            #expect(throws: DiskError(call, number)) { try body() }
        }
        func path(_ name: String) -> [UInt8] { root + Array("/\(name)".utf8) }
        expect(.openat, ENOENT) { _ = try open(path("absent")) }
        expect(.openat, ENOTDIR) { _ = try open(path("file/x")) }
        expect(.openat, ENOTDIR) { _ = try open(path("file"), [.readOnly, .directory]) }
        expect(.openat, EISDIR) { _ = try open(path("dir"), [.readWrite]) }
        expect(.openat, EEXIST) { _ = try open(path("file"), [.readWrite, .create, .exclusive]) }
        expect(.openat, ELOOP) { _ = try open(path("loop")) }
        expect(.openat, ELOOP) { _ = try open(path("link"), [.readOnly, .noFollow]) }
        expect(.openat, ENAMETOOLONG) { _ = try open(path(String(repeating: "n", count: 256))) }
        expect(.openat, EINVAL) { _ = try open(path("a\0b")) }
        expect(.statx, ENOENT) { _ = try disk.stat(path: path("absent")) }
        expect(.statx, ELOOP) { _ = try disk.stat(path: path("loop")) }
        let directory = try open(root, [.readOnly, .directory])
        defer { disk.close(directory) }
        expect(.mkdirat, EEXIST) { try disk.makeDirectory("dir", in: directory, mode: 0o700) }
        expect(.unlinkat, ENOTEMPTY) { try disk.remove("dir", in: directory, isDirectory: true) }
        expect(.unlinkat, EISDIR) { try disk.remove("dir", in: directory, isDirectory: false) }
        expect(.readlinkat, EINVAL) { _ = try disk.readLink("file", in: directory) }
        expect(.renameat2, EEXIST) {
            try disk.rename("link", in: directory, to: "file", in: directory, .keep)
        }
        expect(.pread, EISDIR) { _ = try disk.read(directory, 0, 1) }
        expect(.pread, EINVAL) { _ = try disk.read(directory, -1, 1) }
        expect(.ioctl, ENOTTY) { _ = try disk.deviceSize(directory) }
        let file = try open(path("file"))
        defer { disk.close(file) }
        expect(.pwrite, EBADF) { try disk.put(file, 0, [1] as [UInt8]) }
        expect(.statx, EBADF) { _ = try disk.stat(Descriptor(-1)) }
        #expect(try disk.readLink("link", in: directory) == Array("file".utf8))
        #expect(ErrorNumber.name(EIO) == "EIO")
        #expect(ErrorNumber.sentence(EIO) == "Input/output error")
        #expect(DiskError(.pread, EIO).sentence == "Input/output error (pread)")
        #expect(ErrorNumber.name(99_999) == "errno 99999")
    }

    @Test func aLockIsRefusedAtOnce() throws {
        stage.file("lock", "")
        let path = root + Array("/lock".utf8)
        let (one, other) = (try open(path), try open(path))
        defer { disk.close(other) }
        #expect(try disk.lock(one, exclusive: true))
        #expect(try disk.lock(other, exclusive: false) == false)
        disk.close(one)
        #expect(try disk.lock(other, exclusive: false))
    }

    // MARK: Overlap

    private func overlap(_ a: String, _ b: String, crossing: Bool = false) throws -> String {
        var options = LocalSiteOptions()
        options.crossMounts = crossing
        let sites = try [a, b].map {
            try LocalSite(path: Array($0.utf8), disk: disk, options: options)
        }
        return switch try storeOverlap(sites[0], sites[1]) {
        case .same?: "same"
        case .inside(.a)?: "a inside b"
        case .inside(.b)?: "b inside a"
        case nil: "none"
        }
    }

    @Test func storesThatAreOne() throws {
        let top = stage.root
        stage.directory("a")
        stage.directory("a/deep")
        stage.directory("a/deep/er")
        stage.directory("ab")
        stage.symlink("to-a", "a")
        stage.symlink("to-deep", "a/deep")
        stage.file("image", "x")
        stage.file("copy", "x")
        stage.link("image", "hard")
        #expect(try overlap("\(top)/a", "\(top)/a/") == "same")
        #expect(try overlap("\(top)/a", "\(top)/to-a") == "same")
        #expect(try overlap("\(top)/a", "\(top)/ab/../a/.") == "same")
        #expect(try overlap("\(top)/a", "\(top)/a/deep") == "b inside a")
        #expect(try overlap("\(top)/a/deep/er", "\(top)/to-a") == "a inside b")
        #expect(try overlap("\(top)/a", "\(top)/to-deep") == "b inside a")
        #expect(try overlap("/", top) == "b inside a")
        #expect(try overlap("\(top)/a", "\(top)/ab") == "none")
        #expect(try overlap("\(top)/image", "\(top)/hard") == "same")
        #expect(try overlap("\(top)/image", "\(top)/copy") == "none")
    }

    @Test func bindMountsDoNotHideIt() throws {
        let top = stage.root
        stage.directory("a")
        stage.directory("a/deep")
        stage.directory("bound")
        guard getuid() == 0, shell("mount --bind \(top)/a \(top)/bound") != nil else {
            return skip("needs root and bind mounts")
        }
        defer { shell("umount \(top)/bound") }
        #expect(try overlap("\(top)/a", "\(top)/bound") == "same")
        #expect(try overlap("\(top)/bound", "\(top)/a/deep") == "b inside a")
        #expect(try overlap("\(top)/bound/deep", "\(top)/a") == "a inside b")
        #expect(try overlap("\(top)/bound/deep", "\(top)/a/deep") == "same")
    }

    /// The way up from a bind mount leads past the store that its directory lies in.
    @Test func directoriesBoundElsewhereDoNotHideIt() throws {
        let top = stage.root
        for path in ["a", "a/deep", "a/deep/er", "a/odd name\t#", "b", "c", "side"] {
            stage.directory(path)
        }
        let binds = [("a/deep", "b"), ("a/odd name\t#", "c")]
        var bound: [String] = []
        defer { for place in bound { shell("umount \(top)/\(place)") } }
        for (from, place) in binds {
            guard getuid() == 0, shell("mount --bind '\(top)/\(from)' \(top)/\(place)") != nil
            else { return skip("needs root and bind mounts") }
            bound.append(place)
        }
        #expect(try overlap("\(top)/a", "\(top)/b") == "b inside a")
        #expect(try overlap("\(top)/b", "\(top)/a") == "a inside b")
        #expect(try overlap("\(top)/a", "\(top)/b/er") == "b inside a")
        #expect(try overlap("\(top)/a/deep", "\(top)/b/er") == "b inside a")
        #expect(try overlap("\(top)/b/er", "\(top)/a/deep") == "a inside b")
        #expect(try overlap("\(top)/c", "\(top)/a") == "a inside b")
        #expect(try overlap("\(top)/b", "\(top)/c") == "none")
        #expect(try overlap("\(top)/side", "\(top)/b") == "none")
        // What is mounted over the directory hides it from a walk, so that nothing is shared.
        guard shell("mount -t tmpfs tmpfs \(top)/a/deep") != nil else {
            return skip("cannot mount a tmpfs here")
        }
        bound.append("a/deep")
        #expect(try overlap("\(top)/a", "\(top)/b") == "none")
        #expect(try overlap("\(top)/a", "\(top)/c") == "b inside a")
    }

    /// A walk that crosses mounts reads what is mounted inside, wherever else that is shown.
    @Test func mountsInsideAreSeenWhereTheyAreCrossed() throws {
        let top = stage.root
        for path in ["a", "a/inside", "b"] { stage.directory(path) }
        guard getuid() == 0, shell("mount -t tmpfs tmpfs \(top)/a/inside") != nil else {
            return skip("needs root and tmpfs")
        }
        defer { shell("umount \(top)/a/inside") }
        stage.directory("a/inside/deep")
        guard shell("mount --bind \(top)/a/inside/deep \(top)/b") != nil else {
            return skip("needs bind mounts")
        }
        defer { shell("umount \(top)/b") }
        #expect(try overlap("\(top)/a", "\(top)/b") == "none")
        #expect(try overlap("\(top)/a", "\(top)/b", crossing: true) == "b inside a")
        #expect(try overlap("\(top)/b", "\(top)/a", crossing: true) == "a inside b")
        #expect(try overlap("\(top)/a/inside", "\(top)/b") == "b inside a")
    }
}

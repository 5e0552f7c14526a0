import Glibc
import ResyncCore
import ResyncStorage
import TestSupport

/// Lays entries on a disk with what `Disk` has no calls for.
protocol Stage {
    var root: String { get }
    func file(_ path: String, _ content: String)
    func directory(_ path: String)
    func symlink(_ path: String, _ target: String)
    func fifo(_ path: String)
    func link(_ path: String, _ new: String)
    func attribute(_ path: String, _ name: String, _ value: String)
}

/// A directory of its own on a simulated disk, for a process like this one.
struct SimulatedStage: Stage {
    let root = "/tmp/stage"
    let disk: SimulatedDisk

    init() {
        var identity = SimulatedDisk.Identity()
        identity.isRoot = geteuid() == 0
        identity.uid = geteuid()
        identity.gid = getegid()
        identity.protectedFiles = setting("protected_regular")
        identity.protectedFIFOs = setting("protected_fifos")
        disk = SimulatedDisk(as: identity)
        disk.addDirectory(root, Ownership(mode: 0o700, uid: geteuid(), gid: getegid()))
    }

    private var owner: Ownership { Ownership(uid: geteuid(), gid: getegid()) }

    func file(_ path: String, _ content: String) {
        disk.addFile("\(root)/\(path)", content, owner)
    }
    func directory(_ path: String) { disk.addDirectory("\(root)/\(path)", owner) }
    func symlink(_ path: String, _ target: String) {
        disk.addSymlink("\(root)/\(path)", to: target, owner)
    }
    func fifo(_ path: String) { disk.addFifo("\(root)/\(path)", owner) }
    func link(_ path: String, _ new: String) {
        disk.link("\(root)/\(path)", as: "\(root)/\(new)")
    }
    func attribute(_ path: String, _ name: String, _ value: String) {
        disk.setAttribute("\(root)/\(path)", name, value)
    }
}

/// A setting of the kernel's; 0 where it has none.
private func setting(_ name: String) -> Int {
    guard let file = fopen("/proc/sys/fs/\(name)", "re") else { return 0 }
    defer { fclose(file) }
    let digit = fgetc(file) - 48
    return (0...2).contains(digit) ? Int(digit) : 0
}

/// A temporary directory, removed with the last use of it.
final class RealStage: Stage {
    let root: String

    init() throws {
        let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(parent)/resync-stage-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw DiskError(.mkdirat, errno) }
        root = String(cString: made)
    }

    deinit { removeTree(root) }

    private func removeTree(_ path: String) {
        if let directory = opendir(path) {
            var names: [String] = []
            while let entry = readdir(directory) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) {
                    String(cString: UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self))
                }
                if name != ".", name != ".." { names.append(name) }
            }
            closedir(directory)
            for name in names {
                let below = "\(path)/\(name)"
                if unlink(below) == -1 { removeTree(below) }
            }
        }
        rmdir(path)
    }

    func file(_ path: String, _ content: String) {
        let descriptor = Glibc.open("\(root)/\(path)", O_WRONLY | O_CREAT | O_EXCL, 0o644)
        check(descriptor)
        check(Int32(truncatingIfNeeded: Glibc.write(descriptor, content, content.utf8.count)))
        check(fchmod(descriptor, 0o644))
        Glibc.close(descriptor)
    }

    func directory(_ path: String) {
        check(mkdir("\(root)/\(path)", 0o755))
        check(chmod("\(root)/\(path)", 0o755))
    }

    func symlink(_ path: String, _ target: String) {
        check(Glibc.symlink(target, "\(root)/\(path)"))
    }

    func fifo(_ path: String) {
        check(mkfifo("\(root)/\(path)", 0o644))
        check(chmod("\(root)/\(path)", 0o644))
    }

    func link(_ path: String, _ new: String) {
        check(Glibc.link("\(root)/\(path)", "\(root)/\(new)"))
    }

    /// Swift's Glibc hides setxattr(2).
    func attribute(_ path: String, _ name: String, _ value: String) {
        typealias SetAttribute =
            @convention(c) (
                UnsafePointer<CChar>, UnsafePointer<CChar>, UnsafeRawPointer, Int, Int32
            ) -> Int32
        let found = dlsym(dlopen(nil, RTLD_NOW), "setxattr")
        let set = unsafeBitCast(found, to: SetAttribute.self)
        check(set("\(root)/\(path)", name, value, value.utf8.count, 0))
    }

    private func check(_ result: Int32) {
        precondition(result >= 0, "cannot lay the stage: \(ErrorNumber.name(errno))")
    }
}

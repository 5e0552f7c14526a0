import Glibc
import ResyncCore
import ResyncStorage
import TestSupport
import Testing

/// Random sequences of the calls that change a store, on the kernel and on the simulation.
@Suite struct DiskChangesRandomTests {
    @Test func anything() throws {
        var random = Seed.fromEnvironment()
        for _ in 0..<rounds(30) {
            let start = random.next()
            try compareDisks(laySamples) { tape in
                var random = Seed(start)
                // Reserved space looks like data or a hole by what the kernel has cached of it.
                let reserves = Bool.random(using: &random)
                for _ in 0..<300 { step(tape, reserves, &random) }
                for name in names {
                    tape.stat(name)
                    tape.attributes(name, in: "")
                    tape.listAnew(name)
                    tape.open(name, [.readOnly, .nonBlocking], as: "last")
                    tape.read("last", at: 0, count: 40_000)
                }
            }
        }
    }

    private let names = [
        "a", "b", "dir", "dir/inner", "dir/c", "file", "second", "a/b", "b/a", "a/", "to-file",
        "to-dir/c", "fifo",
    ]

    private func step(_ tape: DiskTape, _ reserves: Bool, _ random: inout Seed) {
        func name() -> String { names.randomElement(using: &random) ?? "a" }
        switch Int.random(in: 0..<4, using: &random) {
        case 0: changeNames(tape, &random)
        case 1: changeInode(tape, &random)
        case 2: changeContent(tape, reserves, &random)
        default:
            tape.stat(name())
            tape.listAnew()
        }
    }

    private func changeNames(_ tape: DiskTape, _ random: inout Seed) {
        func name() -> String { names.randomElement(using: &random) ?? "a" }
        switch Int.random(in: 0..<12, using: &random) {
        case 0: tape.makeDirectory(name())
        case 1: tape.open(name(), [.readWrite, .create, .nonBlocking])
        case 2: tape.makeSymlink(Array(name().utf8), name())
        case 3: tape.makeSpecial(name(), .fifo)
        case 4: tape.makeSpecial(name(), .socket)
        case 5: tape.remove(name())
        case 6: tape.remove(name(), isDirectory: true)
        case 7, 8: tape.link(name(), to: name())
        default:
            let rule = RenameRule.allCases.randomElement(using: &random) ?? .exchange
            tape.rename(name(), to: name(), rule)
        }
    }

    private func changeInode(_ tape: DiskTape, _ random: inout Seed) {
        let name = names.randomElement(using: &random) ?? "a"
        let attribute = ["user.x", "user.y", "user.note"].randomElement(using: &random) ?? "x"
        let mode = UInt16.random(in: 0..<0o10000, using: &random)
        switch Int.random(in: 0..<6, using: &random) {
        // As somebody whom permission bits stop, without the stumbling over them.
        case 0: tape.setMode(geteuid() == 0 ? mode : mode | 0o700, of: name)
        case 1:
            let uid = geteuid() == 0 ? UInt32.random(in: 0..<9, using: &random) : geteuid()
            tape.setOwner(uid, getegid(), of: name)
        case 2:
            let seconds = Int64.random(in: -1000..<1000, using: &random)
            tape.setTimes(seconds, UInt32.random(in: 0..<999, using: &random), of: name)
        case 3: tape.removeAttribute(attribute, of: name)
        case 4: setList(tape, of: name, &random)
        default:
            let count = Int.random(in: 0..<30, using: &random)
            tape.setAttribute(attribute, to: [UInt8](repeating: 7, count: count), of: name)
        }
    }

    /// Any access control list, also one that makes no sense.
    private func setList(_ tape: DiskTape, of name: String, _ random: inout Seed) {
        let attribute = "system.posix_acl_" + (Bool.random(using: &random) ? "access" : "default")
        if Int.random(in: 0..<4, using: &random) == 0 {
            tape.removeAttribute(attribute, of: name)
        } else {
            tape.setAttribute(attribute, to: randomList(&random), of: name)
        }
        tape.attribute(attribute, of: name, in: "")
    }

    private func changeContent(_ tape: DiskTape, _ reserves: Bool, _ random: inout Seed) {
        let key = ["1", "2"].randomElement(using: &random) ?? "1"
        let offset = Int.random(in: 0..<30_000, using: &random)
        let count = Int.random(in: 1..<12_000, using: &random)
        switch Int.random(in: 0..<8, using: &random) {
        case 0:
            let name = ["a", "b", "file", "dir/c"].randomElement(using: &random) ?? "a"
            tape.open(name, [.readWrite, .nonBlocking], as: key)
        case 1, 2: tape.write(key, at: offset, generatedBytes(seed: random.next(), 0..<count))
        case 3: tape.truncate(key, to: offset)
        case 4 where reserves: tape.allocate(key, from: offset, count: count)
        case 5: tape.punchHole(key, from: offset, count: count)
        case 6: tape.syncData(key)
        default:
            if !reserves { tape.seek(key, from: offset) }
            tape.stat(held: key)
            tape.read(key, at: 0, count: 50_000)
        }
    }
}

/// Of entries in their order, most of the time, with one left out now and then.
private func randomList(_ random: inout Seed) -> [UInt8] {
    var bytes: [UInt8] = [2, 0, 0, 0]
    let named = Bool.random(using: &random)
    let tags: [UInt8] = named ? [1, 2, 2, 4, 8, 16, 32] : [1, 4, 32]
    for tag in tags where Int.random(in: 0..<20, using: &random) != 0 {
        let permissions = UInt8.random(in: 0..<8, using: &random)
        bytes += [tag, 0, permissions, 0, UInt8.random(in: 1..<9, using: &random), 0, 0, 0]
    }
    if Int.random(in: 0..<20, using: &random) == 0 { bytes.removeLast() }
    return bytes
}

import Foundation
import Glibc

/// Two stores and a state folder in a private temporary folder, removed in the end.
final class Stage {
    let folder: String

    init(below parent: String = NSTemporaryDirectory()) throws {
        var template = Array((parent + "/resync-test-XXXXXX").utf8CString)
        guard mkdtemp(&template) != nil else { throw StageFailure(call: "mkdtemp", number: errno) }
        folder = template.withUnsafeBufferPointer { pointer in
            pointer.baseAddress.map { String(cString: $0) } ?? "/"
        }
        try makeFolder("a")
    }

    deinit { _ = try? system("rm", "-rf", "--one-file-system", folder) }

    var a: String { folder + "/a" }
    var b: String { folder + "/b" }
    var state: String { folder + "/state" }

    // MARK: Making

    func makeFolder(_ path: String) throws {
        try check("mkdir", mkdir("\(folder)/\(path)", 0o755))
    }

    func write(_ path: String, _ bytes: [UInt8]) throws {
        try write(Array(path.utf8), bytes)
    }

    func write(_ path: String, _ text: String) throws { try write(path, Array(text.utf8)) }

    /// The path is relative to the stage's folder.
    func write(_ path: [UInt8], _ bytes: [UInt8]) throws {
        let file = open(absolute(path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        try check("open", file)
        defer { close(file) }
        var done = 0
        while done < bytes.count {
            let count = bytes[done...].withUnsafeBytes {
                Glibc.write(file, $0.baseAddress, $0.count)
            }
            try check("write", Int32(clamping: count))
            done += count
        }
    }

    /// Changes bytes of a file and leaves its size and mtime as they were.
    func patch(_ path: String, at offset: Int, _ bytes: [UInt8]) throws {
        let name = absolute(Array(path.utf8))
        var before = stat()
        try check("stat", stat(name, &before))
        let file = open(name, O_WRONLY | O_CLOEXEC)
        try check("open", file)
        defer { close(file) }
        try check("pwrite", Int32(clamping: pwrite(file, bytes, bytes.count, offset)))
        try check("futimens", futimens(file, [before.st_atim, before.st_mtim]))
    }

    /// Makes B a copy of A in everything.
    func copy() throws {
        guard try system("cp", "-a", a, b) != nil else {
            throw StageFailure(call: "cp", number: EIO)
        }
    }

    func remove(_ path: String) throws { try system("rm", "-rf", "\(folder)/\(path)") }

    func exists(_ path: String) -> Bool {
        FileManager.default.fileExists(atPath: "\(folder)/\(path)")
    }

    func text(_ path: String) -> String {
        String(decoding: bytes(path), as: UTF8.self)
    }

    func bytes(_ path: String) -> [UInt8] {
        FileManager.default.contents(atPath: "\(folder)/\(path)").map { Array($0) } ?? []
    }

    private func absolute(_ path: [UInt8]) -> [CChar] {
        (Array(folder.utf8) + [UInt8(ascii: "/")] + path + [0]).map { CChar(bitPattern: $0) }
    }

    // MARK: Running

    /// `resync verify A B` with a state folder of its own and no waiting for differences to settle.
    func verify(_ options: String...) throws -> Finished { try verifying(options).run() }

    func verifying(_ options: [String]) -> Command {
        resync(["verify", a, b, "--settle", "0"] + options)
    }

    func runs(_ arguments: String...) throws -> Finished {
        try resync(["runs"] + arguments).run()
    }

    func resync(_ arguments: [String]) -> Command {
        var command = Command(Command.resync, arguments + ["--state", state])
        command.directory = folder
        return command
    }
}

struct StageFailure: Error {
    let call: String
    let number: Int32
}

private func check(_ call: String, _ result: Int32) throws {
    if result < 0 { throw StageFailure(call: call, number: errno) }
}

/// Bytes that do not repeat soon, the same ones for each seed.
func noise(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
    var state = seed &* 0x9e37_79b9_7f4a_7c15 | 1
    var bytes = [UInt8](repeating: 0, count: count)
    for index in 0..<count {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        bytes[index] = UInt8(truncatingIfNeeded: state >> 24)
    }
    return bytes
}

/// The objects of JSON Lines.
func objects(_ lines: [String]) throws -> [[String: Any]] {
    try lines.map { line in
        let value = try JSONSerialization.jsonObject(with: Data(line.utf8))
        guard let object = value as? [String: Any] else {
            throw StageFailure(call: "json", number: EINVAL)
        }
        return object
    }
}

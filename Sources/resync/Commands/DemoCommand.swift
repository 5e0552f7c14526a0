import ArgumentParser
import Glibc
import ResyncCore
import ResyncEngine
import ResyncStorage

struct DemoCommand: ResyncCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Damage one of two small stores in eight ways, and explain what verify says.",
        discussion: """
            Works in a folder of its own under $TMPDIR, which it removes. Nothing else is touched.
            """)

    mutating func execute() throws -> ExitStatus {
        let stage = try DemoStage()
        defer { stage.remove() }
        try stage.makeEqual()
        try say("Two stores with the same content, as after a good copy:\n")
        guard try stage.verify() == .ok else { throw Self.surprise }
        try say(
            """

            IN SYNC: every entry exists on both sides and agrees in all that is compared. Every
            byte was read on both sides; sizes and times alone prove nothing.

            Now eight things happen to B that a storage outage can do to a store, and the same
            command looks again. What differs is looked at twice before it is reported, so this
            takes two seconds longer:


            """)
        for damage in Damage.allCases { try stage.apply(damage) }
        guard try stage.verify() == .differences else { throw Self.surprise }
        try explain(try stage.lastDifferences())
        return .ok
    }

    private func explain(_ found: [Difference]) throws {
        try say("\nWhat each line means:\n\n")
        for damage in Damage.allCases {
            guard let difference = found.first(where: { $0.path == damage.path }) else {
                throw Self.surprise
            }
            try say("\(TextReport.line(difference))\n    \(damage.meaning)\n")
        }
        guard found.count == Damage.allCases.count else { throw Self.surprise }
        try say(
            """

            NOT IN SYNC, exit status 1: content differs. Bytes were compared, so damage that left
            size and mtime alone was found as well. verify changed nothing, on either side.

            Now your own stores: resync verify A B

            """)
    }

    private func say(_ text: String) throws { try StandardOutput.shared.write(text) }

    /// The demonstration is a promise: if verify sees something else, that is a defect.
    private static let surprise = CommandError(
        "the demonstration did not come out as it must", .defect)
}

/// What happens to B, each to a file of its own.
private enum Damage: CaseIterable {
    case missing, extra, truncated, zeroed, flipped, older, mode, changed

    var file: String {
        switch self {
        case .missing: "mail/lost"
        case .extra: "mail/unexpected"
        case .truncated: "mail/cut-off"
        case .zeroed: "database/lost-write"
        case .flipped: "database/flipped-bit"
        case .older: "database/old-version"
        case .mode: "config/permissions"
        case .changed: "config/silent-change"
        }
    }

    var path: RelativePath { RelativePath(Array(file.utf8)) }

    var meaning: String {
        switch self {
        case .missing: "A has this file and B does not: it was lost on B, or never arrived."
        case .extra: "B has this file and A does not: it is new on B, or was deleted on A only."
        case .truncated: "On B the end is missing: B holds the beginning of what A holds."
        case .zeroed:
            "Zeros on B where A has data, under the same size and mtime: a lost write.\n"
                + "    The numbers say how long the damaged stretch is and where it begins."
        case .flipped: "At most a few bits differ: memory, controller or disk, not a program."
        case .older:
            "Other content and another mtime: one side has an older version of this file."
        case .mode:
            "The content agrees. Mode or owner differ: a service may be unable to open it."
        case .changed:
            "Other content under the same size and mtime. A comparison of sizes and times\n"
                + "    would have called this file the same."
        }
    }
}

/// Two small stores in a private folder.
private struct DemoStage {
    private let folder: String

    init() throws {
        let base = environment("TMPDIR").map { String(decoding: $0, as: UTF8.self) } ?? "/tmp"
        var template = Array("\(base)/resync-demo-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Self.failure("mkdtemp", base) }
        folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static func failure(_ call: String, _ path: String) -> CommandError {
        CommandError(
            "cannot work in '\(escaped(path.utf8))': \(ErrorNumber.sentence(errno)) (\(call))")
    }

    private func check(_ call: String, _ result: Int32, _ path: String) throws {
        if result < 0 { throw Self.failure(call, path) }
    }

    private static let folders = ["mail", "database", "config"]
    private static let sides = ["a", "b"]
    /// Some weeks ago: nothing of it changes while it is looked at.
    private let time = time_t(Timestamp.now.seconds) - 30 * 86400
    private static let size = 64 << 10

    // MARK: Making

    func makeEqual() throws {
        for side in Self.sides {
            try check("mkdir", mkdir("\(folder)/\(side)", 0o755), side)
            for name in Self.folders {
                try check("mkdir", mkdir("\(folder)/\(side)/\(name)", 0o755), name)
            }
            for damage in Damage.allCases where damage != .extra {
                try write(side, damage.file, Self.content(of: damage), at: time)
            }
            try write(side, "config/untouched", Self.content(of: .extra), at: time)
            try setFolderTimes(side)
        }
    }

    func apply(_ damage: Damage) throws {
        var bytes = Self.content(of: damage)
        var time = time
        switch damage {
        case .missing:
            let path = "\(folder)/b/\(damage.file)"
            try check("unlink", unlink(path), path)
            return try setFolderTimes("b")
        case .mode:
            let path = "\(folder)/b/\(damage.file)"
            if geteuid() == 0 { try check("chown", chown(path, 65534, 65534), path) }
            return try check("chmod", chmod(path, 0o600), path)
        case .extra: break
        case .truncated: bytes.removeLast(bytes.count / 3)
        case .zeroed: for index in 16384..<20480 { bytes[index] = 0 }
        case .flipped: bytes[40000] ^= 0x08
        case .older:
            bytes.reverse()
            time -= 86400
        case .changed: for index in 100..<116 { bytes[index] = ~bytes[index] }
        }
        try write("b", damage.file, bytes, at: time)
        try setFolderTimes("b")
    }

    /// Bytes that look like data, the same ones every time.
    private static func content(of damage: Damage) -> [UInt8] {
        var state = damage.file.utf8.reduce(UInt32(1)) { $0 &* 31 &+ UInt32($1) }
        return (0..<size).map { _ in
            state = state &* 1_664_525 &+ 1_013_904_223
            return UInt8(truncatingIfNeeded: state >> 24)
        }
    }

    private func write(_ side: String, _ file: String, _ bytes: [UInt8], at time: time_t) throws {
        let path = "\(folder)/\(side)/\(file)"
        let output = try OutputFile.create(
            path: Array(path.utf8), replacing: true, disk: LinuxDisk())
        try output.write(bytes)
        try output.flush()
        try check("chmod", chmod(path, 0o644), path)
        try setTime(path, time)
    }

    private func setFolderTimes(_ side: String) throws {
        for name in Self.folders { try setTime("\(folder)/\(side)/\(name)", time) }
    }

    private func setTime(_ path: String, _ seconds: time_t) throws {
        let stamp = timespec(tv_sec: seconds, tv_nsec: 0)
        try check("utimensat", utimensat(AT_FDCWD, path, [stamp, stamp], 0), path)
    }

    // MARK: Comparing

    /// Runs the command as a user would, and shows how it is typed.
    func verify() throws -> ExitStatus {
        let arguments = ["verify", "\(folder)/a", "\(folder)/b"]
        let shown = arguments.map { escaped($0.utf8) }.joined(separator: " ")
        try StandardOutput.shared.write("$ \(programName) \(shown)\n")
        let parsed = try Resync.parseAsRoot(arguments + ["--state", "\(folder)/state"])
        guard let command = parsed as? VerifyCommand else {
            throw CommandError("verify is no command", .defect)
        }
        return try command.execute(resuming: nil)
    }

    func lastDifferences() throws -> [Difference] {
        let state = try StateFolder(path: Array("\(folder)/state".utf8), disk: LinuxDisk())
        var reader = try RunFolder.open(try state.runID("last"), in: state.runs).results()
        var found: [Difference] = []
        while let record = try reader.next() {
            if case .difference(let difference) = record { found.append(difference) }
        }
        return found
    }

    /// As far as that can be done: what is in the way of it is for the user to see.
    func remove() {
        if let opened = try? Folder.make(path: Array(folder.utf8), disk: LinuxDisk()) {
            empty(opened)
        }
        rmdir(folder)
    }

    private func empty(_ folder: Folder) {
        for name in (try? folder.names()) ?? [] where (try? folder.remove(name.bytes)) == nil {
            guard let inner = try? folder.folder(name.bytes, create: false) else { continue }
            empty(inner)
            try? folder.remove(name.bytes, isFolder: true)
        }
    }
}

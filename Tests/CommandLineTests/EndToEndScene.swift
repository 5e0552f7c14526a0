import Foundation
import Glibc
import ResyncCore
import TestSupport
import Testing

/// Two ext4 file systems with the same content, of which B's last writes can be lost, and what the
/// program says of them. `/mnt/a` and `/mnt/b` stand for the two, as in README.md.
final class EndToEndScene {
    let stage: Stage
    private let disks: Sides<LoopMount>
    /// As on a terminal.
    private(set) var transcript: [String] = []

    /// Nil, said aloud, where that cannot be done here.
    init?() throws {
        guard Command.find("debugfs") != nil, Command.find("setfacl") != nil else {
            skip("needs debugfs and setfacl")
            return nil
        }
        guard let a = try LoopMount(.ext4), let b = try LoopMount(.ext4) else { return nil }
        disks = Sides(a: a, b: b)
        stage = try Stage()
        try stage.remove("a")
        for (name, disk) in [("a", a), ("b", b)] {
            try system("ln", "-s", disk.point, "\(stage.folder)/\(name)")
        }
        let pair = "{name: mail, a: \(a.point), b: \(b.point)}"
        try stage.write("config.yaml", "pairs: [\(pair)]\n")
        try fill()
    }

    private func fill() throws {
        for folder in ["db", "mail", "rec", "web", "empty"] { try stage.makeFolder("a/" + folder) }
        for (path, size) in [
            ("db/users", 20_000), ("mail/17", 30_000), ("mail/18", 8000), ("rec/0412", 1_200_000),
            ("rec/0413", 900_000), ("web/index", 3000),
        ] { try stage.write("a/" + path, noise(size, seed: UInt64(size))) }
        try stage.write("a/app.conf", "listen 25\n")
        try system("ln", disks.a.point + "/web/index", disks.a.point + "/web/start")
        try system("ln", "-s", "users", disks.a.point + "/db/current")
        try system("setfattr", "-n", "user.k", "-v", "v", disks.a.point + "/app.conf")
        try system("setfacl", "-m", "u:5:r", disks.a.point + "/web/index")
        try system("setfacl", "-d", "-m", "u:5:rx", disks.a.point + "/mail")
        try system(
            "find", disks.a.point, "-exec", "touch", "-h", "-d", "2020-01-01", "{}", "+")
        try system("cp", "-a", disks.a.point + "/.", disks.b.point)
        // What is written to both from here on is what B loses.
        try disks.b.keep()
        usleep(50_000)
        try stage.write("a/db/index", noise(19_000, seed: 1))
        try stage.write("a/mail/17", noise(31_000, seed: 2))
        for path in ["/db/index", "/mail/17"] {
            try system("cp", "-p", disks.a.point + path, disks.b.point + path)
        }
        for disk in [disks.a, disks.b] {
            try system("chown", "1234:1234", disk.point + "/web/index")
            try system("touch", "-d", "2020-01-02", disk.point + "/db")
            try system("sync", "-f", disk.point)
        }
        usleep(2_200_000)
    }

    /// The disk comes back without its last writes (one file is missing, one is an older version,
    /// one has its old owner); of what it does have a block is zeros, a bit has flipped and a file
    /// is cut short, while no time has moved. Then somebody makes a file there, and edits another.
    ///
    /// - Returns: false, said aloud, where it was not to be done.
    func damage() throws -> Bool {
        let users = stage.bytes("a/db/users")
        let block = Array(users[8192..<12_288])
        var flipped = block
        flipped[100] ^= 4
        let zeroed = Array(stage.bytes("a/rec/0412")[409_600..<413_696])
        guard try disks.b.loseWrites(), try disks.b.replace(block, with: flipped),
            try disks.b.replace(zeroed, with: [UInt8](repeating: 0, count: zeroed.count)),
            try disks.b.changing({ image in
                try system("debugfs", "-w", "-R", "sif /rec/0413 size 600000", image) != nil
            })
        else {
            skip("the disk cannot be damaged here")
            return false
        }
        try #require(stage.bytes("b/rec/0413").count == 600_000)
        try stage.write("b/mail/19", "made on B\n")
        try stage.write("b/app.conf", "listen 25, 587\n")
        return true
    }

    /// Everything that a store's inodes say, but for ctimes and what the program keeps there, which
    /// the root's count of directories shows.
    func whole(_ side: Side) throws -> Recorded {
        let found = try recorded(disks[side].point).withoutOwn
        return Recorded(
            uniqueKeysWithValues: found.map { path, entry in
                var stat = entry.stat
                stat.ctime = .epoch
                if path.isEmpty { stat.links = 0 }
                // How many entries a directory ever had.
                if stat.type == .directory { stat.size = 0 }
                return (
                    path,
                    RecordedEntry(stat: stat, bytes: entry.bytes, attributes: entry.attributes)
                )
            })
    }

    /// What plain reading and rsync find to differ.
    func differences() throws -> [String] { try stage.differences() }

    // MARK: Running

    /// Runs it, expects that status, and returns what it said.
    @discardableResult
    func resync(
        _ status: Int32, _ words: String..., at line: SourceLocation = #_sourceLocation
    ) throws -> String { try resync(status, words, at: line) }

    @discardableResult
    func resync(
        _ status: Int32, _ words: [String], at line: SourceLocation
    ) throws -> String {
        var shell = command(words)
        shell.arguments =
            ["-c", "exec \"$@\" 2>&1", "sh", shell.program].map { Array($0.utf8) } + shell.arguments
        shell.program = "/bin/sh"
        let done = try shell.run()
        #expect(done.status == status, "\(words): \(done.report)", sourceLocation: line)
        return note(words, done.text)
    }

    /// Ends it before the Nth of its calls that change something.
    func kill(_ killer: Killer, at moment: Int, _ words: String...) throws {
        var killed = command(words)
        killed.arguments += ["--workers", "1"].map { Array($0.utf8) }
        let (done, _) = try killer.run(killed, killingAt: moment)
        #expect(done.status == 137, "\(words): \(done.report)")
        note(words, done.text + done.errorText + "Killed\n")
    }

    private func command(_ words: [String]) -> Command {
        var words = words.map { word in
            ["/mnt/a": disks.a.point, "/mnt/b": disks.b.point][word] ?? word
        }
        if words.starts(with: ["episode", "open"]) { words += ["--config", "config.yaml"] }
        guard words.starts(with: ["plan", "show"]) else { return stage.resync(words) }
        var command = Command(Command.resync, words)
        command.directory = stage.folder
        return command
    }

    @discardableResult
    private func note(_ words: [String], _ output: String) -> String {
        let shown = words.map { $0.contains(" ") ? "'\($0)'" : $0 }
        transcript.append("$ resync " + shown.joined(separator: " "))
        let text = output.replacingOccurrences(of: disks.a.point, with: "/mnt/a")
            .replacingOccurrences(of: disks.b.point, with: "/mnt/b")
        transcript += text.split(separator: "\n").map { String($0) }
        return text
    }

    // MARK: What README.md shows

    /// Its example is what the program says: but for the names of runs, times and speeds, and where
    /// `...` stands.
    func checkReadme() throws {
        let readme = try String(contentsOfFile: Command.project + "/README.md", encoding: .utf8)
            .components(separatedBy: "\n")
        let begin = try #require(
            readme.firstIndex { $0.hasPrefix("$ resync verify /mnt/a /mnt/b --keep") })
        var rest = transcript.map { Self.timeless($0) }[...]
        for line in readme[begin...].prefix(while: { $0 != "```" }) where line != "..." {
            let wanted = Self.timeless(line)
            let found = rest.firstIndex { said in
                wanted.hasSuffix("...") ? said.hasPrefix(wanted.dropLast(3)) : said == wanted
            }
            guard let found else {
                Issue.record(
                    "README.md: '\(line)' is not in\n\(transcript.joined(separator: "\n"))")
                return
            }
            rest = rest[(found + 1)...]
        }
    }

    private static func timeless(_ line: String) -> String {
        line.replacing(/e?\d{8}(T\d{6}\.\d{3}Z|\d{6})-[0-9a-f]{4}/, with: "ID")
            .replacing(/[0-9a-f]{64}/, with: "ID")
            .replacing(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d\d:\d\d/, with: "TIME")
            .replacing(/^content compared: .*/, with: "content compared")
    }
}

extension String {
    /// What it says of each difference, or is to be done about it.
    var entries: [String] {
        split(separator: "\n").map { String($0) }.filter { line in
            line.dropFirst().first == " " && "-+*.!?~xe".contains(line.first ?? " ")
        }
    }
}

extension Recorded {
    /// A line for each path that is not wholly the same in both.
    func unlike(_ other: Recorded) -> [String] {
        Set(keys).union(other.keys).filter { self[$0] != other[$0] }.map { path in
            let (one, two) = (self[path], other[path])
            return "\(escaped(path)): \(one?.whole ?? "nothing"), \(two?.whole ?? "nothing")"
        }
    }

    /// Whether some of what is to change has, and some has not.
    func isBetween(_ old: Recorded, _ new: Recorded) -> Bool {
        let changing = Set(old.keys).union(new.keys).filter { path in
            old[path]?.stat.type != .directory && !Self.isSame(old[path], new[path])
        }
        return changing.contains { Self.isSame(self[$0], old[$0]) }
            && changing.contains { Self.isSame(self[$0], new[$0]) }
    }

    private static func isSame(_ one: RecordedEntry?, _ two: RecordedEntry?) -> Bool {
        guard let one, let two else { return one == two }
        return one.isSame(as: two)
    }
}

extension RecordedEntry {
    fileprivate var whole: String { "\(text), inode \(stat.inode), \(stat.links) names" }
}

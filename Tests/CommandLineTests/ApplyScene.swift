import Foundation
import Glibc
import TestSupport
import Testing

/// Two stores that differ, and a plan that makes B what A is.
struct ApplyScene {
    let stage: Stage
    var plan: String { stage.folder + "/p" }

    /// `f` is another one on B, `d/new` is missing there, `extra` and `old/` are only there.
    init() throws {
        stage = try Stage()
        try stage.makeFolder("a/d")
        for (index, name) in ["d/k", "f", "g", "h"].enumerated() {
            try stage.write("a/\(name)", noise(5000, seed: UInt64(index + 1)))
        }
        try stage.copy()
        try stage.write("a/d/new", "made")
        try stage.write("b/f", "what B had")
        try stage.write("b/extra", "only on B")
        try stage.makeFolder("b/old")
        try stage.write("b/old/one", "one")
        try stage.write("b/old/two", "two")
        try system("find", stage.a, stage.b, "-exec", "touch", "-d", "2020-01-01", "{}", "+")
        try makePlan()
    }

    /// From `verify` on; B is the target.
    func makePlan() throws {
        let compared = try stage.verify()
        #expect(compared.status == 1, "\(compared.report)")
        let planned = try run("plan", "last", "--authority", "a", "-o", "p", "--force")
        #expect(planned.status == 0, "\(planned.report)")
    }

    func run(_ arguments: String...) throws -> Finished { try stage.resync(arguments).run() }

    func apply(_ more: String...) throws -> Finished {
        try stage.resync(["apply", plan] + more).run()
    }

    /// Applies; status 0.
    func applied() throws {
        let done = try apply()
        #expect(done.status == 0, "\(done.report)")
    }

    /// The only run of apply.
    func runFolder() throws -> String {
        let runs = stage.state + "/runs"
        let names = try FileManager.default.contentsOfDirectory(atPath: runs)
        let applied = names.filter {
            FileManager.default.fileExists(atPath: "\(runs)/\($0)/journal")
        }
        return runs + "/" + (try #require(applied.first))
    }

    var a: [String] { get throws { try traces(stage.a) } }
    var b: [String] { get throws { try traces(stage.b) } }

    /// What B holds, without what is resync's own and without ctimes.
    var store: [String] {
        get throws { try plainTraces(stage.b) }
    }

    /// Has a command refuse: in that way, in so many lines, with both stores left untouched.
    func refuses(
        _ status: Int32, _ words: String, lines: Int = 1, _ command: () throws -> Finished
    ) throws {
        let before = (try a, try b)
        let found = try command()
        #expect(found.status == status, "\(found.report)")
        #expect(found.errorText.contains(words), "\(found.report)")
        #expect(found.errorText.split(separator: "\n").count == lines, "\(found.report)")
        #expect(found.output == [], "\(found.report)")
        #expect(try a == before.0)
        #expect(try b == before.1)
    }
}

/// Every path below a root, or an image, with all that its inode says, but for access times, and
/// its content.
func traces(_ root: String) throws -> [String] {
    try listed(root, "%p %y %m %U:%G %s %i %T@ %C@ %l", all: true)
}

/// As a user of the store sees it: what is resync's own is left out.
func plainTraces(_ root: String) throws -> [String] {
    try listed(root, "%p %y %m %U:%G %T@ %l", all: false)
}

private func listed(_ root: String, _ format: String, all: Bool) throws -> [String] {
    let ours = all ? "" : "-path './.resync*' -prune -o"
    let script = """
        if [ ! -d "$1" ]; then
            find "$1" -printf '\(format)\\n' && sha256sum -- "$1"
            exit
        fi
        cd "$1" || exit
        find . -path ./lost+found -prune -o \(ours) -printf '\(format)\\n' |
        LC_ALL=C sort
        find . -path ./lost+found -prune -o \(ours) -type f -print0 | LC_ALL=C sort -z |
        xargs -0 -r sha256sum
        """
    let done = try Command("/bin/bash", ["-c", script, "listing", root]).run()
    #expect(done.status == 0, "\(done.report)")
    // Our own files at the root move its time; it is put back, and its ctime is not.
    return done.lines
}

extension Stage {
    /// What the given planning options make of B, and back: verified, planned, carried out,
    /// confirmed and held against A by other means.
    func makeSame(_ planning: String..., with aspects: String = "links,xattrs,acl") throws {
        let compared = try verify("--with", aspects)
        #expect([1, 2].contains(compared.status), "\(compared.report)")
        let planned = try resync(
            ["plan", "last", "--authority", "a", "-o", "same", "--force", "--json"] + planning
        ).run()
        #expect(planned.status == 0, "\(planned.report)")
        let id = try objects(planned.lines).compactMap { $0["plan"] as? String }.last
        let applied = try resync(["apply", folder + "/same", "--accept", id ?? "?"]).run()
        #expect(applied.status == 0, "\(applied.report)")
        let confirmed = try resync(["confirm"]).run()
        #expect(confirmed.status == 0, "\(confirmed.report)")
        #expect(try differences() == [])
    }

    /// What plain reading and rsync find to differ.
    func differences() throws -> [String] {
        var found = plainlyCompared(try plainStore(a), try plainStore(b)).filter {
            !$0.hasPrefix("=")
        }
        if let rsync = Command.find("rsync") {
            let options = ["-aHAXcni", "--delete", "--exclude=/.resync*", "--exclude=/lost+found"]
            let dry = try Command(rsync, options + [a + "/", b + "/"]).run()
            #expect(dry.status == 0, "\(dry.report)")
            // The root's time is not compared.
            found += dry.lines.filter { !$0.hasSuffix(" ./") }
        }
        return found
    }

    /// Keeps what B is, takes the last run back, and finds B to be as it was kept.
    func takingBack(_ work: () throws -> Void) throws {
        try system("cp", "-a", b, folder + "/before")
        let before = try plainStore(folder + "/before")
        try work()
        let undone = try resync(["undo"]).run()
        #expect(undone.status == 0, "\(undone.report)")
        #expect(plainlyCompared(before, try plainStore(b)).filter { !$0.hasPrefix("=") } == [])
        try remove("before")
    }

    /// Gives both stores an age at which times prove something.
    func age() throws {
        try system("find", a, b, "-exec", "touch", "-h", "-d", "2020-01-01", "{}", "+")
    }
}

import Foundation
import Glibc
import ResyncCore
import TestSupport
import Testing

/// Somebody plants, in a store that is about to be changed, ways that lead out of it. One plan does
/// everything that a plan can do (stat, read, list, mkdir, create, rename, unlink, chmod, chown,
/// attributes and lists, times, symlink, link, mknod); nothing of it may reach what lies outside.
@Suite struct EscapeTests {
    /// Ways out that are in place before the program starts.
    enum Plant: String, CaseIterable {
        /// A directory, and all that lies in one, become symlinks.
        case parentSymlink, leafSymlink
        /// Files become names of those outside.
        case hardLink
        /// What lies outside is mounted over a directory, or over what lies in one.
        case parentMount, leafMount
        /// The program's own names in the root are taken.
        case ownNames
    }

    @Test(arguments: Plant.allCases)
    func whatIsPlantedLeadsNowhere(_ plant: Plant) throws {
        guard let mount = try LoopMount(.ext4) else { return }
        for undoing in [false, true] {
            let field = try EscapeField(mount)
            if undoing {
                let applied = try field.apply.run()
                try #require(applied.status == 0, "\(applied.report)")
            }
            let store = try recorded(field.stage.b).contents
            try field.plant(plant)
            let canary = try recorded(field.canary)
            let command = undoing ? field.stage.resync(["undo"]) : field.apply
            let done = try command.run()
            // What a plan saw is not there any more, or it stands in its own way.
            #expect([1, 2, 5, 6].contains(done.status), "\(plant): \(done.report)")
            let touched = try recorded(field.canary).changes(since: canary)
            #expect(touched == [], "\(plant), undoing: \(undoing)")
            try field.unplant()
            let kept = try recorded(field.stage.b).contents
            #expect(store.subtracting(kept).map { escaped($0.prefix(40)) } == [], "\(plant)")
            let again = try command.run()
            #expect(again.status == 0, "\(plant), undoing: \(undoing): \(again.report)")
            #expect(try recorded(field.canary).contents == canary.contents)
        }
    }

    /// Ways out that come and go while the program works.
    enum Race: String, CaseIterable {
        case parent, leaf
    }

    @Test(arguments: Race.allCases)
    func whatComesAndGoesLeadsNowhere(_ race: Race) throws {
        guard let mount = try LoopMount(.ext4), let flipper = try FaultProgram("flipper") else {
            return
        }
        let start = ContinuousClock.now
        var (flips, attempts) = (0, 0)
        repeat {
            let field = try EscapeField(mount)
            let contents = try recorded(field.stage.b).contents
            let pairs = try field.prepare(race)
            let canary = try recorded(field.canary)
            let attacker = try Command(flipper.path, ["65534"] + pairs).start()
            for _ in 0..<4 {
                let done = try field.apply.run()
                #expect(done.status != 70 && done.status < 128, "\(race): \(done.report)")
                attempts += 1
            }
            attacker.signal(SIGTERM)
            flips += Int(try attacker.wait().text.filter(\.isNumber)) ?? 0
            let touched = try recorded(field.canary).changes(since: canary)
            #expect(touched == [], "\(race)")
            let lost = contents.subtracting(try recorded(field.stage.b).contents)
            #expect(lost.map { escaped($0.prefix(40)) } == [], "\(race)")
        } while start.duration(to: .now) < .seconds(isLongRun ? 20 : 2)
        #expect(flips > attempts * 10)
        print("escapes: \(flips) exchanges of a \(race) during \(attempts) attempts, none led out")
    }
}

extension Recorded {
    /// What is not exactly as it was, ctime and all.
    func changes(since before: Recorded) -> [String] {
        Set(keys).union(before.keys).filter { self[$0] != before[$0] }.map { escaped($0) }.sorted()
    }
}

/// Two stores with a plan that does everything, and a tree outside of them with the same names.
private final class EscapeField {
    let stage: Stage
    let apply: Command
    var canary: String { stage.folder + "/canary" }
    private var undo: [() throws -> Void] = []
    private var mounts: [String] = []

    private static let names = [
        "replace", "meta", "acl", "kept", "link", "new", "newdir", "sym", "fifo", "type", "large",
        "gone", "goneDir", "xattr",
    ]

    private static let script = """
        set -eu
        cd "$1"; mkdir -p a/p b/p canary/p; umask 022
        cd a/p
        echo 'A has this' >replace; echo meta >meta; mkdir acl; echo kept >kept; ln kept link
        echo new >new; setfattr -n user.k -v 1 new; setfacl -m u:5:r new; mkdir newdir
        echo in >newdir/in; ln -s kept sym; mkfifo fifo; mkdir type; echo in >type/in
        head -c 300000 /dev/urandom >large; echo xattr >xattr; setfattr -n user.k -v 1 xattr
        chmod 640 meta; chown 7:8 meta acl; setfacl -m d:u:5:rx acl; setfattr -n user.k -v 1 acl
        cd ../../b/p
        echo B >replace; echo meta >meta; mkdir acl; echo kept >kept; echo gone >gone
        mkdir goneDir; echo x >goneDir/x; echo type >type; echo xattr >xattr
        cd ../../canary/p
        for name in replace meta kept link new sym fifo type large gone xattr; do
            echo "canary $name" >$name
        done
        mkdir acl newdir goneDir; echo 'canary in' >newdir/in; echo 'canary x' >goneDir/x
        chmod 600 replace meta kept; setfattr -n user.c -v 1 acl meta xattr
        cd ../..
        find a b canary -exec touch -h -d @1500000000 {} +
        touch -d @1 b/p/meta
        chmod 777 a a/p b b/p
        """

    init(_ mount: LoopMount) throws {
        stage = try Stage(below: mount.point)
        let made = try Command("/bin/bash", ["-c", Self.script, "script", stage.folder]).run()
        try #require(made.status == 0, "\(made.report)")
        // Whoever plants has the right to.
        try system("chmod", "755", stage.folder)
        apply = stage.applying(try stage.planned(), "--workers", "2")
    }

    deinit { for path in mounts { _ = try? system("umount", "-l", path) } }

    private func move(_ path: String, to other: String) throws {
        guard rename(path, other) == 0 else { throw StageFailure(call: "rename", number: errno) }
    }

    /// Puts aside what stands at a name, and something else in its place.
    private func replace(_ name: String, _ body: (String) throws -> Void) throws {
        let (path, aside) = ("\(stage.b)/\(name)", "\(stage.folder)/aside-\(undo.count)")
        let isThere = access(path, F_OK) == 0
        if isThere { try move(path, to: aside) }
        try body(path)
        undo.append { [self] in
            try system("rm", "-rf", path)
            if isThere { try move(aside, to: path) }
            _ = stage
        }
    }

    func plant(_ plant: EscapeTests.Plant) throws {
        switch plant {
        case .parentSymlink: try replace("p") { try link(canary + "/p", $0) }
        case .leafSymlink:
            for name in Self.names {
                try replace("p/" + name) { try link("\(canary)/p/\(name)", $0) }
            }
        case .hardLink:
            for name in Self.names where !["acl", "newdir", "goneDir"].contains(name) {
                try replace("p/" + name) { try system("ln", "\(canary)/p/\(name)", $0) }
            }
        case .parentMount: try bind("p")
        case .leafMount:
            for name in Self.names
            where name != "sym" && access("\(stage.b)/p/\(name)", F_OK) == 0 {
                let isFolder = access("\(stage.b)/p/\(name)/.", F_OK) == 0
                guard isFolder == (access("\(canary)/p/\(name)/.", F_OK) == 0) else { continue }
                try bind("p/" + name)
            }
        case .ownNames:
            let marker = stage.b + "/.resync-store"
            if access(marker, F_OK) == 0 {
                try replace(".resync-store") { try link(canary + "/p/kept", $0) }
            }
            try replace(".resync-store.new") { try link(canary + "/p/new", $0) }
            try replace(".resync-quarantine") { try link(canary, $0) }
        }
    }

    private func link(_ target: String, _ path: String) throws {
        guard symlink(target, path) == 0 else {
            throw StageFailure(call: "symlink", number: errno)
        }
    }

    private func bind(_ name: String) throws {
        let path = "\(stage.b)/\(name)"
        try #require(try system("mount", "--bind", "\(canary)/\(name)", path) != nil)
        mounts.append(path)
    }

    func unplant() throws {
        for path in mounts.reversed() { try #require(try system("umount", path) != nil) }
        mounts = []
        for step in undo.reversed() { try step() }
        undo = []
    }

    /// The pairs of names that an attacker exchanges.
    func prepare(_ race: EscapeTests.Race) throws -> [String] {
        switch race {
        case .parent:
            try link(canary + "/p", stage.b + "/p-twin")
            return [stage.b + "/p", stage.b + "/p-twin"]
        case .leaf:
            return try Self.names.flatMap { name in
                let path = "\(stage.b)/p/\(name)"
                try link("\(canary)/p/\(name)", path + "-twin")
                return [path, path + "-twin"]
            }
        }
    }
}

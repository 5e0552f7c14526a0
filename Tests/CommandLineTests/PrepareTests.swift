import Foundation
import Glibc
import TestSupport
import Testing

/// What makes a module's stores ready to be read, and what is read instead of them.
@Suite struct PrepareTests {
    /// A module of two equal stores, with commands that note that they were run.
    private struct Scene {
        let scene: ModuleRulesTests.Scene
        var stage: Stage { scene.stage }

        /// - Parameters:
        ///   - prepare: of the shell, with the side and the store for arguments.
        ///   - finish: the same.
        init(prepare: String, finish: String = "true") throws {
            scene = try ModuleRulesTests.Scene("scope: full")
            try script("prepare", prepare)
            try script("finish", finish)
            let folder = stage.folder
            try scene.configure("prepare: [\(folder)/prepare], finish: '\(folder)/finish \"$@\"'")
        }

        private func script(_ name: String, _ body: String) throws {
            let text = "#!/bin/sh\necho \(name) \"$@\" >>\(stage.folder)/log\n\(body)\n"
            try stage.write(name, text)
            chmod(stage.folder + "/" + name, 0o755)
        }

        /// What was run with which arguments, without the folder.
        var log: [String] {
            let folder = stage.folder.replacingOccurrences(of: "//", with: "/")
            return stage.text("log").replacingOccurrences(of: folder, with: "")
                .split(separator: "\n").map { String($0) }
        }

        static let bothSides = [
            "prepare a /a", "prepare b /b", "finish b /b", "finish a /a",
        ]
    }

    @Test func aStoreThatIsOnlyMadeReadyIsReadItself() throws {
        let scene = try Scene(prepare: "test -d \"$2\"")
        let found = try scene.scene.verify()
        #expect(found.status == 0, "\(found.report)")
        #expect(found.text.contains("module m: released"), "\(found.report)")
        #expect(scene.log == Scene.bothSides)
        // Of what lies in the pair beside it nothing is known.
        try scene.stage.remove("log")
        #expect(try scene.scene.run("verify", "mail").status == 0)
        #expect(!scene.stage.exists("log"))
    }

    @Test(arguments: [
        ("exit 3", "prepare failed for A: exit 3"),
        ("echo sorry; exit 4", "prepare failed for A: exit 4: sorry"),
        ("echo snapshot done", "prepare said 'snapshot done' for A: its last line must be"),
        ("printf '/nowhere/\\033x'", #"'/nowhere/\x1bx' cannot be opened: No such file"#),
        ("echo /dev/null", "/dev/null' is a character device, not a store"),
        ("cp -a \"$2\" \"$2-copy\"; echo \"$2-copy\"", "its root is another directory"),
        ("echo \"$0\"", "which is no snapshot of A: it is a file"),
    ])
    func whatIsNoSnapshotIsNotRead(_ body: String, _ message: String) throws {
        let scene = try Scene(prepare: body)
        let found = try scene.scene.verify()
        #expect(found.status == 2, "\(found.report)")
        #expect(found.errorText.contains(message), "\(found.report)")
        #expect(!found.text.contains("IN SYNC"), "\(found.report)")
        #expect(scene.log.first == "prepare a /a" && scene.log.count == 2, "\(scene.log)")
        #expect(scene.log.last?.hasPrefix("finish a /a") == true, "\(scene.log)")
    }

    @Test func whatFinishLeavesBehindIsSaid() throws {
        let scene = try Scene(prepare: "true", finish: "test \"$1\" = a || { echo held; exit 5; }")
        let found = try scene.scene.verify()
        #expect(found.status == 2, "\(found.report)")
        #expect(found.errorText.contains("finish failed for B: exit 5: held"), "\(found.report)")
        #expect(found.text.contains("module m: released"), "\(found.report)")
        #expect(scene.log == Scene.bothSides)
    }

    @Test func whoEndsItEndsWhatIsMadeReady() throws {
        let scene = try Scene(prepare: "sleep 50")
        let running = try scene.stage.resync([
            "verify", "--module", "m", "--config", scene.scene.scene.config,
        ]).start()
        for _ in 0..<500 where scene.log.isEmpty { usleep(10_000) }
        running.signal(SIGTERM)
        let found = try running.wait()
        #expect(found.status == 128 + SIGTERM, "\(found.report)")
        #expect(scene.log == ["prepare a /a", "finish a /a"])
    }

    // MARK: Snapshots

    /// Two equal stores, each on a file system in a file; a copy of the file is a snapshot.
    private final class SnapshotScene {
        let stage: Stage
        private var config: String { stage.folder + "/config.yaml" }

        /// Nil, said aloud, where that cannot be done here.
        ///
        /// - Parameter more: of the shell, run before each snapshot, with the side and the store.
        init?(_ test: String = #function) throws {
            stage = try Stage()
            guard isRoot, Command.find("mkfs.ext4") != nil else {
                skip("needs root and mkfs.ext4", test)
                return nil
            }
            let script = """
                PATH=$PATH:/usr/sbin:/sbin
                cd "$1" && for side in a b; do
                  truncate -s 16M $side.image && mkfs.ext4 -qF -O ^has_journal $side.image \
                  && mkdir -p $side snapshots/$side && mount -o loop $side.image $side \
                  && mkdir $side/d || exit 1
                  for name in f g h; do seq 1 2000 >$side/d/$name || exit 1; done
                  find $side -exec touch -h -d @1500000000 {} +
                done
                """
            let made = try Command("/bin/sh", ["-c", script, "sh", stage.folder]).run()
            guard made.status == 0 else {
                skip("loop devices are not to be had: \(made.report)", test)
                return nil
            }
            try prepare(before: "", after: "")
            try stage.write("finish", "#!/bin/sh\nset -e\n[ -z \"$3\" ] || umount \"$3\"\n")
            chmod(stage.folder + "/finish", 0o755)
            try stage.write(
                "config.yaml",
                """
                pairs: [{name: mail, a: \(stage.a), b: \(stage.b), settle: 0s}]
                modules:
                  - name: m
                    pair: mail
                    paths: [d]
                    prepare: [\(stage.folder)/prepare]
                    finish: [\(stage.folder)/finish]

                """)
            // What was written just before it is read is to be read again.
            usleep(2_200_000)
        }

        deinit {
            for name in ["snapshots/a", "snapshots/b", "a", "b"] {
                _ = try? system("umount", "-l", stage.folder + "/" + name)
            }
        }

        /// - Parameters:
        ///   - before: of the shell, run before a snapshot is made, with the side in `$1`.
        ///   - after: the same, after that.
        func prepare(before: String, after: String) throws {
            try stage.write(
                "prepare",
                """
                #!/bin/sh
                set -e
                cd \(stage.folder)
                \(before)
                sync -f "$2"
                cp "$1.image" "$1.snapshot"
                mount -o loop,ro "$1.snapshot" "snapshots/$1"
                \(after)
                echo "a word for people"
                echo "$PWD/snapshots/$1"

                """)
            chmod(stage.folder + "/prepare", 0o755)
        }

        func verify(_ more: String...) throws -> Finished {
            try stage.resync(["verify", "--module", "m", "--config", config] + more).run()
        }

        var isTidy: Bool {
            ["a", "b"].allSatisfy { !stage.exists("snapshots/\($0)/d") }
        }
    }

    @Test func whatASnapshotProvesIsProvenOfItsStore() throws {
        guard let scene = try SnapshotScene() else { return }
        let found = try scene.verify()
        #expect(found.status == 0, "\(found.report)")
        #expect(found.text.contains("module m: released, 4 entries"), "\(found.report)")
        #expect(found.errorText.contains("resync: of B, the snapshot '/"), "\(found.report)")
        #expect(scene.isTidy)
        // What lies in the store and was changed since is not what was proven.
        try scene.prepare(before: "", after: "test $1 = a || echo new >b/d/g")
        let moved = try scene.verify("--json")
        let lines = try objects(moved.lines)
        #expect(lines.first?["snapshot_a"] as? String != nil, "\(moved.report)")
        #expect(lines.last?["verdict"] as? String == "IN SYNC", "\(moved.report)")
        let module = lines.first { $0["type"] as? String == "module" }
        #expect(module?["answer"] as? String == "undecided", "\(moved.report)")
        let reason = module?["reason"] as? String ?? ""
        #expect(reason.contains("changed since it was proven equal: 'd/g'"), "\(moved.report)")
        try scene.prepare(before: "", after: "")
        usleep(1_200_000)
        let differs = try scene.verify()
        #expect(differs.status == 1, "\(differs.report)")
        #expect(differs.text.contains("d/g"), "\(differs.report)")
        #expect(scene.isTidy)
    }

    /// Two snapshots are never of one moment: what they differ in is looked at in the stores.
    @Test(arguments: [
        "cp -p finish a/d/; cp -p finish b/d/", "rm a/d/g b/d/g", "mv a/d/g a/d/x; mv b/d/g b/d/x",
        "seq 3000 >a/d/g; cp -p a/d/g b/d/",
    ])
    func whatIsDoneBetweenTheSnapshotsIsNoDifference(_ work: String) throws {
        guard let scene = try SnapshotScene() else { return }
        let done = "\(work); touch -d @1600000000 a/d b/d"
        try scene.prepare(before: "test $1 = a || { \(done); }", after: "")
        let found = try scene.verify()
        // What is gone by then is unstable.
        #expect([2, 3].contains(found.status), "\(found.report)")
        #expect(found.text.contains("module m: UNDECIDED"), "\(found.report)")
        try scene.prepare(before: "", after: "")
        usleep(2_200_000)
        let after = try scene.verify()
        #expect(after.text.contains("module m: released"), "\(after.report)")
        // Where only one side has a snapshot as well.
        try scene.prepare(
            before: "test $1 = a || exit 0", after: "seq 3000 >a/d/f; cp -p a/d/f b/d/")
        let oneSided = try scene.verify()
        #expect(oneSided.status == 2, "\(oneSided.report)")
        #expect(oneSided.text.contains("module m: UNDECIDED"), "\(oneSided.report)")
        #expect(scene.isTidy)
    }

    /// What was touched right before a snapshot may be touched again right after it, at the same
    /// time by its clock, however long after that it is read.
    @Test func whatWasTouchedJustBeforeASnapshotIsToBeReadAgain() throws {
        guard let scene = try SnapshotScene() else { return }
        try scene.prepare(
            before: "test $1 = b || touch -d @1500000000 a/d/h b/d/h", after: "sleep 1.5")
        let found = try scene.verify()
        #expect(found.status == 2, "\(found.report)")
        #expect(
            found.text.contains("module m: UNDECIDED: 1 written just before it was read"),
            "\(found.report)")
    }

    @Test(arguments: ["echo \"$PWD/snapshots/a\"", "echo \"$PWD/a\""])
    func theDataOfOneSideIsNoSnapshotOfTheOther(_ other: String) throws {
        guard let scene = try SnapshotScene() else { return }
        try scene.prepare(before: "", after: "test $1 = a || { \(other); exit; }")
        let found = try scene.verify()
        #expect(found.status == 2, "\(found.report)")
        #expect(found.errorText.contains("which is no snapshot of B"), "\(found.report)")
        #expect(!found.text.contains("IN SYNC"), "\(found.report)")
    }

    /// Both file systems are the same to the last bit: nobody can tell whose snapshot it is.
    @Test func aSnapshotOfTwinsIsTakenForNobodys() throws {
        guard let scene = try SnapshotScene() else { return }
        let twin = """
            cd "$1" && umount b && sync -f a && cp a.image b.image && mount -o loop b.image b
            """
        let made = try Command("/bin/sh", ["-c", twin, "sh", scene.stage.folder]).run()
        try #require(made.status == 0, "\(made.report)")
        let found = try scene.verify()
        #expect(found.status == 2, "\(found.report)")
        #expect(
            found.errorText.contains("nothing tells whether it is of A or of B"),
            "\(found.report)")
    }

    @Test func whatWasThereBeforeIsNoNewSnapshot() throws {
        guard let scene = try SnapshotScene() else { return }
        try scene.prepare(
            before: "test ! -e snapshots/$1/d || { echo $PWD/snapshots/$1; exit; }", after: "")
        try scene.stage.write("finish", "#!/bin/sh\n")
        #expect(try scene.verify().status == 0)
        let found = try scene.verify()
        #expect(found.status == 2, "\(found.report)")
        #expect(
            found.errorText.contains("it was mounted before prepare was run"), "\(found.report)")
    }

    @Test func aStoreIsMountedBeforeItIsVerified() throws {
        guard let scene = try SnapshotScene() else { return }
        try scene.prepare(
            before: "test $1 = b || mount -o loop $1.image $1; exit 0", after: "")
        _ = try system("umount", scene.stage.a)
        let found = try scene.verify()
        #expect(found.status == 2, "\(found.report)")
        #expect(
            found.errorText.contains("after prepare the path of A leads to something else"),
            "\(found.report)")
    }
}

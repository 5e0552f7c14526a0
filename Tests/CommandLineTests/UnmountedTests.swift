import Foundation
import Glibc
import TestSupport
import Testing

/// File systems that /etc/fstab has mounted, and that are not: what lies below is not what the
/// store holds.
@Suite struct UnmountedTests {
    private let scene: ApplyScene
    private var stage: Stage { scene.stage }

    init() throws { scene = try ApplyScene() }

    /// Runs it where /etc/fstab is another one; nil where that cannot be.
    private func run(
        _ arguments: [String], fstab: [(point: String, options: String)], mounting: String = ":"
    ) throws -> Finished? {
        let lines = fstab.map { "/dev/none \($0.point) ext4 \($0.options) 0 2\n" }
        try stage.write("fstab", lines.joined())
        let script = """
            mount --bind "$1" /etc/fstab || exit 99
            \(mounting) || exit 99
            shift; exec "$@"
            """
        let words = ["-m", "--propagation", "private", "sh", "-c", script, "script"]
        guard isRoot, access("/etc/fstab", F_OK) == 0, let program = Command.find("unshare") else {
            skip("/etc/fstab cannot be another one here")
            return nil
        }
        var command = stage.resync(arguments)
        command.arguments =
            (words + [stage.folder + "/fstab", command.program]).map { Array($0.utf8) }
            + command.arguments
        command.program = program
        let done = try command.run()
        guard done.status != 99 else {
            skip("/etc/fstab cannot be another one here: \(done.errorText)")
            return nil
        }
        return done
    }

    private func verify(
        _ more: String..., fstab: [(point: String, options: String)], mounting: String = ":"
    ) throws -> Finished? {
        try run(["verify", stage.a, stage.b] + more, fstab: fstab, mounting: mounting)
    }

    /// Two empty directories say nothing about the file systems that belong there.
    @Test(arguments: [false, true])
    func whatIsMissingOnBothSidesDoesNotAgree(_ crossing: Bool) throws {
        try system("rsync", "-a", "--delete", stage.a + "/", stage.b + "/")
        let missing = try ["a", "b"].map { side in
            try stage.makeFolder(side + "/disk")
            // Made in two ticks of the clock, they would differ in their times.
            try system("touch", "-d", "2020-02-02", "\(stage.folder)/\(side)/disk")
            return (point: "\(stage.folder)/\(side)/disk", options: "defaults,nofail")
        }
        let more = crossing ? ["--cross-mounts"] : []
        let all = ["verify", stage.a, stage.b] + more
        guard let found = try run(all, fstab: missing) else { return }
        #expect(found.status == 2, "\(found.report)")
        #expect(
            found.text.contains("? disk  nothing is mounted here, as /etc/fstab has it"),
            "\(found.report)")
        let excluded = try run(all + ["--exclude", "/disk"], fstab: missing)
        #expect(excluded?.status == 0, "\(excluded?.report ?? "")")
        // Who mounts it when he wants to may also look at what is there without.
        let asked = missing.map { (point: $0.point, options: "noauto") }
        let plain = try run(all, fstab: asked)
        #expect(plain?.status == 0, "\(plain?.report ?? "")")
        let mounting = missing.map {
            "mount -t tmpfs none '\($0.point)' && touch -d 2020-02-02 '\($0.point)'"
        }
        let mounted = try run(
            all, fstab: missing, mounting: mounting.joined(separator: " && "))
        #expect(mounted?.status == (crossing ? 0 : 2), "\(mounted?.report ?? "")")
        #expect(mounted?.text.contains("fstab") == false, "\(mounted?.report ?? "")")
    }

    @Test func whatIsMissingInTheSourceIsNotDeleted() throws {
        for side in ["a", "b"] { try stage.makeFolder(side + "/disk") }
        for name in ["one", "two"] { try stage.write("b/disk/" + name, "kept") }
        let missing = [(point: stage.a + "/disk", options: "defaults")]
        let planning = [
            "plan", stage.a, stage.b, "--authority", "a", "-o", "q", "--accept-deletions",
        ]
        guard let made = try run(planning, fstab: missing) else { return }
        #expect(made.status == 0, "\(made.report)")
        let applied = try run(["apply", "q"], fstab: missing)
        #expect(applied?.status == 0, "\(applied?.report ?? "")")
        #expect(stage.text("b/disk/one") == "kept")
        #expect(stage.bytes("b/f") == stage.bytes("a/f"))
    }

    /// Whatever lies below, it is another store.
    @Test(arguments: ["", "/inside"])
    func aStoreThatIsNotMountedIsNotOpened(_ below: String) throws {
        try stage.makeFolder("a/inside")
        let missing = [(point: stage.a, options: "defaults")]
        guard
            let found = try run(["verify", stage.a + below, stage.b], fstab: missing)
        else { return }
        #expect(found.status == 2, "\(found.report)")
        #expect(
            found.errorText.contains("a', as /etc/fstab has it"),
            "\(found.report)")
        #expect(found.text.isEmpty, "\(found.report)")
    }

    @Test func aManifestSaysWhatWasNotMounted() throws {
        try stage.makeFolder("a/disk")
        let missing = [(point: stage.a + "/disk", options: "defaults")]
        guard let made = try run(["scan", stage.a, "-o", "m"], fstab: missing) else { return }
        #expect(made.status == 2, "\(made.report)")
        func manifest(_ verb: String) throws -> Finished {
            try Command(Command.resync, ["manifest", verb, stage.folder + "/m"]).run()
        }
        let shown = try manifest("show")
        #expect(shown.text.contains("1 directories incomplete"), "\(shown.report)")
        #expect(try manifest("check").status == 2)
        let compared = try stage.resync(["verify", "m", stage.a]).run()
        #expect(compared.status == 2, "\(compared.report)")
        #expect(
            compared.text.contains("? disk  nothing is mounted here"), "\(compared.report)")
    }
}

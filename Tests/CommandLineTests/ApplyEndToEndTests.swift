import Foundation
import Glibc
import ResyncCore
import TestSupport
import Testing

/// Two stores on file systems of their own that were proven equal, damaged in eight ways and made
/// the same again by the real program, which is killed on the way; then all of it is taken back.
@Suite(.serialized) struct ApplyEndToEndTests {
    @Test func damageIsRepairedConfirmedAndTakenBack() throws {
        guard let killer = try Killer(), let scene = try EndToEndScene() else { return }
        try compare(scene, 0, "--keep")
        guard try scene.damage() else { return }
        let damaged = Sides(a: try scene.whole(.a), b: try scene.whole(.b))
        try checkVerdictsWithoutAnEpisode(scene)
        try tellOfTheEpisode(scene)
        let wrong = try compare(scene, 1).entries
        #expect(wrong.count == 11, "\(wrong)")
        try planByTheBaseline(scene)
        let first = try apply(scene, killer, damaged)
        let second = try decide(scene)
        try scene.resync(0, "undo", second)
        try scene.resync(0, "undo", first)
        let unlike = (try scene.whole(.a).unlike(damaged.a), try scene.whole(.b).unlike(damaged.b))
        #expect(unlike.0 == [])
        #expect(unlike.1 == [])
        try scene.checkReadme()
        // Nothing that came back passes for an edit of B.
        #expect(try compare(scene, 1).entries == wrong)
        try scene.resync(4, "plan", "last", "--authority", "baseline", "-o", "again")
        let shown = try scene.resync(0, "plan", "show", "again").entries
        #expect(!shown.contains { $0.contains(/^. A (db|mail\/17|rec|web)/) }, "\(shown)")
    }

    @discardableResult
    private func compare(
        _ scene: EndToEndScene, _ status: Int32, _ more: String...,
        at line: SourceLocation = #_sourceLocation
    ) throws -> String {
        let said = try scene.resync(
            status, ["verify", "/mnt/a", "/mnt/b"] + more + ["--with", "links,xattrs,acl"],
            at: line)
        let verdict = status == 0 ? "\nIN SYNC\n" : "\nNOT IN SYNC\n"
        #expect(said.contains(verdict), "\(said)", sourceLocation: line)
        return said
    }

    /// Nobody has said yet that B lost writes: what rotted under times that stand still is damage,
    /// what has times from before the baseline never wins, and a deletion is an edit.
    private func checkVerdictsWithoutAnEpisode(_ scene: EndToEndScene) throws {
        try compare(scene, 1)
        let planned = try scene.resync(
            4, "plan", "last", "--authority", "baseline", "-o", "early")
        #expect(
            planned.entries
                == ["db", "mail/17", "rec/0413", "web/index", "web/start"].map {
                    "x \($0)  undetermined, left as it is"
                })
        let shown = try scene.resync(0, "plan", "show", "early").entries
        #expect(
            shown == [
                "* A app.conf  file: 15 B; edited on B",
                "* B db/users  file: 19.5 KiB; damage on B",
                "+ A mail/19  file: 10 B; edited on B", "* B rec/0412  file: 1.14 MiB; damage on B",
                "- A db/index  file; edited on B",
                ". A mail  metadata of a directory; edited on B",
            ])
    }

    private func tellOfTheEpisode(_ scene: EndToEndScene) throws {
        let opened = try scene.resync(
            0, "episode", "open", "mail/b", "--class", "lost-write", "--note",
            "came back without its last writes")
        let episode = try #require(opened.firstMatch(of: /e\d{14}-[0-9a-f]{4}/)?.output)
        try scene.resync(
            0, "episode", "close", String(episode), "--note", "the cable was changed")
        // What is verified is to begin after it.
        usleep(1_200_000)
    }

    /// What B lost is known by its times; what rotted may have been lost as well.
    private func planByTheBaseline(_ scene: EndToEndScene) throws {
        let planned = try scene.resync(
            4, "plan", "last", "--authority", "baseline", "-o", "repair")
        #expect(
            planned.entries
                == ["db/users", "rec/0412", "rec/0413"].map {
                    "x \($0)  undetermined, left as it is"
                })
        let shown = try scene.resync(0, "plan", "show", "repair").entries
        #expect(
            shown == [
                "* A app.conf  file: 15 B; edited on B", "+ B db/index  file: 18.6 KiB; lost on B",
                "* B mail/17  file: 30.3 KiB; missed write on B",
                "+ A mail/19  file: 10 B; edited on B",
                "* B web/index  file: 2.93 KiB; missed write on B",
                "* B web/start  link to web/index; missed write on B",
                ". B db  metadata of a directory; missed write on B",
                ". A mail  metadata of a directory; edited on B",
            ])
    }

    /// Killed twice, with some of it done each time.
    ///
    /// - Returns: the run.
    private func apply(
        _ scene: EndToEndScene, _ killer: Killer, _ damaged: Sides<Recorded>
    ) throws -> String {
        var cut: [Sides<Recorded>] = []
        for moment in [132, 89] {
            try scene.kill(killer, at: moment, "apply", "repair")
            cut.append(Sides(a: try scene.whole(.a), b: try scene.whole(.b)))
        }
        let applied = try scene.resync(4, "apply", "repair")
        #expect(applied.contains("left as they are: 3 undetermined\n"), "\(applied)")
        for now in cut {
            let isBetween =
                try now.a.isBetween(damaged.a, scene.whole(.a))
                || now.b.isBetween(damaged.b, scene.whole(.b))
            #expect(isBetween, "the kill was not half-way")
        }
        // Each of them came somewhere.
        #expect(cut[0].a != cut[1].a || cut[0].b != cut[1].b)
        try scene.resync(4, "confirm")
        return try run(applied)
    }

    /// What is left, a person decides.
    ///
    /// - Returns: the run.
    private func decide(_ scene: EndToEndScene) throws -> String {
        let left = try compare(scene, 1).entries.map { $0.prefix { $0 != ":" } }
        #expect(
            left == [
                "* db/users  content", "* rec/0412  content",
                "* rec/0413  size 900000 on A, 600000 on B (truncated)",
            ])
        for path in ["db/users", "rec/0412", "rec/0413"] {
            try scene.resync(
                0, "decide", "last", path, "--accept", "a", "--reason", "A never failed")
        }
        try scene.resync(0, "plan", "last", "--authority", "baseline", "-o", "rest")
        let shown = try scene.resync(0, "plan", "show", "rest").entries
        #expect(
            shown == [
                "* B db/users  file: 19.5 KiB; undetermined",
                "* B rec/0412  file: 1.14 MiB; undetermined",
                "* B rec/0413  file: 878.9 KiB; undetermined",
            ])
        let applied = try scene.resync(0, "apply", "rest")
        try scene.resync(0, "confirm")
        try compare(scene, 0)
        #expect(try scene.differences() == [])
        return try run(applied)
    }

    private func run(_ said: String) throws -> String {
        String(try #require(said.firstMatch(of: /run (\d{8}T\S+):/)?.output.1))
    }
}

/// A file system in an image file, mounted for as long as this is kept.
final class Mount {
    private let point: String

    /// Nil, and said aloud, where that cannot be done here.
    init?(ext4 size: String, at folder: String, _ name: String) throws {
        let image = "\(folder)/\(name).image"
        point = "\(folder)/\(name)"
        guard getuid() == 0 else {
            skip("mounting needs root")
            return nil
        }
        try system("truncate", "-s", size, image)
        try system("mkdir", "-p", point)
        guard try system("mkfs.ext4", "-q", "-F", image) != nil,
            try system("mount", "-o", "loop", image, point) != nil
        else {
            skip("loop mounts are not to be had")
            return nil
        }
    }

    deinit { _ = try? system("umount", "-l", point) }
}

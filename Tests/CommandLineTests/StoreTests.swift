import Foundation
import Testing

/// Markers that cannot be read or must not be replaced.
@Suite struct StoreTests {
    private func adopt(_ stage: Stage, _ store: String) throws -> Finished {
        try stage.resync(["store", "adopt", store]).run()
    }

    private func show(_ store: String) throws -> Finished {
        try Command(Command.resync, ["store", "show", store]).run()
    }

    @Test func whatIsNoDirectoryIsNotAdopted() throws {
        let stage = try Stage()
        try stage.write("image", noise(9000))
        let before = try traces(stage.folder + "/a")
        for (path, status) in [("image", 64), ("nowhere", 2), ("a/nowhere", 2)] as [(String, Int32)]
        {
            let found = try adopt(stage, stage.folder + "/" + path)
            #expect(found.status == status, "\(path): \(found.report)")
            #expect(found.errorText.split(separator: "\n").count == 1, "\(found.report)")
        }
        #expect(stage.bytes("image") == noise(9000))
        #expect(try traces(stage.folder + "/a") == before)
    }

    /// It may be the only copy of what stood somewhere.
    @Test func whatACutOffRunHasLeftIsNotAdoptedAway() throws {
        let stage = try Stage()
        try stage.write("a/.resync-staged-0123456789abcdef", "precious")
        for words in [[], ["--force"]] {
            let found = try stage.resync(["store", "adopt", stage.a] + words).run()
            #expect(found.status == 5, "\(found.report)")
            #expect(found.errorText.contains("holds '.resync-staged-0123"), "\(found.report)")
        }
        try stage.remove("a/.resync-staged-0123456789abcdef")
        #expect(try adopt(stage, stage.a).status == 0)
    }

    @Test func whatIsNoMarkerIsSaidAndReplacedOnlyWhenAsked() throws {
        let stage = try Stage()
        for junk in [[], Array("hello".utf8), noise(5000)] as [[UInt8]] {
            try stage.write("a/.resync-store", junk)
            let shown = try show(stage.a)
            #expect(shown.status == 2, "\(shown.report)")
            #expect(shown.errorText.split(separator: "\n").count == 1, "\(shown.report)")
            #expect(stage.bytes("a/.resync-store") == junk)
        }
        let taken = try adopt(stage, stage.a)
        #expect(taken.status == 0, "\(taken.report)")
        #expect(try show(stage.a).status == 0)
    }

    /// A marker that leads elsewhere is neither read nor followed.
    @Test func aMarkerThatIsASymlinkIsNotFollowed() throws {
        let stage = try Stage()
        #expect(try adopt(stage, stage.a).status == 0)
        try system("mv", "\(stage.a)/.resync-store", "\(stage.folder)/outside")
        let outside = stage.bytes("outside")
        try system("ln", "-s", "../outside", "\(stage.a)/.resync-store")
        #expect(try show(stage.a).status == 2)
        let taken = try adopt(stage, stage.a)
        #expect([0, 2].contains(taken.status), "\(taken.report)")
        #expect(stage.bytes("outside") == outside)
    }

    /// Neither adopted nor taken for a source: confirm or undo comes first.
    @Test func aStoreThatIsChangedInPartStaysSo() throws {
        let scene = try ApplyScene()
        try scene.applied()
        #expect(try show(scene.stage.b).text.contains("changed in part by run"))
        try scene.refuses(5, "confirm or undo that run") { try adopt(scene.stage, scene.stage.b) }
        let planned = try scene.run(
            "plan", scene.stage.b, scene.stage.a, "--authority", "a", "-o", "q")
        #expect(planned.status == 0, "\(planned.report)")
        try scene.stage.write("b/g", "edited on B")
        let other = try scene.run(
            "plan", scene.stage.b, scene.stage.a, "--authority", "a", "-o", "q", "--force")
        #expect(other.status == 0, "\(other.report)")
        try scene.refuses(5, "left A changed in part: it cannot be a source", lines: 2) {
            try scene.run("apply", "q")
        }
    }
}

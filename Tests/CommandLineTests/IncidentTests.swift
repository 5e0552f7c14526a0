import Glibc
import TestSupport
import Testing

/// The whole story, from two sites that agree to two sites that agree again.
struct IncidentTests {
    @Test func theIncidentIsPlayedFromBeginningToEnd() throws {
        guard isRoot, access("/dev/fuse", R_OK | W_OK) == 0,
            access("/dev/loop-control", R_OK) == 0
        else { return skip("needs root, /dev/fuse and loop devices") }
        var play = Command(
            "/usr/bin/env",
            ["RESYNC_PROGRAM=" + Command.resync, Command.project + "/Scripts/replay-incident"])
        play.timeout = 300
        let played = try play.run()
        // Loop devices can be had only where the kernel has some left.
        if played.status == 69 { return skip("\(played.errorText)") }
        #expect(played.status == 0, "\(played.report)")
        let lines = played.lines
        func count(_ text: String) -> Int { lines.filter { $0.contains(text) }.count }
        #expect(count("CLOSED   episode") == 2, "\(played.report)")
        #expect(count("STOPPED  verifying recordings") == 1, "\(played.report)")
        // One module twice: what the first episode left of it the second one voids.
        #expect(count(" may run again, ") == 5, "\(played.report)")
        #expect(count("WRONG") == 0, "\(played.report)")
        #expect(lines.last?.hasPrefix("HELD: every lost write was found") == true)
        // Nothing of it stays.
        let places = try system("losetup", "-a") ?? ""
        let mounts = try system("cat", "/proc/self/mountinfo") ?? ""
        let folder =
            try #require(lines.first { $0.contains("everything happens in ") })
            .split(separator: " ").last.map { String($0) } ?? "?"
        #expect(!places.contains(folder) && !mounts.contains(folder), "\(places)\(mounts)")
        #expect(access(folder, F_OK) != 0)
    }
}

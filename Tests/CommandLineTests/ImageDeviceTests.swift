import Foundation
import Glibc
import TestSupport
import Testing

/// A device is more than its number.
@Suite(.serialized) struct ImageDeviceTests {
    /// Another disk of the same size, and with the same bytes, is behind it since the plan.
    @Test func anotherDiskUnderTheSameNumberIsRefused() throws {
        let stage = try Stage()
        for name in ["j", "other"] { try stage.write(name, noise(1 << 20)) }
        try stage.write("i", noise(1 << 20))
        try stage.patch("i", at: 5000, [0x55, 0xaa])
        guard let loop = try LoopDevice(stage.folder + "/j") else { return }
        func run(_ arguments: String...) throws -> Finished { try stage.resync(arguments).run() }
        let planned = try run(
            "plan", stage.folder + "/i", loop.path, "--authority", "a", "-o", "p")
        #expect(planned.status == 0, "\(planned.report)")
        let other = stage.bytes("other")
        guard try system("losetup", "-d", loop.path) != nil,
            try system("losetup", loop.path, stage.folder + "/other") != nil
        else { return skip("the loop device is somebody else's by now") }
        let applied = try run("apply", "p")
        #expect(applied.status == 5, "\(applied.report)")
        #expect(stage.bytes("other") == other)
        // The one that was meant is known again.
        guard try system("losetup", "-d", loop.path) != nil,
            try system("losetup", loop.path, stage.folder + "/j") != nil
        else { return skip("the loop device is somebody else's by now") }
        let again = try run("apply", "p")
        #expect(again.status == 0, "\(again.report)")
        #expect(stage.bytes("other") == other)
        let undone = try run("undo")
        #expect(undone.status == 0, "\(undone.report)")
    }
}

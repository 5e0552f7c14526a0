import Foundation
import Glibc
import TestSupport
import Testing

/// Images and devices that are patched by the real program while it is killed: each extent is old
/// or new, what was overwritten can be had back, and the same command comes to the same end.
@Suite struct ImageKillTests {
    @Test(arguments: LoopMount.Kind.allCases)
    func anImageComesToItsEnd(_ kind: LoopMount.Kind) throws {
        guard let mount = try LoopMount(kind, size: "640M") else { return }
        try sweep(mount, kind, size: 64 << 20, isDevice: false)
    }

    /// Its last block is a part of one.
    @Test func aDeviceComesToItsEnd() throws {
        guard let mount = try LoopMount(.ext4, size: "256M") else { return }
        try sweep(mount, .ext4, size: (8 << 20) + 3 * 512, isDevice: true)
    }

    private func sweep(
        _ mount: LoopMount, _ kind: LoopMount.Kind, size: Int, isDevice: Bool
    ) throws {
        guard let killer = try Killer() else { return }
        var seed = Seed.fromEnvironment()
        let stage = try Stage(below: mount.point)
        guard let images = try TwoImages(stage, size, isDevice, &seed) else { return }
        var kills = 0
        for plot in KillSweepTests.Plot.allCases {
            let what = "\(kind) \(isDevice ? "device" : "image") \(plot)"
            func one(_ moment: Int) throws -> (calls: Int, isKilled: Bool) {
                let again = Int.random(in: 1...40, using: &seed)
                return try images.change(killer, plot, moment, again, "\(what) \(moment) \(again)")
            }
            let calls = try one(0).calls
            try #require(calls > 5)
            for moment in plot.moments(calls, &seed) where try one(moment).isKilled { kills += 1 }
        }
        #expect(kills >= KillSweepTests.Plot.allCases.count / 2)
        let place = isDevice ? "a device" : "an image on \(kind)"
        print("kills: \(kills) of the real program while it patched \(place)")
    }
}

/// An image, and another one or a device that differs from it in 40 places.
private final class TwoImages {
    private let stage: Stage
    /// What the target was at first, and where it is to be changed.
    private let before: Data
    private let after: Data
    private let places: [Range<Int>]
    private let target: String
    private let device: LoopDevice?

    init?(_ stage: Stage, _ size: Int, _ isDevice: Bool, _ seed: inout Seed) throws {
        self.stage = stage
        try stage.remove("a")
        var image = Data(count: size)
        // Mostly holes, as images are.
        for number in 0..<64 {
            let at = number * (size / 64)
            image.replaceSubrange(at..<at + 4096, with: noise(4096, seed: UInt64(number + 1)))
        }
        let after = image
        var places: [Range<Int>] = []
        for number in 0..<40 {
            let share = size / 40
            let length = [1, 512, 4096, 5000].randomElement(using: &seed) ?? 1
            let start = number * share + Int.random(in: 0..<share - 5001, using: &seed)
            places.append(start..<start + length)
        }
        // The last bytes are among them.
        places[39] = size - 700..<size
        for place in places {
            image.replaceSubrange(place, with: image[place].map { $0 ^ 0x5a })
        }
        self.after = after
        before = image
        self.places = places
        try after.write(to: URL(filePath: stage.a))
        try before.write(to: URL(filePath: stage.b))
        try system("fallocate", "-d", stage.a)
        device = isDevice ? try LoopDevice(stage.b) : nil
        if isDevice, device == nil { return nil }
        target = device?.path ?? stage.b
    }

    func change(
        _ killer: Killer, _ plot: KillSweepTests.Plot, _ moment: Int, _ again: Int, _ what: String
    ) throws -> (calls: Int, isKilled: Bool) {
        try restore()
        let id = try stage.planned(stage.a, target)
        let (apply, undo) = (stage.applying(id), stage.resync(["undo"]))
        if plot == .undo { try end(apply, what) }
        let (first, calls) = try killer.run(plot == .undo ? undo : apply, killingAt: moment)
        #expect(first.status == 0 || moment > 0 && first.status == 137, "\(what): \(first.report)")
        try checkPlaces(what)
        if plot == .applyTwice, moment > 0 {
            let (second, _) = try killer.run(apply, killingAt: again)
            #expect([0, 64, 137].contains(second.status), "\(what): \(second.report)")
            try checkPlaces(what)
        }
        switch plot {
        case .apply, .applyTwice:
            try end(apply, what)
            #expect(try now() == after, "\(what)")
            // Waiting for the stores to settle takes two seconds each time.
            if moment % 4 == 0 {
                let confirmed = try stage.resync(["confirm"]).run()
                #expect(confirmed.status == 0, "\(what): \(confirmed.report)")
            }
        case .undo, .applyThenUndo:
            try end(undo, what)
            #expect(try now() == before, "\(what)")
        }
        return (calls, first.status == 137)
    }

    private func restore() throws {
        try stage.remove("state")
        let file = open(target, O_RDWR | O_CLOEXEC)
        defer { close(file) }
        for place in places {
            let bytes = [UInt8](before[place])
            try #require(pwrite(file, bytes, bytes.count, off_t(place.lowerBound)) == bytes.count)
        }
        try #require(fsync(file) == 0)
        try #require(try now() == before)
    }

    private func now() throws -> Data { try whole(target) }

    /// A file or device.
    private func whole(_ path: String) throws -> Data {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        defer { close(file) }
        var bytes = Data(count: before.count + 1)
        let count = bytes.withUnsafeMutableBytes { buffer in
            var done = 0
            while true {
                let count = pread(
                    file, buffer.baseAddress?.advanced(by: done), buffer.count - done, off_t(done))
                guard count > 0 else { return done }
                done += count
            }
        }
        return bytes.prefix(count)
    }

    private func end(_ command: Command, _ what: String) throws {
        let done = try command.run()
        let isOver =
            done.status == 0 || done.errorText.contains("carried out already")
            || done.errorText.contains("no run 'last'")
        #expect(isOver, "\(what): \(done.report)")
    }

    /// Each place is old or new, all between them is untouched; what was overwritten is in the
    /// undo file.
    private func checkPlaces(_ what: String) throws {
        let now = try now()
        #expect(try whole(stage.a) == after, "\(what)")
        var undo = Data()
        for path in try FileManager.default.subpathsOfDirectory(atPath: stage.state + "/runs")
        where path.hasSuffix("/undo") {
            undo = try Data(contentsOf: URL(filePath: stage.state + "/runs/" + path))
        }
        var end = 0
        for place in places {
            #expect(now[end..<place.lowerBound] == before[end..<place.lowerBound], "\(what)")
            let isNew = now[place] == after[place]
            #expect(isNew || now[place] == before[place], "\(what): torn at \(place)")
            let isKept = !isNew || undo.range(of: before[place]) != nil
            #expect(isKept, "\(what): lost at \(place)")
            end = place.upperBound
        }
        #expect(now.count == before.count)
    }
}

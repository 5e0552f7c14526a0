import ResyncCore
import ResyncStorage
import TestSupport
import Testing

@testable import ResyncEngine

/// Somebody with the right to write in a store plays with its names while it is changed: nothing
/// outside of it may be touched, and nothing of it lost.
@Suite struct ApplyEscapeTests {
    enum Plant: String, CaseIterable, Sendable, CustomTestStringConvertible {
        /// A directory becomes a symlink to one outside, for one call or for good.
        case parentForOneCall, parentForGood
        /// A name becomes a symlink to a file outside, or another name of it.
        case leafSymlink, leafHardLink

        var testDescription: String { rawValue }
    }

    @Test(arguments: Plant.allCases, [Workload.smallFiles, .types, .metadata])
    func nothingOutsideIsTouched(_ plant: Plant, _ workload: Workload) throws {
        let planted = try workload.stage()
        let disk = planted.disk
        disk.addDirectory("/outside", Ownership(mtime: ApplyStage.calm))
        for name in ["f0", "f1", "f4", "in", "file-dir"] {
            disk.addFile("/outside/\(name)", "do not touch \(name)", Ownership(mode: 0o600))
        }
        let canary = disk.tree("/outside")
        let contents = planted.contents()
        let directory = ["/b/d0", "/b/types", "/b/m"].first { disk.exists($0) } ?? "/b"
        let step = isLongRun ? 1 : 7
        var nth = 1
        while true {
            let stage = ApplyStage(disk.crash(keeping: .keepAll))
            let trap = Trap(plant, stage.disk, directory)
            let calls = Counter()
            let moment = nth
            stage.disk.onCall { call in
                guard call.path.starts(with: Array("/b".utf8)) else { return }
                trap.spring(calls.next(), moment)
            }
            _ = try? stage.apply()
            stage.disk.onCall(nil)
            #expect(
                stage.disk.tree("/outside").differences(from: canary) == [],
                "\(plant) \(workload) at call \(nth)")
            #expect(
                contents.subtracting(stage.contents()).isEmpty,
                "\(plant) \(workload) at call \(nth)")
            guard calls.count >= nth else { break }
            nth += step
        }
    }

    /// Plants at one call, and takes away at the next where it is for one call only.
    private struct Trap: Sendable {
        private let plant: Plant
        private let disk: SimulatedDisk
        private let directory: String

        init(_ plant: Plant, _ disk: SimulatedDisk, _ directory: String) {
            self.plant = plant
            self.disk = disk
            self.directory = directory
        }

        func spring(_ call: Int, _ moment: Int) {
            if call == moment { set() }
            if call == moment + 1, plant == .parentForOneCall { unset() }
        }

        private var aside: String { "/b/aside" }

        private func set() {
            switch plant {
            case .parentForOneCall, .parentForGood:
                guard disk.exists(directory) else { return }
                disk.rename(directory, to: aside)
                disk.addSymlink(directory, to: "/outside")
            case .leafSymlink:
                for name in ["f0", "f4", "file-dir"] where disk.exists("\(directory)/\(name)") {
                    disk.rename("\(directory)/\(name)", to: "\(aside)-\(name)")
                    disk.addSymlink("\(directory)/\(name)", to: "/outside/\(name)")
                }
            case .leafHardLink:
                for name in ["f0", "f4", "file-dir"] where disk.exists("\(directory)/\(name)") {
                    disk.rename("\(directory)/\(name)", to: "\(aside)-\(name)")
                    disk.link("/outside/\(name)", as: "\(directory)/\(name)")
                }
            }
        }

        private func unset() {
            guard disk.exists(aside) else { return }
            disk.remove(directory)
            disk.rename(aside, to: directory)
        }
    }
}

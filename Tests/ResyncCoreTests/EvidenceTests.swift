import Testing

@testable import ResyncCore

private enum Expected: Sendable, Hashable {
    case opens(EpisodeClass)
    case suspects
    case nothing
}

private func failed(_ number: Int32, _ call: String = "write") -> Observation {
    .probe(.failed(errorNumber: number, call: call), started: someTime)
}

private let someTime = Moment(
    boot: 1_000_000_000_000, wall: Timestamp(seconds: 1_790_001_000, nanoseconds: 0))

private func kernel(_ what: String) -> Observation { .kernel(what, text: []) }

/// Everything a signal can say to a store that is well, and what it is worth.
private let observations: [(Observation, Expected)] = [
    (.probe(.full, started: someTime), .nothing),
    (.probe(.lost, started: someTime), .opens(.lostWrite)),
    (.probe(.foreign("another store's"), started: someTime), .opens(.wrongDevice)),
    (.probe(.workerDied, started: someTime), .suspects),
    (.probeHangs(seconds: 1.9, .device), .nothing),
    (.probeHangs(seconds: 2, .device), .suspects),
    (.probeHangs(seconds: 2, .frozen), .suspects),
    (.probeHangs(seconds: 14.9, .device), .suspects),
    (.probeHangs(seconds: 15, .device), .opens(.stall)),
    (.probeHangs(seconds: 15, .frozen), .opens(.frozen)),
    (.probeHangs(seconds: 1e12, .device), .opens(.stall)),
    (.mount(.writable), .nothing), (.mount(.unknown), .nothing),
    (.mount(.readOnlyMount), .opens(.adminReadOnly)),
    (.mount(.readOnly), .opens(.readOnly)),
    (.mount(.emergencyReadOnly), .opens(.readOnly)),
    (.mount(.shutdown), .opens(.shutdown)), (.mount(.gone), .opens(.gone)),
    (.mount(.otherDevice), .opens(.wrongDevice)),
    (.fileSystemError(117, count: 1), .opens(.ioError)),
    (.fileSystemError(-5, count: .max), .opens(.ioError)),
    (.fileSystemError(.min, count: 0), .opens(.ioError)),
    (.errorCount(nil), .nothing), (.errorCount(0), .nothing), (.errorCount(7), .nothing),
    (.deviceStalls(seconds: 1.9), .nothing), (.deviceStalls(seconds: 2), .suspects),
    (.deviceStalls(seconds: 500), .suspects),
]

private let errorNumbers: [(Int32, Expected)] = [
    (30, .opens(.readOnly)), (5, .opens(.ioError)), (117, .opens(.ioError)),
    (121, .opens(.ioError)), (61, .opens(.ioError)), (110, .opens(.ioError)),
    (2, .opens(.gone)), (6, .opens(.gone)), (19, .opens(.gone)), (107, .opens(.gone)),
    (116, .opens(.gone)), (108, .opens(.gone)), (112, .opens(.gone)), (113, .opens(.gone)),
    (20, .opens(.wrongDevice)), (40, .opens(.wrongDevice)),
    (1, .nothing), (13, .nothing),
    // No room and no quota, from whichever call.
    (28, .nothing), (122, .nothing),
    (4, .suspects), (11, .suspects), (12, .suspects), (23, .suspects), (24, .suspects),
    (.min, .opens(.ioError)), (.max, .opens(.ioError)),
]

private let kernelMessages: [(String, Expected)] = [
    ("ext4.ro", .opens(.readOnly)), ("btrfs.ro", .opens(.readOnly)),
    ("ext4.error", .opens(.ioError)), ("ext4.sbwrite", .opens(.ioError)),
    ("jbd2.abort", .opens(.ioError)), ("jbd2.error", .opens(.ioError)),
    ("xfs.logerr", .opens(.ioError)), ("xfs.corrupt", .opens(.ioError)),
    ("btrfs.abort", .opens(.ioError)), ("iscsi.lost", .opens(.ioError)),
    ("ext4.shutdown", .opens(.shutdown)), ("xfs.shutdown", .opens(.shutdown)),
    ("ext4.lostdata", .opens(.lostWrite)), ("scsi.reject", .opens(.gone)),
    ("ext4.endio", .suspects), ("wb.error", .suspects), ("buf.lost", .suspects),
    ("blk.ioerr", .suspects), ("buf.error", .suspects),
    ("ext4.witherrors", .suspects), ("jbd2.data", .suspects),
    ("xfs.metaerr", .suspects), ("btrfs.devstat", .suspects), ("blk.rodev", .suspects),
    ("scsi.wp", .suspects), ("scsi.transport", .suspects), ("iscsi.ping", .suspects),
    ("iscsi.conn", .suspects), ("mpath.fail", .suspects), ("nfs.stall", .suspects),
    ("a name nobody knows", .suspects),
    ("note.mounted", .nothing), ("note.replayed", .nothing), ("note.unmounted", .nothing),
    ("note.remounted", .nothing), ("note.remounted-ro", .nothing),
    ("note.remounted-rw", .nothing), ("note.path-back", .nothing),
    ("note.server-back", .nothing), ("note.topology", .nothing), ("note.port", .nothing),
    ("note.link-down", .nothing),
]

private let weights: [(Observation, Expected)] =
    observations + errorNumbers.map { (failed($0.0), $0.1) }
    + kernelMessages.map { (kernel($0.0), $0.1) }

@Suite struct EvidenceTests {
    @Test(arguments: weights)
    private func eachObservationHasItsWeight(_ observation: Observation, _ expected: Expected) {
        var scene = DetectorScene()
        scene.probe()
        scene.see(observation)
        switch expected {
        case .opens(let kind):
            #expect(scene.words == ["opened"])
            #expect(scene.episode?.kind == kind)
            #expect(scene.episode?.evidence.last?.strength == .hard)
        case .suspects:
            #expect(scene.words == ["suspected"])
            #expect(scene.episode == nil)
        case .nothing:
            #expect(scene.words == [])
            #expect(scene.detector.phase == .ok)
        }
    }

    /// What is no reason for an episode is none at whatever rate it comes, nor for how long.
    @Test(arguments: weights.filter { $0.1 == .nothing }.map(\.0))
    func whatIsHarmlessStaysSo(_ observation: Observation) {
        var scene = DetectorScene()
        for _ in 0..<300 {
            scene.see(observation)
            scene.tick(after: 0)
        }
        #expect(scene.words == [])
    }

    /// Soft evidence alone, without a slow probe, never opens one.
    @Test func softEvidenceOpensNothing() {
        for (observation, expected) in weights where expected == .suspects {
            var scene = DetectorScene()
            for _ in 0..<200 {
                scene.see(observation)
                scene.probe(after: 0.1)
                scene.tick(after: 0)
            }
            #expect(!scene.words.contains("opened"), "\(observation)")
        }
    }

    /// Context says nothing for or against: it neither opens, nor raises, nor closes.
    @Test(arguments: [
        "note.remounted-rw", "note.mounted", "note.path-back", "note.server-back", "note.replayed",
    ])
    func theKernelsGoodNewsCloseNothing(_ what: String) {
        var scene = DetectorScene()
        scene.probe()
        scene.kernel("jbd2.abort")
        for _ in 0..<2000 {
            scene.kernel(what)
            scene.see(.mount(.writable), after: 0)
            scene.tick(after: 0)
        }
        #expect(scene.words == ["opened"])
    }

    @Test func foreignTextIsKeptInBounds() {
        var scene = DetectorScene()
        let long = Array(repeating: UInt8(0x1b), count: 10_000)
        scene.see(.kernel("ext4.error", text: long))
        #expect(scene.episode?.evidence.first?.text.count == Evidence.textLimit)
        scene.see(.probe(.foreign(String(repeating: "\u{301}", count: 9000)), started: scene.now))
        #expect(scene.episode?.evidence.last?.text.count == Evidence.textLimit)
    }

    @Test func classesAreInTheOrderOfHowBadTheyAre() {
        #expect(
            EpisodeClass.allCases == EpisodeClass.allCases.shuffled().sorted())
        #expect(EpisodeClass.slow < .adminReadOnly && EpisodeClass.stall < .ioError)
        #expect(EpisodeClass.ioError < .readOnly && EpisodeClass.wrongDevice < .lostWrite)
    }

    /// A class rises over each pair, and never falls.
    @Test func classesOnlyRise() {
        for first in EpisodeClass.allCases {
            for second in EpisodeClass.allCases {
                var scene = DetectorScene()
                scene.open(first)
                let start = scene.now
                scene.wait(3)
                let words = scene.open(second)
                #expect(words == (second > first ? ["rose"] : []))
                #expect(scene.episode?.kind == max(first, second))
                let steps = scene.episode?.steps ?? []
                #expect(steps.first == Episode.Step(first, start))
                #expect(steps.count == (second > first ? 2 : 1))
                if second > first { #expect(steps.last == Episode.Step(second, scene.now)) }
            }
        }
    }

    /// Whatever is said, and however often, an episode stays small: the first and the newest are
    /// kept.
    @Test func evidenceIsBounded() throws {
        var scene = DetectorScene()
        scene.open(.ioError)
        for number in 1...5000 {
            scene.see(.fileSystemError(Int32(number), count: UInt32(number)))
        }
        let episode = try #require(scene.episode)
        #expect(episode.evidence.count == Episode.evidenceLimit)
        #expect(episode.evidenceLeftOut == 5001 - Episode.evidenceLimit)
        #expect(episode.evidence.first?.what == "person.opened")
        #expect(episode.evidence.last?.at == scene.now)
        let times = episode.evidence.map(\.at.boot)
        #expect(times == times.sorted())
        #expect(times[Episode.evidenceLimit / 2 - 1] == times[0] + 31 * 1_000_000_000)
    }
}

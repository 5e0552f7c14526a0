import Testing

@testable import ResyncCore

@Suite struct ChronicleTests {
    /// Stores that one chronicle is kept of, each with a detector of its own.
    private final class Machine {
        var chronicle = Chronicle()
        var detectors: [String: Detector] = [:]

        /// Has a store fail, or a person close what is open there; the episode as it is told.
        func tell(
            _ store: String, at seconds: Int64, closes: Bool = false
        ) -> Episode? {
            let now = moment(seconds)
            let fresh = Detector(store: store, bootID: "boot-1") { "e-\(store)-\($0.boot)" }
            let events =
                closes
                ? detectors[store, default: fresh].close(note: "looked at", at: now)
                : detectors[store, default: fresh]
                    .open(.stall, note: "seen by hand", since: now, at: now)
            var last: Episode?
            for event in events {
                let told = chronicle.take(event) { "i-\($0.boot)" }
                detectors[store]?.place(as: told)
                switch told {
                case .opened(let episode), .closed(let episode): last = episode
                default: break
                }
            }
            return last
        }
    }

    @Test func whatItPlacesTheDetectorKeeps() throws {
        let machine = Machine()
        let first = try #require(machine.tell("mail/a", at: 10))
        let beside = try #require(machine.tell("web/a", at: 70))
        #expect(first.incident == "i-10000000000" && beside.incident == first.incident)
        #expect(machine.detectors["web/a"]?.episode == beside)
        let ended = try #require(machine.tell("mail/a", at: 600, closes: true))
        #expect(ended.incident == first.incident && ended.ordinal == 1)
        // It comes back, is the second of its incident, and still is when it ends.
        let again = try #require(machine.tell("mail/a", at: 4000))
        #expect(again.incident == first.incident && again.recurrenceOf == first.id)
        #expect(again.ordinal == 2 && machine.detectors["mail/a"]?.episode == again)
        let last = try #require(machine.tell("mail/a", at: 5000, closes: true))
        #expect(last.recurrenceOf == first.id && last.ordinal == 2)
        #expect(machine.tell("mail/a", at: 6000)?.ordinal == 3)
    }

    /// What happens in between has no place of its own to take.
    @Test func onlyWhatIsOpenedIsPlaced() throws {
        var chronicle = Chronicle([header("e-0", "web/a", "i-0", at: 0)])
        let opened = episode("e-1", at: 10)
        for event in [DetectorEvent.rose(opened), .recovering(opened), .relapsed(opened)] {
            #expect(chronicle.take(event) { _ in "i-1" } == event)
        }
        guard case .opened(let placed) = chronicle.take(.opened(opened), newID: { _ in "i-1" })
        else { return #expect(Bool(false), "it is opened no more") }
        #expect(placed.incident == "i-0")
        var detector = Detector(
            store: "mail/a", bootID: "boot-1", episode: opened, newID: { _ in "e-2" })
        detector.place(as: .rose(placed))
        #expect(detector.episode?.incident == "")
        detector.place(as: .opened(placed))
        #expect(detector.episode?.incident == "i-0")
    }

    /// One that is open is remembered once, and is no past of its own store.
    @Test func whatIsPlacedByHandIsNotRemembered() {
        let chronicle = Chronicle([header("e-0", "web/a", "i-0", at: 0)])
        for id in ["e-1", "e-2"] {
            var episode = episode(id, at: 500)
            chronicle.place(&episode) { _ in "i-\(id)" }
            #expect(episode.incident == "i-\(id)" && episode.ordinal == 1)
        }
    }

    @Test func theOldestIsForgottenFirst() {
        let known = (0..<4096 as Range<Int64>).map {
            header("e-\($0)", "web/\($0)", "i-\($0)", at: $0 * 1000)
        }
        var chronicle = Chronicle(known)
        func incident(near seconds: Int64) -> String {
            var near = episode("e-near", at: seconds)
            chronicle.place(&near) { _ in "i-near" }
            return near.incident
        }
        #expect(incident(near: 0) == "i-0")
        _ = chronicle.take(.opened(episode("e-new", at: 5_000_000))) { _ in "i-new" }
        #expect(incident(near: 0) == "i-near" && incident(near: 1000) == "i-1")
        #expect(incident(near: 5_000_000) == "i-new")
        // That one of them ended is no other one.
        var ended = episode("e-new", at: 5_000_000)
        ended.closed = moment(5_000_010)
        _ = chronicle.take(.closed(ended)) { _ in "i-newer" }
        #expect(incident(near: 1000) == "i-1")
    }
}

private func moment(_ seconds: Int64) -> Moment {
    Moment(
        boot: UInt64(seconds) * 1_000_000_000,
        wall: Timestamp(seconds: 1_790_000_000 + seconds, nanoseconds: 0))
}

private func episode(_ id: String, at seconds: Int64) -> Episode {
    let start = moment(seconds)
    return Episode(
        id: id, store: "mail/a", bootID: "boot-1", lastGood: nil, firstEvidence: start,
        detected: start, steps: [Episode.Step(.stall, start)])
}

private func header(
    _ id: String, _ store: String, _ incident: String, at seconds: Int64
) -> EpisodeHeader {
    EpisodeHeader(
        id: id, store: store, incident: incident, firstEvidence: moment(seconds).wall,
        closed: nil, ordinal: 1)
}

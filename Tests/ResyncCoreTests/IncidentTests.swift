import TestSupport
import Testing

@testable import ResyncCore

private let day: Int64 = 24 * 3600

private func at(_ seconds: Int64, _ nanoseconds: UInt32 = 0) -> Timestamp {
    Timestamp(seconds: 1_790_000_000 + seconds, nanoseconds: nanoseconds)
}

private func episode(_ id: String, _ store: String, _ start: Timestamp) -> Episode {
    let moment = Moment(boot: 1_000_000_000, wall: start)
    return Episode(
        id: id, store: store, bootID: "boot-1", lastGood: nil, firstEvidence: moment,
        detected: moment, steps: [Episode.Step(.stall, moment)])
}

/// Episodes one after the other, as the ledger knows them.
private struct Story {
    private(set) var known: [EpisodeHeader] = []
    private var open: [String: Episode] = [:]

    @discardableResult
    mutating func begins(_ id: String, _ store: String, _ start: Timestamp) -> Episode {
        var new = episode(id, store, start)
        Incident.place(&new, among: known.shuffled()) { _ in "i-\(id)" }
        known.append(EpisodeHeader(new))
        open[id] = new
        return new
    }

    mutating func ends(_ id: String, _ end: Timestamp) {
        guard var ended = open[id] else { return }
        ended.closed = Moment(boot: 2_000_000_000, wall: end)
        known.removeAll { $0.id == id }
        known.append(EpisodeHeader(ended))
    }
}

@Suite struct IncidentTests {
    @Test func storesThatFailTogetherAreOneIncident() {
        var story = Story()
        #expect(story.begins("1", "mail/a", at(0)).incident == "i-1")
        #expect(story.begins("2", "web/a", at(120)).incident == "i-1")
        #expect(story.begins("3", "web/b", at(240)).incident == "i-1")
        #expect(story.begins("4", "db/a", at(361)).incident == "i-4")
        // One that is found later may have begun before.
        #expect(story.begins("5", "db/b", at(-100)).incident == "i-1")
        #expect(story.known.allSatisfy { $0.ordinal == 1 })
    }

    @Test func theGroupingIsExact() {
        var story = Story()
        story.begins("1", "mail/a", at(0, 1))
        #expect(story.begins("2", "web/a", at(120, 1)).incident == "i-1")
        var other = Story()
        other.begins("1", "mail/a", at(0))
        #expect(other.begins("2", "web/a", at(120, 1)).incident == "i-2")
    }

    @Test func ofTwoIncidentsTheNearerOneCounts() {
        var story = Story()
        story.begins("1", "mail/a", at(0))
        story.begins("2", "web/a", at(200))
        #expect(story.begins("3", "db/a", at(110)).incident == "i-2")
        var other = Story()
        other.begins("1", "mail/a", at(0))
        other.begins("2", "web/a", at(200))
        #expect(other.begins("3", "db/a", at(90)).incident == "i-1")
    }

    @Test func whatComesBackWithinADayIsLinkedAndCounted() {
        var story = Story()
        var start: Int64 = 0
        for number in 1...5 {
            let new = story.begins("\(number)", "mail/a", at(start))
            #expect(new.incident == "i-1" && new.ordinal == number)
            #expect(new.recurrenceOf == (number == 1 ? nil : "\(number - 1)"))
            story.ends("\(number)", at(start + 600))
            start += 600 + (number == 4 ? day : 6 * 3600)
        }
        // A day and a second after the last one ended it is another story.
        let later = story.begins("9", "mail/a", at(start - 6 * 3600 + day + 1))
        #expect(later.incident == "i-9" && later.ordinal == 1 && later.recurrenceOf == nil)
    }

    @Test func anotherStoresPastIsNotItsOwn() {
        var story = Story()
        story.begins("1", "mail/a", at(0))
        story.ends("1", at(600))
        let other = story.begins("2", "mail/b", at(3600))
        #expect(other.recurrenceOf == nil && other.incident == "i-2")
        // Who comes back brings its incident along, and others join it.
        let again = story.begins("3", "mail/a", at(7200))
        let beside = story.begins("4", "web/a", at(7230))
        #expect(again.incident == "i-1" && again.ordinal == 2)
        #expect(beside.incident == "i-1" && beside.ordinal == 1 && beside.recurrenceOf == nil)
    }

    /// Whichever of the stores that fail together is found first.
    @Test(arguments: [false, true])
    func oneOutageIsOneIncidentWhoeverFailedBefore(_ isOtherFirst: Bool) {
        var story = Story()
        story.begins("1", "mail/a", at(0))
        story.ends("1", at(600))
        let outage = 6 * 3600 as Int64
        let stores = isOtherFirst ? ["web/a", "mail/a"] : ["mail/a", "web/a"]
        let both = stores.enumerated().map { place, store in
            story.begins("\(place + 2)", store, at(outage + Int64(place) * 5))
        }
        #expect(both[0].incident == both[1].incident)
        let again = both.first { $0.store == "mail/a" }
        #expect(again?.recurrenceOf == "1" && again?.ordinal == 2)
        // What goes on within the outage stays in it, and what comes the next day comes back.
        story.ends("2", at(outage + 30))
        #expect(story.begins("4", stores[0], at(outage + 60)).incident == both[0].incident)
        // That nobody watched another store is no outage to be a part of.
        story.ends("3", at(outage + 600))
        var gap = header("5", "db/a", "i-gap", at(2 * outage))
        gap.isUnwatched = true
        var later = episode("6", stores[1], at(2 * outage + 5))
        Incident.place(&later, among: story.known + [gap]) { _ in "i-new" }
        #expect(later.incident == both[1].incident && later.recurrenceOf == "3")
    }

    private func header(
        _ id: String, _ store: String, _ incident: String, _ start: Timestamp
    ) -> EpisodeHeader {
        EpisodeHeader(
            id: id, store: store, incident: incident, firstEvidence: start, closed: start,
            ordinal: 1)
    }

    @Test func anOpenOneIsNotRepeatedAndNoneRepeatsItself() {
        var story = Story()
        let first = story.begins("1", "mail/a", at(0))
        var again = first
        Incident.place(&again, among: story.known) { _ in "i-new" }
        #expect(again.recurrenceOf == nil && again.incident == "i-new")
        let second = story.begins("2", "mail/a", at(5000))
        #expect(second.recurrenceOf == nil && second.incident == "i-2")
    }

    /// Times from a damaged ledger, or of a clock that was never set.
    @Test func noTimeIsTooFarAway() {
        let times = [
            Timestamp(seconds: .min, nanoseconds: 0), Timestamp(seconds: .max, nanoseconds: 0),
            Timestamp(seconds: 0, nanoseconds: 999_999_999), at(0),
        ]
        for start in times {
            for other in times {
                for closed in times + [nil] as [Timestamp?] {
                    for ordinal in [Int.min, 1, Int.max] {
                        var new = episode("2", "mail/a", start)
                        let known = EpisodeHeader(
                            id: "1", store: "mail/a", incident: "i-1", firstEvidence: other,
                            closed: closed, ordinal: ordinal)
                        Incident.place(&new, among: [known]) { _ in "i-2" }
                        #expect(new.incident == "i-1" || new.incident == "i-2")
                    }
                }
            }
        }
    }
}

@Suite struct FlapPenaltyTests {
    @Test func itHalvesWithinAnHour() {
        var penalty = FlapPenalty(at: at(0))
        penalty.add(at: at(0))
        #expect(penalty.value == 1000)
        penalty.decay(to: at(3600))
        #expect(abs(penalty.value - 500) < 0.001)
        penalty.decay(to: at(3 * 3600))
        #expect(abs(penalty.value - 125) < 0.001)
        penalty.decay(to: at(100 * day))
        #expect(penalty.value == 0)
    }

    /// Looking at it often makes it fall neither faster nor slower.
    @Test func itDoesNotMatterHowOftenOneLooks() {
        var random = Seed.fromEnvironment()
        for _ in 0..<50 {
            let end = Int64(1 + random.below(20_000))
            var seldom = FlapPenalty(value: 3000, at: at(0))
            var often = seldom
            seldom.decay(to: at(end))
            var now: Int64 = 0
            while now < end {
                now = min(end, now + Int64(1 + random.below(30)))
                often.decay(to: at(now))
            }
            #expect(abs(seldom.value - often.value) < 0.01, "after \(end) s")
        }
        // Even many times a second.
        var penalty = FlapPenalty(value: 1000, at: at(0))
        for second in 0..<3600 as Range<Int64> {
            for part in 0..<4 as Range<UInt32> { penalty.decay(to: at(second, part * 250_000_000)) }
        }
        penalty.decay(to: at(3600))
        #expect(abs(penalty.value - 500) < 0.01)
    }

    @Test func threeInAnHourSuppressAndCalmFrees() {
        var penalty = FlapPenalty(at: at(0))
        penalty.add(at: at(0))
        penalty.add(at: at(300))
        #expect(!penalty.isSuppressed)
        penalty.add(at: at(600))
        #expect(penalty.isSuppressed)
        // It stays so until it is well below: two thresholds, no flutter.
        var now: Int64 = 600
        while penalty.isSuppressed, now < day {
            now += 60
            #expect(penalty.value >= FlapPenalty.reuse)
            penalty.decay(to: at(now))
        }
        // Two halvings from about 2800 to 750.
        #expect((6000...8400).contains(now))
        penalty.add(at: at(now))
        #expect(!penalty.isSuppressed)
    }

    @Test func threeOverADayDoNot() {
        var penalty = FlapPenalty(at: at(0))
        for number in 0..<10 as Range<Int64> {
            penalty.add(at: at(number * 6 * 3600))
            #expect(!penalty.isSuppressed && penalty.value < 1100)
        }
    }

    @Test func aClockThatIsSetBackAddsNothing() {
        var penalty = FlapPenalty(at: at(0))
        penalty.add(at: at(0))
        penalty.decay(to: at(-10 * day))
        #expect(penalty.value == 1000 && penalty.at == at(-10 * day))
        penalty.decay(to: at(-10 * day + 3600))
        #expect(abs(penalty.value - 500) < 0.001)
    }

    @Test func itStaysInBounds() {
        var penalty = FlapPenalty(at: at(0))
        for _ in 0..<10_000 { penalty.add(at: at(0)) }
        #expect(penalty.value == 1e6)
        for value in [Double.nan, .infinity, -.infinity, -5, 1e300] {
            let odd = FlapPenalty(value: value, at: at(0))
            #expect(odd.value >= 0 && odd.value <= 1e6)
        }
        for seconds in [Int64.min, .max, 0] {
            penalty.decay(to: Timestamp(seconds: seconds, nanoseconds: 0))
            #expect(penalty.value >= 0 && penalty.value <= 1e6)
        }
    }
}
